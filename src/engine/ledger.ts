// The one account of an engine's memory: whatever is allocated is asked for here first (engine.md 3.5).

import { EngineError } from './types.ts';

export interface Ledger {
  /** Books `bytes` or throws E_MEMORY; nothing has been allocated by then. */
  reserveWeights(bytes: number): void;
  releaseWeights(bytes: number): void;
  /** Caches of `owner`. While others hold caches too, nobody gets more than a share of what there is for all of them. */
  reserveKv(bytes: number, owner: string): void;
  releaseKv(bytes: number, owner: string): void;
  readonly kvBytes: number;
  /** What KV caches may use in all: the budget less the weights. */
  readonly kvBudget: number;
}

/** Of the memory for caches, what one owner may hold beside others. */
const OWNER_SHARE = 0.5;

export function createLedger(budget: number): Ledger {
  const owners = new Map<string, number>();
  let weights = 0;
  let caches = 0;
  const admit = (what: string, need: number, free: number, limit: number) => {
    if (need <= free) return;
    throw new EngineError(
      { code: 'E_MEMORY', need, free, budget: limit },
      `not enough memory for ${what}: ${need} bytes needed, ${free} of ${limit} free; ask for fewer tokens or another node`,
    );
  };
  return {
    reserveWeights(bytes) {
      admit('weights', bytes, budget - weights - caches, budget);
      weights += bytes;
    },
    releaseWeights(bytes) {
      weights -= bytes;
    },
    reserveKv(bytes, owner) {
      const own = owners.get(owner) ?? 0;
      admit('kv', bytes, budget - weights - caches, budget);
      const share = Math.floor(OWNER_SHARE * (budget - weights));
      if (caches > own) admit('kv of one owner', bytes, Math.max(0, share - own), share);
      owners.set(owner, own + bytes);
      caches += bytes;
    },
    releaseKv(bytes, owner) {
      const left = (owners.get(owner) ?? 0) - bytes;
      if (left > 0) owners.set(owner, left);
      else owners.delete(owner);
      caches -= bytes;
    },
    get kvBytes() {
      return caches;
    },
    get kvBudget() {
      return budget - weights;
    },
  };
}
