// What the network promises, on real parts: who computes something else, less exactly or nothing at all is paid nothing; who sees altered
// records does not vote; altered scores are rejected by the chain; nobody answers the challenge for others (protocol.md 6 to 9, 12).

import assert from 'node:assert/strict';
import type { Chain } from '../../src/chain/types.ts';
import { challengeInput, epochSeed, shardAt } from '../../src/consensus/challenge.ts';
import { decodeHosterPayload } from '../../src/consensus/commitment.ts';
import { firstBlock } from '../../src/consensus/phase.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createNetworkClient } from '../../src/node/network-client.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { Identity, Overlay } from '../../src/p2p/types.ts';
import type { Epoch, NodeId, ShardIndex } from '../../src/types/ids.ts';
import { fromHex, utf8 } from '../../src/util/bytes.ts';
import { encodeCbor } from '../../src/util/cbor.ts';
import { sha256, shake256 } from '../../src/util/hash.ts';
import { type Log, silentLog } from '../../src/util/log.ts';
import { decodeRecords, EVIDENCE_PROTOCOL } from '../../src/validator/evidence-protocol.ts';
import { decodePolicy } from '../../src/wire/policy.ts';
import { decodeRecord, signRecord } from '../../src/wire/record.ts';
import { createLoopback, type Disguise, type Loopback, type LoopbackNode, recordName } from '../support/loopback.ts';

/** Node ids; the four honest hosters leave out one shard each, so each shard has three of them. */
const HONEST: readonly number[] = [1, 2, 3, 4];
const NOISE = 5;
const INT8 = 6;
const COPIER = 7;
const DEAF = 8;
/** Whose records are copied, and altered on their way to the deaf one. */
const VICTIM = 1;
const SHARDS = [0, 1, 2, 3] as ShardIndex[];

describe('adversaries among real nodes', function () {
  this.timeout(10 * 60_000);
  let net: Loopback;
  let greedyFrom = Number.POSITIVE_INFINITY;

  before(async () => {
    net = await createLoopback({
      hosters: 7,
      attestors: 1,
      disguises: {
        ...Object.fromEntries(HONEST.map((id) => [id - 1, { chain: greedy }])),
        [NOISE - 1]: { chain: greedy, ...computing(noise) },
        [INT8 - 1]: { chain: greedy, ...computing(int8) },
        [COPIER - 1]: { chain: greedy, idle: true, ...copying },
        [DEAF - 1]: { chain: greedy, deaf: true, ...altering },
      },
    });
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

  function stakes(): Promise<readonly bigint[]> {
    const { chain, subnet, nodes } = net;
    return Promise.all(nodes.map(async ({ id }) => (await chain.node(subnet.id, id))?.stake ?? 0n));
  }

  it('refuses to run the open challenge for others, and serves the same prompt afterwards', async () => {
    await net.runTo(net.firstEpoch, 5);
    const prompt = await challengeTokens(net);
    assert.equal(await firstAnswer(net, prompt), 'CHALLENGE_INPUT');
    await net.runTo(net.firstEpoch, 15);
    assert.equal(typeof (await firstAnswer(net, prompt)), 'number');
  });

  it('pays the honest and nobody else', async () => {
    const epoch = await epochNotProposedBy(net, DEAF, net.firstEpoch + 1);
    await net.runTo(epoch, 19);
    const shown = revealedBy(net, epoch - 1);
    for (const shard of SHARDS) {
      const group = [...shown].filter(([, shards]) => shards.includes(shard)).map(([id]) => id);
      assert.ok(group.length >= 3, `shard ${shard} was shown by nodes ${group.join()}`);
      assert.ok(group.filter((id) => HONEST.includes(id)).length >= 3);
    }
    assert.deepEqual([...shown.keys()], [...HONEST, NOISE, INT8, COPIER]);
    const submitted = await net.chain.submission(net.subnet.id, epoch);
    assert.deepEqual(
      submitted?.scores.map(({ nodeId }) => nodeId),
      [...HONEST, DEAF],
      'noise, int8 and the copy have score 0',
    );
    assert.deepEqual(
      submitted?.attests.map(({ nodeId }) => nodeId),
      [...HONEST, NOISE, INT8, COPIER],
    );
    assert.deepEqual(abstentions(nodeOf(net, DEAF), epoch), ['PROPOSAL_MISSING_RECORD']);

    const before = await stakes();
    await net.runTo(epoch + 1, 0);
    assert.equal((await net.chain.result(net.subnet.id, epoch))?.outcome, 'Accepted');
    const grown = (await stakes()).map((stake, i) => stake > (before[i] ?? 0n));
    const paid = net.nodes.map(({ id }) => id).filter((id) => [...HONEST, DEAF, submitted?.proposer].includes(id));
    assert.deepEqual(
      net.nodes.filter((_, i) => grown[i]).map(({ id }) => id),
      paid,
      'who has a score, and the proposer for proposing',
    );
  });

  it('ends altered scores as rejected on chain', async () => {
    greedyFrom = net.epoch() + 1;
    const epoch = await epochNotProposedBy(net, DEAF, greedyFrom);
    await net.runTo(epoch + 1, 0);
    const result = await net.chain.result(net.subnet.id, epoch);
    assert.equal(result?.outcome, 'Rejected');
    const proposer = (await net.chain.submission(net.subnet.id, epoch))?.proposer;
    for (const node of net.nodes.filter(({ id }) => id !== proposer && id !== DEAF)) {
      assert.deepEqual(abstentions(node, epoch), ['PROPOSAL_SCORES_DIFFER'], `node ${node.id}`);
    }
  });
});

/** What a client that knows no node gets for a prompt: a token, or the reason of the first refusal. */
async function firstAnswer(net: Loopback, prompt: readonly number[]): Promise<unknown> {
  const ending = new AbortController();
  const refused = Promise.withResolvers<unknown>();
  const log: Log = {
    ...silentLog,
    info: (message, facts) => (message === 'hop failed' ? refused.resolve(facts?.reason) : undefined),
    child: () => log,
  };
  const identity = identityFromSeed(sha256(utf8('asker')));
  const initialPeers = net.nodes.flatMap(({ node }) => node.addresses);
  const network = await createNetworkClient({ initialPeers }, { ...net, identity, log }, ending.signal);
  const options = { maxTokens: 1, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
  const token = (async () => {
    for await (const { id } of network.client.generate(prompt, options, ending.signal)) return id;
    return undefined;
  })();
  try {
    return await Promise.race([token, refused.promise]);
  } finally {
    ending.abort();
    await token.catch(() => undefined);
    await network.close();
  }
}

/** What anybody can derive from the chain: the ids that the first shard is asked in this epoch. */
async function challengeTokens({ chain, subnet, model, firstEpoch }: Loopback): Promise<number[]> {
  const { genesis, epochLength } = await chain.info();
  const hash = await chain.blockHash(firstBlock(firstEpoch, { slot: subnet.slot, epochLength }));
  const policy = decodePolicy(subnet.misc);
  assert.ok(hash !== undefined && policy.ok);
  const of = shardAt(model.manifest, policy.policy.cut, 0 as ShardIndex);
  assert.ok(of !== undefined);
  const seed = epochSeed(fromHex(genesis), subnet.id, firstEpoch, fromHex(hash));
  const shape = { manifest: model.manifest, of, positions: policy.policy.challengeTokens };
  const input = challengeInput(seed, fromHex(model.hash), 0 as ShardIndex, shape);
  assert.ok(input.kind === 'tokens');
  return [...input.ids];
}

/** The first epoch from `from` on that another node proposes for (the deaf one lacks what it would have to name); runs to its beginning. */
async function epochNotProposedBy(net: Loopback, node: number, from: number): Promise<Epoch> {
  for (let epoch = from; epoch < from + 5; epoch++) {
    await net.runTo(epoch, 0);
    if ((await net.chain.electedValidator(net.subnet.id, epoch as Epoch)) !== node) return epoch as Epoch;
  }
  throw new Error(`node ${node} was elected five times in a row`);
}

/** Node -> shards that its reveal of an epoch names. */
function revealedBy({ nodes }: Loopback, epoch: number): Map<NodeId, readonly ShardIndex[]> {
  const { seen } = nodes[0] as LoopbackNode;
  const shown = nodes.flatMap(({ id }) => {
    const body = seen.get(recordName('hr', epoch, id))?.body;
    const sketches = body?.kind === 'hr' ? decodeHosterPayload(body.payload) : undefined;
    return sketches === undefined ? [] : [[id, sketches.map(({ shard }) => shard)] as const];
  });
  return new Map(shown);
}

function nodeOf({ nodes }: Loopback, id: number): LoopbackNode {
  return nodes.find((node) => node.id === id) as LoopbackNode;
}

function abstentions({ events }: LoopbackNode, epoch: Epoch): string[] {
  return events.flatMap((event) => (event.type === 'abstained' && event.epoch === epoch ? [event.code] : []));
}

/** An engine whose answers to challenges go through `change`. */
function computing(change: (output: Float32Array) => Float32Array): Disguise {
  return {
    parts: () => ({
      async createEngine(...args) {
        const engine = await createOnnxEngine(...args);
        const challenge: Engine['challenge'] = async (...rows) => change(await engine.challenge(...rows));
        return { ...engine, challenge };
      },
    }),
  };
}

/** As large as the answer, and about nothing. */
function noise(output: Float32Array): Float32Array {
  const rms = Math.sqrt(output.reduce((sum, value) => sum + value * value, 0) / output.length);
  const bytes = shake256(output.length, utf8('noise'));
  return output.map((_, i) => ((bytes[i] as number) / 127.5 - 1) * rms * Math.sqrt(3));
}

/** What an engine gives that keeps its activations in 8 bits, one scale per row. */
function int8(output: Float32Array): Float32Array {
  const rows = 16;
  const width = output.length / rows;
  const scales = Array.from(
    { length: rows },
    (_, row) => output.subarray(row * width, (row + 1) * width).reduce((max, v) => Math.max(max, Math.abs(v)), 0) / 127,
  );
  return output.map((value, i) => {
    const scale = scales[Math.floor(i / width)] as number;
    return Math.round(value / scale) * scale;
  });
}

/** Computes nothing; what the victim commits and reveals it sends as its own. */
const copying: Disguise = {
  parts: ({ id, identity }) => ({
    async createEngine(...args) {
      const engine = await createOnnxEngine(...args);
      return { ...engine, challenge: () => Promise.reject(new Error('computes nothing')) };
    },
    async createOverlay(...args) {
      const overlay = await createOverlay(...args);
      return { ...overlay, subscribe: copyInto(overlay, id as NodeId, identity) };
    },
  }),
};

function copyInto(overlay: Overlay, node: NodeId, identity: Identity): Overlay['subscribe'] {
  return (topic, judge) =>
    overlay.subscribe(topic, async (message, from) => {
      const decoded = decodeRecord(message);
      const body = decoded.ok ? decoded.record.body : undefined;
      if (body?.node === VICTIM && (body.kind === 'hc' || body.kind === 'hr')) {
        await overlay.publish(topic, signRecord({ ...body, node }, identity).bytes);
      }
      return judge(message, from);
    });
}

/** Records of the victim reach this node with a bit turned over, whichever way they come. */
const altering: Disguise = {
  parts: () => ({
    async createOverlay(options, deps) {
      const { records } = options;
      const judge: typeof records.judge = (key, value) => records.judge(key, altered(value));
      const overlay = await createOverlay({ ...options, records: { ...records, judge } }, deps);
      return {
        ...overlay,
        subscribe: (topic, look) =>
          overlay.subscribe(topic, async (message, from) => {
            const verdict = await look(altered(message), from);
            return verdict === 'reject' ? 'ignore' : verdict;
          }),
        request: async (peer, protocol, body, requestOptions) => {
          const answer = await overlay.request(peer, protocol, body, requestOptions);
          const found = protocol === EVIDENCE_PROTOCOL ? decodeRecords(answer) : undefined;
          return found === undefined ? answer : encodeCbor({ v: 1, r: found.map(altered) });
        },
      };
    },
  }),
};

function altered(bytes: Uint8Array): Uint8Array {
  const decoded = decodeRecord(bytes);
  if (!decoded.ok || decoded.record.body.node !== VICTIM || decoded.record.body.kind === 'an') return bytes;
  return bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
}
