// Damaged and malicious records through admission, however they come, while epochs pass: nothing throws, every refusal has a code, and what is
// held stays within the bounds of protocol.md 14. Some are damaged bytes, some are signed well by members that sign whatever they like.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ClockParams, firstBlock } from '../../src/consensus/phase.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import type { Identity } from '../../src/p2p/types.ts';
import type { Address, BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { EPOCH_KINDS, type RecordBody, type RecordKind, type SignedRecord } from '../../src/types/record.ts';
import type { Roster } from '../../src/types/subnet.ts';
import { encodeBitmap } from '../../src/util/bitmap.ts';
import { concatBytes, u32le } from '../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../src/util/cbor.ts';
import { sha256 } from '../../src/util/hash.ts';
import {
  type Answers,
  answer,
  decodeNamed,
  decodeRecords,
  decodeRequest,
  encodeRequest,
  MAX_EVIDENCE_FRAME,
} from '../../src/validator/evidence-protocol.ts';
import { createRecords, type Records, type Via } from '../../src/validator/records.ts';
import { decodeRecord, MAX_RECORD_BYTES, signedMessage, signRecord } from '../../src/wire/record.ts';
import { createChance } from './network.ts';

export interface MutantFigures {
  readonly mutants: number;
  /** Verdicts and codes, by how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** What was thrown; none should be. */
  readonly thrown: readonly string[];
  /** The most records held at once, and what the limits allow. */
  readonly held: number;
  readonly bound: number;
  /** Heap and buffers behind the first tenth, and at most after it, MiB. */
  readonly before: number;
  readonly most: number;
  readonly seconds: number;
}

const SEATS = 16;
const CLOCK: ClockParams = { slot: 3, epochLength: 20 };
const FIRST = 7;
const SUBNET = 128_001 as SubnetId;
const GENESIS = sha256(new Uint8Array(32).fill(1));
const VIAS: readonly Via[] = ['gossip', 'dht', 'pull', 'named', 'self'];
const KINDS: readonly RecordKind[] = [...EPOCH_KINDS, 'an'];
/** Epochs e-2..e+1 are kept, two records a slot, 256 third faces an epoch. */
const BOUND = 4 * (EPOCH_KINDS.length * SEATS * 2 + 256);
/** Signed records at hand. */
const POOL = 256;
/** Mutants to a block. */
const PER_BLOCK = 200;
const MIB = 2 ** 20;

type Dice = (below: number) => number;

interface World {
  /** Signed lately. */
  readonly pool: Signed[];
  readonly identities: readonly Identity[];
  readonly records: Records;
  readonly library: Answers;
  block: number;
}

function createWorld(): World {
  const identities = Array.from({ length: SEATS }, (_, i) => identityFromSeed(sha256(u32le(i))));
  const nodes = identities.map(({ peer }, i) => ({
    id: (i + 1) as NodeId,
    peer,
    hotkey: '0x' as Address,
    nodeClass: 'Validator' as const,
    startEpoch: 0 as Epoch,
  }));
  const world: { block: number; records?: Records } = { block: firstBlock(FIRST as Epoch, CLOCK) };
  // Final two blocks behind the head.
  const rosterOf = (epoch: Epoch): Roster | undefined =>
    firstBlock(epoch, CLOCK) + 2 <= world.block
      ? { epoch, nodes, validators: nodes.map(({ id }) => id), live: true }
      : undefined;
  const options = { genesis: GENESIS, subnet: SUBNET, node: 1 as NodeId, clock: CLOCK };
  const records = createRecords(options, { rosterOf, verify: verifySignature });
  records.observe(world.block as BlockNumber);
  const library: Answers = {
    held: records.held,
    byId: records.byId,
    named: () => undefined,
    facts: () => undefined,
    proof: () => undefined,
  };
  return Object.assign(world, { identities, records, library, pool: [] });
}

function anyBytes(dice: Dice, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => dice(256));
}

/** Well formed but for what the dice say. */
function anyBody(dice: Dice, epoch: number): RecordBody {
  const head = {
    genesis: GENESIS,
    subnet: (dice(50) === 0 ? dice(2 ** 32) : SUBNET) as SubnetId,
    epoch: (dice(20) === 0 ? dice(2 ** 32) : Math.max(0, epoch + dice(5) - 3)) as Epoch,
    node: (dice(30) === 0 ? dice(2 ** 32) : 1 + dice(SEATS)) as NodeId,
  };
  const hash = (): Uint8Array => anyBytes(dice, 32);
  const list = () => {
    const seats = Array.from({ length: SEATS }, (_, i) => i).filter(() => dice(2) === 0);
    const size = dice(20) === 0 ? 1 + dice(256) : SEATS;
    const fitting = seats.filter((seat) => seat < size);
    return { seats: encodeBitmap(fitting, size), ids: anyBytes(dice, 16 * fitting.length) };
  };
  const kind = KINDS[dice(KINDS.length)] as RecordKind;
  switch (kind) {
    case 'hc':
      return { kind, ...head, commitment: hash(), manifest: hash(), audits: dice(2) === 0 };
    case 'hr':
    case 'sr':
      return { kind, ...head, salt: hash(), payload: anyBytes(dice, dice(40) === 0 ? dice(25_000) : dice(200)) };
    case 'sc':
      return { kind, ...head, commitment: hash() };
    case 'wa':
      return { kind, ...head, held: [list(), list(), list(), list()] };
    case 'wb':
      return { kind, ...head, held: [list(), list(), list()] };
    case 'au':
      return {
        kind,
        ...head,
        verdicts: Array.from({ length: dice(65) }, () => ({
          accused: dice(2 ** 32) as NodeId,
          shard: dice(2 ** 16) as ShardIndex,
          segment: hash(),
          bad: dice(2) === 0,
        })),
      };
    case 'pr':
      return { kind, ...head, seed: hash(), digest: hash() };
    case 'an': {
      const block = dice(2 ** 31) as BlockNumber;
      const times = { block, expires: (block + 1 + dice(15)) as BlockNumber };
      const offer = { load: dice(1001), rowsPerSecond: 1, freePositions: 1, memoryMiB: 1, version: '1' };
      return { kind, ...head, shards: [], addresses: [], ...offer, ...times };
    }
  }
}

const WORDS: readonly Cbor[] = [0, 1, -0, 2 ** 32, 2 ** 53 - 1, 2n ** 64n - 1n, '', 'hc', '__proto__', [], {}, [[]]];

/** A value with a part of it exchanged, dropped or repeated. */
function twisted(value: Cbor, dice: Dice): Cbor {
  if (dice(4) === 0) return WORDS[dice(WORDS.length)] as Cbor;
  if (value instanceof Uint8Array) return damaged(value, dice);
  if (Array.isArray(value)) {
    const at = dice(Math.max(1, value.length));
    if (dice(3) === 0) return [...value, ...value].slice(0, dice(2 * value.length + 1));
    return value.map((item: Cbor, i) => (i === at ? twisted(item, dice) : item));
  }
  if (typeof value === 'object') {
    const entries = Object.entries(value);
    const at = dice(Math.max(1, entries.length));
    if (dice(5) === 0) return Object.fromEntries(entries.filter((_, i) => i !== at));
    if (dice(5) === 0) return Object.fromEntries([...entries, [`x${dice(9)}`, 1 as Cbor]]);
    return Object.fromEntries(entries.map(([key, item], i) => [key, i === at ? twisted(item, dice) : item]));
  }
  return WORDS[dice(WORDS.length)] as Cbor;
}

/** Bytes changed, cut, repeated, moved or added. */
function damaged(bytes: Uint8Array, dice: Dice): Uint8Array {
  const out = bytes.slice();
  if (out.length === 0) return anyBytes(dice, dice(8));
  switch (dice(6)) {
    case 0:
      return out.subarray(0, dice(out.length));
    case 1:
      return concatBytes(out, anyBytes(dice, 1 + dice(40)));
    case 2:
      return concatBytes(out.subarray(0, dice(out.length)), out.subarray(dice(out.length)));
    case 3:
      out.copyWithin(dice(out.length), dice(out.length), dice(out.length));
      return out;
    default:
      for (let i = dice(4); i >= 0; i--) out[dice(out.length)] = dice(256);
      return out;
  }
}

interface Signed {
  readonly record: SignedRecord;
  readonly signer: Identity;
}

/** What some member made up and signed; most of it is used several times. */
function anySigned({ identities, block, pool }: World, dice: Dice): Signed {
  if (pool.length === POOL && dice(4) > 0) return pool[dice(POOL)] as Signed;
  const body = anyBody(dice, Math.floor((block - CLOCK.slot) / CLOCK.epochLength));
  const signer = identities[dice(20) === 0 ? dice(SEATS) : (body.node - 1) % SEATS] as Identity;
  const signed = { record: signRecord(body, signer), signer };
  if (pool.length < POOL) pool.push(signed);
  else pool[dice(POOL)] = signed;
  return signed;
}

function mutant(world: World, dice: Dice): Uint8Array {
  const { record, signer } = anySigned(world, dice);
  switch (dice(8)) {
    case 0:
    case 1:
    case 2:
      return damaged(record.bytes, dice);
    case 3:
      return encodeCbor(twisted(decodeCbor(record.bytes), dice));
    case 4: {
      const bodyBytes = encodeCbor(twisted(decodeCbor(record.bodyBytes), dice));
      return encodeCbor([bodyBytes, signer.sign(signedMessage(bodyBytes))]);
    }
    case 5:
      return dice(100) === 0 ? anyBytes(dice, MAX_RECORD_BYTES + dice(100_000)) : anyBytes(dice, dice(300));
    default:
      return record.bytes;
  }
}

/** Questions and answers of the evidence protocol, damaged too. */
function ask({ library, records, block }: World, dice: Dice): void {
  const epoch = Math.floor((block - CLOCK.slot) / CLOCK.epochLength) as Epoch;
  const kind = EPOCH_KINDS[dice(EPOCH_KINDS.length)] ?? 'hc';
  const held = records.held(kind, epoch).map(({ id }) => id);
  const asked = encodeRequest(
    dice(2) === 0 ? { ask: 'lack', kind, epoch, held: held.slice(dice(4)) } : { ask: 'ids', ids: held.slice(0, 256) },
  );
  const request = decodeRequest(dice(3) === 0 ? asked : damaged(asked, dice));
  if (request === undefined) return;
  const answered = answer(request, library);
  if (answered.length > MAX_EVIDENCE_FRAME) throw new Error(`an answer of ${answered.length} bytes`);
  decodeRecords(damaged(answered, dice));
  decodeNamed(damaged(answered, dice));
}

function heldBy({ records, block }: World): number {
  const epoch = Math.floor((block - CLOCK.slot) / CLOCK.epochLength);
  let count = 0;
  for (let one = epoch - 4; one <= epoch + 4; one++) {
    for (const kind of EPOCH_KINDS) count += records.held(kind, one as Epoch).length;
  }
  return count;
}

function usedMiB(collect: () => void): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / MIB;
}

/** A full collection, so that only what is held is counted. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

export function admitMutants(count: number, seed: number): MutantFigures {
  const chance = createChance(seed);
  const dice: Dice = (below) => Math.floor(chance() * below);
  const world = createWorld();
  const outcomes: Record<string, number> = {};
  const thrown: string[] = [];
  const collect = collector();
  const started = performance.now();
  let [held, before, most] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    if (i % PER_BLOCK === 0) {
      world.block += 1;
      world.records.observe(world.block as BlockNumber);
      held = Math.max(held, heldBy(world));
    }
    try {
      const bytes = mutant(world, dice);
      const { verdict, code } = world.records.admit(bytes, VIAS[dice(VIAS.length)] ?? 'gossip');
      const name = code === undefined ? verdict : `${verdict} ${code}`;
      outcomes[name] = (outcomes[name] ?? 0) + 1;
      if (verdict === 'accept' && !decodeRecord(bytes).ok) throw new Error('accepted what is no record');
      if (dice(10) === 0) ask(world, dice);
    } catch (error) {
      thrown.push(`mutant ${i}: ${error instanceof Error ? error.stack : error}`);
    }
    if (i === Math.floor(count / 10)) before = usedMiB(collect);
    if (i > count / 10 && i % Math.ceil(count / 20) === 0) most = Math.max(most, usedMiB(collect));
  }
  const seconds = (performance.now() - started) / 1000;
  return { mutants: count, outcomes, thrown, held, bound: BOUND, before, most, seconds };
}
