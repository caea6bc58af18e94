//! Pipelines, their runs and their dead letters, over every database that can be had; with attacks on what is promised.
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

use std::collections::BTreeMap;

use backends::Database;
use model::*;
use samples::{LEASE, at, kind, ledger};
use store::{ErrorKind as E, *};

fn connection(id: &str) -> Connection {
    Connection {
        id: id.into(),
        account: Some("a".into()),
        name: id.into(),
        description: String::new(),
        kind: Some(EndKind::Elastic),
        product: "ES".into(),
        address: "{}".into(),
        secret: Some(Sealed(vec![1])),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        origin: Origin::Registered,
        created: at(1),
    }
}

fn topic(name: &str) -> DipTopic {
    DipTopic {
        id: format!("topic-{name}"),
        account: "a".into(),
        name: name.into(),
        note: String::new(),
        partitions: 1,
        retention_ms: 1,
        user: "u".into(),
        password: Sealed(vec![2]),
        tags: BTreeMap::new(),
        created: at(1),
    }
}

fn end(kind: EndKind, connection: Option<&str>) -> PipelineEnd {
    PipelineEnd {
        kind,
        connection: connection.map(Into::into),
        address: String::new(),
        secret: None,
        options: "{}".into(),
    }
}

fn pipeline(id: &str, sink: Option<&str>) -> Pipeline {
    Pipeline {
        id: id.into(),
        account: "a".into(),
        name: format!("name of {id}"),
        description: String::new(),
        direction: PipelineDirection::Sink,
        source: end(EndKind::Kafka, None),
        sink: end(EndKind::Elastic, sink),
        transform: None,
        on_failure: OnFailure::Block,
        on_refusal: OnFailure::Keep { copy: None, retries: 0, interval_ms: 0 },
        lanes: None,
        bytes_per_s: None,
        records_per_s: None,
        status: PipelineStatus::Creating,
        error: None,
        ledger: Ledger::default(),
        attempt: 0,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        created: at(10),
        deleted: None,
    }
}

fn needs() -> PipelineNeeds {
    PipelineNeeds { worked: true, topics: vec![], per_account: 0, ..PipelineNeeds::default() }
}

fn mark(partition: i32, next: i64) -> PipelineMark {
    PipelineMark { topic: "t".into(), partition, next, text: format!("1:{next}") }
}

fn letter(offset: i64, value: &[u8]) -> DeadLetter {
    DeadLetter {
        pipeline: "task-1".into(),
        topic: "t".into(),
        partition: 0,
        offset,
        sub: 0,
        stage: Stage::Sink,
        kind: "unacceptable".into(),
        reason: "no such column\0".into(),
        key: Some(vec![0, 255]),
        value: Some(value.to_vec()),
        headers: vec![(b"h".to_vec(), None), (b"i".to_vec(), Some(vec![0]))],
        timestamp_ms: -1,
        at: at(offset),
        status: DeadStatus::Waiting,
    }
}

async fn claimed(s: &Store, now: i64) -> Pipeline {
    let p = s.claim_pipeline("w", at(now), LEASE).await.unwrap().unwrap();
    s.pipeline_began(&p.id, p.attempt, at(now)).await.unwrap();
    p
}

#[tokio::test]
async fn a_pipeline_comes_back_as_it_went_in_also_after_a_restart() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_connection(&connection("resource-1"), 1).await.unwrap();
        let p = pipeline("task-1", Some("resource-1"));
        s.insert_pipeline(&p, &needs()).await.unwrap();
        s.insert_topic(&topic("t"), 0).await.unwrap();
        assert_eq!(s.pipeline(&p.id).await.unwrap().as_ref(), Some(&p), "{}", db.name);
        s.close().await;
        let s = db.open().await;
        assert_eq!(s.pipeline(&p.id).await.unwrap().as_ref(), Some(&p));
        assert_eq!(s.connection(&"resource-1".into()).await.unwrap(), Some(connection("resource-1")));
        assert_eq!(s.topic("t").await.unwrap(), Some(topic("t")));
        assert_eq!(s.topic("topic-t").await.unwrap(), Some(topic("t")));
        s.close().await;
    }
}

#[tokio::test]
async fn names_are_one_of_a_kind_in_an_account_and_free_again_after_deletion() {
    for db in Database::each() {
        let s = db.open().await;
        let p = pipeline("task-1", None);
        s.insert_pipeline(&p, &needs()).await.unwrap();
        let twin = Pipeline { id: "task-2".into(), ..p.clone() };
        assert_eq!(kind(s.insert_pipeline(&twin, &needs()).await), E::Exists);
        let theirs = Pipeline { id: "task-3".into(), account: "b".into(), ..p.clone() };
        s.insert_pipeline(&theirs, &needs()).await.unwrap();
        let other = Pipeline { id: "task-4".into(), name: "other".into(), ..p.clone() };
        s.insert_pipeline(&other, &needs()).await.unwrap();
        let renamed = s.change_pipeline(&other.id, |o| {
            o.name.clone_from(&p.name);
            Ok::<_, ()>(())
        });
        assert_eq!(kind(renamed.await), E::Exists);
        let deleted = s.order_pipeline(&p.id, PipelineOrder::Delete, at(20)).await.unwrap();
        assert_eq!((deleted.status, deleted.deleted), (PipelineStatus::Deleted, Some(at(20))));
        s.insert_pipeline(&twin, &needs()).await.unwrap();
        // A change of the deleted one does not take the name back.
        s.change_pipeline(&p.id, |_| Ok::<_, ()>(())).await.unwrap().unwrap();
        let limit = PipelineNeeds { per_account: 2, ..needs() };
        let more = Pipeline { id: "task-5".into(), name: "more".into(), ..p.clone() };
        assert_eq!(kind(s.insert_pipeline(&more, &limit).await), E::Limit);
        let mut clone = connection("resource-1");
        s.insert_connection(&clone, 0).await.unwrap();
        clone.id = "resource-2".into();
        assert_eq!(kind(s.insert_connection(&clone, 0).await), E::Exists);
        clone.name = "two".into();
        assert_eq!(kind(s.insert_connection(&clone, 1).await), E::Limit);
        for id in ["ckafka-1", "ckafka-2"] {
            // What the configuration declares belongs to nobody.
            let declared = Connection { account: None, name: "same".into(), ..connection(id) };
            s.insert_connection(&declared, 1).await.unwrap();
        }
        s.close().await;
    }
}

#[tokio::test]
async fn twenty_workers_get_twenty_pipelines_and_nobody_the_same_one() {
    for db in Database::each() {
        let s = db.open_with(Options { connections: 8, ..Options::default() }).await;
        for i in 0..20 {
            s.insert_pipeline(&pipeline(&format!("task-{i}"), None), &needs()).await.unwrap();
        }
        let workers = (0..30).map(|i| {
            let s = s.clone();
            let name = format!("w{i}");
            runtime::spawn(runtime::TaskKind::Test, async move {
                s.claim_pipeline(&name, at(100), LEASE).await.unwrap()
            })
        });
        let mut got = Vec::new();
        for w in workers.collect::<Vec<_>>() {
            got.extend(w.await.unwrap());
        }
        // Whoever lost three races comes back.
        while let Some(p) = s.claim_pipeline("late", at(100), LEASE).await.unwrap() {
            got.push(p);
        }
        assert!(got.iter().all(|p| p.attempt == 1));
        let mut ids: Vec<_> = got.into_iter().map(|p| p.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20, "{}", db.name);
        s.close().await;
    }
}

#[tokio::test]
async fn a_run_that_lost_its_pipeline_changes_nothing() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let old = claimed(&s, 100).await;
        let id = old.id.clone();
        let entry = |next| PipelineEntry { marks: vec![mark(0, next)], ledger: ledger(next as u64) };
        assert_eq!(s.journal_pipeline(&id, 1, &entry(5), at(110)).await.unwrap(), PipelineWish::Run);
        assert!(s.claim_pipeline("w2", at(110), LEASE).await.unwrap().is_none());
        // It falls silent; another one takes over and goes on from its marks.
        let later = 110 + LEASE + 1;
        let new = claimed(&s, later).await;
        assert_eq!((new.attempt, &new.ledger), (2, &ledger(5)));
        assert_eq!(s.pipeline_marks(&id).await.unwrap(), [mark(0, 5)]);
        assert_eq!(kind(s.journal_pipeline(&id, 1, &entry(9), at(later)).await), E::Fenced);
        assert_eq!(kind(s.renew_pipeline(&id, 1, at(later)).await), E::Fenced);
        assert_eq!(kind(s.keep_dead(&id, 1, &[letter(1, b"x")], at(later)).await), E::Fenced);
        assert_eq!(kind(s.explain_pipeline(&id, 1, Some("late"), at(later)).await), E::Fenced);
        assert_eq!(kind(s.rest_pipeline(&id, 1, at(later)).await), E::Fenced);
        assert_eq!(kind(s.replayed_dead(&id, 1, ("t", 0), 9, at(later)).await), E::Fenced);
        assert_eq!(kind(s.dead_again(&id, 1, &[], at(later)).await), E::Fenced);
        let now = s.pipeline(&id).await.unwrap().unwrap();
        assert_eq!((now.ledger, now.error, now.status), (ledger(5), None, PipelineStatus::Running));
        assert_eq!(s.dead_totals(&id).await.unwrap(), DeadTotals::default());
        // Marks never move back, whoever says so.
        let back = PipelineEntry { marks: vec![mark(0, 3), mark(1, 7)], ledger: ledger(6) };
        s.journal_pipeline(&id, 2, &back, at(later)).await.unwrap();
        assert_eq!(s.pipeline_marks(&id).await.unwrap(), [mark(0, 5), mark(1, 7)]);
        s.close().await;
    }
}

#[tokio::test]
async fn a_killed_process_leaves_a_pipeline_to_go_on_with() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let p = claimed(&s, 100).await;
        let entry = PipelineEntry { marks: vec![mark(0, 5)], ledger: ledger(5) };
        s.journal_pipeline(&p.id, 1, &entry, at(101)).await.unwrap();
        s.keep_dead(&p.id, 1, &[letter(5, b"x")], at(101)).await.unwrap();
        // Killed here: neither rest nor journal. The new process ends the dead one's leases.
        s.close().await;
        let s = db.open().await;
        assert!(s.claim_pipeline("w2", at(102), LEASE).await.unwrap().is_none());
        assert_eq!(s.release_pipelines(None, at(102)).await.unwrap(), 1);
        let p = claimed(&s, 102).await;
        assert_eq!((p.attempt, p.ledger), (2, ledger(5)));
        assert_eq!(s.pipeline_marks(&p.id).await.unwrap(), [mark(0, 5)]);
        // It comes to the same record again: kept once.
        s.keep_dead(&p.id, 2, &[letter(5, b"y")], at(103)).await.unwrap();
        let (kept, total) = s.dead_letters(&DeadFilter::default(), Page::default()).await.unwrap();
        assert_eq!((total, kept[0].value.as_deref()), (1, Some(&b"x"[..])));
        assert_eq!(s.dead_totals(&p.id).await.unwrap().letters, 1);
        s.close().await;
    }
}

#[tokio::test]
async fn orders_reach_a_run_and_are_carried_out_at_once_where_there_is_none() {
    use PipelineOrder as O;
    use PipelineStatus as S;
    for db in Database::each() {
        let s = db.open().await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let id = PipelineId::from("task-1");
        let order = async |o, now| s.order_pipeline(&id, o, at(now)).await.map(|p| p.status);
        // Nobody has it yet.
        assert_eq!(order(O::Pause, 50).await.unwrap(), S::Paused);
        assert!(s.claim_pipeline("w", at(60), LEASE).await.unwrap().is_none());
        assert_eq!(kind(order(O::Pause, 61).await), E::Conflict);
        assert_eq!(order(O::Resume, 62).await.unwrap(), S::Resuming);
        let p = claimed(&s, 100).await;
        assert_eq!(s.pipeline(&id).await.unwrap().unwrap().status, S::Running);
        s.explain_pipeline(&id, p.attempt, Some("dead sink\0"), at(101)).await.unwrap();
        assert_eq!(s.pipeline(&id).await.unwrap().unwrap().error.as_deref(), Some("dead sink "));
        // A restart is told to the run and forgets the error; it rests and is given out again.
        assert_eq!(order(O::Restart, 102).await.unwrap(), S::Running);
        assert_eq!(s.pipeline(&id).await.unwrap().unwrap().error, None);
        assert_eq!(s.renew_pipeline(&id, p.attempt, at(103)).await.unwrap(), PipelineWish::Rest);
        assert_eq!(s.rest_pipeline(&id, p.attempt, at(104)).await.unwrap().status, S::Running);
        let p = claimed(&s, 105).await;
        assert_eq!(s.renew_pipeline(&id, p.attempt, at(106)).await.unwrap(), PipelineWish::Run);
        assert_eq!(order(O::Pause, 107).await.unwrap(), S::Pausing);
        assert_eq!(s.renew_pipeline(&id, p.attempt, at(108)).await.unwrap(), PipelineWish::Rest);
        // The user changes their mind before it has come to rest.
        assert_eq!(order(O::Resume, 109).await.unwrap(), S::Resuming);
        assert_eq!(s.rest_pipeline(&id, p.attempt, at(110)).await.unwrap().status, S::Resuming);
        let p = claimed(&s, 111).await;
        assert_eq!(order(O::Pause, 112).await.unwrap(), S::Pausing);
        assert_eq!(s.rest_pipeline(&id, p.attempt, at(113)).await.unwrap().status, S::Paused);
        assert_eq!(order(O::Restart, 114).await.unwrap(), S::Resuming);
        let p = claimed(&s, 115).await;
        assert_eq!(order(O::Delete, 116).await.unwrap(), S::Deleting);
        assert_eq!(kind(order(O::Delete, 117).await), E::Conflict);
        assert_eq!(kind(order(O::Resume, 117).await), E::Conflict);
        assert_eq!(kind(order(O::Restart, 117).await), E::Conflict);
        // Its worker dies; the next one brings it to rest.
        let late = 116 + LEASE + 10;
        let q = s.claim_pipeline("w2", at(late), LEASE).await.unwrap().unwrap();
        assert_eq!((q.status, q.attempt), (S::Deleting, p.attempt + 1));
        assert_eq!(s.rest_pipeline(&id, q.attempt, at(late)).await.unwrap().status, S::Deleted);
        assert_eq!(kind(order(O::Resume, late).await), E::Conflict);
        assert_eq!(kind(order(O::Delete, late).await), E::Conflict);
        assert!(s.pipelines(None).await.unwrap().is_empty());
        // A silent worker whose pipeline was paused without it is fenced off.
        s.insert_pipeline(&pipeline("task-2", None), &needs()).await.unwrap();
        let p = claimed(&s, late).await;
        let gone = at(late + LEASE + 1);
        assert_eq!(s.order_pipeline(&p.id, O::Pause, gone).await.unwrap().status, S::Paused);
        assert_eq!(kind(s.renew_pipeline(&p.id, p.attempt, gone).await), E::Fenced);
        s.close().await;
    }
}

#[tokio::test]
async fn what_nobody_works_on_changes_its_state_at_once() {
    use PipelineOrder as O;
    use PipelineStatus as S;
    for db in Database::each() {
        let s = db.open().await;
        let p = Pipeline { status: S::Running, ..pipeline("task-1", None) };
        s.insert_pipeline(&p, &PipelineNeeds::default()).await.unwrap();
        assert!(s.claim_pipeline("w", at(60), LEASE).await.unwrap().is_none());
        let order = async |o| s.order_pipeline(&p.id, o, at(70)).await.map(|p| p.status);
        assert_eq!(order(O::Pause).await.unwrap(), S::Paused);
        assert_eq!(order(O::Resume).await.unwrap(), S::Running);
        assert_eq!(order(O::Restart).await.unwrap(), S::Running);
        s.book_pipeline(&p.id, &ledger(2)).await.unwrap();
        s.book_pipeline(&p.id, &ledger(3)).await.unwrap();
        assert_eq!(s.pipeline(&p.id).await.unwrap().unwrap().ledger, ledger(5));
        s.keep_dead_unworked(&p.id, &[letter(1, b"x")]).await.unwrap();
        assert_eq!(order(O::Delete).await.unwrap(), S::Deleted);
        s.close().await;
    }
}

#[tokio::test]
async fn what_a_pipeline_needs_is_not_removed_under_it() {
    for db in Database::each() {
        let s = db.open().await;
        let id = ConnectionId::from("resource-1");
        let p = pipeline("task-1", Some("resource-1"));
        let wants = PipelineNeeds { topics: vec!["t".into()], ..needs() };
        assert_eq!(kind(s.insert_pipeline(&p, &wants).await), E::Conflict);
        assert_eq!(s.pipeline(&p.id).await.unwrap(), None, "nothing is left of a refused one");
        s.insert_connection(&connection("resource-1"), 0).await.unwrap();
        assert_eq!(kind(s.insert_pipeline(&p, &wants).await), E::Conflict);
        s.insert_topic(&topic("t"), 0).await.unwrap();
        s.insert_pipeline(&p, &wants).await.unwrap();
        assert_eq!(kind(s.remove_connection(&id).await), E::Conflict);
        assert_eq!(kind(s.remove_topic("t").await), E::Conflict);
        assert_eq!(s.needed_by("connection", "resource-1").await.unwrap(), std::slice::from_ref(&p.id));
        s.order_pipeline(&p.id, PipelineOrder::Delete, at(20)).await.unwrap();
        assert!(s.remove_connection(&id).await.unwrap());
        assert!(s.remove_topic("t").await.unwrap());
        assert!(!s.remove_topic("t").await.unwrap());
        // Made and removed at the same moment: one of the two is refused.
        for i in 0..10 {
            let c = connection("resource-9");
            s.insert_connection(&c, 0).await.unwrap();
            let p = pipeline(&format!("task-9{i}"), Some("resource-9"));
            let needed = needs();
            let (made, removed) = tokio::join!(s.insert_pipeline(&p, &needed), s.remove_connection(&c.id));
            assert_ne!(made.is_ok(), removed.is_ok(), "{}", db.name);
            s.order_pipeline(&p.id, PipelineOrder::Delete, at(20)).await.ok();
            s.remove_connection(&c.id).await.unwrap();
        }
        s.close().await;
    }
}

#[tokio::test]
async fn a_full_desk_refuses_and_drops_nothing() {
    for db in Database::each() {
        let s = db.open_with(Options { dead_letters: (3, 10_000), ..Options::default() }).await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let p = claimed(&s, 100).await;
        let keep = async |list: &[DeadLetter]| s.keep_dead(&p.id, p.attempt, list, at(101)).await;
        keep(&[letter(1, b"a"), letter(2, b"b")]).await.unwrap();
        assert_eq!(kind(keep(&[letter(3, b"c"), letter(4, b"d")]).await), E::Limit);
        let all = DeadFilter { pipeline: Some(p.id.clone()), ..Default::default() };
        let page = Page { newest_first: false, ..Page::default() };
        let (kept, total) = s.dead_letters(&all, page).await.unwrap();
        assert_eq!((total, kept[0].offset, kept[1].offset), (2, 1, 2), "all or nothing");
        assert_eq!(kept[0], DeadLetter { reason: "no such column ".into(), ..letter(1, b"a") });
        keep(&[letter(3, b"c")]).await.unwrap();
        keep(&[letter(2, b"again"), letter(3, b"again")]).await.unwrap();
        assert_eq!(kind(keep(&[letter(4, b"d")]).await), E::Limit);
        assert_eq!(
            s.end_dead(
                &p.id,
                &DeadFilter { ids: vec![DeadId::of(&kept[0])], ..all.clone() },
                DeadStatus::Dropped,
                at(9)
            )
            .await,
            Ok(1)
        );
        keep(&[letter(1, b"it stays dropped")]).await.unwrap();
        let (dropped, _) = s
            .dead_letters(&DeadFilter { status: Some(DeadStatus::Dropped), ..all.clone() }, page)
            .await
            .unwrap();
        assert_eq!((dropped.len(), &dropped[0].value, &dropped[0].headers), (1, &None, &vec![]));
        assert_eq!(kind(keep(&[letter(4, &[7; 10_000])]).await), E::Limit, "too many bytes");
        keep(&[letter(4, b"d")]).await.unwrap();
        assert_eq!(s.end_dead(&p.id, &all, DeadStatus::Dropped, at(10)).await, Ok(3));
        assert_eq!(s.dead_totals(&p.id).await.unwrap(), DeadTotals::default());
        assert_eq!(s.forget_dead(None, at(10)).await.unwrap(), 1);
        assert_eq!(s.forget_dead(Some(&p.id), at(11)).await.unwrap(), 3);
        s.close().await;
    }
}

/// Of a record that is too large to be kept, the position and the reason are; there is nothing to replay.
#[tokio::test]
async fn a_letter_without_content_is_not_replayed() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let p = claimed(&s, 100).await;
        let (id, n) = (p.id.clone(), p.attempt);
        let bare = DeadLetter {
            kind: DeadLetter::WITHOUT_CONTENT.into(),
            offset: 99,
            value: None,
            ..letter(99, b"")
        };
        s.keep_dead(&id, n, std::slice::from_ref(&bare), at(101)).await.unwrap();
        let one = DeadFilter { ids: vec![DeadId::of(&bare)], ..Default::default() };
        assert_eq!(s.replay_dead(&id, &one).await.unwrap(), 0, "there is nothing to replay");
        assert_eq!(s.end_dead(&id, &one, DeadStatus::Dropped, at(101)).await.unwrap(), 1);
        assert_eq!(s.forget_dead(Some(&id), at(102)).await.unwrap(), 1);
        s.close().await;
    }
}

#[tokio::test]
async fn a_replay_gives_each_letter_one_turn() {
    for db in Database::each() {
        let s = db.open().await;
        s.insert_pipeline(&pipeline("task-1", None), &needs()).await.unwrap();
        let p = claimed(&s, 100).await;
        let (id, n) = (p.id.clone(), p.attempt);
        let letters: Vec<_> =
            (1..=6).map(|o| DeadLetter { partition: (o % 2) as i32, ..letter(o, b"v") }).collect();
        s.keep_dead(&id, n, &letters, at(101)).await.unwrap();
        assert_eq!(s.renew_pipeline(&id, n, at(102)).await.unwrap(), PipelineWish::Run);
        let three = DeadFilter { ids: letters[..3].iter().map(DeadId::of).collect(), ..Default::default() };
        assert_eq!(s.replay_dead(&id, &three).await.unwrap(), 3);
        assert_eq!(s.replay_dead(&id, &three).await.unwrap(), 0, "asked twice");
        assert_eq!(s.renew_pipeline(&id, n, at(103)).await.unwrap(), PipelineWish::Replay);
        assert_eq!(s.replay_dead(&id, &DeadFilter::default()).await.unwrap(), 3);
        let queued = s.queued_dead(&id, 0, 10, 1 << 20).await.unwrap();
        let turns: Vec<_> = queued.iter().map(|q| (q.turn, q.letter.partition, q.letter.offset)).collect();
        assert_eq!(turns, [(1, 0, 2), (2, 1, 1), (3, 1, 3), (4, 0, 4), (5, 0, 6), (6, 1, 5)]);
        assert_eq!(queued[0].letter.value.as_deref(), Some(&b"v"[..]));
        assert_eq!(s.queued_dead(&id, 2, 10, 1).await.unwrap().len(), 1, "at least one");
        assert_eq!(s.queued_dead(&id, 2, 2, 1 << 20).await.unwrap().len(), 2);
        assert_eq!(
            s.end_dead(&id, &DeadFilter::default(), DeadStatus::Dropped, at(104)).await.unwrap(),
            0,
            "none waits"
        );
        // 2 and 4 are written; 6 fails again; the others are still on their way.
        s.dead_again(&id, n, &[(5, "other".into(), "still\0".into()), (77, "x".into(), "y".into())], at(105))
            .await
            .unwrap();
        s.replayed_dead(&id, n, ("t", 0), 6, at(106)).await.unwrap();
        let left: Vec<_> = s.queued_dead(&id, 0, 10, 1 << 20).await.unwrap().iter().map(|q| q.turn).collect();
        assert_eq!(left, [2, 3, 6]);
        let of = |status| DeadFilter { status: Some(status), ..Default::default() };
        let (waiting, _) = s.dead_letters(&of(DeadStatus::Waiting), Page::default()).await.unwrap();
        assert_eq!((waiting.len(), waiting[0].offset, &*waiting[0].reason), (1, 6, "still "));
        assert_eq!(waiting[0].value.as_deref(), Some(&b"v"[..]));
        assert_eq!(s.dead_letters(&of(DeadStatus::Replayed), Page::default()).await.unwrap().1, 2);
        assert_eq!(s.dead_totals(&id).await.unwrap().letters, 4);
        // Its next turn is a new one.
        s.replay_dead(&id, &DeadFilter::default()).await.unwrap();
        assert_eq!(s.queued_dead(&id, 6, 10, 1 << 20).await.unwrap()[0].turn, 7);
        let (found, _) = s
            .dead_letters(
                &DeadFilter { reason: Some("such col".into()), ..Default::default() },
                Page::default(),
            )
            .await
            .unwrap();
        assert_eq!(found.len(), 5);
        for (account, n) in [("a", 6), ("b", 0)] {
            let f = DeadFilter { account: Some(account.into()), ..Default::default() };
            assert_eq!(s.dead_letters(&f, Page::default()).await.unwrap().1, n);
        }
        // Deleted: what was on its way waits again, can be read, and goes with it.
        s.order_pipeline(&id, PipelineOrder::Delete, at(200)).await.unwrap();
        s.rest_pipeline(&id, n, at(201)).await.unwrap();
        assert_eq!(s.dead_letters(&of(DeadStatus::Waiting), Page::default()).await.unwrap().1, 4);
        assert_eq!(kind(s.replay_dead(&id, &DeadFilter::default()).await), E::Conflict);
        assert_eq!(s.forget_pipelines(at(201)).await.unwrap(), 0);
        assert!(s.pipeline(&id).await.unwrap().is_some());
        assert_eq!(s.forget_pipelines(at(202)).await.unwrap(), 1);
        assert_eq!(s.pipeline(&id).await.unwrap(), None);
        assert_eq!(s.dead_letters(&DeadFilter::default(), Page::default()).await.unwrap().1, 0);
        assert!(s.pipeline_marks(&id).await.unwrap().is_empty());
        s.close().await;
    }
}

#[test]
fn a_letters_name_survives_its_text() {
    let id = DeadId { topic: "a/b.c".into(), partition: 3, offset: -4, sub: 5 };
    assert_eq!(DeadId::parse(&id.to_string()), Some(id));
    for bad in ["", "t", "t/1/2", "/1/2/3", "t/1/2/-3", "t/x/2/3", "t/1//3"] {
        assert_eq!(DeadId::parse(bad), None, "{bad}");
    }
}

fn stream(id: &str) -> model::DisStream {
    model::DisStream {
        id: model::DisStreamId(id.into()),
        account: "a".into(),
        name: id.into(),
        topic: "t".into(),
        status: model::DisStatus::Running,
        kind: model::DisKind::Common,
        data: model::DisData::Blob,
        schema: None,
        csv_delimiter: None,
        compression: None,
        retention_hours: 24,
        auto_scale: model::AutoScale::default(),
        partitions: Vec::new(),
        changes: Vec::new(),
        tags: BTreeMap::new(),
        system_tags: BTreeMap::new(),
        created: at(1),
        modified: at(1),
    }
}

#[tokio::test]
async fn dumps_of_a_stream_are_few_and_begin_at_their_marks() {
    for db in Database::each() {
        let s = db.open().await;
        let dump = |n: u32| Pipeline {
            on_refusal: OnFailure::Aside {
                to: Box::new(end(EndKind::Bucket, None)),
                retry_s: Some(u64::from(n)),
            },
            ..pipeline(&format!("task-{n}"), None)
        };
        let needs = || PipelineNeeds { stream: Some(("s1".into(), 2)), marks: vec![mark(0, 7)], ..needs() };
        let missing = s.insert_pipeline(&dump(1), &needs()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Conflict, "there is no such stream");
        s.insert_dis_stream(&stream("s1"), 0).await.unwrap();
        for n in [1, 2] {
            s.insert_pipeline(&dump(n), &needs()).await.unwrap();
        }
        assert_eq!(s.insert_pipeline(&dump(3), &needs()).await.unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(s.pipeline(&"task-1".into()).await.unwrap().unwrap().on_refusal, dump(1).on_refusal);
        assert_eq!(s.pipeline_marks(&"task-1".into()).await.unwrap(), [mark(0, 7)]);
        assert!(s.pipeline_moves(&"task-1".into()).await.unwrap().is_empty(), "it has not moved yet");
        let p = claimed(&s, 100).await;
        let entry = PipelineEntry { marks: vec![mark(0, 9)], ledger: Ledger::default() };
        s.journal_pipeline(&p.id, p.attempt, &entry, at(150)).await.unwrap();
        assert_eq!(s.pipeline_moves(&p.id).await.unwrap(), [("t".to_owned(), 0, at(150))]);
        // One that is to end counts no more.
        s.order_pipeline(&"task-2".into(), PipelineOrder::Delete, at(200)).await.unwrap();
        s.insert_pipeline(&dump(3), &needs()).await.unwrap();
    }
}

#[tokio::test]
async fn no_dump_is_stored_for_a_stream_that_goes() {
    for db in Database::each() {
        let s = db.open().await;
        let needs = || PipelineNeeds { stream: Some(("s1".into(), 5)), ..needs() };
        let id = model::DisStreamId("s1".into());
        s.insert_dis_stream(&stream("s1"), 0).await.unwrap();
        s.insert_pipeline(&pipeline("early", None), &needs()).await.unwrap();
        let change = |x: &mut model::DisStream| {
            x.status = model::DisStatus::Terminating;
            Ok::<_, ()>(())
        };
        s.change_dis_stream(&id, change).await.unwrap().unwrap();
        let late = s.insert_pipeline(&pipeline("late", None), &needs()).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict, "it would dump the next stream of the name");
    }
}
