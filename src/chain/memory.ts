// The chain's twin: a small chain in this process whose blocks are made by hand, with the rules of the pallet (twin/), finality behind the
// best head, a pool, mortal transactions, outages and reorganizations. Deterministic: the same calls in the same blocks give the same hashes.
// Trusts its callers: a Signer's address is believed, nothing is signed.

import {
  type Address,
  type BlockNumber,
  type Epoch,
  type Hash,
  type NodeId,
  ONE,
  type SubnetId,
} from '../types/ids.ts';
import { classRank } from '../types/subnet.ts';
import { raceSignal } from '../util/async.ts';
import { concatBytes, fromHex, toHex, u32le, utf8 } from '../util/bytes.ts';
import { sha256, tag } from '../util/hash.ts';

import { followEvents } from './block-events.ts';
import { dutyPeriod, ERA_BLOCKS, epochAt, pastEpochs } from './clock.ts';
import { orDoneAlready } from './duties.ts';
import {
  extrinsicExpired,
  extrinsicFailed,
  extrinsicRejected,
  extrinsicWouldFail,
  POOL_PAYMENT,
  stateDiscarded,
  unreachable,
} from './errors.ts';
import { createHeadFeed } from './heads.ts';
import { peersOf } from './peers.ts';
import { removedIn } from './removed.ts';
import {
  activateNode,
  activateSubnet,
  attest,
  propose,
  registerNode,
  registerSubnet,
  removeNode,
  transfer,
  updateBootnodes,
  updateMisc,
  updatePeer,
} from './twin/calls.ts';
import { cleanExpired } from './twin/expiry.ts';
import { DEVELOPMENT_FUNDS } from './twin/funds.ts';
import { updateColdkey, updateHotkey } from './twin/keys.ts';
import {
  addStake,
  claimUnbondings,
  delegate,
  holdingsOf,
  removeStake,
  transferDelegation,
  undelegate,
} from './twin/money.ts';
import { beginBlock } from './twin/settle.ts';
import {
  accountOf,
  type Call,
  DEPOSIT,
  electableOf,
  mul,
  percent,
  Refusal,
  spendable,
  TENSOR,
  type TwinNode,
  type TwinParams,
  type TwinState,
  type TwinSubmission,
  type TwinSubnet,
  withBalance,
  withEntry,
} from './twin/state.ts';
import type {
  Chain,
  ChainEvent,
  Head,
  PeerInfo,
  Proposal,
  Receipt,
  RegisterNode,
  RegisterSubnet,
  RosterState,
  Signer,
  StateProof,
  Submission,
  SubmitOptions,
  Subnet,
  SubnetNode,
} from './types.ts';

export interface MemoryChainOptions extends Partial<TwinParams> {
  /** Blocks per epoch, >= 5. */
  readonly epochLength: number;
  /** Slot of the first subnet, default 3. */
  readonly slot?: number;
  /** Blocks between best and finalized head, default 2. */
  readonly finalityLag?: number;
  /** How many newest states can be read, default 4096 as on the dev chain. */
  readonly keptStates?: number;
  /** Free planck at genesis, default: the development accounts of chain.md 8. */
  readonly funds?: ReadonlyMap<Address, bigint>;
  /** Changes every hash and every election. */
  readonly seed?: string;
  /** Awaited after every block, for nodes that must act on it before the next one; default: one turn of the event loop. */
  readonly afterBlock?: (head: Head) => Promise<void>;
}

export interface MemoryChain {
  readonly chain: Chain;
  /** Another client of the same chain; closing one leaves the others open. */
  connect(): Chain;
  readonly best: Head;
  /** Makes blocks until `block` is the best head. */
  runTo(block: number): Promise<void>;
  /** Makes blocks until the promise settles, at most `limit` (default 200). */
  include<T>(work: Promise<T>, limit?: number): Promise<T>;
  /** Takes the newest blocks back (not below finality) and makes as many plus one anew; their transactions are in the pool again unless dropped. */
  reorg(depth: number, drop?: boolean): Promise<void>;
  /** While on, every method of every client fails with CHAIN_UNREACHABLE and no head is told; blocks go on. */
  setOutage(on: boolean): void;
  /** Mints planck to an account. */
  fund(address: Address, amount: bigint): void;
}

interface Transaction {
  readonly call: string;
  readonly origin: Address;
  readonly run: Call;
  readonly hash: Hash;
  readonly lastBlock: number;
  readonly isFree: boolean;
  readonly included: PromiseWithResolvers<Receipt>;
}

interface Block {
  readonly head: Head;
  readonly state: TwinState;
  readonly events: readonly ChainEvent[];
  readonly transactions: readonly Transaction[];
}

/** Fee of a call that pays one, planck. */
const FEE = 100_000_000n;

const ENDPOINT = 'memory';

/** As a chain would say whose blocks come when they should. */
const BLOCK_MS = 6_000;

/** A chain at block 0. */
export function createMemoryChain(options: MemoryChainOptions): MemoryChain {
  const { finalityLag = 2, keptStates = 4096, afterBlock = nextTurn } = options;
  const best = createHeadFeed();
  const finalized = createHeadFeed();
  const first = createGenesis(options);
  const genesis = first.head.hash;
  const blocks: Block[] = [first];
  /** Of every block, also of those whose state is forgotten. */
  const hashes: Hash[] = [genesis];
  const numbers = new Map<Hash, number>([[genesis, 0]]);
  /** What was handed out as proven: this chain's hashes say nothing of its states, so it remembers. */
  const proven = new Set<string>();
  let pool: readonly Transaction[] = [];
  let outage = false;
  let sent = 0;
  let salt = 0;
  publish();

  function blockAt(number: number): Block {
    const block = blocks[number];
    if (block === undefined) throw new RangeError(`no block ${number}`);
    return block;
  }

  function tip(): Block {
    return blockAt(blocks.length - 1);
  }

  function finalizedNumber(): number {
    return Math.max(0, blocks.length - 1 - finalityLag);
  }

  function publish(): void {
    if (outage) return;
    best.publish(tip().head);
    const final = blockAt(finalizedNumber()).head;
    if (finalized.last?.number !== final.number) finalized.publish(final);
  }

  /** Builds one block on the tip from what is in the pool. */
  function build(): void {
    const parent = tip();
    const begun = beginBlock(parent.state, fromHex(parent.head.hash));
    const head: Head = { number: begun.state.block, hash: hashOf(parent.head.hash, begun.state.block, salt) };
    const transactions = pool;
    pool = [];
    let { state } = begun;
    const events = [...begun.events];
    for (const transaction of transactions) {
      if (transaction.lastBlock < head.number) transaction.included.reject(extrinsicExpired(transaction.call));
      else {
        const done = apply(state, transaction, head);
        state = done.state;
        events.push(...done.events);
      }
    }
    blocks.push({ head, state, events, transactions });
    hashes[head.number] = head.hash;
    numbers.set(head.hash, head.number);
    delete blocks[head.number - keptStates];
  }

  async function makeBlock(): Promise<void> {
    build();
    publish();
    await afterBlock(tip().head);
  }

  function submit(signer: Signer, call: string, run: Call, limits: { lastBlock?: number; isFree?: boolean } = {}) {
    const { state } = tip();
    if (accountOf(state, signer.address).free < DEPOSIT) throw extrinsicRejected(call, signer.address, POOL_PAYMENT);
    const transaction: Transaction = {
      call,
      origin: signer.address,
      run,
      hash: hash0x(sha256(tag('twin/extrinsic'), u32le(sent))),
      lastBlock: limits.lastBlock ?? state.block + ERA_BLOCKS - 1,
      isFree: limits.isFree ?? false,
      included: Promise.withResolvers(),
    };
    sent += 1;
    pool = [...pool, transaction];
    return transaction.included.promise;
  }

  /** What would become of a call in the best head's state. */
  function tryCall({ address }: Signer, call: string, run: Call): void {
    try {
      run(tip().state, address);
    } catch (error) {
      throw error instanceof Refusal ? extrinsicWouldFail(call, error.pallet, error.message) : error;
    }
  }

  /** Everything that a client does; `closing` ends its streams and waits. */
  function connect(): Chain {
    const closing = new AbortController();

    function ready(signal?: AbortSignal): AbortSignal {
      signal?.throwIfAborted();
      if (outage || closing.signal.aborted) throw unreachable([ENDPOINT]);
      return signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    }

    function stateAt(at: Hash | undefined, signal?: AbortSignal): TwinState {
      ready(signal);
      if (at === undefined) return tip().state;
      const block = blocks[numbers.get(at) ?? -1];
      if (block === undefined || block.head.hash !== at) throw stateDiscarded(at);
      return block.state;
    }

    function subnetAt(subnet: SubnetId, at: Hash | undefined, signal?: AbortSignal): TwinSubnet | undefined {
      return stateAt(at, signal).subnets.get(subnet);
    }

    async function send(
      signer: Signer,
      call: string,
      run: Call,
      { until = 'inBlock', dryRun = false, signal }: SubmitOptions = {},
      limits?: { lastBlock?: number; isFree?: boolean },
    ): Promise<Receipt> {
      const stop = ready(signal);
      if (dryRun) tryCall(signer, call, run);
      const receipt = await raceSignal(submit(signer, call, run, limits), stop);
      if (until === 'finalized') await finalized.until(({ number }) => number >= receipt.block.number, stop);
      return receipt;
    }

    /** The last block in which a duty may be; refused when the best head is in another epoch or this one is about to end. */
    function dutyLimit(call: string, id: SubnetId, epoch: Epoch): { lastBlock: number; isFree: boolean } {
      const { state } = tip();
      const slot = state.subnets.get(id)?.slot ?? options.slot ?? 3;
      const period = dutyPeriod(call, epoch, state.block, slot, options.epochLength);
      return { lastBlock: state.block + period - 1, isFree: true };
    }

    const chain: Chain = {
      async info(signal) {
        ready(signal);
        const { epochLength } = options;
        return {
          genesis,
          specName: 'tessera-memory',
          specVersion: 1,
          dialect: 'tessera',
          capabilities: { explicitActivation: true, consensusResult: true, coldkeyPerHotkey: true },
          epochLength,
          blockMs: finalizedNumber() > 1 ? BLOCK_MS : undefined,
          symbol: 'TENSOR',
          decimals: 18,
        };
      },
      async head(kind, signal) {
        ready(signal);
        return kind === 'best' ? tip().head : blockAt(finalizedNumber()).head;
      },
      heads: (kind, signal) => (kind === 'best' ? best : finalized).stream(AbortSignal.any([signal, closing.signal])),
      async blockHash(block, signal) {
        ready(signal);
        return block < blocks.length ? hashes[block] : undefined;
      },
      subnet: async (id, at, signal) => optional(subnetAt(id, at, signal), publicSubnet),
      async subnetByName(name, signal) {
        return [...stateAt(undefined, signal).subnets.values()].find((subnet) => subnet.name === name)?.id;
      },
      node: async (id, node, at, signal) => optional(subnetAt(id, at, signal)?.nodes.get(node), publicNode),
      nodes: async (id, at, signal) => nodesOf(subnetAt(id, at, signal)).map(publicNode),
      nodeByHotkey: async (id, hotkey, at, signal) =>
        optional(
          nodesOf(subnetAt(id, at, signal)).find((node) => node.hotkey === hotkey),
          publicNode,
        ),
      nodeByPeerId: async (id, peer, at, signal) =>
        optional(
          nodesOf(subnetAt(id, at, signal)).find((node) => peersOf(node).includes(peer)),
          publicNode,
        ),
      async electable(id, at, signal) {
        const subnet = subnetAt(id, at, signal);
        return subnet === undefined ? [] : electableOf(subnet).map((node) => node.id);
      },
      account: async (address, signal) => accountOf(stateAt(undefined, signal), address),
      electedValidator: async (id, epoch, at, signal) => subnetAt(id, at, signal)?.elected.get(epoch),
      async proveRoster(id, epoch, at, signal) {
        const proof = proofOf(subnetAt(id, at, signal), epoch);
        proven.add(proofName(at, id, epoch, proof));
        return proof;
      },
      async provenRoster(id, epoch, at, proof, signal) {
        ready(signal);
        if (proven.has(proofName(at, id, epoch, proof))) return { ok: true, state: stateOf(proof) };
        return { ok: false, code: 'PROOF_INCOMPLETE', why: `nothing of the kind was proven of ${at}` };
      },
      submission: async (id, epoch, at, signal) =>
        optional(subnetAt(id, at, signal)?.submissions.get(epoch), publicSubmission),
      result: async (id, epoch, at, signal) => subnetAt(id, at, signal)?.results.get(epoch),
      async previousResults(id, count, signal) {
        const subnet = subnetAt(id, undefined, signal);
        if (subnet === undefined) return [];
        const epochs = pastEpochs(epochAt(tip().state.block, subnet.slot, options.epochLength), count);
        return epochs.flatMap((epoch) => {
          const result = subnet.results.get(epoch);
          return result === undefined ? [] : [{ epoch, ...result }];
        });
      },
      async provesStake(id, peer, minClass, { minStake, at } = {}, signal) {
        const state = stateAt(at ?? blockAt(finalizedNumber()).head.hash, signal);
        const subnet = state.subnets.get(id);
        if (subnet === undefined) return false;
        if (minClass === 0 && minStake === undefined && subnet.bootnodes.has(peer)) return true;
        const node = nodesOf(subnet).find((candidate) => peersOf(candidate).includes(peer));
        if (node === undefined || classRank(node.nodeClass) < minClass) return false;
        const epoch = epochAt(state.block, subnet.slot, options.epochLength);
        const hasStarted = node.nodeClass === 'Registered' || node.startEpoch <= epoch;
        return hasStarted && node.stake >= (minStake ?? mul(subnet.minStake, percent(90)));
      },
      async events(at, signal) {
        stateAt(at, signal);
        return blockAt(numbers.get(at) ?? -1).events;
      },
      subnetEvents: (id, { after }, signal) => followEvents(chain, id, after, signal),

      holdings: async (account, signal) => holdingsOf(stateAt(undefined, signal), account),

      async registerSubnet(owner: Signer, subnet: RegisterSubnet, submitOptions) {
        const receipt = await send(owner, 'register_subnet', registerSubnet(subnet), submitOptions);
        return { ...receipt, subnet: eventField(receipt, 'SubnetRegistered', 'subnetId') as SubnetId };
      },
      activateSubnet: (owner, subnet, submitOptions) =>
        send(owner, 'activate_subnet', activateSubnet(subnet), submitOptions),
      async registerNode(coldkey: Signer, node: RegisterNode, submitOptions) {
        const receipt = await send(coldkey, 'register_subnet_node', registerNode(node), submitOptions);
        return { ...receipt, node: eventField(receipt, 'SubnetNodeRegistered', 'subnetNodeId') as NodeId };
      },
      activateNode: (hotkey, subnet, node, submitOptions) =>
        send(hotkey, 'activate_subnet_node', activateNode(subnet, node), submitOptions, { isFree: true }),
      removeNode: (key, subnet, node, submitOptions) =>
        send(key, 'remove_subnet_node', removeNode(subnet, node), submitOptions),
      async cleanExpired(key, subnet, submitOptions) {
        const call = 'clean_expired_registered_subnet_nodes';
        const receipt = await send(key, call, cleanExpired(subnet), submitOptions, { isFree: true });
        return { ...receipt, removed: removedIn(receipt) };
      },
      updateHotkey: (coldkey, { hotkey, next }, submitOptions) =>
        send(coldkey, 'update_hotkey', updateHotkey(hotkey, next), submitOptions),
      updateColdkey: (coldkey, { hotkey, next }, submitOptions) =>
        send(coldkey, 'update_coldkey', updateColdkey(hotkey, next), submitOptions),
      updatePeer: (key, { subnet, node, role }, info, submitOptions) =>
        send(key, 'update_peer_info', updatePeer(subnet, node, role, info), submitOptions),
      updateMisc: (owner, subnet, misc, submitOptions) =>
        send(owner, 'update_misc', updateMisc(subnet, misc), submitOptions),
      updateBootnodes: (owner, subnet, { add, remove }, submitOptions) =>
        send(owner, 'update_bootnodes', updateBootnodes(subnet, add, remove), submitOptions),
      addStake: (coldkey, { subnet, node, hotkey, amount }, submitOptions) =>
        send(coldkey, 'add_stake', addStake(subnet, node, hotkey, amount), submitOptions),
      removeStake: (coldkey, { subnet, hotkey, amount }, submitOptions) =>
        send(coldkey, 'remove_stake', removeStake(subnet, hotkey, amount), submitOptions),
      claimUnbondings: (account, submitOptions) => send(account, 'claim_unbondings', claimUnbondings(), submitOptions),
      delegate: (account, subnet, amount, submitOptions) =>
        send(account, 'add_to_delegate_stake', delegate(subnet, amount), submitOptions),
      undelegate: (account, subnet, shares, submitOptions) =>
        send(account, 'remove_delegate_stake', undelegate(subnet, shares), submitOptions),
      transferDelegation: (account, { subnet, to, shares }, submitOptions) =>
        send(account, 'transfer_delegate_stake', transferDelegation(subnet, to, shares), submitOptions),
      transfer: (from, to, amount, submitOptions) =>
        send(from, 'transfer_keep_alive', transfer(to, amount), submitOptions),
      propose(hotkey: Signer, proposal: Proposal, submitOptions = {}) {
        const { subnet, epoch } = proposal;
        const duty = { error: 'SubnetRewardsAlreadySubmitted', subnet, epoch, hotkey: hotkey.address } as const;
        return orDoneAlready(chain, { ...duty, ...submitOptions }, async () => {
          const limit = dutyLimit('propose_attestation', subnet, epoch);
          return send(hotkey, 'propose_attestation', propose(proposal), submitOptions, limit);
        });
      },
      attest(hotkey, subnet, epoch, attestData, submitOptions = {}) {
        const duty = { error: 'AlreadyAttested', subnet, epoch, hotkey: hotkey.address } as const;
        return orDoneAlready(chain, { ...duty, ...submitOptions }, async () => {
          const limit = dutyLimit('attest', subnet, epoch);
          return send(hotkey, 'attest', attest(subnet, attestData), submitOptions, limit);
        });
      },
      close: async () => closing.abort(unreachable([ENDPOINT])),
    };
    return chain;
  }

  return {
    chain: connect(),
    connect,
    get best() {
      return tip().head;
    },
    async runTo(block) {
      while (tip().head.number < block) await makeBlock();
    },
    async include(work, limit = 200) {
      let settled = false;
      const settle = () => {
        settled = true;
      };
      work.then(settle, settle);
      await nextTurn();
      for (let made = 0; made < limit && !settled; made++) {
        await makeBlock();
        await nextTurn();
      }
      if (!settled) throw new RangeError(`not included within ${limit} blocks`);
      return work;
    },
    async reorg(depth, drop = false) {
      if (depth > finalityLag) throw new RangeError(`${depth} blocks back is final`);
      const gone = blocks.splice(blocks.length - depth);
      for (const { head } of gone) numbers.delete(head.hash);
      if (!drop) pool = [...gone.flatMap(({ transactions }) => transactions), ...pool];
      salt += 1;
      for (let made = 0; made < depth; made++) build();
      await makeBlock();
    },
    setOutage(on) {
      outage = on;
      publish();
    },
    fund(address, amount) {
      const { head, state, events, transactions } = tip();
      blocks[head.number] = { head, state: withBalance(state, address, amount), events, transactions };
    },
  };
}

function createGenesis(options: MemoryChainOptions): Block {
  const genesis = sha256(tag('twin/genesis'), utf8(options.seed ?? ''));
  const params: TwinParams = {
    epochLength: options.epochLength,
    firstSlot: options.slot ?? options.firstSlot ?? 3,
    minSubnetNodes: options.minSubnetNodes ?? 1,
    activationGraceEpochs: options.activationGraceEpochs ?? 30,
    queueEpochs: options.queueEpochs ?? 1,
    idleEpochs: options.idleEpochs ?? 1,
    includedEpochs: options.includedEpochs ?? 1,
  };
  const funds = options.funds ?? DEVELOPMENT_FUNDS;
  const state: TwinState = {
    params,
    block: 0 as BlockNumber,
    genesis,
    entropy: genesis,
    accounts: new Map([...funds].map(([address, free]) => [address, { free, nonce: 0 }])),
    subnets: new Map(),
    owners: new Map(),
    lastSubnet: 128_000,
    registrationCost: { last: TENSOR, block: 0 },
    emission: { total: 0n, weights: new Map() },
  };
  return { head: { number: state.block, hash: hash0x(genesis) }, state, events: [], transactions: [] };
}

/** Runs one transaction; its promise learns the outcome. A transaction of a block that was taken back keeps its first answer. */
function apply(
  state: TwinState,
  { origin, run, call, hash, isFree, included }: Transaction,
  block: Head,
): { readonly state: TwinState; readonly events: readonly ChainEvent[] } {
  const account = accountOf(state, origin);
  const counted = {
    ...state,
    accounts: withEntry(state.accounts, origin, { ...account, nonce: account.nonce + 1 }),
  };
  try {
    const done = run(counted, origin);
    included.resolve({ block, extrinsicHash: hash, events: done.events });
    return isFree ? done : { ...done, state: payFee(done.state, origin) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    included.reject(extrinsicFailed(call, error.pallet, error.message));
    return { state: payFee(counted, origin), events: [] };
  }
}

function payFee(state: TwinState, origin: Address): TwinState {
  return spendable(state, origin) < FEE ? state : withBalance(state, origin, -FEE);
}

function eventField({ events }: Receipt, name: string, field: string): unknown {
  return events.find((event) => event.name === name)?.data[field];
}

function hashOf(parent: Hash, block: BlockNumber, salt: number): Hash {
  return hash0x(sha256(concatBytes(tag('twin/block'), fromHex(parent), u32le(block), u32le(salt))));
}

function hash0x(bytes: Uint8Array): Hash {
  return `0x${toHex(bytes)}` as Hash;
}

function nodesOf(subnet: TwinSubnet | undefined): readonly TwinNode[] {
  return subnet === undefined ? [] : [...subnet.nodes.values()].sort((a, b) => a.id - b.id);
}

/** In the place of trie nodes: what they would prove. */
function proofOf(subnet: TwinSubnet | undefined, epoch: Epoch): StateProof {
  const text = (value: unknown) => utf8(JSON.stringify(value));
  if (subnet === undefined) return { header: new Uint8Array(), nodes: [] };
  const nodes = nodesOf(subnet).map(({ id, hotkey, peerInfo, nodeClass, startEpoch }) => {
    return text({ id, hotkey, peerInfo, nodeClass, startEpoch });
  });
  const electable = electableOf(subnet).map((node) => node.id);
  return { header: text({ electable, elected: subnet.elected.get(epoch) }), nodes: [subnet.misc, ...nodes] };
}

function stateOf({ header, nodes }: StateProof): RosterState | undefined {
  const read = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));
  const [misc, ...rest] = nodes;
  if (misc === undefined) return undefined;
  const { electable, elected } = read(header) as Pick<RosterState, 'electable' | 'elected'>;
  return { misc, nodes: rest.map((node) => read(node) as RosterState['nodes'][number]), electable, elected };
}

function proofName(at: Hash, subnet: SubnetId, epoch: Epoch, { header, nodes }: StateProof): string {
  const parts = [header, ...nodes].flatMap((part) => [u32le(part.length), part]);
  return `${at} ${subnet} ${epoch} ${toHex(sha256(...parts))}`;
}

function optional<T, R>(value: T | undefined, show: (value: T) => R): R | undefined {
  return value === undefined ? undefined : show(value);
}

function publicSubnet(subnet: TwinSubnet): Subnet {
  const { id, name, owner, state, startEpoch, slot, minStake, maxStake, misc, bootnodes, activationGraceEpochs } =
    subnet;
  return { id, name, owner, state, startEpoch, slot, minStake, maxStake, misc, bootnodes, activationGraceEpochs };
}

function publicNode({ climbed: _, ...node }: TwinNode): SubnetNode {
  return node;
}

function publicSubmission({ proposerFactor: _, ...submission }: TwinSubmission): Submission {
  return submission;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A subnet that is live, with one validator per given node. */
export interface FoundedSubnet {
  readonly subnet: SubnetId;
  /** In the order of the nodes given. */
  readonly nodes: readonly NodeId[];
}

/**
 * Registers a subnet, registers and activates the nodes, activates the subnet and runs to the block before its first live epoch.
 *
 * @param given.nodes hotkey signers with their peers; each is staked with 100 TENSOR by the owner and given 1 TENSOR for fees
 */
export async function foundSubnet(
  memory: MemoryChain,
  given: {
    readonly owner: Signer;
    readonly nodes: readonly { readonly hotkey: Signer; readonly peerInfo: PeerInfo }[];
    readonly misc?: Uint8Array;
    readonly bootnodes: ReadonlyMap<PeerInfo['peer'], string>;
  },
): Promise<FoundedSubnet> {
  const { chain } = memory;
  const { owner } = given;
  const { subnet } = await memory.include(
    chain.registerSubnet(owner, {
      name: 'tessera',
      repo: 'memory',
      description: '',
      misc: given.misc ?? new Uint8Array(),
      minStake: 100n * TENSOR,
      maxStake: 1000n * TENSOR,
      delegateStakePercentage: ONE / 10n,
      bootnodes: given.bootnodes,
      maxCost: 10n * TENSOR,
    }),
  );
  const registered = await memory.include(
    Promise.all(
      given.nodes.map(({ hotkey, peerInfo }) => {
        memory.fund(hotkey.address, TENSOR);
        const stake = 100n * TENSOR;
        const node = { subnet, hotkey: hotkey.address, peerInfo, delegateRewardRate: 0n, stake, maxBurn: TENSOR };
        return chain.registerNode(owner, node);
      }),
    ),
  );
  const nodes = registered.map(({ node }) => node);
  await memory.include(
    Promise.all(given.nodes.map(({ hotkey }, i) => chain.activateNode(hotkey, subnet, nodes[i] ?? (0 as NodeId)))),
  );
  await memory.include(chain.activateSubnet(owner, subnet));
  const founded = await chain.subnet(subnet);
  const { epochLength } = await chain.info();
  if (founded !== undefined) await memory.runTo(founded.startEpoch * epochLength + founded.slot - 1);
  return { subnet, nodes };
}
