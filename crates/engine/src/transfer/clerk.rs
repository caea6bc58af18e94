//! Keeps the account: books what is settled in listing order, writes the reports, makes checkpoints.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Tree, TreePath};
use model::{Event, Ledger, Outcome, Progress};

use super::book::{Record, Step};
use super::live::{Live, Snapshot};
use super::notes::Tidings;
use super::planner::Cursor;
use super::reports::{MANIFEST, Reports};
use super::{Failure, Job, Options, Would};
use crate::journal::{Checkpoint, Counts, from_hex, to_hex};
use crate::{Journal, JournalEntry, JournalError, Wish};

/// Failures that are told in the outcome.
const FAILURES: usize = 100;
/// Stretch over which the speed is measured.
const SPEED_S: u64 = 5;

/// See the module.
pub(super) struct Clerk {
    pub ledger: Ledger,
    pub cursor: Cursor,
    pub failures: Vec<Failure>,
    pub would: Would,
    tidings: Tidings,
    dry: Option<Options>,
    reports: Option<Reports>,
    folder: Option<PathBuf>,
    started: i64,
    speeds: VecDeque<(Instant, u64)>,
    dirty: bool,
}

/// A checkpoint on its way to the journal.
pub(super) struct Pending {
    entry: JournalEntry,
    files: Vec<Arc<File>>,
    settle: bool,
}

impl Pending {
    /// What it would have told.
    pub fn into_events(self) -> Vec<Event> {
        self.entry.events
    }
}

impl Clerk {
    /// Takes up the account of a checkpoint, or a new one.
    pub fn open(job: &Job, checkpoint: Option<Checkpoint>, now_us: i64) -> io::Result<Self> {
        let lengths = checkpoint.as_ref().map(|c| c.reports.clone());
        let reports = match &job.reports {
            Some(folder) => Some(Reports::open(folder, lengths.as_deref())?),
            None => None,
        };
        let checkpoint = checkpoint.unwrap_or(Checkpoint { started: now_us, ..Checkpoint::default() });
        let broken = || io::Error::other("the checkpoint names a path that is none");
        let path = |hex: &String| from_hex(hex).and_then(|b| TreePath::new(&b).ok()).ok_or_else(broken);
        let cursor = Cursor {
            segment: checkpoint.segment,
            after: checkpoint.after.as_ref().map(|h| from_hex(h).ok_or_else(broken)).transpose()?,
            nameless: checkpoint.nameless,
            open: checkpoint.open.iter().map(path).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            ledger: checkpoint.ledger.into(),
            cursor,
            failures: Vec::new(),
            would: Would::default(),
            tidings: Tidings::default(),
            dry: job.options.dry_run.then(|| job.options.clone()),
            reports,
            folder: job.reports.clone(),
            started: checkpoint.started,
            speeds: VecDeque::new(),
            dirty: false,
        })
    }

    /// When the first attempt began, µs since the epoch.
    pub fn started_us(&self) -> i64 {
        self.started
    }

    /// Books records that follow each other in the listing.
    pub fn absorb(&mut self, records: &mut Vec<Record>) -> io::Result<()> {
        for record in records.drain(..) {
            self.move_cursor(&record);
            self.book(&record)?;
        }
        Ok(())
    }

    /// Books outcomes without moving the cursor: those behind a gap, at the end of a run.
    pub fn book(&mut self, record: &Record) -> io::Result<()> {
        self.dirty = true;
        let Some(line) = &record.line else { return Ok(()) };
        self.ledger.book(line.outcome, line.size);
        if line.outcome == Outcome::Failed {
            self.tidings.failed(line, &self.ledger);
            if self.failures.len() < FAILURES {
                self.failures.push(Failure { path: line.shown(), reason: line.reason.to_string() });
            }
        }
        if let Some(options) = &self.dry {
            self.would.count(line, options);
        }
        match &mut self.reports {
            Some(reports) => reports.add(line),
            None => Ok(()),
        }
    }

    fn move_cursor(&mut self, record: &Record) {
        let cursor = &mut self.cursor;
        if record.segment != cursor.segment {
            *cursor = Cursor { segment: record.segment, ..Cursor::default() };
        }
        match record.step {
            Step::Listed => {
                cursor.after = Some(record.path().to_vec());
                cursor.nameless = 0;
            }
            Step::Enter => {
                let mut key = record.path().to_vec();
                cursor.open.extend(TreePath::new(&key));
                key.push(b'/');
                cursor.after = Some(key);
                cursor.nameless = 0;
            }
            Step::Leave => cursor.open.retain(|p| p.as_bytes() != record.path()),
            Step::Nameless => cursor.nameless += 1,
            Step::Alone | Step::Over => *cursor = Cursor { segment: record.segment + 1, ..Cursor::default() },
        }
    }

    /// Is there something that the journal does not know?
    pub fn has_news(&self) -> bool {
        self.dirty
    }

    /// Speed and remaining time from the live counters.
    pub fn progress(&mut self, live: &Snapshot) -> Progress {
        let now = Instant::now();
        self.speeds.push_back((now, live.bytes_settled.max(live.bytes_moved)));
        while self.speeds.len() > 2
            && self.speeds.front().is_some_and(|(t, _)| now.duration_since(*t) > Duration::from_secs(SPEED_S))
        {
            self.speeds.pop_front();
        }
        let (first, last) = (self.speeds.front(), self.speeds.back());
        let speed = first.zip(last).map_or(0, |((t0, b0), (t1, b1))| {
            let ms = u64::try_from(t1.duration_since(*t0).as_millis()).unwrap_or(0);
            (b1 - b0).saturating_mul(1000).checked_div(ms).unwrap_or(0)
        });
        let left = live.bytes_found.saturating_sub(live.bytes_settled);
        Progress {
            items_found: live.items_found,
            bytes_found: live.bytes_found,
            scan_done: live.scan_done,
            bytes_per_s: speed,
            remaining_s: if live.scan_done { left.checked_div(speed) } else { None },
        }
    }

    /// The account and the place as they are now, ready for the journal.
    pub fn checkpoint(&mut self, live: &Live, complete: bool, settle: bool) -> io::Result<Pending> {
        let (live, notes) = (&live.snapshot(), &live.notes);
        let (files, reports) = match &mut self.reports {
            Some(r) => r.flush()?,
            None => (Vec::new(), Vec::new()),
        };
        self.dirty = false;
        let checkpoint = Checkpoint {
            v: 0,
            segment: self.cursor.segment,
            after: self.cursor.after.as_deref().map(to_hex),
            nameless: self.cursor.nameless,
            open: self.cursor.open.iter().map(|p| to_hex(p.as_bytes())).collect(),
            ledger: Counts::from(&self.ledger),
            reports,
            started: self.started,
            complete,
        };
        let progress = self.progress(live);
        let events = self.tidings.take(live, &self.ledger, notes, complete);
        let entry = JournalEntry { ledger: self.ledger, progress, checkpoint: checkpoint.encode(), events };
        Ok(Pending { entry, files, settle })
    }

    /// SHA-256 of the manifest. The reports must have been flushed.
    pub async fn manifest_sha256(&self) -> io::Result<Option<String>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let sum =
            runtime::blocking(move || crate::receipt::sha256_of(&path)).await.map_err(io::Error::other)??;
        Ok(Some(sum))
    }
}

/// Makes a checkpoint durable: first what it speaks of, then the checkpoint itself.
pub(super) async fn record(
    step: Pending,
    destination: Arc<dyn Tree>,
    journal: Option<Arc<dyn Journal>>,
) -> Result<Wish, JournalError> {
    let Pending { entry, files, settle } = step;
    let safe = runtime::blocking(move || {
        for file in files {
            file.sync_data().map_err(|e| format!("the reports can't be kept: {e}"))?;
        }
        if settle {
            destination.settle().map_err(|e| format!("the destination can't be settled: {e}"))
        } else {
            Ok(())
        }
    });
    safe.await.and_then(|r| r).map_err(JournalError::Failed)?;
    match journal {
        Some(journal) => journal.record(entry).await,
        None => Ok(Wish::GoOn),
    }
}
