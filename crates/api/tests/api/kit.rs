//! Dummy doors and accounts.

use api::{
    AccountKey, Accounts, AccountsError, Call, Cloud, Door, Fault, Gate, GateConfig, Outcome, Reply, Secret,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use runtime::{Clock, Micros};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Answers every action with what it saw.
pub struct Echo {
    pub cloud: Cloud,
    pub service: &'static str,
    pub versions: &'static [&'static str],
}

#[async_trait]
impl Door for Echo {
    fn cloud(&self) -> Cloud {
        self.cloud
    }
    fn service(&self) -> &'static str {
        self.service
    }
    fn versions(&self) -> &'static [&'static str] {
        self.versions
    }
    fn actions(&self) -> &'static [&'static str] {
        &[
            "DescribeDataFlow",
            "CreateDataFlowTask",
            "Slow",
            "Panic",
            "Raw",
            "Fail",
            "PutRecords",
            "ListStreams",
        ]
    }
    fn route(&self, method: &Method, path: &str) -> Option<&'static str> {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["v2", _, "records"]) => Some("PutRecords"),
            ("GET", ["v2", _, "streams"]) => Some("ListStreams"),
            ("POST", ["v2", _, "bytes"]) => Some("PutBytes"),
            ("GET", ["v2", _, "panic"]) => Some("Panic"),
            _ => None,
        }
    }
    fn takes_raw(&self, action: &str) -> bool {
        action == "PutBytes"
    }
    async fn call(&self, call: Call) -> Outcome {
        match call.action.as_str() {
            "Slow" => tokio::time::sleep(Duration::from_millis(400)).await,
            "Panic" => panic!("as asked"),
            "Raw" => return Ok(Reply::Raw(br#"{"Total":1}"#.to_vec())),
            "Fail" => return Err(Fault::new(403, "OperationDenied.InvalidState", "no")),
            _ => {}
        }
        Ok(Reply::from(json!({"Seen": {
            "service": call.service, "action": call.action, "version": call.version, "region": call.region,
            "account": call.caller.account, "params": call.params, "flattened": call.flattened,
            "language": call.language, "body": call.body.len(),
        }})))
    }
}

/// Four keys: the vectors', an operator's, one that is switched off, and a token.
pub struct Keys;

#[async_trait]
impl Accounts for Keys {
    async fn by_access_key(&self, id: &str) -> Result<Option<AccountKey>, AccountsError> {
        let (account, active, operator) = match id {
            "AKIDTEST" => ("a1", true, false),
            "AKIDOPERATOR" => ("a0", true, true),
            "AKIDOFF" => ("a2", false, false),
            "AKIDBROKEN" => return Err(AccountsError("the disk is gone".into())),
            _ => return Ok(None),
        };
        let secret = Secret::new(if operator { "sk-operator" } else { "sk-test" });
        Ok(Some(AccountKey {
            account: account.into(),
            secret,
            active,
            operator,
            app_id: "1250000000".into(),
        }))
    }
    async fn by_token(&self, token: &str) -> Result<Option<AccountKey>, AccountsError> {
        if token == "token-1" { self.by_access_key("AKIDTEST").await } else { Ok(None) }
    }
}

pub fn doors() -> Vec<Arc<dyn Door>> {
    let door = |cloud, service, versions| Arc::new(Echo { cloud, service, versions }) as Arc<dyn Door>;
    vec![
        door(Cloud::Tencent, "cfs", &["2019-07-19"]),
        door(Cloud::Tencent, "vpc", &["2017-03-12"]),
        door(Cloud::Alibaba, "nas", &["2017-06-26"]),
        door(Cloud::Huawei, "dis", &[]),
        door(Cloud::Operator, "wharf", &["v1"]),
    ]
}

pub fn gate_at(seconds: i64) -> (Gate, Clock) {
    gate_with(GateConfig::default(), seconds)
}

pub fn gate_with(config: GateConfig, seconds: i64) -> (Gate, Clock) {
    let clock = Clock::manual(Micros::from_seconds(seconds));
    (Gate::new(config, Arc::new(Keys), doors(), clock.clone()), clock)
}

pub type Headers = Vec<(&'static str, String)>;

/// Sends one request; `None` when it can't even be written down.
pub async fn send(
    gate: &Gate,
    method: &str,
    uri: &str,
    headers: &Headers,
    body: &[u8],
) -> Option<Response<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (k, v) in headers {
        request = request.header(*k, v.as_bytes());
    }
    let (head, ()) = request.body(()).ok()?.into_parts();
    Some(gate.handle(head, Bytes::copy_from_slice(body), None).await)
}

pub fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or(Value::Null)
}

/// The error code of any cloud's envelope; `None` for success.
pub fn code(response: &Response<Bytes>) -> Option<String> {
    let v = json_of(response);
    let at = ["/Response/Error/Code", "/Code", "/error_code"].iter().find_map(|p| v.pointer(p));
    at.and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| (response.status() == 404).then(|| "404".to_owned()))
}

/// What the echo saw.
pub fn seen(response: &Response<Bytes>) -> Value {
    let v = json_of(response);
    v.pointer("/Response/Seen").or_else(|| v.get("Seen")).cloned().unwrap_or(Value::Null)
}
