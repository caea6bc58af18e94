//! The supervisor: looks at the store, takes flow logs of this machine's resources, and ends runs that are no longer wanted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{FlowLog, FlowLogId, FlowLogState, Timestamp};
use runtime::{Clock, Random, Shutdown, TaskKind};
use store::Store;
use tokio::sync::Notify;

use super::Sink;
use super::networks::{Lookup, Networks, Refusal};
use super::run::{Run, Shared};
use crate::dispatch::Lease;

/// How often the store is looked at when nobody woke us.
const LOOK: Duration = Duration::from_secs(2);
/// How long runs may take to end.
const REST: Duration = Duration::from_secs(10);

/// What a supervisor is made of.
pub struct Settings {
    /// Flow logs.
    pub store: Store,
    /// The catalogue.
    pub networks: Networks,
    /// Where records go.
    pub sink: Arc<dyn Sink>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Bytes of records that one flow log keeps while its topic can't be written.
    pub buffer: usize,
    /// When others may take over.
    pub lease: Lease,
}

/// The supervisor. Clones share everything.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    settings: Settings,
    worker: String,
    woken: Notify,
    ended: Notify,
    stop: Shutdown,
    running: Mutex<HashMap<FlowLogId, Hand>>,
}

#[derive(Clone)]
struct Hand {
    shared: Arc<Shared>,
    attempt: u32,
    period_s: Option<u32>,
}

impl Supervisor {
    /// Ends the leases of earlier processes (where the store has one process) and starts looking.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn start(settings: Settings) -> store::Result<Self> {
        settings.store.release_flow_logs().await?;
        let inner = Inner {
            worker: format!("local-{}", settings.random.hex(12)),
            woken: Notify::new(),
            ended: Notify::new(),
            stop: Shutdown::new(),
            running: Mutex::default(),
            settings,
        };
        let supervisor = Self(Arc::new(inner));
        runtime::spawn(TaskKind::Dispatch, supervisor.clone().look());
        Ok(supervisor)
    }

    /// Flow logs were made, switched, changed or removed.
    pub fn wake(&self) {
        self.0.woken.notify_one();
    }

    /// The state of a flow log that this process runs: ahead of what is stored.
    #[must_use]
    pub fn live(&self, id: &FlowLogId) -> Option<FlowLogState> {
        self.running().get(id).map(|h| h.shared.state())
    }

    /// Can a resource be observed here and now?
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, lookup: &Lookup<'_>) -> Result<(), Refusal> {
        self.0.settings.networks.check(lookup, &self.0.settings.clock)
    }

    /// Takes no more flow logs, ends the open windows and writes them; they go on at the next start.
    pub async fn stop(&self) {
        self.0.stop.stop();
        let quiet = async {
            while !self.running().is_empty() {
                let ended = self.0.ended.notified();
                if !self.running().is_empty() {
                    let _ = tokio::time::timeout(Duration::from_millis(200), ended).await;
                }
            }
        };
        if tokio::time::timeout(REST, quiet).await.is_err() {
            tracing::warn!(
                "flow logs did not come to rest; what was not written is stated at the next start"
            );
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<FlowLogId, Hand>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(self) {
        loop {
            if self.0.stop.is_stopped() {
                return;
            }
            match self.0.settings.store.flow_logs().await {
                Ok(all) => {
                    self.end_unwanted(&all);
                    for log in all.iter().filter(|l| l.enabled) {
                        self.take(log).await;
                    }
                }
                Err(e) => tracing::warn!("flow logs can't be looked at now: {e}"),
            }
            tokio::select! {
                () = self.0.stop.stopped() => return,
                () = self.0.woken.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Ends runs whose flow log is off, gone, changed, or somebody else's.
    fn end_unwanted(&self, all: &[FlowLog]) {
        for (id, hand) in self.running().iter() {
            let wanted = all.iter().any(|l| {
                l.id == *id && l.enabled && l.attempt == hand.attempt && l.period_s == hand.period_s
            });
            if !wanted {
                hand.shared.stop.stop();
            }
        }
    }

    async fn take(&self, log: &FlowLog) {
        let s = &self.0.settings;
        if self.running().contains_key(&log.id) || self.0.stop.is_stopped() {
            return;
        }
        let plan = match s.networks.plan(&lookup(log)) {
            Ok(plan) => plan,
            Err(refusal) => {
                // Another server's resource, perhaps.
                tracing::debug!(flow_log = %log.id, "not observed here: {refusal:?}");
                return;
            }
        };
        let lease = i64::try_from(s.lease.length.as_micros()).unwrap_or(i64::MAX);
        let now = Timestamp(s.clock.now().0);
        let claimed = match s.store.claim_flow_log(&log.id, &self.0.worker, now, lease).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return,
            Err(e) => return tracing::warn!(flow_log = %log.id, "a flow log can't be claimed now: {e}"),
        };
        let shared = Arc::new(Shared::new(self.0.stop.child(), claimed.state.clone(), s.buffer));
        let hand = Hand { shared: shared.clone(), attempt: claimed.attempt, period_s: claimed.period_s };
        self.running().insert(log.id.clone(), hand);
        let run = Run {
            log: claimed,
            store: s.store.clone(),
            sink: s.sink.clone(),
            clock: s.clock.clone(),
            shared,
        };
        let this = self.clone();
        runtime::spawn(TaskKind::RunPipeline, async move {
            let id = run.log.id.clone();
            Box::pin(run.run(plan)).await;
            this.running().remove(&id);
            this.0.ended.notify_waiters();
            this.wake_later();
        });
    }

    /// A run that ended by itself is not started anew in the same moment.
    fn wake_later(&self) {
        let this = self.clone();
        runtime::spawn(TaskKind::Dispatch, async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            this.wake();
        });
    }
}

fn lookup(log: &FlowLog) -> Lookup<'_> {
    Lookup {
        account: log.account.as_str(),
        resource: &log.resource,
        vpc: &log.vpc,
        traffic: log.traffic,
        window: log.period_s.map(|s| Duration::from_secs(u64::from(s))),
    }
}
