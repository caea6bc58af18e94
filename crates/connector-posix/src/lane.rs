//! A lane: one thread's way into the tree. Calls block that thread and nothing else.

use std::os::fd::AsFd;
use std::sync::Arc;

use async_trait::async_trait;
use connector::{
    Body, Entry, Error, ErrorKind, Found, Lane, Meta, Part, PartDone, Range, Result, Stored, Target,
    TreePath, Upload,
};

use crate::dirs::{Dirs, Root, parent};
use crate::fault::{fault, is_gone};
use crate::meta::{entry_of, read_stamp};
use crate::names::TempNames;
use crate::sys::{self, Kind};
use crate::write::Pen;
use crate::{parts, read, write};

pub(crate) struct PosixLane {
    root: Arc<Root>,
    dirs: Dirs,
    names: TempNames,
}

impl PosixLane {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root, dirs: Dirs::default(), names: TempNames::new() }
    }

    fn pen(&self) -> Pen<'_> {
        Pen { root: &self.root, dirs: &self.dirs, names: &self.names }
    }

    fn find(&self, path: &TreePath) -> Result<Option<Found>> {
        let Some(dir) = self.dirs.find(&self.root, parent(path))? else { return Ok(None) };
        let gone = |e: std::io::Error| {
            if is_gone(&e) { Ok(None) } else { Err(fault(e, format_args!("stat {}", path.display()))) }
        };
        let stat = match sys::stat(dir.fd(), path.name()) {
            Ok(stat) => stat,
            Err(e) => return gone(e),
        };
        let link = match stat.kind {
            Kind::Symlink => match sys::readlink(dir.fd(), path.name()) {
                Ok(link) => Some(link),
                Err(e) => return gone(e),
            },
            _ => None,
        };
        let mark = if stat.kind == Kind::File {
            let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
            // A file that we may not read carries no mark for us.
            let fd = sys::openat(dir.fd(), path.name(), flags, 0).ok();
            fd.and_then(|fd| read_stamp(fd.as_fd(), &stat))
        } else {
            None
        };
        let (stamp, digest) = mark.map_or((None, None), |(stamp, digest)| (Some(stamp), digest));
        Ok(Some(Found { entry: entry_of(path.clone(), &stat, link), stamp, digest }))
    }
}

#[async_trait(?Send)]
impl Lane for PosixLane {
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>> {
        self.find(path)
    }

    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body> {
        match self.dirs.find(&self.root, parent(&entry.path))? {
            Some(dir) => read::open(&self.root, &dir, entry, range),
            None => Err(Error::new(ErrorKind::NotFound, format!("{} is gone", entry.path.display()))),
        }
    }

    async fn put(&self, target: &Target, body: Body) -> Result<Stored> {
        write::put(&self.pen(), target, body).await
    }

    async fn put_dir(&self, target: &Target) -> Result<()> {
        write::put_dir(&self.pen(), target)
    }

    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload> {
        parts::begin(&self.pen(), target, part_size)
    }

    async fn put_part(&self, target: &Target, upload: &Upload, part: Part, body: Body) -> Result<PartDone> {
        parts::put_part(&self.pen(), target, upload, part, body).await
    }

    async fn finish(
        &self,
        target: &Target,
        upload: &Upload,
        parts: &[PartDone],
        meta: &Meta,
    ) -> Result<Stored> {
        parts::finish(&self.pen(), target, upload, parts, meta)
    }

    async fn abort(&self, target: &Target, upload: &Upload) -> Result<()> {
        parts::abort(&self.pen(), target, upload)
    }

    async fn remove(&self, path: &TreePath) -> Result<bool> {
        let Some(dir) = self.dirs.find(&self.root, parent(path))? else { return Ok(false) };
        let removed = match sys::unlinkat(dir.fd(), path.name(), 0) {
            Err(e) if e.raw_os_error() == Some(libc::EISDIR) => {
                self.dirs.forget(path.as_bytes());
                sys::unlinkat(dir.fd(), path.name(), libc::AT_REMOVEDIR)
            }
            r => r,
        };
        match removed {
            Ok(()) => Ok(true),
            Err(e) if is_gone(&e) => Ok(false),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTEMPTY)) => Err(Error::new(
                ErrorKind::Unacceptable,
                format!("the directory {} is not empty", path.display()),
            )),
            Err(e) => Err(fault(e, format_args!("remove {}", path.display()))),
        }
    }
}
