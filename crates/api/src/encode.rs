//! Percent-encoding, query strings, hex, base64 and hashes, as the signature schemes want them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// RFC 3986: everything but the unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// SHA-256 of nothing, in hex.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Percent-encodes by RFC 3986 (space `%20`, `*` `%2A`, `~` kept).
#[must_use]
pub fn percent(s: &str) -> Cow<'_, str> {
    utf8_percent_encode(s, UNRESERVED).into()
}

/// Decodes `%XX`; `+` stays. Bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn unpercent(s: &str) -> Cow<'_, str> {
    percent_decode_str(s).decode_utf8_lossy()
}

/// Decodes one name or value of a form: `+` is a space.
#[must_use]
pub fn unform(s: &str) -> Cow<'_, str> {
    if s.contains('+') {
        Cow::Owned(percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned())
    } else {
        unpercent(s)
    }
}

/// The pairs of a query or form, decoded, in order; pairs without a name are left out.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (unform(k).into_owned(), unform(v).into_owned()))
        .filter(|(k, _)| !k.is_empty())
        .collect()
}

/// Does the query or form have a pair of this (plain) name?
#[must_use]
pub fn has_name(query: &str, name: &str) -> bool {
    query.split('&').any(|p| p.split_once('=').map_or(p, |(k, _)| k) == name)
}

/// Pairs as `k=v&…`, both percent-encoded by RFC 3986.
#[must_use]
pub fn query(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (k, v) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.extend(utf8_percent_encode(k, UNRESERVED));
        out.push('=');
        out.extend(utf8_percent_encode(v, UNRESERVED));
    }
    out
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut s = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        s.push(char::from(DIGITS[usize::from(b >> 4)]));
        s.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    s
}

/// Standard base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// SHA-256 in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return EMPTY_SHA256.to_owned();
    }
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// The UTC date `yyyy-mm-dd` of a Unix time in seconds; `None` outside the calendar.
#[must_use]
pub fn date(unix_s: i64) -> Option<String> {
    let d = time::OffsetDateTime::from_unix_timestamp(unix_s).ok()?.date();
    Some(format!("{:04}-{:02}-{:02}", d.year(), u8::from(d.month()), d.day()))
}

/// `yyyy-mm-ddThh:mm:ssZ` of a Unix time in seconds; `None` outside the calendar.
#[must_use]
pub fn iso8601(unix_s: i64) -> Option<String> {
    let t = time::OffsetDateTime::from_unix_timestamp(unix_s).ok()?;
    let day = date(unix_s)?;
    Some(format!("{day}T{:02}:{:02}:{:02}Z", t.hour(), t.minute(), t.second()))
}

/// Unix seconds of `yyyy-mm-ddThh:mm:ssZ`.
#[must_use]
pub fn parse_iso8601(s: &str) -> Option<i64> {
    let b = s.as_bytes();
    let marked = b.len() == 20 && b[4] == b'-' && b[7] == b'-' && b[13] == b':' && b[16] == b':';
    let digits: String = s.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    marked.then(|| parse_basic(&digits)).flatten()
}

/// Unix seconds of `yyyymmddThhmmssZ`.
#[must_use]
pub fn parse_basic(s: &str) -> Option<i64> {
    let b = s.as_bytes();
    if b.len() != 16 || b[8] != b'T' || b[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u16> {
        let part = s.get(from..to)?;
        part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let small = |from: usize| number(from, from + 2).and_then(|n| u8::try_from(n).ok());
    let month = time::Month::try_from(small(4)?).ok()?;
    let day = time::Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6)?).ok()?;
    let at = time::Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
    Some(day.with_time(at).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_percents() {
        assert_eq!(percent("a b*~/é"), "a%20b%2A~%2F%C3%A9");
        assert_eq!(unform("a+b%2B%zz"), "a b+%zz");
        assert_eq!(
            pairs("a=1&&b&=x&c=%3D"),
            [("a", "1"), ("b", ""), ("c", "=")].map(|(k, v)| (k.into(), v.into()))
        );
        assert!(has_name("x=1&Signature=y", "Signature") && !has_name("xSignature=1", "Signature"));
    }

    #[test]
    fn times_both_ways() {
        assert_eq!(parse_iso8601("2026-11-22T10:24:12Z"), Some(1_795_343_052));
        assert_eq!(iso8601(1_795_343_052).as_deref(), Some("2026-11-22T10:24:12Z"));
        assert_eq!(parse_basic("20261122T102413Z"), Some(1_795_343_053));
        assert_eq!(sha256_hex(b""), EMPTY_SHA256);
        for bad in
            ["", "2026-11-22 10:24:12Z", "2026-13-22T10:24:12Z", "2026-1-122T10:24:12Z", "20261122T1024+3Z"]
        {
            assert_eq!(parse_iso8601(bad).or(parse_basic(bad)), None, "{bad}");
        }
        assert_eq!(parse_iso8601("ééééééééééé"), None);
    }
}
