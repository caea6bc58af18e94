//! One error for the whole store.

use std::fmt;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No record with this id.
    NotFound,
    /// A record with this id, name or key is there already.
    Exists,
    /// The record is in use, or not in a state that allows the change.
    Conflict,
    /// A count limit that was passed in would be exceeded.
    Limit,
    /// The run is no longer the task's current one: another worker has it, or it has ended.
    Fenced,
    /// A ledger that does not balance was to be stored as Completed.
    Unbalanced,
    /// The master key is not the one the database was made with, or its file can't be used.
    Key,
    /// The database was written by a newer version, or holds a record of an unknown version.
    Version,
    /// Another process has the SQLite file open.
    Locked,
    /// The database can't be reached or opened.
    Unavailable,
    /// Anything else: SQL, I/O, a record that can't be read.
    Internal,
}

/// An error of the store: kind and message (lower case, no full stop, no secret).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Puts `what` in front of the message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        let kind = match &e {
            sqlx::Error::Database(d) if d.is_unique_violation() => ErrorKind::Exists,
            sqlx::Error::Database(d) if d.is_foreign_key_violation() => ErrorKind::Conflict,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed => ErrorKind::Unavailable,
            sqlx::Error::RowNotFound => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, format!("database: {e}"))
    }
}
