//! `CancelDataFlowTask`: stops a task that has not ended.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::Page;
use model::{Task, TaskKind, TaskStatus};

use crate::family::Feature;
use crate::fault;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::Request;
use crate::task_view::{LIVE, base_filter};
use crate::translate::task_status;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CancelDataFlowTask",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("TaskId", Ty::Str).required(),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "What was moved stays. A streaming task with subtasks that have not ended is refused \
           (InvalidStatus.ResourceMismatch).",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.require(Feature::DataFlow)?;
        let flow = r.flow(&on).await?;
        let task = r.task_of(&flow, r.required("TaskId")?).await?;
        let task = task.filter(|t| t.kind != TaskKind::StreamFile).ok_or_else(fault::task_not_found)?;
        cancellable(&task)?;
        if task.kind == TaskKind::Stream && has_live_subtasks(r, &task).await? {
            return Err(fault::subtasks_running());
        }
        if !r.dry_run() {
            r.control().cancel_task(&r.caller, &task.id).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}

/// Only what waits or runs can be cancelled.
///
/// # Errors
/// `OperationDenied.InvalidState`.
pub fn cancellable(task: &Task) -> Result<(), Fault> {
    if task.status.is_final() || task.status == TaskStatus::Canceling {
        return Err(fault::state(&format!("the task is {}", task_status(task.status))));
    }
    Ok(())
}

async fn has_live_subtasks(r: &Request<'_>, stream: &Task) -> Result<bool, Fault> {
    let mut filter = base_filter(&[TaskKind::StreamFile]);
    filter.parent = Some(stream.id.clone());
    filter.statuses = LIVE.to_vec();
    let page = Page { offset: 0, limit: 1, newest_first: true };
    let (_, live) = r.control().tasks(&r.caller, &filter, page).await.map_err(|e| fault::of(&e))?;
    Ok(live > 0)
}
