//! `RestartDatahubTask`.

use crate::request::Ask;
use crate::tables::{TASK_ID, TASK_MADE};
use crate::translate::tasks;
use api::{Operation, Outcome, Params};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "RestartDatahubTask",
    request: TASK_ID,
    response: TASK_MADE,
    note: "Builds a running task's ends anew, in place, and forgets what was in its way. Positions are kept.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let id = ask.task_id(p.text("TaskId"))?;
    let task = ask.control.restart_pipeline(&ask.caller, &id).await.map_err(|e| ask.fault(&e))?;
    Ok(tasks::named(&task))
}
