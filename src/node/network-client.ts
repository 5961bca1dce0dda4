// A client of one subnet: joins the overlay without serving anything, learns who offers what, and generates over routes of hosters.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Chain, Subnet } from '../chain/types.ts';
import { type Client, createClient } from '../client/client.ts';
import { createDirectory, type Directory } from '../client/directory.ts';
import { createHandover, type HandoverOptions } from '../client/handover.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import {
  createIdentityFile,
  type OpenIdentity,
  openIdentity,
  readIdentityPeer,
  verifySignature,
} from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import { fromHex } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import { type AskPassphrase, noPassphrase } from '../util/sealed.ts';
import { recordTopic } from '../validator/topic.ts';
import { announceTopic } from '../wire/announce.ts';
import { MAX_RECORD_BYTES } from '../wire/record.ts';
import { dialsPrivate, knownAddresses, networkName } from './addresses.ts';
import { loadDraft } from './draft.ts';
import { createMembers, type Members } from './members.ts';
import { keepEnds } from './own-ends.ts';
import { readPolicies } from './policies.ts';
import { requireNetworkKey, requirePolicy } from './requirements.ts';

export interface NetworkClient {
  readonly client: Client;
  readonly directory: Directory;
  readonly overlay: Overlay;
  /** Shards of the subnet's cut. */
  readonly shardCount: number;
  close(): Promise<void>;
}

export interface NetworkClientDeps {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly model: Model;
  readonly identity: OpenIdentity;
  readonly log: Log;
}

/** The client key of a data directory, made on first use; `ask` gives the passphrase of one that is encrypted. */
export async function clientIdentity(dataDir: string, ask: AskPassphrase = noPassphrase): Promise<OpenIdentity> {
  const file = join(dataDir, 'keys', 'client_peer_id');
  if (!existsSync(file)) return createIdentityFile(file);
  return readIdentityPeer(file).isEncrypted ? openIdentity(file, await ask(file)) : openIdentity(file);
}

/** Members that a client stays connected to: enough to hear announces and to ask for them, whoever of them leaves. */
const MEMBERS_KEPT = 8;

/** Those that follow this peer in the order of ids, so that clients spread over the members. */
function someMembers(members: Members, self: PeerId): readonly PeerId[] {
  const all = members.peers().toSorted();
  const behind = all.filter((peer) => peer > self);
  return [...behind, ...all.filter((peer) => peer < self)].slice(0, MEMBERS_KEPT);
}

/** What the chain fails to say leaves the members that were known. */
async function followMembers(members: Members, signal: AbortSignal): Promise<void> {
  try {
    await members.run(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** With `listening`, the records of epochs are heard too: for who shows what a network does. */
export async function createNetworkClient(
  options: {
    /** Dialled instead of what the chain knows, when there are any. */
    readonly initialPeers: readonly string[];
    readonly listening?: boolean;
    /** File of the pre-shared key, for a private network. */
    readonly networkKey?: string | undefined;
    /** Computes the first and the last shard here, so that others see no tokens. */
    readonly keepEnds?: boolean;
    /** What is handed to attestors that audit, and of which share of the sessions; nothing unless given. */
    readonly handOver?: HandoverOptions | undefined;
  },
  { chain, subnet, model, identity, log }: NetworkClientDeps,
  signal: AbortSignal,
): Promise<NetworkClient> {
  const policy = requirePolicy(await readPolicies(subnet, chain, signal), subnet, model);
  requireNetworkKey(policy.access, options.networkKey);
  const info = await chain.info(signal);
  const nodes = await chain.nodes(subnet.id, undefined, signal);
  const members = createMembers(
    { subnet: subnet.id, access: policy.access, nodes },
    { chain, log: log.child('members') },
  );
  const bootstrap =
    options.initialPeers.length > 0 ? options.initialPeers : knownAddresses(subnet, nodes, identity.peer);
  await using opened = new AsyncDisposableStack();
  const entered = await createOverlay(
    {
      identity,
      listen: [],
      network: networkName(info),
      bootstrap,
      // Boot nodes know no announces, and hosters behind a relay dial nobody.
      wanted: () => someMembers(members, identity.peer),
      addressesOf: members.addressesOf,
      dhtServer: false,
      topics: [announceTopic(subnet.id), ...(options.listening === true ? [recordTopic(subnet.id)] : [])],
      // A client keeps nobody's records.
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: MAX_RECORD_BYTES },
      // Nobody listens here: what is known of the network says whether it is a local one.
      privateAddresses: dialsPrivate('auto', { listen: bootstrap, named: options.initialPeers }),
      ...(options.networkKey === undefined ? {} : { networkKey: openNetworkKey(options.networkKey) }),
    },
    { log: log.child('p2p') },
  );
  const overlay = opened.adopt(entered, (one) => one.close());
  const directory = createDirectory(
    { subnet: subnet.id, genesis: fromHex(info.genesis) },
    { overlay, chain, verify: verifySignature, log: log.child('directory') },
  );
  const ending = new AbortController();
  const until = AbortSignal.any([signal, ending.signal]);
  const place = { model, cut: policy.cut, subnet, genesis: info.genesis, epochLength: info.epochLength };
  const around = { overlay, chain, directory, identity, log };
  const kept = options.keepEnds === true ? await keepEnds(place, around, signal) : undefined;
  const ends = kept === undefined ? undefined : opened.adopt(kept, (one) => one.close());
  const following = Promise.all([directory.run(until), followMembers(members, until), ends?.run(until)]);
  await Promise.allSettled(bootstrap.map((address) => overlay.connect(address, signal)));
  const { isValidator } = members;
  const handing = { overlay, isValidator, random: Math.random, log: log.child('handover') };
  const handover = options.handOver === undefined ? undefined : createHandover(options.handOver, handing);
  const { vocab, maxContext } = model.manifest.shape;
  const shardCount = cutShards(model.manifest, policy.cut).length;
  const client = createClient(
    {
      model: { hash: model.hash, vocab, maxContext, shardCount },
      draft: model.manifest.arch === 'llama' ? await loadDraft(model, log.child('client')) : undefined,
    },
    {
      overlay: ends?.overlay ?? overlay,
      chain,
      directory: ends?.directory ?? directory,
      identity,
      verify: verifySignature,
      ...(handover === undefined ? {} : { handover }),
      log: log.child('client'),
    },
  );
  const resources = opened.move();
  return {
    client,
    directory,
    overlay,
    shardCount,
    async close() {
      await handover?.close();
      ending.abort();
      await following;
      await resources.disposeAsync();
    },
  };
}
