//! The life of a task: what a poller sees, lists, changes.

use crate::world::{World, merged};
use control::Limits;
use model::PipelineId;
use serde_json::{Value, json};

const NO_INSTANCE: &str = "InvalidParameterValue.InstanceNotExist";

#[tokio::test]
async fn a_poller_sees_it_come_and_go() {
    let w = World::new().await;
    let id = w.task(w.copy_request(json!({}))).await;
    let one = json!({ "TaskId": id });
    assert_eq!(w.status(&id).await, 0, "creating until a worker has it");
    w.work().await;
    let shown = w.result("DescribeDatahubTask", one.clone()).await;
    assert_eq!((&shown["Status"], &shown["ErrorMessage"]), (&json!(1), &json!("运行中")));
    assert_eq!(shown["CreateTime"], "2023-11-14 22:13:20");
    assert_eq!((&shown["IsolateStatus"], &shown["TaskMax"]), (&json!(1), &json!(1)));
    let paused = w.result("PauseDatahubTask", one.clone()).await;
    assert_eq!((&paused["TaskId"], &paused["DatahubId"]), (&json!(id), &shown["DatahubId"]));
    assert_eq!(w.status(&id).await, 5);
    w.rest(&id).await;
    assert_eq!(w.status(&id).await, 6);
    w.result("ResumeDatahubTask", one.clone()).await;
    assert_eq!(w.status(&id).await, 8);
    w.work().await;
    assert_eq!(w.status(&id).await, 1);
    w.result("RestartDatahubTask", one.clone()).await;
    w.result("DeleteDatahubTask", one.clone()).await;
    assert_eq!(w.status(&id).await, 2);
    w.rest(&id).await;
    assert_eq!(w.status(&id).await, 3, "a deleted task is readable");
    assert_eq!(w.result("DescribeDatahubTasks", json!({})).await["TotalCount"], 0, "but not listed");
    for action in ["DeleteDatahubTask", "PauseDatahubTask", "ResumeDatahubTask", "RestartDatahubTask"] {
        assert_eq!(w.code(action, one.clone()).await, NO_INSTANCE, "{action}");
    }
    assert_eq!(w.code("ModifyDatahubTask", one.clone()).await, "FailedOperation");
    let again = w.task(w.copy_request(json!({}))).await;
    assert_ne!(again, id, "its name is free again");
}

#[tokio::test]
async fn tasks_of_others_are_not_there() {
    let w = World::new().await;
    let id = w.task(w.copy_request(json!({}))).await;
    let mut ids = vec![json!("task-00000000"), json!(""), json!("x".repeat(200)), json!("resource-test")];
    for action in ["DeleteDatahubTask", "PauseDatahubTask", "ResumeDatahubTask", "RestartDatahubTask"] {
        for id in &ids {
            assert_eq!(w.code(action, json!({ "TaskId": id })).await, NO_INSTANCE, "{action} {id}");
        }
        assert_eq!(w.code(action, json!({})).await, "MissingParameter");
    }
    ids.push(json!("task-\u{0}"));
    for id in &ids {
        assert_eq!(w.code("DescribeDatahubTask", json!({ "TaskId": id })).await, "InvalidParameterValue");
        assert_eq!(w.code("ModifyDatahubTask", json!({ "TaskId": id })).await, NO_INSTANCE);
    }
    for action in ["DescribeDatahubTask", "DeleteDatahubTask", "PauseDatahubTask"] {
        let stranger = w.ask_as("100002", action, json!({ "TaskId": id }), false).await;
        assert!(stranger.unwrap_err().code.starts_with("InvalidParameterValue"), "{action}");
    }
    let all = w.ask_as("100002", "DescribeDatahubTasks", json!({}), false).await.unwrap();
    assert_eq!(all["Result"], json!({"TotalCount": 0, "TaskList": []}));
}

#[tokio::test]
async fn states_refuse_what_makes_no_sense() {
    let w = World::new().await;
    let id = w.task(w.copy_request(json!({}))).await;
    w.work().await;
    let one = json!({ "TaskId": id });
    assert_eq!(w.code("ResumeDatahubTask", one.clone()).await, "FailedOperation", "it runs");
    w.result("PauseDatahubTask", one.clone()).await;
    w.rest(&id).await;
    assert_eq!(w.code("PauseDatahubTask", one.clone()).await, "FailedOperation", "it is paused");
    w.result("RestartDatahubTask", one.clone()).await;
    assert_eq!(w.status(&id).await, 8, "a restart wakes a paused one");
    w.work().await;
    w.result("DeleteDatahubTask", one.clone()).await;
    assert_eq!(w.code("PauseDatahubTask", one.clone()).await, "FailedOperation", "it is being deleted");
    assert_eq!(w.code("RestartDatahubTask", one).await, "FailedOperation");
}

#[tokio::test]
async fn what_is_in_the_way_is_told() {
    let w = World::new().await;
    let id = w.task(w.copy_request(json!({}))).await;
    w.work().await;
    let p = w.stored(&id).await;
    let now = model::Timestamp(w.clock.now().0);
    w.store.explain_pipeline(&p.id, p.attempt, Some("the cluster refuses the password"), now).await.unwrap();
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
    assert_eq!(
        (&shown["Status"], &shown["ErrorMessage"]),
        (&json!(1), &json!("the cluster refuses the password"))
    );
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let w = World::new().await;
    let topic = json!({"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx"}});
    let es = json!({"Type": "ES", "EsParam": {"Resource": "resource-test", "Index": "i"}});
    let mut ids = Vec::new();
    for (name, target) in [("a-one", topic.clone()), ("b-two", es), ("a-three", topic.clone())] {
        w.clock.advance(1_000_000);
        ids.push(w.task(w.sink_request(target, json!({ "TaskName": name }))).await);
    }
    w.clock.advance(1_000_000);
    let push = json!({"TaskName": "push", "TaskType": "SOURCE", "SourceResource": {"Type": "HTTP"},
        "TargetResource": topic});
    ids.push(w.task(push).await);
    let list = async |filter: Value| {
        let found = w.result("DescribeDatahubTasks", filter).await;
        let all = found["TaskList"].as_array().unwrap().iter();
        let ids: Vec<String> = all.map(|t| t["TaskId"].as_str().unwrap().to_owned()).collect();
        (found["TotalCount"].as_u64().unwrap(), ids)
    };
    let pick = |which: &[usize]| which.iter().map(|i| ids[*i].clone()).collect::<Vec<_>>();
    assert_eq!(list(json!({})).await, (4, pick(&[3, 2, 1, 0])), "newest first");
    assert_eq!(list(json!({"Offset": 1, "Limit": 2})).await, (4, pick(&[2, 1])));
    assert_eq!(list(json!({"Limit": 1000})).await.1.len(), 4, "a limit above 100 is 100");
    for (filter, want) in [
        (json!({"SearchWord": "a-"}), pick(&[2, 0])),
        (json!({"TaskType": "SOURCE"}), pick(&[3])),
        (json!({"TaskType": "SINK"}), pick(&[2, 1, 0])),
        (json!({"SourceType": "HTTP"}), pick(&[3])),
        (json!({"TargetType": "ES"}), pick(&[1])),
        (json!({"TargetType": "TOPIC", "SourceType": "KAFKA"}), pick(&[2, 0])),
        (json!({"Resource": "ckafka-7kd5rzza"}), pick(&[2, 1, 0])),
        (json!({"Resource": "resource-test"}), pick(&[1])),
        (json!({"Resource": "12345-xxx", "TaskType": "SOURCE"}), pick(&[3])),
        (json!({"Resource": "nothing"}), vec![]),
        (
            json!({"SearchWord": "", "TaskType": "", "SourceType": "", "TargetType": "", "Resource": ""}),
            pick(&[3, 2, 1, 0]),
        ),
    ] {
        assert_eq!(list(filter.clone()).await.1, want, "{filter}");
    }
    for bad in [
        json!({"Limit": 0}),
        json!({"Limit": -1}),
        json!({"Offset": -1}),
        json!({"TaskType": "BOTH"}),
        json!({"SearchWord": "x".repeat(256)}),
    ] {
        assert_eq!(w.code("DescribeDatahubTasks", bad.clone()).await, "InvalidParameterValue", "{bad}");
    }
    let shown = w.result("DescribeDatahubTasks", json!({"Resource": "resource-test"})).await;
    let task = &shown["TaskList"][0];
    assert_eq!(task["StepList"].as_array().map(Vec::len), Some(2));
    assert!(task["SourceResource"]["EsParam"].is_null() && task["TargetResource"]["EsParam"].is_object());
}

#[tokio::test]
async fn a_task_changes_its_name_and_its_pace() {
    let w = World::new().await;
    let id = w.task(w.copy_request(json!({}))).await;
    w.task(w.copy_request(json!({"TaskName": "taken"}))).await;
    let with = |change: Value| merged(json!({ "TaskId": id }), change);
    let done = w
        .result(
            "ModifyDatahubTask",
            with(json!({"TaskName": "new", "Description": "words", "TasksMax": 3, "SyncThrottleLimit": 20,
                "AutoExpandFlag": false})),
        )
        .await;
    assert_eq!(done["TaskId"], id.as_str());
    let p = w.stored(&id).await;
    assert_eq!((p.name.as_str(), p.lanes, p.bytes_per_s), ("new", Some(3), Some(20 << 20)));
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
    assert_eq!((&shown["TaskMax"], &shown["SyncThrottleLimit"]), (&json!(3), &json!(20)));
    assert_eq!((&shown["AutoExpandFlag"], &shown["Description"]), (&json!(false), &json!("words")));
    w.result("ModifyDatahubTask", with(json!({"Description": ""}))).await;
    let shown = w.result("DescribeDatahubTask", json!({ "TaskId": id })).await;
    assert_eq!((&shown["TaskName"], &shown["Description"]), (&json!("new"), &json!("")));
    for bad in [
        json!({"TaskName": "taken"}),
        json!({"TaskName": "a b"}),
        json!({"TasksMax": 0}),
        json!({"TasksMax": 21}),
        json!({"SyncThrottleLimit": 0}),
        json!({"SyncThrottleLimit": -1}),
        json!({"Description": "x".repeat(129)}),
    ] {
        assert_eq!(w.code("ModifyDatahubTask", with(bad.clone())).await, "InvalidParameterValue", "{bad}");
    }
}

#[tokio::test]
async fn one_task_too_many() {
    let w = World::with(Limits { pipelines_per_account: 1, ..Limits::default() }).await;
    w.task(w.copy_request(json!({}))).await;
    assert_eq!(
        w.code("CreateDatahubTask", w.copy_request(json!({"TaskName": "b"}))).await,
        "FailedOperation"
    );
    let found = w.control.pipeline(&World::account(), &PipelineId::from("task-none")).await;
    assert!(found.is_err());
}
