import assert from 'node:assert/strict';
import { createStanding } from '../../../src/p2p/standing.ts';
import type { PeerId } from '../../../src/types/ids.ts';

describe('standing of peers', () => {
  it('tells once who has come in and who has gone out', () => {
    let wanted = ['a', 'b'] as PeerId[];
    const told: string[] = [];
    const standing = createStanding(() => wanted, {
      enter: (peer) => told.push(`+${peer}`),
      leave: (peer) => told.push(`-${peer}`),
    });
    assert.equal(standing.has('a' as PeerId), false);
    standing.sweep();
    standing.sweep();
    wanted = ['b', 'c'] as PeerId[];
    assert.equal(standing.has('a' as PeerId), true);
    standing.sweep();
    assert.deepEqual(told, ['+a', '+b', '+c', '-a']);
    assert.deepEqual(
      ['a', 'b', 'c'].map((peer) => standing.has(peer as PeerId)),
      [false, true, true],
    );
  });
});
