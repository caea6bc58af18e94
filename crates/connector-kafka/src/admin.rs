//! Topics, groups and single records: what the products' API asks of a cluster.
//!
//! Every call blocks, for the time that it is given at most; call it where blocking is allowed. One producer for each cluster is made
//! when it is first needed and kept; readers live for one call.

mod groups;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connector::records::{Batch, BatchBuilder, Endpoint, Headers, RecordRef, Split};
use connector::{Error, ErrorKind, Result};

use crate::fault::during;
use crate::options::Connection;
use crate::raw::{Client, Code, Fault, Fetched, List, NewTopic, Outgoing, Place, Queue, Settings, Topic};

pub use groups::splits;

/// Records that one call gives or takes, at most.
const RECORDS: usize = 1000;
/// Bits of a record's tag that number it in its call.
const TAG_BITS: u32 = 10;
/// A call that has failed waits this long for what it takes back.
const GIVING_UP: Duration = Duration::from_secs(1);

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies of each.
    pub replicas: i32,
}

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Partitions; `None` = as the broker has it set.
    pub partitions: Option<i32>,
    /// Settings (`retention.ms`, …).
    pub settings: Vec<(String, String)>,
}

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// Partition.
    pub partition: i32,
    /// What the group committed, if anything.
    pub offset: Option<i64>,
    /// Its words with that.
    pub metadata: String,
    /// The first offset that is there.
    pub begin: i64,
    /// The end of the partition.
    pub end: i64,
    /// Records between.
    pub lag: i64,
}

/// Which offset of a partition is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetsFor {
    /// The first record that is there.
    Beginning,
    /// The end.
    End,
    /// The first record of this time (milliseconds) or later; the end where there is none.
    Time(i64),
}

/// Records that were looked up, in order of offset, in one batch of their split.
pub type Found = Batch;

/// A cluster, for administration.
pub struct KafkaAdmin {
    settings: Settings,
    describe: String,
    client: Arc<Client>,
    /// Topics that were produced to.
    topics: Mutex<BTreeMap<String, Arc<Topic>>>,
    /// One call produces at a time. Holds how many have.
    producing: Mutex<usize>,
}

impl KafkaAdmin {
    /// A handle to a cluster. It asks nobody yet. The endpoint's options are not looked at.
    ///
    /// # Errors
    /// `Unacceptable` for a connection that [`check_connection`](crate::check_connection) names problems of.
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        let connection = Connection::of(endpoint)?;
        let settings = connection.settings(endpoint.secret.as_ref());
        let mut producer = settings.clone();
        producer
            .set("enable.idempotence", true)
            .set("partitioner", "murmur2_random")
            // Each call flushes, which ends the wait; a call that fails has time to take back what it has not sent.
            .set("linger.ms", 100)
            .set("message.timeout.ms", 30_000)
            .set("message.max.bytes", 200_000_000);
        let client = Client::producer(&producer).map_err(during("the Kafka client can't be made"))?;
        let describe = format!("Kafka at {}", connection.bootstrap);
        Ok(Self { settings, describe, client, topics: Mutex::default(), producing: Mutex::default() })
    }

    fn fail(&self, fault: Fault) -> Error {
        Error::from(self.client.explain(fault)).context(&self.describe)
    }

    /// The cluster's id.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub fn cluster_id(&self, wait: Duration) -> Result<String> {
        let vague = || self.fail(Fault::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
        self.client.cluster_id(wait).ok_or_else(vague)
    }

    /// All topics but the cluster's own.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub fn topics(&self, wait: Duration) -> Result<Vec<TopicInfo>> {
        let found = self.client.metadata(None, wait).map_err(|e| self.fail(e))?;
        let own = |name: &str| name.starts_with("__");
        let named = found.into_iter().filter(|t| !own(&t.name));
        let mut topics: Vec<TopicInfo> = named
            .map(|t| TopicInfo { name: t.name, partitions: t.partitions, replicas: t.replicas })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic, if it is there.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub fn topic(&self, name: &str, wait: Duration) -> Result<Option<TopicInfo>> {
        let found = self.client.metadata(Some(name), wait).map_err(|e| self.fail(e))?;
        match found.into_iter().find(|t| t.name == name) {
            Some(t) if t.partitions > 0 => {
                Ok(Some(TopicInfo { name: t.name, partitions: t.partitions, replicas: t.replicas }))
            }
            Some(t) if t.code != Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                Err(self.fail(Fault::of(t.code)))
            }
            _ => Ok(None),
        }
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// `Exists`, `Unacceptable` (name, number, settings), `Denied`, `Unavailable`.
    pub fn create_topic(&self, topic: &TopicSpec, wait: Duration) -> Result<()> {
        let (name, settings) = (topic.name.clone(), topic.settings.clone());
        let wanted = NewTopic { name, partitions: topic.partitions, settings };
        self.client.create_topic(&wanted, wait).map_err(|e| self.fail(e))
    }

    /// Deletes a topic and everything in it.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub fn delete_topic(&self, name: &str, wait: Duration) -> Result<()> {
        self.lock_topics().remove(name);
        self.client.delete_topic(name, wait).map_err(|e| self.fail(e))
    }

    /// Gives a topic more partitions, `partitions` in all.
    ///
    /// # Errors
    /// `NotFound`, `Unacceptable` (fewer than it has), `Denied`, `Unavailable`.
    pub fn grow_topic(&self, name: &str, partitions: i32, wait: Duration) -> Result<()> {
        self.client.grow_topic(name, partitions, wait).map_err(|e| self.fail(e))
    }

    /// A topic's settings as they hold, defaults included.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub fn topic_settings(&self, name: &str, wait: Duration) -> Result<BTreeMap<String, String>> {
        self.client.topic_settings(name, wait).map_err(|e| self.fail(e))
    }

    /// Sets some of a topic's settings.
    ///
    /// # Errors
    /// `NotFound`, `Unacceptable`, `Denied`, `Unavailable`.
    pub fn set_topic(&self, name: &str, settings: &[(String, String)], wait: Duration) -> Result<()> {
        self.client.set_topic(name, settings, wait).map_err(|e| self.fail(e))
    }

    /// Offsets of all partitions of a topic, in order of partition.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub fn offsets(&self, topic: &str, at: OffsetsFor, wait: Duration) -> Result<Vec<(i32, i64)>> {
        let partitions = self.partitions(topic, wait)?;
        self.offsets_of(topic, partitions, at, wait)
    }

    fn offsets_of(
        &self,
        topic: &str,
        partitions: i32,
        at: OffsetsFor,
        wait: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        let spec = match at {
            OffsetsFor::Beginning => -2,
            OffsetsFor::End => -1,
            OffsetsFor::Time(ms) => ms.max(0),
        };
        let mut found = self.listed(topic, partitions, spec, wait)?;
        if found.iter().any(|(_, offset)| *offset < 0) {
            let ends: BTreeMap<i32, i64> = self.listed(topic, partitions, -1, wait)?.into_iter().collect();
            for (partition, offset) in found.iter_mut().filter(|(_, offset)| *offset < 0) {
                *offset = ends.get(partition).copied().unwrap_or(0);
            }
        }
        Ok(found)
    }

    fn listed(&self, topic: &str, partitions: i32, spec: i64, wait: Duration) -> Result<Vec<(i32, i64)>> {
        let list = self.list(topic, partitions, spec)?;
        let mut places = self.client.list_offsets(&list, true, wait).map_err(|e| self.fail(e))?;
        places.sort_by_key(|p| p.partition);
        places.into_iter().map(|p| self.good(p).map(|p| (p.partition, p.offset))).collect()
    }

    fn good(&self, place: Place) -> Result<Place> {
        match place.code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(place),
            code => Err(self.fail(Fault::of(code))),
        }
    }

    fn list(&self, topic: &str, partitions: i32, offset: i64) -> Result<List> {
        let mut list = List::new(usize::try_from(partitions).unwrap_or(1));
        for partition in 0..partitions {
            list.add(topic, partition, offset, None).map_err(|e| self.fail(e))?;
        }
        Ok(list)
    }

    fn partitions(&self, topic: &str, wait: Duration) -> Result<i32> {
        let none = || Error::new(ErrorKind::NotFound, format!("there is no topic {topic}"));
        self.topic(topic, wait)?.map(|t| t.partitions).ok_or_else(none)
    }

    /// Where a group stands in a topic, in order of partition.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub fn group_offsets(&self, group: &str, topic: &str, wait: Duration) -> Result<Vec<GroupOffset>> {
        let partitions = self.partitions(topic, wait)?;
        let begins: BTreeMap<i32, i64> =
            self.offsets_of(topic, partitions, OffsetsFor::Beginning, wait)?.into_iter().collect();
        let ends = self.offsets_of(topic, partitions, OffsetsFor::End, wait)?;
        let list = self.list(topic, partitions, -1001)?;
        let committed = self.client.group_offsets(group, &list, wait).map_err(|e| self.fail(e))?;
        let committed: BTreeMap<i32, Place> = committed.into_iter().map(|p| (p.partition, p)).collect();
        let row = |(partition, end): (i32, i64)| {
            let place = committed.get(&partition);
            let offset = place.map(|p| p.offset).filter(|o| *o >= 0);
            let begin = begins.get(&partition).copied().unwrap_or(0);
            let metadata = place.and_then(|p| p.metadata.clone()).unwrap_or_default();
            let lag = (end - offset.unwrap_or(begin).max(begin)).max(0);
            GroupOffset { partition, offset, metadata, begin, end, lag }
        };
        Ok(ends.into_iter().map(row).collect())
    }

    /// The record at an offset; where there is none (a control record, compaction) nothing.
    ///
    /// # Errors
    /// `NotFound` (no such topic or partition, or outside of what is there), `Denied`, `Unavailable`.
    pub fn record(&self, topic: &str, partition: i32, offset: i64, wait: Duration) -> Result<Option<Found>> {
        let (begin, end) = self.bounds(topic, partition, wait)?;
        if !(begin..end).contains(&offset) {
            let words = format!("{topic}-{partition} has the offsets {begin} to {end}, and not {offset}");
            return Err(Error::new(ErrorKind::NotFound, words));
        }
        let batch = self.read(topic, partition, (offset, offset + 1), 1, wait)?;
        Ok(batch.get(0).is_some_and(|r| r.offset == offset).then_some(batch))
    }

    /// Up to `most` records of a partition (1000 at most) from an offset on.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn records(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        most: usize,
        wait: Duration,
    ) -> Result<Found> {
        let (begin, end) = self.bounds(topic, partition, wait)?;
        self.read(topic, partition, (from.clamp(begin, end), end), most.min(RECORDS), wait)
    }

    /// The newest records of a partition, up to `most` (1000 at most).
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn latest(&self, topic: &str, partition: i32, most: usize, wait: Duration) -> Result<Found> {
        let (begin, end) = self.bounds(topic, partition, wait)?;
        let most = most.min(RECORDS);
        let mut piece = i64::try_from(most).unwrap_or(0);
        // Control records and gaps have offsets as well: look further back until there are enough.
        loop {
            let from = begin.max(end - piece);
            let batch = self.read(topic, partition, (from, end), RECORDS * 4, wait)?;
            if batch.len() >= most || from == begin || piece >= 4096 {
                return Ok(tail(&batch, most));
            }
            piece *= 4;
        }
    }

    fn bounds(&self, topic: &str, partition: i32, wait: Duration) -> Result<(i64, i64)> {
        let none = || Error::new(ErrorKind::NotFound, format!("there is no {topic}-{partition}"));
        if !(0..self.partitions(topic, wait)?).contains(&partition) {
            return Err(none());
        }
        let place = |spec| -> Result<i64> {
            let mut list = List::new(1);
            list.add(topic, partition, spec, None).map_err(|e| self.fail(e))?;
            let places = self.client.list_offsets(&list, true, wait).map_err(|e| self.fail(e))?;
            places.into_iter().next().ok_or_else(none).and_then(|p| self.good(p)).map(|p| p.offset)
        };
        Ok((place(-2)?, place(-1)?))
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        (from, end): (i64, i64),
        most: usize,
        wait: Duration,
    ) -> Result<Found> {
        let mut batch = BatchBuilder::new(Split::new(topic, partition), from);
        if from >= end || most == 0 {
            return Ok(batch.finish(from));
        }
        let until = Instant::now() + wait;
        let mut settings = self.settings.clone();
        // The group is never joined; the library wants a name.
        settings
            .set("group.id", "wharf-admin")
            .set("enable.auto.commit", false)
            .set("enable.partition.eof", true)
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", 4096)
            .set("fetch.max.bytes", 1 << 20)
            .set("fetch.message.max.bytes", 256 << 10);
        let reader = Client::consumer(&settings).map_err(|e| self.fail(e))?;
        let mut list = List::new(1);
        list.add(topic, partition, from, None).map_err(|e| self.fail(e))?;
        reader.assign(&list).map_err(|e| self.fail(e))?;
        let queue = Queue::consumer(&reader).map_err(|e| self.fail(e))?;
        let mut fetched = Fetched::new(&reader);
        loop {
            fetched.refill(&queue, Duration::from_millis(100), 500);
            while let Some(m) = fetched.peek(0) {
                let (code, offset) = (m.code(), m.offset());
                if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && offset < end {
                    let record = RecordRef {
                        offset,
                        sub: 0,
                        timestamp_ms: m.timestamp(),
                        key: m.key(),
                        value: m.value(),
                        headers: Headers::none(),
                    };
                    batch.push_with(&record, |_, put| m.headers(put));
                }
                let words =
                    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { String::new() } else { m.error_text() };
                fetched.skip(1);
                match code {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR if offset + 1 >= end || batch.len() >= most => {
                        return Ok(batch.finish(offset.min(end - 1) + 1));
                    }
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                    Code::RD_KAFKA_RESP_ERR__PARTITION_EOF if offset >= end => return Ok(batch.finish(end)),
                    Code::RD_KAFKA_RESP_ERR__PARTITION_EOF | Code::RD_KAFKA_RESP_ERR__TRANSPORT => {}
                    code => return Err(self.fail(Fault::new(code, words))),
                }
            }
            if Instant::now() >= until {
                return Err(self.fail(Fault::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)));
            }
        }
    }

    /// Writes records to a topic and says where each is: partition and offset, in the order of the records. All copies of the
    /// cluster have them then. At most 1000 records in one call.
    ///
    /// # Errors
    /// `NotFound`, `Unacceptable` (too large, too many), `Denied`, `Unavailable`: then some may be written and some not.
    pub fn produce(&self, topic: &str, records: &[RecordRef<'_>], wait: Duration) -> Result<Vec<(i32, i64)>> {
        self.produce_to(topic, None, records, wait)
    }

    /// The same, all into one partition.
    ///
    /// # Errors
    /// As [`produce`](Self::produce).
    pub fn produce_to(
        &self,
        topic: &str,
        partition: Option<i32>,
        records: &[RecordRef<'_>],
        wait: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        if records.len() > RECORDS {
            return Err(Error::new(ErrorKind::Unacceptable, format!("more than {RECORDS} records at once")));
        }
        self.partitions(topic, wait)?;
        let handle = self.handle(topic)?;
        let mut calls = self.producing.lock().unwrap_or_else(PoisonError::into_inner);
        *calls = calls.wrapping_add(1);
        let sent = self.send((&handle, partition), records, *calls << TAG_BITS, wait);
        if sent.is_err() {
            // Nothing of this call may be written after it has failed: the caller may try again.
            self.client.purge();
            if let Err(fault) = self.client.flush(GIVING_UP) {
                tracing::debug!("{}: records can't be taken back: {}", self.describe, fault.text);
            }
            self.client.take_delivered();
        }
        sent
    }

    fn send(
        &self,
        (handle, partition): (&Topic, Option<i32>),
        records: &[RecordRef<'_>],
        call: usize,
        wait: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        for (index, record) in records.iter().enumerate() {
            let outgoing = Outgoing {
                partition,
                key: record.key,
                value: record.value,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers,
                tag: call | index,
            };
            self.client.produce(handle, &outgoing).map_err(|e| self.fail(e))?;
        }
        self.client.flush(wait).map_err(|e| self.fail(e))?;
        let mut places = vec![None; records.len()];
        for delivered in self.client.take_delivered() {
            let index = delivered.tag ^ call;
            // Else it is of a call that has failed before.
            if let Some(slot) = places.get_mut(index) {
                *slot = Some(delivered.place.map_err(|code| self.fail(Fault::of(code)))?);
            }
        }
        let missing = || self.fail(Fault::of(Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT));
        places.into_iter().map(|p| p.ok_or_else(missing)).collect()
    }

    fn handle(&self, topic: &str) -> Result<Arc<Topic>> {
        let mut topics = self.lock_topics();
        if let Some(handle) = topics.get(topic) {
            return Ok(handle.clone());
        }
        let handle = Arc::new(Topic::new(&self.client, topic).map_err(|e| self.fail(e))?);
        topics.insert(topic.to_owned(), handle.clone());
        Ok(handle)
    }

    fn lock_topics(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tail(batch: &Batch, most: usize) -> Batch {
    let skip = batch.len().saturating_sub(most);
    let first = batch.get(skip).map_or(batch.first(), |r| r.offset);
    let mut end = BatchBuilder::new(batch.split().clone(), first);
    for record in batch.iter().skip(skip) {
        end.push(&record);
    }
    end.finish(batch.next())
}
