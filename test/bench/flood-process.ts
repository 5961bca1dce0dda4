// The other processes of `npm run bench -- flood`. A hoster that knows one client by its stake; the gateway of that client; strangers who want all that the
// hoster gives; sockets that are opened and say little. The parent makes the heads. Limits are those of every node.

import { connect, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { createHeadFeed } from '../../src/chain/heads.ts';
import { createClient } from '../../src/client/client.ts';
import type { DatedOffer } from '../../src/client/directory.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createGateway } from '../../src/gateway/server.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { OverlayNode } from '../../src/p2p/libp2p-node.ts';
import { dial, openStream } from '../../src/p2p/libp2p-streams.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import type { BlockNumber, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';

export type FloodSetup =
  | { readonly role: 'hoster'; readonly model: string }
  /** The honest client. */
  | { readonly role: 'gateway'; readonly model: string; readonly hoster: string }
  | {
      readonly role: 'strangers';
      readonly model: string;
      readonly hoster: string;
      readonly peers: number;
      readonly sessionsPerPeer: number;
    }
  | { readonly role: 'sockets'; readonly ports: readonly number[]; readonly each: number };

/** From the parent; strangers and sockets do nothing before `flood` and end everything at `calm`. */
export type FloodOrder = 'flood' | 'calm' | 'count' | { readonly head: number };

/** To the parent. */
export type FloodNews =
  | { readonly address: string }
  | { readonly url: string }
  | { readonly ready: true }
  /** Sessions that the hoster has open, tokens that strangers were given, sockets that are open. */
  | { readonly count: number };

const SUBNET = 128_001 as SubnetId;
const GENESIS = new Uint8Array(32).fill(3);
const SHARDS = 4;
const FIRST_HEAD = 100 as BlockNumber;
const HOSTER_SEED = 1;
const CLIENT_SEED = 2;
/** Seeds of strangers are of another kind. */
const STRANGER_SEED = 200;
const STAKE = 1000n * 10n ** 18n;
/** Strangers have machines of their own: on this one they take what others leave. */
const LOW_PRIORITY = 10;
const REFUSED_MS = 500;
const STRANGER_TOKENS = 200;
/** Behind this many sockets that are being opened the next one waits. */
const OPENING = 64;
const all = Array.from({ length: SHARDS }, (_, shard) => shard as ShardIndex);
const never = new AbortController().signal;

function tell(news: FloodNews): void {
  process.send?.(news);
}

function identityOf(seed: number, place = 0) {
  const bytes = new Uint8Array(32).fill(seed);
  new DataView(bytes.buffer).setUint32(0, place);
  return identityFromSeed(bytes);
}

/** Every process hears of heads; dates of requests come from them. */
function followHeads() {
  const feed = createHeadFeed();
  const publish = (head: number) => feed.publish({ number: head as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
  publish(FIRST_HEAD);
  process.on('message', (order: FloodOrder) => {
    if (typeof order === 'object') publish(order.head);
  });
  return { heads: (_kind: unknown, signal: AbortSignal) => feed.stream(signal) };
}

function onOrder(order: 'flood' | 'calm' | 'count', act: () => void): void {
  process.on('message', (given: FloodOrder) => {
    if (given === order) act();
  });
}

function enter(seed: number, listen: readonly string[], wanted: readonly PeerId[] = []): Promise<Overlay> {
  return createOverlay(
    {
      ...{ identity: identityOf(seed), listen, bootstrap: [], network: 'bench', dhtServer: false, topics: [] },
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
      wanted: () => wanted,
    },
    { log: silentLog },
  );
}

async function factsOf(folder: string) {
  const model = await openModel(folder);
  const { width, vocab, maxContext } = model.manifest.shape;
  return { model, facts: { hash: model.hash, width, vocab, maxContext, shardCount: SHARDS, cacheBytes: 1 } };
}

async function host(folder: string): Promise<void> {
  const { model, facts } = await factsOf(folder);
  const honest = identityOf(CLIENT_SEED).peer;
  const overlay = await enter(HOSTER_SEED, ['/ip4/127.0.0.1/tcp/0'], [honest]);
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads: 1 }, { log: silentLog });
  await engine.load(all);
  const hoster = createHoster(
    {
      ...{ subnet: SUBNET, node: 1 as NodeId, genesis: GENESIS, clock: { slot: 3, epochLength: 20 } },
      ...{ model: { ...facts, outputRms: [] }, shards: all, version: 'bench', memoryMiB: 1024 },
    },
    {
      ...{ overlay, engine, identity: identityOf(HOSTER_SEED), chain: followHeads() },
      board: { admit: async () => undefined, records: () => [] },
      ...{ verify: verifySignature, mayAsk: () => true, stakeOf: (peer: PeerId) => (peer === honest ? STAKE : 0n) },
      ...{ now: () => performance.now(), log: silentLog },
    },
  );
  void hoster.run(never);
  onOrder('count', () => tell({ count: hoster.stats().sessions }));
  const [address = ''] = overlay.addresses();
  tell({ address });
}

/** Always the one hoster. */
function onlyHoster() {
  let block = FIRST_HEAD as number;
  const offer = { node: 1 as NodeId, peer: identityOf(HOSTER_SEED).peer, shards: all };
  const pace = { load: 0, rowsPerSecond: 0, freePositions: 1e6, memoryMiB: 64 };
  const offers = (): DatedOffer[] => [{ ...offer, ...pace, block: block++ as BlockNumber }];
  return { offers, refresh: async () => undefined };
}

async function serve(folder: string, hoster: string): Promise<void> {
  const { model, facts } = await factsOf(folder);
  const chain = followHeads();
  const overlay = await enter(CLIENT_SEED, []);
  await overlay.connect(hoster, never);
  const identity = identityOf(CLIENT_SEED);
  const client = createClient(
    { model: facts },
    { overlay, chain, directory: onlyHoster(), identity, verify: verifySignature, log: silentLog },
  );
  const { url } = await createGateway(
    { host: '127.0.0.1', port: 0 },
    {
      backend: {
        model: { id: 'tiny', hash: model.hash, maxContext: facts.maxContext, vocab: facts.vocab },
        tokenizer: await openTokenizer(model),
        capacity: () => 8,
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

/** Each asks again and again for the longest answers it can get, as many at once as it may, and waits no longer than it is told to. */
async function crowd({ model: folder, hoster, peers, sessionsPerPeer }: FloodSetup & { role: 'strangers' }) {
  setPriority(LOW_PRIORITY);
  const { facts } = await factsOf(folder);
  const chain = followHeads();
  let calm = new AbortController();
  let tokens = 0;
  const prompt = Array.from({ length: 100 }, (_, i) => 4 + ((i * 37) % 250));

  async function startPeer(place: number) {
    const identity = identityOf(STRANGER_SEED, place);
    const node = (await createLibp2p({
      privateKey: privateKeyFromProtobuf(identity.protobuf),
      ...{ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] },
      connectionMonitor: { enabled: false },
    })) as unknown as OverlayNode;
    // A host is let in so many times a second, and these are one.
    while (node.getPeers().length === 0) await dial(node, hoster, never).catch(() => sleep(REFUSED_MS));
    const overlay = {
      self: identity.peer,
      openStream: (peer, protocol, options) => openStream(node, peer, protocol, options, () => undefined),
    } as Pick<Overlay, 'self' | 'openStream'> as Overlay;
    return createClient(
      { model: facts, drafts: 0 },
      { overlay, chain, directory: onlyHoster(), identity, verify: verifySignature, log: silentLog },
    );
  }

  const clients = await inTurn(peers, 8, startPeer);
  onOrder('count', () => tell({ count: tokens }));
  onOrder('flood', () => {
    calm = new AbortController();
    const { signal } = calm;
    const greedy = async (client: (typeof clients)[number], place: number): Promise<void> => {
      for (let round = 0; !signal.aborted; round += 1) {
        const seed = BigInt(place * 1000 + round);
        const wanted = { maxTokens: STRANGER_TOKENS, temperature: 1, topK: 0, topP: 1, seed, stopIds: [] };
        try {
          for await (const _ of client.generate(prompt, wanted, signal)) tokens += 1;
        } catch {
          // Refused too often: again.
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    };
    for (const [place, client] of clients.entries())
      for (let i = 0; i < sessionsPerPeer; i += 1) void greedy(client, place * sessionsPerPeer + i);
  });
  onOrder('calm', () => {
    calm.abort(new Error('calm'));
    tell({ ready: true });
  });
  tell({ ready: true });
}

/** Sockets from as many addresses of this machine as there are sockets; those that are closed on us are opened again. */
async function crawl({ ports, each }: FloodSetup & { role: 'sockets' }): Promise<void> {
  setPriority(LOW_PRIORITY);
  const open = new Set<Socket>();
  let isCalm = true;
  const begin = (port: number, place: number) =>
    new Promise<void>((resolve) => {
      const localAddress = `127.1.${place >> 8}.${place & 0xff}`;
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      socket.pause();
      socket.on('connect', () => {
        open.add(socket);
        // The first bytes of a request, or of a handshake.
        socket.write(
          port === ports[0] ? '\u0013/multistream/1.0.0\n' : 'GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n',
        );
        resolve();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        resolve();
        if (!isCalm) setTimeout(() => isCalm || void begin(port, place), 1_000).unref();
      });
    });
  onOrder('count', () => tell({ count: open.size }));
  onOrder('flood', () => {
    isCalm = false;
    void inTurn(each * ports.length, OPENING, (i) =>
      begin(ports[i % ports.length] ?? 0, 1 + Math.floor(i / ports.length)),
    ).then(() => tell({ ready: true }));
  });
  onOrder('calm', () => {
    isCalm = true;
    for (const socket of open) socket.destroy();
    tell({ ready: true });
  });
  tell({ ready: true });
}

/** So many at a time. */
async function inTurn<T>(count: number, atOnce: number, make: (i: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let from = 0; from < count; from += atOnce) {
    const places = Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => from + i);
    made.push(...(await Promise.all(places.map(make))));
  }
  return made;
}

if (process.argv[2] === 'flood-bench') {
  process.on('disconnect', () => process.exit());
  const setup = JSON.parse(process.argv[3] ?? '') as FloodSetup;
  if (setup.role === 'hoster') await host(setup.model);
  else if (setup.role === 'gateway') await serve(setup.model, setup.hoster);
  else if (setup.role === 'strangers') await crowd(setup);
  else await crawl(setup);
}
