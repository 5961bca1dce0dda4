// JSON-RPC errors with the codes that a Substrate node answers (chain.md 9), and what our own errors become at this border.

import { CodedError, errorCode, errorMessage } from '../../util/errors.ts';
import type { SubmitRefusal } from '../transactions.ts';

export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  tooManySubscriptions: -32006,
  badFormat: 1001,
  verification: 1002,
  invalidTransaction: 1010,
  unknownValidity: 1011,
  banned: 1012,
  alreadyImported: 1013,
  lowPriority: 1014,
  immediatelyDropped: 1016,
  unknownBlock: 4001,
  invalidCount: 4002,
  client: 4003,
} as const;

export class RpcError extends CodedError<{ code: 'RPC_ERROR'; rpc: number; data?: string }> {
  constructor(rpc: number, message: string, data?: string) {
    super({ code: 'RPC_ERROR', rpc, ...(data === undefined ? {} : { data }) }, message);
  }
}

export interface RpcErrorBody {
  readonly code: number;
  readonly message: string;
  readonly data?: string;
}

export function invalidParams(why: string): RpcError {
  return new RpcError(RPC.invalidParams, 'Invalid params', why);
}

/** The `error` member of an answer, for anything that a method threw. */
export function errorBody(error: unknown): RpcErrorBody {
  if (error instanceof RpcError) {
    const { rpc, data } = error.facts;
    return { code: rpc, message: error.message, ...(data === undefined ? {} : { data }) };
  }
  const text = errorMessage(error);
  switch (errorCode(codeHolder(error))) {
    case 'BLOCK_UNKNOWN':
      return { code: RPC.unknownBlock, message: `Client error: UnknownBlock: ${text}` };
    case 'STATE_DISCARDED':
      return { code: RPC.client, message: `Client error: UnknownBlock: ${text}` };
    case 'RUNTIME_FUNCTION_MISSING':
    case 'RUNTIME_TRAPPED':
      return { code: RPC.client, message: `Client error: Execution failed: ${text}` };
    case 'REORG_TOO_DEEP':
    case 'REORG_BELOW_FINALIZED':
    case 'RUNTIME_MISSING':
    case 'RUNTIME_UNUSABLE':
      return { code: RPC.invalidParams, message: 'Invalid params', data: text };
    default:
      return { code: RPC.internal, message: `Internal error: ${text}` };
  }
}

function codeHolder(error: unknown): unknown {
  return error instanceof CodedError ? error : undefined;
}

/** What a node answers to a transaction that it does not take. */
export function submitError(refusal: SubmitRefusal): RpcError {
  switch (refusal.code) {
    case 'BAD_FORMAT':
      return new RpcError(
        RPC.badFormat,
        'Extrinsic has invalid format',
        'the length in front is not the length of what follows',
      );
    case 'TRAPPED':
      return new RpcError(RPC.verification, `Verification Error: Runtime error: ${refusal.text}`);
    case 'REFUSED':
      return refusal.refusal.kind === 'invalid'
        ? new RpcError(RPC.invalidTransaction, 'Invalid Transaction', refusal.refusal.text)
        : new RpcError(RPC.unknownValidity, 'Unknown Transaction Validity', refusal.refusal.text);
    case 'BANNED':
      return new RpcError(RPC.banned, 'Transaction is temporarily banned');
    case 'KNOWN':
      return new RpcError(RPC.alreadyImported, 'Transaction Already Imported', refusal.hash);
    case 'LOW_PRIORITY':
      return new RpcError(
        RPC.lowPriority,
        `Priority is too low: (${refusal.old} vs ${refusal.new})`,
        'The transaction has too low priority to replace another transaction already in the pool.',
      );
    case 'FULL':
      return new RpcError(
        RPC.immediatelyDropped,
        'Immediately Dropped',
        "The transaction couldn't enter the pool because of the limit",
      );
  }
}
