//! `CreateMetaSyncDatahubTask`: topic definitions of one Kafka cluster, copied to another. What the three instance syncs share
//! stands here too.

use crate::fault;
use crate::request::{Ask, description, needed, tags};
use crate::tables::{TAG, TASK_MADE};
use crate::translate::{attributes as words, ends, tasks};
use api::{Fault, Field, Operation, Outcome, Params, Ty};
use control::{NewPipeline, SyncKind};
use model::{OnFailure, PipelineDirection};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateMetaSyncDatahubTask",
    request: &[
        Field::new("TaskName", Ty::Str).required(),
        Field::new("SourceResourceId", Ty::Str).required(),
        Field::new("TargetResourceId", Ty::Str).required(),
        Field::new("Description", Ty::Str),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    ],
    response: TASK_MADE,
    note: "All topics of the source cluster that are not its own.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    create(ask, &OPERATION, SyncKind::Meta).await
}

/// Makes an instance sync.
///
/// # Errors
/// In the vendor's words.
pub async fn create(ask: &Ask<'_>, operation: &Operation, kind: SyncKind) -> Outcome {
    let v = ask.read(operation)?;
    let p = Params::unchecked(&v, false);
    let name = tasks::name(&p)?;
    let (from, to) = (needed(&p, "", "SourceResourceId")?, needed(&p, "", "TargetResourceId")?);
    for (field, id) in [("SourceResourceId", from), ("TargetResourceId", to)] {
        cluster(ask, field, id).await?;
    }
    if from == to {
        return Err(fault::value(
            "The parameters `SourceResourceId` and `TargetResourceId` name the same cluster.",
        ));
    }
    let new = NewPipeline {
        name: name.to_owned(),
        description: description(&p)?.to_owned(),
        direction: PipelineDirection::Source,
        source: ends::sync_source(&p, from)?,
        sink: ends::sync_sink(&p, to)?,
        transform: None,
        on_failure: OnFailure::Block,
        on_refusal: OnFailure::Block,
        lanes: None,
        bytes_per_s: None,
        records_per_s: None,
        sync: Some(kind),
        attributes: attributes(&p, (from, to), kind),
        tags: tags(&p, fault::VALUE)?,
    };
    tasks::make(ask, new).await
}

/// Both ends are connections, which each of the three lists of codes calls differently when they are missing.
async fn cluster(ask: &Ask<'_>, field: &str, id: &str) -> Result<(), Fault> {
    let found = if id.len() <= crate::request::MAX_ID { ask.find_connection(id).await? } else { None };
    match found {
        None => {
            let code = ask.fault(&control::Error::not_found(control::Noun::Connection, "")).code;
            Err(Fault::tencent(code, format!("The parameter `{field}` names no connection.")))
        }
        Some(c) if c.kind == Some(model::EndKind::Kafka) => Ok(()),
        Some(c) => Err(fault::value(format!(
            "The parameter `{field}` names a connection of {}, not of Kafka.",
            c.product
        ))),
    }
}

/// The request as the resources that a description shows.
fn attributes(p: &Params<'_>, (from, to): (&str, &str), kind: SyncKind) -> BTreeMap<String, String> {
    let word = match kind {
        SyncKind::Meta => "META_SYNC_INSTANCE_TYPE",
        SyncKind::MetaAndData | SyncKind::MetaDataAndOffset => "META_AND_DATA_SYNC_INSTANCE_TYPE",
    };
    let shown = |id: &str, names: &[&str]| {
        let mut param = Map::new();
        param.insert("SelfBuilt".to_owned(), true.into());
        param.insert("Resource".to_owned(), id.into());
        param.insert("ConnectorSyncType".to_owned(), word.into());
        for name in names {
            if let Some(value) = p.get(name) {
                param.insert((*name).to_owned(), value.clone());
            }
        }
        json!({"Type": "KAFKA", "KafkaParam": Value::Object(param)}).to_string()
    };
    let mut found = BTreeMap::new();
    let mut put = |name: &str, value: String| found.insert(name.to_owned(), value);
    put(words::SOURCE_RESOURCE, shown(from, &["OffsetType", "TopicRegularExpression", "TopicList"]));
    put(words::TARGET_RESOURCE, shown(to, &["Prefix", "Separator"]));
    put(words::SOURCE_TYPE, "KAFKA".to_owned());
    put(words::TARGET_TYPE, "KAFKA".to_owned());
    put(words::SOURCE, from.to_owned());
    put(words::TARGET, to.to_owned());
    found
}
