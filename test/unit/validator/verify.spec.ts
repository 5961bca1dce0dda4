// An epoch can be recomputed by who was not there, 64 epochs later, from what nodes kept (protocol.md 9, 10).

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import { createArchive } from '../../../src/store/archive.ts';
import { createMemoryJournal } from '../../../src/store/memory.ts';
import type { Epoch } from '../../../src/types/ids.ts';
import { utf8 } from '../../../src/util/bytes.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { sha256 } from '../../../src/util/hash.ts';
import { silentLog } from '../../../src/util/log.ts';
import { decodeRequest } from '../../../src/validator/evidence-protocol.ts';
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
    const stranger = identityFromSeed(sha256(utf8(`stranger ${epoch}`)));
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
    const verdict = await verifier.verify(epoch as Epoch, () => undefined, new AbortController().signal);
    of.network.kill(stranger.peer);
    return verdict;
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
      const verdict = await verify(all, epoch);
      assert.equal(
        verdict.verdict,
        'agrees',
        JSON.stringify(verdict, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
      );
      assert.ok('nodes' in verdict);
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
    const chain = all.chain.connect();
    const gone = Object.assign(new Error('pruned'), { code: 'CHAIN_STATE_DISCARDED' });
    const pruned = { ...chain, nodes: () => Promise.reject(gone) };
    assert.equal(codeOf(await verify(all, epoch, { chain: pruned, overlay })), 'ROSTER_UNAVAILABLE');
  });

  it('asks the nodes who was in the epoch where the endpoint has forgotten it, and believes them when all say the same', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 2, 4);
    const epoch = all.firstEpoch + 1;
    const gone = Object.assign(new Error('pruned'), { code: 'CHAIN_STATE_DISCARDED' });
    const chain = { ...all.chain.connect(), nodes: () => Promise.reject(gone) };
    const verdict = await verify(all, epoch, { chain });
    assert.deepEqual([verdict.verdict, 'roster' in verdict && verdict.roster], ['agrees', 'nodes']);
    const asker = all.network.join(identityFromSeed(sha256(utf8('asker'))));
    const lies: VerifierDeps['overlay'] = {
      ...asker,
      async request(peer, protocol, body, options) {
        const answer = await asker.request(peer, protocol, body, options);
        const isLiar = peer === all.nodes[2]?.identity.peer && decodeRequest(body)?.ask === 'facts';
        return isLiar ? encodeCbor({ v: 1, f: Uint8Array.of(1) }) : answer;
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

function codeOf(verdict: Verdict): string | undefined {
  return 'code' in verdict ? verdict.code : undefined;
}
