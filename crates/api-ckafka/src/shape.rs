//! Values by their table: requests made plain, answers made complete.
//!
//! A flattened request has text for numbers and booleans. It is read once by its table into what the JSON form would have
//! been; everything behind sees one form only, and what is kept of a request is the same whichever way it came.
//! An answer names every field of its table: what is not there is an explicit null.

use api::{Field, Ty};
use serde_json::{Map, Value};

/// A request that [`api::decode`] has passed, in its JSON form: nulls left out, text read as its type.
#[must_use]
pub fn plain(table: &[Field], value: &Value, flattened: bool) -> Value {
    let Value::Object(fields) = value else { return Value::Object(Map::new()) };
    let known = |name: &str| table.iter().find(|f| f.name == name);
    fields
        .iter()
        .filter(|(_, v)| !v.is_null())
        .filter_map(|(name, v)| Some((name.clone(), plain_value(&known(name)?.ty, v, flattened))))
        .collect()
}

fn plain_value(ty: &Ty, value: &Value, flattened: bool) -> Value {
    match (ty, value) {
        (Ty::Object(table), v) => plain(table, v, flattened),
        (Ty::List(of), Value::Array(items)) => {
            items.iter().map(|item| plain_value(of, item, flattened)).collect()
        }
        (Ty::Int, Value::String(s)) if flattened => s.parse::<i64>().map_or(Value::Null, Value::from),
        (Ty::Uint, Value::String(s)) if flattened => s.parse::<u64>().map_or(Value::Null, Value::from),
        (Ty::Float, Value::String(s)) if flattened => s.parse::<f64>().map_or(Value::Null, Value::from),
        (Ty::Bool, Value::String(s)) if flattened => Value::Bool(s.eq_ignore_ascii_case("true")),
        (_, v) => v.clone(),
    }
}

/// An answer's object with every field of its table, in the table's order.
#[must_use]
pub fn complete(table: &[Field], value: &Value) -> Value {
    let at = |name: &str| value.get(name).unwrap_or(&Value::Null);
    table.iter().map(|f| (f.name.to_owned(), complete_value(&f.ty, at(f.name)))).collect()
}

fn complete_value(ty: &Ty, value: &Value) -> Value {
    match (ty, value) {
        (Ty::Object(table), Value::Object(_)) => complete(table, value),
        (Ty::List(of), Value::Array(items)) => items.iter().map(|v| complete_value(of, v)).collect(),
        (_, v) => v.clone(),
    }
}

/// Takes the text of these fields away, wherever they stand.
pub fn without(value: &mut Value, secrets: &[&str]) {
    match value {
        Value::Object(fields) => {
            for (name, v) in fields.iter_mut() {
                if secrets.contains(&name.as_str()) && v.is_string() {
                    *v = Value::from("");
                } else {
                    without(v, secrets);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| without(v, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::resources::{RESOURCE, RESOURCE_SHOWN};
    use serde_json::json;

    #[test]
    fn text_becomes_what_json_would_have_been() {
        let flat = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": "True", "Resource": "r", "StartTime": "16",
            "MsgMultiple": "3", "TableMappings": [{"Database": "d", "Table": "1", "Topic": "t"}], "Topic": null}});
        assert_eq!(
            plain(RESOURCE, &flat, true),
            json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": true, "Resource": "r", "StartTime": 16,
                "MsgMultiple": 3, "TableMappings": [{"Database": "d", "Table": "1", "Topic": "t"}]}})
        );
    }

    #[test]
    fn what_is_absent_is_null() {
        let shown = complete(RESOURCE_SHOWN, &json!({"Type": "TOPIC", "TopicParam": {"Resource": "1-a"}}));
        assert_eq!(shown.as_object().map(Map::len), Some(RESOURCE_SHOWN.len()));
        assert!(shown["KafkaParam"].is_null() && shown["IcebergParam"].is_null());
        assert_eq!(
            shown["TopicParam"],
            json!({"Resource": "1-a", "OffsetType": null, "StartTime": null, "TopicId": null,
                "CompressionType": null, "UseAutoCreateTopic": null, "MsgMultiple": null})
        );
    }

    #[test]
    fn secrets_go() {
        let mut v = json!({"EsParam": {"Password": "p", "UserName": "u"}, "L": [{"Password": "q"}]});
        without(&mut v, &["Password"]);
        assert_eq!(v, json!({"EsParam": {"Password": "", "UserName": "u"}, "L": [{"Password": ""}]}));
    }
}
