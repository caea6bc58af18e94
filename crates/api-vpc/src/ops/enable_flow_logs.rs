//! `EnableFlowLogs`: records again.

use super::disable_flow_logs::{FLOW_LOG_IDS, switch};
use crate::request::Ask;
use api::{Operation, Outcome};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "EnableFlowLogs",
    request: FLOW_LOG_IDS,
    response: &[],
    note: "All of them or none. Refused where the resource is gone or the server has no right to capture any more.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    switch(ask, &OPERATION, true).await
}
