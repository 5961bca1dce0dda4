//! What must hold after every block (chain.md 6), whatever was called.

use super::*;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

pub fn check() {
    money();
    let subnets: BTreeSet<SubnetId> = SubnetSlot::<Test>::iter_keys().collect();
    for subnet in &subnets {
        nodes(*subnet);
        peers(*subnet);
        election(*subnet);
        epochs(*subnet);
    }
    hotkeys();
    slots(&subnets);
}

/// 5: what a block minted by itself is at most what its epoch may give.
pub fn check_minted(minted: u128) {
    let epoch = FinalSubnetEmissionWeights::<Test>::get(Network::epoch());
    let ceiling = epoch.map_or(0, |epoch| epoch.subnets_emissions);
    // block 2 of an epoch mints the treasury's part, a fifth of the whole
    let limit = if now() % EpochLength::get() == 2 { ceiling / 4 + 1 } else { ceiling };
    assert!(minted <= limit, "{minted} minted in block {}", now());
}

/// 5.3, in the block of a settlement: of two nodes with the same score the one that attested earlier is paid as much or more, and silence
/// is paid less than any vote. Nodes that share their pay with others are left out, and the proposer with its bonus.
pub fn check_pay() {
    for record in System::events() {
        if let RuntimeEvent::Network(Event::SubnetRewards { subnet_id, node_rewards, .. }) = record.event {
            check_order_of_pay(subnet_id, &node_rewards.into_iter().collect());
        }
    }
}

thread_local! {
    static COMPARED: Cell<u32> = const { Cell::new(0) };
}

/// How often this thread saw a vote and a silence that were paid for the same score: a walk that never does proves nothing of it.
pub fn compared_with_silence() -> u32 {
    COMPARED.with(Cell::get)
}

fn check_order_of_pay(subnet: SubnetId, pay: &BTreeMap<NodeId, u128>) {
    let submission = SubnetConsensusSubmission::<Test>::get(subnet, epoch_of(subnet) - 1).unwrap();
    let keeps_all = |id: &NodeId| {
        let node = SubnetNodesData::<Test>::get(subnet, id);
        node.is_some_and(|node| node.delegate_reward_rate == 0 && node.delegate_account.is_none())
    };
    let compared = |id: &NodeId| *id != submission.validator_id && pay.contains_key(id) && keeps_all(id);
    let paid: Vec<_> = submission.data.iter().filter(|entry| compared(&entry.subnet_node_id)).collect();
    let voted = |id: NodeId| submission.attests.get(&id).map(|vote| vote.block);
    for (a, b) in paid.iter().flat_map(|a| paid.iter().map(move |b| (a, b))).filter(|(a, b)| a.score == b.score) {
        let (earlier, later) = (pay[&a.subnet_node_id], pay[&b.subnet_node_id]);
        match (voted(a.subnet_node_id), voted(b.subnet_node_id)) {
            (Some(first), Some(second)) if first <= second => assert!(earlier >= later),
            (Some(_), None) => {
                assert!(earlier > later);
                COMPARED.with(|count| count.set(count.get() + 1));
            }
            _ => {}
        }
    }
}

/// 1, 2, 3, 4
fn money() {
    let held = TotalStake::<Test>::get() + TotalDelegateStake::<Test>::get() + TotalUnbondingBalance::<Test>::get();
    assert_eq!(balance(Network::pot()), EXISTENTIAL_DEPOSIT + held);
    let accounts: u128 = frame_system::Account::<Test>::iter_keys().map(balance).sum();
    assert_eq!(Balances::total_issuance(), accounts);
    let stakes: Vec<_> = AccountSubnetStake::<Test>::iter().collect();
    assert_eq!(TotalStake::<Test>::get(), stakes.iter().map(|(_, _, stake)| stake).sum());
    assert!(stakes.iter().all(|(_, _, stake)| *stake > 0));
    assert_eq!(TotalStake::<Test>::get(), TotalSubnetStake::<Test>::iter_values().sum());
    assert_eq!(TotalDelegateStake::<Test>::get(), TotalSubnetDelegateStakeBalance::<Test>::iter_values().sum());
    let ledgers: u128 =
        StakeUnbondingLedger::<Test>::iter_values().flat_map(|ledger| ledger.into_iter()).map(|(_, sum)| sum).sum();
    assert_eq!(TotalUnbondingBalance::<Test>::get(), ledgers);
    let mut shares = BTreeMap::<SubnetId, u128>::new();
    for (_, subnet, held) in AccountSubnetDelegateStakeShares::<Test>::iter() {
        *shares.entry(subnet).or_default() += held;
    }
    for (subnet, all) in TotalSubnetDelegateStakeShares::<Test>::iter() {
        assert_eq!(shares.get(&subnet).copied().unwrap_or_default(), all);
        assert!(Network::shares_to_balance(subnet, all) <= TotalSubnetDelegateStakeBalance::<Test>::get(subnet));
    }
}

/// 6, 8, 9
fn nodes(subnet: SubnetId) {
    let all: Vec<Node> = SubnetNodesData::<Test>::iter_prefix_values(subnet).collect();
    let registered: BTreeMap<_, _> = RegisteredSubnetNodesData::<Test>::iter_prefix(subnet).collect();
    let waiting = |node: &&Node| node.classification.node_class == SubnetNodeClass::Registered;
    assert_eq!(registered, all.iter().filter(waiting).map(|node| (node.id, node.clone())).collect());
    assert_eq!(TotalSubnetNodes::<Test>::get(subnet) as usize, all.len());
    assert_eq!(TotalRegisteredSubnetNodes::<Test>::get(subnet) as usize, registered.len());
    check_churn(subnet, &registered);
    let ids: BTreeSet<NodeId> = all.iter().map(|node| node.id).collect();
    for (id, reputation) in SubnetNodeReputation::<Test>::iter_prefix(subnet) {
        assert!(ids.contains(&id) && reputation <= ONE);
    }
    assert!(SubnetReputation::<Test>::get(subnet) <= ONE);
}

/// 15: the cursor gives each start epoch to a few nodes only; those that were there at the activation share the first.
fn check_churn(subnet: SubnetId, registered: &BTreeMap<NodeId, Node>) {
    let Some(data) = SubnetsData::<Test>::get(subnet) else { return };
    let mut sharing = BTreeMap::<u32, u32>::new();
    for node in registered.values().filter(|node| node.classification.start_epoch > data.start_epoch) {
        *sharing.entry(node.classification.start_epoch).or_default() += 1;
    }
    let limit = ChurnLimit::<Test>::get(subnet);
    assert!(data.state != SubnetState::Active || sharing.values().all(|count| *count <= limit));
}

/// 7
fn peers(subnet: SubnetId) {
    let mut roles = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
    let mut unique = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for node in SubnetNodesData::<Test>::iter_prefix_values(subnet) {
        let infos = [Some(node.peer_info), node.bootnode_peer_info, node.client_peer_info];
        for (role, info) in roles.iter_mut().zip(infos) {
            if let Some(info) = info {
                assert!(seen.insert(info.peer_id.clone()), "a peer id occurs twice");
                role.insert(info.peer_id, node.id);
            }
        }
        unique.extend(node.unique.map(|text| (text, node.id)));
    }
    assert_eq!(roles[0], PeerIdSubnetNodeId::<Test>::iter_prefix(subnet).collect());
    assert_eq!(roles[1], BootnodePeerIdSubnetNodeId::<Test>::iter_prefix(subnet).collect());
    assert_eq!(roles[2], ClientPeerIdSubnetNodeId::<Test>::iter_prefix(subnet).collect());
    assert_eq!(unique, UniqueParamSubnetNodeId::<Test>::iter_prefix(subnet).collect());
}

/// 8
fn election(subnet: SubnetId) {
    let slots = SubnetNodeElectionSlots::<Test>::get(subnet);
    let validators: BTreeSet<NodeId> = SubnetNodesData::<Test>::iter_prefix_values(subnet)
        .filter(|node| node.classification.node_class == SubnetNodeClass::Validator)
        .map(|node| node.id)
        .collect();
    assert_eq!(slots.iter().copied().collect::<BTreeSet<_>>(), validators);
    assert_eq!(slots.len(), validators.len());
    assert_eq!(TotalSubnetElectableNodes::<Test>::get(subnet) as usize, slots.len());
    let indices: BTreeMap<u32, u32> = NodeSlotIndex::<Test>::iter_prefix(subnet).collect();
    assert_eq!(indices, slots.iter().zip(0..).map(|(id, index)| (*id, index)).collect());
}

/// 10, 11, 13
fn epochs(subnet: SubnetId) {
    let now = epoch_of(subnet);
    let kept = |epoch: u32| epoch <= now && epoch + HistoryEpochs::get() > now;
    for (epoch, elected) in SubnetElectedValidator::<Test>::iter_prefix(subnet) {
        assert!(kept(epoch), "epoch {epoch} in {now}");
        let alive = SubnetNodesData::<Test>::contains_key(subnet, elected);
        assert!(epoch < now || alive || !SubnetsData::<Test>::contains_key(subnet), "the elected node is gone");
    }
    for (epoch, submission) in SubnetConsensusSubmission::<Test>::iter_prefix(subnet) {
        assert!(kept(epoch));
        assert!(submission.attests.keys().all(|id| submission.validator_ids.contains(id)));
        let mut votes: Vec<_> = submission.attests.values().map(|vote| (vote.block, vote.reward_factor)).collect();
        votes.sort_unstable();
        assert!(votes.is_sorted_by(|earlier, later| earlier.1 >= later.1));
        assert!(votes.iter().all(|(_, factor)| *factor > AttestorMinRewardFactor::<Test>::get()));
        assert!(submission.validator_ids.is_sorted() && submission.data.is_sorted_by_key(|entry| entry.subnet_node_id));
    }
    assert!(SubnetConsensusResult::<Test>::iter_key_prefix(subnet).all(kept));
}

/// 7: a hotkey has one owner and at most one node, and an owner only while it has node or stake.
fn hotkeys() {
    let mut nodes = BTreeMap::new();
    let mut subnets = BTreeMap::new();
    let mut by_coldkey = BTreeMap::<AccountId, BTreeMap<SubnetId, BTreeSet<NodeId>>>::new();
    for (subnet, id, node) in SubnetNodesData::<Test>::iter() {
        assert!(subnets.insert(node.hotkey, subnet).is_none(), "a hotkey has two nodes");
        nodes.insert((subnet, node.hotkey), id);
        let coldkey = HotkeyOwner::<Test>::get(node.hotkey);
        by_coldkey.entry(coldkey).or_default().entry(subnet).or_default().insert(id);
    }
    assert_eq!(nodes, HotkeySubnetNodeId::<Test>::iter().map(|(subnet, key, id)| ((subnet, key), id)).collect());
    assert_eq!(nodes, SubnetNodeIdHotkey::<Test>::iter().map(|(subnet, id, key)| ((subnet, key), id)).collect());
    assert_eq!(subnets, HotkeySubnetId::<Test>::iter().collect());
    let listed = |(key, map): (AccountId, NodesBySubnet)| {
        (key, map.into_iter().map(|(subnet, ids)| (subnet, ids.into_iter().collect())).collect())
    };
    assert_eq!(by_coldkey, ColdkeySubnetNodes::<Test>::iter().map(listed).collect());
    let owned: BTreeSet<(AccountId, AccountId)> = HotkeyOwner::<Test>::iter().collect();
    for (hotkey, _) in &owned {
        let staked = AccountSubnetStake::<Test>::iter_key_prefix(hotkey).next().is_some();
        assert!(staked || subnets.contains_key(hotkey), "hotkey {hotkey} has an owner for nothing");
    }
    let keys =
        ColdkeyHotkeys::<Test>::iter().flat_map(|(coldkey, keys)| keys.into_iter().map(move |key| (key, coldkey)));
    assert_eq!(owned, keys.collect());
}

fn slots(subnets: &BTreeSet<SubnetId>) {
    let assigned: BTreeMap<u32, SubnetId> = SlotAssignment::<Test>::iter().collect();
    assert_eq!(assigned, subnets.iter().map(|subnet| (SubnetSlot::<Test>::get(subnet).unwrap(), *subnet)).collect());
    assert_eq!(AssignedSlots::<Test>::get().into_inner(), assigned.keys().copied().collect());
    let purging = SubnetsToPurge::<Test>::get();
    for subnet in subnets {
        assert!(SubnetsData::<Test>::contains_key(subnet) != purging.contains(subnet));
    }
}
