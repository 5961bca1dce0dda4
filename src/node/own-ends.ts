// Privacy by placement: a client that computes the first and the last shard of its routes itself, so that strangers see hidden states only,
// neither the tokens of a prompt nor those of its answer. It is an ordinary hop of its own sessions, which nobody else may open.

import type { Chain, Subnet } from '../chain/types.ts';
import type { DatedOffer, Directory } from '../client/directory.ts';
import { floatOfBits } from '../consensus/challenge.ts';
import { createOnnxEngine } from '../engine/onnx.ts';
import { createHoster } from '../hoster/hoster.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { verifySignature } from '../p2p/identity.ts';
import { createStreamPair } from '../p2p/memory-stream.ts';
import type { FrameStream, Identity, Overlay } from '../p2p/types.ts';
import type { BlockNumber, NodeId, ShardIndex } from '../types/ids.ts';
import { fromHex } from '../util/bytes.ts';
import { CodedError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

/** With two shards nothing would be left for others. */
const LEAST_SHARDS = 3;
/** Frames to oneself wait for nobody's network. */
const WINDOW_BYTES = 1 << 20;
/** What no chain gives to a node: the offer of this client to itself. */
const OWN_NODE = 0 as NodeId;
const MIB = 2 ** 20;

class TooFewShardsError extends CodedError<{ code: 'OPTION_INVALID'; readonly option: 'keep-ends' }> {}

export interface OwnEnds {
  /** Reaches this client too. */
  readonly overlay: Overlay;
  /** Offers in which only this client has the first and the last shard. */
  readonly directory: Pick<Directory, 'offers' | 'refresh'>;
  /** Serves the client's own sessions until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface OwnEndsOptions {
  readonly model: Model;
  readonly cut: string;
  readonly subnet: Subnet;
  /** Genesis hash, as the chain says it. */
  readonly genesis: string;
  /** Blocks. */
  readonly epochLength: number;
}

export interface OwnEndsDeps {
  readonly overlay: Overlay;
  readonly chain: Pick<Chain, 'heads'>;
  readonly directory: Pick<Directory, 'offers' | 'refresh'>;
  readonly identity: Identity;
  readonly log: Log;
}

/** Loads both shards. Throws OPTION_INVALID for a cut of fewer than three shards, and what the engine throws. */
export async function keepEnds(
  { model, cut, subnet, genesis, epochLength }: OwnEndsOptions,
  { overlay: outside, chain, directory, identity, log }: OwnEndsDeps,
  signal: AbortSignal,
): Promise<OwnEnds> {
  const all = cutShards(model.manifest, cut);
  if (all.length < LEAST_SHARDS) throw tooFew(all.length);
  const ends = [0, all.length - 1] as readonly number[] as readonly ShardIndex[];
  const engine = await createOnnxEngine({ model, cut, device: 'cpu' }, { log: log.child('engine') });
  try {
    await engine.load(ends, signal);
  } catch (error) {
    await engine.close();
    throw error;
  }
  const overlay = reachingItself(outside, log);
  const { width, vocab, maxContext } = model.manifest.shape;
  const hoster = createHoster(
    {
      subnet: subnet.id,
      node: OWN_NODE,
      genesis: fromHex(genesis),
      clock: { slot: subnet.slot, epochLength },
      model: {
        hash: model.hash,
        width,
        vocab,
        maxContext,
        shardCount: all.length,
        cacheBytes: Math.max(...all.map(({ memory }) => memory.kvPerToken)),
        outputRms: all.map(({ rmsBits }) => floatOfBits(rmsBits)),
      },
      shards: ends,
      // Told to nobody.
      version: '',
      memoryMiB: 0,
    },
    {
      overlay,
      engine,
      identity,
      chain,
      board: undefined,
      verify: verifySignature,
      mayAsk: (peer) => peer === identity.peer,
      now: () => performance.now(),
      log: log.child('ends'),
    },
  );
  return {
    overlay,
    directory: {
      refresh: directory.refresh,
      offers: () => [
        ownOffer(identity, ends, engine.stats()),
        ...directory.offers().map((offer) => without(ends, offer)),
      ],
    },
    run: hoster.run,
    close: () => engine.close(),
  };
}

/** Nobody can dial himself: streams to the own peer stay in this process. */
function reachingItself(overlay: Overlay, log: Log): Overlay {
  const handlers = new Map<string, (stream: FrameStream) => Promise<void>>();
  return {
    ...overlay,
    handleStream(protocol, options, handler) {
      handlers.set(protocol, handler);
      return overlay.handleStream(protocol, options, handler);
    },
    async openStream(peer, protocol, options) {
      const handler = handlers.get(protocol);
      if (peer !== overlay.self || handler === undefined) return overlay.openStream(peer, protocol, options);
      const end = { peer, maxFrameBytes: options.maxFrameBytes, onTooLarge: () => undefined };
      const { streams } = createStreamPair({
        protocol,
        ends: [end, end],
        windowBytes: WINDOW_BYTES,
        post: queueMicrotask,
        onGone: () => undefined,
      });
      const [near, far] = streams;
      void handler(far)
        .catch((error) => log.debug('own stream failed', { error: String(error) }))
        .finally(() => far.close())
        .catch(() => undefined);
      return near;
    },
  };
}

function ownOffer(
  { peer }: Identity,
  shards: readonly ShardIndex[],
  { kvBudgetBytes }: { readonly kvBudgetBytes: number },
): DatedOffer {
  const memoryMiB = Math.floor(kvBudgetBytes / MIB);
  // Newer than any announce: nobody else can take its place when it has failed.
  const block = Number.MAX_SAFE_INTEGER as BlockNumber;
  return { node: OWN_NODE, peer, shards, load: 0, rowsPerSecond: 0, freePositions: 0xffff_ffff, memoryMiB, block };
}

function without(shards: readonly ShardIndex[], offer: DatedOffer): DatedOffer {
  return { ...offer, shards: offer.shards.filter((shard) => !shards.includes(shard)) };
}

function tooFew(shards: number): TooFewShardsError {
  return new TooFewShardsError(
    { code: 'OPTION_INVALID', option: 'keep-ends' },
    `--keep-ends keeps the first and the last shard here, and the model has ${shards}: nothing would be left for others; leave it out, or cut the model into more shards`,
  );
}
