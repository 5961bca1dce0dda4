// The one place that constructs a node: chain, keys, model, engine, overlay, journal, and the services that marry rules with them.

import { join } from 'node:path';
import type { Chain, ChainInfo, Signer, Subnet, SubnetNode } from '../chain/types.ts';
import { createDirectory } from '../client/directory.ts';
import { createOnnxEngine } from '../engine/onnx.ts';
import type { Engine } from '../engine/types.ts';
import { createHoster, type Hoster } from '../hoster/hoster.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { type OpenIdentity, verifySignature } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import type { Overlay, RecordRules } from '../p2p/types.ts';
import { createJournal } from '../store/sqlite.ts';
import type { Journal } from '../store/types.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { Policy } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import { CodedError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { recordTopic } from '../validator/topic.ts';
import { createValidator, type Validator } from '../validator/validator.ts';
import { announceTopic } from '../wire/announce.ts';
import { decodePolicy } from '../wire/policy.ts';
import { MAX_RECORD_BYTES } from '../wire/record.ts';
import { createMembers, type Members } from './members.ts';
import { parseShards } from './shards.ts';

export interface NodeOptions {
  readonly role: 'hoster' | 'attestor';
  /** As typed: `auto`, `0-2`, `0,2-3`. An attestor serves none. */
  readonly shards: string;
  readonly device: 'auto' | 'cpu';
  readonly threads: number | undefined;
  readonly dataDir: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Instead of the boot nodes and addresses that the chain knows. */
  readonly initialPeers: readonly string[];
  /** Dial nobody: this is the first node. */
  readonly newSwarm: boolean;
  readonly version: string;
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
  readonly log: Log;
  /** Default: the real ones. */
  readonly parts?: Partial<NodeParts>;
}

export interface Node {
  readonly shards: readonly ShardIndex[];
  readonly addresses: readonly string[];
  readonly engine: Engine | undefined;
  readonly validator: Validator;
  readonly hoster: Hoster | undefined;
  /** Serves and does its duties until the signal aborts, then closes what it opened. */
  run(signal: AbortSignal): Promise<void>;
}

export type NodeErrorFacts =
  | { readonly code: 'MANIFEST_MISMATCH'; readonly wanted: string; readonly found: string }
  | { readonly code: 'POLICY_MALFORMED'; readonly subnet: number }
  | { readonly code: 'IDENTITY_MISMATCH'; readonly registered: string; readonly found: string };

class NodeError extends CodedError<NodeErrorFacts> {}

/** Loads the model and joins the overlay; nothing is signed or served before `run`. */
export async function createNode(options: NodeOptions, deps: NodeDeps, signal: AbortSignal): Promise<Node> {
  const { chain, subnet, node, identity, model, log } = deps;
  const policy = requirePolicy(subnet, model);
  requireIdentity(node, identity);
  const info = await chain.info(signal);
  const nodes = await chain.nodes(subnet.id, undefined, signal);
  const shardCount = cutShards(model.manifest, policy.cut).length;
  const shards = options.role === 'hoster' ? parseShards(options.shards, shardCount) : [];
  const journal = createJournal({ file: join(options.dataDir, 'journal.sqlite'), genesis: info.genesis });
  const engine = await startEngine(options, { shards, cut: policy.cut }, deps, signal);
  const members = createMembers(
    { subnet: subnet.id, access: policy.access, nodes },
    { chain, log: log.child('members') },
  );
  // The overlay asks the validator about records, and the validator needs the overlay: the rules find it once it is there.
  let validator: Validator | undefined;
  const rules: RecordRules = {
    judge: async (key, value) => validator?.judge(key, value) ?? 'ignore',
    replaces: () => false,
    maxRecordBytes: MAX_RECORD_BYTES,
  };
  const enter = deps.parts?.createOverlay ?? createOverlay;
  const overlay = await enter(overlayOptions(options, deps, info, nodes, members, rules), { log: log.child('p2p') });
  const clock = { slot: subnet.slot, epochLength: info.epochLength };
  validator = createValidator(
    { genesis: info.genesis, subnet: subnet.id, node: node.id, clock, shards },
    {
      chain,
      overlay,
      ...(engine === undefined ? {} : { engine }),
      journal,
      identity,
      hotkey: deps.hotkey,
      manifestOf: (hash) => (hash === model.hash ? model.manifest : undefined),
      verify: verifySignature,
      log: log.child('validator'),
    },
  );
  const genesis = fromHex(info.genesis);
  const directory = createDirectory(
    { subnet: subnet.id, genesis },
    { overlay, chain, verify: verifySignature, log: log.child('directory') },
  );
  const hoster =
    engine === undefined
      ? undefined
      : createHoster(
          {
            subnet: subnet.id,
            node: node.id,
            genesis,
            clock,
            model: { hash: model.hash, ...pickShape(model), shardCount },
            shards,
            version: options.version,
          },
          {
            overlay,
            engine,
            identity,
            chain,
            board: directory,
            verify: verifySignature,
            mayAsk: members.mayAsk,
            openChallenge: validator.openChallenge,
            now: () => performance.now(),
            log: log.child('hoster'),
          },
        );
  return assemble({ shards, overlay, engine, validator, hoster, journal, runs: [members, directory] });
}

interface Parts {
  readonly shards: readonly ShardIndex[];
  readonly overlay: Overlay;
  readonly engine: Engine | undefined;
  readonly validator: Validator;
  readonly hoster: Hoster | undefined;
  readonly journal: Journal;
  readonly runs: readonly { run(signal: AbortSignal): Promise<void> }[];
}

function assemble({ shards, overlay, engine, validator, hoster, journal, runs }: Parts): Node {
  return {
    shards,
    addresses: overlay.addresses(),
    engine,
    validator,
    hoster,
    async run(signal) {
      try {
        await Promise.all(
          [validator, ...runs, ...(hoster === undefined ? [] : [hoster])].map((part) => part.run(signal)),
        );
      } finally {
        await overlay.close();
        await engine?.close();
        journal.close();
      }
    },
  };
}

/** The policy of the subnet, for a model that is the one it names. */
export function requirePolicy(subnet: Subnet, model: Model): Policy {
  const decoded = decodePolicy(subnet.misc);
  if (!decoded.ok) {
    throw new NodeError(
      { code: 'POLICY_MALFORMED', subnet: subnet.id },
      `the policy of subnet ${subnet.id} cannot be read (${decoded.why}); its owner must write it again`,
    );
  }
  const { policy } = decoded;
  if (policy.manifest === model.hash) return policy;
  throw new NodeError(
    { code: 'MANIFEST_MISMATCH', wanted: policy.manifest, found: model.hash },
    `subnet ${subnet.id} runs the model with manifest ${policy.manifest}, but the model folder has ${model.hash}; name the right folder with --model`,
  );
}

function requireIdentity(node: SubnetNode, identity: OpenIdentity): void {
  if (node.peerInfo.peer === identity.peer) return;
  throw new NodeError(
    { code: 'IDENTITY_MISMATCH', registered: node.peerInfo.peer, found: identity.peer },
    `node ${node.id} is registered with peer id ${node.peerInfo.peer}, but the identity file has ${identity.peer}; check --identity-path and --data-dir`,
  );
}

async function startEngine(
  options: NodeOptions,
  { shards, cut }: { readonly shards: readonly ShardIndex[]; readonly cut: string },
  { model, log, parts }: NodeDeps,
  signal: AbortSignal,
): Promise<Engine | undefined> {
  if (options.role !== 'hoster') return undefined;
  const create = parts?.createEngine ?? createOnnxEngine;
  const engine = await create(
    { model, cut, device: options.device, ...(options.threads === undefined ? {} : { threads: options.threads }) },
    { log: log.child('engine') },
  );
  await engine.load(shards, signal);
  return engine;
}

function overlayOptions(
  options: NodeOptions,
  { subnet, identity }: NodeDeps,
  info: ChainInfo,
  nodes: readonly SubnetNode[],
  members: Members,
  records: RecordRules,
): Parameters<typeof createOverlay>[0] {
  return {
    identity,
    listen: options.listen,
    announce: options.announce,
    network: networkName(info),
    bootstrap: bootstrapOf(options, knownAddresses(subnet, nodes, identity.peer)),
    wanted: members.peers,
    dhtServer: true,
    isDhtServer: members.isMember,
    topics: [recordTopic(subnet.id), announceTopic(subnet.id)],
    records,
    privateAddresses: isPrivate(options.listen),
  };
}

function bootstrapOf({ newSwarm, initialPeers }: NodeOptions, known: readonly string[]): readonly string[] {
  if (newSwarm) return [];
  return initialPeers.length > 0 ? initialPeers : known;
}

/** Names the overlay of one chain: the first 8 bytes of its genesis hash. */
export function networkName(info: ChainInfo): string {
  return info.genesis.slice(2, 18);
}

/** Boot nodes first, then what nodes told the chain of themselves. */
export function knownAddresses(subnet: Subnet, nodes: readonly SubnetNode[], self: string): string[] {
  const told = [...subnet.bootnodes.values(), ...nodes.flatMap((node) => node.peerInfo.multiaddr ?? [])];
  return [...new Set(told)].filter((address) => !address.endsWith(`/p2p/${self}`));
}

/** Whether this node listens on loopback or a private network only, where private addresses are the ones to dial. */
function isPrivate(listen: readonly string[]): boolean {
  return listen.every((address) =>
    /^\/ip4\/(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|^\/ip6\/::1\//.test(address),
  );
}

function pickShape(model: Model): { readonly width: number; readonly vocab: number; readonly maxContext: number } {
  const { width, vocab, maxContext } = model.manifest.shape;
  return { width, vocab, maxContext };
}
