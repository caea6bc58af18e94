//! The log without a socket: what the other parts of the server use it by.
//!
//! The same partitions, the same locks and the same durability as for clients; only the protocol is left
//! out. Whole batches go through undecoded ([`Broker::read_batches`]), single records decoded
//! ([`Broker::read`]).

use crate::core::Broker;
use crate::error::{Error, Result};
use crate::groups::offsets::Committed;
use crate::partition::{Partition, Positions, Read};
use crate::storage::batch::{self, Header};
use crate::storage::records::{self, Record};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A topic as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// What was set for it.
    pub configs: BTreeMap<String, String>,
}

/// Bytes of one batch after decompression, for a reader within the process.
const MOST_OF_A_BATCH: usize = 64 << 20;
/// What a record counts beside its key and value.
const LEAST: usize = 16;

/// Records that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// Each with its offset, in order. Control records and those of aborted transactions are left out.
    pub records: Vec<(i64, Record)>,
    /// Where to read on.
    pub next_offset: i64,
    /// Where the partition stood.
    pub positions: Positions,
}

/// Batches that were read, as producers sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// One after the other, in Kafka's message format v2. May begin before the offset that was asked for.
    pub bytes: Bytes,
    /// Where to read on.
    pub next_offset: i64,
    /// Where the partition stood.
    pub positions: Positions,
}

impl Broker {
    /// Makes a topic. `partitions` of −1 is the default number.
    ///
    /// # Errors
    /// When the name is not allowed or taken, or a setting is wrong.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<TopicInfo> {
        let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let topic = self.0.topics.create(name, partitions, configs, false)?;
        Ok(info(&topic))
    }

    /// Deletes a topic and everything in it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        self.0.topics.delete(name)?;
        let core = self.0.clone();
        let swept = runtime::blocking(move || core.topics.sweep()).await;
        swept.map_err(|e| Error::new(ResponseError::KafkaStorageError, e))
    }

    /// A topic, if it is there.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.0.topics.get(name).map(|t| info(&t))
    }

    /// All topics, by name.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.0.topics.all().iter().map(|t| info(t)).collect()
    }

    /// Where a partition begins and ends.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn positions(&self, topic: &str, partition: i32) -> Result<Positions> {
        self.0.topics.partition(topic, partition)?.positions()
    }

    /// The first record at or after a time (milliseconds since the epoch): its offset and time.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn offset_at(&self, topic: &str, partition: i32, timestamp: i64) -> Result<Option<(i64, i64)>> {
        self.0.topics.partition(topic, partition)?.find_timestamp(timestamp)
    }

    /// Appends records as one batch, all or none, and gives the offset of the first. When this returns they
    /// are as durable as the broker's [`Fsync`](crate::Fsync) says. Dropping the future may or may not have
    /// appended them.
    ///
    /// # Errors
    /// When there are none, they are too large together, or the disk refuses.
    pub async fn append(&self, topic: &str, partition: i32, records: &[Record]) -> Result<i64> {
        if records.is_empty() {
            return Err(Error::new(ResponseError::InvalidRecord, "no records to append"));
        }
        self.append_batch(topic, partition, records::encode(records, None)).await
    }

    /// Appends one batch that is in Kafka's format already.
    ///
    /// # Errors
    /// When it is not a valid batch, is too large, or the disk refuses.
    pub async fn append_batch(&self, topic: &str, partition: i32, batch: Bytes) -> Result<i64> {
        let partition = self.0.topics.partition(topic, partition)?;
        let header = batch::check_incoming(&batch, partition.settings().max_message_bytes)?;
        if header.is_transactional() {
            let words = "transactions are for clients";
            return Err(Error::new(ResponseError::InvalidRecord, words));
        }
        Ok(partition.append(&header, &batch, self.0.now_ms()).await?.base_offset)
    }

    /// Reads committed batches from `offset` on, at most about `max_bytes` (but at least one batch). Waits for
    /// up to `wait` when there is nothing yet. Cancel-safe.
    ///
    /// # Errors
    /// When there is no such partition, or the offset is not in it.
    pub async fn read_batches(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Batches> {
        let partition = self.0.topics.partition(topic, partition)?;
        let read = self.read_from(&partition, offset, max_bytes, wait).await?;
        let next_offset = if read.piece.bytes.is_empty() { offset } else { read.piece.next_offset };
        Ok(Batches { bytes: read.piece.bytes, next_offset, positions: read.positions })
    }

    async fn read_from(
        &self,
        partition: &Arc<Partition>,
        offset: i64,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Read> {
        let end = Instant::now() + wait;
        let waiter = Arc::new(Notify::new());
        loop {
            partition.wait(&waiter);
            let read = partition.read(offset, max_bytes, true)?;
            if !read.piece.bytes.is_empty() || Instant::now() >= end {
                return Ok(read);
            }
            tokio::select! {
                () = waiter.notified() => {}
                () = tokio::time::sleep_until(end) => {}
                () = self.0.stop.stopped() => return Ok(read),
            }
        }
    }

    /// Reads committed records from `offset` on, and none after `max_bytes` of keys and values; see
    /// [`read_batches`](Self::read_batches).
    ///
    /// # Errors
    /// As there, and when a batch can't be decompressed.
    pub async fn read(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Records> {
        let partition = self.0.topics.partition(topic, partition)?;
        let read = self.read_from(&partition, offset, max_bytes, wait).await?;
        if read.piece.bytes.is_empty() {
            return Ok(Records { records: Vec::new(), next_offset: offset, positions: read.positions });
        }
        let (mut next_offset, aborted) = (read.piece.next_offset, read.aborted);
        let (mut records, mut size) = (Vec::new(), 0);
        let mut rest = read.piece.bytes;
        while let Some(header) = Header::parse(&rest) {
            if header.length > rest.len() {
                break;
            }
            let batch = rest.split_to(header.length);
            let is_void = aborted.iter().any(|a| {
                header.is_transactional()
                    && a.producer_id == header.producer_id
                    && (a.first_offset..=a.last_offset).contains(&header.base_offset)
            });
            if header.is_control() || is_void {
                continue;
            }
            // A megabyte in the log may be many in memory.
            let mut left_at = None;
            records::decode_while(&batch, MOST_OF_A_BATCH, |at, record| {
                if at < offset {
                    return true;
                }
                if size >= max_bytes && !records.is_empty() {
                    left_at = Some(at);
                    return false;
                }
                size +=
                    LEAST + [&record.key, &record.value].into_iter().flatten().map(Bytes::len).sum::<usize>();
                records.push((at, record));
                true
            })?;
            if let Some(at) = left_at {
                next_offset = at;
                break;
            }
        }
        Ok(Records { records, next_offset, positions: read.positions })
    }

    /// Removes the records before an offset.
    ///
    /// # Errors
    /// When there is no such partition, or the offset is after its end.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) -> Result<i64> {
        self.0.topics.partition(topic, partition)?.with(|log| log.delete_before(offset))
    }

    /// One round of upkeep now instead of in its time: compaction, retention, what has expired. Blocks.
    pub fn keep_up(&self) {
        self.0.keep_up_once();
    }

    /// What a group has committed for a partition: the next offset to read.
    #[must_use]
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.0.groups.offsets.get(group, &(topic.to_owned(), partition)).map(|c| c.offset)
    }

    /// Commits an offset for a group, without being a member of it.
    ///
    /// # Errors
    /// When there is no such partition, or it can't be written.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) -> Result<()> {
        self.0.topics.partition(topic, partition)?;
        let at_ms = self.0.now_ms();
        let committed = Committed { offset, leader_epoch: -1, metadata: String::new(), at_ms };
        self.0.groups.offsets.commit(group, vec![((topic.to_owned(), partition), committed)])
    }
}

fn info(topic: &crate::topics::Topic) -> TopicInfo {
    TopicInfo {
        name: topic.name.clone(),
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        configs: topic.overrides.clone(),
    }
}
