//! A million keys on either side, listed and compared: memory must not grow with them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use connector::{Entry, EntryKind, EntryStream, Lane, ListRequest, Probe, Result, Tree, TreePath};
use engine::Lanes;
use engine::transfer::{Compare, Ended, Job, Options, Shared};
use model::ConflictPolicy;
use runtime::{Bandwidth, ByteBudget, Clock};

const KEYS: u64 = 1_000_000;

struct Synthetic {
    modified_ns: i64,
    version: &'static str,
}

struct Keys {
    next: u64,
    modified_ns: i64,
    version: &'static str,
}

#[async_trait]
impl EntryStream for Keys {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        let page: Vec<_> = (self.next..KEYS.min(self.next + 1000))
            .map(|n| {
                Ok(Entry {
                    path: TreePath::new(format!("prefix/with/some/depth/{n:012}").as_bytes()).unwrap(),
                    kind: EntryKind::File,
                    size: n,
                    modified_ns: self.modified_ns,
                    version: Some(self.version.into()),
                    meta: None,
                })
            })
            .collect();
        self.next += page.len() as u64;
        Ok((!page.is_empty()).then_some(page))
    }
}

#[async_trait]
impl Tree for Synthetic {
    fn describe(&self) -> String {
        "synthetic".to_owned()
    }
    async fn probe(&self, _write: bool) -> Result<Probe> {
        Ok(Probe::default())
    }
    fn list(&self, _request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(Keys { next: 0, modified_ns: self.modified_ns, version: self.version })
    }
    fn lane(&self) -> Box<dyn Lane> {
        Box::new(Nothing)
    }
    fn settle(&self) -> Result<()> {
        Ok(())
    }
    async fn sweep(&self, _what: &connector::Sweep) -> Result<u64> {
        Ok(0)
    }
}

struct Nothing;

#[async_trait(?Send)]
impl Lane for Nothing {
    async fn stat(&self, _: &TreePath) -> Result<Option<connector::Found>> {
        Ok(None)
    }
    async fn open(&self, _: &Entry, _: Option<connector::Range>) -> Result<connector::Body> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "nothing here"))
    }
    async fn put(&self, _: &connector::Target, _: connector::Body) -> Result<connector::Stored> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "nothing here"))
    }
    async fn put_dir(&self, _: &connector::Target) -> Result<()> {
        Ok(())
    }
    async fn begin(&self, _: &connector::Target, _: u64) -> Result<connector::Upload> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "nothing here"))
    }
    async fn put_part(
        &self,
        _: &connector::Target,
        _: &connector::Upload,
        _: connector::Part,
        _: connector::Body,
    ) -> Result<connector::PartDone> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "nothing here"))
    }
    async fn finish(
        &self,
        _: &connector::Target,
        _: &connector::Upload,
        _: &[connector::PartDone],
        _: &connector::Meta,
    ) -> Result<connector::Stored> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "nothing here"))
    }
    async fn abort(&self, _: &connector::Target, _: &connector::Upload) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, _: &TreePath) -> Result<bool> {
        Ok(false)
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_million_keys_are_compared_in_bounded_memory() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        let shared = Shared {
            lanes: Lanes::new(2).unwrap(),
            budget: ByteBudget::new(1 << 20),
            bandwidth: Bandwidth::unlimited(),
            clock: Clock::system(),
        };
        let source = Arc::new(Synthetic { modified_ns: 1, version: "7-1" });
        let destination = Arc::new(Synthetic { modified_ns: 9_000_000_000_000, version: "etag" });
        let options = Options::new(ConflictPolicy::IfChanged, Compare::Merge);
        let reports = tempfile::tempdir().unwrap();
        let mut job = Job::new(source, destination, options, shared);
        job.reports = Some(reports.path().to_owned());
        let (before, began) = (peak_kib(), Instant::now());
        let out = engine::transfer::run(job).await;
        assert_eq!(out.ended, Ended::Done);
        assert_eq!(out.ledger.items.unchanged, KEYS);
        let grown = (peak_kib() - before) / 1024;
        eprintln!("{KEYS} keys compared in {:?}, peak memory grew by {grown} MiB", began.elapsed());
        assert!(grown < 100, "{grown} MiB");
    });
}
