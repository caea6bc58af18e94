//! SQL of groups of rows, and their values.
//!
//! Names come from the catalogue and are quoted; values are always bound.

use std::fmt::Write as _;

use sqlx::Arguments as _;
use sqlx::mysql::MySqlArguments;
use sqlx::postgres::PgArguments;

use crate::catalogue::{Column, Kind, Table};
use crate::fault::Trouble;
use crate::options::Engine;
use crate::rows::{Group, Op};
use crate::value::Cell;

/// A statement of MySQL has this many values at most.
const MOST_VALUES: usize = 65_000;
/// And this many rows.
const MOST_ROWS: usize = 1024;

/// The table's name, quoted.
pub(crate) fn table_name(engine: Engine, table: &Table) -> String {
    format!("{}.{}", engine.quote(&table.schema), engine.quote(&table.name))
}

fn columns<'t>(table: &'t Table, shape: &[usize]) -> Vec<&'t Column> {
    shape.iter().filter_map(|i| table.columns.get(*i)).collect()
}

fn list(engine: Engine, columns: &[&Column]) -> String {
    columns.iter().map(|c| engine.quote(&c.name)).collect::<Vec<_>>().join(", ")
}

/// PostgreSQL: the statement for any number of rows of a shape.
pub(crate) fn postgres_sql(table: &Table, shape: &[usize], delete: bool, upsert: bool) -> String {
    let engine = Engine::Postgres;
    let columns = columns(table, shape);
    let name = table_name(engine, table);
    let arrays: Vec<_> = (1..=columns.len()).map(|i| format!("${i}::text[]")).collect();
    let names: Vec<_> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    let rows = format!("UNNEST({}) AS u({})", arrays.join(", "), names.join(", "));
    if delete {
        let same =
            |(i, c): (usize, &&Column)| format!("t.{} = u.c{i}::{}", engine.quote(&c.name), c.type_name);
        let same: Vec<_> = columns.iter().enumerate().map(same).collect();
        return format!("DELETE FROM {name} AS t USING {rows} WHERE {}", same.join(" AND "));
    }
    let casts: Vec<_> = columns.iter().enumerate().map(|(i, c)| format!("u.c{i}::{}", c.type_name)).collect();
    let system = if columns.iter().any(|c| c.identity) { " OVERRIDING SYSTEM VALUE" } else { "" };
    let mut sql = format!(
        "INSERT INTO {name} ({}){system} SELECT {} FROM {rows}",
        list(engine, &columns),
        casts.join(", ")
    );
    if upsert {
        let key: Vec<_> = table.key.iter().filter_map(|k| table.columns.get(*k)).collect();
        let sets = sets(table, shape, |c| format!("{c} = EXCLUDED.{c}"), engine);
        let action = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {sets}") };
        let _ = write!(sql, " ON CONFLICT ({}) DO {action}", list(engine, &key));
    }
    sql
}

fn sets(table: &Table, shape: &[usize], one: impl Fn(&str) -> String, engine: Engine) -> String {
    let others = shape.iter().filter(|i| !table.is_key(**i)).filter_map(|i| table.columns.get(*i));
    others.map(|c| one(&engine.quote(&c.name))).collect::<Vec<_>>().join(", ")
}

/// PostgreSQL: an array of text for each column.
pub(crate) fn postgres_values(group: &Group<'_, '_>, columns: usize) -> Result<PgArguments, Trouble> {
    let mut arguments = PgArguments::default();
    for column in 0..columns {
        let values: Vec<Option<&str>> = group.rows.iter().map(|r| text_of(r.cells.get(column))).collect();
        arguments.add(values).map_err(encoding)?;
    }
    Ok(arguments)
}

fn text_of<'c>(cell: Option<&'c Option<Cell<'_>>>) -> Option<&'c str> {
    match cell {
        Some(Some(Cell::Text(t))) => Some(t),
        _ => None,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn encoding(e: sqlx::error::BoxDynError) -> Trouble {
    Trouble::Record(format!("the values can't be sent: {e}"))
}

/// MySQL: how many of these rows go into the next statement. Few different numbers, so that the server has few statements to prepare;
/// and no message that it would end the connection for.
pub(crate) fn my_sql_rows(rows: &[&Op<'_>], columns: usize, packet: usize) -> Result<usize, Trouble> {
    let most = (MOST_VALUES / columns.max(1)).clamp(1, MOST_ROWS);
    let mut fits = 1 << rows.len().min(most).max(1).ilog2();
    // Each value has its length, each statement its head.
    let message = |n: usize| rows.iter().take(n).map(|r| r.weight() + 10 * columns).sum::<usize>() + 4096;
    while fits > 1 && message(fits) > packet {
        fits /= 2;
    }
    if message(fits) > packet {
        return Err(Trouble::Record(format!(
            "the row is too large for the server's max_allowed_packet of {packet}"
        )));
    }
    Ok(fits)
}

/// MySQL: the statement for so many rows.
pub(crate) fn my_sql_sql(table: &Table, shape: &[usize], delete: bool, upsert: bool, rows: usize) -> String {
    let engine = Engine::MySql;
    let columns = columns(table, shape);
    let name = table_name(engine, table);
    let place = |c: &&Column| match (&c.kind, c.type_name.starts_with("bit")) {
        (_, true) => "CAST(? AS UNSIGNED)",
        // A number in a condition would be compared with text as floating point.
        (Kind::Integer { low: 0, .. }, _) if delete => "CAST(? AS UNSIGNED)",
        (Kind::Integer { .. }, _) if delete => "CAST(? AS SIGNED)",
        (Kind::Number, _) if delete => "CAST(? AS DECIMAL(65,30))",
        _ => "?",
    };
    let row = format!("({})", columns.iter().map(place).collect::<Vec<_>>().join(", "));
    let all = vec![row; rows].join(", ");
    if delete {
        return format!("DELETE FROM {name} WHERE ({}) IN ({all})", list(engine, &columns));
    }
    let mut sql = format!("INSERT INTO {name} ({}) VALUES {all}", list(engine, &columns));
    if upsert {
        let mut sets = sets(table, shape, |c| format!("{c} = VALUES({c})"), engine);
        if sets.is_empty() {
            // Something must be set; the key to itself changes nothing.
            let key = table.key.first().and_then(|k| table.columns.get(*k));
            let key = engine.quote(key.map_or("", |c| &c.name));
            sets = format!("{key} = VALUES({key})");
        }
        let _ = write!(sql, " ON DUPLICATE KEY UPDATE {sets}");
    }
    sql
}

/// MySQL: the values of rows one after the other.
pub(crate) fn my_sql_values(rows: &[&Op<'_>]) -> Result<MySqlArguments, Trouble> {
    let mut arguments = MySqlArguments::default();
    for cell in rows.iter().flat_map(|r| &r.cells) {
        match cell {
            None => arguments.add(None::<&str>),
            Some(Cell::Text(t)) => arguments.add(t.as_ref()),
            Some(Cell::Bytes(b)) => arguments.add(b.as_slice()),
        }
        .map_err(encoding)?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Found;
    use crate::options::Plan;

    fn table(engine: Engine) -> Table {
        let column = |name: &str, base: &str, full: &str| {
            Found { name: name.into(), base: base.into(), full: full.into(), ..Found::default() }
                .column(engine)
        };
        let columns = vec![column("i\"d", "int8", "bigint"), column("a`b", "numeric", "numeric")];
        let plan = Plan {
            database: "d".into(),
            schema: None,
            table: "t".into(),
            upsert: true,
            key: vec!["i\"d".into()],
            mapping: None,
            change: None,
        };
        Table::new(("s".into(), "t".into()), columns, &[], &plan).unwrap()
    }

    #[test]
    fn statements_quote_their_names() {
        let t = table(Engine::Postgres);
        assert_eq!(
            postgres_sql(&t, &[0, 1], false, true),
            "INSERT INTO \"s\".\"t\" (\"i\"\"d\", \"a`b\") SELECT u.c0::bigint, u.c1::numeric FROM UNNEST($1::text[], $2::text[]) \
             AS u(c0, c1) ON CONFLICT (\"i\"\"d\") DO UPDATE SET \"a`b\" = EXCLUDED.\"a`b\""
        );
        let gone = postgres_sql(&t, &[0], true, true);
        assert_eq!(
            gone,
            "DELETE FROM \"s\".\"t\" AS t USING UNNEST($1::text[]) AS u(c0) WHERE t.\"i\"\"d\" = u.c0::bigint"
        );
        let t = table(Engine::MySql);
        let sql = my_sql_sql(&t, &[0], false, true, 2);
        assert_eq!(
            sql,
            "INSERT INTO `s`.`t` (`i\"d`) VALUES (?), (?) ON DUPLICATE KEY UPDATE `i\"d` = VALUES(`i\"d`)"
        );
        assert!(my_sql_sql(&t, &[0, 1], false, true, 1).ends_with("UPDATE `a``b` = VALUES(`a``b`)"));
        let op = |n: usize| Op {
            shape: 0,
            delete: false,
            cells: vec![Some(Cell::Text("x".repeat(n).into()))],
            identity: Vec::new(),
        };
        let (small, large) = (op(1), op(9000));
        let rows = |op, n: usize, columns| my_sql_rows(&vec![op; n], columns, 100_000).ok();
        assert_eq!(
            (rows(&small, 1000, 3), rows(&small, 5, 3), rows(&small, 99, 60_000)),
            (Some(512), Some(4), None)
        );
        assert_eq!((rows(&large, 1000, 1), rows(&op(100_000), 2, 1)), (Some(8), None));
    }
}
