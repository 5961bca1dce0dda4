//! Emission per general epoch, settlement of a subnet epoch, pay, reputation and the ladder (chain.md 5). Floors
//! everywhere; what is not earned is not minted.

use crate::{
    fixed::{gain, lose, mul, mul_div, ONE, PERCENT},
    pallet::*,
    types::*,
    weights,
};
use frame_support::{pallet_prelude::*, storage::with_storage_layer};
use scale_info::prelude::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

/// The year's emission: this much, and up to the second as long as few nodes run (5.1).
const YEARLY_BASE: u128 = 75_000 * ONE;
const YEARLY_EXTRA: u128 = 25_000 * ONE;
/// What absence or an empty epoch costs.
const IDLENESS: u128 = 5 * PERCENT;
/// What a node loses for not being scored, and for silence in a near-unanimous vote.
const MISS: u128 = 10 * PERCENT;

/// What one settlement did to balances.
#[derive(Default)]
struct Moved {
    minted: u128,
    slashed: u128,
}

/// The parts of a subnet's share R (5.3).
struct Shares {
    owner: u128,
    delegates: u128,
    /// B: what the proposer can earn on top.
    bonus: u128,
    /// N': divided by score.
    nodes: u128,
}

impl<T: Config> Pallet<T> {
    // ---- emission (5.1) ----

    pub(crate) fn set_emission_weights() -> Result<Weight, DispatchError> {
        let epoch = Self::epoch();
        if let Some(oldest) = epoch.checked_sub(T::HistoryEpochs::get()) {
            FinalSubnetEmissionWeights::<T>::remove(oldest);
        }
        let live: Vec<SubnetData> = SubnetsData::<T>::iter_values().filter(Self::is_live).collect();
        if live.is_empty() {
            return Ok(T::DbWeight::get().reads(1));
        }
        let electable = live.iter().map(|subnet| TotalSubnetElectableNodes::<T>::get(subnet.id));
        let electable = electable.fold(0u32, u32::saturating_add);
        let emission = Self::epoch_emission(electable);
        let treasury = mul(emission, TreasuryEmissionPercentage::<T>::get());
        let subnets_emissions = emission.saturating_sub(treasury);
        let treasury = Self::mint_free(&T::TreasuryAccount::get(), treasury);
        let subnet_weights = Self::subnet_weights(&live).try_into().unwrap_or_default();
        FinalSubnetEmissionWeights::<T>::insert(epoch, DistributionData { subnets_emissions, subnet_weights });
        Self::deposit_event(Event::EmissionWeights { epoch, treasury, subnets: subnets_emissions });
        Ok(weights::emission::<T>(live.len() as u64, electable.into()))
    }

    /// E: falls from 100 000 to 75 000 TENSOR a year as the network fills.
    fn epoch_emission(electable: u32) -> u128 {
        let room = u128::from(MaxSubnets::<T>::get()).saturating_mul(MaxSubnetNodes::<T>::get().into());
        let used = mul_div(electable.into(), ONE, room).min(ONE);
        let year = YEARLY_BASE.saturating_add(mul(YEARLY_EXTRA, ONE.saturating_sub(used)));
        year.checked_div(T::EpochsPerYear::get().into()).unwrap_or_default()
    }

    /// Each live subnet's fraction: by stake, and half by delegate stake where anybody delegates.
    fn subnet_weights(live: &[SubnetData]) -> BTreeMap<SubnetId, u128> {
        let stakes: Vec<(SubnetId, u128, u128)> = live
            .iter()
            .map(|subnet| {
                let stakes = Self::electable_ids(subnet.id).into_iter().map(|id| Self::counted_stake(subnet.id, id));
                let delegated = TotalSubnetDelegateStakeBalance::<T>::get(subnet.id);
                (subnet.id, stakes.fold(0, u128::saturating_add), delegated)
            })
            .collect();
        let stake_sum = stakes.iter().fold(0u128, |sum, (_, stake, _)| sum.saturating_add(*stake));
        let delegate_sum = stakes.iter().fold(0u128, |sum, (_, _, delegated)| sum.saturating_add(*delegated));
        let weight = |stake, delegated| match delegate_sum {
            0 => mul_div(ONE, stake, stake_sum),
            _ => mul_div(ONE / 2, stake, stake_sum).saturating_add(mul_div(ONE / 2, delegated, delegate_sum)),
        };
        stakes.into_iter().map(|(id, stake, delegated)| (id, weight(stake, delegated))).collect()
    }

    // ---- settlement (5.2) ----

    /// Settles the epoch before `epoch`, if a validator was elected for it.
    pub(crate) fn settle(subnet: &SubnetData, epoch: SubnetEpoch) -> Result<Weight, DispatchError> {
        let Some(past) = epoch.checked_sub(1) else { return Ok(Weight::zero()) };
        let Some(elected) = SubnetElectedValidator::<T>::get(subnet.id, past) else {
            return Ok(T::DbWeight::get().reads(1));
        };
        let nodes = TotalSubnetNodes::<T>::get(subnet.id);
        // there is nothing to score yet in a subnet's first live epoch
        let lenient = past == subnet.start_epoch;
        let submission = SubnetConsensusSubmission::<T>::get(subnet.id, past);
        let (outcome, ratio) = judge::<T>(submission.as_ref());
        let moved = match (outcome, &submission) {
            (ConsensusOutcome::Accepted, Some(submission)) => {
                Self::settle_accepted(subnet.id, epoch, submission, ratio)?
            }
            (ConsensusOutcome::Rejected, Some(submission)) => Self::settle_rejected(subnet.id, submission, ratio)?,
            (ConsensusOutcome::Absent, _) if !lenient => Self::settle_absent(subnet.id, elected),
            (ConsensusOutcome::Empty, _) if !lenient => {
                Self::set_subnet_reputation(subnet.id, |reputation| lose(reputation, IDLENESS));
                Moved::default()
            }
            _ => Moved::default(),
        };
        let Moved { minted, slashed } = moved;
        let result = ConsensusResult { outcome, attestation_ratio: ratio, minted, slashed };
        SubnetConsensusResult::<T>::insert(subnet.id, past, result);
        Self::deposit_event(Event::RewardResult { subnet_id: subnet.id, epoch: past, attestation_percentage: ratio });
        let removed = nodes.saturating_sub(TotalSubnetNodes::<T>::get(subnet.id));
        Ok(weights::settlement::<T>(nodes.into(), removed.into()))
    }

    fn settle_absent(subnet_id: SubnetId, elected: NodeId) -> Moved {
        Self::set_node_reputation(subnet_id, elected, |reputation| lose(reputation, IDLENESS));
        Self::set_subnet_reputation(subnet_id, |reputation| lose(reputation, IDLENESS));
        Self::remove_disreputable(subnet_id);
        Moved::default()
    }

    fn settle_accepted(
        subnet_id: SubnetId,
        epoch: SubnetEpoch,
        submission: &ConsensusData<T::AccountId>,
        ratio: u128,
    ) -> Result<Moved, DispatchError> {
        let minted = Self::pay_subnet(subnet_id, submission)?;
        let scored: BTreeSet<NodeId> =
            submission.data.iter().filter(|entry| entry.score > 0).map(|entry| entry.subnet_node_id).collect();
        Self::judge_nodes(subnet_id, epoch, submission, &scored, ratio);
        Self::set_subnet_reputation(subnet_id, gain);
        Self::climb_ladder(subnet_id, epoch, &scored);
        Self::remove_disreputable(subnet_id);
        Ok(Moved { minted, slashed: 0 })
    }

    // ---- pay (5.3) ----

    /// Mints what the epoch earned. Returns the sum.
    fn pay_subnet(subnet_id: SubnetId, submission: &ConsensusData<T::AccountId>) -> Result<u128, DispatchError> {
        let shares = Self::shares(subnet_id);
        let owner = match SubnetOwner::<T>::get(subnet_id) {
            Some(owner) => Self::mint_free(&owner, shares.owner),
            None => 0,
        };
        let delegate_stake_reward = Self::mint_to_pool(subnet_id, shares.delegates)?;
        let mut paid = Payroll::default();
        let sum = score_sum(submission);
        for entry in rewarded(submission) {
            if let Some(node) = SubnetNodesData::<T>::get(subnet_id, entry.subnet_node_id) {
                let vote = submission.attests.get(&node.id);
                let factor = vote.map_or_else(AttestorMinRewardFactor::<T>::get, |vote| vote.reward_factor);
                let pay = mul(mul_div(shares.nodes, entry.score, sum), factor);
                Self::pay_node(subnet_id, &node, pay, &mut paid)?;
            }
        }
        Self::pay_bonus(subnet_id, submission, shares.bonus, &mut paid)?;
        let minted = paid.sum().saturating_add(owner).saturating_add(delegate_stake_reward);
        Self::deposit_event(Event::SubnetRewards {
            subnet_id,
            node_rewards: paid.nodes.into_iter().collect(),
            delegate_stake_reward,
            node_delegate_stake_rewards: paid.pools,
            node_delegate_account_allocations: paid.accounts,
        });
        Ok(minted)
    }

    fn shares(subnet_id: SubnetId) -> Shares {
        let emission = FinalSubnetEmissionWeights::<T>::get(Self::epoch());
        let all = emission
            .map_or(0, |w| mul(w.subnets_emissions, w.subnet_weights.get(&subnet_id).copied().unwrap_or_default()));
        let owner = mul(all, SubnetOwnerPercentage::<T>::get());
        let rest = all.saturating_sub(owner);
        let delegates = match TotalSubnetDelegateStakeShares::<T>::get(subnet_id) {
            0 => 0,
            _ => mul(rest, SubnetDelegateStakeRewardsPercentage::<T>::get(subnet_id).unwrap_or_default()),
        };
        let nodes = rest.saturating_sub(delegates);
        let bonus = mul(nodes, ProposerRewardShare::<T>::get());
        Shares { owner, delegates, bonus, nodes: nodes.saturating_sub(bonus) }
    }

    /// Splits a node's pay among the subnet's delegates, the node's delegate account and its stake.
    fn pay_node(
        subnet_id: SubnetId,
        node: &SubnetNode<T::AccountId>,
        pay: u128,
        paid: &mut Payroll<T::AccountId>,
    ) -> DispatchResult {
        let pool = Self::mint_to_pool(subnet_id, mul(pay, node.delegate_reward_rate))?;
        if pool > 0 {
            paid.pools.push((node.id, pool));
        }
        let mut rest = pay.saturating_sub(pool);
        if let Some(DelegateAccount { account_id, rate }) = &node.delegate_account {
            let part = Self::mint_free(account_id, mul(pay, *rate));
            rest = rest.saturating_sub(part);
            if part > 0 {
                paid.accounts.push((node.id, (account_id.clone(), part)));
            }
        }
        Self::mint_stake(&node.hotkey, subnet_id, rest)?;
        paid.add_node(node.id, rest);
        Ok(())
    }

    fn pay_bonus(
        subnet_id: SubnetId,
        submission: &ConsensusData<T::AccountId>,
        bonus: u128,
        paid: &mut Payroll<T::AccountId>,
    ) -> DispatchResult {
        let earned = mul(bonus, submission.validator_reward_factor);
        if let Some(hotkey) = SubnetNodeIdHotkey::<T>::get(subnet_id, submission.validator_id) {
            Self::mint_stake(&hotkey, subnet_id, earned)?;
            paid.add_node(submission.validator_id, earned);
        }
        Ok(())
    }

    // ---- reputation and slash (5.4) ----

    pub(crate) fn set_node_reputation(subnet_id: SubnetId, node_id: NodeId, change: impl FnOnce(u128) -> u128) {
        if !SubnetNodesData::<T>::contains_key(subnet_id, node_id) {
            return;
        }
        let prev_reputation = SubnetNodeReputation::<T>::get(subnet_id, node_id);
        let new_reputation = change(prev_reputation);
        if new_reputation != prev_reputation {
            SubnetNodeReputation::<T>::insert(subnet_id, node_id, new_reputation);
            Self::deposit_event(Event::NodeReputationUpdate {
                subnet_id,
                subnet_node_id: node_id,
                prev_reputation,
                new_reputation,
            });
        }
    }

    /// An accepted epoch: scored nodes gain, others lose; with near-unanimous votes silence costs too.
    fn judge_nodes(
        subnet_id: SubnetId,
        epoch: SubnetEpoch,
        submission: &ConsensusData<T::AccountId>,
        scored: &BTreeSet<NodeId>,
        ratio: u128,
    ) {
        let near_unanimous = ratio >= SuperMajorityAttestationRatio::<T>::get();
        for node in Self::nodes_ascending(subnet_id) {
            let class = node.classification;
            let judged = class.node_class >= SubnetNodeClass::Included && class.start_epoch < epoch;
            let may_vote = submission.validator_ids.contains(&node.id);
            let silent = near_unanimous && may_vote && !submission.attests.contains_key(&node.id);
            Self::set_node_reputation(subnet_id, node.id, |before| {
                let after = match (judged, scored.contains(&node.id)) {
                    (false, _) => before,
                    (true, true) => gain(before),
                    (true, false) => lose(before, MISS),
                };
                if silent {
                    lose(after, MISS)
                } else {
                    after
                }
            });
        }
    }

    /// A rejected proposal: the further below the threshold, the more it costs those who stood for it.
    fn settle_rejected(
        subnet_id: SubnetId,
        submission: &ConsensusData<T::AccountId>,
        ratio: u128,
    ) -> Result<Moved, DispatchError> {
        let missing = ONE.saturating_sub(mul_div(ratio, ONE, MinAttestationPercentage::<T>::get())); // δ
        let proposer = submission.validator_id;
        let slashed = Self::slash_proposer(subnet_id, proposer, missing)?;
        Self::set_node_reputation(subnet_id, proposer, |reputation| lose(reputation, mul(IDLENESS, missing)));
        for id in submission.attests.keys() {
            Self::set_node_reputation(subnet_id, *id, |reputation| lose(reputation, mul(MISS, missing)));
        }
        Self::set_subnet_reputation(subnet_id, |reputation| lose(reputation, mul(ONE / 8, missing)));
        Self::remove_disreputable(subnet_id);
        Ok(Moved { minted: 0, slashed })
    }

    fn slash_proposer(subnet_id: SubnetId, proposer: NodeId, missing: u128) -> Result<u128, DispatchError> {
        let Some(hotkey) = SubnetNodeIdHotkey::<T>::get(subnet_id, proposer) else { return Ok(0) };
        let stake = AccountSubnetStake::<T>::get(&hotkey, subnet_id);
        let share = mul(mul(stake, BaseSlashPercentage::<T>::get()), missing);
        let amount = share.min(MaxSlashAmount::<T>::get()).min(stake);
        Self::slash_stake(&hotkey, subnet_id, amount)?;
        Self::deposit_event(Event::Slashing { subnet_id, account_id: hotkey, amount });
        Ok(amount)
    }

    fn remove_disreputable(subnet_id: SubnetId) {
        let minimum = MinSubnetNodeReputation::<T>::get();
        for node in Self::nodes_ascending(subnet_id) {
            if SubnetNodeReputation::<T>::get(subnet_id, node.id) < minimum {
                Self::remove_node(subnet_id, node.id, NodeRemovalReason::Reputation);
            }
        }
    }

    // ---- ladder (4.3) ----

    /// After an accepted epoch (the one before `epoch`): idle nodes have waited once more, included ones were scored
    /// or begin again. The first epoch of a class counts neither way.
    fn climb_ladder(subnet_id: SubnetId, epoch: SubnetEpoch, scored: &BTreeSet<NodeId>) {
        for node in Self::nodes_ascending(subnet_id) {
            let counts = node.classification.start_epoch.saturating_add(1) < epoch;
            let next = match node.classification.node_class {
                SubnetNodeClass::Idle if counts => Self::count_idle(subnet_id, node.id),
                SubnetNodeClass::Included if counts => {
                    Self::count_included(subnet_id, node.id, scored.contains(&node.id))
                }
                _ => None,
            };
            if let Some(class) = next {
                let id = node.id;
                let step = || Self::graduate(subnet_id, node, Classification::new(class, epoch));
                if let Err(error) = with_storage_layer(step) {
                    log::error!(target: "network", "node {id} of {subnet_id} did not graduate: {error:?}");
                }
            }
        }
    }

    fn count_idle(subnet_id: SubnetId, node_id: NodeId) -> Option<SubnetNodeClass> {
        let waited = SubnetNodeIdleConsecutiveEpochs::<T>::mutate(subnet_id, node_id, |n| {
            *n = n.saturating_add(1);
            *n
        });
        (waited >= IdleClassificationEpochs::<T>::get(subnet_id)).then_some(SubnetNodeClass::Included)
    }

    fn count_included(subnet_id: SubnetId, node_id: NodeId, scored: bool) -> Option<SubnetNodeClass> {
        let run = SubnetNodeConsecutiveIncludedEpochs::<T>::mutate(subnet_id, node_id, |n| {
            *n = if scored { n.saturating_add(1) } else { 0 };
            *n
        });
        let spotless = SubnetNodeReputation::<T>::get(subnet_id, node_id) >= ONE;
        (spotless && run >= IncludedClassificationEpochs::<T>::get(subnet_id)).then_some(SubnetNodeClass::Validator)
    }
}

/// What one settlement pays, for its event.
struct Payroll<AccountId> {
    nodes: BTreeMap<NodeId, u128>,
    pools: Vec<(NodeId, u128)>,
    accounts: Vec<(NodeId, (AccountId, u128))>,
}

impl<AccountId> Default for Payroll<AccountId> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new(), pools: Vec::new(), accounts: Vec::new() }
    }
}

impl<AccountId> Payroll<AccountId> {
    fn add_node(&mut self, id: NodeId, amount: u128) {
        let sum = self.nodes.entry(id).or_default();
        *sum = sum.saturating_add(amount);
    }
    fn sum(&self) -> u128 {
        let amounts = self.nodes.values().copied();
        let pools = self.pools.iter().map(|(_, amount)| *amount);
        let accounts = self.accounts.iter().map(|(_, (_, amount))| *amount);
        amounts.chain(pools).chain(accounts).fold(0, u128::saturating_add)
    }
}

/// The entries that are paid: scores above 0 of nodes that may vote.
fn rewarded<A>(submission: &ConsensusData<A>) -> impl Iterator<Item = &SubnetNodeConsensusData> {
    let may_vote = |id: &NodeId| submission.validator_ids.contains(id);
    submission.data.iter().filter(move |entry| entry.score > 0 && may_vote(&entry.subnet_node_id))
}

/// Σ of 5.2.
fn score_sum<A>(submission: &ConsensusData<A>) -> u128 {
    rewarded(submission).fold(0, |sum, entry| sum.saturating_add(entry.score))
}

/// The outcome of a past epoch and the ratio a of its votes.
fn judge<T: Config>(submission: Option<&ConsensusData<T::AccountId>>) -> (ConsensusOutcome, u128) {
    let Some(submission) = submission else { return (ConsensusOutcome::Absent, 0) };
    let (votes, voters) = (submission.attests.len() as u128, submission.validator_ids.len() as u128);
    let ratio = mul_div(votes, ONE, voters);
    let outcome = if ratio < MinAttestationPercentage::<T>::get() {
        ConsensusOutcome::Rejected
    } else if score_sum(submission) == 0 {
        ConsensusOutcome::Empty
    } else {
        ConsensusOutcome::Accepted
    };
    (outcome, ratio)
}
