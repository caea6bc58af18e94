//! `DatahubResource` as an end of a pipeline: which connector, reached through what, with which options.
//!
//! One module for each family of types. The options are the connector's own JSON; whether they make sense in detail (an
//! index's name, a column's type) is the connector's to say when `control` has it check them.

mod bucket;
mod bus;
mod clickhouse;
mod elastic;
mod iceberg;
mod kafka;
mod place;
mod sql;

use crate::fault;
use crate::request::{Ask, path};
use api::{Fault, Params};
use control::SyncKind;
use model::{EndKind, OnFailure, PipelineDirection, PipelineEnd};
use serde_json::{Map, Value};

pub use kafka::{dead_letters, kept, sync_sink, sync_source};
pub use place::{host, is_host};

/// Where records come from.
pub struct Source {
    /// The end.
    pub end: PipelineEnd,
    /// What the request calls it, for the filter `Resource`.
    pub word: String,
    /// Records a second at most.
    pub records_per_s: Option<u64>,
    /// Records that can't be written are kept aside (`EnableToleration`).
    pub tolerant: bool,
    /// It belongs to an instance sync.
    pub sync: Option<SyncKind>,
}

/// Where they go.
pub struct Sink {
    /// The end.
    pub end: PipelineEnd,
    /// What the request calls it.
    pub word: String,
    /// Records a second at most.
    pub records_per_s: Option<u64>,
    /// What becomes of records that the destination refuses.
    pub on_refusal: OnFailure,
    /// It belongs to an instance sync.
    pub sync: Option<SyncKind>,
}

/// A resource of a request.
#[derive(Clone, Copy)]
pub struct Resource<'p> {
    /// `SourceResource` or `TargetResource`.
    pub at: &'static str,
    /// `Type`.
    pub kind: &'p str,
    /// Its fields.
    pub fields: Params<'p>,
}

/// Parameters by type: the types of one parameter share a line.
const PARAMS: &[(&str, &[&str])] = &[
    ("KafkaParam", &["KAFKA"]),
    ("TopicParam", &["TOPIC"]),
    ("EsParam", &["ES"]),
    ("ClickHouseParam", &["CLICKHOUSE"]),
    ("CosParam", &["COS"]),
    ("ScfParam", &["SCF"]),
    ("MySQLParam", &["MYSQL", "TDSQL_C_MYSQL", "MYSQL_DATA"]),
    ("MariaDBParam", &["MARIADB"]),
    ("PostgreSQLParam", &["POSTGRESQL", "TDSQL_C_POSTGRESQL", "TDSQL_POSTGRESQL", "WAREHOUSE_POSTGRESQL"]),
    ("SQLServerParam", &["SQLSERVER"]),
    ("MongoDBParam", &["MONGODB"]),
    ("DtsParam", &["DTS"]),
    ("MqttParam", &["MQTT"]),
    ("ClsParam", &["CLS"]),
    ("TdwParam", &["TDW"]),
    ("CtsdbParam", &["CTSDB"]),
    ("IcebergParam", &["ICEBERG"]),
];

/// Types that are a source with the product.
const SOURCES: &[&str] = &[
    "HTTP",
    "KAFKA",
    "TOPIC",
    "MYSQL",
    "TDSQL_C_MYSQL",
    "MYSQL_DATA",
    "MARIADB",
    "POSTGRESQL",
    "TDSQL_C_POSTGRESQL",
    "TDSQL_POSTGRESQL",
    "WAREHOUSE_POSTGRESQL",
    "SQLSERVER",
    "MONGODB",
    "DTS",
    "MQTT",
];

/// Types that are a destination with the product, beside the family `EB_…`.
const SINKS: &[&str] = &[
    "KAFKA",
    "TOPIC",
    "ES",
    "CLICKHOUSE",
    "DORIS",
    "CLS",
    "COS",
    "SCF",
    "MYSQL",
    "TDSQL_C_MYSQL",
    "MARIADB",
    "POSTGRESQL",
    "TDSQL_C_POSTGRESQL",
    "TDSQL_POSTGRESQL",
    "WAREHOUSE_POSTGRESQL",
    "TDW",
    "CTSDB",
    "ICEBERG",
    "EB",
];

impl<'p> Resource<'p> {
    /// The resource of this name.
    ///
    /// # Errors
    /// `NotAllowedEmpty` where there is none; `InvalidParameterValue` for a type that the product does not have, or a
    /// parameter of another type.
    pub fn of(request: &Params<'p>, at: &'static str) -> Result<Self, Fault> {
        let fields = request.object(at).ok_or_else(|| fault::empty(at))?;
        let kind = fields.text("Type");
        if kind.is_empty() {
            return Err(fault::empty(&path(at, "Type")));
        }
        if !SOURCES.contains(&kind) && !SINKS.contains(&kind) && !kind.starts_with("EB_") {
            return Err(fault::value(format!("The parameter `{at}.Type` is none of the product's types.")));
        }
        let own = param_of(kind);
        match fields.names().find(|name| *name != "Type" && Some(*name) != own) {
            Some(other) => {
                Err(fault::value(format!("The parameter `{at}.{other}` does not go with the Type {kind}.")))
            }
            None => Ok(Self { at, kind, fields }),
        }
    }

    /// The parameter of its type, and the path of it.
    fn param(&self) -> Result<(Params<'p>, String), Fault> {
        let name = param_of(self.kind).unwrap_or("Type");
        let at = path(self.at, name);
        self.fields.object(name).map(|p| (p, at.clone())).ok_or_else(|| fault::empty(&at))
    }

    /// What this server does not do, said at the type.
    fn later(&self, role: &str) -> Fault {
        if param_of(self.kind).is_some()
            && let Err(missing) = self.param()
        {
            return missing;
        }
        fault::not_here(&path(self.at, "Type"), &format!("{} is no {role} of this server yet", self.kind))
    }
}

fn param_of(kind: &str) -> Option<&'static str> {
    if kind.starts_with("EB") {
        return Some("EventBusParam");
    }
    PARAMS.iter().find(|(_, kinds)| kinds.contains(&kind)).map(|(name, _)| *name)
}

/// The end that a task reads.
///
/// # Errors
/// In the vendor's words.
pub async fn source(
    ask: &Ask<'_>,
    resource: Resource<'_>,
    direction: PipelineDirection,
) -> Result<Source, Fault> {
    let of_topics = matches!(resource.kind, "KAFKA" | "TOPIC");
    if !SOURCES.contains(&resource.kind) || (direction == PipelineDirection::Sink && !of_topics) {
        return Err(misplaced(&resource, "source"));
    }
    match resource.kind {
        "KAFKA" => kafka::source(ask, &resource).await,
        "TOPIC" => kafka::topic_source(ask, &resource).await,
        "HTTP" => Ok(Source {
            end: end(EndKind::Http, None, Map::new()),
            word: String::new(),
            records_per_s: None,
            tolerant: false,
            sync: None,
        }),
        _ => Err(resource.later("source")),
    }
}

/// The end that a task writes.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(
    ask: &Ask<'_>,
    resource: Resource<'_>,
    direction: PipelineDirection,
    from: &str,
) -> Result<Sink, Fault> {
    let of_topics = matches!(resource.kind, "KAFKA" | "TOPIC");
    let known = SINKS.contains(&resource.kind) || resource.kind.starts_with("EB_");
    if !known || (direction == PipelineDirection::Source && !of_topics) {
        return Err(misplaced(&resource, "destination"));
    }
    match resource.kind {
        "KAFKA" => kafka::sink(ask, &resource, direction, from).await,
        "TOPIC" => kafka::topic_sink(ask, &resource, direction, from).await,
        "ES" => elastic::sink(ask, &resource).await,
        "CLICKHOUSE" => clickhouse::sink(ask, &resource).await,
        "COS" => bucket::sink(&resource),
        "ICEBERG" => iceberg::sink(ask, &resource).await,
        "SCF" => bus::function(ask, &resource).await,
        "EB" | "EB_ES" | "EB_COS" => bus::sink(ask, &resource).await,
        kind if sql::is_one(kind) => sql::sink(ask, &resource).await,
        _ => Err(resource.later("destination")),
    }
}

fn misplaced(resource: &Resource<'_>, role: &str) -> Fault {
    fault::value(format!(
        "The parameter `{}.Type` can't be {}: that is no {role} of a task of this TaskType.",
        resource.at, resource.kind
    ))
}

/// An end whose way is a connection, or none.
fn end(kind: EndKind, connection: Option<&str>, options: Map<String, Value>) -> PipelineEnd {
    PipelineEnd {
        kind,
        connection: connection.map(model::ConnectionId::from),
        address: String::new(),
        secret: None,
        options: Value::Object(options).to_string(),
    }
}

/// Puts a value that is there.
fn put(options: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        options.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_has_its_parameter_or_none() {
        for kind in SOURCES.iter().chain(SINKS) {
            let free = matches!(*kind, "HTTP" | "DORIS");
            assert_eq!(param_of(kind).is_none(), free, "{kind}");
        }
        assert_eq!(param_of("EB_COS"), Some("EventBusParam"));
    }

    #[test]
    fn resources_are_read_by_type() {
        let code = |v: Value| {
            let v = json!({ "R": v });
            Resource::of(&Params::unchecked(&v, false), "R").map(|r| r.kind.to_owned()).map_err(|f| f.code)
        };
        assert_eq!(code(json!({"Type": "KAFKA", "KafkaParam": {}})).unwrap(), "KAFKA");
        assert_eq!(code(json!({"Type": "HTTP"})).unwrap(), "HTTP");
        assert_eq!(code(Value::Null).unwrap_err(), fault::EMPTY);
        assert_eq!(code(json!({"Type": ""})).unwrap_err(), fault::EMPTY);
        assert_eq!(code(json!({"Type": "FTP"})).unwrap_err(), fault::VALUE);
        assert_eq!(code(json!({"Type": "ES", "KafkaParam": {}})).unwrap_err(), fault::VALUE);
        assert_eq!(code(json!({"Type": "HTTP", "KafkaParam": {}})).unwrap_err(), fault::VALUE);
    }
}
