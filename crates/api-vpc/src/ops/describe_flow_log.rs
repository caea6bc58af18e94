//! `DescribeFlowLog`: one flow log of a VPC. The product has replaced it by `DescribeFlowLogs`.

use crate::fault::{self, refuse};
use crate::request::Ask;
use crate::tables::FLOW_LOGS;
use crate::translate::{flow_log, status};
use api::{Field, Operation, Outcome, Reply, Ty};
use model::NetworkKind;
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeFlowLog",
    request: &[Field::new("VpcId", Ty::Str).required(), Field::new("FlowLogId", Ty::Str).required()],
    response: &[FLOW_LOGS],
    note: "Finds flow logs of VPCs only, none of CCN, as with the product.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.read(&OPERATION)?;
    crate::request::identifier(p.text("VpcId"), "vpc-", "VpcId")?;
    let found = ask.flow_log(&p).await?;
    if found.kind == NetworkKind::Ccn {
        return Err(refuse(fault::NOT_FOUND, format!("There is no flow log {} in this VPC.", found.id)));
    }
    let header = status(std::slice::from_ref(&found));
    Ok(Reply::from(json!({"FlowLog": [flow_log(ask, &found)]})).with_header("x-wharf-flow-logs", header))
}
