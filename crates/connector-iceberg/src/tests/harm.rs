//! What would destroy a table or stop a server: forged notes, a commit that nobody can find again, records by the thousand that can't be helped, and
//! partitions without end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

use super::attacks::{Fault, faulty, once, script};
use super::*;

/// The options with a staging place below the world's root; returns its path.
fn staged(world: &mut World) -> String {
    let staging = format!("{}/staged", world.root());
    world.options = world.options.replacen('{', &format!(r#"{{"staging":"{staging}","#), 1);
    staging
}

#[test]
fn a_note_that_somebody_else_wrote_removes_nothing_of_the_table() {
    run(async {
        let mut world = World::local("");
        let staging = staged(&mut world);
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        sink.write(numbered(&split(0), 0, 10)).await.unwrap();
        sink.flush().await.unwrap();
        drop(sink);
        let table = world.table().await.unwrap();
        let data = format!("{}/data/", table.metadata().location());
        let before = world.files().await.into_iter().filter(|f| f.ends_with(".parquet")).count();
        let files = crate::files::Files::default();
        for (at, folder) in (10..).zip(["{commit}/", "", "/"]) {
            for commit in ["", ".", "./", "..", "../data", "x", "0123456789ABCDEF"] {
                let folder = format!("{data}{}", folder.replace("{commit}", commit));
                let note = serde_json::json!({"commit": commit, "data": folder, "seats": {"topic/0": "x"}});
                for name in [&*commit.replace('/', "%2F"), commit] {
                    let path = format!("{staging}/task-abc/{name}.json");
                    // A file has no such name, an object may.
                    let _ = files.put(&path, Bytes::from(note.to_string())).await;
                }
            }
            let mut next = world.sink(desk());
            assert_eq!(take_over(&mut *next, &[split(0)]).await.unwrap()[0].next, at);
            next.write(numbered(&split(0), at, 1)).await.unwrap();
            next.flush().await.unwrap();
        }
        let after = world.files().await.into_iter().filter(|f| f.ends_with(".parquet")).count();
        assert_eq!(after, before + 3);
        once(&world, 1, 13).await;
    });
}

#[test]
fn a_commit_that_was_expired_before_it_was_known_keeps_its_files() {
    run(async {
        let world = World::local(r#""keep_snapshots":1,"#);
        let acts = script(&[Fault::StandsStill]);
        let mut old = faulty(&world, 0, &acts);
        take_over(&mut *old, &[split(0)]).await.unwrap();
        old.write(numbered(&split(0), 0, 10)).await.unwrap();
        let others = async {
            acts.dead.notified().await;
            let mut new = world.sink(desk());
            assert_eq!(take_over(&mut *new, &[split(0)]).await.unwrap()[0].next, 10);
            for at in 10..22 {
                new.write(numbered(&split(0), at, 1)).await.unwrap();
                new.flush().await.unwrap();
            }
            assert!(world.snapshots().await < 12, "none was expired");
            acts.wake.notify_one();
        };
        let (ended, ()) = tokio::join!(old.flush(), others);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Changed);
        drop(old);
        once(&world, 1, 22).await;
    });
}

#[test]
fn records_that_can_not_be_helped_cost_no_commit_and_no_load() {
    run(async {
        let world = World::local(r#""unknown_fields":"evolve","#);
        let acts = script(&[]);
        let mut sink = faulty(&world, 0, &acts);
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        let loads = acts.loads.load(Relaxed);
        let values: Vec<_> = (0..200).map(|n| format!(r#"{{"n":{n},"_pos":1}}"#)).collect();
        let mut values: Vec<_> = values.iter().map(String::as_str).collect();
        values[0] = r#"{"n":0}"#;
        sink.write(unit(&split(0), 0, &values)).await.unwrap();
        assert_eq!((acts.loads.load(Relaxed) - loads, world.snapshots().await), (0, 0));
        sink.flush().await.unwrap();
        once(&world, 1, 1).await;
        let mark = sink.settled().pop().unwrap().mark;
        balanced(&mark);
        assert_eq!((mark.next, mark.account.items[Account::DEAD]), (200, 199));
    });
}

/// Watches how many data files of a folder this process has open at once.
fn watch(folder: String, end: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut most = 0;
        while !end.load(Relaxed) {
            let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let held = all
                .filter_map(|e| std::fs::read_link(e.path()).ok())
                .filter(|p| p.starts_with(&folder) && p.extension().is_some_and(|x| x == "parquet"));
            most = most.max(held.count());
        }
        most
    })
}

#[test]
fn partitions_without_end_keep_few_files_open() {
    run(async {
        let create = format!(
            r#""create":{{"schema":{COLUMNS},"partition":[{{"column":"s","transform":"identity"}}]}},"#
        );
        let world = World::local(&create);
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        let values: Vec<_> = (0..200).map(|n| format!(r#"{{"n":{n},"s":"customer {n}"}}"#)).collect();
        sink.write(unit(&split(0), 0, &values.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let watched = watch(world.root().replace("file://", ""), end.clone());
        sink.flush().await.unwrap();
        end.store(true, Relaxed);
        let most = watched.join().unwrap();
        assert!(most <= 64, "{most} files were open");
        once(&world, 1, 200).await;
        let names = world.files().await;
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(names.iter().filter(|f| f.ends_with(".parquet")).count(), 200);
    });
}
