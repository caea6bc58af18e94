//! `GET /v2/{project_id}/apps`: the account's applications by name.

use super::show_app::view;
use crate::request::{Ask, limit};
use crate::tables::APP;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ListApp",
    request: &[
        Field::new("limit", Ty::Int),
        Field::new("start_app_name", Ty::Str),
        Field::new("stream_name", Ty::Str),
    ],
    response: &[
        Field::new("has_more_app", Ty::Bool),
        Field::new("apps", Ty::List(&Ty::Object(APP))),
        Field::new("total_number", Ty::Int),
    ],
    note: "`start_app_name` itself is not in the answer. With `stream_name` only applications that have checkpoints of it.",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let limit = limit(p.i64("limit"), 10, 100)?;
    let (start, stream) = (p.text("start_app_name"), p.text("stream_name"));
    let mut all = ask.control.dis_apps(&ask.caller).await.map_err(|e| ask.fault(&e))?;
    if !stream.is_empty() {
        let stream = ask.stream(stream).await?;
        all.retain(|(_, read)| read.contains(&stream.name));
    }
    let rest: Vec<_> = all.iter().filter(|(a, _)| start.is_empty() || a.name.as_str() > start).collect();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    Ok(Reply::from(json!({
        "has_more_app": rest.len() > page.len(),
        "apps": page.iter().map(|(app, read)| view(app, read)).collect::<Vec<_>>(),
        "total_number": all.len(),
    })))
}
