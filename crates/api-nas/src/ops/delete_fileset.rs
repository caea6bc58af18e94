//! `DeleteFileset`: in the product it destroys the fileset's files.
//!
//! Here an empty fileset is deleted, and one with files only where the operator allows destruction on
//! the file system (`allow_destroy`); otherwise the answer is the vendor's state error.

use api::{Operation, Outcome};
use model::{Door, FilesetStatus};

use crate::family::{Cpfs, Feature};
use crate::fault;
use crate::fields::{CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID, FSET_ID};
use crate::request::Request;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DeleteFileset",
    request: &[FILE_SYSTEM_ID, FSET_ID, CLIENT_TOKEN, DRY_RUN],
    response: &[],
    note: "A fileset that holds files is refused (OperationDenied.InvalidState) unless the file system's \
           configuration has `allow_destroy`; a large one stays RELEASING until its last file is gone. One that a \
           data flow uses is refused (OperationDenied.DependencyViolation).",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        on.require(Feature::Filesets)?;
        let fileset = r.fileset(&on).await?;
        if fileset.deletion_protection {
            return Err(fault::deletion_protection());
        }
        let all = r.control().filesets(&r.caller, &on.fs.id).await.map_err(|e| fault::of(&e))?;
        // One whose removal was interrupted may be deleted again.
        if all.iter().any(|f| f.status != FilesetStatus::Created && f.id != fileset.id) {
            return Err(fault::state("every fileset of the file system must be CREATED"));
        }
        let bound = control::FlowFilter {
            door: Some(Door::Nas),
            file_system: Some(on.fs.id.clone()),
            fileset: vec![fileset.id.clone()],
            ..Default::default()
        };
        let (_, flows) = r.control().flows(&r.caller, &bound, first()).await.map_err(|e| fault::of(&e))?;
        if flows > 0 {
            return Err(fault::dependency("a data flow uses the fileset"));
        }
        let shared = r.control().refuse_shared(&on.fs, &fileset.path).await;
        shared.map_err(|e| fault::of(&e))?;
        if !on.fs.allow_destroy && holds_files(r, &on, &fileset.path).await? {
            return Err(fault::state(
                "the fileset holds files and the file system is not configured to allow their destruction",
            ));
        }
        if !r.dry_run() {
            let done = r.control().delete_fileset(&r.caller, &on.fs.id, &fileset.id).await;
            done.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}

fn first() -> control::Page {
    control::Page { offset: 0, limit: 1, newest_first: true }
}

async fn holds_files(r: &Request<'_>, on: &Cpfs, path: &str) -> Result<bool, api::Fault> {
    Ok(r.directory_there(on, "FsetId", path).await? && !r.directory_empty(on, "FsetId", path).await?)
}
