// An epoch can be recomputed by who was not there, 64 epochs later, from what nodes kept (protocol.md 9, 10).

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Chain } from '../../../src/chain/types.ts';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import { createArchive } from '../../../src/store/archive.ts';
import { createMemoryJournal } from '../../../src/store/memory.ts';
import type { Epoch, PeerId } from '../../../src/types/ids.ts';
import { utf8 } from '../../../src/util/bytes.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { sha256 } from '../../../src/util/hash.ts';
import { silentLog } from '../../../src/util/log.ts';
import { decodeProof, decodeRequest, encodeProof } from '../../../src/validator/evidence-protocol.ts';
import { KEPT_EPOCHS, VERIFIABLE_EPOCHS } from '../../../src/validator/library.ts';
import type { ValidatorDeps } from '../../../src/validator/validator.ts';
import { createVerifier, type Verdict, type VerifierDeps } from '../../../src/validator/verify.ts';
import { createSwarm, manifestOf, noiseEngine, type Swarm } from './swarm.ts';

const NODES = 4;
const NOISE = 2;

describe('verify an epoch', () => {
  let folder: string;
  let swarm: Swarm | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-verify-'));
  });
  afterEach(async () => {
    await swarm?.stop();
    swarm = undefined;
    rmSync(folder, { recursive: true });
  });

  /** Each node with an archive of its own. */
  async function start(): Promise<Swarm> {
    const archived =
      (index: number) =>
      (deps: ValidatorDeps, { genesis, subnet }: Swarm): ValidatorDeps => ({
        ...deps,
        archive: createArchive({ file: join(folder, `${index}.sqlite`), genesis, subnet }),
      });
    const wrap = Object.fromEntries(Array.from({ length: NODES }, (_, i) => [i, archived(i)]));
    const engines = { [NOISE - 1]: noiseEngine };
    swarm = await createSwarm({ hosters: NODES, attestors: 0, epochLength: 10, wrap, engines });
    return swarm;
  }

  /** By somebody who knows nothing but the chain. */
  async function verify(of: Swarm, epoch: number, change: Partial<VerifierDeps> = {}): Promise<Verdict> {
    const [verdict] = await verifyAll(of, [epoch], change);
    return verdict ?? assert.fail();
  }

  /** By one and the same. */
  async function verifyAll(of: Swarm, epochs: readonly number[], change: Partial<VerifierDeps>): Promise<Verdict[]> {
    const stranger = identityFromSeed(sha256(utf8(`stranger ${epochs}`)));
    const overlay = of.network.join(stranger);
    const verifier = createVerifier(of, {
      chain: of.chain.connect(),
      overlay,
      journal: createMemoryJournal({ genesis: of.genesis }),
      manifestOf,
      verify: verifySignature,
      log: silentLog,
      ...change,
    });
    const verdicts: Verdict[] = [];
    for (const epoch of epochs) {
      verdicts.push(await verifier.verify(epoch as Epoch, () => undefined, new AbortController().signal));
    }
    of.network.kill(stranger.peer);
    return verdicts;
  }

  it('agrees with every epoch of the last 64, also when the nodes were started again, and not longer', async () => {
    const all = await start();
    const { firstEpoch, runTo, nodes } = all;
    const first = firstEpoch + 2;
    const last = first + VERIFIABLE_EPOCHS - 1;
    await runTo(last, 3);
    for (const node of nodes) {
      await node.kill();
      node.start();
    }
    await runTo(last, 4);
    for (const epoch of [first, first + 1, last - 1]) {
      const verdict = await verify(all, epoch, { chain: forgetful(all) });
      assert.equal(
        verdict.verdict,
        'agrees',
        JSON.stringify(verdict, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
      );
      assert.ok('nodes' in verdict);
      assert.deepEqual([verdict.roster, verdict.unproven, verdict.refused], ['proven', undefined, []]);
      const paid = verdict.nodes.filter(({ recomputed }) => recomputed > 0n).map(({ node }) => Number(node));
      assert.deepEqual(paid, [1, 3, 4]);
      // Long before the last one the chain has taken its seat away.
      const noisy = verdict.nodes.find(({ node }) => node === NOISE);
      assert.equal(noisy?.faults[0]?.why, epoch < last - 1 ? 'distance' : undefined);
    }
    await runTo(first + KEPT_EPOCHS, 1);
    assert.equal((await verify(all, first)).verdict, 'nothing', 'the chain has forgotten the submission');
    const asked = createArchive({ file: join(folder, '0.sqlite'), genesis: all.genesis, subnet: all.subnet });
    const held = [firstEpoch, first].map((epoch) => asked.records('hc', epoch as Epoch).length);
    assert.deepEqual(held, [0, NODES]);
    asked.close();
  }).timeout(60_000);

  it('says of altered scores that they differ, for whom, and what the evidence gives', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 2, 4);
    const epoch = all.firstEpoch + 1;
    const chain = all.chain.connect();
    const altered: Partial<VerifierDeps> = {
      chain: {
        ...chain,
        submission: async (...args) => {
          const found = await chain.submission(...args);
          return found && { ...found, scores: found.scores.map((one) => ({ ...one, score: one.score + 1n })).slice(1) };
        },
      },
    };
    const verdict = await verify(all, epoch, altered);
    assert.equal(verdict.verdict, 'differs');
    assert.ok('nodes' in verdict);
    assert.deepEqual(
      verdict.nodes.map(({ node, onChain, recomputed }) => [Number(node), onChain - recomputed > 0n, onChain === 0n]),
      [
        [1, false, true],
        [2, false, true],
        [3, true, false],
        [4, true, false],
      ],
    );
  });

  it('says what it lacks: records, rosters, the model', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 2, 4);
    const epoch = all.firstEpoch + 1;
    assert.equal(codeOf(await verify(all, epoch, { manifestOf: () => undefined })), 'MODEL_NEEDED');
    const overlay = { peers: () => [], request: () => assert.fail(), getRecord: async () => undefined };
    assert.equal(codeOf(await verify(all, epoch, { overlay })), 'PROPOSAL_MISSING_RECORD');
    assert.equal(codeOf(await verify(all, epoch, { chain: forgetful(all), overlay })), 'ROSTER_UNAVAILABLE');
  });

  it('proves who was in the epoch by the endpoint, and by what nodes kept where the endpoint has forgotten it', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 3, 4);
    const epoch = all.firstEpoch + 2;
    let asked = 0;
    const counting = (answer: Uint8Array): Uint8Array => {
      asked += 1;
      return answer;
    };
    const overlay = answering(all, 'everybody', counting);
    assert.deepEqual(sourceOf(await verify(all, epoch, { overlay })), ['agrees', 'proven', undefined, []]);
    assert.equal(asked, 0, 'the endpoint has them');
    const forgotten = await verifyAll(all, [epoch, epoch - 1, epoch], { chain: forgetful(all), overlay });
    for (const one of forgotten) assert.deepEqual(sourceOf(one), ['agrees', 'proven', undefined, []]);
    assert.equal(asked, 4 * NODES, 'four epochs, each once');
  });

  it('finds out a node that hands over an altered roster, and believes the chain', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 3, 4);
    const epoch = all.firstEpoch + 2;
    const liar = all.nodes[2]?.identity.peer ?? assert.fail();
    const chain = forgetful(all);
    const verdict = await verify(all, epoch, { chain, overlay: answering(all, liar, altered) });
    const refused = [epoch - 3, epoch - 2, epoch - 1].map((of) => ({
      peer: liar,
      epoch: of,
      code: 'PROOF_INCOMPLETE',
    }));
    assert.deepEqual(sourceOf(verdict), ['agrees', 'proven', undefined, refused]);
    const junk = await verify(all, epoch, { chain, overlay: answering(all, liar, () => Uint8Array.of(1)) });
    assert.deepEqual(
      sourceOf(junk)[3],
      refused.map((one) => ({ ...one, code: 'PROOF_MALFORMED' })),
    );
  });

  it('takes no roster of which every proof is altered: it is what the nodes or the endpoint say, and it says why', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 3, 4);
    const epoch = all.firstEpoch + 2;
    const overlay = answering(all, 'everybody', altered);
    const [verdict, roster, unproven, refused] = sourceOf(await verify(all, epoch, { chain: forgetful(all), overlay }));
    assert.deepEqual([verdict, roster, unproven], ['agrees', 'nodes', 'PROOF_INCOMPLETE']);
    assert.equal(refused?.length, 3 * NODES);
    const poor = { ...all.chain.connect(), proveRoster: async () => undefined };
    const nobody = answering(all, 'everybody', () => encodeCbor({ v: 1 }));
    const told = await verify(all, epoch, { chain: poor, overlay: nobody });
    assert.deepEqual(sourceOf(told), ['agrees', 'chain', 'PROOF_MISSING', []]);
    const lying = { ...all.chain.connect(), proveRoster: async () => ({ header: Uint8Array.of(1), nodes: [] }) };
    const refusedOwn = await verify(all, epoch, { chain: lying, overlay: nobody });
    assert.deepEqual(sourceOf(refusedOwn), ['agrees', 'chain', 'PROOF_INCOMPLETE', []]);
  });

  it('where nobody has a proof, asks the nodes who was in the epoch, and believes them when all say the same', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 2, 4);
    const epoch = all.firstEpoch + 1;
    const chain = forgetful(all);
    const nothing = encodeCbor({ v: 1 });
    const inner = answering(all, 'everybody', () => nothing);
    const verdict = await verify(all, epoch, { chain, overlay: inner });
    assert.deepEqual(sourceOf(verdict), ['agrees', 'nodes', 'PROOF_MISSING', []]);
    const twice = await verifyAll(all, [epoch, epoch], { chain, overlay: inner });
    assert.deepEqual(
      twice.map((one) => sourceOf(one)[1]),
      ['nodes', 'nodes'],
      'what was said once is not the chain',
    );
    const liar = all.nodes[2]?.identity.peer;
    const lies: VerifierDeps['overlay'] = {
      ...inner,
      async request(peer, protocol, body, options) {
        const isLie = peer === liar && decodeRequest(body)?.ask === 'facts';
        return isLie ? encodeCbor({ v: 1, f: Uint8Array.of(1) }) : inner.request(peer, protocol, body, options);
      },
    };
    assert.equal(codeOf(await verify(all, epoch, { chain, overlay: lies })), 'ROSTER_UNAVAILABLE');
  });

  it('finds in the DHT what no node hands over', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 2, 4);
    const { network } = all;
    const shelf = network.join(identityFromSeed(sha256(utf8('shelf'))));
    const overlay = { peers: () => [], request: () => assert.fail(), getRecord: shelf.getRecord };
    const verdict = await verify(all, all.firstEpoch + 1, { overlay });
    assert.equal(verdict.verdict, 'agrees');
  });
});

/** An endpoint that keeps no state but the last one. */
function forgetful(of: Swarm): Chain {
  const chain = of.chain.connect();
  const gone = Object.assign(new Error('pruned'), { code: 'CHAIN_STATE_DISCARDED' });
  return { ...chain, nodes: () => Promise.reject(gone), proveRoster: () => Promise.reject(gone) };
}

/** A guest's view of the network, in which some answer otherwise when they are asked for proofs. */
function answering(
  of: Swarm,
  who: PeerId | 'everybody',
  change: (answer: Uint8Array) => Uint8Array,
): VerifierDeps['overlay'] {
  const asker = of.network.join(identityFromSeed(sha256(utf8(`asker ${who} ${change}`))));
  return {
    ...asker,
    async request(peer, protocol, body, options) {
      const answer = await asker.request(peer, protocol, body, options);
      if (decodeRequest(body)?.ask !== 'proof') return answer;
      return who === 'everybody' || peer === who ? change(answer) : answer;
    },
  };
}

/** A proof whose last node says something else: another seat. */
function altered(answer: Uint8Array): Uint8Array {
  const proof = decodeProof(answer) ?? assert.fail('no proof was kept');
  const last = proof.nodes.at(-1) ?? assert.fail();
  const nodes = proof.nodes.with(-1, last.with(10, (last[10] as number) ^ 1));
  return encodeProof({ ...proof, nodes }) ?? assert.fail();
}

function sourceOf(verdict: Verdict) {
  assert.ok('roster' in verdict, verdict.verdict);
  return [verdict.verdict, verdict.roster, verdict.unproven, verdict.refused] as const;
}

function codeOf(verdict: Verdict): string | undefined {
  return 'code' in verdict ? verdict.code : undefined;
}
