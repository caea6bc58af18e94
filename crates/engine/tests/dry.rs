//! A dry run comes to the account that the run then ends with, and changes nothing: random trees on both
//! sides, with names in the way of each other, links, markers and every policy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::wildcard_imports, missing_docs)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/memory.rs"]
mod memory;

use std::collections::BTreeMap;

use bench::Bench;
use engine::transfer::Ended;
use memory::{Memory, Style, What};
use model::ConflictPolicy;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
enum Thing {
    File(usize),
    Link(&'static str),
    Dir,
}

type Tree = BTreeMap<String, (Thing, i64)>;

#[derive(Debug, Clone)]
struct Case {
    from: Style,
    to: Style,
    policy: ConflictPolicy,
    source: Tree,
    there: Tree,
    /// Items that were moved before by us, so that marks decide.
    moved_before: bool,
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Directory), Just(Style::Bucket)]
}

fn tree() -> impl Strategy<Value = Tree> {
    let thing = prop_oneof![
        4 => (0usize..150).prop_map(Thing::File),
        1 => Just(Thing::Link("a")),
        1 => Just(Thing::Link("somewhere/else")),
        2 => Just(Thing::Dir),
    ];
    // Few names, so that they meet; `a` may be a file here and a directory there.
    prop::collection::btree_map("([ab]/){0,2}[abc]", (thing, 100i64..5000), 0..10)
}

fn case() -> impl Strategy<Value = Case> {
    let policy = prop_oneof![
        Just(ConflictPolicy::Skip),
        Just(ConflictPolicy::KeepLatest),
        Just(ConflictPolicy::Overwrite),
        Just(ConflictPolicy::IfChanged)
    ];
    (style(), style(), policy, tree(), tree(), any::<bool>()).prop_map(
        |(from, to, policy, source, there, moved_before)| Case {
            from,
            to,
            policy,
            source,
            there,
            moved_before,
        },
    )
}

/// Builds it, leaving out what a file system can't have: a file that is a directory too.
fn build(tree: &Memory, things: &Tree, side: u8) {
    for (key, (thing, age)) in things {
        if tree.style == Style::Directory {
            let s = tree.lock();
            let below = key.match_indices('/').any(|(i, _)| s.nodes.contains_key(&key.as_bytes()[..i]));
            let has = |k: &String| s.nodes.contains_key(k.as_bytes());
            if below || has(key) || has(&format!("{key}/")) {
                continue;
            }
        }
        match thing {
            Thing::File(n) => {
                let content = key.bytes().cycle().take(*n).map(|b| b ^ side).collect();
                tree.set(key.as_bytes(), What::File(content), *age);
            }
            Thing::Link(to) => tree.set(key.as_bytes(), What::Symlink(to.as_bytes().to_vec()), *age),
            Thing::Dir => tree.set(format!("{key}/").as_bytes(), What::Dir, *age),
        }
    }
}

fn shape(tree: &Memory) -> Vec<String> {
    tree.lock().nodes.iter().map(|(k, n)| format!("{} {n:?}", String::from_utf8_lossy(k))).collect()
}

async fn check(case: Case) {
    let mut b = Bench::new(case.from, case.to);
    b.options.conflict = case.policy;
    if case.moved_before {
        build(&b.source, &case.source, 0);
        b.options.run = "before".to_owned();
        assert_eq!(b.run().await.ended, Ended::Done);
        b.clock.advance(600_000_000);
        // Part of the source is written anew: the same bytes, other bytes of the same size, another size.
        for (n, (key, (thing, _))) in case.there.iter().enumerate() {
            let at = b.source.lock().nodes.get(key.as_bytes()).map(|node| node.what.clone());
            match (at, thing, n % 3) {
                (Some(What::File(c)), _, 0) => b.source.set(key.as_bytes(), What::File(c), 1),
                (Some(What::File(c)), _, 1) => {
                    b.source.set(key.as_bytes(), What::File(c.iter().map(|b| b ^ 7).collect()), 1);
                }
                (Some(What::File(_)), Thing::File(size), _) => {
                    b.source.set(key.as_bytes(), What::File(vec![9; *size]), 1);
                }
                _ => {}
            }
        }
    } else {
        build(&b.source, &case.source, 0);
        build(&b.destination, &case.there, 1);
    }
    b.clock.advance(1_000_000);
    let before = (shape(&b.source), shape(&b.destination));
    b.options.run = String::new();
    b.options.dry_run = true;
    let dry = b.run().await;
    assert_eq!((shape(&b.source), shape(&b.destination)), before, "a dry run changed something: {case:?}");
    assert!(b.destination.lock().uploads.is_empty());
    let parts = b.destination.lock().parts.len();
    b.options.run = "now".to_owned();
    b.options.dry_run = false;
    let wet = b.run().await;
    assert_eq!((&dry.ended, &wet.ended), (&Ended::Done, &Ended::Done), "{case:?}");
    assert_eq!(dry.ledger, wet.ledger, "{:#?} {:#?} {case:?}", dry.failures, wet.failures);
    let failed = |o: &engine::transfer::Outcome| {
        let mut names: Vec<_> = o.failures.iter().map(|f| f.path.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(failed(&dry), failed(&wet), "{case:?}");
    let would = dry.would;
    assert_eq!(would.files + would.directories, wet.ledger.items.written, "{case:?}");
    if wet.failures.is_empty() {
        // What fails may have sent parts before.
        assert_eq!(would.parts as usize, b.destination.lock().parts.len() - parts, "{case:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dry_run_comes_to_the_account_of_the_run(case in case()) {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(check(case));
    }
}
