//! `FetchLatestDatahubMessageList`: the newest records of a partition, or so many from a position on.

use super::fetch_datahub_message_by_offset::{place, shown};
use crate::fault::{FAILED, refuse};
use crate::request::{Ask, ranged};
use crate::tables::RECORD;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "FetchLatestDatahubMessageList",
    request: &[
        Field::new("Name", Ty::Str).required(),
        Field::new("Partition", Ty::Int).required(),
        Field::new("Offset", Ty::Int),
        Field::new("MessageCount", Ty::Int),
    ],
    response: &[Field::new("Result", Ty::List(&Ty::Object(RECORD)))],
    note: "In order of position. MessageCount is 1 to 100, 20 where it is not given.",
};

/// Records where the request names no number.
const COUNT: u64 = 20;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let (topic, partition) = place(&p)?;
    let count = ranged(&p, "MessageCount", (1, 100), FAILED)?.unwrap_or(COUNT);
    let offset = p.i64("Offset");
    if offset.is_some_and(|n| n < 0) {
        return Err(refuse(FAILED, "The parameter `Offset` may not be negative."));
    }
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let found = ask
        .control
        .fetch_latest(&ask.caller, topic, partition, offset, count)
        .await
        .map_err(|e| ask.fault(&e))?;
    let list: Vec<Value> = found.iter().map(|r| shown(topic, r)).collect();
    Ok(Reply::from(json!({ "Result": list })))
}
