import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Hex } from '../../../src/devchain/hex.ts';
import { createPool, type Pool, type PoolEntry } from '../../../src/devchain/pool.ts';

const FOREVER = 2n ** 64n - 1n;

interface Sketch {
  readonly name: string;
  readonly requires?: readonly string[];
  readonly provides?: readonly string[];
  readonly priority?: bigint;
  readonly longevity?: bigint;
  readonly bytes?: number;
}

function transaction({
  name,
  requires = [],
  provides = [name],
  priority = 1n,
  longevity = FOREVER,
  bytes = 10,
}: Sketch) {
  return { hash: name as Hex, bytes: new Uint8Array(bytes), validity: { requires, provides, priority, longevity } };
}

function poolOf(...sketches: Sketch[]): Pool {
  const pool = createPool({ entries: 100, bytes: 10_000 });
  for (const sketch of sketches) assert.equal(pool.add(transaction(sketch), 1).ok, true);
  return pool;
}

/** Runs through the candidates; those in `failing` are told to be refused. */
function order(pool: Pool, failing: readonly string[] = []): string[] {
  const names: string[] = [];
  const candidates = pool.candidates();
  for (let step = candidates.next(true); !step.done; step = candidates.next(!failing.includes(names.at(-1) ?? '')))
    names.push(step.value.hash);
  return names;
}

function entry(pool: Pool, name: string): PoolEntry {
  const found = pool.entries().find(({ hash }) => hash === name);
  assert.ok(found);
  return found;
}

/** The least fixed point, found the slow way. */
function readyByDefinition(entries: readonly PoolEntry[]): Set<string> {
  const ready = new Set<string>();
  const provided = new Set<string>();
  for (let before = -1; before < ready.size; ) {
    before = ready.size;
    for (const { hash, validity } of entries) {
      if (!validity.requires.every((tag) => provided.has(tag))) continue;
      ready.add(hash);
      for (const tag of validity.provides) provided.add(tag);
    }
  }
  return ready;
}

describe('devchain/pool', () => {
  it('offers by priority, then by arrival', () => {
    assert.deepEqual(
      order(poolOf({ name: 'a' }, { name: 'b', priority: 5n }, { name: 'c', priority: 5n }, { name: 'd' })),
      ['b', 'c', 'a', 'd'],
    );
  });

  it('offers what requires another only after it, whatever its priority', () => {
    const pool = poolOf(
      { name: 'n2', requires: ['n1'], priority: 9n },
      { name: 'n1', requires: ['n0'], priority: 9n },
      { name: 'n0' },
      { name: 'x', priority: 2n },
    );
    assert.deepEqual(order(pool), ['x', 'n0', 'n1', 'n2']);
    assert.deepEqual(order(pool, ['n0']), ['x', 'n0']);
  });

  it('keeps what cannot be used yet as future, and tells who becomes ready', () => {
    const pool = createPool({ entries: 10, bytes: 1000 });
    const later = pool.add(transaction({ name: 'n1', requires: ['n0'] }), 1);
    assert.ok(later.ok && later.state === 'future' && !pool.isReady('n1' as Hex));
    assert.deepEqual(order(pool), []);
    const first = pool.add(transaction({ name: 'n0' }), 1);
    assert.ok(first.ok && first.state === 'ready');
    assert.deepEqual(first.promoted, ['n1']);
  });

  it('classifies one by one as all at once', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const sketch = fc.record({
      name: fc.uuid(),
      requires: fc.array(name, { maxLength: 2 }),
      provides: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }),
      priority: fc.bigInt(0n, 3n),
    });
    fc.assert(
      fc.property(fc.array(sketch, { maxLength: 12, size: 'max' }), (sketches) => {
        const pool = createPool({ entries: 100, bytes: 10_000 });
        const known = new Set<string>();
        for (const item of sketches) {
          const added = pool.add(transaction(item), 1);
          if (!added.ok) continue;
          const news = [...added.promoted, ...(added.state === 'ready' ? [item.name] : [])];
          for (const hash of news) assert.equal(known.has(hash), false, 'nobody becomes ready twice');
          const ready = readyByDefinition(pool.entries());
          assert.deepEqual(
            new Set(
              pool
                .entries()
                .filter(({ hash }) => pool.isReady(hash))
                .map(({ hash }) => hash),
            ),
            ready,
          );
          for (const hash of news) known.add(hash);
          for (const hash of known) if (!ready.has(hash)) known.delete(hash);
          assert.deepEqual(known, ready);
        }
      }),
    );
  });

  it('replaces what provides the same only for a higher priority', () => {
    const pool = poolOf({ name: 'a', provides: ['t'], priority: 5n });
    assert.deepEqual(pool.add(transaction({ name: 'b', provides: ['t'], priority: 5n }), 1), {
      ok: false,
      code: 'LOW_PRIORITY',
      old: 5n,
      new: 5n,
    });
    const won = pool.add(transaction({ name: 'c', provides: ['t', 'u'], priority: 6n }), 1);
    assert.deepEqual(won.ok && won.usurped.map(({ hash }) => hash), ['a']);
    assert.equal(pool.has('a' as Hex), false);
    assert.equal(pool.provides('u'), true);
    assert.equal(pool.size(), 1);
  });

  it('is bounded in number and bytes, and a replacement needs no room', () => {
    const pool = createPool({ entries: 2, bytes: 100 });
    assert.equal(pool.add(transaction({ name: 'a', bytes: 60 }), 1).ok, true);
    assert.deepEqual(pool.add(transaction({ name: 'b', bytes: 50 }), 1), { ok: false, code: 'FULL' });
    assert.equal(pool.add(transaction({ name: 'c', bytes: 40 }), 1).ok, true);
    assert.deepEqual(pool.add(transaction({ name: 'd', bytes: 0 }), 1), { ok: false, code: 'FULL' });
    assert.equal(pool.add(transaction({ name: 'e', provides: ['a'], priority: 2n, bytes: 60 }), 1).ok, true);
    assert.equal(pool.bytes(), 100);
  });

  it('lets go of what a block made pointless, and of what expired', () => {
    const pool = poolOf(
      { name: 'in', provides: ['t0'] },
      { name: 'other', provides: ['x', 'y'] },
      { name: 'next', provides: ['t1'], requires: ['t0'] },
      { name: 'short', longevity: 1n },
      { name: 'long', longevity: 2n },
    );
    const included = [
      entry(pool, 'in'),
      { ...entry(pool, 'in'), hash: 'elsewhere' as Hex, validity: { ...entry(pool, 'in').validity, provides: ['y'] } },
    ];
    const settled = pool.settle(included, 2);
    assert.deepEqual(
      settled.outdated.map(({ hash }) => hash),
      ['other'],
    );
    assert.deepEqual(
      settled.expired.map(({ hash }) => hash),
      ['short'],
    );
    assert.deepEqual(order(pool), ['next', 'long']);
    assert.deepEqual(entry(pool, 'next').validity.requires, []);
  });

  it('takes a new verdict over the old one', () => {
    const pool = poolOf({ name: 'a' }, { name: 'b', requires: ['a'] });
    pool.refresh('a' as Hex, { requires: ['z'], provides: ['a'], priority: 1n, longevity: 1n }, 5);
    assert.deepEqual(order(pool), []);
    assert.equal(entry(pool, 'a').expires, 6);
    pool.remove(['a' as Hex, 'unknown' as Hex]);
    assert.equal(pool.size(), 1);
  });

  it('offers each account in the order of its nonces, whatever came when', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          Array.from({ length: 30 }, (_, index) => index),
          { minLength: 30 },
        ),
        fc.array(fc.bigInt(0n, 5n), { minLength: 30, maxLength: 30 }),
        (arrival, priorities) => {
          const pool = createPool({ entries: 100, bytes: 10_000 });
          for (const index of arrival) {
            const [account, nonce] = [index % 3, Math.floor(index / 3)];
            pool.add(
              transaction({
                name: `${account}/${nonce}`,
                requires: nonce === 0 ? [] : [`${account}/${nonce - 1}`],
                priority: priorities[index] ?? 0n,
              }),
              1,
            );
          }
          const offered = order(pool);
          assert.equal(offered.length, 30);
          for (const account of ['0', '1', '2']) {
            const nonces = offered
              .filter((name) => name.startsWith(`${account}/`))
              .map((name) => Number(name.slice(2)));
            assert.deepEqual(
              nonces,
              [...nonces].sort((a, b) => a - b),
            );
          }
        },
      ),
    );
  });
});
