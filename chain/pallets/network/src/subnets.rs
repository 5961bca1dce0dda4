//! Life of a subnet: registration, activation, what its owner may change, the checks at each general epoch, removal
//! (chain.md 3.4, 5.5).

use crate::{
    fixed::{lose, mul, mul_div, ONE},
    multiaddr::{check_multiaddr, peer_id_bytes, Fault},
    pallet::*,
    types::*,
    weights,
};
use frame_support::{pallet_prelude::*, storage::with_storage_layer};
use scale_info::prelude::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

/// Nodes of removed subnets that one block takes out.
const PURGE_PER_BLOCK: usize = 16;

impl<T: Config> Pallet<T> {
    pub(crate) fn subnet(subnet_id: SubnetId) -> Result<SubnetData, Error<T>> {
        SubnetsData::<T>::get(subnet_id).ok_or(Error::<T>::InvalidSubnetId)
    }

    fn ensure_owner(subnet_id: SubnetId, who: &T::AccountId, error: Error<T>) -> DispatchResult {
        ensure!(SubnetOwner::<T>::get(subnet_id).as_ref() == Some(who), error);
        Ok(())
    }

    // ---- registration ----

    pub(crate) fn do_register_subnet(
        owner: T::AccountId,
        max_cost: u128,
        data: RegistrationSubnetData<T::AccountId>,
    ) -> DispatchResult {
        Self::check_names(&data)?;
        let slot = Self::free_slot()?;
        Self::check_stake_parameters(&data)?;
        let coldkeys = Self::check_initial_coldkeys(&data.initial_coldkeys)?;
        ensure!(!data.bootnodes.is_empty(), Error::<T>::BootnodesEmpty);
        let bootnodes = Self::check_bootnodes(&data.bootnodes, BTreeMap::new())?;
        let cost = Self::registration_cost();
        ensure!(cost <= max_cost, Error::<T>::CostGreaterThanMaxCost);
        Self::pay_treasury(&owner, cost, Error::<T>::NotEnoughBalanceToRegisterSubnet)?;
        LastRegistrationCost::<T>::put(cost.saturating_mul(2));
        LastRegistrationBlock::<T>::put(Self::block());
        let subnet_id = TotalSubnetUids::<T>::mutate(|last| {
            *last = last.saturating_add(1);
            *last
        });
        if !coldkeys.is_empty() {
            SubnetRegistrationInitialColdkeys::<T>::insert(subnet_id, coldkeys);
        }
        SubnetBootnodes::<T>::insert(subnet_id, bootnodes);
        Self::take_slot(subnet_id, slot)?;
        SubnetName::<T>::insert(&data.name, subnet_id);
        SubnetRepo::<T>::insert(&data.repo, subnet_id);
        SubnetOwner::<T>::insert(subnet_id, &owner);
        SubnetRegistrationEpoch::<T>::insert(subnet_id, Self::epoch());
        SubnetMinStakeBalance::<T>::insert(subnet_id, data.min_stake);
        SubnetMaxStakeBalance::<T>::insert(subnet_id, data.max_stake);
        SubnetDelegateStakeRewardsPercentage::<T>::insert(subnet_id, data.delegate_stake_percentage);
        Self::deposit_event(Event::SubnetRegistered { owner, name: data.name.clone(), subnet_id });
        let subnet = SubnetData {
            id: subnet_id,
            friendly_id: slot.saturating_sub(2),
            name: data.name,
            repo: data.repo,
            description: data.description,
            misc: data.misc,
            state: SubnetState::Registered,
            start_epoch: 0,
        };
        SubnetsData::<T>::insert(subnet_id, subnet);
        Ok(())
    }

    fn check_names(data: &RegistrationSubnetData<T::AccountId>) -> DispatchResult {
        ensure!(!data.name.is_empty(), Error::<T>::InvalidSubnetName);
        ensure!(!SubnetName::<T>::contains_key(&data.name), Error::<T>::SubnetNameExist);
        ensure!(!SubnetRepo::<T>::contains_key(&data.repo), Error::<T>::SubnetRepoExist);
        Ok(())
    }

    fn check_stake_parameters(data: &RegistrationSubnetData<T::AccountId>) -> DispatchResult {
        let min_range = MinSubnetMinStake::<T>::get()..=MaxSubnetMinStake::<T>::get();
        let percentages = MinDelegateStakePercentage::<T>::get()..=MaxDelegateStakePercentage::<T>::get();
        ensure!(min_range.contains(&data.min_stake), Error::<T>::InvalidSubnetMinStake);
        ensure!(data.max_stake <= NetworkMaxStakeBalance::<T>::get(), Error::<T>::InvalidSubnetMaxStake);
        ensure!(data.min_stake <= data.max_stake, Error::<T>::InvalidSubnetStakeParameters);
        ensure!(percentages.contains(&data.delegate_stake_percentage), Error::<T>::InvalidMinDelegateStakePercentage);
        Ok(())
    }

    fn check_initial_coldkeys(
        given: &BTreeMap<T::AccountId, u32>,
    ) -> Result<BoundedBTreeMap<T::AccountId, u32, ConstU32<MAX_NODES>>, Error<T>> {
        let enough = given.is_empty() || given.len() >= MinSubnetNodes::<T>::get() as usize;
        let quotas = given.values().all(|quota| *quota > 0);
        ensure!(enough && quotas, Error::<T>::InvalidSubnetRegistrationInitialColdkeys);
        given.clone().try_into().map_err(|_| Error::<T>::InvalidSubnetRegistrationInitialColdkeys)
    }

    /// `held` with `added` on top, if each added peer id and address is good and the sum is within the bound.
    fn check_bootnodes(
        added: &BTreeMap<PeerId, Multiaddr>,
        mut held: BTreeMap<PeerId, Multiaddr>,
    ) -> Result<Bootnodes, Error<T>> {
        // refused before the addresses are read, so that an oversized list costs little
        let count = held.keys().filter(|id| !added.contains_key(*id)).count().saturating_add(added.len());
        ensure!(count <= MAX_BOOTNODES as usize, Error::<T>::TooManyBootnodes);
        for (peer_id, multiaddr) in added {
            let peer = peer_id_bytes(peer_id).ok_or(Error::<T>::InvalidBootnodePeerId)?;
            check_multiaddr(multiaddr, &peer).map_err(Self::multiaddr_error)?;
            held.insert(peer_id.clone(), multiaddr.clone());
        }
        held.try_into().map_err(|_| Error::<T>::TooManyBootnodes)
    }

    pub(crate) fn multiaddr_error(fault: Fault) -> Error<T> {
        match fault {
            Fault::Varint => Error::<T>::MultiaddrInvalidVarint,
            Fault::Protocol => Error::<T>::MultiaddrInvalidProtocol,
            Fault::Address => Error::<T>::MultiaddrInvalidAddress,
            Fault::Truncated => Error::<T>::MultiaddrTruncated,
        }
    }

    /// What a subnet costs in this block: sinks linearly from twice the last price to the minimum.
    pub fn registration_cost() -> u128 {
        let (last, min) = (LastRegistrationCost::<T>::get(), MinRegistrationCost::<T>::get());
        let waited = Self::block().saturating_sub(LastRegistrationBlock::<T>::get());
        let decay = RegistrationCostDecayBlocks::<T>::get().max(1);
        let sunk = mul_div(last.saturating_sub(min), waited.into(), decay.into());
        last.saturating_sub(sunk).max(min)
    }

    /// The lowest free slot.
    fn free_slot() -> Result<u32, Error<T>> {
        let taken = AssignedSlots::<T>::get();
        let limit = MaxSubnets::<T>::get().min(MAX_SUBNETS);
        ensure!(taken.len() < limit as usize, Error::<T>::MaxSubnets);
        let mut slots = T::DesignatedEpochSlots::get()..Self::epoch_length();
        slots.find(|slot| !taken.contains(slot)).ok_or(Error::<T>::NoAvailableSlots)
    }

    fn take_slot(subnet_id: SubnetId, slot: u32) -> DispatchResult {
        AssignedSlots::<T>::try_mutate(|slots| slots.try_insert(slot)).map_err(|_| Error::<T>::MaxSubnets)?;
        SubnetSlot::<T>::insert(subnet_id, slot);
        SlotAssignment::<T>::insert(slot, subnet_id);
        Ok(())
    }

    // ---- activation ----

    pub(crate) fn do_activate_subnet(owner: T::AccountId, subnet_id: SubnetId) -> DispatchResult {
        let mut subnet = Self::subnet(subnet_id)?;
        Self::ensure_owner(subnet_id, &owner, Error::<T>::NotSubnetOwner)?;
        ensure!(subnet.state == SubnetState::Registered, Error::<T>::SubnetActivatedAlready);
        let registered = SubnetRegistrationEpoch::<T>::get(subnet_id).unwrap_or_default();
        let earliest = registered.saturating_add(MinSubnetRegistrationEpochs::<T>::get());
        ensure!(Self::epoch() >= earliest, Error::<T>::MinSubnetRegistrationEpochsNotMet);
        ensure!(Self::has_what_it_needs(subnet_id), Error::<T>::SubnetActivationConditionsNotMetYet);
        subnet.state = SubnetState::Active;
        subnet.start_epoch = Self::epoch().saturating_add(1);
        SubnetRegistrationInitialColdkeys::<T>::remove(subnet_id);
        Self::restart_registered_nodes(subnet_id, subnet.start_epoch);
        SubnetsData::<T>::insert(subnet_id, subnet);
        Self::deposit_event(Event::SubnetActivated { subnet_id });
        Ok(())
    }

    fn has_what_it_needs(subnet_id: SubnetId) -> bool {
        SubnetReputation::<T>::get(subnet_id) >= MinSubnetReputation::<T>::get()
            && TotalSubnetElectableNodes::<T>::get(subnet_id) >= MinSubnetNodes::<T>::get()
            && TotalSubnetDelegateStakeBalance::<T>::get(subnet_id) >= Self::min_delegate_stake(subnet_id)
    }

    /// Nodes that were late start with the subnet's first live epoch.
    fn restart_registered_nodes(subnet_id: SubnetId, start_epoch: SubnetEpoch) {
        let nodes: Vec<_> = RegisteredSubnetNodesData::<T>::iter_prefix_values(subnet_id).collect();
        SubnetNodeStartCursor::<T>::insert(subnet_id, (start_epoch, nodes.len() as u32));
        for mut node in nodes {
            node.classification.start_epoch = start_epoch;
            Self::put_node(subnet_id, &node);
        }
    }

    /// The delegate stake below which a subnet is removed (5.5).
    pub fn min_delegate_stake(subnet_id: SubnetId) -> u128 {
        let (min, max) = (MinSubnetNodes::<T>::get(), MaxSubnetNodes::<T>::get());
        let extra = TotalSubnetElectableNodes::<T>::get(subnet_id).saturating_sub(min);
        let k = mul_div(extra.into(), ONE, max.saturating_sub(min).into());
        let multiplier = ONE.saturating_add(mul(k, MaxMinDelegateStakeMultiplier::<T>::get().saturating_sub(ONE)));
        mul(mul(Self::total_issuance(), MinSubnetDelegateStakeFactor::<T>::get()), multiplier)
    }

    // ---- what the owner may change ----

    pub(crate) fn do_update_bootnodes(
        owner: T::AccountId,
        subnet_id: SubnetId,
        add: BTreeMap<PeerId, Multiaddr>,
        remove: BTreeSet<PeerId>,
    ) -> DispatchResult {
        Self::subnet(subnet_id)?;
        Self::ensure_owner(subnet_id, &owner, Error::<T>::InvalidAccess)?;
        let before = SubnetBootnodes::<T>::get(subnet_id).into_inner();
        let kept: BTreeMap<_, _> = before.iter().filter(|(id, _)| !remove.contains(*id)).collect();
        let removed = before.len().saturating_sub(kept.len()) as u32;
        let kept = kept.into_iter().map(|(id, address)| (id.clone(), address.clone())).collect();
        SubnetBootnodes::<T>::insert(subnet_id, Self::check_bootnodes(&add, kept)?);
        Self::deposit_event(Event::BootnodesUpdated { subnet_id, added: add.len() as u32, removed });
        Ok(())
    }

    pub(crate) fn do_update_misc(owner: T::AccountId, subnet_id: SubnetId, misc: Text<1024>) -> DispatchResult {
        let mut subnet = Self::subnet(subnet_id)?;
        Self::ensure_owner(subnet_id, &owner, Error::<T>::NotSubnetOwner)?;
        subnet.misc = misc.clone();
        SubnetsData::<T>::insert(subnet_id, subnet);
        Self::deposit_event(Event::SubnetMiscUpdated { subnet_id, misc });
        Ok(())
    }

    pub(crate) fn set_subnet_reputation(subnet_id: SubnetId, change: impl FnOnce(u128) -> u128) {
        let prev_reputation = SubnetReputation::<T>::get(subnet_id);
        let new_reputation = change(prev_reputation);
        if new_reputation != prev_reputation {
            SubnetReputation::<T>::insert(subnet_id, new_reputation);
            Self::deposit_event(Event::SubnetReputationUpdate { subnet_id, prev_reputation, new_reputation });
        }
    }

    // ---- checks at block mod EL = 0, removal ----

    pub(crate) fn check_subnets() -> Result<Weight, DispatchError> {
        let mut subnets: Vec<SubnetData> = SubnetsData::<T>::iter_values().collect();
        subnets.sort_unstable_by_key(|subnet| subnet.id);
        for subnet in &subnets {
            if let Some(reason) = Self::reason_to_remove(subnet) {
                with_storage_layer(|| Self::remove_subnet(subnet, reason))?;
            }
        }
        Ok(weights::subnet_checks::<T>(subnets.len() as u64))
    }

    /// Takes reputation from a subnet with too few validators and says whether, and why, it has to go.
    fn reason_to_remove(subnet: &SubnetData) -> Option<RemovalReason> {
        if subnet.state == SubnetState::Registered {
            let enactment_ends = Self::registration_ends(subnet.id).saturating_add(SubnetEnactmentEpochs::<T>::get());
            return (Self::epoch() > enactment_ends).then_some(RemovalReason::EnactmentPeriod);
        }
        if !Self::is_live(subnet) {
            return None;
        }
        let interval_turn = Self::epoch().checked_rem(DelegateStakeSubnetRemovalInterval::<T>::get()) == Some(0);
        let delegated = TotalSubnetDelegateStakeBalance::<T>::get(subnet.id);
        if interval_turn && delegated < Self::min_delegate_stake(subnet.id) {
            return Some(RemovalReason::MinSubnetDelegateStake);
        }
        let too_few = TotalSubnetElectableNodes::<T>::get(subnet.id) < MinSubnetNodes::<T>::get();
        if too_few {
            Self::set_subnet_reputation(subnet.id, |reputation| lose(reputation, ONE / 8));
        }
        let ruined = SubnetReputation::<T>::get(subnet.id) < MinSubnetReputation::<T>::get();
        match (ruined, too_few) {
            (false, _) => None,
            (true, true) => Some(RemovalReason::MinSubnetNodes),
            (true, false) => Some(RemovalReason::MinReputation),
        }
    }

    /// The last general epoch in which nodes may register before the activation.
    pub(crate) fn registration_ends(subnet_id: SubnetId) -> u32 {
        let registered = SubnetRegistrationEpoch::<T>::get(subnet_id).unwrap_or_default();
        registered.saturating_add(SubnetRegistrationEpochs::<T>::get())
    }

    /// The subnet is gone at once for every call; its nodes follow in the next blocks. Stakes stay withdrawable.
    fn remove_subnet(subnet: &SubnetData, reason: RemovalReason) -> DispatchResult {
        SubnetsToPurge::<T>::try_mutate(|queue| queue.try_push(subnet.id)).map_err(|_| Error::<T>::MaxSubnets)?;
        SubnetsData::<T>::remove(subnet.id);
        SubnetName::<T>::remove(&subnet.name);
        SubnetRepo::<T>::remove(&subnet.repo);
        Self::deposit_event(Event::SubnetDeactivated { subnet_id: subnet.id, reason });
        Ok(())
    }

    /// Takes out the nodes of the oldest removed subnet, then all that is left of it.
    pub(crate) fn purge_removed_subnets() -> Result<Weight, DispatchError> {
        let mut queue = SubnetsToPurge::<T>::get();
        let Some(subnet_id) = queue.first().copied() else { return Ok(Weight::zero()) };
        let ids: Vec<NodeId> = SubnetNodesData::<T>::iter_key_prefix(subnet_id).take(PURGE_PER_BLOCK).collect();
        for id in &ids {
            Self::remove_node(subnet_id, *id, NodeRemovalReason::SubnetRemoved);
        }
        if ids.len() < PURGE_PER_BLOCK {
            Self::forget_subnet(subnet_id);
            queue.retain(|id| *id != subnet_id);
            SubnetsToPurge::<T>::put(queue);
        }
        Ok(weights::purge::<T>(PURGE_PER_BLOCK as u64))
    }

    /// Frees the slot and clears everything but stakes and delegate shares.
    fn forget_subnet(subnet_id: SubnetId) {
        if let Some(slot) = SubnetSlot::<T>::take(subnet_id) {
            SlotAssignment::<T>::remove(slot);
            AssignedSlots::<T>::mutate(|slots| slots.remove(&slot));
        }
        SubnetOwner::<T>::remove(subnet_id);
        SubnetRegistrationEpoch::<T>::remove(subnet_id);
        SubnetReputation::<T>::remove(subnet_id);
        SubnetMinStakeBalance::<T>::remove(subnet_id);
        SubnetMaxStakeBalance::<T>::remove(subnet_id);
        SubnetDelegateStakeRewardsPercentage::<T>::remove(subnet_id);
        SubnetRegistrationInitialColdkeys::<T>::remove(subnet_id);
        SubnetBootnodes::<T>::remove(subnet_id);
        ChurnLimit::<T>::remove(subnet_id);
        SubnetNodeQueueEpochs::<T>::remove(subnet_id);
        ActivationGraceEpochs::<T>::remove(subnet_id);
        IdleClassificationEpochs::<T>::remove(subnet_id);
        IncludedClassificationEpochs::<T>::remove(subnet_id);
        MaxRegisteredNodes::<T>::remove(subnet_id);
        TotalSubnetNodeUids::<T>::remove(subnet_id);
        TotalSubnetNodes::<T>::remove(subnet_id);
        TotalRegisteredSubnetNodes::<T>::remove(subnet_id);
        TotalSubnetElectableNodes::<T>::remove(subnet_id);
        SubnetNodeStartCursor::<T>::remove(subnet_id);
        SubnetNodeElectionSlots::<T>::remove(subnet_id);
        let per_epoch = T::HistoryEpochs::get().saturating_add(2);
        let _ = SubnetElectedValidator::<T>::clear_prefix(subnet_id, per_epoch, None);
        let _ = SubnetConsensusSubmission::<T>::clear_prefix(subnet_id, per_epoch, None);
        let _ = SubnetConsensusResult::<T>::clear_prefix(subnet_id, per_epoch, None);
    }
}
