//! `DELETE /v2/{project_id}/apps/{app_name}`: an application goes.

use super::done;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteApp",
    request: &[Field::new("app_name", Ty::Str).required()],
    response: &[],
    note: "An application is in use (DIS.4331) as long as it has a checkpoint of a stream.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    ask.read(&OPERATION, &[])?;
    let name = ask.name("app_name");
    ask.control.delete_dis_app(&ask.caller, name).await.map_err(|e| ask.fault(&e))?;
    Ok(done(204))
}
