//! `GET /v2/{project_id}/streams/{stream_name}/partitions/{partition_id}/metrics`: the same of one partition.

use super::show_stream_metrics::{Take, labels, minutes, shown};
use crate::fault::no_partition;
use crate::records::partitions;
use crate::request::Ask;
use crate::tables::METRICS;
use api::{Field, Operation, Outcome, Params, Reply, Ty};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowPartitionMetrics",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("partition_id", Ty::Str).required(),
        Field::new("label", Ty::Str),
        Field::new("label_list", Ty::Str),
        Field::new("start_time", Ty::Int).required(),
        Field::new("end_time", Ty::Int).required(),
    ],
    response: &[Field::new("metrics", Ty::Object(METRICS))],
    note: "With `label_list` the answer has a `metrics_list`, as for a stream.",
};

const LABELS: &[(&str, Take)] = &[
    ("total_put_bytes_per_partition", |c| c.put_bytes),
    ("total_get_bytes_per_partition", |c| c.get_bytes),
    ("total_put_records_per_partition", |c| c.put_records),
    ("total_get_records_per_partition", |c| c.get_records),
];

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let minutes = minutes(&p)?;
    let labels = labels(&p, LABELS)?;
    let partition = partitions::number(p.text("partition_id"))?;
    let s = ask.stream(p.text("stream_name")).await?;
    if s.partition(partition).is_none() {
        return Err(no_partition(&partitions::name(partition)));
    }
    let found = ask.control.dis_minutes(&s, Some(partition), minutes).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(shown(&p, &labels, &found)))
}
