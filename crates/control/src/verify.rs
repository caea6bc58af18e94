//! Checking a receipt: every item of the manifest is held to what the manifest knows of it.
//!
//! An item with a digest is read again and must add up to it. One with the version that an object store
//! had (`etag`) must still be that version, and is read again where the store keeps a digest of its own to
//! compare with. What is left has its size compared, and is counted apart: it was not proved.
//!
//! The work runs on a thread of its own with its own reactor, as lanes ask for, so that the server's
//! other calls don't wait for it. It ends early when nobody waits for the answer any more. A few run at once;
//! more wait for their turn.
//!
//! What is there and not in the manifest is found by the names' hashes, 8 bytes each. Of a large manifest only
//! a share of them is held at a time, by the hash itself, and the destination is listed once for each share:
//! that is little beside reading it.

use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use connector::{Body, Digest, EntryKind, Lane, ListRequest, Tree, TreePath};
use futures_util::StreamExt;
use model::{Direction, Task, TaskId};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::error::{from_connector, lost_call};
use crate::{Caller, Control, Error, ErrorKind, Noun, Result, Verification};

/// Items that are read at once.
const AT_ONCE: usize = 16;
/// Names that are kept of each list.
const NAMED: usize = 1000;
/// Longest line of a manifest, in bytes.
const MAX_LINE: u64 = 16 * 1024;
/// Verifications that run at once.
pub(crate) const AT_ONCE_OF_ALL: usize = 2;
/// Shares of the names at most; what is not in one of them is not looked for.
const MAX_SHARES: u64 = 64;

/// One line of a manifest, as the engine writes it.
#[derive(Deserialize)]
struct Line {
    path: Option<String>,
    /// Instead of `path`, for names that are not UTF-8.
    path_b64: Option<String>,
    size: u64,
    kind: Option<String>,
    digest: Option<String>,
    /// Version of an object that was left as it was.
    etag: Option<Box<str>>,
    outcome: String,
}

impl Line {
    fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.path, &self.path_b64) {
            (Some(path), None) => Some(path.clone().into_bytes()),
            (None, Some(path)) => base64::engine::general_purpose::STANDARD.decode(path).ok(),
            _ => None,
        }
    }

    fn crc64(&self) -> Option<u64> {
        u64::from_str_radix(self.digest.as_ref()?.strip_prefix("crc64nvme:")?, 16).ok()
    }
}

/// What became of one item.
enum Found {
    /// Its content adds up; so many bytes were read.
    Same(u64),
    /// Its size is right; no more is known of it.
    SameSize,
    /// It is a directory, and one is wanted.
    SameKind,
    Missing,
    Different,
    Unreadable(String),
}

impl Control {
    /// Reads the destination again and compares it with what the receipt's manifest says.
    ///
    /// # Errors
    /// `NotFound(Task)`, `NotFound(Receipt)` also when its manifest is gone, `Unreachable`,
    /// `BadCredentials`.
    pub async fn verify_receipt(&self, c: &Caller, id: &TaskId) -> Result<Verification> {
        let (task, receipt) = (self.task(c, id).await?, self.receipt(c, id).await?);
        let manifest = self.report_path(id, &receipt.manifest);
        let manifest = manifest.ok_or_else(|| Error::not_found(Noun::Receipt, id))?;
        let target = self.destination(&task).await?;
        let turn = self.0.verifications.clone().acquire_owned().await.map_err(lost_call)?;
        let names = self.0.limits.verified_names.max(1);
        let (answer, wait) = oneshot::channel();
        let expected = receipt.manifest_sha256;
        let thread = std::thread::Builder::new().name("verify".into()).spawn(move || {
            let (mut answer, _turn) = (answer, turn);
            let reactor = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(reactor) => reactor,
                Err(e) => return drop(answer.send(Err(lost_call(e)))),
            };
            let local = tokio::task::LocalSet::new();
            let done = local.block_on(&reactor, async {
                tokio::select! {
                    done = verify(&target, &manifest, &expected, names) => Some(done),
                    () = answer.closed() => None,
                }
            });
            if let Some(done) = done {
                // Nobody waits any more: then nobody is told.
                let _ = answer.send(done);
            }
        });
        thread.map_err(lost_call)?;
        wait.await.map_err(|_| lost_call("the verifying thread ended early"))?
    }

    async fn destination(&self, task: &Task) -> Result<Arc<dyn Tree>> {
        let spec = &task.spec;
        match spec.direction {
            Direction::Import => {
                let tree = self.0.trees.directory(&spec.directory);
                tree.map_err(|e| from_connector(&e, Noun::Directory))
            }
            Direction::Export => {
                let credentials = spec.credentials.as_ref();
                let tree = self.0.trees.object(&spec.object, credentials, spec.dialect).await;
                tree.map_err(|e| from_connector(&e, Noun::Bucket))
            }
        }
    }
}

async fn verify(target: &Arc<dyn Tree>, manifest: &Path, expected: &str, names: u64) -> Result<Verification> {
    let no_manifest = |e: std::io::Error| {
        Error::new(ErrorKind::NotFound(Noun::Receipt), format!("the manifest can't be read: {e}"))
    };
    let mut v = Verification { complete: true, manifest_intact: true, ..Verification::default() };
    let file = File::open(manifest).map_err(no_manifest)?;
    if sha256(file).map_err(no_manifest)? != expected {
        // What a changed manifest says proves nothing, so nothing of it is checked.
        v.manifest_intact = false;
        v.complete = false;
        return Ok(v);
    }
    let lane = target.lane();
    let lines = Lines::of(manifest).map_err(no_manifest)?;
    let mut count = 0_u64;
    let checks = futures_util::stream::iter(lines).map(|line| check(&*lane, line)).buffer_unordered(AT_ONCE);
    let mut checks = std::pin::pin!(checks);
    while let Some((path, found)) = checks.next().await {
        count += 1;
        record(&mut v, &path, found);
    }
    let shares = count.div_ceil(names).max(1);
    if shares > MAX_SHARES {
        // Of what is in none of the shares nobody can say that it is extra.
        v.complete = false;
    }
    for share in 0..shares.min(MAX_SHARES) {
        let known = Names::of(manifest, share, shares).map_err(no_manifest)?;
        find_extra(target, &mut v, |path| known.has(path)).await;
    }
    Ok(v)
}

/// A share of the manifest's names: those whose hash has this remainder.
struct Names {
    hashes: Vec<u64>,
    share: u64,
    shares: u64,
}

impl Names {
    fn of(manifest: &Path, share: u64, shares: u64) -> std::io::Result<Self> {
        let mut hashes = Vec::new();
        for line in Lines::of(manifest)? {
            // What can't be read has been counted by the check.
            let Ok(line) = line else { continue };
            let hash = hash(&at_key(line.bytes().unwrap_or_default(), line.kind.as_deref()));
            if hash % shares == share {
                hashes.push(hash);
            }
        }
        hashes.sort_unstable();
        Ok(Self { hashes, share, shares })
    }

    /// Also true for what another share has to answer for.
    fn has(&self, path: &[u8]) -> bool {
        let hash = hash(path);
        hash % self.shares != self.share || self.hashes.binary_search(&hash).is_ok()
    }
}

fn hash(path: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(path)
}

fn record(v: &mut Verification, path: &[u8], found: Option<Found>) {
    let Some(found) = found else { return };
    v.checked += 1;
    let name = || connector::display_bytes(path);
    let keep = |list: &mut Vec<String>, name: String| {
        if list.len() < NAMED {
            list.push(name);
        }
    };
    match found {
        Found::Same(bytes) => {
            v.same += 1;
            v.by_content += 1;
            v.bytes += bytes;
        }
        Found::SameSize => {
            v.same += 1;
            v.by_size += 1;
        }
        Found::SameKind => v.same += 1,
        Found::Missing => keep(&mut v.missing, name()),
        Found::Different => keep(&mut v.different, name()),
        Found::Unreadable(why) => keep(&mut v.unreadable, format!("{}: {why}", name())),
    }
}

/// `None` in place of a finding: the line tells of something that is not at the destination by this task.
async fn check(lane: &dyn Lane, line: std::io::Result<Line>) -> (Vec<u8>, Option<Found>) {
    let line = match line {
        Ok(line) => line,
        Err(e) => return (Vec::new(), Some(Found::Unreadable(format!("the manifest: {e}")))),
    };
    let path = line.bytes().unwrap_or_default();
    if line.outcome != "written" && line.outcome != "unchanged" {
        return (path, None);
    }
    let found = match TreePath::new(&path) {
        Ok(at) => compare(lane, &at, &line).await.unwrap_or_else(|e| match e.kind() {
            connector::ErrorKind::NotFound => Found::Missing,
            // The store itself finds other bytes than it was given.
            connector::ErrorKind::Changed | connector::ErrorKind::Corrupt => Found::Different,
            _ => Found::Unreadable(e.to_string()),
        }),
        Err(e) => Found::Unreadable(e.to_string()),
    };
    (at_key(path, line.kind.as_deref()), Some(found))
}

/// The path without the `/` that a directory's key may end in.
fn at_key(mut path: Vec<u8>, kind: Option<&str>) -> Vec<u8> {
    if kind == Some("dir") && path.last() == Some(&b'/') {
        path.pop();
    }
    path
}

async fn compare(lane: &dyn Lane, path: &TreePath, line: &Line) -> connector::Result<Found> {
    let Some(found) = lane.stat(path).await? else { return Ok(Found::Missing) };
    let entry = found.entry;
    match (line.kind.as_deref(), &entry.kind) {
        (Some("dir"), EntryKind::Dir) => return Ok(Found::SameKind),
        (Some("dir"), _) | (_, EntryKind::Dir | EntryKind::Special) => return Ok(Found::Different),
        _ if entry.size != line.size => return Ok(Found::Different),
        _ => {}
    }
    let body = match (line.crc64(), &line.etag) {
        (Some(_), _) => lane.open(&entry, None).await?,
        (None, Some(etag)) if entry.version.as_ref() != Some(etag) => return Ok(Found::Different),
        (None, Some(_)) => lane.open_checked(&entry).await?,
        (None, None) => return Ok(Found::SameSize),
    };
    if line.crc64().is_none() && !body.is_checked() {
        return Ok(Found::SameSize);
    }
    let digest = read(body).await?;
    let same = digest.len == line.size && line.crc64().is_none_or(|crc| crc == digest.crc64);
    Ok(if same { Found::Same(digest.len) } else { Found::Different })
}

async fn read(mut body: Body) -> connector::Result<Digest> {
    let mut digest = Digest::EMPTY;
    while let Some(chunk) = body.next().await? {
        digest = digest.then(Digest::of(&chunk));
    }
    Ok(digest)
}

/// Names what is at the destination and not in the manifest. A listing that fails, and a name that
/// can't be told, leave the check incomplete.
async fn find_extra(target: &Arc<dyn Tree>, v: &mut Verification, known: impl Fn(&[u8]) -> bool) {
    let mut listing = target.list(ListRequest::default());
    loop {
        match listing.next().await {
            Ok(Some(page)) => {
                for entry in page {
                    let entry = match entry {
                        Ok(entry) => entry,
                        // Something is there that can't be told: nobody can say that nothing is extra.
                        Err(e) => {
                            tracing::warn!(error = %e, "something at the destination can't be told");
                            v.complete = false;
                            continue;
                        }
                    };
                    // Directories come into being with their files.
                    let extra = entry.kind != EntryKind::Dir && !known(entry.path.as_bytes());
                    if extra && v.extra.len() < NAMED {
                        v.extra.push(entry.path.display());
                    }
                }
            }
            Ok(None) => return,
            Err(e) => {
                tracing::warn!(error = %e, "the destination could not be listed");
                v.complete = false;
                return;
            }
        }
    }
}

struct Lines {
    file: BufReader<File>,
    broken: bool,
}

impl Lines {
    fn of(manifest: &Path) -> std::io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(manifest)?), broken: false })
    }
}

impl Iterator for Lines {
    type Item = std::io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let mut text = Vec::new();
        match std::io::Read::take(&mut self.file, MAX_LINE).read_until(b'\n', &mut text) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_slice(&text).map_err(std::io::Error::from)),
            Err(e) => {
                self.broken = true;
                Some(Err(e))
            }
        }
    }
}

fn sha256(file: File) -> std::io::Result<String> {
    use std::fmt::Write as _;
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        sum.update(chunk);
        let n = chunk.len();
        file.consume(n);
    }
    Ok(sum.finish().as_ref().iter().fold(String::with_capacity(64), |mut hex, b| {
        let _ = write!(hex, "{b:02x}");
        hex
    }))
}
