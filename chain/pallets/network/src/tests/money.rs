//! Settlement to the planck: the worked examples of chain.md 5.6 and the other outcomes (stories 5 to 11).

use super::*;
use ConsensusOutcome::*;

/// Five validators of 100 TENSOR, delegate part 10 %, some delegators, node 1 elected in epoch 1.
fn five(story: impl FnOnce()) {
    on_chain(devnet(), || {
        registered_subnet(5);
        accepted(DELEGATOR, Call::add_to_delegate_stake { subnet_id: S, amount: 3 * TENSOR });
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        run_to_epoch(1);
        decree(1);
        story();
    });
}

fn earned(id: u32) -> u128 {
    stake(id) - STAKE
}

#[test]
fn example_1_unanimous() {
    five(|| {
        run_to_offset(2);
        accepted(hot(1), propose(&[1, 2, 3, 4, 5].map(|id| (id, 20 * PERCENT))));
        run_to_offset(4);
        for id in 2..=5 {
            accepted(hot(id), attest());
        }
        let votes = SubnetConsensusSubmission::<Test>::get(S, 1).unwrap().attests;
        assert_eq!(votes.get(&2).unwrap().reward_factor, 999_999_999_807_845_877);
        run_to(42);
        let emission = FinalSubnetEmissionWeights::<Test>::get(2).unwrap();
        assert_eq!(emission.subnets_emissions, 304_390_778_098_839_422);
        assert_eq!(emission.subnet_weights.get(&S), Some(&ONE));
        let treasury = 76_097_694_524_709_855;
        happened(Event::EmissionWeights { epoch: 2, treasury, subnets: 304_390_778_098_839_422 });
        let owner = balance(OWNER);
        next_epoch();
        assert_eq!(balance(OWNER) - owner, 70_009_878_962_733_067);
        assert_eq!(TotalSubnetDelegateStakeBalance::<Test>::get(S) - 3 * TENSOR, 23_438_089_913_610_635);
        assert_eq!(earned(1), 37_969_705_660_049_229 + 21_094_280_922_249_572);
        for id in 2..=5 {
            assert_eq!(earned(id), 37_969_705_652_753_193);
            assert_eq!(reputation(id), ONE);
        }
        let expected =
            ConsensusResult { outcome: Accepted, attestation_ratio: ONE, minted: 304_390_778_069_655_275, slashed: 0 };
        assert_eq!(result_of(1), expected);
        happened(Event::RewardResult { subnet_id: S, epoch: 1, attestation_percentage: ONE });
    });
}

#[test]
fn example_2_late_silent_left_out() {
    five(|| {
        run_to_offset(10);
        accepted(hot(1), propose(&[1, 2, 3, 4].map(|id| (id, u128::from(id) * 10 * PERCENT))));
        for (id, offset) in [(2, 11), (5, 12), (3, 19)] {
            run_to_offset(offset);
            accepted(hot(id), attest());
        }
        let submission = SubnetConsensusSubmission::<Test>::get(S, 1).unwrap();
        assert_eq!(submission.validator_reward_factor, 50 * PERCENT);
        let factor = |id: u32| submission.attests.get(&id).map(|vote| vote.reward_factor);
        assert_eq!(factor(1), Some(ONE));
        assert_eq!(factor(2), Some(999_999_999_933_000_000));
        assert_eq!(factor(3), Some(766_385_445_133_000_000));
        next_epoch();
        let bonus = 10_547_140_461_124_786;
        assert_eq!(earned(1), 18_984_852_830_024_614 + bonus);
        assert_eq!(earned(2), 37_969_705_657_505_258);
        assert_eq!(earned(3), 43_649_144_660_768_727);
        assert_eq!(earned(4), 25_060_005_735_632_491);
        assert_eq!(earned(5), 0);
        assert_eq!((reputation(4), reputation(5)), (ONE, 90 * PERCENT));
        let result = result_of(1);
        assert_eq!((result.attestation_ratio, result.minted), (80 * PERCENT, 229_658_818_221_399_578));
    });
}

#[test]
fn example_3_rejected() {
    five(|| {
        run_to_offset(2);
        accepted(hot(1), propose(&[(1, ONE)]));
        accepted(hot(2), attest());
        run_to(42);
        let (treasury, issued) = (balance(TREASURY), Balances::total_issuance());
        next_epoch();
        assert_eq!(balance(TREASURY), treasury + TENSOR);
        assert_eq!(Balances::total_issuance(), issued);
        assert_eq!(stake(1), STAKE - TENSOR);
        happened(Event::Slashing { subnet_id: S, account_id: hot(1), amount: TENSOR });
        assert_eq!(reputation(1), 941_685_032_139_577_595);
        assert_eq!(reputation(2), 960_606_060_606_060_606);
        assert_eq!(SubnetReputation::<Test>::get(S), 950_757_575_757_575_758);
        let expected =
            ConsensusResult { outcome: Rejected, attestation_ratio: 40 * PERCENT, minted: 0, slashed: TENSOR };
        assert_eq!(result_of(1), expected);
    });
}

#[test]
fn example_3_with_one_vote_more() {
    five(|| {
        accepted(hot(1), propose(&[(1, ONE)]));
        accepted(hot(2), attest());
        accepted(hot(3), attest());
        next_epoch();
        assert_eq!(result_of(1).slashed, 284_090_909_090_909_093);
        assert_eq!(stake(1), STAKE - 284_090_909_090_909_093);
    });
}

#[test]
fn an_absent_proposer_costs_itself_and_the_subnet() {
    on_chain(devnet(), || {
        live_subnet(3);
        run_to_epoch(2); // nothing to score in the first live epoch
        assert_eq!(result_of(1).outcome, Absent);
        assert_eq!(SubnetReputation::<Test>::get(S), ONE);
        let absent = elected();
        run_to(62);
        let issued = Balances::total_issuance();
        run_to(63);
        assert_eq!((reputation(absent), SubnetReputation::<Test>::get(S)), (95 * PERCENT, 95 * PERCENT));
        let (prev_reputation, new_reputation) = (ONE, 95 * PERCENT);
        happened(Event::NodeReputationUpdate { subnet_id: S, subnet_node_id: absent, prev_reputation, new_reputation });
        assert_eq!(result_of(2), ConsensusResult { outcome: Absent, attestation_ratio: 0, minted: 0, slashed: 0 });
        assert_eq!(Balances::total_issuance(), issued);
        assert!((1..=3).contains(&elected())); // the next election goes on
    });
}

#[test]
fn an_attested_epoch_without_scores_pays_nobody() {
    for scores in [&[][..], &[(1, 0), (2, 0), (3, 0)][..]] {
        on_chain(devnet(), || {
            live_subnet(3);
            accepted(hot(elected()), propose(scores));
            for id in (1..=3).filter(|id| *id != elected()) {
                accepted(hot(id), attest());
            }
            run_to_epoch(2);
            assert_eq!((result_of(1).outcome, SubnetReputation::<Test>::get(S)), (Empty, ONE)); // first live epoch
            accepted(hot(elected()), propose(scores));
            for id in (1..=3).filter(|id| *id != elected()) {
                accepted(hot(id), attest());
            }
            run_to_epoch(3);
            let expected = ConsensusResult { outcome: Empty, attestation_ratio: ONE, minted: 0, slashed: 0 };
            assert_eq!(result_of(2), expected);
            assert_eq!(SubnetReputation::<Test>::get(S), 95 * PERCENT);
            assert!((1..=3).all(|id| reputation(id) == ONE && stake(id) == STAKE));
        });
    }
}

/// Outcome and reputation of the last node, which never votes, when `votes` of `nodes` validators attest.
fn vote(nodes: u32, votes: u32) -> (ConsensusOutcome, u128) {
    let mut outcome = (Absent, 0);
    on_chain(devnet(), || {
        live_subnet(nodes);
        decree(1);
        let ids: Vec<_> = (1..=nodes).collect();
        scored_epoch(&ids, &ids[..votes as usize]);
        next_epoch();
        outcome = (result_of(1).outcome, reputation(nodes));
    });
    outcome
}

#[test]
fn thresholds_are_exact() {
    assert_eq!(vote(3, 2).0, Accepted); // 66.6 %
    assert_eq!(vote(50, 33).0, Accepted); // 66 % exactly
    assert_eq!(vote(44, 29).0, Rejected); // 65.9 %
    assert_eq!(vote(8, 7), (Accepted, 90 * PERCENT)); // 87.5 % exactly: silence costs
    assert_eq!(vote(7, 6), (Accepted, ONE)); // 85.7 %: it does not
}

#[test]
fn a_nodes_pay_is_split_among_delegates_its_account_and_its_stake() {
    on_chain(devnet(), || {
        registered_subnet(1);
        let mut call = register_node(2);
        if let Call::register_subnet_node { delegate_reward_rate, delegate_account, .. } = &mut call {
            *delegate_reward_rate = 25 * PERCENT;
            *delegate_account = Some(DelegateAccount { account_id: 4242, rate: 50 * PERCENT });
        }
        accepted(cold(2), call);
        accepted(hot(2), activate_node(2));
        accepted(DELEGATOR, Call::add_to_delegate_stake { subnet_id: S, amount: TENSOR });
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        run_to_epoch(1);
        decree(1);
        scored_epoch(&[1, 2], &[1, 2]);
        next_epoch();
        let bonus_free = earned(1) - result_bonus();
        let pay = earned(2) + balance(4242) + pool_share_of_node_2();
        assert_eq!(bonus_free, pay);
        assert_eq!(balance(4242), pay / 2);
        assert_eq!(pool_share_of_node_2(), pay / 4);
    });
}

/// B·f_p of the story above, whose proposal came at once.
fn result_bonus() -> u128 {
    let all = FinalSubnetEmissionWeights::<Test>::get(2).unwrap().subnets_emissions;
    let rest = all - mul(all, 23 * PERCENT);
    mul(rest - mul(rest, 10 * PERCENT), 10 * PERCENT)
}

fn pool_share_of_node_2() -> u128 {
    let paid = System::events().into_iter().find_map(|record| match record.event {
        RuntimeEvent::Network(Event::SubnetRewards { node_delegate_stake_rewards, .. }) => {
            node_delegate_stake_rewards.into_iter().find(|(id, _)| *id == 2)
        }
        _ => None,
    });
    paid.unwrap().1
}

#[test]
fn emission_is_shared_by_stake_and_delegate_stake() {
    on_chain(devnet(), || {
        live_subnet(1);
        accepted(STRANGER, register_subnet(subnet_named("other")));
        let mut call = register_node(2);
        if let Call::register_subnet_node { subnet_id, stake_to_be_added, .. } = &mut call {
            (*subnet_id, *stake_to_be_added) = (S + 1, 300 * TENSOR);
        }
        accepted(cold(2), call);
        accepted(hot(2), Call::activate_subnet_node { subnet_id: S + 1, subnet_node_id: 1 });
        accepted(STRANGER, Call::activate_subnet { subnet_id: S + 1 });
        run_to(42);
        let weights = FinalSubnetEmissionWeights::<Test>::get(2).unwrap().subnet_weights;
        assert_eq!((weights.get(&S), weights.get(&(S + 1))), (Some(&(25 * PERCENT)), Some(&(75 * PERCENT))));
        accepted(DELEGATOR, Call::add_to_delegate_stake { subnet_id: S, amount: TENSOR });
        run_to(62);
        let weights = FinalSubnetEmissionWeights::<Test>::get(3).unwrap().subnet_weights;
        assert_eq!(weights.get(&S), Some(&(62 * PERCENT + PERCENT / 2)));
        assert_eq!(weights.get(&(S + 1)), Some(&(37 * PERCENT + PERCENT / 2)));
    });
}

#[test]
fn history_is_kept_for_as_long_as_said() {
    on_chain(GenesisConfig { history_epochs: Some(3), ..devnet() }, || {
        live_subnet(1);
        for epoch in 1..=6 {
            run_to_epoch(epoch);
            scored_epoch(&[1], &[1]);
        }
        run_to_epoch(7);
        let mut kept: Vec<u32> = SubnetConsensusSubmission::<Test>::iter_key_prefix(S).collect();
        kept.sort_unstable();
        assert_eq!(kept, [5, 6]);
        assert_eq!(SubnetElectedValidator::<Test>::iter_key_prefix(S).count(), 3);
        assert_eq!(FinalSubnetEmissionWeights::<Test>::iter_keys().count(), 3);
    });
}
