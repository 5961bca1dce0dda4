// The clock of a development network: one block per interval, but never before every live node has reported the last head, so that a slow
// machine stretches the blocks instead of making honest nodes late. Stretched blocks are counted and shown.

import { setTimeout as sleep } from 'node:timers/promises';

/** A node that is silent longer than this is not waited for. */
const PATIENCE_MS = 5_000;

export interface Ticker {
  /** Authors blocks until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Tells that a node has seen a block. */
  report(node: number, block: number): void;
  /** Tells that the live nodes are others than before. */
  wake(): void;
  /** Blocks that came later than the interval because a node had not reported. */
  stretched(): number;
}

export function createTicker(
  options: { readonly blockMs: number },
  deps: { readonly author: () => Promise<number>; readonly liveNodes: () => readonly number[] },
): Ticker {
  const seen = new Map<number, number>();
  let stretched = 0;
  let wake: () => void = () => undefined;

  const behind = (block: number): boolean => deps.liveNodes().some((node) => (seen.get(node) ?? 0) < block);

  async function waitForNodes(block: number, signal: AbortSignal): Promise<void> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    while (behind(block) && !patience.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        patience.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  return {
    async run(signal) {
      let due = performance.now();
      while (!signal.aborted) {
        const block = await deps.author();
        due = Math.max(due + options.blockMs, performance.now());
        await waitForNodes(block, signal);
        const left = due - performance.now();
        if (left < 0) stretched += 1;
        else await sleep(left, undefined, { signal }).catch(() => undefined);
      }
    },
    report(node, block) {
      seen.set(node, Math.max(seen.get(node) ?? 0, block));
      wake();
    },
    wake: () => wake(),
    stretched: () => stretched,
  };
}
