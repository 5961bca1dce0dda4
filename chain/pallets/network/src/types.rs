//! What stands in storage, calls, events and runtime API answers (chain.md 3.1, 7). The order of the fields is the
//! SCALE encoding that clients decode: it never changes.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedBTreeMap, BoundedBTreeSet, BoundedVec};
use scale_info::{
    prelude::{collections::BTreeMap, vec::Vec},
    TypeInfo,
};

pub type SubnetId = u32;
pub type NodeId = u32;
/// A subnet epoch (4.1).
pub type SubnetEpoch = u32;

/// Slots that an epoch can hold, hence subnets at a time.
pub const MAX_SUBNETS: u32 = 64;
/// Nodes of a subnet: one settlement reads them all.
pub const MAX_NODES: u32 = 256;
/// Registered nodes of a subnet: its activation rewrites them all.
pub const MAX_REGISTERED: u32 = 64;
pub const MAX_BOOTNODES: u32 = 32;
/// Hotkeys of a coldkey.
pub const MAX_HOTKEYS: u32 = 256;
/// Open unbondings of an account.
pub const MAX_UNBONDINGS: u32 = 32;

pub type Text<const N: u32> = BoundedVec<u8, ConstU32<N>>;
/// A peer id as base58 text; the longest kind has 53 letters.
pub type PeerId = Text<64>;
/// A multiaddr as bytes.
pub type Multiaddr = Text<1024>;
pub type Param = Text<1024>;
pub type Bootnodes = BoundedBTreeMap<PeerId, Multiaddr, ConstU32<MAX_BOOTNODES>>;
pub type NodeIds = BoundedVec<NodeId, ConstU32<MAX_NODES>>;
pub type Scores = BoundedVec<SubnetNodeConsensusData, ConstU32<MAX_NODES>>;
pub type Evidence = Text<128>;
pub type ProposalArgs = Text<4096>;
pub type Hotkeys<AccountId> = BoundedBTreeSet<AccountId, ConstU32<MAX_HOTKEYS>>;
pub type NodesBySubnet =
    BoundedBTreeMap<SubnetId, BoundedBTreeSet<NodeId, ConstU32<MAX_HOTKEYS>>, ConstU32<MAX_HOTKEYS>>;
/// What an account may claim, by the first block that pays it.
pub type Ledger = BoundedBTreeMap<u32, u128, ConstU32<MAX_UNBONDINGS>>;

/// The rungs of the ladder (4.3), lowest first.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum SubnetNodeClass {
    Registered,
    Idle,
    Included,
    Validator,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Classification {
    pub node_class: SubnetNodeClass,
    /// The first subnet epoch of this class.
    pub start_epoch: SubnetEpoch,
}

impl Classification {
    pub fn new(node_class: SubnetNodeClass, start_epoch: SubnetEpoch) -> Self {
        Self { node_class, start_epoch }
    }
    /// At least `class`, and already so in `epoch`.
    pub fn is_at_least(&self, class: SubnetNodeClass, epoch: SubnetEpoch) -> bool {
        self.node_class >= class && self.start_epoch <= epoch
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DelegateAccount<AccountId> {
    pub account_id: AccountId,
    /// Share of the node's pay, a fraction of ONE.
    pub rate: u128,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PeerInfo {
    pub peer_id: PeerId,
    pub multiaddr: Option<Multiaddr>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SubnetNode<AccountId> {
    pub id: NodeId,
    pub hotkey: AccountId,
    pub peer_info: PeerInfo,
    pub bootnode_peer_info: Option<PeerInfo>,
    pub client_peer_info: Option<PeerInfo>,
    pub classification: Classification,
    pub delegate_reward_rate: u128,
    /// Block of the last change of the rate.
    pub last_delegate_reward_rate_update: u32,
    pub unique: Option<Param>,
    pub non_unique: Option<Param>,
    pub delegate_account: Option<DelegateAccount<AccountId>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum SubnetState {
    Registered,
    Active,
    /// Exists for the encoding only: nothing sets it (13).
    Paused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum NodeRemovalReason {
    Request,
    Expired,
    Reputation,
    SubnetRemoved,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum RemovalReason {
    MinReputation,
    MinSubnetNodes,
    MinSubnetDelegateStake,
    Council,
    EnactmentPeriod,
    MaxSubnets,
    Owner,
    PauseExpired,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SubnetData {
    pub id: SubnetId,
    /// Slot minus 2: small numbers for people.
    pub friendly_id: u32,
    pub name: Text<128>,
    pub repo: Text<1024>,
    pub description: Text<1024>,
    pub misc: Text<1024>,
    pub state: SubnetState,
    /// The first GENERAL epoch in which the subnet is live; 0 before its activation.
    pub start_epoch: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RegistrationSubnetData<AccountId: Ord> {
    pub name: Text<128>,
    pub repo: Text<1024>,
    pub description: Text<1024>,
    pub misc: Text<1024>,
    pub min_stake: u128,
    pub max_stake: u128,
    pub delegate_stake_percentage: u128,
    /// Who may register how many nodes before the activation; empty = everybody.
    pub initial_coldkeys: BTreeMap<AccountId, u32>,
    pub bootnodes: BTreeMap<PeerId, Multiaddr>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AttestEntry {
    pub block: u32,
    /// y of 5.3: the delay after the proposal, as a fraction of the time that was left.
    pub attestor_progress: u128,
    /// f of 5.3.
    pub reward_factor: u128,
    pub data: Option<Evidence>,
}

/// A node as it was when the epoch's scores were proposed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ConsensusNode<AccountId> {
    pub id: NodeId,
    pub hotkey: AccountId,
    pub classification: Classification,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SubnetNodeConsensusData {
    pub subnet_node_id: NodeId,
    pub score: u128,
}

/// One subnet epoch's proposal and its votes.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ConsensusData<AccountId> {
    /// The NODE id of the elected validator.
    pub validator_id: NodeId,
    pub block: u32,
    pub validator_epoch_progress: u128,
    pub validator_reward_factor: u128,
    /// Who may vote: the electable nodes when the proposal came.
    pub validator_ids: NodeIds,
    pub attests: BoundedBTreeMap<NodeId, AttestEntry, ConstU32<MAX_NODES>>,
    pub subnet_nodes: BoundedVec<ConsensusNode<AccountId>, ConstU32<MAX_NODES>>,
    pub prioritize_queue_node_id: Option<NodeId>,
    pub remove_queue_node_id: Option<NodeId>,
    /// Sorted by node id, one entry per node.
    pub data: Scores,
    pub args: Option<ProposalArgs>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum ConsensusOutcome {
    Absent,
    Empty,
    Rejected,
    Accepted,
}

/// How a subnet epoch was settled (5.2).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ConsensusResult {
    pub outcome: ConsensusOutcome,
    pub attestation_ratio: u128,
    pub minted: u128,
    pub slashed: u128,
}

/// The emission of one general epoch (5.1).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct DistributionData {
    /// Ceiling for all subnets together; minted only as earned.
    pub subnets_emissions: u128,
    pub subnet_weights: BoundedBTreeMap<SubnetId, u128, ConstU32<MAX_SUBNETS>>,
}

/// Where a subnet stands in time (7).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct SubnetClock {
    pub block: u32,
    pub epoch: u32,
    pub epoch_length: u32,
    pub slot: u32,
    pub subnet_epoch: SubnetEpoch,
    pub first_block: u32,
    pub next_slot_block: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct SubnetInfo<AccountId> {
    pub id: SubnetId,
    pub friendly_id: u32,
    pub name: Vec<u8>,
    pub repo: Vec<u8>,
    pub description: Vec<u8>,
    pub misc: Vec<u8>,
    pub state: SubnetState,
    pub start_epoch: u32,
    pub owner: AccountId,
    pub slot_index: Option<u32>,
    pub registration_epoch: u32,
    pub min_stake: u128,
    pub max_stake: u128,
    pub delegate_stake_percentage: u128,
    pub churn_limit: u32,
    pub subnet_node_queue_epochs: u32,
    pub activation_grace_epochs: u32,
    pub idle_classification_epochs: u32,
    pub included_classification_epochs: u32,
    pub max_registered_nodes: u32,
    pub reputation: u128,
    pub current_min_delegate_stake: u128,
    pub current_node_burn: u128,
    pub total_nodes: u32,
    pub total_registered_nodes: u32,
    pub total_electable_nodes: u32,
    pub total_subnet_stake: u128,
    pub total_subnet_delegate_stake_shares: u128,
    pub total_subnet_delegate_stake_balance: u128,
    pub bootnodes: Bootnodes,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct SubnetNodeInfo<AccountId> {
    pub subnet_id: SubnetId,
    pub subnet_node_id: NodeId,
    pub coldkey: AccountId,
    pub hotkey: AccountId,
    pub peer_info: PeerInfo,
    pub bootnode_peer_info: Option<PeerInfo>,
    pub client_peer_info: Option<PeerInfo>,
    pub classification: Classification,
    pub delegate_reward_rate: u128,
    pub delegate_account: Option<DelegateAccount<AccountId>>,
    pub unique: Option<Param>,
    pub non_unique: Option<Param>,
    pub stake_balance: u128,
    pub subnet_node_reputation: Option<u128>,
    pub node_slot_index: Option<u32>,
    pub consecutive_idle_epochs: u32,
    pub consecutive_included_epochs: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct AllBootnodes {
    pub subnet_bootnodes: BTreeMap<PeerId, Multiaddr>,
    /// Of nodes of class Idle and above.
    pub node_bootnodes: BTreeMap<PeerId, Multiaddr>,
    pub registered_bootnodes: BTreeMap<PeerId, Multiaddr>,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct StakeInfo<AccountId> {
    pub subnet_id: SubnetId,
    pub hotkey: AccountId,
    pub balance: u128,
}

#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct DelegateStakeInfo {
    pub subnet_id: SubnetId,
    pub shares: u128,
    pub balance: u128,
}
