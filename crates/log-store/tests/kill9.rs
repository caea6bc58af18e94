//! A writer that is killed: what it was told to be kept is there, and nothing is there twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use log_store::{Batch, NewRecord, Order, Query, Settings, Topic};
use runtime::Clock;

const FOLDER: &str = "LOG_STORE_KILL9";

fn open(folder: &Path) -> Topic {
    let settings = Settings { segment_bytes: 20_000, ..Settings::default() };
    Topic::open(folder, settings, Clock::system()).unwrap()
}

/// Not a test: what the test starts and kills. It repeats the last batches first, as a pipeline does.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let topic = open(Path::new(&folder));
    let mut at = topic.progress("w").map_or(0, |p| p.next - 100).max(0);
    let mut out = std::io::stdout().lock();
    loop {
        let texts: Vec<String> = (at..at + 50).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
        let records: Vec<_> = (at..)
            .zip(&texts)
            .map(|(n, t)| NewRecord { position: n, time: n, stream: "s", text: t.as_bytes() })
            .collect();
        at += 50;
        topic.append(&Batch { writer: "w", next: at, note: "", records: &records }).unwrap();
        if writeln!(out, "kept {at}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut kept =
            lines.map_while(Result::ok).filter_map(|l| l.split("kept ").nth(1)?.parse::<i64>().ok());
        // The moment of death differs from round to round.
        acknowledged = kept.nth(5 + round * 7).expect("the writer writes");
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = kept.last().unwrap_or(acknowledged);
    }
    let topic = open(folder.path());
    let (mut q, mut found) = (Query { order: Order::Oldest, limit: 5000, ..Query::default() }, Vec::new());
    loop {
        let page = topic.query(&q, Duration::from_secs(60)).unwrap();
        found.extend(page.records.iter().map(|r| r.time));
        q.after = page.next;
        if q.after.is_none() {
            break;
        }
    }
    let end = topic.progress("w").unwrap().next;
    assert!(end >= acknowledged && acknowledged > 0);
    assert_eq!(found, (0..end).collect::<Vec<_>>());
    assert_eq!(topic.stats().damaged, 0);
}
