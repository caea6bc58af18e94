//! One item from its listing to its outcome.
//!
//! An attempt looks, decides, opens and puts. What goes wrong is judged in one place ([`judge`]): again,
//! an outcome for this item, or the end of the run. After a failure whose effect is not known (the
//! answer was lost) the next attempt looks at the destination first: if our very stamp is there the
//! write did happen and is booked, not repeated.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use connector::{
    Digest, Entry, EntryKind, Error, ErrorKind, Found, Meta, Overwrite, Stamp, Target, TreePath,
};
use model::{ConflictPolicy, Outcome, Precondition};

use super::Compare;
use super::body::{Empty, Metered, Passed, digest_of};
use super::book::{Line, LineKind, Record, Step};
use super::content::{Content, left};
use super::fault::{Fault, Verdict, judge};
use super::slot::LaneCx;
use super::{check, dir, dry, large};
use crate::decide::{self, Action, EXISTS, Known, decide, is_of};

/// What an item is known by.
#[derive(Debug)]
pub(super) enum What {
    /// Its listing's entry.
    Entry(Entry),
    /// Its path alone: to be looked up.
    Path(TreePath),
}

/// A piece of work with its number.
#[derive(Debug)]
pub(super) struct Item {
    pub seq: u64,
    pub segment: u64,
    pub step: Step,
    pub what: What,
    pub known: Known,
    /// Digest of what is at the destination, as far as it was told without being read.
    pub there: Option<Digest>,
    pub to: Option<TreePath>,
    pub condition: Precondition,
    pub tries: u32,
    /// It was listed again once, because it was no longer what was listed.
    pub relisted: bool,
    /// Its first name is settled.
    waited: bool,
    /// A write may have happened whose answer was lost.
    pub doubt: bool,
}

impl Item {
    pub fn new(segment: u64, step: Step, what: What, known: Known) -> Box<Self> {
        Box::new(Self {
            seq: 0,
            segment,
            step,
            what,
            known,
            there: None,
            to: None,
            condition: Precondition::default(),
            tries: 0,
            relisted: false,
            waited: false,
            doubt: false,
        })
    }

    pub fn path(&self) -> &TreePath {
        match &self.what {
            What::Entry(e) => &e.path,
            What::Path(p) => p,
        }
    }
}

/// An item on its way: it moves between queue, book and slots, so it stays in one place of the heap.
pub(super) type Work = Box<Item>;

/// What became of an item.
#[derive(Debug)]
pub(super) struct Fate {
    pub outcome: Outcome,
    pub size: u64,
    pub content: Content,
    pub reason: Cow<'static, str>,
}

impl Fate {
    pub fn written(size: u64, digest: Option<Digest>) -> Self {
        Self { outcome: Outcome::Written, size, content: digest.into(), reason: "".into() }
    }

    pub fn unchanged(size: u64, content: Content) -> Self {
        Self { outcome: Outcome::Unchanged, size, content, reason: "".into() }
    }

    pub fn of(outcome: Outcome, size: u64, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome, size, content: Content::Unknown, reason: reason.into() }
    }
}

/// What an attempt came to.
pub(super) enum Did {
    Settled(Fate),
    /// Goes on as an upload in parts.
    Parts(Box<(Entry, Target)>),
    /// Must wait for its first name.
    WaitFor(TreePath),
}

/// Works on an item until it is settled, handed over or left because the run stops.
pub(super) async fn work(cx: &LaneCx, mut item: Box<Item>) {
    loop {
        match attempt(cx, &mut item).await {
            Ok(Did::Settled(fate)) => return settle(cx, item, fate),
            Ok(Did::Parts(parts)) => {
                let (entry, target) = *parts;
                return Box::pin(large::begin(cx, item, entry, target)).await;
            }
            Ok(Did::WaitFor(first)) => {
                item.waited = true;
                return cx.run.book.wait_for(first.as_bytes(), item);
            }
            Err(fault) => match judge(cx, &mut item, fault).await {
                Verdict::Again => {}
                Verdict::Over(fate) => return settle(cx, item, fate),
                Verdict::Drop => return,
            },
        }
    }
}

/// Books an outcome.
pub(super) fn settle(cx: &LaneCx, item: Box<Item>, fate: Fate) {
    let run = &cx.run;
    let mut fate = fate;
    if let (Outcome::Written, What::Entry(e)) = (fate.outcome, &item.what) {
        // Further names and links count with the size that they were listed with, however they were written:
        // a resumed run that finds them there books the same.
        fate.size = e.size;
    }
    let kind = match &item.what {
        What::Entry(e) if e.kind == EntryKind::Dir => LineKind::Dir,
        What::Entry(Entry { kind: EntryKind::Symlink { .. }, .. }) => LineKind::Link,
        _ => LineKind::File,
    };
    if fate.outcome != Outcome::Failed {
        run.hopeless.store(0, Relaxed);
    }
    run.live.settled(fate.outcome, fate.size);
    let in_parts = fate.size > run.options.whole_up_to;
    let moved = fate.outcome == Outcome::Written && !in_parts;
    cx.gate.finished(if moved { fate.size } else { 0 });
    let Item { seq, segment, step, what, to, .. } = *item;
    let from: Box<[u8]> = match what {
        What::Entry(e) => e.path.as_bytes().into(),
        What::Path(p) => p.as_bytes().into(),
    };
    let (path, at_source) = match to {
        Some(to) => (to.as_bytes().into(), Some(from)),
        None => (from, None),
    };
    let line = Line {
        path,
        kind,
        size: fate.size,
        outcome: fate.outcome,
        content: fate.content,
        reason: fate.reason,
    };
    run.book.settle(seq, Record { segment, step, path: at_source, line: Some(line) });
}

async fn attempt(cx: &LaneCx, item: &mut Item) -> Result<Did, Fault> {
    if let What::Path(path) = &item.what {
        match look_up(cx, path, item).await? {
            Ok(entry) => item.what = What::Entry(entry),
            Err(fate) => return Ok(Did::Settled(fate)),
        }
    }
    let What::Entry(entry) = &item.what else {
        return Ok(Did::Settled(Fate::of(Outcome::Failed, 0, "no entry")));
    };
    let path = item.to.as_ref().unwrap_or(&entry.path);
    if entry.kind == EntryKind::Dir {
        return dir::put(cx, entry, path, &mut item.known).await.map(Did::Settled);
    }
    let target = target(cx, entry, path);
    let rules = cx.run.rules();
    let mut action = decide(&rules, entry, &item.known);
    if action == Action::Look || item.doubt {
        (item.known, item.there) = look(cx, path).await?;
        action = decide(&rules, entry, &item.known);
        if let (true, Known::Seen(_, Some(stamp))) = (item.doubt, &item.known)
            && *stamp == target.stamp
        {
            action = Action::AlreadyWritten;
        }
    }
    if time_matters(cx, entry, &item.known, action)
        && let (Some(known_time), digest) = content_time_of(cx, entry).await?
    {
        let meta = connector::Meta { mtime_ns: Some(known_time), ..connector::Meta::default() };
        let timed = Entry { meta: Some(Box::new(meta)), ..entry.clone() };
        action = decide(&rules, &timed, &item.known);
        // Size and time agree, and the content is known to differ. (What the source holds says nothing of what
        // lies there, so without a digest of its own the receipt has its size only.)
        if action == Action::Unchanged && matches!((digest, item.there), (Some(a), Some(b)) if a != b) {
            action = Action::Write;
        }
    }
    match action {
        Action::Write if cx.run.options.dry_run => {
            if matches!(item.known, Known::Nothing) {
                item.known = look(cx, path).await?.0;
            }
            dry::would_write(cx, item, entry, path).await.map(Did::Settled)
        }
        Action::Write => write(cx, item, entry, target).await,
        Action::AlreadyWritten if cx.run.options.verify && entry.kind == EntryKind::File => {
            let Known::Seen(there, _) = &item.known else {
                return Err(Fault::destination(Error::new(ErrorKind::Other, "can't tell what is there")));
            };
            check::again(cx, entry, &target, there).await.map(Did::Settled)
        }
        Action::AlreadyWritten => {
            let digest = match item.there {
                Some(digest) => Some(digest),
                None => recall(cx, &item.known).await?,
            };
            cx.run.note_single(entry, digest, None);
            Ok(Did::Settled(Fate::written(entry.size, digest)))
        }
        Action::Unchanged => {
            let content = left(entry, &item.known, item.there, cx.run.options.compare);
            cx.run.note_single(entry, content.digest(), None);
            Ok(Did::Settled(Fate::unchanged(entry.size, content)))
        }
        Action::Skip(reason) => Ok(Did::Settled(Fate::of(Outcome::Skipped, entry.size, reason))),
        Action::Look => Err(Fault::destination(Error::new(ErrorKind::Other, "can't tell what is there"))),
    }
}

/// Would the modification time that travels with an object change what is done? A listing shows the time of
/// its upload only. It matters where something without our mark is there already.
fn time_matters(cx: &LaneCx, entry: &Entry, known: &Known, action: Action) -> bool {
    let by_time = matches!(cx.run.options.conflict, ConflictPolicy::KeepLatest | ConflictPolicy::IfChanged);
    let there = matches!(known, Known::Seen(there, _) if there.kind != EntryKind::Dir);
    by_time && there && entry.meta.is_none() && matches!(action, Action::Write | Action::Skip(_))
}

/// The modification time that travels with an object, and its digest if the store tells one.
async fn content_time_of(cx: &LaneCx, entry: &Entry) -> Result<(Option<i64>, Option<Digest>), Fault> {
    let found = cx.source.stat(&entry.path).await.map_err(Fault::source)?;
    let Some(Found { entry, digest, .. }) = found else { return Ok((None, None)) };
    Ok((entry.meta.and_then(|m| m.mtime_ns), digest))
}

/// Finds the entry of a path that came without one.
async fn look_up(cx: &LaneCx, path: &TreePath, item: &Item) -> Result<Result<Entry, Fate>, Fault> {
    let want = item.condition;
    let found = cx.source.stat(path).await.map_err(Fault::source)?;
    if item.step == Step::Leave && !found.as_ref().is_some_and(|f| f.entry.kind == EntryKind::Dir) {
        // A directory that an earlier attempt entered; an object store may know it by its marker alone.
        return Ok(Ok(bare_directory(path)));
    }
    let Some(Found { entry, .. }) = found else {
        return Ok(Err(Fate::of(Outcome::Failed, 0, "not found at the source")));
    };
    cx.run.live.found(0, entry.size);
    let at = entry.meta.as_ref().and_then(|m| m.mtime_ns);
    if want.size.is_some_and(|s| s != entry.size) {
        return Ok(Err(Fate::of(
            Outcome::Failed,
            entry.size,
            "changed: the source's size is not the one asked for",
        )));
    }
    if want.mtime_ns.is_some_and(|t| t != entry.modified_ns && Some(t) != at) {
        let reason = "changed: the source's modification time is not the one asked for";
        return Ok(Err(Fate::of(Outcome::Failed, entry.size, reason)));
    }
    Ok(Ok(entry))
}

fn bare_directory(path: &TreePath) -> Entry {
    Entry { path: path.clone(), kind: EntryKind::Dir, size: 0, modified_ns: 0, version: None, meta: None }
}

/// What is at the destination, and its digest if that is told.
pub(super) async fn look(cx: &LaneCx, path: &TreePath) -> Result<(Known, Option<Digest>), Fault> {
    cx.run.live.looks.fetch_add(1, Relaxed);
    match cx.destination.stat(path).await {
        Ok(Some(Found { entry, stamp, digest })) => Ok((Known::Seen(entry, stamp), digest)),
        Ok(None) => Ok((Known::Absent, None)),
        Err(e) => Err(Fault::destination(e)),
    }
}

pub(super) fn target(cx: &LaneCx, entry: &Entry, path: &TreePath) -> Target {
    let run = &cx.run;
    Target {
        path: path.clone(),
        size: entry.size,
        meta: entry.meta.as_deref().cloned().unwrap_or_default(),
        stamp: Stamp {
            run: run.options.run.as_str().into(),
            version: entry.version.clone().unwrap_or_default(),
            size: entry.size,
        },
        overwrite: match run.options.conflict {
            ConflictPolicy::Skip => Overwrite::Never,
            _ => Overwrite::Always,
        },
    }
}

async fn write(cx: &LaneCx, item: &Item, entry: &Entry, mut target: Target) -> Result<Did, Fault> {
    let to_directory = cx.run.options.compare == Compare::Stat;
    let resolved;
    let entry = match &entry.kind {
        EntryKind::HardLink { first } => {
            if to_directory && first < &entry.path {
                if !item.waited {
                    return Ok(Did::WaitFor(first.clone()));
                }
                if let Some(fate) = link(cx, first, &mut target).await? {
                    return Ok(Did::Settled(fate));
                }
            }
            let Some(found) = cx.source.stat(&entry.path).await.map_err(Fault::source)? else {
                return Err(Fault::source(Error::new(ErrorKind::NotFound, "vanished")));
            };
            target.meta.hard_link = (!to_directory).then(|| first.clone());
            target.size = found.entry.size;
            resolved = found.entry;
            &resolved
        }
        _ => entry,
    };
    if entry.size <= cx.run.options.whole_up_to {
        return Box::pin(whole(cx, item, entry, target)).await;
    }
    if to_directory && entry.meta.is_none() && !item.waited {
        let first_byte = connector::Range { start: 0, end: 1 };
        let body = cx.source.open(entry, Some(first_byte)).await.map_err(Fault::source)?;
        if let Some(first) = body.meta().hard_link.clone().filter(|f| *f < entry.path) {
            return Ok(Did::WaitFor(first));
        }
    } else if to_directory && item.waited && target.meta.hard_link.is_none() {
        let first_byte = connector::Range { start: 0, end: 1 };
        let meta = cx.source.open(entry, Some(first_byte)).await.map_err(Fault::source)?.meta().clone();
        if let Some(first) = meta.hard_link
            && let Some(fate) = link(cx, &first, &mut target).await?
        {
            return Ok(Did::Settled(fate));
        }
    }
    if !to_directory && entry.meta.is_none() {
        // From object to object: an upload takes its metadata when it is begun. Later it could only be mended
        // by one more copy of the whole.
        let first_byte = connector::Range { start: 0, end: 1 };
        target.meta = cx.source.open(entry, Some(first_byte)).await.map_err(Fault::source)?.meta().clone();
    }
    Ok(Did::Parts(Box::new((entry.clone(), target))))
}

/// Makes a further name, if the first one at the destination is known to hold what the source's holds.
async fn link(cx: &LaneCx, first: &TreePath, target: &mut Target) -> Result<Option<Fate>, Fault> {
    let there = cx.destination.stat(first).await.map_err(Fault::destination)?;
    let Some(Found { stamp: Some(stamp), digest, .. }) = there else { return Ok(None) };
    let here = cx.source.stat(first).await.map_err(Fault::source)?;
    if !here.is_some_and(|f| is_of(&stamp, &f.entry)) {
        return Ok(None);
    }
    target.meta.hard_link = Some(first.clone());
    let body = Box::new(Empty(target.meta.clone()));
    let linked = cx.destination.put(target, body).await;
    target.meta.hard_link = None;
    match linked {
        Ok(_) => Ok(Some(Fate::written(0, digest))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Other) => {
            Ok(None)
        }
        Err(e) if e.kind() == ErrorKind::Exists => Ok(Some(Fate::of(Outcome::Skipped, 0, EXISTS))),
        Err(e) => Err(Fault::destination(e)),
    }
}

async fn whole(cx: &LaneCx, item: &Item, entry: &Entry, mut target: Target) -> Result<Did, Fault> {
    let run = &cx.run;
    let _lease = run.budget.lease(entry.size).await;
    let body = cx.source.open(entry, None).await.map_err(Fault::source)?;
    let mut unlinked = None;
    if run.options.compare == Compare::Stat && body.meta().hard_link.is_some() {
        let meta = body.meta().clone();
        if let Some(first) = meta.hard_link.as_ref().filter(|f| **f < entry.path) {
            if !item.waited {
                return Ok(Did::WaitFor(first.clone()));
            }
            if let Some(fate) = link(cx, first, &mut target).await? {
                return Ok(Did::Settled(fate));
            }
        }
        unlinked = Some(Meta { hard_link: None, ..meta });
    }
    if let Some(fate) = same_link(cx, item, body.meta()) {
        return Ok(Did::Settled(fate));
    }
    if body.meta().symlink.is_some() {
        target.size = body.len();
    }
    let expected = body.expected();
    let passed = Passed::new(run.options.crc64_xz);
    let (live, bandwidth) = (run.live.clone(), run.bandwidth.clone());
    let body = Box::new(Metered { inner: body, live, bandwidth, passed: passed.clone(), unlinked });
    let stored = match cx.destination.put(&target, body).await {
        Ok(stored) => stored,
        Err(e) if e.kind() == ErrorKind::Exists && target.overwrite == Overwrite::Never => {
            let fate = met(cx, entry, &target).await;
            return Ok(Did::Settled(fate));
        }
        Err(e) => return Err(Fault::after(e, &passed)),
    };
    check::stored(cx, &target, &stored, expected).await?;
    run.note_single(entry, Some(stored.digest), passed.xz().map(|x| x.crc));
    Ok(Did::Settled(Fate::written(passed.bytes(), Some(stored.digest))))
}

/// A symbolic link carries no stamp: if the very same one is there, it is left, and it counts as ours
/// when it came to be during this run.
pub(super) fn same_link(cx: &LaneCx, item: &Item, meta: &Meta) -> Option<Fate> {
    let (Known::Seen(there, _), Some(want)) = (&item.known, &meta.symlink) else { return None };
    let EntryKind::Symlink { target } = &there.kind else { return None };
    let same_time = meta.mtime_ns.is_none_or(|t| t == there.modified_ns);
    if target != want || !same_time {
        return None;
    }
    let rules = cx.run.rules();
    let ours = (rules.resumed || item.doubt) && decide::last_change(there) >= rules.started_ns;
    let size = if let What::Entry(e) = &item.what { e.size } else { 0 };
    match rules.policy {
        _ if ours => Some(Fate::written(size, Some(Digest::of(want)))),
        ConflictPolicy::Overwrite => None,
        _ => Some(Fate::unchanged(size, Content::Digest(Digest::of(want)))),
    }
}

/// A write that must not replace anything met something: our own earlier write, whose answer was lost,
/// or somebody else's.
pub(super) async fn met(cx: &LaneCx, entry: &Entry, target: &Target) -> Fate {
    if let Ok((known, digest)) = look(cx, &target.path).await
        && matches!(&known, Known::Seen(_, Some(stamp)) if *stamp == target.stamp)
    {
        match digest {
            Some(digest) => return Fate::written(entry.size, Some(digest)),
            None => {
                if let Ok(digest) = recall(cx, &known).await {
                    return Fate::written(entry.size, digest);
                }
            }
        }
    }
    Fate::of(Outcome::Skipped, entry.size, EXISTS)
}

/// The digest of something that was written before, for the manifest.
async fn recall(cx: &LaneCx, known: &Known) -> Result<Option<Digest>, Fault> {
    let Known::Seen(entry, _) = known else { return Ok(None) };
    if entry.kind != EntryKind::File {
        return Ok(None);
    }
    let body = cx.destination.open(entry, None).await.map_err(Fault::destination)?;
    match body.expected() {
        Some(digest) => Ok(Some(digest)),
        None => digest_of(body).await.map(Some).map_err(Fault::destination),
    }
}
