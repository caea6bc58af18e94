//! Compacted topics by the broker's handle: they don't grow, readers see what they should while it happens, over restarts.

#![allow(clippy::unwrap_used, reason = "tests")]

use broker::{Broker, Fsync, Record, Settings};
use bytes::Bytes;
use runtime::{Clock, Micros, TaskKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;
const COMPACTED: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("segment.bytes", "16384"), ("min.cleanable.dirty.ratio", "0.3")];

fn record(n: usize) -> Record {
    let key = Some(Bytes::from(format!("key {}", n % 10)));
    let value = Some(Bytes::from(format!("value {n}")));
    Record { timestamp: NOW + i64::try_from(n).unwrap(), key, value, ..Record::default() }
}

async fn open(dir: &Path, fsync: Fsync) -> Broker {
    let settings = Settings { fsync, ..Settings::new(dir) };
    Broker::open(settings, Clock::manual(Micros(NOW * 1000))).await.unwrap()
}

async fn read(broker: &Broker, from: i64) -> Vec<(i64, Record)> {
    let (mut next, mut out) = (from, Vec::new());
    while next < broker.positions("t", 0).unwrap().end {
        let read = broker.read("t", 0, next, 10_000, Duration::ZERO).await.unwrap();
        assert!(read.next_offset > next, "no progress at {next}");
        next = read.next_offset;
        out.extend(read.records);
    }
    out
}

async fn keep_up(broker: &Broker) {
    let broker = broker.clone();
    runtime::blocking(move || broker.keep_up()).await.unwrap();
}

fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir.join("topics/t/0")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn a_compacted_topic_does_not_grow_for_ever() {
    for fsync in [Fsync::Each, Fsync::Never] {
        let dir = tempfile::tempdir().unwrap();
        let mut broker = open(dir.path(), fsync).await;
        broker.create_topic("t", 1, COMPACTED).unwrap();
        let mut n = 0;
        for round in 0..12 {
            for _ in 0..400 {
                let batch: Vec<_> = (n..n + 5).map(record).collect();
                broker.append("t", 0, &batch).await.unwrap();
                n += 5;
            }
            keep_up(&broker).await;
            assert!(size(dir.path()) < 80_000, "round {round}: {} bytes", size(dir.path()));
            let seen = read(&broker, 0).await;
            let newest: BTreeMap<_, _> = seen.iter().map(|(_, r)| (r.key.clone(), r.clone())).collect();
            assert_eq!(newest.len(), 10);
            assert!((n - 10..n).all(|n| newest[&record(n).key] == record(n)), "round {round}");
            assert!(seen.iter().all(|(at, r)| *r == record(usize::try_from(*at).unwrap())));
            // By time and from an offset that went: the next one that is there.
            let (at, time) = broker.offset_at("t", 0, NOW + 1).unwrap().unwrap();
            assert_eq!((at, time), (seen[0].0, seen[0].1.timestamp));
            assert_eq!(read(&broker, 3).await, seen);
            if round % 4 == 3 {
                broker.close().await;
                drop(broker);
                broker = open(dir.path(), fsync).await;
                assert_eq!(read(&broker, 0).await, seen, "after a restart");
            }
        }
        assert_eq!(broker.positions("t", 0).unwrap().start, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_during_compactions_see_all_that_is_new_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, COMPACTED).unwrap();
    let writer = {
        let broker = broker.clone();
        runtime::spawn(TaskKind::Test, async move {
            for n in 0..20_000 {
                broker.append("t", 0, &[record(n)]).await.unwrap();
                if n % 500 == 499 {
                    keep_up(&broker).await;
                }
            }
        })
    };
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let broker = broker.clone();
            runtime::spawn(TaskKind::Test, async move {
                let mut last = BTreeMap::new();
                let mut next = 0;
                while next < 20_000 {
                    let read = broker.read("t", 0, next, 5000, Duration::from_secs(5)).await.unwrap();
                    assert!(read.next_offset >= next);
                    for (at, r) in read.records {
                        assert!(at >= next);
                        assert_eq!(r, record(usize::try_from(at).unwrap()));
                        last.insert(r.key, at);
                    }
                    next = read.next_offset;
                }
                last
            })
        })
        .collect();
    writer.await.unwrap();
    for reader in readers {
        let last = reader.await.unwrap();
        assert!(last.values().all(|at| *at >= 19_990) && last.len() == 10, "{last:?}");
    }
}
