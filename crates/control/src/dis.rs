//! Streams of the DIS API: topics of the server's own cluster with partitions that open and close.
//!
//! A stream `s` of account `a` is the topic `dis.a.s`; its partition *n* is the topic's partition *n*, a sequence number
//! is an offset, a partition key is a record's key. So a Kafka client reads what came through the API and the other way
//! round. Nothing of a record is kept beside the log.
//!
//! `streams` makes, changes and removes them, `records` puts and gets, `apps` has who reads and how far, `figures` the
//! sums of minutes. What the product limits (partitions, their rates, how often one scales) is a setting, off by default.

mod apps;
mod figures;
mod records;
mod streams;
mod topics;

use std::sync::Mutex;

use bytes::Bytes;
use model::{DisData, DisKind};
use std::collections::BTreeMap;

pub use streams::{DisChange, NewDisStream};

use figures::Meter;
use records::Buckets;

/// Bounds of the DIS API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisLimits {
    /// Hold everybody to what the product sells: rates of a partition, quotas of partitions, pauses between two scalings.
    pub product: bool,
    /// Streams of one account.
    pub streams_per_account: u32,
    /// Apps of one account.
    pub apps_per_account: u32,
}

impl Default for DisLimits {
    fn default() -> Self {
        Self { product: false, streams_per_account: 1000, apps_per_account: 1000 }
    }
}

/// A record to put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisRecord {
    /// Content.
    pub data: Bytes,
    /// Partition key.
    pub key: Option<Bytes>,
    /// Hash instead of the key's.
    pub hash: Option<u64>,
    /// Partition: goes before the hash.
    pub partition: Option<u32>,
    /// Time that the client gave, in milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Headers.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Why one record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisRefusal {
    /// There is no such partition, or it is closed.
    NoPartition,
    /// The partition takes no more now.
    Throttled,
    /// The log did not take it; it may be put again.
    Failed,
}

/// Where a record is: partition and sequence number.
pub type DisPlace = (u32, i64);

/// What one partition of a kind carries in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes in.
    pub bytes_in: u64,
    /// Records in.
    pub records_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// Partitions of one account.
    pub quota: u32,
}

pub(crate) fn pace(kind: DisKind) -> Pace {
    match kind {
        DisKind::Common => Pace { bytes_in: 1 << 20, records_in: 1000, bytes_out: 2 << 20, quota: 50 },
        DisKind::Advanced => Pace { bytes_in: 5 << 20, records_in: 2000, bytes_out: 10 << 20, quota: 10 },
    }
}

/// What this process alone knows of streams.
#[derive(Default)]
pub(crate) struct Desk {
    /// Whose turn it is without key and partition.
    turn: std::sync::atomic::AtomicU64,
    buckets: Mutex<Buckets>,
    meter: Mutex<Meter>,
}

/// The tags of a stream.
pub(crate) type Tags = BTreeMap<String, String>;

/// Do records of this type have a schema?
pub(crate) fn has_schema(data: DisData) -> bool {
    data != DisData::Blob
}
