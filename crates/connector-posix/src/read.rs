//! Reading a file so that what was read is what was listed, or the read fails.
//!
//! The open file is compared with the entry, and its state is compared again before the last chunk is
//! given out: a file that was written to meanwhile gives `Changed` and no complete body. (Kernels
//! before 6.13 keep change times in steps of a few ms; two changes within one step look like one.)

use std::fs::File;
use std::os::fd::AsFd;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use connector::{Body, Entry, EntryKind, Error, ErrorKind, Meta, Range, Result, Source, TreePath};

use crate::dirs::{Dir, Root};
use crate::fault::{fault, is_blocked};
use crate::meta::{meta_of, read_xattrs, version};
use crate::sys::{self, Kind, Stat};

/// How much is read at once: stays in a second-level cache on its way from the page cache to a socket.
const CHUNK: u64 = 256 * 1024;
/// From this length on the kernel is told to read ahead.
const LONG: u64 = 1024 * 1024;

/// Opens the item of `entry`, which is in `dir`.
pub(crate) fn open(root: &Root, dir: &Dir, entry: &Entry, range: Option<Range>) -> Result<Body> {
    match &entry.kind {
        EntryKind::File | EntryKind::HardLink { .. } => {}
        EntryKind::Symlink { .. } => return open_link(dir, entry),
        EntryKind::Dir => {
            return Ok(Box::new(Literal {
                meta: entry.meta.as_deref().cloned().unwrap_or_default(),
                rest: None,
                len: 0,
            }));
        }
        EntryKind::Special => {
            let what = format!("{} is neither a file, a directory nor a link", entry.path.display());
            return Err(Error::new(ErrorKind::Unacceptable, what));
        }
    }
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | root.noatime();
    let fd = sys::openat(dir.fd(), entry.path.name(), flags, 0).map_err(|e| {
        if is_blocked(&e) {
            changed(&entry.path)
        } else {
            fault(e, format_args!("open {}", entry.path.display()))
        }
    })?;
    let stat = sys::fstat(&fd).map_err(|e| fault(e, format_args!("stat {}", entry.path.display())))?;
    if stat.kind != Kind::File || !is_same(entry, &stat) {
        return Err(changed(&entry.path));
    }
    let range = range.unwrap_or(Range { start: 0, end: stat.size });
    if range.end > stat.size || range.start > range.end {
        return Err(Error::new(
            ErrorKind::Changed,
            format!("{} is shorter than the range", entry.path.display()),
        ));
    }
    let meta = match &entry.meta {
        Some(meta) => Meta { hard_link: None, ..(**meta).clone() },
        None => {
            let mut meta = meta_of(&stat);
            if root.options.xattrs {
                meta.xattrs = read_xattrs(fd.as_fd())
                    .map_err(|e| fault(e, format_args!("read attributes of {}", entry.path.display())))?;
            }
            meta
        }
    };
    let file = File::from(fd);
    if range.len() >= LONG {
        sys::advise_sequential(&file);
    }
    let path = entry.path.clone();
    Ok(Box::new(FileBody { file, path, stat, meta, range, at: range.start, buf: BytesMut::new() }))
}

fn is_same(entry: &Entry, stat: &Stat) -> bool {
    match &entry.version {
        Some(v) => **v == *version(stat),
        None => entry.size == stat.size && entry.modified_ns == stat.mtime_ns,
    }
}

fn changed(path: &TreePath) -> Error {
    Error::new(ErrorKind::Changed, format!("{} is no longer the file that was listed", path.display()))
}

fn open_link(dir: &Dir, entry: &Entry) -> Result<Body> {
    let name = entry.path.name();
    let read = sys::stat(dir.fd(), name).and_then(|stat| Ok((stat, sys::readlink(dir.fd(), name)?)));
    let (stat, target) = read.map_err(|e| {
        if e.raw_os_error() == Some(libc::EINVAL) {
            changed(&entry.path)
        } else {
            fault(e, format_args!("read link {}", entry.path.display()))
        }
    })?;
    if entry.version.as_deref().is_some_and(|v| *v != *version(&stat)) {
        return Err(changed(&entry.path));
    }
    let mut meta = entry.meta.as_deref().cloned().unwrap_or_else(|| meta_of(&stat));
    meta.symlink = Some(target.clone());
    Ok(Box::new(Literal { meta, len: target.len() as u64, rest: Some(Bytes::from(target)) }))
}

/// A body that is known already.
struct Literal {
    meta: Meta,
    len: u64,
    rest: Option<Bytes>,
}

#[async_trait(?Send)]
impl Source for Literal {
    fn len(&self) -> u64 {
        self.len
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.rest.take())
    }
}

struct FileBody {
    file: File,
    path: TreePath,
    stat: Stat,
    meta: Meta,
    range: Range,
    at: u64,
    buf: BytesMut,
}

#[async_trait(?Send)]
impl Source for FileBody {
    fn len(&self) -> u64 {
        self.range.len()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.range.end - self.at;
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left.min(CHUNK)).unwrap_or(1);
        // Gets the old buffer back if its reader is done with it.
        self.buf.reserve(want);
        while self.buf.len() < want {
            let at = self.at + self.buf.len() as u64;
            let n = sys::read_into(&self.file, &mut self.buf, want, at)
                .map_err(|e| fault(e, format_args!("read {}", self.path.display())))?;
            if n == 0 {
                return Err(changed(&self.path));
            }
        }
        let chunk = self.buf.split_to(want).freeze();
        self.at += want as u64;
        if self.at == self.range.end {
            self.check()?;
        }
        Ok(Some(chunk))
    }
}

impl FileBody {
    fn check(&self) -> Result<()> {
        let now =
            sys::fstat(&self.file).map_err(|e| fault(e, format_args!("stat {}", self.path.display())))?;
        let same = (now.size, now.mtime_ns, now.ctime_ns)
            == (self.stat.size, self.stat.mtime_ns, self.stat.ctime_ns);
        if same { Ok(()) } else { Err(changed(&self.path)) }
    }
}
