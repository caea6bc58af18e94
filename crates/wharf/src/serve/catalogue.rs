//! What `wharf.toml` declares goes into the catalogue at every start. Declared things can only be
//! changed there. What was declared before and is gone from the file: an account is switched off, a
//! resource stays as an ordinary entry until it is removed.

use std::path::Path;

use control::{Control, GivenKey, GivenToken, NewAccount};
use model::{
    AccountId, Connection, ConnectionId, Dialect, EndKind, FileSystem, FileSystemId, ObjectStore,
    ObjectStoreId, Origin, Timestamp,
};
use serde_json::{Map, Value};

use super::reveal;
use crate::config::{Config, ConnectionConfig, ObjectStoreConfig};

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
    if c.kind == EndKind::Iceberg {
        return lakehouse(c, config, control);
    }
    if let Some(id) = &c.object_store {
        let store = object_store(id, config)?;
        address.extend(store_address(store));
        secret = store.key.as_ref().map(|(_, source)| source).or(secret);
        ca = store.ca_file.as_ref();
    }
    if let Some(file) = ca {
        address.insert("ca_pem".to_owned(), pem(file)?.into());
    }
    let address = if c.embedded { String::new() } else { Value::Object(address).to_string() };
    let secret = secret.map(reveal).transpose()?;
    Ok(declared(c, address, secret.as_deref(), control))
}

fn object_store<'a>(id: &str, config: &'a Config) -> Result<&'a ObjectStoreConfig, String> {
    config
        .object_stores
        .iter()
        .find(|o| o.id == *id)
        .ok_or_else(|| "its object_store is not there".to_owned())
}

fn pem(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

/// A store in the words of a bucket's connection, without secret and certificate.
fn store_address(store: &ObjectStoreConfig) -> Map<String, Value> {
    let dialect = match store.dialect {
        Dialect::S3 => "s3",
        Dialect::Cos => "cos",
        Dialect::Oss => "oss",
        Dialect::Obs => "obs",
    };
    let mut address = Map::new();
    address.insert("url".to_owned(), store.url.clone().into());
    address.insert("region".to_owned(), store.region.clone().into());
    address.insert("dialect".to_owned(), dialect.into());
    address.insert("path_style".to_owned(), store.path_style.into());
    if let Some((key, _)) = &store.key {
        address.insert("access_key_id".to_owned(), key.clone().into());
    }
    address
}

/// The server's own lakehouse: a catalogue in SQLite under the data folder, with the warehouse beside it.
pub fn lake(data_dir: &Path) -> Result<String, String> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = std::path::absolute(data_dir.join("lakehouse")).map_err(|e| e.to_string())?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| format!("{}: {e}", folder.display()))?;
    let at = folder.display();
    let address = serde_json::json!({
        "uri": format!("sqlite:{at}/catalog.db"),
        "warehouse": format!("file://{at}/warehouse"),
    });
    Ok(address.to_string())
}

/// A catalogue of tables. It may have a secret of its own beside the store's.
fn lakehouse(c: &ConnectionConfig, config: &Config, control: &Control) -> Result<Connection, String> {
    let mut address = c.address.clone();
    if c.embedded {
        let own: Map<String, Value> = serde_json::from_str(&lake(&config.data_dir)?).unwrap_or_default();
        for (key, value) in own {
            address.entry(key).or_insert(value);
        }
    }
    if let Some(file) = &c.ca_file {
        address.insert("ca_pem".to_owned(), pem(file)?.into());
    }
    let mut secrets = Map::new();
    if let Some(source) = &c.secret {
        secrets.insert("catalog".to_owned(), reveal(source)?.into());
    }
    if let Some(id) = &c.object_store {
        let store = object_store(id, config)?;
        let mut s3 = store_address(store);
        if let Some(file) = &store.ca_file {
            s3.insert("ca_pem".to_owned(), pem(file)?.into());
        }
        address.insert("s3".to_owned(), s3.into());
        if let Some((_, source)) = &store.key {
            secrets.insert("s3".to_owned(), reveal(source)?.into());
        }
    }
    let secret = (!secrets.is_empty()).then(|| Value::Object(secrets).to_string());
    Ok(declared(c, Value::Object(address).to_string(), secret.as_deref(), control))
}

fn declared(c: &ConnectionConfig, address: String, secret: Option<&str>, control: &Control) -> Connection {
    Connection {
        id: ConnectionId(c.id.clone()),
        account: None,
        name: c.name.clone(),
        description: c.description.clone(),
        kind: Some(c.kind),
        product: c.product.to_owned(),
        address,
        secret: secret.map(|s| control.seal(s)),
        attributes: c.attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
        tags: std::collections::BTreeMap::default(),
        origin: Origin::Config,
        created: Timestamp(control.clock().now().0),
    }
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
