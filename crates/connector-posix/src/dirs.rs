//! The root, and a lane's open directories beneath it.
//!
//! Nothing in this crate ever hands a path of more than one component to the kernel but through
//! [`Root::open_dir`], which goes beneath the root and through no symbolic link. Everything else is a
//! single name in an open directory.
//!
//! A lane keeps the last few directories open ([`Dirs`]), because keys come sorted and a new file in
//! a known directory then costs no path walk. A kept descriptor follows its directory when somebody
//! renames it, so each is resolved anew after [`FRESH`]; a directory that was removed meanwhile is
//! noticed by `ENOENT` and resolved anew at once.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connector::{Error, ErrorKind, Result, TreePath};

use crate::fault::{fault, is_blocked, is_gone};
use crate::{Durability, Options, sys};

/// Flags of a directory descriptor that can be read and used as a base.
const DIR: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
/// Directories that a lane keeps open.
const KEEP: usize = 16;
/// How long a kept directory is believed to be where it was.
const FRESH: Duration = Duration::from_secs(1);
/// How often a walk that raced with a rename is tried again.
const TRIES: u32 = 64;

/// The root directory and what is known of its file system and of this process.
#[derive(Debug)]
pub(crate) struct Root {
    pub fd: OwnedFd,
    pub path: PathBuf,
    pub options: Options,
    /// Effective user and group.
    pub ids: (u32, u32),
    /// This process's file mode creation mask.
    pub umask: u32,
    /// The file system takes `O_TMPFILE` (until it says no).
    pub unnamed: AtomicBool,
    /// The file system takes user attributes (until it says no).
    pub user_xattrs: AtomicBool,
    has_openat2: AtomicBool,
}

impl Root {
    pub(crate) fn open(path: PathBuf, options: Options) -> io::Result<Self> {
        let file = std::fs::File::open(&path)?;
        if !file.metadata()?.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        Ok(Self {
            fd: file.into(),
            path,
            options,
            ids: sys::effective_ids(),
            umask: umask().unwrap_or(0o777),
            unnamed: AtomicBool::new(true),
            user_xattrs: AtomicBool::new(true),
            has_openat2: AtomicBool::new(true),
        })
    }

    /// A root of its own at a directory beneath this one, through no symbolic link.
    pub(crate) fn below(&self, path: &[u8]) -> io::Result<Self> {
        Ok(Self {
            fd: self.open_dir(path)?,
            path: self.path.join(std::ffi::OsStr::from_bytes(path)),
            options: self.options.clone(),
            ids: self.ids,
            umask: self.umask,
            unnamed: AtomicBool::new(true),
            user_xattrs: AtomicBool::new(true),
            has_openat2: AtomicBool::new(true),
        })
    }

    /// Runs this process as root?
    pub(crate) fn is_superuser(&self) -> bool {
        self.ids.0 == 0
    }

    /// `O_NOATIME` where we may: reading a source shall not change it.
    pub(crate) fn noatime(&self) -> i32 {
        if self.is_superuser() { libc::O_NOATIME } else { 0 }
    }

    /// Opens a directory beneath the root; an empty path is the root itself.
    pub(crate) fn open_dir(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        if self.has_openat2.load(Ordering::Relaxed) {
            for _ in 0..TRIES {
                match sys::open_beneath(self.fd.as_fd(), path, DIR) {
                    Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
                    // A sandbox may know the call only to forbid it.
                    Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                        self.has_openat2.store(false, Ordering::Relaxed);
                        return self.step_down(path);
                    }
                    r => return r,
                }
            }
        }
        self.step_down(path)
    }

    /// The same in single steps, each refusing a link.
    fn step_down(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut at: Option<OwnedFd> = None;
        for name in path.split(|b| *b == b'/') {
            if name == b".." {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let base = at.as_ref().map_or(self.fd.as_fd(), |fd| fd.as_fd());
            at = Some(open_child(base, name)?);
        }
        at.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

/// Opens a directory by its name in another one, following no link.
pub(crate) fn open_child(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    sys::openat(dir, name, DIR, 0)
}

/// The same for a walk, which changes no access time where it may.
pub(crate) fn open_to_list(root: &Root, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    sys::openat(dir, name, DIR | root.noatime(), 0)
}

fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// An open directory and what a file created in it inherits.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Group of new files: the directory's own, where it is setgid, else the process's.
    pub new_gid: u32,
    /// A default ACL decides over the mode of new files, not the umask.
    pub default_acl: bool,
}

impl Dir {
    fn new(fd: OwnedFd, root: &Root) -> io::Result<Self> {
        let stat = sys::fstat(&fd)?;
        let new_gid = if stat.mode & libc::S_ISGID == 0 { root.ids.1 } else { stat.gid };
        let default_acl = !matches!(sys::get_xattr(fd.as_fd(), crate::meta::ACL_DEFAULT, &mut []), Ok(None));
        Ok(Self { fd, new_gid, default_acl })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Was it removed since it was opened? (Creating in it then fails with `ENOENT`, or `EPERM` on ext4.)
    pub(crate) fn is_removed(&self) -> bool {
        sys::fstat(&self.fd).is_ok_and(|s| s.nlink == 0)
    }
}

#[derive(Debug)]
struct Kept {
    path: Box<[u8]>,
    dir: Rc<Dir>,
    resolved: Instant,
    used: u64,
}

/// The directories that a lane keeps open.
#[derive(Debug, Default)]
pub(crate) struct Dirs {
    kept: RefCell<Vec<Kept>>,
    clock: std::cell::Cell<u64>,
}

impl Dirs {
    /// The directory at `path` (empty: the root), if it is there and is one; links are not followed.
    pub(crate) fn find(&self, root: &Root, path: &[u8]) -> Result<Option<Rc<Dir>>> {
        if let Some(dir) = self.kept(path) {
            return Ok(Some(dir));
        }
        match root.open_dir(path).and_then(|fd| Dir::new(fd, root)) {
            Ok(dir) => Ok(Some(self.keep(path, dir))),
            Err(e) if is_gone(&e) || is_blocked(&e) => Ok(None),
            Err(e) => Err(fault(e, format_args!("open directory {}", show(path)))),
        }
    }

    /// The directory at `path`, made with its parents where missing.
    pub(crate) fn make(&self, root: &Root, path: &[u8]) -> Result<Rc<Dir>> {
        if let Some(dir) = self.kept(path) {
            return Ok(dir);
        }
        let mut r = root.open_dir(path);
        if matches!(&r, Err(e) if is_gone(e)) {
            r = make_path(root, path);
        }
        match r.and_then(|fd| Dir::new(fd, root)) {
            Ok(dir) => Ok(self.keep(path, dir)),
            Err(e) if is_blocked(&e) => Err(Error::new(
                ErrorKind::Unacceptable,
                format!("a file or a symbolic link is in the way of the directory {}", show(path)),
            )),
            Err(e) => Err(fault(e, format_args!("make directory {}", show(path)))),
        }
    }

    /// Forgets what is known of `path`.
    pub(crate) fn forget(&self, path: &[u8]) {
        self.kept.borrow_mut().retain(|k| &*k.path != path);
    }

    fn kept(&self, path: &[u8]) -> Option<Rc<Dir>> {
        let mut kept = self.kept.borrow_mut();
        let i = kept.iter().position(|k| &*k.path == path)?;
        if kept[i].resolved.elapsed() > FRESH {
            kept.swap_remove(i);
            return None;
        }
        kept[i].used = self.tick();
        Some(kept[i].dir.clone())
    }

    fn keep(&self, path: &[u8], dir: Dir) -> Rc<Dir> {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEEP
            && let Some(oldest) = (0..kept.len()).min_by_key(|i| kept[*i].used)
        {
            kept.swap_remove(oldest);
        }
        let dir = Rc::new(dir);
        kept.push(Kept { path: path.into(), dir: dir.clone(), resolved: Instant::now(), used: self.tick() });
        dir
    }

    fn tick(&self) -> u64 {
        let n = self.clock.get() + 1;
        self.clock.set(n);
        n
    }
}

/// Makes every missing directory of `path`, one step at a time beneath the root.
fn make_path(root: &Root, path: &[u8]) -> io::Result<OwnedFd> {
    let mut at = root.open_dir(b"")?;
    for name in path.split(|b| *b == b'/') {
        at = match open_child(at.as_fd(), name) {
            Err(e) if is_gone(&e) => {
                match sys::mkdirat(at.as_fd(), name, 0o777) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                    _ => {}
                }
                if root.options.durability == Durability::Each {
                    std::fs::File::from(at.try_clone()?).sync_all()?;
                }
                open_child(at.as_fd(), name)?
            }
            r => r?,
        };
    }
    Ok(at)
}

/// The directory part of a path; empty for the root.
pub(crate) fn parent(path: &TreePath) -> &[u8] {
    path.parent().unwrap_or_default()
}

fn show(path: &[u8]) -> String {
    TreePath::new(path).map_or_else(|_| ".".to_owned(), |p| p.display())
}
