//! `wharf serve`: a checked configuration becomes a running server.
//!
//! Order matters: state first (it may be locked or of a newer version), then the catalogue, then the
//! engine (which takes up what a crash interrupted), and the listener last, so that nobody is answered
//! by a server that can't act. Stopping goes the other way round.

mod accounts;
mod broker;
mod catalogue;
mod flow_logs;
mod pages;
mod quota;
mod streams;
mod trees;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use control::{Control, Parts};
use engine::pipeline::{Stored, Supervisor};
use runtime::{Bandwidth, ByteBudget, Clock, Random, Shutdown, TaskKind};
use store::{SealKey, Store};

use crate::config::{self, Config, LogFormat, SecretSource};

/// Upkeep runs this often.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// Pipelines that run at once.
const PIPELINES: usize = 64;

/// A running server.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Shutdown,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
    engine: Engines,
    store: Store,
    broker: Option<broker::Running>,
    streams: Arc<streams::Connectors>,
    control: Control,
}

/// Who works: on tasks, and on pipelines.
#[derive(Clone)]
struct Engines {
    tasks: engine::dispatch::Local,
    /// Known once the broker is up: pipelines may start with it.
    pipelines: Arc<OnceLock<Supervisor>>,
    /// The same.
    flow_logs: Arc<OnceLock<engine::flow_log::Supervisor>>,
}

impl Engines {
    async fn stop(&self) {
        if let Some(flow_logs) = self.flow_logs.get() {
            flow_logs.stop().await;
        }
        if let Some(pipelines) = self.pipelines.get() {
            pipelines.stop().await;
        }
        self.tasks.stop().await;
    }
}

impl Running {
    /// Stops taking requests, lets running ones and the tasks come to rest, and closes the state.
    pub async fn stop(self) -> Result<(), String> {
        self.stop.stop();
        let listener = self.ended.await;
        self.engine.stop().await;
        if let Err(e) = self.control.write_minutes().await {
            tracing::warn!("the last figures of streams could not be written: {e}");
        }
        let streams = self.streams;
        // It waits for the clients' threads.
        let _ = runtime::blocking(move || streams.close()).await;
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        self.store.close().await;
        match listener {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(format!("the listener failed: {e}")),
            Err(e) => Err(format!("the listener failed: {e}")),
        }
    }

    /// Resolves when the listener has ended by itself (which it should not).
    pub async fn failed(&mut self) -> String {
        match (&mut self.ended).await {
            Ok(Ok(())) => "the listener ended".to_owned(),
            Ok(Err(e)) => e.to_string(),
            Err(e) => e.to_string(),
        }
    }
}

/// The command: runs until SIGINT or SIGTERM.
pub fn run(file: &std::path::Path) -> ExitCode {
    let config = match config::load(file) {
        Ok(c) => c,
        Err(problems) => {
            for p in problems {
                complain!("{}: {p}", file.display());
            }
            return ExitCode::FAILURE;
        }
    };
    log_to_stderr(&config);
    keep_memory_together();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(16)
        .thread_keep_alive(Duration::from_secs(5))
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(r) => r,
        Err(e) => {
            complain!("can't start: {e}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match until_signal(&config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                tracing::error!("{message}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Lets all threads share two of the allocator's arenas. By default each thread gets one and keeps what was freed in it: with batches that are made on
/// one thread and let go of on another, a pipeline into a bucket took 220 MiB instead of 185, and no less CPU time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library's own setting; nothing of ours is passed to it")]
fn keep_memory_together() {
    // SAFETY: mallopt takes two integers and is called before any thread is made.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory_together() {}

async fn until_signal(config: &Config) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let mut running = start(config).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        why = running.failed() => return Err(why),
    }
    tracing::info!("stopping");
    let stopped = running.stop().await;
    kafka_clients_gone().await;
    stopped
}

/// Waits a little for what is closed in the background: the process must not exit under its threads.
async fn kafka_clients_gone() {
    for _ in 0..200 {
        if connector_kafka::live_clients() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::debug!("{} Kafka clients are left", connector_kafka::live_clients());
}

/// Builds and starts everything.
///
/// # Errors
/// What could not be opened, in words.
pub async fn start(config: &Config) -> Result<Running, String> {
    for folder in [&config.data_dir, &config.data_dir.join("reports")] {
        // Lists of names are not for every user of the machine.
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let key = master_key(config)?;
    let store = open_store(config, &key).await?;
    let trees = Arc::new(trees::Connectors::new(store.clone(), key.clone(), config.transfer.fsync));
    let lanes = if config.transfer.lanes == 0 {
        engine::Lanes::for_this_machine()
    } else {
        engine::Lanes::new(config.transfer.lanes)
    }
    .map_err(|e| format!("can't start lanes: {e}"))?;
    let shared = engine::transfer::Shared {
        lanes,
        budget: ByteBudget::new(config.limits.memory),
        bandwidth: Bandwidth::limited(config.limits.bandwidth),
        clock: Clock::system(),
    };
    let budget = shared.budget.clone();
    let tasks = engine::dispatch::Local::start(engine::dispatch::Settings {
        store: store.clone(),
        ends: trees.clone(),
        shared,
        reports: config.data_dir.join("reports"),
        concurrent: config.limits.running_tasks,
        lease: engine::dispatch::Lease::default(),
    })
    .await
    .map_err(|e| format!("can't start the engine: {e}"))?;
    let engine = Engines { tasks, pipelines: Arc::default(), flow_logs: Arc::default() };
    let connectors = Arc::new(streams::Connectors::new(key.clone(), catalogue::lake(&config.data_dir)?));
    let parts = Parts {
        store: store.clone(),
        clock: Clock::system(),
        random: Random::system(),
        trees: trees.clone(),
        dispatch: Arc::new(Door(engine.clone())),
        limits: control::Limits {
            flows_per_file_system: u32::try_from(config.limits.flows_per_file_system).unwrap_or(u32::MAX),
            report_link_seconds: config.listen.report_link_seconds,
            sweep_after_seconds: config.transfer.sweep_after_seconds,
            dis: control::DisLimits { product: config.dis.product_limits, ..control::DisLimits::default() },
            ..control::Limits::default()
        },
        data_dir: config.data_dir.clone(),
        seal: key,
    };
    let control = Control::open_with(parts, connectors.clone());
    let _ = trees.control.set(control.clone());
    catalogue::declare(config, &control).await?;
    let broker = broker::start(config, &control).await?;
    if let Some(own) = own_cluster(config, broker.as_ref())? {
        connectors.set_own(own);
        control.let_topic_users_in().await.map_err(|e| e.to_string())?;
    }
    start_pipelines(config, &engine, &control, connectors.clone(), (store.clone(), budget)).await?;
    let flow_logs = flow_logs::start(config, &control, connectors.clone(), store.clone()).await?;
    let _ = engine.flow_logs.set(flow_logs);
    engine.tasks.wake();
    let mut running = listen(config, control, (engine, store), connectors).await?;
    running.broker = broker;
    Ok(running)
}

/// The cluster that topics without an instance live on.
fn own_cluster(config: &Config, broker: Option<&broker::Running>) -> Result<Option<streams::Own>, String> {
    let Some(id) = &config.streams.topics else { return Ok(broker.map(broker::Running::own)) };
    let named = config.connections.iter().find(|c| c.id == *id && !c.embedded);
    let Some(c) = named else { return Ok(broker.map(broker::Running::own)) };
    let secret = c.secret.as_ref().map(reveal).transpose()?;
    let mut address = c.address.clone();
    if let Some(file) = &c.ca_file {
        let pem = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        address.insert("ca_pem".to_owned(), pem.into());
    }
    let shown = address.get("bootstrap").and_then(|b| b.as_str()).unwrap_or_default().to_owned();
    let endpoint = connector::records::Endpoint {
        connection: serde_json::Value::Object(address).to_string(),
        secret: secret.map(|s| connector::records::Secret(s.into())),
        options: String::new(),
    };
    Ok(Some(streams::Own { endpoint, address: shown, users: None, broker: None }))
}

/// Takes up what runs. Comes after the broker, which most pipelines need.
async fn start_pipelines(
    config: &Config,
    engine: &Engines,
    control: &Control,
    connectors: Arc<streams::Connectors>,
    (store, budget): (Store, ByteBudget),
) -> Result<(), String> {
    let stored = Arc::new(Stored::new(store, Clock::system()));
    let supervisor = Supervisor::start(engine::pipeline::Settings {
        pipelines: stored.clone(),
        desk: stored,
        catalogue: Arc::new(streams::pipelines::Lookup { control: control.clone(), connectors }),
        clock: Clock::system(),
        random: Random::system(),
        budget,
        concurrent: PIPELINES,
        lanes: config.streams.lanes,
        spare_lanes: 2 * std::thread::available_parallelism().map_or(2, usize::from),
        lease: engine::dispatch::Lease::default(),
        pauses: engine::pipeline::Pauses::default(),
    })
    .await
    .map_err(|e| format!("can't start pipelines: {e:?}"))?;
    let _ = engine.pipelines.set(supervisor);
    Ok(())
}

async fn listen(
    config: &Config,
    control: Control,
    (engine, store): (Engines, Store),
    streams: Arc<streams::Connectors>,
) -> Result<Running, String> {
    let mut settings =
        api::ServerConfig { max_connections: config.listen.max_connections, ..api::ServerConfig::default() };
    #[allow(clippy::cast_precision_loss, reason = "bounded by the configuration")]
    {
        settings.gate.rate_per_s = config.limits.requests_per_second as f64;
    }
    let accounts = Arc::new(accounts::Keys(control.clone()));
    let public_url = config.listen.public_url.clone();
    let tls = config.listen.tls.is_some();
    let mut server = api::Server::new(settings, accounts)
        .door(Arc::new(api_cfs::CfsDoor::new(
            control.clone(),
            api_cfs::Settings { public_url: public_url.clone(), tls, utc_offset_s: 0 },
        )))
        .door(Arc::new(api_ckafka::CkafkaDoor::new(
            control.clone(),
            api_ckafka::Settings { utc_offset_s: 0 },
        )))
        .door(Arc::new(api_dis::DisDoor::new(control.clone(), dis_settings(config))))
        .door(Arc::new(api_vpc::VpcDoor::new(control.clone(), api_vpc::Settings { utc_offset_s: 0 })))
        .door(Arc::new(api_nas::NasDoor::new(control.clone(), api_nas::Links { public_url, tls })))
        .door(Arc::new(api_admin::AdminDoor::new(control.clone())))
        .pages(Arc::new(pages::Files(control.clone())));
    if let Some((certificate, key)) = &config.listen.tls {
        let read = |p: &std::path::Path| std::fs::read(p).map_err(|e| format!("{}: {e}", p.display()));
        server = server.tls(api::server::tls_from_pem(&read(certificate)?, &read(key)?)?);
    }
    let listener = tokio::net::TcpListener::bind(config.listen.address)
        .await
        .map_err(|e| format!("can't listen on {}: {e}", config.listen.address))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    std::fs::write(config.data_dir.join("port"), format!("{}\n", address.port()))
        .map_err(|e| format!("can't write the port file: {e}"))?;
    let stop = Shutdown::new();
    let ended = runtime::spawn(TaskKind::Accept, server.serve(listener, stop.clone()));
    let every = match config.transfer.sweep_after_seconds {
        0 => HOUSEKEEPING,
        age => HOUSEKEEPING.min(Duration::from_secs(age)),
    };
    runtime::spawn(TaskKind::Housekeeping, upkeep(control.clone(), every, stop.clone()));
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "listening on {scheme}://{address}");
    Ok(Running { address, stop, ended, engine, store, broker: None, streams, control })
}

fn dis_settings(config: &Config) -> api_dis::Settings {
    let project = |a: &config::AccountConfig| Some((a.name.clone(), a.project_id.clone()?));
    let dis = &config.dis;
    api_dis::Settings {
        projects: config.accounts.iter().filter_map(project).collect(),
        dumps: api_dis::DumpSettings {
            catalogue: dis.dli_catalogue.clone(),
            staging: dis.dli_staging,
            evolve: dis.dli_evolve,
            agencies: dis.agencies.clone(),
            utc_offset_s: dis.dump_utc_minutes.unwrap_or(8 * 60) * 60,
            interval_ms: dis.dump_interval_ms,
        },
    }
}

async fn upkeep(control: Control, every: Duration, stop: Shutdown) {
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(e) = control.housekeeping().await {
            tracing::warn!("upkeep: {e}");
        }
    }
}

/// The engine as control sees it.
struct Door(Engines);

#[async_trait::async_trait]
impl control::Dispatch for Door {
    fn wake(&self) {
        self.0.tasks.wake();
    }

    fn signal(&self, task: &model::TaskId) {
        self.0.tasks.signal(task);
    }

    fn wake_pipelines(&self) {
        if let Some(pipelines) = self.0.pipelines.get() {
            pipelines.wake();
        }
    }

    fn signal_pipeline(&self, pipeline: &model::PipelineId) {
        if let Some(pipelines) = self.0.pipelines.get() {
            pipelines.signal(pipeline);
        }
    }

    fn live(&self, task: &model::TaskId) -> Option<control::Live> {
        let s = self.0.tasks.live(task)?;
        Some(control::Live {
            items_found: s.items_found,
            bytes_found: s.bytes_found,
            scan_done: s.scan_done,
            items_done: s.items_done(),
            bytes_done: s.bytes_settled,
        })
    }

    async fn plan(
        &self,
        spec: &model::TransferSpec,
        within: Duration,
    ) -> connector::Result<Option<model::Plan>> {
        self.0.tasks.plan(spec, within).await.map(Some)
    }
}

/// The master key: from the environment, else from its file, which is made at the first start.
fn master_key(config: &Config) -> Result<SealKey, String> {
    if let Ok(hex) = std::env::var("WHARF_MASTER_KEY") {
        return SealKey::from_hex(hex.trim()).map_err(|e| format!("WHARF_MASTER_KEY: {e}"));
    }
    SealKey::load_or_create(&config.state.master_key_file).map_err(|e| e.to_string())
}

async fn open_store(config: &Config, key: &SealKey) -> Result<Store, String> {
    let url = match &config.state.url {
        Some(source) => reveal(source)?,
        None => config.data_dir.join("wharf.db").display().to_string(),
    };
    // A database address can hold a password: it is not repeated here.
    let dead_letters = (store::Options::default().dead_letters.0, config.streams.dead_letters);
    let options = store::Options { dead_letters, ..store::Options::default() };
    Store::open(&url, key, options).await.map_err(|e| format!("can't open the state: {e}"))
}

/// The secret itself.
pub fn reveal(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Literal(s) => Ok(s.clone()),
        SecretSource::File(p) => std::fs::read_to_string(p)
            .map(|t| t.lines().next().unwrap_or_default().trim().to_owned())
            .map_err(|e| format!("{}: {e}", p.display())),
        SecretSource::Environment(v) => {
            std::env::var(v).map_err(|_| format!("the environment variable {v} is not set"))
        }
    }
}

fn log_to_stderr(config: &Config) {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter: tracing_subscriber::filter::Targets = config.log_level.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => tracing_subscriber::registry().with(filter).with(lines.with_ansi(false)).init(),
        LogFormat::Json => tracing_subscriber::registry().with(filter).with(lines.json()).init(),
    }
}
