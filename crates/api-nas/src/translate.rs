//! Words both ways: states, times, identifiers.

use api::encode;
use model::{Fileset, FilesetStatus, Flow, FlowStatus, Quota, TaskStatus, Timestamp};
use runtime::Random;
use serde_json::{Map, Value, json};

/// Identifier of a new flow.
#[must_use]
pub fn flow_id(random: &Random) -> String {
    format!("df-{}", random.hex(16))
}

/// Identifier of a new task.
#[must_use]
pub fn task_id(random: &Random) -> String {
    format!("task-{}", random.hex(16))
}

/// Identifier of a new subtask.
#[must_use]
pub fn subtask_id(random: &Random) -> String {
    format!("subTask-{}", random.hex(16))
}

/// Identifier of a new fileset.
#[must_use]
pub fn fileset_id(random: &Random) -> String {
    format!("fset-{}", random.hex(16))
}

/// `yyyy-MM-ddTHH:mm:ssZ`.
#[must_use]
pub fn time(at: Timestamp) -> String {
    encode::iso8601(at.seconds()).unwrap_or_default()
}

/// The same, or empty.
#[must_use]
pub fn time_or_empty(at: Option<Timestamp>) -> String {
    at.map(time).unwrap_or_default()
}

/// `yyyy-MM-dd HH:mm:ss`, the form of `GetFileset`.
#[must_use]
pub fn spaced_time(at: Timestamp) -> String {
    time(at).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// State of a flow.
#[must_use]
pub fn flow_status(s: FlowStatus) -> &'static str {
    match s {
        FlowStatus::Starting => "Starting",
        FlowStatus::Running => "Running",
        FlowStatus::Updating => "Updating",
        FlowStatus::Stopping => "Stopping",
        FlowStatus::Stopped => "Stopped",
        FlowStatus::Deleting => "Deleting",
        FlowStatus::Misconfigured => "Misconfigured",
    }
}

/// The product's states of a flow, with ours.
const FLOW_STATUSES: &[FlowStatus] = &[
    FlowStatus::Starting,
    FlowStatus::Running,
    FlowStatus::Updating,
    FlowStatus::Stopping,
    FlowStatus::Stopped,
    FlowStatus::Deleting,
    FlowStatus::Misconfigured,
];

/// A flow's state by its word.
#[must_use]
pub fn flow_status_of(word: &str) -> Option<FlowStatus> {
    FLOW_STATUSES.iter().copied().find(|s| flow_status(*s) == word)
}

/// State of a task. The product can't pause: a pausing task is still executing, a paused one waits.
#[must_use]
pub fn task_status(s: TaskStatus) -> &'static str {
    match s {
        TaskStatus::Pending | TaskStatus::Paused => "Pending",
        TaskStatus::Executing | TaskStatus::Pausing => "Executing",
        TaskStatus::Canceling => "Canceling",
        TaskStatus::Canceled => "Canceled",
        TaskStatus::Completed => "Completed",
        TaskStatus::Failed => "Failed",
    }
}

/// State of a subtask.
#[must_use]
pub fn subtask_status(s: TaskStatus) -> &'static str {
    match s {
        TaskStatus::Pending | TaskStatus::Paused => "CREATED",
        TaskStatus::Executing | TaskStatus::Pausing => "RUNNING",
        TaskStatus::Canceling => "CANCELING",
        TaskStatus::Canceled => "CANCELED",
        TaskStatus::Completed => "COMPLETE",
        TaskStatus::Failed => "FAILED",
    }
}

/// Every state of a task of ours.
const TASK_STATUSES: &[TaskStatus] = &[
    TaskStatus::Pending,
    TaskStatus::Executing,
    TaskStatus::Pausing,
    TaskStatus::Paused,
    TaskStatus::Canceling,
    TaskStatus::Canceled,
    TaskStatus::Completed,
    TaskStatus::Failed,
];

/// Our states behind a word of the product, given how states are worded.
pub fn task_statuses_of(
    word: &str,
    wording: fn(TaskStatus) -> &'static str,
) -> impl Iterator<Item = TaskStatus> + use<'_> {
    TASK_STATUSES.iter().copied().filter(move |s| wording(*s) == word)
}

/// State of a fileset.
#[must_use]
pub fn fileset_status(s: FilesetStatus) -> &'static str {
    match s {
        FilesetStatus::Creating => "CREATING",
        FilesetStatus::Created => "CREATED",
        FilesetStatus::Releasing => "RELEASING",
        FilesetStatus::Released => "RELEASED",
    }
}

/// A fileset as `DescribeFilesets` (ISO times) and `GetFileset` (spaced times) show it.
#[must_use]
pub fn fileset(f: &Fileset, time: fn(Timestamp) -> String) -> Value {
    json!({
        "CreateTime": time(f.created),
        "DeletionProtection": f.deletion_protection,
        "Description": f.description,
        "FileCountUsage": f.files_used,
        "FileSystemId": f.file_system.as_str(),
        "FileSystemPath": f.path,
        "FsetId": f.id.as_str(),
        "Quota": f.quota.map_or_else(|| Value::Object(Map::new()), quota),
        "SpaceUsage": f.space_used,
        "Status": fileset_status(f.status),
        "UpdateTime": time(f.updated),
    })
}

fn quota(q: Quota) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, limit: Option<u64>| {
        if let Some(n) = limit {
            out.insert(name.to_owned(), n.into());
        }
    };
    put("FileCountLimit", q.file_count_limit);
    put("SizeLimit", q.size_limit);
    Value::Object(out)
}

/// An attribute of a flow, or empty.
#[must_use]
pub fn attribute<'a>(flow: &'a Flow, name: &str) -> &'a str {
    flow.attributes.get(name).map(String::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_documented_forms() {
        let at = Timestamp(1_795_343_052_999_999);
        assert_eq!(time(at), "2026-11-22T10:24:12Z");
        assert_eq!(spaced_time(at), "2026-11-22 10:24:12");
        assert_eq!(time_or_empty(None), "");
    }

    #[test]
    fn words_find_their_states_again() {
        for s in FLOW_STATUSES {
            assert_eq!(flow_status_of(flow_status(*s)), Some(*s));
        }
        let executing: Vec<_> = task_statuses_of("Executing", task_status).collect();
        assert_eq!(executing, [TaskStatus::Executing, TaskStatus::Pausing]);
        assert_eq!(task_statuses_of("EXPIRED", subtask_status).count(), 0);
        for s in TASK_STATUSES {
            assert!(task_statuses_of(task_status(*s), task_status).any(|x| x == *s));
        }
    }
}
