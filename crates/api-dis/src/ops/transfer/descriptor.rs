//! What a request says of a dump's destination, and the ends that are made of it.

use super::{DESCRIPTOR, TYPE, unsupported};
use crate::fault::{invalid, refuse};
use crate::request::Ask;
use api::{Fault, Params};
use control::NewDump;
use model::{DisData, DisStream, EndKind, PipelineEnd};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Words of `partition_format`, and the directories that they stand for.
const PARTITIONS: [(&str, &str); 6] = [
    ("", ""),
    ("yyyy", "%Y"),
    ("yyyy/MM", "%Y/%m"),
    ("yyyy/MM/dd", "%Y/%m/%d"),
    ("yyyy/MM/dd/HH", "%Y/%m/%d/%H"),
    ("yyyy/MM/dd/HH/mm", "%Y/%m/%d/%H/%M"),
];
/// Words of `timestamp_format`.
const TIMES: [&str; 6] = [
    "yyyy/MM/dd HH:mm:ss",
    "MM/dd/yyyy HH:mm:ss",
    "dd/MM/yyyy HH:mm:ss",
    "yyyy-MM-dd HH:mm:ss",
    "MM-dd-yyyy HH:mm:ss",
    "dd-MM-yyyy HH:mm:ss",
];
/// Destinations: the product's word and older ones, its descriptors.
const KINDS: [(&str, &[&str], &[&str]); 5] = [
    ("OBS", &["OBS"], &["obs_destination_descriptor"]),
    ("DLI", &["DLI", "UQUERY"], &["dli_destination_descriptor", "uquery_destination_descriptor"]),
    ("MRS", &["MRS"], &["mrs_destination_descriptor"]),
    ("DWS", &["DWS"], &["dws_destination_descriptor"]),
    (
        "CLOUDTABLE",
        &["CLOUDTABLE", "OPENTSDB"],
        &["cloudtable_destination_descriptor", "opentsdb_destination_descriptor"],
    ),
];
/// Seconds between deliveries: the least, the most, the usual.
const INTERVAL: (i64, i64, i64) = (30, 900, 300);
/// Seconds of trying again: the most, the usual.
const RETRY: (u64, u64) = (7200, 1800);

/// A destination as a request names it.
pub struct Wanted<'a> {
    kind: &'static str,
    given: Params<'a>,
}

impl<'a> Wanted<'a> {
    /// Which destination, and its descriptor.
    ///
    /// # Errors
    /// `DIS.4200`.
    pub fn read(p: &Params<'a>) -> Result<Self, Fault> {
        let named = p.text("destination_type").to_ascii_uppercase();
        let there = |(_, _, fields): &&(_, _, &[&str])| fields.iter().any(|f| p.object(f).is_some());
        let found = match named.as_str() {
            "" | "NOWHERE" => KINDS.iter().find(there),
            _ => KINDS.iter().find(|(_, words, _)| words.contains(&named.as_str())),
        };
        let (kind, _, fields) = found.ok_or_else(|| {
            invalid("The parameter `destination_type` must be OBS, DLI, MRS, DWS or CLOUDTABLE, with its descriptor.")
        })?;
        let given = fields.iter().find_map(|f| p.object(f));
        let field = fields.first().copied().unwrap_or_default();
        let given = given.ok_or_else(|| invalid(format!("The parameter `{field}` is missing.")))?;
        Ok(Self { kind, given })
    }

    /// The dump that is wanted.
    ///
    /// # Errors
    /// `DIS.4200`, `DIS.4335`, `DIS.4360`; `DIS.4605` what is not supported.
    pub fn dump(&self, ask: &Ask<'_>, stream: &DisStream) -> Result<NewDump, Fault> {
        let p = &self.given;
        let settings = &ask.dumps;
        let task = p.text("task_name");
        let is_name = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !(1..=64).contains(&task.len()) || !is_name(task) {
            return Err(invalid("The parameter `task_name` has 1 to 64 letters, digits, - and _."));
        }
        let agency = p.text("agency_name");
        if agency.len() > 64 || (self.kind == "DLI" && agency.is_empty()) {
            return Err(invalid("The parameter `agency_name` has 1 to 64 characters."));
        }
        if !agency.is_empty()
            && !settings.agencies.is_empty()
            && !settings.agencies.iter().any(|a| a == agency)
        {
            return Err(refuse("DIS.4335", "Invalid IAM agency."));
        }
        let interval = p.i64("deliver_time_interval").unwrap_or(INTERVAL.2);
        if !(INTERVAL.0..=INTERVAL.1).contains(&interval) {
            return Err(invalid("The parameter `deliver_time_interval` must be between 30 and 900."));
        }
        let from_start = match p.text("consumer_strategy") {
            "" | "LATEST" => false,
            "TRIM_HORIZON" => true,
            _ => return Err(invalid("The parameter `consumer_strategy` must be LATEST or TRIM_HORIZON.")),
        };
        let interval_ms = settings.interval_ms.unwrap_or_else(|| u64::try_from(interval).unwrap_or(0) * 1000);
        let retry_s = self.retry()?;
        let prefix = self.prefix("file_prefix")?;
        let place = Place { bucket: p.text("obs_bucket_path"), prefix, interval_ms, stream };
        let sink = match self.kind {
            "OBS" => self.obs(ask, &place)?,
            "DLI" => self.dli(ask, &place)?,
            "MRS" => return Err(self.no_mrs()),
            "DWS" => return Err(self.no_dws()),
            _ => return Err(self.no_cloudtable()),
        };
        // What is refused goes where the product puts it.
        let word = if self.kind == "OBS" { "obs_error" } else { "dli_error" };
        let errors = json!({
            "mode": "errors",
            "bucket": place.bucket,
            "prefix": format!("{}{word}/", place.prefix),
            "stream": stream.name,
        });
        // Records of a bucket that is down can't be put into it either.
        let retry_s = (self.kind == "DLI").then_some(retry_s);
        let mut shown: Map<String, Value> =
            p.names().filter_map(|n| Some((n.to_owned(), p.get(n)?.clone()))).collect();
        shown.entry("deliver_time_interval").or_insert(interval.into());
        shown.entry("consumer_strategy").or_insert("LATEST".into());
        for (old, new) in
            [("uquery_database_name", "dli_database_name"), ("uquery_table_name", "dli_table_name")]
        {
            if let Some(value) = shown.remove(old) {
                shown.insert(new.to_owned(), value);
            }
        }
        let attributes = BTreeMap::from([
            (TYPE.to_owned(), self.kind.to_owned()),
            (DESCRIPTOR.to_owned(), Value::Object(shown).to_string()),
        ]);
        let errors = end(EndKind::Bucket, None, &errors);
        Ok(NewDump { task: task.to_owned(), from_start, sink, errors, retry_s, attributes })
    }

    fn retry(&self) -> Result<u64, Fault> {
        let given = match self.given.get("retry_duration") {
            None | Some(Value::Null) => return Ok(RETRY.1),
            Some(Value::String(s)) if s.is_empty() => return Ok(RETRY.1),
            Some(Value::String(s)) => s.parse().ok(),
            Some(other) => other.as_u64(),
        };
        given
            .filter(|s| *s <= RETRY.0)
            .ok_or_else(|| invalid("The parameter `retry_duration` must be between 0 and 7200."))
    }

    /// A prefix with a slash at its end, or nothing.
    fn prefix(&self, field: &str) -> Result<String, Fault> {
        let given = self.given.text(field);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_/".contains(&b);
        if given.len() > 50 || given.starts_with('/') || !given.bytes().all(plain) {
            let words = format!(
                "The parameter `{field}` has up to 50 letters, digits, _ and /, and does not begin with /."
            );
            return Err(invalid(words));
        }
        let trimmed = given.trim_end_matches('/');
        Ok(if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") })
    }

    fn obs(&self, ask: &Ask<'_>, place: &Place<'_>) -> Result<PipelineEnd, Fault> {
        let p = &self.given;
        let format = p.text("partition_format");
        let known = PARTITIONS.iter().find(|(word, _)| *word == format);
        let (_, directories) = known.ok_or_else(|| {
            invalid("The parameter `partition_format` must be yyyy/MM/dd/HH/mm or a beginning of it.")
        })?;
        let mut options = json!({
            "mode": "interval",
            "bucket": place.bucket,
            "prefix": place.prefix,
            "stream": place.stream.name,
            "directories": directories,
            "utc_offset_s": ask.dumps.utc_offset_s,
            "interval_ms": place.interval_ms,
        });
        match p.text("destination_file_type") {
            "" | "text" => {
                options["format"] = json!("text");
                options["delimiter"] = json!(delimiter(p.str("record_delimiter"))?);
            }
            "parquet" => {
                options["format"] = json!("parquet");
                parquet(&mut options, place.stream)?;
            }
            "carbon" => return Err(unsupported("carbon files; parquet ones are")),
            _ => {
                return Err(invalid(
                    "The parameter `destination_file_type` must be text, parquet or carbon.",
                ));
            }
        }
        match p.text("compression_format") {
            "" | "none" | "NONE" => {}
            "gzip" if options["format"] == "text" => options["compression"] = json!("gzip"),
            "snappy" if options["format"] == "parquet" => options["compression"] = json!("snappy"),
            word @ ("gzip" | "snappy" | "zip") => {
                return Err(unsupported(&format!("compression {word} of such files; gzip of text is")));
            }
            _ => return Err(invalid("The parameter `compression_format` must be snappy, gzip or zip.")),
        }
        if let Some(schema) = p.object("processing_schema") {
            options["time"] = time(&schema, place.stream)?;
        }
        Ok(end(EndKind::Bucket, None, &options))
    }

    fn dli(&self, ask: &Ask<'_>, place: &Place<'_>) -> Result<PipelineEnd, Fault> {
        let either = |new: &str, old: &str| match self.given.text(new) {
            "" => self.given.text(old).to_owned(),
            given => given.to_owned(),
        };
        let database = either("dli_database_name", "uquery_database_name");
        let table = either("dli_table_name", "uquery_table_name");
        for (field, value) in [("dli_database_name", &database), ("dli_table_name", &table)] {
            if value.is_empty() || value.len() > 128 {
                return Err(invalid(format!("The parameter `{field}` has 1 to 128 characters.")));
            }
        }
        let mut options = json!({ "database": database, "table": table, "interval_ms": place.interval_ms });
        match place.stream.data {
            DisData::Json => options["format"] = json!("json"),
            DisData::Csv => {
                options["format"] = json!("csv");
                options["delimiter"] = json!(place.stream.csv_delimiter.as_deref().unwrap_or(","));
            }
            DisData::Blob => options["format"] = json!("raw"),
        }
        if ask.dumps.evolve && place.stream.data == DisData::Json {
            options["unknown_fields"] = json!("evolve");
        }
        if ask.dumps.staging {
            options["staging"] = json!(format!("s3://{}/{}", place.bucket, place.prefix));
        }
        Ok(end(EndKind::Iceberg, ask.dumps.catalogue.as_deref(), &options))
    }

    fn no_mrs(&self) -> Fault {
        match self.given.text("mrs_hdfs_path") {
            path if path.starts_with('/') => unsupported("a dump to MRS"),
            _ => refuse("DIS.4336", "Invalid HDFS path."),
        }
    }

    fn no_dws(&self) -> Fault {
        match self.given.text("dws_delimiter") {
            "," | ";" | "|" => unsupported("a dump to DWS"),
            _ => invalid("The parameter `dws_delimiter` must be , ; or |."),
        }
    }

    fn no_cloudtable(&self) -> Fault {
        let has = |field: &str| self.given.get(field).is_some_and(|v| !v.is_null());
        let delimiter = self.given.text("cloudtable_row_key_delimiter");
        if !matches!(delimiter, "" | "." | "," | "|" | ";" | "\\" | "-" | "_" | "~") {
            return invalid("The parameter `cloudtable_row_key_delimiter` must be one of . , | ; \\ - _ ~.");
        }
        match (has("cloudtable_schema"), has("opentsdb_schema")) {
            (true, false) if self.given.text("cloudtable_table_name").is_empty() => {
                refuse("DIS.4342", "The CloudTable table does not exist.")
            }
            (true, false) | (false, true) => unsupported("a dump to CloudTable"),
            (true, true) => {
                refuse("DIS.4348", "Invalid openTSDB schema. There is a schema of CloudTable beside it.")
            }
            (false, false) => refuse("DIS.4345", "Invalid CloudTable schema."),
        }
    }
}

/// What all destinations have in common.
struct Place<'a> {
    bucket: &'a str,
    prefix: String,
    interval_ms: u64,
    stream: &'a DisStream,
}

fn end(kind: EndKind, connection: Option<&str>, options: &Value) -> PipelineEnd {
    PipelineEnd {
        kind,
        connection: connection.map(|c| c.to_owned().into()),
        address: String::new(),
        secret: None,
        options: options.to_string(),
    }
}

/// The delimiter of text: the product's SDK says that `,` is the usual one.
fn delimiter(given: Option<&str>) -> Result<&'static str, Fault> {
    Ok(match given {
        None | Some(",") => ",",
        Some(";") => ";",
        Some("|") => "|",
        Some("\n" | "\\n") => "\n",
        Some("" | "NULL" | "null") => "",
        Some(_) => return Err(invalid("The parameter `record_delimiter` must be one of , ; | \\n or NULL.")),
    })
}

fn parquet(options: &mut Value, stream: &DisStream) -> Result<(), Fault> {
    let no = || {
        refuse(
            "DIS.4360",
            "Invalid data schema. Parquet files need a stream of JSON or CSV with a data schema.",
        )
    };
    if stream.data == DisData::Blob {
        return Err(no());
    }
    options["schema"] = json!(stream.schema.as_deref().ok_or_else(no)?);
    if stream.data == DisData::Csv {
        options["csv_delimiter"] = json!(stream.csv_delimiter.as_deref().unwrap_or(","));
    }
    Ok(())
}

fn time(schema: &Params<'_>, stream: &DisStream) -> Result<Value, Fault> {
    if stream.data != DisData::Json {
        return Err(invalid("The parameter `processing_schema` needs a stream whose `data_type` is JSON."));
    }
    let mut time = json!({ "field": schema.text("timestamp_name") });
    match schema.text("timestamp_type") {
        "Timestamp" => {}
        "String" => {
            let format = schema.text("timestamp_format");
            if !TIMES.contains(&format) {
                let words = format!("The parameter `timestamp_format` must be one of {}.", TIMES.join(", "));
                return Err(invalid(words));
            }
            time["pattern"] = json!(format);
        }
        _ => return Err(invalid("The parameter `timestamp_type` must be String or Timestamp.")),
    }
    Ok(time)
}
