//! Directories: made on the way by the items below them, given their own metadata when they are left.
//!
//! A directory of a file system always shows some metadata and carries no stamp, so "the same" means
//! that it shows everything the source knows of it. One that changed since this run began was made or
//! filled by it: under the skip policy only such a one is touched.

use connector::{Entry, EntryKind, ErrorKind, Meta, TreePath};
use model::{ConflictPolicy, Outcome};

use super::Compare;
use super::content::Content;
use super::dry;
use super::fault::Fault;
use super::item::{Fate, look, target};
use super::slot::LaneCx;
use crate::decide::{Action, EXISTS, Known, Rules, decide, last_change};

/// Decides about a directory and puts it.
pub(super) async fn put(
    cx: &LaneCx,
    entry: &Entry,
    path: &TreePath,
    known: &mut Known,
) -> Result<Fate, Fault> {
    let fate = decide_and_put(cx, entry, path, known).await?;
    if cx.run.options.dry_run {
        cx.run.touched.leave(path);
    }
    Ok(fate)
}

async fn decide_and_put(
    cx: &LaneCx,
    entry: &Entry,
    path: &TreePath,
    known: &mut Known,
) -> Result<Fate, Fault> {
    let mut target = target(cx, entry, path);
    if entry.meta.is_none() {
        target.meta = opened(cx, entry).await?;
    }
    let rules = cx.run.rules();
    let to_directory = cx.run.options.compare == Compare::Stat;
    // In a dry run nothing was written below it, but the run would have done so.
    let touched = cx.run.options.dry_run && cx.run.touched.is_touched(path);
    let mut action = if to_directory { Action::Look } else { decide(&rules, entry, known) };
    if action == Action::Look {
        *known = look(cx, path).await?.0;
        action = if to_directory {
            by_look(&rules, entry, &target.meta, known, touched)
        } else {
            decide(&rules, entry, known)
        };
    }
    match action {
        Action::Unchanged => Ok(Fate::unchanged(0, Content::Unknown)),
        Action::Skip(reason) => Ok(Fate::of(Outcome::Skipped, 0, reason)),
        Action::AlreadyWritten => Ok(Fate::written(0, None)),
        Action::Write if cx.run.options.dry_run => dry::would_make(cx, path, known).await,
        Action::Write | Action::Look => {
            cx.destination.put_dir(&target).await.map_err(Fault::destination)?;
            if to_directory && matches!(known, Known::Absent) {
                // The call that makes a directory may leave it writable for what goes below; the second never does.
                cx.destination.put_dir(&target).await.map_err(Fault::destination)?;
            }
            Ok(Fate::written(0, None))
        }
    }
}

/// Metadata of a marker, which no listing shows.
async fn opened(cx: &LaneCx, entry: &Entry) -> Result<Meta, Fault> {
    match cx.source.open(entry, None).await {
        Ok(body) => Ok(body.meta().clone()),
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(Meta::default()),
        Err(e) => Err(Fault::source(e)),
    }
}

fn by_look(rules: &Rules<'_>, source: &Entry, want: &Meta, known: &Known, touched: bool) -> Action {
    let Known::Seen(there, _) = known else {
        // What would be made on the way to the items below it shows all that a bare marker asks for.
        let bare = touched && shows(&Meta::default(), want);
        return if bare { Action::Unchanged } else { Action::Write };
    };
    if decide(rules, source, known) == Action::AlreadyWritten {
        return Action::AlreadyWritten;
    }
    if there.kind != EntryKind::Dir {
        return if rules.policy == ConflictPolicy::Skip { Action::Skip(EXISTS) } else { Action::Write };
    }
    let of_this_run = touched || last_change(there) >= rules.started_ns;
    let other_time = touched && want.mtime_ns.is_some();
    match there.meta.as_deref().is_some_and(|m| shows(m, want)) && !other_time {
        true if rules.resumed && of_this_run => Action::AlreadyWritten,
        true => Action::Unchanged,
        false if rules.policy == ConflictPolicy::Skip && !of_this_run => Action::Skip(EXISTS),
        false => Action::Write,
    }
}

/// Does `there` show everything that `want` knows?
fn shows(there: &Meta, want: &Meta) -> bool {
    fn same<T: PartialEq>(there: Option<&T>, want: Option<&T>) -> bool {
        want.is_none() || there == want
    }
    same(there.mtime_ns.as_ref(), want.mtime_ns.as_ref())
        && same(there.mode.as_ref(), want.mode.as_ref())
        && same(there.uid.as_ref(), want.uid.as_ref())
        && same(there.gid.as_ref(), want.gid.as_ref())
        && want.xattrs.iter().all(|x| there.xattrs.contains(x))
}
