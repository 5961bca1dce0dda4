//! From registration to the first pay: stories 1 to 4 of chain.md 11.

use super::*;
use SubnetNodeClass::*;

#[test]
fn a_node_climbs_from_registration_to_its_first_paid_epoch() {
    on_chain(devnet(), || {
        live_subnet(2);
        accepted(cold(3), register_node(3));
        assert_eq!(class(3), (Registered, 2));
        assert!(Network::proof_of_stake(S, peer_id(3).into_inner(), 0, None));
        assert!(!Network::proof_of_stake(S, peer_id(3).into_inner(), 1, None));
        refused(hot(3), activate_node(3), Error::NotStartEpoch);
        scored_epoch(&[1, 2], &[1, 2]);
        run_to_epoch(2);
        refused(hot(2), activate_node(3), Error::NotUidOwner);
        accepted(hot(3), activate_node(3));
        happened(Event::SubnetNodeActivated { subnet_id: S, subnet_node_id: 3 });
        refused(hot(3), activate_node(3), Error::SubnetNodeActivatedAlready);
        assert_eq!(class(3), (Idle, 3));
        assert!(!Network::proof_of_stake(S, peer_id(3).into_inner(), 1, None)); // not before its start epoch
        scored_epoch(&[1, 2], &[1, 2]);
        for epoch in 3..=4 {
            run_to_epoch(epoch);
            assert_eq!(class(3), (Idle, 3)); // the submission of its start epoch counts neither way
            scored_epoch(&[1, 2], &[1, 2]);
        }
        run_to_epoch(5);
        assert_eq!(class(3), (Included, 5));
        let graduated = Classification::new(Included, 5);
        happened(Event::NodeClassGraduation { subnet_id: S, subnet_node_id: 3, classification: graduated });
        for epoch in 5..=6 {
            run_to_epoch(epoch);
            scored_epoch(&[1, 2, 3], &[1, 2]);
        }
        assert_eq!(stake(3), STAKE); // scored for the ladder, not paid
        run_to_epoch(7);
        assert_eq!(class(3), (Validator, 7));
        scored_epoch(&[1, 2, 3], &[1, 2, 3]);
        run_to_epoch(8);
        assert!(stake(3) > STAKE);
        assert!(Network::proof_of_stake(S, peer_id(3).into_inner(), 3, None));
    });
}

#[test]
fn one_missed_epoch_sends_an_included_node_back_to_the_start() {
    let config = GenesisConfig { included_classification_epochs: Some(2), ..devnet() };
    on_chain(config, || {
        live_subnet(2);
        accepted(cold(3), register_node(3));
        scored_epoch(&[1, 2], &[1, 2]);
        run_to_epoch(2);
        accepted(hot(3), activate_node(3));
        for epoch in 2..=4 {
            run_to_epoch(epoch);
            scored_epoch(&[1, 2], &[1, 2]);
        }
        run_to_epoch(5);
        assert_eq!(class(3), (Included, 5));
        for (epoch, scored) in [(5, true), (6, true), (7, false), (8, true), (9, true), (10, true), (11, true)] {
            run_to_epoch(epoch);
            scored_epoch(if scored { &[1, 2, 3] } else { &[1, 2] }, &[1, 2]);
            let run = SubnetNodeConsecutiveIncludedEpochs::<Test>::get(S, 3);
            assert_eq!(run, [0, 0, 1, 0, 1, 2, 3][epoch as usize - 5], "epoch {epoch}");
            assert!(epoch == 11 || class(3) == (Included, 5));
        }
        // 10 % were lost in epoch 7: with two epochs in a row the node waited until its reputation was whole again
        assert_eq!((class(3), reputation(3)), ((Validator, 11), ONE));
    });
}

#[test]
fn activation_in_the_last_epoch_of_grace_works_and_one_later_does_not() {
    on_chain(devnet(), || {
        live_subnet(1);
        accepted(cold(2), register_node(2));
        accepted(cold(3), register_node(3));
        run_to_epoch(5); // start epoch 2 + grace 3
        accepted(hot(2), activate_node(2));
        refused(STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id: S }, Error::NoExpiredNodes);
        run_to_epoch(6);
        refused(hot(3), activate_node(3), Error::ActivationGracePassed);
        refused(cold(3), register_node(3), Error::HotkeyHasOwner);
        accepted(STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id: S });
        happened(Event::SubnetNodeRemoved { subnet_id: S, subnet_node_id: 3, reason: NodeRemovalReason::Expired });
        assert_eq!(stake(3), 0);
        refused(cold(3), Call::claim_unbondings {}, Error::NoStakeUnbondingsOrCooldownNotMet);
        run_to(now() + EL - 1);
        refused(cold(3), Call::claim_unbondings {}, Error::NoStakeUnbondingsOrCooldownNotMet);
        run_to(now() + 1);
        let before = balance(cold(3));
        accepted(cold(3), Call::claim_unbondings {});
        assert_eq!(balance(cold(3)), before + STAKE);
        accepted(cold(3), register_node(3)); // the hotkey is free again
        assert_eq!(node(4).hotkey, hot(3));
    });
}

#[test]
fn an_expired_node_with_a_full_ledger_keeps_its_stake_withdrawable() {
    on_chain(GenesisConfig { max_unbondings: Some(0), ..devnet() }, || {
        live_subnet(1);
        accepted(cold(2), register_node(2));
        run_to_epoch(6);
        accepted(STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id: S });
        assert_eq!(stake(2), STAKE);
        assert_eq!(HotkeyOwner::<Test>::get(hot(2)), cold(2));
    });
}

#[test]
fn nodes_of_a_registered_subnet_activate_at_once_and_late_ones_start_with_it() {
    on_chain(devnet(), || {
        registered_subnet(2);
        assert_eq!(class(1), (Validator, 0));
        accepted(cold(3), register_node(3));
        run_to(27);
        refused(STRANGER, Call::activate_subnet { subnet_id: S }, Error::NotSubnetOwner);
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        happened(Event::SubnetActivated { subnet_id: S });
        refused(OWNER, Call::activate_subnet { subnet_id: S }, Error::SubnetActivatedAlready);
        assert_eq!(class(3), (Registered, 2));
        assert_eq!(SubnetNodeStartCursor::<Test>::get(S), (2, 1));
        refused(hot(3), activate_node(3), Error::NotStartEpoch);
        assert_eq!(SubnetElectedValidator::<Test>::get(S, 1), None);
        run_to(42);
        refused(hot(1), propose(&[]), Error::NoElectedValidator); // general epoch 2 has begun, the subnet's has not
        run_to(43);
        assert!([1, 2].contains(&elected()));
        accepted(hot(3), activate_node(3));
        assert_eq!(class(3), (Idle, 3));
    });
}

#[test]
fn start_epochs_are_given_first_come_first_served() {
    on_chain(devnet(), || {
        live_subnet(1);
        for n in 2..=10 {
            accepted(cold(n), register_node(n));
        }
        let starts: Vec<u32> = (2..=10).map(|id| class(id).1).collect();
        assert_eq!(starts, [2, 2, 2, 2, 3, 3, 3, 3, 4]);
        run_to_epoch(3); // the cursor never goes back
        accepted(cold(11), register_node(11));
        assert_eq!(class(11).1, 4);
        run_to_epoch(4);
        accepted(cold(12), register_node(12));
        assert_eq!(class(12).1, 5);
    });
}

#[test]
fn the_queue_is_bounded_its_price_rises_and_expired_places_are_given_again() {
    on_chain(devnet(), || {
        live_subnet(1);
        let burn = 10_000_000_000_000;
        assert_eq!(Network::node_burn(S), burn);
        for n in 2..=65 {
            accepted(cold(n), register_node(n));
        }
        assert_eq!(Network::node_burn(S), 5 * burn);
        refused(cold(66), register_node(66), Error::MaxRegisteredNodes);
        run_to_epoch(5);
        refused(cold(66), register_node(66), Error::MaxRegisteredNodes);
        run_to_epoch(6); // the first four have expired
        accepted(cold(66), register_node(66));
        assert_eq!(TotalRegisteredSubnetNodes::<Test>::get(S), 63); // two swept, one entered
        let mut dear = register_node(67);
        if let Call::register_subnet_node { max_burn_amount, .. } = &mut dear {
            *max_burn_amount = burn;
        }
        refused(cold(67), dear, Error::MaxBurnAmountExceeded);
    });
}

#[test]
fn an_invitation_limits_who_registers_before_the_activation() {
    on_chain(GenesisConfig { min_subnet_nodes: Some(2), ..devnet() }, || {
        let invite = |coldkeys: &[(AccountId, u32)]| {
            let initial_coldkeys = coldkeys.iter().copied().collect();
            register_subnet(RegistrationSubnetData { initial_coldkeys, ..subnet_named("club") })
        };
        refused(OWNER, invite(&[(cold(1), 1)]), Error::InvalidSubnetRegistrationInitialColdkeys);
        refused(OWNER, invite(&[(cold(1), 1), (cold(2), 0)]), Error::InvalidSubnetRegistrationInitialColdkeys);
        accepted(OWNER, invite(&[(cold(1), 1), (cold(2), 2)]));
        refused(cold(3), register_node(3), Error::ColdkeyRegistrationWhitelist);
        accepted(cold(1), register_node(1));
        refused(cold(1), register_node(4), Error::MaxRegisteredNodes);
        accepted(cold(2), register_node(2));
        accepted(hot(1), activate_node(1));
        refused(OWNER, Call::activate_subnet { subnet_id: S }, Error::SubnetActivationConditionsNotMetYet);
        accepted(hot(2), activate_node(2));
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        accepted(cold(3), register_node(3)); // open to everybody from now on
    });
}
