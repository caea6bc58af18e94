//! `PUT /v3/{project_id}/streams/{stream_name}`, with the Java SDK `PUT /v2/…/streams/{stream_name}/update`.

use super::create_stream::{count, hours, schema, word};
use crate::request::Ask;
use crate::tables::FOR_DUMPS;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use control::DisChange;
use model::DisData;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "UpdateStream",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("data_duration", Ty::Int),
        Field::new("data_type", Ty::Str).stored(FOR_DUMPS),
        Field::new("data_schema", Ty::Str).stored(FOR_DUMPS),
        Field::new("auto_scale_enabled", Ty::Bool),
        Field::new("auto_scale_min_partition_count", Ty::Int),
        Field::new("auto_scale_max_partition_count", Ty::Int),
    ],
    response: &[],
    note: "",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let change = DisChange {
        data: word(&p, "data_type", DisData::named)?,
        schema: schema(&p)?,
        retention_hours: hours(&p)?,
        auto_scale: (
            p.bool("auto_scale_enabled"),
            count(&p, "auto_scale_min_partition_count")?,
            count(&p, "auto_scale_max_partition_count")?,
        ),
    };
    let name = ask.name("stream_name");
    ask.control.change_dis_stream(&ask.caller, name, change).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::empty())
}
