//! A pipeline: a standing flow of records from one end through a transform to another.
//!
//! What an end is in detail is text that only its connector reads (JSON, checked by the connector before the
//! pipeline is stored); the model knows which connector it is, what it leads to, and the states.

use std::collections::BTreeMap;

use crate::{AccountId, ConnectionId, Ledger, Origin, PipelineId, Sealed, Timestamp};

/// Which connector an end is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndKind {
    /// Requests to the server itself (`SendMessage`): a source only.
    Http,
    /// A Kafka cluster, the embedded broker included.
    Kafka,
    /// Elasticsearch or OpenSearch.
    Elastic,
    /// ClickHouse.
    ClickHouse,
    /// PostgreSQL, MySQL, MariaDB.
    Sql,
    /// Objects in an S3-compatible bucket.
    Bucket,
    /// A function called over HTTP.
    Function,
    /// An Apache Iceberg table.
    Iceberg,
}

impl EndKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Http,
        Self::Kafka,
        Self::Elastic,
        Self::ClickHouse,
        Self::Sql,
        Self::Bucket,
        Self::Function,
        Self::Iceberg,
    ];

    /// Stable name used in records and at the operator's door.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Kafka => "kafka",
            Self::Elastic => "elastic",
            Self::ClickHouse => "clickhouse",
            Self::Sql => "sql",
            Self::Bucket => "bucket",
            Self::Function => "function",
            Self::Iceberg => "iceberg",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// One end of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineEnd {
    /// Connector.
    pub kind: EndKind,
    /// What it is reached through; `None` for the embedded broker, the server itself, its own lakehouse, a bucket of the catalogue.
    pub connection: Option<ConnectionId>,
    /// How to reach it where no connection is named (an address in the request): the connector's JSON. Else empty.
    pub address: String,
    /// Secret for `address`.
    pub secret: Option<Sealed>,
    /// What to do there: the connector's JSON.
    pub options: String,
}

/// What becomes of a record that can't go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The task stops there and tries again, with growing pauses.
    #[default]
    Block,
    /// It is dropped and counted.
    Drop,
    /// It goes on as it came (a failed transform only).
    Pass,
    /// It is kept in the dead-letter desk, and, where a topic is given, also written there.
    Keep {
        /// Where copies go: a Kafka end.
        copy: Option<Box<PipelineEnd>>,
        /// How often it is tried again before.
        retries: u32,
        /// Milliseconds between.
        interval_ms: u64,
    },
    /// It is put into an error directory, and so is what the destination could not take for too long. Only for records as they
    /// were read, without a transform.
    Aside {
        /// The directory: a bucket end.
        to: Box<PipelineEnd>,
        /// Seconds that a failing destination is tried again before; `None` = for ever.
        retry_s: Option<u64>,
    },
}

/// Which way, in the product's words: `SOURCE` tasks write into topics, `SINK` tasks read from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineDirection {
    /// Into a topic.
    Source,
    /// Out of a topic.
    Sink,
}

/// State of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PipelineStatus {
    /// Made, not yet at work.
    Creating,
    /// At work (or trying to be: `error` says what is in the way).
    Running,
    /// Asked to pause.
    Pausing,
    /// Paused.
    Paused,
    /// Asked to go on.
    Resuming,
    /// Asked to end.
    Deleting,
    /// Ended; readable for a while.
    Deleted,
}

impl PipelineStatus {
    /// Stable name used in records, the operator's door and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use PipelineStatus as S;
        [S::Creating, S::Running, S::Pausing, S::Paused, S::Resuming, S::Deleting, S::Deleted]
            .into_iter()
            .find(|s| s.name() == name)
    }

    /// May a pipeline in this state be told to go to `to`?
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use PipelineStatus as S;
        matches!(
            (self, to),
            (S::Creating | S::Resuming, S::Running)
                | (S::Creating | S::Running | S::Resuming, S::Pausing)
                | (S::Pausing, S::Paused | S::Resuming)
                | (S::Paused, S::Resuming)
                | (S::Creating | S::Running | S::Pausing | S::Paused | S::Resuming, S::Deleting)
                | (S::Deleting, S::Deleted)
        )
    }

    /// Should somebody be working on it, or bring it to rest?
    #[must_use]
    pub fn wants_a_worker(self) -> bool {
        !matches!(self, Self::Paused | Self::Deleted)
    }
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Identifier.
    pub id: PipelineId,
    /// Owner.
    pub account: AccountId,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// Which way.
    pub direction: PipelineDirection,
    /// Where records come from.
    pub source: PipelineEnd,
    /// Where they go.
    pub sink: PipelineEnd,
    /// The transform's own JSON; `None` = records go through as they are.
    pub transform: Option<String>,
    /// What becomes of records that the transform can't take.
    pub on_failure: OnFailure,
    /// What becomes of records that the destination refuses.
    pub on_refusal: OnFailure,
    /// Lanes at most; `None` = as many as the source has splits, within the server's bound.
    pub lanes: Option<u32>,
    /// Bytes a second at most.
    pub bytes_per_s: Option<u64>,
    /// Records a second at most.
    pub records_per_s: Option<u64>,
    /// State.
    pub status: PipelineStatus,
    /// What is in the way, if something is.
    pub error: Option<String>,
    /// The account over all splits, as of the last journal entry.
    pub ledger: Ledger,
    /// Counts the runs; the fencing token.
    pub attempt: u32,
    /// What only its door understands, in the product's words (the request's own resources as JSON, without secrets).
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

/// A system that pipelines lead to or come from, registered by a user or declared in `wharf.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Identifier.
    pub id: ConnectionId,
    /// Owner; what `wharf.toml` declares is everybody's.
    pub account: Option<AccountId>,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// Connector; `None` = a product that the server keeps the connection of but can't use yet.
    pub kind: Option<EndKind>,
    /// The product's own word (`ES`, `MYSQL`, …).
    pub product: String,
    /// How to reach it: the connector's JSON.
    pub address: String,
    /// Its password.
    pub secret: Option<Sealed>,
    /// What only its door understands, without secrets.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Where the entry comes from.
    pub origin: Origin,
    /// When it was made.
    pub created: Timestamp,
}

/// Where a record stood when it could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// In the transform.
    Transform,
    /// At the destination.
    Sink,
}

/// What has become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadStatus {
    /// It waits for somebody.
    Waiting,
    /// It is on its way through its pipeline once more.
    Replaying,
    /// It was replayed and written.
    Replayed,
    /// Somebody dropped it.
    Dropped,
}

/// A record that was kept aside, exactly as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
    /// Which of the records that were made from it; 0 for the whole.
    pub sub: u32,
    /// Where it stood.
    pub stage: Stage,
    /// Kind of error, a short stable word.
    pub kind: String,
    /// The reason, in the transform's or the destination's words.
    pub reason: String,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The record's own time, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// When it was kept.
    pub at: Timestamp,
    /// What has become of it.
    pub status: DeadStatus,
}

impl DeadLetter {
    /// The kind of a letter whose record was too large to be kept: it has no key, value and headers, and can't be replayed. The
    /// record still lies at its position for as long as the topic keeps it.
    pub const WITHOUT_CONTENT: &str = "content-not-kept";
}

/// A topic that was made through the products' API, with what they know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DipTopic {
    /// `topic-…`.
    pub id: String,
    /// Owner.
    pub account: AccountId,
    /// Name (`<AppId>-…`), also the topic's name on the cluster.
    pub name: String,
    /// Words.
    pub note: String,
    /// Partitions.
    pub partitions: u32,
    /// Milliseconds that records are kept.
    pub retention_ms: u64,
    /// User name that was made for it.
    pub user: String,
    /// Its password.
    pub password: Sealed,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for k in EndKind::ALL {
            assert_eq!(EndKind::named(k.name()), Some(k));
        }
        assert_eq!(PipelineStatus::named("pausing"), Some(PipelineStatus::Pausing));
    }

    #[test]
    fn what_is_deleted_stays_so() {
        use PipelineStatus as S;
        for to in [S::Creating, S::Running, S::Pausing, S::Paused, S::Resuming, S::Deleting] {
            assert!(!S::Deleted.may_become(to));
        }
    }
}
