//! What goes wrong in `control`, in Tencent's codes.
//!
//! Each action has a list of codes that its SDK documents; a kind becomes the code of that list that means it. Only what
//! the gateway itself finds (an unknown field, a wrong type) has the codes common to all Tencent services.

use api::{Fault, FieldProblem, Problem};
use control::{Error, ErrorKind, Noun};

/// A value out of its range or meaning, for actions on tasks and connections.
pub const VALUE: &str = "InvalidParameterValue";
/// The same for actions on topics, whose lists have no such code.
pub const PARAMETER: &str = "InvalidParameter";
/// No such task or connection.
pub const NO_INSTANCE: &str = "InvalidParameterValue.InstanceNotExist";
/// Required and empty.
pub const EMPTY: &str = "InvalidParameterValue.NotAllowedEmpty";
/// There is one already.
pub const REPETITION: &str = "InvalidParameterValue.RepetitionValue";
/// No such topic, bucket or cluster.
pub const NOT_FOUND: &str = "ResourceNotFound";
/// It can't be done.
pub const FAILED: &str = "FailedOperation";
/// Our own fault.
const INTERNAL: &str = "InternalError";

/// A refusal of this door's own.
pub fn refuse(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::tencent(code, message)
}

/// A value out of its range.
pub fn value(message: impl Into<String>) -> Fault {
    refuse(VALUE, message)
}

/// A parameter that may not be empty.
pub fn empty(field: &str) -> Fault {
    refuse(EMPTY, format!("The parameter `{field}` may not be empty."))
}

/// Something that the product knows and this server can't do.
pub fn not_here(field: &str, why: &str) -> Fault {
    refuse(FAILED, format!("The parameter `{field}` is not supported here: {why}."))
}

/// What the field table found. Lists of these actions have no `UnsupportedOperation`.
pub fn of_field(problem: &FieldProblem) -> Fault {
    match problem.problem {
        Problem::Refused(reason) => not_here(&problem.field, reason),
        _ => problem.fault(api::Cloud::Tencent),
    }
}

/// A refusal of `control` in the words of `action`.
pub fn of(action: &str, error: &Error) -> Fault {
    if matches!(error.kind, ErrorKind::Internal) {
        return refuse(
            code(action, error.kind),
            "An internal error occurred; the server's log has it under this request id.",
        );
    }
    refuse(code(action, error.kind), sentence(&error.message))
}

/// The code of a kind for an action.
fn code(action: &str, kind: ErrorKind) -> &'static str {
    match action {
        "CreateDatahubTopic"
        | "DeleteDatahubTopic"
        | "DescribeDatahubTopic"
        | "DescribeDatahubTopics"
        | "ModifyDatahubTopic"
        | "DescribeDatahubGroupOffsets" => topic(action, kind),
        "FetchDatahubMessageByOffset" => FAILED,
        "FetchLatestDatahubMessageList" if kind == ErrorKind::Internal => INTERNAL,
        "FetchLatestDatahubMessageList" => FAILED,
        "SendMessage" => send(kind),
        _ => task(action, kind),
    }
}

fn task(action: &str, kind: ErrorKind) -> &'static str {
    use ErrorKind as K;
    match kind {
        K::NotFound(Noun::Pipeline | Noun::Connection) => no_instance(action),
        K::NotFound(_) if action.starts_with("Create") && action.ends_with("Task") => NOT_FOUND,
        K::Exists(_) if action == "ModifyDatahubTask" => VALUE,
        K::Exists(_) => REPETITION,
        K::Invalid | K::BadPath | K::TokenMismatch => plain_value(action),
        K::Internal if action == "CreateMetaSyncDatahubTask" => FAILED,
        K::Internal => INTERNAL,
        _ => FAILED,
    }
}

/// Two of the lists of instance syncs and that of the one description have no missing instance.
fn no_instance(action: &str) -> &'static str {
    match action {
        "CreateMetaDataAndOffsetSyncDatahubTask" | "CreateMetaSyncDatahubTask" => NOT_FOUND,
        "DescribeDatahubTask" => VALUE,
        _ => NO_INSTANCE,
    }
}

fn plain_value(action: &str) -> &'static str {
    match action {
        "DeleteDatahubTask" | "PauseDatahubTask" | "ResumeDatahubTask" | "RestartDatahubTask" => PARAMETER,
        _ => VALUE,
    }
}

fn topic(action: &str, kind: ErrorKind) -> &'static str {
    use ErrorKind as K;
    let listed = matches!(action, "DeleteDatahubTopic" | "DescribeDatahubTopic" | "DescribeDatahubTopics");
    match kind {
        K::NotFound(Noun::Connection) => NO_INSTANCE,
        K::NotFound(_) if listed => NOT_FOUND,
        K::NotFound(_) => NO_INSTANCE,
        K::Exists(_) if action == "CreateDatahubTopic" => "InvalidParameter.TopicExist",
        K::Exists(_) => REPETITION,
        K::InUse if action == "DeleteDatahubTopic" => "ResourceInUse",
        K::Denied => "UnauthorizedOperation",
        K::Unreachable | K::BadCredentials => "ResourceUnavailable",
        K::Unsupported if action == "CreateDatahubTopic" => "UnsupportedOperation",
        K::Invalid | K::BadPath | K::TokenMismatch => PARAMETER,
        K::Internal => INTERNAL,
        _ => FAILED,
    }
}

fn send(kind: ErrorKind) -> &'static str {
    use ErrorKind as K;
    match kind {
        K::NotFound(Noun::Pipeline) => NO_INSTANCE,
        K::NotFound(_) => NOT_FOUND,
        K::InvalidState => "OperationDenied.ResourceTaskPaused",
        K::Denied | K::InUse => "OperationDenied",
        K::Throttled => "RequestLimitExceeded",
        K::Unreachable | K::BadCredentials => "ResourceUnavailable.KafkaStorageError",
        K::LimitExceeded | K::Invalid | K::BadPath => VALUE,
        K::TokenMismatch => PARAMETER,
        K::Internal => INTERNAL,
        K::Exists(_) | K::Unsupported => FAILED,
    }
}

/// `the topic is gone` → `The topic is gone.`
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
    use crate::ops::ACTIONS;

    const KINDS: [ErrorKind; 15] = [
        ErrorKind::NotFound(Noun::Pipeline),
        ErrorKind::NotFound(Noun::Topic),
        ErrorKind::NotFound(Noun::Connection),
        ErrorKind::Exists(Noun::Topic),
        ErrorKind::InvalidState,
        ErrorKind::InUse,
        ErrorKind::LimitExceeded,
        ErrorKind::Throttled,
        ErrorKind::Denied,
        ErrorKind::Unreachable,
        ErrorKind::BadCredentials,
        ErrorKind::BadPath,
        ErrorKind::Unsupported,
        ErrorKind::Invalid,
        ErrorKind::Internal,
    ];

    /// The vendor's lists.
    fn set(action: &str) -> Vec<&'static str> {
        let mut all = vec![
            "AuthFailure",
            "FailedOperation",
            "InternalError",
            "InvalidParameter",
            "InvalidParameterValue",
            "InvalidParameterValue.InstanceNotExist",
            "InvalidParameterValue.NotAllowedEmpty",
            "InvalidParameterValue.RepetitionValue",
        ];
        let topics = vec![
            "FailedOperation",
            "InternalError",
            "InvalidParameter",
            "InvalidParameterValue.InstanceNotExist",
            "InvalidParameterValue.RepetitionValue",
            "ResourceUnavailable",
            "UnauthorizedOperation",
        ];
        let minus = |all: Vec<&'static str>, gone: &[&str]| -> Vec<&'static str> {
            all.into_iter().filter(|c| !gone.contains(c)).collect()
        };
        let plus = |all: Vec<&'static str>, more: &[&'static str]| [all, more.to_vec()].concat();
        match action {
            "CreateDatahubTask" | "CreateMetaAndDataSyncDatahubTask" => plus(all, &[NOT_FOUND]),
            "CreateMetaDataAndOffsetSyncDatahubTask" => plus(minus(all, &[NO_INSTANCE]), &[NOT_FOUND]),
            "CreateMetaSyncDatahubTask" => plus(minus(all, &[NO_INSTANCE, INTERNAL]), &[NOT_FOUND]),
            "DescribeDatahubTasks" | "ModifyDatahubTask" => minus(all, &[REPETITION]),
            "DeleteDatahubTask" | "PauseDatahubTask" | "RestartDatahubTask" => {
                minus(all, &[VALUE, REPETITION])
            }
            "ResumeDatahubTask" => minus(all, &[VALUE, REPETITION, "AuthFailure"]),
            "DescribeDatahubTask" => {
                all.truncate(5);
                all
            }
            "CreateDatahubTopic" => plus(topics, &["InvalidParameter.TopicExist", "UnsupportedOperation"]),
            "DeleteDatahubTopic" => plus(topics, &["ResourceInUse", NOT_FOUND]),
            "DescribeDatahubTopic" | "DescribeDatahubTopics" => plus(topics, &[NOT_FOUND]),
            "ModifyDatahubTopic" | "DescribeDatahubGroupOffsets" => topics,
            "FetchDatahubMessageByOffset" => vec![FAILED],
            "FetchLatestDatahubMessageList" => vec![FAILED, INTERNAL],
            "SendMessage" => vec![
                "FailedOperation",
                "InternalError",
                "InvalidParameter",
                "InvalidParameterValue",
                NO_INSTANCE,
                "OperationDenied",
                "OperationDenied.ResourceTaskPaused",
                "RequestLimitExceeded",
                NOT_FOUND,
                "ResourceUnavailable.KafkaStorageError",
            ],
            _ => all,
        }
    }

    #[test]
    fn every_code_stands_in_its_actions_list() {
        for action in ACTIONS {
            let set = set(action);
            for kind in KINDS {
                // Names can't be taken where nothing is named.
                let names = action.starts_with("Create") || action.starts_with("Modify");
                if matches!(kind, ErrorKind::Exists(_)) && !names {
                    continue;
                }
                // Only what values a request can have may be wrong.
                let bare = *action == "DescribeDatahubTasks" || !action.starts_with("Describe");
                if matches!(kind, ErrorKind::Invalid | ErrorKind::BadPath) && !bare {
                    continue;
                }
                let code = code(action, kind);
                assert!(set.contains(&code), "{action} {kind:?}: {code}");
            }
        }
    }

    #[test]
    fn kinds_become_the_codes_of_each_action() {
        use ErrorKind as K;
        for (action, kind, want) in [
            ("CreateDatahubTask", K::NotFound(Noun::Connection), NO_INSTANCE),
            ("CreateDatahubTask", K::NotFound(Noun::Topic), NOT_FOUND),
            ("CreateDatahubTask", K::NotFound(Noun::Bucket), NOT_FOUND),
            ("CreateMetaSyncDatahubTask", K::NotFound(Noun::Connection), NOT_FOUND),
            ("CreateConnectResource", K::Exists(Noun::Connection), REPETITION),
            ("DeleteConnectResource", K::InUse, FAILED),
            ("PauseDatahubTask", K::InvalidState, FAILED),
            ("PauseDatahubTask", K::NotFound(Noun::Pipeline), NO_INSTANCE),
            ("DescribeDatahubTask", K::NotFound(Noun::Pipeline), VALUE),
            ("CreateDatahubTopic", K::Exists(Noun::Topic), "InvalidParameter.TopicExist"),
            ("DeleteDatahubTopic", K::InUse, "ResourceInUse"),
            ("ModifyDatahubTopic", K::NotFound(Noun::Topic), NO_INSTANCE),
            ("SendMessage", K::InvalidState, "OperationDenied.ResourceTaskPaused"),
            ("SendMessage", K::Throttled, "RequestLimitExceeded"),
            ("SendMessage", K::Unreachable, "ResourceUnavailable.KafkaStorageError"),
            ("FetchDatahubMessageByOffset", K::NotFound(Noun::Record), FAILED),
        ] {
            assert_eq!(code(action, kind), want, "{action} {kind:?}");
        }
    }

    #[test]
    fn what_is_internal_stays_inside() {
        let e = Error::new(ErrorKind::Internal, "disk /var/x is on fire");
        let f = of("CreateDatahubTask", &e);
        assert_eq!((f.http, f.code.as_ref()), (200, "InternalError"));
        assert!(!f.message.contains("/var/x"));
        assert_eq!(sentence("no such task"), "No such task.");
        assert!(!sentence("").is_empty());
    }
}
