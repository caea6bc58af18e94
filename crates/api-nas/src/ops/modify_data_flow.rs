//! `ModifyDataFlow`: words and throughput of a running flow.

use api::{Field, Operation, Outcome, Ty};
use control::FlowChange;
use model::FlowStatus;

use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID, THROUGHPUT_NOTE};
use crate::request::{Request, flow_in};
use crate::{fault, rules};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "ModifyDataFlow",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("Description", Ty::Str),
        Field::new("Throughput", Ty::Int).stored(THROUGHPUT_NOTE),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "Throughput is required for general-purpose CPFS and refused for CPFS for Lingjun.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        let flow = r.flow(&on).await?;
        let mut change = FlowChange::default();
        if on.is_lingjun() {
            r.none_of(&["Throughput"], "CPFS for Lingjun")?;
        } else {
            let value = r.p.i64("Throughput").ok_or_else(|| fault::missing("Throughput"))?;
            rules::throughput(value, on.fs.bandwidth_mbps)?;
            change.attributes.insert("Throughput".to_owned(), Some(value.to_string()));
        }
        if let Some(words) = r.given("Description") {
            rules::description(words)?;
            change.description = Some(words.to_owned());
        }
        flow_in(&flow, &[FlowStatus::Running])?;
        if !r.dry_run() {
            r.control().update_flow(&r.caller, &flow.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
