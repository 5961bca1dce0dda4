//! No change that somebody acts upon happens without an event (chain.md 3.4), and the refusals that other stories do not meet.

use super::*;

#[test]
fn a_subnets_life_is_told() {
    on_chain(devnet(), || {
        registered_subnet(1);
        happened(Event::SubnetRegistered { owner: OWNER, name: text("story"), subnet_id: S });
        let data = Node { classification: Classification::new(SubnetNodeClass::Registered, 0), ..node(1) };
        let (coldkey, hotkey) = (cold(1), hot(1));
        happened(Event::SubnetNodeRegistered { subnet_id: S, subnet_node_id: 1, coldkey, hotkey, data });
        accepted(OWNER, Call::update_misc { subnet_id: S, misc: text("new") });
        happened(Event::SubnetMiscUpdated { subnet_id: S, misc: text("new") });
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
        run_to_epoch(1);
        happened(Event::ValidatorElected { subnet_id: S, epoch: 1, subnet_node_id: 1 });
        run_to_epoch(2);
        run_to_epoch(3); // nobody proposed in epoch 2
        let (prev_reputation, new_reputation) = (ONE, 95 * PERCENT);
        happened(Event::SubnetReputationUpdate { subnet_id: S, prev_reputation, new_reputation });
        root(Call::pause {}).unwrap();
        root(Call::unpause {}).unwrap();
        happened(Event::TxPaused);
        happened(Event::TxUnpaused);
    });
}

#[test]
fn changes_of_a_node_are_told() {
    on_chain(devnet(), || {
        registered_subnet(1);
        let (subnet_id, subnet_node_id, hotkey) = (S, 1, hot(1));
        accepted(cold(1), Call::add_stake { subnet_id, subnet_node_id, hotkey, stake_to_be_added: 7 });
        happened(Event::StakeAdded { subnet_id, subnet_node_id, hotkey, amount: 7 });
        let peer_info = Some(peer(2));
        let new_bootnode_peer_info = peer_info.clone();
        accepted(cold(1), Call::update_bootnode_peer_info { subnet_id, subnet_node_id, new_bootnode_peer_info });
        happened(Event::SubnetNodeUpdateBootnodePeerInfo { subnet_id, subnet_node_id, peer_info });
        let peer_info = Some(peer(3));
        let new_client_peer_info = peer_info.clone();
        accepted(cold(1), Call::update_client_peer_info { subnet_id, subnet_node_id, new_client_peer_info });
        happened(Event::SubnetNodeUpdateClientPeerInfo { subnet_id, subnet_node_id, peer_info });
        let delegate_account = Some(DelegateAccount { account_id: STRANGER, rate: PERCENT });
        let new_delegate_account = delegate_account.clone();
        accepted(cold(1), Call::update_delegate_account { subnet_id, subnet_node_id, new_delegate_account });
        happened(Event::SubnetNodeUpdateDelegateAccount { subnet_id, subnet_node_id, delegate_account });
        let new_delegate_reward_rate = 3 * PERCENT;
        accepted(
            cold(1),
            Call::update_node_delegate_reward_rate { subnet_id, subnet_node_id, new_delegate_reward_rate },
        );
        let delegate_reward_rate = 3 * PERCENT;
        happened(Event::SubnetNodeUpdateDelegateRewardRate { subnet_id, subnet_node_id, delegate_reward_rate });
        assert_eq!(node(1).last_delegate_reward_rate_update, now());
        let unique = Some(text("one"));
        accepted(cold(1), Call::update_unique { subnet_id, subnet_node_id, unique: unique.clone() });
        happened(Event::SubnetNodeUpdateUnique { subnet_id, subnet_node_id, unique });
        let non_unique = Some(text("two"));
        accepted(cold(1), Call::update_non_unique { subnet_id, subnet_node_id, non_unique: non_unique.clone() });
        happened(Event::SubnetNodeUpdateNonUnique { subnet_id, subnet_node_id, non_unique });
        accepted(cold(1), Call::update_hotkey { old_hotkey: hotkey, new_hotkey: hot(9) });
        happened(Event::HotkeyUpdated { coldkey: cold(1), hotkey, new_hotkey: hot(9) });
        accepted(cold(1), Call::update_coldkey { hotkey: hot(9), new_coldkey: cold(9) });
        happened(Event::ColdkeyUpdated { hotkey: hot(9), coldkey: cold(1), new_coldkey: cold(9) });
    });
}

#[test]
fn delegation_is_told() {
    on_chain(devnet(), || {
        registered_subnet(1);
        let (subnet_id, account_id) = (S, DELEGATOR);
        accepted(DELEGATOR, Call::add_to_delegate_stake { subnet_id, amount: 5000 });
        let shares = 5_000_000;
        happened(Event::DelegateStakeAdded { subnet_id, account_id, amount: 5000, shares });
        accepted(DELEGATOR, Call::donate_delegate_stake { subnet_id, amount: 5 });
        happened(Event::DelegateStakeDonated { subnet_id, account_id, amount: 5 });
        accepted(DELEGATOR, Call::transfer_delegate_stake { subnet_id, to: STRANGER, shares: 1_000_000 });
        happened(Event::DelegateStakeTransferred { subnet_id, from: DELEGATOR, to: STRANGER, shares: 1_000_000 });
        let amount = Network::shares_to_balance(S, 1_000_000);
        accepted(STRANGER, Call::remove_delegate_stake { subnet_id, shares: 1_000_000 });
        let (account_id, shares, claim_block) = (STRANGER, 1_000_000, now() + EL);
        happened(Event::DelegateStakeRemoved { subnet_id, account_id, amount, shares, claim_block });
    });
}

#[test]
fn shares_too_dear_for_the_amount_are_refused() {
    on_chain(devnet(), || {
        registered_subnet(1);
        accepted(STRANGER, Call::add_to_delegate_stake { subnet_id: S, amount: 1000 });
        accepted(STRANGER, Call::donate_delegate_stake { subnet_id: S, amount: TENSOR });
        let small = Call::add_to_delegate_stake { subnet_id: S, amount: 1000 };
        refused(DELEGATOR, small, Error::CouldNotConvertToShares);
    });
}

#[test]
fn limits_of_nodes_and_hotkeys_hold() {
    on_chain(devnet(), || {
        registered_subnet(1);
        MaxSubnetNodes::<Test>::put(1);
        refused(cold(2), register_node(2), Error::SubnetNodesMax);
        MaxSubnetNodes::<Test>::put(MAX_NODES);
        let keys: std::collections::BTreeSet<AccountId> = (0..u64::from(MAX_HOTKEYS)).map(|n| 9_000_000 + n).collect();
        ColdkeyHotkeys::<Test>::insert(cold(2), Hotkeys::<AccountId>::try_from(keys).unwrap());
        refused(cold(2), register_node(2), Error::TooManyHotkeys);
        refused(cold(1), Call::update_coldkey { hotkey: hot(1), new_coldkey: cold(2) }, Error::TooManyHotkeys);
        ColdkeyHotkeys::<Test>::remove(cold(2));
        let mut call = register_node(2);
        if let Call::register_subnet_node { client_peer_info, .. } = &mut call {
            *client_peer_info = Some(PeerInfo { peer_id: text("nobody"), multiaddr: None });
        }
        refused(cold(2), call, Error::InvalidClientPeerId);
    });
}

#[test]
fn a_subnet_is_not_activated_before_its_time() {
    on_chain(GenesisConfig { min_subnet_registration_epochs: Some(2), ..devnet() }, || {
        registered_subnet(1);
        run_to(2 * EL - 1);
        refused(OWNER, Call::activate_subnet { subnet_id: S }, Error::MinSubnetRegistrationEpochsNotMet);
        run_to(2 * EL);
        accepted(OWNER, Call::activate_subnet { subnet_id: S });
    });
}

#[test]
#[should_panic(expected = "a percentage is at most 10^18")]
fn a_chain_that_pays_more_than_all_does_not_start() {
    on_chain(GenesisConfig { subnet_owner_percentage: Some(ONE + 1), ..devnet() }, || {});
}

#[test]
#[should_panic(expected = "maxRegisteredNodes is at most 64")]
fn a_chain_with_a_longer_queue_does_not_start() {
    on_chain(GenesisConfig { max_registered_nodes: Some(65), ..devnet() }, || {});
}
