//! What is handed in and out about pipelines, connections, topics and dead letters.

use std::collections::BTreeMap;

use model::{ConnectionId, EndKind, OnFailure, Pipeline, PipelineDirection, PipelineEnd, Sealed};

use crate::Page;

/// What an instance sync carries from one Kafka cluster to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncKind {
    /// Topics with partitions and settings.
    Meta,
    /// The same, and records.
    MetaAndData,
    /// The same, and the positions of consumer groups.
    MetaDataAndOffset,
}

/// Attribute of a pipeline that says which sync it is. Doors don't set it themselves.
pub(crate) const SYNC: &str = "wharf.sync";

/// Attribute of a pipeline that dumps a stream: the stream's id. Doors don't set it themselves.
pub(crate) const DUMP: &str = "wharf.dump";

impl SyncKind {
    /// Stable name used in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::MetaAndData => "meta-data",
            Self::MetaDataAndOffset => "meta-data-offset",
        }
    }

    /// Which sync a pipeline is; `None` for an ordinary one.
    #[must_use]
    pub fn of(p: &Pipeline) -> Option<Self> {
        let name = p.attributes.get(SYNC)?;
        [Self::Meta, Self::MetaAndData, Self::MetaDataAndOffset].into_iter().find(|k| k.name() == name)
    }
}

/// A pipeline to make. Its identifier is made up.
#[derive(Debug, Clone)]
pub struct NewPipeline {
    /// Name; one of its kind among the account's pipelines that are not deleted.
    pub name: String,
    /// Words.
    pub description: String,
    /// Which way.
    pub direction: PipelineDirection,
    /// Where records come from. `Http` = [`Control::send_messages`](crate::Control::send_messages).
    pub source: PipelineEnd,
    /// Where they go.
    pub sink: PipelineEnd,
    /// The transform's own JSON.
    pub transform: Option<String>,
    /// What becomes of records that the transform can't take.
    pub on_failure: OnFailure,
    /// What becomes of records that the destination refuses.
    pub on_refusal: OnFailure,
    /// Lanes at most.
    pub lanes: Option<u32>,
    /// Bytes a second at most.
    pub bytes_per_s: Option<u64>,
    /// Records a second at most.
    pub records_per_s: Option<u64>,
    /// Set for an instance sync: both ends are Kafka; the source's options name the topics, the sink's prefix and separator.
    pub sync: Option<SyncKind>,
    /// What only its door understands, without secrets.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Changes of a pipeline; `None` leaves a field as it is. A change of `lanes` or `bytes_per_s` restarts it in place.
#[derive(Debug, Clone, Default)]
pub struct PipelineChange {
    /// Name.
    pub name: Option<String>,
    /// Words.
    pub description: Option<String>,
    /// Lanes at most; `Some(None)` = as many as the source has splits.
    pub lanes: Option<Option<u32>>,
    /// Bytes a second at most; `Some(None)` = no limit.
    pub bytes_per_s: Option<Option<u64>>,
    /// Records a second at most; `Some(None)` = no limit.
    pub records_per_s: Option<Option<u64>>,
    /// Attributes to set, or with `None` to remove.
    pub attributes: BTreeMap<String, Option<String>>,
}

/// Which pipelines. Conditions are joined by *and*. Deleted ones are never listed, only found by id.
#[derive(Debug, Clone, Default)]
pub struct PipelineFilter {
    /// Part of the name.
    pub search: Option<String>,
    /// Which way.
    pub direction: Option<PipelineDirection>,
    /// Connector of the source.
    pub source_kind: Option<EndKind>,
    /// Connector of the destination.
    pub sink_kind: Option<EndKind>,
    /// Connection, cluster, topic or bucket that either end names (the connection's id, or a word that the door put into
    /// the attributes `Source` and `Target`).
    pub resource: Option<String>,
    /// Attributes: key, any of these values (of 256 bytes at most).
    pub attributes: Vec<(String, Vec<String>)>,
    /// Dump tasks too, which are another product's.
    pub dumps: bool,
    /// Which stretch of the answer.
    pub page: Page,
}

/// A connection to make. Its identifier is made up.
#[derive(Debug, Clone)]
pub struct NewConnection {
    /// Name; one of its kind among the account's connections.
    pub name: String,
    /// Words.
    pub description: String,
    /// Connector; `None` = a product that the server only keeps the connection of.
    pub kind: Option<EndKind>,
    /// The product's own word.
    pub product: String,
    /// The connector's JSON.
    pub address: String,
    /// Its password ([`Control::seal`](crate::Control::seal)).
    pub secret: Option<Sealed>,
    /// What only its door understands, without secrets.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Ask the other side first, and refuse when it can't be reached or denies the password.
    pub probe: bool,
}

/// Changes of a connection; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ConnectionChange {
    /// Name.
    pub name: Option<String>,
    /// Words.
    pub description: Option<String>,
    /// The connector's JSON.
    pub address: Option<String>,
    /// Its password.
    pub secret: Option<Sealed>,
    /// Attributes to set, or with `None` to remove.
    pub attributes: BTreeMap<String, Option<String>>,
    /// Restart the pipelines that use it (`IsUpdate`), so that they take the new address and password. Without it they
    /// take them at their next start.
    pub restart: bool,
}

/// Which connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    /// Part of the name.
    pub search: Option<String>,
    /// The product's own word.
    pub product: Option<String>,
    /// Connector.
    pub kind: Option<EndKind>,
    /// Which stretch of the answer.
    pub page: Page,
}

/// A topic of the products' API to make. `topic-…`, user and password are made up.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Name (`<AppId>-…`; the door checks the form), also on the cluster.
    pub name: String,
    /// Words.
    pub note: String,
    /// Partitions.
    pub partitions: u32,
    /// Milliseconds that records are kept.
    pub retention_ms: u64,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Changes of a topic; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct TopicChange {
    /// Words.
    pub note: Option<String>,
    /// Milliseconds that records are kept.
    pub retention_ms: Option<u64>,
    /// Partitions; they only grow.
    pub partitions: Option<u32>,
    /// Tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Which topics of the products' API.
#[derive(Debug, Clone, Default)]
pub struct TopicFilter {
    /// Part of the name.
    pub search: Option<String>,
    /// Which stretch of the answer.
    pub page: Page,
}

/// Which Kafka cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClusterRef {
    /// The server's own: the embedded broker, or the one that `wharf.toml` names.
    #[default]
    Own,
    /// One that a connection leads to.
    Connection(ConnectionId),
}

/// Where a consumer group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupOffset {
    /// Partition.
    pub partition: i32,
    /// Position that the group committed; `None` = none.
    pub offset: Option<i64>,
    /// The text beside it.
    pub metadata: String,
    /// The position after the partition's last record.
    pub end: i64,
}

impl GroupOffset {
    /// How many records are before the group, about.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.end.saturating_sub(self.offset.unwrap_or(0)).max(0)
    }
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchedRecord {
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A record to write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Partition; `None` = by key.
    pub partition: Option<i32>,
}

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
}

/// What a transform makes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transformed {
    /// These records (values).
    Made(Vec<NewRecord>),
    /// Nothing: a filter took it out.
    Filtered,
    /// It can't take it; why.
    Failed(String),
}
