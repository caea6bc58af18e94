//! What `CreateDatahubTask` refuses, and in which words.

use crate::world::{SECRET, World};
use model::OnFailure;
use serde_json::{Value, json};

const VALUE: &str = "InvalidParameterValue";
const EMPTY: &str = "InvalidParameterValue.NotAllowedEmpty";
const FAILED: &str = "FailedOperation";
const NO_INSTANCE: &str = "InvalidParameterValue.InstanceNotExist";
const NOT_FOUND: &str = "ResourceNotFound";

#[tokio::test]
async fn the_request_itself() {
    let w = World::new().await;
    let sources = |kind: &str| json!({ "Type": kind });
    for (change, code, field) in [
        (json!({"TaskName": null}), "MissingParameter", "TaskName"),
        (json!({"TaskName": ""}), EMPTY, "TaskName"),
        (json!({"TaskName": 1}), "InvalidParameter", "TaskName"),
        (json!({"TaskName": "1a"}), VALUE, "TaskName"),
        (json!({"TaskName": "x".repeat(65)}), VALUE, "TaskName"),
        (json!({"TaskType": null}), "MissingParameter", "TaskType"),
        (json!({"TaskType": ""}), EMPTY, "TaskType"),
        (json!({"TaskType": "sink"}), VALUE, "TaskType"),
        (json!({"Surprise": 1}), "UnknownParameter", "Surprise"),
        (json!({"SourceResource": null}), EMPTY, "SourceResource"),
        (json!({"TargetResource": null}), EMPTY, "TargetResource"),
        (json!({"TargetResource": {}}), "MissingParameter", "TargetResource.Type"),
        (json!({"TargetResource": {"Type": ""}}), EMPTY, "TargetResource.Type"),
        (json!({"TargetResource": {"Type": "FTP"}}), VALUE, "TargetResource.Type"),
        (json!({"TargetResource": {"Type": "HTTP"}}), VALUE, "TargetResource.Type"),
        (json!({"TargetResource": {"Type": "KAFKA"}}), EMPTY, "TargetResource.KafkaParam"),
        (json!({"SourceResource": sources("HTTP")}), VALUE, "SourceResource.Type"),
        (json!({"SourceResource": sources("ES")}), VALUE, "SourceResource.Type"),
        (
            json!({"SourceResource": {"Type": "KAFKA", "TopicParam": {"Resource": "12345-xxx"}}}),
            VALUE,
            "SourceResource.TopicParam",
        ),
        (json!({"Description": "x".repeat(129)}), VALUE, "Description"),
        (json!({"SchemaId": "x".repeat(129)}), VALUE, "SchemaId"),
        (json!({"Tags": [{"TagKey": "k"}]}), "MissingParameter", "Tags.0.TagValue"),
        (json!({"Tags": [{"TagKey": "", "TagValue": "v"}]}), VALUE, "Tags"),
        (json!({"PrivateLinkParam": {"ServiceVip": "v"}}), "MissingParameter", "PrivateLinkParam.UniqVpcId"),
        (json!({"TransformsParam": {"Content": "bad", "FieldChain": []}}), VALUE, ""),
        (json!({"TransformsParam": {"Content": "c"}}), "MissingParameter", "TransformsParam.FieldChain"),
    ] {
        let fault = w.fault("CreateDatahubTask", w.copy_request(change.clone())).await;
        assert_eq!(fault.code, code, "{change}: {}", fault.message);
        assert!(
            fault.message.contains(&format!("`{field}`")) || field.is_empty(),
            "{change}: {}",
            fault.message
        );
    }
    assert_eq!(w.result("DescribeDatahubTasks", json!({})).await["TotalCount"], 0);
}

#[tokio::test]
async fn names_are_unique_and_may_be_chinese() {
    let w = World::new().await;
    w.task(w.copy_request(json!({"TaskName": "task测试"}))).await;
    let again = w.copy_request(json!({"TaskName": "task测试"}));
    assert_eq!(w.code("CreateDatahubTask", again.clone()).await, "InvalidParameterValue.RepetitionValue");
    // Another account knows nothing of it; it has no topic of the product's, but the cluster is everybody's.
    w.ask_as("100002", "CreateDatahubTask", again, false).await.unwrap();
}

#[tokio::test]
async fn the_kafka_end() {
    let w = World::new().await;
    let source = |change: Value| {
        let base = json!({"SelfBuilt": false, "Resource": "ckafka-7kd5rzza", "Topic": "topic-test"});
        json!({"SourceResource": {"Type": "KAFKA", "KafkaParam": crate::world::merged(base, change)}})
    };
    let target = |change: Value| {
        let base = json!({"SelfBuilt": false, "Resource": "ckafka-other", "Topic": "copy"});
        json!({"TargetResource": {"Type": "KAFKA", "KafkaParam": crate::world::merged(base, change)}})
    };
    for (change, code) in [
        (source(json!({"Resource": null})), "MissingParameter"),
        (source(json!({"SelfBuilt": null})), "MissingParameter"),
        (source(json!({"Resource": ""})), EMPTY),
        (source(json!({"Resource": "ckafka-unknown"})), NOT_FOUND),
        (source(json!({"Resource": "resource-unknown"})), NO_INSTANCE),
        (source(json!({"Resource": "resource-test"})), VALUE),
        (source(json!({"Topic": "missing"})), NOT_FOUND),
        (source(json!({"Topic": ""})), EMPTY),
        (source(json!({"Topic": "a b"})), VALUE),
        (source(json!({"TopicRegularExpression": "^t"})), VALUE),
        (source(json!({"OffsetType": "first"})), VALUE),
        (source(json!({"OffsetType": "timestamp"})), EMPTY),
        (source(json!({"StartTime": -1})), "InvalidParameter"),
        (source(json!({"ConnectorSyncType": "X"})), VALUE),
        (target(json!({"Resource": "ckafka-unknown"})), NOT_FOUND),
        (target(json!({"Topic": null})), EMPTY),
        (target(json!({"CompressionType": "rar"})), VALUE),
        (target(json!({"MsgMultiple": -1})), VALUE),
        (target(json!({"MsgMultiple": 101})), VALUE),
        (target(json!({"UseAutoCreateTopic": true})), VALUE),
        (target(json!({"UseTableMapping": true})), EMPTY),
        (target(json!({"Prefix": "p"})), VALUE),
        (target(json!({"Topic": null, "Prefix": "p", "Separator": "/"})), VALUE),
    ] {
        let fault = w.fault("CreateDatahubTask", w.copy_request(change.clone())).await;
        assert_eq!(fault.code, code, "{change}: {}", fault.message);
    }
}

#[tokio::test]
async fn what_the_server_does_not_run_is_said() {
    let w = World::new().await;
    let copy = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other", "Topic": "copy"}});
    let mysql = json!({"Database": "d", "Table": "t", "Resource": "r"});
    let postgres = json!({"Database": "d", "Table": "t", "Resource": "r", "PluginName": "pgoutput"});
    let mongo = json!({"Database": "d", "Collection": "c", "CopyExisting": true, "Resource": "r"});
    for source in [
        json!({"Type": "MYSQL", "MySQLParam": mysql}),
        json!({"Type": "TDSQL_C_MYSQL", "MySQLParam": mysql}),
        json!({"Type": "MYSQL_DATA", "MySQLParam": mysql}),
        json!({"Type": "MARIADB", "MariaDBParam": mysql}),
        json!({"Type": "POSTGRESQL", "PostgreSQLParam": postgres}),
        json!({"Type": "TDSQL_POSTGRESQL", "PostgreSQLParam": postgres}),
        json!({"Type": "SQLSERVER", "SQLServerParam": mysql}),
        json!({"Type": "MONGODB", "MongoDBParam": mongo}),
        json!({"Type": "DTS", "DtsParam": {"Resource": "r"}}),
        json!({"Type": "MQTT", "MqttParam": {"Topics": "t", "CleanSession": true}}),
    ] {
        let request =
            json!({"TaskName": "t", "TaskType": "SOURCE", "SourceResource": source, "TargetResource": copy});
        let fault = w.fault("CreateDatahubTask", request).await;
        assert_eq!(fault.code, FAILED, "{source}: {}", fault.message);
        assert!(fault.message.contains("not supported here"), "{}", fault.message);
    }
    for target in [
        json!({"Type": "CLS", "ClsParam": {"DecodeJson": true, "Resource": "r"}}),
        json!({"Type": "ICEBERG", "IcebergParam": {"Resource": "r", "Database": "d", "TableName": "t", "UpsertMode": "UPSERT"}}),
        json!({"Type": "DORIS"}),
        json!({"Type": "TDW", "TdwParam": {"Bid": "b", "Tid": "t"}}),
        json!({"Type": "CTSDB", "CtsdbParam": {"Resource": "r"}}),
        json!({"Type": "EB_CLS", "EventBusParam": {"Type": "CLS", "SelfBuilt": false, "Resource": "r"}}),
        json!({"Type": "EB", "EventBusParam": {"Type": "CLS", "SelfBuilt": false, "Resource": "r"}}),
        json!({"Type": "EB_FTP", "EventBusParam": {"Type": "FTP", "SelfBuilt": false, "Resource": "r"}}),
        json!({"Type": "ES", "EsParam": {"Resource": "resource-test", "Index": "i",
            "DropCls": {"DropInvalidMessageToCls": true}}}),
    ] {
        let fault = w.fault("CreateDatahubTask", w.sink_request(target.clone(), json!({}))).await;
        assert_eq!(fault.code, FAILED, "{target}: {}", fault.message);
        assert!(fault.message.contains("not supported here"), "{}", fault.message);
    }
    // What is wrong in itself is said first.
    let missing = json!({"TaskName": "t", "TaskType": "SOURCE", "SourceResource": {"Type": "MYSQL"}, "TargetResource": copy});
    assert_eq!(w.code("CreateDatahubTask", missing).await, EMPTY);
    assert_eq!(w.result("DescribeDatahubTasks", json!({})).await["TotalCount"], 0, "nothing was accepted");
}

#[tokio::test]
async fn other_destinations() {
    let w = World::new().await;
    w.connection("resource-kept", None, "MONGODB", "", json!({})).await;
    let es = |change: Value| {
        let base = json!({"Resource": "resource-test", "Index": "i"});
        json!({"Type": "ES", "EsParam": crate::world::merged(base, change)})
    };
    let bus = |kind: &str, id: &str| json!({"Type": "EB", "EventBusParam": {"Type": kind, "SelfBuilt": false, "Resource": id}});
    let cos = |change: Value| {
        let base = json!({"BucketName": "b-1251000004", "Region": "ap-guangzhou"});
        json!({"Type": "COS", "CosParam": crate::world::merged(base, change)})
    };
    for (target, code) in [
        (es(json!({"Index": ""})), EMPTY),
        (es(json!({"Index": "Upper"})), VALUE),
        (es(json!({"IndexType": "REGEX"})), VALUE),
        (es(json!({"RecordMappingMode": "OLD"})), VALUE),
        (es(json!({"SourceDataFormat": "XML"})), VALUE),
        (es(json!({"Resource": "resource-unknown"})), NO_INSTANCE),
        (es(json!({"Resource": "es-unknown"})), NOT_FOUND),
        (es(json!({"Resource": "ckafka-other"})), VALUE),
        (es(json!({"Resource": "resource-kept"})), FAILED),
        (es(json!({"Resource": "es-unknown", "ServiceVip": "10.0.0.9", "Port": 0})), VALUE),
        (es(json!({"Resource": "es-unknown", "ServiceVip": "a/b", "Port": 9200})), VALUE),
        (es(json!({"DropDlq": {"Type": "KEEP"}})), VALUE),
        (es(json!({"DropDlq": {"Type": "DLQ"}})), EMPTY),
        (bus("COS", "bucket-of-nobody"), NOT_FOUND),
        (bus("ES", "es-unknown"), NOT_FOUND),
        (bus("ES", "es-silent"), VALUE),
        (bus("ES", "target-resource"), VALUE),
        (bus("COS", "es-bus"), VALUE),
        (bus("COS", ""), EMPTY),
        (bus("COS", "scf"), EMPTY),
        (bus("FTP", "target-resource"), VALUE),
        (bus("ES", "resource-kept"), FAILED),
        (cos(json!({"BucketName": "elsewhere-999"})), NOT_FOUND),
        (cos(json!({"BucketName": ""})), EMPTY),
        (cos(json!({"AggregateBatchSize": 1_000_000})), VALUE),
        (cos(json!({"Timezone": "CET"})), VALUE),
        (json!({"Type": "SCF", "ScfParam": {"FunctionName": ""}}), EMPTY),
        (json!({"Type": "SCF", "ScfParam": {"FunctionName": "f", "BatchSize": 100_000}}), VALUE),
        (json!({"Type": "SCF", "ScfParam": {"FunctionName": "f", "MaxRetries": 1000}}), VALUE),
        (
            json!({"Type": "CLICKHOUSE", "ClickHouseParam": {"Cluster": "c", "Database": "d", "Table": "t",
                "Schema": [], "Resource": "r"}}),
            EMPTY,
        ),
        (
            json!({"Type": "CLICKHOUSE", "ClickHouseParam": {"Cluster": "c", "Database": "d", "Table": "t",
                "Schema": [{"ColumnName": "a", "JsonKey": "a", "Type": "String", "AllowNull": false}],
                "Resource": "r", "Type": "other"}}),
            VALUE,
        ),
        (
            json!({"Type": "MYSQL", "MySQLParam": {"Database": "d", "Table": "t", "Resource": "resource-none"}}),
            NO_INSTANCE,
        ),
        (
            json!({"Type": "MYSQL", "MySQLParam": {"Database": "d", "Table": "t", "Resource": "cdb-1"}}),
            NOT_FOUND,
        ),
    ] {
        let fault = w.fault("CreateDatahubTask", w.sink_request(target.clone(), json!({}))).await;
        assert_eq!(fault.code, code, "{target}: {}", fault.message);
    }
    // A missing topic of the product's, as source and as destination of dead letters.
    let topic = json!({"SourceResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-none"}}});
    assert_eq!(w.code("CreateDatahubTask", w.copy_request(topic)).await, NOT_FOUND);
}

#[tokio::test]
async fn topics_of_the_product_have_to_be_there_and_ones_own() {
    let w = World::new().await;
    w.streams.topic("", "12345-plain", 1);
    let topic = |name: &str| json!({"Type": "TOPIC", "TopicParam": {"Resource": name}});
    let dlq = |name: &str| {
        json!({"TransformsParam": {"Content": "{}", "FieldChain": [],
            "FailureParam": {"Type": "DLQ", "TopicParam": {"Resource": name}}}})
    };
    for change in [
        json!({"SourceResource": topic("12345-none")}),
        json!({"TargetResource": topic("12345-none")}),
        dlq("12345-none"),
    ] {
        assert_eq!(w.code("CreateDatahubTask", w.copy_request(change.clone())).await, NOT_FOUND, "{change}");
    }
    for (i, change) in [
        json!({"SourceResource": topic("12345-xxx")}),
        json!({"TargetResource": topic("12345-xxx")}),
        dlq("12345-xxx"),
    ]
    .into_iter()
    .enumerate()
    {
        let change = crate::world::merged(change, json!({"TaskName": format!("t{i}")}));
        let request = w.copy_request(change);
        let stranger = w.ask_as("100002", "CreateDatahubTask", request.clone(), false).await;
        assert_eq!(stranger.unwrap_err().code, NOT_FOUND, "another account's topic is not there: {request}");
        w.task(request).await;
    }
    let plain = json!({"TaskName": "plain", "TargetResource": topic("12345-plain")});
    w.task(w.copy_request(plain)).await;
    let id = w.result("DescribeDatahubTopic", json!({"Name": "12345-xxx"})).await["TopicId"].take();
    let by_id = json!({"TaskName": "by-id", "TargetResource": topic(id.as_str().unwrap())});
    let task = w.task(w.copy_request(by_id)).await;
    assert_eq!(w.sink_options(&task).await, json!({"topic": "12345-xxx"}));
    let made = json!({"TaskName": "made", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-new", "UseAutoCreateTopic": true}}});
    let task = w.task(made).await;
    assert_eq!(w.sink_options(&task).await, json!({"topic": "12345-new", "create": true}));
    *w.streams.down.lock().unwrap() = true;
    let later = json!({"TaskName": "later", "TargetResource": topic("12345-none")});
    w.task(w.copy_request(later)).await;
}

#[tokio::test]
async fn what_becomes_of_failures() {
    let w = World::new().await;
    let dlq = json!({"Type": "DLQ", "DlqType": "CKAFKA", "MaxRetryAttempts": 2, "RetryInterval": 1000,
        "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-7kd5rzza", "Topic": "dead"}});
    let to_topic = json!({"Type": "DLQ", "DlqType": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}});
    let chain = json!([{"Analyse": {"Format": "JSON"}}]);
    let transforms = |failure: Value| {
        let failure = if failure.is_null() { json!({}) } else { json!({ "FailureParam": failure }) };
        json!({"TransformsParam": crate::world::merged(json!({"Content": "{}", "FieldChain": chain}), failure)})
    };
    for (i, (failure, want)) in [
        (json!({"Type": "DROP"}), "drop"),
        (json!({"Type": "IGNORE_ERROR"}), "pass"),
        (Value::Null, "keep"),
        (dlq.clone(), "copy"),
        (to_topic, "copy"),
    ]
    .into_iter()
    .enumerate()
    {
        let change = crate::world::merged(transforms(failure.clone()), json!({"TaskName": format!("t{i}")}));
        let id = w.task(w.copy_request(change)).await;
        let p = w.stored(&id).await;
        let is = match &p.on_failure {
            OnFailure::Drop => "drop",
            OnFailure::Pass => "pass",
            OnFailure::Block => "block",
            OnFailure::Aside { .. } => "aside",
            OnFailure::Keep { copy: None, .. } => "keep",
            OnFailure::Keep { copy: Some(_), .. } => "copy",
        };
        assert_eq!(is, want, "{failure}");
        let text: Value = serde_json::from_str(p.transform.as_deref().unwrap()).unwrap();
        assert_eq!(text["transforms_param"]["FieldChain"], chain, "handed on as it is");
        let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
        assert_eq!(shown["TransformsParam"]["FieldChain"][0]["Analyse"]["Format"], "JSON");
        assert!(shown["TransformParam"].is_null());
    }
    let p = w.task(w.copy_request(crate::world::merged(transforms(dlq), json!({"TaskName": "d"})))).await;
    let OnFailure::Keep { copy, retries, interval_ms } = w.stored(&p).await.on_failure else {
        panic!("kept")
    };
    assert_eq!((retries, interval_ms), (2, 1000));
    assert_eq!(copy.unwrap().options, json!({"topic": "dead"}).to_string());
    for (bad, code) in [
        (json!({"Type": ""}), EMPTY),
        (json!({"Type": "X"}), VALUE),
        (json!({"Type": "DLQ", "DlqType": "SQS"}), VALUE),
        (json!({"Type": "DLQ", "DlqType": "TOPIC"}), EMPTY),
        (
            json!({"Type": "DLQ", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-none", "Topic": "t"}}),
            NOT_FOUND,
        ),
        (json!({"Type": "DLQ", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other"}}), EMPTY),
        (json!({"Type": "DLQ", "MaxRetryAttempts": 101, "TopicParam": {"Resource": "12345-xxx"}}), VALUE),
    ] {
        let fault = w.fault("CreateDatahubTask", w.copy_request(transforms(bad.clone()))).await;
        assert_eq!(fault.code, code, "{bad}: {}", fault.message);
    }
}

#[tokio::test]
async fn the_older_transform_counts_where_there_is_no_newer_one() {
    let w = World::new().await;
    let older = json!({"AnalysisFormat": "JSON", "OutputFormat": "JSON", "FailureParam": {"Type": "DROP"},
        "Content": "{}", "SourceType": "CKAFKA"});
    let id = w.task(w.copy_request(json!({ "TransformParam": older }))).await;
    let p = w.stored(&id).await;
    assert_eq!(p.transform.unwrap(), json!({ "transform_param": older }).to_string());
    assert_eq!(p.on_failure, OnFailure::Drop);
    let both = json!({"TaskName": "both", "TransformParam": older,
        "TransformsParam": {"Content": "{}", "FieldChain": []}});
    let id = w.task(w.copy_request(both)).await;
    assert!(w.stored(&id).await.transform.unwrap().starts_with(r#"{"transforms_param""#));
}

#[tokio::test]
async fn an_address_in_the_request_keeps_its_password_secret() {
    let w = World::new().await;
    let es = json!({"Type": "ES", "EsParam": {"Resource": "es-unknown", "ServiceVip": "10.0.0.9", "Port": 9200,
        "UserName": "elastic", "Password": SECRET, "Protocol": "https", "Index": "i"}});
    let id = w.task(w.sink_request(es, json!({}))).await;
    let p = w.stored(&id).await;
    assert_eq!(p.sink.connection, None);
    let address: Value = serde_json::from_str(&p.sink.address).unwrap();
    assert_eq!(address, json!({"url": "https://10.0.0.9:9200", "user": "elastic"}));
    assert_eq!(w.open(p.sink.secret.as_ref().unwrap()), SECRET);
    assert!(!format!("{p:?}").contains(SECRET));
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
    assert_eq!(shown["TargetResource"]["EsParam"]["Password"], "");
    assert!(!shown.to_string().contains(SECRET));
}
