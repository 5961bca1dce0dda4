//! Settlements that an independent model in TypeScript computed (scripts/chain/vectors.ts), to the planck: invariant 12 of chain.md 6.

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    given: Case,
    settled: Settlement,
}

/// Planck and fractions of ONE are decimal text; offsets are blocks after the first of the epoch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    validators: Vec<Standing>,
    subnet_reputation: String,
    proposer: NodeId,
    proposal: Option<Proposal>,
    votes: Vec<(NodeId, u32)>,
}

#[derive(Deserialize)]
struct Proposal {
    offset: u32,
    scores: Vec<(NodeId, String)>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Standing {
    stake: String,
    reputation: String,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
struct Settlement {
    outcome: String,
    ratio: String,
    minted: String,
    slashed: String,
    owner: String,
    /// None: removed.
    validators: Vec<Option<Standing>>,
    subnet_reputation: String,
}

fn number(text: &str) -> u128 {
    text.parse().unwrap()
}

/// Epoch 2 of a subnet of these validators; the first live epoch is settled leniently.
fn play(case: &Case) {
    accepted(OWNER, register_subnet(subnet_named("vectors")));
    for (n, standing) in (1..).zip(&case.validators) {
        let mut call = register_node(n);
        if let Call::register_subnet_node { stake_to_be_added, .. } = &mut call {
            *stake_to_be_added = number(&standing.stake);
        }
        accepted(cold(n), call);
        accepted(hot(n), activate_node(n));
    }
    accepted(OWNER, Call::activate_subnet { subnet_id: S });
    run_to_epoch(2);
    for (id, standing) in (1..).zip(&case.validators) {
        SubnetNodeReputation::<Test>::insert(S, id, number(&standing.reputation));
    }
    SubnetReputation::<Test>::insert(S, number(&case.subnet_reputation));
    decree(case.proposer);
    if let Some(Proposal { offset, scores }) = &case.proposal {
        run_to_offset(*offset);
        let scores: Vec<_> = scores.iter().map(|(id, score)| (*id, number(score))).collect();
        accepted(hot(case.proposer), propose(&scores));
    }
    for (id, offset) in &case.votes {
        run_to_offset(*offset);
        accepted(hot(*id), attest());
    }
    run_to_offset(EL - 1);
}

fn settled(case: &Case, owner_before: u128) -> Settlement {
    let result = result_of(2);
    let standing = |id: NodeId| {
        SubnetNodesData::<Test>::contains_key(S, id)
            .then(|| Standing { stake: stake(id).to_string(), reputation: reputation(id).to_string() })
    };
    Settlement {
        outcome: format!("{:?}", result.outcome),
        ratio: result.attestation_ratio.to_string(),
        minted: result.minted.to_string(),
        slashed: result.slashed.to_string(),
        owner: (balance(OWNER) - owner_before).to_string(),
        validators: (1..).zip(&case.validators).map(|(id, _)| standing(id)).collect(),
        subnet_reputation: SubnetReputation::<Test>::get(S).to_string(),
    }
}

#[test]
fn settlements_agree_with_the_model_to_the_planck() {
    let text = include_str!("../../../../../test/vectors/settlement.json");
    let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
    assert!(vectors.len() >= 50);
    for (index, vector) in vectors.iter().enumerate() {
        on_chain(devnet(), || {
            play(&vector.given);
            let owner_before = balance(OWNER);
            next_epoch();
            assert_eq!(settled(&vector.given, owner_before), vector.settled, "case {index}");
        });
    }
}
