//! The JSON of the operator's door. The command line reads the same types.

mod flow_logs;
mod pipelines;

use model::{Ledger, Tally};
use serde::{Deserialize, Serialize};

pub use flow_logs::{FlowLogView, FlowLogs};
pub use pipelines::{
    ConnectionView, Connections, DeadLetters, DeadView, EndView, PipelineView, Pipelines, Touched,
};

/// A flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowView {
    /// Identifier.
    pub id: String,
    /// `cfs`, `nas`, `admin`
    pub door: String,
    /// Owner.
    pub account: String,
    /// File system of the catalogue.
    pub file_system: String,
    /// Directory below its root.
    pub directory: String,
    /// `s3://bucket/prefix/`
    pub bucket: String,
    /// Object store of the catalogue.
    pub store: String,
    /// State.
    pub status: String,
    /// Why it is misconfigured.
    pub error: Option<String>,
    /// Name.
    pub name: String,
    /// When it was made, µs since the epoch.
    pub created: i64,
}

/// One column of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyView {
    /// Seen at the source.
    pub read: u64,
    /// Written by this task.
    pub written: u64,
    /// Already there, the same.
    pub unchanged: u64,
    /// Left alone by policy.
    pub skipped: u64,
    /// Outside the selection.
    pub filtered: u64,
    /// Kept aside.
    pub dead_lettered: u64,
    /// Could not be moved.
    pub failed: u64,
    /// More outputs than inputs.
    pub expanded: u64,
}

/// A ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Files, directories, links.
    pub items: TallyView,
    /// Bytes.
    pub bytes: TallyView,
    /// `read + expanded` equals the sum of the rest, in both columns.
    pub balanced: bool,
}

impl From<&Tally> for TallyView {
    fn from(t: &Tally) -> Self {
        Self {
            read: t.read,
            written: t.written,
            unchanged: t.unchanged,
            skipped: t.skipped,
            filtered: t.filtered,
            dead_lettered: t.dead_lettered,
            failed: t.failed,
            expanded: t.expanded,
        }
    }
}

impl From<&Ledger> for LedgerView {
    fn from(l: &Ledger) -> Self {
        Self { items: (&l.items).into(), bytes: (&l.bytes).into(), balanced: l.balance().is_ok() }
    }
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskView {
    /// Identifier.
    pub id: String,
    /// `cfs`, `nas`, `admin`
    pub door: String,
    /// `transfer`, `stream`, `stream-file`
    pub kind: String,
    /// Owner.
    pub account: String,
    /// Flow.
    pub flow: Option<String>,
    /// `import`, `export`
    pub way: String,
    /// Where from, for people.
    pub source: String,
    /// Where to, for people.
    pub destination: String,
    /// State.
    pub status: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Account, as of the last journal entry.
    pub ledger: LedgerView,
    /// Items found so far: as of this moment where the server that answers runs the task, else as of the
    /// journal. So are the next four.
    pub items_found: u64,
    /// Bytes found so far.
    pub bytes_found: u64,
    /// The two above are totals.
    pub scan_done: bool,
    /// Items that have an outcome.
    #[serde(default)]
    pub items_done: u64,
    /// Their bytes.
    #[serde(default)]
    pub bytes_done: u64,
    /// Bytes a second lately.
    pub bytes_per_s: u64,
    /// Estimated seconds to the end.
    pub remaining_s: Option<u64>,
    /// Times it was started.
    pub attempt: u32,
    /// µs since the epoch.
    pub created: i64,
    /// µs since the epoch.
    pub started: Option<i64>,
    /// µs since the epoch.
    pub ended: Option<i64>,
    /// Report files and their download paths.
    pub reports: Vec<ReportView>,
}

/// A report file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportView {
    /// `total`, `successful`, `skipped`, `failed`
    pub name: String,
    /// Path on this server, with its token.
    pub path: String,
}

/// What a dry run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanView {
    /// The ledger that the task would end with.
    pub ledger: LedgerView,
    /// Items at the source.
    pub items: u64,
    /// Files and links that would be written; other written items are directories.
    pub files_to_write: u64,
    /// Bytes that would be written.
    pub bytes_to_write: u64,
    /// Items that are there already and need nothing.
    pub unchanged: u64,
    /// Files and links that the destination has and that are not known to be the same.
    pub conflicts: u64,
    /// Of these, written over.
    pub overwritten: u64,
    /// Of these, left alone.
    pub skipped: u64,
    /// Items that can't be moved.
    pub refused: u64,
    /// The first few of them, with reasons.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Requests to the object store, about.
    pub requests: u64,
    /// Seconds, about.
    pub estimated_s: u64,
    /// Both sides were walked to the end; otherwise the figures are lower limits.
    pub complete: bool,
}

/// A file system of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileSystemView {
    /// Identifier.
    pub id: String,
    /// `cfs`, `cpfs`, `cpfs-lingjun`
    pub product: String,
    /// Directory.
    pub root: String,
    /// Shown version.
    #[serde(default)]
    pub version: String,
    /// Words.
    #[serde(default)]
    pub description: String,
    /// `config`, `registered`
    #[serde(default)]
    pub origin: String,
}

/// An object store of the catalogue. Its secret goes in and never comes out.
#[derive(Clone, Serialize, Deserialize)]
pub struct ObjectStoreView {
    /// Identifier.
    pub id: String,
    /// Address.
    pub url: String,
    /// Region.
    pub region: String,
    /// `s3`, `cos`, `oss`, `obs`
    pub dialect: String,
    /// Path style.
    pub path_style: bool,
    /// Access key.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// Only in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_secret: Option<String>,
    /// Bucket names that mean it.
    #[serde(default)]
    pub buckets: Vec<String>,
    /// Host names that mean it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// `config`, `registered`
    #[serde(default)]
    pub origin: String,
}

/// The catalogue.
#[derive(Serialize, Deserialize)]
pub struct Resources {
    /// File systems.
    pub file_systems: Vec<FileSystemView>,
    /// Object stores.
    pub object_stores: Vec<ObjectStoreView>,
}

/// An account, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountView {
    /// Identifier.
    pub id: String,
    /// Name.
    pub name: String,
    /// Access key.
    pub access_key_id: String,
    /// Tencent's AppId.
    pub app_id: String,
    /// May use this door.
    pub operator: bool,
    /// Not switched off.
    pub active: bool,
    /// How many access tokens it has.
    #[serde(default)]
    pub tokens: usize,
}

/// A receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptView {
    /// Task.
    pub task: String,
    /// Final account.
    pub ledger: LedgerView,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// Download path of the manifest.
    pub manifest_path: String,
    /// µs since the epoch.
    pub made: i64,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerificationView {
    /// The manifest is the one that was signed for.
    pub manifest_intact: bool,
    /// Items compared.
    pub items: u64,
    /// Files and links whose content was read and adds up.
    pub by_content: u64,
    /// Files and links of which only the size could be compared.
    pub by_size: u64,
    /// Bytes read again.
    pub bytes: u64,
    /// Items that are gone.
    pub missing: u64,
    /// Items whose content differs.
    pub different: u64,
    /// Items that could not be read.
    pub unreadable: u64,
    /// Items that the manifest does not know; no fault of the task's.
    pub extra: u64,
    /// Up to 100 of them, with reasons.
    pub examples: Vec<String>,
    /// Nothing is missing or different and the manifest is intact.
    pub ok: bool,
}

/// Answer of `ListFlows`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flows {
    /// Flows, newest first.
    pub flows: Vec<FlowView>,
    /// How many there are in all.
    pub total: u64,
}

/// Answer of `ListTasks`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tasks {
    /// Tasks, newest first.
    pub tasks: Vec<TaskView>,
    /// How many there are in all.
    pub total: u64,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Counts the task's events from 1, without gaps.
    pub seq: u64,
    /// µs since the epoch.
    pub at: i64,
    /// `created`, `queued`, `started`, `taken-over`, `listed`, `progress`, `retry`, `item-failed`, `pause-asked`,
    /// `resume-asked`, `cancel-asked`, `paused`, `canceled`, `completed`, `failed`
    pub kind: String,
    /// Words.
    pub message: String,
}

/// Answer of `ListTaskEvents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvents {
    /// Oldest first.
    pub events: Vec<EventView>,
    /// What to give as `after` to go on from here.
    pub next: u64,
    /// There are later ones by now.
    pub more: bool,
    /// How many the task ever had.
    pub total: u64,
    /// How many of them, all older than those that are kept, were dropped.
    pub dropped: u64,
}

/// Answer of `IssueToken`: the only time a token is told. No `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenView {
    /// Account.
    pub id: String,
    /// The token.
    pub token: String,
}

/// Answer of `RevokeTokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokedTokens {
    /// Account.
    pub id: String,
    /// How many there were.
    pub revoked: usize,
}

/// Answer of `ListAccounts`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// All accounts.
    pub accounts: Vec<AccountView>,
}

/// Answer of `CreateAccount`: the only time a secret is told.
#[derive(Serialize, Deserialize)]
pub struct NewAccountView {
    /// The account.
    pub account: AccountView,
    /// Its secret.
    pub access_key_secret: String,
}
