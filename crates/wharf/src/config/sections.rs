//! The sections of `wharf.toml` and what they become.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use model::{Dialect, Product};

use super::broker::BrokerConfig;
use super::connections::{ConnectionConfig, Streams};
use super::networks::FlowLogs;
use super::reader::Section;

/// Where a secret comes from. A literal never prints.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the file.
    Literal(String),
    /// First line of this file.
    File(PathBuf),
    /// Value of this environment variable.
    Environment(String),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(…)"),
            Self::File(p) => write!(f, "File({})", p.display()),
            Self::Environment(v) => write!(f, "Environment({v})"),
        }
    }
}

/// `[listen]`
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address and port; port 0 takes a free one and writes it to `<data_dir>/port`.
    pub address: SocketAddr,
    /// PEM files of certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How clients reach this server, for download addresses; default: from the request's `Host`.
    pub public_url: Option<String>,
    /// Seconds that such an address opens its report.
    pub report_link_seconds: u64,
    /// Connections at once.
    pub max_connections: usize,
}

/// `[state]`
#[derive(Debug, Clone)]
pub struct StateConfig {
    /// `postgres://…`; `None` = SQLite in the data folder.
    pub url: Option<SecretSource>,
    /// File with the master key; made at the first start.
    pub master_key_file: PathBuf,
}

/// `[limits]`
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a second for each account; 0 = no limit.
    pub requests_per_second: u64,
    /// Bytes in flight over all tasks.
    pub memory: u64,
    /// Bytes a second over all tasks; 0 = no limit.
    pub bandwidth: u64,
    /// Tasks that run at once.
    pub running_tasks: usize,
    /// Flows of one file system.
    pub flows_per_file_system: u64,
}

/// `[transfer]`
#[derive(Debug, Clone)]
pub struct Transfer {
    /// OS threads that move data; 0 = two for each core, at most 8.
    pub lanes: usize,
    /// `none`, `batch` or `each`.
    pub fsync: connector_posix::Durability,
    /// Age in seconds from which on housekeeping removes what interrupted tasks left; 0 = never.
    pub sweep_after_seconds: u64,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[[account]]`
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Name, also the identifier.
    pub name: String,
    /// Access key.
    pub access_key_id: String,
    /// Secret.
    pub secret: SecretSource,
    /// Tencent's AppId.
    pub app_id: String,
    /// May use the operator's door.
    pub operator: bool,
    /// Access tokens (Huawei's `X-Auth-Token`).
    pub tokens: Vec<SecretSource>,
    /// The project that its requests to Huawei's door have to name.
    pub project_id: Option<String>,
}

/// `[[filesystem]]`
#[derive(Debug, Clone)]
pub struct FileSystemConfig {
    /// `cfs-…`, `cpfs-…`, `bmcpfs-…`
    pub id: String,
    /// Product.
    pub product: Product,
    /// Directory.
    pub root: PathBuf,
    /// Shown version.
    pub version: String,
    /// Words.
    pub description: String,
    /// Shown capacity.
    pub capacity_gib: u64,
    /// Shown bandwidth.
    pub bandwidth_mbps: u64,
    /// Shown region.
    pub region: String,
    /// Shown zone.
    pub zone: String,
    /// Allows what destroys files.
    pub allow_destroy: bool,
}

/// `[[object_store]]`
#[derive(Debug, Clone)]
pub struct ObjectStoreConfig {
    /// Identifier.
    pub id: String,
    /// Address.
    pub url: String,
    /// Region for signing.
    pub region: String,
    /// Dialect.
    pub dialect: Dialect,
    /// Path style.
    pub path_style: bool,
    /// Key of the catalogue.
    pub key: Option<(String, SecretSource)>,
    /// Buckets it answers for.
    pub buckets: Vec<String>,
    /// Vendors' host names that mean it.
    pub hosts: Vec<String>,
    /// PEM of a further CA.
    pub ca_file: Option<PathBuf>,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// State, reports, port file.
    pub data_dir: PathBuf,
    /// Listener.
    pub listen: Listen,
    /// State.
    pub state: StateConfig,
    /// Limits.
    pub limits: Limits,
    /// Transfers.
    pub transfer: Transfer,
    /// Log lines.
    pub log_format: LogFormat,
    /// `info`, `debug`, `engine=debug,info`, …
    pub log_level: String,
    /// Accounts.
    pub accounts: Vec<AccountConfig>,
    /// File systems.
    pub file_systems: Vec<FileSystemConfig>,
    /// Object stores.
    pub object_stores: Vec<ObjectStoreConfig>,
    /// The embedded broker, where there is one.
    pub broker: Option<BrokerConfig>,
    /// Systems that pipelines use.
    pub connections: Vec<ConnectionConfig>,
    /// Pipelines.
    pub streams: Streams,
    /// The DIS door.
    pub dis: super::dis::Dis,
    /// Network resources.
    pub networks: Vec<engine::flow_log::Network>,
    /// How they are observed.
    pub flow_logs: FlowLogs,
}

/// Reads the whole file. Problems are collected in the section; the value only counts without any.
pub fn read(root: &mut Section<'_, '_, '_>, base: &Path) -> Config {
    let data_dir = base.join(root.text("data_dir").unwrap_or_else(|| "wharf-data".to_owned()));
    let mut config = Config {
        listen: Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 8480)),
            tls: None,
            public_url: None,
            report_link_seconds: 24 * 3600,
            max_connections: 1024,
        },
        state: StateConfig { url: None, master_key_file: data_dir.join("master.key") },
        limits: Limits {
            requests_per_second: 0,
            memory: 128 << 20,
            bandwidth: 0,
            running_tasks: 4,
            flows_per_file_system: 10,
        },
        transfer: Transfer {
            lanes: 0,
            fsync: connector_posix::Durability::Batch,
            sweep_after_seconds: 7 * 24 * 3600,
        },
        log_format: LogFormat::Text,
        log_level: "info".to_owned(),
        accounts: Vec::new(),
        file_systems: Vec::new(),
        object_stores: Vec::new(),
        broker: None,
        connections: Vec::new(),
        streams: Streams::default(),
        dis: super::dis::Dis::default(),
        networks: Vec::new(),
        flow_logs: FlowLogs::default(),
        data_dir,
    };
    root.section("listen", |s| listen(s, &mut config.listen, base));
    root.section("state", |s| state(s, &mut config.state, base));
    root.section("limits", |s| limits(s, &mut config.limits));
    root.section("transfer", |s| transfer(s, &mut config.transfer));
    root.section("log", |s| {
        match s.text("format").as_deref() {
            None | Some("text") => {}
            Some("json") => config.log_format = LogFormat::Json,
            Some(_) => s.problem("format", "must be \"text\" or \"json\""),
        }
        if let Some(level) = s.text("level") {
            if level.parse::<tracing_subscriber::filter::Targets>().is_err() {
                s.problem(
                    "level",
                    "must be error, warn, info, debug, trace, or a list like \"engine=debug,info\"",
                );
            }
            config.log_level = level;
        }
    });
    let data_dir = config.data_dir.clone();
    root.section("broker", |s| config.broker = super::broker::read(s, base, &data_dir));
    root.section("streams", |s| super::connections::streams(s, &mut config.streams));
    root.section("dis", |s| config.dis = super::dis::read(s));
    root.sections("connection", |s| config.connections.push(super::connections::connection(s, base)));
    root.section("flow_logs", |s| super::networks::flow_logs(s, &mut config.flow_logs));
    root.sections("network", |s| config.networks.push(super::networks::network(s)));
    root.sections("account", |s| config.accounts.push(account(s, base)));
    root.sections("filesystem", |s| config.file_systems.push(file_system(s)));
    root.sections("object_store", |s| config.object_stores.push(object_store(s, base)));
    name_once(root, &config);
    refer(root, &config);
    config
}

/// No name stands for two things.
fn name_once(root: &mut Section<'_, '_, '_>, config: &Config) {
    unique(root, "account", config.accounts.iter().map(|a| a.access_key_id.as_str()));
    unique(root, "account", config.accounts.iter().map(|a| a.name.as_str()));
    unique(root, "filesystem", config.file_systems.iter().map(|f| f.id.as_str()));
    unique(root, "object_store", config.object_stores.iter().map(|o| o.id.as_str()));
    unique(root, "connection", config.connections.iter().map(|c| c.id.as_str()));
    unique(root, "network", config.networks.iter().map(|n| n.id.as_str()));
}

/// What names another section has to find it.
fn refer(root: &mut Section<'_, '_, '_>, config: &Config) {
    let kafka = |id: &str| config.connections.iter().any(|c| c.id == id && c.kind == model::EndKind::Kafka);
    if let Some(id) = config.streams.topics.as_deref().filter(|id| !kafka(id)) {
        root.problem("streams.topics", format!("`{id}` is no [[connection]] of kind kafka"));
    }
    for n in &config.networks {
        for id in n.subnets.iter().filter(|id| !config.networks.iter().any(|o| o.id == **id)) {
            root.problem("network", format!("`{}` names `{id}`, which is no [[network]]", n.id));
        }
    }
    for c in &config.connections {
        if c.embedded && config.broker.is_none() {
            root.problem(
                "connection",
                format!("`{}` is the embedded broker, but there is no [broker]", c.id),
            );
        }
        if let Some(store) = &c.object_store
            && !store.is_empty()
            && !config.object_stores.iter().any(|o| o.id == *store)
        {
            root.problem(
                "connection",
                format!("`{}` names the object_store `{store}`, which is not there", c.id),
            );
        }
    }
}

pub(super) fn unique<'a>(
    root: &mut Section<'_, '_, '_>,
    key: &'static str,
    names: impl Iterator<Item = &'a str>,
) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names.filter(|n| !n.is_empty()) {
        if !seen.insert(name) {
            root.problem(key, format!("`{name}` is there twice"));
        }
    }
}

fn listen(s: &mut Section<'_, '_, '_>, out: &mut Listen, base: &Path) {
    if let Some(address) = s.text("address") {
        match address.parse() {
            Ok(a) => out.address = a,
            Err(_) => {
                s.problem("address", format!("`{address}` is not address:port (try \"127.0.0.1:8480\")"))
            }
        }
    }
    match (s.text("tls_certificate"), s.text("tls_key")) {
        (Some(c), Some(k)) => out.tls = Some((base.join(c), base.join(k))),
        (None, None) => {}
        (Some(_), None) => s.problem("tls_certificate", "needs tls_key beside it"),
        (None, Some(_)) => s.problem("tls_key", "needs tls_certificate beside it"),
    }
    out.public_url = s.text("public_url");
    if out.public_url.as_deref().is_some_and(|u| !is_http(u)) {
        s.problem("public_url", "must start with http:// or https://");
    }
    if let Some(n) = s.integer("report_link_seconds", 1..=366 * 24 * 3600) {
        out.report_link_seconds = n;
    }
    if let Some(n) = s.integer("max_connections", 1..=100_000) {
        out.max_connections = usize::try_from(n).unwrap_or(1024);
    }
}

fn state(s: &mut Section<'_, '_, '_>, out: &mut StateConfig, base: &Path) {
    out.url = secret(s, ["database_url", "database_url_file", "database_url_env"], base);
    if let Some(SecretSource::Literal(url)) = &out.url
        && !(url.starts_with("postgres://") || url.starts_with("postgresql://"))
    {
        s.problem("database_url", "must start with postgres:// (leave it out for SQLite in the data folder)");
    }
    if let Some(file) = s.text("master_key_file") {
        out.master_key_file = base.join(file);
    }
}

fn limits(s: &mut Section<'_, '_, '_>, out: &mut Limits) {
    if let Some(n) = s.integer("requests_per_second", 0..=1_000_000) {
        out.requests_per_second = n;
    }
    if let Some(n) = s.size("memory") {
        if n < 16 << 20 {
            s.problem("memory", "must be at least 16MiB");
        }
        out.memory = n;
    }
    if let Some(n) = s.size("bandwidth") {
        out.bandwidth = n;
    }
    if let Some(n) = s.integer("running_tasks", 1..=256) {
        out.running_tasks = usize::try_from(n).unwrap_or(4);
    }
    if let Some(n) = s.integer("flows_per_file_system", 1..=100_000) {
        out.flows_per_file_system = n;
    }
}

fn transfer(s: &mut Section<'_, '_, '_>, out: &mut Transfer) {
    if let Some(n) = s.integer("lanes", 0..=64) {
        out.lanes = usize::try_from(n).unwrap_or(0);
    }
    if let Some(n) = s.integer("sweep_after_seconds", 0..=366 * 24 * 3600) {
        out.sweep_after_seconds = n;
    }
    match s.text("fsync").as_deref() {
        None | Some("batch") => {}
        Some("none") => out.fsync = connector_posix::Durability::None,
        Some("each") => out.fsync = connector_posix::Durability::Each,
        Some(_) => s.problem("fsync", "must be \"none\", \"batch\" or \"each\""),
    }
}

fn account(s: &mut Section<'_, '_, '_>, base: &Path) -> AccountConfig {
    let account = AccountConfig {
        name: s.required("name"),
        access_key_id: s.required("access_key_id"),
        secret: required_secret(
            s,
            ["access_key_secret", "access_key_secret_file", "access_key_secret_env"],
            base,
        ),
        app_id: s.text("app_id").unwrap_or_else(|| "1250000000".to_owned()),
        operator: s.boolean("operator").unwrap_or(false),
        tokens: tokens(s, base),
        project_id: s.text("project_id"),
    };
    if !account.project_id.iter().flat_map(|id| id.bytes()).all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        s.problem("project_id", "must be letters, digits or -");
    }
    if !account.app_id.bytes().all(|b| b.is_ascii_digit()) {
        s.problem("app_id", "must be digits");
    }
    // The bounds of `control`, said here already so that `wharf check` finds them.
    let id = &account.access_key_id;
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !(id.is_empty() || (8..=128).contains(&id.len()) && plain) {
        s.problem("access_key_id", "must be 8 to 128 letters, digits, - _ or .");
    }
    if let SecretSource::Literal(secret) = &account.secret
        && !secret.is_empty()
        && !((8..=256).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic()))
    {
        s.problem("access_key_secret", "must be 8 to 256 printable ASCII characters");
    }
    account
}

/// `tokens`, `token_file` and `token_env` together.
fn tokens(s: &mut Section<'_, '_, '_>, base: &Path) -> Vec<SecretSource> {
    let given = s.texts("tokens");
    // The bounds of `control`, said here already so that `wharf check` finds them.
    if given.iter().any(|t| !(16..=8192).contains(&t.len()) || !t.bytes().all(|b| b.is_ascii_graphic())) {
        s.problem("tokens", "must be texts of 16 to 8192 printable ASCII characters");
    }
    let file = s.text("token_file").map(|f| SecretSource::File(base.join(f)));
    let environment = s.text("token_env").map(SecretSource::Environment);
    given.into_iter().map(SecretSource::Literal).chain(file).chain(environment).collect()
}

fn file_system(s: &mut Section<'_, '_, '_>) -> FileSystemConfig {
    let product = match s.required("product").as_str() {
        "cfs" => Product::Cfs,
        "cpfs" => Product::CpfsGeneral,
        "cpfs-lingjun" => Product::CpfsLingjun,
        "" => Product::Cfs,
        _ => {
            s.problem("product", "must be \"cfs\", \"cpfs\" or \"cpfs-lingjun\"");
            Product::Cfs
        }
    };
    let (prefix, version) = match product {
        Product::Cfs => ("cfs-", "v4.0"),
        Product::CpfsGeneral => ("cpfs-", "2.4.0"),
        Product::CpfsLingjun => ("bmcpfs-", "2.7.0"),
    };
    let id = s.required("id");
    let rest = id.strip_prefix(prefix).unwrap_or("");
    if !id.is_empty() && (rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
        s.problem("id", format!("must be `{prefix}` and letters or digits for this product"));
    }
    let root = PathBuf::from(s.required("root"));
    if !root.as_os_str().is_empty() && !root.is_absolute() {
        s.problem("root", "must be an absolute path");
    }
    FileSystemConfig {
        product,
        root,
        version: s.text("version").unwrap_or_else(|| version.to_owned()),
        description: s.text("description").unwrap_or_default(),
        capacity_gib: s.integer("capacity_gib", 1..=1 << 40).unwrap_or(1024),
        bandwidth_mbps: s.integer("bandwidth_mbps", 1..=1 << 40).unwrap_or(2000),
        region: s.text("region").unwrap_or_else(|| "local".to_owned()),
        zone: s.text("zone").unwrap_or_else(|| "local-1".to_owned()),
        allow_destroy: s.boolean("allow_destroy").unwrap_or(false),
        id,
    }
}

fn object_store(s: &mut Section<'_, '_, '_>, base: &Path) -> ObjectStoreConfig {
    let url = s.required("url");
    if !url.is_empty() && !is_http(&url) {
        s.problem("url", "must start with http:// or https://");
    }
    let dialect = match s.text("dialect").as_deref() {
        None | Some("s3") => Dialect::S3,
        Some("cos") => Dialect::Cos,
        Some("oss") => Dialect::Oss,
        Some("obs") => Dialect::Obs,
        Some(_) => {
            s.problem("dialect", "must be \"s3\", \"cos\", \"oss\" or \"obs\"");
            Dialect::S3
        }
    };
    let secret = secret(s, ["access_key_secret", "access_key_secret_file", "access_key_secret_env"], base);
    let key = match (s.text("access_key_id"), secret) {
        (Some(id), Some(secret)) => Some((id, secret)),
        (None, None) => None,
        (Some(_), None) => {
            s.problem("access_key_id", "needs access_key_secret (or _file, _env) beside it");
            None
        }
        (None, Some(_)) => {
            s.problem("access_key_secret", "needs access_key_id beside it");
            None
        }
    };
    let buckets = s.texts("buckets");
    ObjectStoreConfig {
        id: s.required("id"),
        url: url.trim_end_matches('/').to_owned(),
        region: s.text("region").unwrap_or_else(|| "us-east-1".to_owned()),
        dialect,
        path_style: s.boolean("path_style").unwrap_or(true),
        key,
        buckets: if buckets.is_empty() { vec!["*".to_owned()] } else { buckets },
        hosts: s.texts("hosts"),
        ca_file: s.text("ca_file").map(|f| base.join(f)),
    }
}

pub(super) fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|p| url.strip_prefix(p).is_some_and(|rest| !rest.is_empty()))
}

pub(super) fn secret(
    s: &mut Section<'_, '_, '_>,
    keys: [&'static str; 3],
    base: &Path,
) -> Option<SecretSource> {
    let found = [
        s.text(keys[0]).map(SecretSource::Literal),
        s.text(keys[1]).map(|f| SecretSource::File(base.join(f))),
        s.text(keys[2]).map(SecretSource::Environment),
    ];
    let mut found = found.into_iter().flatten();
    let first = found.next();
    if found.next().is_some() {
        s.problem(keys[0], format!("give one of {}, {}, {}", keys[0], keys[1], keys[2]));
    }
    if matches!(&first, Some(SecretSource::Literal(l)) if l.is_empty()) {
        s.problem(keys[0], "must not be empty");
    }
    first
}

pub(super) fn required_secret(
    s: &mut Section<'_, '_, '_>,
    keys: [&'static str; 3],
    base: &Path,
) -> SecretSource {
    secret(s, keys, base).unwrap_or_else(|| {
        s.problem(keys[0], format!("is missing (or {} or {})", keys[1], keys[2]));
        SecretSource::Literal(String::new())
    })
}
