//! What can be set about the broker. Everything has a bound.

use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// When an acknowledged record is on the disk.
///
/// Whatever is chosen, a crash of the process (kill -9) loses nothing that was acknowledged: the kernel
/// has it. The choice is about power cuts and kernel crashes. There is no second machine to make up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before it is acknowledged, and before anybody can read it.
    Each,
    /// This long after it was acknowledged, at most (and the time that the disk takes).
    Interval(Duration),
    /// When the kernel sees fit.
    Never,
}

/// What a topic has unless its own settings say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Partitions of a topic that is made without a number.
    pub partitions: i32,
    /// Records are kept this long, in milliseconds; −1 = for ever.
    pub retention_ms: i64,
    /// Bytes that a partition keeps at most, give or take a segment; −1 = no limit.
    pub retention_bytes: i64,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Largest batch, in bytes.
    pub max_message_bytes: usize,
}

impl Default for TopicDefaults {
    /// Kafka's own, but for smaller segments.
    fn default() -> Self {
        Self {
            partitions: 1,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            segment_bytes: 128 << 20,
            max_message_bytes: 1_048_588,
        }
    }
}

/// Bounds of what clients can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further ones are closed.
    pub connections: usize,
    /// Largest request, in bytes.
    pub request_bytes: usize,
    /// Largest answer to a fetch, in bytes (one batch may be larger).
    pub fetch_bytes: usize,
    /// Bytes of requests and answers in memory at once, over all connections.
    pub memory: u64,
    /// Partitions of all topics together.
    pub partitions: usize,
    /// Consumer groups.
    pub groups: usize,
    /// Members of one group.
    pub group_members: usize,
    /// Transactional producers that are remembered.
    pub transactional_ids: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            request_bytes: 100 << 20,
            fetch_bytes: 55 << 20,
            memory: 128 << 20,
            partitions: 10_000,
            groups: 10_000,
            group_members: 1000,
            transactional_ids: 10_000,
        }
    }
}

/// The broker itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Everything is kept in this directory. One process at a time.
    pub data_dir: PathBuf,
    /// When records are on the disk.
    pub fsync: Fsync,
    /// What topics are like.
    pub topics: TopicDefaults,
    /// Does asking for an unknown topic make it (as Kafka does)?
    pub auto_create_topics: bool,
    /// How often upkeep runs: compaction, retention, forgetting what is over, closing what nobody uses.
    pub upkeep: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// The defaults, over a directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            fsync: Fsync::Interval(Duration::from_secs(1)),
            topics: TopicDefaults::default(),
            auto_create_topics: true,
            upkeep: Duration::from_secs(300),
            limits: Limits::default(),
        }
    }
}

/// Who may come in, where names and passwords are asked for.
#[async_trait]
pub trait Users: Send + Sync {
    /// The password of an active user; `None` when there is no such user.
    async fn password(&self, name: &str) -> Option<String>;
}

/// How clients are let in.
#[derive(Clone)]
pub struct Access {
    /// Host and port that clients are told to connect to.
    pub advertised: (String, u16),
    /// Speak TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Ask for a name and password (SASL PLAIN, SCRAM-SHA-256, SCRAM-SHA-512).
    pub users: Option<Arc<dyn Users>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) = &self.advertised;
        let (tls, sasl) = (self.tls.is_some(), self.users.is_some());
        write!(f, "Access({host}:{port}, tls: {tls}, sasl: {sasl})")
    }
}
