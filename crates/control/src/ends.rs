//! Ends of pipelines: what they need of the catalogue, and which topics they name.
//!
//! The options of an end belong to its connector, which checks them. Of Kafka's a few fields are read here too, tolerantly: which
//! topics a pipeline reads and writes decides what may not be removed under it and what a sync has to make.

use model::{Connection, EndKind, OnFailure, PipelineEnd};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Caller, Cluster, ClusterRef, Control, Error, ErrorKind, Noun, ReachedEnd, Result};

/// What a Kafka source reads.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct KafkaSource {
    #[serde(default)]
    pub topics: Vec<String>,
    #[serde(default)]
    pub pattern: Option<String>,
}

/// Where a Kafka destination writes.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct KafkaSink {
    #[serde(default)]
    pub topic: Option<String>,
    #[serde(default)]
    pub tables: Vec<Route>,
    #[serde(default)]
    pub prefix: Option<String>,
    #[serde(default)]
    pub separator: Option<String>,
    #[serde(default)]
    pub keep_partition: bool,
    #[serde(default)]
    pub copies: Option<u32>,
    #[serde(default)]
    pub create: bool,
    #[serde(default)]
    pub create_partitions: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Route {
    #[serde(default)]
    pub topic: String,
}

impl KafkaSource {
    pub(crate) fn of(options: &str) -> Self {
        serde_json::from_str(options).unwrap_or_default()
    }
}

impl KafkaSink {
    pub(crate) fn of(options: &str) -> Self {
        serde_json::from_str(options).unwrap_or_default()
    }

    /// Topics that are named outright.
    pub(crate) fn topics(&self) -> Vec<String> {
        self.topic.iter().chain(self.tables.iter().map(|t| &t.topic)).cloned().collect()
    }

    /// Is everything written once into the one topic that it names? That is what control itself can write: messages sent over HTTP.
    /// (`compression` is a wish that is not heard there: they are written as they are.)
    pub(crate) fn is_one_topic(&self) -> bool {
        let renamed = self.prefix.is_some() || self.separator.is_some();
        let once = self.copies.is_none_or(|n| n == 1);
        self.topic.is_some() && self.tables.is_empty() && !renamed && !self.keep_partition && once
    }

    /// What a sync calls a topic at the destination.
    pub(crate) fn target(&self, topic: &str) -> String {
        match self.prefix.as_deref() {
            None | Some("") => topic.to_owned(),
            Some(prefix) => format!("{prefix}{}{topic}", self.separator.as_deref().unwrap_or_default()),
        }
    }
}

/// Does this end lie on the server's own Kafka cluster?
pub(crate) fn on_own_cluster(end: &PipelineEnd) -> bool {
    end.kind == EndKind::Kafka && end.connection.is_none() && end.address.is_empty()
}

/// Where copies of failed records go.
pub(crate) fn copy_of(f: &OnFailure) -> Option<&PipelineEnd> {
    match f {
        OnFailure::Keep { copy, .. } => copy.as_deref(),
        _ => None,
    }
}

/// The error directory of a pipeline.
pub(crate) fn aside_of(f: &OnFailure) -> Option<&PipelineEnd> {
    match f {
        OnFailure::Aside { to, .. } => Some(to),
        _ => None,
    }
}

/// The same options with one more field, if it is not there.
pub(crate) fn with_option(options: &str, field: &str, value: Value) -> String {
    match serde_json::from_str::<Map<String, Value>>(options) {
        Ok(mut map) => {
            map.entry(field).or_insert(value);
            Value::Object(map).to_string()
        }
        Err(_) => options.to_owned(),
    }
}

fn bucket_named(options: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Bucket {
        bucket: String,
    }
    serde_json::from_str::<Bucket>(options).ok().map(|b| b.bucket)
}

impl Control {
    /// An end with everything that its connector needs: its connection's address and secret, a bucket's object store from the
    /// catalogue. Also for the engine (as the operator), each time that it builds an end.
    ///
    /// # Errors
    /// `NotFound(Connection | Bucket)`, `Unsupported`, `Invalid` the connection is another connector's.
    pub async fn reach(&self, c: &Caller, end: &PipelineEnd) -> Result<ReachedEnd> {
        let made = |connection: String, secret| ReachedEnd {
            kind: end.kind,
            connection,
            secret,
            options: end.options.clone(),
        };
        if let Some(id) = &end.connection {
            let found = self.connection(c, id).await?;
            check_kind(&found, end.kind)?;
            return Ok(made(found.address, found.secret));
        }
        if !end.address.is_empty() {
            return Ok(made(end.address.clone(), end.secret.clone()));
        }
        match end.kind {
            // The server's own.
            EndKind::Kafka | EndKind::Http => Ok(made(String::new(), None)),
            EndKind::Iceberg => match staging_bucket(&end.options) {
                None => Ok(made(String::new(), None)),
                // Its own lakehouse has no store, but what is staged has.
                Some(bucket) => {
                    let store = self.resolve_bucket(&bucket).await?;
                    Ok(made(format!(r#"{{"s3":{}}}"#, store_address(&store)), store.secret))
                }
            },
            EndKind::Bucket => {
                let missing = || Error::new(ErrorKind::Invalid, "the options of a bucket name none");
                let store = self.resolve_bucket(&bucket_named(&end.options).ok_or_else(missing)?).await?;
                Ok(made(store_address(&store), store.secret))
            }
            other => {
                let message = format!("an end of {} names neither a connection nor an address", other.name());
                Err(Error::new(ErrorKind::Invalid, message))
            }
        }
    }

    /// The Kafka cluster that is meant.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Invalid` it is none of Kafka.
    pub async fn cluster(&self, c: &Caller, which: &ClusterRef) -> Result<Cluster> {
        match which {
            ClusterRef::Own => Ok(Cluster::default()),
            ClusterRef::Connection(id) => {
                let found = self.connection(c, id).await?;
                check_kind(&found, EndKind::Kafka)?;
                Ok(Cluster { connection: found.address, secret: found.secret })
            }
        }
    }

    /// The cluster of a Kafka end.
    pub(crate) async fn cluster_of(&self, c: &Caller, end: &PipelineEnd) -> Result<Cluster> {
        let reached = self.reach(c, end).await?;
        Ok(Cluster { connection: reached.connection, secret: reached.secret })
    }
}

fn check_kind(found: &Connection, kind: EndKind) -> Result<()> {
    match found.kind {
        Some(k) if k == kind => Ok(()),
        Some(k) => {
            let message = format!("connection {} leads to {}, not to {}", found.id, k.name(), kind.name());
            Err(Error::new(ErrorKind::Invalid, message).field("connection"))
        }
        None => {
            let message =
                format!("connection {} is kept, but {} can't be used here", found.id, found.product);
            Err(Error::new(ErrorKind::Unsupported, message).field("connection"))
        }
    }
}

/// The bucket connector's JSON for an object store of the catalogue.
/// The bucket that an Iceberg end's files are staged in.
fn staging_bucket(options: &str) -> Option<String> {
    let options: Value = serde_json::from_str(options).ok()?;
    let rest = options.get("staging")?.as_str()?.strip_prefix("s3://")?;
    rest.split('/').next().filter(|b| !b.is_empty()).map(str::to_owned)
}

fn store_address(s: &model::ObjectStore) -> String {
    let dialect = match s.dialect {
        model::Dialect::S3 => "s3",
        model::Dialect::Cos => "cos",
        model::Dialect::Oss => "oss",
        model::Dialect::Obs => "obs",
    };
    let mut map = Map::new();
    map.insert("url".to_owned(), s.url.clone().into());
    map.insert("region".to_owned(), s.region.clone().into());
    map.insert("dialect".to_owned(), dialect.into());
    map.insert("path_style".to_owned(), s.path_style.into());
    for (name, value) in [("access_key_id", &s.access_key_id), ("ca_pem", &s.ca_pem)] {
        if let Some(value) = value {
            map.insert(name.to_owned(), value.clone().into());
        }
    }
    Value::Object(map).to_string()
}

/// All problems in one refusal.
pub(crate) fn refuse_problems(problems: &[connector::records::Problem], field: &'static str) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let one = |p: &connector::records::Problem| match p.field.is_empty() {
        true => p.reason.clone(),
        false => format!("{}: {}", p.field, p.reason),
    };
    let words: Vec<String> = problems.iter().map(one).collect();
    Err(Error::new(ErrorKind::Invalid, words.join("; ")).field(field))
}

/// A name for people: not empty, not too long, no control characters.
pub(crate) fn check_name(name: &str, most: usize, field: &'static str) -> Result<()> {
    if name.trim().is_empty() || name.len() > most || name.chars().any(char::is_control) {
        let message = format!("a name has 1 to {most} bytes, without control characters");
        return Err(Error::new(ErrorKind::Invalid, message).field(field));
    }
    Ok(())
}

/// Words for people.
pub(crate) fn check_words(text: &str, field: &'static str) -> Result<()> {
    if text.len() > 4096 || text.contains('\0') {
        return Err(Error::new(ErrorKind::Invalid, "a text has 4096 bytes at most").field(field));
    }
    Ok(())
}

/// The store says that a name or id is taken.
pub(crate) fn taken(e: store::Error, noun: Noun, name: &str) -> Error {
    match e.kind() {
        store::ErrorKind::Exists => {
            let message = format!("a {} with the name {name} exists already", noun.name());
            Error::new(ErrorKind::Exists(noun), message).field("name")
        }
        _ => e.into(),
    }
}

/// A stretch of what was found, newest first if so wanted; `all` is oldest first.
pub(crate) fn page_of<T: Clone>(all: &[T], page: crate::Page) -> (Vec<T>, u64) {
    let skip = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let found = if page.newest_first {
        all.iter().rev().skip(skip).take(take).cloned().collect()
    } else {
        all.iter().skip(skip).take(take).cloned().collect()
    };
    (found, all.len() as u64)
}
