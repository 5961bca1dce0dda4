// A short piece of the long run over real libp2p (docs/simulation.md): sets of records become whole, also when a node dies, and two faces are
// proven to all.

import assert from 'node:assert/strict';
import { playLoopback } from './loopback.ts';

describe('records over real libp2p', function () {
  this.timeout(10 * 60_000);

  it('are the same with all that run when each list closes, and an equivocator is proven to all', async () => {
    const found = await playLoopback({ nodes: 5, epochs: 3, killed: 0.2 });
    assert.deepEqual(found.differences, []);
    assert.equal(found.identical, found.epochs);
    assert.deepEqual(found.killed, [5]);
    assert.deepEqual(found.unproven, []);
    assert.ok(found.proposed > 0 && found.proven === found.proposed);
    assert.deepEqual(found.failed, []);
  });
});
