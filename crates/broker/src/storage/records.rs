//! Single records: the way in for callers in this process, and the way out for them.
//!
//! The wire never comes here: clients send and get whole batches. Form: Kafka protocol guide, "Record".

use super::batch::{self, HEADER, Header};
use super::compress::decompress;
use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes};

/// One record. Empty and absent (`None`) are different things for keys and values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may be there more than once.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Who writes a batch, when it is an idempotent or transactional producer.
#[derive(Debug, Clone, Copy)]
pub struct Producer {
    /// Identity.
    pub id: i64,
    /// Epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub sequence: i32,
    /// Attributes of the batch.
    pub attributes: i16,
}

impl Record {
    /// About the bytes that it has in a batch.
    #[must_use]
    pub fn size(&self) -> usize {
        let of = |b: &Option<Bytes>| b.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value) + 4).sum();
        of(&self.key) + of(&self.value) + headers + 16
    }
}

/// Builds the uncompressed batch of what compaction keeps: records with their offsets, in order and within
/// 2³¹ of each other. `horizon`: when its tombstones may go (the times are counted from it then, as in Kafka).
#[must_use]
pub fn encode_kept(records: &[(i64, Record)], append_time: bool, horizon: Option<i64>) -> Vec<u8> {
    let first = records.first().map_or(0, |(offset, _)| *offset);
    let last = records.last().map_or(first, |(offset, _)| *offset);
    let base = horizon.unwrap_or_else(|| records.first().map_or(0, |(_, r)| r.timestamp));
    let mut out = Vec::with_capacity(HEADER + records.iter().map(|(_, r)| r.size()).sum::<usize>());
    out.put_i64(first);
    out.put_i32(0);
    out.put_i32(0);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(batch::kept_attributes(append_time, horizon.is_some()));
    out.put_i32(i32::try_from(last - first).unwrap_or(i32::MAX));
    out.put_i64(base);
    out.put_i64(records.iter().map(|(_, r)| r.timestamp).max().unwrap_or(-1));
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(i32::try_from(records.len()).unwrap_or(i32::MAX));
    let mut body = Vec::new();
    for (offset, record) in records {
        body.clear();
        put_record(&mut body, record, offset - first, base);
        put_varint(&mut out, i64::try_from(body.len()).unwrap_or(i64::MAX));
        out.extend_from_slice(&body);
    }
    batch::seal(&mut out);
    out
}

/// Builds an uncompressed batch. `records` must not be empty.
#[must_use]
pub fn encode(records: &[Record], producer: Option<Producer>) -> Bytes {
    let base = records.first().map_or(0, |r| r.timestamp);
    let most = records.iter().map(|r| r.timestamp).max().unwrap_or(base);
    let mut out = Vec::with_capacity(HEADER + records.len() * 32);
    out.put_i64(0);
    out.put_i32(0);
    out.put_i32(0);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(producer.map_or(0, |p| p.attributes));
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    out.put_i32(count - 1);
    out.put_i64(base);
    out.put_i64(most);
    out.put_i64(producer.map_or(-1, |p| p.id));
    out.put_i16(producer.map_or(-1, |p| p.epoch));
    out.put_i32(producer.map_or(-1, |p| p.sequence));
    out.put_i32(count);
    let mut body = Vec::new();
    for (n, record) in (0_i64..).zip(records) {
        body.clear();
        put_record(&mut body, record, n, base);
        put_varint(&mut out, i64::try_from(body.len()).unwrap_or(i64::MAX));
        out.extend_from_slice(&body);
    }
    batch::seal(&mut out);
    out.into()
}

fn put_record(out: &mut Vec<u8>, record: &Record, offset_delta: i64, base_timestamp: i64) {
    out.put_i8(0);
    put_varint(out, record.timestamp.wrapping_sub(base_timestamp));
    put_varint(out, offset_delta);
    put_bytes(out, record.key.as_ref());
    put_bytes(out, record.value.as_ref());
    put_varint(out, i64::try_from(record.headers.len()).unwrap_or(0));
    for (name, value) in &record.headers {
        put_bytes(out, Some(name));
        put_bytes(out, value.as_ref());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => put_varint(out, -1),
        Some(b) => {
            put_varint(out, i64::try_from(b.len()).unwrap_or(0));
            out.extend_from_slice(b);
        }
    }
}

/// Zigzag, seven bits a byte.
fn put_varint(out: &mut Vec<u8>, n: i64) {
    #[allow(clippy::cast_sign_loss, reason = "zigzag is defined on the bits")]
    let mut z = ((n << 1) ^ (n >> 63)) as u64;
    while z >= 0x80 {
        out.push((z & 0x7f) as u8 | 0x80);
        z >>= 7;
    }
    out.push((z & 0x7f) as u8);
}

fn get_varint(bytes: &mut Bytes) -> Result<i64> {
    let mut z = 0_u64;
    for shift in (0..64).step_by(7) {
        if !bytes.has_remaining() {
            return Err(cut_off());
        }
        let b = bytes.get_u8();
        z |= u64::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            #[allow(clippy::cast_possible_wrap, reason = "zigzag is defined on the bits")]
            return Ok((z >> 1) as i64 ^ -((z & 1) as i64));
        }
    }
    Err(Error::corrupt("a number in a record is too long"))
}

fn cut_off() -> Error {
    Error::corrupt("a record is cut off")
}

fn get_bytes(bytes: &mut Bytes) -> Result<Option<Bytes>> {
    match get_varint(bytes)? {
        -1 => Ok(None),
        n => {
            let n = usize::try_from(n).map_err(|_| Error::corrupt("a record has a negative length"))?;
            if n > bytes.len() { Err(cut_off()) } else { Ok(Some(bytes.split_to(n))) }
        }
    }
}

/// Reads the records of a whole batch, each with its offset.
///
/// # Errors
/// When the batch is not what its header says, or is more than `limit` bytes after decompression.
pub fn decode(batch: &Bytes, limit: usize) -> Result<Vec<(i64, Record)>> {
    let mut out = Vec::new();
    decode_while(batch, limit, |at, record| {
        out.push((at, record));
        true
    })?;
    Ok(out)
}

/// The same one by one, until `more` wants no more. A batch of a megabyte may hold millions of records.
///
/// # Errors
/// As [`decode`].
pub fn decode_while(batch: &Bytes, limit: usize, mut more: impl FnMut(i64, Record) -> bool) -> Result<()> {
    let header = Header::parse(batch).filter(|h| h.length == batch.len());
    let header = header.ok_or_else(|| Error::corrupt("no record batch"))?;
    let mut rest = decompress(header.compression(), &batch.slice(HEADER..), limit)?;
    for _ in 0..header.count {
        let n = usize::try_from(get_varint(&mut rest)?).map_err(|_| cut_off())?;
        if n > rest.len() {
            return Err(cut_off());
        }
        let (at, record) = get_record(&mut rest.split_to(n), &header)?;
        if !more(at, record) {
            break;
        }
    }
    Ok(())
}

fn get_record(bytes: &mut Bytes, header: &Header) -> Result<(i64, Record)> {
    if !bytes.has_remaining() {
        return Err(cut_off());
    }
    bytes.advance(1);
    let timestamp = header.base_timestamp.saturating_add(get_varint(bytes)?);
    let offset = header.base_offset.saturating_add(get_varint(bytes)?);
    let timestamp = if header.is_log_append_time() { header.max_timestamp } else { timestamp };
    let mut record =
        Record { timestamp, key: get_bytes(bytes)?, value: get_bytes(bytes)?, headers: Vec::new() };
    for _ in 0..get_varint(bytes)? {
        let name = get_bytes(bytes)?.ok_or_else(|| Error::corrupt("a header has no name"))?;
        record.headers.push((name, get_bytes(bytes)?));
    }
    Ok((offset, record))
}

/// The batch that ends a transaction in a partition.
#[must_use]
pub fn marker(producer_id: i64, epoch: i16, commit: bool, now: i64) -> Bytes {
    let key = Bytes::copy_from_slice(&[0, 0, 0, u8::from(commit)]);
    // Version 0 and the coordinator's epoch.
    let value = Bytes::from_static(&[0; 6]);
    let record = Record { timestamp: now, key: Some(key), value: Some(value), headers: Vec::new() };
    let attributes = batch::transactional_attributes(true);
    encode(&[record], Some(Producer { id: producer_id, epoch, sequence: -1, attributes }))
}

/// Does a control batch commit its transaction?
///
/// # Errors
/// When it is not a control batch as it should be.
pub fn marker_commits(batch: &Bytes) -> Result<bool> {
    let records = decode(batch, 1024)?;
    match records.first().and_then(|(_, r)| r.key.as_deref()) {
        Some([_, _, 0, kind @ (0 | 1)]) => Ok(*kind == 1),
        _ => Err(Error::corrupt("a control batch of an unknown kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Option<Bytes>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            parts in proptest::collection::vec((any::<i32>(), bytes(), bytes(), bytes()), 1..20)
        ) {
            let records: Vec<Record> = parts
                .into_iter()
                .map(|(t, key, value, h)| Record {
                    timestamp: 1_700_000_000_000 + i64::from(t), key, value,
                    headers: vec![(Bytes::from_static(b"h"), h.clone()), (Bytes::from_static(b"h"), h)],
                })
                .collect();
            let batch = encode(&records, None);
            let header = batch::check_incoming(&batch, 1 << 20).unwrap();
            prop_assert!(batch::crc_holds(&header, &batch));
            let back: Vec<Record> = decode(&batch, 1 << 20).unwrap().into_iter().map(|(_, r)| r).collect();
            prop_assert_eq!(back, records);
        }

        #[test]
        fn rubbish_never_panics(mut junk in proptest::collection::vec(any::<u8>(), 61..300), codec in 0_u8..5) {
            junk[16] = 2;
            junk[22] = codec;
            let length = i32::try_from(junk.len() - 12).unwrap();
            junk[8..12].copy_from_slice(&length.to_be_bytes());
            let _ = decode(&Bytes::from(junk), 1 << 20);
        }
    }

    #[test]
    fn markers_say_what_they_do() {
        assert!(marker_commits(&marker(7, 1, true, 5)).unwrap());
        assert!(!marker_commits(&marker(7, 1, false, 5)).unwrap());
    }
}
