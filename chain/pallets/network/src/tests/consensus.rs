//! Election, proposal and votes: stories 12 to 14 and the statistics of 26.

use super::*;
use SubnetNodeClass::*;

/// Validators 1 to 3, node 4 Registered, node 5 Idle, in epoch 2; node 1 is elected.
fn mixed(story: impl FnOnce()) {
    on_chain(devnet(), || {
        live_subnet(3);
        accepted(cold(4), register_node(4));
        accepted(cold(5), register_node(5));
        run_to_epoch(2);
        accepted(hot(5), activate_node(5));
        decree(1);
        story();
    });
}

fn stored_scores(epoch: u32) -> Vec<(u32, u128)> {
    let submission = SubnetConsensusSubmission::<Test>::get(S, epoch).unwrap();
    submission.data.into_iter().map(|entry| (entry.subnet_node_id, entry.score)).collect()
}

#[test]
fn scores_are_stored_in_canonical_form() {
    mixed(|| {
        accepted(hot(1), propose(&[(3, 7), (1, 5), (2, 8), (1, 4), (4, 1), (5, 1), (99, 1), (1, 6)]));
        assert_eq!(stored_scores(2), [(1, 4), (2, 8), (3, 7)]);
        let submission = SubnetConsensusSubmission::<Test>::get(S, 2).unwrap();
        assert_eq!(submission.validator_ids, vec![1, 2, 3]);
        let snapshot: Vec<_> =
            submission.subnet_nodes.iter().map(|node| (node.id, node.classification.node_class)).collect();
        assert_eq!(snapshot, [(1, Validator), (2, Validator), (3, Validator), (5, Idle)]);
        assert_eq!(submission.attests.keys().copied().collect::<Vec<_>>(), [1]);
        happened(Event::ValidatorSubmission { subnet_id: S, account_id: hot(1), epoch: 2 });
    });
}

#[test]
fn proposals_are_refused_with_the_reason() {
    mixed(|| {
        let mut unknown = propose(&[]);
        if let Call::propose_attestation { subnet_id, .. } = &mut unknown {
            *subnet_id = 7;
        }
        refused(hot(1), unknown, Error::InvalidSubnetId);
        refused(hot(2), propose(&[]), Error::InvalidValidator);
        refused(cold(1), propose(&[]), Error::InvalidValidator);
        let mut queue = propose(&[]);
        if let Call::propose_attestation { remove_queue_node_id, .. } = &mut queue {
            *remove_queue_node_id = Some(4);
        }
        refused(hot(1), queue, Error::QueueGovernanceUnsupported);
        let most = 1_000_000 * ONE;
        refused(hot(1), propose(&[(1, most + 1)]), Error::ScoreOverflow);
        accepted(hot(1), propose(&[(1, most)]));
        refused(hot(1), propose(&[(1, 1)]), Error::SubnetRewardsAlreadySubmitted);
    });
}

#[test]
fn votes_are_refused_with_the_reason() {
    mixed(|| {
        refused(hot(2), attest(), Error::InvalidSubnetConsensusSubmission);
        accepted(hot(1), propose(&[(1, ONE)]));
        refused(hot(1), attest(), Error::AlreadyAttested);
        refused(STRANGER, attest(), Error::InvalidHotkeySubnetNodeId);
        refused(cold(2), attest(), Error::InvalidHotkeySubnetNodeId);
        refused(hot(4), attest(), Error::InvalidSubnetNodeId);
        refused(hot(5), attest(), Error::InvalidSubnetNodeClassification);
        accepted(hot(2), attest());
        happened(Event::Attestation { subnet_id: S, account_id: hot(2), subnet_node_id: 2, epoch: 2 });
        refused(hot(2), attest(), Error::AlreadyAttested);
    });
}

#[test]
fn who_may_vote_is_frozen_with_the_proposal() {
    mixed(|| {
        accepted(hot(1), propose(&[(1, ONE)]));
        Network::graduate(S, node(5), Classification::new(Validator, 2)).unwrap();
        refused(hot(5), attest(), Error::InvalidValidatorId);
    });
}

#[test]
fn a_node_that_left_before_the_settlement_is_not_paid_and_the_rest_is_exact() {
    let run = |leaves: bool| {
        let mut stakes = Vec::new();
        on_chain(devnet(), || {
            live_subnet(4);
            decree(1);
            scored_epoch(&[1, 2, 3, 4], &[1, 2, 3, 4]);
            if leaves {
                accepted(cold(3), Call::remove_subnet_node { subnet_id: S, subnet_node_id: 3 });
            }
            run_to(42);
            // the weights of epoch 2 know who left; the shares here must not depend on it
            let mut weights = FinalSubnetEmissionWeights::<Test>::get(2).unwrap();
            weights.subnets_emissions = TENSOR;
            FinalSubnetEmissionWeights::<Test>::insert(2, weights);
            run_to(43);
            stakes = [1, 2, 3, 4].map(stake).to_vec();
        });
        stakes
    };
    let (all, without) = (run(false), run(true));
    assert_eq!((without[0], without[1], without[3]), (all[0], all[1], all[3]));
    assert_eq!(without[2], STAKE);
    assert!(all[2] > STAKE);
}

#[test]
fn a_proposal_belongs_to_the_epoch_of_its_block() {
    on_chain(devnet(), || {
        live_subnet(2);
        accepted(hot(elected()), propose(&[(1, ONE)])); // already in the election block
        run_to_offset(EL - 1);
        next_epoch();
        let late = elected();
        run_to_offset(EL - 1); // the last block of epoch 2
        accepted(hot(late), propose(&[(1, ONE)]));
        let submission = SubnetConsensusSubmission::<Test>::get(S, 2).unwrap();
        assert_eq!((submission.block, submission.validator_reward_factor), (62, 0));
        run_to(63);
        decree(if late == 1 { 2 } else { 1 });
        refused(hot(late), propose(&[(1, ONE)]), Error::InvalidValidator);
        assert!(!SubnetConsensusSubmission::<Test>::contains_key(S, 3));
    });
}

#[test]
fn nobody_is_elected_where_all_weights_are_zero() {
    on_chain(devnet(), || {
        live_subnet(2);
        for id in 1..=2 {
            SubnetNodeReputation::<Test>::insert(S, id, 0);
        }
        SubnetElectedValidator::<Test>::remove(S, 1); // no settlement, hence no removal
        next_epoch();
        assert_eq!(SubnetElectedValidator::<Test>::get(S, 2), None);
        refused(hot(1), propose(&[]), Error::NoElectedValidator);
    });
}

#[test]
fn draws_follow_the_weights() {
    let weights = [(3, 100 * ONE), (5, 200 * ONE), (8, 0), (300, 700 * ONE)];
    let mut seen = std::collections::BTreeMap::<u32, f64>::new();
    for i in 0..10_000u32 {
        let id = crate::election::draw(&sp_io::hashing::blake2_256(&i.to_le_bytes()), &weights).unwrap();
        *seen.entry(id).or_default() += 1.0;
    }
    assert!(!seen.contains_key(&8));
    let expected = [(3, 1000.0), (5, 2000.0), (300, 7000.0)];
    let chi2: f64 = expected.iter().map(|(id, n): &(u32, f64)| (seen[id] - n).powi(2) / n).sum();
    assert!(chi2 < 13.8, "chi² {chi2} with 2 degrees of freedom (p = 0.001)");
    assert_eq!(crate::election::draw(&[9; 32], &[(1, 0)]), None);
    assert_eq!(crate::election::draw(&[9; 32], &[]), None);
}

#[test]
fn subnets_draw_independently() {
    on_chain(devnet(), || {
        for (owner, name) in [(OWNER, "one"), (STRANGER, "two")] {
            accepted(owner, register_subnet(subnet_named(name)));
        }
        for (subnet, first) in [(S, 1), (S + 1, 3)] {
            for n in first..first + 2 {
                let mut call = register_node(n);
                if let Call::register_subnet_node { subnet_id, .. } = &mut call {
                    *subnet_id = subnet;
                }
                accepted(cold(n), call);
                accepted(hot(n), Call::activate_subnet_node { subnet_id: subnet, subnet_node_id: n - first + 1 });
            }
        }
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        accepted(STRANGER, Call::activate_subnet { subnet_id: S + 1 });
        run_to(44);
        let mut equal = 0;
        for epoch in 2..62 {
            run_to(epoch * EL + 4);
            for subnet in [S, S + 1] {
                for id in 1..=2 {
                    SubnetNodeReputation::<Test>::insert(subnet, id, ONE);
                }
                SubnetReputation::<Test>::insert(subnet, ONE);
            }
            let of = |subnet| SubnetElectedValidator::<Test>::get(subnet, epoch).unwrap();
            equal += u32::from(of(S) == of(S + 1));
        }
        assert!((15..=45).contains(&equal), "{equal} of 60 epochs elected the same number");
    });
}
