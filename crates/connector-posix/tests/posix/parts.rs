//! Writes in parts: interrupted, resumed, out of order.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use connector::conformance::{Chunks, content};
use connector::{Digest, ErrorKind, Lane, Meta, Part, PartDone, Range, Target, Tree, Upload};

use crate::{target, tree};

const PART: u64 = 100_000;
const SIZE: u64 = 450_000;

fn part(number: u32) -> Part {
    let start = u64::from(number - 1) * PART;
    Part { number, range: Range { start, end: (start + PART).min(SIZE) } }
}

async fn put(lane: &dyn Lane, t: &Target, u: &Upload, bytes: &[u8], number: u32) -> PartDone {
    let r = part(number).range;
    let body = Chunks::new(&bytes[r.start as usize..r.end as usize], 7777).body();
    lane.put_part(t, u, part(number), body).await.unwrap()
}

fn hidden(dir: &Path, suffix: &str) -> PathBuf {
    let all = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    all.into_iter().find(|p| p.to_string_lossy().ends_with(suffix)).unwrap()
}

fn numbers(upload: &Upload) -> Vec<u32> {
    upload.done.iter().map(|p| p.number).collect()
}

#[tokio::test]
async fn an_interrupted_run_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(SIZE as usize, 1);
    let t = target("large", SIZE);
    {
        let lane = tree(dir.path()).lane();
        let u = lane.begin(&t, PART).await.unwrap();
        for n in [5, 2, 1] {
            put(&*lane, &t, &u, &bytes, n).await;
        }
        let broken = Chunks::new(&bytes[..50_000], 7777).failing().body();
        assert!(lane.put_part(&t, &u, part(3), broken).await.is_err());
    }
    // A line that was being appended when the process was killed.
    let log = hidden(dir.path(), ".parts");
    let torn = [fs::read(&log).unwrap(), b"part 4 100".to_vec()].concat();
    fs::write(&log, torn).unwrap();
    let lane = tree(dir.path()).lane();
    let u = lane.begin(&t, PART).await.unwrap();
    assert_eq!(numbers(&u), [1, 2, 5]);
    let mut all = u.done.clone();
    all.push(put(&*lane, &t, &u, &bytes, 3).await);
    let u = lane.begin(&t, PART).await.unwrap();
    assert_eq!(numbers(&u), [1, 2, 3, 5], "a line behind a torn one counts");
    all.push(put(&*lane, &t, &u, &bytes, 4).await);
    all.sort_by_key(|p| p.number);
    assert_eq!(
        lane.finish(&t, &u, &all[1..], &Meta::default()).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    all[2].digest = None;
    let told = Meta { mtime_ns: Some(12_345), mode: Some(0o640), ..Meta::default() };
    let stored = lane.finish(&t, &u, &all, &told).await.unwrap();
    assert_eq!(stored.digest, Digest::of(&bytes));
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), bytes);
    let m = fs::metadata(dir.path().join("large")).unwrap();
    assert_eq!((m.mode() & 0o7777, m.mtime_nsec()), (0o640, 12_345));
    let found = lane.stat(&t.path).await.unwrap().unwrap();
    assert_eq!((found.stamp, found.entry.version), (Some(t.stamp), stored.version));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn after_a_crash_of_the_machine_parts_are_believed_only_when_they_are_true() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(SIZE as usize, 2);
    let t = target("large", SIZE);
    let lane = tree(dir.path()).lane();
    let u = lane.begin(&t, PART).await.unwrap();
    for n in 1..=4 {
        put(&*lane, &t, &u, &bytes, n).await;
    }
    let log = hidden(dir.path(), ".parts");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&log).unwrap().replace(boot.trim(), "another-boot");
    fs::write(&log, text).unwrap();
    // The bytes of part 2 never reached the disk.
    let data = fs::OpenOptions::new().write(true).open(hidden(dir.path(), ".data")).unwrap();
    data.write_all_at(&[0; 5000], PART + 17).unwrap();
    assert_eq!(numbers(&lane.begin(&t, PART).await.unwrap()), [1, 3, 4]);
    assert_eq!(numbers(&lane.begin(&t, PART).await.unwrap()), [1, 3, 4]);
}

#[tokio::test]
async fn another_version_size_or_part_size_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(SIZE as usize, 3);
    let t = target("large", SIZE);
    let lane = tree(dir.path()).lane();
    let u = lane.begin(&t, PART).await.unwrap();
    put(&*lane, &t, &u, &bytes, 1).await;
    let mut other = t.clone();
    other.stamp.version = "v2".into();
    assert!(lane.begin(&other, PART).await.unwrap().done.is_empty());
    assert!(lane.begin(&t, PART * 2).await.unwrap().done.is_empty());
    other.stamp.version = "".into();
    let u = lane.begin(&other, PART).await.unwrap();
    put(&*lane, &other, &u, &bytes, 1).await;
    assert!(lane.begin(&other, PART).await.unwrap().done.is_empty(), "an unknown version is never continued");
    assert_eq!(numbers(&lane.begin(&t, PART).await.unwrap()), [1]);
    assert!(tree(dir.path()).sweep(&connector::Sweep::idle(0)).await.unwrap() >= 8);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn zeros_put_over_rubbish_are_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let t = target("large", SIZE);
    let lane = tree(dir.path()).lane();
    let u = lane.begin(&t, PART).await.unwrap();
    let rubbish = content(SIZE as usize, 4);
    let zeros = vec![0; SIZE as usize];
    let mut done = Vec::new();
    for n in 1..=5 {
        put(&*lane, &t, &u, &rubbish, n).await;
        done.push(put(&*lane, &t, &u, &zeros, n).await);
    }
    let stored = lane.finish(&t, &u, &done, &Meta::default()).await.unwrap();
    assert_eq!(stored.digest, Digest::of(&zeros));
    assert_eq!(fs::read(dir.path().join("large")).unwrap(), zeros);
}

#[tokio::test]
async fn a_token_that_is_not_ours_reaches_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let lane = tree(dir.path()).lane();
    let t = target("large", SIZE);
    for token in ["", "../../etc/passwd", ".wharf-tmp-0123456789abcdef/../x"] {
        let u = Upload { token: token.into(), part_size: PART, done: Vec::new() };
        assert!(lane.put_part(&t, &u, part(1), Chunks::new(b"", 1).body()).await.is_err());
        assert!(lane.abort(&t, &u).await.is_err());
    }
}
