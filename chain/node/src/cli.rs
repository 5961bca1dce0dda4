//! Words of the command line: those of every Substrate node, of which `key` and `purge-chain` are kept.

use crate::service;
use clap::Parser;
use sc_cli::{KeySubcommand, PurgeChainCmd, RunCmd, SubstrateCli};
use sc_service::{ChainSpec, GenericChainSpec};
use std::path::PathBuf;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[clap(flatten)]
    run: RunCmd,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Keys of authorities and peers.
    #[command(subcommand)]
    Key(KeySubcommand),
    /// Delete the database of a chain.
    PurgeChain(PurgeChainCmd),
}

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Tessera Node".into()
    }
    fn impl_version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }
    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }
    fn author() -> String {
        "Tessera".into()
    }
    fn support_url() -> String {
        "chain/README.md".into()
    }
    fn copyright_start_year() -> i32 {
        2026
    }
    /// `--chain` is the path of a spec.
    fn load_spec(&self, path: &str) -> Result<Box<dyn ChainSpec>, String> {
        if path.is_empty() || path == "dev" {
            return Err(
                "which chain? --chain takes the path of a spec file (chain/README.md says how to make one)".into()
            );
        }
        Ok(Box::new(GenericChainSpec::<sc_service::NoExtension>::from_json_file(PathBuf::from(path))?))
    }
}

pub fn run() -> sc_cli::Result<()> {
    let cli = Cli::from_args();
    match &cli.command {
        None => {
            let runner = cli.create_runner(&cli.run)?;
            Ok(runner.run_node_until_exit(|config| async move { service::start(config) })?)
        }
        Some(Command::Key(command)) => command.run(&cli),
        Some(Command::PurgeChain(command)) => {
            cli.create_runner(command)?.sync_run(|config| command.run(config.database))
        }
    }
}
