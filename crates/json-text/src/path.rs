//! A value by its path, without parsing the rest.

use crate::walk::{Items, key_is, members};

/// The longest path.
const MAX_PATH: usize = 1024;
/// Steps of a path at most.
const MAX_STEPS: usize = 64;

/// A way to a value: `$.a.b[0]['c d']`, or a plain key of the outermost object (`a`; no dots are read in it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

impl Path {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(path: &str) -> Result<Self, String> {
        if path.is_empty() || path.len() > MAX_PATH {
            return Err(format!("must have 1 to {MAX_PATH} bytes"));
        }
        let Some(mut rest) = path.strip_prefix('$') else { return Ok(Self(vec![Step::Key(path.into())])) };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, left) = step(rest).ok_or_else(|| format!("can't be read from `{rest}` on"))?;
            steps.push(step);
            rest = left;
            if steps.len() > MAX_STEPS {
                return Err(format!("has more than {MAX_STEPS} steps"));
            }
        }
        Ok(Self(steps))
    }

    /// A key of the outermost object.
    #[must_use]
    pub fn key(name: &str) -> Self {
        Self(vec![Step::Key(name.into())])
    }

    /// The value in checked JSON, raw.
    #[must_use]
    pub fn find<'a>(&self, json: &'a [u8]) -> Option<&'a [u8]> {
        let mut here = json;
        for step in &self.0 {
            here = match step {
                Step::Key(name) => members(here).find(|(k, _)| key_is(k, name))?.1,
                Step::Index(n) => Items::of(here).nth(*n)?,
            };
        }
        Some(here)
    }
}

/// One step off the front of a path.
fn step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, left) = rest.split_at_checked(end)?;
        let plain = !name.is_empty() && !name.contains(['*', ']', '?', '(', '"', '\'']);
        return plain.then(|| (Step::Key(name.into()), left));
    }
    let rest = rest.strip_prefix('[')?;
    for quote in ["'", "\""] {
        if let Some(rest) = rest.strip_prefix(quote) {
            let (name, left) = rest.split_once(&format!("{quote}]"))?;
            return Some((Step::Key(name.into()), left));
        }
    }
    let (index, left) = rest.split_once(']')?;
    let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
    let index = digits.then(|| index.parse().ok())??;
    Some((Step::Index(index), left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let json = br#"{"a":{"b":[10,{"c d":"x"}]},"a.b":1,"k\u0065y":2}"#;
        for (path, value) in [
            ("$.a.b[0]", Some(&b"10"[..])),
            ("$.a.b[1]['c d']", Some(b"\"x\"")),
            ("$['a']['b'][1][\"c d\"]", Some(b"\"x\"")),
            ("a.b", Some(b"1")),
            ("$.key", Some(b"2")),
            ("$.a.b[2]", None),
            ("$.a.x", None),
            ("$.a.b.c", None),
            ("$", Some(json)),
        ] {
            assert_eq!(Path::parse(path).unwrap().find(json), value, "{path}");
        }
        for bad in ["", "$.", "$..a", "$.*", "$[x]", "$[-1]", "$['a", "$a", "$[?(@.x)]"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
