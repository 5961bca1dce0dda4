// A network of hosters in processes of their own and a client in this one. The parent makes the heads and does to the hosters what a
// test wants. Every hoster serves all shards but one.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createHeadFeed } from '../../src/chain/heads.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createDirectory } from '../../src/client/directory.ts';
import type { Model } from '../../src/model/open.ts';
import { verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Hash, PeerId, ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { announceTopic } from '../../src/wire/announce.ts';
import {
  HOPS_GENESIS,
  HOPS_SUBNET,
  type HopNews,
  type HopOrder,
  type HopSetup,
  hopIdentity,
  hopNodes,
} from './hop-process.ts';

export interface Hops {
  readonly client: Client;
  readonly peers: readonly PeerId[];
  /** Sends a signal to a hoster's process. */
  signal(place: number, signal: 'SIGKILL' | 'SIGSTOP'): void;
  corrupt(place: number, position: number): void;
  /** Starts those that are gone anew, makes heads until all have announced, and forgets nothing. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

const PROCESS = fileURLToPath(new URL('./hop-process.ts', import.meta.url));
const ANNOUNCE_BLOCKS = 5;
const CLIENT_PLACE = 100;

export async function startHops(
  count: number,
  model: Model,
  folder: string,
  deadlines: { readonly openMs: number; readonly stepMs: number; readonly callMs: number },
): Promise<Hops> {
  const peers = Array.from({ length: count }, (_, i) => hopIdentity(i).peer);
  const children = new Map<number, ChildProcess>();
  const addresses = new Map<number, string>();
  const heads = createHeadFeed();
  const ending = new AbortController();
  let block = 100;

  const chain = {
    heads: (_kind: unknown, signal: AbortSignal) => heads.stream(signal),
    nodes: async () => hopNodes(peers),
  };
  const identity = hopIdentity(CLIENT_PLACE);
  const overlay = await createOverlay(
    {
      identity,
      listen: [],
      bootstrap: [],
      network: 'test',
      dhtServer: false,
      topics: [announceTopic(HOPS_SUBNET)],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
  const directory = createDirectory(
    { subnet: HOPS_SUBNET, genesis: HOPS_GENESIS },
    { overlay, chain, verify: verifySignature, log: silentLog },
  );
  const following = directory.run(ending.signal);
  const { vocab, maxContext } = model.manifest.shape;
  const client = createClient(
    { model: { hash: model.hash, vocab, maxContext, shardCount: count }, deadlines },
    { overlay, chain, directory, identity, verify: verifySignature, log: silentLog },
  );

  function order(place: number, what: HopOrder): void {
    const child = children.get(place);
    if (child?.connected === true) child.send(what);
  }

  function makeHead(): void {
    block += 1;
    heads.publish({ number: block as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
    for (const place of children.keys()) order(place, { say: 'head', number: block });
  }

  async function start(place: number): Promise<void> {
    const shards = peers.map((_, shard) => shard as ShardIndex).filter((shard) => shard !== place);
    const setup: HopSetup = { place, peers, folder, shards, dial: [...addresses.values()] };
    const child = fork(PROCESS, ['hop', JSON.stringify(setup)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const gone = once(child, 'exit').then(() => {
      children.delete(place);
      addresses.delete(place);
    });
    const ready = once(child, 'message').then(([news]) => news as HopNews);
    const news = await Promise.race([ready, gone]);
    if (news === undefined) throw new Error(`hoster ${place} did not start`);
    children.set(place, child);
    const [address] = news.ready;
    if (address === undefined) throw new Error(`hoster ${place} listens nowhere`);
    addresses.set(place, address);
    await overlay.connect(address, ending.signal);
    order(place, { say: 'head', number: block });
  }

  async function stopChild(place: number): Promise<void> {
    const child = children.get(place);
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async function announced(): Promise<void> {
    const since = block;
    for (let i = 0; i < ANNOUNCE_BLOCKS; i += 1) makeHead();
    while (directory.offers().filter((offer) => offer.block > since).length < count) {
      await directory.refresh(ending.signal);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  const stopped = new Set<number>();
  const hops: Hops = {
    client,
    peers,
    signal(place, signal) {
      children.get(place)?.kill(signal);
      stopped.add(place);
    },
    corrupt: (place, position) => order(place, { say: 'corrupt', position }),
    async mend() {
      for (const place of stopped) await stopChild(place);
      stopped.clear();
      for (const place of peers.keys()) if (!children.has(place)) await start(place);
      for (const place of peers.keys()) order(place, { say: 'corrupt', position: undefined });
      await announced();
    },
    async close() {
      ending.abort();
      await following;
      await Promise.all([...children.keys()].map(stopChild));
      await overlay.close();
    },
  };
  await hops.mend();
  return hops;
}
