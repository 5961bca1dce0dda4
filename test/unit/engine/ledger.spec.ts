import { strict as assert } from 'node:assert';
import { createLedger } from '../../../src/engine/ledger.ts';
import { EngineError } from '../../../src/engine/types.ts';

describe('engine/ledger', () => {
  it('gives out to the last byte and not one more', () => {
    const ledger = createLedger(100);
    ledger.reserve('weights', 40);
    assert.equal(ledger.kvBudget(), 60);
    ledger.reserve('kv', 60);
    assert.throws(
      () => ledger.reserve('kv', 1),
      (error: unknown) => {
        assert.ok(error instanceof EngineError);
        assert.deepEqual(error.facts, { code: 'E_MEMORY', need: 1, free: 0, budget: 100 });
        return true;
      },
    );
    assert.equal(ledger.used('kv'), 60);
    ledger.release('kv', 60);
    assert.equal(ledger.used('kv'), 0);
    ledger.reserve('kv', 60);
  });
});
