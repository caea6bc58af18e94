//! What can happen to a pipeline, one thing at a time.

use std::time::Duration;

use connector::ErrorKind;
use connector::records::Split;
use engine::dispatch::Lease;
use model::{DeadStatus, OnFailure, PipelineStatus, Stage};

use super::table::{Fault, Habits, Row};
use super::world::{Setup, Way, World, keep, pipeline, until};

fn fill(way: &Way, n: usize) {
    let splits = way.log.splits();
    for i in 0..n {
        way.log.push(&splits[i % splits.len()], format!("value {i}"));
    }
}

fn as_read(way: &Way) -> Vec<Row> {
    let mut rows: Vec<Row> = way.log.records().into_iter().map(|(s, o, v)| (s, o, 0, v)).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_in_order_and_is_accounted_for() {
    let way = Way::new(4);
    fill(&way, 1000);
    let (world, id) = World::one("task-happy", &OnFailure::Block, &way).await;
    world.drained(&id, &way).await;
    until("running", || world.store.pipeline(&id).status == PipelineStatus::Running).await;
    assert_eq!(way.table.rows(), as_read(&way));
    for split in way.log.splits() {
        assert!(way.table.order(&split).is_sorted());
        until("the group's offset", || way.log.committed(&split) == Some(250)).await;
    }
    let ledger = world.store.ledger(&id);
    assert_eq!((ledger.items.read, ledger.items.written, ledger.balance()), (1000, 1000, Ok(())));
    until("live numbers", || {
        world.supervisor.live(&id).is_some_and(|l| {
            let lag = l.lag.len() == 4 && l.lag.iter().all(|l| l.records == 0);
            lag && l.lanes == 3 && l.ledger == ledger && l.error.is_none()
        })
    })
    .await;
    world.supervisor.stop().await;
    assert_eq!(way.log.members(), 0, "the group is left");
    until("leases are back", || world.budget.free() == world.budget.total()).await;
    assert_eq!(world.store.pipeline(&id).status, PipelineStatus::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_kept_as_it_was_read_and_its_neighbours_go_on() {
    let mut way = Way::new(2);
    way.transform = true;
    way.copies.heal();
    let split = Split::new("t", 0);
    for v in ["a", "poison b", "fail c", "filter d", "three poison", "e"] {
        way.log.push(&split, v);
    }
    let rule = OnFailure::Keep { copy: Some(Box::new(super::world::end())), retries: 1, interval_ms: 1 };
    let (world, id) = World::one("task-poison", &rule, &way).await;
    world.drained(&id, &way).await;
    let values: Vec<_> = way.table.rows().into_iter().map(|r| r.3).collect();
    assert_eq!(values, [b"a!".to_vec(), b"e!".to_vec()]);
    let letters = world.store.letters();
    let short: Vec<_> = letters.iter().map(|l| (l.offset, l.sub, l.stage)).collect();
    let sink = Stage::Sink;
    assert_eq!(short, [(1, 0, sink), (2, 0, Stage::Transform), (4, 0, sink), (4, 1, sink), (4, 2, sink)]);
    assert_eq!(letters[0].value.as_deref(), Some(&b"poison b"[..]), "the original, not what was made of it");
    assert_eq!(letters[0].headers, [(b"h".to_vec(), Some(b"1".to_vec()))]);
    assert_eq!((letters[0].reason.as_str(), letters[0].kind.as_str()), ("it is poison", "unacceptable"));
    assert_eq!(letters[1].reason, "a word that fails");
    let copies = way.copies.rows();
    assert_eq!(copies.len(), 5);
    assert_eq!(copies[0].3, b"poison b");
    let l = world.store.ledger(&id).items;
    assert_eq!((l.read, l.expanded, l.written, l.filtered, l.dead_lettered), (6, 2, 2, 1, 5));
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_replayed_once_and_join_the_account() {
    let mut way = Way::new(2);
    way.transform = true;
    for (p, v) in [(0, "a"), (0, "poison b"), (1, "poison c"), (0, "three poison"), (1, "fail")] {
        way.log.push(&Split::new("t", p), v);
    }
    let (world, id) = World::one("task-replay", &keep(), &way).await;
    world.drained(&id, &way).await;
    assert_eq!(world.store.letters().len(), 6);
    way.table.heal();
    // The first try is cut off after the rows are there, so their marks alone say what is done.
    way.table.script([Fault::FailAfter]);
    assert_eq!(world.store.replay_all(), 6);
    let replayed = || world.store.letters().iter().filter(|l| l.status == DeadStatus::Replayed).count() == 5;
    until("replays", replayed).await;
    let mut values: Vec<_> = way.table.rows().into_iter().map(|r| r.3).collect();
    values.sort();
    let expected: [&[u8]; 6] =
        [b"a!", b"poison b!", b"poison c!", b"three poison one", b"three poison two", b"three poison two"];
    assert_eq!(values, expected);
    let waiting: Vec<_> = world.store.letters();
    let waiting: Vec<_> = waiting.iter().filter(|l| l.status == DeadStatus::Waiting).collect();
    assert_eq!((waiting.len(), waiting[0].stage), (1, Stage::Transform));
    until("the account", || {
        let l = world.store.ledger(&id).items;
        (l.read, l.expanded, l.written, l.dead_lettered) == (5, 2, 6, 1)
    })
    .await;
    assert_eq!(world.store.ledger(&id).balance(), Ok(()));
    // A second wish changes nothing but the one that fails again.
    assert_eq!(world.store.replay_all(), 1);
    until("again", || world.store.replay_all() == 1).await;
    assert_eq!(way.table.rows().len(), 6);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_pipeline_says_why_and_goes_on_when_it_can() {
    let way = Way::new(1);
    let split = Split::new("t", 0);
    for v in ["a", "poison", "b"] {
        way.log.push(&split, v);
    }
    let (world, id) = World::one("task-block", &OnFailure::Block, &way).await;
    until("an error", || world.store.pipeline(&id).error.is_some()).await;
    let error = world.store.pipeline(&id).error.unwrap();
    assert_eq!(error, "the destination refuses t-0 offset 1: it is poison");
    assert_eq!(world.store.pipeline(&id).status, PipelineStatus::Running);
    way.table.heal();
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    until("the error is gone", || world.store.pipeline(&id).error.is_none()).await;
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transform_that_blocks_stops_at_its_record() {
    let mut way = Way::new(1);
    way.transform = true;
    let split = Split::new("t", 0);
    for v in ["a", "b", "fail", "c"] {
        way.log.push(&split, v);
    }
    let (world, id) = World::one("task-step", &OnFailure::Block, &way).await;
    until("an error", || world.store.pipeline(&id).error.is_some()).await;
    let error = world.store.pipeline(&id).error.unwrap();
    assert_eq!(error, "t-0 offset 2 can't be transformed: a word that fails");
    assert_eq!(way.table.rows().len(), 2);
    assert_eq!(world.store.mark(&id, &split).unwrap().next, 2);
    // It can be deleted where it stands.
    world.store.order(&id, PipelineStatus::Deleting);
    world.supervisor.signal(&id);
    until("deleted", || world.store.pipeline(&id).status == PipelineStatus::Deleted).await;
    assert!(world.store.letters().is_empty());
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_and_resume_keep_the_place() {
    let way = Way::new(3);
    let (world, id) = World::one("task-pause", &OnFailure::Block, &way).await;
    for round in 0..3 {
        fill(&way, 300);
        if round == 1 {
            // Also while it is barely at work.
            tokio::time::sleep(Duration::from_millis(10)).await;
        } else {
            world.drained(&id, &way).await;
        }
        until("running", || world.store.pipeline(&id).status == PipelineStatus::Running).await;
        world.store.order(&id, PipelineStatus::Pausing);
        if round != 2 {
            world.supervisor.signal(&id);
        }
        until("paused", || world.store.pipeline(&id).status == PipelineStatus::Paused).await;
        assert_eq!(way.log.members(), 0);
        for split in way.log.splits() {
            assert_eq!(way.table.mark(&split), world.store.mark(&id, &split), "the journal is complete");
        }
        world.store.order(&id, PipelineStatus::Resuming);
        world.supervisor.signal(&id);
    }
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    world.store.restart(&id);
    let attempt = world.store.pipeline(&id).attempt;
    world.supervisor.restart(&id);
    until("a new run", || world.store.pipeline(&id).attempt > attempt).await;
    fill(&way, 10);
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_lost_its_lease_writes_nothing_more() {
    let way = Way::new(2);
    fill(&way, 100);
    let (world, id) = World::one("task-fenced", &OnFailure::Block, &way).await;
    world.drained(&id, &way).await;
    way.table.hold(true);
    fill(&way, 100);
    until("units are held", || way.log.polls_without_room() > 0 || way.table.commits() > 0).await;
    world.store.take_away(&id);
    until("the lanes are gone", || world.supervisor.live(&id).is_none()).await;
    let (rows, journals) = (way.table.rows(), world.store.journals(&id));
    way.table.hold(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(way.table.rows(), rows);
    assert_eq!(world.store.journals(&id), journals);
    until("the group is left", || way.log.members() == 0).await;
    until("leases are back", || world.budget.free() == world.budget.total()).await;
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_a_store_stops_by_itself() {
    let way = Way::new(1);
    fill(&way, 10);
    let lease = Lease { length: Duration::from_secs(2), renewed_every: Duration::from_millis(500) };
    let p = pipeline("task-alone", &OnFailure::Block);
    let id = p.id.clone();
    let world = World::start(vec![(p, way.clone())], Setup { lease, ..Setup::default() }).await;
    world.drained(&id, &way).await;
    world.store.broken(true);
    until("it stops", || world.supervisor.live(&id).is_none()).await;
    // The source leaves its group on a thread of its own, in a moment.
    until("its source leaves the group", || way.log.members() == 0).await;
    world.store.broken(false);
    fill(&way, 10);
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_leaves_its_neighbour_room() {
    let (slow, fast) = (Way::new(2), Way::new(2));
    for way in [&slow, &fast] {
        way.log.lock_batch(50);
        for i in 0..2000 {
            way.log.push(&Split::new("t", i % 2), vec![b'x'; 1000]);
        }
    }
    slow.table.hold(true);
    let (a, b) = (pipeline("task-slow", &keep()), pipeline("task-fast", &keep()));
    let (slow_id, fast_id) = (a.id.clone(), b.id.clone());
    // Room for one megabyte: half of what each pipeline has to move.
    let setup = Setup { budget: 1 << 20, ..Setup::default() };
    let world = World::start(vec![(a, slow.clone())], setup).await;
    world.store.add(b, None);
    until("the slow one is full", || slow.log.polls_without_room() > 0).await;
    world.supervisor.stop().await;
    let ways = [(slow_id.0.clone(), slow.clone()), (fast_id.0.clone(), fast.clone())];
    let setup = Setup { budget: 1 << 20, ..Setup::default() };
    let world = World::again(world.store, ways.into(), setup).await;
    world.drained(&fast_id, &fast).await;
    assert_eq!(fast.table.rows().len(), 2000);
    assert!(slow.table.rows().is_empty());
    assert!(world.budget.free() >= world.budget.total() / 2);
    slow.table.hold(false);
    world.drained(&slow_id, &slow).await;
    assert_eq!(slow.table.rows().len(), 2000);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_waits_for_more_than_the_window_is_made_to_let_go() {
    let mut way = Way::new(1);
    way.habits = Habits { units: usize::MAX, ..Habits::default() };
    way.log.lock_batch(50);
    for _ in 0..2000 {
        way.log.push(&Split::new("t", 0), vec![b'x'; 1000]);
    }
    let p = pipeline("task-window", &keep());
    let id = p.id.clone();
    let world = World::start(vec![(p, way.clone())], Setup { budget: 8 << 20, ..Setup::default() }).await;
    until("flushes", || way.table.flushes() > 0).await;
    world.store.order(&id, PipelineStatus::Pausing);
    world.supervisor.signal(&id);
    until("paused", || world.store.pipeline(&id).status == PipelineStatus::Paused).await;
    let (rows, mark) = (way.table.rows(), world.store.mark(&id, &Split::new("t", 0)).unwrap());
    assert_eq!(rows.len() as i64, mark.next);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_told_and_overcome() {
    let way = Way::new(2);
    fill(&way, 50);
    way.log.fail([ErrorKind::Unavailable, ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::Denied]);
    let (world, id) = World::one("task-source", &OnFailure::Block, &way).await;
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    until("the error was told", || {
        !world.store.errors(&id).is_empty() || {
            way.log.fail(std::iter::repeat_n(ErrorKind::Denied, 4));
            false
        }
    })
    .await;
    let told = world.store.errors(&id)[0].clone().unwrap();
    assert_eq!(told, "the source fails: the log is broken");
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_sink_is_one_lanes_failure() {
    let way = Way::new(2);
    fill(&way, 200);
    way.table.script([Fault::Panic]);
    let (world, id) = World::one("task-panic", &OnFailure::Block, &way).await;
    world.drained(&id, &way).await;
    assert_eq!(way.table.rows(), as_read(&way));
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttle_holds_over_all_lanes() {
    let way = Way::new(3);
    way.log.lock_batch(10);
    fill(&way, 3000);
    let mut p = pipeline("task-throttle", &OnFailure::Block);
    p.records_per_s = Some(200);
    let id = p.id.clone();
    let world = World::start(vec![(p, way.clone())], Setup::default()).await;
    let began = std::time::Instant::now();
    until("some", || way.table.rows().len() >= 300).await;
    // At least what 300 records less a batch of each lane take; never too late, only too early would be wrong.
    assert!(began.elapsed() >= Duration::from_millis(1000), "{:?}", began.elapsed());
    world.store.order(&id, PipelineStatus::Deleting);
    world.supervisor.signal(&id);
    until("deleted", || world.store.pipeline(&id).status == PipelineStatus::Deleted).await;
    world.supervisor.stop().await;
}
