//! Flattened parameters (`Filters.0.Name=x`) to nested ones and back.
//!
//! Tencent's GET and form requests count from 0, Alibaba's from 1. Leaves stay text; the field tables
//! read numbers and booleans from it. Depth, indices and the number of parameters are bounded, and an
//! index gap is refused rather than filled: no request can make us allocate more than it sent.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Most items of one flattened list.
pub const MAX_ITEMS: usize = 1_000;
/// Most names in one path.
pub const MAX_DEPTH: usize = 16;
/// Most parameters of one request.
pub const MAX_PAIRS: usize = 20_000;

/// The number of a list's first item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Tencent.
    Zero,
    /// Alibaba.
    One,
}

impl Base {
    fn first(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }
}

/// Why parameters can't be nested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlattenProblem {
    /// The parameter, shortened.
    pub field: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for FlattenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The parameter `{}` {}.", self.field, self.why)
    }
}

enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Node>),
}

/// Nests flattened parameters. A name that comes twice keeps its last value.
///
/// # Errors
/// Bad names, a name that is both a value and an object, lists with gaps, and what is out of bounds.
pub fn unflatten(
    pairs: impl IntoIterator<Item = (String, String)>,
    base: Base,
) -> Result<Value, FlattenProblem> {
    let mut root = BTreeMap::new();
    for (count, (name, value)) in pairs.into_iter().enumerate() {
        if count >= MAX_PAIRS {
            return Err(problem(&name, "is one too many"));
        }
        insert(&mut root, &name, value)?;
    }
    let mut fields = Map::new();
    for (name, node) in root {
        let value = settle(node, &name, base)?;
        fields.insert(name, value);
    }
    Ok(Value::Object(fields))
}

fn insert(root: &mut BTreeMap<String, Node>, name: &str, value: String) -> Result<(), FlattenProblem> {
    if name.split('.').any(str::is_empty) {
        return Err(problem(name, "is not a name"));
    }
    if name.split('.').count() > MAX_DEPTH {
        return Err(problem(name, "is nested too deeply"));
    }
    let (parents, last) = name.rsplit_once('.').map_or((None, name), |(p, l)| (Some(p), l));
    let mut at = root;
    for part in parents.into_iter().flat_map(|p| p.split('.')) {
        let node = at.entry(part.to_owned()).or_insert_with(|| Node::Branch(BTreeMap::new()));
        match node {
            Node::Branch(inner) => at = inner,
            Node::Leaf(_) => return Err(problem(name, "is both a value and an object")),
        }
    }
    match at.insert(last.to_owned(), Node::Leaf(value)) {
        Some(Node::Branch(_)) => Err(problem(name, "is both a value and an object")),
        _ => Ok(()),
    }
}

fn settle(node: Node, path: &str, base: Base) -> Result<Value, FlattenProblem> {
    let branch = match node {
        Node::Leaf(text) => return Ok(Value::String(text)),
        Node::Branch(branch) => branch,
    };
    if branch.keys().all(|k| k.bytes().all(|b| b.is_ascii_digit())) {
        return list(branch, path, base);
    }
    let mut fields = Map::new();
    for (name, node) in branch {
        let value = settle(node, path, base)?;
        fields.insert(name, value);
    }
    Ok(Value::Object(fields))
}

fn list(branch: BTreeMap<String, Node>, path: &str, base: Base) -> Result<Value, FlattenProblem> {
    if branch.len() > MAX_ITEMS {
        return Err(problem(path, "has too many items"));
    }
    let mut items = BTreeMap::new();
    for (index, node) in branch {
        let number: usize = index.parse().map_err(|_| problem(path, "has an index that is too large"))?;
        if items.insert(number, node).is_some() {
            return Err(problem(path, "has an item twice"));
        }
    }
    let mut out = Vec::with_capacity(items.len());
    for (expected, (number, node)) in (base.first()..).zip(items) {
        if number != expected {
            return Err(problem(path, "has a gap in its indices"));
        }
        out.push(settle(node, path, base)?);
    }
    Ok(Value::Array(out))
}

fn problem(name: &str, why: &'static str) -> FlattenProblem {
    FlattenProblem { field: name.chars().take(80).collect(), why }
}

/// Flattens nested parameters for a client. Null and empty lists leave nothing.
#[must_use]
pub fn flatten(value: &Value, base: Base) -> Vec<(String, String)> {
    let mut out = Vec::new();
    walk(value, String::new(), base, &mut out);
    out
}

fn walk(value: &Value, path: String, base: Base, out: &mut Vec<(String, String)>) {
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Null => {}
        Value::Bool(b) => out.push((path, b.to_string())),
        Value::Number(n) => out.push((path, n.to_string())),
        Value::String(s) => out.push((path, s.clone())),
        Value::Array(items) => {
            for (i, item) in (base.first()..).zip(items) {
                walk(item, child(&i.to_string()), base, out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                walk(field, child(name), base, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nest(pairs: &[(&str, &str)], base: Base) -> Result<Value, FlattenProblem> {
        unflatten(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), base)
    }

    #[test]
    fn both_bases() {
        let v = nest(
            &[("Filters.0.Name", "n"), ("Filters.0.Values.0", "a"), ("Filters.0.Values.1", "b")],
            Base::Zero,
        );
        assert_eq!(v, Ok(json!({"Filters":[{"Name":"n","Values":["a","b"]}]})));
        let v =
            nest(&[("Tag.2.Key", "b"), ("Tag.1.Key", "a"), ("Condition.Size", "7"), ("X", "")], Base::One);
        assert_eq!(v, Ok(json!({"Tag":[{"Key":"a"},{"Key":"b"}],"Condition":{"Size":"7"},"X":""})));
    }

    #[test]
    fn what_is_refused() {
        let long = format!("A.{}", "9".repeat(40));
        let deep = vec!["a"; MAX_DEPTH + 1].join(".");
        for bad in [
            &[("A.1", "x")][..],
            &[("A.0", "x"), ("A.2", "x")],
            &[("A.0", "x"), ("A.00", "x")],
            &[("A", "x"), ("A.0", "x")],
            &[("A.0", "x"), ("A", "x")],
            &[("A..b", "x")],
            &[(".", "x")],
            &[(&long, "x")],
            &[(&deep, "x")],
        ] {
            assert!(nest(bad, Base::Zero).is_err(), "{bad:?}");
        }
        assert!(nest(&[("A.0", "x")], Base::One).is_err());
        let many = (0..=MAX_ITEMS).map(|i| (format!("A.{i}"), String::new()));
        assert_eq!(unflatten(many, Base::Zero).unwrap_err().why, "has too many items");
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = "[a-z 0-9+]{0,5}".prop_map(Value::String);
        let nested = leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Array),
                prop::collection::btree_map("[A-Z][a-z]{0,3}", inner, 1..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[A-Z][a-z]{0,3}", nested, 0..4)
            .prop_map(|m| Value::Object(m.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn there_and_back(v in tree(), one in any::<bool>()) {
            let base = if one { Base::One } else { Base::Zero };
            prop_assert_eq!(unflatten(flatten(&v, base), base), Ok(v));
        }

        #[test]
        fn never_a_panic(pairs in prop::collection::vec(("[a-c.0-2]{0,8}", ".*"), 0..8)) {
            let _ = unflatten(pairs.clone(), Base::Zero);
            let _ = unflatten(pairs, Base::One);
        }
    }
}
