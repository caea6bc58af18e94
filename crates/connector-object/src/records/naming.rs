//! Names of objects: strftime directories and the name that follows from pipeline, split and first offset.

use std::fmt::Write as _;

use connector::records::Split;

use crate::civil;

/// The last millisecond of the year 9999: what comes later counts as that.
const LAST_MS: i64 = 253_402_300_799_999;

/// A checked strftime pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directories(Box<str>);

impl Directories {
    /// Checks a pattern: `%Y %y %m %d %H %M %S %j %F %%` and plain text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 128 || text.bytes().any(|b| b < b' ' || b == 0x7f) {
            return Err("must have at most 128 characters and no control characters".to_owned());
        }
        let mut letters = text.chars();
        while let Some(c) = letters.next() {
            if c != '%' {
                continue;
            }
            match letters.next() {
                Some('Y' | 'y' | 'm' | 'd' | 'H' | 'M' | 'S' | 'j' | 'F' | '%') => {}
                Some(c) => return Err(format!("%{c} is not one of %Y %y %m %d %H %M %S %j %F %%")),
                None => return Err("ends in %".to_owned()),
            }
        }
        Ok(Self(text.trim_end_matches('/').into()))
    }

    /// The directories of a time, at a fixed distance from UTC.
    pub(super) fn render(&self, out: &mut String, timestamp_ms: i64, offset_s: i32) {
        let seconds = timestamp_ms.clamp(0, LAST_MS) / 1000 + i64::from(offset_s);
        let c = civil::from_seconds(seconds);
        let mut letters = self.0.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            // Writing to a string can't fail.
            let _ = match letters.next() {
                Some('Y') => write!(out, "{:04}", c.year),
                Some('y') => write!(out, "{:02}", c.year.rem_euclid(100)),
                Some('m') => write!(out, "{:02}", c.month),
                Some('d') => write!(out, "{:02}", c.day),
                Some('H') => write!(out, "{:02}", c.hour),
                Some('M') => write!(out, "{:02}", c.minute),
                Some('S') => write!(out, "{:02}", c.second),
                Some('j') => write!(out, "{:03}", day_of_year(c.year, c.month, c.day)),
                Some('F') => write!(out, "{:04}-{:02}-{:02}", c.year, c.month, c.day),
                _ => out.write_str("%"),
            };
        }
    }
}

fn day_of_year(year: i64, month: u8, day: u8) -> u16 {
    const BEFORE: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = BEFORE.get(usize::from(month).saturating_sub(1)).copied().unwrap_or(0);
    before + u16::from(day) + u16::from(leap && month > 2)
}

/// How keys of objects are made.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    pub(super) prefix: Box<str>,
    pub(super) directories: Directories,
    pub(super) offset_s: i32,
    pub(super) extension: &'static str,
}

impl Naming {
    /// The key of the object whose first record has this offset and time.
    pub(super) fn object(&self, pipeline: &str, split: &Split, offset: i64, timestamp_ms: i64) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 128);
        key.push_str(&self.prefix);
        let mut directories = String::new();
        self.directories.render(&mut directories, timestamp_ms, self.offset_s);
        if !directories.is_empty() {
            let joined = key.is_empty() || key.ends_with('/');
            key.push_str(if joined { directories.trim_start_matches('/') } else { &directories });
            if !key.is_empty() && !key.ends_with('/') {
                key.push('/');
            }
        }
        let Split { topic, partition } = split;
        let _ = write!(key, "{pipeline}+{topic}+{partition}+{offset:020}.{}", self.extension);
        key
    }

    /// The key of a split's pointer.
    pub(super) fn pointer(&self, pipeline: &str, split: &Split) -> String {
        format!("{}_wharf/{pipeline}/{}+{}", self.prefix, split.topic, split.partition)
    }

    /// The key that the store's conditions are tried on.
    pub(super) fn trial(&self, pipeline: &str) -> String {
        format!("{}_wharf/{pipeline}/conditions", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(prefix: &str, directories: &str, offset_s: i32) -> Naming {
        let directories = Directories::parse(directories).unwrap();
        Naming { prefix: prefix.into(), directories, offset_s, extension: "json" }
    }

    #[test]
    fn names_follow_from_the_first_record() {
        let split = Split::new("t", 3);
        let at = 1_795_352_904_000; // 2026-11-22T13:08:24Z
        let key =
            |prefix, directories, zone| naming(prefix, directories, zone).object("task-1", &split, 42, at);
        let file = "task-1+t+3+00000000000000000042.json";
        assert_eq!(key("a/", "/%Y/%m/%d/%H", 0), format!("a/2026/11/22/13/{file}"));
        assert_eq!(key("a", "/%Y", 28_800), format!("a/2026/{file}"));
        assert_eq!(key("", "/%F/%j%%", 12 * 3600), format!("2026-11-23/327%/{file}"));
        assert_eq!(key("", "", 0), file);
        assert_eq!(key("p-", "", 0), format!("p-{file}"));
        let none = naming("", "%Y", 0).object("p", &split, 0, i64::MIN);
        assert!(none.starts_with("1970/"));
        assert!(naming("", "%Y", 0).object("p", &split, 0, i64::MAX).starts_with("9999/"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["%", "%q", "a%Z", "\n"] {
            assert!(Directories::parse(bad).is_err(), "{bad}");
        }
    }
}
