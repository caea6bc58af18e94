//! One call with what is needed to answer it, and the few things that several actions ask of it.

use std::collections::BTreeMap;

use crate::{Settings, fault};
use api::{Call, Fault, Operation, Params};
use control::{Caller, Control, ErrorKind};
use model::{AccountId, FlowLog, FlowLogId, NetworkKind};
use serde_json::Value;

/// Bytes of an identifier at most.
const MAX_ID: usize = 128;
/// Characters of a name and a description at most.
const MAX_NAME: usize = 60;
const MAX_DESCRIPTION: usize = 512;
/// Tags of one flow log, characters of a key, of a value.
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 127;
const MAX_TAG_VALUE: usize = 255;

/// One call.
pub struct Ask<'a> {
    /// The use cases.
    pub control: &'a Control,
    /// How the door presents itself.
    pub settings: &'a Settings,
    /// The call. One `Filter` stands in a list, as more would.
    pub call: Call,
    /// Who asks. Never as operator: what this door shows is the account's own.
    pub caller: Caller,
}

impl<'a> Ask<'a> {
    /// Puts a call together.
    pub fn new(control: &'a Control, settings: &'a Settings, mut call: Call) -> Self {
        // The SDK's model says one object, the product's pages show a list.
        if let Some(one) = call.params.get_mut("Filters").filter(|f| f.is_object()) {
            *one = Value::Array(vec![one.take()]);
        }
        let caller = Caller::account(AccountId(call.caller.account.clone()));
        Self { control, settings, call, caller }
    }

    /// Holds the request against the action's table.
    ///
    /// # Errors
    /// The first field that is unknown, missing, of the wrong type or refused.
    pub fn read(&self, operation: &Operation) -> Result<Params<'_>, Fault> {
        api::decode(operation, &self.call.params, self.call.flattened).map_err(|p| fault::of_field(&p))
    }

    /// A refusal of `control` in this action's words. What is internal goes to the log.
    pub fn fault(&self, error: &control::Error) -> Fault {
        if matches!(error.kind, ErrorKind::Internal) {
            tracing::error!(action = %self.call.action, request = %self.call.request_id, error = %error.message,
                "the call failed");
        }
        fault::of(&self.call.action, error)
    }

    /// The region that is spoken to.
    pub fn region(&self) -> &str {
        self.call.region.as_deref().unwrap_or_default()
    }

    /// `FlowLogId`, and the flow log that it names. `VpcId` has to be the flow log's, where it is given.
    ///
    /// # Errors
    /// `Malformed`, `ResourceNotFound`.
    pub async fn flow_log(&self, p: &Params<'_>) -> Result<FlowLog, Fault> {
        let id = flow_log_id(p.text("FlowLogId"), "FlowLogId")?;
        let found = self.control.flow_log(&self.caller, &id).await.map_err(|e| self.fault(&e))?;
        let vpc = vpc_id(p)?;
        if vpc.is_some_and(|vpc| found.kind != NetworkKind::Ccn && found.vpc != vpc) {
            let message = format!("There is no flow log {id} in this VPC.");
            return Err(fault::refuse(fault::NOT_FOUND, message));
        }
        Ok(found)
    }

    /// The same for what changes a flow log: `VpcId` is needed for all kinds but CCN.
    ///
    /// # Errors
    /// `Malformed`, `ResourceNotFound`.
    pub async fn flow_log_to_change(&self, p: &Params<'_>) -> Result<FlowLog, Fault> {
        let found = self.flow_log(p).await?;
        if found.kind != NetworkKind::Ccn && given(p, "VpcId").is_none() {
            let message = "The parameter `VpcId` is required for this type of resource.";
            return Err(fault::refuse(fault::MALFORMED, message));
        }
        Ok(found)
    }
}

/// A text that is present and not empty: SDKs send empty strings for what a user left out.
pub fn given<'p>(p: &Params<'p>, name: &str) -> Option<&'p str> {
    p.str(name).filter(|s| !s.is_empty())
}

/// Is this an identifier with this prefix?
fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    !rest.is_empty() && text.len() <= MAX_ID && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// An identifier with this prefix.
///
/// # Errors
/// `Malformed`.
pub fn identifier<'p>(text: &'p str, prefix: &str, field: &str) -> Result<&'p str, Fault> {
    if is_id(text, prefix) {
        return Ok(text);
    }
    let message = format!("The parameter `{field}` must be `{prefix}` followed by letters or digits.");
    Err(fault::refuse(fault::MALFORMED, message))
}

/// The identifier of a flow log.
///
/// # Errors
/// `Malformed`.
pub fn flow_log_id(text: &str, field: &str) -> Result<FlowLogId, Fault> {
    identifier(text, "fl-", field).map(FlowLogId::from)
}

/// `VpcId`, where it is given.
///
/// # Errors
/// `Malformed`.
pub fn vpc_id<'p>(p: &Params<'p>) -> Result<Option<&'p str>, Fault> {
    given(p, "VpcId").map(|vpc| identifier(vpc, "vpc-", "VpcId")).transpose()
}

/// `FlowLogName`.
///
/// # Errors
/// `Empty` or `Range`.
pub fn name<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let name = p.text("FlowLogName");
    if name.trim().is_empty() {
        return Err(fault::refuse(fault::EMPTY, "The parameter `FlowLogName` may not be empty."));
    }
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        let message = format!("The parameter `FlowLogName` may have {MAX_NAME} characters.");
        return Err(fault::refuse(fault::RANGE, message));
    }
    Ok(name)
}

/// `FlowLogDescription`.
///
/// # Errors
/// `Range`.
pub fn description<'p>(p: &Params<'p>) -> Result<&'p str, Fault> {
    let text = p.text("FlowLogDescription");
    if text.chars().count() > MAX_DESCRIPTION || text.contains('\0') {
        let message = format!("The parameter `FlowLogDescription` may have {MAX_DESCRIPTION} characters.");
        return Err(fault::refuse(fault::RANGE, message));
    }
    Ok(text)
}

/// `Period` in seconds, for a flow log of this kind.
///
/// # Errors
/// `Range`.
pub fn period(p: &Params<'_>, kind: NetworkKind) -> Result<Option<u32>, Fault> {
    let Some(period) = p.u64("Period") else { return Ok(None) };
    if kind != NetworkKind::Ccn {
        let message = "The parameter `Period` can only be given for the resource type CCN.";
        return Err(fault::refuse(fault::RANGE, message));
    }
    match period {
        60 => Ok(Some(60)),
        300 => Ok(Some(300)),
        600 => Ok(Some(600)),
        _ => {
            Err(fault::refuse(fault::RANGE, "The parameter `Period` must be one of: 60, 300, 600 (seconds)."))
        }
    }
}

/// One of the words of an enumeration, where it is given.
///
/// # Errors
/// `Range`, with all words.
pub fn word<T>(p: &Params<'_>, field: &str, of: &[(&'static str, T)]) -> Result<Option<T>, Fault>
where
    T: Copy,
{
    let Some(text) = given(p, field) else { return Ok(None) };
    if let Some((_, value)) = of.iter().find(|(word, _)| *word == text) {
        return Ok(Some(*value));
    }
    let words: Vec<&str> = of.iter().map(|(word, _)| *word).collect();
    let message = format!("The parameter `{field}` must be one of: {}.", words.join(", "));
    Err(fault::refuse(fault::RANGE, message))
}

/// `Tags`.
///
/// # Errors
/// The product's codes for tags.
pub fn tags(p: &Params<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let given = p.objects("Tags");
    if given.len() > MAX_TAGS {
        let message = format!("A flow log may have {MAX_TAGS} tags.");
        return Err(fault::refuse("LimitExceeded.TagKeyPerResourceExceeded", message));
    }
    let mut tags = BTreeMap::new();
    for tag in given {
        let (key, value) = (tag.text("Key"), tag.text("Value"));
        check_tag(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            let message = format!("The tag key `{key}` is there twice.");
            return Err(fault::refuse("InvalidParameterValue.TagDuplicateKey", message));
        }
    }
    Ok(tags)
}

fn check_tag(key: &str, value: &str) -> Result<(), Fault> {
    let refuse = |code, message: String| Err(fault::refuse(code, message));
    if key.is_empty() || key.chars().count() > MAX_TAG_KEY {
        let message = format!("A tag key has 1 to {MAX_TAG_KEY} characters.");
        return refuse("InvalidParameterValue.TagInvalidKeyLen", message);
    }
    let odd = |c: char| !(c.is_alphanumeric() || " +-=._:/@()[]（）【】".contains(c));
    if key.contains(odd) {
        return refuse(
            "InvalidParameterValue.TagInvalidKey",
            "A tag key has a character that may not be in it.".into(),
        );
    }
    if key.starts_with("qcs:") || key.starts_with("tencentcloud:") {
        let message = "Tag keys that begin with qcs: or tencentcloud: are the system's own.".into();
        return refuse("UnsupportedOperation.TagSystemReservedTagKey", message);
    }
    if value.chars().count() > MAX_TAG_VALUE || value.contains(odd) {
        let message =
            format!("A tag value has up to {MAX_TAG_VALUE} characters: letters, digits and a few signs.");
        return refuse("InvalidParameterValue.TagInvalidVal", message);
    }
    Ok(())
}
