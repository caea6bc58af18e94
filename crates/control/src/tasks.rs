//! Tasks: made, watched, paused, cancelled, forgotten.

use model::{
    Ledger, Progress, Reports, Selection, Task, TaskId, TaskKind, TaskStatus, TransferSpec, Transition,
};

use crate::flows::{check_attributes, check_prefix, check_word, inner_path};
use crate::{
    Caller, Control, Error, ErrorKind, EventsFrom, Live, NewTask, Noun, Page, Result, TaskEvents, TaskFilter,
};

/// Events that are told at once.
const EVENTS_AT_ONCE: u64 = 500;
/// Bytes of all paths that a request may name.
const MAX_SELECTION_BYTES: usize = 4 * 1024 * 1024;

impl Control {
    /// Makes a task. It is stored first and then handed to the engine. A stream is Executing at once.
    ///
    /// # Errors
    /// `NotFound` (flow, file system, object store, stream), `InvalidState` when the flow is not Running or
    /// the stream not Executing, `Exists` when the id is taken, `LimitExceeded`, `BadPath`, `Invalid`.
    pub async fn create_task(&self, c: &Caller, new: NewTask) -> Result<Task> {
        let task = self.checked_task(c, new).await?;
        let waiting = self.0.limits.waiting_tasks;
        self.0.store.insert_task(&task, waiting).await.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => {
                Error::new(ErrorKind::Exists(Noun::Task), format!("task {} exists already", task.id))
            }
            _ => e.into(),
        })?;
        if task.status == TaskStatus::Pending {
            self.0.dispatch.wake();
        }
        Ok(task)
    }

    async fn checked_task(&self, c: &Caller, new: NewTask) -> Result<Task> {
        check_word(new.id.as_str(), "id")?;
        check_attributes(&new.attributes)?;
        let spec = self.checked_spec(new.spec).await?;
        if let Some(id) = &new.flow {
            self.flow(c, id).await?;
        }
        match (&new.parent, new.kind) {
            (Some(id), TaskKind::StreamFile) => drop(self.task(c, id).await?),
            (None, TaskKind::Transfer | TaskKind::Stream) => {}
            _ => {
                let message = "a file of a stream belongs to one, and nothing else does";
                return Err(Error::new(ErrorKind::Invalid, message).field("parent"));
            }
        }
        let now = self.now();
        let stream = new.kind == TaskKind::Stream;
        Ok(Task {
            id: new.id,
            account: c.account.clone(),
            door: new.door,
            kind: new.kind,
            parent: new.parent,
            flow: new.flow,
            file_system: spec.directory.file_system.clone(),
            spec,
            status: if stream { TaskStatus::Executing } else { TaskStatus::Pending },
            error: None,
            ledger: Ledger::default(),
            progress: Progress::default(),
            reports: Reports::default(),
            originator: new.originator,
            attempt: 0,
            name: new.name,
            attributes: new.attributes,
            created: now,
            started: stream.then_some(now),
            ended: None,
        })
    }

    /// What every transfer has to be, done or planned. The directory's root is filled in.
    pub(crate) async fn checked_spec(&self, mut spec: TransferSpec) -> Result<TransferSpec> {
        let fs = self.file_system(&spec.directory.file_system).await?;
        self.object_store(&spec.object.store).await?;
        check_prefix(&spec.object.prefix)?;
        check_selection(&spec.selection)?;
        spec.directory.path = inner_path(&spec.directory.path)?;
        spec.directory.root = fs.root;
        Ok(spec)
    }

    /// One task of the caller's.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn task(&self, c: &Caller, id: &TaskId) -> Result<Task> {
        let found = self.0.store.task(id).await?.filter(|t| c.may_see(&t.account));
        found.ok_or_else(|| Error::not_found(Noun::Task, id))
    }

    /// How far a task is, as of its journal, or where this process runs it as of now. Costs no I/O.
    #[must_use]
    pub fn progress(&self, t: &Task) -> Live {
        let journaled = Live {
            items_found: t.progress.items_found.max(t.ledger.items.read),
            bytes_found: t.progress.bytes_found.max(t.ledger.bytes.read),
            scan_done: t.progress.scan_done,
            items_done: t.ledger.items.settled(),
            bytes_done: t.ledger.bytes.settled(),
        };
        // What has ended is what its record says.
        if t.status.is_final() { journaled } else { self.0.dispatch.live(&t.id).unwrap_or(journaled) }
    }

    /// A page of the caller's tasks that answer the filter, and how many do.
    ///
    /// # Errors
    /// `LimitExceeded` when a list of the filter is too long.
    pub async fn tasks(&self, c: &Caller, f: &TaskFilter, page: Page) -> Result<(Vec<Task>, u64)> {
        let mut filter = f.clone();
        if !c.operator {
            filter.account = Some(c.account.clone());
        }
        Ok(self.0.store.tasks(&filter, page).await?)
    }

    /// Events of one of the caller's tasks, oldest first, at most 500 at once.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn task_events(
        &self,
        c: &Caller,
        id: &TaskId,
        from: EventsFrom,
        limit: u64,
    ) -> Result<TaskEvents> {
        self.task(c, id).await?;
        Ok(self.0.store.events(id, from, limit.min(EVENTS_AT_ONCE)).await?)
    }

    /// Asks a task to stop for good. One that waits is Canceled at once, one at work becomes Canceling.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState`, `InUse` for a stream with files on their way.
    pub async fn cancel_task(&self, c: &Caller, id: &TaskId) -> Result<Task> {
        self.wish(c, id, Transition::Cancel).await
    }

    /// Asks a task to pause.
    ///
    /// # Errors
    /// As [`Control::cancel_task`].
    pub async fn pause_task(&self, c: &Caller, id: &TaskId) -> Result<Task> {
        self.wish(c, id, Transition::Pause).await
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    /// As [`Control::cancel_task`].
    pub async fn resume_task(&self, c: &Caller, id: &TaskId) -> Result<Task> {
        self.wish(c, id, Transition::Resume).await
    }

    async fn wish(&self, c: &Caller, id: &TaskId, t: Transition) -> Result<Task> {
        let before = self.task(c, id).await?;
        let by = format!("by {} {}", if c.operator { "operator" } else { "account" }, c.account);
        let task = self.0.store.wish(id, t, &by, self.now()).await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Task, id),
            // A stream that could go, but for its files.
            store::ErrorKind::Conflict
                if before.kind == TaskKind::Stream && before.status.after(t).is_some() =>
            {
                Error::new(ErrorKind::InUse, e.message())
            }
            _ => e.into(),
        })?;
        match task.status {
            TaskStatus::Pending => self.0.dispatch.wake(),
            _ => self.0.dispatch.signal(id),
        }
        Ok(task)
    }

    /// Forgets a task that has ended, with its receipt and reports.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState` when it has not ended.
    pub async fn delete_task(&self, c: &Caller, id: &TaskId) -> Result<Task> {
        let task = self.task(c, id).await?;
        self.forget(&task).await?;
        Ok(task)
    }

    /// Removes a task's record and then its files, so that a crash in between leaves files, never a record
    /// whose files are gone.
    pub(crate) async fn forget(&self, task: &Task) -> Result<()> {
        let mut folders = vec![task.id.clone()];
        if task.kind == TaskKind::Stream {
            let filter = TaskFilter { parent: Some(task.id.clone()), ..Default::default() };
            let page = Page { limit: 100_000, ..Default::default() };
            folders.extend(self.0.store.tasks(&filter, page).await?.0.into_iter().map(|t| t.id));
        }
        self.0.store.remove_task(&task.id).await?;
        for id in folders {
            let Some(folder) = self.report_folder(&id) else { continue };
            let removed = runtime::blocking(move || std::fs::remove_dir_all(folder)).await;
            if let Ok(Err(e)) = removed
                && e.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(task = %id, error = %e, "the reports of a task could not be removed");
            }
        }
        Ok(())
    }
}

fn check_selection(s: &Selection) -> Result<()> {
    let bytes: usize = match s {
        Selection::All => 0,
        Selection::Includes(v) | Selection::Entries(v) => v.iter().map(String::len).sum(),
        Selection::CsvUnder(v) | Selection::ListFile(v) | Selection::ListUrl(v) => v.len(),
        Selection::One { from, to, .. } => from.len() + to.len(),
    };
    if bytes > MAX_SELECTION_BYTES {
        return Err(Error::new(ErrorKind::LimitExceeded, "too many paths").field("selection"));
    }
    let paths: Vec<&str> = match s {
        Selection::Includes(v) | Selection::Entries(v) => v.iter().map(String::as_str).collect(),
        Selection::ListFile(v) => vec![v],
        Selection::One { from, to, .. } => vec![from, to],
        _ => vec![],
    };
    for path in paths {
        if path.starts_with('/') || crate::folder::names(path)?.is_empty() {
            let message = format!("{path:?} is not a path relative to its end");
            return Err(Error::new(ErrorKind::BadPath, message).field("selection"));
        }
    }
    Ok(())
}
