//! Lanes: OS threads, each with a single-threaded reactor, made once and used by every run.
//!
//! A transfer's futures never cross threads, so connections, buffers and counters of a lane need no
//! locks and a request wakes no other thread. What lanes share is only the run's queue and its account.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use runtime::{Shutdown, TaskKind};
use tokio::sync::{mpsc, oneshot};

/// A future that stays on its thread.
pub type Local = Pin<Box<dyn Future<Output = ()>>>;

type Start = Box<dyn FnOnce() -> Local + Send>;

/// Pieces of work that may wait for a lane thread to spawn them.
const MAILBOX: usize = 64;

/// A set of lane threads. Clones share them; the last one to go ends them.
#[derive(Clone)]
pub struct Lanes(Arc<Inner>);

struct Inner {
    mailboxes: Vec<mpsc::Sender<Start>>,
    threads: Vec<JoinHandle<()>>,
    stop: Shutdown,
}

impl Lanes {
    /// Starts `count` threads (at least one).
    ///
    /// # Errors
    /// When the system gives no thread or no reactor.
    pub fn new(count: usize) -> io::Result<Self> {
        let stop = Shutdown::new();
        let mut inner = Inner { mailboxes: Vec::new(), threads: Vec::new(), stop };
        for n in 0..count.max(1) {
            let reactor = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(4)
                .thread_keep_alive(std::time::Duration::from_secs(2))
                .build()?;
            let (send, receive) = mpsc::channel(MAILBOX);
            let stop = inner.stop.clone();
            let thread = std::thread::Builder::new().name(format!("lane-{n}")).spawn(move || {
                reactor.block_on(tokio::task::LocalSet::new().run_until(serve(receive, stop)))
            })?;
            inner.mailboxes.push(send);
            inner.threads.push(thread);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Twice the number of cores, at most 8.
    ///
    /// # Errors
    /// As [`Lanes::new`].
    pub fn for_this_machine() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::new((2 * cores).min(8))
    }

    /// How many threads.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.mailboxes.len()
    }

    /// Runs a future on lane `n` (modulo the count). The receiver resolves when it has ended, with an
    /// error when the lane dropped it unfinished.
    pub async fn start<F>(&self, n: usize, make: F) -> oneshot::Receiver<()>
    where
        F: FnOnce() -> Local + Send + 'static,
    {
        let (done, ended) = oneshot::channel();
        let start: Start = Box::new(move || {
            let future = make();
            Box::pin(async move {
                future.await;
                let _ = done.send(());
            })
        });
        let mailbox = &self.0.mailboxes[n % self.0.mailboxes.len()];
        // A closed mailbox drops `start`, and with it `done`: the caller sees an ended lane.
        let _ = mailbox.send(start).await;
        ended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailboxes.clear();
        self.stop.stop();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}

/// A lane thread: spawns what comes, until it is told to stop; what is still at work is dropped then.
async fn serve(mut mailbox: mpsc::Receiver<Start>, stop: Shutdown) {
    let work = async {
        while let Some(start) = mailbox.recv().await {
            drop(runtime::spawn_local(TaskKind::LaneWork, start()));
        }
    };
    tokio::select! {
        () = stop.stopped() => {}
        () = work => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_on_its_lane_and_ends_with_it() {
        let lanes = Lanes::new(2).unwrap();
        let (name, heard) = oneshot::channel();
        let ended = lanes
            .start(1, move || {
                Box::pin(async move {
                    let _ = name.send(std::thread::current().name().map(str::to_owned));
                })
            })
            .await;
        assert_eq!(heard.await.unwrap().as_deref(), Some("lane-1"));
        ended.await.unwrap();
        let stuck = lanes.start(0, || Box::pin(std::future::pending())).await;
        drop(lanes);
        assert!(stuck.await.is_err());
    }
}
