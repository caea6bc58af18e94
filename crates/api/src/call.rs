//! What a door sees of a request, and what it answers.

use crate::account::Caller;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

/// Whose conventions a request follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Tencent API 3.0.
    Tencent,
    /// Alibaba OpenAPI (RPC style).
    Alibaba,
    /// Huawei Cloud REST.
    Huawei,
    /// Our own operator's API, with Tencent's signature and envelope.
    Operator,
}

impl Cloud {
    /// Lower-case name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tencent => "tencent",
            Self::Alibaba => "alibaba",
            Self::Huawei => "huawei",
            Self::Operator => "operator",
        }
    }
}

/// One admitted request: routed, its signature verified, its parameters decoded.
///
/// Its `Debug` shows neither parameters nor body nor headers: they may hold secrets.
#[derive(Clone)]
pub struct Call {
    /// Whose conventions it follows.
    pub cloud: Cloud,
    /// The door's service (`cfs`, `nas`, `wharf`, …).
    pub service: String,
    /// One of the door's actions.
    pub action: String,
    /// One of the door's versions.
    pub version: String,
    /// Region, where the client named one.
    pub region: Option<String>,
    /// Who calls.
    pub caller: Caller,
    /// Access key id that signed the request; empty with token authentication.
    pub access_key: String,
    /// The parameters: always `Value::Object`. JSON bodies as they came; flattened forms nested again,
    /// with string leaves (see [`crate::flatten`]).
    pub params: Value,
    /// Were the parameters flattened, so that numbers and booleans are strings? Pass it to
    /// [`crate::field::decode`].
    pub flattened: bool,
    /// The request's id, as the answer will carry it.
    pub request_id: String,
    /// HTTP method.
    pub method: http::Method,
    /// Path as received.
    pub path: String,
    /// Query string as received, without `?`.
    pub query: String,
    /// Headers without credentials.
    pub headers: http::HeaderMap,
    /// The body as received (Huawei's records may be protobuf).
    pub body: Bytes,
    /// Language that the client prefers (`zh-CN`, `en-US`), where it said so.
    pub language: Option<String>,
    /// The client's address; `None` in tests without a socket.
    pub source: Option<SocketAddr>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("cloud", &self.cloud)
            .field("service", &self.service)
            .field("action", &self.action)
            .field("account", &self.caller.account)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A successful answer; the kit adds the request id and the cloud's envelope. Its `Debug` shows no
/// content: an answer may hold a new secret.
#[derive(Clone)]
pub enum Reply {
    /// Response fields without `RequestId`.
    Fields(Map<String, Value>),
    /// The same as JSON text of one object, `{…}`, for answers that are worth serialising directly.
    /// It must not hold `RequestId`.
    Raw(Vec<u8>),
    /// A REST answer with its own status; the body goes out as it is (empty: no body, no type).
    Rest {
        /// HTTP status.
        status: u16,
        /// Content type of the body.
        content_type: &'static str,
        /// The body.
        body: Bytes,
    },
    /// One of the above with a header of ours (`x-wharf-…`): what the vendor's model has no field for.
    Noted {
        /// The answer.
        reply: Box<Reply>,
        /// The header's name, lower-case.
        header: &'static str,
        /// Its value.
        value: String,
    },
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(fields) => f.debug_tuple("Fields").field(&fields.len()).finish(),
            Self::Raw(text) => f.debug_tuple("Raw").field(&text.len()).finish(),
            Self::Rest { status, body, .. } => {
                f.debug_tuple("Rest").field(status).field(&body.len()).finish()
            }
            Self::Noted { reply, header, .. } => f.debug_tuple("Noted").field(reply).field(header).finish(),
        }
    }
}

impl Reply {
    /// No fields but the request id.
    #[must_use]
    pub fn empty() -> Self {
        Self::Fields(Map::new())
    }

    /// The same answer with a header of ours.
    #[must_use]
    pub fn with_header(self, header: &'static str, value: String) -> Self {
        Self::Noted { reply: Box::new(self), header, value }
    }

    /// Serialises `fields` (a struct or map without `RequestId`) straight to text.
    ///
    /// # Errors
    /// When the value can't be JSON or is not an object.
    pub fn from_serialize(fields: &impl Serialize) -> Result<Self, Fault> {
        match serde_json::to_vec(fields) {
            Ok(text) if text.first() == Some(&b'{') => Ok(Self::Raw(text)),
            _ => Err(Fault::internal()),
        }
    }
}

impl From<Map<String, Value>> for Reply {
    fn from(fields: Map<String, Value>) -> Self {
        Self::Fields(fields)
    }
}

impl From<Value> for Reply {
    /// An object's fields; anything else becomes no fields.
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self::Fields(fields),
            _ => Self::empty(),
        }
    }
}

/// A refusal in the vendor's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status for Alibaba and Huawei; Tencent always answers 200.
    pub http: u16,
    /// The vendor's error code.
    pub code: Cow<'static, str>,
    /// What is wrong, for people. Never a secret, never an internal detail.
    pub message: String,
    /// Milliseconds after which a retry makes sense (Alibaba `x-acs-retry-after`).
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    /// A fault with an HTTP status (Alibaba, Huawei).
    pub fn new(http: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { http, code: code.into(), message: message.into(), retry_after_ms: None }
    }

    /// A fault of a cloud that always answers 200 (Tencent, operator).
    pub fn tencent(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(200, code, message)
    }

    /// Something of ours failed; the reason is in the log under the request id.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            500,
            "InternalError",
            "an internal error occurred; see the server's log for this request id",
        )
    }

    /// The same fault with a hint when to try again.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// What a door answers.
pub type Outcome = Result<Reply, Fault>;

/// One product's API. The kit has verified who calls and that `service`, `version` and `action` are
/// the door's own; parameters are only decoded, never checked, before [`crate::field::decode`].
#[async_trait]
pub trait Door: Send + Sync {
    /// The cloud whose conventions it follows.
    fn cloud(&self) -> Cloud;

    /// Service name as in the credential scope (`cfs`, `nas`, `wharf`).
    fn service(&self) -> &'static str;

    /// Versions that it answers (`2019-07-19`). The operator's and REST doors may leave it empty.
    fn versions(&self) -> &'static [&'static str];

    /// Actions that it answers.
    fn actions(&self) -> &'static [&'static str];

    /// REST doors (Huawei): the action that a method and path name, or `None` for no such API.
    fn route(&self, _method: &http::Method, _path: &str) -> Option<&'static str> {
        None
    }

    /// REST doors: does this action read its body itself? Then [`Call::params`] stays empty, and no JSON is built of it.
    fn takes_raw(&self, _action: &str) -> bool {
        false
    }

    /// Answers one call. It may be dropped when the server stops and the grace is over.
    async fn call(&self, call: Call) -> Outcome;
}
