// The chain client on @polkadot/api: interface Chain over the endpoints of a Substrate node or the dev chain (chain.md 10). Trusts the
// endpoint it is given for what is in storage; checks that it stays the same chain.

import { z } from 'zod';
import type { Address, BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { followEvents } from './block-events.ts';
import { dutyPeriod, ERA_BLOCKS, epochAt, pastEpochs } from './clock.ts';
import type { Dialect, Read, Reader } from './dialects/dialect.ts';
import { NO_EXTRINSIC, orDoneAlready } from './duties.ts';
import { answerUnreadable, extrinsicFailed, extrinsicWouldFail } from './errors.ts';
import { measurePace } from './pace.ts';
import { peersOf } from './peers.ts';
import { removedIn } from './removed.ts';
import type { Connection } from './substrate/connection.ts';
import { createLink, type Link, type LinkDeps } from './substrate/link.ts';
import { askRosterProof, readRosterProof } from './substrate/roster-proof.ts';
import type { CallSpec, RuntimeEvent } from './substrate/runtime.ts';
import { rememberStake } from './substrate/stake.ts';
import { createSubmitter } from './substrate/submit.ts';
import type { Chain, Head, PastResult, Proposal, Receipt, Signer, SubmitOptions } from './types.ts';
import { nameUnjudged } from './unjudged.ts';

export interface ChainOptions {
  /** ws:// addresses, the preferred one first; at least one. */
  readonly endpoints: readonly string[];
  /** Only this chain will do; default whatever answers first, and then that one for ever. */
  readonly genesis?: Hash;
  /** An endpoint without a new head for this long is left for another one, if there is one; default 30 s. */
  readonly silenceMs?: number;
}

/** Milliseconds; a u64, so bigint where the numbers need it. */
const TIMESTAMP = z.union([z.number(), z.bigint()]).transform(Number);

type Make = (dialect: Dialect) => CallSpec;

/**
 * Connects, or fails when no endpoint answers at all; from then on lost connections are replaced in the background.
 *
 * Errors: CHAIN_UNREACHABLE, CHAIN_WRONG_GENESIS, CHAIN_UNSUPPORTED, the signal's reason.
 */
export async function connectChain(options: ChainOptions, deps: LinkDeps, signal?: AbortSignal): Promise<Chain> {
  const link = await createLink(options, deps, signal);
  const submitter = createSubmitter(link, deps);
  const slots = new Map<SubnetId, number>();
  const knowsStake = rememberStake(
    (subnet, peer, minClass, minStake, at) =>
      ask((dialect) => dialect.provesStake(subnet, peer, minClass, minStake), at),
    () => performance.now(),
  );

  const pace = measurePace(async (block, stop) => {
    const hash = await chain.blockHash(block, stop);
    const { runtime } = await link.connection(stop);
    const now = runtime.storage('timestamp', 'now', []);
    return hash === undefined ? undefined : readerAt(hash, stop).ask(now, (value) => TIMESTAMP.parse(value));
  });

  async function ask<T>(read: (dialect: Dialect) => Read<T>, at?: Hash, stop?: AbortSignal): Promise<T> {
    const { dialect } = await link.connection(stop);
    return read(dialect)(readerAt(at, stop));
  }

  function readerAt(at: Hash | undefined, stop: AbortSignal | undefined): Reader {
    const reader: Reader = {
      async ask({ method, params, decode }, parse) {
        const answer = await link.ask(method, params, at, stop);
        try {
          return parse(decode(answer));
        } catch (error) {
          throw answerUnreadable(method, error);
        }
      },
      pinned: async () => (at === undefined ? readerAt((await currentHead(link, 'best', stop)).hash, stop) : reader),
      at: (block) => readerAt(block, stop),
      blockHash: (number) => chain.blockHash(number, stop),
    };
    return reader;
  }

  function send(signer: Signer, call: string, make: Make, options: SubmitOptions = {}): Promise<Receipt> {
    const submission = { call, signer, make: ({ dialect }: Connection) => make(dialect), period: () => ERA_BLOCKS };
    return submitter.submit(submission, options);
  }

  /** A transaction that lives at most as long as its epoch; refused here when the best head is in another one or the epoch ends. */
  async function sendDuty(duty: DutyCall, make: Make, options: SubmitOptions): Promise<Receipt> {
    const { call, signer, subnet, epoch } = duty;
    const slot = await slotOf(subnet, options.signal);
    const { dialect } = await link.connection(options.signal);
    const period = (head: Head) => dutyPeriod(call, epoch, head.number, slot, dialect.epochLength);
    return submitter.submit({ call, signer, make: (connection) => make(connection.dialect), period }, options);
  }

  /** A subnet keeps its slot for life; 0 for one that does not exist: the chain will say so. */
  async function slotOf(subnet: SubnetId, stop?: AbortSignal): Promise<number> {
    const known = slots.get(subnet);
    if (known !== undefined) return known;
    const slot = (await chain.subnet(subnet, undefined, stop))?.slot;
    if (slot !== undefined) slots.set(subnet, slot);
    return slot ?? 0;
  }

  async function nodeByHotkey(subnet: SubnetId, hotkey: Address, at?: Hash, stop?: AbortSignal) {
    const id = await ask((dialect) => dialect.nodeIdOfHotkey(subnet, hotkey), at, stop);
    return id === undefined ? undefined : ask((dialect) => dialect.node(subnet, id), at, stop);
  }

  async function nodeByPeerId(subnet: SubnetId, peer: PeerId, at?: Hash, stop?: AbortSignal) {
    const here = at ?? (await currentHead(link, 'best', stop)).hash;
    const id = await ask((dialect) => dialect.nodeIdOfPeer(subnet, peer), here, stop);
    const node = id === 0 ? undefined : await ask((dialect) => dialect.node(subnet, id), here, stop);
    return node !== undefined && peersOf(node).includes(peer) ? node : undefined;
  }

  async function previousResults(subnet: SubnetId, count: number, stop?: AbortSignal): Promise<readonly PastResult[]> {
    const head = await currentHead(link, 'best', stop);
    const { epochLength } = (await link.connection(stop)).dialect;
    const epochs = pastEpochs(epochAt(head.number, await slotOf(subnet, stop), epochLength), count);
    const found = await ask((dialect) => dialect.results(subnet, epochs), head.hash, stop);
    return epochs.flatMap((epoch, i) => {
      const result = found[i];
      return result === undefined ? [] : [{ epoch, ...result }];
    });
  }

  /** For chains that dock whom a proposal does not name. */
  async function complete(proposal: Proposal, signal?: AbortSignal): Promise<Proposal> {
    const { docksUnnamed } = (await link.connection(signal)).dialect;
    return docksUnnamed ? nameUnjudged(proposal, await chain.nodes(proposal.subnet, undefined, signal)) : proposal;
  }

  /** For chains on which nodes activate by themselves; fails as the call would. */
  async function awaitActivation(
    hotkey: Signer,
    subnet: SubnetId,
    id: NodeId,
    options: SubmitOptions,
  ): Promise<Receipt> {
    const { until = 'inBlock', signal } = options;
    const stop = signal === undefined ? link.closed : AbortSignal.any([signal, link.closed]);
    for await (const block of link[until === 'finalized' ? 'finalized' : 'best'].stream(stop)) {
      const node = await chain.node(subnet, id, block.hash, stop);
      if (node === undefined) throw extrinsicFailed(ACTIVATE, 'Network', 'InvalidSubnetNodeId');
      if (node.hotkey !== hotkey.address) throw extrinsicFailed(ACTIVATE, 'Network', 'NotUidOwner');
      if (node.nodeClass !== 'Registered') return { block, extrinsicHash: NO_EXTRINSIC, events: [] };
    }
    throw stop.reason;
  }

  const chain: Chain = {
    async info(stop) {
      const { runtime, dialect } = await link.connection(stop);
      const { genesis, specName, specVersion, symbol, decimals } = runtime;
      return {
        genesis,
        specName,
        specVersion,
        symbol,
        decimals,
        dialect: dialect.name,
        capabilities: dialect.capabilities,
        epochLength: dialect.epochLength,
        blockMs: await pace.blockMs(link.finalized.last, stop),
      };
    },
    head: (kind, stop) => currentHead(link, kind, stop),
    heads: (kind, stop) => link[kind].stream(stop),
    async blockHash(block, stop) {
      const hash = await link.ask('chain_getBlockHash', [block], undefined, stop);
      return typeof hash === 'string' ? (hash as Hash) : undefined;
    },

    subnet: (subnet, at, stop) => ask((dialect) => dialect.subnet(subnet), at, stop),
    subnetByName: (name, stop) => ask((dialect) => dialect.subnetByName(name), undefined, stop),
    node: (subnet, node, at, stop) => ask((dialect) => dialect.node(subnet, node), at, stop),
    nodes: (subnet, at, stop) => ask((dialect) => dialect.nodes(subnet), at, stop),
    nodeByHotkey,
    nodeByPeerId,
    electable: (subnet, at, stop) => ask((dialect) => dialect.electable(subnet), at, stop),
    account: (address, stop) => ask((dialect) => dialect.account(address), undefined, stop),
    electedValidator: (subnet, epoch, at, stop) => ask((dialect) => dialect.electedValidator(subnet, epoch), at, stop),
    async proveRoster(subnet, epoch, at, stop) {
      const { runtime, dialect } = await link.connection(stop);
      const storage = dialect.rosterStorage?.(subnet, epoch);
      return storage === undefined ? undefined : askRosterProof(storage, at, { link, runtime, signal: stop });
    },
    async provenRoster(subnet, epoch, at, proof, stop) {
      const { dialect } = await link.connection(stop);
      const storage = dialect.rosterStorage?.(subnet, epoch);
      if (storage !== undefined) return readRosterProof(storage, at, proof);
      return { ok: false, code: 'PROOF_UNSUPPORTED', why: `${dialect.name} does not tell rosters by known storage` };
    },
    submission: (subnet, epoch, at, stop) => ask((dialect) => dialect.submission(subnet, epoch), at, stop),
    result: (subnet, epoch, at, stop) => ask((dialect) => dialect.result(subnet, epoch), at, stop),
    previousResults,
    async provesStake(subnet, peer, minClass, { minStake, at } = {}, stop) {
      link.closed.throwIfAborted();
      // The last head, connected or not: while the chain is away, the memory answers.
      return knowsStake(subnet, peer, minClass, minStake, at ?? link.finalized.last?.hash ?? link.genesis, stop);
    },
    async events(at, stop) {
      const { runtime } = await link.connection(stop);
      const events = await readerAt(at, stop).ask(runtime.blockEvents(), (found) => found as readonly RuntimeEvent[]);
      return events.map(({ pallet, name, data }) => ({ pallet, name, data }));
    },
    subnetEvents: (subnet, { after }, stop) => followEvents(chain, subnet, after, stop),

    async holdings(account, stop) {
      const { hash } = await currentHead(link, 'best', stop);
      const [stakes, delegations, unbondings] = await Promise.all([
        ask((dialect) => dialect.stakes(account), hash, stop),
        ask((dialect) => dialect.delegations(account), hash, stop),
        ask((dialect) => dialect.unbondings(account), hash, stop),
      ]);
      return { stakes, delegations, unbondings };
    },

    async registerSubnet(owner, subnet, submitOptions) {
      const make: Make = (dialect) => dialect.registerSubnet(subnet);
      const receipt = await send(owner, 'register_subnet', make, submitOptions);
      return { ...receipt, subnet: eventNumber(receipt, ['SubnetRegistered'], 'subnetId') as SubnetId };
    },
    activateSubnet: (owner, subnet, submitOptions) =>
      send(owner, 'activate_subnet', (dialect) => dialect.activateSubnet(subnet), submitOptions),
    async registerNode(coldkey, node, submitOptions) {
      const make: Make = (dialect) => dialect.registerNode(node);
      const receipt = await send(coldkey, 'register_subnet_node', make, submitOptions);
      return { ...receipt, node: eventNumber(receipt, NODE_REGISTERED, 'subnetNodeId') as NodeId };
    },
    async activateNode(hotkey, subnet, node, submitOptions = {}) {
      const { activateNode } = (await link.connection(submitOptions.signal)).dialect;
      if (activateNode === undefined) return awaitActivation(hotkey, subnet, node, submitOptions);
      const make: Make = ({ activateNode: call = activateNode }) => call(subnet, node);
      return send(hotkey, ACTIVATE, make, submitOptions);
    },
    removeNode: (key, subnet, node, submitOptions) =>
      send(key, 'remove_subnet_node', (dialect) => dialect.removeNode(subnet, node), submitOptions),
    async cleanExpired(key, subnet, submitOptions = {}) {
      const { cleanExpired } = (await link.connection(submitOptions.signal)).dialect;
      if (cleanExpired === undefined) {
        const known = await chain.subnet(subnet, undefined, submitOptions.signal);
        throw extrinsicWouldFail(CLEAN, 'Network', known === undefined ? 'InvalidSubnetId' : 'NoExpiredNodes');
      }
      const make: Make = ({ cleanExpired: call = cleanExpired }) => call(subnet);
      const receipt = await send(key, CLEAN, make, submitOptions);
      return { ...receipt, removed: removedIn(receipt) };
    },
    updateHotkey: (coldkey, { hotkey, next }, submitOptions) =>
      send(coldkey, 'update_hotkey', (dialect) => dialect.updateHotkey(hotkey, next), submitOptions),
    updateColdkey: (coldkey, { hotkey, next }, submitOptions) =>
      send(coldkey, 'update_coldkey', (dialect) => dialect.updateColdkey(hotkey, next), submitOptions),
    updatePeer: (key, { subnet, node, role }, info, submitOptions) =>
      send(key, 'update_peer_info', (dialect) => dialect.updatePeer(subnet, node, role, info), submitOptions),
    updateMisc: (owner, subnet, misc, submitOptions) =>
      send(owner, 'update_misc', (dialect) => dialect.updateMisc(subnet, misc), submitOptions),
    updateBootnodes: (owner, subnet, { add, remove }, submitOptions) =>
      send(owner, 'update_bootnodes', (dialect) => dialect.updateBootnodes(subnet, add, remove), submitOptions),
    addStake: (coldkey, to, submitOptions) =>
      send(coldkey, 'add_stake', (dialect) => dialect.addStake(to), submitOptions),
    removeStake: (coldkey, from, submitOptions) =>
      send(coldkey, 'remove_stake', (dialect) => dialect.removeStake(from), submitOptions),
    claimUnbondings: (account, submitOptions) =>
      send(account, 'claim_unbondings', (dialect) => dialect.claimUnbondings(), submitOptions),
    delegate: (account, subnet, amount, submitOptions) =>
      send(account, 'add_to_delegate_stake', (dialect) => dialect.delegate(subnet, amount), submitOptions),
    undelegate: (account, subnet, shares, submitOptions) =>
      send(account, 'remove_delegate_stake', (dialect) => dialect.undelegate(subnet, shares), submitOptions),
    transferDelegation: (account, { subnet, to, shares }, submitOptions) => {
      const make: Make = (dialect) => dialect.transferDelegation(subnet, to, shares);
      return send(account, 'transfer_delegate_stake', make, submitOptions);
    },
    transfer: (from, to, amount, submitOptions) =>
      send(from, 'transfer_keep_alive', (dialect) => dialect.transfer(to, amount), submitOptions),
    propose(hotkey, proposal, submitOptions = {}) {
      const { subnet, epoch } = proposal;
      const call = 'propose_attestation';
      const done = { error: 'SubnetRewardsAlreadySubmitted', subnet, epoch, hotkey: hotkey.address } as const;
      return orDoneAlready(chain, { ...done, ...submitOptions }, async () => {
        const named = await complete(proposal, submitOptions.signal);
        const duty = { call, signer: hotkey, subnet, epoch };
        return sendDuty(duty, (dialect) => dialect.propose(named), submitOptions);
      });
    },
    attest(hotkey, subnet, epoch, attestData, submitOptions = {}) {
      const done = { error: 'AlreadyAttested', subnet, epoch, hotkey: hotkey.address } as const;
      const duty = { call: 'attest', signer: hotkey, subnet, epoch };
      return orDoneAlready(chain, { ...done, ...submitOptions }, () =>
        sendDuty(duty, (dialect) => dialect.attest(subnet, attestData), submitOptions),
      );
    },
    close: async () => link.close(),
  };
  return chain;
}

interface DutyCall {
  readonly call: string;
  readonly signer: Signer;
  readonly subnet: SubnetId;
  readonly epoch: Epoch;
}

async function currentHead(link: Link, kind: 'best' | 'finalized', signal?: AbortSignal): Promise<Head> {
  await link.connection(signal);
  const head = link[kind].last;
  return head ?? { number: 0 as BlockNumber, hash: link.genesis };
}

/** The second where a node activates in the same block. */
const NODE_REGISTERED: readonly string[] = ['SubnetNodeRegistered', 'SubnetNodeActivated'];

const ACTIVATE = 'activate_subnet_node';

const CLEAN = 'clean_expired_registered_subnet_nodes';

/** Errors: CHAIN_UNSUPPORTED when no such event came with the transaction. */
function eventNumber({ events }: Receipt, names: readonly string[], field: string): number {
  const value = events.find((event) => names.includes(event.name))?.data[field];
  if (typeof value === 'number') return value;
  throw answerUnreadable('System.Events', new RangeError(`no event ${names.join(' or ')} with ${field}`));
}
