//! The letters of JSON: where a string or number ends, escapes in and out, a value copied without its white space.

use std::borrow::Cow;

use super::{Kind, View};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first byte from `at` on that a string can't hold as it is: a quote, a backslash or a control character.
/// Eight bytes at a time; the end of `bytes` when there is none.
#[inline]
pub fn next_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // A false hit of one of the three stands above a true hit of the same one: the lowest bit is right.
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hits = hits & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// The end of the escape whose backslash is at `at`. A surrogate counts with its other half.
///
/// # Errors
/// What is wrong with it.
pub fn escape_end(bytes: &[u8], at: usize) -> Result<usize, &'static str> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2) {
            Some(0xD800..=0xDBFF) => {
                let paired = bytes.get(at + 6) == Some(&b'\\') && bytes.get(at + 7) == Some(&b'u');
                match hex4(bytes, at + 8) {
                    Some(0xDC00..=0xDFFF) if paired => Ok(at + 12),
                    _ => Err("half a surrogate pair"),
                }
            }
            Some(0xDC00..=0xDFFF) => Err("half a surrogate pair"),
            Some(_) => Ok(at + 6),
            None => Err("a malformed \\u escape"),
        },
        Some(_) => Err("an unknown escape"),
        None => Err("a text without end"),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at.checked_add(4)?)?;
    digits.iter().try_fold(0, |sum, b| Some(sum * 16 + (*b as char).to_digit(16)?))
}

/// The end of the number that starts at `at`, by JSON's grammar.
pub fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while let Some(b'0'..=b'9') = bytes.get(at) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}

/// Is the whole text one JSON number?
pub fn is_number(text: &str) -> bool {
    number_end(text.as_bytes(), 0) == Some(text.len())
}

/// The text of a string as it is written between its quotes.
pub fn decoded(written: &str) -> Cow<'_, str> {
    if !written.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(written);
    }
    let mut out = String::with_capacity(written.len());
    decode_into(written, &mut out);
    Cow::Owned(out)
}

/// Appends the text of a string whose escapes the parser has checked.
pub fn decode_into(written: &str, out: &mut String) {
    let mut rest = written;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let end = escape_end(bytes, at).unwrap_or(rest.len()).min(rest.len());
        out.push(match bytes.get(at + 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => unicode(bytes, at),
            Some(other) => *other as char,
            None => char::REPLACEMENT_CHARACTER,
        });
        rest = rest.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
}

fn unicode(bytes: &[u8], at: usize) -> char {
    let first = hex4(bytes, at + 2).unwrap_or(0xFFFD);
    let code = if (0xD800..0xDC00).contains(&first) {
        let second = hex4(bytes, at + 8).unwrap_or(0xDC00);
        0x10000 + ((first - 0xD800) << 10) + (second.wrapping_sub(0xDC00) & 0x3FF)
    } else {
        first
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Appends a text as a JSON string, with its quotes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_escaped(text, out);
    out.push('"');
}

/// Appends what stands between the quotes.
pub fn write_escaped(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = next_special(bytes, from);
        out.push_str(text.get(from..at).unwrap_or_default());
        match bytes.get(at) {
            None => return,
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(b'\n') => out.push_str("\\n"),
            Some(b'\r') => out.push_str("\\r"),
            Some(b'\t') => out.push_str("\\t"),
            Some(byte) => {
                out.push_str("\\u00");
                for nibble in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
        }
        from = at + 1;
    }
}

/// Appends a value as JSON on one line. As it is written where that has no white space between its tokens.
#[inline]
pub fn write_value(view: View<'_>, out: &mut String) {
    match view.kind() {
        Kind::String | Kind::Escaped => {
            out.push('"');
            out.push_str(view.written());
            out.push('"');
        }
        Kind::Array | Kind::Object if view.tape.spaced() => write_compact(view, out),
        _ => out.push_str(view.written()),
    }
}

/// The parser has bounded the depth.
fn write_compact(view: View<'_>, out: &mut String) {
    let array = view.kind() == Kind::Array;
    out.push(if array { '[' } else { '{' });
    let mut first = true;
    let mut comma = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    for element in view.elements() {
        comma(out);
        write_value(view.at(element), out);
    }
    for (key, value) in view.members() {
        comma(out);
        write_value(view.at(key), out);
        out.push(':');
        write_value(view.at(value), out);
    }
    out.push(if array { ']' } else { '}' });
}
