// The subnet's model from its own nodes: joins the overlay as a client, fetches what this node's shards need into the data directory, and leaves again.

import { join } from 'node:path';
import type { Chain, Subnet } from '../chain/types.ts';
import { type FetchProgress, fetchModel } from '../distribution/fetch.ts';
import { peerSource, type Source, webSource } from '../distribution/source.ts';
import { cutShards, MAX_MANIFEST_BYTES, textFiles } from '../model/manifest.ts';
import { type Model, openModel } from '../model/open.ts';
import type { OpenIdentity } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import type { Manifest } from '../types/model.ts';
import { fromHex } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import { dialsPrivate, knownAddresses, networkName } from './addresses.ts';
import { readPolicy, requireNetworkKey } from './requirements.ts';
import { parseShards } from './shards.ts';

/** A look at the DHT costs as much as some hundred requests (network.md 2), and who joins meanwhile is not missed for long. */
const LOOKUP_PAUSE_MS = 30_000;
const LOOKUP_MS = 3000;

export interface PullOptions {
  readonly dataDir: string;
  readonly role: 'hoster' | 'attestor';
  /** As typed; `auto` takes everything, for what will be served is not known yet. */
  readonly shards: string;
  readonly initialPeers: readonly string[];
  readonly networkKey: string | undefined;
  readonly fromPeers: boolean;
  /** Web folders with the same files. */
  readonly urls: readonly string[];
}

export interface PullDeps {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly identity: OpenIdentity;
  readonly onProgress: (progress: FetchProgress) => void;
  readonly log: Log;
}

/** The model that the policy names, as far as it is needed; fetched before, it is only checked. @throws DistributionError MODEL_UNAVAILABLE, ModelError */
export async function pullModel(options: PullOptions, deps: PullDeps, signal: AbortSignal): Promise<Model> {
  const { manifest: hash, cut, access } = readPolicy(deps.subnet);
  requireNetworkKey(access, options.networkKey);
  const folder = join(options.dataDir, 'models', hash);
  const needs = (manifest: Manifest, file: string): boolean => neededFiles(manifest, cut, options).has(file);
  const overlay = options.fromPeers ? await joinAsClient(options, deps, signal) : undefined;
  try {
    const web = options.urls.map((url) => webSource(url, MAX_MANIFEST_BYTES));
    const peers = overlay === undefined ? async () => [] : createPeerSources(overlay, fromHex(hash), signal);
    const sources = async () => [...(await peers()), ...web];
    const { onProgress, log } = deps;
    const manifest = await fetchModel({ manifest: hash, folder, needs }, { sources, onProgress, log }, signal);
    return await openModel(folder, signal, (file) => needs(manifest, file));
  } finally {
    await overlay?.close();
  }
}

/** The files of the shards to be served, and the small ones that tell tokens from text. */
export function neededFiles(
  manifest: Manifest,
  cut: string,
  { role, shards }: Pick<PullOptions, 'role' | 'shards'>,
): ReadonlySet<string> {
  if (role === 'hoster' && shards === 'auto') return new Set(Object.keys(manifest.files));
  const all = cutShards(manifest, cut);
  const served = role === 'hoster' ? parseShards(shards, all.length) : [];
  const files = served.flatMap((index) => {
    const shard = all[index];
    return shard === undefined ? [] : [shard.graph, shard.det.graph, ...shard.weights];
  });
  return new Set([...textFiles(manifest), ...files]);
}

async function joinAsClient(
  { initialPeers, networkKey }: PullOptions,
  { chain, subnet, identity, log }: PullDeps,
  signal: AbortSignal,
): Promise<Overlay> {
  const info = await chain.info(signal);
  const known = knownAddresses(subnet, await chain.nodes(subnet.id, undefined, signal), identity.peer);
  const bootstrap = initialPeers.length > 0 ? initialPeers : known;
  const overlay = await createOverlay(
    {
      identity,
      listen: [],
      network: networkName(info),
      bootstrap,
      dhtServer: false,
      topics: [],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 0 },
      privateAddresses: dialsPrivate('auto', { listen: bootstrap, named: initialPeers }),
      ...(networkKey === undefined ? {} : { networkKey: openNetworkKey(networkKey) }),
    },
    { log: log.child('p2p') },
  );
  await Promise.allSettled(bootstrap.map((address) => overlay.connect(address, signal)));
  return overlay;
}

/** Whoever is connected, and whoever says on the DHT that the model is there. */
function createPeerSources(
  overlay: Overlay,
  content: Uint8Array,
  signal: AbortSignal,
): () => Promise<readonly Source[]> {
  let provided: readonly PeerId[] = [];
  let nextLookupMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (performance.now() >= nextLookupMs) {
      nextLookupMs = performance.now() + LOOKUP_PAUSE_MS;
      provided = await overlay.providers(content, AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_MS)]));
    }
    const peers = new Set([...overlay.peers(), ...provided]);
    return [...peers].map((peer) => peerSource(overlay, peer));
  };
}
