//! The two texts of an endpoint, read and checked without I/O.

use std::sync::Arc;
use std::time::Duration;

use connector::records::{Endpoint, Problem};
use connector::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::format::{Format, Shape};
use super::naming::{Directories, Naming};
use super::object::Packing;
use super::{dump, errors};
use crate::endpoint::{Addressing, Credentials, Dialect, Secret, Site};

const MIB: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConnection {
    url: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    dialect: Option<RawDialect>,
    #[serde(default = "yes")]
    path_style: bool,
    #[serde(default)]
    access_key_id: Option<String>,
    #[serde(default)]
    ca_pem: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawDialect {
    S3,
    Cos,
    Oss,
    Obs,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSink {
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    directories: String,
    #[serde(default = "china")]
    utc_offset_s: i32,
    #[serde(default)]
    max_bytes: Option<u64>,
    #[serde(default)]
    max_seconds: Option<u64>,
    format: String,
    #[serde(default)]
    compression: Option<String>,
    #[serde(default)]
    source_format: Option<String>,
    #[serde(default)]
    storage_class: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    header: bool,
}

/// The product's default time zone is UTC+08:00.
fn china() -> i32 {
    28_800
}

/// Where objects of records lie, and what they carry.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) bucket: Box<str>,
    pub(super) storage_class: Option<Box<str>>,
    pub(super) content_type: &'static str,
}

/// Checked options.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) naming: Naming,
    pub(super) format: Format,
    pub(super) packing: Packing,
    pub(super) max_bytes: u64,
    pub(super) max_micros: i64,
}

/// All problems of a bucket's connection (JSON).
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    // The secret is not part of the text; any will do for the check.
    site(connection, Some("x")).err().unwrap_or_default()
}

/// All problems of a bucket sink's options (JSON).
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    if dump::wanted(options) {
        return dump::check(options);
    }
    if errors::wanted(options) {
        return errors::check(options);
    }
    plan(options).err().unwrap_or_default()
}

pub(super) fn problem(field: &str, reason: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), reason: reason.into() }
}

/// Site and plan of an endpoint; the first problem as an error.
pub(super) fn read(endpoint: &Endpoint) -> Result<(Arc<Site>, Plan)> {
    Ok((site_of(endpoint)?, plan(&endpoint.options).map_err(refuse)?))
}

/// The site of an endpoint; the problems as an error.
pub(super) fn site_of(endpoint: &Endpoint) -> Result<Arc<Site>> {
    let secret = endpoint.secret.as_ref().map(|s| &*s.0);
    site(&endpoint.connection, secret).map_err(refuse)
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
pub(super) fn refuse(problems: Vec<Problem>) -> Error {
    let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
    Error::new(ErrorKind::Unacceptable, all.join("; "))
}

/// The store behind a bucket's connection (JSON), for connectors that keep files of their own in it.
///
/// # Errors
/// All problems of the connection.
pub fn site(text: &str, secret: Option<&str>) -> Result<Arc<Site>, Vec<Problem>> {
    let raw: RawConnection = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let credentials = match (raw.access_key_id, secret) {
        (Some(id), Some(secret)) => {
            Some(Credentials { access_key: id.into(), secret_key: Secret::new(secret), session_token: None })
        }
        (Some(_), None) => return Err(vec![problem("access_key_id", "needs a secret key")]),
        (None, _) => None,
    };
    let region = raw.region.unwrap_or_else(|| "us-east-1".to_owned());
    let mut e = crate::endpoint::Endpoint::new(raw.url, region, credentials);
    e.dialect = match raw.dialect.unwrap_or(RawDialect::S3) {
        RawDialect::S3 => Dialect::S3,
        RawDialect::Cos => Dialect::Cos,
        RawDialect::Oss => Dialect::Oss,
        RawDialect::Obs => Dialect::Obs,
    };
    e.addressing = if raw.path_style { Addressing::Path } else { Addressing::VirtualHost };
    e.ca_pem = raw.ca_pem.map(String::into_bytes);
    e.check().map_err(|all| {
        let split = |p: String| match p.split_once(": ") {
            Some((field, reason)) => problem(&field.replace(' ', "_"), reason),
            None => problem("", p),
        };
        all.into_iter().map(split).collect()
    })
}

fn plan(text: &str) -> Result<Plan, Vec<Problem>> {
    let raw: RawSink = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    check_place(&mut bad, &raw.bucket, &raw.prefix);
    if !(-43_200..=50_400).contains(&raw.utc_offset_s) {
        bad.push(problem("utc_offset_s", "must be between -43200 and 50400"));
    }
    let max_bytes = raw.max_bytes.unwrap_or(128 * MIB);
    if !(1..=50 * 1024 * MIB).contains(&max_bytes) {
        bad.push(problem("max_bytes", "must be between 1 and 53687091200"));
    }
    let seconds = raw.max_seconds.unwrap_or(3600);
    if !(1..=7 * 86_400).contains(&seconds) {
        bad.push(problem("max_seconds", "must be between 1 and 604800"));
    }
    let directories = Directories::parse(&raw.directories).unwrap_or_else(|reason| {
        bad.push(problem("directories", reason));
        Directories::default()
    });
    let storage_class = raw.storage_class.filter(|s| !s.is_empty());
    if storage_class.as_ref().is_some_and(|s| s.len() > 64 || !s.bytes().all(|b| b.is_ascii_graphic())) {
        bad.push(problem("storage_class", "must be a word of at most 64 characters"));
    }
    let debezium = choice(&mut bad, "source_format", raw.source_format.as_deref(), ["json", "debezium"]);
    let shape = shape(&mut bad, &raw.format, raw.columns, raw.header);
    let packing = packing(&mut bad, raw.compression.as_deref(), shape == Shape::Parquet);
    let (extension, content_type) = stored_as(&shape, packing);
    let naming = Naming { prefix: raw.prefix.into(), directories, offset_s: raw.utc_offset_s, extension };
    let storage_class = storage_class.map(Into::into);
    let plan = Plan {
        place: Place { bucket: raw.bucket.into(), storage_class, content_type },
        naming,
        format: Format { shape, debezium },
        packing,
        max_bytes,
        max_micros: i64::try_from(Duration::from_secs(seconds).as_micros()).unwrap_or(i64::MAX),
    };
    if bad.is_empty() { Ok(plan) } else { Err(bad) }
}

/// Which of the bucket's sinks the options are for, where it is not the one of topics.
pub(super) fn mode_of(options: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Mode {
        mode: String,
    }
    serde_json::from_str::<Mode>(options).ok().map(|m| m.mode)
}

/// Checks the name of a bucket and a prefix.
pub(super) fn check_place(bad: &mut Vec<Problem>, bucket: &str, prefix: &str) {
    let bucket_ok = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !bucket_ok {
        bad.push(problem("bucket", "must be a bucket's name of 3 to 63 letters, digits, `-`, `.`"));
    }
    if prefix.len() > 512 || prefix.starts_with('/') || prefix.chars().any(char::is_control) {
        let reason = "must have at most 512 bytes, no control characters and no `/` at its beginning";
        bad.push(problem("prefix", reason));
    }
}

fn shape(bad: &mut Vec<Problem>, word: &str, columns: Vec<String>, header: bool) -> Shape {
    let csv = word == "csv";
    if !csv && (header || !columns.is_empty()) {
        bad.push(problem("columns", "columns and header belong to csv"));
    } else if header && columns.is_empty() {
        bad.push(problem("header", "needs columns"));
    } else if columns.len() > 4096 {
        bad.push(problem("columns", "must be at most 4096"));
    }
    match word {
        "json" => Shape::Json,
        "csv" => Shape::Csv { columns, header },
        "parquet" => Shape::Parquet,
        _ => {
            bad.push(problem("format", "must be json, csv or parquet"));
            Shape::Json
        }
    }
}

/// How objects are compressed. A Parquet file does it itself, with zstd where nothing is said.
fn packing(bad: &mut Vec<Problem>, word: Option<&str>, parquet: bool) -> Packing {
    match word {
        None if parquet => Packing::Zstd,
        None | Some("none") => Packing::None,
        Some("gzip") if !parquet => Packing::Gzip,
        Some("zstd") => Packing::Zstd,
        Some(_) => {
            let known = if parquet { "must be none or zstd" } else { "must be none, gzip or zstd" };
            bad.push(problem("compression", known));
            Packing::None
        }
    }
}

/// Extension and type of objects.
fn stored_as(shape: &Shape, packing: Packing) -> (&'static str, &'static str) {
    match (shape, packing) {
        (Shape::Parquet, _) => ("parquet", "application/vnd.apache.parquet"),
        (Shape::Csv { .. }, Packing::None) => ("csv", "text/csv"),
        (Shape::Csv { .. }, Packing::Gzip) => ("csv.gz", "application/gzip"),
        (Shape::Csv { .. }, Packing::Zstd) => ("csv.zst", "application/zstd"),
        (Shape::Json, Packing::None) => ("json", "application/x-ndjson"),
        (Shape::Json, Packing::Gzip) => ("json.gz", "application/gzip"),
        (Shape::Json, Packing::Zstd) => ("json.zst", "application/zstd"),
    }
}

/// True for the second of two words.
fn choice(bad: &mut Vec<Problem>, field: &str, value: Option<&str>, [first, second]: [&str; 2]) -> bool {
    match value {
        Some(v) if v == second => return true,
        None => {}
        Some(v) if v == first => {}
        Some(_) => bad.push(problem(field, format!("must be {first} or {second}"))),
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_come_at_once() {
        let bad = r#"{"bucket":"b","prefix":"/x","directories":"%Q","utc_offset_s":99999,"max_bytes":0,"max_seconds":0,
            "format":"xml","compression":"lzma","source_format":"canal","storage_class":"A B","header":true}"#;
        let fields: Vec<_> = check_sink(bad).into_iter().map(|p| p.field).collect();
        assert_eq!(fields.len(), 11, "{fields:?}");
        assert_eq!(check_sink(r#"{"bucket":"bkt","format":"json"}"#), []);
        assert!(!check_sink(r#"{"bucket":"bkt","format":"json","other":1}"#).is_empty());
        assert_eq!(check_sink(r#"{"bucket":"bkt","format":"parquet","compression":"none"}"#), []);
        let bad = r#"{"bucket":"bkt","format":"parquet","compression":"gzip","columns":["a"]}"#;
        assert_eq!(check_sink(bad).len(), 2);
        assert_eq!(check_connection(r#"{"url":"http://h:1","access_key_id":"A"}"#), []);
        assert_eq!(check_connection(r#"{"url":"ftp://h","region":"a b"}"#).len(), 2);
    }
}
