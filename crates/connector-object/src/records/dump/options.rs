//! The options of a dump sink (JSON with `"mode": "interval"`), read and checked without I/O.

use std::sync::Arc;
use std::time::Duration;

use columnar::{Compression, Format};
use connector::Result;
use connector::records::{Endpoint, Problem};
use serde::Deserialize;
use serde_json::Value;

use super::body::Form;
use super::columns::ColumnsForm;
use super::time::TimeField;
use crate::endpoint::Site;
use crate::records::naming::Directories;
use crate::records::object::Packing;
use crate::records::options::{Place, check_place, mode_of, problem, refuse, site_of};

const GIB: u64 = 1024 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "mode")]
    _mode: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    /// How files call the stream; the topic's name where it is not given.
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    directories: String,
    #[serde(default)]
    utc_offset_s: i32,
    interval_ms: u64,
    format: String,
    #[serde(default)]
    delimiter: Option<String>,
    #[serde(default)]
    compression: Option<String>,
    #[serde(default)]
    time: Option<RawTime>,
    /// An Avro schema, as text or as it is.
    #[serde(default)]
    schema: Option<Value>,
    /// Records are lines of CSV with this between fields; else JSON.
    #[serde(default)]
    csv_delimiter: Option<char>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTime {
    field: String,
    /// `None` = milliseconds since the epoch, 13 digits.
    #[serde(default)]
    pattern: Option<String>,
}

/// Checked options.
#[derive(Debug, Clone)]
pub(in crate::records) struct Plan {
    pub(super) place: Place,
    pub(super) prefix: Box<str>,
    pub(super) stream: Option<Box<str>>,
    pub(super) directories: Directories,
    pub(super) offset_s: i32,
    pub(super) interval_us: i64,
    pub(super) form: Form,
    pub(super) extension: &'static str,
    pub(super) time: Option<TimeField>,
    pub(super) max_bytes: u64,
}

/// Are these options of a dump sink?
pub(in crate::records) fn wanted(options: &str) -> bool {
    mode_of(options).is_some_and(|m| m == "interval")
}

/// All problems of the options.
pub(in crate::records) fn check(options: &str) -> Vec<Problem> {
    plan(options).err().unwrap_or_default()
}

/// Where the files of an endpoint lie.
pub(in crate::records) fn place(endpoint: &Endpoint) -> Result<(Arc<Site>, Box<str>)> {
    let (site, plan) = read(endpoint)?;
    Ok((site, plan.place.bucket))
}

/// Site and plan of an endpoint; the problems as an error.
pub(super) fn read(endpoint: &Endpoint) -> Result<(Arc<Site>, Plan)> {
    Ok((site_of(endpoint)?, plan(&endpoint.options).map_err(refuse)?))
}

fn plan(text: &str) -> Result<Plan, Vec<Problem>> {
    let mut raw: Raw = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    check_place(&mut bad, &raw.bucket, &raw.prefix);
    if !(-43_200..=50_400).contains(&raw.utc_offset_s) {
        bad.push(problem("utc_offset_s", "must be between -43200 and 50400"));
    }
    if !(100..=86_400_000).contains(&raw.interval_ms) {
        bad.push(problem("interval_ms", "must be between 100 and 86400000"));
    }
    let max_bytes = raw.max_bytes.unwrap_or(5 * GIB);
    if !(1..=50 * GIB).contains(&max_bytes) {
        bad.push(problem("max_bytes", "must be between 1 and 53687091200"));
    }
    if raw.stream.as_ref().is_some_and(|s| s.is_empty() || s.len() > 249 || s.contains('/')) {
        bad.push(problem("stream", "must be a name of 1 to 249 bytes without `/`"));
    }
    let directories = Directories::parse(&raw.directories).unwrap_or_else(|reason| {
        bad.push(problem("directories", reason));
        Directories::default()
    });
    let time = match raw.time.take().map(|t| TimeField::new(t.field, t.pattern)) {
        None => None,
        Some(Ok(time)) => Some(time),
        Some(Err(reason)) => {
            bad.push(problem("time", reason));
            None
        }
    };
    let parquet = raw.format == "parquet";
    let (form, extension, content_type) = match raw.format.as_str() {
        "text" => lines(&mut bad, &raw),
        "parquet" => columns(&mut bad, &raw),
        _ => {
            bad.push(problem("format", "must be text or parquet"));
            lines(&mut bad, &raw)
        }
    };
    if !parquet && (raw.schema.is_some() || raw.csv_delimiter.is_some()) {
        bad.push(problem("schema", "schema and csv_delimiter belong to parquet"));
    }
    let plan = Plan {
        place: Place { bucket: raw.bucket.into(), storage_class: None, content_type },
        prefix: raw.prefix.into(),
        stream: raw.stream.map(Into::into),
        directories,
        offset_s: raw.utc_offset_s,
        interval_us: i64::try_from(Duration::from_millis(raw.interval_ms).as_micros()).unwrap_or(i64::MAX),
        form,
        extension,
        time,
        max_bytes,
    };
    if bad.is_empty() { Ok(plan) } else { Err(bad) }
}

/// What a file is made of, its extension, its type.
type Made = (Form, &'static str, &'static str);

fn lines(bad: &mut Vec<Problem>, raw: &Raw) -> Made {
    let (packing, extension, content_type) = match raw.compression.as_deref() {
        None | Some("none") => (Packing::None, "txt", "text/plain"),
        Some("gzip") => (Packing::Gzip, "txt.gz", "application/gzip"),
        Some("zstd") => (Packing::Zstd, "txt.zst", "application/zstd"),
        Some(_) => {
            bad.push(problem("compression", "must be none, gzip or zstd"));
            (Packing::None, "txt", "text/plain")
        }
    };
    let delimiter = raw.delimiter.clone().unwrap_or_default();
    if !matches!(delimiter.as_str(), "" | "," | ";" | "|" | "\n") {
        bad.push(problem("delimiter", "must be `,`, `;`, `|`, a newline or empty"));
    }
    (Form::Text { delimiter: delimiter.into(), packing }, extension, content_type)
}

fn columns(bad: &mut Vec<Problem>, raw: &Raw) -> Made {
    if raw.delimiter.is_some() {
        bad.push(problem("delimiter", "belongs to text"));
    }
    let compression = match raw.compression.as_deref() {
        None | Some("snappy") => Compression::Snappy,
        Some("zstd") => Compression::Zstd,
        Some("none") => Compression::None,
        Some(_) => {
            bad.push(problem("compression", "must be none, snappy or zstd"));
            Compression::None
        }
    };
    let format = match raw.csv_delimiter {
        None => Format::Json,
        Some(c) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r') => {
            Format::Csv { delimiter: u8::try_from(c).unwrap_or(b',') }
        }
        Some(_) => {
            bad.push(problem("csv_delimiter", "must be one ASCII character, no quote and no end of line"));
            Format::Json
        }
    };
    let schema = match &raw.schema {
        None => {
            bad.push(problem("schema", "is missing: parquet needs an Avro schema"));
            columnar::Schema::empty()
        }
        Some(given) => {
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            columnar::avro_schema(&text).unwrap_or_else(|e| {
                bad.push(problem("schema", e.to_string()));
                columnar::Schema::empty()
            })
        }
    };
    let form = ColumnsForm { schema: Arc::new(schema), format, compression };
    if bad.is_empty()
        && let Err(why) = form.check()
    {
        bad.push(problem("schema", why));
    }
    (Form::Parquet(form), "parquet", "application/vnd.apache.parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_come_at_once() {
        let bad = r#"{"mode":"interval","bucket":"b","prefix":"/x","directories":"%Q","utc_offset_s":99999,"interval_ms":1,
            "format":"text","delimiter":"x","compression":"lzma","time":{"field":"t","pattern":"yy"},"max_bytes":0,"stream":"a/b"}"#;
        assert!(wanted(bad));
        let fields: Vec<_> = check(bad).into_iter().map(|p| p.field).collect();
        assert_eq!(fields.len(), 10, "{fields:?}");
        assert_eq!(check(r#"{"mode":"interval","bucket":"bkt","interval_ms":30000,"format":"text"}"#), []);
        assert!(
            !check(r#"{"mode":"interval","bucket":"bkt","interval_ms":30000,"format":"orc"}"#).is_empty()
        );
        assert!(!wanted(r#"{"bucket":"bkt","format":"json"}"#));
        let parquet = |schema: &str| {
            let options =
                r#"{"mode":"interval","bucket":"bkt","interval_ms":30000,"format":"parquet","schema":S}"#;
            check(&options.replace('S', schema)).len()
        };
        assert_eq!(parquet(r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#), 0);
        assert_eq!((parquet("null"), parquet(r#""int""#), parquet("{}")), (1, 1, 1));
    }
}
