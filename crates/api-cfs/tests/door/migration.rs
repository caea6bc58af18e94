//! Migration tasks.

use crate::world::{BUCKET, KEY, SECRET, World, merged};
use control::Limits;
use model::{
    ConflictPolicy, Dialect, Direction, Ledger, Outcome, Progress, Reports, Selection, TaskStatus, Timestamp,
};
use serde_json::{Value, json};
use store::Finish;

fn request(change: Value) -> Value {
    let base = json!({
        "TaskName": "move-in", "MigrationType": 0, "MigrationMode": 0, "SrcSecretId": KEY,
        "SrcSecretKey": SECRET, "FileSystemId": "cfs-44d53b63e", "FsPath": "/in/here", "CoverType": 0,
        "SrcService": "COS", "BucketName": BUCKET
    });
    merged(base, change)
}

async fn made(w: &World, change: Value) -> model::Task {
    let answer = w.ask("CreateMigrationTask", request(change)).await.unwrap();
    w.stored(answer["TaskId"].as_str().unwrap()).await
}

fn address(bucket: &str, path: &str) -> String {
    format!("https://{bucket}.cos.ap-guangzhou.myqcloud.com{path}")
}

#[tokio::test]
async fn requests_become_transfers() {
    let w = World::new().await;
    std::fs::create_dir(w.root.join("out")).unwrap();
    let task = made(&w, json!({})).await;
    assert!(task.id.0.starts_with("cfsmigrate-"));
    assert_eq!((task.spec.direction, task.spec.conflict), (Direction::Import, ConflictPolicy::KeepLatest));
    assert_eq!((task.spec.object.bucket.as_str(), task.spec.object.prefix.as_str()), (BUCKET, ""));
    assert_eq!(task.spec.directory.path, "in/here/");
    assert!(task.spec.create_directory && task.flow.is_none());
    let key = task.spec.credentials.unwrap();
    assert_eq!((key.access_key_id.as_str(), w.open(&key.secret).as_str()), (KEY, SECRET));

    let by_address = json!({"BucketName": null, "BucketAddress": address(BUCKET, ""), "BucketPath": "/a/b",
        "CoverType": 1, "FsPath": "x"});
    let task = made(&w, by_address).await;
    assert_eq!((task.spec.object.prefix.as_str(), task.spec.directory.path.as_str()), ("a/b/", "x/"));
    assert_eq!(task.spec.conflict, ConflictPolicy::Overwrite);
    let out = made(&w, json!({"Direction": 1, "FsPath": "/out", "CoverType": 2})).await;
    assert_eq!((out.spec.direction, out.spec.conflict), (Direction::Export, ConflictPolicy::Skip));
    let list = address(BUCKET, "/lists/l.txt");
    let listed = made(&w, json!({"MigrationType": 1, "BucketName": null, "ListAddress": list})).await;
    assert_eq!(listed.spec.selection, Selection::ListUrl(list));
    assert_eq!(listed.spec.object.bucket, BUCKET);
}

#[tokio::test]
async fn creation_refuses_in_the_vendors_words() {
    let w = World::new().await;
    w.object_store("oss", Dialect::Oss, "*.oss-cn-hangzhou.aliyuncs.com", &["data"]).await;
    std::fs::write(w.root.join("file"), b"x").unwrap();
    let value = "InvalidParameterValue";
    for (change, code) in [
        (json!({"MigrationType": 2}), value),
        (json!({"MigrationMode": 1}), value),
        (json!({"CoverType": 3}), value),
        (json!({"Direction": 2}), value),
        (json!({"SrcService": "S3"}), value),
        (json!({"TaskName": ""}), value),
        (json!({"FileSystemId": "x"}), value),
        (json!({"FileSystemId": "cfs-unknown1"}), value),
        (json!({"FsPath": "/cfs/x"}), value),
        (json!({"FsPath": "../x"}), value),
        (json!({"FsPath": "/none", "Direction": 1}), value),
        (json!({"FsPath": "/file", "Direction": 1}), value),
        (json!({"BucketName": null}), value),
        (json!({"BucketName": "other-1"}), value),
        (json!({"BucketName": "gone-1251000004"}), value),
        (json!({"BucketName": "down-1251000004"}), "FailedOperation"),
        (json!({"BucketName": "silent-1251000004"}), "FailedOperation"),
        (json!({"BucketAddress": address("second-1251000004", "")}), value),
        (json!({"BucketAddress": "http://169.254.169.254/x"}), value),
        (json!({"BucketPath": "/../x"}), value),
        (json!({"SrcService": "OSS"}), value),
        (json!({"SrcSecretId": "AKIDbad"}), value),
        (json!({"SrcSecretKey": ""}), value),
        (json!({"MigrationType": 1}), value),
        (json!({"MigrationType": 1, "ListAddress": "http://169.254.169.254/latest"}), value),
        (json!({"MigrationType": 1, "ListAddress": "file:///etc/passwd"}), value),
        (json!({"MigrationType": 1, "ListAddress": address(BUCKET, "/l"), "Direction": 1}), value),
        (json!({"MigrationType": 1, "ListAddress": address("second-1251000004", "/l")}), value),
        (json!({"FsName": "x".repeat(2049)}), value),
        (json!({"CoverType": null}), "MissingParameter"),
        (json!({"CoverType": -1}), "InvalidParameter"),
        (json!({"Speed": 1}), "UnknownParameter"),
    ] {
        assert_eq!(w.code("CreateMigrationTask", request(change.clone())).await, code, "{change}");
    }
}

#[tokio::test]
async fn a_migration_is_watched_stopped_and_forgotten() {
    let w = World::new().await;
    let id = made(&w, json!({"FsName": "mine", "BucketRegion": "ap-guangzhou"})).await.id.0;
    let see = async || {
        let by_id = json!({"Filters": [{"Name": "taskId", "Values": [id]}]});
        w.ask("DescribeMigrationTasks", by_id).await.unwrap()["MigrationTasks"][0].clone()
    };
    let expected = json!({
        "TaskName": "move-in", "TaskId": id, "MigrationType": 0, "MigrationMode": 0, "BucketName": BUCKET,
        "BucketRegion": "ap-guangzhou", "BucketAddress": "", "ListAddress": "", "FsName": "mine",
        "FileSystemId": "cfs-44d53b63e", "FsPath": "/in/here", "CoverType": 0,
        "CreateTime": 1_700_000_000_000_i64, "EndTime": 0, "Status": 9,
        "FileTotalCount": 0, "FileMigratedCount": 0, "FileFailedCount": 0,
        "FileTotalSize": 0, "FileMigratedSize": 0, "FileFailedSize": 0,
        "FileTotalList": "", "FileCompletedList": "", "FileFailedList": "",
        "BucketPath": "/", "Direction": 0, "SrcService": "COS"
    });
    assert_eq!(see().await, expected);
    assert_eq!(w.code("DeleteMigrationTask", json!({"TaskId": id})).await, "ResourceInUse");
    let running = w.claim().await;
    assert_eq!(see().await["Status"], 2);
    let answer = w.ask("StopMigrationTask", json!({"TaskId": id})).await.unwrap();
    assert_eq!(answer, json!({"TaskId": id, "Status": 3}));
    assert_eq!(see().await["Status"], 3);
    assert_eq!(w.code("StopMigrationTask", json!({"TaskId": id})).await, "ResourceInUse");
    assert_eq!(w.code("DeleteMigrationTask", json!({"TaskId": id})).await, "ResourceInUse");
    w.clock.advance(2_000_000);
    let mut ledger = Ledger::default();
    ledger.book(Outcome::Written, 7);
    let finish = Finish {
        status: TaskStatus::Canceled,
        error: None,
        ledger,
        progress: Progress { items_found: 3, bytes_found: 21, ..Progress::default() },
        checkpoint: None,
        receipt: None,
        reports: Reports { successful: Some("successful.csv".into()), ..Reports::default() },
        events: Vec::new(),
        at: Timestamp(w.clock.now().0),
    };
    w.finish(&running, finish).await;
    let ended = see().await;
    assert_eq!((&ended["Status"], &ended["EndTime"]), (&json!(4), &json!(1_700_000_002_000_i64)));
    assert_eq!((&ended["FileTotalCount"], &ended["FileMigratedCount"]), (&json!(3), &json!(1)));
    assert!(ended["FileCompletedList"].as_str().unwrap().contains("/successful.csv?token="));
    let stranger = w.ask_as("100002", "DeleteMigrationTask", json!({"TaskId": id}), false).await;
    assert_eq!(stranger.unwrap_err().code, "ResourceNotFound");
    assert_eq!(w.ask("DeleteMigrationTask", json!({"TaskId": id})).await.unwrap(), json!({}));
    for action in ["DeleteMigrationTask", "StopMigrationTask"] {
        assert_eq!(w.code(action, json!({"TaskId": id})).await, "ResourceNotFound");
    }
}

#[tokio::test]
async fn families_of_tasks_do_not_mix() {
    let w = World::new().await;
    w.flow(json!({})).await;
    let migration = made(&w, json!({})).await.id.0;
    let archive = json!({"FileSystemId": "cfs-44d53b63e", "Type": "archive", "TaskName": "move-in",
        "TaskPath": "/cfs/test11"});
    let lifecycle = w.ask("CreateLifecycleDataTask", archive).await.unwrap()["TaskId"].clone();
    let tasks = w.ask("DescribeMigrationTasks", json!({})).await.unwrap();
    assert_eq!((&tasks["TotalCount"], &tasks["MigrationTasks"][0]["TaskId"]), (&json!(1), &json!(migration)));
    let window = json!({"StartTime": "2023-11-14 00:00:00", "EndTime": "2023-11-15 00:00:00"});
    let tasks = w.ask("DescribeLifecycleDataTask", window).await.unwrap();
    assert_eq!((&tasks["TotalCount"], &tasks["LifecycleDataTask"][0]["TaskId"]), (&json!(1), &lifecycle));
    assert_eq!(w.code("StopMigrationTask", json!({"TaskId": lifecycle})).await, "ResourceNotFound");
    assert_eq!(w.code("DeleteMigrationTask", json!({"TaskId": lifecycle})).await, "ResourceNotFound");
    let code = w.code("StopLifecycleDataTask", json!({"TaskId": migration})).await;
    assert_eq!(code, "InvalidParameterValue.InvalidLifecycleTaskId");
}

#[tokio::test]
async fn tasks_are_found_by_names() {
    let w = World::with(Limits { waiting_tasks: 3, ..Limits::default() }).await;
    for name in ["alpha-1", "beta-1", "beta-2"] {
        w.clock.advance(1_000_000);
        made(&w, json!({"TaskName": name})).await;
    }
    assert_eq!(w.code("CreateMigrationTask", request(json!({}))).await, "LimitExceeded");
    let names = |v: Value| {
        let all = v["MigrationTasks"].as_array().unwrap().iter();
        all.map(|t| t["TaskName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let by = |name: &str, values: Value| json!({"Filters": [{"Name": name, "Values": values}]});
    for (params, want) in [
        (json!({}), vec!["beta-2", "beta-1", "alpha-1"]),
        (json!({"Offset": 1, "Limit": 1}), vec!["beta-1"]),
        (by("taskName", json!(["beta"])), vec!["beta-2", "beta-1"]),
        (by("taskName", json!(["alpha", "beta-2"])), vec!["beta-2", "alpha-1"]),
        (by("taskName", json!(["%"])), vec![]),
        (by("taskId", json!(["cfsmigrate-00000000"])), vec![]),
    ] {
        assert_eq!(names(w.ask("DescribeMigrationTasks", params.clone()).await.unwrap()), want, "{params}");
    }
    let value = "InvalidParameterValue";
    for bad in [
        json!({"Limit": 101}),
        json!({"Limit": 0}),
        json!({"Limit": -5}),
        json!({"Offset": -1}),
        by("status", json!(["1"])),
        by("taskId", json!(vec!["x"; 101])),
        json!({"Filters": vec![json!({"Name": "taskId", "Values": ["x"]}); 11]}),
    ] {
        assert_eq!(w.code("DescribeMigrationTasks", bad.clone()).await, value, "{bad}");
    }
}
