//! Delegate stake: pools of shares whose price rises with the rewards (chain.md 3.4, 5.5). Both directions floor, so a pool
//! never pays more than it has.

use crate::{fixed::mul_div, pallet::*, types::*};
use frame_support::{pallet_prelude::*, traits::fungible::Mutate};

/// Virtual shares, against one virtual planck, that every pool begins with: they fix the first depositor's price, so that
/// a donation cannot take the next one's money (5.5).
const VIRTUAL_SHARES: u128 = 1000;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_add_delegate_stake(account: T::AccountId, subnet_id: SubnetId, amount: u128) -> DispatchResult {
        Self::subnet(subnet_id)?;
        let enough = amount >= MinDelegateStakeDeposit::<T>::get();
        ensure!(enough, Error::<T>::MinDelegateStakeDepositNotReached);
        ensure!(Self::spendable(&account) >= amount, Error::<T>::NotEnoughBalanceToStake);
        let shares = Self::balance_to_shares(subnet_id, amount);
        ensure!(shares > 0, Error::<T>::CouldNotConvertToShares);
        Self::pay(&account, &Self::pot(), amount, Error::<T>::NotEnoughBalanceToStake)?;
        Self::grow_pool(subnet_id, amount);
        TotalSubnetDelegateStakeShares::<T>::mutate(subnet_id, |all| *all = all.saturating_add(shares));
        Self::give_shares(&account, subnet_id, shares);
        Self::deposit_event(Event::DelegateStakeAdded { subnet_id, account_id: account, amount, shares });
        Ok(())
    }

    /// Works for removed subnets too.
    pub(crate) fn do_remove_delegate_stake(account: T::AccountId, subnet_id: SubnetId, shares: u128) -> DispatchResult {
        Self::take_shares(&account, subnet_id, shares)?;
        let amount = Self::shares_to_balance(subnet_id, shares);
        ensure!(amount > 0, Error::<T>::InvalidAmount);
        TotalSubnetDelegateStakeShares::<T>::mutate(subnet_id, |all| *all = all.saturating_sub(shares));
        TotalSubnetDelegateStakeBalance::<T>::mutate(subnet_id, |balance| *balance = balance.saturating_sub(amount));
        TotalDelegateStake::<T>::mutate(|total| *total = total.saturating_sub(amount));
        let claim_block = Self::unbond(&account, amount, DelegateStakeCooldownEpochs::<T>::get())?;
        Self::deposit_event(Event::DelegateStakeRemoved {
            subnet_id,
            account_id: account,
            amount,
            shares,
            claim_block,
        });
        Ok(())
    }

    pub(crate) fn do_transfer_delegate_stake(
        from: T::AccountId,
        subnet_id: SubnetId,
        to: T::AccountId,
        shares: u128,
    ) -> DispatchResult {
        Self::take_shares(&from, subnet_id, shares)?;
        Self::give_shares(&to, subnet_id, shares);
        Self::deposit_event(Event::DelegateStakeTransferred { subnet_id, from, to, shares });
        Ok(())
    }

    pub(crate) fn do_donate_delegate_stake(account: T::AccountId, subnet_id: SubnetId, amount: u128) -> DispatchResult {
        Self::subnet(subnet_id)?;
        ensure!(amount > 0, Error::<T>::InvalidAmount);
        ensure!(TotalSubnetDelegateStakeShares::<T>::get(subnet_id) > 0, Error::<T>::NoDelegateShares);
        Self::pay(&account, &Self::pot(), amount, Error::<T>::NotEnoughBalanceToStake)?;
        Self::grow_pool(subnet_id, amount);
        Self::deposit_event(Event::DelegateStakeDonated { subnet_id, account_id: account, amount });
        Ok(())
    }

    fn give_shares(account: &T::AccountId, subnet_id: SubnetId, shares: u128) {
        AccountSubnetDelegateStakeShares::<T>::mutate(account, subnet_id, |held| *held = held.saturating_add(shares));
    }

    fn take_shares(account: &T::AccountId, subnet_id: SubnetId, shares: u128) -> DispatchResult {
        ensure!(shares > 0, Error::<T>::AmountZero);
        AccountSubnetDelegateStakeShares::<T>::try_mutate_exists(account, subnet_id, |held| {
            let left = held.unwrap_or_default().checked_sub(shares).ok_or(Error::<T>::NotEnoughStakeToWithdraw)?;
            *held = (left > 0).then_some(left);
            Ok(())
        })
    }

    /// New planck for a subnet's delegates. Returns what was minted: nothing where there is no delegate.
    pub(crate) fn mint_to_pool(subnet_id: SubnetId, amount: u128) -> Result<u128, DispatchError> {
        if TotalSubnetDelegateStakeShares::<T>::get(subnet_id) == 0 {
            return Ok(0);
        }
        T::Currency::mint_into(&Self::pot(), amount)?;
        Self::grow_pool(subnet_id, amount);
        Ok(amount)
    }

    fn grow_pool(subnet_id: SubnetId, amount: u128) {
        TotalSubnetDelegateStakeBalance::<T>::mutate(subnet_id, |balance| *balance = balance.saturating_add(amount));
        TotalDelegateStake::<T>::mutate(|total| *total = total.saturating_add(amount));
    }

    /// The shares that `amount` buys.
    fn balance_to_shares(subnet_id: SubnetId, amount: u128) -> u128 {
        let (all, balance) = Self::priced_pool(subnet_id);
        mul_div(amount, all, balance)
    }

    /// What `shares` of a pool are worth.
    pub fn shares_to_balance(subnet_id: SubnetId, shares: u128) -> u128 {
        let (all, balance) = Self::priced_pool(subnet_id);
        mul_div(shares, balance, all)
    }

    /// Shares and balance that make the price, the virtual ones included.
    fn priced_pool(subnet_id: SubnetId) -> (u128, u128) {
        let shares = TotalSubnetDelegateStakeShares::<T>::get(subnet_id);
        let balance = TotalSubnetDelegateStakeBalance::<T>::get(subnet_id);
        (shares.saturating_add(VIRTUAL_SHARES), balance.saturating_add(1))
    }
}
