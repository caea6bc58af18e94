//! Every operation and every refusal of the door, over a real `Control` and SQLite.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

#[path = "door/world.rs"]
mod world;

use serde_json::{Map, Value, json};
use world::{STRANGER, World, write};

type Fields = Map<String, Value>;

/// `base` with `more` over it; `null` takes a field away.
fn with(base: &Value, more: Value) -> Value {
    let mut out = base.clone();
    if let (Value::Object(out), Value::Object(more)) = (&mut out, more) {
        for (k, v) in more {
            if v.is_null() {
                out.remove(&k);
            } else {
                out.insert(k, v);
            }
        }
    }
    out
}

fn lingjun_flow() -> Value {
    json!({"FileSystemId":"bmcpfs-1","SourceStorage":"oss://bucket-a","FileSystemPath":"/data/","SourceStoragePath":"/in/"})
}

async fn general_flow(w: &World) -> (String, String) {
    let fset = w
        .id(
            "CreateFileset",
            json!({"FileSystemId":"cpfs-1","FileSystemPath":"/fset/","Description":"a set"}),
            "FsetId",
        )
        .await;
    let flow = w
        .id(
            "CreateDataFlow",
            json!({"FileSystemId":"cpfs-1","SourceStorage":"oss://bucket-a","FsetId":fset,"Throughput":600}),
            "DataFlowId",
        )
        .await;
    (flow, fset)
}

async fn import(w: &World) -> (String, Value) {
    let flow = w.id("CreateDataFlow", lingjun_flow(), "DataFlowId").await;
    let task = json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow,"TaskAction":"Import","ConflictPolicy":"SKIP_THE_FILE"});
    (flow, task)
}

async fn flows(w: &World, fs: &str, filters: Value) -> Vec<Value> {
    let fields = w.ask("DescribeDataFlows", json!({"FileSystemId":fs,"Filters":filters})).await;
    fields["DataFlowInfo"]["DataFlow"].as_array().unwrap().clone()
}

async fn tasks(w: &World, filters: Value) -> Vec<Value> {
    let fields = w.ask("DescribeDataFlowTasks", json!({"FileSystemId":"bmcpfs-1","Filters":filters})).await;
    fields["TaskInfo"]["Task"].as_array().unwrap().clone()
}

/// Runs a table: parameters over `base`, then status and code.
async fn table(w: &World, action: &str, base: &Value, rows: Vec<(Value, u16, &str)>) {
    for (more, http, code) in rows {
        let params = with(base, more.clone());
        let fault = w.refused(action, params).await;
        assert_eq!((fault.http, fault.code.as_ref()), (http, code), "{action} {more}: {}", fault.message);
    }
}

#[tokio::test]
async fn every_operation_names_what_is_missing_and_who_is_unknown() {
    let w = World::new().await;
    for op in api_nas::operations().iter().filter(|o| o.action != "DescribeFileSystems") {
        let fault = w.refused(op.action, json!({})).await;
        assert_eq!((fault.http, fault.code.as_ref()), (400, "MissingFileSystemId"), "{}", op.action);
        assert_eq!(fault.message, "FileSystemId is mandatory for this action.");
        let mut params = Map::new();
        for f in op.request.iter().filter(|f| f.required) {
            let one = Value::from("/x/");
            let value = if matches!(f.ty, api::Ty::List(_)) { json!([{"RefreshPath":"/x/"}]) } else { one };
            params.insert(f.name.to_owned(), value);
        }
        for id in ["nonsense", "cpfs-none", "cfs-1", "cpfs-odd"] {
            params.insert("FileSystemId".into(), id.into());
            let fault = w.refused(op.action, params.clone().into()).await;
            assert_eq!(
                (fault.http, fault.code.as_ref()),
                (404, "InvalidFileSystem.NotFound"),
                "{} {id}",
                op.action
            );
        }
        let unknown = w.refused(op.action, json!({"FileSystemId":"cpfs-1","Nonsense":"1"})).await;
        assert_eq!(unknown.code, "InvalidParameter", "{}", op.action);
        let control = w.refused(op.action, json!({"FileSystemId":"cpfs-1\u{0}"})).await;
        assert!(
            matches!(control.code.as_ref(), "IllegalCharacters") || control.code.starts_with("Missing"),
            "{}",
            op.action
        );
    }
}

#[tokio::test]
async fn flows_and_tasks_of_unknown_or_foreign_flows_are_not_found() {
    let w = World::new().await;
    let (flow, task) = import(&w).await;
    let id = w.id("CreateDataFlowTask", task.clone(), "TaskId").await;
    for op in api_nas::operations().iter().filter(|o| o.request.iter().any(|f| f.name == "DataFlowId")) {
        let general = ["Start", "Stop", "AutoRefresh"].iter().any(|n| op.action.contains(n));
        let fs = if general { "cpfs-1" } else { "bmcpfs-1" };
        let mut p = json!({"FileSystemId":fs,"DataFlowId":flow,"TaskId":id,"DataFlowTaskId":id,"DataFlowSubTaskId":"s",
            "SrcFilePath":"/a","DstFilePath":"/b","RefreshPath":"/a/","AutoRefreshs":[{"RefreshPath":"/a/"}]});
        p.as_object_mut().unwrap().retain(|k, _| op.request.iter().any(|f| f.name == k));
        if !general {
            match w.call(STRANGER, op.action, p.clone()).await {
                Err(f) => assert_eq!(f.code, "InvalidDataFlow.NotFound", "{}", op.action),
                Ok(r) => panic!("{} let a stranger in: {r:?}", op.action),
            }
        }
        let fault = w.refused(op.action, with(&p, json!({"DataFlowId":"df-none"}))).await;
        assert_eq!((fault.http, fault.code.as_ref()), (404, "InvalidDataFlow.NotFound"), "{}", op.action);
    }
    match w.call(STRANGER, "DescribeDataFlowTasks", json!({"FileSystemId":"bmcpfs-1"})).await {
        Ok(api::Reply::Fields(f)) => assert_eq!(f["TaskInfo"]["Task"], json!([])),
        other => panic!("{other:?}"),
    }
    table(
        &w,
        "CancelDataFlowTask",
        &json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow}),
        vec![
            (json!({}), 400, "MissingTaskId"),
            (json!({"TaskId":""}), 400, "MissingTaskId"),
            (json!({"TaskId":"task-none"}), 404, "InvalidTaskId.NotFound"),
        ],
    )
    .await;
}

#[tokio::test]
async fn versions_and_families_have_their_own_operations() {
    let w = World::new().await;
    let set = json!({"FileSystemPath":"/s/"});
    let sub = json!({"FileSystemId":"bmcpfs-24","DataFlowId":"d","DataFlowTaskId":"t","SrcFilePath":"/a","DstFilePath":"/b"});
    for (action, params) in [
        ("DescribeDataFlows", json!({"FileSystemId":"cpfs-old"})),
        ("DescribeDataFlows", json!({"FileSystemId":"bmcpfs-23"})),
        ("CreateDataFlow", with(&lingjun_flow(), json!({"FileSystemId":"bmcpfs-23"}))),
        (
            "CreateDataFlow",
            with(&lingjun_flow(), json!({"FileSystemId":"bmcpfs-24","SourceStorage":"oss://1:bucket-a"})),
        ),
        ("CreateDataFlowTask", json!({"FileSystemId":"bmcpfs-23","DataFlowId":"d"})),
        ("CreateFileset", with(&set, json!({"FileSystemId":"bmcpfs-24"}))),
        ("CreateFileset", with(&set, json!({"FileSystemId":"cpfs-old"}))),
        ("CreateDataFlowSubTask", sub),
        ("DescribeDataFlowSubTasks", json!({"FileSystemId":"bmcpfs-24"})),
        ("SetFilesetQuota", json!({"FileSystemId":"bmcpfs-24","FsetId":"f","SizeLimit":1})),
    ] {
        let f = w.refused(action, params.clone()).await;
        assert_eq!(
            (f.http, f.code.as_ref()),
            (400, "InvalidFilesystemVersion.NotSupport"),
            "{action} {params}"
        );
        assert_eq!(f.message, "This Api does not support this fileSystem version.");
    }
    let flow = json!({"FileSystemId":"bmcpfs-1","DataFlowId":"d"});
    for action in ["StartDataFlow", "StopDataFlow", "ModifyDataFlowAutoRefresh"] {
        let f = w.refused(action, flow.clone()).await;
        assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.DataFlowNotSupported"), "{action}");
    }
    let f = w.refused("DescribeDataFlowSubTasks", json!({"FileSystemId":"cpfs-1"})).await;
    assert_eq!(f.code, "OperationDenied.DataFlowNotSupported");
    for action in ["SetFilesetQuota", "CancelFilesetQuota"] {
        let f = w.refused(action, json!({"FileSystemId":"cpfs-1","FsetId":"f"})).await;
        assert_eq!((f.http, f.code.as_ref()), (400, "InvalidFilesystemType.NotSupport"), "{action}");
    }
}

#[tokio::test]
async fn lingjun_flows_are_made_shown_changed_and_deleted() {
    let w = World::new().await;
    let base = lingjun_flow();
    let long = format!("/{}/", "x".repeat(1023));
    table(
        &w,
        "CreateDataFlow",
        &base,
        vec![
            (json!({"SourceStorage":null}), 400, "MissingSourceStorage"),
            (json!({"FileSystemPath":null}), 400, "MissingFileSystemPath"),
            (json!({"SourceStoragePath":null}), 400, "MissingSourceStoragePath"),
            (json!({"SourceStorage":"cos://bucket-a"}), 400, "InvalidSourceStorage"),
            (json!({"SourceStorage":"oss://Bucket"}), 400, "InvalidSourceStorage"),
            (json!({"SourceStorage":"oss://unknown"}), 404, "InvalidSourceStorage.NotFound"),
            (json!({"SourceStorage":"oss://bucket-gone"}), 404, "InvalidSourceStorage.NotFound"),
            (json!({"FileSystemPath":"data"}), 400, "InvalidFileSystemPath"),
            (json!({"FileSystemPath":"/../"}), 400, "InvalidFileSystemPath"),
            (json!({"FileSystemPath":"/none/"}), 404, "InvalidFileSystemPath.NotFound"),
            (json!({"FileSystemPath":"/a\\b/"}), 400, "IllegalCharacters"),
            (json!({"SourceStoragePath":long}), 400, "InvalidSourceStoragePath"),
            (json!({"SourceSecurityType":"TLS"}), 400, "InvalidSourceSecurityType"),
            (json!({"SourceSecurityType":"SSL"}), 400, "InvalidSourceSecurityType"),
            (json!({"Description":"1x"}), 400, "InvalidDescription"),
            (json!({"Description":"a\nb"}), 400, "IllegalCharacters"),
            (json!({"Throughput":600}), 400, "InvalidParameter"),
            (json!({"FsetId":"f"}), 400, "InvalidParameter"),
            (json!({"AutoRefreshs":[{"RefreshPath":"/a/"}]}), 400, "InvalidParameter"),
            (json!({"DryRun":"x"}), 400, "InvalidParameter.Format"),
            (json!({"ClientToken":"é"}), 400, "InvalidClientToken"),
        ],
    )
    .await;
    assert!(w.ask("CreateDataFlow", with(&base, json!({"DryRun":true}))).await.is_empty());
    assert!(flows(&w, "bmcpfs-1", json!([])).await.is_empty());

    let id = w.id("CreateDataFlow", with(&base, json!({"Description":"first one"})), "DataFlowId").await;
    assert!(id.starts_with("df-") && id.len() == 19, "{id}");
    let shown = flows(&w, "bmcpfs-1", json!([])).await;
    assert_eq!(
        shown[0],
        json!({
        "AutoRefresh":{"AutoRefresh":[]},"AutoRefreshInterval":10,"AutoRefreshPolicy":"None",
        "CreateTime":"2026-11-22T10:24:12Z","DataFlowId":id,"Description":"first one","ErrorMessage":"None",
        "FileSystemId":"bmcpfs-1","FileSystemPath":"/data/","FsetDescription":"","FsetId":"","SourceSecurityType":"None",
        "SourceStorage":"oss://bucket-a","SourceStoragePath":"/in/","Status":"Running","Throughput":0,
        "UpdateTime":"2026-11-22T10:24:12Z"})
    );
    table(
        &w,
        "CreateDataFlow",
        &base,
        vec![
            (json!({}), 403, "OperationDenied.DependencyViolation"),
            (json!({"SourceStorage":"oss://bucket-b"}), 403, "OperationDenied.DependencyViolation"),
        ],
    )
    .await;
    let dark = w
        .id(
            "CreateDataFlow",
            with(&base, json!({"FileSystemPath":"/","SourceStorage":"oss://bucket-dark"})),
            "DataFlowId",
        )
        .await;
    let bad = flows(&w, "bmcpfs-1", json!([{"Key":"Status","Value":"Misconfigured"}])).await;
    assert_eq!(
        (bad.len(), &bad[0]["DataFlowId"], &bad[0]["ErrorMessage"]),
        (1, &json!(dark), &json!("SourceStorageUnreachable"))
    );
    for (key, value, n) in [
        ("DataFlowIds", format!("{id},df-none"), 1),
        ("SourceStorage", "oss://bucket-a".into(), 1),
        ("FileSystemPath", "dat".into(), 1),
        ("Description", "irst".into(), 1),
        ("SourceStoragePath", "/in".into(), 2),
        ("FsetIds", "fset-x".into(), 0),
        ("ThroughputList", "600".into(), 0),
        ("Status", "Running,Stopped".into(), 1),
    ] {
        assert_eq!(flows(&w, "bmcpfs-1", json!([{"Key":key,"Value":value}])).await.len(), n, "{key}");
    }
    table(
        &w,
        "DescribeDataFlows",
        &json!({"FileSystemId":"bmcpfs-1"}),
        vec![
            (json!({"Filters":[{"Key":"Nope","Value":"x"}]}), 400, "InvalidFilters"),
            (json!({"Filters":[{"Key":"Status","Value":"Sleeping"}]}), 400, "InvalidFilters"),
            (json!({"MaxResults":9}), 400, "InvalidMaxResults"),
            (json!({"MaxResults":101}), 400, "InvalidMaxResults"),
            (json!({"NextToken":"x"}), 400, "InvalidParameter"),
        ],
    )
    .await;
    let flow = json!({"FileSystemId":"bmcpfs-1","DataFlowId":id});
    table(
        &w,
        "ModifyDataFlow",
        &flow,
        vec![
            (json!({"Throughput":600}), 400, "InvalidParameter"),
            (json!({"Description":"x"}), 400, "InvalidDescription"),
            (json!({"DataFlowId":dark}), 403, "OperationDenied.InvalidState"),
        ],
    )
    .await;
    w.ask("ModifyDataFlow", with(&flow, json!({"Description":"changed"}))).await;
    assert_eq!(flows(&w, "bmcpfs-1", json!([{"Key":"Description","Value":"changed"}])).await.len(), 1);
    w.ask("DeleteDataFlow", with(&flow, json!({"DryRun":true}))).await;
    w.ask("DeleteDataFlow", with(&flow, json!({"ClientToken":"once"}))).await;
    w.ask("DeleteDataFlow", with(&flow, json!({"ClientToken":"once"}))).await;
    w.ask("DeleteDataFlow", json!({"FileSystemId":"bmcpfs-1","DataFlowId":dark})).await;
    assert!(flows(&w, "bmcpfs-1", json!([])).await.is_empty());
}

#[tokio::test]
async fn a_file_system_has_at_most_ten_flows_and_pages_hold_ten() {
    let w = World::new().await;
    for i in 0..10 {
        w.ask("CreateDataFlow", with(&lingjun_flow(), json!({"SourceStoragePath":format!("/{i}/")}))).await;
    }
    for dry in [true, false] {
        let f = w.refused("CreateDataFlow", with(&lingjun_flow(), json!({"DryRun":dry}))).await;
        assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.CountOverLimit"));
    }
    let page = w.ask("DescribeDataFlows", json!({"FileSystemId":"bmcpfs-1","MaxResults":10})).await;
    assert_eq!(
        (page["DataFlowInfo"]["DataFlow"].as_array().unwrap().len(), &page["NextToken"]),
        (10, &json!(""))
    );
}

#[tokio::test]
async fn general_flows_wipe_a_fileset_only_with_the_operators_word() {
    let w = World::new().await;
    for fs in ["cpfs-1", "cpfs-burn"] {
        write(&w.at(fs, "full/deep/file"), "precious");
        write(&w.at(fs, "beside"), "precious");
        let full =
            w.id("CreateFileset", json!({"FileSystemId":fs,"FileSystemPath":"/full/"}), "FsetId").await;
        let flow = json!({"FileSystemId":fs,"FsetId":full,"SourceStorage":"oss://bucket-a","Throughput":600});
        if fs == "cpfs-1" {
            for dry in [true, false] {
                let f = w.refused("CreateDataFlow", with(&flow, json!({"DryRun":dry}))).await;
                assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.InvalidState"));
                assert!(
                    f.message.starts_with("The operation is not permitted when the status is processing.")
                );
            }
            assert!(w.at(fs, "full/deep/file").exists() && flows(&w, fs, json!([])).await.is_empty());
            continue;
        }
        // Neither a dry run nor a request that is refused destroys anything.
        w.ask("CreateDataFlow", with(&flow, json!({"DryRun":true}))).await;
        for bad in [json!({"SourceStorage":"oss://bucket-gone"}), json!({"Throughput":700})] {
            w.refused("CreateDataFlow", with(&flow, bad)).await;
        }
        assert!(w.at(fs, "full/deep/file").exists());
        w.ask("CreateDataFlow", flow).await;
        assert_eq!(std::fs::read_dir(w.at(fs, "full")).unwrap().count(), 0);
        assert!(w.at(fs, "beside").exists());
        assert_eq!(flows(&w, fs, json!([])).await.len(), 1);
    }
}

#[tokio::test]
async fn general_flows_are_made_stopped_and_started() {
    let w = World::new().await;
    let base = json!({"FileSystemId":"cpfs-1","SourceStorage":"oss://bucket-a","Throughput":600});
    let (flow, fset) = general_flow(&w).await;
    std::fs::create_dir_all(w.at("cpfs-1", "fset/sub")).unwrap();
    let base = with(&base, json!({"FsetId":fset}));
    table(
        &w,
        "CreateDataFlow",
        &base,
        vec![
            (json!({"FsetId":null}), 400, "MissingFsetId"),
            (json!({"Throughput":null}), 400, "MissingThroughput"),
            (json!({"Throughput":700}), 400, "InvalidThroughput"),
            (json!({"FsetId":"fset-none"}), 404, "InvalidFsetId.NotFound"),
            (json!({"FileSystemPath":"/a/"}), 400, "InvalidParameter"),
            (json!({"SourceStorage":"oss://1:bucket-a"}), 403, "OperationDenied.DataFlowNotSupported"),
            (json!({"AutoRefreshs":[{}]}), 400, "MissingRefreshPath"),
            (json!({"AutoRefreshs":[{"RefreshPath":"x"}]}), 400, "InvalidRefreshPath"),
            (json!({"AutoRefreshs":[{"RefreshPath":"/none/"}]}), 404, "InvalidRefreshPath.NotFound"),
            (json!({"AutoRefreshPolicy":"Often"}), 400, "InvalidAutoRefreshPolicy"),
            (json!({"AutoRefreshInterval":9}), 400, "InvalidAutoRefreshInterval"),
            (json!({"AutoRefreshInterval":525_601}), 400, "InvalidAutoRefreshInterval"),
        ],
    )
    .await;
    std::fs::remove_dir(w.at("cpfs-1", "fset/sub")).unwrap();
    let f = w.refused("CreateDataFlow", base.clone()).await;
    assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.DependencyViolation"));
    let shown = flows(
        &w,
        "cpfs-1",
        json!([{"Key":"ThroughputList","Value":"600,1200"},{"Key":"FsetIds","Value":fset}]),
    )
    .await;
    assert_eq!(
        (&shown[0]["FsetDescription"], &shown[0]["Throughput"], &shown[0]["SourceStoragePath"]),
        (&json!("a set"), &json!(600), &json!("/"))
    );

    let f = json!({"FileSystemId":"cpfs-1","DataFlowId":flow});
    let code = |action: &'static str| {
        let (w, f) = (&w, f.clone());
        async move { w.refused(action, f).await.code }
    };
    assert_eq!(code("StartDataFlow").await, "OperationDenied.InvalidState");
    w.ask("StopDataFlow", with(&f, json!({"DryRun":true}))).await;
    w.ask("StopDataFlow", f.clone()).await;
    assert_eq!(code("StopDataFlow").await, "OperationDenied.InvalidState");
    let task = with(&f, json!({"TaskAction":"Import"}));
    assert_eq!(w.refused("CreateDataFlowTask", task).await.code, "OperationDenied.InvalidState");
    assert_eq!(flows(&w, "cpfs-1", json!([])).await[0]["Status"], "Stopped");
    w.ask(
        "ModifyDataFlowAutoRefresh",
        with(&f, json!({"AutoRefreshPolicy":"ImportChanged","AutoRefreshInterval":5})),
    )
    .await;
    w.ask("StartDataFlow", f.clone()).await;
    assert_eq!(w.refused("ModifyDataFlow", f.clone()).await.code, "MissingThroughput");
    w.ask("ModifyDataFlow", with(&f, json!({"Throughput":1200}))).await;
    let shown = &flows(&w, "cpfs-1", json!([])).await[0];
    assert_eq!(
        (&shown["Throughput"], &shown["AutoRefreshPolicy"], &shown["AutoRefreshInterval"]),
        (&json!(1200), &json!("ImportChanged"), &json!(5))
    );
}

#[tokio::test]
async fn auto_refresh_paths_are_added_and_taken_away() {
    let w = World::new().await;
    let (flow, _) = general_flow(&w).await;
    for i in 0..6 {
        std::fs::create_dir_all(w.at("cpfs-1", &format!("fset/{i}"))).unwrap();
    }
    let f = json!({"FileSystemId":"cpfs-1","DataFlowId":flow});
    let paths =
        |n: std::ops::Range<u32>| n.map(|i| json!({"RefreshPath":format!("/{i}/")})).collect::<Vec<_>>();
    table(
        &w,
        "ApplyDataFlowAutoRefresh",
        &f,
        vec![
            (json!({}), 400, "MissingAutoRefreshs"),
            (json!({"AutoRefreshs":[]}), 400, "MissingAutoRefreshs"),
            (json!({"AutoRefreshs":[{"RefreshPath":"/none/"}]}), 404, "InvalidRefreshPath.NotFound"),
            (json!({"AutoRefreshs":paths(0..6)}), 403, "OperationDenied.CountOverLimit"),
        ],
    )
    .await;
    w.ask(
        "ApplyDataFlowAutoRefresh",
        with(&f, json!({"AutoRefreshs":paths(0..3),"AutoRefreshPolicy":"ImportChanged"})),
    )
    .await;
    w.ask("ApplyDataFlowAutoRefresh", with(&f, json!({"AutoRefreshs":paths(2..5)}))).await;
    table(
        &w,
        "ApplyDataFlowAutoRefresh",
        &f,
        vec![(json!({"AutoRefreshs":paths(5..6)}), 403, "OperationDenied.CountOverLimit")],
    )
    .await;
    table(
        &w,
        "CancelDataFlowAutoRefresh",
        &f,
        vec![
            (json!({}), 400, "MissingRefreshPath"),
            (json!({"RefreshPath":"/5/"}), 404, "InvalidRefreshPath.NotFound"),
            (json!({"RefreshPath":"5"}), 400, "InvalidRefreshPath"),
        ],
    )
    .await;
    w.ask("CancelDataFlowAutoRefresh", with(&f, json!({"RefreshPath":"/0/"}))).await;
    table(
        &w,
        "ModifyDataFlowAutoRefresh",
        &f,
        vec![
            (json!({"AutoRefreshInterval":4}), 400, "InvalidAutoRefreshInterval"),
            (json!({"AutoRefreshInterval":526_601}), 400, "InvalidAutoRefreshInterval"),
        ],
    )
    .await;
    let shown = &flows(&w, "cpfs-1", json!([])).await[0];
    let kept: Vec<Value> = paths(1..5);
    assert_eq!(
        (&shown["AutoRefresh"]["AutoRefresh"], &shown["AutoRefreshPolicy"]),
        (&json!(kept), &json!("ImportChanged"))
    );
}

#[tokio::test]
async fn create_task_refuses_with_the_documented_codes() {
    let w = World::new().await;
    let (flow, base) = import(&w).await;
    let entries = |n: usize| format!("[\"/{}\"]", "x".repeat(n));
    table(
        &w,
        "CreateDataFlowTask",
        &base,
        vec![
            (json!({"DataFlowId":null}), 400, "MissingDataFlowId"),
            (json!({"TaskAction":null}), 400, "MissingTaskAction"),
            (json!({"ConflictPolicy":null}), 400, "MissingConflictPolicy"),
            (json!({"ConflictPolicy":"MERGE"}), 400, "InvalidConflictPolicy"),
            (json!({"TaskAction":"Move"}), 404, "InvalidTaskAction.NotSupported"),
            (json!({"TaskAction":"Evict"}), 404, "InvalidTaskAction.NotSupported"),
            (json!({"DataType":"Metadata"}), 404, "InvalidDataType.NotSupported"),
            (json!({"DataType":"Everything"}), 404, "InvalidDataType.NotSupported"),
            (json!({"EntryList":"/a"}), 404, "InvalidParameter.InvalidFormat"),
            (json!({"EntryList":"[\"a\"]"}), 404, "InvalidParameter.InvalidFormat"),
            (json!({"EntryList":entries(1100)}), 404, "InvalidParameter.InvalidFormat"),
            (json!({"EntryList":entries(65_536)}), 404, "InvalidParameter.SizeTooLarge"),
            (json!({"Directory":"/a/","EntryList":"[\"/a\"]"}), 400, "InvalidParameter"),
            (json!({"Directory":"/a/","TransferFileListPath":"/l/"}), 400, "InvalidParameter"),
            (json!({"Directory":"a"}), 400, "InvalidDirectory"),
            (json!({"Directory":"/a\\b/"}), 400, "IllegalCharacters"),
            (json!({"Directory":"/a\u{1}/"}), 400, "IllegalCharacters"),
            (json!({"DstDirectory":"/../"}), 400, "InvalidDstDirectory"),
            (json!({"DstDirectory":"/none/"}), 404, "InvalidDstDirectory.NotFound"),
            (json!({"Directory":"/none/","TaskAction":"Export"}), 404, "InvalidDirectory.NotFound"),
            (json!({"TaskAction":"Export","CreateDirIfNotExist":true}), 400, "InvalidParameter"),
            (json!({"TransferFileListPath":"l"}), 400, "InvalidTransferFileListPath"),
            (json!({"Includes":"[\"/a/\"]"}), 400, "InvalidParameter"),
            (json!({"Includes":"/a/","Directory":"/x/"}), 400, "InvalidIncludes"),
            (
                json!({"Includes":format!("[\"/{}/\"]", "x".repeat(3000)),"Directory":"/x/"}),
                400,
                "InvalidIncludes",
            ),
            (json!({"SrcTaskId":"nonsense"}), 404, "InvalidSrcTaskId.TaskIdInvalid"),
            (json!({"SrcTaskId":"task-0000000000000000"}), 404, "InvalidSrcTaskId.TaskIdNotFound"),
            (json!({"TaskAction":"StreamImport","EntryList":"[\"/a\"]"}), 400, "InvalidParameter"),
            (json!({"ClientToken":"x".repeat(65)}), 400, "InvalidClientToken"),
        ],
    )
    .await;
    let other = w
        .id("CreateDataFlow", with(&lingjun_flow(), json!({"SourceStoragePath":"/other/"})), "DataFlowId")
        .await;
    let elsewhere = w.id("CreateDataFlowTask", with(&base, json!({"DataFlowId":other})), "TaskId").await;
    let stream =
        w.id("CreateDataFlowTask", with(&base, json!({"TaskAction":"StreamImport"})), "TaskId").await;
    table(
        &w,
        "CreateDataFlowTask",
        &base,
        vec![
            (json!({"SrcTaskId":elsewhere}), 404, "InvalidSrcTaskId.NotFound"),
            (json!({"SrcTaskId":stream}), 404, "InvalidSrcTaskId.TaskIdInvalid"),
        ],
    )
    .await;
    let dark = with(&lingjun_flow(), json!({"FileSystemPath":"/","SourceStorage":"oss://bucket-dark"}));
    let dark = w.id("CreateDataFlow", dark, "DataFlowId").await;
    assert_eq!(
        w.refused("CreateDataFlowTask", with(&base, json!({"DataFlowId":dark}))).await.code,
        "OperationDenied.InvalidState"
    );
    let (general, _) = general_flow(&w).await;
    let base = json!({"FileSystemId":"cpfs-1","DataFlowId":general,"TaskAction":"Import"});
    table(
        &w,
        "CreateDataFlowTask",
        &base,
        vec![
            (json!({"TaskAction":"Inventory"}), 404, "InvalidTaskAction.NotSupported"),
            (json!({"TaskAction":"StreamExport"}), 404, "InvalidTaskAction.NotSupported"),
            (json!({"ConflictPolicy":"KEEP_LATEST"}), 400, "InvalidParameter"),
            (json!({"DstDirectory":"/a/"}), 400, "InvalidParameter"),
            (json!({"DataFlowId":flow}), 404, "InvalidDataFlow.NotFound"),
        ],
    )
    .await;
}

#[tokio::test]
async fn orders_become_transfers() {
    use model::{ConflictPolicy, DataType, Direction, MetadataDialect, Selection};
    let w = World::new().await;
    let (flow, base) = import(&w).await;
    std::fs::create_dir_all(w.at("bmcpfs-1", "data/a")).unwrap();
    let spec = |more: Value| {
        let params = with(&base, more);
        let w = &w;
        async move {
            let id = w.id("CreateDataFlowTask", params, "TaskId").await;
            assert!(id.starts_with("task-") && id.len() == 21, "{id}");
            w.store.task(&id.as_str().into()).await.unwrap().unwrap().spec
        }
    };
    let s = spec(json!({})).await;
    assert_eq!(
        (s.direction, s.conflict, s.data),
        (Direction::Import, ConflictPolicy::Skip, DataType::MetaAndData)
    );
    assert_eq!(
        (s.object.prefix.as_str(), s.directory.path.as_str(), s.selection),
        ("in/", "data/", Selection::All)
    );
    assert_eq!(
        (s.dialect, s.default_file_mode, s.default_dir_mode),
        (MetadataDialect::AlibabaLingjun, 0o770, 0o770)
    );
    let s = spec(json!({"Directory":"/a/","ConflictPolicy":"KEEP_LATEST"})).await;
    assert_eq!(
        (s.object.prefix.as_str(), s.directory.path.as_str(), s.conflict),
        ("in/a/", "data/a/", ConflictPolicy::KeepLatest)
    );
    let s = spec(
        json!({"Directory":"/x/","DstDirectory":"/new/","CreateDirIfNotExist":true,"Includes":"[\"/i/\"]"}),
    )
    .await;
    assert_eq!(
        (s.object.prefix.as_str(), s.directory.path.as_str(), s.create_directory),
        ("in/x/", "data/new/", true)
    );
    assert_eq!(s.selection, Selection::Includes(vec!["i/".into()]));
    let s = spec(json!({"TaskAction":"Export","Directory":"/a/","DstDirectory":"/b/","ConflictPolicy":"OVERWRITE_EXISTING"})).await;
    assert_eq!(
        (s.direction, s.object.prefix.as_str(), s.directory.path.as_str()),
        (Direction::Export, "in/b/", "data/a/")
    );
    let s = spec(json!({"EntryList":"[\"/a/b\", \"/c/\"]","DstDirectory":"/a/"})).await;
    assert_eq!((s.object.prefix.as_str(), s.directory.path.as_str()), ("in/", "data/a/"));
    assert_eq!(s.selection, Selection::Entries(vec!["a/b".into(), "c/".into()]));
    let s = spec(json!({"TransferFileListPath":"/lists/"})).await;
    assert_eq!(s.selection, Selection::CsvUnder("lists/".into()));

    let source = w
        .id(
            "CreateDataFlowTask",
            with(&base, json!({"TaskAction":"Export","DataType":"Data","EntryList":"[\"/a/z\"]"})),
            "TaskId",
        )
        .await;
    let s = spec(json!({"TaskAction":null,"SrcTaskId":source})).await;
    assert_eq!((s.direction, s.selection), (Direction::Export, Selection::Entries(vec!["a/z".into()])));
    let (general, _) = general_flow(&w).await;
    let id = w
        .id(
            "CreateDataFlowTask",
            json!({"FileSystemId":"cpfs-1","DataFlowId":general,"TaskAction":"Import","Directory":"/q/"}),
            "TaskId",
        )
        .await;
    let s = w.store.task(&id.as_str().into()).await.unwrap().unwrap().spec;
    assert_eq!(
        (s.object.prefix.as_str(), s.directory.path.as_str(), s.conflict),
        ("q/", "fset/q/", ConflictPolicy::IfChanged)
    );
    assert_eq!((s.dialect, s.create_directory), (MetadataDialect::AlibabaGeneral, true));
    assert_eq!(
        w.refused("DeleteDataFlow", json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow})).await.code,
        "OperationDenied.DependencyViolation"
    );
}

#[tokio::test]
async fn a_token_acts_once_and_a_dry_run_never() {
    let w = World::new().await;
    let (_, base) = import(&w).await;
    let dry: Fields =
        w.ask("CreateDataFlowTask", with(&base, json!({"DryRun":true,"ClientToken":"t"}))).await;
    assert!(dry.is_empty());
    assert!(tasks(&w, json!([])).await.is_empty());
    let token = with(&base, json!({"ClientToken":"t"}));
    let first = w.id("CreateDataFlowTask", token.clone(), "TaskId").await;
    assert_eq!(w.id("CreateDataFlowTask", token.clone(), "TaskId").await, first);
    let f = w.refused("CreateDataFlowTask", with(&token, json!({"ConflictPolicy":"KEEP_LATEST"}))).await;
    assert_eq!((f.http, f.code.as_ref()), (400, "IdempotentParameterMismatch"));
    assert_ne!(w.id("CreateDataFlowTask", base.clone(), "TaskId").await, first);
    assert_eq!(tasks(&w, json!([])).await.len(), 2);
    let (a, b) = tokio::join!(
        w.id("CreateDataFlowTask", with(&base, json!({"ClientToken":"u"})), "TaskId"),
        w.id("CreateDataFlowTask", with(&base, json!({"ClientToken":"u"})), "TaskId")
    );
    assert_eq!(a, b);
    let bad = w.refused("CreateDataFlowTask", with(&base, json!({"ClientToken":"v","Directory":"x"}))).await;
    assert_eq!(bad.code, "InvalidDirectory");
    w.id("CreateDataFlowTask", with(&base, json!({"ClientToken":"v"})), "TaskId").await;
}

#[tokio::test]
async fn tasks_are_shown_with_figures_reports_and_filters() {
    let w = World::new().await;
    let (flow, base) = import(&w).await;
    let id = w
        .id(
            "CreateDataFlowTask",
            with(&base, json!({"Directory":"/a/","DstDirectory":"/","EntryList":null})),
            "TaskId",
        )
        .await;
    let claimed = w.claim().await;
    w.clock.advance(10_000_000);
    w.finish(&claimed, model::TaskStatus::Completed).await;
    let t = &tasks(&w, json!([])).await[0];
    let path = |file: &str| {
        let token = w.control.report_token(&id.as_str().into(), file);
        format!("http://nas.test:8080/reports/{id}/{file}?token={token}")
    };
    assert_eq!(
        *t,
        json!({
        "ConflictPolicy":"SKIP_THE_FILE","CreateTime":"2026-11-22T10:24:12Z","DataFlowId":flow,"DataType":"MetaAndData",
        "Directory":"/a/","DstDirectory":"/","EndTime":"2026-11-22T10:24:22Z","EntryList":"","ErrorMsg":"",
        "FileSystemPath":"/data/","FilesystemId":"bmcpfs-1","FsPath":"/data/","Includes":"","Originator":"User","Progress":100,
        "ProgressStats":{"ActualBytes":150,"ActualFiles":2,"AverageSpeed":15,"BytesDone":157,"BytesTotal":157,"FilesDone":3,
            "FilesTotal":3,"RemainTime":0},
        "ReportPath":"","Reports":{"Report":[{"Name":"FailedFilesReport","Path":path("failed.csv")},
            {"Name":"SkippedFilesReport","Path":path("skipped.csv")},{"Name":"SuccessFilesReport","Path":path("success.csv")}]},
        "SourceStorage":"oss://bucket-a","StartTime":"2026-11-22T10:24:12Z","Status":"Completed","TaskAction":"Import",
        "TaskId":id,"TransferFileListPath":""})
    );
    let bare = w.ask("DescribeDataFlowTasks", json!({"FileSystemId":"bmcpfs-1","WithReports":false})).await;
    assert_eq!(bare["TaskInfo"]["Task"][0]["Reports"], json!({"Report":[]}));

    let export = w
        .id("CreateDataFlowTask", with(&base, json!({"TaskAction":"Export","DataType":"Data"})), "TaskId")
        .await;
    for (key, value, n) in [
        ("DataFlowIds", flow.clone(), 2),
        ("DataFlowIds", "df-x".into(), 0),
        ("TaskIds", export.clone(), 1),
        ("Originator", "User".into(), 2),
        ("Originator", "System".into(), 0),
        ("TaskActions", "Export,StreamExport".into(), 1),
        ("DataTypes", "Data".into(), 1),
        ("Status", "Pending".into(), 1),
        ("Status", "Completed,Failed".into(), 1),
        ("CreateTimeBegin", "2026-11-22T10:24Z".into(), 2),
        ("CreateTimeEnd", "2026-11-22T10:24Z".into(), 0),
        ("EndTimeBegin", "2026-11-22T10:00Z".into(), 1),
        ("StartTimeEnd", "2026-11-22T11:00:00Z".into(), 1),
    ] {
        assert_eq!(tasks(&w, json!([{"Key":key,"Value":value}])).await.len(), n, "{key}={value}");
    }
    table(
        &w,
        "DescribeDataFlowTasks",
        &json!({"FileSystemId":"bmcpfs-1"}),
        vec![
            (json!({"Filters":[{"Key":"Status","Value":"Done"}]}), 400, "InvalidFilters"),
            (json!({"Filters":[{"Key":"Originator","Value":"Me"}]}), 400, "InvalidFilters"),
            (json!({"Filters":[{"Key":"CreateTimeBegin","Value":"yesterday"}]}), 400, "InvalidFilters"),
            (json!({"Filters":[{"Key":"TaskIds","Value":"a,b,c,d,e,f,g,h,i,j,k"}]}), 400, "InvalidFilters"),
        ],
    )
    .await;
    let cancel = json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow,"TaskId":export});
    w.ask("CancelDataFlowTask", with(&cancel, json!({"DryRun":true}))).await;
    w.ask("CancelDataFlowTask", cancel.clone()).await;
    assert_eq!(tasks(&w, json!([{"Key":"TaskIds","Value":export}])).await[0]["Status"], "Canceled");
    let f = w.refused("CancelDataFlowTask", cancel).await;
    assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.InvalidState"));
}

#[tokio::test]
async fn pages_do_not_shift_when_tasks_are_made_meanwhile() {
    let w = World::new().await;
    let (_, base) = import(&w).await;
    let mut made = Vec::new();
    for _ in 0..25 {
        w.clock.advance(1_000);
        made.push(w.id("CreateDataFlowTask", base.clone(), "TaskId").await);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = w
            .ask(
                "DescribeDataFlowTasks",
                json!({"FileSystemId":"bmcpfs-1","MaxResults":10,"NextToken":token}),
            )
            .await;
        let ids = page["TaskInfo"]["Task"].as_array().unwrap().iter();
        seen.extend(ids.map(|t| t["TaskId"].as_str().unwrap().to_owned()));
        token = page["NextToken"].as_str().unwrap().to_owned();
        w.clock.advance(1_000);
        w.ask("CreateDataFlowTask", base.clone()).await;
        if !token.is_empty() {
            let other = json!({"FileSystemId":"bmcpfs-1","NextToken":token,"Filters":[{"Key":"Status","Value":"Pending"}]});
            assert_eq!(w.refused("DescribeDataFlowTasks", other).await.code, "InvalidParameter");
        }
    }
    made.reverse();
    assert_eq!((seen, token.as_str()), (made, ""));
}

#[tokio::test]
async fn streams_carry_files() {
    let w = World::new().await;
    let (flow, base) = import(&w).await;
    let stream = w
        .id(
            "CreateDataFlowTask",
            with(&base, json!({"TaskAction":"StreamImport","Directory":"/d/","DstDirectory":"/"})),
            "TaskId",
        )
        .await;
    let t = &tasks(&w, json!([])).await[0];
    assert_eq!((&t["Status"], &t["Reports"]), (&json!("Executing"), &json!({"Report":[]})));
    let sub = json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow,"DataFlowTaskId":stream,"SrcFilePath":"/a/f","DstFilePath":"/b/f"});
    let batch = w.id("CreateDataFlowTask", base.clone(), "TaskId").await;
    table(
        &w,
        "CreateDataFlowSubTask",
        &sub,
        vec![
            (json!({"DataFlowTaskId":null}), 400, "MissingDataFlowTaskId"),
            (json!({"SrcFilePath":null}), 400, "MissingSrcFilePath"),
            (json!({"DstFilePath":null}), 400, "MissingDstFilePath"),
            (json!({"DataFlowTaskId":"task-none"}), 404, "InvalidTaskId.NotFound"),
            (json!({"DataFlowTaskId":batch}), 404, "InvalidTaskId.NotFound"),
            (json!({"SrcFilePath":"a"}), 400, "InvalidSrcFilePath"),
            (json!({"DstFilePath":"/a/../b"}), 400, "InvalidDstFilePath"),
            (json!({"DstFilePath":"/a/"}), 400, "InvalidDstFilePath"),
            (json!({"Condition":{"Size":-1}}), 400, "InvalidSize"),
            (json!({"Condition":{"Size":"x"}}), 400, "InvalidParameter.Format"),
        ],
    )
    .await;
    assert!(w.ask("CreateDataFlowSubTask", with(&sub, json!({"DryRun":true}))).await.is_empty());
    let one = w
        .id(
            "CreateDataFlowSubTask",
            with(&sub, json!({"Condition":{"Size":157,"ModifyTime":1_795_343_052_000_000_001_i64}})),
            "DataFlowSubTaskId",
        )
        .await;
    let two = w.id("CreateDataFlowSubTask", sub.clone(), "DataFlowSubTaskId").await;
    let spec = w.store.task(&one.as_str().into()).await.unwrap().unwrap().spec;
    assert_eq!((spec.object.prefix.as_str(), spec.directory.path.as_str()), ("in/d/", "data/"));
    let condition = model::Precondition { mtime_ns: Some(1_795_343_052_000_000_001), size: Some(157) };
    assert_eq!(spec.selection, model::Selection::One { from: "a/f".into(), to: "b/f".into(), condition });

    let cancel = json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow,"TaskId":stream});
    let f = w.refused("CancelDataFlowTask", cancel.clone()).await;
    assert_eq!(f.code, "InvalidStatus.ResourceMismatch");
    let sub_cancel =
        json!({"FileSystemId":"bmcpfs-1","DataFlowId":flow,"DataFlowTaskId":stream,"DataFlowSubTaskId":two});
    table(
        &w,
        "CancelDataFlowSubTask",
        &sub_cancel,
        vec![
            (json!({"DataFlowSubTaskId":null}), 400, "MissingDataFlowSubTaskId"),
            (json!({"DataFlowSubTaskId":batch}), 404, "InvalidSubTaskId.NotFound"),
        ],
    )
    .await;
    w.ask("CancelDataFlowSubTask", sub_cancel.clone()).await;
    assert_eq!(w.refused("CancelDataFlowSubTask", sub_cancel).await.code, "OperationDenied.InvalidState");
    loop {
        let t = w.claim().await;
        let last = t.id.as_str() == one;
        w.finish(&t, model::TaskStatus::Completed).await;
        if last {
            break;
        }
    }
    let shown = |filters: Value| {
        let w = &w;
        async move {
            let p = json!({"FileSystemId":"bmcpfs-1","Filters":filters,"MaxResults":20});
            w.ask("DescribeDataFlowSubTasks", p).await["DataFlowSubTask"]["DataFlowSubTask"]
                .as_array()
                .unwrap()
                .clone()
        }
    };
    let done = shown(json!([{"Key":"Status","Value":"COMPLETE"}])).await;
    assert_eq!(
        (done.len(), &done[0]["Progress"], &done[0]["FileDetail"]["Size"]),
        (1, &json!(10_000), &json!(157))
    );
    assert_eq!((&done[0]["SrcFilePath"], &done[0]["DataFlowTaskId"]), (&json!("/a/f"), &json!(stream)));
    for (key, value, n) in [
        ("DataFlowIds", flow.clone(), 2),
        ("DataFlowTaskIds", stream.clone(), 2),
        ("DataFlowSubTaskIds", two.clone(), 1),
        ("Status", "CANCELED".into(), 1),
        ("Status", "EXPIRED".into(), 0),
        ("SrcFilePath", "/a/f".into(), 2),
        ("DstFilePath", "/a/f".into(), 0),
    ] {
        assert_eq!(shown(json!([{"Key":key,"Value":value}])).await.len(), n, "{key}={value}");
    }
    table(
        &w,
        "DescribeDataFlowSubTasks",
        &json!({"FileSystemId":"bmcpfs-1"}),
        vec![
            (json!({"Filters":[{"Key":"Status","Value":"Completed"}]}), 400, "InvalidFilters"),
            (json!({"MaxResults":10}), 400, "InvalidMaxResults"),
        ],
    )
    .await;
    w.ask("CancelDataFlowTask", cancel).await;
    let late = w.refused("CreateDataFlowSubTask", sub).await;
    assert_eq!((late.http, late.code.as_ref()), (403, "OperationDenied.InvalidState"));
}

#[tokio::test]
async fn filesets_keep_their_rules() {
    let w = World::new().await;
    let base = json!({"FileSystemId":"bmcpfs-1","FileSystemPath":"/data/set/"});
    table(
        &w,
        "CreateFileset",
        &base,
        vec![
            (json!({"FileSystemPath":null}), 400, "MissingFileSystemPath"),
            (json!({"FileSystemPath":"/"}), 400, "InvalidFileSystemPath"),
            (json!({"FileSystemPath":"/1/2/3/4/5/6/7/8/9/"}), 400, "InvalidFileSystemPath"),
            (json!({"FileSystemPath":"/none/set/"}), 404, "InvalidFileSystemPath.NotFound"),
            (json!({"FileSystemPath":"/data/"}), 403, "OperationDenied.DependencyViolation"),
            (json!({"Description":"h"}), 400, "InvalidDescription"),
            (json!({"Quota":{"SizeLimit":1}}), 400, "InvalidSizeLimit"),
            (json!({"Quota":{"FileCountLimit":1}}), 400, "InvalidFileCountLimit"),
            (
                json!({"FileSystemId":"cpfs-1","Quota":{"FileCountLimit":10_000}}),
                400,
                "InvalidFilesystemType.NotSupport",
            ),
        ],
    )
    .await;
    std::os::unix::fs::symlink(w.at("bmcpfs-1", "data"), w.at("bmcpfs-1", "link")).unwrap();
    assert_eq!(
        w.refused("CreateFileset", with(&base, json!({"FileSystemPath":"/link/"}))).await.code,
        "InvalidFileSystemPath"
    );
    let id = w
        .id(
            "CreateFileset",
            with(&base, json!({"DeletionProtection":true,"Quota":{"SizeLimit":10_737_418_240_u64}})),
            "FsetId",
        )
        .await;
    assert!(id.starts_with("fset-") && w.at("bmcpfs-1", "data/set").is_dir());
    table(
        &w,
        "CreateFileset",
        &base,
        vec![
            (json!({}), 403, "OperationDenied.DependencyViolation"),
            (json!({"FileSystemPath":"/data/set/in/"}), 403, "OperationDenied.DependencyViolation"),
        ],
    )
    .await;
    write(&w.at("bmcpfs-1", "data/set/f"), "12345");
    let one = json!({"FileSystemId":"bmcpfs-1","FsetId":id});
    let (got, counted) = w.noted("GetFileset", one.clone()).await;
    assert_eq!(counted.as_deref(), Some("2026-11-22T10:24:12Z"), "of when the use is");
    assert_eq!(
        got["Data"],
        json!({"CreateTime":"2026-11-22 10:24:12","DeletionProtection":true,"Description":"","FileCountUsage":1,
        "FileSystemId":"bmcpfs-1","FileSystemPath":"/data/set/","FsetId":id,"Quota":{"SizeLimit":10_737_418_240_u64},"SpaceUsage":5,
        "Status":"CREATED","UpdateTime":"2026-11-22 10:24:12"})
    );
    assert_eq!(
        w.refused("GetFileset", json!({"FileSystemId":"bmcpfs-1","FsetId":"fset-x"})).await.code,
        "InvalidFsetId.NotFound"
    );
    table(
        &w,
        "SetFilesetQuota",
        &one,
        vec![(json!({}), 400, "MissingSizeLimit"), (json!({"SizeLimit":1}), 400, "InvalidSizeLimit")],
    )
    .await;
    w.ask("SetFilesetQuota", with(&one, json!({"FileCountLimit":20_000}))).await;
    let got = w.ask("GetFileset", one.clone()).await;
    assert_eq!(got["Data"]["Quota"], json!({"SizeLimit":10_737_418_240_u64,"FileCountLimit":20_000}));
    w.ask("CancelFilesetQuota", one.clone()).await;
    assert_eq!(w.refused("DeleteFileset", one.clone()).await.code, "OperationDenied.DeletionProtection");
    w.ask("ModifyFileset", with(&one, json!({"DeletionProtection":false,"Description":"mine"}))).await;
    let f = w.refused("DeleteFileset", one.clone()).await;
    assert_eq!((f.http, f.code.as_ref()), (403, "OperationDenied.InvalidState"));
    assert!(w.at("bmcpfs-1", "data/set/f").exists());

    let two = w
        .id(
            "CreateFileset",
            json!({"FileSystemId":"bmcpfs-1","FileSystemPath":"/two/","Quota":{"FileCountLimit":10_000}}),
            "FsetId",
        )
        .await;
    let list = |more: Value| {
        let w = &w;
        async move {
            let fields = w.ask("DescribeFilesets", with(&json!({"FileSystemId":"bmcpfs-1"}), more)).await;
            let ids = fields["Entries"]["Entrie"].as_array().unwrap().iter();
            ids.map(|e| e["FsetId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    let filter = |key: &str, value: &str| json!({"Filters":[{"Key":key,"Value":value}]});
    // The clock stands still here: which of two made at one moment comes first is left open.
    let mut all = list(json!({})).await;
    all.sort();
    let mut both = vec![id.clone(), two.clone()];
    both.sort();
    assert_eq!(all, both);
    assert_eq!(list(json!({"OrderByField":"SpaceUsage"})).await, [two.clone(), id.clone()]);
    assert_eq!(
        list(json!({"OrderByField":"FileCountLimit","SortOrder":"desc"})).await,
        [two.clone(), id.clone()]
    );
    assert_eq!(list(filter("QuotaExists", "true")).await, std::slice::from_ref(&two));
    assert_eq!(list(filter("Description", "min")).await, std::slice::from_ref(&id));
    assert_eq!(list(filter("FileSystemPath", "/tw")).await, std::slice::from_ref(&two));
    assert_eq!(list(filter("FsetIds", &id)).await, std::slice::from_ref(&id));
    table(
        &w,
        "DescribeFilesets",
        &json!({"FileSystemId":"bmcpfs-1"}),
        vec![
            (json!({"OrderByField":"Name"}), 400, "InvalidOrderByField"),
            (json!({"SortOrder":"up"}), 400, "InvalidSortOrder"),
            (filter("QuotaExists", "maybe"), 400, "InvalidFilters"),
        ],
    )
    .await;
    w.ask("DeleteFileset", json!({"FileSystemId":"bmcpfs-1","FsetId":two})).await;
    assert_eq!(list(json!({})).await, [id]);
}

#[tokio::test]
async fn destruction_needs_the_operators_word() {
    let w = World::new().await;
    write(&w.at("cpfs-burn", "set/f"), "x");
    let burn =
        w.id("CreateFileset", json!({"FileSystemId":"cpfs-burn","FileSystemPath":"/set/"}), "FsetId").await;
    let params = json!({"FileSystemId":"cpfs-burn","FsetId":burn});
    w.ask("DeleteFileset", with(&params, json!({"DryRun":true}))).await;
    assert!(w.at("cpfs-burn", "set/f").exists());
    w.ask("DeleteFileset", params).await;
    assert!(!w.at("cpfs-burn", "set").exists());
    let (_, fset) = general_flow(&w).await;
    let f = w.refused("DeleteFileset", json!({"FileSystemId":"cpfs-1","FsetId":fset})).await;
    assert_eq!(f.code, "OperationDenied.DependencyViolation");
}

#[tokio::test]
async fn file_systems_are_listed_by_type_and_page() {
    let w = World::new().await;
    let ids = |more: Value| {
        let w = &w;
        async move {
            let fields = w.ask("DescribeFileSystems", more).await;
            let all = fields["FileSystems"]["FileSystem"].as_array().unwrap().clone();
            (all, fields["TotalCount"].as_u64().unwrap())
        }
    };
    assert_eq!(ids(json!({})).await.1, 6);
    assert_eq!(ids(json!({"FileSystemType":"cpfs"})).await.1, 3);
    assert_eq!(ids(json!({"FileSystemType":"standard,bmcpfs"})).await.1, 3);
    assert_eq!(ids(json!({"FileSystemType":"all","StorageType":"advance_100"})).await.1, 3);
    for none in [
        json!({"VpcId":"vpc-1"}),
        json!({"ResourceGroupId":"rg"}),
        json!({"Tag":[{"Key":"k"}]}),
        json!({"FileSystemType":"extreme"}),
    ] {
        assert_eq!(ids(none).await.1, 0);
    }
    let (page, total) = ids(json!({"PageNumber":2,"PageSize":4})).await;
    assert_eq!((page.len(), total), (2, 6));
    let (one, _) = ids(json!({"FileSystemId":"bmcpfs-1"})).await;
    assert_eq!(
        (&one[0]["Capacity"], &one[0]["Bandwidth"], &one[0]["Version"]),
        (&json!(3600), &json!(2000), &json!("2.7.0"))
    );
    assert!(one[0]["MeteredSize"].as_u64().unwrap() > 0);
    table(
        &w,
        "DescribeFileSystems",
        &json!({}),
        vec![
            (json!({"FileSystemId":"cpfs-none"}), 404, "InvalidFileSystem.NotFound"),
            (json!({"FileSystemType":"nfs"}), 400, "InvalidFileSystemType"),
            (json!({"PageNumber":0}), 400, "InvalidPageNumber"),
            (json!({"PageSize":101}), 400, "InvalidPageSize"),
        ],
    )
    .await;
    // Every field that the table promises is in the answer.
    let table = api::field::coverage_json(api_nas::operations());
    let op = table.as_array().unwrap().iter().find(|o| o["action"] == "DescribeFileSystems").unwrap();
    for f in op["response"].as_array().unwrap() {
        let path = f["field"].as_str().unwrap();
        if let Some(name) = path.strip_prefix("FileSystems.FileSystem[].").filter(|n| !n.contains(['.', '[']))
        {
            assert!(one[0].get(name).is_some(), "{name}");
        }
    }
}
