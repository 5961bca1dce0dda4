import assert from 'node:assert/strict';
import { BAN_POINTS, createBans, FIRST_BAN_MS, FORGIVE_MS, LONGEST_BAN_MS } from '../../../src/p2p/bans.ts';
import type { RefusalCode } from '../../../src/p2p/types.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const A = 'a' as PeerId;
const B = 'b' as PeerId;

/** Offends until banned; when the ban ends, by trying. */
function banLength(bans: ReturnType<typeof createBans>, nowMs: number): number {
  for (let i = 0; !bans.note(A, 'BAD_STREAM', nowMs); i += 1) assert.ok(i < 100);
  let ms = 0;
  while (bans.isBanned(A, nowMs + ms)) ms += 1000;
  return ms;
}

describe('bans', () => {
  it('come when offences add up, for this peer alone', () => {
    const bans = createBans();
    const began = [1, 2, 3, 4].map(() => bans.note(A, 'FRAME_TOO_LARGE', 0));
    assert.deepEqual(began, [false, false, false, true]);
    assert.deepEqual([bans.isBanned(A, 0), bans.isBanned(B, 0)], [true, false]);
  });

  it('do not come for offences that are far apart', () => {
    const bans = createBans();
    for (let i = 0; i < 100; i += 1) assert.equal(bans.note(A, 'FRAME_TOO_LARGE', i * 31_000), false);
  });

  it('never come for what happens to honest peers', () => {
    const bans = createBans();
    const harmless: RefusalCode[] = ['BANNED', 'NOT_ADMITTED', 'TOO_MANY_STREAMS', 'TOO_MANY_STRANGERS'];
    for (const code of harmless) for (let i = 0; i < 1000; i += 1) assert.equal(bans.note(A, code, 0), false);
  });

  it('last twice as long each time, up to a limit, and are forgiven in the end', () => {
    const bans = createBans();
    let nowMs = 0;
    const lengths: number[] = [];
    for (let i = 0; i < 11; i += 1) {
      lengths.push(banLength(bans, nowMs));
      nowMs += LONGEST_BAN_MS;
    }
    assert.deepEqual(
      lengths.slice(0, 4),
      [1, 2, 4, 8].map((n) => n * FIRST_BAN_MS),
    );
    assert.deepEqual(lengths.slice(-2), [LONGEST_BAN_MS, LONGEST_BAN_MS]);
    assert.equal(banLength(bans, nowMs + LONGEST_BAN_MS + FORGIVE_MS), FIRST_BAN_MS);
  });

  it('are remembered however many others offend', () => {
    const bans = createBans();
    banLength(bans, 0);
    for (let i = 0; i < 10_000; i += 1) bans.note(`${i}` as PeerId, 'PEER_SILENT', 0);
    assert.equal(bans.isBanned(A, 0), true);
    assert.ok(BAN_POINTS > 5);
  });
});
