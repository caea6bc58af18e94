//! `POST /v2/{project_id}/checkpoints`: an application says how far it has read a partition.

use super::done;
use super::show_cursor::readable;
use crate::fault::{invalid, refuse};
use crate::records::partitions;
use crate::request::{Ask, Given};
use api::{Fault, Field, Operation, Outcome, Params, Ty};
use model::{DisApp, DisCheckpoint, DisStream};
use std::sync::Arc;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CommitCheckpoint",
    request: &[
        Field::new("app_name", Ty::Str).required(),
        Field::new("checkpoint_type", Ty::Str).required(),
        Field::new("stream_name", Ty::Str),
        Field::new("partition_id", Ty::Str).required(),
        Field::new("sequence_number", Ty::Str).required(),
        Field::new("metadata", Ty::Str),
    ],
    response: &[],
    note: "The sequence number must be in the partition's range. It may also go back. Older SDKs send `stream_id` instead of the name.",
};

/// Characters of metadata at most.
const MAX_METADATA: usize = 1000;

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream_id"])?;
    let p = Params::unchecked(&given.fields, true);
    checkpoint_type(&p)?;
    let (app, stream) = reader(ask, &given).await?;
    let text = p.text("sequence_number");
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shown: String = text.chars().take(64).collect();
    let sequence: Option<i64> = text.parse().ok().filter(|_| digits);
    let sequence = sequence.ok_or_else(|| refuse("DIS.4216", format!("Invalid sequence_number. {shown}")))?;
    let metadata = p.text("metadata").to_owned();
    if metadata.chars().count() > MAX_METADATA {
        return Err(invalid(format!("The parameter `metadata` has more than {MAX_METADATA} characters.")));
    }
    let partition = partitions::number(p.text("partition_id"))?;
    let ends = readable(ask, &stream, partition).await?;
    if !(ends.first..=ends.next).contains(&sequence) {
        let words =
            format!("Sequence_number out of range. {sequence} is not in [{} : {}]", ends.first, ends.next);
        return Err(refuse("DIS.4224", words));
    }
    let at = DisCheckpoint { partition, sequence, metadata };
    ask.control.commit_dis_checkpoint(&app, &stream, &at).await.map_err(|e| ask.fault(&e))?;
    Ok(done(201))
}

/// There is one type.
///
/// # Errors
/// `DIS.4200`.
pub fn checkpoint_type(p: &Params<'_>) -> Result<(), Fault> {
    match p.str("checkpoint_type") {
        None | Some("LAST_READ") => Ok(()),
        Some(_) => Err(invalid("The parameter `checkpoint_type` must be LAST_READ.")),
    }
}

/// The application and the stream that a request names, the stream by its name or by what older SDKs send.
///
/// # Errors
/// `DIS.4332`, `DIS.4301`, `DIS.4200`.
pub async fn reader(ask: &Ask<'_>, given: &Given) -> Result<(DisApp, Arc<DisStream>), Fault> {
    let p = Params::unchecked(&given.fields, true);
    let name = match p.text("stream_name") {
        "" => given.extra("stream_id").unwrap_or_default(),
        name => name,
    };
    if name.is_empty() {
        return Err(invalid("The request does not have the required parameter `stream_name`."));
    }
    let app = ask.control.dis_app(&ask.caller, p.text("app_name")).await.map_err(|e| ask.fault(&e))?;
    Ok((app, ask.running(name).await?))
}
