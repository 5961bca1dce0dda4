// Adversaries among honest nodes for some epochs: the real validator on the twins of chain, overlay and journal, block by block. Heads
// come late to more than half of the nodes, gossip gets lost. The same seed gives the same run.

import assert from 'node:assert/strict';
import type { Head } from '../../src/chain/types.ts';
import type { Epoch, NodeId } from '../../src/types/ids.ts';
import { u32le, utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { createSwarm, type Swarm, type SwarmOptions } from '../unit/validator/swarm.ts';
import { ADVERSARIES, type Adversary, type Settled } from './adversaries.ts';

const HOSTERS = 6;
const ATTESTORS = 3;
const EPOCHS = 5;
/** Share of gossip messages lost on each hop; pulls make up for it. */
const GOSSIP_LOSS = 0.1;

export interface Played {
  readonly settled: readonly Settled[];
}

/** One adversary, as often as it says. Throws what does not hold. */
export async function playAdversary(adversary: Adversary, seed: number): Promise<Played> {
  const cast = new Map(adversary.faulty.map((node) => [node, adversary]));
  const { settled, misdeeds } = await play({ cast, seed, restarts: false });
  const isProposed = ({ proposer }: Settled): boolean => cast.has(proposer);
  for (const one of settled) (isProposed(one) ? adversary.whenProposing : adversary.expect)?.(one);
  const mayRest = adversary.engine !== undefined || (adversary.onlyProposes === true && !settled.some(isProposed));
  assert.ok(misdeeds > 0 || mayRest, 'nothing bad was done');
  return { settled };
}

/** A bad hoster and a bad attestor at once, picked by the seed, while in each epoch an honest node is killed and started again a block later. */
export async function playPair(seed: number): Promise<Played & { readonly names: readonly [string, string] }> {
  const [hoster, attestor] = [6, 9];
  const plays = (node: number) => (one: [string, Adversary]) => one[1].faulty.includes(node) && !one[1].shardsOf;
  const entries = Object.entries(ADVERSARIES);
  const first = pick(entries.filter(plays(hoster)), seed, 'hoster');
  const second = pick(entries.filter(plays(attestor)), seed, 'attestor');
  const cast = new Map([
    [hoster, first[1]],
    [attestor, second[1]],
  ]);
  const { settled } = await play({ cast, seed, restarts: true });
  return { settled, names: [first[0], second[0]] };
}

interface Scene {
  /** Who misbehaves how. */
  readonly cast: ReadonlyMap<number, Adversary>;
  readonly seed: number;
  readonly restarts: boolean;
}

/** Plays the epochs and checks what holds whoever misbehaves: honest nodes agree, what they propose is accepted, and they are paid. */
async function play({ cast, seed, restarts }: Scene): Promise<Played & { readonly misdeeds: number }> {
  let misdeeds = 0;
  const did = (): void => {
    misdeeds += 1;
  };
  const wrapNode =
    (node: number): Wrap =>
    (base, swarm) => {
      const deps = lags(node, seed) ? lagging(base) : base;
      return cast.get(node)?.behaviour?.(deps, { swarm, node: node as NodeId, did }) ?? deps;
    };
  const engines = [...cast].flatMap(([node, { engine }]) =>
    engine === undefined ? [] : [[node - 1, engine] as const],
  );
  const shardsOf = [...cast.values()].find((one) => one.shardsOf !== undefined)?.shardsOf;
  const swarm = await createSwarm({
    hosters: HOSTERS,
    attestors: ATTESTORS,
    seed,
    gossipLoss: GOSSIP_LOSS,
    engines: Object.fromEntries(engines),
    ...(shardsOf === undefined ? {} : { shardsOf }),
    wrap: Object.fromEntries(Array.from({ length: HOSTERS + ATTESTORS }, (_, i) => [i, wrapNode(i + 1)])),
  });
  const restarted = new Map<number, number>();
  try {
    for (let epoch = swarm.firstEpoch as number; epoch < swarm.firstEpoch + EPOCHS; epoch++) {
      if (restarts) restarted.set(epoch, await restartOne(swarm, epoch, cast, seed));
    }
    await swarm.runTo(swarm.firstEpoch + EPOCHS, 1);
    const settled = await settledOf(swarm);
    // A lagging node that is away for a block may reveal too late for the others.
    for (const one of settled)
      await judge(one, { faulty: new Set(cast.keys()), away: restarted.get(one.epoch - 1) }, swarm);
    return { settled, misdeeds };
  } finally {
    await swarm.stop();
  }
}

async function restartOne(swarm: Swarm, epoch: number, cast: Scene['cast'], seed: number): Promise<number> {
  const honest = swarm.nodes.filter(({ id }) => !cast.has(id));
  const node = pick(honest, seed, `node ${epoch}`);
  const offset = pick([...Array(18).keys()], seed, `offset ${epoch}`);
  await swarm.runTo(epoch, offset);
  await node.kill();
  await swarm.runTo(epoch, offset + 1);
  node.start();
  return node.id;
}

/** The same for the same seed and word. */
function pick<T>(from: readonly T[], seed: number, word: string): T {
  const [a = 0, b = 0] = sha256(u32le(seed), utf8(word));
  return from[(a * 256 + b) % from.length] as T;
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

interface Known {
  readonly faulty: ReadonlySet<number>;
  /** Who was restarted in the epoch that was scored. */
  readonly away: number | undefined;
}

async function judge(settled: Settled, { faulty, away }: Known, swarm: Swarm): Promise<void> {
  const { epoch, outcome, proposer, scores } = settled;
  if (faulty.has(proposer)) return;
  assert.equal(outcome, 'Accepted', `epoch ${epoch}, proposed by node ${proposer}`);
  const honest = swarm.nodes.filter(({ id }) => !faulty.has(id));
  const attests = (await swarm.submission(epoch))?.attests.map(({ nodeId }) => Number(nodeId)) ?? [];
  for (const node of honest) {
    const said = node.events.filter((event) => event.type === 'abstained' && event.epoch === epoch);
    assert.ok(attests.includes(node.id), `node ${node.id} did not attest in epoch ${epoch}: ${JSON.stringify(said)}`);
    const isPaid = (scores.get(node.id) ?? 0n) > 0n;
    assert.ok(isPaid || node.id === away, `honest node ${node.id} has nothing in epoch ${epoch}`);
  }
}
