//! Runs of the engine over trees in memory: outcomes, faults, resting and going on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::wildcard_imports, missing_docs)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;

use std::sync::Arc;

use bench::{Bench, Book, journaled};
use connector::ErrorKind;
use engine::transfer::Ended;
use engine::{Select, Wish};
use memory::{Meddling, Mishap, Op, Style, What};
use model::ConflictPolicy;

fn tree(b: &Bench) {
    b.source.file("a.txt", b"hello");
    b.source.file("d/one", b"1");
    b.source.file("d/e/two", b"22");
    b.source.file("z", &[7; 200]);
    b.source.set(b"d/empty/", What::Dir, 3600);
    b.source.set(b"d/link", What::Symlink(b"../a.txt".to_vec()), 3600);
}

#[tokio::test]
async fn a_tree_goes_out_and_a_second_run_moves_nothing() {
    for to in [Style::Bucket, Style::Directory] {
        let mut b = Bench::new(Style::Directory, to);
        tree(&b);
        let first = b.run().await;
        assert_eq!(first.ended, Ended::Done, "{:?}", first.failures);
        assert_eq!((first.ledger.items.read, first.ledger.items.written), (8, 8), "{:?}", first.failures);
        assert_eq!(b.destination.content("z").unwrap(), [7; 200]);
        assert_eq!(b.destination.lock().parts.len(), 13);
        assert!(b.destination.lock().nodes.contains_key(&b"d/empty/"[..]));
        b.clock.advance(3_600_000_000);
        b.options.run = "run-2".to_owned();
        let second = b.run().await;
        assert!(second.is_success());
        assert_eq!(
            second.ledger.items.unchanged,
            8,
            "{to:?} {:?} {:?}",
            second.ledger,
            b.destination.lock().writes
        );
        assert_eq!(second.ledger.items.written, 0);
    }
}

#[tokio::test]
async fn what_is_found_unchanged_has_a_digest_or_says_what_it_has() {
    for to in [Style::Bucket, Style::Directory] {
        let mut b = Bench::new(Style::Directory, to);
        tree(&b);
        b.run().await;
        b.clock.advance(3_600_000_000);
        b.options.run = "run-2".to_owned();
        // Somebody else's file of the same size and time carries no mark.
        if to == Style::Directory {
            let mut s = b.destination.lock();
            let node = s.nodes.get_mut(&b"d/one"[..]).unwrap();
            (node.stamp, node.digest) = (None, None);
        }
        let reports = tempfile::tempdir().unwrap();
        let mut job = b.job();
        job.reports = Some(reports.path().to_owned());
        let out = engine::transfer::run(job).await;
        assert_eq!(out.ledger.items.unchanged, 8);
        let text = std::fs::read_to_string(reports.path().join("manifest.jsonl")).unwrap();
        let line = |path: &str| {
            let start = format!("{{\"path\":\"{path}\",");
            text.lines()
                .find(|l| l.starts_with(&start))
                .unwrap_or_else(|| panic!("{path} not in {text}"))
                .to_owned()
        };
        let digest = |bytes: &[u8]| format!("\"digest\":\"{}\"", connector::Digest::of(bytes));
        assert!(line("d/link").contains(&digest(b"../a.txt")), "{to:?} {text}");
        if to == Style::Directory {
            assert!(line("a.txt").contains(&digest(b"hello")), "{text}");
            assert!(line("z").contains(&digest(&[7; 200])), "{text}");
            assert!(line("d/one").contains("\"size_only\":true"), "{text}");
        } else {
            let etag = b.destination.lock().nodes[&b"a.txt"[..]].version.clone();
            assert!(line("a.txt").contains(&format!("\"etag\":\"{etag}\"")), "{text}");
        }
    }
}

#[tokio::test]
async fn links_weigh_the_same_both_ways() {
    let out = Bench::new(Style::Directory, Style::Bucket);
    tree(&out);
    let there = out.run().await;
    let back = Bench::new(Style::Bucket, Style::Directory);
    back.source.lock().nodes = out.destination.lock().nodes.clone();
    let back = back.run().await;
    assert!(there.is_success() && back.is_success());
    assert_eq!(there.ledger, back.ledger);
    assert_eq!(there.ledger.bytes.written, 5 + 1 + 2 + 200 + "../a.txt".len() as u64);
}

#[tokio::test]
async fn a_bucket_comes_in_with_collisions_and_bad_keys_named() {
    let b = Bench::new(Style::Bucket, Style::Directory);
    for (key, content) in
        [("a", "file"), ("a.b", "between"), ("a/b", "lost"), ("a/c/d", "lost too"), ("k/", "")]
    {
        let what = if key.ends_with('/') { What::Dir } else { What::File(content.as_bytes().to_vec()) };
        b.source.set(key.as_bytes(), what, 3600);
    }
    b.source.lock().bad_keys = vec![b"../x".to_vec(), b"b//c".to_vec(), b"zz\0".to_vec()];
    let out = b.run().await;
    assert_eq!(out.ended, Ended::Done);
    assert_eq!((out.ledger.items.read, out.ledger.items.written, out.ledger.items.failed), (8, 3, 5));
    let mut failed: Vec<_> = out.failures.iter().map(|f| f.path.clone()).collect();
    failed.sort();
    assert_eq!(failed, ["../x", "a/b", "a/c/d", "b//c", "zz\\x00"]);
    assert_eq!(b.destination.content("a").unwrap(), b"file");
}

#[tokio::test]
async fn policies_do_what_they_say() {
    for (policy, want, written) in [
        (ConflictPolicy::Skip, "old", false),
        (ConflictPolicy::Overwrite, "new", true),
        (ConflictPolicy::KeepLatest, "old", false),
        (ConflictPolicy::IfChanged, "new", true),
    ] {
        let mut b = Bench::new(Style::Directory, Style::Directory);
        b.options.conflict = policy;
        b.options.directories = false;
        b.source.file("f", b"new");
        b.destination.set(b"f", What::File(b"old".to_vec()), 60);
        let out = b.run().await;
        assert!(out.is_success());
        assert_eq!(b.destination.content("f").unwrap(), want.as_bytes(), "{policy:?}");
        assert_eq!(out.ledger.items.written == 1, written);
    }
}

#[tokio::test]
async fn a_lost_answer_is_booked_once_and_not_written_twice() {
    for policy in [ConflictPolicy::Skip, ConflictPolicy::IfChanged, ConflictPolicy::Overwrite] {
        let mut b = Bench::new(Style::Directory, Style::Bucket);
        b.options.conflict = policy;
        b.source.file("a", b"x");
        b.source.file("big", &[1; 100]);
        b.destination.script(Op::Put, "a", &[Mishap::After(ErrorKind::Unavailable)]);
        b.destination.script(Op::Finish, "big", &[Mishap::After(ErrorKind::Unavailable)]);
        let out = b.run().await;
        assert!(out.is_success(), "{:?}", out.failures);
        assert_eq!(out.ledger.items.written, 2);
        assert_eq!(b.destination.lock().writes.len(), 2, "{policy:?}");
    }
}

#[tokio::test]
async fn passing_faults_pass_and_lasting_ones_stay_with_their_item() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    for k in ["a", "b", "c", "d", "e"] {
        b.source.file(k, k.as_bytes());
    }
    b.source.file("large", &[3; 150]);
    b.source.script(Op::Open, "a", &[Mishap::Truncated, Mishap::Before(ErrorKind::Unavailable)]);
    b.destination.script(Op::Put, "b", &[Mishap::Before(ErrorKind::Throttled)]);
    b.destination.script(Op::Put, "c", &[Mishap::Before(ErrorKind::Unacceptable)]);
    b.source.script(Op::Open, "d", &[Mishap::Before(ErrorKind::Denied)]);
    b.source.script(Op::List, "", &[Mishap::Before(ErrorKind::Unavailable)]);
    b.destination.script(
        Op::PutPart,
        "large",
        &[Mishap::Before(ErrorKind::Unavailable), Mishap::After(ErrorKind::Corrupt)],
    );
    let out = b.run().await;
    assert_eq!(out.ended, Ended::Done);
    assert_eq!((out.ledger.items.written, out.ledger.items.failed), (4, 2), "{:?}", out.failures);
    assert_eq!(b.destination.content("large").unwrap(), [3; 150]);
}

#[tokio::test]
async fn what_changes_or_vanishes_meanwhile_is_listed_again() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    for k in ["a", "b", "c"] {
        b.source.file(k, b"one");
    }
    b.source.script(Op::Open, "a", &[Mishap::Before(ErrorKind::Changed)]);
    b.source.script(Op::Open, "b", &[Mishap::Before(ErrorKind::Changed), Mishap::Before(ErrorKind::Changed)]);
    b.source.script(
        Op::Open,
        "c",
        &[Mishap::Before(ErrorKind::NotFound), Mishap::Before(ErrorKind::NotFound)],
    );
    let out = b.run().await;
    assert_eq!((out.ledger.items.written, out.ledger.items.failed), (1, 2));
    assert!(out.failures.iter().any(|f| f.reason.starts_with("changed")));
}

#[tokio::test]
async fn a_full_destination_and_a_dead_one_end_the_run() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    for n in 0..300 {
        b.source.file(&format!("f{n:03}"), b"x");
        b.destination.script(Op::Put, &format!("f{n:03}"), &[Mishap::Before(ErrorKind::Denied)]);
    }
    let out = b.run().await;
    assert!(matches!(out.ended, Ended::Failed(ErrorKind::Denied, _)), "{:?}", out.ended);
    assert!(out.ledger.balance().is_ok() && out.ledger.items.failed < 100);
    b.destination.script(Op::Put, "f000", &[Mishap::Before(ErrorKind::Full)]);
    let out = b.run().await;
    assert!(matches!(out.ended, Ended::Failed(ErrorKind::Full, _)));
}

#[tokio::test]
async fn files_that_can_not_be_read_are_named_and_end_no_run() {
    let mut b = Bench::new(Style::Directory, Style::Bucket);
    b.options.attempts = 1;
    for n in 0..300 {
        b.source.file(&format!("locked/f{n:03}"), b"x");
        let refused = if n % 2 == 0 { ErrorKind::Denied } else { ErrorKind::Unavailable };
        b.source.script(Op::Open, &format!("locked/f{n:03}"), &[Mishap::Before(refused)]);
    }
    for n in 0..20 {
        b.source.file(&format!("open/f{n:03}"), b"y");
    }
    let out = b.run().await;
    assert_eq!(out.ended, Ended::Done, "a file that is closed to us says nothing of the next");
    // Two directories beside the files.
    assert_eq!((out.ledger.items.failed, out.ledger.items.written), (300, 22), "{:?}", out.failures.first());
    assert!(out.ledger.balance().is_ok() && !out.is_success());
    assert!(out.failures.iter().all(|f| f.path.starts_with("locked/")));

    // A bucket that refuses one object after the other refuses all of them: that ends an import.
    let b = Bench::new(Style::Bucket, Style::Directory);
    for n in 0..300 {
        b.source.file(&format!("f{n:03}"), b"x");
        b.source.script(Op::Open, &format!("f{n:03}"), &[Mishap::Before(ErrorKind::Denied)]);
    }
    let out = b.run().await;
    assert!(matches!(out.ended, Ended::Failed(ErrorKind::Denied, _)), "{:?}", out.ended);
    assert!(out.ledger.items.failed < 100 && out.ledger.balance().is_ok());
}

#[tokio::test]
async fn hard_links_stay_links_or_become_copies() {
    let b = Bench::new(Style::Directory, Style::Directory);
    b.source.file("a", b"shared");
    b.source.set(b"b", What::HardLink(b"a".to_vec()), 3600);
    b.source.set(b"c/d", What::HardLink(b"a".to_vec()), 3600);
    b.destination.script(Op::Put, "a", &[Mishap::Slow(30)]);
    let out = b.run().await;
    assert!(out.is_success(), "{:?}", out.failures);
    assert_eq!(b.destination.content("c/d").unwrap(), b"shared");
    let b = Bench::new(Style::Bucket, Style::Directory);
    b.source.file("a", b"shared");
    b.source.set(b"b", What::HardLink(b"a".to_vec()), 3600);
    b.destination.script(Op::Put, "a", &[Mishap::Before(ErrorKind::Unacceptable)]);
    let out = b.run().await;
    assert_eq!((out.ledger.items.written, out.ledger.items.failed), (1, 1));
    assert_eq!(b.destination.content("b").unwrap(), b"shared");
}

#[tokio::test]
async fn selections_take_what_they_name() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    tree(&b);
    let mut job = b.job();
    job.select =
        Select::Entries([&b"d/e/"[..], b"/a.txt", b"nope", b"../x", b"none/"].map(<[u8]>::to_vec).to_vec());
    let out = engine::transfer::run(job).await;
    assert_eq!(out.ended, Ended::Done);
    let mut failed: Vec<_> = out.failures.iter().map(|f| f.path.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["../x", "none/", "nope"]);
    assert!(b.destination.content("a.txt").is_some() && b.destination.content("d/e/two").is_some());
    assert!(b.destination.content("d/one").is_none());
}

#[tokio::test]
async fn one_file_under_another_name_with_its_particulars() {
    let mut b = Bench::new(Style::Directory, Style::Bucket);
    b.options.crc64_xz = true;
    b.source.file("in/x", b"123456789");
    let path = |s: &str| connector::TreePath::new(s.as_bytes()).unwrap();
    let mut job = b.job();
    let condition = model::Precondition { size: Some(9), mtime_ns: None };
    job.select = Select::One { from: path("in/x"), to: path("out/y"), condition };
    let out = engine::transfer::run(job).await;
    assert!(out.is_success(), "{:?}", out.failures);
    assert_eq!(out.single.unwrap().crc64_xz, Some(0x995d_c9bb_df19_39fa));
    assert_eq!(b.destination.content("out/y").unwrap(), b"123456789");
    let mut job = b.job();
    let condition = model::Precondition { size: Some(8), mtime_ns: None };
    job.select = Select::One { from: path("in/x"), to: path("out/z"), condition };
    let out = engine::transfer::run(job).await;
    assert_eq!(out.ledger.items.failed, 1);
    assert!(b.destination.content("out/z").is_none());
}

fn many(b: &Bench) {
    for n in 0..40 {
        b.source.file(&format!("d{}/f{n:02}", n / 10), format!("content {n}").as_bytes());
    }
    b.source.file("d1/large", &[9; 333]);
    b.source.set(b"d2/empty/", What::Dir, 3600);
    b.source.set(b"d3/g", What::HardLink(b"d0/f00".to_vec()), 3600);
}

#[tokio::test]
async fn killed_after_any_checkpoint_it_ends_as_if_undisturbed() {
    for to in [Style::Bucket, Style::Directory] {
        let undisturbed = {
            let b = Bench::new(Style::Directory, to);
            many(&b);
            let book = Arc::new(Book::default());
            let out = engine::transfer::run(journaled(b.job(), &book, None)).await;
            assert!(out.is_success(), "{:?}", out.failures);
            (out.ledger, book.count())
        };
        for k in 1..=undisturbed.1.min(40) {
            let b = Bench::new(Style::Directory, to);
            many(&b);
            let reports = tempfile::tempdir().unwrap();
            let book = Arc::new(Book { dead_after: Some(k), ..Book::default() });
            let mut job = journaled(b.job(), &book, None);
            job.reports = Some(reports.path().to_owned());
            tokio::select! {
                _ = engine::transfer::run(job) => {}
                () = async { book.reached.notified().await; tokio::time::sleep(std::time::Duration::from_millis(3)).await } => {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            b.clock.advance(1_000_000);
            let again = Arc::new(Book::default());
            let mut job = journaled(b.job(), &again, book.last());
            job.reports = Some(reports.path().to_owned());
            let out = engine::transfer::run(job).await;
            assert!(out.is_success(), "k={k} {:?} {:?}", out.ended, out.failures);
            assert_eq!(out.ledger, undisturbed.0, "{to:?} k={k}");
            let mut writes = b.destination.lock().writes.clone();
            let n = writes.len();
            writes.sort();
            writes.dedup();
            assert_eq!(writes.len(), n, "something was written twice, k={k}");
            let manifest = std::fs::read_to_string(reports.path().join("manifest.jsonl")).unwrap();
            assert_eq!(manifest.lines().count() as u64, out.ledger.items.read, "k={k}");
        }
    }
}

/// A directory carries no mark of ours: without a beginning in the journal, the next attempt would find it as it should be and book
/// it as unchanged.
#[tokio::test]
async fn nothing_is_written_before_the_beginning_is_in_the_journal() {
    for book in
        [Book { dead_after: Some(1), ..Book::default() }, Book { fence_after: Some(0), ..Book::default() }]
    {
        let b = Bench::new(Style::Directory, Style::Directory);
        many(&b);
        let book = Arc::new(book);
        tokio::select! {
            _ = engine::transfer::run(journaled(b.job(), &book, None)) => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
        }
        assert_eq!(book.count(), 1);
        assert!(b.destination.lock().writes.is_empty());
    }
}

#[tokio::test]
async fn pause_rests_resume_goes_on_cancel_cleans_up() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    many(&b);
    b.destination.script(Op::PutPart, "d1/large", &[Mishap::Slow(20), Mishap::Slow(20)]);
    let book = Arc::new(Book { wish_after: Some((3, Wish::Pause)), ..Book::default() });
    let out = engine::transfer::run(journaled(b.job(), &book, None)).await;
    assert_eq!(out.ended, Ended::Paused);
    assert!(out.ledger.balance().is_ok());
    let again = Arc::new(Book::default());
    let job = journaled(b.job(), &again, book.last());
    let live = job.live.clone();
    let out = tokio::time::timeout(std::time::Duration::from_secs(5), engine::transfer::run(job)).await;
    let out = out.unwrap_or_else(|_| panic!("stuck: {:?} {:?}", live.snapshot(), b.destination.lock().parts));
    assert!(out.is_success());
    assert_eq!(out.ledger.items.written, 47);
    assert_eq!(b.destination.lock().parts.len(), 333_usize.div_ceil(32), "no part is sent twice");

    let b = Bench::new(Style::Directory, Style::Bucket);
    b.source.file("large", &[9; 5000]);
    for _ in 0..4 {
        b.destination.script(Op::PutPart, "large", &[Mishap::Slow(50); 20]);
    }
    let job = b.job();
    let steer = job.steer.clone();
    let (out, ()) = tokio::join!(engine::transfer::run(job), async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        steer.wish(Wish::Cancel);
    });
    assert_eq!(out.ended, Ended::Canceled);
    let s = b.destination.lock();
    assert_eq!((s.aborts, s.uploads.len()), (1, 0));
}

/// What the reading back did not come to an end for is not right because it carries our mark.
#[tokio::test]
async fn a_check_that_fails_is_made_again_and_finds_what_is_wrong() {
    for large in [false, true] {
        for kind in [ErrorKind::Corrupt, ErrorKind::Changed, ErrorKind::Unavailable] {
            let mut b = Bench::new(Style::Directory, Style::Bucket);
            b.options.verify = true;
            b.source.file("a", &[7; 50]);
            if large {
                b.source.file("a", &[7; 200]);
            }
            b.destination.script(Op::Open, "a", &[Mishap::Before(kind)]);
            let out = b.run().await;
            assert!(out.is_success(), "{kind:?} {:?}", out.failures);
            let again = kind != ErrorKind::Unavailable;
            let writes = b.destination.lock().writes.len();
            assert_eq!(writes, if again { 2 } else { 1 }, "{kind:?}: wrong bytes are written again");
            // And if it never comes to its end, it is no success.
            b.destination.lock().nodes.clear();
            b.destination.script(Op::Open, "a", &[Mishap::Before(kind); 20]);
            let out = b.run().await;
            assert_eq!((out.ledger.items.failed, out.ledger.items.written), (1, 0), "{kind:?}");
        }
    }
}

/// What somebody else has put where ours was is neither taken away nor taken for right.
#[tokio::test]
async fn a_check_leaves_alone_what_somebody_else_has_written() {
    for (to, len) in
        [(Style::Bucket, 50), (Style::Bucket, 200), (Style::Directory, 50), (Style::Directory, 200)]
    {
        let op = if len > 64 { Op::Finish } else { Op::Put };
        for how in [Meddling::Write(1, 50), Meddling::Write(1, 9), Meddling::Link] {
            let mut b = Bench::new(Style::Directory, to);
            b.options.verify = true;
            b.source.file("a", &vec![7; len]);
            b.destination.script(op, "a", &[Mishap::MeddledAfter(how)]);
            let out = b.run().await;
            assert_eq!((out.ledger.items.failed, out.ledger.items.written), (1, 0), "{to:?} {how:?}");
            assert!(out.failures[0].reason.contains("somebody else"), "{:?}", out.failures);
            let s = b.destination.lock();
            assert_eq!(s.writes.len(), 1, "{to:?} {how:?}: it is not written over");
            let now = s.nodes.get(&b"a"[..]).map(|n| n.what.clone());
            let theirs = match how {
                Meddling::Write(byte, n) => What::File(vec![byte; n]),
                _ => What::Symlink(b"elsewhere".to_vec()),
            };
            assert_eq!(now, Some(theirs), "{to:?} {how:?}: it is not taken away");
        }
        // A resumed attempt that finds its mark, and then other bytes: between the two looks it was replaced.
        let mut b = Bench::new(Style::Directory, to);
        b.options.verify = true;
        b.source.file("a", &vec![7; len]);
        b.destination.script(op, "a", &[Mishap::After(ErrorKind::Unavailable)]);
        b.destination.script(Op::Open, "a", &[Mishap::MeddledBefore(Meddling::Write(1, len))]);
        let out = b.run().await;
        assert_eq!((out.ledger.items.failed, out.ledger.items.written), (1, 0), "{to:?} {len}");
        assert_eq!(b.destination.content("a"), Some(vec![1; len]), "{to:?} {len}");
    }
}

/// The grace is for items that are nearly there; a cancelled upload's parts are not waited for.
#[tokio::test]
async fn a_cancelled_upload_waits_for_no_part() {
    for to in [Style::Bucket, Style::Directory] {
        let from = if to == Style::Bucket { Style::Directory } else { Style::Bucket };
        let mut b = Bench::new(from, to);
        b.options.grace_ms = 3_600_000;
        b.source.file("large", &[9; 5000]);
        b.destination.script(Op::PutPart, "large", &[Mishap::Slow(3_600_000); 20]);
        let job = b.job();
        let (steer, destination) = (job.steer.clone(), b.destination.clone());
        let run = tokio::time::timeout(std::time::Duration::from_secs(60), engine::transfer::run(job));
        let (out, ()) = tokio::join!(run, async {
            while destination.lock().uploads.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            steer.wish(Wish::Cancel);
        });
        assert_eq!(out.unwrap().ended, Ended::Canceled);
        let s = b.destination.lock();
        assert_eq!((s.aborts, s.uploads.len(), s.parts.len()), (1, 0, 0));
    }
}

#[tokio::test]
async fn a_resumed_run_sweeps_what_its_attempts_left_and_a_first_one_does_not() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    tree(&b);
    let book = Arc::new(Book::default());
    assert!(engine::transfer::run(journaled(b.job(), &book, None)).await.is_success());
    assert!(b.destination.lock().sweeps.is_empty());
    let again = journaled(b.job(), &book, book.last());
    assert!(engine::transfer::run(again).await.is_success());
    // What is younger than this attempt may be at work.
    assert_eq!(b.destination.lock().sweeps, [connector::Sweep::of_run("run-1", 5)]);
}

/// Size and time agree and there is no mark: the source's digest says nothing of what lies there.
#[tokio::test]
async fn a_receipt_claims_no_content_that_nobody_has_seen() {
    for known in [None, Some(connector::Digest::of(b"hullo"))] {
        let b = Bench::new(Style::Bucket, Style::Directory);
        for (tree, content) in [(&b.source, "hello"), (&b.destination, "hullo")] {
            tree.file("a", content.as_bytes());
            let mut s = tree.lock();
            let node = s.nodes.get_mut(&b"a"[..]).unwrap();
            node.meta.mtime_ns = Some(1_700_000_000_000_000_000);
        }
        b.destination.lock().nodes.get_mut(&b"a"[..]).unwrap().modified_ns = 1_700_000_000_000_000_000;
        b.source.lock().nodes.get_mut(&b"a"[..]).unwrap().digest = Some(connector::Digest::of(b"hello"));
        b.destination.lock().nodes.get_mut(&b"a"[..]).unwrap().digest = known;
        let reports = tempfile::tempdir().unwrap();
        let mut job = b.job();
        job.reports = Some(reports.path().to_owned());
        let out = engine::transfer::run(job).await;
        let text = std::fs::read_to_string(reports.path().join("manifest.jsonl")).unwrap();
        if known.is_none() {
            assert_eq!(out.ledger.items.unchanged, 1, "{text}");
            assert!(text.contains("\"size_only\":true") && !text.contains("digest"), "{text}");
        } else {
            assert_eq!(out.ledger.items.written, 1, "known to differ: {text}");
            assert_eq!(b.destination.content("a").unwrap(), b"hello");
        }
    }
}

#[tokio::test]
async fn a_fenced_run_writes_nothing_more() {
    let b = Bench::new(Style::Directory, Style::Bucket);
    many(&b);
    let book = Arc::new(Book { fence_after: Some(1), ..Book::default() });
    let out = engine::transfer::run(journaled(b.job(), &book, None)).await;
    assert_eq!(out.ended, Ended::Fenced);
    assert_eq!(book.count(), 2);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let mut b = Bench::new(Style::Directory, Style::Directory);
    tree(&b);
    b.options.dry_run = true;
    let out = b.run().await;
    assert!(out.is_success());
    assert_eq!(out.ledger.items.written, 8);
    assert!(b.destination.lock().nodes.is_empty());
}
