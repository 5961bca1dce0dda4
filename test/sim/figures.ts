// What seasons came to, and the bars that it must stay within.

import { ADVERSARIES } from './adversaries.ts';
import { CONDITIONS } from './conditions.ts';
import type { Season, Settled } from './play.ts';

export interface Figures {
  readonly name: string;
  readonly seeds: readonly number[];
  readonly epochs: number;
  /** Epochs proposed by an honest node that nothing kept from it, and how many of these proposals reached 66 %. */
  readonly honest: number;
  readonly reached: number;
  /** Proposals that do not follow from the evidence, and how many of these reached 66 %. */
  readonly forged: number;
  readonly forgedReached: number;
  /** Pay of one who plays it, against the mean of honest nodes of its role, over the epochs that paid; undefined when nobody plays. */
  readonly reward: number | undefined;
  /** Share of all pay that goes to those who play it. */
  readonly share: number;
  /** How often an honest hoster got nothing in an epoch that paid; not counted under conditions, which may cost it that. */
  readonly unpaid: number;
  readonly misdeeds: number;
  readonly failed: readonly string[];
  /** Of each miss: seed, epoch and reasons. */
  readonly missed: readonly string[];
}

/** Seasons of one name. */
export function figuresOf(seasons: readonly Season[]): Figures {
  const all = seasons.flatMap((season) => season.settled.map((settled) => ({ season, settled })));
  const honest = all.filter(({ season, settled }) => isHonest(season, settled));
  const forged = all.filter(({ settled }) => settled.forged);
  const paid = all.filter(({ settled }) => settled.outcome === 'Accepted');
  const reached = honest.filter(({ settled }) => settled.reached);
  return {
    name: seasons[0]?.scene.name ?? '',
    seeds: seasons.map(({ scene }) => scene.seed),
    epochs: all.length,
    honest: honest.length,
    reached: reached.length,
    forged: forged.length,
    forgedReached: forged.filter(({ settled }) => settled.reached).length,
    reward: rewardOf(paid),
    share: mean(paid.map(({ season, settled }) => shareOf(settled, (node) => season.gang.includes(node)))),
    unpaid: paid.reduce((sum, { season, settled }) => sum + unpaidIn(season, settled), 0),
    misdeeds: seasons.reduce((sum, { misdeeds }) => sum + misdeeds, 0),
    failed: seasons.flatMap(({ scene, failed }) => failed.map((what) => `seed ${scene.seed}: ${what}`)),
    missed: honest
      .filter(({ settled }) => !settled.reached)
      .map(({ season, settled }) => `seed ${season.scene.seed}, epoch ${settled.epoch}: ${toldOf(settled)}`),
  };
}

function toldOf({ proposer, outcome, abstained }: Settled): string {
  return `node ${proposer}, ${outcome}; ${abstained.join(', ')}`;
}

function isHonest({ gang, hindered }: Season, { epoch, proposer }: Settled): boolean {
  return !gang.includes(proposer) && hindered.get(epoch)?.has(proposer) !== true;
}

function unpaidIn({ gang, hosters, scene }: Season, { scores }: Settled): number {
  if (scene.name in CONDITIONS) return 0;
  return range(hosters).filter((node) => !gang.includes(node) && !scores.has(node)).length;
}

/** Share of an epoch's pay that goes to some nodes: the chain divides by the sum of all scores. */
export function shareOf({ scores }: Settled, isOne: (node: number) => boolean): number {
  let [ours, all] = [0n, 0n];
  for (const [node, score] of scores) {
    all += score;
    if (isOne(node)) ours += score;
  }
  return all === 0n ? 0 : Number(ours) / Number(all);
}

function rewardOf(paid: readonly { readonly season: Season; readonly settled: Settled }[]): number | undefined {
  if (paid.every(({ season }) => season.gang.length === 0)) return undefined;
  let [ours, theirs] = [0, 0];
  for (const { season, settled } of paid) {
    const { gang, hosters, scene } = season;
    const isHoster = (node: number): boolean => node <= hosters;
    const sameRole = (node: number): boolean => isHoster(node) === isHoster(gang[0] ?? 0);
    const others = range(scene.nodes).filter((node) => !gang.includes(node));
    // When all attestors play, an honest hoster is the only measure there is.
    const fellows = others.some(sameRole) ? others.filter(sameRole) : others;
    ours += shareOf(settled, (node) => gang.includes(node)) / gang.length;
    theirs += shareOf(settled, (node) => fellows.includes(node)) / fellows.length;
  }
  return theirs === 0 ? 0 : ours / theirs;
}

function range(nodes: number): readonly number[] {
  return Array.from({ length: nodes }, (_, i) => i + 1);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Honest proposals that must reach 66 %. */
const LEAST_REACHED = 0.999;
/** Rounding of the figures themselves. */
const MOST_GAIN = 1e-6;
/** What these may earn of an honest node's reward. */
const MOST_REWARD = 0.01;
const EARN_NOTHING: readonly string[] = [
  'equivocator',
  'late',
  'withholder',
  'copier',
  'outlier',
  'colluder',
  'quantizer',
];

/** The seats of the honest season against which a gain is measured; `undefined` when what they serve is not the same. */
export function gainOf(
  figures: Figures,
  honestSeasons: readonly Season[],
  gang: readonly number[],
): number | undefined {
  if (gang.length === 0 || ADVERSARIES[figures.name]?.shardsOf !== undefined) return undefined;
  const paid = honestSeasons.flatMap(({ settled }) => settled).filter(({ outcome }) => outcome === 'Accepted');
  const usual = mean(paid.map((settled) => shareOf(settled, (node) => gang.includes(node))));
  return usual === 0 ? undefined : figures.share / usual - 1;
}

/** Which bars a name breaks, in words. */
export function brokenBars(figures: Figures, gain: number | undefined): readonly string[] {
  const { name, honest, reached, forgedReached, reward, unpaid, failed, misdeeds } = figures;
  const plays = ADVERSARIES[name];
  const broken: string[] = [];
  if (reached < LEAST_REACHED * honest) broken.push(`${reached} of ${honest} honest proposals reached 66 %`);
  if (forgedReached > 0) broken.push(`${forgedReached} forged proposals reached 66 %`);
  if (EARN_NOTHING.includes(name) && (reward ?? 0) > MOST_REWARD)
    broken.push(`paid ${percent(reward)} of an honest node`);
  if ((gain ?? 0) > MOST_GAIN) broken.push(`gains ${percent(gain)}`);
  if (unpaid > 0) broken.push(`${unpaid} times an honest hoster got nothing`);
  if (failed.length > 0) broken.push(`${failed.length} failures: ${failed[0]}`);
  if (plays?.behaviour !== undefined && misdeeds === 0) broken.push('nothing bad was done');
  return broken;
}

export function percent(value: number | undefined, digits = 2): string {
  return value === undefined ? '-' : `${(100 * value).toFixed(digits)} %`;
}
