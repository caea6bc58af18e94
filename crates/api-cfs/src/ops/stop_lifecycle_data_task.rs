//! `StopLifecycleDataTask`: a task that waits or runs comes to rest for good.

use crate::fault::{self, refuse};
use crate::request::Ask;
use crate::translate::{attributes as words, ids};
use api::{Field, Operation, Outcome, Reply, Ty};
use model::TaskStatus;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "StopLifecycleDataTask",
    request: &[Field::new("TaskId", Ty::Str).required()],
    response: &[],
    note: "What was moved stays. Stopping a task that is stopping already is no error; one that has ended is.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let id = p.text("TaskId");
    if !ids::is_lifecycle_id(id) {
        return Err(refuse(fault::TASK_ID, "The TaskId must have the form task-xxxxxxxxxxxxxxxx."));
    }
    let task = ask.task(id, words::LIFECYCLE, fault::TASK_ID).await?;
    if task.status != TaskStatus::Canceling {
        ask.control.cancel_task(&ask.caller, &task.id).await.map_err(|e| ask.fault(&e))?;
    }
    Ok(Reply::empty())
}
