//! `ModifyDataFlow`: name, key and auto refresh. Source and target of a flow never change.

use super::create_data_flow::{AUTO_REFRESH_NOTE, MAX_KAFKA_WORD, flow_name, needed, password, switch};
use crate::fault::{self, refuse};
use crate::request::{Ask, bounded, given};
use crate::translate::attributes as words;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::FlowChange;
use model::{Credentials, Flow};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ModifyDataFlow",
    request: &[
        Field::new("DataFlowId", Ty::Str).required(),
        Field::new("FileSystemId", Ty::Str).required(),
        Field::new("DataFlowName", Ty::Str),
        Field::new("SecretId", Ty::Str),
        Field::new("SecretKey", Ty::Str),
        Field::new("UserKafkaTopic", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("ServerAddr", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("UserName", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("Password", Ty::Str).stored("sealed and never shown; auto refresh does not run yet"),
        Field::new("AutoRefresh", Ty::Uint).stored(AUTO_REFRESH_NOTE),
    ],
    response: &[Field::new("DataFlowId", Ty::Str)],
    note: "SecretId and SecretKey change together; the bucket is asked with the new key before it is taken. \
           What is absent or empty stays as it is.",
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'f> {
    data_flow_id: &'f str,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let file_system = p.text("FileSystemId");
    let flow = ask.flow(p.text("DataFlowId"), Some(file_system)).await?;
    let change = read(ask, &p, &flow)?;
    if let Some(key) = &change.credentials {
        ask.control.probe_source(&flow.object, Some(key)).await.map_err(|e| ask.fault(&e))?;
    }
    ask.control.update_flow(&ask.caller, &flow.id, change).await.map_err(|e| ask.fault(&e))?;
    Reply::from_serialize(&Answer { data_flow_id: flow.id.as_str() })
}

fn read(ask: &Ask<'_>, p: &Params<'_>, flow: &Flow) -> Result<FlowChange, Fault> {
    let mut change = FlowChange { credentials: key(ask, p)?, ..FlowChange::default() };
    if given(p, "DataFlowName").is_some() {
        change.name = Some(flow_name(p)?.to_owned());
    }
    if let Some(password) = password(p)? {
        change.sealed_attributes.insert(words::PASSWORD.to_owned(), Some(ask.control.seal(password)));
    }
    let was_on = flow.attributes.get(words::AUTO_REFRESH).is_some_and(|v| v == "1");
    let on = switch(p)?.unwrap_or(was_on);
    for name in [words::KAFKA_TOPIC, words::SERVER_ADDR, words::USER_NAME] {
        let value = bounded(p, name, MAX_KAFKA_WORD)?;
        if !value.is_empty() {
            change.attributes.insert(name.to_owned(), Some(value.to_owned()));
        } else if on && !flow.attributes.contains_key(name) {
            return Err(needed(name));
        }
    }
    if on != was_on {
        change.attributes.insert(words::AUTO_REFRESH.to_owned(), Some(u8::from(on).to_string()));
        let since = on.then(|| ask.control.clock().now().0.to_string());
        change.attributes.insert(words::AUTO_REFRESH_TIME.to_owned(), since);
    }
    Ok(change)
}

fn key(ask: &Ask<'_>, p: &Params<'_>) -> Result<Option<Credentials>, Fault> {
    match (given(p, "SecretId"), given(p, "SecretKey")) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => ask.credentials(id, secret, fault::SOURCE_INFO).map(Some),
        _ => Err(refuse(fault::SOURCE_INFO, "SecretId and SecretKey change together.")),
    }
}
