//! `StopDataFlow`: a stopped flow takes no new tasks; those at work go on.

use api::{Operation, Outcome};
use model::FlowStatus;

use super::start_data_flow::switch;
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "StopDataFlow",
    request: &[FILE_SYSTEM_ID, DATA_FLOW_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "General-purpose CPFS only.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    switch(r, FlowStatus::Running, FlowStatus::Stopped).await
}
