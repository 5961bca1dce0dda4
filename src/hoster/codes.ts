// What a stranger is told when something here goes wrong: engine errors and refused requests as the codes of protocol.md 12.

import { EngineError } from '../engine/types.ts';
import { errorCode } from '../util/errors.ts';
import type { RequestRefusal } from '../wire/envelope.ts';
import type { InferCode } from '../wire/infer.ts';

const OF_ENGINE: Readonly<Record<string, InferCode>> = {
  E_MEMORY: 'NO_BUDGET',
  E_BUSY: 'BUSY',
  E_RANGE: 'NOT_SERVED',
  E_FULL: 'TOO_LONG',
  E_GONE: 'EXPIRED',
  E_POSITION: 'BAD_FRAME',
  E_SHAPE: 'BAD_FRAME',
  E_TOKEN: 'BAD_FRAME',
};

const OF_REQUEST: Readonly<Record<RequestRefusal, InferCode>> = {
  REQUEST_MALFORMED: 'BAD_FRAME',
  REQUEST_NOT_FOR_ME: 'NOT_YOURS',
  REQUEST_WRONG_SENDER: 'NOT_YOURS',
  REQUEST_BAD_SIGNATURE: 'NOT_YOURS',
  REQUEST_OUT_OF_WINDOW: 'EXPIRED',
  REQUEST_REPLAYED: 'EXPIRED',
  REQUEST_TOO_MANY: 'BUSY',
};

/** Before a session has ended here nobody knows how long they last. */
const GUESS_MS = 1_000;
/** No hint is 0, which would say that waiting does not help. None is longer: what is held now says little of a minute from now. */
const SHORTEST_MS = 1;
export const LONGEST_MS = 30_000;

export function codeOfEngineError(error: unknown): InferCode {
  return OF_ENGINE[errorCode(error)] ?? 'INTERNAL';
}

export function codeOfRefusedRequest(refusal: RequestRefusal): InferCode {
  return OF_REQUEST[refusal];
}

/** What is held, in seats or bytes; how long each unit of it is held; how much of it must come free. */
export interface Held {
  readonly lastsMs: number | undefined;
  readonly units: number;
  readonly wanted: number;
}

/** Milliseconds after which so much has come free, about: `units` are given back evenly over the time that one is held. */
export function waitFor({ lastsMs = GUESS_MS, units, wanted }: Held): number {
  return Math.round(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, (lastsMs * wanted) / Math.max(1, units))));
}

/** Bytes that a refused session lacks; undefined when it was not refused for want of memory. */
export function lacking(error: unknown): number | undefined {
  if (!(error instanceof EngineError) || error.facts.code !== 'E_MEMORY') return undefined;
  return Math.max(0, error.facts.need - error.facts.free);
}
