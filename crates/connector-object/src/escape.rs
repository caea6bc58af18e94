//! Percent-encoding of keys and query values, and back.
//!
//! One table: RFC 3986 unreserved characters stay, everything else is `%XX` in upper case, which is
//! what the signature wants. A path keeps its `/`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write as _;

const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Appends a key as a path.
pub(crate) fn push_path(out: &mut String, key: &str) {
    for part in utf8_percent_encode(key, PATH) {
        out.push_str(part);
    }
}

/// Appends a query value.
pub(crate) fn push_value(out: &mut String, value: &str) {
    for part in utf8_percent_encode(value, VALUE) {
        out.push_str(part);
    }
}

/// Joins query pairs, which must be sorted by name, into the canonical query string.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push_value(&mut out, name);
        out.push('=');
        push_value(&mut out, value);
    }
    out
}

/// Undoes `encoding-type=url` of a listing: `%XX`, and `+` for a space.
pub(crate) fn decode_listed(text: &str) -> Vec<u8> {
    if text.contains('+') {
        percent_decode_str(&text.replace('+', " ")).collect()
    } else if text.contains('%') {
        percent_decode_str(text).collect()
    } else {
        text.as_bytes().to_vec()
    }
}

/// Bytes as an ASCII header value: what is not unreserved (or `/`) becomes `%XX`.
pub(crate) fn ascii(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, PATH).to_string()
}

/// The bytes of [`ascii`].
pub(crate) fn from_ascii(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// Appends bytes as lower-case hexadecimal digits.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
}

/// Reads hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let b = text.as_bytes();
    if !b.len().is_multiple_of(2) {
        return None;
    }
    b.chunks_exact(2).map(|p| Some(digit(p[0])? << 4 | digit(p[1])?)).collect()
}

/// Escapes text for an XML body that we send.
pub(crate) fn push_xml(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {
                let _ = write!(out, "&#x{:X};", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_spelled_as_the_signature_wants() {
        let mut s = String::new();
        push_path(&mut s, "a b+c%/\n文~-._");
        assert_eq!(s, "a%20b%2Bc%25/%0A%E6%96%87~-._");
        assert_eq!(decode_listed("o+d%2Bd%25%0Anl%E6%96%87"), "o d+d%\nnl文".as_bytes());
        assert_eq!(query(&[("a", "b/c"), ("d", "")]), "a=b%2Fc&d=");
    }

    proptest::proptest! {
        #[test]
        fn bytes_come_back(b: Vec<u8>) {
            proptest::prop_assert_eq!(&from_ascii(&ascii(&b)), &b);
            let mut h = String::new();
            push_hex(&mut h, &b);
            proptest::prop_assert_eq!(from_hex(&h), Some(b));
        }
    }
}
