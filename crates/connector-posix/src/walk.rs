//! The sorted walk: every item of a directory tree in S3 key order, in bounded memory.
//!
//! Depth first; within a directory by name with `/` behind directories. Each item is looked at through its open directory by its single
//! name, so a directory that is swapped for a link during the walk leads nowhere. What vanishes meanwhile is not listed; what can't
//! be read is listed as an error that names it, and the walk goes on.
//!
//! A scout goes ahead by names, batches of them are looked at, and the results are put together in order. Where
//! looking is slow (a network file system, a disk that is not in the cache), a few helpers look at the next batches and read the
//! next directories at the same time ([`ReadAhead`]). What is known ahead is bounded: [`WINDOW`] batches, a dozen directories of
//! some thousand names.
//!
//! 200,000 files in 1,000 directories with attributes, two cores, wall (CPU) µs per item one after the other and with helpers from
//! the first on: in the cache 6–8 (6) and 6–7 (7), on ext4 just mounted 37–41 (13) and 15–22 (13), with 0.1 ms added to each call
//! 390 and 58. So helpers begin only where it is slow, by [`SLOW`]: there 6–8, 17–20 and 62.
//!
//! Further names of a file are recognised by inode among the first [`MAX_INODES`] files with several
//! names that are open at a time (all names seen: forgotten). Beyond it, and for names whose first one
//! lies before [`ListRequest::after`], they are listed as files: more bytes, but the right ones.

mod crew;
mod look;
mod names;
mod scout;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use async_trait::async_trait;
use connector::{Entry, EntryKind, EntryStream, Error, ErrorKind, ListRequest, Result, TreePath};
use runtime::TaskKind;
use tokio::task::JoinHandle;

use crate::ReadAhead;
use crate::dirs::Root;
use crew::{Crew, Job};
use look::{Linked, Seen, look_at};
pub(crate) use names::for_each_name;
use scout::Scout;

/// Entries of a page.
const PAGE: usize = 1000;
/// Files with several names that are remembered at a time.
const MAX_INODES: usize = 256 * 1024;
/// Batches that are under way with helpers.
const WINDOW: usize = 8;
/// Threads that help, for the length of a page.
const HELPERS: usize = 3;
/// Looking at an item takes longer than this where helpers pay.
const SLOW: Duration = Duration::from_micros(40);
/// Entries that tell how slow it is.
const PROBE: usize = 128;
/// Pages with helpers, after which it is tried without.
const HELPED_PAGES: u32 = 64;

type Page = Vec<Result<Entry>>;
type Step = (Box<Walk>, Result<Page>);

/// A listing that works one page ahead of its reader, on the blocking pool.
pub(crate) struct Listing {
    idle: Option<Box<Walk>>,
    ahead: Option<JoinHandle<Result<Step, String>>>,
}

impl Listing {
    pub(crate) fn new(root: Arc<Root>, request: ListRequest) -> Self {
        Self { idle: Some(Box::new(Walk::new(root, request))), ahead: None }
    }

    fn work(&mut self, mut walk: Box<Walk>) {
        if walk.pace.is_helped() {
            walk.crew.open();
            for _ in 0..HELPERS {
                let crew = walk.crew.clone();
                // Not on the pool, which is for many. Without a thread the walk goes on alone.
                let help = runtime::aside("walk", move || crew.help());
                runtime::spawn(TaskKind::ListAhead, help);
            }
        }
        self.ahead = Some(runtime::spawn(
            TaskKind::ListAhead,
            runtime::blocking(move || {
                let page = walk.page();
                walk.crew.close();
                (walk, page)
            }),
        ));
    }
}

#[async_trait]
impl EntryStream for Listing {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        if let Some(walk) = self.idle.take() {
            self.work(walk);
        }
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let step = ahead.await;
        self.ahead = None;
        let lost = |e: String| Error::new(ErrorKind::Other, e);
        let (walk, page) = step.map_err(|e| lost(e.to_string()))?.map_err(lost)?;
        let page = page?;
        if page.is_empty() {
            return Ok(None);
        }
        self.work(walk);
        Ok(Some(page))
    }
}

/// The walk itself, synchronous.
struct Walk {
    root: Arc<Root>,
    xattrs: bool,
    started: bool,
    scout: Scout,
    crew: Arc<Crew>,
    pace: Pace,
    /// Batches that are being looked at, in order.
    under_way: VecDeque<Job<Vec<Seen>>>,
    /// What is left of the last one.
    seen: vec::IntoIter<Seen>,
    /// The directory that is left out with everything in it.
    left_out: Option<Box<[u8]>>,
    inodes: HashMap<(u64, u64), (TreePath, u32)>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.crew.close();
    }
}

impl Walk {
    fn new(root: Arc<Root>, request: ListRequest) -> Self {
        Self {
            xattrs: request.xattrs,
            started: false,
            scout: Scout::new(root.clone(), request),
            crew: Arc::default(),
            pace: Pace { how: root.options.read_ahead, helped: 0 },
            under_way: VecDeque::new(),
            seen: Vec::new().into_iter(),
            left_out: None,
            inodes: HashMap::new(),
            root,
        }
    }

    /// The next entries; none at the end.
    fn page(&mut self) -> Result<Page> {
        if !self.started {
            self.started = true;
            self.scout.start()?;
        }
        let helped = self.pace.begin();
        let from = Instant::now();
        let mut page = Vec::with_capacity(PAGE);
        while page.len() < PAGE {
            if let Some(seen) = self.seen.next() {
                page.extend(self.line(seen));
                continue;
            }
            if !helped && self.pace.is_slow(from.elapsed(), page.len()) {
                break; // The next page begins at once, with helpers.
            }
            self.fill(helped);
            let Some(batch) = self.under_way.pop_front() else { break };
            let broken = || Error::new(ErrorKind::Other, "a helper of the walk broke");
            self.seen = batch.take().ok_or_else(broken)?.into_iter();
        }
        Ok(page)
    }

    /// Keeps batches under way.
    fn fill(&mut self, helped: bool) {
        let window = if helped { WINDOW } else { 1 };
        while self.under_way.len() < window {
            let items = self.scout.batch(helped.then_some(&*self.crew));
            if items.is_empty() {
                return;
            }
            let (root, xattrs) = (self.root.clone(), self.xattrs);
            let work = move || look_at(&root, items, xattrs);
            self.under_way.push_back(if helped { self.crew.post(work) } else { Job::new(work) });
        }
    }

    /// What is listed of an item. A directory that is gone, or has an error for itself, is left out with what its names
    /// were when it was read: they were not looked at in that order.
    fn line(&mut self, seen: Seen) -> Option<Result<Entry>> {
        if self.left_out.as_ref().is_some_and(|dir| seen.key().starts_with(dir)) {
            return None;
        }
        self.left_out = None;
        let (key, line) = match seen {
            Seen::Entry(entry, linked) => return Some(Ok(self.name_first(entry, linked.as_ref()))),
            Seen::Gone(key) => (key, None),
            Seen::Fault(key, error) => (key, Some(Err(error))),
        };
        if key.ends_with(b"/") {
            self.left_out = Some(key);
        }
        line
    }

    /// A further name of a file that was listed is a hard link to the first.
    fn name_first(&mut self, mut entry: Entry, linked: Option<&Linked>) -> Entry {
        let Some(Linked { id, names }) = linked else { return entry };
        if let Some((first, left)) = self.inodes.get_mut(id) {
            let first = first.clone();
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.inodes.remove(id);
            }
            if let Some(meta) = &mut entry.meta {
                meta.hard_link = Some(first.clone());
            }
            entry.kind = EntryKind::HardLink { first };
        } else if self.inodes.len() < MAX_INODES {
            self.inodes.insert(*id, (entry.path.clone(), names - 1));
        }
        entry
    }
}

/// Whether helpers pay.
struct Pace {
    how: ReadAhead,
    /// Pages that are still to come with helpers.
    helped: u32,
}

impl Pace {
    fn is_helped(&self) -> bool {
        self.how == ReadAhead::Always || self.helped > 0
    }

    /// A page begins: with helpers?
    fn begin(&mut self) -> bool {
        let helped = self.is_helped();
        self.helped = self.helped.saturating_sub(1);
        helped
    }

    /// So many entries took so long without helpers. Is it slow here?
    fn is_slow(&mut self, took: Duration, entries: usize) -> bool {
        let count = u32::try_from(entries).unwrap_or(u32::MAX);
        let slow = self.how == ReadAhead::WhereSlow && entries >= PROBE && took > SLOW * count;
        if slow {
            self.helped = HELPED_PAGES;
        }
        slow
    }
}
