//! What a server says to a bulk.

use std::collections::HashMap;

use connector::{Error, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

/// Parts of an answer that are asked for. Every item keeps its place because its status is among them.
pub(crate) const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";
/// In this many bytes from the start `"errors":false` is looked for.
const HEAD: usize = 100;

/// What became of one action.
#[derive(Debug)]
pub(crate) enum Verdict {
    Done,
    /// Never, for this reason.
    Refused(String),
    /// Perhaps later.
    Again(ErrorKind, String),
    /// Not as long as nobody does something.
    Over(Error),
}

#[derive(Deserialize)]
struct BulkText {
    errors: bool,
    #[serde(default)]
    items: Vec<HashMap<String, ItemText>>,
}

#[derive(Deserialize)]
struct ItemText {
    status: u16,
    error: Option<Value>,
}

/// Reads the answer to `n` actions. `Ok(None)`: all is well.
///
/// # Errors
/// An answer that does not fit the question, in words.
pub(crate) fn read(body: &[u8], n: usize) -> Result<Option<Vec<Verdict>>, String> {
    if all_well(body) {
        return Ok(None);
    }
    let text: BulkText =
        serde_json::from_slice(body).map_err(|e| format!("the answer is no bulk answer: {e}"))?;
    if !text.errors {
        return Ok(None);
    }
    if text.items.len() != n {
        return Err(format!("the answer speaks of {} actions, sent were {n}", text.items.len()));
    }
    let verdicts = text.items.into_iter().map(|item| item.into_iter().next().map(verdict));
    verdicts
        .collect::<Option<_>>()
        .map(Some)
        .ok_or_else(|| "the answer has an item without a name".to_owned())
}

/// A whole object with `"errors":false` near its beginning.
fn all_well(body: &[u8]) -> bool {
    let word = b"\"errors\":false";
    let body = body.trim_ascii();
    let head = body.get(..body.len().min(HEAD)).unwrap_or_default();
    body.starts_with(b"{")
        && body.ends_with(b"}")
        && head.windows(word.len()).any(|w| w == word)
        && !head.windows(7).any(|w| w == b"\"error\"")
}

fn verdict((verb, item): (String, ItemText)) -> Verdict {
    let (kind, reason) = item.error.as_ref().map(words).unwrap_or_default();
    let said = if reason.is_empty() { format!("status {}", item.status) } else { reason };
    match item.status {
        200..300 => Verdict::Done,
        // What is to be deleted is not there: as good as deleted.
        404 if verb == "delete" && item.error.is_none() => Verdict::Done,
        404 => Verdict::Over(Error::new(ErrorKind::NotFound, said)),
        _ if kind == "cluster_block_exception" => {
            let full = said.contains("flood-stage");
            Verdict::Over(Error::new(if full { ErrorKind::Full } else { ErrorKind::Denied }, said))
        }
        401 | 403 => Verdict::Over(Error::new(ErrorKind::Denied, said)),
        429 => Verdict::Again(ErrorKind::Throttled, said),
        409 | 408 | 500.. => Verdict::Again(ErrorKind::Unavailable, said),
        _ => Verdict::Refused(said),
    }
}

/// Type and reason of an error, `type: reason (cause)`.
fn words(error: &Value) -> (String, String) {
    if let Some(text) = error.as_str() {
        return (String::new(), text.to_owned());
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let kind = text(&error["type"]);
    let mut said = [kind.clone(), text(&error["reason"])].join(": ");
    if let Some(cause) = error["caused_by"]["reason"].as_str() {
        said.push_str(&format!(" ({cause})"));
    }
    (kind, said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_are_known_at_once() {
        for good in [
            r#"{"took":30,"errors":false,"items":[{"index":{"status":201}}]}"#,
            r#"{"errors":false}"#,
            "{ \"took\" : 1,\n \"errors\" : false, \"items\" : [] }\n",
        ] {
            assert!(matches!(read(good.as_bytes(), 1), Ok(None)), "{good}");
        }
        for bad in [
            "",
            "{}",
            "<html>\"errors\":false</html>",
            r#"{"error":{"reason":"x"},"status":400}"#,
            "[]",
            "{\"errors\":false",
            r#"{"errors":true,"items":[]}"#,
            r#"{"errors":true,"items":[{}]}"#,
        ] {
            assert!(read(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_item_has_its_verdict() {
        let body = r#"{"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":404}},
            {"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue"}}},
            {"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no","caused_by":{"reason":"For input\n"}}}},
            {"index":{"status":403,"error":{"type":"cluster_block_exception","reason":"disk usage exceeded flood-stage watermark"}}},
            {"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index"}}}]}"#;
        let verdicts = read(body.as_bytes(), 6).unwrap().unwrap();
        assert!(matches!(verdicts[0], Verdict::Done) && matches!(verdicts[1], Verdict::Done));
        assert!(matches!(verdicts[2], Verdict::Again(ErrorKind::Throttled, _)));
        assert!(
            matches!(&verdicts[3], Verdict::Refused(w) if w == "mapper_parsing_exception: no (For input )")
        );
        assert!(matches!(&verdicts[4], Verdict::Over(e) if e.kind() == ErrorKind::Full));
        assert!(matches!(&verdicts[5], Verdict::Over(e) if e.kind() == ErrorKind::NotFound));
    }
}
