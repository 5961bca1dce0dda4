// The long runs behind docs/simulation.md: each says what it found, writes it into a page if one is named, and answers the exit code.

import { cpus } from 'node:os';
import { ADVERSARIES } from './adversaries.ts';
import { CONDITIONS } from './conditions.ts';
import { playCrashes } from './crashes.ts';
import { brokenBars, figuresOf, gainOf } from './figures.ts';
import { playKills } from './kills.ts';
import { playLoopback } from './loopback.ts';
import { admitMutants } from './mutants.ts';
import { gangOf, type Scene, type Season } from './play.ts';
import { createStage } from './seasons.ts';
import { putInto, type Row, writeTable } from './table.ts';

export interface Target {
  /** What was typed. */
  readonly command: string;
  readonly file: string | undefined;
}

export interface AdversaryRun {
  /** Default: nobody, every adversary, every condition. */
  readonly names: readonly string[] | undefined;
  /** Scored epochs of each. */
  readonly epochs: number;
  readonly threads: number;
  /** Of each season; the first seed. */
  readonly scene: Omit<Scene, 'name'>;
}

/** Gains are measured against it, so it comes first. */
const HONEST = 'honest';
const ALL_NAMES = [HONEST, ...Object.keys(ADVERSARIES), ...Object.keys(CONDITIONS)];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Says lines, and puts them into the page's part of that name. */
function report(name: string, { command, file }: Target, lines: readonly string[]): void {
  for (const line of lines) say(line);
  if (file !== undefined) putInto(file, name, [`    ${command}`, '', ...lines.map((line) => `- ${line}`)]);
}

export async function runAdversaries(run: AdversaryRun, target: Target): Promise<number> {
  const { names = ALL_NAMES, epochs, threads, scene } = run;
  const unknown = names.flatMap((name) => name.split('+')).find((name) => !ALL_NAMES.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`no adversary ${unknown}; there are ${ALL_NAMES.join(', ')}\n`);
    return 2;
  }
  const stage = createStage(threads);
  const started = performance.now();
  const seasons = Math.ceil(epochs / scene.epochs);
  const rows: Row[] = [];
  let honest: readonly Season[] | undefined;
  for (const name of names) {
    const scenes = Array.from({ length: seasons }, (_, i) => ({ ...scene, name, seed: scene.seed + i }));
    const played = await stage.play(scenes);
    if (name === HONEST) honest = played;
    const figures = figuresOf(played);
    const gain = honest === undefined ? undefined : gainOf(figures, honest, played[0]?.gang ?? []);
    const row = { figures, gain, broken: brokenBars(figures, gain) };
    rows.push(row);
    tell(row, scene, epochs);
    // After each name, so that a run that is cut off has told what it knows.
    const minutes = (performance.now() - started) / 60_000;
    const setting = { ...scene, command: target.command, minutes, threads, gang: gangOf(scene), machine: machine() };
    if (target.file !== undefined) writeTable(target.file, rows, setting);
  }
  await stage.close();
  return rows.every(({ broken }) => broken.length === 0) ? 0 : 1;
}

function machine(): string {
  return cpus()[0]?.model ?? 'unknown';
}

function tell({ figures, gain, broken }: Row, scene: AdversaryRun['scene'], epochs: number): void {
  const { name, honest, reached, forged, forgedReached, reward, unpaid, failed, missed, seeds } = figures;
  const shown = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(5));
  say(
    `${name.padEnd(13)} ${figures.epochs} epochs  honest ${reached}/${honest}  forged ${forgedReached}/${forged}  reward ${shown(reward)}  gain ${shown(gain)}  unpaid ${unpaid}  failed ${failed.length}`,
  );
  for (const miss of missed) say(`  not reached: ${miss}`);
  const { nodes, loss, delay, share } = scene;
  const again = `npm run sim -- --adversary honest --adversary ${name} --nodes ${nodes} --epochs ${epochs} --loss ${loss} --delay ${delay} --share ${share} --seed ${seeds[0]}`;
  for (const what of broken) say(`  BROKEN ${what}; again: ${again}`);
}

export function runMutants(count: number, seed: number, target: Target): number {
  const { mutants, outcomes, thrown, held, bound, before, most, seconds } = admitMutants(count, seed);
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  report('mutants', target, [
    `${mutants} mutants from seed ${seed} in ${Math.round(seconds)} s; thrown: ${thrown.length}`,
    `verdicts: ${sorted.map(([name, times]) => `${name} ${times}`).join(', ')}`,
    `records held at most ${held} (limits allow ${bound}); memory behind the first tenth ${before.toFixed(1)} MiB, later at most ${most.toFixed(1)} MiB`,
    ...thrown.slice(0, 5),
  ]);
  return thrown.length === 0 && held <= bound ? 0 : 1;
}

export async function runCrashes(count: number, seed: number, target: Target): Promise<number> {
  const { crashes, at, twice, failed, settled, accepted, hit, paid } = await playCrashes(count, seed);
  report('crashes', target, [
    `${crashes} crashes from seed ${seed}; two payloads for one slot: ${twice.length}; failures: ${failed.length}`,
    `died at ${Object.entries(at)
      .map(([name, times]) => `${name} ${times}`)
      .join(', ')}`,
    `${accepted} of ${settled} epochs accepted; somebody died in ${hit} of them, and was paid for ${paid} of these all the same`,
    ...[...twice, ...failed].slice(0, 5),
  ]);
  return twice.length + failed.length === 0 && accepted === settled ? 0 : 1;
}

export async function runKills(count: number, seed: number, target: Target): Promise<number> {
  const { kills, told, slots, twice, failed, done } = await playKills(count, seed);
  report('kills', target, [
    `${kills} lives ended by SIGKILL while they signed, seed ${seed}; ${told} payloads told for ${slots} slots`,
    `two payloads for one slot: ${twice.length}; other failures: ${failed.length}; the last life ${done ? 'came to its end' : 'did not come to its end'}`,
    ...[...twice, ...failed].slice(0, 5),
  ]);
  return twice.length + failed.length === 0 && done && kills >= count ? 0 : 1;
}

/** A fifth of the nodes is killed half way. */
const KILLED = 0.2;

export async function runLoopback(nodes: number, epochs: number, target: Target): Promise<number> {
  const found = await playLoopback({ nodes, epochs, killed: KILLED, say });
  const { identical, differences, proposed, proven, unproven, accepted, removed, killed, failed, seconds } = found;
  const gone = removed === undefined ? 'kept its seat' : `lost its seat before epoch ${removed}`;
  report('loopback', target, [
    `${nodes} nodes, ${found.epochs} epochs in ${Math.round(seconds)} s; nodes ${killed.join(', ')} killed half way`,
    `all that ran held the same records at the close of every window in ${identical} of ${found.epochs} epochs`,
    `of ${proposed} proposals by honest nodes ${proven} name the two faces of the equivocator, are attested by all that ran and pay it nothing; it ${gone}; ${accepted} epochs accepted in all (the equivocator's own included)`,
    `failures: ${failed.length}`,
    ...[...differences, ...unproven, ...failed].slice(0, 5),
  ]);
  return identical === found.epochs && unproven.length === 0 ? 0 : 1;
}
