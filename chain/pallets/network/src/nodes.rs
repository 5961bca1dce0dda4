//! Life of a node: registration, activation, its peers, expiry, removal, and the maps that find it (chain.md 3.4, 4.3).

use crate::{
    fixed::{mul_div, ONE},
    multiaddr::{check_multiaddr, peer_id_bytes},
    pallet::*,
    types::*,
};
use frame_support::pallet_prelude::*;
use scale_info::prelude::vec::Vec;

/// Expired registrations that a new registration sweeps away.
const SWEPT_BY_REGISTRATION: usize = 2;
/// Expired registrations that one cleaning call removes.
pub(crate) const SWEPT_BY_CLEANING: usize = 16;

impl<T: Config> Pallet<T> {
    // ---- reading and writing a node ----

    pub(crate) fn node(subnet_id: SubnetId, node_id: NodeId) -> Result<SubnetNode<T::AccountId>, Error<T>> {
        SubnetNodesData::<T>::get(subnet_id, node_id).ok_or(Error::<T>::InvalidSubnetNodeId)
    }

    /// All nodes of a subnet by ascending id (the map's own order is that of little-endian bytes).
    pub(crate) fn nodes_ascending(subnet_id: SubnetId) -> Vec<SubnetNode<T::AccountId>> {
        let mut nodes: Vec<_> = SubnetNodesData::<T>::iter_prefix_values(subnet_id).collect();
        nodes.sort_unstable_by_key(|node| node.id);
        nodes
    }

    /// The one place that writes a node, so that both maps always agree (3.2).
    pub(crate) fn put_node(subnet_id: SubnetId, node: &SubnetNode<T::AccountId>) {
        SubnetNodesData::<T>::insert(subnet_id, node.id, node);
        if node.classification.node_class == SubnetNodeClass::Registered {
            RegisteredSubnetNodesData::<T>::insert(subnet_id, node.id, node);
        } else {
            RegisteredSubnetNodesData::<T>::remove(subnet_id, node.id);
        }
    }

    /// The node, if `key` is its hotkey or the coldkey behind it.
    fn node_for_key(
        subnet_id: SubnetId,
        node_id: NodeId,
        key: &T::AccountId,
    ) -> Result<SubnetNode<T::AccountId>, Error<T>> {
        Self::subnet(subnet_id)?;
        let node = Self::node(subnet_id, node_id)?;
        ensure!(node.hotkey == *key || HotkeyOwner::<T>::get(&node.hotkey) == *key, Error::<T>::NotKeyOwner);
        Ok(node)
    }

    /// Whether this node is the elected one of the present subnet epoch.
    pub(crate) fn is_elected_now(subnet_id: SubnetId, node_id: NodeId) -> bool {
        let epoch = Self::subnet_epoch(subnet_id);
        SubnetElectedValidator::<T>::get(subnet_id, epoch) == Some(node_id)
    }

    // ---- registration ----

    /// `draft` is the node without id and class.
    pub(crate) fn do_register_subnet_node(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        draft: SubnetNode<T::AccountId>,
        stake: u128,
        max_burn: u128,
    ) -> DispatchResult {
        let subnet = Self::subnet(subnet_id)?;
        Self::check_registration_period(&subnet)?;
        Self::check_new_hotkey(&coldkey, &draft.hotkey)?;
        Self::check_whitelist(subnet_id, &coldkey)?;
        Self::check_room(&subnet)?;
        Self::check_peers(subnet_id, 0, &draft)?;
        Self::check_rates(draft.delegate_reward_rate, draft.delegate_account.as_ref())?;
        Self::check_unique(subnet_id, draft.unique.as_ref())?;
        let burn = Self::node_burn(subnet_id);
        ensure!(burn <= max_burn, Error::<T>::MaxBurnAmountExceeded);
        Self::check_stake_range(subnet_id, stake)?;
        ensure!(Self::spendable(&coldkey) >= stake.saturating_add(burn), Error::<T>::NotEnoughBalanceToStake);

        Self::pay_treasury(&coldkey, burn, Error::<T>::NotEnoughBalanceToStake)?;
        let id = TotalSubnetNodeUids::<T>::mutate(subnet_id, |last| {
            *last = last.saturating_add(1);
            *last
        });
        let start_epoch = Self::first_activation_epoch(&subnet);
        let classification = Classification::new(SubnetNodeClass::Registered, start_epoch);
        let node = SubnetNode { id, classification, ..draft };
        Self::use_quota(subnet_id, &coldkey);
        Self::enter_node(subnet_id, &coldkey, &node)?;
        Self::deposit_stake(&coldkey, &node.hotkey, subnet_id, stake)?;
        Self::deposit_event(Event::SubnetNodeRegistered {
            subnet_id,
            subnet_node_id: id,
            coldkey,
            hotkey: node.hotkey.clone(),
            data: node,
        });
        Ok(())
    }

    fn check_registration_period(subnet: &SubnetData) -> DispatchResult {
        let open = subnet.state == SubnetState::Active || Self::epoch() <= Self::registration_ends(subnet.id);
        ensure!(open, Error::<T>::SubnetMustBeRegisteringOrActivated);
        Ok(())
    }

    fn check_new_hotkey(coldkey: &T::AccountId, hotkey: &T::AccountId) -> DispatchResult {
        ensure!(coldkey != hotkey, Error::<T>::ColdkeyMatchesHotkey);
        ensure!(!HotkeyOwner::<T>::contains_key(hotkey), Error::<T>::HotkeyHasOwner);
        ensure!(ColdkeyHotkeys::<T>::get(coldkey).len() < MAX_HOTKEYS as usize, Error::<T>::TooManyHotkeys);
        Ok(())
    }

    fn check_whitelist(subnet_id: SubnetId, coldkey: &T::AccountId) -> DispatchResult {
        if let Some(invited) = SubnetRegistrationInitialColdkeys::<T>::get(subnet_id) {
            let quota = invited.get(coldkey).ok_or(Error::<T>::ColdkeyRegistrationWhitelist)?;
            ensure!(*quota > 0, Error::<T>::MaxRegisteredNodes);
        }
        Ok(())
    }

    fn use_quota(subnet_id: SubnetId, coldkey: &T::AccountId) {
        SubnetRegistrationInitialColdkeys::<T>::mutate_extant(subnet_id, |invited| {
            if let Some(quota) = invited.get_mut(coldkey) {
                *quota = quota.saturating_sub(1);
            }
        });
    }

    /// Room for one more node and one more registration, after sweeping a few that expired.
    fn check_room(subnet: &SubnetData) -> DispatchResult {
        let limit = MaxSubnetNodes::<T>::get().min(MAX_NODES);
        ensure!(TotalSubnetNodes::<T>::get(subnet.id) < limit, Error::<T>::SubnetNodesMax);
        Self::sweep_expired(subnet, SWEPT_BY_REGISTRATION);
        let registered = TotalRegisteredSubnetNodes::<T>::get(subnet.id);
        ensure!(registered < MaxRegisteredNodes::<T>::get(subnet.id), Error::<T>::MaxRegisteredNodes);
        Ok(())
    }

    pub(crate) fn check_rates(rate: u128, account: Option<&DelegateAccount<T::AccountId>>) -> DispatchResult {
        let sum = rate.checked_add(account.map_or(0, |a| a.rate));
        ensure!(sum.is_some_and(|sum| sum <= ONE), Error::<T>::InvalidDelegateRewardRate);
        Ok(())
    }

    pub(crate) fn check_unique(subnet_id: SubnetId, unique: Option<&Param>) -> DispatchResult {
        let taken = unique.is_some_and(|u| UniqueParamSubnetNodeId::<T>::get(subnet_id, u) != 0);
        ensure!(!taken, Error::<T>::SubnetNodeUniqueParamTaken);
        Ok(())
    }

    /// What a registration burns: five times the base when the queue is full.
    pub fn node_burn(subnet_id: SubnetId) -> u128 {
        let base = BaseNodeBurnAmount::<T>::get();
        let queued = TotalRegisteredSubnetNodes::<T>::get(subnet_id);
        let limit = MaxRegisteredNodes::<T>::get(subnet_id);
        base.saturating_add(mul_div(base.saturating_mul(4), queued.into(), limit.into()))
    }

    /// At once while the subnet is Registered; later by the cursor, at most ChurnLimit nodes per epoch (4.3).
    fn first_activation_epoch(subnet: &SubnetData) -> SubnetEpoch {
        let now = Self::subnet_epoch(subnet.id);
        if subnet.state == SubnetState::Registered {
            return now;
        }
        let earliest = now.saturating_add(SubnetNodeQueueEpochs::<T>::get(subnet.id));
        SubnetNodeStartCursor::<T>::mutate(subnet.id, |cursor| {
            let (epoch, count) = *cursor;
            *cursor = if earliest > epoch {
                (earliest, 1)
            } else if count < ChurnLimit::<T>::get(subnet.id) {
                (epoch, count.saturating_add(1))
            } else {
                (epoch.saturating_add(1), 1)
            };
            cursor.0
        })
    }

    fn enter_node(subnet_id: SubnetId, coldkey: &T::AccountId, node: &SubnetNode<T::AccountId>) -> DispatchResult {
        Self::put_node(subnet_id, node);
        Self::own_hotkey(coldkey, &node.hotkey)?;
        Self::link_hotkey(subnet_id, node);
        Self::link_coldkey(subnet_id, node.id, coldkey)?;
        Self::link_peers(subnet_id, node);
        if let Some(unique) = &node.unique {
            UniqueParamSubnetNodeId::<T>::insert(subnet_id, unique, node.id);
        }
        SubnetNodeReputation::<T>::insert(subnet_id, node.id, ONE);
        TotalSubnetNodes::<T>::mutate(subnet_id, |n| *n = n.saturating_add(1));
        TotalRegisteredSubnetNodes::<T>::mutate(subnet_id, |n| *n = n.saturating_add(1));
        Ok(())
    }

    // ---- peers ----

    /// The three peers of a node: well formed, different, and not those of another node. `own` is the id of the node
    /// that already holds them, 0 for a new one.
    fn check_peers(subnet_id: SubnetId, own: NodeId, node: &SubnetNode<T::AccountId>) -> DispatchResult {
        let (main, boot, client) = (&node.peer_info, node.bootnode_peer_info.as_ref(), node.client_peer_info.as_ref());
        let is = |a: Option<&PeerInfo>, b: Option<&PeerInfo>| a.zip(b).is_some_and(|(a, b)| a.peer_id == b.peer_id);
        let repeated = is(Some(main), boot) || is(Some(main), client) || is(boot, client);
        ensure!(!repeated, Error::<T>::PeerIdsMustBeUnique);
        let roles = || {
            [
                (Some(main), Error::<T>::InvalidPeerId, Error::<T>::PeerIdExist),
                (boot, Error::<T>::InvalidBootnodePeerId, Error::<T>::BootnodePeerIdExist),
                (client, Error::<T>::InvalidClientPeerId, Error::<T>::ClientPeerIdExist),
            ]
            .into_iter()
            .filter_map(|(peer, invalid, exists)| peer.map(|peer| (peer, invalid, exists)))
        };
        let mut binary = Vec::new();
        for (peer, invalid, _) in roles() {
            binary.push((peer, peer_id_bytes(&peer.peer_id).ok_or(invalid)?));
        }
        for (peer, id) in &binary {
            if let Some(address) = &peer.multiaddr {
                check_multiaddr(address, id).map_err(Self::multiaddr_error)?;
            }
        }
        for (peer, _, exists) in roles() {
            let holder = Self::peer_holder(subnet_id, &peer.peer_id);
            ensure!(holder == 0 || holder == own, exists);
        }
        Ok(())
    }

    /// The node that has this peer id in any of its three roles; 0 = none.
    pub(crate) fn peer_holder(subnet_id: SubnetId, peer_id: &PeerId) -> NodeId {
        let holders = [
            PeerIdSubnetNodeId::<T>::get(subnet_id, peer_id),
            BootnodePeerIdSubnetNodeId::<T>::get(subnet_id, peer_id),
            ClientPeerIdSubnetNodeId::<T>::get(subnet_id, peer_id),
        ];
        holders.into_iter().max().unwrap_or_default()
    }

    fn link_peers(subnet_id: SubnetId, node: &SubnetNode<T::AccountId>) {
        PeerIdSubnetNodeId::<T>::insert(subnet_id, &node.peer_info.peer_id, node.id);
        if let Some(peer) = &node.bootnode_peer_info {
            BootnodePeerIdSubnetNodeId::<T>::insert(subnet_id, &peer.peer_id, node.id);
        }
        if let Some(peer) = &node.client_peer_info {
            ClientPeerIdSubnetNodeId::<T>::insert(subnet_id, &peer.peer_id, node.id);
        }
    }

    fn unlink_peers(subnet_id: SubnetId, node: &SubnetNode<T::AccountId>) {
        PeerIdSubnetNodeId::<T>::remove(subnet_id, &node.peer_info.peer_id);
        if let Some(peer) = &node.bootnode_peer_info {
            BootnodePeerIdSubnetNodeId::<T>::remove(subnet_id, &peer.peer_id);
        }
        if let Some(peer) = &node.client_peer_info {
            ClientPeerIdSubnetNodeId::<T>::remove(subnet_id, &peer.peer_id);
        }
    }

    pub(crate) fn do_update_peer_info(
        key: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        peer_info: PeerInfo,
    ) -> DispatchResult {
        let before = Self::node_for_key(subnet_id, subnet_node_id, &key)?;
        let after = SubnetNode { peer_info: peer_info.clone(), ..before.clone() };
        Self::replace_peers(subnet_id, &before, &after)?;
        Self::deposit_event(Event::SubnetNodeUpdatePeerInfo { subnet_id, subnet_node_id, peer_info });
        Ok(())
    }

    pub(crate) fn do_update_bootnode_peer_info(
        key: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        peer_info: Option<PeerInfo>,
    ) -> DispatchResult {
        let before = Self::node_for_key(subnet_id, subnet_node_id, &key)?;
        let after = SubnetNode { bootnode_peer_info: peer_info.clone(), ..before.clone() };
        Self::replace_peers(subnet_id, &before, &after)?;
        Self::deposit_event(Event::SubnetNodeUpdateBootnodePeerInfo { subnet_id, subnet_node_id, peer_info });
        Ok(())
    }

    pub(crate) fn do_update_client_peer_info(
        key: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        peer_info: Option<PeerInfo>,
    ) -> DispatchResult {
        let before = Self::node_for_key(subnet_id, subnet_node_id, &key)?;
        let after = SubnetNode { client_peer_info: peer_info.clone(), ..before.clone() };
        Self::replace_peers(subnet_id, &before, &after)?;
        Self::deposit_event(Event::SubnetNodeUpdateClientPeerInfo { subnet_id, subnet_node_id, peer_info });
        Ok(())
    }

    fn replace_peers(
        subnet_id: SubnetId,
        before: &SubnetNode<T::AccountId>,
        after: &SubnetNode<T::AccountId>,
    ) -> DispatchResult {
        Self::check_peers(subnet_id, before.id, after)?;
        Self::unlink_peers(subnet_id, before);
        Self::link_peers(subnet_id, after);
        Self::put_node(subnet_id, after);
        Ok(())
    }

    // ---- activation ----

    pub(crate) fn do_activate_subnet_node(
        hotkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
    ) -> DispatchResult {
        let subnet = Self::subnet(subnet_id)?;
        let held = HotkeySubnetNodeId::<T>::get(subnet_id, &hotkey);
        ensure!(held == Some(subnet_node_id), Error::<T>::NotUidOwner);
        let node = Self::node(subnet_id, subnet_node_id)?;
        let registered = node.classification.node_class == SubnetNodeClass::Registered;
        ensure!(registered, Error::<T>::SubnetNodeActivatedAlready);
        let minimum = SubnetMinStakeBalance::<T>::get(subnet_id).unwrap_or_default();
        ensure!(AccountSubnetStake::<T>::get(&hotkey, subnet_id) >= minimum, Error::<T>::MinStakeNotReached);
        let epoch = Self::subnet_epoch(subnet_id);
        let next = if subnet.state == SubnetState::Registered {
            Classification::new(SubnetNodeClass::Validator, epoch)
        } else {
            ensure!(epoch >= node.classification.start_epoch, Error::<T>::NotStartEpoch);
            ensure!(!Self::is_expired(&node, epoch, subnet_id), Error::<T>::ActivationGracePassed);
            Classification::new(SubnetNodeClass::Idle, epoch.saturating_add(1))
        };
        Self::deposit_event(Event::SubnetNodeActivated { subnet_id, subnet_node_id });
        TotalRegisteredSubnetNodes::<T>::mutate(subnet_id, |n| *n = n.saturating_sub(1));
        Self::graduate(subnet_id, node, next)
    }

    /// Gives a node its next class; a validator gets an election slot.
    pub(crate) fn graduate(
        subnet_id: SubnetId,
        node: SubnetNode<T::AccountId>,
        classification: Classification,
    ) -> DispatchResult {
        let node = SubnetNode { classification, ..node };
        Self::put_node(subnet_id, &node);
        if classification.node_class == SubnetNodeClass::Validator {
            Self::take_election_slot(subnet_id, node.id)?;
        }
        Self::deposit_event(Event::NodeClassGraduation { subnet_id, subnet_node_id: node.id, classification });
        Ok(())
    }

    fn take_election_slot(subnet_id: SubnetId, node_id: NodeId) -> DispatchResult {
        let count = SubnetNodeElectionSlots::<T>::try_mutate(subnet_id, |slots| {
            slots.try_push(node_id).map_err(|_| Error::<T>::SubnetNodesMax)?;
            Ok::<_, Error<T>>(slots.len() as u32)
        })?;
        NodeSlotIndex::<T>::insert(subnet_id, node_id, count.saturating_sub(1));
        TotalSubnetElectableNodes::<T>::insert(subnet_id, count);
        Ok(())
    }

    /// The last slot moves into the free place.
    fn leave_election_slot(subnet_id: SubnetId, node_id: NodeId) {
        let Some(index) = NodeSlotIndex::<T>::take(subnet_id, node_id) else { return };
        let slots = SubnetNodeElectionSlots::<T>::mutate(subnet_id, |slots| {
            if slots.get(index as usize) == Some(&node_id) {
                slots.swap_remove(index as usize);
            }
            slots.clone()
        });
        if let Some(moved) = slots.get(index as usize) {
            NodeSlotIndex::<T>::insert(subnet_id, moved, index);
        }
        TotalSubnetElectableNodes::<T>::insert(subnet_id, slots.len() as u32);
    }

    // ---- expiry and removal ----

    /// Whether a Registered node of an Active subnet has let its time pass.
    fn is_expired(node: &SubnetNode<T::AccountId>, epoch: SubnetEpoch, subnet_id: SubnetId) -> bool {
        let last = node.classification.start_epoch.saturating_add(ActivationGraceEpochs::<T>::get(subnet_id));
        epoch > last
    }

    pub(crate) fn do_clean_expired(subnet_id: SubnetId) -> DispatchResult {
        let subnet = Self::subnet(subnet_id)?;
        ensure!(Self::sweep_expired(&subnet, SWEPT_BY_CLEANING) > 0, Error::<T>::NoExpiredNodes);
        Ok(())
    }

    /// Removes up to `most` expired nodes, lowest id first; their stake begins to cool down for the coldkey.
    fn sweep_expired(subnet: &SubnetData, most: usize) -> usize {
        if subnet.state != SubnetState::Active {
            return 0;
        }
        let epoch = Self::subnet_epoch(subnet.id);
        let mut expired: Vec<_> = RegisteredSubnetNodesData::<T>::iter_prefix_values(subnet.id)
            .filter(|node| Self::is_expired(node, epoch, subnet.id))
            .map(|node| (node.id, node.hotkey))
            .collect();
        expired.sort_unstable_by_key(|(id, _)| *id);
        expired.truncate(most);
        for (id, hotkey) in &expired {
            let coldkey = HotkeyOwner::<T>::get(hotkey);
            Self::unbond_all_stake(subnet.id, hotkey, &coldkey);
            Self::remove_node(subnet.id, *id, NodeRemovalReason::Expired);
        }
        expired.len()
    }

    pub(crate) fn do_remove_subnet_node(
        key: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
    ) -> DispatchResult {
        Self::node_for_key(subnet_id, subnet_node_id, &key)?;
        ensure!(!Self::is_elected_now(subnet_id, subnet_node_id), Error::<T>::ElectedValidatorCannotRemove);
        Self::remove_node(subnet_id, subnet_node_id, NodeRemovalReason::Request);
        Ok(())
    }

    /// Takes a node out of every map; its stake stays under the hotkey.
    pub(crate) fn remove_node(subnet_id: SubnetId, node_id: NodeId, reason: NodeRemovalReason) {
        let Some(node) = SubnetNodesData::<T>::take(subnet_id, node_id) else { return };
        let coldkey = HotkeyOwner::<T>::get(&node.hotkey);
        RegisteredSubnetNodesData::<T>::remove(subnet_id, node_id);
        Self::unlink_hotkey(subnet_id, &node);
        Self::unlink_coldkey(subnet_id, node_id, &coldkey);
        Self::unlink_peers(subnet_id, &node);
        if let Some(unique) = &node.unique {
            UniqueParamSubnetNodeId::<T>::remove(subnet_id, unique);
        }
        Self::leave_election_slot(subnet_id, node_id);
        SubnetNodeReputation::<T>::remove(subnet_id, node_id);
        SubnetNodeIdleConsecutiveEpochs::<T>::remove(subnet_id, node_id);
        SubnetNodeConsecutiveIncludedEpochs::<T>::remove(subnet_id, node_id);
        TotalSubnetNodes::<T>::mutate(subnet_id, |n| *n = n.saturating_sub(1));
        if node.classification.node_class == SubnetNodeClass::Registered {
            TotalRegisteredSubnetNodes::<T>::mutate(subnet_id, |n| *n = n.saturating_sub(1));
        }
        Self::free_unused_hotkey(subnet_id, &node.hotkey);
        Self::deposit_event(Event::SubnetNodeRemoved { subnet_id, subnet_node_id: node_id, reason });
    }

    /// A hotkey without node and stake belongs to nobody again.
    pub(crate) fn free_unused_hotkey(subnet_id: SubnetId, hotkey: &T::AccountId) {
        let unused = !HotkeySubnetId::<T>::contains_key(hotkey) && AccountSubnetStake::<T>::get(hotkey, subnet_id) == 0;
        if unused {
            Self::disown_hotkey(hotkey);
        }
    }
}
