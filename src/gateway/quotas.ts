// What one key may take: requests at once, and tokens per minute as a bucket that fills steadily. Tokens are reserved for the longest answer
// when a request is let in, and what was not used is given back. The clock is given.

import { tooMany } from './api-error.ts';

export interface Quota {
  readonly concurrentRequests: number;
  readonly tokensPerMinute: number;
}

export interface Admission {
  /** Gives the seat back, and the reserved tokens that were not used. Once. */
  settle(usedTokens: number): void;
}

export interface Quotas {
  /** @throws ApiError 429 with the seconds to wait */
  admit(key: { readonly id: string; readonly quota: Quota }, tokens: number): Admission;
}

const MINUTE_MS = 60_000;
/** A running request ends within seconds. */
const CONCURRENT_RETRY_S = 1;

interface Account {
  open: number;
  tokens: number;
  at: number;
}

/** @param now monotonic milliseconds */
export function createQuotas(now: () => number): Quotas {
  /** As many as there are keys. */
  const accounts = new Map<string, Account>();

  function accountOf(id: string, quota: Quota): Account {
    const at = now();
    const account = accounts.get(id) ?? { open: 0, tokens: quota.tokensPerMinute, at };
    const filled = account.tokens + ((at - account.at) * quota.tokensPerMinute) / MINUTE_MS;
    account.tokens = Math.min(quota.tokensPerMinute, filled);
    account.at = at;
    accounts.set(id, account);
    return account;
  }

  return {
    admit({ id, quota }, tokens) {
      const account = accountOf(id, quota);
      if (account.open >= quota.concurrentRequests) {
        throw tooMany(`This key may have ${quota.concurrentRequests} requests open at once.`, CONCURRENT_RETRY_S);
      }
      if (account.tokens < tokens) {
        const missing = tokens - account.tokens;
        const waitS = tokens > quota.tokensPerMinute ? MINUTE_MS / 1000 : (missing * 60) / quota.tokensPerMinute;
        throw tooMany(
          `This key may use ${quota.tokensPerMinute} tokens per minute, and this request reserves ${tokens}.`,
          waitS,
        );
      }
      account.open += 1;
      account.tokens -= tokens;
      let settled = false;
      return {
        settle(used) {
          if (settled) return;
          settled = true;
          account.open -= 1;
          account.tokens = Math.min(quota.tokensPerMinute, account.tokens + Math.max(0, tokens - used));
        },
      };
    },
  };
}
