//! The log by its handle in the process: what is appended is read, over restarts, crashes and upkeep.

#![allow(clippy::unwrap_used, reason = "tests")]

use broker::{Broker, Fsync, Record, Settings};
use bytes::Bytes;
use runtime::{Clock, Micros};
use std::path::Path;
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;

fn record(n: usize) -> Record {
    let value = Some(Bytes::from(format!("value {n}")));
    Record { timestamp: NOW + i64::try_from(n).unwrap() * 1000, value, ..Record::default() }
}

async fn open(dir: &Path, fsync: Fsync) -> Broker {
    let settings = Settings { fsync, ..Settings::new(dir) };
    Broker::open(settings, Clock::manual(Micros(NOW * 1000))).await.unwrap()
}

async fn all(broker: &Broker, topic: &str) -> Vec<(i64, Record)> {
    let at = broker.positions(topic, 0).unwrap();
    let (mut next, mut out) = (at.start, Vec::new());
    while next < at.end {
        let read = broker.read(topic, 0, next, 100_000, Duration::ZERO).await.unwrap();
        assert!(read.next_offset > next, "no progress at {next}");
        next = read.next_offset;
        out.extend(read.records);
    }
    out
}

/// As after kill -9: the files as they are, with nobody having closed anything.
fn copy_of(dir: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let out = tempfile::tempdir().unwrap();
    copy(dir, out.path());
    out
}

#[tokio::test]
async fn what_is_appended_is_read_after_a_restart_too() {
    for fsync in [Fsync::Each, Fsync::Interval(Duration::from_millis(1)), Fsync::Never] {
        let dir = tempfile::tempdir().unwrap();
        let broker = open(dir.path(), fsync).await;
        broker.create_topic("t", 1, &[("segment.bytes", "16384")]).unwrap();
        for n in 0..600 {
            let at = broker.append("t", 0, &[record(2 * n), record(2 * n + 1)]).await.unwrap();
            assert_eq!(at, i64::try_from(2 * n).unwrap());
        }
        let before = all(&broker, "t").await;
        assert_eq!(before.len(), 1200);
        let crashed = copy_of(dir.path());
        assert_eq!(all(&open(crashed.path(), fsync).await, "t").await, before, "after a crash");
        broker.close().await;
        drop(broker);
        let again = copy_of(dir.path());
        let broker = open(again.path(), fsync).await;
        assert_eq!(all(&broker, "t").await, before, "after a clean end");
        assert_eq!(broker.append("t", 0, &[record(0)]).await.unwrap(), 1200);
    }
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), Fsync::Never).await;
    let second = Broker::open(Settings::new(dir.path()), Clock::system()).await;
    assert!(second.unwrap_err().to_string().contains("another process"));
}

/// Cut off anywhere in the last batches, every whole batch before the cut is there and nothing else, and
/// writing goes on where reading ends.
#[tokio::test]
async fn a_torn_end_is_cut_off_at_a_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[]).unwrap();
    for n in 0..20 {
        broker.append("t", 0, &[record(n)]).await.unwrap();
    }
    let log = dir.path().join("topics/t/0/00000000000000000000.log");
    let bytes = std::fs::read(&log).unwrap();
    let batch = bytes.len() / 20;
    for cut in (bytes.len() - 3 * batch..bytes.len()).step_by(7) {
        let copy = copy_of(dir.path());
        let log = copy.path().join("topics/t/0/00000000000000000000.log");
        std::fs::write(&log, &bytes[..cut]).unwrap();
        let broker = open(copy.path(), Fsync::Never).await;
        let whole = all(&broker, "t").await;
        let last = whole.last().unwrap().0;
        assert!((16..20).contains(&last), "cut at {cut}: {last}");
        assert_eq!(whole.len(), usize::try_from(last).unwrap() + 1);
        assert_eq!(broker.append("t", 0, &[record(99)]).await.unwrap(), last + 1);
        assert_eq!(all(&broker, "t").await.last().unwrap().1, record(99));
    }
    // A flipped bit in the middle: everything from there on is not to be trusted.
    let copy = copy_of(dir.path());
    let mut bad = bytes.clone();
    bad[bytes.len() / 2] ^= 1;
    std::fs::write(copy.path().join("topics/t/0/00000000000000000000.log"), bad).unwrap();
    let whole = all(&open(copy.path(), Fsync::Never).await, "t").await;
    assert!(whole.len() < 11 && whole.len() > 8, "{}", whole.len());
}

#[tokio::test]
async fn a_record_is_found_by_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[("segment.bytes", "16384")]).unwrap();
    for n in 0..1000 {
        broker.append("t", 0, &[record(3 * n), record(3 * n + 1), record(3 * n + 2)]).await.unwrap();
    }
    for n in [0_i64, 1, 2, 3, 500, 1501, 2998, 2999] {
        let t = NOW + n * 1000;
        assert_eq!(broker.offset_at("t", 0, t).unwrap(), Some((n, t)));
        assert_eq!(broker.offset_at("t", 0, t - 999).unwrap(), Some((n, t)));
    }
    assert_eq!(broker.offset_at("t", 0, NOW + 3_000_000).unwrap(), None);
    broker.delete_before("t", 0, 700).unwrap();
    assert_eq!(broker.offset_at("t", 0, NOW).unwrap(), Some((700, NOW + 700_000)));
}

#[tokio::test]
async fn records_before_the_start_are_gone_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[("segment.bytes", "16384")]).unwrap();
    for n in 0..1000 {
        broker.append("t", 0, &[record(n)]).await.unwrap();
    }
    assert!(broker.delete_before("t", 0, 1001).is_err());
    assert_eq!(broker.delete_before("t", 0, 900).unwrap(), 900);
    assert!(broker.read("t", 0, 899, 1000, Duration::ZERO).await.unwrap_err().is_not_found());
    assert_eq!(all(&broker, "t").await.len(), 100);
    let crashed = copy_of(dir.path());
    let broker = open(crashed.path(), Fsync::Never).await;
    assert_eq!(broker.positions("t", 0).unwrap().start, 900);
    // All of it deleted, and the end of the file lost as well: offsets are not given twice.
    broker.delete_before("t", 0, 1000).unwrap();
    let crashed = copy_of(crashed.path());
    for file in std::fs::read_dir(crashed.path().join("topics/t/0")).unwrap().map(Result::unwrap) {
        if file.path().extension().is_some_and(|e| e == "log") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    let broker = open(crashed.path(), Fsync::Never).await;
    assert_eq!(broker.append("t", 0, &[record(0)]).await.unwrap(), 1000);
}

#[tokio::test]
async fn a_reader_waits_for_the_next_record() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Each).await;
    broker.create_topic("t", 1, &[]).unwrap();
    let none = broker.read("t", 0, 0, 1000, Duration::from_millis(5)).await.unwrap();
    assert!(none.records.is_empty() && none.next_offset == 0);
    let reader = broker.clone();
    let waiting = runtime::spawn(runtime::TaskKind::Test, async move {
        reader.read("t", 0, 0, 1000, Duration::from_secs(60)).await.unwrap()
    });
    broker.append("t", 0, &[record(0)]).await.unwrap();
    assert_eq!(waiting.await.unwrap().records, [(0, record(0))]);
}

/// One batch of the log is much more than what the reader asked for; what is cut off comes with the next read.
#[tokio::test]
async fn a_read_gives_what_was_asked_for_of_a_large_batch() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[]).unwrap();
    let large = |n: usize| Record { value: Some(Bytes::from(vec![b'x'; 1000])), ..record(n) };
    let batch: Vec<Record> = (0..1000).map(large).collect();
    broker.append("t", 0, &batch).await.unwrap();
    let (mut next, mut found) = (0, Vec::new());
    while next < 1000 {
        let read = broker.read("t", 0, next, 10_000, Duration::ZERO).await.unwrap();
        assert!((1..=10).contains(&read.records.len()) && read.next_offset > next, "{}", read.records.len());
        (next, found) = (read.next_offset, [found, read.records].concat());
    }
    assert!(found.iter().map(|(_, r)| r).eq(&batch) && found.iter().zip(0..).all(|((at, _), n)| *at == n));
    // A record larger than that comes all the same.
    let read = broker.read("t", 0, 0, 1, Duration::ZERO).await.unwrap();
    assert_eq!((read.records.len(), read.next_offset), (1, 1));
}

#[tokio::test]
async fn a_deleted_topic_leaves_nothing_for_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 2, &[]).unwrap();
    broker.append("t", 1, &[record(0)]).await.unwrap();
    broker.delete_topic("t").await.unwrap();
    assert!(broker.append("t", 1, &[record(0)]).await.unwrap_err().is_not_found());
    broker.create_topic("t", 2, &[]).unwrap();
    assert_eq!(broker.positions("t", 1).unwrap().end, 0);
    for name in ["", ".", "..", "a/b", "a b", "\u{e9}", &"x".repeat(250)] {
        assert!(broker.create_topic(name, 1, &[]).is_err(), "{name:?}");
    }
    assert!(broker.create_topic("u", 0, &[]).is_err());
    assert!(broker.create_topic("u", 1, &[("retention.ms", "soon")]).is_err());
    assert!(broker.create_topic("u", 1, &[("colour", "red")]).is_err());
    assert!(broker.create_topic("u", 100_000, &[]).is_err());
    assert!(broker.topic("u").is_none());
}

/// The catalogue was lost or an older one was brought back: the records are still somebody's.
#[tokio::test]
async fn files_that_nobody_deleted_are_not_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("before", 1, &[]).unwrap();
    let older = std::fs::read(dir.path().join("topics.journal")).unwrap();
    broker.create_topic("t", 1, &[]).unwrap();
    broker.append("t", 0, &[record(0)]).await.unwrap();
    let log = "topics/t/0/00000000000000000000.log";
    let records = std::fs::read(dir.path().join(log)).unwrap();
    for catalogue in [Vec::new(), older] {
        let copy = copy_of(dir.path());
        std::fs::write(copy.path().join("topics.journal"), catalogue).unwrap();
        let broker = open(copy.path(), Fsync::Never).await;
        let refused = broker.create_topic("t", 1, &[]).unwrap_err().to_string();
        assert!(refused.contains("topics/t") && refused.contains("nobody deleted"), "{refused}");
        assert_eq!(std::fs::read(copy.path().join(log)).unwrap(), records);
        assert!(broker.topic("t").is_none() && !copy.path().join("deleted").exists());
        std::fs::rename(copy.path().join("topics/t"), copy.path().join("kept")).unwrap();
        broker.create_topic("t", 1, &[]).unwrap();
    }
}

/// The crash comes between the word in the catalogue and the removal of the files.
#[tokio::test]
async fn a_deletion_that_was_interrupted_goes_on_and_takes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[]).unwrap();
    broker.append("t", 0, &[record(0)]).await.unwrap();
    let files = copy_of(&dir.path().join("topics"));
    // The removal fails: where it should go is a file.
    std::fs::write(dir.path().join("deleted"), "").unwrap();
    assert!(broker.delete_topic("t").await.is_err());
    assert!(dir.path().join("topics/t/0").exists());
    let crashed = copy_of(dir.path());
    std::fs::remove_file(crashed.path().join("deleted")).unwrap();
    let broker = open(crashed.path(), Fsync::Never).await;
    assert!(!crashed.path().join("topics/t").exists(), "the start goes on with it");
    // The same name again, and a crash: the old word says nothing about the new files.
    broker.create_topic("t", 1, &[]).unwrap();
    broker.append("t", 0, &[record(1)]).await.unwrap();
    let crashed = copy_of(crashed.path());
    let broker = open(crashed.path(), Fsync::Never).await;
    assert_eq!(all(&broker, "t").await, [(0, record(1))]);
    // Nor, once it is done, about files that come later.
    broker.delete_topic("t").await.unwrap();
    std::fs::rename(files.path().join("t"), crashed.path().join("topics/t")).unwrap();
    assert!(broker.create_topic("t", 1, &[]).is_err());
    let again = copy_of(crashed.path());
    drop(open(again.path(), Fsync::Never).await);
    assert!(again.path().join("topics/t/0").exists());
}

#[tokio::test]
async fn committed_offsets_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path(), Fsync::Never).await;
    broker.create_topic("t", 1, &[]).unwrap();
    broker.commit("g", "t", 0, 5).unwrap();
    broker.commit("g", "t", 0, 7).unwrap();
    assert!(broker.commit("g", "t", 1, 7).is_err());
    let crashed = copy_of(dir.path());
    assert_eq!(open(crashed.path(), Fsync::Never).await.committed("g", "t", 0), Some(7));
}

/// What version 1 wrote: a topic, three transactions (the second one aborted), a compressed batch, an offset.
/// A change that can't read this breaks what users have on their disks.
#[tokio::test]
async fn a_folder_of_version_1_is_read() {
    let copy = copy_of(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1")));
    for round in 0..2 {
        let broker = open(copy.path(), Fsync::Never).await;
        let topic = broker.topic("golden").unwrap();
        assert_eq!((topic.partitions, topic.configs["retention.ms"].as_str()), (2, "-1"));
        let values: Vec<String> = all(&broker, "golden")
            .await
            .into_iter()
            .map(|(_, r)| String::from_utf8(r.value.unwrap().to_vec()).unwrap())
            .collect();
        assert_eq!(values, ["1/0", "1/1", "1/2", "3/0", "3/1", "3/2"], "round {round}");
        assert_eq!(broker.committed("golden-group", "golden", 0), Some(4));
        assert_eq!(broker.offset_at("golden", 1, NOW + 33).unwrap(), Some((33, NOW + 33)));
        broker.close().await;
        // Once more without the marks of a clean end, from the batches alone.
        for partition in ["0", "1"] {
            let dir = copy.path().join("topics/golden").join(partition);
            for file in std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()) {
                if file.extension().is_none_or(|e| e != "log") {
                    std::fs::remove_file(file).unwrap();
                }
            }
        }
        std::fs::remove_file(copy.path().join("lock")).unwrap();
    }
}
