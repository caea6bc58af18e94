//! The local dispatcher: takes tasks from the store and runs them over the shared lanes.
//!
//! A loop claims what waits, up to a number of tasks at once; each run writes its journal under its
//! attempt number, so a run that lost its task (a lease that ran out, a second server on the same
//! database) is fenced off and stops without a further word. What users wish meanwhile (pause, cancel)
//! comes back from the journal, or at once through [`Local::signal`].
//!
//! After a crash nothing has to be told: the leases of the dead process are ended at the start, and its
//! tasks are claimed again from their checkpoints. An orderly stop gives them back in the same state.

mod counted;
mod plan;
mod run;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Tree, TreePath};
use model::{Task, TaskId, Timestamp, TransferSpec};
use runtime::{Random, Shutdown, TaskKind};
use store::{Checkpoint, Store};
use tokio::sync::{Notify, Semaphore};

use crate::transfer::{Live, Shared, Snapshot};
use crate::{Steer, Wish};

/// How often the store is asked for work when nobody woke us (tasks of other servers, ended leases).
const LOOK: Duration = Duration::from_secs(5);
/// How long runs may take to come to rest at a stop.
const REST: Duration = Duration::from_secs(20);

/// Where a transfer's two ends and its lists come from: the binary names the connectors.
#[async_trait]
pub trait Ends: Send + Sync + 'static {
    /// The bucket's side.
    ///
    /// # Errors
    /// `NotFound` no such endpoint, `Denied` the stored secret can't be opened.
    async fn object(&self, spec: &TransferSpec) -> connector::Result<Arc<dyn Tree>>;

    /// The directory's side; made when the spec says so.
    ///
    /// # Errors
    /// As opening the directory.
    async fn directory(&self, spec: &TransferSpec) -> connector::Result<Arc<dyn Tree>>;

    /// The directory's side as it is: for looking, never made. `None` = it is not there, and a run would
    /// make it.
    ///
    /// # Errors
    /// As opening the directory; `NotFound` when a run would not make it either.
    fn present_directory(&self, spec: &TransferSpec) -> connector::Result<Option<Arc<dyn Tree>>>;

    /// The whole bucket, where lists of names lie.
    ///
    /// # Errors
    /// As [`Ends::object`].
    async fn bucket(&self, spec: &TransferSpec) -> connector::Result<Arc<dyn Tree>>;

    /// The whole file system, where lists of names lie.
    ///
    /// # Errors
    /// As [`Ends::directory`].
    fn file_system(&self, spec: &TransferSpec) -> connector::Result<Arc<dyn Tree>>;

    /// The object behind an address, as a tree and a path in it.
    ///
    /// # Errors
    /// `NotFound` when no endpoint of the catalogue answers for the address.
    async fn address(&self, spec: &TransferSpec, url: &str) -> connector::Result<(Arc<dyn Tree>, TreePath)>;
}

/// What a dispatcher is made of.
pub struct Settings {
    /// Tasks and their journal.
    pub store: Store,
    /// Connectors.
    pub ends: Arc<dyn Ends>,
    /// Threads, budgets, clock.
    pub shared: Shared,
    /// Folder of the report files: `<reports>/<task>/`.
    pub reports: PathBuf,
    /// Tasks that run at once.
    pub concurrent: usize,
    /// When others may take over.
    pub lease: Lease,
}

/// How long a worker may be silent, and how often one that is at work says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// A silent worker is replaced after this long.
    pub length: Duration,
    /// Well inside the length.
    pub renewed_every: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self { length: Duration::from_secs(30), renewed_every: Duration::from_secs(8) }
    }
}

/// The dispatcher. Clones share everything.
#[derive(Clone)]
pub struct Local(Arc<Inner>);

struct Inner {
    settings: Settings,
    worker: String,
    woken: Notify,
    stop: Shutdown,
    room: Arc<Semaphore>,
    running: Mutex<HashMap<TaskId, Hand>>,
}

/// What can be done to a task that this process runs, and what can be seen of it.
#[derive(Clone, Default)]
struct Hand {
    steer: Steer,
    live: Arc<Live>,
}

impl Local {
    /// Ends the leases of earlier processes (SQLite has one process) and starts claiming.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn start(settings: Settings) -> store::Result<Self> {
        let now = Timestamp(settings.shared.clock.now().0);
        if settings.store.is_single_process() {
            settings.store.release_leases(None, now).await?;
        }
        let inner = Inner {
            worker: format!("local-{}", Random::system().hex(12)),
            woken: Notify::new(),
            stop: Shutdown::new(),
            room: Arc::new(Semaphore::new(settings.concurrent.max(1))),
            running: Mutex::default(),
            settings,
        };
        let local = Self(Arc::new(inner));
        runtime::spawn(TaskKind::Dispatch, local.clone().claim());
        Ok(local)
    }

    /// There may be a task to take.
    pub fn wake(&self) {
        self.0.woken.notify_one();
    }

    /// A user changed what is wanted of this task: the run is told at once.
    pub fn signal(&self, task: &TaskId) {
        let Some(Hand { steer, .. }) = self.hand(task) else {
            self.wake();
            return;
        };
        let (inner, task) = (self.0.clone(), task.clone());
        runtime::spawn(TaskKind::Dispatch, async move {
            let Ok(Some(now)) = inner.settings.store.task(&task).await else { return };
            match now.status {
                model::TaskStatus::Pausing => steer.wish(Wish::Pause),
                model::TaskStatus::Canceling => steer.wish(Wish::Cancel),
                _ => {}
            }
        });
    }

    /// Takes no more tasks and lets the running ones come to rest; they go on at the next start.
    pub async fn stop(&self) {
        self.0.stop.stop();
        if let Ok(running) = self.0.running.lock() {
            for hand in running.values() {
                hand.steer.wish(Wish::Pause);
            }
        }
        let all = u32::try_from(self.0.settings.concurrent.max(1)).unwrap_or(u32::MAX);
        if tokio::time::timeout(REST, self.0.room.acquire_many(all)).await.is_err() {
            tracing::warn!("tasks did not come to rest in {REST:?}; they go on from their last checkpoint");
        }
    }

    /// The counters of a task that this process runs at this moment: ahead of its journal.
    #[must_use]
    pub fn live(&self, task: &TaskId) -> Option<Snapshot> {
        Some(self.hand(task)?.live.snapshot())
    }

    fn hand(&self, task: &TaskId) -> Option<Hand> {
        self.0.running.lock().ok()?.get(task).cloned()
    }

    async fn claim(self) {
        let inner = &self.0;
        loop {
            let room = tokio::select! {
                () = inner.stop.stopped() => return,
                room = inner.room.clone().acquire_owned() => room,
            };
            let Ok(room) = room else { return };
            let now = Timestamp(inner.settings.shared.clock.now().0);
            let lease = i64::try_from(inner.settings.lease.length.as_micros()).unwrap_or(i64::MAX);
            match inner.settings.store.claim_next(&inner.worker, now, lease).await {
                Ok(Some((task, checkpoint))) if !inner.stop.is_stopped() => {
                    let this = self.clone();
                    runtime::spawn(TaskKind::RunTask, async move {
                        this.run(task, checkpoint).await;
                        drop(room);
                        this.wake();
                    });
                    continue;
                }
                // Claimed in the moment of the stop: the lease is ended at the next start.
                Ok(_) => {}
                Err(e) => tracing::warn!("no task can be claimed now: {e}"),
            }
            drop(room);
            tokio::select! {
                () = inner.stop.stopped() => return,
                () = inner.woken.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn run(&self, task: Task, checkpoint: Checkpoint) {
        let hand = Hand::default();
        let id = task.id.clone();
        let live = hand.live.clone();
        if let Ok(mut running) = self.0.running.lock() {
            running.insert(id.clone(), hand.clone());
        }
        // A stop or a signal may have come before the entry above.
        if self.0.stop.is_stopped() {
            hand.steer.wish(Wish::Pause);
        }
        Box::pin(run::run(&self.0.settings, &self.0.stop, task, checkpoint, hand)).await;
        // A later attempt, after this one was fenced, has put its own hand there.
        if let Ok(mut running) = self.0.running.lock()
            && running.get(&id).is_some_and(|h| Arc::ptr_eq(&h.live, &live))
        {
            running.remove(&id);
        }
    }
}
