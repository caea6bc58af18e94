//! Streams of the DIS API and the applications that read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use model::{
    AutoScale, DisApp, DisData, DisKind, DisPartition, DisStatus, DisStream, DisStreamId, PartitionChange,
    Timestamp,
};

use super::{Record, broken};
use crate::Result;

#[derive(Serialize, Deserialize)]
struct PartitionRecord {
    index: u32,
    first_hash: u64,
    last_hash: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ChangeRecord {
    at_us: i64,
    from: u32,
    to: u32,
    auto: bool,
}

#[derive(Serialize, Deserialize)]
struct AutoScaleRecord {
    enabled: bool,
    least: u32,
    most: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DisStreamRecord {
    id: String,
    account: String,
    name: String,
    topic: String,
    status: String,
    kind: String,
    data: String,
    schema: Option<String>,
    csv_delimiter: Option<String>,
    compression: Option<String>,
    retention_hours: u32,
    auto_scale: AutoScaleRecord,
    partitions: Vec<PartitionRecord>,
    changes: Vec<ChangeRecord>,
    tags: BTreeMap<String, String>,
    system_tags: BTreeMap<String, String>,
    created_us: i64,
    modified_us: i64,
}

impl Record for DisStreamRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "stream";
}

impl DisStreamRecord {
    pub(crate) fn of(s: &DisStream) -> Self {
        let partition = |p: &DisPartition| PartitionRecord {
            index: p.index,
            first_hash: p.first_hash,
            last_hash: p.last_hash,
            parents: p.parents.clone(),
            closed_us: p.closed.map(|t| t.0),
        };
        let change =
            |c: &PartitionChange| ChangeRecord { at_us: c.at.0, from: c.from, to: c.to, auto: c.auto };
        let AutoScale { enabled, least, most } = s.auto_scale;
        Self {
            id: s.id.0.clone(),
            account: s.account.0.clone(),
            name: s.name.clone(),
            topic: s.topic.clone(),
            status: s.status.name().into(),
            kind: s.kind.name().into(),
            data: s.data.name().into(),
            schema: s.schema.clone(),
            csv_delimiter: s.csv_delimiter.clone(),
            compression: s.compression.clone(),
            retention_hours: s.retention_hours,
            auto_scale: AutoScaleRecord { enabled, least, most },
            partitions: s.partitions.iter().map(partition).collect(),
            changes: s.changes.iter().map(change).collect(),
            tags: s.tags.clone(),
            system_tags: s.system_tags.clone(),
            created_us: s.created.0,
            modified_us: s.modified.0,
        }
    }

    pub(crate) fn noun(self) -> Result<DisStream> {
        let word = |what: &str, word: &str| broken(format!("unknown {what} of a stream {word:?}"));
        let partition = |p: PartitionRecord| DisPartition {
            index: p.index,
            first_hash: p.first_hash,
            last_hash: p.last_hash,
            parents: p.parents,
            closed: p.closed_us.map(Timestamp),
        };
        let change = |c: ChangeRecord| PartitionChange {
            at: Timestamp(c.at_us),
            from: c.from,
            to: c.to,
            auto: c.auto,
        };
        let AutoScaleRecord { enabled, least, most } = self.auto_scale;
        Ok(DisStream {
            id: DisStreamId(self.id),
            account: self.account.into(),
            name: self.name,
            topic: self.topic,
            status: DisStatus::named(&self.status).ok_or_else(|| word("status", &self.status))?,
            kind: DisKind::named(&self.kind).ok_or_else(|| word("kind", &self.kind))?,
            data: DisData::named(&self.data).ok_or_else(|| word("data type", &self.data))?,
            schema: self.schema,
            csv_delimiter: self.csv_delimiter,
            compression: self.compression,
            retention_hours: self.retention_hours,
            auto_scale: AutoScale { enabled, least, most },
            partitions: self.partitions.into_iter().map(partition).collect(),
            changes: self.changes.into_iter().map(change).collect(),
            tags: self.tags,
            system_tags: self.system_tags,
            created: Timestamp(self.created_us),
            modified: Timestamp(self.modified_us),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DisAppRecord {
    id: String,
    account: String,
    name: String,
    created_us: i64,
}

impl Record for DisAppRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "app";
}

impl DisAppRecord {
    pub(crate) fn of(a: &DisApp) -> Self {
        let (account, created_us) = (a.account.0.clone(), a.created.0);
        Self { id: a.id.clone(), account, name: a.name.clone(), created_us }
    }

    pub(crate) fn noun(self) -> DisApp {
        let (account, created) = (self.account.into(), Timestamp(self.created_us));
        DisApp { id: self.id, account, name: self.name, created }
    }
}
