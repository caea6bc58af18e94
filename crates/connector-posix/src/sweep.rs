//! Finds and removes what interrupted writes of ours have left.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::dirs::{Root, open_child};
use crate::names::is_ours;
use crate::sys;
use crate::walk::for_each_name;

/// Directories deeper than this can't hold a path of 1024 bytes.
const MAX_DEPTH: usize = 512;

/// Removes temporary files whose last change is before `before_ns`; returns how many. What can't be
/// read or removed is left.
pub(crate) fn sweep(root: &Root, before_ns: i64) -> io::Result<u64> {
    let mut removed = 0;
    let mut buf = vec![0; 32 * 1024];
    let mut levels: Vec<(OwnedFd, Vec<Vec<u8>>)> = Vec::new();
    let top = root.open_dir(b"")?;
    let below = sweep_dir(&top, before_ns, &mut buf, &mut removed)?;
    levels.push((top, below));
    while let Some((dir, below)) = levels.last_mut() {
        let Some(name) = below.pop() else {
            levels.pop();
            continue;
        };
        let Ok(fd) = open_child(dir.as_fd(), &name) else { continue };
        if levels.len() < MAX_DEPTH
            && let Ok(below) = sweep_dir(&fd, before_ns, &mut buf, &mut removed)
        {
            levels.push((fd, below));
        }
    }
    Ok(removed)
}

/// Cleans one directory and returns the names of the directories in it.
fn sweep_dir(dir: &OwnedFd, before_ns: i64, buf: &mut [u8], removed: &mut u64) -> io::Result<Vec<Vec<u8>>> {
    let mut below = Vec::new();
    loop {
        let n = sys::getdents(dir.as_fd(), buf)?;
        if n == 0 {
            return Ok(below);
        }
        for_each_name(&buf[..n], |name, kind| {
            let maybe_dir = matches!(kind, libc::DT_DIR | libc::DT_UNKNOWN);
            if maybe_dir && name != b"." && name != b".." {
                below.push(name.to_vec());
            } else if is_ours(name)
                && let Ok(stat) = sys::stat(dir.as_fd(), name)
                && stat.mtime_ns < before_ns
                && sys::unlinkat(dir.as_fd(), name, 0).is_ok()
            {
                *removed += 1;
            }
            Ok(())
        })?;
    }
}

/// Can something be created in the root? Creates a hidden file and removes it.
pub(crate) fn try_to_write(root: &Root, name: &str) -> io::Result<()> {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
    drop(File::from(sys::openat(root.fd.as_fd(), name.as_bytes(), flags, 0o600)?));
    sys::unlinkat(root.fd.as_fd(), name.as_bytes(), 0)
}
