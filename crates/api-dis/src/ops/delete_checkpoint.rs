//! `DELETE /v2/{project_id}/checkpoints`: an application forgets how far it has read a stream.

use super::commit_checkpoint::{checkpoint_type, reader};
use super::done;
use crate::records::partitions;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Params, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteCheckpoint",
    request: &[
        Field::new("stream_name", Ty::Str),
        Field::new("app_name", Ty::Str).required(),
        Field::new("checkpoint_type", Ty::Str),
        Field::new("partition_id", Ty::Str),
    ],
    response: &[],
    note: "Without `partition_id` those of all partitions. What is not there is no error. Older SDKs send no `checkpoint_type`.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &["stream_id"])?;
    let p = Params::unchecked(&given.fields, true);
    checkpoint_type(&p)?;
    let partition = match p.text("partition_id") {
        "" => None,
        given => Some(partitions::number(given)?),
    };
    let (app, stream) = reader(ask, &given).await?;
    let gone = ask.control.delete_dis_checkpoints(&app, &stream, partition).await;
    gone.map_err(|e| ask.fault(&e))?;
    Ok(done(204))
}
