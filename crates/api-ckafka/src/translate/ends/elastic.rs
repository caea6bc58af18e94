//! `ES`: an index of Elasticsearch or OpenSearch.

use super::{Resource, Sink, place, put};
use crate::fault;
use crate::request::{Ask, given, needed, one_of};
use crate::translate::failures;
use api::{Fault, Params};
use model::EndKind;
use serde_json::{Map, Value, json};

/// Fields of a mapping at most.
const MAX_MAPPINGS: usize = 1_000;
/// The field that a text becomes that is not JSON, where the request names none.
const CONTENT_KEY: &str = "message";

/// `ES` as a destination.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let end = place::http_end(ask, &at, &p, EndKind::Elastic, options(&p, &at)?).await?;
    let on_refusal = match p.object("DropDlq") {
        Some(dlq) if dlq.names().next().is_some() => {
            failures::read(ask, &dlq, &format!("{at}.DropDlq")).await?
        }
        _ => failures::dropping(&p, &at, false)?,
    };
    Ok(Sink { end, word: p.text("Resource").to_owned(), records_per_s: None, on_refusal, sync: None })
}

fn options(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    let index = needed(p, at, "Index")?;
    match one_of(p, at, "IndexType", &["STRING", "JSONPATH"])? {
        "JSONPATH" => options.insert("index_path".to_owned(), json_path(index).into()),
        _ => options.insert("index".to_owned(), index.into()),
    };
    put(&mut options, "date_suffix", given(p, "DateFormat"));
    put(&mut options, "id_path", given(p, "DocumentIdField").map(json_path));
    put(&mut options, "date_path", given(p, "DateField").map(json_path));
    let mapping = p.objects("RecordMappingList");
    if mapping.len() > MAX_MAPPINGS {
        return Err(fault::value(format!(
            "The parameter `{at}.RecordMappingList` may have {MAX_MAPPINGS} entries."
        )));
    }
    if !mapping.is_empty() {
        let at = format!("{at}.RecordMappingList");
        let pairs: Result<Vec<Value>, Fault> = mapping
            .iter()
            .map(|m| {
                Ok(json!({"column": needed(m, &at, "ColumnName")?, "json_key": needed(m, &at, "JsonKey")?}))
            })
            .collect();
        options.insert("mapping".to_owned(), pairs?.into());
    }
    if p.has("RecordMappingMode") {
        let mode = one_of(p, at, "RecordMappingMode", &["EXIST_MAPPING", "NEW_MAPPING"])?;
        let mode = if mode == "NEW_MAPPING" { "new" } else { "existing" };
        options.insert("mapping_mode".to_owned(), mode.into());
    }
    let changes = given(p, "SourceDataFormat").is_some() || given(p, "DatabasePrimaryKey").is_some();
    if changes {
        let format = one_of(p, at, "SourceDataFormat", &["Debezium", "Canal"])?;
        options.insert("change_format".to_owned(), format.to_ascii_lowercase().into());
        options.insert("primary_key".to_owned(), needed(p, at, "DatabasePrimaryKey")?.into());
    }
    // A text that is no JSON is no change record either: only a field that was asked for is told to the connector.
    let content_key = given(p, "ContentKey").or((!changes).then_some(CONTENT_KEY));
    if p.bool("DropInvalidJsonMessage").unwrap_or_default() {
        options.insert("drop_not_json".to_owned(), true.into());
    } else {
        put(&mut options, "raw_key", content_key);
    }
    Ok(options)
}

/// A field's name is the path to it.
fn json_path(field: &str) -> String {
    if field.starts_with('$') { field.to_owned() } else { format!("$.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "reads better")]
    fn read(v: Value) -> Result<Value, String> {
        options(&Params::unchecked(&v, false), "E").map(Value::Object).map_err(|f| f.code.into_owned())
    }

    #[test]
    fn an_index_and_what_is_not_json() {
        assert_eq!(read(json!({"Index": "i"})).unwrap(), json!({"index": "i", "raw_key": "message"}));
        assert_eq!(
            read(json!({"Index": "i", "DropInvalidJsonMessage": true, "ContentKey": "c"})).unwrap(),
            json!({"index": "i", "drop_not_json": true})
        );
        assert_eq!(
            read(
                json!({"Index": "$.a", "IndexType": "JSONPATH", "ContentKey": "c", "DateFormat": "yyyy-MM-dd",
                "DocumentIdField": "id", "DateField": "$.ts"})
            )
            .unwrap(),
            json!({"index_path": "$.a", "raw_key": "c", "date_suffix": "yyyy-MM-dd", "id_path": "$.id",
                "date_path": "$.ts"})
        );
        assert_eq!(read(json!({"Index": ""})).unwrap_err(), fault::EMPTY);
        assert_eq!(read(json!({"Index": "i", "IndexType": "X"})).unwrap_err(), fault::VALUE);
    }

    #[test]
    fn changes_and_mappings() {
        assert_eq!(
            read(json!({"Index": "i", "DatabasePrimaryKey": "id", "RecordMappingMode": "NEW_MAPPING",
                "RecordMappingList": [{"ColumnName": "c", "JsonKey": "k"}]}))
            .unwrap(),
            json!({"index": "i", "change_format": "debezium", "primary_key": "id",
                "mapping_mode": "new", "mapping": [{"column": "c", "json_key": "k"}]})
        );
        let canal = json!({"Index": "i", "SourceDataFormat": "Canal", "DatabasePrimaryKey": "id"});
        assert_eq!(read(canal).unwrap()["change_format"], "canal");
        let keyless = json!({"Index": "i", "SourceDataFormat": "Canal"});
        assert_eq!(read(keyless).unwrap_err(), fault::EMPTY);
        assert_eq!(
            read(json!({"Index": "i", "RecordMappingList": [{"ColumnName": "c"}]})).unwrap_err(),
            fault::EMPTY
        );
    }
}
