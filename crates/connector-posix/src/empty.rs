//! Emptying a directory without being led out of it.
//!
//! Everything is removed as a single name in a directory that was opened beneath the one above it through
//! no symbolic link and onto no other mount (`openat2`), and `unlinkat` follows nothing. So whatever
//! somebody swaps meanwhile, only names beneath the root go. Mount points are looked for before the first
//! name goes; one that appears later stops the work where it stands.
//!
//! What is open can be moved elsewhere, and is then no longer beneath the root. So before every reading of a
//! directory, and every few hundred names in it, each directory on the way is asked whether the one above it
//! is still the one that it was opened in. What remains: names that are removed between such a look and the
//! move, a few hundred at most; of a very deep path only the last directories are looked at until the way
//! back leads by the others; and the emptied directory itself is only seen to move into another one, not to
//! get another name in the same one.
//!
//! Bounded, however deep and wide the tree is: directories that are not empty yet are noted a few at a time
//! and read again, and of a deep path only the last descriptors are kept. An older one is opened again as
//! `..`, and has to be the very directory that it was.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use connector::{Error, ErrorKind, Result};

use crate::dirs::Root;
use crate::fault::{fault, is_blocked, is_gone};
use crate::sys;
use crate::walk::for_each_name;

const DIR: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
/// Descriptors that are kept of a path.
const OPEN: usize = 32;
/// Directories that are noted at once, up to that depth; deeper one by one.
const NOTED: usize = 64;
/// Deepest path. Only its names are in memory, but a tree this deep is no accident.
const MAX_DEPTH: usize = 100_000;
/// Times that a directory is read again because there was still something in it.
const PASSES: u32 = 100;
/// Names that are removed from a directory before it is looked at again where it is.
const LOOK: u32 = 256;
/// Bytes of a path that an error shows.
const SHOWN: usize = 512;

/// Removes everything below `root`; returns how many items.
pub(crate) fn empty(root: &Root) -> Result<u64> {
    let top = sys::open_on_mount(root.fd.as_fd(), b".", DIR).map_err(|e| no_way_in(e, "."))?;
    refuse_mounts(&top)?;
    empty_now(top)
}

fn empty_now(top: OwnedFd) -> Result<u64> {
    let mut work = Work::new(top)?;
    while !work.levels.is_empty() {
        work.step()?;
    }
    Ok(work.removed)
}

/// One directory on the way down.
struct Level {
    /// `None`: given up for the sake of deeper ones.
    fd: Option<OwnedFd>,
    /// Device and inode.
    id: (u64, u64),
    /// Its name in the level above.
    name: Box<[u8]>,
    /// Directories in it that were not empty.
    noted: Vec<Box<[u8]>>,
    passes: u32,
}

struct Work {
    buf: Vec<u8>,
    removed: u64,
    levels: Vec<Level>,
    /// Device and inode of the directory that holds the first level.
    above: (u64, u64),
}

impl Work {
    fn new(top: OwnedFd) -> Result<Self> {
        let above = sys::stat(top.as_fd(), b"..").map_err(|e| fault(e, "stat the directory above"))?;
        let above = (above.dev, above.ino);
        let mut work = Self { buf: vec![0; 32 * 1024], removed: 0, levels: Vec::new(), above };
        work.enter(top, Box::default())?;
        Ok(work)
    }

    /// Descends into what the deepest level has noted, reads it again, or leaves it.
    fn step(&mut self) -> Result<()> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let Some(name) = level.noted.pop() else { return self.read_or_leave() };
        let Some(dir) = &level.fd else { return Ok(()) };
        match sys::open_on_mount(dir.as_fd(), &name, DIR) {
            Ok(fd) => self.enter(fd, name),
            // Gone, or no directory any more: the next reading tells.
            Err(e) if is_gone(&e) || is_blocked(&e) => Ok(()),
            Err(e) => Err(no_way_in(e, self.path(&name))),
        }
    }

    fn enter(&mut self, fd: OwnedFd, name: Box<[u8]>) -> Result<()> {
        if self.levels.len() >= MAX_DEPTH {
            let what = format!("{} is deeper than {MAX_DEPTH} directories", self.path(&name));
            return Err(Error::new(ErrorKind::Unacceptable, what));
        }
        let stat = sys::fstat(&fd).map_err(|e| fault(e, format_args!("stat {}", self.path(&name))))?;
        self.levels.push(Level {
            fd: Some(fd),
            id: (stat.dev, stat.ino),
            name,
            noted: Vec::new(),
            passes: 0,
        });
        if let Some(far) = self.levels.len().checked_sub(OPEN + 1) {
            self.levels[far].fd = None;
        }
        Ok(())
    }

    fn read_or_leave(&mut self) -> Result<()> {
        if self.read()? { Ok(()) } else { self.leave() }
    }

    /// Removes what the deepest level holds but for directories that are not empty, and notes some of these.
    /// `false` when nothing was left in it.
    fn read(&mut self) -> Result<bool> {
        let depth = self.levels.len();
        let Some((level, above)) = self.levels.split_last_mut() else { return Ok(false) };
        let Some(fd) = &level.fd else { return Ok(false) };
        let most = if depth <= NOTED { NOTED } else { 1 };
        let (mut seen, mut failed) = (0, None);
        let (mut since_look, mut moved) = (LOOK, false);
        sys::rewind(fd.as_fd()).map_err(|e| fault(e, "read a directory again"))?;
        'reading: loop {
            let n = match sys::getdents(fd.as_fd(), &mut self.buf) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) => {
                    failed = Some((e, Box::default()));
                    break;
                }
            };
            let done = for_each_name(&self.buf[..n], |name, kind| {
                if name == b"." || name == b".." {
                    return Ok(());
                }
                seen += 1;
                if since_look == LOOK {
                    since_look = 0;
                    match in_place(fd.as_fd(), above, self.above) {
                        Ok(true) => {}
                        Ok(false) => moved = true,
                        Err(e) => failed = Some((e, name.into())),
                    }
                    if moved || failed.is_some() {
                        return Err(io::ErrorKind::Other.into());
                    }
                }
                since_look += 1;
                match remove(fd.as_fd(), name, kind) {
                    Ok(true) => self.removed += 1,
                    Ok(false) if level.noted.len() < most => level.noted.push(name.into()),
                    Ok(false) => {}
                    Err(e) => {
                        failed = Some((e, name.into()));
                        return Err(io::ErrorKind::Other.into());
                    }
                }
                Ok(())
            });
            if done.is_err() || level.noted.len() >= most {
                break 'reading;
            }
        }
        level.passes += u32::from(level.noted.is_empty());
        let passes = level.passes;
        match failed {
            _ if moved => Err(moved_away(&self.path(b""))),
            Some((e, name)) => Err(not_removed(e, &self.path(&name))),
            None if passes > PASSES => Err(busy(&self.path(b""))),
            None => Ok(seen > 0),
        }
    }

    /// Removes the deepest level, which is empty, from the one above.
    fn leave(&mut self) -> Result<()> {
        let Some(left) = self.levels.pop() else { return Ok(()) };
        let path = self.path(&left.name);
        let Some(above) = self.levels.last_mut() else { return Ok(()) };
        if above.fd.is_none() {
            let Some(fd) = &left.fd else { return Ok(()) };
            let up = sys::openat(fd.as_fd(), b"..", DIR, 0).and_then(|up| Ok((sys::fstat(&up)?, up)));
            let (stat, up) = up.map_err(|e| fault(e, format_args!("open the directory of {path}")))?;
            if (stat.dev, stat.ino) != above.id {
                return Err(moved_away(&path));
            }
            above.fd = Some(up);
        }
        let Some(fd) = &above.fd else { return Ok(()) };
        match sys::unlinkat(fd.as_fd(), &left.name, libc::AT_REMOVEDIR) {
            Ok(()) => self.removed += 1,
            Err(e) if is_gone(&e) => {}
            // Somebody put something into it: it is read again, a limited number of times.
            Err(e) if is_full_directory(&e) || e.raw_os_error() == Some(libc::ENOTDIR) => {
                above.passes += 1;
                if above.passes > PASSES {
                    return Err(busy(&path));
                }
            }
            Err(e) => return Err(not_removed(e, &path)),
        }
        Ok(())
    }

    /// The way to `name` in the deepest level, for people.
    fn path(&self, name: &[u8]) -> String {
        let mut path = Vec::new();
        for part in self.levels.iter().skip(1).map(|l| &*l.name).chain([name]).filter(|n| !n.is_empty()) {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            if path.len() > SHOWN {
                path.truncate(SHOWN);
                return connector::display_bytes(&path) + "…";
            }
        }
        if path.is_empty() { ".".to_owned() } else { connector::display_bytes(&path) }
    }
}

/// Removes a file, a link or an empty directory. `false`: a directory that is not empty.
fn remove(dir: BorrowedFd<'_>, name: &[u8], kind: u8) -> io::Result<bool> {
    let as_file = || sys::unlinkat(dir, name, 0);
    let is_dir = kind == libc::DT_DIR
        || match as_file() {
            Ok(()) => return Ok(true),
            Err(e) if is_gone(&e) => return Ok(true),
            // POSIX lets a file system say EPERM for a directory.
            Err(e) => match (e.raw_os_error(), sys::stat(dir, name)) {
                (Some(libc::EISDIR | libc::EPERM), Ok(stat)) if stat.kind == sys::Kind::Dir => true,
                _ => return Err(e),
            },
        };
    if !is_dir {
        return Ok(false);
    }
    match sys::unlinkat(dir, name, libc::AT_REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(e) if is_gone(&e) => Ok(true),
        Err(e) if is_full_directory(&e) => Ok(false),
        // It was replaced by a file meanwhile.
        Err(e) if e.raw_os_error() == Some(libc::ENOTDIR) => as_file().map(|()| true),
        Err(e) => Err(e),
    }
}

fn is_full_directory(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST))
}

fn no_way_in(e: io::Error, path: impl std::fmt::Display) -> Error {
    match e.raw_os_error() {
        Some(libc::EXDEV) => mounted(&path.to_string()),
        Some(libc::ENOSYS) => Error::new(
            ErrorKind::Unsupported,
            "directories are emptied with openat2, which this kernel lacks",
        ),
        _ => fault(e, format_args!("open {path}")),
    }
}

fn not_removed(e: io::Error, path: &str) -> Error {
    match e.raw_os_error() {
        Some(libc::EBUSY) => mounted(path),
        _ => fault(e, format_args!("remove {path}")),
    }
}

fn mounted(path: &str) -> Error {
    let what = format!("{path} is a mount point or in use by the system, and is not removed");
    Error::new(ErrorKind::Unacceptable, what)
}

fn moved_away(path: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("{path} was moved away while it was emptied"))
}

/// Is every directory from `deepest` up still in the one that it was opened in, as far as they are open?
/// `outside` holds the first one.
fn in_place(deepest: BorrowedFd<'_>, above: &[Level], outside: (u64, u64)) -> io::Result<bool> {
    let mut at = deepest;
    for level in above.iter().rev() {
        let up = sys::stat(at, b"..")?;
        if (up.dev, up.ino) != level.id {
            return Ok(false);
        }
        match &level.fd {
            Some(fd) => at = fd.as_fd(),
            None => return Ok(true),
        }
    }
    let up = sys::stat(at, b"..")?;
    Ok((up.dev, up.ino) == outside)
}

fn busy(path: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("somebody writes into {path} while it is emptied"))
}

/// Refuses a directory with a mount point anywhere below it, before anything is removed.
fn refuse_mounts(top: &OwnedFd) -> Result<()> {
    let cant_tell = |e: io::Error| fault(e, "look for mount points");
    let here = std::fs::read_link(format!("/proc/self/fd/{}", top.as_raw_fd())).map_err(cant_tell)?;
    let here = here.as_os_str().as_bytes();
    let here = here.strip_suffix(b"/").unwrap_or(here);
    let table = BufReader::new(File::open("/proc/self/mountinfo").map_err(cant_tell)?);
    for line in table.split(b'\n') {
        let line = line.map_err(cant_tell)?;
        let Some(at) = line.split(|b| *b == b' ').nth(4).map(unescape) else { continue };
        if let Some(below) = at.strip_prefix(here).and_then(|rest| rest.strip_prefix(b"/"))
            && !below.is_empty()
        {
            return Err(mounted(&connector::display_bytes(below)));
        }
    }
    Ok(())
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = octal.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        (rest, _) = match byte {
            Some(byte) => (&tail[3..], out.push(byte)),
            None => (tail, out.push(*first)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_appears_after_the_look_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        std::fs::create_dir_all(inside.join("d/mnt")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), b"keep me").unwrap();
        let mount = |program: &str, words: &[&std::path::Path]| {
            std::process::Command::new(program).args(words).output().is_ok_and(|o| o.status.success())
        };
        if !mount("mount", &["--bind".as_ref(), &outside, &inside.join("d/mnt")]) {
            println!("SKIPPED: mounting is not permitted");
            return;
        }
        let root = Root::open(inside.clone(), crate::Options::default()).unwrap();
        let top = sys::open_on_mount(root.fd.as_fd(), b".", DIR).unwrap();
        let refused = empty_now(top);
        // Entering it is refused even by name.
        let d = sys::open_on_mount(root.fd.as_fd(), b"d", DIR).unwrap();
        let entered = sys::open_on_mount(d.as_fd(), b"mnt", DIR);
        assert!(mount("umount", &[&inside.join("d/mnt")]));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unacceptable);
        assert_eq!(entered.unwrap_err().raw_os_error(), Some(libc::EXDEV));
        assert_eq!(std::fs::read(outside.join("precious")).unwrap(), b"keep me");
    }

    #[test]
    fn what_is_moved_out_once_it_is_open_is_left_alone() {
        // The open directory itself, one above it, and the emptied one.
        for (from, to) in [("in/a/b/c", "out/c"), ("in/a/b", "out/b"), ("in/a", "in-2"), ("in", "out/in")] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("in/a/b/c")).unwrap();
            std::fs::create_dir(dir.path().join("out")).unwrap();
            for i in 0..10 {
                std::fs::write(dir.path().join(format!("in/a/b/c/{i}")), b"keep me").unwrap();
            }
            let root = Root::open(dir.path().join("in"), crate::Options::default()).unwrap();
            let top = sys::open_on_mount(root.fd.as_fd(), b".", DIR).unwrap();
            let mut work = Work::new(top).unwrap();
            while work.levels.len() < 4 {
                work.step().unwrap();
            }
            let to = dir.path().join(to);
            std::fs::rename(dir.path().join(from), &to).unwrap();
            let e = (0..100).find_map(|_| work.step().err()).unwrap();
            assert_eq!(e.kind(), ErrorKind::Changed, "{from}: {e}");
            let rest = ["in/a/b/c", "in/a/b", "in/a", "in"].iter().position(|p| *p == from).unwrap();
            let rest = ["", "c", "b/c", "a/b/c"][rest];
            assert_eq!(std::fs::read_dir(to.join(rest)).unwrap().count(), 10, "{from}");
        }
    }

    #[test]
    fn a_large_directory_is_looked_after_while_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, out) = (dir.path().join("in"), dir.path().join("out"));
        // Whoever moves it may come too late, and tries again.
        for _ in 0..50 {
            std::fs::create_dir_all(inside.join("d")).unwrap();
            for i in 0..5000 {
                std::fs::write(inside.join(format!("d/{i}")), b"").unwrap();
            }
            let root = Root::open(inside.clone(), crate::Options::default()).unwrap();
            let full = std::fs::metadata(inside.join("d")).unwrap().modified().unwrap();
            let (done, moved) = std::thread::scope(|s| {
                let work = s.spawn(|| empty(&root));
                while !work.is_finished() {
                    let now = std::fs::metadata(inside.join("d")).and_then(|m| m.modified());
                    if now.is_ok_and(|now| now != full) {
                        break;
                    }
                }
                let moved = std::fs::rename(inside.join("d"), &out).is_ok();
                (work.join().unwrap(), moved)
            });
            let left = if moved { std::fs::read_dir(&out).unwrap().count() } else { 0 };
            if left > 0 {
                assert_eq!(done.unwrap_err().kind(), ErrorKind::Changed);
                return;
            }
            if moved {
                // The last few hundred may go before the next look.
                std::fs::remove_dir(&out).unwrap();
            }
        }
        panic!("it was never moved in time");
    }

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
        for odd in [&b"/a\\04"[..], b"/a\\9xx", b"\\", b""] {
            assert_eq!(unescape(odd), odd);
        }
    }
}
