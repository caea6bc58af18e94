//! `CreateDatahubTopic`: a topic on the server's own cluster, with a user of its own.

use crate::fault::{self, PARAMETER, refuse};
use crate::request::{Ask, tags};
use crate::tables::TAG;
use crate::translate::ids;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::NewTopic;
use serde_json::json;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateDatahubTopic",
    request: &[
        Field::new("Name", Ty::Str).required(),
        Field::new("PartitionNum", Ty::Int).required(),
        Field::new("RetentionMs", Ty::Int).required(),
        Field::new("Note", Ty::Str),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    ],
    response: &[Field::new(
        "Result",
        Ty::Object(&[Field::new("TopicName", Ty::Str), Field::new("TopicId", Ty::Str)]),
    )],
    note: "The Name begins with the account's AppId and a hyphen, as with the product.",
};

/// Characters of a note at most.
const MAX_NOTE: usize = 64;
/// Milliseconds that records are kept at least, as with the product.
const MIN_RETENTION_MS: u64 = 60_000;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let name = p.text("Name");
    let app_id = &ask.call.caller.app_id;
    if !ids::is_topic_name(name, app_id) {
        return Err(refuse(
            PARAMETER,
            format!(
                "The parameter `Name` must be {app_id}- and letters, digits or hyphens; 128 characters at most."
            ),
        ));
    }
    let partitions = p.u64("PartitionNum").filter(|n| (1..=500).contains(n));
    let partitions = partitions
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| refuse(PARAMETER, "The parameter `PartitionNum` must be between 1 and 500."))?;
    let new = NewTopic {
        name: name.to_owned(),
        note: note(&p)?.to_owned(),
        partitions,
        retention_ms: retention(&p)?,
        tags: tags(&p, PARAMETER)?,
    };
    let made = ask.control.create_topic(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"Result": {"TopicName": made.name, "TopicId": made.id}})))
}

/// `Note`.
///
/// # Errors
/// `InvalidParameter`.
pub fn note<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let note = p.text("Note");
    if note.chars().count() > MAX_NOTE || note.chars().any(char::is_control) {
        return Err(refuse(PARAMETER, format!("The parameter `Note` may have {MAX_NOTE} characters.")));
    }
    Ok(note)
}

/// `RetentionMs`.
///
/// # Errors
/// `InvalidParameter`.
pub fn retention(p: &Params<'_>) -> Result<u64, Fault> {
    let ms = p.u64("RetentionMs").filter(|ms| *ms >= MIN_RETENTION_MS && i64::try_from(*ms).is_ok());
    ms.ok_or_else(|| {
        refuse(PARAMETER, format!("The parameter `RetentionMs` must be at least {MIN_RETENTION_MS}."))
    })
}

/// `Name` of a topic that is there.
///
/// # Errors
/// `InvalidParameter` for what no topic is called.
pub fn name<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let name = p.text("Name");
    if name.is_empty() || name.len() > 249 {
        return Err(fault::refuse(PARAMETER, "The parameter `Name` must have 1 to 249 characters."));
    }
    Ok(name)
}
