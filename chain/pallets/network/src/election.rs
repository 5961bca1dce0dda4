//! Who may propose in a subnet epoch: drawn by stake and reputation, from a seed that nobody knows early (chain.md 4.4).

use crate::{fixed::mul, pallet::*, types::*, weights};
use codec::Encode;
use core::marker::PhantomData;
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::prelude::vec::Vec;
use sp_core::{H256, U256};
use sp_io::hashing::blake2_256;

/// The pallet's own randomness: a hash over all parent hashes so far. The author of the block before a slot block can
/// pick among outcomes; a network of many authors puts a VRF in its place.
pub struct BlockEntropy<T>(PhantomData<T>);
impl<T: Config> Get<H256> for BlockEntropy<T> {
    fn get() -> H256 {
        ElectionEntropy::<T>::get()
    }
}

impl<T: Config> Pallet<T> {
    pub(crate) fn stir_entropy() {
        let parent = frame_system::Pallet::<T>::parent_hash();
        ElectionEntropy::<T>::mutate(|entropy| {
            let preimage = [entropy.as_bytes(), parent.as_ref(), &Self::block().to_le_bytes()].concat();
            *entropy = H256(blake2_256(&preimage));
        });
    }

    /// The ids that can be elected and may vote, ascending: all of class Validator.
    pub(crate) fn electable_ids(subnet_id: SubnetId) -> Vec<NodeId> {
        let mut ids = SubnetNodeElectionSlots::<T>::get(subnet_id).into_inner();
        ids.sort_unstable();
        ids
    }

    /// The part of a node's stake that counts: what is above the subnet's maximum earns nothing.
    pub(crate) fn counted_stake(subnet_id: SubnetId, node_id: NodeId) -> u128 {
        let Some(hotkey) = SubnetNodeIdHotkey::<T>::get(subnet_id, node_id) else { return 0 };
        let cap = SubnetMaxStakeBalance::<T>::get(subnet_id).unwrap_or_default();
        AccountSubnetStake::<T>::get(hotkey, subnet_id).min(cap)
    }

    pub(crate) fn elect(subnet: &SubnetData, epoch: SubnetEpoch) -> Result<Weight, DispatchError> {
        if !Self::is_live(subnet) {
            return Ok(Weight::zero());
        }
        let stakes: Vec<(NodeId, u128)> = Self::electable_ids(subnet.id)
            .into_iter()
            .map(|id| {
                let stake = Self::counted_stake(subnet.id, id);
                (id, mul(stake, SubnetNodeReputation::<T>::get(subnet.id, id)))
            })
            .collect();
        let weight = weights::election::<T>(stakes.len() as u64);
        if let Some(subnet_node_id) = draw(&Self::election_seed(subnet.id, epoch), &stakes) {
            SubnetElectedValidator::<T>::insert(subnet.id, epoch, subnet_node_id);
            Self::deposit_event(Event::ValidatorElected { subnet_id: subnet.id, epoch, subnet_node_id });
        }
        Ok(weight)
    }

    fn election_seed(subnet_id: SubnetId, epoch: SubnetEpoch) -> [u8; 32] {
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::from(0u32));
        let preimage = (genesis, subnet_id, epoch, T::Randomness::get()).encode();
        blake2_256(&[&b"tessera/elect/1"[..], &preimage].concat())
    }
}

/// The first id whose prefix sum of weights exceeds seed mod Σ weights; the seed is a little-endian number.
pub(crate) fn draw(seed: &[u8; 32], weights: &[(NodeId, u128)]) -> Option<NodeId> {
    let total = weights.iter().fold(U256::zero(), |sum, (_, w)| sum.saturating_add(U256::from(*w)));
    let target = U256::from_little_endian(seed).checked_rem(total)?;
    let mut sum = U256::zero();
    weights.iter().find_map(|(id, weight)| {
        sum = sum.saturating_add(U256::from(*weight));
        (sum > target).then_some(*id)
    })
}
