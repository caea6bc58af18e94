//! `FetchDatahubMessageByOffset`: the record at a position.

use crate::fault::{FAILED, refuse};
use crate::request::Ask;
use crate::tables::RECORD;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::FetchedRecord;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "FetchDatahubMessageByOffset",
    request: &[
        Field::new("Name", Ty::Str).required(),
        Field::new("Partition", Ty::Int).required(),
        Field::new("Offset", Ty::Int).required(),
    ],
    response: &[Field::new("Result", Ty::Object(RECORD))],
    note: "Key and Value are text: bytes that are no UTF-8 are replaced. Headers is a JSON list of keys and values, null \
           without headers. All refusals are FailedOperation: the product documents nothing else.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let (topic, partition) = place(&p)?;
    let offset = p.i64("Offset").filter(|n| *n >= 0);
    let offset = offset.ok_or_else(|| refuse(FAILED, "The parameter `Offset` may not be negative."))?;
    let found =
        ask.control.fetch_record(&ask.caller, topic, partition, offset).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({ "Result": shown(topic, &found) })))
}

/// `Name` and `Partition`.
///
/// # Errors
/// `FailedOperation`.
pub fn place<'p>(p: &Params<'p>) -> Result<(&'p str, i32), Fault> {
    let topic = p.text("Name");
    if topic.is_empty() || topic.len() > 249 {
        return Err(refuse(FAILED, "The parameter `Name` must have 1 to 249 characters."));
    }
    let partition = p.i64("Partition").and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0);
    let partition = partition.ok_or_else(|| refuse(FAILED, "The parameter `Partition` is out of range."))?;
    Ok((topic, partition))
}

/// A `ConsumerRecord`.
#[must_use]
pub fn shown(topic: &str, r: &FetchedRecord) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|b| String::from_utf8_lossy(b).into_owned());
    let headers: Vec<Value> = r
        .headers
        .iter()
        .map(|(key, value)| json!({"Key": String::from_utf8_lossy(key), "Value": text(value)}))
        .collect();
    let headers = (!headers.is_empty()).then(|| Value::from(headers).to_string());
    json!({"Topic": topic, "Partition": r.partition, "Offset": r.offset, "Key": text(&r.key),
        "Value": text(&r.value), "Timestamp": r.timestamp_ms, "Headers": headers})
}
