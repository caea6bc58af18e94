//! `ApplyDataFlowAutoRefresh`: adds paths whose changes in the bucket are to be followed.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::FlowChange;
use model::{Flow, FlowStatus};

use crate::fault;
use crate::fields::{
    AUTO_REFRESH_INTERVAL, AUTO_REFRESH_NOTE, AUTO_REFRESH_POLICY, CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN,
    FILE_SYSTEM_ID,
};
use crate::flow_view::{AutoRefresh, directory_path};
use crate::request::Request;

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
        let (on, flow) = r.general_flow(&[FlowStatus::Running]).await?;
        if r.p.list("AutoRefreshs").is_empty() {
            return Err(fault::missing("AutoRefreshs"));
        }
        let mut refresh = AutoRefresh::of(&flow);
        refresh.take_settings(r, 10, 525_600)?;
        refresh.take_paths(r, &on, &directory_path(&flow)).await?;
        keep(r, &flow, &refresh).await
    }))
    .await
}

/// Sets a flow's auto refresh, unless only checks are wanted. There is no id to answer with.
///
/// # Errors
/// As changing the flow.
pub async fn keep(r: &Request<'_>, flow: &Flow, refresh: &AutoRefresh) -> Result<String, Fault> {
    if !r.dry_run() {
        let attributes = refresh.attributes().into_iter().map(|(k, v)| (k, Some(v))).collect();
        let change = FlowChange { attributes, ..Default::default() };
        r.control().update_flow(&r.caller, &flow.id, change).await.map_err(|e| fault::of(&e))?;
    }
    Ok(String::new())
}
