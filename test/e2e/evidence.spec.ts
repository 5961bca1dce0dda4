// What anybody can find out about an epoch, on real parts: `tessera scores` says why somebody is paid nothing, `tessera verify-epoch` recomputes
// what was submitted; who comes late votes all the same; who runs twice under one name stops (protocol.md 4, 7 to 10).

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Chain } from '../../src/chain/types.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import type { BlockNumber, Epoch } from '../../src/types/ids.ts';
import type { SignedRecord } from '../../src/types/record.ts';
import { encodeCbor } from '../../src/util/cbor.ts';
import { decodeProof, decodeRecords, EVIDENCE_PROTOCOL, encodeProof } from '../../src/validator/evidence-protocol.ts';
import { decodeArgs } from '../../src/wire/evidence.ts';
import { decodeRecord, signRecord } from '../../src/wire/record.ts';
import { type Finished, runCli, startCli, stopCli } from '../support/cli.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import { createLoopback, type Disguise, type Loopback } from '../support/loopback.ts';

/** The four honest hosters leave out one shard each, so each shard has three of them. */
const HONEST: readonly number[] = [1, 2, 3, 4];
const TWO_FACED = 5;
const LATE = 6;
const WITHHOLDER = 7;
const ATTESTOR = 8;

describe('what anybody can find out about an epoch', function () {
  this.timeout(10 * 60_000);

  describe('with faulty nodes', () => {
    let net: Loopback;
    let greedyFrom = Number.POSITIVE_INFINITY;
    /** The first epoch whose proposer was honest, and the first whose proposer was dead. */
    let accepted: number;
    let absent: number;

    before(async () => {
      net = await createLoopback({
        hosters: 7,
        attestors: 1,
        disguises: {
          ...Object.fromEntries(HONEST.map((id) => [id - 1, { chain: greedy }])),
          [TWO_FACED - 1]: { mute: true, chain: dead, parts: twoFaced },
          [LATE - 1]: { mute: true, chain: dead, withholds: ['hc'], parts: late },
          [WITHHOLDER - 1]: { mute: true, chain: dead, withholds: ['hr'], parts: withholding },
          [ATTESTOR - 1]: { mute: true, chain: dead, parts: lyingAboutRosters },
        },
      });
      const isHonest = (id: number | undefined): boolean => HONEST.includes(id ?? 0);
      [accepted, absent] = [0, 0];
      for (let epoch = net.firstEpoch + 1; accepted === 0 || absent === 0; epoch++) {
        await net.runTo(epoch, 0);
        const elected = await net.chain.electedValidator(net.subnet.id, epoch as Epoch);
        if (isHonest(elected)) accepted ||= epoch;
        else absent ||= epoch;
      }
      await net.runTo(Math.max(accepted, absent) + 1, 0);
    });
    after(() => net?.stop());

    /** Doubles its first score when it is the proposer, from the epoch in question on. */
    function greedy(inner: Chain): Chain {
      const propose: Chain['propose'] = (hotkey, proposal, options) => {
        const scores = proposal.scores.map(({ nodeId, score }, i) => ({ nodeId, score: i === 0 ? score * 2n : score }));
        return inner.propose(hotkey, proposal.epoch >= greedyFrom ? { ...proposal, scores } : proposal, options);
      };
      return { ...inner, propose };
    }

    const tessera = (...words: string[]): Promise<Finished> =>
      runCli([...words, '--rpc', net.endpoint, '--data-dir', '/nonexistent']);

    it('scores: says of each faulty node why it is paid nothing, and that a dead proposer cost everybody', async () => {
      const { code, lines, stderr } = await tessera('scores', '--json', '--last', '64');
      assert.equal(code, 0, stderr);
      const [good, dead] = [accepted, absent].map((epoch) => lines.find((line) => line.epoch === epoch));
      const rewards = (good?.rewards ?? []) as { node: number; score: string; reason: string; faults: object[] }[];
      assert.deepEqual(
        rewards.filter(({ score }) => score !== '0').map(({ node }) => node),
        [...HONEST, ATTESTOR],
      );
      const faultsOf = (id: number) => rewards.find(({ node }) => node === id)?.faults;
      const named = (await witnesses(net, accepted)).length;
      assert.deepEqual(faultsOf(TWO_FACED)?.[0], { why: 'equivocator' });
      assert.deepEqual(faultsOf(LATE)?.[0], { why: 'late', kind: 'hc', listed: 0, of: named });
      assert.deepEqual(faultsOf(WITHHOLDER)?.[0], { why: 'missing', kind: 'hr' });
      for (const id of HONEST) assert.deepEqual(faultsOf(id), []);

      const told = await tessera('scores', '--epoch', String(accepted));
      assert.match(told.stdout, /node 5 .*signed two different records/);
      assert.match(told.stdout, /node 6 .*commitment to its work too late: 0 of \d named witnesses list it/);
      assert.match(told.stdout, /node 7 .*no reveal of its work/);

      assert.equal(dead?.outcome, 'Absent');
      assert.ok(!HONEST.includes(Number(dead?.proposer)));
      const unpaid = (dead?.rewards ?? []) as { reason: string }[];
      assert.deepEqual([...new Set(unpaid.map(({ reason }) => reason))], ['no-proposal']);
    });

    it('verify-epoch: proves who was in an epoch that the endpoint has forgotten, and finds out the node that altered it', async () => {
      const forgotten = await blocksSoFar(net);
      const proxy = await startFaultyProxy(net.endpoint);
      try {
        // What is asked of a forgotten state is asked of a block that there never was.
        proxy.fault({
          request({ method, message }) {
            const params = (message.params ?? []) as readonly unknown[];
            const isGone = method.startsWith('state_') && forgotten.has(String(params.at(-1)));
            return isGone ? { ...message, params: params.with(-1, `0x${'12'.repeat(32)}`) } : message;
          },
        });
        const liar = net.nodes.find(({ id }) => id === ATTESTOR)?.node ?? assert.fail();
        const peers = ['--initial-peers', ...net.nodes.flatMap(({ node }) => node.addresses.slice(0, 1))];
        const words = [
          'verify-epoch',
          String(accepted),
          '--rpc',
          proxy.endpoint,
          '--data-dir',
          '/nonexistent',
          ...peers,
        ];
        const { code, lines, stderr } = await runCli([...words, '--json']);
        assert.equal(code, 0, stderr);
        const [told] = lines as { verdict?: string; roster?: string; refused?: { peer: string; code: string }[] }[];
        assert.deepEqual([told?.verdict, told?.roster], ['agrees', 'proven']);
        const refused = told?.refused ?? [];
        assert.deepEqual([...new Set(refused.map(({ code: why }) => why))], ['PROOF_INCOMPLETE']);
        const liars = [...new Set(refused.map(({ peer }) => peer))];
        assert.equal(liars.length, 1);
        assert.ok(liar.addresses[0]?.endsWith(`/p2p/${liars[0]}`));
        const text = await runCli(words);
        assert.equal(text.code, 0, text.stderr);
        assert.match(text.stdout, /roster proven: who was in the epoch follows from the state root/);
        assert.match(text.stdout, new RegExp(`${liars[0]} handed over a roster that is not the chain's`));
      } finally {
        await proxy.close();
      }
    });

    it('verify-epoch: agrees with what the evidence gives, and disagrees with a proposer that altered it', async () => {
      const good = await tessera('verify-epoch', String(accepted), '--json');
      assert.equal(good.code, 0, good.stderr);
      assert.equal(good.lines[0]?.verdict, 'agrees');
      assert.deepEqual([good.lines[0]?.roster, good.lines[0]?.refused], ['proven', []], 'by the endpoint itself');
      assert.deepEqual(
        ((good.lines[0]?.nodes ?? []) as { node: number }[]).map(({ node }) => node),
        [...HONEST, TWO_FACED, LATE, WITHHOLDER, ATTESTOR],
      );

      greedyFrom = net.epoch() + 1;
      let epoch = greedyFrom;
      await net.runTo(epoch, 2);
      while ((await net.chain.submission(net.subnet.id, epoch as Epoch)) === undefined) await net.runTo(++epoch, 2);
      const bad = await tessera('verify-epoch', String(epoch));
      assert.equal(bad.code, 6, bad.stderr);
      assert.match(bad.stdout, /node 1 .*DISAGREE .*evidence gives/);
      assert.match(bad.stdout, /node 2 .*agree/);
      assert.match(bad.stderr, /EPOCH_DIFFERS/);
    });
  });

  describe('with honest nodes', () => {
    let net: Loopback;
    let forgotten: ReadonlySet<string> = new Set();
    const NEWCOMER = 5;
    const TWIN = 2;

    before(async () => {
      net = await createLoopback({
        hosters: 4,
        attestors: 1,
        disguises: {
          [NEWCOMER - 1]: { late: true, chain: (inner) => forgetful(inner, () => forgotten) },
          // Two nodes under one name hear half of everything each: nobody waits for what they say. This one does not watch, the other does.
          [TWIN - 1]: { deaf: true, withholds: ['hc', 'hr', 'sc', 'sr'], parts: () => ({}) },
        },
      });
    });
    after(() => net?.stop());

    it("lets a node that joins after the reveals, and whose endpoint has forgotten all before, verify and attest that epoch's proposal", async () => {
      const scored = net.firstEpoch;
      await net.runTo(scored, 15);
      forgotten = await blocksSoFar(net);
      const node = await net.start(NEWCOMER);
      let epoch = scored + 1;
      await net.runTo(epoch, 4);
      // Elected itself it proposes what it pulled; that is not what is asked here.
      while ((await net.chain.electedValidator(net.subnet.id, epoch as Epoch)) === NEWCOMER)
        await net.runTo(++epoch, 4);
      const submitted = await net.chain.submission(net.subnet.id, epoch as Epoch);
      assert.ok(submitted?.attests.some(({ nodeId }) => nodeId === NEWCOMER));
      assert.ok((submitted?.scores.length ?? 0) >= 4);
      assert.ok(node.events.some((event) => event.type === 'attested' && event.epoch === epoch));
      assert.ok(!node.events.some((event) => event.type === 'abstained'));
    });

    it('stops a second process with the same keys, and says what to do', async () => {
      const at = net.epoch() + 1;
      await net.runTo(at, 12);
      const { member } = net.nodes.find(({ id }) => id === TWIN) ?? assert.fail();
      const { plan } = member;
      const keys = ['--identity-path', join(plan.dataDir, 'keys', 'peer_id'), '--hotkey', plan.hotkey];
      const addresses = net.nodes.flatMap(({ node }) => node.addresses.slice(0, 1));
      const twin = startCli([
        ...['run', '--role', 'hoster', '--shards', '0', '--rpc', net.endpoint, '--json', ...keys],
        ...['--data-dir', join(plan.dataDir, 'twin'), '--initial-peers', ...addresses],
      ]);
      try {
        await twin.waitFor((line) => line.event === 'head');
        let ended = false;
        void twin.finished.then(() => {
          ended = true;
        });
        for (let block = 13; block < 60 && !ended; block++) {
          await net.runTo(at, block);
          const { number } = await net.chain.head('best');
          await Promise.race([twin.waitFor((line) => Number(line.block) >= number), twin.finished]).catch(
            () => twin.finished,
          );
        }
        const { code, stderr, lines } = await twin.finished;
        assert.equal(code, 5, stderr);
        assert.match(stderr, /somebody else signs as node 2 .*wait two epochs.*SIGNED_ELSEWHERE/s);
        assert.ok(lines.some((line) => line.event === 'failed' && line.code === 'SIGNED_ELSEWHERE'));
      } finally {
        await stopCli(twin);
      }
    });
  });
});

async function blocksSoFar({ chain }: Loopback): Promise<ReadonlySet<string>> {
  const { number } = await chain.head('best');
  const numbers = Array.from({ length: number + 1 }, (_, block) => block as BlockNumber);
  const hashes = await Promise.all(numbers.map((block) => chain.blockHash(block)));
  return new Set(hashes.filter((hash) => hash !== undefined));
}

/** An endpoint that has dropped the states of these blocks. */
function forgetful(inner: Chain, forgotten: () => ReadonlySet<string>): Chain {
  const keeping =
    <A extends readonly unknown[], T>(read: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      const gone = args.find((one) => typeof one === 'string' && forgotten().has(one));
      if (gone !== undefined) throw Object.assign(new Error(`no state of ${gone}`), { code: 'CHAIN_STATE_DISCARDED' });
      return read(...args);
    };
  return {
    ...inner,
    subnet: keeping(inner.subnet),
    nodes: keeping(inner.nodes),
    electable: keeping(inner.electable),
    electedValidator: keeping(inner.electedValidator),
    proveRoster: keeping(inner.proveRoster),
  };
}

/** Whoever asks it for the proof of a roster gets one in which a byte of a value is another. */
const lyingAboutRosters: Disguise['parts'] = () => ({
  async createOverlay(...args) {
    const overlay = await createOverlay(...args);
    return {
      ...overlay,
      handleRequest: (protocol, options, handler) =>
        overlay.handleRequest(protocol, options, async (body, from, signal) => {
          const answer = await handler(body, from, signal);
          const proof = protocol === EVIDENCE_PROTOCOL ? decodeProof(answer) : undefined;
          const longest = proof?.nodes.toSorted((a, b) => b.length - a.length)[0];
          if (proof === undefined || longest === undefined) return answer;
          const other = longest.with(8, (longest[8] as number) ^ 1);
          const nodes = proof.nodes.map((node) => (node === longest ? other : node));
          return encodeProof({ ...proof, nodes }) ?? answer;
        }),
    };
  },
});

/** Members of the first set of witnesses that a submission names. */
async function witnesses(net: Loopback, epoch: number): Promise<readonly number[]> {
  const submitted = await net.chain.submission(net.subnet.id, epoch as Epoch);
  const decoded = decodeArgs(submitted?.args ?? new Uint8Array(), net.nodes.length);
  return decoded.ok ? decoded.args.first : [];
}

/** Proposes nothing. */
function dead(inner: Chain): Chain {
  return { ...inner, propose: () => Promise.reject(new Error('proposes nothing')) };
}

/** What becomes of an own record on its way out, whichever way it goes; undefined keeps it back. */
type Change = (record: SignedRecord) => readonly Uint8Array[];

/** Its own records go out changed, also to who pulls them. */
function outgoing(id: number, change: Change, hear: (record: SignedRecord, overlay: Overlay) => void = () => {}) {
  const passed = (bytes: Uint8Array): readonly Uint8Array[] => {
    const decoded = decodeRecord(bytes);
    return decoded.ok && decoded.record.body.node === id ? change(decoded.record) : [bytes];
  };
  return {
    async createOverlay(...args: Parameters<typeof createOverlay>) {
      const overlay = await createOverlay(...args);
      const publish: Overlay['publish'] = async (topic, message) => {
        for (const bytes of passed(message)) await overlay.publish(topic, bytes);
        return 1;
      };
      return {
        ...overlay,
        publish,
        putRecord: async (key, value, signal) =>
          passed(value).includes(value) ? overlay.putRecord(key, value, signal) : 0,
        subscribe: (topic, judge) =>
          overlay.subscribe(topic, (message, from) => {
            const decoded = decodeRecord(message);
            if (decoded.ok) hear(decoded.record, overlay);
            return judge(message, from);
          }),
        handleRequest: (protocol, options, handler) =>
          overlay.handleRequest(protocol, options, async (body, from, signal) => {
            const answer = await handler(body, from, signal);
            const found = protocol === EVIDENCE_PROTOCOL ? decodeRecords(answer) : undefined;
            return found === undefined ? answer : encodeCbor({ v: 1, r: found.flatMap(passed) });
          }),
      } satisfies Overlay;
    },
  };
}

const twoFaced: Disguise['parts'] = ({ id, identity }) =>
  outgoing(id, ({ body, bytes }) =>
    body.kind === 'hc'
      ? [bytes, signRecord({ ...body, commitment: new Uint8Array(32).fill(1) }, identity).bytes]
      : [bytes],
  );

const withholding: Disguise['parts'] = ({ id }) =>
  outgoing(id, ({ body, bytes }) => (body.kind === 'hr' ? [] : [bytes]));

/** Commits when it has seen what others reveal. */
const late: Disguise['parts'] = ({ id }) => {
  let kept: SignedRecord | undefined;
  let topic = '';
  let shown = -1;
  const change: Change = (record) => {
    if (record.body.kind !== 'hc' || record.body.epoch === shown) return [record.bytes];
    kept = record;
    return [];
  };
  const hear = ({ body }: SignedRecord, overlay: Overlay): void => {
    if (body.kind !== 'hr' || kept?.body.epoch !== body.epoch || shown === body.epoch) return;
    shown = body.epoch;
    void overlay.publish(topic, kept.bytes);
  };
  const parts = outgoing(id, change, hear);
  return {
    async createOverlay(...args: Parameters<typeof createOverlay>) {
      const [first] = args[0].topics ?? [];
      topic = first ?? '';
      return parts.createOverlay(...args);
    },
  };
};
