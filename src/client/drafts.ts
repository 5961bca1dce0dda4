// Guesses what comes next: from what was said already (names, refrains, quoted text), else from a table of what the model mostly says, if there is one. A guess
// costs the route a row; a right one saves a lap. Pure apart from what it remembers of one generation.

import type { DraftTable } from './draft-table.ts';

/** Tokens that must be the same for what followed them to be proposed again; longer matches are looked for first. */
const MATCHES = [4, 3, 2];
/** A match of fewer tokens says less than the table. */
const SURE = 3;

/** Tokens of the end of a text that a table may look at. */
const TABLE_RUN = 8;

export interface Drafter {
  /** The next token of the text. */
  push(token: number): void;
  /** At most so many tokens that may come next; none where nothing matches. */
  propose(most: number): readonly number[];
}

/** Remembers where each short run of tokens ended last: one map entry per token and length. */
export function createDrafter(prompt: readonly number[], table?: DraftTable): Drafter {
  const text: number[] = [];
  /** Run of tokens -> the place behind its latest end. */
  const ends = MATCHES.map((length) => ({ length, places: new Map<string, number>() }));
  /** For each length where the run that ends the text ended before. */
  let earlier: (number | undefined)[] = [];

  function push(token: number): void {
    text.push(token);
    earlier = ends.map(({ length, places }) => {
      if (text.length < length) return undefined;
      const run = text.slice(-length).join();
      const before = places.get(run);
      places.set(run, text.length);
      return before;
    });
  }

  /** One guess after the other, each on those before. */
  function fromTable({ follows }: DraftTable, most: number): readonly number[] {
    const end = text.slice(-TABLE_RUN);
    const wanted = end.length + most;
    while (end.length < wanted) {
      const next = follows(end);
      if (next === undefined) break;
      end.push(next);
    }
    return end.slice(Math.min(text.length, TABLE_RUN));
  }

  for (const token of prompt) push(token);
  return {
    push,
    propose(most) {
      const from = earlier.find((place) => place !== undefined);
      const sure = earlier.some((place, i) => place !== undefined && (MATCHES[i] ?? 0) >= SURE);
      const drafted = sure || table === undefined ? [] : fromTable(table, most);
      if (drafted.length > 0 || from === undefined) return drafted;
      return text.slice(from, from + most);
    },
  };
}

/** Fewest and most guesses of one lap: MAX_ROLLBACK_ROWS rows may be taken back (protocol.md 12). */
const LEAST = 1;
const MOST = 12;
const FIRST = 4;

/** How many guesses a lap is worth: as many as were right lately, and no more rows than the network's part of a lap pays for. */
export interface Trust {
  /** @param paid rows that the route could compute while a lap is on its way; undefined where that is not known */
  most(paid: number | undefined): number;
  learn(proposed: number, right: number): void;
}

export function createTrust(): Trust {
  let guesses = FIRST;
  return {
    most: (paid) => Math.min(guesses, paid ?? guesses),
    learn(proposed, right) {
      if (proposed === 0) return;
      guesses = right === proposed ? Math.min(MOST, guesses * 2) : Math.max(LEAST, Math.min(guesses, right + 1));
    },
  };
}
