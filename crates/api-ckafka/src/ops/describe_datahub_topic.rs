//! `DescribeDatahubTopic`: one topic, with the address, user and password that clients need.

use super::create_datahub_topic::name;
use crate::request::Ask;
use crate::translate::states;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDatahubTopic",
    request: &[Field::new("Name", Ty::Str).required()],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "UserName and Password were made up with the topic; this is the one answer that has a password, as with the product.",
};

const RESULT: &[Field] = &[
    Field::new("Name", Ty::Str),
    Field::new("TopicName", Ty::Str),
    Field::new("TopicId", Ty::Str),
    Field::new("PartitionNum", Ty::Uint),
    Field::new("RetentionMs", Ty::Uint),
    Field::new("Note", Ty::Str),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str),
    Field::new("Status", Ty::Uint).stored("always 1: in use"),
    Field::new("Address", Ty::Str),
];

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let found = ask.control.topic(&ask.caller, name(&p)?).await.map_err(|e| ask.fault(&e))?;
    let password = ask.control.topic_password(&found).map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"Result": {
        "Name": found.name, "TopicName": found.name, "TopicId": found.id, "PartitionNum": found.partitions,
        "RetentionMs": found.retention_ms, "Note": found.note, "UserName": found.user, "Password": password,
        "Status": states::TOPIC_IN_USE, "Address": ask.control.topic_address()
    }})))
}
