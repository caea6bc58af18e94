//! Where data lives: accounts, file systems, filesets and object stores of the resource catalogue.

use std::fmt;
use std::path::PathBuf;

use crate::{AccountId, FileSystemId, FilesetId, ObjectStoreId, Timestamp};

/// Bytes that only the holder of the master key can read. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Who may call. One access key per account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Identifier, also Alibaba's account uid and Tencent's `Uin`.
    pub id: AccountId,
    /// Name for people.
    pub name: String,
    /// `SecretId` / `AccessKeyId` / `AK`.
    pub access_key_id: String,
    /// The secret half.
    pub secret: Sealed,
    /// Tencent's `AppId`.
    pub app_id: String,
    /// May use the operator's door.
    pub operator: bool,
    /// Switched off accounts are refused.
    pub active: bool,
    /// Does `wharf.toml` declare it?
    pub declared: Declared,
    /// SHA-256 of its access tokens, in hex.
    pub tokens: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// An account's standing in `wharf.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Declared {
    /// It was made by command.
    #[default]
    Never,
    /// It is declared.
    Now,
    /// It was, and was switched off when it no longer was; declared again it comes back.
    Before,
}

/// Who put a resource into the catalogue. What `wharf.toml` declares can only be changed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `wharf.toml`.
    Config,
    /// Command line, console or an API call.
    Registered,
}

/// Which product a file system is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Tencent CFS (`cfs-…`).
    Cfs,
    /// Alibaba general-purpose CPFS (`cpfs-…`).
    CpfsGeneral,
    /// Alibaba CPFS for Lingjun (`bmcpfs-…`).
    CpfsLingjun,
}

/// A directory of this machine that is shown as a cloud file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Identifier.
    pub id: FileSystemId,
    /// Product.
    pub product: Product,
    /// Absolute directory that holds it.
    pub root: PathBuf,
    /// Version that is reported (`2.7.0`, `v4.0`).
    pub version: String,
    /// Words.
    pub description: String,
    /// Capacity that is reported, GiB.
    pub capacity_gib: u64,
    /// Bandwidth that is reported, MB/s.
    pub bandwidth_mbps: u64,
    /// Region that is reported.
    pub region: String,
    /// Zone that is reported.
    pub zone: String,
    /// The operator allows operations that destroy files here, as the product does (creating a
    /// general-purpose flow on a fileset that is not empty, `DeleteFileset`).
    pub allow_destroy: bool,
    /// Where the entry comes from.
    pub origin: Origin,
    /// When it was declared first.
    pub created: Timestamp,
}

/// State of a fileset (Alibaba's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesetStatus {
    /// Being made.
    Creating,
    /// Usable.
    Created,
    /// Being removed.
    Releasing,
    /// Removed.
    Released,
}

/// Limits of a fileset. `None` = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Bytes.
    pub size_limit: Option<u64>,
    /// Files.
    pub file_count_limit: Option<u64>,
}

/// How a fileset is removed, as it was decided when that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Root of its file system at that time, absolute.
    pub root: PathBuf,
    /// Its files may be destroyed; otherwise only an empty one goes.
    pub destroy: bool,
}

/// A directory of a file system with a name and a quota of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fileset {
    /// Identifier.
    pub id: FilesetId,
    /// Owner.
    pub account: AccountId,
    /// File system.
    pub file_system: FileSystemId,
    /// Path inside the file system, starts and ends with `/`.
    pub path: String,
    /// Words.
    pub description: String,
    /// Refuses deletion.
    pub deletion_protection: bool,
    /// Limits.
    pub quota: Option<Quota>,
    /// State.
    pub status: FilesetStatus,
    /// What the request said that made it `Releasing`; whoever goes on with the removal obeys it.
    pub release: Option<Release>,
    /// Bytes in use when last counted.
    pub space_used: u64,
    /// Files when last counted.
    pub files_used: u64,
    /// When they were; `None` = not yet, and the two above say nothing.
    pub counted: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Which vendor's words an object store uses for headers. All speak the S3 API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `x-amz-…`
    S3,
    /// `x-cos-…`
    Cos,
    /// `x-oss-…`
    Oss,
    /// `x-obs-…`
    Obs,
}

/// An object store endpoint of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStore {
    /// Identifier.
    pub id: ObjectStoreId,
    /// `http://host:port` or `https://host`.
    pub url: String,
    /// Region for signing.
    pub region: String,
    /// Header words.
    pub dialect: Dialect,
    /// `https://host/bucket/key` instead of `https://bucket.host/key`.
    pub path_style: bool,
    /// Access key used where a request brings none.
    pub access_key_id: Option<String>,
    /// Its secret half.
    pub secret: Option<Sealed>,
    /// Buckets it answers for; `*` = any, `name*` = a prefix.
    pub buckets: Vec<String>,
    /// Host names in vendors' addresses that mean this store (`*.cos.ap-guangzhou.myqcloud.com`,
    /// `<bucket>` first); `*` matches any run of characters.
    pub hosts: Vec<String>,
    /// PEM of a further certificate authority.
    pub ca_pem: Option<String>,
    /// Where the entry comes from.
    pub origin: Origin,
    /// When it was declared first.
    pub created: Timestamp,
}
