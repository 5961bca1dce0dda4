//! The node's parts and how they hold together: client and pool, import queue, network, block author, finality voter.

use crate::{
    rpc,
    types::{Block, Client, Hash, Pool},
};
use sc_client_api::BlockBackend;
use sc_consensus::{DefaultImportQueue, LongestChain};
use sc_consensus_aura::{ImportQueueParams, SlotProportion, StartAuraParams};
use sc_consensus_grandpa::{
    warp_proof::NetworkProvider, GrandpaBlockImport, GrandpaParams, LinkHalf, SharedVoterState, VotingRulesBuilder,
};
use sc_network::{config::NetworkBackendType, Litep2pNetworkBackend, NetworkBackend, NetworkWorker};
use sc_service::{
    error::Error, BuildNetworkParams, Configuration, KeystoreContainer, SpawnTasksParams, TFullBackend, TaskManager,
    WarpSyncConfig,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_aura::{
    inherents::InherentDataProvider as SlotInherent,
    sr25519::{AuthorityId as AuraId, AuthorityPair as AuraPair},
    SlotDuration,
};
use sp_timestamp::InherentDataProvider as TimeInherent;
use std::{sync::Arc, time::Duration};
use tessera_runtime::RuntimeApi;

type Backend = TFullBackend<Block>;
type SelectChain = LongestChain<Backend, Block>;
type FinalityImport = GrandpaBlockImport<Backend, Block, Client, SelectChain>;
type FinalityLink = LinkHalf<Block, Client, SelectChain>;

/// Blocks after which a finality proof is stored at the latest: a new node fetches as many proofs as its history has such periods.
const JUSTIFICATION_PERIOD: u32 = 512;
/// How long a vote takes to reach the others.
const GOSSIP: Duration = Duration::from_millis(333);
/// Share of a slot in which a block is filled; the rest is for its way to the others.
const PROPOSING_SHARE: f32 = 0.5;

/// What stands before there is a network.
struct Parts {
    client: Arc<Client>,
    backend: Arc<Backend>,
    tasks: TaskManager,
    keystore: KeystoreContainer,
    select_chain: SelectChain,
    pool: Arc<Pool>,
    import: FinalityImport,
    import_queue: DefaultImportQueue<Block>,
    link: FinalityLink,
    telemetry: Option<Telemetry>,
}

/// Starts the node with the network stack that its configuration names. The tasks run until the manager is dropped.
pub fn start(config: Configuration) -> Result<TaskManager, Error> {
    match config.network.network_backend {
        NetworkBackendType::Libp2p => start_with::<NetworkWorker<Block, Hash>>(config),
        NetworkBackendType::Litep2p => start_with::<Litep2pNetworkBackend>(config),
    }
}

fn assemble(config: &Configuration) -> Result<Parts, Error> {
    let worker = match &config.telemetry_endpoints {
        Some(endpoints) if !endpoints.is_empty() => {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints.clone());
            Some((worker, telemetry))
        }
        _ => None,
    };
    let handle = worker.as_ref().map(|(_, telemetry)| telemetry.handle());
    let executor = sc_service::new_wasm_executor(&config.executor);
    let (client, backend, keystore, tasks) =
        sc_service::new_full_parts::<Block, RuntimeApi, _>(config, handle.clone(), executor, Vec::new())?;
    let client = Arc::new(client);
    let telemetry = worker.map(|(worker, telemetry)| {
        tasks.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let select_chain = LongestChain::new(backend.clone());
    let pool = sc_transaction_pool::Builder::new(
        tasks.spawn_essential_handle(),
        client.clone(),
        config.role.is_authority().into(),
    )
    .with_options(config.transaction_pool.clone())
    .with_prometheus(config.prometheus_registry())
    .build();
    let (import, link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        handle.clone(),
    )?;
    let slot_duration = slot_duration(&client)?;
    let import_queue = sc_consensus_aura::import_queue::<AuraPair, _, _, _, _, _>(ImportQueueParams {
        block_import: import.clone(),
        justification_import: Some(Box::new(import.clone())),
        client: client.clone(),
        create_inherent_data_providers: move |_, ()| async move { Ok(inherents(slot_duration)) },
        spawner: &tasks.spawn_essential_handle(),
        registry: config.prometheus_registry(),
        check_for_equivocation: Default::default(),
        telemetry: handle,
        compatibility_mode: Default::default(),
    })?;
    Ok(Parts {
        client,
        backend,
        tasks,
        keystore,
        select_chain,
        pool: Arc::new(pool),
        import,
        import_queue,
        link,
        telemetry,
    })
}

fn slot_duration(client: &Client) -> Result<SlotDuration, Error> {
    Ok(sc_consensus_aura::slot_duration::<AuraId, _, _>(client)?)
}

/// Time and slot of a block made or checked now.
fn inherents(slot_duration: SlotDuration) -> (SlotInherent, TimeInherent) {
    let time = TimeInherent::from_system_time();
    (SlotInherent::from_timestamp_and_slot_duration(*time, slot_duration), time)
}

fn start_with<Network: NetworkBackend<Block, Hash>>(config: Configuration) -> Result<TaskManager, Error> {
    let Parts { client, backend, mut tasks, keystore, select_chain, pool, import, import_queue, link, mut telemetry } =
        assemble(&config)?;

    let registry = config.prometheus_registry().cloned();
    let mut net_config =
        sc_network::config::FullNetworkConfiguration::<_, _, Network>::new(&config.network, registry.clone());
    let metrics = Network::register_notification_metrics(registry.as_ref());
    let genesis = client.block_hash(0)?.ok_or_else(|| Error::Other("the database has no genesis block".into()))?;
    let protocol_name = sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (votes_config, votes) = sc_consensus_grandpa::grandpa_peers_set_config::<_, Network>(
        protocol_name.clone(),
        metrics.clone(),
        net_config.peer_store_handle(),
    );
    net_config.add_notification_protocol(votes_config);
    let proofs = NetworkProvider::new(backend.clone(), link.shared_authority_set().clone(), Vec::new());
    let (network, system_rpc_tx, tx_handler_controller, sync) = sc_service::build_network(BuildNetworkParams {
        config: &config,
        net_config,
        client: client.clone(),
        transaction_pool: pool.clone(),
        spawn_handle: tasks.spawn_handle(),
        spawn_essential_handle: tasks.spawn_essential_handle(),
        import_queue,
        block_announce_validator_builder: None,
        warp_sync_config: Some(WarpSyncConfig::WithProvider(Arc::new(proofs))),
        block_relay: None,
        metrics,
    })?;

    let role = config.role;
    let name = config.network.node_name.clone();
    let force_authoring = config.force_authoring;
    let votes_wanted = !config.disable_grandpa;
    let rpc_builder = {
        let (client, pool) = (client.clone(), pool.clone());
        Box::new(move |_| rpc::methods(client.clone(), pool.clone()).map_err(|fault| Error::Other(fault.to_string())))
    };
    sc_service::spawn_tasks(SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut tasks,
        keystore: keystore.keystore(),
        transaction_pool: pool.clone(),
        rpc_builder,
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    let telemetry = telemetry.as_ref().map(Telemetry::handle);

    if role.is_authority() {
        let slot_duration = slot_duration(&client)?;
        let proposer_factory = sc_basic_authorship::ProposerFactory::new(
            tasks.spawn_handle(),
            client.clone(),
            pool.clone(),
            registry.as_ref(),
            telemetry.clone(),
        );
        let author = sc_consensus_aura::start_aura::<AuraPair, _, _, _, _, _, _, _, _, _, _>(StartAuraParams {
            slot_duration,
            client,
            select_chain,
            block_import: import,
            proposer_factory,
            create_inherent_data_providers: move |_, ()| async move { Ok(inherents(slot_duration)) },
            force_authoring,
            backoff_authoring_blocks: None::<()>,
            keystore: keystore.keystore(),
            sync_oracle: sync.clone(),
            justification_sync_link: sync.clone(),
            block_proposal_slot_portion: SlotProportion::new(PROPOSING_SHARE),
            max_block_proposal_slot_portion: None,
            telemetry: telemetry.clone(),
            compatibility_mode: Default::default(),
        })?;
        // a node that cannot author any more stops, so that whoever runs it sees it
        tasks.spawn_essential_handle().spawn_blocking("aura", Some("block-authoring"), author);
    }

    if votes_wanted {
        let voter = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: GOSSIP,
                justification_generation_period: JUSTIFICATION_PERIOD,
                observer_enabled: false,
                local_role: role,
                name: Some(name),
                keystore: role.is_authority().then(|| keystore.keystore()),
                telemetry: telemetry.clone(),
                protocol_name,
            },
            link,
            network,
            sync: Arc::new(sync),
            notification_service: votes,
            voting_rule: VotingRulesBuilder::default().build(),
            prometheus_registry: registry,
            shared_voter_state: SharedVoterState::empty(),
            telemetry,
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool),
        })?;
        tasks.spawn_essential_handle().spawn_blocking("grandpa-voter", None, voter);
    }
    Ok(tasks)
}
