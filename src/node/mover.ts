// Moves a node that was started with `--shards auto` to other shards while it runs: routing/moving.ts says when, here it is done. The network
// is told before anything is given up, sessions end or are broken off, and the challenge of the epoch has been answered by then.

import type { Chain } from '../chain/types.ts';
import type { Directory } from '../client/directory.ts';
import type { Engine } from '../engine/types.ts';
import { ANNOUNCE_EVERY_BLOCKS } from '../hoster/announce.ts';
import type { Hoster } from '../hoster/hoster.ts';
import { endMove, type Moving, type MovingAct, SETTLED, type Standing, stepMoving } from '../routing/moving.ts';
import type { Move } from '../routing/placement.ts';
import type { BlockNumber, NodeId, ShardIndex } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Validator } from '../validator/validator.ts';
import { ANNOUNCE_LIFE_BLOCKS } from '../wire/record.ts';

/** What listeners hear. */
export type MoveEvent =
  | { readonly type: 'moving'; readonly drop: ShardIndex | undefined; readonly take: ShardIndex }
  | { readonly type: 'moved'; readonly shards: readonly ShardIndex[] }
  | {
      readonly type: 'stayed';
      readonly shards: readonly ShardIndex[];
      readonly code: string;
      readonly message: string;
    };

export interface MoverOptions {
  readonly node: NodeId;
  readonly shards: readonly ShardIndex[];
  /** What each shard of the cut takes, weights and caches. */
  readonly shardBytes: readonly number[];
  readonly memoryBytes: number;
}

export interface MoverDeps {
  readonly chain: Pick<Chain, 'heads'>;
  readonly directory: Pick<Directory, 'offers'>;
  readonly engine: Pick<Engine, 'load' | 'unload'>;
  readonly hoster: Pick<Hoster, 'serve' | 'free'>;
  readonly validator: Pick<Validator, 'hold' | 'mayUnload'>;
  /** Fetches what a shard needs, where not all of the model is here. */
  readonly fetch?: ((shards: readonly ShardIndex[], signal: AbortSignal) => Promise<void>) | undefined;
  readonly log: Log;
}

export interface Mover {
  /** What is served now. */
  shards(): readonly ShardIndex[];
  /** Looks at the network with each head until the signal aborts. Throws only what the chain's heads throw. */
  run(signal: AbortSignal): Promise<void>;
  /** Returns what ends the subscription. */
  on(listener: (event: MoveEvent) => void): () => void;
}

/** Sessions on a shard that is given up have so many blocks to end. */
const FREE_BLOCKS = 20;
/** Heads for which a shard that somebody still computes on is waited for. */
const UNLOAD_TRIES = 5;
const PARAMS = { periodBlocks: ANNOUNCE_EVERY_BLOCKS, lifeBlocks: ANNOUNCE_LIFE_BLOCKS };
const MIB = 2 ** 20;

export function createMover(options: MoverOptions, deps: MoverDeps): Mover {
  const { node, shardBytes, memoryBytes } = options;
  const { directory, engine, hoster, validator, log } = deps;
  const listeners = new Set<(event: MoveEvent) => void>();
  const heads = createTurns();
  let { shards } = options;
  let moving: Moving = SETTLED;
  let head = 0 as BlockNumber;

  function emit(event: MoveEvent): void {
    const { type, ...facts } = event;
    log.info(type, facts);
    for (const listener of listeners) listener(event);
  }

  function standing(): readonly Standing[] {
    const others = directory
      .offers()
      .filter((offer) => offer.node !== node)
      .map((offer) => ({ ...offer, coming: offer.coming ?? [], memoryBytes: offer.memoryMiB * MIB }));
    return [...others, { node, shards, coming: [], memoryBytes }];
  }

  /** Keeps the shards for its sessions and this epoch's challenge until neither needs them. */
  async function giveUp(drop: ShardIndex, signal: AbortSignal): Promise<void> {
    const late = new AbortController();
    const from = head;
    const watching = heads.until(() => head - from >= FREE_BLOCKS, signal).then(() => late.abort());
    watching.catch(() => undefined);
    await hoster.free([drop], AbortSignal.any([signal, late.signal]));
    for (let tries = 1; ; tries += 1) {
      await heads.until(validator.mayUnload, signal);
      validator.hold(shards);
      try {
        return await engine.unload([drop]);
      } catch (error) {
        if (errorCode(error) !== 'E_BUSY' || tries === UNLOAD_TRIES) throw error;
      }
      const last = head;
      await heads.until(() => head > last, signal);
    }
  }

  function serve(now: readonly ShardIndex[], coming: readonly ShardIndex[]): void {
    shards = now;
    hoster.serve(now, coming);
  }

  async function exchange({ drop, take }: Move, signal: AbortSignal): Promise<void> {
    // However long that takes: what is dropped is served meanwhile, and what comes has been announced.
    await deps.fetch?.([take], signal);
    if (drop !== undefined) {
      serve(
        shards.filter((shard) => shard !== drop),
        [take],
      );
      await giveUp(drop, signal);
    }
    await engine.load([take], signal);
    serve(
      [...shards, take].toSorted((a, b) => a - b),
      [],
    );
    validator.hold(shards);
  }

  /** Back to what was served before, as far as it can be. */
  async function goBack(before: readonly ShardIndex[], signal: AbortSignal): Promise<void> {
    try {
      await engine.load(before, signal);
      serve(before, []);
    } catch (error) {
      log.error('shards that were given up cannot be loaded again', { error: errorMessage(error) });
      serve(shards, []);
    }
    validator.hold(shards);
  }

  async function move(what: Move, signal: AbortSignal): Promise<void> {
    const before = shards;
    let moved = false;
    try {
      await exchange(what, signal);
      moved = true;
      emit({ type: 'moved', shards });
    } catch (error) {
      if (signal.aborted) return;
      await goBack(before, signal);
      emit({ type: 'stayed', shards, code: errorCode(error), message: errorMessage(error) });
    }
    moving = endMove(moving, head, moved, PARAMS);
  }

  /** A job that goes on while heads come, if there is one. */
  function perform(act: MovingAct, signal: AbortSignal): Promise<void> | undefined {
    const { drop, take } = act.move;
    switch (act.do) {
      case 'intend':
        emit({ type: 'moving', drop, take });
        hoster.serve(shards, [take]);
        return undefined;
      case 'withdraw':
        hoster.serve(shards, []);
        emit({ type: 'stayed', shards, code: 'WITHDRAWN', message: 'the network does not need the move any more' });
        return undefined;
      case 'exchange':
        return move(act.move, signal);
    }
  }

  return {
    shards: () => shards,
    async run(signal) {
      let job: Promise<void> | undefined;
      // Without heads a job would wait for ever.
      const ending = new AbortController();
      const until = AbortSignal.any([signal, ending.signal]);
      try {
        for await (const { number } of deps.chain.heads('best', signal)) {
          head = number;
          heads.turn();
          const step = stepMoving(moving, { head, self: node, nodes: standing(), shardBytes }, PARAMS);
          moving = step.moving;
          if (step.act !== undefined) job = perform(step.act, until) ?? job;
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        ending.abort();
        await job;
      }
    },
    on(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** What waits for a head to bring it about. */
function createTurns() {
  const waiting = new Set<() => void>();
  return {
    turn(): void {
      for (const look of waiting) look();
    },
    /** Rejects with the signal's reason. */
    async until(holds: () => boolean, signal: AbortSignal): Promise<void> {
      const held = Promise.withResolvers<void>();
      const look = (): void => {
        if (holds()) held.resolve();
      };
      waiting.add(look);
      look();
      try {
        await raceSignal(held.promise, signal);
      } finally {
        waiting.delete(look);
      }
    },
  };
}
