//! A tree that counts what it is asked: how a plan knows its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use connector::{
    Body, Entry, EntryStream, Found, Lane, ListRequest, Meta, Part, PartDone, Probe, Range, Result, Stored,
    Target, Tree, TreePath, Upload,
};

/// Passes everything on and counts pages, looks and openings.
pub(super) struct Counted {
    inner: Arc<dyn Tree>,
    asked: Arc<AtomicU64>,
}

impl Counted {
    pub fn new(inner: Arc<dyn Tree>, asked: Arc<AtomicU64>) -> Self {
        Self { inner, asked }
    }
}

struct CountedStream(Box<dyn EntryStream>, Arc<AtomicU64>);

#[async_trait]
impl EntryStream for CountedStream {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        let page = self.0.next().await?;
        self.1.fetch_add(u64::from(page.is_some()), Relaxed);
        Ok(page)
    }
}

#[async_trait]
impl Tree for Counted {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn probe(&self, write: bool) -> Result<Probe> {
        self.inner.probe(write).await
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(CountedStream(self.inner.list(request), self.asked.clone()))
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(CountedLane(self.inner.lane(), self.asked.clone()))
    }

    fn settle(&self) -> Result<()> {
        self.inner.settle()
    }

    async fn sweep(&self, what: &connector::Sweep) -> Result<u64> {
        self.inner.sweep(what).await
    }
}

struct CountedLane(Box<dyn Lane>, Arc<AtomicU64>);

#[async_trait(?Send)]
impl Lane for CountedLane {
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>> {
        self.1.fetch_add(1, Relaxed);
        self.0.stat(path).await
    }

    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body> {
        self.1.fetch_add(1, Relaxed);
        self.0.open(entry, range).await
    }

    async fn open_checked(&self, entry: &Entry) -> Result<Body> {
        self.1.fetch_add(1, Relaxed);
        self.0.open_checked(entry).await
    }

    async fn put(&self, target: &Target, body: Body) -> Result<Stored> {
        self.0.put(target, body).await
    }

    async fn put_dir(&self, target: &Target) -> Result<()> {
        self.0.put_dir(target).await
    }

    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload> {
        self.0.begin(target, part_size).await
    }

    async fn put_part(&self, target: &Target, upload: &Upload, part: Part, body: Body) -> Result<PartDone> {
        self.0.put_part(target, upload, part, body).await
    }

    async fn finish(&self, t: &Target, u: &Upload, parts: &[PartDone], meta: &Meta) -> Result<Stored> {
        self.0.finish(t, u, parts, meta).await
    }

    async fn abort(&self, target: &Target, upload: &Upload) -> Result<()> {
        self.0.abort(target, upload).await
    }

    async fn remove(&self, path: &TreePath) -> Result<bool> {
        self.0.remove(path).await
    }
}
