//! Full comparison of directory trees: type, mode, owner, size, time, hard links, link targets,
//! extended attributes, content.
//!
//! Nothing is followed and nothing is changed. Paths are bytes. Sparseness is noted but not compared
//! unless asked for: how many blocks a file takes is the file system's affair.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read as _, Result};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A pipe, socket or device.
    Special,
}

/// Everything about one entry that a copy must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type.
    pub kind: Kind,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes; 0 for what is no file.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// The first path of the hard-linked files that this one is one of; `None` for a file with one name.
    pub linked_to: Option<PathBuf>,
    /// Where a symbolic link points.
    pub target: Option<PathBuf>,
    /// Extended attributes `user.*` and `system.posix_acl_*`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// CRC-64/NVME of the content.
    pub digest: u64,
    /// Bytes that are really allocated.
    pub allocated: u64,
}

/// A tree by path relative to its root; the root itself is `""`.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// What is left out of a comparison.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leave {
    /// Owner and group.
    pub owner: bool,
    /// Permission bits.
    pub mode: bool,
    /// Times of everything.
    pub mtime: bool,
    /// Times of directories.
    pub dir_mtime: bool,
    /// Which names share a file.
    pub links: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// The root's own attributes.
    pub root: bool,
    /// Directories without entries.
    pub empty_dirs: bool,
}

/// Reads a tree.
///
/// # Errors
/// When something in it can't be read.
pub fn snapshot(root: &Path) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    let mut names: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        let meta = std::fs::symlink_metadata(&full)?;
        let entry = read(&full, &meta)?;
        if entry.kind == Kind::Dir {
            for child in std::fs::read_dir(&full)? {
                open.push(path.join(child?.file_name()));
            }
        } else if meta.nlink() > 1 {
            names.entry((meta.dev(), meta.ino())).or_default().push(path.clone());
        }
        all.insert(path, entry);
    }
    for mut group in names.into_values().filter(|g| g.len() > 1) {
        group.sort();
        for path in &group {
            if let Some(entry) = all.get_mut(path) {
                entry.linked_to = group.first().cloned();
            }
        }
    }
    Ok(all)
}

fn read(full: &Path, meta: &std::fs::Metadata) -> Result<Entry> {
    let kind = match meta.file_type() {
        t if t.is_dir() => Kind::Dir,
        t if t.is_file() => Kind::File,
        t if t.is_symlink() => Kind::Symlink,
        t => {
            debug_assert!(t.is_fifo() || t.is_socket() || t.is_block_device() || t.is_char_device());
            Kind::Special
        }
    };
    let is_file = kind == Kind::File;
    Ok(Entry {
        kind,
        mode: if kind == Kind::Symlink { 0 } else { meta.mode() & 0o7777 },
        uid: meta.uid(),
        gid: meta.gid(),
        size: if is_file { meta.len() } else { 0 },
        mtime_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
        linked_to: None,
        target: if kind == Kind::Symlink { Some(std::fs::read_link(full)?) } else { None },
        xattrs: if matches!(kind, Kind::Dir | Kind::File) { xattrs(full)? } else { BTreeMap::new() },
        digest: if is_file { digest(full)? } else { 0 },
        allocated: meta.blocks() * 512,
    })
}

fn digest(full: &Path) -> Result<u64> {
    let mut file = File::open(full)?;
    let mut sum = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.finalize()),
            n => sum.update(&buffer[..n]),
        }
    }
}

/// The attributes that a copy must keep. File systems without attributes have none.
fn xattrs(full: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let path = CString::new(full.as_os_str().as_bytes())?;
    let Some(list) = sized(|buffer, len| list_names(&path, buffer, len))? else { return Ok(BTreeMap::new()) };
    let mut all = BTreeMap::new();
    for name in list.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let text = OsStr::from_bytes(name).to_string_lossy().into_owned();
        if !text.starts_with("user.") && !text.starts_with("system.posix_acl_") {
            continue;
        }
        let name = CString::new(name)?;
        if let Some(value) = sized(|buffer, len| get_value(&path, &name, buffer, len))? {
            all.insert(text, value);
        }
    }
    Ok(all)
}

/// Calls with growing buffers until the answer fits.
fn sized(call: impl Fn(*mut libc::c_char, usize) -> isize) -> Result<Option<Vec<u8>>> {
    let mut buffer = vec![0_u8; 4096];
    loop {
        let n = call(buffer.as_mut_ptr().cast(), buffer.len());
        if let Ok(n) = usize::try_from(n) {
            buffer.truncate(n);
            return Ok(Some(buffer));
        }
        let e = std::io::Error::last_os_error();
        match e.raw_os_error() {
            Some(libc::ERANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Some(libc::ENOTSUP | libc::ENODATA) => return Ok(None),
            _ => return Err(e),
        }
    }
}

#[allow(unsafe_code, reason = "no safe call for it in std; the buffer is valid for len bytes")]
fn list_names(path: &CString, buffer: *mut libc::c_char, len: usize) -> isize {
    unsafe { libc::llistxattr(path.as_ptr(), buffer, len) }
}

#[allow(unsafe_code, reason = "no safe call for it in std; the buffer is valid for len bytes")]
fn get_value(path: &CString, name: &CString, buffer: *mut libc::c_char, len: usize) -> isize {
    unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer.cast(), len) }
}

/// The differences between two trees, one a line; empty when they are alike.
#[must_use]
pub fn diff(left: &Snapshot, right: &Snapshot, leave: Leave) -> Vec<String> {
    let mut out = Vec::new();
    let paths: std::collections::BTreeSet<&PathBuf> = left.keys().chain(right.keys()).collect();
    for path in paths {
        let shown = if path.as_os_str().is_empty() { "." } else { &*path.to_string_lossy() };
        match (left.get(path), right.get(path)) {
            (Some(one), None) if !(leave.empty_dirs && one.kind == Kind::Dir) => {
                out.push(format!("{shown}: only on the left ({:?})", one.kind));
            }
            (None, Some(one)) if !(leave.empty_dirs && one.kind == Kind::Dir) => {
                out.push(format!("{shown}: only on the right ({:?})", one.kind));
            }
            (Some(l), Some(r)) if !(leave.root && path.as_os_str().is_empty()) => {
                compare(shown, l, r, leave, &mut out)
            }
            _ => {}
        }
    }
    out
}

fn compare(path: &str, l: &Entry, r: &Entry, leave: Leave, out: &mut Vec<String>) {
    let mut say = |what: &str, l: String, r: String| out.push(format!("{path}: {what} {l} ≠ {r}"));
    if l.kind != r.kind {
        return say("type", format!("{:?}", l.kind), format!("{:?}", r.kind));
    }
    if !leave.mode && l.mode != r.mode {
        say("mode", format!("{:o}", l.mode), format!("{:o}", r.mode));
    }
    if !leave.owner && (l.uid, l.gid) != (r.uid, r.gid) {
        say("owner", format!("{}:{}", l.uid, l.gid), format!("{}:{}", r.uid, r.gid));
    }
    if l.size != r.size {
        say("size", l.size.to_string(), r.size.to_string());
    }
    if !(leave.mtime || leave.dir_mtime && l.kind == Kind::Dir) && l.mtime_ns != r.mtime_ns {
        say("mtime", l.mtime_ns.to_string(), r.mtime_ns.to_string());
    }
    if l.target != r.target {
        say("target", format!("{:?}", l.target), format!("{:?}", r.target));
    }
    if !leave.links && l.linked_to != r.linked_to {
        say("hard link to", format!("{:?}", l.linked_to), format!("{:?}", r.linked_to));
    }
    if !leave.xattrs && l.xattrs != r.xattrs {
        say("xattrs", format!("{:?}", l.xattrs), format!("{:?}", r.xattrs));
    }
    if l.digest != r.digest {
        say("content", format!("{:016x}", l.digest), format!("{:016x}", r.digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn make() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |p: &str| dir.path().join(p);
        std::fs::create_dir_all(at("d/empty")).unwrap();
        std::fs::write(at("d/f"), b"content").unwrap();
        std::fs::hard_link(at("d/f"), at("d/g")).unwrap();
        symlink("../nowhere", at("d/l")).unwrap();
        std::fs::write(dir.path().join(OsStr::from_bytes(b"odd\xff\nname")), b"").unwrap();
        for p in ["d/f", "d/empty", "d", ""] {
            File::open(at(p))
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(5, 7))
                .unwrap();
        }
        dir
    }

    #[test]
    fn a_tree_is_like_itself_and_each_change_shows() {
        let (a, b) = (make(), make());
        let leave = Leave { mtime: true, ..Leave::default() };
        let first = snapshot(a.path()).unwrap();
        assert_eq!(first.len(), 7);
        assert_eq!(first[Path::new("d/g")].linked_to.as_deref(), Some(Path::new("d/f")));
        assert_eq!(first[Path::new("d/f")].mtime_ns, 5_000_000_007);
        assert_eq!(diff(&first, &snapshot(b.path()).unwrap(), leave), Vec::<String>::new());
        let at = |p: &str| b.path().join(p);
        std::fs::write(at("d/f"), b"cOntent").unwrap();
        std::fs::set_permissions(at("d/empty"), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::remove_file(at("d/l")).unwrap();
        symlink("elsewhere", at("d/l")).unwrap();
        std::fs::write(at("new"), b"").unwrap();
        let found = diff(&first, &snapshot(b.path()).unwrap(), leave);
        assert_eq!(found.len(), 5, "{found:?}");
        std::fs::remove_file(at("d/g")).unwrap();
        std::fs::write(at("d/g"), b"cOntent").unwrap();
        let found = diff(&first, &snapshot(b.path()).unwrap(), leave);
        assert_eq!(found.iter().filter(|f| f.contains("hard link")).count(), 2, "{found:?}");
    }
}
