//! `GET /v2/{project_id}/checkpoints`: how far an application has read a partition.

use super::commit_checkpoint::{checkpoint_type, reader};
use crate::fault::{no_partition, refuse};
use crate::records::partitions;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowCheckpoint",
    request: &[
        Field::new("stream_name", Ty::Str),
        Field::new("partition_id", Ty::Str).required(),
        Field::new("app_name", Ty::Str).required(),
        Field::new("checkpoint_type", Ty::Str).required(),
    ],
    response: &[Field::new("sequence_number", Ty::Str), Field::new("metadata", Ty::Str)],
    note: "A partition without a checkpoint is answered with DIS.4375. Older SDKs send `stream_id` instead of the name.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream_id"])?;
    let p = Params::unchecked(&given.fields, true);
    checkpoint_type(&p)?;
    let partition = partitions::number(p.text("partition_id"))?;
    let (app, stream) = reader(ask, &given).await?;
    if stream.partition(partition).is_none() {
        return Err(no_partition(&partitions::name(partition)));
    }
    let all = ask.control.dis_checkpoints(&app, &stream).await.map_err(|e| ask.fault(&e))?;
    let found = all.into_iter().find(|c| c.partition == partition);
    let at = found.ok_or_else(|| refuse("DIS.4375", "The app does not commit checkpoint"))?;
    Ok(Reply::from(json!({ "sequence_number": at.sequence.to_string(), "metadata": at.metadata })))
}
