//! A column that grows value by value and can be cut back to a number of rows.
//!
//! A value that does not fit is an error in the middle of a row: the columns before it are one longer than those after. The decoder
//! then cuts all of them back ([`Column::truncate`]), so nothing has to be checked twice.

mod build;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::BooleanBufferBuilder;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, TimeUnit};
use simd_json::Node;

use crate::drift::{Change, Reject, has_type, infer, width};
use crate::value::{Scalar, Taken};

/// Nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Fields of a schema, all levels together.
const MAX_FIELDS: usize = 10_000;

/// What a column goes by when a value is not what it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Fields that are not in the schema: a problem, or nothing.
    pub(crate) unknown_is_bad: bool,
    /// Report what the schema would need.
    pub(crate) reports: bool,
    pub(crate) text_of_scalars: bool,
}

#[derive(Debug)]
pub(crate) struct Column {
    field: FieldRef,
    kind: Kind,
    valid: BooleanBufferBuilder,
    nulls: usize,
}

#[derive(Debug)]
enum Kind {
    Bool(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Date(Vec<i32>),
    Time(TimeUnit, Vec<i64>),
    Timestamp(TimeUnit, Option<Arc<str>>, Vec<i64>),
    Decimal(u8, i8, Vec<i128>),
    Text(Pieces),
    Binary(Pieces),
    Fixed(usize, Vec<u8>),
    Struct(Group),
    List(Vec<i32>, Box<Column>),
    /// Offsets, and the two columns of the entries.
    Map(Vec<i32>, Box<Group>),
}

/// Bytes end to end.
#[derive(Debug)]
struct Pieces {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Pieces {
    fn new() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }

    fn push(&mut self, piece: &[u8]) -> Taken<()> {
        let end = i32::try_from(self.bytes.len() + piece.len()).map_err(|_| full())?;
        self.bytes.extend_from_slice(piece);
        self.ends.push(end);
        Ok(())
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.bytes.truncate(last(&self.ends));
    }

    fn take(&mut self) -> (Vec<i32>, Buffer) {
        let fresh = Self { ends: vec![0], bytes: Vec::with_capacity(self.bytes.len()) };
        let Self { ends, bytes } = std::mem::replace(self, fresh);
        (ends, Buffer::from_vec(bytes))
    }
}

fn full() -> Box<Reject> {
    Reject::bad("the batch is full: a column holds 2 GiB at most")
}

fn last(ends: &[i32]) -> usize {
    ends.last().and_then(|n| usize::try_from(*n).ok()).unwrap_or_default()
}

/// Columns side by side: a row, a struct, the entries of a map.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) columns: Vec<Column>,
    names: HashMap<Box<str>, usize>,
    /// The row (or value) that each column was last given, to find a name twice.
    seen: Vec<u64>,
    turn: u64,
}

impl Group {
    pub(crate) fn new(fields: &Fields) -> Result<Self, String> {
        Self::nested(fields, MAX_DEPTH, &mut 0)
    }

    fn nested(fields: &Fields, depth: usize, count: &mut usize) -> Result<Self, String> {
        let mut columns = Vec::with_capacity(fields.len());
        let mut names = HashMap::new();
        for (i, field) in fields.iter().enumerate() {
            if names.insert(field.name().as_str().into(), i).is_some() {
                return Err(format!("{}: there are two fields of this name", field.name()));
            }
            columns.push(Column::nested(field, depth, count).map_err(|e| format!("{}: {e}", field.name()))?);
        }
        Ok(Self { seen: vec![0; columns.len()], columns, names, turn: 0 })
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Begins a row; returns its turn.
    pub(crate) fn begin(&mut self) {
        self.turn += 1;
    }

    /// Notes that a column has its value for this row. False: it had one already.
    pub(crate) fn fill(&mut self, index: usize) -> bool {
        let turn = self.turn;
        self.seen.get_mut(index).is_some_and(|s| std::mem::replace(s, turn) != turn)
    }

    /// Nulls for what was not given.
    pub(crate) fn end(&mut self) -> Taken<()> {
        for (column, seen) in self.columns.iter_mut().zip(&self.seen) {
            if *seen != self.turn {
                column.push_null().map_err(|e| e.within(column.field.name()))?;
            }
        }
        Ok(())
    }

    /// Reads the object at the head of these nodes into the row that was begun.
    pub(crate) fn read(&mut self, nodes: &[Node<'_>], rules: Rules) -> Taken<()> {
        let Some(Node::Object { len, .. }) = nodes.first() else {
            return Err(nodes.first().map_or(Scalar::Null, Scalar::of).is_no("object"));
        };
        let (mut at, mut guess) = (1, 0);
        let mut new = Vec::new();
        for _ in 0..*len {
            let (Some(Node::String(name)), Some(value)) = (nodes.get(at), nodes.get(at + 1..)) else {
                return Err(Reject::bad("the object ends early"));
            };
            at += 1 + width(value.first());
            // Most records have their fields in the schema's order.
            let hit = self.columns.get(guess).is_some_and(|c| c.field.name() == name);
            let found = if hit { Some(guess) } else { self.index(name) };
            let Some(index) = found else {
                unknown(name, value, rules, &mut new)?;
                continue;
            };
            guess = index + 1;
            if !self.fill(index) {
                return Err(Reject::bad("is there twice").within(name));
            }
            if let Some(column) = self.columns.get_mut(index) {
                column.push(value, rules).map_err(|e| e.within(name))?;
            }
        }
        if !new.is_empty() {
            return Err(Reject::drift(new));
        }
        self.end()
    }
}

/// What becomes of a field that the schema doesn't have.
fn unknown(name: &str, value: &[Node<'_>], rules: Rules, new: &mut Vec<Change>) -> Taken<()> {
    if !rules.unknown_is_bad && !rules.reports {
        return Ok(());
    }
    if !rules.reports {
        return match has_type(value) {
            true => Err(Reject::bad("the schema has no such field").within(name)),
            false => Ok(()),
        };
    }
    let Some(data_type) = infer(value) else { return Ok(()) };
    if new.len() < 1000 {
        new.push(Change::Add { path: vec![name.to_owned()], data_type });
    }
    Ok(())
}

impl Column {
    fn nested(field: &FieldRef, depth: usize, count: &mut usize) -> Result<Self, String> {
        let Some(depth) = depth.checked_sub(1) else { return Err("the schema is nested too deeply".into()) };
        *count += 1;
        if *count > MAX_FIELDS {
            return Err(format!("the schema has more than {MAX_FIELDS} fields"));
        }
        let child = |f: &FieldRef, count: &mut usize| Self::nested(f, depth, count).map(Box::new);
        let kind = match field.data_type() {
            DataType::Boolean => Kind::Bool(BooleanBufferBuilder::new(0)),
            DataType::Int32 => Kind::Int(Vec::new()),
            DataType::Int64 => Kind::Long(Vec::new()),
            DataType::Float32 => Kind::Float(Vec::new()),
            DataType::Float64 => Kind::Double(Vec::new()),
            DataType::Date32 => Kind::Date(Vec::new()),
            DataType::Time32(unit) | DataType::Time64(unit) => Kind::Time(*unit, Vec::new()),
            DataType::Timestamp(unit, zone) => Kind::Timestamp(*unit, zone.clone(), Vec::new()),
            DataType::Decimal128(precision, scale) if *scale >= 0 => {
                Kind::Decimal(*precision, *scale, Vec::new())
            }
            DataType::Utf8 | DataType::LargeUtf8 => Kind::Text(Pieces::new()),
            DataType::Binary | DataType::LargeBinary => Kind::Binary(Pieces::new()),
            DataType::FixedSizeBinary(n) if *n > 0 => {
                Kind::Fixed(usize::try_from(*n).unwrap_or_default(), Vec::new())
            }
            DataType::Struct(fields) => Kind::Struct(Group::nested(fields, depth, count)?),
            DataType::List(f) | DataType::LargeList(f) => Kind::List(vec![0], child(f, count)?),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => {
                    Kind::Map(vec![0], Box::new(Group::nested(pair, depth, count)?))
                }
                _ => return Err("a map has a key and a value".into()),
            },
            other => return Err(format!("columns of type {other} are not supported")),
        };
        Ok(Self { field: field.clone(), kind, valid: BooleanBufferBuilder::new(0), nulls: 0 })
    }

    pub(crate) fn field(&self) -> &FieldRef {
        &self.field
    }

    pub(crate) fn is_nested(&self) -> bool {
        matches!(self.kind, Kind::Struct(_) | Kind::List(..) | Kind::Map(..))
    }

    fn mark(&mut self, valid: bool) {
        self.valid.append(valid);
        self.nulls += usize::from(!valid);
    }

    pub(crate) fn push_null(&mut self) -> Taken<()> {
        if !self.field.is_nullable() {
            return Err(Reject::bad("is required and missing"));
        }
        self.push_nothing()
    }

    /// A place that is null, whether the column likes it or not (inside of a struct that is null).
    fn push_nothing(&mut self) -> Taken<()> {
        match &mut self.kind {
            Kind::Bool(v) => v.append(false),
            Kind::Int(v) | Kind::Date(v) => v.push(0),
            Kind::Long(v) | Kind::Time(_, v) | Kind::Timestamp(_, _, v) => v.push(0),
            Kind::Float(v) => v.push(0.0),
            Kind::Double(v) => v.push(0.0),
            Kind::Decimal(_, _, v) => v.push(0),
            Kind::Text(p) | Kind::Binary(p) => p.push(b"")?,
            Kind::Fixed(n, v) => v.resize(v.len() + *n, 0),
            Kind::Struct(g) => g.columns.iter_mut().try_for_each(Self::push_nothing)?,
            Kind::List(ends, _) | Kind::Map(ends, _) => ends.extend(ends.last().copied()),
        }
        // Where a required field has nothing because its parent is null, its own bit says so too, if it may.
        self.mark(!self.field.is_nullable());
        Ok(())
    }

    /// The value at the head of these nodes.
    pub(crate) fn push(&mut self, nodes: &[Node<'_>], rules: Rules) -> Taken<()> {
        let Some(node) = nodes.first() else { return Err(Reject::bad("the record ends early")) };
        match (&mut self.kind, node) {
            (_, Node::Static(simd_json::StaticNode::Null)) => return self.push_null(),
            (Kind::Struct(group), _) => {
                group.begin();
                group.read(nodes, rules)?;
                self.mark(true);
                return Ok(());
            }
            (Kind::List(ends, child), Node::Array { len, .. }) => {
                let mut at = 1;
                for i in 0..*len {
                    let rest = nodes.get(at..).unwrap_or_default();
                    child.push(rest, rules).map_err(|e| {
                        let word = element(&e, i);
                        e.within(&word)
                    })?;
                    at += width(rest.first());
                }
                ends.push(grown(ends, *len)?);
            }
            (Kind::Map(ends, pair), Node::Object { len, .. }) => {
                read_map(pair, nodes, *len, rules)?;
                ends.push(grown(ends, *len)?);
            }
            _ => return self.push_scalar(Scalar::of(node), rules),
        }
        self.mark(true);
        Ok(())
    }

    /// A value without parts.
    pub(crate) fn push_scalar(&mut self, value: Scalar<'_>, rules: Rules) -> Taken<()> {
        let widens = rules.reports;
        match &mut self.kind {
            Kind::Bool(v) => v.append(value.bool()?),
            Kind::Int(v) => v.push(value.int(widens)?),
            Kind::Long(v) => v.push(value.long()?),
            Kind::Float(v) => v.push(value.float(widens)?),
            Kind::Double(v) => v.push(value.double()?),
            Kind::Date(v) => v.push(value.date()?),
            Kind::Time(unit, v) => v.push(value.time(*unit)?),
            Kind::Timestamp(unit, _, v) => v.push(value.timestamp(*unit)?),
            Kind::Decimal(precision, scale, v) => v.push(value.decimal(*precision, *scale, widens)?),
            Kind::Text(p) => match value {
                Scalar::Text(s) | Scalar::Field(s) => p.push(s.as_bytes())?,
                Scalar::Bool(b) if rules.text_of_scalars => p.push(b.to_string().as_bytes())?,
                Scalar::Int(n) if rules.text_of_scalars => p.push(n.to_string().as_bytes())?,
                Scalar::Large(n) if rules.text_of_scalars => p.push(n.to_string().as_bytes())?,
                Scalar::Float(n) if rules.text_of_scalars => p.push(n.to_string().as_bytes())?,
                other => return Err(other.is_no("string")),
            },
            Kind::Binary(p) => p.push(&value.binary()?)?,
            Kind::Fixed(n, v) => v.extend_from_slice(&value.fixed(*n)?),
            Kind::Struct(_) => return Err(value.is_no("object")),
            Kind::List(..) => return Err(value.is_no("array")),
            Kind::Map(..) => return Err(value.is_no("object")),
        }
        self.mark(true);
        Ok(())
    }

    /// Bytes as they are, into a binary or a text column.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Taken<()> {
        match &mut self.kind {
            Kind::Binary(p) => p.push(bytes)?,
            Kind::Text(p) => match std::str::from_utf8(bytes) {
                Ok(s) => p.push(s.as_bytes())?,
                Err(_) => return Err(Reject::bad("is not UTF-8 text, which this column holds")),
            },
            _ => return Err(Reject::bad("this column holds neither bytes nor text")),
        }
        self.mark(true);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        if self.valid.len() > rows {
            self.valid.truncate(rows);
            self.nulls = nulls(&self.valid);
        }
        match &mut self.kind {
            Kind::Bool(v) => v.truncate(rows.min(v.len())),
            Kind::Int(v) | Kind::Date(v) => v.truncate(rows),
            Kind::Long(v) | Kind::Time(_, v) | Kind::Timestamp(_, _, v) => v.truncate(rows),
            Kind::Float(v) => v.truncate(rows),
            Kind::Double(v) => v.truncate(rows),
            Kind::Decimal(_, _, v) => v.truncate(rows),
            Kind::Text(p) | Kind::Binary(p) => p.truncate(rows),
            Kind::Fixed(n, v) => v.truncate(rows * *n),
            Kind::Struct(g) => g.truncate(rows),
            Kind::List(ends, child) => {
                ends.truncate(rows + 1);
                child.truncate(last(ends));
            }
            Kind::Map(ends, pair) => {
                ends.truncate(rows + 1);
                pair.truncate(last(ends));
            }
        }
    }

    /// Bytes held, about.
    fn bytes(&self) -> usize {
        self.valid.len() / 8
            + match &self.kind {
                Kind::Bool(v) => v.len() / 8,
                Kind::Int(v) | Kind::Date(v) => v.len() * 4,
                Kind::Long(v) | Kind::Time(_, v) | Kind::Timestamp(_, _, v) => v.len() * 8,
                Kind::Float(v) => v.len() * 4,
                Kind::Double(v) => v.len() * 8,
                Kind::Decimal(_, _, v) => v.len() * 16,
                Kind::Text(p) | Kind::Binary(p) => p.bytes.len() + p.ends.len() * 4,
                Kind::Fixed(_, v) => v.len(),
                Kind::Struct(g) => g.bytes(),
                Kind::List(ends, child) => ends.len() * 4 + child.bytes(),
                Kind::Map(ends, pair) => ends.len() * 4 + pair.bytes(),
            }
    }

    /// Everything so far as an array; the column is empty then.
    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.valid.len();
        let valid = self.valid.finish();
        let nulls = (self.nulls > 0).then(|| NullBuffer::new(valid));
        self.nulls = 0;
        build::array(&mut self.kind, &self.field, nulls, rows)
    }
}

fn nulls(valid: &BooleanBufferBuilder) -> usize {
    let set = BooleanBuffer::new(Buffer::from(valid.as_slice()), 0, valid.len()).count_set_bits();
    valid.len() - set
}

/// The word for a list's element in a path: its number for people, `element` for a change.
fn element(e: &Reject, i: usize) -> String {
    match e {
        Reject::Bad(_) => i.to_string(),
        Reject::Drift(_) => "element".to_owned(),
    }
}

fn grown(ends: &[i32], by: usize) -> Taken<i32> {
    i32::try_from(last(ends) + by).map_err(|_| full())
}

fn read_map(pair: &mut Group, nodes: &[Node<'_>], len: usize, rules: Rules) -> Taken<()> {
    let [keys, values] = pair.columns.as_mut_slice() else { return Err(Reject::bad("no map")) };
    let mut at = 1;
    for _ in 0..len {
        let (Some(Node::String(name)), Some(value)) = (nodes.get(at), nodes.get(at + 1..)) else {
            return Err(Reject::bad("the object ends early"));
        };
        at += 1 + width(value.first());
        // A key is text in JSON, whatever the map's keys are.
        let key = if matches!(keys.kind, Kind::Text(_)) { Scalar::Text(name) } else { Scalar::Field(name) };
        keys.push_scalar(key, rules).map_err(|e| e.within("key"))?;
        values.push(value, rules).map_err(|e| {
            let bad = matches!(*e, Reject::Bad(_));
            e.within(if bad { name } else { "value" })
        })?;
    }
    Ok(())
}
