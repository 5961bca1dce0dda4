import { strict as assert } from 'node:assert';
import { createLedger } from '../../../src/engine/ledger.ts';
import { EngineError, type EngineErrorFacts } from '../../../src/engine/types.ts';

function refuses(what: () => void, facts: Partial<Extract<EngineErrorFacts, { code: 'E_MEMORY' }>>): void {
  assert.throws(what, (error: unknown) => {
    assert.ok(error instanceof EngineError);
    assert.deepEqual(error.facts, { code: 'E_MEMORY', ...facts });
    return true;
  });
}

describe('engine/ledger', () => {
  it('gives out to the last byte and not one more', () => {
    const ledger = createLedger(100);
    ledger.reserveWeights(40);
    assert.equal(ledger.kvBudget, 60);
    ledger.reserveKv(60, 'a');
    refuses(() => ledger.reserveKv(1, 'a'), { need: 1, free: 0, budget: 100 });
    refuses(() => ledger.reserveWeights(1), { need: 1, free: 0, budget: 100 });
    assert.equal(ledger.kvBytes, 60);
    ledger.releaseKv(60, 'a');
    assert.equal(ledger.kvBytes, 0);
    ledger.reserveKv(60, 'a');
  });

  it('beside others an owner holds half at most, alone all of it', () => {
    const ledger = createLedger(120);
    ledger.reserveWeights(20);
    ledger.reserveKv(10, 'b');
    ledger.reserveKv(40, 'a');
    refuses(() => ledger.reserveKv(11, 'a'), { need: 11, free: 10, budget: 50 });
    ledger.reserveKv(10, 'a');
    ledger.reserveKv(40, 'b');
    ledger.releaseKv(50, 'b');
    ledger.reserveKv(50, 'a');
    refuses(() => ledger.reserveKv(1, 'b'), { need: 1, free: 0, budget: 120 });
  });

  it('who held more alone gets nothing further while others are there', () => {
    const ledger = createLedger(100);
    ledger.reserveKv(80, 'a');
    ledger.reserveKv(10, 'b');
    refuses(() => ledger.reserveKv(1, 'a'), { need: 1, free: 0, budget: 50 });
    ledger.releaseKv(80, 'a');
    ledger.reserveKv(50, 'a');
  });
});
