// What can go wrong when files are fetched.

import { CodedError } from '../util/errors.ts';

type DistributionErrorFacts =
  | { readonly code: 'SOURCE_FAILED'; readonly source: string }
  | { readonly code: 'MODEL_UNAVAILABLE'; readonly source: string };

export class DistributionError extends CodedError<DistributionErrorFacts> {}

const MEANINGS = {
  SOURCE_FAILED: 'did not send what was asked for',
  MODEL_UNAVAILABLE: 'cannot be had from anybody; try again when more nodes are there, or name a --model-url',
} as const;

export function distributionError(
  code: DistributionErrorFacts['code'],
  source: string,
  why: string,
  cause?: unknown,
): DistributionError {
  return new DistributionError({ code, source }, `${source} ${MEANINGS[code]}: ${why}`, { cause });
}
