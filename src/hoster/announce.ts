// Says what this node serves: an `an` record every few blocks by gossip, and the newest announces of all for whoever asks
// (protocol.md 4, `/tessera/directory/1`). Follows heads, never timers.

import { type ClockParams, phaseAt } from '../consensus/phase.ts';
import type { Engine, EngineStats } from '../engine/types.ts';
import type { Identity, Overlay } from '../p2p/types.ts';
import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Announce } from '../types/record.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { announceTopic, DIRECTORY_PROTOCOL, encodeDirectory, MAX_DIRECTORY_BYTES } from '../wire/announce.ts';
import { ANNOUNCE_LIFE_BLOCKS, signRecord } from '../wire/record.ts';
import type { Meter } from './meter.ts';

/** A third of an announce's life: two may be lost (protocol.md 4). */
export const ANNOUNCE_EVERY_BLOCKS = 5;
/** A peer asks once per announce period at most; two are open when it asks again before the first has ended. */
const DIRECTORY_STREAMS_PER_PEER = 2;
const MAX_U32 = 0xffff_ffff;
const MAX_ADDRESSES = 8;

/** The announces that this node holds; client/directory.ts is one. */
export interface AnnounceBoard {
  admit(record: Uint8Array): Promise<unknown>;
  /** The newest fresh announce of each node, as they travel. */
  records(): readonly Uint8Array[];
}

export interface AnnouncerOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  /** Genesis hash, 32 bytes. */
  readonly genesis: Uint8Array;
  readonly clock: ClockParams;
  readonly shards: readonly ShardIndex[];
  readonly version: string;
  /** Bytes of cache that one position of one shard takes, at most. */
  readonly cacheBytes: number;
  /** What this node gives to weights and caches, MiB; 0 when its shards do not follow from that. */
  readonly memoryMiB: number;
}

export interface AnnouncerDeps {
  readonly overlay: Overlay;
  readonly identity: Pick<Identity, 'sign'>;
  readonly engine: Pick<Engine, 'stats'>;
  readonly board: AnnounceBoard;
  readonly meter: Pick<Meter, 'load' | 'rowsPerSecond'>;
  readonly log: Log;
}

export interface Announcer {
  serve(): Promise<void>;
  /** Announces when it is time; failures are logged and tried again at the next head. */
  onHead(head: BlockNumber): Promise<void>;
  /** From the next head on says that these shards are served and those are coming. */
  offer(shards: readonly ShardIndex[], coming: readonly ShardIndex[]): void;
  /** Announces once more, for one block only: then the offer is gone from every directory. */
  leave(head: BlockNumber): Promise<void>;
}

interface Offered {
  readonly shards: readonly ShardIndex[];
  /** About to be served. */
  readonly coming: readonly ShardIndex[];
}

export function createAnnouncer(options: AnnouncerOptions, deps: AnnouncerDeps): Announcer {
  let last: BlockNumber | undefined;
  let offered: Offered = { shards: options.shards, coming: [] };

  async function announce(head: BlockNumber, life: number): Promise<void> {
    const freePositions = freeCache(deps.engine.stats(), options.cacheBytes);
    const { meter, overlay } = deps;
    const pace = { load: meter.load(), rowsPerSecond: meter.rowsPerSecond(), freePositions };
    const body = announceAt(head, life, { ...options, ...offered }, overlay.addresses(), pace);
    const { bytes } = signRecord(body, deps.identity);
    await deps.board.admit(bytes);
    const peers = await deps.overlay.publish(announceTopic(options.subnet), bytes);
    if (peers > 0) last = head;
    deps.log.debug('announced', { head, peers });
  }

  async function tryAnnounce(head: BlockNumber, life: number): Promise<void> {
    try {
      await announce(head, life);
    } catch (error) {
      deps.log.warn('not announced', { head, error: errorMessage(error) });
    }
  }

  return {
    async serve() {
      const limits = {
        maxFrameBytes: MAX_DIRECTORY_BYTES,
        maxStreamsPerPeer: DIRECTORY_STREAMS_PER_PEER,
        admit: () => true,
      };
      await deps.overlay.handleRequest(DIRECTORY_PROTOCOL, limits, async () => encodeDirectory(deps.board.records()));
    },
    async onHead(head) {
      if (last !== undefined && head < last + ANNOUNCE_EVERY_BLOCKS) return;
      await tryAnnounce(head, ANNOUNCE_LIFE_BLOCKS);
    },
    offer(shards, coming) {
      offered = { shards, coming };
      last = undefined;
    },
    leave: (head) => tryAnnounce(head, 1),
  };
}

/** @param life blocks for which the offer stands */
function announceAt(
  head: BlockNumber,
  life: number,
  options: AnnouncerOptions & Offered,
  addresses: readonly string[],
  pace: Pick<Announce, 'load' | 'rowsPerSecond' | 'freePositions'>,
): Announce {
  return {
    kind: 'an',
    genesis: options.genesis,
    subnet: options.subnet,
    epoch: phaseAt(head, options.clock)?.epoch ?? (0 as Epoch),
    node: options.node,
    shards: options.shards.toSorted((a, b) => a - b),
    ...(options.coming.length === 0 ? {} : { coming: options.coming.toSorted((a, b) => a - b) }),
    addresses: addresses.slice(0, MAX_ADDRESSES),
    ...pace,
    memoryMiB: options.memoryMiB,
    version: options.version,
    block: head,
    expires: (head + life) as BlockNumber,
  };
}

/** Positions of one shard that there is cache for. */
function freeCache({ kvBytes, kvBudgetBytes }: EngineStats, cacheBytes: number): number {
  return Math.max(0, Math.min(MAX_U32, Math.floor((kvBudgetBytes - kvBytes) / Math.max(1, cacheBytes))));
}
