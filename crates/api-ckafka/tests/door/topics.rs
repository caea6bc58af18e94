//! Topics of the product, and a look at what lies in them.

use crate::world::{OTHER, World, merged};
use control::{Cluster, NewRecord, Streams as _};
use serde_json::{Value, json};

const BAD: &str = "InvalidParameter";
const NO_INSTANCE: &str = "InvalidParameterValue.InstanceNotExist";
const FAILED: &str = "FailedOperation";

async fn write(w: &World, topic: &str, values: &[&str]) {
    let record = |v: &&str| NewRecord { value: Some(v.as_bytes().to_vec()), ..NewRecord::default() };
    w.streams.produce(&Cluster::default(), topic, values.iter().map(record).collect()).await.unwrap();
}

#[tokio::test]
async fn a_topic_comes_with_a_user_and_goes() {
    let w = World::new().await;
    let request = json!({"Name": "12345-in", "PartitionNum": 5, "RetentionMs": 3_600_000, "Note": "first",
        "Tags": [{"TagKey": "k", "TagValue": "v"}]});
    let made = w.result("CreateDatahubTopic", request.clone()).await;
    let id = made["TopicId"].as_str().unwrap().to_owned();
    assert!(id.strip_prefix("topic-").is_some_and(|x| x.len() == 8), "{id}");
    assert_eq!(made["TopicName"], "12345-in");
    let shown = w.result("DescribeDatahubTopic", json!({"Name": "12345-in"})).await;
    let user = shown["UserName"].as_str().unwrap();
    assert!(!user.is_empty() && shown["Password"].as_str().unwrap().len() >= 16);
    assert!(w.streams.users.lock().unwrap().contains(user), "the cluster lets it in");
    assert_eq!((&shown["Address"], &shown["Status"]), (&json!("127.0.0.1:9092"), &json!(1)));
    assert_eq!(
        (&shown["PartitionNum"], &shown["RetentionMs"], &shown["Note"]),
        (&json!(5), &json!(3_600_000), &json!("first"))
    );
    assert_eq!(w.code("CreateDatahubTopic", request).await, "InvalidParameter.TopicExist");
    let done =
        w.result("ModifyDatahubTopic", json!({"Name": "12345-in", "RetentionMs": 60_000, "Note": ""})).await;
    assert_eq!(done["ReturnCode"], "0");
    let shown = w.result("DescribeDatahubTopic", json!({"Name": "12345-in"})).await;
    assert_eq!((&shown["RetentionMs"], &shown["Note"]), (&json!(60_000), &json!("")));
    let gone = w.result("DeleteDatahubTopic", json!({"Name": "12345-in"})).await;
    assert_eq!(
        gone,
        json!({"ReturnCode": "0", "ReturnMessage": "ok", "Data": {"FlowId": 0, "RouteDTO": null}})
    );
    for action in ["DescribeDatahubTopic", "DeleteDatahubTopic"] {
        assert_eq!(w.code(action, json!({"Name": "12345-in"})).await, "ResourceNotFound");
        assert_eq!(w.code(action, json!({"Name": ""})).await, BAD);
    }
    assert_eq!(
        w.code("ModifyDatahubTopic", json!({"Name": "12345-in", "RetentionMs": 60_000})).await,
        NO_INSTANCE
    );
}

#[tokio::test]
async fn forms_and_ranges() {
    let w = World::new().await;
    let base = json!({"Name": "12345-in", "PartitionNum": 5, "RetentionMs": 3_600_000});
    for (change, code) in [
        (json!({"Name": null}), "MissingParameter"),
        (json!({"Name": "in"}), BAD),
        (json!({"Name": "54321-in"}), BAD),
        (json!({"Name": "12345-"}), BAD),
        (json!({"Name": "12345-a_b"}), BAD),
        (json!({"Name": format!("12345-{}", "a".repeat(123))}), BAD),
        (json!({"PartitionNum": 0}), BAD),
        (json!({"PartitionNum": 501}), BAD),
        (json!({"RetentionMs": 59_999}), BAD),
        (json!({"RetentionMs": -1}), BAD),
        (json!({"Note": "x".repeat(65)}), BAD),
        (json!({"Tags": [{"TagKey": "", "TagValue": "v"}]}), BAD),
    ] {
        assert_eq!(
            w.code("CreateDatahubTopic", merged(base.clone(), change.clone())).await,
            code,
            "{change}"
        );
    }
    for bad in [json!({"RetentionMs": 1}), json!({"RetentionMs": 60_000, "Note": "x".repeat(65)})] {
        assert_eq!(w.code("ModifyDatahubTopic", merged(json!({"Name": "12345-xxx"}), bad)).await, BAD);
    }
}

#[tokio::test]
async fn one_that_a_task_uses_stays() {
    let w = World::new().await;
    let target = json!({"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}});
    let id = w.task(w.sink_request(target, json!({}))).await;
    assert_eq!(w.code("DeleteDatahubTopic", json!({"Name": "12345-xxx"})).await, "ResourceInUse");
    w.result("DeleteDatahubTask", json!({ "TaskId": id })).await;
    w.result("DeleteDatahubTopic", json!({"Name": "12345-xxx"})).await;
}

#[tokio::test]
async fn lists_of_ones_own_and_of_a_cluster() {
    let w = World::new().await;
    for name in ["12345-a", "12345-b"] {
        w.clock.advance(1_000_000);
        w.result("CreateDatahubTopic", json!({"Name": name, "PartitionNum": 1, "RetentionMs": 60_000})).await;
    }
    let list = async |filter: Value| {
        let found = w.result("DescribeDatahubTopics", filter).await;
        let all = found["TopicList"].as_array().unwrap().iter();
        let names: Vec<String> = all.map(|t| t["Name"].as_str().unwrap().to_owned()).collect();
        (found["TotalCount"].as_u64().unwrap(), names)
    };
    let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(list(json!({})).await, (3, names(&["12345-b", "12345-a", "12345-xxx"])), "newest first");
    assert_eq!(list(json!({"Offset": 1, "Limit": 1})).await, (3, names(&["12345-a"])));
    assert_eq!(list(json!({"SearchWord": "45-b"})).await, (1, names(&["12345-b"])));
    assert_eq!(list(json!({"TopicRegularExpression": "-[ab]$", "Limit": 1})).await, (2, names(&["12345-b"])));
    let id = w.result("DescribeDatahubTopic", json!({"Name": "12345-a"})).await["TopicId"].take();
    assert_eq!(list(json!({ "SearchWord": id })).await.1, names(&["12345-a"]), "also by id");
    w.streams.topic(OTHER, "__consumer_offsets", 1);
    w.streams.topic(OTHER, "more", 2);
    let of = |change: Value| {
        merged(json!({"QueryFromConnectResource": true, "ConnectResourceId": "ckafka-other"}), change)
    };
    assert_eq!(list(of(json!({}))).await, (2, names(&["copy", "more"])), "without the cluster's own");
    assert_eq!(list(of(json!({"TopicRegularExpression": "^m"}))).await, (1, names(&["more"])));
    for (bad, code) in [
        (json!({"Limit": 0}), BAD),
        (json!({"TopicRegularExpression": "("}), BAD),
        (json!({"TopicRegularExpression": "a{1000}{1000}{1000}"}), BAD),
        (of(json!({"ConnectResourceId": null})), BAD),
        (of(json!({"ConnectResourceId": "resource-none"})), NO_INSTANCE),
    ] {
        assert_eq!(w.code("DescribeDatahubTopics", bad.clone()).await, code, "{bad}");
    }
    let stranger = w.ask_as("100002", "DescribeDatahubTopics", json!({}), false).await.unwrap();
    assert_eq!(stranger["Result"]["TotalCount"], 0);
    *w.streams.down.lock().unwrap() = true;
    assert_eq!(w.code("DescribeDatahubTopics", of(json!({}))).await, "ResourceUnavailable");
}

#[tokio::test]
async fn positions_of_a_group() {
    let w = World::new().await;
    write(&w, "12345-xxx", &["a", "b", "c"]).await;
    let ask = |change: Value| merged(json!({"Name": "12345-xxx", "Group": "g"}), change);
    let found = w.result("DescribeDatahubGroupOffsets", ask(json!({}))).await;
    assert_eq!((&found["TotalCount"], &found["TopicList"][0]["Topic"]), (&json!(1), &json!("12345-xxx")));
    let partitions = found["TopicList"][0]["Partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 3);
    assert_eq!(
        partitions[0],
        json!({"Partition": 0, "Offset": 1, "Metadata": "", "ErrorCode": 0, "LogEndOffset": 3, "Lag": 2})
    );
    assert_eq!((&partitions[1]["Offset"], &partitions[1]["Lag"]), (&json!(-1), &json!(0)));
    let none = w.result("DescribeDatahubGroupOffsets", ask(json!({"SearchWord": "zzz"}))).await;
    assert_eq!(none, json!({"TotalCount": 0, "TopicList": []}));
    for (bad, code) in [
        (json!({"Name": "12345-none"}), NO_INSTANCE),
        (json!({"Name": ""}), BAD),
        (json!({"Group": ""}), BAD),
        (json!({"Limit": 0}), BAD),
    ] {
        assert_eq!(w.code("DescribeDatahubGroupOffsets", ask(bad.clone())).await, code, "{bad}");
    }
}

#[tokio::test]
async fn a_look_at_records() {
    let w = World::new().await;
    write(&w, "12345-xxx", &["a", "b", "c"]).await;
    let odd = NewRecord {
        key: Some(vec![0xff, b'k']),
        value: None,
        headers: vec![(b"h".to_vec(), Some(b"1".to_vec())), (b"n".to_vec(), None)],
        partition: None,
    };
    w.streams.produce(&Cluster::default(), "12345-xxx", vec![odd]).await.unwrap();
    let one = |offset: i64| json!({"Name": "12345-xxx", "Partition": 0, "Offset": offset});
    assert_eq!(
        w.result("FetchDatahubMessageByOffset", one(1)).await,
        json!({"Topic": "12345-xxx", "Partition": 0, "Offset": 1, "Key": null, "Value": "b",
            "Timestamp": 1_700_000_000_000_i64, "Headers": null})
    );
    let odd = w.result("FetchDatahubMessageByOffset", one(3)).await;
    assert_eq!((&odd["Key"], &odd["Value"]), (&json!("\u{fffd}k"), &Value::Null));
    let headers: Value = serde_json::from_str(odd["Headers"].as_str().unwrap()).unwrap();
    assert_eq!(headers, json!([{"Key": "h", "Value": "1"}, {"Key": "n", "Value": null}]));
    let list = async |change: Value| {
        let found = w
            .result(
                "FetchLatestDatahubMessageList",
                merged(json!({"Name": "12345-xxx", "Partition": 0}), change),
            )
            .await;
        let all = found.as_array().unwrap().iter();
        all.map(|r| r["Offset"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list(json!({})).await, [0, 1, 2, 3]);
    assert_eq!(list(json!({"MessageCount": 2})).await, [2, 3]);
    assert_eq!(list(json!({"MessageCount": 2, "Offset": 1})).await, [1, 2]);
    assert_eq!(list(json!({"Partition": 1})).await, [0; 0]);
    for bad in [
        one(9),
        one(-1),
        merged(one(0), json!({"Partition": 9})),
        merged(one(0), json!({"Partition": -1})),
        merged(one(0), json!({"Partition": 1_i64 << 40})),
        merged(one(0), json!({"Name": "12345-none"})),
        merged(one(0), json!({"Name": ""})),
    ] {
        assert_eq!(w.code("FetchDatahubMessageByOffset", bad.clone()).await, FAILED, "{bad}");
    }
    for bad in [
        json!({"MessageCount": 0}),
        json!({"MessageCount": 101}),
        json!({"Offset": -1}),
        json!({"Name": "x"}),
    ] {
        let request = merged(json!({"Name": "12345-xxx", "Partition": 0}), bad.clone());
        assert_eq!(w.code("FetchLatestDatahubMessageList", request).await, FAILED, "{bad}");
    }
    let stranger = w.ask_as("100002", "FetchDatahubMessageByOffset", one(0), false).await;
    assert_eq!(stranger.unwrap_err().code, FAILED, "another account's topic is not there");
}
