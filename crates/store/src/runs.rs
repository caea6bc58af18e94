//! Runs: who has a task, for how long, and what the run writes down.
//!
//! A run is named by its attempt number. [`Store::claim_next`] counts it up in the same statement that
//! takes the task, so two workers can't both have taken it; every later write names the attempt and
//! changes nothing when the task has moved on ([`ErrorKind::Fenced`]). A lease only says when a silent
//! worker may be replaced; safety comes from the attempt, not from clocks.

use std::collections::BTreeMap;

use model::{Event, EventKind, Ledger, TaskId, TaskStatus, Timestamp, Transition};

use crate::db::{Durability, Tx, Value, values};
use crate::events::{account_words, append, tell};
use crate::records::{AccountBook, OutcomeRecord, ReceiptRecord, decode, encode, parse_status};
use crate::tasks::task_in;
use crate::{Checkpoint, Error, ErrorKind, Finish, JournalEntry, Result, Store, Wish};

/// Silent runs that were asked to stop have stopped.
const REST_SILENT: &str = "UPDATE tasks SET \
    status = CASE status WHEN 'pausing' THEN 'paused' ELSE 'canceled' END, \
    ended = CASE status WHEN 'pausing' THEN ended ELSE $1 END, worker = NULL \
    WHERE status IN ('pausing', 'canceling') AND kind <> 'stream' AND lease_until < $1 RETURNING id, status";

/// Takes over the oldest run that has gone silent.
const CLAIM_SILENT: &str = "UPDATE tasks SET attempt = attempt + 1, worker = $1, lease_us = $2, lease_until = $3 \
    WHERE status = 'executing' AND lease_until < $4 AND id = (SELECT t.id FROM tasks t \
        WHERE t.status = 'executing' AND t.kind <> 'stream' AND t.lease_until < $4 \
        ORDER BY t.created, t.id LIMIT 1) \
    RETURNING id";

/// Takes the oldest task that waits and whose flow has room.
const CLAIM_WAITING: &str = "UPDATE tasks SET status = 'executing', attempt = attempt + 1, worker = $1, \
    lease_us = $2, lease_until = $3, started = COALESCE(started, $4) \
    WHERE status = 'pending' AND id = (SELECT t.id FROM tasks t \
        WHERE t.status = 'pending' AND t.kind <> 'stream' \
        AND ($5 = 0 OR t.flow IS NULL OR t.kind <> 'transfer' OR (SELECT COUNT(*) FROM tasks r \
            WHERE r.flow = t.flow AND r.kind = 'transfer' \
            AND r.status IN ('executing', 'pausing', 'canceling')) < $5) \
        ORDER BY t.created, t.id LIMIT 1) \
    RETURNING id";

/// Is there anything to take? A look costs no write lock.
const ANYTHING: &str = "SELECT 1 FROM tasks WHERE kind <> 'stream' AND (status = 'pending' \
    OR (status IN ('executing', 'pausing', 'canceling') AND lease_until < $1)) LIMIT 1";

impl Store {
    /// Takes the oldest run whose worker's lease has run out, else the oldest task that waits; `attempt` is
    /// one more than before. One worker only gets it. `worker` names this run of the process (unique per
    /// start). Streams are never given out.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn claim_next(
        &self,
        worker: &str,
        now: Timestamp,
        lease_us: i64,
    ) -> Result<Option<(model::Task, Checkpoint)>> {
        // Lost races are rare; whoever loses this often is woken again anyway.
        for _ in 0..3 {
            if self.0.db.rows(ANYTHING, vec![Value::Int(now.0)]).await?.is_empty() {
                return Ok(None);
            }
            let mut tx = self.0.db.begin(Durability::Power).await?;
            rest_silent(&mut tx, now).await?;
            let until = now.0.saturating_add(lease_us);
            let mut taken = tx.row(CLAIM_SILENT, values![worker, lease_us, until, now.0]).await?;
            let silent = taken.is_some();
            if taken.is_none() {
                let limit = self.0.options.tasks_per_flow;
                taken = tx.row(CLAIM_WAITING, values![worker, lease_us, until, now.0, limit]).await?;
            }
            let Some(row) = taken else {
                tx.commit().await?;
                if self.0.db.is_ours_alone() {
                    return Ok(None);
                }
                continue;
            };
            let id = TaskId(row.text(0)?);
            let task = task_in(&mut tx, &id).await?;
            let checkpoint = checkpoint_in(&mut tx, &id).await?;
            let begun = beginning(&task, worker, lease_us, silent, &checkpoint);
            append(&mut tx, &id, now, &[begun]).await?;
            tx.commit().await?;
            return Ok(Some((task, checkpoint)));
        }
        Ok(None)
    }

    /// Ends the leases of a worker that is known to be gone, so that `claim_next` gives its tasks out at
    /// once; `None` = of every worker (a SQLite file has one process: call it at start). Returns how many.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn release_leases(&self, worker: Option<&str>, now: Timestamp) -> Result<u64> {
        let ended = now.0.saturating_sub(1);
        match worker {
            Some(worker) => {
                let sql = "UPDATE tasks SET lease_until = $2 WHERE worker = $1 AND lease_until > $2";
                self.0.db.execute(sql, values![worker, ended]).await
            }
            None => {
                let sql = "UPDATE tasks SET lease_until = $1 WHERE worker IS NOT NULL AND lease_until > $1";
                self.0.db.execute(sql, values![ended]).await
            }
        }
    }

    /// Writes ledger, progress, checkpoint and events in one transaction, extends the lease, and tells what users
    /// want of the task.
    ///
    /// Survives a crash of the process at once. A power cut may take the last entries back, whole and in
    /// order; [`Store::finish`] survives it.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the task's current run.
    pub async fn journal(&self, id: &TaskId, attempt: u32, e: &JournalEntry) -> Result<Wish> {
        let book = encode(&AccountBook::of(&e.ledger, &e.progress))?;
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let status = hold(&mut tx, id, attempt, e.at).await?;
        let checkpoint = e.checkpoint.as_ref().map(|c| c.0.clone());
        let sql = "UPDATE task_state SET account = $2, checkpoint = COALESCE($3, checkpoint) WHERE task = $1";
        tx.execute(sql, vec![id.as_str().into(), book.into(), Value::MaybeBytes(checkpoint)]).await?;
        append(&mut tx, id, e.at, &e.events).await?;
        tx.commit().await?;
        Ok(wish(status))
    }

    /// Extends the lease alone, and tells what users want of the task.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the task's current run.
    pub async fn renew(&self, id: &TaskId, attempt: u32, now: Timestamp) -> Result<Wish> {
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let status = hold(&mut tx, id, attempt, now).await?;
        tx.commit().await?;
        Ok(wish(status))
    }

    /// Until when a task's run counts as alive without a further word; `None` when nobody runs it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn leased_until(&self, id: &TaskId) -> Result<Option<Timestamp>> {
        let sql = "SELECT lease_until FROM tasks WHERE id = $1";
        let row = self.0.db.row(sql, values![id.as_str()]).await?;
        let until = row.ok_or_else(|| crate::tasks::missing(id))?.int(0)?;
        Ok((until > 0).then_some(Timestamp(until)))
    }

    /// Ends a run. A run that rests (`Paused`) after the user changed their mind waits for its turn again
    /// (`Pending`), or is `Canceled`: the answer is the task as it is now.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the task's current run; `Unbalanced` when a ledger that does not
    /// balance, or counts failures, was to be stored as `Completed`; `Conflict` when the task's state does
    /// not allow `f.status`.
    pub async fn finish(&self, id: &TaskId, attempt: u32, f: &Finish) -> Result<model::Task> {
        check_balance(id, f)?;
        let (book, outcome) = (
            encode(&AccountBook::of(&f.ledger, &f.progress))?,
            encode(&OutcomeRecord::of(f.error.as_deref(), &f.reports))?,
        );
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let old = hold(&mut tx, id, attempt, f.at).await?;
        let new = rest(old, f.status).ok_or_else(|| {
            let message = format!("task {id} is {}: it can't become {}", old.name(), f.status.name());
            Error::new(ErrorKind::Conflict, message)
        })?;
        let ended = new.is_final().then_some(f.at.0);
        let sql = "UPDATE tasks SET status = $2, ended = $3, worker = NULL, lease_until = 0 WHERE id = $1";
        tx.execute(sql, values![id.as_str(), new.name(), ended]).await?;
        let keep = i64::from(!new.is_final());
        let sql = "UPDATE task_state SET account = $2, outcome = $3, \
                   checkpoint = CASE WHEN $5 = 1 THEN COALESCE($4, checkpoint) ELSE NULL END WHERE task = $1";
        let checkpoint = Value::MaybeBytes(f.checkpoint.as_ref().map(|c| c.0.clone()));
        let row = vec![id.as_str().into(), book.into(), outcome.into(), checkpoint, keep.into()];
        tx.execute(sql, row).await?;
        if let Some(receipt) = f.receipt.as_ref().filter(|_| new.is_final()) {
            let sql = "INSERT INTO receipts (task, made, record) VALUES ($1, $2, $3) \
                       ON CONFLICT (task) DO UPDATE SET made = excluded.made, record = excluded.record";
            let record = encode(&ReceiptRecord::of(receipt))?;
            tx.execute(sql, values![id.as_str(), receipt.made.0, record]).await?;
        }
        append(&mut tx, id, f.at, &f.events).await?;
        append(&mut tx, id, f.at, &[ending(new, f)]).await?;
        let task = task_in(&mut tx, id).await?;
        if let Some(parent) = task.parent.as_ref().filter(|_| new.is_final()) {
            add_to_parent(&mut tx, parent, &f.ledger).await?;
        }
        tx.commit().await?;
        Ok(task)
    }

    /// Adds what a run learned of its task in its door's words (a single file's particulars). Existing
    /// names are replaced.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the task's current run.
    pub async fn set_task_attributes(
        &self,
        id: &TaskId,
        attempt: u32,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let mut task = task_in(&mut tx, id).await?;
        if task.attempt != attempt {
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("run {attempt} of task {id} is no longer the current one"),
            ));
        }
        task.attributes.extend(attributes);
        let record = encode(&crate::records::SpecRecord::of(&task)?)?;
        tx.execute("UPDATE task_specs SET record = $2 WHERE task = $1", values![id.as_str(), record]).await?;
        tx.commit().await
    }

    /// No other process can have this store open (a SQLite file): at a start every lease is a dead one's.
    #[must_use]
    pub fn is_single_process(&self) -> bool {
        matches!(self.0.db, crate::db::Db::Sqlite(_))
    }

    /// The stored checkpoint; empty when there is none.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn checkpoint(&self, id: &TaskId) -> Result<Checkpoint> {
        let sql = "SELECT checkpoint FROM task_state WHERE task = $1";
        let row = self.0.db.row(sql, values![id.as_str()]).await?;
        let row = row.ok_or_else(|| crate::tasks::missing(id))?;
        Ok(Checkpoint(row.maybe_bytes(0)?.unwrap_or_default()))
    }
}

/// Silent runs that were asked to stop have stopped.
async fn rest_silent(tx: &mut Tx, now: Timestamp) -> Result<()> {
    for row in tx.rows(REST_SILENT, values![now.0]).await? {
        let (id, status) = (TaskId(row.text(0)?), parse_status(&row.text(1)?)?);
        let kind = if status == TaskStatus::Paused { EventKind::Paused } else { EventKind::Canceled };
        tell(tx, &id, now, kind, "its run went silent while it was coming to rest").await?;
    }
    Ok(())
}

fn beginning(task: &model::Task, worker: &str, lease_us: i64, silent: bool, from: &Checkpoint) -> Event {
    let mut words = format!("attempt {} on {worker}, lease {} s", task.attempt, lease_us / 1_000_000);
    if silent {
        words.push_str("; the run before went silent and its lease ended");
    }
    if !from.0.is_empty() {
        words.push_str("; goes on from its checkpoint: ");
        words.push_str(&account_words(&task.ledger));
    }
    Event::new(if silent { EventKind::TakenOver } else { EventKind::Started }, &words)
}

fn ending(new: TaskStatus, f: &Finish) -> Event {
    let account = account_words(&f.ledger);
    let (kind, words) = match new {
        TaskStatus::Completed => (EventKind::Completed, account),
        TaskStatus::Canceled => (EventKind::Canceled, account),
        TaskStatus::Paused => (EventKind::Paused, account),
        TaskStatus::Failed => {
            // The account stands first: it has to survive when a long reason is cut.
            (EventKind::Failed, format!("{account}; {}", f.error.as_deref().unwrap_or("no reason was given")))
        }
        _ => (EventKind::Queued, format!("came to rest and waits for its turn again; {account}")),
    };
    Event::new(kind, &words)
}

/// Locks the task for this transaction if `attempt` is its current run, extends the lease, and tells its
/// state.
async fn hold(tx: &mut Tx, id: &TaskId, attempt: u32, now: Timestamp) -> Result<TaskStatus> {
    let sql = "UPDATE tasks SET lease_until = $3 + lease_us WHERE id = $1 AND attempt = $2 \
               AND status IN ('executing', 'pausing', 'canceling') RETURNING status";
    match tx.row(sql, values![id.as_str(), attempt, now.0]).await? {
        Some(row) => parse_status(&row.text(0)?),
        None => Err(Error::new(
            ErrorKind::Fenced,
            format!("run {attempt} of task {id} is no longer the current one"),
        )),
    }
}

fn wish(status: TaskStatus) -> Wish {
    match status {
        TaskStatus::Pausing => Wish::Pause,
        TaskStatus::Canceling => Wish::Cancel,
        _ => Wish::Run,
    }
}

/// The state in which a run that is in state `old` leaves its task when it says `said`.
fn rest(old: TaskStatus, said: TaskStatus) -> Option<TaskStatus> {
    use TaskStatus as S;
    match said {
        S::Completed => old.after(Transition::Complete),
        S::Failed => old.after(Transition::Fail),
        S::Canceled => {
            if old == S::Canceling {
                old.after(Transition::Rest)
            } else {
                None
            }
        }
        S::Paused | S::Pending => match old {
            S::Executing => Some(S::Pending),
            S::Pausing | S::Canceling => old.after(Transition::Rest),
            _ => None,
        },
        _ => None,
    }
}

fn check_balance(id: &TaskId, f: &Finish) -> Result<()> {
    if f.status != TaskStatus::Completed {
        return Ok(());
    }
    let refuse = |message: String| Err(Error::new(ErrorKind::Unbalanced, format!("task {id}: {message}")));
    if let Err(off) = f.ledger.balance() {
        return refuse(off.to_string());
    }
    match f.ledger.items.failed + f.ledger.items.dead_lettered {
        0 => Ok(()),
        n => refuse(format!("{n} items failed")),
    }
}

async fn checkpoint_in(tx: &mut Tx, id: &TaskId) -> Result<Checkpoint> {
    let row = tx.row("SELECT checkpoint FROM task_state WHERE task = $1", values![id.as_str()]).await?;
    let bytes = row.map(|row| row.maybe_bytes(0)).transpose()?.flatten();
    Ok(Checkpoint(bytes.unwrap_or_default()))
}

/// A stream's account is the sum of its files' accounts.
async fn add_to_parent(tx: &mut Tx, parent: &TaskId, ledger: &Ledger) -> Result<()> {
    let sql = "UPDATE task_state SET account = account WHERE task = $1 RETURNING account";
    let Some(row) = tx.row(sql, values![parent.as_str()]).await? else { return Ok(()) };
    let (mut sum, mut progress) = decode::<AccountBook>(&row.text(0)?)?.nouns();
    sum.merge(ledger);
    progress.items_found = sum.items.read;
    progress.bytes_found = sum.bytes.read;
    let book = encode(&AccountBook::of(&sum, &progress))?;
    tx.execute("UPDATE task_state SET account = $2 WHERE task = $1", values![parent.as_str(), book]).await?;
    Ok(())
}
