// Some thousands of damaged frames and requests; `npm run wire:frames` sends a million (docs/network.md).

import assert from 'node:assert/strict';
import { sendFrames } from './frames.ts';

describe('mutated frames', function () {
  this.timeout(60_000);

  it('are taken or refused, never thrown, and fill no memory', () => {
    const { taken, thrown, before, most } = sendFrames(10_000, 1);
    assert.deepEqual(thrown, []);
    assert.ok(taken > 100, `${taken} taken: most damage is noticed, not all changes a rule`);
    assert.ok(most < before + 20, `${before} MiB, then ${most} MiB`);
  });
});
