//! Trees and lanes.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Digest, Entry, Meta, Result, Stamp, TreePath};

/// A half-open byte range `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// Length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Only entries whose path starts with these bytes (a raw prefix, `""` = all).
    pub prefix: Vec<u8>,
    /// Only entries whose *key* is greater than this one (a directory's key ends in `/`): how a
    /// checkpoint continues.
    pub after: Option<Vec<u8>>,
    /// Fetch extended attributes too (POSIX only; costs a call per file).
    pub xattrs: bool,
}

/// What [`Tree::sweep`] may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Only what nobody has touched for this long: no part of it was stored, and [`Lane::begin`] did not find
    /// it again. 0 = all.
    pub idle_s: u64,
    /// Only what this run ([`Stamp::run`]) left and no other run has taken up.
    pub run: Option<Box<str>>,
}

impl Sweep {
    /// Whatever nobody has touched for this long.
    #[must_use]
    pub fn idle(seconds: u64) -> Self {
        Self { idle_s: seconds, run: None }
    }

    /// What this run left and nobody has touched for this long. With 0 only for a run that is over: what it
    /// has at work would go too.
    #[must_use]
    pub fn of_run(run: &str, seconds: u64) -> Self {
        Self { idle_s: seconds, run: Some(run.into()) }
    }
}

/// Result of [`Tree::probe`].
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// The tree exists and can be listed.
    pub readable: bool,
    /// Things can be created in it (only tested when asked).
    pub writable: bool,
    /// What the endpoint says it is, for people.
    pub server: Option<String>,
}

/// One end of a transfer. Cheap to clone behind an `Arc`; holds no connection by itself.
#[async_trait]
pub trait Tree: Send + Sync + 'static {
    /// For people and reports: `s3://bucket/prefix/`, `/data/dir`. Never a secret.
    fn describe(&self) -> String;

    /// Reads (and with `write` also writes and removes) the least it can to say whether the tree is usable.
    ///
    /// # Errors
    /// `NotFound` no such bucket or directory, `Denied`, `Unavailable`.
    async fn probe(&self, write: bool) -> Result<Probe>;

    /// Starts a listing. Nothing is read before the first `next`. Memory is bounded whatever the size.
    fn list(&self, request: ListRequest) -> Box<dyn EntryStream>;

    /// Opens a lane. Must be called on the thread (and inside the current-thread runtime) that will use it.
    fn lane(&self) -> Box<dyn Lane>;

    /// Makes everything written so far survive a power loss, as far as the destination can
    /// (a file system: `syncfs`; an object store: nothing to do). Blocking; called off the lanes.
    ///
    /// # Errors
    /// `Full`, `Other`: what was written is not safe.
    fn settle(&self) -> Result<()>;

    /// Removes what interrupted writes of ours have left (temporary files, unfinished multipart
    /// uploads) under this tree, as far as `what` allows it. Returns how many. What is not known to be ours
    /// stays: other tools' uploads, files whose names only look like ours.
    ///
    /// # Errors
    /// As listing.
    async fn sweep(&self, what: &Sweep) -> Result<u64>;
}

/// A sorted listing. Order: ascending bytes of the key, where a directory's key is its path plus `/`.
///
/// Dropping it ends it. After an error the stream is over unless the error is about one entry, which
/// is then an `Err` of kind `Unacceptable` whose message names the key: the caller reports it and goes on.
#[async_trait]
pub trait EntryStream: Send {
    /// The next entries (at least one, at most a page of about 1,000), or `None` at the end.
    ///
    /// # Errors
    /// `Denied`, `NotFound`, `Unavailable` (after the connector's own retries) end the listing.
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>>;
}

/// What is at a path of the destination now.
#[derive(Debug, Clone)]
pub struct Found {
    /// The item.
    pub entry: Entry,
    /// Our mark on it, if it carries one **and** the item is untouched since (for a file: mtime and
    /// size are still those we set).
    pub stamp: Option<Stamp>,
    /// Digest of its whole content, where that is known without reading it: our mark keeps it on files, some
    /// stores keep one of their own. It says what was written there, not what a disk has made of it since.
    pub digest: Option<Digest>,
}

/// What to do with something that is already there when the write becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Replace it, whatever it is.
    Always,
    /// Fail with `Exists`.
    Never,
}

/// What is to be written and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where, relative to the destination's root.
    pub path: TreePath,
    /// Size of the source in bytes, as listed. The write fails with `Changed` when another number of bytes comes.
    pub size: u64,
    /// Metadata to put on it. What the source's [`Source::meta`] says after opening takes precedence where this has `None`.
    pub meta: Meta,
    /// Our mark.
    pub stamp: Stamp,
    /// Condition.
    pub overwrite: Overwrite,
}

/// What a finished write says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Identity of the new version at the destination (ETag; `ino-ctime_ns`).
    pub version: Option<Box<str>>,
    /// Digest of the content that was written.
    pub digest: Digest,
}

/// A body being read. Chunks come in order; the sum of their lengths is [`Source::len`] or the read failed.
#[async_trait(?Send)]
pub trait Source {
    /// How many bytes this read will give (the range's length).
    fn len(&self) -> u64;
    /// True when nothing will come.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Metadata of the item, known once it is open (object user metadata; POSIX metadata).
    fn meta(&self) -> &Meta;
    /// The whole item's digest as the store knows it, if it does.
    fn expected(&self) -> Option<Digest> {
        None
    }
    /// Is what comes compared with a digest of the whole that the store keeps? Then a read that ends without
    /// an error has proved the content, and one that does not end so says `Corrupt`.
    fn is_checked(&self) -> bool {
        self.expected().is_some()
    }
    /// The next chunk, `None` at the end.
    ///
    /// # Errors
    /// `Unavailable` connection broke, `Corrupt` too few or too many bytes, `Changed`.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// A boxed [`Source`].
pub type Body = Box<dyn Source>;

/// A write in parts. Plain data, so that several lanes can work on it.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The connector's own handle: multipart upload id, or temporary file name.
    pub token: Box<str>,
    /// Size of every part but the last.
    pub part_size: u64,
    /// Parts that an earlier, interrupted run had already stored for the same source version and part size.
    pub done: Vec<PartDone>,
}

/// Which part to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 1-based number.
    pub number: u32,
    /// The bytes of the item it holds.
    pub range: Range,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDone {
    /// 1-based number.
    pub number: u32,
    /// ETag of the part, where the destination has such a thing.
    pub etag: Option<Box<str>>,
    /// Digest of the part's bytes; `None` for a part found again whose digest the store does not tell. Such
    /// a part has to go through [`Lane::put_part`] again, which compares it and sends nothing when it is the same.
    pub digest: Option<Digest>,
    /// Length in bytes.
    pub len: u64,
}

/// The working end of a [`Tree`] on one thread.
///
/// Cancel safety: dropping any of these futures equals a failure of that call. Nothing becomes visible
/// at the destination before `put` or `finish` returns, and then all of it does.
#[async_trait(?Send)]
pub trait Lane {
    /// What is at `path` now; `None` when nothing is. Follows no link at any component.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>>;

    /// Opens an item (or a range of it) for reading. Fails with `Changed` when it is no longer
    /// [`Entry::version`] / size of `entry`.
    ///
    /// # Errors
    /// `NotFound`, `Changed`, `Denied`, `Unavailable`.
    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body>;

    /// Opens a whole item for a proof: it is compared with any digest that the store has of it, also one
    /// that is too dear for everyday reading ([`Source::is_checked`] says whether there is one).
    ///
    /// # Errors
    /// As [`Lane::open`].
    async fn open_checked(&self, entry: &Entry) -> Result<Body> {
        self.open(entry, None).await
    }

    /// Writes a whole item of kind file, symlink (`meta.symlink`) or hard link (`meta.hard_link`)
    /// so that it appears at once or not at all. Parent directories are made as needed.
    ///
    /// # Errors
    /// `Exists` (only with [`Overwrite::Never`], or a directory is in the way), `Changed` (length differs),
    /// `Unacceptable` (a file is in the way of a parent directory, a link would be followed), `Full`, …
    async fn put(&self, target: &Target, body: Body) -> Result<Stored>;

    /// Makes sure that a directory is there and carries this metadata. May be called before and again
    /// after its children were written (so that its times come out right).
    ///
    /// # Errors
    /// As `put`.
    async fn put_dir(&self, target: &Target) -> Result<()>;

    /// Starts, or finds again, a write in parts. One that is found again is the run's own from then on, and
    /// counts as touched ([`Sweep`]). There are 9,999 parts at most.
    ///
    /// # Errors
    /// As `put`.
    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload>;

    /// Writes one part. Idempotent; parts may come in any order and from several lanes.
    ///
    /// # Errors
    /// As `put`.
    async fn put_part(&self, target: &Target, upload: &Upload, part: Part, body: Body) -> Result<PartDone>;

    /// Makes the item visible. `parts` is complete and sorted; `meta` is what the source said.
    ///
    /// # Errors
    /// As `put`.
    async fn finish(
        &self,
        target: &Target,
        upload: &Upload,
        parts: &[PartDone],
        meta: &Meta,
    ) -> Result<Stored>;

    /// Forgets an upload and frees what it holds.
    ///
    /// # Errors
    /// `Unavailable`; the sweep will find it later.
    async fn abort(&self, target: &Target, upload: &Upload) -> Result<()>;

    /// Removes an item; `Ok(false)` when it was not there.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    async fn remove(&self, path: &TreePath) -> Result<bool>;
}
