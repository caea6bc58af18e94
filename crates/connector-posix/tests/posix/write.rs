//! Writes: all or nothing, metadata, holes, conflicts, a full disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use connector::conformance::{Chunks, content, list_all};
use connector::{ErrorKind, ListRequest, Meta, Overwrite, Tree, Xattr};
use connector_posix::{Options, PosixTree};

use crate::{path, put, target, tree};

fn left(dir: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    all
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn odd_names_are_kept_and_ours_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let long = "n".repeat(255);
    for at in
        [&b"new\nline"[..], b"\xff\xfe/\x01", long.as_bytes(), b"-rf", b".wharf-tmp-x", b"a b/...", b"*?[]"]
    {
        put(&*lane, at, b"odd").await.unwrap();
        assert_eq!(lane.stat(&path(at)).await.unwrap().unwrap().entry.size, 3, "{at:?}");
    }
    let e = put(&*lane, "d/.wharf-tmp-0123456789abcdef", b"x").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unacceptable);
    let all = list_all(&t, ListRequest::default()).await.unwrap();
    assert!(all.iter().any(|e| e.path.as_bytes() == b".wharf-tmp-x"));
}

#[tokio::test]
async fn times_are_kept_to_the_ns() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    for (i, ns) in
        [1, -1, -1_500_000_001, 1_234_567_890_987_654_321, 4_102_444_800_000_000_001].iter().enumerate()
    {
        let mut f = target(format!("f{i}"), 2);
        f.meta = Meta { mtime_ns: Some(*ns), atime_ns: Some(*ns + 7), ..Meta::default() };
        lane.put(&f, Chunks::new(b"xy", 2).body()).await.unwrap();
        let found = lane.stat(&f.path).await.unwrap().unwrap();
        let meta = found.entry.meta.unwrap();
        assert_eq!((meta.mtime_ns, meta.atime_ns), (Some(*ns), Some(*ns + 7)));
        assert_eq!(found.stamp, Some(f.stamp.clone()));
        f.path = path(format!("d{i}"));
        lane.put_dir(&f).await.unwrap();
        put(&*lane, format!("d{i}/child"), b"x").await.unwrap();
        lane.put_dir(&f).await.unwrap();
        assert_eq!(lane.stat(&f.path).await.unwrap().unwrap().entry.modified_ns, *ns);
        f.path = path(format!("l{i}"));
        f.meta.symlink = Some(b"nowhere"[..].into());
        lane.put(&f, Chunks::new(b"", 2).body()).await.unwrap();
        assert_eq!(lane.stat(&f.path).await.unwrap().unwrap().entry.modified_ns, *ns);
    }
}

#[tokio::test]
async fn a_time_that_the_file_system_can_not_keep_still_makes_a_true_mark() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let mut f = target("f", 2);
    f.meta.mtime_ns = Some(i64::MAX);
    let stored = lane.put(&f, Chunks::new(b"xy", 2).body()).await.unwrap();
    let found = lane.stat(&f.path).await.unwrap().unwrap();
    assert_eq!(found.stamp, Some(f.stamp));
    assert_eq!(found.entry.version, stored.version);
}

#[tokio::test]
async fn a_mark_counts_only_while_the_file_is_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let stamp = async || lane.stat(&path("f")).await.unwrap().unwrap().stamp;
    put(&*lane, "f", b"content").await.unwrap();
    assert!(stamp().await.is_some());
    fs::write(dir.path().join("f"), b"CONTENT").unwrap();
    assert!(stamp().await.is_none());
    put(&*lane, "f", b"content").await.unwrap();
    let f = fs::OpenOptions::new().append(true).open(dir.path().join("f")).unwrap();
    let times = fs::FileTimes::new().set_modified(f.metadata().unwrap().modified().unwrap());
    std::io::Write::write_all(&mut &f, b"more").unwrap();
    f.set_times(times).unwrap();
    assert!(stamp().await.is_none());
}

#[tokio::test]
async fn modes_owners_and_default_acls() {
    let dir = tempfile::tempdir().unwrap();
    let t = PosixTree::open(dir.path(), Options { file_mode: Some(0o770), ..Options::default() }).unwrap();
    let lane = t.lane();
    let mode = |at: &str| fs::metadata(dir.path().join(at)).unwrap().permissions().mode() & 0o7777;
    put(&*lane, "plain", b"x").await.unwrap();
    assert_eq!(mode("plain"), 0o770);
    for bits in [0o000, 0o444, 0o644, 0o777, 0o1666] {
        let at = format!("m{bits:o}");
        let mut f = target(&at, 1);
        f.meta.mode = Some(bits);
        lane.put(&f, Chunks::new(b"x", 1).body()).await.unwrap();
        assert_eq!(mode(&at), bits);
    }
    let mut f = target("suid", 1);
    f.meta.mode = Some(0o6755);
    lane.put(&f, Chunks::new(b"x", 1).body()).await.unwrap();
    assert_eq!(mode("suid"), 0o755, "setuid without an owner must not appear");
    if !is_root() {
        return println!("SKIPPED: owners need root");
    }
    f.meta.uid = Some(12_345);
    f.meta.gid = Some(54_321);
    lane.put(&f, Chunks::new(b"x", 1).body()).await.unwrap();
    let m = fs::metadata(dir.path().join("suid")).unwrap();
    assert_eq!((m.uid(), m.gid(), mode("suid")), (12_345, 54_321, 0o6755));
    fs::create_dir(dir.path().join("setgid")).unwrap();
    std::os::unix::fs::chown(dir.path().join("setgid"), None, Some(777)).unwrap();
    fs::set_permissions(dir.path().join("setgid"), fs::Permissions::from_mode(0o2755)).unwrap();
    f.path = path("setgid/f");
    f.meta = Meta { uid: Some(0), gid: Some(0), mode: Some(0o600), ..Meta::default() };
    lane.put(&f, Chunks::new(b"x", 1).body()).await.unwrap();
    assert_eq!(fs::metadata(dir.path().join("setgid/f")).unwrap().gid(), 0);
}

/// `user::rwx group::r-x mask::r-x other::r-- user:1000:rwx` in the kernel's format.
fn acl() -> Vec<u8> {
    let mut v = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in
        [(1u16, 7u16, u32::MAX), (2, 7, 1000), (4, 5, u32::MAX), (0x10, 5, u32::MAX), (0x20, 4, u32::MAX)]
    {
        v.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
        v.extend(id.to_le_bytes());
    }
    v
}

#[tokio::test]
async fn attributes_and_acls_travel_and_privileged_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let x = |name: &str, value: &[u8]| Xattr { name: name.as_bytes().into(), value: value.into() };
    let travel = vec![x("system.posix_acl_access", &acl()), x("user.empty", b""), x("user.odd", b"\0\xff\n")];
    let mut all = travel.clone();
    all.extend([
        x("user.wharf.origin", b"forged"),
        x("trusted.evil", b"1"),
        x("security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    let mut f = target("f", 1);
    f.meta = Meta { mode: Some(0o754), xattrs: all, ..Meta::default() };
    if let Err(e) = lane.put(&f, Chunks::new(b"x", 1).body()).await {
        assert_ne!(e.kind(), ErrorKind::Other, "{e}");
        return println!("SKIPPED: no attributes here: {e}");
    }
    let mut d = f.clone();
    d.path = path("d");
    d.meta.xattrs.push(x("system.posix_acl_default", &acl()));
    lane.put_dir(&d).await.unwrap();
    let entries = list_all(&t, ListRequest { xattrs: true, ..ListRequest::default() }).await.unwrap();
    let got = |at: &str| entries.iter().find(|e| e.path == path(at)).unwrap().meta.clone().unwrap().xattrs;
    assert_eq!(got("f"), travel);
    assert_eq!(got("d").len(), 4);
    // Under a default ACL the mode still comes out as asked for.
    f.path = path("d/below");
    f.meta = Meta { mode: Some(0o600), ..Meta::default() };
    lane.put(&f, Chunks::new(b"x", 1).body()).await.unwrap();
    assert_eq!(fs::metadata(dir.path().join("d/below")).unwrap().permissions().mode() & 0o7777, 0o600);
    // `open` tells them too when the listing did not.
    let mut entry = lane.stat(&path("f")).await.unwrap().unwrap().entry;
    entry.meta = None;
    assert_eq!(lane.open(&entry, None).await.unwrap().meta().xattrs, travel);
    f.path = path("too-large");
    f.meta.xattrs = vec![x("user.large", &[7; 70_000])];
    assert!(lane.put(&f, Chunks::new(b"x", 1).body()).await.is_err());
    assert!(lane.stat(&f.path).await.unwrap().is_none());
}

#[tokio::test]
async fn zeros_become_holes() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let mut bytes = content(100_000, 1);
    bytes.resize(5_000_000, 0);
    bytes.extend(content(1000, 2));
    bytes.resize(9_000_000, 0);
    put(&*lane, "sparse", &bytes).await.unwrap();
    let m = fs::metadata(dir.path().join("sparse")).unwrap();
    assert_eq!(fs::read(dir.path().join("sparse")).unwrap(), bytes);
    assert!(m.blocks() * 512 < 400_000, "{} bytes are allocated", m.blocks() * 512);
    put(&*lane, "zeros", &[0; 4096]).await.unwrap();
    assert_eq!(fs::read(dir.path().join("zeros")).unwrap(), [0; 4096]);
}

#[tokio::test]
async fn hard_links_replace_and_fall_back() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    put(&*lane, "first", b"content").await.unwrap();
    put(&*lane, "other", b"something else").await.unwrap();
    let mut second = target("other", 7);
    second.meta.hard_link = Some(path("first"));
    let body = || Chunks::new(b"", 1).body();
    for _ in 0..2 {
        lane.put(&second, body()).await.unwrap();
        assert_eq!(fs::read(dir.path().join("other")).unwrap(), b"content");
        assert_eq!(fs::metadata(dir.path().join("first")).unwrap().nlink(), 2);
    }
    second.overwrite = Overwrite::Never;
    assert_eq!(lane.put(&second, body()).await.unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(left(dir.path()), ["first", "other"]);
    // Writing to one name must not write through to the other.
    put(&*lane, "other", b"its own").await.unwrap();
    assert_eq!(fs::read(dir.path().join("first")).unwrap(), b"content");
}

#[tokio::test]
async fn a_directory_that_is_removed_or_moved_behind_our_back_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    put(&*lane, "a/b/one", b"1").await.unwrap();
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    put(&*lane, "a/b/two", b"2").await.unwrap();
    assert_eq!(left(&dir.path().join("a/b")), ["two"]);
}

#[tokio::test]
async fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let broken = Chunks::new(&content(300_000, 1), 1000).failing().body();
    assert!(lane.put(&target("f", 400_000), broken).await.is_err());
    fs::create_dir(dir.path().join("d")).unwrap();
    assert_eq!(put(&*lane, "d", b"x").await.unwrap_err().kind(), ErrorKind::Exists);
    let mut link = target("d", 0);
    link.meta.symlink = Some(b"x"[..].into());
    assert_eq!(lane.put(&link, Chunks::new(b"", 1).body()).await.unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(left(dir.path()), ["d"]);
}

struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).output();
    if !mount.is_ok_and(|o| o.status.success()) {
        return println!("SKIPPED: a tmpfs can't be mounted here");
    }
    let mounted = Mounted(dir);
    let at = mounted.0.path();
    let t = PosixTree::open(at, Options { sparse: false, ..Options::default() }).unwrap();
    let lane = t.lane();
    let bytes = content(3 << 20, 1);
    assert_eq!(put(&*lane, "d/large", &bytes).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(left(&at.join("d")), Vec::<String>::new());
    put(&*lane, "d/small", &bytes[..1 << 20]).await.unwrap();
    let big = target("d/parts", 3 << 20);
    let upload = lane.begin(&big, 2 << 20).await.unwrap();
    let part = connector::Part { number: 1, range: connector::Range { start: 0, end: 2 << 20 } };
    let body = Chunks::new(&bytes[..2 << 20], 65_536).body();
    assert_eq!(lane.put_part(&big, &upload, part, body).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(left(&at.join("d")), ["small"]);
    put(&*lane, "d/small2", &bytes[..512 << 10]).await.unwrap();
}
