// The world between simulated nodes: heads and messages come late, messages get lost, some nodes are cut off or stuck. Time is counted in
// ticks, some to a block; what is drawn is drawn from the seed. Gossip is the memory network's, requests go straight to the peer's
// handler: nothing here but arrays, so that thousands of epochs can be played.

import type { Head } from '../../src/chain/types.ts';
import type { Overlay, ProtocolOptions } from '../../src/p2p/types.ts';
import type { PeerId } from '../../src/types/ids.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';

/** Ticks per block: what comes later than a tick before a list closes is at the mercy of chance. */
export const TICKS = 4;

export interface WorldOptions {
  readonly seed: number;
  /** Share of messages lost: gossip on each hop, and requests. */
  readonly loss: number;
  /** A head, and a message, is up to so many blocks under way. */
  readonly delay: number;
  /** Blocks by which a node hears later still of a block. */
  readonly stuck?: (node: number, block: number) => number;
}

type Judge = Parameters<Overlay['subscribe']>[1];
type Handler = Parameters<Overlay['handleRequest']>[2];

export interface World {
  /** What a node's validator sees of the world. */
  wrap(deps: ValidatorDeps, node: number): ValidatorDeps;
  /** Shows a gossip message to one peer only, who does not pass it on. */
  tell(from: PeerId, to: PeerId, message: Uint8Array): void;
  /** Does something at a tick of a block. */
  at(block: number, tick: number, job: () => void): void;
  /** All ticks of the block that was made last, and what follows from each. */
  passBlock(block: number): Promise<void>;
  /** Nothing is under way any more, and nothing waits from now on. */
  end(): void;
}

/** Numbers in [0, 1), the same for the same seed. */
export function createChance(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b1) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function createWorld({ seed, loss, delay, stuck = () => 0 }: WorldOptions): World {
  const chance = createChance(seed);
  const handlers = new Map<string, { readonly options: ProtocolOptions; readonly handler: Handler }>();
  const ears = new Map<PeerId, Judge>();
  const jobs = new Map<number, (() => void)[]>();
  let now = 0;

  function later(tick: number, job: () => void): void {
    const due = jobs.get(tick);
    if (tick <= now) job();
    else if (due === undefined) jobs.set(tick, [job]);
    else due.push(job);
  }

  function arrive(tick: number): void {
    now = tick;
    for (const [due, list] of jobs) {
      if (due > now) continue;
      jobs.delete(due);
      for (const job of list) job();
    }
  }

  function until(tick: number): Promise<void> {
    return new Promise((resolve) => later(tick, resolve));
  }

  /** Ticks that something is under way. */
  function passage(): number {
    return Math.floor(chance() * delay * TICKS);
  }

  async function* lateHeads(heads: AsyncIterable<Head>, node: number, signal: AbortSignal): AsyncGenerator<Head> {
    for await (const head of heads) {
      await until(head.number * TICKS + passage() + stuck(node, head.number) * TICKS);
      if (signal.aborted) return;
      yield head;
    }
  }

  function wrapOverlay(overlay: Overlay): Overlay {
    const { self } = overlay;
    return {
      ...overlay,
      subscribe(topic, judge) {
        ears.set(self, judge);
        overlay.subscribe(topic, async (message, from) => {
          await until(now + passage());
          return judge(message, from);
        });
      },
      // The DHT is an archive, and no duty waits for it (protocol.md 10).
      putRecord: async () => 0,
      async handleRequest(protocol, options, handler) {
        handlers.set(`${self} ${protocol}`, { options, handler });
      },
      async request(peer, protocol, body, { signal }) {
        await until(now + passage());
        const served = handlers.get(`${peer} ${protocol}`);
        if (served === undefined || chance() < loss || !overlay.peers().includes(peer)) throw new Error('lost');
        if (!(await served.options.admit(self))) throw new Error('not admitted');
        const answer = await served.handler(body, self, signal);
        await until(now + passage());
        return answer;
      },
    };
  }

  return {
    wrap(deps, node) {
      const { chain, overlay } = deps;
      const heads: typeof chain.heads = (kind, signal) => {
        const all = chain.heads(kind, signal);
        return kind === 'best' ? lateHeads(all, node, signal) : all;
      };
      return { ...deps, chain: { ...chain, heads }, overlay: wrapOverlay(overlay) };
    },
    tell(from, to, message) {
      void ears.get(to)?.(message.slice(), from);
    },
    at: (block, tick, job) => later(block * TICKS + tick, job),
    async passBlock(block) {
      for (let tick = 0; tick < TICKS; tick++) {
        arrive(block * TICKS + tick);
        await nextTurn();
      }
    },
    end: () => arrive(Number.POSITIVE_INFINITY),
  };
}

/** One turn of the event loop: everything that follows from a tick is microtasks. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Each signature is verified once in this process, whoever holds the record. */
export function verifyingOnce(verify: ValidatorDeps['verify']): ValidatorDeps['verify'] {
  const known = new Map<string, { readonly peer: PeerId; readonly message: Uint8Array; readonly holds: boolean }>();
  return (peer, message, signature) => {
    const name = Buffer.from(signature).toString('latin1');
    const before = known.get(name);
    if (before?.peer === peer && Buffer.compare(before.message, message) === 0) return before.holds;
    const holds = verify(peer, message, signature);
    if (known.size >= MAX_VERIFIED) known.clear();
    known.set(name, { peer, message, holds });
    return holds;
  };
}

/** Some epochs of records. */
const MAX_VERIFIED = 4096;
