//! Directories of a POSIX file system as trees: walk, durable write, metadata.
//!
//! [`PosixTree`] is one end of a transfer. It promises:
//! - **Nothing outside the root.** Every item is reached as a single name in a directory that was
//!   opened beneath the root through no symbolic link, also while somebody swaps directories for links.
//! - **All or nothing.** A file appears complete, with its metadata and our mark, or not at all.
//! - **What was read is what was listed**, or the read says `Changed`.
//! - **Bounded memory and descriptors**, however large a directory is.
//! - **Few system calls per small file**, because creating files is what a download of many costs.
//!
//! What is on the disk when: [`Durability`]. Existing directories are never replaced by files, nor
//! files by directories; an existing symbolic link is replaced, never followed.
//!
//! It is not load-on-read, and it knows no object store: metadata arrives as [`connector::Meta`].

mod count;
mod dirs;
mod empty;
mod fault;
mod lane;
mod meta;
mod names;
mod parts;
mod read;
mod sparse;
mod stamp;
mod sweep;
mod sys;
mod temp;
mod walk;
mod write;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use connector::{EntryStream, Error, ErrorKind, Lane, ListRequest, Probe, Result, Tree};

use dirs::Root;
use fault::fault;

/// What survives a power loss, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Whatever the kernel has written back by itself.
    None,
    /// Everything, once [`Tree::settle`] has returned (`syncfs`).
    #[default]
    Batch,
    /// Every file when its write returns (`fsync` of the file before, of its directory after the rename).
    Each,
}

/// When a listing looks at several items, and reads several directories, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadAhead {
    /// One after the other.
    Never,
    /// Where one after the other was found to be slow.
    #[default]
    WhereSlow,
    /// From the first on.
    Always,
}

/// How a tree treats its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What survives a power loss.
    pub durability: Durability,
    /// Set owner and group from the metadata. Only root can; anybody else's files stay their own,
    /// and lose setuid and setgid bits.
    pub owner: bool,
    /// Set extended attributes (`user.*`, POSIX ACLs) from the metadata, and read them on `open`.
    pub xattrs: bool,
    /// Leave runs of zeros of at least 64 KiB as holes.
    pub sparse: bool,
    /// Permission bits of files whose source knows none; `None`: 0666 less the umask.
    pub file_mode: Option<u32>,
    /// Where a directory of very many names is sorted; `None`: `/tmp`.
    pub scratch: Option<PathBuf>,
    /// When listings read ahead. They say the same.
    pub read_ahead: ReadAhead,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            owner: true,
            xattrs: true,
            sparse: true,
            file_mode: None,
            scratch: None,
            read_ahead: ReadAhead::default(),
        }
    }
}

/// A directory as a tree.
#[derive(Debug, Clone)]
pub struct PosixTree {
    root: Arc<Root>,
}

impl PosixTree {
    /// Opens the directory `root`, which has to exist. Links in `root` itself are followed: the
    /// operator named it.
    ///
    /// # Errors
    /// `NotFound`, `Denied`; `Unacceptable` when it is no directory.
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        match Root::open(root.to_owned(), options) {
            Ok(root) => Ok(Self { root: Arc::new(root) }),
            Err(e) => Err(fault(e, format_args!("open {}", root.display()))),
        }
    }

    /// Opens the directory `below` (relative, empty = `root` itself) beneath `root`, through no
    /// symbolic link; with `make`, it and its parents are made where missing.
    ///
    /// # Errors
    /// As [`PosixTree::open`]; `NotFound` when it is missing, `Unacceptable` when a file or a link is
    /// in the way or the path climbs.
    pub fn open_below(root: &Path, below: &[u8], make: bool, options: Options) -> Result<Self> {
        let whole = Self::open(root, options)?;
        let below = below.strip_suffix(b"/").unwrap_or(below);
        if below.is_empty() {
            return Ok(whole);
        }
        let path =
            connector::TreePath::new(below).map_err(|p| Error::new(ErrorKind::Unacceptable, p.reason()))?;
        let dirs = dirs::Dirs::default();
        if make {
            dirs.make(&whole.root, path.as_bytes())?;
        } else if dirs.find(&whole.root, path.as_bytes())?.is_none() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} has no directory {}", whole.describe(), path.display()),
            ));
        }
        let inner = whole.root.below(path.as_bytes());
        match inner {
            Ok(root) => Ok(Self { root: Arc::new(root) }),
            Err(e) => Err(fault(e, format_args!("open directory {}", path.display()))),
        }
    }
}

impl PosixTree {
    /// Removes everything in the directory; the directory itself stays. Blocks for as long as it takes.
    /// Returns how many items were removed. An interrupted call is simply repeated.
    ///
    /// Nothing outside is touched: symbolic links are removed and not followed, further names of a file are
    /// removed and its others stay, and a mount point anywhere below is refused.
    ///
    /// # Errors
    /// It stops at the first thing that can't be removed, and names it: `Denied`; `Unacceptable` a mount
    /// point; `Changed` somebody moves or fills what is being emptied; `Unsupported` a kernel without
    /// `openat2`, which could not promise the above.
    pub fn empty(&self) -> Result<u64> {
        empty::empty(&self.root)
    }

    /// Bytes and number of everything below that is not a directory, our own temporary files left out. A
    /// file counts under each of its names. Blocks for as long as it takes; what can't be read, or vanishes
    /// meanwhile, is not counted.
    ///
    /// # Errors
    /// When the directory itself can't be read.
    pub fn count(&self) -> Result<(u64, u64)> {
        count::count(&self.root).map_err(|e| fault(e, format_args!("count {}", self.root.path.display())))
    }
}

#[async_trait]
impl Tree for PosixTree {
    fn describe(&self) -> String {
        self.root.path.display().to_string()
    }

    async fn probe(&self, write: bool) -> Result<Probe> {
        let root = self.root.clone();
        let what = format!("probe {}", root.path.display());
        let probed = runtime::blocking(move || {
            root.open_dir(b"")?;
            // A root that was removed behind our back still opens, but nothing can be made in it.
            if sys::fstat(&root.fd)?.nlink == 0 {
                return Err(std::io::Error::from_raw_os_error(libc::ENOENT));
            }
            if write {
                sweep::try_to_write(&root, &names::TempNames::new().next())?;
            }
            Ok(())
        })
        .await
        .map_err(|e| Error::new(ErrorKind::Other, e))?;
        probed.map_err(|e| fault(e, what))?;
        Ok(Probe { readable: true, writable: write, server: None })
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(walk::Listing::new(self.root.clone(), request))
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(lane::PosixLane::new(self.root.clone()))
    }

    fn settle(&self) -> Result<()> {
        if self.root.options.durability != Durability::Batch {
            return Ok(());
        }
        sys::syncfs(self.root.fd.as_fd())
            .map_err(|e| fault(e, format_args!("sync {}", self.root.path.display())))
    }

    async fn sweep(&self, what: &connector::Sweep) -> Result<u64> {
        let (root, run) = (self.root.clone(), what.run.clone());
        let before_ns = match i64::try_from(what.idle_s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000) {
            0 => i64::MAX,
            idle_ns => runtime::Clock::system().now().0.saturating_mul(1000).saturating_sub(idle_ns),
        };
        let what = format!("sweep {}", root.path.display());
        let swept =
            // A walk may take hours: it keeps no place of the pool, and no end of the process waits for it.
            runtime::aside("sweep", move || {
                sweep::sweep(&root, &sweep::Rule { before_ns, run: run.as_deref() })
            })
            .await;
        swept.map_err(|e| Error::new(ErrorKind::Other, e))?.map_err(|e| fault(e, what))
    }
}
