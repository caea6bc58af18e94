//! `TransformsParam` and `TransformParam`: handed on as they are, in the transform's own JSON.

use super::{ends, failures};
use crate::fault;
use crate::request::Ask;
use api::{Fault, Params};
use model::OnFailure;
use serde_json::{Value, json};

/// Bytes of a transform at most.
const MAX_TRANSFORM: usize = 256 * 1024;

/// What is done to records on their way.
pub struct Transform {
    /// The transform's JSON; `None` = nothing.
    pub text: Option<String>,
    /// What becomes of records that it can't take.
    pub on_failure: OnFailure,
}

/// The request's transform. Where both forms are given the newer one counts. The older form always says what becomes of a
/// failure; where the newer one does not, records are kept in the dead-letter desk: the task goes on and nothing is lost.
///
/// # Errors
/// In the vendor's words.
pub async fn read(ask: &Ask<'_>, request: &Params<'_>) -> Result<Transform, Fault> {
    let newer = request.get("TransformsParam").map(|v| ("TransformsParam", "transforms_param", v));
    let older = request.get("TransformParam").map(|v| ("TransformParam", "transform_param", v));
    let Some((field, name, value)) = newer.or(older) else {
        return Ok(Transform { text: None, on_failure: OnFailure::Block });
    };
    let on_failure = match Params::unchecked(value, false).object("FailureParam") {
        Some(p) => failures::read(ask, &p, &format!("{field}.FailureParam")).await?,
        None => ends::kept(),
    };
    Ok(Transform { text: Some(text(field, name, value)?), on_failure })
}

fn text(field: &str, name: &str, value: &Value) -> Result<String, Fault> {
    let text = json!({ name: value }).to_string();
    if text.len() > MAX_TRANSFORM {
        return Err(fault::value(format!("The parameter `{field}` may have {MAX_TRANSFORM} bytes.")));
    }
    Ok(text)
}
