//! The record's own time: a top-level field of a JSON object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::civil::{Civil, to_seconds};

/// Longest text of a time.
const MAX_TEXT: usize = 64;

/// Which field, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeField {
    field: Box<str>,
    pattern: Option<Box<str>>,
}

/// A time that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Milliseconds since the epoch.
    Epoch(i64),
    /// A wall clock's, which has no zone: milliseconds as if it were UTC.
    Wall(i64),
}

impl TimeField {
    /// Checks field and pattern (`yyyy`, `MM`, `dd`, `HH`, `mm`, `ss`, each at most once, and other characters as they are).
    pub(super) fn new(field: String, pattern: Option<String>) -> Result<Self, String> {
        if field.is_empty() || field.len() > 256 {
            return Err("field must be a name of 1 to 256 bytes".to_owned());
        }
        if let Some(p) = &pattern {
            let day = ["yyyy", "MM", "dd"].iter().all(|t| p.matches(t).count() == 1);
            if !day || p.len() > MAX_TEXT {
                return Err("pattern must have yyyy, MM and dd once each".to_owned());
            }
        }
        Ok(Self { field: field.into(), pattern: pattern.map(Into::into) })
    }

    /// The time of a record.
    pub(super) fn read(&self, value: Option<&[u8]>) -> Result<Moment, String> {
        let value = value.ok_or("the record has no value")?;
        let mut json = serde_json::Deserializer::from_slice(value);
        let found = Pick(&self.field).deserialize(&mut json);
        let found = found.map_err(|e| format!("the record is no JSON object: {e}"))?;
        let raw = found.ok_or_else(|| format!("the record has no field {:?}", self.field))?.get();
        let unreadable = || {
            let shown = raw.get(..raw.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
            match &self.pattern {
                Some(p) => format!("field {:?} is {shown}, which is no time of the form {p}", self.field),
                None => format!("field {:?} is {shown}, which is no timestamp of 13 digits", self.field),
            }
        };
        let text: Cow<'_, str> = if raw.starts_with('"') {
            serde_json::from_str::<String>(raw).map_err(|_| unreadable())?.into()
        } else {
            raw.into()
        };
        match &self.pattern {
            None => {
                let digits = text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit());
                let ms = text.parse().ok().filter(|_| digits).ok_or_else(unreadable)?;
                Ok(Moment::Epoch(ms))
            }
            Some(p) => Ok(Moment::Wall(by_pattern(p, &text).ok_or_else(unreadable)?)),
        }
    }
}

fn by_pattern(pattern: &str, text: &str) -> Option<i64> {
    let mut c = Civil { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    while let Some((first, rest)) = pattern.split_first() {
        let token =
            ["yyyy", "MM", "dd", "HH", "mm", "ss"].into_iter().find(|t| pattern.starts_with(t.as_bytes()));
        let Some(token) = token else {
            text = text.split_first().filter(|(t, _)| *t == first)?.1;
            pattern = rest;
            continue;
        };
        let (digits, left) = text.split_at_checked(token.len())?;
        let number =
            digits.iter().try_fold(0_u16, |n, d| d.is_ascii_digit().then(|| n * 10 + u16::from(d - b'0')))?;
        let small = u8::try_from(number);
        match token {
            "yyyy" => c.year = i64::from(number),
            "MM" => c.month = small.ok()?,
            "dd" => c.day = small.ok()?,
            "HH" => c.hour = small.ok()?,
            "mm" => c.minute = small.ok()?,
            _ => c.second = small.ok()?,
        }
        text = left;
        pattern = pattern.get(token.len()..)?;
    }
    if !text.is_empty() {
        return None;
    }
    to_seconds(c)?.checked_mul(1000)
}

/// Finds one field of an object and leaves the others unread; of several with the name the last counts.
struct Pick<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: Option<&str>, value: &str) -> Result<Moment, String> {
        TimeField::new("ts".to_owned(), pattern.map(str::to_owned)).unwrap().read(Some(value.as_bytes()))
    }

    #[test]
    fn times_are_read_in_all_forms() {
        let at = Moment::Wall(1_795_352_904_000);
        for (pattern, text) in [
            ("yyyy/MM/dd HH:mm:ss", "2026/11/22 13:08:24"),
            ("MM/dd/yyyy HH:mm:ss", "11/22/2026 13:08:24"),
            ("dd/MM/yyyy HH:mm:ss", "22/11/2026 13:08:24"),
            ("yyyy-MM-dd HH:mm:ss", "2026-11-22 13:08:24"),
            ("MM-dd-yyyy HH:mm:ss", "11-22-2026 13:08:24"),
            ("dd-MM-yyyy HH:mm:ss", "22-11-2026 13:08:24"),
        ] {
            assert_eq!(
                of(Some(pattern), &format!(r#"{{"a":{{"ts":1}},"ts":"{text}"}}"#)),
                Ok(at),
                "{pattern}"
            );
        }
        let epoch = Ok(Moment::Epoch(1_795_352_904_123));
        assert_eq!(of(None, r#"{"ts":1795352904123}"#), epoch);
        assert_eq!(of(None, r#"{"ts":"1795352904123","b":[1,2]}"#), epoch);
    }

    #[test]
    fn what_is_no_time_says_why() {
        let p = Some("yyyy/MM/dd HH:mm:ss");
        for bad in [
            "no json",
            "[1]",
            r#"{"t":1}"#,
            r#"{"ts":"2026/02/30 00:00:00"}"#,
            r#"{"ts":"2026/11/22 13:08:24 "}"#,
            r#"{"ts":"2026/11/22"}"#,
            r#"{"ts":null}"#,
        ] {
            assert!(!of(p, bad).unwrap_err().is_empty());
        }
        assert!(of(None, r#"{"ts":1795352904}"#).is_err() && of(None, r#"{"ts":17953529041.3}"#).is_err());
        assert!(TimeField::new(String::new(), None).is_err());
        assert!(TimeField::new("t".into(), Some("yyyy-yyyy-MM-dd".into())).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nonsense_is_refused_quietly(s in "\\PC{0,40}") {
            let _ = by_pattern("yyyy/MM/dd HH:mm:ss", &s);
            let _ = of(None, &s);
        }
    }
}
