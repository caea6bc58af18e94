//! The source's side of a lane: a thread of its own that polls, obeys, and never holds more than its share.
//!
//! Batches and events come to the lane by two ways, so that a split which is taken away is heard of before the batches that still
//! wait. Each event counts an epoch up; a batch carries the epoch it was read in, and the lane throws away those of a split
//! that are older than the split's last assignment.
//!
//! What a lane may hold is bounded twice: by its window ([`super::window`]), so that a slow lane can't take the whole budget, and by a
//! lease of the budget for each batch. While there is no room, the source is polled with room 0 twice a second and keeps its membership.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use connector::records::{Batch, GroupToken, Polled, RecordSource, Split};
use connector::{Error, Result};
use runtime::{ByteBudget, Lease};
use tokio::sync::mpsc;

use super::window::Windows;

/// How long one poll waits. Commands are obeyed between polls.
const POLL: Duration = Duration::from_millis(50);
/// How often a source is polled for its membership alone while there is no room.
const KEEP_ALIVE: Duration = Duration::from_millis(500);
/// How often the ends of splits are looked up.
const ENDS: Duration = Duration::from_secs(1);
/// Bytes that are asked for at first, and at most.
const ROOM: (u64, u64) = (64 << 10, 1 << 20);
/// Batches that a window holds at most: a small one costs more than its bytes.
const BATCHES: u64 = 256;
/// Batches that may wait for the lane. A window that has grown holds more of those that were counted in a smaller one, but not so many.
const WAITING: usize = 2048;
/// Events that may wait for the lane.
const EVENTS: usize = 64;
/// How long a source may say that it can't be reached before the lane is started anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the source tells its lane.
#[derive(Debug)]
pub(super) enum Event {
    /// It is made.
    Ready(Option<GroupToken>),
    /// See [`Polled::Assigned`].
    Assigned(u64, Vec<Split>),
    /// See [`Polled::Revoked`].
    Revoked(Vec<Split>),
    /// See [`Polled::Lost`].
    Lost(Vec<Split>),
    /// It can't go on.
    Failed(Error),
}

/// What the lane tells its source.
#[derive(Debug)]
pub(super) enum Command {
    /// See [`RecordSource::start`].
    Start(Vec<(Split, Option<i64>)>),
    /// See [`RecordSource::release`].
    Release(Vec<Split>),
    /// See [`RecordSource::commit`].
    Commit(Vec<(Split, i64, String)>),
}

/// A batch on its way to the lane.
#[derive(Debug)]
pub(super) struct Fed {
    pub batch: Batch,
    pub epoch: u64,
    /// What it counts in the window: to be given back with [`Gate::give_back`].
    pub charge: u64,
    pub lease: Lease,
}

/// The lane's ends of the ways.
#[derive(Debug)]
pub(super) struct Intake {
    pub events: mpsc::Receiver<Event>,
    pub batches: mpsc::Receiver<Fed>,
    pub gate: Arc<Gate>,
}

/// How much a source may give.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// Bytes that lanes may hold.
    pub windows: Windows,
    /// How many times a batch is in memory: once, or twice where a transform makes new records of it.
    pub copies: u64,
    /// Bytes of one batch, where a throttle wants small ones.
    pub room: u64,
    pub budget: ByteBudget,
}

/// Between the source's thread and its lane.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    windows: Windows,
}

#[derive(Debug, Default)]
struct State {
    commands: VecDeque<Command>,
    used: u64,
    stop: bool,
    woken: bool,
    full_since: Option<Instant>,
    ends: HashMap<Split, i64>,
}

impl Gate {
    /// To be done at the next moment between polls.
    pub fn command(&self, command: Command) {
        self.change(|s| s.commands.push_back(command));
    }

    /// Obey what was commanded, then end.
    pub fn stop(&self) {
        self.change(|s| s.stop = true);
    }

    /// The lane let go of these bytes.
    pub fn give_back(&self, bytes: u64) {
        self.change(|s| self.hold(s, s.used.saturating_sub(bytes)));
    }

    fn window(&self) -> u64 {
        self.windows.of(self.lock().used)
    }

    /// For how long the window has been full.
    pub fn full_for(&self) -> Option<Duration> {
        self.lock().full_since.map(|t| t.elapsed())
    }

    /// The end of a split as last seen.
    pub fn end(&self, split: &Split) -> Option<i64> {
        self.lock().ends.get(split).copied()
    }

    fn hold(&self, state: &mut State, bytes: u64) {
        self.windows.moved(state.used, bytes);
        state.used = bytes;
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changes, at most this long. True when the time ran out.
    fn wait(&self, time: Duration) -> bool {
        let state = self.lock();
        let quiet = |s: &mut State| !s.stop && !s.woken && s.commands.is_empty();
        let waited = self.changed.wait_timeout_while(state, time, quiet);
        let (mut state, out) = waited.unwrap_or_else(PoisonError::into_inner);
        state.woken = false;
        out.timed_out()
    }

    /// Waits for room beyond `full` bytes, for a change, or for the time to run out (true).
    fn wait_for_room(&self, full: u64, time: Duration) -> bool {
        let state = self.lock();
        let quiet = |s: &mut State| !s.stop && s.commands.is_empty() && s.used >= full;
        let waited = self.changed.wait_timeout_while(state, time, quiet);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.windows.moved(state.used, 0);
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.change(|s| s.woken = true);
    }
}

/// Makes both ends of the ways.
pub(super) fn ways(windows: &Windows) -> (Intake, Outlet) {
    let (tell, events) = mpsc::channel(EVENTS);
    let (give, batches) = mpsc::channel(WAITING);
    let gate = Gate { state: Mutex::default(), changed: Condvar::new(), windows: windows.clone() };
    let gate = Arc::new(gate);
    (Intake { events, batches, gate: gate.clone() }, Outlet { tell, give, gate })
}

/// The source's ends of the ways.
#[derive(Debug)]
pub(super) struct Outlet {
    tell: mpsc::Sender<Event>,
    give: mpsc::Sender<Fed>,
    gate: Arc<Gate>,
}

/// Makes a source and serves it until the lane stops it or is gone. Blocks.
pub(super) fn serve(make: impl FnOnce() -> Result<Box<dyn RecordSource>>, share: Share, out: &Outlet) {
    let failed = match make() {
        Err(e) => Some(e),
        Ok(source) => {
            let _ = out.tell.blocking_send(Event::Ready(source.group()));
            let served =
                Feed { source, share, out, epoch: 0, looked: None, started: Vec::new(), trouble: None };
            served.run().err()
        }
    };
    if let Some(e) = failed {
        let _ = out.tell.blocking_send(Event::Failed(e));
    }
}

struct Feed<'a> {
    source: Box<dyn RecordSource>,
    share: Share,
    out: &'a Outlet,
    epoch: u64,
    looked: Option<Instant>,
    started: Vec<Split>,
    trouble: Option<Instant>,
}

/// The lane is gone or wants the source to end.
struct Over;

impl Feed<'_> {
    fn run(mut self) -> Result<()> {
        let mut room = ROOM.0;
        while !self.obey()? {
            self.look();
            let Some(ask) = self.room(room) else {
                let full = self.full(self.out.gate.window());
                if self.out.gate.wait_for_room(full, KEEP_ALIVE) {
                    self.keep_alive()?;
                }
                continue;
            };
            let Ok(lease) = self.lease(ask * self.share.copies)? else { return Ok(()) };
            let polled = self.source.poll(POLL, usize::try_from(ask).unwrap_or(usize::MAX));
            match self.heard(polled)? {
                Some(Polled::Batch(batch)) => {
                    let large = batch.held() * 2 > ask;
                    room = if large { (room * 2).min(ROOM.1) } else { room };
                    if self.give(batch, lease, ask)?.is_err() {
                        return Ok(());
                    }
                }
                Some(other) => self.tell(other),
                None => room = ROOM.0,
            }
        }
        Ok(())
    }

    /// Obeys commands. True when it is time to end.
    fn obey(&mut self) -> Result<bool> {
        loop {
            let (command, stop) = {
                let mut state = self.out.gate.lock();
                (state.commands.pop_front(), state.stop)
            };
            match command {
                Some(Command::Start(splits)) => {
                    self.started.extend(splits.iter().map(|(s, _)| s.clone()));
                    self.source.start(&splits)?;
                }
                Some(Command::Release(splits)) => {
                    self.forget(&splits);
                    self.source.release(&splits)?;
                }
                Some(Command::Commit(positions)) => {
                    if let Err(e) = self.source.commit(&positions) {
                        // Nothing rests on it, and the next one may succeed.
                        tracing::debug!("positions are not committed: {e}");
                    }
                }
                None => return Ok(stop || self.out.give.is_closed()),
            }
        }
    }

    /// Beyond this much the window is full: a batch of the smallest size no longer fits.
    fn full(&self, window: u64) -> u64 {
        let least = ROOM.0 * self.share.copies;
        window.saturating_sub(least.min(window / 4)).max(1)
    }

    /// Bytes to ask for; `None` when the window is full.
    fn room(&self, wanted: u64) -> Option<u64> {
        let mut state = self.out.gate.lock();
        let window = self.share.windows.of(state.used);
        if state.used >= self.full(window) {
            state.full_since.get_or_insert_with(Instant::now);
            return None;
        }
        state.full_since = None;
        let left = window.saturating_sub(state.used) / self.share.copies;
        Some(wanted.min(left).min(self.share.room).max(1))
    }

    /// Waits for a lease without losing the membership.
    fn lease(&mut self, bytes: u64) -> Result<std::result::Result<Lease, Over>> {
        let budget = self.share.budget.clone();
        let mut lease = pin!(budget.lease(bytes));
        let waker = Waker::from(self.out.gate.clone());
        loop {
            if let Poll::Ready(lease) = lease.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                return Ok(Ok(lease));
            }
            if self.out.gate.wait(KEEP_ALIVE) {
                self.keep_alive()?;
            }
            if self.obey()? {
                return Ok(Err(Over));
            }
        }
    }

    fn keep_alive(&mut self) -> Result<()> {
        let polled = self.source.poll(Duration::ZERO, 0);
        match self.heard(polled)? {
            None => Ok(()),
            Some(Polled::Batch(_)) => Err(Error::new(
                connector::ErrorKind::Other,
                "the source gave records although there was no room",
            )),
            Some(other) => {
                self.tell(other);
                Ok(())
            }
        }
    }

    /// Bears with a source that can't be reached for a while.
    fn heard(&mut self, polled: Result<Polled>) -> Result<Option<Polled>> {
        match polled {
            Ok(polled) => {
                self.trouble = None;
                Ok(Some(polled).filter(|p| !matches!(p, Polled::Idle)))
            }
            Err(e) if e.kind().is_transient() => {
                let since = *self.trouble.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(e);
                }
                self.out.gate.wait(Duration::from_millis(200));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn tell(&mut self, polled: Polled) {
        self.epoch += 1;
        let event = match polled {
            Polled::Assigned(splits) => Event::Assigned(self.epoch, splits),
            Polled::Revoked(splits) => {
                self.forget(&splits);
                Event::Revoked(splits)
            }
            Polled::Lost(splits) => {
                self.forget(&splits);
                Event::Lost(splits)
            }
            Polled::Batch(_) | Polled::Idle => return,
        };
        let _ = self.out.tell.blocking_send(event);
    }

    fn give(&mut self, batch: Batch, mut lease: Lease, asked: u64) -> Result<std::result::Result<(), Over>> {
        // What comes in while it waits may revoke and start its split again: it belongs to the time in which it was read.
        let epoch = self.epoch;
        let held = batch.held().saturating_mul(self.share.copies);
        if held > asked.saturating_mul(self.share.copies) {
            // One large record. Its lease is waited for without holding another one.
            drop(lease);
            lease = match self.lease(held)? {
                Ok(lease) => lease,
                Err(Over) => return Ok(Err(Over)),
            };
        } else {
            lease.shrink(held);
        }
        let gate = &self.out.gate;
        let charge = held.max(gate.window() / BATCHES).max(1);
        gate.change(|s| gate.hold(s, s.used.saturating_add(charge)));
        let fed = Fed { batch, epoch, charge, lease };
        Ok(self.out.give.blocking_send(fed).map_err(|_| Over))
    }

    fn forget(&mut self, splits: &[Split]) {
        self.started.retain(|s| !splits.contains(s));
    }

    fn look(&mut self) {
        if self.looked.is_some_and(|t| t.elapsed() < ENDS) {
            return;
        }
        self.looked = Some(Instant::now());
        let known = self.started.iter().filter_map(|s| Some((s.clone(), self.source.end(s)?)));
        let ends: HashMap<_, _> = known.collect();
        self.out.gate.lock().ends = ends;
    }
}

#[cfg(test)]
mod tests;
