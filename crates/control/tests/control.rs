//! The rules that belong to no vendor, and attacks on them.
#![allow(clippy::large_futures, clippy::panic, clippy::wildcard_imports, clippy::unwrap_used)]

#[path = "control/harness.rs"]
mod harness;

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use connector::Digest;
use control::{ErrorKind as E, *};
use harness::Harness;
use model::*;

fn kind<T: std::fmt::Debug>(r: Result<T>) -> E {
    r.unwrap_err().kind
}

fn fileset(id: &str, path: &str) -> NewFileset {
    NewFileset {
        id: id.into(),
        file_system: "cfs-1".into(),
        path: path.into(),
        description: String::new(),
        deletion_protection: false,
        quota: None,
    }
}

#[tokio::test]
async fn what_is_declared_is_changed_in_the_configuration_only() {
    let h = Harness::new().await;
    let c = &h.control;
    assert_eq!(kind(c.remove_file_system(&"cfs-1".into()).await), E::Denied);
    assert_eq!(kind(c.remove_object_store(&"s3".into()).await), E::Denied);
    assert_eq!(kind(c.put_file_system(h.file_system("cfs-1", Origin::Registered)).await), E::Denied);
    c.put_file_system(h.file_system("cfs-1", Origin::Config)).await.unwrap();
    c.put_file_system(h.file_system("cfs-2", Origin::Registered)).await.unwrap();
    c.remove_file_system(&"cfs-2".into()).await.unwrap();
    assert_eq!(kind(c.remove_file_system(&"cfs-2".into()).await), E::NotFound(Noun::FileSystem));
    c.release_undeclared(&[], &[]).await.unwrap();
    c.create_flow(&h.me, h.new_flow("df-1")).await.unwrap();
    assert_eq!(kind(c.remove_file_system(&"cfs-1".into()).await), E::InUse);
    assert_eq!(kind(c.remove_object_store(&"s3".into()).await), E::InUse);
    for root in ["relative", "/no/such/dir", "/tmp/../etc", "/etc/passwd"] {
        let f = FileSystem { root: root.into(), ..h.file_system("cfs-3", Origin::Registered) };
        assert_eq!(kind(c.put_file_system(f).await), E::BadPath, "{root}");
    }
}

#[tokio::test]
async fn buckets_and_addresses_are_resolved_by_the_catalogue() {
    let h = Harness::new().await;
    let c = &h.control;
    assert_eq!(c.resolve_bucket("data-9").await.unwrap().id.as_str(), "s3");
    assert_eq!(kind(c.resolve_bucket("other").await), E::NotFound(Noun::Bucket));
    let (store, bucket) = c.resolve_address("https://data-9.cos.local/x").await.unwrap();
    assert_eq!((store.id.as_str(), bucket.as_str()), ("s3", "data-9"));
    assert_eq!(kind(c.resolve_address("https://other.cos.local").await), E::NotFound(Noun::Bucket));
    assert_eq!(kind(c.resolve_address("https://data-9.oss.local").await), E::NotFound(Noun::ObjectStore));
    assert_eq!(kind(c.resolve_address("data-9").await), E::Invalid);
    assert_eq!(c.buckets(&store, None).await.unwrap(), ["data-1"], "only what the store answers for");
    h.world.object.fail(Some(connector::ErrorKind::Denied));
    assert_eq!(kind(c.buckets(&store, None).await), E::BadCredentials);
}

#[tokio::test]
async fn a_token_acts_once_and_only_with_the_same_parameters() {
    let h = Harness::new().await;
    let (c, acts) = (&h.control, AtomicU32::new(0));
    let act = || async {
        acts.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Ok("id-1".to_owned())
    };
    let token = Some(("tok", &b"same"[..]));
    let (a, b) = tokio::join!(c.once(&h.me, "Create", token, act()), c.once(&h.me, "Create", token, act()));
    let mut answers = [a.unwrap(), b.unwrap()];
    answers.sort();
    assert_eq!(answers, [("id-1".to_owned(), false), ("id-1".to_owned(), true)]);
    assert_eq!(acts.load(Ordering::Relaxed), 1);
    assert_eq!(kind(c.once(&h.me, "Create", Some(("tok", b"other")), act()).await), E::TokenMismatch);
    assert_eq!(kind(c.remember(&h.me, "Create", "tok", b"other", "id-2").await), E::TokenMismatch);
    let other = Caller::account("you".into());
    assert_eq!(c.remembered(&other, "Create", "tok", b"same").await.unwrap(), None);
    let failed = c.once(&h.me, "Create", Some(("t2", b"x")), async { Err(Error::new(E::InUse, "no")) });
    assert_eq!(kind(failed.await), E::InUse);
    assert_eq!(c.remembered(&h.me, "Create", "t2", b"x").await.unwrap(), None);
    h.clock.advance(24 * 3600 * 1_000_000);
    assert_eq!(c.remembered(&h.me, "Create", "tok", b"same").await.unwrap(), None);
}

#[tokio::test]
async fn paths_that_climb_or_cross_a_link_are_refused_everywhere() {
    let h = Harness::new().await;
    let (c, fs) = (&h.control, h.control.file_system(&"cfs-1".into()).await.unwrap());
    let outside = h.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "hush").unwrap();
    symlink(&outside, h.root.join("link")).unwrap();
    for path in ["../outside", "/in/../../outside", "link", "link/x", "in//x", "in/./x", "in\0"] {
        assert_eq!(kind(c.directory_exists(&fs, path).await), E::BadPath, "{path:?}");
        assert_eq!(kind(c.make_directory(&fs, path).await), E::BadPath, "{path:?}");
        assert_eq!(kind(c.create_fileset(&h.me, fileset("f", path)).await), E::BadPath, "{path:?}");
        let mut flow = h.new_flow("df-1");
        flow.directory.path = path.into();
        assert_eq!(kind(c.create_flow(&h.me, flow).await), E::BadPath, "{path:?}");
    }
    assert_eq!(kind(c.read_text_file(&fs, "link/secret", 10).await), E::BadPath);
    assert_eq!(kind(c.read_text_file(&fs, "../outside/secret", 10).await), E::BadPath);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert!(c.directory_exists(&fs, "/in/").await.unwrap());
    assert!(!c.directory_exists(&fs, "/none/").await.unwrap());
    let mut task = h.new_task("t-1", None);
    task.spec.selection = Selection::Entries(vec!["a/../../x".into()]);
    assert_eq!(kind(c.create_task(&h.me, task).await), E::BadPath);
}

#[tokio::test]
async fn a_fileset_is_destroyed_only_where_the_operator_allows_it() {
    let h = Harness::new().await;
    let (c, fs, id) = (&h.control, FileSystemId::from("cfs-1"), FilesetId::from("f-1"));
    assert_eq!(kind(c.create_fileset(&h.me, fileset("f-1", "/a/b/")).await), E::NotFound(Noun::Directory));
    assert_eq!(kind(c.create_fileset(&h.me, fileset("f-1", "/")).await), E::BadPath);
    c.create_fileset(&h.me, fileset("f-1", "/a/")).await.unwrap();
    for path in ["/a/", "/a/b/"] {
        assert_eq!(kind(c.create_fileset(&h.me, fileset("f-2", path)).await), E::Exists(Noun::Fileset));
    }
    let you = Caller::account("you".into());
    assert_eq!(kind(c.fileset(&you, &id).await), E::NotFound(Noun::Fileset));
    assert_eq!(kind(c.delete_fileset(&you, &fs, &id).await), E::NotFound(Noun::Fileset));
    std::fs::write(h.root.join("a/file"), [0; 100]).unwrap();
    let small = Quota { size_limit: Some(50), file_count_limit: None };
    let change = FilesetChange { quota: Some(Some(small)), ..FilesetChange::default() };
    assert_eq!(kind(c.update_fileset(&h.me, &id, change).await), E::InvalidState);
    assert_eq!(c.measure_fileset(&h.me, &id).await.unwrap().space_used, 100);
    assert_eq!(kind(c.delete_fileset(&h.me, &fs, &id).await), E::Denied);
    assert!(h.root.join("a/file").exists());
    let mut flow = h.new_flow("df-1");
    flow.fileset = Some(id.clone());
    c.create_flow(&h.me, flow.clone()).await.unwrap();
    flow.id = "df-2".into();
    assert_eq!(kind(c.create_flow(&h.me, flow).await), E::InUse);
    let allowed = FileSystem { allow_destroy: true, ..h.file_system("cfs-1", Origin::Config) };
    c.put_file_system(allowed).await.unwrap();
    assert_eq!(kind(c.delete_fileset(&h.me, &fs, &id).await), E::InUse);
    c.delete_flow(&h.me, &"df-1".into()).await.unwrap();
    let protect = FilesetChange { deletion_protection: Some(true), ..FilesetChange::default() };
    c.update_fileset(&h.me, &id, protect).await.unwrap();
    assert_eq!(kind(c.delete_fileset(&h.me, &fs, &id).await), E::InvalidState);
    let free = FilesetChange { deletion_protection: Some(false), ..FilesetChange::default() };
    c.update_fileset(&h.me, &id, free).await.unwrap();
    c.delete_fileset(&h.me, &fs, &id).await.unwrap();
    assert!(!h.root.join("a").exists() && h.root.join("in").exists());
}

/// A fileset `f-1` at `/set/` with a file in it, and a flow for it that wants it empty.
async fn full_fileset(h: &Harness, allowed: bool) -> NewFlow {
    let fs = FileSystem { allow_destroy: allowed, ..h.file_system("cfs-1", Origin::Config) };
    h.control.put_file_system(fs).await.unwrap();
    h.control.create_fileset(&h.me, fileset("f-1", "/set/")).await.unwrap();
    std::fs::create_dir(h.root.join("set/sub")).unwrap();
    std::fs::write(h.root.join("set/sub/file"), [0; 100]).unwrap();
    let mut flow = NewFlow { fileset: Some("f-1".into()), empty_fileset: true, ..h.new_flow("df-1") };
    flow.directory.path = "/set/".into();
    flow
}

async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it did not come about")
}

#[tokio::test]
async fn a_fileset_is_emptied_for_a_flow_only_where_the_operator_allows_it() {
    let h = Harness::new().await;
    let (c, file) = (&h.control, h.root.join("set/sub/file"));
    let flow = full_fileset(&h, false).await;
    assert_eq!(kind(c.create_flow(&h.me, flow.clone()).await), E::InvalidState);
    assert!(file.exists());
    let allowed = FileSystem { allow_destroy: true, ..h.file_system("cfs-1", Origin::Config) };
    c.put_file_system(allowed).await.unwrap();
    // What the fileset points to, and what else has its files, stays.
    let outside = h.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "keep me").unwrap();
    symlink(&outside, h.root.join("set/link")).unwrap();
    std::fs::hard_link(outside.join("precious"), h.root.join("set/sub/twin")).unwrap();
    // Nobody else's flow empties it, and neither does one that can't be made.
    let you = Caller::account("you".into());
    assert_eq!(kind(c.create_flow(&you, flow.clone()).await), E::NotFound(Noun::Fileset));
    let bad = NewFlow { id: "no id".into(), ..flow.clone() };
    assert_eq!(kind(c.create_flow(&h.me, bad).await), E::Invalid);
    assert!(file.exists());
    c.create_flow(&h.me, flow.clone()).await.unwrap();
    assert_eq!(std::fs::read_dir(h.root.join("set")).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "keep me");
    assert!(h.root.join("in").exists());
    // It is bound now: what the flow brings in is not taken by the next one.
    std::fs::write(h.root.join("set/new"), "x").unwrap();
    let second = NewFlow { id: "df-2".into(), ..flow };
    assert_eq!(kind(c.create_flow(&h.me, second).await), E::InUse);
    assert!(h.root.join("set/new").exists());
}

#[tokio::test]
async fn emptying_that_takes_long_goes_on_and_keeps_others_away() {
    let h = Harness::with(Limits { empty_seconds: 0, ..Limits::default() }).await;
    let c = &h.control;
    let flow = full_fileset(&h, true).await;
    let closed = h.world.gate.clone().lock_owned().await;
    for _ in 0..2 {
        assert_eq!(kind(c.create_flow(&h.me, flow.clone()).await), E::InvalidState);
    }
    assert_eq!(kind(c.delete_fileset(&h.me, &"cfs-1".into(), &"f-1".into()).await), E::InvalidState);
    assert_eq!(kind(c.flow(&h.me, &"df-1".into()).await), E::NotFound(Noun::Flow));
    assert!(h.root.join("set/sub/file").exists());
    drop(closed);
    let made = until(async || c.create_flow(&h.me, flow.clone()).await.ok()).await;
    assert_eq!(made.fileset, Some("f-1".into()));
    assert_eq!(std::fs::read_dir(h.root.join("set")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_flow_is_not_made_on_a_fileset_that_could_not_be_emptied() {
    let h = Harness::new().await;
    let flow = full_fileset(&h, true).await;
    std::fs::create_dir(h.root.join("set/sub/mnt")).unwrap();
    let at = h.root.join("set/sub/mnt").display().to_string();
    let run = |words: &[&str]| {
        std::process::Command::new(words[0]).args(&words[1..]).output().is_ok_and(|o| o.status.success())
    };
    if !run(&["mount", "-t", "tmpfs", "tmpfs", &at]) {
        println!("SKIPPED: mounting is not permitted");
        return;
    }
    let refused = h.control.create_flow(&h.me, flow.clone()).await;
    let kept = h.root.join("set/sub/file").exists();
    assert!(run(&["umount", &at]));
    let e = refused.unwrap_err();
    assert_eq!(e.kind, E::InvalidState);
    assert!(e.message.contains("sub/mnt is a mount point"), "{}", e.message);
    assert!(kept && !e.message.contains(h.root.to_str().unwrap()));
    assert_eq!(kind(h.control.flow(&h.me, &"df-1".into()).await), E::NotFound(Noun::Flow));
    h.control.create_flow(&h.me, flow).await.unwrap();
}

#[tokio::test]
async fn a_removal_that_takes_long_or_was_interrupted_comes_to_its_end() {
    let h = Harness::with(Limits { empty_seconds: 0, ..Limits::default() }).await;
    let (c, fs, id) = (&h.control, FileSystemId::from("cfs-1"), FilesetId::from("f-1"));
    for interrupted in [false, true] {
        full_fileset(&h, true).await;
        if interrupted {
            // As a crash leaves it.
            let said = h.store.change_fileset(&id, |f| {
                f.status = FilesetStatus::Releasing;
                f.release = Some(Release { root: h.root.clone(), destroy: true });
                Ok::<_, ()>(())
            });
            said.await.unwrap().unwrap();
            c.housekeeping().await.unwrap();
        } else {
            let closed = h.world.gate.clone().lock_owned().await;
            c.delete_fileset(&h.me, &fs, &id).await.unwrap();
            assert_eq!(c.fileset(&h.me, &id).await.unwrap().status, FilesetStatus::Releasing);
            let flow = NewFlow { fileset: Some(id.clone()), ..h.new_flow("df-1") };
            assert_eq!(kind(c.create_flow(&h.me, flow).await), E::InvalidState);
            drop(closed);
        }
        until(async || c.fileset(&h.me, &id).await.is_err().then_some(())).await;
        assert!(!h.root.join("set").exists());
    }
}

#[tokio::test]
async fn a_removal_destroys_what_its_request_was_allowed_and_no_more() {
    let h = Harness::new().await;
    let (c, fs, id) = (&h.control, FileSystemId::from("cfs-1"), FilesetId::from("f-1"));
    full_fileset(&h, false).await;
    let (file, now) = (h.root.join("set/sub/file"), async || c.fileset(&h.me, &id).await.unwrap());
    // As it is when a file comes while an empty fileset is being removed: by a request, or after a crash, with
    // or without a note of what the request said.
    let empty_only = Some(Release { root: h.root.clone(), destroy: false });
    for said in [empty_only, None] {
        let to_go = h.store.change_fileset(&id, |f| {
            (f.status, f.release) = (FilesetStatus::Releasing, said);
            Ok::<_, ()>(())
        });
        to_go.await.unwrap().unwrap();
        // The operator's later word is not for this request.
        let allowed = FileSystem { allow_destroy: true, ..h.file_system("cfs-1", Origin::Config) };
        c.put_file_system(allowed).await.unwrap();
        c.housekeeping().await.unwrap();
        until(async || (now().await.status == FilesetStatus::Created).then_some(())).await;
        c.housekeeping().await.unwrap();
        assert!(file.exists() && now().await.release.is_none());
    }
    // Nor is a directory that was not meant.
    let elsewhere = h.dir.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("set")).unwrap();
    std::fs::write(elsewhere.join("set/precious"), "keep me").unwrap();
    let to_go = h.store.change_fileset(&id, |f| {
        f.status = FilesetStatus::Releasing;
        f.release = Some(Release { root: h.root.clone(), destroy: true });
        Ok::<_, ()>(())
    });
    to_go.await.unwrap().unwrap();
    let moved = h.file_system("cfs-1", Origin::Config);
    c.put_file_system(FileSystem { root: elsewhere.clone(), ..moved }).await.unwrap();
    c.housekeeping().await.unwrap();
    until(async || c.fileset(&h.me, &id).await.is_err().then_some(())).await;
    assert!(elsewhere.join("set/precious").exists() && !h.root.join("set").exists());
    assert_eq!(kind(c.delete_fileset(&h.me, &fs, &id).await), E::NotFound(Noun::Fileset));
}

#[tokio::test]
async fn nothing_is_destroyed_where_another_flow_or_a_task_works() {
    let h = Harness::new().await;
    let (c, fs, id) = (&h.control, FileSystemId::from("cfs-1"), FilesetId::from("f-1"));
    let (file, you) = (h.root.join("set/sub/file"), Caller::account("you".into()));
    let flow = full_fileset(&h, true).await;
    // The same directory by other ways: another file system at the same place, below it, and behind a link.
    symlink(&h.root, h.dir.path().join("link")).unwrap();
    for (name, root) in
        [("cfs-2", h.root.clone()), ("cfs-3", h.root.join("set")), ("cfs-4", h.dir.path().join("link"))]
    {
        let other = h.file_system(name, Origin::Registered);
        c.put_file_system(FileSystem { root, ..other }).await.unwrap();
    }
    let refused = async |what: &str| {
        let e = c.delete_fileset(&h.me, &fs, &id).await.unwrap_err();
        assert_eq!(e.kind, E::InUse, "{what}");
        assert!(!e.message.contains("secret-id"), "{}", e.message);
        assert_eq!(kind(c.create_flow(&h.me, flow.clone()).await), E::InUse, "{what}");
        assert_eq!(c.fileset(&h.me, &id).await.unwrap().status, FilesetStatus::Created, "{what}");
        assert!(file.exists(), "{what}");
    };
    let places = [
        ("cfs-1", "/set/"),
        ("cfs-1", "/"),
        ("cfs-1", "/set/sub/"),
        ("cfs-2", "/set/sub"),
        ("cfs-3", "/"),
        ("cfs-4", "/set"),
    ];
    for (name, path) in places {
        let what = format!("{name} {path}");
        let mut theirs = h.new_flow("secret-id");
        (theirs.directory.file_system, theirs.directory.path) = (name.into(), path.into());
        theirs.door = Door::Nas;
        let made = c.create_flow(&you, theirs).await.unwrap();
        refused(&format!("flow at {what}")).await;
        c.delete_flow(&you, &made.id).await.unwrap();
        let mut task = h.new_task("secret-id", None);
        (task.spec.directory.file_system, task.spec.directory.path) = (name.into(), path.into());
        let task = c.create_task(&you, task).await.unwrap();
        refused(&format!("task at {what}")).await;
        c.pause_task(&you, &task.id).await.unwrap();
        refused(&format!("paused task at {what}")).await;
        c.cancel_task(&you, &task.id).await.unwrap();
        c.delete_task(&you, &task.id).await.unwrap();
    }
    // Neither does upkeep, for a request that came before.
    let mut theirs = h.new_flow("secret-id");
    theirs.directory.path = "/set/sub/".into();
    c.create_flow(&you, theirs).await.unwrap();
    let to_go = h.store.change_fileset(&id, |f| {
        f.status = FilesetStatus::Releasing;
        f.release = Some(Release { root: h.root.clone(), destroy: true });
        Ok::<_, ()>(())
    });
    to_go.await.unwrap().unwrap();
    c.housekeeping().await.unwrap();
    until(async || (kind(c.delete_fileset(&h.me, &fs, &id).await) == E::InUse).then_some(())).await;
    assert!(file.exists());
    c.delete_flow(&you, &"secret-id".into()).await.unwrap();
    // Beside it, also with a name that begins alike, is not in it.
    std::fs::create_dir(h.root.join("set-2")).unwrap();
    let mut beside = h.new_flow("df-9");
    beside.directory.path = "/set-2/".into();
    c.create_flow(&you, beside).await.unwrap();
    let gone = E::NotFound(Noun::Fileset);
    until(async || c.delete_fileset(&h.me, &fs, &id).await.is_err_and(|e| e.kind == gone).then_some(()))
        .await;
    assert!(!h.root.join("set").exists());
}

#[tokio::test]
async fn a_fileset_is_protected_or_removed_and_never_both() {
    let h = Harness::new().await;
    let (c, fs) = (&h.control, FileSystemId::from("cfs-1"));
    for i in 0..20 {
        let name = format!("f-{i}");
        let id = FilesetId::from(name.as_str());
        c.create_fileset(&h.me, fileset(&name, &format!("/{name}/"))).await.unwrap();
        let protect = FilesetChange { deletion_protection: Some(true), ..FilesetChange::default() };
        let protect = async {
            for _ in 0..i {
                tokio::task::yield_now().await;
            }
            c.update_fileset(&h.me, &id, protect).await
        };
        let (removed, kept) = tokio::join!(c.delete_fileset(&h.me, &fs, &id), protect);
        assert!(removed.is_ok() != kept.is_ok(), "{i}: {removed:?} {kept:?}");
        assert_eq!(h.root.join(&name).exists(), kept.is_ok());
        if kept.is_ok() {
            assert_eq!(c.fileset(&h.me, &id).await.unwrap().status, FilesetStatus::Created);
            let free = FilesetChange { deletion_protection: Some(false), ..FilesetChange::default() };
            c.update_fileset(&h.me, &id, free).await.unwrap();
            c.delete_fileset(&h.me, &fs, &id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_count_that_takes_long_is_not_waited_for() {
    let h = Harness::with(Limits { count_wait_ms: 0, ..Limits::default() }).await;
    let (c, id) = (&h.control, FilesetId::from("f-1"));
    std::fs::create_dir(h.root.join("set")).unwrap();
    std::fs::write(h.root.join("set/one"), [0; 10]).unwrap();
    let closed = h.world.gate.clone().lock_owned().await;
    c.create_fileset(&h.me, fileset("f-1", "/set/")).await.unwrap();
    // Nothing is made up for a fileset that was never counted.
    assert_eq!(kind(c.measure_fileset(&h.me, &id).await), E::InvalidState);
    assert_eq!(c.fileset(&h.me, &id).await.unwrap().counted, None);
    drop(closed);
    let first = until(async || c.measure_fileset(&h.me, &id).await.ok()).await;
    assert_eq!((first.space_used, first.files_used), (10, 1));
    std::fs::write(h.root.join("set/two"), [0; 5]).unwrap();
    h.clock.advance(3600 * 1_000_000);
    let closed = h.world.gate.clone().lock_owned().await;
    let again = c.measure_fileset(&h.me, &id).await.unwrap();
    assert_eq!((again.files_used, again.counted), (1, first.counted), "the last count, with its time");
    let large = Quota { size_limit: Some(12), file_count_limit: None };
    let change = FilesetChange { quota: Some(Some(large)), ..FilesetChange::default() };
    c.update_fileset(&h.me, &id, change.clone()).await.unwrap();
    drop(closed);
    let now = until(async || c.measure_fileset(&h.me, &id).await.ok().filter(|f| f.files_used == 2)).await;
    assert_eq!((now.space_used, now.counted), (15, Some(Timestamp(h.clock.now().0))));
    assert_eq!(now.quota, Some(large), "counting changes nothing else");
    assert_eq!(kind(c.update_fileset(&h.me, &id, change).await), E::InvalidState);
}

#[tokio::test]
async fn a_count_that_failed_is_not_an_answer() {
    let h = Harness::new().await;
    let (c, id) = (&h.control, FilesetId::from("f-1"));
    std::fs::create_dir(h.root.join("set")).unwrap();
    std::fs::write(h.root.join("set/one"), [0; 10]).unwrap();
    let closed = h.world.gate.clone().lock_owned().await;
    c.create_fileset(&h.me, fileset("f-1", "/set/")).await.unwrap();
    // In the way of the count that has begun.
    let (real, away) = (h.root.join("set"), h.root.join("away"));
    std::fs::rename(&real, &away).unwrap();
    symlink(&away, &real).unwrap();
    drop(closed);
    let first = kind(c.measure_fileset(&h.me, &id).await);
    for _ in 0..3 {
        assert_eq!(kind(c.measure_fileset(&h.me, &id).await), first, "for as long as it is fresh");
    }
    let change = FilesetChange {
        quota: Some(Some(Quota { size_limit: Some(5), file_count_limit: None })),
        ..FilesetChange::default()
    };
    assert_eq!(kind(c.update_fileset(&h.me, &id, change).await), first);
    assert_eq!(c.fileset(&h.me, &id).await.unwrap().quota, None);
    std::fs::remove_file(&real).unwrap();
    std::fs::rename(&away, &real).unwrap();
    h.clock.advance(3600 * 1_000_000);
    assert_eq!(c.measure_fileset(&h.me, &id).await.unwrap().space_used, 10);
    // Neither is the one before it, when a later one failed.
    std::fs::rename(&real, &away).unwrap();
    symlink(&away, &real).unwrap();
    h.clock.advance(3600 * 1_000_000);
    let second = kind(c.measure_fileset(&h.me, &id).await);
    assert_eq!(kind(c.measure_fileset(&h.me, &id).await), second);
}

#[tokio::test]
async fn a_flow_is_asked_kept_to_its_owner_and_not_removed_under_a_task() {
    let h = Harness::new().await;
    let c = &h.control;
    let f = c.create_flow(&h.me, h.new_flow("df-1")).await.unwrap();
    assert_eq!(
        (f.status, f.directory.path.as_str(), &f.directory.root),
        (FlowStatus::Running, "in/", &h.root)
    );
    assert_eq!(kind(c.create_flow(&h.me, h.new_flow("df-1")).await), E::Exists(Noun::Flow));
    h.world.object.fail(Some(connector::ErrorKind::Denied));
    let f = c.create_flow(&h.me, h.new_flow("df-2")).await.unwrap();
    assert_eq!((f.status, f.error.as_deref()), (FlowStatus::Misconfigured, Some("told to fail")));
    assert_eq!(kind(c.create_task(&h.me, h.new_task("t-1", Some("df-2"))).await), E::InvalidState);
    h.world.object.fail(None);
    let key = Credentials { access_key_id: "ak2".into(), secret: c.seal("x") };
    let change = FlowChange {
        credentials: Some(key),
        attributes: [("k".to_owned(), Some("v".to_owned()))].into(),
        ..FlowChange::default()
    };
    let f = c.update_flow(&h.me, &"df-2".into(), change).await.unwrap();
    assert_eq!((f.status, f.error, f.attributes.len()), (FlowStatus::Running, None, 1));
    let you = Caller::account("you".into());
    assert_eq!(kind(c.flow(&you, &f.id).await), E::NotFound(Noun::Flow));
    assert_eq!(kind(c.delete_flow(&you, &f.id).await), E::NotFound(Noun::Flow));
    let all = FlowFilter { account: Some("me".into()), ..FlowFilter::default() };
    assert_eq!(c.flows(&you, &all, Page::default()).await.unwrap().1, 0);
    assert_eq!(c.flows(&Caller::operator(), &FlowFilter::default(), Page::default()).await.unwrap().1, 2);
    c.create_flow(&h.me, h.new_flow("df-3")).await.unwrap();
    assert_eq!(kind(c.create_flow(&h.me, h.new_flow("df-4")).await), E::LimitExceeded);
    c.create_task(&h.me, h.new_task("t-1", Some("df-1"))).await.unwrap();
    assert_eq!(kind(c.delete_flow(&h.me, &"df-1".into()).await), E::InUse);
    c.cancel_task(&h.me, &"t-1".into()).await.unwrap();
    c.delete_flow(&h.me, &"df-1".into()).await.unwrap();
    assert_eq!(kind(c.set_flow_status(&h.me, &"df-2".into(), FlowStatus::Starting).await), E::InvalidState);
    c.set_flow_status(&h.me, &"df-2".into(), FlowStatus::Stopped).await.unwrap();
}

#[tokio::test]
async fn tasks_reach_the_engine_and_obey_their_states() {
    let h = Harness::new().await;
    let (c, id) = (&h.control, TaskId::from("t-1"));
    let t = c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    assert_eq!((t.status, &t.spec.directory.root, t.attempt), (TaskStatus::Pending, &h.root, 0));
    assert_eq!(h.world.wakes.load(Ordering::Relaxed), 1);
    assert_eq!(kind(c.create_task(&h.me, h.new_task("t-1", None)).await), E::Exists(Noun::Task));
    assert_eq!(kind(c.delete_task(&h.me, &id).await), E::InvalidState);
    h.store.claim_next("w", Timestamp(h.clock.now().0), 1_000_000).await.unwrap().unwrap();
    assert_eq!(c.pause_task(&h.me, &id).await.unwrap().status, TaskStatus::Pausing);
    assert_eq!(*h.world.signals.lock().unwrap(), std::slice::from_ref(&id));
    assert_eq!(kind(c.pause_task(&h.me, &id).await), E::InvalidState);
    let you = Caller::account("you".into());
    assert_eq!(kind(c.cancel_task(&you, &id).await), E::NotFound(Noun::Task));
    let mut file = h.new_task("sub-1", None);
    (file.kind, file.parent) = (TaskKind::StreamFile, Some("stream".into()));
    assert_eq!(kind(c.create_task(&h.me, file.clone()).await), E::NotFound(Noun::Task));
    let stream = NewTask { kind: TaskKind::Stream, ..h.new_task("stream", None) };
    assert_eq!(c.create_task(&h.me, stream).await.unwrap().status, TaskStatus::Executing);
    c.create_task(&h.me, file).await.unwrap();
    assert_eq!(kind(c.cancel_task(&h.me, &"stream".into()).await), E::InUse);
    c.cancel_task(&h.me, &"sub-1".into()).await.unwrap();
    assert_eq!(c.cancel_task(&h.me, &"stream".into()).await.unwrap().status, TaskStatus::Canceled);
    assert_eq!(kind(c.cancel_task(&h.me, &"stream".into()).await), E::InvalidState);
}

#[tokio::test]
async fn a_plan_is_the_engines_and_asks_for_what_a_task_asks() {
    let h = Harness::new().await;
    let (c, w) = (&h.control, &h.world);
    let mut spec = h.new_task("t", None).spec;
    assert_eq!(c.plan(&spec).await.unwrap().files, 7);
    let (planned, within) = w.planned.lock().unwrap()[0].clone();
    assert_eq!((&planned.directory.root, planned.directory.path.as_str()), (&h.root, "in/"));
    assert!(within.as_secs() < 2);
    // What no task may be is not planned either, and the engine never hears of it.
    spec.selection = Selection::Entries(vec!["a/../../x".into()]);
    assert_eq!(kind(c.plan(&spec).await), E::BadPath);
    spec.selection = Selection::All;
    spec.directory.path = "../x".into();
    assert_eq!(kind(c.plan(&spec).await), E::BadPath);
    spec.directory.path = "in".into();
    spec.object.store = "none".into();
    assert_eq!(kind(c.plan(&spec).await), E::NotFound(Noun::ObjectStore));
    spec.object.store = "s3".into();
    // Both ends are asked; only an import may make its directory.
    for (direction, make, want) in [
        (Direction::Import, true, None),
        (Direction::Import, false, Some(E::NotFound(Noun::Directory))),
        (Direction::Export, true, Some(E::NotFound(Noun::Directory))),
    ] {
        w.directory.fail(Some(connector::ErrorKind::NotFound));
        (spec.direction, spec.create_directory) = (direction, make);
        assert_eq!(c.plan(&spec).await.err().map(|e| e.kind), want, "{direction:?} {make}");
        w.directory.fail(None);
        w.object.fail(Some(connector::ErrorKind::NotFound));
        assert_eq!(kind(c.plan(&spec).await), E::NotFound(Noun::Bucket), "{direction:?}");
        w.object.fail(Some(connector::ErrorKind::Denied));
        assert_eq!(kind(c.plan(&spec).await), E::BadCredentials);
        w.object.fail(None);
    }
    // The engine's errors are told, and a missing list is a missing list.
    *w.planning_fails.lock().unwrap() = Some(connector::ErrorKind::Unavailable);
    assert_eq!(kind(c.plan(&spec).await), E::Unreachable);
    *w.planning_fails.lock().unwrap() = Some(connector::ErrorKind::NotFound);
    spec.selection = Selection::CsvUnder("lists/".into());
    assert_eq!(kind(c.plan(&spec).await), E::NotFound(Noun::ListFile));
    assert_eq!(c.tasks(&h.me, &TaskFilter::default(), Page::default()).await.unwrap().1, 0);
}

#[tokio::test]
async fn plans_wait_for_each_other_and_not_for_ever() {
    let h = Harness::new().await;
    h.world.planning_ms.store(600, Ordering::Relaxed);
    let spec = h.new_task("t", None).spec;
    let all = futures_util::future::join_all((0..30).map(|_| h.control.plan(&spec))).await;
    let made = all.iter().filter(|p| p.is_ok()).count();
    assert!((4..30).contains(&made), "{made} plans");
    for e in all.into_iter().filter_map(std::result::Result::err) {
        assert_eq!(e.kind, E::LimitExceeded);
    }
    assert!(h.control.plan(&spec).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn an_object_is_told_from_what_its_name_begins() {
    let h = Harness::new().await;
    let spec = h.new_task("t", None).spec;
    for key in ["a/b", "a/bc", "dir/x"] {
        h.world.object.put(key, b"1", 1);
    }
    for (name, there) in [("a/b", true), ("a/bc", true), ("a", false), ("dir", false), ("z", false)] {
        assert_eq!(h.control.object_exists(&spec, name).await.unwrap(), there, "{name}");
    }
    h.world.object.fail(Some(connector::ErrorKind::Unavailable));
    assert_eq!(kind(h.control.object_exists(&spec, "a").await), E::Unreachable);
}

#[tokio::test]
async fn events_tell_who_did_what_and_only_to_the_owner() {
    let h = Harness::new().await;
    let (c, id) = (&h.control, TaskId::from("t-1"));
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    c.pause_task(&h.me, &id).await.unwrap();
    c.resume_task(&Caller { account: "boss".into(), operator: true }, &id).await.unwrap();
    c.cancel_task(&h.me, &id).await.unwrap();
    let told = c.task_events(&h.me, &id, EventsFrom::After(0), 100).await.unwrap();
    let lines: Vec<_> = told.events.iter().map(|e| (e.kind.name(), e.message.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("created", "by account me through the cfs door"),
            ("queued", "waits for its turn"),
            ("pause-asked", "by account me"),
            ("paused", "at once: nobody was at work on it"),
            ("resume-asked", "by operator boss"),
            ("queued", "waits for its turn again"),
            ("cancel-asked", "by account me"),
            ("canceled", "at once: nobody was at work on it"),
        ]
    );
    let you = Caller::account("you".into());
    assert_eq!(kind(c.task_events(&you, &id, EventsFrom::Latest, 1).await), E::NotFound(Noun::Task));
    c.delete_task(&h.me, &id).await.unwrap();
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    let told = c.task_events(&h.me, &id, EventsFrom::Latest, 1).await.unwrap();
    assert_eq!((told.total, told.dropped, told.events[0].seq), (2, 0, 2), "nothing is left of the first");
}

#[tokio::test]
async fn a_receipt_is_checked_against_the_destination() {
    let h = Harness::new().await;
    let (c, dst, id) = (&h.control, &h.world.directory, TaskId::from("t-1"));
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    assert_eq!(kind(c.receipt(&h.me, &id).await), E::NotFound(Noun::Receipt));
    let mut manifest = String::new();
    for (path, bytes) in [("a", &b"12345"[..]), ("b/1", b"xx"), ("b/2", b"yyy")] {
        dst.put(path, bytes, 1);
        let d = Digest::of(bytes);
        let line = format!(
            "{{\"path\":\"{path}\",\"size\":{},\"digest\":\"{d}\",\"outcome\":\"written\"}}\n",
            d.len
        );
        manifest.push_str(&line);
    }
    manifest.push_str("{\"path\":\"no\",\"size\":1,\"outcome\":\"failed\"}\n");
    h.complete("t-1", &manifest).await;
    let v = c.verify_receipt(&h.me, &id).await.unwrap();
    assert!(v.holds() && v.extra.is_empty(), "{v:?}");
    assert_eq!((v.checked, v.same, v.bytes), (3, 3, 10));
    dst.put("b/1", b"xy", 1);
    dst.put("new", b"?", 1);
    dst.files.lock().unwrap().remove(&b"b/2"[..]);
    let v = c.verify_receipt(&h.me, &id).await.unwrap();
    assert!(!v.holds());
    assert_eq!(
        (v.missing, v.different, v.extra),
        (vec!["b/2".into()], vec!["b/1".into()], vec!["new".into()])
    );
    // Something that can't be named is neither extra nor nothing.
    dst.strange.store(true, std::sync::atomic::Ordering::Relaxed);
    let v = c.verify_receipt(&h.me, &id).await.unwrap();
    assert!(!v.complete && v.extra == ["new"], "{v:?}");
    dst.strange.store(false, std::sync::atomic::Ordering::Relaxed);
    std::fs::write(c.report_path(&id, "manifest.jsonl").unwrap(), manifest.replace("12", "13")).unwrap();
    let v = c.verify_receipt(&h.me, &id).await.unwrap();
    std::fs::write(c.report_path(&id, "manifest.jsonl").unwrap(), format!("{manifest}\n")).unwrap();
    let w = c.verify_receipt(&h.me, &id).await.unwrap();
    assert!(!w.manifest_intact && !w.holds() && v.checked <= 3);
    let you = Caller::account("you".into());
    assert_eq!(kind(c.verify_receipt(&you, &id).await), E::NotFound(Noun::Task));
}

/// However little of the names is held at a time, what is extra is found and nothing else is called so.
#[tokio::test]
async fn a_manifest_is_compared_in_shares_and_few_are_at_once() {
    for verified_names in [1, 2, 5, 1000] {
        let h = Harness::with(Limits { verified_names, ..Limits::default() }).await;
        let (c, dst, id) = (&h.control, &h.world.directory, TaskId::from("t-1"));
        c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
        let mut manifest = String::new();
        for n in 0..12 {
            dst.put(&format!("d/{n}"), b"12345", 1);
            let line =
                format!("{{\"path\":\"d/{n}\",\"size\":5,\"size_only\":true,\"outcome\":\"unchanged\"}}\n");
            manifest.push_str(&line);
        }
        for extra in ["a", "d/x", "z"] {
            dst.put(extra, b"?", 1);
        }
        h.complete("t-1", &manifest).await;
        dst.slow.store(true, std::sync::atomic::Ordering::Relaxed);
        let all = (0..5).map(|_| c.verify_receipt(&h.me, &id));
        for v in futures_util::future::join_all(all).await {
            let mut v = v.unwrap();
            v.extra.sort();
            assert_eq!(v.extra, ["a", "d/x", "z"], "{verified_names}");
            assert!(v.complete && v.same == 12);
        }
        let (now, most) = *dst.verifying.lock().unwrap();
        assert_eq!((now, most), (0, 2), "verifications at once");
    }
}

#[tokio::test]
async fn what_was_left_as_it_was_is_proved_as_far_as_it_is_known() {
    let h = Harness::new().await;
    let (c, dst, id) = (&h.control, &h.world.directory, TaskId::from("t-1"));
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    let mut manifest = String::new();
    for (path, bytes, known) in [
        ("digest", b"12345", format!("\"digest\":\"{}\"", Digest::of(b"12345"))),
        ("etag", b"23456", format!("\"etag\":\"{}\"", harness::MemoryTree::etag(b"23456"))),
        ("in-parts", b"34567", format!("\"etag\":\"{}\"", harness::MemoryTree::etag(b"34567"))),
        ("size", b"45678", "\"size_only\":true".to_owned()),
    ] {
        dst.put(path, bytes, 1);
        manifest += &format!("{{\"path\":\"{path}\",\"size\":5,{known},\"outcome\":\"unchanged\"}}\n");
    }
    h.complete("t-1", &manifest).await;
    let v = c.verify_receipt(&h.me, &id).await.unwrap();
    assert!(v.holds(), "{v:?}");
    assert_eq!((v.checked, v.same, v.by_content, v.by_size, v.bytes), (4, 4, 2, 2, 10));
    // One byte of each, with the size and the time kept.
    for path in ["digest", "etag", "in-parts", "size"] {
        dst.put(path, b"99999", 1);
    }
    let mut v = c.verify_receipt(&h.me, &id).await.unwrap();
    v.different.sort();
    assert_eq!(v.different, ["digest", "etag", "in-parts"]);
    assert_eq!((v.by_content, v.by_size, v.holds()), (0, 1, false), "what was not proved is not said to be");
}

#[tokio::test]
async fn report_names_and_tokens() {
    let h = Harness::new().await;
    let (c, t) = (&h.control, TaskId::from("task-1"));
    assert!(c.report_path(&t, "failed.csv").unwrap().ends_with("reports/task-1/failed.csv"));
    for bad in ["", "..", ".hidden", "../x", "a/b", "a\0", &"x".repeat(200)] {
        assert_eq!(c.report_path(&t, bad), None, "{bad:?}");
        assert_eq!(c.report_path(&bad.into(), "failed.csv"), None, "{bad:?}");
    }
    let token = c.report_token(&t, "failed.csv");
    let check = |token: &str| c.check_report_token(&t, "failed.csv", token);
    assert_eq!(check(&token), ReportAccess::Granted);
    assert_eq!(c.check_report_token(&t, "total.csv", &token), ReportAccess::Refused);
    assert_eq!(c.check_report_token(&"task-2".into(), "failed.csv", &token), ReportAccess::Refused);
    for i in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[i] = if forged[i] == b'0' { b'1' } else { b'0' };
        assert_eq!(check(&String::from_utf8(forged).unwrap()), ReportAccess::Refused, "digit {i}");
    }
    for bad in ["", "0", "zz", "é", &token[2..], &token[..16], &format!("{token}00"), &"0".repeat(1 << 20)] {
        assert_eq!(check(bad), ReportAccess::Refused, "{bad:.40}");
    }
}

#[tokio::test]
async fn the_address_of_a_report_ends_and_is_made_anew() {
    let h = Harness::new().await;
    let (c, t) = (&h.control, TaskId::from("task-1"));
    let first = c.report_token(&t, "failed.csv");
    let ends = Timestamp(h.clock.now().0 + 24 * 3600 * 1_000_000);
    h.clock.advance(24 * 3600 * 1_000_000 - 1);
    assert_eq!(c.check_report_token(&t, "failed.csv", &first), ReportAccess::Granted);
    let second = c.report_token(&t, "failed.csv");
    h.clock.advance(1);
    assert_eq!(c.check_report_token(&t, "failed.csv", &first), ReportAccess::Expired(ends));
    assert_eq!(
        c.check_report_token(&t, "total.csv", &first),
        ReportAccess::Refused,
        "not even that it ended"
    );
    assert_eq!(c.check_report_token(&t, "failed.csv", &second), ReportAccess::Granted);
    // An end that somebody else wrote is nobody's.
    let later = format!("{:016x}{}", i64::MAX, &first[16..]);
    assert_eq!(c.check_report_token(&t, "failed.csv", &later), ReportAccess::Refused);
}

#[tokio::test]
async fn secrets_are_returned_once_and_never_printed() {
    let h = Harness::new().await;
    let c = &h.control;
    let new = NewAccount { name: "n".into(), ..NewAccount::default() };
    let (account, secret) = c.create_account(new).await.unwrap();
    let (found, opened) = c.account_by_access_key(&account.access_key_id).await.unwrap().unwrap();
    assert_eq!((&found, &opened), (&account, &secret));
    assert!(!format!("{account:?}").contains(&secret));
    assert!(c.account_by_access_key("AKIDnobody").await.unwrap().is_none());
    c.set_account_active(&account.id, false).await.unwrap();
    let (found, _) = c.account_by_access_key(&account.access_key_id).await.unwrap().unwrap();
    assert!(!found.active, "a change is seen at once");
    let key = GivenKey { access_key_id: account.access_key_id.clone(), secret: "hush-hush".into() };
    assert!(!format!("{key:?}").contains("hush"));
    let taken = NewAccount { id: Some("2".into()), key: Some(key), ..NewAccount::default() };
    assert_eq!(kind(c.create_account(taken.clone()).await), E::Exists(Noun::Account));
    let weak = GivenKey { access_key_id: "short".into(), secret: "x".into() };
    assert_eq!(
        kind(c.create_account(NewAccount { key: Some(weak), ..NewAccount::default() }).await),
        E::Invalid
    );
    let declared = NewAccount { id: Some(account.id.0.clone()), ..taken };
    c.declare_account(declared).await.unwrap();
    let (_, opened) = c.account_by_access_key(&account.access_key_id).await.unwrap().unwrap();
    assert_eq!(opened, "hush-hush");
    c.create_flow(&h.me, h.new_flow("df-1")).await.unwrap();
    h.store.close().await;
    for file in std::fs::read_dir(h.dir.path()).unwrap().flatten().filter(|f| f.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        for hush in [&secret[..], "hush-hush", "flow-hush", "store-hush"] {
            assert!(!bytes.windows(hush.len()).any(|w| w == hush.as_bytes()), "{:?}", file.path());
        }
    }
}

#[tokio::test]
async fn what_is_no_longer_declared_is_off_until_it_is_declared_again() {
    let h = Harness::new().await;
    let c = &h.control;
    let declare = |id: &str| NewAccount {
        name: id.into(),
        id: Some(id.into()),
        key: Some(GivenKey { access_key_id: format!("AKID-{id}"), secret: "hush-hush".into() }),
        ..NewAccount::default()
    };
    // A name of digits, as a cloud's own account numbers are, is a name like any other.
    for id in ["first", "100000000001", "third"] {
        c.declare_account(declare(id)).await.unwrap();
    }
    let (made, _) =
        c.create_account(NewAccount { name: "made".into(), ..NewAccount::default() }).await.unwrap();
    let active =
        async |id: &str| c.accounts().await.unwrap().iter().find(|a| a.id.as_str() == id).unwrap().active;
    c.release_undeclared_accounts(&["first".into()]).await.unwrap();
    assert!(active("first").await && active(made.id.as_str()).await);
    assert!(!active("100000000001").await && !active("third").await);
    let (found, _) = c.account_by_access_key("AKID-third").await.unwrap().unwrap();
    assert!(!found.active, "seen at once");
    c.declare_account(declare("third")).await.unwrap();
    c.release_undeclared_accounts(&["first".into(), "third".into()]).await.unwrap();
    assert!(active("third").await && !active("100000000001").await);
    // What an operator switched off stays off for as long as it is declared.
    c.set_account_active(&"first".into(), false).await.unwrap();
    c.declare_account(declare("first")).await.unwrap();
    assert!(!active("first").await);
    // What an operator switched on stays on, declared or not.
    c.set_account_active(&"100000000001".into(), true).await.unwrap();
    c.release_undeclared_accounts(&["first".into()]).await.unwrap();
    assert!(active("100000000001").await && !active("third").await);
}

#[tokio::test]
async fn upkeep_ends_history_and_asks_again() {
    let h = Harness::new().await;
    let c = &h.control;
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    h.complete("t-1", "").await;
    c.remember(&h.me, "A", "tok", b"f", "id").await.unwrap();
    h.world.object.fail(Some(connector::ErrorKind::Unavailable));
    c.create_flow(&h.me, h.new_flow("df-1")).await.unwrap();
    h.clock.advance(89 * 86_400 * 1_000_000);
    let u = c.housekeeping().await.unwrap();
    assert_eq!((u.tasks_forgotten, u.tokens_forgotten, u.flows_changed), (0, 1, 0));
    c.create_task(&h.me, h.new_task("t-2", None)).await.unwrap();
    h.world.object.fail(None);
    h.clock.advance(2 * 86_400 * 1_000_000);
    let folder = c.report_path(&"t-1".into(), "manifest.jsonl").unwrap();
    assert!(folder.exists());
    let u = c.housekeeping().await.unwrap();
    assert_eq!((u.tasks_forgotten, u.flows_changed), (1, 1));
    assert!(!folder.exists());
    assert_eq!(kind(c.task(&h.me, &"t-1".into()).await), E::NotFound(Noun::Task));
    assert!(c.task(&h.me, &"t-2".into()).await.is_ok());
    assert_eq!(c.flow(&h.me, &"df-1".into()).await.unwrap().status, FlowStatus::Running);
}

/// Tasks that are done leave their place to be swept a week later, also if it was out of reach then.
#[tokio::test]
async fn a_sweep_that_fails_is_made_again() {
    let h = Harness::new().await;
    let (c, dst) = (&h.control, &h.world.directory);
    c.create_task(&h.me, h.new_task("t-1", None)).await.unwrap();
    h.complete("t-1", "").await;
    let week = 7 * 86_400;
    h.clock.advance((week + 60) * 1_000_000);
    dst.fail(Some(connector::ErrorKind::Unavailable));
    // The rest of the upkeep is done all the same.
    c.remember(&h.me, "A", "tok", b"f", "id").await.unwrap();
    h.clock.advance(2 * 86_400 * 1_000_000);
    assert_eq!(c.housekeeping().await.unwrap().tokens_forgotten, 1);
    let swept = || dst.sweeps.lock().unwrap().len();
    let tried = swept();
    dst.fail(None);
    c.housekeeping().await.unwrap();
    assert_eq!(swept(), tried, "not before the next round");
    h.clock.advance(7 * 3600 * 1_000_000);
    c.housekeeping().await.unwrap();
    let sweeps = dst.sweeps.lock().unwrap().clone();
    assert_eq!(sweeps.last(), Some(&connector::Sweep::idle(7 * 86_400)));
    assert_eq!(sweeps.len(), tried + 1);
    h.clock.advance(7 * 3600 * 1_000_000);
    c.housekeeping().await.unwrap();
    assert_eq!(swept(), tried + 1, "once it is done, it is done");
}
