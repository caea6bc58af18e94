//! `StartDataFlow`: lets a stopped flow take tasks again.

use api::{Operation, Outcome};
use model::FlowStatus;

use crate::fault;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::{Request, flow_in};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "StartDataFlow",
    request: &[FILE_SYSTEM_ID, DATA_FLOW_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "General-purpose CPFS only.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.general_only()?;
        let flow = r.flow(&on).await?;
        flow_in(&flow, &[FlowStatus::Stopped])?;
        if !r.dry_run() {
            let to = FlowStatus::Running;
            r.control().set_flow_status(&r.caller, &flow.id, to).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
