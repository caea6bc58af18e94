//! Builds the conditions of a filter. Texts are ours alone; whatever comes from outside is a value.

use crate::db::Value;
use crate::{Error, ErrorKind, Page, Result, Span};

/// Values in one list at most.
const MAX_LIST: usize = 1000;

/// Longest attribute value that can be asked for, in bytes: longer ones are kept in the record only, as
/// an index entry has a limit.
pub(crate) const MAX_ATTRIBUTE: usize = 256;

#[derive(Default)]
pub(crate) struct Conditions {
    text: String,
    values: Vec<Value>,
    too_long: bool,
}

impl Conditions {
    fn add(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
    }

    pub(crate) fn bind(&mut self, v: impl Into<Value>) -> String {
        self.values.push(v.into());
        format!("${}", self.values.len())
    }

    fn list<V: Into<Value>>(&mut self, values: impl ExactSizeIterator<Item = V>) -> String {
        self.too_long |= values.len() > MAX_LIST;
        let places: Vec<String> = values.take(MAX_LIST).map(|v| self.bind(v)).collect();
        places.join(", ")
    }

    pub(crate) fn equal<V: Into<Value>>(&mut self, column: &str, v: Option<V>) {
        if let Some(v) = v {
            let place = self.bind(v);
            self.add(&format!("{column} = {place}"));
        }
    }

    pub(crate) fn any<V: Into<Value>>(&mut self, column: &str, values: impl ExactSizeIterator<Item = V>) {
        if values.len() > 0 {
            let places = self.list(values);
            self.add(&format!("{column} IN ({places})"));
        }
    }

    /// `LIKE` differs between the two databases in letter case and escapes; this doesn't.
    pub(crate) fn contains(&mut self, column: &str, needle: Option<&str>) {
        if let Some(needle) = needle.filter(|n| !n.is_empty()) {
            let place = self.bind(needle);
            self.add(&format!("REPLACE({column}, {place}, '') <> {column}"));
        }
    }

    /// Is one of what `select` finds for this value.
    pub(crate) fn within<V: Into<Value>>(&mut self, column: &str, select: &str, v: V) {
        let place = self.bind(v);
        self.add(&format!("{column} IN ({select} {place})"));
    }

    /// From `low` on and less than `high`.
    pub(crate) fn between(&mut self, column: &str, low: i64, high: i64) {
        let (low, high) = (self.bind(low), self.bind(high));
        self.add(&format!("{column} >= {low} AND {column} < {high}"));
    }

    /// One of these columns contains this text.
    pub(crate) fn contains_any(&mut self, columns: &[&str], needle: Option<&str>) {
        if let Some(needle) = needle.filter(|n| !n.is_empty()) {
            let place = self.bind(needle);
            let each: Vec<String> =
                columns.iter().map(|c| format!("REPLACE({c}, {place}, '') <> {c}")).collect();
            self.add(&format!("({})", each.join(" OR ")));
        }
    }

    /// The text of the conditions so far (` WHERE …`) and their values, for a statement that is no plain question.
    pub(crate) fn parts(self) -> Result<(String, Vec<Value>)> {
        self.check()?;
        Ok((self.text, self.values))
    }

    pub(crate) fn span(&mut self, column: &str, span: Span) {
        if let Some(from) = span.0 {
            let place = self.bind(from.0);
            self.add(&format!("{column} >= {place}"));
        }
        if let Some(to) = span.1 {
            let place = self.bind(to.0);
            self.add(&format!("{column} <= {place}"));
        }
    }

    /// `table` holds (`owner`, name, value).
    pub(crate) fn attribute(&mut self, table: &str, owner: &str, id: &str, name: &str, any_of: &[String]) {
        let name = self.bind(name);
        let places = self.list(any_of.iter().map(String::as_str));
        let places = if places.is_empty() { "NULL".to_owned() } else { places };
        self.add(&format!(
            "EXISTS (SELECT 1 FROM {table} a WHERE a.{owner} = {id} AND a.name = {name} AND a.value IN ({places}))"
        ));
    }

    pub(crate) fn count(&self, from: &str) -> Result<(String, Vec<Value>)> {
        self.check()?;
        Ok((format!("SELECT COUNT(*) FROM {from}{}", self.text), self.values.clone()))
    }

    pub(crate) fn page(mut self, select: &str, order: &str, page: Page) -> Result<(String, Vec<Value>)> {
        self.check()?;
        let text = std::mem::take(&mut self.text);
        let way = if page.newest_first { "DESC" } else { "ASC" };
        let order = order.replace("{WAY}", way);
        let limit = self.bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
        let offset = self.bind(i64::try_from(page.offset).unwrap_or(i64::MAX));
        Ok((format!("{select}{text} ORDER BY {order} LIMIT {limit} OFFSET {offset}"), self.values))
    }

    fn check(&self) -> Result<()> {
        if self.too_long {
            return Err(Error::new(ErrorKind::Limit, format!("a filter names more than {MAX_LIST} values")));
        }
        Ok(())
    }
}
