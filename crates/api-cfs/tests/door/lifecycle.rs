//! Lifecycle tasks.

use crate::world::{NOW, World, merged};
use control::Limits;
use model::{
    ConflictPolicy, Direction, Ledger, Outcome, Progress, Reports, Selection, TaskStatus, Timestamp,
};
use serde_json::{Value, json};
use store::Finish;

fn request(change: Value) -> Value {
    let base = json!({"FileSystemId": "cfs-44d53b63e", "Type": "archive", "TaskName": "nightly",
        "TaskPath": "/cfs/test11"});
    merged(base, change)
}

async fn made(w: &World, change: Value) -> model::Task {
    let answer = w.ask("CreateLifecycleDataTask", request(change)).await.unwrap();
    w.stored(answer["TaskId"].as_str().unwrap()).await
}

fn window() -> Value {
    json!({"StartTime": "2023-11-14 00:00:00", "EndTime": "2023-11-15 00:00:00"})
}

#[tokio::test]
async fn paths_become_selections() {
    let w = World::new().await;
    let flow = w.flow(json!({})).await;
    std::fs::create_dir_all(w.root.join("test11/deep/er")).unwrap();
    std::fs::write(w.root.join("test11/one.txt"), b"1").unwrap();
    let entries = |list: &[&str]| Selection::Entries(list.iter().map(|s| (*s).to_owned()).collect());
    for (change, want) in [
        (json!({}), Selection::All),
        (json!({"TaskPath": "/cfs/test11/"}), Selection::All),
        (json!({"TaskPath": "/cfs/test11/deep"}), entries(&["deep/"])),
        (json!({"TaskPath": "/cfs/test11/deep/er/"}), entries(&["deep/er/"])),
        (json!({"TaskPath": "/cfs/test11/one.txt"}), entries(&["one.txt"])),
        (json!({"Type": "restore"}), Selection::All),
        (json!({"Type": "restore", "TaskPath": "/cfs/test11/dir"}), entries(&["dir/"])),
        (json!({"Type": "restore", "TaskPath": "/cfs/test11/dir/"}), entries(&["dir/"])),
        (json!({"Type": "restore", "TaskPath": "/cfs/test11/a.txt"}), entries(&["a.txt"])),
        (json!({"Type": "restore", "TaskPath": "/cfs/test11/dirx"}), entries(&["dirx"])),
    ] {
        let task = made(&w, change.clone()).await;
        assert_eq!(task.spec.selection, want, "{change}");
        assert_eq!(task.flow.as_ref().map(|f| f.0.as_str()), Some(flow.as_str()));
        let direction = if change["Type"] == "restore" { Direction::Import } else { Direction::Export };
        assert_eq!(task.spec.direction, direction);
        assert_eq!(
            (task.spec.object.prefix.as_str(), task.spec.directory.path.as_str()),
            ("test3/", "test11/")
        );
        assert!(task.spec.credentials.is_some(), "the flow's key goes along");
    }
    assert_eq!(made(&w, json!({})).await.spec.conflict, ConflictPolicy::Skip);
    assert_eq!(made(&w, json!({"IsOverwrite": true})).await.spec.conflict, ConflictPolicy::Overwrite);
}

#[tokio::test]
async fn lists_are_read_when_the_task_is_made() {
    let w = World::new().await;
    w.flow(json!({})).await;
    let list = |text: &[u8]| std::fs::write(w.root.join("list.txt"), text).unwrap();
    list(b"/cfs/test11/a.txt\n/cfs/test11/dir/\n\n");
    let by_list = json!({"TaskPath": null, "ListPath": "/cfs/list.txt"});
    let task = made(&w, by_list.clone()).await;
    assert_eq!(task.spec.selection, Selection::Entries(vec!["a.txt".into(), "dir/".into()]));
    list(b"/cfs/test11\n");
    assert_eq!(made(&w, by_list.clone()).await.spec.selection, Selection::All);
    let invalid = "InvalidParameterValue.ListPathFileInvalid";
    for (text, code) in [
        (&b"test11/a.txt\n"[..], invalid),
        (b"", invalid),
        (b"/cfs/test11/../x\n", invalid),
        (b"/cfs/\xff\xfe\n", invalid),
        (b"/cfs/test11/a\n/cfs/elsewhere/b\n", "InvalidParameterValue.InvalidDataFlowTargetPath"),
    ] {
        list(text);
        assert_eq!(w.code("CreateLifecycleDataTask", request(by_list.clone())).await, code, "{text:?}");
    }
    list(&vec![b'x'; (4 << 20) + 1]);
    assert_eq!(w.code("CreateLifecycleDataTask", request(by_list)).await, invalid);
    std::os::unix::fs::symlink("/etc/hostname", w.root.join("leak")).unwrap();
    for (path, code) in [
        ("/cfs/none.txt", "InvalidParameterValue.ListPathFileNotFound"),
        ("/data/list.txt", "InvalidParameter.ListPathInvalidPrefix"),
        ("/cfs/../list.txt", invalid),
        ("/cfs/leak", invalid),
        ("/cfs/test11", invalid),
    ] {
        let by = request(json!({"TaskPath": null, "ListPath": path}));
        assert_eq!(w.code("CreateLifecycleDataTask", by).await, code, "{path}");
    }
}

#[tokio::test]
async fn creation_refuses_in_the_vendors_words() {
    let w = World::new().await;
    let flow = w.flow(json!({})).await;
    w.flow(json!({"TargetPath": "/cfs/elsewhere"})).await;
    let target = "InvalidParameterValue.InvalidDataFlowTargetPath";
    let flow_id = "InvalidParameterValue.InvalidDataFlowId";
    let conflict = "InvalidParameter.ListPathAndTaskPathConflict";
    let system = "InvalidParameterValue.InvalidFileSystemId";
    for (change, code) in [
        (json!({"Type": "release"}), "UnsupportedOperation"),
        (json!({"Type": "metaload"}), "UnsupportedOperation"),
        (json!({"Type": "sink"}), "InvalidParameterValue.InvalidLifecycleDataTaskType"),
        (json!({"TaskPath": null}), conflict),
        (json!({"TaskPath": ""}), conflict),
        (json!({"ListPath": "/cfs/l"}), conflict),
        (json!({"TaskPath": "/data"}), target),
        (json!({"TaskPath": "/cfs/nowhere"}), target),
        (json!({"TaskPath": "/cfs"}), target),
        (json!({"TaskPath": "/cfs/test11/none"}), target),
        (json!({"TaskPath": "/cfs/test11/../x"}), target),
        (json!({"TaskPath": "/cfs/elsewhere", "DataFlowId": flow}), target),
        (json!({"DataFlowId": "cfs-dataflow-00000000"}), flow_id),
        (json!({"DataFlowId": "x"}), flow_id),
        (json!({"FileSystemId": "x"}), system),
        (json!({"FileSystemId": "cfs-unknown1"}), system),
        (json!({"TaskName": ""}), "InvalidParameterValue"),
        (json!({"TaskName": null}), "MissingParameter"),
        (json!({"IsOverwrite": "yes"}), "InvalidParameter"),
    ] {
        assert_eq!(w.code("CreateLifecycleDataTask", request(change.clone())).await, code, "{change}");
    }
    w.flow(json!({"DataFlowName": "twin"})).await;
    assert_eq!(w.code("CreateLifecycleDataTask", request(json!({}))).await, flow_id, "two flows bind it");
    made(&w, json!({"DataFlowId": flow})).await;
    let inner = w.flow(json!({"TargetPath": "/cfs/test11/inner"})).await;
    let task = made(&w, json!({"TaskPath": "/cfs/test11/inner"})).await;
    assert_eq!(task.flow.unwrap().0, inner, "the innermost flow counts");
    w.control
        .set_flow_status(&World::account(), &model::FlowId(inner), model::FlowStatus::Misconfigured)
        .await
        .unwrap();
    let on_broken = request(json!({"TaskPath": "/cfs/test11/inner"}));
    assert_eq!(w.code("CreateLifecycleDataTask", on_broken).await, flow_id, "the flow is not available");
    std::fs::remove_dir_all(&w.root).unwrap();
    let code = w.code("CreateLifecycleDataTask", request(json!({}))).await;
    assert_eq!(code, "InvalidParameterValue.InvalidFsStatus");
}

#[tokio::test]
async fn too_many_wait() {
    let w = World::with(Limits { waiting_tasks: 1, ..Limits::default() }).await;
    w.flow(json!({})).await;
    made(&w, json!({})).await;
    let code = w.code("CreateLifecycleDataTask", request(json!({}))).await;
    assert_eq!(code, "InvalidParameterValue.WaitingTaskLimitExceeded");
}

#[tokio::test]
async fn a_task_is_watched_from_the_queue_to_its_lists() {
    let w = World::new().await;
    let flow = w.flow(json!({})).await;
    let id = made(&w, json!({"Type": "restore", "IsOverwrite": true})).await.id.0;
    let see = async || {
        let by_id = merged(window(), json!({"TaskId": id}));
        w.ask("DescribeLifecycleDataTask", by_id).await.unwrap()["LifecycleDataTask"][0].clone()
    };
    let waiting = see().await;
    let expected = json!({
        "TaskId": id, "TaskStatus": "init", "CreationTime": "2023-11-14 22:13:20", "FinishTime": "",
        "FileTotalCount": 0, "FileSuccessedCount": 0, "FileFailedCount": 0,
        "FileTotalSize": 0, "FileSuccessedSize": 0, "FileFailedSize": 0,
        "FileTotalList": "", "FileSuccessedList": "", "FileFailedList": "",
        "FileSystemId": "cfs-44d53b63e", "TaskName": "nightly", "TaskPath": "/cfs/test11",
        "Type": "restore", "DataFlowId": flow, "IsOverwrite": true, "ListPath": ""
    });
    assert_eq!(waiting, expected);
    let running = w.claim().await;
    assert_eq!(see().await["TaskStatus"], "running");
    w.clock.advance(5_000_000);
    let mut ledger = Ledger::default();
    ledger.book(Outcome::Written, 10);
    ledger.book(Outcome::Failed, 5);
    let finish = Finish {
        status: TaskStatus::Failed,
        error: Some("one item failed".into()),
        ledger,
        progress: Progress { items_found: 2, bytes_found: 15, scan_done: true, ..Progress::default() },
        checkpoint: None,
        receipt: None,
        reports: Reports {
            total: Some("total.csv".into()),
            successful: Some("successful.csv".into()),
            skipped: None,
            failed: Some("failed.csv".into()),
        },
        events: Vec::new(),
        at: Timestamp(w.clock.now().0),
    };
    w.finish(&running, finish).await;
    let ended = see().await;
    assert_eq!(
        (&ended["TaskStatus"], &ended["FinishTime"]),
        (&json!("failed"), &json!("2023-11-14 22:13:25"))
    );
    let counts =
        ["FileTotalCount", "FileSuccessedCount", "FileFailedCount"].map(|n| ended[n].as_u64().unwrap());
    let sizes = ["FileTotalSize", "FileSuccessedSize", "FileFailedSize"].map(|n| ended[n].as_u64().unwrap());
    assert_eq!((counts, sizes), ([2, 1, 1], [15, 10, 5]));
    let url = ended["FileFailedList"].as_str().unwrap();
    let token = url.strip_prefix(&format!("http://127.0.0.1:8480/reports/{id}/failed.csv?token=")).unwrap();
    let task = model::TaskId(id.clone());
    assert_eq!(w.control.check_report_token(&task, "failed.csv", token), control::ReportAccess::Granted);
    assert_eq!(w.control.check_report_token(&task, "total.csv", token), control::ReportAccess::Refused);
    let code = w.code("StopLifecycleDataTask", json!({"TaskId": id})).await;
    assert_eq!(code, "UnsupportedOperation.InvalidLifecycleDataTaskStatus");
}

#[tokio::test]
async fn stopping() {
    let w = World::new().await;
    w.flow(json!({})).await;
    let waiting = made(&w, json!({})).await.id.0;
    assert_eq!(w.ask("StopLifecycleDataTask", json!({"TaskId": waiting})).await.unwrap(), json!({}));
    assert_eq!(w.stored(&waiting).await.status, TaskStatus::Canceled);
    let id = made(&w, json!({})).await.id.0;
    w.claim().await;
    w.ask("StopLifecycleDataTask", json!({"TaskId": id})).await.unwrap();
    let all = w.ask("DescribeLifecycleDataTask", merged(window(), json!({"TaskId": id}))).await.unwrap();
    assert_eq!(all["LifecycleDataTask"][0]["TaskStatus"], "stopping");
    w.ask("StopLifecycleDataTask", json!({"TaskId": id})).await.unwrap();
    for bad in ["", "x", "task-0000000000000000"] {
        let code = w.code("StopLifecycleDataTask", json!({"TaskId": bad})).await;
        assert_eq!(code, "InvalidParameterValue.InvalidLifecycleTaskId", "{bad}");
    }
    let stranger = w.ask_as("100002", "StopLifecycleDataTask", json!({"TaskId": id}), false).await;
    assert_eq!(stranger.unwrap_err().code, "InvalidParameterValue.InvalidLifecycleTaskId");
}

#[tokio::test]
async fn tasks_are_found_by_time_and_filters() {
    let w = World::new().await;
    w.flow(json!({})).await;
    let first = made(&w, json!({"TaskName": "a"})).await.id.0;
    w.clock.advance(10_000_000);
    let second = made(&w, json!({"TaskName": "b", "Type": "restore"})).await.id.0;
    let ids = |v: &Value| {
        let all = v["LifecycleDataTask"].as_array().unwrap().iter();
        all.map(|t| t["TaskId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let by = |name: &str, values: Value| json!({"Filters": [{"Name": name, "Values": values}]});
    for (change, want) in [
        (json!({}), vec![&second, &first]),
        (json!({"Limit": 1}), vec![&second]),
        (json!({"Offset": 1, "CfsVersion": "v4.0"}), vec![&first]),
        (by("TaskName", json!(["a", "zz"])), vec![&first]),
        (by("TaskName", json!(["a", "b"])), vec![&second, &first]),
        (by("Type", json!(["restore"])), vec![&second]),
        (by("FileSystemId", json!(["cfs-none"])), vec![]),
        (json!({"StartTime": "2023-11-14 22:13:21"}), vec![&second]),
        (json!({"EndTime": "2023-11-14 22:13:20"}), vec![&first]),
        (json!({"TaskId": "task-0000000000000000"}), vec![]),
    ] {
        let answer = w.ask("DescribeLifecycleDataTask", merged(window(), change.clone())).await.unwrap();
        let want: Vec<String> = want.into_iter().cloned().collect();
        assert_eq!(ids(&answer), want, "{change}");
    }
    let value = "InvalidParameterValue";
    for (change, code) in [
        (json!({"StartTime": null}), "MissingParameter"),
        (json!({"StartTime": "yesterday"}), value),
        (json!({"StartTime": "2023-11-16 00:00:00"}), value),
        (json!({"StartTime": "2023-08-01 00:00:00"}), value),
        (json!({"Limit": 101}), value),
        (json!({"TaskId": "x"}), value),
        (by("Colour", json!(["red"])), value),
        (by("Type", json!([])), value),
        (json!({"Filters": [{"Name": "Type"}]}), "MissingParameter"),
        (json!({"CfsVersion": "v9"}), "InvalidParameterValue.InvalidCfsVersionValue"),
    ] {
        let code_is = w.code("DescribeLifecycleDataTask", merged(window(), change.clone())).await;
        assert_eq!(code_is, code, "{change}");
    }
    assert_eq!(NOW, 1_700_000_000);
}
