// The other processes of `npm run bench -- gateway`: a hoster that serves the whole bundled model, and the gateway with its client. The parent
// makes the heads. A hoster trusts its one client with as many sessions as the bench says; everything else is as on a network.

import { createHeadFeed } from '../../src/chain/heads.ts';
import type { SubnetNode } from '../../src/chain/types.ts';
import { createClient } from '../../src/client/client.ts';
import { createDirectory } from '../../src/client/directory.ts';
import { floatOfBits } from '../../src/consensus/challenge.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createGateway } from '../../src/gateway/server.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { HOSTER_LIMITS } from '../../src/hoster/limits.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Hash, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { announceTopic } from '../../src/wire/announce.ts';

export interface GatewayBenchSetup {
  readonly role: 'hoster' | 'gateway';
  /** Of this hoster, from 0. */
  readonly place: number;
  readonly hosters: number;
  /** Model folder. */
  readonly model: string;
  /** A hoster's for one client, or the gateway's. */
  readonly streams: number;
  /** Of the hosters, for the gateway. */
  readonly dial: readonly string[];
}

/** From the parent. */
export type GatewayBenchOrder =
  | { readonly head: number }
  /** What processor time has this process taken so far? */
  | 'cpu';

/** To the parent. */
export type GatewayBenchNews =
  | { readonly addresses: readonly string[] }
  | { readonly url: string }
  /** Offers that the gateway knows of. */
  | { readonly offers: number }
  | { readonly cpuMs: number };

const SUBNET = 128_001 as SubnetId;
const GENESIS = new Uint8Array(32).fill(3);
const SHARDS = 4;
const GATEWAY_SEED = 100;

const never = new AbortController().signal;

function tell(news: GatewayBenchNews): void {
  process.send?.(news);
}

function identityOf(seed: number) {
  return identityFromSeed(new Uint8Array(32).fill(seed));
}

async function join({ role, place, hosters }: GatewayBenchSetup) {
  const identity = identityOf(role === 'hoster' ? place + 1 : GATEWAY_SEED);
  const nodes = Array.from({ length: hosters }, (_, i) => ({
    ...{ id: i + 1, nodeClass: 'Validator', peerInfo: { peer: identityOf(i + 1).peer } },
  })) as unknown as readonly SubnetNode[];
  const heads = createHeadFeed();
  const overlay = await createOverlay(
    {
      identity,
      listen: role === 'hoster' ? ['/ip4/127.0.0.1/tcp/0'] : [],
      bootstrap: [],
      network: 'bench',
      dhtServer: false,
      topics: [announceTopic(SUBNET)],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
  const chain = {
    heads: (_kind: unknown, signal: AbortSignal) => heads.stream(signal),
    nodes: async () => nodes,
  };
  const directory = createDirectory(
    { subnet: SUBNET, genesis: GENESIS },
    { overlay, chain, verify: verifySignature, log: silentLog },
  );
  process.on('message', (order: GatewayBenchOrder) => {
    if (order === 'cpu') {
      const { user, system } = process.cpuUsage();
      return tell({ cpuMs: (user + system) / 1000 });
    }
    const { head } = order;
    heads.publish({ number: head as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
    if (role === 'gateway') void directory.refresh(never).then(() => tell({ offers: directory.offers().length }));
  });
  process.on('disconnect', () => process.exit());
  void directory.run(never);
  return { identity, overlay, chain, directory };
}

async function host(setup: GatewayBenchSetup): Promise<void> {
  const { model: folder, streams, place } = setup;
  const { identity, overlay, chain, directory } = await join(setup);
  const model = await openModel(folder);
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads: 1 }, { log: silentLog });
  const shards = Array.from({ length: SHARDS }, (_, shard) => shard as ShardIndex);
  await engine.load(shards);
  const { width, vocab, maxContext } = model.manifest.shape;
  const limits = {
    ...HOSTER_LIMITS,
    sessionsPerPeer: streams,
    sessions: streams + HOSTER_LIMITS.reserved,
    streamsPerPeer: 2 * streams,
  };
  const hoster = createHoster(
    {
      subnet: SUBNET,
      node: (place + 1) as NodeId,
      genesis: GENESIS,
      clock: { slot: 3, epochLength: 20 },
      model: {
        ...{ hash: model.hash, width, vocab, maxContext, shardCount: SHARDS, cacheBytes: 1 },
        outputRms: cutShards(model.manifest, DEFAULT_CUT).map(({ rmsBits }) => floatOfBits(rmsBits)),
      },
      shards,
      version: 'bench',
      memoryMiB: 1024,
      limits,
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
  void hoster.run(never);
  tell({ addresses: overlay.addresses() });
}

async function serve(setup: GatewayBenchSetup): Promise<void> {
  const { model: folder, streams, dial } = setup;
  const { identity, overlay, chain, directory } = await join(setup);
  for (const address of dial) await overlay.connect(address, never);
  const model = await openModel(folder);
  const { vocab, maxContext } = model.manifest.shape;
  const client = createClient(
    { model: { hash: model.hash, vocab, maxContext, shardCount: SHARDS } },
    { overlay, chain, directory, identity, verify: verifySignature, log: silentLog },
  );
  const { url } = await createGateway(
    { host: '127.0.0.1', port: 0 },
    {
      backend: {
        model: { id: 'tiny', hash: model.hash, maxContext, vocab },
        tokenizer: await openTokenizer(model),
        capacity: () => streams,
        generate: client.generate,
      },
      keys: { required: () => false, find: () => undefined },
      vitals: () => ({ block: 1, headAgeMs: 0, missing: [], peers: overlay.peers().length }),
      now: () => performance.now(),
      nowS: () => Math.floor(Date.now() / 1000),
      log: silentLog,
    },
  );
  tell({ url });
}

if (process.argv[2] === 'gateway-bench') {
  const setup = JSON.parse(process.argv[3] ?? '') as GatewayBenchSetup;
  await (setup.role === 'hoster' ? host(setup) : serve(setup));
}
