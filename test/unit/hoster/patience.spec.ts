import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createPatience, type Patience } from '../../../src/hoster/patience.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const LIMITS = { hastyOpens: 4, hastyOpensPerSecond: 2 };
const STRANGER = 'stranger' as PeerId;
const OTHER = 'other' as PeerId;
const STAKED = 'staked' as PeerId;

describe('patience with strangers', () => {
  let ms: number;
  let patience: Patience;
  beforeEach(() => {
    ms = 0;
    patience = createPatience(
      LIMITS,
      (peer) => (peer === STAKED ? 1n : 0n),
      () => ms,
    );
  });

  /** An OPEN that is refused with this hint, if it is heard at all. */
  function ask(hintMs: number, peer = STRANGER): 'heard' | number {
    const deafMs = patience.deafMs(peer);
    if (deafMs > 0) return deafMs;
    patience.arrived(peer).refused(hintMs);
    return 'heard';
  }

  it('is spent by those who ask before they were told, and comes back', () => {
    assert.equal(ask(10_000), 'heard', 'nobody had told it anything');
    for (let i = 0; i < LIMITS.hastyOpens; i += 1) assert.equal(ask(10_000), 'heard');
    assert.equal(ask(10_000), 500);
    ms += 250;
    assert.equal(ask(10_000), 250);
    ms += 250;
    assert.equal(ask(10_000), 'heard');
    assert.equal(ask(10_000), 500);
    assert.equal(ask(10_000, OTHER), 'heard', 'another stranger does not pay for it');
    ms += 60_000;
    for (let i = 0; i <= LIMITS.hastyOpens; i += 1) assert.equal(ask(10_000), 'heard', 'never more than at first');
    assert.equal(ask(10_000), 500);
  });

  it('is spent by what waiting does not help', () => {
    for (let i = 0; i < LIMITS.hastyOpens; i += 1) assert.equal(ask(0), 'heard');
    assert.equal(ask(0), 500);
    assert.equal(ask(100), 500);
  });

  it('is not spent by those who come when they were told, however often, nor by those who are let in', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30_000 }), { maxLength: 100 }), (hints) => {
        ms += 3_600_000;
        for (const hint of hints) {
          assert.equal(ask(hint), 'heard');
          ms += hint;
        }
      }),
    );
    for (let i = 0; i < 100; i += 1) {
      assert.equal(patience.deafMs(STRANGER), 0);
      patience.arrived(STRANGER);
    }
  });

  it('keeps the earliest time of several that a peer was told', () => {
    for (let i = 0; i < 20; i += 1) {
      assert.equal(patience.deafMs(STRANGER), 0);
      const [one, another] = [patience.arrived(STRANGER), patience.arrived(STRANGER)];
      one.refused(100);
      another.refused(5_000);
      ms += 100;
    }
  });

  it('remembers so many strangers and no more, the latest', () => {
    patience = createPatience(
      LIMITS,
      () => 0n,
      () => ms,
      2,
    );
    for (const peer of [STRANGER, OTHER]) for (let i = 0; i < LIMITS.hastyOpens; i += 1) ask(0, peer);
    assert.deepEqual([ask(0, STRANGER), ask(0, OTHER)], [500, 500]);
    ask(0, 'third' as PeerId);
    assert.deepEqual([ask(0, OTHER), ask(0, STRANGER)], [500, 'heard']);
  });

  it('bounds what anybody is refused in a while', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.integer({ min: 0, max: 300 }), hint: fc.constantFrom(0, 20_000) }), {
          maxLength: 200,
        }),
        (asks) => {
          ms += 3_600_000;
          const from = ms;
          let heard = 0;
          for (const { wait, hint } of asks) {
            ms += wait;
            if (ask(hint) === 'heard') heard += 1;
          }
          // One of each hint is free.
          const most =
            LIMITS.hastyOpens + (LIMITS.hastyOpensPerSecond * (ms - from)) / 1_000 + (ms - from) / 18_000 + 1;
          assert.ok(heard <= most, `${heard} in ${ms - from} ms`);
        },
      ),
    );
  });

  it('has no end for clients with stake', () => {
    for (let i = 0; i < 50; i += 1) assert.equal(ask(0, STAKED), 'heard');
  });
});
