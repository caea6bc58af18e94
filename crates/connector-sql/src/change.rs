//! Change records: what a Debezium or Canal record says to do with rows.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::options::ChangeFormat;

/// A row's image and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// The row is so now.
    Put(&'a RawValue),
    /// The row with this key is gone.
    Delete(&'a RawValue),
    /// The row was so before; it goes if its key is not that of the image that follows.
    Moved { old: &'a RawValue, new: &'a RawValue },
}

/// What a change record amounts to.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    Steps(Vec<Step<'a>>),
    /// A statement, a tombstone: nothing that concerns rows.
    Skip,
}

#[derive(Deserialize)]
struct Debezium<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ddl: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Canal<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    old: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    is_ddl: bool,
}

/// Rows in one Canal record at most.
const MOST_ROWS: usize = 10_000;

/// Reads a change record.
pub(crate) fn read(format: ChangeFormat, value: &[u8]) -> Result<Change<'_>, String> {
    // An array would be taken for the fields in order.
    if !value.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    match format {
        ChangeFormat::Debezium => debezium(value),
        ChangeFormat::Canal => canal(value),
    }
}

fn debezium(value: &[u8]) -> Result<Change<'_>, String> {
    let outer: Debezium<'_> =
        serde_json::from_slice(value).map_err(|e| format!("not a Debezium record: {e}"))?;
    let record = match outer.payload {
        Some(p) if outer.op.is_none() => {
            serde_json::from_str(p.get()).map_err(|e| format!("not a Debezium record: {e}"))?
        }
        _ => outer,
    };
    let Some(op) = record.op.as_deref() else {
        return if record.ddl.is_some() {
            Ok(Change::Skip)
        } else {
            Err("a Debezium record without op".to_owned())
        };
    };
    let steps = match (op, record.before, record.after) {
        ("c" | "r", _, Some(new)) => vec![Step::Put(new)],
        ("u", Some(old), Some(new)) => vec![Step::Moved { old, new }, Step::Put(new)],
        ("u", None, Some(new)) => vec![Step::Put(new)],
        ("d", Some(old), _) => vec![Step::Delete(old)],
        ("m", ..) => return Ok(Change::Skip),
        _ => return Err(format!("a Debezium record with op {op} and without the row for it")),
    };
    Ok(Change::Steps(steps))
}

fn canal(value: &[u8]) -> Result<Change<'_>, String> {
    let record: Canal<'_> = serde_json::from_slice(value).map_err(|e| format!("not a Canal record: {e}"))?;
    let kind = record.kind.to_ascii_uppercase();
    if record.is_ddl || !matches!(kind.as_str(), "INSERT" | "UPDATE" | "DELETE") {
        return Ok(Change::Skip);
    }
    let (data, old) = (record.data.unwrap_or_default(), record.old.unwrap_or_default());
    if data.len() > MOST_ROWS {
        return Err(format!("a Canal record with more than {MOST_ROWS} rows"));
    }
    let mut steps = Vec::with_capacity(data.len());
    for (i, row) in data.iter().enumerate() {
        match kind.as_str() {
            "DELETE" => steps.push(Step::Delete(row)),
            _ => {
                if let Some(old) = old.get(i).filter(|_| kind == "UPDATE") {
                    steps.push(Step::Moved { old, new: row });
                }
                steps.push(Step::Put(row));
            }
        }
    }
    Ok(Change::Steps(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(format: ChangeFormat, text: &str) -> String {
        match read(format, text.as_bytes()) {
            Ok(Change::Skip) => "skip".to_owned(),
            Ok(Change::Steps(all)) => {
                let say = |s: &Step<'_>| match s {
                    Step::Put(r) => format!("put {}", r.get()),
                    Step::Delete(r) => format!("delete {}", r.get()),
                    Step::Moved { old, .. } => format!("moved {}", old.get()),
                };
                all.iter().map(say).collect::<Vec<_>>().join(", ")
            }
            Err(why) => why,
        }
    }

    #[test]
    fn changes_are_understood() {
        let d = |text| steps(ChangeFormat::Debezium, text);
        assert_eq!(d(r#"{"op":"r","after":{"a":1}}"#), r#"put {"a":1}"#);
        assert_eq!(
            d(r#"{"schema":1,"payload":{"op":"u","before":{"a":0},"after":{"a":1}}}"#),
            r#"moved {"a":0}, put {"a":1}"#
        );
        assert_eq!(d(r#"{"op":"d","before":{"a":1},"after":null}"#), r#"delete {"a":1}"#);
        assert_eq!(d(r#"{"ddl":"ALTER"}"#), "skip");
        assert!(d(r#"{"op":"t"}"#).contains("op t") && d("[]").contains("not a JSON object"));
        let c = |text| steps(ChangeFormat::Canal, text);
        let update = r#"{"type":"UPDATE","data":[{"a":"2"}],"old":[{"a":"1"}],"isDdl":false}"#;
        assert_eq!(c(update), r#"moved {"a":"1"}, put {"a":"2"}"#);
        assert_eq!(
            c(r#"{"type":"DELETE","data":[{"a":"2"},{"a":"3"}]}"#),
            r#"delete {"a":"2"}, delete {"a":"3"}"#
        );
        assert_eq!(c(r#"{"type":"CREATE","isDdl":true}"#), "skip");
    }
}
