//! `ModifyConnectResource`: name, description, and user and password of a connection.

use super::create_connect_resource::name;
use crate::fault;
use crate::request::{Ask, MAX_ID, description, given};
use crate::tables::{RESOURCE_ID, connections as t};
use crate::translate::{attributes as words, connects};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::ConnectionChange;
use model::{Connection, ConnectionId};
use serde_json::{Map, Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ModifyConnectResource",
    request: &[
        Field::new("ResourceId", Ty::Str).required(),
        Field::new("ResourceName", Ty::Str),
        Field::new("Description", Ty::Str),
        Field::new("Type", Ty::Str),
        Field::new("DtsConnectParam", Ty::Object(t::DTS_MODIFY_CONNECT_PARAM)),
        Field::new("MongoDBConnectParam", Ty::Object(t::MONGODB_MODIFY_CONNECT_PARAM)),
        Field::new("EsConnectParam", Ty::Object(t::ES_MODIFY_CONNECT_PARAM)),
        Field::new("ClickHouseConnectParam", Ty::Object(t::CLICKHOUSE_MODIFY_CONNECT_PARAM)),
        Field::new("MySQLConnectParam", Ty::Object(t::MYSQL_MODIFY_CONNECT_PARAM)),
        Field::new("PostgreSQLConnectParam", Ty::Object(t::POSTGRESQL_MODIFY_CONNECT_PARAM)),
        Field::new("MariaDBConnectParam", Ty::Object(t::MARIADB_MODIFY_CONNECT_PARAM)),
        Field::new("SQLServerConnectParam", Ty::Object(t::SQL_SERVER_MODIFY_CONNECT_PARAM)),
        Field::new("CtsdbConnectParam", Ty::Object(t::CTSDB_CONNECT_PARAM)),
        Field::new("DorisConnectParam", Ty::Object(t::DORIS_MODIFY_CONNECT_PARAM)),
        Field::new("KafkaConnectParam", Ty::Object(t::KAFKA_CONNECT_PARAM)),
        Field::new("MqttConnectParam", Ty::Object(t::MQTT_CONNECT_PARAM)),
        Field::new("IcebergConnectParam", Ty::Object(t::ICEBERG_CONNECT_PARAM)),
    ],
    response: RESOURCE_ID,
    note: "Where a system is stays as it was made; UserName, Password and what else does not say where can change. IsUpdate \
           restarts the tasks that use the connection, by default for DTS and CLICKHOUSE. Type must be the stored one.",
};

/// Fields that say where a system is.
const FIXED: [&str; 7] = ["Resource", "Port", "ServiceVip", "UniqVpcId", "SelfBuilt", "ClusterId", "Topic"];

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let id = resource_id(ask, &p)?;
    let stored = ask.control.connection(&ask.caller, &id).await.map_err(|e| ask.fault(&e))?;
    let change = read(ask, &p, &stored).await?;
    let done = ask.control.change_connection(&ask.caller, &id, change).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"Result": {"ResourceId": done.id.as_str()}})))
}

/// `ResourceId`. What can't be one is one of nothing.
///
/// # Errors
/// As for a connection that is not there.
pub fn resource_id(ask: &Ask<'_>, p: &Params<'_>) -> Result<ConnectionId, Fault> {
    let id = p.text("ResourceId");
    if id.is_empty() {
        return Err(fault::empty("ResourceId"));
    }
    if id.len() > MAX_ID {
        return Err(ask.fault(&control::Error::not_found(control::Noun::Connection, "of such a long id")));
    }
    Ok(ConnectionId::from(id))
}

async fn read(ask: &Ask<'_>, p: &Params<'_>, stored: &Connection) -> Result<ConnectionChange, Fault> {
    let mut change = ConnectionChange::default();
    if given(p, "ResourceName").is_some() {
        change.name = Some(name(p)?.to_owned());
    }
    if p.has("Description") {
        change.description = Some(description(p)?.to_owned());
    }
    if given(p, "Type").is_some_and(|kind| kind != stored.product) {
        return Err(fault::value(format!(
            "The parameter `Type` must be {}, as it was made.",
            stored.product
        )));
    }
    let family = connects::named(&stored.product)
        .ok_or_else(|| fault::value("A connection of this type can't be changed here."))?;
    let Some((param, value)) = family.param_of(p)? else { return Ok(change) };
    let merged = merged(stored, &param, value, family.param)?;
    let (address, _) = family.address(ask, &Params::unchecked(&merged, false)).await?;
    change.address = Some(address).filter(|a| *a != stored.address);
    change.secret = connects::SECRETS.iter().find_map(|n| given(&param, n)).map(|s| ask.control.seal(s));
    change.attributes.insert(words::PARAM.to_owned(), Some(connects::kept(&merged).to_string()));
    let by_default = matches!(stored.product.as_str(), "DTS" | "CLICKHOUSE");
    change.restart = param.bool("IsUpdate").unwrap_or(by_default);
    Ok(change)
}

/// The stored parameter with the request's fields laid over it.
fn merged(stored: &Connection, param: &Params<'_>, value: &Value, at: &str) -> Result<Value, Fault> {
    let own = stored.attributes.get(words::PARAM).and_then(|text| serde_json::from_str(text).ok());
    let mut all: Map<String, Value> = own.unwrap_or_default();
    for name in param.names() {
        let asked = &value[name];
        let same = all.get(name).is_none_or(|is| is == asked);
        if FIXED.contains(&name) && !same {
            return Err(fault::value(format!("The parameter `{at}.{name}` can't be changed.")));
        }
        all.insert(name.to_owned(), asked.clone());
    }
    Ok(Value::Object(all))
}
