//! `GET /v2/{project_id}/records`: records from a cursor on, as JSON or protobuf.

use super::send_records::{PROTOBUF, speaks_proto};
use super::show_cursor::expired;
use crate::fault::{invalid, refuse};
use crate::memory::held;
use crate::records::cursor::Cursor;
use crate::records::{json, partitions, proto};
use crate::request::Ask;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use control::ErrorKind;
use model::{DisStatus, PartitionState};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ConsumeRecords",
    request: &[Field::new("partition-cursor", Ty::Str).required(), Field::new("max_fetch_bytes", Ty::Int)],
    response: &[
        Field::new("records", Ty::List(&Ty::Object(RECORD))),
        Field::new("next_partition_cursor", Ty::Str),
    ],
    note: "1 MiB where `max_fetch_bytes` does not say otherwise, 10 MiB at most. Records come whole: one that is larger than \
           `max_fetch_bytes` is never got, as with the product. Older SDKs send `limit`, a number of records.",
};

const RECORD: &[Field] = &[
    Field::new("partition_key", Ty::Str),
    Field::new("sequence_number", Ty::Str),
    Field::new("data", Ty::Str),
    Field::new("timestamp", Ty::Int),
    Field::new("timestamp_type", Ty::Str),
];

/// Bytes of an answer where nothing is said, and at most.
const USUAL_BYTES: usize = 1 << 20;
const MOST_BYTES: usize = 10 << 20;
/// Records of an answer at most.
const MOST_RECORDS: usize = 10_000;

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["limit"])?;
    let p = Params::unchecked(&given.fields, true);
    let cursor = Cursor::read(p.text("partition-cursor"), ask.control)?;
    let bytes = match p.i64("max_fetch_bytes") {
        None => USUAL_BYTES,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| invalid("The parameter `max_fetch_bytes` must be positive."))?
            .min(MOST_BYTES),
    };
    let records = match given.extra("limit") {
        None => MOST_RECORDS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=MOST_RECORDS).contains(n))
            .ok_or_else(|| invalid("The parameter `limit` must be between 1 and 10000."))?,
    };
    let found = ask.control.dis_stream_by_id(&ask.caller, &cursor.stream).await;
    let stream = found.map_err(|e| ask.fault(&e))?;
    if stream.status != DisStatus::Running {
        return Err(refuse("DIS.4205", "Stream is not running."));
    }
    let state = stream.partition(cursor.partition).map(|p| stream.state_of(p, ask.now()));
    if state == Some(PartitionState::Expired) {
        let name = partitions::name(cursor.partition);
        return Err(refuse("DIS.4319", format!("Partition is expired. {name}")));
    }
    // A read gives one batch at least.
    let lease = ask.memory.to_get(bytes.max(USUAL_BYTES)).await?;
    let got = ask.control.dis_get(&stream, cursor.partition, cursor.offset, (bytes, records)).await;
    let piece = got.map_err(|e| match e.kind {
        ErrorKind::BadPath => expired(cursor.offset),
        _ => ask.fault(&e),
    })?;
    let next = Cursor { offset: piece.next, ..cursor }.write(ask.control);
    let (content_type, body) = match speaks_proto(ask) {
        true => (PROTOBUF, proto::got(&piece, &next)),
        false => ("application/json", json::got(&piece, &next)),
    };
    Ok(Reply::Rest { status: 200, content_type, body: held(body, lease) })
}
