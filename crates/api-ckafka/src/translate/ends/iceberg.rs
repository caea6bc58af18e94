//! `ICEBERG`: an Apache Iceberg table, appended to.
//!
//! `Resource` names a connection of the catalogue; the product's own EMR instances with Hive behind them are kept as connections and can't be used.

use super::{Resource, Sink, end, place};
use crate::fault;
use crate::request::{Ask, needed, one_of, path};
use api::{Fault, Params};
use model::{EndKind, OnFailure};
use serde_json::{Map, Value};

/// How often a snapshot is made where the connection doesn't say; the product has no field for it.
const INTERVAL_MS: u64 = 60_000;

/// `ICEBERG` as a destination. What the table can't take goes by the task's rule, and blocks without one.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let id = p.text("Resource");
    let mut options = options(&p, &at)?;
    let found = place::connection(ask, &at, id, EndKind::Iceberg).await?;
    if let Some(ms) = found.attributes.get("interval_ms").and_then(|t| t.parse::<u64>().ok()) {
        options.insert("interval_ms".to_owned(), ms.into());
    }
    Ok(Sink {
        end: end(EndKind::Iceberg, Some(id), options),
        word: id.to_owned(),
        records_per_s: None,
        on_refusal: OnFailure::Block,
        sync: None,
    })
}

fn options(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    one_of(p, at, "SchemeType", &["JSON"])?;
    let mode = one_of(p, at, "UpsertMode", &["Off", "UPSERT", "CDC"])?;
    if mode != "Off" {
        let field = path(at, "UpsertMode");
        return Err(fault::not_here(
            &field,
            "Iceberg tables are appended to, rows are neither changed nor deleted",
        ));
    }
    if !p.text("PrimaryKeys").is_empty() {
        let field = path(at, "PrimaryKeys");
        return Err(fault::value(format!(
            "The parameter `{field}` is of use with UpsertMode UPSERT or CDC only."
        )));
    }
    let mut options = Map::new();
    options.insert("database".to_owned(), needed(p, at, "Database")?.into());
    options.insert("table".to_owned(), needed(p, at, "TableName")?.into());
    options.insert("interval_ms".to_owned(), INTERVAL_MS.into());
    let unknown = if p.bool("EnableFieldExtension").unwrap_or_default() { "evolve" } else { "refuse" };
    options.insert("unknown_fields".to_owned(), unknown.into());
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_appended_to() {
        let read = |v: Value| {
            options(&Params::unchecked(&v, false), "I").map(Value::Object).map_err(|f| f.code.into_owned())
        };
        assert_eq!(
            read(
                json!({"Database": "d", "TableName": "t", "EnableFieldExtension": true, "UpsertMode": "off"})
            )
            .unwrap(),
            json!({"database": "d", "table": "t", "interval_ms": 60_000, "unknown_fields": "evolve"})
        );
        assert_eq!(read(json!({"Database": "d"})).unwrap_err(), fault::EMPTY);
        assert_eq!(
            read(json!({"Database": "d", "TableName": "t", "SchemeType": "CSV"})).unwrap_err(),
            fault::VALUE
        );
        assert_eq!(
            read(json!({"Database": "d", "TableName": "t", "PrimaryKeys": "a"})).unwrap_err(),
            fault::VALUE
        );
        let upsert = json!({"Database": "d", "TableName": "t", "UpsertMode": "CDC", "PrimaryKeys": "a"});
        assert_eq!(read(upsert).unwrap_err(), "FailedOperation");
    }
}
