//! `POST /v2/{project_id}/apps`: an application that reads streams.

use super::done;
use crate::fault::refuse;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Params, Ty};
use control::ErrorKind;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateApp",
    request: &[Field::new("app_name", Ty::Str).required()],
    response: &[],
    note: "",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let made = ask.control.create_dis_app(&ask.caller, p.text("app_name")).await;
    made.map_err(|e| match e.kind {
        ErrorKind::LimitExceeded => refuse("DIS.4329", "app quota exceeded."),
        _ => ask.fault(&e),
    })?;
    Ok(done(201))
}
