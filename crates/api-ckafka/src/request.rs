//! One call with what is needed to answer it, and the few things that several actions ask of it.

use std::collections::BTreeMap;

use crate::translate::times;
use crate::{Settings, fault, shape};
use api::{Call, Fault, Operation, Params};
use control::{Caller, Control, ErrorKind, Page};
use model::{AccountId, Connection, ConnectionId, Pipeline, PipelineId, Timestamp};
use serde_json::Value;

/// Tags of one thing at most.
const MAX_TAGS: usize = 50;
/// Bytes of a tag's key or value at most.
const MAX_TAG: usize = 255;
/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 128;
/// Bytes of an identifier at most.
pub const MAX_ID: usize = 128;

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

    /// Holds the request against the action's table and gives it in its JSON form.
    ///
    /// # Errors
    /// The first field that is unknown, missing, of the wrong type or refused.
    pub fn read(&self, operation: &Operation) -> Result<Value, Fault> {
        api::decode(operation, &self.call.params, self.call.flattened).map_err(|p| fault::of_field(&p))?;
        Ok(shape::plain(operation.request, &self.call.params, self.call.flattened))
    }

    /// A refusal of `control` in this action's words. What is internal goes to the log.
    pub fn fault(&self, error: &control::Error) -> Fault {
        if matches!(error.kind, ErrorKind::Internal) {
            tracing::error!(action = %self.call.action, request = %self.call.request_id, error = %error.message,
                "the call failed");
        }
        fault::of(&self.call.action, error)
    }

    /// A connection of the caller's, or one that the operator has declared; `None` where there is none.
    ///
    /// # Errors
    /// What else goes wrong.
    pub async fn find_connection(&self, id: &str) -> Result<Option<Connection>, Fault> {
        match self.control.connection(&self.caller, &ConnectionId::from(id)).await {
            Ok(found) => Ok(Some(found)),
            Err(e) if matches!(e.kind, ErrorKind::NotFound(_)) => Ok(None),
            Err(e) => Err(self.fault(&e)),
        }
    }

    /// A task.
    ///
    /// # Errors
    /// The action's own code where there is none.
    pub async fn task(&self, id: &str) -> Result<Pipeline, Fault> {
        self.control.pipeline(&self.caller, &self.task_id(id)?).await.map_err(|e| self.fault(&e))
    }

    /// A task's identifier. What can't be one is one of nothing.
    ///
    /// # Errors
    /// As for a task that is not there.
    pub fn task_id(&self, id: &str) -> Result<PipelineId, Fault> {
        if id.is_empty() || id.len() > MAX_ID {
            return Err(self.fault(&control::Error::not_found(control::Noun::Pipeline, shortened(id))));
        }
        Ok(PipelineId::from(id))
    }

    /// A time in the product's form.
    pub fn time(&self, at: Timestamp) -> String {
        times::text(at, self.settings.utc_offset_s)
    }
}

/// An identifier for a message: its first characters.
fn shortened(id: &str) -> String {
    id.chars().take(MAX_ID).collect()
}

/// A text that is present and not empty: SDKs send empty strings for what a user left out.
pub fn given<'p>(params: &Params<'p>, name: &str) -> Option<&'p str> {
    params.str(name).filter(|s| !s.is_empty())
}

/// The same, required. `at` is the path of the object.
///
/// # Errors
/// `InvalidParameterValue.NotAllowedEmpty`.
pub fn needed<'p>(params: &Params<'p>, at: &str, name: &str) -> Result<&'p str, Fault> {
    given(params, name).ok_or_else(|| fault::empty(&path(at, name)))
}

/// `a.b`, or `b`.
pub fn path(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// A number between two bounds, where it is given.
///
/// # Errors
/// `code` outside of them.
pub fn ranged(
    params: &Params<'_>,
    name: &str,
    (least, most): (u64, u64),
    code: &'static str,
) -> Result<Option<u64>, Fault> {
    let Some(value) = params.get(name) else { return Ok(None) };
    match value.as_u64().filter(|n| (least..=most).contains(n)) {
        Some(n) => Ok(Some(n)),
        None => {
            Err(fault::refuse(code, format!("The parameter `{name}` must be between {least} and {most}.")))
        }
    }
}

/// One of these words, or the first of them; letters of either case.
///
/// # Errors
/// `InvalidParameterValue`, with all words.
pub fn one_of(
    params: &Params<'_>,
    at: &str,
    name: &str,
    words: &[&'static str],
) -> Result<&'static str, Fault> {
    let Some(text) = given(params, name) else { return Ok(words.first().copied().unwrap_or_default()) };
    words.iter().find(|w| w.eq_ignore_ascii_case(text)).copied().ok_or_else(|| {
        fault::value(format!("The parameter `{}` must be one of: {}.", path(at, name), words.join(", ")))
    })
}

/// `Offset` and `Limit`; a limit above `max` is `max`, as with the product.
///
/// # Errors
/// `code` for a limit of 0 or a negative number.
pub fn page(params: &Params<'_>, default: u64, max: u64, code: &'static str) -> Result<Page, Fault> {
    let number = |name: &str, default: u64| match params.get(name) {
        None => Ok(default),
        Some(v) => v
            .as_u64()
            .ok_or_else(|| fault::refuse(code, format!("The parameter `{name}` may not be negative."))),
    };
    let (offset, limit) = (number("Offset", 0)?, number("Limit", default)?);
    if limit == 0 {
        return Err(fault::refuse(code, "The parameter `Limit` must be at least 1."));
    }
    Ok(Page { offset, limit: limit.min(max), newest_first: true })
}

/// `Description`.
///
/// # Errors
/// `InvalidParameterValue` when it is too long.
pub fn description<'p>(params: &Params<'p>) -> Result<&'p str, Fault> {
    let text = params.text("Description");
    if text.chars().count() > MAX_DESCRIPTION
        || text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(fault::value(format!(
            "The parameter `Description` may have {MAX_DESCRIPTION} characters."
        )));
    }
    Ok(text)
}

/// `Tags`, with the code for too many or too long ones.
///
/// # Errors
/// `code`.
pub fn tags(params: &Params<'_>, code: &'static str) -> Result<BTreeMap<String, String>, Fault> {
    let given = params.objects("Tags");
    let fits = |t: &Params<'_>| {
        let (key, value) = (t.text("TagKey"), t.text("TagValue"));
        !key.is_empty() && key.len() <= MAX_TAG && value.len() <= MAX_TAG
    };
    if given.len() > MAX_TAGS || !given.iter().all(fits) {
        return Err(fault::refuse(
            code,
            format!(
                "The parameter `Tags` may have {MAX_TAGS} tags, with a key and {MAX_TAG} bytes in each part."
            ),
        ));
    }
    Ok(given.iter().map(|t| (t.text("TagKey").to_owned(), t.text("TagValue").to_owned())).collect())
}

/// Tags as the product writes them.
pub fn shown_tags(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| serde_json::json!({"TagKey": key, "TagValue": value})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_are_clamped() {
        let read = |v: Value| {
            page(&Params::unchecked(&v, false), 20, 100, fault::VALUE).map(|p| (p.offset, p.limit))
        };
        assert_eq!(read(json!({})).unwrap(), (0, 20));
        assert_eq!(read(json!({"Offset": 5, "Limit": 100})).unwrap(), (5, 100));
        assert_eq!(read(json!({"Limit": 5000})).unwrap(), (0, 100), "above is clamped, not an error");
        for bad in [json!({"Limit": 0}), json!({"Limit": -1}), json!({"Offset": -1})] {
            assert_eq!(read(bad).unwrap_err().code, "InvalidParameterValue");
        }
    }

    #[test]
    fn words_and_tags() {
        let v = json!({"A": "b", "E": ""});
        let p = Params::unchecked(&v, false);
        assert_eq!(one_of(&p, "", "A", &["X", "B"]).unwrap(), "B");
        assert_eq!(one_of(&p, "", "E", &["X", "B"]).unwrap(), "X");
        assert!(one_of(&p, "R", "A", &["X"]).unwrap_err().message.contains("`R.A`"));
        assert_eq!(needed(&p, "R", "E").unwrap_err().code, fault::EMPTY);
        let many = json!({"Tags": vec![json!({"TagKey": "k", "TagValue": "v"}); 51]});
        for bad in [many, json!({"Tags": [{"TagKey": "", "TagValue": "v"}]})] {
            assert!(tags(&Params::unchecked(&bad, false), fault::VALUE).is_err());
        }
        let good = json!({"Tags": [{"TagKey": "k", "TagValue": "v"}]});
        let read = tags(&Params::unchecked(&good, false), fault::VALUE).unwrap();
        assert_eq!(shown_tags(&read), good["Tags"]);
    }
}
