//! Connectors and clusters, played: topics in memory, and checks that know which fields a connector's JSON has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connector::records::Problem;
use connector::{Error, ErrorKind};
use control::{
    Cluster, ClusterTopic, FetchedRecord, GroupOffset, NewRecord, PartitionEnds, Produced, ReachedEnd,
    Streams, TopicConfig, Transformed,
};
use model::{EndKind, Sealed};
use serde_json::Value;

/// Fields of the connectors' JSON, as they are agreed: connection, source, sink; `!` marks those that must be there.
const FIELDS: &[(EndKind, [&str; 3])] = &[
    (EndKind::Http, ["", "", ""]),
    (
        EndKind::Kafka,
        [
            "!bootstrap security mechanism user ca_pem",
            "topics pattern !start group",
            "topic keep_partition copies compression create create_partitions tables prefix separator exactly_once",
        ],
    ),
    (
        EndKind::Elastic,
        [
            "!url user ca_pem",
            "-",
            "index index_path date_suffix id_path date_path mapping mapping_mode change_format primary_key raw_key \
             drop_not_json",
        ],
    ),
    (
        EndKind::ClickHouse,
        ["!url user ca_pem", "-", "!database !table cluster !columns batch_records batch_bytes linger_ms"],
    ),
    (
        EndKind::Sql,
        ["!engine !host !port user tls ca_pem", "-", "!database !table !mode key mapping change_format"],
    ),
    (
        EndKind::Bucket,
        [
            "!url region dialect path_style access_key_id ca_pem",
            "-",
            "!bucket prefix directories utc_offset_s max_bytes max_seconds !format compression source_format \
             storage_class",
        ],
    ),
    (EndKind::Function, ["!url", "-", "!function namespace qualifier batch_records retries"]),
];

/// A cluster's topics: partitions with their records.
type Topics = BTreeMap<String, Vec<Vec<FetchedRecord>>>;

#[derive(Default)]
pub struct Played {
    clusters: Mutex<BTreeMap<String, Topics>>,
    pub users: Mutex<BTreeSet<String>>,
    pub down: Mutex<bool>,
}

fn check(kind: EndKind, which: usize, text: &str) -> Vec<Problem> {
    let problem = |field: &str, reason: &str| Problem { field: field.to_owned(), reason: reason.to_owned() };
    let (_, lists) = FIELDS.iter().find(|(k, _)| *k == kind).unwrap();
    if lists[which] == "-" {
        return vec![problem("", "is no source")];
    }
    if text.is_empty() && kind == EndKind::Kafka && which == 0 {
        // The server's own cluster.
        return Vec::new();
    }
    let text = if text.is_empty() && kind == EndKind::Http { "{}" } else { text };
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return vec![problem("", "is no object")];
    };
    let known: Vec<&str> = lists[which].split(' ').map(|f| f.trim_start_matches('!')).collect();
    let mut found: Vec<Problem> =
        fields.keys().filter(|f| !known.contains(&f.as_str())).map(|f| problem(f, "is not known")).collect();
    let needed = lists[which].split(' ').filter_map(|f| f.strip_prefix('!'));
    found.extend(needed.filter(|f| !fields.contains_key(*f)).map(|f| problem(f, "is missing")));
    if fields.get("index").is_some_and(|i| i.as_str().unwrap().contains(char::is_uppercase)) {
        found.push(problem("index", "has upper-case letters"));
    }
    let has = |f: &str| fields.contains_key(f);
    if kind == EndKind::Elastic
        && has("change_format")
        && (has("id_path") || has("raw_key") || !has("primary_key"))
    {
        found.push(problem("change_format", "goes with primary_key, without id_path and raw_key"));
    }
    if has("prefix") && kind == EndKind::Kafka && (has("topic") || has("tables")) {
        found.push(problem("prefix", "excludes topic and tables"));
    }
    found
}

impl Played {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub fn topic(&self, connection: &str, name: &str, partitions: usize) {
        let mut all = self.clusters.lock().unwrap();
        all.entry(connection.to_owned()).or_default().insert(name.to_owned(), vec![vec![]; partitions]);
    }

    pub fn records(&self, connection: &str, topic: &str) -> Vec<FetchedRecord> {
        self.clusters.lock().unwrap()[connection][topic].concat()
    }

    fn with<T>(
        &self,
        on: &Cluster,
        topic: &str,
        act: impl FnOnce(&mut Vec<Vec<FetchedRecord>>) -> T,
    ) -> connector::Result<T> {
        self.up()?;
        let mut all = self.clusters.lock().unwrap();
        let found = all.entry(on.connection.clone()).or_default().get_mut(topic);
        found.map(act).ok_or_else(|| Error::new(ErrorKind::NotFound, "no such topic"))
    }

    fn up(&self) -> connector::Result<()> {
        if *self.down.lock().unwrap() {
            return Err(Error::new(ErrorKind::Unavailable, "the cluster does not answer"));
        }
        Ok(())
    }
}

#[async_trait]
impl Streams for Played {
    fn check_connection(&self, kind: EndKind, connection: &str) -> Vec<Problem> {
        check(kind, 0, connection)
    }

    fn check_source(&self, kind: EndKind, options: &str) -> Vec<Problem> {
        check(kind, 1, options)
    }

    fn check_sink(&self, kind: EndKind, options: &str) -> Vec<Problem> {
        check(kind, 2, options)
    }

    fn check_transform(&self, transform: &str) -> Vec<Problem> {
        let v: Value = serde_json::from_str(transform).unwrap();
        let fields = v.as_object().unwrap();
        assert_eq!(fields.len(), 1);
        let (name, param) = fields.iter().next().unwrap();
        assert!(matches!(name.as_str(), "transforms_param" | "transform_param"), "{name}");
        if param["Content"] == "bad" {
            return vec![Problem { field: "FieldChain.0".into(), reason: "is no good".into() }];
        }
        Vec::new()
    }

    fn transform(&self, _: &str, _: &str, records: Vec<NewRecord>) -> connector::Result<Vec<Transformed>> {
        let one = |r: NewRecord| match r.value.as_deref() {
            Some(b"filter me") => Transformed::Filtered,
            Some(b"break me") => Transformed::Failed("it is broken".into()),
            _ => Transformed::Made(vec![r]),
        };
        Ok(records.into_iter().map(one).collect())
    }

    async fn probe(&self, _: &ReachedEnd) -> connector::Result<()> {
        Ok(())
    }

    fn own_address(&self) -> String {
        "127.0.0.1:9092".to_owned()
    }

    async fn put_user(&self, user: &str, _: &Sealed) -> connector::Result<()> {
        self.users.lock().unwrap().insert(user.to_owned());
        Ok(())
    }

    async fn drop_user(&self, user: &str) -> connector::Result<()> {
        self.users.lock().unwrap().remove(user);
        Ok(())
    }

    async fn topics(&self, on: &Cluster, names: Option<&[String]>) -> connector::Result<Vec<ClusterTopic>> {
        self.up()?;
        let all = self.clusters.lock().unwrap();
        let wanted = |name: &String| names.is_none_or(|n| n.contains(name));
        let none = Topics::new();
        let topics = all.get(&on.connection).unwrap_or(&none).iter().filter(|(name, _)| wanted(name));
        Ok(topics
            .map(|(name, p)| ClusterTopic {
                name: name.clone(),
                partitions: u32::try_from(p.len()).unwrap(),
                replicas: 1,
                internal: name.starts_with("__"),
            })
            .collect())
    }

    async fn create_topic(
        &self,
        on: &Cluster,
        topic: &str,
        partitions: u32,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        self.up()?;
        if self.with(on, topic, |_| ()).is_ok() {
            return Err(Error::new(ErrorKind::Exists, "there is one already"));
        }
        self.topic(&on.connection, topic, usize::try_from(partitions).unwrap());
        Ok(())
    }

    async fn grow_topic(&self, on: &Cluster, topic: &str, partitions: u32) -> connector::Result<()> {
        self.with(on, topic, |p| p.resize(usize::try_from(partitions).unwrap(), Vec::new()))
    }

    async fn delete_topic(&self, on: &Cluster, topic: &str) -> connector::Result<()> {
        self.with(on, topic, |_| ())?;
        self.clusters.lock().unwrap().get_mut(&on.connection).unwrap().remove(topic);
        Ok(())
    }

    async fn configure_topic(
        &self,
        on: &Cluster,
        topic: &str,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        self.with(on, topic, |_| ())
    }

    async fn topic_configs(&self, on: &Cluster, topic: &str) -> connector::Result<Vec<TopicConfig>> {
        self.with(on, topic, |_| Vec::new())
    }

    async fn ends(&self, on: &Cluster, topic: &str) -> connector::Result<Vec<PartitionEnds>> {
        self.with(on, topic, |all| {
            (0..)
                .zip(all.iter())
                .map(|(partition, p)| PartitionEnds {
                    partition,
                    first: 0,
                    next: i64::try_from(p.len()).unwrap(),
                })
                .collect()
        })
    }

    async fn offsets_at(
        &self,
        on: &Cluster,
        topic: &str,
        times: &[(i32, i64)],
    ) -> connector::Result<Vec<Option<i64>>> {
        self.with(on, topic, |_| times.iter().map(|_| None).collect())
    }

    async fn groups(&self, _: &Cluster) -> connector::Result<Vec<String>> {
        Ok(vec!["g".to_owned()])
    }

    async fn group_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        group: &str,
    ) -> connector::Result<Vec<GroupOffset>> {
        self.with(on, topic, |all| {
            (0..)
                .zip(all.iter())
                .map(|(partition, p)| GroupOffset {
                    partition,
                    offset: (group == "g" && partition == 0).then_some(1),
                    metadata: String::new(),
                    end: i64::try_from(p.len()).unwrap(),
                })
                .collect()
        })
    }

    async fn commit_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        _: &str,
        _: &[(i32, i64)],
    ) -> connector::Result<()> {
        self.with(on, topic, |_| ())
    }

    async fn fetch(
        &self,
        on: &Cluster,
        topic: &str,
        (partition, offset): (i32, i64),
        count: u32,
    ) -> connector::Result<Vec<FetchedRecord>> {
        let found = self.with(on, topic, |all| all.get(usize::try_from(partition).unwrap()).cloned())?;
        let records = found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such partition"))?;
        let from = records.into_iter().filter(|r| r.offset >= offset);
        Ok(from.take(usize::try_from(count).unwrap()).collect())
    }

    async fn produce(
        &self,
        on: &Cluster,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> connector::Result<Vec<Produced>> {
        self.with(on, topic, |all| {
            let mut written = Vec::new();
            for r in records {
                let partition = r.partition.unwrap_or_default();
                let log = &mut all[usize::try_from(partition).unwrap()];
                let offset = i64::try_from(log.len()).unwrap();
                let (key, value, headers) = (r.key, r.value, r.headers);
                log.push(FetchedRecord {
                    partition,
                    offset,
                    timestamp_ms: 1_700_000_000_000,
                    key,
                    value,
                    headers,
                });
                written.push(Produced { topic: topic.to_owned(), partition, offset });
            }
            written
        })
    }
}
