//! Moves the items of one tree to another: the heart.
//!
//! ```text
//! planner   lists the source (and, for exports, the destination) in key order, numbers what it meets,
//!           settles what needs no work and puts the rest into the queue
//! slots     a few dozen loops on the lane threads take work from the queue: stat, decide, open, put
//! book      keeps the numbered outcomes until all before them are there, so that the account, the
//!           reports and the checkpoint always speak of one and the same stretch of the listing
//! clerk     once a second settles the destination, flushes the reports and records the checkpoint
//! ```
//!
//! Everything is bounded: the stretch between the first unsettled item and the planner is at most
//! [`Options::window`] items, and every byte in flight is under a lease of the byte budget.
//!
//! Not here: retries of single requests (the connectors do that), what a path or a link means at the
//! destination (the contract says), who runs a task and where its journal is (see [`crate::dispatch`]).

use std::path::PathBuf;
use std::sync::Arc;

use connector::{Digest, ErrorKind, Tree};
use model::{ConflictPolicy, Event, Ledger};
use runtime::{Bandwidth, ByteBudget, Clock};

use crate::{Journal, Lanes, Select, Steer};

mod body;
mod book;
mod check;
mod clerk;
mod content;
mod dir;
mod dry;
mod fault;
mod gate;
mod item;
mod large;
mod live;
mod merge;
mod notes;
mod planner;
mod queue;
mod reports;
mod run;
mod slot;

pub use live::{Live, Snapshot};
pub use reports::{FAILED, MANIFEST, SKIPPED, SUCCESSFUL, TOTAL};
pub use run::run;

/// How the planner learns what the destination has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Lists the destination beside the source and joins the two: for destinations where listing is
    /// cheap and looking is dear (object stores).
    Merge,
    /// Looks at each item on the lane that will write it: for directories. Also keeps a file `a` and
    /// a file `a/b` apart, which can't both exist there: the first in key order stays, the other fails.
    Stat,
}

/// Settings of one run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do where the destination already has the name.
    pub conflict: ConflictPolicy,
    /// Tag of the run that goes into the stamps (a task id); empty = none.
    pub run: String,
    /// How to learn what the destination has.
    pub compare: Compare,
    /// Items up to this many bytes are written whole, larger ones in parts.
    pub whole_up_to: u64,
    /// Smallest part size in bytes. Items of more than 16 parts get parts of up to four times the size, and
    /// larger ones still where there would be more than 10,000.
    pub part_size: u64,
    /// Most requests in flight per lane; a run starts with [`Options::in_flight_start`] and adapts.
    pub in_flight_max: usize,
    /// Requests in flight per lane at the start.
    pub in_flight_start: usize,
    /// Most items between the first unsettled one and the planner.
    pub window: usize,
    /// Move directories and their metadata too.
    pub directories: bool,
    /// Ask the source's listing for extended attributes.
    pub xattrs: bool,
    /// Read everything back after it was written and compare digests.
    pub verify: bool,
    /// Settle the destination (for a directory: flush to disk) before anything counts as done.
    pub durable: bool,
    /// Decide, but write nothing.
    pub dry_run: bool,
    /// Compute CRC-64/XZ of a single file as well ([`FileDetail::crc64_xz`]).
    pub crc64_xz: bool,
    /// Milliseconds between two journal entries.
    pub journal_every_ms: u64,
    /// Milliseconds that items in flight may take to end after a pause or cancel.
    pub grace_ms: u64,
    /// Attempts per item before a passing error counts as its outcome.
    pub attempts: u32,
    /// Delay before the second attempt in ms; doubles each time, at most 5 s.
    pub retry_ms: u64,
}

impl Options {
    /// Defaults for `conflict` with this way to compare.
    #[must_use]
    pub fn new(conflict: ConflictPolicy, compare: Compare) -> Self {
        Self {
            conflict,
            run: String::new(),
            compare,
            whole_up_to: 16 << 20,
            part_size: 16 << 20,
            in_flight_max: 32,
            in_flight_start: 8,
            window: 8192,
            directories: true,
            xattrs: true,
            verify: false,
            durable: true,
            dry_run: false,
            crc64_xz: false,
            journal_every_ms: 1000,
            grace_ms: 5000,
            attempts: 4,
            retry_ms: 200,
        }
    }
}

/// What runs share: threads, the byte budget, the bandwidth limit, the clock.
#[derive(Clone)]
pub struct Shared {
    /// Lane threads.
    pub lanes: Lanes,
    /// Bytes in flight over all runs.
    pub budget: ByteBudget,
    /// Bytes a second over all runs.
    pub bandwidth: Bandwidth,
    /// Time.
    pub clock: Clock,
}

/// One run of a transfer.
pub struct Job {
    /// Where from.
    pub source: Arc<dyn Tree>,
    /// Where to.
    pub destination: Arc<dyn Tree>,
    /// Which items.
    pub select: Select,
    /// Settings.
    pub options: Options,
    /// What runs share.
    pub shared: Shared,
    /// Where steps are recorded; `None` = the run can't be resumed, only repeated.
    pub journal: Option<Arc<dyn Journal>>,
    /// What an earlier attempt recorded last.
    pub checkpoint: Option<Vec<u8>>,
    /// Folder for manifest and lists; made if missing. `None` = none are written.
    pub reports: Option<PathBuf>,
    /// Pause and cancel.
    pub steer: Steer,
    /// Counters to look at while it runs.
    pub live: Arc<Live>,
}

impl Job {
    /// A run of everything with no journal and no reports: what `wharf copy` needs.
    #[must_use]
    pub fn new(source: Arc<dyn Tree>, destination: Arc<dyn Tree>, options: Options, shared: Shared) -> Self {
        Self {
            source,
            destination,
            select: Select::All,
            options,
            shared,
            journal: None,
            checkpoint: None,
            reports: None,
            steer: Steer::default(),
            live: Arc::default(),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was listed has an outcome, and the account balances. Some outcomes may be failures.
    Done,
    /// Resting after a pause; the last checkpoint goes on from here.
    Paused,
    /// Stopped for good.
    Canceled,
    /// An error that speaks of a whole end stopped it.
    Failed(ErrorKind, String),
    /// Another worker has the task; nothing more was recorded.
    Fenced,
}

/// A single file's particulars ([`Select::One`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDetail {
    /// Source's modification time, ns since the epoch.
    pub modified_ns: i64,
    /// Bytes.
    pub size: u64,
    /// Digest, when it is known.
    pub digest: Option<Digest>,
    /// CRC-64/XZ of the content, when it was asked for and every byte passed through this run.
    pub crc64_xz: Option<u64>,
}

/// An item that could not be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For people: see [`connector::TreePath::display`].
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a dry run counts beside its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Would {
    /// Files and links that would be written.
    pub files: u64,
    /// Of these: written over something with other content.
    pub overwritten: u64,
    /// Of these: larger than [`Options::whole_up_to`].
    pub large: u64,
    /// Parts of the large ones.
    pub parts: u64,
    /// Directories that would be made or given their metadata.
    pub directories: u64,
    /// Files and links that the destination has and that policy leaves alone.
    pub kept: u64,
}

/// What a run has to say at its end.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Account over all attempts.
    pub ledger: Ledger,
    /// The first failures, at most 100; the rest is in the failed list.
    pub failures: Vec<Failure>,
    /// SHA-256 of the manifest in hex, when one was written and the run is done.
    pub manifest_sha256: Option<String>,
    /// Only for [`Select::One`].
    pub single: Option<FileDetail>,
    /// Only of a dry run.
    pub would: Would,
    /// What happened since the last entry of the journal.
    pub events: Vec<Event>,
    /// Counters at the end.
    pub live: Snapshot,
}

impl Outcome {
    /// Done, and nothing failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.ended == Ended::Done && self.ledger.items.failed == 0 && self.ledger.items.dead_lettered == 0
    }
}
