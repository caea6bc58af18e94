//! `POST /v2/{project_id}/streams`: a stream with its partitions.

use super::done;
use crate::fault::{invalid, refuse};
use crate::request::Ask;
use crate::tables::{CSV_PROPERTIES, FOR_DUMPS, TAG_GIVEN};
use api::{Fault, Field, Operation, Outcome, Params, Ty};
use control::NewDisStream;
use model::{AutoScale, DisData, DisKind};
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateStream",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("partition_count", Ty::Int).required(),
        Field::new("stream_type", Ty::Str),
        Field::new("data_type", Ty::Str).stored(FOR_DUMPS),
        Field::new("data_duration", Ty::Int),
        Field::new("auto_scale_enabled", Ty::Bool),
        Field::new("auto_scale_min_partition_count", Ty::Int),
        Field::new("auto_scale_max_partition_count", Ty::Int),
        Field::new("data_schema", Ty::Str).stored(FOR_DUMPS),
        Field::new("csv_properties", Ty::Object(CSV_PROPERTIES)).stored(FOR_DUMPS),
        Field::new("compression_format", Ty::Str).stored(FOR_DUMPS),
        Field::new("tags", Ty::List(&Ty::Object(TAG_GIVEN))),
        Field::new("sys_tags", Ty::List(&Ty::Object(TAG_GIVEN))).stored("kept and shown"),
    ],
    response: &[],
    note: "The stream is a topic of the server's own Kafka cluster, `dis.<account>.<stream name>`. Partitions scale by themselves \
           only where the product's limits are switched on.",
};

/// Hours that records are kept where nothing is said.
const USUAL_HOURS: i64 = 24;
/// Bytes of a schema at most.
const MAX_SCHEMA: usize = 256 << 10;
/// Tags of a stream at most, and characters of their keys and values.
pub const MOST_TAGS: usize = 10;
const MAX_KEY: usize = 36;
const MAX_VALUE: usize = 43;

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let new = NewDisStream {
        name: p.text("stream_name").to_owned(),
        partitions: count(&p, "partition_count")?.unwrap_or(0),
        kind: word(&p, "stream_type", DisKind::named)?.unwrap_or(DisKind::Common),
        data: word(&p, "data_type", DisData::named)?.unwrap_or(DisData::Blob),
        schema: schema(&p)?,
        csv_delimiter: delimiter(&p)?,
        compression: compression(&p)?,
        retention_hours: hours(&p)?.unwrap_or(u32::try_from(USUAL_HOURS).unwrap_or(24)),
        auto_scale: AutoScale {
            enabled: p.bool("auto_scale_enabled").unwrap_or(false),
            least: count(&p, "auto_scale_min_partition_count")?.unwrap_or(0),
            most: count(&p, "auto_scale_max_partition_count")?.unwrap_or(0),
        },
        tags: tags(&p.objects("tags"))?,
        system_tags: tags(&p.objects("sys_tags"))?,
    };
    ask.control.create_dis_stream(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Ok(done(201))
}

/// A number of partitions.
///
/// # Errors
/// `DIS.4200`.
pub fn count(p: &Params<'_>, name: &str) -> Result<Option<u32>, Fault> {
    let Some(n) = p.i64(name) else { return Ok(None) };
    u32::try_from(n).map(Some).map_err(|_| invalid(format!("The parameter `{name}` must not be negative.")))
}

/// `data_duration`.
///
/// # Errors
/// `DIS.4200`.
pub fn hours(p: &Params<'_>) -> Result<Option<u32>, Fault> {
    count(p, "data_duration")
}

/// One of the product's words.
///
/// # Errors
/// `DIS.4200`.
pub fn word<T>(p: &Params<'_>, name: &str, named: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Fault> {
    let Some(text) = p.str(name).filter(|t| !t.is_empty()) else { return Ok(None) };
    let unknown = || invalid(format!("The parameter `{name}` has a value that is not known."));
    named(text).map(Some).ok_or_else(unknown)
}

/// `data_schema`: JSON, as Avro's schemas are.
///
/// # Errors
/// `DIS.4360`.
pub fn schema(p: &Params<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = p.str("data_schema").filter(|t| !t.is_empty()) else { return Ok(None) };
    let is_json = serde_json::from_str::<serde_json::Value>(text)
        .is_ok_and(|v| v.is_object() || v.is_array() || v.is_string());
    if text.len() > MAX_SCHEMA || !is_json {
        return Err(refuse("DIS.4360", "Invalid data schema."));
    }
    Ok(Some(text.to_owned()))
}

fn delimiter(p: &Params<'_>) -> Result<Option<String>, Fault> {
    let Some(csv) = p.object("csv_properties") else { return Ok(None) };
    let text = csv.str("delimiter").unwrap_or(",");
    if text.chars().count() > 8 {
        return Err(invalid("The parameter `csv_properties.delimiter` is too long."));
    }
    Ok(Some(text.to_owned()))
}

fn compression(p: &Params<'_>) -> Result<Option<String>, Fault> {
    let known = |word: &str| ["snappy", "gzip", "zip"].contains(&word).then(|| word.to_owned());
    word(p, "compression_format", known)
}

/// Tags of a request.
///
/// # Errors
/// `DIS.4601` too many; `DIS.4200`.
pub fn tags(given: &[Params<'_>]) -> Result<BTreeMap<String, String>, Fault> {
    if given.len() > MOST_TAGS {
        return Err(refuse("DIS.4601", "The number of resource tags has reached the maximum."));
    }
    given.iter().map(tag).collect()
}

/// One tag.
///
/// # Errors
/// `DIS.4200`.
pub fn tag(given: &Params<'_>) -> Result<(String, String), Fault> {
    let (key, value) = (given.text("key"), given.text("value"));
    let plain = |text: &str| !text.chars().any(|c| c.is_control() || "=*<>\\,|/".contains(c));
    if key.is_empty() || key.chars().count() > MAX_KEY || !plain(key) {
        return Err(invalid(format!("A tag's key has 1 to {MAX_KEY} characters, without = * < > \\ , | /.")));
    }
    if value.chars().count() > MAX_VALUE || !plain(value) {
        return Err(invalid(format!(
            "A tag's value has up to {MAX_VALUE} characters, without = * < > \\ , | /."
        )));
    }
    Ok((key.to_owned(), value.to_owned()))
}
