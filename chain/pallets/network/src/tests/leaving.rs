//! Stake out, nodes out, keys changed: stories 15 to 17.

use super::*;

fn remove_node(id: NodeId) -> Call<Test> {
    Call::remove_subnet_node { subnet_id: S, subnet_node_id: id }
}
fn remove_stake(n: u32, amount: u128) -> Call<Test> {
    Call::remove_stake { subnet_id: S, hotkey: hot(n), stake_to_be_removed: amount }
}
fn add_stake(id: NodeId, n: u32, amount: u128) -> Call<Test> {
    Call::add_stake { subnet_id: S, subnet_node_id: id, hotkey: hot(n), stake_to_be_added: amount }
}

#[test]
fn the_elected_node_can_leave_after_its_epoch() {
    on_chain(devnet(), || {
        live_subnet(2);
        accepted(cold(1), add_stake(1, 1, TENSOR));
        decree(1);
        refused(cold(1), remove_stake(1, TENSOR), Error::ElectedValidatorCannotUnstake);
        refused(cold(1), remove_node(1), Error::ElectedValidatorCannotRemove);
        refused(hot(1), remove_node(1), Error::ElectedValidatorCannotRemove);
        next_epoch();
        decree(2);
        refused(hot(2), remove_node(1), Error::NotKeyOwner);
        accepted(hot(1), remove_node(1));
        happened(Event::SubnetNodeRemoved { subnet_id: S, subnet_node_id: 1, reason: NodeRemovalReason::Request });
        refused(hot(1), remove_node(1), Error::InvalidSubnetNodeId);
        refused(cold(2), remove_stake(1, TENSOR), Error::NotKeyOwner);
        accepted(cold(1), remove_stake(1, STAKE));
        assert_eq!(HotkeyOwner::<Test>::get(hot(1)), cold(1)); // 1 TENSOR is left
        accepted(cold(1), remove_stake(1, TENSOR));
        assert!(!HotkeyOwner::<Test>::contains_key(hot(1)));
    });
}

#[test]
fn a_live_node_keeps_its_minimum() {
    on_chain(devnet(), || {
        live_subnet(1);
        accepted(cold(2), register_node(2));
        refused(cold(2), remove_stake(2, 1), Error::MinStakeNotReached); // also while Registered
        refused(cold(2), remove_stake(2, 0), Error::AmountZero);
        refused(cold(2), remove_stake(2, STAKE + 1), Error::NotEnoughStakeToWithdraw);
        refused(cold(2), add_stake(2, 2, 0), Error::InvalidAmount);
        refused(cold(2), add_stake(1, 2, 1), Error::InvalidSubnetNodeId);
        refused(cold(1), add_stake(2, 2, 1), Error::NotKeyOwner);
        refused(cold(2), add_stake(2, 2, 900 * TENSOR + 1), Error::MaxStakeReached);
        accepted(cold(2), add_stake(2, 2, 900 * TENSOR));
        accepted(cold(2), remove_stake(2, 900 * TENSOR));
        let claim_block = now() + EL;
        happened(Event::StakeRemoved { subnet_id: S, hotkey: hot(2), amount: 900 * TENSOR, claim_block });
    });
}

#[test]
fn unbondings_of_a_block_merge_and_are_bounded() {
    on_chain(GenesisConfig { stake_cooldown_epochs: Some(2), ..devnet() }, || {
        registered_subnet(1);
        accepted(cold(1), add_stake(1, 1, 100 * TENSOR));
        accepted(cold(1), remove_stake(1, TENSOR));
        accepted(cold(1), remove_stake(1, TENSOR));
        let first = now() + 2 * EL;
        let ledger = StakeUnbondingLedger::<Test>::get(cold(1));
        assert_eq!(ledger.into_inner(), [(first, 2 * TENSOR)].into());
        for _ in 2..=32 {
            run_to(now() + 1);
            accepted(cold(1), remove_stake(1, TENSOR));
        }
        run_to(now() + 1);
        refused(cold(1), remove_stake(1, TENSOR), Error::MaxUnlockingsReached);
        run_to(first - 1);
        refused(cold(1), Call::claim_unbondings {}, Error::NoStakeUnbondingsOrCooldownNotMet);
        run_to(first);
        accepted(cold(1), Call::claim_unbondings {});
        happened(Event::UnbondingClaimed { account: cold(1), amount: 2 * TENSOR });
        accepted(cold(1), remove_stake(1, TENSOR));
    });
}

#[test]
fn reputation_ground_down_removes_the_node_and_leaves_its_stake() {
    on_chain(devnet(), || {
        live_subnet(3);
        let mut epochs = 0;
        while SubnetNodesData::<Test>::contains_key(S, 3) {
            decree(1);
            scored_epoch(&[1, 2], &[1, 2]); // never node 3
            next_epoch();
            epochs += 1;
        }
        assert_eq!(epochs, 22); // 0.9^22 < 10 %
        happened(Event::SubnetNodeRemoved { subnet_id: S, subnet_node_id: 3, reason: NodeRemovalReason::Reputation });
        accepted(cold(3), remove_stake(3, STAKE));
    });
}

#[test]
fn peers_can_be_changed_by_either_key() {
    on_chain(devnet(), || {
        registered_subnet(2);
        let update = |info| Call::update_peer_info { subnet_id: S, subnet_node_id: 1, new_peer_info: info };
        accepted(hot(1), update(peer(50)));
        happened(Event::SubnetNodeUpdatePeerInfo { subnet_id: S, subnet_node_id: 1, peer_info: peer(50) });
        assert!(Network::proof_of_stake(S, peer_id(50).into_inner(), 3, None));
        assert!(!Network::proof_of_stake(S, peer_id(1).into_inner(), 0, None));
        accepted(cold(1), update(PeerInfo { multiaddr: None, ..peer(50) })); // the same peer at another place
        refused(hot(1), update(peer(2)), Error::PeerIdExist);
        refused(hot(2), update(peer(51)), Error::NotKeyOwner);
        let boot =
            |info| Call::update_bootnode_peer_info { subnet_id: S, subnet_node_id: 1, new_bootnode_peer_info: info };
        let client =
            |info| Call::update_client_peer_info { subnet_id: S, subnet_node_id: 1, new_client_peer_info: info };
        refused(hot(1), boot(Some(peer(50))), Error::PeerIdsMustBeUnique);
        refused(hot(1), boot(Some(peer(2))), Error::BootnodePeerIdExist);
        accepted(hot(1), boot(Some(peer(52))));
        refused(hot(1), client(Some(peer(52))), Error::PeerIdsMustBeUnique);
        refused(hot(2), update_of(2, peer(52)), Error::PeerIdExist);
        accepted(hot(1), client(Some(peer(53))));
        assert!(Network::proof_of_stake(S, peer_id(53).into_inner(), 3, None));
        accepted(hot(1), boot(None));
        assert!(!Network::proof_of_stake(S, peer_id(52).into_inner(), 0, None));
    });
}

fn update_of(id: NodeId, info: PeerInfo) -> Call<Test> {
    Call::update_peer_info { subnet_id: S, subnet_node_id: id, new_peer_info: info }
}

#[test]
fn the_coldkey_sets_what_a_node_says_and_shares() {
    on_chain(devnet(), || {
        registered_subnet(2);
        let rate = |rate| Call::update_node_delegate_reward_rate {
            subnet_id: S,
            subnet_node_id: 1,
            new_delegate_reward_rate: rate,
        };
        let account = |rate| Call::update_delegate_account {
            subnet_id: S,
            subnet_node_id: 1,
            new_delegate_account: Some(DelegateAccount { account_id: STRANGER, rate }),
        };
        refused(hot(1), rate(0), Error::NotKeyOwner);
        accepted(cold(1), rate(40 * PERCENT));
        refused(cold(1), account(60 * PERCENT + 1), Error::InvalidDelegateRewardRate);
        accepted(cold(1), account(60 * PERCENT));
        refused(cold(1), rate(40 * PERCENT + 1), Error::InvalidDelegateRewardRate);
        let unique = |id, words: &str| Call::update_unique {
            subnet_id: S,
            subnet_node_id: id,
            unique: (!words.is_empty()).then(|| text(words)),
        };
        accepted(cold(1), unique(1, "me"));
        accepted(cold(1), unique(1, "me"));
        refused(cold(2), unique(2, "me"), Error::SubnetNodeUniqueParamTaken);
        accepted(cold(1), unique(1, ""));
        accepted(cold(2), unique(2, "me"));
        let non_unique = Some(text("anything"));
        accepted(cold(1), Call::update_non_unique { subnet_id: S, subnet_node_id: 1, non_unique });
        assert_eq!(node(1).non_unique, Some(text("anything")));
    });
}

#[test]
fn keys_change_hands_and_the_node_goes_on() {
    on_chain(devnet(), || {
        live_subnet(2);
        decree(1);
        let coldkey = |new| Call::update_coldkey { hotkey: hot(1), new_coldkey: new };
        let hotkey = |new| Call::update_hotkey { old_hotkey: hot(1), new_hotkey: new };
        refused(STRANGER, coldkey(STRANGER), Error::NotKeyOwner);
        refused(cold(1), coldkey(hot(1)), Error::ColdkeyMatchesHotkey);
        accepted(cold(1), coldkey(STRANGER));
        refused(cold(1), hotkey(hot(7)), Error::NotKeyOwner);
        refused(STRANGER, hotkey(hot(2)), Error::HotkeyHasOwner);
        refused(STRANGER, hotkey(STRANGER), Error::ColdkeyMatchesHotkey);
        accepted(STRANGER, hotkey(hot(7)));
        assert_eq!((stake(1), stake(7)), (0, STAKE));
        refused(hot(1), propose(&[(1, ONE)]), Error::InvalidValidator);
        accepted(hot(7), propose(&[(1, ONE)]));
        accepted(hot(2), attest());
        refused(hot(7), attest(), Error::AlreadyAttested);
        next_epoch();
        assert!(stake(7) > STAKE);
    });
}
