//! `ListResources`, `PutFileSystem`, `PutObjectStore`, `RemoveResource`.

use std::path::PathBuf;

use api::Fault;
use control::{Control, ErrorKind, Noun};
use model::{FileSystem, FileSystemId, ObjectStore, ObjectStoreId, Origin, Timestamp};

use super::Id;
use crate::fault::fault;
use crate::translate;
use crate::wire::{FileSystemView, ObjectStoreView, Resources};

pub async fn list(c: &Control) -> Result<Resources, Fault> {
    let file_systems = c.file_systems().await.map_err(fault)?;
    let object_stores = c.object_stores().await.map_err(fault)?;
    Ok(Resources {
        file_systems: file_systems.iter().map(translate::file_system).collect(),
        object_stores: object_stores.iter().map(translate::object_store).collect(),
    })
}

pub async fn put_file_system(c: &Control, request: FileSystemView) -> Result<(), Fault> {
    let Some((product, version)) = translate::product_of(&request.id) else {
        return Err(Fault::tencent("Invalid", "id must be cfs-, cpfs- or bmcpfs- and letters or digits"));
    };
    let root = PathBuf::from(&request.root);
    if !root.is_absolute() {
        return Err(Fault::tencent("Invalid", "root must be an absolute path"));
    }
    let version = if request.version.is_empty() { version.to_owned() } else { request.version };
    let created = Timestamp(c.clock().now().0);
    c.put_file_system(FileSystem {
        id: FileSystemId(request.id),
        product,
        root,
        version,
        description: request.description,
        capacity_gib: 1024,
        bandwidth_mbps: 2000,
        region: "local".to_owned(),
        zone: "local-1".to_owned(),
        allow_destroy: false,
        origin: Origin::Registered,
        created,
    })
    .await
    .map_err(fault)
}

pub async fn put_store(c: &Control, request: ObjectStoreView) -> Result<(), Fault> {
    let dialect = translate::dialect(&request.dialect)
        .ok_or_else(|| Fault::tencent("Invalid", "dialect must be s3, cos, oss or obs"))?;
    if !(request.url.starts_with("http://") || request.url.starts_with("https://")) {
        return Err(Fault::tencent("Invalid", "url must start with http:// or https://"));
    }
    if request.access_key_id.is_some() != request.access_key_secret.is_some() {
        return Err(Fault::tencent("Invalid", "access_key_id and access_key_secret go together"));
    }
    let buckets = if request.buckets.is_empty() { vec!["*".to_owned()] } else { request.buckets };
    let created = Timestamp(c.clock().now().0);
    c.put_object_store(ObjectStore {
        id: ObjectStoreId(request.id),
        url: request.url.trim_end_matches('/').to_owned(),
        region: request.region,
        dialect,
        path_style: request.path_style,
        access_key_id: request.access_key_id,
        secret: request.access_key_secret.map(|s| c.seal(&s)),
        buckets,
        hosts: request.hosts,
        ca_pem: None,
        origin: Origin::Registered,
        created,
    })
    .await
    .map_err(fault)
}

/// The identifier may name either kind.
pub async fn remove(c: &Control, request: Id) -> Result<(), Fault> {
    match c.remove_file_system(&FileSystemId(request.id.clone())).await {
        Err(e) if e.kind == ErrorKind::NotFound(Noun::FileSystem) => {
            c.remove_object_store(&ObjectStoreId(request.id)).await.map_err(fault)
        }
        other => other.map_err(fault),
    }
}
