//! A JSON value as the text that a column takes.
//!
//! What can be seen to be wrong is refused here, with words; what only the server can judge goes to the server.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::catalogue::{Column, Kind};
use crate::options::Engine;

/// A value for a column; `None` elsewhere is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

impl Cell<'_> {
    /// Adds it to the text that tells keys apart.
    pub(crate) fn identify(&self, out: &mut Vec<u8>) {
        let bytes = match self {
            Self::Text(t) => t.as_bytes(),
            Self::Bytes(b) => b,
        };
        out.extend_from_slice(&bytes.len().to_le_bytes());
        out.extend_from_slice(bytes);
    }
}

impl Cell<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(t) => t.len(),
            Self::Bytes(b) => b.len(),
        }
    }
}

/// What is needed to know beside the column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) engine: Engine,
    /// Bytes come as base64 (Debezium); else as text, or as `\x` and hexadecimal digits.
    pub(crate) base64: bool,
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Word<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The value for a column; `Ok(None)` is NULL.
pub(crate) fn cell<'a>(
    raw: &'a RawValue,
    column: &Column,
    manner: Manner,
) -> Result<Option<Cell<'a>>, String> {
    let text = raw.get();
    let converted = match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'"') => {
            let Word(word) = serde_json::from_str(text).map_err(|_| wrong(column, "a broken string"))?;
            string(word, column, manner)
        }
        Some(b't' | b'f') => boolean(text == "true", text, column, manner),
        Some(b'{' | b'[') => compound(text, column, manner),
        _ => number(text, column),
    }?;
    if manner.engine == Engine::Postgres && matches!(&converted, Cell::Text(t) if t.contains('\0')) {
        return Err(wrong(column, "a NUL character"));
    }
    Ok(Some(converted))
}

/// A value that is text already (a mapping's default, a value of Canal).
pub(crate) fn from_text<'a>(text: &'a str, column: &Column, manner: Manner) -> Result<Cell<'a>, String> {
    string(Cow::Borrowed(text), column, manner)
}

fn wrong(column: &Column, what: &str) -> String {
    format!("column {} ({}) can't take {what}", column.name, column.type_name)
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn string<'a>(text: Cow<'a, str>, column: &Column, manner: Manner) -> Result<Cell<'a>, String> {
    let refuse = |text: &str| Err(wrong(column, &format!("\"{}\"", shown(text))));
    match &column.kind {
        Kind::Integer { low, high } => {
            let fits = text.trim().parse::<i128>().is_ok_and(|n| (*low..=*high).contains(&n));
            if fits { Ok(Cell::Text(text.trim().to_owned().into())) } else { refuse(&text) }
        }
        Kind::Number => {
            let digits = text.bytes().any(|b| b.is_ascii_digit());
            let word = manner.engine == Engine::Postgres
                && ["nan", "infinity", "-infinity"].contains(&text.to_ascii_lowercase().as_str());
            if digits || word { Ok(Cell::Text(text)) } else { refuse(&text) }
        }
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "on" => Ok(Cell::Text(truth(true, manner).into())),
            "false" | "f" | "0" | "no" | "off" => Ok(Cell::Text(truth(false, manner).into())),
            _ => refuse(&text),
        },
        // The text of a JSON string in a JSON column is a JSON string.
        Kind::Json => match serde_json::to_string(&text) {
            Ok(quoted) => Ok(Cell::Text(quoted.into())),
            Err(_) => refuse(&text),
        },
        Kind::Bytes => bytes(&text, manner).map_or_else(|| refuse(&text), Ok),
        Kind::Moment | Kind::Day if manner.engine == Engine::MySql => Ok(Cell::Text(utc(text))),
        Kind::Moment | Kind::Day | Kind::Clock | Kind::Text | Kind::Array | Kind::Other => {
            Ok(Cell::Text(text))
        }
    }
}

fn truth(value: bool, manner: Manner) -> &'static str {
    match (manner.engine, value) {
        (Engine::Postgres, true) => "true",
        (Engine::Postgres, false) => "false",
        (Engine::MySql, true) => "1",
        (Engine::MySql, false) => "0",
    }
}

fn bytes(text: &str, manner: Manner) -> Option<Cell<'static>> {
    let bytes = if manner.base64 {
        STANDARD.decode(text).ok()?
    } else if let Some(hex) = text.strip_prefix("\\x") {
        from_hex(hex)?
    } else {
        text.as_bytes().to_vec()
    };
    Some(match manner.engine {
        Engine::MySql => Cell::Bytes(bytes),
        Engine::Postgres => {
            let mut hex = String::with_capacity(2 + bytes.len() * 2);
            hex.push_str("\\x");
            for b in bytes {
                hex.extend([b >> 4, b & 15].iter().filter_map(|d| char::from_digit(u32::from(*d), 16)));
            }
            Cell::Text(hex.into())
        }
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|p| Some(digit(*p.first()?)? << 4 | digit(*p.get(1)?)?)).collect()
}

fn boolean<'a>(value: bool, text: &'a str, column: &Column, manner: Manner) -> Result<Cell<'a>, String> {
    let text = match &column.kind {
        Kind::Integer { .. } | Kind::Number => {
            if value {
                "1"
            } else {
                "0"
            }
        }
        Kind::Bool => truth(value, manner),
        Kind::Text | Kind::Json | Kind::Other => text,
        _ => return Err(wrong(column, text)),
    };
    Ok(Cell::Text(text.into()))
}

fn number<'a>(text: &'a str, column: &Column) -> Result<Cell<'a>, String> {
    let refuse = || wrong(column, &shown(text));
    let made: Cow<'a, str> = match &column.kind {
        Kind::Integer { low, high } => {
            let whole = match text.parse::<i128>() {
                Ok(n) => n,
                // 1.0 and 1e3 are whole numbers too.
                Err(_) => match text.parse::<f64>() {
                    Ok(f) if f.fract() == 0.0 && f.abs() < 9e15 => f as i128,
                    _ => return Err(refuse()),
                },
            };
            if !(*low..=*high).contains(&whole) {
                return Err(refuse());
            }
            if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
                text.into()
            } else {
                whole.to_string().into()
            }
        }
        Kind::Bool => match text {
            "0" => "0".into(),
            "1" => "1".into(),
            _ => return Err(refuse()),
        },
        Kind::Moment => moment(text).ok_or_else(refuse)?.into(),
        Kind::Day => day(text).ok_or_else(refuse)?.into(),
        Kind::Clock => clock(text).ok_or_else(refuse)?.into(),
        Kind::Bytes | Kind::Array => return Err(refuse()),
        Kind::Number | Kind::Text | Kind::Json | Kind::Other => text.into(),
    };
    Ok(Cell::Text(made))
}

fn compound<'a>(text: &'a str, column: &Column, manner: Manner) -> Result<Cell<'a>, String> {
    match &column.kind {
        Kind::Json | Kind::Text => Ok(Cell::Text(text.into())),
        Kind::Array if text.starts_with('[') && manner.engine == Engine::Postgres => {
            let value = serde_json::from_str(text).map_err(|_| wrong(column, "a broken array"))?;
            let mut out = String::with_capacity(text.len());
            array(&value, &mut out);
            Ok(Cell::Text(out.into()))
        }
        _ if text.starts_with('{') => Err(wrong(column, "an object")),
        _ => Err(wrong(column, "an array")),
    }
}

/// PostgreSQL's text form of an array.
fn array(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Array(all) => {
            out.push('{');
            for (i, v) in all.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                array(v, out);
            }
            out.push('}');
        }
        Value::Null => out.push_str("NULL"),
        Value::Bool(b) => out.push_str(if *b { "t" } else { "f" }),
        Value::Number(n) => out.push_str(&n.to_string()),
        Value::String(s) => quoted(s, out),
        Value::Object(_) => quoted(&value.to_string(), out),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// MySQL takes no time zones in text: such times become UTC, the zone of our session.
fn utc(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() < 20 || !text.contains('T') && !text.contains(' ') {
        return text;
    }
    match OffsetDateTime::parse(&text.replacen(' ', "T", 1), &Rfc3339) {
        Ok(at) => plain(at.to_offset(UtcOffset::UTC)).into(),
        Err(_) => text,
    }
}

fn plain(at: OffsetDateTime) -> String {
    let (d, t) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        d.year(),
        u8::from(d.month()),
        d.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.microsecond()
    )
}

/// Numbers this small are days since the epoch (Debezium), which ends in the year 2517.
const MOST_DAYS: i64 = 200_000;

/// An epoch time by its size: seconds until the year 5138, then milli-, micro- and nanoseconds.
fn instant(text: &str) -> Option<OffsetDateTime> {
    let nanos = match text.parse::<i64>() {
        Ok(n) => {
            let unit = match n.unsigned_abs() {
                0..100_000_000_000 => 1_000_000_000,
                100_000_000_000..100_000_000_000_000 => 1_000_000,
                100_000_000_000_000..100_000_000_000_000_000 => 1000,
                _ => 1,
            };
            i128::from(n) * unit
        }
        Err(_) => (text.parse::<f64>().ok().filter(|f| f.abs() < 1e11)? * 1e6) as i128 * 1000,
    };
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

fn moment(text: &str) -> Option<String> {
    instant(text).map(plain)
}

fn day(text: &str) -> Option<String> {
    let date = match text.parse::<i64>() {
        Ok(n) if n.abs() <= MOST_DAYS => {
            Date::from_ordinal_date(1970, 1).ok()?.checked_add(time::Duration::days(n))?
        }
        _ => instant(text)?.date(),
    };
    Some(format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()))
}

/// Milli- or microseconds since midnight (Debezium).
fn clock(text: &str) -> Option<String> {
    let n: i64 = text.parse().ok().filter(|n| *n >= 0)?;
    let micros = if n < 86_400_000 { n * 1000 } else { n };
    let seconds = micros / 1_000_000;
    (seconds < 86_400).then(|| {
        format!(
            "{:02}:{:02}:{:02}.{:06}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            micros % 1_000_000
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(engine: Engine, kind: Kind, json: &str) -> Result<Option<String>, String> {
        let column = Column { kind, ..Column::named("c") };
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        let made = cell(&raw, &column, Manner { engine, base64: false })?;
        Ok(made.map(|c| match c {
            Cell::Text(t) => t.into_owned(),
            Cell::Bytes(b) => format!("{b:?}"),
        }))
    }

    fn pg(kind: Kind, json: &str) -> Option<String> {
        of(Engine::Postgres, kind, json).unwrap_or_else(|why| Some(format!("! {why}")))
    }

    #[test]
    fn values_become_the_columns_text() {
        let int = || Kind::Integer { low: -128, high: 127 };
        assert_eq!(pg(int(), "12").unwrap(), "12");
        assert_eq!(pg(int(), "1.2e1").unwrap(), "12");
        assert_eq!(pg(int(), "\" 7 \"").unwrap(), "7");
        assert_eq!(pg(int(), "true").unwrap(), "1");
        assert_eq!(pg(int(), "null"), None);
        for bad in ["128", "1.5", "\"x\"", "[]", "{}", "99999999999999999999"] {
            assert!(of(Engine::Postgres, int(), bad).is_err(), "{bad}");
        }
        assert_eq!(
            pg(Kind::Number, "12345678901234567890.123456789").unwrap(),
            "12345678901234567890.123456789"
        );
        assert_eq!(pg(Kind::Text, "{\"a\": 1}").unwrap(), "{\"a\": 1}");
        assert_eq!(pg(Kind::Json, "\"a\"").unwrap(), "\"a\"");
        assert_eq!(pg(Kind::Bytes, "\"\\\\x00ff\"").unwrap(), "\\x00ff");
        assert_eq!(pg(Kind::Array, r#"[1,null,"a\"b",[true]]"#).unwrap(), r#"{1,NULL,"a\"b",{t}}"#);
        assert!(of(Engine::Postgres, Kind::Text, "\"a\\u0000b\"").is_err());
        assert_eq!(of(Engine::MySql, Kind::Text, "\"a\\u0000b\"").unwrap().unwrap(), "a\0b");
    }

    #[test]
    fn times_are_understood() {
        let at = "2026-11-22 13:08:24.500000";
        for n in ["1795352904500", "1795352904500000", "1795352904500000000", "1795352904.5"] {
            assert_eq!(pg(Kind::Moment, n).unwrap(), at, "{n}");
        }
        assert_eq!(pg(Kind::Day, "20779").unwrap(), "2026-11-22");
        assert_eq!(pg(Kind::Clock, "47304500").unwrap(), "13:08:24.500000");
        let my = |json: &str| of(Engine::MySql, Kind::Moment, json).unwrap().unwrap();
        assert_eq!(my("\"2026-11-22T15:08:24.5+02:00\""), at);
        assert_eq!(my("\"2026-11-22 13:08:24\""), "2026-11-22 13:08:24");
        assert!(of(Engine::Postgres, Kind::Moment, "1e300").is_err());
    }
}
