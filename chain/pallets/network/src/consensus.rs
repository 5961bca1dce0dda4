//! A subnet epoch's scores: one proposal by the elected node, votes of the others (chain.md 4.4).

use crate::{
    fixed::{attestor_factor, mul_div, proposer_factor, ONE},
    pallet::*,
    types::*,
};
use frame_support::pallet_prelude::*;
use scale_info::prelude::{collections::BTreeMap, vec::Vec};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_propose(
        hotkey: T::AccountId,
        subnet_id: SubnetId,
        data: Scores,
        asks_queue: bool,
        args: Option<ProposalArgs>,
        attest_data: Option<Evidence>,
    ) -> DispatchResult {
        let subnet = Self::subnet(subnet_id)?;
        let epoch = Self::subnet_epoch(subnet_id);
        let elected = SubnetElectedValidator::<T>::get(subnet_id, epoch).filter(|_| Self::is_live(&subnet));
        let validator_id = elected.ok_or(Error::<T>::NoElectedValidator)?;
        let is_elected = SubnetNodeIdHotkey::<T>::get(subnet_id, validator_id).as_ref() == Some(&hotkey);
        ensure!(is_elected, Error::<T>::InvalidValidator);
        let repeated = SubnetConsensusSubmission::<T>::contains_key(subnet_id, epoch);
        ensure!(!repeated, Error::<T>::SubnetRewardsAlreadySubmitted);
        ensure!(!asks_queue, Error::<T>::QueueGovernanceUnsupported);
        ensure!(data.iter().all(|entry| entry.score <= T::MaxScore::get()), Error::<T>::ScoreOverflow);
        let own_vote =
            AttestEntry { block: Self::block(), attestor_progress: 0, reward_factor: ONE, data: attest_data };
        let submission = Self::submission(subnet_id, epoch, validator_id, &data, args, own_vote);
        SubnetConsensusSubmission::<T>::insert(subnet_id, epoch, submission);
        Self::deposit_event(Event::ValidatorSubmission { subnet_id, account_id: hotkey, epoch });
        Ok(())
    }

    /// The stored form of a proposal: canonical scores, and who may vote frozen as of now.
    fn submission(
        subnet_id: SubnetId,
        epoch: SubnetEpoch,
        validator_id: NodeId,
        data: &Scores,
        args: Option<ProposalArgs>,
        own_vote: AttestEntry,
    ) -> ConsensusData<T::AccountId> {
        let nodes = Self::nodes_ascending(subnet_id);
        let progress = Self::epoch_progress(subnet_id);
        let scorable =
            |node: &&SubnetNode<T::AccountId>| node.classification.is_at_least(SubnetNodeClass::Included, epoch);
        let snapshot =
            nodes.iter().filter(|node| node.classification.node_class >= SubnetNodeClass::Idle).map(|node| {
                ConsensusNode { id: node.id, hotkey: node.hotkey.clone(), classification: node.classification }
            });
        ConsensusData {
            validator_id,
            block: Self::block(),
            validator_epoch_progress: progress,
            validator_reward_factor: proposer_factor(progress),
            validator_ids: BoundedVec::truncate_from(Self::electable_ids(subnet_id)),
            attests: BTreeMap::from([(validator_id, own_vote)]).try_into().unwrap_or_default(),
            subnet_nodes: BoundedVec::truncate_from(snapshot.collect()),
            prioritize_queue_node_id: None,
            remove_queue_node_id: None,
            data: canonical(data, nodes.iter().filter(scorable).map(|node| node.id)),
            args,
        }
    }

    pub(crate) fn do_attest(
        hotkey: T::AccountId,
        subnet_id: SubnetId,
        attest_data: Option<Evidence>,
    ) -> DispatchResult {
        Self::subnet(subnet_id)?;
        let epoch = Self::subnet_epoch(subnet_id);
        let id = HotkeySubnetNodeId::<T>::get(subnet_id, &hotkey).ok_or(Error::<T>::InvalidHotkeySubnetNodeId)?;
        match Self::node(subnet_id, id)?.classification.node_class {
            SubnetNodeClass::Registered => Err(Error::<T>::InvalidSubnetNodeId)?,
            SubnetNodeClass::Idle | SubnetNodeClass::Included => Err(Error::<T>::InvalidSubnetNodeClassification)?,
            SubnetNodeClass::Validator => {}
        }
        SubnetConsensusSubmission::<T>::try_mutate(subnet_id, epoch, |submission| {
            let submission = submission.as_mut().ok_or(Error::<T>::InvalidSubnetConsensusSubmission)?;
            ensure!(submission.validator_ids.contains(&id), Error::<T>::InvalidValidatorId);
            ensure!(!submission.attests.contains_key(&id), Error::<T>::AlreadyAttested);
            let entry = Self::attest_entry(subnet_id, submission.block, attest_data);
            submission.attests.try_insert(id, entry).map_err(|_| Error::<T>::InvalidValidatorId)
        })?;
        Self::deposit_event(Event::Attestation { subnet_id, account_id: hotkey, subnet_node_id: id, epoch });
        Ok(())
    }

    /// A vote in this block on a proposal of block `proposed`: the sooner the better (5.3).
    fn attest_entry(subnet_id: SubnetId, proposed: u32, data: Option<Evidence>) -> AttestEntry {
        let block = Self::block();
        let ends = Self::first_block(subnet_id).saturating_add(Self::epoch_length());
        let (waited, left) = (block.saturating_sub(proposed), ends.saturating_sub(proposed));
        let attestor_progress = mul_div(waited.into(), ONE, left.into());
        let reward_factor = attestor_factor(attestor_progress, AttestorMinRewardFactor::<T>::get());
        AttestEntry { block, attestor_progress, reward_factor, data }
    }
}

/// One entry per scorable node, the lowest score given for it, by ascending id.
fn canonical(data: &Scores, scorable: impl Iterator<Item = NodeId>) -> Scores {
    let mut lowest: BTreeMap<NodeId, Option<u128>> = scorable.map(|id| (id, None)).collect();
    for entry in data {
        if let Some(score) = lowest.get_mut(&entry.subnet_node_id) {
            *score = Some(score.map_or(entry.score, |s| s.min(entry.score)));
        }
    }
    let entries: Vec<_> = lowest
        .into_iter()
        .filter_map(|(subnet_node_id, score)| score.map(|score| SubnetNodeConsensusData { subnet_node_id, score }))
        .collect();
    BoundedVec::truncate_from(entries)
}
