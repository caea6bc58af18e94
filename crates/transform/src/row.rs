//! The object that a step builds, as JSON text with the places of its fields.

use std::collections::HashMap;
use std::ops::Range;

use crate::json::text::{decoded, write_escaped};
use crate::value::{MAX_VALUE, Reason, Val};

/// One object.
#[derive(Debug, Default)]
pub struct Row {
    json: String,
    cells: Vec<Cell>,
    /// May a name come twice?
    doubtful: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    key: (u32, u32),
    value: (u32, u32),
}

impl Row {
    /// Begins a new object.
    pub fn begin(&mut self) {
        self.json.clear();
        self.json.push('{');
        self.cells.clear();
        self.doubtful = false;
    }

    /// Adds a field whose name is written already: `"name":`.
    ///
    /// # Errors
    /// The object becomes too long.
    #[inline]
    pub fn add(&mut self, label: &str, write: impl FnOnce(&mut String)) -> Result<(), Reason> {
        if !self.cells.is_empty() {
            self.json.push(',');
        }
        let key = self.json.len() + 1;
        self.json.push_str(label);
        let start = self.json.len();
        write(&mut self.json);
        self.cell(key..start - 2, start..self.json.len())
    }

    /// Adds a field by its name, which may be there already: then the last one counts.
    ///
    /// # Errors
    /// The object becomes too long.
    pub fn add_named(&mut self, name: &str, value: &Val<'_>) -> Result<(), Reason> {
        self.doubtful = true;
        if !self.cells.is_empty() {
            self.json.push(',');
        }
        self.json.push('"');
        let key = self.json.len();
        write_escaped(name, &mut self.json);
        let end = self.json.len();
        self.json.push_str("\":");
        let start = self.json.len();
        value.write(&mut self.json);
        self.cell(key..end, start..self.json.len())
    }

    fn cell(&mut self, key: Range<usize>, value: Range<usize>) -> Result<(), Reason> {
        // Below 4 GiB by far, as the check behind it sees to.
        let narrow = |range: Range<usize>| (range.start as u32, range.end as u32);
        self.cells.push(Cell { key: narrow(key), value: narrow(value) });
        if self.json.len() > MAX_VALUE {
            return Err(Reason::Borrowed("the result is longer than 64 MiB"));
        }
        Ok(())
    }

    /// Ends the object: each name once, with its last value at its first place.
    pub fn end(&mut self) {
        if self.doubtful {
            self.dedupe();
        }
        self.json.push('}');
    }

    /// Bytes that the object's buffer takes.
    pub fn capacity(&self) -> usize {
        self.json.capacity()
    }

    /// Takes the end back, for more fields.
    pub fn reopen(&mut self) {
        self.json.pop();
    }

    /// The object as JSON on one line.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The names and values as they are written in JSON, in order. A name without its quotes.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells.iter().map(|cell| (self.slice(cell.key), self.slice(cell.value)))
    }

    /// The value of a name that is written as JSON writes it.
    pub fn get(&self, written: &str) -> Option<&str> {
        self.cells().find(|(key, _)| *key == written).map(|(_, value)| value)
    }

    fn slice(&self, (start, end): (u32, u32)) -> &str {
        self.json.get(start as usize..end as usize).unwrap_or_default()
    }

    fn dedupe(&mut self) {
        let twice = if self.cells.len() <= 24 {
            let names: Vec<&str> = self.cells().map(|(key, _)| key).collect();
            names.iter().enumerate().any(|(i, name)| names.iter().take(i).any(|other| other == name))
        } else {
            true
        };
        if !twice {
            return;
        }
        let mut last: HashMap<&str, usize> = HashMap::with_capacity(self.cells.len());
        for (i, (key, _)) in self.cells().enumerate() {
            last.insert(key, i);
        }
        if last.len() == self.cells.len() {
            return;
        }
        let mut json = String::with_capacity(self.json.len());
        let mut cells = Vec::with_capacity(last.len());
        json.push('{');
        for (key, _) in self.cells() {
            let Some(cell) = last.remove(key).and_then(|i| self.cells.get(i)) else { continue };
            json.push_str(if cells.is_empty() { "\"" } else { ",\"" });
            let place = json.len() as u32;
            json.push_str(key);
            let end = json.len() as u32;
            json.push_str("\":");
            let start = json.len() as u32;
            json.push_str(self.slice(cell.value));
            cells.push(Cell { key: (place, end), value: (start, json.len() as u32) });
        }
        self.json = json;
        self.cells = cells;
    }
}

/// The text of a value that is written as JSON: a string's own, nothing for null, else as it is written.
pub fn text_of(written: &str) -> std::borrow::Cow<'_, str> {
    match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) => decoded(inside),
        None if written == "null" => "".into(),
        None => written.into(),
    }
}
