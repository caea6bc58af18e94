//! What the tables promise is what the answers hold.

use crate::world::{World, request};
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
        let found = api_vpc::operations().iter().find(|op| op.action == action);
        found.unwrap_or_else(|| panic!("{action}")).response
    };
    let mut seen = Vec::new();
    let mut go = async |action: &'static str, params: Value| {
        let answer = w.ok(action, params).await;
        compare(action, table(action), &answer);
        seen.push(action);
        answer
    };
    let made = go("CreateFlowLog", request(json!({}))).await["FlowLog"][0].clone();
    let id = made["FlowLogId"].clone();
    go("DescribeFlowLogs", json!({})).await;
    go("DescribeFlowLog", json!({"VpcId": "vpc-12345678", "FlowLogId": id})).await;
    go("DisableFlowLogs", json!({"FlowLogIds": [id]})).await;
    go("EnableFlowLogs", json!({"FlowLogIds": [id]})).await;
    let change = json!({"FlowLogId": id, "VpcId": "vpc-12345678", "FlowLogName": "other"});
    go("ModifyFlowLogAttribute", change).await;
    go("DeleteFlowLog", json!({"FlowLogId": id, "VpcId": "vpc-12345678"})).await;
    let mut all: Vec<&str> = api_vpc::operations().iter().map(|op| op.action).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "every action was asked");
}
