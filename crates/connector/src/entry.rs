//! What a listing says of one item, and the metadata that travels with it.

use crate::TreePath;

/// What kind of item an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file or an ordinary object.
    File,
    /// A directory or a directory marker (`key/`).
    Dir,
    /// A symbolic link; a POSIX listing fills in the target, an object listing can't know and says `File`.
    Symlink {
        /// What the link holds, byte for byte.
        target: Box<[u8]>,
    },
    /// A further name of a file that was listed before (same inode).
    HardLink {
        /// The name under which the content was listed first.
        first: TreePath,
    },
    /// A fifo, socket or device: never moved, always reported.
    Special,
}

/// One item of a listing. Listings are sorted by key bytes, where a directory's key ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, relative to the tree's root.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// Content length in bytes. A symbolic link's content is its target, as `lstat` and an object that
    /// keeps a link both have it; a further name of a file has the file's. 0 for directories and specials.
    pub size: u64,
    /// Last change in ns since the epoch: mtime of a file, `LastModified` of an object.
    pub modified_ns: i64,
    /// Identity of this version: an object's ETag without quotes, or `ino-ctime_ns` of a file.
    pub version: Option<Box<str>>,
    /// Full metadata where the listing has it for free (POSIX); `None` for objects.
    pub meta: Option<Box<Meta>>,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Full name with its namespace (`user.x`, `system.posix_acl_access`).
    pub name: Box<[u8]>,
    /// Value.
    pub value: Box<[u8]>,
}

/// POSIX metadata of an item. `None` = the source doesn't know; the destination keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Modification time, ns since the epoch.
    pub mtime_ns: Option<i64>,
    /// Access time, ns since the epoch.
    pub atime_ns: Option<i64>,
    /// Permission bits (`0o7777`), without the type.
    pub mode: Option<u32>,
    /// Numeric owner.
    pub uid: Option<u32>,
    /// Numeric group.
    pub gid: Option<u32>,
    /// Extended attributes that travel (user.* and POSIX ACLs), sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Target, when the item is a symbolic link kept in an object.
    pub symlink: Option<Box<[u8]>>,
    /// First name, when the item is a further name of another file of the same tree.
    pub hard_link: Option<TreePath>,
    /// What an object says of itself to its readers, for a destination that is an object too: system headers
    /// (`content-type`, …) by their names and user metadata as `x-amz-meta-<name>`, without what the fields
    /// above hold. Empty for files.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// Our mark on what we wrote: it makes a second run see that nothing changed, and a resumed run see
/// what it had already done. Files keep it in the xattr `user.wharf.origin`, objects in user metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The run that wrote it (a task id; empty for `wharf copy`).
    pub run: Box<str>,
    /// [`Entry::version`] of the source at that time.
    pub version: Box<str>,
    /// Size of the source at that time.
    pub size: u64,
}
