//! `CreateDataFlowSubTask`: pushes one file through a streaming task.
//!
//! Both paths are relative to the task's directories. A condition that the source does not meet makes
//! the subtask fail, not the request.

use std::collections::BTreeMap;

use api::{Fault, Field, Operation, Outcome, Ty};
use control::NewTask;
use model::{
    Door, Flow, FlowStatus, Originator, Precondition, Selection, Task, TaskId, TaskKind, TaskStatus,
    TransferSpec,
};

use crate::family::{Cpfs, Feature};
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::{Request, flow_in};
use crate::{fault, rules, translate};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CreateDataFlowSubTask",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("DataFlowTaskId", Ty::Str).required(),
        Field::new("SrcFilePath", Ty::Str).required(),
        Field::new("DstFilePath", Ty::Str).required(),
        Field::new(
            "Condition",
            Ty::Object(&[Field::new("ModifyTime", Ty::Int), Field::new("Size", Ty::Int)]),
        ),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[Field::new("DataFlowSubTaskId", Ty::Str)],
    note: "CPFS for Lingjun 2.6.0 and later. Paths are relative to the streaming task's directories.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(Some("DataFlowSubTaskId"), Box::pin(async {
        let on = r.file_system().await?;
        streaming(&on)?;
        let flow = r.flow(&on).await?;
        let stream = stream(r, &flow).await?;
        let (from, to) = (r.required("SrcFilePath")?, r.required("DstFilePath")?);
        rules::file("SrcFilePath", from)?;
        rules::file("DstFilePath", to)?;
        let condition = condition(r)?;
        flow_in(&flow, &[FlowStatus::Running])?;
        executing(&stream)?;
        let id = translate::subtask_id(r.control().random());
        if !r.dry_run() {
            let selection =
                Selection::One { from: rules::relative(from), to: rules::relative(to), condition };
            let new = NewTask {
                id: TaskId(id.clone()),
                door: Door::Nas,
                kind: TaskKind::StreamFile,
                parent: Some(stream.id.clone()),
                flow: Some(flow.id.clone()),
                spec: TransferSpec { selection, ..stream.spec.clone() },
                name: String::new(),
                attributes: BTreeMap::from([
                    ("SrcFilePath".to_owned(), from.to_owned()),
                    ("DstFilePath".to_owned(), to.to_owned()),
                ]),
                originator: Originator::User,
            };
            r.control().create_task(&r.caller, new).await.map_err(|e| fault::of(&e))?;
        }
        Ok(id)
    }))
    .await
}

/// Streaming is Lingjun's, from 2.6.0.
///
/// # Errors
/// `OperationDenied.DataFlowNotSupported`, `InvalidFilesystemVersion.NotSupport`.
pub fn streaming(on: &Cpfs) -> Result<(), Fault> {
    on.lingjun_only()?;
    on.require(Feature::Streaming)
}

/// The streaming task of the request.
///
/// # Errors
/// `MissingDataFlowTaskId`, `InvalidTaskId.NotFound`.
pub async fn stream(r: &Request<'_>, flow: &Flow) -> Result<Task, Fault> {
    let task = r.task_of(flow, r.required("DataFlowTaskId")?).await?;
    task.filter(|t| t.kind == TaskKind::Stream).ok_or_else(fault::task_not_found)
}

/// Refuses a streaming task that is not at work.
///
/// # Errors
/// `OperationDenied.InvalidState`.
pub fn executing(stream: &Task) -> Result<(), Fault> {
    if stream.status == TaskStatus::Executing {
        return Ok(());
    }
    Err(fault::state(&format!("the streaming task is {}", translate::task_status(stream.status))))
}

fn condition(r: &Request<'_>) -> Result<Precondition, Fault> {
    let Some(c) = r.p.object("Condition") else { return Ok(Precondition::default()) };
    let size = c.i64("Size").map(u64::try_from).transpose();
    let size = size.map_err(|_| fault::invalid("Size", "it must not be negative"))?;
    Ok(Precondition { mtime_ns: c.i64("ModifyTime"), size })
}
