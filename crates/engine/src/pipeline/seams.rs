//! What a pipeline's runner asks of the world: its records, its desk of dead letters, its two ends.
//!
//! All calls to [`Pipelines`] and [`DeadDesk`] are made on the server's own runtime, never on a lane's, so a pool of
//! database connections never belongs to a thread that ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::Result;
use connector::records::{Context, ErrorDirectory, Mark, RecordSink, RecordSource, SharedHost, Split};
use model::{DeadLetter, Ledger, Pipeline, PipelineEnd, PipelineId};

use super::Step;

/// What the store wants of a run, as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Work.
    #[default]
    Run,
    /// Work, and there are dead letters to be replayed.
    Replay,
    /// Come to rest: the pipeline is pausing, being deleted, or to be started anew (restarted, changed).
    Rest,
}

/// Why the store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another run has this pipeline now (the attempt differs): stop at once, write nothing more.
    Fenced,
    /// Not now.
    Failed(String),
}

/// Pipelines, their leases and marks. Every call that names an attempt fails with [`Trouble::Fenced`] when the pipeline's
/// attempt is another one.
#[async_trait]
pub trait Pipelines: Send + Sync + 'static {
    /// Ends the leases of earlier processes, where the store has one process only. Else does nothing.
    async fn release(&self) -> std::result::Result<(), Trouble>;

    /// Takes a pipeline that wants a worker ([`model::PipelineStatus::wants_a_worker`]) and has no live lease: sets the lease,
    /// counts `attempt` up, forgets a wish to be restarted, and returns it so. One that is being paused or deleted is given too:
    /// the run brings it to rest.
    async fn claim(&self, worker: &str, lease: Duration) -> std::result::Result<Option<Pipeline>, Trouble>;

    /// The run is at work: creating and resuming become running, other states stay.
    async fn began(&self, id: &PipelineId, attempt: u32) -> std::result::Result<(), Trouble>;

    /// The pipeline as it is now.
    async fn get(&self, id: &PipelineId) -> std::result::Result<Option<Pipeline>, Trouble>;

    /// The newest marks of all splits, as journalled.
    async fn marks(&self, id: &PipelineId) -> std::result::Result<Vec<(Split, Mark)>, Trouble>;

    /// Stores marks and the pipeline's account in one transaction, and renews the lease. A mark never moves back: one whose
    /// `next` is less than the stored one's is left out.
    async fn journal(
        &self,
        id: &PipelineId,
        attempt: u32,
        entry: &Entry,
    ) -> std::result::Result<Wish, Trouble>;

    /// Renews the lease.
    async fn renew(&self, id: &PipelineId, attempt: u32) -> std::result::Result<Wish, Trouble>;

    /// Says what is in the way (at most 2 KiB), or that nothing is any more.
    async fn explain(
        &self,
        id: &PipelineId,
        attempt: u32,
        error: Option<&str>,
    ) -> std::result::Result<(), Trouble>;

    /// The run has come to rest: the lease ends; pausing becomes paused, deleting becomes deleted, other states stay and may be
    /// claimed again at once. The attempt stays as it is.
    async fn rest(&self, id: &PipelineId, attempt: u32) -> std::result::Result<(), Trouble>;
}

/// One journal entry of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// What moved since the entry before.
    pub marks: Vec<(Split, Mark)>,
    /// The account over all splits, these marks included (replayed letters count as one record only).
    pub ledger: Ledger,
}

/// A letter that somebody asked to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its turn, from 1: given when the replay is asked for, growing over all letters of the pipeline, never given twice. The
    /// position in the letter's own split of replays.
    pub turn: i64,
    /// The letter.
    pub letter: DeadLetter,
}

/// The dead-letter desk. Attempts are checked as in [`Pipelines`].
#[async_trait]
pub trait DeadDesk: Send + Sync + 'static {
    /// Keeps letters of one pipeline, durably when it returns. A letter whose (pipeline, topic, partition, offset, sub) is
    /// there already stays as it is there, whatever its status.
    ///
    /// # Errors
    /// `Failed` also when the pipeline has as many letters as it may have: the words are shown to the user.
    async fn keep(
        &self,
        id: &PipelineId,
        attempt: u32,
        letters: Vec<DeadLetter>,
    ) -> std::result::Result<(), Trouble>;

    /// Letters waiting for their replay with a turn greater than `after`, in order of turns: at most `letters`, and about `bytes`
    /// (at least one).
    async fn queued(
        &self,
        id: &PipelineId,
        after: i64,
        letters: usize,
        bytes: u64,
    ) -> std::result::Result<Vec<Queued>, Trouble>;

    /// Letters of this topic and partition that wait for their replay with a turn less than `before` are replayed now.
    async fn replayed(
        &self,
        id: &PipelineId,
        attempt: u32,
        split: &Split,
        before: i64,
    ) -> std::result::Result<(), Trouble>;

    /// A replay failed again: the letter with this turn waits at the desk with this kind and reason, and has no turn any more.
    /// No such turn: nothing to do.
    async fn again(
        &self,
        id: &PipelineId,
        attempt: u32,
        failed: Vec<(i64, String, String)>,
    ) -> std::result::Result<(), Trouble>;
}

/// Finds out what a pipeline's ends are made of: looks connections up and opens secrets. Asked at each start of a lane, so a
/// changed connection counts from the next start on.
#[async_trait]
pub trait Catalogue: Send + Sync + 'static {
    /// The ends of this pipeline (those of its dead-letter copies too).
    ///
    /// # Errors
    /// `NotFound` no such connection, `Denied` the stored secret can't be opened.
    async fn resolve(&self, pipeline: &Pipeline) -> Result<Arc<dyn Ends>>;
}

/// Makes the working ends of one pipeline. Errors are shown to the user and tried again with growing pauses.
pub trait Ends: Send + Sync + 'static {
    /// How many splits the source has; `None` = it does not know such a thing, one lane then. May block; called on a thread of its own.
    ///
    /// # Errors
    /// As making the source.
    fn splits(&self) -> Result<Option<usize>>;

    /// The source of a lane. May block; called on the source's own thread.
    ///
    /// # Errors
    /// As the connector says.
    fn source(&self, context: &Context) -> Result<Box<dyn RecordSource>>;

    /// The transform; `None` = records go through as they are. Called on the lane's thread.
    ///
    /// # Errors
    /// When the transform's own JSON is wrong.
    fn step(&self) -> Result<Option<Box<dyn Step>>>;

    /// The sink of a lane. Called on the lane's thread.
    ///
    /// # Errors
    /// As the connector says.
    fn sink(&self, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>>;

    /// A sink for copies of dead letters (`OnFailure::Keep::copy`), at least once; its `context` has another pipeline's name.
    ///
    /// # Errors
    /// As the connector says.
    fn copy(&self, to: &PipelineEnd, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>>;

    /// An error directory (`OnFailure::Aside`). Called on the lane's thread.
    ///
    /// # Errors
    /// As the connector says.
    fn errors(&self, _to: &PipelineEnd, _context: &Context) -> Result<Rc<dyn ErrorDirectory>> {
        Err(connector::Error::new(connector::ErrorKind::Unsupported, "there are no error directories here"))
    }
}
