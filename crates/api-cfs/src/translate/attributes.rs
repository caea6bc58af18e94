//! Names under which this door keeps its own words on flows and tasks.
//!
//! They are part of what lies on disk: a name is never given another meaning. Values are as the
//! request wrote them, so that answers show a user's own spelling.

/// Flow: `SourceStorageType`.
pub const SOURCE_TYPE: &str = "SourceStorageType";
/// Flow: `SourceStorageAddress`.
pub const SOURCE_ADDRESS: &str = "SourceStorageAddress";
/// Flow: `SourcePath`.
pub const SOURCE_PATH: &str = "SourcePath";
/// Flow: `TargetPath`.
pub const TARGET_PATH: &str = "TargetPath";
/// Flow: `0` or `1`.
pub const AUTO_REFRESH: &str = "AutoRefresh";
/// Flow: when auto refresh was switched on, microseconds since the epoch.
pub const AUTO_REFRESH_TIME: &str = "AutoRefreshTime";
/// Flow: the topic with the bucket's events.
pub const KAFKA_TOPIC: &str = "UserKafkaTopic";
/// Flow: where the topic is.
pub const SERVER_ADDR: &str = "ServerAddr";
/// Flow: who reads it.
pub const USER_NAME: &str = "UserName";
/// Flow, sealed: the reader's password. Where it is absent, it is `<SecretId>#<SecretKey>` of the
/// flow's own key at the time of use, so that a changed key changes it too.
pub const PASSWORD: &str = "Password";

/// Task: [`LIFECYCLE`] or [`MIGRATION`].
pub const FAMILY: &str = "Family";
/// A lifecycle task.
pub const LIFECYCLE: &str = "lifecycle";
/// A migration task.
pub const MIGRATION: &str = "migration";

/// Lifecycle: `Type`.
pub const TYPE: &str = "Type";
/// Both: `TaskName`, for exact filters on several values.
pub const TASK_NAME: &str = "TaskName";
/// Lifecycle: `FileSystemId`, for filters on several values.
pub const FILE_SYSTEM_ID: &str = "FileSystemId";
/// Lifecycle: `TaskPath`.
pub const TASK_PATH: &str = "TaskPath";
/// Lifecycle: `ListPath`.
pub const LIST_PATH: &str = "ListPath";
/// Lifecycle: `true` or `false`.
pub const IS_OVERWRITE: &str = "IsOverwrite";

/// Migration: the request's fields by these names.
pub const MIGRATION_WORDS: [&str; 7] =
    ["BucketName", "BucketRegion", "BucketAddress", "ListAddress", "FsName", "FsPath", "BucketPath"];
/// Migration: `MigrationType`.
pub const MIGRATION_TYPE: &str = "MigrationType";
/// Migration: `CoverType`.
pub const COVER_TYPE: &str = "CoverType";
/// Migration: `Direction`.
pub const DIRECTION: &str = "Direction";
/// Migration: `SrcService`.
pub const SRC_SERVICE: &str = "SrcService";
