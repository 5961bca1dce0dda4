// `npm run sim`: every adversary, some seeds; what fails is told with its seed. `npm run sim -- --only late --seed 7 --seeds 1` plays it again.

import { parseArgs } from 'node:util';
import { ADVERSARIES } from './adversaries.ts';
import { playAdversary } from './run.ts';

function say(stream: NodeJS.WriteStream, line: string): void {
  stream.write(`${line}\n`);
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '3' },
  },
});
const first = Number(values.seed);
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => first + i);
const chosen = Object.entries(ADVERSARIES).filter(([name]) => values.only === undefined || values.only === name);
if (chosen.length === 0)
  say(process.stderr, `no adversary ${values.only}; there are ${Object.keys(ADVERSARIES).join(', ')}`);

let failed = chosen.length === 0 ? 1 : 0;
for (const [name, adversary] of chosen) {
  for (const seed of seeds) {
    try {
      const { settled } = await playAdversary(adversary, seed);
      say(process.stdout, `${name.padEnd(13)} seed ${seed}  ${settled.map(({ outcome }) => outcome).join(' ')}`);
    } catch (error) {
      failed += 1;
      say(process.stderr, `${name.padEnd(13)} seed ${seed}  FAILED  ${error instanceof Error ? error.message : error}`);
      say(process.stderr, `  it ${adversary.tries}; again: npm run sim -- --only ${name} --seed ${seed} --seeds 1`);
    }
  }
}
process.exitCode = failed === 0 ? 0 : 1;
