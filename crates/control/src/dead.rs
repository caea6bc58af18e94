//! The dead-letter desk: records that could not go on, kept aside exactly as they were read.

use model::{DeadLetter, DeadStatus, Pipeline, PipelineId, PipelineStatus, Timestamp};

use crate::pipelines::is_worked;
use crate::{Caller, Control, DeadFilter, DeadId, DeadTotals, Error, ErrorKind, Noun, Page, Result};

impl Control {
    /// A page of the caller's dead letters, and how many answer the filter. Contents included.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `LimitExceeded` when too many ids are named.
    pub async fn dead_letters(
        &self,
        c: &Caller,
        filter: &DeadFilter,
        page: Page,
    ) -> Result<(Vec<DeadLetter>, u64)> {
        let mut filter = filter.clone();
        if let Some(id) = &filter.pipeline {
            self.pipeline_terms(c, id).await?;
        }
        if !c.operator {
            filter.account = Some(c.account.clone());
        }
        Ok(self.0.store.dead_letters(&filter, page).await?)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// `NotFound(Pipeline | DeadLetter)`.
    pub async fn dead_letter(&self, c: &Caller, of: &PipelineId, id: &DeadId) -> Result<DeadLetter> {
        let filter =
            DeadFilter { pipeline: Some(of.clone()), ids: vec![id.clone()], ..DeadFilter::default() };
        let (found, _) = self.dead_letters(c, &filter, Page::default()).await?;
        found.into_iter().next().ok_or_else(|| Error::not_found(Noun::DeadLetter, id))
    }

    /// Hands waiting letters of one pipeline back to it: they go through its transform and to its destination once more. Returns how many.
    /// A paused pipeline does so when it goes on; one whose source is HTTP here and now.
    ///
    /// # Errors
    /// `Invalid` the filter names no pipeline, or (HTTP) a letter still can't be taken; `NotFound(Pipeline)`; `InvalidState` the
    /// pipeline is deleted.
    pub async fn replay_dead(&self, c: &Caller, filter: &DeadFilter) -> Result<u64> {
        let p = self.pipeline_of_letters(c, filter).await?;
        if matches!(p.status, PipelineStatus::Deleting | PipelineStatus::Deleted) {
            let message = format!("pipeline {} is {}", p.id, p.status.name());
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        if !is_worked(&p) {
            return self.replay_messages(c, &p, filter).await;
        }
        let n = self.0.store.replay_dead(&p.id, filter).await?;
        if n > 0 {
            self.0.dispatch.signal_pipeline(&p.id);
        }
        Ok(n)
    }

    /// Gives waiting letters up: their content is destroyed, that they were there is kept. Returns how many.
    ///
    /// # Errors
    /// As [`Control::replay_dead`], but that the pipeline may be deleted.
    pub async fn drop_dead(&self, c: &Caller, filter: &DeadFilter) -> Result<u64> {
        let p = self.pipeline_of_letters(c, filter).await?;
        Ok(self.0.store.end_dead(&p.id, filter, DeadStatus::Dropped, self.now()).await?)
    }

    async fn pipeline_of_letters(&self, c: &Caller, filter: &DeadFilter) -> Result<Pipeline> {
        match &filter.pipeline {
            Some(id) => self.pipeline_terms(c, id).await,
            None => Err(Error::new(ErrorKind::Invalid, "a pipeline has to be named").field("pipeline")),
        }
    }

    /// Forgets letters that were replayed or dropped. Returns how many.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn purge_dead(&self, c: &Caller, of: &PipelineId) -> Result<u64> {
        self.pipeline_terms(c, of).await?;
        Ok(self.0.store.forget_dead(Some(of), Timestamp(i64::MAX)).await?)
    }

    /// How many letters of a pipeline wait or are being replayed.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn dead_totals(&self, c: &Caller, of: &PipelineId) -> Result<DeadTotals> {
        self.pipeline_terms(c, of).await?;
        Ok(self.0.store.dead_totals(of).await?)
    }
}
