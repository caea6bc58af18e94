//! `CancelFilesetQuota`: takes a fileset's limits away.

use api::{Operation, Outcome};
use control::FilesetChange;

use super::set_fileset_quota::lingjun_quota;
use crate::fault;
use crate::fields::{CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID, FSET_ID};
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CancelFilesetQuota",
    request: &[FILE_SYSTEM_ID, FSET_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "CPFS for Lingjun only.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        lingjun_quota(&on)?;
        let fileset = r.fileset(&on).await?;
        if !r.dry_run() {
            let change = FilesetChange { quota: Some(None), ..Default::default() };
            r.control().update_fileset(&r.caller, &fileset.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
