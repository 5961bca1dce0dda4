//! Random calls by random accounts over two subnets; the invariants hold after every block (chain.md 6).

use super::*;
use frame_support::traits::GetCallName;
use std::collections::BTreeMap;

/// A small generator (xorshift64*), so that a failure repeats from the seed it prints.
struct Dice(u64);
impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as u32 % n
    }
}

fn random_call(dice: &mut Dice) -> (AccountId, Call<Test>) {
    let subnet_id = S + dice.below(2);
    let n = dice.below(16) + 1;
    let ids: Vec<NodeId> = SubnetNodesData::<Test>::iter_key_prefix(subnet_id).collect();
    let id = ids.get(dice.below(16) as usize).copied().unwrap_or(n);
    let amount = u128::from(dice.below(1000)) * TENSOR / 4;
    let part = u128::from(dice.below(70)) * PERCENT;
    // mostly the keys that have a say, as strangers are refused at once
    let owner = match HotkeyOwner::<Test>::get(hot(n)) {
        0 => cold(n),
        coldkey => coldkey,
    };
    let holder = SubnetNodeIdHotkey::<Test>::get(subnet_id, id).unwrap_or(hot(n));
    let coldkey = match HotkeyOwner::<Test>::get(holder) {
        0 => owner,
        coldkey => coldkey,
    };
    let key = if dice.below(2) == 0 { coldkey } else { holder };
    let some_peer = peer(dice.below(60));
    let maybe_peer = (dice.below(3) > 0).then(|| peer(dice.below(60)));
    let words = (dice.below(3) > 0).then(|| text([dice.below(4) as u8]));
    match dice.below(36) {
        0..=3 => {
            let mut call = register_node(n);
            if let Call::register_subnet_node {
                subnet_id: at, stake_to_be_added, peer_info, client_peer_info, ..
            } = &mut call
            {
                (*at, *stake_to_be_added, *peer_info, *client_peer_info) =
                    (subnet_id, STAKE + amount, some_peer, maybe_peer);
            }
            (cold(n), call)
        }
        4..=7 => (holder, Call::activate_subnet_node { subnet_id, subnet_node_id: id }),
        8 if dice.below(8) == 0 => (key, Call::remove_subnet_node { subnet_id, subnet_node_id: id }),
        9 => (coldkey, Call::add_stake { subnet_id, subnet_node_id: id, hotkey: holder, stake_to_be_added: amount }),
        10 => {
            let held = AccountSubnetStake::<Test>::get(hot(n), subnet_id);
            let amount = if dice.below(2) == 0 { held } else { amount };
            (owner, Call::remove_stake { subnet_id, hotkey: hot(n), stake_to_be_removed: amount })
        }
        11..=12 => (cold(n), Call::claim_unbondings {}),
        13..=14 => (cold(n), Call::add_to_delegate_stake { subnet_id, amount }),
        15 => {
            let held = AccountSubnetDelegateStakeShares::<Test>::get(cold(n), subnet_id);
            (cold(n), Call::remove_delegate_stake { subnet_id, shares: held / u128::from(dice.below(3) + 1) })
        }
        16 => {
            let held = AccountSubnetDelegateStakeShares::<Test>::get(cold(n), subnet_id);
            (cold(n), Call::transfer_delegate_stake { subnet_id, to: cold(dice.below(16) + 1), shares: held / 2 })
        }
        17 => (cold(n), Call::donate_delegate_stake { subnet_id, amount }),
        18 => (owner, Call::update_coldkey { hotkey: hot(n), new_coldkey: cold(dice.below(16) + 1) }),
        19 => (owner, Call::update_hotkey { old_hotkey: hot(n), new_hotkey: hot(dice.below(16) + 1) }),
        20 => (key, Call::update_peer_info { subnet_id, subnet_node_id: id, new_peer_info: some_peer }),
        21 => {
            (key, Call::update_bootnode_peer_info { subnet_id, subnet_node_id: id, new_bootnode_peer_info: maybe_peer })
        }
        22 => (key, Call::update_client_peer_info { subnet_id, subnet_node_id: id, new_client_peer_info: maybe_peer }),
        23 => {
            let new_delegate_account =
                (dice.below(6) == 0).then(|| DelegateAccount { account_id: 30_000 + u64::from(n), rate: part });
            (coldkey, Call::update_delegate_account { subnet_id, subnet_node_id: id, new_delegate_account })
        }
        24 => {
            let new_delegate_reward_rate = if dice.below(6) == 0 { part } else { 0 };
            let call =
                Call::update_node_delegate_reward_rate { subnet_id, subnet_node_id: id, new_delegate_reward_rate };
            (coldkey, call)
        }
        25 => (coldkey, Call::update_unique { subnet_id, subnet_node_id: id, unique: words }),
        26 => (coldkey, Call::update_non_unique { subnet_id, subnet_node_id: id, non_unique: words }),
        27 => (OWNER, Call::update_misc { subnet_id, misc: text([n as u8]) }),
        28 => {
            let add = [(some_peer.peer_id.clone(), some_peer.multiaddr.unwrap())].into();
            let remove = maybe_peer.map(|peer| peer.peer_id).into_iter().collect();
            (OWNER, Call::update_bootnodes { subnet_id, add, remove })
        }
        29 => (STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id }),
        _ => (holder, Call::attest { subnet_id, attest_data: None }),
    }
}

/// Whoever is elected proposes random scores now and then.
fn random_proposal(dice: &mut Dice, subnet_id: SubnetId) {
    let Some(id) = SubnetElectedValidator::<Test>::get(subnet_id, epoch_of(subnet_id)) else { return };
    let Some(hotkey) = SubnetNodeIdHotkey::<Test>::get(subnet_id, id) else { return };
    let ids = SubnetNodesData::<Test>::iter_key_prefix(subnet_id).filter(|_| dice.below(8) > 0).collect::<Vec<_>>();
    let scores: Vec<_> = ids.into_iter().map(|id| (id, u128::from(dice.below(6).min(2)))).collect();
    let mut call = propose(&scores);
    if let Call::propose_attestation { subnet_id: at, .. } = &mut call {
        *at = subnet_id;
    }
    let _ = send(hotkey, call);
}

/// Blocks of one walk and calls in each.
const BLOCKS: u32 = 160;
const CALLS: u32 = 24;

/// The calls of a walk that succeeded, by name.
fn walk(seed: u64) -> BTreeMap<String, u32> {
    let mut done = BTreeMap::new();
    // every other walk begins with several validators
    let min_subnet_nodes = Some(if seed % 2 == 0 { 5 } else { 1 });
    let config =
        GenesisConfig { epoch_length: Some(10), activation_grace_epochs: Some(1), min_subnet_nodes, ..devnet() };
    on_chain(config, || {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        for (owner, name) in [(OWNER, "one"), (STRANGER, "two")] {
            accepted(owner, register_subnet(subnet_named(name)));
        }
        for block in 2..2 + BLOCKS {
            for _ in 0..CALLS {
                let (who, call) = random_call(&mut dice);
                let name = call.get_call_name().to_string();
                if send(who, call).is_ok() {
                    *done.entry(name).or_default() += 1;
                }
            }
            for subnet_id in [S, S + 1] {
                if dice.below(3) == 0 {
                    random_proposal(&mut dice, subnet_id);
                }
            }
            let _ = send(OWNER, Call::activate_subnet { subnet_id: S });
            let _ = send(STRANGER, Call::activate_subnet { subnet_id: S + 1 });
            run_to(block);
        }
    });
    done
}

/// More than ten thousand calls; each kind must have worked somewhere, or the walks would prove little.
#[test]
fn the_invariants_survive_random_walks() {
    const WALKS: u64 = 6;
    assert!(WALKS as u32 * BLOCKS * CALLS > 10_000);
    let mut done = BTreeMap::<String, u32>::new();
    for seed in 1..=WALKS {
        for (name, count) in walk(seed * 7919) {
            *done.entry(name).or_default() += count;
        }
    }
    println!("{done:?}");
    assert!(invariants::compared_with_silence() > 20);
    assert_eq!(done.len(), 23, "{:?}", done.keys());
    assert!(done["attest"] > 60 && done.values().sum::<u32>() > 2000);
}
