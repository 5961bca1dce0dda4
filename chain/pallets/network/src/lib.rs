//! Subnets and their nodes: registration, stake, election, consensus on scores, pay. README.md has the model; the rules
//! are chain.md 3-6. This file holds what clients see: parameters, storage, events, errors, calls. No call trusts its
//! arguments, no hook can fail.
#![cfg_attr(not(feature = "std"), no_std)]

mod api;
mod clock;
mod consensus;
mod delegation;
mod election;
pub mod fixed;
mod keys;
mod multiaddr;
mod nodes;
mod rewards;
mod staking;
mod subnets;
#[cfg(test)]
mod tests;
pub mod types;
mod weights;

pub use api::*;
pub use election::BlockEntropy;
pub use pallet::*;

use frame_support::traits::Get;

/// A parameter that stands in the metadata as a constant and is set once, at genesis (3.3).
pub trait StoredParam<V>: Get<V> {
    fn set(value: V);
}

/// Declares parameters backed by top-level storage, each implementing [`StoredParam`].
#[macro_export]
macro_rules! stored_params {
    ($($name:ident: $type:ty = $default:expr;)*) => {
        frame_support::parameter_types! { $(pub storage $name: $type = $default;)* }
        $(impl $crate::StoredParam<$type> for $name {
            fn set(value: $type) {
                $name::set(&value);
            }
        })*
    };
}

// the macro writes `expect` for storage items, and a call has as many arguments as the deployed network's has;
// there is no logic of ours in this module
#[allow(clippy::expect_used, clippy::too_many_arguments)]
#[frame_support::pallet]
pub mod pallet {
    use crate::{
        fixed::{ONE, PERCENT},
        types::*,
        weights, StoredParam,
    };
    use core::marker::PhantomData;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{Inspect, Mutate},
            ConstU128, ConstU32,
        },
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use scale_info::prelude::{collections::BTreeMap, collections::BTreeSet, vec::Vec};
    use sp_core::H256;

    /// Blocks of 6 s in a year.
    const BLOCKS_PER_YEAR: u32 = 5_256_000;

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId: Default, RuntimeEvent: From<Event<Self>>> {
        type Currency: Inspect<Self::AccountId, Balance = u128> + Mutate<Self::AccountId>;
        /// What the election adds to its seed (4.4).
        type Randomness: Get<H256>;

        /// Blocks of an epoch. Never changes after genesis.
        #[pallet::constant]
        type EpochLength: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type EpochsPerYear: Get<u32> + StoredParam<u32>;
        /// First blocks of an epoch that are no subnet's slot.
        #[pallet::constant]
        type DesignatedEpochSlots: Get<u32> + StoredParam<u32>;
        /// Names the pot that holds staked, delegated and unbonding planck.
        #[pallet::constant]
        type PalletId: Get<PalletId>;
        #[pallet::constant]
        type TreasuryAccount: Get<Self::AccountId> + StoredParam<Self::AccountId>;
        /// Epochs for which elections, submissions and results are kept.
        #[pallet::constant]
        type HistoryEpochs: Get<u32> + StoredParam<u32>;
        /// Open unbondings of one account.
        #[pallet::constant]
        type MaxUnbondings: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type MaxScore: Get<u128> + StoredParam<u128>;

        /// Nodes that may share a start epoch.
        #[pallet::constant]
        type DefaultChurnLimit: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type DefaultSubnetNodeQueueEpochs: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type DefaultActivationGraceEpochs: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type DefaultIdleClassificationEpochs: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type DefaultIncludedClassificationEpochs: Get<u32> + StoredParam<u32>;
        #[pallet::constant]
        type DefaultMaxRegisteredNodes: Get<u32> + StoredParam<u32>;
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    // ---- subnets (3.2) ----

    #[pallet::storage]
    pub type SubnetsData<T> = StorageMap<_, Identity, SubnetId, SubnetData>;
    #[pallet::storage]
    pub type SubnetOwner<T: Config> = StorageMap<_, Identity, SubnetId, T::AccountId>;
    /// General epoch of the registration.
    #[pallet::storage]
    pub type SubnetRegistrationEpoch<T> = StorageMap<_, Identity, SubnetId, u32>;
    #[pallet::storage]
    pub type SubnetReputation<T> = StorageMap<_, Identity, SubnetId, u128, ValueQuery, ConstU128<ONE>>;
    #[pallet::storage]
    pub type SubnetName<T> = StorageMap<_, Blake2_128Concat, Text<128>, SubnetId>;
    #[pallet::storage]
    pub type SubnetRepo<T> = StorageMap<_, Blake2_128Concat, Text<1024>, SubnetId>;
    /// The last subnet id given.
    #[pallet::storage]
    pub type TotalSubnetUids<T> = StorageValue<_, u32, ValueQuery, ConstU32<128_000>>;
    #[pallet::storage]
    pub type SubnetSlot<T> = StorageMap<_, Identity, SubnetId, u32>;
    #[pallet::storage]
    pub type SlotAssignment<T> = StorageMap<_, Identity, u32, SubnetId>;
    #[pallet::storage]
    pub type AssignedSlots<T> = StorageValue<_, BoundedBTreeSet<u32, ConstU32<MAX_SUBNETS>>, ValueQuery>;
    #[pallet::storage]
    pub type SubnetMinStakeBalance<T> = StorageMap<_, Identity, SubnetId, u128>;
    #[pallet::storage]
    pub type SubnetMaxStakeBalance<T> = StorageMap<_, Identity, SubnetId, u128>;
    #[pallet::storage]
    pub type SubnetDelegateStakeRewardsPercentage<T> = StorageMap<_, Identity, SubnetId, u128>;
    #[pallet::storage]
    pub type ChurnLimit<T: Config> = StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultChurnLimit>;
    /// Epochs between a registration and its first possible activation.
    #[pallet::storage]
    pub type SubnetNodeQueueEpochs<T: Config> =
        StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultSubnetNodeQueueEpochs>;
    /// Epochs after a node's start epoch in which it may still activate.
    #[pallet::storage]
    pub type ActivationGraceEpochs<T: Config> =
        StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultActivationGraceEpochs>;
    #[pallet::storage]
    pub type IdleClassificationEpochs<T: Config> =
        StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultIdleClassificationEpochs>;
    #[pallet::storage]
    pub type IncludedClassificationEpochs<T: Config> =
        StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultIncludedClassificationEpochs>;
    #[pallet::storage]
    pub type MaxRegisteredNodes<T: Config> =
        StorageMap<_, Identity, SubnetId, u32, ValueQuery, T::DefaultMaxRegisteredNodes>;
    /// Registrations left for each invited coldkey; absent = open to everybody. Dropped at the activation.
    #[pallet::storage]
    pub type SubnetRegistrationInitialColdkeys<T: Config> =
        StorageMap<_, Identity, SubnetId, BoundedBTreeMap<T::AccountId, u32, ConstU32<MAX_NODES>>>;
    #[pallet::storage]
    pub type SubnetBootnodes<T> = StorageMap<_, Identity, SubnetId, Bootnodes, ValueQuery>;

    // ---- nodes (3.2) ----

    /// Every node. Presence does NOT mean active: read the class.
    #[pallet::storage]
    pub type SubnetNodesData<T: Config> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, SubnetNode<T::AccountId>>;
    /// The same node exactly while its class is Registered.
    #[pallet::storage]
    pub type RegisteredSubnetNodesData<T: Config> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, SubnetNode<T::AccountId>>;
    /// The last node id given.
    #[pallet::storage]
    pub type TotalSubnetNodeUids<T> = StorageMap<_, Identity, SubnetId, u32, ValueQuery>;
    #[pallet::storage]
    pub type TotalSubnetNodes<T> = StorageMap<_, Identity, SubnetId, u32, ValueQuery>;
    #[pallet::storage]
    pub type TotalRegisteredSubnetNodes<T> = StorageMap<_, Identity, SubnetId, u32, ValueQuery>;
    #[pallet::storage]
    pub type TotalSubnetElectableNodes<T> = StorageMap<_, Identity, SubnetId, u32, ValueQuery>;
    /// The last start epoch given and how many nodes have it (4.3).
    #[pallet::storage]
    pub type SubnetNodeStartCursor<T> = StorageMap<_, Identity, SubnetId, (SubnetEpoch, u32), ValueQuery>;
    #[pallet::storage]
    pub type HotkeySubnetNodeId<T: Config> =
        StorageDoubleMap<_, Identity, SubnetId, Blake2_128Concat, T::AccountId, NodeId>;
    #[pallet::storage]
    pub type SubnetNodeIdHotkey<T: Config> = StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, T::AccountId>;
    /// The coldkey of a hotkey while it has a node or stake, else the zero account.
    #[pallet::storage]
    pub type HotkeyOwner<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, ValueQuery>;
    /// The subnet in which a hotkey has its node.
    #[pallet::storage]
    pub type HotkeySubnetId<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, SubnetId>;
    #[pallet::storage]
    pub type ColdkeyHotkeys<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Hotkeys<T::AccountId>, ValueQuery>;
    #[pallet::storage]
    pub type ColdkeySubnetNodes<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, NodesBySubnet, ValueQuery>;
    /// 0 = no such peer, also in the next three.
    #[pallet::storage]
    pub type PeerIdSubnetNodeId<T> =
        StorageDoubleMap<_, Identity, SubnetId, Blake2_128Concat, PeerId, NodeId, ValueQuery>;
    #[pallet::storage]
    pub type BootnodePeerIdSubnetNodeId<T> =
        StorageDoubleMap<_, Identity, SubnetId, Blake2_128Concat, PeerId, NodeId, ValueQuery>;
    #[pallet::storage]
    pub type ClientPeerIdSubnetNodeId<T> =
        StorageDoubleMap<_, Identity, SubnetId, Blake2_128Concat, PeerId, NodeId, ValueQuery>;
    #[pallet::storage]
    pub type UniqueParamSubnetNodeId<T> =
        StorageDoubleMap<_, Identity, SubnetId, Blake2_128Concat, Param, NodeId, ValueQuery>;
    /// The nodes of class Validator, in no particular order.
    #[pallet::storage]
    pub type SubnetNodeElectionSlots<T> = StorageMap<_, Identity, SubnetId, NodeIds, ValueQuery>;
    /// A validator's place in SubnetNodeElectionSlots.
    #[pallet::storage]
    pub type NodeSlotIndex<T> = StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, u32>;
    #[pallet::storage]
    pub type SubnetNodeReputation<T> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, u128, ValueQuery, ConstU128<ONE>>;
    #[pallet::storage]
    pub type SubnetNodeIdleConsecutiveEpochs<T> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, u32, ValueQuery>;
    #[pallet::storage]
    pub type SubnetNodeConsecutiveIncludedEpochs<T> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, NodeId, u32, ValueQuery>;

    // ---- consensus (3.2) ----

    /// The node elected for a subnet epoch.
    #[pallet::storage]
    pub type SubnetElectedValidator<T> = StorageDoubleMap<_, Identity, SubnetId, Identity, SubnetEpoch, NodeId>;
    /// The scores proposed in a subnet epoch and their votes.
    #[pallet::storage]
    pub type SubnetConsensusSubmission<T: Config> =
        StorageDoubleMap<_, Identity, SubnetId, Identity, SubnetEpoch, ConsensusData<T::AccountId>>;
    /// How a subnet epoch was settled; there after the next slot block.
    #[pallet::storage]
    pub type SubnetConsensusResult<T> = StorageDoubleMap<_, Identity, SubnetId, Identity, SubnetEpoch, ConsensusResult>;
    #[pallet::storage]
    pub type FinalSubnetEmissionWeights<T> = StorageMap<_, Identity, u32, DistributionData>;
    #[pallet::storage]
    pub type ElectionEntropy<T> = StorageValue<_, H256, ValueQuery>;

    // ---- money (3.2) ----

    #[pallet::storage]
    pub type AccountSubnetStake<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, SubnetId, u128, ValueQuery>;
    #[pallet::storage]
    pub type TotalSubnetStake<T> = StorageMap<_, Identity, SubnetId, u128, ValueQuery>;
    #[pallet::storage]
    pub type TotalStake<T> = StorageValue<_, u128, ValueQuery>;
    #[pallet::storage]
    pub type AccountSubnetDelegateStakeShares<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, SubnetId, u128, ValueQuery>;
    #[pallet::storage]
    pub type TotalSubnetDelegateStakeShares<T> = StorageMap<_, Identity, SubnetId, u128, ValueQuery>;
    #[pallet::storage]
    pub type TotalSubnetDelegateStakeBalance<T> = StorageMap<_, Identity, SubnetId, u128, ValueQuery>;
    #[pallet::storage]
    pub type TotalDelegateStake<T> = StorageValue<_, u128, ValueQuery>;
    #[pallet::storage]
    pub type StakeUnbondingLedger<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Ledger, ValueQuery>;
    #[pallet::storage]
    pub type TotalUnbondingBalance<T> = StorageValue<_, u128, ValueQuery>;
    /// Block of the last subnet registration.
    #[pallet::storage]
    pub type LastRegistrationBlock<T> = StorageValue<_, u32, ValueQuery>;
    /// Present while every call is refused.
    #[pallet::storage]
    pub type TxPause<T> = StorageValue<_, ()>;
    /// Removed subnets whose nodes are not all gone yet.
    #[pallet::storage]
    pub type SubnetsToPurge<T> = StorageValue<_, BoundedVec<SubnetId, ConstU32<MAX_SUBNETS>>, ValueQuery>;

    // ---- parameters that root may change (3.3) ----

    /// A part of a year, in epochs.
    pub struct YearPart<T, const PARTS: u32>(PhantomData<T>);
    impl<T: Config, const PARTS: u32> Get<u32> for YearPart<T, PARTS> {
        fn get() -> u32 {
            T::EpochsPerYear::get().checked_div(PARTS).unwrap_or_default()
        }
    }
    const fn tensor(n: u128) -> u128 {
        n.saturating_mul(ONE)
    }
    const fn percent(n: u128) -> u128 {
        n.saturating_mul(PERCENT)
    }

    #[pallet::storage]
    pub type MinSubnetNodes<T> = StorageValue<_, u32, ValueQuery, ConstU32<3>>;
    #[pallet::storage]
    pub type MaxSubnetNodes<T> = StorageValue<_, u32, ValueQuery, ConstU32<MAX_NODES>>;
    #[pallet::storage]
    pub type MaxSubnets<T> = StorageValue<_, u32, ValueQuery, ConstU32<MAX_SUBNETS>>;
    #[pallet::storage]
    pub type MinSubnetMinStake<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ tensor(100) }>>;
    #[pallet::storage]
    pub type MaxSubnetMinStake<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ tensor(250) }>>;
    #[pallet::storage]
    pub type NetworkMaxStakeBalance<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ tensor(1000) }>>;
    #[pallet::storage]
    pub type MinDelegateStakePercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(5) }>>;
    #[pallet::storage]
    pub type MaxDelegateStakePercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(95) }>>;
    #[pallet::storage]
    pub type MinDelegateStakeDeposit<T> = StorageValue<_, u128, ValueQuery, ConstU128<1000>>;
    #[pallet::storage]
    pub type MinSubnetDelegateStakeFactor<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ PERCENT / 10 }>>;
    #[pallet::storage]
    pub type MaxMinDelegateStakeMultiplier<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(400) }>>;
    #[pallet::storage]
    pub type MinSubnetReputation<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(10) }>>;
    #[pallet::storage]
    pub type MinSubnetNodeReputation<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(10) }>>;

    #[pallet::storage]
    pub type StakeCooldownEpochs<T> = StorageValue<_, u32, ValueQuery, ConstU32<4>>;
    #[pallet::storage]
    pub type DelegateStakeCooldownEpochs<T> = StorageValue<_, u32, ValueQuery, ConstU32<1>>;
    #[pallet::storage]
    pub type MinSubnetRegistrationEpochs<T: Config> = StorageValue<_, u32, ValueQuery, YearPart<T, 365>>;
    #[pallet::storage]
    pub type SubnetRegistrationEpochs<T: Config> = StorageValue<_, u32, ValueQuery, YearPart<T, 52>>;
    #[pallet::storage]
    pub type SubnetEnactmentEpochs<T: Config> = StorageValue<_, u32, ValueQuery, YearPart<T, 104>>;
    #[pallet::storage]
    pub type DelegateStakeSubnetRemovalInterval<T> = StorageValue<_, u32, ValueQuery, ConstU32<2>>;

    #[pallet::storage]
    pub type MinAttestationPercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(66) }>>;
    #[pallet::storage]
    pub type SuperMajorityAttestationRatio<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ ONE / 8 * 7 }>>;
    #[pallet::storage]
    pub type AttestorMinRewardFactor<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(33) }>>;
    #[pallet::storage]
    pub type ProposerRewardShare<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(10) }>>;
    #[pallet::storage]
    pub type BaseSlashPercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ ONE / 32 }>>;
    #[pallet::storage]
    pub type MaxSlashAmount<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ tensor(1) }>>;
    #[pallet::storage]
    pub type SubnetOwnerPercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(23) }>>;
    #[pallet::storage]
    pub type TreasuryEmissionPercentage<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ percent(20) }>>;
    /// Twice the last price paid for a subnet; the price sinks from here.
    #[pallet::storage]
    pub type LastRegistrationCost<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ tensor(1) }>>;
    #[pallet::storage]
    pub type MinRegistrationCost<T> = StorageValue<_, u128, ValueQuery, ConstU128<{ ONE / 10 }>>;
    #[pallet::storage]
    pub type RegistrationCostDecayBlocks<T> = StorageValue<_, u32, ValueQuery, ConstU32<438_290>>;
    #[pallet::storage]
    pub type BaseNodeBurnAmount<T> = StorageValue<_, u128, ValueQuery, ConstU128<10_000_000_000_000>>;

    // ---- genesis (3.3, 8) ----

    /// Every parameter; what is left out keeps its standard value.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        pub epoch_length: Option<u32>,
        pub epochs_per_year: Option<u32>,
        pub designated_epoch_slots: Option<u32>,
        pub history_epochs: Option<u32>,
        pub max_unbondings: Option<u32>,
        pub treasury_account: Option<T::AccountId>,
        pub max_score: Option<u128>,
        pub churn_limit: Option<u32>,
        pub subnet_node_queue_epochs: Option<u32>,
        pub activation_grace_epochs: Option<u32>,
        pub idle_classification_epochs: Option<u32>,
        pub included_classification_epochs: Option<u32>,
        pub max_registered_nodes: Option<u32>,
        pub min_subnet_nodes: Option<u32>,
        pub max_subnet_nodes: Option<u32>,
        pub max_subnets: Option<u32>,
        pub stake_cooldown_epochs: Option<u32>,
        pub delegate_stake_cooldown_epochs: Option<u32>,
        pub min_subnet_registration_epochs: Option<u32>,
        pub subnet_registration_epochs: Option<u32>,
        pub subnet_enactment_epochs: Option<u32>,
        pub delegate_stake_subnet_removal_interval: Option<u32>,
        pub registration_cost_decay_blocks: Option<u32>,
        pub min_subnet_min_stake: Option<u128>,
        pub max_subnet_min_stake: Option<u128>,
        pub network_max_stake_balance: Option<u128>,
        pub min_delegate_stake_percentage: Option<u128>,
        pub max_delegate_stake_percentage: Option<u128>,
        pub min_delegate_stake_deposit: Option<u128>,
        pub min_subnet_delegate_stake_factor: Option<u128>,
        pub max_min_delegate_stake_multiplier: Option<u128>,
        pub min_subnet_reputation: Option<u128>,
        pub min_subnet_node_reputation: Option<u128>,
        pub min_attestation_percentage: Option<u128>,
        pub super_majority_attestation_ratio: Option<u128>,
        pub attestor_min_reward_factor: Option<u128>,
        pub proposer_reward_share: Option<u128>,
        pub base_slash_percentage: Option<u128>,
        pub max_slash_amount: Option<u128>,
        pub subnet_owner_percentage: Option<u128>,
        pub treasury_emission_percentage: Option<u128>,
        pub last_registration_cost: Option<u128>,
        pub min_registration_cost: Option<u128>,
        pub base_node_burn_amount: Option<u128>,
    }

    /// Sets the parameters that are given.
    macro_rules! put_given {
        ($config:ident: $($field:ident => $put:expr;)*) => { $(if let Some(value) = $config.$field.clone() { $put(value); })* };
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(length) = self.epoch_length {
                T::EpochLength::set(length);
                T::EpochsPerYear::set(BLOCKS_PER_YEAR.checked_div(length).unwrap_or_default());
            }
            put_given! { self:
                epochs_per_year => T::EpochsPerYear::set;
                designated_epoch_slots => T::DesignatedEpochSlots::set;
                history_epochs => T::HistoryEpochs::set;
                max_unbondings => T::MaxUnbondings::set;
                treasury_account => T::TreasuryAccount::set;
                max_score => T::MaxScore::set;
                churn_limit => T::DefaultChurnLimit::set;
                subnet_node_queue_epochs => T::DefaultSubnetNodeQueueEpochs::set;
                activation_grace_epochs => T::DefaultActivationGraceEpochs::set;
                idle_classification_epochs => T::DefaultIdleClassificationEpochs::set;
                included_classification_epochs => T::DefaultIncludedClassificationEpochs::set;
                max_registered_nodes => T::DefaultMaxRegisteredNodes::set;
                min_subnet_nodes => MinSubnetNodes::<T>::put;
                max_subnet_nodes => MaxSubnetNodes::<T>::put;
                max_subnets => MaxSubnets::<T>::put;
                stake_cooldown_epochs => StakeCooldownEpochs::<T>::put;
                delegate_stake_cooldown_epochs => DelegateStakeCooldownEpochs::<T>::put;
                min_subnet_registration_epochs => MinSubnetRegistrationEpochs::<T>::put;
                subnet_registration_epochs => SubnetRegistrationEpochs::<T>::put;
                subnet_enactment_epochs => SubnetEnactmentEpochs::<T>::put;
                delegate_stake_subnet_removal_interval => DelegateStakeSubnetRemovalInterval::<T>::put;
                registration_cost_decay_blocks => RegistrationCostDecayBlocks::<T>::put;
                min_subnet_min_stake => MinSubnetMinStake::<T>::put;
                max_subnet_min_stake => MaxSubnetMinStake::<T>::put;
                network_max_stake_balance => NetworkMaxStakeBalance::<T>::put;
                min_delegate_stake_percentage => MinDelegateStakePercentage::<T>::put;
                max_delegate_stake_percentage => MaxDelegateStakePercentage::<T>::put;
                min_delegate_stake_deposit => MinDelegateStakeDeposit::<T>::put;
                min_subnet_delegate_stake_factor => MinSubnetDelegateStakeFactor::<T>::put;
                max_min_delegate_stake_multiplier => MaxMinDelegateStakeMultiplier::<T>::put;
                min_subnet_reputation => MinSubnetReputation::<T>::put;
                min_subnet_node_reputation => MinSubnetNodeReputation::<T>::put;
                min_attestation_percentage => MinAttestationPercentage::<T>::put;
                super_majority_attestation_ratio => SuperMajorityAttestationRatio::<T>::put;
                attestor_min_reward_factor => AttestorMinRewardFactor::<T>::put;
                proposer_reward_share => ProposerRewardShare::<T>::put;
                base_slash_percentage => BaseSlashPercentage::<T>::put;
                max_slash_amount => MaxSlashAmount::<T>::put;
                subnet_owner_percentage => SubnetOwnerPercentage::<T>::put;
                treasury_emission_percentage => TreasuryEmissionPercentage::<T>::put;
                last_registration_cost => LastRegistrationCost::<T>::put;
                min_registration_cost => MinRegistrationCost::<T>::put;
                base_node_burn_amount => BaseNodeBurnAmount::<T>::put;
            }
            Self::assert_bounds();
            Pallet::<T>::found_accounts();
        }
    }

    impl<T: Config> GenesisConfig<T> {
        /// A chain with other parameters must not start: storage bounds and score sums rest on these.
        fn assert_bounds() {
            assert!((10..=14_400).contains(&T::EpochLength::get()), "epochLength is 10 to 14400 blocks");
            assert!(
                T::DesignatedEpochSlots::get() >= 3,
                "designatedEpochSlots is at least 3: blocks 0 and 2 have duties"
            );
            assert!(T::HistoryEpochs::get() >= 2, "historyEpochs is at least 2: the last epoch is still to be settled");
            assert!(T::MaxUnbondings::get() <= MAX_UNBONDINGS, "maxUnbondings is at most 32");
            assert!(T::MaxScore::get() <= 1_000_000 * ONE, "maxScore is at most 10^24");
            assert!(MaxSubnets::<T>::get() <= MAX_SUBNETS, "maxSubnets is at most 64");
            assert!(MaxSubnetNodes::<T>::get() <= MAX_NODES, "maxSubnetNodes is at most 256");
            assert!(T::DefaultMaxRegisteredNodes::get() <= MAX_REGISTERED, "maxRegisteredNodes is at most 64");
            let fractions = [
                MinDelegateStakePercentage::<T>::get(),
                MaxDelegateStakePercentage::<T>::get(),
                MinSubnetDelegateStakeFactor::<T>::get(),
                MinSubnetReputation::<T>::get(),
                MinSubnetNodeReputation::<T>::get(),
                MinAttestationPercentage::<T>::get(),
                SuperMajorityAttestationRatio::<T>::get(),
                AttestorMinRewardFactor::<T>::get(),
                ProposerRewardShare::<T>::get(),
                BaseSlashPercentage::<T>::get(),
                SubnetOwnerPercentage::<T>::get(),
                TreasuryEmissionPercentage::<T>::get(),
            ];
            assert!(fractions.iter().all(|fraction| *fraction <= ONE), "a percentage is at most 10^18");
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        SubnetRegistered {
            owner: T::AccountId,
            name: Text<128>,
            subnet_id: SubnetId,
        },
        SubnetActivated {
            subnet_id: SubnetId,
        },
        SubnetDeactivated {
            subnet_id: SubnetId,
            reason: RemovalReason,
        },
        SubnetMiscUpdated {
            subnet_id: SubnetId,
            misc: Text<1024>,
        },
        BootnodesUpdated {
            subnet_id: SubnetId,
            added: u32,
            removed: u32,
        },
        SubnetNodeRegistered {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            coldkey: T::AccountId,
            hotkey: T::AccountId,
            data: SubnetNode<T::AccountId>,
        },
        SubnetNodeActivated {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
        },
        NodeClassGraduation {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            classification: Classification,
        },
        SubnetNodeRemoved {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            reason: NodeRemovalReason,
        },
        SubnetNodeUpdatePeerInfo {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            peer_info: PeerInfo,
        },
        SubnetNodeUpdateBootnodePeerInfo {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            peer_info: Option<PeerInfo>,
        },
        SubnetNodeUpdateClientPeerInfo {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            peer_info: Option<PeerInfo>,
        },
        SubnetNodeUpdateDelegateAccount {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            delegate_account: Option<DelegateAccount<T::AccountId>>,
        },
        SubnetNodeUpdateDelegateRewardRate {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            delegate_reward_rate: u128,
        },
        SubnetNodeUpdateUnique {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            unique: Option<Param>,
        },
        SubnetNodeUpdateNonUnique {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            non_unique: Option<Param>,
        },
        ColdkeyUpdated {
            hotkey: T::AccountId,
            coldkey: T::AccountId,
            new_coldkey: T::AccountId,
        },
        HotkeyUpdated {
            coldkey: T::AccountId,
            hotkey: T::AccountId,
            new_hotkey: T::AccountId,
        },
        StakeAdded {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            hotkey: T::AccountId,
            amount: u128,
        },
        StakeRemoved {
            subnet_id: SubnetId,
            hotkey: T::AccountId,
            amount: u128,
            claim_block: u32,
        },
        UnbondingClaimed {
            account: T::AccountId,
            amount: u128,
        },
        DelegateStakeAdded {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            amount: u128,
            shares: u128,
        },
        DelegateStakeRemoved {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            amount: u128,
            shares: u128,
            claim_block: u32,
        },
        DelegateStakeTransferred {
            subnet_id: SubnetId,
            from: T::AccountId,
            to: T::AccountId,
            shares: u128,
        },
        DelegateStakeDonated {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            amount: u128,
        },
        ValidatorElected {
            subnet_id: SubnetId,
            epoch: SubnetEpoch,
            subnet_node_id: NodeId,
        },
        ValidatorSubmission {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            epoch: SubnetEpoch,
        },
        Attestation {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            subnet_node_id: NodeId,
            epoch: SubnetEpoch,
        },
        RewardResult {
            subnet_id: SubnetId,
            epoch: SubnetEpoch,
            attestation_percentage: u128,
        },
        SubnetRewards {
            subnet_id: SubnetId,
            node_rewards: Vec<(NodeId, u128)>,
            delegate_stake_reward: u128,
            node_delegate_stake_rewards: Vec<(NodeId, u128)>,
            node_delegate_account_allocations: Vec<(NodeId, (T::AccountId, u128))>,
        },
        Slashing {
            subnet_id: SubnetId,
            account_id: T::AccountId,
            amount: u128,
        },
        NodeReputationUpdate {
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            prev_reputation: u128,
            new_reputation: u128,
        },
        SubnetReputationUpdate {
            subnet_id: SubnetId,
            prev_reputation: u128,
            new_reputation: u128,
        },
        EmissionWeights {
            epoch: u32,
            treasury: u128,
            subnets: u128,
        },
        TxPaused,
        TxUnpaused,
    }

    #[pallet::error]
    pub enum Error<T> {
        Paused,
        InvalidAmount,
        InvalidSubnetId,
        NotSubnetOwner,
        InvalidAccess,
        // subnets
        InvalidSubnetName,
        SubnetNameExist,
        SubnetRepoExist,
        MaxSubnets,
        NoAvailableSlots,
        InvalidSubnetMinStake,
        InvalidSubnetMaxStake,
        InvalidSubnetStakeParameters,
        InvalidMinDelegateStakePercentage,
        InvalidSubnetRegistrationInitialColdkeys,
        BootnodesEmpty,
        TooManyBootnodes,
        CostGreaterThanMaxCost,
        NotEnoughBalanceToRegisterSubnet,
        SubnetActivatedAlready,
        MinSubnetRegistrationEpochsNotMet,
        SubnetActivationConditionsNotMetYet,
        // peers
        PeerIdsMustBeUnique,
        InvalidPeerId,
        InvalidBootnodePeerId,
        InvalidClientPeerId,
        PeerIdExist,
        BootnodePeerIdExist,
        ClientPeerIdExist,
        MultiaddrInvalidVarint,
        MultiaddrInvalidProtocol,
        MultiaddrInvalidAddress,
        MultiaddrTruncated,
        // nodes
        SubnetMustBeRegisteringOrActivated,
        ColdkeyMatchesHotkey,
        HotkeyHasOwner,
        TooManyHotkeys,
        ColdkeyRegistrationWhitelist,
        MaxRegisteredNodes,
        SubnetNodesMax,
        InvalidDelegateRewardRate,
        SubnetNodeUniqueParamTaken,
        MaxBurnAmountExceeded,
        InvalidSubnetNodeId,
        NotKeyOwner,
        NotUidOwner,
        SubnetNodeActivatedAlready,
        NotStartEpoch,
        ActivationGracePassed,
        NoExpiredNodes,
        ElectedValidatorCannotRemove,
        // money
        MinStakeNotReached,
        MaxStakeReached,
        NotEnoughBalanceToStake,
        AmountZero,
        NotEnoughStakeToWithdraw,
        ElectedValidatorCannotUnstake,
        MaxUnlockingsReached,
        NoStakeUnbondingsOrCooldownNotMet,
        MinDelegateStakeDepositNotReached,
        CouldNotConvertToShares,
        NoDelegateShares,
        // consensus
        NoElectedValidator,
        InvalidValidator,
        SubnetRewardsAlreadySubmitted,
        QueueGovernanceUnsupported,
        ScoreOverflow,
        InvalidHotkeySubnetNodeId,
        InvalidSubnetNodeClassification,
        InvalidSubnetConsensusSubmission,
        InvalidValidatorId,
        AlreadyAttested,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_now: BlockNumberFor<T>) -> Weight {
            Self::begin_block()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Register a subnet and become its owner; costs at most `max_cost` planck.
        #[pallet::call_index(0)]
        #[pallet::weight(weights::register_subnet::<T>(subnet_data))]
        pub fn register_subnet(
            origin: OriginFor<T>,
            max_cost: u128,
            subnet_data: RegistrationSubnetData<T::AccountId>,
        ) -> DispatchResult {
            let owner = Self::signer(origin)?;
            Self::do_register_subnet(owner, max_cost, subnet_data)
        }

        /// Owner: bring a registered subnet to life from the next epoch on.
        #[pallet::call_index(1)]
        #[pallet::weight(weights::activate_subnet::<T>())]
        pub fn activate_subnet(origin: OriginFor<T>, subnet_id: SubnetId) -> DispatchResult {
            let owner = Self::signer(origin)?;
            Self::do_activate_subnet(owner, subnet_id)
        }

        /// Owner: add (or replace) and remove the subnet's bootnodes.
        #[pallet::call_index(37)]
        #[pallet::weight(weights::update_bootnodes::<T>(add.len()))]
        pub fn update_bootnodes(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            add: BTreeMap<PeerId, Multiaddr>,
            remove: BTreeSet<PeerId>,
        ) -> DispatchResult {
            let owner = Self::signer(origin)?;
            Self::do_update_bootnodes(owner, subnet_id, add, remove)
        }

        /// Coldkey: register a node under `hotkey` with its stake.
        #[pallet::call_index(38)]
        #[pallet::weight(weights::register_subnet_node::<T>())]
        pub fn register_subnet_node(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            hotkey: T::AccountId,
            peer_info: PeerInfo,
            bootnode_peer_info: Option<PeerInfo>,
            client_peer_info: Option<PeerInfo>,
            delegate_reward_rate: u128,
            stake_to_be_added: u128,
            unique: Option<Param>,
            non_unique: Option<Param>,
            delegate_account: Option<DelegateAccount<T::AccountId>>,
            max_burn_amount: u128,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            let draft = SubnetNode {
                id: 0,
                hotkey,
                peer_info,
                bootnode_peer_info,
                client_peer_info,
                classification: Classification::new(SubnetNodeClass::Registered, 0),
                delegate_reward_rate,
                last_delegate_reward_rate_update: Self::block(),
                unique,
                non_unique,
                delegate_account,
            };
            Self::do_register_subnet_node(coldkey, subnet_id, draft, stake_to_be_added, max_burn_amount)
        }

        /// Hotkey or coldkey: take the node out. Its stake stays until `remove_stake`.
        #[pallet::call_index(39)]
        #[pallet::weight(weights::remove_subnet_node::<T>())]
        pub fn remove_subnet_node(origin: OriginFor<T>, subnet_id: SubnetId, subnet_node_id: NodeId) -> DispatchResult {
            let key = Self::signer(origin)?;
            Self::do_remove_subnet_node(key, subnet_id, subnet_node_id)
        }

        /// Hotkey or coldkey: the peer that speaks for the node.
        #[pallet::call_index(40)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_peer_info(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            new_peer_info: PeerInfo,
        ) -> DispatchResult {
            let key = Self::signer(origin)?;
            Self::do_update_peer_info(key, subnet_id, subnet_node_id, new_peer_info)
        }

        /// Coldkey: who gets a fixed part of the node's pay.
        #[pallet::call_index(41)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_delegate_account(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            new_delegate_account: Option<DelegateAccount<T::AccountId>>,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_delegate_account(coldkey, subnet_id, subnet_node_id, new_delegate_account)
        }

        /// Hotkey or coldkey: the node's bootnode.
        #[pallet::call_index(42)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_bootnode_peer_info(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            new_bootnode_peer_info: Option<PeerInfo>,
        ) -> DispatchResult {
            let key = Self::signer(origin)?;
            Self::do_update_bootnode_peer_info(key, subnet_id, subnet_node_id, new_bootnode_peer_info)
        }

        /// Hotkey or coldkey: the node's gateway.
        #[pallet::call_index(43)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_client_peer_info(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            new_client_peer_info: Option<PeerInfo>,
        ) -> DispatchResult {
            let key = Self::signer(origin)?;
            Self::do_update_client_peer_info(key, subnet_id, subnet_node_id, new_client_peer_info)
        }

        /// Coldkey: the part of the node's pay that goes to the subnet's delegates.
        #[pallet::call_index(44)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_node_delegate_reward_rate(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            new_delegate_reward_rate: u128,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_delegate_reward_rate(coldkey, subnet_id, subnet_node_id, new_delegate_reward_rate)
        }

        /// Coldkey: a text that no other node of the subnet has.
        #[pallet::call_index(45)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_unique(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            unique: Option<Param>,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_unique(coldkey, subnet_id, subnet_node_id, unique)
        }

        /// Coldkey: a text.
        #[pallet::call_index(46)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn update_non_unique(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            non_unique: Option<Param>,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_non_unique(coldkey, subnet_id, subnet_node_id, non_unique)
        }

        /// Coldkey: more stake for a node.
        #[pallet::call_index(47)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn add_stake(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
            hotkey: T::AccountId,
            stake_to_be_added: u128,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_add_stake(coldkey, subnet_id, subnet_node_id, hotkey, stake_to_be_added)
        }

        /// Coldkey: withdraw stake; it can be claimed after the cooldown.
        #[pallet::call_index(48)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn remove_stake(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            hotkey: T::AccountId,
            stake_to_be_removed: u128,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_remove_stake(coldkey, subnet_id, hotkey, stake_to_be_removed)
        }

        /// Take home what has cooled down.
        #[pallet::call_index(49)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn claim_unbondings(origin: OriginFor<T>) -> DispatchResult {
            let account = Self::signer(origin)?;
            Self::do_claim_unbondings(account)
        }

        /// Delegate stake to a subnet; its pool pays out in shares.
        #[pallet::call_index(50)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn add_to_delegate_stake(origin: OriginFor<T>, subnet_id: SubnetId, amount: u128) -> DispatchResult {
            let account = Self::signer(origin)?;
            Self::do_add_delegate_stake(account, subnet_id, amount)
        }

        /// Give delegate shares to another account.
        #[pallet::call_index(52)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn transfer_delegate_stake(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            to: T::AccountId,
            shares: u128,
        ) -> DispatchResult {
            let from = Self::signer(origin)?;
            Self::do_transfer_delegate_stake(from, subnet_id, to, shares)
        }

        /// Sell delegate shares; the sum can be claimed after the cooldown.
        #[pallet::call_index(53)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn remove_delegate_stake(origin: OriginFor<T>, subnet_id: SubnetId, shares: u128) -> DispatchResult {
            let account = Self::signer(origin)?;
            Self::do_remove_delegate_stake(account, subnet_id, shares)
        }

        /// A gift to all delegates of a subnet.
        #[pallet::call_index(54)]
        #[pallet::weight(weights::stake::<T>())]
        pub fn donate_delegate_stake(origin: OriginFor<T>, subnet_id: SubnetId, amount: u128) -> DispatchResult {
            let account = Self::signer(origin)?;
            Self::do_donate_delegate_stake(account, subnet_id, amount)
        }

        /// Elected hotkey: the scores of this subnet epoch. Free if it succeeds.
        #[pallet::call_index(65)]
        #[pallet::weight(weights::propose_attestation::<T>(args))]
        pub fn propose_attestation(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            data: Scores,
            prioritize_queue_node_id: Option<NodeId>,
            remove_queue_node_id: Option<NodeId>,
            args: Option<ProposalArgs>,
            attest_data: Option<Evidence>,
        ) -> DispatchResultWithPostInfo {
            let hotkey = Self::signer(origin)?;
            let asks_queue = prioritize_queue_node_id.is_some() || remove_queue_node_id.is_some();
            Self::do_propose(hotkey, subnet_id, data, asks_queue, args, attest_data)?;
            Ok(Pays::No.into())
        }

        /// Validator hotkey: vote for this subnet epoch's scores. Free if it succeeds.
        #[pallet::call_index(66)]
        #[pallet::weight(weights::attest::<T>())]
        pub fn attest(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            attest_data: Option<Evidence>,
        ) -> DispatchResultWithPostInfo {
            let hotkey = Self::signer(origin)?;
            Self::do_attest(hotkey, subnet_id, attest_data)?;
            Ok(Pays::No.into())
        }

        /// Coldkey: hand a hotkey with its node and stake to another coldkey.
        #[pallet::call_index(67)]
        #[pallet::weight(weights::update_keys::<T>())]
        pub fn update_coldkey(origin: OriginFor<T>, hotkey: T::AccountId, new_coldkey: T::AccountId) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_coldkey(coldkey, hotkey, new_coldkey)
        }

        /// Coldkey: give a node another hotkey.
        #[pallet::call_index(68)]
        #[pallet::weight(weights::update_keys::<T>())]
        pub fn update_hotkey(
            origin: OriginFor<T>,
            old_hotkey: T::AccountId,
            new_hotkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = Self::signer(origin)?;
            Self::do_update_hotkey(coldkey, old_hotkey, new_hotkey)
        }

        /// Root: refuse every call of this pallet; blocks and settlements go on.
        #[pallet::call_index(77)]
        #[pallet::weight(weights::pause::<T>())]
        pub fn pause(origin: OriginFor<T>) -> DispatchResult {
            ensure!(!TxPause::<T>::exists(), Error::<T>::Paused);
            ensure_root(origin)?;
            TxPause::<T>::put(());
            Self::deposit_event(Event::TxPaused);
            Ok(())
        }

        /// Root: accept calls again.
        #[pallet::call_index(78)]
        #[pallet::weight(weights::pause::<T>())]
        pub fn unpause(origin: OriginFor<T>) -> DispatchResult {
            ensure_root(origin)?;
            TxPause::<T>::kill();
            Self::deposit_event(Event::TxUnpaused);
            Ok(())
        }

        /// Hotkey: report ready from the node's start epoch on. Free if it succeeds.
        #[pallet::call_index(200)]
        #[pallet::weight(weights::update_node::<T>())]
        pub fn activate_subnet_node(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
            subnet_node_id: NodeId,
        ) -> DispatchResultWithPostInfo {
            let hotkey = Self::signer(origin)?;
            Self::do_activate_subnet_node(hotkey, subnet_id, subnet_node_id)?;
            Ok(Pays::No.into())
        }

        /// Anyone: remove nodes that did not activate in time. Free if there were any.
        #[pallet::call_index(201)]
        #[pallet::weight(weights::clean_expired::<T>())]
        pub fn clean_expired_registered_subnet_nodes(
            origin: OriginFor<T>,
            subnet_id: SubnetId,
        ) -> DispatchResultWithPostInfo {
            Self::signer(origin)?;
            Self::do_clean_expired(subnet_id)?;
            Ok(Pays::No.into())
        }

        /// Owner: the subnet's policy bytes.
        #[pallet::call_index(202)]
        #[pallet::weight(weights::update_misc::<T>())]
        pub fn update_misc(origin: OriginFor<T>, subnet_id: SubnetId, misc: Text<1024>) -> DispatchResult {
            let owner = Self::signer(origin)?;
            Self::do_update_misc(owner, subnet_id, misc)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The first check of every call, and who signed it.
        fn signer(origin: OriginFor<T>) -> Result<T::AccountId, DispatchError> {
            ensure!(!TxPause::<T>::exists(), Error::<T>::Paused);
            Ok(ensure_signed(origin)?)
        }
    }
}
