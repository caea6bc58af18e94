//! Every type of `DatahubResource`: what is created is what is described, and what the connector gets.

use crate::world::World;
use model::{EndKind, OnFailure};
use serde_json::{Value, json};

/// Each field of `sent` stands in `shown`; every other one is null.
fn same(at: &str, sent: &Value, shown: &Value) {
    for (name, is) in shown.as_object().unwrap() {
        let was = &sent[name];
        match (was, is) {
            (Value::Object(_), Value::Object(_)) => same(&format!("{at}.{name}"), was, is),
            // The product says the topic's id.
            (Value::Null, _) if name == "TopicId" => {}
            (Value::Array(a), Value::Array(b)) if a.iter().all(Value::is_object) => {
                assert_eq!(a.len(), b.len(), "{at}.{name}");
                a.iter().zip(b).for_each(|(a, b)| same(&format!("{at}.{name}"), a, b));
            }
            _ => assert_eq!(is, was, "{at}.{name}"),
        }
    }
}

/// Makes a task, compares the description, and gives kind, connection and options of the destination.
async fn target(w: &World, sent: Value) -> (EndKind, Option<String>, Value, OnFailure) {
    let name = format!("t{}", w.result("DescribeDatahubTasks", json!({})).await["TotalCount"]);
    let id = w.task(w.sink_request(sent.clone(), json!({ "TaskName": name }))).await;
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
    same("TargetResource", &sent, &shown["TargetResource"]);
    let sink = w.stored(&id).await.sink;
    let options = serde_json::from_str(&sink.options).unwrap();
    let connection = sink.connection.map(|c| c.as_str().to_owned());
    (sink.kind, connection, options, w.stored(&id).await.on_refusal)
}

#[tokio::test]
async fn kafka_and_topics() {
    let w = World::new().await;
    let full = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other", "Topic": "copy",
        "ResourceName": "n", "ZoneId": 100_001, "TopicId": "topic-1", "PartitionNum": 3, "EnableToleration": true,
        "QpsLimit": 2000, "CompressionType": "open", "MsgMultiple": 2, "KeepPartition": true, "UseTableMapping": false}});
    let (kind, connection, options, refusal) = target(&w, full).await;
    assert_eq!((kind, connection.as_deref()), (EndKind::Kafka, Some("ckafka-other")));
    assert_eq!(options, json!({"topic": "copy", "compression": "lz4", "copies": 2, "keep_partition": true}));
    assert!(matches!(refusal, OnFailure::Keep { copy: None, .. }), "tolerance is the dead-letter desk");
    let routed = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other",
        "UseTableMapping": true,
        "TableMappings": [{"Database": "d", "Table": "t", "Topic": "copy", "TopicId": "topic-1"}]}});
    let (_, _, options, refusal) = target(&w, routed).await;
    assert_eq!(options, json!({"tables": [{"database": "d", "table": "t", "topic": "copy"}]}));
    assert_eq!(refusal, OnFailure::Block);
    let topic = json!({"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx", "CompressionType": "gzip", "MsgMultiple": 1}});
    let (kind, connection, options, _) = target(&w, topic).await;
    assert_eq!((kind, connection), (EndKind::Kafka, None));
    assert_eq!(options, json!({"topic": "12345-xxx", "compression": "gzip"}));
    let synced = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other",
        "ConnectorSyncType": "DATA_SYNC_TYPE"}});
    assert_eq!(target(&w, synced).await.2, json!({"prefix": "", "separator": ""}));
}

#[tokio::test]
async fn kafka_as_a_source() {
    let w = World::new().await;
    w.streams.topic(crate::world::CLUSTER, "b", 1);
    let read = async |name: &str, param: Value| {
        let request = w.copy_request(
            json!({"TaskName": name, "SourceResource": {"Type": "KAFKA", "KafkaParam": param}}),
        );
        let p = w.stored(&w.task(request).await).await;
        (serde_json::from_str::<Value>(&p.source.options).unwrap(), p.records_per_s)
    };
    let list = json!({"SelfBuilt": true, "Resource": "ckafka-7kd5rzza", "Topic": "topic-test,b", "OffsetType": "latest",
        "QpsLimit": 4000});
    assert_eq!(
        read("a", list).await,
        (json!({"topics": ["b", "topic-test"], "start": "latest"}), Some(4000))
    );
    let regex =
        json!({"SelfBuilt": true, "Resource": "ckafka-7kd5rzza", "TopicRegularExpression": "topic-.*"});
    assert_eq!(read("b", regex).await, (json!({"pattern": "^topic-.*", "start": "earliest"}), None));
}

#[tokio::test]
async fn push_with_a_topic_made_on_the_way() {
    let w = World::new().await;
    let made = json!({"TaskName": "t", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other",
            "Topic": "new", "UseAutoCreateTopic": true, "PartitionNum": 6}}});
    let id = w.task(made).await;
    assert_eq!(w.sink_options(&id).await, json!({"topic": "new", "create": true, "create_partitions": 6}));
    let copies = json!({"TaskName": "u", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx", "MsgMultiple": 2}}});
    assert_eq!(w.code("CreateDatahubTask", copies).await, "InvalidParameterValue");
}

#[tokio::test]
async fn elasticsearch() {
    let w = World::new().await;
    let full = json!({"Type": "ES", "EsParam": {"Resource": "resource-test", "Port": 9200, "UserName": "u",
        "SelfBuilt": true, "ServiceVip": "10.0.0.9", "UniqVpcId": "vpc-1", "DropInvalidMessage": false,
        "Index": "$.app", "DateFormat": "yyyy-MM-dd", "ContentKey": "raw", "DropInvalidJsonMessage": false,
        "DocumentIdField": "id", "IndexType": "JSONPATH", "DropCls": {"DropInvalidMessageToCls": false},
        "DropDlq": {"Type": "DLQ", "DlqType": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}, "RetryInterval": 1000,
            "MaxRetryAttempts": 3},
        "RecordMappingList": [{"ColumnName": "c", "JsonKey": "k"}], "DateField": "ts",
        "RecordMappingMode": "EXIST_MAPPING", "Protocol": "http"}});
    let (kind, connection, options, refusal) = target(&w, full).await;
    assert_eq!(
        (kind, connection.as_deref()),
        (EndKind::Elastic, Some("resource-test")),
        "the connection's address counts"
    );
    assert_eq!(
        options,
        json!({"index_path": "$.app", "date_suffix": "yyyy-MM-dd", "raw_key": "raw", "id_path": "$.id",
            "date_path": "$.ts", "mapping": [{"column": "c", "json_key": "k"}], "mapping_mode": "existing"})
    );
    let OnFailure::Keep { copy: Some(copy), retries: 3, interval_ms: 1000 } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!((copy.connection, copy.options), (None, json!({"topic": "12345-xxx"}).to_string()));
    let changes = json!({"Type": "ES", "EsParam": {"Resource": "resource-test", "Index": "i", "DatabasePrimaryKey": "id",
        "SourceDataFormat": "Canal", "DropInvalidMessage": true}});
    let (_, _, options, refusal) = target(&w, changes).await;
    assert_eq!(options, json!({"index": "i", "change_format": "canal", "primary_key": "id"}));
    assert_eq!(refusal, OnFailure::Drop);
    let both = json!({"Type": "ES", "EsParam": {"Resource": "resource-test", "Index": "i", "DatabasePrimaryKey": "id",
        "DocumentIdField": "id"}});
    assert_eq!(w.code("CreateDatahubTask", w.sink_request(both, json!({}))).await, "InvalidParameterValue");
}

#[tokio::test]
async fn clickhouse_and_databases() {
    let w = World::new().await;
    let at = json!({"Port": 8123, "UserName": "u", "Password": "p", "Resource": "r", "SelfBuilt": true,
        "ServiceVip": "10.0.0.8"});
    let ch = w.connect("ch", "CLICKHOUSE", "ClickHouseConnectParam", at.clone()).await;
    let full = json!({"Type": "CLICKHOUSE", "ClickHouseParam": {"Cluster": "default", "Database": "d", "Table": "t",
        "Schema": [{"ColumnName": "a", "JsonKey": "k", "Type": "String", "AllowNull": true}], "Resource": ch,
        "SelfBuilt": true, "DropInvalidMessage": false, "Type": "emr", "BatchSize": 1000,
        "ConsumerFetchMinBytes": 1_000_000, "ConsumerFetchMaxWaitMs": 30_000}});
    let (kind, connection, options, refusal) = target(&w, full).await;
    assert_eq!(
        (kind, connection.as_deref(), refusal),
        (EndKind::ClickHouse, Some(ch.as_str()), OnFailure::Block)
    );
    assert_eq!(
        options,
        json!({"database": "d", "table": "t", "cluster": "default", "batch_records": 1000, "batch_bytes": 1_000_000,
            "linger_ms": 30_000, "columns": [{"column": "a", "json_key": "k", "type": "String", "nullable": true}]})
    );
    let mut own = at;
    own.as_object_mut().unwrap().remove("SelfBuilt");
    for (i, (product, connect, kind, param)) in [
        ("MYSQL", "MySQLConnectParam", "MYSQL", "MySQLParam"),
        ("TDSQL_C_MYSQL", "MySQLConnectParam", "TDSQL_C_MYSQL", "MySQLParam"),
        ("MARIADB", "MariaDBConnectParam", "MARIADB", "MariaDBParam"),
        ("POSTGRESQL", "PostgreSQLConnectParam", "POSTGRESQL", "PostgreSQLParam"),
        ("TDSQL_C_POSTGRESQL", "PostgreSQLConnectParam", "TDSQL_C_POSTGRESQL", "PostgreSQLParam"),
        ("POSTGRESQL", "PostgreSQLConnectParam", "TDSQL_POSTGRESQL", "PostgreSQLParam"),
        ("POSTGRESQL", "PostgreSQLConnectParam", "WAREHOUSE_POSTGRESQL", "PostgreSQLParam"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = w.connect(&format!("db{i}"), product, connect, own.clone()).await;
        let mut fields = json!({"Database": "d", "Table": "t", "Resource": id, "KeyColumns": "d.t:id"});
        if param != "MariaDBParam" {
            fields["DataTargetInsertMode"] = "UPSERT".into();
            fields["DataTargetPrimaryKeyField"] = "id".into();
            fields["DataTargetRecordMapping"] = json!([{"JsonKey": "k", "ColumnName": "id", "Type": "INT"}]);
        }
        let sent = json!({"Type": kind, param: fields});
        let (is, connection, options, refusal) = target(&w, sent).await;
        assert_eq!((is, connection.as_deref()), (EndKind::Sql, Some(id.as_str())), "{kind}");
        assert_eq!(refusal, OnFailure::Drop, "as the product does by default");
        if param == "MariaDBParam" {
            assert_eq!(options, json!({"database": "d", "table": "t", "mode": "insert"}));
        } else {
            let mapping = json!([{"json_key": "k", "column": "id", "type": "INT"}]);
            let want =
                json!({"database": "d", "table": "t", "mode": "upsert", "key": ["id"], "mapping": mapping});
            assert_eq!(options, want, "{kind}");
        }
    }
}

#[tokio::test]
async fn buckets_functions_and_the_bus() {
    let w = World::new().await;
    let cos = json!({"Type": "COS", "CosParam": {"BucketName": "b-1251000004", "Region": "ap-guangzhou",
        "ObjectKey": "k", "AggregateBatchSize": 1, "AggregateInterval": 1, "FormatOutputType": "csv",
        "ObjectKeyPrefix": "a/", "DirectoryTimeFormat": "/%Y", "Timezone": "UTC+00:00", "SourceDataFormat": "JSON"}});
    let (kind, connection, options, _) = target(&w, cos).await;
    assert_eq!(
        (kind, connection),
        (EndKind::Bucket, None),
        "the catalogue of object stores knows the bucket"
    );
    assert_eq!(
        options,
        json!({"bucket": "b-1251000004", "prefix": "a/", "directories": "/%Y", "utc_offset_s": 0,
            "max_bytes": 1_048_576, "max_seconds": 3600, "format": "csv", "source_format": "json"})
    );
    let scf = |name: &str| {
        json!({"Type": "SCF", "ScfParam": {"FunctionName": name, "Namespace": "default", "Qualifier": "$LATEST",
            "BatchSize": 100, "MaxRetries": 0}})
    };
    let options = |name: &str| json!({"function": name, "namespace": "default", "qualifier": "$LATEST", "batch_records": 100, "retries": 0});
    let (kind, connection, is, _) = target(&w, scf("my-function")).await;
    assert_eq!(
        (kind, connection.as_deref(), is),
        (EndKind::Function, Some("my-function"), options("my-function"))
    );
    let (_, connection, is, _) = target(&w, scf("another")).await;
    assert_eq!((connection.as_deref(), is), (Some("scf"), options("another")));
    let bus = |kind: &str, to: &str, id: &str| {
        json!({"Type": kind, "EventBusParam": {"Type": to, "SelfBuilt": false, "Resource": id, "Namespace": "default",
            "FunctionName": "f", "Qualifier": "$LATEST"}})
    };
    for (sent, kind, connection, want) in [
        (
            bus("EB_COS", "COS", "target-resource"),
            EndKind::Bucket,
            Some("target-resource"),
            json!({"bucket": "events-1251000004", "prefix": "in/", "format": "json"}),
        ),
        (
            bus("EB", "COS", "plain-1251000004"),
            EndKind::Bucket,
            None,
            json!({"bucket": "plain-1251000004", "format": "json"}),
        ),
        (
            bus("EB_ES", "ES", "es-bus"),
            EndKind::Elastic,
            Some("es-bus"),
            json!({"index": "events", "raw_key": "message"}),
        ),
        (
            bus("EB", "ES", "scf"),
            EndKind::Function,
            Some("scf"),
            json!({"function": "f", "namespace": "default", "qualifier": "$LATEST"}),
        ),
    ] {
        let (is, through, options, _) = target(&w, sent.clone()).await;
        assert_eq!((is, through.as_deref(), options), (kind, connection, want), "{sent}");
    }
}
