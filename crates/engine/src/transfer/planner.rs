//! Lists, compares, numbers, and hands out work.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use connector::{Entry, EntryKind, Error, ErrorKind, ListRequest, Result, TreePath};
use model::Outcome;

use super::Compare;
use super::book::{Line, LineKind, Planned, Record, Step};
use super::content::{Content, left};
use super::item::{Fate, Item, What};
use super::merge::{Beside, Listing, key_of};
use super::run::Run;
use crate::Select;
use crate::decide::{Action, Known, decide};
use crate::select::{Segment, Segments};

/// Where a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub segment: u64,
    pub after: Option<Vec<u8>>,
    pub nameless: u64,
    pub open: Vec<TreePath>,
}

/// Decided items are numbered in batches of this many.
const BATCH: usize = 256;

/// Plans the whole selection from `cursor` on.
pub(super) async fn plan(run: Arc<Run>, select: Select, cursor: Cursor) -> Result<()> {
    let mut segments = Segments::open(select, &run.lanes).await;
    let mut planner =
        Planner { run, batch: Vec::with_capacity(BATCH), held: Vec::new(), files: Vec::new(), segment: 0 };
    while let Some(segment) = segments.next().await? {
        let number = planner.segment;
        if number >= cursor.segment {
            let from = if number == cursor.segment { cursor.clone() } else { Cursor::default() };
            match segment {
                Segment::Listing { prefix, must_exist } => {
                    planner.listing(&segments, prefix, must_exist, from).await?
                }
                Segment::Path { from, to, condition } => {
                    let mut item = Item::new(number, Step::Alone, What::Path(from), Known::Nothing);
                    (item.to, item.condition) = (to, condition);
                    planner.run.live.found(1, 0);
                    planner.push(Planned::Work(item)).await;
                }
                Segment::Bad { name, reason } => planner.bad_name(&name, reason).await,
            }
        }
        planner.segment += 1;
    }
    planner.flush().await;
    planner.run.live.scan_done.store(true, Relaxed);
    Ok(())
}

/// A directory that the listing is in.
struct Held {
    path: TreePath,
    what: What,
    known: Known,
}

struct Planner {
    run: Arc<Run>,
    batch: Vec<Planned>,
    held: Vec<Held>,
    /// Files of which the current key may be a continuation (`a`, then `a/b`).
    files: Vec<TreePath>,
    segment: u64,
}

impl Planner {
    async fn push(&mut self, planned: Planned) {
        self.batch.push(planned);
        if self.batch.len() >= BATCH {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if !self.batch.is_empty() {
            let work = self.run.book.number(&mut self.batch).await;
            self.run.queue.push(work);
        }
    }

    async fn listing(
        &mut self,
        segments: &Segments,
        prefix: Vec<u8>,
        must_exist: bool,
        from: Cursor,
    ) -> Result<()> {
        let named = must_exist.then(|| prefix.clone()).filter(|_| from.after.is_none());
        let below = prefix.clone();
        let request = ListRequest { prefix, after: from.after, xattrs: self.run.options.xattrs };
        let mut beside = (self.run.options.compare == Compare::Merge).then(|| {
            let request = ListRequest { xattrs: false, ..request.clone() };
            Beside::start(self.run.destination.clone(), request, self.run.live.clone())
        });
        self.run.live.found(from.open.len() as u64, 0);
        self.held = from
            .open
            .into_iter()
            .map(|path| Held { what: What::Path(path.clone()), path, known: Known::Nothing })
            .collect();
        self.files.clear();
        let (mut skip, mut met) = (from.nameless, false);
        let mut listing = Listing::start(self.run.source.clone(), request, self.run.live.clone());
        loop {
            let page = match listing.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(e) if e.kind() == ErrorKind::NotFound && named.is_some() => break,
                Err(e) => return Err(e),
            };
            met |= !page.is_empty();
            for entry in page {
                match entry {
                    Ok(e) if segments.is_named(e.path.as_bytes(), &below) => {}
                    Ok(e) => {
                        skip = 0;
                        self.entry(e, beside.as_mut()).await?;
                    }
                    Err(_) if skip > 0 => skip -= 1,
                    Err(e) => self.nameless(&e).await,
                }
            }
            self.flush().await;
        }
        self.leave_all_but(None).await;
        if let (false, Some(name)) = (met, named) {
            self.bad_name(&name, "not found at the source").await;
            return Ok(());
        }
        self.push(Planned::Settled(Record {
            segment: self.segment,
            step: Step::Over,
            path: None,
            line: None,
        }))
        .await;
        Ok(())
    }

    async fn entry(&mut self, entry: Entry, beside: Option<&mut Beside>) -> Result<()> {
        self.leave_all_but(Some(&entry.path)).await;
        if entry.kind == EntryKind::Dir && !self.run.options.directories {
            return Ok(());
        }
        let to_directory = beside.is_none();
        if to_directory && self.collides(&entry) {
            let reason = "a file stands at the destination where this path needs a directory";
            self.run.live.found(1, entry.size);
            let fate = Fate::of(Outcome::Failed, entry.size, reason);
            self.settled(entry, fate).await;
            return Ok(());
        }
        let known = match beside {
            None => Known::Nothing,
            Some(beside) => beside.find(&entry).await?.map_or(Known::Absent, Known::Listed),
        };
        self.run.live.found(1, entry.size);
        if entry.kind == EntryKind::Dir {
            let path = entry.path.clone();
            if self.run.options.dry_run {
                self.run.touched.enter(&path);
            }
            let enter = Record {
                segment: self.segment,
                step: Step::Enter,
                path: Some(path.as_bytes().into()),
                line: None,
            };
            self.held.push(Held { path, what: What::Entry(entry), known });
            self.push(Planned::Settled(enter)).await;
            return Ok(());
        }
        if to_directory && entry.kind == EntryKind::File {
            self.files.push(entry.path.clone());
        }
        match decide(&self.run.rules(), &entry, &known) {
            Action::Unchanged => {
                let fate = Fate::unchanged(entry.size, left(&entry, &known, None, self.run.options.compare));
                self.settled(entry, fate).await;
            }
            Action::Skip(reason) => {
                let fate = Fate::of(Outcome::Skipped, entry.size, reason);
                self.settled(entry, fate).await;
            }
            Action::Write | Action::Look | Action::AlreadyWritten => {
                let item = Item::new(self.segment, Step::Listed, What::Entry(entry), known);
                self.push(Planned::Work(item)).await;
            }
        }
        Ok(())
    }

    /// Is a file in the way of one of its parents? Keys that continue a file's name follow it in one
    /// run, so the files that matter are those that the current key starts with.
    fn collides(&mut self, entry: &Entry) -> bool {
        let key = key_of(entry);
        while self.files.last().is_some_and(|f| !key.starts_with(f.as_bytes())) {
            self.files.pop();
        }
        self.files.iter().any(|f| key.get(f.as_bytes().len()) == Some(&b'/'))
    }

    /// Leaves the directories that don't hold `path`; their metadata comes when all before is settled.
    async fn leave_all_but(&mut self, path: Option<&TreePath>) {
        while let Some(last) = self.held.last() {
            let dir = last.path.as_bytes();
            let inside = path.is_some_and(|p| {
                p.as_bytes().strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
            });
            if inside {
                return;
            }
            if let Some(Held { what, known, .. }) = self.held.pop() {
                let item = Item::new(self.segment, Step::Leave, what, known);
                self.push(Planned::Later(item)).await;
            }
        }
    }

    async fn settled(&mut self, entry: Entry, fate: Fate) {
        self.run.live.settled(fate.outcome, fate.size);
        let kind = match entry.kind {
            EntryKind::Dir => LineKind::Dir,
            EntryKind::Symlink { .. } => LineKind::Link,
            _ => LineKind::File,
        };
        // A directory that is refused is not entered; its key has the slash all the same.
        let path = (kind == LineKind::Dir).then(|| key_of(&entry).into());
        let line = Line {
            path: entry.path.as_bytes().into(),
            kind,
            size: fate.size,
            outcome: fate.outcome,
            content: fate.content,
            reason: fate.reason,
        };
        let record = Record { segment: self.segment, step: Step::Listed, path, line: Some(line) };
        self.push(Planned::Settled(record)).await;
    }

    async fn nameless(&mut self, e: &Error) {
        self.refused(Step::Nameless, e.message().as_bytes(), format!("{}: {e}", e.kind().name()).into())
            .await;
    }

    async fn bad_name(&mut self, name: &[u8], reason: &'static str) {
        self.refused(Step::Alone, name, reason.into()).await;
    }

    async fn refused(&mut self, step: Step, name: &[u8], reason: std::borrow::Cow<'static, str>) {
        self.run.live.found(1, 0);
        self.run.live.settled(Outcome::Failed, 0);
        let kind = if step == Step::Nameless { LineKind::Nameless } else { LineKind::File };
        let (outcome, content) = (Outcome::Failed, Content::Unknown);
        let line = Line { path: name.into(), kind, size: 0, outcome, content, reason };
        self.push(Planned::Settled(Record { segment: self.segment, step, path: None, line: Some(line) }))
            .await;
    }
}
