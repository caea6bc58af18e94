//! Flows, and the two ends that flows and tasks have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use model::{Credentials, DirectoryEnd, Flow, ObjectEnd, Sealed, Timestamp};

use super::words::{door_name, flow_status_name, parse_door, parse_flow_status};
use super::{Record, SealedText, path_text};
use crate::Result;

#[derive(Serialize, Deserialize)]
pub(super) struct ObjectEndRecord {
    store: String,
    bucket: String,
    prefix: String,
}

impl ObjectEndRecord {
    pub(super) fn of(e: &ObjectEnd) -> Self {
        Self { store: e.store.0.clone(), bucket: e.bucket.clone(), prefix: e.prefix.clone() }
    }

    pub(super) fn noun(self) -> ObjectEnd {
        ObjectEnd { store: self.store.into(), bucket: self.bucket, prefix: self.prefix }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DirectoryEndRecord {
    file_system: String,
    root: String,
    path: String,
}

impl DirectoryEndRecord {
    pub(super) fn of(e: &DirectoryEnd) -> Result<Self> {
        Ok(Self { file_system: e.file_system.0.clone(), root: path_text(&e.root)?, path: e.path.clone() })
    }

    pub(super) fn noun(self) -> DirectoryEnd {
        DirectoryEnd { file_system: self.file_system.into(), root: self.root.into(), path: self.path }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct CredentialsRecord {
    access_key_id: String,
    secret: SealedText,
}

impl CredentialsRecord {
    pub(super) fn of(c: &Credentials) -> Self {
        Self { access_key_id: c.access_key_id.clone(), secret: SealedText::of(&c.secret) }
    }

    pub(super) fn noun(self) -> Result<Credentials> {
        Ok(Credentials { access_key_id: self.access_key_id, secret: self.secret.sealed()? })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FlowRecord {
    id: String,
    account: String,
    door: String,
    directory: DirectoryEndRecord,
    fileset: Option<String>,
    object: ObjectEndRecord,
    credentials: Option<CredentialsRecord>,
    status: String,
    error: Option<String>,
    name: String,
    description: String,
    attributes: BTreeMap<String, String>,
    sealed_attributes: BTreeMap<String, SealedText>,
    created_us: i64,
    updated_us: i64,
}

impl Record for FlowRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "flow";
}

impl FlowRecord {
    pub(crate) fn of(f: &Flow) -> Result<Self> {
        Ok(Self {
            id: f.id.0.clone(),
            account: f.account.0.clone(),
            door: door_name(f.door).into(),
            directory: DirectoryEndRecord::of(&f.directory)?,
            fileset: f.fileset.as_ref().map(|i| i.0.clone()),
            object: ObjectEndRecord::of(&f.object),
            credentials: f.credentials.as_ref().map(CredentialsRecord::of),
            status: flow_status_name(f.status).into(),
            error: f.error.clone(),
            name: f.name.clone(),
            description: f.description.clone(),
            attributes: f.attributes.clone(),
            sealed_attributes: f
                .sealed_attributes
                .iter()
                .map(|(k, v)| (k.clone(), SealedText::of(v)))
                .collect(),
            created_us: f.created.0,
            updated_us: f.updated.0,
        })
    }

    pub(crate) fn noun(self) -> Result<Flow> {
        let sealed: Result<BTreeMap<String, Sealed>> =
            self.sealed_attributes.into_iter().map(|(k, v)| Ok((k, v.sealed()?))).collect();
        Ok(Flow {
            id: self.id.into(),
            account: self.account.into(),
            door: parse_door(&self.door)?,
            directory: self.directory.noun(),
            fileset: self.fileset.map(Into::into),
            object: self.object.noun(),
            credentials: self.credentials.map(CredentialsRecord::noun).transpose()?,
            status: parse_flow_status(&self.status)?,
            error: self.error,
            name: self.name,
            description: self.description,
            attributes: self.attributes,
            sealed_attributes: sealed?,
            created: Timestamp(self.created_us),
            updated: Timestamp(self.updated_us),
        })
    }
}
