//! Finds and removes what interrupted writes of ours have left.
//!
//! Ours is told by its name ([`crate::names`]). The two files of a write in parts go together or stay
//! together. Age is counted from the last change of any kind (ctime), since a modification time is set to the
//! source's before a file appears under its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::dirs::{Root, open_child};
use crate::names::{PREFIX, is_of_run, is_ours};
use crate::parts::is_log_of;
use crate::sys::{self, Kind};
use crate::walk::for_each_name;

/// Directories deeper than this can't hold a path of 1024 bytes.
const MAX_DEPTH: usize = 512;
/// Leftovers of one directory that one sweep looks at.
const AT_ONCE: usize = 10_000;

/// What may go.
pub(crate) struct Rule<'a> {
    /// Last changed before this time, ns since the epoch.
    pub before_ns: i64,
    /// Of this run only.
    pub run: Option<&'a str>,
}

/// Removes temporary files by this rule; returns how many. What can't be read or removed is left.
pub(crate) fn sweep(root: &Root, rule: &Rule<'_>) -> io::Result<u64> {
    let mut removed = 0;
    let mut buf = vec![0; 32 * 1024];
    let mut levels: Vec<(OwnedFd, Vec<Vec<u8>>)> = Vec::new();
    let top = root.open_dir(b"")?;
    let below = sweep_dir(&top, rule, &mut buf, &mut removed)?;
    levels.push((top, below));
    while let Some((dir, below)) = levels.last_mut() {
        let Some(name) = below.pop() else {
            levels.pop();
            continue;
        };
        let Ok(fd) = open_child(dir.as_fd(), &name) else { continue };
        if levels.len() < MAX_DEPTH
            && let Ok(below) = sweep_dir(&fd, rule, &mut buf, &mut removed)
        {
            levels.push((fd, below));
        }
    }
    Ok(removed)
}

/// Cleans one directory and returns the names of the directories in it.
fn sweep_dir(dir: &OwnedFd, rule: &Rule<'_>, buf: &mut [u8], removed: &mut u64) -> io::Result<Vec<Vec<u8>>> {
    let mut below = Vec::new();
    // By their stems: what belongs together has the same.
    let mut ours: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    loop {
        let n = sys::getdents(dir.as_fd(), buf)?;
        if n == 0 {
            break;
        }
        for_each_name(&buf[..n], |name, kind| {
            let maybe_dir = matches!(kind, libc::DT_DIR | libc::DT_UNKNOWN);
            if maybe_dir && name != b"." && name != b".." {
                below.push(name.to_vec());
            }
            if kind != libc::DT_DIR && is_ours(name) && ours.len() < AT_ONCE {
                let stem = name.iter().take(PREFIX.len() + 16).copied().collect();
                ours.entry(stem).or_default().push(name.to_vec());
            }
            Ok(())
        })?;
    }
    for names in ours.values() {
        if may_go(dir, names, rule) {
            *removed += names.iter().filter(|n| sys::unlinkat(dir.as_fd(), n, 0).is_ok()).count() as u64;
        }
    }
    Ok(below)
}

fn may_go(dir: &OwnedFd, names: &[Vec<u8>], rule: &Rule<'_>) -> bool {
    let old = names.iter().all(|name| {
        sys::stat(dir.as_fd(), name).is_ok_and(|s| s.kind != Kind::Dir && s.ctime_ns < rule.before_ns)
    });
    let Some(run) = rule.run else { return old };
    let of_run = |name: &Vec<u8>| match name.strip_suffix(b".data") {
        Some(_) => true,
        None if name.ends_with(b".parts") => {
            let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let log = sys::openat(dir.as_fd(), name, flags, 0).map(File::from);
            log.is_ok_and(|log| is_log_of(&log, run))
        }
        None => is_of_run(name, run),
    };
    // Data without a log says nothing of whose it is.
    let told = names.iter().any(|name| !name.ends_with(b".data"));
    old && told && names.iter().all(of_run)
}

/// Can something be created in the root? Creates a hidden file and removes it.
pub(crate) fn try_to_write(root: &Root, name: &str) -> io::Result<()> {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    drop(File::from(sys::openat(root.fd.as_fd(), name.as_bytes(), flags, 0o600)?));
    sys::unlinkat(root.fd.as_fd(), name.as_bytes(), 0)
}
