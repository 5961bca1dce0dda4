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

/** A third of an announce's life: two may be lost (protocol.md 4). */
const ANNOUNCE_EVERY_BLOCKS = 5;
/** A peer asks once per announce period at most; two are open when it asks again before the first has ended. */
const DIRECTORY_STREAMS_PER_PEER = 2;
const PER_MILLE = 1_000;
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
}

export interface AnnouncerDeps {
  readonly overlay: Overlay;
  readonly identity: Pick<Identity, 'sign'>;
  readonly engine: Pick<Engine, 'stats'>;
  readonly board: AnnounceBoard;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Announcer {
  serve(): Promise<void>;
  /** Announces when it is time; failures are logged and tried again at the next head. */
  onHead(head: BlockNumber): Promise<void>;
}

export function createAnnouncer(options: AnnouncerOptions, deps: AnnouncerDeps): Announcer {
  let last: BlockNumber | undefined;
  const rate = createRate(deps.now);

  async function announce(head: BlockNumber): Promise<void> {
    const stats = deps.engine.stats();
    const body = announceAt(head, options, deps.overlay.addresses(), loadOf(stats), rate(stats.rows));
    const { bytes } = signRecord(body, deps.identity);
    await deps.board.admit(bytes);
    const peers = await deps.overlay.publish(announceTopic(options.subnet), bytes);
    if (peers > 0) last = head;
    deps.log.debug('announced', { head, peers });
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
      try {
        await announce(head);
      } catch (error) {
        deps.log.warn('not announced', { head, error: errorMessage(error) });
      }
    },
  };
}

function announceAt(
  head: BlockNumber,
  options: AnnouncerOptions,
  addresses: readonly string[],
  load: number,
  rowsPerSecond: number,
): Announce {
  return {
    kind: 'an',
    genesis: options.genesis,
    subnet: options.subnet,
    epoch: phaseAt(head, options.clock)?.epoch ?? (0 as Epoch),
    node: options.node,
    shards: options.shards.toSorted((a, b) => a - b),
    addresses: addresses.slice(0, MAX_ADDRESSES),
    load,
    rowsPerSecond,
    version: options.version,
    block: head,
    expires: (head + ANNOUNCE_LIFE_BLOCKS) as BlockNumber,
  };
}

/** Per mille of the KV budget in use, rounded down. */
function loadOf({ kvBytes, kvBudgetBytes }: EngineStats): number {
  if (kvBudgetBytes <= 0) return PER_MILLE;
  return Math.min(PER_MILLE, Math.floor((kvBytes * PER_MILLE) / kvBudgetBytes));
}

/** Rows per second since the call before, from a counter. */
function createRate(now: () => number): (rows: number) => number {
  let before: { readonly rows: number; readonly ms: number } | undefined;
  return (rows) => {
    const { rows: rowsBefore, ms } = before ?? { rows, ms: now() };
    before = { rows, ms: now() };
    return Math.floor(((rows - rowsBefore) * 1_000) / Math.max(1, before.ms - ms));
  };
}
