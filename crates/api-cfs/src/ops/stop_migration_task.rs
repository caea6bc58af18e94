//! `StopMigrationTask`: a migration that waits or runs comes to rest for good.

use crate::request::Ask;
use crate::translate::{attributes as words, states};
use api::{Field, Operation, Outcome, Reply, Ty};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "StopMigrationTask",
    request: &[Field::new("TaskId", Ty::Str).required()],
    response: &[Field::new("TaskId", Ty::Str), Field::new("Status", Ty::Uint)],
    note: "Answers Status 3 (stopping) as the product does. Only a task in 9 or 2 can be stopped.",
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'t> {
    task_id: &'t str,
    status: u64,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let task = ask.task(p.text("TaskId"), words::MIGRATION, "ResourceNotFound").await?;
    ask.control.cancel_task(&ask.caller, &task.id).await.map_err(|e| ask.fault(&e))?;
    Reply::from_serialize(&Answer { task_id: task.id.as_str(), status: states::MIGRATION_STOPPING })
}
