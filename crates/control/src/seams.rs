//! What the binary plugs in: connectors and the engine. Control names neither.

mod flow_logs;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::Tree;
use model::{
    Credentials, DirectoryEnd, MetadataDialect, ObjectEnd, ObjectStore, PipelineId, Plan, TaskId,
    TransferSpec,
};

use crate::Live;

pub use flow_logs::{NoObservers, Observers, WantedNetwork};
pub use streams::{
    Cluster, ClusterTopic, LogPiece, LogRecord, NoStreams, PartitionEnds, ReachedEnd, Streams, TopicConfig,
};

/// Turns ends into trees.
///
/// Secrets arrive sealed ([`store::Purpose::Credentials`]); implementations open them with the
/// [`store::SealKey`] they were made with.
#[async_trait]
pub trait Trees: Send + Sync {
    /// The bucket's side. `credentials` `None` = the catalogue entry's own.
    ///
    /// # Errors
    /// `NotFound` no such endpoint in the catalogue; `Denied` the secret can't be opened.
    async fn object(
        &self,
        end: &ObjectEnd,
        credentials: Option<&Credentials>,
        dialect: MetadataDialect,
    ) -> connector::Result<Arc<dyn Tree>>;

    /// The directory's side, for looking: a directory that is missing is not made.
    ///
    /// # Errors
    /// As opening the directory.
    fn directory(&self, end: &DirectoryEnd) -> connector::Result<Arc<dyn Tree>>;

    /// Removes everything in a directory, and nothing outside of it. Blocks until it is done; returns how
    /// many items went.
    ///
    /// # Errors
    /// Names the first thing that could not be removed.
    fn empty(&self, end: &DirectoryEnd) -> connector::Result<u64>;

    /// Bytes and number of everything in a directory that is not one itself. Blocks until it is done.
    ///
    /// # Errors
    /// As opening the directory.
    fn count(&self, end: &DirectoryEnd) -> connector::Result<(u64, u64)>;

    /// Names of the buckets that this key may list.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    async fn buckets(
        &self,
        store: &ObjectStore,
        credentials: Option<&Credentials>,
    ) -> connector::Result<Vec<String>>;
}

/// The engine's door. Calls return at once, but for [`Dispatch::plan`].
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// There is a new pending task.
    fn wake(&self);
    /// This task's status was changed by a user (pausing, canceling, executing again).
    fn signal(&self, task: &TaskId);
    /// How far a task is that runs in this very process; `None` for any other.
    fn live(&self, _task: &TaskId) -> Option<Live> {
        None
    }

    /// There is a pipeline to work on.
    fn wake_pipelines(&self) {}

    /// This pipeline's status was changed by a user, or it is to be restarted, or has letters to replay.
    fn signal_pipeline(&self, _pipeline: &PipelineId) {}

    /// What a transfer would do: the very run, dry, for at most about this time (then the plan says that
    /// it is partial). Writes nothing anywhere. `None` = this engine makes no plans.
    ///
    /// # Errors
    /// What would stop the run.
    async fn plan(&self, spec: &TransferSpec, within: Duration) -> connector::Result<Option<Plan>> {
        let _ = (spec, within);
        Ok(None)
    }
}
