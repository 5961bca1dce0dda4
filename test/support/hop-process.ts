// A hoster in a process of its own, as its parent wants it: killed, stopped or corrupted at a given place (test/support/hops.ts).

import { createHeadFeed } from '../../src/chain/heads.ts';
import type { SubnetNode } from '../../src/chain/types.ts';
import { createDirectory } from '../../src/client/directory.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine, KvSession } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { announceTopic } from '../../src/wire/announce.ts';

/** What a hoster is given when it starts. */
export interface HopSetup {
  readonly place: number;
  /** Peers of all hosters, in order. */
  readonly peers: readonly PeerId[];
  readonly folder: string;
  readonly shards: readonly ShardIndex[];
  /** Of those that are there already. */
  readonly dial: readonly string[];
}

/** From the parent. */
export type HopOrder =
  | { readonly say: 'head'; readonly number: number }
  /** Answers nonsense in the first step from this position on, once. */
  | { readonly say: 'corrupt'; readonly position: number | undefined };

/** To the parent. */
export type HopNews = { readonly ready: readonly string[] };

export const HOPS_SUBNET = 128_001 as SubnetId;
export const HOPS_GENESIS = new Uint8Array(32).fill(3);

export function hopIdentity(place: number) {
  return identityFromSeed(new Uint8Array(32).fill(place + 1));
}

/** Activated nodes with these peers. */
export function hopNodes(peers: readonly PeerId[]): readonly SubnetNode[] {
  return peers.map((peer, i) => ({
    id: i + 1,
    nodeClass: 'Validator',
    peerInfo: { peer },
  })) as unknown as readonly SubnetNode[];
}

/** Values that are no numbers in each step that `isDue` says. */
function withNonsense(engine: Engine, isDue: (position: number) => boolean): Engine {
  const around = (kv: KvSession): KvSession => ({
    ...kv,
    get length() {
      return kv.length;
    },
    async step(position, rows, signal) {
      const result = await kv.step(position, rows, signal);
      if (isDue(position)) {
        if (result.kind === 'hidden') result.data.fill(Number.NaN);
        else result.top.values.fill(Number.NaN);
      }
      return result;
    },
  });
  return { ...engine, openSession: async (...args) => around(await engine.openSession(...args)) };
}

async function main({ place, peers, folder, shards, dial }: HopSetup): Promise<void> {
  const identity = hopIdentity(place);
  const heads = createHeadFeed();
  const model = await openModel(folder);
  let corruptFrom: number | undefined;
  const isDue = (position: number): boolean => {
    if (corruptFrom === undefined || position < corruptFrom) return false;
    corruptFrom = undefined;
    return true;
  };
  const engine = withNonsense(createReferenceEngine({ model, cut: DEFAULT_CUT }), isDue);
  await engine.load(shards);
  const overlay = await createOverlay(
    {
      identity,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      network: 'test',
      dhtServer: false,
      topics: [announceTopic(HOPS_SUBNET)],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
  const chain = {
    heads: (_kind: unknown, signal: AbortSignal) => heads.stream(signal),
    nodes: async () => hopNodes(peers),
  };
  const directory = createDirectory(
    { subnet: HOPS_SUBNET, genesis: HOPS_GENESIS },
    { overlay, chain, verify: verifySignature, log: silentLog },
  );
  const { width, vocab, maxContext } = model.manifest.shape;
  const hoster = createHoster(
    {
      subnet: HOPS_SUBNET,
      node: (place + 1) as NodeId,
      genesis: HOPS_GENESIS,
      clock: { slot: 3, epochLength: 20 },
      model: { hash: model.hash, width, vocab, maxContext, shardCount: peers.length, cacheBytes: 1, outputRms: [] },
      shards,
      version: 'test',
      memoryMiB: 64,
    },
    {
      overlay,
      engine,
      identity,
      chain,
      board: directory,
      verify: verifySignature,
      mayAsk: () => true,
      now: () => performance.now(),
      log: silentLog,
    },
  );
  process.on('message', (order: HopOrder) => {
    if (order.say === 'head')
      heads.publish({ number: order.number as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
    else corruptFrom = order.position;
  });
  process.on('disconnect', () => process.exit());
  const never = new AbortController().signal;
  void Promise.all([directory.run(never), hoster.run(never)]);
  for (const address of dial) await overlay.connect(address, never);
  process.send?.({ ready: overlay.addresses() } satisfies HopNews);
}

if (process.argv[2] === 'hop') await main(JSON.parse(process.argv[3] ?? '') as HopSetup);
