//! Data flows.

use crate::world::{BUCKET, KEY, NOW, SECRET, World};
use control::Limits;
use model::{FlowId, FlowStatus, Product};
use serde_json::{Value, json};

const VALUE: &str = "InvalidParameterValue";

#[tokio::test]
async fn the_seed_documents_example_runs_as_written() {
    let w = World::new().await;
    let id = w.flow(json!({})).await;
    assert!(id.strip_prefix("cfs-dataflow-").is_some_and(|x| x.len() == 8), "{id}");
    assert!(w.root.join("test11").is_dir(), "the target is made");
    let flow = w.control.flow(&World::account(), &FlowId(id.clone())).await.unwrap();
    assert_eq!((flow.object.bucket.as_str(), flow.object.prefix.as_str()), (BUCKET, "test3/"));
    assert_eq!(flow.directory.path, "test11/");
    assert_eq!(flow.status, FlowStatus::Running);
    let key = flow.credentials.unwrap();
    assert_eq!((key.access_key_id.as_str(), w.open(&key.secret).as_str()), (KEY, SECRET));

    let all = w.ask("DescribeDataFlow", json!({})).await.unwrap();
    assert_eq!(all["TotalCount"], 1);
    assert!(!all.to_string().contains(SECRET) && !all.to_string().contains(KEY));
    let expected = json!({
        "DataFlowId": id, "DataFlowName": "abctest", "SourceStorageType": "S3_COS",
        "SourceStorageAddress": format!("https://{BUCKET}.cos.ap-guangzhou.myqcloud.com"),
        "SourcePath": "test3", "TargetPath": "/cfs/test11", "Status": "available",
        "CreationTime": "2023-11-14 22:13:20", "FileSystemId": "cfs-44d53b63e", "AutoRefresh": 0,
        "UserKafkaTopic": null, "ServerAddr": null, "UserName": null, "AutoRefreshStatus": null,
        "AutoRefreshTime": null
    });
    assert_eq!(all["DataFlows"][0], expected);
}

#[tokio::test]
async fn creation_refuses_in_the_vendors_words() {
    let w = World::new().await;
    w.file_system("cfs-other", Product::CpfsGeneral, w.root.clone()).await;
    std::os::unix::fs::symlink("/etc", w.root.join("link")).unwrap();
    std::fs::write(w.root.join("file"), b"x").unwrap();
    let address = |bucket: &str| format!("https://{bucket}.cos.ap-guangzhou.myqcloud.com");
    let source = "InvalidParameterValue.InvalidDataFlowSourceInfo";
    let target = "InvalidParameterValue.InvalidDataFlowTargetPath";
    let name = "InvalidParameterValue.InvalidDataFlowName";
    for (change, code) in [
        (json!({"FileSystemId": "fs-1"}), "InvalidParameterValue.InvalidFileSystemId"),
        (json!({"FileSystemId": ""}), "InvalidParameterValue.InvalidFileSystemId"),
        (json!({"FileSystemId": "cfs-unknown1"}), "ResourceNotFound.FileSystemNotFound"),
        (json!({"FileSystemId": "cfs-other"}), "ResourceNotFound.FileSystemNotFound"),
        (json!({"FileSystemId": null}), "MissingParameter"),
        (json!({"SecretKey": null}), "MissingParameter"),
        (json!({"Surprise": 1}), "UnknownParameter"),
        (json!({"SourcePath": 1}), "InvalidParameter"),
        (json!({"AutoRefresh": "1"}), "InvalidParameter"),
        (json!({"SourceStorageType": "COS"}), "InvalidParameterValue.InvalidDataFlowSourceStorageType"),
        (json!({"SourceStorageAddress": "https://elsewhere.example.com"}), source),
        (json!({"SourceStorageAddress": "not an address"}), source),
        (json!({"SourceStorageAddress": address("outside-999")}), source),
        (json!({"SourceStorageAddress": address("gone-1251000004")}), source),
        (json!({"SourceStorageAddress": address("down-1251000004")}), source),
        (json!({"SourceStorageAddress": address("silent-1251000004")}), source),
        (json!({"SourcePath": "../x"}), source),
        (json!({"SourcePath": ""}), source),
        (json!({"SecretId": "AKIDbad"}), source),
        (json!({"SecretId": ""}), source),
        (json!({"SecretKey": ""}), source),
        (json!({"SecretKey": "a b"}), source),
        (json!({"TargetPath": "/data/x"}), target),
        (json!({"TargetPath": "/cfs"}), target),
        (json!({"TargetPath": "/cfs/../x"}), target),
        (json!({"TargetPath": "/cfs/link/x"}), target),
        (json!({"TargetPath": "/cfs/file"}), target),
        (json!({"DataFlowName": "a b"}), name),
        (json!({"DataFlowName": "x".repeat(65)}), name),
        (json!({"AutoRefresh": 2}), VALUE),
        (json!({"AutoRefresh": 1}), "MissingParameter"),
        (json!({"AutoRefresh": 1, "UserKafkaTopic": "t", "ServerAddr": "h:9095"}), "MissingParameter"),
        (json!({"UserKafkaTopic": "t".repeat(513)}), VALUE),
        (json!({"Password": "p".repeat(1025)}), VALUE),
    ] {
        assert_eq!(w.code("CreateDataFlow", w.flow_request(change.clone())).await, code, "{change}");
    }
    assert_eq!(w.ask("DescribeDataFlow", json!({})).await.unwrap()["TotalCount"], 0);
    assert!(!w.root.join("test11").exists(), "a refused request makes nothing");
}

#[tokio::test]
async fn one_flow_too_many() {
    let w = World::with(Limits { flows_per_file_system: 2, ..Limits::default() }).await;
    w.flow(json!({"TargetPath": "/cfs/a"})).await;
    w.flow(json!({"TargetPath": "/cfs/b"})).await;
    let third = w.flow_request(json!({"TargetPath": "/cfs/c"}));
    assert_eq!(w.code("CreateDataFlow", third).await, "ResourceInsufficient.DataFlowLimitExceeded");
}

#[tokio::test]
async fn auto_refresh_is_kept_and_shown_as_pending() {
    let w = World::new().await;
    let id = w
        .flow(json!({"AutoRefresh": 1, "UserKafkaTopic": "1251000004-e37d", "UserName": "name",
            "ServerAddr": "kafkaconsumer-ap-beijing.cls.tencentyun.com:9095", "Password": "pass-word-1"}))
        .await;
    let all = w.ask("DescribeDataFlow", json!({"DataFlowId": id})).await.unwrap();
    let shown = &all["DataFlows"][0];
    assert_eq!(
        (&shown["AutoRefresh"], &shown["AutoRefreshStatus"], &shown["UserName"]),
        (&json!(1), &json!("pending"), &json!("name"))
    );
    assert_eq!(shown["AutoRefreshTime"], "2023-11-14 22:13:20");
    assert!(!all.to_string().contains("pass-word-1"));
    let flow = w.control.flow(&World::account(), &FlowId(id.clone())).await.unwrap();
    assert_eq!(w.open(&flow.sealed_attributes["Password"]), "pass-word-1");

    let modify = |change: Value| {
        crate::world::merged(json!({"DataFlowId": id, "FileSystemId": "cfs-44d53b63e"}), change)
    };
    w.ask("ModifyDataFlow", modify(json!({"AutoRefresh": 0}))).await.unwrap();
    let off = w.ask("DescribeDataFlow", json!({"DataFlowId": id})).await.unwrap()["DataFlows"][0].clone();
    assert_eq!((&off["AutoRefresh"], &off["AutoRefreshStatus"]), (&json!(0), &Value::Null));
    assert_eq!((&off["AutoRefreshTime"], &off["UserName"]), (&Value::Null, &json!("name")));
    // What is still known need not be said again.
    w.clock.advance(60_000_000);
    w.ask("ModifyDataFlow", modify(json!({"AutoRefresh": 1}))).await.unwrap();
    let on = w.ask("DescribeDataFlow", json!({"DataFlowId": id})).await.unwrap();
    assert_eq!(on["DataFlows"][0]["AutoRefreshTime"], "2023-11-14 22:14:20");
}

#[tokio::test]
async fn flows_are_listed_in_pages_and_by_filters() {
    let w = World::new().await;
    let second = w.root.parent().unwrap().join("fs2");
    std::fs::create_dir(&second).unwrap();
    w.file_system("cfs-second01", Product::Cfs, second).await;
    let mut ids = Vec::new();
    for i in 0..5 {
        w.clock.advance(1_000_000);
        ids.push(w.flow(json!({"TargetPath": format!("/cfs/d{i}")})).await);
    }
    w.clock.advance(1_000_000);
    let other = w.flow(json!({"FileSystemId": "cfs-second01"})).await;
    let list = |v: Value| {
        let all = v["DataFlows"].as_array().unwrap().iter();
        all.map(|f| f["DataFlowId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let page = w.ask("DescribeDataFlow", json!({"Offset": 1, "Limit": 2})).await.unwrap();
    assert_eq!(page["TotalCount"], 6);
    assert_eq!(list(page), [ids[4].clone(), ids[3].clone()], "newest first");
    for (filter, want) in [
        (json!({"FileSystemId": "cfs-second01"}), vec![other.clone()]),
        (json!({"DataFlowId": ids[2]}), vec![ids[2].clone()]),
        (json!({"DataFlowId": ids[2], "FileSystemId": "cfs-second01"}), vec![]),
        (json!({"DataFlowId": "cfs-dataflow-00000000"}), vec![]),
        (json!({"CfsVersion": "v3.1"}), vec![]),
        (json!({"CfsVersion": "v4.0", "Limit": 1}), vec![other.clone()]),
        (json!({"FileSystemId": "", "DataFlowId": "", "CfsVersion": "", "Limit": 1}), vec![other.clone()]),
    ] {
        assert_eq!(list(w.ask("DescribeDataFlow", filter.clone()).await.unwrap()), want, "{filter}");
    }
    for (bad, code) in [
        (json!({"Limit": 101}), VALUE),
        (json!({"Limit": 0}), VALUE),
        (json!({"Limit": -1}), "InvalidParameter"),
        (json!({"CfsVersion": "v9"}), "InvalidParameterValue.InvalidCfsVersionValue"),
        (json!({"DataFlowId": "x"}), "InvalidParameterValue.InvalidDataFlowId"),
        (json!({"FileSystemId": "x"}), "InvalidParameterValue.InvalidFileSystemId"),
        (json!({"FileSystemId": "cfs-unknown1"}), "ResourceNotFound.FileSystemNotFound"),
    ] {
        assert_eq!(w.code("DescribeDataFlow", bad.clone()).await, code, "{bad}");
    }
    let flat = w.ask_as("100001", "DescribeDataFlow", json!({"Offset": "0", "Limit": "2"}), true).await;
    assert_eq!(list(flat.unwrap()).len(), 2, "v1 requests carry numbers as text");
    let stranger = w.ask_as("100002", "DescribeDataFlow", json!({}), false).await.unwrap();
    assert_eq!(stranger["TotalCount"], 0);
}

#[tokio::test]
async fn a_flow_changes_its_name_and_key_and_nothing_else() {
    let w = World::new().await;
    let id = w.flow(json!({})).await;
    let base = json!({"DataFlowId": id, "FileSystemId": "cfs-44d53b63e"});
    let with = |change: Value| crate::world::merged(base.clone(), change);
    let done = w
        .ask(
            "ModifyDataFlow",
            with(json!({"DataFlowName": "new", "SecretId": "AKIDnext", "SecretKey": "next-1"})),
        )
        .await
        .unwrap();
    assert_eq!(done["DataFlowId"], id.as_str());
    let flow = w.control.flow(&World::account(), &FlowId(id.clone())).await.unwrap();
    let key = flow.credentials.unwrap();
    assert_eq!((flow.name.as_str(), key.access_key_id.as_str()), ("new", "AKIDnext"));
    assert_eq!(w.open(&key.secret), "next-1");
    let source = "InvalidParameterValue.InvalidDataFlowSourceInfo";
    let unknown = "InvalidParameterValue.InvalidDataFlowId";
    for (change, code) in [
        (json!({"SecretId": "AKIDbad", "SecretKey": "x"}), source),
        (json!({"SecretId": "AKIDnext"}), source),
        (json!({"SecretKey": "x"}), source),
        (json!({"DataFlowName": "a b"}), "InvalidParameterValue.InvalidDataFlowName"),
        (json!({"DataFlowId": "cfs-dataflow-00000000"}), unknown),
        (json!({"DataFlowId": "x"}), unknown),
        (json!({"DataFlowId": null}), "MissingParameter"),
        (json!({"FileSystemId": "cfs-unknown1"}), "ResourceNotFound.FileSystemNotFound"),
        (json!({"AutoRefresh": 1}), "MissingParameter"),
        (json!({"AutoRefresh": 7}), VALUE),
        (json!({"SourcePath": "other"}), "UnknownParameter"),
        (json!({"TargetPath": "/cfs/other"}), "UnknownParameter"),
    ] {
        assert_eq!(w.code("ModifyDataFlow", with(change.clone())).await, code, "{change}");
    }
    let flow = w.control.flow(&World::account(), &FlowId(id.clone())).await.unwrap();
    assert_eq!(flow.credentials.unwrap().access_key_id, "AKIDnext", "a refused key changes nothing");
    let stranger = w.ask_as("100002", "ModifyDataFlow", with(json!({"DataFlowName": "x"})), false).await;
    assert_eq!(stranger.unwrap_err().code, unknown);
}

#[tokio::test]
async fn a_flow_is_deleted_once_nothing_runs() {
    let w = World::new().await;
    let second = w.root.parent().unwrap().join("fs2");
    std::fs::create_dir(&second).unwrap();
    w.file_system("cfs-second01", Product::Cfs, second).await;
    let id = w.flow(json!({})).await;
    std::fs::write(w.root.join("test11/kept"), b"x").unwrap();
    let task = w
        .ask(
            "CreateLifecycleDataTask",
            json!({"FileSystemId": "cfs-44d53b63e", "Type": "archive", "TaskName": "t", "TaskPath": "/cfs/test11"}),
        )
        .await
        .unwrap();
    let unknown = "InvalidParameterValue.InvalidDataFlowId";
    for (params, code) in [
        (json!({"DataFlowId": id}), "UnsupportedOperation.InvalidLifecycleDataTaskStatus"),
        (json!({"DataFlowId": id, "FileSystemId": ""}), "InvalidParameterValue.MissingFileSystemId"),
        (json!({"DataFlowId": id, "FileSystemId": "cfs-second01"}), unknown),
        (json!({"DataFlowId": id, "FileSystemId": "cfs-unknown1"}), "ResourceNotFound.FileSystemNotFound"),
        (json!({"DataFlowId": id, "FileSystemId": "x"}), "InvalidParameterValue.InvalidFileSystemId"),
        (json!({"DataFlowId": "cfs-dataflow-00000000"}), unknown),
        (json!({"DataFlowId": ""}), unknown),
        (json!({}), "MissingParameter"),
    ] {
        assert_eq!(w.code("DeleteDataFlow", params.clone()).await, code, "{params}");
    }
    w.ask("StopLifecycleDataTask", json!({"TaskId": task["TaskId"]})).await.unwrap();
    let gone = w.ask("DeleteDataFlow", json!({"DataFlowId": id, "FileSystemId": "cfs-44d53b63e"})).await;
    assert_eq!(gone.unwrap(), json!({}));
    assert_eq!(w.ask("DescribeDataFlow", json!({})).await.unwrap()["TotalCount"], 0);
    assert!(w.root.join("test11/kept").exists());
    assert_eq!(w.code("DeleteDataFlow", json!({"DataFlowId": id})).await, unknown);
    assert_eq!(w.clock.now().seconds(), NOW);
}

#[tokio::test]
async fn older_signatures_lend_their_own_key_id() {
    let w = World::new().await;
    let without_id = w.flow_request(json!({"SecretId": null}));
    let made = w.ask_as("100001", "CreateDataFlow", without_id.clone(), true).await.unwrap();
    let id = FlowId::from(made["DataFlowId"].as_str().unwrap());
    let flow = w.control.flow(&World::account(), &id).await.unwrap();
    assert_eq!(flow.credentials.unwrap().access_key_id, "AKIDcaller");
    assert_eq!(w.code("CreateDataFlow", without_id).await, "MissingParameter", "TC3 has both");
    let renamed = json!({"DataFlowId": id.0, "FileSystemId": "cfs-44d53b63e", "DataFlowName": "new"});
    w.ask_as("100001", "ModifyDataFlow", renamed, true).await.unwrap();
}
