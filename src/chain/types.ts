// What this program asks of a chain, in the words of the domain: bigint planck, peer ids and multiaddrs as text, block hashes as 0x text.
// Implementations: substrate.ts (@polkadot/api) and memory.ts (the twin); test/compliance/chain.ts is what both must do (chain.md 10).

import type { Address, BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { NodeClass } from '../types/subnet.ts';
import { CodedError } from '../util/errors.ts';

export interface Head {
  readonly number: BlockNumber;
  readonly hash: Hash;
}

/** In what the runtimes differ for who uses them. */
export interface ChainCapabilities {
  /** A node is activated by its hotkey; else it activates by itself: at once while its subnet is registered, later from a queue. */
  readonly explicitActivation: boolean;
  /** The chain stores how an epoch ended; else it is told from the submission and the events of the settlement block. */
  readonly consensusResult: boolean;
  /**
   * `updateColdkey` hands over the one hotkey that it names; else two coldkeys change places in everything but the owner of that hotkey, which
   * leaves further hotkeys of either without their lists: for a coldkey with one hotkey, and one that has nothing.
   */
  readonly coldkeyPerHotkey: boolean;
}

export interface ChainInfo {
  readonly genesis: Hash;
  readonly specName: string;
  readonly specVersion: number;
  /** Which generation of the interface the runtime has (chain.md 10.3). */
  readonly dialect: 'tessera' | 'hypertensor-f26';
  readonly capabilities: ChainCapabilities;
  /** Blocks per epoch. */
  readonly epochLength: number;
  /** From one block to the next, as the timestamps of the last final ones tell, on the average; undefined where nobody knows yet. */
  readonly blockMs: number | undefined;
  readonly symbol: string;
  readonly decimals: number;
}

export interface Subnet {
  readonly id: SubnetId;
  readonly name: string;
  readonly owner: Address;
  readonly state: 'Registered' | 'Active' | 'Paused';
  /** GENERAL epoch from which it is live once active. */
  readonly startEpoch: number;
  /** s of protocol.md 2. */
  readonly slot: number;
  readonly minStake: bigint;
  readonly maxStake: bigint;
  /** The policy as canonical CBOR (wire/policy.ts reads it). */
  readonly misc: Uint8Array;
  /** Peer id -> multiaddr. */
  readonly bootnodes: ReadonlyMap<PeerId, string>;
  /** Subnet epochs in which a registered node may activate after its start epoch; undefined where registrations do not expire. */
  readonly activationGraceEpochs?: number;
}

export interface PeerInfo {
  readonly peer: PeerId;
  readonly multiaddr?: string;
}

export interface SubnetNode {
  readonly id: NodeId;
  readonly hotkey: Address;
  readonly coldkey: Address;
  readonly peerInfo: PeerInfo;
  readonly bootnodeInfo?: PeerInfo;
  readonly clientInfo?: PeerInfo;
  readonly nodeClass: NodeClass;
  readonly startEpoch: Epoch;
  readonly stake: bigint;
  readonly reputation: bigint;
}

export interface ScoredNode {
  readonly nodeId: NodeId;
  readonly score: bigint;
}

export interface Attest {
  readonly nodeId: NodeId;
  readonly block: BlockNumber;
  readonly rewardFactor: bigint;
  readonly data: Uint8Array;
}

export interface Submission {
  readonly proposer: NodeId;
  readonly block: BlockNumber;
  readonly scores: readonly ScoredNode[];
  readonly args: Uint8Array;
  readonly attests: readonly Attest[];
  /** The frozen set whose votes count. */
  readonly validators: readonly NodeId[];
  /** Nodes of class >= Idle in the state in which the proposal ran. */
  readonly nodes: readonly { readonly id: NodeId; readonly nodeClass: NodeClass; readonly startEpoch: Epoch }[];
}

export type Outcome = 'Absent' | 'Empty' | 'Rejected' | 'Accepted';

export interface EpochResult {
  readonly outcome: Outcome;
  /** Of ONE. */
  readonly attestationRatio: bigint;
  /** Undefined where it is told by events (no `consensusResult`) that the endpoint no longer has. */
  readonly minted: bigint | undefined;
  readonly slashed: bigint | undefined;
  /** What the proposer got beside the rewards that the chain's events tell, planck. */
  readonly bonus?: bigint;
}

export interface AccountState {
  readonly free: bigint;
  readonly nonce: number;
}

/** Signs for one account; made by accounts.ts. The private key stays inside. */
export interface Signer {
  readonly address: Address;
  /** 65 bytes r, s, v over keccak256(payload), or over keccak256(blake2_256(payload)) when it is longer than 256 bytes (chain.md 2). */
  sign(payload: Uint8Array): Uint8Array;
}

/** Field names are written as in `subnetNodeId`; accounts and hashes are 0x text, numbers above 32 bits bigint, bytes Uint8Array. */
export interface ChainEvent {
  readonly pallet: string;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What a final block tells of one subnet; nothing is told too. */
export interface BlockEvents {
  readonly block: Head;
  readonly events: readonly ChainEvent[];
}

/** A transaction whose effect is in a block. A dispatch error or a refusal by the pool is thrown as ChainError instead. */
export interface Receipt {
  readonly block: Head;
  readonly extrinsicHash: Hash;
  readonly events: readonly ChainEvent[];
}

/** What the state after the first block of an epoch says of who is in it. */
export interface RosterState {
  /** The policy's bytes. */
  readonly misc: Uint8Array;
  /** Every node of every class, ascending by id. */
  readonly nodes: readonly Pick<SubnetNode, 'id' | 'hotkey' | 'peerInfo' | 'nodeClass' | 'startEpoch'>[];
  readonly electable: readonly NodeId[];
  readonly elected: NodeId | undefined;
}

/** Parts of the state after one block, which anybody can check who knows the block's hash. */
export interface StateProof {
  /** Of the block, as it is hashed. */
  readonly header: Uint8Array;
  /** Nodes of the state trie, and the values that those name by hash, in any order. */
  readonly nodes: readonly Uint8Array[];
}

/** 320 nodes of a subnet are two entries each, and their way there some dozens. */
export const MAX_PROOF_NODES = 2048;
/** Of all nodes together: as much as one answer of a peer may be. */
export const MAX_PROOF_BYTES = 1 << 20;
/** With a seal and a change of 100 authorities a header has 5 KB. */
export const MAX_PROOF_HEADER_BYTES = 8 << 10;

/** A trie node that was altered is another one: INCOMPLETE, because the one that is needed is not there. */
export type TrieFault = 'PROOF_TOO_LARGE' | 'PROOF_INCOMPLETE' | 'PROOF_SURPLUS' | 'PROOF_MALFORMED';

/** UNREADABLE: proven, but not what the metadata describes; UNSUPPORTED: this runtime's rosters are not told by storage that the program knows. */
export type ProofFault = TrieFault | 'PROOF_WRONG_BLOCK' | 'PROOF_UNREADABLE' | 'PROOF_UNSUPPORTED';

/** `state` is undefined where the subnet is proven not to be there. */
export type ProvenRoster =
  | { readonly ok: true; readonly state: RosterState | undefined }
  | { readonly ok: false; readonly code: ProofFault; readonly why: string };

/** Under which of its three peer ids a node is known. */
export type PeerRole = 'node' | 'bootnode' | 'client';

/** What an account owns besides its free balance, planck. */
export interface Holdings {
  /** Stake under each of its hotkeys, also of nodes that are gone. */
  readonly stakes: readonly { readonly subnet: SubnetId; readonly hotkey: Address; readonly amount: bigint }[];
  /** Shares of delegation pools, and what they are worth now. */
  readonly delegations: readonly { readonly subnet: SubnetId; readonly shares: bigint; readonly balance: bigint }[];
  /** What waits to be claimed, from this block on; ascending. */
  readonly unbondings: readonly { readonly claimBlock: BlockNumber; readonly amount: bigint }[];
}

export interface SubmitOptions {
  /** Default 'inBlock'. */
  readonly until?: 'inBlock' | 'finalized';
  /** Ask the endpoint first what would become of the call: what would fail is refused before it costs a fee. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

export interface RegisterSubnet {
  readonly name: string;
  readonly repo: string;
  readonly description: string;
  readonly misc: Uint8Array;
  readonly minStake: bigint;
  readonly maxStake: bigint;
  readonly delegateStakePercentage: bigint;
  readonly bootnodes: ReadonlyMap<PeerId, string>;
  /** Only these coldkeys may register before the subnet is active, each so many nodes; default anybody, where the runtime allows that. */
  readonly initialColdkeys?: ReadonlyMap<Address, number>;
  readonly maxCost: bigint;
}

export interface RegisterNode {
  readonly subnet: SubnetId;
  readonly hotkey: Address;
  readonly peerInfo: PeerInfo;
  readonly bootnodeInfo?: PeerInfo;
  readonly clientInfo?: PeerInfo;
  readonly delegateRewardRate: bigint;
  readonly stake: bigint;
  readonly maxBurn: bigint;
}

export interface NodeStake {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly hotkey: Address;
  readonly amount: bigint;
}

export interface Proposal {
  readonly subnet: SubnetId;
  /** The submission's subnet epoch: refused locally when the best head is in another one. */
  readonly epoch: Epoch;
  readonly scores: readonly ScoredNode[];
  readonly args: Uint8Array;
  /** The 32-byte evidence root. */
  readonly attestData: Uint8Array;
}

/** How a past epoch of a subnet ended. */
export interface PastResult extends EpochResult {
  readonly epoch: Epoch;
}

/** When to try again after a ChainError. */
export type Retry = 'never' | 'now' | 'nextBlock' | 'nextEpoch' | 'afterAction';

export type ChainErrorFacts =
  | { readonly code: 'CHAIN_UNREACHABLE'; readonly endpoints: readonly string[] }
  | { readonly code: 'CHAIN_TIMEOUT'; readonly what: string; readonly ms: number }
  | { readonly code: 'CHAIN_UNSUPPORTED'; readonly missing: readonly string[] }
  | { readonly code: 'CHAIN_WRONG_GENESIS'; readonly expected: Hash; readonly found: Hash }
  | { readonly code: 'CHAIN_STATE_DISCARDED'; readonly at: string }
  | {
      readonly code: 'CHAIN_EVENTS_MISSED';
      /** Of the blocks that are not told. */
      readonly from: BlockNumber;
      readonly to: BlockNumber;
      /** No further is looked back. */
      readonly most: number;
    }
  | { readonly code: 'CHAIN_FAULT'; readonly method: string; readonly rpc: number }
  | { readonly code: 'EXTRINSIC_REJECTED'; readonly call: string; readonly reason: string; readonly retry: Retry }
  | {
      readonly code: 'EXTRINSIC_FAILED';
      readonly call: string;
      readonly pallet: string;
      readonly error: string;
      readonly retry: Retry;
    }
  | { readonly code: 'EXTRINSIC_EXPIRED'; readonly call: string }
  | { readonly code: 'WRONG_EPOCH'; readonly wanted: Epoch; readonly now: Epoch }
  | { readonly code: 'KEY_FILE_INVALID'; readonly file: string }
  | { readonly code: 'KEY_FILE_READABLE'; readonly file: string; readonly mode: string };

/** The message of an EXTRINSIC_FAILED says what the pallet's error means for a person and what to do next. */
export class ChainError extends CodedError<ChainErrorFacts> {}

/** `at` is a block hash; without it reads answer for the best head. Every method ends with its signal or its own deadline. */
export interface Chain {
  info(signal?: AbortSignal): Promise<ChainInfo>;
  head(kind: 'best' | 'finalized', signal?: AbortSignal): Promise<Head>;
  /** The current head first, then every newer one; may skip numbers under load; 'finalized' never goes back. Ends with the signal. */
  heads(kind: 'best' | 'finalized', signal: AbortSignal): AsyncIterable<Head>;
  blockHash(block: BlockNumber, signal?: AbortSignal): Promise<Hash | undefined>;

  subnet(subnet: SubnetId, at?: Hash, signal?: AbortSignal): Promise<Subnet | undefined>;
  subnetByName(name: string, signal?: AbortSignal): Promise<SubnetId | undefined>;
  node(subnet: SubnetId, node: NodeId, at?: Hash, signal?: AbortSignal): Promise<SubnetNode | undefined>;
  /** Every node of every class, ascending by id. */
  nodes(subnet: SubnetId, at?: Hash, signal?: AbortSignal): Promise<readonly SubnetNode[]>;
  nodeByHotkey(subnet: SubnetId, hotkey: Address, at?: Hash, signal?: AbortSignal): Promise<SubnetNode | undefined>;
  /** The node that is known under this peer id, its own or that of its boot node or client. */
  nodeByPeerId(subnet: SubnetId, peer: PeerId, at?: Hash, signal?: AbortSignal): Promise<SubnetNode | undefined>;
  /** Ids in the election set, ascending. */
  electable(subnet: SubnetId, at?: Hash, signal?: AbortSignal): Promise<readonly NodeId[]>;
  account(address: Address, signal?: AbortSignal): Promise<AccountState>;
  electedValidator(subnet: SubnetId, epoch: Epoch, at?: Hash, signal?: AbortSignal): Promise<NodeId | undefined>;
  /**
   * The state after block `at` that tells who is in an epoch, with its proof: undefined where this runtime or endpoint gives none. It is not
   * checked here.
   */
  proveRoster(subnet: SubnetId, epoch: Epoch, at: Hash, signal?: AbortSignal): Promise<StateProof | undefined>;
  /** What such a proof from anybody says, by the hash of the block: of the endpoint nothing but the metadata is needed. */
  provenRoster(
    subnet: SubnetId,
    epoch: Epoch,
    at: Hash,
    proof: StateProof,
    signal?: AbortSignal,
  ): Promise<ProvenRoster>;
  submission(subnet: SubnetId, epoch: Epoch, at?: Hash, signal?: AbortSignal): Promise<Submission | undefined>;
  result(subnet: SubnetId, epoch: Epoch, at?: Hash, signal?: AbortSignal): Promise<EpochResult | undefined>;
  /** How the last `count` epochs before the running one ended, the newest first; at most 64, without those in which nobody was elected. */
  previousResults(subnet: SubnetId, count: number, signal?: AbortSignal): Promise<readonly PastResult[]>;
  /**
   * chain.md 4.2, at `at` or the finalized head: has this peer a node of at least this class rank with enough stake? Enough is `minStake`, planck, or
   * 90 % of the subnet's minimum.
   */
  provesStake(
    subnet: SubnetId,
    peer: PeerId,
    minClass: number,
    of?: { readonly minStake?: bigint | undefined; readonly at?: Hash | undefined },
    signal?: AbortSignal,
  ): Promise<boolean>;
  events(at: Hash, signal?: AbortSignal): Promise<readonly ChainEvent[]>;
  /**
   * Every final block behind `after`, or behind the one that is final now, each once and in order, with its events of this subnet; those that came while
   * no endpoint answered are read one by one. Ends with the signal.
   *
   * Errors: CHAIN_EVENTS_MISSED when more than 1,024 blocks would have to be looked back, or the endpoint has forgotten one of them.
   */
  subnetEvents(
    subnet: SubnetId,
    of: { readonly after?: BlockNumber | undefined },
    signal: AbortSignal,
  ): AsyncIterable<BlockEvents>;
  holdings(account: Address, signal?: AbortSignal): Promise<Holdings>;

  registerSubnet(
    owner: Signer,
    subnet: RegisterSubnet,
    options?: SubmitOptions,
  ): Promise<Receipt & { readonly subnet: SubnetId }>;
  activateSubnet(owner: Signer, subnet: SubnetId, options?: SubmitOptions): Promise<Receipt>;
  registerNode(
    coldkey: Signer,
    node: RegisterNode,
    options?: SubmitOptions,
  ): Promise<Receipt & { readonly node: NodeId }>;
  /** Without `explicitActivation` nothing is sent: waits until the node has left the queue, which takes epochs. */
  activateNode(hotkey: Signer, subnet: SubnetId, node: NodeId, options?: SubmitOptions): Promise<Receipt>;
  /** Leaves the subnet, by hotkey or coldkey; the stake stays under the hotkey until it is removed. */
  removeNode(key: Signer, subnet: SubnetId, node: NodeId, options?: SubmitOptions): Promise<Receipt>;
  /**
   * Takes out up to 16 nodes that did not activate in time, for anybody who signs; their stake begins to cool down for their coldkeys. Fails with
   * NoExpiredNodes where there are none, also where registrations do not expire: then nothing is sent.
   */
  cleanExpired(
    key: Signer,
    subnet: SubnetId,
    options?: SubmitOptions,
  ): Promise<Receipt & { readonly removed: readonly NodeId[] }>;
  /** Gives a node another hotkey, which nobody may have: id, stake, votes and peers stay what they are. */
  updateHotkey(
    coldkey: Signer,
    keys: { readonly hotkey: Address; readonly next: Address },
    options?: SubmitOptions,
  ): Promise<Receipt>;
  /** Hands a hotkey with its node and stake to another coldkey, which signs nothing; see `coldkeyPerHotkey`. */
  updateColdkey(
    coldkey: Signer,
    keys: { readonly hotkey: Address; readonly next: Address },
    options?: SubmitOptions,
  ): Promise<Receipt>;
  /** By hotkey or coldkey; undefined takes the boot node's or client's peer away. */
  updatePeer(
    key: Signer,
    of: { readonly subnet: SubnetId; readonly node: NodeId; readonly role: PeerRole },
    info: PeerInfo | undefined,
    options?: SubmitOptions,
  ): Promise<Receipt>;
  /** The policy's bytes; valid from the second next epoch on. */
  updateMisc(owner: Signer, subnet: SubnetId, misc: Uint8Array, options?: SubmitOptions): Promise<Receipt>;
  updateBootnodes(
    owner: Signer,
    subnet: SubnetId,
    change: { readonly add: ReadonlyMap<PeerId, string>; readonly remove: readonly PeerId[] },
    options?: SubmitOptions,
  ): Promise<Receipt>;
  addStake(coldkey: Signer, to: NodeStake, options?: SubmitOptions): Promise<Receipt>;
  /** What was removed waits in `holdings().unbondings`. */
  removeStake(coldkey: Signer, from: Omit<NodeStake, 'node'>, options?: SubmitOptions): Promise<Receipt>;
  /** Pays what has waited long enough to the account's free balance. */
  claimUnbondings(account: Signer, options?: SubmitOptions): Promise<Receipt>;
  delegate(account: Signer, subnet: SubnetId, amount: bigint, options?: SubmitOptions): Promise<Receipt>;
  undelegate(account: Signer, subnet: SubnetId, shares: bigint, options?: SubmitOptions): Promise<Receipt>;
  transferDelegation(
    account: Signer,
    of: { readonly subnet: SubnetId; readonly to: Address; readonly shares: bigint },
    options?: SubmitOptions,
  ): Promise<Receipt>;
  /** Plain currency transfer (a devnet funds its hotkeys with it). */
  transfer(from: Signer, to: Address, amount: bigint, options?: SubmitOptions): Promise<Receipt>;
  propose(hotkey: Signer, proposal: Proposal, options?: SubmitOptions): Promise<Receipt>;
  attest(
    hotkey: Signer,
    subnet: SubnetId,
    epoch: Epoch,
    attestData: Uint8Array,
    options?: SubmitOptions,
  ): Promise<Receipt>;

  close(): Promise<void>;
}
