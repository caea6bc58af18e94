//! Kafka clusters, connectors and a transform in memory.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use connector::records::Problem;
use connector::{Error, ErrorKind, Result};
use control::*;
use model::{EndKind, Sealed};

#[derive(Default)]
pub struct FakeTopic {
    pub partitions: Vec<Vec<FetchedRecord>>,
    pub configs: BTreeMap<String, String>,
}

#[derive(Default)]
pub struct FakeCluster {
    pub topics: BTreeMap<String, FakeTopic>,
    /// By group and topic.
    pub groups: BTreeMap<(String, String), BTreeMap<i32, i64>>,
    pub fails: Option<ErrorKind>,
    /// A new topic is made, but the answer is lost.
    pub loses_answers: bool,
}

/// Clusters by the JSON of their connection; the server's own has none.
#[derive(Default)]
pub struct FakeStreams {
    pub clusters: Mutex<BTreeMap<String, FakeCluster>>,
    pub users: Mutex<BTreeMap<String, Sealed>>,
    pub probed: Mutex<Vec<ReachedEnd>>,
    pub probe_fails: Mutex<Option<ErrorKind>>,
}

/// A connection that leads to the server's own cluster, as the configuration may name it.
pub const OWN_BY_NAME: &str = r#"{"bootstrap":"own:1"}"#;

pub fn own() -> String {
    String::new()
}

impl FakeStreams {
    pub fn with<T>(&self, cluster: &str, f: impl FnOnce(&mut FakeCluster) -> T) -> T {
        f(self.clusters.lock().unwrap().entry(cluster.to_owned()).or_default())
    }

    pub fn topic(&self, cluster: &str, name: &str, partitions: usize) {
        self.with(cluster, |c| {
            let topic = FakeTopic { partitions: vec![Vec::new(); partitions], ..FakeTopic::default() };
            c.topics.insert(name.to_owned(), topic);
        });
    }

    pub fn values(&self, cluster: &str, topic: &str) -> Vec<String> {
        self.with(cluster, |c| {
            let all = c.topics[topic].partitions.iter().flatten();
            all.map(|r| String::from_utf8(r.value.clone().unwrap()).unwrap()).collect()
        })
    }

    fn ask<T>(&self, on: &Cluster, f: impl FnOnce(&mut FakeCluster) -> Result<T>) -> Result<T> {
        self.with(&on.connection, |c| match c.fails {
            Some(kind) => Err(Error::new(kind, "told to fail")),
            None => f(c),
        })
    }
}

fn found<'a>(c: &'a mut FakeCluster, topic: &str) -> Result<&'a mut FakeTopic> {
    let missing = || Error::new(ErrorKind::NotFound, format!("topic {topic} is not there"));
    c.topics.get_mut(topic).ok_or_else(missing)
}

fn problems(text: &str, where_from: &str) -> Vec<Problem> {
    let problem = |field: &str, reason: &str| Problem { field: field.into(), reason: reason.into() };
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Err(e) => vec![problem("", &e.to_string())],
        Ok(map) => {
            let bad = ["bad", "worse", "password"];
            let named = bad.iter().filter(|b| map.contains_key(**b));
            named.map(|b| problem(b, &format!("no such field of a {where_from}"))).collect()
        }
    }
}

#[async_trait]
impl Streams for FakeStreams {
    fn check_connection(&self, kind: EndKind, connection: &str) -> Vec<Problem> {
        if kind == EndKind::Kafka && connection.is_empty() {
            return Vec::new();
        }
        problems(connection, "connection")
    }

    fn check_source(&self, kind: EndKind, options: &str) -> Vec<Problem> {
        let mut all = problems(options, "source");
        if kind != EndKind::Kafka {
            all.push(Problem { field: String::new(), reason: "this is no source".into() });
        }
        all
    }

    fn check_sink(&self, _: EndKind, options: &str) -> Vec<Problem> {
        problems(options, "sink")
    }

    fn check_transform(&self, transform: &str) -> Vec<Problem> {
        problems(transform, "transform")
    }

    fn transform(&self, _: &str, _: &str, records: Vec<NewRecord>) -> Result<Vec<Transformed>> {
        let one = |r: NewRecord| {
            let text = String::from_utf8(r.value.clone().unwrap_or_default()).unwrap();
            let made = |v: String| NewRecord { value: Some(v.into_bytes()), ..r.clone() };
            match text.as_str() {
                "filter" => Transformed::Filtered,
                "poison" => Transformed::Failed("it is poison".into()),
                "two" => Transformed::Made(vec![made("TWO-1".into()), made("TWO-2".into())]),
                _ => Transformed::Made(vec![made(text.to_uppercase())]),
            }
        };
        Ok(records.into_iter().map(one).collect())
    }

    async fn probe(&self, end: &ReachedEnd) -> Result<()> {
        self.probed.lock().unwrap().push(end.clone());
        match *self.probe_fails.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "told to fail")),
            None => Ok(()),
        }
    }

    fn is_own(&self, connection: &str) -> bool {
        connection.is_empty() || connection == OWN_BY_NAME
    }

    fn own_address(&self) -> String {
        "127.0.0.1:9092".into()
    }

    async fn put_user(&self, user: &str, password: &Sealed) -> Result<()> {
        self.users.lock().unwrap().insert(user.into(), password.clone());
        Ok(())
    }

    async fn drop_user(&self, user: &str) -> Result<()> {
        self.users.lock().unwrap().remove(user);
        Ok(())
    }

    async fn topics(&self, on: &Cluster, names: Option<&[String]>) -> Result<Vec<ClusterTopic>> {
        self.ask(on, |c| {
            let all = c.topics.iter().filter(|(n, _)| names.is_none_or(|names| names.contains(n)));
            let one = |(name, t): (&String, &FakeTopic)| ClusterTopic {
                name: name.clone(),
                partitions: t.partitions.len() as u32,
                replicas: 1,
                internal: name.starts_with("__"),
            };
            Ok(all.map(one).collect())
        })
    }

    async fn create_topic(
        &self,
        on: &Cluster,
        topic: &str,
        partitions: u32,
        configs: &BTreeMap<String, String>,
    ) -> Result<()> {
        self.ask(on, |c| {
            if c.topics.contains_key(topic) {
                return Err(Error::new(ErrorKind::Exists, "it is there"));
            }
            let partitions = vec![Vec::new(); partitions.max(1) as usize];
            c.topics.insert(topic.to_owned(), FakeTopic { partitions, configs: configs.clone() });
            match c.loses_answers {
                true => Err(Error::new(ErrorKind::Unavailable, "told to lose it")),
                false => Ok(()),
            }
        })
    }

    async fn grow_topic(&self, on: &Cluster, topic: &str, partitions: u32) -> Result<()> {
        self.ask(on, |c| {
            found(c, topic)?.partitions.resize(partitions as usize, Vec::new());
            Ok(())
        })
    }

    async fn delete_topic(&self, on: &Cluster, topic: &str) -> Result<()> {
        self.ask(on, |c| {
            found(c, topic)?;
            c.topics.remove(topic);
            Ok(())
        })
    }

    async fn configure_topic(
        &self,
        on: &Cluster,
        topic: &str,
        configs: &BTreeMap<String, String>,
    ) -> Result<()> {
        self.ask(on, |c| {
            found(c, topic)?.configs.extend(configs.clone());
            Ok(())
        })
    }

    async fn topic_configs(&self, on: &Cluster, topic: &str) -> Result<Vec<TopicConfig>> {
        self.ask(on, |c| {
            let all = found(c, topic)?.configs.iter();
            Ok(all.map(|(n, v)| TopicConfig { name: n.clone(), value: v.clone(), own: false }).collect())
        })
    }

    async fn ends(&self, on: &Cluster, topic: &str) -> Result<Vec<PartitionEnds>> {
        self.ask(on, |c| {
            let all = found(c, topic)?.partitions.iter().zip(0..);
            Ok(all
                .map(|(p, partition)| PartitionEnds { partition, first: 0, next: p.len() as i64 })
                .collect())
        })
    }

    async fn offsets_at(&self, on: &Cluster, topic: &str, times: &[(i32, i64)]) -> Result<Vec<Option<i64>>> {
        self.ask(on, |c| {
            let topic = found(c, topic)?;
            let at = |(p, time): &(i32, i64)| {
                let all = &topic.partitions[*p as usize];
                all.iter().find(|r| r.timestamp_ms >= *time).map(|r| r.offset)
            };
            Ok(times.iter().map(at).collect())
        })
    }

    async fn groups(&self, on: &Cluster) -> Result<Vec<String>> {
        self.ask(on, |c| {
            let mut all: Vec<String> = c.groups.keys().map(|(g, _)| g.clone()).collect();
            all.dedup();
            Ok(all)
        })
    }

    async fn group_offsets(&self, on: &Cluster, topic: &str, group: &str) -> Result<Vec<GroupOffset>> {
        self.ask(on, |c| {
            let ends: Vec<i64> = found(c, topic)?.partitions.iter().map(|p| p.len() as i64).collect();
            let known = c.groups.get(&(group.to_owned(), topic.to_owned()));
            let one = |(partition, end): (i32, i64)| GroupOffset {
                partition,
                offset: known.and_then(|k| k.get(&partition)).copied(),
                metadata: String::new(),
                end,
            };
            Ok((0..).zip(ends).map(one).collect())
        })
    }

    async fn commit_offsets(
        &self,
        on: &Cluster,
        topic: &str,
        group: &str,
        offsets: &[(i32, i64)],
    ) -> Result<()> {
        self.ask(on, |c| {
            c.groups.entry((group.into(), topic.into())).or_default().extend(offsets.iter().copied());
            Ok(())
        })
    }

    async fn fetch(
        &self,
        on: &Cluster,
        topic: &str,
        (partition, from): (i32, i64),
        count: u32,
    ) -> Result<Vec<FetchedRecord>> {
        self.ask(on, |c| {
            let missing = || Error::new(ErrorKind::NotFound, "no such partition");
            let all = found(c, topic)?.partitions.get(partition as usize).ok_or_else(missing)?;
            Ok(all.iter().filter(|r| r.offset >= from).take(count as usize).cloned().collect())
        })
    }

    async fn produce(&self, on: &Cluster, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Produced>> {
        self.ask(on, |c| {
            let topic_found = found(c, topic)?;
            let mut out = Vec::new();
            for r in records {
                let index = r.partition.unwrap_or(0);
                let missing = || Error::new(ErrorKind::NotFound, "no such partition");
                let partition = topic_found.partitions.get_mut(index as usize).ok_or_else(missing)?;
                let offset = partition.len() as i64;
                let (key, value) = (r.key, r.value);
                partition.push(FetchedRecord {
                    offset,
                    timestamp_ms: offset,
                    key,
                    value,
                    ..Default::default()
                });
                out.push(Produced { topic: topic.to_owned(), partition: index, offset });
            }
            Ok(out)
        })
    }
}
