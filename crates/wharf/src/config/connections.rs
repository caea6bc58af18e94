//! `[[connection]]` and `[streams]`: the systems that pipelines lead to and come from.
//!
//! What a connection becomes is the JSON that its connector reads; whether the parts fit together is the
//! connector's to say, so that the file and the API are held to the same rules.

use std::path::{Path, PathBuf};

use model::EndKind;
use serde_json::{Map, Value};

use super::reader::Section;
use super::sections::{SecretSource, secret};

/// `[[connection]]`
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// The identifier that requests name: `ckafka-…`, `resource-…`, a function's or bucket's name.
    pub id: String,
    /// Which connector.
    pub kind: EndKind,
    /// The product's word for it (`KAFKA`, `ES`, …).
    pub product: &'static str,
    /// Name for people.
    pub name: String,
    /// Words.
    pub description: String,
    /// The connector's JSON, without the certificate.
    pub address: Map<String, Value>,
    /// It is the embedded broker, or the server's own lakehouse.
    pub embedded: bool,
    /// Password or secret key.
    pub secret: Option<SecretSource>,
    /// PEM of a further certificate authority.
    pub ca_file: Option<PathBuf>,
    /// For buckets and lakehouses: the object store of the catalogue.
    pub object_store: Option<String>,
    /// What a door needs to know of it beside, for requests that can't say it (bucket, prefix, index).
    pub attributes: Vec<(&'static str, String)>,
}

/// `[streams]`
#[derive(Debug, Clone)]
pub struct Streams {
    /// The cluster that serverless topics live on; `None` = the embedded broker.
    pub topics: Option<String>,
    /// Lanes of one pipeline at most.
    pub lanes: u32,
    /// Dead letters of one pipeline at most, in bytes.
    pub dead_letters: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self { topics: None, lanes: 4, dead_letters: 1 << 30 }
    }
}

/// Reads `[streams]`.
pub fn streams(s: &mut Section<'_, '_, '_>, out: &mut Streams) {
    out.topics = s.text("topics");
    if let Some(n) = s.integer("lanes", 1..=20) {
        out.lanes = u32::try_from(n).unwrap_or(4);
    }
    if let Some(n) = s.size("dead_letters") {
        out.dead_letters = n;
    }
}

/// Reads a `[[connection]]`.
pub fn connection(s: &mut Section<'_, '_, '_>, base: &Path) -> ConnectionConfig {
    let id = s.required("id");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if id.len() > 128 || !id.bytes().all(plain) {
        s.problem("id", "must be up to 128 letters, digits, - _ or .");
    }
    let word = s.required("kind");
    let (kind, product) = match word.as_str() {
        "kafka" | "" => (EndKind::Kafka, "KAFKA"),
        "elastic" => (EndKind::Elastic, "ES"),
        "clickhouse" => (EndKind::ClickHouse, "CLICKHOUSE"),
        "postgresql" => (EndKind::Sql, "POSTGRESQL"),
        "mysql" => (EndKind::Sql, "MYSQL"),
        "mariadb" => (EndKind::Sql, "MARIADB"),
        "bucket" => (EndKind::Bucket, "COS"),
        "function" => (EndKind::Function, "SCF"),
        "iceberg" => (EndKind::Iceberg, "ICEBERG"),
        _ => {
            let known = "kafka, elastic, clickhouse, postgresql, mysql, mariadb, bucket, function, iceberg";
            s.problem("kind", format!("must be one of {known}"));
            (EndKind::Kafka, "KAFKA")
        }
    };
    let mut config = ConnectionConfig {
        name: s.text("name").unwrap_or_else(|| id.clone()),
        description: s.text("description").unwrap_or_default(),
        id,
        kind,
        product,
        address: Map::new(),
        embedded: false,
        secret: None,
        ca_file: None,
        object_store: None,
        attributes: Vec::new(),
    };
    match kind {
        EndKind::Kafka => kafka(s, &mut config),
        EndKind::Sql => sql(s, &mut config, &word),
        EndKind::Bucket => bucket(s, &mut config),
        EndKind::Iceberg => iceberg(s, &mut config),
        _ => {
            let url = s.required("url");
            if !url.is_empty() && !super::sections::is_http(&url) {
                s.problem("url", "must start with http:// or https://");
            }
            config.address.insert("url".to_owned(), url.into());
            if let (EndKind::Elastic, Some(index)) = (kind, s.text("index")) {
                config.attributes.push(("index", index));
            }
        }
    }
    if kind != EndKind::Bucket {
        config.secret = secret(s, ["password", "password_file", "password_env"], base);
        config.ca_file = s.text("ca_file").map(|f| base.join(f));
        copy(s, "user", &mut config.address);
    }
    config
}

fn copy(s: &mut Section<'_, '_, '_>, key: &'static str, into: &mut Map<String, Value>) {
    if let Some(text) = s.text(key) {
        into.insert(key.to_owned(), text.into());
    }
}

fn kafka(s: &mut Section<'_, '_, '_>, config: &mut ConnectionConfig) {
    config.embedded = s.boolean("embedded").unwrap_or(false);
    copy(s, "bootstrap", &mut config.address);
    copy(s, "security", &mut config.address);
    copy(s, "mechanism", &mut config.address);
    match (config.embedded, config.address.contains_key("bootstrap")) {
        (true, true) => s.problem("bootstrap", "the embedded broker has none: leave it out"),
        (false, false) => s.problem("bootstrap", "is missing (host:port,…), or set embedded = true"),
        _ => {}
    }
}

fn sql(s: &mut Section<'_, '_, '_>, config: &mut ConnectionConfig, engine: &str) {
    config.address.insert("engine".to_owned(), engine.into());
    config.address.insert("host".to_owned(), s.required("host").into());
    let usual = if engine == "postgresql" { 5432 } else { 3306 };
    let port = s.integer("port", 1..=65535).unwrap_or(usual);
    config.address.insert("port".to_owned(), port.into());
    copy(s, "tls", &mut config.address);
}

fn bucket(s: &mut Section<'_, '_, '_>, config: &mut ConnectionConfig) {
    config.object_store = Some(s.required("object_store"));
    config.attributes.push(("bucket", s.required("bucket")));
    if let Some(prefix) = s.text("prefix") {
        config.attributes.push(("prefix", prefix));
    }
    if let Some(format) = s.text("format") {
        if !matches!(format.as_str(), "json" | "csv" | "parquet") {
            s.problem("format", "must be json, csv or parquet");
        }
        config.attributes.push(("format", format));
    }
}

/// Without a `uri`, the server's own catalogue (and its warehouse, unless another one is named).
fn iceberg(s: &mut Section<'_, '_, '_>, config: &mut ConnectionConfig) {
    for key in ["uri", "warehouse", "catalog_name", "client_id", "scope"] {
        copy(s, key, &mut config.address);
    }
    config.embedded = !config.address.contains_key("uri");
    config.object_store = s.text("object_store");
    // The CKafka API has no field for it.
    if let Some(n) = s.integer("interval_seconds", 1..=3600) {
        config.attributes.push(("interval_ms", (n * 1000).to_string()));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::check;
    use std::path::Path;

    #[test]
    fn connections_become_their_connectors_words() {
        let text = "[[connection]]\nid='ckafka-1'\nkind='kafka'\nembedded=true\n[broker]\n\
                    [[connection]]\nid='resource-a'\nkind='postgresql'\nhost='h'\nuser='u'\npassword='p'\n\
                    [[connection]]\nid='resource-b'\nkind='elastic'\nurl='http://h:9200'\n\
                    [[connection]]\nid='lake'\nkind='iceberg'\nuri='postgres://u@h/d'\nwarehouse='s3://b/w'\nobject_store='o'\ninterval_seconds=5\n\
                    [[object_store]]\nid='o'\nurl='http://h:1'\n";
        let config = check(text, Path::new("/etc")).unwrap();
        assert!(config.connections[0].embedded);
        let address = serde_json::to_string(&config.connections[1].address).unwrap();
        assert_eq!(address, r#"{"engine":"postgresql","host":"h","port":5432,"user":"u"}"#);
        assert!(!format!("{config:?}").contains("\"p\""));
        let lake = &config.connections[3];
        assert!(!lake.embedded && lake.object_store.as_deref() == Some("o"));
        assert_eq!(lake.attributes, [("interval_ms", "5000".to_owned())]);
        assert_eq!(
            serde_json::to_string(&lake.address).unwrap(),
            r#"{"uri":"postgres://u@h/d","warehouse":"s3://b/w"}"#
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = "[[connection]]\nid='a b'\nkind='kafka'\n[[connection]]\nid='x'\nkind='spark'\nbootstrap='h:1'\n\
                    [[connection]]\nid='y'\nkind='bucket'\nformat='orc'\npassword='p'\n[streams]\nlanes=99\ntopics='z'\n";
        let problems = check(text, Path::new("/etc")).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        for want in [
            "connection[0].id",
            "connection[0].bootstrap",
            "connection[1].kind",
            "connection[2].object_store",
            "connection[2].format",
            "connection[2].password",
            "streams.lanes",
            "streams.topics",
        ] {
            assert!(keys.contains(&want), "{want} not in {keys:?}");
        }
    }
}
