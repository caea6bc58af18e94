//! `DeleteDatahubTopic`: removes a topic with its records and its user.

use super::create_datahub_topic::name;
use super::modify_datahub_topic::operated;
use crate::request::Ask;
use crate::tables::OPERATED;
use api::{Field, Operation, Outcome, Params, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteDatahubTopic",
    request: &[Field::new("Name", Ty::Str).required()],
    response: OPERATED,
    note: "ResourceInUse while a task reads or writes it.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    ask.control.delete_topic(&ask.caller, name(&p)?).await.map_err(|e| ask.fault(&e))?;
    Ok(operated())
}
