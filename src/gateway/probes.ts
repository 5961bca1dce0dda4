// Who can be reached from here, and how fast: each hoster is asked for its directory now and then, others are dialled.

import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import { DIRECTORY_PROTOCOL, MAX_DIRECTORY_BYTES } from '../wire/announce.ts';

/** Asked in one round; the others have their turn in the next. */
const PROBED_PEERS = 8;
const PROBE_MS = 3_000;

export interface Target {
  readonly peer: PeerId;
  /** To dial it by; undefined: whatever is known of it. */
  readonly address: string | undefined;
  readonly hosts: boolean;
}

export interface Probe {
  readonly reached: boolean;
  /** Of a question; null for who was dialled only. */
  readonly latencyMs: number | null;
}

export interface Probes {
  /** One round; at once when the last one is still under way. */
  round(targets: readonly Target[], signal: AbortSignal): Promise<void>;
  of(peer: PeerId): Probe | undefined;
}

/** @param now monotonic milliseconds */
export function createProbes(overlay: Pick<Overlay, 'request' | 'connect'>, now: () => number): Probes {
  const found = new Map<PeerId, Probe>();
  let next = 0;
  let busy = false;

  async function probe({ peer, address, hosts }: Target, signal: AbortSignal): Promise<void> {
    const until = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]);
    const asked = now();
    try {
      if (hosts) {
        const limits = { maxFrameBytes: MAX_DIRECTORY_BYTES, signal: until };
        await overlay.request(peer, DIRECTORY_PROTOCOL, new Uint8Array(0), limits);
      } else await overlay.connect(address ?? peer, until);
      found.set(peer, { reached: true, latencyMs: hosts ? Math.round(10 * (now() - asked)) / 10 : null });
    } catch {
      if (!signal.aborted) found.set(peer, { reached: false, latencyMs: null });
    }
  }

  return {
    of: (peer) => found.get(peer),
    async round(targets, signal) {
      if (busy || targets.length === 0) return;
      busy = true;
      const from = next % targets.length;
      next = from + PROBED_PEERS;
      const chosen = [...targets.slice(from), ...targets.slice(0, from)].slice(0, PROBED_PEERS);
      const known = new Set(targets.map(({ peer }) => peer));
      for (const peer of found.keys()) if (!known.has(peer)) found.delete(peer);
      try {
        await Promise.all(chosen.map((target) => probe(target, signal)));
      } finally {
        busy = false;
      }
    },
  };
}
