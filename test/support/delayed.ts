// An overlay whose streams take time, as over a long way: each frame arrives so much later, in order. Requests and gossip are as fast as before.

import { setTimeout as sleep } from 'node:timers/promises';
import type { FrameStream, Overlay } from '../../src/p2p/types.ts';

/** @param ms one way, of every frame that this member receives */
export function withDelay(overlay: Overlay, ms: number): Overlay {
  return {
    ...overlay,
    openStream: async (...args) => delayed(await overlay.openStream(...args), ms),
    handleStream: (protocol, options, handler) =>
      overlay.handleStream(protocol, options, (stream) => handler(delayed(stream, ms))),
  };
}

function delayed(stream: FrameStream, ms: number): FrameStream {
  async function* late(): AsyncGenerator<Uint8Array> {
    const arrived: { readonly frame: IteratorResult<Uint8Array>; readonly due: number }[] = [];
    const inner = stream.frames()[Symbol.asyncIterator]();
    let wake: () => void = () => undefined;
    let failure: unknown;
    const pump = async (): Promise<void> => {
      for (;;) {
        const frame = await inner.next();
        arrived.push({ frame, due: performance.now() + ms });
        wake();
        if (frame.done === true) return;
      }
    };
    pump().catch((error: unknown) => {
      failure = error;
      wake();
    });
    for (;;) {
      const next = arrived.shift();
      if (next === undefined) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      await sleep(Math.max(0, next.due - performance.now()));
      if (next.frame.done === true) return;
      yield next.frame.value;
    }
  }
  return { ...stream, peer: stream.peer, frames: late };
}
