//! ISO 8601 as logs write it: `2022-02-26T22:25:33.210Z`, with a space for the `T`, with or without fraction and offset.

use time::{OffsetDateTime, UtcOffset};

use super::Parts;
use crate::operate::zone;

/// Reads a time; one without offset is in `offset`.
pub fn read(text: &str, offset: UtcOffset) -> Option<OffsetDateTime> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 10 || bytes.len() > 40 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let is = |at: usize, letters: &[u8]| bytes.get(at).is_some_and(|b| letters.contains(b));
    let mut parts = Parts::new(offset);
    parts.year = i32::try_from(number(0, 4)?).ok()?;
    parts.month = number(5, 7)? as u8;
    parts.day = number(8, 10)? as u8;
    if !is(4, b"-") || !is(7, b"-") {
        return None;
    }
    if bytes.len() == 10 {
        return parts.moment();
    }
    if !is(10, b"Tt ") || !is(13, b":") {
        return None;
    }
    parts.hour = number(11, 13)? as u8;
    parts.minute = number(14, 16)? as u8;
    let mut at = 16;
    if is(at, b":") {
        parts.second = number(17, 19)? as u8;
        at = 19;
    }
    if is(at, b".,") {
        let digits = text.get(at + 1..)?.bytes().take_while(u8::is_ascii_digit).count();
        parts.nanos = fraction(text.get(at + 1..at + 1 + digits)?)?;
        at += 1 + digits;
    }
    match text.get(at..)? {
        "" => {}
        "Z" | "z" => parts.offset = UtcOffset::UTC,
        rest => parts.offset = UtcOffset::from_whole_seconds(zone::signed(rest)?).ok()?,
    }
    parts.moment()
}

/// Nanoseconds of the digits after a point.
pub fn fraction(digits: &str) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    Some(number * 10u32.pow(9 - digits.len() as u32))
}
