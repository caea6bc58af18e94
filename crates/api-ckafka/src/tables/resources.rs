//! The ends of a task: `DatahubResource` and the parameters of each type.
//!
//! A type that the server can't run yet has its whole parameter refused, so that nobody believes that it works; answers
//! show it as null.

use super::{
    BY_BUCKET, GENERATED, NO_VPC, OF_SOURCES, SEALED_HERE, SELF_BUILT, SHOWN, WITHOUT_CONNECTION,
    always_null, refused_all,
};
use api::{Field, Ty};

const NO_MONGODB: &str = "MongoDB is not a source of this server yet";
const NO_TDW: &str = "TDW is not a destination of this server";
const NO_DTS: &str = "DTS is not a source of this server yet";
const NO_CLS: &str = "CLS is not a destination of this server yet";
const NO_SQLSERVER: &str = "SQL Server is not a source of this server yet";
const NO_CTSDB: &str = "CTSDB is not a destination of this server";
const NO_MQTT: &str = "MQTT is not a source of this server yet";

/// `DatahubResource` of a request.
pub const RESOURCE: &[Field] = &[
    Field::new("Type", Ty::Str).required(),
    Field::new("KafkaParam", Ty::Object(KAFKA_PARAM)),
    Field::new("EventBusParam", Ty::Object(EVENT_BUS_PARAM)),
    Field::new("MongoDBParam", Ty::Object(MONGODB_PARAM)).refused(NO_MONGODB),
    Field::new("EsParam", Ty::Object(ES_PARAM)),
    Field::new("TdwParam", Ty::Object(TDW_PARAM)).refused(NO_TDW),
    Field::new("DtsParam", Ty::Object(DTS_PARAM)).refused(NO_DTS),
    Field::new("ClickHouseParam", Ty::Object(CLICKHOUSE_PARAM)),
    Field::new("ClsParam", Ty::Object(CLS_PARAM)).refused(NO_CLS),
    Field::new("CosParam", Ty::Object(COS_PARAM)),
    Field::new("MySQLParam", Ty::Object(MYSQL_PARAM)),
    Field::new("PostgreSQLParam", Ty::Object(POSTGRESQL_PARAM)),
    Field::new("TopicParam", Ty::Object(TOPIC_PARAM)),
    Field::new("MariaDBParam", Ty::Object(MARIADB_PARAM)),
    Field::new("SQLServerParam", Ty::Object(SQL_SERVER_PARAM)).refused(NO_SQLSERVER),
    Field::new("CtsdbParam", Ty::Object(CTSDB_PARAM)).refused(NO_CTSDB),
    Field::new("ScfParam", Ty::Object(SCF_PARAM)),
    Field::new("MqttParam", Ty::Object(MQTT_PARAM)).refused(NO_MQTT),
    Field::new("IcebergParam", Ty::Object(ICEBERG_PARAM)),
];

/// `DatahubResource` of an answer.
pub const RESOURCE_SHOWN: &[Field] = &[
    Field::new("Type", Ty::Str).required(),
    Field::new("KafkaParam", Ty::Object(KAFKA_PARAM)),
    Field::new("EventBusParam", Ty::Object(EVENT_BUS_PARAM)),
    Field::new("MongoDBParam", Ty::Object(MONGODB_PARAM_SHOWN)).stored("always null"),
    Field::new("EsParam", Ty::Object(ES_PARAM)),
    Field::new("TdwParam", Ty::Object(TDW_PARAM_SHOWN)).stored("always null"),
    Field::new("DtsParam", Ty::Object(DTS_PARAM_SHOWN)).stored("always null"),
    Field::new("ClickHouseParam", Ty::Object(CLICKHOUSE_PARAM)),
    Field::new("ClsParam", Ty::Object(CLS_PARAM_SHOWN)).stored("always null"),
    Field::new("CosParam", Ty::Object(COS_PARAM)),
    Field::new("MySQLParam", Ty::Object(MYSQL_PARAM)),
    Field::new("PostgreSQLParam", Ty::Object(POSTGRESQL_PARAM)),
    Field::new("TopicParam", Ty::Object(TOPIC_PARAM)),
    Field::new("MariaDBParam", Ty::Object(MARIADB_PARAM)),
    Field::new("SQLServerParam", Ty::Object(SQL_SERVER_PARAM_SHOWN)).stored("always null"),
    Field::new("CtsdbParam", Ty::Object(CTSDB_PARAM_SHOWN)).stored("always null"),
    Field::new("ScfParam", Ty::Object(SCF_PARAM)),
    Field::new("MqttParam", Ty::Object(MQTT_PARAM_SHOWN)).stored("always null"),
    Field::new("IcebergParam", Ty::Object(ICEBERG_PARAM)),
];

/// `KafkaParam`.
pub const KAFKA_PARAM: &[Field] = &[
    Field::new("SelfBuilt", Ty::Bool).required().stored(SELF_BUILT),
    Field::new("Resource", Ty::Str).required(),
    Field::new("Topic", Ty::Str),
    Field::new("OffsetType", Ty::Str),
    Field::new("StartTime", Ty::Uint),
    Field::new("ResourceName", Ty::Str).stored(SHOWN),
    Field::new("ZoneId", Ty::Int).stored(SHOWN),
    Field::new("TopicId", Ty::Str).stored(SHOWN),
    Field::new("PartitionNum", Ty::Int),
    Field::new("EnableToleration", Ty::Bool),
    Field::new("QpsLimit", Ty::Uint),
    Field::new("TableMappings", Ty::List(&Ty::Object(TABLE_MAPPING))),
    Field::new("UseTableMapping", Ty::Bool),
    Field::new("UseAutoCreateTopic", Ty::Bool),
    Field::new("CompressionType", Ty::Str),
    Field::new("MsgMultiple", Ty::Int),
    Field::new("ConnectorSyncType", Ty::Str),
    Field::new("KeepPartition", Ty::Bool),
    Field::new("TopicRegularExpression", Ty::Str),
    Field::new("Prefix", Ty::Str),
    Field::new("Separator", Ty::Str),
    Field::new("TopicList", Ty::List(&Ty::Str)),
];

/// `TableMapping`.
pub const TABLE_MAPPING: &[Field] = &[
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Topic", Ty::Str).required(),
    Field::new("TopicId", Ty::Str).stored(SHOWN),
];

/// `TopicParam`.
pub const TOPIC_PARAM: &[Field] = &[
    Field::new("Resource", Ty::Str).required(),
    Field::new("OffsetType", Ty::Str),
    Field::new("StartTime", Ty::Uint),
    Field::new("TopicId", Ty::Str).stored(SHOWN),
    Field::new("CompressionType", Ty::Str),
    Field::new("UseAutoCreateTopic", Ty::Bool),
    Field::new("MsgMultiple", Ty::Int),
];

/// `EsParam`.
pub const ES_PARAM: &[Field] = &[
    Field::new("Resource", Ty::Str).required(),
    Field::new("Port", Ty::Int).stored(WITHOUT_CONNECTION),
    Field::new("UserName", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("Password", Ty::Str).stored(SEALED_HERE),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
    Field::new("ServiceVip", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("DropInvalidMessage", Ty::Bool),
    Field::new("Index", Ty::Str),
    Field::new("DateFormat", Ty::Str),
    Field::new("ContentKey", Ty::Str),
    Field::new("DropInvalidJsonMessage", Ty::Bool),
    Field::new("DocumentIdField", Ty::Str),
    Field::new("IndexType", Ty::Str),
    Field::new("DropCls", Ty::Object(DROP_CLS)),
    Field::new("DatabasePrimaryKey", Ty::Str),
    Field::new("DropDlq", Ty::Object(FAILURE_PARAM)),
    Field::new("RecordMappingList", Ty::List(&Ty::Object(ES_RECORD_MAPPING))),
    Field::new("DateField", Ty::Str),
    Field::new("RecordMappingMode", Ty::Str),
    Field::new("Protocol", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("SourceDataFormat", Ty::Str),
];

/// `EsRecordMapping`.
pub const ES_RECORD_MAPPING: &[Field] = &[Field::new("ColumnName", Ty::Str), Field::new("JsonKey", Ty::Str)];

/// `DropCls`.
pub const DROP_CLS: &[Field] = &[
    Field::new("DropInvalidMessageToCls", Ty::Bool),
    Field::new("DropClsRegion", Ty::Str).stored(SHOWN),
    Field::new("DropClsOwneruin", Ty::Str).stored(SHOWN),
    Field::new("DropClsTopicId", Ty::Str).stored(SHOWN),
    Field::new("DropClsLogSet", Ty::Str).stored(SHOWN),
];

/// `ClickHouseParam`.
pub const CLICKHOUSE_PARAM: &[Field] = &[
    Field::new("Cluster", Ty::Str).required(),
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Schema", Ty::List(&Ty::Object(CLICKHOUSE_SCHEMA))).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("Ip", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("Port", Ty::Int).stored(WITHOUT_CONNECTION),
    Field::new("UserName", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("Password", Ty::Str).stored(SEALED_HERE),
    Field::new("ServiceVip", Ty::Str).stored(WITHOUT_CONNECTION),
    Field::new("UniqVpcId", Ty::Str).stored(NO_VPC),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
    Field::new("DropInvalidMessage", Ty::Bool),
    Field::new("Type", Ty::Str).stored(SHOWN),
    Field::new("DropCls", Ty::Object(DROP_CLS)),
    Field::new("BatchSize", Ty::Int),
    Field::new("ConsumerFetchMinBytes", Ty::Int),
    Field::new("ConsumerFetchMaxWaitMs", Ty::Int),
];

/// `ClickHouseSchema`.
pub const CLICKHOUSE_SCHEMA: &[Field] = &[
    Field::new("ColumnName", Ty::Str).required(),
    Field::new("JsonKey", Ty::Str).required(),
    Field::new("Type", Ty::Str).required(),
    Field::new("AllowNull", Ty::Bool).required(),
];

/// `CosParam`.
pub const COS_PARAM: &[Field] = &[
    Field::new("BucketName", Ty::Str).required(),
    Field::new("Region", Ty::Str).required().stored(BY_BUCKET),
    Field::new("ObjectKey", Ty::Str).stored(GENERATED),
    Field::new("AggregateBatchSize", Ty::Uint),
    Field::new("AggregateInterval", Ty::Uint),
    Field::new("FormatOutputType", Ty::Str),
    Field::new("ObjectKeyPrefix", Ty::Str),
    Field::new("DirectoryTimeFormat", Ty::Str),
    Field::new("Timezone", Ty::Str),
    Field::new("SourceDataFormat", Ty::Str),
];

/// `MySQLParam`.
pub const MYSQL_PARAM: &[Field] = &[
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SnapshotMode", Ty::Str).stored(OF_SOURCES),
    Field::new("DdlTopic", Ty::Str).stored(OF_SOURCES),
    Field::new("DataSourceMonitorMode", Ty::Str).stored(OF_SOURCES),
    Field::new("DataSourceMonitorResource", Ty::Str).stored(OF_SOURCES),
    Field::new("DataSourceIncrementMode", Ty::Str).stored(OF_SOURCES),
    Field::new("DataSourceIncrementColumn", Ty::Str).stored(OF_SOURCES),
    Field::new("DataSourceStartFrom", Ty::Str).stored(OF_SOURCES),
    Field::new("DataTargetInsertMode", Ty::Str),
    Field::new("DataTargetPrimaryKeyField", Ty::Str),
    Field::new("DataTargetRecordMapping", Ty::List(&Ty::Object(RECORD_MAPPING))),
    Field::new("TopicRegex", Ty::Str).stored(OF_SOURCES),
    Field::new("TopicReplacement", Ty::Str).stored(OF_SOURCES),
    Field::new("KeyColumns", Ty::Str).stored(OF_SOURCES),
    Field::new("DropInvalidMessage", Ty::Bool),
    Field::new("DropCls", Ty::Object(DROP_CLS)),
    Field::new("OutputFormat", Ty::Str),
    Field::new("IsTablePrefix", Ty::Bool).stored(OF_SOURCES),
    Field::new("IncludeContentChanges", Ty::Str).stored(OF_SOURCES),
    Field::new("IncludeQuery", Ty::Bool).stored(OF_SOURCES),
    Field::new("RecordWithSchema", Ty::Bool).stored(OF_SOURCES),
    Field::new("SignalDatabase", Ty::Str).stored(OF_SOURCES),
    Field::new("IsTableRegular", Ty::Bool).stored(OF_SOURCES),
    Field::new("SignalTable", Ty::Str).stored(OF_SOURCES),
    Field::new("DateTimeZone", Ty::Str).stored(OF_SOURCES),
    Field::new("SelfBuilt", Ty::Bool).stored(SELF_BUILT),
];

/// `PostgreSQLParam`.
pub const POSTGRESQL_PARAM: &[Field] = &[
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("PluginName", Ty::Str).stored(OF_SOURCES),
    Field::new("SnapshotMode", Ty::Str).stored(OF_SOURCES),
    Field::new("DataFormat", Ty::Str),
    Field::new("DataTargetInsertMode", Ty::Str),
    Field::new("DataTargetPrimaryKeyField", Ty::Str),
    Field::new("DataTargetRecordMapping", Ty::List(&Ty::Object(RECORD_MAPPING))),
    Field::new("DropInvalidMessage", Ty::Bool),
    Field::new("IsTableRegular", Ty::Bool).stored(OF_SOURCES),
    Field::new("KeyColumns", Ty::Str).stored(OF_SOURCES),
    Field::new("RecordWithSchema", Ty::Bool).stored(OF_SOURCES),
];

/// `MariaDBParam`.
pub const MARIADB_PARAM: &[Field] = &[
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SnapshotMode", Ty::Str).stored(OF_SOURCES),
    Field::new("KeyColumns", Ty::Str).stored(OF_SOURCES),
    Field::new("IsTablePrefix", Ty::Bool).stored(OF_SOURCES),
    Field::new("OutputFormat", Ty::Str),
    Field::new("IncludeContentChanges", Ty::Str).stored(OF_SOURCES),
    Field::new("IncludeQuery", Ty::Bool).stored(OF_SOURCES),
    Field::new("RecordWithSchema", Ty::Bool).stored(OF_SOURCES),
];

/// `RecordMapping`.
pub const RECORD_MAPPING: &[Field] = &[
    Field::new("JsonKey", Ty::Str),
    Field::new("Type", Ty::Str),
    Field::new("AllowNull", Ty::Bool),
    Field::new("ColumnName", Ty::Str),
    Field::new("ExtraInfo", Ty::Str).stored(SHOWN),
    Field::new("ColumnSize", Ty::Str).stored(SHOWN),
    Field::new("DecimalDigits", Ty::Str).stored(SHOWN),
    Field::new("AutoIncrement", Ty::Bool).stored(SHOWN),
    Field::new("DefaultValue", Ty::Str),
];

/// `EventBusParam`.
pub const EVENT_BUS_PARAM: &[Field] = &[
    Field::new("Type", Ty::Str).required(),
    Field::new("SelfBuilt", Ty::Bool).required().stored(SELF_BUILT),
    Field::new("Resource", Ty::Str).required(),
    Field::new("Namespace", Ty::Str),
    Field::new("FunctionName", Ty::Str),
    Field::new("Qualifier", Ty::Str),
];

/// `ScfParam`.
pub const SCF_PARAM: &[Field] = &[
    Field::new("FunctionName", Ty::Str).required(),
    Field::new("Namespace", Ty::Str),
    Field::new("Qualifier", Ty::Str),
    Field::new("BatchSize", Ty::Int),
    Field::new("MaxRetries", Ty::Int),
];

/// `FailureParam`.
pub const FAILURE_PARAM: &[Field] = &[
    Field::new("Type", Ty::Str).required(),
    Field::new("KafkaParam", Ty::Object(KAFKA_PARAM)),
    Field::new("RetryInterval", Ty::Uint),
    Field::new("MaxRetryAttempts", Ty::Uint),
    Field::new("TopicParam", Ty::Object(TOPIC_PARAM)),
    Field::new("DlqType", Ty::Str),
];

const MONGODB_PARAM_FIELDS: [Field; 12] = [
    Field::new("Database", Ty::Str).required(),
    Field::new("Collection", Ty::Str).required(),
    Field::new("CopyExisting", Ty::Bool).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("Ip", Ty::Str),
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str),
    Field::new("ListeningEvent", Ty::Str),
    Field::new("ReadPreference", Ty::Str),
    Field::new("Pipeline", Ty::Str),
    Field::new("SelfBuilt", Ty::Bool),
];
const MONGODB_PARAM: &[Field] = &refused_all(MONGODB_PARAM_FIELDS, NO_MONGODB);
const MONGODB_PARAM_SHOWN: &[Field] = &always_null(MONGODB_PARAM_FIELDS);

const TDW_PARAM_FIELDS: [Field; 5] = [
    Field::new("Bid", Ty::Str).required(),
    Field::new("Tid", Ty::Str).required(),
    Field::new("IsDomestic", Ty::Bool),
    Field::new("TdwHost", Ty::Str),
    Field::new("TdwPort", Ty::Int),
];
const TDW_PARAM: &[Field] = &refused_all(TDW_PARAM_FIELDS, NO_TDW);
const TDW_PARAM_SHOWN: &[Field] = &always_null(TDW_PARAM_FIELDS);

const DTS_PARAM_FIELDS: [Field; 8] = [
    Field::new("Resource", Ty::Str).required(),
    Field::new("Ip", Ty::Str),
    Field::new("Port", Ty::Int),
    Field::new("Topic", Ty::Str),
    Field::new("GroupId", Ty::Str),
    Field::new("GroupUser", Ty::Str),
    Field::new("GroupPassword", Ty::Str),
    Field::new("TranSql", Ty::Bool),
];
const DTS_PARAM: &[Field] = &refused_all(DTS_PARAM_FIELDS, NO_DTS);
const DTS_PARAM_SHOWN: &[Field] = &always_null(DTS_PARAM_FIELDS);

const CLS_PARAM_FIELDS: [Field; 5] = [
    Field::new("DecodeJson", Ty::Bool).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("LogSet", Ty::Str),
    Field::new("ContentKey", Ty::Str),
    Field::new("TimeField", Ty::Str),
];
const CLS_PARAM: &[Field] = &refused_all(CLS_PARAM_FIELDS, NO_CLS);
const CLS_PARAM_SHOWN: &[Field] = &always_null(CLS_PARAM_FIELDS);

const SQL_SERVER_PARAM_FIELDS: [Field; 4] = [
    Field::new("Database", Ty::Str).required(),
    Field::new("Table", Ty::Str).required(),
    Field::new("Resource", Ty::Str).required(),
    Field::new("SnapshotMode", Ty::Str),
];
const SQL_SERVER_PARAM: &[Field] = &refused_all(SQL_SERVER_PARAM_FIELDS, NO_SQLSERVER);
const SQL_SERVER_PARAM_SHOWN: &[Field] = &always_null(SQL_SERVER_PARAM_FIELDS);

const CTSDB_PARAM_FIELDS: [Field; 2] = [Field::new("Resource", Ty::Str), Field::new("CtsdbMetric", Ty::Str)];
const CTSDB_PARAM: &[Field] = &refused_all(CTSDB_PARAM_FIELDS, NO_CTSDB);
const CTSDB_PARAM_SHOWN: &[Field] = &always_null(CTSDB_PARAM_FIELDS);

const MQTT_PARAM_FIELDS: [Field; 13] = [
    Field::new("Topics", Ty::Str).required(),
    Field::new("CleanSession", Ty::Bool).required(),
    Field::new("Resource", Ty::Str),
    Field::new("Ip", Ty::Str),
    Field::new("Port", Ty::Int),
    Field::new("UserName", Ty::Str),
    Field::new("Password", Ty::Str),
    Field::new("Qos", Ty::Int),
    Field::new("MaxTasks", Ty::Int),
    Field::new("ServiceVip", Ty::Str),
    Field::new("UniqVpcId", Ty::Str),
    Field::new("SelfBuilt", Ty::Bool),
    Field::new("SqlFilter", Ty::Str),
];
const MQTT_PARAM: &[Field] = &refused_all(MQTT_PARAM_FIELDS, NO_MQTT);
const MQTT_PARAM_SHOWN: &[Field] = &always_null(MQTT_PARAM_FIELDS);

/// `IcebergParam`.
const ICEBERG_PARAM: &[Field] = &[
    Field::new("Resource", Ty::Str),
    Field::new("Database", Ty::Str),
    Field::new("TableName", Ty::Str),
    Field::new("SchemeType", Ty::Str),
    Field::new("EnableFieldExtension", Ty::Bool),
    Field::new("UpsertMode", Ty::Str),
    Field::new("PrimaryKeys", Ty::Str),
];
