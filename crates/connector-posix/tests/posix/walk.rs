//! Listings: order, continuation, odd names, very many names, special files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use connector::conformance::{key, list_all};
use connector::{Entry, EntryKind, ErrorKind, ListRequest, Tree};
use connector_posix::{Options, PosixTree, ReadAhead};
use proptest::prelude::*;

use crate::tree;

fn on_disk(root: &Path, at: &[u8]) -> std::path::PathBuf {
    root.join(OsStr::from_bytes(at))
}

fn reading(root: &Path, read_ahead: ReadAhead) -> PosixTree {
    PosixTree::open(root, Options { read_ahead, ..Options::default() }).unwrap()
}

/// The listing, one after the other and with helpers: the same.
async fn list(root: &Path, prefix: &[u8], after: Option<&[u8]>) -> Vec<Entry> {
    let request = ListRequest { prefix: prefix.to_vec(), after: after.map(<[u8]>::to_vec), xattrs: false };
    let mut plain = list_all(&reading(root, ReadAhead::Never), request.clone()).await.unwrap();
    let mut ahead = list_all(&reading(root, ReadAhead::Always), request).await.unwrap();
    for meta in plain.iter_mut().chain(&mut ahead).filter_map(|e| e.meta.as_mut()) {
        meta.atime_ns = None; // Reading a link changes it.
    }
    assert_eq!(ahead, plain);
    plain
}

fn block_on<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        b"a".to_vec(),
        b"a-".to_vec(),
        b"a.b".to_vec(),
        b"a0".to_vec(),
        b"b".to_vec(),
        b"\n".to_vec(),
        b"\xff\xfe".to_vec(),
        b"-rf".to_vec(),
        b"...".to_vec(),
        b" ".to_vec(),
        b".wharf-tmp-x".to_vec(),
        vec![b'z'; 255],
    ]);
    prop_oneof![4 => odd, 1 => prop::collection::vec(1u8..=255, 1..6).prop_filter("a name", |n| {
        !n.contains(&b'/') && n != b"." && n != b".."
    })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_is_that_of_a_set_of_keys(paths in prop::collection::vec((prop::collection::vec(name(), 1..4), any::<bool>()), 0..25)) {
        let dir = tempfile::tempdir().unwrap();
        let mut want = BTreeSet::new();
        for (names, is_dir) in paths {
            let at = names.join(&b'/');
            let made = if is_dir {
                fs::create_dir_all(on_disk(dir.path(), &at)).is_ok()
            } else {
                let full = on_disk(dir.path(), &at);
                fs::create_dir_all(full.parent().unwrap()).is_ok() && !full.exists() && fs::write(full, b"x").is_ok()
            };
            // What was made in part still counts: look it up on the disk.
            let _ = made;
            for end in (1..=at.len()).filter(|i| *i == at.len() || at[*i] == b'/') {
                let part = &at[..end];
                match fs::symlink_metadata(on_disk(dir.path(), part)) {
                    Ok(m) if m.is_dir() => { want.insert([part, b"/"].concat()); }
                    Ok(_) => { want.insert(part.to_vec()); }
                    Err(_) => {}
                }
            }
        }
        let want: Vec<Vec<u8>> = want.into_iter().collect();
        block_on(async {
            let got: Vec<_> = list(dir.path(), b"", None).await.iter().map(key).collect();
            assert_eq!(got, want);
            for (i, after) in want.iter().enumerate() {
                let rest: Vec<_> = list(dir.path(), b"", Some(after)).await.iter().map(key).collect();
                assert_eq!(rest, want[i + 1..], "after {:?}", after);
                let before = &after[..after.len() - 1];
                let rest: Vec<_> = list(dir.path(), b"", Some(before)).await.iter().map(key).collect();
                let from = want.partition_point(|k| k.as_slice() <= before);
                assert_eq!(rest, want[from..], "after {:?}", before);
                let some: Vec<_> = list(dir.path(), before, None).await.iter().map(key).collect();
                let under: Vec<_> = want
                    .iter()
                    .filter(|k| k.strip_suffix(b"/").unwrap_or(k).starts_with(before))
                    .cloned()
                    .collect();
                assert_eq!(some, under, "prefix {:?}", before);
            }
        });
    }
}

#[tokio::test]
async fn links_sockets_and_our_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::create_dir(at.join("d")).unwrap();
    fs::write(at.join("d/one"), b"content").unwrap();
    fs::hard_link(at.join("d/one"), at.join("a-two")).unwrap();
    fs::hard_link(at.join("d/one"), at.join("z-three")).unwrap();
    symlink("/etc", at.join("link")).unwrap();
    fs::write(at.join(".wharf-tmp-0123456789abcdef"), b"hidden").unwrap();
    fs::write(at.join(".wharf-tmp-0123456789abcdef.parts"), b"hidden").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap();
    let all = list(at, b"", None).await;
    let kinds: Vec<_> = all.iter().map(|e| (e.path.display(), e.kind.clone(), e.size)).collect();
    let first = crate::path("a-two");
    let hard = || EntryKind::HardLink { first: first.clone() };
    assert_eq!(
        kinds,
        [
            ("a-two".to_owned(), EntryKind::File, 7),
            ("d".to_owned(), EntryKind::Dir, 0),
            ("d/one".to_owned(), hard(), 7),
            ("link".to_owned(), EntryKind::Symlink { target: b"/etc"[..].into() }, 4),
            ("socket".to_owned(), EntryKind::Special, 0),
            ("z-three".to_owned(), hard(), 7),
        ]
    );
}

#[tokio::test]
async fn paths_that_are_too_long_are_reported_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut at = dir.path().to_owned();
    for _ in 0..5 {
        at.push("d".repeat(204));
        fs::create_dir(&at).unwrap();
    }
    fs::write(at.join("x"), b"").unwrap();
    fs::write(dir.path().join("z"), b"").unwrap();
    let mut stream = tree(dir.path()).list(ListRequest::default());
    let page = stream.next().await.unwrap().unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = page.into_iter().partition(Result::is_ok);
    assert_eq!(good.len(), 6);
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].as_ref().unwrap_err().kind(), ErrorKind::Unacceptable);
    assert!(stream.next().await.unwrap().is_none());
}

#[tokio::test]
async fn what_vanishes_or_is_swapped_meanwhile_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for i in 0..3000 {
        fs::create_dir(at.join(format!("d{i:04}"))).unwrap();
        fs::write(at.join(format!("d{i:04}/f")), b"x").unwrap();
    }
    let mut stream = reading(at, ReadAhead::Always).list(ListRequest::default());
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.len(), 1000);
    fs::remove_dir_all(at.join("d2500")).unwrap();
    fs::rename(at.join("d2600"), at.join("moved")).unwrap();
    symlink("/etc", at.join("d2600")).unwrap();
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    while let Some(page) = stream.next().await.unwrap() {
        for e in page {
            match e {
                Ok(e) => entries.push(e.path.display()),
                Err(e) => errors.push(e),
            }
        }
    }
    assert_eq!(entries.len(), 5000 - 4);
    assert!(entries.iter().all(|p| !p.starts_with("d2500") && !p.starts_with("d2600")));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].message().contains("d2600"));
}

/// A tree of many small and some larger directories: `d3/e2/f07`.
fn plant(at: &Path, wide: usize) -> BTreeSet<Vec<u8>> {
    let mut keys = BTreeSet::new();
    for d in 0..wide {
        for e in 0..6 {
            let dir = format!("d{d}/e{e}");
            fs::create_dir_all(at.join(&dir)).unwrap();
            keys.extend([format!("d{d}/").into_bytes(), format!("{dir}/").into_bytes()]);
            for f in 0..(if e == 3 { 150 } else { e * 2 }) {
                fs::write(at.join(&dir).join(format!("f{f:03}")), vec![b'x'; f]).unwrap();
                keys.insert(format!("{dir}/f{f:03}").into_bytes());
            }
        }
    }
    keys
}

/// What comes and goes beside, and in the middle of, what stays. Each thing has one name, is of one kind, and may be there or not.
fn disturb(at: &Path, wide: usize, stop: &AtomicBool) {
    let mut n = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let d = at.join(format!("d{}", n * 7 % wide));
        let deep = d.join("e2-comes/deeper");
        let _ = fs::create_dir_all(&deep).and_then(|()| fs::write(deep.join("below"), b"x"));
        let _ = fs::write(d.join("e3/f077-comes"), b"x");
        let _ = symlink("/etc", d.join("link-comes"));
        if n.is_multiple_of(3) {
            // A directory with all that is in it is elsewhere from one moment to the next, and a link is in its place.
            let _ = fs::rename(d.join("e2-comes"), at.join("d-moved-comes"));
            let _ = symlink("/etc", d.join("e2-comes"));
            let _ = fs::remove_file(d.join("e2-comes"));
            let _ = fs::remove_dir_all(at.join("d-moved-comes"));
        }
        let _ = fs::remove_dir_all(d.join("e2-comes"));
        let _ = fs::remove_file(d.join("e3/f077-comes"));
        let _ = fs::remove_file(d.join("link-comes"));
    }
}

/// One listing during which things change; what stays must be in it.
async fn list_disturbed(tree: &PosixTree, xattrs: bool, stays: &BTreeSet<Vec<u8>>) {
    let mut stream = tree.list(ListRequest { xattrs, ..ListRequest::default() });
    let (mut found, mut last) = (BTreeSet::new(), Vec::new());
    while let Some(page) = stream.next().await.unwrap() {
        for line in page {
            let entry = match line {
                Ok(entry) => entry,
                Err(e) => {
                    assert!(e.to_string().contains("-comes"), "{e}");
                    continue;
                }
            };
            let k = key(&entry);
            assert!(k > last, "{last:?} before {k:?}");
            let path = k.strip_suffix(b"/").unwrap_or(&k);
            let parent = path.iter().rposition(|b| *b == b'/').map(|i| k[..=i].to_vec());
            assert!(parent.is_none_or(|p| found.contains(&p)), "{k:?} without its directory");
            assert!(!k.ends_with(b"/hostname"), "outside: {k:?}");
            if let Some(number) = entry.path.name().strip_prefix(b"f").filter(|n| n.len() == 3) {
                let size: u64 = std::str::from_utf8(number).unwrap().parse().unwrap();
                assert_eq!((&entry.kind, entry.size), (&EntryKind::File, size), "{k:?}");
            }
            last.clone_from(&k);
            found.insert(k);
        }
    }
    let come: Vec<_> = found.difference(stays).collect();
    assert!(come.iter().all(|k| k.windows(6).any(|w| w == b"-comes")), "{come:?}");
    assert!(stays.is_subset(&found), "missing: {:?}", stays.difference(&found).collect::<Vec<_>>());
}

#[test]
fn changed_behind_its_back_the_order_holds_and_what_stays_is_there_once() {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    const WIDE: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let stays = plant(dir.path(), WIDE);
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let _stop = Stop(&stop);
        s.spawn(|| disturb(dir.path(), WIDE, &stop));
        for round in 0..8 {
            let how = if round % 4 == 0 { ReadAhead::Never } else { ReadAhead::Always };
            block_on(list_disturbed(&reading(dir.path(), how), round % 2 == 0, &stays));
        }
    });
}

#[tokio::test]
async fn a_root_that_is_missing_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let open = |p: &Path| connector_posix::PosixTree::open(p, connector_posix::Options::default());
    assert_eq!(open(&dir.path().join("no")).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(dir.path().join("f"), b"").unwrap();
    assert_eq!(open(&dir.path().join("f")).unwrap_err().kind(), ErrorKind::Unacceptable);
    fs::create_dir(dir.path().join("d")).unwrap();
    let gone = tree(&dir.path().join("d"));
    fs::remove_dir(dir.path().join("d")).unwrap();
    assert_eq!(gone.probe(false).await.unwrap_err().kind(), ErrorKind::NotFound);
}

fn rss_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_directory_of_300_000_names_is_never_held_whole() {
    const N: usize = 300_000;
    let base = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm") } else { Path::new("/tmp") };
    let Ok(dir) = tempfile::tempdir_in(base) else {
        return println!("SKIPPED: {} is not writable", base.display());
    };
    for i in 0..N {
        // Spread, so that the kernel's order is not the keys' order.
        let at = dir
            .path()
            .join(format!("a-rather-long-file-name-{:08x}", i.wrapping_mul(2_654_435_761) & 0xffff_ffff));
        if fs::File::create(at).is_err() {
            return println!("SKIPPED: {} has no room for {N} files", base.display());
        }
    }
    let before = rss_kib();
    let (mut count, mut most, mut last) = (0, 0, Vec::new());
    let mut stream = reading(dir.path(), ReadAhead::Always).list(ListRequest::default());
    while let Some(page) = stream.next().await.unwrap() {
        for e in page {
            let k = key(&e.unwrap());
            assert!(k > last);
            last = k;
            count += 1;
        }
        most = most.max(rss_kib());
    }
    assert_eq!(count, N);
    let grown = most.saturating_sub(before);
    println!("the walk of {N} names took {grown} KiB more");
    // All names would be more than 12 MiB in the most compact form and 30 MiB as strings.
    assert!(grown < 24 * 1024, "{grown} KiB");
}
