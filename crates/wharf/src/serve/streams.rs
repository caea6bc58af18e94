//! The connectors of records as the server uses them: the one place that names them.
//!
//! [`Connectors`] answers control's questions (is this JSON right, can it be reached, what lies on the cluster);
//! `pipelines` makes the working ends of a pipeline's lanes. Both go through [`kinds`], which picks the connector by
//! the kind of end.

mod cluster;
pub mod kinds;
mod log;
pub mod pipelines;
mod transforms;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{BatchBuilder, Endpoint, Headers, Problem, RecordRef, Secret, Split};
use connector::{Error, ErrorKind, Result};
use connector_kafka::{KafkaAdmin, OffsetsFor, TopicSpec};
use control::{
    Cluster, ClusterTopic, FetchedRecord, GroupOffset, LogPiece, LogRecord, NewRecord, PartitionEnds,
    Produced, ReachedEnd, Streams, TopicConfig, Transformed,
};
use model::{EndKind, Sealed};
use store::{Purpose, SealKey};

pub use cluster::{Own, TopicUsers};

/// Every question to a cluster is answered or given up within this time.
const WAIT: Duration = Duration::from_secs(8);
/// Clusters whose handles are kept; beyond it they are made anew.
const CLUSTERS: usize = 64;
/// Records that a transform is tried on, at most.
const TRIED: usize = 1000;

/// See the module.
pub struct Connectors {
    key: SealKey,
    /// The server's own cluster; known once the broker is up.
    own: OnceLock<Own>,
    /// The server's own lakehouse, as its connector reads it.
    lake: String,
    admins: Mutex<HashMap<Vec<u8>, Arc<KafkaAdmin>>>,
}

impl Connectors {
    /// `key` opens sealed secrets; `lake` is the connection of the server's own lakehouse.
    pub fn new(key: SealKey, lake: String) -> Self {
        Self { key, own: OnceLock::new(), lake, admins: Mutex::default() }
    }

    /// Tells which cluster is the server's own. The first word counts.
    pub fn set_own(&self, own: Own) {
        let _ = self.own.set(own);
    }

    /// Lets go of the clusters' handles.
    pub fn close(&self) {
        let kept = std::mem::take(&mut *self.admins.lock().unwrap_or_else(PoisonError::into_inner));
        drop(kept);
    }

    fn open(&self, secret: Option<&Sealed>) -> Result<Option<Secret>> {
        let Some(sealed) = secret else { return Ok(None) };
        let plain = self.key.open(Purpose::Credentials, sealed).map_err(|_| {
            Error::new(ErrorKind::Denied, "the stored secret can't be opened with this master key")
        })?;
        Ok(Some(Secret(plain.into())))
    }

    fn own(&self) -> Result<&Own> {
        let none = "this server has no Kafka cluster of its own: add [broker] or streams.topics to its configuration";
        self.own.get().ok_or_else(|| Error::new(ErrorKind::Unavailable, none))
    }

    /// An end as its connector gets it.
    pub fn endpoint(&self, end: &ReachedEnd) -> Result<Endpoint> {
        if end.kind == EndKind::Kafka && end.connection.is_empty() {
            let own = self.own()?.endpoint.clone();
            return Ok(Endpoint { options: end.options.clone(), ..own });
        }
        let (connection, options) = (self.completed(end.kind, &end.connection), end.options.clone());
        Ok(Endpoint { connection, secret: self.open(end.secret.as_ref())?, options })
    }

    fn completed(&self, kind: EndKind, connection: &str) -> String {
        if kind == EndKind::Iceberg { on_lake(&self.lake, connection) } else { connection.to_owned() }
    }

    fn admin(&self, on: &Cluster) -> Result<Arc<KafkaAdmin>> {
        let endpoint = self.endpoint(&ReachedEnd {
            kind: EndKind::Kafka,
            connection: on.connection.clone(),
            secret: on.secret.clone(),
            options: String::new(),
        })?;
        let name = fingerprint(&endpoint);
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(admin) = admins.get(&name) {
            return Ok(admin.clone());
        }
        if admins.len() >= CLUSTERS {
            admins.clear();
        }
        let admin = Arc::new(KafkaAdmin::new(&endpoint)?);
        admins.insert(name, admin.clone());
        Ok(admin)
    }

    /// The embedded broker, where that is what is meant.
    fn embedded(&self, on: &Cluster) -> Option<&broker::Broker> {
        self.own.get().filter(|_| on.connection.is_empty())?.broker.as_ref()
    }

    /// Asks a cluster, off the reactor.
    async fn ask<T: Send + 'static>(
        &self,
        on: &Cluster,
        ask: impl FnOnce(&KafkaAdmin) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let admin = self.admin(on)?;
        runtime::blocking(move || ask(&admin)).await.map_err(|e| Error::new(ErrorKind::Other, e))?
    }
}

/// A connection without a catalogue is one to the server's own lakehouse. It may come with a store for what is staged.
fn on_lake(lake: &str, connection: &str) -> String {
    if connection.is_empty() {
        return lake.to_owned();
    }
    let object = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok();
    match (object(connection), object(lake)) {
        (Some(mut given), Some(own)) if !given.contains_key("uri") => {
            given.extend(own);
            serde_json::Value::Object(given).to_string()
        }
        _ => connection.to_owned(),
    }
}

/// Two endpoints with the same one are the same. Holds no secret in the clear.
fn fingerprint(endpoint: &Endpoint) -> Vec<u8> {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    sum.update(endpoint.connection.as_bytes());
    sum.update(&[0]);
    sum.update(endpoint.secret.as_ref().map_or("", |s| &s.0).as_bytes());
    sum.finish().as_ref().to_vec()
}

#[async_trait]
impl Streams for Connectors {
    fn check_connection(&self, kind: EndKind, connection: &str) -> Vec<Problem> {
        kinds::check_connection(kind, &self.completed(kind, connection))
    }

    fn check_source(&self, kind: EndKind, options: &str) -> Vec<Problem> {
        kinds::check_source(kind, options)
    }

    fn check_sink(&self, kind: EndKind, options: &str) -> Vec<Problem> {
        kinds::check_sink(kind, options)
    }

    fn check_transform(&self, transform: &str) -> Vec<Problem> {
        match transforms::chain(transform) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        }
    }

    fn transform(&self, transform: &str, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Transformed>> {
        let chain = transforms::chain(transform).map_err(|p| {
            let words: Vec<_> = p.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
            Error::new(ErrorKind::Unacceptable, words.join("; "))
        })?;
        let now_ms = runtime::Clock::system().now().0.div_euclid(1000);
        let mut out = transform::Output::new();
        let one = |record: NewRecord| {
            let seen = transform::Record {
                value: record.value.as_deref().unwrap_or_default(),
                topic,
                partition: record.partition.unwrap_or(0),
                offset: 0,
                key: record.key.as_deref(),
                timestamp_ms: now_ms,
            };
            match chain.apply(&seen, now_ms, &mut out) {
                transform::Outcome::Filtered => Transformed::Filtered,
                transform::Outcome::Failed(f) => Transformed::Failed(f.to_string()),
                transform::Outcome::Emitted => Transformed::Made(
                    out.values().map(|v| NewRecord { value: Some(v.to_vec()), ..record.clone() }).collect(),
                ),
            }
        };
        Ok(records.into_iter().take(TRIED).map(one).collect())
    }

    async fn probe(&self, end: &ReachedEnd) -> Result<()> {
        kinds::probe(end.kind, &self.endpoint(end)?).await
    }

    fn is_own(&self, connection: &str) -> bool {
        // The same words: both come from the same table of the configuration.
        connection.is_empty() || self.own.get().is_some_and(|own| own.endpoint.connection == connection)
    }

    fn own_address(&self) -> String {
        self.own.get().map_or_else(String::new, |o| o.address.clone())
    }

    async fn put_user(&self, user: &str, password: &Sealed) -> Result<()> {
        let plain = self.open(Some(password))?;
        if let (Some(own), Some(plain)) = (self.own.get(), plain) {
            own.put_user(user, &plain.0);
        }
        Ok(())
    }

    async fn drop_user(&self, user: &str) -> Result<()> {
        if let Some(own) = self.own.get() {
            own.drop_user(user);
        }
        Ok(())
    }

    async fn topics(&self, on: &Cluster, names: Option<&[String]>) -> Result<Vec<ClusterTopic>> {
        let names = names.map(<[String]>::to_vec);
        let found = self.ask(on, move |admin| match names {
            None => admin.topics(WAIT),
            Some(names) => {
                let each = names.iter().map(|n| admin.topic(n, WAIT));
                Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
            }
        });
        let topic = |t: connector_kafka::TopicInfo| ClusterTopic {
            partitions: u32::try_from(t.partitions).unwrap_or(0),
            replicas: u16::try_from(t.replicas).unwrap_or(0),
            internal: t.name.starts_with("__"),
            name: t.name,
        };
        Ok(found.await?.into_iter().map(topic).collect())
    }

    async fn create_topic(
        &self,
        on: &Cluster,
        topic: &str,
        partitions: u32,
        configs: &BTreeMap<String, String>,
    ) -> Result<()> {
        let spec = TopicSpec {
            name: topic.to_owned(),
            partitions: (partitions > 0).then(|| i32::try_from(partitions).unwrap_or(i32::MAX)),
            settings: configs.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        };
        self.ask(on, move |admin| admin.create_topic(&spec, WAIT)).await
    }

    async fn grow_topic(&self, on: &Cluster, topic: &str, partitions: u32) -> Result<()> {
        let (topic, partitions) = (topic.to_owned(), i32::try_from(partitions).unwrap_or(i32::MAX));
        self.ask(on, move |admin| admin.grow_topic(&topic, partitions, WAIT)).await
    }

    async fn delete_topic(&self, on: &Cluster, topic: &str) -> Result<()> {
        let topic = topic.to_owned();
        self.ask(on, move |admin| admin.delete_topic(&topic, WAIT)).await
    }

    async fn configure_topic(
        &self,
        on: &Cluster,
        topic: &str,
        configs: &BTreeMap<String, String>,
    ) -> Result<()> {
        let settings: Vec<_> = configs.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let topic = topic.to_owned();
        self.ask(on, move |admin| admin.set_topic(&topic, &settings, WAIT)).await
    }

    async fn topic_configs(&self, on: &Cluster, topic: &str) -> Result<Vec<TopicConfig>> {
        let topic = topic.to_owned();
        let found = self.ask(on, move |admin| admin.topic_settings(&topic, WAIT)).await?;
        Ok(found.into_iter().map(|(name, value)| TopicConfig { name, value, own: false }).collect())
    }

    async fn ends(&self, on: &Cluster, topic: &str) -> Result<Vec<PartitionEnds>> {
        if let Some(broker) = self.embedded(on) {
            return log::ends(broker, topic);
        }
        let topic = topic.to_owned();
        let (first, next) = self
            .ask(on, move |admin| {
                let first = admin.offsets(&topic, OffsetsFor::Beginning, WAIT)?;
                Ok((first, admin.offsets(&topic, OffsetsFor::End, WAIT)?))
            })
            .await?;
        let both = first.into_iter().zip(next);
        Ok(both.map(|((partition, first), (_, next))| PartitionEnds { partition, first, next }).collect())
    }

    async fn offsets_at(&self, on: &Cluster, topic: &str, times: &[(i32, i64)]) -> Result<Vec<Option<i64>>> {
        if let Some(broker) = self.embedded(on) {
            return log::at_times(broker, topic, times);
        }
        let (topic, times) = (topic.to_owned(), times.to_vec());
        self.ask(on, move |admin| {
            let mut known: BTreeMap<i64, BTreeMap<i32, i64>> = BTreeMap::new();
            let mut out = Vec::with_capacity(times.len());
            for (partition, time) in times {
                let found = match known.entry(time) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(place) => place
                        .insert(admin.offsets(&topic, OffsetsFor::Time(time), WAIT)?.into_iter().collect()),
                };
                out.push(found.get(&partition).copied());
            }
            Ok(out)
        })
        .await
    }

    async fn groups(&self, on: &Cluster) -> Result<Vec<String>> {
        self.ask(on, |admin| admin.groups(WAIT)).await
    }

    async fn group_offsets(&self, on: &Cluster, topic: &str, group: &str) -> Result<Vec<GroupOffset>> {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let found = self.ask(on, move |admin| admin.group_offsets(&group, &topic, WAIT)).await?;
        let one = |g: connector_kafka::GroupOffset| GroupOffset {
            partition: g.partition,
            offset: g.offset,
            metadata: g.metadata,
            end: g.end,
        };
        Ok(found.into_iter().map(one).collect())
    }

    async fn commit_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        group: &str,
        offsets: &[(i32, i64)],
    ) -> Result<()> {
        let (topic, group, offsets) = (topic.to_owned(), group.to_owned(), offsets.to_vec());
        self.ask(on, move |admin| admin.commit(&group, &topic, &offsets, WAIT)).await
    }

    async fn fetch(
        &self,
        on: &Cluster,
        topic: &str,
        (partition, from): (i32, i64),
        count: u32,
    ) -> Result<Vec<FetchedRecord>> {
        let topic = topic.to_owned();
        let most = usize::try_from(count).unwrap_or(TRIED);
        let batch = self.ask(on, move |admin| admin.records(&topic, partition, from, most, WAIT)).await?;
        let one = |r: RecordRef<'_>| FetchedRecord {
            partition,
            offset: r.offset,
            timestamp_ms: r.timestamp_ms,
            key: r.key.map(<[u8]>::to_vec),
            value: r.value.map(<[u8]>::to_vec),
            headers: r.headers.map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect(),
        };
        Ok(batch.iter().map(one).collect())
    }

    async fn produce(&self, on: &Cluster, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Produced>> {
        let topic = topic.to_owned();
        self.ask(on, move |admin| {
            let mut batch = BatchBuilder::new(Split::new(&topic, 0), 0);
            for (offset, r) in (0..).zip(&records) {
                let (key, value) = (r.key.as_deref(), r.value.as_deref());
                let headers = Headers::none();
                let record = RecordRef { offset, sub: 0, timestamp_ms: -1, key, value, headers };
                batch.push_with(&record, |_, put| {
                    for (name, value) in &r.headers {
                        put(name, value.as_deref());
                    }
                });
            }
            let batch = batch.finish(0);
            let list: Vec<_> = batch.iter().collect();
            let placed = admin.produce(&topic, &list, WAIT)?;
            let one = |(partition, offset)| Produced { topic: topic.clone(), partition, offset };
            Ok(placed.into_iter().map(one).collect())
        })
        .await
    }

    async fn append(
        &self,
        on: &Cluster,
        topic: &str,
        parts: Vec<(i32, Vec<LogRecord>)>,
    ) -> Vec<Result<Vec<i64>>> {
        if let Some(broker) = self.embedded(on) {
            return log::append(broker, topic, parts).await;
        }
        let (topic, count) = (topic.to_owned(), parts.len());
        let done = self.ask(on, move |admin| Ok(log::append_to_cluster(admin, &topic, &parts))).await;
        done.unwrap_or_else(|e| {
            let (kind, words) = (e.kind(), e.to_string());
            (0..count).map(|_| Err(Error::new(kind, words.clone()))).collect()
        })
    }

    async fn read(&self, on: &Cluster, topic: &str, from: (i32, i64), max_bytes: usize) -> Result<LogPiece> {
        if let Some(broker) = self.embedded(on) {
            return log::read(broker, topic, from, max_bytes).await;
        }
        let topic = topic.to_owned();
        self.ask(on, move |admin| log::read_from_cluster(admin, &topic, from, max_bytes)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_catalogue_is_to_the_own_lakehouse() {
        let lake = r#"{"uri":"sqlite:/d/c.db","warehouse":"file:///d/w"}"#;
        assert_eq!(on_lake(lake, ""), lake);
        let staged = on_lake(lake, r#"{"s3":{"url":"http://h:1"}}"#);
        assert!(staged.contains("sqlite:") && staged.contains("http://h:1"), "{staged}");
        assert!(connector_iceberg::check_connection(&staged).is_empty());
        let other = r#"{"uri":"http://h:2","warehouse":"w"}"#;
        assert_eq!(on_lake(lake, other), other);
    }
}
