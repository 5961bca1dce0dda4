// A node that comes when its endpoint has forgotten the blocks that its rosters stand in: it takes what peers prove, and nothing else
// (protocol.md 1, 10).

import assert from 'node:assert/strict';
import type { Chain } from '../../../src/chain/types.ts';
import { createArchive } from '../../../src/store/archive.ts';
import type { BlockNumber, Epoch, Hash } from '../../../src/types/ids.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { decodeProof, decodeRequest, encodeProof } from '../../../src/validator/evidence-protocol.ts';
import type { ValidatorDeps } from '../../../src/validator/validator.ts';
import { createSwarm, type Swarm, type SwarmNode } from './swarm.ts';

const LATE = 4;
const NODES = 4;

describe('a late start on an endpoint that has forgotten', () => {
  let swarm: Swarm | undefined;
  let forgotten: Set<Hash>;

  beforeEach(() => {
    forgotten = new Set();
  });
  afterEach(async () => {
    await swarm?.stop();
    swarm = undefined;
  });

  /** What each node keeps, and how the late one is answered when it asks for proofs. */
  async function start(change: (answer: Uint8Array, peer: number) => Uint8Array): Promise<Swarm> {
    const wrapAll = (deps: ValidatorDeps, node: number, of: Swarm): ValidatorDeps => {
      const { genesis, subnet } = of;
      const archived = { ...deps, archive: createArchive({ file: ':memory:', genesis, subnet }) };
      if (node !== LATE) return archived;
      const overlay: ValidatorDeps['overlay'] = {
        ...deps.overlay,
        async request(peer, protocol, body, options) {
          const answer = await deps.overlay.request(peer, protocol, body, options);
          const index = of.nodes.findIndex(({ identity }) => identity.peer === peer);
          return decodeRequest(body)?.ask === 'proof' ? change(answer, index + 1) : answer;
        },
      };
      return { ...archived, overlay, chain: forgetful(deps.chain) };
    };
    swarm = await createSwarm({ hosters: NODES, attestors: 0, wrapAll });
    return swarm;
  }

  function forgetful(chain: Chain): Chain {
    const gone = Object.assign(new Error('pruned'), { code: 'CHAIN_STATE_DISCARDED' });
    const demand = (at: Hash | undefined): void => {
      if (at !== undefined && forgotten.has(at)) throw gone;
    };
    return {
      ...chain,
      async subnet(id, at, signal) {
        demand(at);
        return chain.subnet(id, at, signal);
      },
      async nodes(id, at, signal) {
        demand(at);
        return chain.nodes(id, at, signal);
      },
      async proveRoster(id, epoch, at, signal) {
        demand(at);
        return chain.proveRoster(id, epoch, at, signal);
      },
    };
  }

  /** Stops the late one before it has read anything of live epochs, and starts it in the score window of one with only newer states at hand. */
  async function comeLate({ chain, firstEpoch, nodes, runTo }: Swarm): Promise<SwarmNode> {
    const late = nodes[LATE - 1] ?? assert.fail();
    await late.kill();
    await runTo(firstEpoch + 2, 15);
    for (let block = 0; block <= chain.best.number; block++) {
      forgotten.add((await chain.chain.blockHash(block as BlockNumber)) ?? assert.fail());
    }
    late.events.length = 0;
    late.start();
    return late;
  }

  it('votes by the rosters that its peers prove, though one of them lies', async () => {
    const of = await start((answer, peer) => (peer === 1 ? altered(answer) : answer));
    const late = await comeLate(of);
    const epoch = (of.firstEpoch + 3) as Epoch;
    await of.runTo(epoch, 8);
    const elected = await of.chain.chain.electedValidator(of.subnet, epoch);
    assert.notEqual(elected, LATE, 'the seed elects another one');
    assert.ok(late.events.some((event) => event.type === 'attested' && event.epoch === epoch));
    assert.deepEqual(
      late.events.filter(({ type }) => type === 'abstained'),
      [],
    );
  });

  it('believes nobody who cannot prove it', async () => {
    const nothing = encodeCbor({ v: 1 });
    const of = await start((answer, peer) => (peer === 1 ? altered(answer) : nothing));
    const late = await comeLate(of);
    await of.runTo(of.firstEpoch + 3, 8);
    const failures = late.events.flatMap((event) => (event.type === 'failed' ? [event.code] : []));
    assert.ok(failures.includes('CHAIN_STATE_DISCARDED'), failures.join());
    assert.ok(!late.events.some(({ type }) => type === 'attested' || type === 'proposed'));
  });
});

/** As the peer would like the roster to be. */
function altered(answer: Uint8Array): Uint8Array {
  const proof = decodeProof(answer);
  const last = proof?.nodes.at(-1);
  if (proof === undefined || last === undefined) return answer;
  return encodeProof({ ...proof, nodes: proof.nodes.with(-1, last.with(10, (last[10] as number) ^ 1)) }) ?? answer;
}
