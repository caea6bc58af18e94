//! `GET /v2/{project_id}/streams`: the account's streams by name.

use crate::request::{Ask, limit};
use crate::tables::TAGS;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use model::DisStream;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ListStreams",
    request: &[Field::new("limit", Ty::Int), Field::new("start_stream_name", Ty::Str)],
    response: &[
        Field::new("total_number", Ty::Int),
        Field::new("stream_names", Ty::List(&Ty::Str)),
        Field::new("has_more_streams", Ty::Bool),
        Field::new("stream_info_list", Ty::List(&Ty::Object(INFO))),
    ],
    note: "`start_stream_name` itself is not in the answer. Each `stream_info_list[]` also has its `stream_id`, as with the product.",
};

const INFO: &[Field] = &[
    Field::new("stream_name", Ty::Str),
    Field::new("create_time", Ty::Int),
    Field::new("retention_period", Ty::Int),
    Field::new("status", Ty::Str),
    Field::new("stream_type", Ty::Str),
    Field::new("data_type", Ty::Str),
    Field::new("partition_count", Ty::Int),
    Field::new("auto_scale_enabled", Ty::Bool),
    Field::new("auto_scale_min_partition_count", Ty::Int),
    Field::new("auto_scale_max_partition_count", Ty::Int),
    Field::new("tags", TAGS),
    Field::new("sys_tags", TAGS),
];

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let limit = limit(p.i64("limit"), 10, 100)?;
    let all = ask.control.dis_streams(&ask.caller).await.map_err(|e| ask.fault(&e))?;
    let start = p.text("start_stream_name");
    let rest: Vec<_> = all.iter().filter(|s| start.is_empty() || s.name.as_str() > start).collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    Ok(Reply::from(json!({
        "total_number": all.len(),
        "stream_names": page.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
        "has_more_streams": rest.len() > page.len(),
        "stream_info_list": page.iter().map(|s| info(s)).collect::<Vec<_>>(),
    })))
}

fn info(s: &DisStream) -> Value {
    json!({
        "stream_id": s.id.as_str(),
        "stream_name": s.name,
        "create_time": s.created.0.div_euclid(1000),
        "retention_period": s.retention_hours,
        "status": s.status.name(),
        "stream_type": s.kind.name(),
        "data_type": s.data.name(),
        "partition_count": s.open_count(),
        "auto_scale_enabled": s.auto_scale.enabled,
        "auto_scale_min_partition_count": s.auto_scale.least,
        "auto_scale_max_partition_count": s.auto_scale.most,
        "tags": tags(&s.tags),
        "sys_tags": tags(&s.system_tags),
    })
}

/// Tags, as shown.
pub fn tags(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}
