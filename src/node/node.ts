// The one place that constructs a node: chain, keys, model, engine, overlay, journal, and the services that marry rules with them.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Chain, ChainInfo, Signer, Subnet, SubnetNode } from '../chain/types.ts';
import { createDirectory, type Directory } from '../client/directory.ts';
import { floatOfBits } from '../consensus/challenge.ts';
import type { ClockParams } from '../consensus/phase.ts';
import { seedModel } from '../distribution/seed.ts';
import { createOnnxEngine } from '../engine/onnx.ts';
import type { Engine } from '../engine/types.ts';
import { createAnnouncer } from '../hoster/announce.ts';
import { createHoster, type Hoster } from '../hoster/hoster.ts';
import { createMeter } from '../hoster/meter.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { type OpenIdentity, verifySignature } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import type { Reach } from '../p2p/reach-names.ts';
import type { Overlay, RecordRules } from '../p2p/types.ts';
import { type Auditor, createAuditor } from '../receipts/auditor.ts';
import { createHanded, type Handed, serveHanded } from '../receipts/handed.ts';
import { createArchive } from '../store/archive.ts';
import { createJournal } from '../store/sqlite.ts';
import type { Archive, Journal } from '../store/types.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { ManifestShard } from '../types/model.ts';
import { fromHex } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import { recordTopic } from '../validator/topic.ts';
import { createValidator, type Validator } from '../validator/validator.ts';
import { announceTopic } from '../wire/announce.ts';
import { MAX_RECORD_BYTES } from '../wire/record.ts';
import { bootstrapOf, dialsPrivate, networkName, reachable } from './addresses.ts';
import { chooseShards, shardNeeds, whileComing } from './choose.ts';
import { draftFile } from './draft.ts';
import { createMembers, type Members } from './members.ts';
import { createMover, type MoveEvent, type Mover } from './mover.ts';
import { readPolicies } from './policies.ts';
import type { Supply } from './pull-model.ts';
import { requireIdentity, requireNetworkKey, requirePolicy } from './requirements.ts';
import { parseShards } from './shards.ts';

export interface NodeOptions {
  readonly role: 'hoster' | 'attestor';
  /** Whether an attestor holds all shards and confirms the answers of those that it is drawn for. */
  readonly audits?: boolean;
  /** As typed: `auto`, `0-2`, `0,2-3`. An attestor serves none. */
  readonly shards: string;
  readonly device: 'auto' | 'cpu' | 'cuda';
  readonly threads: number | undefined;
  /** For weights and caches; four fifths of what the system has free unless given. */
  readonly memoryBytes?: number | undefined;
  readonly dataDir: string;
  /** Keeps repacked weights in the data directory, so that they load as shared pages the next time. */
  readonly prepack?: boolean;
  /** Whether the runtime has a process of its own. */
  readonly isolateEngine?: boolean;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Instead of the boot nodes and addresses that the chain knows. */
  readonly initialPeers: readonly string[];
  /** Dial nobody: this is the first node. */
  readonly newSwarm: boolean;
  /** Whether private addresses that others name are dialled; 'auto' judges by the addresses above. */
  readonly privateAddresses?: 'auto' | 'yes' | 'no';
  /** How to be met by others, and whether others may meet through this node. */
  readonly reach?: readonly Reach[];
  readonly relay?: boolean;
  /** Bytes per second of the model's files that others are sent; no limit unless given. */
  readonly uploadRate?: number | undefined;
  /** File of the pre-shared key, for a private network. */
  readonly networkKey?: string | undefined;
  readonly version: string;
  /** Whether it stops when somebody else signs with its keys; default true. Not so for adversaries in tests, who sign twice themselves. */
  readonly watchesKeys?: boolean;
}

/** What makes the parts that reach outside. A wrapper goes around one of them: what it changes, the rest of the node does not know. */
export interface NodeParts {
  readonly createEngine: typeof createOnnxEngine;
  readonly createOverlay: typeof createOverlay;
}

export interface NodeDeps {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly node: SubnetNode;
  readonly hotkey: Signer;
  readonly identity: OpenIdentity;
  readonly model: Model;
  /** Where the files of shards come from that are chosen while the node runs; all of the model is here unless given. */
  readonly supply?: Supply | undefined;
  readonly log: Log;
  /** Default: the real ones. */
  readonly parts?: Partial<NodeParts>;
}

export interface Node {
  /** What it serves now. */
  readonly shards: readonly ShardIndex[];
  readonly addresses: readonly string[];
  readonly overlay: Pick<Overlay, 'peers' | 'refusals'>;
  readonly engine: Engine | undefined;
  readonly validator: Validator;
  readonly hoster: Hoster | undefined;
  /** Serves and does its duties until the signal aborts, then closes what it opened. */
  run(signal: AbortSignal): Promise<void>;
  /** Hears of moves to other shards; returns what ends the subscription. */
  onMove(listener: (event: MoveEvent) => void): () => void;
  /** Takes no new sessions, and resolves when those that are open have ended, or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
}

/** Loads the model and joins the overlay; nothing is signed or served before `run`. What was opened is closed again when a later part fails. */
export async function createNode(options: NodeOptions, deps: NodeDeps, signal: AbortSignal): Promise<Node> {
  const { chain, subnet, identity, model, log } = deps;
  const { access, cut } = requirePolicy(await readPolicies(subnet, chain, signal), subnet, model);
  requireIdentity(deps.node, identity);
  requireNetworkKey(access, options.networkKey);
  const [info, nodes] = await Promise.all([chain.info(signal), chain.nodes(subnet.id, undefined, signal)]);
  const shardCount = cutShards(model.manifest, cut).length;
  const memoryBytes = options.memoryBytes ?? Math.floor(process.availableMemory() * MEMORY_SHARE);
  const clock = { slot: subnet.slot, epochLength: info.epochLength };
  const site: Site = { info, clock, cut, shardCount, memoryBytes };

  await using opened = new AsyncDisposableStack();
  const journalFile = join(options.dataDir, 'journal.sqlite');
  const journal = opened.adopt(createJournal({ file: journalFile, genesis: info.genesis }), (open) => open.close());
  const archive = opened.adopt(
    createArchive({ file: join(options.dataDir, 'archive.sqlite'), genesis: info.genesis, subnet: subnet.id }),
    (open) => open.close(),
  );
  const audits = options.role === 'attestor' && options.audits === true;
  const engine = options.role === 'hoster' || audits ? await startEngine(options, site, deps, opened) : undefined;
  const members = createMembers({ subnet: subnet.id, access, nodes }, { chain, log: log.child('members') });
  // The overlay asks the validator about records, and the validator needs the overlay: the rules find it once it is there.
  let validator: Validator | undefined;
  const records: RecordRules = {
    judge: async (key, value) => validator?.judge(key, value) ?? 'ignore',
    replaces: () => false,
    maxRecordBytes: MAX_RECORD_BYTES,
  };
  const overlay = await enterOverlay(options, { info, members, records }, deps, opened);
  const directory = createDirectory(
    { subnet: subnet.id, genesis: fromHex(info.genesis) },
    { overlay, chain, verify: verifySignature, log: log.child('directory') },
  );
  const shards =
    engine === undefined ? [] : await shardsOf(options, site, deps, { overlay, engine, directory }, signal);
  if (engine !== undefined) await deps.supply?.fetch(shards, overlay, signal);
  await engine?.load(shards, signal);
  const place: Place = { ...site, shards, audits, watchesKeys: options.watchesKeys ?? true };
  const handed = audits ? await takeHanded(deps, { overlay, members }) : undefined;
  validator = buildValidator(place, deps, { overlay, engine, journal, archive, handed });
  const hoster =
    engine === undefined || audits
      ? undefined
      : buildHoster(options, place, deps, { overlay, engine, members, directory, validator });
  const mover =
    engine === undefined || hoster === undefined || options.shards !== 'auto'
      ? undefined
      : buildMover(place, deps, { overlay, engine, directory, hoster, validator });
  const seed = await seedModel(
    { model, has: (file) => existsSync(model.path(file)), draft: draftFile(model), uploadRate: options.uploadRate },
    { overlay, log: log.child('distribution') },
  );
  const services = [validator, members, directory, seed, hoster, mover].filter((one) => one !== undefined);
  const resources = opened.move();
  return {
    get shards() {
      return audits ? [] : (mover?.shards() ?? shards);
    },
    addresses: overlay.addresses(),
    overlay,
    engine,
    validator,
    hoster,
    onMove: (listener) => mover?.on(listener) ?? (() => undefined),
    run: (until) => runServices(services, resources, until),
    drain: async (until) => hoster?.drain(until),
  };
}

/** Where the node stands: its chain, its clock, its part of the model. */
interface Site {
  readonly info: ChainInfo;
  readonly clock: ClockParams;
  readonly cut: string;
  readonly shardCount: number;
  /** What weights and caches may take. */
  readonly memoryBytes: number;
}

interface Place extends Site {
  readonly shards: readonly ShardIndex[];
  readonly audits: boolean;
  readonly watchesKeys: boolean;
}

const MIB = 2 ** 20;
/** The rest of the free memory is for everything else in this process. */
const MEMORY_SHARE = 0.8;

async function startEngine(
  { device, threads, prepack, isolateEngine, dataDir }: NodeOptions,
  { cut, memoryBytes }: Site,
  { model, log, parts }: NodeDeps,
  opened: AsyncDisposableStack,
): Promise<Engine> {
  const create = parts?.createEngine ?? createOnnxEngine;
  const chosen = {
    model,
    cut,
    device,
    memoryBytes,
    isolation: isolateEngine === true ? ('process' as const) : ('thread' as const),
    prepacked: prepack === true ? { folder: join(dataDir, 'prepacked') } : undefined,
    ...(threads === undefined ? {} : { threads }),
  };
  return opened.adopt(await create(chosen, { log: log.child('engine') }), (engine) => engine.close());
}

/** As chosen by the operator, or by what the announces of others leave; an auditor may be drawn for any. */
async function shardsOf(
  { role, shards, version }: NodeOptions,
  { info, clock, cut, shardCount, memoryBytes }: Site,
  { chain, subnet, node, identity, model, supply, log }: NodeDeps,
  parts: { readonly overlay: Overlay; readonly engine: Engine; readonly directory: Directory },
  signal: AbortSignal,
): Promise<readonly ShardIndex[]> {
  if (role === 'attestor') return Array.from({ length: shardCount }, (_, shard) => shard as ShardIndex);
  if (shards !== 'auto') return parseShards(shards, shardCount);
  const { directory } = parts;
  const all = cutShards(model.manifest, cut);
  const announcer = createAnnouncer(
    {
      subnet: subnet.id,
      node: node.id,
      genesis: fromHex(info.genesis),
      clock,
      shards: [],
      version,
      cacheBytes: cacheBytes(all),
      memoryMiB: Math.floor(memoryBytes / MIB),
    },
    { ...parts, identity, board: directory, meter: createMeter(() => performance.now()), log: log.child('placement') },
  );
  const listening = new AbortController();
  const until = AbortSignal.any([signal, listening.signal]);
  const hearing = directory.run(until);
  try {
    const { maxContext } = model.manifest.shape;
    const chosen = { node: node.id, shards: all, maxContext, memoryBytes };
    const served = await chooseShards(chosen, { chain, directory, announcer, log: log.child('placement') }, until);
    if (supply !== undefined)
      await whileComing(served, { chain, announcer }, supply.fetch(served, parts.overlay, until), until);
    return served;
  } finally {
    listening.abort();
    await hearing;
  }
}

/** Of one position of one shard, at most. */
function cacheBytes(shards: readonly ManifestShard[]): number {
  return Math.max(...shards.map(({ memory }) => memory.kvPerToken));
}

async function enterOverlay(
  options: NodeOptions,
  around: {
    readonly info: ChainInfo;
    readonly members: Members;
    readonly records: RecordRules;
  },
  { subnet, identity, log, parts }: NodeDeps,
  opened: AsyncDisposableStack,
): Promise<Overlay> {
  const enter = parts?.createOverlay ?? createOverlay;
  const { listen, announce, initialPeers, networkKey } = options;
  const privateAddresses = dialsPrivate(options.privateAddresses ?? 'auto', {
    listen,
    named: [...announce, ...initialPeers],
  });
  const overlay = await enter(
    {
      identity,
      listen,
      announce,
      network: networkName(around.info),
      bootstrap: bootstrapOf(options, reachable([...subnet.bootnodes.values()], privateAddresses)),
      wanted: around.members.peers,
      addressesOf: around.members.addressesOf,
      dhtServer: true,
      isDhtServer: around.members.isMember,
      // Clients of nodes with stake find room where strangers do not.
      isKnown: (peer) => around.members.stakeOf(peer) > 0n,
      ...(options.newSwarm ? {} : { peersFile: join(options.dataDir, 'peers') }),
      topics: [recordTopic(subnet.id), announceTopic(subnet.id)],
      records: around.records,
      privateAddresses,
      ...(options.reach === undefined ? {} : { reach: options.reach }),
      relay: options.relay ?? false,
      ...(networkKey === undefined ? {} : { networkKey: openNetworkKey(networkKey) }),
    },
    { log: log.child('p2p') },
  );
  return opened.adopt(overlay, (open) => open.close());
}

function buildValidator(
  { info, clock, cut, shards, audits, watchesKeys }: Place,
  { chain, subnet, node, hotkey, identity, model, log }: NodeDeps,
  {
    overlay,
    engine,
    journal,
    archive,
    handed,
  }: {
    readonly overlay: Overlay;
    readonly engine: Engine | undefined;
    readonly journal: Journal;
    readonly archive: Archive;
    readonly handed: HandedOver | undefined;
  },
): Validator {
  return createValidator(
    { genesis: info.genesis, subnet: subnet.id, node: node.id, clock, shards, audits, watchesKeys },
    {
      chain,
      overlay,
      ...(engine === undefined ? {} : { engine }),
      ...(engine === undefined || handed === undefined
        ? {}
        : { auditor: buildAuditor(model, cut, shards, { overlay, engine, handed, log }) }),
      journal,
      archive,
      identity,
      hotkey,
      manifestOf: (hash) => (hash === model.hash ? model.manifest : undefined),
      verify: verifySignature,
      log: log.child('validator'),
    },
  );
}

/** What an auditor draws its lots with, and what clients hand to it. */
interface HandedOver {
  readonly secret: Uint8Array;
  readonly handed: Handed;
}

/** From now on. */
async function takeHanded(
  { model, log }: NodeDeps,
  { overlay, members }: { readonly overlay: Overlay; readonly members: Members },
): Promise<HandedOver> {
  const secret = new Uint8Array(randomBytes(32));
  const { isMember, mayAsk } = members;
  const handed = createHanded({ manifest: model.hash, secret }, { isMember, verify: verifySignature });
  await serveHanded(handed, { overlay, mayAsk, log: log.child('audit') });
  return { secret, handed };
}

function buildAuditor(
  model: Model,
  cut: string,
  holds: readonly ShardIndex[],
  {
    overlay,
    engine,
    handed,
    log,
  }: { readonly overlay: Overlay; readonly engine: Engine; readonly handed: HandedOver; readonly log: Log },
): Auditor {
  const { width, vocab } = model.manifest.shape;
  const all = cutShards(model.manifest, cut);
  const shards = all.map(({ rmsBits, tau, auditable }) => ({ rms: floatOfBits(rmsBits), tau, auditable }));
  return createAuditor(
    {
      model: {
        hash: model.hash,
        width,
        vocab,
        shardCount: all.length,
        ...(model.manifest.arch === 'llama' ? {} : { inputs: all.map(({ inputs }) => inputs) }),
      },
      shards,
      holds,
    },
    { overlay, engine, verify: verifySignature, ...handed, log: log.child('audit') },
  );
}

function buildMover(
  { cut, shards, memoryBytes }: Place,
  { chain, node, model, supply, log }: NodeDeps,
  {
    overlay,
    ...parts
  }: {
    readonly overlay: Overlay;
    readonly engine: Engine;
    readonly directory: Directory;
    readonly hoster: Hoster;
    readonly validator: Validator;
  },
): Mover {
  const { maxContext } = model.manifest.shape;
  const shardBytes = shardNeeds({ shards: cutShards(model.manifest, cut), maxContext });
  // As much as others hear of: all must come to the same moves.
  const told = Math.floor(memoryBytes / MIB) * MIB;
  return createMover(
    { node: node.id, shards, shardBytes, memoryBytes: told },
    {
      ...parts,
      chain,
      ...(supply === undefined ? {} : { fetch: (taken, signal) => supply.fetch(taken, overlay, signal) }),
      log: log.child('mover'),
    },
  );
}

function buildHoster(
  { shards: wanted, version }: NodeOptions,
  { info, clock, cut, shardCount, shards, memoryBytes }: Place,
  { chain, subnet, node, identity, model, log }: NodeDeps,
  {
    overlay,
    engine,
    members,
    directory,
    validator,
  }: {
    readonly overlay: Overlay;
    readonly engine: Engine;
    readonly members: Members;
    readonly directory: Directory;
    readonly validator: Validator;
  },
): Hoster {
  const { width, vocab, maxContext } = model.manifest.shape;
  const served = cutShards(model.manifest, cut);
  return createHoster(
    {
      subnet: subnet.id,
      node: node.id,
      genesis: fromHex(info.genesis),
      clock,
      model: {
        hash: model.hash,
        width,
        vocab,
        maxContext,
        shardCount,
        cacheBytes: cacheBytes(served),
        ...(model.manifest.arch === 'llama' ? {} : { inputs: served.map(({ inputs }) => inputs) }),
        outputRms: served.map(({ rmsBits }) => floatOfBits(rmsBits)),
      },
      shards,
      version,
      // Who chose by hand does not move, whatever memory is left.
      memoryMiB: wanted === 'auto' ? Math.floor(memoryBytes / MIB) : 0,
    },
    {
      overlay,
      engine,
      identity,
      chain,
      board: directory,
      verify: verifySignature,
      mayAsk: members.mayAsk,
      mayAudit: members.isValidator,
      stakeOf: members.stakeOf,
      openChallenge: validator.openChallenge,
      now: () => performance.now(),
      log: log.child('hoster'),
    },
  );
}

/** Runs all until the signal aborts or one of them ends; then all end, what was opened is closed, and a failure is thrown. */
async function runServices(
  services: readonly { run(signal: AbortSignal): Promise<void> }[],
  opened: AsyncDisposableStack,
  until: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([until, ending.signal]);
  const ends = await Promise.allSettled(services.map((service) => service.run(signal).finally(() => ending.abort())));
  await opened.disposeAsync();
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
