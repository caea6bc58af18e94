//! The fields of a record's JSON, and the words of a text.

use std::borrow::Cow;

use json_text::{Kind, kind_of, members, text};

/// Objects inside objects whose members count as fields (`a.b.c.d`); deeper ones are a text.
const DEPTH: usize = 4;

/// Goes through the fields of an object until `see` says no: name (`a.b` for members of members) and value. Fields without a value (null) are
/// not there. Returns false when it was stopped.
pub(crate) fn fields<'a>(json: &'a [u8], see: &mut dyn FnMut(&str, Cow<'a, str>) -> bool) -> bool {
    visit(json, &mut String::new(), DEPTH, see)
}

fn visit<'a>(
    json: &'a [u8],
    name: &mut String,
    depth: usize,
    see: &mut dyn FnMut(&str, Cow<'a, str>) -> bool,
) -> bool {
    for (key, value) in members(json) {
        let before = name.len();
        if before > 0 {
            name.push('.');
        }
        name.push_str(&unquoted(key));
        let goes_on = match kind_of(value) {
            Some(Kind::Object) if depth > 1 => visit(value, name, depth - 1, see),
            Some(Kind::Null) | None => true,
            Some(Kind::Object | Kind::Array) => see(name, String::from_utf8_lossy(value)),
            Some(_) => match text(value) {
                Some(text) => see(name, text),
                None => true,
            },
        };
        name.truncate(before);
        if !goes_on {
            return false;
        }
    }
    true
}

/// A key without its escapes.
fn unquoted(key: &[u8]) -> Cow<'_, str> {
    if !key.contains(&b'\\') {
        return String::from_utf8_lossy(key);
    }
    let quoted = [b"\"", key, b"\""].concat();
    text(&quoted).map_or_else(|| String::from_utf8_lossy(key), |t| Cow::Owned(t.into_owned()))
}

/// The words of a text: runs of letters, digits and `_`. A character of Chinese, Japanese or Korean is a word by itself, so that a piece of a sentence
/// is found as a phrase.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a>(pub(crate) &'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.0.find(in_word)?;
        let rest = self.0.get(start..)?;
        let first = rest.chars().next()?;
        let end = if stands_alone(first) {
            first.len_utf8()
        } else {
            rest.find(|c| !in_word(c) || stands_alone(c)).unwrap_or(rest.len())
        };
        let (word, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(word)
    }
}

/// Is this a part of a word?
pub(crate) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Is this a word by itself?
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Is a word that word, without regard to case? `folded` is in lower case.
pub(crate) fn same(word: &str, folded: &str) -> bool {
    if word.is_ascii() && folded.is_ascii() {
        return word.eq_ignore_ascii_case(folded);
    }
    word.chars().flat_map(char::to_lowercase).eq(folded.chars())
}

/// In lower case, as [`same`] compares.
pub(crate) fn folded(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_paths_and_words_have_borders() {
        let json =
            r#"{"a":1,"b":{"c":"x","d":[1,"y"],"n":null},"e\n":true,"deep":{"a":{"b":{"c":{"d":1}}}}}"#;
        let mut found = Vec::new();
        fields(json.as_bytes(), &mut |name, value| {
            found.push(format!("{name}={value}"));
            true
        });
        assert_eq!(found, ["a=1", "b.c=x", "b.d=[1,\"y\"]", "e\n=true", "deep.a.b.c={\"d\":1}"]);
        assert!(!fields(json.as_bytes(), &mut |_, _| false));
        let words: Vec<_> = Words("10.0.0.1: Verbindung_1 geschloßen, 连接x失败!").collect();
        assert_eq!(words, ["10", "0", "0", "1", "Verbindung_1", "geschloßen", "连", "接", "x", "失", "败"]);
        assert!(same("ÉTÉ", &folded("été")) && same("Ab", "ab") && !same("a", "ab"));
    }
}
