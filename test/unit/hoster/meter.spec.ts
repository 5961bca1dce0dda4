import assert from 'node:assert/strict';
import { createMeter, type Meter } from '../../../src/hoster/meter.ts';

describe('hoster: meter', () => {
  let ms: number;
  let meter: Meter;
  beforeEach(() => {
    ms = 1_000;
    meter = createMeter(() => ms);
  });

  function run(rows: number, shards: number, tookMs: number): number {
    const end = meter.begin(rows, shards);
    ms += tookMs;
    return end();
  }

  it('knows nothing before the first step', () => {
    ms = 2_000;
    assert.equal(meter.load(), 0);
    assert.equal(meter.rowsPerSecond(), 0);
  });

  it('the load is the share of time in which something ran, since it was asked last', () => {
    assert.equal(run(64, 2, 250), 250_000);
    ms += 750;
    assert.equal(meter.load(), 250);
    ms += 100;
    assert.equal(meter.load(), 0);
  });

  it('steps side by side count once, and one that still runs counts so far', () => {
    const first = meter.begin(1, 1);
    ms += 100;
    const second = meter.begin(1, 1);
    ms += 100;
    first();
    ms += 100;
    second();
    ms += 300;
    meter.begin(1, 1);
    ms += 400;
    assert.equal(meter.load(), 700);
    ms += 50;
    assert.equal(meter.load(), 1_000);
  });

  it('the rate is that of single rows through one shard', () => {
    run(1, 4, 20);
    assert.equal(meter.rowsPerSecond(), 200);
    run(64, 4, 1_000);
    assert.equal(meter.rowsPerSecond(), 200, 'a prompt says nothing of single rows');
    for (let i = 0; i < 100; i += 1) run(1, 4, 40);
    assert.equal(meter.rowsPerSecond(), 100);
  });

  it('rows that waited for others say nothing of the rate', () => {
    run(1, 1, 10);
    const first = meter.begin(1, 1);
    const second = meter.begin(1, 1);
    ms += 500;
    first();
    second();
    assert.equal(meter.rowsPerSecond(), 100);
  });
});
