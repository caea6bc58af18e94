//! From a specification to steps that run: expressions compiled, paths read, constants worked out.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::json::text::write_string;
use crate::operate::date::Date;
use crate::operate::{Charset, KeyValue, Operator, Replacement, replacement, zone};
use crate::path::Expression;
use crate::problem::Problems;
use crate::row::Row;
use crate::spec::{self, Cast, Form, Spec};
use crate::step::{Analyser, Field, From, Selector, Step, Wanted};
use crate::value::Val;

/// Bytes of a compiled expression at most.
const MAX_REGEX: usize = 1 << 20;
/// Letters of an expression at most.
const MAX_REGEX_TEXT: usize = 4096;
/// Fields and steps at most, also of a specification that was not read from the vendor's object.
const MAX_LIST: usize = 256;

/// The fields that `KeepMetadata` adds.
pub const METADATA: [&str; 3] = ["__topic__", "__partition__", "__offset__"];

/// The vendor's name of a step's place.
pub fn place(form: Form, step: usize) -> String {
    match form {
        Form::TransformsParam => format!("TransformsParam.FieldChain.{step}"),
        Form::TransformParam => "TransformParam".to_owned(),
    }
}

/// The vendor's name of a field's place within its step's.
pub fn field_place(form: Form, field: usize) -> String {
    match form {
        Form::TransformsParam => format!("SMT.{field}"),
        Form::TransformParam => format!("MapParam.{field}"),
    }
}

/// Compiles the steps of a specification.
pub fn steps(spec: &Spec, problems: &mut Problems) -> Vec<Step> {
    let mut steps = Vec::new();
    if spec.steps.is_empty() || spec.steps.len() > MAX_LIST {
        let reason = format!("a chain has 1 to {MAX_LIST} steps");
        problems.add("TransformsParam.FieldChain", reason);
        return steps;
    }
    for (i, step) in spec.steps.iter().enumerate() {
        let mut work = Work { form: spec.form, at: place(spec.form, i), problems };
        steps.push(work.step(i, step));
    }
    if spec.keep_metadata
        && let Some(last) = spec.steps.last()
    {
        for (j, field) in last.fields.iter().enumerate().filter(|(_, f)| METADATA.contains(&f.key.as_str())) {
            let at = format!("{}.{}", place(spec.form, spec.steps.len() - 1), field_place(spec.form, j));
            problems.add(format!("{at}.Key"), format!("{} is a name of KeepMetadata", field.key));
        }
    }
    steps
}

struct Work<'p> {
    form: Form,
    at: String,
    problems: &'p mut Problems,
}

impl Work<'_> {
    fn problem(&mut self, name: &str, reason: impl Into<String>) {
        self.problems.add(format!("{}.{name}", self.at), reason);
    }

    /// The name of a field of the analysis in this form.
    fn analyse_name(&self, name: &str) -> String {
        match self.form {
            Form::TransformsParam => format!("Analyse.{name}"),
            Form::TransformParam if name == "Format" => "AnalysisFormat".to_owned(),
            Form::TransformParam => name.to_owned(),
        }
    }

    fn step(&mut self, index: usize, step: &spec::Step) -> Step {
        let input = step.input.as_ref().and_then(|select| self.selector(select));
        let analyse = self.analyser(index, step);
        if step.secondary.as_deref() == Some("") {
            self.problem("SecondaryAnalyse.Regex", "it is empty");
        }
        let mut made = Step::new(input, analyse, step.secondary.clone().filter(|s| !s.is_empty()));
        if step.fields.len() > MAX_LIST {
            self.problem("SMT", format!("there are more than {MAX_LIST}"));
            return made;
        }
        for (j, field) in step.fields.iter().enumerate() {
            let place = field_place(self.form, j);
            let inner = format!("{}.{place}", self.at);
            let outer = std::mem::replace(&mut self.at, inner);
            if field.key.is_empty() {
                // Named by the reader.
            } else if step.fields.iter().take(j).any(|other| other.key == field.key) {
                self.problem("Key", format!("{:?} comes twice", field.key));
            }
            let field = self.field(field, &mut made.wanted);
            made.fields.push(field);
            self.at = outer;
        }
        made.settle();
        made
    }

    fn selector(&mut self, select: &spec::Select) -> Option<Selector> {
        match select {
            spec::Select::Key(key) => Some(Selector::Key(key.clone())),
            spec::Select::Path(path) => {
                self.expression("Analyse.InputValue", path).map(|expression| match expression {
                    Expression::Path(path) if path.definite() => Selector::Path(path),
                    other => Selector::Expression(other),
                })
            }
        }
    }

    fn analyser(&mut self, index: usize, step: &spec::Step) -> Analyser {
        let format = self.analyse_name("Format");
        let whole = index > 0 && step.input.is_none();
        match &step.analyse {
            spec::Analyse::Json => Analyser::Json,
            spec::Analyse::Source => {
                if index == 0 {
                    self.problem(
                        &format,
                        "SOURCE takes the result of the step before, and the first step has none",
                    );
                }
                Analyser::Source
            }
            spec::Analyse::Delimiter(separator) => {
                if whole {
                    self.problem(
                        &format,
                        "after another step, DELIMITER needs InputValue: the field it takes apart",
                    );
                }
                if separator.is_empty() {
                    let name = self.analyse_name("Regex");
                    self.problem(&name, "it is empty");
                }
                Analyser::Delimiter(separator.clone())
            }
            spec::Analyse::Regular(regex) => {
                if whole {
                    self.problem(
                        &format,
                        "after another step, REGULAR needs InputValue: the field it takes apart",
                    );
                }
                let name = self.analyse_name("Regex");
                match self.regex(&name, regex) {
                    Some(regex) => Analyser::regular(regex),
                    None => Analyser::Json,
                }
            }
        }
    }

    fn field(&mut self, field: &spec::Field, wanted: &mut Vec<Wanted>) -> Field {
        let mut label = String::new();
        write_string(&field.key, &mut label);
        label.push(':');
        let (operators, spread) = self.operators(field);
        let from = match &field.from {
            spec::From::Key(key) => From::Wanted(Wanted::index(wanted, key, true)),
            spec::From::Path(path) => match self.expression("Value", path) {
                Some(Expression::Path(path)) if path.only_name().is_some() => {
                    From::Wanted(Wanted::index(wanted, path.only_name().unwrap_or_default(), false))
                }
                Some(Expression::Path(path)) if path.definite() => From::Path(path),
                Some(other) => From::Expression(other),
                None => From::Now,
            },
            spec::From::Constant(text) => self.constant(text, field.cast, &operators, spread.is_some()),
            spec::From::Now => From::Now,
        };
        let operators = if matches!(from, From::Constant(_)) { Vec::new() } else { operators };
        Field { label, name: field.key.clone(), from, operators, spread, cast: field.cast }
    }

    /// A constant is worked out here. One that is spread over several fields is so for each record.
    fn constant(&mut self, text: &str, cast: Cast, operators: &[Operator], spread: bool) -> From {
        if spread {
            return From::Text(text.to_owned());
        }
        let start = Ok(Val::Text(Cow::Owned(text.to_owned())));
        let value = operators.iter().fold(start, |value, operator| operator.apply(value?));
        match value.and_then(|value| value.cast(cast)) {
            Ok(value) => {
                let mut json = String::new();
                value.write(&mut json);
                From::Constant(json)
            }
            Err(reason) => {
                self.problem("Value", reason);
                From::Now
            }
        }
    }

    fn operators(&mut self, field: &spec::Field) -> (Vec<Operator>, Option<KeyValue>) {
        let mut made = Vec::new();
        let mut spread = None;
        for (k, operator) in field.operators.iter().enumerate() {
            let name = if field.single { "ValueOperate".to_owned() } else { format!("ValueOperates.{k}") };
            if let spec::Operator::KeyValue { pairs, inside, keep } = operator {
                if k + 1 < field.operators.len() {
                    self.problem(&format!("{name}.Type"), "KV makes several fields and must be the last");
                }
                if pairs.is_empty() || inside.is_empty() {
                    self.problem(&format!("{name}.KV"), "a separator is empty");
                    continue;
                }
                spread = Some(KeyValue { pairs: pairs.clone(), inside: inside.clone(), keep: *keep });
            } else if let Some(operator) = self.operator(&name, operator) {
                made.push(operator);
            }
        }
        (made, spread)
    }

    fn operator(&mut self, name: &str, operator: &spec::Operator) -> Option<Operator> {
        Some(match operator {
            spec::Operator::Replace { old, new } => {
                if old.is_empty() {
                    self.problem(&format!("{name}.Replace.OldValue"), "it is empty");
                    return None;
                }
                Operator::Replace { old: old.clone(), new: new.clone() }
            }
            spec::Operator::Substr { start, end } => {
                Operator::Substr { from: *start as usize, to: *end as usize }
            }
            spec::Operator::Date { format, target, zone } => {
                let seconds = match zone::offset(zone) {
                    Ok(seconds) => seconds,
                    Err(reason) => {
                        self.problem(&format!("{name}.Date.TimeZone"), reason);
                        0
                    }
                };
                match Date::new(format, *target, seconds) {
                    Ok(date) => Operator::Date(date),
                    Err(reason) => {
                        self.problem(&format!("{name}.Date.Format"), reason);
                        return None;
                    }
                }
            }
            spec::Operator::Trim => Operator::Trim,
            spec::Operator::RegexReplace { regex, new } => {
                let regex = self.regex(&format!("{name}.RegexReplace.Regex"), regex)?;
                match replacement(new, &regex) {
                    Ok(new) => Operator::RegexReplace { regex, new },
                    Err(reason) => {
                        self.problem(&format!("{name}.RegexReplace.NewValue"), reason);
                        return None;
                    }
                }
            }
            spec::Operator::Split { separator } => {
                if separator.is_empty() {
                    self.problem(&format!("{name}.Split.Regex"), "it is empty");
                    return None;
                }
                Operator::Split(separator.clone())
            }
            spec::Operator::JsonPathReplace { old, new } => self.path_replace(name, old, new)?,
            spec::Operator::UrlDecode { charset } => match charset.to_ascii_uppercase().as_str() {
                "UTF-8" | "UTF8" | "US-ASCII" | "ASCII" => Operator::UrlDecode(Charset::Utf8),
                "ISO-8859-1" | "LATIN1" => Operator::UrlDecode(Charset::Latin1),
                _ => {
                    let reason = format!("{charset:?} is none of UTF-8, US-ASCII, ISO-8859-1");
                    self.problem(&format!("{name}.UrlDecode.CharsetName"), reason);
                    return None;
                }
            },
            spec::Operator::Lowercase => Operator::Lowercase,
            spec::Operator::KeyValue { .. } => return None,
        })
    }

    fn path_replace(&mut self, name: &str, old: &str, new: &str) -> Option<Operator> {
        let place = format!("{name}.JsonPathReplace.OldValue");
        let old = match self.expression(&place, old)? {
            Expression::Path(path) => path,
            _ => {
                self.problem(&place, "a path is expected, not a function");
                return None;
            }
        };
        let new = if new == "$" || new.starts_with("$.") || new.starts_with("$[") {
            Replacement::Of(self.expression(&format!("{name}.JsonPathReplace.NewValue"), new)?)
        } else {
            Replacement::Text(new.to_owned())
        };
        Some(Operator::JsonPathReplace { old, new })
    }

    fn expression(&mut self, name: &str, path: &str) -> Option<Expression> {
        Expression::parse(path).map_err(|reason| self.problem(name, reason)).ok()
    }

    fn regex(&mut self, name: &str, text: &str) -> Option<Regex> {
        if text.is_empty() || text.len() > MAX_REGEX_TEXT {
            self.problem(name, format!("an expression has 1 to {MAX_REGEX_TEXT} letters"));
            return None;
        }
        // Java writes a named group as the crate does since 1.9, and a possessive or look-around one in a way that
        // it refuses, since it promises linear time.
        match RegexBuilder::new(text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(64).build() {
            Ok(regex) => Some(regex),
            Err(regex::Error::CompiledTooBig(_)) => {
                self.problem(name, "the expression is too large when compiled");
                None
            }
            Err(error) => {
                let shown = error.to_string();
                let reason = shown.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("malformed");
                self.problem(name, reason.trim().trim_start_matches("error: "));
                None
            }
        }
    }
}

/// A row's part that `KeepMetadata` adds.
///
/// # Errors
/// The row becomes too long.
pub fn add_metadata(row: &mut Row, record: &crate::Record<'_>) -> Result<(), crate::value::Reason> {
    row.add("\"__topic__\":", |out| write_string(record.topic, out))?;
    row.add("\"__partition__\":", |out| out.push_str(&record.partition.to_string()))?;
    row.add("\"__offset__\":", |out| out.push_str(&record.offset.to_string()))
}
