//! `wharf pipeline`, `wharf connection`

use api_admin::wire::{ConnectionView, Connections, EndView, PipelineView, Pipelines};
use serde_json::json;

use super::{Answer, act, call};
use crate::cli::{ConnectionCommand, PipelineCommand};
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: PipelineCommand) -> Result<Answer, String> {
    let (action, id) = match command {
        PipelineCommand::List(l) => {
            let params = json!({ "search": l.search, "limit": l.limit });
            let all: Pipelines = call(client, "ListPipelines", params).await?;
            return Ok(Answer::new(table(&all.pipelines), &all));
        }
        PipelineCommand::Show(o) => ("GetPipeline", o.id),
        PipelineCommand::Pause(o) => ("PausePipeline", o.id),
        PipelineCommand::Resume(o) => ("ResumePipeline", o.id),
        PipelineCommand::Restart(o) => ("RestartPipeline", o.id),
        PipelineCommand::Delete(o) => ("DeletePipeline", o.id),
    };
    let p: PipelineView = call(client, action, json!({ "id": id })).await?;
    Ok(Answer::new(shown(&p), &p))
}

pub async fn connections(client: &Client, command: ConnectionCommand) -> Result<Answer, String> {
    match command {
        ConnectionCommand::List(l) => {
            let params = json!({ "search": l.search, "limit": l.limit });
            let all: Connections = call(client, "ListConnections", params).await?;
            Ok(Answer::new(connection_table(&all.connections), &all))
        }
        ConnectionCommand::Show(o) => {
            let c: ConnectionView = call(client, "GetConnection", json!({ "id": o.id })).await?;
            let text = format!("{}\naddress: {}", connection_table(std::slice::from_ref(&c)), c.address);
            Ok(Answer::new(text, &c))
        }
        ConnectionCommand::Delete(o) => {
            act(client, "DeleteConnection", json!({ "id": o.id })).await?;
            Ok(Answer::new(format!("{} is gone", o.id), &json!({ "id": o.id })))
        }
    }
}

/// `kafka through ckafka-1`
fn end(e: &EndView) -> String {
    match &e.connection {
        Some(c) => format!("{} through {c}", e.kind),
        None => e.kind.clone(),
    }
}

fn shown(p: &PipelineView) -> String {
    let mut text = format!(
        "{} {} {}: {} → {}\n{}",
        p.id,
        p.name,
        p.status,
        end(&p.source),
        end(&p.sink),
        words::ledger(&p.ledger)
    );
    let mut line = |name: &str, value: String| text.push_str(&format!("\n{name}: {value}"));
    if let Some(e) = &p.error {
        line("error", e.clone());
    }
    if p.dead_letters > 0 {
        let letters = words::count(p.dead_letters);
        line("dead letters", format!("{letters}, {} (wharf dead list {})", words::size(p.dead_bytes), p.id));
    }
    line("source", p.source.options.clone());
    line("sink", p.sink.options.clone());
    if let Some(t) = &p.transform {
        line("transform", t.clone());
    }
    if let Some(s) = &p.sync {
        line("sync", s.clone());
    }
    text
}

fn table(pipelines: &[PipelineView]) -> String {
    let rows = pipelines.iter().map(|p| {
        vec![
            p.id.clone(),
            p.name.clone(),
            p.status.clone(),
            end(&p.source),
            end(&p.sink),
            words::count(p.ledger.items.read),
            words::count(p.ledger.items.written),
            words::count(p.dead_letters),
            p.error.clone().unwrap_or_default().chars().take(60).collect(),
        ]
    });
    let header = ["PIPELINE", "NAME", "STATUS", "FROM", "TO", "READ", "WRITTEN", "DEAD", "ERROR"];
    words::table(&header, rows.collect())
}

fn connection_table(connections: &[ConnectionView]) -> String {
    let rows = connections.iter().map(|c| {
        vec![
            c.id.clone(),
            c.name.clone(),
            c.product.clone(),
            c.kind.clone().unwrap_or_else(|| "-".to_owned()),
            c.account.clone().unwrap_or_else(|| "everybody".to_owned()),
            c.origin.clone(),
            words::count(c.pipelines),
        ]
    });
    let header = ["CONNECTION", "NAME", "PRODUCT", "CONNECTOR", "ACCOUNT", "ORIGIN", "PIPELINES"];
    words::table(&header, rows.collect())
}
