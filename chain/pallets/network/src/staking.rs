//! Money: every planck that is staked, delegated or cooling down sits in the pot account; the totals here and the pot's
//! balance always agree (chain.md 3.4, 6 invariants 1-3).

use crate::{pallet::*, types::*};
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{Inspect, Mutate},
        tokens::{Fortitude, Preservation},
    },
};
use sp_runtime::traits::AccountIdConversion;

impl<T: Config> Pallet<T> {
    /// The account that holds staked, delegated and unbonding planck: 12 bytes of the pallet's name, then zeros.
    pub fn pot() -> T::AccountId {
        T::PalletId::get().into_account_truncating()
    }

    /// Pot and treasury live from the start, so that no small payment to them can fail.
    pub(crate) fn found_accounts() {
        for account in [Self::pot(), T::TreasuryAccount::get()] {
            let missing = T::Currency::minimum_balance().saturating_sub(T::Currency::balance(&account));
            if T::Currency::mint_into(&account, missing).is_err() {
                log::error!(target: "network", "the account {account:?} could not be founded");
            }
        }
    }

    pub(crate) fn total_issuance() -> u128 {
        T::Currency::total_issuance()
    }

    /// What an account can give away and still exist.
    pub(crate) fn spendable(who: &T::AccountId) -> u128 {
        T::Currency::reducible_balance(who, Preservation::Preserve, Fortitude::Polite)
    }

    pub(crate) fn pay(from: &T::AccountId, to: &T::AccountId, amount: u128, error: Error<T>) -> DispatchResult {
        ensure!(Self::spendable(from) >= amount, error);
        T::Currency::transfer(from, to, amount, Preservation::Preserve)?;
        Ok(())
    }

    pub(crate) fn pay_treasury(from: &T::AccountId, amount: u128, error: Error<T>) -> DispatchResult {
        Self::pay(from, &T::TreasuryAccount::get(), amount, error)
    }

    // ---- stake ----

    pub(crate) fn check_stake_range(subnet_id: SubnetId, stake: u128) -> DispatchResult {
        let minimum = SubnetMinStakeBalance::<T>::get(subnet_id).unwrap_or_default();
        let maximum = SubnetMaxStakeBalance::<T>::get(subnet_id).unwrap_or_default();
        ensure!(stake >= minimum, Error::<T>::MinStakeNotReached);
        ensure!(stake <= maximum, Error::<T>::MaxStakeReached);
        Ok(())
    }

    pub(crate) fn deposit_stake(
        coldkey: &T::AccountId,
        hotkey: &T::AccountId,
        subnet_id: SubnetId,
        amount: u128,
    ) -> DispatchResult {
        Self::pay(coldkey, &Self::pot(), amount, Error::<T>::NotEnoughBalanceToStake)?;
        Self::grow_stake(hotkey, subnet_id, amount);
        Ok(())
    }

    fn grow_stake(hotkey: &T::AccountId, subnet_id: SubnetId, amount: u128) {
        AccountSubnetStake::<T>::mutate(hotkey, subnet_id, |stake| *stake = stake.saturating_add(amount));
        TotalSubnetStake::<T>::mutate(subnet_id, |total| *total = total.saturating_add(amount));
        TotalStake::<T>::mutate(|total| *total = total.saturating_add(amount));
    }

    fn shrink_stake(hotkey: &T::AccountId, subnet_id: SubnetId, amount: u128) {
        AccountSubnetStake::<T>::mutate_exists(hotkey, subnet_id, |stake| {
            let left = stake.unwrap_or_default().saturating_sub(amount);
            *stake = (left > 0).then_some(left);
        });
        TotalSubnetStake::<T>::mutate(subnet_id, |total| *total = total.saturating_sub(amount));
        TotalStake::<T>::mutate(|total| *total = total.saturating_sub(amount));
    }

    /// New planck as stake. Returns what was minted.
    pub(crate) fn mint_stake(hotkey: &T::AccountId, subnet_id: SubnetId, amount: u128) -> Result<u128, DispatchError> {
        T::Currency::mint_into(&Self::pot(), amount)?;
        Self::grow_stake(hotkey, subnet_id, amount);
        Ok(amount)
    }

    /// New planck for an account; nothing if the sum is too small to bring the account to life.
    pub(crate) fn mint_free(who: &T::AccountId, amount: u128) -> u128 {
        let lives = T::Currency::balance(who).saturating_add(amount) >= T::Currency::minimum_balance();
        if lives && T::Currency::mint_into(who, amount).is_ok() {
            amount
        } else {
            0
        }
    }

    /// Stake that a proposer loses goes to the treasury.
    pub(crate) fn slash_stake(hotkey: &T::AccountId, subnet_id: SubnetId, amount: u128) -> DispatchResult {
        T::Currency::transfer(&Self::pot(), &T::TreasuryAccount::get(), amount, Preservation::Preserve)?;
        Self::shrink_stake(hotkey, subnet_id, amount);
        Ok(())
    }

    pub(crate) fn do_add_stake(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        subnet_node_id: NodeId,
        hotkey: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        Self::subnet(subnet_id)?;
        ensure!(HotkeyOwner::<T>::get(&hotkey) == coldkey, Error::<T>::NotKeyOwner);
        let held = HotkeySubnetNodeId::<T>::get(subnet_id, &hotkey);
        ensure!(held == Some(subnet_node_id), Error::<T>::InvalidSubnetNodeId);
        ensure!(amount > 0, Error::<T>::InvalidAmount);
        let stake = AccountSubnetStake::<T>::get(&hotkey, subnet_id).saturating_add(amount);
        Self::check_stake_range(subnet_id, stake)?;
        Self::deposit_stake(&coldkey, &hotkey, subnet_id, amount)?;
        Self::deposit_event(Event::StakeAdded { subnet_id, subnet_node_id, hotkey, amount });
        Ok(())
    }

    pub(crate) fn do_remove_stake(
        coldkey: T::AccountId,
        subnet_id: SubnetId,
        hotkey: T::AccountId,
        amount: u128,
    ) -> DispatchResult {
        ensure!(HotkeyOwner::<T>::get(&hotkey) == coldkey, Error::<T>::NotKeyOwner);
        ensure!(amount > 0, Error::<T>::AmountZero);
        let stake = AccountSubnetStake::<T>::get(&hotkey, subnet_id);
        let left = stake.checked_sub(amount).ok_or(Error::<T>::NotEnoughStakeToWithdraw)?;
        Self::check_stake_left(subnet_id, &hotkey, left)?;
        let claim_block = Self::unbond(&coldkey, amount, StakeCooldownEpochs::<T>::get())?;
        Self::shrink_stake(&hotkey, subnet_id, amount);
        Self::free_unused_hotkey(subnet_id, &hotkey);
        Self::deposit_event(Event::StakeRemoved { subnet_id, hotkey, amount, claim_block });
        Ok(())
    }

    /// A node of a living subnet keeps its minimum, and keeps all of it while it is elected.
    fn check_stake_left(subnet_id: SubnetId, hotkey: &T::AccountId, left: u128) -> DispatchResult {
        let node_id = HotkeySubnetNodeId::<T>::get(subnet_id, hotkey);
        let (Some(node_id), true) = (node_id, SubnetsData::<T>::contains_key(subnet_id)) else { return Ok(()) };
        ensure!(!Self::is_elected_now(subnet_id, node_id), Error::<T>::ElectedValidatorCannotUnstake);
        let minimum = SubnetMinStakeBalance::<T>::get(subnet_id).unwrap_or_default();
        ensure!(left >= minimum, Error::<T>::MinStakeNotReached);
        Ok(())
    }

    /// All of a hotkey's stake begins to cool down; with a full ledger it stays where it is, still withdrawable.
    pub(crate) fn unbond_all_stake(subnet_id: SubnetId, hotkey: &T::AccountId, coldkey: &T::AccountId) {
        let stake = AccountSubnetStake::<T>::get(hotkey, subnet_id);
        if stake > 0 && Self::unbond(coldkey, stake, StakeCooldownEpochs::<T>::get()).is_ok() {
            Self::shrink_stake(hotkey, subnet_id, stake);
        }
    }

    // ---- unbonding ----

    /// Enters `amount` into the ledger; returns the first block that pays it.
    pub(crate) fn unbond(account: &T::AccountId, amount: u128, cooldown_epochs: u32) -> Result<u32, Error<T>> {
        let claim_block = Self::block().saturating_add(cooldown_epochs.saturating_mul(Self::epoch_length()));
        StakeUnbondingLedger::<T>::try_mutate(account, |ledger| {
            let sum = ledger.get(&claim_block).copied().unwrap_or_default().saturating_add(amount);
            let room = ledger.contains_key(&claim_block) || ledger.len() < T::MaxUnbondings::get() as usize;
            ensure!(room, Error::<T>::MaxUnlockingsReached);
            ledger.try_insert(claim_block, sum).map_err(|_| Error::<T>::MaxUnlockingsReached)
        })?;
        TotalUnbondingBalance::<T>::mutate(|total| *total = total.saturating_add(amount));
        Ok(claim_block)
    }

    pub(crate) fn do_claim_unbondings(account: T::AccountId) -> DispatchResult {
        let ledger = StakeUnbondingLedger::<T>::get(&account).into_inner();
        let now = Self::block();
        let ripe = ledger.range(..=now).fold(0u128, |sum, (_, amount)| sum.saturating_add(*amount));
        ensure!(ripe > 0, Error::<T>::NoStakeUnbondingsOrCooldownNotMet);
        T::Currency::transfer(&Self::pot(), &account, ripe, Preservation::Preserve)?;
        StakeUnbondingLedger::<T>::mutate_exists(&account, |entry| {
            let mut left = entry.take().unwrap_or_default();
            left.retain(|block, _| *block > now);
            *entry = (!left.is_empty()).then_some(left);
        });
        TotalUnbondingBalance::<T>::mutate(|total| *total = total.saturating_sub(ripe));
        Self::deposit_event(Event::UnbondingClaimed { account, amount: ripe });
        Ok(())
    }
}
