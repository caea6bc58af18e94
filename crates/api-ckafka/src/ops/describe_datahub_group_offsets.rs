//! `DescribeDatahubGroupOffsets`: where a consumer group stands in a topic.

use super::create_datahub_topic::name;
use crate::fault::{PARAMETER, refuse};
use crate::request::{Ask, given, page};
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDatahubGroupOffsets",
    request: &[
        Field::new("Name", Ty::Str).required(),
        Field::new("Group", Ty::Str).required(),
        Field::new("SearchWord", Ty::Str),
        Field::new("Offset", Ty::Int),
        Field::new("Limit", Ty::Int),
    ],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "A task's group has the task's identifier. Offset and Limit count topics, of which there is one; Offset is -1 in a \
           partition where the group has committed nothing.",
};

const RESULT: &[Field] =
    &[Field::new("TotalCount", Ty::Int), Field::new("TopicList", Ty::List(&Ty::Object(TOPIC)))];

const TOPIC: &[Field] =
    &[Field::new("Topic", Ty::Str), Field::new("Partitions", Ty::List(&Ty::Object(PARTITION)))];

const PARTITION: &[Field] = &[
    Field::new("Partition", Ty::Int),
    Field::new("Offset", Ty::Int),
    Field::new("Metadata", Ty::Str),
    Field::new("ErrorCode", Ty::Int).stored("always 0: an error is the whole answer's"),
    Field::new("LogEndOffset", Ty::Int),
    Field::new("Lag", Ty::Int),
];

/// Bytes of a group's name at most.
const MAX_GROUP: usize = 249;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let (topic, group) = (name(&p)?, p.text("Group"));
    let page = page(&p, 50, 50, PARAMETER)?;
    if group.is_empty() || group.len() > MAX_GROUP {
        return Err(refuse(
            PARAMETER,
            format!("The parameter `Group` must have 1 to {MAX_GROUP} characters."),
        ));
    }
    let found = ask.control.group_offsets(&ask.caller, topic, group).await.map_err(|e| ask.fault(&e))?;
    let matches = given(&p, "SearchWord").is_none_or(|word| topic.contains(word));
    let partitions: Vec<Value> = found
        .iter()
        .map(|o| {
            json!({"Partition": o.partition, "Offset": o.offset.unwrap_or(-1), "Metadata": o.metadata,
                "ErrorCode": 0, "LogEndOffset": o.end, "Lag": o.lag()})
        })
        .collect();
    let mut list = Vec::new();
    if matches && page.offset == 0 {
        list.push(json!({"Topic": topic, "Partitions": partitions}));
    }
    Ok(Reply::from(json!({"Result": {"TotalCount": u8::from(matches), "TopicList": list}})))
}
