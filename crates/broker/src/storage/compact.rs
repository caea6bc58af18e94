//! Compaction: of each key the newest record stays (`cleanup.policy=compact`).
//!
//! Closed segments are written anew beside the old ones and take their place in one step ([`swap`]); the segment that
//! is written to is left alone. Reading and writing happen without the log's lock: the bytes of a closed segment never
//! change, and a reader that has the old file keeps it.
//!
//! **What stays.** The newest record of each key, every record without a key, and a tombstone until its horizon is
//! over: `delete.retention.ms` after it was first compacted, kept in the batch as in Kafka (KIP-534), so that a
//! reader that began before it still learns of the removal. A tombstone goes only in a round that takes all older
//! records of its key along: else they would come back.
//!
//! **Transactions.** Only what is before the first open one is touched. Records of aborted ones go, and so do all markers;
//! what was committed stays without its producer, as if it had been written plainly. So no reader has to be told of
//! an abort in a compacted stretch.
//!
//! **Offsets.** Each batch reaches to the next one (its last offset is made larger), so the log has no hole: walks after a
//! crash check it as any other, and a reader that asks for an offset that went gets the next record. A stretch without
//! records before the first batch is an empty batch, as Kafka has them too.
//!
//! **Memory.** [`MOST_KEYS`] keys are held as hashes. Of what doesn't fit more stays than need be, never less.

mod rewrite;
pub mod swap;
#[cfg(test)]
mod tests;

use super::batch::{self, Header};
use super::folder;
use super::log::Log;
use super::producers::Aborted;
use super::records::{self, Record};
use super::segment::{Segment, Walk};
use crate::error::{Error, Result};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use rewrite::Output;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use swap::Swap;

/// Keys whose newest offset is held at a time: about 24 MB.
pub const MOST_KEYS: usize = 500_000;
/// A batch that is more than this after decompression stops the compaction of its partition.
const MOST_DECOMPRESSED: usize = 64 << 20;
/// A whole batch of at least this many bytes is taken over as it is; smaller ones are put together.
const WORTH_KEEPING: usize = 4096;

/// How a topic is compacted; from its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Compacted when so many thousandths of the closed segments are new.
    pub dirty_permille: u64,
    /// Records younger than this are left alone, in milliseconds.
    pub lag_ms: i64,
    /// How long a tombstone stays after it was first compacted, in milliseconds.
    pub tombstones_ms: i64,
}

/// A closed segment.
#[derive(Debug)]
struct Source {
    base: i64,
    /// Offset after its last record.
    end: i64,
    size: u64,
    file: Arc<File>,
}

/// What is to be compacted, and what was known of it when it was planned.
#[derive(Debug)]
pub struct Plan {
    dir: PathBuf,
    sources: Vec<Source>,
    /// The log's start; records before it go.
    start: i64,
    /// What is before it was compacted before.
    cleaned: i64,
    /// The end of the last source.
    upper: i64,
    aborted: Vec<Aborted>,
    segment_bytes: u64,
    policy: Policy,
    now: i64,
    keys: usize,
    stop: Arc<AtomicBool>,
}

impl Log {
    /// What is to be compacted now, if anything. `stop` ends the work that follows.
    ///
    /// # Errors
    /// When an index can't be read, or a flush has failed.
    pub fn plan_compaction(
        &mut self,
        now: i64,
        segment_bytes: u64,
        policy: Policy,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Plan>> {
        self.check_sound()?;
        // What is not on the disk yet may be torn: a walk after a power cut must find it as it was sent.
        let limit = if self.sync_names { self.stable_end().min(self.recovery) } else { self.stable_end() };
        let ends: Vec<i64> = self.segments.iter().skip(1).map(|s| s.base).collect();
        let (mut clean, mut dirty, mut upper) = (0, 0, self.cleaned);
        let mut sources = Vec::new();
        for (segment, end) in self.segments.iter_mut().zip(ends) {
            let is_new = segment.base >= self.cleaned;
            let young = is_new && segment.newest_ms()? > now.saturating_sub(policy.lag_ms);
            if end > limit || (young && policy.lag_ms > 0) {
                break;
            }
            *(if is_new { &mut dirty } else { &mut clean }) += segment.size;
            upper = end;
            sources.push(Source { base: segment.base, end, size: segment.size, file: segment.file()? });
        }
        let enough = dirty > 0 && dirty * 1000 >= policy.dirty_permille * (clean + dirty);
        if !enough || upper <= self.uncompactable {
            return Ok(None);
        }
        let aborted = self.producers.aborted(self.segments.front().map_or(0, |s| s.base), upper);
        Ok(Some(Plan {
            dir: self.dir.clone(),
            sources,
            start: self.start,
            cleaned: self.cleaned,
            upper,
            aborted,
            segment_bytes,
            policy,
            now,
            keys: MOST_KEYS,
            stop: stop.clone(),
        }))
    }

    /// Puts the compacted segments into the place of the old ones; leaves everything as it is when the old ones are
    /// no longer what was planned with. Says whether it did.
    ///
    /// # Errors
    /// When the disk refuses. Before the swap is decided nothing has changed; after it nothing more is taken until the log is
    /// opened again, which ends the swap.
    pub fn adopt(&mut self, swap: &Swap) -> Result<bool> {
        self.check_sound()?;
        let there = self.segments.iter().map(|s| s.base);
        let fits =
            swap.old.len() < self.segments.len() && there.take(swap.old.len()).eq(swap.old.iter().copied());
        if !fits || swap.upper < self.cleaned {
            swap.discard();
            return Ok(false);
        }
        swap.prepare().inspect_err(|_| swap.discard())?;
        if let Err(e) = swap.decide().and_then(|()| swap.carry_out()) {
            self.fail(&e);
            return Err(e);
        }
        self.segments.drain(..swap.old.len());
        for (base, size) in swap.new.iter().rev() {
            self.segments.push_front(Segment::at(&self.dir, *base, *size));
        }
        // Readers that are under way have places in the old files.
        self.generation += 1;
        self.hints.clear();
        self.set_cleaned(swap.upper);
        Ok(true)
    }

    /// What is before an offset is compacted: nobody is to be told of an abort there.
    pub fn set_cleaned(&mut self, upper: i64) {
        self.cleaned = self.cleaned.max(upper);
        self.producers.forget_aborts_before(self.cleaned);
    }

    /// A plan could not be carried out: it is not tried again before there is more.
    pub fn note_uncompactable(&mut self, plan: &Plan) {
        self.uncompactable = plan.upper;
    }
}

impl Plan {
    /// Writes the compacted segments beside the old ones. Blocks, and needs no lock.
    ///
    /// # Errors
    /// When the disk refuses, a batch can't be read, or the work was stopped; nothing has changed then.
    pub fn write(&self) -> Result<Swap> {
        let made = self.newest().and_then(|newest| self.rewrite(&newest));
        let swap = Swap {
            dir: self.dir.clone(),
            upper: self.upper,
            old: self.sources.iter().map(|s| s.base).collect(),
            new: match made {
                Ok(new) => new,
                Err(e) => {
                    swap::discard_all(&self.dir);
                    return Err(e);
                }
            },
        };
        // Their names are durable before the note that says that they count.
        let flushed = File::open(&self.dir).and_then(|dir| folder::flush(&dir));
        flushed.map_err(|e| Error::storage(self.dir.display(), &e))?;
        Ok(swap)
    }

    /// The newest offset of the keys in the new segments, and of the tombstones in the old ones.
    fn newest(&self) -> Result<Newest> {
        let mut newest = Newest { offsets: HashMap::new(), most: self.keys };
        let (old, new): (Vec<_>, Vec<_>) = self.sources.iter().partition(|s| s.base < self.cleaned);
        for source in new {
            self.each_batch(source, |header, batch| {
                for (offset, record) in self.records(header, batch)? {
                    newest.note(&record, offset);
                }
                Ok(())
            })?;
        }
        for source in old {
            self.each_batch(source, |header, batch| {
                // A tombstone that was compacted once has given its batch a horizon.
                if header.delete_horizon().is_none() {
                    return Ok(());
                }
                let records = self.records(header, batch)?;
                let tombstones = records.iter().filter(|(_, r)| r.value.is_none());
                tombstones.for_each(|(offset, r)| newest.note(r, *offset));
                Ok(())
            })?;
        }
        Ok(newest)
    }

    /// Writes what stays; gives the new segments.
    fn rewrite(&self, newest: &Newest) -> Result<Vec<(i64, u64)>> {
        let first = self.sources.first().map_or(self.upper, |s| s.base);
        let mut out = Output::new(&self.dir, first, self.segment_bytes);
        for source in &self.sources {
            self.each_batch(source, |header, batch| {
                let all = self.records(header, batch)?;
                let count = all.len();
                let horizon = header.delete_horizon();
                let is_over = horizon.is_some_and(|h| h <= self.now);
                let kept: Vec<_> = all
                    .into_iter()
                    .filter(|(offset, r)| *offset >= self.start && newest.keeps(r, *offset, is_over))
                    .collect();
                let whole = kept.len() == count;
                let fresh =
                    kept.iter().any(|(_, r)| r.value.is_none() && r.key.is_some()) && horizon.is_none();
                let small = header.compression() == 0 && header.length < WORTH_KEEPING;
                if whole && !fresh && !small {
                    return out.take_over(header, batch);
                }
                let horizon =
                    if fresh { Some(self.now.saturating_add(self.policy.tombstones_ms)) } else { horizon };
                out.add(kept, header.is_log_append_time(), horizon)
            })?;
        }
        out.finish(self.upper)
    }

    /// Calls `f` with every batch of a segment that has records to keep, perhaps.
    fn each_batch(&self, source: &Source, mut f: impl FnMut(&Header, &Bytes) -> Result<()>) -> Result<()> {
        let mut walk = Walk::new(&source.file, 0, source.size);
        let mut expected = source.base;
        while let Some((header, batch)) = walk.next_whole()? {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::new(ResponseError::KafkaStorageError, "the broker is being closed"));
            }
            // The checksum does not cover the offset.
            if !batch::crc_holds(&header, &batch) || header.base_offset != expected {
                return Err(Error::corrupt(format!("the batch at offset {expected} is damaged")));
            }
            expected = header.last_offset() + 1;
            let is_void = header.is_transactional()
                && self.aborted.iter().any(|a| {
                    a.producer_id == header.producer_id
                        && (a.first_offset..=a.last_offset).contains(&header.base_offset)
                });
            if !header.is_control() && !is_void && header.count > 0 {
                f(&header, &batch)?;
            }
        }
        if walk.position() < source.size || expected != source.end {
            return Err(Error::corrupt(format!("the segment of offset {} is damaged", source.base)));
        }
        Ok(())
    }

    fn records(&self, header: &Header, batch: &Bytes) -> Result<Vec<(i64, Record)>> {
        let records = records::decode(batch, MOST_DECOMPRESSED);
        records.map_err(|e| Error::corrupt(format!("the batch at offset {}: {e}", header.base_offset)))
    }
}

/// The newest offset of each key that is known.
struct Newest {
    offsets: HashMap<[u8; 16], i64>,
    most: usize,
}

impl Newest {
    fn note(&mut self, record: &Record, offset: i64) {
        let Some(key) = &record.key else { return };
        let room = self.offsets.len() < self.most;
        match self.offsets.entry(hash(key)) {
            Entry::Occupied(mut known) => {
                let at = known.get_mut();
                *at = offset.max(*at);
            }
            Entry::Vacant(free) if room => drop(free.insert(offset)),
            Entry::Vacant(_) => {}
        }
    }

    /// Does a record stay? `is_over`: the horizon of its batch is.
    fn keeps(&self, record: &Record, offset: i64, is_over: bool) -> bool {
        let Some(key) = &record.key else { return true };
        match self.offsets.get(&hash(key)) {
            None => true,
            Some(newest) if *newest > offset => false,
            // All older records of the key are known to go in this round.
            Some(_) => record.value.is_some() || !is_over,
        }
    }
}

/// Of a hash that nobody finds two keys for: one would take the other's record away.
fn hash(key: &[u8]) -> [u8; 16] {
    let digest = ring::digest::digest(&ring::digest::SHA256, key);
    let mut out = [0; 16];
    out.iter_mut().zip(digest.as_ref()).for_each(|(o, d)| *o = *d);
    out
}
