//! Opening a log: from its clean mark, or by walking what a crash may have torn.
//!
//! After kill -9 the page cache still has every byte that was written, so at most the last batch is torn.
//! After a power cut anything that was not flushed may be missing or rubbish: segments from the recovery
//! point on are walked with their checksums, and everything from the first bad batch on is cut off.

use super::bin::{self, Reader};
use super::compact::swap;
use super::folder;
use super::log::Log;
use super::producers::Producers;
use super::records;
use super::segment::{self, Segment, Walk};
use crate::error::{Error, Result};
use bytes::BufMut;
use std::collections::VecDeque;
use std::path::Path;

const NAME: &str = "checkpoint";
const VERSION: u8 = 1;

/// What is written down about a log beside its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// First offset that can be read.
    pub start: i64,
    /// Base of the first segment that may not be on the disk.
    pub recovery: i64,
    /// The end, when it is clean.
    pub end: i64,
    /// Everything is on the disk and nothing was written since.
    pub clean: bool,
}

impl Checkpoint {
    /// Replaces the one that is there. The rename is atomic; after a power cut it may be the old one.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let mut out = vec![VERSION];
        out.put_i64(self.start);
        out.put_i64(self.recovery);
        out.put_i64(self.end);
        out.put_u8(u8::from(self.clean));
        let (path, beside) = (dir.join(NAME), dir.join("checkpoint.new"));
        let written =
            std::fs::write(&beside, bin::sealed(out)).and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|e| Error::storage(path.display(), &e))
    }

    fn read(dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(dir.join(NAME)).ok()?;
        let mut r = Reader(bin::unsealed(&bytes)?);
        if r.u8().ok()? != VERSION {
            return None;
        }
        let (start, recovery, end) = (r.i64().ok()?, r.i64().ok()?, r.i64().ok()?);
        Some(Self { start, recovery, end, clean: r.u8().ok()? == 1 })
    }
}

/// See [`Log::open`].
pub fn open(dir: &Path, trust_closed: bool) -> Result<Log> {
    std::fs::create_dir_all(dir).map_err(|e| Error::storage(dir.display(), &e))?;
    let cleaned = swap::recover(dir)?;
    let mut segments = segments(dir)?;
    let first = segments.front().map_or(0, |s| s.base);
    let mark = Checkpoint::read(dir);
    let start = mark.map_or(first, |m| m.start.max(first));
    if segments.is_empty() {
        segments.push_back(Segment::at(dir, start, 0));
    }
    let mut log = Log {
        dir: dir.to_owned(),
        segments,
        start,
        end: start,
        synced: 0,
        producers: Producers::default(),
        recovery: mark.map_or(first, |m| m.recovery.max(first)),
        clean: false,
        unsynced: Vec::new(),
        sync_names: !trust_closed,
        names_made: 1,
        names_synced: 0,
        hints: VecDeque::new(),
        cleaned: cleaned.unwrap_or(first),
        uncompactable: i64::MIN,
        generation: 0,
        failed: None,
    };
    if !mark.is_some_and(|m| m.clean && take_clean(&mut log, &m)) {
        walk(&mut log, trust_closed)?;
    }
    if log.end < log.start {
        begin_anew(&mut log);
    }
    // An older state of the producers may still tell of aborts that compaction took away.
    log.set_cleaned(log.cleaned);
    // The partition's folder and the topic's are new, or nobody knows whether they were made durable.
    if log.sync_names && !log.clean {
        folder::sync_name(dir)?;
        dir.parent().map_or(Ok(()), folder::sync_name)?;
    }
    log.synced = if log.clean { log.end } else { log.recovery.min(log.end) };
    Ok(log)
}

fn segments(dir: &Path) -> Result<VecDeque<Segment>> {
    let wrong = |e: std::io::Error| Error::storage(dir.display(), &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name();
        let base = name.to_str().and_then(|n| n.strip_suffix(".log")).and_then(|n| n.parse::<i64>().ok());
        if let Some(base) = base.filter(|b| *b >= 0) {
            found.push((base, entry.metadata().map_err(wrong)?.len()));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(base, size)| Segment::at(dir, base, size)).collect())
}

/// Takes a clean log as it is, if what was written beside it still fits.
fn take_clean(log: &mut Log, mark: &Checkpoint) -> bool {
    let state = std::fs::read(segment::path(&log.dir, mark.end, "producers"));
    let Some(producers) = state.ok().and_then(|b| Producers::from_bytes(&b).ok()) else { return false };
    let fits = log.segments.back_mut().is_some_and(|s| s.base <= mark.end && (s.size == 0 || s.load_index()));
    if fits {
        log.producers = producers;
        log.end = mark.end;
        log.clean = true;
    }
    fits
}

fn walk(log: &mut Log, trust_closed: bool) -> Result<()> {
    let last = log.segments.back().map_or(0, |s| s.base);
    let from = if trust_closed { last } else { log.recovery.min(last) };
    let (first, producers) = snapshot(log, from);
    log.producers = producers;
    let mut expected = log.segments.get(first).map_or(0, |s| s.base);
    let count = log.segments.len();
    for n in first..count {
        let segment = &mut log.segments[n];
        let was = segment.size;
        if segment.base != expected {
            tracing::warn!(dir = %log.dir.display(), base = segment.base, expected, "a segment doesn't follow");
            cut(log, n);
            break;
        }
        let file = segment.hold()?;
        segment.clear();
        let mut walk = Walk::new(&file, 0, was);
        while let Some((header, control)) = walk.next_checked()? {
            if header.base_offset != expected {
                break;
            }
            segment.note(&header);
            if header.is_control() {
                let commits = records::marker_commits(&control)?;
                log.producers.note_end(&header, commits);
            } else {
                log.producers.note(&header);
            }
            expected = header.last_offset() + 1;
        }
        let kept = segment.size;
        if kept < was {
            let lost = was - kept;
            tracing::warn!(dir = %log.dir.display(), kept, lost, end = expected, "cut off a torn end");
            file.set_len(kept).map_err(|e| Error::storage(log.dir.display(), &e))?;
            cut(log, n + 1);
            break;
        }
        if n + 1 < count {
            segment.seal()?;
        }
    }
    log.end = expected;
    Ok(())
}

/// The newest state of producers at or before a segment, and the number of the segment that it belongs to.
fn snapshot(log: &Log, from: i64) -> (usize, Producers) {
    for (n, segment) in log.segments.iter().enumerate().rev().filter(|(_, s)| s.base <= from) {
        let state = std::fs::read(segment::path(&log.dir, segment.base, "producers"));
        if let Some(producers) = state.ok().and_then(|b| Producers::from_bytes(&b).ok()) {
            return (n, producers);
        }
    }
    (0, Producers::default())
}

/// Removes the segments from the `n`th on.
fn cut(log: &mut Log, n: usize) {
    while log.segments.len() > n.max(1) {
        if let Some(segment) = log.segments.pop_back() {
            segment.remove();
        }
    }
}

/// The log ends before the offset at which it should begin (records were deleted by request, then lost):
/// offsets must not be given twice, so it goes on from the start.
fn begin_anew(log: &mut Log) {
    while let Some(segment) = log.segments.pop_back() {
        segment.remove();
    }
    log.segments.push_back(Segment::at(&log.dir, log.start, 0));
    (log.end, log.recovery, log.producers) = (log.start, log.start, Producers::default());
}
