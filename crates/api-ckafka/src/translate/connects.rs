//! Connections: the product's types and their parameters, and the address that each becomes.
//!
//! Every type is kept and shown. Those that a connector can use have an address in that connector's JSON: the host and
//! port of the request, or what a connection of the catalogue says whose name stands in `Resource` (an instance of the
//! cloud, which the operator has declared).

use super::ends::{host, is_host};
use super::{attributes as words, states};
use crate::fault;
use crate::request::{Ask, MAX_ID, given, needed, one_of, path, shown_tags};
use crate::shape;
use crate::tables::connections as tables;
use api::{Fault, Field, Params};
use model::{Connection, EndKind, Sealed};
use serde_json::{Map, Value, json};

/// Bytes of one text of a parameter at most.
const MAX_TEXT: usize = 64 * 1024;
/// Bytes of a password at most.
const MAX_SECRET: usize = 1_024;

/// One type of connection.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// `Type`.
    pub product: &'static str,
    /// Its parameter.
    pub param: &'static str,
    /// Its connector, where there is one.
    pub kind: Option<EndKind>,
    /// The database, for the SQL connector.
    engine: &'static str,
}

const fn family(
    product: &'static str,
    param: &'static str,
    kind: Option<EndKind>,
    engine: &'static str,
) -> Family {
    Family { product, param, kind, engine }
}

/// All types.
pub const FAMILIES: [Family; 15] = [
    family("DTS", "DtsConnectParam", None, ""),
    family("MONGODB", "MongoDBConnectParam", None, ""),
    family("ES", "EsConnectParam", Some(EndKind::Elastic), ""),
    family("CLICKHOUSE", "ClickHouseConnectParam", Some(EndKind::ClickHouse), ""),
    family("MYSQL", "MySQLConnectParam", Some(EndKind::Sql), "mysql"),
    family("TDSQL_C_MYSQL", "MySQLConnectParam", Some(EndKind::Sql), "mysql"),
    family("POSTGRESQL", "PostgreSQLConnectParam", Some(EndKind::Sql), "postgresql"),
    family("TDSQL_C_POSTGRESQL", "PostgreSQLConnectParam", Some(EndKind::Sql), "postgresql"),
    family("MARIADB", "MariaDBConnectParam", Some(EndKind::Sql), "mariadb"),
    family("SQLSERVER", "SQLServerConnectParam", None, ""),
    family("DORIS", "DorisConnectParam", None, ""),
    family("KAFKA", "KafkaConnectParam", Some(EndKind::Kafka), ""),
    family("MQTT", "MqttConnectParam", None, ""),
    family("ICEBERG", "IcebergConnectParam", None, ""),
    family("CTSDB", "CtsdbConnectParam", None, ""),
];

/// All parameters with their tables.
pub const PARAMS: [(&str, &[Field]); 13] = [
    ("DtsConnectParam", tables::DTS_CONNECT_PARAM),
    ("MongoDBConnectParam", tables::MONGODB_CONNECT_PARAM),
    ("EsConnectParam", tables::ES_CONNECT_PARAM),
    ("ClickHouseConnectParam", tables::CLICKHOUSE_CONNECT_PARAM),
    ("MySQLConnectParam", tables::MYSQL_CONNECT_PARAM),
    ("PostgreSQLConnectParam", tables::POSTGRESQL_CONNECT_PARAM),
    ("MariaDBConnectParam", tables::MARIADB_CONNECT_PARAM),
    ("SQLServerConnectParam", tables::SQL_SERVER_CONNECT_PARAM),
    ("CtsdbConnectParam", tables::CTSDB_CONNECT_PARAM),
    ("DorisConnectParam", tables::DORIS_CONNECT_PARAM),
    ("KafkaConnectParam", tables::KAFKA_CONNECT_PARAM),
    ("MqttConnectParam", tables::MQTT_CONNECT_PARAM),
    ("IcebergConnectParam", tables::ICEBERG_CONNECT_PARAM),
];

/// Fields of a parameter that are secrets.
pub const SECRETS: [&str; 2] = ["Password", "KeyTabContent"];

/// The type of this name.
#[must_use]
pub fn named(product: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.product == product)
}

impl Family {
    /// The parameter of this type in a request, and nothing of another type.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a parameter of another type, or a text that is too long.
    pub fn param_of<'p>(&self, request: &Params<'p>) -> Result<Option<(Params<'p>, &'p Value)>, Fault> {
        let other = PARAMS.iter().map(|(name, _)| *name).find(|n| *n != self.param && request.has(n));
        if let Some(other) = other {
            return Err(fault::value(format!(
                "The parameter `{other}` does not go with the Type {}.",
                self.product
            )));
        }
        let Some(value) = request.get(self.param) else { return Ok(None) };
        let p = Params::unchecked(value, false);
        for name in p.names() {
            let most = if name == "Password" { MAX_SECRET } else { MAX_TEXT };
            if p.text(name).len() > most {
                return Err(fault::value(format!(
                    "The parameter `{}.{name}` may have {most} bytes.",
                    self.param
                )));
            }
        }
        Ok(Some((p, value)))
    }

    /// The connector's JSON for this parameter, and a secret that comes with a declared connection. Empty where the
    /// server has no connector for it.
    ///
    /// # Errors
    /// In the vendor's words.
    pub async fn address(&self, ask: &Ask<'_>, p: &Params<'_>) -> Result<(String, Option<Sealed>), Fault> {
        let fields = match self.kind {
            None => return Ok((String::new(), None)),
            Some(EndKind::Kafka) => return kafka(ask, p, self.param).await,
            Some(EndKind::Elastic) if given(p, "EndpointUrl").is_some() => {
                let mut fields = Map::new();
                fields.insert("url".to_owned(), endpoint_url(p, self.param)?.into());
                fields
            }
            Some(kind) => match place(ask, p, self.param, kind).await? {
                Place::Declared(found) => return inherited(&found, given(p, "UserName")),
                Place::Host(host, port) => self.own(p, &host, port)?,
            },
        };
        Ok((with_user(fields, given(p, "UserName")), None))
    }

    fn own(&self, p: &Params<'_>, host: &str, port: u16) -> Result<Map<String, Value>, Fault> {
        let mut fields = Map::new();
        if self.kind == Some(EndKind::Sql) {
            fields.insert("engine".to_owned(), self.engine.into());
            // Brackets belong to URLs.
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            fields.insert("host".to_owned(), bare.into());
            fields.insert("port".to_owned(), port.into());
        } else {
            let scheme = one_of(p, self.param, "Protocol", &["http", "https"])?;
            fields.insert("url".to_owned(), format!("{scheme}://{host}:{port}").into());
        }
        Ok(fields)
    }
}

/// What a request leads to.
enum Place {
    Host(String, u16),
    Declared(Box<Connection>),
}

/// `ServiceVip`, or else a connection of the catalogue named by `Resource`, or else `Resource` itself as the host of a
/// user's own system.
async fn place(ask: &Ask<'_>, p: &Params<'_>, at: &str, kind: EndKind) -> Result<Place, Fault> {
    if let Some(vip) = given(p, "ServiceVip") {
        return Ok(Place::Host(host(&path(at, "ServiceVip"), vip)?, port(p, at)?));
    }
    let id = needed(p, at, "Resource")?;
    if let Some(found) = declared(ask, id, kind).await? {
        return Ok(Place::Declared(Box::new(found)));
    }
    if p.bool("SelfBuilt").unwrap_or_default() && is_host(id) {
        return Ok(Place::Host(host(&path(at, "Resource"), id)?, port(p, at)?));
    }
    Err(fault::refuse(
        fault::EMPTY,
        format!(
            "The parameter `{at}.ServiceVip` may not be empty: `{at}.Resource` is no instance that this server knows."
        ),
    ))
}

async fn declared(ask: &Ask<'_>, id: &str, kind: EndKind) -> Result<Option<Connection>, Fault> {
    if id.len() > MAX_ID {
        return Ok(None);
    }
    Ok(ask.find_connection(id).await?.filter(|c| c.kind == Some(kind)))
}

fn port(p: &Params<'_>, at: &str) -> Result<u16, Fault> {
    p.u64("Port")
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or_else(|| fault::value(format!("The parameter `{at}.Port` must be between 1 and 65535.")))
}

/// A declared address with the request's own user.
fn inherited(found: &Connection, user: Option<&str>) -> Result<(String, Option<Sealed>), Fault> {
    let address: Value = serde_json::from_str(&found.address).map_err(|_| Fault::internal())?;
    let Value::Object(fields) = address else { return Err(Fault::internal()) };
    Ok((with_user(fields, user), found.secret.clone()))
}

fn with_user(mut fields: Map<String, Value>, user: Option<&str>) -> String {
    if let Some(user) = user {
        fields.insert("user".to_owned(), user.into());
    }
    Value::Object(fields).to_string()
}

/// The address of a serverless Elasticsearch: a URL without user, path or query.
fn endpoint_url<'p>(p: &Params<'p>, at: &str) -> Result<&'p str, Fault> {
    let url = p.text("EndpointUrl");
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|r| r.trim_end_matches('/')).unwrap_or_default();
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => authority,
    };
    if is_host(name) {
        return Ok(url.trim_end_matches('/'));
    }
    Err(fault::value(format!("The parameter `{at}.EndpointUrl` must be like https://host:port.")))
}

/// Brokers by their addresses, by one address in a private network, or those of a declared cluster.
async fn kafka(ask: &Ask<'_>, p: &Params<'_>, at: &str) -> Result<(String, Option<Sealed>), Fault> {
    let network = match given(p, "NetworkType") {
        Some(_) => one_of(p, at, "NetworkType", &["PUBLIC", "VPC"])?,
        None => "",
    };
    if let Some(brokers) = given(p, "BrokerAddress") {
        return Ok((json!({ "bootstrap": brokers_of(brokers, at)? }).to_string(), None));
    }
    if network == "PUBLIC" {
        return Err(fault::empty(&path(at, "BrokerAddress")));
    }
    if let Some(vip) = given(p, "ServiceVip") {
        let host = host(&path(at, "ServiceVip"), vip)?;
        return Ok((json!({ "bootstrap": format!("{host}:{}", port(p, at)?) }).to_string(), None));
    }
    if network == "VPC" {
        return Err(fault::empty(&path(at, "ServiceVip")));
    }
    let id = needed(p, at, "Resource")?;
    match declared(ask, id, EndKind::Kafka).await? {
        // The embedded broker's is empty: this one is it too, then.
        Some(found) => Ok((found.address, found.secret)),
        None => Err(fault::refuse(
            fault::NO_INSTANCE,
            format!("The parameter `{at}.Resource` names no cluster that this server knows."),
        )),
    }
}

fn brokers_of(text: &str, at: &str) -> Result<String, Fault> {
    let bad =
        || fault::value(format!("The parameter `{at}.BrokerAddress` must be like host:port,host:port."));
    let brokers: Option<Vec<&str>> = text
        .split(',')
        .map(str::trim)
        .map(|b| {
            let (name, port) = b.rsplit_once(':')?;
            (is_host(name) && port.parse::<u16>().is_ok_and(|p| p > 0)).then_some(b)
        })
        .collect();
    match brokers {
        Some(all) if all.len() <= 100 => Ok(all.join(",")),
        _ => Err(bad()),
    }
}

/// What is kept of a parameter: without its secrets, and without the order to update tasks.
#[must_use]
pub fn kept(value: &Value) -> Value {
    let mut kept = value.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.remove("IsUpdate");
    }
    shape::without(&mut kept, &SECRETS);
    kept
}

/// The fields that an answer about one connection and an entry of the list share.
#[must_use]
pub fn shown(ask: &Ask<'_>, c: &Connection) -> Map<String, Value> {
    let param = c.attributes.get(words::PARAM).and_then(|text| serde_json::from_str(text).ok());
    let param: Value = param.unwrap_or_else(|| json!({ "Resource": c.id.as_str() }));
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("ResourceId", c.id.as_str().into());
    put("ResourceName", c.name.as_str().into());
    put("Description", c.description.as_str().into());
    put("Type", c.product.as_str().into());
    put("Status", states::CONNECTION_RUNNING.into());
    put("CreateTime", ask.time(c.created).into());
    put("ErrorMessage", states::CONNECTION_MESSAGE.into());
    put("CurrentStep", states::FINISHED.into());
    put("StepList", json!([states::FINISHED]));
    put("Tags", shown_tags(&c.tags));
    let own = named(&c.product).map(|f| f.param);
    for (name, table) in PARAMS {
        let value = if own == Some(name) { shape::complete(table, &param) } else { Value::Null };
        put(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_table() {
        for f in FAMILIES {
            assert!(PARAMS.iter().any(|(name, _)| *name == f.param), "{}", f.product);
        }
    }

    #[test]
    fn addresses_of_brokers_and_endpoints() {
        assert_eq!(brokers_of("a:1, b.c:2", "K").unwrap(), "a:1,b.c:2");
        for bad in ["", "a", "a:0", "a:x", "a b:1", "a:1,,b:2", "http://a:1"] {
            assert!(brokers_of(bad, "K").is_err(), "{bad}");
        }
        let read = |url: &str| {
            let v = json!({ "EndpointUrl": url });
            endpoint_url(&Params::unchecked(&v, false), "E").map(str::to_owned)
        };
        assert_eq!(read("https://es.example.com/").unwrap(), "https://es.example.com");
        assert_eq!(read("http://h:9200").unwrap(), "http://h:9200");
        for bad in ["es.example.com", "ftp://h", "http://u:p@h", "http://h/p", "http://", "http://h?x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_kept() {
        let v = json!({"Port": 1, "Password": "p", "KeyTabContent": "k", "IsUpdate": true});
        assert_eq!(kept(&v), json!({"Port": 1, "Password": "", "KeyTabContent": ""}));
    }
}
