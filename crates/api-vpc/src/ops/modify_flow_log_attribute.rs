//! `ModifyFlowLogAttribute`: another name, other words, another period. Everything else stays as it was made.

use crate::fault::refuse;
use crate::request::{Ask, description, given, name, period};
use api::{Field, Operation, Outcome, Reply, Ty};
use control::FlowLogChange;
use model::NetworkKind;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ModifyFlowLogAttribute",
    request: &[
        Field::new("FlowLogId", Ty::Str).required(),
        Field::new("VpcId", Ty::Str),
        Field::new("FlowLogName", Ty::Str),
        Field::new("FlowLogDescription", Ty::Str),
        Field::new("Period", Ty::Uint),
    ],
    response: &[],
    note: "VpcId is required for all types but CCN. A new Period counts from the next window on.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.read(&OPERATION)?;
    let found = ask.flow_log_to_change(&p).await?;
    if found.kind == NetworkKind::Ccn && given(&p, "VpcId").is_some() {
        let message = "The parameter `VpcId` can't be given for a flow log of CCN.";
        return Err(refuse("InvalidParameterValue.VpcIdNotNeededForFlowLog", message));
    }
    let change = FlowLogChange {
        name: given(&p, "FlowLogName").map(|_| name(&p)).transpose()?.map(str::to_owned),
        description: p.str("FlowLogDescription").map(|_| description(&p)).transpose()?.map(str::to_owned),
        period_s: period(&p, found.kind)?,
    };
    ask.control.change_flow_log(&ask.caller, &found.id, change).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
