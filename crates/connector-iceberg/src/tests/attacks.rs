//! Crashes, rivals, and catalogues that lie about what they did.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use connector::Error;
use iceberg::{NamespaceIdent, TableIdent};

use super::*;
use crate::catalogue::{Catalogue, Change, NewTable, Refusal};

/// What a catalogue does with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Makes it, and then answers 500.
    LosesAnswer,
    /// Answers 500, and has not made it.
    Fails,
    /// Makes it after the answer 500, while the next attempt is prepared.
    MakesItLate,
    /// The process dies before it is asked.
    DiesBefore,
    /// The process dies when it was made.
    DiesAfter,
    /// Makes it, stands still until it is woken, and then answers 500.
    StandsStill,
    /// Somebody else is faster.
    Conflicts,
}

#[derive(Default)]
pub(super) struct Acts {
    faults: Mutex<VecDeque<Fault>>,
    pub(super) dead: tokio::sync::Notify,
    pub(super) wake: tokio::sync::Notify,
    /// How often the table was loaded.
    pub(super) loads: AtomicUsize,
}

pub(super) type Script = Arc<Acts>;

struct Faulty {
    inner: Box<dyn Catalogue>,
    script: Script,
    late: Mutex<Option<(Table, Change)>>,
}

fn unknown() -> Refusal {
    Refusal::Unknown(Error::new(ErrorKind::Unavailable, "the catalogue answered 500"))
}

#[async_trait]
impl Catalogue for Faulty {
    async fn has_namespace(&self, namespace: &NamespaceIdent) -> Result<bool> {
        self.inner.has_namespace(namespace).await
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.inner.create_namespace(namespace).await
    }

    async fn load(&self, ident: &TableIdent) -> Result<Option<Table>> {
        self.script.loads.fetch_add(1, Relaxed);
        let loaded = self.inner.load(ident).await;
        // It lands when the next attempt has looked already.
        let late = self.late.lock().unwrap().take();
        if let Some((table, change)) = late {
            // Or doesn't, where an earlier one has.
            let _ = self.inner.commit(&table, change).await;
        }
        loaded
    }

    async fn create(&self, new: NewTable) -> Result<Table> {
        self.inner.create(new).await
    }

    async fn commit(&self, table: &Table, change: Change) -> Result<(), Refusal> {
        let fault = self.script.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.inner.commit(table, change).await,
            Fault::LosesAnswer => {
                self.inner.commit(table, change).await?;
                Err(unknown())
            }
            Fault::Fails => Err(unknown()),
            Fault::MakesItLate => {
                *self.late.lock().unwrap() = Some((table.clone(), change));
                Err(unknown())
            }
            Fault::DiesBefore => {
                self.script.dead.notify_one();
                std::future::pending().await
            }
            Fault::DiesAfter => {
                self.inner.commit(table, change).await?;
                self.script.dead.notify_one();
                std::future::pending().await
            }
            Fault::StandsStill => {
                self.inner.commit(table, change).await?;
                self.script.dead.notify_one();
                self.script.wake.notified().await;
                Err(unknown())
            }
            Fault::Conflicts => Err(Refusal::Conflict),
        }
    }
}

pub(super) fn faulty(world: &World, lane: u32, script: &Script) -> Box<dyn RecordSink> {
    let context = Context { lane, ..world.context() };
    let between = |inner| {
        Box::new(Faulty { inner, script: script.clone(), late: Mutex::default() }) as Box<dyn Catalogue>
    };
    crate::sink::over(&world.endpoint(), &context, desk(), between).unwrap()
}

pub(super) fn script(faults: &[Fault]) -> Script {
    Arc::new(Acts { faults: Mutex::new(faults.iter().copied().collect()), ..Acts::default() })
}

/// Every file below the table is held by it, but metadata of earlier versions.
async fn nothing_is_left(world: &World) {
    let table = world.table().await.unwrap();
    let mut held = BTreeSet::new();
    for snapshot in table.metadata().snapshots() {
        held.insert(snapshot.manifest_list().to_owned());
        let list = table.manifest_list_reader(snapshot).load().await.unwrap();
        for manifest in list.entries() {
            held.insert(manifest.manifest_path.clone());
            let loaded = manifest.load_manifest(table.file_io()).await.unwrap();
            held.extend(loaded.entries().iter().map(|e| e.file_path().to_owned()));
        }
    }
    let root = format!("{}/warehouse/", world.root());
    let held: BTreeSet<_> = held.into_iter().map(|f| f.replace(&root, "")).collect();
    let there: BTreeSet<_> =
        world.files().await.into_iter().filter(|f| !f.ends_with(".metadata.json")).collect();
    assert_eq!(there, held);
}

pub(super) async fn once(world: &World, splits: i32, n: i64) {
    let want: Vec<_> = (0..splits).flat_map(|p| (0..n).map(move |i| ("topic".to_owned(), p, i, i))).collect();
    let got = world.numbers().await;
    assert!(got == want, "{} rows instead of {}", got.len(), want.len());
}

#[test]
fn a_catalogue_that_commits_and_answers_500_is_looked_at_again() {
    run(async {
        use Fault::{Conflicts, Fails, LosesAnswer, MakesItLate};
        for faults in [
            &[LosesAnswer][..],
            &[Fails, Fails],
            &[Conflicts, LosesAnswer],
            &[Fails, LosesAnswer],
            &[MakesItLate],
            &[Fails, MakesItLate],
        ] {
            let world = World::local("");
            let mut sink = faulty(&world, 0, &script(faults));
            take_over(&mut *sink, &[split(0)]).await.unwrap();
            sink.write(numbered(&split(0), 0, 10)).await.unwrap();
            sink.flush().await.unwrap();
            assert_eq!((world.snapshots().await, sink.settled().len()), (1, 1), "{faults:?}");
            sink.write(numbered(&split(0), 10, 10)).await.unwrap();
            sink.flush().await.unwrap();
            once(&world, 1, 20).await;
            nothing_is_left(&world).await;
        }
    });
}

#[test]
fn when_nobody_knows_the_files_stay_and_the_next_one_finds_out() {
    run(async {
        for lands in [false, true] {
            let world = World::local("");
            let mut faults = vec![Fault::Fails; 12];
            if lands {
                faults[11] = Fault::LosesAnswer;
            }
            let mut sink = faulty(&world, 0, &script(&faults));
            take_over(&mut *sink, &[split(0)]).await.unwrap();
            sink.write(numbered(&split(0), 0, 10)).await.unwrap();
            assert_eq!(sink.flush().await.unwrap_err().kind(), ErrorKind::Unavailable);
            assert!(sink.settled().is_empty() && sink.tick().await.is_err());
            assert!(world.files().await.iter().any(|f| f.ends_with(".parquet")));
            drop(sink);
            let mut next = world.sink(desk());
            let at = take_over(&mut *next, &[split(0)]).await.unwrap()[0].next;
            assert_eq!(at, if lands { 10 } else { 0 });
            next.write(numbered(&split(0), at, 20 - at)).await.unwrap();
            next.flush().await.unwrap();
            once(&world, 1, 20).await;
            let files = world.files().await;
            let data = files.iter().filter(|f| f.ends_with(".parquet")).count();
            assert_eq!(data, if lands { 2 } else { 1 }, "{files:?}");
            assert!(!files.iter().any(|f| f.contains("staging/")), "{files:?}");
        }
    });
}

#[test]
fn two_sinks_on_one_task_can_not_both_win() {
    run(async {
        let world = World::local("");
        let (mut old, mut new) = (world.sink(desk()), world.sink(desk()));
        take_over(&mut *old, &[split(0), split(1)]).await.unwrap();
        old.write(numbered(&split(0), 0, 5)).await.unwrap();
        old.write(numbered(&split(1), 0, 5)).await.unwrap();
        take_over(&mut *new, &[split(0)]).await.unwrap();
        new.write(numbered(&split(0), 0, 5)).await.unwrap();
        new.flush().await.unwrap();
        let error = old.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert!(old.settled().is_empty());
        once(&world, 1, 5).await;
        nothing_is_left(&world).await;
    });
}

#[test]
fn a_sink_whose_files_were_removed_can_not_commit_them() {
    run(async {
        let world = World::local("");
        // The old one hangs in its commit; its files are there.
        let faults = script(&[Fault::DiesBefore]);
        let mut old = faulty(&world, 0, &faults);
        take_over(&mut *old, &[split(0)]).await.unwrap();
        old.write(numbered(&split(0), 0, 5)).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), old.flush()).await.is_err());
        assert!(world.files().await.iter().any(|f| f.contains("staging/")));
        let mut new = world.sink(desk());
        take_over(&mut *new, &[split(0)]).await.unwrap();
        new.write(numbered(&split(0), 0, 8)).await.unwrap();
        new.flush().await.unwrap();
        once(&world, 1, 8).await;
        let files = world.files().await;
        assert_eq!(files.iter().filter(|f| f.ends_with(".parquet")).count(), 1, "{files:?}");
        assert!(!files.iter().any(|f| f.contains("staging/")), "{files:?}");
        let mut third = world.sink(desk());
        assert_eq!(take_over(&mut *third, &[split(0)]).await.unwrap()[0].next, 8);
    });
}

#[test]
fn foreign_writers_cost_an_attempt_and_hide_no_marks() {
    run(async {
        let world = World::local("");
        let mut ours = world.sink(desk());
        take_over(&mut *ours, &[split(0)]).await.unwrap();
        let foreign = World {
            pipeline: "somebody-else".into(),
            connection: world.connection.clone(),
            options: world.options.clone(),
            secret: None,
            clock: world.clock.clone(),
            _dir: None,
        };
        for round in 0..4 {
            ours.write(numbered(&split(0), round * 5, 5)).await.unwrap();
            let mut theirs = foreign.sink(desk());
            take_over(&mut *theirs, &[split(9)]).await.unwrap();
            theirs.write(numbered(&split(9), round * 2, 2)).await.unwrap();
            theirs.flush().await.unwrap();
            ours.flush().await.unwrap();
            theirs.write(numbered(&split(9), round * 2 + 2, 0)).await.unwrap();
        }
        let mut theirs = foreign.sink(desk());
        assert_eq!(take_over(&mut *theirs, &[split(9)]).await.unwrap()[0].next, 8);
        theirs.write(numbered(&split(9), 8, 2)).await.unwrap();
        theirs.flush().await.unwrap();
        drop(ours);
        let mut next = world.sink(desk());
        assert_eq!(take_over(&mut *next, &[split(0)]).await.unwrap()[0].next, 20);
        assert_eq!(world.numbers().await.len(), 30);
        nothing_is_left(&world).await;
    });
}

#[test]
fn lanes_of_one_task_keep_each_others_marks() {
    run(async {
        let world = World::local("");
        let none = script(&[]);
        let mut lanes: Vec<_> = (0..4).map(|lane| faulty(&world, lane, &none)).collect();
        for (p, lane) in (0..).zip(&mut lanes) {
            take_over(&mut **lane, &[split(p)]).await.unwrap();
        }
        for round in 0..3 {
            for (p, lane) in (0..).zip(&mut lanes) {
                lane.write(numbered(&split(p), round * 5, 5)).await.unwrap();
            }
            let all: Vec<_> = lanes.iter_mut().map(|l| l.flush()).collect();
            for done in futures_util::future::join_all(all).await {
                done.unwrap();
            }
        }
        once(&world, 4, 15).await;
        let mut next = world.sink(desk());
        let all: Vec<_> = (0..4).map(split).collect();
        let marks = take_over(&mut *next, &all).await.unwrap();
        assert!(marks.iter().all(|m| m.next == 15), "{marks:?}");
        nothing_is_left(&world).await;
    });
}

#[test]
fn a_split_that_is_lost_in_mid_interval_is_written_by_its_next_owner_only() {
    run(async {
        let world = World::local("");
        let mut old = world.sink(desk());
        take_over(&mut *old, &[split(0), split(1)]).await.unwrap();
        old.write(numbered(&split(0), 0, 5)).await.unwrap();
        old.write(numbered(&split(1), 0, 5)).await.unwrap();
        old.close(&[split(1)]).await;
        old.flush().await.unwrap();
        assert_eq!(old.settled().len(), 1);
        let mut new = world.sink(desk());
        assert_eq!(take_over(&mut *new, &[split(1)]).await.unwrap()[0].next, 0);
        new.write(numbered(&split(1), 0, 5)).await.unwrap();
        new.flush().await.unwrap();
        old.write(numbered(&split(0), 5, 5)).await.unwrap();
        old.flush().await.unwrap();
        new.write(numbered(&split(1), 5, 5)).await.unwrap();
        new.flush().await.unwrap();
        once(&world, 2, 10).await;
        nothing_is_left(&world).await;
    });
}

#[test]
fn a_split_that_is_lost_with_rows_in_files_ends_the_run_and_leaves_nothing() {
    run(async {
        let world = World::local("");
        let mut old = world.sink(desk());
        take_over(&mut *old, &[split(0), split(1)]).await.unwrap();
        let text = "x".repeat(60_000);
        let mut at = 0;
        while !world.files().await.iter().any(|f| f.contains("staging/")) {
            let value = format!(r#"{{"n":{at},"s":"{text}"}}"#);
            for p in 0..2 {
                old.write(unit(&split(p), at, &[value.as_str(); 20])).await.unwrap();
            }
            at += 20;
            assert!(at < 10_000, "nothing goes to files");
        }
        old.close(&[split(1)]).await;
        assert_eq!(old.flush().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(old.settled().is_empty());
        let left = world.files().await;
        assert!(!left.iter().any(|f| f.contains("staging/") || f.ends_with(".parquet")), "{left:?}");
        let mut new = world.sink(desk());
        let marks = take_over(&mut *new, &[split(0), split(1)]).await.unwrap();
        assert!(marks.iter().all(|m| m.next == 0));
    });
}

#[test]
fn a_store_that_fails_costs_time_and_no_row() {
    let weed = match testkit::peers::seaweedfs() {
        Ok(weed) => weed,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    };
    weed.client.create_bucket("lake").unwrap();
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let proxy = testkit::Proxy::start(listen, weed.client.addr, testkit::Mode::Http).await.unwrap();
        let connection = format!(
            r#"{{"uri":"sqlite:{}/c.db","warehouse":"s3://lake/w","s3":{{"url":"http://{}","access_key_id":"{}"}}}}"#,
            dir.path().display(),
            proxy.addr,
            weed.access_key
        );
        let world = World::at(&connection, Some(&weed.secret_key), "");
        take_over(&mut *world.sink(desk()), &[split(0)]).await.unwrap();
        for (seed, rules) in (1..).zip([
            &["match=PUT every=4 do=drop-response", "match=GET every=7 do=reset"][..],
            &["permille=150 do=status:503", "permille=100 do=reset"],
            &["match=PUT permille=300 do=cut-request:50", "match=DELETE every=2 do=status:500"],
        ]) {
            proxy.clear();
            proxy.seed(seed);
            rules.iter().for_each(|r| proxy.add(r).unwrap());
            let (mut lives, upto) = (0, i64::try_from(seed).unwrap() * 40);
            loop {
                lives += 1;
                assert!(lives < 100, "no life came through");
                let mut sink = world.sink(desk());
                let life = async {
                    let mut at = take_over(&mut *sink, &[split(0)]).await?[0].next;
                    while at < upto {
                        sink.write(numbered(&split(0), at, 8)).await?;
                        at += 8;
                        sink.flush().await?;
                    }
                    Ok::<_, Error>(())
                };
                if life.await.is_ok() {
                    break;
                }
            }
            assert!(proxy.fired().iter().sum::<u64>() > 0);
        }
        proxy.clear();
        once(&world, 1, 120).await;
    });
}

/// Lives that end anywhere, with every fault there is; the journal is as old as it may be.
async fn die_often(world: &World, seed: u64) {
    use Fault::{Conflicts, DiesAfter, DiesBefore, Fails, LosesAnswer, MakesItLate, None};
    let faults = [None, None, None, LosesAnswer, Fails, MakesItLate, DiesBefore, DiesAfter, Conflicts];
    let mut random = seed;
    let mut draw = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let (splits, n) = (vec![split(0), split(1)], 150);
    for life in 0..400 {
        let plan: Vec<_> = (0..8).map(|_| faults[usize::try_from(draw(9)).unwrap()]).collect();
        let acts = if life < 60 { script(&plan) } else { script(&[]) };
        let mut sink = faulty(world, 0, &acts);
        let mut at: BTreeMap<_, _> = BTreeMap::new();
        for (split, mark) in splits.iter().zip(take_over(&mut *sink, &splits).await.unwrap()) {
            assert_eq!(u64::try_from(mark.next).unwrap(), mark.account.items[Account::READ]);
            balanced(&mark);
            at.insert(split.clone(), mark.next);
        }
        let living = async {
            for step in 0..40_u64 {
                for (split, at) in &mut at {
                    let n = i64::try_from(1 + (step * 3) % 7).unwrap().min(n - *at);
                    if n > 0 {
                        sink.write(numbered(split, *at, n)).await?;
                        *at += n;
                    }
                }
                if step % 3 == 0 {
                    sink.flush().await?;
                }
            }
            sink.flush().await?;
            Ok::<_, Error>(at.values().all(|a| *a == n))
        };
        let ended = tokio::select! {
            ended = living => Some(ended),
            () = acts.dead.notified() => Option::None,
        };
        match ended {
            Some(Ok(true)) => {
                once(world, 2, n).await;
                let files = world.files().await;
                assert!(!files.iter().any(|f| f.contains("staging/")), "{files:?}");
                nothing_is_left(world).await;
                return;
            }
            Some(Ok(false)) => panic!("it came to its end and is not there"),
            Some(Err(e)) => assert!(e.kind().is_transient(), "{e}"),
            // Died.
            Option::None => {}
        }
    }
    panic!("no life came through");
}

#[test]
fn rows_are_there_once_however_often_the_sink_dies() {
    run(async {
        for seed in 1..4 {
            die_often(&World::local(""), seed).await;
        }
        let mut staged = World::local("");
        let staging = format!("{}/staged", staged.root());
        staged.options = staged.options.replacen('{', &format!(r#"{{"staging":"{staging}","#), 1);
        die_often(&staged, 9).await;
    });
}
