//! Weights, never zero: storage accesses in the largest state + 50 µs + 0.3 ms per KB of argument (chain.md 3.4).
//! tests/weights.rs counts the accesses of every call and hook and fails where this table says less. Times are estimates:
//! with 256 validators, in V8 on a busy core, a vote took 14 ms of the 19 it is charged, the settlement 124 of 194.
//! Benchmarks on the machines of a network replace them before real use.

use crate::{pallet::Config, types::*};
use frame_support::{traits::Get, weights::Weight};

const BASE: Weight = Weight::from_parts(50_000_000, 0);
/// 0.3 ms per KB of argument.
const PICOS_PER_BYTE: u64 = 300_000;
/// Storage items that a node has.
const NODE_ITEMS: u64 = 24;

fn counted<T: Config>(reads: u64, writes: u64, bytes: usize) -> Weight {
    let argument = Weight::from_parts((bytes as u64).saturating_mul(PICOS_PER_BYTE), 0);
    BASE.saturating_add(T::DbWeight::get().reads_writes(reads, writes)).saturating_add(argument)
}

pub fn register_subnet<T: Config>(data: &RegistrationSubnetData<T::AccountId>) -> Weight {
    let texts = [data.name.len(), data.repo.len(), data.description.len(), data.misc.len()];
    let maps = data.initial_coldkeys.len().saturating_mul(24).saturating_add(data.bootnodes.len().saturating_mul(1100));
    counted::<T>(20, 20, texts.into_iter().fold(maps, usize::saturating_add))
}

pub fn activate_subnet<T: Config>() -> Weight {
    counted::<T>(80, 140, 0) // rewrites up to 64 Registered nodes in both maps
}

pub fn update_bootnodes<T: Config>(added: usize) -> Weight {
    counted::<T>(4, 1, added.saturating_mul(1100))
}

pub fn update_misc<T: Config>() -> Weight {
    counted::<T>(3, 1, 1024)
}

pub fn register_subnet_node<T: Config>() -> Weight {
    // three addresses and two parameters; two expired nodes may be swept on the way
    counted::<T>(120, NODE_ITEMS * 3, 5 * 1100)
}

pub fn update_node<T: Config>() -> Weight {
    counted::<T>(16, 10, 3 * 1100)
}

pub fn remove_subnet_node<T: Config>() -> Weight {
    counted::<T>(NODE_ITEMS, NODE_ITEMS, 0)
}

pub fn clean_expired<T: Config>() -> Weight {
    let nodes = crate::nodes::SWEPT_BY_CLEANING as u64;
    let items = nodes.saturating_mul(NODE_ITEMS);
    counted::<T>(items.saturating_add(64), items, 0)
}

pub fn stake<T: Config>() -> Weight {
    counted::<T>(16, 8, 0)
}

/// A node under other keys: every map that finds it changes.
pub fn update_keys<T: Config>() -> Weight {
    counted::<T>(NODE_ITEMS, NODE_ITEMS, 0)
}

pub fn pause<T: Config>() -> Weight {
    counted::<T>(1, 1, 0)
}

pub fn propose_attestation<T: Config>(args: &Option<ProposalArgs>) -> Weight {
    // reads and decodes every node of the subnet
    counted::<T>(u64::from(MAX_NODES) + 10, 2, args.as_ref().map_or(0, |a| a.len()).saturating_add(60 * 1024))
}

pub fn attest<T: Config>() -> Weight {
    counted::<T>(8, 1, 60 * 1024) // decodes and encodes the epoch's whole ConsensusData
}

// ---- what blocks do by themselves ----

/// Every block: entropy, the purge queue, and which duty the block has.
pub fn block<T: Config>() -> Weight {
    counted::<T>(8, 2, 0)
}

/// A block's work on removed subnets.
pub fn purge<T: Config>(nodes: u64) -> Weight {
    let items = nodes.saturating_mul(NODE_ITEMS);
    T::DbWeight::get().reads_writes(items, items)
}

pub fn subnet_checks<T: Config>(subnets: u64) -> Weight {
    T::DbWeight::get()
        .reads_writes(subnets.saturating_mul(8).saturating_add(16), subnets.saturating_mul(4).saturating_add(4))
}

pub fn emission<T: Config>(subnets: u64, electable: u64) -> Weight {
    let reads = subnets.saturating_mul(8).saturating_add(electable.saturating_mul(3));
    T::DbWeight::get().reads_writes(reads.saturating_add(16), 8)
}

/// Of a subnet with this many nodes, some of which the settlement removes.
pub fn settlement<T: Config>(nodes: u64, removed: u64) -> Weight {
    let items = nodes.saturating_mul(6).saturating_add(removed.saturating_mul(NODE_ITEMS));
    T::DbWeight::get().reads_writes(items.saturating_add(24), items.saturating_add(16))
}

pub fn election<T: Config>(electable: u64) -> Weight {
    T::DbWeight::get().reads_writes(electable.saturating_mul(4).saturating_add(8), 1)
}

pub fn history<T: Config>() -> Weight {
    T::DbWeight::get().reads_writes(1, 3)
}
