//! What a request to put records holds, whatever its form.

use bytes::Bytes;
use control::{DisPlace, DisRecord, DisRefusal};
use model::MAX_HASH;

use super::{MAX_RECORD, partitions};

/// Name of the Kafka header that keeps a record's `extended_info`, which only the Java SDK sends.
const EXTENDED: &[u8] = b"extended_info";
/// Characters of a partition key at most.
const MAX_KEY: usize = 256;

/// A request.
#[derive(Debug, Default)]
pub struct Put {
    /// Name; may be empty when the id is given.
    pub stream_name: String,
    /// Id.
    pub stream_id: String,
    /// Records in their order.
    pub records: Vec<Entry>,
}

/// One record as it came.
#[derive(Debug, Default)]
pub struct Entry {
    /// Content.
    pub data: Option<Bytes>,
    /// Partition.
    pub partition_id: Option<String>,
    /// Key.
    pub partition_key: Option<Bytes>,
    /// Hash.
    pub explicit_hash_key: Option<String>,
    /// Time, in milliseconds.
    pub timestamp: Option<i64>,
    /// The client's own words.
    pub extended_info: Option<Bytes>,
}

/// A record that names a partition that can't be is answered by itself; what else is wrong with one, with the request.
pub enum Read {
    /// To be put.
    Record(DisRecord),
    /// Names no partition.
    NoPartition,
}

impl Entry {
    /// The record.
    ///
    /// # Errors
    /// What is wrong with the request, for people.
    pub fn read(self) -> Result<Read, String> {
        let data = self.data.ok_or("A record has no data.")?;
        if data.len() > MAX_RECORD {
            return Err(format!("A record has {} bytes; {MAX_RECORD} are allowed.", data.len()));
        }
        let key = self.partition_key.filter(|k| !k.is_empty());
        if key.as_ref().is_some_and(|k| k.len() > MAX_KEY * 4) {
            return Err(format!("A partition_key has more than {MAX_KEY} characters."));
        }
        let partition = match self.partition_id.as_deref().filter(|p| !p.is_empty()) {
            None => None,
            Some(name) => match partitions::parse(name) {
                Some(index) => Some(index),
                None => return Ok(Read::NoPartition),
            },
        };
        let hash = match self.explicit_hash_key.as_deref().filter(|h| !h.is_empty()) {
            None => None,
            Some(text) => {
                let hash = text.parse::<u64>().ok().filter(|h| *h <= MAX_HASH);
                Some(hash.ok_or_else(|| format!("An explicit_hash_key must be 0 to {MAX_HASH}."))?)
            }
        };
        let headers = self.extended_info.map(|info| (Bytes::from_static(EXTENDED), Some(info)));
        Ok(Read::Record(DisRecord {
            data,
            key,
            hash,
            partition,
            timestamp_ms: self.timestamp.filter(|t| *t > 0),
            headers: headers.into_iter().collect(),
        }))
    }
}

/// What became of one record.
pub type Placed = Result<DisPlace, DisRefusal>;

/// The product's code and words for a record that was not taken.
#[must_use]
pub fn words(refusal: DisRefusal) -> (&'static str, &'static str) {
    match refusal {
        DisRefusal::NoPartition => ("DIS.4302", "Partition does not exist."),
        DisRefusal::Throttled => ("DIS.4303", "Exceeded traffic control limit."),
        // The code by which SDKs put a record again.
        DisRefusal::Failed => ("DIS.5250", "System error."),
    }
}
