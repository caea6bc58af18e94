//! `DeleteMigrationTask`: forgets a migration that has ended. What it moved stays.

use crate::fault::refuse;
use crate::request::Ask;
use crate::translate::attributes as words;
use api::{Field, Operation, Outcome, Reply, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteMigrationTask",
    request: &[Field::new("TaskId", Ty::Str).required()],
    response: &[],
    note: "Forgets the task, its receipt and its lists. Refused until the task has ended.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let task = ask.task(p.text("TaskId"), words::MIGRATION, "ResourceNotFound").await?;
    if !task.status.is_final() {
        return Err(refuse("ResourceInUse", "The task has not ended; stop it first."));
    }
    ask.control.delete_task(&ask.caller, &task.id).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
