//! Emptying: what lies outside stays, whatever stands inside.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use connector::{ErrorKind, Result};

use crate::tree;

fn names(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// `inside` to be emptied, and `outside` with something precious in it.
fn places() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::create_dir(&inside).unwrap();
    fs::write(outside.join("precious"), b"keep me").unwrap();
    fs::write(outside.join("deep/too"), b"me too").unwrap();
    (dir, inside, outside)
}

fn intact(outside: &Path) {
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"keep me");
    assert_eq!(fs::read(outside.join("deep/too")).unwrap(), b"me too");
}

#[test]
fn everything_inside_goes_and_nothing_else() {
    let (dir, inside, outside) = places();
    for i in 0..3000 {
        fs::write(inside.join(format!("file {i}")), b"x").unwrap();
    }
    for i in 0..300 {
        fs::create_dir_all(inside.join(format!("d{i}/e/f"))).unwrap();
        fs::write(inside.join(format!("d{i}/e/g")), b"x").unwrap();
    }
    for odd in [&b"new\nline"[..], b"\xff\xfe", b"-rf", b" ", b"...", b".wharf-tmp-0123456789abcdef"] {
        fs::write(inside.join(std::ffi::OsStr::from_bytes(odd)), b"x").unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
    symlink(&outside, inside.join("d1/out")).unwrap();
    symlink("../../outside/precious", inside.join("d2/out")).unwrap();
    symlink("/", inside.join("slash")).unwrap();
    symlink("nowhere", inside.join("dangling")).unwrap();
    fs::hard_link(outside.join("precious"), inside.join("d3/twin")).unwrap();
    fs::set_permissions(inside.join("d4/e/g"), fs::Permissions::from_mode(0o0)).unwrap();
    let mode = fs::metadata(&inside).unwrap().mode();
    let removed = tree(&inside).empty().unwrap();
    assert_eq!(removed, 3000 + 300 * 4 + 6 + 1 + 4 + 1);
    assert_eq!((names(&inside), fs::metadata(&inside).unwrap().mode()), (0, mode));
    intact(&outside);
    assert_eq!(fs::metadata(outside.join("precious")).unwrap().nlink(), 1);
    assert_eq!(tree(&inside).empty().unwrap(), 0, "again is no error");
    assert_eq!(names(dir.path()), 2);
}

#[test]
fn a_path_deeper_than_any_name_of_it_and_any_number_of_handles() {
    let (_dir, inside, outside) = places();
    let mut at = File::open(&inside).unwrap();
    for _ in 0..5000 {
        let below = format!("/proc/self/fd/{}/0123456789", at.as_raw_fd());
        fs::create_dir(&below).unwrap();
        fs::write(format!("/proc/self/fd/{}/beside", at.as_raw_fd()), b"x").unwrap();
        at = File::open(&below).unwrap();
    }
    drop(at);
    assert_eq!(tree(&inside).empty().unwrap(), 10_000);
    assert_eq!(names(&inside), 0);
    intact(&outside);
}

#[test]
fn a_mount_point_anywhere_stops_it_before_anything_goes() {
    let (_dir, inside, outside) = places();
    fs::create_dir_all(inside.join("a/b c/mnt")).unwrap();
    fs::write(inside.join("a/file"), b"x").unwrap();
    let mount = |words: &[&str]| Command::new("mount").args(words).output().is_ok_and(|o| o.status.success());
    let at = inside.join("a/b c/mnt");
    if !mount(&["--bind", outside.to_str().unwrap(), at.to_str().unwrap()]) {
        println!("SKIPPED: mounting is not permitted");
        return;
    }
    let refused = tree(&inside).empty();
    let kept = inside.join("a/file").exists();
    let unmounted = Command::new("umount").arg(&at).status().unwrap().success();
    let e = refused.unwrap_err();
    assert!(unmounted && kept);
    assert_eq!(e.kind(), ErrorKind::Unacceptable);
    assert!(e.to_string().contains("a/b c/mnt is a mount point"), "{e}");
    intact(&outside);
    tree(&inside).empty().unwrap();
    assert_eq!(names(&inside), 0);
}

/// Runs `f` as nobody: the identity of a thread is its own.
#[allow(unsafe_code, reason = "std changes no identity, and libc's wrapper changes that of all threads")]
fn as_nobody<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        s.spawn(|| {
            // SAFETY: plain numbers.
            let done = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
            assert_eq!(done, 0);
            f()
        })
        .join()
        .unwrap()
    })
}

#[test]
fn what_can_not_be_read_stops_it_and_is_named() {
    let (dir, inside, outside) = places();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("SKIPPED: only root can become somebody else");
        return;
    }
    fs::create_dir_all(inside.join("open/locked/in")).unwrap();
    fs::write(inside.join("open/locked/in/file"), b"x").unwrap();
    fs::set_permissions(inside.join("open/locked"), fs::Permissions::from_mode(0o0)).unwrap();
    for at in [dir.path(), &inside, &inside.join("open"), &inside.join("open/locked")] {
        chown(at, Some(65534), Some(65534)).unwrap();
    }
    let empty = || -> Result<u64> { as_nobody(|| tree(&inside).empty()) };
    let e = empty().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Denied);
    assert!(e.to_string().contains("open/locked"), "{e}");
    assert!(inside.join("open/locked/in/file").exists());
    // A directory of somebody else's, from which nothing can be removed.
    fs::set_permissions(inside.join("open/locked"), fs::Permissions::from_mode(0o755)).unwrap();
    let e = empty().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Denied);
    assert!(e.to_string().contains("open/locked/in/file"), "{e}");
    chown(inside.join("open/locked/in"), Some(65534), None).unwrap();
    empty().unwrap();
    assert_eq!(names(&inside), 0);
    intact(&outside);
}

#[test]
fn a_directory_that_turns_into_a_link_meanwhile_leads_nowhere() {
    let (_dir, inside, outside) = places();
    let (aside, over) = (inside.with_file_name("aside"), AtomicBool::new(false));
    std::thread::scope(|s| {
        s.spawn(|| {
            // The same name is now a directory with something in it, now a link to the outside.
            while !over.load(Ordering::Relaxed) {
                let _ = fs::create_dir_all(inside.join("d/sub"));
                let _ = fs::write(inside.join("d/sub/f"), b"x");
                if fs::rename(inside.join("d"), &aside).is_ok() {
                    let _ = symlink(&outside, inside.join("d"));
                    let _ = fs::remove_file(inside.join("d"));
                    let _ = fs::rename(&aside, inside.join("d"));
                    let _ = fs::remove_dir_all(&aside);
                }
            }
        });
        let t = tree(&inside);
        for _ in 0..400 {
            match t.empty() {
                Ok(_) => {}
                Err(e) => assert_eq!(e.kind(), ErrorKind::Changed, "{e}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    intact(&outside);
    tree(&inside).empty().unwrap();
    assert_eq!(names(&inside), 0);
}

#[test]
fn counting_sees_every_file_and_none_of_ours() {
    let (_dir, inside, outside) = places();
    fs::create_dir_all(inside.join("a/b")).unwrap();
    fs::write(inside.join("a/b/f"), [0; 10]).unwrap();
    fs::write(inside.join("g"), [0; 5]).unwrap();
    fs::hard_link(inside.join("g"), inside.join("h")).unwrap();
    fs::write(inside.join(".wharf-tmp-0123456789abcdef.data"), [0; 100]).unwrap();
    symlink(&outside, inside.join("a/out")).unwrap();
    let link = outside.as_os_str().len() as u64;
    assert_eq!(tree(&inside).count().unwrap(), (10 + 5 + 5 + link, 4));
}
