//! What goes wrong in `control`, in Tencent's codes.
//!
//! Each action has a list of codes that its SDK documents; a kind becomes the code of that list that
//! means it, and only where there is none one of the codes common to all Tencent services.

use api::Fault;
use control::{Error, ErrorKind, Noun};

/// `InvalidParameterValue.<detail>`, or plain for an empty detail.
macro_rules! value {
    () => {
        "InvalidParameterValue"
    };
    ($detail:literal) => {
        concat!("InvalidParameterValue.", $detail)
    };
}

/// A file system's identifier without its form.
pub const FILE_SYSTEM_ID: &str = value!("InvalidFileSystemId");
/// No such file system.
pub const FILE_SYSTEM_NOT_FOUND: &str = "ResourceNotFound.FileSystemNotFound";
/// The file system can't be used now.
pub const FS_STATUS: &str = value!("InvalidFsStatus");
/// A flow's identifier without its form, or of no flow.
pub const FLOW_ID: &str = value!("InvalidDataFlowId");
/// A flow's name.
pub const FLOW_NAME: &str = value!("InvalidDataFlowName");
/// Address, path or key of the bucket.
pub const SOURCE_INFO: &str = value!("InvalidDataFlowSourceInfo");
/// `SourceStorageType`.
pub const SOURCE_TYPE: &str = value!("InvalidDataFlowSourceStorageType");
/// `TargetPath`, or a task's path that is outside of it.
pub const TARGET_PATH: &str = value!("InvalidDataFlowTargetPath");
/// `CfsVersion`.
pub const CFS_VERSION: &str = value!("InvalidCfsVersionValue");
/// `DeleteDataFlow` with an empty `FileSystemId`.
pub const MISSING_FILE_SYSTEM_ID: &str = value!("MissingFileSystemId");
/// A lifecycle task's type.
pub const TASK_TYPE: &str = value!("InvalidLifecycleDataTaskType");
/// A lifecycle task's identifier.
pub const TASK_ID: &str = value!("InvalidLifecycleTaskId");
/// Too many tasks wait.
pub const WAITING_TASKS: &str = value!("WaitingTaskLimitExceeded");
/// The list is there and can't be used.
pub const LIST_INVALID: &str = value!("ListPathFileInvalid");
/// The list is not there.
pub const LIST_NOT_FOUND: &str = value!("ListPathFileNotFound");
/// Both of `TaskPath` and `ListPath`, or neither.
pub const LIST_AND_TASK: &str = "InvalidParameter.ListPathAndTaskPathConflict";
/// `ListPath` does not start with `/cfs`.
pub const LIST_PREFIX: &str = "InvalidParameter.ListPathInvalidPrefix";
/// Too many flows.
pub const FLOW_LIMIT: &str = "ResourceInsufficient.DataFlowLimitExceeded";
/// A task is in a state that forbids this.
pub const TASK_STATUS: &str = "UnsupportedOperation.InvalidLifecycleDataTaskStatus";
/// A value out of its range; no better code.
pub const VALUE: &str = value!();
/// A parameter that another one asks for.
pub const MISSING: &str = "MissingParameter";
/// A known feature that this server does not have.
pub const UNSUPPORTED: &str = "UnsupportedOperation";

/// A refusal of this door's own.
pub fn refuse(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::tencent(code, message)
}

/// A value out of its range.
pub fn value(message: impl Into<String>) -> Fault {
    refuse(VALUE, message)
}

/// A refusal of `control` in the words of `action`.
pub fn of(action: &str, error: &Error) -> Fault {
    let code = code(action, error.kind);
    if matches!(error.kind, ErrorKind::Internal) {
        return refuse(code, "An internal error occurred; the server's log has it under this request id.");
    }
    refuse(code, sentence(&error.message))
}

/// The code of a kind for an action.
fn code(action: &str, kind: ErrorKind) -> &'static str {
    match action {
        "CreateDataFlow" | "DescribeDataFlow" | "ModifyDataFlow" | "DeleteDataFlow" => flow(kind),
        // A task can't be made on a flow that is not available.
        "CreateLifecycleDataTask" if matches!(kind, ErrorKind::InvalidState) => FLOW_ID,
        "CreateLifecycleDataTask" | "StopLifecycleDataTask" => lifecycle(kind),
        "CreateMigrationTask" => migration(kind),
        "DescribeBucketList" => bucket_list(kind),
        _ => common(kind),
    }
}

fn flow(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound(Noun::FileSystem) => FILE_SYSTEM_NOT_FOUND,
        ErrorKind::NotFound(Noun::Flow) | ErrorKind::InvalidState => FLOW_ID,
        ErrorKind::NotFound(Noun::ObjectStore | Noun::Bucket)
        | ErrorKind::BadCredentials
        | ErrorKind::Invalid
        | ErrorKind::Unreachable => SOURCE_INFO,
        ErrorKind::NotFound(Noun::Directory) | ErrorKind::BadPath => TARGET_PATH,
        ErrorKind::LimitExceeded => FLOW_LIMIT,
        ErrorKind::InUse => TASK_STATUS,
        other => common(other),
    }
}

fn lifecycle(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound(Noun::FileSystem) => FILE_SYSTEM_ID,
        ErrorKind::NotFound(Noun::Flow) => FLOW_ID,
        ErrorKind::NotFound(Noun::ListFile) => LIST_NOT_FOUND,
        ErrorKind::NotFound(Noun::Task) => TASK_ID,
        ErrorKind::NotFound(Noun::Directory) | ErrorKind::BadPath => TARGET_PATH,
        ErrorKind::LimitExceeded => WAITING_TASKS,
        ErrorKind::InvalidState => TASK_STATUS,
        // A restore asks the bucket what its path is.
        ErrorKind::BadCredentials | ErrorKind::NotFound(Noun::Bucket) => "FailedOperation",
        other => common(other),
    }
}

fn migration(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound(_) | ErrorKind::BadCredentials => VALUE,
        other => common(other),
    }
}

fn bucket_list(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadCredentials => "AuthFailure.GetRoleFailed",
        ErrorKind::Unreachable => "InternalError",
        ErrorKind::NotFound(_) => UNSUPPORTED,
        other => common(other),
    }
}

/// Codes that all Tencent services share.
fn common(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound(_) => "ResourceNotFound",
        ErrorKind::Exists(_) | ErrorKind::InUse | ErrorKind::InvalidState => "ResourceInUse",
        ErrorKind::LimitExceeded => "LimitExceeded",
        ErrorKind::Throttled => "RequestLimitExceeded",
        ErrorKind::Denied => "OperationDenied",
        ErrorKind::Unreachable => "FailedOperation",
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::TokenMismatch => "InvalidParameter",
        ErrorKind::BadCredentials | ErrorKind::BadPath | ErrorKind::Invalid => VALUE,
        ErrorKind::Internal => "InternalError",
    }
}

/// `the bucket is gone` → `The bucket is gone.`
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => "The request can't be carried out.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_the_codes_of_each_action() {
        use ErrorKind as K;
        for (action, kind, want) in [
            ("CreateDataFlow", K::NotFound(Noun::FileSystem), "ResourceNotFound.FileSystemNotFound"),
            (
                "CreateDataFlow",
                K::NotFound(Noun::ObjectStore),
                "InvalidParameterValue.InvalidDataFlowSourceInfo",
            ),
            ("CreateDataFlow", K::NotFound(Noun::Bucket), "InvalidParameterValue.InvalidDataFlowSourceInfo"),
            ("CreateDataFlow", K::BadCredentials, "InvalidParameterValue.InvalidDataFlowSourceInfo"),
            ("CreateDataFlow", K::Unreachable, "InvalidParameterValue.InvalidDataFlowSourceInfo"),
            ("CreateDataFlow", K::BadPath, "InvalidParameterValue.InvalidDataFlowTargetPath"),
            ("CreateDataFlow", K::LimitExceeded, "ResourceInsufficient.DataFlowLimitExceeded"),
            ("DescribeDataFlow", K::NotFound(Noun::FileSystem), "ResourceNotFound.FileSystemNotFound"),
            ("ModifyDataFlow", K::NotFound(Noun::Flow), "InvalidParameterValue.InvalidDataFlowId"),
            ("DeleteDataFlow", K::InUse, "UnsupportedOperation.InvalidLifecycleDataTaskStatus"),
            (
                "CreateLifecycleDataTask",
                K::NotFound(Noun::FileSystem),
                "InvalidParameterValue.InvalidFileSystemId",
            ),
            ("CreateLifecycleDataTask", K::NotFound(Noun::Flow), "InvalidParameterValue.InvalidDataFlowId"),
            (
                "CreateLifecycleDataTask",
                K::NotFound(Noun::ListFile),
                "InvalidParameterValue.ListPathFileNotFound",
            ),
            ("CreateLifecycleDataTask", K::BadPath, "InvalidParameterValue.InvalidDataFlowTargetPath"),
            ("CreateLifecycleDataTask", K::LimitExceeded, "InvalidParameterValue.WaitingTaskLimitExceeded"),
            ("CreateLifecycleDataTask", K::InvalidState, "InvalidParameterValue.InvalidDataFlowId"),
            (
                "StopLifecycleDataTask",
                K::NotFound(Noun::Task),
                "InvalidParameterValue.InvalidLifecycleTaskId",
            ),
            ("StopLifecycleDataTask", K::InvalidState, "UnsupportedOperation.InvalidLifecycleDataTaskStatus"),
            ("CreateMigrationTask", K::NotFound(Noun::Bucket), "InvalidParameterValue"),
            ("CreateMigrationTask", K::BadCredentials, "InvalidParameterValue"),
            ("CreateMigrationTask", K::Unreachable, "FailedOperation"),
            ("CreateMigrationTask", K::LimitExceeded, "LimitExceeded"),
            ("StopMigrationTask", K::InvalidState, "ResourceInUse"),
            ("DeleteMigrationTask", K::NotFound(Noun::Task), "ResourceNotFound"),
            ("DeleteMigrationTask", K::InvalidState, "ResourceInUse"),
            ("DescribeBucketList", K::BadCredentials, "AuthFailure.GetRoleFailed"),
            ("DescribeBucketList", K::Unreachable, "InternalError"),
            ("DescribeCfsFileSystems", K::Internal, "InternalError"),
            ("DeleteDataFlow", K::Denied, "OperationDenied"),
        ] {
            assert_eq!(code(action, kind), want, "{action} {kind:?}");
        }
    }

    #[test]
    fn what_is_internal_stays_inside() {
        let e = Error::new(ErrorKind::Internal, "disk /var/x is on fire");
        let f = of("CreateDataFlow", &e);
        assert_eq!((f.http, f.code.as_ref()), (200, "InternalError"));
        assert!(!f.message.contains("/var/x"));
    }

    #[test]
    fn messages_are_sentences() {
        assert_eq!(sentence("no such flow"), "No such flow.");
        assert!(!sentence("").is_empty());
    }
}
