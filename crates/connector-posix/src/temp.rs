//! A file that is being written and not yet visible under its name.
//!
//! Where the file system has `O_TMPFILE`, the file has no name at all until it is linked into place:
//! about a third less work on ext4 than creating a name and renaming it, and a killed process leaves
//! nothing behind. A name that exists already takes one link and one rename more. Elsewhere the file
//! has a hidden name from the start.

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use connector::Overwrite;

use crate::dirs::{Dir, Root};
use crate::names::TempNames;
use crate::sys;

const NEW: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_RDWR;

/// The file; unless it is published, dropping it removes it.
pub(crate) struct Temp {
    pub file: File,
    dir: Rc<Dir>,
    hidden: Option<Hidden>,
}

/// A temporary name that is removed when dropped.
struct Hidden {
    dir: Rc<Dir>,
    name: String,
    there: bool,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.there {
            let _ = sys::unlinkat(self.dir.fd(), self.name.as_bytes(), 0);
        }
    }
}

impl Temp {
    /// Creates it in `dir`.
    pub(crate) fn create(root: &Root, dir: &Rc<Dir>, names: &TempNames, mode: u32) -> io::Result<Self> {
        if root.unnamed.load(Ordering::Relaxed) {
            match sys::openat(dir.fd(), b".", libc::O_TMPFILE | libc::O_RDWR, mode) {
                Ok(fd) => return Ok(Self { file: fd.into(), dir: dir.clone(), hidden: None }),
                Err(e)
                    if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) =>
                {
                    root.unnamed.store(false, Ordering::Relaxed);
                }
                Err(e) => return Err(e),
            }
        }
        let name = names.next();
        let file = sys::openat(dir.fd(), name.as_bytes(), NEW, mode)?.into();
        Ok(Self { file, dir: dir.clone(), hidden: Some(Hidden { dir: dir.clone(), name, there: true }) })
    }

    /// Makes it visible as `name`.
    pub(crate) fn publish(
        mut self,
        names: &TempNames,
        name: &[u8],
        overwrite: Overwrite,
    ) -> io::Result<File> {
        let dir = self.dir.clone();
        if self.hidden.is_none() {
            match sys::link_unnamed(&self.file, dir.fd(), name) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && overwrite == Overwrite::Always => {
                    let temp = names.next();
                    sys::link_unnamed(&self.file, dir.fd(), temp.as_bytes())?;
                    self.hidden = Some(Hidden { dir: dir.clone(), name: temp, there: true });
                }
                r => return r.map(|()| self.file),
            }
        }
        if let Some(hidden) = &mut self.hidden {
            move_into_place(&dir, hidden.name.as_bytes(), name, overwrite)?;
            hidden.there = false;
        }
        Ok(self.file)
    }
}

/// Renames within a directory, with or without replacing.
pub(crate) fn move_into_place(dir: &Dir, from: &[u8], to: &[u8], overwrite: Overwrite) -> io::Result<()> {
    if overwrite == Overwrite::Always {
        return sys::rename(dir.fd(), from, to, 0);
    }
    match sys::rename(dir.fd(), from, to, libc::RENAME_NOREPLACE) {
        // This file system can't do it in one step; a link can't replace either.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            sys::link(dir.fd(), from, dir.fd(), to)?;
            sys::unlinkat(dir.fd(), from, 0)
        }
        r => r,
    }
}

/// Puts something under a hidden name first and then renames it to `name`: for links.
pub(crate) fn place(
    dir: &Rc<Dir>,
    names: &TempNames,
    name: &[u8],
    overwrite: Overwrite,
    make: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let hidden = Hidden { dir: dir.clone(), name: names.next(), there: true };
    make(hidden.name.as_bytes())?;
    // Renaming one name of a file over another one of it does nothing; dropping `hidden` then removes it.
    move_into_place(dir, hidden.name.as_bytes(), name, overwrite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use std::io::Write;

    #[test]
    fn with_and_without_nameless_files() {
        for unnamed in [true, false] {
            let at = tempfile::tempdir().unwrap();
            let root = Root::open(at.path().to_owned(), Options::default()).unwrap();
            root.unnamed.store(unnamed, Ordering::Relaxed);
            let dir = crate::dirs::Dirs::default().make(&root, b"").unwrap();
            let names = TempNames::new();
            let put = |text: &[u8], overwrite| {
                let mut temp = Temp::create(&root, &dir, &names, 0o644)?;
                temp.file.write_all(text)?;
                temp.publish(&names, b"f", overwrite).map(drop)
            };
            put(b"one", Overwrite::Never).unwrap();
            assert_eq!(put(b"two", Overwrite::Never).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(at.path().join("f")).unwrap(), b"one");
            put(b"three", Overwrite::Always).unwrap();
            assert_eq!(std::fs::read(at.path().join("f")).unwrap(), b"three");
            drop(Temp::create(&root, &dir, &names, 0o644).unwrap());
            assert_eq!(std::fs::read_dir(at.path()).unwrap().count(), 1);
        }
    }
}
