// Ends a text at the first of its stop texts: those are not shown, also where they span tokens, so the end of the text is held back
// until it is certain that none begins there.

import type { TextStream } from './tokenizer.ts';

export interface StoppingStream extends TextStream {
  /** Whether a stop text was met: nothing follows. */
  readonly stopped: boolean;
}

/** @param stop texts that end the answer, none of them empty */
export function withStops(stream: TextStream, stop: readonly string[]): StoppingStream {
  const longest = Math.max(0, ...stop.map((word) => word.length - 1));
  let held = '';
  let stopped = false;

  /** What of `held` is certain; `margin` characters at its end are not. */
  function release(margin: number): string {
    const end = firstOf(held, stop);
    stopped = end !== undefined;
    const certain = end ?? Math.max(0, held.length - margin);
    const text = held.slice(0, certain);
    held = stopped ? '' : held.slice(certain);
    return text;
  }

  return {
    get stopped() {
      return stopped;
    },
    push(id) {
      if (stopped) return '';
      held += stream.push(id);
      return release(longest);
    },
    end() {
      if (stopped) return '';
      held += stream.end();
      return release(0);
    },
  };
}

/** Where the stop text begins that is complete first, however the text is cut into tokens; of two that end together the longer one. */
function firstOf(text: string, stop: readonly string[]): number | undefined {
  const found = stop
    .map((word) => ({ start: text.indexOf(word), length: word.length }))
    .filter(({ start }) => start >= 0)
    .sort((a, b) => a.start + a.length - (b.start + b.length) || a.start - b.start);
  return found[0]?.start;
}
