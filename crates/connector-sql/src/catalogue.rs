//! The target table as the catalogue describes it.

use std::collections::HashMap;

use connector::ErrorKind;

use crate::fault::Trouble;
use crate::options::{Engine, Plan};

/// What a column can be filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers within these limits.
    Integer {
        low: i128,
        high: i128,
    },
    /// Floating point and decimal.
    Number,
    Bool,
    Text,
    Bytes,
    Json,
    /// Date and time.
    Moment,
    Day,
    /// Time of day.
    Clock,
    Array,
    /// Anything else: text that the server judges.
    Other,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As a cast spells it.
    pub(crate) type_name: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// The server fills it when it is absent.
    pub(crate) has_default: bool,
    /// The server computes it; what a record says of it is left out.
    pub(crate) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(crate) identity: bool,
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Indexes of the key's columns; empty without one.
    pub(crate) key: Vec<usize>,
    /// A message to the server has at most this many bytes.
    pub(crate) packet: usize,
    by_name: HashMap<String, usize>,
}

/// A column's row of the catalogue, as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) name: String,
    /// What it is: PostgreSQL's base type, MySQL's `data_type`.
    pub(crate) base: String,
    /// The whole: PostgreSQL's cast, MySQL's `column_type`.
    pub(crate) full: String,
    pub(crate) array: bool,
    pub(crate) nullable: bool,
    pub(crate) has_default: bool,
    pub(crate) generated: bool,
    pub(crate) identity: bool,
}

impl Found {
    pub(crate) fn column(self, engine: Engine) -> Column {
        let kind = match engine {
            _ if self.array => Kind::Array,
            Engine::Postgres => postgres_kind(&self.base),
            Engine::MySql => my_sql_kind(&self.base, &self.full),
        };
        Column {
            name: self.name,
            type_name: self.full,
            kind,
            nullable: self.nullable,
            has_default: self.has_default,
            generated: self.generated,
            identity: self.identity,
        }
    }
}

fn integer(bits: u32, unsigned: bool) -> Kind {
    let (low, high) = if unsigned {
        (0, (1_i128 << bits) - 1)
    } else {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    };
    Kind::Integer { low, high }
}

fn postgres_kind(base: &str) -> Kind {
    match base {
        "int2" => integer(16, false),
        "int4" => integer(32, false),
        "int8" => integer(64, false),
        "float4" | "float8" | "numeric" => Kind::Number,
        "bool" => Kind::Bool,
        "text" | "varchar" | "bpchar" | "citext" | "name" => Kind::Text,
        "bytea" => Kind::Bytes,
        "json" | "jsonb" => Kind::Json,
        "timestamp" | "timestamptz" => Kind::Moment,
        "date" => Kind::Day,
        "time" => Kind::Clock,
        _ => Kind::Other,
    }
}

fn my_sql_kind(base: &str, full: &str) -> Kind {
    let unsigned = full.contains("unsigned");
    match base {
        "tinyint" => integer(8, unsigned),
        "smallint" => integer(16, unsigned),
        "mediumint" => integer(24, unsigned),
        "int" => integer(32, unsigned),
        "bigint" => integer(64, unsigned),
        "bit" => {
            let bits = full.trim_start_matches("bit(").trim_end_matches(')').parse().unwrap_or(1);
            integer(u32::clamp(bits, 1, 64), true)
        }
        "year" => Kind::Integer { low: 0, high: 2155 },
        "decimal" | "float" | "double" => Kind::Number,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes,
        "json" => Kind::Json,
        "datetime" | "timestamp" => Kind::Moment,
        "date" => Kind::Day,
        "time" => Kind::Clock,
        _ => Kind::Other,
    }
}

impl Column {
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Found { name: name.to_owned(), nullable: true, ..Found::default() }.column(Engine::Postgres)
    }

    /// Must a record have it?
    pub(crate) fn is_required(&self) -> bool {
        !self.nullable && !self.has_default && !self.generated && !self.identity
    }
}

impl Table {
    /// A table, checked against what the plan wants of it.
    pub(crate) fn new(
        (schema, name): (String, String),
        columns: Vec<Column>,
        primary: &[String],
        plan: &Plan,
    ) -> Result<Self, Trouble> {
        let by_name = columns.iter().enumerate().map(|(i, c)| (c.name.clone(), i)).collect();
        let mut table = Self { schema, name, columns, key: Vec::new(), packet: 1 << 30, by_name };
        let missing = |what: &str, column: &str| {
            Trouble::fatal(
                ErrorKind::NotFound,
                format!("table {} has no column {column} ({what})", table.name),
            )
        };
        for m in plan.mapping.iter().flatten() {
            table.find(&m.column).ok_or_else(|| missing("mapping", &m.column))?;
        }
        let wanted = if plan.key.is_empty() { primary } else { &plan.key };
        let key: Result<Vec<_>, _> =
            wanted.iter().map(|k| table.find(k).ok_or_else(|| missing("key", k))).collect();
        table.key = key?;
        if plan.upsert && table.key.is_empty() {
            let words = format!("table {} has no primary key and the task names no key columns", table.name);
            return Err(Trouble::fatal(ErrorKind::Unacceptable, words));
        }
        Ok(table)
    }

    /// A column by name: exactly, else without regard to case where that is plain.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if let Some(i) = self.by_name.get(name) {
            return Some(*i);
        }
        let mut same = self.columns.iter().enumerate().filter(|(_, c)| c.name.eq_ignore_ascii_case(name));
        match (same.next(), same.next()) {
            (Some((i, _)), None) => Some(i),
            _ => None,
        }
    }

    pub(crate) fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }
}
