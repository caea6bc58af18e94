//! The operator's door: resources, flows, tasks, pipelines, dead letters, receipts and accounts as plain JSON.
//!
//! The command line speaks it (`wharf flow`, `task`, `pipeline`, `dead`, `resource`, …). Requests go to
//! `/wharf/v1/<Action>`, signed with TC3 for the service `wharf` by an account that is an operator; the
//! envelope is Tencent's. It sees the things of all accounts. [`wire`] has the JSON types, which
//! clients may use as they are; `ops/` has one file for each group of actions.
//!
//! It is no copy of a cloud's API: names are the model's, sizes are bytes, times are µs since the epoch.

pub mod wire;

mod fault;
mod ops;
mod translate;

use api::{Call, Cloud, Door, Fault, Outcome, Reply};
use async_trait::async_trait;
use control::Control;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of this API.
pub const VERSION: &str = "2026-11-22";

/// The door.
pub struct AdminDoor {
    control: Control,
}

impl AdminDoor {
    /// A door to `control`.
    #[must_use]
    pub fn new(control: Control) -> Self {
        Self { control }
    }
}

const ACTIONS: &[&str] = &[
    "ListFlows",
    "GetFlow",
    "CreateFlow",
    "DeleteFlow",
    "ListTasks",
    "GetTask",
    "ListTaskEvents",
    "CreateTask",
    "PlanTask",
    "PauseTask",
    "ResumeTask",
    "CancelTask",
    "ListResources",
    "PutFileSystem",
    "PutObjectStore",
    "RemoveResource",
    "ListAccounts",
    "CreateAccount",
    "SetAccountActive",
    "IssueToken",
    "RevokeTokens",
    "GetReceipt",
    "VerifyReceipt",
    "ListPipelines",
    "GetPipeline",
    "PausePipeline",
    "ResumePipeline",
    "RestartPipeline",
    "DeletePipeline",
    "ListConnections",
    "GetConnection",
    "DeleteConnection",
    "ListDead",
    "GetDead",
    "ReplayDead",
    "DropDead",
    "ListFlowLogs",
    "GetFlowLog",
];

#[async_trait]
impl Door for AdminDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Operator
    }

    fn service(&self) -> &'static str {
        "wharf"
    }

    fn versions(&self) -> &'static [&'static str] {
        &[VERSION]
    }

    fn actions(&self) -> &'static [&'static str] {
        ACTIONS
    }

    async fn call(&self, call: Call) -> Outcome {
        let c = &self.control;
        match call.action.as_str() {
            "ListFlows" => reply(&ops::flows::list(c, decode(call.params)?).await?),
            "GetFlow" => reply(&ops::flows::get(c, decode(call.params)?).await?),
            "CreateFlow" => reply(&ops::flows::create(c, &call.caller.account, decode(call.params)?).await?),
            "DeleteFlow" => ops::flows::delete(c, decode(call.params)?).await.map(|()| Reply::empty()),
            "ListTasks" => reply(&ops::tasks::list(c, decode(call.params)?).await?),
            "GetTask" => reply(&ops::tasks::get(c, decode(call.params)?).await?),
            "ListTaskEvents" => reply(&ops::tasks::events(c, decode(call.params)?).await?),
            "CreateTask" => reply(&ops::tasks::create(c, &call.caller.account, decode(call.params)?).await?),
            "PlanTask" => reply(&ops::tasks::plan(c, decode(call.params)?).await?),
            "PauseTask" => reply(&ops::tasks::pause(c, &call.caller.account, decode(call.params)?).await?),
            "ResumeTask" => reply(&ops::tasks::resume(c, &call.caller.account, decode(call.params)?).await?),
            "CancelTask" => reply(&ops::tasks::cancel(c, &call.caller.account, decode(call.params)?).await?),
            "ListResources" => reply(&ops::resources::list(c).await?),
            "PutFileSystem" => {
                ops::resources::put_file_system(c, decode(call.params)?).await.map(|()| Reply::empty())
            }
            "PutObjectStore" => {
                ops::resources::put_store(c, decode(call.params)?).await.map(|()| Reply::empty())
            }
            "RemoveResource" => {
                ops::resources::remove(c, decode(call.params)?).await.map(|()| Reply::empty())
            }
            "ListAccounts" => reply(&ops::accounts::list(c).await?),
            "CreateAccount" => reply(&ops::accounts::create(c, decode(call.params)?).await?),
            "SetAccountActive" => reply(&ops::accounts::set_active(c, decode(call.params)?).await?),
            "IssueToken" => reply(&ops::accounts::issue_token(c, decode(call.params)?).await?),
            "RevokeTokens" => reply(&ops::accounts::revoke_tokens(c, decode(call.params)?).await?),
            "GetReceipt" => reply(&ops::receipts::get(c, decode(call.params)?).await?),
            "VerifyReceipt" => reply(&ops::receipts::verify(c, decode(call.params)?).await?),
            _ => self.call_pipelines(call).await,
        }
    }
}

impl AdminDoor {
    async fn call_pipelines(&self, call: Call) -> Outcome {
        use ops::pipelines::Order;
        use ops::{dead, flow_logs, pipelines};
        let c = &self.control;
        match call.action.as_str() {
            "ListPipelines" => reply(&pipelines::list(c, decode(call.params)?).await?),
            "GetPipeline" => reply(&pipelines::get(c, decode(call.params)?).await?),
            "PausePipeline" => reply(&pipelines::order(c, Order::Pause, decode(call.params)?).await?),
            "ResumePipeline" => reply(&pipelines::order(c, Order::Resume, decode(call.params)?).await?),
            "RestartPipeline" => reply(&pipelines::order(c, Order::Restart, decode(call.params)?).await?),
            "DeletePipeline" => reply(&pipelines::order(c, Order::Delete, decode(call.params)?).await?),
            "ListConnections" => reply(&pipelines::connections(c, decode(call.params)?).await?),
            "GetConnection" => reply(&pipelines::get_connection(c, decode(call.params)?).await?),
            "DeleteConnection" => {
                pipelines::delete_connection(c, decode(call.params)?).await.map(|()| Reply::empty())
            }
            "ListFlowLogs" => reply(&flow_logs::list(c, decode(call.params)?).await?),
            "GetFlowLog" => reply(&flow_logs::get(c, decode(call.params)?).await?),
            "ListDead" => reply(&dead::list(c, decode(call.params)?).await?),
            "GetDead" => reply(&dead::get(c, decode(call.params)?).await?),
            "ReplayDead" => reply(&dead::replay(c, decode(call.params)?).await?),
            "DropDead" => reply(&dead::drop_letters(c, decode(call.params)?).await?),
            _ => Err(Fault::tencent("InvalidAction", "the operator's door has no such action")),
        }
    }
}

fn decode<T: DeserializeOwned>(params: serde_json::Value) -> Result<T, Fault> {
    serde_json::from_value(params).map_err(|e| Fault::tencent("InvalidParameter", e.to_string()))
}

fn reply(fields: &impl Serialize) -> Outcome {
    Reply::from_serialize(fields)
}
