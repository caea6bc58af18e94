//! A control over a real SQLite store, and trees and Kafka clusters that live in memory.

#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "streams.rs"]
pub mod streams;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector::*;
use connector_posix::PosixTree;
use control::*;
use model::*;
use runtime::{Clock, Micros, Random};
use store::{Options, SealKey, Store};
use tempfile::TempDir;

type Files = Arc<Mutex<BTreeMap<Vec<u8>, (Vec<u8>, i64)>>>;

#[derive(Clone, Default)]
pub struct MemoryTree {
    pub files: Files,
    pub fails: Arc<Mutex<Option<connector::ErrorKind>>>,
    /// A look takes a while.
    pub slow: Arc<std::sync::atomic::AtomicBool>,
    /// The listing also tells of something that it can't name.
    pub strange: Arc<std::sync::atomic::AtomicBool>,
    /// What sweeps were asked for, also those that failed.
    pub sweeps: Arc<Mutex<Vec<connector::Sweep>>>,
    /// Lanes that there are, and the most that there were.
    pub verifying: Arc<Mutex<(usize, usize)>>,
    /// Only of lanes.
    _guard: Option<Arc<Verifying>>,
}

struct Verifying(Arc<Mutex<(usize, usize)>>);

impl Verifying {
    fn begin(all: &Arc<Mutex<(usize, usize)>>) -> Arc<Self> {
        let mut n = all.lock().unwrap();
        n.0 += 1;
        n.1 = n.1.max(n.0);
        Arc::new(Self(all.clone()))
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

impl MemoryTree {
    pub fn put(&self, path: &str, bytes: &[u8], modified: i64) {
        self.files.lock().unwrap().insert(path.into(), (bytes.to_vec(), modified));
    }

    pub fn fail(&self, kind: Option<connector::ErrorKind>) {
        *self.fails.lock().unwrap() = kind;
    }

    fn ask(&self) -> connector::Result<()> {
        match *self.fails.lock().unwrap() {
            Some(kind) => Err(connector::Error::new(kind, "told to fail")),
            None => Ok(()),
        }
    }

    /// What the tree calls this content.
    pub fn etag(bytes: &[u8]) -> Box<str> {
        format!("{:x}", Digest::of(bytes).crc64).into()
    }

    fn entry(path: &[u8], bytes: &[u8], modified_ns: i64) -> Entry {
        Entry {
            path: TreePath::new(path).unwrap(),
            kind: EntryKind::File,
            size: bytes.len() as u64,
            modified_ns,
            version: Some(Self::etag(bytes)),
            meta: None,
        }
    }
}

struct Once(Option<Vec<connector::Result<Entry>>>);

#[async_trait]
impl EntryStream for Once {
    async fn next(&mut self) -> connector::Result<Option<Vec<connector::Result<Entry>>>> {
        Ok(self.0.take().filter(|page| !page.is_empty()))
    }
}

#[async_trait]
impl Tree for MemoryTree {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn probe(&self, _write: bool) -> connector::Result<Probe> {
        self.ask().map(|()| Probe::default())
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        let files = self.files.lock().unwrap();
        let page = files.iter().filter(|(p, _)| p.starts_with(&request.prefix));
        let mut page: Vec<_> = page.map(|(p, (b, m))| Ok(Self::entry(p, b, *m))).collect();
        if self.strange.load(Ordering::Relaxed) {
            page.insert(0, Err(connector::Error::new(connector::ErrorKind::Unacceptable, "a//b")));
        }
        Box::new(Once(Some(page)))
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(Self { _guard: Some(Verifying::begin(&self.verifying)), ..self.clone() })
    }

    fn settle(&self) -> connector::Result<()> {
        Ok(())
    }

    async fn sweep(&self, what: &connector::Sweep) -> connector::Result<u64> {
        self.sweeps.lock().unwrap().push(what.clone());
        self.ask().map(|()| 0)
    }
}

/// Bytes, metadata, and whether the store compares them with a digest of its own.
struct OneBody(Option<Bytes>, Meta, bool);

#[async_trait(?Send)]
impl Source for OneBody {
    fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |b| b.len() as u64)
    }

    fn meta(&self) -> &Meta {
        &self.1
    }

    fn is_checked(&self) -> bool {
        self.2
    }

    async fn next(&mut self) -> connector::Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

fn no<T>() -> connector::Result<T> {
    Err(connector::Error::new(connector::ErrorKind::Unsupported, "a test's tree is only read"))
}

#[async_trait(?Send)]
impl Lane for MemoryTree {
    async fn stat(&self, path: &TreePath) -> connector::Result<Option<Found>> {
        if self.slow.load(std::sync::atomic::Ordering::Relaxed) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let files = self.files.lock().unwrap();
        let found = files.get(path.as_bytes());
        Ok(found.map(|(b, m)| Found {
            entry: Self::entry(path.as_bytes(), b, *m),
            stamp: None,
            digest: None,
        }))
    }

    async fn open(&self, entry: &Entry, _range: Option<Range>) -> connector::Result<Body> {
        let bytes = self.files.lock().unwrap().get(entry.path.as_bytes()).map(|(b, _)| b.clone());
        Ok(Box::new(OneBody(bytes.map(Bytes::from), Meta::default(), false)))
    }

    async fn open_checked(&self, entry: &Entry) -> connector::Result<Body> {
        let bytes = self.files.lock().unwrap().get(entry.path.as_bytes()).map(|(b, _)| b.clone());
        // A name with a dash: of an object in parts, as S3 has it.
        let plain = !entry.path.as_bytes().contains(&b'-');
        Ok(Box::new(OneBody(bytes.map(Bytes::from), Meta::default(), plain)))
    }

    async fn put(&self, _: &Target, _: Body) -> connector::Result<Stored> {
        no()
    }

    async fn put_dir(&self, _: &Target) -> connector::Result<()> {
        no()
    }

    async fn begin(&self, _: &Target, _: u64) -> connector::Result<Upload> {
        no()
    }

    async fn put_part(&self, _: &Target, _: &Upload, _: Part, _: Body) -> connector::Result<PartDone> {
        no()
    }

    async fn finish(&self, _: &Target, _: &Upload, _: &[PartDone], _: &Meta) -> connector::Result<Stored> {
        no()
    }

    async fn abort(&self, _: &Target, _: &Upload) -> connector::Result<()> {
        no()
    }

    async fn remove(&self, _: &TreePath) -> connector::Result<bool> {
        no()
    }
}

#[derive(Default)]
pub struct World {
    pub object: MemoryTree,
    pub directory: MemoryTree,
    pub wakes: AtomicU32,
    pub signals: Mutex<Vec<TaskId>>,
    /// Whoever holds it keeps emptying and counting waiting.
    pub gate: Arc<tokio::sync::Mutex<()>>,
    /// What the engine is asked to plan, and how long it takes for it.
    pub planned: Mutex<Vec<(TransferSpec, Duration)>>,
    pub planning_ms: AtomicU64,
    pub planning_fails: Mutex<Option<connector::ErrorKind>>,
    /// Pipelines that the engine was told of, and how often it was woken for them.
    pub pipeline_signals: Mutex<Vec<PipelineId>>,
    pub pipeline_wakes: AtomicU32,
}

#[async_trait]
impl Trees for World {
    async fn object(
        &self,
        _: &ObjectEnd,
        _: Option<&Credentials>,
        _: MetadataDialect,
    ) -> connector::Result<Arc<dyn Tree>> {
        Ok(Arc::new(self.object.clone()))
    }

    fn directory(&self, _: &DirectoryEnd) -> connector::Result<Arc<dyn Tree>> {
        self.directory.ask()?;
        Ok(Arc::new(self.directory.clone()))
    }

    fn empty(&self, end: &DirectoryEnd) -> connector::Result<u64> {
        let _open = self.gate.blocking_lock();
        PosixTree::open_below(&end.root, end.path.as_bytes(), false, Default::default())?.empty()
    }

    fn count(&self, end: &DirectoryEnd) -> connector::Result<(u64, u64)> {
        let _open = self.gate.blocking_lock();
        PosixTree::open_below(&end.root, end.path.as_bytes(), false, Default::default())?.count()
    }

    async fn buckets(&self, _: &ObjectStore, _: Option<&Credentials>) -> connector::Result<Vec<String>> {
        self.object.ask()?;
        Ok(vec!["data-1".into(), "other".into()])
    }
}

#[async_trait]
impl Dispatch for World {
    async fn plan(&self, spec: &TransferSpec, within: Duration) -> connector::Result<Option<Plan>> {
        self.planned.lock().unwrap().push((spec.clone(), within));
        let ms = self.planning_ms.load(Ordering::Relaxed);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        match *self.planning_fails.lock().unwrap() {
            Some(kind) => Err(connector::Error::new(kind, "told to fail")),
            None => Ok(Some(Plan { files: 7, complete: true, ..Plan::default() })),
        }
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn wake_pipelines(&self) {
        self.pipeline_wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn signal_pipeline(&self, pipeline: &PipelineId) {
        self.pipeline_signals.lock().unwrap().push(pipeline.clone());
    }

    fn signal(&self, task: &TaskId) {
        self.signals.lock().unwrap().push(task.clone());
    }
}

pub struct Harness {
    pub control: Control,
    pub world: Arc<World>,
    pub streams: Arc<streams::FakeStreams>,
    pub store: Store,
    pub clock: Clock,
    pub root: PathBuf,
    pub me: Caller,
    pub dir: TempDir,
}

impl Harness {
    /// One file system `cfs-1` and one object store `s3` that answers for `data-*`.
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        let seal = SealKey::new(&[7; 32]).unwrap();
        let url = dir.path().join("state.db").display().to_string();
        let store = Store::open(&url, &seal, Options::default()).await.unwrap();
        let (world, clock) = (Arc::new(World::default()), Clock::manual(Micros(1_700_000_000_000_000)));
        let streams = Arc::new(streams::FakeStreams::default());
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: Random::system(),
            trees: world.clone(),
            dispatch: world.clone(),
            limits: Limits { flows_per_file_system: 3, plan_seconds: 2, ..limits },
            data_dir: dir.path().into(),
            seal,
        };
        let control = Control::open_with(parts, streams.clone());
        let h = Self { control, world, streams, store, clock, root, me: Caller::account("me".into()), dir };
        h.control.put_file_system(h.file_system("cfs-1", Origin::Config)).await.unwrap();
        h.control.put_object_store(h.object_store("s3", Origin::Config)).await.unwrap();
        h
    }

    pub fn file_system(&self, id: &str, origin: Origin) -> FileSystem {
        FileSystem {
            id: id.into(),
            product: Product::Cfs,
            root: self.root.clone(),
            version: String::new(),
            description: String::new(),
            capacity_gib: 1,
            bandwidth_mbps: 1,
            region: String::new(),
            zone: String::new(),
            allow_destroy: false,
            origin,
            created: Timestamp(1),
        }
    }

    pub fn object_store(&self, id: &str, origin: Origin) -> ObjectStore {
        ObjectStore {
            id: id.into(),
            url: "http://127.0.0.1:1".into(),
            region: "r".into(),
            dialect: Dialect::S3,
            path_style: true,
            access_key_id: Some("ak".into()),
            secret: Some(self.control.seal("store-hush")),
            buckets: vec!["data-*".into()],
            hosts: vec!["*.cos.local".into()],
            ca_pem: None,
            origin,
            created: Timestamp(1),
        }
    }

    pub fn new_flow(&self, id: &str) -> NewFlow {
        NewFlow {
            id: id.into(),
            door: Door::Cfs,
            directory: DirectoryEnd {
                file_system: "cfs-1".into(),
                root: "/ignored".into(),
                path: "/in/".into(),
            },
            fileset: None,
            empty_fileset: false,
            object: ObjectEnd { store: "s3".into(), bucket: "data-1".into(), prefix: String::new() },
            credentials: Some(Credentials {
                access_key_id: "ak".into(),
                secret: self.control.seal("flow-hush"),
            }),
            name: "n".into(),
            description: String::new(),
            attributes: BTreeMap::new(),
            sealed_attributes: BTreeMap::new(),
            probe: true,
        }
    }

    pub fn new_task(&self, id: &str, flow: Option<&str>) -> NewTask {
        NewTask {
            id: id.into(),
            door: Door::Cfs,
            kind: TaskKind::Transfer,
            parent: None,
            flow: flow.map(Into::into),
            spec: TransferSpec {
                direction: Direction::Import,
                object: ObjectEnd { store: "s3".into(), bucket: "data-1".into(), prefix: String::new() },
                credentials: None,
                directory: DirectoryEnd {
                    file_system: "cfs-1".into(),
                    root: "/ignored".into(),
                    path: "in".into(),
                },
                selection: Selection::All,
                conflict: ConflictPolicy::KeepLatest,
                data: DataType::MetaAndData,
                dialect: MetadataDialect::Native,
                create_directory: false,
                default_file_mode: 0o644,
                default_dir_mode: 0o755,
            },
            name: "t".into(),
            attributes: BTreeMap::new(),
            originator: Originator::User,
        }
    }

    /// Runs a task to its end as an engine would.
    pub async fn complete(&self, id: &str, manifest: &str) -> Task {
        let now = Timestamp(self.clock.now().0);
        let (t, _) = self.store.claim_next("w", now, 1_000_000).await.unwrap().unwrap();
        assert_eq!(t.id.as_str(), id);
        let path = self.control.report_path(&t.id, "manifest.jsonl").unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, manifest).unwrap();
        let sum = ring::digest::digest(&ring::digest::SHA256, manifest.as_bytes());
        let receipt = Receipt {
            task: t.id.clone(),
            ledger: Ledger::default(),
            manifest: "manifest.jsonl".into(),
            manifest_sha256: sum.as_ref().iter().map(|b| format!("{b:02x}")).collect(),
            made: now,
        };
        let finish = store::Finish {
            status: TaskStatus::Completed,
            error: None,
            ledger: Ledger::default(),
            progress: Progress::default(),
            checkpoint: None,
            receipt: Some(receipt),
            reports: Reports::default(),
            events: Vec::new(),
            at: now,
        };
        self.store.finish(&t.id, t.attempt, &finish).await.unwrap()
    }
}
