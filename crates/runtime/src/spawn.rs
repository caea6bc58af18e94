//! No nameless task: whoever spawns says what kind of task it is.

use std::future::Future;
use tokio::task::JoinHandle;

/// What a spawned task is, for logs, metrics and the reader of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskKind {
    /// Accepts connections on a listener.
    Accept,
    /// Serves one client connection.
    ServeConnection,
    /// Drives one outgoing HTTP connection.
    DriveConnection,
    /// Runs one data-flow task.
    RunTask,
    /// Dispatches pending tasks.
    Dispatch,
    /// Lists one key range ahead of its consumer.
    ListAhead,
    /// Works on the items of a lane.
    LaneWork,
    /// Runs one pipeline.
    RunPipeline,
    /// Calls the store for a lane.
    Record,
    /// Takes a step on a cluster to its end.
    ClusterStep,
    /// Does upkeep now and then (expiry, sweeping).
    Housekeeping,
    /// Waits for a signal.
    Signal,
    /// Draws progress.
    Progress,
    /// A test's helper.
    Test,
}

/// Spawns on the current runtime.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub fn spawn<F>(kind: TaskKind, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(?kind, "spawn");
    tokio::spawn(future)
}

/// Spawns on another runtime: for what must not depend on a thread that may end before it does.
pub fn spawn_on<F>(runtime: &tokio::runtime::Handle, kind: TaskKind, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(?kind, "spawn");
    runtime.spawn(future)
}

/// Spawns on the current thread's `LocalSet`.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub fn spawn_local<F>(kind: TaskKind, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tracing::trace!(?kind, "spawn_local");
    tokio::task::spawn_local(future)
}

/// Runs a blocking closure on the runtime's blocking pool (bounded by the runtime's builder).
///
/// # Errors
/// When the closure panicked.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(f).await.map_err(|e| format!("a blocking call panicked: {e}"))
}

/// Runs a closure that may block for minutes on a thread of its own. Unlike [`blocking`] it takes no place
/// of the pool, and the end of the process does not wait for it; dropping the future lets it run on.
///
/// # Errors
/// When no thread can be had, or the closure panicked.
pub async fn aside<T: Send + 'static>(
    name: &'static str,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (answer, wait) = tokio::sync::oneshot::channel();
    // Nobody may be waiting for the answer any more.
    let work = move || drop(answer.send(f()));
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|e| format!("no thread can be had: {e}"))?;
    wait.await.map_err(|_| format!("the thread {name} ended early"))
}
