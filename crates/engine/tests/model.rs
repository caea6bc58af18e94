//! A reference model: random trees, policies, faults and changes behind our back, against a few lines
//! that say what the destination must hold afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::wildcard_imports, missing_docs)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use bench::{Bench, Book, journaled};
use connector::ErrorKind;
use engine::transfer::Ended;
use memory::{Meddling, Memory, Mishap, Op, Style, What};
use model::ConflictPolicy;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Case {
    from: Style,
    to: Style,
    policy: ConflictPolicy,
    /// Key, size, seconds since it changed.
    source: BTreeMap<String, (usize, i64)>,
    there: BTreeMap<String, (usize, i64)>,
    faults: Vec<(Op, usize, Mishap)>,
    kill: Option<usize>,
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Directory), Just(Style::Bucket)]
}

fn files() -> impl Strategy<Value = BTreeMap<String, (usize, i64)>> {
    // Two levels at most, and no name is both a file and a directory.
    prop::collection::btree_map("(x[abc]?/)?[def!~]{1,2}", (0usize..150, 100i64..5000), 0..14)
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        Just(Mishap::Before(ErrorKind::Unavailable)),
        Just(Mishap::Before(ErrorKind::Throttled)),
        Just(Mishap::After(ErrorKind::Unavailable)),
        Just(Mishap::Before(ErrorKind::Other)),
        Just(Mishap::Truncated),
        Just(Mishap::Slow(2)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Open),
        Just(Op::Put),
        Just(Op::Begin),
        Just(Op::PutPart),
        Just(Op::Finish),
        Just(Op::Stat)
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let policy = prop_oneof![
        Just(ConflictPolicy::Skip),
        Just(ConflictPolicy::KeepLatest),
        Just(ConflictPolicy::Overwrite),
        Just(ConflictPolicy::IfChanged)
    ];
    let faults = prop::collection::vec((op(), 0usize..14, mishap()), 0..6);
    (style(), style(), policy, files(), files(), faults, prop::option::of(1usize..6)).prop_map(
        |(from, to, policy, source, mut there, faults, kill)| {
            // The stand-in's clock ticks with each file: two of the same age would differ by nanoseconds, whichever way.
            for (key, (_, age)) in &mut there {
                *age += i64::from(source.get(key).is_some_and(|(_, a)| a == age));
            }
            Case { from, to, policy, source, there, faults, kill }
        },
    )
}

fn content(key: &str, len: usize, side: u8) -> Vec<u8> {
    key.bytes().cycle().take(len).map(|b| b ^ side).collect()
}

/// What a file of the destination must hold, if its item did not fail.
fn expected(case: &Case, key: &str) -> Option<Vec<u8>> {
    let (here, there) = (case.source.get(key), case.there.get(key));
    let (Some((size, age)), old) = (here, there) else { return there.map(|(n, _)| content(key, *n, 1)) };
    let new = content(key, *size, 0);
    let Some((old_size, old_age)) = old else { return Some(new) };
    let kept = content(key, *old_size, 1);
    let same = match case.to {
        // An upload after the last change, of the same size, counts as that version.
        Style::Bucket => old_size == size && *old_age <= age - 2,
        Style::Directory => old_size == size && old_age == age,
    };
    Some(match case.policy {
        ConflictPolicy::Overwrite => new,
        ConflictPolicy::Skip => kept,
        ConflictPolicy::IfChanged => {
            if same {
                kept
            } else {
                new
            }
        }
        ConflictPolicy::KeepLatest => {
            if same || old_age < age {
                kept
            } else {
                new
            }
        }
    })
}

async fn check(case: Case) {
    let mut b = Bench::new(case.from, case.to);
    b.options.conflict = case.policy;
    for (k, (n, age)) in &case.source {
        b.source.set(k.as_bytes(), What::File(content(k, *n, 0)), *age);
    }
    for (k, (n, age)) in &case.there {
        b.destination.set(k.as_bytes(), What::File(content(k, *n, 1)), *age);
    }
    let keys: Vec<_> = case.source.keys().cloned().collect();
    for (op, n, mishap) in &case.faults {
        if let Some(key) = keys.get(*n) {
            let end = if *op == Op::Open { &b.source } else { &b.destination };
            end.script(*op, key, &[*mishap]);
        }
    }
    let mut checkpoint = None;
    if let Some(k) = case.kill {
        let book = Arc::new(Book { dead_after: Some(k), ..Book::default() });
        tokio::select! {
            _ = engine::transfer::run(journaled(b.job(), &book, None)) => {}
            () = async { book.reached.notified().await; tokio::time::sleep(std::time::Duration::from_millis(2)).await } => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        checkpoint = book.last();
        b.clock.advance(1_000_000);
    }
    let book = Arc::new(Book::default());
    let out = engine::transfer::run(journaled(b.job(), &book, checkpoint)).await;
    assert_eq!(out.ended, Ended::Done, "{case:?}");
    assert_eq!(out.ledger.balance(), Ok(()));
    let items = b.source.lock().nodes.len() as u64;
    assert_eq!(out.ledger.items.read, items, "{case:?}");
    for key in case.source.keys().chain(case.there.keys()) {
        // What failed before the kill is named in the reports alone.
        let index = keys.iter().position(|k| k == key);
        let may_fail =
            case.faults.iter().any(|(_, n, m)| Some(*n) == index && *m == Mishap::Before(ErrorKind::Other));
        if may_fail {
            let now = b.destination.content(key);
            let whole = [
                case.there.get(key).map(|(n, _)| content(key, *n, 1)),
                case.source.get(key).map(|(n, _)| content(key, *n, 0)),
            ];
            assert!(now.is_none() || whole.contains(&now), "torn: {key} {case:?}");
            continue;
        }
        assert_eq!(b.destination.content(key), expected(&case, key), "{key} {:?} {case:?}", out.failures);
    }
    if case.faults.iter().all(|(_, _, m)| !matches!(m, Mishap::Before(ErrorKind::Other))) {
        assert_eq!(out.ledger.items.failed, 0, "{:?} {case:?}", out.failures);
    }
    let mut writes = b.destination.lock().writes.clone();
    let n = writes.len();
    writes.sort();
    writes.dedup();
    assert_eq!(writes.len(), n, "written twice: {case:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_destination_is_what_the_model_says(case in case()) {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(check(case));
    }
}

/// Somebody else's doing at an end, just before or right after something of ours happens to an item.
#[derive(Debug, Clone, Copy)]
struct Meddled {
    at_source: bool,
    op: Op,
    item: usize,
    mishap: Mishap,
}

fn meddled() -> impl Strategy<Value = Meddled> {
    let how = (0u8..4, 1u8..=255, 0usize..150).prop_map(|(how, byte, len)| match how {
        0 => Meddling::Remove,
        1 => Meddling::Add(byte, len),
        _ => Meddling::Write(byte, len),
    });
    let at_destination =
        [Op::Stat, Op::Put, Op::Put, Op::Begin, Op::PutPart, Op::Finish, Op::Finish, Op::Open];
    let place = prop_oneof![
        prop::sample::select(vec![Op::Open, Op::Open, Op::Stat]).prop_map(|op| (true, op)),
        prop::sample::select(at_destination.to_vec()).prop_map(|op| (false, op)),
    ];
    (place, 0usize..6, how, any::<bool>()).prop_map(|((at_source, op), item, how, after)| Meddled {
        at_source,
        op,
        item,
        mishap: match op {
            Op::Put | Op::Finish if after => Mishap::MeddledAfter(how),
            _ => Mishap::MeddledBefore(how),
        },
    })
}

/// What was there of an item in turn: at first, and after everything that somebody else did to it.
fn versions(tree: &Memory, key: &str, first: Option<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
    let mut all = vec![first];
    let beside = |k: &[u8]| [k, b"+"].concat() == key.as_bytes();
    for (k, how) in &tree.lock().meddled {
        match how {
            Meddling::Write(byte, len) if k == key.as_bytes() => all.push(Some(vec![*byte; *len])),
            Meddling::Add(byte, len) if beside(k) => all.push(Some(vec![*byte; *len])),
            Meddling::Remove if k == key.as_bytes() => all.push(None),
            _ => {}
        }
    }
    all
}

async fn check_meddled(case: Case, meddled: Vec<Meddled>, verify: bool) {
    let mut b = Bench::new(case.from, case.to);
    (b.options.conflict, b.options.verify) = (case.policy, verify);
    for (k, (n, age)) in &case.source {
        b.source.set(k.as_bytes(), What::File(content(k, *n, 0)), *age);
    }
    for (k, (n, age)) in &case.there {
        b.destination.set(k.as_bytes(), What::File(content(k, *n, 1)), *age);
    }
    let keys: Vec<_> = case.source.keys().cloned().collect();
    for m in &meddled {
        if let Some(key) = keys.get(m.item) {
            let end = if m.at_source { &b.source } else { &b.destination };
            end.script(m.op, key, &[m.mishap]);
        }
    }
    let out = b.run().await;
    let told = format!("{verify} {case:?} {meddled:?} {:?}", out.failures);
    assert_eq!(out.ended, Ended::Done, "{told}");
    assert_eq!(out.ledger.balance(), Ok(()), "{told}");
    let beside = keys.iter().map(|k| format!("{k}+"));
    for key in case.source.keys().chain(case.there.keys()).cloned().chain(beside) {
        let first = |files: &BTreeMap<String, (usize, i64)>, side| {
            files.get(&key).map(|(n, _)| content(&key, *n, side))
        };
        let here = versions(&b.source, &key, first(&case.source, 0));
        let there = versions(&b.destination, &key, first(&case.there, 1));
        let now = b.destination.content(&key);
        if here.len() == 1 && there.len() == 1 {
            assert_eq!(now, expected(&case, &key), "{key}: nobody meddled: {told}");
            continue;
        }
        // Whole, and of somebody; and gone only if somebody else took it away or it never was.
        let whole =
            if now.is_none() { there.contains(&None) } else { here.contains(&now) || there.contains(&now) };
        assert!(whole, "{key}: {now:?}: {told}");
        // What somebody else has put over ours is not written over: once is enough, unless ours went away.
        let ours = b.destination.lock().writes.iter().filter(|p| **p == key.as_bytes()).count();
        assert!(ours <= 1 || there.iter().skip(1).any(Option::is_none), "{key}: {ours} times: {told}");
        let theirs = there.last().filter(|last| there.len() > 1 && last.is_some());
        if let (ConflictPolicy::Skip, Some(theirs)) = (case.policy, theirs) {
            assert_eq!(now, *theirs, "{key}: never over what is there: {told}");
        }
        let failed = out.failures.iter().any(|f| f.path == key);
        let stays = !here.contains(&None);
        if verify && stays && case.policy == ConflictPolicy::Overwrite && !failed {
            assert!(here.contains(&now), "{key}: verified, and not of the source: {told}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Items that are changed, removed and added at either end while the run is at work, at every place where it
    /// looks, reads or writes.
    #[test]
    fn what_others_do_meanwhile_ends_in_what_the_model_allows(
        case in case(), meddled in prop::collection::vec(meddled(), 1..6), verify: bool,
    ) {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(check_meddled(case, meddled, verify));
    }
}

/// Files that change, vanish and appear while the run is at work: every item keeps an outcome, and no
/// file of the destination is a mixture.
#[test]
fn changes_behind_our_back_leave_no_torn_file() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        for round in 0..12_u8 {
            let b =
                Bench::new(Style::Directory, if round % 2 == 0 { Style::Bucket } else { Style::Directory });
            for n in 0..60 {
                b.source.set(format!("d/f{n:02}").as_bytes(), What::File(vec![0; 40 + n * 3]), 3600);
            }
            let source = b.source.clone();
            let meddler = runtime::spawn(runtime::TaskKind::Test, async move {
                for n in (0..60).cycle().skip(usize::from(round) * 7).take(200) {
                    let key = format!("d/f{n:02}").into_bytes();
                    match n % 3 {
                        0 => source.set(&key, What::File(vec![1; 40 + n * 2]), 10),
                        1 => drop(source.lock().nodes.remove(&key)),
                        _ => source.set(&key, What::File(vec![2; 40 + n * 3]), 10),
                    }
                    tokio::task::yield_now().await;
                }
            });
            let out = b.run().await;
            meddler.await.unwrap();
            assert_eq!(out.ended, Ended::Done, "{:?}", out.failures);
            assert_eq!(out.ledger.balance(), Ok(()));
            for (key, node) in &b.destination.lock().nodes {
                if let What::File(c) = &node.what {
                    assert!(c.iter().all(|x| *x == c[0]), "torn {}", String::from_utf8_lossy(key));
                }
            }
        }
    });
}
