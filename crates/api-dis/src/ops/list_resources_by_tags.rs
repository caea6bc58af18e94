//! `POST /v2/{project_id}/stream/resource_instances/action`: streams by their tags.

use super::list_streams;
use crate::fault::{invalid, refuse};
use crate::request::Ask;
use crate::tables::TAGS;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use model::DisStream;
use serde_json::{Value, json};
use std::sync::Arc;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "ListResourcesByTags",
    request: &[
        Field::new("action", Ty::Str).required(),
        Field::new("limit", Ty::Str),
        Field::new("offset", Ty::Str),
        Field::new("tags", FILTERS),
        Field::new("tags_any", FILTERS),
        Field::new("not_tags", FILTERS),
        Field::new("not_tags_any", FILTERS),
        Field::new("matches", Ty::Str).stored("taken as part of the stream's name"),
    ],
    response: &[Field::new("resources", Ty::List(&Ty::Object(RESOURCE))), Field::new("total_count", Ty::Int)],
    note: "`tags`: all of these keys, each with one of its values. `tags_any`: one of them. `not_tags`: not all of them. \
           `not_tags_any`: none of them. A key without values stands for any value.",
};

const FILTERS: Ty =
    Ty::List(&Ty::Object(&[Field::new("key", Ty::Str).required(), Field::new("values", Ty::List(&Ty::Str))]));

const RESOURCE: &[Field] = &[
    Field::new("resource_id", Ty::Str),
    Field::new("resource_name", Ty::Str),
    Field::new("resource_detail", Ty::Object(&[Field::new("action", Ty::Str).stored("always empty")])),
    Field::new("tags", TAGS),
];

/// Keys of a filter, and values of a key, at most.
const MOST: usize = 10;

/// Answers.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let given = ask.read(&OPERATION, &[])?;
    let p = Params::unchecked(&given.fields, true);
    let filters = Filters::of(&p)?;
    let number = |name: &str, usual: usize, range: std::ops::RangeInclusive<usize>| match p.text(name) {
        "" => Ok(usual),
        text => text
            .parse()
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| invalid(format!("The parameter `{name}` is not in its range."))),
    };
    let (limit, offset) = (number("limit", 1000, 1..=1000)?, number("offset", 0, 0..=1_000_000_000)?);
    let all = ask.control.dis_streams(&ask.caller).await.map_err(|e| ask.fault(&e))?;
    let part = p.text("matches");
    let found: Vec<_> = all.iter().filter(|s| filters.fit(s) && s.name.contains(part)).collect();
    match p.text("action") {
        "count" => Ok(Reply::from(json!({ "total_count": found.len() }))),
        "filter" => {
            let page: Vec<Value> = found.iter().skip(offset).take(limit).map(|s| resource(s)).collect();
            Ok(Reply::from(json!({ "resources": page, "total_count": found.len() })))
        }
        _ => Err(refuse("DIS.4605", "The action is not supported.")),
    }
}

fn resource(s: &Arc<DisStream>) -> Value {
    json!({
        "resource_id": s.id.as_str(),
        "resource_name": s.name,
        "resource_detail": {},
        "tags": list_streams::tags(&s.tags),
    })
}

type Filter = Vec<(String, Vec<String>)>;

struct Filters {
    all: Filter,
    any: Filter,
    not_all: Filter,
    not_any: Filter,
}

impl Filters {
    fn of(p: &Params<'_>) -> Result<Self, Fault> {
        Ok(Self {
            all: filter(p, "tags")?,
            any: filter(p, "tags_any")?,
            not_all: filter(p, "not_tags")?,
            not_any: filter(p, "not_tags_any")?,
        })
    }

    fn fit(&self, s: &DisStream) -> bool {
        let has = |(key, values): &(String, Vec<String>)| {
            s.tags.get(key).is_some_and(|v| values.is_empty() || values.contains(v))
        };
        self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && (self.not_all.is_empty() || !self.not_all.iter().all(has))
            && !self.not_any.iter().any(has)
    }
}

fn filter(p: &Params<'_>, name: &str) -> Result<Filter, Fault> {
    let given = p.objects(name);
    let too_many = || invalid(format!("The parameter `{name}` has more than {MOST} keys or values."));
    if given.len() > MOST {
        return Err(too_many());
    }
    let one = |f: &Params<'_>| {
        let values: Vec<String> = f.strs("values").iter().map(|v| (*v).to_owned()).collect();
        if values.len() > MOST { Err(too_many()) } else { Ok((f.text("key").to_owned(), values)) }
    };
    given.iter().map(one).collect()
}
