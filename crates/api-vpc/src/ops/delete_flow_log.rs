//! `DeleteFlowLog`: ends the recording and forgets the flow log. Records that were written stay in the topic.

use crate::request::Ask;
use api::{Field, Operation, Outcome, Reply, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteFlowLog",
    request: &[Field::new("FlowLogId", Ty::Str).required(), Field::new("VpcId", Ty::Str)],
    response: &[],
    note: "VpcId is required for all types but CCN. Records that were written stay in the topic.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.read(&OPERATION)?;
    let found = ask.flow_log_to_change(&p).await?;
    ask.control.delete_flow_log(&ask.caller, &found.id).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
