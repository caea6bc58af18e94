//! Entering a network namespace, and noticing that it was replaced.
//!
//! A thread that is in a namespace keeps it alive after its name is gone, and sees nothing any more. So the file that named
//! it is looked at again and again: another inode, or none, means that the namespace is gone.

use crate::options::Namespace;
use crate::sys;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The namespace that a thread began in, to go back to: a thread that stays keeps a namespace alive that is gone for all others.
#[derive(Debug)]
pub(crate) struct Home(File);

impl Home {
    /// That of this thread.
    pub(crate) fn here() -> std::io::Result<Self> {
        Ok(Self(File::open("/proc/thread-self/ns/net")?))
    }

    /// Goes back.
    pub(crate) fn go(&self) -> std::io::Result<()> {
        sys::enter_namespace(self.0.as_fd())
    }
}

/// Why a namespace can't be observed.
#[derive(Debug)]
pub(crate) enum NoPlace {
    /// It isn't there, or lacks something.
    Absent(String),
    /// It may not be entered.
    Denied(String),
}

impl From<String> for NoPlace {
    fn from(told: String) -> Self {
        Self::Absent(told)
    }
}

/// A namespace that this thread is in.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Moves this thread into the namespace.
    pub(crate) fn enter(namespace: &Namespace) -> Result<Self, NoPlace> {
        let path = path_of(namespace);
        let told = |e: std::io::Error| {
            let told = format!("network namespace {}: {e}", path.display());
            if e.kind() == std::io::ErrorKind::PermissionDenied {
                NoPlace::Denied(told)
            } else {
                NoPlace::Absent(told)
            }
        };
        let file = File::open(&path).map_err(told)?;
        let found = file.metadata().map_err(told)?;
        if *namespace != Namespace::Own {
            sys::enter_namespace(file.as_fd()).map_err(told)?;
        }
        Ok(Self { device: found.dev(), inode: found.ino(), path })
    }

    /// The kernel's number of the namespace.
    pub(crate) fn number(&self) -> u32 {
        self.inode as u32
    }

    /// Does the name still mean this namespace?
    pub(crate) fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|m| m.dev() == self.device && m.ino() == self.inode)
    }
}

fn path_of(namespace: &Namespace) -> PathBuf {
    match namespace {
        // The process may have been started in another namespace than its first thread is in now; a thread's own is meant.
        Namespace::Own => PathBuf::from("/proc/thread-self/ns/net"),
        Namespace::Named(name) => Path::new("/run/netns").join(name),
        Namespace::File(path) => path.clone(),
    }
}
