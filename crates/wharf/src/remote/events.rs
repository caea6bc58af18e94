//! `wharf task events`, and the events in `wharf task show`.

use std::time::Duration;

use api_admin::wire::{EventView, TaskEvents, TaskView};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Answer, call, tasks};
use crate::client::Client;

/// Events that are asked for at once.
const PAGE: u64 = 500;
/// Events in `wharf task show`.
const SHOWN: u64 = 5;
/// How often a follower asks.
const EVERY: Duration = Duration::from_millis(500);

/// `--json` of `wharf task show`.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    task: &'a TaskView,
    events: &'a TaskEvents,
}

/// One task with its last events.
pub async fn show(client: &Client, id: &str) -> Result<Answer, String> {
    let task: TaskView = call(client, "GetTask", json!({ "id": id })).await?;
    let latest = json!({ "id": id, "latest": true, "limit": SHOWN });
    let events: TaskEvents = call(client, "ListTaskEvents", latest).await?;
    let plain = tasks::shown(&task);
    let mut text = plain.text;
    if !events.events.is_empty() {
        text.push_str(&format!("\nevents, the last {} of {}:", events.events.len(), events.total));
    }
    for e in &events.events {
        text.push_str(&format!("\n  {}", line(e)));
    }
    Ok(Answer { ok: plain.ok, ..Answer::new(text, &Shown { task: &task, events: &events }) })
}

/// All events that are kept.
pub async fn list(client: &Client, id: &str, after: u64) -> Result<Answer, String> {
    let mut all = page(client, id, after).await?;
    // A bound, should they come faster than they are read.
    for _ in 0..100 {
        if !all.more {
            break;
        }
        let next = page(client, id, all.next).await?;
        all.events.extend(next.events);
        (all.next, all.more, all.total, all.dropped) = (next.next, next.more, next.total, next.dropped);
    }
    let mut text = String::new();
    if all.dropped > after {
        text.push_str(&dropped(all.dropped - after));
    }
    for e in &all.events {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line(e));
    }
    Ok(Answer::new(text, &all))
}

/// Prints events as they come, until the task has ended.
pub async fn follow(client: &Client, id: &str, mut after: u64, as_json: bool) -> Result<Answer, String> {
    loop {
        // Asked first: what has ended by now has told everything by the time of the next call.
        let task: TaskView = call(client, "GetTask", json!({ "id": id })).await?;
        let ended = matches!(task.status.as_str(), "completed" | "failed" | "canceled");
        let mut more = true;
        while more {
            let found = page(client, id, after).await?;
            if let Some(lost) = found.events.first().map(|e| e.seq - 1).filter(|first| *first > after) {
                complain!("{}", dropped(lost - after));
            }
            for e in &found.events {
                if as_json {
                    say!("{}", serde_json::to_string(e).unwrap_or_default());
                } else {
                    say!("{}", line(e));
                }
            }
            more = found.more && found.next > after;
            after = found.next;
        }
        if ended {
            return Ok(Answer { said: true, ..Answer::new(String::new(), &()) });
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn page(client: &Client, id: &str, after: u64) -> Result<TaskEvents, String> {
    call(client, "ListTaskEvents", json!({ "id": id, "after": after, "limit": PAGE })).await
}

fn dropped(n: u64) -> String {
    format!("({n} older events were dropped)")
}

fn line(e: &EventView) -> String {
    format!("{}  {:<12}  {}", moment(e.at), e.kind, e.message)
}

/// `2026-11-22 10:24:13.123` in UTC.
fn moment(us: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000).ok();
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| us.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_kind_and_words() {
        let e =
            EventView { seq: 1, at: 1_795_343_053_123_456, kind: "created".into(), message: "by me".into() };
        assert_eq!(line(&e), "2026-11-22 10:24:13.123  created       by me");
        assert_eq!(moment(i64::MAX), i64::MAX.to_string());
    }
}
