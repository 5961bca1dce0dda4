//! A state that counts: which keys a piece of work reads and writes. For comparing weights with what is done.

use sp_core::storage::{ChildInfo, StateVersion, TrackedStorageKey};
use sp_externalities::{Error, Extension, ExtensionStore, Externalities, MultiRemovalResults};
use sp_io::hashing::twox_128;
use sp_state_machine::BasicExternalities;
use std::{
    any::{Any, TypeId},
    collections::BTreeSet,
};

#[derive(Default)]
pub struct Counted {
    state: BasicExternalities,
    read: BTreeSet<Vec<u8>>,
    written: BTreeSet<Vec<u8>>,
}

impl Counted {
    pub fn new(state: BasicExternalities) -> Self {
        Self { state, ..Default::default() }
    }

    pub fn execute_with<R>(&mut self, work: impl FnOnce() -> R) -> R {
        sp_externalities::set_and_run_with_externalities(self, work)
    }

    /// Distinct keys read and written since the last question.
    pub fn take(&mut self) -> (u64, u64) {
        let count =
            |keys: &mut BTreeSet<Vec<u8>>| std::mem::take(keys).iter().filter(|key| !is_overhead(key)).count() as u64;
        (count(&mut self.read), count(&mut self.written))
    }
}

/// What every block touches anyway: the number, the events and the like, but not the accounts.
fn is_overhead(key: &[u8]) -> bool {
    let of = |pallet: &[u8]| key.starts_with(&twox_128(pallet));
    of(b"System") && !key[16..].starts_with(&twox_128(b"Account"))
}

const NO_CHILDREN: &str = "the pallet has no child tries";

impl Externalities for Counted {
    fn storage(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.read.insert(key.to_vec());
        self.state.storage(key)
    }
    fn next_storage_key(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let next = self.state.next_storage_key(key)?;
        self.read.insert(next.clone());
        Some(next)
    }
    fn place_storage(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.written.insert(key.clone());
        self.state.place_storage(key, value);
    }
    fn storage_append(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.written.insert(key.clone());
        self.state.storage_append(key, value);
    }
    fn clear_prefix(&mut self, prefix: &[u8], limit: Option<u32>, cursor: Option<&[u8]>) -> MultiRemovalResults {
        let mut key = prefix.to_vec();
        while let Some(next) = self.state.next_storage_key(&key).filter(|next| next.starts_with(prefix)) {
            self.written.insert(next.clone());
            key = next;
        }
        self.state.clear_prefix(prefix, limit, cursor)
    }
    fn storage_root(&mut self, version: StateVersion) -> Vec<u8> {
        self.state.storage_root(version)
    }
    fn storage_start_transaction(&mut self) {
        self.state.storage_start_transaction();
    }
    fn storage_rollback_transaction(&mut self) -> Result<(), ()> {
        self.state.storage_rollback_transaction()
    }
    fn storage_commit_transaction(&mut self) -> Result<(), ()> {
        self.state.storage_commit_transaction()
    }

    fn set_offchain_storage(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn storage_hash(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        unimplemented!("the pallet asks for no hashes")
    }
    fn child_storage_hash(&mut self, _: &ChildInfo, _: &[u8]) -> Option<Vec<u8>> {
        unimplemented!("{NO_CHILDREN}")
    }
    fn child_storage(&mut self, _: &ChildInfo, _: &[u8]) -> Option<Vec<u8>> {
        unimplemented!("{NO_CHILDREN}")
    }
    fn next_child_storage_key(&mut self, _: &ChildInfo, _: &[u8]) -> Option<Vec<u8>> {
        unimplemented!("{NO_CHILDREN}")
    }
    fn kill_child_storage(&mut self, _: &ChildInfo, _: Option<u32>, _: Option<&[u8]>) -> MultiRemovalResults {
        unimplemented!("{NO_CHILDREN}")
    }
    fn clear_child_prefix(&mut self, _: &ChildInfo, _: &[u8], _: Option<u32>, _: Option<&[u8]>) -> MultiRemovalResults {
        unimplemented!("{NO_CHILDREN}")
    }
    fn place_child_storage(&mut self, _: &ChildInfo, _: Vec<u8>, _: Option<Vec<u8>>) {
        unimplemented!("{NO_CHILDREN}")
    }
    fn child_storage_root(&mut self, _: &ChildInfo, _: StateVersion) -> Vec<u8> {
        unimplemented!("{NO_CHILDREN}")
    }
    fn wipe(&mut self) {}
    fn commit(&mut self) {}
    fn read_write_count(&self) -> (u32, u32, u32, u32) {
        (self.read.len() as u32, 0, self.written.len() as u32, 0)
    }
    fn reset_read_write_count(&mut self) {
        self.take();
    }
    fn get_whitelist(&self) -> Vec<TrackedStorageKey> {
        Vec::new()
    }
    fn set_whitelist(&mut self, _: Vec<TrackedStorageKey>) {}
    fn get_read_and_written_keys(&self) -> Vec<(Vec<u8>, u32, u32, bool)> {
        Vec::new()
    }
}

impl ExtensionStore for Counted {
    fn extension_by_type_id(&mut self, id: TypeId) -> Option<&mut dyn Any> {
        self.state.extension_by_type_id(id)
    }
    fn register_extension_with_type_id(&mut self, id: TypeId, extension: Box<dyn Extension>) -> Result<(), Error> {
        self.state.register_extension_with_type_id(id, extension)
    }
    fn deregister_extension_by_type_id(&mut self, id: TypeId) -> Result<(), Error> {
        self.state.deregister_extension_by_type_id(id)
    }
}
