//! A task: one piece of work that can be created, watched, paused and cancelled.

use std::collections::BTreeMap;

use crate::{AccountId, FileSystemId, FlowId, Ledger, TaskId, Timestamp, TransferSpec};

/// Which API something was made through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Tencent CFS.
    Cfs,
    /// Alibaba NAS/CPFS.
    Nas,
    /// The operator's door and the command line.
    Admin,
}

impl Door {
    /// Stable name used in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cfs => "cfs",
            Self::Nas => "nas",
            Self::Admin => "admin",
        }
    }
}

/// What kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// A batch transfer.
    Transfer,
    /// A standing channel; its subtasks move single files.
    Stream,
    /// One file of a stream.
    StreamFile,
}

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// Waiting for its turn.
    Pending,
    /// At work.
    Executing,
    /// Asked to pause, still at work.
    Pausing,
    /// Paused; goes on from its checkpoint.
    Paused,
    /// Asked to stop, still at work.
    Canceling,
    /// Stopped for good.
    Canceled,
    /// Done, and its ledger balances with nothing failed.
    Completed,
    /// Ended with failures, or its ledger does not balance.
    Failed,
}

/// What somebody wants of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The dispatcher takes it.
    Start,
    /// Pause it.
    Pause,
    /// Let it go on.
    Resume,
    /// Stop it for good.
    Cancel,
    /// The run has come to rest after `Pause` or `Cancel`.
    Rest,
    /// The run ended well.
    Complete,
    /// The run ended badly.
    Fail,
}

impl TaskStatus {
    /// Stable name used in records, the operator's door and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Nothing will happen to it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Canceled | Self::Completed | Self::Failed)
    }

    /// The state after `t`, or `None` where that is not allowed.
    #[must_use]
    pub fn after(self, t: Transition) -> Option<Self> {
        use TaskStatus as S;
        use Transition as T;
        Some(match (self, t) {
            (S::Pending | S::Executing, T::Start) => S::Executing,
            (S::Pending, T::Pause) | (S::Pausing, T::Rest) => S::Paused,
            (S::Executing, T::Pause) => S::Pausing,
            (S::Paused, T::Resume) => S::Pending,
            (S::Pausing, T::Resume) => S::Executing,
            (S::Pending | S::Paused, T::Cancel) | (S::Canceling, T::Rest) => S::Canceled,
            (S::Executing | S::Pausing, T::Cancel) => S::Canceling,
            (S::Executing | S::Pausing | S::Canceling, T::Complete) => S::Completed,
            (S::Pending | S::Executing | S::Pausing | S::Canceling, T::Fail) => S::Failed,
            _ => return None,
        })
    }
}

/// Who caused a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originator {
    /// A request.
    User,
    /// The server (auto refresh).
    System,
}

/// How far a task is, beside its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Items found at the source so far.
    pub items_found: u64,
    /// Bytes found at the source so far.
    pub bytes_found: u64,
    /// The scan is over: the two above are totals.
    pub scan_done: bool,
    /// Bytes a second over the last seconds.
    pub bytes_per_s: u64,
    /// Estimated seconds to the end, where that can be told.
    pub remaining_s: Option<u64>,
}

/// Names of the report files of a task (below the data folder's `reports/<task>/`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reports {
    /// Everything that was read.
    pub total: Option<String>,
    /// Items that were written or already there.
    pub successful: Option<String>,
    /// Items left alone.
    pub skipped: Option<String>,
    /// Items that failed, with reasons.
    pub failed: Option<String>,
}

/// What a finished task can prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The task.
    pub task: TaskId,
    /// Final account.
    pub ledger: Ledger,
    /// Name of the manifest file: one line per item with size and digest.
    pub manifest: String,
    /// SHA-256 of the manifest, lower-case hex.
    pub manifest_sha256: String,
    /// When it was made.
    pub made: Timestamp,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Identifier, in the product's form.
    pub id: TaskId,
    /// Owner.
    pub account: AccountId,
    /// Which door made it.
    pub door: Door,
    /// What kind.
    pub kind: TaskKind,
    /// The stream a file belongs to.
    pub parent: Option<TaskId>,
    /// Flow.
    pub flow: Option<FlowId>,
    /// File system.
    pub file_system: FileSystemId,
    /// What to do.
    pub spec: TransferSpec,
    /// State.
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// The account, as of the last checkpoint.
    pub ledger: Ledger,
    /// How far.
    pub progress: Progress,
    /// Report files.
    pub reports: Reports,
    /// Who caused it.
    pub originator: Originator,
    /// Counts the runs; the fencing token of every journal write.
    pub attempt: u32,
    /// Name.
    pub name: String,
    /// What only its door understands, in the product's words (`TaskAction`, `Directory`, …). No secrets.
    pub attributes: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_state() {
        use Transition as T;
        for s in [TaskStatus::Canceled, TaskStatus::Completed, TaskStatus::Failed] {
            for t in [T::Start, T::Pause, T::Resume, T::Cancel, T::Rest, T::Complete, T::Fail] {
                assert_eq!(s.after(t), None);
            }
        }
    }

    #[test]
    fn a_restart_takes_an_executing_task_again() {
        assert_eq!(TaskStatus::Executing.after(Transition::Start), Some(TaskStatus::Executing));
    }
}
