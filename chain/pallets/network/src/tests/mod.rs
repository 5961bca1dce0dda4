//! The pallet on a mock runtime. Stories run block by block; after every block the invariants of chain.md 6 are checked.

mod consensus;
mod counted;
mod events;
mod hostile;
mod invariants;
mod joining;
mod leaving;
mod money;
mod random_walk;
mod subnets;
mod units;
mod vectors;
mod weights;

use crate as pallet_network;
use crate::{fixed::*, types::*, *};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, Hooks},
    PalletId,
};
use sp_runtime::{traits::Dispatchable, BuildStorage, DispatchError, DispatchResult};
use sp_state_machine::BasicExternalities;

type Block = frame_system::mocking::MockBlock<Test>;
type AccountId = u64;
type Node = SubnetNode<AccountId>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Network: pallet_network,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
    type DbWeight = frame_support::weights::constants::RocksDbWeight;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
}

parameter_types! {
    pub const NetworkPalletId: PalletId = PalletId(*b"/network");
}
stored_params! {
    EpochLength: u32 = 100;
    EpochsPerYear: u32 = 52_560;
    DesignatedEpochSlots: u32 = 3;
    TreasuryAccount: AccountId = TREASURY;
    HistoryEpochs: u32 = 64;
    MaxUnbondings: u32 = 32;
    MaxScore: u128 = 1_000_000 * ONE;
    DefaultChurnLimit: u32 = 4;
    DefaultSubnetNodeQueueEpochs: u32 = 3;
    DefaultActivationGraceEpochs: u32 = 4;
    DefaultIdleClassificationEpochs: u32 = 2;
    DefaultIncludedClassificationEpochs: u32 = 2;
    DefaultMaxRegisteredNodes: u32 = 64;
}

impl Config for Test {
    type Currency = Balances;
    type Randomness = BlockEntropy<Test>;
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

// ---- the stage ----

const OWNER: AccountId = 1;
const DELEGATOR: AccountId = 2;
const STRANGER: AccountId = 3;
const TREASURY: AccountId = 77;
const S: SubnetId = 128_001;
const TENSOR: u128 = ONE;
const WEALTH: u128 = 100_000 * TENSOR;
const EL: u32 = 20;
const EXISTENTIAL_DEPOSIT: u128 = 500;
/// The first subnet's slot.
const SLOT: u32 = 3;
/// The stake of a node unless a test says otherwise.
const STAKE: u128 = 100 * TENSOR;

fn cold(n: u32) -> AccountId {
    1000 + u64::from(n)
}
fn hot(n: u32) -> AccountId {
    5000 + u64::from(n)
}

/// The parameters of the development network (chain.md 3.3), with a grace that a story can outlive.
fn devnet() -> GenesisConfig<Test> {
    GenesisConfig {
        epoch_length: Some(EL),
        subnet_node_queue_epochs: Some(1),
        activation_grace_epochs: Some(3),
        idle_classification_epochs: Some(1),
        included_classification_epochs: Some(1),
        min_subnet_nodes: Some(1),
        min_subnet_delegate_stake_factor: Some(0),
        stake_cooldown_epochs: Some(1),
        min_subnet_registration_epochs: Some(0),
        ..Default::default()
    }
}

/// Runs `story` on a fresh chain in block 1.
fn on_chain(config: GenesisConfig<Test>, story: impl FnOnce()) {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let rich = [OWNER, DELEGATOR, STRANGER].into_iter().chain((1..=80).map(cold));
    let balances = rich.map(|account| (account, WEALTH)).collect();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }.assimilate_storage(&mut storage).unwrap();
    config.assimilate_storage(&mut storage).unwrap();
    // plain maps instead of a trie: the invariants walk through all of the state after every block
    BasicExternalities::new(storage).execute_with(|| {
        run_to(1);
        story();
        invariants::check();
    });
}

fn now() -> u32 {
    Network::block()
}

/// Ends this block, with all invariants checked, and begins those up to `block`. Events are those of the last block.
fn run_to(block: u32) {
    while now() < block {
        let issued = Balances::total_issuance();
        invariants::check();
        let next = u64::from(now()) + 1;
        let parent = sp_io::hashing::blake2_256(&next.to_le_bytes()).into();
        System::reset_events();
        System::initialize(&next, &parent, &Default::default());
        Network::on_initialize(next);
        invariants::check_pay();
        invariants::check_minted(Balances::total_issuance().checked_sub(issued).expect("the issuance never falls"));
    }
}

fn epoch_of(subnet_id: SubnetId) -> u32 {
    Network::subnet_epoch(subnet_id)
}

/// The slot block of the next subnet epoch.
fn next_epoch() {
    run_to_epoch(epoch_of(S) + 1);
}

/// The slot block of subnet epoch `epoch`.
fn run_to_epoch(epoch: u32) {
    run_to(epoch * EL + SLOT);
}

/// `offset` blocks into the present subnet epoch.
fn run_to_offset(offset: u32) {
    run_to(epoch_of(S) * EL + SLOT + offset);
}

fn send(who: AccountId, call: Call<Test>) -> DispatchResult {
    let result = RuntimeCall::from(call).dispatch(RuntimeOrigin::signed(who));
    result.map(|_| ()).map_err(|refused| refused.error)
}

fn root(call: Call<Test>) -> DispatchResult {
    let result = RuntimeCall::from(call).dispatch(RuntimeOrigin::root());
    result.map(|_| ()).map_err(|refused| refused.error)
}

/// The call must fail with `error` and change nothing.
#[track_caller]
fn refused(who: AccountId, call: Call<Test>, error: Error<Test>) {
    let before = sp_io::storage::root(Default::default());
    assert_eq!(send(who, call), Err(error.into()));
    assert_eq!(before, sp_io::storage::root(Default::default()), "a refused call changed the state");
}

#[track_caller]
fn accepted(who: AccountId, call: Call<Test>) {
    assert_eq!(send(who, call), Ok(()));
}

#[track_caller]
fn happened(event: Event<Test>) {
    System::assert_has_event(event.into());
}

// ---- names on the stage ----

fn text<const N: u32>(bytes: impl AsRef<[u8]>) -> Text<N> {
    bytes.as_ref().to_vec().try_into().unwrap()
}

fn base58(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut() {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let letters = digits.iter().rev().map(|digit| ALPHABET[*digit as usize]);
    std::iter::repeat(b'1').take(zeros).chain(letters).collect()
}

/// The binary peer id of a made-up ed25519 key.
fn peer_bytes(n: u32) -> Vec<u8> {
    let key = sp_io::hashing::blake2_256(&n.to_le_bytes());
    [&[0, 0x24, 8, 1, 0x12, 0x20][..], &key].concat()
}

fn peer_id(n: u32) -> PeerId {
    text(base58(&peer_bytes(n)))
}

/// /ip4/127.0.0.1/tcp/30000/p2p/<peer>
fn address(n: u32) -> Multiaddr {
    text([&[4, 127, 0, 0, 1, 6, 0x75, 0x30, 0xa5, 0x03, 0x26][..], &peer_bytes(n)].concat())
}

fn peer(n: u32) -> PeerInfo {
    PeerInfo { peer_id: peer_id(n), multiaddr: Some(address(n)) }
}

fn subnet_named(name: &str) -> RegistrationSubnetData<AccountId> {
    RegistrationSubnetData {
        name: text(name),
        repo: text(format!("{name} repo")),
        description: text("a description"),
        misc: text("a policy"),
        min_stake: STAKE,
        max_stake: 1000 * TENSOR,
        delegate_stake_percentage: 10 * PERCENT,
        initial_coldkeys: Default::default(),
        bootnodes: [(peer_id(9000), address(9000))].into(),
    }
}

fn register_subnet(subnet_data: RegistrationSubnetData<AccountId>) -> Call<Test> {
    Call::register_subnet { max_cost: 100 * TENSOR, subnet_data }
}

/// Registration of node n: coldkey, hotkey and peer follow from n.
fn register_node(n: u32) -> Call<Test> {
    Call::register_subnet_node {
        subnet_id: S,
        hotkey: hot(n),
        peer_info: peer(n),
        bootnode_peer_info: None,
        client_peer_info: None,
        delegate_reward_rate: 0,
        stake_to_be_added: STAKE,
        unique: None,
        non_unique: None,
        delegate_account: None,
        max_burn_amount: TENSOR,
    }
}

fn activate_node(id: NodeId) -> Call<Test> {
    Call::activate_subnet_node { subnet_id: S, subnet_node_id: id }
}

/// A subnet in state Registered with validators 1 to n.
fn registered_subnet(n: u32) {
    accepted(OWNER, register_subnet(subnet_named("story")));
    for id in 1..=n {
        accepted(cold(id), register_node(id));
        accepted(hot(id), activate_node(id));
    }
}

/// A live subnet with validators 1 to n at the slot block of its first live epoch, 1.
fn live_subnet(n: u32) {
    registered_subnet(n);
    accepted(OWNER, Call::activate_subnet { subnet_id: S });
    run_to_epoch(1);
}

fn node(id: NodeId) -> Node {
    SubnetNodesData::<Test>::get(S, id).unwrap()
}
fn class(id: NodeId) -> (SubnetNodeClass, u32) {
    let classification = node(id).classification;
    (classification.node_class, classification.start_epoch)
}
fn reputation(id: NodeId) -> u128 {
    SubnetNodeReputation::<Test>::get(S, id)
}
/// Of the node that was registered as number n.
fn stake(n: u32) -> u128 {
    AccountSubnetStake::<Test>::get(hot(n), S)
}
fn balance(account: AccountId) -> u128 {
    Balances::free_balance(account)
}
fn elected() -> NodeId {
    SubnetElectedValidator::<Test>::get(S, epoch_of(S)).unwrap()
}
fn result_of(epoch: u32) -> ConsensusResult {
    SubnetConsensusResult::<Test>::get(S, epoch).unwrap()
}

/// Makes node `id` the elected one of this epoch, for stories that need to know who it is.
fn decree(id: NodeId) {
    SubnetElectedValidator::<Test>::insert(S, epoch_of(S), id);
}

fn propose(scores: &[(NodeId, u128)]) -> Call<Test> {
    let data: Vec<_> = scores
        .iter()
        .map(|(subnet_node_id, score)| SubnetNodeConsensusData { subnet_node_id: *subnet_node_id, score: *score })
        .collect();
    Call::propose_attestation {
        subnet_id: S,
        data: data.try_into().unwrap(),
        prioritize_queue_node_id: None,
        remove_queue_node_id: None,
        args: None,
        attest_data: None,
    }
}

fn attest() -> Call<Test> {
    Call::attest { subnet_id: S, attest_data: None }
}

/// The elected node scores `ids` evenly and `voters` attest, all in this block.
fn scored_epoch(ids: &[NodeId], voters: &[NodeId]) {
    let scores: Vec<_> = ids.iter().map(|id| (*id, ONE)).collect();
    let proposer = elected();
    accepted(node(proposer).hotkey, propose(&scores));
    for voter in voters.iter().filter(|id| **id != proposer) {
        accepted(node(*voter).hotkey, attest());
    }
}
