//! `SendMessage`.

use crate::world::World;
use serde_json::{Value, json};

async fn push(w: &World, change: Value) -> (String, String) {
    let base = json!({"TaskName": "push", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}}});
    let made = w.result("CreateDatahubTask", crate::world::merged(base, change)).await;
    w.work().await;
    (made["TaskId"].as_str().unwrap().to_owned(), made["DatahubId"].as_str().unwrap().to_owned())
}

fn plain(id: &Value) -> String {
    let hex = id.as_str().unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn messages_are_written_and_named() {
    let w = World::new().await;
    let (_, datahub) = push(&w, json!({})).await;
    let request =
        json!({"DataHubId": datahub, "Message": [{"Key": "k", "Body": "a"}, {"Body": "{\"x\":1}"}]});
    let ids = w.ask("SendMessage", request).await.unwrap()["MessageId"].take();
    let ids: Vec<String> = ids.as_array().unwrap().iter().map(plain).collect();
    assert_eq!(ids, [format!("{datahub}:12345-xxx:0:0"), format!("{datahub}:12345-xxx:0:1")]);
    let written = w.streams.records("", "12345-xxx");
    assert_eq!(written[0].key.as_deref(), Some(&b"k"[..]));
    assert_eq!((written[1].key.as_deref(), written[1].value.as_deref()), (None, Some(&br#"{"x":1}"#[..])));
    let shown = w.result("DescribeDatahubTasks", json!({"SourceType": "HTTP"})).await;
    assert_eq!(shown["TaskList"][0]["DatahubId"], datahub.as_str());
}

#[tokio::test]
async fn what_a_filter_takes_out_has_no_id() {
    let w = World::new().await;
    let transform =
        json!({"TransformsParam": {"Content": "{}", "FieldChain": [], "FailureParam": {"Type": "DROP"}}});
    let (_, datahub) = push(&w, transform).await;
    let request = json!({"DataHubId": datahub, "Message": [{"Body": "filter me"}, {"Body": "b"}, {"Body": "break me"}]});
    let ids = w.ask("SendMessage", request).await.unwrap()["MessageId"].take();
    assert_eq!((&ids[0], &ids[2]), (&json!(""), &json!("")));
    assert_eq!(plain(&ids[1]), format!("{datahub}:12345-xxx:0:0"));
}

#[tokio::test]
async fn what_is_refused() {
    let w = World::new().await;
    let (task, datahub) = push(&w, json!({})).await;
    let copy = w.task(w.copy_request(json!({}))).await.replace("task-", "datahub-");
    let many = |n: usize| Value::from(vec![json!({"Body": "b"}); n]);
    for (id, messages, code) in [
        (datahub.as_str(), many(0), "InvalidParameterValue"),
        (datahub.as_str(), many(501), "InvalidParameterValue"),
        (datahub.as_str(), Value::Null, "MissingParameter"),
        (datahub.as_str(), json!([{"Key": "k"}]), "MissingParameter"),
        (datahub.as_str(), json!([{"Body": 1}]), "InvalidParameter"),
        ("datahub-00000000", many(1), "InvalidParameterValue.InstanceNotExist"),
        (task.as_str(), many(1), "InvalidParameterValue.InstanceNotExist"),
        ("", many(1), "InvalidParameterValue.InstanceNotExist"),
        (copy.as_str(), many(1), "InvalidParameterValue.InstanceNotExist"),
    ] {
        let request = json!({"DataHubId": id, "Message": messages});
        assert_eq!(w.code("SendMessage", request).await, code, "{id}");
    }
    let one = json!({"DataHubId": datahub, "Message": many(1)});
    let stranger = w.ask_as("100002", "SendMessage", one.clone(), false).await;
    assert_eq!(stranger.unwrap_err().code, "InvalidParameterValue.InstanceNotExist");
    assert!(w.ask("SendMessage", json!({"DataHubId": datahub, "Message": many(500)})).await.is_ok());
    *w.streams.down.lock().unwrap() = true;
    assert_eq!(w.code("SendMessage", one.clone()).await, "ResourceUnavailable.KafkaStorageError");
    *w.streams.down.lock().unwrap() = false;
    w.result("PauseDatahubTask", json!({ "TaskId": task })).await;
    assert_eq!(w.code("SendMessage", one.clone()).await, "OperationDenied.ResourceTaskPaused");
    w.result("ResumeDatahubTask", json!({ "TaskId": task })).await;
    assert!(w.ask("SendMessage", one.clone()).await.is_ok());
    w.result("DeleteDatahubTask", json!({ "TaskId": task })).await;
    let gone = w.code("SendMessage", one).await;
    assert!(
        gone.starts_with("InvalidParameterValue.InstanceNotExist") || gone.starts_with("OperationDenied"),
        "{gone}"
    );
}

#[tokio::test]
async fn too_many_at_once_are_throttled() {
    let w = World::new().await;
    let target = json!({"TargetResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other",
        "Topic": "copy", "QpsLimit": 3}}});
    let (_, datahub) = push(&w, target).await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        let one = json!({"DataHubId": datahub, "Message": [{"Body": "b"}, {"Body": "b"}]});
        codes.push(w.ask("SendMessage", one).await.err().map(|f| f.code.into_owned()));
    }
    assert_eq!(codes[0], None);
    assert!(codes.contains(&Some("RequestLimitExceeded".to_owned())), "{codes:?}");
}
