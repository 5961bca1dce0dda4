//! A full node of the chain: authors blocks by Aura, finalizes them by GRANDPA, answers JSON-RPC. It runs the runtime inside the chain spec
//! it is given and knows no chain by name.

mod cli;
mod rpc;
mod service;
mod types;

fn main() -> sc_cli::Result<()> {
    cli::run()
}
