// Whether an OPEN is taken: the signed request is verified first, then what it asks for is compared with what this node serves, then
// policy (protocol.md 11, 12). Nothing is allocated here.

import type { BlockNumber, PeerId, ShardIndex } from '../types/ids.ts';
import type { ManifestHash, Port } from '../types/model.ts';
import { type NonceCache, type Verify, verifyRequest } from '../wire/envelope.ts';
import {
  decodeOpen,
  INFER_PROTOCOL,
  type InferCode,
  OPEN_METHOD,
  type OpenBody,
  type SessionId,
  sessionIdOf,
} from '../wire/infer.ts';
import { codeOfRefusedRequest } from './codes.ts';

/** What a hoster must know of the model it serves. */
export interface ServedModel {
  readonly hash: ManifestHash;
  readonly width: number;
  readonly vocab: number;
  /** Positions. */
  readonly maxContext: number;
  /** Shards of the cut. */
  readonly shardCount: number;
  /** Bytes of cache that one position of one shard takes, at most. */
  readonly cacheBytes: number;
  /** Of a stateless model: what each shard of the cut takes. Absent for models that write text. */
  readonly inputs?: readonly (readonly Port[])[];
  /** RMS of each shard's output, from the manifest: what receipts measure by. */
  readonly outputRms: readonly number[];
}

export interface AdmissionOptions {
  readonly self: PeerId;
  readonly model: ServedModel;
  readonly shards: readonly ShardIndex[];
}

export interface AdmissionDeps {
  readonly verify: Verify;
  /** Whether the subnet's access policy lets this peer ask for inference. */
  readonly mayAsk: (peer: PeerId) => boolean | Promise<boolean>;
  readonly nonces: NonceCache;
}

/** What the client asked for, and the id of its session. */
export interface AdmittedOpen extends OpenBody {
  readonly session: SessionId;
  /** As the client signed it, for auditors. */
  readonly request: Uint8Array;
}

export type Admission =
  | { readonly ok: true; readonly open: AdmittedOpen }
  | { readonly ok: false; readonly code: InferCode; readonly why: string };

export async function admitOpen(
  request: Uint8Array,
  from: PeerId,
  head: BlockNumber,
  options: AdmissionOptions,
  deps: AdmissionDeps,
): Promise<Admission> {
  const expected = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, self: options.self, from, head };
  const verified = verifyRequest(request, expected, deps.nonces, deps.verify);
  if (!verified.ok) return { ok: false, code: codeOfRefusedRequest(verified.code), why: verified.code };
  const parsed = decodeOpen(verified.body);
  if (!parsed.ok) return { ok: false, code: 'BAD_FRAME', why: parsed.why };
  const refusal = judge(parsed.value, options);
  if (refusal !== undefined) return { ok: false, ...refusal };
  if (!(await deps.mayAsk(from))) return { ok: false, code: 'NOT_YOURS', why: 'the access policy excludes this peer' };
  const session = sessionIdOf(from, parsed.value.salt);
  // A frame's memory is the transport's.
  return { ok: true, open: { ...parsed.value, session, request: request.slice() } };
}

function judge(
  open: OpenBody,
  { self, model, shards }: AdmissionOptions,
): { readonly code: InferCode; readonly why: string } | undefined {
  const own = open.route[open.hop];
  if (open.manifest !== model.hash) return { code: 'WRONG_MANIFEST', why: open.manifest };
  if (own?.peer !== self) return { code: 'NOT_YOURS', why: 'another peer stands at this place of the route' };
  if (open.route.at(-1)?.to !== model.shardCount) return { code: 'BAD_FRAME', why: 'the route does not end the model' };
  for (let shard = own.from; shard < own.to; shard = (shard + 1) as ShardIndex) {
    if (!shards.includes(shard)) return { code: 'NOT_SERVED', why: `shard ${shard}` };
  }
  const draws = open.hop === open.route.length - 1 && model.inputs === undefined;
  if ((open.sampling !== undefined) !== draws)
    return { code: 'BAD_FRAME', why: 'sampling belongs to the last hop of a model that writes text' };
  return open.maxTokens > model.maxContext ? { code: 'TOO_LONG', why: `${open.maxTokens} positions` } : undefined;
}
