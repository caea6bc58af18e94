//! The two texts that say where to write and what: read, checked, and made into a [`Plan`].

use std::time::Duration;

use connector::records::{Endpoint, Problem, Secret};
use connector::{Error, ErrorKind, Result};
use http_pool::{Address, Remote, basic, tls_config};
use json_text::Path;
use serde::Deserialize;

use crate::names::{DatePattern, index_problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionText {
    url: String,
    user: Option<String>,
    ca_pem: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkText {
    index: Option<String>,
    index_path: Option<String>,
    date_suffix: Option<String>,
    #[serde(default)]
    utc_offset_s: i32,
    id_path: Option<String>,
    date_path: Option<String>,
    #[serde(default = "yes")]
    timestamp: bool,
    #[serde(default)]
    mapping: Vec<MappingText>,
    mapping_mode: Option<ModeText>,
    change_format: Option<ChangeFormat>,
    primary_key: Option<String>,
    raw_key: Option<String>,
    #[serde(default)]
    drop_not_json: bool,
    #[serde(default)]
    gzip: bool,
    #[serde(default = "bulk_bytes")]
    bulk_bytes: usize,
    #[serde(default = "bulk_records")]
    bulk_records: usize,
    #[serde(default = "linger_ms")]
    linger_ms: u64,
    #[serde(default = "in_flight")]
    in_flight: usize,
}

fn yes() -> bool {
    true
}

fn bulk_bytes() -> usize {
    4 * 1024 * 1024
}

fn bulk_records() -> usize {
    20_000
}

fn linger_ms() -> u64 {
    200
}

fn in_flight() -> usize {
    4
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingText {
    column: String,
    json_key: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum ModeText {
    Existing,
    New,
}

/// How change records are written.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChangeFormat {
    Debezium,
    Canal,
}

/// Which index.
#[derive(Debug, Clone)]
pub(crate) enum IndexRule {
    Fixed(String),
    Path(Path),
}

/// What to do, checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) index: IndexRule,
    pub(crate) date_suffix: Option<DatePattern>,
    pub(crate) utc_offset_s: i32,
    pub(crate) id: Option<Path>,
    pub(crate) date: Option<Path>,
    pub(crate) timestamp: bool,
    /// Name in the document and where its value is.
    pub(crate) mapping: Vec<(String, Path)>,
    /// The index has to be there before.
    pub(crate) existing: bool,
    pub(crate) change: Option<(ChangeFormat, Vec<String>)>,
    pub(crate) raw_key: Option<String>,
    pub(crate) drop_not_json: bool,
    pub(crate) gzip: bool,
    pub(crate) bulk_bytes: usize,
    pub(crate) bulk_records: usize,
    pub(crate) linger: Duration,
    pub(crate) in_flight: usize,
}

impl Plan {
    /// Documents have ids that their content gives, so their order counts beyond one position.
    pub(crate) fn own_ids(&self) -> bool {
        self.id.is_some() || self.change.is_some()
    }

    /// The index that all documents go to, if there is one.
    pub(crate) fn only_index(&self) -> Option<&str> {
        match &self.index {
            IndexRule::Fixed(name) if self.date_suffix.is_none() => Some(name),
            _ => None,
        }
    }
}

fn problem(field: &str, reason: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), reason: reason.into() }
}

/// Reads the connection. The secret may be absent where only the form is checked.
pub(crate) fn remote(connection: &str, secret: Option<&Secret>) -> std::result::Result<Remote, Vec<Problem>> {
    let text: ConnectionText =
        serde_json::from_str(connection).map_err(|e| vec![problem("connection", e.to_string())])?;
    let mut problems = Vec::new();
    let address =
        Address::parse(&text.url).map_err(|p| problems.push(problem("url", strip(&p, "url: ")))).ok();
    let tls = tls_config(text.ca_pem.as_deref().map(str::as_bytes));
    let tls = tls.map_err(|p| problems.push(problem("ca_pem", strip(&p, "ca: ")))).ok();
    let user = text.user.as_deref().filter(|u| !u.is_empty());
    if user.is_some_and(|u| u.contains(':') || u.chars().any(char::is_control)) {
        problems.push(problem("user", "must hold no colon and no control character"));
    }
    let authorization = user.and_then(|u| basic(u, secret.map_or("", |s| &s.0)));
    match (address, tls) {
        (Some(address), Some(tls)) if problems.is_empty() => Ok(Remote {
            tls: address.secure.then_some(tls),
            address,
            authorization,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
        }),
        _ => Err(problems),
    }
}

fn strip(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}

/// Reads the options of a sink.
pub(crate) fn plan(options: &str) -> std::result::Result<Plan, Vec<Problem>> {
    let text: SinkText =
        serde_json::from_str(options).map_err(|e| vec![problem("options", e.to_string())])?;
    let mut problems = Vec::new();
    let index = index(&text, &mut problems);
    let mut path = |field: &str, path: Option<&str>| {
        let read = path.map(Path::parse).transpose();
        read.map_err(|p| problems.push(problem(field, p))).ok().flatten()
    };
    let id = path("id_path", text.id_path.as_deref());
    let date = path("date_path", text.date_path.as_deref());
    let mut mapping = Vec::new();
    for (i, m) in text.mapping.iter().enumerate() {
        if let Some(from) = path(&format!("mapping.{i}.json_key"), Some(&m.json_key)) {
            mapping.push((m.column.clone(), from));
        }
    }
    for (i, m) in text.mapping.iter().enumerate().filter(|(_, m)| m.column.is_empty()) {
        problems
            .push(problem(&format!("mapping.{i}.column"), format!("must not be empty (for {})", m.json_key)));
    }
    let date_suffix = text.date_suffix.as_deref().map(DatePattern::parse).transpose();
    let date_suffix = date_suffix.map_err(|p| problems.push(problem("date_suffix", p))).ok().flatten();
    let change = change(&text, &mut problems);
    limits(&text, &mut problems);
    let Some(index) = index.filter(|_| problems.is_empty()) else { return Err(problems) };
    Ok(Plan {
        index,
        date_suffix,
        utc_offset_s: text.utc_offset_s,
        id,
        date,
        timestamp: text.timestamp,
        mapping,
        existing: text.mapping_mode == Some(ModeText::Existing),
        change,
        raw_key: text.raw_key.filter(|k| !k.is_empty()),
        drop_not_json: text.drop_not_json,
        gzip: text.gzip,
        bulk_bytes: text.bulk_bytes,
        bulk_records: text.bulk_records,
        linger: Duration::from_millis(text.linger_ms),
        in_flight: text.in_flight,
    })
}

fn index(text: &SinkText, problems: &mut Vec<Problem>) -> Option<IndexRule> {
    match (&text.index, &text.index_path) {
        (Some(name), None) => {
            if let Some(p) = index_problem(name) {
                problems.push(problem("index", p));
            }
            Some(IndexRule::Fixed(name.clone()))
        }
        (None, Some(path)) => {
            let path = Path::parse(path).map_err(|p| problems.push(problem("index_path", p))).ok();
            path.map(IndexRule::Path)
        }
        _ => {
            problems.push(problem("index", "exactly one of index and index_path is needed"));
            None
        }
    }
}

fn change(text: &SinkText, problems: &mut Vec<Problem>) -> Option<(ChangeFormat, Vec<String>)> {
    let keys = text.primary_key.as_deref().unwrap_or_default().split(',').map(|k| k.trim().to_owned());
    let keys: Vec<String> = keys.filter(|k| !k.is_empty()).collect();
    let format = text.change_format?;
    if keys.is_empty() {
        problems.push(problem("primary_key", "is needed with change_format: it makes the ids"));
    }
    if text.id_path.is_some() {
        problems.push(problem("id_path", "can't be had with change_format: the ids come from primary_key"));
    }
    if text.raw_key.is_some() {
        problems.push(problem("raw_key", "can't be had with change_format: such a text is no change record"));
    }
    Some((format, keys))
}

fn limits(text: &SinkText, problems: &mut Vec<Problem>) {
    let mut range = |field: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            problems.push(problem(field, format!("must be between {least} and {most}")));
        }
    };
    range("bulk_bytes", text.bulk_bytes as u64, 1024, 100 << 20);
    range("bulk_records", text.bulk_records as u64, 1, 1_000_000);
    range("linger_ms", text.linger_ms, 0, 600_000);
    range("in_flight", text.in_flight as u64, 1, 32);
    range("utc_offset_s", u64::from(text.utc_offset_s.unsigned_abs()), 0, 18 * 3600);
}

/// Both texts of an endpoint, for use.
pub(crate) fn read(endpoint: &Endpoint) -> Result<(Remote, Plan)> {
    let unfit = |problems: Vec<Problem>| {
        let list: Vec<String> = problems.iter().map(|p| format!("{} {}", p.field, p.reason)).collect();
        Error::new(ErrorKind::Unsupported, list.join("; "))
    };
    let remote = remote(&endpoint.connection, endpoint.secret.as_ref()).map_err(unfit)?;
    Ok((remote, plan(&endpoint.options).map_err(unfit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_come_at_once() {
        let bad = r#"{"index":"Up","index_path":null,"date_suffix":"YY","id_path":"$..x","change_format":"canal","raw_key":"m","in_flight":0,
            "mapping":[{"column":"","json_key":"$["}]}"#;
        let fields: Vec<String> = plan(bad).unwrap_err().into_iter().map(|p| p.field).collect();
        let expected = [
            "index",
            "id_path",
            "mapping.0.json_key",
            "mapping.0.column",
            "date_suffix",
            "primary_key",
            "id_path",
            "raw_key",
            "in_flight",
        ];
        assert_eq!(fields, expected);
        assert_eq!(plan("{}").unwrap_err()[0].field, "index");
        assert_eq!(plan(r#"{"index":"a","idex":1}"#).unwrap_err()[0].field, "options");
        assert!(plan(r#"{"index":"a"}"#).is_ok());
        let bad = r#"{"url":"ftp://x","user":"a:b","ca_pem":"x"}"#;
        let fields: Vec<String> = remote(bad, None).unwrap_err().into_iter().map(|p| p.field).collect();
        assert_eq!(fields, ["url", "ca_pem", "user"]);
    }

    #[test]
    fn no_secret_is_printed() {
        let secret = Secret("s3cr3t".into());
        let r = remote(r#"{"url":"http://h:9200","user":"u"}"#, Some(&secret)).unwrap();
        assert!(r.authorization.is_some());
        let printed = format!("{r:?}");
        assert!(!printed.contains("s3cr3t") && !printed.contains("dTpzM2NyM3Q"), "{printed}");
    }
}
