//! `COS`: objects of a bucket that the catalogue of object stores knows by its name.

use super::{Resource, Sink, end, put};
use crate::fault;
use crate::request::{given, needed, one_of, ranged};
use crate::translate::times;
use api::{Fault, Params};
use model::{EndKind, OnFailure};
use serde_json::{Map, Value};

/// Megabytes of one object at most.
const MAX_MB: u64 = 5_120;
/// Hours that an object is gathered at most.
const MAX_HOURS: u64 = 24 * 7;
/// Bytes in a megabyte.
const MB: u64 = 1024 * 1024;
/// Seconds in an hour.
const HOUR: u64 = 3_600;
/// The product's zone where the request names none: Beijing's.
const BEIJING: i32 = 28_800;

/// What objects are made of: the product's formats, and Parquet.
pub const FORMATS: &[&str] = &["json", "csv", "parquet"];

/// `COS` as a destination. Everything is written as it is, so there is nothing to refuse.
///
/// # Errors
/// In the vendor's words.
pub fn sink(resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    Ok(Sink {
        end: end(EndKind::Bucket, None, options(&p, &at)?),
        word: p.text("BucketName").to_owned(),
        records_per_s: None,
        on_refusal: OnFailure::Block,
        sync: None,
    })
}

fn options(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    options.insert("bucket".to_owned(), needed(p, at, "BucketName")?.into());
    needed(p, at, "Region")?;
    put(&mut options, "prefix", given(p, "ObjectKeyPrefix"));
    put(&mut options, "directories", given(p, "DirectoryTimeFormat"));
    let zone = match given(p, "Timezone") {
        None => BEIJING,
        Some(text) => times::zone(text)
            .ok_or_else(|| fault::value(format!("The parameter `{at}.Timezone` must be like UTC+08:00.")))?,
    };
    options.insert("utc_offset_s".to_owned(), zone.into());
    let mb = ranged(p, "AggregateBatchSize", (0, MAX_MB), fault::VALUE)?.filter(|n| *n > 0);
    put(&mut options, "max_bytes", mb.map(|n| n * MB));
    let hours = ranged(p, "AggregateInterval", (0, MAX_HOURS), fault::VALUE)?.filter(|n| *n > 0);
    put(&mut options, "max_seconds", hours.map(|n| n * HOUR));
    options.insert("format".to_owned(), one_of(p, at, "FormatOutputType", FORMATS)?.into());
    let source = one_of(p, at, "SourceDataFormat", &["JSON", "Debezium"])?;
    options.insert("source_format".to_owned(), source.to_ascii_lowercase().into());
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn megabytes_hours_and_zones() {
        let read = |v: Value| {
            options(&Params::unchecked(&v, false), "C").map(Value::Object).map_err(|f| f.code.into_owned())
        };
        assert_eq!(
            read(json!({"BucketName": "b", "Region": "r"})).unwrap(),
            json!({"bucket": "b", "utc_offset_s": 28_800, "format": "json", "source_format": "json"})
        );
        let full = json!({"BucketName": "b", "Region": "r", "AggregateBatchSize": 2, "AggregateInterval": 1,
            "FormatOutputType": "csv", "ObjectKeyPrefix": "a/", "DirectoryTimeFormat": "/%Y/%m/%d/%H",
            "Timezone": "UTC-01:00", "SourceDataFormat": "Debezium"});
        assert_eq!(
            read(full).unwrap(),
            json!({"bucket": "b", "prefix": "a/", "directories": "/%Y/%m/%d/%H", "utc_offset_s": -3600,
                "max_bytes": 2_097_152, "max_seconds": 3600, "format": "csv", "source_format": "debezium"})
        );
        let extra = json!({"BucketName": "b", "Region": "r", "FormatOutputType": "Parquet"});
        assert_eq!(read(extra).unwrap()["format"], "parquet");
        for (bad, code) in [
            (json!({"BucketName": "", "Region": "r"}), fault::EMPTY),
            (json!({"BucketName": "b", "Region": ""}), fault::EMPTY),
            (json!({"BucketName": "b", "Region": "r", "Timezone": "CST"}), fault::VALUE),
            (json!({"BucketName": "b", "Region": "r", "FormatOutputType": "xml"}), fault::VALUE),
            (json!({"BucketName": "b", "Region": "r", "AggregateInterval": 1000}), fault::VALUE),
        ] {
            assert_eq!(read(bad.clone()).unwrap_err(), code, "{bad}");
        }
    }
}
