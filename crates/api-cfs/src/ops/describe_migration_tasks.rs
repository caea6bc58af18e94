//! `DescribeMigrationTasks`: the account's migration tasks, newest first.

use crate::fault;
use crate::request::{Ask, FILTER, filters, page};
use crate::translate::{attributes as words, counts, states};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{Page, TaskFilter};
use model::{Door, Task, TaskId};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeMigrationTasks",
    request: &[
        Field::new("Offset", Ty::Int),
        Field::new("Limit", Ty::Int),
        Field::new("Filters", Ty::List(&Ty::Object(FILTER))),
    ],
    response: &[
        Field::new("TotalCount", Ty::Int),
        Field::new("MigrationTasks", Ty::List(&Ty::Object(MIGRATION_TASK_INFO))),
    ],
    note: "Filters taskId (exact) and taskName (part of the name). The product's whitelist is not needed.",
};

const MIGRATION_TASK_INFO: &[Field] = &[
    Field::new("TaskName", Ty::Str),
    Field::new("TaskId", Ty::Str),
    Field::new("MigrationType", Ty::Uint),
    Field::new("MigrationMode", Ty::Uint),
    Field::new("BucketName", Ty::Str),
    Field::new("BucketRegion", Ty::Str),
    Field::new("BucketAddress", Ty::Str),
    Field::new("ListAddress", Ty::Str),
    Field::new("FsName", Ty::Str).stored("as the request gave it"),
    Field::new("FileSystemId", Ty::Str),
    Field::new("FsPath", Ty::Str),
    Field::new("CoverType", Ty::Uint),
    Field::new("CreateTime", Ty::Int),
    Field::new("EndTime", Ty::Int),
    Field::new("Status", Ty::Uint),
    Field::new("FileTotalCount", Ty::Uint),
    Field::new("FileMigratedCount", Ty::Uint),
    Field::new("FileFailedCount", Ty::Uint),
    Field::new("FileTotalSize", Ty::Int),
    Field::new("FileMigratedSize", Ty::Int),
    Field::new("FileFailedSize", Ty::Int),
    Field::new("FileTotalList", Ty::Str),
    Field::new("FileCompletedList", Ty::Str),
    Field::new("FileFailedList", Ty::Str),
    Field::new("BucketPath", Ty::Str),
    Field::new("Direction", Ty::Uint),
    Field::new("SrcService", Ty::Str),
];

/// Tasks read at most where several names are asked for.
const MAX_SIFTED: u64 = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'t> {
    total_count: u64,
    migration_tasks: Vec<MigrationTaskInfo<'t>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MigrationTaskInfo<'t> {
    task_name: &'t str,
    task_id: &'t str,
    migration_type: u64,
    migration_mode: u64,
    bucket_name: &'t str,
    bucket_region: &'t str,
    bucket_address: &'t str,
    list_address: &'t str,
    fs_name: &'t str,
    file_system_id: &'t str,
    fs_path: &'t str,
    cover_type: u64,
    create_time: i64,
    end_time: i64,
    status: u64,
    file_total_count: u64,
    file_migrated_count: u64,
    file_failed_count: u64,
    file_total_size: u64,
    file_migrated_size: u64,
    file_failed_size: u64,
    file_total_list: String,
    file_completed_list: String,
    file_failed_list: String,
    bucket_path: &'t str,
    direction: u64,
    src_service: &'t str,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let page = page(&p, 20, 100)?;
    let (filter, names) = filter(&p)?;
    let (tasks, total_count) = match names {
        None => ask.control.tasks(&ask.caller, &filter, page).await.map_err(|e| ask.fault(&e))?,
        Some(names) => of_names(ask, &filter, &names, page).await?,
    };
    let migration_tasks = tasks.iter().map(|t| info(ask, t)).collect();
    Reply::from_serialize(&Answer { total_count, migration_tasks })
}

/// What the store can ask for, and the names that it can't: more than one alternative.
fn filter<'p>(p: &Params<'p>) -> Result<(TaskFilter, Option<Vec<&'p str>>), Fault> {
    let family = (words::FAMILY.to_owned(), vec![words::MIGRATION.to_owned()]);
    let mut filter = TaskFilter { door: Some(Door::Cfs), attributes: vec![family], ..TaskFilter::default() };
    let mut names = None;
    for (name, values) in filters(p)? {
        match (name, values.as_slice()) {
            ("taskId", ids) => filter.ids = ids.iter().map(|id| TaskId::from(*id)).collect(),
            ("taskName", [one]) => filter.name_like = Some((*one).to_owned()),
            ("taskName", _) => names = Some(values),
            _ => return Err(fault::value("A filter's Name must be taskId or taskName.")),
        }
    }
    Ok((filter, names))
}

async fn of_names(
    ask: &Ask<'_>,
    filter: &TaskFilter,
    names: &[&str],
    page: Page,
) -> Result<(Vec<Task>, u64), Fault> {
    let all = Page { offset: 0, limit: MAX_SIFTED, newest_first: true };
    let (mut tasks, _) = ask.control.tasks(&ask.caller, filter, all).await.map_err(|e| ask.fault(&e))?;
    tasks.retain(|t| names.iter().any(|name| t.name.contains(name)));
    let total = tasks.len() as u64;
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    Ok((tasks.into_iter().skip(offset).take(limit).collect(), total))
}

fn info<'t>(ask: &Ask<'_>, task: &'t Task) -> MigrationTaskInfo<'t> {
    let word = |name: &str| task.attributes.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| word(name).parse().unwrap_or_default();
    let items = counts::items(&task.ledger, &task.progress);
    let bytes = counts::bytes(&task.ledger, &task.progress);
    MigrationTaskInfo {
        task_name: &task.name,
        task_id: task.id.as_str(),
        migration_type: number(words::MIGRATION_TYPE),
        migration_mode: 0,
        bucket_name: word("BucketName"),
        bucket_region: word("BucketRegion"),
        bucket_address: word("BucketAddress"),
        list_address: word("ListAddress"),
        fs_name: word("FsName"),
        file_system_id: task.file_system.as_str(),
        fs_path: word("FsPath"),
        cover_type: number(words::COVER_TYPE),
        create_time: task.created.millis(),
        end_time: task.ended.map(model::Timestamp::millis).unwrap_or_default(),
        status: states::migration(task.status),
        file_total_count: items.total,
        file_migrated_count: items.done,
        file_failed_count: items.failed,
        file_total_size: bytes.total,
        file_migrated_size: bytes.done,
        file_failed_size: bytes.failed,
        file_total_list: ask.report_url(&task.id, task.reports.total.as_deref()),
        file_completed_list: ask.report_url(&task.id, task.reports.successful.as_deref()),
        file_failed_list: ask.report_url(&task.id, task.reports.failed.as_deref()),
        bucket_path: word("BucketPath"),
        direction: number(words::DIRECTION),
        src_service: word(words::SRC_SERVICE),
    }
}
