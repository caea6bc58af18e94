//! Upkeep: what ends by itself.

use model::{FlowStatus, TaskStatus, Timestamp};

use crate::{Control, FlowFilter, Page, Result, TaskFilter, Upkeep};

/// Tasks that one round forgets, and flows that it asks.
const TASKS_A_ROUND: u64 = 1000;
const FLOWS_A_ROUND: u64 = 20;

impl Control {
    /// Forgets ended tasks past the history's length and expired tokens, and asks the buckets of flows that
    /// are Starting (left by a crash) or Misconfigured again, and goes on with the removal of filesets that was
    /// interrupted; forgets deleted pipelines, and looks after instance syncs (every three minutes). Removes what interrupted
    /// tasks left long ago. To be called every few minutes; bounded.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn housekeeping(&self) -> Result<Upkeep> {
        let now = self.now();
        let tokens_forgotten = self.0.store.forget_tokens(now).await?;
        let tasks_forgotten = self.forget_history(now).await?;
        let flows_changed = self.ask_flows_again().await?;
        self.release_again().await?;
        let (pipelines_forgotten, letters_forgotten) = self.forget_ended(now).await?;
        let syncs = self.reconcile_if_due(now).await?;
        self.look_after_dis().await?;
        // Last, since it may walk long, and whatever becomes of it the rest of the upkeep is done.
        let leftovers_removed = match self.sweep_leftovers().await {
            Ok(n) => n,
            Err(e) => {
                tracing::warn!(error = %e, "leftovers could not be looked for");
                0
            }
        };
        Ok(Upkeep {
            tasks_forgotten,
            tokens_forgotten,
            flows_changed,
            pipelines_forgotten,
            letters_forgotten,
            syncs,
            leftovers_removed,
        })
    }

    async fn forget_history(&self, now: Timestamp) -> Result<u64> {
        let days = i64::from(self.0.limits.history_days);
        if days == 0 {
            return Ok(0);
        }
        let end = Timestamp(now.0.saturating_sub(days * 24 * 3600 * 1_000_000));
        let filter = TaskFilter {
            statuses: vec![TaskStatus::Canceled, TaskStatus::Completed, TaskStatus::Failed],
            ended: (None, Some(end)),
            ..Default::default()
        };
        let page = Page { offset: 0, limit: TASKS_A_ROUND, newest_first: false };
        let mut n = 0;
        for task in self.0.store.tasks(&filter, page).await?.0 {
            match self.forget(&task).await {
                Ok(()) => n += 1,
                Err(e) => tracing::warn!(task = %task.id, error = %e, "an old task could not be forgotten"),
            }
        }
        Ok(n)
    }

    /// Deleted pipelines and letters that are done with are kept for a while.
    async fn forget_ended(&self, now: Timestamp) -> Result<(u64, u64)> {
        let kept = i64::try_from(self.0.limits.deleted_pipeline_seconds.saturating_mul(1_000_000));
        let before = Timestamp(now.0.saturating_sub(kept.unwrap_or(i64::MAX)));
        let pipelines = self.0.store.forget_pipelines(before).await?;
        Ok((pipelines, self.0.store.forget_dead(None, before).await?))
    }

    async fn ask_flows_again(&self) -> Result<u64> {
        let filter = FlowFilter {
            statuses: vec![FlowStatus::Starting, FlowStatus::Misconfigured],
            ..Default::default()
        };
        let page = Page { offset: 0, limit: FLOWS_A_ROUND, newest_first: false };
        let mut n = 0;
        for flow in self.0.store.flows(&filter, page).await?.0 {
            match self.probe_flow(&flow).await {
                Ok(after) if after.status != flow.status => n += 1,
                Ok(_) => {}
                Err(e) => tracing::debug!(flow = %flow.id, error = %e, "a flow vanished while it was asked"),
            }
        }
        Ok(n)
    }
}
