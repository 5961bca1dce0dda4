//! Life and death of subnets, delegation, pause: stories 18, 19, 27 and 28.

use super::*;

fn delegate(amount: u128) -> Call<Test> {
    Call::add_to_delegate_stake { subnet_id: S, amount }
}
fn undelegate(shares: u128) -> Call<Test> {
    Call::remove_delegate_stake { subnet_id: S, shares }
}

#[test]
fn a_subnets_price_doubles_and_sinks() {
    on_chain(devnet(), || {
        let cost = Network::registration_cost();
        assert_eq!(cost, TENSOR - mul_div(90 * PERCENT, 1, 438_290));
        let treasury = balance(TREASURY);
        accepted(OWNER, register_subnet(subnet_named("one")));
        assert_eq!(balance(TREASURY), treasury + cost);
        assert_eq!(Network::registration_cost(), 2 * cost);
        let cheap = Call::register_subnet { max_cost: cost, subnet_data: subnet_named("two") };
        refused(OWNER, cheap, Error::CostGreaterThanMaxCost);
        LastRegistrationBlock::<Test>::put(0);
        RegistrationCostDecayBlocks::<Test>::put(1);
        run_to(3);
        assert_eq!(Network::registration_cost(), 10 * PERCENT);
    });
}

#[test]
fn bad_registrations_of_subnets_are_refused_with_the_reason() {
    on_chain(devnet(), || {
        let with = |change: fn(&mut RegistrationSubnetData<AccountId>)| {
            let mut data = subnet_named("new");
            change(&mut data);
            register_subnet(data)
        };
        accepted(OWNER, register_subnet(subnet_named("old")));
        let cases: [(Call<Test>, Error<Test>); 11] = [
            (with(|data| data.name = text("")), Error::InvalidSubnetName),
            (with(|data| data.name = text("old")), Error::SubnetNameExist),
            (with(|data| data.repo = text("old repo")), Error::SubnetRepoExist),
            (with(|data| data.min_stake = STAKE - 1), Error::InvalidSubnetMinStake),
            (with(|data| data.max_stake = 1000 * TENSOR + 1), Error::InvalidSubnetMaxStake),
            (with(|data| data.max_stake = data.min_stake - 1), Error::InvalidSubnetStakeParameters),
            (with(|data| data.delegate_stake_percentage = 96 * PERCENT), Error::InvalidMinDelegateStakePercentage),
            (with(|data| data.bootnodes.clear()), Error::BootnodesEmpty),
            (
                with(|data| data.bootnodes = (0..33).map(|n| (peer_id(n), address(n))).collect()),
                Error::TooManyBootnodes,
            ),
            (with(|data| data.bootnodes = [(text("Qm"), address(1))].into()), Error::InvalidBootnodePeerId),
            (with(|data| data.bootnodes = [(peer_id(1), address(2))].into()), Error::MultiaddrInvalidAddress),
        ];
        for (call, error) in cases {
            refused(OWNER, call, error);
        }
        refused(9999, register_subnet(subnet_named("new")), Error::NotEnoughBalanceToRegisterSubnet);
    });
}

#[test]
fn slots_are_unique_and_limited() {
    on_chain(GenesisConfig { epoch_length: Some(10), ..devnet() }, || {
        for (n, name) in ["a", "b", "c", "d", "e", "f", "g"].iter().enumerate() {
            accepted(OWNER, Call::register_subnet { max_cost: WEALTH, subnet_data: subnet_named(name) });
            assert_eq!(SubnetSlot::<Test>::get(S + n as u32), Some(3 + n as u32));
        }
        let eighth = Call::register_subnet { max_cost: WEALTH, subnet_data: subnet_named("h") };
        refused(OWNER, eighth.clone(), Error::NoAvailableSlots);
        MaxSubnets::<Test>::put(7);
        refused(OWNER, eighth, Error::MaxSubnets);
    });
}

#[test]
fn a_subnet_that_is_not_activated_in_time_goes() {
    let config = GenesisConfig { subnet_registration_epochs: Some(2), subnet_enactment_epochs: Some(1), ..devnet() };
    on_chain(config, || {
        registered_subnet(1);
        run_to(2 * EL);
        accepted(cold(2), register_node(2)); // epoch 2 is the last
        run_to(3 * EL);
        refused(cold(3), register_node(3), Error::SubnetMustBeRegisteringOrActivated);
        run_to(4 * EL);
        happened(Event::SubnetDeactivated { subnet_id: S, reason: RemovalReason::EnactmentPeriod });
    });
}

#[test]
fn a_subnet_without_enough_validators_fades_and_everybody_gets_out() {
    on_chain(devnet(), || {
        registered_subnet(20);
        accepted(DELEGATOR, delegate(5 * TENSOR));
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        run_to_epoch(1);
        MinSubnetNodes::<Test>::put(21);
        MaxSubnetNodes::<Test>::put(21);
        let mut checks = 0;
        while SubnetsData::<Test>::contains_key(S) {
            SubnetElectedValidator::<Test>::remove(S, epoch_of(S)); // nobody's absence adds to it
            run_to((now() / EL + 1) * EL);
            checks += 1;
        }
        assert_eq!(checks, 18);
        happened(Event::SubnetDeactivated { subnet_id: S, reason: RemovalReason::MinSubnetNodes });
        refused(cold(21), register_node(21), Error::InvalidSubnetId);
        run_to(now() + 1);
        assert_eq!(TotalSubnetNodes::<Test>::get(S), 4); // 16 per block
        assert!(AssignedSlots::<Test>::get().contains(&SLOT));
        run_to(now() + 1);
        assert_eq!(SubnetNodesData::<Test>::iter_prefix(S).count(), 0);
        assert_eq!(AssignedSlots::<Test>::get().len(), 0);
        accepted(OWNER, register_subnet(subnet_named("story"))); // name and slot are free again
        assert_eq!(SubnetSlot::<Test>::get(S + 1), Some(SLOT));
        let everything = Call::remove_stake { subnet_id: S, hotkey: hot(1), stake_to_be_removed: STAKE };
        accepted(cold(1), everything);
        assert!(!HotkeyOwner::<Test>::contains_key(hot(1)));
        refused(DELEGATOR, delegate(TENSOR), Error::InvalidSubnetId);
        let shares = AccountSubnetDelegateStakeShares::<Test>::get(DELEGATOR, S);
        accepted(DELEGATOR, undelegate(shares));
        run_to(now() + EL);
        let before = balance(DELEGATOR);
        accepted(DELEGATOR, Call::claim_unbondings {});
        assert!(balance(DELEGATOR) >= before + 5 * TENSOR - 1);
    });
}

#[test]
fn too_little_delegate_stake_ends_a_subnet_at_the_next_even_epoch() {
    on_chain(GenesisConfig { min_subnet_delegate_stake_factor: Some(PERCENT / 10), ..devnet() }, || {
        registered_subnet(1);
        let conditions = Call::activate_subnet { subnet_id: S };
        refused(OWNER, conditions.clone(), Error::SubnetActivationConditionsNotMetYet);
        accepted(DELEGATOR, delegate(Network::min_delegate_stake(S)));
        accepted(OWNER, conditions);
        accepted(DELEGATOR, undelegate(1_000_000_000_000));
        run_to(EL);
        assert!(SubnetsData::<Test>::contains_key(S));
        run_to(2 * EL);
        happened(Event::SubnetDeactivated { subnet_id: S, reason: RemovalReason::MinSubnetDelegateStake });
    });
}

#[test]
fn rewards_raise_the_price_of_shares() {
    on_chain(devnet(), || {
        registered_subnet(1);
        refused(DELEGATOR, delegate(999), Error::MinDelegateStakeDepositNotReached);
        accepted(DELEGATOR, delegate(TENSOR));
        let shares = AccountSubnetDelegateStakeShares::<Test>::get(DELEGATOR, S);
        assert_eq!(shares, 1000 * TENSOR);
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        run_to_epoch(1);
        scored_epoch(&[1], &[1]);
        next_epoch();
        let worth = Network::shares_to_balance(S, shares);
        assert!(worth > TENSOR);
        accepted(DELEGATOR, Call::transfer_delegate_stake { subnet_id: S, to: STRANGER, shares: shares / 2 });
        refused(DELEGATOR, undelegate(shares), Error::NotEnoughStakeToWithdraw);
        refused(DELEGATOR, undelegate(0), Error::AmountZero);
        accepted(DELEGATOR, undelegate(shares / 2));
        accepted(STRANGER, undelegate(shares / 2));
        let paid: u128 = StakeUnbondingLedger::<Test>::iter_values().flat_map(|l| l.into_inner().into_values()).sum();
        assert!(paid <= worth && worth - paid < 3);
    });
}

#[test]
fn a_gift_before_the_first_depositor_does_not_take_his_money() {
    on_chain(devnet(), || {
        registered_subnet(1);
        refused(STRANGER, Call::donate_delegate_stake { subnet_id: S, amount: TENSOR }, Error::NoDelegateShares);
        accepted(STRANGER, delegate(1000));
        accepted(STRANGER, Call::donate_delegate_stake { subnet_id: S, amount: TENSOR });
        accepted(DELEGATOR, delegate(TENSOR));
        let worth = |who| Network::shares_to_balance(S, AccountSubnetDelegateStakeShares::<Test>::get(who, S));
        assert!(worth(DELEGATOR) > 99 * PERCENT);
        assert!(worth(STRANGER) < TENSOR + 1000); // the attacker is poorer than before
    });
}

#[test]
fn the_owner_keeps_bootnodes_and_policy() {
    on_chain(devnet(), || {
        registered_subnet(1);
        let update = |add: std::ops::Range<u32>, remove: std::ops::Range<u32>| Call::update_bootnodes {
            subnet_id: S,
            add: add.map(|n| (peer_id(n), address(n))).collect(),
            remove: remove.map(peer_id).collect(),
        };
        refused(STRANGER, update(0..1, 0..0), Error::InvalidAccess);
        refused(OWNER, update(100..132, 0..0), Error::TooManyBootnodes);
        accepted(OWNER, update(100..131, 0..0));
        accepted(OWNER, update(200..202, 99..102));
        happened(Event::BootnodesUpdated { subnet_id: S, added: 2, removed: 2 });
        assert_eq!(Network::bootnodes(S).subnet_bootnodes.len(), 32);
        assert!(Network::proof_of_stake(S, peer_id(200).into_inner(), 0, None));
        assert!(!Network::proof_of_stake(S, peer_id(200).into_inner(), 0, Some(0)));
        let misc = |bytes: &str| Call::update_misc { subnet_id: S, misc: text(bytes) };
        refused(STRANGER, misc("new"), Error::NotSubnetOwner);
        accepted(OWNER, misc("new"));
        assert_eq!(SubnetsData::<Test>::get(S).unwrap().misc, text::<1024>("new"));
    });
}

#[test]
fn while_paused_calls_are_refused_and_settlements_go_on() {
    on_chain(devnet(), || {
        live_subnet(1);
        accepted(hot(1), propose(&[(1, ONE)]));
        assert_eq!(send(OWNER, Call::pause {}), Err(DispatchError::BadOrigin));
        root(Call::pause {}).unwrap();
        assert_eq!(root(Call::pause {}), Err(Error::<Test>::Paused.into()));
        refused(cold(2), register_node(2), Error::Paused);
        refused(OWNER, Call::claim_unbondings {}, Error::Paused);
        next_epoch();
        assert_eq!(result_of(1).outcome, ConsensusOutcome::Accepted);
        assert_eq!(send(OWNER, Call::unpause {}), Err(DispatchError::BadOrigin));
        root(Call::unpause {}).unwrap();
        accepted(cold(2), register_node(2));
    });
}

#[test]
fn epochs_of_10_and_of_14400_blocks_work() {
    for length in [10, 14_400] {
        on_chain(GenesisConfig { epoch_length: Some(length), ..devnet() }, || {
            registered_subnet(1);
            accepted(OWNER, Call::activate_subnet { subnet_id: S });
            System::set_block_number(u64::from(length) - 1);
            run_to(length + 3);
            assert_eq!(elected(), 1);
            accepted(hot(1), propose(&[(1, ONE)]));
            System::set_block_number(u64::from(2 * length) - 1);
            run_to(2 * length + 3);
            assert_eq!(result_of(1).outcome, ConsensusOutcome::Accepted);
            assert!(stake(1) > STAKE);
            let clock = Network::subnet_clock(S).unwrap();
            assert_eq!((clock.subnet_epoch, clock.first_block), (2, 2 * length + 3));
            assert_eq!(clock.next_slot_block, 3 * length + 3);
        });
    }
}

#[test]
#[should_panic(expected = "epochLength is 10 to 14400 blocks")]
fn a_chain_with_a_shorter_epoch_does_not_start() {
    on_chain(GenesisConfig { epoch_length: Some(9), ..devnet() }, || {});
}
