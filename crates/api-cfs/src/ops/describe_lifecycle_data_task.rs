//! `DescribeLifecycleDataTask`: the account's lifecycle tasks that were made in a stretch of time.

use crate::fault;
use crate::request::{Ask, FILTER, filters, given, page};
use crate::translate::{attributes as words, counts, ids, states, times};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{Span, TaskFilter};
use model::{Door, Task, TaskId, Timestamp};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeLifecycleDataTask",
    request: &[
        Field::new("StartTime", Ty::Str).required(),
        Field::new("EndTime", Ty::Str).required(),
        Field::new("TaskId", Ty::Str),
        Field::new("Offset", Ty::Uint),
        Field::new("Limit", Ty::Uint),
        Field::new("Filters", Ty::List(&Ty::Object(FILTER))),
        Field::new("CfsVersion", Ty::Str),
    ],
    response: &[
        Field::new("LifecycleDataTask", Ty::List(&Ty::Object(LIFECYCLE_DATA_TASK_INFO))),
        Field::new("TotalCount", Ty::Uint),
    ],
    note: "Times are of the zone that the operator configured (UTC by default). Filters compare exactly; \
           values of one filter are alternatives.",
};

const LIFECYCLE_DATA_TASK_INFO: &[Field] = &[
    Field::new("TaskId", Ty::Str),
    Field::new("TaskStatus", Ty::Str),
    Field::new("CreationTime", Ty::Str),
    Field::new("FinishTime", Ty::Str),
    Field::new("FileTotalCount", Ty::Uint),
    Field::new("FileSuccessedCount", Ty::Uint),
    Field::new("FileFailedCount", Ty::Uint),
    Field::new("FileTotalSize", Ty::Uint),
    Field::new("FileSuccessedSize", Ty::Uint),
    Field::new("FileFailedSize", Ty::Uint),
    Field::new("FileTotalList", Ty::Str),
    Field::new("FileSuccessedList", Ty::Str),
    Field::new("FileFailedList", Ty::Str),
    Field::new("FileSystemId", Ty::Str),
    Field::new("TaskName", Ty::Str),
    Field::new("TaskPath", Ty::Str),
    Field::new("Type", Ty::Str),
    Field::new("DataFlowId", Ty::Str),
    Field::new("IsOverwrite", Ty::Bool),
    Field::new("ListPath", Ty::Str),
];

/// Three months, the longest of them, in microseconds.
const HISTORY_MICROS: i64 = 92 * 86_400 * 1_000_000;
/// A clock that is a little behind asks for a little more than three months.
const GRACE_MICROS: i64 = 86_400 * 1_000_000;
const VERSIONS: [&str; 4] = ["v1.5", "v3.0", "v3.1", "v4.0"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'t> {
    lifecycle_data_task: Vec<LifecycleDataTaskInfo<'t>>,
    total_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LifecycleDataTaskInfo<'t> {
    task_id: &'t str,
    task_status: &'static str,
    creation_time: String,
    finish_time: String,
    file_total_count: u64,
    file_successed_count: u64,
    file_failed_count: u64,
    file_total_size: u64,
    file_successed_size: u64,
    file_failed_size: u64,
    file_total_list: String,
    file_successed_list: String,
    file_failed_list: String,
    file_system_id: &'t str,
    task_name: &'t str,
    task_path: &'t str,
    r#type: &'t str,
    data_flow_id: &'t str,
    is_overwrite: bool,
    list_path: &'t str,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let page = page(&p, 20, 100)?;
    let filter = filter(ask, &p)?;
    if given(&p, "CfsVersion").is_some_and(|v| !VERSIONS.contains(&v)) {
        return Err(fault::refuse(fault::CFS_VERSION, "The CfsVersion must be v1.5, v3.0, v3.1 or v4.0."));
    }
    let (tasks, total_count) =
        ask.control.tasks(&ask.caller, &filter, page).await.map_err(|e| ask.fault(&e))?;
    let lifecycle_data_task = tasks.iter().map(|t| info(ask, t)).collect();
    Reply::from_serialize(&Answer { lifecycle_data_task, total_count })
}

fn filter(ask: &Ask<'_>, p: &Params<'_>) -> Result<TaskFilter, Fault> {
    let family = (words::FAMILY.to_owned(), vec![words::LIFECYCLE.to_owned()]);
    let mut filter = TaskFilter {
        door: Some(Door::Cfs),
        created: span(ask, p)?,
        attributes: vec![family],
        ..TaskFilter::default()
    };
    if let Some(id) = given(p, "TaskId") {
        if !ids::is_lifecycle_id(id) {
            return Err(fault::value("The TaskId must have the form task-xxxxxxxxxxxxxxxx."));
        }
        filter.ids = vec![TaskId::from(id)];
    }
    for (name, values) in filters(p)? {
        if ![words::TASK_NAME, words::FILE_SYSTEM_ID, words::TYPE].contains(&name) {
            return Err(fault::value("A filter's Name must be TaskName, FileSystemId or Type."));
        }
        filter.attributes.push((name.to_owned(), values.into_iter().map(str::to_owned).collect()));
    }
    Ok(filter)
}

/// `StartTime` and `EndTime`, both within the last three months.
fn span(ask: &Ask<'_>, p: &Params<'_>) -> Result<Span, Fault> {
    let read = |name: &str| {
        times::read(p.text(name), ask.settings.utc_offset_s)
            .ok_or_else(|| fault::value(format!("The {name} must have the form YYYY-MM-DD HH:MM:SS.")))
    };
    let (start, end) = (read("StartTime")?, read("EndTime")?);
    if start >= end {
        return Err(fault::value("The StartTime must be before the EndTime."));
    }
    let now = ask.control.clock().now().0;
    if start.0 < now.saturating_sub(HISTORY_MICROS + GRACE_MICROS) {
        return Err(fault::value("Only tasks of the last three months can be asked for."));
    }
    // Times are whole seconds: what was made within the last one is meant too.
    Ok((Some(start), Some(Timestamp(end.0.saturating_add(999_999)))))
}

fn info<'t>(ask: &Ask<'_>, task: &'t Task) -> LifecycleDataTaskInfo<'t> {
    let word = |name: &str| task.attributes.get(name).map(String::as_str).unwrap_or_default();
    let items = counts::items(&task.ledger, &task.progress);
    let bytes = counts::bytes(&task.ledger, &task.progress);
    LifecycleDataTaskInfo {
        task_id: task.id.as_str(),
        task_status: states::lifecycle(task.status),
        creation_time: ask.time(task.created),
        finish_time: task.ended.map(|t| ask.time(t)).unwrap_or_default(),
        file_total_count: items.total,
        file_successed_count: items.done,
        file_failed_count: items.failed,
        file_total_size: bytes.total,
        file_successed_size: bytes.done,
        file_failed_size: bytes.failed,
        file_total_list: ask.report_url(&task.id, task.reports.total.as_deref()),
        file_successed_list: ask.report_url(&task.id, task.reports.successful.as_deref()),
        file_failed_list: ask.report_url(&task.id, task.reports.failed.as_deref()),
        file_system_id: task.file_system.as_str(),
        task_name: &task.name,
        task_path: word(words::TASK_PATH),
        r#type: word(words::TYPE),
        data_flow_id: task.flow.as_ref().map(model::FlowId::as_str).unwrap_or_default(),
        is_overwrite: word(words::IS_OVERWRITE) == "true",
        list_path: word(words::LIST_PATH),
    }
}
