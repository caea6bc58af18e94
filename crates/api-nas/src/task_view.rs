//! How tasks and subtasks are shown: progress, figures, reports.

use api::encode;
use model::{Door, Originator, Selection, Task, TaskKind, TaskStatus, Timestamp};
use serde_json::{Value, json};

use crate::family::Family;
use crate::request::Request;
use crate::translate::{subtask_status, task_status, time, time_or_empty};

/// States in which a task is not over.
pub const LIVE: &[TaskStatus] = &[
    TaskStatus::Pending,
    TaskStatus::Executing,
    TaskStatus::Pausing,
    TaskStatus::Paused,
    TaskStatus::Canceling,
];

/// One report of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The product's name of it.
    pub name: &'static str,
    /// Where it is downloaded.
    pub path: String,
}

/// Addresses of a task's reports: three on Lingjun, one in general-purpose CPFS. Streams have none.
#[must_use]
pub fn reports(r: &Request<'_>, task: &Task, family: Family) -> Vec<Report> {
    if task.kind != TaskKind::Transfer {
        return Vec::new();
    }
    let kept = &task.reports;
    let all = match family {
        Family::Lingjun => vec![
            ("FailedFilesReport", &kept.failed),
            ("SkippedFilesReport", &kept.skipped),
            ("SuccessFilesReport", &kept.successful),
        ],
        Family::General => vec![("TotalFilesReport", &kept.total)],
    };
    let base = base_url(r);
    all.into_iter()
        .filter_map(|(name, file)| {
            let file = file.as_ref()?;
            let token = r.control().report_token(&task.id, file);
            let (id, plain) = (encode::percent(task.id.as_str()), encode::percent(file));
            Some(Report {
                name,
                path: format!("{base}/reports/{id}/{plain}?token={}", encode::percent(&token)),
            })
        })
        .collect()
}

/// As configured, else as the client addressed us.
fn base_url(r: &Request<'_>) -> String {
    let links = r.door.links();
    if let Some(url) = &links.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = r.call.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let host = host.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'[' | b']');
    let host = if !host.is_empty() && host.bytes().all(plain) { host } else { "localhost" };
    format!("{}://{host}", if links.tls { "https" } else { "http" })
}

/// A task as `DescribeDataFlowTasks` shows it.
#[must_use]
pub fn task(t: &Task, reports: &[Report], now: Timestamp) -> Value {
    let word = |name: &str| t.attributes.get(name).map(String::as_str).unwrap_or_default();
    let list: Vec<Value> = reports.iter().map(|r| json!({"Name": r.name, "Path": r.path})).collect();
    let total = reports.iter().find(|r| r.name == "TotalFilesReport");
    json!({
        "ConflictPolicy": word("ConflictPolicy"),
        "CreateTime": time(t.created),
        "DataFlowId": t.flow.as_ref().map(|f| f.as_str()).unwrap_or_default(),
        "DataType": word("DataType"),
        "Directory": word("Directory"),
        "DstDirectory": word("DstDirectory"),
        "EndTime": time_or_empty(t.ended),
        "EntryList": word("EntryList"),
        "ErrorMsg": t.error.as_deref().unwrap_or_default(),
        "FileSystemPath": word("FileSystemPath"),
        "FilesystemId": t.file_system.as_str(),
        "FsPath": word("FileSystemPath"),
        "Includes": word("Includes"),
        "Originator": if t.originator == Originator::System { "System" } else { "User" },
        "Progress": percent(t, 100),
        "ProgressStats": stats(t, now),
        "ReportPath": total.map(|r| r.path.as_str()).unwrap_or_default(),
        "Reports": {"Report": list},
        "SourceStorage": word("SourceStorage"),
        "StartTime": time_or_empty(t.started),
        "Status": task_status(t.status),
        "TaskAction": word("TaskAction"),
        "TaskId": t.id.as_str(),
        "TransferFileListPath": word("TransferFileListPath"),
    })
}

/// A subtask as `DescribeDataFlowSubTasks` shows it.
#[must_use]
pub fn subtask(t: &Task, now: Timestamp) -> Value {
    let word = |name: &str| t.attributes.get(name).map(String::as_str).unwrap_or_default();
    json!({
        "CreateTime": time(t.created),
        "DataFlowId": t.flow.as_ref().map(|f| f.as_str()).unwrap_or_default(),
        "DataFlowSubTaskId": t.id.as_str(),
        "DataFlowTaskId": t.parent.as_ref().map(|p| p.as_str()).unwrap_or_default(),
        "DstFilePath": word("DstFilePath"),
        "EndTime": time_or_empty(t.ended),
        "ErrorMsg": t.error.as_deref().unwrap_or_default(),
        "FileDetail": file_detail(t),
        "FileSystemId": t.file_system.as_str(),
        "Progress": percent(t, 10_000),
        "ProgressStats": {
            "ActualBytes": t.ledger.bytes.written,
            "AverageSpeed": average_speed(t, now),
            "BytesDone": t.ledger.bytes.done(),
            "BytesTotal": t.progress.bytes_found.max(t.ledger.bytes.read),
        },
        "SrcFilePath": word("SrcFilePath"),
        "StartTime": time_or_empty(t.started),
        "Status": subtask_status(t.status),
    })
}

/// What the moved file was. Time and checksum stand in the task's attributes once it was moved; a time
/// that the request asked for is the file's too, or the subtask would have failed.
fn file_detail(t: &Task) -> Value {
    let kept = |name: &str| t.attributes.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| kept(name).parse::<i64>().ok();
    if t.status != TaskStatus::Completed {
        return json!({"Checksum": "", "ModifyTime": 0, "Size": 0});
    }
    let asked = match &t.spec.selection {
        Selection::One { condition, .. } => condition.mtime_ns,
        _ => None,
    };
    json!({
        "Checksum": kept("FileDetail.Checksum"),
        "ModifyTime": number("FileDetail.ModifyTime").or(asked).unwrap_or(0),
        "Size": t.ledger.bytes.read,
    })
}

fn stats(t: &Task, now: Timestamp) -> Value {
    let (items, bytes) = (&t.ledger.items, &t.ledger.bytes);
    json!({
        "ActualBytes": bytes.written,
        "ActualFiles": items.written,
        "AverageSpeed": average_speed(t, now),
        "BytesDone": bytes.done(),
        "BytesTotal": t.progress.bytes_found.max(bytes.read),
        "FilesDone": items.done(),
        "FilesTotal": t.progress.items_found.max(items.read),
        "RemainTime": if t.status.is_final() { 0 } else { t.progress.remaining_s.unwrap_or(0) },
    })
}

/// How much of what was found has an outcome, of `whole`. Only a completed task shows all of it.
fn percent(t: &Task, whole: u64) -> u64 {
    if t.status == TaskStatus::Completed {
        return whole;
    }
    let part = |done: u64, found: u64| {
        let (done, found) = (u128::from(done), u128::from(found.max(1)));
        u64::try_from(done * u128::from(whole) / found).unwrap_or(whole)
    };
    let items = part(t.ledger.items.settled(), t.progress.items_found.max(t.ledger.items.read));
    let bytes = part(t.ledger.bytes.settled(), t.progress.bytes_found.max(t.ledger.bytes.read));
    let shown = if t.progress.bytes_found == 0 { items } else { items.midpoint(bytes) };
    shown.min(whole - 1)
}

/// Bytes really moved per second since the task began.
fn average_speed(t: &Task, now: Timestamp) -> u64 {
    let Some(started) = t.started else { return 0 };
    let micros = t.ended.unwrap_or(now).0.saturating_sub(started.0).max(1);
    let bytes = u128::from(t.ledger.bytes.written) * 1_000_000;
    u64::try_from(bytes / u128::from(micros.unsigned_abs())).unwrap_or(u64::MAX)
}

/// Our time as the model writes it.
#[must_use]
pub fn now(r: &Request<'_>) -> Timestamp {
    Timestamp(r.control().clock().now().0)
}

/// Conditions that hold for every listing of tasks of this door.
#[must_use]
pub fn base_filter(kinds: &[TaskKind]) -> control::TaskFilter {
    control::TaskFilter { door: Some(Door::Nas), kinds: kinds.to_vec(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{
        ConflictPolicy, DataType, Direction, DirectoryEnd, Ledger, MetadataDialect, ObjectEnd, Outcome,
        Progress, Reports, TransferSpec,
    };

    pub(crate) fn sample() -> Task {
        Task {
            id: "task-1".into(),
            account: "a".into(),
            door: Door::Nas,
            kind: TaskKind::Transfer,
            parent: None,
            flow: Some("df-1".into()),
            file_system: "bmcpfs-1".into(),
            spec: TransferSpec {
                direction: Direction::Import,
                object: ObjectEnd { store: "s".into(), bucket: "b".into(), prefix: String::new() },
                credentials: None,
                directory: DirectoryEnd {
                    file_system: "bmcpfs-1".into(),
                    root: "/r".into(),
                    path: String::new(),
                },
                selection: Selection::All,
                conflict: ConflictPolicy::Skip,
                data: DataType::MetaAndData,
                dialect: MetadataDialect::AlibabaLingjun,
                create_directory: false,
                default_file_mode: 0o770,
                default_dir_mode: 0o770,
            },
            status: TaskStatus::Executing,
            error: None,
            ledger: Ledger::default(),
            progress: Progress::default(),
            reports: Reports::default(),
            originator: Originator::User,
            attempt: 1,
            name: String::new(),
            attributes: std::collections::BTreeMap::new(),
            created: Timestamp(0),
            started: Some(Timestamp(0)),
            ended: None,
        }
    }

    #[test]
    fn progress_never_shows_all_before_the_end() {
        let mut t = sample();
        assert_eq!(percent(&t, 100), 0);
        t.progress.items_found = 2;
        t.progress.bytes_found = 10;
        t.ledger.book(Outcome::Written, 10);
        assert_eq!(percent(&t, 100), 75);
        t.ledger.book(Outcome::Skipped, 0);
        assert_eq!(percent(&t, 100), 99);
        t.status = TaskStatus::Completed;
        assert_eq!((percent(&t, 100), percent(&t, 10_000)), (100, 10_000));
    }

    #[test]
    fn figures_tell_skipped_from_moved() {
        let mut t = sample();
        t.ledger.book(Outcome::Written, 10);
        t.ledger.book(Outcome::Skipped, 5);
        t.ledger.book(Outcome::Failed, 7);
        let s = stats(&t, Timestamp(2_000_000));
        assert_eq!(
            (s["FilesTotal"].as_u64(), s["FilesDone"].as_u64(), s["ActualFiles"].as_u64()),
            (Some(3), Some(2), Some(1))
        );
        assert_eq!(
            (s["BytesDone"].as_u64(), s["ActualBytes"].as_u64(), s["AverageSpeed"].as_u64()),
            (Some(15), Some(10), Some(5))
        );
    }
}
