//! `GET /v2/{project_id}/streams/{stream_name}/metrics`: what happened in each minute.

use crate::fault::refuse;
use crate::request::Ask;
use crate::tables::METRICS;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use model::DisCounts;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowStreamMetrics",
    request: &[
        Field::new("stream_name", Ty::Str).required(),
        Field::new("label", Ty::Str),
        Field::new("label_list", Ty::Str),
        Field::new("start_time", Ty::Int).required(),
        Field::new("end_time", Ty::Int).required(),
    ],
    response: &[
        Field::new("metrics", Ty::Object(METRICS)),
        Field::new("metrics_list", Ty::List(&Ty::Object(METRICS))),
    ],
    note: "One point for each minute that had anything, a week back. Latencies are the minute's mean in milliseconds. \
           `label_list` goes before `label`. A crash may lose the last minute's sums.",
};

/// Longest time that is answered, in seconds.
const LONGEST_S: i64 = 7 * 24 * 3600;
/// Labels of a list at most.
const MOST_LABELS: usize = 20;

/// What a label takes of a minute's sums.
pub type Take = fn(&DisCounts) -> u64;

const LABELS: &[(&str, Take)] = &[
    ("total_put_bytes_per_stream", |c| c.put_bytes),
    ("total_get_bytes_per_stream", |c| c.get_bytes),
    ("total_put_records_per_stream", |c| c.put_records),
    ("total_get_records_per_stream", |c| c.get_records),
    ("total_put_req_latency", |c| mean_ms(c.put_us, c.puts)),
    ("total_get_req_latency", |c| mean_ms(c.get_us, c.gets)),
    ("total_put_req_suc_per_stream", |c| c.puts),
    ("total_get_req_suc_per_stream", |c| c.gets),
    ("traffic_control_put", |c| c.put_refused),
    ("traffic_control_get", |c| c.get_refused),
];

fn mean_ms(us: u64, n: u64) -> u64 {
    us.div_ceil(n.max(1)).div_ceil(1000)
}

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let minutes = minutes(&p)?;
    let labels = labels(&p, LABELS)?;
    let s = ask.stream(p.text("stream_name")).await?;
    let found = ask.control.dis_minutes(&s, None, minutes).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(shown(&p, &labels, &found)))
}

/// The minutes that are asked for.
///
/// # Errors
/// `DIS.4203`, `DIS.4204`.
pub fn minutes(p: &Params<'_>) -> Result<(i64, i64), Fault> {
    let time = |name: &str| p.i64(name).filter(|t| (0..10_000_000_000).contains(t));
    let (Some(start), Some(end)) = (time("start_time"), time("end_time")) else {
        return Err(refuse("DIS.4203", "Invalid monitoring period. Times have ten digits, in seconds."));
    };
    if start > end {
        return Err(refuse("DIS.4203", "Invalid monitoring period. It ends before it begins."));
    }
    if end - start > LONGEST_S {
        return Err(refuse("DIS.4204", "The monitoring period cannot be longer than 7 days."));
    }
    Ok((start.div_euclid(60), end.div_euclid(60)))
}

/// The labels that are asked for.
///
/// # Errors
/// `DIS.4209`.
pub fn labels(p: &Params<'_>, known: &[(&'static str, Take)]) -> Result<Vec<(&'static str, Take)>, Fault> {
    let list = match p.text("label_list") {
        "" => p.text("label"),
        list => list,
    };
    let one = |name: &str| {
        let shown: String = name.chars().take(64).collect();
        let found = known.iter().find(|(label, _)| *label == name.trim()).copied();
        found.ok_or_else(|| refuse("DIS.4209", format!("Invalid metrics label. {shown}")))
    };
    list.split(',').take(MOST_LABELS).map(one).collect()
}

/// Sums, as shown: a list where a list was asked for.
pub fn shown(p: &Params<'_>, labels: &[(&'static str, Take)], found: &[(i64, DisCounts)]) -> Value {
    let one = |(label, take): &(&'static str, Take)| {
        let point =
            |(minute, counts): &(i64, DisCounts)| json!({ "timestamp": minute * 60, "value": take(counts) });
        json!({ "label": label, "dataPoints": found.iter().map(point).collect::<Vec<_>>() })
    };
    if p.text("label_list").is_empty() {
        return json!({ "metrics": labels.first().map(one) });
    }
    json!({ "metrics_list": labels.iter().map(one).collect::<Vec<_>>() })
}
