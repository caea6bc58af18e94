//! `DELETE /v2/{project_id}/streams/{stream_name}`: a stream goes with its records.

use super::done;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DeleteStream",
    request: &[Field::new("stream_name", Ty::Str).required()],
    response: &[],
    note: "The topic is deleted with everything in it, and the checkpoints of the stream go too.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    ask.read(&OPERATION, &[])?;
    let name = ask.name("stream_name");
    ask.control.delete_dis_stream(&ask.caller, name).await.map_err(|e| ask.fault(&e))?;
    Ok(done(204))
}
