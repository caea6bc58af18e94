//! The three examples of the product's own document, as written; only the names are registered.

use crate::world::World;
use model::{ConnectionId, EndKind, OnFailure, PipelineDirection};
use serde_json::{Value, json};

async fn run(w: &World, example: &str) -> Value {
    let request: Value = serde_json::from_str(example).unwrap();
    let made = w.result("CreateDatahubTask", request.clone()).await;
    let (task, datahub) = (made["TaskId"].as_str().unwrap(), made["DatahubId"].as_str().unwrap());
    let suffix = task.strip_prefix("task-").unwrap();
    assert_eq!(suffix.len(), 8, "{task}");
    assert!(suffix.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{task}");
    assert_eq!(datahub, format!("datahub-{suffix}"), "both share the suffix");
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": task })).await;
    assert_eq!((&shown["TaskName"], &shown["TaskType"]), (&json!("MyTaskName"), &json!("SINK")));
    for side in ["SourceResource", "TargetResource"] {
        for (name, value) in request[side].as_object().unwrap() {
            if name == "Type" {
                assert_eq!(&shown[side][name], value);
                continue;
            }
            for (field, value) in value.as_object().unwrap() {
                assert_eq!(&shown[side][name][field], value, "{side}.{name}.{field}");
            }
        }
        let fields = shown[side].as_object().unwrap();
        let nulls = fields.values().filter(|v| v.is_null()).count();
        assert_eq!((fields.len(), nulls), (19, 17), "every other parameter is an explicit null");
    }
    shown
}

#[tokio::test]
async fn example_1_a_topic_to_a_bucket_through_the_event_bus() {
    let w = World::new().await;
    let shown = run(
        &w,
        r#"{
    "TaskName": "MyTaskName",
    "TaskType": "SINK",
    "SourceResource": {
        "Type": "KAFKA",
        "KafkaParam": {
            "SelfBuilt": false,
            "Resource": "ckafka-7kd5rzza",
            "Topic": "topic-test",
            "OffsetType": "timestamp",
            "StartTime": 1635339533
        }
    },
    "TargetResource": {
        "Type": "EB",
        "EventBusParam": {
            "Type": "COS",
            "SelfBuilt": false,
            "Resource": "target-resource",
            "Namespace": "default",
            "FunctionName": "ckafka-7kd5rzza_topic-0cus2p9z_task_1633501781881_schedule",
            "Qualifier": "$LATEST"
        }
    }
}"#,
    )
    .await;
    let p = w.stored(shown["TaskId"].as_str().unwrap()).await;
    assert_eq!((p.direction, p.source.kind), (PipelineDirection::Sink, EndKind::Kafka));
    assert_eq!(p.source.connection, Some(ConnectionId::from("ckafka-7kd5rzza")));
    let source: Value = serde_json::from_str(&p.source.options).unwrap();
    assert_eq!(source, json!({"topics": ["topic-test"], "start": {"timestamp_ms": 1_635_339_533_000_u64}}));
    assert_eq!(
        (p.sink.kind, p.sink.connection),
        (EndKind::Bucket, Some(ConnectionId::from("target-resource")))
    );
    let sink: Value = serde_json::from_str(&p.sink.options).unwrap();
    assert_eq!(sink, json!({"bucket": "events-1251000004", "prefix": "in/", "format": "json"}));
    assert_eq!(
        shown["Connections"],
        json!([{"TopicName": "topic-test", "GroupId": p.id.as_str(), "TopicId": ""}])
    );
}

#[tokio::test]
async fn example_2_a_topic_to_an_index() {
    let w = World::new().await;
    let shown = run(
        &w,
        r#"{
    "TaskName": "MyTaskName",
    "TaskType": "SINK",
    "SourceResource": {
        "Type": "KAFKA",
        "KafkaParam": {
            "SelfBuilt": false,
            "Resource": "ckafka-7kd5rzza",
            "Topic": "topic-test",
            "OffsetType": "earliest"
        }
    },
    "TargetResource": {
        "Type": "ES",
        "EsParam": {
            "Resource": "resource-test",
            "DropInvalidMessage": true,
            "Index": "index",
            "DropInvalidJsonMessage": false
        }
    }
}"#,
    )
    .await;
    let p = w.stored(shown["TaskId"].as_str().unwrap()).await;
    assert_eq!(
        (p.sink.kind, p.sink.connection),
        (EndKind::Elastic, Some(ConnectionId::from("resource-test")))
    );
    let sink: Value = serde_json::from_str(&p.sink.options).unwrap();
    assert_eq!(sink, json!({"index": "index", "raw_key": "message"}));
    assert_eq!((p.on_refusal, p.on_failure), (OnFailure::Drop, OnFailure::Block));
    assert_eq!(p.transform, None);
}

#[tokio::test]
async fn example_3_a_topic_of_the_product_to_an_index() {
    let w = World::new().await;
    let shown = run(
        &w,
        r#"{
    "TaskName": "MyTaskName",
    "TaskType": "SINK",
    "SourceResource": {
        "Type": "TOPIC",
        "TopicParam": {
            "Resource": "12345-xxx",
            "OffsetType": "earliest"
        }
    },
    "TargetResource": {
        "Type": "ES",
        "EsParam": {
            "Resource": "resource-test",
            "DropInvalidMessage": true,
            "Index": "index",
            "DropInvalidJsonMessage": false
        }
    }
}"#,
    )
    .await;
    let p = w.stored(shown["TaskId"].as_str().unwrap()).await;
    assert_eq!((p.source.kind, p.source.connection), (EndKind::Kafka, None));
    let source: Value = serde_json::from_str(&p.source.options).unwrap();
    assert_eq!(source, json!({"topics": ["12345-xxx"], "start": "earliest"}));
    let topic = w.result("DescribeDatahubTopic", json!({"Name": "12345-xxx"})).await["TopicId"].take();
    assert_eq!(shown["SourceResource"]["TopicParam"]["TopicId"], topic, "the product says the topic's id");
    assert_eq!(shown["Connections"][0]["TopicId"], topic);
}
