//! Walking over checked JSON. Over anything else it ends early; it never fails.

use std::borrow::Cow;

use crate::Kind;
use crate::check::plain;

/// Without white space around it.
#[must_use]
pub fn trim(json: &[u8]) -> &[u8] {
    json.trim_ascii()
}

/// What a value is, by its first byte.
#[must_use]
pub fn kind_of(json: &[u8]) -> Option<Kind> {
    Some(match trim(json).first()? {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b'"' => Kind::String,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        b'-' | b'0'..=b'9' => Kind::Number,
        _ => return None,
    })
}

/// A string without its quotes and escapes; a number, `true` or `false` as it stands; nothing for the rest.
#[must_use]
pub fn text(json: &[u8]) -> Option<Cow<'_, str>> {
    let json = trim(json);
    match kind_of(json)? {
        Kind::String => unescape(json.get(1..json.len().checked_sub(1)?)?),
        Kind::Number | Kind::Bool => std::str::from_utf8(json).ok().map(Cow::Borrowed),
        _ => None,
    }
}

/// The members of an object: key (between its quotes, escapes and all) and value, both raw. Empty for anything else.
#[must_use]
pub fn members(json: &[u8]) -> Fields<'_> {
    let json = trim(json);
    Fields { rest: json.strip_prefix(b"{").unwrap_or_default() }
}

/// See [`members`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = after_comma(self.rest).strip_prefix(b"\"")?;
        let end = string_end(rest)?;
        let key = rest.get(..end)?;
        let rest = rest.get(end + 1..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, rest) = rest.split_at_checked(value_end(rest)?)?;
        self.rest = rest;
        Some((key, value))
    }
}

/// The elements of an array, raw. Empty for anything else.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    /// Of this array.
    #[must_use]
    pub fn of(json: &'a [u8]) -> Self {
        Self { rest: trim(json).strip_prefix(b"[").unwrap_or_default() }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let rest = after_comma(self.rest);
        let (value, rest) = rest.split_at_checked(value_end(rest).filter(|n| *n > 0)?)?;
        self.rest = rest;
        Some(value)
    }
}

fn after_comma(rest: &[u8]) -> &[u8] {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start()
}

/// Where the closing quote of a string is, from behind its opening one.
fn string_end(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += plain(rest.get(at..)?);
        match rest.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The length of the value that begins here.
fn value_end(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' => Some(string_end(rest.get(1..)?)? + 2),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0usize, 0);
            loop {
                match rest.get(at)? {
                    b'"' => at += string_end(rest.get(at + 1..)?)? + 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(rest.iter().position(ends).unwrap_or(rest.len()))
        }
    }
}

/// Is this raw key that name?
pub(crate) fn key_is(raw: &[u8], name: &str) -> bool {
    raw == name.as_bytes() || raw.contains(&b'\\') && unescape(raw).is_some_and(|k| k == name)
}

/// Resolves the escapes of a string's inside. Half of a surrogate pair becomes the replacement character.
fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at)?);
        rest = rest.get(at + 1..)?;
        let mut chars = rest.chars();
        let escaped = chars.next()?;
        rest = chars.as_str();
        let plain = match escaped {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = hex(&mut rest)?;
                let low = rest.strip_prefix("\\u").filter(|_| (0xd800..0xdc00).contains(&high));
                let pair = low.and_then(|mut low| {
                    let unit = hex(&mut low).filter(|u| (0xdc00..0xe000).contains(u))?;
                    rest = low;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00))
                });
                pair.or(char::from_u32(high)).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        };
        out.push(plain);
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

fn hex(rest: &mut &str) -> Option<u32> {
    let (digits, left) = rest.split_at_checked(4)?;
    *rest = left;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_items_come_in_order() {
        let json = br#" { "a" : [1, {"x":"}]"} , "y"] ,"b\n":"q\"" , "c":null,"d":-1.5} "#;
        let all: Vec<_> = members(json)
            .map(|(k, v)| (std::str::from_utf8(k).unwrap(), std::str::from_utf8(v).unwrap()))
            .collect();
        let expected =
            [("a", "[1, {\"x\":\"}]\"} , \"y\"]"), ("b\\n", "\"q\\\"\""), ("c", "null"), ("d", "-1.5")];
        assert_eq!(all, expected);
        assert_eq!(
            Items::of(all[0].1.as_bytes()).collect::<Vec<_>>(),
            [&b"1"[..], b"{\"x\":\"}]\"}", b"\"y\""]
        );
        assert!(key_is(b"b\\n", "b\n"));
        for broken in [&b"{\"a\":"[..], b"{", b"", b"[1", b"{\"a", b"{\"a\":\"x", b"{}", b"[]", b"{\"a\\"] {
            assert!(members(broken).count() + Items::of(broken).count() <= 1);
        }
    }

    #[test]
    fn text_is_unescaped() {
        assert_eq!(text(br#""\u00e9\ud83d\ude00\/\t\ud800x""#).unwrap(), "é😀/\t\u{fffd}x");
        assert_eq!(text(b" 12 ").unwrap(), "12");
        assert_eq!(text(b"null"), None);
        assert_eq!(text(b"{}"), None);
    }
}
