// Records as bytes (protocol.md 3, 4, 14): what comes back, what is refused, and that nothing a stranger sends is thrown.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import { peerFromPublicKey } from '../../../src/types/peer-id.ts';
import type { RecordBody } from '../../../src/types/record.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../src/util/cbor.ts';
import {
  decodeRecord,
  encodeBody,
  MAX_RECORD_BYTES,
  recordId,
  signedMessage,
  signRecord,
} from '../../../src/wire/record.ts';
import { formatRecordKey, keyOfBody, parseRecordKey } from '../../../src/wire/record-key.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(9));
const u32 = fc.nat({ max: 0xffff_ffff });
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const head = fc.record({
  genesis: hash,
  subnet: u32.map((n) => n as SubnetId),
  epoch: u32.map((n) => n as Epoch),
  node: u32.map((n) => n as NodeId),
});
const shards = fc
  .uniqueArray(fc.nat({ max: 0xffff }), { maxLength: 20 })
  .map((all) => all.sort((a, b) => a - b) as ShardIndex[]);
const announced = fc.record({
  shards,
  addresses: fc.array(fc.string({ maxLength: 80 }), { maxLength: 16 }),
  load: fc.nat({ max: 1000 }),
  rowsPerSecond: u32,
  freePositions: u32,
  memoryMiB: u32,
  version: fc.string({ maxLength: 20 }),
  block: fc.nat({ max: 0xffff_ff00 }).map((b) => b as BlockNumber),
  life: fc.integer({ min: 1, max: 15 }),
});
const opening = fc.record({ salt: hash, payload: fc.uint8Array({ maxLength: 20_000 }) });

const held = fc.uint8Array({ maxLength: 4 }).map((seats) => ({
  seats,
  ids: new Uint8Array(16 * seats.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)).fill(7),
}));
const verdict = fc.record(
  {
    accused: u32.map((n) => n as NodeId),
    shard: fc.nat({ max: 0xffff }).map((n) => n as ShardIndex),
    segment: hash,
    bad: fc.boolean(),
  },
  { noNullPrototype: true },
);

const body: fc.Arbitrary<RecordBody> = fc.oneof(
  fc
    .tuple(head, hash, hash, fc.boolean())
    .map(([h, commitment, manifest, audits]): RecordBody => ({ kind: 'hc', ...h, commitment, manifest, audits })),
  fc.tuple(head, opening).map(([h, o]): RecordBody => ({ kind: 'hr', ...h, ...o })),
  fc.tuple(head, hash).map(([h, commitment]): RecordBody => ({ kind: 'sc', ...h, commitment })),
  fc.tuple(head, opening).map(([h, o]): RecordBody => ({ kind: 'sr', ...h, ...o })),
  fc.tuple(head, hash, hash).map(([h, seed, digest]): RecordBody => ({ kind: 'pr', ...h, seed, digest })),
  fc
    .tuple(head, fc.array(held, { minLength: 4, maxLength: 4 }))
    .map(([h, all]): RecordBody => ({ kind: 'wa', ...h, held: all })),
  fc
    .tuple(head, fc.array(held, { minLength: 3, maxLength: 3 }))
    .map(([h, all]): RecordBody => ({ kind: 'wb', ...h, held: all })),
  fc
    .tuple(head, fc.array(verdict, { maxLength: 64 }))
    .map(([h, verdicts]): RecordBody => ({ kind: 'au', ...h, verdicts })),
  fc.tuple(head, announced, shards).map(([h, { life, ...a }, coming]): RecordBody => {
    const some = coming.length === 0 ? {} : { coming };
    return { kind: 'an', ...h, ...a, ...some, expires: (a.block + life) as BlockNumber };
  }),
);

const COMMIT: RecordBody = {
  kind: 'hc',
  genesis: new Uint8Array(32).fill(1),
  subnet: 128_001 as SubnetId,
  epoch: 7 as Epoch,
  node: 3 as NodeId,
  commitment: new Uint8Array(32).fill(2),
  manifest: new Uint8Array(32).fill(3),
  audits: false,
};

/** A record around any map. */
function wrapped(fields: { readonly [key: string]: Cbor }): Uint8Array {
  return encodeCbor([encodeCbor(fields), new Uint8Array(64)]);
}

function fieldsOf(one: RecordBody): { readonly [key: string]: Cbor } {
  return decodeCbor(encodeBody(one)) as { readonly [key: string]: Cbor };
}

describe('record', () => {
  it('comes back as it went, whatever its kind', () => {
    fc.assert(
      fc.property(body, (one) => {
        const record = signRecord(one, identity);
        const decoded = decodeRecord(record.bytes);
        assert.ok(decoded.ok);
        assert.deepEqual(decoded.record.body, one);
        assert.equal(toHex(decoded.record.bytes), toHex(record.bytes));
        assert.equal(toHex(decoded.record.id), toHex(record.id));
      }),
    );
  });

  it('is signed over its tag and body', () => {
    const record = signRecord(COMMIT, identity);
    assert.equal(verifySignature(identity.peer, signedMessage(record.bodyBytes), record.signature), true);
    assert.equal(verifySignature(identity.peer, record.bodyBytes, record.signature), false);
    assert.equal(toHex(record.id), toHex(recordId(record.bodyBytes)));
  });

  it('has the bytes and ids of the vectors, and the reasons of what is no record', () => {
    const vectors = JSON.parse(readFileSync(new URL('../../vectors/record.json', import.meta.url), 'utf8')) as {
      peer: string;
      largest: number;
      records: { kind: string; bytes: string; id: string }[];
      refused: { why: string; bytes: string; code: string }[];
      signatures: { why: string; key: string; message: string; signature: string; holds: boolean }[];
    };
    assert.equal(vectors.peer, identity.peer);
    assert.equal(vectors.largest, MAX_RECORD_BYTES);
    for (const { kind, bytes, id } of vectors.records) {
      const decoded = decodeRecord(fromHex(bytes));
      assert.ok(decoded.ok, kind);
      assert.equal(decoded.record.body.kind, kind);
      assert.equal(toHex(decoded.record.id), id);
      assert.equal(toHex(signRecord(decoded.record.body, identity).bytes), bytes);
    }
    for (const { why, bytes, code } of vectors.refused) {
      assert.deepEqual(decodeRecord(fromHex(bytes)), { ok: false, code }, why);
    }
    for (const { why, key, message, signature, holds } of vectors.signatures) {
      const peer = peerFromPublicKey(fromHex(key));
      assert.equal(verifySignature(peer, fromHex(message), fromHex(signature)), holds, why);
    }
  });

  it('is never an exception, and never another record, when a byte of it is changed', () => {
    fc.assert(
      fc.property(body, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, flip) => {
        const { bytes } = signRecord(one, identity);
        const changed = bytes.slice();
        changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ flip;
        const decoded = decodeRecord(changed);
        if (!decoded.ok) return assert.equal(decoded.code, 'RECORD_MALFORMED');
        const { bodyBytes, signature } = decoded.record;
        assert.equal(verifySignature(identity.peer, signedMessage(bodyBytes), signature), false);
      }),
    );
  });

  it('is never an exception for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.equal(decodeRecord(bytes).ok, false)));
    assert.equal(decodeRecord(new Uint8Array(20_000).fill(0x81)).ok, false);
  });

  it('is refused by its size before it is looked at', () => {
    assert.deepEqual(decodeRecord(new Uint8Array(MAX_RECORD_BYTES + 1)), { ok: false, code: 'RECORD_TOO_LARGE' });
  });

  const bad: Readonly<Record<string, Uint8Array>> = {
    'an unknown key': wrapped({ ...fieldsOf(COMMIT), y: 1 }),
    'a missing key': wrapped(Object.fromEntries(Object.entries(fieldsOf(COMMIT)).filter(([key]) => key !== 'm'))),
    'an unknown kind': wrapped({ ...fieldsOf(COMMIT), t: 'zz' }),
    'a kind of the prototype': wrapped({ ...fieldsOf(COMMIT), t: 'constructor' }),
    'another version': wrapped({ ...fieldsOf(COMMIT), v: 2 }),
    'a short hash': wrapped({ ...fieldsOf(COMMIT), c: new Uint8Array(31) }),
    'a node beyond u32': wrapped({ ...fieldsOf(COMMIT), n: 2 ** 32 }),
    'a flag of 2': wrapped({ ...fieldsOf(COMMIT), a: 2 }),
    'a short signature': encodeCbor([encodeBody(COMMIT), new Uint8Array(63)]),
    'three parts': encodeCbor([encodeBody(COMMIT), new Uint8Array(64), 0]),
    'keys out of order': encodeCbor([
      fromHex(toHex(encodeBody({ ...COMMIT, kind: 'sc' } as RecordBody)).replace(/^a7(6163.{68})(.*)$/, 'a7$2$1')),
      new Uint8Array(64),
    ]),
  };
  for (const [name, bytes] of Object.entries(bad)) {
    it(`is malformed with ${name}`, () => {
      assert.deepEqual(decodeRecord(bytes), { ok: false, code: 'RECORD_MALFORMED' });
    });
  }

  it('is malformed as an announcement that lives too long or names shards out of order', () => {
    const announce: RecordBody = {
      ...{ genesis: COMMIT.genesis, subnet: COMMIT.subnet, epoch: COMMIT.epoch, node: COMMIT.node },
      kind: 'an',
      shards: [0, 2] as ShardIndex[],
      addresses: [],
      load: 0,
      rowsPerSecond: 0,
      freePositions: 0,
      memoryMiB: 0,
      version: '',
      block: 100 as BlockNumber,
      expires: 115 as BlockNumber,
    };
    const ok = (one: RecordBody) => decodeRecord(signRecord(one, identity).bytes).ok;
    assert.equal(ok(announce), true);
    assert.equal(ok({ ...announce, expires: 116 as BlockNumber }), false);
    assert.equal(ok({ ...announce, expires: 100 as BlockNumber }), false);
    assert.equal(ok({ ...announce, shards: [2, 0] as ShardIndex[] }), false);
    assert.equal(ok({ ...announce, shards: [2, 2] as ShardIndex[] }), false);
    assert.equal(ok({ ...announce, coming: [1, 3] as ShardIndex[] }), true);
    assert.equal(ok({ ...announce, coming: [3, 1] as ShardIndex[] }), false);
    assert.equal(ok({ ...announce, coming: [] }), false, 'nothing is coming: the key is absent');
  });
});

describe('record key', () => {
  it('comes back as it went', () => {
    fc.assert(
      fc.property(body, (one) => {
        const { kind, subnet, epoch, node } = one;
        assert.deepEqual(parseRecordKey(keyOfBody(one)), { kind, subnet, epoch, node });
      }),
    );
    assert.equal(formatRecordKey(COMMIT), '/tsr/hc/128001/7/3');
  });

  it('has one spelling only', () => {
    for (const text of [
      '',
      '/tsr/hc/128001/7',
      '/tsr/hc/128001/7/3/4',
      'tsr/hc/128001/7/3',
      '/tsr/zz/128001/7/3',
      '/tsr/hc/128001/07/3',
      '/tsr/hc/128001/7/-3',
      '/tsr/hc/128001/7/3.0',
      '/tsr/hc/128001/7/4294967296',
      '/tsr/hc/128001/7/ 3',
      `/tsr/hc/128001/7/${'3'.repeat(100)}`,
    ]) {
      assert.equal(parseRecordKey(text), undefined, text);
    }
  });
});
