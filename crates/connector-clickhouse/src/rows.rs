//! From a record to a row.

use connector::ErrorKind;
use connector::records::RecordRef;
use http_pool::Refusal;
use json_text::{Kind, Path, check, kind_of, push_string, string, text, trim};

/// What a column takes, as far as it is checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole number between two others.
    Whole(i128, i128),
    /// A whole number of more than 64 bits.
    Huge,
    Number,
    Bool,
    Text,
    /// Text of so many bytes at most.
    Fixed(usize),
    /// The server knows.
    Any,
}

impl Shape {
    /// By the name of a type, through `Nullable` and `LowCardinality`.
    pub(crate) fn of(name: &str) -> Self {
        let name = name.trim();
        for around in ["Nullable(", "LowCardinality("] {
            if let Some(inner) = name.strip_prefix(around).and_then(|n| n.strip_suffix(')')) {
                return Self::of(inner);
            }
        }
        let bits = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok());
        let plain = name.split('(').next().unwrap_or_default();
        match (bits("Int"), bits("UInt")) {
            (Some(b @ (8 | 16 | 32 | 64)), _) => return Self::Whole(-(1 << (b - 1)), (1 << (b - 1)) - 1),
            (_, Some(b @ (8 | 16 | 32 | 64))) => return Self::Whole(0, (1 << b) - 1),
            (Some(_), _) | (_, Some(_)) => return Self::Huge,
            _ => {}
        }
        match plain {
            "Float32" | "Float64" | "BFloat16" | "Decimal" | "Decimal32" | "Decimal64" | "Decimal128"
            | "Decimal256" => Self::Number,
            "Bool" | "Boolean" => Self::Bool,
            "String" => Self::Text,
            "FixedString" => {
                let n = name
                    .strip_prefix("FixedString(")
                    .and_then(|n| n.trim_end_matches(')').trim().parse().ok());
                n.map_or(Self::Text, Self::Fixed)
            }
            _ => Self::Any,
        }
    }
}

/// A column and where its value comes from.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `"name":`
    key: Vec<u8>,
    from: Path,
    shape: Shape,
    nullable: bool,
}

impl Column {
    pub(crate) fn new(name: &str, from: Path, shape: Shape, nullable: bool) -> Self {
        let mut key = string(name);
        key.push(b':');
        Self { name: name.to_owned(), key, from, shape, nullable }
    }

    fn refused(&self, what: &str) -> Refusal {
        refused(format!("column {}: {what}", self.name))
    }

    fn write(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.extend_from_slice(&self.key);
        let value = self.from.find(json).map(trim);
        let value = value.filter(|v| kind_of(v) != Some(Kind::Null));
        let Some(value) = value else {
            if !self.nullable {
                return Err(self.refused("there is no value, and it is not nullable"));
            }
            out.extend_from_slice(b"null");
            return Ok(());
        };
        if matches!(self.shape, Shape::Text | Shape::Fixed(_)) {
            return self.write_text(value, out);
        }
        if !self.fits(value) {
            let shown = String::from_utf8_lossy(value.get(..value.len().min(80)).unwrap_or_default());
            return Err(self.refused(&format!("{shown} does not fit")));
        }
        out.extend_from_slice(value);
        Ok(())
    }

    fn write_text(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if let Shape::Fixed(most) = self.shape
            && text(value).map_or(value.len(), |t| t.len()) > most
        {
            return Err(self.refused(&format!("more than {most} bytes")));
        }
        match kind_of(value) {
            Some(Kind::String) => out.extend_from_slice(value),
            _ => push_string(out, &String::from_utf8_lossy(value)),
        }
        Ok(())
    }

    fn fits(&self, value: &[u8]) -> bool {
        // Numbers may come as text: 64 bits do in most JSON.
        let words = text(value);
        let words = words.as_deref().unwrap_or_default();
        let digits = words.strip_prefix('-').unwrap_or(words);
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match &self.shape {
            Shape::Whole(least, most) => {
                whole && words.parse::<i128>().is_ok_and(|n| (*least..=*most).contains(&n))
            }
            Shape::Huge => whole,
            Shape::Number => words.parse::<f64>().is_ok(),
            Shape::Bool => matches!(value, b"true" | b"false" | b"0" | b"1"),
            Shape::Text | Shape::Fixed(_) | Shape::Any => true,
        }
    }
}

fn refused(reason: impl Into<String>) -> Refusal {
    Refusal { kind: ErrorKind::Unacceptable, reason: reason.into() }
}

/// Appends a record as a line of JSON with the columns' values.
pub(crate) fn encode(columns: &[Column], record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let value = record.value.ok_or_else(|| refused("a record without a value makes no row"))?;
    let checked = check(value).map_err(|wrong| refused(wrong.to_string()))?;
    if checked.kind != Kind::Object {
        return Err(refused("JSON, but not an object"));
    }
    let start = out.len();
    out.push(b'{');
    for (n, column) in columns.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        if let Err(refusal) = column.write(value, out) {
            out.truncate(start);
            return Err(refusal);
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use connector::records::Headers;

    use super::*;

    fn row(kind: &str, nullable: bool, value: &str) -> Result<String, String> {
        let column = Column::new("c", Path::parse("$.v").unwrap(), Shape::of(kind), nullable);
        let json = format!("{{\"v\":{value},\"x\":0}}");
        let value = Some(json.as_bytes());
        let record =
            RecordRef { offset: 0, sub: 0, timestamp_ms: 0, key: None, value, headers: Headers::none() };
        let mut out = Vec::new();
        encode(&[column], &record, &mut out).map_err(|r| r.reason)?;
        Ok(String::from_utf8(out).unwrap().trim_end().to_owned())
    }

    #[test]
    fn values_are_checked_by_type() {
        for (kind, value, written) in [
            ("Int8", "-128", "-128"),
            ("UInt64", "18446744073709551615", "18446744073709551615"),
            ("Int64", "\"42\"", "\"42\""),
            ("UInt256", "123456789012345678901234567890", "123456789012345678901234567890"),
            ("Nullable(Float64)", "1.5e3", "1.5e3"),
            ("Decimal(10, 2)", "\"1.25\"", "\"1.25\""),
            ("Bool", "true", "true"),
            ("LowCardinality(Nullable(String))", "12", "\"12\""),
            ("String", "{\"a\":\"b\"}", r#""{\"a\":\"b\"}""#),
            ("FixedString(3)", "\"\\u0041bc\"", "\"\\u0041bc\""),
            ("DateTime64(3)", "\"2026-11-30 10:00:00\"", "\"2026-11-30 10:00:00\""),
            ("Array(Int32)", "[1, 2]", "[1, 2]"),
            ("", "\"x\"", "\"x\""),
        ] {
            assert_eq!(row(kind, false, value), Ok(format!("{{\"c\":{written}}}")), "{kind} {value}");
        }
        for (kind, value) in [
            ("Int8", "128"),
            ("UInt8", "-1"),
            ("Int32", "1.0"),
            ("Int32", "\"x\""),
            ("Int32", "[1]"),
            ("Float64", "\"words\""),
            ("Bool", "2"),
            ("FixedString(3)", "\"long\""),
            ("String", "null"),
        ] {
            assert!(row(kind, false, value).is_err(), "{kind} {value}");
        }
        assert_eq!(row("Int8", true, "null"), Ok("{\"c\":null}".to_owned()));
        assert!(row("Int8", false, "\u{1}").unwrap_err().contains("not JSON"));
    }
}
