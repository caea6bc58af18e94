//! `DeleteDatahubTask`.

use crate::request::Ask;
use crate::tables::{TASK_ID, TASK_MADE};
use crate::translate::tasks;
use api::{Operation, Outcome, Params};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteDatahubTask",
    request: TASK_ID,
    response: TASK_MADE,
    note: "Ends a task. It is readable for a day, with Status 3.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let id = ask.task_id(p.text("TaskId"))?;
    let task = ask.control.delete_pipeline(&ask.caller, &id).await.map_err(|e| ask.fault(&e))?;
    Ok(tasks::named(&task))
}
