// Messages of inference sessions, `/tessera/infer/1` (protocol.md 12; table of header keys in docs/protocol-12-frames.md). Frames in,
// typed messages out, every number bounded before memory is taken. Who may send what when is decided by hoster/ and client/.

import type { Brand, PeerId, ShardIndex } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { peerToBytes } from '../types/peer-id.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import type { Cbor } from '../util/cbor.ts';
import { encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import {
  between,
  bigUint,
  bytes as blob,
  exactly,
  type Field,
  list,
  type Parsed,
  parsing,
  peerId,
  readCbor,
  readMap,
  refuse,
  tuple,
  U32,
  uint,
} from './fields.ts';
import { decodeFrame, encodeFrame, type Frame, type FrameType } from './frame.ts';
import { encodeTensors, readTensors } from './named-tensors.ts';
import type { RowCodec } from './tensor.ts';

export const INFER_PROTOCOL = '/tessera/infer/1';
/** `m` of the signed request inside OPEN. */
export const OPEN_METHOD = 'open';

/** 16 bytes as hex: `sessionIdOf`. */
export type SessionId = Brand<string, 'SessionId'>;

/** 16 random bytes chosen by the client, as hex. */
export type SessionSalt = Brand<string, 'SessionSalt'>;

const SESSION_TAG = tag('tessera/session/1');

/** The id that both sides know a session by. It binds the client: who learns it cannot open it elsewhere in its own name. */
export function sessionIdOf(client: PeerId, salt: SessionSalt): SessionId {
  return toHex(sha256(SESSION_TAG, peerToBytes(client), fromHex(salt)).subarray(0, SESSION_BYTES)) as SessionId;
}

/** Why a hop refuses or ends a session (protocol.md 12). */
export const INFER_CODES = [
  'BUSY',
  'NO_BUDGET',
  'NOT_SERVED',
  'WRONG_MANIFEST',
  'TOO_LONG',
  'BAD_FRAME',
  'NOT_YOURS',
  'EXPIRED',
  'CHALLENGE_INPUT',
  'INTERNAL',
] as const;
export type InferCode = (typeof INFER_CODES)[number];

/** Draw parameters, already rounded to what travels (`roundSampling`), so that a local run draws the same. */
export interface Sampling {
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Candidates looked at; 0 is all that the last shard gives out. */
  readonly topK: number;
  /** Nucleus mass in (0, 1]. */
  readonly topP: number;
  /** u64. */
  readonly seed: bigint;
  /** Likeliest tokens to tell beside each drawn one, 1..MAX_ALTERNATIVES; none unless asked for. */
  readonly alternatives?: number;
}

export interface RouteHop {
  readonly peer: PeerId;
  /** Shards [from, to) of the cut. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
}

/** What the client signs for each hop. */
export interface OpenBody {
  readonly salt: SessionSalt;
  readonly manifest: ManifestHash;
  readonly codec: RowCodec;
  /** Positions to reserve: prompt and answer together. */
  readonly maxTokens: number;
  readonly route: readonly RouteHop[];
  /** Which place of the route the receiver has. */
  readonly hop: number;
  /** At the last hop only, and of models that write text only. */
  readonly sampling?: Sampling;
}

export interface Step {
  readonly type: 'STEP';
  readonly session: SessionId;
  /** The receiver's place in the route. */
  readonly hop: number;
  /** Position of the first row. */
  readonly position: number;
  readonly count: number;
  /** `ids` from the client to hop 1, else the session's codec. */
  readonly codec: 'ids' | RowCodec;
  /** Whether the last hop shall draw the token that follows these rows. */
  readonly draw: boolean;
  /** Microseconds from arrival to answer of each hop before the receiver, waiting included. */
  readonly spentUs: readonly number[];
  /** A view into the frame: token ids or rows (wire/tensor.ts). */
  readonly tensor: Uint8Array;
}

export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of its probability; f32. */
  readonly logprob: number;
}

export interface DrawnToken extends TokenLogprob {
  /** The likeliest tokens of this place, likeliest first; absent unless asked for. */
  readonly alternatives?: readonly TokenLogprob[];
}

export interface Tokens {
  readonly type: 'TOKENS';
  readonly session: SessionId;
  /** Of the first token. */
  readonly position: number;
  readonly tokens: readonly DrawnToken[];
  /** What each hop spent on the step, first hop first. */
  readonly spentUs: readonly number[];
}

/** What a stateless model is run on (RUN), and what comes out at the end of the route (RESULT). */
interface Tensors {
  readonly session: SessionId;
  /** Of this run; the client counts. */
  readonly run: number;
  readonly tensors: readonly NamedTensor[];
  /** Microseconds from arrival to answer of each hop before the receiver. */
  readonly spentUs: readonly number[];
}

export interface RunFrame extends Tensors {
  readonly type: 'RUN';
  /** The receiver's place in the route. */
  readonly hop: number;
}

export interface ResultFrame extends Tensors {
  readonly type: 'RESULT';
}

export type InferMessage =
  | { readonly type: 'OPEN'; readonly request: Uint8Array }
  | { readonly type: 'ACCEPT'; readonly session: SessionId; readonly tokensGranted: number }
  | { readonly type: 'REFUSE'; readonly code: InferCode; readonly retryAfterMs: number }
  | Step
  | Tokens
  | RunFrame
  | ResultFrame
  /** Signed by the hop for one segment (wire/receipt.ts); not looked at here. */
  | { readonly type: 'RECEIPT'; readonly receipt: Uint8Array }
  /** `usage` as the client signs it, or empty. */
  | { readonly type: 'CLOSE'; readonly session: SessionId; readonly usage: Uint8Array }
  | {
      readonly type: 'ERROR';
      readonly code: InferCode /** Place in the route that is at fault. */;
      readonly hop: number;
    };

/** A step may begin that many positions before the end of what the session has seen: what was guessed wrong is forgotten. */
export const MAX_ROLLBACK_ROWS = 16;
/** Rows of one STEP: four prefill chunks, so that a client of another version may choose larger ones. */
export const MAX_STEP_ROWS = 256;
/** Hops of a route: as many as a large model has shards in practice; keeps OPEN below 4 KB. */
export const MAX_ROUTE_HOPS = 64;
/** Positions of any session; a model's own context is smaller and checked by the hoster. */
const MAX_POSITIONS = 1 << 24;
/** Shard indices travel as u16. */
const MAX_SHARDS = 0xffff;
/** Tokens of one TOKENS frame: as many as speculation could ever confirm at once. */
const MAX_TOKENS_PER_FRAME = 64;
/** As many as an OpenAI client may ask for. */
export const MAX_ALTERNATIVES = 20;
/** Runs of one session of a stateless model: a hop keeps a receipt of each. */
export const MAX_RUNS = 512;
/** Two chains, a sketch, a signature and a dozen numbers. */
export const MAX_RECEIPT_BYTES = 1_024;
export const MAX_USAGE_BYTES = 512;
/** Longest advice to wait: an idle session's life. */
const MAX_RETRY_MS = 600_000;
const MAX_REQUEST_BYTES = 32 * 1024;
const SESSION_BYTES = 16;
/** Temperature and top-p travel as integers of this unit: no floats on the wire (protocol.md 3). */
const SAMPLING_UNIT = 1_000_000;
const MAX_TEMPERATURE = 100;
const MAX_TOP_K = 0xffff;
const MAX_U64 = 2n ** 64n - 1n;

/** The parts of one frame. */
export function encodeMessage(message: InferMessage): readonly Uint8Array[] {
  switch (message.type) {
    case 'OPEN':
      return encodeFrame('OPEN', { q: message.request });
    case 'ACCEPT':
      return encodeFrame('ACCEPT', { s: fromHex(message.session), n: message.tokensGranted });
    case 'REFUSE':
      return encodeFrame('REFUSE', { c: message.code, a: message.retryAfterMs });
    case 'STEP':
      return encodeFrame('STEP', stepHeader(message), message.tensor);
    case 'TOKENS':
      return encodeTokens(message);
    case 'RUN':
    case 'RESULT':
      return encodeRun(message);
    case 'RECEIPT':
      return encodeFrame('RECEIPT', { r: message.receipt });
    case 'CLOSE':
      return encodeFrame('CLOSE', { s: fromHex(message.session), u: message.usage });
    case 'ERROR':
      return encodeFrame('ERROR', { c: message.code, j: message.hop });
  }
}

export function decodeMessage(bytes: Uint8Array): Parsed<InferMessage> {
  const frame = decodeFrame(bytes);
  return frame.ok ? parsing(() => readMessage(frame.value)) : frame;
}

/** The messages of a stream in order; a frame that is none shows as 'malformed'. */
export async function* decodeMessages(
  frames: AsyncIterable<Uint8Array>,
): AsyncGenerator<InferMessage | 'malformed', void> {
  for await (const frame of frames) {
    const message = decodeMessage(frame);
    yield message.ok ? message.value : 'malformed';
  }
}

const session: Field<SessionId> = (value) => toHex(blob(SESSION_BYTES)(value)) as SessionId;
const salt: Field<SessionSalt> = (value) => toHex(blob(SESSION_BYTES)(value)) as SessionSalt;
const code = exactly(...INFER_CODES);
const hopIndex = uint(MAX_ROUTE_HOPS - 1);
const position = uint(MAX_POSITIONS);

function readMessage(frame: Frame): InferMessage {
  if (frame.type === 'STEP') return readStep(frame);
  if (frame.type === 'TOKENS') return readTokens(frame);
  if (frame.type === 'RUN') return readRun(frame);
  if (frame.type === 'RESULT') return readResult(frame);
  if (frame.tensor.length > 0) return refuse(`${frame.type} carries no tensor`);
  return readControl(frame.type, frame.header);
}

function readControl(type: Exclude<FrameType, 'STEP' | 'TOKENS' | 'RUN' | 'RESULT'>, header: Cbor): InferMessage {
  switch (type) {
    case 'OPEN':
      return { type, request: readMap(header, { q: blob(0, MAX_REQUEST_BYTES) }).q };
    case 'ACCEPT': {
      const { s, n } = readMap(header, { s: session, n: position });
      return { type, session: s, tokensGranted: n };
    }
    case 'REFUSE': {
      const { c, a } = readMap(header, { c: code, a: uint(MAX_RETRY_MS) });
      return { type, code: c, retryAfterMs: a };
    }
    case 'RECEIPT':
      return { type, receipt: readMap(header, { r: blob(1, MAX_RECEIPT_BYTES) }).r };
    case 'CLOSE': {
      const { s, u } = readMap(header, { s: session, u: blob(0, MAX_USAGE_BYTES) });
      return { type, session: s, usage: u };
    }
    case 'ERROR': {
      const { c, j } = readMap(header, { c: code, j: hopIndex });
      return { type, code: c, hop: j };
    }
  }
}

function stepHeader(step: Step): Cbor {
  return {
    s: fromHex(step.session),
    j: step.hop,
    p: step.position,
    n: step.count,
    c: step.codec,
    w: step.draw ? 1 : 0,
    u: step.spentUs,
  };
}

const spent = list(uint(U32), MAX_ROUTE_HOPS);

const STEP_HEADER = {
  s: session,
  j: hopIndex,
  p: position,
  n: between(1, MAX_STEP_ROWS),
  c: exactly('ids', 'f16', 'f32'),
  w: exactly(0, 1),
  u: spent,
};

function readStep(frame: Frame): Step {
  const { s, j, p, n, c, w, u } = readMap(frame.header, STEP_HEADER);
  if (u.length !== j) return refuse(`times of ${u.length} hops before hop ${j}`);
  const head = { session: s, hop: j, position: p, count: n, codec: c, draw: w === 1, spentUs: u };
  return { type: 'STEP', ...head, tensor: frame.tensor };
}

function encodeRun(message: RunFrame | ResultFrame): readonly Uint8Array[] {
  const { header, tensor } = encodeTensors(message.tensors);
  const head = { s: fromHex(message.session), r: message.run, t: header, u: message.spentUs };
  return encodeFrame(message.type, message.type === 'RUN' ? { ...head, j: message.hop } : head, tensor);
}

const anything: Field<Cbor> = (value) => value;
const RESULT_HEADER = { s: session, r: uint(U32), t: anything, u: spent };
const RUN_HEADER = { ...RESULT_HEADER, j: hopIndex };

function readRun({ header, tensor }: Frame): RunFrame {
  const { s, r, t, u, j } = readMap(header, RUN_HEADER);
  if (u.length !== j) return refuse(`times of ${u.length} hops before hop ${j}`);
  return { type: 'RUN', session: s, hop: j, run: r, tensors: readTensors(t, tensor), spentUs: u };
}

function readResult({ header, tensor }: Frame): ResultFrame {
  const { s, r, t, u } = readMap(header, RESULT_HEADER);
  return { type: 'RESULT', session: s, run: r, tensors: readTensors(t, tensor), spentUs: u };
}

/** Tensor: for each token itself and then its k alternatives, each u32le id and f32le logarithm of its probability. */
function encodeTokens({ session, position, tokens, spentUs }: Tokens): readonly Uint8Array[] {
  const k = tokens[0]?.alternatives?.length ?? 0;
  const entries = tokens.flatMap((token) => [token, ...(token.alternatives ?? [])]);
  if (entries.length !== tokens.length * (k + 1)) throw new RangeError('tokens with different numbers of alternatives');
  const tensor = Buffer.alloc(entries.length * 8);
  entries.forEach(({ id, logprob }, i) => {
    tensor.writeUInt32LE(id, i * 8);
    tensor.writeFloatLE(logprob, i * 8 + 4);
  });
  return encodeFrame('TOKENS', { s: fromHex(session), p: position, n: tokens.length, k, u: spentUs }, tensor);
}

const TOKENS_HEADER = {
  s: session,
  p: position,
  n: between(1, MAX_TOKENS_PER_FRAME),
  k: uint(MAX_ALTERNATIVES),
  u: spent,
};

function readTokens(frame: Frame): InferMessage {
  const { s, p, n: count, k, u } = readMap(frame.header, TOKENS_HEADER);
  if (frame.tensor.length !== count * (k + 1) * 8) return refuse(`${frame.tensor.length} bytes for ${count} tokens`);
  const view = new DataView(frame.tensor.buffer, frame.tensor.byteOffset, frame.tensor.byteLength);
  const entry = (i: number): TokenLogprob => ({
    id: view.getUint32(i * 8, true),
    logprob: readLogprob(view.getFloat32(i * 8 + 4, true)),
  });
  const tokens = Array.from({ length: count }, (_, i) => {
    const token = entry(i * (k + 1));
    return k === 0
      ? token
      : { ...token, alternatives: Array.from({ length: k }, (_, j) => entry(i * (k + 1) + 1 + j)) };
  });
  return { type: 'TOKENS', session: s, position: p, tokens, spentUs: u };
}

function readLogprob(value: number): number {
  return Number.isNaN(value) ? refuse('a logprob is not a number') : value;
}

/** The body of the signed request inside OPEN. */
export function encodeOpen(open: OpenBody): Uint8Array {
  return encodeCbor({
    v: 1,
    s: fromHex(open.salt),
    m: fromHex(open.manifest),
    c: open.codec,
    n: open.maxTokens,
    r: open.route.map((hop) => [peerToBytes(hop.peer), hop.from, hop.to]),
    j: open.hop,
    p: open.sampling === undefined ? [] : samplingToIntegers(open.sampling),
  });
}

const OPEN_BODY = {
  v: exactly(1),
  s: salt,
  m: blob(32),
  c: exactly<RowCodec>('f16', 'f32'),
  n: between(1, MAX_POSITIONS),
  r: readRoute,
  j: hopIndex,
  p: readSampling,
};

/** Also checks that the runs of the route follow each other from shard 0 and that sampling stands at no hop but the last. */
export function decodeOpen(bytes: Uint8Array): Parsed<OpenBody> {
  return parsing(() => {
    const map = readMap(readCbor(bytes, MAX_REQUEST_BYTES), OPEN_BODY);
    if (map.j >= map.r.length) return refuse('hop beyond the route');
    if (map.p !== undefined && map.j < map.r.length - 1) return refuse('sampling belongs to the last hop alone');
    return {
      salt: map.s,
      manifest: toHex(map.m),
      codec: map.c,
      maxTokens: map.n,
      route: map.r,
      hop: map.j,
      ...(map.p === undefined ? {} : { sampling: map.p }),
    };
  });
}

const hops = list(tuple(peerId, uint(MAX_SHARDS), uint(MAX_SHARDS)), MAX_ROUTE_HOPS, 1);

function readRoute(value: Cbor): readonly RouteHop[] {
  let next = 0;
  return hops(value).map(([peer, from, to]) => {
    if (from !== next || to <= from) return refuse('the runs of the route do not follow each other');
    next = to;
    return { peer, from: from as ShardIndex, to: to as ShardIndex };
  });
}

function samplingToIntegers(sampling: Sampling): Cbor {
  return [
    Math.round(sampling.temperature * SAMPLING_UNIT),
    sampling.topK,
    Math.round(sampling.topP * SAMPLING_UNIT),
    sampling.seed <= Number.MAX_SAFE_INTEGER ? Number(sampling.seed) : sampling.seed,
    sampling.alternatives ?? 0,
  ];
}

const sampling = tuple(
  uint(MAX_TEMPERATURE * SAMPLING_UNIT),
  uint(MAX_TOP_K),
  between(1, SAMPLING_UNIT),
  bigUint(MAX_U64),
  uint(MAX_ALTERNATIVES),
);

/** Absent (an empty list) at every hop but the last, and of stateless models there too. */
function readSampling(value: Cbor): Sampling | undefined {
  if (Array.isArray(value) && value.length === 0) return undefined;
  const [temperature, topK, topP, seed, alternatives] = sampling(value);
  const draw = { temperature: temperature / SAMPLING_UNIT, topK, topP: topP / SAMPLING_UNIT, seed };
  return alternatives === 0 ? draw : { ...draw, alternatives };
}

/**
 * The sampling that the last hop will see. Throws RangeError for values that cannot travel.
 *
 * @param wanted temperature 0..100, topK 0..65535, topP in (0, 1], seed a u64, alternatives 0..20
 */
export function roundSampling(wanted: Sampling): Sampling {
  const read = parsing(() => readSampling(samplingToIntegers(wanted)));
  if (wanted.seed < 0n) throw new RangeError('sampling: the seed is negative');
  if (!read.ok) throw new RangeError(`sampling: ${read.why}`);
  if (read.value === undefined) throw new RangeError('sampling: nothing given');
  return read.value;
}
