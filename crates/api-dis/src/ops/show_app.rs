//! `GET /v2/{project_id}/apps/{app_name}`: one application.

use crate::fault::refuse;
use crate::request::Ask;
use crate::tables::APP;
use api::{Field, Operation, Outcome, Reply, Ty};
use model::DisApp;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ShowApp",
    request: &[Field::new("app_name", Ty::Str).required()],
    response: APP,
    note: "",
};

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    ask.read(&OPERATION, &[])?;
    let name = ask.name("app_name");
    let all = ask.control.dis_apps(&ask.caller).await.map_err(|e| ask.fault(&e))?;
    let found = all.iter().find(|(app, _)| app.name == name);
    let (app, read) = found.ok_or_else(|| refuse("DIS.4332", "app not found."))?;
    Ok(Reply::from(view(app, read)))
}

/// An application, as shown.
pub fn view(app: &DisApp, read: &[String]) -> Value {
    json!({
        "app_name": app.name,
        "app_id": app.id,
        "create_time": app.created.0.div_euclid(1000),
        "commit_checkpoint_stream_names": read,
    })
}
