//! The part that a step takes apart, its analysis, and the second one behind it.

use regex::CaptureLocations;

use super::{Analyser, At, Found, Ground, Input, Key, Selector, Step};
use crate::chain::Context;
use crate::json::text::{decode_into, decoded};
use crate::json::{Kind, Tape, View};
use crate::value::{Reason, excerpt};

/// Fields that one text may have.
const MAX_FIELDS: usize = 100_000;

impl Step {
    /// Takes the subject apart.
    pub(super) fn analyse<'a>(
        &'a self,
        subject: Subject<'a>,
        (inner, found, groups): (&'a mut Tape, &mut Vec<Found>, &mut Vec<Option<CaptureLocations>>),
        context: &Context<'_>,
    ) -> Result<Ground<'a>, Reason> {
        let ground = Ground { json: None, text: "", side: "", before: None, names: &[] };
        match &self.analyse {
            Analyser::Json | Analyser::Source => {
                let view = match subject {
                    Subject::Json(view) => view,
                    Subject::Text(_) if matches!(self.analyse, Analyser::Source) => {
                        return Err(Reason::Borrowed("an object is expected, found a text"));
                    }
                    Subject::Text(text) => {
                        inner.parse(text).map_err(|flaw| Reason::Owned(flaw.to_string()))?;
                        View::whole(text, inner)
                    }
                };
                if self.by_name && view.kind() != Kind::Object {
                    return Err(Reason::Owned(format!(
                        "an object is expected, found {}",
                        view.kind().word()
                    )));
                }
                Ok(Ground { json: Some(view), text: view.text, ..ground })
            }
            Analyser::Delimiter(separator) => {
                let text = text_of(subject);
                delimited(text, separator, found)?;
                Ok(Ground { text, ..ground })
            }
            Analyser::Regular { regex, names } => {
                let text = text_of(subject);
                // Kept for the next record: reading groups needs a place for them.
                if groups.len() <= context.step {
                    groups.resize(context.step + 1, None);
                }
                let place = match groups.get_mut(context.step) {
                    Some(place) => place,
                    None => return Err(Reason::Borrowed("too many steps")),
                };
                let mut kept = place.take().filter(|kept| kept.len() == names.len());
                let groups = kept.get_or_insert_with(|| regex.capture_locations());
                if regex.captures_read(groups, text).is_none() {
                    *place = kept;
                    return Err(Reason::Owned(format!("{} does not match the expression", excerpt(text))));
                }
                for group in 0..groups.len() {
                    let at = groups.get(group).map_or(At::Nowhere, |(from, to)| At::Text(from, to));
                    found.push(Found { key: Key::Group(group), at });
                }
                *place = kept;
                Ok(Ground { text, names, ..ground })
            }
        }
    }
}

/// The part of the input that a step takes apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Text(&'a str),
    Json(View<'a>),
}

impl Step {
    /// Finds the part, and the object that it was taken from.
    pub(super) fn subject<'a>(
        &self,
        input: Input<'a>,
        outer: &'a mut Tape,
        work: &'a mut String,
    ) -> Result<(Subject<'a>, Option<View<'a>>), Reason> {
        let Some(selector) = &self.input else {
            return Ok(match input {
                Input::Text(text) => (Subject::Text(text), None),
                Input::Json(view) => (subject_of(view, work)?, None),
            });
        };
        let whole = match input {
            Input::Json(view) => view,
            Input::Text(text) => {
                outer.parse(text).map_err(|flaw| Reason::Owned(flaw.to_string()))?;
                View::whole(text, outer)
            }
        };
        let node = match selector {
            Selector::Key(key) => whole.member(key),
            Selector::Path(path) => path.first(whole),
            Selector::Expression(expression) => {
                let value = expression.value(whole)?.into_text();
                work.clear();
                work.push_str(&value);
                return Ok((Subject::Text(work), Some(whole)));
            }
        };
        match node.map(|node| whole.at(node)).filter(|view| view.kind() != Kind::Null) {
            Some(view) => Ok((subject_of(view, work)?, Some(whole))),
            None => Err(Reason::Borrowed("the field of InputValue is absent or null")),
        }
    }
}

/// A string is its text; another value stays what it is.
fn subject_of<'a>(view: View<'a>, work: &'a mut String) -> Result<Subject<'a>, Reason> {
    Ok(match view.kind() {
        Kind::String => Subject::Text(view.written()),
        Kind::Escaped => {
            work.clear();
            crate::json::text::decode_into(view.written(), work);
            Subject::Text(work)
        }
        _ => Subject::Json(view),
    })
}

fn text_of(subject: Subject<'_>) -> &str {
    match subject {
        Subject::Text(text) => text,
        Subject::Json(view) => view.written(),
    }
}

fn delimited(text: &str, separator: &str, found: &mut Vec<Found>) -> Result<(), Reason> {
    let mut from = 0;
    let mut add = |from: usize, to: usize| {
        let number = found.len() as u32;
        found.push(Found { key: Key::Number(number), at: At::Text(from, to) });
        found.len() <= MAX_FIELDS
    };
    let mut few = true;
    if let [byte] = separator.as_bytes() {
        for (at, _) in text.bytes().enumerate().filter(|(_, b)| b == byte) {
            few = add(from, at);
            from = at + 1;
            if !few {
                break;
            }
        }
    } else {
        for (at, hit) in text.match_indices(separator) {
            few = add(from, at);
            from = at + hit.len();
            if !few {
                break;
            }
        }
    }
    add(from, text.len());
    if few { Ok(()) } else { Err(Reason::Owned(format!("the text has more than {MAX_FIELDS} fields"))) }
}

/// The second analysis: a text with the separator in it is a key and a value. Others keep their name.
pub(super) fn again(separator: &str, ground: &Ground<'_>, found: &mut [Found], side: &mut String) {
    for one in found {
        let (start, text) = match one.at {
            At::Text(from, to) => (from, ground.text.get(from..to).unwrap_or_default()),
            At::Node(node) => {
                let Some(view) = ground.json.map(|view| view.at(node)) else { continue };
                match view.kind() {
                    Kind::String => (view.tape.node(node).span().start, view.written()),
                    Kind::Escaped => {
                        if let Some((key, value)) = decoded(view.written()).split_once(separator) {
                            let start = side.len();
                            decode_into(view.written(), side);
                            let at = pair(start, key, value, separator);
                            *one = Found { key: Key::Side(at.0, at.1), at: At::Side(at.2, at.3) };
                        }
                        continue;
                    }
                    _ => continue,
                }
            }
            _ => continue,
        };
        if let Some((key, value)) = text.split_once(separator) {
            let at = pair(start, key, value, separator);
            *one = Found { key: Key::Text(at.0, at.1), at: At::Text(at.2, at.3) };
        }
    }
}

/// The ends of a key and of its value, without the white space around them.
fn pair(start: usize, key: &str, value: &str, separator: &str) -> (usize, usize, usize, usize) {
    let bare = |at: usize, text: &str| {
        let from = at + (text.len() - text.trim_start().len());
        (from, from + text.trim().len())
    };
    let key_at = bare(start, key);
    let value_at = bare(start + key.len() + separator.len(), value);
    (key_at.0, key_at.1, value_at.0, value_at.1)
}
