//! The families of MySQL, MariaDB and PostgreSQL as destinations: a table.

use super::{Resource, Sink, end, place, put};
use crate::fault;
use crate::request::{Ask, given, needed, one_of};
use crate::translate::failures;
use api::{Fault, Params};
use model::EndKind;
use serde_json::{Map, Value, json};

/// Columns at most.
const MAX_COLUMNS: usize = 1_000;

/// Is this type a table of a database that can be written?
#[must_use]
pub fn is_one(kind: &str) -> bool {
    matches!(
        kind,
        "MYSQL"
            | "TDSQL_C_MYSQL"
            | "MARIADB"
            | "POSTGRESQL"
            | "TDSQL_C_POSTGRESQL"
            | "TDSQL_POSTGRESQL"
            | "WAREHOUSE_POSTGRESQL"
    )
}

/// A table as a destination.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let id = p.text("Resource");
    place::connection(ask, &at, id, EndKind::Sql).await?;
    Ok(Sink {
        end: end(EndKind::Sql, Some(id), options(&p, &at)?),
        word: id.to_owned(),
        records_per_s: None,
        on_refusal: failures::dropping(&p, &at, true)?,
        sync: None,
    })
}

fn options(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    for (name, field) in [("database", "Database"), ("table", "Table")] {
        let text = needed(p, at, field)?;
        if text.contains(['*', ',']) {
            return Err(fault::value(format!("The parameter `{at}.{field}` must name one, to write to.")));
        }
        options.insert(name.to_owned(), text.into());
    }
    let mode = one_of(p, at, "DataTargetInsertMode", &["INSERT", "UPSERT"])?;
    options.insert("mode".to_owned(), mode.to_ascii_lowercase().into());
    let key: Vec<&str> =
        p.text("DataTargetPrimaryKeyField").split(',').map(str::trim).filter(|k| !k.is_empty()).collect();
    if mode == "UPSERT" && key.is_empty() {
        return Err(fault::empty(&format!("{at}.DataTargetPrimaryKeyField")));
    }
    put(&mut options, "key", Some(json!(key)).filter(|_| !key.is_empty()));
    put(&mut options, "mapping", mapping(p, at)?);
    put(&mut options, "change_format", change_format(p, at)?);
    Ok(options)
}

fn mapping(p: &Params<'_>, at: &str) -> Result<Option<Value>, Fault> {
    let at = format!("{at}.DataTargetRecordMapping");
    let given_columns = p.objects("DataTargetRecordMapping");
    if given_columns.is_empty() {
        return Ok(None);
    }
    if given_columns.len() > MAX_COLUMNS {
        return Err(fault::value(format!("The parameter `{at}` may have {MAX_COLUMNS} entries.")));
    }
    let mut columns = Vec::with_capacity(given_columns.len());
    for c in given_columns {
        let mut column = Map::new();
        column.insert("json_key".to_owned(), needed(&c, &at, "JsonKey")?.into());
        column.insert("column".to_owned(), needed(&c, &at, "ColumnName")?.into());
        put(&mut column, "type", given(&c, "Type"));
        put(&mut column, "nullable", c.bool("AllowNull"));
        put(&mut column, "default", given(&c, "DefaultValue"));
        columns.push(Value::Object(column));
    }
    Ok(Some(columns.into()))
}

/// Which change records come in: PostgreSQL's parameter says it in `DataFormat`, MySQL's and MariaDB's in the
/// `OutputFormat` with which a capture would have written them.
fn change_format(p: &Params<'_>, at: &str) -> Result<Option<&'static str>, Fault> {
    if given(p, "DataFormat").is_some() {
        let debezium = one_of(p, at, "DataFormat", &["JSON", "Debezium"])? == "Debezium";
        return Ok(debezium.then_some("debezium"));
    }
    if given(p, "OutputFormat").is_none() {
        return Ok(None);
    }
    Ok(Some(match one_of(p, at, "OutputFormat", &["DEFAULT", "CANAL_1", "CANAL_2"])? {
        "DEFAULT" => "debezium",
        _ => "canal",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_to_insert_or_upsert() {
        let read = |v: Value| {
            options(&Params::unchecked(&v, false), "M").map(Value::Object).map_err(|f| f.code.into_owned())
        };
        assert_eq!(
            read(json!({"Database": "d", "Table": "s.t"})).unwrap(),
            json!({"database": "d", "table": "s.t", "mode": "insert"})
        );
        let full = json!({"Database": "d", "Table": "t", "DataTargetInsertMode": "upsert",
            "DataTargetPrimaryKeyField": "id, b", "OutputFormat": "CANAL_1",
            "DataTargetRecordMapping": [{"JsonKey": "k", "ColumnName": "c", "Type": "INT", "AllowNull": false,
                "DefaultValue": "0"}]});
        assert_eq!(
            read(full).unwrap(),
            json!({"database": "d", "table": "t", "mode": "upsert", "key": ["id", "b"], "change_format": "canal",
                "mapping": [{"json_key": "k", "column": "c", "type": "INT", "nullable": false, "default": "0"}]})
        );
        assert_eq!(
            read(json!({"Database": "d", "Table": "t", "DataFormat": "Debezium"})).unwrap()["change_format"],
            "debezium"
        );
        for (bad, code) in [
            (json!({"Database": "", "Table": "t"}), fault::EMPTY),
            (json!({"Database": "*", "Table": "t"}), fault::VALUE),
            (json!({"Database": "d", "Table": "a,b"}), fault::VALUE),
            (json!({"Database": "d", "Table": "t", "DataTargetInsertMode": "UPSERT"}), fault::EMPTY),
            (json!({"Database": "d", "Table": "t", "DataTargetInsertMode": "MERGE"}), fault::VALUE),
            (json!({"Database": "d", "Table": "t", "DataFormat": "XML"}), fault::VALUE),
        ] {
            assert_eq!(read(bad.clone()).unwrap_err(), code, "{bad}");
        }
    }
}
