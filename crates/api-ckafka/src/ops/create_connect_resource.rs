//! `CreateConnectResource`: how a system is reached, under a name that tasks use.
//!
//! The other side is not asked: the product makes connections in the background too, and what is wrong with one stands in
//! the task that uses it.

use crate::fault;
use crate::request::{Ask, description, given, needed, tags};
use crate::tables::{RESOURCE_ID, TAG, connections as t};
use crate::translate::{attributes as words, connects, ids};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::NewConnection;
use serde_json::json;
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateConnectResource",
    request: &[
        Field::new("ResourceName", Ty::Str).required(),
        Field::new("Type", Ty::Str).required(),
        Field::new("Description", Ty::Str),
        Field::new("DtsConnectParam", Ty::Object(t::DTS_CONNECT_PARAM)),
        Field::new("MongoDBConnectParam", Ty::Object(t::MONGODB_CONNECT_PARAM)),
        Field::new("EsConnectParam", Ty::Object(t::ES_CONNECT_PARAM)),
        Field::new("ClickHouseConnectParam", Ty::Object(t::CLICKHOUSE_CONNECT_PARAM)),
        Field::new("MySQLConnectParam", Ty::Object(t::MYSQL_CONNECT_PARAM)),
        Field::new("PostgreSQLConnectParam", Ty::Object(t::POSTGRESQL_CONNECT_PARAM)),
        Field::new("MariaDBConnectParam", Ty::Object(t::MARIADB_CONNECT_PARAM)),
        Field::new("SQLServerConnectParam", Ty::Object(t::SQL_SERVER_CONNECT_PARAM)),
        Field::new("DorisConnectParam", Ty::Object(t::DORIS_CONNECT_PARAM)),
        Field::new("KafkaConnectParam", Ty::Object(t::KAFKA_CONNECT_PARAM)),
        Field::new("MqttConnectParam", Ty::Object(t::MQTT_CONNECT_PARAM)),
        Field::new("IcebergConnectParam", Ty::Object(t::ICEBERG_CONNECT_PARAM)),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    ],
    response: RESOURCE_ID,
    note: "Tasks can use ES, CLICKHOUSE, KAFKA and the MYSQL, MARIADB and POSTGRESQL families; the other types are kept and \
           shown. ClickHouse is reached by HTTP: Port is that of its HTTP interface. The other side is not asked.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let new = read(ask, &p).await?;
    let made = ask.control.create_connection(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Ok(Reply::from(json!({"Result": {"ResourceId": made.id.as_str()}})))
}

async fn read(ask: &Ask<'_>, p: &Params<'_>) -> Result<NewConnection, Fault> {
    let name = name(p)?;
    let family = connects::named(needed(p, "", "Type")?)
        .ok_or_else(|| fault::value("The parameter `Type` is none of the product's types of connections."))?;
    let mut attributes = BTreeMap::new();
    let (mut address, mut secret) = (String::new(), None);
    let mut region = ask.call.region.clone();
    match family.param_of(p)? {
        Some((param, value)) => {
            (address, secret) = family.address(ask, &param).await?;
            let own = connects::SECRETS.iter().find_map(|name| given(&param, name));
            secret = own.map(|s| ask.control.seal(s)).or(secret);
            attributes.insert(words::PARAM.to_owned(), connects::kept(value).to_string());
            region = given(&param, "Region").map(str::to_owned).or(region);
        }
        // A request can't have one for CTSDB.
        None if family.product == "CTSDB" => {}
        None => return Err(fault::empty(family.param)),
    }
    if let Some(region) = region {
        attributes.insert(words::REGION.to_owned(), region);
    }
    Ok(NewConnection {
        name: name.to_owned(),
        description: description(p)?.to_owned(),
        kind: family.kind,
        product: family.product.to_owned(),
        address,
        secret,
        attributes,
        tags: tags(p, fault::VALUE)?,
        probe: false,
    })
}

/// `ResourceName`, by the rule of a task's name.
///
/// # Errors
/// `NotAllowedEmpty`, `InvalidParameterValue`.
pub fn name<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let name = needed(p, "", "ResourceName")?;
    if ids::is_name(name) {
        return Ok(name);
    }
    Err(fault::value(
        "The parameter `ResourceName` must begin with a letter and may have 64 letters, digits, `-`, `.` and `_`.",
    ))
}
