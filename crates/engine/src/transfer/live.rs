//! Counters that anybody may look at while a run is at work. They are ahead of the account: the
//! account counts what is settled in order, these count what just happened.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use connector::ErrorKind;
use model::Outcome;

use super::notes::Notes;

/// Live counters of one run.
#[derive(Debug, Default)]
pub struct Live {
    pub(crate) items_found: AtomicU64,
    pub(crate) bytes_found: AtomicU64,
    pub(crate) scan_done: AtomicBool,
    pub(crate) written: AtomicU64,
    pub(crate) unchanged: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes_settled: AtomicU64,
    pub(crate) bytes_moved: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) looks: AtomicU64,
    pub(crate) parts: AtomicU64,
    pub(crate) notes: Notes,
}

/// [`Live`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Items listed at the source, over all attempts.
    pub items_found: u64,
    /// Their bytes.
    pub bytes_found: u64,
    /// The two above are totals.
    pub scan_done: bool,
    /// Items written.
    pub written: u64,
    /// Items found unchanged.
    pub unchanged: u64,
    /// Items skipped or filtered.
    pub skipped: u64,
    /// Items that failed.
    pub failed: u64,
    /// Bytes of the items above, moved or not.
    pub bytes_settled: u64,
    /// Bytes read from the source by this attempt, repeated ones included.
    pub bytes_moved: u64,
    /// Slots at work.
    pub in_flight: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Times the destination was looked at with `stat`.
    pub looks: u64,
    /// Parts written (in a dry run: that would be).
    pub parts: u64,
}

impl Snapshot {
    /// Items that have an outcome.
    #[must_use]
    pub fn items_done(&self) -> u64 {
        self.written + self.unchanged + self.skipped + self.failed
    }
}

impl Live {
    /// The fault that a listing of the run is trying to get over at this moment.
    #[must_use]
    pub fn listing_fault(&self) -> Option<(ErrorKind, String)> {
        self.notes.listing_fault()
    }

    /// All counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            items_found: self.items_found.load(Relaxed),
            bytes_found: self.bytes_found.load(Relaxed),
            scan_done: self.scan_done.load(Relaxed),
            written: self.written.load(Relaxed),
            unchanged: self.unchanged.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            failed: self.failed.load(Relaxed),
            bytes_settled: self.bytes_settled.load(Relaxed),
            bytes_moved: self.bytes_moved.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            retries: self.retries.load(Relaxed),
            looks: self.looks.load(Relaxed),
            parts: self.parts.load(Relaxed),
        }
    }

    pub(crate) fn found(&self, items: u64, bytes: u64) {
        self.items_found.fetch_add(items, Relaxed);
        self.bytes_found.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn settled(&self, outcome: Outcome, bytes: u64) {
        let slot = match outcome {
            Outcome::Written => &self.written,
            Outcome::Unchanged => &self.unchanged,
            Outcome::Skipped | Outcome::Filtered => &self.skipped,
            Outcome::Failed | Outcome::DeadLettered => &self.failed,
        };
        slot.fetch_add(1, Relaxed);
        self.bytes_settled.fetch_add(bytes, Relaxed);
    }

    /// Starts from the account of earlier attempts.
    pub(crate) fn carry_over(&self, l: &model::Ledger) {
        self.items_found.store(l.items.read, Relaxed);
        self.bytes_found.store(l.bytes.read, Relaxed);
        self.written.store(l.items.written, Relaxed);
        self.unchanged.store(l.items.unchanged, Relaxed);
        self.skipped.store(l.items.skipped + l.items.filtered, Relaxed);
        self.failed.store(l.items.failed + l.items.dead_lettered, Relaxed);
        self.bytes_settled.store(l.bytes.settled(), Relaxed);
    }
}
