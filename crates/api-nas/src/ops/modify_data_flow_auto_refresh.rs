//! `ModifyDataFlowAutoRefresh`: policy and interval of a flow's auto refresh.

use api::{Operation, Outcome};
use model::FlowStatus;

use super::apply_data_flow_auto_refresh::keep;
use crate::fields::{
    AUTO_REFRESH_INTERVAL, AUTO_REFRESH_POLICY, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID,
};
use crate::flow_view::AutoRefresh;
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "ModifyDataFlowAutoRefresh",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        AUTO_REFRESH_POLICY,
        AUTO_REFRESH_INTERVAL,
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "General-purpose CPFS only. Here the interval is 5 to 526600 minutes, as this operation documents it.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let (_, flow) = r.general_flow(&[FlowStatus::Running, FlowStatus::Stopped]).await?;
        let mut refresh = AutoRefresh::of(&flow);
        refresh.take_settings(r, 5, 526_600)?;
        keep(r, &flow, &refresh).await
    }))
    .await
}
