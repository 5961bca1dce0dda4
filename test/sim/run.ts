// One adversary among honest nodes for some epochs: the real validator on the twins of chain, overlay and journal, block by block. Heads
// come late to more than half of the nodes, gossip gets lost. The same seed gives the same run.

import assert from 'node:assert/strict';
import type { Head } from '../../src/chain/types.ts';
import type { Epoch, NodeId } from '../../src/types/ids.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { createSwarm, type Swarm, type SwarmOptions } from '../unit/validator/swarm.ts';
import type { Adversary, Settled } from './adversaries.ts';

const HOSTERS = 6;
const ATTESTORS = 3;
const EPOCHS = 5;
/** Share of gossip messages lost on each hop; pulls make up for it. */
const GOSSIP_LOSS = 0.1;

export interface Played {
  readonly settled: readonly Settled[];
}

/** Throws what does not hold. */
export async function playAdversary(adversary: Adversary, seed: number): Promise<Played> {
  const faulty = new Set(adversary.faulty);
  const { behaviour, engine, shardsOf } = adversary;
  const indexes = adversary.faulty.map((node) => node - 1);
  let misdeeds = 0;
  const did = (): void => {
    misdeeds += 1;
  };
  const wrapNode =
    (node: number): Wrap =>
    (base, swarm) => {
      const deps = lags(node, seed) ? lagging(base) : base;
      const isFaulty = behaviour !== undefined && faulty.has(node);
      return isFaulty ? behaviour(deps, { swarm, node: node as NodeId, did }) : deps;
    };
  const swarm = await createSwarm({
    hosters: HOSTERS,
    attestors: ATTESTORS,
    seed,
    gossipLoss: GOSSIP_LOSS,
    ...(engine === undefined ? {} : { engines: Object.fromEntries(indexes.map((i) => [i, engine])) }),
    ...(shardsOf === undefined ? {} : { shardsOf }),
    wrap: Object.fromEntries(Array.from({ length: HOSTERS + ATTESTORS }, (_, i) => [i, wrapNode(i + 1)])),
  });
  try {
    await swarm.runTo(swarm.firstEpoch + EPOCHS, 1);
    const settled = await settledOf(swarm);
    for (const one of settled) await judge(one, adversary, faulty, swarm);
    const wasElected = settled.some(({ proposer }) => faulty.has(proposer));
    const mayRest = engine !== undefined || (adversary.onlyProposes === true && !wasElected);
    assert.ok(misdeeds > 0 || mayRest, 'nothing bad was done');
    return { settled };
  } finally {
    await swarm.stop();
  }
}

type Wrap = NonNullable<NonNullable<SwarmOptions['wrap']>[number]>;

/** Five of nine hear of each block when the next one comes. */
function lags(node: number, seed: number): boolean {
  return (node + seed) % 9 < 5;
}

function lagging(deps: ValidatorDeps): ValidatorDeps {
  const { chain } = deps;
  async function* heads(kind: 'best' | 'finalized', signal: AbortSignal): AsyncGenerator<Head> {
    let held: Head | undefined;
    for await (const head of chain.heads(kind, signal)) {
      if (held !== undefined) yield held;
      held = head;
    }
  }
  return { ...deps, chain: { ...chain, heads } };
}

/** Every epoch in which scores of a live epoch were due. */
async function settledOf(swarm: Swarm): Promise<readonly Settled[]> {
  const epochs = Array.from({ length: EPOCHS - 1 }, (_, i) => (swarm.firstEpoch + 1 + i) as Epoch);
  return Promise.all(
    epochs.map(async (epoch) => ({
      epoch,
      scores: await swarm.scores(epoch),
      outcome: (await swarm.chain.chain.result(swarm.subnet, epoch))?.outcome ?? 'none',
      proposer: Number(await swarm.chain.chain.electedValidator(swarm.subnet, epoch)),
    })),
  );
}

async function judge(settled: Settled, adversary: Adversary, faulty: ReadonlySet<number>, swarm: Swarm): Promise<void> {
  const { epoch, outcome, proposer, scores } = settled;
  if (faulty.has(proposer)) return adversary.whenProposing?.(settled);
  assert.equal(outcome, 'Accepted', `epoch ${epoch}, proposed by node ${proposer}`);
  const honest = swarm.nodes.filter(({ id }) => !faulty.has(id));
  const attests = (await swarm.submission(epoch))?.attests.map(({ nodeId }) => Number(nodeId)) ?? [];
  for (const node of honest) {
    const said = node.events.filter((event) => event.type === 'abstained' && event.epoch === epoch);
    assert.ok(attests.includes(node.id), `node ${node.id} did not attest in epoch ${epoch}: ${JSON.stringify(said)}`);
    assert.ok((scores.get(node.id) ?? 0n) > 0n, `honest node ${node.id} has nothing in epoch ${epoch}`);
  }
  adversary.expect(settled);
}
