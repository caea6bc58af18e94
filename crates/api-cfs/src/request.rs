//! One call with what is needed to answer it, and the few things that several actions ask of it.

use crate::translate::attributes;
use crate::{Settings, fault};
use api::{Call, Cloud, Fault, Operation, Params};
use control::{Caller, Control, Page};
use model::{
    AccountId, Credentials, Door, FileSystem, FileSystemId, Flow, FlowId, Product, Task, TaskId, Timestamp,
};

/// Filters in one request at most.
const MAX_FILTERS: usize = 10;
/// Values of one filter at most.
const MAX_VALUES: usize = 100;
/// Bytes of a key id or secret at most.
const MAX_SECRET: usize = 1024;

/// One call.
pub struct Ask<'a> {
    /// The use cases.
    pub control: &'a Control,
    /// How the door presents itself.
    pub settings: &'a Settings,
    /// The call.
    pub call: &'a Call,
    /// Who asks. Never as operator: what this door shows is the account's own.
    pub caller: Caller,
}

impl<'a> Ask<'a> {
    /// Puts a call together.
    pub fn new(control: &'a Control, settings: &'a Settings, call: &'a Call) -> Self {
        let caller = Caller::account(AccountId(call.caller.account.clone()));
        Self { control, settings, call, caller }
    }

    /// Holds the request against the action's table.
    ///
    /// # Errors
    /// The first field that is unknown, missing, of the wrong type or refused.
    pub fn params(&self, operation: &Operation) -> Result<Params<'a>, Fault> {
        api::decode(operation, &self.call.params, self.call.flattened).map_err(|p| p.fault(Cloud::Tencent))
    }

    /// A refusal of `control` in this action's words. What is internal goes to the log.
    pub fn fault(&self, error: &control::Error) -> Fault {
        if matches!(error.kind, control::ErrorKind::Internal) {
            tracing::error!(action = %self.call.action, request = %self.call.request_id, error = %error.message,
                "the call failed");
        }
        fault::of(&self.call.action, error)
    }

    /// A CFS file system of the catalogue.
    ///
    /// # Errors
    /// [`fault::FILE_SYSTEM_ID`] for a bad form, the action's own code where there is none.
    pub async fn file_system(&self, id: &str) -> Result<FileSystem, Fault> {
        if !crate::translate::ids::is_file_system_id(id) {
            return Err(fault::refuse(
                fault::FILE_SYSTEM_ID,
                "The FileSystemId must have the form cfs-xxxxxxxx.",
            ));
        }
        match self.control.file_system(&FileSystemId::from(id)).await {
            Ok(fs) if fs.product == Product::Cfs => Ok(fs),
            Ok(_) => Err(self.fault(&control::Error::not_found(control::Noun::FileSystem, id))),
            Err(e) => Err(self.fault(&e)),
        }
    }

    /// A flow that was made through this door, and lies on `file_system` where that is given.
    ///
    /// # Errors
    /// [`fault::FLOW_ID`] for a bad form, an unknown flow or one of another file system;
    /// [`fault::FILE_SYSTEM_ID`] and the like for the file system itself.
    pub async fn flow(&self, id: &str, file_system: Option<&str>) -> Result<Flow, Fault> {
        let unknown = || fault::refuse(fault::FLOW_ID, "There is no such data flow.");
        if !crate::translate::ids::is_flow_id(id) {
            return Err(fault::refuse(
                fault::FLOW_ID,
                "The DataFlowId must have the form cfs-dataflow-xxxxxxxx.",
            ));
        }
        if let Some(id) = file_system {
            self.file_system(id).await?;
        }
        let flow = self.control.flow(&self.caller, &FlowId::from(id)).await.map_err(|e| match e.kind {
            control::ErrorKind::NotFound(_) => unknown(),
            _ => self.fault(&e),
        })?;
        let here = file_system.is_none_or(|fs| flow.directory.file_system.as_str() == fs);
        if flow.door == Door::Cfs && here { Ok(flow) } else { Err(unknown()) }
    }

    /// A task of one family that was made through this door.
    ///
    /// # Errors
    /// `code` where there is none.
    pub async fn task(&self, id: &str, family: &str, code: &'static str) -> Result<Task, Fault> {
        let unknown = || fault::refuse(code, "There is no such task.");
        let task = self.control.task(&self.caller, &TaskId::from(id)).await.map_err(|e| match e.kind {
            control::ErrorKind::NotFound(_) => unknown(),
            _ => self.fault(&e),
        })?;
        let ours = task.attributes.get(attributes::FAMILY).is_some_and(|f| f == family);
        if task.door == Door::Cfs && ours { Ok(task) } else { Err(unknown()) }
    }

    /// An access key pair, its secret half sealed at once.
    ///
    /// # Errors
    /// `code` where one half is missing, too long or not printable ASCII.
    pub fn credentials(&self, id: &str, secret: &str, code: &'static str) -> Result<Credentials, Fault> {
        let usable = |s: &str| (1..=MAX_SECRET).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic());
        if usable(id) && usable(secret) {
            return Ok(Credentials { access_key_id: id.to_owned(), secret: self.control.seal(secret) });
        }
        Err(fault::refuse(code, "The key pair is incomplete or has characters that no key has."))
    }

    /// A time in the product's form.
    pub fn time(&self, at: Timestamp) -> String {
        crate::translate::times::text(at, self.settings.utc_offset_s)
    }

    /// The address of a report file; empty where there is none.
    pub fn report_url(&self, task: &TaskId, file: Option<&str>) -> String {
        let (Some(file), Some(base)) = (file, self.base_url()) else { return String::new() };
        let token = self.control.report_token(task, file);
        format!("{base}/reports/{task}/{file}?token={token}")
    }

    /// `http(s)://host[:port]` as the client knows this server.
    fn base_url(&self) -> Option<String> {
        if let Some(url) = &self.settings.public_url {
            return Some(url.trim_end_matches('/').to_owned());
        }
        let host = self.call.headers.get("host").and_then(|h| h.to_str().ok())?;
        let host = host_of(host)?;
        let scheme = if self.settings.tls { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }
}

/// The authority in a `Host` header. Some SDKs put their whole endpoint there, with scheme or path.
fn host_of(header: &str) -> Option<&str> {
    let rest = header.strip_prefix("http://").or_else(|| header.strip_prefix("https://")).unwrap_or(header);
    let host = rest.split('/').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(plain)).then_some(host)
}

/// A text that is present and not empty: SDKs send empty strings for what a user left out.
pub fn given<'p>(params: &Params<'p>, name: &str) -> Option<&'p str> {
    params.str(name).filter(|s| !s.is_empty())
}

/// `Offset` and `Limit`.
///
/// # Errors
/// `InvalidParameterValue` for a limit of 0 or above `max`, or a negative number.
pub fn page(params: &Params<'_>, default: u64, max: u64) -> Result<Page, Fault> {
    let number = |name: &str, default: u64| match params.i64(name) {
        None if params.has(name) => params.u64(name).ok_or_else(|| out_of_range(name)),
        None => Ok(default),
        Some(n) => u64::try_from(n).map_err(|_| out_of_range(name)),
    };
    let (offset, limit) = (number("Offset", 0)?, number("Limit", default)?);
    if limit == 0 || limit > max {
        return Err(fault::value(format!("The Limit must be between 1 and {max}.")));
    }
    Ok(Page { offset, limit, newest_first: true })
}

fn out_of_range(name: &str) -> Fault {
    fault::value(format!("The parameter {name} is out of range."))
}

/// `Filters` as names and values, bounded.
///
/// # Errors
/// `InvalidParameterValue` for too many of either, or a filter without values.
pub fn filters<'p>(params: &Params<'p>) -> Result<Vec<(&'p str, Vec<&'p str>)>, Fault> {
    let list = params.objects("Filters");
    if list.len() > MAX_FILTERS {
        return Err(fault::value(format!("There may be {MAX_FILTERS} filters.")));
    }
    list.iter()
        .map(|f| {
            let (name, values) = (f.text("Name"), f.strs("Values"));
            if values.is_empty() || values.len() > MAX_VALUES {
                return Err(fault::value(format!("The filter {name} must have 1 to {MAX_VALUES} values.")));
            }
            Ok((name, values))
        })
        .collect()
}

/// A text of at most `max` bytes without control characters; empty when absent.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn bounded<'p>(params: &Params<'p>, name: &str, max: usize) -> Result<&'p str, Fault> {
    let text = params.text(name);
    if text.len() > max || text.chars().any(char::is_control) {
        return Err(fault::value(format!(
            "The parameter {name} may have {max} bytes, none of them a control character."
        )));
    }
    Ok(text)
}

/// The filter objects of three actions.
pub const FILTER: &[api::Field] = &[
    api::Field::new("Values", api::Ty::List(&api::Ty::Str)).required(),
    api::Field::new("Name", api::Ty::Str).required(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts() {
        for (given, want) in [
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("127.0.0.1:8080/tencent", Some("127.0.0.1:8080")),
            ("[::1]:80", Some("[::1]:80")),
            ("", None),
            ("a b", None),
            ("a\"><x", None),
        ] {
            assert_eq!(host_of(given), want, "{given}");
        }
    }

    #[test]
    fn pages() {
        let read =
            |v: serde_json::Value| page(&Params::unchecked(&v, false), 20, 100).map(|p| (p.offset, p.limit));
        assert_eq!(read(json!({})).unwrap(), (0, 20));
        assert_eq!(read(json!({"Offset": 5, "Limit": 100})).unwrap(), (5, 100));
        for bad in [json!({"Limit": 0}), json!({"Limit": 101}), json!({"Limit": -1}), json!({"Offset": -1})] {
            assert_eq!(read(bad).unwrap_err().code, "InvalidParameterValue");
        }
    }

    #[test]
    fn filters_have_bounds() {
        let v = json!({"Filters": [{"Name": "a", "Values": ["1", "2"]}]});
        assert_eq!(filters(&Params::unchecked(&v, false)).unwrap(), [("a", vec!["1", "2"])]);
        let many = vec!["x"; 101];
        for bad in [json!([{"Name": "a", "Values": []}]), json!([{"Name": "a", "Values": many}])] {
            let v = json!({"Filters": bad});
            assert!(filters(&Params::unchecked(&v, false)).is_err());
        }
        let v = json!({"Filters": vec![json!({"Name": "a", "Values": ["1"]}); 11]});
        assert!(filters(&Params::unchecked(&v, false)).is_err());
    }
}
