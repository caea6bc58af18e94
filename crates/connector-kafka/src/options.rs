//! The JSON of a Kafka end, checked without asking anybody.

use connector::records::{Endpoint, Problem, Secret};
use connector::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::raw::Settings;

/// How to reach a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    pub(crate) bootstrap: String,
    #[serde(default)]
    pub(crate) security: Security,
    #[serde(default)]
    pub(crate) mechanism: Option<String>,
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) ca_pem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Security {
    #[default]
    Plaintext,
    Tls,
    SaslPlaintext,
    SaslTls,
}

/// What to read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceOptions {
    #[serde(default)]
    pub(crate) topics: Vec<String>,
    #[serde(default)]
    pub(crate) pattern: Option<String>,
    pub(crate) start: Start,
    #[serde(default)]
    pub(crate) group: Option<String>,
}

/// Where to begin in a partition that has no position yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Start {
    /// With the first record that is there.
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With the first record of this time or later.
    #[serde(untagged)]
    Timestamp {
        /// Milliseconds since the epoch.
        timestamp_ms: i64,
    },
}

/// What to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkOptions {
    #[serde(default)]
    pub(crate) topic: Option<String>,
    #[serde(default)]
    pub(crate) keep_partition: bool,
    #[serde(default = "one")]
    pub(crate) copies: u32,
    #[serde(default)]
    pub(crate) compression: Option<String>,
    #[serde(default)]
    pub(crate) create: bool,
    #[serde(default)]
    pub(crate) create_partitions: Option<i32>,
    #[serde(default)]
    pub(crate) tables: Vec<TableRoute>,
    #[serde(default)]
    pub(crate) prefix: Option<String>,
    #[serde(default)]
    pub(crate) separator: Option<String>,
    #[serde(default = "yes")]
    pub(crate) exactly_once: bool,
}

/// Records of this table go to this topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableRoute {
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) topic: String,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// Copies of each record at most.
const MAX_COPIES: u32 = 100;
const MAX_ROUTES: usize = 1000;
const MAX_TOPICS: usize = 1000;
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Everything that is wrong with a connection.
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    check(connection, Connection::problems)
}

/// Everything that is wrong with the options of a source.
#[must_use]
pub fn check_source(options: &str) -> Vec<Problem> {
    check(options, SourceOptions::problems)
}

/// Everything that is wrong with the options of a sink.
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    check(options, SinkOptions::problems)
}

fn check<T: DeserializeOwned>(text: &str, problems: fn(&T) -> Vec<Problem>) -> Vec<Problem> {
    match serde_json::from_str(text) {
        Ok(parsed) => problems(&parsed),
        Err(e) => vec![problem("", e.to_string())],
    }
}

/// Reads a text that was checked before; what is wrong with it is an error here.
pub(crate) fn parse<T: DeserializeOwned>(
    what: &str,
    text: &str,
    problems: fn(&T) -> Vec<Problem>,
) -> Result<T> {
    let parsed: T = serde_json::from_str(text)
        .map_err(|e| Error::new(ErrorKind::Unacceptable, format!("the {what} can't be read: {e}")))?;
    match problems(&parsed).first() {
        None => Ok(parsed),
        Some(p) => Err(Error::new(ErrorKind::Unacceptable, format!("{what}, {}: {}", p.field, p.reason))),
    }
}

fn problem(field: &str, reason: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), reason: reason.into() }
}

impl Connection {
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Self> {
        parse("connection", &endpoint.connection, Self::problems)
    }

    fn sasl(&self) -> bool {
        matches!(self.security, Security::SaslPlaintext | Security::SaslTls)
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.bootstrap.split(',').any(|a| !is_address(a.trim())) {
            found.push(problem("bootstrap", "has to be host:port, several with commas between"));
        }
        if let Some(mechanism) = self.mechanism.as_deref().filter(|m| !MECHANISMS.contains(m)) {
            found.push(problem(
                "mechanism",
                format!("unknown mechanism {mechanism:?}; one of {}", MECHANISMS.join(", ")),
            ));
        }
        if self.sasl() && self.user.as_deref().unwrap_or_default().is_empty() {
            found.push(problem("user", "a name is needed to log in"));
        }
        if !self.sasl() && (self.user.is_some() || self.mechanism.is_some()) {
            found.push(problem("security", "user and mechanism are for sasl_plaintext and sasl_tls"));
        }
        if let Some(pem) = &self.ca_pem
            && !pem.contains("-----BEGIN CERTIFICATE-----")
        {
            found.push(problem("ca_pem", "is no certificate in PEM form"));
        }
        found
    }

    /// What every client of this cluster has set.
    pub(crate) fn settings(&self, secret: Option<&Secret>) -> Settings {
        let mut s = Settings::default();
        s.set("bootstrap.servers", &*self.bootstrap)
            .set("client.id", "wharf")
            .set("log.connection.close", false)
            .set("socket.keepalive.enable", true)
            .set("reconnect.backoff.max.ms", 2000)
            .set("allow.auto.create.topics", false)
            .set("topic.metadata.propagation.max.ms", 3000);
        s.set(
            "security.protocol",
            match self.security {
                Security::Plaintext => "plaintext",
                Security::Tls => "ssl",
                Security::SaslPlaintext => "sasl_plaintext",
                Security::SaslTls => "sasl_ssl",
            },
        );
        if self.sasl() {
            s.set("sasl.mechanism", self.mechanism.as_deref().unwrap_or("PLAIN"))
                .set("sasl.username", self.user.as_deref().unwrap_or_default())
                .set("sasl.password", secret.map_or("", |s| &*s.0));
        }
        if let Some(pem) = &self.ca_pem {
            s.set("ssl.ca.pem", &**pem);
        }
        s
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ' ']) && port.parse::<u16>().is_ok_and(|p| p > 0)
    })
}

/// Kafka's own rule for names of topics.
pub(crate) fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

const BAD_TOPIC: &str = "is no name of a topic: 1 to 249 letters, digits, dots, underlines and hyphens";

impl SourceOptions {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        match &self.pattern {
            None if self.topics.is_empty() => found.push(problem("topics", "topics or a pattern are needed")),
            Some(_) if !self.topics.is_empty() => {
                found.push(problem("pattern", "topics or a pattern, not both"))
            }
            Some(p) if !p.starts_with('^') => found.push(problem("pattern", "has to begin with ^")),
            _ => {}
        }
        if self.topics.len() > MAX_TOPICS {
            found.push(problem("topics", format!("more than {MAX_TOPICS}")));
        }
        for (i, topic) in self.topics.iter().enumerate().filter(|(_, t)| !is_topic(t)) {
            found.push(problem(&format!("topics.{i}"), format!("{topic:?} {BAD_TOPIC}")));
        }
        if matches!(self.start, Start::Timestamp { timestamp_ms } if timestamp_ms < 0) {
            found.push(problem("start", "a time before 1970"));
        }
        if self.group.as_ref().is_some_and(|g| g.is_empty() || g.len() > 249) {
            found.push(problem("group", "has to have 1 to 249 characters"));
        }
        found
    }
}

impl SinkOptions {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let synced = self.prefix.is_some() || self.separator.is_some();
        if self.topic.is_none() && self.tables.is_empty() && !synced {
            found.push(problem("topic", "a topic, tables or a prefix are needed"));
        }
        if synced && (self.topic.is_some() || !self.tables.is_empty()) {
            found.push(problem(
                "prefix",
                "topics are named after the source's: no topic and no tables with it",
            ));
        }
        if let Some(topic) = self.topic.as_ref().filter(|t| !is_topic(t)) {
            found.push(problem("topic", format!("{topic:?} {BAD_TOPIC}")));
        }
        let named =
            format!("{}{}x", self.prefix.as_deref().unwrap_or(""), self.separator.as_deref().unwrap_or(""));
        if !is_topic(&named) {
            found.push(problem(
                "prefix",
                "prefix and separator may have letters, digits, dots, underlines and hyphens",
            ));
        }
        if self.tables.len() > MAX_ROUTES {
            found.push(problem("tables", format!("more than {MAX_ROUTES}")));
        }
        for (i, route) in self.tables.iter().enumerate().filter(|(_, r)| !is_topic(&r.topic)) {
            found.push(problem(&format!("tables.{i}.topic"), format!("{:?} {BAD_TOPIC}", route.topic)));
        }
        if !(1..=MAX_COPIES).contains(&self.copies) {
            found.push(problem("copies", format!("has to be 1 to {MAX_COPIES}")));
        }
        if let Some(c) = self.compression.as_deref().filter(|c| !COMPRESSIONS.contains(c)) {
            found.push(problem(
                "compression",
                format!("unknown compression {c:?}; one of {}", COMPRESSIONS.join(", ")),
            ));
        }
        if self.create_partitions.is_some_and(|n| !(1..=10_000).contains(&n)) {
            found.push(problem("create_partitions", "has to be 1 to 10000"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|p| p.field.as_str()).collect()
    }

    #[test]
    fn good_ends_have_no_problems() {
        assert_eq!(check_connection(r#"{"bootstrap":"a:9092, b:9092"}"#), []);
        let sasl = r#"{"bootstrap":"a:1","security":"sasl_tls","mechanism":"SCRAM-SHA-512","user":"u"}"#;
        assert_eq!(check_connection(sasl), []);
        assert_eq!(check_source(r#"{"topics":["a","b"],"start":"earliest"}"#), []);
        assert_eq!(check_source(r#"{"pattern":"^a.*","start":{"timestamp_ms":5},"group":"g"}"#), []);
        assert_eq!(check_sink(r#"{"topic":"x"}"#), []);
        assert_eq!(check_sink(r#"{"prefix":"p","separator":"."}"#), []);
        let tables =
            r#"{"tables":[{"database":"d","table":"t","topic":"x"}],"copies":2,"compression":"lz4"}"#;
        assert_eq!(check_sink(tables), []);
    }

    #[test]
    fn all_problems_are_named() {
        let bad = r#"{"bootstrap":"a","security":"sasl_plaintext","mechanism":"X","ca_pem":"no"}"#;
        assert_eq!(fields(&check_connection(bad)), ["bootstrap", "mechanism", "user", "ca_pem"]);
        let bad = r#"{"topics":["a b"],"pattern":"x","start":{"timestamp_ms":-1},"group":""}"#;
        assert_eq!(fields(&check_source(bad)), ["pattern", "topics.0", "start", "group"]);
        let bad = r#"{"topic":"ü","prefix":"?","copies":0,"compression":"br","create_partitions":0}"#;
        let wanted = ["prefix", "topic", "prefix", "copies", "compression", "create_partitions"];
        assert_eq!(fields(&check_sink(bad)), wanted);
        assert_eq!(check_sink(r#"{"topic":"x","unknown":1}"#).len(), 1);
    }
}
