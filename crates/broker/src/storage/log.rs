//! The log of one partition: segments in a row, the state of its producers, and where it begins and ends.
//!
//! The caller holds it under one lock. Appending writes into the page cache under that lock; reading
//! only looks up a place under it and reads the file afterwards, since published bytes never change.

mod durable;
mod place;
#[cfg(test)]
pub mod tests;

pub use place::{Piece, Place};

use super::batch::{self, HEADER, Header};
use super::compact::Policy;
use super::producers::{Producers, Verdict};
use super::records;
use super::recover::{self, Checkpoint};
use super::segment::{self, Segment};
use crate::error::{Error, Result};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Batches up to this size are written with their header in one call.
const SMALL_WRITE: usize = 16 << 10;
/// Places where readers are expected next.
const HINTS: usize = 16;

/// How a partition keeps its log; from the topic's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A segment is closed at this size, in bytes …
    pub segment_bytes: u64,
    /// … or age, in milliseconds.
    pub segment_ms: i64,
    /// Segments whose newest record is older are removed, in milliseconds; −1 = never.
    pub retention_ms: i64,
    /// The oldest segments are removed while more bytes are kept; −1 = never.
    pub retention_bytes: i64,
    /// Largest batch.
    pub max_message_bytes: usize,
    /// Records get the time at which they are stored.
    pub append_time: bool,
    /// Only the newest record of each key stays.
    pub compaction: Option<Policy>,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Time that was given to the records, or −1.
    pub append_time: i64,
    /// The log's end after it.
    pub end: i64,
    /// Is anything new in the log? Not for a batch that was there already.
    pub new: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) segments: VecDeque<Segment>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) synced: i64,
    pub(super) producers: Producers,
    pub(super) recovery: i64,
    pub(super) clean: bool,
    /// Files of closed segments that may not be on the disk.
    pub(super) unsynced: Vec<Arc<File>>,
    /// Are new names made durable, too? How many there were, and how many of them are.
    pub(super) sync_names: bool,
    pub(super) names_made: u64,
    pub(super) names_synced: u64,
    pub(super) hints: VecDeque<(i64, i64, u64)>,
    /// What is before it was compacted.
    pub(super) cleaned: i64,
    /// What ends before it could not be compacted.
    pub(super) uncompactable: i64,
    /// Changes when places in files that were given out are no longer those of the log.
    pub(super) generation: u64,
    /// Why nothing is taken any more, once the disk has refused something that can't be undone.
    pub(super) failed: Option<String>,
}

impl Log {
    /// Opens the log in a directory, or makes it. After a crash the end is walked and a torn batch cut
    /// off; `trust_closed` says that closed segments are not walked even if they were never flushed, and that
    /// nothing is flushed on its way.
    ///
    /// # Errors
    /// When the directory can't be read or written.
    pub fn open(dir: &Path, trust_closed: bool) -> Result<Self> {
        recover::open(dir, trust_closed)
    }

    /// First offset that can be read.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Offset of the next record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Everything before this offset is on the disk.
    #[must_use]
    pub fn synced(&self) -> i64 {
        self.synced
    }

    /// Everything before this offset belongs to no open transaction.
    #[must_use]
    pub fn stable_end(&self) -> i64 {
        self.producers.first_open().map_or(self.end, |at| at.max(self.start))
    }

    /// The producers' state.
    #[must_use]
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// Appends a checked batch. `now` is in milliseconds since the epoch.
    ///
    /// # Errors
    /// When its producer is fenced or out of order, the disk refuses, or it has refused before (see
    /// [`fail`](Self::fail)); then nothing has changed.
    pub fn append(&mut self, header: &Header, bytes: &Bytes, now: i64, s: &LogSettings) -> Result<Appended> {
        // Before anything else: a duplicate of what the disk has refused must not be acknowledged either.
        self.check_sound()?;
        if header.has_producer()
            && !header.is_control()
            && let Verdict::Duplicate(base_offset, _) = self.producers.check(header)?
        {
            return Ok(Appended { base_offset, append_time: -1, end: self.end, new: false });
        }
        self.mark_dirty()?;
        let append_time = (s.append_time && !header.is_control()).then_some(now);
        let mut header = *header;
        header.base_offset = self.end;
        header.max_timestamp = append_time.unwrap_or(header.max_timestamp);
        self.roll_if_full(&header, s)?;
        let stored = batch::stored_header(bytes, self.end, append_time);
        self.write(&stored, bytes)?;
        if let Some(active) = self.segments.back_mut() {
            active.note(&header);
        }
        if header.is_control() {
            self.producers.note_end(&header, records::marker_commits(bytes)?);
        } else {
            self.producers.note(&header);
        }
        self.end = header.last_offset() + 1;
        let (base_offset, append_time) = (header.base_offset, append_time.unwrap_or(-1));
        Ok(Appended { base_offset, append_time, end: self.end, new: true })
    }

    fn write(&mut self, header: &[u8; HEADER], bytes: &Bytes) -> Result<()> {
        let Some(active) = self.segments.back_mut() else {
            return Err(Error::corrupt("a log without a segment"));
        };
        let (file, at) = (active.hold()?, active.size);
        let body = &bytes[HEADER..];
        let written = if bytes.len() <= SMALL_WRITE {
            let mut whole = Vec::with_capacity(bytes.len());
            whole.extend_from_slice(header);
            whole.extend_from_slice(body);
            file.write_all_at(&whole, at)
        } else {
            file.write_all_at(header, at).and_then(|()| file.write_all_at(body, at + HEADER as u64))
        };
        let Err(e) = written else { return Ok(()) };
        // A half-written batch after the end would be taken for a torn one at the next start; the next
        // append writes over it. If the file can't be cut, nothing more is written until then.
        if let Err(e) = file.set_len(at) {
            self.failed = Some(format!("{}: a failed write could not be undone: {e}", self.dir.display()));
        }
        Err(Error::storage(self.dir.display(), &e))
    }

    /// The age of a segment is counted in the time of its records, as in Kafka: old records that are
    /// brought in late must not get a segment each.
    fn roll_if_full(&mut self, next: &Header, s: &LogSettings) -> Result<()> {
        let Some(active) = self.segments.back() else { return Ok(()) };
        let old = active.first_timestamp.is_some_and(|t| next.max_timestamp.saturating_sub(t) > s.segment_ms);
        let full = active.size + next.length as u64 > s.segment_bytes;
        if active.size > 0 && (full || old) { self.roll() } else { Ok(()) }
    }

    /// Closes the active segment and begins a new one.
    pub(super) fn roll(&mut self) -> Result<()> {
        let mut next = Segment::at(&self.dir, self.end, 0);
        next.hold()?;
        self.names_made += 1;
        let state = segment::path(&self.dir, self.end, "producers");
        std::fs::write(&state, self.producers.to_bytes()).map_err(|e| Error::storage(state.display(), &e))?;
        if let Some(active) = self.segments.back_mut() {
            self.unsynced.push(active.hold()?);
            active.seal()?;
        }
        self.segments.push_back(next);
        Ok(())
    }

    /// The first change after a clean start takes the mark away that says so.
    fn mark_dirty(&mut self) -> Result<()> {
        if !self.clean {
            return Ok(());
        }
        self.clean = false;
        self.checkpoint()?;
        let known = self.segments.iter().any(|s| s.base == self.end);
        if !known {
            let _ = std::fs::remove_file(segment::path(&self.dir, self.end, "producers"));
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        let mark =
            Checkpoint { start: self.start, recovery: self.recovery, end: self.end, clean: self.clean };
        mark.write(&self.dir)
    }

    /// Finds where to read from; `None` at the end.
    ///
    /// # Errors
    /// When the offset is before the start or after the end.
    pub fn locate(&mut self, offset: i64) -> Result<Option<Place>> {
        if offset < self.start || offset > self.end {
            return Err(Error::new(
                ResponseError::OffsetOutOfRange,
                format!("offset {offset} is not between {} and {}", self.start, self.end),
            ));
        }
        if offset == self.end {
            return Ok(None);
        }
        let at = self.segments.partition_point(|s| s.base <= offset).saturating_sub(1);
        let Some(segment) = self.segments.get_mut(at) else { return Ok(None) };
        let hint = self.hints.iter().find(|h| h.0 == offset && h.1 == segment.base);
        let exact = hint.is_some() || offset == segment.base;
        let position = match hint {
            Some(h) => h.2,
            None => segment.before_offset(offset)?,
        };
        let (file, end) = (segment.file()?, segment.size);
        Ok(Some(Place { file, position, end, exact, generation: self.generation }))
    }

    /// Were the segments that a place was in replaced since?
    #[must_use]
    pub fn has_moved(&self, place: &Place) -> bool {
        place.generation != self.generation
    }

    /// Remembers where the next read of the same reader will begin.
    pub fn expect(&mut self, piece: &Piece) {
        let at = self.segments.partition_point(|s| s.base <= piece.next_offset).saturating_sub(1);
        let Some(base) = self.segments.get(at).map(|s| s.base) else { return };
        if piece.next_offset == base || piece.bytes.is_empty() {
            return;
        }
        if self.hints.iter().any(|h| h.0 == piece.next_offset) {
            return;
        }
        if self.hints.len() >= HINTS {
            self.hints.pop_front();
        }
        self.hints.push_back((piece.next_offset, base, piece.next_position));
    }

    /// Where the first record at or after a time may be, oldest segment first; each place is to be asked
    /// until one has it (see [`find_timestamp`]).
    ///
    /// # Errors
    /// When an index can't be read.
    pub fn places_of_timestamp(&mut self, timestamp: i64) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for segment in &mut self.segments {
            if let Some(position) = segment.before_timestamp(timestamp)? {
                let (file, end, generation) = (segment.file()?, segment.size, self.generation);
                places.push(Place { file, position, end, exact: true, generation });
                // Records before the log's start don't count: one more segment is enough to pass them.
                if places.len() == 2 {
                    break;
                }
            }
        }
        Ok(places)
    }

    /// The largest time of the log; `None` when it is empty.
    ///
    /// # Errors
    /// When an index can't be read.
    pub fn max_timestamp(&mut self) -> Result<Option<i64>> {
        let mut most = None;
        for segment in self.segments.iter_mut().filter(|s| s.size > 0) {
            segment.ensure_index()?;
            most = most.max(Some(segment.max_timestamp));
        }
        Ok(most)
    }

    /// Moves the start forward: what is before can't be read any more.
    ///
    /// # Errors
    /// When the offset is after the end, or the disk refuses.
    pub fn delete_before(&mut self, offset: i64) -> Result<i64> {
        if offset > self.end {
            return Err(Error::new(
                ResponseError::OffsetOutOfRange,
                format!("offset {offset} is after the end {}", self.end),
            ));
        }
        if offset > self.start {
            self.check_sound()?;
            self.mark_dirty()?;
            self.start = offset;
            self.checkpoint()?;
            self.drop_segments(0)?;
        }
        Ok(self.start)
    }

    /// Removes what is too old or too much. Says how many segments went.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn retain(&mut self, now: i64, s: &LogSettings) -> Result<usize> {
        self.check_sound()?;
        let before = self.segments.len();
        if s.retention_ms >= 0 {
            let limit = now.saturating_sub(s.retention_ms);
            let mut expired = 0;
            for segment in &mut self.segments {
                if segment.size == 0 || segment.newest_ms()? >= limit {
                    break;
                }
                expired += 1;
            }
            if expired == self.segments.len() && expired > 0 {
                self.mark_dirty()?;
                self.roll()?;
            }
            self.drop_segments(expired)?;
        }
        if let Ok(most) = u64::try_from(s.retention_bytes) {
            let mut rest = self.bytes();
            let fits = |segment: &&Segment| {
                rest -= segment.size.min(rest);
                rest >= most
            };
            let surplus = self.segments.iter().take_while(fits).count();
            self.drop_segments(surplus.min(self.segments.len() - 1))?;
        }
        Ok(before.saturating_sub(self.segments.len()))
    }

    /// Drops the first `n` segments, and those that are wholly before the start.
    fn drop_segments(&mut self, n: usize) -> Result<()> {
        if n > 0 {
            self.mark_dirty()?;
        }
        let mut gone = 0;
        while self.segments.len() > 1 && (gone < n || self.segments[1].base <= self.start) {
            if let Some(first) = self.segments.pop_front() {
                self.start = self.start.max(self.segments[0].base);
                self.recovery = self.recovery.max(self.segments[0].base);
                self.checkpoint()?;
                first.remove();
            }
            gone += 1;
        }
        Ok(())
    }

    /// Forgets producers that were silent since a time, and aborts before the start.
    pub fn forget_producers(&mut self, silent_since: i64) {
        self.producers.forget(self.start, silent_since);
    }
}
