//! Over the real store, in SQLite.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connector::records::{Account, Mark, Split};
use engine::dispatch::Lease;
use engine::pipeline::{Entry, Pauses, Pipelines, Settings, Stored, Supervisor, Trouble};
use model::{DeadStatus, PipelineId, PipelineStatus, Timestamp};
use runtime::{ByteBudget, Clock, Random};
use store::{DeadFilter, Page, PipelineNeeds, PipelineOrder, SealKey, Store};

use super::world::{Way, Ways, keep, pipeline};

async fn supervisor(store: &Store, way: &Way, id: &str) -> Supervisor {
    let stored = Arc::new(Stored::new(store.clone(), Clock::system()));
    let settings = Settings {
        pipelines: stored.clone(),
        desk: stored,
        catalogue: Arc::new(Ways(BTreeMap::from([(id.to_owned(), way.clone())]))),
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(8 << 20),
        concurrent: 4,
        lanes: 2,
        spare_lanes: 4,
        lease: Lease::default(),
        pauses: Pauses { first: Duration::from_millis(20), last: Duration::from_millis(200) },
    };
    Supervisor::start(settings).await.unwrap()
}

async fn until(store: &Store, id: &PipelineId, what: &str, is: impl Fn(&model::Pipeline) -> bool) {
    for _ in 0..3000 {
        let p = store.pipeline(id).await.unwrap().unwrap();
        if is(&p) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen: {:?}", store.pipeline(id).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_lives_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/wharf.db", dir.path().display());
    let key = SealKey::new(&[7; 32]).unwrap();
    let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
    let mut way = Way::new(2);
    way.transform = true;
    for v in ["a", "poison b", "fail c", "three d", "filter e"] {
        way.log.push(&Split::new("t", 0), v);
        way.log.push(&Split::new("t", 1), v);
    }
    let p = pipeline("task-stored", &keep());
    let id = p.id.clone();
    let needs = PipelineNeeds { worked: true, ..PipelineNeeds::default() };
    store.insert_pipeline(&p, &needs).await.unwrap();
    let first = supervisor(&store, &way, &id.0).await;
    first.wake();
    until(&store, &id, "all of it", |p| p.ledger.items.read == 10).await;
    until(&store, &id, "running", |p| p.status == PipelineStatus::Running && p.error.is_none()).await;
    let l = store.pipeline(&id).await.unwrap().unwrap().ledger;
    assert_eq!((l.items.written, l.items.dead_lettered, l.items.filtered, l.balance()), (8, 4, 2, Ok(())));
    // A stop gives it back, the next process goes on.
    first.stop().await;
    way.table.heal();
    let filter = DeadFilter { pipeline: Some(id.clone()), ..DeadFilter::default() };
    assert_eq!(store.replay_dead(&id, &filter).await.unwrap(), 4);
    let second = supervisor(&store, &way, &id.0).await;
    until(&store, &id, "replays", |p| p.ledger.items.written == 10).await;
    for _ in 0..1000 {
        let (letters, _) = store.dead_letters(&filter, Page::default()).await.unwrap();
        let replayed = letters.iter().filter(|l| l.status == DeadStatus::Replayed).count();
        assert_eq!(letters.len(), 4);
        if replayed == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waiting = DeadFilter { status: Some(DeadStatus::Waiting), ..filter };
    let (letters, _) = store.dead_letters(&waiting, Page::default()).await.unwrap();
    assert!(letters.len() == 2 && letters.iter().all(|l| l.stage == model::Stage::Transform));
    store.order_pipeline(&id, PipelineOrder::Pause, Timestamp(Clock::system().now().0)).await.unwrap();
    second.signal(&id);
    until(&store, &id, "paused", |p| p.status == PipelineStatus::Paused).await;
    assert_eq!(way.log.members(), 0);
    assert_eq!(way.table.rows().len(), 10);
    // Whoever had it before writes nothing more.
    let stored = Stored::new(store.clone(), Clock::system());
    let mark = Mark { next: 999, account: Account::default() };
    let entry = Entry { marks: vec![(Split::new("t", 0), mark)], ..Entry::default() };
    assert_eq!(stored.journal(&id, 1, &entry).await, Err(Trouble::Fenced));
    second.stop().await;
    store.close().await;
}
