//! `wharf flowlog`

use api_admin::wire::{FlowLogView, FlowLogs};
use serde_json::json;

use super::{Answer, call};
use crate::cli::FlowLogCommand;
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: FlowLogCommand) -> Result<Answer, String> {
    match command {
        FlowLogCommand::List(l) => {
            let params = json!({ "search": l.search, "limit": l.limit });
            let all: FlowLogs = call(client, "ListFlowLogs", params).await?;
            Ok(Answer::new(table(&all.flow_logs), &all))
        }
        FlowLogCommand::Show(o) => {
            let f: FlowLogView = call(client, "GetFlowLog", json!({ "id": o.id })).await?;
            Ok(Answer::new(shown(&f), &f))
        }
    }
}

fn state(f: &FlowLogView) -> &'static str {
    match (f.enabled, &f.error) {
        (false, _) => "disabled",
        (true, Some(_)) => "in trouble",
        (true, None) => "enabled",
    }
}

fn shown(f: &FlowLogView) -> String {
    let mut text = format!(
        "{} {} {}: {} {} → {} {}",
        f.id,
        f.name,
        state(f),
        f.traffic,
        f.resource,
        f.connection,
        f.topic
    );
    let mut line = |name: &str, value: String| text.push_str(&format!("\n{name}: {value}"));
    if let Some(e) = &f.error {
        line("error", e.clone());
    }
    let counts =
        [words::count(f.records), words::count(f.windows), words::count(f.packets), words::size(f.bytes)];
    let [records, windows, packets, bytes] = counts;
    line("written", format!("{records} records of {windows} windows: {packets} packets, {bytes}"));
    let lost = [f.lost_observed, f.lost_records, f.lost_packets, f.gaps].map(words::count);
    let [observed, records, packets, gaps] = lost;
    line(
        "lost",
        format!("{observed} not accounted, {records} records of {packets} packets thrown away, {gaps} gaps"),
    );
    line("observed by", f.method.clone());
    for limit in &f.limits {
        line("not seen", limit.clone());
    }
    text
}

fn table(logs: &[FlowLogView]) -> String {
    let rows = logs.iter().map(|f| {
        vec![
            f.id.clone(),
            f.name.clone(),
            state(f).to_owned(),
            f.resource.clone(),
            f.traffic.clone(),
            format!("{} {}", f.connection, f.topic),
            words::count(f.records),
            words::count(f.packets),
            words::count(f.lost_observed.saturating_add(f.lost_packets)),
            f.error.clone().unwrap_or_default().chars().take(60).collect(),
        ]
    });
    let header =
        ["FLOW LOG", "NAME", "STATE", "RESOURCE", "TRAFFIC", "TO", "RECORDS", "PACKETS", "LOST", "ERROR"];
    words::table(&header, rows.collect())
}
