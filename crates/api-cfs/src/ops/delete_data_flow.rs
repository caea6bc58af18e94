//! `DeleteDataFlow`: removes the binding. Files and objects stay where they are.

use crate::fault::{self, refuse};
use crate::request::Ask;
use api::{Field, Operation, Outcome, Reply, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteDataFlow",
    request: &[Field::new("DataFlowId", Ty::Str).required(), Field::new("FileSystemId", Ty::Str)],
    response: &[],
    note: "Removes neither files nor objects. Refused while a task of the flow has not ended.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let file_system = p.str("FileSystemId");
    if file_system == Some("") {
        return Err(refuse(fault::MISSING_FILE_SYSTEM_ID, "The FileSystemId is empty."));
    }
    let flow = ask.flow(p.text("DataFlowId"), file_system).await?;
    ask.control.delete_flow(&ask.caller, &flow.id).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
