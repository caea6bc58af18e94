//! The dead-letter desk: records that could not go on, kept aside exactly as they were read.

use model::{DeadLetter, PipelineId};

use crate::{Caller, Control, DeadFilter, DeadId, DeadTotals, Error, ErrorKind, Page, Result};

fn later<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not built yet"))
}

impl Control {
    /// A page of the caller's dead letters, and how many answer the filter. Contents included.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `LimitExceeded` when too many ids are named.
    pub async fn dead_letters(
        &self,
        _c: &Caller,
        _filter: &DeadFilter,
        _page: Page,
    ) -> Result<(Vec<DeadLetter>, u64)> {
        later()
    }

    /// One dead letter.
    ///
    /// # Errors
    /// `NotFound(Pipeline | DeadLetter)`.
    pub async fn dead_letter(&self, _c: &Caller, _of: &PipelineId, _id: &DeadId) -> Result<DeadLetter> {
        later()
    }

    /// Hands waiting letters of one pipeline back to it: they go through its transform and to its destination once more. Returns how many.
    ///
    /// # Errors
    /// `Invalid` the filter names no pipeline; `NotFound(Pipeline)`; `InvalidState` the pipeline is deleted.
    pub async fn replay_dead(&self, _c: &Caller, _filter: &DeadFilter) -> Result<u64> {
        later()
    }

    /// Gives waiting letters up: their content is destroyed, that they were there is kept. Returns how many.
    ///
    /// # Errors
    /// As [`Control::replay_dead`], but that the pipeline may be deleted.
    pub async fn drop_dead(&self, _c: &Caller, _filter: &DeadFilter) -> Result<u64> {
        later()
    }

    /// Forgets letters that were replayed or dropped. Returns how many.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn purge_dead(&self, _c: &Caller, _of: &PipelineId) -> Result<u64> {
        later()
    }

    /// How many letters of a pipeline wait or are being replayed.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn dead_totals(&self, _c: &Caller, _of: &PipelineId) -> Result<DeadTotals> {
        later()
    }
}
