// Whole epochs on the twins: who is paid, who is not, and what becomes of a proposal (protocol.md 6 to 9).

import assert from 'node:assert/strict';
import { decodeHosterPayload } from '../../../src/consensus/commitment.ts';
import { type Epoch, ONE } from '../../../src/types/ids.ts';
import type { RecordBody } from '../../../src/types/record.ts';
import type { Roster } from '../../../src/types/subnet.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { decodeRequest, type EvidenceRequest } from '../../../src/validator/evidence-protocol.ts';
import type { ValidatorDeps, ValidatorEvent } from '../../../src/validator/validator.ts';
import { encodeArgs, evidenceRoot, NO_IDS } from '../../../src/wire/evidence.ts';
import { decodeRecord, signRecord } from '../../../src/wire/record.ts';
import { keyOfBody } from '../../../src/wire/record-key.ts';
import { createSwarm, int8Engine, noiseEngine, otherMachineEngine, type Swarm, type SwarmNode } from './swarm.ts';

describe('epochs of a subnet', () => {
  let swarm: Swarm | undefined;

  afterEach(async () => {
    await swarm?.stop();
    swarm = undefined;
  });

  async function start(options: Parameters<typeof createSwarm>[0]): Promise<Swarm> {
    swarm = await createSwarm(options);
    return swarm;
  }

  it('pays every honest node, and all attest', async () => {
    const { firstEpoch, ...rest } = await start({ hosters: 4, attestors: 1 });
    await rest.runTo(firstEpoch + 4, 19);
    for (let epoch = firstEpoch + 1; epoch <= firstEpoch + 4; epoch++) {
      const submitted = await rest.submission(epoch);
      assert.equal(submitted?.attests.length, 5, `epoch ${epoch}`);
      assert.deepEqual([...(await rest.scores(epoch)).keys()], [1, 2, 3, 4, 5]);
    }
    const results = await resultsOf(rest, firstEpoch + 1, firstEpoch + 3);
    assert.deepEqual(results, ['Accepted', 'Accepted', 'Accepted']);
  });

  it('has nothing to score in the first live epoch, and says so on chain', async () => {
    const { firstEpoch, runTo, submission } = await start({ hosters: 4, attestors: 1 });
    await runTo(firstEpoch, 19);
    const submitted = await submission(firstEpoch);
    assert.deepEqual(submitted?.scores, []);
    assert.equal(submitted?.attests.length, 5);
  });

  it('tells seed and inputs once: the proposer, or another when it is away', async () => {
    const told: RecordBody[] = [];
    const watch = (deps: ValidatorDeps): ValidatorDeps =>
      withPublish(deps, (message) => {
        const decoded = decodeRecord(message);
        if (decoded.ok && decoded.record.body.kind === 'pr') told.push(decoded.record.body);
      });
    const wrap = { 0: watch, 1: watch, 2: watch, 3: watch, 4: watch };
    const { firstEpoch, runTo, nodes, chain, subnet } = await start({ hosters: 4, attestors: 1, wrap });
    await runTo(firstEpoch + 1, 0);
    const elected = await chain.chain.electedValidator(subnet, (firstEpoch + 1) as Epoch);
    assert.deepEqual(
      told.map(({ epoch }) => epoch),
      [firstEpoch],
    );
    await nodes.find(({ id }) => id === elected)?.kill();
    await runTo(firstEpoch + 1, 19);
    const [first, second, ...more] = told;
    assert.equal(second?.epoch, firstEpoch + 1);
    assert.notEqual(second?.node, elected);
    assert.ok(more.length <= 3, 'who heard of one in time tells none');
    assert.ok(first?.kind === 'pr' && second?.kind === 'pr');
    assert.notDeepEqual(first.seed, second.seed);
    for (const other of more) assert.deepEqual(other.kind === 'pr' && other.digest, second.digest);
  });

  it('never reveals in the block that closes commits', async () => {
    const { firstEpoch, runTo, nodes } = await start({ hosters: 4, attestors: 1 });
    const revealed = () => nodes.slice(0, 4).map((node) => outcomes(node, firstEpoch).includes('revealed'));
    await runTo(firstEpoch, 10);
    assert.deepEqual(revealed(), [false, false, false, false]);
    await runTo(firstEpoch, 11);
    assert.deepEqual(revealed(), [true, true, true, true]);
  });

  for (const [name, engine] of [
    ['returns noise', noiseEngine],
    ['rounds to 8 bits', int8Engine],
  ] as const) {
    it(`gives a hoster that ${name} nothing, the others their pay`, async () => {
      const { firstEpoch, runTo, scores, submission } = await start({
        hosters: 4,
        attestors: 1,
        engines: { 1: engine },
      });
      await runTo(firstEpoch + 2, 19);
      for (const epoch of [firstEpoch + 1, firstEpoch + 2]) {
        assert.deepEqual([...(await scores(epoch)).keys()], [1, 3, 4, 5]);
        assert.equal((await submission(epoch))?.attests.length, 5);
      }
    });
  }

  it('lets auditors say who of two hosters is right, and pays them for voting alone', async () => {
    const shardsOf = () => [0, 1, 2, 3];
    const paid = async (audits: boolean) => {
      const engines = { 1: noiseEngine };
      const { firstEpoch, runTo, scores, stop } = await start({ hosters: 2, attestors: 3, audits, engines, shardsOf });
      await runTo(firstEpoch + 1, 19);
      const found = await scores(firstEpoch + 1);
      await stop();
      return found;
    };
    assert.deepEqual([...(await paid(false)).keys()], [3, 4, 5], 'between two answers nobody can tell');
    // Of five validators three are drawn for each shard: at least one of the three that audit.
    const found = await paid(true);
    assert.deepEqual([...found.keys()], [1, 3, 4, 5]);
    for (const node of [3, 4, 5]) assert.ok((found.get(node) ?? 0n) * 5n < (found.get(1) ?? 0n));
  });

  it('commits an auditor to the shards that it is drawn for', async () => {
    const said: RecordBody[] = [];
    const watch = (deps: ValidatorDeps): ValidatorDeps =>
      withPublish(deps, (message) => {
        const decoded = decodeRecord(message);
        if (decoded.ok) said.push(decoded.record.body);
      });
    const { firstEpoch, runTo, nodes } = await start({ hosters: 4, attestors: 1, audits: true, wrap: { 4: watch } });
    await runTo(firstEpoch + 3, 19);
    const commits = said.filter((body) => body.kind === 'hc');
    assert.ok(commits.length > 0 && commits.every((body) => body.kind === 'hc' && body.audits));
    for (const { epoch } of commits) {
      const reveal = said.find((body) => body.kind === 'hr' && body.epoch === epoch);
      const named = reveal?.kind === 'hr' ? decodeHosterPayload(reveal.payload) : undefined;
      assert.ok((named?.length ?? 0) > 0 && (named?.length ?? 9) <= 4);
    }
    const node = nodes[4] as SwarmNode;
    const missed = node.events.filter((event) => event.type === 'missed' && event.epoch >= firstEpoch);
    assert.deepEqual(missed, [], 'not to be drawn is no failure');
    assert.ok(node.events.every(({ type }) => type !== 'failed'));
  });

  it('takes the last bits of another machine for what they are', async () => {
    const { firstEpoch, runTo, scores } = await start({ hosters: 4, attestors: 1, engines: { 2: otherMachineEngine } });
    await runTo(firstEpoch + 1, 19);
    const paid = await scores(firstEpoch + 1);
    const [honest, other] = [paid.get(1) ?? 0n, paid.get(3) ?? 0n];
    assert.ok(other > (honest * 9n) / 10n && other < honest, `${other} of ${honest}`);
  });

  it('gives a copier of a commitment nothing', async () => {
    const { firstEpoch, runTo, scores, submission } = await start({
      hosters: 4,
      attestors: 2,
      wrap: { 5: (deps) => copier(deps, 1) },
    });
    await runTo(firstEpoch + 3, 19);
    for (const epoch of [firstEpoch + 1, firstEpoch + 2, firstEpoch + 3]) {
      assert.deepEqual([...(await scores(epoch)).keys()], [1, 2, 3, 4, 5], `epoch ${epoch}`);
      assert.ok(((await submission(epoch))?.attests.length ?? 0) >= 5);
    }
  });

  it('makes the attestor abstain that sees other records than its peers', async () => {
    const { firstEpoch, runTo, submission, nodes } = await start({
      hosters: 4,
      attestors: 1,
      wrap: { 4: (deps) => deaf(deps) },
    });
    await runTo(firstEpoch + 2, 19);
    const node = nodes[4] as SwarmNode;
    const epoch = [firstEpoch + 1, firstEpoch + 2].find((one) => !outcomes(node, one).includes('proposed'));
    assert.ok(epoch !== undefined);
    const submitted = await submission(epoch);
    assert.deepEqual(
      submitted?.attests.map(({ nodeId }) => nodeId),
      [1, 2, 3, 4],
    );
    const why = node.events.find((event) => event.type === 'abstained' && event.epoch === epoch);
    assert.deepEqual(why, { type: 'abstained', epoch, code: 'PROPOSAL_MISSING_RECORD' });
  });

  it('rejects altered scores: nobody else attests', async () => {
    const everyone = { 0: greedy, 1: greedy, 2: greedy, 3: greedy, 4: greedy };
    const { firstEpoch, runTo, chain, subnet, nodes } = await start({ hosters: 4, attestors: 1, wrap: everyone });
    const epoch = (firstEpoch + 1) as Epoch;
    await runTo(epoch + 1, 1);
    const result = await chain.chain.result(subnet, epoch);
    assert.equal(result?.outcome, 'Rejected');
    const codes = nodes.flatMap(({ events }) => events.flatMap((e) => (e.type === 'abstained' ? [e.code] : [])));
    assert.deepEqual([...new Set(codes)], ['PROPOSAL_SCORES_DIFFER']);
  });

  it('refuses empty evidence for an epoch in which there was work', async () => {
    const everyone = { 0: lazy, 1: lazy, 2: lazy, 3: lazy, 4: lazy };
    const { firstEpoch, runTo, submission, nodes } = await start({ hosters: 4, attestors: 1, wrap: everyone });
    await runTo(firstEpoch + 1, 19);
    assert.equal((await submission(firstEpoch + 1))?.attests.length, 1);
    const codes = nodes.flatMap(({ events }) => events.flatMap((e) => (e.type === 'abstained' ? [e.code] : [])));
    assert.deepEqual([...new Set(codes)], ['PROPOSAL_OMITS']);
  });

  it('goes on without a hoster that was killed, and takes it back with its journal; nothing is signed twice', async () => {
    const sent = new Map<string, Set<string>>();
    const watch = (deps: ValidatorDeps): ValidatorDeps => withPublish(deps, (message) => note(sent, message));
    const wrap = { 0: watch, 1: watch, 2: watch, 3: watch, 4: watch };
    const { firstEpoch, runTo, submission, scores, nodes, ...rest } = await start({ hosters: 4, attestors: 1, wrap });
    const victim = nodes[0] as SwarmNode;
    await runTo(firstEpoch + 1, 7);
    await victim.kill();
    await runTo(firstEpoch + 5, 7);
    const outcomesAfter = await resultsOf(rest, firstEpoch + 1, firstEpoch + 4);
    for (let epoch = firstEpoch + 2; epoch <= firstEpoch + 4; epoch++) {
      const elected = await rest.chain.chain.electedValidator(rest.subnet, epoch as Epoch);
      const expected = elected === victim.id ? 'Absent' : 'Accepted';
      assert.equal(outcomesAfter[epoch - firstEpoch - 1], expected, `epoch ${epoch}`);
      if (expected === 'Accepted') assert.equal((await scores(epoch)).has(1), false);
    }
    victim.start();
    await runTo(firstEpoch + 8, 19);
    assert.equal((await scores(firstEpoch + 8)).has(1), true, 'paid again');
    for (const [slot, ids] of sent) assert.equal(ids.size, 1, `${slot} was signed ${ids.size} times`);
  });

  it('reveals after a restart what it had committed before', async () => {
    const { firstEpoch, runTo, scores, nodes } = await start({ hosters: 4, attestors: 1 });
    const node = nodes[2] as SwarmNode;
    const epoch = firstEpoch + 1;
    await runTo(epoch, 8);
    assert.ok(outcomes(node, epoch).includes('committed'));
    await node.kill();
    await runTo(epoch, 9);
    node.start();
    await runTo(epoch + 1, 19);
    assert.equal((await scores(epoch + 1)).has(3), true);
    assert.equal(outcomes(node, epoch).filter((type) => type === 'committed').length, 1);
  });

  it('says why a node missed an epoch that it came too late for', async () => {
    const { firstEpoch, runTo, nodes, submission, scores } = await start({ hosters: 4, attestors: 1 });
    const node = nodes[1] as SwarmNode;
    await node.kill();
    await runTo(firstEpoch + 1, 12);
    node.start();
    await runTo(firstEpoch + 2, 19);
    const epoch = firstEpoch + 1;
    const missed = node.events.filter((event) => event.type === 'missed');
    assert.deepEqual(
      missed,
      ['work', 'wa', 'wb'].map((duty) => ({ type: 'missed', epoch, duty, why: 'late-start' })),
    );
    const done = outcomes(node, epoch).filter((type) => type !== 'missed' && type !== 'judged');
    assert.deepEqual(
      done.filter((type) => type !== 'proposed' && type !== 'attested'),
      ['scored'],
    );
    assert.equal(done.length, 2, 'it voted or proposed all the same');
    assert.ok(done.includes('proposed'), 'in this seed it is elected: what it proposes is what its peers hold');
    assert.equal((await submission(epoch))?.attests.length, 5);
    const paid = await scores(epoch);
    assert.ok((paid.get(1) ?? 0n) > 0n && (paid.get(2) ?? 0n) < (paid.get(1) ?? 0n));
    assert.equal((await submission(firstEpoch + 2))?.attests.length, 5);
  });

  it('scores from what its peers hold after a start in the score window', async () => {
    const { firstEpoch, runTo, scores, nodes } = await start({ hosters: 4, attestors: 1 });
    const node = nodes[4] as SwarmNode;
    await runTo(firstEpoch + 2, 2);
    await node.kill();
    await runTo(firstEpoch + 2, 14);
    node.start();
    await runTo(firstEpoch + 4, 19);
    const full = (await scores(firstEpoch + 2)).get(5) ?? 0n;
    assert.ok(full > 0n);
    const half = ONE / 4n / 9n;
    assert.equal((await scores(firstEpoch + 4)).get(5), half, 'its scores agreed with the others; one witness of two');
  });

  it('acts on the newest of several heads that come at once', async () => {
    const { firstEpoch, runTo, scores, chain, submission } = await start({ hosters: 4, attestors: 1 });
    await runTo(firstEpoch + 1, 4);
    await chain.reorg(1);
    await runTo(firstEpoch + 1, 9);
    chain.setOutage(true);
    await runTo(firstEpoch + 1, 11);
    chain.setOutage(false);
    await runTo(firstEpoch + 2, 19);
    assert.deepEqual([...(await scores(firstEpoch + 2)).keys()], [1, 2, 3, 4, 5]);
    assert.equal((await submission(firstEpoch + 2))?.attests.length, 5);
  });

  it('needs no gossip: pulls make the lists whole before they close', async () => {
    const { firstEpoch, runTo, submission, scores } = await start({
      hosters: 4,
      attestors: 1,
      gossipLoss: 1,
      wrap: NO_ARCHIVE,
    });
    await runTo(firstEpoch + 2, 19);
    assert.deepEqual([...(await scores(firstEpoch + 2)).keys()], [1, 2, 3, 4, 5]);
    assert.equal((await submission(firstEpoch + 2))?.attests.length, 5);
  });

  it('fetches by id what it lacks of a proposal, from the proposer', async () => {
    const asked = new Set<string>();
    const wrap = {
      ...NO_ARCHIVE,
      4: (deps: ValidatorDeps) => withRequests(deps, (ask) => asked.add(ask) && ask !== 'lack'),
    };
    const { firstEpoch, runTo, submission, nodes } = await start({ hosters: 4, attestors: 1, gossipLoss: 1, wrap });
    await runTo(firstEpoch + 2, 19);
    const epoch = [firstEpoch + 1, firstEpoch + 2].find(
      (one) => !outcomes(nodes[4] as SwarmNode, one).includes('proposed'),
    );
    assert.ok(epoch !== undefined);
    assert.ok(asked.has('named') && asked.has('ids'), [...asked].join());
    assert.deepEqual(
      (await submission(epoch))?.attests.map(({ nodeId }) => nodeId),
      [1, 2, 3, 4, 5],
    );
  });

  it('abstains when nobody hands over what is named', async () => {
    const wrap = { ...NO_ARCHIVE, 4: (deps: ValidatorDeps) => withRequests(deps, () => false) };
    const { firstEpoch, runTo, nodes } = await start({ hosters: 4, attestors: 1, gossipLoss: 1, wrap });
    await runTo(firstEpoch + 2, 19);
    const codes = (nodes[4] as SwarmNode).events.flatMap((e) => (e.type === 'abstained' ? [e.code] : []));
    assert.deepEqual([...new Set(codes)], ['PROPOSAL_MISSING_RECORD']);
  });

  it('judges by the record that is named, not by the one it saw first of a node with two faces', async () => {
    const { firstEpoch, runTo, submission, nodes, ...rest } = await start({
      hosters: 4,
      attestors: 1,
      wrap: { 4: (deps) => ({ ...deps, overlay: { ...deps.overlay, handleRequest: async () => undefined } }) },
    });
    const [liar, witness] = [nodes[3] as SwarmNode, nodes[4] as SwarmNode];
    const head = { genesis: fromHex(rest.genesis), subnet: rest.subnet, node: liar.id };
    for (const epoch of [firstEpoch + 1, firstEpoch + 2] as Epoch[]) {
      await runTo(epoch, 2);
      const other = {
        kind: 'hc',
        ...head,
        epoch,
        commitment: new Uint8Array(32),
        manifest: new Uint8Array(32),
      } as const;
      const shown = signRecord({ ...other, audits: false }, liar.identity);
      assert.equal(witness.validator.judge(keyOfBody(shown.body), shown.bytes), 'accept');
    }
    await runTo(firstEpoch + 3, 19);
    const epoch = [firstEpoch + 2, firstEpoch + 3].find((one) => !outcomes(witness, one).includes('proposed'));
    assert.ok(epoch !== undefined);
    const submitted = await submission(epoch);
    assert.equal(
      submitted?.scores.some(({ nodeId }) => nodeId === liar.id),
      true,
    );
    assert.equal(
      submitted?.attests.some(({ nodeId }) => nodeId === witness.id),
      true,
    );
  });

  for (const kind of ['hc', 'sc'] as const) {
    it(`leaves a node out, in that epoch and the next, that signed two records: ${kind}`, async () => {
      let guilty = -1;
      const { firstEpoch, runTo, submission } = await start({
        hosters: 4,
        attestors: 1,
        wrap: { 3: (deps) => twoFaced(deps, (body) => body.kind === kind && body.epoch === guilty) },
      });
      guilty = firstEpoch + 1;
      await runTo(firstEpoch + 5, 19);
      // Scored in the epoch after. As its own proposer it may still think well of itself.
      for (const [epoch, isPaid] of [
        [guilty + 1, false],
        [guilty + 2, false],
        [guilty + 4, true],
      ] as const) {
        const submitted = await submission(epoch);
        if (submitted?.proposer === 4) continue;
        assert.equal(
          submitted?.scores.some(({ nodeId }) => nodeId === 4),
          isPaid,
          `epoch ${epoch}`,
        );
        assert.ok((submitted?.attests.length ?? 0) >= 4);
      }
    });
  }

  it('attests again when a reorganization took the vote away', async () => {
    const { firstEpoch, runTo, submission, chain } = await start({ hosters: 4, attestors: 1 });
    await runTo(firstEpoch + 1, 3);
    await chain.reorg(2, true);
    await runTo(firstEpoch + 1, 19);
    assert.equal((await submission(firstEpoch + 1))?.attests.length, 5);
  });

  it('survives an outage of the chain and junk from peers', async () => {
    const { firstEpoch, runTo, scores, chain, nodes } = await start({ hosters: 4, attestors: 1 });
    const topic = `/tessera/records/1/${128001}`;
    await runTo(firstEpoch, 14);
    await nodes[4]?.overlay.publish(topic, new Uint8Array([1, 2, 3]));
    await nodes[4]?.overlay.publish(topic, new Uint8Array(24 << 10).fill(0x81));
    chain.setOutage(true);
    await runTo(firstEpoch, 17);
    chain.setOutage(false);
    await runTo(firstEpoch + 2, 19);
    assert.deepEqual([...(await scores(firstEpoch + 2)).keys()], [1, 2, 3, 4, 5]);
    assert.ok((nodes[0]?.validator.status().refusals.RECORD_MALFORMED ?? 0) >= 2);
  });

  it('takes from the DHT only what belongs under its key', async () => {
    const { firstEpoch, runTo, nodes, ...rest } = await start({ hosters: 4, attestors: 1 });
    await runTo(firstEpoch, 2);
    const [hoster, attestor] = [nodes[0] as SwarmNode, nodes[4] as SwarmNode];
    const head = { genesis: fromHex(rest.genesis), subnet: rest.subnet, node: hoster.id, epoch: firstEpoch };
    const bytes = new Uint8Array(32);
    const { bytes: value, body } = signRecord(
      { kind: 'hc', ...head, commitment: bytes, manifest: bytes, audits: false },
      hoster.identity,
    );
    const { judge } = attestor.validator;
    assert.equal(judge('/tsr/hr/128001/1/1', value), 'reject');
    assert.equal(judge(keyOfBody({ ...body, node: attestor.id }), value), 'reject');
    assert.equal(judge(keyOfBody(body), bytes), 'reject');
    assert.equal(judge('/tsr/an/128001/1/1', value), 'ignore');
    assert.equal(judge('/other/key', value), 'ignore');
    assert.equal(judge(keyOfBody(body), value), 'accept');
  });

  it('does its duties beside a listener and a journal that fail now and then', async () => {
    const broken = (deps: ValidatorDeps): ValidatorDeps => ({ ...deps, journal: failingOnce(deps.journal) });
    const { firstEpoch, runTo, nodes, scores } = await start({ hosters: 4, attestors: 1, wrap: { 1: broken } });
    const node = nodes[1] as SwarmNode;
    node.validator.on(() => {
      throw new Error('listener');
    });
    await runTo(firstEpoch + 3, 19);
    assert.ok(node.events.some((event) => event.type === 'failed' && event.message === 'disk'));
    assert.equal((await scores(firstEpoch + 3)).has(2), true);
  });

  it('is silent and at rest after its end', async () => {
    const { firstEpoch, runTo, nodes, stop } = await start({ hosters: 4, attestors: 1 });
    await runTo(firstEpoch + 1, 12);
    await stop();
    const heard = nodes.map(({ events }) => events.length);
    await runTo(firstEpoch + 2, 12);
    assert.deepEqual(
      nodes.map(({ events }) => events.length),
      heard,
    );
    assert.deepEqual(
      nodes.map(({ validator }) => validator.status().busy),
      [0, 0, 0, 0, 0],
    );
    assert.deepEqual(
      nodes.flatMap(({ events }) => events.filter(({ type }) => type === 'failed')),
      [],
    );
  });

  it('works with epochs of ten blocks', async () => {
    const { firstEpoch, runTo, scores } = await start({ hosters: 4, attestors: 1, epochLength: 10 });
    await runTo(firstEpoch + 2, 9);
    assert.deepEqual([...(await scores(firstEpoch + 2)).keys()], [1, 2, 3, 4, 5]);
  });
});

function outcomes(node: SwarmNode, epoch: number): string[] {
  const ofEpoch = (event: ValidatorEvent): boolean =>
    'epoch' in event && event.epoch === epoch && event.type !== 'head';
  return node.events.filter(ofEpoch).map(({ type }) => type);
}

async function resultsOf(swarm: Pick<Swarm, 'chain' | 'subnet'>, from: number, to: number) {
  const epochs = Array.from({ length: to - from + 1 }, (_, i) => (from + i) as Epoch);
  const results = await Promise.all(epochs.map((epoch) => swarm.chain.chain.result(swarm.subnet, epoch)));
  return results.map((result) => result?.outcome);
}

function note(sent: Map<string, Set<string>>, message: Uint8Array): void {
  const decoded = decodeRecord(message);
  if (!decoded.ok) return;
  const { kind, epoch, node } = decoded.record.body;
  const slot = `${kind}/${epoch}/${node}`;
  sent.set(slot, (sent.get(slot) ?? new Set()).add(toHex(decoded.record.id)));
}

function withPublish(deps: ValidatorDeps, seen: (message: Uint8Array) => void): ValidatorDeps {
  const publish: ValidatorDeps['overlay']['publish'] = (topic, message) => {
    seen(message);
    return deps.overlay.publish(topic, message);
  };
  return { ...deps, overlay: { ...deps.overlay, publish } };
}

/** Hosters that put nothing into the DHT: it would bring records to everybody. */
const NO_ARCHIVE = Object.fromEntries([0, 1, 2, 3].map((i) => [i, withoutArchive]));

function withoutArchive(deps: ValidatorDeps): ValidatorDeps {
  return { ...deps, overlay: { ...deps.overlay, putRecord: async () => 0 } };
}

/** Every 10th answer of this journal is an error, in its first two epochs. */
function failingOnce(journal: ValidatorDeps['journal']): ValidatorDeps['journal'] {
  let calls = 0;
  const claimed: typeof journal.claimed = (slot) => {
    calls += 1;
    if (slot.epoch <= 2 && calls % 10 === 0) throw new Error('disk');
    return journal.claimed(slot);
  };
  return { ...journal, claimed };
}

/** Lets only some questions of the evidence protocol out. */
function withRequests(deps: ValidatorDeps, mayAsk: (ask: EvidenceRequest['ask']) => boolean): ValidatorDeps {
  const { overlay } = deps;
  const request: typeof overlay.request = async (peer, protocol, body, options) => {
    const asked = decodeRequest(body);
    if (asked === undefined || !mayAsk(asked.ask)) throw new Error('not sent');
    return overlay.request(peer, protocol, body, options);
  };
  return { ...deps, overlay: { ...overlay, request } };
}

/** Sends what a hoster commits and reveals as its own, under its own key. */
function copier(deps: ValidatorDeps, victim: number): ValidatorDeps {
  const { overlay, identity } = deps;
  const copy = (topic: string, message: Uint8Array): void => {
    const decoded = decodeRecord(message);
    if (!decoded.ok || decoded.record.body.node !== victim) return;
    const { body } = decoded.record;
    if (body.kind !== 'hc' && body.kind !== 'hr') return;
    void overlay.publish(topic, signRecord({ ...body, node: 6 as typeof body.node }, identity).bytes);
  };
  const subscribe: typeof overlay.subscribe = (topic, judge) =>
    overlay.subscribe(topic, (message, from) => {
      copy(topic, message);
      return judge(message, from);
    });
  return { ...deps, overlay: { ...overlay, subscribe } };
}

/** Every record of node 1 reaches this node with a broken signature. */
function deaf(deps: ValidatorDeps): ValidatorDeps {
  return {
    ...deps,
    verify: (peer, message, signature) => deps.verify(peer, message, signature) && !isFromFirst(message),
  };
}

function isFromFirst(message: Uint8Array): boolean {
  const tagBytes = 1 + 'tessera/record/1'.length;
  return nodeOf(message.subarray(tagBytes)) === 1;
}

function nodeOf(bodyBytes: Uint8Array): number {
  // {a?.., "n": 1}: the key `n` is the text 0x61 0x6e followed by a small integer.
  const at = Buffer.from(bodyBytes).indexOf(Buffer.from([0x61, 0x6e]));
  return bodyBytes[at + 2] ?? 0;
}

/** A proposer that gives itself more. */
function greedy(deps: ValidatorDeps): ValidatorDeps {
  const { chain } = deps;
  const propose: typeof chain.propose = (hotkey, proposal, options) => {
    const scores = proposal.scores.map(({ nodeId, score }, i) => ({ nodeId, score: i === 0 ? score * 2n : score }));
    return chain.propose(hotkey, { ...proposal, scores }, options);
  };
  return { ...deps, chain: { ...chain, propose } };
}

/** A proposer that names nothing. */
function lazy(deps: ValidatorDeps): ValidatorDeps {
  const { chain } = deps;
  const none: Roster = { epoch: 0 as Epoch, nodes: [], validators: [], live: false };
  const root = evidenceRoot(none, NO_IDS);
  const propose: typeof chain.propose = (hotkey, proposal, options) => {
    const epoch = (proposal.epoch - 1) as Epoch;
    const args = encodeArgs({ epoch, first: [], second: [], equivocators: [], root }, 5);
    return chain.propose(hotkey, { ...proposal, scores: [], args, attestData: root }, options);
  };
  return { ...deps, chain: { ...chain, propose } };
}

/** Signs a second commitment where it may, and shows it to everybody. */
function twoFaced(deps: ValidatorDeps, mayLie: (body: RecordBody) => boolean): ValidatorDeps {
  const { overlay, identity } = deps;
  const publish: typeof overlay.publish = async (topic, message) => {
    const decoded = decodeRecord(message);
    const body = decoded.ok ? decoded.record.body : undefined;
    if (body !== undefined && 'commitment' in body && mayLie(body)) {
      const commitment = new Uint8Array(32).fill(7);
      await overlay.publish(topic, signRecord({ ...body, commitment }, identity).bytes);
    }
    return overlay.publish(topic, message);
  };
  return { ...deps, overlay: { ...overlay, publish } };
}
