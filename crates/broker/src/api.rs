//! One file for each group of requests: Kafka's fields, rules and error codes, on top of what `core` can do.
//!
//! Every function takes the connection, the request and its version, and gives the whole answer: what goes
//! wrong with one topic or partition stands beside it and leaves the others alone.

pub mod cluster;
pub mod configs;
pub mod consumer_groups;
pub mod fetch;
pub mod groups;
pub mod offsets;
pub mod positions;
pub mod produce;
pub mod sasl;
pub mod topics;
pub mod txns;

use crate::error::Result;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

/// A text for the wire.
fn text(s: impl Into<String>) -> StrBytes {
    StrBytes::from_string(s.into())
}

/// The code of an outcome; 0 is success.
fn code<T>(outcome: &Result<T>) -> i16 {
    outcome.as_ref().err().map_or(0, crate::Error::code)
}

/// The words of an outcome that failed.
fn words<T>(outcome: &Result<T>) -> Option<StrBytes> {
    outcome.as_ref().err().map(|e| text(e.to_string()))
}

/// The code of a bare outcome.
fn bare<T>(outcome: &std::result::Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}
