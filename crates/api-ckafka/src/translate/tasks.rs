//! Tasks: how one is made, and how one is shown.

use super::{attributes as words, ids, states};
use crate::fault;
use crate::request::{Ask, needed, shown_tags};
use crate::shape;
use crate::tables::resources::RESOURCE_SHOWN;
use crate::tables::transforms::{TRANSFORM_PARAM, TRANSFORMS_PARAM};
use api::{Fault, Outcome, Params, Reply};
use control::{NewPipeline, datahub_id};
use model::{EndKind, Pipeline, PipelineEnd};
use serde_json::{Map, Value, json};

/// Bytes of a megabyte, the unit of `SyncThrottleLimit`.
pub const MB: u64 = 1024 * 1024;

/// `TaskName`.
///
/// # Errors
/// `NotAllowedEmpty`, or `InvalidParameterValue` for what is no name.
pub fn name<'p>(request: &Params<'p>) -> Result<&'p str, Fault> {
    let name = needed(request, "", "TaskName")?;
    if ids::is_name(name) {
        return Ok(name);
    }
    Err(fault::value(
        "The parameter `TaskName` must begin with a letter and may have 64 letters, digits, `-`, `.` and `_`.",
    ))
}

/// Makes a task and says how it is called.
///
/// # Errors
/// In the vendor's words.
pub async fn make(ask: &Ask<'_>, new: NewPipeline) -> Outcome {
    let made = ask.control.create_pipeline(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Ok(named(&made))
}

/// `{TaskId, DatahubId}`.
#[must_use]
pub fn named(task: &Pipeline) -> Reply {
    Reply::from(json!({"Result": {"TaskId": task.id.as_str(), "DatahubId": datahub_id(&task.id)}}))
}

/// The fields that an answer about one task and an entry of the list share.
#[must_use]
pub fn shown(ask: &Ask<'_>, task: &Pipeline) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("TaskId", task.id.as_str().into());
    put("TaskName", task.name.as_str().into());
    put("TaskType", states::direction(task.direction).into());
    put("Status", states::task(task.status).into());
    put("SourceResource", resource(task, words::SOURCE_RESOURCE, &task.source));
    put("TargetResource", resource(task, words::TARGET_RESOURCE, &task.sink));
    put("CreateTime", ask.time(task.created).into());
    put("DatahubId", datahub_id(&task.id).into());
    put("ErrorMessage", states::message(task).into());
    put("Description", task.description.as_str().into());
    put("TaskMax", task.lanes.unwrap_or(1).into());
    put("SyncThrottleLimit", task.bytes_per_s.map(|n| n.div_ceil(MB)).into());
    put("AutoExpandFlag", (word(task, words::AUTO_EXPAND) != "false").into());
    put("WarnMessage", "".into());
    fields
}

/// What only the answer about one task has.
pub fn put_details(fields: &mut Map<String, Value>, task: &Pipeline) {
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("Connections", connections(task));
    let transform = json_of(task, words::TRANSFORM).map(|v| shape::complete(TRANSFORM_PARAM, &v));
    put("TransformParam", transform.unwrap_or_default());
    let transforms = json_of(task, words::TRANSFORMS).map(|v| shape::complete(TRANSFORMS_PARAM, &v));
    put("TransformsParam", transforms.unwrap_or_default());
    put("SchemaId", word(task, words::SCHEMA_ID).into());
    put("SchemaName", "".into());
    put("Tags", shown_tags(&task.tags));
    put("IsolateStatus", 1.into());
}

/// What only an entry of the list has.
pub fn put_progress(fields: &mut Map<String, Value>, task: &Pipeline) {
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("TaskProgress", states::progress(task.status).into());
    put("TaskCurrentStep", states::step(task.status).into());
    put("StepList", json!([states::CREATING, states::FINISHED]));
}

/// A resource in the request's own words; a task that was made elsewhere shows its type only.
fn resource(task: &Pipeline, attribute: &str, end: &PipelineEnd) -> Value {
    let own = json_of(task, attribute).unwrap_or_else(|| json!({ "Type": type_of(end) }));
    shape::complete(RESOURCE_SHOWN, &own)
}

fn type_of(end: &PipelineEnd) -> &'static str {
    match end.kind {
        EndKind::Http => "HTTP",
        EndKind::Kafka if end.connection.is_none() => "TOPIC",
        EndKind::Kafka => "KAFKA",
        EndKind::Elastic => "ES",
        EndKind::ClickHouse => "CLICKHOUSE",
        EndKind::Sql => "MYSQL",
        EndKind::Bucket => "COS",
        EndKind::Function => "SCF",
        EndKind::Iceberg => "ICEBERG",
    }
}

/// The topics that a task reads, with its group, or the one that it writes.
fn connections(task: &Pipeline) -> Value {
    let end = if task.source.kind == EndKind::Http { &task.sink } else { &task.source };
    let options: Value = serde_json::from_str(&end.options).unwrap_or_default();
    let one = options.get("topic").and_then(Value::as_str).into_iter();
    let many =
        options.get("topics").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let attribute =
        if task.source.kind == EndKind::Http { words::TARGET_RESOURCE } else { words::SOURCE_RESOURCE };
    let own = json_of(task, attribute).unwrap_or_default();
    let id = ["KafkaParam", "TopicParam"].iter().find_map(|p| own.get(p)?.get("TopicId")?.as_str());
    one.chain(many)
        .map(|topic| {
            json!({"TopicName": topic, "GroupId": task.id.as_str(), "TopicId": id.unwrap_or_default()})
        })
        .collect()
}

fn word<'t>(task: &'t Pipeline, name: &str) -> &'t str {
    task.attributes.get(name).map(String::as_str).unwrap_or_default()
}

fn json_of(task: &Pipeline, name: &str) -> Option<Value> {
    serde_json::from_str(task.attributes.get(name)?).ok()
}
