//! What is refused, and with which code.

use crate::world::{World, request};
use connector::ErrorKind;
use serde_json::json;

#[tokio::test]
async fn wrong_requests_have_the_products_codes() {
    let w = World::new().await;
    let many: Vec<_> = (0..51).map(|n| json!({"Key": format!("k{n}"), "Value": "v"})).collect();
    for (change, want) in [
        (json!({"FlowLogName": null}), "MissingParameter"),
        (json!({"Colour": "red"}), "UnknownParameter"),
        (json!({"Period": "60"}), "InvalidParameter"),
        (json!({"FlowLogName": " "}), "InvalidParameterValue.Empty"),
        (json!({"FlowLogName": "x".repeat(61)}), "InvalidParameterValue.Range"),
        (json!({"FlowLogDescription": "x".repeat(513)}), "InvalidParameterValue.Range"),
        (json!({"ResourceType": "LAN"}), "InvalidParameterValue.Range"),
        (json!({"ResourceType": ""}), "InvalidParameterValue.Empty"),
        (json!({"ResourceId": ""}), "InvalidParameterValue.Empty"),
        (json!({"ResourceId": "ins-1"}), "InvalidParameterValue.Malformed"),
        (json!({"ResourceId": "eni-../x"}), "InvalidParameterValue.Malformed"),
        (json!({"ResourceId": "eni-unknown1"}), "ResourceNotFound"),
        (json!({"TrafficType": "SOME"}), "InvalidParameterValue.Range"),
        (json!({"VpcId": null}), "InvalidParameterValue.Empty"),
        (json!({"VpcId": "net-1"}), "InvalidParameterValue.Malformed"),
        (json!({"VpcId": "vpc-other"}), "ResourceNotFound"),
        (json!({"Period": 60}), "InvalidParameterValue.Range"),
        (json!({"ResourceType": "CCN", "ResourceId": "ccn-1"}), "InvalidParameterValue.Range"),
        (
            json!({"ResourceType": "CCN", "ResourceId": "ccn-1", "VpcId": null, "Period": 61}),
            "InvalidParameterValue.Range",
        ),
        (json!({"StorageType": null}), "InvalidParameterValue.Empty"),
        (json!({"StorageType": null, "CloudLogId": "99991111-2222"}), "UnsupportedOperation"),
        (json!({"StorageType": "cls", "CloudLogId": "99991111-2222"}), "UnsupportedOperation"),
        (json!({"StorageType": "disk"}), "InvalidParameterValue.Range"),
        (json!({"FlowLogStorage": null}), "InvalidParameterValue.Empty"),
        (json!({"FlowLogStorage": {"StorageId": "ckafka-1"}}), "InvalidParameterValue.Empty"),
        (
            json!({"FlowLogStorage": {"StorageId": "c k", "StorageTopic": "flows"}}),
            "InvalidParameterValue.Malformed",
        ),
        (json!({"FlowLogStorage": {"StorageId": "ckafka-9", "StorageTopic": "flows"}}), "ResourceNotFound"),
        (json!({"FlowLogStorage": {"StorageId": "ckafka-1", "StorageTopic": "none"}}), "ResourceNotFound"),
        (json!({"FlowLogStorage": {"StorageId": "ckafka-1", "StorageTopic": "__inner"}}), "ResourceNotFound"),
        (
            json!({"FlowLogStorage": {"StorageId": "es-1", "StorageTopic": "flows"}}),
            "UnsupportedOperation.OnlySupportProfessionKafka",
        ),
        (
            json!({"ResourceType": "NAT", "ResourceId": "nat-1", "TrafficType": "REJECT"}),
            "UnsupportedOperation.DpdkNatFlowLogOnlySupportAllTrafficType",
        ),
        (json!({"Tags": many}), "LimitExceeded.TagKeyPerResourceExceeded"),
        (json!({"Tags": [{"Key": "", "Value": "v"}]}), "InvalidParameterValue.TagInvalidKeyLen"),
        (json!({"Tags": [{"Key": "a\u{7}", "Value": "v"}]}), "InvalidParameterValue.TagInvalidKey"),
        (json!({"Tags": [{"Key": "qcs:x", "Value": "v"}]}), "UnsupportedOperation.TagSystemReservedTagKey"),
        (json!({"Tags": [{"Key": "a", "Value": "v".repeat(256)}]}), "InvalidParameterValue.TagInvalidVal"),
        (
            json!({"Tags": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]}),
            "InvalidParameterValue.TagDuplicateKey",
        ),
    ] {
        assert_eq!(w.code("CreateFlowLog", request(change.clone())).await, want, "{change}");
    }
    assert_eq!(w.ok("DescribeFlowLogs", json!({})).await["TotalNum"], 0, "nothing was made");
}

#[tokio::test]
async fn what_cannot_be_observed_is_refused() {
    let w = World::new().await;
    for (kind, want) in [
        (ErrorKind::Denied, "UnauthorizedOperation"),
        (ErrorKind::NotFound, "ResourceNotFound"),
        (ErrorKind::Unavailable, "UnsupportedOperation.FlowLogsNotSupportNullInstanceEni"),
        (ErrorKind::Unsupported, "UnsupportedOperation"),
        (ErrorKind::Other, "InternalError.ModuleError"),
    ] {
        *w.played.observe.lock().unwrap() = Some(kind);
        assert_eq!(w.code("CreateFlowLog", request(json!({}))).await, want, "{kind:?}");
    }
    *w.played.observe.lock().unwrap() = None;
    *w.played.down.lock().unwrap() = true;
    assert_eq!(w.code("CreateFlowLog", request(json!({}))).await, "InternalError.CreateCkafkaRouteError");
    *w.played.down.lock().unwrap() = false;
    let id = w.log(json!({})).await;
    w.ok("DisableFlowLogs", json!({"FlowLogIds": [id]})).await;
    *w.played.observe.lock().unwrap() = Some(ErrorKind::Denied);
    let code = w.code("EnableFlowLogs", json!({"FlowLogIds": [id]})).await;
    assert_eq!(code, "UnauthorizedOperation", "no silent flow log");
    assert_eq!(w.ok("DescribeFlowLogs", json!({})).await["FlowLog"][0]["Enable"], false);
}

#[tokio::test]
async fn one_for_a_resource_and_so_many_for_an_account() {
    let w = World::with(control::Limits { flow_logs_per_account: 2, ..control::Limits::default() }).await;
    w.log(json!({})).await;
    let code = w.code("CreateFlowLog", request(json!({"FlowLogName": "second"}))).await;
    assert_eq!(code, "UnsupportedOperation.FlowLogInstanceExisted");
    let other = w.ask_as("100002", "CreateFlowLog", request(json!({})), false).await;
    assert!(other.is_ok(), "another account's is another one");
    w.log(json!({"ResourceType": "SUBNET", "ResourceId": "subnet-1"})).await;
    let third = json!({"ResourceType": "DCG", "ResourceId": "dcg-1"});
    assert_eq!(w.code("CreateFlowLog", request(third)).await, "LimitExceeded");
}

#[tokio::test]
async fn the_other_actions_refuse_too() {
    let w = World::new().await;
    let id = w.log(json!({})).await;
    let many = vec!["fl-1"; 101];
    for (action, params, want) in [
        ("DeleteFlowLog", json!({"FlowLogId": "x"}), "InvalidParameterValue.Malformed"),
        ("DeleteFlowLog", json!({"FlowLogId": "fl-unknown1"}), "ResourceNotFound"),
        ("DeleteFlowLog", json!({"FlowLogId": id}), "InvalidParameterValue.Malformed"),
        ("DeleteFlowLog", json!({"FlowLogId": id, "VpcId": "vpc-other"}), "ResourceNotFound"),
        ("DescribeFlowLog", json!({"VpcId": "x", "FlowLogId": id}), "InvalidParameterValue.Malformed"),
        ("DescribeFlowLog", json!({"VpcId": "vpc-other", "FlowLogId": id}), "ResourceNotFound"),
        ("DescribeFlowLog", json!({"FlowLogId": id}), "MissingParameter"),
        ("DescribeFlowLogs", json!({"Limit": 101}), "InvalidParameterValue.Range"),
        ("DescribeFlowLogs", json!({"Limit": 0}), "InvalidParameterValue.Range"),
        ("DescribeFlowLogs", json!({"OrderField": "size"}), "InvalidParameterValue.Range"),
        ("DescribeFlowLogs", json!({"FlowLogId": "x"}), "InvalidParameterValue.Malformed"),
        ("DescribeFlowLogs", json!({"FlowLogName": "x".repeat(257)}), "InvalidParameterValue.TooLong"),
        (
            "DescribeFlowLogs",
            json!({"FlowLogId": id, "Filters": {"Name": "tag-key", "Values": ["a"]}}),
            "InvalidParameterValue.Malformed",
        ),
        (
            "DescribeFlowLogs",
            json!({"Filters": {"Name": "name", "Values": []}}),
            "InvalidParameterValue.Range",
        ),
        ("DescribeFlowLogs", json!({"Filters": {"Values": []}}), "MissingParameter"),
        ("DescribeFlowLogs", json!({"Filters": "x"}), "InvalidParameter"),
        ("EnableFlowLogs", json!({"FlowLogIds": []}), "InvalidParameterValue.Malformed"),
        ("EnableFlowLogs", json!({"FlowLogIds": ["x"]}), "InvalidParameterValue.Malformed"),
        ("DisableFlowLogs", json!({"FlowLogIds": many}), "InvalidParameterValue.LimitExceeded"),
        ("DisableFlowLogs", json!({"FlowLogIds": ["fl-unknown1"]}), "ResourceNotFound"),
        (
            "ModifyFlowLogAttribute",
            json!({"FlowLogId": id, "VpcId": "vpc-12345678", "Period": 60}),
            "InvalidParameterValue.Range",
        ),
        (
            "ModifyFlowLogAttribute",
            json!({"FlowLogId": id, "FlowLogName": "n"}),
            "InvalidParameterValue.Malformed",
        ),
    ] {
        assert_eq!(w.code(action, params.clone()).await, want, "{action} {params}");
    }
}
