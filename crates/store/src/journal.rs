//! What a run writes down, and what it hears back.

use model::{Event, Ledger, Progress, Receipt, Reports, TaskStatus, Timestamp};

/// A run's place in its work, in the engine's own format. Empty = from the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint(pub Vec<u8>);

/// One line of the journal: everything in it becomes durable together.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Account up to the checkpoint.
    pub ledger: Ledger,
    /// Progress up to the checkpoint.
    pub progress: Progress,
    /// The checkpoint; `None` keeps the stored one (progress alone has moved).
    pub checkpoint: Option<Checkpoint>,
    /// What happened since the entry before.
    pub events: Vec<Event>,
    /// Now. The lease is extended from here.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Finish {
    /// `Completed`, `Failed`, `Canceled` or `Paused`; `Pending` gives the task back for another worker
    /// (orderly shutdown).
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// Final account (of this rest).
    pub ledger: Ledger,
    /// Final progress.
    pub progress: Progress,
    /// Last checkpoint, for `Paused` and `Pending`; `None` keeps the stored one. Final states forget it.
    pub checkpoint: Option<Checkpoint>,
    /// What it can prove.
    pub receipt: Option<Receipt>,
    /// Report files.
    pub reports: Reports,
    /// What happened since the last journal entry; the end itself is told by the store.
    pub events: Vec<Event>,
    /// Now.
    pub at: Timestamp,
}

/// What users want of a running task, as the engine hears it from [`Store::journal`](crate::Store::journal)
/// and [`Store::renew`](crate::Store::renew).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Come to rest, keep the checkpoint: then [`Store::finish`](crate::Store::finish) with `Paused`.
    Pause,
    /// Come to rest for good: then `finish` with `Canceled`.
    Cancel,
}
