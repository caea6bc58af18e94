//! `DescribeFlowLogs`: the account's flow logs, newest first unless told otherwise.

use crate::fault::{self, refuse};
use crate::request::{Ask, flow_log_id, given, vpc_id, word};
use crate::tables::{FILTER, FLOW_LOGS};
use crate::translate::{DELETED, KINDS, SUCCESS, TRAFFIC, flow_log, status};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{FlowLogFilter, FlowLogOrder, Page, TagFilter};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeFlowLogs",
    request: &[
        Field::new("VpcId", Ty::Str),
        Field::new("FlowLogId", Ty::Str),
        Field::new("FlowLogName", Ty::Str),
        Field::new("ResourceType", Ty::Str),
        Field::new("ResourceId", Ty::Str),
        Field::new("TrafficType", Ty::Str),
        Field::new("CloudLogId", Ty::Str),
        Field::new("CloudLogState", Ty::Str),
        Field::new("OrderField", Ty::Str),
        Field::new("OrderDirection", Ty::Str),
        Field::new("Offset", Ty::Uint),
        Field::new("Limit", Ty::Uint),
        Field::new("Filters", Ty::List(&Ty::Object(FILTER))),
        Field::new("CloudLogRegion", Ty::Str),
    ],
    response: &[FLOW_LOGS, Field::new("TotalNum", Ty::Uint)],
    note: "Filters may be one object, as in the SDK's model, or a list of them, as in the product's examples; names are `tag-key` and \
           `tag:<key>`. FlowLogName finds parts of names. Counts of records and losses of the flow logs shown stand in the header \
           `x-wharf-flow-logs`, as far as 4 KiB go.",
};

/// Longest word that may be asked for.
const MAX_WORD: usize = 256;
/// Filters, and values of one of them, at most.
const MAX_FILTERS: usize = 10;
const MAX_VALUES: usize = 100;
/// Longest header.
const MAX_HEADER: usize = 4096;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.read(&OPERATION)?;
    let filter = filter(&p)?;
    let (found, total) = ask.control.flow_logs(&ask.caller, &filter).await.map_err(|e| ask.fault(&e))?;
    if let (Some(id), 0) = (&filter.id, total) {
        return Err(refuse(fault::NOT_FOUND, format!("There is no such flow log {id}.")));
    }
    let shown: Vec<_> = found.iter().map(|f| flow_log(ask, f)).collect();
    let reply = Reply::from(json!({"FlowLog": shown, "TotalNum": total}));
    let header = (1..=found.len()).rev().map(|n| status(&found[..n])).find(|h| h.len() <= MAX_HEADER);
    Ok(match header {
        Some(header) => reply.with_header("x-wharf-flow-logs", header),
        None => reply,
    })
}

fn filter(p: &Params<'_>) -> Result<FlowLogFilter, Fault> {
    for field in ["FlowLogName", "ResourceId", "CloudLogId", "CloudLogRegion"] {
        if p.text(field).len() > MAX_WORD {
            let message = format!("The parameter `{field}` may have {MAX_WORD} bytes.");
            return Err(refuse(fault::TOO_LONG, message));
        }
    }
    let text = |field: &str| given(p, field).map(str::to_owned);
    let id = given(p, "FlowLogId").map(|id| flow_log_id(id, "FlowLogId")).transpose()?;
    if id.is_some() && p.has("Filters") {
        let message = "The parameters `FlowLogId` and `Filters` can't be given together.";
        return Err(refuse(fault::MALFORMED, message));
    }
    let descending = word(p, "OrderDirection", &[("ASC", false), ("DESC", true)])?.unwrap_or(true);
    Ok(FlowLogFilter {
        id,
        name: text("FlowLogName"),
        vpc: vpc_id(p)?.map(str::to_owned),
        kind: word(p, "ResourceType", &KINDS)?,
        resource: text("ResourceId"),
        traffic: word(p, "TrafficType", &TRAFFIC)?,
        log_id: text("CloudLogId"),
        log_region: text("CloudLogRegion"),
        topic_gone: word(p, "CloudLogState", &[(SUCCESS, false), (DELETED, true)])?,
        tags: tags(p)?,
        order: word(
            p,
            "OrderField",
            &[("createTime", FlowLogOrder::Created), ("flowLogName", FlowLogOrder::Name)],
        )?
        .unwrap_or_default(),
        page: page(p, descending)?,
    })
}

fn page(p: &Params<'_>, newest_first: bool) -> Result<Page, Fault> {
    let limit = p.u64("Limit").unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(refuse(fault::RANGE, "The parameter `Limit` must be between 1 and 100."));
    }
    Ok(Page { offset: p.u64("Offset").unwrap_or(0), limit, newest_first })
}

fn tags(p: &Params<'_>) -> Result<Vec<TagFilter>, Fault> {
    let given = p.objects("Filters");
    if given.len() > MAX_FILTERS {
        return Err(refuse(fault::TOO_LONG, format!("There may be {MAX_FILTERS} filters.")));
    }
    given.iter().map(tag).collect()
}

fn tag(f: &Params<'_>) -> Result<TagFilter, Fault> {
    let values: Vec<String> = f.strs("Values").into_iter().map(str::to_owned).collect();
    if values.len() > MAX_VALUES || values.iter().any(|v| v.len() > 4 * MAX_WORD) {
        return Err(refuse(
            fault::TOO_LONG,
            format!("A filter may have {MAX_VALUES} values of 1,024 bytes."),
        ));
    }
    match f.text("Name") {
        "tag-key" => Ok(TagFilter::Keys(values)),
        name => match name.strip_prefix("tag:") {
            Some(key) if !key.is_empty() => Ok(TagFilter::Values(key.to_owned(), values)),
            _ => Err(refuse(fault::RANGE, "The name of a filter must be `tag-key` or `tag:<key>`.")),
        },
    }
}
