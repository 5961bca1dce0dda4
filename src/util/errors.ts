// Errors a program can act on and a person can read: a code, the facts, and one sentence with the values and what to do next.

/** The facts of an error: `code` never changes its meaning and stands in docs/errors.md. */
export interface ErrorFacts {
  readonly code: string;
}

/**
 * An operating failure. Expected outcomes of a rule are values instead, and programmer errors are assertions.
 *
 * @example throw new ChainError({ code: 'CHAIN_UNREACHABLE', endpoint }, `cannot reach ${endpoint}; is the chain running?`)
 */
export class CodedError<Facts extends ErrorFacts = ErrorFacts> extends Error {
  readonly facts: Facts;

  constructor(facts: Facts, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.facts = facts;
  }

  get code(): Facts['code'] {
    return this.facts.code;
  }
}

/** The code of any error: ours, Node's (`ECONNREFUSED`), or `UNKNOWN`. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'UNKNOWN';
}

/** What a log line or a person gets to see of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
