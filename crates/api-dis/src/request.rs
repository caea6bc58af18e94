//! One call with what is needed to answer it: path, query and body as one object, and what several actions ask of it.

use std::borrow::Cow;
use std::sync::Arc;

use api::{Call, Fault, Operation};
use control::{Caller, Control, ErrorKind};
use http::Method;
use model::{AccountId, DisStream, Timestamp};
use serde_json::{Map, Value};

use crate::memory::Memory;
use crate::{DumpSettings, Settings, fault, route};

/// Bytes of a project's id at most.
const MAX_PROJECT: usize = 64;
/// Parameters of a query at most.
const MOST_PAIRS: usize = 100;
/// Bytes of a name in a path at most.
const MAX_NAME: usize = 256;

/// One call.
pub struct Ask<'a> {
    /// The use cases.
    pub control: &'a Control,
    /// The call.
    pub call: &'a Call,
    /// Who asks. Never as operator: what this door shows is the account's own.
    pub caller: Caller,
    /// How streams are dumped.
    pub dumps: &'a DumpSettings,
    /// What may be held at once.
    pub memory: &'a Memory,
    /// Names in the path.
    names: Vec<(&'static str, Cow<'a, str>)>,
}

/// The fields of a request, and what older SDKs send beside them.
pub struct Given {
    /// As the table has them.
    pub fields: Value,
    extras: Map<String, Value>,
}

impl Given {
    /// Something that only older SDKs send.
    pub fn extra(&self, name: &str) -> Option<&str> {
        self.extras.get(name).and_then(Value::as_str).filter(|v| !v.is_empty())
    }
}

impl<'a> Ask<'a> {
    /// Puts a call together.
    ///
    /// # Errors
    /// `DIS.4117` when it is not the account's project that it names.
    pub fn new(
        control: &'a Control,
        (settings, memory): (&'a Settings, &'a Memory),
        call: &'a Call,
    ) -> Result<Self, Fault> {
        let found = route::find(&call.method, &call.path)
            .ok_or_else(|| Fault::new(404, "APIGW.0101", "The API does not exist or is not published."))?;
        check_project(found.project, settings, call)?;
        let caller = Caller::account(AccountId(call.caller.account.clone()));
        let dumps = &settings.dumps;
        Ok(Self { control, call, caller, dumps, memory, names: found.names })
    }

    /// The value of a name in the path.
    pub fn name(&self, name: &str) -> &str {
        self.names.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v)
    }

    /// Holds the request against the action's table. `extras`: names that the table does not have and older SDKs send.
    ///
    /// # Errors
    /// The first field that is unknown, missing, of the wrong type or refused; an empty body where one is needed.
    pub fn read(&self, operation: &Operation, extras: &[&str]) -> Result<Given, Fault> {
        let has_body = matches!(self.call.method, Method::POST | Method::PUT);
        let body = match &self.call.params {
            Value::Object(body) if has_body => body.clone(),
            _ => Map::new(),
        };
        if has_body && body.is_empty() {
            return Err(fault::empty_request());
        }
        let mut fields = body;
        for (name, value) in self.query()? {
            fields.entry(name).or_insert(Value::String(value));
        }
        for (name, value) in &self.names {
            if value.len() > MAX_NAME {
                return Err(fault::invalid(format!("The parameter `{name}` is too long.")));
            }
            let value = Value::String(value.to_string());
            if let Some(other) = fields.insert((*name).to_owned(), value.clone())
                && !other.is_null()
                && other != value
            {
                return Err(fault::invalid(format!(
                    "The parameter `{name}` of the body is not that of the path."
                )));
            }
        }
        let is_extra =
            |name: &str| extras.contains(&name) && operation.request.iter().all(|f| f.name != name);
        let mut beside = Map::new();
        for name in fields.keys().filter(|n| is_extra(n)).cloned().collect::<Vec<_>>() {
            if let Some(value) = fields.remove(&name) {
                beside.insert(name, value);
            }
        }
        let fields = Value::Object(fields);
        // Numbers of the query are text, and the product's own parser takes them so in bodies too.
        api::decode(operation, &fields, true).map_err(|p| fault::of_field(&p))?;
        Ok(Given { fields, extras: beside })
    }

    fn query(&self) -> Result<Vec<(String, String)>, Fault> {
        let pairs = api::encode::pairs(&self.call.query);
        if pairs.len() > MOST_PAIRS {
            return Err(fault::invalid("There are too many parameters."));
        }
        Ok(pairs)
    }

    /// A refusal of `control` in the product's words. What is internal goes to the log.
    pub fn fault(&self, error: &control::Error) -> Fault {
        if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unreachable) {
            tracing::error!(action = %self.call.action, request = %self.call.request_id, error = %error.message,
                "the call failed");
        }
        fault::of(error)
    }

    /// One of the caller's streams, by its name or else its id.
    ///
    /// # Errors
    /// `DIS.4301`.
    pub async fn stream(&self, name: &str) -> Result<Arc<DisStream>, Fault> {
        self.control.dis_stream(&self.caller, name).await.map_err(|e| self.fault(&e))
    }

    /// The same, if it takes and gives records.
    ///
    /// # Errors
    /// `DIS.4301`, `DIS.4205`.
    pub async fn running(&self, name: &str) -> Result<Arc<DisStream>, Fault> {
        self.control.running_dis_stream(&self.caller, name).await.map_err(|e| self.fault(&e))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.control.clock().now().0)
    }
}

fn check_project(project: &str, settings: &Settings, call: &Call) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let is_id = (1..=MAX_PROJECT).contains(&project.len()) && project.bytes().all(plain);
    let header = call.headers.get("x-project-id").and_then(|v| v.to_str().ok());
    let own = settings.projects.get(&call.caller.account);
    if !is_id || header.is_some_and(|h| h != project) || own.is_some_and(|o| o != project) {
        return Err(fault::project());
    }
    Ok(())
}

/// A number of a page, between its bounds.
///
/// # Errors
/// `DIS.4200`.
pub fn limit(given: Option<i64>, usual: usize, most: usize) -> Result<usize, Fault> {
    let Some(n) = given else { return Ok(usual) };
    usize::try_from(n)
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| fault::invalid(format!("The parameter `limit` must be between 1 and {most}.")))
}
