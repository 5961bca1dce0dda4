import assert from 'node:assert/strict';
import { HOSTER_LIMITS } from '../../../src/hoster/limits.ts';
import { createSeats, type Seat } from '../../../src/hoster/seats.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const TENSOR = 10n ** 18n;
const STAKES: Readonly<Record<string, bigint>> = { one: TENSOR, three: 3n * TENSOR };
/** Nobody's wait ends by itself in a test. */
const PATIENT = { ...HOSTER_LIMITS, sessions: 4, reserved: 0, waitMs: 60_000 };

function seatsOf(limits = PATIENT) {
  const seats = createSeats(limits, (peer) => STAKES[peer] ?? 0n);
  let taken = 0;
  return {
    seats,
    take: (peer: string) => {
      taken += 1;
      return seats.take(peer as PeerId, `key ${taken}`);
    },
  };
}

async function seat(taking: Promise<Seat | string>): Promise<Seat> {
  const taken = await taking;
  assert.ok(typeof taken !== 'string', String(taken));
  return taken;
}

/** Fills the seats with a holder whose seats are given back one by one; tells who gets them. */
async function whoComes(waiting: readonly string[]): Promise<string[]> {
  const { take } = seatsOf();
  const held = [];
  for (let i = 0; i < 4; i += 1) held.push(await seat(take('holder')));
  const order: string[] = [];
  const all = waiting.map((peer) => take(peer).then((taken) => typeof taken !== 'string' && order.push(peer)));
  for (const one of held) {
    one.leave();
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (all.length <= 4) await Promise.all(all);
  return order;
}

describe('hoster: seats', () => {
  it('a key is taken once, also while it waits', async () => {
    const { seats } = seatsOf({ ...PATIENT, sessions: 1 });
    const [a, b] = ['a', 'b'] as PeerId[] as [PeerId, PeerId];
    const first = await seat(seats.take(a, 'x'));
    assert.equal(await seats.take(b, 'x'), 'NOT_YOURS');
    const waiting = seats.take(b, 'y');
    assert.equal(await seats.take(a, 'y'), 'NOT_YOURS');
    first.leave();
    first.leave();
    (await seat(waiting)).leave();
    assert.equal(seats.taken, 0);
  });

  it('among equals who came first', async () => {
    assert.deepEqual(await whoComes(['a', 'b', 'c']), ['a', 'b', 'c']);
  });

  it('who holds least before who came first', async () => {
    assert.deepEqual(await whoComes(['a', 'a', 'a', 'b']), ['a', 'b', 'a', 'a']);
  });

  it('by stake, each in proportion', async () => {
    assert.deepEqual(await whoComes(['a', 'one', 'one', 'three', 'three', 'three']), [
      'three',
      'one',
      'three',
      'three',
    ]);
  });

  it('strangers do not get the reserved ones', async () => {
    const { take } = seatsOf({ ...PATIENT, reserved: 3, waitMs: 0 });
    const first = await seat(take('a'));
    assert.equal(await take('b'), 'BUSY');
    await seat(take('one'));
    first.leave();
    assert.equal(await take('b'), 'BUSY', 'three are free, and three are reserved');
  });

  it('a peer has so many, with stake more, and does not wait beyond', async () => {
    const { take } = seatsOf({ ...PATIENT, sessionsPerPeer: 1, sessionsPerStakedPeer: 2 });
    await seat(take('a'));
    assert.equal(await take('a'), 'BUSY');
    await seat(take('one'));
    await seat(take('one'));
    assert.equal(await take('one'), 'BUSY');
  });

  it('so many wait and no more, and not for ever', async () => {
    const { take } = seatsOf({ ...PATIENT, sessions: 1, waiting: 1, waitMs: 1 });
    const first = await seat(take('a'));
    const waiting = take('b');
    assert.equal(await take('c'), 'BUSY');
    assert.equal(await waiting, 'BUSY');
    first.leave();
    await seat(take('c'));
  });

  describe('when a seat comes free', () => {
    const full = async () => {
      const one = seatsOf({ ...PATIENT, sessionsPerPeer: 2 });
      const held = await Promise.all(['a', 'a', 'b', 'b'].map((peer) => seat(one.take(peer))));
      return { ...one, held };
    };
    let nowMs = 0;
    /** Each question long after the one before. */
    const soonest = (seats: ReturnType<typeof seatsOf>['seats'], peer: string) => {
      nowMs += 1e6;
      return seats.soonestMs(peer as PeerId, nowMs);
    };

    it('is guessed before a session has ended, then told by those that have', async () => {
      const { seats } = await full();
      assert.equal(soonest(seats, 'c'), 250);
      seats.lasted(8_000);
      assert.equal(soonest(seats, 'c'), 2_000);
      seats.lasted(28_000);
      assert.equal(soonest(seats, 'c'), 2_500);
    });

    it('is later behind those who wait, and for who may hold no more when one of its own ends', async () => {
      const { seats, take, held } = await full();
      seats.lasted(8_000);
      const waiting = [take('c'), take('c')];
      assert.equal(soonest(seats, 'd'), 6_000);
      assert.equal(soonest(seats, 'a'), 4_000);
      for (const one of held) one.leave();
      await Promise.all(waiting);
    });

    it('is promised to one after the other, and as time goes by again', async () => {
      const { seats } = await full();
      seats.lasted(8_000);
      const told = (peer: string, atMs: number) => seats.soonestMs(peer as PeerId, atMs);
      assert.deepEqual(
        ['c', 'd', 'e'].map((peer) => told(peer, 0)),
        [2_000, 4_000, 6_000],
      );
      assert.equal(told('f', 5_000), 3_000);
      assert.equal(told('f', 50_000), 2_000);
    });

    it('is told within bounds', async () => {
      const { seats } = await full();
      seats.lasted(1e9);
      assert.equal(soonest(seats, 'c'), 30_000);
      assert.equal(soonest(seatsOf().seats, 'a'), 1_000);
      const other = await full();
      other.seats.lasted(0);
      assert.equal(soonest(other.seats, 'c'), 1);
    });

    it('who could neither sit nor wait need not come', async () => {
      const { seats } = await full();
      assert.equal(seats.mayCome('c' as PeerId), true);
      assert.equal(seats.mayCome('a' as PeerId), false);
      assert.equal(seats.mayCome('one' as PeerId), true);
    });
  });
});
