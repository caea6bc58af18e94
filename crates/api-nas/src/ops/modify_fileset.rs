//! `ModifyFileset`: words and deletion protection.

use api::{Field, Operation, Outcome, Ty};
use control::FilesetChange;

use crate::family::Feature;
use crate::fields::{CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID, FSET_ID};
use crate::request::Request;
use crate::{fault, rules};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "ModifyFileset",
    request: &[
        FILE_SYSTEM_ID,
        FSET_ID,
        Field::new("Description", Ty::Str),
        Field::new("DeletionProtection", Ty::Bool),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.require(Feature::Filesets)?;
        let fileset = r.fileset(&on).await?;
        let description = r.given("Description");
        description.map_or(Ok(()), rules::description)?;
        let change = FilesetChange {
            description: description.map(str::to_owned),
            deletion_protection: r.p.bool("DeletionProtection"),
            quota: None,
        };
        if !r.dry_run() {
            r.control().update_fileset(&r.caller, &fileset.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}
