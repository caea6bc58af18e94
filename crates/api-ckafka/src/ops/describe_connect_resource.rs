//! `DescribeConnectResource`: one connection, the caller's own or one that the operator has declared.

use super::modify_connect_resource::resource_id;
use crate::request::Ask;
use crate::shape;
use crate::tables::{TAG, connections as t};
use crate::translate::connects;
use api::{Field, Operation, Outcome, Params, Reply, Ty};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeConnectResource",
    request: &[Field::new("ResourceId", Ty::Str).required()],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "Passwords come back empty.",
};

const RESULT: &[Field] = &[
    Field::new("ResourceId", Ty::Str),
    Field::new("ResourceName", Ty::Str),
    Field::new("Description", Ty::Str),
    Field::new("Type", Ty::Str),
    Field::new("Status", Ty::Int).stored("always 1: a connection is made at once"),
    Field::new("CreateTime", Ty::Str),
    Field::new("ErrorMessage", Ty::Str).stored("always RUNNING; what is in the way stands in the tasks"),
    Field::new("CurrentStep", Ty::Str),
    Field::new("StepList", Ty::List(&Ty::Str)),
    Field::new("MySQLConnectParam", Ty::Object(t::MYSQL_CONNECT_PARAM)),
    Field::new("PostgreSQLConnectParam", Ty::Object(t::POSTGRESQL_CONNECT_PARAM)),
    Field::new("DtsConnectParam", Ty::Object(t::DTS_CONNECT_PARAM)),
    Field::new("MongoDBConnectParam", Ty::Object(t::MONGODB_CONNECT_PARAM)),
    Field::new("EsConnectParam", Ty::Object(t::ES_CONNECT_PARAM)),
    Field::new("ClickHouseConnectParam", Ty::Object(t::CLICKHOUSE_CONNECT_PARAM)),
    Field::new("MariaDBConnectParam", Ty::Object(t::MARIADB_CONNECT_PARAM)),
    Field::new("SQLServerConnectParam", Ty::Object(t::SQL_SERVER_CONNECT_PARAM)),
    Field::new("CtsdbConnectParam", Ty::Object(t::CTSDB_CONNECT_PARAM)),
    Field::new("DorisConnectParam", Ty::Object(t::DORIS_CONNECT_PARAM)),
    Field::new("KafkaConnectParam", Ty::Object(t::KAFKA_CONNECT_PARAM)),
    Field::new("MqttConnectParam", Ty::Object(t::MQTT_CONNECT_PARAM)),
    Field::new("IcebergConnectParam", Ty::Object(t::ICEBERG_CONNECT_PARAM)),
    Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    Field::new("IcebergDatabases", Ty::List(&Ty::Object(DATABASE))).stored("always null"),
];

const DATABASE: &[Field] = &[
    Field::new("Name", Ty::Str).stored("always null"),
    Field::new("Tables", Ty::List(&Ty::Str)).stored("always null"),
];

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let id = resource_id(ask, &Params::unchecked(&v, false))?;
    let found = ask.control.connection(&ask.caller, &id).await.map_err(|e| ask.fault(&e))?;
    let fields = Value::Object(connects::shown(ask, &found));
    Ok(Reply::from(json!({ "Result": shape::complete(RESULT, &fields) })))
}
