//! `GET /v2/{project_id}/cursors`: a place in a partition to read from.

use crate::fault::{invalid, no_partition, refuse};
use crate::records::cursor::Cursor;
use crate::records::partitions;
use crate::request::Ask;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::PartitionEnds;
use model::{DisStream, PartitionState};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowCursor",
    request: &[
        Field::new("stream-name", Ty::Str),
        Field::new("partition-id", Ty::Str).required(),
        Field::new("cursor-type", Ty::Str),
        Field::new("starting-sequence-number", Ty::Str),
        Field::new("timestamp", Ty::Int),
    ],
    response: &[Field::new("partition_cursor", Ty::Str)],
    note: "A cursor is good for five minutes. Older SDKs send `stream-id` instead of the name.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream-id"])?;
    let p = Params::unchecked(&given.fields, true);
    let name = match p.text("stream-name") {
        "" => given.extra("stream-id").unwrap_or_default(),
        name => name,
    };
    if name.is_empty() {
        return Err(invalid("The request does not have the required parameter `stream-name`."));
    }
    let partition = partitions::number(p.text("partition-id"))?;
    let stream = ask.running(name).await?;
    let ends = readable(ask, &stream, partition).await?;
    let offset = match p.str("cursor-type").filter(|t| !t.is_empty()).unwrap_or("AT_SEQUENCE_NUMBER") {
        "AT_SEQUENCE_NUMBER" => within(number(&p)?, ends)?,
        "AFTER_SEQUENCE_NUMBER" => {
            let read = number(&p)?;
            if read >= ends.next {
                return Err(out_of_range(read, ends));
            }
            within(read + 1, ends)?
        }
        "TRIM_HORIZON" => ends.first,
        "LATEST" => ends.next,
        "AT_TIMESTAMP" => {
            let ms = p.i64("timestamp").filter(|ms| *ms >= 0);
            let ms = ms.ok_or_else(|| invalid("AT_TIMESTAMP needs the parameter `timestamp`."))?;
            let found = ask.control.dis_at_time(&stream, partition, ms).await.map_err(|e| ask.fault(&e))?;
            found.unwrap_or(ends.next).max(ends.first)
        }
        other => {
            let shown: String = other.chars().take(64).collect();
            return Err(refuse("DIS.4215", format!("Invalid cursor type. {shown}")));
        }
    };
    let cursor = Cursor { stream: stream.id.0.clone(), partition, offset };
    Ok(Reply::from(json!({ "partition_cursor": cursor.write(ask.control) })))
}

/// First and next position of a partition that can be read.
///
/// # Errors
/// `DIS.4302` there is none, `DIS.4319` its records are gone.
pub async fn readable(ask: &Ask<'_>, s: &DisStream, partition: u32) -> Result<PartitionEnds, Fault> {
    let name = partitions::name(partition);
    let p = s.partition(partition).ok_or_else(|| no_partition(&name))?;
    if s.state_of(p, ask.now()) == PartitionState::Expired {
        return Err(refuse("DIS.4319", format!("Partition is expired. {name}")));
    }
    let ends = ask.control.dis_ends(s).await.map_err(|e| ask.fault(&e))?;
    let found = ends.into_iter().find(|e| u32::try_from(e.partition) == Ok(partition));
    found.ok_or_else(|| no_partition(&name))
}

fn number(p: &Params<'_>) -> Result<i64, Fault> {
    let text = p.text("starting-sequence-number");
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shown: String = text.chars().take(64).collect();
    let bad = || refuse("DIS.4216", format!("Invalid sequence_number. {shown}"));
    if digits { text.parse().map_err(|_| bad()) } else { Err(bad()) }
}

fn within(offset: i64, ends: PartitionEnds) -> Result<i64, Fault> {
    if offset < ends.first {
        return Err(expired(offset));
    }
    if offset > ends.next { Err(out_of_range(offset, ends)) } else { Ok(offset) }
}

fn out_of_range(offset: i64, ends: PartitionEnds) -> Fault {
    let words = format!("Sequence_number out of range. {offset} is not in [{} : {}]", ends.first, ends.next);
    refuse("DIS.4224", words)
}

/// The record is gone by age.
pub fn expired(offset: i64) -> Fault {
    refuse("DIS.4226", format!("The record of the sequence number {offset} is expired."))
}
