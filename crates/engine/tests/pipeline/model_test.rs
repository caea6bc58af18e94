//! All of it at once, against a model: random records, transforms, refusals, rebalances, faults and lost leases. At the end the
//! destination holds exactly what the model says, the account balances, and the letters are exactly the refused ones.

use std::collections::BTreeSet;
use std::time::Duration;

use connector::ErrorKind;
use connector::records::Split;
use model::{PipelineId, PipelineStatus, Stage};
use proptest::prelude::*;

use super::table::{Fault, Habits, POISON, Row};
use super::world::{Made, Way, World, keep, transformed, until};

#[derive(Debug, Clone)]
enum Event {
    Produce(Vec<(u8, u8)>),
    Sink(u8),
    Source(bool),
    Join,
    Leave,
    Lose,
    Fence,
    Pause,
    Wait(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => prop::collection::vec((0..3u8, 0..12u8), 1..60).prop_map(Event::Produce),
        4 => (0..4u8).prop_map(Event::Sink),
        1 => any::<bool>().prop_map(Event::Source),
        1 => Just(Event::Join),
        1 => Just(Event::Leave),
        1 => Just(Event::Lose),
        2 => Just(Event::Fence),
        1 => Just(Event::Pause),
        4 => (0..120u8).prop_map(Event::Wait),
    ]
}

fn value(kind: u8, n: usize) -> String {
    match kind {
        0 => format!("poison {n}"),
        1 => format!("filter {n}"),
        2 => format!("fail {n}"),
        3 => format!("three {n}"),
        4 => format!("three poison {n}"),
        _ => format!("plain {n}"),
    }
}

/// What must be there in the end.
#[derive(Debug, Default)]
struct Expected {
    rows: Vec<Row>,
    letters: BTreeSet<(i32, i64, u32, bool)>,
    filtered: u64,
    expanded: u64,
}

fn expected(way: &Way) -> Expected {
    let mut e = Expected::default();
    for (split, offset, value) in way.log.records() {
        let made = if way.transform { transformed(&value) } else { Made::Into(vec![value.clone()]) };
        match made {
            Made::Filtered => e.filtered += 1,
            Made::Failed => drop(e.letters.insert((split.partition, offset, 0, true))),
            Made::Into(values) => {
                e.expanded += values.len() as u64 - 1;
                for (sub, v) in values.into_iter().enumerate() {
                    let sub = u32::try_from(sub).unwrap();
                    if v.windows(POISON.len()).any(|w| w == POISON) {
                        e.letters.insert((split.partition, offset, sub, false));
                    } else {
                        e.rows.push((split.clone(), offset, sub, v));
                    }
                }
            }
        }
    }
    e.rows.sort();
    e
}

async fn play(events: Vec<Event>, transform: bool, keeps_marks: bool) {
    let mut way = Way::new(3);
    way.transform = transform;
    way.habits = Habits { keeps_marks, units: 2, ..Habits::default() };
    let (world, id) = World::one("task-model", &keep(), &way).await;
    let (mut n, mut others) = (0, Vec::new());
    for event in events {
        match event {
            Event::Produce(records) => {
                for (p, kind) in records {
                    way.log.push(&Split::new("t", i32::from(p)), value(kind, n));
                    n += 1;
                }
            }
            Event::Sink(fault) => way.table.script([match fault {
                0 => Fault::FailBefore,
                1 => Fault::FailAfter,
                2 => Fault::Panic,
                _ => Fault::Slow,
            }]),
            Event::Source(hard) => {
                way.log.fail([if hard { ErrorKind::Denied } else { ErrorKind::Unavailable }]);
            }
            Event::Join => others.push(way.log.join()),
            Event::Leave => others.pop().into_iter().for_each(|o| way.log.leave(o)),
            Event::Lose => way.log.lose_all(),
            Event::Fence => {
                world.store.fence(&id);
                world.supervisor.wake();
            }
            Event::Pause => pause(&world, &id).await,
            Event::Wait(ms) => tokio::time::sleep(Duration::from_millis(u64::from(ms))).await,
        }
    }
    others.into_iter().for_each(|o| way.log.leave(o));
    world.drained(&id, &way).await;
    check(&world, &id, &way, keeps_marks).await;
    world.supervisor.stop().await;
    until("leases are back", || world.budget.free() == world.budget.total()).await;
}

async fn pause(world: &World, id: &PipelineId) {
    if world.store.pipeline(id).status != PipelineStatus::Running {
        return;
    }
    world.store.order(id, PipelineStatus::Pausing);
    world.supervisor.signal(id);
    until("paused", || world.store.pipeline(id).status == PipelineStatus::Paused).await;
    world.store.order(id, PipelineStatus::Resuming);
    world.supervisor.wake();
}

async fn check(world: &World, id: &PipelineId, way: &Way, keeps_marks: bool) {
    let e = expected(way);
    let mut rows = way.table.rows();
    if !keeps_marks {
        rows.dedup();
    }
    assert_eq!(rows, e.rows);
    let letters = world.store.letters();
    let letters: BTreeSet<_> =
        letters.iter().map(|l| (l.partition, l.offset, l.sub, l.stage == Stage::Transform)).collect();
    assert_eq!(letters, e.letters);
    let read = way.log.records().len() as u64;
    let ledger = world.store.ledger(id);
    assert_eq!(ledger.balance(), Ok(()));
    let l = ledger.items;
    let want = (read, e.expanded, e.rows.len() as u64, e.letters.len() as u64, e.filtered);
    assert_eq!((l.read, l.expanded, l.written, l.dead_lettered, l.filtered), want);
    if keeps_marks {
        for (split, mark) in way.table.marks() {
            assert_eq!(world.store.mark(id, &split), Some(mark));
            assert!(way.table.order(&split).is_sorted(), "{split} is out of order");
        }
    }
}

/// A few cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let told = ProptestConfig::default();
    let cases = if told.cases == 256 { 16 } else { told.cases };
    ProptestConfig { cases, max_shrink_iters: 20, ..told }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_model_is_right(
        events in prop::collection::vec(event(), 5..40),
        transform in any::<bool>(),
        keeps_marks in prop::bool::weighted(0.7),
    ) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(events, transform, keeps_marks));
    }
}
