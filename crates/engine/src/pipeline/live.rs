//! Numbers that anybody may look at while a pipeline is at work, from memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connector::records::Lag;
use model::Ledger;

/// A lane that failed before is well when it has made progress and been up this long,
const WELL: Duration = Duration::from_secs(5);
/// or has been up this long without any.
const QUIET: Duration = Duration::from_secs(30);

/// Live numbers of one run.
#[derive(Debug, Default)]
pub struct Live {
    records: AtomicU64,
    bytes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rates: Option<(Instant, u64, u64)>,
    records_per_s: f64,
    bytes_per_s: f64,
    ledger: Ledger,
    lanes: BTreeMap<u32, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    up: Option<Instant>,
    progress: bool,
    lags: Vec<Lag>,
    error: Option<String>,
}

/// [`Live`] at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Records that came from the source, a second, over the last seconds.
    pub records_per_s: f64,
    /// Their bytes.
    pub bytes_per_s: f64,
    /// How far behind each split is, where that is known.
    pub lag: Vec<Lag>,
    /// Lanes at work.
    pub lanes: u32,
    /// The account: as the next journal entry will have it.
    pub ledger: Ledger,
    /// What is in the way.
    pub error: Option<String>,
}

impl Live {
    /// All numbers now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            records_per_s: state.records_per_s,
            bytes_per_s: state.bytes_per_s,
            lag: state.lanes.values().flat_map(|l| l.lags.iter().cloned()).collect(),
            lanes: u32::try_from(state.lanes.values().filter(|l| l.up.is_some()).count()).unwrap_or(u32::MAX),
            ledger: state.ledger,
            error: state.lanes.values().find_map(|l| l.error.clone()),
        }
    }

    pub(super) fn read(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Once a second: rates, and the account.
    pub(super) fn beat(&self, ledger: Ledger) {
        let (records, bytes) = (self.records.load(Relaxed), self.bytes.load(Relaxed));
        let mut state = self.lock();
        let now = Instant::now();
        state.ledger = ledger;
        let Some((then, r, b)) = state.rates.replace((now, records, bytes)) else { return };
        let seconds = now.duration_since(then).as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let smooth = |old: f64, moved: u64| old * 0.7 + moved as f64 / seconds * 0.3;
        state.records_per_s = smooth(state.records_per_s, records - r);
        state.bytes_per_s = smooth(state.bytes_per_s, bytes - b);
    }

    pub(super) fn up(&self, lane: u32) {
        let mut state = self.lock();
        let lane = state.lanes.entry(lane).or_default();
        (lane.up, lane.progress) = (Some(Instant::now()), false);
    }

    /// The lane has settled something.
    pub(super) fn progress(&self, lane: u32) {
        self.lock().lanes.entry(lane).or_default().progress = true;
    }

    /// The lane has ended. Was it well before?
    pub(super) fn down(&self, lane: u32, error: Option<String>) -> bool {
        let mut state = self.lock();
        let lane = state.lanes.entry(lane).or_default();
        let well = lane.is_well();
        lane.up = None;
        lane.lags.clear();
        lane.error = error;
        well
    }

    pub(super) fn lags(&self, lane: u32, lags: Vec<Lag>) {
        self.lock().lanes.entry(lane).or_default().lags = lags;
    }

    /// What is in the way now; forgets errors of lanes that are well again.
    pub(super) fn error(&self) -> Option<String> {
        let mut state = self.lock();
        for lane in state.lanes.values_mut() {
            if lane.is_well() {
                lane.error = None;
            }
        }
        state.lanes.values().find_map(|l| l.error.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn is_well(&self) -> bool {
        let up = self.up.map_or(Duration::ZERO, |t| t.elapsed());
        up >= QUIET || (self.progress && up >= WELL)
    }
}
