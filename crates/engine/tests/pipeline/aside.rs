//! Error directories: what a destination refuses, and what it can't take for too long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{Aside, Batch, ErrorDirectory, Split};
use connector::{Error, ErrorKind, Result};
use model::OnFailure;

use super::table::Fault;
use super::world::{Way, World, end, until};

/// An error directory in memory.
#[derive(Clone, Default)]
pub struct Errors(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    kept: BTreeMap<(Split, i64), (Vec<u8>, String)>,
    twice: u64,
    down: bool,
}

impl Errors {
    fn kept(&self) -> Vec<(i64, String)> {
        self.0.lock().unwrap().kept.iter().map(|((_, at), (_, why))| (*at, why.clone())).collect()
    }

    fn down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, State>> {
        let state = self.0.lock().unwrap();
        if state.down { Err(Error::new(ErrorKind::Unavailable, "the directory is down")) } else { Ok(state) }
    }
}

#[async_trait(?Send)]
impl ErrorDirectory for Errors {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn begin(&self, split: &Split, from: i64) -> Result<()> {
        self.up()?.kept.retain(|(s, at), _| s != split || *at < from);
        Ok(())
    }

    async fn put(&self, batch: &Batch, which: Aside<'_>) -> Result<()> {
        let mut state = self.up()?;
        let mut add = |i: usize, why: &str| {
            let r = batch.get(i).unwrap();
            let value = (r.value.unwrap_or_default().to_vec(), why.to_owned());
            let before = state.kept.insert((batch.split().clone(), r.offset), value);
            state.twice += u64::from(before.is_some());
        };
        match which {
            Aside::Some(list) => list.iter().for_each(|r| add(r.index, &r.reason)),
            Aside::All(_, why) => (0..batch.len()).for_each(|i| add(i, why)),
        }
        Ok(())
    }
}

fn rule(retry_s: Option<u64>) -> OnFailure {
    OnFailure::Aside { to: Box::new(end()), retry_s }
}

/// All records are in one of the two places, once, and the account says in which.
fn all_once(world: &World, id: &model::PipelineId, way: &Way) {
    let mut places: Vec<_> = way.table.rows().into_iter().map(|r| (r.0, r.1)).collect();
    places.extend(way.errors.0.lock().unwrap().kept.keys().cloned());
    places.sort();
    let mut wanted: Vec<_> = way.log.records().into_iter().map(|(s, at, _)| (s, at)).collect();
    wanted.sort();
    assert_eq!(places, wanted);
    let items = world.store.ledger(id).items;
    assert_eq!(world.store.ledger(id).balance(), Ok(()));
    assert_eq!(
        (items.written, items.dead_lettered),
        (way.table.rows().len() as u64, way.errors.kept().len() as u64)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_goes_aside_at_once_and_alone() {
    let way = Way::new(1);
    let split = Split::new("t", 0);
    ["a", "poison b", "c", "poison d"].iter().for_each(|v| _ = way.log.push(&split, *v));
    // Once more after a crash: it is decided anew, and lies there once.
    way.table.script([Fault::FailBefore, Fault::FailBefore]);
    let (world, id) = World::one("task-refused", &rule(None), &way).await;
    world.drained(&id, &way).await;
    assert_eq!(way.errors.kept(), [(1, "it is poison".to_owned()), (3, "it is poison".to_owned())]);
    all_once(&world, &id, &way);
    assert!(world.store.letters().is_empty(), "the desk has nothing to do with it");
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_too_long_goes_aside_and_the_rest_goes_on() {
    let way = Way::new(2);
    for i in 0..100 {
        way.log.push(&Split::new("t", i % 2), format!("value {i}"));
    }
    way.table.script([Fault::FailBefore; 40]);
    let (world, id) = World::one("task-long", &rule(Some(1)), &way).await;
    until("an error", || world.store.pipeline(&id).error.is_some()).await;
    assert!(way.errors.kept().is_empty(), "not before its time");
    until("the directory", || !way.errors.kept().is_empty()).await;
    world.drained(&id, &way).await;
    assert!(way.errors.kept().iter().all(|(_, why)| why.contains("failed before")));
    // Whatever the destination still fails at is tried again, with a new clock.
    way.table.clear();
    way.log.push(&Split::new("t", 0), "later");
    world.drained(&id, &way).await;
    all_once(&world, &id, &way);
    assert!(way.table.rows().iter().any(|r| r.3 == b"later"));
    until("no error", || world.store.pipeline(&id).error.is_none()).await;
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_destination_took_before_it_failed_does_not_go_aside() {
    let way = Way::new(1);
    (0..30).for_each(|i| _ = way.log.push(&Split::new("t", 0), format!("value {i}")));
    // The rows and their marks are there, the answer is lost; then nothing works any more.
    way.table.script([Fault::FailAfter]);
    way.table.script([Fault::FailBefore; 30]);
    let (world, id) = World::one("task-lost-answer", &rule(Some(0)), &way).await;
    world.drained(&id, &way).await;
    assert!(!way.table.rows().is_empty());
    all_once(&world, &id, &way);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_directory_everything_waits() {
    let way = Way::new(1);
    (0..30).for_each(|i| _ = way.log.push(&Split::new("t", 0), format!("value {i}")));
    way.table.script([Fault::FailBefore; 20]);
    way.errors.down(true);
    let (world, id) = World::one("task-down", &rule(Some(0)), &way).await;
    until("an error", || world.store.pipeline(&id).error.is_some_and(|e| e.contains("directory is down")))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(way.table.rows().is_empty() && way.errors.kept().is_empty());
    way.errors.down(false);
    world.drained(&id, &way).await;
    all_once(&world, &id, &way);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_down_puts_nothing_of_a_healthy_table_aside() {
    let way = Way::new(1);
    let split = Split::new("t", 0);
    // A refused record can't be put, and then no lane can begin.
    ["a", "poison b", "c"].iter().for_each(|v| _ = way.log.push(&split, *v));
    way.errors.down(true);
    let (world, id) = World::one("task-healthy", &rule(Some(0)), &way).await;
    until("an error", || world.store.pipeline(&id).error.is_some_and(|e| e.contains("directory is down")))
        .await;
    (0..30).for_each(|i| _ = way.log.push(&split, format!("value {i}")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    way.errors.down(false);
    world.drained(&id, &way).await;
    assert_eq!(way.errors.kept(), [(1, "it is poison".to_owned())]);
    all_once(&world, &id, &way);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_once_does_not_say_its_marks_gets_the_whole_backlog() {
    let way = Way::new(1);
    (0..50).for_each(|i| _ = way.log.push(&Split::new("t", 0), format!("value {i}")));
    way.table.mute(1);
    let (world, id) = World::one("task-mute", &rule(Some(0)), &way).await;
    world.drained(&id, &way).await;
    assert!(way.errors.kept().is_empty(), "{:?}", way.errors.kept());
    all_once(&world, &id, &way);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_says_nothing_gets_what_comes_when_it_speaks_again() {
    let way = Way::new(1);
    (0..50).for_each(|i| _ = way.log.push(&Split::new("t", 0), format!("value {i}")));
    way.table.mute(usize::MAX);
    let (world, id) = World::one("task-silent", &rule(Some(0)), &way).await;
    until("the directory", || !way.errors.kept().is_empty()).await;
    assert!(way.errors.kept().iter().all(|(_, why)| why.contains("may have taken it")));
    way.table.mute(0);
    way.log.push(&Split::new("t", 0), "later");
    world.drained(&id, &way).await;
    all_once(&world, &id, &way);
    world.supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_lost_its_lease_puts_nothing_into_the_directory() {
    let way = Way::new(1);
    let split = Split::new("t", 0);
    way.log.push(&split, "a");
    let (world, id) = World::one("task-late", &rule(Some(0)), &way).await;
    world.drained(&id, &way).await;
    world.store.take_away(&id);
    // It is refused at once, long before the next beat.
    way.log.push(&split, "poison b");
    until("the lanes are gone", || world.supervisor.live(&id).is_none()).await;
    assert!(way.errors.kept().is_empty(), "{:?}", way.errors.kept());
    world.supervisor.stop().await;
}
