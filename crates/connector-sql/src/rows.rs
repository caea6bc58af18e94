//! From records to rows.
//!
//! Rows with the same set of columns have the same *shape*; a statement takes rows of one shape. Where a key sits in the last record is where
//! it is looked for in the next one, so a lookup by name is rare.

use std::collections::HashMap;
use std::fmt;

use connector::records::RecordRef;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::catalogue::Table;
use crate::change::{self, Change, Step};
use crate::options::{ChangeFormat, Plan};
use crate::value::{self, Cell, Manner, Word};

/// What happens to a row.
#[derive(Debug)]
pub(crate) struct Op<'a> {
    /// Its columns, as an index into [`Shaper::shapes`].
    pub(crate) shape: usize,
    pub(crate) delete: bool,
    pub(crate) cells: Vec<Option<Cell<'a>>>,
    /// The key's cells as one text; empty for inserts, which have no order among each other.
    pub(crate) identity: Vec<u8>,
}

impl Op<'_> {
    /// Bytes of its values.
    pub(crate) fn weight(&self) -> usize {
        self.cells.iter().flatten().map(Cell::len).sum()
    }
}

/// Why there are no rows of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reject {
    /// It does not concern rows.
    Skip,
    /// A key has no column; the catalogue may be out of date.
    Unknown(String),
    /// It can't be taken.
    Refuse(String),
}

impl From<String> for Reject {
    fn from(why: String) -> Self {
        Self::Refuse(why)
    }
}

/// Makes rows.
pub(crate) struct Shaper<'t> {
    table: &'t Table,
    plan: &'t Plan,
    manner: Manner,
    /// Sets of columns, each sorted.
    pub(crate) shapes: Vec<Vec<usize>>,
    by_shape: HashMap<Vec<usize>, usize>,
    /// Key and column at each place of the last record.
    seen: Vec<(String, Option<usize>)>,
    /// For each column, the mapping's index.
    mapped: Vec<Option<usize>>,
}

/// The top level of an object in order; values as text.
struct Fields<'a>(Vec<(Word<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Fields(all))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Cells by column: absent, NULL, or a value.
type Slots<'a> = Vec<Option<Option<Cell<'a>>>>;

impl<'t> Shaper<'t> {
    pub(crate) fn new(table: &'t Table, plan: &'t Plan, engine: crate::options::Engine) -> Self {
        let manner = Manner { engine, base64: plan.change == Some(ChangeFormat::Debezium) };
        let mut mapped = vec![None; table.columns.len()];
        for (i, m) in plan.mapping.iter().flatten().enumerate() {
            if let Some(slot) = table.find(&m.column).and_then(|c| mapped.get_mut(c)) {
                *slot = Some(i);
            }
        }
        Self { table, plan, manner, shapes: Vec::new(), by_shape: HashMap::new(), seen: Vec::new(), mapped }
    }

    /// The rows of a record.
    pub(crate) fn rows<'a>(&mut self, record: &RecordRef<'a>) -> Result<Vec<Op<'a>>, Reject>
    where
        't: 'a,
    {
        let Some(format) = self.plan.change else {
            let Some(value) = record.value else {
                return Err(Reject::Refuse("a record without a value is no row".to_owned()));
            };
            let Fields(fields) =
                serde_json::from_slice(value).map_err(|e| format!("not a JSON object: {e}"))?;
            return Ok(vec![self.put(fields)?]);
        };
        let Some(value) = record.value else { return Err(Reject::Skip) };
        let Change::Steps(steps) = change::read(format, value)? else { return Err(Reject::Skip) };
        let mut ops = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Put(row) => ops.push(self.put(fields(row)?)?),
                Step::Delete(row) => ops.push(self.delete(fields(row)?)?),
                Step::Moved { old, new } => ops.extend(self.moved(fields(old)?, fields(new)?)?),
            }
        }
        Ok(ops)
    }

    fn put<'a>(&mut self, fields: Vec<(Word<'a>, &'a RawValue)>) -> Result<Op<'a>, Reject>
    where
        't: 'a,
    {
        let mut slots: Slots<'a> = vec![None; self.table.columns.len()];
        self.fill(fields, &mut slots, |_| true)?;
        self.complete(&mut slots)?;
        let identity = if self.plan.upsert { self.identity(&slots)? } else { Vec::new() };
        if slots.iter().all(Option::is_none) {
            return Err(Reject::Refuse("a record without any column".to_owned()));
        }
        Ok(self.op(slots, false, identity))
    }

    fn delete<'a>(&mut self, fields: Vec<(Word<'a>, &'a RawValue)>) -> Result<Op<'a>, Reject> {
        let table = self.table;
        let mut slots: Slots<'a> = vec![None; table.columns.len()];
        self.fill(fields, &mut slots, |c| table.is_key(c))?;
        let identity = self.identity(&slots)?;
        Ok(self.op(slots, true, identity))
    }

    /// The deletion of the row's old key, if it had another one. `old` may hold only what has changed.
    fn moved<'a>(
        &mut self,
        old: Vec<(Word<'a>, &'a RawValue)>,
        new: Vec<(Word<'a>, &'a RawValue)>,
    ) -> Result<Option<Op<'a>>, Reject> {
        let table = self.table;
        let mut slots: Slots<'a> = vec![None; table.columns.len()];
        self.fill(new, &mut slots, |c| table.is_key(c))?;
        let now = self.identity(&slots)?;
        self.fill(old, &mut slots, |c| table.is_key(c))?;
        let before = self.identity(&slots)?;
        Ok((before != now).then(|| self.op(slots, true, before)))
    }

    /// Puts fields into the slots of their columns, as far as `wanted`.
    fn fill<'a>(
        &mut self,
        fields: Vec<(Word<'a>, &'a RawValue)>,
        slots: &mut Slots<'a>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<(), Reject> {
        let table = self.table;
        for (place, (Word(key), raw)) in fields.into_iter().enumerate() {
            let Some(index) = self.column(place, &key)? else { continue };
            let (Some(column), Some(slot)) = (table.columns.get(index), slots.get_mut(index)) else {
                continue;
            };
            if column.generated || !wanted(index) {
                continue;
            }
            *slot = Some(value::cell(raw, column, self.manner)?);
        }
        Ok(())
    }

    /// The column of a key: `None` when the key is of no interest.
    fn column(&mut self, place: usize, key: &str) -> Result<Option<usize>, Reject> {
        match self.seen.get(place) {
            Some((seen, column)) if seen == key => return Ok(*column),
            _ => {}
        }
        let column = match &self.plan.mapping {
            Some(m) => m.iter().find(|m| m.json_key == key).and_then(|m| self.table.find(&m.column)),
            None => {
                let unknown = || {
                    let short: String = key.chars().take(64).collect();
                    Reject::Unknown(format!("table {} has no column {short}", self.table.name))
                };
                Some(self.table.find(key).ok_or_else(unknown)?)
            }
        };
        // A record with very many keys must not make a very large memory of them.
        if place == self.seen.len() && place < 4096 {
            self.seen.push((key.to_owned(), column));
        } else if let Some(old) = self.seen.get_mut(place) {
            *old = (key.to_owned(), column);
        }
        Ok(column)
    }

    /// Defaults of the mapping, and what must not be missing.
    fn complete<'a>(&self, slots: &mut Slots<'a>) -> Result<(), Reject>
    where
        't: 'a,
    {
        let mapping = self.plan.mapping.as_deref().unwrap_or_default();
        for ((slot, column), mapped) in slots.iter_mut().zip(&self.table.columns).zip(&self.mapped) {
            let mapped = mapped.and_then(|i| mapping.get(i));
            let nullable = column.nullable && mapped.and_then(|m| m.nullable) != Some(false);
            if let Some(default) = mapped.and_then(|m| m.default.as_deref())
                && (slot.is_none() || *slot == Some(None) && !nullable)
            {
                *slot = Some(Some(value::from_text(default, column, self.manner)?));
            }
            match slot {
                Some(None) if !nullable && !column.generated => {
                    return Err(Reject::Refuse(format!("column {} may not be null", column.name)));
                }
                None if column.is_required() || mapped.is_some() && !nullable && !column.has_default => {
                    return Err(Reject::Refuse(format!("column {} is missing", column.name)));
                }
                // So that rows with and without it have one shape; an insert makes no difference between them.
                None if !self.plan.upsert && column.nullable && !column.has_default && !column.generated => {
                    *slot = Some(None);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn identity(&self, slots: &Slots<'_>) -> Result<Vec<u8>, Reject> {
        let mut identity = Vec::with_capacity(self.table.key.len() * 16);
        for k in &self.table.key {
            match slots.get(*k) {
                Some(Some(Some(cell))) => cell.identify(&mut identity),
                _ => {
                    let name = self.table.columns.get(*k).map_or("", |c| &c.name);
                    return Err(Reject::Refuse(format!("key column {name} is missing or null")));
                }
            }
        }
        Ok(identity)
    }

    fn op<'a>(&mut self, slots: Slots<'a>, delete: bool, identity: Vec<u8>) -> Op<'a> {
        let (mut columns, mut cells) = (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()));
        for (i, slot) in slots.into_iter().enumerate() {
            if let Some(cell) = slot.filter(|_| !delete || self.table.is_key(i)) {
                columns.push(i);
                cells.push(cell);
            }
        }
        let shape = match self.by_shape.get(&columns) {
            Some(s) => *s,
            None => {
                self.shapes.push(columns.clone());
                self.by_shape.insert(columns, self.shapes.len() - 1);
                self.shapes.len() - 1
            }
        };
        Op { shape, delete, cells, identity }
    }
}

fn fields(row: &RawValue) -> Result<Vec<(Word<'_>, &RawValue)>, String> {
    let Fields(fields) =
        serde_json::from_str(row.get()).map_err(|e| format!("the row is no JSON object: {e}"))?;
    Ok(fields)
}

/// Rows of one shape that go into one statement.
#[derive(Debug)]
pub(crate) struct Group<'o, 'a> {
    pub(crate) shape: usize,
    pub(crate) delete: bool,
    pub(crate) rows: Vec<&'o Op<'a>>,
}

/// Puts rows into groups that are carried out one after the other. A row joins the group of its shape unless a later group has its key;
/// within a group the last row of a key stands for all of them.
pub(crate) fn group<'o, 'a>(ops: impl Iterator<Item = &'o Op<'a>>) -> Vec<Group<'o, 'a>> {
    let mut groups: Vec<Group<'o, 'a>> = Vec::new();
    let mut open: HashMap<(usize, bool), usize> = HashMap::new();
    let mut last: HashMap<&'o [u8], (usize, usize)> = HashMap::new();
    for op in ops {
        let kind = (op.shape, op.delete);
        let latest = if op.identity.is_empty() { None } else { last.get(op.identity.as_slice()).copied() };
        let place = match open.get(&kind) {
            Some(g) if latest.is_none_or(|(l, _)| l <= *g) => *g,
            _ => {
                groups.push(Group { shape: op.shape, delete: op.delete, rows: Vec::new() });
                open.insert(kind, groups.len() - 1);
                groups.len() - 1
            }
        };
        let Some(group) = groups.get_mut(place) else { continue };
        match latest.filter(|(l, _)| *l == place).and_then(|(_, row)| group.rows.get_mut(row)) {
            Some(row) => *row = op,
            None => {
                group.rows.push(op);
                if !op.identity.is_empty() {
                    last.insert(&op.identity, (place, group.rows.len() - 1));
                }
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(shape: usize, delete: bool, key: &str, n: usize) -> Op<'static> {
        let cell = Some(Cell::Text(n.to_string().into()));
        Op { shape, delete, cells: vec![cell], identity: key.as_bytes().to_vec() }
    }

    #[test]
    fn groups_keep_the_order_of_each_key() {
        let ops = [
            op(0, false, "a", 0),
            op(1, false, "b", 1),
            op(0, false, "c", 2),
            op(0, false, "a", 3),
            op(1, true, "a", 4),
            op(0, false, "a", 5),
            op(0, false, "d", 6),
        ];
        let groups = group(ops.iter());
        let say = |g: &Group<'_, '_>| {
            let rows = g.rows.iter().map(|o| o.cells[0].as_ref().unwrap());
            let rows: Vec<_> =
                rows.map(|c| if let Cell::Text(t) = c { t.to_string() } else { String::new() }).collect();
            format!("{}{} {}", g.shape, if g.delete { "-" } else { "" }, rows.join(","))
        };
        let said: Vec<_> = groups.iter().map(say).collect();
        assert_eq!(said, ["0 3,2", "1 1", "1- 4", "0 5,6"]);
    }
}
