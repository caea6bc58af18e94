//! Pipelines, connections, topics of the products' API, headers of dead letters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use model::{Connection, DipTopic, EndKind, OnFailure, Pipeline, PipelineEnd, Timestamp};

use super::words::{direction_word, origin_name, parse_direction_word, parse_origin};
use super::{Record, SealedText, broken};
use crate::Result;

fn kind_of(word: &str) -> Result<EndKind> {
    EndKind::named(word).ok_or_else(|| broken(format!("unknown kind of end {word:?}")))
}

#[derive(Serialize, Deserialize)]
struct EndRecord {
    kind: String,
    connection: Option<String>,
    address: String,
    secret: Option<SealedText>,
    options: String,
}

impl EndRecord {
    fn of(e: &PipelineEnd) -> Self {
        Self {
            kind: e.kind.name().into(),
            connection: e.connection.as_ref().map(|c| c.0.clone()),
            address: e.address.clone(),
            secret: e.secret.as_ref().map(SealedText::of),
            options: e.options.clone(),
        }
    }

    fn noun(self) -> Result<PipelineEnd> {
        Ok(PipelineEnd {
            kind: kind_of(&self.kind)?,
            connection: self.connection.map(Into::into),
            address: self.address,
            secret: self.secret.map(|s| s.sealed()).transpose()?,
            options: self.options,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnFailureRecord {
    Block,
    Drop,
    Pass,
    Keep { copy: Option<EndRecord>, retries: u32, interval_ms: u64 },
    Aside { to: EndRecord, retry_s: Option<u64> },
}

impl OnFailureRecord {
    fn of(f: &OnFailure) -> Self {
        match f {
            OnFailure::Block => Self::Block,
            OnFailure::Drop => Self::Drop,
            OnFailure::Pass => Self::Pass,
            OnFailure::Keep { copy, retries, interval_ms } => Self::Keep {
                copy: copy.as_deref().map(EndRecord::of),
                retries: *retries,
                interval_ms: *interval_ms,
            },
            OnFailure::Aside { to, retry_s } => Self::Aside { to: EndRecord::of(to), retry_s: *retry_s },
        }
    }

    fn noun(self) -> Result<OnFailure> {
        Ok(match self {
            Self::Block => OnFailure::Block,
            Self::Drop => OnFailure::Drop,
            Self::Pass => OnFailure::Pass,
            Self::Keep { copy, retries, interval_ms } => {
                let copy = copy.map(|c| c.noun().map(Box::new)).transpose()?;
                OnFailure::Keep { copy, retries, interval_ms }
            }
            Self::Aside { to, retry_s } => OnFailure::Aside { to: Box::new(to.noun()?), retry_s },
        })
    }
}

/// What a pipeline is, without what its runs change.
#[derive(Serialize, Deserialize)]
pub(crate) struct PipelineRecord {
    id: String,
    account: String,
    name: String,
    description: String,
    direction: String,
    source: EndRecord,
    sink: EndRecord,
    transform: Option<String>,
    on_failure: OnFailureRecord,
    on_refusal: OnFailureRecord,
    lanes: Option<u32>,
    bytes_per_s: Option<u64>,
    records_per_s: Option<u64>,
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    created_us: i64,
}

impl Record for PipelineRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "pipeline";
}

impl PipelineRecord {
    pub(crate) fn of(p: &Pipeline) -> Self {
        Self {
            id: p.id.0.clone(),
            account: p.account.0.clone(),
            name: p.name.clone(),
            description: p.description.clone(),
            direction: direction_word(p.direction).into(),
            source: EndRecord::of(&p.source),
            sink: EndRecord::of(&p.sink),
            transform: p.transform.clone(),
            on_failure: OnFailureRecord::of(&p.on_failure),
            on_refusal: OnFailureRecord::of(&p.on_refusal),
            lanes: p.lanes,
            bytes_per_s: p.bytes_per_s,
            records_per_s: p.records_per_s,
            attributes: p.attributes.clone(),
            tags: p.tags.clone(),
            created_us: p.created.0,
        }
    }

    /// The pipeline, with what its runs change as at its birth.
    pub(crate) fn noun(self) -> Result<Pipeline> {
        Ok(Pipeline {
            id: self.id.into(),
            account: self.account.into(),
            name: self.name,
            description: self.description,
            direction: parse_direction_word(&self.direction)?,
            source: self.source.noun()?,
            sink: self.sink.noun()?,
            transform: self.transform,
            on_failure: self.on_failure.noun()?,
            on_refusal: self.on_refusal.noun()?,
            lanes: self.lanes,
            bytes_per_s: self.bytes_per_s,
            records_per_s: self.records_per_s,
            status: model::PipelineStatus::Creating,
            error: None,
            ledger: model::Ledger::default(),
            attempt: 0,
            attributes: self.attributes,
            tags: self.tags,
            created: Timestamp(self.created_us),
            deleted: None,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ConnectionRecord {
    id: String,
    account: Option<String>,
    name: String,
    description: String,
    kind: Option<String>,
    product: String,
    address: String,
    secret: Option<SealedText>,
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    origin: String,
    created_us: i64,
}

impl Record for ConnectionRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "connection";
}

impl ConnectionRecord {
    pub(crate) fn of(c: &Connection) -> Self {
        Self {
            id: c.id.0.clone(),
            account: c.account.as_ref().map(|a| a.0.clone()),
            name: c.name.clone(),
            description: c.description.clone(),
            kind: c.kind.map(|k| k.name().to_owned()),
            product: c.product.clone(),
            address: c.address.clone(),
            secret: c.secret.as_ref().map(SealedText::of),
            attributes: c.attributes.clone(),
            tags: c.tags.clone(),
            origin: origin_name(c.origin).into(),
            created_us: c.created.0,
        }
    }

    pub(crate) fn noun(self) -> Result<Connection> {
        Ok(Connection {
            id: self.id.into(),
            account: self.account.map(Into::into),
            name: self.name,
            description: self.description,
            kind: self.kind.as_deref().map(kind_of).transpose()?,
            product: self.product,
            address: self.address,
            secret: self.secret.map(|s| s.sealed()).transpose()?,
            attributes: self.attributes,
            tags: self.tags,
            origin: parse_origin(&self.origin)?,
            created: Timestamp(self.created_us),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DipTopicRecord {
    id: String,
    account: String,
    name: String,
    note: String,
    partitions: u32,
    retention_ms: u64,
    user: String,
    password: SealedText,
    tags: BTreeMap<String, String>,
    created_us: i64,
}

impl Record for DipTopicRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "topic";
}

impl DipTopicRecord {
    pub(crate) fn of(t: &DipTopic) -> Self {
        Self {
            id: t.id.clone(),
            account: t.account.0.clone(),
            name: t.name.clone(),
            note: t.note.clone(),
            partitions: t.partitions,
            retention_ms: t.retention_ms,
            user: t.user.clone(),
            password: SealedText::of(&t.password),
            tags: t.tags.clone(),
            created_us: t.created.0,
        }
    }

    pub(crate) fn noun(self) -> Result<DipTopic> {
        Ok(DipTopic {
            id: self.id,
            account: self.account.into(),
            name: self.name,
            note: self.note,
            partitions: self.partitions,
            retention_ms: self.retention_ms,
            user: self.user,
            password: self.password.sealed()?,
            tags: self.tags,
            created: Timestamp(self.created_us),
        })
    }
}

/// Headers of a dead letter: name and value.
pub(crate) type HeaderList = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Version of the form below: its first byte.
const HEADERS: u8 = 1;

/// Headers as bytes: the version, then for each its name and value, with the length before (4 bytes, little endian; all
/// ones = no value).
pub(crate) fn encode_headers(headers: &HeaderList) -> Vec<u8> {
    let mut out = vec![HEADERS];
    let mut piece = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(u32::MAX, |b| u32::try_from(b.len()).unwrap_or(u32::MAX - 1));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes.unwrap_or_default());
    };
    for (name, value) in headers {
        piece(Some(name));
        piece(value.as_deref());
    }
    out
}

/// Reads that form.
pub(crate) fn decode_headers(bytes: &[u8]) -> Result<HeaderList> {
    fn piece<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == u32::MAX {
            *rest = after;
            return Some(None);
        }
        let (bytes, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
        *rest = after;
        Some(Some(bytes))
    }
    let torn = || broken("headers of a dead letter can't be read");
    let mut rest = match bytes.split_first() {
        None => return Ok(Vec::new()),
        Some((&HEADERS, rest)) => rest,
        Some(_) => return Err(torn()),
    };
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let name = piece(&mut rest).flatten().ok_or_else(torn)?.to_vec();
        let value = piece(&mut rest).ok_or_else(torn)?.map(<[u8]>::to_vec);
        headers.push((name, value));
    }
    Ok(headers)
}
