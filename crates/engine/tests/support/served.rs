//! A dispatcher over a real SQLite store, with a bucket and a directory in memory.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Error, ErrorKind, Tree, TreePath};
use engine::dispatch::{Ends, Lease, Local, Settings};
use engine::transfer::Shared;
use model::*;
use runtime::{Bandwidth, Clock};
use store::{SealKey, Store};
use tempfile::TempDir;

use super::bench::Bench;
use super::memory::{Memory, Style};

struct Two {
    bucket: Memory,
    directory: Memory,
    missing: Arc<AtomicBool>,
}

impl Two {
    fn folder(&self, make: bool) -> connector::Result<Arc<dyn Tree>> {
        if self.missing.load(Relaxed) {
            if !make {
                return Err(Error::new(ErrorKind::NotFound, "no such directory"));
            }
            self.missing.store(false, Relaxed);
        }
        Ok(self.directory.tree())
    }
}

fn may_make(spec: &TransferSpec) -> bool {
    spec.create_directory && spec.direction == Direction::Import
}

#[async_trait]
impl Ends for Two {
    async fn object(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        Ok(self.bucket.tree())
    }

    async fn directory(&self, spec: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        self.folder(may_make(spec))
    }

    fn present_directory(&self, spec: &TransferSpec) -> connector::Result<Option<Arc<dyn Tree>>> {
        match self.folder(false) {
            Err(e) if e.kind() == ErrorKind::NotFound && may_make(spec) => Ok(None),
            r => r.map(Some),
        }
    }

    async fn bucket(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        Ok(self.bucket.tree())
    }

    fn file_system(&self, _: &TransferSpec) -> connector::Result<Arc<dyn Tree>> {
        self.folder(false)
    }

    async fn address(&self, _: &TransferSpec, url: &str) -> connector::Result<(Arc<dyn Tree>, TreePath)> {
        let key = url.strip_prefix("http://store/").unwrap();
        Ok((self.bucket.tree(), TreePath::new(key.as_bytes()).unwrap()))
    }
}

pub struct Served {
    pub local: Local,
    pub store: Store,
    pub clock: Clock,
    pub bucket: Memory,
    pub directory: Memory,
    /// The directory is not there (yet).
    pub missing: Arc<AtomicBool>,
    pub dir: TempDir,
}

impl Served {
    pub async fn start() -> Self {
        Self::with(Bandwidth::unlimited()).await
    }

    pub async fn with(bandwidth: Bandwidth) -> Self {
        let bench = Bench::new(Style::Bucket, Style::Directory);
        let dir = tempfile::tempdir().unwrap();
        let url = dir.path().join("state.db").display().to_string();
        let key = SealKey::new(&[7; 32]).unwrap();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let (bucket, directory, clock) = (bench.source, bench.destination, bench.clock);
        let missing = Arc::new(AtomicBool::new(false));
        let ends = Two { bucket: bucket.clone(), directory: directory.clone(), missing: missing.clone() };
        let local = Local::start(Settings {
            store: store.clone(),
            ends: Arc::new(ends),
            shared: Shared { bandwidth, ..bench.shared },
            reports: dir.path().join("reports"),
            concurrent: 2,
            lease: Lease::default(),
        })
        .await
        .unwrap();
        Self { local, store, clock, bucket, directory, missing, dir }
    }

    /// Source and destination.
    pub fn ends(&self, direction: Direction) -> (&Memory, &Memory) {
        match direction {
            Direction::Import => (&self.bucket, &self.directory),
            Direction::Export => (&self.directory, &self.bucket),
        }
    }

    pub async fn submit(&self, id: &str, spec: TransferSpec) {
        self.store.insert_task(&self.task(id, spec), 0).await.unwrap();
        self.local.wake();
    }

    /// Waits until the task answers.
    pub async fn until(&self, id: &str, is: impl Fn(&Task) -> bool) -> Task {
        for _ in 0..3000 {
            let task = self.store.task(&id.into()).await.unwrap().unwrap();
            if is(&task) {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come to that: {:?}", self.store.task(&id.into()).await)
    }

    pub async fn run(&self, id: &str, spec: TransferSpec) -> Task {
        self.submit(id, spec).await;
        self.until(id, |t| t.status.is_final()).await
    }

    /// Kinds and messages of all events.
    pub async fn events(&self, id: &str) -> Vec<(EventKind, String)> {
        let told = self.store.events(&id.into(), store::EventsFrom::After(0), 500).await.unwrap();
        told.events.into_iter().map(|e| (e.kind, e.message)).collect()
    }

    fn task(&self, id: &str, spec: TransferSpec) -> Task {
        Task {
            id: id.into(),
            account: "me".into(),
            door: Door::Admin,
            kind: TaskKind::Transfer,
            parent: None,
            flow: None,
            file_system: "cfs-1".into(),
            spec,
            status: TaskStatus::Pending,
            error: None,
            ledger: Ledger::default(),
            progress: Progress::default(),
            reports: Reports::default(),
            originator: Originator::User,
            attempt: 0,
            name: String::new(),
            attributes: BTreeMap::new(),
            created: Timestamp(self.clock.now().0),
            started: None,
            ended: None,
        }
    }
}

pub fn spec(direction: Direction) -> TransferSpec {
    TransferSpec {
        direction,
        object: ObjectEnd { store: "s3".into(), bucket: "b".into(), prefix: String::new() },
        credentials: None,
        directory: DirectoryEnd { file_system: "cfs-1".into(), root: "/nowhere".into(), path: String::new() },
        selection: Selection::All,
        conflict: ConflictPolicy::IfChanged,
        data: DataType::MetaAndData,
        dialect: MetadataDialect::Native,
        create_directory: true,
        default_file_mode: 0o644,
        default_dir_mode: 0o755,
    }
}
