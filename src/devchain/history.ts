// The blocks of this chain: the best line, what was retracted from it, and the states of the newest ones. States are immutable tries that
// share what they have in common, so keeping thousands costs what they changed.

import { CodedError } from '../util/errors.ts';
import type { Block } from './block.ts';
import type { Hex } from './hex.ts';
import type { Trie } from './trie.ts';

export class HistoryError extends CodedError<
  | { code: 'BLOCK_UNKNOWN'; block: string }
  | { code: 'STATE_DISCARDED'; block: Hex }
  | { code: 'REORG_TOO_DEEP'; depth: number }
> {}

export interface History {
  readonly head: () => Block;
  readonly finalized: () => Block;
  readonly genesis: () => Block;
  byNumber(number: number): Block | undefined;
  /** Also finds retracted blocks that are still remembered. */
  byHash(hash: string): Block | undefined;
  /** Throws HistoryError `STATE_DISCARDED`. */
  stateAfter(block: Block): Trie;
  append(block: Block, trie: Trie): void;
  /** Throws HistoryError `REORG_TOO_DEEP` when there are fewer blocks than that, or the state below them is no longer kept. */
  assertRetractable(depth: number): void;
  /** Takes the newest `depth` blocks off the best line, newest first; throws as `assertRetractable`. */
  retract(depth: number): readonly Block[];
  /** Replaces the state after the head (development only). */
  replaceHeadState(trie: Trie): void;
  /** Moves finality to `number` at most the head, never back; answers the blocks that became final. */
  finalize(number: number): readonly Block[];
  /** Development only: finality goes back with the head. */
  unfinalize(number: number): void;
}

/** States kept; older blocks keep header and extrinsics. At 10-20 KB per block this is at most 80 MB. */
const KEPT_STATES = 4096;
/** Retracted blocks that can still be asked for: a client that followed one may read it a little longer. */
const KEPT_RETRACTED = 64;

export function createHistory(genesis: Block, trie: Trie, keptStates: number = KEPT_STATES): History {
  const line: Block[] = [genesis];
  const known = new Map<string, Block>([[genesis.hash, genesis]]);
  const states = new Map<Hex, { readonly trie: Trie }>([[genesis.hash, { trie }]]);
  const retracted: Block[] = [];
  let finalizedNumber = 0;

  const head = () => line[line.length - 1] as Block;

  function append(block: Block, after: Trie): void {
    line.push(block);
    known.set(block.hash, block);
    states.set(block.hash, { trie: after });
    const old = line[line.length - 1 - keptStates];
    if (old !== undefined) states.delete(old.hash);
  }

  function assertRetractable(depth: number): void {
    const below = line[line.length - 1 - depth];
    if (below !== undefined && states.has(below.hash)) return;
    throw new HistoryError(
      { code: 'REORG_TOO_DEEP', depth },
      `cannot roll back ${depth} of ${line.length - 1} blocks; the newest ${keptStates} states are kept`,
    );
  }

  function retract(depth: number): readonly Block[] {
    assertRetractable(depth);
    const blocks = line.splice(line.length - depth).reverse();
    retracted.push(...blocks);
    for (const block of retracted.splice(0, retracted.length - KEPT_RETRACTED)) forget(block);
    return blocks;
  }

  function forget(block: Block): void {
    if (line[block.number]?.hash === block.hash) return;
    known.delete(block.hash);
    states.delete(block.hash);
  }

  return {
    head,
    finalized: () => line[finalizedNumber] as Block,
    genesis: () => genesis,
    byNumber: (number) => line[number],
    byHash: (hash) => known.get(hash.toLowerCase()),
    stateAfter: (block) => {
      const state = states.get(block.hash);
      if (state === undefined) {
        throw new HistoryError(
          { code: 'STATE_DISCARDED', block: block.hash },
          `State already discarded for ${block.hash}`,
        );
      }
      return state.trie;
    },
    append,
    assertRetractable,
    retract,
    replaceHeadState: (after) => {
      states.set(head().hash, { trie: after });
    },
    finalize: (number) => {
      const last = Math.max(0, Math.min(number, line.length - 1));
      const blocks = line.slice(finalizedNumber + 1, last + 1);
      finalizedNumber = Math.max(finalizedNumber, last);
      return blocks;
    },
    unfinalize: (number) => {
      finalizedNumber = Math.max(0, Math.min(finalizedNumber, number));
    },
  };
}
