// Every adversary once; `npm run sim` plays more seeds.

import { ADVERSARIES } from './adversaries.ts';
import { playAdversary, playPair } from './run.ts';

const SEED = 1;
/** Once a copier who copied what a flooder had forged showed so many faces that an honest proposer held two others of them. */
const PAIRS = [37];

describe('adversaries in the simulation', function () {
  this.timeout(10 * 60_000);

  for (const [name, adversary] of Object.entries(ADVERSARIES)) {
    it(`${name}: ${adversary.tries}`, async () => {
      await playAdversary(adversary, SEED);
    });
  }

  for (const seed of PAIRS) {
    it(`two at once, seed ${seed}`, async () => {
      await playPair(seed);
    });
  }
});
