//! Plans through the dispatcher: what they say is what the task then does, they change nothing, and they
//! end in time, with an error rather than with half the truth.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_imports,
    clippy::large_futures,
    clippy::panic,
    missing_docs
)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/served.rs"]
mod served;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use connector::ErrorKind;
use memory::{Memory, Mishap, Op, What};
use model::*;
use served::{Served, spec};

const LONG: Duration = Duration::from_secs(30);

fn shape(tree: &Memory) -> Vec<String> {
    let s = tree.lock();
    let all = s.nodes.iter().map(|(k, n)| {
        let content = match &n.what {
            What::File(c) => connector::Digest::of(c).to_string(),
            other => format!("{other:?}"),
        };
        let k = String::from_utf8_lossy(k);
        format!("{k} {content} {:?} {} {} {:?}", n.meta, n.version, n.modified_ns, n.stamp)
    });
    all.collect()
}

/// A source with a bit of everything.
fn fill(source: &Memory) {
    for n in 0..30 {
        source.file(&format!("d{}/f{n:02}", n % 4), format!("content {n}").as_bytes());
    }
    source.file("a.txt", b"hello");
    source.file("large", &vec![5; 17 << 20]);
    source.file("with,comma \"and\" quote", b"odd");
    source.set(b"d1/link", What::Symlink(b"../a.txt".to_vec()), 3600);
    source.set(b"empty/", What::Dir, 3600);
    source.file(
        "lists/one.csv",
        b"Name,Type\nd1/,dir\nd0/f00,file\nnope,file\n\"with,comma \"\"and\"\" quote\",file\n",
    );
    source.file("lists/two.txt", b"d2/\n/d0/f04\n../x\nlarge\n");
    source.lock().bad_keys = vec![b"../x".to_vec(), b"b//c".to_vec()];
}

/// Something in the way of some of it: the same, other content of the same size, another size, another kind.
fn meet(destination: &Memory) {
    destination.set(b"d0/f00", What::File(b"content 0".to_vec()), 3600);
    destination.set(b"d0/f04", What::File(b"CONTENT 4".to_vec()), 60);
    destination.set(b"d0/f08", What::File(b"other".to_vec()), 7200);
    destination.set(b"d1/f01/", What::Dir, 60);
    destination.set(b"d3", What::File(b"in the way".to_vec()), 60);
    destination.file("only here", b"stays");
}

fn selections(direction: Direction) -> Vec<Selection> {
    let list = match direction {
        Direction::Import => Selection::CsvUnder("lists/".into()),
        Direction::Export => Selection::ListFile("lists/two.txt".into()),
    };
    vec![
        Selection::All,
        Selection::Includes(vec!["d1/".into(), "d2/".into()]),
        Selection::Entries(vec!["d0/".into(), "a.txt".into(), "nope".into(), "d1/f01".into()]),
        list,
        Selection::ListUrl("http://store/lists/two.txt".into()),
        Selection::One { from: "a.txt".into(), to: "d0/f08".into(), condition: Precondition::default() },
    ]
}

#[tokio::test]
async fn a_plan_is_what_the_task_then_does_and_changes_nothing() {
    for direction in [Direction::Import, Direction::Export] {
        for conflict in [ConflictPolicy::Skip, ConflictPolicy::KeepLatest, ConflictPolicy::Overwrite] {
            for selection in selections(direction) {
                let s = Served::start().await;
                let (source, destination) = s.ends(direction);
                fill(source);
                meet(destination);
                if direction == Direction::Export {
                    // A list that an address names lies in the bucket.
                    s.bucket.file("lists/two.txt", b"d2/\nlarge\n");
                }
                let what = format!("{direction:?} {conflict:?} {selection:?}");
                let spec = TransferSpec { selection, conflict, ..spec(direction) };
                let before = (shape(&s.bucket), shape(&s.directory));
                let plan = s.local.plan(&spec, LONG).await.unwrap();
                assert_eq!((shape(&s.bucket), shape(&s.directory)), before, "{what}");
                assert_eq!(s.store.events(&"t".into(), store::EventsFrom::Latest, 1).await.unwrap().total, 0);
                assert!(plan.complete && plan.requests > 0, "{what}");
                let read = plan.ledger.items.read;
                assert!(read > 0, "{what}: an empty plan");
                let task = s.run("t", spec).await;
                assert_eq!(plan.ledger, task.ledger, "{what} {:?} {:?}", plan.problems, task.error);
                let failed = task.ledger.items.failed;
                assert_eq!(plan.problems.len() as u64, failed.min(10), "{what}");
                s.local.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn marks_decide_and_not_sizes_and_times() {
    for direction in [Direction::Import, Direction::Export] {
        let s = Served::start().await;
        let (source, _) = s.ends(direction);
        for key in ["same", "touched", "changed", "grown"] {
            source.file(key, b"12345");
        }
        let spec = TransferSpec { conflict: ConflictPolicy::IfChanged, ..spec(direction) };
        let task = s.run("first", spec.clone()).await;
        assert_eq!((task.status, task.ledger.items.written), (TaskStatus::Completed, 4));
        s.clock.advance(10_000_000);
        source.set(b"touched", What::File(b"12345".to_vec()), 1);
        source.set(b"changed", What::File(b"54321".to_vec()), 1);
        source.set(b"grown", What::File(b"123456".to_vec()), 1);
        let plan = s.local.plan(&spec, LONG).await.unwrap();
        // A bucket's version is its content: the same bytes anew are the same. A file's is its inode and time.
        let written = if direction == Direction::Import { 2 } else { 3 };
        let items = &plan.ledger.items;
        assert_eq!((items.read, items.written, items.unchanged), (4, written, 4 - written), "{direction:?}");
        assert_eq!((plan.files, plan.overwritten, plan.kept), (written, written, 0));
        assert_eq!(plan.conflicts(), written);
        assert_eq!(s.run("second", spec).await.ledger, plan.ledger);
        s.local.stop().await;
    }
}

#[tokio::test]
async fn conflicts_are_counted_by_what_policy_does_with_them() {
    for (conflict, overwritten, kept) in [
        (ConflictPolicy::Skip, 0, 3),
        (ConflictPolicy::KeepLatest, 1, 1),
        (ConflictPolicy::Overwrite, 3, 0),
        (ConflictPolicy::IfChanged, 2, 0),
    ] {
        let s = Served::start().await;
        let (source, destination) = (&s.bucket, &s.directory);
        for key in ["new", "older there", "newer there", "same"] {
            source.file(key, b"12345");
        }
        let at = source.lock().nodes[&b"same"[..]].modified_ns;
        destination.set(b"older there", What::File(b"1".to_vec()), 7200);
        destination.set(b"newer there", What::File(b"2".to_vec()), 60);
        destination.set(b"same", What::File(b"12345".to_vec()), 3600);
        destination.lock().nodes.get_mut(&b"same"[..]).unwrap().modified_ns = at;
        destination.lock().nodes.get_mut(&b"same"[..]).unwrap().meta.mtime_ns = Some(at);
        let spec = TransferSpec { conflict, ..spec(Direction::Import) };
        let plan = s.local.plan(&spec, LONG).await.unwrap();
        assert_eq!((plan.overwritten, plan.kept), (overwritten, kept), "{conflict:?} {plan}");
        assert_eq!(s.run("t", spec).await.ledger, plan.ledger);
        s.local.stop().await;
    }
}

#[tokio::test]
async fn a_missing_destination_is_imagined_and_not_made() {
    let s = Served::start().await;
    fill(&s.bucket);
    s.missing.store(true, Relaxed);
    let plan = s.local.plan(&spec(Direction::Import), LONG).await.unwrap();
    assert!(s.missing.load(Relaxed) && s.directory.lock().nodes.is_empty());
    assert_eq!(plan.ledger, s.run("t", spec(Direction::Import)).await.ledger);
    assert!(!s.missing.load(Relaxed), "the task made it");
    s.local.stop().await;
    let s = Served::start().await;
    s.missing.store(true, Relaxed);
    for direction in [Direction::Import, Direction::Export] {
        let spec = TransferSpec { create_directory: false, ..spec(direction) };
        assert_eq!(s.local.plan(&spec, LONG).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    s.local.stop().await;
}

#[tokio::test]
async fn requests_and_time_follow_from_what_would_be_moved() {
    let s = Served::start().await;
    s.directory.file("small", b"1");
    s.directory.file("large", &vec![1; 40 << 20]);
    let plan = s.local.plan(&spec(Direction::Export), LONG).await.unwrap();
    // One PUT, one begin, three parts of 16 MiB at most, one completion. The empty listing has no page.
    assert_eq!((plan.files, plan.requests), (2, 1 + 1 + 3 + 1), "{plan}");
    s.run("t", spec(Direction::Export)).await;
    let plan = s.local.plan(&spec(Direction::Export), LONG).await.unwrap();
    assert_eq!((plan.files, plan.ledger.items.unchanged), (0, 2));
    assert!((1..=3).contains(&plan.requests), "one page, and looks at two marks: {plan}");
    s.directory.file("empty", b"");
    assert!(s.local.plan(&spec(Direction::Export), LONG).await.unwrap().estimated_s >= 1);
    s.local.stop().await;
}

#[tokio::test]
async fn a_listing_that_breaks_gives_an_error_and_no_small_plan() {
    for direction in [Direction::Import, Direction::Export] {
        for kind in [ErrorKind::Denied, ErrorKind::Other] {
            let s = Served::start().await;
            let (source, _) = s.ends(direction);
            fill(source);
            // A page comes, the next one does not.
            source.script(Op::List, "", &[Mishap::Slow(0), Mishap::Before(kind)]);
            let e = s.local.plan(&spec(direction), LONG).await.unwrap_err();
            assert_eq!(e.kind(), kind, "{e}");
            s.local.stop().await;
        }
        // A fault that may pass is waited for; when the time is over meanwhile, it is the answer.
        let s = Served::start().await;
        let (source, destination) = s.ends(direction);
        fill(source);
        source.script(Op::List, "", &[Mishap::Slow(0), Mishap::Before(ErrorKind::Unavailable)]);
        assert!(s.local.plan(&spec(direction), LONG).await.unwrap().complete);
        let mut lasting = vec![Mishap::Slow(0)];
        lasting.extend([Mishap::Before(ErrorKind::Unavailable); 20]);
        source.script(Op::List, "", &lasting);
        let e = s.local.plan(&spec(direction), Duration::from_millis(700)).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
        assert!(destination.lock().nodes.is_empty());
        s.local.stop().await;
    }
    let s = Served::start().await;
    fill(&s.bucket);
    for list in [Selection::ListFile("lists/none".into()), Selection::CsvUnder("none/".into())] {
        let spec = TransferSpec { selection: list, ..spec(Direction::Import) };
        assert_eq!(s.local.plan(&spec, LONG).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    s.local.stop().await;
}

#[tokio::test]
async fn a_plan_that_runs_out_of_time_says_so() {
    let s = Served::start().await;
    for n in 0..200 {
        s.bucket.file(&format!("f{n:03}"), b"x");
    }
    s.bucket.script(Op::List, "", &[Mishap::Slow(100); 40]);
    let plan = s.local.plan(&spec(Direction::Import), Duration::from_millis(800)).await.unwrap();
    assert!(!plan.complete && plan.ledger.items.read < 200, "{plan}");
    assert!(plan.to_string().starts_with("partial"));
    assert_eq!(plan.ledger.balance(), Ok(()));
    let plan = s.local.plan(&spec(Direction::Import), LONG).await.unwrap();
    assert!(plan.complete && plan.ledger.items.read == 200, "{plan}");
    s.local.stop().await;
}
