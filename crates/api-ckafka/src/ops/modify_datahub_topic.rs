//! `ModifyDatahubTopic`: retention, note and tags of a topic.

use super::create_datahub_topic::{name, note, retention};
use crate::fault::PARAMETER;
use crate::request::{Ask, tags};
use crate::tables::{OPERATED, TAG};
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use control::TopicChange;
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ModifyDatahubTopic",
    request: &[
        Field::new("Name", Ty::Str).required(),
        Field::new("RetentionMs", Ty::Int).required(),
        Field::new("Note", Ty::Str),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    ],
    response: OPERATED,
    note: "Tags, where they are given, replace all of the topic's.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let change = TopicChange {
        note: if p.has("Note") { Some(note(&p)?.to_owned()) } else { None },
        retention_ms: Some(retention(&p)?),
        partitions: None,
        tags: if p.has("Tags") { Some(tags(&p, PARAMETER)?) } else { None },
    };
    ask.control.change_topic(&ask.caller, name(&p)?, change).await.map_err(|e| ask.fault(&e))?;
    Ok(operated())
}

/// The answer of what changes or removes a topic.
#[must_use]
pub fn operated() -> Reply {
    Reply::from(json!({"Result": {"ReturnCode": "0", "ReturnMessage": "ok",
        "Data": {"FlowId": 0, "RouteDTO": null}}}))
}
