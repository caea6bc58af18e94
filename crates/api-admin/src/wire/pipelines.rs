//! Pipelines, connections and dead letters.

use serde::{Deserialize, Serialize};

use super::LedgerView;

/// One end of a pipeline. Without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndView {
    /// `http`, `kafka`, `elastic`, `clickhouse`, `sql`, `bucket`, `function`, `iceberg`
    pub kind: String,
    /// Connection it is reached through.
    pub connection: Option<String>,
    /// What to do there: the connector's JSON.
    pub options: String,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineView {
    /// `task-…`
    pub id: String,
    /// `datahub-…`
    pub datahub: String,
    /// Owner.
    pub account: String,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// `source` (into a topic), `sink` (out of a topic)
    pub direction: String,
    /// Where records come from.
    pub source: EndView,
    /// Where they go.
    pub sink: EndView,
    /// The transform's JSON.
    pub transform: Option<String>,
    /// `meta`, `meta-data`, `meta-data-offset`, for an instance sync.
    pub sync: Option<String>,
    /// Lanes at most.
    pub lanes: Option<u32>,
    /// Bytes a second at most.
    pub bytes_per_s: Option<u64>,
    /// Records a second at most.
    pub records_per_s: Option<u64>,
    /// State.
    pub status: String,
    /// What is in the way.
    pub error: Option<String>,
    /// Account, as of the last journal entry.
    pub ledger: LedgerView,
    /// Times it was started.
    pub attempt: u32,
    /// Dead letters that wait or are being replayed, and their bytes.
    pub dead_letters: u64,
    /// Their bytes.
    pub dead_bytes: u64,
    /// µs since the epoch.
    pub created: i64,
    /// µs since the epoch.
    pub deleted: Option<i64>,
}

/// Answer of `ListPipelines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipelines {
    /// Newest first.
    pub pipelines: Vec<PipelineView>,
    /// How many there are in all.
    pub total: u64,
}

/// A connection. Without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// `resource-…`, or what the configuration calls it.
    pub id: String,
    /// Owner; none = everybody's.
    pub account: Option<String>,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// Connector; none = a product that can't be used yet.
    pub kind: Option<String>,
    /// The product's own word.
    pub product: String,
    /// How to reach it: the connector's JSON.
    pub address: String,
    /// It has a password.
    pub has_secret: bool,
    /// `config`, `registered`
    pub origin: String,
    /// Pipelines that use it.
    pub pipelines: u64,
    /// µs since the epoch.
    pub created: i64,
}

/// Answer of `ListConnections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Newest first.
    pub connections: Vec<ConnectionView>,
    /// How many there are in all.
    pub total: u64,
}

/// A dead letter. Its content is base64, and in lists left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadView {
    /// `topic/partition/offset/sub`: names it within its pipeline.
    pub id: String,
    /// Pipeline.
    pub pipeline: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
    /// Which of the records that were made from it.
    pub sub: u32,
    /// `transform`, `sink`
    pub stage: String,
    /// Kind of error.
    pub kind: String,
    /// The reason.
    pub reason: String,
    /// `waiting`, `replaying`, `replayed`, `dropped`
    pub status: String,
    /// The record's own time, ms since the epoch.
    pub timestamp_ms: i64,
    /// When it was kept, µs since the epoch.
    pub kept: i64,
    /// Bytes of key and value.
    pub bytes: u64,
    /// Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Headers: name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Option<String>)>,
}

/// Answer of `ListDead`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// Newest first, or oldest first where it was asked so.
    pub letters: Vec<DeadView>,
    /// How many answer the question in all.
    pub total: u64,
}

/// Answer of `ReplayDead` and `DropDead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// How many letters it concerned.
    pub letters: u64,
}
