//! `ListFlowLogs`, `GetFlowLog`.

use api::Fault;
use control::{Caller, Control, FlowLogFilter, Page};
use model::{FlowLog, FlowLogId};
use serde::Deserialize;

use super::Id;
use crate::fault::fault;
use crate::wire::{FlowLogView, FlowLogs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    search: Option<String>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "hundred")]
    limit: u64,
}

fn hundred() -> u64 {
    100
}

pub async fn list(c: &Control, request: List) -> Result<FlowLogs, Fault> {
    let page = Page { offset: request.offset, limit: request.limit.min(1000), newest_first: true };
    let filter = FlowLogFilter { name: request.search, page, ..FlowLogFilter::default() };
    let (found, total) = c.flow_logs(&Caller::operator(), &filter).await.map_err(fault)?;
    Ok(FlowLogs { flow_logs: found.into_iter().map(shown).collect(), total })
}

pub async fn get(c: &Control, request: Id) -> Result<FlowLogView, Fault> {
    let id = FlowLogId::from(request.id);
    c.flow_log(&Caller::operator(), &id).await.map(shown).map_err(fault)
}

fn shown(f: FlowLog) -> FlowLogView {
    let s = f.state;
    FlowLogView {
        id: f.id.0,
        account: f.account.0,
        name: f.name,
        description: f.description,
        kind: f.kind.name().to_owned(),
        resource: f.resource,
        vpc: f.vpc,
        traffic: f.traffic.name().to_owned(),
        period_s: f.period_s,
        connection: f.topic.connection.0,
        topic: f.topic.topic,
        enabled: f.enabled,
        attempt: f.attempt,
        method: s.method,
        limits: s.limits,
        error: s.error,
        records: s.records,
        packets: s.packets,
        bytes: s.bytes,
        windows: s.windows,
        lost_observed: s.lost_observed,
        lost_records: s.lost_records,
        lost_packets: s.lost_packets,
        gaps: s.gaps,
        covered: s.covered.map(|t| t.0),
        created: f.created.0,
    }
}
