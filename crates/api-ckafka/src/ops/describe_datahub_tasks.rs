//! `DescribeDatahubTasks`: the account's tasks, newest first. Deleted ones are not among them.

use crate::fault;
use crate::request::{Ask, given, page};
use crate::shape;
use crate::tables::resources::RESOURCE_SHOWN;
use crate::translate::{attributes as words, states, tasks};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::PipelineFilter;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDatahubTasks",
    request: &[
        Field::new("Limit", Ty::Int),
        Field::new("Offset", Ty::Int),
        Field::new("SearchWord", Ty::Str),
        Field::new("TargetType", Ty::Str),
        Field::new("TaskType", Ty::Str),
        Field::new("SourceType", Ty::Str),
        Field::new("Resource", Ty::Str),
    ],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "A Limit above 100 is 100. Resource is an instance, connection, topic or bucket that either end names.",
};

const RESULT: &[Field] =
    &[Field::new("TotalCount", Ty::Int), Field::new("TaskList", Ty::List(&Ty::Object(TASK)))];

const TASK: &[Field] = &[
    Field::new("TaskId", Ty::Str),
    Field::new("TaskName", Ty::Str),
    Field::new("TaskType", Ty::Str),
    Field::new("Status", Ty::Int),
    Field::new("SourceResource", Ty::Object(RESOURCE_SHOWN)),
    Field::new("TargetResource", Ty::Object(RESOURCE_SHOWN)),
    Field::new("CreateTime", Ty::Str),
    Field::new("ErrorMessage", Ty::Str),
    Field::new("TaskProgress", Ty::Float),
    Field::new("TaskCurrentStep", Ty::Str),
    Field::new("DatahubId", Ty::Str),
    Field::new("StepList", Ty::List(&Ty::Str)),
    Field::new("Description", Ty::Str),
    Field::new("TaskMax", Ty::Int),
    Field::new("SyncThrottleLimit", Ty::Int),
    Field::new("AutoExpandFlag", Ty::Bool),
    Field::new("WarnMessage", Ty::Str).stored("always empty"),
];

/// Bytes of a word to look for at most.
const MAX_WORD: usize = 255;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let filter = filter(&p)?;
    let (found, total) = ask.control.pipelines(&ask.caller, &filter).await.map_err(|e| ask.fault(&e))?;
    let list: Vec<Value> = found
        .iter()
        .map(|task| {
            let mut fields = tasks::shown(ask, task);
            tasks::put_progress(&mut fields, task);
            shape::complete(TASK, &Value::Object(fields))
        })
        .collect();
    Ok(Reply::from(json!({"Result": {"TotalCount": total, "TaskList": list}})))
}

fn filter(p: &Params<'_>) -> Result<PipelineFilter, Fault> {
    for name in ["SearchWord", "TargetType", "SourceType", "Resource"] {
        if p.text(name).len() > MAX_WORD {
            return Err(fault::value(format!("The parameter `{name}` may have {MAX_WORD} bytes.")));
        }
    }
    let direction = match given(p, "TaskType") {
        None => None,
        Some(word) => Some(
            states::read_direction(word)
                .ok_or_else(|| fault::value("The parameter `TaskType` must be SOURCE or SINK."))?,
        ),
    };
    let mut attributes = Vec::new();
    for (field, attribute) in [("SourceType", words::SOURCE_TYPE), ("TargetType", words::TARGET_TYPE)] {
        if let Some(kind) = given(p, field) {
            attributes.push((attribute.to_owned(), vec![kind.to_owned()]));
        }
    }
    Ok(PipelineFilter {
        search: given(p, "SearchWord").map(str::to_owned),
        direction,
        resource: given(p, "Resource").map(str::to_owned),
        attributes,
        page: page(p, 20, 100, fault::VALUE)?,
        ..PipelineFilter::default()
    })
}
