//! `CreateFileset`: gives a directory a name and limits of its own.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::NewFileset;
use model::{FilesetId, Quota};

use super::set_fileset_quota::lingjun_quota;
use crate::family::{Cpfs, Feature};
use crate::fields::{CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::Request;
use crate::{fault, rules, translate};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CreateFileset",
    request: &[
        FILE_SYSTEM_ID,
        Field::new("FileSystemPath", Ty::Str).required(),
        Field::new("Description", Ty::Str),
        Field::new("DeletionProtection", Ty::Bool),
        Field::new(
            "Quota",
            Ty::Object(&[
                Field::new("FileCountLimit", Ty::Int),
                Field::new("SizeLimit", Ty::Int),
            ]),
        ),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[Field::new("FsetId", Ty::Str)],
    note: "The directory is made when it is missing; its parent must exist. Filesets do not nest. On CPFS for \
           Lingjun the directory must be new, and only there a quota may be given; this server's tasks are held to \
           it, others who write into the directory are not.",
};

/// Deepest fileset, with the root at 0.
const MOST_DEPTH: usize = 8;

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(Some("FsetId"), Box::pin(async {
        let on = r.file_system().await?;
        on.require(Feature::Filesets)?;
        let path = r.required("FileSystemPath")?;
        path_rules(&on, path)?;
        let description = r.given("Description");
        description.map_or(Ok(()), rules::description)?;
        let quota = quota(r, &on)?;
        free_place(r, &on, path).await?;
        let id = translate::fileset_id(r.control().random());
        if !r.dry_run() {
            let new = NewFileset {
                id: FilesetId(id.clone()),
                file_system: on.fs.id.clone(),
                path: path.to_owned(),
                description: description.unwrap_or_default().to_owned(),
                deletion_protection: r.p.bool("DeletionProtection").unwrap_or(false),
                quota,
            };
            r.control().create_fileset(&r.caller, new).await.map_err(|e| fault::of(&e))?;
        }
        Ok(id)
    }))
    .await
}

fn path_rules(on: &Cpfs, path: &str) -> Result<(), Fault> {
    let most = if on.is_lingjun() { 990 } else { 1024 };
    rules::directory("FileSystemPath", path, 2, most)?;
    if path.matches('/').count() - 1 > MOST_DEPTH {
        return Err(fault::invalid(
            "FileSystemPath",
            format_args!("it must not be deeper than {MOST_DEPTH} levels"),
        ));
    }
    Ok(())
}

fn quota(r: &Request<'_>, on: &Cpfs) -> Result<Option<Quota>, Fault> {
    let Some(q) = r.p.object("Quota") else { return Ok(None) };
    lingjun_quota(on)?;
    let quota = rules::quota(q.i64("SizeLimit"), q.i64("FileCountLimit"))?;
    Ok((quota != Quota::default()).then_some(quota))
}

/// Not inside or around another fileset, the parent is there, and on Lingjun nothing is there yet.
async fn free_place(r: &Request<'_>, on: &Cpfs, path: &str) -> Result<(), Fault> {
    let all = r.control().filesets(&r.caller, &on.fs.id).await.map_err(|e| fault::of(&e))?;
    if all.iter().any(|f| f.path.starts_with(path) || path.starts_with(&f.path)) {
        return Err(fault::dependency("the path is, is inside or holds another fileset"));
    }
    let trimmed = path.trim_end_matches('/');
    let parent = trimmed.get(..=trimmed.rfind('/').unwrap_or(0)).unwrap_or("/");
    if !r.directory_there(on, "FileSystemPath", parent).await? {
        return Err(fault::not_found("FileSystemPath", "parent directory"));
    }
    if on.is_lingjun() && r.directory_there(on, "FileSystemPath", path).await? {
        return Err(fault::dependency("the directory exists already"));
    }
    Ok(())
}
