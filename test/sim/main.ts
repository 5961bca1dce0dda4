// `npm run sim`: adversaries and conditions, season by season, each with its seed; what breaks a bar is told with what plays it again.
// `--table FILE` writes the figures of all as a page (docs/simulation.md).

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ADVERSARIES } from './adversaries.ts';
import { CONDITIONS } from './conditions.ts';
import { brokenBars, type Figures, figuresOf, gainOf } from './figures.ts';
import { gangOf, type Scene, type Season } from './play.ts';
import { createStage } from './seasons.ts';
import { writeTable } from './table.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '10' },
    epochs: { type: 'string', default: '30' },
    season: { type: 'string', default: '10' },
    loss: { type: 'string', default: '0.05' },
    delay: { type: 'string', default: '0.75' },
    adversary: { type: 'string', multiple: true },
    share: { type: 'string', default: String(1 / 3) },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    table: { type: 'string' },
  },
});

/** An honest baseline comes first: gains are measured against it. */
const NAMES = values.adversary ?? ['honest', ...Object.keys(ADVERSARIES), ...Object.keys(CONDITIONS)];
const HONEST = 'honest';
const epochs = Number(values.epochs);
const season = Math.min(epochs, Number(values.season));
const base: Omit<Scene, 'name' | 'seed'> = {
  nodes: Number(values.nodes),
  epochs: season,
  loss: Number(values.loss),
  delay: Number(values.delay),
  share: Number(values.share),
};
const firstSeed = Number(values.seed);
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function playAll(name: string): Promise<readonly Season[]> {
  const count = Math.ceil(epochs / season);
  return stage.play(Array.from({ length: count }, (_, i) => ({ ...base, name, seed: firstSeed + i })));
}

function again(name: string, { seeds }: Figures): string {
  const { nodes, epochs: of, loss, delay, share } = base;
  return `npm run sim -- --adversary ${name} --nodes ${nodes} --epochs ${of} --loss ${loss} --delay ${delay} --share ${share} --seed ${seeds[0]}`;
}

const threads = Number(values.threads);
const stage = createStage(threads);
const startedAt = performance.now();
let honest: readonly Season[] | undefined;
/** After each name, so that a run that is cut off has told what it knows. */
function tell(): void {
  if (values.table === undefined) return;
  const command = `npm run sim -- ${process.argv.slice(2).join(' ')}`;
  const minutes = (performance.now() - startedAt) / 60_000;
  writeTable(values.table, rows, {
    ...base,
    command,
    minutes,
    threads,
    gang: gangOf(base),
    machine: cpus()[0]?.model ?? '',
  });
}

const rows: { figures: Figures; gain: number | undefined; broken: readonly string[] }[] = [];
for (const name of NAMES) {
  const seasons = await playAll(name);
  if (name === HONEST) honest = seasons;
  const figures = figuresOf(seasons);
  const gain = honest === undefined ? undefined : gainOf(figures, honest, seasons[0]?.gang ?? []);
  const broken = brokenBars(figures, gain);
  rows.push({ figures, gain, broken });
  const { honest: proposed, reached, forged, forgedReached, reward, failed } = figures;
  say(
    `${name.padEnd(13)} ${figures.epochs} epochs  honest ${reached}/${proposed}  forged ${forgedReached}/${forged}  reward ${reward?.toFixed(4)}  gain ${gain?.toFixed(5)}  failed ${failed.length}`,
  );
  for (const miss of figures.missed) say(`  not reached: ${miss}`);
  tell();
  for (const what of broken) say(`  BROKEN ${what}; again: ${again(name, figures)}`);
}
await stage.close();
process.exitCode = rows.every(({ broken }) => broken.length === 0) ? 0 : 1;
