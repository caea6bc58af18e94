//! Instance syncs.

use crate::world::{World, merged};
use control::SyncKind;
use serde_json::{Value, json};

const META: &str = "CreateMetaSyncDatahubTask";
const DATA: &str = "CreateMetaAndDataSyncDatahubTask";
const OFFSETS: &str = "CreateMetaDataAndOffsetSyncDatahubTask";

fn base() -> Value {
    json!({"TaskName": "sync", "SourceResourceId": "ckafka-7kd5rzza", "TargetResourceId": "ckafka-other"})
}

#[tokio::test]
async fn the_three_of_them() {
    let w = World::new().await;
    let chosen =
        json!({"TopicList": ["topic-test"], "OffsetType": "latest", "Prefix": "p", "Separator": "."});
    let pattern = json!({"TopicRegularExpression": "topic-.*"});
    for (action, change, kind, source, sink) in [
        (
            META,
            json!({}),
            SyncKind::Meta,
            json!({"pattern": "^.*", "start": "earliest"}),
            json!({"prefix": "", "separator": ""}),
        ),
        (
            DATA,
            chosen,
            SyncKind::MetaAndData,
            json!({"topics": ["topic-test"], "start": "latest"}),
            json!({"prefix": "p", "separator": "."}),
        ),
        (
            OFFSETS,
            pattern,
            SyncKind::MetaDataAndOffset,
            json!({"pattern": "^topic-.*", "start": "earliest"}),
            json!({"prefix": "", "separator": ""}),
        ),
    ] {
        let request = merged(merged(base(), json!({ "TaskName": kind.name() })), change);
        let made = w.result(action, request).await;
        let id = made["TaskId"].as_str().unwrap();
        assert!(made["DatahubId"].as_str().unwrap().ends_with(&id[5..]));
        let p = w.stored(id).await;
        assert_eq!(SyncKind::of(&p), Some(kind));
        assert_eq!(serde_json::from_str::<Value>(&p.source.options).unwrap(), source, "{action}");
        // Whether partitions are kept is the sync's own rule, not the door's.
        let options: Value = serde_json::from_str(&p.sink.options).unwrap();
        let options = merged(options, json!({"keep_partition": null}));
        assert_eq!(options, merged(sink, json!({"create": true})), "{action}");
        let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
        assert_eq!(shown["SourceResource"]["KafkaParam"]["Resource"], "ckafka-7kd5rzza");
        assert!(
            shown["TargetResource"]["KafkaParam"]["ConnectorSyncType"]
                .as_str()
                .unwrap()
                .ends_with("INSTANCE_TYPE")
        );
    }
}

#[tokio::test]
async fn what_is_refused() {
    let w = World::new().await;
    let missing = |action: &str| {
        if action == DATA { "InvalidParameterValue.InstanceNotExist" } else { "ResourceNotFound" }
    };
    for action in [META, DATA, OFFSETS] {
        for (change, code) in [
            (json!({"TaskName": ""}), "InvalidParameterValue.NotAllowedEmpty"),
            (json!({"SourceResourceId": null}), "MissingParameter"),
            (json!({"SourceResourceId": ""}), "InvalidParameterValue.NotAllowedEmpty"),
            (json!({"SourceResourceId": "resource-none"}), missing(action)),
            (json!({"TargetResourceId": "x".repeat(500)}), missing(action)),
            (json!({"TargetResourceId": "resource-test"}), "InvalidParameterValue"),
            (json!({"TargetResourceId": "ckafka-7kd5rzza"}), "InvalidParameterValue"),
            (json!({"Description": "x".repeat(129)}), "InvalidParameterValue"),
        ] {
            assert_eq!(w.code(action, merged(base(), change.clone())).await, code, "{action} {change}");
        }
    }
    for action in [DATA, OFFSETS] {
        for change in [
            json!({"TopicList": ["a"], "TopicRegularExpression": "a"}),
            json!({"TopicList": ["a b"]}),
            json!({"OffsetType": "timestamp"}),
            json!({"OffsetType": "middle"}),
            json!({"Prefix": "p", "Separator": ":"}),
        ] {
            assert_eq!(
                w.code(action, merged(base(), change.clone())).await,
                "InvalidParameterValue",
                "{action} {change}"
            );
        }
    }
    assert_eq!(w.code(META, merged(base(), json!({"Prefix": "p"}))).await, "UnknownParameter");
    w.result(META, base()).await;
    assert_eq!(w.code(META, base()).await, "InvalidParameterValue.RepetitionValue");
}

#[tokio::test]
async fn by_the_word_in_an_ordinary_request() {
    let w = World::new().await;
    let param = |id: &str| {
        json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": true, "Resource": id,
            "ConnectorSyncType": "META_AND_DATA_SYNC_INSTANCE_TYPE"}})
    };
    let request = json!({"TaskName": "s", "TaskType": "SOURCE", "SourceResource": param("ckafka-7kd5rzza"),
        "TargetResource": param("ckafka-other")});
    let id = w.task(request).await;
    assert_eq!(SyncKind::of(&w.stored(&id).await), Some(SyncKind::MetaAndData));
    let half = json!({"TaskName": "h", "TaskType": "SOURCE", "SourceResource": param("ckafka-7kd5rzza"),
        "TargetResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}}});
    assert_eq!(w.code("CreateDatahubTask", half).await, "InvalidParameterValue");
}
