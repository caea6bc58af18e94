//! `CancelDataFlowAutoRefresh`: takes one path out of a flow's auto refresh.

use api::{Field, Operation, Outcome, Ty};
use model::FlowStatus;

use super::apply_data_flow_auto_refresh::change;
use crate::fields::{AUTO_REFRESH_NOTE, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::flow_view::AutoRefresh;
use crate::request::{Request, flow_in};
use crate::{fault, rules};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CancelDataFlowAutoRefresh",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("RefreshPath", Ty::Str).required().stored(AUTO_REFRESH_NOTE),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "General-purpose CPFS only.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.general_only()?;
        let flow = r.flow(&on).await?;
        flow_in(&flow, &[FlowStatus::Running, FlowStatus::Stopped])?;
        let path = r.required("RefreshPath")?;
        rules::directory("RefreshPath", path, 2, 1024)?;
        let mut refresh = AutoRefresh::of(&flow);
        let Some(at) = refresh.paths.iter().position(|p| p == path) else {
            return Err(fault::not_found("RefreshPath", "auto refresh path"));
        };
        refresh.paths.remove(at);
        if !r.dry_run() {
            let change = change(&refresh);
            r.control().update_flow(&r.caller, &flow.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
