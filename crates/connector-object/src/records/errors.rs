//! Error directories in a bucket.
//!
//! Each call makes two objects: `<prefix><stream>_<partition>_<first>_<last>_<task>.dat` with the exact bytes of the records' values, one after the other with a
//! newline behind each, and the same name with `.reason.json`, which says for each record its sequence number, its time, where in the
//! file it lies (begin and length in bytes) and why it is here. Names follow from the positions, so the same call again makes the same
//! objects.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector::records::{Aside, Batch, Context, Endpoint, ErrorDirectory, Problem, Split};
use connector::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::dump::{split_word, task_word};
use super::options::{check_place, mode_of, problem, refuse, site_of};
use crate::client::Client;
use crate::endpoint::Site;
use crate::ops::list::ListQuery;
use crate::ops::object::Condition;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 1024;
/// Objects that are removed at once.
const AT_ONCE: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "mode")]
    _mode: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    stream: Option<String>,
}

/// An error directory (options: `"mode": "errors"`, `bucket`, `prefix`, `stream`).
///
/// # Errors
/// `Unacceptable` bad options.
pub fn error_directory(endpoint: &Endpoint, context: &Context) -> Result<Rc<dyn ErrorDirectory>> {
    let site: Arc<Site> = site_of(endpoint)?;
    let raw = read(&endpoint.options).map_err(refuse)?;
    Ok(Rc::new(Directory {
        client: Client::new(&site),
        raw,
        context: context.clone(),
        first: Cell::new(true),
    }))
}

/// Are these options of an error directory?
pub(super) fn wanted(options: &str) -> bool {
    mode_of(options).is_some_and(|m| m == "errors")
}

/// All problems of the options.
pub(super) fn check(options: &str) -> Vec<Problem> {
    read(options).err().unwrap_or_default()
}

/// Where the directory of an endpoint lies.
pub(super) fn place(endpoint: &Endpoint) -> Result<(Arc<Site>, Box<str>)> {
    Ok((site_of(endpoint)?, read(&endpoint.options).map_err(refuse)?.bucket.into()))
}

fn read(options: &str) -> Result<Raw, Vec<Problem>> {
    let raw: Raw = serde_json::from_str(options).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    check_place(&mut bad, &raw.bucket, &raw.prefix);
    if bad.is_empty() { Ok(raw) } else { Err(bad) }
}

struct Directory {
    client: Client,
    raw: Raw,
    context: Context,
    first: Cell<bool>,
}

/// The text beside the records.
#[derive(Debug, Serialize)]
struct Reasons<'a> {
    task: &'a str,
    topic: &'a str,
    partition: String,
    /// Milliseconds since the epoch.
    put_at: i64,
    records: Vec<Reason<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    sequence_number: String,
    timestamp: i64,
    begin: usize,
    length: usize,
    kind: &'static str,
    reason: &'a str,
}

impl Directory {
    fn word(&self, split: &Split) -> String {
        format!("{}{}", self.raw.prefix, split_word(self.raw.stream.as_deref(), split))
    }

    async fn store(&self, key: &str, body: Vec<u8>) -> Result<()> {
        let put = self.client.put_bytes(&self.raw.bucket, key, Bytes::from(body), Condition::None).await;
        put.map(drop).map_err(|f| Error::from(f).context(key))
    }
}

#[async_trait(?Send)]
impl ErrorDirectory for Directory {
    fn describe(&self) -> String {
        format!("bucket {}/{}/{}", self.client.site().config().url, self.raw.bucket, self.raw.prefix)
    }

    async fn begin(&self, split: &Split, from: i64) -> Result<()> {
        let word = self.word(split);
        let after = format!("{word}{:020}", from.max(0));
        let mine = format!("_{}.", task_word(&self.context.pipeline));
        let mut token: Option<String> = None;
        loop {
            let query = ListQuery {
                prefix: &word,
                start_after: token.is_none().then_some(after.as_str()),
                token: token.as_deref(),
                ..ListQuery::default()
            };
            let page = self.client.list_objects(&self.raw.bucket, &query).await?;
            let keys = page.objects.iter().filter_map(|o| std::str::from_utf8(&o.key).ok());
            let old: Vec<_> = keys.filter(|k| **k > *after && k.contains(&mine)).collect();
            for chunk in old.chunks(AT_ONCE) {
                for key in chunk {
                    self.client.delete(&self.raw.bucket, key).await?;
                }
            }
            match page.next {
                Some(next) if Some(&next) != token.as_ref() => token = Some(next),
                _ => return Ok(()),
            }
        }
    }

    async fn put(&self, batch: &Batch, which: Aside<'_>) -> Result<()> {
        let split = batch.split();
        let (mut data, mut records) = (Vec::new(), Vec::new());
        let mut add = |index: usize, kind: ErrorKind, reason: &str| {
            let Some(record) = batch.get(index) else { return };
            let value = record.value.unwrap_or_default();
            records.push((record.offset, record.timestamp_ms, data.len(), value.len(), kind, clip(reason)));
            data.extend_from_slice(value);
            data.push(b'\n');
        };
        match which {
            Aside::Some(list) => list.iter().for_each(|r| add(r.index, r.kind, &r.reason)),
            Aside::All(kind, reason) => (0..batch.len()).for_each(|i| add(i, kind, reason)),
        }
        let (Some(first), Some(last)) = (records.first().map(|r| r.0), records.last().map(|r| r.0)) else {
            return Ok(());
        };
        let key = format!("{}{first:020}_{last:020}_{}", self.word(split), task_word(&self.context.pipeline));
        let reasons = Reasons {
            task: &self.context.pipeline,
            topic: split.source_topic(),
            partition: format!("shardId-{:010}", split.partition),
            put_at: self.context.clock.now().millis(),
            records: records
                .iter()
                .map(|(offset, timestamp, begin, length, kind, reason)| Reason {
                    sequence_number: offset.to_string(),
                    timestamp: *timestamp,
                    begin: *begin,
                    length: *length,
                    kind: kind.name(),
                    reason,
                })
                .collect(),
        };
        let text =
            serde_json::to_vec_pretty(&reasons).map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
        if self.first.replace(false) {
            tracing::warn!(pipeline = %self.context.pipeline, directory = %self.describe(), "records are put aside");
        }
        self.store(&format!("{key}.dat"), data).await?;
        self.store(&format!("{key}.reason.json"), text).await
    }
}

fn clip(reason: &str) -> String {
    reason.get(..reason.floor_char_boundary(MAX_REASON)).unwrap_or_default().to_owned()
}
