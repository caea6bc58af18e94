//! `wharf resource`

use std::io::BufRead as _;

use api_admin::wire::Resources;
use serde_json::json;

use super::{Answer, act, call};
use crate::cli::ResourceCommand;
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: ResourceCommand) -> Result<Answer, String> {
    match command {
        ResourceCommand::List { .. } => {
            let r: Resources = call(client, "ListResources", json!({})).await?;
            Ok(Answer::new(tables(&r), &r))
        }
        ResourceCommand::AddFilesystem { id, root, version, description, .. } => {
            let params = json!({
                "id": id, "product": "", "root": root, "version": version.unwrap_or_default(), "description": description,
            });
            act(client, "PutFileSystem", params).await?;
            Ok(Answer::new(format!("{id} is {root}"), &json!({ "id": id })))
        }
        ResourceCommand::AddStore {
            id,
            url,
            access_key_id,
            region,
            dialect,
            virtual_host,
            bucket,
            host,
            ..
        } => {
            let secret = match &access_key_id {
                Some(_) => Some(secret()?),
                None => None,
            };
            let params = json!({
                "id": id, "url": url, "region": region, "dialect": dialect, "path_style": !virtual_host,
                "access_key_id": access_key_id, "access_key_secret": secret, "buckets": bucket, "hosts": host,
            });
            act(client, "PutObjectStore", params).await?;
            Ok(Answer::new(format!("{id} is {url}"), &json!({ "id": id })))
        }
        ResourceCommand::Remove { id, .. } => {
            act(client, "RemoveResource", json!({ "id": id })).await?;
            Ok(Answer::new(format!("{id} is gone from the catalogue"), &json!({ "id": id })))
        }
    }
}

/// A secret never stands on the command line, where every user of the machine can read it.
fn secret() -> Result<String, String> {
    if let Ok(secret) = std::env::var("WHARF_STORE_SECRET") {
        return Ok(secret);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| format!("the secret can't be read: {e}"))?;
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() {
        Err("the secret is empty: give it on standard input or in WHARF_STORE_SECRET".to_owned())
    } else {
        Ok(secret)
    }
}

fn tables(r: &Resources) -> String {
    let file_systems = r
        .file_systems
        .iter()
        .map(|f| vec![f.id.clone(), f.product.clone(), f.version.clone(), f.root.clone(), f.origin.clone()]);
    let stores = r.object_stores.iter().map(|o| {
        vec![
            o.id.clone(),
            o.url.clone(),
            o.dialect.clone(),
            o.buckets.join(" "),
            o.hosts.join(" "),
            o.access_key_id.clone().unwrap_or_default(),
            o.origin.clone(),
        ]
    });
    format!(
        "{}\n\n{}",
        words::table(&["FILE SYSTEM", "PRODUCT", "VERSION", "ROOT", "FROM"], file_systems.collect()),
        words::table(
            &["OBJECT STORE", "URL", "DIALECT", "BUCKETS", "HOSTS", "ACCESS KEY", "FROM"],
            stores.collect()
        )
    )
}
