//! `SetFilesetQuota`: limits of a fileset, above its present use.

use api::{Field, Operation, Outcome, Ty};
use control::FilesetChange;
use model::Quota;

use crate::family::{Cpfs, Feature};
use crate::fields::{CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID, FSET_ID};
use crate::request::Request;
use crate::{fault, rules};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "SetFilesetQuota",
    request: &[
        FILE_SYSTEM_ID,
        FSET_ID,
        Field::new("SizeLimit", Ty::Int),
        Field::new("FileCountLimit", Ty::Int),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[],
    note: "CPFS for Lingjun only. At least one limit, above the use as it was last counted; one that is not given \
           stays as it is. This server's tasks are held to the limits, from the next task on; others who write \
           into the directory are not.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(None, Box::pin(async {
        let on = r.file_system().await?;
        lingjun_quota(&on)?;
        let fileset = r.fileset(&on).await?;
        let (size, files) = (r.p.i64("SizeLimit"), r.p.i64("FileCountLimit"));
        if size.is_none() && files.is_none() {
            return Err(fault::missing("SizeLimit"));
        }
        let new = rules::quota(size, files)?;
        let used = r.measured(&fileset).await?;
        if new.size_limit.is_some_and(|n| n <= used.space_used) {
            return Err(fault::invalid("SizeLimit", "it must exceed the space in use"));
        }
        if new.file_count_limit.is_some_and(|n| n <= used.files_used) {
            return Err(fault::invalid("FileCountLimit", "it must exceed the number of files"));
        }
        let old = used.quota.unwrap_or_default();
        let quota = Quota {
            size_limit: new.size_limit.or(old.size_limit),
            file_count_limit: new.file_count_limit.or(old.file_count_limit),
        };
        if !r.dry_run() {
            let change = FilesetChange { quota: Some(Some(quota)), ..Default::default() };
            r.control().update_fileset(&r.caller, &fileset.id, change).await.map_err(|e| fault::of(&e))?;
        }
        Ok(String::new())
    }))
    .await
}

/// Refuses file systems whose filesets have no quotas.
///
/// # Errors
/// `InvalidFilesystemType.NotSupport`, `InvalidFilesystemVersion.NotSupport`.
pub fn lingjun_quota(on: &Cpfs) -> Result<(), api::Fault> {
    if !on.is_lingjun() {
        return Err(fault::type_not_supported());
    }
    on.require(Feature::Filesets)
}
