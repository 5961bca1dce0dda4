// What a stranger is told when something here goes wrong: engine errors and refused requests as the codes of protocol.md 12.

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

/** When to ask again: sessions end after seconds, memory comes free with them. Other refusals do not pass by waiting. */
const RETRY_MS: Readonly<Partial<Record<InferCode, number>>> = { BUSY: 1_000, NO_BUDGET: 5_000 };

export function codeOfEngineError(error: unknown): InferCode {
  return OF_ENGINE[errorCode(error)] ?? 'INTERNAL';
}

export function codeOfRefusedRequest(refusal: RequestRefusal): InferCode {
  return OF_REQUEST[refusal];
}

/** Milliseconds; 0 where waiting does not help. */
export function retryAfterMs(code: InferCode): number {
  return RETRY_MS[code] ?? 0;
}
