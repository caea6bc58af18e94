//! `CancelDataFlowSubTask`: stops one file of a streaming task.

use api::{Field, Operation, Outcome, Ty};
use model::TaskKind;

use super::cancel_data_flow_task::cancellable;
use super::create_data_flow_sub_task::{executing, stream, streaming};
use crate::fault;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CancelDataFlowSubTask",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("DataFlowTaskId", Ty::Str).required(),
        Field::new("DataFlowSubTaskId", Ty::Str).required(),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "CPFS for Lingjun 2.6.0 and later.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        streaming(&on)?;
        let flow = r.flow(&on).await?;
        let stream = stream(r, &flow).await?;
        let task = r.task_of(&flow, r.required("DataFlowSubTaskId")?).await?;
        let task = task
            .filter(|t| t.kind == TaskKind::StreamFile && t.parent.as_ref() == Some(&stream.id))
            .ok_or_else(fault::subtask_not_found)?;
        cancellable(&task)?;
        executing(&stream)?;
        if !r.dry_run() {
            r.control().cancel_task(&r.caller, &task.id).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
