//! Records: into the partitions that their hashes say, and out again.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use model::{DisCounts, DisKind, DisStream, DisStreamId, MAX_HASH, hash_of};
use runtime::Micros;

use super::{Desk, DisPlace, DisRecord, DisRefusal, pace};
use crate::{Cluster, Control, Error, ErrorKind, LogPiece, LogRecord, Noun, PartitionEnds, Result};

/// Partitions whose rates are remembered; beyond, all are forgotten.
const MOST_BUCKETS: usize = 100_000;

/// What partitions may still carry: a second's worth at most.
pub(super) type Buckets = HashMap<(DisStreamId, u32), Bucket>;

#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    at: Micros,
    bytes_in: f64,
    records_in: f64,
    bytes_out: f64,
}

#[allow(clippy::cast_precision_loss, reason = "rates")]
impl Bucket {
    fn new(kind: DisKind, at: Micros) -> Self {
        let p = pace(kind);
        Self {
            at,
            bytes_in: p.bytes_in as f64,
            records_in: p.records_in as f64,
            bytes_out: p.bytes_out as f64,
        }
    }

    fn fill(&mut self, kind: DisKind, now: Micros) {
        let full = Self::new(kind, now);
        let passed = now.0.saturating_sub(self.at.0).max(0) as f64 / 1e6;
        let more = |have: f64, full: f64| (have + passed * full).min(full);
        *self = Self {
            at: now,
            bytes_in: more(self.bytes_in, full.bytes_in),
            records_in: more(self.records_in, full.records_in),
            bytes_out: more(self.bytes_out, full.bytes_out),
        };
    }

    /// One record in, if there is room for it.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.bytes_in >= bytes as f64 && self.records_in >= 1.0;
        if fits {
            self.bytes_in -= bytes as f64;
            self.records_in -= 1.0;
        }
        fits
    }
}

/// Records of one partition on their way, with their places in the request.
type Part = (u32, Vec<usize>, Vec<LogRecord>);

impl Control {
    /// Puts records, each partition's in one go. One answer for each record, in order; those of one partition keep their order.
    ///
    /// # Errors
    /// None for the request: a record that is not taken says so.
    pub async fn dis_put(&self, s: &DisStream, records: Vec<DisRecord>) -> Vec<Result<DisPlace, DisRefusal>> {
        let began = self.0.clock.now();
        let mut out = vec![Err(DisRefusal::NoPartition); records.len()];
        let parts = self.by_partition(s, records, &mut out);
        let sums: Vec<(u32, u64)> = parts.iter().map(|(p, _, records)| (*p, bytes_of(records))).collect();
        let mut places = Vec::with_capacity(parts.len());
        let mut work = Vec::with_capacity(parts.len());
        for (partition, at, records) in parts {
            places.push((partition, at));
            work.push((i32::try_from(partition).unwrap_or(i32::MAX), records));
        }
        let appended = match work.is_empty() {
            true => Vec::new(),
            false => self.0.streams.append(&Cluster::default(), &s.topic, work).await,
        };
        let mut counts = Vec::with_capacity(places.len());
        for (((partition, at), sum), placed) in places.into_iter().zip(sums).zip(appended) {
            match placed {
                Ok(offsets) if offsets.len() == at.len() => {
                    let put =
                        DisCounts { put_bytes: sum.1, put_records: at.len() as u64, ..DisCounts::default() };
                    counts.push((i64::from(partition), put));
                    at.into_iter().zip(offsets).for_each(|(i, offset)| out[i] = Ok((partition, offset)));
                }
                other => {
                    let why = other.err().map_or_else(|| "it lost count".to_owned(), |e| e.to_string());
                    tracing::warn!(topic = %s.topic, partition, error = %why, "records were not taken");
                    at.into_iter().for_each(|i| out[i] = Err(DisRefusal::Failed));
                }
            }
        }
        let refused = out.iter().filter(|o| matches!(o, Err(DisRefusal::Throttled))).count() as u64;
        let took = self.0.clock.now().0.saturating_sub(began.0);
        let whole = DisCounts {
            puts: 1,
            put_us: u64::try_from(took).unwrap_or(0),
            put_refused: refused,
            ..DisCounts::default()
        };
        self.0.dis.count(&s.id, began, whole, &counts);
        out
    }

    /// Finds each record's partition. What has none, or is too much, is answered here.
    fn by_partition(
        &self,
        s: &DisStream,
        records: Vec<DisRecord>,
        out: &mut [Result<DisPlace, DisRefusal>],
    ) -> Vec<Part> {
        let now = self.0.clock.now();
        let open: Vec<(u32, u64)> = s.open().map(|p| (p.index, p.last_hash)).collect();
        let mut pacer = self.0.limits.dis.product.then(|| self.0.dis.buckets.lock().ok()).flatten();
        let mut parts: Vec<Part> = Vec::with_capacity(open.len());
        // Where each partition's records are in `parts`, by its place in `open`.
        let mut slots: Vec<Option<usize>> = vec![None; open.len()];
        for (i, r) in records.into_iter().enumerate() {
            let Some(at) = self.place(&open, &r) else { continue };
            let Some((partition, _)) = open.get(at).copied() else { continue };
            if let Some(buckets) = &mut pacer
                && !pass(
                    buckets,
                    s,
                    partition,
                    now,
                    r.data.len() + r.key.as_ref().map_or(0, bytes::Bytes::len),
                )
            {
                out[i] = Err(DisRefusal::Throttled);
                continue;
            }
            let slot = *slots[at].get_or_insert_with(|| {
                parts.push((partition, Vec::new(), Vec::new()));
                parts.len() - 1
            });
            let record = LogRecord {
                timestamp_ms: r.timestamp_ms.unwrap_or_else(|| now.millis()),
                key: r.key,
                value: Some(r.data),
                headers: r.headers,
            };
            let part = &mut parts[slot];
            part.1.push(i);
            part.2.push(record);
        }
        parts
    }

    /// Its place among the open partitions: by number, by hash, by key, or the next one's turn.
    fn place(&self, open: &[(u32, u64)], r: &DisRecord) -> Option<usize> {
        if let Some(index) = r.partition {
            return open.iter().position(|(i, _)| *i == index);
        }
        let hash = r.hash.or_else(|| r.key.as_deref().map(hash_of));
        match hash {
            Some(hash) => Some(open.partition_point(|(_, last)| *last < hash.min(MAX_HASH))),
            None if open.is_empty() => None,
            None => {
                let turn = self.0.dis.turn.fetch_add(1, Ordering::Relaxed);
                usize::try_from(turn % open.len() as u64).ok()
            }
        }
    }

    /// Gets records of a partition from a position on: whole ones while they fit into `max_bytes`, and none when the first
    /// does not fit.
    ///
    /// # Errors
    /// `NotFound(Partition)`, `Throttled`, `Unreachable`.
    pub async fn dis_get(
        &self,
        s: &DisStream,
        partition: u32,
        from: i64,
        (max_bytes, max_records): (usize, usize),
    ) -> Result<LogPiece> {
        let began = self.0.clock.now();
        if self.0.limits.dis.product && !self.0.dis.may_get(s, partition, began) {
            let refused = DisCounts { get_refused: 1, ..DisCounts::default() };
            self.0.dis.count(&s.id, began, refused, &[]);
            return Err(Error::new(ErrorKind::Throttled, "the partition gives no more now"));
        }
        let at = (i32::try_from(partition).unwrap_or(i32::MAX), from);
        let own = Cluster::default();
        let read = self.0.streams.read(&own, &s.topic, at, max_bytes);
        let mut piece = self.answered(read, Noun::Partition).await?;
        // Tombstones are no records of this API.
        piece.records.retain(|(_, r)| r.value.is_some());
        let mut left = max_bytes;
        let mut fitting = 0;
        for (_, r) in piece.records.iter().take(max_records) {
            let size = r.value.as_ref().map_or(0, bytes::Bytes::len);
            if size > left {
                break;
            }
            (left, fitting) = (left - size, fitting + 1);
        }
        if let Some((offset, _)) = piece.records.get(fitting) {
            piece.next = *offset;
            piece.records.truncate(fitting);
        }
        let sum: usize = max_bytes - left;
        self.0.dis.got(s, partition, began, sum as u64);
        let took = self.0.clock.now().0.saturating_sub(began.0);
        let part = DisCounts { get_bytes: sum as u64, get_records: fitting as u64, ..DisCounts::default() };
        let whole = DisCounts { gets: 1, get_us: u64::try_from(took).unwrap_or(0), ..DisCounts::default() };
        self.0.dis.count(&s.id, began, whole, &[(i64::from(partition), part)]);
        Ok(piece)
    }

    /// First and next position of every partition of the stream's topic.
    ///
    /// # Errors
    /// `Unreachable`.
    pub async fn dis_ends(&self, s: &DisStream) -> Result<Vec<PartitionEnds>> {
        let own = Cluster::default();
        let mut ends = self.answered(self.0.streams.ends(&own, &s.topic), Noun::Stream).await?;
        ends.sort_by_key(|e| e.partition);
        Ok(ends)
    }

    /// The position of the first record of a partition that is not older; `None` = there is none.
    ///
    /// # Errors
    /// `Unreachable`.
    pub async fn dis_at_time(&self, s: &DisStream, partition: u32, ms: i64) -> Result<Option<i64>> {
        let (own, at) = (Cluster::default(), [(i32::try_from(partition).unwrap_or(i32::MAX), ms)]);
        let call = self.0.streams.offsets_at(&own, &s.topic, &at);
        Ok(self.answered(call, Noun::Partition).await?.into_iter().next().flatten())
    }
}

fn bytes_of(records: &[LogRecord]) -> u64 {
    records.iter().map(|r| r.value.as_ref().map_or(0, bytes::Bytes::len) as u64).sum()
}

/// Takes one record out of a partition's bucket.
fn pass(buckets: &mut Buckets, s: &DisStream, partition: u32, now: Micros, bytes: usize) -> bool {
    if buckets.len() >= MOST_BUCKETS {
        buckets.clear();
    }
    let bucket = buckets.entry((s.id.clone(), partition)).or_insert_with(|| Bucket::new(s.kind, now));
    bucket.fill(s.kind, now);
    bucket.take(bytes)
}

impl Desk {
    /// May a partition give anything now? What it gives is a debt that the next ones wait for.
    fn may_get(&self, s: &DisStream, partition: u32, now: Micros) -> bool {
        let Ok(mut buckets) = self.buckets.lock() else { return true };
        if buckets.len() >= MOST_BUCKETS {
            buckets.clear();
        }
        let entry = buckets.entry((s.id.clone(), partition));
        let bucket = entry.or_insert_with(|| Bucket::new(s.kind, now));
        bucket.fill(s.kind, now);
        bucket.bytes_out > 0.0
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    fn got(&self, s: &DisStream, partition: u32, now: Micros, bytes: u64) {
        if let Ok(mut buckets) = self.buckets.lock()
            && let Some(bucket) = buckets.get_mut(&(s.id.clone(), partition))
        {
            bucket.fill(s.kind, now);
            bucket.bytes_out -= bytes as f64;
        }
    }
}
