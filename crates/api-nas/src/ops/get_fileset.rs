//! `GetFileset`: one fileset, with times in that operation's own form.

use api::{Field, Operation, Outcome, Ty};
use serde_json::json;

use crate::family::Feature;
use crate::fields::{FILE_SYSTEM_ID, FILESET, FSET_ID};
use crate::request::Request;
use crate::translate;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "GetFileset",
    request: &[FILE_SYSTEM_ID, FSET_ID],
    response: &[Field::new("Data", Ty::Object(FILESET))],
    note: "Use is measured again when asked; times have the form `yyyy-MM-dd HH:mm:ss`.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    on.require(Feature::Filesets)?;
    let fileset = r.fileset(&on).await?;
    let fileset = r.measured(&fileset).await?;
    Ok(json!({"Data": translate::fileset(&fileset, translate::spaced_time)}).into())
}
