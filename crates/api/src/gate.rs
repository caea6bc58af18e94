//! From a received request to an answer: route, verify, guard, call the door, put it in the envelope.
//!
//! The gate has no socket. [`crate::server`] gives it heads and bodies; tests give it both directly.
//! One file per cloud says in which order that cloud's gateway looks at things and with which words
//! it refuses.

mod alibaba;
mod huawei;
mod route;
mod tencent;

use crate::account::{AccountKey, Accounts, Caller};
use crate::call::{Call, Cloud, Door, Fault, Outcome};
use crate::envelope::{self, Wrapping};
use crate::guard::Guards;
use crate::sign::KeyCache;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderMap, Response};
use runtime::{Clock, Random};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Bounds on what a request may be.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest Tencent or operator body in bytes.
    pub tencent_body: usize,
    /// Largest Alibaba body in bytes.
    pub alibaba_body: usize,
    /// Largest Huawei body in bytes.
    pub huawei_body: usize,
    /// Deepest JSON nesting.
    pub json_depth: usize,
    /// Most headers of a request; one with more gets a bare 431.
    pub headers: usize,
    /// Most bytes of a request's head (at least 8 KiB); one with more gets a bare 431.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tencent_body: 10 << 20,
            alibaba_body: 8 << 20,
            huawei_body: 8 << 20,
            json_depth: 64,
            headers: 100,
            head_bytes: 128 << 10,
        }
    }
}

/// How strictly the gate admits.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Bounds on requests.
    pub limits: Limits,
    /// Requests a second that one account may make (0: no limit).
    pub rate_per_s: f64,
    /// Requests that an account may make at once after a pause.
    pub rate_burst: f64,
    /// Clock difference allowed to Tencent's clients, in seconds.
    pub tencent_skew_s: i64,
    /// Clock difference allowed to Alibaba's and Huawei's clients, in seconds.
    pub long_skew_s: i64,
    /// Accept `X-TC-Content-SHA256: UNSIGNED-PAYLOAD` and Huawei's like (the protocols allow it; the
    /// body then is not protected by the signature). Never accepted by the operator's door.
    pub unsigned_payload: bool,
    /// Base URL of Alibaba's `Recommend` field; the code is added as `?q=…`. Empty: the field is empty.
    pub recommend: String,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            rate_per_s: 0.0,
            rate_burst: 100.0,
            tencent_skew_s: 300,
            long_skew_s: 900,
            unsigned_payload: true,
            recommend: String::new(),
        }
    }
}

/// Why the socket refuses a request before the gate has it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The body is larger than the cloud's limit.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The body broke off.
    BrokenOff,
    /// Too many large bodies are being received.
    Busy,
}

/// Admits requests and answers them.
pub struct Gate {
    config: GateConfig,
    doors: Vec<Arc<dyn Door>>,
    accounts: Arc<dyn Accounts>,
    guards: Guards,
    keys: KeyCache,
    clock: Clock,
    random: Random,
}

/// A request that is being looked at.
struct Visit<'r> {
    head: &'r Parts,
    body: &'r Bytes,
    request_id: &'r str,
    source: Option<SocketAddr>,
}

impl Visit<'_> {
    /// The call with everything that the request and its key say by themselves; action, version and
    /// parameters are the cloud's to fill in.
    fn call(&self, door: &dyn Door, key: &AccountKey) -> Call {
        Call {
            cloud: door.cloud(),
            service: door.service().to_owned(),
            action: String::new(),
            version: String::new(),
            region: None,
            caller: Caller::from(key),
            access_key: String::new(),
            params: Value::Object(Map::new()),
            flattened: false,
            request_id: self.request_id.to_owned(),
            method: self.head.method.clone(),
            path: self.head.uri.path().to_owned(),
            query: self.head.uri.query().unwrap_or_default().to_owned(),
            headers: without_credentials(&self.head.headers),
            body: self.body.clone(),
            language: None,
            source: self.source,
        }
    }
}

/// What admission found out before the door is called.
struct Admitted {
    door: Arc<dyn Door>,
    call: Call,
}

impl Gate {
    /// A gate with these doors.
    #[must_use]
    pub fn new(
        config: GateConfig,
        accounts: Arc<dyn Accounts>,
        doors: Vec<Arc<dyn Door>>,
        clock: Clock,
    ) -> Self {
        let guards = Guards::new(&config);
        Self { config, doors, accounts, guards, keys: KeyCache::default(), clock, random: Random::system() }
    }

    /// Which cloud a request's head belongs to; `None` for pages, for no one, and for forms whose body
    /// must be seen first.
    #[must_use]
    pub fn cloud_of(&self, head: &Parts) -> Option<Cloud> {
        route::by_head(head)
    }

    /// Largest body that is received for this head.
    #[must_use]
    pub fn body_limit(&self, head: &Parts) -> usize {
        let limits = &self.config.limits;
        match route::by_head(head) {
            Some(Cloud::Tencent | Cloud::Operator) => limits.tencent_body,
            Some(Cloud::Alibaba) => limits.alibaba_body,
            Some(Cloud::Huawei) => limits.huawei_body,
            None if route::is_form(&head.headers) => limits.tencent_body.max(limits.alibaba_body),
            None => 0,
        }
    }

    /// Does this request belong to nobody but perhaps the pages?
    #[must_use]
    pub fn is_page(&self, head: &Parts) -> bool {
        route::by_head(head).is_none() && !route::is_form(&head.headers)
    }

    /// Answers one whole request.
    pub async fn handle(&self, head: Parts, body: Bytes, source: Option<SocketAddr>) -> Response<Bytes> {
        let started = Instant::now();
        let Some(cloud) = route::by_head(&head).or_else(|| route::by_form(&head, &body)) else {
            return route::nothing_here();
        };
        let wrapping = self.wrapping(cloud, &head.headers);
        let visit = Visit { head: &head, body: &body, request_id: &wrapping.request_id, source };
        let admitted = match cloud {
            Cloud::Tencent | Cloud::Operator => self.admit_tencent(cloud, &visit).await,
            Cloud::Alibaba => self.admit_alibaba(&visit).await,
            Cloud::Huawei => self.admit_huawei(&visit).await,
        };
        let mut seen = Seen { cloud, account: String::new(), action: String::new() };
        let outcome = match admitted {
            Ok(Admitted { door, call }) => {
                seen.account.clone_from(&call.caller.account);
                seen.action.clone_from(&call.action);
                open(door.as_ref(), call, &wrapping.request_id).await
            }
            Err(fault) => Err(fault),
        };
        let outcome = match outcome {
            Err(fault) if cloud == Cloud::Huawei && fault == Fault::internal() => Err(huawei::internal()),
            outcome => outcome,
        };
        seen.log(&outcome, started, &wrapping.request_id, source);
        envelope::answer(cloud, &outcome, &wrapping)
    }

    /// The answer to a request that the socket refuses, in the words of its cloud.
    #[must_use]
    pub fn refuse(&self, head: &Parts, refusal: Refusal) -> Response<Bytes> {
        let Some(cloud) = route::by_head(head) else { return route::refused(refusal) };
        let wrapping = self.wrapping(cloud, &head.headers);
        let fault = match cloud {
            Cloud::Tencent | Cloud::Operator => tencent::refusal(refusal),
            Cloud::Alibaba => alibaba::refusal(refusal),
            Cloud::Huawei => huawei::refusal(refusal),
        };
        tracing::info!(target: "access", cloud = cloud.name(), code = %fault.code, request_id = %wrapping.request_id, "refused");
        envelope::answer(cloud, &Err(fault), &wrapping)
    }

    fn wrapping(&self, cloud: Cloud, headers: &HeaderMap) -> Wrapping {
        let request_id = match cloud {
            Cloud::Tencent | Cloud::Operator => self.random.uuid(),
            Cloud::Alibaba => self.random.uuid().to_ascii_uppercase(),
            Cloud::Huawei => self.random.hex(32),
        };
        match cloud {
            Cloud::Alibaba => {
                let host = header(headers, "host").unwrap_or_default().to_owned();
                Wrapping { request_id, host, recommend: self.config.recommend.clone() }
            }
            _ => Wrapping { request_id, ..Wrapping::default() },
        }
    }

    fn now_s(&self) -> i64 {
        self.clock.now().seconds()
    }

    async fn key(&self, access_key: &str) -> Result<Option<AccountKey>, Fault> {
        self.accounts.by_access_key(access_key).await.map_err(|e| {
            tracing::error!(error = %e, "accounts failed");
            Fault::internal()
        })
    }

    /// Parses a JSON body: bounded depth, an object at the top. The text says what is wrong.
    fn json_object(&self, body: &[u8]) -> Result<Value, &'static str> {
        if body.trim_ascii().is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        if too_deep(body, self.config.limits.json_depth) {
            return Err("The request body is nested too deeply.");
        }
        match serde_json::from_slice(body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err("The request body must be a JSON object."),
            Err(_) => Err("The request body is not valid JSON."),
        }
    }
}

/// Calls the door; a panic in it is one failed request and no more.
async fn open(door: &dyn Door, call: Call, request_id: &str) -> Outcome {
    match AssertUnwindSafe(door.call(call)).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::error!(request_id, service = door.service(), "a door panicked");
            Err(Fault::internal())
        }
    }
}

/// What the access log tells: never a parameter.
struct Seen {
    cloud: Cloud,
    account: String,
    action: String,
}

impl Seen {
    fn log(&self, outcome: &Outcome, started: Instant, request_id: &str, source: Option<SocketAddr>) {
        let code = outcome.as_ref().err().map_or("ok", |f| f.code.as_ref());
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let source = source.map(|s| s.ip());
        tracing::info!(target: "access", cloud = self.cloud.name(), account = %self.account, action = %self.action,
            code, us, request_id, ?source, "request");
    }
}

/// A header as text; `None` when it is absent or no text.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A header that is there and not empty.
fn given<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    header(headers, name).filter(|v| !v.is_empty())
}

/// The headers that a door may see.
fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [
        "authorization",
        "x-auth-token",
        "x-tc-token",
        "x-acs-security-token",
        "x-acs-bearer-token",
        "x-security-token",
        "cookie",
        "proxy-authorization",
    ] {
        kept.remove(name);
    }
    kept
}

/// Scans brackets outside strings, so that depth is known before anything is built.
fn too_deep(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for b in json {
        if in_string {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match b {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Pairs with the last value of each name, sorted by name.
fn last_of_each(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    pairs.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
}

/// The value of a pair.
fn find<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_only_real_brackets() {
        assert!(!too_deep(br#"{"a":"[[[[[[","b":["\"[[["]}"#, 2));
        assert!(too_deep(b"[[[1]]]", 2) && !too_deep(b"[[],[],[]]", 2));
    }
}
