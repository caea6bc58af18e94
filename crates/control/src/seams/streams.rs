//! What the binary plugs in for records: the connectors of ends, Kafka clusters, the transform.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use connector::records::Problem;
use model::{EndKind, Sealed};

use crate::{FetchedRecord, GroupOffset, NewRecord, Produced, Transformed};

/// An end with everything that its connector needs. The secret is still sealed ([`store::Purpose::Credentials`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedEnd {
    /// Connector.
    pub kind: EndKind,
    /// How to reach it: the connector's JSON. Empty for the server's own Kafka cluster: the implementation knows it.
    pub connection: String,
    /// Password or secret key.
    pub secret: Option<Sealed>,
    /// What to do there: the connector's JSON.
    pub options: String,
}

/// A Kafka cluster. Empty text: the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// The Kafka connector's JSON of a connection.
    pub connection: String,
    /// Password.
    pub secret: Option<Sealed>,
}

/// A topic as a cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterTopic {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: u32,
    /// Copies of each.
    pub replicas: u16,
    /// Belongs to the cluster itself (`__consumer_offsets`).
    pub internal: bool,
}

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// It was set for this topic; otherwise it is the cluster's default.
    pub own: bool,
}

/// First and next position of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionEnds {
    /// Partition.
    pub partition: i32,
    /// Position of the first record that is still there.
    pub first: i64,
    /// Position of the next record.
    pub next: i64,
}

/// A record of a log, as the DIS door puts and gets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRecord {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone, which only Kafka clients write.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// What was read of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPiece {
    /// Records with their positions, in order.
    pub records: Vec<(i64, LogRecord)>,
    /// Where to read on.
    pub next: i64,
}

/// Connectors of records. Implementations keep their own time limits (a few seconds) and bounds; an answer that is larger is
/// cut. Errors: `NotFound` (topic, table, …), `Exists`, `Denied`, `Unavailable`, `Unacceptable` (a bad name or value), `Unsupported`.
#[async_trait]
pub trait Streams: Send + Sync {
    /// All problems of a connection's JSON, without I/O.
    fn check_connection(&self, kind: EndKind, connection: &str) -> Vec<Problem>;

    /// All problems of a source's options, without I/O. A kind that is no source has one problem: that.
    fn check_source(&self, kind: EndKind, options: &str) -> Vec<Problem>;

    /// All problems of a destination's options, without I/O.
    fn check_sink(&self, kind: EndKind, options: &str) -> Vec<Problem>;

    /// All problems of a transform, without I/O.
    fn check_transform(&self, transform: &str) -> Vec<Problem>;

    /// What a transform makes of records, in order. The same code as in a pipeline. `topic` stands for the source's.
    ///
    /// # Errors
    /// `Unacceptable` the transform itself is wrong.
    fn transform(
        &self,
        transform: &str,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> connector::Result<Vec<Transformed>>;

    /// Can it be reached, does it take the password, is the target there or can it be made?
    async fn probe(&self, end: &ReachedEnd) -> connector::Result<()>;

    /// Does a connection (the Kafka connector's JSON) lead to the server's own cluster? An empty one always does.
    fn is_own(&self, connection: &str) -> bool {
        connection.is_empty()
    }

    /// The address that clients of the server's own cluster are told.
    fn own_address(&self) -> String;

    /// Lets this user name and password in at the server's own cluster. Clusters without users need nothing.
    async fn put_user(&self, _user: &str, _password: &Sealed) -> connector::Result<()> {
        Ok(())
    }

    /// Forgets a user name.
    async fn drop_user(&self, _user: &str) -> connector::Result<()> {
        Ok(())
    }

    /// Topics: these, or all of them. One that is not there is left out.
    async fn topics(&self, on: &Cluster, names: Option<&[String]>) -> connector::Result<Vec<ClusterTopic>>;

    /// Makes a topic. `Exists` when it is there.
    async fn create_topic(
        &self,
        on: &Cluster,
        topic: &str,
        partitions: u32,
        configs: &BTreeMap<String, String>,
    ) -> connector::Result<()>;

    /// Gives a topic more partitions: so many altogether.
    async fn grow_topic(&self, on: &Cluster, topic: &str, partitions: u32) -> connector::Result<()>;

    /// Removes a topic with its records.
    async fn delete_topic(&self, on: &Cluster, topic: &str) -> connector::Result<()>;

    /// Sets these settings of a topic; others stay.
    async fn configure_topic(
        &self,
        on: &Cluster,
        topic: &str,
        configs: &BTreeMap<String, String>,
    ) -> connector::Result<()>;

    /// The settings of a topic.
    async fn topic_configs(&self, on: &Cluster, topic: &str) -> connector::Result<Vec<TopicConfig>>;

    /// First and next position of every partition.
    async fn ends(&self, on: &Cluster, topic: &str) -> connector::Result<Vec<PartitionEnds>>;

    /// For each partition and time (milliseconds) the position of the first record that is not older; `None` = there is none.
    async fn offsets_at(
        &self,
        on: &Cluster,
        topic: &str,
        times: &[(i32, i64)],
    ) -> connector::Result<Vec<Option<i64>>>;

    /// Names of the consumer groups.
    async fn groups(&self, on: &Cluster) -> connector::Result<Vec<String>>;

    /// Where a group stands in a topic: one entry for every partition.
    async fn group_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        group: &str,
    ) -> connector::Result<Vec<GroupOffset>>;

    /// Sets positions of a group that nobody is in.
    async fn commit_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        group: &str,
        offsets: &[(i32, i64)],
    ) -> connector::Result<()>;

    /// Up to `count` records from a position on, about 4 MiB at most. Empty past the end; `NotFound` no such partition.
    async fn fetch(
        &self,
        on: &Cluster,
        topic: &str,
        from: (i32, i64),
        count: u32,
    ) -> connector::Result<Vec<FetchedRecord>>;

    /// Writes records, acknowledged by all copies, in order.
    async fn produce(
        &self,
        on: &Cluster,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> connector::Result<Vec<Produced>>;

    /// Appends records to partitions, each partition's in one go and in order, acknowledged by all copies. For each partition
    /// the positions of its records, or why none of them is (surely) written.
    async fn append(
        &self,
        on: &Cluster,
        topic: &str,
        parts: Vec<(i32, Vec<LogRecord>)>,
    ) -> Vec<connector::Result<Vec<i64>>> {
        let mut out = Vec::with_capacity(parts.len());
        for (partition, records) in parts {
            let records = records.into_iter().map(|r| NewRecord {
                key: r.key.map(Into::into),
                value: r.value.map(Into::into),
                headers: r.headers.into_iter().map(|(k, v)| (k.into(), v.map(Into::into))).collect(),
                partition: Some(partition),
            });
            let placed = self.produce(on, topic, records.collect()).await;
            out.push(placed.map(|placed| placed.into_iter().map(|p| p.offset).collect()));
        }
        out
    }

    /// Reads a partition from a position on, about `max_bytes` but at least what one read gives. Nothing past the end;
    /// `NotFound` no such partition.
    async fn read(
        &self,
        on: &Cluster,
        topic: &str,
        (partition, from): (i32, i64),
        max_bytes: usize,
    ) -> connector::Result<LogPiece> {
        let count = u32::try_from((max_bytes / 64).clamp(1, 1000)).unwrap_or(1000);
        let found = self.fetch(on, topic, (partition, from), count).await?;
        let next = found.last().map_or(from, |r| r.offset + 1);
        let one = |r: FetchedRecord| {
            let record = LogRecord {
                timestamp_ms: r.timestamp_ms,
                key: r.key.map(Bytes::from),
                value: r.value.map(Bytes::from),
                headers: r.headers.into_iter().map(|(k, v)| (k.into(), v.map(Bytes::from))).collect(),
            };
            (r.offset, record)
        };
        Ok(LogPiece { records: found.into_iter().map(one).collect(), next })
    }
}

/// No connectors of records: everything is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStreams;

fn no<T>() -> connector::Result<T> {
    Err(connector::Error::new(connector::ErrorKind::Unsupported, "this server has no connectors of records"))
}

fn problem() -> Vec<Problem> {
    vec![Problem { field: String::new(), reason: "this server has no connectors of records".to_owned() }]
}

#[async_trait]
impl Streams for NoStreams {
    fn check_connection(&self, _: EndKind, _: &str) -> Vec<Problem> {
        problem()
    }

    fn check_source(&self, _: EndKind, _: &str) -> Vec<Problem> {
        problem()
    }

    fn check_sink(&self, _: EndKind, _: &str) -> Vec<Problem> {
        problem()
    }

    fn check_transform(&self, _: &str) -> Vec<Problem> {
        problem()
    }

    fn transform(&self, _: &str, _: &str, _: Vec<NewRecord>) -> connector::Result<Vec<Transformed>> {
        no()
    }

    async fn probe(&self, _: &ReachedEnd) -> connector::Result<()> {
        no()
    }

    fn own_address(&self) -> String {
        String::new()
    }

    async fn topics(&self, _: &Cluster, _: Option<&[String]>) -> connector::Result<Vec<ClusterTopic>> {
        no()
    }

    async fn create_topic(
        &self,
        _: &Cluster,
        _: &str,
        _: u32,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        no()
    }

    async fn grow_topic(&self, _: &Cluster, _: &str, _: u32) -> connector::Result<()> {
        no()
    }

    async fn delete_topic(&self, _: &Cluster, _: &str) -> connector::Result<()> {
        no()
    }

    async fn configure_topic(
        &self,
        _: &Cluster,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        no()
    }

    async fn topic_configs(&self, _: &Cluster, _: &str) -> connector::Result<Vec<TopicConfig>> {
        no()
    }

    async fn ends(&self, _: &Cluster, _: &str) -> connector::Result<Vec<PartitionEnds>> {
        no()
    }

    async fn offsets_at(
        &self,
        _: &Cluster,
        _: &str,
        _: &[(i32, i64)],
    ) -> connector::Result<Vec<Option<i64>>> {
        no()
    }

    async fn groups(&self, _: &Cluster) -> connector::Result<Vec<String>> {
        no()
    }

    async fn group_offsets(&self, _: &Cluster, _: &str, _: &str) -> connector::Result<Vec<GroupOffset>> {
        no()
    }

    async fn commit_offsets(&self, _: &Cluster, _: &str, _: &str, _: &[(i32, i64)]) -> connector::Result<()> {
        no()
    }

    async fn fetch(
        &self,
        _: &Cluster,
        _: &str,
        _: (i32, i64),
        _: u32,
    ) -> connector::Result<Vec<FetchedRecord>> {
        no()
    }

    async fn produce(&self, _: &Cluster, _: &str, _: Vec<NewRecord>) -> connector::Result<Vec<Produced>> {
        no()
    }
}
