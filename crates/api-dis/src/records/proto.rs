//! Records as protobuf (proto2), as the older SDKs send and read them. Numbers of fields: the product's `record.proto`.

use bytes::{Buf, Bytes};
use control::LogPiece;

use super::put::{Entry, Placed, Put, words};
use super::{MOST_RECORDS, partitions};

const TOO_SHORT: &str = "The protobuf message is cut off.";

/// One field of a message.
enum Value {
    Number(u64),
    Bytes(Bytes),
    Other,
}

/// Reads the next field; `None` at the end.
fn field(from: &mut Bytes) -> Result<Option<(u64, Value)>, String> {
    if from.is_empty() {
        return Ok(None);
    }
    let tag = varint(from)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(from)?),
        1 => {
            skip(from, 8)?;
            Value::Other
        }
        2 => {
            let n = usize::try_from(varint(from)?).map_err(|_| TOO_SHORT)?;
            if n > from.len() {
                return Err(TOO_SHORT.to_owned());
            }
            Value::Bytes(from.split_to(n))
        }
        5 => {
            skip(from, 4)?;
            Value::Other
        }
        _ => return Err("The protobuf message is not valid.".to_owned()),
    };
    match tag >> 3 {
        0 => Err("The protobuf message is not valid.".to_owned()),
        number => Ok(Some((number, value))),
    }
}

fn skip(from: &mut Bytes, n: usize) -> Result<(), String> {
    if from.len() < n {
        return Err(TOO_SHORT.to_owned());
    }
    from.advance(n);
    Ok(())
}

fn varint(from: &mut Bytes) -> Result<u64, String> {
    let mut n = 0_u64;
    for shift in (0..64).step_by(7) {
        if from.is_empty() {
            return Err(TOO_SHORT.to_owned());
        }
        let b = from.get_u8();
        n |= u64::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err("The protobuf message is not valid.".to_owned())
}

fn text(v: &Bytes) -> Result<String, String> {
    String::from_utf8(v.to_vec()).map_err(|_| "A text of the protobuf message is not UTF-8.".to_owned())
}

/// Reads a request. Fields that are not known are passed over, as protobuf wants it.
///
/// # Errors
/// What is wrong, for people.
pub fn read(body: &Bytes) -> Result<Put, String> {
    let (mut rest, mut put) = (body.clone(), Put::default());
    while let Some((number, value)) = field(&mut rest)? {
        match (number, value) {
            (1, Value::Bytes(v)) => put.stream_name = text(&v)?,
            (30, Value::Bytes(v)) => put.stream_id = text(&v)?,
            (2, Value::Bytes(v)) if put.records.len() < MOST_RECORDS => put.records.push(entry(v)?),
            (2, Value::Bytes(_)) => return Err(format!("There are more than {MOST_RECORDS} records.")),
            (1 | 2 | 30, _) => return Err("A field of the protobuf message has the wrong type.".to_owned()),
            _ => {}
        }
    }
    Ok(put)
}

fn entry(mut rest: Bytes) -> Result<Entry, String> {
    let mut e = Entry::default();
    while let Some((number, value)) = field(&mut rest)? {
        match (number, value) {
            (3, Value::Bytes(v)) => e.data = Some(v),
            (4, Value::Bytes(v)) => e.explicit_hash_key = Some(text(&v)?),
            (5, Value::Bytes(v)) => e.partition_key = Some(text(&v)?.into()),
            (6, Value::Bytes(v)) => e.partition_id = Some(text(&v)?),
            (7, Value::Bytes(v)) => e.extended_info = Some(v),
            #[allow(clippy::cast_possible_wrap, reason = "int64 is defined on the bits")]
            (29, Value::Number(n)) => e.timestamp = Some(n as i64),
            (3..=7 | 29, _) => return Err("A field of a record has the wrong type.".to_owned()),
            _ => {}
        }
    }
    Ok(e)
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

fn put_number(out: &mut Vec<u8>, field: u64, n: u64) {
    put_varint(out, field << 3);
    put_varint(out, n);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The answer to a put.
#[must_use]
pub fn placed(placed: &[Placed]) -> Vec<u8> {
    let failed = placed.iter().filter(|p| p.is_err()).count();
    let mut out = Vec::with_capacity(16 + placed.len() * 40);
    put_number(&mut out, 21, failed as u64);
    let mut one = Vec::new();
    for placed in placed {
        one.clear();
        match placed {
            Ok((partition, sequence)) => {
                put_bytes(&mut one, 23, partitions::name(*partition).as_bytes());
                put_bytes(&mut one, 24, sequence.to_string().as_bytes());
            }
            Err(refusal) => {
                let (code, message) = words(*refusal);
                put_bytes(&mut one, 25, code.as_bytes());
                put_bytes(&mut one, 26, message.as_bytes());
            }
        }
        put_bytes(&mut out, 22, &one);
    }
    out
}

/// The answer to a get.
#[must_use]
pub fn got(piece: &LogPiece, next: &str) -> Vec<u8> {
    let bytes: usize = piece.records.iter().map(|(_, r)| r.value.as_ref().map_or(0, Bytes::len)).sum();
    let mut out = Vec::with_capacity(bytes + piece.records.len() * 64 + 256);
    put_bytes(&mut out, 14, next.as_bytes());
    let mut one = Vec::new();
    for (offset, r) in &piece.records {
        one.clear();
        if let Some(key) = &r.key {
            put_bytes(&mut one, 17, String::from_utf8_lossy(key).as_bytes());
        }
        put_bytes(&mut one, 18, offset.to_string().as_bytes());
        put_bytes(&mut one, 19, r.value.as_deref().unwrap_or_default());
        #[allow(clippy::cast_sign_loss, reason = "int64 is defined on the bits")]
        put_number(&mut one, 27, r.timestamp_ms as u64);
        put_bytes(&mut one, 28, b"CreateTime");
        put_bytes(&mut out, 16, &one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 3, b"\x00\xff");
        put_bytes(&mut entry, 5, b"key");
        put_bytes(&mut entry, 6, b"shardId-0000000001");
        put_number(&mut entry, 29, 1_700_000_000_000);
        put_number(&mut entry, 99, 1);
        let mut out = Vec::new();
        put_bytes(&mut out, 1, b"s");
        put_bytes(&mut out, 2, &entry);
        put_bytes(&mut out, 30, b"id");
        out
    }

    #[test]
    fn a_request_is_read_and_every_cut_of_it_refused_or_read() {
        let whole = Bytes::from(request());
        let put = read(&whole).unwrap();
        assert_eq!((put.stream_name.as_str(), put.stream_id.as_str()), ("s", "id"));
        let e = &put.records[0];
        assert_eq!(
            (e.data.as_deref(), e.partition_key.as_deref()),
            (Some(&b"\x00\xff"[..]), Some(&b"key"[..]))
        );
        assert_eq!(
            (e.partition_id.as_deref(), e.timestamp),
            (Some("shardId-0000000001"), Some(1_700_000_000_000))
        );
        for n in 0..whole.len() {
            let _ = read(&whole.slice(..n));
        }
        for bad in [
            &b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"[..],
            b"\x07",
            b"\x00",
            b"\x08\x01",
            b"\x0a\x05a",
        ] {
            assert!(read(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn too_many_are_refused() {
        let mut out = Vec::new();
        for _ in 0..=MOST_RECORDS {
            put_bytes(&mut out, 2, b"");
        }
        assert!(read(&out.into()).unwrap_err().contains("10000 records"));
    }
}
