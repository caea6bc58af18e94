//! `CLICKHOUSE`: a table.

use super::{Resource, Sink, place, put};
use crate::fault;
use crate::request::{Ask, given, needed, ranged};
use crate::translate::failures;
use api::{Fault, Params};
use model::EndKind;
use serde_json::{Map, Value, json};

/// Columns at most.
const MAX_COLUMNS: usize = 1_000;
/// Records of one insert at most.
const MAX_BATCH: u64 = 1_000_000;
/// Bytes of one insert at most.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Milliseconds that an insert waits for more at most.
const MAX_WAIT_MS: u64 = 600_000;

/// `CLICKHOUSE` as a destination.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    if p.has("Type") && !matches!(p.text("Type"), "" | "emr" | "cdwch") {
        return Err(fault::value(format!("The parameter `{at}.Type` must be emr, cdwch or empty.")));
    }
    let end = place::http_end(ask, &at, &p, EndKind::ClickHouse, options(&p, &at)?).await?;
    let on_refusal = failures::dropping(&p, &at, true)?;
    Ok(Sink { end, word: p.text("Resource").to_owned(), records_per_s: None, on_refusal, sync: None })
}

fn options(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    options.insert("database".to_owned(), needed(p, at, "Database")?.into());
    options.insert("table".to_owned(), needed(p, at, "Table")?.into());
    put(&mut options, "cluster", given(p, "Cluster"));
    options.insert("columns".to_owned(), columns(p, at)?);
    put(&mut options, "batch_records", positive(ranged(p, "BatchSize", (0, MAX_BATCH), fault::VALUE)?));
    put(
        &mut options,
        "batch_bytes",
        positive(ranged(p, "ConsumerFetchMinBytes", (0, MAX_BYTES), fault::VALUE)?),
    );
    put(
        &mut options,
        "linger_ms",
        positive(ranged(p, "ConsumerFetchMaxWaitMs", (0, MAX_WAIT_MS), fault::VALUE)?),
    );
    Ok(options)
}

fn columns(p: &Params<'_>, at: &str) -> Result<Value, Fault> {
    let at = format!("{at}.Schema");
    let schema = p.objects("Schema");
    if schema.is_empty() {
        return Err(fault::empty(&at));
    }
    if schema.len() > MAX_COLUMNS {
        return Err(fault::value(format!("The parameter `{at}` may have {MAX_COLUMNS} entries.")));
    }
    schema
        .iter()
        .map(|c| {
            Ok(json!({"column": needed(c, &at, "ColumnName")?, "json_key": needed(c, &at, "JsonKey")?,
                "type": needed(c, &at, "Type")?, "nullable": c.bool("AllowNull").unwrap_or_default()}))
        })
        .collect()
}

/// The product's zero is "not given".
fn positive(n: Option<u64>) -> Option<u64> {
    n.filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_its_columns() {
        let read = |v: Value| {
            options(&Params::unchecked(&v, false), "C").map(Value::Object).map_err(|f| f.code.into_owned())
        };
        let schema = json!([{"ColumnName": "a", "JsonKey": "k", "Type": "String", "AllowNull": true}]);
        let good = json!({"Cluster": "c", "Database": "d", "Table": "t", "Schema": schema, "BatchSize": 1000,
            "ConsumerFetchMinBytes": 1_000_000, "ConsumerFetchMaxWaitMs": 30_000});
        assert_eq!(
            read(good).unwrap(),
            json!({"database": "d", "table": "t", "cluster": "c", "batch_records": 1000, "batch_bytes": 1_000_000,
                "linger_ms": 30_000,
                "columns": [{"column": "a", "json_key": "k", "type": "String", "nullable": true}]})
        );
        let empty = json!({"Cluster": "", "Database": "d", "Table": "t", "Schema": []});
        assert_eq!(read(empty).unwrap_err(), fault::EMPTY);
        let many = json!({"Database": "d", "Table": "t", "Schema": schema, "BatchSize": 10_000_000});
        assert_eq!(read(many).unwrap_err(), fault::VALUE);
    }
}
