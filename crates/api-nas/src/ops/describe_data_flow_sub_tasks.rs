//! `DescribeDataFlowSubTasks`: files that were pushed through streaming tasks, latest first.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::{Page, TaskFilter};
use model::{TaskKind, Timestamp};
use serde_json::{Value, json};

use super::create_data_flow_sub_task::streaming;
use crate::fault;
use crate::fields::{FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN};
use crate::filters::{Filters, wrong};
use crate::paging::Paging;
use crate::request::Request;
use crate::task_view::{base_filter, now, subtask};
use crate::translate::{subtask_status, task_statuses_of};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DescribeDataFlowSubTasks",
    request: &[FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN],
    response: &[
        Field::new(
            "DataFlowSubTask",
            Ty::Object(&[Field::new("DataFlowSubTask", Ty::List(&Ty::Object(SUB_TASK)))]),
        ),
        NEXT_TOKEN,
    ],
    note: "CPFS for Lingjun 2.6.0 and later. Subtasks never expire here, so none is EXPIRED.",
};

const SUB_TASK: &[Field] = &[
    Field::new("CreateTime", Ty::Str),
    Field::new("DataFlowId", Ty::Str),
    Field::new("DataFlowSubTaskId", Ty::Str),
    Field::new("DataFlowTaskId", Ty::Str),
    Field::new("DstFilePath", Ty::Str),
    Field::new("EndTime", Ty::Str),
    Field::new("ErrorMsg", Ty::Str),
    Field::new(
        "FileDetail",
        Ty::Object(&[
            Field::new("Checksum", Ty::Str),
            Field::new("ModifyTime", Ty::Int),
            Field::new("Size", Ty::Int),
        ]),
    ),
    Field::new("FileSystemId", Ty::Str),
    Field::new("Progress", Ty::Int),
    Field::new(
        "ProgressStats",
        Ty::Object(&[
            Field::new("ActualBytes", Ty::Int),
            Field::new("AverageSpeed", Ty::Int),
            Field::new("BytesDone", Ty::Int),
            Field::new("BytesTotal", Ty::Int),
        ]),
    ),
    Field::new("SrcFilePath", Ty::Str),
    Field::new("StartTime", Ty::Str),
    Field::new("Status", Ty::Str),
];

const KEYS: &[&str] =
    &["DataFlowIds", "DataFlowTaskIds", "DataFlowSubTaskIds", "Status", "SrcFilePath", "DstFilePath"];

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    streaming(&on)?;
    let filters = Filters::read(&r.p, KEYS)?;
    let paging = Paging::read(r, 20)?;
    let now = now(r);
    let until = if paging.until == 0 { now.0 } else { paging.until };
    let Some(mut filter) = filter(&filters)? else {
        return Ok(json!({"DataFlowSubTask": {"DataFlowSubTask": []}, "NextToken": ""}).into());
    };
    filter.file_system = Some(on.fs.id.clone());
    filter.created.1 = Some(Timestamp(until));
    let page = Page { offset: paging.offset, limit: paging.limit, newest_first: true };
    let (tasks, total) = r.control().tasks(&r.caller, &filter, page).await.map_err(|e| fault::of(&e))?;
    let next = paging.next(tasks.len() as u64, total, until);
    let shown: Vec<Value> = tasks.iter().map(|t| subtask(t, now)).collect();
    Ok(json!({"DataFlowSubTask": {"DataFlowSubTask": shown}, "NextToken": next}).into())
}

/// `None`: nothing can match.
fn filter(filters: &Filters<'_>) -> Result<Option<TaskFilter>, Fault> {
    let mut f = base_filter(&[TaskKind::StreamFile]);
    f.flows = filters.list("DataFlowIds")?.into_iter().map(Into::into).collect();
    f.parents = filters.list("DataFlowTaskIds")?.into_iter().map(Into::into).collect();
    f.ids = filters.list("DataFlowSubTaskIds")?.into_iter().map(Into::into).collect();
    for key in ["SrcFilePath", "DstFilePath"] {
        if let Some(path) = filters.text(key) {
            f.attributes.push((key.to_owned(), vec![path.to_owned()]));
        }
    }
    let words = filters.list("Status")?;
    for word in &words {
        let before = f.statuses.len();
        f.statuses.extend(task_statuses_of(word, subtask_status));
        if f.statuses.len() == before && *word != "EXPIRED" {
            return Err(wrong("Status names no status of a subtask"));
        }
    }
    Ok((words.is_empty() || !f.statuses.is_empty()).then_some(f))
}
