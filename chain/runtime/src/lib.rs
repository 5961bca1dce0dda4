//! The chain's runtime: which pallets there are and how they are set (chain.md 1, 2, 7). Built for wasm32 without std;
//! natively only for type checks.
#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]
extern crate alloc;

mod presets;

use account::{AccountId20, EthereumSignature};
use alloc::{borrow::Cow, vec::Vec};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    genesis_builder_helper::{build_state, get_preset},
    parameter_types,
    traits::{tokens::imbalance::ResolveTo, ConstBool, ConstU128, ConstU32, ConstU64, ConstU8, VariantCountOf},
    weights::{
        constants::{RocksDbWeight, WEIGHT_REF_TIME_PER_SECOND},
        IdentityFee, Weight,
    },
    PalletId,
};
use pallet_network::types::{
    AllBootnodes, DelegateStakeInfo, StakeInfo, SubnetClock, SubnetInfo, SubnetNodeInfo, MAX_UNBONDINGS,
};
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_api::impl_runtime_apis;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_core::OpaqueMetadata;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, Block as BlockT, IdentityLookup, NumberFor, One},
    transaction_validity::{TransactionSource, TransactionValidity},
    ApplyExtrinsicResult, Perbill,
};
use sp_version::RuntimeVersion;

type AccountId = AccountId20;
type Balance = u128;
type Nonce = u32;
type BlockNumber = u32;
type Header = generic::Header<BlockNumber, BlakeTwo256>;
type Block = generic::Block<Header, UncheckedExtrinsic>;
type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
);
type UncheckedExtrinsic = generic::UncheckedExtrinsic<AccountId, RuntimeCall, EthereumSignature, TxExtension>;
type Executive =
    frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

impl_opaque_keys! {
    pub struct SessionKeys {
        pub aura: Aura,
        pub grandpa: Grandpa,
    }
}

#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("tessera"),
    impl_name: Cow::Borrowed("tessera"),
    authoring_version: 1,
    spec_version: 1,
    impl_version: 1,
    apis: RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

const ONE: u128 = pallet_network::fixed::ONE;
/// Part of a block that ordinary transactions may fill.
const NORMAL: Perbill = Perbill::from_percent(75);
const MAX_BLOCK_BYTES: u32 = 5 * 1024 * 1024;

parameter_types! {
    pub const BlockHashCount: BlockNumber = 2400;
    pub const Version: RuntimeVersion = VERSION;
    pub BlockWeights: frame_system::limits::BlockWeights = frame_system::limits::BlockWeights::with_sensible_defaults(
        Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX), NORMAL);
    pub BlockLength: frame_system::limits::BlockLength = frame_system::limits::BlockLength::builder()
        .max_length(MAX_BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |length| *length = NORMAL * *length)
        .build();
    pub FeeMultiplier: Multiplier = Multiplier::one();
    pub const NetworkPalletId: PalletId = PalletId(*b"/network");
    /// Milliseconds of a block. A raw genesis value may shorten it for tests of a network; it never changes afterwards.
    pub storage SlotDuration: u64 = 6000;
    pub MinimumPeriod: u64 = SlotDuration::get() / 2;
}

pallet_network::stored_params! {
    EpochLength: u32 = 100;
    EpochsPerYear: u32 = 52_560;
    DesignatedEpochSlots: u32 = 3;
    TreasuryAccount: AccountId = AccountId20(*b"modlpy/trsry\0\0\0\0\0\0\0\0");
    HistoryEpochs: u32 = 64;
    MaxUnbondings: u32 = MAX_UNBONDINGS;
    MaxScore: u128 = 1_000_000 * ONE;
    DefaultChurnLimit: u32 = 4;
    DefaultSubnetNodeQueueEpochs: u32 = 3;
    DefaultActivationGraceEpochs: u32 = 4;
    DefaultIdleClassificationEpochs: u32 = 2;
    DefaultIncludedClassificationEpochs: u32 = 2;
    DefaultMaxRegisteredNodes: u32 = 64;
}

/// Fees and dust go to the treasury, so that the issuance never falls.
type ToTreasury = ResolveTo<TreasuryAccount, Balances>;

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type BlockWeights = BlockWeights;
    type BlockLength = BlockLength;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Nonce = Nonce;
    type Hash = sp_core::H256;
    type BlockHashCount = BlockHashCount;
    type DbWeight = RocksDbWeight;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<Balance>;
    type MaxConsumers = ConstU32<16>;
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = ();
    type MaxAuthorities = ConstU32<32>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = SlotDuration;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<32>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type KeyOwnerProof = sp_core::Void;
    type EquivocationReportSystem = ();
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = MinimumPeriod;
    type WeightInfo = ();
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = ToTreasury;
    type ExistentialDeposit = ConstU128<500>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ();
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, ToTreasury>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightToFee = IdentityFee<Balance>;
    type LengthToFee = IdentityFee<Balance>;
    type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
    type WeightInfo = ();
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = ();
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

impl pallet_network::Config for Runtime {
    type Currency = Balances;
    type Randomness = pallet_network::BlockEntropy<Runtime>;
    type EpochLength = EpochLength;
    type EpochsPerYear = EpochsPerYear;
    type DesignatedEpochSlots = DesignatedEpochSlots;
    type PalletId = NetworkPalletId;
    type TreasuryAccount = TreasuryAccount;
    type HistoryEpochs = HistoryEpochs;
    type MaxUnbondings = MaxUnbondings;
    type MaxScore = MaxScore;
    type DefaultChurnLimit = DefaultChurnLimit;
    type DefaultSubnetNodeQueueEpochs = DefaultSubnetNodeQueueEpochs;
    type DefaultActivationGraceEpochs = DefaultActivationGraceEpochs;
    type DefaultIdleClassificationEpochs = DefaultIdleClassificationEpochs;
    type DefaultIncludedClassificationEpochs = DefaultIncludedClassificationEpochs;
    type DefaultMaxRegisteredNodes = DefaultMaxRegisteredNodes;
}

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    #[runtime::pallet_index(2)]
    pub type Aura = pallet_aura;
    #[runtime::pallet_index(3)]
    pub type Grandpa = pallet_grandpa;
    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(5)]
    pub type TransactionPayment = pallet_transaction_payment;
    #[runtime::pallet_index(6)]
    pub type Sudo = pallet_sudo;
    #[runtime::pallet_index(15)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(23)]
    pub type Network = pallet_network;
}

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }
        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block)
        }
        fn initialize_block(header: &<Block as BlockT>::Header) -> sp_runtime::ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }
        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }
        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }
        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }
        fn inherent_extrinsics(data: sp_inherents::InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }
        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: sp_inherents::InherentData,
        ) -> sp_inherents::CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            transaction: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, transaction, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &<Block as BlockT>::Header) {
            Executive::offchain_worker(header)
        }
    }

    impl sp_consensus_aura::AuraApi<Block, AuraId> for Runtime {
        fn slot_duration() -> sp_consensus_aura::SlotDuration {
            sp_consensus_aura::SlotDuration::from_millis(Aura::slot_duration())
        }
        fn authorities() -> Vec<AuraId> {
            pallet_aura::Authorities::<Runtime>::get().into_inner()
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(owner: Vec<u8>, seed: Option<Vec<u8>>) -> sp_session::OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }
        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, sp_core::crypto::KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
            Grandpa::grandpa_authorities()
        }
        fn current_set_id() -> sp_consensus_grandpa::SetId {
            Grandpa::current_set_id()
        }
        fn submit_report_equivocation_unsigned_extrinsic(
            _proof: sp_consensus_grandpa::EquivocationProof<<Block as BlockT>::Hash, NumberFor<Block>>,
            _owner: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            None
        }
        fn generate_key_ownership_proof(
            _set: sp_consensus_grandpa::SetId,
            _authority: sp_consensus_grandpa::AuthorityId,
        ) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
            None
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance> for Runtime {
        fn query_info(
            extrinsic: <Block as BlockT>::Extrinsic,
            length: u32,
        ) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(extrinsic, length)
        }
        fn query_fee_details(
            extrinsic: <Block as BlockT>::Extrinsic,
            length: u32,
        ) -> pallet_transaction_payment::FeeDetails<Balance> {
            TransactionPayment::query_fee_details(extrinsic, length)
        }
        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }
        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
            build_state::<RuntimeGenesisConfig>(config)
        }
        fn get_preset(id: &Option<sp_genesis_builder::PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, presets::patch)
        }
        fn preset_names() -> Vec<sp_genesis_builder::PresetId> {
            presets::names()
        }
    }

    impl pallet_network::NetworkRuntimeApi<Block, AccountId> for Runtime {
        fn proof_of_stake(subnet_id: u32, peer_id: Vec<u8>, min_class: u8, min_stake: Option<u128>) -> bool {
            Network::proof_of_stake(subnet_id, peer_id, min_class, min_stake)
        }
        fn get_subnet_clock(subnet_id: u32) -> Option<SubnetClock> {
            Network::subnet_clock(subnet_id)
        }
        fn get_subnet_info(subnet_id: u32) -> Option<SubnetInfo<AccountId>> {
            Network::subnet_info(subnet_id)
        }
        fn get_all_subnets_info() -> Vec<SubnetInfo<AccountId>> {
            Network::all_subnets_info()
        }
        fn get_bootnodes(subnet_id: u32) -> AllBootnodes {
            Network::bootnodes(subnet_id)
        }
        fn get_subnet_node_info(subnet_id: u32, subnet_node_id: u32) -> Option<SubnetNodeInfo<AccountId>> {
            Network::subnet_node_info(subnet_id, subnet_node_id)
        }
        fn get_subnet_nodes_info(subnet_id: u32) -> Vec<SubnetNodeInfo<AccountId>> {
            Network::subnet_nodes_info(subnet_id)
        }
        fn get_all_subnet_nodes_info() -> Vec<SubnetNodeInfo<AccountId>> {
            Network::all_subnet_nodes_info()
        }
        fn get_validators_and_attestors(subnet_id: u32) -> Vec<SubnetNodeInfo<AccountId>> {
            Network::validators_and_attestors(subnet_id)
        }
        fn get_coldkey_subnet_nodes_info(coldkey: AccountId) -> Vec<SubnetNodeInfo<AccountId>> {
            Network::coldkey_subnet_nodes_info(coldkey)
        }
        fn get_elected_validator_info(subnet_id: u32, subnet_epoch: u32) -> Option<SubnetNodeInfo<AccountId>> {
            Network::elected_validator_info(subnet_id, subnet_epoch)
        }
        fn get_coldkey_stakes(coldkey: AccountId) -> Vec<StakeInfo<AccountId>> {
            Network::coldkey_stakes(coldkey)
        }
        fn get_delegate_stakes(account: AccountId) -> Vec<DelegateStakeInfo> {
            Network::delegate_stakes(account)
        }
    }
}
