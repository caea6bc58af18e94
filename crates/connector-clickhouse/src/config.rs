//! The two texts of an endpoint, read and checked.

use std::time::Duration;

use connector::records::{Endpoint, Problem, Secret};
use connector::{Error, ErrorKind, Result};
use http_pool::{Address, Limits, Remote, basic, tls_config};
use json_text::Path;
use serde::Deserialize;

use crate::rows::{Column, Shape};

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
    database: String,
    table: String,
    cluster: Option<String>,
    columns: Vec<ColumnText>,
    #[serde(default = "batch_records")]
    batch_records: usize,
    #[serde(default = "batch_bytes")]
    batch_bytes: usize,
    #[serde(default = "linger_ms")]
    linger_ms: u64,
    #[serde(default = "in_flight")]
    in_flight: usize,
    #[serde(default)]
    gzip: bool,
    #[serde(default = "yes")]
    positions: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnText {
    column: String,
    json_key: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    nullable: bool,
}

fn batch_records() -> usize {
    1000
}

fn batch_bytes() -> usize {
    1_000_000
}

fn linger_ms() -> u64 {
    1000
}

fn in_flight() -> usize {
    4
}

fn yes() -> bool {
    true
}

/// What to do, checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) cluster: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) gzip: bool,
    /// Whether positions are kept at the destination.
    pub(crate) positions: bool,
    pub(crate) limits: Limits,
}

impl Plan {
    pub(crate) fn table(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.table))
    }

    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    }
}

/// A name as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn problem(field: &str, reason: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), reason: reason.into() }
}

/// Reads the connection. The secret may be absent where only the form is checked.
pub(crate) fn remote(connection: &str, secret: Option<&Secret>) -> std::result::Result<Remote, Vec<Problem>> {
    let text: ConnectionText =
        serde_json::from_str(connection).map_err(|e| vec![problem("connection", e.to_string())])?;
    let mut problems = Vec::new();
    let strip = |p: &str, prefix: &str| p.strip_prefix(prefix).unwrap_or(p).to_owned();
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
            idle: Duration::from_secs(120),
        }),
        _ => Err(problems),
    }
}

/// Reads the options of a sink.
pub(crate) fn plan(options: &str) -> std::result::Result<Plan, Vec<Problem>> {
    let text: SinkText =
        serde_json::from_str(options).map_err(|e| vec![problem("options", e.to_string())])?;
    let mut problems = Vec::new();
    let mut name = |field: &str, value: &str| {
        if value.is_empty() || value.len() > 200 || value.chars().any(char::is_control) {
            problems.push(problem(field, "must have 1 to 200 bytes and no control character"));
        }
    };
    name("database", &text.database);
    name("table", &text.table);
    text.cluster.iter().for_each(|c| name("cluster", c));
    for (i, c) in text.columns.iter().enumerate() {
        name(&format!("columns.{i}.column"), &c.column);
    }
    if text.columns.is_empty() || text.columns.len() > 10_000 {
        problems.push(problem("columns", "must have 1 to 10000 columns"));
    }
    let mut columns = Vec::with_capacity(text.columns.len());
    for (i, c) in text.columns.iter().enumerate() {
        if text.columns.iter().take(i).any(|other| other.column == c.column) {
            problems.push(problem(&format!("columns.{i}.column"), format!("{} is there twice", c.column)));
        }
        match Path::parse(&c.json_key) {
            Ok(path) => columns.push(Column::new(&c.column, path, Shape::of(&c.kind), c.nullable)),
            Err(p) => problems.push(problem(&format!("columns.{i}.json_key"), p)),
        }
    }
    let mut range = |field: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            problems.push(problem(field, format!("must be between {least} and {most}")));
        }
    };
    // A larger block could be cut in two by the server, and then its token does not cover it.
    range("batch_records", text.batch_records as u64, 1, 1_000_000);
    range("batch_bytes", text.batch_bytes as u64, 1024, 100 << 20);
    range("linger_ms", text.linger_ms, 0, 600_000);
    range("in_flight", text.in_flight as u64, 1, 64);
    if !problems.is_empty() {
        return Err(problems);
    }
    let limits = Limits {
        records: text.batch_records,
        bytes: text.batch_bytes,
        linger: Duration::from_millis(text.linger_ms),
        in_flight: text.in_flight,
        attempts: 6,
    };
    let (database, table, cluster) = (text.database, text.table, text.cluster);
    Ok(Plan { database, table, cluster, columns, gzip: text.gzip, positions: text.positions, limits })
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
        let bad = r#"{"database":"","table":"t\n","columns":[{"column":"a","json_key":"$["},{"column":"a","json_key":"x"}],"in_flight":0}"#;
        let fields: Vec<String> = plan(bad).unwrap_err().into_iter().map(|p| p.field).collect();
        assert_eq!(fields, ["database", "table", "columns.0.json_key", "columns.1.column", "in_flight"]);
        let fields: Vec<String> =
            remote(r#"{"url":"x"}"#, None).unwrap_err().into_iter().map(|p| p.field).collect();
        assert_eq!(fields, ["url"]);
        assert_eq!(plan(r#"{"database":"d","table":"t"}"#).unwrap_err()[0].field, "options");
        assert_eq!(quoted("a`b\\"), "`a\\`b\\\\`");
    }
}
