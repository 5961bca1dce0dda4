// The subnet's model from its own nodes: joins the overlay as a client, fetches into the data directory what is needed whatever this node will serve, and
// leaves again. What shards need that are chosen later is fetched by the running node.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Chain, Subnet } from '../chain/types.ts';
import { DRAFT_FILE, MAX_DRAFT_BYTES, readDraftTable } from '../client/draft-table.ts';
import { fetchDraft } from '../distribution/draft.ts';
import { type FetchProgress, fetchFiles, fetchModel } from '../distribution/fetch.ts';
import { peerSource, type Source, webSource } from '../distribution/source.ts';
import { cutShards, MAX_MANIFEST_BYTES, textFiles } from '../model/manifest.ts';
import { type Model, openModel, readManifest } from '../model/open.ts';
import type { OpenIdentity } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import type { Overlay } from '../p2p/types.ts';
import type { PeerId, ShardIndex } from '../types/ids.ts';
import type { Manifest, ManifestHash } from '../types/model.ts';
import { fromHex } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import { dialsPrivate, knownAddresses, networkName } from './addresses.ts';
import { readPolicies } from './policies.ts';
import { requireNetworkKey } from './requirements.ts';
import { parseShards } from './shards.ts';

/** A look at the DHT costs as much as some hundred requests (network.md 2), and who joins meanwhile is not missed for long. */
const LOOKUP_PAUSE_MS = 30_000;
const LOOKUP_MS = 3000;

export interface PullOptions {
  readonly dataDir: string;
  readonly role: 'hoster' | 'attestor';
  /** As typed; what `auto` will choose is not known yet. */
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

export interface PulledModel {
  /** As far as it is here. */
  readonly model: Model;
  readonly supply: Supply;
}

/** Where a running node has the files of a model from. */
export interface Supply {
  /**
   * Resolves when what these shards need is here, whole; what was so before is not looked at again.
   *
   * @throws DistributionError MODEL_UNAVAILABLE, the signal's reason
   */
  fetch(shards: readonly ShardIndex[], overlay: Overlay, signal: AbortSignal): Promise<void>;
}

/**
 * The model that the policy in force names, as far as it is known what this node needs of it; fetched before, it is only checked. A draft table comes along when
 * somebody has one.
 *
 * @throws DistributionError MODEL_UNAVAILABLE, ModelError
 */
export async function pullModel(options: PullOptions, deps: PullDeps, signal: AbortSignal): Promise<PulledModel> {
  const { manifest: hash, cut, access } = (await readPolicies(deps.subnet, deps.chain, signal)).inForce;
  requireNetworkKey(access, options.networkKey);
  const folder = join(options.dataDir, 'models', hash);
  const web = options.urls.map((url) => webSource(url, MAX_MANIFEST_BYTES));
  const { onProgress, log } = deps;
  const sourcesWith = (overlay: Overlay | undefined, until: AbortSignal) => {
    const peers = overlay === undefined ? async () => [] : createPeerSources(overlay, fromHex(hash), until);
    return async () => [...(await peers()), ...web];
  };
  const overlay = options.fromPeers ? await joinAsClient(options, deps, signal) : undefined;
  const whole = new Set<string>();
  try {
    const around = { sources: sourcesWith(overlay, signal), onProgress, log };
    const needs = (manifest: Manifest, file: string): boolean => neededFiles(manifest, cut, options).has(file);
    const manifest = await fetchModel({ manifest: hash, folder, needs }, around, signal);
    for (const file of neededFiles(manifest, cut, options)) whole.add(file);
    await pullDraft({ manifest, hash, folder }, around, signal);
    const model = await openModel(folder, signal, (file) => whole.has(file));
    return { model, supply: { fetch } };
  } finally {
    await overlay?.close();
  }

  async function fetch(shards: readonly ShardIndex[], node: Overlay, until: AbortSignal): Promise<void> {
    const { manifest } = await readManifest(folder);
    const files = shardFiles(manifest, cut, shards).filter((file) => !whole.has(file));
    if (files.length === 0) return;
    const needs = (file: string): boolean => files.includes(file);
    const sources = sourcesWith(options.fromPeers ? node : undefined, until);
    await fetchFiles({ manifest, folder, needs }, { sources, onProgress, log }, until);
    for (const file of files) whole.add(file);
    log.info('files of shards are here', { shards: shards.join(' '), files: files.length });
  }
}

/** Clients on this machine guess with it, and others have it from this node. */
async function pullDraft(
  { manifest, hash, folder }: { readonly manifest: Manifest; readonly hash: ManifestHash; readonly folder: string },
  around: { readonly sources: () => Promise<readonly Source[]>; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  if (manifest.arch !== 'llama' || existsSync(join(folder, DRAFT_FILE))) return;
  const fault = (bytes: Uint8Array): string | undefined => {
    const table = readDraftTable(bytes, manifest.shape.vocab);
    return typeof table === 'string' ? table : undefined;
  };
  const wanted = { manifest: hash, name: DRAFT_FILE, maxBytes: MAX_DRAFT_BYTES };
  await fetchDraft({ ...wanted, folder, fault }, around, signal);
}

/** The small files that tell tokens from text, and those of the shards that the operator named; what is chosen later is not known yet. */
export function neededFiles(
  manifest: Manifest,
  cut: string,
  { role, shards }: Pick<PullOptions, 'role' | 'shards'>,
): ReadonlySet<string> {
  const named = role === 'hoster' && shards !== 'auto' ? parseShards(shards, cutShards(manifest, cut).length) : [];
  return new Set([...textFiles(manifest), ...shardFiles(manifest, cut, named)]);
}

/** Graphs and weights; shards that follow each other may share some. */
function shardFiles(manifest: Manifest, cut: string, shards: readonly ShardIndex[]): readonly string[] {
  const all = cutShards(manifest, cut);
  const files = shards.flatMap((index) => {
    const shard = all[index];
    return shard === undefined ? [] : [shard.graph, shard.det.graph, ...shard.weights];
  });
  return [...new Set(files)];
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
