//! Which epoch a block belongs to, and what the chain does by itself at each block (chain.md 4.1). Block numbers are the
//! only clock.

use crate::{fixed::mul_div, fixed::ONE, pallet::*, types::*, weights};
use frame_support::{pallet_prelude::*, storage::with_storage_layer};
use sp_runtime::SaturatedConversion;

impl<T: Config> Pallet<T> {
    pub fn block() -> u32 {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    pub(crate) fn epoch_length() -> u32 {
        T::EpochLength::get().max(1)
    }

    /// The general epoch now.
    pub fn epoch() -> u32 {
        Self::epochs_in(Self::block())
    }

    fn epochs_in(blocks: u32) -> u32 {
        blocks.checked_div(Self::epoch_length()).unwrap_or_default()
    }

    fn block_in_epoch(block: u32) -> u32 {
        block.checked_rem(Self::epoch_length()).unwrap_or_default()
    }

    /// The epoch of a subnet now; 0 before its first slot block, and for a subnet without a slot.
    pub fn subnet_epoch(subnet_id: SubnetId) -> SubnetEpoch {
        let slot = SubnetSlot::<T>::get(subnet_id).unwrap_or_default();
        Self::epochs_in(Self::block().saturating_sub(slot))
    }

    /// b_s, the first block of a subnet's present epoch.
    pub(crate) fn first_block(subnet_id: SubnetId) -> u32 {
        let slot = SubnetSlot::<T>::get(subnet_id).unwrap_or_default();
        Self::subnet_epoch(subnet_id).saturating_mul(Self::epoch_length()).saturating_add(slot)
    }

    /// x(b): how much of the subnet's epoch has passed, a fraction of ONE.
    pub(crate) fn epoch_progress(subnet_id: SubnetId) -> u128 {
        let passed = Self::block().saturating_sub(Self::first_block(subnet_id));
        mul_div(passed.into(), ONE, Self::epoch_length().into())
    }

    /// Whether elections and pay run for this subnet.
    pub(crate) fn is_live(subnet: &SubnetData) -> bool {
        subnet.state == SubnetState::Active && subnet.start_epoch <= Self::epoch()
    }

    pub fn subnet_clock(subnet_id: SubnetId) -> Option<SubnetClock> {
        let slot = SubnetSlot::<T>::get(subnet_id)?;
        let (block, first_block) = (Self::block(), Self::first_block(subnet_id));
        let next = if block < slot { slot } else { first_block.saturating_add(Self::epoch_length()) };
        Some(SubnetClock {
            block,
            epoch: Self::epoch(),
            epoch_length: Self::epoch_length(),
            slot,
            subnet_epoch: Self::subnet_epoch(subnet_id),
            first_block,
            next_slot_block: next,
        })
    }

    /// Everything that happens without a transaction. Returns the weight of what was done.
    pub(crate) fn begin_block() -> Weight {
        Self::stir_entropy();
        let mut weight = weights::block::<T>();
        weight.saturating_accrue(Self::isolated("purge", Self::purge_removed_subnets));
        let step = match Self::block_in_epoch(Self::block()) {
            0 => Self::isolated("subnet checks", Self::check_subnets),
            2 => Self::isolated("emission weights", Self::set_emission_weights),
            slot => match SlotAssignment::<T>::get(slot) {
                Some(subnet_id) => Self::emission_step(subnet_id),
                None => Weight::zero(),
            },
        };
        weight.saturating_add(step)
    }

    /// The slot block of a subnet: settle the epoch that ended, elect for the one that begins, forget the oldest.
    fn emission_step(subnet_id: SubnetId) -> Weight {
        let Some(subnet) = SubnetsData::<T>::get(subnet_id) else { return T::DbWeight::get().reads(1) };
        let epoch = Self::subnet_epoch(subnet_id);
        Self::isolated("settlement", || Self::settle(&subnet, epoch))
            .saturating_add(Self::isolated("election", || Self::elect(&subnet, epoch)))
            .saturating_add(Self::isolated("history", || Self::forget_epoch(subnet_id, epoch)))
    }

    /// Runs one step of a hook in a storage layer: if it fails it changes nothing and the block goes on.
    fn isolated(what: &str, step: impl FnOnce() -> Result<Weight, DispatchError>) -> Weight {
        with_storage_layer(step).unwrap_or_else(|error| {
            log::error!(target: "network", "{what} skipped in block {}: {error:?}", Self::block());
            T::DbWeight::get().reads(1)
        })
    }

    fn forget_epoch(subnet_id: SubnetId, epoch: SubnetEpoch) -> Result<Weight, DispatchError> {
        if let Some(oldest) = epoch.checked_sub(T::HistoryEpochs::get()) {
            SubnetElectedValidator::<T>::remove(subnet_id, oldest);
            SubnetConsensusSubmission::<T>::remove(subnet_id, oldest);
            SubnetConsensusResult::<T>::remove(subnet_id, oldest);
        }
        Ok(weights::history::<T>())
    }
}
