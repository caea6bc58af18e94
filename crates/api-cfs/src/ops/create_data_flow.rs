//! `CreateDataFlow`: binds a directory of a file system to a prefix of a bucket, with a key of its own.
//!
//! The bucket is asked with the request's key before anything is made, so that a wrong key or name is
//! told at once. The directory is made when it is missing; nothing else is written.

use crate::fault::{self, refuse};
use crate::request::{Ask, bounded, given};
use crate::translate::{attributes as words, ids, paths};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::NewFlow;
use model::{DirectoryEnd, Door, FileSystem, FlowId, ObjectEnd};
use serde::Serialize;
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateDataFlow",
    request: &[
        Field::new("FileSystemId", Ty::Str).required(),
        Field::new("SourceStorageType", Ty::Str).required(),
        Field::new("SourceStorageAddress", Ty::Str).required(),
        Field::new("SourcePath", Ty::Str).required(),
        Field::new("TargetPath", Ty::Str).required(),
        Field::new("SecretId", Ty::Str).required(),
        Field::new("SecretKey", Ty::Str).required(),
        Field::new("DataFlowName", Ty::Str),
        Field::new("AutoRefresh", Ty::Uint).stored(AUTO_REFRESH_NOTE),
        Field::new("UserKafkaTopic", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("ServerAddr", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("UserName", Ty::Str).stored(AUTO_REFRESH_NOTE),
        Field::new("Password", Ty::Str).stored("sealed and never shown; auto refresh does not run yet"),
    ],
    response: &[Field::new("DataFlowId", Ty::Str)],
    note: "The target directory is made when it is missing. The bucket is asked with the request's key first.",
};

/// What auto refresh is worth today.
pub const AUTO_REFRESH_NOTE: &str =
    "kept and shown; auto refresh does not run yet and its status stays pending";

/// Names that a new identifier may meet before we give up.
const ID_TRIES: usize = 4;
/// Bytes of a topic, a user's name or a broker's address at most.
pub const MAX_KAFKA_WORD: usize = 512;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    data_flow_id: String,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let fs = ask.file_system(p.text("FileSystemId")).await?;
    let new = read(ask, &p, &fs).await?;
    ask.control.probe_source(&new.object, new.credentials.as_ref()).await.map_err(|e| ask.fault(&e))?;
    ask.control.make_directory(&fs, &new.directory.path).await.map_err(|e| ask.fault(&e))?;
    let data_flow_id = create(ask, new).await?;
    Reply::from_serialize(&Answer { data_flow_id })
}

/// Everything that the request says, checked.
async fn read(ask: &Ask<'_>, p: &Params<'_>, fs: &FileSystem) -> Result<NewFlow, Fault> {
    let kind = p.text("SourceStorageType");
    if !matches!(kind, "S3_COS" | "S3_L5") {
        return Err(refuse(fault::SOURCE_TYPE, "The SourceStorageType must be S3_COS or S3_L5."));
    }
    let name = flow_name(p)?;
    let target = paths::target(p.text("TargetPath"))
        .map_err(|e| refuse(fault::TARGET_PATH, format!("The TargetPath is invalid: {}.", e.reason())))?;
    let object = source(ask, p).await?;
    let credentials = ask.credentials(p.text("SecretId"), p.text("SecretKey"), fault::SOURCE_INFO)?;
    let mut attributes: BTreeMap<String, String> =
        [words::SOURCE_TYPE, words::SOURCE_ADDRESS, words::SOURCE_PATH, words::TARGET_PATH]
            .map(|name| (name.to_owned(), p.text(name).to_owned()))
            .into();
    attributes.extend(refresh(ask, p)?);
    let mut sealed_attributes = BTreeMap::new();
    if let Some(password) = password(p)? {
        sealed_attributes.insert(words::PASSWORD.to_owned(), ask.control.seal(password));
    }
    Ok(NewFlow {
        id: FlowId::from(""),
        door: Door::Cfs,
        directory: DirectoryEnd {
            file_system: fs.id.clone(),
            root: fs.root.clone(),
            path: target.as_directory(),
        },
        fileset: None,
        empty_fileset: false,
        object,
        credentials: Some(credentials),
        name: name.to_owned(),
        description: String::new(),
        attributes,
        sealed_attributes,
        probe: false,
    })
}

/// `DataFlowName`, for creation and change.
///
/// # Errors
/// [`fault::FLOW_NAME`].
pub fn flow_name<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let name = p.text("DataFlowName");
    if ids::is_flow_name(name) {
        return Ok(name);
    }
    Err(refuse(
        fault::FLOW_NAME,
        "The DataFlowName may have 64 characters: Chinese characters, letters, digits, _ and -.",
    ))
}

/// `Password`, for creation and change.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn password<'p>(p: &Params<'p>) -> Result<Option<&'p str>, Fault> {
    bounded(p, "Password", 1024)?;
    Ok(given(p, "Password"))
}

async fn source(ask: &Ask<'_>, p: &Params<'_>) -> Result<ObjectEnd, Fault> {
    let path = p.text("SourcePath");
    let prefix = match path {
        "" => Err("it is empty; the whole bucket is /"),
        path => paths::prefix(path).map_err(paths::Wrong::reason),
    }
    .map_err(|why| refuse(fault::SOURCE_INFO, format!("The SourcePath is invalid: {why}.")))?;
    let address = p.text("SourceStorageAddress");
    let (store, bucket) = ask.control.resolve_address(address).await.map_err(|e| ask.fault(&e))?;
    Ok(ObjectEnd { store: store.id, bucket, prefix })
}

/// The fields of auto refresh. With `AutoRefresh` 1 topic, address and user are needed.
fn refresh(ask: &Ask<'_>, p: &Params<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut found = BTreeMap::new();
    let on = switch(p)?.unwrap_or(false);
    found.insert(words::AUTO_REFRESH.to_owned(), u8::from(on).to_string());
    for name in [words::KAFKA_TOPIC, words::SERVER_ADDR, words::USER_NAME] {
        let value = bounded(p, name, MAX_KAFKA_WORD)?;
        if value.is_empty() && on {
            return Err(needed(name));
        }
        if !value.is_empty() {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    if on {
        found.insert(words::AUTO_REFRESH_TIME.to_owned(), ask.control.clock().now().0.to_string());
    }
    Ok(found)
}

/// A field that `AutoRefresh` 1 asks for.
pub fn needed(name: &str) -> Fault {
    refuse(fault::MISSING, format!("With AutoRefresh 1 the request must have the parameter `{name}`."))
}

/// `AutoRefresh`: 0 or 1.
///
/// # Errors
/// `InvalidParameterValue` for anything else.
pub fn switch(p: &Params<'_>) -> Result<Option<bool>, Fault> {
    match p.u64("AutoRefresh") {
        None => Ok(None),
        Some(0) => Ok(Some(false)),
        Some(1) => Ok(Some(true)),
        Some(_) => Err(fault::value("The AutoRefresh must be 0 or 1.")),
    }
}

/// Makes the flow under an identifier that nobody has.
async fn create(ask: &Ask<'_>, mut new: NewFlow) -> Result<String, Fault> {
    for _ in 0..ID_TRIES {
        new.id = FlowId(ids::new_flow_id(ask.control.random()));
        match ask.control.create_flow(&ask.caller, new.clone()).await {
            Ok(flow) => return Ok(flow.id.0),
            Err(e) if e.kind == control::ErrorKind::Exists(control::Noun::Flow) => {}
            Err(e) => return Err(ask.fault(&e)),
        }
    }
    Err(Fault::tencent("InternalError", "No free identifier was found."))
}
