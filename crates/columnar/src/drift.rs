//! Why a record was not taken, and what its schema would need.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};
use simd_json::{Node, StaticNode};

/// Nesting that is looked into when a type is made out of a value.
const MAX_DEPTH: usize = 32;
/// New fields of one object that are reported at once.
const MAX_NEW: usize = 1000;

/// A record that can't be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Which field (`order.lines.2.price`); empty for the whole record.
    pub path: String,
    /// Why, in lower case; holds no more than the first characters of a value.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.reason);
        }
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// What a schema would need to take a record. A path leads through structs; `element` leads into a list, `key` and `value` into a map.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new optional field.
    Add {
        /// Names from the top, the new one last.
        path: Vec<String>,
        /// Its type, by the value that was met.
        data_type: DataType,
    },
    /// A wider type: `int` to `long`, `float` to `double`, a decimal with more digits.
    Widen {
        /// Names from the top.
        path: Vec<String>,
        /// The type that takes the value.
        to: DataType,
    },
}

impl Change {
    fn path(&mut self) -> &mut Vec<String> {
        match self {
            Self::Add { path, .. } | Self::Widen { path, .. } => path,
        }
    }
}

/// Why a record was not taken. Nothing of it is in the batch then.
#[derive(Debug, Clone, PartialEq)]
pub enum Reject {
    /// It is bad.
    Bad(RowError),
    /// It would fit a schema with these changes. There may be more behind them: try again after each.
    Drift(Vec<Change>),
}

impl Reject {
    pub(crate) fn bad(reason: impl Into<String>) -> Box<Self> {
        Box::new(Self::Bad(RowError { path: String::new(), reason: reason.into() }))
    }

    pub(crate) fn drift(changes: Vec<Change>) -> Box<Self> {
        Box::new(Self::Drift(changes))
    }

    pub(crate) fn widen(to: DataType) -> Box<Self> {
        Self::drift(vec![Change::Widen { path: Vec::new(), to }])
    }

    /// The same, seen from one level further up.
    pub(crate) fn within(mut self: Box<Self>, name: &str) -> Box<Self> {
        match &mut *self {
            Self::Bad(e) if e.path.is_empty() => e.path = name.to_owned(),
            Self::Bad(e) => e.path = format!("{name}.{}", e.path),
            Self::Drift(changes) => changes.iter_mut().for_each(|c| c.path().insert(0, name.to_owned())),
        }
        self
    }
}

/// The schema with these changes. New fields go to the end of their struct.
///
/// # Errors
/// The path that leads nowhere.
pub fn evolve(schema: &Schema, changes: &[Change]) -> Result<Schema, String> {
    let mut fields = schema.fields().clone();
    for change in changes {
        let mut change = change.clone();
        let whole = change.path().join(".");
        fields = in_fields(&fields, &mut change).ok_or_else(|| format!("{whole}: no such field"))?;
    }
    Ok(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn in_fields(fields: &Fields, change: &mut Change) -> Option<Fields> {
    let path = change.path();
    if path.is_empty() {
        return None;
    }
    let name = path.remove(0);
    let at = fields.iter().position(|f| *f.name() == name);
    let mut all: Vec<Arc<Field>> = fields.iter().cloned().collect();
    match (at, &*change) {
        (None, Change::Add { path, data_type }) if path.is_empty() => {
            all.push(Arc::new(Field::new(name, data_type.clone(), true)));
        }
        // Somebody was faster.
        (Some(_), Change::Add { path, .. }) if path.is_empty() => {}
        (Some(at), _) => {
            let field = all.get(at)?.clone();
            *all.get_mut(at)? = Arc::new(in_field(&field, change)?);
        }
        (None, _) => return None,
    }
    Some(all.into())
}

fn in_field(field: &Field, change: &mut Change) -> Option<Field> {
    let data_type = match (field.data_type(), &mut *change) {
        (_, Change::Widen { path, to }) if path.is_empty() => to.clone(),
        (DataType::Struct(fields), _) => DataType::Struct(in_fields(fields, change)?),
        (DataType::List(inner), _) => {
            step(change, "element")?;
            DataType::List(Arc::new(in_field(inner, change)?))
        }
        (DataType::LargeList(inner), _) => {
            step(change, "element")?;
            DataType::LargeList(Arc::new(in_field(inner, change)?))
        }
        (DataType::Map(entries, sorted), _) => {
            step(change, "value")?;
            let DataType::Struct(pair) = entries.data_type() else { return None };
            let (key, value) = (pair.first()?.clone(), pair.get(1)?);
            let pair: Fields = vec![key, Arc::new(in_field(value, change)?)].into();
            DataType::Map(Arc::new((**entries).clone().with_data_type(DataType::Struct(pair))), *sorted)
        }
        _ => return None,
    };
    Some(field.clone().with_data_type(data_type))
}

fn step(change: &mut Change, word: &str) -> Option<()> {
    let path = change.path();
    (path.first().map(String::as_str) == Some(word)).then(|| drop(path.remove(0)))
}

/// How many nodes of the tape a value takes.
pub(crate) fn width(node: Option<&Node<'_>>) -> usize {
    match node {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => 1 + count,
        _ => 1,
    }
}

/// The type of a value; `None` for one that has none (`null`, `{}`, `[]`).
pub(crate) fn infer(nodes: &[Node<'_>]) -> Option<DataType> {
    infer_at(nodes, MAX_DEPTH)
}

fn infer_at(nodes: &[Node<'_>], depth: usize) -> Option<DataType> {
    let depth = depth.checked_sub(1)?;
    match nodes.first()? {
        Node::String(_) => Some(DataType::Utf8),
        Node::Static(StaticNode::Bool(_)) => Some(DataType::Boolean),
        Node::Static(StaticNode::I64(_)) => Some(DataType::Int64),
        Node::Static(StaticNode::U64(n)) if i64::try_from(*n).is_ok() => Some(DataType::Int64),
        Node::Static(StaticNode::U64(_) | StaticNode::F64(_)) => Some(DataType::Float64),
        Node::Static(StaticNode::Null) => None,
        Node::Array { len, .. } => {
            let (mut at, mut all) = (1, Elements::default());
            for _ in 0..*len {
                let rest = nodes.get(at..)?;
                all.join(infer_at(rest, depth));
                at += width(rest.first());
            }
            Some(DataType::List(Arc::new(Field::new("element", all.end()?, true))))
        }
        Node::Object { len, .. } => {
            let (mut at, mut fields) = (1, Union::default());
            for _ in 0..(*len).min(MAX_NEW) {
                let Some(Node::String(name)) = nodes.get(at) else { return None };
                let rest = nodes.get(at + 1..)?;
                if let Some(t) = infer_at(rest, depth) {
                    fields.add(Arc::new(Field::new(*name, t, true)));
                }
                at += 1 + width(rest.first());
            }
            fields.end()
        }
    }
}

/// Has a value a type? The same as [`infer`] answers, without making it.
pub(crate) fn has_type(nodes: &[Node<'_>]) -> bool {
    typed_at(nodes, MAX_DEPTH)
}

fn typed_at(nodes: &[Node<'_>], depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let (len, names) = match nodes.first() {
        Some(Node::Array { len, .. }) => (*len, 0),
        Some(Node::Object { len, .. }) => ((*len).min(MAX_NEW), 1),
        None | Some(Node::Static(StaticNode::Null)) => return false,
        Some(_) => return true,
    };
    let mut at = 1;
    for _ in 0..len {
        let Some(rest) = nodes.get(at + names..) else { return false };
        if typed_at(rest, depth) {
            return true;
        }
        at += names + width(rest.first());
    }
    false
}

/// Fields of objects, each name once, in the order in which they came, and not more than [`MAX_NEW`].
#[derive(Default)]
struct Union {
    fields: Vec<Arc<Field>>,
    names: HashSet<String>,
}

impl Union {
    fn add(&mut self, field: Arc<Field>) {
        if self.fields.len() < MAX_NEW && !self.names.contains(field.name()) {
            self.names.insert(field.name().clone());
            self.fields.push(field);
        }
    }

    fn end(self) -> Option<DataType> {
        (!self.fields.is_empty()).then(|| DataType::Struct(self.fields.into()))
    }
}

/// The type of a list's elements: the first one's, all fields of objects, a double where whole numbers and others are mixed. Elements that
/// don't fit it are refused when they are read.
#[derive(Default)]
struct Elements {
    plain: Option<DataType>,
    union: Union,
}

impl Elements {
    fn join(&mut self, next: Option<DataType>) {
        match (&self.plain, next) {
            (Some(DataType::Int64), Some(DataType::Float64)) => self.plain = Some(DataType::Float64),
            (Some(_), _) | (None, None) => {}
            (None, Some(DataType::Struct(fields))) => {
                fields.iter().for_each(|f| self.union.add(f.clone()));
            }
            (None, Some(t)) if self.union.fields.is_empty() => self.plain = Some(t),
            (None, Some(_)) => {}
        }
    }

    fn end(self) -> Option<DataType> {
        self.plain.or_else(|| self.union.end())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { path, data_type } => write!(f, "add {} {data_type}", path.join(".")),
            Self::Widen { path, to } => write!(f, "widen {} to {to}", path.join(".")),
        }
    }
}
