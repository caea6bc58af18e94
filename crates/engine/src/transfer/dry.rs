//! What a dry run has to find out beyond a run's decisions, so that it comes to the same account: what
//! the destination itself would refuse or find the same, and which directories the writes would touch.
//!
//! It only looks. What no look can tell (a file that can't be read, a disk that fills up, a name that
//! the other side refuses) is counted as written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use connector::{Entry, EntryKind, TreePath};
use model::Outcome;

use super::book::{Line, LineKind};
use super::fault::Fault;
use super::item::{Fate, Item, same_link};
use super::slot::LaneCx;
use super::{Compare, Options, Would, large};
use crate::decide::{EXISTS, Known, NEWER, REPLACES};

/// A symbolic link's target is not longer: larger objects are none.
const MAX_LINK: u64 = 4096;

/// Directories of the source that the listing is in, and whether something would be written right into
/// them: at a file system that changes their time, and then they are put right at their end.
#[derive(Debug, Default)]
pub(super) struct Touched(Mutex<HashMap<Box<[u8]>, bool>>);

impl Touched {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listing comes into a directory.
    pub fn enter(&self, dir: &TreePath) {
        self.lock().insert(dir.as_bytes().into(), false);
    }

    /// A directory is settled last of all that is in it: would it have been touched?
    pub fn is_touched(&self, dir: &TreePath) -> bool {
        self.lock().get(dir.as_bytes()).copied().unwrap_or(false)
    }

    /// It has its outcome.
    pub fn leave(&self, dir: &TreePath) {
        self.lock().remove(dir.as_bytes());
    }

    /// Something would be put at `path`: its parent is touched, and what is missing above it is made, down
    /// from a directory that is there.
    fn touch(&self, path: &TreePath, there: &[u8]) {
        let mut dirs = self.lock();
        let mut at = path.parent();
        while let Some(dir) = at.filter(|dir| dir.len() >= there.len()) {
            if let Some(touched) = dirs.get_mut(dir) {
                *touched = true;
            }
            at = dir.iter().rposition(|b| *b == b'/').map(|i| &dir[..i]);
        }
    }
}

/// The nearest directory above a new name that is there (empty: the root); `None`: something else stands there.
type Footing = Option<Box<[u8]>>;

/// The footing of the last parent that a lane asked for: neighbours mostly share it.
pub(super) type LastFooting = RefCell<Option<(Box<[u8]>, Footing)>>;

async fn footing(cx: &LaneCx, path: &TreePath) -> Result<Footing, Fault> {
    let Some(parent) = path.parent() else { return Ok(Some(Box::default())) };
    let last = cx.footing.borrow().as_ref().filter(|(of, _)| **of == *parent).map(|(_, f)| f.clone());
    if let Some(known) = last {
        return Ok(known);
    }
    let mut at = TreePath::new(parent).ok();
    let found = loop {
        let Some(dir) = at else { break Some(Box::default()) };
        match cx.destination.stat(&dir).await.map_err(Fault::destination)? {
            Some(there) if there.entry.kind == EntryKind::Dir => break Some(dir.as_bytes().into()),
            Some(_) => break None,
            None => at = dir.parent().and_then(|p| TreePath::new(p).ok()),
        }
    };
    *cx.footing.borrow_mut() = Some((parent.into(), found.clone()));
    Ok(found)
}

/// What would become of an item that is to be written at `path`. `item.known` tells what is there.
pub(super) async fn would_write(
    cx: &LaneCx,
    item: &Item,
    entry: &Entry,
    path: &TreePath,
) -> Result<Fate, Fault> {
    let there = match &item.known {
        Known::Seen(there, _) | Known::Listed(there) => Some(there),
        Known::Absent | Known::Nothing => None,
    };
    if let Some(there) = there
        && matches!(there.kind, EntryKind::Symlink { .. })
        && entry.size <= MAX_LINK
    {
        let body = cx.source.open(entry, None).await.map_err(Fault::source)?;
        if let Some(fate) = same_link(cx, item, body.meta()) {
            return Ok(fate);
        }
    }
    let blocked = there.is_some_and(|there| there.kind == EntryKind::Dir);
    if !stands(cx, path, there.is_some(), blocked).await? {
        return Ok(Fate::of(Outcome::Failed, entry.size, "something of another kind is in the way"));
    }
    if entry.size > cx.run.options.whole_up_to {
        cx.run.live.parts.fetch_add(parts(entry.size, &cx.run.options), Relaxed);
    }
    let reason = if there.is_some() { REPLACES } else { "" };
    Ok(Fate { reason: reason.into(), ..Fate::written(entry.size, None) })
}

/// What would become of a directory that is to be made or dressed at `path`.
pub(super) async fn would_make(cx: &LaneCx, path: &TreePath, known: &Known) -> Result<Fate, Fault> {
    let stands = match known {
        Known::Seen(there, _) if there.kind == EntryKind::Dir => true,
        Known::Seen(..) | Known::Listed(_) => stands(cx, path, true, true).await?,
        Known::Absent | Known::Nothing => stands(cx, path, false, false).await?,
    };
    if stands {
        return Ok(Fate::written(0, None));
    }
    Ok(Fate::of(Outcome::Failed, 0, "something of another kind is in the way"))
}

/// Could something be put at `path`? If so its directory is touched.
async fn stands(cx: &LaneCx, path: &TreePath, is_there: bool, blocked: bool) -> Result<bool, Fault> {
    if cx.run.options.compare != Compare::Stat {
        return Ok(true);
    }
    if blocked {
        return Ok(false);
    }
    let dir =
        if is_there { Some(path.parent().unwrap_or_default().into()) } else { footing(cx, path).await? };
    if let Some(dir) = &dir {
        cx.run.touched.touch(path, dir);
    }
    Ok(dir.is_some())
}

fn parts(size: u64, options: &Options) -> u64 {
    size.div_ceil(large::part_size(size, options.part_size))
}

impl Would {
    /// Counts a line of a dry run's account.
    pub(super) fn count(&mut self, line: &Line, options: &Options) {
        let dir = line.kind == LineKind::Dir;
        match line.outcome {
            Outcome::Written if dir => self.directories += 1,
            Outcome::Written => {
                self.files += 1;
                self.overwritten += u64::from(line.reason == REPLACES);
                if line.size > options.whole_up_to {
                    self.large += 1;
                    self.parts += parts(line.size, options);
                }
            }
            Outcome::Skipped if !dir && (line.reason == EXISTS || line.reason == NEWER) => self.kept += 1,
            _ => {}
        }
    }
}
