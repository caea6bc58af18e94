//! Records: how they come, how they go, and where a reader stands.
//!
//! [`put`] has what a request to put holds, whatever its form; [`json`] and [`proto`] read and write the two forms,
//! [`inflate`] takes compression away within a bound. [`cursor`] is a reader's place as the client keeps it.

pub mod cursor;
pub mod inflate;
pub mod json;
pub mod partitions;
pub mod proto;
pub mod put;

/// Bytes of a request's body at most, also when it is decompressed.
pub const MAX_BODY: usize = 8 << 20;
/// Records of a request at most. The product is said to take 500, but its own older SDK sends a thousand for each partition in
/// one request and would not do with less.
pub const MOST_RECORDS: usize = 10_000;
/// Bytes of one record at most.
pub const MAX_RECORD: usize = 1 << 20;
