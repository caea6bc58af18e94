//! The one error of this crate: a code of the Kafka protocol and words.

use kafka_protocol::ResponseError;
use std::fmt;

/// What went wrong. The code is Kafka's own, so that it reaches a client unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: ResponseError,
    message: String,
}

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with its code and words.
    pub(crate) fn new(code: ResponseError, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A file could not be read or written.
    pub(crate) fn storage(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(ResponseError::KafkaStorageError, format!("{what}: {error}"))
    }

    /// What is stored or was sent is not in the form that it should have.
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ResponseError::CorruptMessage, message)
    }

    /// The number that the Kafka protocol gives to this error.
    #[must_use]
    pub fn code(&self) -> i16 {
        self.code.code()
    }

    pub(crate) fn kind(&self) -> ResponseError {
        self.code
    }

    /// Is there no such topic, partition, group or offset?
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        use ResponseError::{GroupIdNotFound, OffsetOutOfRange, UnknownTopicId, UnknownTopicOrPartition};
        matches!(self.code, UnknownTopicOrPartition | UnknownTopicId | GroupIdNotFound | OffsetOutOfRange)
    }

    /// May the same call succeed later?
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.code.is_retriable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<ResponseError> for Error {
    fn from(code: ResponseError) -> Self {
        Self::new(code, code.to_string())
    }
}
