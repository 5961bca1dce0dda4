// Records of every kind, bytes that are none, and signatures at the edge of the equation (protocol.md 3, 4, 14).

import { createHash } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { peerFromPublicKey, peerToPublicKey } from '../../src/types/peer-id.ts';
import type { RecordBody } from '../../src/types/record.ts';
import { encodeBitmap } from '../../src/util/bitmap.ts';
import { concatBytes, fromHex, toHex, utf8 } from '../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../src/util/cbor.ts';
import { decodeRecord, MAX_RECORD_BYTES, signedMessage, signRecord } from '../../src/wire/record.ts';
import { drawn, EPOCH, fill, GENESIS, MANIFEST, SEED, SUBNET } from './common.ts';

const U32 = 0xffff_ffff;
const identity = identityFromSeed(fill(9));
const head = { genesis: GENESIS, subnet: SUBNET, epoch: EPOCH, node: 3 as NodeId };
const farHead = { genesis: fill(255), subnet: U32 as SubnetId, epoch: U32 as Epoch, node: U32 as NodeId };
const list = (seats: readonly number[], size: number) => ({
  seats: encodeBitmap(seats, size),
  ids: concatBytes(...seats.map((seat) => drawn(`id ${seat}`, 16))),
});
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
const ALL = list(range(256), 256);
const NONE = list([], 10);
const SOME = list([0, 2, 9], 10);

const announce = {
  kind: 'an',
  ...head,
  shards: [0, 1, 3] as ShardIndex[],
  addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${identity.peer}`],
  load: 250,
  rowsPerSecond: 900,
  freePositions: 4_096,
  memoryMiB: 512,
  version: '0.1.0',
  block: 143 as BlockNumber,
  expires: 158 as BlockNumber,
} as const;

const BODIES: readonly RecordBody[] = [
  { kind: 'hc', ...head, commitment: fill(7), manifest: MANIFEST, audits: false },
  { kind: 'hc', ...farHead, commitment: fill(7), manifest: MANIFEST, audits: true },
  { kind: 'hr', ...head, salt: fill(5), payload: drawn('payload', 521) },
  { kind: 'hr', ...head, salt: fill(5), payload: new Uint8Array() },
  { kind: 'hr', ...head, epoch: 0 as Epoch, node: 0 as NodeId, salt: fill(5), payload: drawn('payload', 24 * 521 + 2) },
  { kind: 'sc', ...head, commitment: fill(8) },
  { kind: 'sr', ...head, salt: fill(6), payload: drawn('scores', 23) },
  { kind: 'sr', ...head, salt: fill(6), payload: drawn('scores', 24) },
  { kind: 'sr', ...head, salt: fill(6), payload: drawn('scores', 256) },
  { kind: 'pr', ...head, seed: fromHex(SEED), digest: fill(8) },
  { kind: 'wa', ...head, held: [SOME, SOME, NONE, NONE] },
  { kind: 'wa', ...head, held: [ALL, ALL, ALL, ALL] },
  { kind: 'wb', ...head, held: [SOME, NONE, SOME] },
  { kind: 'wb', ...head, held: [list([], 0), list([7], 8), list([8], 9)] },
  { kind: 'au', ...head, verdicts: [] },
  {
    kind: 'au',
    ...head,
    verdicts: range(64).map((i) => ({
      accused: (i === 63 ? U32 : i) as NodeId,
      shard: (i * 1040) as ShardIndex,
      segment: drawn(`segment ${i}`, 32),
      bad: i % 3 === 0,
    })),
  },
  announce,
  { ...announce, shards: [], addresses: [], load: 1000, expires: 144 as BlockNumber, version: '' },
  {
    ...announce,
    shards: range(256) as ShardIndex[],
    addresses: range(16).map((i) => `/dns4/${'x'.repeat(200)}.${i}/tcp/1`),
  },
];

const records = BODIES.map((body) => {
  const record = signRecord(body, identity);
  return { kind: body.kind, epoch: body.epoch, node: body.node, bytes: toHex(record.bytes), id: toHex(record.id) };
});

/** Signed all the same: what is wrong is the body. */
function wrapped(bodyBytes: Uint8Array): Uint8Array {
  return encodeCbor([bodyBytes, identity.sign(signedMessage(bodyBytes))]);
}

const good = signRecord(BODIES[0] as RecordBody, identity);
const map = decodeCbor(good.bodyBytes) as { readonly [key: string]: Cbor };
const withFields = (changes: { readonly [key: string]: Cbor }): Uint8Array =>
  wrapped(encodeCbor({ ...map, ...changes }));
const without = (key: string): Uint8Array =>
  wrapped(encodeCbor(Object.fromEntries(Object.entries(map).filter(([name]) => name !== key))));
/** The body with one spelling replaced by another. */
const respelled = (from: string, to: string): Uint8Array => {
  const body = toHex(good.bodyBytes);
  if (!body.includes(from)) throw new Error(`${from} is not in ${body}`);
  return wrapped(fromHex(body.replace(from, to)));
};
const bodyOf = (body: RecordBody): { readonly [key: string]: Cbor } =>
  decodeCbor(signRecord(body, identity).bodyBytes) as { readonly [key: string]: Cbor };
const witness = (held: Cbor): Uint8Array =>
  wrapped(encodeCbor({ ...bodyOf({ kind: 'wb', ...head, held: [SOME, SOME, SOME] }), h: held }));
const seats = (of: { seats: Uint8Array; ids: Uint8Array }): Cbor => [of.seats, of.ids];
const audit = (verdicts: Cbor): Uint8Array =>
  wrapped(encodeCbor({ ...bodyOf({ kind: 'au', ...head, verdicts: [] }), q: verdicts }));
const announced = (changes: { readonly [key: string]: Cbor }): Uint8Array =>
  wrapped(encodeCbor({ ...bodyOf(announce), ...changes }));

const refused: readonly (readonly [string, Uint8Array])[] = [
  ['nothing', new Uint8Array()],
  ['a number', encodeCbor(1)],
  ['a list of three', encodeCbor([good.bodyBytes, good.signature, 1])],
  ['a signature of 63 bytes', encodeCbor([good.bodyBytes, good.signature.subarray(1)])],
  ['a body that is a map, not bytes', encodeCbor([map, good.signature])],
  ['a byte more', concatBytes(good.bytes, fill(0, 1))],
  ['a byte less', good.bytes.subarray(0, good.bytes.length - 1)],
  ['a list of unknown length', fromHex(`9f${toHex(good.bytes).slice(2)}ff`)],
  ['no kind', without('t')],
  ['an unknown kind', withFields({ t: 'hx' })],
  ['a kind out of a prototype', withFields({ t: 'constructor' })],
  ['a kind that is a number', withFields({ t: 1 })],
  ['version 2', withFields({ v: 2 })],
  ['no version', without('v')],
  ['one key more', withFields({ zz: 1 })],
  ['one key less', without('m')],
  ['a genesis of 31 bytes', withFields({ g: fill(1, 31) })],
  ['an epoch beyond 32 bits', withFields({ e: 2 ** 32 })],
  ['a node beyond 53 bits', withFields({ n: 2n ** 53n })],
  ['a text for a number', withFields({ s: '128001' })],
  ['a 2 where 0 or 1 stands', withFields({ a: 2 })],
  ['a commitment of 33 bytes', withFields({ c: fill(7, 33) })],
  // "e": 7 as 7 in two bytes, as -8, 7.0 as half, single and double float, null, undefined, true, with a tag.
  ...['1807', '27', 'f94700', 'fa40e00000', 'fb401c000000000000', 'f6', 'f7', 'f5', 'c107'].map(
    (spelling): readonly [string, Uint8Array] => [
      `an epoch spelled ${spelling}`,
      respelled('616507', `6165${spelling}`),
    ],
  ),
  ['a key twice', wrapped(fromHex(`aa${toHex(good.bodyBytes).slice(2)}616507`))],
  ['keys in another order', wrapped(reordered())],
  ['a list too few', witness([seats(SOME), seats(SOME)])],
  ['a list too many', witness([seats(SOME), seats(SOME), seats(SOME), seats(SOME)])],
  ['more seats than ids', witness([seats(SOME), seats(SOME), [SOME.seats, SOME.ids.subarray(16)]])],
  ['half an id', witness([seats(SOME), seats(SOME), [SOME.seats, SOME.ids.subarray(8)]])],
  ['a bitmap of 33 bytes', witness([seats(SOME), seats(SOME), [fill(0, 33), new Uint8Array()]])],
  ['65 verdicts', audit(Array.from({ length: 65 }, () => [1, 1, fill(1), 1]))],
  ['a verdict of 2', audit([[1, 1, fill(1), 2]])],
  ['a shard beyond 16 bits', audit([[1, 65_536, fill(1), 1]])],
  ['shards not ascending', announced({ k: [1, 0] })],
  ['a shard twice', announced({ k: [1, 1] })],
  ['expiring when it begins', announced({ x: 143 })],
  ['expiring after 16 blocks', announced({ x: 159 })],
  ['a load above 1000', announced({ l: 1001 })],
  ['17 addresses', announced({ a: Array.from({ length: 17 }, () => '/ip4/1.2.3.4') })],
  ['an address of 257 characters', announced({ a: ['x'.repeat(257)] })],
  ['257 shards', announced({ k: range(257).map(Number) })],
];

/** The body's map with its first two entries exchanged. */
function reordered(): Uint8Array {
  const body = toHex(good.bodyBytes);
  const first = '616100';
  if (!body.startsWith(`a9${first}`)) throw new Error('the body does not begin with "a": 0');
  return fromHex(`a9${body.slice(2 + first.length)}${first}`);
}

const { Point } = ed25519;
const ORDER = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
const TORSION = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

function toScalar(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function fromScalar(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

interface Triple {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Under the key [a]B + T with T of order 8 the cofactorless equation holds when 8 divides k, and else not. */
function withTorsion(holds: boolean): Triple {
  const [a, r] = [toScalar(drawn('a', 32)) % ORDER, toScalar(drawn('r', 32)) % ORDER];
  const key = Point.BASE.multiply(a).add(TORSION).toBytes();
  const commitment = Point.BASE.multiply(r).toBytes();
  for (let i = 0; ; i++) {
    const message = utf8(`torsion ${i}`);
    const k = toScalar(createHash('sha512').update(commitment).update(key).update(message).digest());
    if (((k % ORDER) % 8n === 0n) !== holds) continue;
    return { key, message, signature: concatBytes(commitment, fromScalar((r + (k % ORDER) * a) % ORDER)) };
  }
}

const message = utf8('signed');
const publicKey = peerToPublicKey(identity.peer);
const signature = identity.sign(message);
const other = identityFromSeed(fill(10));
const flipped = (at: number): Uint8Array => signature.map((byte, i) => (i === at ? byte ^ 1 : byte));

const triples: readonly (readonly [string, Triple])[] = [
  ['good', { key: publicKey, message, signature }],
  ['good over nothing', { key: publicKey, message: new Uint8Array(), signature: identity.sign(new Uint8Array()) }],
  ['another message', { key: publicKey, message: utf8('Signed'), signature }],
  ['another key', { key: peerToPublicKey(other.peer), message, signature }],
  ['a bit of R', { key: publicKey, message, signature: flipped(0) }],
  ['a bit of S', { key: publicKey, message, signature: flipped(32) }],
  ['the sign of R', { key: publicKey, message, signature: signature.map((byte, i) => (i === 31 ? byte ^ 128 : byte)) }],
  [
    'S + the group order',
    {
      key: publicKey,
      message,
      signature: concatBytes(signature.subarray(0, 32), fromScalar(toScalar(signature.subarray(32)) + ORDER)),
    },
  ],
  ['all zero', { key: publicKey, message, signature: fill(0, 64) }],
  ['a key with a torsion part, where 8 divides k', withTorsion(true)],
  ['a key with a torsion part, where it does not', withTorsion(false)],
];

export const record = {
  comment: 'signed by the Ed25519 key of the seed 09 x 32; every refused one carries a signature that would hold',
  peer: identity.peer,
  publicKey: toHex(publicKey),
  records,
  largest: MAX_RECORD_BYTES,
  refused: refused.map(([why, bytes]) => {
    const decoded = decodeRecord(bytes);
    return { why, bytes: toHex(bytes), code: decoded.ok ? 'taken' : decoded.code };
  }),
  signatures: triples.map(([why, { key, message: signed, signature: made }]) => ({
    why,
    key: toHex(key),
    message: toHex(signed),
    signature: toHex(made),
    holds: verifySignature(peerFromPublicKey(key), signed, made),
  })),
};
