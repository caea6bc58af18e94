//! `CreateDataFlowTask`: a batch transfer or a streaming channel on a running flow.

use std::time::Duration;

use api::{Fault, Field, Operation, Outcome, Ty};
use control::{ErrorKind, NewTask};
use model::{Direction, Door, FlowStatus, Originator, TaskId, TaskKind, TransferSpec};

use crate::family::{Cpfs, Feature};
use crate::fields::{CLIENT_TOKEN, DATA_FLOW_ID, DRY_RUN, FILE_SYSTEM_ID};
use crate::request::{Request, flow_in};
use crate::task_order::TaskOrder;
use crate::{fault, translate};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CreateDataFlowTask",
    request: &[
        FILE_SYSTEM_ID,
        DATA_FLOW_ID,
        Field::new("SrcTaskId", Ty::Str),
        Field::new("TaskAction", Ty::Str),
        Field::new("DataType", Ty::Str),
        Field::new("Directory", Ty::Str),
        Field::new("DstDirectory", Ty::Str),
        Field::new("EntryList", Ty::Str),
        Field::new("TransferFileListPath", Ty::Str),
        Field::new("Includes", Ty::Str),
        Field::new("ConflictPolicy", Ty::Str),
        Field::new("CreateDirIfNotExist", Ty::Bool),
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[Field::new("TaskId", Ty::Str)],
    note: "Import and Export on both families, StreamImport and StreamExport on CPFS for Lingjun. Evict and \
           Inventory answer InvalidTaskAction.NotSupported and DataType Metadata InvalidDataType.NotSupported \
           until this server loads files on read; Data and MetaAndData are full transfers.",
};

/// A dry run answers after this time with what the plan has seen: clients give up after 10 s.
const PLAN_TIME: Duration = Duration::from_secs(7);

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(Some("TaskId"), Box::pin(async {
        let on = r.file_system().await?;
        r.required("DataFlowId")?;
        on.require(Feature::DataFlow)?;
        let flow = r.flow(&on).await?;
        let order = TaskOrder::read(r, &on, &flow).await?;
        flow_in(&flow, &[FlowStatus::Running])?;
        directories(r, &on, &order.spec).await?;
        let id = translate::task_id(r.control().random());
        if r.dry_run() {
            if order.kind == TaskKind::Transfer {
                plan(r, &order.spec).await?;
            }
            return Ok(id);
        }
        let new = NewTask {
            id: TaskId(id.clone()),
            door: Door::Nas,
            kind: order.kind,
            parent: None,
            flow: Some(flow.id.clone()),
            spec: order.spec,
            name: String::new(),
            attributes: order.attributes,
            originator: Originator::User,
        };
        match r.control().create_task(&r.caller, new).await {
            Ok(_) => Ok(id),
            Err(e) if e.kind == ErrorKind::Denied => Err(fault::action_not_allowed(&e.message)),
            Err(e) => Err(fault::of(&e)),
        }
    }))
    .await
}

/// The file system's side must be there, except where an import may make it.
async fn directories(r: &Request<'_>, on: &Cpfs, spec: &TransferSpec) -> Result<(), Fault> {
    if spec.direction == Direction::Import && spec.create_directory {
        return Ok(());
    }
    let path = format!("/{}", spec.directory.path);
    let (name, words) = match spec.direction {
        Direction::Import => ("DstDirectory", "destination directory"),
        Direction::Export => ("Directory", "source directory"),
    };
    if r.directory_there(on, name, &path).await? { Ok(()) } else { Err(fault::not_found(name, words)) }
}

/// Lets the engine go through both ends as the task would, and logs what it would do: the product's
/// answer has no room for it.
async fn plan(r: &Request<'_>, spec: &TransferSpec) -> Result<(), Fault> {
    let plan = r.control().plan_within(spec, PLAN_TIME).await.map_err(|e| fault::of(&e))?;
    let (items, bytes) = (&plan.ledger.items, &plan.ledger.bytes);
    tracing::info!(
        request = %r.call.request_id, items = items.read, files = plan.files, bytes = bytes.written,
        written = items.written, unchanged = items.unchanged, skipped = items.skipped, failed = items.failed,
        conflicts = plan.conflicts(), overwritten = plan.overwritten, kept = plan.kept,
        requests = plan.requests, seconds = plan.estimated_s, complete = plan.complete,
        "dry run: {plan}"
    );
    Ok(())
}
