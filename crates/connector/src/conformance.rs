//! The contract as a program: what every [`Tree`] has to do, checked against a real one.
//!
//! A connector's test makes an empty tree and calls [`run`]. Each scenario works below a directory of
//! its own, so that one can also be called alone. A failure is a sentence that says what was promised
//! and what happened; nothing here panics. Differences between kinds of trees are declared in a
//! [`Profile`], never guessed.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Body, Entry, EntryKind, Error, ErrorKind, Lane, ListRequest, Meta, Overwrite, Result, Source, Stamp,
    Stored, Target, Tree, TreePath,
};

/// What kind of tree is being checked.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Directories and files exclude each other, links are links, a listing shows directories that were
    /// never put.
    pub posix: bool,
    /// Smallest part that the destination takes (the last may be smaller). S3: 5 MiB.
    pub part_size: u64,
    /// How many small items the listing scenarios put.
    pub items: usize,
    /// A conditional write ([`Overwrite::Never`]) is atomic here.
    pub conditional: bool,
}

impl Profile {
    /// A directory of a file system.
    #[must_use]
    pub fn posix() -> Self {
        Self { posix: true, part_size: 1024 * 1024, items: 60, conditional: true }
    }

    /// An S3-compatible bucket.
    #[must_use]
    pub fn object() -> Self {
        Self { posix: false, part_size: 5 * 1024 * 1024, items: 60, conditional: true }
    }
}

/// The outcome of a scenario: `Err` says which promise was broken and how.
pub type Verdict = std::result::Result<(), String>;

macro_rules! ensure {
    ($cond:expr, $($words:tt)+) => {
        if !$cond {
            return Err(format!($($words)+));
        }
    };
}

mod items;
mod listings;
mod shapes;
mod uploads;

pub use items::{changed_items, conditions, missing_items, whole_items, wrong_lengths};
pub use listings::listing;
pub use shapes::{directories, links, metadata};
pub use uploads::{leftovers, parts};

/// Adds to an error what was being done.
trait During<T> {
    fn during(self, what: &str) -> std::result::Result<T, String>;
}

impl<T> During<T> for Result<T> {
    fn during(self, what: &str) -> std::result::Result<T, String> {
        self.map_err(|e| format!("{what}: {} ({})", e, e.kind().name()))
    }
}

/// A body that is in memory: for this suite and for connectors' own tests.
#[derive(Debug)]
pub struct Chunks {
    meta: Meta,
    chunks: std::vec::IntoIter<Bytes>,
    left: u64,
    fails: bool,
}

impl Chunks {
    /// `content` in chunks of at most `chunk` bytes.
    #[must_use]
    pub fn new(content: &[u8], chunk: usize) -> Self {
        let chunks: Vec<Bytes> = content.chunks(chunk.max(1)).map(Bytes::copy_from_slice).collect();
        Self { meta: Meta::default(), chunks: chunks.into_iter(), left: content.len() as u64, fails: false }
    }

    /// With metadata, as a source that knows it once it is open.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Self {
        self.meta = meta;
        self
    }

    /// Breaks with `Unavailable` where it would have ended.
    #[must_use]
    pub fn failing(mut self) -> Self {
        self.fails = true;
        self
    }

    /// Boxed.
    #[must_use]
    pub fn body(self) -> Body {
        Box::new(self)
    }
}

#[async_trait(?Send)]
impl Source for Chunks {
    fn len(&self) -> u64 {
        self.left
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.chunks.next() {
            Some(c) => Ok(Some(c)),
            None if self.fails => Err(Error::new(ErrorKind::Unavailable, "the connection broke")),
            None => Ok(None),
        }
    }
}

/// Runs every scenario. The tree has to be empty and writable.
///
/// # Errors
/// The first broken promise.
pub async fn run(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let probe = tree.probe(true).await.during("probing")?;
    ensure!(probe.readable && probe.writable, "the probe says {probe:?} of a tree that can be written");
    whole_items(tree).await.map_err(|e| format!("whole items: {e}"))?;
    wrong_lengths(tree).await.map_err(|e| format!("wrong lengths: {e}"))?;
    conditions(tree, profile).await.map_err(|e| format!("conditions: {e}"))?;
    changed_items(tree).await.map_err(|e| format!("changed items: {e}"))?;
    missing_items(tree).await.map_err(|e| format!("missing items: {e}"))?;
    metadata(tree, profile).await.map_err(|e| format!("metadata: {e}"))?;
    links(tree, profile).await.map_err(|e| format!("links: {e}"))?;
    directories(tree, profile).await.map_err(|e| format!("directories: {e}"))?;
    parts(tree, profile).await.map_err(|e| format!("parts: {e}"))?;
    leftovers(tree, profile).await.map_err(|e| format!("leftovers: {e}"))?;
    listing(tree, profile).await.map_err(|e| format!("listing: {e}"))?;
    tree.settle().during("settling")
}

/// The key that an entry is sorted by: its path, with `/` behind a directory.
#[must_use]
pub fn key(entry: &Entry) -> Vec<u8> {
    let mut key = entry.path.as_bytes().to_vec();
    if entry.kind == EntryKind::Dir {
        key.push(b'/');
    }
    key
}

/// Reads a listing to its end. Entries that are errors count as failures.
///
/// # Errors
/// Any error of the listing.
pub async fn list_all(tree: &dyn Tree, request: ListRequest) -> std::result::Result<Vec<Entry>, String> {
    let mut stream = tree.list(request);
    let mut all = Vec::new();
    while let Some(page) = stream.next().await.during("listing")? {
        ensure!(!page.is_empty(), "a page of a listing is empty");
        for entry in page {
            all.push(entry.during("an entry of the listing")?);
        }
    }
    ensure!(stream.next().await.during("listing past its end")?.is_none(), "a listing went on after its end");
    Ok(all)
}

/// Reads a body to its end.
///
/// # Errors
/// Any error of the body.
pub async fn read_all(mut body: Body) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Bytes that repeat late and differ by `seed`.
#[must_use]
pub fn content(len: usize, seed: u8) -> Vec<u8> {
    let mut x = u32::from(seed) + 1;
    (0..len)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            x.to_be_bytes()[0]
        })
        .collect()
}

fn path(text: &[u8]) -> std::result::Result<TreePath, String> {
    TreePath::new(text).map_err(|e| format!("the suite's own path is wrong: {e}"))
}

fn target(at: &str, size: usize) -> std::result::Result<Target, String> {
    Ok(Target {
        path: path(at.as_bytes())?,
        size: size as u64,
        meta: Meta { mtime_ns: Some(1_600_000_000_123_456_789), ..Meta::default() },
        stamp: Stamp { run: "conformance".into(), version: format!("v-{size}").into(), size: size as u64 },
        overwrite: Overwrite::Always,
    })
}

async fn put(lane: &dyn Lane, target: &Target, bytes: &[u8]) -> std::result::Result<Stored, String> {
    lane.put(target, Chunks::new(bytes, 1000).body()).await.during(&format!("putting {:?}", target.path))
}

async fn found(lane: &dyn Lane, at: &TreePath) -> std::result::Result<Entry, String> {
    let found = lane.stat(at).await.during("stat")?;
    found.map(|f| f.entry).ok_or_else(|| format!("{at:?} is not there"))
}

async fn fails_with<T>(what: &str, want: ErrorKind, call: impl Future<Output = Result<T>>) -> Verdict {
    match call.await {
        Ok(_) => Err(format!("{what} went well, but should fail with {}", want.name())),
        Err(e) if e.kind() == want => Ok(()),
        Err(e) => Err(format!("{what} failed with {} ({e}), not {}", e.kind().name(), want.name())),
    }
}
