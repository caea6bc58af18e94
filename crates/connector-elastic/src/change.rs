//! Change records of databases: which rows to write and which to delete.

use json_text::{Fields, Items, Kind, Path, kind_of, members, text};

use crate::config::ChangeFormat;
use crate::encode::Refusal;

/// One thing to do to one document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) delete: bool,
    /// The row, raw JSON.
    pub(crate) doc: &'a [u8],
    pub(crate) id: String,
}

/// The rows of a change record (an object, checked).
pub(crate) fn rows<'a>(
    format: ChangeFormat,
    keys: &[String],
    json: &'a [u8],
) -> Result<Vec<Row<'a>>, Refusal> {
    match format {
        ChangeFormat::Debezium => debezium(keys, json),
        ChangeFormat::Canal => canal(keys, json),
    }
}

fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Path::key(name).find(json).filter(|v| kind_of(v) != Some(Kind::Null))
}

fn object<'a>(json: Option<&'a [u8]>, what: &str) -> Result<&'a [u8], Refusal> {
    json.filter(|v| kind_of(v) == Some(Kind::Object))
        .ok_or_else(|| Refusal::unacceptable(format!("the change record has no row in `{what}`")))
}

/// With the schema (`{"schema":…,"payload":{…}}`) or without.
fn debezium<'a>(keys: &[String], json: &'a [u8]) -> Result<Vec<Row<'a>>, Refusal> {
    let payload = member(json, "payload").filter(|v| kind_of(v) == Some(Kind::Object)).unwrap_or(json);
    let op = member(payload, "op").and_then(text);
    let (delete, what) = match op.as_deref() {
        Some("c" | "r" | "u") => (false, "after"),
        Some("d") => (true, "before"),
        Some("m") => return Err(Refusal::dropped("a message of the log makes no document")),
        Some(other) => return Err(Refusal::unacceptable(format!("the change `{other}` can't be applied"))),
        None => return Err(Refusal::unacceptable("not a debezium change record: it has no `op`")),
    };
    let doc = object(member(payload, what), what)?;
    let id = id(keys, doc)?;
    // A change of the key itself leaves the old document behind, unless it is deleted.
    let before = member(payload, "before").filter(|_| !delete).filter(|b| kind_of(b) == Some(Kind::Object));
    let old = before.and_then(|b| Some((b, self::id(keys, b).ok()?))).filter(|(_, o)| *o != id);
    let gone = old.map(|(doc, id)| Row { delete: true, doc, id });
    Ok(gone.into_iter().chain([Row { delete, doc, id }]).collect())
}

/// Flat messages: several rows in one.
fn canal<'a>(keys: &[String], json: &'a [u8]) -> Result<Vec<Row<'a>>, Refusal> {
    let kind = member(json, "type").and_then(text);
    let delete = match kind.as_deref() {
        Some("INSERT" | "UPDATE") => false,
        Some("DELETE") => true,
        Some(_) => return Err(Refusal::dropped("a change of the schema makes no document")),
        None => return Err(Refusal::unacceptable("not a canal change record: it has no `type`")),
    };
    let data = member(json, "data").unwrap_or_default();
    let mut old = member(json, "old").map(Items::of);
    let mut rows = Vec::new();
    for doc in Items::of(data) {
        let doc = object(Some(doc), "data")?;
        let id = id(keys, doc)?;
        // `old` holds the columns that changed: a key among them names the document that was.
        let before = old.as_mut().and_then(Iterator::next).filter(|_| !delete);
        let before =
            before.and_then(|b| join(keys, |k| value(members(b), k).or_else(|| value(members(doc), k))));
        if let Some(before) = before.filter(|b| *b != id) {
            rows.push(Row { delete: true, doc, id: before });
        }
        rows.push(Row { delete, doc, id });
    }
    if rows.is_empty() {
        return Err(Refusal::unacceptable("the change record has no row in `data`"));
    }
    Ok(rows)
}

fn value(fields: Fields<'_>, key: &str) -> Option<String> {
    let mut fields = fields;
    let (_, raw) = fields.find(|(k, _)| *k == key.as_bytes())?;
    text(raw).map(std::borrow::Cow::into_owned)
}

fn id(keys: &[String], row: &[u8]) -> Result<String, Refusal> {
    join(keys, |k| value(members(row), k))
        .ok_or_else(|| Refusal::unacceptable(format!("the row has no value for its key {}", keys.join(","))))
}

/// One value as it is; several joined so that no two keys look the same.
fn join(keys: &[String], value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let [first, rest @ ..] = keys else { return None };
    let first = value(first)?;
    if rest.is_empty() {
        return Some(first);
    }
    let plain = |v: String| v.replace('\\', "\\\\").replace('|', "\\|");
    let mut all = plain(first);
    for key in rest {
        all.push('|');
        all.push_str(&plain(value(key)?));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use connector::ErrorKind;

    use super::*;

    fn list(format: ChangeFormat, keys: &str, json: &str) -> Vec<(bool, String, String)> {
        let keys: Vec<String> = keys.split(',').map(str::to_owned).collect();
        let rows = rows(format, &keys, json.as_bytes()).unwrap();
        rows.into_iter().map(|r| (r.delete, r.id, String::from_utf8(r.doc.to_vec()).unwrap())).collect()
    }

    #[test]
    fn debezium_rows() {
        let put = |id: &str, doc: &str| (false, id.to_owned(), doc.to_owned());
        let gone = |id: &str, doc: &str| (true, id.to_owned(), doc.to_owned());
        let d = ChangeFormat::Debezium;
        let json = r#"{"schema":{},"payload":{"before":null,"after":{"id":7,"a":"x"},"op":"c"}}"#;
        assert_eq!(list(d, "id", json), [put("7", r#"{"id":7,"a":"x"}"#)]);
        let json = r#"{"before":{"id":7},"after":null,"op":"d"}"#;
        assert_eq!(list(d, "id", json), [gone("7", r#"{"id":7}"#)]);
        let json = r#"{"before":{"id":7},"after":{"id":8},"op":"u"}"#;
        assert_eq!(list(d, "id", json), [gone("7", r#"{"id":7}"#), put("8", r#"{"id":8}"#)]);
        for (json, kind) in [
            (r#"{"a":1}"#, ErrorKind::Unacceptable),
            (r#"{"op":"t"}"#, ErrorKind::Unacceptable),
            (r#"{"op":"m"}"#, ErrorKind::Corrupt),
            (r#"{"op":"d","before":null}"#, ErrorKind::Unacceptable),
            (r#"{"op":"c","after":{"x":1}}"#, ErrorKind::Unacceptable),
            (r#"{"op":"c","after":{"id":null}}"#, ErrorKind::Unacceptable),
        ] {
            assert_eq!(rows(d, &["id".to_owned()], json.as_bytes()).unwrap_err().kind, kind, "{json}");
        }
    }

    #[test]
    fn canal_rows() {
        let c = ChangeFormat::Canal;
        let json = r#"{"type":"UPDATE","data":[{"a":"1","b":"x|y"},{"a":"3","b":"z"}],"old":[{"c":"0"},{"a":"2"}],"isDdl":false}"#;
        let ids: Vec<_> = list(c, "a,b", json).into_iter().map(|(d, id, _)| (d, id)).collect();
        let expected = [(false, "1|x\\|y".to_owned()), (true, "2|z".to_owned()), (false, "3|z".to_owned())];
        assert_eq!(ids, expected);
        let refused = |json: &str| rows(c, &["a".to_owned()], json.as_bytes()).unwrap_err().kind;
        assert_eq!(refused(r#"{"type":"ALTER","isDdl":true}"#), ErrorKind::Corrupt);
        assert_eq!(refused(r#"{"type":"INSERT","data":null}"#), ErrorKind::Unacceptable);
        assert_eq!(refused(r#"{"type":"INSERT","data":[1]}"#), ErrorKind::Unacceptable);
    }
}
