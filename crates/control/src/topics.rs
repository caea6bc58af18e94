//! Topics: those of the products' API, and what lies on a Kafka cluster.

use std::collections::BTreeMap;

use connector::ErrorKind as C;
use model::{DipTopic, EndKind, PipelineStatus, Sealed};
use store::Purpose;

use crate::ends::{KafkaSink, KafkaSource, check_words, copy_of, page_of, taken};
use crate::flows::check_attributes;
use crate::{
    Caller, Cluster, ClusterRef, ClusterTopic, Control, Error, ErrorKind, FetchedRecord, GroupOffset,
    NewTopic, Noun, Result, TopicChange, TopicFilter,
};

/// Partitions of a topic, as the product has it.
const PARTITIONS: std::ops::RangeInclusive<u32> = 1..=500;
/// Shortest time that records are kept, in milliseconds.
const MIN_RETENTION_MS: u64 = 60_000;
/// Records that are fetched at once.
const MAX_FETCHED: u32 = 100;
/// Topics of a cluster that are told.
const MAX_TOLD: usize = 10_000;

impl Control {
    /// Makes a topic on the server's own cluster, with a user of its own.
    ///
    /// # Errors
    /// `Exists(Topic)`, `Invalid` (`name`, `partitions`, `retention_ms`, `note`), `LimitExceeded`, `Unreachable`.
    pub async fn create_topic(&self, c: &Caller, new: NewTopic) -> Result<DipTopic> {
        let random = &self.0.random;
        let topic = DipTopic {
            id: format!("topic-{}", random.base36(8)),
            account: c.account.clone(),
            name: new.name,
            note: new.note,
            partitions: new.partitions,
            retention_ms: new.retention_ms,
            user: format!("dip-{}", random.base36(8)),
            password: self.seal(&random.alphanumeric(24)),
            tags: new.tags,
            created: self.now(),
        };
        check_topic(&topic)?;
        if topic.name.starts_with(crate::whose::STREAMS) {
            let words = "topics whose names begin with `dis.` are streams";
            return Err(Error::new(ErrorKind::Invalid, words).field("name"));
        }
        // What lies there under this name is not ours. Asked before there is an entry, for one that stays must not take it over.
        let (names, own) = ([topic.name.clone()], Cluster::default());
        let found = self.0.streams.topics(&own, Some(&names));
        if !self.answered(found, Noun::Topic).await?.is_empty() {
            return Err(exists(&topic.name));
        }
        let (topic, is_new) = self.insert_topic(c, topic).await?;
        if let Err(e) = self.make_on_cluster(&topic).await {
            // Without a topic there is nothing to keep. One that may yet be made stays ours.
            if is_new && proves_nothing_made(&e) {
                self.0.store.remove_topic(&topic.name).await?;
            }
            return Err(match e.kind() {
                C::Exists => exists(&topic.name),
                C::Unacceptable => Error::new(ErrorKind::Invalid, e.to_string()).field("name"),
                _ => crate::error::from_connector(&e, Noun::Topic),
            });
        }
        self.let_in(&topic).await;
        Ok(topic)
    }

    /// Stores a new topic: from here on the name is its own. One of the caller's that a crash, or a cluster that did not answer, left
    /// without its topic is taken up again; then it is not new.
    async fn insert_topic(&self, c: &Caller, topic: DipTopic) -> Result<(DipTopic, bool)> {
        let limit = self.0.limits.topics_per_account;
        match self.0.store.insert_topic(&topic, limit).await {
            Ok(()) => Ok((topic, true)),
            Err(e) if e.kind() == store::ErrorKind::Exists => {
                let left = self.0.store.topic(&topic.name).await?;
                match left.filter(|t| t.account == c.account && t.name == topic.name) {
                    Some(left) => Ok((left, false)),
                    None => Err(taken(e, Noun::Topic, &topic.name)),
                }
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn make_on_cluster(&self, t: &DipTopic) -> connector::Result<()> {
        let configs = retention(t.retention_ms);
        let cluster = Cluster::default();
        let call = self.0.streams.create_topic(&cluster, &t.name, t.partitions, &configs);
        match tokio::time::timeout(crate::connections::ANSWERS, call).await {
            Ok(answer) => answer,
            Err(_) => Err(connector::Error::new(C::Unavailable, "the cluster did not answer")),
        }
    }

    async fn let_in(&self, t: &DipTopic) {
        if let Err(e) = self.0.streams.put_user(&t.user, &t.password).await {
            tracing::warn!(topic = %t.name, error = %e, "a topic's user could not be let in");
        }
    }

    /// Tells the server's own cluster the users of all topics. To be called once at start.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn let_topic_users_in(&self) -> Result<()> {
        for t in self.0.store.topics().await? {
            self.let_in(&t).await;
        }
        Ok(())
    }

    /// A page of the caller's topics, newest first, and how many there are.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn topics(&self, c: &Caller, filter: &TopicFilter) -> Result<(Vec<DipTopic>, u64)> {
        let mut all = self.0.store.topics().await?;
        all.retain(|t| {
            c.may_see(&t.account) && filter.search.as_ref().is_none_or(|s| t.name.contains(s.as_str()))
        });
        Ok(page_of(&all, filter.page))
    }

    /// One topic of the caller's, by name or `topic-…`.
    ///
    /// # Errors
    /// `NotFound(Topic)`.
    pub async fn topic(&self, c: &Caller, name: &str) -> Result<DipTopic> {
        let found = self.0.store.topic(name).await?.filter(|t| c.may_see(&t.account));
        found.ok_or_else(|| Error::not_found(Noun::Topic, name))
    }

    /// The password of a topic's user. The product shows it; nothing else ever does.
    ///
    /// # Errors
    /// `Internal`.
    pub fn topic_password(&self, topic: &DipTopic) -> Result<String> {
        Ok(self.0.seal.open(Purpose::Credentials, &topic.password)?)
    }

    /// The address at which clients find the topics.
    #[must_use]
    pub fn topic_address(&self) -> String {
        self.0.streams.own_address()
    }

    /// Changes a topic, also on the cluster.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `Invalid`, `Unreachable`.
    pub async fn change_topic(&self, c: &Caller, name: &str, change: TopicChange) -> Result<DipTopic> {
        let before = self.topic(c, name).await?;
        let mut after = before.clone();
        apply(&mut after, change.clone());
        check_topic(&after)?;
        if after.partitions < before.partitions {
            let message = "a topic's partitions only grow";
            return Err(Error::new(ErrorKind::Invalid, message).field("partitions"));
        }
        // The cluster first: what it refuses is not stored.
        let (cluster, streams) = (Cluster::default(), &self.0.streams);
        if after.retention_ms != before.retention_ms {
            let configs = retention(after.retention_ms);
            self.answered(streams.configure_topic(&cluster, &before.name, &configs), Noun::Topic).await?;
        }
        if after.partitions != before.partitions {
            self.answered(streams.grow_topic(&cluster, &before.name, after.partitions), Noun::Topic).await?;
        }
        let changed = self.0.store.change_topic(&before.name, |t| {
            apply(t, change);
            Ok::<_, Error>(())
        });
        changed.await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Topic, name),
            _ => e.into(),
        })?
    }

    /// Removes a topic with its records and its user.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `InUse` a pipeline reads or writes it, `Unreachable`.
    pub async fn delete_topic(&self, c: &Caller, name: &str) -> Result<()> {
        let topic = self.topic(c, name).await?;
        match self.0.store.remove_topic(&topic.name).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::not_found(Noun::Topic, name)),
            Err(e) if e.kind() == store::ErrorKind::Conflict => {
                return Err(Error::new(ErrorKind::InUse, e.message()));
            }
            Err(e) => return Err(e.into()),
        }
        let cluster = Cluster::default();
        match self.answered(self.0.streams.delete_topic(&cluster, &topic.name), Noun::Topic).await {
            Ok(()) | Err(Error { kind: ErrorKind::NotFound(_), .. }) => {}
            Err(e) => {
                // It is still there: so is its entry.
                self.0.store.insert_topic(&topic, 0).await?;
                return Err(e);
            }
        }
        if let Err(e) = self.0.streams.drop_user(&topic.user).await {
            tracing::warn!(topic = %topic.name, error = %e, "a topic's user could not be removed");
        }
        Ok(())
    }

    /// The topics of a cluster that are not the cluster's own, by name. On the server's own cluster, by whatever connection, those
    /// that belong to other accounts are left out.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Unreachable`, `BadCredentials`.
    pub async fn kafka_topics(&self, c: &Caller, on: &ClusterRef) -> Result<Vec<ClusterTopic>> {
        let cluster = self.cluster(c, on).await?;
        let mut found = self.answered(self.0.streams.topics(&cluster, None), Noun::Topic).await?;
        found.retain(|t| !t.internal);
        if self.is_own(&cluster) {
            self.hide_foreign(c, &mut found).await?;
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.truncate(MAX_TOLD);
        Ok(found)
    }

    /// Where a topic that the caller may look into lies: one of their own, or one that a pipeline of theirs names.
    async fn lies(&self, c: &Caller, name: &str) -> Result<(Cluster, String)> {
        if let Some(t) = self.0.store.topic(name).await?.filter(|t| c.may_see(&t.account)) {
            return Ok((Cluster::default(), t.name));
        }
        for p in self.0.store.pipelines((!c.operator).then_some(&c.account)).await? {
            if p.status == PipelineStatus::Deleting {
                continue;
            }
            let reads = (p.source.kind == EndKind::Kafka)
                .then(|| (&p.source, KafkaSource::of(&p.source.options).topics));
            let writes = [Some(&p.sink), copy_of(&p.on_failure), copy_of(&p.on_refusal)];
            let writes = writes.into_iter().flatten().filter(|e| e.kind == EndKind::Kafka);
            let writes = writes.map(|e| (e, KafkaSink::of(&e.options).topics()));
            for (end, topics) in reads.into_iter().chain(writes) {
                if topics.iter().any(|t| t == name) {
                    let cluster = self.cluster_of(c, end).await?;
                    if self.is_own(&cluster) {
                        self.usable(c, name).await?;
                    }
                    return Ok((cluster, name.to_owned()));
                }
            }
        }
        match c.operator {
            true => Ok((Cluster::default(), name.to_owned())),
            false => Err(Error::not_found(Noun::Topic, name)),
        }
    }

    /// Where a consumer group stands in one of the caller's topics, or in one that a pipeline of the caller's uses.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `Unreachable`.
    pub async fn group_offsets(&self, c: &Caller, topic: &str, group: &str) -> Result<Vec<GroupOffset>> {
        if group.is_empty() || group.len() > 255 {
            return Err(Error::new(ErrorKind::Invalid, "a group has 1 to 255 bytes").field("group"));
        }
        let (cluster, topic) = self.lies(c, topic).await?;
        let mut found =
            self.answered(self.0.streams.group_offsets(&cluster, &topic, group), Noun::Topic).await?;
        found.sort_by_key(|o| o.partition);
        Ok(found)
    }

    /// The record at a position.
    ///
    /// # Errors
    /// `NotFound(Topic)`; `NotFound(Record)` nothing is at this position, or no such partition; `Unreachable`.
    pub async fn fetch_record(
        &self,
        c: &Caller,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<FetchedRecord> {
        let (cluster, topic) = self.lies(c, topic).await?;
        let nothing = || {
            let message = format!("nothing is at position {offset} of partition {partition} of {topic}");
            Error::new(ErrorKind::NotFound(Noun::Record), message)
        };
        if partition < 0 || offset < 0 {
            return Err(nothing());
        }
        let call = self.0.streams.fetch(&cluster, &topic, (partition, offset), 1);
        let found = self.answered(call, Noun::Record).await?;
        found.into_iter().find(|r| r.offset == offset).ok_or_else(nothing)
    }

    /// The latest `count` records of a partition, or so many from a position on; in order of position.
    ///
    /// # Errors
    /// As [`Control::fetch_record`], but that an empty partition is no error.
    pub async fn fetch_latest(
        &self,
        c: &Caller,
        topic: &str,
        partition: i32,
        offset: Option<i64>,
        count: u32,
    ) -> Result<Vec<FetchedRecord>> {
        let (cluster, topic) = self.lies(c, topic).await?;
        let count = count.clamp(1, MAX_FETCHED);
        let ends = self.answered(self.0.streams.ends(&cluster, &topic), Noun::Topic).await?;
        let Some(ends) = ends.iter().find(|e| e.partition == partition) else {
            let message = format!("topic {topic} has no partition {partition}");
            return Err(Error::new(ErrorKind::NotFound(Noun::Record), message));
        };
        let from = offset.unwrap_or(ends.next.saturating_sub(i64::from(count))).max(ends.first);
        if from >= ends.next {
            return Ok(Vec::new());
        }
        let call = self.0.streams.fetch(&cluster, &topic, (partition, from), count);
        let mut found = self.answered(call, Noun::Record).await?;
        found.truncate(count as usize);
        Ok(found)
    }

    /// The users of all topics with their sealed passwords, for a cluster that keeps them itself.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn topic_users(&self) -> Result<Vec<(String, Sealed)>> {
        Ok(self.0.store.topics().await?.into_iter().map(|t| (t.user, t.password)).collect())
    }
}

fn exists(name: &str) -> Error {
    let message = format!("a topic with the name {name} exists already");
    Error::new(ErrorKind::Exists(Noun::Topic), message).field("name")
}

/// Refused by the cluster. After any other error (no answer, one that can't be understood) the topic may be there a moment later.
fn proves_nothing_made(e: &connector::Error) -> bool {
    matches!(
        e.kind(),
        C::Exists | C::Unacceptable | C::Denied | C::Unsupported | C::NotFound | C::Throttled | C::Full
    )
}

fn retention(ms: u64) -> BTreeMap<String, String> {
    BTreeMap::from([("retention.ms".to_owned(), ms.to_string())])
}

fn apply(t: &mut DipTopic, change: TopicChange) {
    if let Some(note) = change.note {
        t.note = note;
    }
    if let Some(ms) = change.retention_ms {
        t.retention_ms = ms;
    }
    if let Some(n) = change.partitions {
        t.partitions = n;
    }
    if let Some(tags) = change.tags {
        t.tags = tags;
    }
}

fn check_topic(t: &DipTopic) -> Result<()> {
    let refuse = |message: &str, field| Err(Error::new(ErrorKind::Invalid, message).field(field));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let dots = t.name == "." || t.name == "..";
    if !(1..=249).contains(&t.name.len()) || dots || !t.name.bytes().all(plain) || t.name.starts_with("__") {
        return refuse("a topic's name has 1 to 249 letters, digits, `-`, `_` or `.`", "name");
    }
    if !PARTITIONS.contains(&t.partitions) {
        return refuse("a topic has 1 to 500 partitions", "partitions");
    }
    if t.retention_ms < MIN_RETENTION_MS || i64::try_from(t.retention_ms).is_err() {
        return refuse("records are kept for 60000 ms at least", "retention_ms");
    }
    check_words(&t.note, "note")?;
    check_attributes(&t.tags)
}
