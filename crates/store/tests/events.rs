//! Events of tasks: written with what they tell of, numbered, bounded, and the same in every database.
#![allow(
    clippy::large_futures,
    clippy::wildcard_imports,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used
)]

#[path = "store/backends.rs"]
mod backends;
#[path = "store/samples.rs"]
mod samples;

use backends::Database;
use model::*;
use samples::*;
use store::*;

fn events(kind: EventKind, n: std::ops::Range<u64>) -> Vec<Event> {
    n.map(|n| Event::new(kind, &format!("number {n}"))).collect()
}

fn told(e: &TaskEvents) -> Vec<(u64, &str)> {
    e.events.iter().map(|e| (e.seq, e.kind.name())).collect()
}

#[tokio::test]
async fn events_go_down_with_what_they_tell_of_and_not_with_a_fenced_run() {
    for db in Database::each() {
        let s = db.open().await;
        let id = TaskId::from("t-1");
        s.insert_task(&task("t-1", None), 0).await.unwrap();
        assert!(s.insert_task(&task("t-1", None), 0).await.is_err(), "and tells nothing");
        s.claim_next("w1", at(0), LEASE).await.unwrap().unwrap();
        let with = |kind, e: JournalEntry| JournalEntry { events: events(kind, 0..2), ..e };
        s.journal(&id, 1, &with(EventKind::ItemFailed, entry(1, 10))).await.unwrap();
        s.claim_next("w2", at(LEASE + 11), LEASE).await.unwrap().unwrap();
        let late = s.journal(&id, 1, &with(EventKind::Retry, entry(2, 20))).await;
        assert_eq!(kind(late), ErrorKind::Fenced);
        let mut end = finish(TaskStatus::Completed, ledger(1), 30);
        end.events = events(EventKind::Listed, 0..1);
        assert_eq!(kind(s.finish(&id, 1, &end).await), ErrorKind::Fenced);
        s.finish(&id, 2, &end).await.unwrap();
        for reopened in [false, true] {
            let s = match reopened {
                false => s.clone(),
                true => {
                    s.close().await;
                    db.open().await
                }
            };
            let all = s.events(&id, EventsFrom::After(0), 100).await.unwrap();
            let want = [
                (1, "created"),
                (2, "queued"),
                (3, "started"),
                (4, "item-failed"),
                (5, "item-failed"),
                (6, "taken-over"),
                (7, "listed"),
                (8, "completed"),
            ];
            assert_eq!((told(&all), all.total, all.dropped), (want.to_vec(), 8, 0), "{}", db.name);
            assert_eq!(all.events[0].message, "by account a through the nas door");
            assert_eq!(all.events[2].message, "attempt 1 on w1, lease 30 s");
            assert!(all.events[5].message.contains("attempt 2 on w2"), "{:?}", all.events[5]);
            assert!(
                all.events[5].message.contains("1 items read"),
                "from which account: {:?}",
                all.events[5]
            );
            assert_eq!((all.events[4].at, all.events[7].at), (at(10), at(30)));
            let page = s.events(&id, EventsFrom::After(6), 1).await.unwrap();
            assert_eq!((told(&page), page.total), (vec![(7, "listed")], 8));
            let latest = s.events(&id, EventsFrom::Latest, 2).await.unwrap();
            assert_eq!(told(&latest), [(7, "listed"), (8, "completed")]);
            for nothing in [EventsFrom::After(8), EventsFrom::After(u64::MAX)] {
                assert!(s.events(&id, nothing, 9).await.unwrap().events.is_empty());
            }
        }
        let s = db.open().await;
        assert_eq!(s.events(&"none".into(), EventsFrom::Latest, 9).await.unwrap(), TaskEvents::default());
        s.remove_task(&id).await.unwrap();
        assert_eq!(s.events(&id, EventsFrom::Latest, 9).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn events_are_bounded_and_the_dropped_ones_are_counted() {
    for db in Database::each() {
        let s = db.open().await;
        for id in ["t-1", "t-2"] {
            s.insert_task(&task(id, None), 0).await.unwrap();
            s.claim_next("w", at(0), LEASE).await.unwrap().unwrap();
        }
        let id = TaskId::from("t-1");
        for round in 0..7_u64 {
            let many = events(EventKind::Retry, round * 100..round * 100 + 100);
            s.journal(&id, 1, &JournalEntry { events: many, ..entry(1, 1) }).await.unwrap();
        }
        let all = s.events(&id, EventsFrom::After(0), 10_000).await.unwrap();
        assert_eq!((all.events.len() as u64, all.total, all.dropped), (EVENTS_KEPT, 703, 203), "{}", db.name);
        assert_eq!((all.events[0].seq, all.events[0].message.as_str()), (204, "number 200"));
        assert_eq!(s.events(&"t-2".into(), EventsFrom::Latest, 9).await.unwrap().total, 3, "nobody else's");
        let hostile = Event::new(EventKind::ItemFailed, &format!("\x1b[2J\n\0{}", "n".repeat(10_000)));
        s.journal(&id, 1, &JournalEntry { events: vec![hostile], ..entry(1, 1) }).await.unwrap();
        let last = s.events(&id, EventsFrom::Latest, 1).await.unwrap().events.remove(0);
        assert!(last.message.len() < 1100 && !last.message.chars().any(char::is_control), "{last:?}");
    }
}

/// Ten journal entries of two events each, or ten wishes.
async fn meddle(s: Store, writer: u64) {
    let id = TaskId::from("t-1");
    for _ in 0..10 {
        let e = JournalEntry { events: events(EventKind::Retry, 0..2), ..entry(1, 1) };
        match writer {
            1 => drop(s.wish(&id, Transition::Pause, "by me", at(1)).await),
            3 | 5 | 7 => drop(s.wish(&id, Transition::Resume, "by me", at(1)).await),
            _ => assert!(s.journal(&id, 1, &e).await.is_ok()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_many_writers_have_numbers_without_gaps() {
    for db in Database::each() {
        let s = db.open_with(Options { connections: 8, tasks_per_flow: 0, ..Options::default() }).await;
        let id = TaskId::from("t-1");
        s.insert_task(&task("t-1", None), 0).await.unwrap();
        s.claim_next("w", at(0), LEASE).await.unwrap().unwrap();
        let writers = (0..8).map(|w| runtime::spawn(runtime::TaskKind::Test, meddle(s.clone(), w)));
        for w in writers.collect::<Vec<_>>() {
            w.await.unwrap();
        }
        let all = s.events(&id, EventsFrom::After(0), 1000).await.unwrap();
        assert!(all.events.iter().map(|e| e.seq).eq(1..=all.total), "{}: {:?}", db.name, told(&all));
        assert_eq!(all.events.iter().filter(|e| e.kind == EventKind::Retry).count(), 80);
    }
}

#[tokio::test]
async fn wishes_and_silent_ends_are_told() {
    for db in Database::each() {
        let s = db.open().await;
        let (a, b) = (TaskId::from("a"), TaskId::from("b"));
        for id in ["a", "b"] {
            s.insert_task(&task(id, None), 0).await.unwrap();
            s.claim_next("w", at(0), LEASE).await.unwrap().unwrap();
        }
        s.wish(&a, Transition::Pause, "by account 7", at(1)).await.unwrap();
        s.wish(&b, Transition::Cancel, "by operator 8", at(1)).await.unwrap();
        assert!(s.wish(&a, Transition::Pause, "by account 7", at(1)).await.is_err());
        assert!(s.claim_next("w", at(LEASE * 2), LEASE).await.unwrap().is_none());
        let last = |id: TaskId| {
            let s = s.clone();
            async move {
                let found = s.events(&id, EventsFrom::After(3), 9).await.unwrap();
                found.events.into_iter().map(|e| (e.kind, e.message)).collect::<Vec<_>>()
            }
        };
        let silent = "its run went silent while it was coming to rest".to_owned();
        let want = vec![(EventKind::PauseAsked, "by account 7".into()), (EventKind::Paused, silent.clone())];
        assert_eq!(last(a.clone()).await, want, "{}", db.name);
        let want = vec![(EventKind::CancelAsked, "by operator 8".into()), (EventKind::Canceled, silent)];
        assert_eq!(last(b).await, want, "{}", db.name);
        s.wish(&a, Transition::Resume, "by account 7", at(2)).await.unwrap();
        s.claim_next("w", at(LEASE * 2), LEASE).await.unwrap().unwrap();
        s.finish(&a, 2, &finish(TaskStatus::Failed, ledger(2), LEASE * 2)).await.unwrap();
        let told = last(a).await;
        let kinds: Vec<_> = told.iter().skip(2).map(|(k, _)| k.name()).collect();
        assert_eq!(kinds, ["resume-asked", "queued", "started", "failed"]);
        assert!(told.last().unwrap().1.ends_with("; no luck"), "{told:?}");
    }
}

/// A database of the first version, with a task in it, gets its events from here on.
#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_task(&task("t-1", None), 0).await.unwrap();
        s.close().await;
        drop(s);
        let later = [
            "DROP TABLE task_events",
            "DROP TABLE connections",
            "DROP TABLE dip_topics",
            "DROP TABLE pipelines",
            "DROP TABLE pipeline_uses",
            "DROP TABLE pipeline_state",
            "DROP TABLE pipeline_marks",
            "DROP TABLE dead_letters",
            "DROP TABLE flow_logs",
            "DROP TABLE dis_minutes",
            "DROP TABLE dis_checkpoints",
            "DROP TABLE dis_apps",
            "DROP TABLE dis_streams",
            "DELETE FROM schema_version WHERE version > 1",
        ];
        backends::sql(&db.url, &later).await;
        let s = db.open().await;
        let id = TaskId::from("t-1");
        assert_eq!(s.events(&id, EventsFrom::After(0), 9).await.unwrap(), TaskEvents::default());
        s.claim_next("w", at(0), LEASE).await.unwrap().unwrap();
        let all = s.events(&id, EventsFrom::After(0), 9).await.unwrap();
        assert_eq!(told(&all), [(1, "started")], "{}", db.name);
    }
}
