//! Tasks as users see them: made, found, wished for, forgotten. Who runs them is in `runs`.

use model::{Event, EventKind, Receipt, Task, TaskId, TaskKind, TaskStatus, Timestamp, Transition};
use sqlx::AssertSqlSafe;

use crate::db::{Durability, Row, Tx, Value, values};
use crate::events::append;
use crate::query::{Conditions, MAX_ATTRIBUTE};
use crate::records::{
    AccountBook, OutcomeRecord, ReceiptRecord, SpecRecord, decode, encode, originator_name, parse_door,
    parse_originator, parse_status, parse_task_kind, task_kind_name,
};
use crate::{Error, ErrorKind, Page, Result, Store, TaskFilter};

/// Columns that make a [`Task`], in the order of [`task`].
macro_rules! select_task {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.account, t.door, t.kind, t.parent, t.flow, t.file_system, t.name, t.originator, t.status, ",
            "t.created, t.started, t.ended, t.attempt, p.record, s.account, s.outcome ",
            "FROM tasks t JOIN task_specs p ON p.task = t.id JOIN task_state s ON s.task = t.id",
            $rest
        )
    };
}

fn task(row: &Row) -> Result<Task> {
    let (spec, attributes) = decode::<SpecRecord>(&row.text(14)?)?.nouns()?;
    let (ledger, progress) = decode::<AccountBook>(&row.text(15)?)?.nouns();
    let (error, reports) = match row.maybe_text(16)? {
        Some(text) => decode::<OutcomeRecord>(&text)?.nouns(),
        None => Default::default(),
    };
    Ok(Task {
        id: row.text(0)?.into(),
        account: row.text(1)?.into(),
        door: parse_door(&row.text(2)?)?,
        kind: parse_task_kind(&row.text(3)?)?,
        parent: row.maybe_text(4)?.map(Into::into),
        flow: row.maybe_text(5)?.map(Into::into),
        file_system: row.text(6)?.into(),
        name: row.text(7)?,
        originator: parse_originator(&row.text(8)?)?,
        status: parse_status(&row.text(9)?)?,
        created: Timestamp(row.int(10)?),
        started: row.maybe_int(11)?.map(Timestamp),
        ended: row.maybe_int(12)?.map(Timestamp),
        attempt: u32::try_from(row.int(13)?).unwrap_or(u32::MAX),
        spec,
        attributes,
        ledger,
        progress,
        error,
        reports,
    })
}

pub(crate) fn missing(id: &TaskId) -> Error {
    Error::new(ErrorKind::NotFound, format!("task {id} does not exist"))
}

/// One task, as this transaction sees it.
pub(crate) async fn task_in(tx: &mut Tx, id: &TaskId) -> Result<Task> {
    let row = tx.row(select_task!(" WHERE t.id = $1"), values![id.as_str()]).await?;
    task(&row.ok_or_else(|| missing(id))?)
}

impl TaskFilter {
    fn conditions(&self) -> Conditions {
        let mut c = Conditions::default();
        c.equal("t.account", self.account.as_ref().map(|a| a.as_str()));
        c.any("t.id", self.ids.iter().map(|i| i.as_str()));
        c.equal("t.door", self.door.map(|d| d.name()));
        c.any("t.kind", self.kinds.iter().map(|k| task_kind_name(*k)));
        c.any("t.flow", self.flows.iter().map(|i| i.as_str()));
        c.equal("t.parent", self.parent.as_ref().map(|i| i.as_str()));
        c.any("t.parent", self.parents.iter().map(|i| i.as_str()));
        c.equal("t.file_system", self.file_system.as_ref().map(|i| i.as_str()));
        c.any("t.status", self.statuses.iter().map(|s| s.name()));
        c.contains("t.name", self.name_like.as_deref());
        c.equal("t.name", self.name.as_deref());
        c.equal("t.originator", self.originator.map(originator_name));
        c.span("t.created", self.created);
        c.span("t.started", self.started);
        c.span("t.ended", self.ended);
        for (key, list) in &self.attributes {
            c.attribute("task_attributes", "task", "t.id", key, list);
        }
        c
    }
}

impl Store {
    /// Stores a new task. `waiting`: tasks of the account that may be pending at once (0 = no limit).
    ///
    /// # Errors
    /// `Exists` when the id is taken; `Limit`; `Conflict` when its flow is gone or not running, or its
    /// stream is gone or has ended.
    pub async fn insert_task(&self, t: &Task, waiting: u32) -> Result<()> {
        let (spec, book) = (encode(&SpecRecord::of(t)?)?, encode(&AccountBook::of(&t.ledger, &t.progress))?);
        let mut tx = self.0.db.begin(Durability::Power).await?;
        check_surroundings(&mut tx, t).await?;
        if t.status == TaskStatus::Pending && waiting > 0 {
            let sql = "SELECT COUNT(*) FROM tasks WHERE account = $1 AND status = 'pending'";
            let count = tx.row(sql, values![t.account.as_str()]).await?;
            crate::places::refuse_if_full(count, waiting, "waiting tasks", &t.account)?;
        }
        let sql = "INSERT INTO tasks (id, account, door, kind, parent, flow, file_system, object_store, name, \
                   originator, status, created, started, ended, attempt, worker, lease_us, lease_until) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, NULL, 0, 0)";
        let row = values![
            t.id.as_str(),
            t.account.as_str(),
            t.door.name(),
            task_kind_name(t.kind),
            t.parent.as_ref().map(|i| i.0.clone()),
            t.flow.as_ref().map(|i| i.0.clone()),
            t.file_system.as_str(),
            t.spec.object.store.as_str(),
            &*t.name,
            originator_name(t.originator),
            t.status.name(),
            t.created.0,
            t.started.map(|x| x.0),
            t.ended.map(|x| x.0),
            t.attempt,
        ];
        tx.execute(sql, row).await?;
        tx.execute("INSERT INTO task_specs (task, record) VALUES ($1, $2)", values![t.id.as_str(), spec])
            .await?;
        let sql = "INSERT INTO task_state (task, account) VALUES ($1, $2)";
        tx.execute(sql, values![t.id.as_str(), book]).await?;
        for (name, value) in t.attributes.iter().filter(|(_, v)| v.len() <= MAX_ATTRIBUTE) {
            let sql = "INSERT INTO task_attributes (task, name, value) VALUES ($1, $2, $3)";
            let row: Vec<Value> = values![t.id.as_str(), &**name, &**value];
            tx.execute(sql, row).await?;
        }
        append(&mut tx, &t.id, t.created, &birth(t)).await?;
        tx.commit().await
    }

    /// One task.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn task(&self, id: &TaskId) -> Result<Option<Task>> {
        let row = self.0.db.row(select_task!(" WHERE t.id = $1"), values![id.as_str()]).await?;
        row.as_ref().map(task).transpose()
    }

    /// A page of the tasks that answer `filter`, and how many do.
    ///
    /// # Errors
    /// `Limit` when a list of the filter has more than 1,000 values.
    pub async fn tasks(&self, filter: &TaskFilter, page: Page) -> Result<(Vec<Task>, u64)> {
        let conditions = filter.conditions();
        let (sql, values) = conditions.count("tasks t")?;
        let count = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        let total = count.first().map(|row| row.int(0)).transpose()?.unwrap_or(0);
        let (sql, values) = conditions.page(select_task!(""), "t.created {WAY}, t.id {WAY}", page)?;
        let rows = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        Ok((rows.iter().map(task).collect::<Result<_>>()?, u64::try_from(total).unwrap_or(0)))
    }

    /// What a user wants of a task: `Pause`, `Resume` or `Cancel`. A stream, which nobody runs, comes to
    /// rest at once. `by` tells in the task's events who wished it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when its state forbids it, or files of the stream are still on their way.
    pub async fn wish(&self, id: &TaskId, t: Transition, by: &str, now: Timestamp) -> Result<Task> {
        for _ in 0..16 {
            let mut tx = self.0.db.begin(Durability::Power).await?;
            let old = task_in(&mut tx, id).await?;
            let refused = || {
                Error::new(
                    ErrorKind::Conflict,
                    format!("task {id} is {}, which does not allow that", old.status.name()),
                )
            };
            let mut new = match t {
                Transition::Pause | Transition::Resume | Transition::Cancel => old.status.after(t),
                _ => None,
            }
            .ok_or_else(refused)?;
            if old.kind == TaskKind::Stream {
                refuse_if_busy(&mut tx, id).await?;
                new = match new {
                    TaskStatus::Canceling => TaskStatus::Canceled,
                    TaskStatus::Pausing => TaskStatus::Paused,
                    TaskStatus::Pending => TaskStatus::Executing,
                    other => other,
                };
            }
            let ended = new.is_final().then_some(now.0);
            let sql = "UPDATE tasks SET status = $3, ended = $4 WHERE id = $1 AND status = $2";
            if tx.execute(sql, values![id.as_str(), old.status.name(), new.name(), ended]).await? == 1 {
                if new.is_final() {
                    let sql = "UPDATE task_state SET checkpoint = NULL WHERE task = $1";
                    tx.execute(sql, values![id.as_str()]).await?;
                }
                append(&mut tx, id, now, &wished(t, by, new)).await?;
                let task = task_in(&mut tx, id).await?;
                tx.commit().await?;
                return Ok(task);
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("task {id} is being changed by others")))
    }

    /// Forgets a task that has ended, with its receipt and, for a stream, its files. `false` = it was not
    /// there.
    ///
    /// # Errors
    /// `Conflict` when it has not ended.
    pub async fn remove_task(&self, id: &TaskId) -> Result<bool> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let row = tx.row("SELECT status FROM tasks WHERE id = $1", values![id.as_str()]).await?;
        let Some(row) = row else { return Ok(false) };
        let status = parse_status(&row.text(0)?)?;
        if !status.is_final() {
            let message = format!("task {id} is {}: it has not ended", status.name());
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        refuse_if_busy(&mut tx, id).await?;
        for sql in [
            "DELETE FROM task_specs WHERE task = $1 OR task IN (SELECT id FROM tasks WHERE parent = $1)",
            "DELETE FROM task_attributes WHERE task = $1 OR task IN (SELECT id FROM tasks WHERE parent = $1)",
            "DELETE FROM task_state WHERE task = $1 OR task IN (SELECT id FROM tasks WHERE parent = $1)",
            "DELETE FROM task_events WHERE task = $1 OR task IN (SELECT id FROM tasks WHERE parent = $1)",
            "DELETE FROM receipts WHERE task = $1 OR task IN (SELECT id FROM tasks WHERE parent = $1)",
            "DELETE FROM tasks WHERE id = $1 OR parent = $1",
        ] {
            tx.execute(sql, values![id.as_str()]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// What a task can prove.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn receipt(&self, id: &TaskId) -> Result<Option<Receipt>> {
        let row = self.0.db.row("SELECT record FROM receipts WHERE task = $1", values![id.as_str()]).await?;
        row.map(|row| Ok(decode::<ReceiptRecord>(&row.text(0)?)?.noun())).transpose()
    }
}

/// The first events of a task.
fn birth(t: &Task) -> Vec<Event> {
    let who = match t.originator {
        model::Originator::User => format!("by account {} through the {} door", t.account, t.door.name()),
        model::Originator::System => "by the server itself".to_owned(),
    };
    let mut events = vec![Event::new(EventKind::Created, &who)];
    if t.status == TaskStatus::Pending {
        events.push(Event::new(EventKind::Queued, "waits for its turn"));
    }
    events
}

/// What a wish that left the task in state `new` has to tell.
fn wished(t: Transition, by: &str, new: TaskStatus) -> Vec<Event> {
    let asked = match t {
        Transition::Pause => EventKind::PauseAsked,
        Transition::Resume => EventKind::ResumeAsked,
        _ => EventKind::CancelAsked,
    };
    let mut events = vec![Event::new(asked, by)];
    match new {
        TaskStatus::Paused => events.push(Event::new(EventKind::Paused, "at once: nobody was at work on it")),
        TaskStatus::Canceled => {
            events.push(Event::new(EventKind::Canceled, "at once: nobody was at work on it"));
        }
        TaskStatus::Pending => events.push(Event::new(EventKind::Queued, "waits for its turn again")),
        _ => {}
    }
    events
}

/// Is what the task belongs to still there and willing? The rows are locked until the task is stored.
async fn check_surroundings(tx: &mut Tx, t: &Task) -> Result<()> {
    let refused = |message: String| Err(Error::new(ErrorKind::Conflict, message));
    if let Some(flow) = &t.flow {
        let sql = "UPDATE flows SET revision = revision WHERE id = $1 RETURNING status";
        match tx.row(sql, values![flow.as_str()]).await? {
            None => return refused(format!("flow {flow} does not exist")),
            Some(row) if row.text(0)? != "running" => {
                return refused(format!("flow {flow} is {}, not running", row.text(0)?));
            }
            Some(_) => {}
        }
    }
    if let Some(parent) = &t.parent {
        let sql =
            "UPDATE tasks SET lease_until = lease_until WHERE id = $1 AND kind = 'stream' RETURNING status";
        match tx.row(sql, values![parent.as_str()]).await? {
            None => return refused(format!("stream {parent} does not exist")),
            Some(row) if row.text(0)? != "executing" => {
                return refused(format!("stream {parent} is {}, not executing", row.text(0)?));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A stream with files on their way keeps its state.
async fn refuse_if_busy(tx: &mut Tx, stream: &TaskId) -> Result<()> {
    let sql = "SELECT id FROM tasks WHERE parent = $1 AND status NOT IN ('canceled', 'completed', 'failed') LIMIT 1";
    match tx.row(sql, values![stream.as_str()]).await? {
        None => Ok(()),
        Some(row) => {
            let message = format!("file {} of stream {stream} is still on its way", row.text(0)?);
            Err(Error::new(ErrorKind::Conflict, message))
        }
    }
}
