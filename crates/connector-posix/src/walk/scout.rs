//! The part of a walk that goes ahead: it reads directories and says what there is to be looked at, by names alone.
//!
//! Each level holds its open directory. With a crew, the next directories of a level are opened and read by helpers before they are
//! reached; what lies deeper is needed sooner, so the outermost give way when there are too many. Of a directory whose names don't
//! fit in memory nothing is read ahead.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use connector::{Error, ErrorKind, ListRequest, Result, TreePath};

use super::crew::{Crew, Job};
use super::look::Item;
use super::names::Names;
use crate::dirs::{Root, open_to_list};
use crate::fault::{fault, is_blocked, is_gone};
use crate::sys;

/// Items of a batch.
const BATCH: usize = 64;
/// Directories of a batch: each is held open until it was looked at.
const DIRS: usize = 4;
/// Directories of a level, and of all levels, that are read before they are reached.
const AHEAD: usize = 4;
const AHEAD_IN_ALL: usize = 12;
/// How many names ahead directories are looked for.
const SIGHT: usize = 256;
/// Only directories of at most so many names are read before they are reached.
const SMALL: usize = 4096;
/// Buffers for the kernel's directory records.
const RECORDS: usize = 64 * 1024;
const FEW_RECORDS: usize = 32 * 1024;
/// Where very large directories are sorted unless the options say otherwise: survives no reboot and needs none.
const SCRATCH: &str = "/tmp";

/// A directory and, when they are few, its names.
type Opened = io::Result<(OwnedFd, Option<Names>)>;

/// One directory that is being walked.
struct Level {
    dir: Arc<OwnedFd>,
    names: Names,
    /// Length of the key of this directory, `/` included.
    base: usize,
    /// Number of the next name.
    at: usize,
    /// Number of the first name that was not looked at for reading ahead.
    sought: usize,
    /// What is read ahead, by number.
    ahead: VecDeque<(usize, Job<Opened>)>,
}

pub(super) struct Scout {
    root: Arc<Root>,
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    scratch: PathBuf,
    levels: Vec<Level>,
    /// Directories that are read ahead, in all levels.
    ahead: usize,
    /// Key of the item at hand.
    key: Vec<u8>,
    records: Vec<u8>,
    batch: Vec<Item>,
    /// Directories of the batch.
    dirs: usize,
}

impl Scout {
    pub(super) fn new(root: Arc<Root>, request: ListRequest) -> Self {
        let scratch = root.options.scratch.clone().unwrap_or_else(|| PathBuf::from(SCRATCH));
        Self {
            root,
            prefix: request.prefix,
            after: request.after,
            scratch,
            levels: Vec::new(),
            ahead: 0,
            key: Vec::new(),
            records: vec![0; RECORDS],
            batch: Vec::new(),
            dirs: 0,
        }
    }

    /// Starts in the deepest directory that holds everything under the prefix.
    pub(super) fn start(&mut self) -> Result<()> {
        let base = self.prefix.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        let path = &self.prefix[..base.saturating_sub(1)];
        if base > 0 && TreePath::new(path).map_or(true, |p| p.as_bytes() != path) {
            return Ok(()); // No path looks like that.
        }
        match self.root.open_dir(path) {
            Ok(dir) => {
                self.key = self.prefix[..base].to_vec();
                self.enter(dir, None).map_err(|e| self.fault(e))
            }
            Err(e) if base > 0 && (is_gone(&e) || is_blocked(&e)) => Ok(()),
            Err(e) => Err(fault(e, format_args!("list {}", self.root.path.display()))),
        }
    }

    /// What is to be looked at next, in order; nothing at the end. With a crew, directories are read ahead.
    pub(super) fn batch(&mut self, crew: Option<&Crew>) -> Vec<Item> {
        self.dirs = 0;
        while self.batch.len() < BATCH && self.dirs <= DIRS {
            if let Some(crew) = crew {
                self.read_ahead(crew);
            }
            let Some(level) = self.levels.last_mut() else { break };
            self.key.truncate(level.base);
            level.at += 1;
            match level.names.next(&mut self.key) {
                Ok(true) => self.visit(),
                Ok(false) => self.leave(),
                Err(e) => {
                    self.note(self.fault(e));
                    self.leave();
                }
            }
        }
        std::mem::take(&mut self.batch)
    }

    fn leave(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.ahead -= level.ahead.len();
        }
    }

    fn enter(&mut self, dir: OwnedFd, names: Option<Names>) -> io::Result<()> {
        let names = match names {
            Some(names) => names,
            None => Names::read(dir.as_fd(), &self.scratch, &mut self.records)?,
        };
        let base = self.key.len();
        let dir = Arc::new(dir);
        self.levels.push(Level { dir, names, base, at: 0, sought: 0, ahead: VecDeque::new() });
        Ok(())
    }

    /// Notes the item whose key is at hand, and goes into it.
    fn visit(&mut self) {
        let is_dir = self.key.last() == Some(&b'/');
        let path = &self.key[..self.key.len() - usize::from(is_dir)];
        let mut wanted = path.starts_with(&self.prefix);
        let mut descend =
            is_dir && (self.key.starts_with(&self.prefix) || self.prefix.starts_with(&self.key));
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
                return self.note(Error::new(ErrorKind::Unacceptable, what));
            }
        };
        if wanted && let Some(level) = self.levels.last() {
            let dir = level.dir.clone();
            let same =
                matches!(self.batch.last(), Some(Item::Name { dir: last, .. }) if Arc::ptr_eq(last, &dir));
            self.dirs += usize::from(!same);
            self.batch.push(Item::Name { dir, path, is_dir });
        }
        if descend && let Err(e) = self.descend() {
            self.note(e);
        }
    }

    fn descend(&mut self) -> Result<()> {
        let opened = match self.take_ahead() {
            Some(opened) => opened,
            None => {
                let Some(level) = self.levels.last() else { return Ok(()) };
                let name = &self.key[level.base..self.key.len() - 1];
                open_to_list(&self.root, level.dir.as_fd(), name).map(|dir| (dir, None))
            }
        };
        match opened.and_then(|(dir, names)| self.enter(dir, names)) {
            Err(e) if is_gone(&e) => Ok(()),
            Err(e) if is_blocked(&e) => {
                let what = format!("{} is no longer a directory", connector::display_bytes(&self.key));
                Err(Error::new(ErrorKind::Changed, what))
            }
            Err(e) => Err(self.fault(e)),
            Ok(()) => Ok(()),
        }
    }

    /// The directory at hand, if it was read ahead.
    fn take_ahead(&mut self) -> Option<Opened> {
        let level = self.levels.last_mut()?;
        let at = level.at - 1;
        while let Some((number, job)) = level.ahead.pop_front_if(|(number, _)| *number <= at) {
            self.ahead -= 1;
            if number == at {
                return job.take();
            }
        }
        None
    }

    /// Lets helpers read the next directories of the innermost level.
    fn read_ahead(&mut self, crew: &Crew) {
        // What lies before the beginning, or beside the prefix, is not read.
        let Some(level) = self.levels.last_mut() else { return };
        if self.after.is_some() || level.base < self.prefix.len() {
            return;
        }
        level.sought = level.sought.max(level.at);
        while level.ahead.len() < AHEAD && level.sought < level.at + SIGHT {
            let Some(name) = level.names.peek(level.sought - level.at) else { break };
            let number = level.sought;
            level.sought += 1;
            if let Some(name) = name.strip_suffix(b"/") {
                let (root, dir, name) = (self.root.clone(), level.dir.clone(), Box::<[u8]>::from(name));
                level.ahead.push_back((number, crew.post(move || read(&root, &dir, &name))));
                self.ahead += 1;
            }
        }
        while self.ahead > AHEAD_IN_ALL {
            let Some(outermost) = self.levels.iter_mut().find(|l| !l.ahead.is_empty()) else { break };
            outermost.ahead.pop_back();
            self.ahead -= 1;
        }
    }

    /// What is wrong with the key at hand becomes a line of the listing.
    fn note(&mut self, error: Error) {
        self.batch.push(Item::Fault { key: self.key.as_slice().into(), error });
    }

    fn fault(&self, e: io::Error) -> Error {
        let path =
            TreePath::new(&self.key).map_or_else(|_| self.root.path.display().to_string(), |p| p.display());
        fault(e, format_args!("list {path}"))
    }
}

fn read(root: &Root, dir: &OwnedFd, name: &[u8]) -> Opened {
    let dir = open_to_list(root, dir.as_fd(), name)?;
    let names = Names::read_few(dir.as_fd(), SMALL, &mut vec![0; FEW_RECORDS])?;
    if names.is_none() {
        sys::rewind(dir.as_fd())?;
    }
    Ok((dir, names))
}
