//! `ListFlows`, `GetFlow`, `CreateFlow`, `DeleteFlow`.

use std::collections::BTreeMap;

use api::Fault;
use control::{Caller, Control, FlowFilter, NewFlow, Page};
use model::{AccountId, DirectoryEnd, Door, FileSystemId, FlowId, ObjectEnd};
use serde::Deserialize;

use super::Id;
use crate::fault::fault;
use crate::translate;
use crate::wire::{FlowView, Flows};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    offset: u64,
    #[serde(default = "hundred")]
    limit: u64,
}

fn hundred() -> u64 {
    100
}

pub async fn list(c: &Control, request: List) -> Result<Flows, Fault> {
    let page = Page { offset: request.offset, limit: request.limit.min(1000), newest_first: true };
    let (flows, total) = c.flows(&Caller::operator(), &FlowFilter::default(), page).await.map_err(fault)?;
    Ok(Flows { flows: flows.iter().map(translate::flow).collect(), total })
}

pub async fn get(c: &Control, request: Id) -> Result<FlowView, Fault> {
    let flow = c.flow(&Caller::operator(), &FlowId(request.id)).await.map_err(fault)?;
    Ok(translate::flow(&flow))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    file_system: String,
    directory: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    name: String,
}

pub async fn create(c: &Control, account: &str, request: Create) -> Result<FlowView, Fault> {
    let store = c.resolve_bucket(&request.bucket).await.map_err(fault)?;
    let file_system = c.file_system(&FileSystemId(request.file_system)).await.map_err(fault)?;
    let flow = c
        .create_flow(
            &Caller { account: AccountId::from(account), operator: true },
            NewFlow {
                id: FlowId(format!("flow-{}", c.random().hex(12))),
                door: Door::Admin,
                directory: DirectoryEnd {
                    file_system: file_system.id,
                    root: file_system.root,
                    path: directory_form(&request.directory),
                },
                fileset: None,
                empty_fileset: false,
                object: ObjectEnd {
                    store: store.id,
                    bucket: request.bucket,
                    prefix: directory_form(&request.prefix),
                },
                credentials: None,
                name: request.name,
                description: String::new(),
                attributes: BTreeMap::new(),
                sealed_attributes: BTreeMap::new(),
                probe: true,
            },
        )
        .await
        .map_err(fault)?;
    Ok(translate::flow(&flow))
}

pub async fn delete(c: &Control, request: Id) -> Result<(), Fault> {
    c.delete_flow(&Caller::operator(), &FlowId(request.id)).await.map_err(fault)
}

/// Without leading `/`, with a trailing one unless empty: the form of the model's paths.
pub fn directory_form(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("{path}/") }
}
