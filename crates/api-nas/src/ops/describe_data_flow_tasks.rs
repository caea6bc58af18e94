//! `DescribeDataFlowTasks`: the tasks of a file system, latest first, filtered, in pages.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::{Page, TaskFilter};
use model::{Originator, TaskKind, Timestamp};
use serde_json::{Value, json};

use crate::family::{Cpfs, Feature};
use crate::fields::{FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN};
use crate::filters::{Filters, wrong};
use crate::paging::Paging;
use crate::request::Request;
use crate::task_view::{base_filter, now, reports, task};
use crate::translate::{task_status, task_statuses_of};
use crate::fault;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DescribeDataFlowTasks",
    request: &[FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN, Field::new("WithReports", Ty::Bool)],
    response: &[
        NEXT_TOKEN,
        Field::new("TaskInfo", Ty::Object(&[Field::new("Task", Ty::List(&Ty::Object(TASK)))])),
    ],
    note: "Files count directories and links too. Report paths are download addresses on this server.",
};

const REPORT: &[Field] = &[Field::new("Name", Ty::Str), Field::new("Path", Ty::Str)];
const STATS: &[Field] = &[
    Field::new("ActualBytes", Ty::Int),
    Field::new("ActualFiles", Ty::Int),
    Field::new("AverageSpeed", Ty::Int),
    Field::new("BytesDone", Ty::Int),
    Field::new("BytesTotal", Ty::Int),
    Field::new("FilesDone", Ty::Int),
    Field::new("FilesTotal", Ty::Int),
    Field::new("RemainTime", Ty::Int),
];
const TASK: &[Field] = &[
    Field::new("ConflictPolicy", Ty::Str),
    Field::new("CreateTime", Ty::Str),
    Field::new("DataFlowId", Ty::Str),
    Field::new("DataType", Ty::Str),
    Field::new("Directory", Ty::Str),
    Field::new("DstDirectory", Ty::Str),
    Field::new("EndTime", Ty::Str),
    Field::new("EntryList", Ty::Str),
    Field::new("ErrorMsg", Ty::Str),
    Field::new("FileSystemPath", Ty::Str),
    Field::new("FilesystemId", Ty::Str),
    Field::new("FsPath", Ty::Str),
    Field::new("Includes", Ty::Str),
    Field::new("Originator", Ty::Str),
    Field::new("Progress", Ty::Int),
    Field::new("ProgressStats", Ty::Object(STATS)),
    Field::new("ReportPath", Ty::Str),
    Field::new("Reports", Ty::Object(&[Field::new("Report", Ty::List(&Ty::Object(REPORT)))])),
    Field::new("SourceStorage", Ty::Str),
    Field::new("StartTime", Ty::Str),
    Field::new("Status", Ty::Str),
    Field::new("TaskAction", Ty::Str),
    Field::new("TaskId", Ty::Str),
    Field::new("TransferFileListPath", Ty::Str),
];

const KEYS: &[&str] = &[
    "DataFlowIds",
    "TaskIds",
    "Originator",
    "TaskActions",
    "DataTypes",
    "Status",
    "CreateTimeBegin",
    "CreateTimeEnd",
    "StartTimeBegin",
    "StartTimeEnd",
    "EndTimeBegin",
    "EndTimeEnd",
];

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    on.require(Feature::DataFlow)?;
    let filters = Filters::read(&r.p, KEYS)?;
    let paging = Paging::read(r, 10)?;
    let mut filter = filter(&filters)?;
    filter.file_system = Some(on.fs.id.clone());
    let now = now(r);
    let until = if paging.until == 0 { now.0 } else { paging.until };
    filter.created.1 = Some(filter.created.1.unwrap_or(Timestamp(until)).min(Timestamp(until)));
    let page = Page { offset: paging.offset, limit: paging.limit, newest_first: true };
    let (tasks, total) = r.control().tasks(&r.caller, &filter, page).await.map_err(|e| fault::of(&e))?;
    let with_reports = r.p.bool("WithReports").unwrap_or(true);
    let next = paging.next(tasks.len() as u64, total, until);
    let shown: Vec<Value> = tasks.iter().map(|t| view(r, &on, t, with_reports, now)).collect();
    Ok(json!({"NextToken": next, "TaskInfo": {"Task": shown}}).into())
}

fn view(r: &Request<'_>, on: &Cpfs, t: &model::Task, with_reports: bool, now: Timestamp) -> Value {
    let list = if with_reports { reports(r, t, on.family) } else { Vec::new() };
    task(t, &list, now)
}

fn filter(filters: &Filters<'_>) -> Result<TaskFilter, Fault> {
    let mut f = base_filter(&[TaskKind::Transfer, TaskKind::Stream]);
    f.flows = filters.list("DataFlowIds")?.into_iter().map(Into::into).collect();
    f.ids = filters.list("TaskIds")?.into_iter().map(Into::into).collect();
    f.originator = match filters.text("Originator") {
        None => None,
        Some("User") => Some(Originator::User),
        Some("System") => Some(Originator::System),
        Some(_) => return Err(wrong("Originator must be User or System")),
    };
    for (key, attribute) in [("TaskActions", "TaskAction"), ("DataTypes", "DataType")] {
        let values: Vec<String> = filters.list(key)?.into_iter().map(str::to_owned).collect();
        if !values.is_empty() {
            f.attributes.push((attribute.to_owned(), values));
        }
    }
    for word in filters.list("Status")? {
        let before = f.statuses.len();
        f.statuses.extend(task_statuses_of(word, task_status));
        if f.statuses.len() == before {
            return Err(wrong("Status names no status of a task"));
        }
    }
    f.created = (filters.time("CreateTimeBegin")?, filters.time("CreateTimeEnd")?);
    f.started = (filters.time("StartTimeBegin")?, filters.time("StartTimeEnd")?);
    f.ended = (filters.time("EndTimeBegin")?, filters.time("EndTimeEnd")?);
    Ok(f)
}
