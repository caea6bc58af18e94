//! One flow log at work.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow_record::{LogStatus, Record, SourceId, Window};
use model::{FlowLog, FlowLogState, Timestamp};
use runtime::{Clock, Shutdown};
use store::Store;
use tokio::sync::Notify;

use super::networks::Plan;
use super::observer::{Next, Observer};
use super::outbox::{Message, Outbox};
use super::{AT_ONCE, Sink, SinkError};

/// How long the reader waits for the observer at a time.
const READ: Duration = Duration::from_millis(200);
/// How often the lease is extended at least.
const JOURNAL: Duration = Duration::from_secs(4);
/// Pauses after a failed write.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long what is left is tried to be written at the end.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// What a run shares with the supervisor.
pub(super) struct Shared {
    pub(super) stop: Shutdown,
    state: Mutex<FlowLogState>,
    outbox: Mutex<Outbox>,
    filled: Notify,
    read_to_end: Shutdown,
}

impl Shared {
    pub(super) fn new(stop: Shutdown, state: FlowLogState, buffer: usize) -> Self {
        Self {
            stop,
            state: Mutex::new(state),
            outbox: Mutex::new(Outbox::new(buffer)),
            filled: Notify::new(),
            read_to_end: Shutdown::new(),
        }
    }

    pub(super) fn state(&self) -> FlowLogState {
        self.lock_state().clone()
    }

    fn lock_state(&self) -> MutexGuard<'_, FlowLogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run is made of.
pub(super) struct Run {
    pub(super) log: FlowLog,
    pub(super) store: Store,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
}

/// How a run ended.
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// Another one has it, or it is switched off or gone.
    Fenced,
}

impl Run {
    /// Observes and writes until it is told to end.
    pub(super) async fn run(self, plan: Plan) -> End {
        let reader = Reader {
            log: self.log.clone(),
            clock: self.clock.clone(),
            shared: self.shared.clone(),
            number: 0,
            told: HashSet::new(),
            skipped: HashSet::new(),
        };
        let shared = self.shared.clone();
        let reading = runtime::aside("flow-log", move || {
            let ended = reader.read(plan);
            if let Err(why) = &ended {
                shared.lock_state().error = Some(why.clone());
            }
            // Whatever becomes of it, the writer learns that nothing more comes.
            shared.read_to_end.stop();
            shared.filled.notify_one();
            ended
        });
        let (end, read) = tokio::join!(self.write(), reading);
        if let Ok(Err(why)) | Err(why) = read {
            tracing::warn!(flow_log = %self.log.id, "the flow log can't observe: {why}");
            // The next try is not at once.
            let _ = tokio::time::timeout(PAUSES.1, self.shared.stop.stopped()).await;
        }
        end
    }

    async fn write(&self) -> End {
        let mut pause = PAUSES.0;
        let mut journaled = tokio::time::Instant::now();
        let mut last_chance = None;
        loop {
            let over = self.shared.read_to_end.is_stopped();
            if over {
                let until = *last_chance.get_or_insert_with(|| tokio::time::Instant::now() + LAST_WRITES);
                if self.shared.outbox().is_empty() || tokio::time::Instant::now() >= until {
                    let state = self.shared.state();
                    return self.journal(&state, true).await.map_or_else(|end| end, |()| End::Stopped);
                }
            }
            let moved = self.write_some().await;
            if moved == Moved::Window || journaled.elapsed() >= JOURNAL {
                journaled = tokio::time::Instant::now();
                let state = self.shared.state();
                if let Err(end) = self.journal(&state, false).await {
                    self.shared.stop.stop();
                    return end;
                }
            }
            match moved {
                Moved::Failed => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Moved::Nothing if !over => {
                    let _ = tokio::time::timeout(JOURNAL, self.shared.filled.notified()).await;
                }
                Moved::Nothing => tokio::time::sleep(PAUSES.0).await,
                Moved::Messages | Moved::Window => pause = PAUSES.0,
            }
        }
    }

    /// Writes the first messages, or passes the end of a window.
    async fn write_some(&self) -> Moved {
        let covered = self.shared.outbox().pass_covered();
        if let Some(at) = covered {
            self.shared.lock_state().covered = Some(at);
            return Moved::Window;
        }
        let messages = self.shared.outbox().front(AT_ONCE);
        if messages.is_empty() {
            return Moved::Nothing;
        }
        match self.sink.write(&self.log, &messages).await {
            Ok(()) => {
                self.shared.outbox().written(messages.len());
                let mut state = self.shared.lock_state();
                state.records += messages.len() as u64;
                for m in &messages {
                    state.packets = state.packets.saturating_add(m.stands_for.0);
                    state.bytes = state.bytes.saturating_add(m.stands_for.1);
                }
                if state.topic_gone || state.error.as_ref().is_some_and(|e| e.starts_with(TOPIC)) {
                    state.topic_gone = false;
                    state.error = None;
                }
                Moved::Messages
            }
            Err(e) => {
                let (why, gone) = match e {
                    SinkError::Gone(why) => (why, true),
                    SinkError::Failed(why) => (why, false),
                };
                tracing::debug!(flow_log = %self.log.id, "records can't be written: {why}");
                let mut state = self.shared.lock_state();
                state.topic_gone = gone;
                state.error = Some(format!("{TOPIC} {why}"));
                Moved::Failed
            }
        }
    }

    async fn journal(&self, state: &FlowLogState, last: bool) -> Result<(), End> {
        let now = Timestamp(self.clock.now().0);
        match self.store.journal_flow_log(&self.log.id, self.log.attempt, state, (now, last)).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == store::ErrorKind::Fenced => Err(End::Fenced),
            Err(e) => {
                // The lease runs on a while; the next time may go.
                tracing::warn!(flow_log = %self.log.id, "a flow log can't be journaled: {e}");
                Ok(())
            }
        }
    }
}

/// What begins the words of a sink that is in the way.
const TOPIC: &str = "the topic can't be written:";

#[derive(PartialEq, Eq)]
enum Moved {
    Messages,
    Window,
    Nothing,
    Failed,
}

/// The thread that reads the observer.
struct Reader {
    log: FlowLog,
    clock: Clock,
    shared: Arc<Shared>,
    /// Of the next message in this run.
    number: u64,
    /// Interfaces of which this window has told something, and of which it has told a loss.
    told: HashSet<String>,
    skipped: HashSet<String>,
}

impl Reader {
    fn read(mut self, plan: Plan) -> Result<(), String> {
        let mut observer = Observer::start(plan, &self.clock).map_err(|e| match e {
            super::Refusal::Unknown(why)
            | super::Refusal::Rights(why)
            | super::Refusal::Away(why)
            | super::Refusal::Unsupported(why) => why,
        })?;
        self.state_gap(&observer);
        let mut told = false;
        loop {
            if !told && self.shared.stop.is_stopped() {
                observer.stop();
                told = true;
            }
            match observer.next(READ) {
                Next::Records(records) => self.queue(&observer, &records),
                Next::WindowEnd(window) => {
                    self.state_dropped(&observer);
                    self.state_nothing(&observer, &window);
                    let lost = &window.loss;
                    let lost = lost.packets + lost.unseen + lost.malformed + lost.verdicts;
                    let mut state = self.shared.lock_state();
                    state.windows += 1;
                    state.lost_observed = state.lost_observed.saturating_add(lost);
                    drop(state);
                    self.shared.outbox().covered(Timestamp(window.end.saturating_mul(1_000_000)));
                    self.shared.filled.notify_one();
                }
                Next::Nothing => self.state_dropped(&observer),
                Next::Ended => {
                    self.state_dropped(&observer);
                    return Ok(());
                }
            }
            self.note(&observer);
        }
    }

    fn note(&self, observer: &Observer) {
        let (method, limits, error) = observer.status();
        let mut state = self.shared.lock_state();
        if !state.error.as_ref().is_some_and(|e| e.starts_with(TOPIC)) {
            state.error = error;
        }
        state.method = method;
        state.limits = limits;
    }

    fn queue(&mut self, observer: &Observer, records: &[Record]) {
        self.state_dropped(observer);
        let mut messages = Vec::with_capacity(records.len());
        for record in records.iter().filter(|r| observer.wants(r)) {
            let interface = observer.interface(record);
            match record.status {
                LogStatus::Ok => {}
                // Several devices may be one interface, and prefixes leave flows out: who had nothing shows at the window's end.
                LogStatus::NoData => continue,
                LogStatus::SkipData if self.skipped.contains(interface) => continue,
                LogStatus::SkipData => drop(self.skipped.insert(interface.to_owned())),
            }
            if !self.told.contains(interface) {
                self.told.insert(interface.to_owned());
            }
            let interface = interface.to_owned();
            messages.push((self.message(observer, record, interface), (record.start, record.end)));
        }
        let mut outbox = self.shared.outbox();
        for (message, span) in messages {
            outbox.push(message, span);
        }
        drop(outbox);
        self.shared.filled.notify_one();
    }

    fn message(&mut self, observer: &Observer, record: &Record, interface: String) -> Message {
        let id = format!("{}:{}:{}", self.log.id, self.log.attempt, self.number);
        self.number += 1;
        Message {
            value: observer.render(record, &self.log.app_id, &interface),
            key: interface,
            id,
            stands_for: record.flow.map_or((0, 0), |f| (f.packets, f.bytes)),
        }
    }

    /// Says of which interfaces a window had nothing.
    fn state_nothing(&mut self, observer: &Observer, window: &Window) {
        let (start, end) = (window.start, window.end);
        let record = Record { source: SourceId(0), flow: None, start, end, status: LogStatus::NoData };
        let told = std::mem::take(&mut self.told);
        self.skipped.clear();
        for interface in observer.interfaces().into_iter().filter(|i| !told.contains(i)) {
            let message = self.message(observer, &record, interface);
            self.shared.outbox().push(message, (start, end));
        }
    }

    /// Says what was thrown away, once there is room.
    fn state_dropped(&mut self, observer: &Observer) {
        let dropped = self.shared.outbox().take_dropped();
        let Some(d) = dropped else { return };
        let mut state = self.shared.lock_state();
        state.lost_records = state.lost_records.saturating_add(d.records);
        state.lost_packets = state.lost_packets.saturating_add(d.packets);
        drop(state);
        tracing::warn!(flow_log = %self.log.id, records = d.records, packets = d.packets,
            "records were thrown away: their topic could not be written for too long");
        self.state_skipped(observer, d.from, d.to);
    }

    /// Says what nobody observed since the last run.
    fn state_gap(&mut self, observer: &Observer) {
        let now = self.clock.now().seconds();
        let Some(covered) = self.log.state.covered.map(Timestamp::seconds) else {
            // The first run, or the first after it was off: from now on it is accounted for, also when it ends before its first window.
            self.shared.outbox().covered(Timestamp(now.saturating_mul(1_000_000)));
            self.shared.filled.notify_one();
            return;
        };
        // However short it was: something may have passed.
        self.shared.lock_state().gaps += 1;
        self.state_skipped(observer, covered, now.max(covered));
        self.shared.outbox().covered(Timestamp(now.saturating_mul(1_000_000)));
        self.shared.filled.notify_one();
    }

    fn state_skipped(&mut self, observer: &Observer, start: i64, end: i64) {
        let record = Record { source: SourceId(0), flow: None, start, end, status: LogStatus::SkipData };
        for interface in observer.interfaces() {
            let message = self.message(observer, &record, interface);
            self.shared.outbox().state(message);
        }
        self.shared.filled.notify_one();
    }
}
