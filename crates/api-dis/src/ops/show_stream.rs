//! `GET /v2/{project_id}/streams/{stream_name}`: a stream with a page of its partitions.

use super::list_streams::tags;
use crate::records::partitions;
use crate::request::{Ask, limit};
use crate::tables::{CSV_PROPERTIES, PARTITION, TAGS};
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use control::PartitionEnds;
use model::{DisPartition, DisStream, PartitionChange, PartitionState, Timestamp};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowStream",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("start_partitionId", Ty::Str),
        Field::new("limit_partitions", Ty::Int),
    ],
    response: &[
        Field::new("stream_name", Ty::Str),
        Field::new("create_time", Ty::Int),
        Field::new("last_modified_time", Ty::Int),
        Field::new("status", Ty::Str),
        Field::new("stream_type", Ty::Str),
        Field::new("partitions", Ty::List(&Ty::Object(PARTITION))),
        Field::new("has_more_partitions", Ty::Bool),
        Field::new("retention_period", Ty::Int),
        Field::new("stream_id", Ty::Str),
        Field::new("data_type", Ty::Str),
        Field::new("data_schema", Ty::Str),
        Field::new("compression_format", Ty::Str),
        Field::new("csv_properties", Ty::Object(CSV_PROPERTIES)),
        Field::new("writable_partition_count", Ty::Int),
        Field::new("readable_partition_count", Ty::Int),
        Field::new("update_partition_counts", Ty::List(&Ty::Object(CHANGE))),
        Field::new("tags", TAGS),
        Field::new("sys_tags", TAGS),
        Field::new("auto_scale_enabled", Ty::Bool),
        Field::new("auto_scale_min_partition_count", Ty::Int),
        Field::new("auto_scale_max_partition_count", Ty::Int),
    ],
    note: "A `sequence_number_range` has the first record that is kept and the number that the next one will have.",
};

const CHANGE: &[Field] = &[
    Field::new("create_timestamp", Ty::Int),
    Field::new("src_partition_count", Ty::Int),
    Field::new("target_partition_count", Ty::Int),
    Field::new("result_code", Ty::Int).stored("always 0: a change that failed is not remembered"),
    Field::new("result_msg", Ty::Int).stored("always 0"),
    Field::new("auto_scale", Ty::Bool),
];

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream_id"])?;
    let p = Params::unchecked(&given.fields, true);
    let limit = limit(p.i64("limit_partitions"), 100, 1000)?;
    let s = match (ask.stream(p.text("stream_name")).await, given.extra("stream_id")) {
        (Err(_), Some(id)) => ask.stream(id).await?,
        (found, _) => found?,
    };
    let start = match p.text("start_partitionId") {
        "" => None,
        given => Some(partitions::number(given)?),
    };
    let ends = match s.status {
        model::DisStatus::Running => ask.control.dis_ends(&s).await.map_err(|e| ask.fault(&e))?,
        _ => Vec::new(),
    };
    let rest: Vec<_> = s.partitions.iter().filter(|p| start.is_none_or(|start| p.index > start)).collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    let shown: Vec<Value> = page.iter().map(|p| partition(&s, p, &ends, ask.now())).collect();
    Ok(Reply::from(view(&s, &shown, rest.len() > page.len(), ask.now())))
}

fn view(s: &DisStream, partitions: &[Value], has_more: bool, now: Timestamp) -> Value {
    let state = |wanted| s.partitions.iter().filter(|p| s.state_of(p, now) == wanted).count();
    let (active, deleted) = (state(PartitionState::Active), state(PartitionState::Deleted));
    let mut view = json!({
        "stream_id": s.id.as_str(),
        "stream_name": s.name,
        "create_time": s.created.0.div_euclid(1000),
        "last_modified_time": s.modified.0.div_euclid(1000),
        "status": s.status.name(),
        "stream_type": s.kind.name(),
        "data_type": s.data.name(),
        "retention_period": s.retention_hours,
        "partitions": partitions,
        "has_more_partitions": has_more,
        "writable_partition_count": active,
        "readable_partition_count": active + deleted,
        "update_partition_counts": s.changes.iter().map(change).collect::<Vec<_>>(),
        "tags": tags(&s.tags),
        "sys_tags": tags(&s.system_tags),
        "auto_scale_enabled": s.auto_scale.enabled,
        "auto_scale_min_partition_count": s.auto_scale.least,
        "auto_scale_max_partition_count": s.auto_scale.most,
    });
    let some = [("data_schema", &s.schema), ("compression_format", &s.compression)];
    for (name, value) in some {
        if let Some(value) = value {
            view[name] = json!(value);
        }
    }
    if let Some(delimiter) = &s.csv_delimiter {
        view["csv_properties"] = json!({ "delimiter": delimiter });
    }
    view
}

fn change(c: &PartitionChange) -> Value {
    json!({
        "create_timestamp": c.at.0.div_euclid(1000),
        "src_partition_count": c.from,
        "target_partition_count": c.to,
        "result_code": 0,
        "result_msg": 0,
        "auto_scale": c.auto,
    })
}

fn partition(s: &DisStream, p: &DisPartition, ends: &[PartitionEnds], now: Timestamp) -> Value {
    let at = ends.iter().find(|e| u32::try_from(e.partition) == Ok(p.index));
    let (first, next) = at.map_or((0, 0), |e| (e.first, e.next));
    let parents: Vec<String> = p.parents.iter().map(|n| partitions::name(*n)).collect();
    json!({
        "partition_id": partitions::name(p.index),
        "status": s.state_of(p, now).name(),
        "hash_range": format!("[{} : {}]", p.first_hash, p.last_hash),
        "sequence_number_range": format!("[{first} : {next}]"),
        "parent_partitions": parents.join(","),
    })
}
