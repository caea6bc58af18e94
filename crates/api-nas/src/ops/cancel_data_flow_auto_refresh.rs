//! `CancelDataFlowAutoRefresh`: takes one path out of a flow's auto refresh.

use api::{Field, Operation, Outcome, Ty};
use model::FlowStatus;

use super::apply_data_flow_auto_refresh::keep;
use crate::fields::{AUTO_REFRESH_NOTE, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::flow_view::AutoRefresh;
use crate::request::Request;
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
        let (_, flow) = r.general_flow(&[FlowStatus::Running, FlowStatus::Stopped]).await?;
        let path = r.required("RefreshPath")?;
        rules::directory("RefreshPath", path, 2, 1024)?;
        let mut refresh = AutoRefresh::of(&flow);
        let Some(at) = refresh.paths.iter().position(|p| p == path) else {
            return Err(fault::not_found("RefreshPath", "auto refresh path"));
        };
        refresh.paths.remove(at);
        keep(r, &flow, &refresh).await
    }))
    .await
}
