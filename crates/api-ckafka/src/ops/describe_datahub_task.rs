//! `DescribeDatahubTask`: one task, also one that was deleted not long ago (`Status` 3).

use crate::request::Ask;
use crate::shape;
use crate::tables::resources::RESOURCE_SHOWN;
use crate::tables::transforms::{TRANSFORM_PARAM, TRANSFORMS_PARAM};
use crate::tables::{TAG, TASK_ID};
use crate::translate::tasks;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDatahubTask",
    request: TASK_ID,
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "A deleted task is readable for a day. Passwords come back empty. ErrorMessage says what is in a task's way.",
};

const RESULT: &[Field] = &[
    Field::new("TaskId", Ty::Str),
    Field::new("TaskName", Ty::Str),
    Field::new("TaskType", Ty::Str),
    Field::new("Status", Ty::Int),
    Field::new("SourceResource", Ty::Object(RESOURCE_SHOWN)),
    Field::new("TargetResource", Ty::Object(RESOURCE_SHOWN)),
    Field::new("Connections", Ty::List(&Ty::Object(CONNECTION))),
    Field::new("CreateTime", Ty::Str),
    Field::new("TransformParam", Ty::Object(TRANSFORM_PARAM)),
    Field::new("DatahubId", Ty::Str),
    Field::new("SchemaId", Ty::Str),
    Field::new("SchemaName", Ty::Str).stored("always empty"),
    Field::new("TransformsParam", Ty::Object(TRANSFORMS_PARAM)),
    Field::new("ErrorMessage", Ty::Str),
    Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    Field::new("Description", Ty::Str),
    Field::new("IsolateStatus", Ty::Int).stored("always 1: nobody is in arrears"),
    Field::new("TaskMax", Ty::Int),
    Field::new("SyncThrottleLimit", Ty::Int),
    Field::new("AutoExpandFlag", Ty::Bool),
    Field::new("WarnMessage", Ty::Str).stored("always empty"),
];

const CONNECTION: &[Field] =
    &[Field::new("TopicName", Ty::Str), Field::new("GroupId", Ty::Str), Field::new("TopicId", Ty::Str)];

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let task = ask.task(p.text("TaskId")).await?;
    let mut fields = tasks::shown(ask, &task);
    tasks::put_details(&mut fields, &task);
    Ok(Reply::from(json!({ "Result": shape::complete(RESULT, &Value::Object(fields)) })))
}
