//! One step: a part of the input is taken apart, perhaps once more, and an object is built from what was found.
//!
//! What was found is kept as places (nodes of a tape, spans of a text), not as values: only what a field asks for is
//! looked at. The fields of a JSON object are matched against the wanted names in one pass over its members.

use std::borrow::Cow;

use regex::{CaptureLocations, Regex};

use crate::chain::{Context, Failure, Stage};
use crate::json::text::decoded;
use crate::json::{Kind, Tape, View};
use crate::operate::{KeyValue, Operator};
use crate::path::{Expression, Path};
use crate::row::Row;
use crate::spec::Cast;
use crate::value::{Reason, Val};

mod analyse;

/// A compiled step.
#[derive(Debug)]
pub struct Step {
    input: Option<Selector>,
    analyse: Analyser,
    secondary: Option<String>,
    /// The fields of the result; none means all that was found.
    pub fields: Vec<Field>,
    /// The names that fields ask for.
    pub wanted: Vec<Wanted>,
    /// Must the input be an object?
    by_name: bool,
    /// Does a field ask with a path, so that what was found must be JSON?
    by_path: bool,
}

/// The part of the input that is taken apart.
#[derive(Debug)]
pub enum Selector {
    /// The field of that name.
    Key(String),
    /// What a path names.
    Path(Path),
    /// What another expression gives.
    Expression(Expression),
}

/// How it is taken apart.
#[derive(Debug)]
pub enum Analyser {
    /// As JSON.
    Json,
    /// At a separator.
    Delimiter(String),
    /// By an expression; with the names of its groups.
    Regular {
        /// The expression.
        regex: Regex,
        /// The name of each group, its number if it has none.
        names: Vec<String>,
    },
    /// It is an object already.
    Source,
}

impl Analyser {
    /// By an expression.
    pub fn regular(regex: Regex) -> Self {
        let names = regex.capture_names().enumerate();
        let names = names.map(|(i, name)| name.map_or_else(|| i.to_string(), str::to_owned)).collect();
        Self::Regular { regex, names }
    }
}

/// A field of the result.
#[derive(Debug)]
pub struct Field {
    /// `"name":`
    pub label: String,
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub from: From,
    /// What is done to it.
    pub operators: Vec<Operator>,
    /// Its pairs become fields of their own.
    pub spread: Option<KeyValue>,
    /// What it must be in the end.
    pub cast: Cast,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum From {
    /// What was found under a name: an index into the wanted names.
    Wanted(usize),
    /// What a path of one place names.
    Path(Path),
    /// What an expression gives.
    Expression(Expression),
    /// JSON that is always the same.
    Constant(String),
    /// A text that is always the same.
    Text(String),
    /// The time now.
    Now,
}

/// A name that fields ask for.
#[derive(Debug)]
pub struct Wanted {
    key: String,
    /// Tells most other names apart.
    mark: u32,
    /// The name as a position, if it can be one.
    number: Option<u32>,
    /// Is it also looked for in what the step before gave?
    before: bool,
}

impl Wanted {
    /// The index of a name in the list; it is added if it is new.
    pub fn index(all: &mut Vec<Self>, key: &str, before: bool) -> usize {
        if let Some(at) = all.iter().position(|wanted| wanted.key == key && wanted.before == before) {
            return at;
        }
        let number = key.parse::<u32>().ok().filter(|n| n.to_string() == key);
        all.push(Self { key: key.to_owned(), mark: mark(key), number, before });
        all.len() - 1
    }
}

/// Length, first and last letter of a name in one number: cheaper to compare than the name.
#[inline]
fn mark(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    (bytes.len() as u32) << 16 | end(bytes.first()) << 8 | end(bytes.last())
}

/// What a step works on.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A text.
    Text(&'a str),
    /// JSON that was read already.
    Json(View<'a>),
}

/// How far a step goes; the preview looks at all stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upto {
    /// What the first analysis finds.
    Analysis,
    /// What the second one makes of it.
    Secondary,
    /// The result.
    Result,
}

/// The buffers of a step.
#[derive(Debug, Default)]
pub struct Scratch {
    outer: Tape,
    inner: Tape,
    flat: Tape,
    work: String,
    side: String,
    flat_row: Row,
    found: Vec<Found>,
    slots: Vec<At>,
    groups: Vec<Option<CaptureLocations>>,
}

/// A name and value that was found.
#[derive(Debug, Clone, Copy)]
struct Found {
    key: Key,
    at: At,
}

#[derive(Debug, Clone, Copy)]
enum Key {
    /// A node that is a string.
    Node(usize),
    /// A position.
    Number(u32),
    /// A group of the expression.
    Group(usize),
    /// A span of the text.
    Text(usize, usize),
    /// A span of the side buffer.
    Side(usize, usize),
}

#[derive(Debug, Clone, Copy)]
enum At {
    Nowhere,
    /// A node of what was read.
    Node(usize),
    /// A node of what the step before gave.
    Before(usize),
    /// A span of the text.
    Text(usize, usize),
    /// A span of the side buffer.
    Side(usize, usize),
}

/// What places refer to.
#[derive(Debug, Clone, Copy)]
struct Ground<'a> {
    json: Option<View<'a>>,
    text: &'a str,
    side: &'a str,
    before: Option<View<'a>>,
    names: &'a [String],
}

impl<'a> Ground<'a> {
    #[inline]
    fn value(&self, at: At) -> Val<'a> {
        let node = |view: Option<View<'a>>, node| view.map_or(Val::Null, |view| Val::of(view.at(node)));
        match at {
            At::Nowhere => Val::Null,
            At::Node(n) => node(self.json, n),
            At::Before(n) => node(self.before, n),
            At::Text(from, to) => Val::Text(Cow::Borrowed(self.text.get(from..to).unwrap_or_default())),
            At::Side(from, to) => Val::Text(Cow::Borrowed(self.side.get(from..to).unwrap_or_default())),
        }
    }

    fn name(&self, key: Key) -> Cow<'a, str> {
        match key {
            Key::Node(n) => self.json.map_or(Cow::Borrowed(""), |view| decoded(view.at(n).written())),
            Key::Number(n) => Cow::Owned(n.to_string()),
            Key::Group(n) => Cow::Borrowed(self.names.get(n).map_or("", String::as_str)),
            Key::Text(from, to) => Cow::Borrowed(self.text.get(from..to).unwrap_or_default()),
            Key::Side(from, to) => Cow::Borrowed(self.side.get(from..to).unwrap_or_default()),
        }
    }

    fn is(&self, key: Key, wanted: &Wanted) -> bool {
        match key {
            Key::Node(n) => self.json.is_some_and(|view| view.at(n).is(&wanted.key)),
            Key::Number(n) => wanted.number == Some(n),
            Key::Group(n) => {
                self.names.get(n).is_some_and(|name| *name == wanted.key)
                    || wanted.number.is_some_and(|number| number as usize == n)
            }
            Key::Text(..) | Key::Side(..) => self.name(key) == wanted.key,
        }
    }
}

impl Step {
    /// A step still without fields.
    pub fn new(input: Option<Selector>, analyse: Analyser, secondary: Option<String>) -> Self {
        let (fields, wanted) = (Vec::new(), Vec::new());
        Self { input, analyse, secondary, fields, wanted, by_name: true, by_path: false }
    }

    /// Works out what the fields need. Called once they are all there.
    pub fn settle(&mut self) {
        self.by_path = self.fields.iter().any(|f| matches!(f.from, From::Path(_) | From::Expression(_)));
        self.by_name = self.fields.is_empty()
            || self.secondary.is_some()
            || self.wanted.iter().any(|wanted| wanted.before);
    }

    /// Has the step a second analysis?
    pub fn has_secondary(&self) -> bool {
        self.secondary.is_some()
    }

    /// Builds the result of an input in `row`.
    ///
    /// # Errors
    /// What failed, and at which stage.
    pub fn run(
        &self,
        input: Input<'_>,
        context: &Context<'_>,
        (scratch, row): (&mut Scratch, &mut Row),
        upto: Upto,
    ) -> Result<(), Failure> {
        let index = context.step;
        let Scratch { outer, inner, flat, work, side, flat_row, found, slots, groups } = scratch;
        found.clear();
        side.clear();
        let failed = |stage: Stage| move |reason| Failure { stage, reason };
        let (subject, before) =
            self.subject(input, outer, work).map_err(failed(Stage::Analyse { step: index }))?;
        let mut ground = self
            .analyse(subject, (inner, found, groups), context)
            .map_err(failed(Stage::Analyse { step: index }))?;
        ground.before = before;
        let all = upto != Upto::Result || self.fields.is_empty();
        let secondary = self.secondary.as_deref().filter(|_| upto != Upto::Analysis);
        if let Some(view) = ground.json
            && (all || secondary.is_some())
        {
            found.extend(
                view.members().map(|(key, value)| Found { key: Key::Node(key), at: At::Node(value) }),
            );
        }
        if let Some(separator) = secondary {
            analyse::again(separator, &ground, found, side);
            ground.side = side;
        }
        row.begin();
        if all {
            self.write_all(&ground, found, row).map_err(failed(Stage::Output))?;
            row.end();
            return Ok(());
        }
        self.resolve(&ground, found, slots, secondary.is_some());
        let mut doc = ground.json;
        if self.by_path && (doc.is_none() || secondary.is_some()) {
            flat_row.begin();
            self.write_all(&ground, found, flat_row).map_err(failed(Stage::Output))?;
            flat_row.end();
            let read = flat.parse(flat_row.json()).map_err(|flaw| Reason::Owned(flaw.to_string()));
            read.map_err(failed(Stage::Analyse { step: index }))?;
            doc = Some(View::whole(flat_row.json(), flat));
        }
        let place = Place { ground: &ground, doc, slots, now_ms: context.now_ms };
        for (i, field) in self.fields.iter().enumerate() {
            field.write(&place, row).map_err(|reason| Failure {
                stage: Stage::Field { step: index, field: i, name: field.name.clone() },
                reason,
            })?;
        }
        row.end();
        Ok(())
    }

    /// Everything that was found becomes a field, as it is.
    fn write_all(&self, ground: &Ground<'_>, found: &[Found], row: &mut Row) -> Result<(), Reason> {
        // The whole match is no field where there are groups.
        let skip = usize::from(matches!(&self.analyse, Analyser::Regular { names, .. } if names.len() > 1));
        for one in found.iter().skip(skip) {
            row.add_named(&ground.name(one.key), &ground.value(one.at))?;
        }
        Ok(())
    }

    /// Finds the places of the wanted names, each its last one.
    fn resolve(&self, ground: &Ground<'_>, found: &[Found], slots: &mut Vec<At>, from_found: bool) {
        slots.clear();
        slots.resize(self.wanted.len(), At::Nowhere);
        match ground.json {
            Some(view) if !from_found => {
                for (key, value) in view.members() {
                    let key = view.at(key);
                    let name = key.written();
                    if key.kind() == Kind::String {
                        let mark = mark(name);
                        self.fill(slots, At::Node(value), |wanted| wanted.mark == mark && wanted.key == name);
                    } else {
                        self.fill(slots, At::Node(value), |wanted| key.is(&wanted.key));
                    }
                }
            }
            _ => {
                for one in found {
                    self.fill(slots, one.at, |wanted| ground.is(one.key, wanted));
                }
            }
        }
        let Some(before) = ground.before else { return };
        for (slot, wanted) in slots.iter_mut().zip(&self.wanted) {
            if wanted.before && matches!(slot, At::Nowhere) {
                *slot = before.member(&wanted.key).map_or(At::Nowhere, At::Before);
            }
        }
    }

    #[inline]
    fn fill(&self, slots: &mut [At], at: At, is: impl Fn(&Wanted) -> bool) {
        for (slot, wanted) in slots.iter_mut().zip(&self.wanted) {
            if is(wanted) {
                *slot = at;
            }
        }
    }
}

/// Where a field looks.
struct Place<'a, 's> {
    ground: &'s Ground<'a>,
    doc: Option<View<'a>>,
    slots: &'s [At],
    now_ms: i64,
}

impl Field {
    fn write(&self, place: &Place<'_, '_>, row: &mut Row) -> Result<(), Reason> {
        let mut value = match &self.from {
            From::Constant(json) => return row.add(&self.label, |out| out.push_str(json)),
            From::Wanted(i) => place.ground.value(place.slots.get(*i).copied().unwrap_or(At::Nowhere)),
            From::Path(path) => match place.doc.and_then(|doc| Some((doc, path.first(doc)?))) {
                Some((doc, node)) => Val::of(doc.at(node)),
                None => Val::Null,
            },
            From::Expression(expression) => match place.doc {
                Some(doc) => expression.value(doc)?,
                None => Val::Null,
            },
            From::Text(text) => Val::Text(Cow::Borrowed(text)),
            From::Now => Val::Number(Cow::Owned(place.now_ms.to_string())),
        };
        for operator in &self.operators {
            value = operator.apply(value)?;
        }
        if let Some(pairs) = &self.spread {
            return self.spread(pairs, &value, row);
        }
        let value = value.cast(self.cast)?;
        row.add(&self.label, |out| value.write(out))
    }

    /// `KV`: each pair becomes a field, or all of them one object if the field is a `MAP`.
    fn spread(&self, pairs: &KeyValue, value: &Val<'_>, row: &mut Row) -> Result<(), Reason> {
        let text = match value {
            Val::Null => Cow::Borrowed(""),
            Val::Json(_) => return Err(Reason::Owned(format!("KV can't work on {}", value.word()))),
            _ => value.clone().into_text(),
        };
        let nested = self.cast == Cast::Map;
        let mut object = Row::default();
        object.begin();
        if pairs.keep && !nested {
            row.add_named(&self.name, value)?;
        }
        for (key, value) in pairs.split(&text) {
            let value = Val::Text(Cow::Borrowed(value));
            if nested {
                object.add_named(key, &value)?;
            } else {
                row.add_named(key, &value.cast(self.cast)?)?;
            }
        }
        if nested {
            object.end();
            row.add_named(&self.name, &Val::Json(Cow::Borrowed(object.json())))?;
        }
        Ok(())
    }
}
