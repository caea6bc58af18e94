//! The sorted walk: every item of a directory tree in S3 key order, in bounded memory.
//!
//! Depth first; within a directory by name with `/` behind directories. Each level holds its open
//! directory, and each item is looked at through it by its single name, so a directory that is
//! swapped for a link during the walk leads nowhere. What vanishes meanwhile is not listed; what can't
//! be read is listed as an error that names it, and the walk goes on.
//!
//! Further names of a file are recognised by inode among the first [`MAX_INODES`] files with several
//! names that are open at a time (all names seen: forgotten). Beyond it, and for names whose first one
//! lies before [`ListRequest::after`], they are listed as files: more bytes, but the right ones.

mod names;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use connector::{Entry, EntryKind, EntryStream, Error, ErrorKind, ListRequest, Result, TreePath};
use runtime::TaskKind;
use tokio::task::JoinHandle;

use crate::dirs::{Root, open_child};
use crate::fault::{fault, is_blocked, is_gone};
use crate::meta::{entry_of, read_xattrs};
use crate::sys::{self, Kind, Stat};
use names::Names;
pub(crate) use names::for_each_name;

/// Entries of a page.
const PAGE: usize = 1000;
/// Files with several names that are remembered at a time.
const MAX_INODES: usize = 256 * 1024;
/// Buffer for the kernel's directory records.
const RECORDS: usize = 64 * 1024;

type Page = Vec<Result<Entry>>;
type Step = (Box<Walk>, Result<Page>);

/// A listing that works one page ahead of its reader, on the blocking pool.
pub(crate) struct Listing {
    idle: Option<Box<Walk>>,
    ahead: Option<JoinHandle<Result<Step, String>>>,
}

impl Listing {
    pub(crate) fn new(root: Arc<Root>, request: ListRequest) -> Self {
        Self { idle: Some(Box::new(Walk::new(root, request))), ahead: None }
    }

    fn work(&mut self, mut walk: Box<Walk>) {
        self.ahead = Some(runtime::spawn(
            TaskKind::ListAhead,
            runtime::blocking(move || {
                let page = walk.page();
                (walk, page)
            }),
        ));
    }
}

#[async_trait]
impl EntryStream for Listing {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        if let Some(walk) = self.idle.take() {
            self.work(walk);
        }
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let step = ahead.await;
        self.ahead = None;
        let lost = |e: String| Error::new(ErrorKind::Other, e);
        let (walk, page) = step.map_err(|e| lost(e.to_string()))?.map_err(lost)?;
        let page = page?;
        if page.is_empty() {
            return Ok(None);
        }
        self.work(walk);
        Ok(Some(page))
    }
}

/// One directory that is being walked.
struct Level {
    fd: OwnedFd,
    names: Names,
    /// Length of the key of this directory, `/` included.
    base: usize,
}

/// The walk itself, synchronous.
pub(crate) struct Walk {
    root: Arc<Root>,
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    xattrs: bool,
    scratch: PathBuf,
    started: bool,
    levels: Vec<Level>,
    /// Key of the item at hand.
    key: Vec<u8>,
    records: Vec<u8>,
    inodes: HashMap<(u64, u64), (TreePath, u32)>,
}

/// Where very large directories are sorted unless the options say otherwise: survives no reboot and needs none.
const SCRATCH: &str = "/tmp";

impl Walk {
    pub(crate) fn new(root: Arc<Root>, request: ListRequest) -> Self {
        let scratch = root.options.scratch.clone().unwrap_or_else(|| PathBuf::from(SCRATCH));
        Self {
            root,
            prefix: request.prefix,
            after: request.after,
            xattrs: request.xattrs,
            scratch,
            started: false,
            levels: Vec::new(),
            key: Vec::new(),
            records: vec![0; RECORDS],
            inodes: HashMap::new(),
        }
    }

    /// The next entries; none at the end.
    pub(crate) fn page(&mut self) -> Result<Page> {
        if !self.started {
            self.started = true;
            self.start()?;
        }
        let mut page = Vec::with_capacity(PAGE);
        while page.len() < PAGE {
            let Some(level) = self.levels.last_mut() else { break };
            self.key.truncate(level.base);
            match level.names.next(&mut self.key) {
                Ok(true) => self.visit(&mut page),
                Ok(false) => drop(self.levels.pop()),
                Err(e) => {
                    page.push(Err(self.fault(e, "list")));
                    self.levels.pop();
                }
            }
        }
        Ok(page)
    }

    /// Starts in the deepest directory that holds everything under the prefix.
    fn start(&mut self) -> Result<()> {
        let base = self.prefix.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        let path = &self.prefix[..base.saturating_sub(1)];
        if base > 0 && TreePath::new(path).map_or(true, |p| p.as_bytes() != path) {
            return Ok(()); // No path looks like that.
        }
        match self.root.open_dir(path) {
            Ok(fd) => {
                self.key = self.prefix[..base].to_vec();
                self.enter(fd).map_err(|e| self.fault(e, "list"))
            }
            Err(e) if base > 0 && (is_gone(&e) || is_blocked(&e)) => Ok(()),
            Err(e) => Err(fault(e, format_args!("list {}", self.root.path.display()))),
        }
    }

    fn enter(&mut self, fd: OwnedFd) -> io::Result<()> {
        let names = Names::read(fd.as_fd(), &self.scratch, &mut self.records)?;
        self.levels.push(Level { fd, names, base: self.key.len() });
        Ok(())
    }

    /// Looks at the item whose key is at hand.
    fn visit(&mut self, page: &mut Page) {
        let is_dir = self.key.last() == Some(&b'/');
        let path = &self.key[..self.key.len() - usize::from(is_dir)];
        let under = path.starts_with(&self.prefix);
        let mut descend =
            is_dir && (self.key.starts_with(&self.prefix) || self.prefix.starts_with(&self.key));
        let mut wanted = under;
        if let Some(after) = &self.after {
            if self.key > *after {
                self.after = None; // So is everything that comes.
            } else {
                wanted = false;
                descend &= after.starts_with(&self.key);
            }
        }
        if !wanted && !descend {
            return;
        }
        let path = match TreePath::new(path) {
            Ok(path) => path,
            Err(problem) => {
                let what = format!("{}: {problem}", connector::display_bytes(&self.key));
                page.push(Err(Error::new(ErrorKind::Unacceptable, what)));
                return;
            }
        };
        if wanted {
            match self.look(path, is_dir) {
                Ok(Some(entry)) => page.push(Ok(entry)),
                Ok(None) => return,
                Err(e) => {
                    page.push(Err(e));
                    return;
                }
            }
        }
        if descend && let Err(e) = self.descend() {
            page.push(Err(e));
        }
    }

    /// The item at hand as an entry; `None` when it is gone.
    fn look(&mut self, path: TreePath, is_dir: bool) -> Result<Option<Entry>> {
        let Some(level) = self.levels.last() else { return Ok(None) };
        let dir = level.fd.as_fd();
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
        let xattrs = if self.xattrs && matches!(stat.kind, Kind::File | Kind::Dir) {
            let flags =
                libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | self.root.noatime();
            match sys::openat(dir, path.name(), flags, 0).and_then(|fd| read_xattrs(fd.as_fd())) {
                Ok(xattrs) => xattrs,
                Err(e) if is_gone(&e) => return Ok(None),
                Err(e) => return Err(fault(e, format_args!("read attributes of {}", path.display()))),
            }
        } else {
            Vec::new()
        };
        let first = self.first_name(&stat, &path);
        let mut entry = entry_of(path, &stat, link);
        if let Some(meta) = &mut entry.meta {
            meta.xattrs = xattrs;
            meta.hard_link.clone_from(&first);
        }
        if let Some(first) = first {
            entry.kind = EntryKind::HardLink { first };
        }
        Ok(Some(entry))
    }

    /// The name under which this file was listed before, if it was.
    fn first_name(&mut self, stat: &Stat, path: &TreePath) -> Option<TreePath> {
        if stat.kind != Kind::File || stat.nlink < 2 {
            return None;
        }
        let id = (stat.dev, stat.ino);
        if let Some((first, names)) = self.inodes.get_mut(&id) {
            let first = first.clone();
            *names = names.saturating_sub(1);
            if *names == 0 {
                self.inodes.remove(&id);
            }
            return Some(first);
        }
        if self.inodes.len() < MAX_INODES {
            self.inodes.insert(id, (path.clone(), stat.nlink - 1));
        }
        None
    }

    fn descend(&mut self) -> Result<()> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let name = &self.key[level.base..self.key.len() - 1];
        let entered = open_child(level.fd.as_fd(), name).and_then(|fd| self.enter(fd));
        match entered {
            Err(e) if is_gone(&e) => Ok(()),
            Err(e) if is_blocked(&e) => {
                let what = format!("{} is no longer a directory", connector::display_bytes(&self.key));
                Err(Error::new(ErrorKind::Changed, what))
            }
            Err(e) => Err(self.fault(e, "list")),
            Ok(()) => Ok(()),
        }
    }

    fn fault(&self, e: io::Error, verb: &str) -> Error {
        let path =
            TreePath::new(&self.key).map_or_else(|_| self.root.path.display().to_string(), |p| p.display());
        fault(e, format_args!("{verb} {path}"))
    }
}

fn stat_and_link(dir: std::os::fd::BorrowedFd<'_>, name: &[u8]) -> io::Result<(Stat, Option<Box<[u8]>>)> {
    let stat = sys::stat(dir, name)?;
    let link = if stat.kind == Kind::Symlink { Some(sys::readlink(dir, name)?) } else { None };
    Ok((stat, link))
}
