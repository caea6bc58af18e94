//! Which topic a record goes to.

use std::borrow::Cow;
use std::collections::HashMap;

use connector::ErrorKind;
use connector::records::{RecordRef, Refused, Split};
use serde::Deserialize;

use crate::options::SinkOptions;

/// The rule of a sink.
pub(super) enum Routes {
    One(String),
    /// By the table that a change record names.
    Tables {
        topics: HashMap<(String, String), String>,
        other: Option<String>,
    },
    /// Named after the source's topic.
    Named(String),
}

/// What a change record says of its table. Debezium: `source.db` and `source.table` (`source.schema` as well for
/// databases with schemas), perhaps inside `payload`. Canal: `database` and `table`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Change<'a> {
    #[serde(borrow)]
    database: Option<Cow<'a, str>>,
    #[serde(borrow)]
    table: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Origin<'a>>,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    source: Option<Origin<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Origin<'a> {
    #[serde(borrow)]
    db: Option<Cow<'a, str>>,
    #[serde(borrow)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow)]
    table: Option<Cow<'a, str>>,
}

impl Routes {
    pub(super) fn of(options: &SinkOptions) -> Self {
        if options.prefix.is_some() || options.separator.is_some() {
            let text = |t: &Option<String>| t.clone().unwrap_or_default();
            return Self::Named(text(&options.prefix) + &text(&options.separator));
        }
        let other = options.topic.clone();
        match other {
            Some(topic) if options.tables.is_empty() => Self::One(topic),
            other => {
                let routes = options.tables.iter();
                let topics =
                    routes.map(|r| ((r.database.clone(), r.table.clone()), r.topic.clone())).collect();
                Self::Tables { topics, other }
            }
        }
    }

    /// The topic of all records of a split, where there is one for all.
    pub(super) fn whole(&self, split: &Split) -> Option<Cow<'_, str>> {
        match self {
            Self::One(topic) => Some(Cow::Borrowed(topic)),
            Self::Named(start) => Some(Cow::Owned(format!("{start}{}", split.topic))),
            Self::Tables { .. } => None,
        }
    }

    /// The topic of one record.
    pub(super) fn single(&self, index: usize, record: &RecordRef<'_>) -> Result<&str, Refused> {
        let Self::Tables { topics, other } = self else {
            return Err(refused(index, "the sink has no table routes"));
        };
        let table = record.value.and_then(table);
        let routed = table.as_ref().and_then(|names| {
            names.iter().find_map(|(database, table)| topics.get(&(database.to_string(), table.to_string())))
        });
        routed.or(other.as_ref()).map(String::as_str).ok_or_else(|| match &table {
            None => refused(index, "names no table: not a change record of Debezium or Canal"),
            Some(names) => {
                let named = names.first().map(|(d, t)| format!("{d}.{t}")).unwrap_or_default();
                refused(index, &format!("there is no route for the table {named:.200}"))
            }
        })
    }
}

fn refused(index: usize, reason: &str) -> Refused {
    Refused { index, kind: ErrorKind::Unacceptable, reason: reason.to_owned() }
}

type Names<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Database and table that a value names; with a schema, that and the table as well.
fn table(value: &[u8]) -> Option<Names<'_>> {
    let change: Change<'_> = serde_json::from_slice(value).ok()?;
    let origin = change.source.or_else(|| change.payload.and_then(|p| p.source));
    let mut names = Vec::new();
    if let Some(Origin { db, schema, table: Some(table) }) = origin {
        names.extend(db.map(|d| (d, table.clone())));
        names.extend(schema.map(|s| (s, table)));
    }
    if let (Some(database), Some(table)) = (change.database, change.table) {
        names.push((database, table));
    }
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::records::Headers;

    fn record(value: &str) -> RecordRef<'_> {
        let value = Some(value.as_bytes());
        RecordRef { offset: 0, sub: 0, timestamp_ms: 0, key: None, value, headers: Headers::none() }
    }

    #[test]
    fn change_records_find_their_topic() {
        let options = r#"{"tables":[{"database":"d","table":"t","topic":"x"},{"database":"public","table":"t","topic":"y"}]}"#;
        let mut options: SinkOptions = serde_json::from_str(options).unwrap();
        let routes = Routes::of(&options);
        for (value, topic) in [
            (r#"{"before":null,"source":{"db":"d","table":"t","ts_ms":1},"op":"c"}"#, Some("x")),
            (r#"{"schema":{"a":[]},"payload":{"source":{"db":"d","schema":"s","table":"t"}}}"#, Some("x")),
            (r#"{"source":{"db":"other","schema":"public","table":"t"}}"#, Some("y")),
            (r#"{"data":[{}],"database":"d","table":"t","type":"INSERT"}"#, Some("x")),
            (r#"{"database":"d","table":"u"}"#, None),
            (r#"{"source":{"db":"d"}}"#, None),
            (r#"{"source":"text"}"#, None),
            ("no json", None),
            ("", None),
        ] {
            assert_eq!(routes.single(3, &record(value)).ok(), topic, "{value}");
        }
        options.topic = Some("rest".into());
        assert_eq!(Routes::of(&options).single(0, &record("no json")).ok(), Some("rest"));
        let deep = "[".repeat(100_000);
        assert_eq!(routes.single(3, &record(&deep)).unwrap_err().index, 3);
    }
}
