//! Buckets and file systems.

use crate::world::{BUCKET, KEY, SECRET, World};
use model::{Dialect, Product};
use serde_json::{Value, json};

fn keyed(service: &str, key: &str) -> Value {
    json!({"SrcService": service, "SrcSecretId": key, "SrcSecretKey": SECRET})
}

#[tokio::test]
async fn buckets_that_a_key_sees_and_requests_may_name() {
    let w = World::new().await;
    let list = w.ask("DescribeBucketList", keyed("COS", KEY)).await.unwrap();
    assert_eq!(list, json!({"TotalCount": 1, "BucketList": [{"Name": BUCKET, "Region": "ap-guangzhou"}]}));
    assert_eq!(w.code("DescribeBucketList", keyed("COS", "AKIDbad")).await, "AuthFailure.GetRoleFailed");
    assert_eq!(w.code("DescribeBucketList", keyed("OSS", KEY)).await, "UnsupportedOperation");
    assert_eq!(w.code("DescribeBucketList", keyed("S3", KEY)).await, "InvalidParameterValue");
    assert_eq!(w.code("DescribeBucketList", keyed("COS", "")).await, "InvalidParameterValue");
    assert_eq!(w.code("DescribeBucketList", json!({"SrcService": "COS"})).await, "MissingParameter");
    w.object_store("down", Dialect::Obs, "*.obs.cn-north-4.myhuaweicloud.com", &["*"]).await;
    assert_eq!(w.code("DescribeBucketList", keyed("OBS", KEY)).await, "InternalError");
}

#[tokio::test]
async fn file_systems_of_the_catalogue() {
    let w = World::new().await;
    let place = |name: &str| {
        let dir = w.root.parent().unwrap().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    w.file_system("cpfs-alien", Product::CpfsGeneral, place("alien")).await;
    w.file_system("cfs-0000lost", Product::Cfs, place("lost")).await;
    std::fs::remove_dir(w.root.parent().unwrap().join("lost")).unwrap();
    let ids = |v: &Value| {
        let all = v["FileSystems"].as_array().unwrap().iter();
        all.map(|f| f["FileSystemId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = w.ask("DescribeCfsFileSystems", json!({})).await.unwrap();
    assert_eq!(all["TotalCount"], 2);
    assert_eq!(ids(&all), ["cfs-0000lost", "cfs-44d53b63e"]);
    let (lost, fs) = (&all["FileSystems"][0], &all["FileSystems"][1]);
    assert_eq!((&lost["LifeCycleState"], &lost["SizeByte"]), (&json!("unserviced"), &json!(0)));
    assert_eq!((&fs["LifeCycleState"], &fs["Version"]), (&json!("available"), &json!("v4.0")));
    assert!(fs["SizeByte"].as_u64().unwrap() > 0);
    assert_eq!((&fs["SizeLimit"], &fs["BandwidthLimit"]), (&json!(100), &json!(200.0)));
    assert_eq!((&fs["AppId"], &fs["FsName"]), (&json!(1_251_000_004), &json!("first")));
    let by = |name: &str, values: Value| json!({"Filters": [{"Name": name, "Values": values}]});
    let both = vec!["cfs-0000lost", "cfs-44d53b63e"];
    for (params, want) in [
        (json!({"FileSystemId": "cfs-44d53b63e"}), vec!["cfs-44d53b63e"]),
        (json!({"FileSystemId": "cfs-unknown1"}), vec![]),
        (json!({"Offset": 1, "Limit": 5}), vec!["cfs-44d53b63e"]),
        (json!({"CreationToken": "first"}), both.clone()),
        (json!({"CreationToken": "second"}), vec![]),
        (json!({"VpcId": "vpc-1"}), vec![]),
        (json!({"SubnetId": "subnet-1"}), vec![]),
        (json!({"Tags": [{"TagKey": "a", "TagValue": "b"}]}), vec![]),
        (by("Protocol", json!(["NFS", "TURBO"])), both.clone()),
        (by("Protocol", json!(["NFS"])), vec![]),
        (by("StorageType", json!(["TB"])), both.clone()),
        (by("LifeCycleState", json!(["available"])), vec!["cfs-44d53b63e"]),
        (by("Zone", json!(["ap-guangzhou-3"])), both),
        (by("IpAddress", json!(["10.0.0.3"])), vec![]),
        (by("PGroupId", json!(["pgroup-1"])), vec![]),
        (by("PGroupName", json!(["x"])), vec![]),
        (by("Scenario", json!(["AgentSandbox"])), vec![]),
    ] {
        let answer = w.ask("DescribeCfsFileSystems", params.clone()).await.unwrap();
        assert_eq!(ids(&answer), want, "{params}");
    }
    for (params, code) in [
        (json!({"FileSystemId": "x"}), "InvalidParameterValue.InvalidFileSystemId"),
        (by("Colour", json!(["red"])), "InvalidParameter"),
        (json!({"Limit": 0}), "InvalidParameterValue"),
        (json!({"Limit": 1001}), "InvalidParameterValue"),
        (
            json!({"Tags": vec![json!({"TagKey": "a", "TagValue": "b"}); 11]}),
            "InvalidParameterValue.TagKeyFilterLimitExceeded",
        ),
        (json!({"Tags": [{"TagKey": "a"}]}), "MissingParameter"),
    ] {
        assert_eq!(w.code("DescribeCfsFileSystems", params.clone()).await, code, "{params}");
    }
}
