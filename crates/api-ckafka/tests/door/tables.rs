//! What the tables promise is what the answers hold.

use crate::world::World;
use api::{Field, Ty};
use serde_json::{Value, json};

/// The fields of an object are those of its table, both ways; null stands for anything.
fn compare(at: &str, table: &[Field], value: &Value) {
    let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}"));
    let mut want: Vec<&str> = table.iter().map(|f| f.name).collect();
    let mut have: Vec<&str> = object.keys().map(String::as_str).collect();
    want.sort_unstable();
    have.sort_unstable();
    assert_eq!(have, want, "{at}");
    for field in table {
        check(&format!("{at}.{}", field.name), &field.ty, &object[field.name]);
    }
}

fn check(at: &str, ty: &Ty, value: &Value) {
    if value.is_null() {
        return;
    }
    let right = match ty {
        Ty::Str => value.is_string(),
        Ty::Int => value.is_i64(),
        Ty::Uint => value.is_u64(),
        Ty::Bool => value.is_boolean(),
        Ty::Float => value.is_number(),
        Ty::Any => true,
        Ty::List(of) => {
            for (i, item) in value.as_array().unwrap().iter().enumerate() {
                check(&format!("{at}[{i}]"), of, item);
            }
            true
        }
        Ty::Object(table) => {
            compare(at, table, value);
            true
        }
    };
    assert!(right, "{at}: {value}");
}

#[tokio::test]
async fn answers_have_the_fields_of_their_tables() {
    let w = World::new().await;
    let table = |action: &str| {
        let found = api_ckafka::operations().iter().find(|op| op.action == action);
        found.unwrap_or_else(|| panic!("{action}")).response
    };
    let mut seen = Vec::new();
    let mut go = async |action: &'static str, params: Value| {
        let answer = w.ask(action, params).await.unwrap_or_else(|f| panic!("{action}: {f:?}"));
        compare(action, table(action), &answer);
        seen.push(action);
        answer
    };
    let kafka = json!({"ResourceName": "k", "Type": "KAFKA",
        "KafkaConnectParam": {"NetworkType": "PUBLIC", "BrokerAddress": "10.0.0.2:9092"}});
    let connection = go("CreateConnectResource", kafka).await["Result"]["ResourceId"].clone();
    go("DescribeConnectResource", json!({ "ResourceId": connection })).await;
    go("DescribeConnectResources", json!({})).await;
    go("ModifyConnectResource", json!({"ResourceId": connection, "Description": "d"})).await;
    go("DeleteConnectResource", json!({ "ResourceId": connection })).await;
    go("CreateDatahubTopic", json!({"Name": "12345-in", "PartitionNum": 1, "RetentionMs": 60_000})).await;
    go("DescribeDatahubTopic", json!({"Name": "12345-in"})).await;
    go("DescribeDatahubTopics", json!({})).await;
    go("ModifyDatahubTopic", json!({"Name": "12345-in", "RetentionMs": 70_000})).await;
    let http = json!({"TaskName": "push", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-in"}}});
    let push = go("CreateDatahubTask", http).await["Result"].clone();
    w.work().await;
    let sent = json!({"DataHubId": push["DatahubId"], "Message": [{"Body": "b", "Key": "k"}]});
    go("SendMessage", sent).await;
    go("FetchDatahubMessageByOffset", json!({"Name": "12345-in", "Partition": 0, "Offset": 0})).await;
    go("FetchLatestDatahubMessageList", json!({"Name": "12345-in", "Partition": 0})).await;
    go("DescribeDatahubGroupOffsets", json!({"Name": "12345-in", "Group": "g"})).await;
    let syncs = [
        "CreateMetaSyncDatahubTask",
        "CreateMetaAndDataSyncDatahubTask",
        "CreateMetaDataAndOffsetSyncDatahubTask",
    ];
    for (i, action) in syncs.into_iter().enumerate() {
        let request = json!({"TaskName": format!("sync-{i}"), "SourceResourceId": "ckafka-7kd5rzza",
            "TargetResourceId": "ckafka-other"});
        go(action, request).await;
    }
    let id = json!({"TaskId": push["TaskId"]});
    go("DescribeDatahubTask", id.clone()).await;
    go("DescribeDatahubTasks", json!({})).await;
    go("ModifyDatahubTask", json!({"TaskId": push["TaskId"], "Description": "d"})).await;
    go("RestartDatahubTask", id.clone()).await;
    go("PauseDatahubTask", id.clone()).await;
    go("ResumeDatahubTask", id.clone()).await;
    go("DeleteDatahubTask", id).await;
    go("DeleteDatahubTopic", json!({"Name": "12345-in"})).await;
    let mut all: Vec<&str> = api_ckafka::operations().iter().map(|op| op.action).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "every action was asked");
}
