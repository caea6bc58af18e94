//! `DescribeDataFlow`: the account's flows, newest first.

use super::create_data_flow::AUTO_REFRESH_NOTE;
use crate::fault::{self, refuse};
use crate::request::{Ask, given, page};
use crate::translate::{attributes as words, ids, states};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{FlowFilter, Page};
use model::{Door, FileSystemId, Flow, FlowId, Product, Timestamp};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDataFlow",
    request: &[
        Field::new("FileSystemId", Ty::Str),
        Field::new("DataFlowId", Ty::Str),
        Field::new("Limit", Ty::Uint),
        Field::new("Offset", Ty::Uint),
        Field::new("CfsVersion", Ty::Str),
    ],
    response: &[
        Field::new("TotalCount", Ty::Uint),
        Field::new("DataFlows", Ty::List(&Ty::Object(DATA_FLOW_INFO))),
    ],
    note: "A well-formed DataFlowId of no flow is an empty list, not an error.",
};

const DATA_FLOW_INFO: &[Field] = &[
    Field::new("DataFlowId", Ty::Str),
    Field::new("DataFlowName", Ty::Str),
    Field::new("SourceStorageType", Ty::Str),
    Field::new("SourceStorageAddress", Ty::Str),
    Field::new("SourcePath", Ty::Str),
    Field::new("TargetPath", Ty::Str),
    Field::new("Status", Ty::Str),
    Field::new("CreationTime", Ty::Str),
    Field::new("FileSystemId", Ty::Str),
    Field::new("AutoRefresh", Ty::Uint).stored(AUTO_REFRESH_NOTE),
    Field::new("UserKafkaTopic", Ty::Str).stored("null where none was given"),
    Field::new("ServerAddr", Ty::Str).stored("null where none was given"),
    Field::new("UserName", Ty::Str).stored("null where none was given"),
    Field::new("AutoRefreshStatus", Ty::Str).stored("pending with AutoRefresh 1, null otherwise"),
    Field::new("AutoRefreshTime", Ty::Str).stored("when it was switched on; null while it is off"),
];

const VERSIONS: [&str; 4] = ["v1.5", "v3.0", "v3.1", "v4.0"];
/// Flows read at most where a version is asked for: limits per file system keep the real number below.
const MAX_SIFTED: u64 = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'f> {
    total_count: u64,
    data_flows: Vec<DataFlowInfo<'f>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataFlowInfo<'f> {
    data_flow_id: &'f str,
    data_flow_name: &'f str,
    source_storage_type: &'f str,
    source_storage_address: &'f str,
    source_path: &'f str,
    target_path: &'f str,
    status: &'static str,
    creation_time: String,
    file_system_id: &'f str,
    auto_refresh: u64,
    user_kafka_topic: Option<&'f str>,
    server_addr: Option<&'f str>,
    user_name: Option<&'f str>,
    auto_refresh_status: Option<&'static str>,
    auto_refresh_time: Option<String>,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let page = page(&p, 20, 100)?;
    let filter = filter(ask, &p).await?;
    let (flows, total_count) = match given(&p, "CfsVersion") {
        None => ask.control.flows(&ask.caller, &filter, page).await.map_err(|e| ask.fault(&e))?,
        Some(version) => of_version(ask, version, &filter, page).await?,
    };
    let data_flows = flows.iter().map(|f| info(ask, f)).collect();
    Reply::from_serialize(&Answer { total_count, data_flows })
}

async fn filter(ask: &Ask<'_>, p: &Params<'_>) -> Result<FlowFilter, Fault> {
    let mut filter = FlowFilter { door: Some(Door::Cfs), ..FlowFilter::default() };
    if let Some(id) = given(p, "FileSystemId") {
        filter.file_system = Some(ask.file_system(id).await?.id);
    }
    if let Some(id) = given(p, "DataFlowId") {
        if !ids::is_flow_id(id) {
            return Err(refuse(fault::FLOW_ID, "The DataFlowId must have the form cfs-dataflow-xxxxxxxx."));
        }
        filter.ids = vec![FlowId::from(id)];
    }
    Ok(filter)
}

/// Only the flows on file systems of one version. The version is the catalogue's and may change, so
/// it is not among what the store can ask for.
async fn of_version(
    ask: &Ask<'_>,
    version: &str,
    filter: &FlowFilter,
    page: Page,
) -> Result<(Vec<Flow>, u64), Fault> {
    if !VERSIONS.contains(&version) {
        return Err(refuse(fault::CFS_VERSION, "The CfsVersion must be v1.5, v3.0, v3.1 or v4.0."));
    }
    let catalogue = ask.control.file_systems().await.map_err(|e| ask.fault(&e))?;
    let wanted: Vec<&FileSystemId> = catalogue
        .iter()
        .filter(|fs| fs.product == Product::Cfs && fs.version == version)
        .map(|fs| &fs.id)
        .collect();
    let all = Page { offset: 0, limit: MAX_SIFTED, newest_first: true };
    let (mut flows, _) = ask.control.flows(&ask.caller, filter, all).await.map_err(|e| ask.fault(&e))?;
    flows.retain(|f| wanted.contains(&&f.directory.file_system));
    let total = flows.len() as u64;
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    Ok((flows.into_iter().skip(offset).take(limit).collect(), total))
}

fn info<'f>(ask: &Ask<'_>, flow: &'f Flow) -> DataFlowInfo<'f> {
    let word = |name: &str| flow.attributes.get(name).map(String::as_str);
    let on = word(words::AUTO_REFRESH) == Some("1");
    let since = word(words::AUTO_REFRESH_TIME).and_then(|t| t.parse().ok()).map(Timestamp);
    DataFlowInfo {
        data_flow_id: flow.id.as_str(),
        data_flow_name: &flow.name,
        source_storage_type: word(words::SOURCE_TYPE).unwrap_or_default(),
        source_storage_address: word(words::SOURCE_ADDRESS).unwrap_or_default(),
        source_path: word(words::SOURCE_PATH).unwrap_or_default(),
        target_path: word(words::TARGET_PATH).unwrap_or_default(),
        status: states::flow(flow.status),
        creation_time: ask.time(flow.created),
        file_system_id: flow.directory.file_system.as_str(),
        auto_refresh: u64::from(on),
        user_kafka_topic: word(words::KAFKA_TOPIC),
        server_addr: word(words::SERVER_ADDR),
        user_name: word(words::USER_NAME),
        auto_refresh_status: on.then_some("pending"),
        auto_refresh_time: since.filter(|_| on).map(|t| ask.time(t)),
    }
}
