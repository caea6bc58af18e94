//! `Filters.N.{Key,Value}`: comma lists that match exactly, texts that match in part, times.
//!
//! Conditions hold together (AND). A key that the operation does not have, a key given twice or an
//! empty value is an error rather than a wider answer than was asked for.

use api::{Fault, Params, encode};
use model::Timestamp;

use crate::fault;

/// Values of one list at most, as documented for ids.
const MOST_VALUES: usize = 10;

/// The conditions of one listing.
#[derive(Debug, Default)]
pub struct Filters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Filters<'a> {
    /// Reads the filters of a request; `known` are the keys that the operation has.
    ///
    /// # Errors
    /// `InvalidFilters`.
    pub fn read(p: &Params<'a>, known: &[&str]) -> Result<Self, Fault> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for f in p.objects("Filters") {
            let (key, value) = (f.text("Key"), f.text("Value"));
            if !known.contains(&key) {
                return Err(wrong(format_args!("the key must be one of {}", known.join(", "))));
            }
            if value.is_empty() || all.iter().any(|(k, _)| *k == key) {
                return Err(wrong(format_args!("{key} must be given once and with a value")));
            }
            all.push((key, value));
        }
        Ok(Self(all))
    }

    /// The whole value of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// The values of a comma list; empty when the key is absent.
    ///
    /// # Errors
    /// Too many values, or an empty one.
    pub fn list(&self, key: &str) -> Result<Vec<&'a str>, Fault> {
        let Some(text) = self.text(key) else { return Ok(Vec::new()) };
        let values: Vec<&str> = text.split(',').map(str::trim).collect();
        if values.len() > MOST_VALUES || values.iter().any(|v| v.is_empty()) {
            return Err(wrong(format_args!("{key} takes 1 to {MOST_VALUES} values separated by commas")));
        }
        Ok(values)
    }

    /// A time, `yyyy-MM-ddThh:mmZ` or with seconds.
    ///
    /// # Errors
    /// Any other form.
    pub fn time(&self, key: &str) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let whole = match text.strip_suffix('Z') {
            Some(minutes) if text.len() == 17 => format!("{minutes}:00Z"),
            _ => text.to_owned(),
        };
        match encode::parse_iso8601(&whole) {
            Some(seconds) => Ok(Some(Timestamp(seconds.saturating_mul(1_000_000)))),
            None => Err(wrong(format_args!("{key} must have the form yyyy-MM-ddThh:mmZ"))),
        }
    }
}

/// Is `wanted` absent or part of `text`?
#[must_use]
pub fn like(wanted: Option<&str>, text: &str) -> bool {
    wanted.is_none_or(|w| text.contains(w))
}

/// Is `wanted` empty or does it hold `text`?
#[must_use]
pub fn any(wanted: &[&str], text: &str) -> bool {
    wanted.is_empty() || wanted.contains(&text)
}

/// `InvalidFilters`.
pub fn wrong(why: impl std::fmt::Display) -> Fault {
    fault::invalid("Filters", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_texts_and_times_are_read_and_nonsense_is_not() {
        let v = json!({"Filters":[{"Key":"Ids","Value":"a, b"},{"Key":"T","Value":"2026-11-22T10:24Z"}]});
        let p = Params::unchecked(&v, true);
        let f = Filters::read(&p, &["Ids", "T"]).unwrap();
        assert_eq!(f.list("Ids").unwrap(), ["a", "b"]);
        assert_eq!(f.time("T").unwrap(), Some(Timestamp(1_795_343_040_000_000)));
        assert_eq!(f.list("Other").unwrap(), Vec::<&str>::new());
        assert!(Filters::read(&p, &["T"]).is_err());
        for bad in ["", ",", "a,", "a,b,c,d,e,f,g,h,i,j,k"] {
            let v = json!({"Filters":[{"Key":"Ids","Value":bad}]});
            let p = Params::unchecked(&v, true);
            assert!(Filters::read(&p, &["Ids"]).and_then(|f| f.list("Ids")).is_err(), "{bad}");
        }
        for bad in ["now", "2026-11-22", "2026-11-22T10:24", "2026-13-22T10:24Z"] {
            let v = json!({"Filters":[{"Key":"T","Value":bad}]});
            let p = Params::unchecked(&v, true);
            assert!(Filters::read(&p, &["T"]).and_then(|f| f.time("T")).is_err(), "{bad}");
        }
        let twice = json!({"Filters":[{"Key":"T","Value":"x"},{"Key":"T","Value":"y"}]});
        assert!(Filters::read(&Params::unchecked(&twice, true), &["T"]).is_err());
    }
}
