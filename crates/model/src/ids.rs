//! Identifiers and time.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                Self(s.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self(s)
            }
        }
    )*};
}

ids! {
    /// An account of this server. Everything that is created belongs to one.
    AccountId,
    /// A file system of the catalogue: `cfs-…`, `cpfs-…`, `bmcpfs-…`.
    FileSystemId,
    /// An object store endpoint of the catalogue.
    ObjectStoreId,
    /// A fileset inside a file system: `fset-…`.
    FilesetId,
    /// A data flow: `cfs-dataflow-…`, `df-…`.
    FlowId,
    /// A task or subtask: `task-…`, `cfsmigrate-…`, `subtask-…`.
    TaskId,
    /// A pipeline: `task-…`.
    PipelineId,
    /// A connection: `resource-…`, or the identifier that `wharf.toml` gives one (`ckafka-…`).
    ConnectionId,
    /// A flow log: `fl-…`.
    FlowLogId,
}

/// Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}
