//! One file per action.

mod create_flow_log;
mod delete_flow_log;
mod describe_flow_log;
mod describe_flow_logs;
mod disable_flow_logs;
mod enable_flow_logs;
mod modify_flow_log_attribute;

use crate::request::Ask;
use api::{Fault, Operation, Outcome};

/// The tables, in the order of [`ACTIONS`].
pub const ALL: &[Operation] = &[
    create_flow_log::OPERATION,
    delete_flow_log::OPERATION,
    describe_flow_log::OPERATION,
    describe_flow_logs::OPERATION,
    disable_flow_logs::OPERATION,
    enable_flow_logs::OPERATION,
    modify_flow_log_attribute::OPERATION,
];

/// The names, in the order of [`ALL`].
pub const ACTIONS: &[&str] = &[
    "CreateFlowLog",
    "DeleteFlowLog",
    "DescribeFlowLog",
    "DescribeFlowLogs",
    "DisableFlowLogs",
    "EnableFlowLogs",
    "ModifyFlowLogAttribute",
];

/// Answers a call by its action.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    match ask.call.action.as_str() {
        "CreateFlowLog" => Box::pin(create_flow_log::answer(ask)).await,
        "DeleteFlowLog" => Box::pin(delete_flow_log::answer(ask)).await,
        "DescribeFlowLog" => Box::pin(describe_flow_log::answer(ask)).await,
        "DescribeFlowLogs" => Box::pin(describe_flow_logs::answer(ask)).await,
        "DisableFlowLogs" => Box::pin(disable_flow_logs::answer(ask)).await,
        "EnableFlowLogs" => Box::pin(enable_flow_logs::answer(ask)).await,
        "ModifyFlowLogAttribute" => Box::pin(modify_flow_log_attribute::answer(ask)).await,
        _ => Err(Fault::tencent("InvalidAction", "The action does not exist.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tables_go_together() {
        assert_eq!(ALL.len(), ACTIONS.len());
        for (op, action) in ALL.iter().zip(ACTIONS) {
            assert_eq!(op.action, *action);
        }
    }
}
