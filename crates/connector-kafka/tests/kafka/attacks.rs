//! Attacks: lanes that die, come twice, lose their partitions; brokers and topics that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connector::ErrorKind;
use connector::records::{Account, Mark, Polled, Split, Unit};

use crate::cluster::{Cluster, WAIT, unique};
use crate::lane::{Lane, assert_each_once, fill, numbered, on_lane, read_all};

/// A lane dies again and again, at points that are spread over its work. In the end everything is there once.
fn killed(source: &Cluster, sink: &Cluster) {
    let (from, to) = (source.topic("from", 3, &[]), sink.topic("to", 2, &[]));
    let pipeline = unique("task");
    let total = 20_000;
    fill(source, &from, &numbered(total));
    let read =
        source.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest","group":"{pipeline}"}}"#));
    let write = sink.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    for life in 1..=12 {
        on_lane(async {
            let mut lane = Lane::new(&read, &write, &pipeline, 0).unwrap();
            // Dropped with records produced and not committed, or while a commit is under way.
            let enough = 400 * life;
            lane.until("some records", |l| l.taken >= enough || l.source_ended(&from)).await;
            if life % 3 == 0 {
                let _ = tokio::time::timeout(Duration::from_millis(life as u64), lane.sink.flush()).await;
            }
        });
    }
    let marks = on_lane(async {
        let mut lane = Lane::new(&read, &write, &pipeline, 0).unwrap();
        lane.drain(source, &from).await;
        lane.marks.clone()
    });
    assert_each_once(sink, &to, total);
    let written: u64 = marks.values().map(|m| m.account.items[Account::WRITTEN]).sum();
    assert_eq!(written, total as u64, "the account came through as well");
}

impl Lane {
    /// Is the end of all partitions settled?
    fn source_ended(&self, topic: &str) -> bool {
        self.marks.len() == 3
            && self
                .marks
                .iter()
                .all(|(s, m)| &*s.topic == topic && self.source.end(s).is_some_and(|e| m.next >= e))
    }
}

#[test]
fn a_lane_that_is_killed_writes_nothing_twice_on_its_own_cluster() {
    let cluster = Cluster::any();
    killed(&cluster, &cluster);
}

#[test]
fn a_lane_that_is_killed_writes_nothing_twice_on_another_cluster() {
    killed(&Cluster::embedded(&[]), &Cluster::any());
}

#[test]
fn the_older_of_two_owners_is_fenced() {
    let cluster = Cluster::any();
    let (from, to) = (cluster.topic("from", 1, &[]), cluster.topic("to", 1, &[]));
    fill(&cluster, &from, &numbered(100));
    let pipeline = unique("task");
    let read = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
    let write = cluster.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    on_lane(async {
        let mut old = Lane::new(&read, &write, &pipeline, 0).unwrap();
        old.until("records", |l| l.taken == 100).await;
        // The new owner begins before the old one commits, with the same lane.
        let mut new =
            connector_kafka::sink(&write, &crate::cluster::context(&pipeline, 0), old.desk.clone()).unwrap();
        assert!(new.join(old.source.group().unwrap()));
        let split = Split::new(&from, 0);
        let found = new.committed(&[(split, None)]).await.unwrap();
        let at = found[0].map_or(0, |m: Mark| m.next);
        let e = match old.sink.flush().await {
            Err(e) => e,
            // It was quicker, and then has to fail at its next transaction.
            Ok(()) => {
                assert_eq!(at, 100);
                fill(&cluster, &from, &["more".to_owned()]);
                let failed = old.try_until("an end", |_| false).await;
                failed.unwrap_err()
            }
        };
        assert_eq!(e.kind(), ErrorKind::Changed, "{e}");
    });
    assert!(read_all(&cluster, &to).len() <= 100);
}

#[test]
fn what_the_source_has_lost_is_not_committed_on_another_cluster() {
    let (here, there) = (Cluster::embedded(&[]), Cluster::embedded(&[]));
    let (from, to) = (here.topic("from", 1, &[]), there.topic("to", 1, &[]));
    fill(&here, &from, &numbered(10));
    let read = here.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
    let write = there.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    let pipeline = unique("task");
    on_lane(async {
        let Lane { mut source, mut sink, joined, .. } = Lane::new(&read, &write, &pipeline, 0).unwrap();
        assert!(!joined);
        let split = Split::new(&from, 0);
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < end, "no record came");
            match source.poll(Duration::from_millis(50), 1 << 16).unwrap() {
                Polled::Assigned(_) => {
                    sink.committed(&[(split.clone(), None)]).await.unwrap();
                    sink.open(&[(split.clone(), Mark::default())]).await.unwrap();
                    source.start(&[(split.clone(), None)]).unwrap();
                }
                Polled::Batch(batch) if !batch.is_empty() => {
                    sink.write(Unit::as_read(Arc::new(batch))).await.unwrap();
                    break;
                }
                _ => {}
            }
        }
        // Its partitions are anybody's now.
        drop(source);
        sink.flush().await.unwrap();
        assert!(sink.settled().is_empty());
    });
    assert_eq!(read_all(&there, &to), []);
    // The next owner writes them, once.
    on_lane(async { Lane::new(&read, &write, &pipeline, 1).unwrap().drain(&here, &from).await });
    assert_each_once(&there, &to, 10);
}

#[test]
fn a_rebalance_storm_loses_nothing_and_doubles_nothing() {
    let cluster = Cluster::any();
    let (from, to) = (cluster.topic("from", 6, &[]), cluster.topic("to", 3, &[]));
    let pipeline = unique("task");
    let total = 60_000;
    let read = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
    let write = cluster.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    let (storm, work) = (AtomicBool::new(true), AtomicBool::new(true));
    let member = |number: u32, turns: usize| {
        on_lane(async {
            let mut lane = Lane::new(&read, &write, &pipeline, number).unwrap();
            for _ in 0..turns {
                if !work.load(Ordering::Relaxed) {
                    return;
                }
                // A lane that ends with an error is made anew, as the engine does; what matters is what it wrote.
                if lane.turn().await.is_err() {
                    lane = Lane::new(&read, &write, &pipeline, number).unwrap();
                }
            }
        });
    };
    std::thread::scope(|threads| {
        threads.spawn(|| member(0, usize::MAX));
        for number in 1..=2 {
            let (member, storm) = (&member, &storm);
            threads.spawn(move || {
                // Comes, and dies after a while with whatever it has open.
                for life in 0.. {
                    if !storm.load(Ordering::Relaxed) {
                        return;
                    }
                    member(number, 20 + 17 * ((life + number as usize) % 5));
                }
            });
        }
        for part in numbered(total).chunks(total / 20) {
            fill(&cluster, &from, part);
            std::thread::sleep(Duration::from_millis(300));
        }
        storm.store(false, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(90);
        let lag = || {
            cluster.admin().group_offsets(&pipeline, &from, WAIT).unwrap().iter().map(|r| r.lag).sum::<i64>()
        };
        while lag() > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
        }
        work.store(false, Ordering::Relaxed);
    });
    // What lanes left open hides what is behind it.
    on_lane(async {
        for number in 0..3 {
            Lane::new(&read, &write, &pipeline, number).unwrap().sink.committed(&[]).await.unwrap();
        }
    });
    assert_each_once(&cluster, &to, total);
    let rows = cluster.admin().group_offsets(&pipeline, &from, WAIT).unwrap();
    let marks = rows.iter().filter_map(|r| Mark::parse(&r.metadata));
    assert_eq!(marks.map(|m| m.account.items[Account::WRITTEN]).sum::<u64>(), total as u64);
}

#[test]
fn a_broker_that_restarts_in_the_middle_costs_nothing() {
    let mut cluster = Cluster::embedded(&[]);
    let (from, to) = (cluster.topic("from", 2, &[]), cluster.topic("to", 2, &[]));
    let total = 30_000;
    fill(&cluster, &from, &numbered(total));
    let pipeline = unique("task");
    let read = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
    let write = cluster.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    on_lane(async {
        let mut lane = Lane::new(&read, &write, &pipeline, 0).unwrap();
        for part in 1..=3 {
            lane.until("a part", |l| l.taken >= part * 5000).await;
            std::thread::scope(|threads| threads.spawn(|| cluster.restart()).join().unwrap());
        }
        // Polls may say that the cluster can't be reached; the lane is made anew when its sink says so.
        let end = Instant::now() + Duration::from_secs(90);
        let ends = cluster.admin().offsets(&from, connector_kafka::OffsetsFor::End, WAIT).unwrap();
        while !ends.iter().all(|(p, e)| lane.marks.get(&Split::new(&from, *p)).is_some_and(|m| m.next >= *e))
        {
            assert!(Instant::now() < end, "{:?}", lane.marks);
            if let Err(e) = lane.turn().await {
                assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
                lane = Lane::new(&read, &write, &pipeline, 0).unwrap();
            }
        }
    });
    assert_each_once(&cluster, &to, total);
}

#[test]
fn a_topic_that_is_deleted_or_was_never_there_is_told() {
    let cluster = Cluster::any();
    let (from, to) = (cluster.topic("from", 1, &[]), cluster.topic("to", 1, &[]));
    fill(&cluster, &from, &numbered(10));
    let source = |topic: &str| {
        let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
        connector_kafka::source(&cluster.endpoint(&options), &crate::cluster::context(&unique("g"), 0))
            .unwrap()
    };
    let error = |source: &mut dyn connector::records::RecordSource| {
        let end = Instant::now() + Duration::from_secs(40);
        loop {
            assert!(Instant::now() < end, "the source says nothing");
            match source.poll(Duration::from_millis(50), 1 << 16) {
                Err(e) => return e.kind(),
                Ok(connector::records::Polled::Revoked(splits)) => source.release(&splits).unwrap(),
                Ok(_) => {}
            }
        }
    };
    assert_eq!(error(&mut *source(&unique("never"))), ErrorKind::NotFound);
    let read = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
    let write = cluster.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    on_lane(async {
        let mut lane = Lane::new(&read, &write, &unique("task"), 0).unwrap();
        lane.drain(&cluster, &from).await;
        cluster.admin().delete_topic(&from, WAIT).unwrap();
        let end = Instant::now() + Duration::from_secs(40);
        let e = loop {
            assert!(Instant::now() < end, "the lane says nothing");
            if let Err(e) = lane.turn().await {
                break e;
            }
        };
        assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    });
}
