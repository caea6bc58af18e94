//! `POST /v2/{project_id}/records`: records into a stream, as JSON or protobuf.

use crate::fault::{empty_request, invalid};
use crate::records::put::{Placed, Read};
use crate::records::{inflate, json, proto};
use crate::request::Ask;
use api::{Field, Operation, Outcome, Reply, Ty};
use control::{DisRefusal, ErrorKind};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "SendRecords",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("stream_id", Ty::Str),
        Field::new("records", Ty::List(&Ty::Object(ENTRY))).required(),
    ],
    response: &[
        Field::new("failed_record_count", Ty::Int),
        Field::new("records", Ty::List(&Ty::Object(PLACED))),
    ],
    note: "Up to 10,000 records (the older SDKs send a thousand for each partition) of up to 1 MiB; 8 MiB altogether. JSON, or protobuf as the older SDKs send it; `Content-Encoding` lz4, \
           snappy or zstd. The records of one partition are one batch of its topic, and what is answered is in the log. A record \
           that is not taken says so by itself. `stream_id` counts where there is no stream of the name.",
};

const ENTRY: &[Field] = &[
    Field::new("data", Ty::Str).required(),
    Field::new("explicit_hash_key", Ty::Str),
    Field::new("partition_id", Ty::Str),
    Field::new("partition_key", Ty::Str),
];

const PLACED: &[Field] = &[
    Field::new("partition_id", Ty::Str),
    Field::new("sequence_number", Ty::Str),
    Field::new("error_code", Ty::Str),
    Field::new("error_message", Ty::Str),
];

/// What answers in protobuf are.
pub const PROTOBUF: &str = "application/x-protobuf;charset=utf-8";

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let call = ask.call;
    if call.body.is_empty() {
        return Err(empty_request());
    }
    let size = inflate::size(&call.headers, &call.body).map_err(invalid)?;
    let _lease = ask.memory.to_put(size).await?;
    let body = inflate::inflate(&call.headers, &call.body, size).map_err(invalid)?;
    let is_proto = speaks_proto(ask);
    let put = if is_proto { proto::read(&body) } else { json::read(&body) }.map_err(invalid)?;
    if put.records.is_empty() {
        return Err(empty_request());
    }
    let stream = match ask.control.running_dis_stream(&ask.caller, &put.stream_name).await {
        Err(e) if matches!(e.kind, ErrorKind::NotFound(_)) && !put.stream_id.is_empty() => {
            ask.running(&put.stream_id).await?
        }
        found => found.map_err(|e| ask.fault(&e))?,
    };
    let mut out: Vec<Placed> = vec![Err(DisRefusal::NoPartition); put.records.len()];
    let (mut records, mut places) = (Vec::with_capacity(out.len()), Vec::with_capacity(out.len()));
    for (i, entry) in put.records.into_iter().enumerate() {
        if let Read::Record(record) = entry.read().map_err(invalid)? {
            records.push(record);
            places.push(i);
        }
    }
    let placed = ask.control.dis_put(&stream, records).await;
    for (i, placed) in places.into_iter().zip(placed) {
        out[i] = placed;
    }
    Ok(match is_proto {
        true => Reply::Rest { status: 200, content_type: PROTOBUF, body: proto::placed(&out).into() },
        false => Reply::Raw(json::placed(&out)),
    })
}

/// Is the request's content type protobuf? Then so is the answer's.
pub fn speaks_proto(ask: &Ask<'_>) -> bool {
    let kind = ask.call.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().contains("protobuf")
}
