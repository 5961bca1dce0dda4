// Short pieces of two long runs (docs/simulation.md): crashes at any await of any node, and kill -9 of a process that signs with the real journal.

import assert from 'node:assert/strict';
import { playCrashes } from './crashes.ts';
import { playKills } from './kills.ts';

const SEED = 1;

describe('deaths', function () {
  this.timeout(10 * 60_000);

  it('at any call, before it or behind it, let nobody sign twice, and every epoch is accepted', async () => {
    const { crashes, at, twice, failed, settled, accepted, hit, paid } = await playCrashes(40, SEED);
    assert.ok(crashes >= 40);
    assert.ok(Object.keys(at).length >= 8, `died only at ${Object.keys(at)}`);
    assert.deepEqual({ twice, failed }, { twice: [], failed: [] });
    assert.equal(accepted, settled);
    // Who dies in the wrong blocks of commit or reveal loses the epoch.
    assert.ok(paid > 0.6 * hit, `${paid} paid of ${hit}`);
  });

  it('by SIGKILL of a real process let it tell nothing else for a slot, and it goes on', async () => {
    const { kills, twice, failed, done, slots, told } = await playKills(5, SEED);
    assert.deepEqual({ kills, twice, failed, done }, { kills: 5, twice: [], failed: [], done: true });
    assert.ok(told > slots, 'no life told again what another had told');
  });
});
