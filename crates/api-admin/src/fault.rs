//! Control's refusals as codes of this door.

use api::Fault;
use control::{Error, ErrorKind};

/// The code for a refusal.
pub fn fault(e: Error) -> Fault {
    let code = match e.kind {
        ErrorKind::NotFound(_) => "NotFound",
        ErrorKind::Exists(_) => "Exists",
        ErrorKind::InvalidState => "InvalidState",
        ErrorKind::InUse => "InUse",
        ErrorKind::LimitExceeded => "LimitExceeded",
        ErrorKind::Throttled => "Throttled",
        ErrorKind::Denied => "Denied",
        ErrorKind::Unreachable => "Unreachable",
        ErrorKind::BadCredentials => "BadCredentials",
        ErrorKind::BadPath => "BadPath",
        ErrorKind::Unsupported => "Unsupported",
        ErrorKind::TokenMismatch => "TokenMismatch",
        ErrorKind::Invalid => "Invalid",
        ErrorKind::Internal => return Fault::internal(),
    };
    Fault::tencent(code, e.message)
}
