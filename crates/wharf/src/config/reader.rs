//! Reads a table key by key, remembers which keys were asked for, and collects problems with lines.

use std::borrow::Cow;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// 1-based line of a byte offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

type Entry<'t, 'i> = (&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// A table of the file under inspection.
pub struct Section<'t, 'i, 'p> {
    table: Option<&'t DeTable<'i>>,
    text: &'t str,
    path: String,
    line: usize,
    asked: BTreeSet<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'t, 'i> Section<'t, 'i, '_> {
    /// The whole file.
    pub fn root<'p>(
        table: &'t DeTable<'i>,
        text: &'t str,
        problems: &'p mut Vec<Problem>,
    ) -> Section<'t, 'i, 'p> {
        Section { table: Some(table), text, path: String::new(), line: 0, asked: BTreeSet::new(), problems }
    }

    /// Is the section in the file?
    pub fn is_there(&self) -> bool {
        self.table.is_some()
    }

    fn entry(&mut self, key: &'static str) -> Option<Entry<'t, 'i>> {
        self.asked.insert(key);
        self.table?.iter().find(|(k, _)| k.get_ref().as_ref() == key)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a problem with `key` (at its line if it is there, else at the section's).
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let line = self
            .table
            .and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == key))
            .map_or(self.line, |(k, _)| line_of(self.text, k.span().start));
        self.problems.push(Problem { line, key: self.name(key), message: message.into() });
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let (_, value) = self.entry(key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(s.to_string()),
            other => {
                self.problem(key, format!("must be a text in quotes, not {}", kind(other)));
                None
            }
        }
    }

    /// A text that has to be there.
    pub fn required(&mut self, key: &'static str) -> String {
        let there = self.entry(key).is_some();
        match self.text(key) {
            Some(s) if !s.is_empty() => s,
            Some(_) => {
                self.problem(key, "must not be empty");
                String::new()
            }
            None => {
                if !there {
                    self.problem(key, "is missing");
                }
                String::new()
            }
        }
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, key: &'static str, within: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let (_, value) = self.entry(key)?;
        let parsed = match value.get_ref() {
            DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).ok(),
            _ => None,
        };
        match parsed {
            Some(n) if within.contains(&n) => Some(n),
            _ => {
                self.problem(
                    key,
                    format!("must be a whole number from {} to {}", within.start(), within.end()),
                );
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (_, value) = self.entry(key)?;
        match value.get_ref() {
            DeValue::Boolean(b) => Some(*b),
            other => {
                self.problem(key, format!("must be true or false, not {}", kind(other)));
                None
            }
        }
    }

    /// A size in bytes: a number or a text such as `64MiB`.
    pub fn size(&mut self, key: &'static str) -> Option<u64> {
        let (_, value) = self.entry(key)?;
        let parsed = match value.get_ref() {
            DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).map_err(|e| e.to_string()),
            DeValue::String(s) => super::parse_size(s),
            other => Err(format!("must be a size such as \"64MiB\", not {}", kind(other))),
        };
        parsed.map_err(|message| self.problem(key, message)).ok()
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some((_, value)) = self.entry(key) else { return Vec::new() };
        let mut out = Vec::new();
        let DeValue::Array(items) = value.get_ref() else {
            self.problem(key, "must be a list of texts: [\"a\", \"b\"]");
            return out;
        };
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(s) => out.push(s.to_string()),
                other => self.problem(key, format!("must hold texts only, not {}", kind(other))),
            }
        }
        out
    }

    /// A sub-table; an absent one reads as empty.
    pub fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'t, 'i, '_>)) {
        let entry = self.entry(key);
        let (table, line) = match entry {
            None => (None, self.line),
            Some((k, v)) => match v.get_ref() {
                DeValue::Table(t) => (Some(t), line_of(self.text, k.span().start)),
                _ => {
                    self.problem(key, format!("must be a section: [{}]", self.name(key)));
                    return;
                }
            },
        };
        let path = self.name(key);
        let mut section = Section {
            table,
            text: self.text,
            path,
            line,
            asked: BTreeSet::new(),
            problems: &mut *self.problems,
        };
        read(&mut section);
        section.finish();
    }

    /// A list of tables: `[[key]]`.
    pub fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'t, 'i, '_>)) {
        let Some((_, value)) = self.entry(key) else { return };
        let DeValue::Array(items) = value.get_ref() else {
            self.problem(key, format!("must be a list of sections: [[{key}]]"));
            return;
        };
        for (i, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                self.problem(key, format!("must be a list of sections: [[{key}]]"));
                continue;
            };
            let path = format!("{}[{i}]", self.name(key));
            let line = line_of(self.text, item.span().start);
            let mut section = Section {
                table: Some(table),
                text: self.text,
                path,
                line,
                asked: BTreeSet::new(),
                problems: &mut *self.problems,
            };
            read(&mut section);
            section.finish();
        }
    }

    /// Reports every key that nobody asked for.
    pub fn finish(&mut self) {
        let Some(table) = self.table else { return };
        let unknown: Vec<String> = table
            .keys()
            .map(|k| k.get_ref().to_string())
            .filter(|k| !self.asked.contains(k.as_str()))
            .collect();
        for key in unknown {
            let known: Vec<&str> = self.asked.iter().copied().collect();
            self.problem(&key, format!("is not a setting here; known: {}", known.join(", ")));
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
