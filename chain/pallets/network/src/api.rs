//! Questions that programs off the chain ask, with typed answers (chain.md 4.2, 7). What is missing gives None, false or
//! an empty list, never a trap.

use crate::{fixed::mul, fixed::PERCENT, pallet::*, types::*};
use codec::Codec;
use scale_info::prelude::vec::Vec;

// the macro repeats the bound in the client's trait
#[allow(clippy::multiple_bound_locations)]
mod declared {
    use super::*;
    sp_api::decl_runtime_apis! {
        pub trait NetworkRuntimeApi<AccountId: Codec> {
            /// Whether the peer belongs to a node of at least this class and stake; None = 90 % of the subnet's minimum.
            fn proof_of_stake(subnet_id: u32, peer_id: Vec<u8>, min_class: u8, min_stake: Option<u128>) -> bool;
            fn get_subnet_clock(subnet_id: u32) -> Option<SubnetClock>;
            fn get_subnet_info(subnet_id: u32) -> Option<SubnetInfo<AccountId>>;
            fn get_all_subnets_info() -> Vec<SubnetInfo<AccountId>>;
            fn get_bootnodes(subnet_id: u32) -> AllBootnodes;
            fn get_subnet_node_info(subnet_id: u32, subnet_node_id: u32) -> Option<SubnetNodeInfo<AccountId>>;
            fn get_subnet_nodes_info(subnet_id: u32) -> Vec<SubnetNodeInfo<AccountId>>;
            fn get_all_subnet_nodes_info() -> Vec<SubnetNodeInfo<AccountId>>;
            /// The electable nodes.
            fn get_validators_and_attestors(subnet_id: u32) -> Vec<SubnetNodeInfo<AccountId>>;
            fn get_coldkey_subnet_nodes_info(coldkey: AccountId) -> Vec<SubnetNodeInfo<AccountId>>;
            fn get_elected_validator_info(subnet_id: u32, subnet_epoch: u32) -> Option<SubnetNodeInfo<AccountId>>;
            fn get_coldkey_stakes(coldkey: AccountId) -> Vec<StakeInfo<AccountId>>;
            fn get_delegate_stakes(account: AccountId) -> Vec<DelegateStakeInfo>;
        }
    }
}
pub use declared::*;

impl<T: Config> Pallet<T> {
    pub fn proof_of_stake(subnet_id: SubnetId, peer_id: Vec<u8>, min_class: u8, min_stake: Option<u128>) -> bool {
        let Ok(peer_id) = PeerId::try_from(peer_id) else { return false };
        let anybody = min_class == 0 && min_stake.is_none();
        let listed = anybody && SubnetBootnodes::<T>::get(subnet_id).contains_key(&peer_id);
        listed || Self::node_proves_stake(subnet_id, &peer_id, min_class, min_stake)
    }

    fn node_proves_stake(subnet_id: SubnetId, peer_id: &PeerId, min_class: u8, min_stake: Option<u128>) -> bool {
        let holder = Self::peer_holder(subnet_id, peer_id);
        let Some(node) = SubnetNodesData::<T>::get(subnet_id, holder) else { return false };
        let class = node.classification;
        let started = class.start_epoch <= Self::subnet_epoch(subnet_id);
        // one slash must not cut an honest node off, hence 90 %
        let usual = || mul(SubnetMinStakeBalance::<T>::get(subnet_id).unwrap_or_default(), 90 * PERCENT);
        let stake = AccountSubnetStake::<T>::get(&node.hotkey, subnet_id);
        class.node_class as u8 >= min_class
            && (started || class.node_class == SubnetNodeClass::Registered)
            && stake >= min_stake.unwrap_or_else(usual)
    }

    pub fn subnet_info(subnet_id: SubnetId) -> Option<SubnetInfo<T::AccountId>> {
        let subnet = SubnetsData::<T>::get(subnet_id)?;
        Some(SubnetInfo {
            id: subnet.id,
            friendly_id: subnet.friendly_id,
            name: subnet.name.into_inner(),
            repo: subnet.repo.into_inner(),
            description: subnet.description.into_inner(),
            misc: subnet.misc.into_inner(),
            state: subnet.state,
            start_epoch: subnet.start_epoch,
            owner: SubnetOwner::<T>::get(subnet_id).unwrap_or_default(),
            slot_index: SubnetSlot::<T>::get(subnet_id),
            registration_epoch: SubnetRegistrationEpoch::<T>::get(subnet_id).unwrap_or_default(),
            min_stake: SubnetMinStakeBalance::<T>::get(subnet_id).unwrap_or_default(),
            max_stake: SubnetMaxStakeBalance::<T>::get(subnet_id).unwrap_or_default(),
            delegate_stake_percentage: SubnetDelegateStakeRewardsPercentage::<T>::get(subnet_id).unwrap_or_default(),
            churn_limit: ChurnLimit::<T>::get(subnet_id),
            subnet_node_queue_epochs: SubnetNodeQueueEpochs::<T>::get(subnet_id),
            activation_grace_epochs: ActivationGraceEpochs::<T>::get(subnet_id),
            idle_classification_epochs: IdleClassificationEpochs::<T>::get(subnet_id),
            included_classification_epochs: IncludedClassificationEpochs::<T>::get(subnet_id),
            max_registered_nodes: MaxRegisteredNodes::<T>::get(subnet_id),
            reputation: SubnetReputation::<T>::get(subnet_id),
            current_min_delegate_stake: Self::min_delegate_stake(subnet_id),
            current_node_burn: Self::node_burn(subnet_id),
            total_nodes: TotalSubnetNodes::<T>::get(subnet_id),
            total_registered_nodes: TotalRegisteredSubnetNodes::<T>::get(subnet_id),
            total_electable_nodes: TotalSubnetElectableNodes::<T>::get(subnet_id),
            total_subnet_stake: TotalSubnetStake::<T>::get(subnet_id),
            total_subnet_delegate_stake_shares: TotalSubnetDelegateStakeShares::<T>::get(subnet_id),
            total_subnet_delegate_stake_balance: TotalSubnetDelegateStakeBalance::<T>::get(subnet_id),
            bootnodes: SubnetBootnodes::<T>::get(subnet_id),
        })
    }

    pub fn all_subnets_info() -> Vec<SubnetInfo<T::AccountId>> {
        let mut ids: Vec<SubnetId> = SubnetsData::<T>::iter_keys().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(Self::subnet_info).collect()
    }

    pub fn bootnodes(subnet_id: SubnetId) -> AllBootnodes {
        let mut answer = AllBootnodes {
            subnet_bootnodes: SubnetBootnodes::<T>::get(subnet_id).into_inner(),
            node_bootnodes: Default::default(),
            registered_bootnodes: Default::default(),
        };
        for node in Self::nodes_ascending(subnet_id) {
            let known = node.bootnode_peer_info.and_then(|peer| peer.multiaddr.map(|address| (peer.peer_id, address)));
            if let Some((peer_id, address)) = known {
                let waiting = node.classification.node_class == SubnetNodeClass::Registered;
                let list = if waiting { &mut answer.registered_bootnodes } else { &mut answer.node_bootnodes };
                list.insert(peer_id, address);
            }
        }
        answer
    }

    pub fn subnet_node_info(subnet_id: SubnetId, node_id: NodeId) -> Option<SubnetNodeInfo<T::AccountId>> {
        SubnetNodesData::<T>::get(subnet_id, node_id).map(|node| Self::node_info(subnet_id, node))
    }

    fn node_info(subnet_id: SubnetId, node: SubnetNode<T::AccountId>) -> SubnetNodeInfo<T::AccountId> {
        SubnetNodeInfo {
            subnet_id,
            subnet_node_id: node.id,
            coldkey: HotkeyOwner::<T>::get(&node.hotkey),
            stake_balance: AccountSubnetStake::<T>::get(&node.hotkey, subnet_id),
            hotkey: node.hotkey,
            peer_info: node.peer_info,
            bootnode_peer_info: node.bootnode_peer_info,
            client_peer_info: node.client_peer_info,
            classification: node.classification,
            delegate_reward_rate: node.delegate_reward_rate,
            delegate_account: node.delegate_account,
            unique: node.unique,
            non_unique: node.non_unique,
            subnet_node_reputation: Some(SubnetNodeReputation::<T>::get(subnet_id, node.id)),
            node_slot_index: NodeSlotIndex::<T>::get(subnet_id, node.id),
            consecutive_idle_epochs: SubnetNodeIdleConsecutiveEpochs::<T>::get(subnet_id, node.id),
            consecutive_included_epochs: SubnetNodeConsecutiveIncludedEpochs::<T>::get(subnet_id, node.id),
        }
    }

    pub fn subnet_nodes_info(subnet_id: SubnetId) -> Vec<SubnetNodeInfo<T::AccountId>> {
        Self::nodes_ascending(subnet_id).into_iter().map(|node| Self::node_info(subnet_id, node)).collect()
    }

    pub fn all_subnet_nodes_info() -> Vec<SubnetNodeInfo<T::AccountId>> {
        let mut ids: Vec<SubnetId> = SubnetsData::<T>::iter_keys().collect();
        ids.sort_unstable();
        ids.into_iter().flat_map(Self::subnet_nodes_info).collect()
    }

    pub fn validators_and_attestors(subnet_id: SubnetId) -> Vec<SubnetNodeInfo<T::AccountId>> {
        let ids = Self::electable_ids(subnet_id);
        ids.into_iter().filter_map(|id| Self::subnet_node_info(subnet_id, id)).collect()
    }

    pub fn coldkey_subnet_nodes_info(coldkey: T::AccountId) -> Vec<SubnetNodeInfo<T::AccountId>> {
        let subnets = ColdkeySubnetNodes::<T>::get(coldkey).into_inner();
        let ids = subnets.into_iter().flat_map(|(subnet_id, ids)| ids.into_iter().map(move |id| (subnet_id, id)));
        ids.filter_map(|(subnet_id, id)| Self::subnet_node_info(subnet_id, id)).collect()
    }

    pub fn elected_validator_info(subnet_id: SubnetId, epoch: SubnetEpoch) -> Option<SubnetNodeInfo<T::AccountId>> {
        Self::subnet_node_info(subnet_id, SubnetElectedValidator::<T>::get(subnet_id, epoch)?)
    }

    pub fn coldkey_stakes(coldkey: T::AccountId) -> Vec<StakeInfo<T::AccountId>> {
        let stakes_of = |hotkey: T::AccountId| {
            let stakes: Vec<_> = AccountSubnetStake::<T>::iter_prefix(&hotkey).collect();
            stakes.into_iter().map(move |(subnet_id, balance)| StakeInfo { subnet_id, hotkey: hotkey.clone(), balance })
        };
        ColdkeyHotkeys::<T>::get(coldkey).into_iter().flat_map(stakes_of).collect()
    }

    pub fn delegate_stakes(account: T::AccountId) -> Vec<DelegateStakeInfo> {
        let held = AccountSubnetDelegateStakeShares::<T>::iter_prefix(&account);
        held.map(|(subnet_id, shares)| DelegateStakeInfo {
            subnet_id,
            shares,
            balance: Self::shares_to_balance(subnet_id, shares),
        })
        .collect()
    }
}
