//! `ListTasks`, `GetTask`, `ListTaskEvents`, `CreateTask`, `PlanTask`, `PauseTask`, `ResumeTask`, `CancelTask`.

use std::collections::BTreeMap;

use api::Fault;
use control::{Caller, Control, EventsFrom, NewTask, Page, TaskFilter};
use model::{
    AccountId, DataType, Direction, Door, Flow, FlowId, MetadataDialect, Originator, Selection, TaskId,
    TaskKind, TransferSpec,
};
use serde::Deserialize;

use super::Id;
use super::flows::directory_form;
use crate::fault::fault;
use crate::translate;
use crate::wire::{PlanView, TaskEvents, TaskView, Tasks};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    flow: Option<String>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "twenty")]
    limit: u64,
}

fn twenty() -> u64 {
    20
}

pub async fn list(c: &Control, request: List) -> Result<Tasks, Fault> {
    let filter =
        TaskFilter { flows: request.flow.into_iter().map(FlowId).collect(), ..TaskFilter::default() };
    let page = Page { offset: request.offset, limit: request.limit.min(1000), newest_first: true };
    let (tasks, total) = c.tasks(&Caller::operator(), &filter, page).await.map_err(fault)?;
    Ok(Tasks { tasks: tasks.iter().map(|t| translate::task(c, t)).collect(), total })
}

pub async fn get(c: &Control, request: Id) -> Result<TaskView, Fault> {
    let task = c.task(&Caller::operator(), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::task(c, &task))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    flow: String,
    way: String,
    #[serde(default)]
    path: String,
    #[serde(default = "if_changed")]
    conflict: String,
}

fn if_changed() -> String {
    "if-changed".to_owned()
}

pub async fn create(c: &Control, account: &str, request: Create) -> Result<TaskView, Fault> {
    let (flow, spec) = spec(c, &request).await?;
    let task = c
        .create_task(
            &operator(account),
            NewTask {
                id: TaskId(format!("task-{}", c.random().hex(16))),
                door: Door::Admin,
                kind: TaskKind::Transfer,
                parent: None,
                flow: Some(flow.id),
                spec,
                name: String::new(),
                attributes: BTreeMap::new(),
                originator: Originator::User,
            },
        )
        .await
        .map_err(fault)?;
    Ok(translate::task(c, &task))
}

pub async fn plan(c: &Control, request: Create) -> Result<PlanView, Fault> {
    let (_, spec) = spec(c, &request).await?;
    Ok(translate::plan(&c.plan(&spec).await.map_err(fault)?))
}

async fn spec(c: &Control, request: &Create) -> Result<(Flow, TransferSpec), Fault> {
    let flow = c.flow(&Caller::operator(), &FlowId(request.flow.clone())).await.map_err(fault)?;
    let invalid = |field: &str, want: &str| Fault::tencent("Invalid", format!("{field} must be {want}"));
    let direction = match request.way.as_str() {
        "import" => Direction::Import,
        "export" => Direction::Export,
        _ => return Err(invalid("way", "import or export")),
    };
    let conflict = translate::conflict(&request.conflict)
        .ok_or_else(|| invalid("conflict", "if-changed, skip, latest or overwrite"))?;
    let (mut object, mut directory) = (flow.object.clone(), flow.directory.clone());
    let below = directory_form(&request.path);
    object.prefix.push_str(&below);
    directory.path.push_str(&below);
    let spec = TransferSpec {
        direction,
        object,
        credentials: flow.credentials.clone(),
        directory,
        selection: Selection::All,
        conflict,
        data: DataType::MetaAndData,
        dialect: MetadataDialect::Native,
        create_directory: true,
        default_file_mode: 0o644,
        default_dir_mode: 0o755,
    };
    Ok((flow, spec))
}

pub async fn pause(c: &Control, account: &str, request: Id) -> Result<TaskView, Fault> {
    let task = c.pause_task(&operator(account), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::task(c, &task))
}

pub async fn resume(c: &Control, account: &str, request: Id) -> Result<TaskView, Fault> {
    let task = c.resume_task(&operator(account), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::task(c, &task))
}

pub async fn cancel(c: &Control, account: &str, request: Id) -> Result<TaskView, Fault> {
    let task = c.cancel_task(&operator(account), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::task(c, &task))
}

/// The account that asks: the task's events name it.
fn operator(account: &str) -> Caller {
    Caller { account: AccountId::from(account), operator: true }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListEvents {
    id: String,
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    latest: bool,
    #[serde(default = "hundred")]
    limit: u64,
}

fn hundred() -> u64 {
    100
}

pub async fn events(c: &Control, request: ListEvents) -> Result<TaskEvents, Fault> {
    let from = match (request.latest, request.after) {
        (true, Some(_)) => return Err(Fault::tencent("Invalid", "after and latest exclude each other")),
        (true, None) => EventsFrom::Latest,
        (false, after) => EventsFrom::After(after.unwrap_or(0)),
    };
    if request.limit == 0 {
        return Err(Fault::tencent("Invalid", "limit must be at least 1"));
    }
    let id = TaskId(request.id);
    let found = c.task_events(&Caller::operator(), &id, from, request.limit).await.map_err(fault)?;
    Ok(translate::events(&found, request.after.unwrap_or(0)))
}
