// Commitments, and payloads that parse or do not (protocol.md 6).

import {
  type Binding,
  commitmentOf,
  decodeHosterPayload,
  decodeScorePayload,
  encodeHosterPayload,
  encodeScorePayload,
} from '../../src/consensus/commitment.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { type Epoch, type NodeId, ONE, type ShardIndex, type SubnetId } from '../../src/types/ids.ts';
import { peerToBytes } from '../../src/types/peer-id.ts';
import { concatBytes, fromHex, toHex } from '../../src/util/bytes.ts';
import { type Cbor, encodeCbor } from '../../src/util/cbor.ts';
import { drawn, EPOCH, fill, GENESIS, MANIFEST, SUBNET } from './common.ts';

const U32 = 0xffff_ffff;
const { peer } = identityFromSeed(fill(9));
const sketchBytes = (k: number): Uint8Array => drawn(`sketch ${k}`, 512);
const shardsOf = (count: number): Uint8Array =>
  encodeHosterPayload(
    Array.from({ length: count }, (_, k) => ({ shard: (k * 3) as ShardIndex, sketch: sketchBytes(k) })),
  );

const BINDING: Binding = {
  what: 'hoster',
  genesis: GENESIS,
  subnet: SUBNET,
  epoch: EPOCH,
  node: 3 as NodeId,
  peer,
  manifest: MANIFEST,
  audits: false,
};

const commitments = [
  { binding: BINDING, salt: fill(5), payload: shardsOf(1) },
  { binding: { ...BINDING, audits: true }, salt: fill(5), payload: shardsOf(1) },
  {
    binding: { ...BINDING, what: 'score' as const },
    salt: fill(6),
    payload: encodeScorePayload([{ nodeId: 3 as NodeId, score: ONE / 2n }]),
  },
  { binding: BINDING, salt: drawn('salt', 32), payload: shardsOf(24) },
  { binding: BINDING, salt: fill(0), payload: new Uint8Array() },
  {
    binding: { ...BINDING, genesis: fill(255), subnet: U32 as SubnetId, epoch: U32 as Epoch, node: U32 as NodeId },
    salt: fill(255),
    payload: fill(255, 100),
  },
].map(({ binding, salt, payload }) => ({
  ...binding,
  genesis: toHex(binding.genesis),
  manifest: toHex(binding.manifest),
  peerBytes: toHex(peerToBytes(binding.peer)),
  salt: toHex(salt),
  payload: toHex(payload),
  commitment: toHex(commitmentOf(binding, { salt, payload })),
}));

const one = sketchBytes(0);
const raw = (value: Cbor): Uint8Array => encodeCbor(value);
const hosterPayloads = [
  shardsOf(0),
  shardsOf(1),
  shardsOf(24),
  raw([[65_535, one]]),
  // What follows does not parse.
  shardsOf(25),
  raw([[65_536, one]]),
  raw([
    [1, one],
    [1, one],
  ]),
  raw([
    [2, one],
    [1, one],
  ]),
  raw([[0, one.subarray(1)]]),
  raw([[0, concatBytes(one, fill(0, 1))]]),
  raw([[0, one, 1]]),
  raw([0, one]),
  raw({ a: 1 }),
  raw([[0, 'text']]),
  new Uint8Array(),
  concatBytes(shardsOf(1), fill(0, 1)),
  // A key of two bytes that fits one, and a list of unknown length.
  fromHex(`8182180059 0200${toHex(one)}`.replace(' ', '')),
  fromHex(`9f8200590200${toHex(one)}ff`),
].map((bytes) => ({
  bytes: toHex(bytes),
  shards: decodeHosterPayload(bytes)?.map(({ shard, sketch }) => [shard, toHex(sketch)]) ?? null,
}));

const score = (id: number, value: bigint | number): Cbor => [id, value];
const scorePayloads = [
  raw([]),
  raw([score(0, 0), score(1, 1), score(U32, ONE)]),
  raw([
    score(1, 2 ** 53 - 1),
    score(2, 2n ** 53n),
    score(3, 23),
    score(4, 24),
    score(5, 255),
    score(6, 256),
    score(7, 65_536),
  ]),
  raw(Array.from({ length: 256 }, (_, i) => score(i + 1, ONE - BigInt(i)))),
  // What follows does not parse.
  raw(Array.from({ length: 257 }, (_, i) => score(i + 1, 1))),
  raw([score(1, ONE + 1n)]),
  raw([score(1, 2n ** 64n - 1n)]),
  raw([score(2 ** 32, 1)]),
  raw([score(2, 1), score(1, 1)]),
  raw([score(1, 1), score(1, 1)]),
  raw([[1]]),
  raw([[1, fill(1, 2)]]),
  raw('text'),
  new Uint8Array(),
  // [1, -1], [1, 1.0], [1, 1 in two bytes], [1, null], a tag.
  ...['81820120', '818201f93c00', '8182011801', '818201f6', 'c1818201 01'].map((hex) => fromHex(hex.replace(' ', ''))),
].map((bytes) => ({
  bytes: toHex(bytes),
  scores: decodeScorePayload(bytes)?.map(({ nodeId, score: value }) => [nodeId, String(value)]) ?? null,
}));

export const commitment = {
  comment: 'null: the payload does not parse and is as if absent; scores are decimal strings',
  commitments,
  hosterPayloads,
  scorePayloads,
};
