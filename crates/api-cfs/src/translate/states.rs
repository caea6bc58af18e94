//! States and policies in the product's words.

use model::{ConflictPolicy, FlowStatus, TaskStatus};

/// A flow's `Status`.
#[must_use]
pub fn flow(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::Starting | FlowStatus::Updating => "pending",
        FlowStatus::Running => "available",
        FlowStatus::Deleting => "deleting",
        FlowStatus::Misconfigured | FlowStatus::Stopping | FlowStatus::Stopped => "unavailable",
    }
}

/// A lifecycle task's `TaskStatus`. A pause (which only the operator's door can ask for) shows as
/// running while it is coming to rest, and then as queued.
#[must_use]
pub fn lifecycle(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Pending | TaskStatus::Paused => "init",
        TaskStatus::Executing | TaskStatus::Pausing => "running",
        TaskStatus::Canceling => "stopping",
        TaskStatus::Canceled => "stopped",
        TaskStatus::Completed => "finished",
        TaskStatus::Failed => "failed",
    }
}

/// A migration task's `Status`. 1 (creating), 5 (create failed), 7 (ending) and 8 (deleting) last for
/// no time here: creation and removal are one transaction each.
#[must_use]
pub fn migration(status: TaskStatus) -> u64 {
    match status {
        TaskStatus::Completed => 0,
        TaskStatus::Executing | TaskStatus::Pausing => 2,
        TaskStatus::Canceling => 3,
        TaskStatus::Canceled => 4,
        TaskStatus::Failed => 6,
        TaskStatus::Pending | TaskStatus::Paused => 9,
    }
}

/// What `StopMigrationTask` answers: stopping.
pub const MIGRATION_STOPPING: u64 = 3;

/// `CoverType`: 0 the later modification time wins, 1 overwrite, 2 leave alone.
#[must_use]
pub fn cover(cover_type: u64) -> Option<ConflictPolicy> {
    match cover_type {
        0 => Some(ConflictPolicy::KeepLatest),
        1 => Some(ConflictPolicy::Overwrite),
        2 => Some(ConflictPolicy::Skip),
        _ => None,
    }
}

/// `IsOverwrite`.
#[must_use]
pub fn overwrite(is_overwrite: bool) -> ConflictPolicy {
    if is_overwrite { ConflictPolicy::Overwrite } else { ConflictPolicy::Skip }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word() {
        use TaskStatus as S;
        for (status, word, number) in [
            (S::Pending, "init", 9),
            (S::Executing, "running", 2),
            (S::Pausing, "running", 2),
            (S::Paused, "init", 9),
            (S::Canceling, "stopping", 3),
            (S::Canceled, "stopped", 4),
            (S::Completed, "finished", 0),
            (S::Failed, "failed", 6),
        ] {
            assert_eq!((lifecycle(status), migration(status)), (word, number));
        }
        use FlowStatus as F;
        for (status, word) in [
            (F::Starting, "pending"),
            (F::Running, "available"),
            (F::Updating, "pending"),
            (F::Stopping, "unavailable"),
            (F::Stopped, "unavailable"),
            (F::Deleting, "deleting"),
            (F::Misconfigured, "unavailable"),
        ] {
            assert_eq!(flow(status), word);
        }
    }

    #[test]
    fn cover_types() {
        assert_eq!(cover(0), Some(ConflictPolicy::KeepLatest));
        assert_eq!(cover(1), Some(ConflictPolicy::Overwrite));
        assert_eq!(cover(2), Some(ConflictPolicy::Skip));
        assert_eq!(cover(3), None);
        assert_eq!(overwrite(false), ConflictPolicy::Skip);
    }
}
