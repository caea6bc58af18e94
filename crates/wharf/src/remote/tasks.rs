//! `wharf task`

use api_admin::wire::{PlanView, TaskView, Tasks};
use serde_json::json;

use super::{Answer, call, events};
use crate::cli::{Conflict, TaskCommand, Transfer, Way};
use crate::client::Client;
use crate::progress::Bar;
use crate::words;

pub async fn run(client: &Client, command: TaskCommand, quiet: bool) -> Result<Answer, String> {
    match command {
        TaskCommand::List { flow, limit, .. } => {
            let tasks: Tasks = call(client, "ListTasks", json!({ "flow": flow, "limit": limit })).await?;
            Ok(Answer::new(table(&tasks.tasks), &tasks))
        }
        TaskCommand::Show { id, .. } => events::show(client, &id).await,
        TaskCommand::Events { id, follow, after, .. } if follow => {
            events::follow(client, &id, after, quiet).await
        }
        TaskCommand::Events { id, after, .. } => events::list(client, &id, after).await,
        TaskCommand::Plan { what, .. } => plan(client, &what).await,
        TaskCommand::Create { what, dry_run: true, .. } => plan(client, &what).await,
        TaskCommand::Create { what, detach, .. } => {
            let task: TaskView = call(client, "CreateTask", params(&what)).await?;
            if detach {
                return Ok(Answer::new(task.id.clone(), &task));
            }
            Ok(shown(&watch_to_end(client, &task.id, quiet).await?))
        }
        TaskCommand::Watch { id, .. } => Ok(shown(&watch_to_end(client, &id, quiet).await?)),
        TaskCommand::Pause { id, .. } => Ok(shown(&call(client, "PauseTask", json!({ "id": id })).await?)),
        TaskCommand::Resume { id, .. } => Ok(shown(&call(client, "ResumeTask", json!({ "id": id })).await?)),
        TaskCommand::Cancel { id, .. } => Ok(shown(&call(client, "CancelTask", json!({ "id": id })).await?)),
    }
}

fn params(what: &Transfer) -> serde_json::Value {
    let way = if what.way == Way::Import { "import" } else { "export" };
    json!({ "flow": what.flow, "way": way, "path": what.path, "conflict": rule(what.conflict) })
}

async fn plan(client: &Client, what: &Transfer) -> Result<Answer, String> {
    let plan: PlanView = call(client, "PlanTask", params(what)).await?;
    Ok(Answer::new(plan_text(&plan), &plan))
}

/// Watches a task until it can't change by itself any more, with a bar.
async fn watch_to_end(client: &Client, id: &str, quiet: bool) -> Result<TaskView, String> {
    let bar = Bar::new(quiet);
    bar.name(id);
    loop {
        let task: TaskView = call(client, "GetTask", json!({ "id": id })).await?;
        bar.position(task.items_done, task.items_found, task.bytes_done, task.bytes_found, task.scan_done);
        if matches!(task.status.as_str(), "completed" | "failed" | "canceled" | "paused")
            || task.kind == "stream"
        {
            bar.leave();
            return Ok(task);
        }
        tokio::time::sleep(Bar::EVERY).await;
    }
}

fn rule(c: Conflict) -> &'static str {
    match c {
        Conflict::IfChanged => "if-changed",
        Conflict::Skip => "skip",
        Conflict::Latest => "latest",
        Conflict::Overwrite => "overwrite",
    }
}

pub fn shown(t: &TaskView) -> Answer {
    let mut text =
        format!("{} {} {} → {}\n{}", t.id, t.status, t.source, t.destination, words::ledger(&t.ledger));
    if let Some(e) = &t.error {
        text.push_str(&format!("\nerror: {e}"));
    }
    for r in &t.reports {
        text.push_str(&format!("\nreport {}: {}", r.name, r.path));
    }
    let ok = t.status != "failed";
    Answer { ok, ..Answer::new(text, t) }
}

fn table(tasks: &[TaskView]) -> String {
    let rows = tasks.iter().map(|t| {
        let done = t.ledger.items.read - t.ledger.items.failed;
        vec![
            t.id.clone(),
            t.door.clone(),
            t.status.clone(),
            t.source.clone(),
            t.destination.clone(),
            format!("{}/{}", words::count(done), words::count(t.items_found.max(t.ledger.items.read))),
            words::size(t.ledger.bytes.written),
            words::count(t.ledger.items.failed),
        ]
    });
    words::table(&["TASK", "DOOR", "STATUS", "FROM", "TO", "ITEMS", "WRITTEN", "FAILED"], rows.collect())
}

fn plan_text(p: &PlanView) -> String {
    let at_least = if p.complete { "" } else { "partial, the time was over: at least " };
    let n = words::count;
    let mut text = format!(
        "{at_least}{} items at the source\n\
         would write {} items ({} files), {}; {} unchanged\n\
         {} conflicts: {} written over, {} left alone; {} can't be moved\n\
         about {} requests, {} s",
        n(p.items),
        n(p.ledger.items.written),
        n(p.files_to_write),
        words::size(p.bytes_to_write),
        n(p.unchanged),
        n(p.conflicts),
        n(p.overwritten),
        n(p.skipped),
        n(p.refused),
        n(p.requests),
        p.estimated_s
    );
    for problem in &p.problems {
        text.push_str(&format!("\n  {problem}"));
    }
    text
}
