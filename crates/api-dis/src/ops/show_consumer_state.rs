//! `GET /v2/{project_id}/apps/{app_name}/streams/{stream_name}`: how far an application has read each partition.

use super::commit_checkpoint::checkpoint_type;
use crate::records::partitions;
use crate::request::{Ask, limit};
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use model::DisStatus;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowConsumerState",
    request: &[
        Field::new("app_name", Ty::Str).required(),
        Field::new("stream_name", Ty::Str).required(),
        Field::new("limit", Ty::Int),
        Field::new("start_partition_id", Ty::Str),
        Field::new("checkpoint_type", Ty::Str).required(),
    ],
    response: &[
        Field::new("has_more", Ty::Bool),
        Field::new("stream_name", Ty::Str),
        Field::new("app_name", Ty::Str),
        Field::new("partition_consuming_states", Ty::List(&Ty::Object(STATE))),
    ],
    note: "A partition without a checkpoint has the sequence_number `-1`.",
};

const STATE: &[Field] = &[
    Field::new("partition_id", Ty::Str),
    Field::new("sequence_number", Ty::Str),
    Field::new("latest_offset", Ty::Int),
    Field::new("earliest_offset", Ty::Int),
    Field::new("checkpoint_type", Ty::Str),
    Field::new("status", Ty::Str),
];

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream_id"])?;
    let p = Params::unchecked(&given.fields, true);
    checkpoint_type(&p)?;
    let limit = limit(p.i64("limit"), 100, 1000)?;
    // `0` is also what the older SDK sends for the beginning; its own partition belongs to the answer then.
    let start = match p.text("start_partition_id") {
        "" | "0" => None,
        given => Some(partitions::number(given)?),
    };
    let app = ask.control.dis_app(&ask.caller, p.text("app_name")).await.map_err(|e| ask.fault(&e))?;
    let s = ask.stream(p.text("stream_name")).await?;
    let read = ask.control.dis_checkpoints(&app, &s).await.map_err(|e| ask.fault(&e))?;
    let ends = match s.status {
        DisStatus::Running => ask.control.dis_ends(&s).await.map_err(|e| ask.fault(&e))?,
        _ => Vec::new(),
    };
    let rest: Vec<_> = s.partitions.iter().filter(|p| start.is_none_or(|start| p.index > start)).collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    let state = |p: &&model::DisPartition| -> Value {
        let at = ends.iter().find(|e| u32::try_from(e.partition) == Ok(p.index));
        let (first, next) = at.map_or((0, 0), |e| (e.first, e.next));
        let read = read.iter().find(|c| c.partition == p.index).map_or(-1, |c| c.sequence);
        json!({
            "partition_id": partitions::name(p.index),
            "sequence_number": read.to_string(),
            "latest_offset": next,
            "earliest_offset": first,
            "checkpoint_type": "LAST_READ",
            "status": s.state_of(p, ask.now()).name(),
        })
    };
    Ok(Reply::from(json!({
        "has_more": rest.len() > page.len(),
        "stream_name": s.name,
        "app_name": app.name,
        "partition_consuming_states": page.iter().map(state).collect::<Vec<_>>(),
    })))
}
