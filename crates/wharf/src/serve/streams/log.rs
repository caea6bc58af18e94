//! The log of the DIS door: the embedded broker in this process, or a Kafka cluster's topic.
//!
//! The embedded one is used by its handle: no socket, one batch for each partition of a request. A cluster is written by the
//! same client that answers questions about it.

use std::time::Duration;

use broker::{Broker, Record};
use bytes::Bytes;
use connector::records::{BatchBuilder, Headers, RecordRef, Split};
use connector::{Error, ErrorKind, Result};
use connector_kafka::{KafkaAdmin, OffsetsFor};
use control::{LogPiece, LogRecord, PartitionEnds};

use super::WAIT;

/// Records of one call to a cluster.
const AT_ONCE: usize = 1000;

/// What the broker says, in the connectors' words.
fn fail(topic: &str, e: &broker::Error) -> Error {
    // Kafka's numbers: an offset that is not there, a batch that can't be taken.
    let kind = match e.code() {
        1 | 10 | 87 => ErrorKind::Unacceptable,
        _ if e.is_not_found() => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{topic}: {e}"))
}

/// Appends to the embedded broker.
pub async fn append(
    broker: &Broker,
    topic: &str,
    parts: Vec<(i32, Vec<LogRecord>)>,
) -> Vec<Result<Vec<i64>>> {
    // Together: where each append waits for the disk, they share the wait.
    let one = async |(partition, records): (i32, Vec<LogRecord>)| {
        let records: Vec<Record> = records.into_iter().map(into_record).collect();
        let appended = broker.append(topic, partition, &records).await;
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        appended.map(|base| (base..base + count).collect()).map_err(|e| fail(topic, &e))
    };
    futures_util::future::join_all(parts.into_iter().map(one)).await
}

fn into_record(r: LogRecord) -> Record {
    Record { timestamp: r.timestamp_ms, key: r.key, value: r.value, headers: r.headers }
}

/// Reads from the embedded broker.
pub async fn read(
    broker: &Broker,
    topic: &str,
    (partition, from): (i32, i64),
    max_bytes: usize,
) -> Result<LogPiece> {
    let read = broker.read(topic, partition, from, max_bytes, Duration::ZERO).await;
    let read = read.map_err(|e| fail(topic, &e))?;
    let one = |(offset, r): (i64, Record)| {
        let record = LogRecord { timestamp_ms: r.timestamp, key: r.key, value: r.value, headers: r.headers };
        (offset, record)
    };
    Ok(LogPiece { records: read.records.into_iter().map(one).collect(), next: read.next_offset })
}

/// First and next positions of the embedded broker's partitions.
pub fn ends(broker: &Broker, topic: &str) -> Result<Vec<PartitionEnds>> {
    let none = || Error::new(ErrorKind::NotFound, format!("there is no topic {topic}"));
    let partitions = broker.topic(topic).ok_or_else(none)?.partitions;
    (0..partitions)
        .map(|partition| {
            let at = broker.positions(topic, partition).map_err(|e| fail(topic, &e))?;
            Ok(PartitionEnds { partition, first: at.start, next: at.visible })
        })
        .collect()
}

/// Positions of times in the embedded broker's partitions.
pub fn at_times(broker: &Broker, topic: &str, times: &[(i32, i64)]) -> Result<Vec<Option<i64>>> {
    times
        .iter()
        .map(|(partition, time)| {
            let found = broker.offset_at(topic, *partition, *time).map_err(|e| fail(topic, &e))?;
            Ok(found.map(|(offset, _)| offset))
        })
        .collect()
}

/// Appends to a cluster. Blocks.
pub fn append_to_cluster(
    admin: &KafkaAdmin,
    topic: &str,
    parts: &[(i32, Vec<LogRecord>)],
) -> Vec<Result<Vec<i64>>> {
    let mut down: Option<String> = None;
    let one = |(partition, records): &(i32, Vec<LogRecord>)| {
        // One wait for a cluster that does not answer is enough.
        if let Some(words) = &down {
            return Err(Error::new(ErrorKind::Unavailable, words.clone()));
        }
        let appended = append_part(admin, topic, *partition, records);
        if let Err(e) = &appended
            && e.kind() == ErrorKind::Unavailable
        {
            down = Some(e.to_string());
        }
        appended
    };
    parts.iter().map(one).collect()
}

fn append_part(admin: &KafkaAdmin, topic: &str, partition: i32, records: &[LogRecord]) -> Result<Vec<i64>> {
    let mut offsets = Vec::with_capacity(records.len());
    for records in records.chunks(AT_ONCE) {
        let mut batch = BatchBuilder::new(Split::new(topic, partition), 0);
        for (offset, r) in (0..).zip(records) {
            let (key, value) = (r.key.as_deref(), r.value.as_deref());
            let record = RecordRef {
                offset,
                sub: 0,
                timestamp_ms: r.timestamp_ms,
                key,
                value,
                headers: Headers::none(),
            };
            batch.push_with(&record, |_, put| {
                for (name, value) in &r.headers {
                    put(name, value.as_deref());
                }
            });
        }
        let batch = batch.finish(0);
        let list: Vec<_> = batch.iter().collect();
        let placed = admin.produce_to(topic, Some(partition), &list, WAIT)?;
        offsets.extend(placed.into_iter().map(|(_, offset)| offset));
    }
    Ok(offsets)
}

/// Reads from a cluster. Blocks.
pub fn read_from_cluster(
    admin: &KafkaAdmin,
    topic: &str,
    (partition, from): (i32, i64),
    max_bytes: usize,
) -> Result<LogPiece> {
    // Each record has some bytes of its own.
    let most = (max_bytes / 16).clamp(1, AT_ONCE);
    let batch = admin.records(topic, partition, from, most, WAIT)?;
    let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let one = |r: RecordRef<'_>| {
        let record = LogRecord {
            timestamp_ms: r.timestamp_ms,
            key: r.key.map(copy),
            value: r.value.map(copy),
            headers: r.headers.map(|(k, v)| (copy(k), v.map(copy))).collect(),
        };
        (r.offset, record)
    };
    // What is gone by age must not be passed over silently.
    if batch.iter().next().is_none_or(|r| r.offset != from) {
        let first = admin.offsets(topic, OffsetsFor::Beginning, WAIT)?;
        if first.iter().any(|(p, first)| *p == partition && from < *first) {
            return Err(Error::new(ErrorKind::Unacceptable, format!("{topic}: offset {from} is gone")));
        }
    }
    let next = if batch.is_empty() { from } else { batch.next() };
    Ok(LogPiece { records: batch.iter().map(one).collect(), next })
}
