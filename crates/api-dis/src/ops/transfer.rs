//! Dump ("transfer") tasks: `CreateObsTransferTask`, `UpdateTransferTask`, `ListTransferTasks`, `ShowTransferTask`,
//! `DeleteTransferTask`, `BatchStartTransferTask`, `BatchStopTransferTask`.
//!
//! `descriptor` reads what a request says of a destination and makes the ends of a dump of it; `tables` has the fields.

mod descriptor;
mod tables;

use super::done;
use crate::fault::{self, invalid, refuse};
use crate::records::partitions;
use crate::request::Ask;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{DumpPart, Error, ErrorKind, Noun};
use descriptor::Wanted;
use model::{DisStream, Pipeline, PipelineStatus};
use serde_json::{Value, json};

/// Dump tasks of a stream.
const QUOTA: u32 = 5;
/// Tasks of one batch at most.
const MOST: usize = 100;
/// Attributes of a dump: the product's word for its destination, and the descriptor as it was given.
const TYPE: &str = "dis.type";
const DESCRIPTOR: &str = "dis.descriptor";

const STREAM: Field = Field::new("stream_name", Ty::Str).required();
const TASK: Field = Field::new("task_name", Ty::Str).required();

/// Fields of `CreateObsTransferTask`.
pub const CREATE: Operation = Operation {
    action: "CreateObsTransferTask",
    request: tables::CREATE,
    response: &[],
    note: "OBS and DLI run; what is written to MRS, DWS and CloudTable is checked and answered with `DIS.4605`. See docs/dump.md.",
};

/// Fields of `UpdateTransferTask`.
pub const UPDATE: Operation = Operation {
    action: "UpdateTransferTask",
    request: tables::CREATE,
    response: &[],
    note: "Older SDKs only. The descriptor replaces the task's; its kind of destination and its positions stay.",
};

/// Fields of `ListTransferTasks`.
pub const LIST: Operation = Operation {
    action: "ListTransferTasks",
    request: &[STREAM],
    response: &[
        Field::new("total_number", Ty::Int),
        Field::new("quota", Ty::Int),
        Field::new("tasks", Ty::List(&Ty::Object(tables::TASK))),
    ],
    note: "Each task also has its `task_id`; older SDKs find the list in `details`.",
};

/// Fields of `ShowTransferTask`.
pub const SHOW: Operation = Operation {
    action: "ShowTransferTask",
    request: &[STREAM, TASK],
    response: tables::SHOWN,
    note: "`partitions[].discard` counts records that were put into the error directory. Passwords are never returned.",
};

/// Fields of `DeleteTransferTask`.
pub const DELETE: Operation = Operation {
    action: "DeleteTransferTask",
    request: &[STREAM, TASK],
    response: &[],
    note: "Its files stay.",
};

/// Fields of `BatchStartTransferTask`.
pub const START: Operation = Operation {
    action: "BatchStartTransferTask",
    request: tables::BATCH,
    response: &[],
    note: "A task's name does as well as its id. One that runs is no error.",
};

/// Fields of `BatchStopTransferTask`.
pub const STOP: Operation = Operation {
    action: "BatchStopTransferTask",
    request: tables::BATCH,
    response: &[],
    note: "What was taken is delivered first; the positions stay.",
};

/// A refusal of `control` about a task.
fn fault(ask: &Ask<'_>, e: &Error) -> Fault {
    use ErrorKind as K;
    match e.kind {
        K::NotFound(Noun::Bucket) => refuse("DIS.4306", format!("Bucket does not exist. {}", e.message)),
        K::NotFound(Noun::Database) => refuse("DIS.4337", "The DLI database does not exist."),
        K::NotFound(Noun::Table) => refuse("DIS.4338", "The DLI table does not exist."),
        K::NotFound(Noun::Pipeline) => no_task(),
        K::NotFound(Noun::Connection) => {
            refuse("DIS.4337", format!("The DLI database does not exist. The catalogue: {}", e.message))
        }
        K::Exists(Noun::Pipeline) => refuse("DIS.4355", "The transfer task already exists."),
        K::LimitExceeded => refuse("DIS.4357", "Exceeded transfer task quota."),
        K::BadCredentials | K::Denied | K::Unreachable => {
            refuse("DIS.4310", format!("OBS access error. {}", e.message))
        }
        K::InvalidState => refuse("DIS.4300", format!("Request error. {}", e.message)),
        _ => ask.fault(e),
    }
}

fn no_task() -> Fault {
    refuse("DIS.4354", "The transfer task does not exist.")
}

/// Answers `CreateObsTransferTask`.
///
/// # Errors
/// In the product's words.
pub async fn create(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&CREATE, &[])?;
    let stream = ask.running(ask.name("stream_name")).await?;
    let p = Params::unchecked(&given.fields, true);
    let new = Wanted::read(&p)?.dump(ask, &stream)?;
    ask.control.create_dump(&ask.caller, &stream, new).await.map_err(|e| fault(ask, &e))?;
    Ok(done(201))
}

/// Answers `UpdateTransferTask`.
///
/// # Errors
/// In the product's words.
pub async fn update(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&UPDATE, &[])?;
    let stream = ask.running(ask.name("stream_name")).await?;
    let p = Params::unchecked(&given.fields, true);
    let new = Wanted::read(&p)?.dump(ask, &stream)?;
    ask.control.change_dump(&ask.caller, &stream, new).await.map_err(|e| fault(ask, &e))?;
    Ok(Reply::from(json!({})))
}

/// Answers `ListTransferTasks`.
///
/// # Errors
/// In the product's words.
pub async fn list(ask: &Ask<'_>) -> Outcome {
    ask.read(&LIST, &[])?;
    let stream = ask.stream(ask.name("stream_name")).await?;
    let all = ask.control.dumps(&ask.caller, &stream.id).await.map_err(|e| fault(ask, &e))?;
    let mut tasks = Vec::with_capacity(all.len());
    for p in &all {
        let parts = ask.control.dump_parts(&p.id).await.map_err(|e| fault(ask, &e))?;
        tasks.push(summary(&stream, p, &parts));
    }
    Ok(Reply::from(json!({
        "total_number": tasks.len(),
        "quota": QUOTA,
        "has_more_tasks": false,
        "details": tasks,
        "tasks": tasks,
    })))
}

/// Answers `ShowTransferTask`.
///
/// # Errors
/// In the product's words.
pub async fn show(ask: &Ask<'_>) -> Outcome {
    ask.read(&SHOW, &[])?;
    let stream = ask.stream(ask.name("stream_name")).await?;
    let found = ask.control.dump(&ask.caller, &stream.id, ask.name("task_name")).await;
    let p = found.map_err(|e| fault(ask, &e))?;
    let parts = ask.control.dump_parts(&p.id).await.map_err(|e| fault(ask, &e))?;
    let mut view = summary(&stream, &p, &parts);
    view["stream_id"] = json!(stream.id.as_str());
    view["stream_name"] = json!(stream.name);
    view["partitions"] = stream.partitions.iter().map(|n| part(&stream, &p, n.index, &parts)).collect();
    let text = p.attributes.get(DESCRIPTOR).map_or("", String::as_str);
    let descriptor: Value = serde_json::from_str(text).unwrap_or_default();
    match kind(&p) {
        "DLI" => view["dli_destination_description"] = descriptor,
        _ => view["obs_destination_description"] = descriptor,
    }
    if let Some(error) = &p.error {
        view["error_message"] = json!(error);
    }
    Ok(Reply::from(view))
}

/// Answers `DeleteTransferTask`.
///
/// # Errors
/// In the product's words.
pub async fn delete(ask: &Ask<'_>) -> Outcome {
    ask.read(&DELETE, &[])?;
    let stream = ask.stream(ask.name("stream_name")).await?;
    let found = ask.control.dump(&ask.caller, &stream.id, ask.name("task_name")).await;
    let p = found.map_err(|e| fault(ask, &e))?;
    ask.control.delete_pipeline(&ask.caller, &p.id).await.map_err(|e| fault(ask, &e))?;
    Ok(done(204))
}

/// Answers both actions of `…/transfer-tasks/action`, as the body says. All tasks have to be there.
///
/// # Errors
/// In the product's words.
pub async fn batch(ask: &Ask<'_>) -> Outcome {
    let (operation, start) = match ask.call.params.get("action").and_then(Value::as_str) {
        Some("start") | None => (&START, true),
        Some("stop") => (&STOP, false),
        Some(_) => return Err(refuse("DIS.4605", "The action is not supported.")),
    };
    let given = ask.read(operation, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let stream = ask.stream(ask.name("stream_name")).await?;
    let tasks = p.objects("tasks");
    if tasks.is_empty() || tasks.len() > MOST {
        return Err(invalid(format!("The parameter `tasks` must have 1 to {MOST} entries.")));
    }
    let mut found = Vec::with_capacity(tasks.len());
    for task in &tasks {
        let one = ask.control.dump(&ask.caller, &stream.id, task.text("id")).await;
        found.push(one.map_err(|e| fault(ask, &e))?);
    }
    for p in found {
        let rests = matches!(p.status, PipelineStatus::Paused | PipelineStatus::Pausing);
        let told = match (start, rests) {
            (true, true) => ask.control.resume_pipeline(&ask.caller, &p.id).await.map(drop),
            (false, false) => ask.control.pause_pipeline(&ask.caller, &p.id).await.map(drop),
            _ => Ok(()),
        };
        told.map_err(|e| fault(ask, &e))?;
    }
    // The product's own SDKs read the answer to a start as a text.
    Ok(Reply::from(json!("")))
}

fn kind(p: &Pipeline) -> &str {
    p.attributes.get(TYPE).map_or("OBS", String::as_str)
}

fn state(p: &Pipeline) -> &'static str {
    use PipelineStatus as S;
    match p.status {
        S::Pausing | S::Paused => "PAUSED",
        S::Deleting | S::Deleted => "DELETE",
        S::Creating | S::Resuming | S::Running if p.error.is_some() => "ABNORMAL",
        S::Creating | S::Resuming => "STARTING",
        S::Running => "RUNNING",
    }
}

fn name_of<'p>(stream: &DisStream, p: &'p Pipeline) -> &'p str {
    p.name.strip_prefix(&control::dump_name(&stream.id, "")).unwrap_or(&p.name)
}

fn millis(at: model::Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

fn summary(stream: &DisStream, p: &Pipeline, parts: &[DumpPart]) -> Value {
    json!({
        "task_id": p.id.as_str(),
        "task_name": name_of(stream, p),
        "state": state(p),
        "destination_type": kind(p),
        "create_time": millis(p.created),
        "last_transfer_timestamp": parts.iter().filter_map(|p| p.moved).max().map_or(0, millis),
    })
}

fn part(stream: &DisStream, p: &Pipeline, index: u32, parts: &[DumpPart]) -> Value {
    let at = parts.iter().find(|n| n.partition == index);
    let name = partitions::name(index);
    let hashes = stream.partition(index).map_or((0, 0), |n| (n.first_hash, n.last_hash));
    json!({
        "partitionId": name,
        "partition_id": name,
        "state": state(p),
        "status": state(p),
        "hash_range": format!("[{} : {}]", hashes.0, hashes.1),
        "discard": at.map_or(0, |n| n.discarded),
        "last_transfer_timestamp": at.and_then(|n| n.moved).map_or(0, millis),
        "last_transfer_offset": at.and_then(|n| n.last).unwrap_or(-1),
    })
}

/// What the product has and this server has not.
fn unsupported(what: &str) -> Fault {
    fault::refuse("DIS.4605", format!("The action is not supported. {what}: see docs/dump.md."))
}
