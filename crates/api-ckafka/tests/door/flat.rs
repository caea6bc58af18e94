//! GET and the older signatures: everything flattened, all leaves text.

use crate::world::World;
use api::flatten::{Base, flatten, unflatten};
use model::OnFailure;
use serde_json::{Value, json};

/// What the gate makes of a flattened request.
fn over_the_wire(request: &Value) -> Value {
    unflatten(flatten(request, Base::Zero), Base::Zero).unwrap()
}

#[tokio::test]
async fn a_flattened_request_means_the_same() {
    let w = World::new().await;
    let chain = json!([{"Analyse": {"Format": "DELIMITER", "Regex": "|"},
        "SMT": [{"Key": "a", "Operate": "MAPPING", "Value": "0", "SchemeType": "INT64",
            "ValueOperates": [{"Type": "SUBSTR", "Substr": {"Start": 0, "End": 3}}]}]}]);
    let request = w.copy_request(json!({
        "SourceResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-7kd5rzza",
            "Topic": "topic-test", "OffsetType": "timestamp", "StartTime": 1_635_339_533}},
        "TargetResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": true, "Resource": "ckafka-other",
            "MsgMultiple": 2, "KeepPartition": true, "UseTableMapping": true, "QpsLimit": 2000,
            "TableMappings": [{"Database": "d", "Table": "1", "Topic": "copy", "TopicId": "topic-1"}]}},
        "TransformsParam": {"Content": "c", "FieldChain": chain, "KeepMetadata": true,
            "FailureParam": {"Type": "DLQ", "DlqType": "TOPIC", "TopicParam": {"Resource": "12345-xxx"},
                "RetryInterval": 1000, "MaxRetryAttempts": 2}},
        "Tags": [{"TagKey": "k", "TagValue": "v"}]
    }));
    let json_id = w.task(request.clone()).await;
    let mut flat = request;
    flat["TaskName"] = "Flat".into();
    let flat = over_the_wire(&flat);
    assert_eq!(flat["TargetResource"]["KafkaParam"]["SelfBuilt"], "true", "all leaves are text");
    let made = w.ask_as("100001", "CreateDatahubTask", flat, true).await.unwrap();
    let flat_id = made["Result"]["TaskId"].as_str().unwrap();
    let (a, b) = (w.stored(&json_id).await, w.stored(flat_id).await);
    assert_eq!((a.source, a.sink, a.transform), (b.source, b.sink, b.transform));
    assert_eq!((a.records_per_s, a.tags, a.attributes), (b.records_per_s, b.tags, b.attributes));
    assert!(matches!(b.on_failure, OnFailure::Keep { retries: 2, interval_ms: 1000, .. }));
}

#[tokio::test]
async fn numbers_and_booleans_as_text() {
    let w = World::new().await;
    let flat = async |action: &str, params: Value| w.ask_as("100001", action, params, true).await;
    let topic = json!({"Name": "12345-in", "PartitionNum": "2", "RetentionMs": "60000"});
    flat("CreateDatahubTopic", topic).await.unwrap();
    assert_eq!(w.result("DescribeDatahubTopic", json!({"Name": "12345-in"})).await["PartitionNum"], 2);
    let page = flat("DescribeDatahubTopics", json!({"Limit": "1", "QueryFromConnectResource": "False"}))
        .await
        .unwrap();
    assert_eq!(page["Result"]["TopicList"].as_array().map(Vec::len), Some(1));
    let connection = json!({"ResourceName": "c", "Type": "MYSQL", "MySQLConnectParam": {"Port": "3306", "UserName": "u",
        "Password": "p", "Resource": "r", "ServiceVip": "10.0.0.7", "SelfBuilt": "True"}});
    let made = flat("CreateConnectResource", connection).await.unwrap();
    let shown =
        w.result("DescribeConnectResource", json!({"ResourceId": made["Result"]["ResourceId"]})).await;
    assert_eq!(shown["MySQLConnectParam"]["Port"], 3306);
    let id = w.task(w.copy_request(json!({}))).await;
    flat("ModifyDatahubTask", json!({"TaskId": id, "TasksMax": "2", "AutoExpandFlag": "False"}))
        .await
        .unwrap();
    assert_eq!(w.stored(&id).await.lanes, Some(2));
    for bad in [json!({"Limit": "many"}), json!({"Limit": "1.5"}), json!({"Limit": ["1"]})] {
        assert_eq!(flat("DescribeDatahubTasks", bad).await.unwrap_err().code, "InvalidParameter");
    }
}
