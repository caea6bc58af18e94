//! The two texts of an endpoint, read and checked without I/O.

use std::time::Duration;

use columnar::{Compression, Format, MetaColumns, Unknown};
use connector::records::{Endpoint, Problem, Secret};
use connector::{Error, ErrorKind, Result};
use connector_object::Client;
use iceberg::spec::Transform;
use iceberg::{NamespaceIdent, TableIdent};
use serde::Deserialize;
use serde_json::Value;

use crate::catalogue::{Catalogue, Login, Rest, Sql};
use crate::files::Files;

const MIB: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConnection {
    uri: String,
    #[serde(default = "catalog_name")]
    catalog_name: String,
    #[serde(default)]
    warehouse: String,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    ca_pem: Option<String>,
    /// A bucket's connection, as `connector-object` reads it.
    #[serde(default)]
    s3: Option<Value>,
}

fn catalog_name() -> String {
    "wharf".to_owned()
}

/// Secrets, where there are two.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Secrets {
    #[serde(default)]
    catalog: Option<String>,
    #[serde(default)]
    s3: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSink {
    database: String,
    table: String,
    #[serde(default = "interval_ms")]
    interval_ms: u64,
    #[serde(default)]
    format: RawFormat,
    #[serde(default)]
    delimiter: Option<char>,
    #[serde(default)]
    value_column: Option<String>,
    #[serde(default)]
    key_column: Option<String>,
    #[serde(default)]
    timestamp_column: Option<String>,
    #[serde(default)]
    partition_column: Option<String>,
    #[serde(default)]
    offset_column: Option<String>,
    #[serde(default)]
    topic_column: Option<String>,
    #[serde(default)]
    unknown_fields: RawUnknown,
    #[serde(default)]
    text_of_scalars: bool,
    #[serde(default)]
    create: Option<RawCreate>,
    #[serde(default)]
    staging: Option<String>,
    #[serde(default = "target_file_bytes")]
    target_file_bytes: u64,
    #[serde(default)]
    compression: RawCompression,
    #[serde(default)]
    keep_snapshots: Option<u32>,
}

fn interval_ms() -> u64 {
    300_000
}

fn target_file_bytes() -> u64 {
    128 * MIB
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFormat {
    #[default]
    Json,
    Csv,
    Raw,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawUnknown {
    #[default]
    Refuse,
    Ignore,
    Evolve,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawCompression {
    #[default]
    Zstd,
    Snappy,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCreate {
    /// An Avro schema, as text or as it is. Raw records need none.
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    partition: Vec<RawPartition>,
    #[serde(default)]
    properties: std::collections::HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartition {
    column: String,
    #[serde(default = "identity")]
    transform: String,
}

fn identity() -> String {
    "identity".to_owned()
}

/// One part of a new table's partitioning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) column: String,
    pub(crate) transform: Transform,
}

/// How a table is made that is not there.
#[derive(Debug, Clone)]
pub(crate) struct Create {
    pub(crate) schema: columnar::Schema,
    pub(crate) partition: Vec<Partition>,
    pub(crate) properties: std::collections::HashMap<String, String>,
}

/// Checked options.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) ident: TableIdent,
    pub(crate) interval: Duration,
    pub(crate) records: columnar::Options,
    pub(crate) create: Option<Create>,
    /// Without a slash at its end.
    pub(crate) staging: Option<String>,
    pub(crate) target_file_bytes: usize,
    pub(crate) compression: Compression,
    pub(crate) keep_snapshots: Option<u32>,
}

/// A checked connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    uri: String,
    catalog_name: String,
    warehouse: String,
    login: Login,
    ca_pem: Option<String>,
    s3: Option<(String, Option<Secret>)>,
}

impl Connection {
    /// For people; holds no password.
    pub(crate) fn describe(&self) -> String {
        match self.uri.split_once("://") {
            Some((scheme, rest)) => {
                let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                format!("{scheme}://{}", rest.split('?').next().unwrap_or_default())
            }
            None => self.uri.clone(),
        }
    }

    pub(crate) fn files(&self) -> Result<Files> {
        let Some((text, secret)) = &self.s3 else { return Ok(Files::default()) };
        let site = connector_object::site(text, secret.as_ref().map(|s| &*s.0)).map_err(refuse)?;
        Ok(Files::new(Some(Client::new(&site))))
    }

    pub(crate) fn catalogue(&self, files: &Files) -> Result<Box<dyn Catalogue>> {
        let io = files.io();
        if is_http(&self.uri) {
            let ca = self.ca_pem.as_deref();
            let rest = Rest::new(&self.uri, ca, self.login.clone(), &self.warehouse, io)?;
            return Ok(Box::new(rest));
        }
        let secret = self.login.secret.as_ref();
        Ok(Box::new(Sql::new(&self.uri, secret, &self.catalog_name, &self.warehouse, io)?))
    }

    pub(crate) fn warehouse(&self) -> &str {
        &self.warehouse
    }
}

/// All problems of a catalogue's connection (JSON).
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    // The secret is not part of the text; any will do for the check.
    self::connection(connection, Some(&Secret("x".into()))).err().unwrap_or_default()
}

/// All problems of an Iceberg sink's options (JSON).
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    plan(options).err().unwrap_or_default()
}

/// Both parts of an endpoint; all problems in one error.
pub(crate) fn read(endpoint: &Endpoint) -> Result<(Connection, Plan)> {
    let connection = connection(&endpoint.connection, endpoint.secret.as_ref()).map_err(refuse)?;
    Ok((connection, plan(&endpoint.options).map_err(refuse)?))
}

#[allow(clippy::needless_pass_by_value, reason = "it goes where errors are mapped")]
fn refuse(problems: Vec<Problem>) -> Error {
    let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
    Error::new(ErrorKind::Unacceptable, all.join("; "))
}

fn problem(field: impl Into<String>, reason: impl Into<String>) -> Problem {
    Problem { field: field.into(), reason: reason.into() }
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

fn connection(text: &str, secret: Option<&Secret>) -> Result<Connection, Vec<Problem>> {
    let raw: RawConnection = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    let sql = ["sqlite:", "postgres://", "postgresql://"].iter().any(|s| raw.uri.starts_with(s));
    if !sql && !is_http(&raw.uri) {
        bad.push(problem("uri", "must begin with sqlite:, postgres://, http:// or https://"));
    }
    if raw.uri.split_once("://").is_some_and(|(_, rest)| {
        rest.split('@').next().is_some_and(|u| rest.contains('@') && u.contains(':'))
    }) {
        bad.push(problem("uri", "must hold no password: it has a place of its own"));
    }
    let place = raw.warehouse.starts_with('/') || raw.warehouse.contains(':');
    if sql && !place {
        bad.push(problem("warehouse", "must be a folder (file:///… or /…) or an s3:// path"));
    }
    if raw.warehouse.starts_with("s3") && sql && raw.s3.is_none() {
        bad.push(problem("s3", "is missing: an s3:// warehouse needs an endpoint"));
    }
    let plain = |s: &str| !s.is_empty() && s.len() <= 255 && !s.chars().any(char::is_control);
    if !plain(&raw.catalog_name) {
        bad.push(problem("catalog_name", "must be a name of 1 to 255 characters"));
    }
    let secrets = split(secret, raw.s3.is_some());
    let s3 = raw.s3.map(|v| v.to_string());
    if let Some(text) = &s3 {
        let of = connector_object::site(text, secrets.s3.as_deref().or(Some("x"))).err().unwrap_or_default();
        bad.extend(of.into_iter().map(|p| problem(format!("s3.{}", p.field), p.reason)));
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    let whole = |s: Option<String>| s.map(|s| Secret(s.into()));
    let login = Login { client_id: raw.client_id, scope: raw.scope, secret: whole(secrets.catalog) };
    let s3 = s3.map(|text| (text, whole(secrets.s3)));
    let RawConnection { uri, catalog_name, warehouse, ca_pem, .. } = raw;
    let warehouse = warehouse.trim_end_matches('/').to_owned();
    Ok(Connection { uri, catalog_name, warehouse, login, ca_pem, s3 })
}

/// One secret is the store's where there is one, else the catalogue's; two come as JSON.
fn split(secret: Option<&Secret>, with_s3: bool) -> Secrets {
    let Some(secret) = secret else { return Secrets::default() };
    if let Ok(two) = serde_json::from_str::<Secrets>(&secret.0) {
        return two;
    }
    let one = Some(secret.0.to_string());
    if with_s3 { Secrets { s3: one, catalog: None } } else { Secrets { catalog: one, s3: None } }
}

/// The name that tables and namespaces may have.
fn is_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '.');
    !name.is_empty() && name.len() <= 255 && name.chars().all(plain)
}

fn plan(text: &str) -> Result<Plan, Vec<Problem>> {
    let raw: RawSink = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    let levels: Vec<String> = raw.database.split('.').map(str::to_owned).collect();
    if !levels.iter().all(|l| is_name(l)) {
        bad.push(problem("database", "must be a name, or several with dots between"));
    }
    if !is_name(&raw.table) {
        bad.push(problem("table", "must be a name of 1 to 255 characters without / and ."));
    }
    if !(100..=3_600_000).contains(&raw.interval_ms) {
        bad.push(problem("interval_ms", "must be 100 to 3600000"));
    }
    if !(MIB..=2048 * MIB).contains(&raw.target_file_bytes) {
        bad.push(problem("target_file_bytes", "must be 1 MiB to 2 GiB"));
    }
    if raw.keep_snapshots == Some(0) {
        bad.push(problem("keep_snapshots", "must be at least 1"));
    }
    if raw.staging.as_ref().is_some_and(|s| !s.contains(":/") && !s.starts_with('/')) {
        bad.push(problem("staging", "must be a folder (file:///… or /…) or an s3:// path"));
    }
    let records = records(&raw, &mut bad);
    let create = raw.create.as_ref().and_then(|c| create(c, &records, &mut bad));
    let namespace = NamespaceIdent::from_vec(levels);
    match (namespace, bad.is_empty()) {
        (Ok(namespace), true) => Ok(Plan {
            ident: TableIdent::new(namespace, raw.table),
            interval: Duration::from_millis(raw.interval_ms),
            records,
            create,
            staging: raw.staging.map(|s| s.trim_end_matches('/').to_owned()),
            target_file_bytes: usize::try_from(raw.target_file_bytes).unwrap_or(usize::MAX),
            compression: match raw.compression {
                RawCompression::Zstd => Compression::Zstd,
                RawCompression::Snappy => Compression::Snappy,
                RawCompression::None => Compression::None,
            },
            keep_snapshots: raw.keep_snapshots,
        }),
        _ => Err(bad),
    }
}

fn records(raw: &RawSink, bad: &mut Vec<Problem>) -> columnar::Options {
    if raw.delimiter.is_some() && raw.format != RawFormat::Csv {
        bad.push(problem("delimiter", "is of use with format csv only"));
    }
    if raw.value_column.is_some() && raw.format != RawFormat::Raw {
        bad.push(problem("value_column", "is of use with format raw only"));
    }
    let delimiter = raw.delimiter.unwrap_or(',');
    if !delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r') {
        bad.push(problem("delimiter", "must be one ASCII character, no quote and no end of line"));
    }
    let format = match raw.format {
        RawFormat::Json => Format::Json,
        RawFormat::Csv => Format::Csv { delimiter: u8::try_from(delimiter).unwrap_or(b',') },
        RawFormat::Raw => {
            let column = raw.value_column.clone().unwrap_or_else(|| "value".to_owned());
            Format::Raw { column }
        }
    };
    columnar::Options {
        format,
        unknown: match raw.unknown_fields {
            RawUnknown::Refuse => Unknown::Refuse,
            RawUnknown::Ignore => Unknown::Ignore,
            RawUnknown::Evolve => Unknown::Report,
        },
        text_of_scalars: raw.text_of_scalars,
        meta: MetaColumns {
            key: raw.key_column.clone(),
            timestamp: raw.timestamp_column.clone(),
            partition: raw.partition_column.clone(),
            offset: raw.offset_column.clone(),
            topic: raw.topic_column.clone(),
        },
    }
}

fn create(raw: &RawCreate, records: &columnar::Options, bad: &mut Vec<Problem>) -> Option<Create> {
    let before = bad.len();
    let schema = match &raw.schema {
        Some(schema) => {
            let text = schema.as_str().map_or_else(|| schema.to_string(), str::to_owned);
            columnar::avro_schema(&text).map_err(|e| bad.push(problem("create.schema", e.to_string()))).ok()
        }
        None => Some(columnar::Schema::empty()),
    };
    let schema = schema.map(|s| with_own_columns(&s, records))?;
    if raw.schema.is_none() && !matches!(records.format, Format::Raw { .. }) {
        bad.push(problem("create.schema", "is missing: only raw records have columns of their own"));
    }
    let mut partition = Vec::new();
    for (i, p) in raw.partition.iter().enumerate() {
        match p.transform.parse() {
            Ok(Transform::Unknown | Transform::Void) | Err(_) => {
                let words = "must be identity, bucket[n], truncate[n], year, month, day or hour";
                bad.push(problem(format!("create.partition.{i}.transform"), words));
            }
            Ok(transform) => partition.push(Partition { column: p.column.clone(), transform }),
        }
    }
    let checked = crate::schema::of_arrow(&schema).and_then(|s| crate::schema::spec(&s, &partition));
    if let Err(e) = checked
        && bad.len() == before
    {
        bad.push(problem("create", e.to_string()));
    }
    Some(Create { schema, partition, properties: raw.properties.clone() })
}

/// The schema with the columns that the options themselves name.
fn with_own_columns(schema: &columnar::Schema, records: &columnar::Options) -> columnar::Schema {
    use columnar::{DataType, Field, TimeUnit};
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let mut add = |name: Option<&String>, t: DataType| {
        if let Some(name) = name
            && !fields.iter().any(|f| f.name() == name)
        {
            fields.push(std::sync::Arc::new(Field::new(name, t, true)));
        }
    };
    let meta = &records.meta;
    let value = match &records.format {
        Format::Raw { column } => Some(column),
        _ => None,
    };
    add(value, DataType::Binary);
    let key = if value.is_some() { DataType::Binary } else { DataType::Utf8 };
    add(meta.key.as_ref(), key);
    add(meta.topic.as_ref(), DataType::Utf8);
    add(meta.partition.as_ref(), DataType::Int32);
    add(meta.offset.as_ref(), DataType::Int64);
    add(meta.timestamp.as_ref(), DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
    columnar::Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_their_fields() {
        let fields = |p: Vec<Problem>| p.into_iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(check_connection(r#"{"uri":"sqlite:/d/c.db","warehouse":"file:///d/w"}"#), []);
        let s3 = r#"{"uri":"http://h:1/api","warehouse":"w","s3":{"url":"http://h:9","access_key_id":"a"}}"#;
        assert_eq!(check_connection(s3), []);
        let bad = r#"{"uri":"postgres://u:p@h/d","warehouse":"s3://b/w","catalog_name":""}"#;
        assert_eq!(fields(check_connection(bad)), ["uri", "s3", "catalog_name"]);
        let bad = r#"{"uri":"ftp://h","warehouse":"w","s3":{"url":"h"}}"#;
        assert_eq!(fields(check_connection(bad))[0], "uri");
        assert_eq!(fields(check_connection(r#"{"uri":"sqlite:x","warehouse":"/w","password":"p"}"#)), [""]);
        assert_eq!(check_sink(r#"{"database":"a.b","table":"t"}"#), []);
        let bad = r#"{"database":"a..b","table":"x/y","interval_ms":5,"target_file_bytes":5,"delimiter":";","value_column":"v",
            "staging":"here","keep_snapshots":0,"create":{"partition":[{"column":"c","transform":"week"}]}}"#;
        let found = fields(check_sink(bad));
        for want in [
            "database",
            "table",
            "interval_ms",
            "target_file_bytes",
            "delimiter",
            "value_column",
            "staging",
            "keep_snapshots",
            "create.schema",
            "create.partition.0.transform",
        ] {
            assert!(found.iter().any(|f| f == want), "{want} not in {found:?}");
        }
    }

    #[test]
    fn new_tables_have_the_columns_that_options_name() {
        let text = r#"{"database":"d","table":"t","format":"raw","key_column":"k","offset_column":"o","timestamp_column":"at",
            "create":{"partition":[{"column":"at","transform":"day"}]}}"#;
        let made = plan(text).unwrap().create.unwrap();
        let names: Vec<_> = made.schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["value", "k", "o", "at"]);
        let text = r#"{"database":"d","table":"t","create":{"schema":{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]},
            "partition":[{"column":"b"}]}}"#;
        assert_eq!(check_sink(text)[0].field, "create");
    }

    #[test]
    fn secrets_go_where_they_belong_and_do_not_print() {
        let of = |secret: &str, text: &str| connection(text, Some(&Secret(secret.into()))).unwrap();
        let both = r#"{"uri":"postgres://u@h/d","warehouse":"s3://b/w","s3":{"url":"http://h:9","access_key_id":"a"}}"#;
        let c = of(r#"{"catalog":"cat-word","s3":"s3-word"}"#, both);
        assert_eq!(&*c.login.secret.clone().unwrap().0, "cat-word");
        assert_eq!(&*c.s3.clone().unwrap().1.unwrap().0, "s3-word");
        assert!(!format!("{c:?}").contains("-word"));
        assert!(of("plain", both).s3.unwrap().1.is_some());
        let c = of("plain", r#"{"uri":"postgres://u@h/d","warehouse":"/w"}"#);
        assert!(c.login.secret.is_some());
        assert_eq!(c.describe(), "postgres://h/d");
    }
}
