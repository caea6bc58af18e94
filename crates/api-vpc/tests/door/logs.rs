//! Flow logs from their making to their end.

use crate::world::{World, request};
use api::Reply;
use model::FlowLogState;
use serde_json::json;

const VPC: &str = "vpc-12345678";

#[tokio::test]
async fn what_is_settled_later_is_a_placeholder() {
    let w = World::new().await;
    let made = w.ok("CreateFlowLog", request(json!({"CloudLogRegion": "ap-shanghai"}))).await;
    let made = made["FlowLog"].as_array().unwrap().first().unwrap().clone();
    let id = made["FlowLogId"].clone();
    assert!(id.as_str().unwrap().starts_with("fl-") && id.as_str().unwrap().len() == 11);
    let want = json!({
        "VpcId": VPC, "FlowLogId": id, "FlowLogName": "test", "ResourceType": "NETWORKINTERFACE",
        "ResourceId": "eni-12345678", "TrafficType": "ALL", "CloudLogId": "", "CloudLogState": "",
        "FlowLogDescription": "", "CreatedTime": "0000-00-00 00:00:00", "TagSet": [{"Key": "city", "Value": "shanghai"}],
        "Enable": true, "StorageType": "ckafka", "CloudLogRegion": "", "Period": null,
        "FlowLogStorage": {"StorageId": "ckafka-1", "StorageTopic": "flows"},
    });
    assert_eq!(made, want);
    let shown = w.ok("DescribeFlowLog", json!({"VpcId": VPC, "FlowLogId": id})).await["FlowLog"][0].clone();
    assert_eq!(
        (
            shown["CreatedTime"].as_str(),
            shown["FlowLogDescription"].as_str(),
            shown["CloudLogState"].as_str()
        ),
        (Some("2023-11-14 22:13:20"), Some("words"), Some("SUCCESS"))
    );
    assert_eq!(shown["CloudLogRegion"], "ap-shanghai");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut() {
    let w = World::new().await;
    let mut ids = Vec::new();
    for (name, kind, id, traffic, tag) in [
        ("b", "NETWORKINTERFACE", "eni-12345678", "ACCEPT", "x"),
        ("c", "SUBNET", "subnet-1", "REJECT", "y"),
        ("a", "VPC", "vpc-12345678", "ALL", "x"),
    ] {
        let change = json!({"FlowLogName": name, "ResourceType": kind, "ResourceId": id, "TrafficType": traffic,
            "Tags": [{"Key": "t", "Value": tag}, {"Key": format!("k{name}"), "Value": ""}]});
        ids.push(w.log(change).await);
        w.clock.advance(1_000_000);
    }
    let names = async |params: serde_json::Value| {
        let answer = w.ok("DescribeFlowLogs", params).await;
        let names: Vec<String> = answer["FlowLog"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["FlowLogName"].as_str().unwrap().to_owned())
            .collect();
        (names.concat(), answer["TotalNum"].as_u64().unwrap())
    };
    for (params, want, total) in [
        (json!({}), "acb", 3),
        (json!({"OrderDirection": "ASC"}), "bca", 3),
        (json!({"OrderField": "flowLogName", "OrderDirection": "ASC"}), "abc", 3),
        (json!({"OrderField": "flowLogName"}), "cba", 3),
        (json!({"Limit": 1, "Offset": 1}), "c", 3),
        (json!({"TrafficType": "ACCEPT"}), "b", 1),
        (json!({"ResourceType": "SUBNET"}), "c", 1),
        (json!({"ResourceId": "vpc-12345678"}), "a", 1),
        (json!({"FlowLogId": ids[1]}), "c", 1),
        (json!({"FlowLogName": "b"}), "b", 1),
        (json!({"VpcId": "vpc-other"}), "", 0),
        (json!({"CloudLogState": "SUCCESS"}), "acb", 3),
        (json!({"CloudLogState": "DELETED"}), "", 0),
        (json!({"CloudLogRegion": "ap-guangzhou"}), "acb", 3),
        (json!({"Filters": {"Name": "tag:t", "Values": ["x"]}}), "ab", 2),
        (
            json!({"Filters": [{"Name": "tag:t", "Values": ["x"]}, {"Name": "tag-key", "Values": ["kb", "kc"]}]}),
            "b",
            1,
        ),
        (json!({"Filters": [{"Name": "tag-key", "Values": ["kb", "kc"]}]}), "cb", 2),
    ] {
        assert_eq!(names(params.clone()).await, (want.to_owned(), total), "{params}");
    }
    let flat = json!({"Limit": "2", "Filters": {"Name": "tag:t", "Values": ["x", "y"]}});
    let flat = w.ask_as("100001", "DescribeFlowLogs", flat, true).await.unwrap();
    assert_eq!((flat["FlowLog"].as_array().unwrap().len(), &flat["TotalNum"]), (2, &json!(3)));
    let others = w.ask_as("100002", "DescribeFlowLogs", json!({}), false).await.unwrap();
    assert_eq!(others, json!({"FlowLog": [], "TotalNum": 0}));
}

#[tokio::test]
async fn they_are_switched_changed_and_removed() {
    let w = World::new().await;
    let id = w.log(json!({})).await;
    let enabled =
        async || w.ok("DescribeFlowLogs", json!({"FlowLogId": id})).await["FlowLog"][0]["Enable"].clone();
    w.ok("DisableFlowLogs", json!({"FlowLogIds": [id]})).await;
    assert_eq!(enabled().await, false);
    w.ok("DisableFlowLogs", json!({"FlowLogIds": [id, id]})).await;
    let both = json!({"FlowLogIds": [id, "fl-nothing1"]});
    assert_eq!(w.code("EnableFlowLogs", both).await, "ResourceNotFound");
    assert_eq!(enabled().await, false, "all or none");
    w.ok("EnableFlowLogs", json!({"FlowLogIds": [id]})).await;
    assert_eq!(enabled().await, true);
    let change = json!({"FlowLogId": id, "VpcId": VPC, "FlowLogName": "other", "FlowLogDescription": ""});
    w.ok("ModifyFlowLogAttribute", change).await;
    let shown = w.ok("DescribeFlowLogs", json!({})).await["FlowLog"][0].clone();
    assert_eq!((&shown["FlowLogName"], &shown["FlowLogDescription"]), (&json!("other"), &json!("")));
    let foreign = w.ask_as("100002", "DeleteFlowLog", json!({"FlowLogId": id, "VpcId": VPC}), false).await;
    assert_eq!(foreign.unwrap_err().code, "ResourceNotFound");
    w.ok("DeleteFlowLog", json!({"FlowLogId": id, "VpcId": VPC})).await;
    assert_eq!(w.code("DescribeFlowLogs", json!({"FlowLogId": id})).await, "ResourceNotFound");
    w.log(json!({})).await;
}

#[tokio::test]
async fn networks_between_regions_have_a_period_and_no_vpc() {
    let w = World::new().await;
    let ccn = json!({"ResourceType": "CCN", "ResourceId": "ccn-1", "VpcId": null});
    let made = w.ok("CreateFlowLog", request(ccn)).await["FlowLog"][0].clone();
    assert_eq!((&made["Period"], &made["VpcId"]), (&json!(60), &json!("")));
    let id = made["FlowLogId"].clone();
    w.ok("ModifyFlowLogAttribute", json!({"FlowLogId": id, "Period": 600})).await;
    assert_eq!(w.ok("DescribeFlowLogs", json!({})).await["FlowLog"][0]["Period"], 600);
    let code = w.code("ModifyFlowLogAttribute", json!({"FlowLogId": id, "VpcId": VPC, "Period": 60})).await;
    assert_eq!(code, "InvalidParameterValue.VpcIdNotNeededForFlowLog");
    let code = w.code("DescribeFlowLog", json!({"VpcId": VPC, "FlowLogId": id})).await;
    assert_eq!(code, "ResourceNotFound", "the old action knows VPCs only");
    w.ok("DeleteFlowLog", json!({"FlowLogId": id})).await;
}

#[tokio::test]
async fn losses_stand_in_a_header() {
    let w = World::new().await;
    let id = w.log(json!({})).await;
    let state = FlowLogState {
        lost_records: 7,
        limits: vec!["no réjects".into()],
        topic_gone: true,
        ..FlowLogState::default()
    };
    *w.played.live.lock().unwrap() = Some(state);
    let reply = w.reply("100001", "DescribeFlowLogs", json!({}), false).await.unwrap();
    let Reply::Noted { reply, header, value } = reply else { panic!("no header") };
    assert!(header == "x-wharf-flow-logs" && value.is_ascii() && value.contains(&id), "{value}");
    let told: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(told[0]["lost"]["records"], 7);
    let Reply::Fields(fields) = *reply else { panic!("no fields") };
    assert_eq!(fields["FlowLog"][0]["CloudLogState"], "DELETED");
}

#[tokio::test]
async fn a_topic_that_is_written_stays() {
    let w = World::new().await;
    let account = model::AccountId::from("100001");
    let topic = model::DipTopic {
        id: "topic-12345678".into(),
        account: account.clone(),
        name: "12345-flows".into(),
        note: String::new(),
        partitions: 1,
        retention_ms: 60_000,
        user: "u".into(),
        password: w.control.seal("p"),
        tags: std::collections::BTreeMap::new(),
        created: model::Timestamp(1),
    };
    w.store.insert_topic(&topic, 0).await.unwrap();
    let storage = json!({"FlowLogStorage": {"StorageId": "ckafka-1", "StorageTopic": "topic-12345678"}});
    let foreign = w.ask_as("100002", "CreateFlowLog", request(storage.clone()), false).await;
    assert_eq!(foreign.unwrap_err().code, "ResourceNotFound", "another account's topic is not there");
    let id = w.log(storage).await;
    let shown = w.ok("DescribeFlowLogs", json!({})).await["FlowLog"][0]["FlowLogStorage"].clone();
    assert_eq!(shown["StorageTopic"], "topic-12345678", "as it was asked for");
    let caller = control::Caller::account(account);
    let e = w.control.delete_topic(&caller, "12345-flows").await.unwrap_err();
    assert_eq!(e.kind, control::ErrorKind::InUse);
    w.ok("DeleteFlowLog", json!({"FlowLogId": id, "VpcId": VPC})).await;
    assert!(w.store.remove_topic("12345-flows").await.unwrap());
}
