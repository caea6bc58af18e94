//! The dispatcher over a real store: who has a task, and what can be seen of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_imports, missing_docs)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bench::Bench;
use connector::{Tree, TreePath};
use engine::dispatch::{Ends, Lease, Local, Settings};
use memory::{Memory, Style};
use model::*;
use store::{SealKey, Store};
use tokio::sync::Semaphore;

/// One directory and one bucket for every task.
struct Two {
    directory: Memory,
    bucket: Memory,
    /// Opening the directory waits for a permit.
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Ends for Two {
    async fn object(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        Ok(self.bucket.tree())
    }
    async fn directory(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        let _permit = self.gate.acquire().await.unwrap();
        Ok(self.directory.tree())
    }
    fn present_directory(&self, _: &TransferSpec) -> connector::Result<Option<Arc<dyn Tree>>> {
        Ok(Some(self.directory.tree()))
    }
    async fn bucket(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        Ok(self.bucket.tree())
    }
    fn file_system(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        Ok(self.directory.tree())
    }
    async fn address(&self, _: &TransferSpec, _: &str) -> connector::Result<(Arc<dyn Tree>, TreePath)> {
        unreachable!("no list is named in these tests")
    }
}

struct World {
    bench: Bench,
    store: Store,
    gate: Arc<Semaphore>,
    dir: tempfile::TempDir,
}

const LEASE: Duration = Duration::from_secs(60);

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SealKey::new(&[7; 32]).unwrap();
        let url = dir.path().join("state.db").display().to_string();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let gate = Arc::new(Semaphore::new(1));
        Self { bench: Bench::new(Style::Directory, Style::Bucket), store, gate, dir }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.bench.clock.now().0)
    }

    async fn dispatcher(&self) -> Local {
        let (directory, bucket) = (self.bench.source.clone(), self.bench.destination.clone());
        let ends = Two { directory, bucket, gate: self.gate.clone() };
        Local::start(Settings {
            store: self.store.clone(),
            ends: Arc::new(ends),
            shared: self.bench.shared.clone(),
            reports: self.dir.path().join("reports"),
            concurrent: 2,
            // The length is the clock's, which the test moves; renewing goes by the true time.
            lease: Lease { length: LEASE, renewed_every: Duration::from_millis(5) },
        })
        .await
        .unwrap()
    }

    async fn export(&self, id: &str) -> TaskId {
        let task = Task {
            id: id.into(),
            account: "a".into(),
            door: Door::Admin,
            kind: TaskKind::Transfer,
            parent: None,
            flow: None,
            file_system: "cfs-1".into(),
            spec: TransferSpec {
                direction: Direction::Export,
                object: ObjectEnd { store: "s3".into(), bucket: "b".into(), prefix: String::new() },
                credentials: None,
                directory: DirectoryEnd {
                    file_system: "cfs-1".into(),
                    root: "/d".into(),
                    path: String::new(),
                },
                selection: Selection::All,
                conflict: ConflictPolicy::IfChanged,
                data: DataType::MetaAndData,
                dialect: MetadataDialect::Native,
                create_directory: false,
                default_file_mode: 0o644,
                default_dir_mode: 0o755,
            },
            status: TaskStatus::Pending,
            error: None,
            ledger: Ledger::default(),
            progress: Progress::default(),
            reports: Reports::default(),
            originator: Originator::User,
            attempt: 0,
            name: String::new(),
            attributes: BTreeMap::new(),
            created: self.now(),
            started: None,
            ended: None,
        };
        self.store.insert_task(&task, 0).await.unwrap();
        task.id
    }

    /// In which nobody else gets the task.
    async fn six_leases_pass(&self, id: &TaskId) {
        let length = i64::try_from(LEASE.as_micros()).unwrap();
        for _ in 0..8 {
            self.bench.clock.advance(length * 3 / 4);
            let now = self.now();
            until("a renewal", async || {
                let leased = self.store.leased_until(id).await.unwrap();
                leased.filter(|until| until.0 >= now.0 + length)
            })
            .await;
            let taken = self.store.claim_next("another server", now, length).await.unwrap();
            assert!(taken.is_none(), "another server got the task of a worker that is alive");
        }
    }

    async fn task(&self, id: &TaskId) -> Task {
        self.store.task(id).await.unwrap().unwrap()
    }
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..4000 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_slower_than_the_lease_gives_the_task_to_nobody_else() {
    let w = World::new().await;
    w.bench.source.file("a", b"content");
    let disk = w.bench.destination.lock().disk.clone();
    // A thread of its own holds the disk: a guard must not cross an await.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (held, holding) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        let _guard = disk.lock().unwrap();
        held.send(()).unwrap();
        released.recv().unwrap();
    });
    holding.recv().unwrap();
    let engine = w.dispatcher().await;
    let id = w.export("task-1").await;
    engine.wake();
    until("the run", async || (w.task(&id).await.status == TaskStatus::Executing).then_some(())).await;

    // Nothing is journaled, because the disk does not answer.
    w.six_leases_pass(&id).await;
    assert_eq!(w.task(&id).await.ledger.items.written, 0);

    release.send(()).unwrap();
    busy.join().unwrap();
    let done = until("the end", async || Some(w.task(&id).await).filter(|t| t.status.is_final())).await;
    assert_eq!((done.status, done.attempt, done.ledger.items.written), (TaskStatus::Completed, 1, 1));
    assert_eq!(w.store.leased_until(&id).await.unwrap(), None);
    assert_eq!(w.bench.destination.lock().writes.len(), 1);
    engine.stop().await;
}

/// Opening may take long: a fileset with a quota is counted first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_opens_slower_than_the_lease_gives_the_task_to_nobody_else() {
    let w = World::new().await;
    w.bench.source.file("a", b"content");
    let closed = w.gate.clone().acquire_owned().await.unwrap();
    let engine = w.dispatcher().await;
    let id = w.export("task-1").await;
    engine.wake();
    until("the claim", async || w.store.leased_until(&id).await.unwrap()).await;
    w.six_leases_pass(&id).await;
    drop(closed);
    let done = until("the end", async || Some(w.task(&id).await).filter(|t| t.status.is_final())).await;
    assert_eq!((done.status, done.attempt, done.ledger.items.written), (TaskStatus::Completed, 1, 1));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_seen_from_memory_ahead_of_its_journal_and_tells_the_truth_at_its_end() {
    let w = World::new().await;
    for n in 0..50 {
        w.bench.source.file(&format!("f{n:02}"), &[1; 10]);
    }
    let disk = w.bench.destination.lock().disk.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (held, holding) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        let _guard = disk.lock().unwrap();
        held.send(()).unwrap();
        released.recv().unwrap();
    });
    holding.recv().unwrap();
    let engine = w.dispatcher().await;
    let id = w.export("task-1").await;
    assert!(engine.live(&id).is_none(), "nobody runs it yet");
    engine.wake();
    // Everything is written, and no journal entry could be made: the disk is busy.
    let seen = until("all items", async || engine.live(&id).filter(|s| s.items_done() == 50)).await;
    assert_eq!((seen.items_found, seen.bytes_settled, seen.scan_done), (50, 500, true));
    assert_eq!(w.task(&id).await.ledger.items.read, 0, "the journal is behind");
    release.send(()).unwrap();
    busy.join().unwrap();
    let done = until("the end", async || Some(w.task(&id).await).filter(|t| t.status.is_final())).await;
    assert_eq!((done.ledger.items.settled(), done.ledger.bytes.settled()), (50, 500));
    let p = done.progress;
    assert_eq!((p.items_found, p.bytes_found, p.scan_done, p.remaining_s), (50, 500, true, Some(0)));
    until("letting go", async || engine.live(&id).is_none().then_some(())).await;
    engine.stop().await;
}
