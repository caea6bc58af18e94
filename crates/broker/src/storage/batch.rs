//! The header of a record batch (message format v2, Kafka protocol guide, "Record Batch").

use crate::error::{Error, Result};
use kafka_protocol::ResponseError;

/// Bytes of the header.
pub const HEADER: usize = 61;
/// Bytes before those that `batchLength` counts.
const LENGTH_FROM: usize = 12;
/// Where the checked bytes begin.
const CRC_FROM: usize = 21;

const COMPRESSION: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// The first time of the batch is the horizon of its tombstones (KIP-534).
const DELETE_HORIZON: i16 = 0x40;

/// A parsed header. Offsets are absolute, times are milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub length: usize,
    /// CRC-32C from the attributes to the end.
    pub crc: u32,
    /// Compression, kind of timestamp, transactional, control.
    pub attributes: i16,
    /// Offset of the last record, counted from the first.
    pub last_offset_delta: i32,
    /// Time of the first record.
    pub base_timestamp: i64,
    /// Largest time.
    pub max_timestamp: i64,
    /// Identity of an idempotent producer, or −1.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or −1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Header {
    /// Reads a header; `None` when it can't be one (too short, impossible length, another format).
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || bytes[16] != 2 {
            return None;
        }
        let length = usize::try_from(i32::from_be_bytes(array(bytes, 8))).ok()?.checked_add(LENGTH_FROM)?;
        let header = Self {
            base_offset: i64::from_be_bytes(array(bytes, 0)),
            length,
            crc: u32::from_be_bytes(array(bytes, 17)),
            attributes: i16::from_be_bytes(array(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            count: i32::from_be_bytes(array(bytes, 57)),
        };
        let sane = length >= HEADER && header.last_offset_delta >= 0 && header.base_offset >= 0;
        sane.then_some(header)
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Sequence number of the last record; it wraps at 2³¹ to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
    }

    /// Number of the compression codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    #[must_use]
    pub fn compression(&self) -> i16 {
        self.attributes & COMPRESSION
    }

    /// Do all records have the time at which the batch was stored?
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Is it part of a transaction?
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Does it end a transaction?
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When the tombstones of a compacted batch may go.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Is it from an idempotent producer?
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }
}

/// Is the checksum of a whole batch right?
#[must_use]
pub fn crc_holds(header: &Header, batch: &[u8]) -> bool {
    batch.len() == header.length && crc32c::crc32c(&batch[CRC_FROM..]) == header.crc
}

/// Checks one batch as a client sent it.
///
/// # Errors
/// Kafka's code for what is wrong with it.
pub fn check_incoming(batch: &[u8], max_bytes: usize) -> Result<Header> {
    if batch.len() > 16 && matches!(batch[16], 0 | 1) {
        return Err(Error::new(
            ResponseError::UnsupportedForMessageFormat,
            "message formats v0 and v1 are not taken, only v2",
        ));
    }
    let Some(header) = Header::parse(batch) else {
        return Err(Error::corrupt("no record batch of format v2"));
    };
    if header.length < batch.len() {
        let words = "one record batch for each partition, please";
        return Err(Error::new(ResponseError::InvalidRecord, words));
    }
    if header.length > batch.len() {
        return Err(Error::corrupt("the record batch is cut off"));
    }
    if header.length > max_bytes {
        let words =
            format!("a record batch of {} bytes is over max.message.bytes={max_bytes}", header.length);
        return Err(Error::new(ResponseError::MessageTooLarge, words));
    }
    if !crc_holds(&header, batch) {
        return Err(Error::corrupt("the checksum of the record batch is wrong"));
    }
    check_fields(&header)?;
    Ok(header)
}

fn check_fields(header: &Header) -> Result<()> {
    let invalid = |words: &str| Err(Error::new(ResponseError::InvalidRecord, words));
    if header.is_control() {
        return invalid("clients can't write control batches");
    }
    if header.delete_horizon().is_some() {
        return invalid("clients can't give a horizon for tombstones");
    }
    if header.count < 1 || header.last_offset_delta != header.count - 1 {
        return invalid("the record batch's count doesn't fit its offsets");
    }
    if header.has_producer() && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return invalid("an idempotent producer's batch has no sequence number or epoch");
    }
    if header.is_transactional() && !header.has_producer() {
        return invalid("a transactional batch has no producer");
    }
    if header.compression() > 4 {
        let words = "unknown compression";
        return Err(Error::new(ResponseError::UnsupportedCompressionType, words));
    }
    Ok(())
}

/// The header as it is stored: the offset of its place in the log, and, where the topic asks for it, the
/// time of storing. The checksum covers neither offset nor epoch; it is made anew only for a new time.
#[must_use]
pub fn stored_header(batch: &[u8], base_offset: i64, append_time: Option<i64>) -> [u8; HEADER] {
    let mut header: [u8; HEADER] = array(batch, 0);
    header[..8].copy_from_slice(&base_offset.to_be_bytes());
    header[12..16].copy_from_slice(&0_i32.to_be_bytes());
    if let Some(time) = append_time {
        let attributes = i16::from_be_bytes(array(batch, 21)) | LOG_APPEND_TIME;
        header[21..23].copy_from_slice(&attributes.to_be_bytes());
        header[35..43].copy_from_slice(&time.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[CRC_FROM..]), &batch[HEADER..]);
        header[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    header
}

/// Puts length and checksum into a batch that was built here (see `records::encode`).
pub fn seal(batch: &mut [u8]) {
    let length = i32::try_from(batch.len() - LENGTH_FROM).unwrap_or(i32::MAX);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Attributes of a batch that compaction makes.
#[must_use]
pub fn kept_attributes(append_time: bool, has_horizon: bool) -> i16 {
    (if append_time { LOG_APPEND_TIME } else { 0 }) | (if has_horizon { DELETE_HORIZON } else { 0 })
}

/// A whole batch without its producer and its transaction.
#[must_use]
pub fn without_producer(batch: &[u8]) -> Vec<u8> {
    let mut out = batch.to_vec();
    let attributes = i16::from_be_bytes(array(batch, 21)) & !TRANSACTIONAL;
    out[21..23].copy_from_slice(&attributes.to_be_bytes());
    // Producer, epoch and sequence number: -1 each.
    out[43..57].fill(0xff);
    seal(&mut out);
    out
}

/// Lets a whole batch reach further, to close a gap after it.
pub fn set_last_offset_delta(batch: &mut [u8], delta: i32) {
    batch[23..27].copy_from_slice(&delta.to_be_bytes());
    seal(batch);
}

/// A batch without records, over a stretch of offsets.
#[must_use]
pub fn empty(base_offset: i64, last_offset_delta: i32) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(&base_offset.to_be_bytes());
    out[16] = 2;
    out[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    // Times, producer, epoch and sequence number: -1 each.
    out[27..57].fill(0xff);
    seal(&mut out);
    out
}

/// Attributes of a batch of a transaction, and of one that ends it.
#[must_use]
pub fn transactional_attributes(control: bool) -> i16 {
    if control { TRANSACTIONAL | CONTROL } else { TRANSACTIONAL }
}
