//! What goes wrong, in the product's codes. Nearly all are HTTP 400, also for what is not there.

use api::{Fault, FieldProblem};
use control::{Error, ErrorKind, Noun};

/// A refusal with one of the product's codes.
pub fn refuse(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::new(400, code, message)
}

/// Something about the request is wrong.
pub fn invalid(why: impl AsRef<str>) -> Fault {
    refuse("DIS.4200", format!("Invalid request. {}", why.as_ref()))
}

/// There is no body where one is needed.
pub fn empty_request() -> Fault {
    refuse("DIS.4202", "Empty request.")
}

/// The project is not the account's.
pub fn project() -> Fault {
    refuse("DIS.4117", "Invalid Project Id. The project is not the one of this account.")
}

/// A partition that nobody can mean.
pub fn partition_id(given: &str) -> Fault {
    let shown: String = given.chars().take(64).collect();
    refuse("DIS.4201", format!("Invalid partition_id. {shown}"))
}

/// A partition that is not there.
pub fn no_partition(given: &str) -> Fault {
    let shown: String = given.chars().take(64).collect();
    refuse("DIS.4302", format!("Partition does not exist. {shown}"))
}

/// Something of ours failed.
pub fn internal() -> Fault {
    Fault::new(500, "DIS.5000", "System error.")
}

/// What the field table found.
pub fn of_field(problem: &FieldProblem) -> Fault {
    problem.fault(api::Cloud::Huawei)
}

/// A refusal of `control`.
pub fn of(error: &Error) -> Fault {
    use ErrorKind as K;
    let why = &error.message;
    match error.kind {
        K::NotFound(Noun::Stream) => refuse("DIS.4301", format!("The stream does not exist. {why}")),
        K::NotFound(Noun::Partition) => refuse("DIS.4302", format!("Partition does not exist. {why}")),
        K::NotFound(Noun::App) => refuse("DIS.4332", "app not found."),
        K::NotFound(Noun::Tag) => refuse("DIS.4604", "The key does not exist."),
        K::NotFound(_) => refuse("DIS.4603", format!("The resource does not exist. {why}")),
        K::Exists(Noun::Stream) => refuse("DIS.4307", format!("The stream already exists. {why}")),
        K::Exists(Noun::App) => refuse("DIS.4330", "app already exist."),
        K::Exists(_) => refuse("DIS.4300", format!("Request error. {why}")),
        K::InvalidState => refuse("DIS.4205", "Stream is not running."),
        K::InUse => refuse("DIS.4331", "app is using."),
        K::LimitExceeded => refuse("DIS.4308", format!("Insufficient quota. {why}")),
        K::Throttled => refuse("DIS.4303", format!("Exceeded traffic control limit. {why}")),
        K::Denied | K::BadCredentials => Fault::new(403, "DIS.4116", format!("Invalid RBAC. {why}")),
        K::Invalid | K::BadPath | K::TokenMismatch => invalid(why),
        K::Unsupported => refuse("DIS.4300", format!("Request error. {why}")),
        // Clients try these again.
        K::Unreachable | K::Internal => internal(),
    }
}
