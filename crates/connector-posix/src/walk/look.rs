//! Looking at items: what a worker does with a batch of names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use connector::{Entry, Error, ErrorKind, Result, TreePath};

use crate::dirs::Root;
use crate::fault::{fault, is_gone};
use crate::meta::{entry_of, read_xattrs};
use crate::sys::{self, Kind, Stat};

/// One line of the listing before it was looked at.
pub(super) enum Item {
    Name {
        dir: Arc<OwnedFd>,
        path: TreePath,
        is_dir: bool,
    },
    /// What is wrong with this key, or with the directory of that key.
    Fault {
        key: Box<[u8]>,
        error: Error,
    },
}

/// One line of the listing.
pub(super) enum Seen {
    Entry(Entry, Option<Linked>),
    /// It was there when its directory was read.
    Gone(Box<[u8]>),
    Fault(Box<[u8]>, Error),
}

/// A file with several names.
pub(super) struct Linked {
    pub id: (u64, u64),
    pub names: u32,
}

impl Seen {
    /// The key, of directories that were not found or are not listed with a `/` at its end.
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Entry(entry, _) => entry.path.as_bytes(),
            Self::Gone(key) | Self::Fault(key, _) => key,
        }
    }
}

/// Looks at each item through its directory.
pub(super) fn look_at(root: &Root, items: Vec<Item>, xattrs: bool) -> Vec<Seen> {
    let look = |item| match item {
        Item::Fault { key, error } => Seen::Fault(key, error),
        Item::Name { dir, path, is_dir } => {
            let key: Box<[u8]> = path.as_bytes().iter().copied().chain(is_dir.then_some(b'/')).collect();
            match look(root, dir.as_fd(), (path, is_dir), xattrs) {
                Ok(Some((entry, linked))) => Seen::Entry(entry, linked),
                Ok(None) => Seen::Gone(key),
                Err(error) => Seen::Fault(key, error),
            }
        }
    };
    items.into_iter().map(look).collect()
}

/// The item as an entry; `None` when it is gone.
fn look(
    root: &Root,
    dir: BorrowedFd<'_>,
    (path, is_dir): (TreePath, bool),
    xattrs: bool,
) -> Result<Option<(Entry, Option<Linked>)>> {
    let (stat, link) = match stat_and_link(dir, path.name()) {
        Ok(found) => found,
        Err(e) if is_gone(&e) => return Ok(None),
        Err(e) => return Err(fault(e, format_args!("stat {}", path.display()))),
    };
    if (stat.kind == Kind::Dir) != is_dir {
        let what =
            format!("{} turned from a directory into a file or back while it was listed", path.display());
        return Err(Error::new(ErrorKind::Changed, what));
    }
    let mut attributes = Vec::new();
    if xattrs && matches!(stat.kind, Kind::File | Kind::Dir) {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | root.noatime();
        attributes = match sys::openat(dir, path.name(), flags, 0).and_then(|fd| read_xattrs(fd.as_fd())) {
            Ok(attributes) => attributes,
            Err(e) if is_gone(&e) => return Ok(None),
            Err(e) => return Err(fault(e, format_args!("read attributes of {}", path.display()))),
        };
    }
    let mut entry = entry_of(path, &stat, link);
    if let Some(meta) = &mut entry.meta {
        meta.xattrs = attributes;
    }
    let linked = (stat.kind == Kind::File && stat.nlink > 1)
        .then_some(Linked { id: (stat.dev, stat.ino), names: stat.nlink });
    Ok(Some((entry, linked)))
}

fn stat_and_link(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Stat, Option<Box<[u8]>>)> {
    let stat = sys::stat(dir, name)?;
    let link = if stat.kind == Kind::Symlink { Some(sys::readlink(dir, name)?) } else { None };
    Ok((stat, link))
}
