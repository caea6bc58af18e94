//! `DeleteConnectResource`: forgets a connection that no task uses.

use super::modify_connect_resource::resource_id;
use crate::request::Ask;
use crate::tables::RESOURCE_ID;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteConnectResource",
    request: &[Field::new("ResourceId", Ty::Str).required()],
    response: RESOURCE_ID,
    note: "FailedOperation while a task uses it.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let id = resource_id(ask, &Params::unchecked(&v, false))?;
    ask.control.delete_connection(&ask.caller, &id).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"Result": {"ResourceId": id.as_str()}})))
}
