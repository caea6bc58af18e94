//! Looking below a file system's root without being led out of it.
//!
//! A path from a request is a list of names. It is walked name by name, each opened relative to the
//! directory before it (through `/proc/self/fd`, which keeps this free of `unsafe`) and never through a
//! symbolic link, so nobody can swap a directory for a link between a check and its use. The root itself
//! is the operator's word and may be a link. Blocking; callers go through `runtime::blocking`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind, Noun, Result, Usage};

/// Longest path below the root, in bytes.
const MAX_PATH: usize = 1023;

/// The names of a path below the root; leading and trailing `/` don't count.
pub(crate) fn names(path: &str) -> Result<Vec<&str>> {
    let bad = |why: &str| Err(Error::new(ErrorKind::BadPath, format!("the path {why}")).field("path"));
    if path.contains("//") {
        return bad("has an empty component");
    }
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    if inner.len() > MAX_PATH {
        return bad("is longer than 1023 bytes");
    }
    let names: Vec<&str> = inner.split('/').collect();
    for name in &names {
        match *name {
            "." | ".." => return bad("has a `.` or `..` component"),
            n if n.len() > 255 => return bad("has a component of more than 255 bytes"),
            n if n.contains('\0') => return bad("holds a NUL byte"),
            _ => {}
        }
    }
    Ok(names)
}

/// An open directory.
pub(crate) struct Folder(File);

enum Step {
    Into(Folder),
    Missing,
}

impl Folder {
    /// The root of a file system.
    pub(crate) fn root(root: &Path) -> Result<Self> {
        open(root, libc::O_DIRECTORY).map(Self).map_err(|e| {
            let message = format!("the file system's directory {} can't be opened: {e}", root.display());
            Error::new(ErrorKind::Unreachable, message)
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    fn step(&self, name: &str) -> Result<Step> {
        match open(&self.at(name), libc::O_DIRECTORY | libc::O_NOFOLLOW) {
            Ok(file) => Ok(Step::Into(Self(file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Step::Missing),
            Err(e) => Err(self.not_a_directory(name, &e)),
        }
    }

    fn not_a_directory(&self, name: &str, e: &io::Error) -> Error {
        let what = match self.at(name).symlink_metadata() {
            Ok(m) if m.is_symlink() => "is a symbolic link, which is not followed".to_owned(),
            Ok(m) if !m.is_dir() => "is not a directory".to_owned(),
            _ => format!("can't be opened: {e}"),
        };
        Error::new(ErrorKind::BadPath, format!("{name} {what}")).field("path")
    }

    /// The directory of these names, or `None` when it is not there.
    pub(crate) fn find(root: &Path, names: &[&str]) -> Result<Option<Self>> {
        let mut folder = Self::root(root)?;
        for name in names {
            match folder.step(name)? {
                Step::Into(next) => folder = next,
                Step::Missing => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// The directory of these names; what is missing is made. Tells whether the last one was.
    pub(crate) fn make(root: &Path, names: &[&str]) -> Result<bool> {
        let mut folder = Self::root(root)?;
        let mut made = false;
        for name in names {
            made = match std::fs::create_dir(folder.at(name)) {
                Ok(()) => true,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
                Err(e) => return Err(io_error(&e, name)),
            };
            match folder.step(name)? {
                Step::Into(next) => folder = next,
                Step::Missing => return Err(Error::new(ErrorKind::BadPath, format!("{name} vanished"))),
            }
        }
        Ok(made)
    }

    pub(crate) fn is_empty(&self) -> Result<bool> {
        let mut entries = std::fs::read_dir(self.at(".")).map_err(|e| io_error(&e, "the directory"))?;
        Ok(entries.next().is_none())
    }

    /// Removes an empty directory of this folder. `false` = it is not empty.
    pub(crate) fn remove_empty(&self, name: &str) -> Result<bool> {
        match std::fs::remove_dir(self.at(name)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(e) => Err(io_error(&e, name)),
        }
    }

    /// Reads a regular file of this folder, `max` bytes at most.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        let missing = || Error::new(ErrorKind::NotFound(Noun::ListFile), format!("{name} does not exist"));
        // Not blocking: a fifo without a writer would hold the call for ever.
        let file = match open(&self.at(name), libc::O_NOFOLLOW | libc::O_NONBLOCK) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(e) => return Err(self.not_a_file(name, &e)),
        };
        let meta = file.metadata().map_err(|e| io_error(&e, name))?;
        if !meta.is_file() {
            return Err(Error::new(ErrorKind::BadPath, format!("{name} is not a regular file")).field("path"));
        }
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| io_error(&e, name))?;
        if bytes.len() as u64 > max {
            let message = format!("{name} is longer than {max} bytes");
            return Err(Error::new(ErrorKind::LimitExceeded, message).field("path"));
        }
        Ok(bytes)
    }

    fn not_a_file(&self, name: &str, e: &io::Error) -> Error {
        match self.at(name).symlink_metadata() {
            Ok(m) if m.is_symlink() => {
                let message = format!("{name} is a symbolic link, which is not followed");
                Error::new(ErrorKind::BadPath, message).field("path")
            }
            _ => io_error(e, name),
        }
    }
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    File::options().read(true).custom_flags(flags | libc::O_CLOEXEC).open(path)
}

fn io_error(e: &io::Error, what: &str) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => ErrorKind::BadPath,
        _ => ErrorKind::Unreachable,
    };
    Error::new(kind, format!("{what}: {e}"))
}

/// How full the disk below `root` is.
pub(crate) fn usage(root: &Path) -> Result<Usage> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(root.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::BadPath, "the file system's directory holds a NUL byte"))?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is a NUL-terminated string and `stat` has room for what is written.
    #[allow(unsafe_code)]
    let done = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) };
    if done != 0 {
        return Err(io_error(&io::Error::last_os_error(), "the file system's directory"));
    }
    // SAFETY: the call above has filled it.
    #[allow(unsafe_code)]
    let s = unsafe { stat.assume_init() };
    let block = s.f_frsize;
    Ok(Usage {
        bytes_used: s.f_blocks.saturating_sub(s.f_bfree).saturating_mul(block),
        bytes_total: s.f_blocks.saturating_mul(block),
        files_used: s.f_files.saturating_sub(s.f_ffree),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_or_alias_are_refused() {
        for bad in
            ["..", "/../x/", "/a/../b/", "a/./b", "//", "a//b", "/a\0/", &"x".repeat(256), &"a/".repeat(600)]
        {
            assert_eq!(names(bad).unwrap_err().kind, ErrorKind::BadPath, "{bad:?}");
        }
        assert_eq!(names("/").unwrap(), Vec::<&str>::new());
        assert_eq!(names("/a/...b/").unwrap(), ["a", "...b"]);
    }

    #[test]
    fn links_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::create_dir_all(outside.join("sub")).unwrap();
        std::fs::write(outside.join("secret"), b"hush").unwrap();
        std::fs::write(root.join("list"), b"a\nb\n").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("out")).unwrap();
        std::os::unix::fs::symlink("real", root.join("inside")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), root.join("leak")).unwrap();
        assert!(Folder::find(&root, &["real", "deep"]).unwrap().is_some());
        assert!(Folder::find(&root, &["real", "none"]).unwrap().is_none());
        for path in [&["out"][..], &["out", "sub"], &["inside", "deep"], &["list"]] {
            assert_eq!(Folder::find(&root, path).err().unwrap().kind, ErrorKind::BadPath, "{path:?}");
            assert_eq!(Folder::make(&root, path).unwrap_err().kind, ErrorKind::BadPath, "{path:?}");
        }
        assert_eq!(Folder::make(&root, &["out", "new"]).unwrap_err().kind, ErrorKind::BadPath);
        assert!(!outside.join("new").exists());
        let top = Folder::root(&root).unwrap();
        assert_eq!(top.read("leak", 100).unwrap_err().kind, ErrorKind::BadPath);
        assert_eq!(top.read("none", 100).unwrap_err().kind, ErrorKind::NotFound(Noun::ListFile));
        assert_eq!(top.read("list", 4).unwrap(), b"a\nb\n");
        assert_eq!(top.read("list", 3).unwrap_err().kind, ErrorKind::LimitExceeded);
        assert_eq!(top.read("real", 3).unwrap_err().kind, ErrorKind::BadPath);
    }

    #[test]
    fn a_file_in_place_of_the_root_and_a_full_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/f"), [0; 10]).unwrap();
        std::fs::write(dir.path().join("a/g"), [0; 5]).unwrap();
        let folder = Folder::find(dir.path(), &["a"]).unwrap().unwrap();
        assert!(!folder.is_empty().unwrap());
        assert!(!Folder::root(dir.path()).unwrap().remove_empty("a").unwrap());
        assert_eq!(Folder::root(&dir.path().join("a/g")).err().unwrap().kind, ErrorKind::Unreachable);
        assert!(usage(dir.path()).unwrap().bytes_total > 0);
    }
}
