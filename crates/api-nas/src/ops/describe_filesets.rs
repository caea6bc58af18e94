//! `DescribeFilesets`: the filesets of a file system, filtered, ordered, in pages.

use api::{Fault, Field, Operation, Outcome, Ty};
use model::Fileset;
use serde_json::{Value, json};

use crate::family::Feature;
use crate::fields::{FILE_SYSTEM_ID, FILESET, FILTERS, MAX_RESULTS, NEXT_TOKEN};
use crate::filters::{Filters, any, like, wrong};
use crate::paging::Paging;
use crate::request::Request;
use crate::{fault, translate};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DescribeFilesets",
    request: &[
        FILE_SYSTEM_ID,
        FILTERS,
        MAX_RESULTS,
        NEXT_TOKEN,
        Field::new("OrderByField", Ty::Str),
        Field::new("SortOrder", Ty::Str),
    ],
    response: &[
        Field::new(
            "Entries",
            Ty::Object(&[Field::new("Entrie", Ty::List(&Ty::Object(FILESET)))]),
        ),
        Field::new("FileSystemId", Ty::Str),
        NEXT_TOKEN,
    ],
    note: "Use is as last counted; GetFileset counts again. A fileset that was never counted shows 0.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    on.require(Feature::Filesets)?;
    let filters = Filters::read(&r.p, &["FsetIds", "FileSystemPath", "Description", "QuotaExists"])?;
    let page = Paging::read(r, 10)?;
    let order = order(r)?;
    let all = r.control().filesets(&r.caller, &on.fs.id).await.map_err(|e| fault::of(&e))?;
    let mut kept = keep(all, &filters)?;
    if let Some((key, descending)) = order {
        kept.sort_by_key(key);
        if descending {
            kept.reverse();
        }
    }
    let (kept, next) = page.cut(kept);
    let entries: Vec<Value> = kept.iter().map(|f| translate::fileset(f, translate::time)).collect();
    Ok(json!({"Entries": {"Entrie": entries}, "FileSystemId": on.fs.id.as_str(), "NextToken": next}).into())
}

fn keep(mut all: Vec<Fileset>, filters: &Filters<'_>) -> Result<Vec<Fileset>, Fault> {
    let ids = filters.list("FsetIds")?;
    let with_quota = match filters.text("QuotaExists") {
        None => None,
        Some(t) if t.eq_ignore_ascii_case("true") => Some(true),
        Some(t) if t.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => return Err(wrong("QuotaExists must be true or false")),
    };
    all.retain(|f| {
        any(&ids, f.id.as_str())
            && like(filters.text("FileSystemPath"), &f.path)
            && like(filters.text("Description"), &f.description)
            && with_quota.is_none_or(|q| f.quota.is_some() == q)
    });
    Ok(all)
}

type Key = fn(&Fileset) -> u64;

/// By which number, and whether from the largest. A missing limit counts as 0.
fn order(r: &Request<'_>) -> Result<Option<(Key, bool)>, Fault> {
    let descending = match r.given("SortOrder") {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(fault::invalid("SortOrder", "it must be asc or desc")),
    };
    let key: Key = match r.given("OrderByField") {
        None => return Ok(None),
        Some("FileCountLimit") => |f| f.quota.and_then(|q| q.file_count_limit).unwrap_or(0),
        Some("SizeLimit") => |f| f.quota.and_then(|q| q.size_limit).unwrap_or(0),
        Some("FileCountUsage") => |f| f.files_used,
        Some("SpaceUsage") => |f| f.space_used,
        Some(_) => {
            return Err(fault::invalid(
                "OrderByField",
                "it must be FileCountLimit, SizeLimit, FileCountUsage or SpaceUsage",
            ));
        }
    };
    Ok(Some((key, descending)))
}
