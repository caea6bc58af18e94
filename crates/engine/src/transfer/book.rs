//! Numbered outcomes, kept until all before them are there.
//!
//! The planner numbers items in listing order, slots settle them in any order, the clerk takes what is
//! settled from the front. So everything the clerk has seen is one unbroken stretch of the listing, and
//! a checkpoint needs no more than its end. The stretch between is the window; when it is full the
//! planner waits.
//!
//! Work that must wait for earlier items also waits here: directories that were left (their times come
//! last) and hard links (their first name comes first).

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Outcome;
use tokio::sync::Notify;

use super::content::Content;
use super::item::Work;

/// How a record moves the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A listed item: the cursor moves to its key.
    Listed,
    /// A directory is entered: the cursor moves to its key, and it is open.
    Enter,
    /// A directory is left: it is open no more.
    Leave,
    /// A listing's complaint about one entry whose key can't be used.
    Nameless,
    /// A path that was looked up by itself: its segment is over.
    Alone,
    /// The end of a segment, or of a part of the listing that holds no item.
    Over,
}

/// What kind of thing a booked line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    File,
    Dir,
    Link,
    /// Something a listing could only describe: the path is words for people.
    Nameless,
}

/// A line of the account.
#[derive(Debug)]
pub(super) struct Line {
    /// Path at the destination.
    pub path: Box<[u8]>,
    pub kind: LineKind,
    pub size: u64,
    pub outcome: Outcome,
    pub content: Content,
    pub reason: Cow<'static, str>,
}

impl Line {
    /// The path for people: bytes that aren't UTF-8 and control characters come as `\xNN`.
    pub fn shown(&self) -> String {
        match self.kind {
            LineKind::Nameless => String::from_utf8_lossy(&self.path).into_owned(),
            _ => connector::display_bytes(&self.path),
        }
    }
}

/// An outcome in its place.
#[derive(Debug)]
pub(super) struct Record {
    pub segment: u64,
    pub step: Step,
    /// Path at the source where it differs from the line's, or where there is no line.
    pub path: Option<Box<[u8]>>,
    pub line: Option<Line>,
}

impl Record {
    pub fn path(&self) -> &[u8] {
        match (&self.path, &self.line) {
            (Some(p), _) => p,
            (None, Some(l)) => &l.path,
            (None, None) => b"",
        }
    }
}

/// What the planner hands over: settled already, or to be worked on.
pub(super) enum Planned {
    Settled(Record),
    Work(Work),
    /// To be worked on when everything before it is settled.
    Later(Work),
}

/// Segment and key of a first name.
type First = (u64, Box<[u8]>);

#[derive(Default)]
struct State {
    base: u64,
    ring: VecDeque<Option<Record>>,
    later: BTreeMap<u64, Work>,
    links: BTreeMap<First, Vec<Work>>,
    eager: bool,
}

/// See the module.
pub(super) struct Book {
    state: Mutex<State>,
    window: usize,
    /// The clerk listens here.
    pub moved: Notify,
    /// The planner listens here.
    pub room: Notify,
}

impl Book {
    pub fn new(window: usize) -> Self {
        Self { state: Mutex::default(), window: window.max(2), moved: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a batch, once there is room. Gives back the work for the queue.
    pub async fn number(&self, batch: &mut Vec<Planned>) -> Vec<Work> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.lock().ring.len() < self.window {
                break;
            }
            self.moved.notify_one();
            room.await;
        }
        let mut work = Vec::with_capacity(batch.len());
        let mut s = self.lock();
        for planned in batch.drain(..) {
            let seq = s.base + s.ring.len() as u64;
            match planned {
                Planned::Settled(record) => s.ring.push_back(Some(record)),
                Planned::Work(mut item) => {
                    item.seq = seq;
                    s.ring.push_back(None);
                    work.push(item);
                }
                Planned::Later(mut item) => {
                    item.seq = seq;
                    s.ring.push_back(None);
                    s.later.insert(seq, item);
                }
            }
        }
        let stirred = s.ring.front().is_some_and(Option::is_some) || !s.later.is_empty();
        drop(s);
        if stirred {
            self.moved.notify_one();
        }
        work
    }

    /// An item has its outcome.
    pub fn settle(&self, seq: u64, record: Record) {
        let mut s = self.lock();
        let Some(index) = seq.checked_sub(s.base).and_then(|i| usize::try_from(i).ok()) else { return };
        if let Some(slot) = s.ring.get_mut(index) {
            *slot = Some(record);
        }
        let waited_for =
            s.eager || !s.later.is_empty() || !s.links.is_empty() || s.ring.len() >= self.window / 2;
        drop(s);
        if index == 0 && waited_for {
            self.moved.notify_one();
        }
    }

    /// A hard link waits until its first name (a smaller key of the same segment) is settled.
    pub fn wait_for(&self, first: &[u8], item: Work) {
        let mut s = self.lock();
        s.links.entry((item.segment, first.into())).or_default().push(item);
        drop(s);
        self.moved.notify_one();
    }

    /// Takes settled records from the front.
    pub fn take_ready(&self, max: usize, into: &mut Vec<Record>) {
        let mut s = self.lock();
        while into.len() < max && s.ring.front().is_some_and(Option::is_some) {
            if let Some(Some(record)) = s.ring.pop_front() {
                into.push(record);
            }
            s.base += 1;
        }
        let room = s.ring.len() <= self.window * 3 / 4;
        drop(s);
        if room {
            self.room.notify_one();
        }
    }

    /// Work whose wait is over, now that the clerk has seen everything up to this cursor.
    pub fn release(&self, segment: u64, key: &[u8]) -> Vec<Work> {
        let mut s = self.lock();
        let mut free = Vec::new();
        let base = s.base;
        if s.later.first_key_value().is_some_and(|(seq, _)| *seq == base) {
            free.extend(s.later.pop_first().map(|(_, item)| item));
        }
        while let Some(entry) = s.links.first_entry() {
            let (of, first) = entry.key();
            let settled = *of < segment || (*of == segment && **first <= *key);
            if !settled && entry.get().iter().all(|i| i.seq != base) {
                break;
            }
            free.extend(entry.remove());
        }
        free
    }

    /// Takes everything that is settled, in order, over the gaps: for the last account of a run that
    /// will not be resumed.
    pub fn take_all_settled(&self) -> Vec<Record> {
        let mut s = self.lock();
        std::mem::take(&mut s.ring).into_iter().flatten().collect()
    }

    /// Nothing more is coming: tell the clerk of every step from now on.
    pub fn no_more(&self) {
        self.lock().eager = true;
        self.moved.notify_one();
    }

    pub fn is_empty(&self) -> bool {
        self.lock().ring.is_empty()
    }
}
