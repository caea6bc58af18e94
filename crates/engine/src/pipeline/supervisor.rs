//! The supervisor: takes pipelines from the store and runs each on threads of its own.
//!
//! As with tasks ([`crate::dispatch`]), the attempt number fences off a run that lost its pipeline, and a crash needs no telling.
//! Pipelines share the byte budget and nothing else; the windows of all lanes fill at most half of it, and each has a
//! share of its own, so a slow sink can't starve a fast one ([`super::window`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Pipeline, PipelineId, PipelineStatus};
use runtime::{ByteBudget, Clock, Random, Shutdown, TaskKind};
use tokio::sync::{Notify, Semaphore};

use super::run::{self, REST};
use super::window::Windows;
use super::{Catalogue, DeadDesk, Live, Pipelines, Snapshot, Trouble};
use crate::dispatch::Lease;

/// How often the store is asked for work when nobody woke us.
const LOOK: Duration = Duration::from_secs(5);

/// What a supervisor is made of.
pub struct Settings {
    /// Pipelines and their journal.
    pub pipelines: Arc<dyn Pipelines>,
    /// Dead letters.
    pub desk: Arc<dyn DeadDesk>,
    /// Connectors.
    pub catalogue: Arc<dyn Catalogue>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Bytes in flight, shared with everything in the process.
    pub budget: ByteBudget,
    /// Pipelines that run at once.
    pub concurrent: usize,
    /// Lanes of one pipeline at most (the cores, say).
    pub lanes: u32,
    /// Lanes beyond the first of each pipeline, over all of them.
    pub spare_lanes: usize,
    /// When others may take over.
    pub lease: Lease,
    /// Pauses before a failed lane is started anew.
    pub pauses: Pauses,
}

/// Pauses that double from the first to the last, each shortened by up to a half by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub last: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), last: Duration::from_secs(60) }
    }
}

impl Settings {
    /// Bytes that lanes may hold: all together at most half of the budget; the other half is for what sinks make of them.
    fn windows(&self) -> Windows {
        let lanes = (self.concurrent.max(1) + self.spare_lanes) as u64;
        Windows::new(self.budget.total() / 2, lanes)
    }
}

/// The supervisor. Clones share everything.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    settings: Settings,
    worker: String,
    woken: Notify,
    stop: Shutdown,
    room: Arc<Semaphore>,
    spare: Semaphore,
    windows: Windows,
    running: Mutex<HashMap<PipelineId, Hand>>,
}

/// What can be done to a pipeline that this process runs, and what can be seen of it.
#[derive(Clone)]
pub(super) struct Hand {
    pub rest: Shutdown,
    pub live: Arc<Live>,
    /// Those of all pipelines.
    pub windows: Windows,
}

impl Supervisor {
    /// Ends the leases of earlier processes (where the store has one process) and starts claiming.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn start(settings: Settings) -> Result<Self, Trouble> {
        settings.pipelines.release().await?;
        let inner = Inner {
            worker: format!("local-{}", settings.random.hex(12)),
            woken: Notify::new(),
            stop: Shutdown::new(),
            room: Arc::new(Semaphore::new(settings.concurrent.max(1))),
            spare: Semaphore::new(settings.spare_lanes),
            windows: settings.windows(),
            running: Mutex::default(),
            settings,
        };
        let supervisor = Self(Arc::new(inner));
        runtime::spawn(TaskKind::Dispatch, supervisor.clone().claim());
        Ok(supervisor)
    }

    /// There may be a pipeline to take.
    pub fn wake(&self) {
        self.0.woken.notify_one();
    }

    /// A user changed what is wanted of this pipeline: its run is told at once. A restart is heard from the journal within seconds.
    pub fn signal(&self, id: &PipelineId) {
        let Some(Hand { rest, .. }) = self.hand(id) else {
            self.wake();
            return;
        };
        let (inner, id) = (self.0.clone(), id.clone());
        runtime::spawn(TaskKind::Dispatch, async move {
            let Ok(Some(now)) = inner.settings.pipelines.get(&id).await else { return };
            if matches!(now.status, PipelineStatus::Pausing | PipelineStatus::Deleting) {
                rest.stop();
            }
        });
    }

    /// Brings the run of this pipeline to rest and starts it anew (a changed connection, a restart), if this process runs it.
    pub fn restart(&self, id: &PipelineId) {
        if let Some(hand) = self.hand(id) {
            hand.rest.stop();
        }
        self.wake();
    }

    /// Takes no more pipelines and lets the running ones come to rest; they go on at the next start.
    pub async fn stop(&self) {
        self.0.stop.stop();
        let all = u32::try_from(self.0.settings.concurrent.max(1)).unwrap_or(u32::MAX);
        let quiet = self.0.room.acquire_many(all);
        if tokio::time::timeout(REST + Duration::from_secs(5), quiet).await.is_err() {
            tracing::warn!("pipelines did not come to rest; they go on from their marks");
        }
    }

    /// The numbers of a pipeline that this process runs at this moment: ahead of its journal.
    #[must_use]
    pub fn live(&self, id: &PipelineId) -> Option<Snapshot> {
        Some(self.hand(id)?.live.snapshot())
    }

    fn hand(&self, id: &PipelineId) -> Option<Hand> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    async fn claim(self) {
        let inner = &self.0;
        loop {
            let room = tokio::select! {
                () = inner.stop.stopped() => return,
                room = inner.room.clone().acquire_owned() => room,
            };
            let Ok(room) = room else { return };
            let s = &inner.settings;
            match s.pipelines.claim(&inner.worker, s.lease.length).await {
                Ok(Some(pipeline)) if !inner.stop.is_stopped() => {
                    let this = self.clone();
                    runtime::spawn(TaskKind::RunPipeline, async move {
                        this.run(pipeline).await;
                        drop(room);
                        this.wake();
                    });
                    continue;
                }
                // Claimed in the moment of the stop: the lease is ended at the next start.
                Ok(_) => {}
                Err(e) => tracing::warn!("no pipeline can be claimed now: {e:?}"),
            }
            drop(room);
            tokio::select! {
                () = inner.stop.stopped() => return,
                () = inner.woken.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn run(&self, pipeline: Pipeline) {
        let windows = self.0.windows.clone();
        let hand = Hand { rest: self.0.stop.child(), live: Arc::default(), windows };
        let id = pipeline.id.clone();
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), hand.clone());
        Box::pin(run::run(&self.0.settings, &self.0.spare, pipeline, &hand)).await;
        // A later attempt, after this one was fenced, has put its own hand there.
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&id).is_some_and(|h| Arc::ptr_eq(&h.live, &hand.live)) {
            running.remove(&id);
        }
    }
}
