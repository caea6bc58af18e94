//! Quotas of filesets: what this server's tasks write is held to them.
//!
//! When an import begins, the filesets with limits that it writes into are counted, and from then on every
//! write takes its bytes and its name from what is left before it happens. All tasks that write into a
//! fileset at one time share one account. What others write meanwhile is not seen until the next count, and
//! nobody holds them to anything: that is the file system's part.
//!
//! The many tasks of a stream follow each other: an account is kept for a while after its last task, for
//! longer where counting takes longer, so that counting never takes more than a tenth of the time. One that
//! had to refuse a write is not kept: somebody may have made room.
//!
//! A write that finds too little left fails as on a full disk (`Full`): it ends the run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::{
    Body, Entry, EntryStream, Error, ErrorKind, Found, Lane, ListRequest, Meta, Part, PartDone, Probe, Range,
    Result, Stored, Target, Tree, TreePath, Upload,
};
use connector_posix::PosixTree;
use model::{DirectoryEnd, Fileset, FilesetId, Quota};
use store::Store;

/// The accounts of filesets that are being written into.
#[derive(Default)]
pub struct Quotas {
    accounts: Mutex<HashMap<FilesetId, Kept>>,
    /// One count at a time, so that two tasks that begin together share one account.
    counting: tokio::sync::Mutex<()>,
}

/// A count is good for this long, and for this many times what it took, when nobody is at work.
const FRESH: Duration = Duration::from_secs(5);
const SHARE: u32 = 10;

/// An account and its count.
struct Kept {
    account: Arc<Account>,
    counted: Instant,
    took: Duration,
}

impl Kept {
    /// Somebody writes by it, or the next may.
    fn is_good(&self) -> bool {
        let fresh = self.counted.elapsed() < FRESH.max(self.took.saturating_mul(SHARE));
        Arc::strong_count(&self.account) > 1 || (fresh && !self.account.lock().refused)
    }
}

impl Quotas {
    /// `tree`, held to the quotas of the filesets that lie in it or that it lies in.
    ///
    /// # Errors
    /// `Unavailable` when the filesets can't be read; as counting.
    pub async fn hold(
        &self,
        tree: Arc<dyn Tree>,
        end: &DirectoryEnd,
        store: &Store,
    ) -> Result<Arc<dyn Tree>> {
        let all = store.filesets(&end.file_system).await;
        let all = all.map_err(|e| Error::new(ErrorKind::Unavailable, e.to_string()))?;
        let mut areas = Vec::new();
        for fileset in all {
            let Some(quota) = fileset.quota.filter(|q| *q != Quota::default()) else { continue };
            if let Some(prefix) = shared(&fileset.path, &end.path) {
                areas.push((prefix.to_vec(), self.account(&fileset, quota, end).await?));
            }
        }
        Ok(if areas.is_empty() { tree } else { Arc::new(Held { inner: tree, areas: areas.into() }) })
    }

    async fn account(&self, f: &Fileset, quota: Quota, end: &DirectoryEnd) -> Result<Arc<Account>> {
        let _one = self.counting.lock().await;
        let lock = || self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        lock().retain(|_, kept| kept.is_good());
        if let Some(account) = lock().get(&f.id).map(|kept| kept.account.clone()) {
            account.lock().quota = quota;
            return Ok(account);
        }
        let began = Instant::now();
        let (root, path) = (end.root.clone(), f.path.trim_matches('/').to_owned());
        let count = move || match PosixTree::open_below(&root, path.as_bytes(), false, Default::default()) {
            Ok(tree) => tree.count(),
            // The task will make it.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok((0, 0)),
            Err(e) => Err(e),
        };
        let counted = runtime::aside("count", count).await;
        let (bytes, files) = counted.map_err(|e| Error::new(ErrorKind::Other, e))??;
        let state = State { quota, bytes, files, uploads: HashMap::new(), refused: false };
        let account = Arc::new(Account { fileset: f.id.clone(), state: Mutex::new(state) });
        let kept = Kept { account: account.clone(), counted: Instant::now(), took: began.elapsed() };
        lock().insert(f.id.clone(), kept);
        Ok(account)
    }
}

/// Which paths of a tree at `end` (`a/b/`, or empty) belong to a fileset at `path` (`/a/b/`): those with
/// this prefix.
fn shared<'a>(path: &'a str, end: &str) -> Option<&'a [u8]> {
    let path = path.trim_start_matches('/');
    if end.starts_with(path) {
        return Some(b"");
    }
    path.strip_prefix(end).map(str::as_bytes)
}

/// What a fileset may hold, and what it holds.
struct Account {
    fileset: FilesetId,
    state: Mutex<State>,
}

struct State {
    quota: Quota,
    bytes: u64,
    files: u64,
    /// What was taken for writes in parts that are not finished, by their tokens.
    uploads: HashMap<Box<str>, Change>,
    /// Too little was left for a write.
    refused: bool,
}

/// By how much a write changes what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Change {
    bytes: i64,
    files: i64,
}

impl Change {
    /// Of writing `size` bytes where `before` is.
    fn of(before: Option<&Found>, size: u64) -> Self {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        match before {
            Some(found) => Self { bytes: signed(size).saturating_sub(signed(found.entry.size)), files: 0 },
            None => Self { bytes: signed(size), files: 1 },
        }
    }

    fn reversed(self) -> Self {
        Self { bytes: self.bytes.saturating_neg(), files: self.files.saturating_neg() }
    }
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change from what is left. What makes the fileset smaller is always allowed.
    fn take(self: &Arc<Self>, change: Change) -> Result<Taken> {
        let mut state = self.lock();
        let (bytes, files) = (
            state.bytes.saturating_add_signed(change.bytes),
            state.files.saturating_add_signed(change.files),
        );
        let over = |grows: bool, now: u64, limit: Option<u64>| limit.filter(|l| grows && now > *l);
        let full = |limit: u64, what: &str| {
            let message = format!("the quota of fileset {} is used up: {limit} {what}", self.fileset);
            Err(Error::new(ErrorKind::Full, message))
        };
        if let Some(limit) = over(change.bytes > 0, bytes, state.quota.size_limit) {
            state.refused = true;
            return full(limit, "bytes");
        }
        if let Some(limit) = over(change.files > 0, files, state.quota.file_count_limit) {
            state.refused = true;
            return full(limit, "files");
        }
        (state.bytes, state.files) = (bytes, files);
        Ok(Taken { account: self.clone(), change: Some(change) })
    }

    fn apply(&self, change: Change) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_add_signed(change.bytes);
        state.files = state.files.saturating_add_signed(change.files);
    }

    /// Takes what a write in parts needs. One that was begun before has it already.
    fn begun(self: &Arc<Self>, token: &str, change: Change) -> Result<()> {
        if self.lock().uploads.contains_key(token) {
            return Ok(());
        }
        let taken = self.take(change)?;
        // Another lane may have begun the same write meanwhile: then what it took stands for both.
        if self.lock().uploads.insert(token.into(), change).is_none() {
            taken.keep();
        }
        Ok(())
    }

    /// A write in parts is over: what it had taken is used, or goes back when the result is dropped.
    fn ended(self: &Arc<Self>, token: &str) -> Taken {
        Taken { account: self.clone(), change: self.lock().uploads.remove(token) }
    }
}

/// What a write has taken; dropped, it goes back.
struct Taken {
    account: Arc<Account>,
    change: Option<Change>,
}

impl Taken {
    fn keep(mut self) {
        self.change = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(change) = self.change.take() {
            self.account.apply(change.reversed());
        }
    }
}

type Areas = Arc<[(Vec<u8>, Arc<Account>)]>;

/// A tree whose writes are held to quotas.
struct Held {
    inner: Arc<dyn Tree>,
    areas: Areas,
}

#[async_trait]
impl Tree for Held {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn probe(&self, write: bool) -> Result<Probe> {
        self.inner.probe(write).await
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        self.inner.list(request)
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(HeldLane { inner: self.inner.lane(), areas: self.areas.clone() })
    }

    fn settle(&self) -> Result<()> {
        self.inner.settle()
    }

    async fn sweep(&self, what: &connector::Sweep) -> Result<u64> {
        self.inner.sweep(what).await
    }
}

struct HeldLane {
    inner: Box<dyn Lane>,
    areas: Areas,
}

impl HeldLane {
    /// Filesets don't lie in each other, so there is one at most.
    fn account(&self, path: &TreePath) -> Option<&Arc<Account>> {
        self.areas.iter().find(|(prefix, _)| path.as_bytes().starts_with(prefix)).map(|(_, account)| account)
    }
}

#[async_trait(?Send)]
impl Lane for HeldLane {
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>> {
        self.inner.stat(path).await
    }

    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body> {
        self.inner.open(entry, range).await
    }

    async fn open_checked(&self, entry: &Entry) -> Result<Body> {
        self.inner.open_checked(entry).await
    }

    async fn put(&self, target: &Target, body: Body) -> Result<Stored> {
        let Some(account) = self.account(&target.path) else { return self.inner.put(target, body).await };
        let before = self.inner.stat(&target.path).await?;
        let taken = account.take(Change::of(before.as_ref(), target.size))?;
        let stored = self.inner.put(target, body).await?;
        taken.keep();
        Ok(stored)
    }

    async fn put_dir(&self, target: &Target) -> Result<()> {
        self.inner.put_dir(target).await
    }

    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload> {
        let Some(account) = self.account(&target.path) else {
            return self.inner.begin(target, part_size).await;
        };
        let before = self.inner.stat(&target.path).await?;
        // Only its token tells whether it has begun before; nothing is written yet.
        let upload = self.inner.begin(target, part_size).await?;
        match account.begun(&upload.token, Change::of(before.as_ref(), target.size)) {
            Ok(()) => Ok(upload),
            Err(e) => {
                let _ = self.inner.abort(target, &upload).await;
                Err(e)
            }
        }
    }

    async fn put_part(&self, target: &Target, upload: &Upload, part: Part, body: Body) -> Result<PartDone> {
        self.inner.put_part(target, upload, part, body).await
    }

    async fn finish(
        &self,
        target: &Target,
        upload: &Upload,
        parts: &[PartDone],
        meta: &Meta,
    ) -> Result<Stored> {
        let taken = self.account(&target.path).map(|account| account.ended(&upload.token));
        let stored = self.inner.finish(target, upload, parts, meta).await?;
        if let Some(taken) = taken {
            taken.keep();
        }
        Ok(stored)
    }

    async fn abort(&self, target: &Target, upload: &Upload) -> Result<()> {
        let taken = self.account(&target.path).map(|account| account.ended(&upload.token));
        let aborted = self.inner.abort(target, upload).await;
        drop(taken);
        aborted
    }

    async fn remove(&self, path: &TreePath) -> Result<bool> {
        let Some(account) = self.account(path) else { return self.inner.remove(path).await };
        let before = self.inner.stat(path).await?;
        let removed = self.inner.remove(path).await?;
        if let Some(found) = before.filter(|f| removed && f.entry.kind != connector::EntryKind::Dir) {
            account.apply(Change::of(None, found.entry.size).reversed());
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::conformance::{Chunks, Profile};
    use connector::{Digest, Overwrite, Stamp};

    fn account(size: Option<u64>, count: Option<u64>) -> Arc<Account> {
        let quota = Quota { size_limit: size, file_count_limit: count };
        let state = State { quota, bytes: 0, files: 0, uploads: HashMap::new(), refused: false };
        Arc::new(Account { fileset: FilesetId::from("fset-1"), state: Mutex::new(state) })
    }

    fn held(dir: &std::path::Path, prefix: &str, account: &Arc<Account>) -> Held {
        let inner = Arc::new(PosixTree::open(dir, Default::default()).unwrap());
        Held { inner, areas: vec![(prefix.as_bytes().to_vec(), account.clone())].into() }
    }

    fn target(at: &str, size: u64) -> Target {
        Target {
            path: TreePath::new(at.as_bytes()).unwrap(),
            size,
            meta: Meta::default(),
            stamp: Stamp { run: "r".into(), version: "v".into(), size },
            overwrite: Overwrite::Always,
        }
    }

    fn use_of(account: &Account) -> (u64, u64) {
        let state = account.lock();
        (state.bytes, state.files)
    }

    async fn put(lane: &dyn Lane, at: &str, size: u64) -> Result<Stored> {
        lane.put(&target(at, size), Chunks::new(&vec![7; usize::try_from(size).unwrap()], 100).body()).await
    }

    #[test]
    fn filesets_around_and_inside_a_destination_are_found() {
        for (fileset, end, want) in [
            ("/a/b/", "a/b/", Some("")),
            ("/a/b/", "a/b/c/", Some("")),
            ("/a/b/", "a/", Some("b/")),
            ("/a/b/", "", Some("a/b/")),
            ("/a/b/", "a/bc/", None),
            ("/a/b/", "b/", None),
        ] {
            assert_eq!(shared(fileset, end), want.map(str::as_bytes), "{fileset} {end}");
        }
    }

    #[tokio::test]
    async fn writes_take_from_what_is_left_and_failed_ones_give_back() {
        let dir = tempfile::tempdir().unwrap();
        let account = account(Some(1000), Some(3));
        let tree = held(dir.path(), "set/", &account);
        let lane = tree.lane();
        put(&*lane, "set/a", 600).await.unwrap();
        let e = put(&*lane, "set/b", 401).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Full);
        assert!(e.to_string().contains("the quota of fileset fset-1 is used up: 1000 bytes"), "{e}");
        assert!(!dir.path().join("set/b").exists());
        put(&*lane, "beside", 5000).await.unwrap();
        put(&*lane, "set/b", 400).await.unwrap();
        assert_eq!(use_of(&account), (1000, 2));
        // A replacement costs the difference; a body that breaks off costs nothing.
        put(&*lane, "set/a", 100).await.unwrap();
        let short = Chunks::new(&[1; 5], 5).body();
        lane.put(&target("set/a", 300), short).await.unwrap_err();
        assert_eq!(use_of(&account), (500, 2));
        put(&*lane, "set/c", 0).await.unwrap();
        let e = put(&*lane, "set/d", 0).await.unwrap_err();
        assert!(e.to_string().contains("3 files"), "{e}");
        put(&*lane, "set/c", 500).await.unwrap();
        assert!(lane.remove(&target("set/c", 0).path).await.unwrap());
        assert_eq!(use_of(&account), (500, 2));
    }

    #[tokio::test]
    async fn the_tasks_of_a_stream_share_one_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("set")).unwrap();
        let add = |name: &str| std::fs::write(dir.path().join("set").join(name), [0; 100]).unwrap();
        add("before");
        let quotas = Quotas::default();
        let quota = Quota { size_limit: Some(1000), file_count_limit: None };
        let fileset = Fileset {
            id: "fset-1".into(),
            account: "me".into(),
            file_system: "fs-1".into(),
            path: "/set/".into(),
            description: String::new(),
            deletion_protection: false,
            quota: Some(quota),
            status: model::FilesetStatus::Created,
            release: None,
            space_used: 0,
            files_used: 0,
            counted: None,
            created: model::Timestamp(0),
            updated: model::Timestamp(0),
        };
        let end =
            DirectoryEnd { file_system: "fs-1".into(), root: dir.path().to_owned(), path: "set/".into() };
        let account = async || quotas.account(&fileset, quota, &end).await.unwrap();
        let first = account().await;
        assert_eq!(use_of(&first), (100, 1));
        let taken = first.take(Change { bytes: 50, files: 1 }).unwrap();
        taken.keep();
        drop(first);
        // Behind our back: a count would see it. The next task goes by the last one and what was written since.
        add("behind");
        assert_eq!(use_of(&*account().await), (150, 2));
        // A refusal is believed once: the next task counts again.
        assert!(account().await.take(Change { bytes: 900, files: 1 }).is_err());
        assert_eq!(use_of(&*account().await), (200, 2));
    }

    #[tokio::test]
    async fn writes_in_parts_take_once_however_often_they_begin() {
        let dir = tempfile::tempdir().unwrap();
        let account = account(Some(1000), None);
        let tree = held(dir.path(), "", &account);
        let lane = tree.lane();
        let t = target("large", 600);
        lane.begin(&t, 300).await.unwrap();
        // Begun again after a pause: what is left would not do for a second time.
        let upload = lane.begin(&t, 300).await.unwrap();
        assert_eq!(use_of(&account), (600, 1));
        assert_eq!(lane.begin(&target("other", 401), 300).await.unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the first one's two hidden files");
        lane.abort(&t, &upload).await.unwrap();
        assert_eq!(use_of(&account), (0, 0));
        let upload = lane.begin(&t, 600).await.unwrap();
        let part = Part { number: 1, range: Range { start: 0, end: 600 } };
        let body = Chunks::new(&[3; 600], 100).body();
        let done = lane.put_part(&t, &upload, part, body).await.unwrap();
        assert_eq!(done.digest, Some(Digest::of(&[3; 600])));
        lane.finish(&t, &upload, &[done], &Meta::default()).await.unwrap();
        assert_eq!(use_of(&account), (600, 1));
    }

    #[tokio::test]
    async fn a_held_tree_keeps_the_contract_of_trees() {
        let dir = tempfile::tempdir().unwrap();
        let account = account(Some(u64::MAX), None);
        let tree = held(dir.path(), "", &account);
        connector::conformance::run(&tree, &Profile::posix()).await.unwrap();
    }
}
