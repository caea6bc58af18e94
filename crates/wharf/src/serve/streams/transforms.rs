//! The transform's JSON as pipelines keep it: the product's own object under the name of its field.

use connector::records::Problem;
use serde_json::Value;
use transform::{Chain, Spec};

/// Reads `{"transforms_param": {…}}` or `{"transform_param": {…}}` and compiles it.
///
/// # Errors
/// Every problem, in the product's words.
pub fn chain(text: &str) -> Result<Chain, Vec<Problem>> {
    let one = |reason: &str| vec![Problem { field: String::new(), reason: reason.to_owned() }];
    let value: Value = serde_json::from_str(text).map_err(|_| one("is not JSON"))?;
    let read = match (value.get("transforms_param"), value.get("transform_param")) {
        (Some(param), _) => Spec::from_transforms_param(param),
        (None, Some(param)) => Spec::from_transform_param(param),
        (None, None) => return Err(one("has neither transforms_param nor transform_param")),
    };
    let ours = |problems: Vec<transform::Problem>| {
        problems.into_iter().map(|p| Problem { field: p.field, reason: p.reason }).collect::<Vec<_>>()
    };
    Chain::compile(&read.map_err(ours)?).map_err(ours)
}
