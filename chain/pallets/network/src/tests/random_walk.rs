//! Random calls by random accounts over two subnets; the invariants hold after every block (chain.md 6).

use super::*;

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
    let n = dice.below(8) + 1;
    let id = dice.below(8) + 1;
    let amount = u128::from(dice.below(1000)) * TENSOR / 4;
    let key = if dice.below(2) == 0 { cold(n) } else { hot(n) };
    match dice.below(20) {
        0..=2 => {
            let mut call = register_node(n);
            if let Call::register_subnet_node { subnet_id: at, stake_to_be_added, .. } = &mut call {
                (*at, *stake_to_be_added) = (subnet_id, STAKE + amount);
            }
            (cold(n), call)
        }
        3..=4 => (hot(n), Call::activate_subnet_node { subnet_id, subnet_node_id: id }),
        5 => (key, Call::remove_subnet_node { subnet_id, subnet_node_id: id }),
        6 => (cold(n), Call::add_stake { subnet_id, subnet_node_id: id, hotkey: hot(n), stake_to_be_added: amount }),
        7 => (cold(n), Call::remove_stake { subnet_id, hotkey: hot(n), stake_to_be_removed: amount }),
        8 => (cold(n), Call::claim_unbondings {}),
        9..=10 => (cold(n), Call::add_to_delegate_stake { subnet_id, amount }),
        11 => {
            let held = AccountSubnetDelegateStakeShares::<Test>::get(cold(n), subnet_id);
            (cold(n), Call::remove_delegate_stake { subnet_id, shares: held / u128::from(dice.below(3) + 1) })
        }
        12 => (cold(n), Call::donate_delegate_stake { subnet_id, amount }),
        13 => (cold(n), Call::update_coldkey { hotkey: hot(n), new_coldkey: cold(id) }),
        14 => (cold(n), Call::update_hotkey { old_hotkey: hot(n), new_hotkey: hot(id) }),
        15 => (key, Call::update_peer_info { subnet_id, subnet_node_id: id, new_peer_info: peer(dice.below(20)) }),
        16 => (STRANGER, Call::clean_expired_registered_subnet_nodes { subnet_id }),
        _ => (hot(n), Call::attest { subnet_id, attest_data: None }),
    }
}

/// Whoever is elected proposes random scores now and then.
fn random_proposal(dice: &mut Dice, subnet_id: SubnetId) {
    let Some(id) = SubnetElectedValidator::<Test>::get(subnet_id, epoch_of(subnet_id)) else { return };
    let Some(hotkey) = SubnetNodeIdHotkey::<Test>::get(subnet_id, id) else { return };
    let scores: Vec<_> = (0..dice.below(12)).map(|_| (dice.below(10), u128::from(dice.below(100)))).collect();
    let mut call = propose(&scores);
    if let Call::propose_attestation { subnet_id: at, .. } = &mut call {
        *at = subnet_id;
    }
    let _ = send(hotkey, call);
}

fn walk(seed: u64) -> u32 {
    let mut done = 0;
    on_chain(GenesisConfig { epoch_length: Some(10), activation_grace_epochs: Some(1), ..devnet() }, || {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        for (owner, name) in [(OWNER, "one"), (STRANGER, "two")] {
            accepted(owner, register_subnet(subnet_named(name)));
        }
        for block in 2..160 {
            for _ in 0..6 {
                let (who, call) = random_call(&mut dice);
                done += u32::from(send(who, call).is_ok());
            }
            for subnet_id in [S, S + 1] {
                if dice.below(4) == 0 {
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

#[test]
fn the_invariants_survive_random_walks() {
    for seed in 1..=3 {
        let done = walk(seed * 7919);
        assert!(done > 100, "only {done} calls of walk {seed} did something");
    }
}
