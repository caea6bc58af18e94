//! `DeleteDataFlow`: takes the binding away. Files and objects stay.

use api::{Operation, Outcome};
use model::{Door, FlowStatus};

use crate::fault;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::{Request, flow_in};
use crate::task_view::LIVE;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DeleteDataFlow",
    request: &[FILE_SYSTEM_ID, DATA_FLOW_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "A flow with tasks that have not ended is refused (OperationDenied.DependencyViolation); \
           a misconfigured flow may be deleted.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        let flow = r.flow(&on).await?;
        flow_in(&flow, &[FlowStatus::Running, FlowStatus::Stopped, FlowStatus::Misconfigured])?;
        let held = control::TaskFilter {
            door: Some(Door::Nas),
            flows: vec![flow.id.clone()],
            statuses: LIVE.to_vec(),
            ..Default::default()
        };
        let page = control::Page { offset: 0, limit: 1, newest_first: true };
        let (_, held) = r.control().tasks(&r.caller, &held, page).await.map_err(|e| fault::of(&e))?;
        if held > 0 {
            return Err(fault::dependency("tasks of the data flow have not ended"));
        }
        if !r.dry_run() {
            r.control().delete_flow(&r.caller, &flow.id).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
