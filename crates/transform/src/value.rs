//! A value on its way through a field's operators, and the casts at the end of them.
//!
//! A value borrows from the record as long as nothing changes it. Casts are strict: a value that isn't what `SchemeType`
//! asks for fails the record. Null stays null under every cast, as in SQL, so an absent field doesn't fail a record.

use std::borrow::Cow;

use crate::json::text::{decoded, is_number, write_string, write_value};
use crate::json::{Kind, Tape, View};

/// Bytes of a value or result at most.
pub const MAX_VALUE: usize = 64 << 20;

/// Why a record failed, in words.
pub type Reason = Cow<'static, str>;

/// One value.
#[derive(Debug, Clone)]
pub enum Val<'a> {
    /// Null, or nothing there.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number as text, by JSON's grammar.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// A text as it is written in JSON, escapes and all.
    Written(&'a str),
    /// An object or array as JSON on one line.
    Json(Cow<'a, str>),
}

/// What `SchemeType` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Cast {
    /// As it is.
    Original,
    /// A text.
    String,
    /// A whole number of 64 bits.
    Int64,
    /// A finite number.
    Float64,
    /// True or false.
    Boolean,
    /// An object.
    Map,
    /// An array.
    Array,
}

impl<'a> Val<'a> {
    /// The value of a node.
    #[inline]
    pub fn of(view: View<'a>) -> Self {
        match view.kind() {
            Kind::Null => Self::Null,
            Kind::True => Self::Bool(true),
            Kind::False => Self::Bool(false),
            Kind::Number => Self::Number(Cow::Borrowed(view.written())),
            Kind::String | Kind::Escaped => Self::Written(view.written()),
            Kind::Array | Kind::Object if view.tape.spaced() => {
                let mut out = String::new();
                write_value(view, &mut out);
                Self::Json(Cow::Owned(out))
            }
            Kind::Array | Kind::Object => Self::Json(Cow::Borrowed(view.written())),
        }
    }

    /// The kind in the words of a message.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) | Self::Written(_) => "a text",
            Self::Json(json) if json.starts_with('[') => "an array",
            Self::Json(_) => "an object",
        }
    }

    /// The text of a value: a string's own, else as it is written.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(yes) => Cow::Borrowed(if yes { "true" } else { "false" }),
            Self::Number(text) | Self::Text(text) | Self::Json(text) => text,
            Self::Written(text) => decoded(text),
        }
    }

    /// Appends the value as JSON.
    #[inline]
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Number(text) | Self::Json(text) => out.push_str(text),
            Self::Text(text) => write_string(text, out),
            Self::Written(text) => {
                out.push('"');
                out.push_str(text);
                out.push('"');
            }
        }
    }

    /// The same value, independent of what it was read from.
    pub fn into_owned(self) -> Val<'static> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(yes) => Val::Bool(yes),
            Self::Number(text) => Val::Number(Cow::Owned(text.into_owned())),
            Self::Text(text) => Val::Text(Cow::Owned(text.into_owned())),
            Self::Written(text) => Val::Text(Cow::Owned(decoded(text).into_owned())),
            Self::Json(text) => Val::Json(Cow::Owned(text.into_owned())),
        }
    }

    /// The value as `SchemeType` asks for it.
    ///
    /// # Errors
    /// It isn't one.
    #[inline]
    pub fn cast(self, to: Cast) -> Result<Self, Reason> {
        match (to, self) {
            (Cast::Original, value) => Ok(value),
            (_, Self::Null) => Ok(Self::Null),
            (Cast::String, Self::Written(text)) => Ok(Self::Written(text)),
            (Cast::String, value) => Ok(Self::Text(value.into_text())),
            (Cast::Int64, value) => int64(value),
            (Cast::Float64, value) => float64(value),
            (Cast::Boolean, value) => boolean(value),
            (Cast::Map, value) => container(value, Kind::Object),
            (Cast::Array, value) => container(value, Kind::Array),
        }
    }
}

/// Whole numbers up to here are the same in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn int64(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let word = value.word();
    let number = matches!(value, Val::Number(_));
    let text = match value {
        Val::Number(text) | Val::Text(text) => text,
        Val::Written(text) => decoded(text),
        _ => return Err(Reason::Owned(format!("{word} is no INT64"))),
    };
    if let Ok(whole) = text.parse::<i64>() {
        // Most are written as they will be, and can be kept.
        let plain = number && text.as_ref() != "-0";
        return Ok(Val::Number(if plain { text } else { Cow::Owned(whole.to_string()) }));
    }
    match text.parse::<f64>() {
        Ok(x) if x.fract() == 0.0 && x.abs() <= EXACT && is_number(&text) => {
            Ok(Val::Number(Cow::Owned((x as i64).to_string())))
        }
        _ => Err(Reason::Owned(format!("{} is no INT64", excerpt(&text)))),
    }
}

fn float64(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let word = value.word();
    let text = match value {
        Val::Number(text) | Val::Text(text) => text,
        Val::Written(text) => decoded(text),
        _ => return Err(Reason::Owned(format!("{word} is no FLOAT64"))),
    };
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => {
            Ok(Val::Number(if is_number(&text) { text } else { Cow::Owned(format!("{x:?}")) }))
        }
        _ => Err(Reason::Owned(format!("{} is no FLOAT64", excerpt(&text)))),
    }
}

fn boolean(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let word = value.word();
    let text = match value {
        Val::Bool(yes) => return Ok(Val::Bool(yes)),
        Val::Text(text) => text,
        Val::Written(text) => decoded(text),
        _ => return Err(Reason::Owned(format!("{word} is no BOOLEAN"))),
    };
    if text.eq_ignore_ascii_case("true") {
        Ok(Val::Bool(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(Val::Bool(false))
    } else {
        Err(Reason::Owned(format!("{} is no BOOLEAN", excerpt(&text))))
    }
}

/// An object or array, or a text that holds one.
fn container(value: Val<'_>, kind: Kind) -> Result<Val<'_>, Reason> {
    let (open, name) = if kind == Kind::Object { ('{', "MAP") } else { ('[', "ARRAY") };
    let word = value.word();
    let text = match value {
        Val::Json(json) if json.starts_with(open) => return Ok(Val::Json(json)),
        Val::Text(text) => text,
        Val::Written(text) => decoded(text),
        _ => return Err(Reason::Owned(format!("{word} is no {name}"))),
    };
    let mut tape = Tape::default();
    match tape.parse(&text) {
        Ok(()) if tape.node(0).kind == kind => {
            let mut out = String::new();
            write_value(View::whole(&text, &tape), &mut out);
            Ok(Val::Json(Cow::Owned(out)))
        }
        _ => Err(Reason::Owned(format!("{} is no {name}", excerpt(&text)))),
    }
}

/// Refuses a value that has become too long.
///
/// # Errors
/// It is longer than 64 MiB.
pub fn bounded(length: usize) -> Result<(), Reason> {
    if length > MAX_VALUE { Err(Reason::Borrowed("a value becomes longer than 64 MiB")) } else { Ok(()) }
}

/// The beginning of a text for a message.
pub fn excerpt(text: &str) -> String {
    const SHOWN: usize = 48;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
