//! `GetFileset`: one fileset, with times in that operation's own form.

use api::{Field, Operation, Outcome, Reply, Ty};
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
    note: "Use is counted anew when the last count is old and a new one takes no longer than 2 s, else it is the \
           last count's (the product's lags about 15 min). The answer's header `x-wharf-usage-counted` says when \
           that was. A fileset that is counted for the first time and takes longer is OperationDenied.InvalidState \
           until then. Times have the form `yyyy-MM-dd HH:mm:ss`.",
};

/// Header of ours with the time of the count: the vendor's model has no field for it.
const USAGE_COUNTED: &str = "x-wharf-usage-counted";

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    on.require(Feature::Filesets)?;
    let fileset = r.fileset(&on).await?;
    let fileset = r.measured(&fileset).await?;
    let reply: Reply = json!({"Data": translate::fileset(&fileset, translate::spaced_time)}).into();
    Ok(match fileset.counted {
        Some(at) => reply.with_header(USAGE_COUNTED, translate::time(at)),
        None => reply,
    })
}
