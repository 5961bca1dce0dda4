import assert from 'node:assert/strict';
import { createRefusals } from '../../../src/p2p/refusals.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const peer = (name: string) => name as PeerId;

describe('refusals', () => {
  it('are counted by peer and reason, and told', () => {
    const told: string[] = [];
    const refusals = createRefusals((who, code) => told.push(`${who} ${code}`));
    refusals.note(peer('a'), 'NOT_ADMITTED');
    refusals.note(peer('a'), 'NOT_ADMITTED');
    refusals.note(peer('b'), 'BANNED');
    assert.deepEqual(Object.fromEntries(refusals.all()), { a: { NOT_ADMITTED: 2 }, b: { BANNED: 1 } });
    assert.deepEqual(told, ['a NOT_ADMITTED', 'a NOT_ADMITTED', 'b BANNED']);
  });

  it('of the peers unheard for longest are forgotten when there are too many', () => {
    const refusals = createRefusals(undefined, 2);
    for (const name of ['a', 'b', 'a', 'c']) refusals.note(peer(name), 'BANNED');
    assert.deepEqual([...refusals.all().keys()], ['a', 'c']);
  });
});
