//! Pipelines: made, watched, paused, restarted, deleted.

use model::{Pipeline, PipelineId};

use crate::{
    Caller, Control, Error, ErrorKind, NewPipeline, NewRecord, PipelineChange, PipelineFilter, Produced,
    Result, Transformed,
};

/// The `datahub-…` that belongs to a `task-…`.
#[must_use]
pub fn datahub_id(id: &PipelineId) -> String {
    format!("datahub-{}", id.as_str().trim_start_matches("task-"))
}

/// The pipeline that a `datahub-…` (or a `task-…`) names.
#[must_use]
pub fn pipeline_of(datahub: &str) -> PipelineId {
    PipelineId(match datahub.strip_prefix("datahub-") {
        Some(suffix) => format!("task-{suffix}"),
        None => datahub.to_owned(),
    })
}

fn later<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not built yet"))
}

impl Control {
    /// Makes a pipeline. Both ends, the transform and where failed records go are checked without I/O (all problems are told at once), and
    /// the topics that it reads have to be there; whether the destination can be reached is seen when it runs.
    ///
    /// # Errors
    /// `Exists(Pipeline)` the name is taken; `NotFound(Connection | Topic | Bucket)`; `Invalid`, with `field` `source`, `sink`,
    /// `transform`, `name`, …; `LimitExceeded`; `Unsupported` a connection of a product without a connector.
    pub async fn create_pipeline(&self, _c: &Caller, _new: NewPipeline) -> Result<Pipeline> {
        later()
    }

    /// A page of the caller's pipelines that answer the filter, and how many do.
    ///
    /// # Errors
    /// `LimitExceeded` when a list of the filter is too long.
    pub async fn pipelines(&self, _c: &Caller, _filter: &PipelineFilter) -> Result<(Vec<Pipeline>, u64)> {
        later()
    }

    /// One pipeline of the caller's; also one that was deleted not long ago.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn pipeline(&self, _c: &Caller, _id: &PipelineId) -> Result<Pipeline> {
        later()
    }

    /// Changes a pipeline.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `Exists(Pipeline)` the name is taken, `Invalid`, `InvalidState` it is (being) deleted.
    pub async fn change_pipeline(
        &self,
        _c: &Caller,
        _id: &PipelineId,
        _change: PipelineChange,
    ) -> Result<Pipeline> {
        later()
    }

    /// Asks a pipeline to pause. It keeps its positions. One that nobody works on (HTTP, a sync of topics only) is Paused at once.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `InvalidState`.
    pub async fn pause_pipeline(&self, _c: &Caller, _id: &PipelineId) -> Result<Pipeline> {
        later()
    }

    /// Lets a paused pipeline go on.
    ///
    /// # Errors
    /// As [`Control::pause_pipeline`].
    pub async fn resume_pipeline(&self, _c: &Caller, _id: &PipelineId) -> Result<Pipeline> {
        later()
    }

    /// Builds a running pipeline's ends anew, in place, and forgets what was in its way.
    ///
    /// # Errors
    /// As [`Control::pause_pipeline`].
    pub async fn restart_pipeline(&self, _c: &Caller, _id: &PipelineId) -> Result<Pipeline> {
        later()
    }

    /// Ends a pipeline. It can be read for a day, as Deleted.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, also when it is deleted already.
    pub async fn delete_pipeline(&self, _c: &Caller, _id: &PipelineId) -> Result<Pipeline> {
        later()
    }

    /// Sends records into a pipeline whose source is HTTP, through its transform. One answer for each message; a message that
    /// a filter took out, or that was dropped or kept aside, has none.
    ///
    /// # Errors
    /// `NotFound(Pipeline)` (also one without an HTTP source), `InvalidState` it is paused, `Throttled` more than its `records_per_s`,
    /// `LimitExceeded` too many or too large, `Invalid` the transform can't take a record and the pipeline says to stop
    /// there, `Unreachable` the cluster did not take them.
    pub async fn send_messages(
        &self,
        _c: &Caller,
        _id: &PipelineId,
        _messages: Vec<(Option<Vec<u8>>, Vec<u8>)>,
    ) -> Result<Vec<Option<Produced>>> {
        later()
    }

    /// What a transform would make of these records.
    ///
    /// # Errors
    /// `Invalid` with all problems of the transform.
    pub fn preview_transform(&self, _transform: &str, _records: Vec<NewRecord>) -> Result<Vec<Transformed>> {
        later()
    }
}
