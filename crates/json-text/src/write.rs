//! Text as JSON strings.

use crate::check::plain;

/// Appends text as a string, with quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_joined(out, text);
    out.push(b'"');
}

/// Appends text as a piece of a string, without quotes.
pub fn push_joined(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (clean, dirty) = rest.split_at(plain(rest));
        out.extend_from_slice(clean);
        let Some((first, left)) = dirty.split_first() else { return };
        match first {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
        rest = left;
    }
}

/// Text as a string, with quotes.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for t in ["", "plain", "q\"b\\n\nt\tr\r\u{1}\u{1f}é😀\u{7f}", "12345678\"87654321"] {
            assert_eq!(serde_json::from_slice::<String>(&string(t)).unwrap(), t);
        }
    }
}
