//! One topic: appends, seals, forgets; readers get a view that stands still.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::Clock;

use crate::segment::{self, Segment};
use crate::wal::{self, Header, Wal};
use crate::writers::{Progress, Writers};
use crate::{Error, MAX_BATCH, MAX_NAME, MAX_RECORD, Result};

/// An open segment with records is sealed after this time at the latest.
const SEAL_AFTER: Duration = Duration::from_secs(3600);
/// An open segment that can't be sealed takes no more beyond this.
const MAX_OPEN: u64 = 48 << 20;
/// Damaged places that are remembered, so that none counts twice.
const PLACES: usize = 10_000;

/// How a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Records go this long after they came; `None` = never.
    pub retention: Option<Duration>,
    /// The oldest records go when there are more bytes than this on disk; 0 = no limit.
    pub max_bytes: u64,
    /// The open segment is sealed with so many bytes.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Some(Duration::from_secs(7 * 24 * 3600)),
            max_bytes: 1 << 30,
            segment_bytes: 4 << 20,
        }
    }
}

/// A record to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Its writer's position of it. Several may have one: they come in one batch.
    pub position: i64,
    /// µs since the epoch.
    pub time: i64,
    /// Where it comes from, in a word.
    pub stream: &'a str,
    /// A JSON object.
    pub text: &'a [u8],
}

/// Records of one writer, in order of position.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Who writes.
    pub writer: &'a str,
    /// The position after it; there may be fewer records than positions.
    pub next: i64,
    /// What the writer wants to know when it begins anew.
    pub note: &'a str,
    /// The records.
    pub records: &'a [NewRecord<'a>],
}

/// What is in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Records.
    pub records: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files.
    pub segments: u64,
    /// The oldest and the newest time of a record.
    pub times: Option<(i64, i64)>,
    /// Places that were found damaged since the start of the process.
    pub damaged: u64,
    /// Writers that are remembered.
    pub writers: u64,
}

/// A topic. Calls block for as long as the disk takes.
#[derive(Debug)]
pub struct Topic {
    folder: PathBuf,
    settings: Settings,
    pub(crate) clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    wal: Wal,
    segments: Vec<Arc<Segment>>,
    writers: Writers,
    damaged: u64,
    places: HashSet<(u64, u64)>,
}

/// What a reader sees: what comes later is not in it, what goes later may be.
pub(crate) struct View {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The open segment and its length; `None` without records.
    pub(crate) open: Option<Open>,
}

/// See [`View`].
pub(crate) struct Open {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) times: (i64, i64),
    pub(crate) numbers: (u64, u64),
}

impl Topic {
    /// Opens a topic, or makes it.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub fn open(folder: &Path, settings: Settings, clock: Clock) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let (segments, wals) = files(folder)?;
        let opened: Result<Vec<_>> =
            segments.into_iter().map(|(n, path)| Segment::open(path, n).map(Arc::new)).collect();
        let mut segments = opened?;
        let mut writers = segments.last().and_then(|s| s.writers()).unwrap_or_default();
        let mut damaged: u64 = segments.iter().map(|s| s.damaged).sum();
        let recovered = recover(wals, &mut segments, &mut writers)?;
        let wal = match recovered {
            Some((wal, broken)) => {
                damaged += broken;
                wal
            }
            None => {
                let sequence = segments.last().map_or(0, |s| s.sequence) + 1;
                Wal::create(folder, sequence, after(&segments), &writers)?
            }
        };
        if damaged > 0 {
            tracing::warn!(folder = %folder.display(), damaged, "a log topic has damaged places; the rest is read");
        }
        let inner = Inner { wal, segments, writers, damaged, places: HashSet::new() };
        Ok(Self { folder: folder.to_owned(), settings, clock, inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a writer has come.
    #[must_use]
    pub fn progress(&self, writer: &str) -> Option<Progress> {
        self.lock().writers.get(writer).cloned()
    }

    /// Keeps a batch; it is durable when this returns. What the writer has written already is left out. Returns how many records were kept.
    ///
    /// # Errors
    /// `Invalid` for what can't be kept (then nothing is), `Full`, `Io`.
    pub fn append(&self, batch: &Batch<'_>) -> Result<u64> {
        check(batch)?;
        let mut inner = self.lock();
        let known = inner.writers.get(batch.writer).map_or(i64::MIN, |p| p.next);
        if batch.next <= known {
            return Ok(0);
        }
        if inner.wal.bytes > MAX_OPEN {
            self.seal(&mut inner)?;
        }
        let records: Vec<_> = batch.records.iter().filter(|r| r.position >= known).collect();
        let progress = Progress { next: batch.next, note: batch.note.to_owned() };
        let arrived = self.clock.now().0;
        let header = Header { arrived, writer: batch.writer, progress: &progress };
        inner.wal.append(&header, &records)?;
        inner.writers.advance(batch.writer, progress, arrived);
        if inner.wal.bytes >= self.settings.segment_bytes.max(1)
            && let Err(e) = self.seal(&mut inner)
        {
            // The batch is kept; the next one tries again.
            tracing::warn!(folder = %self.folder.display(), "a log segment can't be sealed now: {e}");
        }
        Ok(records.len() as u64)
    }

    /// Seals what is open and takes away what is too old or too much.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub fn maintain(&self) -> Result<()> {
        let mut inner = self.lock();
        let now = self.clock.now().0;
        let after = self.settings.retention.map_or(SEAL_AFTER, |r| SEAL_AFTER.min(r / 4));
        if inner.wal.records > 0 && now.saturating_sub(inner.wal.arrived.0) >= micros(after) {
            self.seal(&mut inner)?;
        }
        self.forget(&mut inner, now);
        Ok(())
    }

    /// Seals the open segment now.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub fn seal_now(&self) -> Result<()> {
        self.seal(&mut self.lock())
    }

    fn seal(&self, inner: &mut Inner) -> Result<()> {
        if inner.wal.records == 0 {
            return Ok(());
        }
        inner.writers.tidy();
        let bytes = Wal::read(&inner.wal.file, inner.wal.bytes)?;
        let mut records: Vec<_> = wal::entries(&bytes).flat_map(|e| e.records()).collect();
        records.sort_unstable_by_key(|r| (r.time, r.number));
        let sequence = inner.wal.sequence;
        let sealed = segment::write((&self.folder, sequence), &records, &inner.writers, inner.wal.arrived.1)?;
        let next = Wal::create(&self.folder, sequence + 1, inner.wal.numbers.1, &inner.writers);
        let next = match next {
            Ok(next) => next,
            Err(e) => {
                // Still open: the next try writes the same segment.
                let _ = std::fs::remove_file(&sealed.path);
                return Err(e);
            }
        };
        let old = std::mem::replace(&mut inner.wal, next);
        inner.segments.push(Arc::new(sealed));
        std::fs::remove_file(&old.path)?;
        self.forget(inner, self.clock.now().0);
        Ok(())
    }

    /// Takes away whole segments, the oldest first.
    fn forget(&self, inner: &mut Inner, now: i64) {
        let mut bytes = inner.wal.bytes + inner.segments.iter().map(|s| s.bytes).sum::<u64>();
        let oldest = self.settings.retention.map(|r| now.saturating_sub(micros(r)));
        let mut gone = 0;
        for s in &inner.segments {
            let old = oldest.is_some_and(|t| s.summary.arrived < t);
            let much = self.settings.max_bytes > 0 && bytes > self.settings.max_bytes;
            if !(old || much) {
                break;
            }
            match std::fs::remove_file(&s.path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %s.path.display(), "an old log segment can't be removed: {e}");
                    break;
                }
                _ => {}
            }
            bytes = bytes.saturating_sub(s.bytes);
            gone += 1;
        }
        inner.segments.drain(..gone);
    }

    /// What is in it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = self.lock();
        let mut times = (inner.wal.records > 0).then_some((inner.wal.min, inner.wal.max));
        for s in inner.segments.iter().filter(|s| s.summary.records > 0) {
            let (min, max) = times.unwrap_or((i64::MAX, i64::MIN));
            times = Some((min.min(s.summary.min), max.max(s.summary.max)));
        }
        Stats {
            records: inner.wal.records + inner.segments.iter().map(|s| s.summary.records).sum::<u64>(),
            bytes: inner.wal.bytes + inner.segments.iter().map(|s| s.bytes).sum::<u64>(),
            segments: inner.segments.len() as u64 + 1,
            times,
            damaged: inner.damaged,
            writers: inner.writers.len() as u64,
        }
    }

    pub(crate) fn view(&self) -> Result<View> {
        let inner = self.lock();
        let w = &inner.wal;
        let open = match w.records {
            0 => None,
            _ => Some(Open {
                file: w.file.try_clone()?,
                bytes: w.bytes,
                times: (w.min, w.max),
                numbers: w.numbers,
            }),
        };
        Ok(View { segments: inner.segments.clone(), open })
    }

    /// A reader found these places damaged.
    pub(crate) fn found_damaged(&self, places: &[(u64, u64)]) {
        let mut inner = self.lock();
        for place in places {
            if inner.places.len() < PLACES && inner.places.insert(*place) {
                inner.damaged += 1;
                tracing::warn!(folder = %self.folder.display(), segment = place.0, at = place.1,
                    "a block of a log topic is damaged and left out");
            }
        }
    }
}

/// The number after the last one.
fn after(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|s| s.summary.numbers.1).max().unwrap_or(0)
}

/// Finds the open segment. Where the process died while it sealed, both forms may be there: the one that has everything stays.
fn recover(
    mut wals: Vec<(u64, PathBuf)>,
    segments: &mut Vec<Arc<Segment>>,
    writers: &mut Writers,
) -> Result<Option<(Wal, u64)>> {
    let Some((sequence, path)) = wals.pop() else { return Ok(None) };
    for (old, path) in wals {
        if segments.iter().any(|s| s.sequence == old) {
            std::fs::remove_file(&path)?;
        }
    }
    let first = after(segments);
    let (wal, broken) = Wal::recover(path, sequence, first, writers)?;
    let Some(twin) = segments.iter().position(|s| s.sequence == sequence) else {
        return Ok(Some((wal, broken)));
    };
    if wal.numbers.1 > first {
        // Sealing had failed, and it went on.
        std::fs::remove_file(&segments.remove(twin).path)?;
        return Ok(Some((wal, broken)));
    }
    std::fs::remove_file(&wal.path)?;
    Ok(None)
}

/// Files with their sequence numbers, in order.
type Files = Vec<(u64, PathBuf)>;

/// Segments and open segments of a folder. What was being written when the process died goes.
fn files(folder: &Path) -> Result<(Files, Files)> {
    let (mut segments, mut wals) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let sequence = path.file_stem().and_then(|s| u64::from_str_radix(s.to_str()?, 16).ok());
        let Some(sequence) = sequence else { continue };
        match path.extension().and_then(|e| e.to_str()) {
            Some("seg") => segments.push((sequence, path)),
            Some("wal") => wals.push((sequence, path)),
            Some("tmp" | "new") => std::fs::remove_file(&path)?,
            _ => {}
        }
    }
    segments.sort();
    wals.sort();
    Ok((segments, wals))
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

fn check(batch: &Batch<'_>) -> Result<()> {
    let invalid = |words: &str| Err(Error::Invalid(words.to_owned()));
    let names = batch.records.iter().map(|r| r.stream).chain([batch.writer, batch.note]);
    if batch.writer.is_empty() || names.into_iter().any(|n| n.len() > MAX_NAME) {
        return invalid("a writer, a note and a stream have 1024 bytes at most");
    }
    if batch.records.iter().any(|r| r.text.len() > MAX_RECORD) {
        return invalid("a record has 1 MiB at most");
    }
    if batch.records.iter().map(|r| r.text.len()).sum::<usize>() > MAX_BATCH {
        return invalid("a batch has 48 MiB at most");
    }
    let sorted = batch.records.windows(2).all(|w| matches!(w, [a, b] if a.position <= b.position));
    if !sorted || batch.records.last().is_some_and(|r| r.position >= batch.next) {
        return invalid("the records of a batch come in order of position");
    }
    let object =
        |r: &NewRecord<'_>| json_text::check(r.text).is_ok_and(|c| c.kind == json_text::Kind::Object);
    if !batch.records.iter().all(object) {
        return invalid("a record is a JSON object");
    }
    Ok(())
}
