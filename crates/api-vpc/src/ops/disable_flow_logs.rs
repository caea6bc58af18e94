//! `DisableFlowLogs`: stops recording; what was set up stays.

use crate::request::Ask;
use api::{Fault, Field, Operation, Outcome, Reply, Ty};
use model::FlowLogId;

use crate::fault::{self, refuse};
use crate::request::flow_log_id;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DisableFlowLogs",
    request: FLOW_LOG_IDS,
    response: &[],
    note: "All of them or none. What passes meanwhile is not recorded, and counts as no loss.",
};

/// The one field of the actions on several flow logs.
pub const FLOW_LOG_IDS: &[Field] = &[Field::new("FlowLogIds", Ty::List(&Ty::Str)).required()];

/// Flow logs in one request at most.
const MOST: usize = 100;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    switch(ask, &OPERATION, false).await
}

/// Switches the flow logs of a request.
///
/// # Errors
/// In the vendor's words.
pub async fn switch(ask: &Ask<'_>, operation: &Operation, on: bool) -> Outcome {
    let p = ask.read(operation)?;
    let ids = ids(&p.strs("FlowLogIds"))?;
    ask.control.switch_flow_logs(&ask.caller, &ids, on).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}

fn ids(given: &[&str]) -> Result<Vec<FlowLogId>, Fault> {
    if given.is_empty() {
        return Err(refuse(fault::MALFORMED, "The parameter `FlowLogIds` may not be empty."));
    }
    if given.len() > MOST {
        return Err(refuse(
            fault::TOO_MANY,
            format!("The parameter `FlowLogIds` may name {MOST} flow logs."),
        ));
    }
    given.iter().map(|id| flow_log_id(id, "FlowLogIds")).collect()
}
