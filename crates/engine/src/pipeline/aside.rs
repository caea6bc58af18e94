//! What happens when a destination fails for too long, where the pipeline has an error directory.
//!
//! A lane that fails is started anew with growing pauses. [`Failing`] remembers since when each split gets nowhere and how far it
//! had been handed over. When that has lasted for the time that the pipeline allows, the next lane does not write to the destination: its
//! sink is an [`AsideSink`], which puts the records that were handed over into the error directory, counts them as dead
//! letters and so moves the positions on. Then the lane ends, and the next one writes to the destination again, with a new clock.
//!
//! What the destination did take before it failed is asked first. Where it does not answer, nobody knows whether its last commit
//! came through, and the records lie in the error directory whether it did or not; their reason says so. Where nothing had been handed over,
//! an answer is enough: the destination works again, and nothing goes aside. Without one, no more goes aside than a lane hands over at once.
//!
//! The error directory is another place than the destination: when that fails ([`Watched`]), the destination is not to blame.
//!
//! A server that is started anew begins the time anew.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::records::{
    Account, Aside, Batch, Books, ErrorDirectory, Mark, RecordSink, Ruling, Settled, Split, Unit,
};
use connector::{Error, ErrorKind, Result};

use super::clerk::Clerk;
use super::feed::Gate;

/// How long a destination is asked for its marks before records go aside.
const ASK: Duration = Duration::from_secs(10);
/// Bytes of a split that go aside at once where nothing had been handed over.
const MOST: u64 = 16 << 20;

/// Splits whose destination fails.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<HashMap<Split, Since>>);

#[derive(Debug, Clone)]
struct Since {
    begun: Instant,
    /// What was handed over ends here; `None` = nothing was yet.
    reached: Option<i64>,
    kind: ErrorKind,
    why: String,
}

/// What is to go aside of a split.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// Everything before it; `None` = nothing was handed over.
    until: Option<i64>,
    /// Bytes that went aside.
    gone: u64,
    kind: ErrorKind,
    why: String,
}

impl Failing {
    /// A lane failed with these splits, each handed over up to a position beyond what is settled.
    pub fn failed(&self, splits: impl Iterator<Item = (Split, Option<i64>)>, e: &Error) {
        let mut all = self.lock();
        for (split, reached) in splits {
            let now = Since { begun: Instant::now(), reached: None, kind: e.kind(), why: String::new() };
            let since = all.entry(split).or_insert(now);
            since.reached = since.reached.max(reached);
            (since.kind, since.why) = (e.kind(), e.to_string());
        }
    }

    /// This split gets somewhere.
    pub fn settled(&self, split: &Split) {
        self.lock().remove(split);
    }

    /// What has failed for so long.
    pub fn due(&self, after: Duration) -> HashMap<Split, Due> {
        let all = self.lock();
        let due = all.iter().filter(|(_, s)| s.begun.elapsed() >= after);
        let one = |s: &Since| Due { until: s.reached, gone: 0, kind: s.kind, why: s.why.clone() };
        due.map(|(split, s)| (split.clone(), one(s))).collect()
    }

    /// When the next of them is due; `None` = none will be.
    pub fn due_in(&self, after: Duration) -> Option<Duration> {
        let left = |s: &Since| after.checked_sub(s.begun.elapsed());
        self.lock().values().filter_map(left).min().filter(|d| !d.is_zero())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Split, Since>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts what is due aside instead of writing it, and leaves everything else as it is.
pub(super) struct AsideSink {
    /// The destination, if it could be made.
    pub main: Option<Box<dyn RecordSink>>,
    pub errors: Rc<dyn ErrorDirectory>,
    pub due: HashMap<Split, Due>,
    pub gate: Arc<Gate>,
    /// Set when nothing is left to do.
    pub done: Rc<Cell<bool>>,
    books: Books,
    open: Vec<Split>,
    settled: HashMap<Split, Mark>,
    unsure: bool,
}

impl AsideSink {
    pub fn new(
        main: Option<Box<dyn RecordSink>>,
        errors: Rc<dyn ErrorDirectory>,
        due: HashMap<Split, Due>,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            main,
            errors,
            due,
            gate,
            done: Rc::default(),
            books: Books::default(),
            open: Vec::new(),
            settled: HashMap::new(),
            unsure: false,
        }
    }

    /// Has this split nothing more that is to go aside?
    fn is_through(&self, split: &Split) -> bool {
        let Some(due) = self.due.get(split) else { return true };
        let at = self.books.mark(split).map_or(0, |m| m.next);
        match due.until {
            Some(until) => at >= until,
            None => due.gone >= MOST || self.gate.end(split).is_some_and(|end| at >= end),
        }
    }
}

#[async_trait(?Send)]
impl RecordSink for AsideSink {
    fn describe(&self) -> String {
        self.errors.describe()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        if let Some(main) = &mut self.main {
            match tokio::time::timeout(ASK, main.committed(known)).await {
                Ok(Ok(marks)) => {
                    self.due.retain(|_, due| due.until.is_some());
                    return Ok(marks);
                }
                // Somebody else is at work.
                Ok(Err(e)) if is_moved(&e) => return Err(e),
                Ok(Err(e)) => tracing::info!("the destination does not say what it has: {e}"),
                Err(_) => tracing::info!("the destination does not say what it has within {ASK:?}"),
            }
        }
        self.main = None;
        self.unsure = true;
        Ok(vec![None; known.len()])
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        for (split, mark) in splits {
            self.books.open(split.clone(), *mark);
            self.open.push(split.clone());
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        self.open.retain(|s| !splits.contains(s));
        for split in splits {
            self.books.close(split);
            self.settled.remove(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        let split = unit.batch.split().clone();
        if self.is_through(&split) {
            // Left for the next lane, which reads it again.
            return Ok(());
        }
        let Some(due) = self.due.get_mut(&split) else { return Ok(()) };
        let unsure = if self.unsure { "; the destination may have taken it before it failed" } else { "" };
        let why = format!("{}{unsure}", due.why);
        self.errors.put(&unit.batch, Aside::All(due.kind, &why)).await?;
        let bytes: u64 = (0..unit.batch.len()).map(|i| unit.weight(i)).sum();
        due.gone = due.gone.saturating_add(bytes);
        let mut account = Account::default();
        account.rule(Ruling::Kept, unit.batch.len() as u64, bytes);
        let mark = self.books.after(&unit, &account);
        self.books.settle(&split, mark);
        self.settled.insert(split, mark);
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        let open = self.open.clone();
        if !open.is_empty() && open.iter().all(|s| self.is_through(s)) {
            self.done.set(true);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}

/// Is somebody else at work, or this run over?
fn is_moved(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Changed | ErrorKind::Cancelled)
}

/// Is it the destination that made a sink fail?
pub(super) fn is_to_blame(errors: Option<&Watched>, e: &Error) -> bool {
    !errors.is_some_and(Watched::failed) && !is_moved(e)
}

/// An error directory that tells whether it was what failed. It has no fence of its own, so the lease is renewed right before each
/// call: a run that stood still while another took over removes and puts nothing.
pub(super) struct Watched {
    inner: Rc<dyn ErrorDirectory>,
    clerk: Arc<Clerk>,
    failed: Cell<bool>,
}

impl Watched {
    pub fn new(inner: Rc<dyn ErrorDirectory>, clerk: Arc<Clerk>) -> Self {
        Self { inner, clerk, failed: Cell::new(false) }
    }

    /// Did its last call fail?
    pub fn failed(&self) -> bool {
        self.failed.get()
    }

    fn tell(&self, done: Result<()>) -> Result<()> {
        self.failed.set(done.is_err());
        done
    }
}

#[async_trait(?Send)]
impl ErrorDirectory for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn begin(&self, split: &Split, from: i64) -> Result<()> {
        let done = match self.clerk.renew_from_lane().await {
            Ok(()) => self.inner.begin(split, from).await,
            lost => lost,
        };
        self.tell(done)
    }

    async fn put(&self, batch: &Batch, which: Aside<'_>) -> Result<()> {
        let done = match self.clerk.renew_from_lane().await {
            Ok(()) => self.inner.put(batch, which).await,
            lost => lost,
        };
        self.tell(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_due_when_it_has_failed_for_long_enough_without_progress() {
        let (failing, split) = (Failing::default(), Split::new("t", 0));
        let e = Error::new(ErrorKind::Unavailable, "no answer");
        let long = Duration::from_secs(3600);
        assert!(failing.due(Duration::ZERO).is_empty() && failing.due_in(long).is_none());
        failing.failed([(split.clone(), None)].into_iter(), &e);
        failing.failed([(split.clone(), Some(7))].into_iter(), &e);
        assert!(failing.due(long).is_empty() && failing.due_in(long).is_some_and(|d| d <= long));
        let due = failing.due(Duration::ZERO);
        assert_eq!((due[&split].until, due[&split].why.as_str()), (Some(7), "no answer"));
        assert!(failing.due_in(Duration::ZERO).is_none(), "due already");
        failing.settled(&split);
        assert!(failing.due(Duration::ZERO).is_empty());
    }
}
