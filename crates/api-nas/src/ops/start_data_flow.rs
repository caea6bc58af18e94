//! `StartDataFlow`: lets a stopped flow take tasks again.

use api::{Operation, Outcome};
use model::FlowStatus;

use crate::fault;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "StartDataFlow",
    request: &[FILE_SYSTEM_ID, DATA_FLOW_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "General-purpose CPFS only.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    switch(r, FlowStatus::Stopped, FlowStatus::Running).await
}

/// Moves the flow of the request from one state to another.
pub async fn switch(r: &Request<'_>, from: FlowStatus, to: FlowStatus) -> Outcome {
    r.change(None, Box::pin(async {
        let (_, flow) = r.general_flow(&[from]).await?;
        if !r.dry_run() {
            r.control().set_flow_status(&r.caller, &flow.id, to).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
