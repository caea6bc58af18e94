//! `SendMessage`: records into a task whose source is HTTP.

use crate::fault::{self, NO_INSTANCE, refuse};
use crate::request::{Ask, MAX_ID};
use crate::translate::ids;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use control::{datahub_id, pipeline_of};
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "SendMessage",
    request: &[
        Field::new("DataHubId", Ty::Str).required(),
        Field::new("Message", Ty::List(&Ty::Object(MESSAGE))).required(),
    ],
    response: &[Field::new("MessageId", Ty::List(&Ty::Str))],
    note: "Up to 500 messages. They are answered once the cluster has them. A message that a filter took out, or that was \
           dropped or kept aside, has an empty MessageId.",
};

const MESSAGE: &[Field] = &[Field::new("Body", Ty::Str).required(), Field::new("Key", Ty::Str)];

/// Messages of one request at most, as with the product.
const MAX_MESSAGES: usize = 500;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let id = p.text("DataHubId");
    if !id.starts_with("datahub-") || id.len() > MAX_ID {
        return Err(refuse(
            NO_INSTANCE,
            "The parameter `DataHubId` names no task; it has the form datahub-xxxxxxxx.",
        ));
    }
    let messages = p.objects("Message");
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return Err(fault::value(format!("The parameter `Message` must have 1 to {MAX_MESSAGES} messages.")));
    }
    let records = messages
        .iter()
        .map(|m| (m.str("Key").map(|k| k.as_bytes().to_vec()), m.text("Body").as_bytes().to_vec()))
        .collect();
    let task = pipeline_of(id);
    let sent = ask.control.send_messages(&ask.caller, &task, records).await.map_err(|e| ask.fault(&e))?;
    let datahub = datahub_id(&task);
    let ids: Vec<String> =
        sent.iter().map(|at| at.as_ref().map(|at| ids::message(&datahub, at)).unwrap_or_default()).collect();
    Ok(Reply::from(json!({ "MessageId": ids })))
}
