// Some thousands of damaged and malicious records through admission; `npm run sim -- --mutants 1000000` is the long run (docs/simulation.md).

import assert from 'node:assert/strict';
import { admitMutants } from './mutants.ts';

const COUNT = 6_000;
const SEED = 1;

describe('mutated records', function () {
  this.timeout(10 * 60_000);

  it('are admitted or refused by a code, never thrown, and fill no memory', () => {
    const { outcomes, thrown, held, bound, before, most } = admitMutants(COUNT, SEED);
    assert.deepEqual(thrown, [], `seed ${SEED}`);
    assert.ok(held > 100 && held <= bound, `${held} held of ${bound}`);
    assert.ok(most < before + 40, `${before} MiB, then ${most} MiB`);
    for (const outcome of [
      'accept',
      'ignore',
      'reject RECORD_MALFORMED',
      'reject RECORD_TOO_LARGE',
      'reject RECORD_BAD_SIGNATURE',
      'ignore RECORD_UNKNOWN_NODE',
      'ignore RECORD_OUT_OF_WINDOW',
    ]) {
      assert.ok((outcomes[outcome] ?? 0) >= 5, `${outcome}: ${outcomes[outcome]}`);
    }
  });
});
