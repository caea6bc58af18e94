//! JSONPath: what is read once, and what it finds.
//!
//! The part of the language that names places: members, indexes (negative from the end), slices, wildcards, unions and
//! recursive descent; and the two functions `$.concat(…)` (the vendor's way to join fields) and `.length()`. Filters and
//! scripts (`?()`, `()`) are refused when the expression is read.

use crate::json::text::write_value;
use crate::json::{Kind, View};
use crate::value::{Reason, Val, bounded};

mod read;

/// Places that one path may find at most.
const MAX_HITS: usize = 10_000;

/// A whole expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A path.
    Path(Path),
    /// The texts of several, joined.
    Concat(Vec<Piece>),
    /// The number of elements, members or letters of what a path names.
    Length(Path),
}

/// One argument of `concat`.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A text in quotes.
    Text(String),
    /// What an expression gives.
    Of(Expression),
}

/// A path.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    /// Also below, at any depth.
    deep: bool,
    pick: Pick,
}

#[derive(Debug, Clone, PartialEq)]
enum Pick {
    Name(String),
    Index(i64),
    Any,
    Names(Vec<String>),
    Indexes(Vec<i64>),
    Slice { from: Option<i64>, to: Option<i64>, by: i64 },
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        read::expression(text)
    }

    /// What the expression gives: a value, all matches as an array where the path can have several, null where there is
    /// none.
    ///
    /// # Errors
    /// More matches than are allowed.
    pub fn value<'a>(&self, view: View<'a>) -> Result<Val<'a>, Reason> {
        match self {
            Self::Path(path) if path.definite() => {
                Ok(path.first(view).map_or(Val::Null, |node| Val::of(view.at(node))))
            }
            Self::Path(path) => {
                let mut hits = Vec::new();
                path.all(view, &mut hits)?;
                let mut out = String::from("[");
                for (i, node) in hits.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_value(view.at(node), &mut out);
                    bounded(out.len())?;
                }
                out.push(']');
                Ok(Val::Json(out.into()))
            }
            Self::Concat(pieces) => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Of(of) => out.push_str(&of.value(view)?.into_text()),
                    }
                    bounded(out.len())?;
                }
                Ok(Val::Text(out.into()))
            }
            Self::Length(path) => Ok(path.first(view).map_or(Val::Null, |node| length(view.at(node)))),
        }
    }
}

fn length(view: View<'_>) -> Val<'_> {
    let count = match view.kind() {
        Kind::Array => view.elements().count(),
        Kind::Object => view.members().count(),
        Kind::String | Kind::Escaped => Val::of(view).into_text().chars().count(),
        _ => return Val::Null,
    };
    Val::Number(count.to_string().into())
}

impl Path {
    /// Can it name one place at most?
    pub fn definite(&self) -> bool {
        self.steps.iter().all(|s| !s.deep && matches!(s.pick, Pick::Name(_) | Pick::Index(_)))
    }

    /// The name, if the path is just one member of the root.
    pub fn only_name(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step { deep: false, pick: Pick::Name(name) }] => Some(name),
            _ => None,
        }
    }

    /// The place that a definite path names, the first one of another.
    pub fn first(&self, view: View<'_>) -> Option<usize> {
        if !self.definite() {
            let mut hits = Vec::new();
            return self.all(view, &mut hits).ok().and_then(|()| hits.first().copied());
        }
        let mut at = view.root;
        for step in &self.steps {
            at = match &step.pick {
                Pick::Name(name) => view.at(at).member(name)?,
                Pick::Index(index) => element(view.at(at), *index)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// Every place that it names, in the order of the text; each once.
    ///
    /// # Errors
    /// There are more than 10,000.
    pub fn all(&self, view: View<'_>, hits: &mut Vec<usize>) -> Result<(), Reason> {
        hits.clear();
        hits.push(view.root);
        let mut found = Vec::new();
        for step in &self.steps {
            found.clear();
            for &node in hits.iter() {
                if step.deep {
                    descend(view, node, &step.pick, &mut found)?;
                } else {
                    step.pick.apply(view.at(node), &mut found);
                }
                if found.len() > MAX_HITS {
                    return Err(Reason::Borrowed("the JSONPath matches more than 10000 values"));
                }
            }
            if step.deep {
                found.sort_unstable();
                found.dedup();
            }
            std::mem::swap(hits, &mut found);
        }
        Ok(())
    }
}

/// Applies a step to a value and to all below it. The nodes of a value stand in one row, so no stack is needed.
fn descend(view: View<'_>, node: usize, pick: &Pick, found: &mut Vec<usize>) -> Result<(), Reason> {
    for at in node..view.tape.node(node).next() {
        if matches!(view.at(at).kind(), Kind::Array | Kind::Object) {
            pick.apply(view.at(at), found);
            if found.len() > MAX_HITS {
                return Err(Reason::Borrowed("the JSONPath matches more than 10000 values"));
            }
        }
    }
    Ok(())
}

fn element(view: View<'_>, index: i64) -> Option<usize> {
    if index >= 0 {
        return view.elements().nth(usize::try_from(index).ok()?);
    }
    let back = usize::try_from(index.unsigned_abs()).ok()?;
    let count = view.elements().count();
    view.elements().nth(count.checked_sub(back)?)
}

impl Pick {
    fn apply(&self, view: View<'_>, found: &mut Vec<usize>) {
        match self {
            Self::Name(name) => found.extend(view.member(name)),
            Self::Index(index) => found.extend(element(view, *index)),
            Self::Any => {
                found.extend(view.elements());
                found.extend(view.members().map(|(_, value)| value));
            }
            Self::Names(names) => found.extend(names.iter().filter_map(|name| view.member(name))),
            Self::Indexes(indexes) => found.extend(indexes.iter().filter_map(|i| element(view, *i))),
            Self::Slice { from, to, by } => {
                let count = view.elements().count() as i64;
                let place = |at: i64| if at < 0 { (count + at).max(0) } else { at.min(count) };
                let (from, to) = (from.map_or(0, place), to.map_or(count, place));
                let some = view.elements().enumerate().filter(|(i, _)| {
                    let i = *i as i64;
                    i >= from && i < to && (i - from) % by == 0
                });
                found.extend(some.map(|(_, node)| node));
            }
        }
    }
}

#[cfg(test)]
mod tests;
