//! The operators of a field's `ValueOperates`, compiled.
//!
//! They work on texts. A number or boolean is taken as its text, null stays null, an array is worked on element by
//! element, and an object is refused. What changes nothing borrows.

use std::borrow::Cow;

use regex::Regex;

use crate::json::text::{decoded, write_string};
use crate::json::{Kind, Tape, View};
use crate::path::{Expression, Path};
use crate::value::{Reason, Val, bounded, excerpt};

pub mod date;
pub mod zone;

use date::Date;

/// One operator.
#[derive(Debug, Clone)]
pub enum Operator {
    /// `REPLACE`: every occurrence of a text.
    Replace {
        /// What is looked for.
        old: String,
        /// What comes in its place.
        new: String,
    },
    /// `SUBSTR`: the letters from `from` to before `to`.
    Substr {
        /// The first letter, from 0.
        from: usize,
        /// The letter after the last.
        to: usize,
    },
    /// `DATE`
    Date(Date),
    /// `TRIM`: without white space at both ends.
    Trim,
    /// `REGEX_REPLACE`: every match.
    RegexReplace {
        /// The expression.
        regex: Regex,
        /// What comes in its place, in the words of the `regex` crate.
        new: String,
    },
    /// `SPLIT`: a text becomes an array.
    Split(String),
    /// `JSON_PATH_REPLACE`
    JsonPathReplace {
        /// The places.
        old: Path,
        /// What comes there.
        new: Replacement,
    },
    /// `URL_DECODE`
    UrlDecode(Charset),
    /// `LOWERCASE`
    Lowercase,
}

/// What `JSON_PATH_REPLACE` puts in.
#[derive(Debug, Clone)]
pub enum Replacement {
    /// A text.
    Text(String),
    /// What an expression gives of the same value.
    Of(Expression),
}

/// How `URL_DECODE` reads bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, and ASCII as a part of it.
    Utf8,
    /// Each byte a letter.
    Latin1,
}

/// `KV`: a text of pairs becomes members.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// Between pairs.
    pub pairs: String,
    /// Between key and value.
    pub inside: String,
    /// Does the field itself stay?
    pub keep: bool,
}

impl KeyValue {
    /// The pairs of a text. A pair without separator has an empty value, one without key is left out.
    pub fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        text.split(self.pairs.as_str())
            .map(|pair| pair.split_once(self.inside.as_str()).unwrap_or((pair, "")))
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
    }
}

impl Operator {
    /// The vendor's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Replace { .. } => "REPLACE",
            Self::Substr { .. } => "SUBSTR",
            Self::Date(_) => "DATE",
            Self::Trim => "TRIM",
            Self::RegexReplace { .. } => "REGEX_REPLACE",
            Self::Split(_) => "SPLIT",
            Self::JsonPathReplace { .. } => "JSON_PATH_REPLACE",
            Self::UrlDecode(_) => "URL_DECODE",
            Self::Lowercase => "LOWERCASE",
        }
    }

    /// Applies the operator.
    ///
    /// # Errors
    /// The value is of a kind or form that the operator can't work on.
    pub fn apply<'a>(&self, value: Val<'a>) -> Result<Val<'a>, Reason> {
        if let Self::JsonPathReplace { old, new } = self {
            return path_replace(value, old, new);
        }
        match value {
            Val::Null => Ok(Val::Null),
            Val::Json(json) if json.starts_with('[') => self.each(&json),
            Val::Json(_) => Err(Reason::Owned(format!("{} can't work on an object", self.name()))),
            Val::Number(text) if matches!(self, Self::Date(_)) => self.date(&text, true),
            Val::Written(text) => self.text(decoded(text)),
            other => self.text(other.into_text()),
        }
    }

    fn text<'a>(&self, text: Cow<'a, str>) -> Result<Val<'a>, Reason> {
        Ok(Val::Text(match self {
            Self::Replace { old, new } => replace(text, old, new)?,
            Self::Substr { from, to } => substr(text, *from, *to),
            Self::Date(_) => return self.date(&text, false),
            Self::Trim => match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            },
            Self::RegexReplace { regex, new } => regex_replace(text, regex, new)?,
            Self::Split(separator) => return Ok(split(&text, separator)),
            Self::UrlDecode(charset) => url_decode(text, *charset)?,
            Self::Lowercase => lowercase(text),
            Self::JsonPathReplace { .. } => text,
        }))
    }

    fn date(&self, text: &str, number: bool) -> Result<Val<'static>, Reason> {
        match self {
            Self::Date(date) => date.apply(text, number),
            _ => Ok(Val::Null),
        }
    }

    /// Works on the elements of an array. An array or object inside stays as it is.
    fn each(&self, json: &str) -> Result<Val<'static>, Reason> {
        let mut tape = Tape::default();
        tape.parse(json).map_err(|flaw| Reason::Owned(flaw.to_string()))?;
        let view = View::whole(json, &tape);
        let mut out = String::from("[");
        for (i, element) in view.elements().enumerate() {
            if i > 0 {
                out.push(',');
            }
            match Val::of(view.at(element)) {
                inner @ Val::Json(_) => inner.write(&mut out),
                inner => self.apply(inner)?.write(&mut out),
            }
            bounded(out.len())?;
        }
        out.push(']');
        Ok(Val::Json(Cow::Owned(out)))
    }
}

fn replace<'a>(text: Cow<'a, str>, old: &str, new: &str) -> Result<Cow<'a, str>, Reason> {
    let mut hits = text.match_indices(old).peekable();
    if hits.peek().is_none() {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, hit) in hits {
        out.push_str(text.get(done..at).unwrap_or_default());
        out.push_str(new);
        bounded(out.len())?;
        done = at + hit.len();
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(Cow::Owned(out))
}

fn regex_replace<'a>(text: Cow<'a, str>, regex: &Regex, new: &str) -> Result<Cow<'a, str>, Reason> {
    let named = new.bytes().filter(|b| *b == b'$').count();
    let mut hits = regex.captures_iter(&text).peekable();
    if hits.peek().is_none() {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for groups in hits {
        let Some(hit) = groups.get(0) else { continue };
        out.push_str(text.get(done..hit.start()).unwrap_or_default());
        // Before, not after: each group that is named may be as long as the hit.
        bounded(out.len() + new.len() + named.saturating_mul(hit.len()))?;
        groups.expand(new, &mut out);
        done = hit.end();
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(Cow::Owned(out))
}

/// Letters `from..to`; what lies beyond the end is empty.
fn substr(text: Cow<'_, str>, from: usize, to: usize) -> Cow<'_, str> {
    let place = |text: &str, n: usize| {
        if text.is_ascii() {
            n.min(text.len())
        } else {
            text.char_indices().nth(n).map_or(text.len(), |(i, _)| i)
        }
    };
    let range = place(&text, from)..place(&text, to.max(from));
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or_default().to_owned()),
    }
}

fn lowercase(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            let mut owned = text.into_owned();
            owned.make_ascii_lowercase();
            return Cow::Owned(owned);
        }
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

fn split(text: &str, separator: &str) -> Val<'static> {
    let mut out = String::from("[");
    for (i, piece) in text.split(separator).enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(piece, &mut out);
    }
    out.push(']');
    Val::Json(Cow::Owned(out))
}

fn url_decode(text: Cow<'_, str>, charset: Charset) -> Result<Cow<'_, str>, Reason> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Ok(text);
    }
    let malformed = || Reason::Owned(format!("{} is not URL-encoded", excerpt(&text)));
    let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                (high.ok_or_else(malformed)? * 16 + low.ok_or_else(malformed)?) as u8
            }
            other => other,
        });
    }
    match charset {
        Charset::Utf8 => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| Reason::Owned(format!("{} is not UTF-8 when URL-decoded", excerpt(&text)))),
        Charset::Latin1 => Ok(Cow::Owned(bytes.into_iter().map(char::from).collect())),
    }
}

/// Replaces what `old` names in an object or array, or in a text that holds one.
fn path_replace<'a>(value: Val<'a>, old: &Path, new: &Replacement) -> Result<Val<'a>, Reason> {
    let (text, quoted) = match value {
        Val::Json(json) => (json, false),
        Val::Text(text) => (text, true),
        Val::Written(text) => (decoded(text), true),
        Val::Null => return Ok(Val::Null),
        other => return Err(Reason::Owned(format!("JSON_PATH_REPLACE can't work on {}", other.word()))),
    };
    let mut tape = Tape::default();
    tape.parse(&text).map_err(|flaw| Reason::Owned(flaw.to_string()))?;
    let view = View::whole(&text, &tape);
    let mut put = String::new();
    match new {
        Replacement::Text(text) => write_string(text, &mut put),
        Replacement::Of(expression) => expression.value(view)?.write(&mut put),
    }
    let mut hits = Vec::new();
    old.all(view, &mut hits)?;
    hits.sort_unstable();
    let mut out = String::with_capacity(text.len() + put.len());
    let mut done = 0;
    for hit in hits {
        let node = tape.node(hit);
        let around = usize::from(matches!(node.kind, Kind::String | Kind::Escaped));
        let (start, end) = (node.span().start - around, node.span().end + around);
        // A place inside one that was replaced already is gone.
        if start >= done {
            out.push_str(text.get(done..start).unwrap_or_default());
            out.push_str(&put);
            bounded(out.len())?;
            done = end;
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    if quoted {
        return Ok(Val::Text(Cow::Owned(out)));
    }
    // The root itself may have become something else.
    tape.parse(&out).map_err(|flaw| Reason::Owned(flaw.to_string()))?;
    Ok(Val::of(View::whole(&out, &tape)).into_owned())
}

/// A replacement in Java's words (`$1`, `${name}`, `\$`) in those of the `regex` crate.
///
/// # Errors
/// A group that the expression hasn't.
pub fn replacement(java: &str, regex: &Regex) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            '$' => {
                let mut group = String::new();
                if chars.next_if_eq(&'{').is_some() {
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(letter) => group.push(letter),
                            None => return Err("${ has no end".to_owned()),
                        }
                    }
                } else {
                    // As in Java: more digits are taken while there is such a group.
                    while let Some(digit) = chars.next_if(|c| {
                        c.is_ascii_digit()
                            && (group.is_empty()
                                || format!("{group}{c}")
                                    .parse::<usize>()
                                    .is_ok_and(|n| n < regex.captures_len()))
                    }) {
                        group.push(digit);
                    }
                    if group.is_empty() {
                        return Err("$ without a group; write \\$ for the letter".to_owned());
                    }
                }
                let known = match group.parse::<usize>() {
                    Ok(number) => number < regex.captures_len(),
                    Err(_) => regex.capture_names().flatten().any(|name| name == group),
                };
                if !known {
                    return Err(format!("the expression has no group {group}"));
                }
                out.push_str(&format!("${{{group}}}"));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}
