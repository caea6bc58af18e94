//! The contract as a program: what every [`Tree`] has to do, checked against a real one.
//!
//! A connector's test makes an empty tree and calls [`run`]. Each scenario works below a directory of
//! its own, so that one can also be called alone. A failure is a sentence that says what was promised
//! and what happened; nothing here panics. Differences between kinds of trees are declared in a
//! [`Profile`], never guessed.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Body, Digest, Entry, EntryKind, Error, ErrorKind, Lane, ListRequest, Meta, Overwrite, Part, Range,
    Result, Source, Stamp, Stored, Sweep, Target, Tree, TreePath,
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

/// What was put is there, whole and in ranges, with its stamp and digest; removing removes.
///
/// # Errors
/// The broken promise.
pub async fn whole_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    for size in [0, 1, 4096, 100_001] {
        let t = target(&format!("whole/of {size}"), size)?;
        let bytes = content(size, 1);
        let stored = put(&*lane, &t, &bytes).await?;
        ensure!(stored.digest == Digest::of(&bytes), "the digest of {size} bytes is {}", stored.digest);
        let f = lane.stat(&t.path).await.during("stat")?.ok_or("nothing is there after put")?;
        ensure!(f.entry.kind == EntryKind::File && f.entry.size == size as u64, "stat says {:?}", f.entry);
        ensure!(f.stamp.as_ref() == Some(&t.stamp), "the stamp is {:?}, not {:?}", f.stamp, t.stamp);
        ensure!(f.digest.is_none_or(|d| d == stored.digest), "stat tells the digest {:?}", f.digest);
        ensure!(
            stored.version.is_none() || stored.version == f.entry.version,
            "put gave version {:?}, stat gives {:?}",
            stored.version,
            f.entry.version
        );
        let body = lane.open(&f.entry, None).await.during("opening")?;
        ensure!(body.len() == size as u64, "the body of {size} bytes says it has {}", body.len());
        ensure!(read_all(body).await.during("reading")? == bytes, "{size} bytes came back different");
        ensure!(lane.remove(&t.path).await.during("removing")?, "removing what is there said it was not");
        ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "it is still there after remove");
    }
    let t = target("whole/ranges", 50_000)?;
    let bytes = content(50_000, 2);
    put(&*lane, &t, &bytes).await?;
    let entry = found(&*lane, &t.path).await?;
    for (start, end) in [(0u64, 1u64), (0, 50_000), (4095, 4097), (49_999, 50_000), (777, 40_001)] {
        let body = lane.open(&entry, Some(Range { start, end })).await.during("opening a range")?;
        ensure!(body.len() == end - start, "the range {start}..{end} says it has {} bytes", body.len());
        let got = read_all(body).await.during("reading a range")?;
        ensure!(got == bytes[start as usize..end as usize], "the range {start}..{end} is different");
    }
    Ok(())
}

/// Too few bytes, too many or a broken source make nothing visible.
///
/// # Errors
/// The broken promise.
pub async fn wrong_lengths(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("lengths/item", 5000)?;
    for len in [0, 4999, 5001, 9000] {
        let body = Chunks::new(&content(len, 3), 1000).body();
        fails_with(&format!("putting {len} bytes for 5000"), ErrorKind::Changed, lane.put(&t, body)).await?;
        ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "{len} bytes for 5000 became visible");
    }
    let broken = Chunks::new(&content(2000, 3), 1000).failing().body();
    fails_with("putting from a broken source", ErrorKind::Unavailable, lane.put(&t, broken)).await?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "a broken body became visible");
    put(&*lane, &t, &content(5000, 3)).await?;
    let broken = Chunks::new(&content(2000, 4), 1000).failing().body();
    fails_with("replacing from a broken source", ErrorKind::Unavailable, lane.put(&t, broken)).await?;
    let entry = found(&*lane, &t.path).await?;
    let got = read_all(lane.open(&entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == content(5000, 3), "a failed replacement changed what was there");
    Ok(())
}

/// `Always` replaces, `Never` does not.
///
/// # Errors
/// The broken promise.
pub async fn conditions(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut t = target("conditions/item", 10)?;
    put(&*lane, &t, &content(10, 5)).await?;
    put(&*lane, &t, &content(10, 6)).await?;
    let entry = found(&*lane, &t.path).await?;
    let got = read_all(lane.open(&entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == content(10, 6), "a second put did not replace the first");
    if profile.conditional {
        t.overwrite = Overwrite::Never;
        let body = Chunks::new(&content(10, 7), 4).body();
        fails_with("putting over an item with `Never`", ErrorKind::Exists, lane.put(&t, body)).await?;
        ensure!(found(&*lane, &t.path).await? == entry, "a refused put changed the item");
        t.path = path(b"conditions/new")?;
        put(&*lane, &t, &content(10, 7)).await?;
    }
    Ok(())
}

/// An item that is no longer the listed one is not read.
///
/// # Errors
/// The broken promise.
pub async fn changed_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("changed/item", 3000)?;
    put(&*lane, &t, &content(3000, 8)).await?;
    let old = found(&*lane, &t.path).await?;
    put(&*lane, &t, &content(3000, 9)).await?;
    let read = async { read_all(lane.open(&old, None).await?).await };
    fails_with("reading a replaced item", ErrorKind::Changed, read).await
}

/// What isn't there is not an error to ask for, and one to read.
///
/// # Errors
/// The broken promise.
pub async fn missing_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("missing/item", 3)?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "something is where nothing was put");
    ensure!(!lane.remove(&t.path).await.during("removing")?, "removing nothing said it removed");
    put(&*lane, &t, &content(3, 1)).await?;
    let entry = found(&*lane, &t.path).await?;
    lane.remove(&t.path).await.during("removing")?;
    let read = async { read_all(lane.open(&entry, None).await?).await };
    fails_with("reading a removed item", ErrorKind::NotFound, read).await
}

/// Times and modes come back, whether the target or the source knew them; the target's count first.
///
/// # Errors
/// The broken promise.
pub async fn metadata(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut t = target("metadata/item", 4)?;
    t.meta = Meta { mtime_ns: Some(1_234_567_890_123_456_789), mode: Some(0o640), ..Meta::default() };
    let told = Meta { mtime_ns: Some(5), mode: Some(0o777), ..Meta::default() };
    lane.put(&t, Chunks::new(b"four", 4).with_meta(told).body()).await.during("putting")?;
    let entry = found(&*lane, &t.path).await?;
    let body = lane.open(&entry, None).await.during("opening")?;
    let meta = body.meta();
    ensure!(
        meta.mtime_ns == t.meta.mtime_ns && meta.mode == t.meta.mode,
        "the target's metadata came back as {meta:?}"
    );
    let mut s = target("metadata/from source", 4)?;
    s.meta = Meta::default();
    let told = Meta { mtime_ns: Some(1_111_111_111_000_000_001), mode: Some(0o600), ..Meta::default() };
    lane.put(&s, Chunks::new(b"four", 4).with_meta(told.clone()).body()).await.during("putting")?;
    let entry = found(&*lane, &s.path).await?;
    let body = lane.open(&entry, None).await.during("opening")?;
    let meta = body.meta();
    ensure!(
        meta.mtime_ns == told.mtime_ns && meta.mode == told.mode,
        "the source's metadata came back as {meta:?}"
    );
    if profile.posix {
        ensure!(entry.modified_ns == 1_111_111_111_000_000_001, "modified at {}", entry.modified_ns);
    }
    Ok(())
}

/// Symbolic links come back as what they hold.
///
/// # Errors
/// The broken promise.
pub async fn links(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let held: &[u8] = b"../some where/\xff";
    let mut t = target("links/link", held.len())?;
    t.meta.symlink = Some(held.into());
    put(&*lane, &t, held).await?;
    let entry = found(&*lane, &t.path).await?;
    ensure!(entry.size == held.len() as u64, "a link weighs {} bytes, not its target's", entry.size);
    if profile.posix {
        ensure!(entry.kind == EntryKind::Symlink { target: held.into() }, "the link is {:?}", entry.kind);
    }
    let body = lane.open(&entry, None).await.during("opening a link")?;
    ensure!(
        body.meta().symlink.as_deref() == Some(held),
        "the link's metadata says {:?}",
        body.meta().symlink
    );
    if profile.posix {
        let first = target("links/first", 7)?;
        put(&*lane, &first, b"content").await?;
        let mut second = target("links/second", 7)?;
        second.meta.hard_link = Some(first.path.clone());
        put(&*lane, &second, b"").await?;
        let entries =
            list_all(tree, ListRequest { prefix: b"links/".to_vec(), ..ListRequest::default() }).await?;
        let kind = entries.iter().find(|e| e.path == second.path).map(|e| &e.kind);
        ensure!(kind == Some(&EntryKind::HardLink { first: first.path }), "the second name is {kind:?}");
        second.path = path(b"links/third")?;
        second.meta.hard_link = Some(path(b"links/nowhere")?);
        let empty = Chunks::new(b"", 1).body();
        fails_with("linking what is not there", ErrorKind::NotFound, lane.put(&second, empty)).await?;
    }
    Ok(())
}

/// A directory that was put is listed as one; files and directories exclude each other where they do.
///
/// # Errors
/// The broken promise.
pub async fn directories(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let t = target("directories/empty", 0)?;
    lane.put_dir(&t).await.during("putting a directory")?;
    lane.put_dir(&t).await.during("putting a directory again")?;
    let entries =
        list_all(tree, ListRequest { prefix: t.path.as_bytes().to_vec(), ..ListRequest::default() }).await?;
    let kinds: Vec<_> = entries.iter().map(|e| (e.path.clone(), e.kind.clone())).collect();
    ensure!(kinds == [(t.path.clone(), EntryKind::Dir)], "the directory is listed as {kinds:?}");
    if profile.posix {
        let (a, ab) = (target("directories/a", 1)?, target("directories/a/b", 1)?);
        put(&*lane, &a, b"x").await?;
        let body = || Chunks::new(b"x", 1).body();
        fails_with("putting below a file", ErrorKind::Unacceptable, lane.put(&ab, body())).await?;
        fails_with("a directory over a file", ErrorKind::Unacceptable, lane.put_dir(&a)).await?;
        lane.remove(&a.path).await.during("removing")?;
        put(&*lane, &ab, b"x").await?;
        fails_with("putting over a directory", ErrorKind::Exists, lane.put(&a, body())).await?;
        ensure!(found(&*lane, &ab.path).await?.size == 1, "the file below the directory was lost");
    }
    Ok(())
}

/// Parts in any order and from two lanes make a whole; a later run finds them again.
///
/// # Errors
/// The broken promise.
pub async fn parts(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let (lane, other) = (tree.lane(), tree.lane());
    let size = profile.part_size as usize * 2 + 1234;
    let t = target("parts/large", size)?;
    let bytes = content(size, 11);
    let part = |number: u32| {
        let start = u64::from(number - 1) * profile.part_size;
        Part { number, range: Range { start, end: (start + profile.part_size).min(size as u64) } }
    };
    let body = |p: Part| Chunks::new(&bytes[p.range.start as usize..p.range.end as usize], 60_000).body();
    let upload = lane.begin(&t, profile.part_size).await.during("beginning")?;
    ensure!(upload.done.is_empty(), "a new upload has parts: {:?}", upload.done);
    lane.put_part(&t, &upload, part(3), body(part(3))).await.during("putting part 3")?;
    let short = Chunks::new(&bytes[..1000], 1000).body();
    fails_with("putting a short part", ErrorKind::Changed, lane.put_part(&t, &upload, part(2), short))
        .await?;
    other.put_part(&t, &upload, part(1), body(part(1))).await.during("putting part 1")?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "an unfinished upload is visible");
    drop((lane, other));
    let lane = tree.lane();
    let again = lane.begin(&t, profile.part_size).await.during("beginning again")?;
    let numbers: Vec<u32> = again.done.iter().map(|p| p.number).collect();
    ensure!(numbers == [1, 3], "the parts found again are {numbers:?}, not 1 and 3");
    let mut all = again.done.clone();
    all.push(lane.put_part(&t, &again, part(2), body(part(2))).await.during("putting part 2")?);
    all.sort_by_key(|p| p.number);
    let stored = lane.finish(&t, &again, &all, &Meta::default()).await.during("finishing")?;
    if all.iter().all(|p| p.digest.is_some()) {
        ensure!(stored.digest == Digest::of(&bytes), "the digest of the whole is {}", stored.digest);
    }
    let f = lane.stat(&t.path).await.during("stat")?.ok_or("nothing is there after finish")?;
    ensure!(f.stamp.as_ref() == Some(&t.stamp), "the stamp is {:?}", f.stamp);
    let got = read_all(lane.open(&f.entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == bytes, "the parts came back different");
    Ok(())
}

/// An aborted upload is forgotten, a forgotten one is swept.
///
/// # Errors
/// The broken promise.
pub async fn leftovers(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let size = profile.part_size as usize + 1;
    let t = target("leftovers/large", size)?;
    let bytes = content(size, 12);
    let part = Part { number: 1, range: Range { start: 0, end: profile.part_size } };
    let body = || Chunks::new(&bytes[..profile.part_size as usize], 65_536).body();
    let upload = lane.begin(&t, profile.part_size).await.during("beginning")?;
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    lane.abort(&t, &upload).await.during("aborting")?;
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after an abort")?;
    ensure!(upload.done.is_empty(), "an aborted upload was found again");
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    let sweep = async |what: Sweep| tree.sweep(&what).await.during("sweeping");
    ensure!(sweep(Sweep::idle(3600)).await? == 0, "the sweep took a young upload");
    ensure!(sweep(Sweep::of_run("another run")).await? == 0, "the sweep took another run's upload");
    ensure!(sweep(Sweep::of_run(&t.stamp.run)).await? > 0, "the sweep of its run found nothing");
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after a sweep")?;
    ensure!(upload.done.is_empty(), "a swept upload was found again");
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    // Who finds it again has it from then on.
    let other = Target { stamp: Stamp { run: "another run".into(), ..t.stamp.clone() }, ..t.clone() };
    lane.begin(&other, profile.part_size).await.during("beginning for another run")?;
    ensure!(sweep(Sweep::of_run(&t.stamp.run)).await? == 0, "the sweep took what another run goes on with");
    ensure!(sweep(Sweep::idle(0)).await? > 0, "the sweep found nothing");
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after a sweep")?;
    ensure!(upload.done.is_empty(), "a swept upload was found again");
    lane.abort(&t, &upload).await.during("aborting")
}

/// Sorted by key, complete, and continued at any point; a prefix is a prefix of bytes.
///
/// # Errors
/// The broken promise.
pub async fn listing(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut names: Vec<String> =
        (0..profile.items).map(|i| format!("listing/n{:04}/x{}", i / 7, i)).collect();
    for odd in [
        "a b",
        "a-b",
        "a/b",
        "a0",
        "a/b c/d",
        "-dash",
        "\u{6587}\u{4ef6}",
        "+%2F&?#",
        "dots..",
        "...",
        "a.b/c",
    ] {
        names.push(format!("listing/{odd}"));
    }
    for name in &names {
        put(&*lane, &target(name, 1)?, b"x").await?;
    }
    let all = list_all(tree, ListRequest { prefix: b"listing/".to_vec(), ..ListRequest::default() }).await?;
    let keys: Vec<Vec<u8>> = all.iter().map(key).collect();
    ensure!(keys.is_sorted_by(|a, b| a < b), "the listing is not in strict key order");
    let mut want: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    want.sort_unstable();
    let got: Vec<&[u8]> =
        all.iter().filter(|e| e.kind != EntryKind::Dir).map(|e| e.path.as_bytes()).collect();
    ensure!(got == want, "the listing has {} items, {} were put", got.len(), want.len());
    for (i, after) in keys.iter().enumerate() {
        let request = ListRequest {
            prefix: b"listing/".to_vec(),
            after: Some(after.clone()),
            ..ListRequest::default()
        };
        let rest: Vec<_> = list_all(tree, request).await?.iter().map(key).collect();
        ensure!(rest == keys[i + 1..], "a listing after {:?} is wrong", String::from_utf8_lossy(after));
    }
    for prefix in
        [&b"listing/a"[..], b"listing/n0001", b"listing/n0001/", b"listing/a/b c/d", b"listing/zz", b"../"]
    {
        let request = ListRequest { prefix: prefix.to_vec(), ..ListRequest::default() };
        let got: Vec<_> = list_all(tree, request).await?.iter().map(key).collect();
        let want: Vec<_> = all.iter().filter(|e| e.path.as_bytes().starts_with(prefix)).map(key).collect();
        ensure!(got == want, "the prefix {:?} gives {} entries", String::from_utf8_lossy(prefix), got.len());
    }
    Ok(())
}
