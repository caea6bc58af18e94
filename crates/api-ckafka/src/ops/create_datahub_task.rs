//! `CreateDatahubTask`: a standing flow of records from one end through a transform to another.
//!
//! Names are looked up and everything is checked before the task is stored; whether the other systems can be reached is
//! seen when the task runs, and stands in its `ErrorMessage`.

use crate::fault;
use crate::request::{Ask, description, given, needed, tags};
use crate::shape;
use crate::tables::resources::RESOURCE;
use crate::tables::transforms::{TRANSFORM_PARAM, TRANSFORMS_PARAM};
use crate::tables::{PRIVATE_LINK, PRIVATE_LINK_NOTE, TAG, TASK_MADE};
use crate::translate::ends::{self, Resource, Sink, Source};
use crate::translate::{attributes as words, states, tasks, transforms};
use api::{Fault, Field, Operation, Outcome, Params, Ty};
use control::{NewPipeline, SyncKind};
use model::OnFailure;
use serde_json::Value;
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateDatahubTask",
    request: &[
        Field::new("TaskName", Ty::Str).required(),
        Field::new("TaskType", Ty::Str).required(),
        Field::new("SourceResource", Ty::Object(RESOURCE)),
        Field::new("TargetResource", Ty::Object(RESOURCE)),
        Field::new("TransformParam", Ty::Object(TRANSFORM_PARAM)),
        Field::new("PrivateLinkParam", Ty::Object(PRIVATE_LINK)).stored(PRIVATE_LINK_NOTE),
        Field::new("SchemaId", Ty::Str)
            .stored("kept and shown; there is no schema registry to check records by"),
        Field::new("TransformsParam", Ty::Object(TRANSFORMS_PARAM)),
        Field::new("TaskId", Ty::Str)
            .stored("ignored; it names a failed creation, and here none is left behind"),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
        Field::new("Description", Ty::Str),
    ],
    response: TASK_MADE,
    note: "Sources that run: HTTP, KAFKA, TOPIC. Destinations that run: KAFKA, TOPIC, ES, CLICKHOUSE, COS, SCF, EB, EB_ES, \
           EB_COS, and the MYSQL, MARIADB and POSTGRESQL families. Other types of the product are FailedOperation.",
};

/// Bytes of an identifier of a schema at most.
const MAX_SCHEMA_ID: usize = 128;
/// Fields of a resource that are secrets.
const SECRETS: [&str; 2] = ["Password", "GroupPassword"];

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let name = tasks::name(&p)?;
    let direction = states::read_direction(needed(&p, "", "TaskType")?)
        .ok_or_else(|| fault::value("The parameter `TaskType` must be SOURCE or SINK."))?;
    let from = Resource::of(&p, "SourceResource")?;
    let to = Resource::of(&p, "TargetResource")?;
    let source = ends::source(ask, from, direction).await?;
    let sink = ends::sink(ask, to, direction, from.kind).await?;
    let sync = sync(&from, &to, &source, &sink)?;
    let transform = transforms::read(ask, &p).await?;
    let attributes = attributes(ask, &p, &source, &sink).await?;
    let new = NewPipeline {
        name: name.to_owned(),
        description: description(&p)?.to_owned(),
        direction,
        transform: transform.text,
        on_failure: transform.on_failure,
        on_refusal: refusal(&source, &sink),
        lanes: None,
        bytes_per_s: None,
        records_per_s: least(source.records_per_s, sink.records_per_s),
        source: source.end,
        sink: sink.end,
        sync,
        attributes,
        tags: tags(&p, fault::VALUE)?,
    };
    tasks::make(ask, new).await
}

/// Either end may ask for records to be kept aside.
fn refusal(source: &Source, sink: &Sink) -> OnFailure {
    if source.tolerant && sink.on_refusal == OnFailure::Block {
        ends::kept()
    } else {
        sink.on_refusal.clone()
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// `ConnectorSyncType` on either end makes it an instance sync, which has Kafka on both.
fn sync(
    from: &Resource<'_>,
    to: &Resource<'_>,
    source: &Source,
    sink: &Sink,
) -> Result<Option<SyncKind>, Fault> {
    let kind = source.sync.or(sink.sync);
    if kind.is_some() && (from.kind, to.kind) != ("KAFKA", "KAFKA") {
        return Err(fault::value("An instance sync has the Type KAFKA on both ends."));
    }
    Ok(kind)
}

async fn attributes(
    ask: &Ask<'_>,
    p: &Params<'_>,
    source: &Source,
    sink: &Sink,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut found = BTreeMap::new();
    let mut put = |name: &str, value: String| found.insert(name.to_owned(), value);
    for (field, attribute, kind, name, word) in [
        ("SourceResource", words::SOURCE_RESOURCE, words::SOURCE_TYPE, words::SOURCE, &source.word),
        ("TargetResource", words::TARGET_RESOURCE, words::TARGET_TYPE, words::TARGET, &sink.word),
    ] {
        let mut own = p.get(field).cloned().unwrap_or_default();
        shape::without(&mut own, &SECRETS);
        put(kind, own.get("Type").and_then(Value::as_str).unwrap_or_default().to_owned());
        name_topic(ask, &mut own).await;
        put(attribute, own.to_string());
        if !word.is_empty() {
            put(name, word.clone());
        }
    }
    for (field, attribute) in [("TransformParam", words::TRANSFORM), ("TransformsParam", words::TRANSFORMS)] {
        if let Some(own) = p.get(field) {
            put(attribute, own.to_string());
        }
    }
    if let Some(schema) = given(p, "SchemaId") {
        if schema.len() > MAX_SCHEMA_ID {
            return Err(fault::value(format!("The parameter `SchemaId` may have {MAX_SCHEMA_ID} bytes.")));
        }
        put(words::SCHEMA_ID, schema.to_owned());
    }
    Ok(found)
}

/// `TopicParam.TopicId` is the product's to say.
async fn name_topic(ask: &Ask<'_>, resource: &mut Value) {
    let Some(param) = resource.get_mut("TopicParam").and_then(Value::as_object_mut) else { return };
    let name = param.get("Resource").and_then(Value::as_str).unwrap_or_default();
    if let Ok(topic) = ask.control.topic(&ask.caller, name).await {
        param.insert("TopicId".to_owned(), topic.id.into());
    }
}
