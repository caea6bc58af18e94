//! One step of the vendor's chain, its fields and their operators.

use serde_json::Value;

use super::read::Fields;
use super::{Analyse, Cast, Field, From, Operator, Select, Step};
use crate::operate::date::Target;

/// Fields of a step at most.
const MAX_FIELDS: usize = 256;
/// Operators of a field at most.
const MAX_OPERATORS: usize = 16;
/// Letters of a text in the specification at most.
const MAX_LETTERS: u64 = 1 << 20;

/// Reads a `FieldParam`. What the preview once answered (`Result`, `…Result`) may be sent back and is passed over.
pub fn field_param(fields: &mut Fields<'_, '_>) -> Step {
    fields.known(&[
        "Analyse",
        "SecondaryAnalyse",
        "SMT",
        "Result",
        "AnalyseResult",
        "SecondaryAnalyseResult",
        "AnalyseJsonResult",
        "SecondaryAnalyseJsonResult",
    ]);
    if fields.absent("Analyse") {
        fields.problem("Analyse", "it is required");
    }
    let (analyse, input) = match fields.object("Analyse") {
        Some(mut inner) => {
            inner.known(&["Format", "Regex", "InputValueType", "InputValue"]);
            (analyse(&mut inner, "Format"), select(&mut inner))
        }
        None => (Analyse::Json, None),
    };
    let secondary = fields.object("SecondaryAnalyse").and_then(|mut inner| {
        inner.known(&["Regex"]);
        inner.required("Regex").map(separator)
    });
    let mut smt = Vec::new();
    for (i, value) in fields.list("SMT", MAX_FIELDS).iter().enumerate() {
        smt.push(smt_param(&mut fields.inner(&format!("SMT.{i}"), value)));
    }
    Step { analyse, input, secondary, fields: smt }
}

/// The one step of a `TransformParam`, still without fields.
pub fn step_of_transform(fields: &mut Fields<'_, '_>) -> Step {
    let analyse = analyse(fields, "AnalysisFormat");
    Step { analyse, input: None, secondary: None, fields: Vec::new() }
}

fn analyse(fields: &mut Fields<'_, '_>, format: &str) -> Analyse {
    let words = [("JSON", 0), ("DELIMITER", 1), ("REGULAR", 2), ("SOURCE", 3)];
    fields.required(format);
    let kind = fields.value(format).and_then(Value::as_str).filter(|word| !word.is_empty());
    let kind = kind.and_then(|_| fields.one_of(format, &words));
    match kind {
        Some(1) => {
            Analyse::Delimiter(fields.required("Regex").map(separator).unwrap_or_else(|| "|".to_owned()))
        }
        Some(2) => Analyse::Regular(fields.required("Regex").unwrap_or(".*").to_owned()),
        Some(3) => Analyse::Source,
        _ => Analyse::Json,
    }
}

fn select(fields: &mut Fields<'_, '_>) -> Option<Select> {
    let kind = fields.one_of("InputValueType", &[("JSONPATH", true), ("KEY", false), ("MAPPING", false)]);
    let value = fields.text("InputValue");
    match (kind, value) {
        (Some(true), Some(path)) => Some(Select::Path(path.to_owned())),
        (Some(false), Some(key)) => Some(Select::Key(key.to_owned())),
        (Some(_), None) => {
            fields.problem("InputValue", "it is required with InputValueType");
            None
        }
        (None, Some(path)) if path.starts_with('$') => Some(Select::Path(path.to_owned())),
        (None, Some(key)) => Some(Select::Key(key.to_owned())),
        (None, None) => None,
    }
}

fn smt_param(fields: &mut Fields<'_, '_>) -> Field {
    fields.known(&[
        "Key",
        "Operate",
        "SchemeType",
        "Value",
        "ValueOperate",
        "OriginalValue",
        "ValueOperates",
    ]);
    let key = fields.required("Key").unwrap_or_default().to_owned();
    fields.required("Operate");
    let operate = fields.one_of("Operate", &[("MAPPING", 0), ("JSONPATH", 1), ("CUSTOMIZE", 2), ("DATE", 3)]);
    let value = fields.verbatim("Value").unwrap_or_default();
    let from = match operate {
        Some(0) => From::Key(if value.is_empty() { key.clone() } else { value.to_owned() }),
        Some(1) => From::Path(fields.required("Value").unwrap_or("$").to_owned()),
        Some(2) => From::Constant(value.to_owned()),
        _ => From::Now,
    };
    let cast = fields.one_of(
        "SchemeType",
        &[
            ("ORIGINAL", Cast::Original),
            ("STRING", Cast::String),
            ("INT64", Cast::Int64),
            ("FLOAT64", Cast::Float64),
            ("BOOLEAN", Cast::Boolean),
            ("MAP", Cast::Map),
            ("ARRAY", Cast::Array),
        ],
    );
    let mut operators = Vec::new();
    for (i, value) in fields.list("ValueOperates", MAX_OPERATORS).iter().enumerate() {
        operators.push(value_param(&mut fields.inner(&format!("ValueOperates.{i}"), value)));
    }
    // The console sends the older form along; the list counts where there is one.
    let single = operators.is_empty();
    if single && let Some(mut inner) = fields.object("ValueOperate") {
        operators.push(value_param(&mut inner));
    }
    let single = single && !operators.is_empty();
    Field { key, from, cast: cast.unwrap_or(Cast::Original), operators, single }
}

/// Reads a `MapParam` of the older object.
pub fn smt_of_map(fields: &mut Fields<'_, '_>) -> Field {
    fields.known(&["Key", "Type", "Value"]);
    let key = fields.required("Key").unwrap_or_default().to_owned();
    let kind = fields.one_of("Type", &[("DEFAULT", 0), ("DATE", 1), ("CUSTOMIZE", 2), ("MAPPING", 3)]);
    let value = fields.verbatim("Value").unwrap_or_default();
    let from = match kind {
        Some(1) => From::Now,
        Some(2) => From::Constant(value.to_owned()),
        Some(3) if value.starts_with("$.") || value.starts_with("$[") => From::Path(value.to_owned()),
        Some(3) if !value.is_empty() => From::Key(value.to_owned()),
        _ => From::Key(key.clone()),
    };
    Field { key, from, cast: Cast::Original, operators: Vec::new(), single: false }
}

fn value_param(fields: &mut Fields<'_, '_>) -> Operator {
    fields.known(&[
        "Type",
        "Replace",
        "Substr",
        "Date",
        "RegexReplace",
        "Split",
        "KV",
        "Result",
        "JsonPathReplace",
        "UrlDecode",
        "Lowercase",
    ]);
    fields.required("Type");
    let kind = fields.one_of(
        "Type",
        &[
            ("REPLACE", 0),
            ("SUBSTR", 1),
            ("DATE", 2),
            ("TRIM", 3),
            ("REGEX_REPLACE", 4),
            ("SPLIT", 5),
            ("KV", 6),
            ("JSON_PATH_REPLACE", 7),
            ("URL_DECODE", 8),
            ("LOWERCASE", 9),
        ],
    );
    let read = match kind {
        Some(0) => with(fields, "Replace", replace),
        Some(1) => with(fields, "Substr", substr),
        Some(2) => with(fields, "Date", date),
        Some(4) => with(fields, "RegexReplace", |inner| {
            inner.known(&["Regex", "NewValue"]);
            let new = inner.verbatim("NewValue").unwrap_or_default().to_owned();
            Some(Operator::RegexReplace { regex: inner.required("Regex")?.to_owned(), new })
        }),
        Some(5) => with(fields, "Split", |inner| {
            inner.known(&["Regex"]);
            Some(Operator::Split { separator: separator(inner.required("Regex")?) })
        }),
        Some(6) => with(fields, "KV", key_value),
        Some(7) => with(fields, "JsonPathReplace", |inner| {
            inner.known(&["OldValue", "NewValue"]);
            let new = inner.verbatim("NewValue").unwrap_or_default().to_owned();
            Some(Operator::JsonPathReplace { old: inner.required("OldValue")?.to_owned(), new })
        }),
        Some(8) => {
            let charset = fields.object("UrlDecode").and_then(|mut inner| {
                inner.known(&["CharsetName"]);
                inner.text("CharsetName").map(str::to_owned)
            });
            Some(Operator::UrlDecode { charset: charset.unwrap_or_else(|| "UTF-8".to_owned()) })
        }
        Some(9) => {
            if let Some(mut inner) = fields.object("Lowercase") {
                inner.known(&[]);
            }
            Some(Operator::Lowercase)
        }
        _ => None,
    };
    read.unwrap_or(Operator::Trim)
}

fn with(
    fields: &mut Fields<'_, '_>,
    name: &str,
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<Operator>,
) -> Option<Operator> {
    if fields.absent(name) {
        fields.problem(name, "it is required for this Type");
    }
    read(&mut fields.object(name)?)
}

fn replace(fields: &mut Fields<'_, '_>) -> Option<Operator> {
    fields.known(&["OldValue", "NewValue"]);
    let new = fields.verbatim("NewValue").unwrap_or_default().to_owned();
    let old = fields.verbatim("OldValue").filter(|old| !old.is_empty());
    if old.is_none() {
        fields.problem("OldValue", "it is required");
    }
    Some(Operator::Replace { old: old?.to_owned(), new })
}

fn substr(fields: &mut Fields<'_, '_>) -> Option<Operator> {
    fields.known(&["Start", "End"]);
    for name in ["Start", "End"] {
        if fields.absent(name) {
            fields.problem(name, "it is required");
        }
    }
    let start = fields.count("Start", MAX_LETTERS)? as u32;
    let end = fields.count("End", MAX_LETTERS)? as u32;
    if end < start {
        fields.problem("End", "it is before Start");
    }
    Some(Operator::Substr { start, end })
}

fn date(fields: &mut Fields<'_, '_>) -> Option<Operator> {
    fields.known(&["Format", "TargetType", "TimeZone"]);
    let target = fields.one_of("TargetType", &[("string", Target::String), ("unix", Target::Unix)]);
    let zone = fields.text("TimeZone").unwrap_or("GMT+8").to_owned();
    let format = fields.text("Format").unwrap_or("yyyy-MM-dd HH:mm:ss").to_owned();
    Some(Operator::Date { format, target: target.unwrap_or(Target::String), zone })
}

fn key_value(fields: &mut Fields<'_, '_>) -> Option<Operator> {
    fields.known(&["Delimiter", "Regex", "KeepOriginalKey"]);
    let keep = match fields.value("KeepOriginalKey") {
        Some(Value::Bool(keep)) => *keep,
        _ => fields.one_of("KeepOriginalKey", &[("true", true), ("false", false)]).unwrap_or(false),
    };
    let pairs = fields.required("Delimiter").map(separator);
    let inside = fields.required("Regex").map(separator);
    Some(Operator::KeyValue { pairs: pairs?, inside: inside?, keep })
}

/// A separator as it is meant: a text, in which `\t`, `\n`, `\r` are those letters and a backslash before a sign of
/// punctuation (as in a regular expression) is left out.
pub fn separator(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next) {
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(sign)) if sign.is_ascii_punctuation() => out.push(sign),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}
