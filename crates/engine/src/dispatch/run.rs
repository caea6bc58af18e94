//! One claimed task: its ends, its run, its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connector::{ErrorKind, Tree, TreePath};
use model::{
    Direction, Progress, Receipt, Reports, Selection, Task, TaskKind, TaskStatus, Timestamp, TransferSpec,
};
use runtime::{Clock, Shutdown};
use store::{Checkpoint, Finish, Store};

use super::{Hand, Settings};
use crate::select::{Listed, Place};
use crate::transfer::{self, Compare, Ended, Job, Options, Outcome, Would};
use crate::{Journal, JournalEntry, JournalError, Select, Wish};

/// Runs a claimed task and records how it ended.
pub(super) async fn run(s: &Settings, stop: &Shutdown, task: Task, checkpoint: Checkpoint, hand: Hand) {
    tracing::info!(task = %task.id, attempt = task.attempt, "run");
    let work = async {
        match job(s, &task, checkpoint, hand).await {
            Ok(job) => transfer::run(job).await,
            Err(e) => not_begun(&task, e.kind(), e.to_string()),
        }
    };
    let outcome = while_renewing(s, &task, work).await;
    if outcome.ended == Ended::Fenced {
        tracing::warn!(task = %task.id, attempt = task.attempt, "somebody else runs this task now");
        return;
    }
    let mut finish = finish(s, &task, &outcome);
    if outcome.ended == Ended::Paused && stop.is_stopped() {
        // Resting because the server stops: whoever comes next goes on from the checkpoint.
        finish.status = TaskStatus::Pending;
    }
    tracing::info!(
        task = %task.id,
        status = finish.status.name(),
        items = outcome.ledger.items.read,
        failed = outcome.ledger.items.failed,
        "ended"
    );
    if let Some(detail) = outcome.single
        && let Err(e) = s.store.set_task_attributes(&task.id, task.attempt, attributes(&detail)).await
    {
        tracing::warn!(task = %task.id, "the file's particulars were not recorded: {e}");
    }
    record(s, &task, finish).await;
}

/// Keeps the lease while the run is at work: its ends may take long to open (a fileset with a quota is
/// counted), and a journal entry may wait long for a slow disk.
///
/// Both go on at once: a renewal that waits for the store's one writer must not keep a run from moving that
/// holds it.
async fn while_renewing(s: &Settings, task: &Task, run: impl Future<Output = Outcome>) -> Outcome {
    let renewing = async {
        loop {
            tokio::time::sleep(s.lease.renewed_every).await;
            let now = Timestamp(s.shared.clock.now().0);
            if let Err(e) = s.store.renew(&task.id, task.attempt, now).await {
                tracing::warn!(task = %task.id, "the lease is not renewed: {e}");
            }
        }
    };
    tokio::select! {
        outcome = run => outcome,
        never = renewing => never,
    }
}

/// A run that never came to its first item: nothing was read, the earlier account stands.
fn not_begun(task: &Task, kind: ErrorKind, message: String) -> Outcome {
    Outcome {
        ended: Ended::Failed(kind, message),
        ledger: task.ledger,
        failures: Vec::new(),
        manifest_sha256: None,
        single: None,
        would: Would::default(),
        events: Vec::new(),
        live: transfer::Snapshot::default(),
    }
}

/// Tries for a while: a task whose end is not recorded would be run again for nothing.
async fn record(s: &Settings, task: &Task, finish: Finish) {
    for wait_s in [1, 2, 4, 8] {
        match s.store.finish(&task.id, task.attempt, &finish).await {
            Ok(_) => return,
            Err(e) if matches!(e.kind(), store::ErrorKind::Unavailable) => {
                tracing::warn!(task = %task.id, "the end can't be recorded yet: {e}");
                tokio::time::sleep(std::time::Duration::from_secs(wait_s)).await;
            }
            Err(e) => {
                tracing::error!(task = %task.id, "the end can't be recorded: {e}");
                return;
            }
        }
    }
}

async fn job(s: &Settings, task: &Task, checkpoint: Checkpoint, hand: Hand) -> connector::Result<Job> {
    let object = s.ends.object(&task.spec).await?;
    let directory = s.ends.directory(&task.spec).await?;
    let mut job = job_of(s, &task.spec, object, directory).await?;
    job.options.run = task.id.to_string();
    job.options.crc64_xz = task.kind == TaskKind::StreamFile;
    job.journal = Some(Arc::new(StoreJournal {
        store: s.store.clone(),
        task: task.clone(),
        clock: s.shared.clock.clone(),
    }));
    job.checkpoint = if checkpoint.0.is_empty() { None } else { Some(checkpoint.0) };
    // A stream's files have no reports in the product; their particulars stand in the subtask.
    job.reports = (task.kind == TaskKind::Transfer).then(|| s.reports.join(task.id.as_str()));
    (job.steer, job.live) = (hand.steer, hand.live);
    Ok(job)
}

/// What a task and its plan have in common: the two ends, the selection, the rules.
pub(super) async fn job_of(
    s: &Settings,
    spec: &TransferSpec,
    object: Arc<dyn Tree>,
    directory: Arc<dyn Tree>,
) -> connector::Result<Job> {
    let (source, destination, compare) = match spec.direction {
        Direction::Import => (object, directory, Compare::Stat),
        Direction::Export => (directory, object, Compare::Merge),
    };
    let options = Options::new(spec.conflict, compare);
    let mut job = Job::new(source, destination, options, s.shared.clone());
    job.select = select(s, spec).await?;
    Ok(job)
}

async fn select(s: &Settings, spec: &TransferSpec) -> connector::Result<Select> {
    let path = |text: &str| {
        TreePath::new(text.as_bytes())
            .map_err(|p| connector::Error::new(ErrorKind::Unacceptable, format!("{text}: {}", p.reason())))
    };
    let bytes = |list: &[String]| list.iter().map(|p| p.clone().into_bytes()).collect();
    Ok(match &spec.selection {
        Selection::All => Select::All,
        Selection::Includes(list) => Select::Prefixes(bytes(list)),
        Selection::Entries(list) => Select::Entries(bytes(list)),
        Selection::CsvUnder(prefix) => Select::Listed(Listed {
            tree: s.ends.bucket(spec).await?,
            place: Place::CsvBelow(prefix.clone().into_bytes()),
            strip: source_prefix(spec),
            bucket: spec.object.bucket.clone(),
        }),
        Selection::ListFile(file) => Select::Listed(Listed {
            tree: s.ends.file_system(spec)?,
            place: Place::Lines(path(file)?),
            strip: source_prefix(spec),
            bucket: spec.object.bucket.clone(),
        }),
        Selection::ListUrl(url) => {
            let (tree, place) = s.ends.address(spec, url).await?;
            let place = Place::Lines(place);
            Select::Listed(Listed {
                tree,
                place,
                strip: source_prefix(spec),
                bucket: spec.object.bucket.clone(),
            })
        }
        Selection::One { from, to, condition } => {
            Select::One { from: path(from)?, to: path(to)?, condition: *condition }
        }
    })
}

fn source_prefix(spec: &TransferSpec) -> Vec<u8> {
    match spec.direction {
        Direction::Import => spec.object.prefix.clone().into_bytes(),
        Direction::Export => spec.directory.path.clone().into_bytes(),
    }
}

fn finish(s: &Settings, task: &Task, outcome: &Outcome) -> Finish {
    let at = Timestamp(s.shared.clock.now().0);
    let balance = outcome.ledger.balance();
    let (status, error) = match (&outcome.ended, balance) {
        (Ended::Done, Err(imbalance)) => (TaskStatus::Failed, Some(imbalance.to_string())),
        (Ended::Done, Ok(())) if outcome.is_success() => (TaskStatus::Completed, None),
        (Ended::Done, Ok(())) => (TaskStatus::Failed, Some(failures(outcome))),
        (Ended::Paused, _) => (TaskStatus::Paused, None),
        (Ended::Canceled, _) => (TaskStatus::Canceled, None),
        (Ended::Failed(kind, message), _) => {
            (TaskStatus::Failed, Some(format!("{}: {message}", kind.name())))
        }
        (Ended::Fenced, _) => (TaskStatus::Failed, None),
    };
    let receipt = outcome.manifest_sha256.as_ref().map(|sum| Receipt {
        task: task.id.clone(),
        ledger: outcome.ledger,
        manifest: transfer::MANIFEST.to_owned(),
        manifest_sha256: sum.clone(),
        made: at,
    });
    let reports = if task.kind == TaskKind::Transfer && status.is_final() {
        let has = |name: &str| s.reports.join(task.id.as_str()).join(name).is_file().then(|| name.to_owned());
        Reports {
            total: has(transfer::TOTAL),
            successful: has(transfer::SUCCESSFUL),
            skipped: has(transfer::SKIPPED),
            failed: has(transfer::FAILED),
        }
    } else {
        Reports::default()
    };
    let done = outcome.ended == Ended::Done;
    let progress = Progress {
        items_found: outcome.ledger.items.read.max(if done { 0 } else { outcome.live.items_found }),
        bytes_found: outcome.ledger.bytes.read.max(if done { 0 } else { outcome.live.bytes_found }),
        scan_done: outcome.live.scan_done,
        bytes_per_s: average(task, outcome, at),
        remaining_s: done.then_some(0),
    };
    let events = outcome.events.clone();
    Finish { status, error, ledger: outcome.ledger, progress, checkpoint: None, receipt, reports, events, at }
}

/// Bytes a second over the whole task.
fn average(task: &Task, outcome: &Outcome, at: Timestamp) -> u64 {
    let since = task.started.unwrap_or(task.created);
    let micros = u64::try_from(at.0.saturating_sub(since.0)).unwrap_or(0).max(1);
    outcome.ledger.bytes.written.saturating_mul(1_000_000) / micros
}

fn failures(outcome: &Outcome) -> String {
    let n = outcome.ledger.items.failed + outcome.ledger.items.dead_lettered;
    match outcome.failures.first() {
        Some(f) => format!("{n} items could not be moved; the first: {}: {}", f.path, f.reason),
        None => format!("{n} items could not be moved; see the failed list"),
    }
}

/// What a door shows of a single file, in the product's words.
fn attributes(d: &transfer::FileDetail) -> BTreeMap<String, String> {
    let mut a = BTreeMap::from([
        ("FileDetail.ModifyTime".to_owned(), d.modified_ns.to_string()),
        ("FileDetail.Size".to_owned(), d.size.to_string()),
    ]);
    if let Some(crc) = d.crc64_xz {
        a.insert("FileDetail.Checksum".to_owned(), format!("crc64:{crc}"));
    }
    a
}

/// The store as the run's journal.
struct StoreJournal {
    store: Store,
    task: Task,
    clock: Clock,
}

#[async_trait]
impl Journal for StoreJournal {
    async fn record(&self, entry: JournalEntry) -> Result<Wish, JournalError> {
        let entry = store::JournalEntry {
            ledger: entry.ledger,
            progress: entry.progress,
            checkpoint: Some(Checkpoint(entry.checkpoint)),
            events: entry.events,
            at: Timestamp(self.clock.now().0),
        };
        match self.store.journal(&self.task.id, self.task.attempt, &entry).await {
            Ok(store::Wish::Run) => Ok(Wish::GoOn),
            Ok(store::Wish::Pause) => Ok(Wish::Pause),
            Ok(store::Wish::Cancel) => Ok(Wish::Cancel),
            Err(e) if e.kind() == store::ErrorKind::Fenced => Err(JournalError::Fenced),
            Err(e) => Err(JournalError::Failed(e.to_string())),
        }
    }
}
