//! The decoder: records in, batches out.

use std::fmt;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, SchemaRef};
use simd_json::{Buffers, Tape, fill_tape};

use crate::column::{Group, Rules};
use crate::csv::{self, Cell};
use crate::drift::{Reject, RowError};
use crate::value::{Scalar, Taken};

/// What a record's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One line of CSV.
    Csv {
        /// Between fields.
        delimiter: u8,
    },
    /// Anything: it goes into this column as it is.
    Raw {
        /// A binary or string column.
        column: String,
    },
}

/// What becomes of a field that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// It is passed over.
    Ignore,
    /// The record is refused.
    #[default]
    Refuse,
    /// It is reported as a change, and so is a number that wants a wider type.
    Report,
}

/// Columns that are filled from what surrounds a record's value. Each is the name of a column of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetaColumns {
    /// The key (binary or string).
    pub key: Option<String>,
    /// The record's time (a timestamp or a long of milliseconds).
    pub timestamp: Option<String>,
    /// The partition (int or long).
    pub partition: Option<String>,
    /// The position (long).
    pub offset: Option<String>,
    /// The topic (string).
    pub topic: Option<String>,
}

impl MetaColumns {
    fn all(&self) -> [(Meta, Option<&String>); 5] {
        [
            (Meta::Key, self.key.as_ref()),
            (Meta::Timestamp, self.timestamp.as_ref()),
            (Meta::Partition, self.partition.as_ref()),
            (Meta::Offset, self.offset.as_ref()),
            (Meta::Topic, self.topic.as_ref()),
        ]
    }
}

/// What surrounds a record's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// Its key.
    Key,
    /// Its time.
    Timestamp,
    /// Its partition.
    Partition,
    /// Its position.
    Offset,
    /// Its topic.
    Topic,
}

/// How records are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What values are.
    pub format: Format,
    /// Fields that the schema does not have.
    pub unknown: Unknown,
    /// A string column takes numbers and booleans in their JSON form.
    pub text_of_scalars: bool,
    /// Columns beside the value.
    pub meta: MetaColumns,
}

impl Options {
    /// For values of this format; unknown fields refuse a record.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, unknown: Unknown::default(), text_of_scalars: false, meta: MetaColumns::default() }
    }
}

/// A record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Value; `None` is a tombstone: refused, except as a null of a raw column.
    pub value: Option<&'a [u8]>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Milliseconds since 1970; negative where there is none.
    pub timestamp_ms: i64,
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
    /// Topic.
    pub topic: &'a str,
}

/// Makes batches of one schema out of records.
pub struct Decoder {
    schema: SchemaRef,
    format: Format,
    rules: Rules,
    root: Group,
    /// Columns that are filled from beside the value.
    meta: Vec<(Meta, usize)>,
    /// Columns that are filled from the value in order (CSV), or the one of a raw value.
    positions: Vec<usize>,
    rows: usize,
    copy: Vec<u8>,
    text: String,
    cells: Vec<Cell>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("rows", &self.rows)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder for a schema.
    ///
    /// # Errors
    /// A type that has no column, a name that the options give and the schema doesn't have.
    pub fn new(schema: SchemaRef, options: &Options) -> Result<Self, String> {
        let root = Group::new(schema.fields())?;
        let index =
            |name: &String| root.index(name).ok_or_else(|| format!("{name}: the schema has no such column"));
        let mut meta = Vec::new();
        for (what, name) in options.meta.all() {
            if let Some(name) = name {
                meta.push((what, index(name)?));
            }
        }
        let rest = (0..schema.fields().len()).filter(|i| !meta.iter().any(|(_, m)| m == i));
        let positions = match &options.format {
            Format::Raw { column } => vec![index(column)?],
            _ => rest.collect(),
        };
        let rules = Rules {
            unknown_is_bad: options.unknown == Unknown::Refuse,
            reports: options.unknown == Unknown::Report,
            text_of_scalars: options.text_of_scalars,
        };
        let format = options.format.clone();
        let (tape, buffers) = (Tape(Vec::new()), Buffers::default());
        let (copy, text, cells) = (Vec::new(), String::new(), Vec::new());
        Ok(Self { schema, format, rules, root, meta, positions, rows: 0, copy, text, cells, buffers, tape })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// No rows?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes that the rows take, about. Walks all columns.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.root.bytes()
    }

    /// Forgets the rows after the first `rows`.
    pub fn rewind(&mut self, rows: usize) {
        if rows < self.rows {
            self.root.truncate(rows);
            self.rows = rows;
        }
    }

    /// Takes a record: the whole of it, or nothing.
    ///
    /// # Errors
    /// Why not.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Reject> {
        self.root.begin();
        let done = self.beside(record).and_then(|()| match &self.format {
            Format::Json => self.json(record),
            Format::Csv { delimiter } => self.csv(record, *delimiter),
            Format::Raw { .. } => self.raw(record),
        });
        match done {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(e) => {
                self.root.truncate(self.rows);
                Err(*e)
            }
        }
    }

    /// What was taken, as a batch (also an empty one); the decoder is empty then.
    ///
    /// # Errors
    /// A bug of this crate.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let arrays: Vec<ArrayRef> =
            self.root.columns.iter_mut().map(crate::column::Column::take).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
    }

    /// Fills the columns that are not the value's.
    fn beside(&mut self, record: &Record<'_>) -> Taken<()> {
        for (what, index) in &self.meta {
            self.root.fill(*index);
            let Some(column) = self.root.columns.get_mut(*index) else { continue };
            let rules = self.rules;
            let done = match (what, record.key) {
                (Meta::Key, Some(key)) => column.push_bytes(key),
                (Meta::Key, None) => column.push_null(),
                (Meta::Timestamp, _) if record.timestamp_ms < 0 => column.push_null(),
                (Meta::Timestamp, _) => column.push_scalar(Scalar::Int(record.timestamp_ms), rules),
                (Meta::Partition, _) => column.push_scalar(Scalar::Int(i64::from(record.partition)), rules),
                (Meta::Offset, _) => column.push_scalar(Scalar::Int(record.offset), rules),
                (Meta::Topic, _) => column.push_scalar(Scalar::Text(record.topic), rules),
            };
            done.map_err(|e| e.within(column.field().name()))?;
        }
        Ok(())
    }

    fn json(&mut self, record: &Record<'_>) -> Taken<()> {
        let Some(value) = record.value else { return Err(Reject::bad("has no value")) };
        self.copy.clear();
        self.copy.extend_from_slice(value);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let done = match fill_tape(&mut self.copy, &mut self.buffers, &mut tape) {
            Ok(()) => self.root.read(&tape.0, self.rules),
            Err(e) => Err(Reject::bad(format!("is not valid JSON: {e}"))),
        };
        self.tape = tape.reset();
        done
    }

    fn csv(&mut self, record: &Record<'_>, delimiter: u8) -> Taken<()> {
        let Some(value) = record.value else { return Err(Reject::bad("has no value")) };
        let Ok(line) = std::str::from_utf8(value) else { return Err(Reject::bad("is not UTF-8 text")) };
        csv::split(line, delimiter, self.positions.len(), &mut self.text, &mut self.cells)?;
        for (cell, index) in self.cells.iter().zip(&self.positions) {
            self.root.fill(*index);
            let Some(column) = self.root.columns.get_mut(*index) else { continue };
            let text = self.text.get(cell.start..cell.end).unwrap_or_default();
            let done = if text.is_empty() && !cell.quoted {
                column.push_null()
            } else if column.is_nested() {
                let mut copy = text.as_bytes().to_vec();
                match simd_json::to_tape(&mut copy) {
                    Ok(tape) => column.push(&tape.0, self.rules),
                    Err(e) => Err(Reject::bad(format!("is not valid JSON: {e}"))),
                }
            } else {
                column.push_scalar(Scalar::Field(text), self.rules)
            };
            done.map_err(|e| e.within(column.field().name()))?;
        }
        self.root.end()
    }

    fn raw(&mut self, record: &Record<'_>) -> Taken<()> {
        for index in &self.positions {
            self.root.fill(*index);
            let Some(column) = self.root.columns.get_mut(*index) else { continue };
            let done = match record.value {
                Some(value) => column.push_bytes(value),
                None => column.push_null(),
            };
            done.map_err(|e| e.within(column.field().name()))?;
        }
        self.root.end()
    }
}

impl From<Reject> for RowError {
    /// In words, for those who can't change the schema.
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Bad(e) => e,
            Reject::Drift(changes) => {
                let words: Vec<_> = changes.iter().take(8).map(ToString::to_string).collect();
                Self {
                    path: String::new(),
                    reason: format!("the schema would have to change: {}", words.join(", ")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
