//! Weights cover what is done: in the largest states that there can be, no call and no hook touches more of the state than it is charged
//! for (chain.md 3.4). Counted, not timed, so that it is the same on every machine.

use super::{counted::Counted, *};
use frame_support::{
    dispatch::GetDispatchInfo,
    storage::{with_transaction, TransactionOutcome},
    traits::fungible::Mutate,
    weights::{constants::RocksDbWeight, Weight},
};

const ALL: u32 = MAX_NODES;
/// Registered nodes that a subnet can hold besides others.
const WAITING: u32 = 64;

/// A chain on which `setting` has happened; no invariants are checked, as others do that.
fn stage(setting: impl FnOnce()) -> Counted {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    devnet().assimilate_storage(&mut storage).unwrap();
    let mut chain = Counted::new(BasicExternalities::new(storage));
    chain.execute_with(|| {
        for account in [OWNER, DELEGATOR, STRANGER].into_iter().chain((1..=ALL + 2).map(cold)) {
            Balances::mint_into(&account, WEALTH).unwrap();
        }
        begin(1);
        setting();
    });
    chain
}

/// Goes straight to a block and runs its hook.
fn begin(block: u32) -> Weight {
    enter(block);
    Network::on_initialize(block.into())
}

fn enter(block: u32) {
    System::reset_events();
    System::set_block_number(u64::from(block) - 1);
    System::initialize(&block.into(), &Default::default(), &Default::default());
}

#[track_caller]
fn covers(what: &str, declared: Weight, (reads, writes): (u64, u64)) {
    let needed = RocksDbWeight::get().reads_writes(reads, writes);
    println!(
        "{what}: {reads} reads, {writes} writes, {} % of its weight",
        needed.ref_time() * 100 / declared.ref_time()
    );
    assert!(declared.ref_time() >= needed.ref_time(), "{what}: {reads} reads and {writes} writes are not covered");
}

/// The call must succeed; the state is afterwards as before.
#[track_caller]
fn call_is_covered(chain: &mut Counted, who: AccountId, call: Call<Test>) {
    let what = format!("{call:?}");
    let what = what.split([' ', '{']).next().unwrap_or_default();
    let declared = call.get_dispatch_info().call_weight;
    chain.take();
    let result = chain.execute_with(|| with_transaction(|| TransactionOutcome::Rollback(send(who, call))));
    assert_eq!(result, Ok(()), "{what}");
    covers(what, declared, chain.take());
}

/// The hook of `block`; the state moves on.
#[track_caller]
fn block_is_covered(chain: &mut Counted, what: &str, block: u32) {
    chain.execute_with(|| enter(block));
    chain.take();
    let declared = chain.execute_with(|| Network::on_initialize(block.into()));
    covers(what, declared, chain.take());
}

/// A registration that fills every field of a node.
fn register_fully(n: u32) -> Call<Test> {
    Call::register_subnet_node {
        subnet_id: S,
        hotkey: hot(n),
        peer_info: peer(n),
        bootnode_peer_info: Some(peer(10_000 + n)),
        client_peer_info: Some(peer(20_000 + n)),
        delegate_reward_rate: 10 * PERCENT,
        stake_to_be_added: STAKE,
        unique: Some(text(n.to_le_bytes())),
        non_unique: Some(text("anything")),
        delegate_account: Some(DelegateAccount { account_id: 100_000 + u64::from(n), rate: 10 * PERCENT }),
        max_burn_amount: TENSOR,
    }
}

/// A registered subnet with `validators` and then `waiting` nodes, and a delegator.
fn subnet_of(validators: u32, waiting: u32) {
    accepted(OWNER, register_subnet(subnet_named("full")));
    accepted(DELEGATOR, Call::add_to_delegate_stake { subnet_id: S, amount: TENSOR });
    for n in 1..=validators + waiting {
        accepted(cold(n), register_fully(n));
        if n <= validators {
            accepted(hot(n), activate_node(n));
        }
    }
}

/// A full subnet of validators at the slot block of epoch 1, node 1 elected.
fn full_subnet() {
    subnet_of(ALL, 0);
    accepted(OWNER, Call::activate_subnet { subnet_id: S });
    begin(EL);
    begin(EL + 2);
    begin(EL + SLOT);
    decree(1);
}

fn full_proposal() -> Call<Test> {
    let mut call = propose(&(1..=ALL).map(|id| (id, ONE)).collect::<Vec<_>>());
    if let Call::propose_attestation { args: given, attest_data: evidence, .. } = &mut call {
        (*given, *evidence) = (Some(text([1; 4096])), Some(text([1; 128])));
    }
    call
}

fn vote() -> Call<Test> {
    Call::attest { subnet_id: S, attest_data: Some(text([1; 128])) }
}

#[test]
fn calls_on_a_full_subnet_are_covered() {
    let mut chain = stage(|| {
        full_subnet();
        for _ in 0..32 {
            System::set_block_number(u64::from(now() + 1));
            accepted(
                cold(9),
                Call::add_stake { subnet_id: S, subnet_node_id: 9, hotkey: hot(9), stake_to_be_added: TENSOR },
            );
            accepted(cold(9), Call::remove_stake { subnet_id: S, hotkey: hot(9), stake_to_be_removed: TENSOR });
        }
        System::set_block_number(u64::from(now() + EL));
        decree(1);
    });
    let own = |n: u32| (S, n, hot(n));
    let (subnet_id, subnet_node_id, hotkey) = own(2);
    let shares = 100 * TENSOR;
    call_is_covered(&mut chain, hot(1), full_proposal());
    for (who, call) in [
        (cold(2), Call::add_stake { subnet_id, subnet_node_id, hotkey, stake_to_be_added: TENSOR }),
        (cold(2), Call::remove_subnet_node { subnet_id, subnet_node_id }),
        (hot(2), Call::update_peer_info { subnet_id, subnet_node_id, new_peer_info: peer(999) }),
        (
            hot(2),
            Call::update_bootnode_peer_info { subnet_id, subnet_node_id, new_bootnode_peer_info: Some(peer(999)) },
        ),
        (hot(2), Call::update_client_peer_info { subnet_id, subnet_node_id, new_client_peer_info: Some(peer(999)) }),
        (cold(2), Call::update_delegate_account { subnet_id, subnet_node_id, new_delegate_account: None }),
        (cold(2), Call::update_node_delegate_reward_rate { subnet_id, subnet_node_id, new_delegate_reward_rate: 1 }),
        (cold(2), Call::update_unique { subnet_id, subnet_node_id, unique: Some(text([9; 1024])) }),
        (cold(2), Call::update_non_unique { subnet_id, subnet_node_id, non_unique: None }),
        (cold(2), Call::update_coldkey { hotkey, new_coldkey: STRANGER }),
        (cold(2), Call::update_hotkey { old_hotkey: hotkey, new_hotkey: STRANGER }),
        (cold(9), Call::claim_unbondings {}),
        (STRANGER, Call::add_to_delegate_stake { subnet_id, amount: TENSOR }),
        (DELEGATOR, Call::transfer_delegate_stake { subnet_id, to: STRANGER, shares }),
        (DELEGATOR, Call::remove_delegate_stake { subnet_id, shares }),
        (STRANGER, Call::donate_delegate_stake { subnet_id, amount: TENSOR }),
        (OWNER, Call::update_misc { subnet_id, misc: text([9; 1024]) }),
        (
            OWNER,
            Call::update_bootnodes {
                subnet_id,
                add: (1..32).map(|n| (peer_id(n), address(n))).collect(),
                remove: [peer_id(9000)].into(),
            },
        ),
    ] {
        call_is_covered(&mut chain, who, call);
    }
    chain.execute_with(|| {
        accepted(hot(1), full_proposal());
        (3..=ALL).for_each(|n| accepted(hot(n), vote()));
    });
    call_is_covered(&mut chain, hot(2), vote());
}

#[test]
fn calls_on_registered_subnets_are_covered() {
    let mut chain = stage(|| subnet_of(3, WAITING - 1));
    let (subnet_id, hotkey) = (S, hot(1));
    call_is_covered(&mut chain, cold(ALL), register_fully(ALL));
    call_is_covered(&mut chain, hot(4), activate_node(4));
    call_is_covered(
        &mut chain,
        cold(1),
        Call::add_stake { subnet_id, subnet_node_id: 1, hotkey, stake_to_be_added: 1 },
    );
    call_is_covered(&mut chain, OWNER, Call::activate_subnet { subnet_id });
    chain.execute_with(|| accepted(cold(1), Call::remove_subnet_node { subnet_id, subnet_node_id: 1 }));
    call_is_covered(&mut chain, cold(1), Call::remove_stake { subnet_id, hotkey, stake_to_be_removed: STAKE });
    let mut other = subnet_named("other");
    other.bootnodes = (1..=32).map(|n| (peer_id(n), address(n))).collect();
    other.initial_coldkeys = (1..=ALL).map(|n| (cold(n), 1)).collect();
    call_is_covered(&mut chain, OWNER, register_subnet(other));
}

#[test]
fn sweeping_is_covered() {
    let mut chain = stage(|| {
        subnet_of(3, WAITING);
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        begin(6 * EL + SLOT);
    });
    call_is_covered(&mut chain, STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id: S });
    call_is_covered(&mut chain, cold(ALL), register_fully(ALL));
}

#[test]
fn blocks_of_a_full_subnet_are_covered() {
    let mut chain = stage(|| {
        full_subnet();
        accepted(hot(1), full_proposal());
        (2..=ALL).for_each(|n| accepted(hot(n), vote()));
    });
    block_is_covered(&mut chain, "subnet checks", 2 * EL);
    block_is_covered(&mut chain, "emission weights", 2 * EL + 2);
    block_is_covered(&mut chain, "an accepted epoch", 2 * EL + SLOT);
    chain.execute_with(|| {
        decree(1);
        assert_eq!(result_of(1).outcome, ConsensusOutcome::Accepted);
        accepted(hot(1), full_proposal());
        (2..=ALL / 2).for_each(|n| accepted(hot(n), vote()));
    });
    block_is_covered(&mut chain, "a rejected epoch", 3 * EL + SLOT);
    chain.execute_with(|| {
        assert_eq!(result_of(2).outcome, ConsensusOutcome::Rejected);
        (1..=ALL).for_each(|id| SubnetNodeReputation::<Test>::insert(S, id, PERCENT));
    });
    block_is_covered(&mut chain, "an absent proposer, and everybody goes", 4 * EL + SLOT);
    chain.execute_with(|| {
        assert_eq!((result_of(3).outcome, TotalSubnetNodes::<Test>::get(S)), (ConsensusOutcome::Absent, 0));
    });
}

#[test]
fn the_end_of_a_subnet_is_covered() {
    let mut chain = stage(|| {
        full_subnet();
        for epoch in 0..66 {
            SubnetElectedValidator::<Test>::insert(S, epoch, 1);
            SubnetConsensusResult::<Test>::insert(
                S,
                epoch,
                ConsensusResult { outcome: ConsensusOutcome::Absent, attestation_ratio: 0, minted: 0, slashed: 0 },
            );
        }
        SubnetReputation::<Test>::insert(S, 0);
    });
    block_is_covered(&mut chain, "removal", 2 * EL);
    for step in 0..=ALL / 16 {
        block_is_covered(&mut chain, "purge", 2 * EL + 4 + step);
    }
    chain.execute_with(|| assert_eq!(SubnetSlot::<Test>::get(S), None));
}

#[test]
fn blocks_of_many_subnets_are_covered() {
    let mut chain = stage(|| {
        EpochLength::set(&100);
        for n in 1..=MAX_SUBNETS {
            let subnet_id = S + n - 1;
            accepted(OWNER, Call::register_subnet { max_cost: u128::MAX, subnet_data: subnet_named(&n.to_string()) });
            LastRegistrationCost::<Test>::put(1);
            let mut call = register_node(n);
            if let Call::register_subnet_node { subnet_id: at, .. } = &mut call {
                *at = subnet_id;
            }
            accepted(cold(n), call);
            accepted(hot(n), Call::activate_subnet_node { subnet_id, subnet_node_id: 1 });
            accepted(OWNER, Call::activate_subnet { subnet_id });
        }
    });
    block_is_covered(&mut chain, "checks of all subnets", 100);
    block_is_covered(&mut chain, "emission weights of all subnets", 102);
    block_is_covered(&mut chain, "a block without duties", 101);
    chain.execute_with(|| {
        (S..S + MAX_SUBNETS).for_each(|id| SubnetReputation::<Test>::insert(id, 0));
    });
    block_is_covered(&mut chain, "removal of all subnets", 200);
    chain.execute_with(|| assert_eq!(SubnetsToPurge::<Test>::get().len() as u32, MAX_SUBNETS));
}
