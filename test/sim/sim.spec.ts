// Every adversary once; `npm run sim` plays more seeds.

import { ADVERSARIES } from './adversaries.ts';
import { playAdversary } from './run.ts';

const SEED = 1;

describe('adversaries in the simulation', function () {
  this.timeout(120_000);

  for (const [name, adversary] of Object.entries(ADVERSARIES)) {
    it(`${name}: ${adversary.tries}`, async () => {
      await playAdversary(adversary, SEED);
    });
  }
});
