// Receipts for runs of stateless models: what the client's check finds, what an auditor finds over a network of real hosters.

import assert from 'node:assert/strict';
import type { Engine } from '../../../src/engine/types.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import { type Accused, createAuditor } from '../../../src/receipts/auditor.ts';
import { createRunCheck, type RunCheck } from '../../../src/receipts/run-check.ts';
import { createRunTranscript } from '../../../src/receipts/run-transcript.ts';
import { type BlockNumber, ONE, type ShardIndex } from '../../../src/types/ids.ts';
import type { AuditVerdict } from '../../../src/types/record.ts';
import type { NamedTensor } from '../../../src/types/tensor.ts';
import { silentLog } from '../../../src/util/log.ts';
import type { SessionId } from '../../../src/wire/infer.ts';
import { type Receipt, signReceipt } from '../../../src/wire/receipt.ts';
import { createFakeEngine, FUNCTION_INPUTS, identityOf, MODEL, type Net, startNet } from '../client/net.ts';

const never = new AbortController().signal;
const BLOCK = 9 as BlockNumber;

function tensor(seed: number, name = 'x', length = 6): NamedTensor {
  return { name, dims: [1, length], data: Float32Array.from({ length }, (_, i) => ((i + seed) * 7) % 11) };
}

describe('run check', () => {
  const FACTS = { session: 'ab'.repeat(16) as SessionId, manifest: 'cd'.repeat(32), codec: 'f16' as const };
  const ROUTE = [0, 1].map((i) => {
    return { from: i as ShardIndex, to: (i + 1) as ShardIndex, peer: identityOf(i).peer };
  });

  /** Two hops and the client's check, fed by hand. */
  function session() {
    const check = createRunCheck({ ...FACTS, route: ROUTE }, verifySignature);
    const transcripts = ROUTE.map((run, i) =>
      createRunTranscript({ ...FACTS, run, next: ROUTE[i + 1], hasRoom: () => true }),
    );
    return {
      check,
      transcripts,
      /** The receipts of a run; a hop may say that it gave or took something else. */
      run(seed: number, lies: { readonly given?: NamedTensor; readonly taken?: NamedTensor } = {}): readonly Receipt[] {
        check.sent([tensor(seed)]);
        const receipts = [
          transcripts[0]?.add([tensor(seed)], [lies.given ?? tensor(seed + 1)], BLOCK),
          transcripts[1]?.add([lies.taken ?? tensor(seed + 1)], [tensor(seed + 2)], BLOCK),
        ];
        check.got([tensor(seed + 2)]);
        return receipts.filter((one) => one !== undefined);
      },
    };
  }

  function take(check: RunCheck, hop: number, receipt: Receipt | undefined) {
    assert.ok(receipt);
    return check.take(hop, signReceipt(receipt, identityOf(hop)).bytes);
  }

  it('takes what follows from the tensors sent and the results that came, in whichever order hops speak', () => {
    const { check, run } = session();
    const [a, b] = [run(1), run(5)];
    for (const [hop, receipt] of [
      [1, a[1]],
      [0, a[0]],
      [0, b[0]],
      [1, b[1]],
    ] as const)
      assert.equal(take(check, hop, receipt), undefined);
    assert.deepEqual(check.owing(), []);
    assert.deepEqual(check.usage(), { positions: 2, tokens: 2 });
    assert.equal(check.listed().length, 4);
  });

  it('names both neighbours when their stories differ, one hop when it contradicts the client', () => {
    for (const lies of [{ given: tensor(9) }, { taken: tensor(9) }]) {
      for (const [first, second] of [
        [0, 1],
        [1, 0],
      ] as const) {
        const { check, run } = session();
        const receipts = run(1, lies);
        assert.equal(take(check, first, receipts[first]), undefined);
        assert.deepEqual(take(check, second, receipts[second])?.hops, [0, 1]);
      }
    }
    const { check, transcripts } = session();
    check.sent([tensor(1)]);
    check.got([tensor(3)]);
    assert.deepEqual(take(check, 0, transcripts[0]?.add([tensor(2)], [tensor(2)], BLOCK))?.hops, [0]);
    assert.deepEqual(take(check, 1, transcripts[1]?.add([tensor(2)], [tensor(4)], BLOCK))?.hops, [1]);
  });

  it('refuses what is badly signed, out of order, for more than was sent, or before its result', () => {
    const { check, run, transcripts } = session();
    const [first, second] = [run(1), run(5)];
    const [receipt] = first;
    assert.ok(receipt);
    assert.match(check.take(0, signReceipt(receipt, identityOf(1)).bytes)?.why ?? '', /badly signed/);
    assert.match(take(check, 0, second[0])?.why ?? '', /does not follow/);
    assert.equal(take(check, 0, first[0]), undefined);
    assert.match(take(check, 0, first[0])?.why ?? '', /does not follow/);
    assert.equal(take(check, 0, second[0]), undefined);
    assert.match(take(check, 0, transcripts[0]?.add([tensor(8)], [tensor(8)], BLOCK))?.why ?? '', /more runs/);
    assert.deepEqual(check.owing(), [1]);
    check.sent([tensor(7)]);
    for (const one of [first[1], second[1]]) assert.equal(take(check, 1, one), undefined);
    assert.deepEqual(take(check, 1, transcripts[1]?.add([tensor(7)], [tensor(7)], BLOCK))?.hops, [1]);
  });

  it('binds names, types and dims too', () => {
    const of = (given: NamedTensor) => {
      const one = createRunTranscript({ ...FACTS, run: ROUTE[1] as never, next: undefined, hasRoom: () => true });
      return Buffer.from(one.add([tensor(1)], [given], BLOCK).given).toString('hex');
    };
    const base = tensor(1);
    const others = [base, { ...base, name: 'y' }, { ...base, dims: [2, 3] }, { ...base, data: new Int32Array(6) }];
    assert.equal(new Set(others.map(of)).size, others.length);
  });

  it('keeps tensors while there is room', () => {
    let room = 2;
    const hasRoom = () => --room >= 0;
    const one = createRunTranscript({ ...FACTS, run: ROUTE[1] as never, next: undefined, hasRoom });
    for (let i = 0; i < 3; i += 1) one.add([tensor(i)], [tensor(i + 1)], BLOCK);
    assert.deepEqual(
      one.runs.map((kept) => kept !== undefined),
      [true, true, false],
    );
    assert.equal(one.bytes, 2 * 2 * 6 * 4);
  });
});

describe('audits of runs', () => {
  const RUNS = 3;
  let net: Net;
  afterEach(() => net?.close());

  /** Two hops of two shards each. */
  const start = async () => {
    net = await startNet({
      stateless: true,
      hosters: 2,
      shardsOf: (i) => [2 * i, 2 * i + 1],
      mayAudit: (peer) => peer === net.identity.peer,
    });
  };

  function inputOf(seed: number): NamedTensor[] {
    const values = (count: number, step: number) => Array.from({ length: count }, (_, i) => ((i + seed) * step) % 17);
    return [
      { name: 'x.0', dims: [2, 3, 2], data: Float32Array.from(values(12, 5)) },
      { name: 'weight', dims: [2, 3], data: Int32Array.from(values(6, 3)) },
    ];
  }

  async function serve() {
    const calls = Array.from({ length: RUNS }, (_, i) => ({ tensors: inputOf(i), fits: () => true }));
    const run = net.client.run(calls, never);
    const results = await Array.fromAsync(run);
    assert.equal(results.length, RUNS);
    await net.settle();
    return run;
  }

  function audit(rate = ONE): Promise<readonly AuditVerdict[]> {
    const shards = FUNCTION_INPUTS.map(() => ({ rms: 1, tau: 1_000, auditable: true }));
    const holds = FUNCTION_INPUTS.map((_, shard) => shard as ShardIndex);
    const { hash, width, vocab, shardCount } = MODEL;
    const auditor = createAuditor(
      { model: { hash, width, vocab, shardCount, inputs: FUNCTION_INPUTS }, shards, holds },
      {
        overlay: net.overlay,
        engine: createFakeEngine(),
        verify: verifySignature,
        secret: new Uint8Array(32).fill(5),
        log: silentLog,
      },
    );
    const accused: Accused[] = net.hosters.map(({ node, peer }) => ({ node, peer }));
    return auditor.audit(accused, rate, never);
  }

  function said(verdicts: readonly AuditVerdict[]): readonly string[] {
    return verdicts.map(({ accused, shard, bad }) => `${bad ? 'bad' : 'good'} ${accused} ${shard}`).sort();
  }

  /** What a hop's engine gives, and on its own for single shards. */
  function cheat(
    i: number,
    alter: (from: number, to: number, outputs: readonly NamedTensor[]) => readonly NamedTensor[],
  ) {
    const engine = net.hosters[i]?.engine as { run: Engine['run'] };
    const honest = engine.run;
    engine.run = async (range, ...rest) => alter(range.from, range.to, await honest(range, ...rest));
  }

  const scaled = (outputs: readonly NamedTensor[], factor: number): readonly NamedTensor[] =>
    outputs.map((one) => ({
      ...one,
      data: Float32Array.from(Array.from<number | bigint, number>(one.data, Number), (value) => value * factor),
    }));

  it('stand when the work was honest; the client has a receipt of each hop for each run', async () => {
    await start();
    const { receipts, failovers } = await serve();
    assert.deepEqual([receipts.length, failovers], [2 * RUNS, 0]);
    assert.deepEqual(said(await audit()), [...Array(RUNS).fill('good 1 0'), ...Array(RUNS).fill('good 2 2')]);
  });

  it('name who hands on other tensors than its shards give, at the shard', async () => {
    await start();
    cheat(0, (_from, to, outputs) => (to === 2 ? scaled(outputs, 1.02) : outputs));
    await serve();
    assert.deepEqual(said(await audit()), [...Array(RUNS).fill('bad 1 1'), ...Array(RUNS).fill('good 2 2')]);
  });

  it('name who gives other results, at the first shard that differs', async () => {
    await start();
    cheat(1, (from, _to, outputs) => (from === 2 ? scaled(outputs, 0.97) : outputs));
    await serve();
    assert.deepEqual(said(await audit()), [...Array(RUNS).fill('bad 2 2'), ...Array(RUNS).fill('good 1 0')]);
  });

  it('name who hands on another mask than it was given', async () => {
    await start();
    cheat(0, (_from, _to, outputs) => [...outputs, { name: 'weight', dims: [2, 3], data: new Int32Array(6) }]);
    await serve();
    assert.equal(said(await audit()).filter((one) => one.startsWith('bad 1')).length, RUNS);
  });

  it('look at the share that the policy names, and are open to nobody but validators', async () => {
    await start();
    await serve();
    assert.deepEqual(await audit(0n), []);
    await net.close();
    net = await startNet({ stateless: true, hosters: 2, shardsOf: (i) => [2 * i, 2 * i + 1], mayAudit: () => false });
    await serve();
    assert.deepEqual(await audit(), []);
  });
});

describe('a client of stateless models', () => {
  let net: Net;
  beforeEach(async () => {
    net = await startNet({ stateless: true });
  });
  afterEach(() => net.close());

  it('leaves a hop whose receipts it did not sign, and gets the rest elsewhere', async () => {
    const one = (i: number): NamedTensor[] => [
      { name: 'x.0', dims: [1, 1, 2], data: Float32Array.of(i, 2) },
      { name: 'weight', dims: [1, 1], data: Int32Array.of(1) },
    ];
    const calls = [1, 2, 3].map((i) => ({ tensors: one(i), fits: () => true }));
    const honest = await Array.fromAsync(net.client.run(calls, never));
    const run = net.client.run(calls, never);
    const results = run[Symbol.asyncIterator]();
    const found = [(await results.next()).value];
    const liar = net.hosters.find(({ node }) => node === run.route[0]?.node);
    assert.ok(liar);
    Object.assign(liar.identity, { sign: () => new Uint8Array(64) });
    for (let next = await results.next(); next.done !== true; next = await results.next()) {
      found.push(next.value);
      await net.settle();
    }
    assert.deepEqual(found, honest);
    assert.ok(run.failovers > 0);
    assert.ok(run.route.every(({ node }) => node !== liar.node));
  });

  it('opens another session when one has had as many runs as a hop keeps receipts for', async () => {
    const x: NamedTensor[] = [
      { name: 'x.0', dims: [1, 1, 2], data: Float32Array.of(1, 2) },
      { name: 'weight', dims: [1, 1], data: Int32Array.of(1) },
    ];
    const calls = Array.from({ length: 514 }, () => ({ tensors: x, fits: () => true }));
    const run = net.client.run(calls, never);
    let results = 0;
    for await (const _ of run) results += 1;
    assert.deepEqual([results, run.failovers], [514, 0]);
    assert.equal(run.receipts.length, 2 * run.route.length);
  });
});
