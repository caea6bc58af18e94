//! How much a directory holds.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::dirs::{Root, open_child};
use crate::names::is_ours;
use crate::sys::{self, Kind};
use crate::walk::for_each_name;

/// Directories deeper than this can't hold a path of 1024 bytes.
const MAX_DEPTH: usize = 512;

/// Bytes and number of everything below `root` that is not a directory. Memory holds the names of the
/// directories beside the path that is being counted.
pub(crate) fn count(root: &Root) -> io::Result<(u64, u64)> {
    let mut total = (0, 0);
    let mut buf = vec![0; 32 * 1024];
    let top = root.open_dir(b"")?;
    let below = add(&top, &mut buf, &mut total)?;
    let mut levels: Vec<(OwnedFd, Vec<Box<[u8]>>)> = vec![(top, below)];
    while let Some((dir, below)) = levels.last_mut() {
        let Some(name) = below.pop() else {
            levels.pop();
            continue;
        };
        let Ok(fd) = open_child(dir.as_fd(), &name) else { continue };
        if levels.len() < MAX_DEPTH
            && let Ok(below) = add(&fd, &mut buf, &mut total)
        {
            levels.push((fd, below));
        }
    }
    Ok(total)
}

/// Adds what one directory holds and returns the names of the directories in it.
fn add(dir: &OwnedFd, buf: &mut [u8], total: &mut (u64, u64)) -> io::Result<Vec<Box<[u8]>>> {
    let mut below = Vec::new();
    loop {
        let n = sys::getdents(dir.as_fd(), buf)?;
        if n == 0 {
            return Ok(below);
        }
        for_each_name(&buf[..n], |name, kind| {
            if name == b"." || name == b".." || (kind != libc::DT_DIR && is_ours(name)) {
                return Ok(());
            }
            if kind == libc::DT_DIR {
                below.push(name.into());
                return Ok(());
            }
            match sys::stat(dir.as_fd(), name) {
                Ok(stat) if stat.kind == Kind::Dir => below.push(name.into()),
                Ok(stat) => *total = (total.0.saturating_add(stat.size), total.1 + 1),
                Err(_) => {}
            }
            Ok(())
        })?;
    }
}
