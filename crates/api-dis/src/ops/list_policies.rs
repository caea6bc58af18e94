//! `GET /v2/{project_id}/streams/{stream_name}/policies`: who else may use a stream.

use crate::request::Ask;
use api::{Field, Operation, Outcome, Reply, Ty};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ListPolicies",
    request: &[Field::new("stream_name", Ty::Str).required()],
    response: &[Field::new("stream_id", Ty::Str), Field::new("rules", Ty::List(&Ty::Object(RULE)))],
    note: "A stream is its account's alone and the API can't make rules, so there is none.",
};

const NONE: &str = "there is no rule";

const RULE: &[Field] = &[
    Field::new("principal", Ty::Str).stored(NONE),
    Field::new("principal_name", Ty::Str).stored(NONE),
    Field::new("action_type", Ty::Str).stored(NONE),
    Field::new("effect", Ty::Str).stored(NONE),
];

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    ask.read(&OPERATION, &[])?;
    let s = ask.stream(ask.name("stream_name")).await?;
    Ok(Reply::from(json!({ "stream_id": s.id.as_str(), "rules": [] })))
}
