//! What is handed in and out beside the model's nouns.

mod flow_logs;
mod streams;

use std::collections::BTreeMap;

use model::{
    AccountId, Credentials, DirectoryEnd, Door, FileSystemId, FilesetId, FlowId, ObjectEnd, Originator,
    Quota, Sealed, TaskId, TaskKind, TransferSpec,
};

pub use flow_logs::{FlowLogChange, FlowLogFilter, FlowLogOrder, NewFlowLog, TagFilter};
pub use streams::{
    ClusterRef, ConnectionChange, ConnectionFilter, FetchedRecord, GroupOffset, NewConnection, NewPipeline,
    NewRecord, NewTopic, PipelineChange, PipelineFilter, Produced, SyncKind, TopicChange, TopicFilter,
    Transformed,
};

pub(crate) use streams::{DUMP, SYNC};

/// Who asks. Reads and changes are limited to the account's own flows, tasks and filesets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Account; owner of what is made.
    pub account: AccountId,
    /// Sees and may change everything.
    pub operator: bool,
}

impl Caller {
    /// An account.
    #[must_use]
    pub fn account(id: AccountId) -> Self {
        Self { account: id, operator: false }
    }

    /// The operator's door.
    #[must_use]
    pub fn operator() -> Self {
        Self { account: AccountId::from("operator"), operator: true }
    }
}

/// Bounds. The defaults are the products'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Flows of one file system.
    pub flows_per_file_system: u32,
    /// Filesets of one file system.
    pub filesets_per_file_system: u32,
    /// Batch tasks of one flow that run at once; more wait. Pass it to [`store::Options`] too.
    pub concurrent_batch_tasks_per_flow: u32,
    /// Tasks of one account that wait at once.
    pub waiting_tasks: u32,
    /// Days that ended tasks, their receipts and reports are kept.
    pub history_days: u32,
    /// Seconds that a plan may take.
    pub plan_seconds: u64,
    /// Seconds that a probe may take.
    pub probe_seconds: u64,
    /// Seconds that the address of a report opens it.
    pub report_link_seconds: u64,
    /// Seconds that a request waits for a directory to be emptied; the work goes on behind it.
    pub empty_seconds: u64,
    /// Milliseconds that a request waits for a fileset to be counted.
    pub count_wait_ms: u64,
    /// Pipelines of one account that are not deleted.
    pub pipelines_per_account: u32,
    /// Connections of one account.
    pub connections_per_account: u32,
    /// Topics of one account.
    pub topics_per_account: u32,
    /// Flow logs of one account.
    pub flow_logs_per_account: u32,
    /// Seconds that a deleted pipeline can be read, and dead letters that are done with.
    pub deleted_pipeline_seconds: u64,
    /// Messages of one `send_messages`, and bytes of all of them.
    pub messages_per_call: (u32, u64),
    /// Names of a manifest that a verification holds at a time, 8 bytes each.
    pub verified_names: u64,
    /// Seconds after which what interrupted tasks left at their destinations is removed; 0 = never.
    pub sweep_after_seconds: u64,
    /// Those of the DIS API.
    pub dis: crate::DisLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows_per_file_system: 10,
            filesets_per_file_system: 10,
            concurrent_batch_tasks_per_flow: 4,
            waiting_tasks: 1000,
            history_days: 90,
            plan_seconds: 20,
            probe_seconds: 3,
            report_link_seconds: 24 * 3600,
            // The SDKs give up after 10 s.
            empty_seconds: 8,
            count_wait_ms: 2000,
            pipelines_per_account: 150,
            connections_per_account: 150,
            topics_per_account: 1000,
            flow_logs_per_account: 100,
            deleted_pipeline_seconds: 24 * 3600,
            messages_per_call: (500, 8 * 1024 * 1024),
            verified_names: 4_000_000,
            sweep_after_seconds: 7 * 24 * 3600,
            dis: crate::DisLimits::default(),
        }
    }
}

/// How full the disk behind a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes in use on the disk.
    pub bytes_used: u64,
    /// Bytes of the disk.
    pub bytes_total: u64,
    /// Inodes in use on the disk.
    pub files_used: u64,
}

/// A fileset to make.
#[derive(Debug, Clone)]
pub struct NewFileset {
    /// Identifier, in the product's form.
    pub id: FilesetId,
    /// File system.
    pub file_system: FileSystemId,
    /// Starts and ends with `/`. Its parent must exist; the directory itself is made when missing.
    pub path: String,
    /// Words.
    pub description: String,
    /// Refuses deletion.
    pub deletion_protection: bool,
    /// Limits.
    pub quota: Option<Quota>,
}

/// Changes of a fileset; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct FilesetChange {
    /// Words.
    pub description: Option<String>,
    /// Refuses deletion.
    pub deletion_protection: Option<bool>,
    /// `Some(None)` takes the limits away. New limits below the present use are refused (`InvalidState`).
    pub quota: Option<Option<Quota>>,
}

/// A flow to make.
#[derive(Debug, Clone)]
pub struct NewFlow {
    /// Identifier, in the product's form.
    pub id: FlowId,
    /// Door.
    pub door: Door,
    /// Directory's side. Its `root` is filled in from the catalogue.
    pub directory: DirectoryEnd,
    /// Fileset; must be of the same file system and without a flow.
    pub fileset: Option<FilesetId>,
    /// What the fileset holds is removed first, as general-purpose CPFS does, where the operator allows it
    /// (`allow_destroy`); where not, one that holds anything is refused.
    pub empty_fileset: bool,
    /// Bucket's side.
    pub object: ObjectEnd,
    /// Key of its own.
    pub credentials: Option<Credentials>,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// The door's own words.
    pub attributes: BTreeMap<String, String>,
    /// The door's own secrets.
    pub sealed_attributes: BTreeMap<String, Sealed>,
    /// Ask the bucket before saying Running; `false` = it was asked already.
    pub probe: bool,
}

/// Changes of a flow; `None` leaves a field as it is. New credentials are probed.
#[derive(Debug, Clone, Default)]
pub struct FlowChange {
    /// Name.
    pub name: Option<String>,
    /// Words.
    pub description: Option<String>,
    /// Key.
    pub credentials: Option<Credentials>,
    /// Attributes to set, or with `None` to remove.
    pub attributes: BTreeMap<String, Option<String>>,
    /// Sealed attributes to set, or with `None` to remove.
    pub sealed_attributes: BTreeMap<String, Option<Sealed>>,
}

/// A task to make.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Identifier, in the product's form.
    pub id: TaskId,
    /// Door.
    pub door: Door,
    /// What kind. A `Stream` is Executing at once; a `StreamFile` needs a `parent` that is.
    pub kind: TaskKind,
    /// The stream a file belongs to.
    pub parent: Option<TaskId>,
    /// Flow; must be Running.
    pub flow: Option<FlowId>,
    /// What to do. `directory.root` is filled in from the catalogue.
    pub spec: TransferSpec,
    /// Name.
    pub name: String,
    /// The door's own words.
    pub attributes: BTreeMap<String, String>,
    /// Who caused it.
    pub originator: Originator,
}

/// How far a run is at this moment, ahead of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// Items found at the source so far, over all attempts.
    pub items_found: u64,
    /// Their bytes.
    pub bytes_found: u64,
    /// The two above are totals.
    pub scan_done: bool,
    /// Items that have an outcome.
    pub items_done: u64,
    /// Their bytes.
    pub bytes_done: u64,
}

/// What a receipt is worth today.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Items of the manifest that were looked at again: files, links, directories.
    pub checked: u64,
    /// Bytes that were read again.
    pub bytes: u64,
    /// How many are as the manifest says.
    pub same: u64,
    /// Of these, files and links whose content was read and adds up to a digest.
    pub by_content: u64,
    /// Of these, files and links of which only the size is known. The rest are directories.
    pub by_size: u64,
    /// Items that are gone (at most 1,000 are named).
    pub missing: Vec<String>,
    /// Items with other content (at most 1,000 are named).
    pub different: Vec<String>,
    /// Items at the destination that the manifest doesn't know (at most 1,000 are named).
    pub extra: Vec<String>,
    /// Items that could not be read, with the reason (at most 1,000 are named).
    pub unreadable: Vec<String>,
    /// The manifest file is the one that the receipt was made for.
    pub manifest_intact: bool,
    /// All of the manifest was gone through within the bound.
    pub complete: bool,
}

impl Verification {
    /// Nothing is missing, different or unread. Extra items are no fault of the task's.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.manifest_intact
            && self.complete
            && self.missing.is_empty()
            && self.different.is_empty()
            && self.unreadable.is_empty()
    }
}

/// An account to make. `None` = made up.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Name for people.
    pub name: String,
    /// Identifier (a number, as Tencent's `Uin`).
    pub id: Option<String>,
    /// Tencent's `AppId`.
    pub app_id: Option<String>,
    /// May use the operator's door.
    pub operator: bool,
    /// Access key id and secret that are given (configuration, demo).
    pub key: Option<GivenKey>,
    /// Access tokens that are given (configuration). Only their digests are kept.
    pub tokens: Vec<GivenToken>,
}

/// An access token that is given rather than made. It can't be printed.
#[derive(Clone)]
pub struct GivenToken(pub String);

impl std::fmt::Debug for GivenToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenToken(…)")
    }
}

/// An access key that is given rather than made.
#[derive(Clone)]
pub struct GivenKey {
    /// `SecretId` / `AccessKeyId`.
    pub access_key_id: String,
    /// The secret half, plain.
    pub secret: String,
}

impl std::fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a round of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// Tasks that left the history.
    pub tasks_forgotten: u64,
    /// Client tokens that expired.
    pub tokens_forgotten: u64,
    /// Flows that were asked again and changed their state.
    pub flows_changed: u64,
    /// Deleted pipelines that were forgotten.
    pub pipelines_forgotten: u64,
    /// Dead letters that were done with and are forgotten.
    pub letters_forgotten: u64,
    /// Syncs that were looked after.
    pub syncs: u64,
    /// Unfinished uploads and temporary files of ended tasks that were removed.
    pub leftovers_removed: u64,
}
