//! What goes wrong in `control`, in Tencent's codes.
//!
//! Each action has a list of codes that its SDK documents; a kind becomes the code of that list that means it. Where the list has
//! none (rights, the cluster), it is one of the codes that all Tencent services share.

use api::{Cloud, Fault, FieldProblem};
use control::{Error, ErrorKind, Noun};

/// Not in the form that it has to have.
pub const MALFORMED: &str = "InvalidParameterValue.Malformed";
/// Not one of the words, or outside of the bounds.
pub const RANGE: &str = "InvalidParameterValue.Range";
/// Required and empty.
pub const EMPTY: &str = "InvalidParameterValue.Empty";
/// Longer than may be asked for.
pub const TOO_LONG: &str = "InvalidParameterValue.TooLong";
/// Too many in one request.
pub const TOO_MANY: &str = "InvalidParameterValue.LimitExceeded";
/// No such thing.
pub const NOT_FOUND: &str = "ResourceNotFound";
/// It can't be done here.
pub const UNSUPPORTED: &str = "UnsupportedOperation";
/// The server has no right to observe.
pub const UNAUTHORIZED: &str = "UnauthorizedOperation";
/// Our own fault.
const INTERNAL: &str = "InternalError";

/// A refusal of this door's own.
pub fn refuse(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::tencent(code, message)
}

/// What the field table found.
pub fn of_field(problem: &FieldProblem) -> Fault {
    problem.fault(Cloud::Tencent)
}

/// A refusal of `control` in the words of `action`.
pub fn of(action: &str, error: &Error) -> Fault {
    if matches!(error.kind, ErrorKind::Internal) {
        let message = "An internal error occurred; the server's log has it under this request id.";
        return refuse(code(action, error), message);
    }
    refuse(code(action, error), sentence(&error.message))
}

/// The code of a refusal for an action.
fn code(action: &str, error: &Error) -> &'static str {
    use ErrorKind as K;
    let create = action == "CreateFlowLog";
    match error.kind {
        K::NotFound(_) => NOT_FOUND,
        K::Exists(Noun::FlowLog) if create => "UnsupportedOperation.FlowLogInstanceExisted",
        // The device isn't there: nothing is plugged in.
        K::InvalidState if create && error.field == Some("resource") => {
            "UnsupportedOperation.FlowLogsNotSupportNullInstanceEni"
        }
        K::InvalidState if error.field == Some("resource") => NOT_FOUND,
        K::Denied => UNAUTHORIZED,
        K::LimitExceeded if create => "LimitExceeded",
        K::Unsupported if create && error.field == Some("connection") => {
            "UnsupportedOperation.OnlySupportProfessionKafka"
        }
        K::Unreachable | K::BadCredentials if create => "InternalError.CreateCkafkaRouteError",
        K::Invalid | K::BadPath | K::TokenMismatch | K::LimitExceeded => RANGE,
        K::Internal if create => "InternalError.ModuleError",
        K::Internal => INTERNAL,
        _ => UNSUPPORTED,
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

    #[test]
    fn kinds_become_the_codes_of_each_action() {
        use ErrorKind as K;
        for (action, kind, field, want) in [
            ("CreateFlowLog", K::NotFound(Noun::Network), Some("resource"), NOT_FOUND),
            ("CreateFlowLog", K::NotFound(Noun::Topic), Some("topic"), NOT_FOUND),
            ("CreateFlowLog", K::Exists(Noun::FlowLog), None, "UnsupportedOperation.FlowLogInstanceExisted"),
            ("CreateFlowLog", K::Denied, Some("resource"), UNAUTHORIZED),
            ("EnableFlowLogs", K::Denied, Some("resource"), UNAUTHORIZED),
            (
                "CreateFlowLog",
                K::InvalidState,
                Some("resource"),
                "UnsupportedOperation.FlowLogsNotSupportNullInstanceEni",
            ),
            ("EnableFlowLogs", K::InvalidState, Some("resource"), NOT_FOUND),
            (
                "CreateFlowLog",
                K::Unsupported,
                Some("connection"),
                "UnsupportedOperation.OnlySupportProfessionKafka",
            ),
            ("CreateFlowLog", K::Unreachable, None, "InternalError.CreateCkafkaRouteError"),
            ("CreateFlowLog", K::LimitExceeded, None, "LimitExceeded"),
            ("DeleteFlowLog", K::NotFound(Noun::FlowLog), None, NOT_FOUND),
            ("DeleteFlowLog", K::Internal, None, INTERNAL),
        ] {
            let mut e = Error::new(kind, "words");
            e.field = field;
            assert_eq!(code(action, &e), want, "{action} {kind:?}");
        }
    }

    #[test]
    fn what_is_internal_stays_inside() {
        let f = of("CreateFlowLog", &Error::new(ErrorKind::Internal, "disk /var/x is on fire"));
        assert_eq!((f.http, f.code.as_ref()), (200, "InternalError.ModuleError"));
        assert!(!f.message.contains("/var/x"));
        assert!(!sentence("").is_empty());
    }
}
