//! `DescribeDataFlows`: the flows of a file system, filtered, in pages.

use api::{Fault, Field, Operation, Outcome, Ty};
use model::Flow;
use serde_json::{Value, json};

use crate::family::Feature;
use crate::fields::{AUTO_REFRESH_NOTE, FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN, THROUGHPUT_NOTE};
use crate::filters::{Filters, any, like, wrong};
use crate::flow_view::{directory_path, flow, flows_of};
use crate::paging::Paging;
use crate::request::Request;
use crate::translate::{attribute, flow_status, flow_status_of};
use crate::fault;

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DescribeDataFlows",
    request: &[FILE_SYSTEM_ID, FILTERS, MAX_RESULTS, NEXT_TOKEN],
    response: &[
        Field::new(
            "DataFlowInfo",
            Ty::Object(&[Field::new("DataFlow", Ty::List(&Ty::Object(DATA_FLOW)))]),
        ),
        NEXT_TOKEN,
    ],
    note: "",
};

const REFRESH_PATH: &[Field] = &[Field::new("RefreshPath", Ty::Str).stored(AUTO_REFRESH_NOTE)];
const REFRESHES: &[Field] = &[Field::new("AutoRefresh", Ty::List(&Ty::Object(REFRESH_PATH)))];
const DATA_FLOW: &[Field] = &[
    Field::new("AutoRefresh", Ty::Object(REFRESHES)),
    Field::new("AutoRefreshInterval", Ty::Int).stored(AUTO_REFRESH_NOTE),
    Field::new("AutoRefreshPolicy", Ty::Str).stored(AUTO_REFRESH_NOTE),
    Field::new("CreateTime", Ty::Str),
    Field::new("DataFlowId", Ty::Str),
    Field::new("Description", Ty::Str),
    Field::new("ErrorMessage", Ty::Str),
    Field::new("FileSystemId", Ty::Str),
    Field::new("FileSystemPath", Ty::Str),
    Field::new("FsetDescription", Ty::Str),
    Field::new("FsetId", Ty::Str),
    Field::new("SourceSecurityType", Ty::Str),
    Field::new("SourceStorage", Ty::Str),
    Field::new("SourceStoragePath", Ty::Str),
    Field::new("Status", Ty::Str),
    Field::new("Throughput", Ty::Int).stored(THROUGHPUT_NOTE),
    Field::new("UpdateTime", Ty::Str),
];

const KEYS: &[&str] = &[
    "DataFlowIds",
    "FsetIds",
    "SourceStorage",
    "ThroughputList",
    "Status",
    "FileSystemPath",
    "Description",
    "SourceStoragePath",
];

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let on = r.file_system().await?;
    on.require(Feature::DataFlow)?;
    let filters = Filters::read(&r.p, KEYS)?;
    let page = Paging::read(r, 10)?;
    let kept = keep(flows_of(r, &on).await?, &filters)?;
    let (kept, next) = page.cut(kept);
    let filesets = if kept.iter().any(|f| f.fileset.is_some()) {
        r.control().filesets(&r.caller, &on.fs.id).await.map_err(|e| fault::of(&e))?
    } else {
        Vec::new()
    };
    let flows: Vec<Value> = kept.iter().map(|f| flow(f, &filesets)).collect();
    Ok(json!({"DataFlowInfo": {"DataFlow": flows}, "NextToken": next}).into())
}

fn keep(mut all: Vec<Flow>, filters: &Filters<'_>) -> Result<Vec<Flow>, Fault> {
    let ids = filters.list("DataFlowIds")?;
    let filesets = filters.list("FsetIds")?;
    let throughputs = filters.list("ThroughputList")?;
    let sources = filters.list("SourceStorage")?;
    let statuses = filters.list("Status")?;
    if statuses.iter().any(|s| flow_status_of(s).is_none()) {
        return Err(wrong("Status names no status of a data flow"));
    }
    all.retain(|f| {
        any(&ids, f.id.as_str())
            && any(&filesets, f.fileset.as_ref().map(|id| id.as_str()).unwrap_or_default())
            && any(&throughputs, attribute(f, "Throughput"))
            && any(&sources, attribute(f, "SourceStorage"))
            && any(&statuses, flow_status(f.status))
            && like(filters.text("FileSystemPath"), &directory_path(f))
            && like(filters.text("Description"), &f.description)
            && like(filters.text("SourceStoragePath"), attribute(f, "SourceStoragePath"))
    });
    Ok(all)
}
