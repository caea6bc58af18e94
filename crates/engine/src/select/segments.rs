//! A selection as a row of segments, overlaps taken out.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use connector::{Error, ErrorKind, Result, TreePath};
use model::Precondition;
use tokio::sync::mpsc;

use super::{Select, lines};
use crate::Lanes;

/// Paths that lists may name at most: what is remembered of each takes 16 bytes.
const MAX_LISTED: usize = 4_000_000;

/// One piece of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Everything whose path starts with these bytes.
    Listing { prefix: Vec<u8>, must_exist: bool },
    /// One path.
    Path { from: TreePath, to: Option<TreePath>, condition: Precondition },
    /// A name that can't be a path, with the reason.
    Bad { name: Vec<u8>, reason: &'static str },
}

/// The row.
pub(crate) struct Segments {
    source: Source,
    /// What lists have named so far.
    named: Named,
}

enum Source {
    Ready(std::vec::IntoIter<Segment>),
    Lines(mpsc::Receiver<Result<Vec<Vec<u8>>>>, std::vec::IntoIter<Vec<u8>>),
}

impl Segments {
    pub async fn open(select: Select, lanes: &Lanes) -> Self {
        let ready = |v: Vec<Segment>| Source::Ready(v.into_iter());
        let source = match select {
            Select::All => ready(vec![Segment::Listing { prefix: Vec::new(), must_exist: false }]),
            Select::Prefixes(prefixes) => ready(
                disjoint(prefixes)
                    .into_iter()
                    .map(|prefix| Segment::Listing { prefix, must_exist: false })
                    .collect(),
            ),
            Select::Entries(entries) => ready(entries_in_order(entries)),
            Select::One { from, to, condition } => {
                ready(vec![Segment::Path { from, to: Some(to), condition }])
            }
            Select::Listed(listed) => {
                Source::Lines(lines::start(lanes, listed).await, Vec::new().into_iter())
            }
        };
        Self { source, named: Named::default() }
    }

    /// The next one.
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        match &mut self.source {
            Source::Ready(all) => Ok(all.next()),
            Source::Lines(more, lines) => loop {
                for line in lines.by_ref() {
                    let segment = segment_of(&line, true);
                    if self.named.is_new(&segment)? {
                        return Ok(Some(segment));
                    }
                }
                match more.recv().await.transpose()? {
                    Some(batch) => *lines = batch.into_iter(),
                    None => return Ok(None),
                }
            },
        }
    }

    /// Was this path, met in the listing of `prefix`, moved by an earlier line already?
    pub fn is_named(&self, path: &[u8], prefix: &[u8]) -> bool {
        let named = &self.named;
        if named.paths.is_empty() && named.dirs.len() < 2 {
            return false;
        }
        let deeper =
            (prefix.len().min(path.len())..=path.len()).filter(|i| *i == path.len() || path[*i] == b'/');
        named.paths.contains(&digest(path))
            || deeper.into_iter().any(|i| i > 0 && named.dirs.contains(&digest(&path[..i])))
    }
}

/// What lists have named: digests of paths, so that memory is bounded.
#[derive(Default)]
struct Named {
    paths: HashSet<u128>,
    dirs: HashSet<u128>,
}

impl Named {
    fn is_new(&mut self, segment: &Segment) -> Result<bool> {
        if self.paths.len() + self.dirs.len() >= MAX_LISTED {
            let what = format!("the list names more than {MAX_LISTED} paths");
            return Err(Error::new(ErrorKind::Unacceptable, what));
        }
        let (path, is_dir) = match segment {
            Segment::Listing { prefix, .. } => (prefix.strip_suffix(b"/").unwrap_or(prefix), true),
            Segment::Path { from, .. } => (from.as_bytes(), false),
            Segment::Bad { .. } => return Ok(true),
        };
        let below = (0..=path.len())
            .filter(|i| *i == path.len() || path[*i] == b'/')
            .any(|i| (is_dir || i < path.len()) && self.dirs.contains(&digest(&path[..i])));
        if below || self.dirs.contains(&digest(b"")) {
            return Ok(false);
        }
        if is_dir {
            return Ok(self.dirs.insert(digest(path)));
        }
        Ok(self.paths.insert(digest(path)))
    }
}

/// 128 bits of the path, from two keyed hashes: four million paths don't meet by chance.
fn digest(path: &[u8]) -> u128 {
    let half = |seed: u64| {
        let mut h = DefaultHasher::new();
        seed.hash(&mut h);
        path.hash(&mut h);
        u128::from(h.finish())
    };
    half(0x7768_6172) << 64 | half(0x6669_6e67)
}

/// Sorts, and drops what another one covers.
fn disjoint(mut prefixes: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    prefixes.sort_unstable();
    let mut out: Vec<Vec<u8>> = Vec::with_capacity(prefixes.len());
    for p in prefixes {
        if !out.last().is_some_and(|q| p.starts_with(q)) {
            out.push(p);
        }
    }
    out
}

fn entries_in_order(mut entries: Vec<Vec<u8>>) -> Vec<Segment> {
    for e in &mut entries {
        if e.len() > 1 && e.starts_with(b"/") {
            e.remove(0);
        }
    }
    entries.sort_unstable();
    entries.dedup();
    let mut covered: Option<Vec<u8>> = None;
    let mut out = Vec::with_capacity(entries.len());
    for e in entries {
        if covered.as_ref().is_some_and(|c| e.starts_with(c)) {
            continue;
        }
        let segment = segment_of(&e, true);
        if let Segment::Listing { prefix, .. } = &segment {
            covered = Some(prefix.clone());
        }
        out.push(segment);
    }
    out
}

/// A named path as a segment: leading `/` is taken off, a trailing one means a directory.
fn segment_of(name: &[u8], must_exist: bool) -> Segment {
    let bare = name.strip_prefix(b"/").unwrap_or(name);
    if bare.is_empty() && !name.is_empty() {
        return Segment::Listing { prefix: Vec::new(), must_exist };
    }
    match TreePath::new(bare) {
        Err(problem) => Segment::Bad { name: name.to_vec(), reason: problem.reason() },
        Ok(_) if bare.ends_with(b"/") => Segment::Listing { prefix: bare.to_vec(), must_exist },
        Ok(from) => Segment::Path { from, to: None, condition: Precondition::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<Vec<u8>> {
        all.iter().map(|s| s.as_bytes().to_vec()).collect()
    }

    #[test]
    fn overlaps_are_taken_once() {
        assert_eq!(disjoint(names(&["b/", "a/b/", "a/", "a/b/c", "ab/"])), names(&["a/", "ab/", "b/"]));
        let got = entries_in_order(names(&["/x", "d/", "d/e", "x", "../y", "d/"]));
        assert_eq!(got.len(), 3, "{got:?}");
        assert!(matches!(&got[0], Segment::Bad { .. }));
    }

    #[test]
    fn lists_may_repeat_and_overlap() {
        let mut n = Named::default();
        let mut new = |s: &str| n.is_new(&segment_of(s.as_bytes(), true)).unwrap();
        assert!(new("a/b") && !new("a/b") && new("c/") && !new("c/d") && !new("c/d/"));
        assert!(new("a/") && !new("a/z") && !new("a/"));
        let s = Segments { source: Source::Ready(Vec::new().into_iter()), named: n };
        assert!(s.is_named(b"a/b", b"a/") && s.is_named(b"c/x", b"") && !s.is_named(b"a/z", b"a/"));
    }
}
