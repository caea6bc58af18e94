//! Attacks on the root: links, swapped directories, names that climb. Nothing may appear outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector::conformance::Chunks;
use connector::{ErrorKind, Tree};

use crate::{path, put, target, tree};

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_link_as_a_parent_is_refused_everywhere() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    let before = names(outside.path());
    symlink(outside.path(), dir.path().join("link")).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    symlink("../link", dir.path().join("d/indirect")).unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    for at in ["link/new", "link/deep/er/new", "d/indirect/new", "link/secret"] {
        assert_eq!(put(&*lane, at, b"x").await.unwrap_err().kind(), ErrorKind::Unacceptable, "{at}");
        assert_eq!(lane.put_dir(&target(at, 0)).await.unwrap_err().kind(), ErrorKind::Unacceptable, "{at}");
        assert_eq!(lane.begin(&target(at, 9), 4).await.unwrap_err().kind(), ErrorKind::Unacceptable, "{at}");
        assert!(lane.stat(&path(at)).await.unwrap().is_none());
        assert!(!lane.remove(&path(at)).await.unwrap());
    }
    assert_eq!(lane.put_dir(&target("link", 0)).await.unwrap_err().kind(), ErrorKind::Unacceptable);
    let mut linked = target("copy", 6);
    linked.meta.hard_link = Some(path("link/secret"));
    let body = || Chunks::new(b"", 1).body();
    assert_eq!(lane.put(&linked, body()).await.unwrap_err().kind(), ErrorKind::NotFound);
    linked.meta.hard_link = Some(path("link"));
    assert_eq!(lane.put(&linked, body()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(outside.path()), before);
    assert_eq!(t.sweep(&connector::Sweep::idle(0)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_link_at_the_target_is_replaced_and_not_followed() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = outside.path().join("victim");
    fs::write(&victim, b"untouched").unwrap();
    symlink(&victim, dir.path().join("a")).unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    put(&*lane, "a", b"new").await.unwrap();
    assert!(fs::symlink_metadata(dir.path().join("a")).unwrap().is_file());
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    // A listed file that turned into a link is not read through it.
    let entry = lane.stat(&path("a")).await.unwrap().unwrap().entry;
    fs::remove_file(dir.path().join("a")).unwrap();
    symlink(&victim, dir.path().join("a")).unwrap();
    assert_eq!(lane.open(&entry, None).await.err().unwrap().kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = dir.path().to_owned();
    fs::create_dir(at.join("real")).unwrap();
    symlink(outside.path(), at.join("link")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let swapper = std::thread::spawn(move || {
        let mut swaps = 0u32;
        while !stopped.load(Ordering::Relaxed) {
            // "d" is in turn a directory, a link that leads outside, and nothing.
            let _ = fs::rename(at.join("real"), at.join("d"));
            let _ = fs::rename(at.join("d"), at.join("real"));
            let _ = fs::rename(at.join("link"), at.join("d"));
            let _ = fs::rename(at.join("d"), at.join("link"));
            let _ = fs::remove_dir_all(at.join("d"));
            swaps += 1;
        }
        swaps
    });
    let t = tree(dir.path());
    let (mut good, mut refused) = (0, 0);
    for i in 0..4000 {
        let lane = t.lane();
        let at = format!("d/sub{}/f{i}", i % 3);
        match put(&*lane, &at, b"x").await {
            Ok(_) => good += 1,
            Err(_) => refused += 1,
        }
        let _ = lane.put_dir(&target(format!("d/dir{i}"), 0)).await;
        let mut link = target(format!("d/l{i}"), 0);
        link.meta.symlink = Some(b"x"[..].into());
        let _ = lane.put(&link, Chunks::new(b"", 1).body()).await;
        let _ = lane.remove(&path("d/secret")).await;
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap();
    println!("{good} written, {refused} refused, {swaps} swaps");
    assert_eq!(names(outside.path()), Vec::<String>::new());
    assert!(refused > 0 || good > 0);
}
