//! `ModifyDatahubTask`: name, description, parallelism and throughput of a task.

use crate::fault;
use crate::request::{Ask, description, given, ranged};
use crate::translate::{attributes as words, tasks};
use api::{Fault, Field, Operation, Outcome, Params, Ty};
use control::PipelineChange;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ModifyDatahubTask",
    request: &[
        Field::new("TaskId", Ty::Str).required(),
        Field::new("TaskName", Ty::Str),
        Field::new("Description", Ty::Str),
        Field::new("TasksMax", Ty::Int),
        Field::new("SyncThrottleLimit", Ty::Int),
        Field::new("AutoExpandFlag", Ty::Bool).stored(
            "kept and shown; a task without TasksMax takes as many lanes as it has partitions anyway",
        ),
    ],
    response: crate::tables::TASK_MADE,
    note: "A new TasksMax or SyncThrottleLimit restarts the task in place. A task that was never given a limit has none.",
};

/// Lanes of a task at most.
const MAX_LANES: u64 = 20;
/// Megabytes a second at most.
const MAX_MB: u64 = 10_000;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let id = ask.task_id(p.text("TaskId"))?;
    let change = read(&p)?;
    let task = ask.control.change_pipeline(&ask.caller, &id, change).await.map_err(|e| ask.fault(&e))?;
    Ok(tasks::named(&task))
}

fn read(p: &Params<'_>) -> Result<PipelineChange, Fault> {
    let mut change = PipelineChange::default();
    if given(p, "TaskName").is_some() {
        change.name = Some(tasks::name(p)?.to_owned());
    }
    if p.has("Description") {
        change.description = Some(description(p)?.to_owned());
    }
    if let Some(lanes) = ranged(p, "TasksMax", (1, MAX_LANES), fault::VALUE)? {
        change.lanes = Some(u32::try_from(lanes).ok());
    }
    if let Some(mb) = ranged(p, "SyncThrottleLimit", (1, MAX_MB), fault::VALUE)? {
        change.bytes_per_s = Some(Some(mb * tasks::MB));
    }
    if let Some(on) = p.bool("AutoExpandFlag") {
        change.attributes.insert(words::AUTO_EXPAND.to_owned(), Some(on.to_string()));
    }
    Ok(change)
}
