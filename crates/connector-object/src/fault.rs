//! What a server's refusal means.
//!
//! S3 servers agree on codes more than on statuses, so the code decides and the status is asked when the
//! code says nothing (HEAD has no body). The server's own words are kept, cut short, for the reader.

use std::time::Duration;

use connector::{Error, ErrorKind};

use crate::xml;

/// A request that failed: the error for the caller and what the server called it.
#[derive(Debug)]
pub struct Fault {
    pub(crate) error: Error,
    /// HTTP status, 0 when no answer came.
    pub status: u16,
    /// The server's code (`NoSuchKey`), or empty.
    pub code: Box<str>,
    /// What `Retry-After` asked for.
    pub(crate) retry_after: Option<Duration>,
    /// An earlier attempt of the same request may have been carried out.
    pub(crate) repeated: bool,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::from(Error::new(kind, message))
    }

    /// The connection broke or nothing came in time.
    pub(crate) fn broken(what: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::from(Error::new(ErrorKind::Unavailable, what).caused_by(cause))
    }

    /// From an answer that is not a success.
    pub(crate) fn answered(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let (code, message) = xml::parse_error(body).unwrap_or_default();
        let kind = kind_of(status, &code);
        let said = match (code.is_empty(), message.is_empty()) {
            (true, _) => format!("the server answered {status}"),
            (false, true) => format!("the server answered {status} {}", clip(&code)),
            (false, false) => format!("the server answered {status} {}: {}", clip(&code), clip(&message)),
        };
        Self { error: Error::new(kind, said), status, code: code.into(), retry_after, repeated: false }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// The same with another kind.
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        let error = Error::new(kind, self.error.to_string());
        Self { error, ..self }
    }

    /// Puts `what` in front of the message.
    #[must_use]
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        Self { error: self.error.context(what), ..self }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, status: 0, code: Box::default(), retry_after: None, repeated: false }
    }
}

impl From<Fault> for Error {
    fn from(f: Fault) -> Self {
        f.error
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Fault {}

fn clip(s: &str) -> String {
    connector_display(s.char_indices().nth(300).map_or(s, |(i, _)| &s[..i]))
}

/// Control characters from outside must not reach a terminal.
fn connector_display(s: &str) -> String {
    s.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn kind_of(status: u16, code: &str) -> ErrorKind {
    use ErrorKind as K;
    match code {
        "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" | "NoSuchVersion" | "NotFound" => K::NotFound,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "ExpiredToken"
        | "InvalidToken"
        | "InvalidSecurity"
        | "AuthorizationHeaderMalformed" => K::Denied,
        "PreconditionFailed" | "InvalidRange" => K::Changed,
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => K::Exists,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "TooManyRequests"
        | "Throttling"
        | "RequestLimitExceeded"
        | "QpsLimitExceeded" => K::Throttled,
        "RequestTimeout"
        | "InternalError"
        | "ServiceUnavailable"
        | "OperationAborted"
        | "ConditionalRequestConflict" => K::Unavailable,
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "IncompleteBody" => K::Corrupt,
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "EntityQuotaExceeded" => K::Full,
        "EntityTooLarge"
        | "KeyTooLongError"
        | "KeyTooLong"
        | "MetadataTooLarge"
        | "InvalidObjectName"
        | "XMinioInvalidObjectName" => K::Unacceptable,
        "NotImplemented" | "MethodNotAllowed" => K::Unsupported,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    use ErrorKind as K;
    match status {
        404 => K::NotFound,
        401 | 403 => K::Denied,
        412 | 416 => K::Changed,
        429 => K::Throttled,
        405 | 501 => K::Unsupported,
        507 => K::Full,
        408 | 500..=599 => K::Unavailable,
        _ => K::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_statuses_help() {
        let body =
            b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>easy\n&amp; slow</Message></Error>";
        let f = Fault::answered(503, body, None);
        assert_eq!((f.kind(), &*f.code), (ErrorKind::Throttled, "SlowDown"));
        assert_eq!(f.to_string(), "the server answered 503 SlowDown: easy & slow");
        for (status, kind) in [
            (404, ErrorKind::NotFound),
            (403, ErrorKind::Denied),
            (412, ErrorKind::Changed),
            (500, ErrorKind::Unavailable),
            (418, ErrorKind::Other),
        ] {
            assert_eq!(Fault::answered(status, b"<html>", None).kind(), kind);
        }
    }
}
