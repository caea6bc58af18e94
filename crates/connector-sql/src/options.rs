//! The two texts of an endpoint, read and checked without I/O.

use connector::records::{Endpoint, Problem, Secret};
use connector::{Error, ErrorKind, Result};
use serde::Deserialize;

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MySql,
}

impl Engine {
    /// Quotes a name.
    pub(crate) fn quote(self, name: &str) -> String {
        match self {
            Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::MySql => format!("`{}`", name.replace('`', "``")),
        }
    }
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tls {
    #[default]
    Off,
    /// Encrypted; the certificate is not looked at.
    On,
    /// Encrypted, and the certificate must be right for the host.
    Verify,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConnection {
    engine: RawEngine,
    host: String,
    port: u16,
    user: String,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    ca_pem: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawEngine {
    Postgresql,
    Mysql,
    Mariadb,
}

/// A checked connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) engine: Engine,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) tls: Tls,
    pub(crate) ca_pem: Option<String>,
    pub(crate) secret: Option<Secret>,
}

/// Format of change records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChangeFormat {
    Debezium,
    Canal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Insert,
    Upsert,
}

/// One column that is filled from one key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapped {
    pub(crate) json_key: String,
    pub(crate) column: String,
    /// Of no use here: the catalogue knows the type.
    #[serde(default, rename = "type")]
    _type: Option<String>,
    #[serde(default)]
    pub(crate) nullable: Option<bool>,
    /// For a key that is absent (or `null` where that may not be).
    #[serde(default)]
    pub(crate) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSink {
    database: String,
    table: String,
    mode: Mode,
    #[serde(default)]
    key: Vec<String>,
    #[serde(default)]
    mapping: Option<Vec<Mapped>>,
    #[serde(default)]
    change_format: Option<ChangeFormat>,
}

/// Checked options.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) database: String,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) upsert: bool,
    /// Empty: the primary key.
    pub(crate) key: Vec<String>,
    pub(crate) mapping: Option<Vec<Mapped>>,
    pub(crate) change: Option<ChangeFormat>,
}

/// All problems of a database's connection (JSON).
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    self::connection(connection, None).err().unwrap_or_default()
}

/// All problems of a database sink's options (JSON).
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    plan(options).err().unwrap_or_default()
}

/// Both parts of an endpoint; all problems in one error.
pub(crate) fn read(endpoint: &Endpoint) -> Result<(Connection, Plan)> {
    let refuse = |problems: Vec<Problem>| {
        let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
        Error::new(ErrorKind::Unacceptable, all.join("; "))
    };
    let connection = connection(&endpoint.connection, endpoint.secret.clone()).map_err(refuse)?;
    Ok((connection, plan(&endpoint.options).map_err(refuse)?))
}

fn problem(field: impl Into<String>, reason: impl Into<String>) -> Problem {
    Problem { field: field.into(), reason: reason.into() }
}

fn connection(text: &str, secret: Option<Secret>) -> Result<Connection, Vec<Problem>> {
    let raw: RawConnection = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    let plain = |s: &str| !s.is_empty() && s.len() <= 255 && !s.chars().any(char::is_control);
    if !plain(&raw.host) || raw.host.contains(['/', '@', ' ']) {
        bad.push(problem("host", "must be a host name or an address"));
    }
    if raw.port == 0 {
        bad.push(problem("port", "must not be 0"));
    }
    if !plain(&raw.user) {
        bad.push(problem("user", "must be a user's name"));
    }
    if raw.ca_pem.as_ref().is_some_and(|p| !p.contains("-----BEGIN CERTIFICATE-----")) {
        bad.push(problem("ca_pem", "must hold a PEM certificate"));
    }
    if raw.ca_pem.is_some() && raw.tls != Tls::Verify {
        bad.push(problem("ca_pem", "is of use with tls verify only"));
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    let engine = match raw.engine {
        RawEngine::Postgresql => Engine::Postgres,
        RawEngine::Mysql | RawEngine::Mariadb => Engine::MySql,
    };
    let RawConnection { host, port, user, tls, ca_pem, .. } = raw;
    Ok(Connection { engine, host, port, user, tls, ca_pem, secret })
}

fn name_problem(name: &str) -> Option<&'static str> {
    let fits = !name.is_empty() && name.len() <= 128 && !name.chars().any(char::is_control);
    (!fits).then_some("must be a name of 1 to 128 characters")
}

fn plan(text: &str) -> Result<Plan, Vec<Problem>> {
    let raw: RawSink = serde_json::from_str(text).map_err(|e| vec![problem("", e.to_string())])?;
    let mut bad = Vec::new();
    let mut name = |field: &str, name: &str| {
        if let Some(why) = name_problem(name) {
            bad.push(problem(field, why));
        }
    };
    name("database", &raw.database);
    let (schema, table) = match raw.table.split_once('.') {
        Some((schema, table)) => {
            name("table", schema);
            (Some(schema.to_owned()), table.to_owned())
        }
        None => (None, raw.table.clone()),
    };
    name("table", &table);
    for (i, k) in raw.key.iter().enumerate() {
        name(&format!("key.{i}"), k);
    }
    let mapping = raw.mapping.as_deref().unwrap_or_default();
    for (i, m) in mapping.iter().enumerate() {
        name(&format!("mapping.{i}.column"), &m.column);
        name(&format!("mapping.{i}.json_key"), &m.json_key);
        if mapping.iter().take(i).any(|o| o.column == m.column) {
            bad.push(problem(format!("mapping.{i}.column"), "is filled twice"));
            break;
        }
    }
    if raw.mapping.as_ref().is_some_and(|m| m.is_empty() || m.len() > 1600) {
        bad.push(problem("mapping", "must have 1 to 1600 columns"));
    }
    if raw.key.len() > 16 {
        bad.push(problem("key", "must have at most 16 columns"));
    }
    for (i, k) in raw.key.iter().enumerate() {
        if raw.mapping.is_some() && !mapping.iter().any(|m| m.column == *k) {
            bad.push(problem(format!("key.{i}"), "is not among the mapped columns"));
        }
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    let upsert = raw.mode == Mode::Upsert || raw.change_format.is_some();
    let RawSink { database, key, mapping, change_format: change, .. } = raw;
    Ok(Plan { database, schema, table, upsert, key, mapping, change })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_their_fields() {
        assert_eq!(check_connection(r#"{"engine":"mariadb","host":"h","port":1,"user":"u"}"#), []);
        let bad = r#"{"engine":"mysql","host":"a/b","port":0,"user":"","ca_pem":"x"}"#;
        assert_eq!(check_connection(bad).len(), 5);
        assert!(
            !check_connection(r#"{"engine":"mysql","host":"h","port":1,"user":"u","password":"p"}"#)
                .is_empty()
        );
        assert_eq!(check_sink(r#"{"database":"d","table":"s.t","mode":"insert"}"#), []);
        let bad = r#"{"database":"","table":".","mode":"upsert","key":["z"],"mapping":[
            {"json_key":"a","column":"c"},{"json_key":"b","column":"c"}]}"#;
        let fields: Vec<_> = check_sink(bad).into_iter().map(|p| p.field).collect();
        assert_eq!(fields, ["database", "table", "table", "mapping.1.column", "key.0"]);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(Engine::Postgres.quote("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(Engine::MySql.quote("a`b"), "`a``b`");
    }
}
