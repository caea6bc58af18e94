//! What is to be done with one item: a pure function of the policy and of what is known of both ends.
//!
//! The rules in words stand at [`decide`]. It never does I/O: where what is known does not suffice it
//! answers [`Action::Look`], and is asked again with what a `stat` of the destination said.

use connector::{Entry, EntryKind, Stamp};
use model::ConflictPolicy;

/// An object's upload time must be later than a file's last change by this much before it counts as
/// proof that the object holds that change: two machines' clocks are compared here.
pub const CLOCK_MARGIN_NS: i64 = 2_000_000_000;

/// For files the margin is wide: an upload may take long after the file was read, and a change in between
/// would have an earlier time than the object. Inside it the stamp decides.
pub const FILE_MARGIN_NS: i64 = 900 * 1_000_000_000;

/// Larger files are never judged by times alone: their uploads may take longer than any margin.
pub const LARGE: u64 = 16 << 20;

/// What is known of the destination's side of an item.
#[derive(Debug, Clone)]
pub enum Known {
    /// Nobody has looked.
    Nothing,
    /// Nothing is there.
    Absent,
    /// A listing showed this; listings carry no stamps, and its time is the time of the upload.
    Listed(Entry),
    /// A `stat` showed this, with our stamp if it carries one.
    Seen(Entry, Option<Stamp>),
}

/// What a run knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Conflict policy.
    pub policy: ConflictPolicy,
    /// Run tag; empty when runs can't be told apart (then nothing is ever "already written by us").
    pub run: &'a str,
    /// An earlier attempt of this run may have written items behind the checkpoint.
    pub resumed: bool,
    /// When the run's first attempt began, ns since the epoch.
    pub started_ns: i64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Write it.
    Write,
    /// This very run wrote it in an earlier attempt: book it as written, don't write it again.
    AlreadyWritten,
    /// It is there and the same.
    Unchanged,
    /// Leave it alone, with the reason for the report.
    Skip(&'static str),
    /// Look at the destination with `stat` and ask again.
    Look,
}

/// Reason of [`Action::Skip`] under the skip policy.
pub const EXISTS: &str = "exists at the destination";
/// Reason of [`Action::Skip`] when the later one wins.
pub const NEWER: &str = "the destination is newer";
/// Note on an item that a dry run would write over what is there.
pub const REPLACES: &str = "replaces what is there";
/// Reason of [`Action::Skip`] for fifos, sockets and devices.
pub const SPECIAL: &str = "special files are not moved";

/// Decides.
///
/// 1. Specials are skipped; what is not there is written.
/// 2. An intact stamp that names this version and size and this run: already written, whatever the policy.
/// 3. `Skip`: what exists stays. `Overwrite`: what exists is replaced.
/// 4. An intact stamp that names this version and size: unchanged.
/// 5. Same size, and the object was uploaded well after the file's last change (mtime and ctime, plus a
///    margin), or both modification times agree ([`content_time`]): unchanged. Ambiguous listings ask
///    for a look at the stamp first.
/// 6. `KeepLatest`: a destination that is newer stays; otherwise write. A tie with another size is
///    written, because it is known to differ. `IfChanged`: write.
#[must_use]
pub fn decide(rules: &Rules<'_>, source: &Entry, known: &Known) -> Action {
    if source.kind == EntryKind::Special {
        return Action::Skip(SPECIAL);
    }
    match known {
        Known::Absent => Action::Write,
        Known::Nothing if rules.policy == ConflictPolicy::Overwrite && !rules.resumed => Action::Write,
        Known::Nothing => Action::Look,
        Known::Listed(there) => by_listing(rules, source, there),
        Known::Seen(there, stamp) => by_stat(rules, source, there, stamp.as_ref()),
    }
}

fn by_listing(rules: &Rules<'_>, source: &Entry, there: &Entry) -> Action {
    let maybe_ours = rules.resumed && there.modified_ns >= rules.started_ns.saturating_sub(CLOCK_MARGIN_NS);
    if maybe_ours {
        return Action::Look;
    }
    match rules.policy {
        ConflictPolicy::Skip => Action::Skip(EXISTS),
        ConflictPolicy::Overwrite => Action::Write,
        ConflictPolicy::KeepLatest | ConflictPolicy::IfChanged => {
            let margin = if source.kind == EntryKind::Dir { CLOCK_MARGIN_NS } else { FILE_MARGIN_NS };
            let covers =
                source.size <= LARGE && there.modified_ns >= last_change(source).saturating_add(margin);
            if covers && there.size == source.size && same_kind(source, there) {
                Action::Unchanged
            } else {
                Action::Look
            }
        }
    }
}

fn by_stat(rules: &Rules<'_>, source: &Entry, there: &Entry, stamp: Option<&Stamp>) -> Action {
    let same_version = stamp.is_some_and(|s| is_of(s, source));
    let by_us = !rules.run.is_empty() && stamp.is_some_and(|s| *s.run == *rules.run);
    if same_version && by_us {
        return Action::AlreadyWritten;
    }
    match rules.policy {
        ConflictPolicy::Skip => Action::Skip(EXISTS),
        ConflictPolicy::Overwrite => Action::Write,
        _ if same_version => Action::Unchanged,
        policy => {
            let same_size = there.size == source.size && same_item(source, there);
            let (here_ns, there_ns) = (content_time(source), content_time(there));
            if same_size && there_ns == here_ns {
                Action::Unchanged
            } else if policy == ConflictPolicy::KeepLatest && there_ns > here_ns {
                Action::Skip(NEWER)
            } else {
                Action::Write
            }
        }
    }
}

/// When the content was last changed: the modification time that travels with it, else the listing's.
#[must_use]
pub fn content_time(e: &Entry) -> i64 {
    e.meta.as_ref().and_then(|m| m.mtime_ns).unwrap_or(e.modified_ns)
}

/// Does the stamp speak of this very version of the source?
#[must_use]
pub fn is_of(stamp: &Stamp, source: &Entry) -> bool {
    source.version.as_ref().is_some_and(|v| *v == stamp.version) && stamp.size == source.size
}

/// As [`same_kind`], where both were looked at: a link is the same as a link to the same place only. What
/// an object listing calls a file may be one, and then it has to be opened.
fn same_item(source: &Entry, there: &Entry) -> bool {
    match (&source.kind, &there.kind) {
        (EntryKind::Symlink { target: a }, EntryKind::Symlink { target: b }) => a == b,
        (EntryKind::Symlink { .. }, _) | (_, EntryKind::Symlink { .. }) => false,
        _ => same_kind(source, there),
    }
}

/// Directory against directory, anything else against anything else: object listings call links files.
fn same_kind(a: &Entry, b: &Entry) -> bool {
    (a.kind == EntryKind::Dir) == (b.kind == EntryKind::Dir)
}

/// The later of mtime and, where the version tells it (`ino-ctime_ns`), ctime.
pub(crate) fn last_change(e: &Entry) -> i64 {
    let changed = e.version.as_deref().and_then(|v| {
        let (ino, ctime) = v.split_once('-')?;
        ino.parse::<u64>().ok()?;
        ctime.parse::<i64>().ok()
    });
    changed.map_or(e.modified_ns, |c| c.max(e.modified_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::TreePath;

    fn entry(size: u64, modified_ns: i64, version: &str) -> Entry {
        Entry {
            path: TreePath::new(b"a").unwrap(),
            kind: EntryKind::File,
            size,
            modified_ns,
            version: Some(version.into()),
            meta: None,
        }
    }

    fn stamp(run: &str, version: &str, size: u64) -> Stamp {
        Stamp { run: run.into(), version: version.into(), size }
    }

    fn rules(policy: ConflictPolicy, resumed: bool) -> Rules<'static> {
        Rules { policy, run: "r", resumed, started_ns: 1_000_000_000_000 }
    }

    const ALL: [ConflictPolicy; 4] = [
        ConflictPolicy::Skip,
        ConflictPolicy::KeepLatest,
        ConflictPolicy::Overwrite,
        ConflictPolicy::IfChanged,
    ];

    #[test]
    fn what_this_run_wrote_is_never_written_again() {
        let src = entry(5, 10, "v1");
        for p in ALL {
            let seen = Known::Seen(entry(5, 99, "x"), Some(stamp("r", "v1", 5)));
            assert_eq!(decide(&rules(p, true), &src, &seen), Action::AlreadyWritten);
            assert_eq!(decide(&rules(p, false), &src, &Known::Absent), Action::Write);
        }
    }

    #[test]
    fn a_run_without_a_name_claims_nothing() {
        let src = entry(5, 10, "v1");
        let seen = Known::Seen(entry(5, 99, "x"), Some(stamp("", "v1", 5)));
        let r = Rules { run: "", ..rules(ConflictPolicy::Overwrite, true) };
        assert_eq!(decide(&r, &src, &seen), Action::Write);
        let r = Rules { run: "", ..rules(ConflictPolicy::IfChanged, false) };
        assert_eq!(decide(&r, &src, &seen), Action::Unchanged);
    }

    #[test]
    fn the_later_one_wins_and_a_tie_with_another_size_is_written() {
        let r = rules(ConflictPolicy::KeepLatest, false);
        let seen = |size, at| Known::Seen(entry(size, at, "x"), None);
        assert_eq!(decide(&r, &entry(5, 10, "v"), &seen(6, 9)), Action::Write);
        assert_eq!(decide(&r, &entry(5, 10, "v"), &seen(6, 11)), Action::Skip(NEWER));
        assert_eq!(decide(&r, &entry(5, 10, "v"), &seen(5, 10)), Action::Unchanged);
        assert_eq!(decide(&r, &entry(5, 10, "v"), &seen(6, 10)), Action::Write);
    }

    #[test]
    fn a_link_is_never_the_same_by_size_and_time_alone() {
        let r = rules(ConflictPolicy::IfChanged, false);
        let link = |to: &[u8]| Entry { kind: EntryKind::Symlink { target: to.into() }, ..entry(1, 10, "v") };
        let seen = |e| Known::Seen(e, None);
        assert_eq!(decide(&r, &link(b"a"), &seen(link(b"a"))), Action::Unchanged);
        assert_eq!(decide(&r, &link(b"a"), &seen(link(b"b"))), Action::Write);
        assert_eq!(decide(&r, &entry(1, 10, "v"), &seen(link(b"a"))), Action::Write);
        assert_eq!(decide(&r, &link(b"a"), &seen(entry(1, 10, "v"))), Action::Write);
    }

    #[test]
    fn an_upload_after_the_last_change_proves_sameness_only_with_a_margin() {
        let r = rules(ConflictPolicy::IfChanged, false);
        let ctime = 50_000_000_000;
        let src = entry(5, 10, &format!("77-{ctime}"));
        let listed = |size, at| Known::Listed(entry(size, at, "etag"));
        assert_eq!(decide(&r, &src, &listed(5, ctime + FILE_MARGIN_NS)), Action::Unchanged);
        assert_eq!(decide(&r, &src, &listed(5, ctime + FILE_MARGIN_NS - 1)), Action::Look);
        assert_eq!(decide(&r, &src, &listed(6, ctime + FILE_MARGIN_NS)), Action::Look);
        let large = entry(LARGE + 1, 10, &format!("77-{ctime}"));
        assert_eq!(decide(&r, &large, &listed(LARGE + 1, ctime + 2 * FILE_MARGIN_NS)), Action::Look);
    }

    #[test]
    fn the_time_that_travels_with_the_content_beats_the_time_of_the_upload() {
        let timed = |size, at, mtime| {
            let meta = connector::Meta { mtime_ns: Some(mtime), ..connector::Meta::default() };
            Entry { meta: Some(Box::new(meta)), ..entry(size, at, "etag") }
        };
        let latest = rules(ConflictPolicy::KeepLatest, false);
        let seen = Known::Seen(timed(5, 900, 20), None);
        assert_eq!(decide(&latest, &entry(6, 10, "v"), &seen), Action::Skip(NEWER));
        assert_eq!(
            decide(&latest, &entry(6, 30, "v"), &seen),
            Action::Write,
            "uploaded later, but older content"
        );
        let changed = rules(ConflictPolicy::IfChanged, false);
        assert_eq!(decide(&changed, &entry(5, 20, "v"), &seen), Action::Unchanged);
    }

    #[test]
    fn a_resumed_run_looks_at_what_it_may_have_written() {
        for p in ALL {
            let r = rules(p, true);
            let young = Known::Listed(entry(5, r.started_ns, "etag"));
            assert_eq!(decide(&r, &entry(5, 10, "1-10"), &young), Action::Look);
            assert_eq!(decide(&r, &entry(5, 10, "1-10"), &Known::Nothing), Action::Look);
        }
        let fresh = rules(ConflictPolicy::Overwrite, false);
        assert_eq!(decide(&fresh, &entry(5, 10, "1-10"), &Known::Nothing), Action::Write);
    }
}
