//! A record as a line.
//!
//! JSON passes through: a copy and a look for newlines is all that a record costs. Only CSV and change records are parsed, and those one
//! level deep: values stay the text that they were, so numbers keep their digits.

use std::borrow::Cow;
use std::fmt;

use connector::records::RecordRef;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a line looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// The value itself.
    Json,
    /// The values of these columns, or of all fields where there are none.
    Csv { columns: Vec<String>, header: bool },
    /// No line: columns of a Parquet file ([`super::learnt`]).
    Parquet,
}

/// How records become lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) shape: Shape,
    pub(super) debezium: bool,
}

impl Format {
    /// What an object begins with.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        if let Shape::Csv { columns, header: true } = &self.shape {
            for (i, c) in columns.iter().enumerate() {
                separate(out, i);
                cell(out, c.as_bytes());
            }
            out.push(b'\n');
        }
    }

    /// Is there anything to write of a record? Not of the tombstone behind a delete.
    pub(super) fn writes(&self, record: &RecordRef<'_>) -> bool {
        !self.debezium || record.value.is_some()
    }

    /// Appends a record.
    pub(super) fn push(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        self.line(out, self.value(record).as_deref());
    }

    /// What is written of a record: its value, or the row that it tells of.
    pub(super) fn value<'r>(&self, record: &RecordRef<'r>) -> Option<Cow<'r, [u8]>> {
        let value = record.value?;
        match self.debezium.then(|| change(value, record.key)).flatten() {
            Some(Change::After(text)) => Some(Cow::Borrowed(text.as_bytes())),
            Some(Change::Deleted(text)) => Some(Cow::Owned(text.into_bytes())),
            None => Some(Cow::Borrowed(value)),
        }
    }

    fn line(&self, out: &mut Vec<u8>, value: Option<&[u8]>) {
        match (&self.shape, value) {
            (Shape::Json, None) => out.extend_from_slice(b"null"),
            (Shape::Json, Some(v)) => json(out, v),
            (Shape::Csv { .. }, None) | (Shape::Parquet, _) => {}
            (Shape::Csv { columns, .. }, Some(v)) => csv(out, v, columns),
        }
        out.push(b'\n');
    }
}

fn json(out: &mut Vec<u8>, value: &[u8]) {
    if !value.contains(&b'\n') || serde_json::from_slice::<&RawValue>(value).is_err() {
        out.extend_from_slice(value);
        return;
    }
    // In valid JSON a newline stands between tokens only.
    let (mut quoted, mut escaped) = (false, false);
    for b in value {
        if quoted || !b.is_ascii_whitespace() {
            out.push(*b);
        }
        match b {
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && *b == b'\\' && !escaped;
    }
}

/// The top level of an object in order; values as text.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Fields(all))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn csv(out: &mut Vec<u8>, value: &[u8], columns: &[String]) {
    let Ok(Fields(fields)) = serde_json::from_slice(value) else {
        out.extend_from_slice(value);
        return;
    };
    if columns.is_empty() {
        for (i, (_, v)) in fields.iter().enumerate() {
            separate(out, i);
            text(out, v);
        }
        return;
    }
    for (i, c) in columns.iter().enumerate() {
        separate(out, i);
        if let Some((_, v)) = fields.iter().rev().find(|(name, _)| name == c) {
            text(out, v);
        }
    }
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn text(out: &mut Vec<u8>, value: &RawValue) {
    let raw = value.get();
    if raw.starts_with('"') {
        match serde_json::from_str::<String>(raw) {
            Ok(s) => cell(out, s.as_bytes()),
            // A lone surrogate: its escape is all that can be kept.
            Err(_) => cell(out, raw.as_bytes()),
        }
    } else if raw != "null" {
        cell(out, raw.as_bytes());
    }
}

fn cell(out: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for b in text {
        if *b == b'"' {
            out.push(b'"');
        }
        out.push(*b);
    }
    out.push(b'"');
}

/// What a change record says.
enum Change<'a> {
    After(&'a str),
    Deleted(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(default)]
    op: Option<String>,
}

/// `None`: not a change record, or one without a row (a truncate, a schema change).
fn change<'a>(value: &'a [u8], key: Option<&'a [u8]>) -> Option<Change<'a>> {
    // An array would be taken for the fields in order.
    let outer: Envelope<'_> =
        value.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(value).ok())??;
    let inner = match outer.payload {
        Some(p) if outer.op.is_none() => serde_json::from_str(p.get()).ok()?,
        _ => outer,
    };
    let op = inner.op.as_deref()?;
    match (op, inner.after) {
        ("d", _) => {
            let row = inner.before.map(RawValue::get).or_else(|| key.and_then(key_object));
            Some(Change::Deleted(marked(row.unwrap_or("{}"))))
        }
        (_, Some(after)) => Some(Change::After(after.get())),
        _ => None,
    }
}

fn key_object(key: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(key).ok()?;
    let outer: Envelope<'_> = serde_json::from_str(text).ok()?;
    Some(outer.payload.map_or(text, RawValue::get))
}

fn marked(object: &str) -> String {
    let body =
        object.trim().strip_suffix('}').map(str::trim_end).filter(|b| b.starts_with('{')).unwrap_or("{");
    let comma = if body.len() > 1 { "," } else { "" };
    format!("{body}{comma}\"__deleted\":\"true\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::records::Headers;

    fn line(format: &Format, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<String> {
        let record = RecordRef { offset: 0, sub: 0, timestamp_ms: 0, key, value, headers: Headers::none() };
        let mut out = Vec::new();
        format.push(&mut out, &record);
        format.writes(&record).then(|| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn json_lines_pass_through() {
        let f = Format { shape: Shape::Json, debezium: false };
        let of = |v: &str| line(&f, None, Some(v.as_bytes())).unwrap();
        assert_eq!(of(r#"{"a": 1.00}"#), "{\"a\": 1.00}\n");
        assert_eq!(
            of("{\"a\\\" b\": [1,\n 2],\n\t\"c\":\"x y\\\\\"}\n"),
            "{\"a\\\" b\":[1,2],\"c\":\"x y\\\\\"}\n"
        );
        assert_eq!(of("not\njson"), "not\njson\n");
        assert_eq!(line(&f, None, None).unwrap(), "null\n");
    }

    #[test]
    fn csv_cells_are_quoted_when_they_must_be() {
        let all = Format { shape: Shape::Csv { columns: vec![], header: false }, debezium: false };
        let of = |f: &Format, v: &str| line(f, None, Some(v.as_bytes())).unwrap();
        let value = r#"{"b":"x,\"y\"","a":12345678901234567890.10,"n":null,"o":{"k":[1]},"t":true}"#;
        assert_eq!(of(&all, value), "\"x,\"\"y\"\"\",12345678901234567890.10,,\"{\"\"k\"\":[1]}\",true\n");
        assert_eq!(of(&all, "raw, text"), "raw, text\n");
        let named = Shape::Csv { columns: vec!["a".into(), "z".into(), "b".into()], header: true };
        let named = Format { shape: named, debezium: false };
        assert_eq!(of(&named, r#"{"b":"1\n2","a":7,"a":8}"#), "8,,\"1\n2\"\n");
        let mut head = Vec::new();
        named.begin(&mut head);
        assert_eq!(head, b"a,z,b\n");
    }

    #[test]
    fn change_records_become_rows() {
        let f = Format { shape: Shape::Json, debezium: true };
        let of = |v: &str| line(&f, Some(br#"{"payload":{"id":9}}"#), Some(v.as_bytes()));
        assert_eq!(of(r#"{"op":"c","after":{"id":1.0}}"#).unwrap(), "{\"id\":1.0}\n");
        let wrapped = r#"{"schema":{},"payload":{"op":"u","before":{"id":1},"after":{"id":2}}}"#;
        assert_eq!(of(wrapped).unwrap(), "{\"id\":2}\n");
        let deleted = r#"{"op":"d","before":{"id":1},"after":null}"#;
        assert_eq!(of(deleted).unwrap(), "{\"id\":1,\"__deleted\":\"true\"}\n");
        assert_eq!(of(r#"{"op":"d","before":null}"#).unwrap(), "{\"id\":9,\"__deleted\":\"true\"}\n");
        assert_eq!(of(r#"{"plain":1}"#).unwrap(), "{\"plain\":1}\n");
        assert_eq!(line(&f, None, None), None);
    }
}
