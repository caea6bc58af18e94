//! `ModifyDataFlowAutoRefresh`: policy and interval of a flow's auto refresh.

use api::{Operation, Outcome};
use model::FlowStatus;

use super::apply_data_flow_auto_refresh::change;
use crate::fault;
use crate::fields::{
    AUTO_REFRESH_INTERVAL, AUTO_REFRESH_POLICY, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID,
};
use crate::flow_view::AutoRefresh;
use crate::request::{Request, flow_in};

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
        let on = r.file_system().await?;
        on.general_only()?;
        let flow = r.flow(&on).await?;
        flow_in(&flow, &[FlowStatus::Running, FlowStatus::Stopped])?;
        let mut refresh = AutoRefresh::of(&flow);
        refresh.take_settings(r, 5, 526_600)?;
        if !r.dry_run() {
            let change = change(&refresh);
            r.control().update_flow(&r.caller, &flow.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
