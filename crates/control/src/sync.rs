//! Instance syncs: what one Kafka cluster has of topics, settings and positions of groups, carried over to another.
//!
//! Records are a pipeline's work; this is the rest, done when a sync begins and every few minutes after (`housekeeping`). Topics that the
//! target lacks are made, with the source's number of partitions; partitions only grow; the settings below are written to new
//! topics, and a retention to older ones where they have none. The number of copies is the target's business.
//!
//! Positions are translated by time: the record that a group reads next at the source has a time, and the group's position at the
//! target becomes the first record there that is not older. So a group that moves over reads a few records again, and misses
//! none. A position at the target never moves back, and a group with members there is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use model::{EndKind, Pipeline, PipelineId, PipelineStatus, Timestamp};
use regex::Regex;

use crate::ends::{KafkaSink, KafkaSource};
use crate::{
    Caller, Cluster, ClusterTopic, Control, Error, ErrorKind, GroupOffset, Noun, Result, SyncKind,
    TopicConfig,
};

/// Between two rounds of a sync.
pub(crate) const EVERY_US: i64 = 180 * 1_000_000;

/// Syncs that are looked after at once, and how long a round of one may take: others wait for it.
const AT_ONCE: usize = 8;
const ROUND: Duration = Duration::from_secs(120);

/// Settings of a topic that are carried over, with what is written where the source has none.
const SETTINGS: [(&str, &str); 5] = [
    ("retention.ms", "604800000"),
    ("retention.bytes", "-1"),
    ("cleanup.policy", "delete"),
    ("segment.ms", "604800000"),
    ("max.message.bytes", "1048588"),
];

/// Topics of one sync, and groups whose positions it carries over.
const MAX_TOPICS: usize = 5_000;
const MAX_GROUPS: usize = 1_000;

/// What a round of a sync did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Synced {
    /// Topics that were made.
    pub topics_made: u64,
    /// Topics that got more partitions.
    pub topics_grown: u64,
    /// Topics whose settings were changed.
    pub topics_set: u64,
    /// Positions of groups (one for each partition) that were written.
    pub offsets_set: u64,
}

/// Both clusters of a sync.
struct Pair {
    source: Cluster,
    target: Cluster,
    names: KafkaSink,
}

impl Control {
    /// One round of every running sync. Housekeeping calls it every three minutes. Returns how many there are.
    ///
    /// # Errors
    /// `Internal`. What goes wrong with one sync is told by its pipeline, or logged.
    pub async fn reconcile_syncs(&self) -> Result<u64> {
        let mut all = self.0.store.pipelines(None).await?;
        all.retain(|p| {
            let at_work = matches!(
                p.status,
                PipelineStatus::Creating | PipelineStatus::Running | PipelineStatus::Resuming
            );
            SyncKind::of(p).is_some() && at_work
        });
        let n = all.len() as u64;
        futures_util::stream::iter(all)
            .for_each_concurrent(AT_ONCE, async |p| self.reconcile(&p.id).await)
            .await;
        Ok(n)
    }

    /// The rounds that are due.
    pub(crate) async fn reconcile_if_due(&self, now: Timestamp) -> Result<u64> {
        let due = {
            let Ok(mut last) = self.0.synced.lock() else { return Ok(0) };
            let due = now.0.saturating_sub(last.0) >= EVERY_US;
            if due {
                *last = now;
            }
            due
        };
        if due { self.reconcile_syncs().await } else { Ok(0) }
    }

    /// One round; what went wrong becomes the pipeline's error where no worker says others.
    pub(crate) async fn reconcile(&self, id: &PipelineId) {
        let result = match tokio::time::timeout(ROUND, self.reconcile_pipeline(id)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("a round of the sync took more than {} s", ROUND.as_secs());
                Err(Error::new(ErrorKind::Unreachable, message))
            }
        };
        match &result {
            Ok(done) if *done != Synced::default() => tracing::info!(pipeline = %id, ?done, "synced"),
            Ok(_) => {}
            Err(e) => tracing::warn!(pipeline = %id, error = %e, "a sync could not be done"),
        }
        let error = result.err().map(|e| e.message);
        if let Err(e) = self.0.store.note_pipeline(id, error.as_deref()).await {
            tracing::warn!(pipeline = %id, error = %e, "a sync's result could not be noted");
        }
    }

    /// One round of a sync, now.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `Unsupported` it is no sync, `Unreachable`, `BadCredentials`, `Invalid` its pattern is no regular
    /// expression.
    pub async fn reconcile_pipeline(&self, id: &PipelineId) -> Result<Synced> {
        let c = Caller::operator();
        let p = self.pipeline_terms(&c, id).await?;
        let (Some(kind), EndKind::Kafka) = (SyncKind::of(&p), p.sink.kind) else {
            return Err(Error::new(ErrorKind::Unsupported, format!("{id} is no sync")));
        };
        let pair = Pair {
            source: self.cluster_of(&c, &p.source).await?,
            target: self.cluster_of(&c, &p.sink).await?,
            names: KafkaSink::of(&p.sink.options),
        };
        let topics = self.chosen(&p, &pair.source).await?;
        let mut done = Synced::default();
        self.sync_topics(&pair, &topics, &mut done).await?;
        if kind == SyncKind::MetaDataAndOffset {
            self.sync_groups(&p, &pair, &topics, &mut done).await?;
        }
        Ok(done)
    }

    /// The source's topics that the sync is about.
    async fn chosen(&self, p: &Pipeline, source: &Cluster) -> Result<Vec<ClusterTopic>> {
        let wanted = KafkaSource::of(&p.source.options);
        let pattern = wanted.pattern.as_deref().map(Regex::new).transpose();
        let pattern = pattern.map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()).field("source"))?;
        let mut all = self.answered(self.0.streams.topics(source, None), Noun::Topic).await?;
        all.retain(|t| {
            !t.internal
                && match &pattern {
                    Some(pattern) => pattern.is_match(&t.name),
                    None => wanted.topics.is_empty() || wanted.topics.contains(&t.name),
                }
        });
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if all.len() > MAX_TOPICS {
            tracing::warn!(pipeline = %p.id, topics = all.len(), "a sync has too many topics: the first {MAX_TOPICS} are synced");
            all.truncate(MAX_TOPICS);
        }
        Ok(all)
    }

    async fn sync_topics(&self, pair: &Pair, topics: &[ClusterTopic], done: &mut Synced) -> Result<()> {
        let there = self.answered(self.0.streams.topics(&pair.target, None), Noun::Topic).await?;
        for topic in topics {
            let name = pair.names.target(&topic.name);
            match there.iter().find(|t| t.name == name) {
                None => self.make_like(pair, topic, &name, done).await?,
                Some(known) => self.adjust(pair, (topic, known), done).await?,
            }
        }
        Ok(())
    }

    async fn make_like(
        &self,
        pair: &Pair,
        topic: &ClusterTopic,
        name: &str,
        done: &mut Synced,
    ) -> Result<()> {
        let found =
            self.answered(self.0.streams.topic_configs(&pair.source, &topic.name), Noun::Topic).await?;
        let configs = settings(&found);
        let call = self.0.streams.create_topic(&pair.target, name, topic.partitions, &configs);
        match tokio::time::timeout(crate::connections::ANSWERS, call).await {
            // A worker, or another server, was quicker.
            Ok(Err(e)) if e.kind() == connector::ErrorKind::Exists => Ok(()),
            Ok(Err(e)) => Err(crate::error::from_connector(&e, Noun::Topic)),
            Ok(Ok(())) => {
                done.topics_made += 1;
                Ok(())
            }
            Err(_) => Err(Error::new(ErrorKind::Unreachable, "the target cluster did not answer")),
        }
    }

    /// Brings a topic that was there to what may be changed of it.
    async fn adjust(
        &self,
        pair: &Pair,
        (topic, known): (&ClusterTopic, &ClusterTopic),
        done: &mut Synced,
    ) -> Result<()> {
        let streams = &self.0.streams;
        if known.partitions < topic.partitions {
            let call = streams.grow_topic(&pair.target, &known.name, topic.partitions);
            self.answered(call, Noun::Topic).await?;
            done.topics_grown += 1;
        }
        let theirs = self.answered(streams.topic_configs(&pair.target, &known.name), Noun::Topic).await?;
        let open: Vec<&str> = ["retention.ms", "retention.bytes"]
            .into_iter()
            .filter(|name| value(&theirs, name).is_some_and(|v| v == "-1"))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let ours = self.answered(streams.topic_configs(&pair.source, &topic.name), Noun::Topic).await?;
        let configs: BTreeMap<String, String> = open
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), value(&ours, name)?.to_owned())))
            .filter(|(_, v)| v != "-1")
            .collect();
        if !configs.is_empty() {
            let call = streams.configure_topic(&pair.target, &known.name, &configs);
            self.answered(call, Noun::Topic).await?;
            done.topics_set += 1;
        }
        Ok(())
    }

    async fn sync_groups(
        &self,
        p: &Pipeline,
        pair: &Pair,
        topics: &[ClusterTopic],
        done: &mut Synced,
    ) -> Result<()> {
        let mut groups = self.answered(self.0.streams.groups(&pair.source), Noun::Topic).await?;
        // Our own positions are no business of the target's.
        let suffix = p.id.as_str().trim_start_matches("task-");
        groups.retain(|g| !g.ends_with(suffix));
        groups.sort();
        groups.truncate(MAX_GROUPS);
        for group in groups {
            for topic in topics {
                match self.sync_group(pair, &group, &topic.name).await {
                    Ok(n) => done.offsets_set += n,
                    Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::BadCredentials) => {
                        return Err(e);
                    }
                    // A group with members at the target, or one that has gone.
                    Err(e) => {
                        tracing::debug!(group, topic = topic.name, error = %e, "positions are left alone")
                    }
                }
            }
        }
        Ok(())
    }

    async fn sync_group(&self, pair: &Pair, group: &str, topic: &str) -> Result<u64> {
        let streams = &self.0.streams;
        let theirs = self.answered(streams.group_offsets(&pair.source, topic, group), Noun::Topic).await?;
        if theirs.iter().all(|o| o.offset.is_none()) {
            return Ok(0);
        }
        let target = pair.names.target(topic);
        let known = self.answered(streams.group_offsets(&pair.target, &target, group), Noun::Topic).await?;
        // Partitions whose next record at the source has a time, and those of which everything was read.
        let (mut times, mut read) = (Vec::new(), Vec::new());
        for o in &theirs {
            match (o.offset, self.time_of(pair, topic, o).await?) {
                (None, _) => {}
                (_, Some(time)) => times.push((o.partition, time)),
                (_, None) => read.push((o.partition, None)),
            }
        }
        let ours = match times.is_empty() {
            true => Vec::new(),
            false => self.answered(streams.offsets_at(&pair.target, &target, &times), Noun::Topic).await?,
        };
        let mut offsets = Vec::new();
        for (partition, found) in times.iter().map(|t| t.0).zip(ours).chain(read) {
            let Some(here) = known.iter().find(|k| k.partition == partition) else { continue };
            // No record here is that new: everything that is here was read there.
            let offset = found.unwrap_or(here.end);
            if here.offset.is_none_or(|o| o < offset) {
                offsets.push((partition, offset));
            }
        }
        if offsets.is_empty() {
            return Ok(0);
        }
        self.answered(streams.commit_offsets(&pair.target, &target, group, &offsets), Noun::Topic).await?;
        Ok(offsets.len() as u64)
    }

    /// The time of the record that a group reads next; `None` when it has read everything.
    async fn time_of(&self, pair: &Pair, topic: &str, o: &GroupOffset) -> Result<Option<i64>> {
        let Some(offset) = o.offset else { return Ok(None) };
        if offset >= o.end {
            return Ok(None);
        }
        let call = self.0.streams.fetch(&pair.source, topic, (o.partition, offset), 1);
        let next = self.answered(call, Noun::Topic).await?;
        Ok(next.first().map(|r| r.timestamp_ms))
    }
}

fn value<'a>(configs: &'a [TopicConfig], name: &str) -> Option<&'a str> {
    configs.iter().find(|c| c.name == name).map(|c| c.value.as_str())
}

/// What is written to a new topic. One copy in sync is enough there: how many the target has is not known here.
fn settings(found: &[TopicConfig]) -> BTreeMap<String, String> {
    let mut configs: BTreeMap<String, String> = SETTINGS
        .iter()
        .map(|(name, default)| ((*name).to_owned(), value(found, name).unwrap_or(default).to_owned()))
        .collect();
    configs.insert("min.insync.replicas".to_owned(), "1".to_owned());
    configs
}
