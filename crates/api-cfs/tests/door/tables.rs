//! What the tables promise is what the answers hold.

use crate::world::{BUCKET, KEY, SECRET, World};
use api::{Field, Ty};
use serde_json::{Value, json};

/// The fields of an object are those of its table, both ways; null stands for anything.
fn compare(at: &str, table: &[Field], value: &Value) {
    let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}"));
    let mut want: Vec<&str> = table.iter().map(|f| f.name).collect();
    let mut have: Vec<&str> = object.keys().map(String::as_str).collect();
    want.sort_unstable();
    have.sort_unstable();
    assert_eq!(have, want, "{at}");
    for field in table {
        check(&format!("{at}.{}", field.name), &field.ty, &object[field.name]);
    }
}

fn check(at: &str, ty: &Ty, value: &Value) {
    if value.is_null() {
        return;
    }
    let right = match ty {
        Ty::Str => value.is_string(),
        Ty::Int => value.is_i64(),
        Ty::Uint => value.is_u64(),
        Ty::Bool => value.is_boolean(),
        Ty::Float => value.is_number(),
        Ty::Any => true,
        Ty::List(of) => {
            for (i, item) in value.as_array().unwrap().iter().enumerate() {
                check(&format!("{at}[{i}]"), of, item);
            }
            true
        }
        Ty::Object(table) => {
            compare(at, table, value);
            true
        }
    };
    assert!(right, "{at}: {value}");
}

#[tokio::test]
async fn answers_have_the_fields_of_their_tables() {
    let w = World::new().await;
    let table = |action: &str| {
        api_cfs::operations()
            .iter()
            .find(|op| op.action == action)
            .unwrap_or_else(|| panic!("{action}"))
            .response
    };
    let mut seen = Vec::new();
    let mut go = async |action: &'static str, params: Value| {
        let answer = w.ask(action, params).await.unwrap();
        compare(action, table(action), &answer);
        seen.push(action);
        answer
    };
    let flow = go("CreateDataFlow", w.flow_request(json!({}))).await["DataFlowId"].clone();
    go("DescribeDataFlow", json!({})).await;
    go("ModifyDataFlow", json!({"DataFlowId": flow, "FileSystemId": "cfs-44d53b63e"})).await;
    let archive = json!({"FileSystemId": "cfs-44d53b63e", "Type": "archive", "TaskName": "t",
        "TaskPath": "/cfs/test11"});
    let task = go("CreateLifecycleDataTask", archive).await["TaskId"].clone();
    let window = json!({"StartTime": "2023-11-14 00:00:00", "EndTime": "2023-11-15 00:00:00"});
    go("DescribeLifecycleDataTask", window).await;
    go("StopLifecycleDataTask", json!({"TaskId": task})).await;
    let migrate = json!({"TaskName": "m", "MigrationType": 0, "MigrationMode": 0, "SrcSecretId": KEY,
        "SrcSecretKey": SECRET, "FileSystemId": "cfs-44d53b63e", "FsPath": "/", "CoverType": 0,
        "SrcService": "COS", "BucketName": BUCKET});
    let migration = go("CreateMigrationTask", migrate).await["TaskId"].clone();
    go("DescribeMigrationTasks", json!({})).await;
    go("StopMigrationTask", json!({"TaskId": migration})).await;
    go("DeleteMigrationTask", json!({"TaskId": migration})).await;
    go("DescribeBucketList", json!({"SrcService": "COS", "SrcSecretId": KEY, "SrcSecretKey": SECRET})).await;
    go("DescribeCfsFileSystems", json!({})).await;
    go("DeleteDataFlow", json!({"DataFlowId": flow})).await;
    let mut all: Vec<&str> = api_cfs::operations().iter().map(|op| op.action).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "every action was asked");
}
