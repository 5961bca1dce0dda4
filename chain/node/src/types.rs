//! The types that a chain's parts share: its block, the client that knows the chain, the pool of what waits for one.

use sc_executor::WasmExecutor;
use sc_service::TFullClient;
use sc_transaction_pool::TransactionPoolHandle;
use sp_runtime::{
    generic,
    traits::{BlakeTwo256, Block as BlockT},
    OpaqueExtrinsic,
};
use tessera_runtime::RuntimeApi;

/// The node moves blocks without reading their calls.
pub type Block = generic::Block<generic::Header<u32, BlakeTwo256>, OpaqueExtrinsic>;
pub type Hash = <Block as BlockT>::Hash;
pub type Client = TFullClient<Block, RuntimeApi, WasmExecutor<sp_io::SubstrateHostFunctions>>;
pub type Pool = TransactionPoolHandle<Block, Client>;
