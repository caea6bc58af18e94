//! Fetch: a read that waits until there is enough, or time is up.
//!
//! A fetch that finds too little leaves a waiter at each of its partitions and sleeps; an append wakes it.
//! Sessions (KIP-227) are declined, as the protocol allows: the answer names session 0 and the client goes
//! on to name its partitions each time. On one machine that costs less than remembering them.

use crate::error::Result;
use crate::net::dispatch::Session;
use crate::partition::{Partition, Positions, Read};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use runtime::Lease;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Longest wait that is granted.
const MOST_WAIT: Duration = Duration::from_secs(120);

/// What is asked of one partition.
struct Ask {
    partition: Result<Arc<Partition>>,
    offset: i64,
    max_bytes: usize,
    known_epoch: i32,
}

/// Reads.
pub async fn fetch(session: &mut Session, q: FetchRequest) -> (FetchResponse, Option<Lease>) {
    if q.session_id != 0 && q.session_epoch != -1 {
        let error = ResponseError::FetchSessionIdNotFound.code();
        return (FetchResponse::default().with_error_code(error), None);
    }
    let committed = q.isolation_level == 1;
    let asks: Vec<Vec<Ask>> = q.topics.iter().map(|t| asks(session, t)).collect();
    let most = usize::try_from(q.max_bytes).unwrap_or(0).min(session.core.settings.limits.fetch_bytes);
    let least = u64::try_from(q.min_bytes).unwrap_or(0).min(most as u64);
    // A partition that has an error to tell doesn't wait; the others may have anything.
    let ready = wait(session, &asks, least, committed, q.max_wait_ms).await.unwrap_or(u64::MAX);
    let lease = if ready > 0 { Some(session.core.memory.lease(ready.min(most as u64)).await) } else { None };
    let mut room = most;
    let mut responses = Vec::with_capacity(asks.len());
    for (topic, asks) in q.topics.into_iter().zip(asks) {
        let mut partitions = Vec::with_capacity(asks.len());
        for (asked, ask) in topic.partitions.iter().zip(asks) {
            let outcome = read(&ask, room, committed);
            room = room.saturating_sub(outcome.as_ref().map_or(0, |r| r.piece.bytes.len()));
            partitions.push(answer(asked, outcome, committed));
        }
        responses.push(FetchableTopicResponse::default().with_topic(topic.topic).with_partitions(partitions));
    }
    (FetchResponse::default().with_responses(responses), lease)
}

fn asks(session: &Session, topic: &FetchTopic) -> Vec<Ask> {
    let ask = |p: &FetchPartition| Ask {
        partition: session.core.topics.partition(&topic.topic, p.partition),
        offset: p.fetch_offset,
        max_bytes: usize::try_from(p.partition_max_bytes).unwrap_or(0),
        known_epoch: p.current_leader_epoch,
    };
    topic.partitions.iter().map(ask).collect()
}

/// Waits until `least` bytes can be read, something is wrong with a partition (`None`), or time is up. Says
/// how many bytes there are.
async fn wait(
    session: &Session,
    asks: &[Vec<Ask>],
    least: u64,
    committed: bool,
    max_wait_ms: i32,
) -> Option<u64> {
    let patience = Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0)).min(MOST_WAIT);
    let end = Instant::now() + patience;
    let waiter = Arc::new(Notify::new());
    loop {
        // Registered before looking: an append in between leaves its mark on the waiter.
        for ask in asks.iter().flatten() {
            if let Ok(partition) = &ask.partition {
                partition.wait(&waiter);
            }
        }
        match available(asks, committed) {
            None => return None,
            Some(bytes) if bytes >= least => return Some(bytes),
            Some(bytes) => tokio::select! {
                () = tokio::time::sleep_until(end) => return Some(bytes),
                () = session.core.stop.stopped() => return Some(bytes),
                () = waiter.notified() => {}
            },
        }
    }
}

/// Bytes that could be read; `None` when a partition has something to say that should not wait.
fn available(asks: &[Vec<Ask>], committed: bool) -> Option<u64> {
    let mut sum = 0_u64;
    for ask in asks.iter().flatten() {
        let partition = ask.partition.as_ref().ok()?;
        if ask.known_epoch > 0 {
            return None;
        }
        let bytes = partition.available(ask.offset, committed).ok()?;
        sum = sum.saturating_add(bytes.min(ask.max_bytes as u64));
    }
    Some(sum)
}

fn read(ask: &Ask, room: usize, committed: bool) -> Result<Read> {
    let partition = ask.partition.clone()?;
    match ask.known_epoch {
        n if n > 0 => Err(ResponseError::UnknownLeaderEpoch.into()),
        _ => partition.read(ask.offset, room.min(ask.max_bytes), committed),
    }
}

fn answer(asked: &FetchPartition, outcome: Result<Read>, committed: bool) -> PartitionData {
    let data = PartitionData::default()
        .with_partition_index(asked.partition)
        .with_preferred_read_replica(BrokerId(-1));
    match outcome {
        Ok(read) => {
            let Positions { start, visible, stable, .. } = read.positions;
            let aborted = committed.then(|| aborted(&read));
            data.with_high_watermark(visible)
                .with_last_stable_offset(stable)
                .with_log_start_offset(start)
                .with_aborted_transactions(aborted)
                .with_records(Some(read.piece.bytes))
        }
        Err(e) => {
            if e.kind() == ResponseError::KafkaStorageError {
                tracing::error!(partition = asked.partition, "fetch: {e}");
            }
            data.with_error_code(e.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_current_leader(LeaderIdAndEpoch::default())
                .with_aborted_transactions(None)
                .with_records(Some(Bytes::new()))
        }
    }
}

/// Aborted transactions with records in what was read: the client leaves those out.
fn aborted(read: &Read) -> Vec<AbortedTransaction> {
    let one = |a: &crate::storage::producers::Aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(a.producer_id))
            .with_first_offset(a.first_offset)
    };
    read.aborted.iter().map(one).collect()
}
