// Plays seasons: adversaries among honest nodes for some epochs, the real validator on the twins of chain, overlay and journal. A season is
// short, because the chain removes who earns nothing for long. The same seed gives the same season, but for the salts.

import { firstBlock } from '../../src/consensus/phase.ts';
import { verifySignature } from '../../src/p2p/identity.ts';
import type { Epoch, NodeId } from '../../src/types/ids.ts';
import { createSwarm, type Swarm, type SwarmNode } from '../unit/validator/swarm.ts';
import { ADVERSARIES, type Adversary } from './adversaries.ts';
import { CONDITIONS, type Condition } from './conditions.ts';
import { createWorld, verifyingOnce } from './network.ts';

export interface Scene {
  /** An adversary, a condition, or some joined by `+`; `honest` is nobody. */
  readonly name: string;
  readonly nodes: number;
  /** Scored epochs of a season. */
  readonly epochs: number;
  readonly loss: number;
  /** Blocks. */
  readonly delay: number;
  /** Of adversaries, at most a third. */
  readonly share: number;
  readonly seed: number;
}

/** One settled epoch. */
export interface Settled {
  readonly epoch: number;
  readonly proposer: number;
  readonly outcome: string;
  /** Whether validators of 66 % of the weight attested. */
  readonly reached: boolean;
  /** The proposer wrote what does not follow. */
  readonly forged: boolean;
  /** Node id -> score. */
  readonly scores: ReadonlyMap<number, bigint>;
  /** Why honest nodes abstained at last. */
  readonly abstained: readonly string[];
}

export interface Season {
  readonly scene: Scene;
  readonly settled: readonly Settled[];
  /** Ids of those who played it. */
  readonly gang: readonly number[];
  readonly hosters: number;
  readonly misdeeds: number;
  /** What an honest node's program threw or could not do: `what: code`. */
  readonly failed: readonly string[];
  /** Per epoch, who was kept from its duties by a condition. */
  readonly hindered: ReadonlyMap<number, ReadonlySet<number>>;
}

const THRESHOLD = 66n * 10n ** 16n;
/** Small, for speed: outputs have 256 values. */
const CHALLENGE_TOKENS = 4;
const verifyOnce = verifyingOnce(verifySignature);

/** Attestors among so many nodes. */
export function attestorsOf(nodes: number): number {
  return Math.max(1, Math.round(nodes * 0.3));
}

/** How many nodes play: the share of all, below a third as the protocol wants it. */
export function gangOf({ nodes, share }: Pick<Scene, 'nodes' | 'share'>): number {
  return Math.min(Math.floor(nodes * share + 1e-9), Math.floor((nodes - 1) / 3));
}

interface Cast {
  readonly adversaries: readonly Adversary[];
  readonly condition: Condition | undefined;
  /** Node id -> what it plays. */
  readonly parts: ReadonlyMap<number, Adversary>;
}

function castOf(scene: Scene): Cast {
  const names = scene.name.split('+').filter((name) => name !== 'honest');
  const adversaries = names.flatMap((name) => ADVERSARIES[name] ?? []);
  const condition = names.map((name) => CONDITIONS[name]).find((one) => one !== undefined);
  const unknown = names.find((name) => !(name in ADVERSARIES) && !(name in CONDITIONS));
  if (unknown !== undefined) throw new RangeError(`no adversary ${unknown}`);
  const hosters = scene.nodes - attestorsOf(scene.nodes);
  const free = { hoster: hosters, attestor: scene.nodes };
  const parts = new Map<number, Adversary>();
  const wanted = adversaries.some(({ alone }) => alone) ? adversaries.length : gangOf(scene);
  for (let i = 0; i < wanted && adversaries.length > 0; i++) {
    const adversary = adversaries[i % adversaries.length] as Adversary;
    parts.set(free[adversary.role], adversary);
    free[adversary.role] -= 1;
  }
  return { adversaries, condition, parts };
}

/** Plays one season. Throws only what is wrong with the simulation itself. */
export async function playSeason(scene: Scene): Promise<Season> {
  const { adversaries, condition, parts } = castOf(scene);
  const gang = [...parts.keys()].sort((a, b) => a - b) as NodeId[];
  const attestors = attestorsOf(scene.nodes);
  const hosters = scene.nodes - attestors;
  const forged = new Set<number>();
  const hindrance = condition?.(scene);
  const world = createWorld({ ...scene, stuck: (node, block) => hindrance?.stuck?.(node, block) ?? 0 });
  let misdeeds = 0;
  const swarm = await createSwarm({
    hosters,
    attestors,
    seed: scene.seed,
    gossipLoss: scene.loss,
    audits: adversaries.some(({ audits }) => audits),
    ...(hindrance?.chain === undefined ? {} : { chain: hindrance.chain }),
    spare: hindrance?.spare ?? 0,
    challengeTokens: CHALLENGE_TOKENS,
    engines: Object.fromEntries(
      [...parts].flatMap(([node, { engine }]) => (engine === undefined ? [] : [[node - 1, engine(node)] as const])),
    ),
    ...shardsOf(adversaries, parts),
    wrapAll: (deps, node, all) => {
      const seen = world.wrap({ ...deps, verify: verifyOnce }, node);
      const part = parts.get(node)?.behaviour;
      if (part === undefined) return seen;
      const own = gang.filter((one) => parts.get(one) === parts.get(node));
      const did = (): void => {
        misdeeds += 1;
      };
      const me = {
        swarm: all,
        world,
        node: node as NodeId,
        gang: own,
        did,
        forged: (epoch: number) => void forged.add(epoch),
      };
      return part(seen, me);
    },
  });
  const failed = failuresOf(swarm, gang);
  try {
    const last = swarm.firstEpoch + scene.epochs + 1;
    const end = firstBlock(last as Epoch, swarm.clock);
    for (let block = swarm.chain.best.number + 1; block <= end; block++) {
      await hindrance?.before?.(swarm, block);
      await swarm.chain.runTo(block);
      await world.passBlock(block);
    }
    const settled: Settled[] = [];
    for (let epoch = swarm.firstEpoch + 1; epoch < last; epoch++)
      settled.push(await settledOf(swarm, epoch, gang, forged));
    return {
      scene,
      settled,
      gang,
      hosters,
      misdeeds,
      failed,
      hindered: hindrance?.hindered ?? new Map(),
    };
  } finally {
    const stopped = swarm.stop();
    world.end();
    await stopped;
  }
}

function shardsOf(adversaries: readonly Adversary[], parts: Cast['parts']) {
  const of = adversaries.find((one) => one.shardsOf !== undefined)?.shardsOf;
  return of === undefined ? {} : { shardsOf: (i: number) => of(parts.has(i + 1)) };
}

/** What fails at honest nodes, as it comes. */
function failuresOf(swarm: Swarm, gang: readonly number[]): readonly string[] {
  const failed: string[] = [];
  for (const node of swarm.nodes) {
    if (gang.includes(node.id)) continue;
    node.validator.on((event) => {
      if (event.type === 'failed') failed.push(`${event.what}: ${event.code}: ${event.message}`);
    });
  }
  return failed;
}

async function settledOf(
  swarm: Swarm,
  epoch: number,
  gang: readonly number[],
  forged: ReadonlySet<number>,
): Promise<Settled> {
  const result = await swarm.chain.chain.result(swarm.subnet, epoch as Epoch);
  const submitted = await swarm.submission(epoch);
  return {
    epoch,
    proposer: Number(await swarm.chain.chain.electedValidator(swarm.subnet, epoch as Epoch)),
    outcome: result?.outcome ?? 'none',
    reached: submitted !== undefined && (result?.attestationRatio ?? 0n) >= THRESHOLD,
    forged: forged.has(epoch),
    scores: new Map((submitted?.scores ?? []).map(({ nodeId, score }) => [Number(nodeId), score])),
    abstained: swarm.nodes.filter(({ id }) => !gang.includes(id)).flatMap((node) => abstention(node, epoch)),
  };
}

function abstention({ id, events }: SwarmNode, epoch: number): readonly string[] {
  const last = events.findLast(
    (event) => (event.type === 'abstained' || event.type === 'attested') && event.epoch === epoch,
  );
  return last?.type === 'abstained' ? [`${id} ${last.code}`] : [];
}
