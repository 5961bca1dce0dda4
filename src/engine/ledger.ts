// The one account of an engine's memory: whatever is allocated is asked for here first (engine.md 3.5).

import { EngineError } from './types.ts';

type Kind = 'weights' | 'kv';

export interface Ledger {
  /** Books `bytes` or throws E_MEMORY; nothing has been allocated by then. */
  reserve(kind: Kind, bytes: number): void;
  release(kind: Kind, bytes: number): void;
  used(kind: Kind): number;
  /** What KV caches may use in all: the budget less the weights. */
  kvBudget(): number;
}

export function createLedger(budget: number): Ledger {
  const used: Record<Kind, number> = { weights: 0, kv: 0 };
  return {
    reserve(kind, bytes) {
      const free = budget - used.weights - used.kv;
      if (bytes > free)
        throw new EngineError(
          { code: 'E_MEMORY', need: bytes, free, budget },
          `not enough memory for ${kind}: ${bytes} bytes needed, ${free} of ${budget} free; ask for fewer tokens or another node`,
        );
      used[kind] += bytes;
    },
    release(kind, bytes) {
      used[kind] -= bytes;
    },
    used: (kind) => used[kind],
    kvBudget: () => budget - used.weights,
  };
}
