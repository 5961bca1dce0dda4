// Damaged frames, requests, receipts and questions of audits through the decoders that strangers reach: nothing throws, and memory does not grow.
// Half of them are damaged bytes, half are sound CBOR with values that do not belong there.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import {
  decodeAuditRequest,
  decodeBorders,
  decodeListed,
  decodeRows,
  encodeAuditRequest,
} from '../../src/receipts/protocol.ts';
import type { BlockNumber, ShardIndex } from '../../src/types/ids.ts';
import { concatBytes, u8, u16le } from '../../src/util/bytes.ts';
import { type Cbor, CborError, decodeCbor, encodeCbor } from '../../src/util/cbor.ts';
import { decodeAnnounce, decodeDirectory } from '../../src/wire/announce.ts';
import { createNonceCache, readTakenRequest, signRequest, verifyRequest } from '../../src/wire/envelope.ts';
import {
  decodeMessage,
  decodeOpen,
  encodeMessage,
  encodeOpen,
  INFER_PROTOCOL,
  type InferMessage,
  OPEN_METHOD,
  type SessionId,
  type SessionSalt,
} from '../../src/wire/infer.ts';
import { decodeReceipt, decodeUsage, signReceipt, signUsage } from '../../src/wire/receipt.ts';
import { createChance } from './network.ts';

export interface FrameFigures {
  readonly frames: number;
  /** Of these, taken by a decoder. */
  readonly taken: number;
  /** What was thrown; none should be. */
  readonly thrown: readonly string[];
  /** Heap and buffers behind the first tenth, and at most after it, MiB. */
  readonly before: number;
  readonly most: number;
  readonly seconds: number;
}

const MIB = 2 ** 20;
const [A, B] = [1, 2].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed))) as [
  ReturnType<typeof identityFromSeed>,
  ReturnType<typeof identityFromSeed>,
];
const SESSION = '0f'.repeat(16) as SessionId;
const HASH = new Uint8Array(32).fill(7);
const HEAD = 1_000 as BlockNumber;

type Dice = (below: number) => number;

function samples(): readonly Uint8Array[] {
  const route = [A, B].map(({ peer }, i) => ({ peer, from: i as ShardIndex, to: (i + 1) as ShardIndex }));
  const open = {
    salt: SESSION as string as SessionSalt,
    manifest: '07'.repeat(32),
    codec: 'f16',
    maxTokens: 40,
    route,
  } as const;
  const sampling = { temperature: 0.7, topK: 40, topP: 0.95, seed: 5n, alternatives: 2 };
  const facts = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: B.peer, to: A.peer, issuedAt: HEAD };
  const bodies = [encodeOpen({ ...open, hop: 0 }), encodeOpen({ ...open, hop: 1, sampling })];
  const requests = bodies.map((body) => signRequest({ ...facts, body }, B.sign));
  const receipt = {
    session: SESSION,
    manifest: '07'.repeat(32),
    from: 0 as ShardIndex,
    to: 1 as ShardIndex,
    codec: 'f16',
    position: 32,
    count: 32,
    taken: HASH,
    given: HASH,
    sketch: new Uint8Array(128),
    block: HEAD,
  } as const;
  const { bytes: signedReceipt } = signReceipt(receipt, A);
  const { bytes: usage } = signUsage({ session: SESSION, hop: 0, peer: A.peer, positions: 40, tokens: 8 }, B);
  const token = { id: 9, logprob: -1 };
  const messages: readonly InferMessage[] = [
    ...requests.map((request): InferMessage => ({ type: 'OPEN', request })),
    { type: 'ACCEPT', session: SESSION, tokensGranted: 40 },
    { type: 'REFUSE', code: 'BUSY', retryAfterMs: 1_000 },
    {
      type: 'STEP',
      session: SESSION,
      hop: 0,
      position: 0,
      count: 2,
      codec: 'ids',
      draw: true,
      spentUs: [],
      tensor: new Uint8Array(8),
    },
    {
      type: 'STEP',
      session: SESSION,
      hop: 1,
      position: 0,
      count: 1,
      codec: 'f16',
      draw: false,
      spentUs: [5],
      tensor: new Uint8Array(64),
    },
    {
      type: 'TOKENS',
      session: SESSION,
      position: 2,
      tokens: [{ ...token, alternatives: [token, token] }],
      spentUs: [5, 6],
    },
    { type: 'RECEIPT', receipt: signedReceipt },
    { type: 'CLOSE', session: SESSION, usage },
    { type: 'ERROR', code: 'INTERNAL', hop: 1 },
  ];
  const audits = [
    encodeAuditRequest({ ask: 'list' }),
    encodeAuditRequest({ ask: 'rows', session: SESSION, hop: 0, end: 40 }),
    encodeAuditRequest({ ask: 'borders', session: SESSION, hop: 0, position: 0, count: 32 }),
    encodeCbor({ v: 1, r: [[0, signedReceipt]] }),
    encodeCbor({ v: 1, o: requests[0] ?? HASH, x: HASH, d: [[1, 2]] }),
    encodeCbor({ v: 1, b: [HASH] }),
  ];
  return [
    ...messages.map((message) => concatBytes(...encodeMessage(message))),
    ...bodies,
    ...requests,
    signedReceipt,
    usage,
    ...audits,
  ];
}

/** Everything that takes bytes from a stranger; each answers whether it took them. */
function decoders(): readonly ((bytes: Uint8Array) => boolean)[] {
  const nonces = createNonceCache();
  const expected = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, self: A.peer, from: B.peer, head: HEAD };
  const taken = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, to: A.peer };
  const announce = { genesis: HASH, subnet: 1 as never, head: HEAD };
  const parsers = [
    decodeMessage,
    decodeOpen,
    decodeReceipt,
    decodeUsage,
    decodeAuditRequest,
    decodeListed,
    decodeRows,
    decodeBorders,
    decodeDirectory,
  ];
  return [
    ...parsers.map((parse) => (bytes: Uint8Array) => parse(bytes).ok),
    (bytes) => verifyRequest(bytes, expected, nonces, verifySignature).ok,
    (bytes) => readTakenRequest(bytes, taken, verifySignature).ok,
    (bytes) => decodeAnnounce(bytes, announce).ok,
  ];
}

function damage(bytes: Uint8Array, dice: Dice): Uint8Array {
  const out = bytes.slice();
  switch (dice(5)) {
    case 0:
      return out.subarray(0, dice(out.length + 1));
    case 1:
      return concatBytes(
        out.subarray(0, dice(out.length + 1)),
        new Uint8Array(dice(64)).fill(dice(256)),
        out.subarray(dice(out.length + 1)),
      );
    case 2:
      for (let i = 0; i < 8; i += 1) out[dice(out.length)] = dice(256);
      return out;
    case 3:
      // Lengths and types of CBOR at their ends.
      out[dice(out.length)] = [0x5b, 0x9b, 0xbb, 0x7f, 0xff, 0x1b][dice(6)] ?? 0;
      return out;
    default:
      out[dice(out.length)] = dice(256);
      return out;
  }
}

/** Another value in some place of a map or list, encoded soundly. */
function corrupt(value: Cbor, dice: Dice): Cbor {
  if (Array.isArray(value) && value.length > 0 && dice(4) > 0) {
    const at = dice(value.length);
    return value.map((item, i) => (i === at ? corrupt(item, dice) : item));
  }
  if (typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array) && dice(4) > 0) {
    const keys = Object.keys(value);
    const at = keys[dice(Math.max(1, keys.length))];
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, key === at ? corrupt(item, dice) : item]),
    );
  }
  const others: readonly Cbor[] = [
    0,
    1,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
    2n ** 64n - 1n,
    '',
    'x'.repeat(80),
    new Uint8Array(0),
    HASH,
    [],
    [[]],
    {},
    { v: 2 },
  ];
  return others[dice(others.length)] ?? 0;
}

/** A frame's header, or a message that is CBOR whole, with another value in it; damaged bytes where there is none. */
function misplace(bytes: Uint8Array, dice: Dice): Uint8Array {
  const headerAt = 3;
  const isFrame = bytes.length > headerAt && (bytes[0] ?? 255) < 16;
  const end = isFrame ? headerAt + ((bytes[1] ?? 0) | ((bytes[2] ?? 0) << 8)) : bytes.length;
  const value = soundCbor(bytes.subarray(isFrame ? headerAt : 0, end));
  if (value === undefined) return damage(bytes, dice);
  const encoded = encodeCbor(corrupt(value, dice));
  if (!isFrame) return encoded;
  return concatBytes(u8(bytes[0] ?? 0), u16le(encoded.length & 0xffff), encoded, bytes.subarray(end));
}

function soundCbor(bytes: Uint8Array): Cbor | undefined {
  try {
    return decodeCbor(bytes);
  } catch (error) {
    if (error instanceof CborError) return undefined;
    throw error;
  }
}

function collectGarbage(): () => number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return (heapUsed + arrayBuffers) / MIB;
  };
}

export function sendFrames(frames: number, seed: number, onProgress?: (done: number) => void): FrameFigures {
  const chance = createChance(seed);
  const dice: Dice = (below) => Math.floor(chance() * below);
  const originals = samples();
  const all = decoders();
  const measure = collectGarbage();
  const thrown: string[] = [];
  const every = Math.max(1, Math.floor(frames / 10));
  const started = performance.now();
  let [taken, before, most] = [0, 0, 0];
  for (let sent = 1; sent <= frames; sent += 1) {
    const original = originals[dice(originals.length)] ?? HASH;
    const bytes = dice(2) === 0 ? damage(original, dice) : misplace(original, dice);
    for (const decode of all) {
      try {
        if (decode(bytes)) taken += 1;
      } catch (error) {
        thrown.push(`${String(error)} on ${Buffer.from(bytes).toString('hex').slice(0, 200)}`);
      }
    }
    if (sent % every !== 0) continue;
    const used = measure();
    if (before === 0) before = used;
    else most = Math.max(most, used);
    onProgress?.(sent);
  }
  return { frames, taken, thrown, before, most, seconds: (performance.now() - started) / 1_000 };
}
