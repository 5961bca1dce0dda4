// `npm run sim`: every adversary and some pairs, some seeds each; what fails is told with its seed. `npm run sim -- --only late --seed 7 --seeds 1`
// plays it again.

import { parseArgs } from 'node:util';
import { ADVERSARIES } from './adversaries.ts';
import { type Played, playAdversary, playPair } from './run.ts';

const PAIR = 'pair';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '3' },
  },
});
const first = Number(values.seed);
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => first + i);
const names = [...Object.keys(ADVERSARIES), PAIR];
const chosen = names.filter((name) => values.only === undefined || values.only === name);

function say(stream: NodeJS.WriteStream, line: string): void {
  stream.write(`${line}\n`);
}

async function play(name: string, seed: number): Promise<Played & { readonly names?: readonly string[] }> {
  const adversary = ADVERSARIES[name];
  return adversary === undefined ? playPair(seed) : playAdversary(adversary, seed);
}

let failed = chosen.length === 0 ? 1 : 0;
if (failed > 0) say(process.stderr, `no adversary ${values.only}; there are ${names.join(', ')}`);
for (const name of chosen) {
  for (const seed of seeds) {
    const title = `${name.padEnd(13)} seed ${seed}`;
    try {
      const played = await play(name, seed);
      const outcomes = played.settled.map(({ outcome }) => outcome).join(' ');
      say(process.stdout, `${title}  ${outcomes}${played.names === undefined ? '' : `  (${played.names.join(', ')})`}`);
    } catch (error) {
      failed += 1;
      say(process.stderr, `${title}  FAILED  ${error instanceof Error ? error.message : error}`);
      say(
        process.stderr,
        `  ${ADVERSARIES[name]?.tries ?? 'two at once'}; again: npm run sim -- --only ${name} --seed ${seed} --seeds 1`,
      );
    }
  }
}
process.exitCode = failed === 0 ? 0 : 1;
