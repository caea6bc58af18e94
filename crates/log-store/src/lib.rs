//! Log topics: an embedded, searchable store of JSON records, with retention.
//!
//! ```text
//! <folder>/<topic>/0000000000000007.seg   sealed: blocks of records by time, compressed; at the end a directory
//!                  0000000000000008.wal   open: batches as they came, each acknowledged after it reached the disk
//! ```
//!
//! **Append once.** A batch names its writer and the position after it. The topic keeps, with the records and in the same frame, up to which
//! position each writer has come (and a note of the writer's own). What comes again after a crash is dropped. Two owners of one writer's name can
//! only repeat each other.
//!
//! **Reading.** A directory says of each block its stretch of time, which fields occur in it, the least and greatest value of whole-number
//! fields, and has a Bloom filter of its words. What can't match is not read. The rest is decompressed block by block and looked at
//! record by record, so an answer is that of a plain filter over all records ([`Query`] says what matches). A call takes one thread, half a megabyte for a
//! block and a bounded answer; it ends at its deadline and says so.
//!
//! **Damage.** Each frame has a checksum. A torn end of the open segment is cut off when the topic is opened: it was not acknowledged. Damage anywhere else
//! costs its block or batch, is counted, and the rest is read.
//!
//! **Retention** takes whole segments away, by the time of arrival of their last record or by the bytes of the topic.
//!
//! It is no index of everything: no ranking, no joins, no updates. It knows no door, account or pipeline. Calls block: see `runtime::blocking`.

mod block;
mod bloom;
mod codec;
mod expression;
mod frame;
mod logs;
mod query;
mod search;
mod segment;
mod topic;
mod wal;
mod words;
mod writers;

#[cfg(test)]
mod tests;

pub use expression::{Expression, parse};
pub use logs::Logs;
pub use query::{Cursor, Filter, Operator, Order, Query};
pub use search::{Histogram, Page, Record, Top};
pub use topic::{Batch, NewRecord, Settings, Stats, Topic};
pub use writers::Progress;

/// Longest text of one record.
pub const MAX_RECORD: usize = 1 << 20;
/// Most bytes of one batch.
pub const MAX_BATCH: usize = 48 << 20;
/// Longest name of a writer, of a stream, and note of a writer.
pub const MAX_NAME: usize = 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No topic of this name is declared.
    #[error("there is no log topic {0}")]
    NotFound(String),
    /// What was handed in can't be kept or asked.
    #[error("{0}")]
    Invalid(String),
    /// The disk is full.
    #[error("no room for the log topic: {0}")]
    Full(std::io::Error),
    /// Another failure of the disk.
    #[error("the log topic can't be read or written: {0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full(e),
            _ => Self::Io(e),
        }
    }
}

/// Result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
