//! Connections: one parameter for each kind of system.
//!
//! Creation, change and answer share the fields; a change needs fewer of them.

use super::{LATER, NO_VPC, SEALED, SELF_BUILT, SHOWN};
use api::{Field, Ty};

/// `DtsConnectParam`.
pub const DTS_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required().stored(LATER),
    Field::new("GroupId", Ty::Str).required().stored(LATER),
    Field::new("UserName", Ty::Str).required().stored(LATER),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("Topic", Ty::Str).required().stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `DtsModifyConnectParam`.
pub const DTS_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).stored(LATER),
    Field::new("GroupId", Ty::Str).stored(LATER),
    Field::new("UserName", Ty::Str).stored(LATER),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("Topic", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `MongoDBConnectParam`.
pub const MONGODB_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required().stored(LATER),
    Field::new("UserName", Ty::Str).required().stored(LATER),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("SelfBuilt", Ty::Bool).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `MongoDBModifyConnectParam`.
pub const MONGODB_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).stored(LATER),
    Field::new("UserName", Ty::Str).stored(LATER),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("SelfBuilt", Ty::Bool).stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `EsConnectParam`.
pub const ES_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required(),
    Field::new("UserName", Ty::Str).required(),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SelfBuilt", Ty::Bool).required().stored(SELF_BUILT),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("EsType", Ty::Str).stored(SHOWN),
    Field::new("EsVersion", Ty::Str).stored(SHOWN),
    Field::new("EndpointUrl", Ty::Str),
    Field::new("Protocol", Ty::Str),
];

/// `EsModifyConnectParam`.
pub const ES_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("EsType", Ty::Str).stored(SHOWN),
    Field::new("EsVersion", Ty::Str).stored(SHOWN),
    Field::new("EndpointUrl", Ty::Str),
    Field::new("Protocol", Ty::Str),
];

/// `ClickHouseConnectParam`.
pub const CLICKHOUSE_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required(),
    Field::new("UserName", Ty::Str).required(),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SelfBuilt", Ty::Bool).required().stored(SELF_BUILT),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
];

/// `ClickHouseModifyConnectParam`.
pub const CLICKHOUSE_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
];

/// `MySQLConnectParam`.
pub const MYSQL_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required(),
    Field::new("UserName", Ty::Str).required(),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("ClusterId", Ty::Str).stored(SHOWN),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
];

/// `MySQLModifyConnectParam`.
pub const MYSQL_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("ClusterId", Ty::Str).stored(SHOWN),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
];

/// `PostgreSQLConnectParam`.
pub const POSTGRESQL_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required(),
    Field::new("UserName", Ty::Str).required(),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("ClusterId", Ty::Str).stored(SHOWN),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
];

/// `PostgreSQLModifyConnectParam`.
pub const POSTGRESQL_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("ClusterId", Ty::Str).stored(SHOWN),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
];

/// `MariaDBConnectParam`.
pub const MARIADB_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required(),
    Field::new("UserName", Ty::Str).required(),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
];

/// `MariaDBModifyConnectParam`.
pub const MARIADB_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required(),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("IsUpdate", Ty::Bool),
];

/// `SQLServerConnectParam`.
pub const SQL_SERVER_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required().stored(LATER),
    Field::new("UserName", Ty::Str).required().stored(LATER),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `SQLServerModifyConnectParam`.
pub const SQL_SERVER_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).stored(LATER),
    Field::new("UserName", Ty::Str).stored(LATER),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];

/// `CtsdbConnectParam`.
pub const CTSDB_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("UserName", Ty::Str).stored(LATER),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).stored(LATER),
];

/// `DorisConnectParam`.
pub const DORIS_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required().stored(LATER),
    Field::new("UserName", Ty::Str).required().stored(LATER),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
    Field::new("SelfBuilt", Ty::Bool).stored(LATER),
    Field::new("BePort", Ty::Int).stored(LATER),
];

/// `DorisModifyConnectParam`.
pub const DORIS_MODIFY_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).stored(LATER),
    Field::new("UserName", Ty::Str).stored(LATER),
    Field::new("Password", Ty::Str).stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
    Field::new("SelfBuilt", Ty::Bool).stored(LATER),
    Field::new("BePort", Ty::Int).stored(LATER),
];

/// `KafkaConnectParam`.
pub const KAFKA_CONNECT_PARAM: &[Field] = &[
    Field::new("Resource", Ty::Str),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
    Field::new("IsUpdate", Ty::Bool),
    Field::new("BrokerAddress", Ty::Str),
    Field::new("Region", Ty::Str).stored(SHOWN),
    Field::new("NetworkType", Ty::Str),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("ServiceVip", Ty::Str),
    Field::new("Port", Ty::Int),
    Field::new("CrossNetResourceUniqueId", Ty::Str).stored(SHOWN),
    Field::new("CrossNetVpcSubNetId", Ty::Str).stored(SHOWN),
    Field::new("OriginalBrokerAddresses", Ty::Str).stored(SHOWN),
];

/// `MqttConnectParam`.
pub const MQTT_CONNECT_PARAM: &[Field] = &[
    Field::new("Port", Ty::Int).required().stored(LATER),
    Field::new("UserName", Ty::Str).required().stored(LATER),
    Field::new("Password", Ty::Str).required().stored(SEALED),
    Field::new("Resource", Ty::Str).required().stored(LATER),
    Field::new("ServiceVip", Ty::Str).required().stored(LATER),
    Field::new("UniqVpcId", Ty::Str).required().stored(LATER),
    Field::new("SelfBuilt", Ty::Bool).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
    Field::new("Region", Ty::Str).stored(LATER),
    Field::new("Ip", Ty::Str).stored(LATER),
];

/// `IcebergConnectParam`.
pub const ICEBERG_CONNECT_PARAM: &[Field] = &[
    Field::new("ServiceVip", Ty::Str).stored(LATER),
    Field::new("Resource", Ty::Str).stored(LATER),
    Field::new("UniqVpcId", Ty::Str).stored(LATER),
    Field::new("AuthType", Ty::Str).stored(LATER),
    Field::new("EniIdList", Ty::List(&Ty::Str)).stored(LATER),
    Field::new("CatalogType", Ty::Str).stored(LATER),
    Field::new("KeyTabContent", Ty::Str).stored(SEALED),
    Field::new("KRB5ConfContent", Ty::Str).stored(LATER),
    Field::new("KerberosUserPrincipal", Ty::Str).stored(LATER),
    Field::new("KerberosPrincipal", Ty::Str).stored(LATER),
    Field::new("IsUpdate", Ty::Bool).stored(LATER),
];
