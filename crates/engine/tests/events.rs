//! What a task's events tell of a real run: each step once, failures by name up to a number, retries
//! together, and nothing that is secret or steers a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_imports,
    clippy::large_futures,
    clippy::panic,
    missing_docs
)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/served.rs"]
mod served;

use connector::ErrorKind;
use memory::{Mishap, Op};
use model::EventKind as K;
use model::*;
use runtime::Bandwidth;
use served::{Served, spec};

fn kinds(events: &[(K, String)]) -> Vec<K> {
    events.iter().map(|(k, _)| *k).collect()
}

#[tokio::test]
async fn a_task_tells_of_each_step_once() {
    let s = Served::start().await;
    for n in 0..300 {
        s.bucket.file(&format!("f{n:03}"), b"12345");
    }
    let task = s.run("t", spec(Direction::Import)).await;
    assert_eq!(task.status, TaskStatus::Completed);
    let events = s.events("t").await;
    let steps: Vec<K> = kinds(&events).into_iter().filter(|k| *k != K::Progress).collect();
    assert_eq!(steps, [K::Created, K::Queued, K::Started, K::Listed, K::Completed], "{events:?}");
    let text = |kind: K| &events.iter().find(|(k, _)| *k == kind).unwrap().1;
    assert!(text(K::Started).starts_with("attempt 1 on local-"), "{events:?}");
    assert_eq!(text(K::Listed), "listing done: 300 items, 1500 bytes");
    assert!(text(K::Completed).starts_with("300 items read = 300 written + 0 unchanged"), "{events:?}");
    s.local.stop().await;
}

#[tokio::test]
async fn failures_are_named_up_to_a_number_and_hostile_names_are_tamed() {
    let s = Served::start().await;
    let long = "x".repeat(10_000);
    let hostile = ["\x1b[2J\nroot", "https://h/k?X-Amz-Signature=canary-canary", &long];
    s.bucket.lock().bad_keys = hostile.iter().map(|k| k.as_bytes().to_vec()).collect();
    for n in 0..60 {
        let key = format!("f{n:03}");
        s.bucket.file(&key, b"1");
        s.directory.script(Op::Put, &key, &[Mishap::Before(ErrorKind::Unacceptable)]);
    }
    let task = s.run("t", spec(Direction::Import)).await;
    assert_eq!((task.status, task.ledger.items.failed), (TaskStatus::Failed, 63));
    let events = s.events("t").await;
    let failed: Vec<_> = events.iter().filter(|(k, _)| *k == K::ItemFailed).map(|(_, m)| m).collect();
    assert_eq!(failed.len(), 21, "twenty, and that there are more: {failed:?}");
    assert!(failed[20].contains("failed list"));
    assert!(failed.iter().any(|m| m.contains("f000: unacceptable")), "{failed:?}");
    for (_, message) in &events {
        assert!(message.len() < 1100 && !message.chars().any(char::is_control), "{message:?}");
        assert!(!message.contains("canary"), "{message}");
    }
    let last = events.last().unwrap();
    assert!(last.0 == K::Failed && last.1.contains("63 failed") && last.1.contains("could not be moved"));
    s.local.stop().await;
}

#[tokio::test]
async fn retries_are_told_together_with_their_reason() {
    let s = Served::start().await;
    for n in 0..40 {
        let key = format!("f{n:03}");
        s.bucket.file(&key, b"1");
        s.bucket.script(Op::Open, &key, &[Mishap::Before(ErrorKind::Throttled)]);
    }
    s.bucket.script(Op::List, "", &[Mishap::Before(ErrorKind::Unavailable)]);
    let task = s.run("t", spec(Direction::Import)).await;
    assert_eq!(task.status, TaskStatus::Completed);
    let events = s.events("t").await;
    let retries: Vec<_> = events.iter().filter(|(k, _)| *k == K::Retry).map(|(_, m)| m.as_str()).collect();
    assert!((1..=2).contains(&retries.len()), "{retries:?}");
    let told: u64 = retries.iter().map(|m| m.split(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(told, 41, "all of them, in few lines: {retries:?}");
    assert!(retries.last().unwrap().contains("throttled: scripted"), "{retries:?}");
    s.local.stop().await;
}

#[tokio::test]
async fn pause_resume_cancel_and_an_orderly_stop_are_told() {
    // 20 items of 1 kB at 4 kB a second: long enough for a hand to reach in.
    let s = Served::with(Bandwidth::limited(4000)).await;
    for n in 0..20 {
        s.bucket.file(&format!("f{n:03}"), &[1; 1000]);
    }
    let id = TaskId::from("t");
    let now = || Timestamp(s.clock.now().0);
    s.submit("t", spec(Direction::Import)).await;
    s.until("t", |t| t.status == TaskStatus::Executing).await;
    s.store.wish(&id, Transition::Pause, "by account me", now()).await.unwrap();
    s.local.signal(&id);
    s.until("t", |t| t.status == TaskStatus::Paused).await;
    s.store.wish(&id, Transition::Resume, "by operator boss", now()).await.unwrap();
    s.local.wake();
    s.until("t", |t| t.status == TaskStatus::Executing).await;
    s.local.stop().await;
    let task = s.until("t", |t| t.status == TaskStatus::Pending).await;
    assert_eq!(task.attempt, 2);
    s.store.wish(&id, Transition::Cancel, "by account me", now()).await.unwrap();
    let events = s.events("t").await;
    let steps: Vec<K> =
        kinds(&events).into_iter().filter(|k| !matches!(k, K::Progress | K::Listed)).collect();
    let want = [
        K::Created,
        K::Queued,
        K::Started,
        K::PauseAsked,
        K::Paused,
        K::ResumeAsked,
        K::Queued,
        K::Started,
        K::Queued,
        K::CancelAsked,
        K::Canceled,
    ];
    assert_eq!(steps, want, "{events:?}");
    assert!(events.contains(&(K::ResumeAsked, "by operator boss".to_owned())));
    assert!(events.iter().any(|(k, m)| *k == K::Started && m.contains("goes on from its checkpoint")));
}
