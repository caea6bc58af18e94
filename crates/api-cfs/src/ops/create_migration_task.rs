//! `CreateMigrationTask`: one bulk copy between a bucket of any of five vendors and a directory.
//!
//! The product answers at once and lets a task with a wrong key fail. A migration task has no field
//! that could say why it failed, so the bucket is asked here first, with the request's key.

use super::create_lifecycle_data_task::{DIALECT, DIR_MODE, FILE_MODE};
use crate::fault;
use crate::request::{Ask, bounded, given};
use crate::translate::{attributes as words, ids, paths, services, states};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::NewTask;
use model::{
    ConflictPolicy, DataType, Direction, DirectoryEnd, Door, FileSystem, ObjectEnd, ObjectStore, Originator,
    Selection, TaskId, TaskKind, TransferSpec,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateMigrationTask",
    request: &[
        Field::new("TaskName", Ty::Str).required(),
        Field::new("MigrationType", Ty::Uint).required(),
        Field::new("MigrationMode", Ty::Uint).required(),
        Field::new("SrcSecretId", Ty::Str).required(),
        Field::new("SrcSecretKey", Ty::Str).required(),
        Field::new("FileSystemId", Ty::Str).required(),
        Field::new("FsPath", Ty::Str).required(),
        Field::new("CoverType", Ty::Uint).required(),
        Field::new("SrcService", Ty::Str).required(),
        Field::new("BucketName", Ty::Str),
        Field::new("BucketRegion", Ty::Str),
        Field::new("BucketAddress", Ty::Str),
        Field::new("ListAddress", Ty::Str),
        Field::new("FsName", Ty::Str).stored("kept and shown; the file system is the one of FileSystemId"),
        Field::new("BucketPath", Ty::Str),
        Field::new("Direction", Ty::Uint),
    ],
    response: &[Field::new("TaskId", Ty::Str)],
    note: "The bucket is asked with the request's key first. ListAddress must be an address of a store of the \
           catalogue: the server fetches nothing from elsewhere.",
};

/// Names that a new identifier may meet before we give up.
const ID_TRIES: usize = 4;
/// Bytes of an address, a bucket or a region at most.
const MAX_WORD: usize = 2_048;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    task_id: String,
}

/// The numbers of a request, checked.
struct Mode {
    list: bool,
    cover: ConflictPolicy,
    direction: Direction,
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let mode = mode(&p)?;
    if !ids::is_task_name(p.text("TaskName")) {
        return Err(fault::value("The TaskName may have 128 characters and must have one."));
    }
    for name in words::MIGRATION_WORDS {
        bounded(&p, name, MAX_WORD)?;
    }
    let fs = file_system(ask, &p).await?;
    let directory = directory(ask, &p, &fs, mode.direction).await?;
    let object = if mode.list { list_end(ask, &p).await? } else { bucket_end(ask, &p).await? };
    let credentials = ask.credentials(p.text("SrcSecretId"), p.text("SrcSecretKey"), fault::VALUE)?;
    ask.control.probe_source(&object, Some(&credentials)).await.map_err(|e| ask.fault(&e))?;
    let spec = TransferSpec {
        direction: mode.direction,
        credentials: Some(credentials),
        selection: if mode.list {
            Selection::ListUrl(p.text("ListAddress").to_owned())
        } else {
            Selection::All
        },
        conflict: mode.cover,
        data: DataType::MetaAndData,
        dialect: DIALECT,
        create_directory: true,
        default_file_mode: FILE_MODE,
        default_dir_mode: DIR_MODE,
        object,
        directory,
    };
    let task_id = create(ask, &p, spec).await?;
    Reply::from_serialize(&Answer { task_id })
}

fn mode(p: &Params<'_>) -> Result<Mode, Fault> {
    let number = |name: &str| p.u64(name).unwrap_or_default();
    let list = match number("MigrationType") {
        0 => false,
        1 => true,
        _ => return Err(fault::value("The MigrationType must be 0 or 1.")),
    };
    if number("MigrationMode") != 0 {
        return Err(fault::value("The MigrationMode must be 0."));
    }
    let cover =
        states::cover(number("CoverType")).ok_or_else(|| fault::value("The CoverType must be 0, 1 or 2."))?;
    let direction = match number("Direction") {
        0 => Direction::Import,
        1 if list => return Err(fault::value("A list can only be migrated to a file system: Direction 0.")),
        1 => Direction::Export,
        _ => return Err(fault::value("The Direction must be 0 or 1.")),
    };
    Ok(Mode { list, cover, direction })
}

/// This action's documented codes know of no missing file system, only of wrong values.
async fn file_system(ask: &Ask<'_>, p: &Params<'_>) -> Result<FileSystem, Fault> {
    ask.file_system(p.text("FileSystemId"))
        .await
        .map_err(|f| if f.code == fault::FILE_SYSTEM_ID { fault::value(f.message) } else { f })
}

async fn directory(
    ask: &Ask<'_>,
    p: &Params<'_>,
    fs: &FileSystem,
    direction: Direction,
) -> Result<DirectoryEnd, Fault> {
    let at = paths::migration(p.text("FsPath"))
        .map_err(|e| fault::value(format!("The FsPath is invalid: {}.", e.reason())))?;
    if direction == Direction::Export
        && !ask.control.directory_exists(fs, &at.path).await.map_err(|e| ask.fault(&e))?
    {
        return Err(fault::value("The FsPath is no directory of the file system."));
    }
    Ok(DirectoryEnd { file_system: fs.id.clone(), root: fs.root.clone(), path: at.as_directory() })
}

fn prefix(p: &Params<'_>) -> Result<String, Fault> {
    paths::prefix(given(p, "BucketPath").unwrap_or("/"))
        .map_err(|e| fault::value(format!("The BucketPath is invalid: {}.", e.reason())))
}

/// Bucket mode: by address, or else by name among the stores of the vendor.
async fn bucket_end(ask: &Ask<'_>, p: &Params<'_>) -> Result<ObjectEnd, Fault> {
    let prefix = prefix(p)?;
    let service = service(p)?;
    let name = given(p, "BucketName");
    if let Some(address) = given(p, "BucketAddress") {
        let (store, bucket) = ask.control.resolve_address(address).await.map_err(|e| ask.fault(&e))?;
        if name.is_some_and(|name| name != bucket) {
            return Err(fault::value("BucketName and BucketAddress name different buckets."));
        }
        return Ok(ObjectEnd { store: store.id, bucket, prefix });
    }
    let Some(name) = name else {
        return Err(fault::value(
            "A bucket is migrated by BucketName or BucketAddress; the request has neither.",
        ));
    };
    let catalogue = stores(ask).await?;
    let store = service
        .store_of(&catalogue, name, p.text("BucketRegion"))
        .ok_or_else(|| fault::value(format!("No {} store of this server has that bucket.", service.name)))?;
    Ok(ObjectEnd { store: store.id.clone(), bucket: name.to_owned(), prefix })
}

/// List mode: the list lies in the bucket that its lines speak of. A bucket that is named too must be
/// that one.
async fn list_end(ask: &Ask<'_>, p: &Params<'_>) -> Result<ObjectEnd, Fault> {
    service(p)?;
    let address = given(p, "ListAddress")
        .ok_or_else(|| fault::value("A list is migrated by ListAddress; the request has none."))?;
    let (store, bucket) = ask.control.resolve_address(address).await.map_err(|e| ask.fault(&e))?;
    let list = ObjectEnd { store: store.id, bucket, prefix: prefix(p)? };
    if given(p, "BucketName").is_some() || given(p, "BucketAddress").is_some() {
        let named = bucket_end(ask, p).await?;
        if named != list {
            return Err(fault::value("The list must lie in the bucket that the request names."));
        }
    }
    Ok(list)
}

async fn stores(ask: &Ask<'_>) -> Result<Vec<ObjectStore>, Fault> {
    ask.control.object_stores().await.map_err(|e| ask.fault(&e))
}

fn service(p: &Params<'_>) -> Result<&'static services::Service, Fault> {
    services::Service::named(p.text("SrcService"))
        .ok_or_else(|| fault::value("The SrcService must be COS, OSS, OBS, BOS or TOS."))
}

/// Makes the task under an identifier that nobody has.
async fn create(ask: &Ask<'_>, p: &Params<'_>, spec: TransferSpec) -> Result<String, Fault> {
    let mut new = NewTask {
        id: TaskId::from(""),
        door: Door::Cfs,
        kind: TaskKind::Transfer,
        parent: None,
        flow: None,
        attributes: attributes(p, &spec),
        spec,
        name: p.text("TaskName").to_owned(),
        originator: Originator::User,
    };
    for _ in 0..ID_TRIES {
        new.id = TaskId(ids::new_migration_id(ask.control.random()));
        match ask.control.create_task(&ask.caller, new.clone()).await {
            Ok(task) => return Ok(task.id.0),
            Err(e) if e.kind == control::ErrorKind::Exists(control::Noun::Task) => {}
            Err(e) => return Err(ask.fault(&e)),
        }
    }
    Err(Fault::tencent("InternalError", "No free identifier was found."))
}

fn attributes(p: &Params<'_>, spec: &TransferSpec) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> =
        words::MIGRATION_WORDS.map(|name| (name.to_owned(), p.text(name).to_owned())).into();
    found.insert("BucketName".to_owned(), spec.object.bucket.clone());
    if given(p, "BucketPath").is_none() {
        found.insert("BucketPath".to_owned(), "/".to_owned());
    }
    found.insert(words::FAMILY.to_owned(), words::MIGRATION.to_owned());
    found.insert(words::SRC_SERVICE.to_owned(), p.text("SrcService").to_owned());
    for name in [words::MIGRATION_TYPE, words::COVER_TYPE, words::DIRECTION] {
        found.insert(name.to_owned(), p.u64(name).unwrap_or_default().to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn numbers() {
        let read = |v: Value| mode(&Params::unchecked(&v, false)).map(|m| (m.list, m.direction));
        assert_eq!(read(json!({"MigrationType": 0, "CoverType": 2})).unwrap(), (false, Direction::Import));
        assert_eq!(read(json!({"MigrationType": 1})).unwrap(), (true, Direction::Import));
        assert_eq!(read(json!({"Direction": 1})).unwrap(), (false, Direction::Export));
        for bad in [
            json!({"MigrationType": 2}),
            json!({"MigrationMode": 1}),
            json!({"CoverType": 3}),
            json!({"Direction": 2}),
            json!({"MigrationType": 1, "Direction": 1}),
        ] {
            assert_eq!(read(bad).unwrap_err().code, "InvalidParameterValue");
        }
    }
}
