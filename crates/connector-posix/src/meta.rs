//! POSIX metadata: read from a `statx`, and put on a file or directory.
//!
//! Only `user.*` attributes and POSIX ACLs travel. `security.*` and `trusted.*` are never set, and
//! setuid and setgid bits only together with the owner they belong to: the metadata may come from a
//! bucket that somebody else can write.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use connector::{Digest, Entry, EntryKind, ErrorKind, Meta, Result, Stamp, TreePath, Xattr};

use crate::dirs::{Dir, Root};
use crate::fault::fault;
use crate::stamp;
use crate::sys::{self, Kind, Stat};

/// The ACL that files below a directory start with.
pub(crate) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// Longest list of attribute names and longest value of Linux.
const XATTR_MAX: usize = 65_536;
const SET_IDS: u32 = libc::S_ISUID | libc::S_ISGID;

/// Identity of a file's present state: inode number and change time in ns. Any change of content or
/// metadata (a further hard link too) gives another one; reading gives the same.
pub(crate) fn version(stat: &Stat) -> Box<str> {
    format!("{}-{}", stat.ino, stat.ctime_ns).into()
}

/// The travelling metadata that a `statx` holds.
pub(crate) fn meta_of(stat: &Stat) -> Meta {
    Meta {
        mtime_ns: Some(stat.mtime_ns),
        atime_ns: Some(stat.atime_ns),
        mode: Some(stat.mode),
        uid: Some(stat.uid),
        gid: Some(stat.gid),
        ..Meta::default()
    }
}

/// The entry of an item; `link` is what a symbolic link holds.
pub(crate) fn entry_of(path: TreePath, stat: &Stat, link: Option<Box<[u8]>>) -> Entry {
    let mut meta = meta_of(stat);
    let (kind, size) = match (stat.kind, link) {
        (Kind::File, _) => (EntryKind::File, stat.size),
        (Kind::Dir, _) => (EntryKind::Dir, 0),
        (Kind::Symlink, Some(target)) => {
            meta.symlink = Some(target.clone());
            let size = target.len() as u64;
            (EntryKind::Symlink { target }, size)
        }
        _ => (EntryKind::Special, 0),
    };
    Entry {
        path,
        kind,
        size,
        modified_ns: stat.mtime_ns,
        version: Some(version(stat)),
        meta: Some(Box::new(meta)),
    }
}

/// `target` where it says something, else what the source says.
pub(crate) fn merge(target: &Meta, source: &Meta) -> Meta {
    Meta {
        mtime_ns: target.mtime_ns.or(source.mtime_ns),
        atime_ns: target.atime_ns.or(source.atime_ns),
        mode: target.mode.or(source.mode),
        uid: target.uid.or(source.uid),
        gid: target.gid.or(source.gid),
        xattrs: if target.xattrs.is_empty() { source.xattrs.clone() } else { target.xattrs.clone() },
        symlink: target.symlink.clone().or_else(|| source.symlink.clone()),
        hard_link: target.hard_link.clone().or_else(|| source.hard_link.clone()),
        headers: Vec::new(),
    }
}

fn travels(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(stamp::NAMESPACE))
        || name == ACL_ACCESS
        || name == ACL_DEFAULT
}

/// The attributes that travel, sorted by name.
pub(crate) fn read_xattrs(fd: BorrowedFd<'_>) -> io::Result<Vec<Xattr>> {
    let mut names = vec![0; 1024];
    let n = loop {
        match sys::list_xattr(fd, &mut names) {
            Ok(n) => break n,
            Err(e) if e.raw_os_error() == Some(libc::ERANGE) && names.len() < XATTR_MAX => {
                names.resize(XATTR_MAX, 0)
            }
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => break 0,
            Err(e) => return Err(e),
        }
    };
    let mut found = Vec::new();
    let mut value = Vec::new();
    for name in names[..n].split(|b| *b == 0).filter(|name| travels(name)) {
        value.resize(XATTR_MAX, 0);
        if let Some(len) = sys::get_xattr(fd, name, &mut value)? {
            found.push(Xattr { name: name.into(), value: value[..len].into() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Our mark on an open file and the digest of what we wrote, if the mark is still true of it.
pub(crate) fn read_stamp(fd: BorrowedFd<'_>, stat: &Stat) -> Option<(Stamp, Option<Digest>)> {
    let mut buf = [0; stamp::MAX_LEN];
    let len = sys::get_xattr(fd, stamp::NAME, &mut buf).ok()??;
    let mark = stamp::decode(&buf[..len])?;
    (mark.mtime_ns == stat.mtime_ns && mark.stamp.size == stat.size).then_some((mark.stamp, mark.digest))
}

/// Metadata on its way to an open file or directory.
pub(crate) struct Dressing<'a> {
    pub root: &'a Root,
    pub path: &'a TreePath,
    pub meta: &'a Meta,
}

impl Dressing<'_> {
    /// The permission bits to set: what the metadata says, else the tree's default for files.
    pub(crate) fn mode(&self) -> Option<u32> {
        let mode = self.meta.mode.or(self.root.options.file_mode)?;
        Some(if self.keeps_owner() { mode & 0o7777 } else { mode & 0o7777 & !SET_IDS })
    }

    fn keeps_owner(&self) -> bool {
        self.root.options.owner && self.root.is_superuser() && self.meta.uid.is_some()
    }

    /// Mode to create a new file with, and whether it still has to be set afterwards.
    pub(crate) fn create_mode(&self, dir: &Dir) -> (u32, bool) {
        match self.mode() {
            None => (0o666, false),
            Some(m) if m & (self.root.umask | 0o7000) == 0 && !dir.default_acl => (m, false),
            Some(m) => (m & 0o700 | 0o600, true),
        }
    }

    /// Sets the owner, where it is kept and differs from `has`.
    pub(crate) fn own(&self, fd: BorrowedFd<'_>, has: (u32, u32)) -> Result<()> {
        let (uid, gid) = (self.meta.uid.unwrap_or(has.0), self.meta.gid.unwrap_or(has.1));
        if !self.root.options.owner || !self.root.is_superuser() || (uid, gid) == has {
            return Ok(());
        }
        sys::chown(fd, b"", uid, gid).map_err(|e| self.fault(e, "set owner of"))
    }

    /// Sets the permission bits.
    pub(crate) fn chmod(&self, fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
        sys::fchmod(fd, mode).map_err(|e| self.fault(e, "set mode of"))
    }

    /// Sets the attributes that travel.
    pub(crate) fn set_xattrs(&self, fd: BorrowedFd<'_>) -> Result<()> {
        if !self.root.options.xattrs {
            return Ok(());
        }
        for x in self.meta.xattrs.iter().filter(|x| travels(&x.name)) {
            match sys::set_xattr(fd, &x.name, &x.value) {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    if self.root.user_xattrs.swap(false, Ordering::Relaxed) {
                        tracing::warn!(root = %self.root.path.display(), "this file system holds no extended attributes");
                    }
                }
                Err(e) if matches!(e.raw_os_error(), Some(libc::E2BIG | libc::ERANGE | libc::EINVAL)) => {
                    let name = String::from_utf8_lossy(&x.name).into_owned();
                    let e = fault(e, format_args!("set attribute {name} of {}", self.path.display()));
                    return Err(connector::Error::new(ErrorKind::Unacceptable, e.to_string()));
                }
                Err(e) => return Err(self.fault(e, "set an attribute of")),
            }
        }
        Ok(())
    }

    /// Puts our mark on a file. A file system that can't hold it costs later runs a copy, so failing is no error.
    pub(crate) fn mark(&self, fd: BorrowedFd<'_>, stamp: &Stamp, digest: Digest, mtime_ns: i64) {
        if !self.root.user_xattrs.load(Ordering::Relaxed) {
            return;
        }
        let Some(value) = stamp::encode(stamp, mtime_ns, digest) else { return };
        match sys::set_xattr(fd, stamp::NAME, &value) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.root.user_xattrs.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Sets the times that are known.
    pub(crate) fn set_times(&self, fd: BorrowedFd<'_>) -> Result<()> {
        if self.meta.mtime_ns.is_none() && self.meta.atime_ns.is_none() {
            return Ok(());
        }
        sys::futimens(fd, self.meta.atime_ns, self.meta.mtime_ns).map_err(|e| self.fault(e, "set times of"))
    }

    pub(crate) fn fault(&self, e: io::Error, verb: &str) -> connector::Error {
        fault(e, format_args!("{verb} {}", self.path.display()))
    }
}
