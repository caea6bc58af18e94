//! Refusals in the vendor's words: every code that this door gives stands here.
//!
//! The codes of `CreateDataFlowTask` are the documented ones, with the documented status (several
//! parameter errors come with 404). For the other operations no list is published; they use one
//! consistent set of the same style. A vendor's sentence comes first, what is wrong in particular
//! after it.

use std::fmt;

use api::Fault;
use control::{Error, ErrorKind, Noun};

/// `<Name> is mandatory for this action.`
#[must_use]
pub fn missing(name: &str) -> Fault {
    Fault::new(400, format!("Missing{name}"), format!("{name} is mandatory for this action."))
}

/// `Invalid<Name>`: a value that breaks the parameter's own rule.
#[must_use]
pub fn invalid(name: &str, why: impl fmt::Display) -> Fault {
    Fault::new(400, format!("Invalid{name}"), format!("The specified {name} is invalid: {why}."))
}

/// A parameter that does not go with the others, or not with this kind of file system.
#[must_use]
pub fn parameter(why: impl fmt::Display) -> Fault {
    Fault::new(400, "InvalidParameter", format!("The request parameters are invalid: {why}."))
}

/// Control characters, backslashes in paths, bytes that are not UTF-8.
#[must_use]
pub fn illegal_characters() -> Fault {
    Fault::new(400, "IllegalCharacters", "The parameter contains illegal characters.")
}

/// The file system's version does not have this.
#[must_use]
pub fn version_not_supported() -> Fault {
    Fault::new(
        400,
        "InvalidFilesystemVersion.NotSupport",
        "This Api does not support this fileSystem version.",
    )
}

/// The file system's family does not have this.
#[must_use]
pub fn type_not_supported() -> Fault {
    Fault::new(400, "InvalidFilesystemType.NotSupport", "This Api does not support this fileSystem type.")
}

/// Something is in a state in which this can't be done.
#[must_use]
pub fn state(detail: &str) -> Fault {
    Fault::new(
        403,
        "OperationDenied.InvalidState",
        with("The operation is not permitted when the status is processing.", detail),
    )
}

/// Something else depends on it, or it depends on something else.
#[must_use]
pub fn dependency(detail: &str) -> Fault {
    Fault::new(
        403,
        "OperationDenied.DependencyViolation",
        with("The operation is denied due to dependancy violation.", detail),
    )
}

/// This family of file systems has no such data flow operation.
#[must_use]
pub fn not_supported(detail: &str) -> Fault {
    Fault::new(403, "OperationDenied.DataFlowNotSupported", with("The operation is not supported.", detail))
}

/// A count has reached its limit.
#[must_use]
pub fn over_limit(detail: &str) -> Fault {
    Fault::new(
        403,
        "OperationDenied.CountOverLimit",
        with("The operation is denied because a limit is reached.", detail),
    )
}

/// The fileset refuses to be deleted.
#[must_use]
pub fn deletion_protection() -> Fault {
    Fault::new(
        403,
        "OperationDenied.DeletionProtection",
        "The operation is denied because deletion protection is enabled.",
    )
}

/// `Invalid<What>.NotFound`.
#[must_use]
pub fn not_found(what: &str, words: &str) -> Fault {
    Fault::new(404, format!("Invalid{what}.NotFound"), format!("The specified {words} does not exist."))
}

/// No such file system, or one of another product.
#[must_use]
pub fn file_system_not_found() -> Fault {
    not_found("FileSystem", "file system")
}

/// No such flow of this caller on this file system.
#[must_use]
pub fn flow_not_found() -> Fault {
    not_found("DataFlow", "data flow")
}

/// No such task of this flow.
#[must_use]
pub fn task_not_found() -> Fault {
    not_found("TaskId", "task")
}

/// No such subtask of this task.
#[must_use]
pub fn subtask_not_found() -> Fault {
    not_found("SubTaskId", "subtask")
}

/// No such fileset on this file system.
#[must_use]
pub fn fileset_not_found() -> Fault {
    not_found("FsetId", "fileset")
}

/// The bucket is not in the catalogue, or not there.
#[must_use]
pub fn source_not_found() -> Fault {
    not_found("SourceStorage", "source storage")
}

/// `EntryList` can't be read.
#[must_use]
pub fn entry_list_format(detail: &str) -> Fault {
    Fault::new(404, "InvalidParameter.InvalidFormat", with("The EntryList format is invalid.", detail))
}

/// `EntryList` is too long.
#[must_use]
pub fn entry_list_too_large() -> Fault {
    Fault::new(404, "InvalidParameter.SizeTooLarge", "The specified EntryList size exceeds 64 KB.")
}

/// No such task action here.
#[must_use]
pub fn action_not_supported(detail: &str) -> Fault {
    Fault::new(404, "InvalidTaskAction.NotSupported", with("The task action is not supported.", detail))
}

/// The operator does not allow it.
#[must_use]
pub fn action_not_allowed(detail: &str) -> Fault {
    Fault::new(404, "InvalidTaskAction.PermissionDenied", with("The task action is not allowed.", detail))
}

/// No such data type here.
#[must_use]
pub fn data_type_not_supported(detail: &str) -> Fault {
    Fault::new(404, "InvalidDataType.NotSupported", with("The data type is not supported.", detail))
}

/// The source task exists, but not on this flow.
#[must_use]
pub fn source_task_elsewhere() -> Fault {
    Fault::new(404, "InvalidSrcTaskId.NotFound", "The SrcTaskId is not found.")
}

/// The source task's id has no such form, or it is a streaming task.
#[must_use]
pub fn source_task_invalid() -> Fault {
    Fault::new(404, "InvalidSrcTaskId.TaskIdInvalid", "Source task ID is invalid.")
}

/// No such source task.
#[must_use]
pub fn source_task_unknown() -> Fault {
    Fault::new(404, "InvalidSrcTaskId.TaskIdNotFound", "Source task ID is not found.")
}

/// A streaming task with subtasks at work can't be cancelled.
#[must_use]
pub fn subtasks_running() -> Fault {
    Fault::new(
        403,
        "InvalidStatus.ResourceMismatch",
        "The status of the resource does not match the operation: subtasks of the task are still running.",
    )
}

/// A listing's token is not one of ours, or of another query.
#[must_use]
pub fn bad_next_token() -> Fault {
    parameter("the specified NextToken is not one that this query returned")
}

/// Same client token, other parameters.
#[must_use]
pub fn token_mismatch() -> Fault {
    Fault::new(
        400,
        "IdempotentParameterMismatch",
        "The request uses the same client token as a previous, but non-identical request.",
    )
}

/// What a use case refused, in the vendor's words. Internal errors are logged here, once, and not told;
/// neither are addresses of endpoints and directories.
#[must_use]
pub fn of(e: &Error) -> Fault {
    match e.kind {
        ErrorKind::NotFound(noun) => noun_not_found(noun),
        ErrorKind::Exists(_) | ErrorKind::InUse => dependency(&e.message),
        ErrorKind::InvalidState | ErrorKind::Denied => state(&e.message),
        ErrorKind::LimitExceeded | ErrorKind::Throttled => over_limit(&e.message),
        ErrorKind::Unreachable => {
            tracing::warn!(error = %e, "one end of a flow can't be reached");
            Fault::new(
                400,
                "InvalidSourceStorage.Unreachable",
                "The specified source storage can't be reached.",
            )
        }
        ErrorKind::BadCredentials => {
            tracing::warn!(error = %e, "one end of a flow denies access");
            Fault::new(
                400,
                "InvalidSourceStorage.PermissionDenied",
                "The specified source storage denies access.",
            )
        }
        ErrorKind::BadPath | ErrorKind::Invalid => parameter(&e.message),
        ErrorKind::Unsupported => not_supported(&e.message),
        ErrorKind::TokenMismatch => token_mismatch(),
        ErrorKind::Internal => {
            tracing::error!(error = %e, "a use case failed");
            Fault::internal()
        }
    }
}

/// What looking into a file system's directory refused. Where the directory lies on this machine is
/// logged, not told. `name` is the parameter that named the path.
#[must_use]
pub fn of_directory(name: &str, e: &Error) -> Fault {
    match e.kind {
        ErrorKind::BadPath => invalid(name, &e.message),
        ErrorKind::NotFound(Noun::Directory) => not_found(name, "directory"),
        ErrorKind::Unreachable | ErrorKind::Denied => {
            tracing::error!(error = %e, "a file system's directory can't be read");
            Fault::new(503, "ServiceUnavailable", "The file system can't be read at present.")
        }
        _ => of(e),
    }
}

fn noun_not_found(noun: Noun) -> Fault {
    match noun {
        Noun::FileSystem => file_system_not_found(),
        Noun::ObjectStore | Noun::Bucket => source_not_found(),
        Noun::Fileset => fileset_not_found(),
        Noun::Flow => flow_not_found(),
        Noun::Task
        | Noun::Receipt
        | Noun::Pipeline
        | Noun::Connection
        | Noun::Topic
        | Noun::Record
        | Noun::DeadLetter
        | Noun::FlowLog
        | Noun::Network
        | Noun::Stream
        | Noun::Partition
        | Noun::App
        | Noun::Checkpoint
        | Noun::Tag
        | Noun::Database
        | Noun::Table => task_not_found(),
        Noun::Directory => not_found("FileSystemPath", "directory"),
        Noun::ListFile => not_found("TransferFileListPath", "file list"),
        Noun::Account => Fault::new(404, "InvalidAccount.NotFound", "The specified account does not exist."),
    }
}

fn with(sentence: &str, detail: &str) -> String {
    if detail.is_empty() { sentence.to_owned() } else { format!("{sentence} ({detail})") }
}
