//! What a run has to tell people while it is at work: a few lines, whatever the size of the tree.
//!
//! Calls that were made again are counted and told together, ever more seldom; of the items that fail
//! the first few are told by name; the listing's end and the quarters of the work are told once. The
//! lines go down with the journal's entry that they belong to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connector::{Error, ErrorKind};
use model::{Event, EventKind, Ledger, presentable};

use super::Snapshot;
use super::book::Line;

/// Items that fail and are told by name; the failed list has them all.
pub(super) const NAMED: u64 = 20;
/// Longest path and longest reason in a message, in bytes: both have to find room, and a reason that
/// repeats a long name has its point at the end.
const PATH: usize = 300;
const REASON: usize = 400;
/// Time between the first two tellings of retries; it doubles each time, up to [`SELDOM`].
const OFTEN: Duration = Duration::from_secs(10);
const SELDOM: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct State {
    retries: u64,
    last: String,
    told: Option<Instant>,
    pause: Duration,
    listing: Option<(ErrorKind, String)>,
}

/// What lanes and listings note. Shared by all of a run.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<State>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call will be made again because of this.
    pub fn retried(&self, e: &Error) {
        let words = format!("{}: {e}", e.kind().name());
        let mut s = self.lock();
        s.retries += 1;
        s.last = words;
    }

    /// A listing was broken off and will be taken up again.
    pub fn listing_broke(&self, e: &Error) {
        self.retried(e);
        self.lock().listing = Some((e.kind(), e.to_string()));
    }

    /// A listing goes on.
    pub fn listing_moved(&self) {
        self.lock().listing = None;
    }

    /// The fault that a listing is trying to get over.
    pub fn listing_fault(&self) -> Option<(ErrorKind, String)> {
        self.lock().listing.clone()
    }

    /// The retries since the last telling, when it is time for that or the run ends.
    fn take(&self, over: bool) -> Option<Event> {
        let mut s = self.lock();
        if s.retries == 0 || (!over && s.told.is_some_and(|t| t.elapsed() < s.pause)) {
            return None;
        }
        s.told = Some(Instant::now());
        s.pause = if s.pause.is_zero() { OFTEN } else { (s.pause * 2).min(SELDOM) };
        let n = std::mem::take(&mut s.retries);
        let words = format!("{n} calls were made again after a while; the last because of {}", s.last);
        Some(Event::new(EventKind::Retry, &words))
    }
}

/// The clerk's list of what is to be told with the next entry.
#[derive(Debug, Default)]
pub(super) struct Tidings {
    events: Vec<Event>,
    listed: bool,
    quarters: u64,
}

impl Tidings {
    /// An item failed; `ledger` has it already.
    pub fn failed(&mut self, line: &Line, ledger: &Ledger) {
        let n = ledger.items.failed;
        if n <= NAMED {
            let words = format!("{}: {}", presentable(&line.shown(), PATH), tail(&line.reason));
            self.events.push(Event::new(EventKind::ItemFailed, &words));
        } else if n == NAMED + 1 {
            let words = "more items failed; from here on the failed list alone names them";
            self.events.push(Event::new(EventKind::ItemFailed, words));
        }
    }

    /// Everything that is to be told now. `over`: the run ends.
    pub fn take(&mut self, live: &Snapshot, ledger: &Ledger, notes: &Notes, over: bool) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        events.extend(notes.take(over));
        if live.scan_done && !self.listed {
            self.listed = true;
            let words = format!("listing done: {} items, {} bytes", live.items_found, live.bytes_found);
            events.push(Event::new(EventKind::Listed, &words));
        }
        let settled = ledger.items.settled();
        let quarters = (settled * 4).checked_div(live.items_found).unwrap_or(0);
        if live.scan_done && !over && quarters > self.quarters {
            self.quarters = quarters;
            let words = format!("{settled} of {} items have an outcome", live.items_found);
            events.push(Event::new(EventKind::Progress, &words));
        }
        events
    }
}

fn tail(reason: &str) -> std::borrow::Cow<'_, str> {
    match reason.len().checked_sub(REASON) {
        None | Some(0) => reason.into(),
        Some(cut) => {
            let from = (cut..=reason.len()).find(|i| reason.is_char_boundary(*i)).unwrap_or(cut);
            format!("…{}", reason.get(from..).unwrap_or_default()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::LineKind;
    use super::super::content::Content;
    use super::*;
    use model::Outcome;

    #[test]
    fn retries_are_told_together_and_ever_more_seldom() {
        let notes = Notes::default();
        assert_eq!(notes.take(true), None);
        for _ in 0..1000 {
            notes.retried(&Error::new(ErrorKind::Throttled, "slow\ndown"));
        }
        let told = notes.take(false).unwrap();
        assert_eq!(
            told.message(),
            "1000 calls were made again after a while; the last because of throttled: slow\\u{a}down"
        );
        notes.retried(&Error::new(ErrorKind::Unavailable, "gone"));
        assert_eq!(notes.take(false), None, "too soon");
        assert!(notes.take(true).unwrap().message().starts_with("1 calls"), "but the end tells");
    }

    #[test]
    fn a_million_failures_make_a_few_lines_and_long_names_leave_room_for_reasons() {
        let mut tidings = Tidings::default();
        let mut ledger = Ledger::default();
        let line = Line {
            path: vec![b'\n'; 10_000].into(),
            kind: LineKind::File,
            size: 0,
            outcome: Outcome::Failed,
            content: Content::Unknown,
            reason: format!("{}: the reason", "ж".repeat(5000)).into(),
        };
        for _ in 0..1000 {
            ledger.book(Outcome::Failed, 0);
            tidings.failed(&line, &ledger);
        }
        let events = tidings.take(&Snapshot::default(), &ledger, &Notes::default(), false);
        assert_eq!(events.len() as u64, NAMED + 1);
        assert!(
            events[0].message().len() < 1000 && events[0].message().ends_with("the reason"),
            "{events:?}"
        );
        assert!(!events[0].message().contains('\n'));
    }

    #[test]
    fn the_listing_and_the_quarters_are_told_once() {
        let (mut tidings, mut ledger, notes) = (Tidings::default(), Ledger::default(), Notes::default());
        let live = Snapshot { items_found: 8, scan_done: true, ..Snapshot::default() };
        let mut told = Vec::new();
        for n in 0..8 {
            told.extend(tidings.take(&live, &ledger, &notes, n == 7).into_iter().map(|e| e.kind.name()));
            ledger.book(Outcome::Written, 1);
        }
        assert_eq!(told, ["listed", "progress", "progress", "progress"]);
    }
}
