//! Columns for records that nobody gave a schema for: it is learnt from the records themselves.
//!
//! A split begins with no columns. A field that is met for the first time becomes one, of the type of its value; whole numbers that meet
//! a fraction become doubles. As a file has one schema, the sink completes the open one before a unit whose records need another
//! one, and begins the next with it; readers join files by the names of columns. Once the records of a topic are known, nothing changes any more.
//!
//! Nothing is refused and nothing is lost: a record that fits no columns (text that is no JSON object, a value of another type than the column's, a
//! field twice, fields beyond the limit) goes as it is, byte by byte, into the column [`ASIDE`], alone in its row.

use std::borrow::Cow;
use std::sync::Arc;

use columnar::{
    Change, DataType, Decoder, Field, Format, MetaColumns, Options, Record, RecordBatch, Reject, Schema,
    SchemaRef, Unknown, evolve,
};
use connector::Result;

use super::parquet::broken;

/// The column of records that fit no columns.
pub(super) const ASIDE: &str = "_wharf_record";
/// Columns at most, those within others counted.
const MAX_COLUMNS: usize = 2000;
/// Changes of the schema for one record at most; each names all new fields of one object.
const MAX_STEPS: usize = 64;

/// The schema of a split's records so far.
#[derive(Debug)]
pub(super) struct Learnt {
    schema: SchemaRef,
    decoder: Decoder,
}

/// What one record did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learning {
    Yes,
    No,
}

fn decoder(schema: &SchemaRef) -> std::result::Result<Decoder, String> {
    let mut options = Options::new(Format::Json);
    options.unknown = Unknown::Report;
    options.text_of_scalars = true;
    // The column beside the value's own: a field of the same name is one too many, and its record goes aside.
    options.meta = MetaColumns { key: Some(ASIDE.to_owned()), ..MetaColumns::default() };
    Decoder::new(schema.clone(), &options)
}

impl Learnt {
    pub(super) fn new() -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![Field::new(ASIDE, DataType::Binary, true)]));
        Ok(Self { decoder: decoder(&schema).map_err(broken)?, schema })
    }

    /// The schema as it is now.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The records of a unit (`None` = a tombstone, a row of nulls) as rows, and whether the schema has changed for them.
    ///
    /// # Errors
    /// When nothing can be written at all.
    pub(super) fn rows(&mut self, values: &[Option<Cow<'_, [u8]>>]) -> Result<(RecordBatch, bool)> {
        let before = self.schema.clone();
        for value in values {
            self.push(value.as_deref(), Learning::Yes)?;
        }
        let changed = before != self.schema;
        if changed {
            // The rows of before the last change went with their decoder.
            self.decoder = decoder(&self.schema).map_err(broken)?;
            for value in values {
                self.push(value.as_deref(), Learning::No)?;
            }
        }
        Ok((self.decoder.finish().map_err(broken)?, changed))
    }

    fn push(&mut self, value: Option<&[u8]>, learning: Learning) -> Result<()> {
        let value = value.unwrap_or(b"{}");
        let steps = if learning == Learning::Yes { MAX_STEPS } else { 0 };
        for step in 0..=steps {
            let Err(why) = self.decoder.push(&record(value)) else { return Ok(()) };
            if step == steps || !self.learn(value, why) {
                break;
            }
        }
        let aside = Record { value: Some(b"{}"), key: Some(value), ..Record::default() };
        self.decoder.push(&aside).map_err(|why| broken(columnar::RowError::from(why)))
    }

    /// Changes the schema so that it may take a record. False: it should not.
    fn learn(&mut self, value: &[u8], why: Reject) -> bool {
        let changes = match &why {
            Reject::Drift(changes) => changes.clone(),
            Reject::Bad(e) => {
                let path: Vec<_> = e.path.split('.').map(str::to_owned).collect();
                if type_at(self.schema.fields(), &path) != Some(&DataType::Int64) {
                    return false;
                }
                vec![Change::Widen { path, to: DataType::Float64 }]
            }
        };
        let Ok(schema) = evolve(&self.schema, &changes) else { return false };
        let schema = Arc::new(schema);
        if columns(schema.fields()) > MAX_COLUMNS {
            return false;
        }
        let Ok(mut next) = decoder(&schema) else { return false };
        if let Reject::Bad(e) = why {
            // Of use only if what was wrong is right now: a text is no number of any kind.
            let same = |r: Reject| matches!(r, Reject::Bad(again) if again.path == e.path);
            if next.push(&record(value)).is_err_and(same) {
                return false;
            }
            next.rewind(0);
        }
        (self.schema, self.decoder) = (schema, next);
        true
    }
}

fn record(value: &[u8]) -> Record<'_> {
    Record { value: Some(value), ..Record::default() }
}

/// The type of the column that a path leads to, through structs.
fn type_at<'s>(fields: &'s columnar::Fields, path: &[String]) -> Option<&'s DataType> {
    let (first, rest) = path.split_first()?;
    let (_, field) = fields.find(first)?;
    match field.data_type() {
        found if rest.is_empty() => Some(found),
        DataType::Struct(fields) => type_at(fields, rest),
        _ => None,
    }
}

fn columns(fields: &columnar::Fields) -> usize {
    let of = |t: &DataType| match t {
        DataType::Struct(fields) => columns(fields),
        DataType::List(f) => match f.data_type() {
            DataType::Struct(fields) => 1 + columns(fields),
            _ => 1,
        },
        _ => 0,
    };
    fields.iter().map(|f| 1 + of(f.data_type())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(learnt: &mut Learnt, values: &[&str]) -> (RecordBatch, bool) {
        let values: Vec<_> = values.iter().map(|v| Some(Cow::Borrowed(v.as_bytes()))).collect();
        learnt.rows(&values).unwrap()
    }

    fn kind<'b>(batch: &'b RecordBatch, name: &str) -> (&'b DataType, usize) {
        let column = batch.column_by_name(name).unwrap();
        (column.data_type(), column.len() - column.null_count())
    }

    #[test]
    fn columns_are_learnt_and_stay() {
        let mut l = Learnt::new().unwrap();
        let (batch, changed) = rows(&mut l, &[r#"{"a":1,"o":{"x":"s"}}"#, r#"{"b":true,"o":{"y":[1,2.5]}}"#]);
        assert!(changed && batch.num_rows() == 2);
        assert_eq!((kind(&batch, "a"), kind(&batch, "b")), ((&DataType::Int64, 1), (&DataType::Boolean, 1)));
        assert_eq!((kind(&batch, ASIDE).1, batch.num_columns()), (0, 4));
        let (batch, changed) = rows(&mut l, &[r#"{"a":2}"#, r#"{"a":null,"e":{},"l":[]}"#]);
        assert!(!changed && kind(&batch, "a").1 == 1 && batch.num_columns() == 4);
        // A fraction: the column of whole numbers becomes one of doubles, in the next file.
        let (batch, changed) = rows(&mut l, &[r#"{"a":3}"#, r#"{"a":2.5,"o":{"x":7}}"#]);
        assert!(changed && kind(&batch, "a") == (&DataType::Float64, 2), "{:?}", batch.schema());
        assert_eq!(kind(&batch, ASIDE).1, 0);
    }

    #[test]
    fn what_fits_no_columns_is_kept_as_it_is() {
        let mut l = Learnt::new().unwrap();
        assert!(rows(&mut l, &[r#"{"a":1}"#]).1);
        let twice = r#"{"a":1,"a":2}"#;
        let own = format!(r#"{{"a":1,"{ASIDE}":"x"}}"#);
        let bad = ["not json", "[1]", "7", r#"{"a":"text"}"#, r#"{"a":{"b":1}}"#, twice, &own, "", "{"];
        let (batch, changed) = rows(&mut l, &bad);
        assert!(!changed, "{:?}", batch.schema());
        assert_eq!((kind(&batch, ASIDE).1, kind(&batch, "a").1), (bad.len(), 0));
        let values = [None, Some(Cow::Borrowed(&b"\xff\xfe"[..]))];
        let (batch, _) = l.rows(&values).unwrap();
        assert_eq!((batch.num_rows(), kind(&batch, ASIDE).1), (2, 1));
    }

    #[test]
    fn a_stream_of_ever_new_fields_ends_at_the_limit() {
        let mut l = Learnt::new().unwrap();
        let values: Vec<String> = (0..30)
            .map(|i| {
                let fields: Vec<_> = (0..100).map(|n| format!(r#""f{}":1"#, i * 100 + n)).collect();
                format!("{{{}}}", fields.join(","))
            })
            .collect();
        let (batch, _) = rows(&mut l, &values.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(batch.num_columns() <= MAX_COLUMNS);
        assert_eq!(kind(&batch, ASIDE).1, 30 - (batch.num_columns() - 1) / 100);
        let deep = format!("{}1{}", r#"{"d":"#.repeat(200), "}".repeat(200));
        let (batch, _) = rows(&mut l, &[&deep, r#"{"f0":5}"#]);
        assert_eq!((batch.num_rows(), kind(&batch, "f0").1), (2, 1));
    }
}
