//! The writer of a split: a local task that sends parts and completes objects, one after the other.
//!
//! The sink formats while writers wait for the store. A split's objects follow each other strictly (the pointer
//! names one at a time); splits do not wait for each other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use connector::records::{Mark, Settled, Split};
use connector::{Digest, Error, ErrorKind, Result};
use runtime::TaskKind;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::pointer::{Pointer, strange};
use super::store::Store;
use crate::fault::Fault;

/// Requests of all writers of a sink at once.
const AT_ONCE: usize = 8;
/// Jobs that wait for one writer.
const WAITING: usize = 4;

/// Something to do for a split, in order.
pub(super) enum Job {
    /// Send a part of an object.
    Part { key: Rc<str>, bytes: Bytes },
    /// Send the rest of an object, complete it, and settle this mark.
    Finish { key: Rc<str>, bytes: Bytes, mark: Mark },
    /// Settle a mark that no object belongs to.
    Settle(Mark),
}

/// What writers and their sink share.
pub(super) struct Shared {
    pub(super) store: Store,
    settled: RefCell<HashMap<Split, Mark>>,
    failed: RefCell<Option<Error>>,
    in_flight: Cell<u64>,
    jobs: Cell<usize>,
    moved: Notify,
    gate: Semaphore,
}

impl Shared {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            settled: RefCell::default(),
            failed: RefCell::default(),
            in_flight: Cell::new(0),
            jobs: Cell::new(0),
            moved: Notify::new(),
            gate: Semaphore::new(AT_ONCE),
        }
    }

    /// The error of a writer, once; after it the sink is of no more use.
    pub(super) fn check(&self) -> Result<()> {
        match self.failed.borrow_mut().as_mut() {
            None => Ok(()),
            Some(e) => Err(Error::new(e.kind(), e.to_string())),
        }
    }

    /// Bytes on their way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    /// Waits until a job has ended.
    pub(super) async fn wait_one(&self) -> Result<()> {
        self.check()?;
        self.moved.notified().await;
        self.check()
    }

    /// Waits until every job is done.
    pub(super) async fn wait_all(&self) -> Result<()> {
        while self.jobs.get() > 0 {
            self.check()?;
            self.moved.notified().await;
        }
        self.check()
    }

    pub(super) fn take_settled(&self) -> Vec<Settled> {
        self.settled.borrow_mut().drain().map(|(split, mark)| Settled { split, mark }).collect()
    }

    pub(super) fn forget(&self, split: &Split) {
        self.settled.borrow_mut().remove(split);
    }

    fn settle(&self, split: &Split, mark: Mark) {
        self.settled.borrow_mut().insert(split.clone(), mark);
    }
}

/// A running writer; stops at once when dropped.
pub(super) struct Writer {
    jobs: mpsc::Sender<Counted>,
    task: JoinHandle<()>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A job, counted as long as it exists.
struct Counted {
    job: Option<Job>,
    bytes: u64,
    shared: Rc<Shared>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.in_flight.set(self.shared.in_flight.get() - self.bytes);
        self.shared.jobs.set(self.shared.jobs.get() - 1);
        self.shared.moved.notify_waiters();
    }
}

impl Writer {
    pub(super) fn start(shared: &Rc<Shared>, split: Split, pointer: Pointer, mark: Mark) -> Self {
        let (jobs, inbox) = mpsc::channel(WAITING);
        let work = Work { shared: shared.clone(), split, pointer, mark, upload: None };
        let task = runtime::spawn_local(TaskKind::LaneWork, work.run(inbox));
        Self { jobs, task }
    }

    /// Hands a job over; waits while too many are waiting.
    pub(super) async fn give(&self, shared: &Rc<Shared>, job: Job) -> Result<()> {
        let bytes = match &job {
            Job::Part { bytes, .. } | Job::Finish { bytes, .. } => bytes.len() as u64,
            Job::Settle(_) => 0,
        };
        shared.in_flight.set(shared.in_flight.get() + bytes);
        shared.jobs.set(shared.jobs.get() + 1);
        let counted = Counted { job: Some(job), bytes, shared: shared.clone() };
        if self.jobs.send(counted).await.is_err() {
            shared.check()?;
            return Err(Error::new(ErrorKind::Cancelled, "the writer of the split has ended"));
        }
        Ok(())
    }
}

struct Upload {
    id: String,
    parts: Vec<String>,
    digest: Digest,
}

struct Work {
    shared: Rc<Shared>,
    split: Split,
    pointer: Pointer,
    /// Everything before it is complete.
    mark: Mark,
    upload: Option<Upload>,
}

impl Work {
    async fn run(mut self, mut inbox: mpsc::Receiver<Counted>) {
        while let Some(mut counted) = inbox.recv().await {
            let Some(job) = counted.job.take() else { continue };
            if let Err(e) = self.work(job).await {
                let e = e.context(&self.split);
                // Of several errors the first is the one to tell.
                self.shared.failed.borrow_mut().get_or_insert(e);
                return;
            }
        }
    }

    async fn work(&mut self, job: Job) -> Result<()> {
        let shared = self.shared.clone();
        let closed = |_| Error::new(ErrorKind::Cancelled, "the sink is closed");
        match job {
            Job::Settle(mark) => {
                self.mark = mark;
                shared.settle(&self.split, mark);
            }
            Job::Part { key, bytes } => {
                let _permit = shared.gate.acquire().await.map_err(closed)?;
                self.part(&key, bytes).await?;
            }
            Job::Finish { key, bytes, mark } => {
                let _permit = shared.gate.acquire().await.map_err(closed)?;
                self.finish(&key, bytes, mark).await?;
                self.mark = mark;
                shared.settle(&self.split, mark);
            }
        }
        Ok(())
    }

    async fn part(&mut self, key: &str, bytes: Bytes) -> Result<()> {
        let store = &self.shared.store;
        if self.upload.is_none() {
            self.pointer.intend(store, key, self.mark, None).await?;
            let id = store.begin(key, self.pointer.run()).await?;
            self.upload = Some(Upload { id, parts: Vec::new(), digest: Digest::EMPTY });
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let number = u32::try_from(upload.parts.len() + 1).unwrap_or(u32::MAX);
        let digest = Digest::of(&bytes);
        match store.part(key, &upload.id, number, bytes).await {
            Ok(etag) => upload.parts.push(etag),
            Err(f) => return Err(self.explain(key, f).await),
        }
        upload.digest = upload.digest.then(digest);
        Ok(())
    }

    async fn finish(&mut self, key: &str, bytes: Bytes, mark: Mark) -> Result<()> {
        if self.upload.is_some() && !bytes.is_empty() {
            self.part(key, bytes.clone()).await?;
        }
        let store = &self.shared.store;
        self.pointer.intend(store, key, self.mark, Some(mark)).await?;
        let done = match self.upload.take() {
            None => store.put_new(key, bytes, self.pointer.run(), &mark.to_text()).await,
            Some(u) => store.complete(key, &u.id, &u.parts, u.digest).await,
        };
        match done {
            Ok(()) => {}
            // The answer may have been lost, then the object is ours.
            Err(f) => match store.run_of(key).await {
                Ok(Some(run)) if run == self.pointer.run() => {}
                _ => return Err(self.explain(key, f).await),
            },
        }
        self.pointer.done();
        Ok(())
    }

    /// A refusal in words that fit: is it another owner, or something strange in our place?
    async fn explain(&self, key: &str, fault: Fault) -> Error {
        let gone = fault.kind() == ErrorKind::NotFound && &*fault.code != "NoSuchBucket";
        if !gone && fault.kind() != ErrorKind::Exists {
            return fault.into();
        }
        match self.shared.store.run_of(key).await {
            Ok(Some(run)) if run.is_empty() => strange(key),
            _ => Error::new(ErrorKind::Changed, format!("{key}: another owner has taken the split over")),
        }
    }
}
