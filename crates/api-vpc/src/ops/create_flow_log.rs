//! `CreateFlowLog`: records the traffic of a resource from now on.

use crate::fault::{self, refuse};
use crate::request::{Ask, description, given, identifier, name, period, tags, vpc_id, word};
use crate::tables::{FLOW_LOGS, STORAGE, TAG};
use crate::translate::{CKAFKA, KINDS, TRAFFIC, made};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::NewFlowLog;
use model::{LoggedTraffic, NetworkKind};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateFlowLog",
    request: &[
        Field::new("FlowLogName", Ty::Str).required(),
        Field::new("ResourceType", Ty::Str).required(),
        Field::new("ResourceId", Ty::Str).required(),
        Field::new("TrafficType", Ty::Str).required(),
        Field::new("VpcId", Ty::Str),
        Field::new("FlowLogDescription", Ty::Str),
        Field::new("CloudLogId", Ty::Str).stored("kept and shown; there are no log topics here yet"),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
        Field::new("StorageType", Ty::Str),
        Field::new("FlowLogStorage", Ty::Object(STORAGE)),
        Field::new("CloudLogRegion", Ty::Str).stored("kept and shown; the topic's cluster is where it is"),
        Field::new("Period", Ty::Uint),
    ],
    response: &[FLOW_LOGS],
    note: "ResourceId names a `[[network]]` of the configuration. StorageType `cls`, which is also what is meant without one, is \
           refused with UnsupportedOperation until there are log topics: give `ckafka`. StorageId is a `[[connection]]` of kind \
           kafka, StorageTopic a topic's name, or its id on the server's own cluster. UnauthorizedOperation: the server has no right \
           to capture. As with the product CreatedTime, CloudLogState, FlowLogDescription and CloudLogRegion are placeholders here.",
};

/// Longest of the words that are only kept.
const MAX_WORD: usize = 256;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.read(&OPERATION)?;
    let name = name(&p)?.to_owned();
    let kind = word(&p, "ResourceType", &KINDS)?.ok_or_else(|| empty("ResourceType"))?;
    let resource = given(&p, "ResourceId").ok_or_else(|| empty("ResourceId"))?;
    let resource = identifier(resource, kind.prefix(), "ResourceId")?.to_owned();
    let traffic = word(&p, "TrafficType", &TRAFFIC)?.ok_or_else(|| empty("TrafficType"))?;
    let vpc = vpc(&p, kind)?;
    let period_s = period(&p, kind)?.or((kind == NetworkKind::Ccn).then_some(60));
    let (connection, topic) = storage(&p)?;
    if kind == NetworkKind::Nat && traffic != LoggedTraffic::All {
        let code = "UnsupportedOperation.DpdkNatFlowLogOnlySupportAllTrafficType";
        return Err(refuse(code, "The parameter `TrafficType` must be ALL for the resource type NAT."));
    }
    let new = NewFlowLog {
        app_id: ask.call.caller.app_id.clone(),
        name,
        description: description(&p)?.to_owned(),
        kind,
        resource,
        vpc,
        traffic,
        period_s,
        connection,
        topic,
        log_id: kept(&p, "CloudLogId")?.unwrap_or_default().to_owned(),
        log_region: kept(&p, "CloudLogRegion")?.unwrap_or(ask.region()).to_owned(),
        region: ask.region().to_owned(),
        tags: tags(&p)?,
    };
    let new = ask.control.create_flow_log(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"FlowLog": [made(ask, &new)]})))
}

fn empty(field: &str) -> Fault {
    refuse(fault::EMPTY, format!("The parameter `{field}` may not be empty."))
}

/// `VpcId`: needed for all kinds but CCN, which has none.
fn vpc(p: &Params<'_>, kind: NetworkKind) -> Result<String, Fault> {
    match (vpc_id(p)?, kind) {
        (None, NetworkKind::Ccn) => Ok(String::new()),
        (Some(_), NetworkKind::Ccn) => {
            Err(refuse(fault::RANGE, "The parameter `VpcId` can't be given for the resource type CCN."))
        }
        (None, _) => Err(empty("VpcId")),
        (Some(vpc), _) => Ok(vpc.to_owned()),
    }
}

/// `StorageType` with `FlowLogStorage`: the connection and its topic.
fn storage(p: &Params<'_>) -> Result<(String, String), Fault> {
    let is_kafka = word(p, "StorageType", &[("cls", false), (CKAFKA, true)])?.unwrap_or(false);
    if !is_kafka {
        if given(p, "CloudLogId").is_none() {
            return Err(empty("CloudLogId"));
        }
        let message = "StorageType cls is not supported here yet: there are no log topics. Use ckafka with FlowLogStorage.";
        return Err(refuse(fault::UNSUPPORTED, message));
    }
    let storage = p.object("FlowLogStorage").ok_or_else(|| empty("FlowLogStorage"))?;
    let id = given(&storage, "StorageId").ok_or_else(|| empty("FlowLogStorage.StorageId"))?;
    let topic = given(&storage, "StorageTopic").ok_or_else(|| empty("FlowLogStorage.StorageTopic"))?;
    for (field, text) in [("StorageId", id), ("StorageTopic", topic)] {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if text.len() > 249 || !text.bytes().all(plain) {
            let message =
                format!("The parameter `FlowLogStorage.{field}` may have 249 letters, digits, - _ or dots.");
            return Err(refuse(fault::MALFORMED, message));
        }
    }
    Ok((id.to_owned(), topic.to_owned()))
}

/// A word that is only kept.
fn kept<'p>(p: &Params<'p>, field: &str) -> Result<Option<&'p str>, Fault> {
    let word = given(p, field);
    if word.is_some_and(|w| w.len() > MAX_WORD || w.chars().any(char::is_control)) {
        let message = format!("The parameter `{field}` may have {MAX_WORD} bytes.");
        return Err(refuse(fault::MALFORMED, message));
    }
    Ok(word)
}
