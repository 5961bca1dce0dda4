// When a running node moves to other shards (network.md): the move that placement.ts names has stood for a while, nobody else is moving, and
// the network has been told before anything is given up. Pure; follows heads. Each node steps for itself, and who is not named waits.

import type { BlockNumber, NodeId, ShardIndex } from '../types/ids.ts';
import { type Move, nextMove, type Placed } from './placement.ts';

/** A node as its announce says. */
export interface Standing extends Placed {
  /** What it is about to serve. */
  readonly coming: readonly ShardIndex[];
}

/** What a node knows at a head. */
export interface MovingView {
  readonly head: BlockNumber;
  readonly self: NodeId;
  /** Fresh announces; this node's own place among them is what it serves, whatever it has announced. */
  readonly nodes: readonly Standing[];
  /** Memory of each shard of the cut. */
  readonly shardBytes: readonly number[];
}

export interface MovingParams {
  /** From one announce of a node to its next, and how long each stands. */
  readonly periodBlocks: number;
  readonly lifeBlocks: number;
}

export interface Moving {
  readonly at: 'settled' | 'intending' | 'exchanging';
  /** Named by the rule, and since when without another word. */
  readonly named: { readonly move: Move; readonly since: BlockNumber } | undefined;
  /** No move of this node begins before. */
  readonly rest: BlockNumber;
  /** Others that say that shards come to them, and since when. */
  readonly movers: ReadonlyMap<NodeId, BlockNumber>;
  /** Nodes that were named and did nothing, and until when the rule passes over them. */
  readonly passed: ReadonlyMap<NodeId, BlockNumber>;
}

/** `intend`: tell the network what is coming; `withdraw`: take that back; `exchange`: give up what is dropped and load what is taken. */
export type MovingAct =
  | { readonly do: 'intend' | 'exchange'; readonly move: Move }
  | { readonly do: 'withdraw'; readonly move: Move };

export interface MovingStep {
  readonly moving: Moving;
  readonly act?: MovingAct;
}

/** What loading a shard costs, as part of what one server of a shard alone is worth: from three servers to one is worth a move, from four to two is not. */
const RELOAD = 0.1;
/** A shard that comes to a node for longer than that many lives of an announce holds up nobody any more. */
const MOVING_LIVES = 20;
/** Named for that many lives beyond patience and not moving: somebody else is. */
const OVERDUE_LIVES = 2;
/** So long is passed over who did not move, and rests who could not. */
const PASSED_LIVES = 10;

export const SETTLED: Moving = {
  at: 'settled',
  named: undefined,
  rest: 0 as BlockNumber,
  movers: new Map(),
  passed: new Map(),
};

export function stepMoving(before: Moving, view: MovingView, params: MovingParams): MovingStep {
  const moving = { ...before, movers: moversIn(before, view), passed: stillPassed(before, view.head) };
  switch (moving.at) {
    case 'exchanging':
      return { moving };
    case 'intending':
      return stepIntending(moving, view, params);
    case 'settled':
      return stepSettled(moving, view, params);
  }
}

/** The exchange is over, whichever way: nothing is weighed anew before the network has heard of it. */
export function endMove(moving: Moving, head: BlockNumber, moved: boolean, { lifeBlocks }: MovingParams): Moving {
  const lives = moved ? 1 : PASSED_LIVES;
  return { ...moving, at: 'settled', named: undefined, rest: (head + lives * lifeBlocks) as BlockNumber };
}

function stepSettled(moving: Moving, view: MovingView, params: MovingParams): MovingStep {
  const { head, self } = view;
  if (othersMove(moving, view, params, () => true)) return { moving: { ...moving, named: undefined } };
  const move = nextMove(placedIn(moving, view), view.shardBytes, RELOAD);
  if (move === undefined) return { moving: { ...moving, named: undefined } };
  const since = isSame(moving.named?.move, move) ? (moving.named?.since ?? head) : head;
  const waited = head - since - patience(move, view, params);
  const named = { move, since };
  if (move.node === self && waited >= 0 && head >= moving.rest)
    return { moving: { ...moving, at: 'intending', named: { move, since: head } }, act: { do: 'intend', move } };
  if (move.node === self || waited < OVERDUE_LIVES * params.lifeBlocks) return { moving: { ...moving, named } };
  const until = (head + PASSED_LIVES * params.lifeBlocks) as BlockNumber;
  return { moving: { ...moving, named: undefined, passed: new Map([...moving.passed, [move.node, until]]) } };
}

/** The network has been told; who else said so at the same time is heard within a period, and the lower id goes on. */
function stepIntending(moving: Moving, view: MovingView, params: MovingParams): MovingStep {
  const { named } = moving;
  if (named === undefined) return { moving: { ...moving, at: 'settled' } };
  const { move, since } = named;
  // What comes to others counts for nothing here: of two that want the same, one takes it back.
  const served = view.nodes.map((one) => ({ ...one, coming: [] }));
  const isWanted = isSame(nextMove(placedIn(moving, { ...view, nodes: served }), view.shardBytes, RELOAD), move);
  if (!isWanted || othersMove(moving, view, params, (node) => node < view.self)) {
    const rest = (view.head + params.lifeBlocks) as BlockNumber;
    return { moving: { ...moving, at: 'settled', named: undefined, rest }, act: { do: 'withdraw', move } };
  }
  // One period for its own word to go round, and another head for what others said meanwhile.
  const isHeard = view.head - since > params.periodBlocks && !othersMove(moving, view, params, () => true);
  return isHeard ? { moving: { ...moving, at: 'exchanging' }, act: { do: 'exchange', move } } : { moving };
}

/** A shard that nobody serves cannot wait long: who served it has been silent for most of an announce's life already. */
function patience({ take }: Move, { nodes }: MovingView, { periodBlocks, lifeBlocks }: MovingParams): number {
  return nodes.some(({ shards }) => shards.includes(take)) ? lifeBlocks : periodBlocks;
}

function othersMove(
  { movers }: Moving,
  { head }: MovingView,
  { lifeBlocks }: MovingParams,
  counts: (node: NodeId) => boolean,
): boolean {
  return [...movers].some(([node, since]) => counts(node) && head - since <= MOVING_LIVES * lifeBlocks);
}

function moversIn({ movers }: Moving, { head, self, nodes }: MovingView): ReadonlyMap<NodeId, BlockNumber> {
  const now = nodes.filter(({ node, coming }) => node !== self && coming.length > 0);
  return new Map(now.map(({ node }) => [node, movers.get(node) ?? head]));
}

function stillPassed({ passed }: Moving, head: BlockNumber): ReadonlyMap<NodeId, BlockNumber> {
  return new Map([...passed].filter(([, until]) => until > head));
}

/** For the rule: what is coming counts as served, and who is passed over has nothing to move with. */
function placedIn({ passed }: Moving, { self, nodes }: MovingView): readonly Placed[] {
  return nodes.map(({ node, shards, coming, memoryBytes }) => ({
    node,
    shards: node === self ? shards : [...new Set([...shards, ...coming])],
    memoryBytes: passed.has(node) ? 0 : memoryBytes,
  }));
}

function isSame(a: Move | undefined, b: Move): boolean {
  return a !== undefined && a.node === b.node && a.drop === b.drop && a.take === b.take;
}
