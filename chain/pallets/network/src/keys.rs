//! Changing the keys of a node and what its coldkey may say about it (chain.md 3.4).

use crate::{pallet::*, types::*};
use frame_support::pallet_prelude::*;
use scale_info::prelude::vec::Vec;

impl<T: Config> Pallet<T> {
    /// The node, if `coldkey` owns its hotkey.
    fn node_for_coldkey(
        subnet_id: SubnetId,
        node_id: NodeId,
        coldkey: &T::AccountId,
    ) -> Result<SubnetNode<T::AccountId>, Error<T>> {
        Self::subnet(subnet_id)?;
        let node = Self::node(subnet_id, node_id)?;
        ensure!(HotkeyOwner::<T>::get(&node.hotkey) == *coldkey, Error::<T>::NotKeyOwner);
        Ok(node)
    }

    pub(crate) fn do_update_delegate_account(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        delegate_account: Option<DelegateAccount<T::AccountId>>,
    ) -> DispatchResult {
        let node = Self::node_for_coldkey(subnet_id, subnet_node_id, &coldkey)?;
        Self::check_rates(node.delegate_reward_rate, delegate_account.as_ref())?;
        Self::put_node(subnet_id, &SubnetNode { delegate_account: delegate_account.clone(), ..node });
        Self::deposit_event(Event::SubnetNodeUpdateDelegateAccount { subnet_id, subnet_node_id, delegate_account });
        Ok(())
    }

    pub(crate) fn do_update_delegate_reward_rate(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        delegate_reward_rate: u128,
    ) -> DispatchResult {
        let node = Self::node_for_coldkey(subnet_id, subnet_node_id, &coldkey)?;
        Self::check_rates(delegate_reward_rate, node.delegate_account.as_ref())?;
        let last_delegate_reward_rate_update = Self::block();
        Self::put_node(subnet_id, &SubnetNode { delegate_reward_rate, last_delegate_reward_rate_update, ..node });
        Self::deposit_event(Event::SubnetNodeUpdateDelegateRewardRate {
            subnet_id,
            subnet_node_id,
            delegate_reward_rate,
        });
        Ok(())
    }

    pub(crate) fn do_update_unique(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        unique: Option<Param>,
    ) -> DispatchResult {
        let node = Self::node_for_coldkey(subnet_id, subnet_node_id, &coldkey)?;
        if node.unique != unique {
            Self::check_unique(subnet_id, unique.as_ref())?;
        }
        if let Some(before) = &node.unique {
            UniqueParamSubnetNodeId::<T>::remove(subnet_id, before);
        }
        if let Some(after) = &unique {
            UniqueParamSubnetNodeId::<T>::insert(subnet_id, after, subnet_node_id);
        }
        Self::put_node(subnet_id, &SubnetNode { unique: unique.clone(), ..node });
        Self::deposit_event(Event::SubnetNodeUpdateUnique { subnet_id, subnet_node_id, unique });
        Ok(())
    }

    pub(crate) fn do_update_non_unique(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        non_unique: Option<Param>,
    ) -> DispatchResult {
        let node = Self::node_for_coldkey(subnet_id, subnet_node_id, &coldkey)?;
        Self::put_node(subnet_id, &SubnetNode { non_unique: non_unique.clone(), ..node });
        Self::deposit_event(Event::SubnetNodeUpdateNonUnique { subnet_id, subnet_node_id, non_unique });
        Ok(())
    }

    /// Hands a hotkey, its node and its stake to another coldkey; open unbondings stay with the old one.
    pub(crate) fn do_update_coldkey(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        new_coldkey: T::AccountId,
    ) -> DispatchResult {
        ensure!(HotkeyOwner::<T>::get(&hotkey) == coldkey, Error::<T>::NotKeyOwner);
        ensure!(new_coldkey != hotkey, Error::<T>::ColdkeyMatchesHotkey);
        Self::disown_hotkey(&hotkey);
        Self::own_hotkey(&new_coldkey, &hotkey)?;
        if let Some((subnet_id, node_id)) = Self::node_of_hotkey(&hotkey) {
            Self::unlink_coldkey(subnet_id, node_id, &coldkey);
            Self::link_coldkey(subnet_id, node_id, &new_coldkey)?;
        }
        Self::deposit_event(Event::ColdkeyUpdated { hotkey, coldkey, new_coldkey });
        Ok(())
    }

    /// Gives a node another hotkey; id, stake and votes move with it.
    pub(crate) fn do_update_hotkey(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        new_hotkey: T::AccountId,
    ) -> DispatchResult {
        ensure!(HotkeyOwner::<T>::get(&hotkey) == coldkey, Error::<T>::NotKeyOwner);
        ensure!(!HotkeyOwner::<T>::contains_key(&new_hotkey), Error::<T>::HotkeyHasOwner);
        ensure!(new_hotkey != coldkey, Error::<T>::ColdkeyMatchesHotkey);
        if let Some((subnet_id, node_id)) = Self::node_of_hotkey(&hotkey) {
            let node = Self::node(subnet_id, node_id)?;
            Self::unlink_hotkey(subnet_id, &node);
            let node = SubnetNode { hotkey: new_hotkey.clone(), ..node };
            Self::link_hotkey(subnet_id, &node);
            Self::put_node(subnet_id, &node);
        }
        let stakes: Vec<(SubnetId, u128)> = AccountSubnetStake::<T>::drain_prefix(&hotkey).collect();
        for (subnet_id, stake) in stakes {
            AccountSubnetStake::<T>::insert(&new_hotkey, subnet_id, stake);
        }
        Self::disown_hotkey(&hotkey);
        Self::own_hotkey(&coldkey, &new_hotkey)?;
        Self::deposit_event(Event::HotkeyUpdated { coldkey, hotkey, new_hotkey });
        Ok(())
    }

    fn node_of_hotkey(hotkey: &T::AccountId) -> Option<(SubnetId, NodeId)> {
        let subnet_id = HotkeySubnetId::<T>::get(hotkey)?;
        HotkeySubnetNodeId::<T>::get(subnet_id, hotkey).map(|node_id| (subnet_id, node_id))
    }

    // ---- the maps between hotkeys, coldkeys and nodes ----

    pub(crate) fn own_hotkey(coldkey: &T::AccountId, hotkey: &T::AccountId) -> DispatchResult {
        HotkeyOwner::<T>::insert(hotkey, coldkey);
        ColdkeyHotkeys::<T>::try_mutate(coldkey, |keys| keys.try_insert(hotkey.clone()))
            .map_err(|_| Error::<T>::TooManyHotkeys)?;
        Ok(())
    }

    pub(crate) fn disown_hotkey(hotkey: &T::AccountId) {
        let coldkey = HotkeyOwner::<T>::take(hotkey);
        ColdkeyHotkeys::<T>::mutate_exists(coldkey, |entry| {
            let mut keys = entry.take().unwrap_or_default();
            keys.remove(hotkey);
            *entry = (!keys.is_empty()).then_some(keys);
        });
    }

    pub(crate) fn link_hotkey(subnet_id: SubnetId, node: &SubnetNode<T::AccountId>) {
        HotkeySubnetNodeId::<T>::insert(subnet_id, &node.hotkey, node.id);
        SubnetNodeIdHotkey::<T>::insert(subnet_id, node.id, &node.hotkey);
        HotkeySubnetId::<T>::insert(&node.hotkey, subnet_id);
    }

    pub(crate) fn unlink_hotkey(subnet_id: SubnetId, node: &SubnetNode<T::AccountId>) {
        HotkeySubnetNodeId::<T>::remove(subnet_id, &node.hotkey);
        SubnetNodeIdHotkey::<T>::remove(subnet_id, node.id);
        HotkeySubnetId::<T>::remove(&node.hotkey);
    }

    pub(crate) fn link_coldkey(subnet_id: SubnetId, node_id: NodeId, coldkey: &T::AccountId) -> DispatchResult {
        ColdkeySubnetNodes::<T>::try_mutate(coldkey, |subnets| {
            let mut ids = subnets.get(&subnet_id).cloned().unwrap_or_default();
            ids.try_insert(node_id).map_err(|_| Error::<T>::TooManyHotkeys)?;
            subnets.try_insert(subnet_id, ids).map_err(|_| Error::<T>::TooManyHotkeys)?;
            Ok(())
        })
    }

    pub(crate) fn unlink_coldkey(subnet_id: SubnetId, node_id: NodeId, coldkey: &T::AccountId) {
        ColdkeySubnetNodes::<T>::mutate_exists(coldkey, |entry| {
            let mut subnets = entry.take().unwrap_or_default();
            let left = subnets.get_mut(&subnet_id).map_or(0, |ids| {
                ids.remove(&node_id);
                ids.len()
            });
            if left == 0 {
                subnets.remove(&subnet_id);
            }
            *entry = (!subnets.is_empty()).then_some(subnets);
        });
    }
}
