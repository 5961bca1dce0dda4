// Receipts without engines: what a transcript signs for, what the client's check finds, what the ledger keeps.

import assert from 'node:assert/strict';
import { chainNext, chainStart, SEGMENT_POSITIONS } from '../../../src/consensus/receipt.ts';
import type { TopLogits } from '../../../src/engine/types.ts';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import { createReceiptCheck, type ReceiptCheck } from '../../../src/receipts/check.ts';
import { createAuditLedger, type ServedSession } from '../../../src/receipts/ledger.ts';
import { createTranscript, type Transcript } from '../../../src/receipts/transcript.ts';
import type { BlockNumber, ShardIndex } from '../../../src/types/ids.ts';
import type { SessionId } from '../../../src/wire/infer.ts';
import { decodeReceipt, decodeUsage, type Receipt, signReceipt, signUsage } from '../../../src/wire/receipt.ts';
import { idsToBytes, rowsToBytes } from '../../../src/wire/tensor.ts';

const SESSION = 'ab'.repeat(16) as SessionId;
const MANIFEST = 'cd'.repeat(32);
const BLOCK = 9 as BlockNumber;
const WIDTH = 4;
const ROUTE = [0, 1].map((i) => ({
  from: i as ShardIndex,
  to: (i + 1) as ShardIndex,
  peer: identityFromSeed(new Uint8Array(32).fill(i + 1)).peer,
}));
const SIGNERS = [0, 1].map((i) => identityFromSeed(new Uint8Array(32).fill(i + 1)));
const FACTS = { session: SESSION, manifest: MANIFEST, codec: 'f16' as const };

function transcriptOf(hop: number): Transcript {
  const run = ROUTE[hop] as (typeof ROUTE)[number];
  return createTranscript({ ...FACTS, run, next: ROUTE[hop + 1], rms: 1, keeps: true });
}

function hidden(position: number, count: number): Float32Array {
  return Float32Array.from({ length: count * WIDTH }, (_, i) => Math.sin(position * WIDTH + i));
}

function top(position: number): TopLogits {
  return {
    ids: Int32Array.from([position % 7, 8]),
    values: Float32Array.from([1, 0.5]),
    logSumExp: 2,
  };
}

/** Two hops and the client's check, fed by hand. */
function session() {
  const transcripts = [transcriptOf(0), transcriptOf(1)] as const;
  const check = createReceiptCheck({ ...FACTS, route: ROUTE }, verifySignature);
  const [first, last] = transcripts;
  function step(position: number, ids: readonly number[], draw: boolean): void {
    check.sent(position, ids);
    const data = hidden(position, ids.length);
    const tensor = rowsToBytes('f16', data);
    first.take(position, ids.length, idsToBytes(ids));
    first.give(position, data, tensor);
    last.take(position, ids.length, tensor);
    if (!draw) return;
    const next = position + ids.length;
    last.draw(next, next % 7, top(next));
    check.drew(next, next % 7);
  }
  function receipts(hop: 0 | 1, ended: boolean): readonly Receipt[] {
    return transcripts[hop].due(BLOCK, ended);
  }
  return { check, step, receipts, transcripts };
}

function signed(receipt: Receipt, hop: number): Uint8Array {
  return signReceipt(receipt, SIGNERS[hop] as (typeof SIGNERS)[number]).bytes;
}

function takeAll(check: ReceiptCheck, receipts: readonly Receipt[], hop: number): void {
  for (const receipt of receipts) assert.equal(check.take(hop, signed(receipt, hop)), undefined);
}

const PROMPT = Array.from({ length: 40 }, (_, i) => i);

describe('transcript', () => {
  it('signs a segment when no step can take it back any more, and the rest at the end', () => {
    const { step, receipts } = session();
    step(0, PROMPT, true);
    assert.deepEqual(receipts(0, false), [], '40 rows: the last 16 may be taken back');
    for (let at = 40; at < 48; at += 1) step(at, [at], true);
    const [whole, ...none] = receipts(0, false);
    assert.deepEqual(none, []);
    assert.deepEqual([whole?.position, whole?.count], [0, SEGMENT_POSITIONS]);
    const [rest] = receipts(0, true);
    assert.deepEqual([rest?.position, rest?.count], [32, 16]);
    assert.deepEqual(receipts(0, true), []);
  });

  it('forgets rows that are taken back, and what was computed from them', () => {
    const { step, receipts } = session();
    const straight = session();
    for (const one of [{ step }, straight]) one.step(0, PROMPT, true);
    for (const guess of [40, 41, 42]) step(guess, [7], true);
    for (const one of [{ step }, straight]) for (let at = 40; at < 50; at += 1) one.step(at, [at], true);
    assert.deepEqual(receipts(0, true), straight.receipts(0, true));
    assert.deepEqual(receipts(1, true), straight.receipts(1, true));
  });

  it('keeps the rows that came in, and the tokens drawn behind them', () => {
    const { step, receipts, transcripts } = session();
    step(0, PROMPT, true);
    step(40, [3], true);
    receipts(1, true);
    const [first, last] = transcripts;
    assert.deepEqual(first.rows(2), idsToBytes([0, 1]));
    assert.equal(first.bytes, 41 * 4);
    assert.equal(last.rows(41).length, 41 * WIDTH * 2);
    assert.deepEqual(last.drawn(40), [{ position: 40, id: 5 }]);
    assert.deepEqual(last.drawn(41).at(-1), { position: 41, id: 6 });
  });

  it('binds its chain to session, model and run', () => {
    const start = { ...FACTS, from: 0, to: 1 };
    const row = idsToBytes([1]);
    const chains = [
      start,
      { ...start, session: '00'.repeat(16) },
      { ...start, to: 2 },
      { ...start, codec: 'f32' as const },
    ];
    assert.equal(new Set(chains.map((one) => Buffer.from(chainNext(chainStart(one), row)).toString('hex'))).size, 4);
  });
});

describe('receipt', () => {
  it('comes back as it went, and is a reason when a byte of it is changed, or another receipt that is not signed', () => {
    const { step, receipts } = session();
    step(0, PROMPT, true);
    const [receipt] = receipts(0, true);
    assert.ok(receipt !== undefined);
    const bytes = signed(receipt, 0);
    const read = decodeReceipt(bytes);
    const peer = ROUTE[0]?.peer;
    assert.ok(peer !== undefined && read.ok);
    assert.ok(verifySignature(peer, read.value.message, read.value.signature));
    assert.deepEqual(read.value.value, receipt);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = decodeReceipt(bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
      assert.ok(!changed.ok || !verifySignature(peer, changed.value.message, changed.value.signature), `byte ${at}`);
    }
  });

  it('of usage comes back too', () => {
    const peer = ROUTE[0]?.peer;
    assert.ok(peer !== undefined);
    const usage = { session: SESSION, hop: 0, peer, positions: 41, tokens: 2 };
    const read = decodeUsage(signUsage(usage, SIGNERS[1] as (typeof SIGNERS)[number]).bytes);
    assert.deepEqual(read.ok && read.value.value, usage);
  });
});

describe('receipt check', () => {
  it('takes what follows from the rows sent and the tokens drawn, with guesses taken back', () => {
    const { check, step, receipts } = session();
    step(0, PROMPT, true);
    for (const guess of [40, 41, 42]) step(guess, [7], true);
    for (let at = 40; at < 90; at += 1) step(at, [at], true);
    for (const hop of [0, 1] as const) takeAll(check, receipts(hop, false), hop);
    assert.deepEqual(check.owing(), [0, 1]);
    for (const hop of [1, 0] as const) takeAll(check, receipts(hop, true), hop);
    assert.deepEqual(check.owing(), []);
    assert.equal(check.listed().length, 6);
    assert.deepEqual(check.usage(), { positions: 90, tokens: 51 });
  });

  it('names both neighbours when their stories differ, one hop when it contradicts the client', () => {
    const lie = new Uint8Array(32);
    const { check, step, receipts } = session();
    step(0, PROMPT, true);
    const [first] = receipts(0, true);
    const [last] = receipts(1, true);
    assert.ok(first !== undefined && last !== undefined);
    assert.deepEqual(check.take(0, signed({ ...first, taken: lie }, 0))?.hops, [0]);
    assert.deepEqual(check.take(1, signed({ ...last, given: lie }, 1))?.hops, [1]);
    assert.equal(check.take(0, signed(first, 0)), undefined);
    assert.deepEqual(check.take(1, signed({ ...last, taken: lie }, 1))?.hops, [0, 1]);
    assert.equal(check.take(1, signed(last, 1)), undefined);
  });

  it('refuses what is badly signed, of something else, out of order, or for more than was sent', () => {
    const { check, step, receipts } = session();
    step(0, PROMPT, true);
    const [whole, rest] = receipts(0, true);
    assert.ok(whole !== undefined && rest !== undefined);
    const bad: readonly (readonly [string, Uint8Array])[] = [
      ['signed by another', signed(whole, 1)],
      ['no receipt', new Uint8Array(9)],
      ['another session', signed({ ...whole, session: '00'.repeat(16) as SessionId }, 0)],
      ['another model', signed({ ...whole, manifest: '00'.repeat(32) }, 0)],
      ['another run', signed({ ...whole, to: 2 as ShardIndex }, 0)],
      ['another codec', signed({ ...whole, codec: 'f32' }, 0)],
      ['out of order', signed(rest, 0)],
    ];
    for (const [what, bytes] of bad) assert.deepEqual(check.take(0, bytes)?.hops, [0], what);
    assert.equal(check.take(0, signed(whole, 0)), undefined);
    assert.deepEqual(check.take(0, signed(whole, 0))?.hops, [0], 'twice');
    assert.deepEqual(check.take(0, signed({ ...rest, count: 30 }, 0))?.hops, [0], 'more than was sent');
    assert.equal(check.take(0, signed(rest, 0)), undefined);
    assert.deepEqual(check.take(0, signed({ ...rest, position: 40 }, 0))?.hops, [0], 'behind the last');
  });
});

describe('audit ledger', () => {
  function served(name: number, bytes: number, block = 1): ServedSession {
    const { step, receipts } = session();
    step(0, PROMPT, true);
    const all = receipts(0, true).map((receipt) => signReceipt(receipt, SIGNERS[0] as (typeof SIGNERS)[number]));
    return {
      session: name.toString(16).padStart(32, '0') as SessionId,
      hop: 0,
      codec: 'f16',
      run: { from: 0 as ShardIndex, to: 1 as ShardIndex },
      length: 40,
      request: new Uint8Array(0),
      receipts: all,
      rows: () => new Uint8Array(bytes),
      drawn: () => [],
      bytes,
      usage: new Uint8Array(0),
      block: block as BlockNumber,
    };
  }
  const names = (ledger: ReturnType<typeof createAuditLedger>) =>
    ledger.sessions().map(({ session: id }) => Number.parseInt(id, 16));

  it('forgets the oldest when its budget is used up, and what is too old', () => {
    const ledger = createAuditLedger(100);
    for (const i of [1, 2, 3]) ledger.keep(served(i, 40, i));
    assert.deepEqual(names(ledger), [3, 2]);
    ledger.forgetBefore(3 as BlockNumber);
    assert.deepEqual(names(ledger), [3]);
    ledger.keep({ ...served(4, 40), receipts: [] });
    assert.deepEqual(names(ledger), [3], 'without receipts there is nothing to audit');
  });

  it('makes room for sessions that open, never beyond its budget', () => {
    const ledger = createAuditLedger(100);
    ledger.keep(served(1, 40));
    assert.equal(ledger.reserve(80), true);
    assert.deepEqual(names(ledger), []);
    assert.equal(ledger.reserve(21), false);
    ledger.free(80);
    assert.equal(ledger.reserve(100), true);
  });
});
