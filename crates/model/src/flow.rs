//! A flow: a standing binding of a directory and a bucket prefix.

use std::collections::BTreeMap;

use crate::{AccountId, Credentials, DirectoryEnd, Door, FilesetId, FlowId, ObjectEnd, Timestamp};

/// State of a flow, the union of what the products know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowStatus {
    /// Being made or started (CFS: pending).
    Starting,
    /// In order (CFS: available).
    Running,
    /// Being changed.
    Updating,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
    /// Being removed.
    Deleting,
    /// The source can't be reached or refuses the key (CFS: unavailable).
    Misconfigured,
}

impl FlowStatus {
    /// Stable name used in records, the operator's door and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Updating => "updating",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deleting => "deleting",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// May a flow in this state be told to go to `to`?
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use FlowStatus as S;
        matches!(
            (self, to),
            (S::Starting, S::Running | S::Misconfigured | S::Deleting)
                | (S::Running, S::Updating | S::Stopping | S::Deleting | S::Misconfigured | S::Stopped)
                | (S::Updating, S::Running | S::Misconfigured)
                | (S::Stopping, S::Stopped)
                | (S::Stopped, S::Starting | S::Deleting | S::Running)
                | (S::Misconfigured, S::Running | S::Updating | S::Deleting | S::Stopped)
        )
    }
}

/// A standing binding of two locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Identifier, in the product's form.
    pub id: FlowId,
    /// Owner.
    pub account: AccountId,
    /// Which door made it.
    pub door: Door,
    /// The directory's side.
    pub directory: DirectoryEnd,
    /// Fileset, where the product binds one.
    pub fileset: Option<FilesetId>,
    /// The bucket's side.
    pub object: ObjectEnd,
    /// Key of its own (CFS); otherwise the catalogue's is used.
    pub credentials: Option<Credentials>,
    /// State.
    pub status: FlowStatus,
    /// Why it is misconfigured.
    pub error: Option<String>,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// What only its door understands, in the product's words (`AutoRefresh`, `Throughput`, …). No secrets.
    pub attributes: BTreeMap<String, String>,
    /// Secrets that only its door understands (`Password`), sealed.
    pub sealed_attributes: BTreeMap<String, crate::Sealed>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}
