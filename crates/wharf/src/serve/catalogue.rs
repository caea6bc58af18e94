//! What `wharf.toml` declares goes into the catalogue at every start. Declared things can only be
//! changed there. What was declared before and is gone from the file: an account is switched off, a
//! resource stays as an ordinary entry until it is removed.

use control::{Control, GivenKey, GivenToken, NewAccount};
use model::{
    AccountId, Connection, ConnectionId, Dialect, FileSystem, FileSystemId, ObjectStore, ObjectStoreId,
    Origin, Timestamp,
};

use super::reveal;
use crate::config::{Config, ConnectionConfig};

/// Declares accounts, file systems and object stores, and lets go of what is no longer declared.
pub async fn declare(config: &Config, control: &Control) -> Result<(), String> {
    accounts(config, control).await?;
    file_systems(config, control).await?;
    object_stores(config, control).await?;
    let file_systems: Vec<_> = config.file_systems.iter().map(|f| FileSystemId(f.id.clone())).collect();
    let stores: Vec<_> = config.object_stores.iter().map(|o| ObjectStoreId(o.id.clone())).collect();
    control.release_undeclared(&file_systems, &stores).await.map_err(|e| e.to_string())?;
    for c in &config.connections {
        let made = connection(c, config, control).map_err(|e| format!("connection {}: {e}", c.id))?;
        control.declare_connection(made).await.map_err(|e| format!("connection {}: {e}", c.id))?;
    }
    let connections: Vec<_> = config.connections.iter().map(|c| ConnectionId(c.id.clone())).collect();
    control.release_undeclared_connections(&connections).await.map_err(|e| e.to_string())
}

/// A connection in its connector's words. The embedded broker has none: it is the server's own.
fn connection(c: &ConnectionConfig, config: &Config, control: &Control) -> Result<Connection, String> {
    let (mut address, mut secret, mut ca) = (c.address.clone(), c.secret.as_ref(), c.ca_file.as_ref());
    if let Some(id) = &c.object_store {
        let store =
            config.object_stores.iter().find(|o| o.id == *id).ok_or("its object_store is not there")?;
        let dialect = match store.dialect {
            Dialect::S3 => "s3",
            Dialect::Cos => "cos",
            Dialect::Oss => "oss",
            Dialect::Obs => "obs",
        };
        address.insert("url".to_owned(), store.url.clone().into());
        address.insert("region".to_owned(), store.region.clone().into());
        address.insert("dialect".to_owned(), dialect.into());
        address.insert("path_style".to_owned(), store.path_style.into());
        if let Some((key, source)) = &store.key {
            address.insert("access_key_id".to_owned(), key.clone().into());
            secret = Some(source);
        }
        ca = store.ca_file.as_ref();
    }
    if let Some(file) = ca {
        let pem = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        address.insert("ca_pem".to_owned(), pem.into());
    }
    let address = if c.embedded { String::new() } else { serde_json::Value::Object(address).to_string() };
    Ok(Connection {
        id: ConnectionId(c.id.clone()),
        account: None,
        name: c.name.clone(),
        description: c.description.clone(),
        kind: Some(c.kind),
        product: c.product.to_owned(),
        address,
        secret: secret.map(reveal).transpose()?.map(|s| control.seal(&s)),
        attributes: c.attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
        tags: std::collections::BTreeMap::default(),
        origin: Origin::Config,
        created: Timestamp(control.clock().now().0),
    })
}

async fn accounts(config: &Config, control: &Control) -> Result<(), String> {
    for a in &config.accounts {
        let in_context = |e: String| format!("account {}: {e}", a.name);
        let secret = reveal(&a.secret).map_err(in_context)?;
        let tokens = a.tokens.iter().map(|t| reveal(t).map(GivenToken)).collect::<Result<_, _>>();
        let tokens: Vec<GivenToken> = tokens.map_err(in_context)?;
        control
            .declare_account(NewAccount {
                name: a.name.clone(),
                id: Some(a.name.clone()),
                app_id: Some(a.app_id.clone()),
                operator: a.operator,
                key: Some(GivenKey { access_key_id: a.access_key_id.clone(), secret }),
                tokens,
            })
            .await
            .map_err(|e| format!("account {}: {e}", a.name))?;
    }
    let declared: Vec<_> = config.accounts.iter().map(|a| AccountId(a.name.clone())).collect();
    control.release_undeclared_accounts(&declared).await.map_err(|e| e.to_string())
}

async fn file_systems(config: &Config, control: &Control) -> Result<(), String> {
    let created = Timestamp(control.clock().now().0);
    for f in &config.file_systems {
        match std::fs::metadata(&f.root) {
            Ok(m) if m.is_dir() => {}
            Ok(_) => return Err(format!("filesystem {}: {} is not a directory", f.id, f.root.display())),
            Err(e) => return Err(format!("filesystem {}: {}: {e}", f.id, f.root.display())),
        }
        let file_system = FileSystem {
            id: FileSystemId(f.id.clone()),
            product: f.product,
            root: f.root.clone(),
            version: f.version.clone(),
            description: f.description.clone(),
            capacity_gib: f.capacity_gib,
            bandwidth_mbps: f.bandwidth_mbps,
            region: f.region.clone(),
            zone: f.zone.clone(),
            allow_destroy: f.allow_destroy,
            origin: Origin::Config,
            created,
        };
        control.put_file_system(file_system).await.map_err(|e| format!("filesystem {}: {e}", f.id))?;
    }
    Ok(())
}

async fn object_stores(config: &Config, control: &Control) -> Result<(), String> {
    let created = Timestamp(control.clock().now().0);
    for o in &config.object_stores {
        let in_context = |e: String| format!("object_store {}: {e}", o.id);
        let key = match &o.key {
            Some((id, source)) => Some((id.clone(), control.seal(&reveal(source).map_err(in_context)?))),
            None => None,
        };
        let ca_pem = match &o.ca_file {
            Some(f) => {
                Some(std::fs::read_to_string(f).map_err(|e| in_context(format!("{}: {e}", f.display())))?)
            }
            None => None,
        };
        let (access_key_id, secret) = key.unzip();
        let store = ObjectStore {
            id: ObjectStoreId(o.id.clone()),
            url: o.url.clone(),
            region: o.region.clone(),
            dialect: o.dialect,
            path_style: o.path_style,
            access_key_id,
            secret,
            buckets: o.buckets.clone(),
            hosts: o.hosts.clone(),
            ca_pem,
            origin: Origin::Config,
            created,
        };
        control.put_object_store(store).await.map_err(|e| in_context(e.to_string()))?;
    }
    Ok(())
}
