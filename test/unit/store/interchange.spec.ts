import assert from 'node:assert/strict';
import { exportJournal, importJournal, parseInterchange } from '../../../src/store/interchange.ts';
import { createMemoryJournal } from '../../../src/store/memory.ts';
import type { Slot } from '../../../src/store/types.ts';
import type { Hash } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';

const GENESIS = `0x${'11'.repeat(32)}` as Hash;
const slot = (epoch: number, kind = 'hc') => ({ subnet: 128_001, node: 1, epoch, kind }) as Slot;
const bytes = (...values: number[]) => new Uint8Array(values);

describe('journal interchange', () => {
  it('moves everything to an empty journal, and nothing can be signed there that was signed before', () => {
    const from = createMemoryJournal({ genesis: GENESIS });
    from.claim(slot(5), bytes(1, 2));
    from.claim(slot(6, 'sc'), bytes());
    from.keep(slot(6, 'sc'), bytes(9));
    const text = JSON.stringify(exportJournal(from, GENESIS));
    const parsed = parseInterchange(JSON.parse(text));
    assert.ok(parsed.ok);
    assert.equal(parsed.interchange.metadata.genesis, GENESIS);

    const to = createMemoryJournal({ genesis: GENESIS });
    assert.deepEqual(importJournal(to, parsed.interchange), {
      written: 3,
      same: 0,
      different: 0,
      past: 0,
      lastEpoch: 6,
    });
    assert.deepEqual(importJournal(to, parsed.interchange), {
      written: 0,
      same: 3,
      different: 0,
      past: 0,
      lastEpoch: 6,
    });
    assert.deepEqual(to.kept(slot(6, 'sc')), bytes(9));
    assert.throws(
      () => to.claim(slot(5), bytes(1, 3)),
      (error) => errorCode(error) === 'SIGNED_ALREADY',
    );
  });

  it('never replaces what is there', () => {
    const from = createMemoryJournal({ genesis: GENESIS });
    from.claim(slot(5), bytes(1));
    const to = createMemoryJournal({ genesis: GENESIS });
    to.claim(slot(5), bytes(2));
    assert.equal(importJournal(to, exportJournal(from, GENESIS)).different, 1);
    assert.deepEqual(to.claimed(slot(5)), bytes(2));
  });

  it('does not bring back what the journal has forgotten', () => {
    const from = createMemoryJournal({ genesis: GENESIS });
    from.claim(slot(5), bytes(1));
    from.claim(slot(9), bytes(2));
    const to = createMemoryJournal({ genesis: GENESIS });
    to.forget(slot(0).subnet, 6 as Slot['epoch']);
    const outcome = importJournal(to, exportJournal(from, GENESIS));
    assert.deepEqual([outcome.written, outcome.past], [1, 1]);
    assert.equal(to.claimed(slot(5)), undefined);
  });

  it('refuses what is not an interchange, and says where', () => {
    const good = exportJournal(createMemoryJournal({ genesis: GENESIS }), GENESIS);
    const entry = { ...slot(1), payload: '0x' };
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [[], /./],
      [{ ...good, metadata: { ...good.metadata, interchange_format_version: '2' } }, /version/],
      [{ ...good, metadata: { ...good.metadata, genesis: '0x12' } }, /genesis/],
      [{ ...good, signed: [{ ...entry, epoch: -1 }] }, /signed\.0\.epoch/],
      [{ ...good, signed: [{ ...entry, payload: '12' }] }, /signed\.0\.payload/],
      [{ ...good, signed: [{ ...entry, more: 1 }] }, /more/],
    ];
    for (const [json, words] of wrong) {
      const parsed = parseInterchange(json);
      assert.ok(!parsed.ok && words.test(parsed.why), JSON.stringify(parsed));
    }
  });
});
