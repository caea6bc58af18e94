//! One error for the whole boundary: a small kind that decides what happens next, and words for people.

use std::fmt;

/// What went wrong, as far as anybody has to act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The item, bucket or directory is not there.
    NotFound,
    /// The credentials are wrong, or lack the right to do this.
    Denied,
    /// The item is no longer the one that was listed (size, version or time differ).
    Changed,
    /// A conditional write found something in its place.
    Exists,
    /// The item can never be taken as it is: bad name, too long, unsupported type.
    Unacceptable,
    /// The destination has no room (`ENOSPC`, `EDQUOT`, quota).
    Full,
    /// The bytes that arrived are not the bytes that were sent (length or checksum).
    Corrupt,
    /// The other side asks to slow down (503 SlowDown, 429).
    Throttled,
    /// The other side failed or did not answer; the same call may work later.
    Unavailable,
    /// The endpoint lacks this feature.
    Unsupported,
    /// The run is being stopped.
    Cancelled,
    /// Anything else: an answer that can't be understood, a local I/O error.
    Other,
}

impl ErrorKind {
    /// May the very same call succeed if it is made again?
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Corrupt)
    }

    /// Does the error speak of the whole endpoint or tree rather than of one item? Such an error
    /// ends the run; any other is counted against its item and the neighbours go on.
    #[must_use]
    pub fn is_global(self) -> bool {
        matches!(self, Self::Denied | Self::Full | Self::Cancelled)
    }

    /// Stable lower-case name for logs, reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Changed => "changed",
            Self::Exists => "exists",
            Self::Unacceptable => "unacceptable",
            Self::Full => "full",
            Self::Corrupt => "corrupt",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }
}

/// An error of a connector: kind, message (lower case, no full stop, no secret) and cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of a connector call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a cause.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts `what` in front of the message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without its cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(s) => write!(f, ": {s}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let kind = match e.kind() {
            K::NotFound => ErrorKind::NotFound,
            K::PermissionDenied | K::ReadOnlyFilesystem => ErrorKind::Denied,
            K::AlreadyExists => ErrorKind::Exists,
            K::StorageFull | K::QuotaExceeded => ErrorKind::Full,
            K::InvalidFilename => ErrorKind::Unacceptable,
            K::ConnectionRefused
            | K::ConnectionReset
            | K::ConnectionAborted
            | K::BrokenPipe
            | K::TimedOut
            | K::UnexpectedEof
            | K::HostUnreachable
            | K::NetworkUnreachable => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        Self::new(kind, e.to_string())
    }
}
