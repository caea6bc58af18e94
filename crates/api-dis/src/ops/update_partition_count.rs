//! `PUT /v2/{project_id}/streams/{stream_name}`: opens or closes partitions.

use super::create_stream::count;
use crate::request::Ask;
use api::{Field, Operation, Outcome, Params, Reply, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "UpdatePartitionCount",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("target_partition_count", Ty::Int).required(),
    ],
    response: &[],
    note: "Going down, the partitions with the largest numbers become DELETED: readable until their records are too old. They stay \
           in the topic. The product's pauses between two changes hold only where its limits are switched on.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let target = count(&p, "target_partition_count")?.unwrap_or(0);
    let name = ask.name("stream_name");
    ask.control.rescale_dis_stream(&ask.caller, name, target).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
