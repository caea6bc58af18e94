//! Typed reading of decoded parameters.

use serde_json::{Map, Value};

/// Parameters of one object that [`super::decode`] has checked: a getter gives `None` only when the
/// field is absent (or null). With flattened parameters numbers and booleans are read from text.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    fields: Option<&'a Map<String, Value>>,
    flattened: bool,
}

impl std::fmt::Debug for Params<'_> {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl<'a> Params<'a> {
    /// Reads from `value` as it is, without a table; not an object reads as empty.
    #[must_use]
    pub fn unchecked(value: &'a Value, flattened: bool) -> Self {
        Self { fields: value.as_object(), flattened }
    }

    /// The value of a field that is present and not null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|v| !v.is_null())
    }

    /// Is it present and not null?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names of all fields that are present and not null.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.into_iter().flatten().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.as_str())
    }

    /// Text.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// Text, or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> &'a str {
        self.str(name).unwrap_or_default()
    }

    /// Unsigned integer.
    #[must_use]
    pub fn u64(&self, name: &str) -> Option<u64> {
        as_u64(self.get(name)?, self.flattened)
    }

    /// Signed integer.
    #[must_use]
    pub fn i64(&self, name: &str) -> Option<i64> {
        as_i64(self.get(name)?, self.flattened)
    }

    /// Number.
    #[must_use]
    pub fn f64(&self, name: &str) -> Option<f64> {
        as_f64(self.get(name)?, self.flattened)
    }

    /// Boolean.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        as_bool(self.get(name)?, self.flattened)
    }

    /// A nested object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Params<'a>> {
        Some(Self { fields: Some(self.get(name)?.as_object()?), flattened: self.flattened })
    }

    /// A list's values; empty when absent (ask [`Params::has`] where that differs).
    #[must_use]
    pub fn list(&self, name: &str) -> &'a [Value] {
        self.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A list of objects.
    #[must_use]
    pub fn objects(&self, name: &str) -> Vec<Params<'a>> {
        self.list(name).iter().map(|v| Self::unchecked(v, self.flattened)).collect()
    }

    /// A list of texts.
    #[must_use]
    pub fn strs(&self, name: &str) -> Vec<&'a str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    /// A list of unsigned integers.
    #[must_use]
    pub fn u64s(&self, name: &str) -> Vec<u64> {
        self.list(name).iter().filter_map(|v| as_u64(v, self.flattened)).collect()
    }
}

pub(super) fn as_u64(v: &Value, flattened: bool) -> Option<u64> {
    match v {
        Value::String(s) if flattened => decimal(s)?.parse().ok(),
        v => v.as_u64(),
    }
}

pub(super) fn as_i64(v: &Value, flattened: bool) -> Option<i64> {
    match v {
        Value::String(s) if flattened => decimal(s)?.parse().ok(),
        v => v.as_i64(),
    }
}

pub(super) fn as_f64(v: &Value, flattened: bool) -> Option<f64> {
    match v {
        Value::String(s) if flattened => s.parse().ok().filter(|f: &f64| f.is_finite()),
        v => v.as_f64(),
    }
}

pub(super) fn as_bool(v: &Value, flattened: bool) -> Option<bool> {
    match v {
        Value::String(s) if flattened && s.eq_ignore_ascii_case("true") => Some(true),
        Value::String(s) if flattened && s.eq_ignore_ascii_case("false") => Some(false),
        v => v.as_bool(),
    }
}

/// Digits with an optional minus: `parse` alone would take a plus too.
fn decimal(s: &str) -> Option<&str> {
    let digits = s.strip_prefix('-').unwrap_or(s);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(s)
}
