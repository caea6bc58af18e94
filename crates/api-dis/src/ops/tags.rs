//! Tags of streams: `CreateTag`, `DeleteTag`, `BatchCreateTags`, `BatchDeleteTags`, `ShowStreamTags`, `ListTags`.

use super::create_stream::{MOST_TAGS, tag, tags};
use super::{done, list_streams};
use crate::fault::{invalid, refuse};
use crate::request::Ask;
use crate::tables::{TAG_GIVEN, TAGS};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{Error, ErrorKind, Noun};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const STREAM: Field = Field::new("stream_id", Ty::Str).required();
const TAGS_GIVEN: Ty = Ty::List(&Ty::Object(TAG_GIVEN));

/// Fields of `CreateTag`.
pub const CREATE: Operation = Operation {
    action: "CreateTag",
    request: &[STREAM, Field::new("tag", Ty::Object(TAG_GIVEN)).required()],
    response: &[],
    note: "A tag with this key is replaced. A stream's name does as well as its id.",
};

/// Fields of `DeleteTag`.
pub const DELETE: Operation = Operation {
    action: "DeleteTag",
    request: &[STREAM, Field::new("key", Ty::Str).required()],
    response: &[],
    note: "",
};

/// Fields of `BatchCreateTags`.
pub const BATCH_CREATE: Operation = Operation {
    action: "BatchCreateTags",
    request: &[STREAM, Field::new("action", Ty::Str).required(), Field::new("tags", TAGS_GIVEN).required()],
    response: &[],
    note: "All or none.",
};

/// Fields of `BatchDeleteTags`.
pub const BATCH_DELETE: Operation = Operation {
    action: "BatchDeleteTags",
    request: &[STREAM, Field::new("action", Ty::Str).required(), Field::new("tags", TAGS_GIVEN).required()],
    response: &[],
    note: "What is not there is no error. A value that is given has to be the tag's.",
};

/// Fields of `ShowStreamTags`.
pub const SHOW: Operation = Operation {
    action: "ShowStreamTags",
    request: &[STREAM],
    response: &[Field::new("tags", TAGS)],
    note: "",
};

/// Fields of `ListTags`.
pub const LIST: Operation = Operation {
    action: "ListTags",
    request: &[],
    response: &[Field::new(
        "tags",
        Ty::List(&Ty::Object(&[Field::new("key", Ty::Str), Field::new("values", Ty::List(&Ty::Str))])),
    )],
    note: "Of all streams of the account.",
};

type Tags = BTreeMap<String, String>;

/// Adds tags, if there is room for all.
fn add(to: &mut Tags, more: Tags) -> Result<(), Error> {
    to.extend(more);
    match to.len() {
        n if n > MOST_TAGS => Err(Error::new(ErrorKind::LimitExceeded, "a stream has 10 tags at most")),
        _ => Ok(()),
    }
}

async fn change(ask: &Ask<'_>, change: impl FnOnce(&mut Tags) -> Result<(), Error> + Send) -> Outcome {
    let changed = ask.control.change_dis_tags(&ask.caller, ask.name("stream_id"), change).await;
    changed.map_err(|e| match e.kind {
        ErrorKind::LimitExceeded => {
            refuse("DIS.4601", "The number of resource tags has reached the maximum.")
        }
        ErrorKind::NotFound(Noun::Stream) => refuse("DIS.4603", "The resource does not exist."),
        _ => ask.fault(&e),
    })?;
    Ok(done(204))
}

/// Answers `CreateTag`.
///
/// # Errors
/// In the product's words.
pub async fn create(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&CREATE, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let one = p.object("tag").ok_or_else(|| invalid("The parameter `tag` is missing."))?;
    let more = Tags::from([tag(&one)?]);
    change(ask, |tags| add(tags, more)).await
}

/// Answers `DeleteTag`.
///
/// # Errors
/// In the product's words.
pub async fn delete(ask: &Ask<'_>) -> Outcome {
    ask.read(&DELETE, &[])?;
    let key = ask.name("key").to_owned();
    let remove = move |tags: &mut Tags| match tags.remove(&key) {
        Some(_) => Ok(()),
        None => Err(Error::not_found(Noun::Tag, "")),
    };
    change(ask, remove).await
}

/// Answers both actions of `…/tags/action`, as the body says.
///
/// # Errors
/// In the product's words.
pub async fn batch(ask: &Ask<'_>) -> Outcome {
    let operation = match ask.call.params.get("action").and_then(Value::as_str) {
        Some("delete") => &BATCH_DELETE,
        Some("create") => &BATCH_CREATE,
        None => &BATCH_CREATE,
        Some(_) => return Err(refuse("DIS.4605", "The action is not supported.")),
    };
    let given = ask.read(operation, &[])?;
    let p = Params::unchecked(&given.fields, true);
    if p.text("action") == "create" {
        let more = tags(&p.objects("tags"))?;
        return change(ask, |tags| add(tags, more)).await;
    }
    let gone: Vec<(String, Option<String>)> = p
        .objects("tags")
        .iter()
        .map(|t| (t.text("key").to_owned(), t.str("value").filter(|v| !v.is_empty()).map(str::to_owned)))
        .collect();
    let remove = move |tags: &mut Tags| {
        tags.retain(|k, v| {
            !gone.iter().any(|(key, value)| key == k && value.as_ref().is_none_or(|g| g == v))
        });
        Ok(())
    };
    change(ask, remove).await
}

/// Answers `ShowStreamTags`.
///
/// # Errors
/// In the product's words.
pub async fn show(ask: &Ask<'_>) -> Outcome {
    ask.read(&SHOW, &[])?;
    let missing = |_: Fault| refuse("DIS.4603", "The resource does not exist.");
    let s = ask.stream(ask.name("stream_id")).await.map_err(missing)?;
    Ok(Reply::from(json!({ "tags": list_streams::tags(&s.tags) })))
}

/// Answers `ListTags`.
///
/// # Errors
/// In the product's words.
pub async fn list(ask: &Ask<'_>) -> Outcome {
    ask.read(&LIST, &[])?;
    let all = ask.control.dis_streams(&ask.caller).await.map_err(|e| ask.fault(&e))?;
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in all.iter().flat_map(|s| &s.tags) {
        values.entry(key).or_default().insert(value);
    }
    let tags: Vec<Value> =
        values.into_iter().map(|(key, values)| json!({ "key": key, "values": values })).collect();
    Ok(Reply::from(json!({ "tags": tags })))
}
