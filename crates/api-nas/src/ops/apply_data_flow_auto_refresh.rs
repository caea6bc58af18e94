//! `ApplyDataFlowAutoRefresh`: adds paths whose changes in the bucket are to be followed.

use api::{Field, Operation, Outcome, Ty};
use control::FlowChange;
use model::FlowStatus;

use crate::fault;
use crate::fields::{
    AUTO_REFRESH_INTERVAL, AUTO_REFRESH_NOTE, AUTO_REFRESH_POLICY, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN,
    FILE_SYSTEM_ID,
};
use crate::flow_view::{AutoRefresh, directory_path};
use crate::request::{Request, flow_in};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "ApplyDataFlowAutoRefresh",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new(
            "AutoRefreshs",
            Ty::List(&Ty::Object(&[Field::new("RefreshPath", Ty::Str).stored(AUTO_REFRESH_NOTE)])),
        )
        .required(),
        AUTO_REFRESH_POLICY,
        AUTO_REFRESH_INTERVAL,
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "General-purpose CPFS only. Paths are added to those of the flow, at most 5.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.general_only()?;
        let flow = r.flow(&on).await?;
        flow_in(&flow, &[FlowStatus::Running])?;
        if r.p.list("AutoRefreshs").is_empty() {
            return Err(fault::missing("AutoRefreshs"));
        }
        let mut refresh = AutoRefresh::of(&flow);
        refresh.take_settings(r, 10, 525_600)?;
        refresh.take_paths(r, &on, &directory_path(&flow)).await?;
        if !r.dry_run() {
            let change = change(&refresh);
            r.control().update_flow(&r.caller, &flow.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}

/// Sets a flow's auto refresh.
pub fn change(refresh: &AutoRefresh) -> FlowChange {
    let attributes = refresh.attributes().into_iter().map(|(k, v)| (k, Some(v))).collect();
    FlowChange { attributes, ..Default::default() }
}
