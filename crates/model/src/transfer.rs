//! What a transfer task is asked to do.

use std::path::PathBuf;

use crate::{FileSystemId, ObjectStoreId, Sealed};

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Object store → directory (import, restore, migration to a file system).
    Import,
    /// Directory → object store (export, archive, migration to a bucket).
    Export,
}

/// An access key pair that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `SecretId`.
    pub access_key_id: String,
    /// `SecretKey`.
    pub secret: Sealed,
}

/// The bucket's side of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEnd {
    /// Endpoint of the catalogue.
    pub store: ObjectStoreId,
    /// Bucket.
    pub bucket: String,
    /// Key prefix: empty, or ends with `/`. No leading `/`.
    pub prefix: String,
}

/// The directory's side of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEnd {
    /// File system of the catalogue.
    pub file_system: FileSystemId,
    /// Its root directory when the flow or task was made.
    pub root: PathBuf,
    /// Path below the root: empty, or ends with `/`. No leading `/`.
    pub path: String,
}

/// Which items of the source are meant. Paths are relative to the source end, without leading `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    All,
    /// Only these sub-directories (each ends with `/`).
    Includes(Vec<String>),
    /// Only these files; one that ends with `/` means the directory and all below it.
    Entries(Vec<String>),
    /// The union of the `Name,Type` rows of every `*.csv` object under this key prefix (bucket-absolute).
    CsvUnder(String),
    /// Lines of this file of the file system, each a path relative to the source end.
    ListFile(String),
    /// Lines of the object behind this `http(s)` address: keys or addresses of objects.
    ListUrl(String),
    /// One file under another name.
    One {
        /// Relative to the source end.
        from: String,
        /// Relative to the destination end.
        to: String,
        /// What the source must be.
        condition: Precondition,
    },
}

/// What a single file must be, or the transfer fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Precondition {
    /// Modification time in ns.
    pub mtime_ns: Option<i64>,
    /// Size in bytes.
    pub size: Option<u64>,
}

/// What to do where the destination already has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictPolicy {
    /// Leave it alone.
    Skip,
    /// The later modification time wins.
    KeepLatest,
    /// Always write.
    Overwrite,
    /// Write unless it is known to be the same (our mark, or size and time agree).
    IfChanged,
}

/// What of an item is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Names, sizes, times, owners, modes; bytes on first read.
    Metadata,
    /// Bytes of files that are already laid down.
    Data,
    /// Both.
    MetaAndData,
}

/// Whose words the metadata on objects uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataDialect {
    /// `file-mtime`, `file-permissions`, …: everything survives the round trip.
    Native,
    /// CPFS for Lingjun: mtime only.
    AlibabaLingjun,
    /// General-purpose CPFS: `afm-…`.
    AlibabaGeneral,
    /// CFS: as native.
    TencentCfs,
}

/// A transfer, complete enough to be run again after a restart by whoever has the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferSpec {
    /// Which way.
    pub direction: Direction,
    /// Bucket's side.
    pub object: ObjectEnd,
    /// Key of the request or flow; `None` = the catalogue's.
    pub credentials: Option<Credentials>,
    /// Directory's side.
    pub directory: DirectoryEnd,
    /// Which items.
    pub selection: Selection,
    /// Conflicts.
    pub conflict: ConflictPolicy,
    /// What of them.
    pub data: DataType,
    /// Metadata words.
    pub dialect: MetadataDialect,
    /// Make the destination directory when it is missing (import).
    pub create_directory: bool,
    /// Mode for files whose object carries none.
    pub default_file_mode: u32,
    /// Mode for directories whose object carries none.
    pub default_dir_mode: u32,
}
