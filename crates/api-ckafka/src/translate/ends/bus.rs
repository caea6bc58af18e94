//! `EB`, `EB_COS`, `EB_ES` and `SCF`: what the product delivers through its event bus or a cloud function.
//!
//! The bus names a target (`Resource`) and the function that would carry records there. Here records go to the target
//! itself. What the target is, the catalogue says: a connection of this name, whose kind decides (bucket, Elasticsearch,
//! or a function that is called), or else a bucket of an object store. What a request of this family can't say stands in
//! the attributes of the connection: `bucket`, `prefix`, `format` and `index`.

use super::{Resource, Sink, end, place, put};
use crate::fault;
use crate::request::{Ask, given, needed, path, ranged};
use crate::translate::attributes as words;
use api::{Fault, Params};
use model::{Connection, EndKind, OnFailure};
use serde_json::{Map, Value};

/// Messages of one call at most.
const MAX_BATCH: u64 = 10_000;
/// Tries of one call at most.
const MAX_RETRIES: u64 = 100;
/// The connection of functions that have no connection of their own name.
const FUNCTIONS: &str = "scf";

/// `EB…` as a destination.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let kind = target(&p, &at, resource.kind)?;
    let id = needed(&p, &at, "Resource")?;
    let sink = |end| Sink {
        end,
        word: id.to_owned(),
        records_per_s: None,
        on_refusal: OnFailure::Block,
        sync: None,
    };
    let Some(found) = find(ask, &at, id).await? else {
        if kind != EndKind::Bucket {
            return Err(place::missing(ask, &at, id));
        }
        let mut options = Map::new();
        options.insert("bucket".to_owned(), id.into());
        options.insert("format".to_owned(), "json".into());
        return Ok(sink(end(EndKind::Bucket, None, options)));
    };
    let options = match found.kind {
        Some(EndKind::Function) => {
            let name = needed(&p, &at, "FunctionName")?;
            function_options(&p, name)
        }
        Some(EndKind::Bucket) if kind == EndKind::Bucket => bucket_options(&found, &at)?,
        Some(EndKind::Elastic) if kind == EndKind::Elastic => elastic_options(&found, &at)?,
        Some(_) => {
            return Err(fault::value(format!(
                "The parameter `{at}.Resource` names a connection of {}, which does not go with the Type.",
                found.product
            )));
        }
        None => {
            let why = format!("connections of {} can be kept but not used yet", found.product);
            return Err(fault::not_here(&path(&at, "Resource"), &why));
        }
    };
    Ok(sink(end(found.kind.unwrap_or(kind), Some(id), options)))
}

/// `SCF` as a destination: the connection named like the function, or else the one named `scf`.
///
/// # Errors
/// In the vendor's words.
pub async fn function(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let name = needed(&p, &at, "FunctionName")?;
    let usable = |c: Option<Connection>| c.filter(|c| c.kind == Some(EndKind::Function));
    let mut found = usable(ask.find_connection(name).await?);
    if found.is_none() {
        found = usable(ask.find_connection(FUNCTIONS).await?);
    }
    let found = found.ok_or_else(|| {
        fault::refuse(
            fault::NOT_FOUND,
            format!("The parameter `{at}.FunctionName` names {name}, for which no function is registered."),
        )
    })?;
    let mut options = function_options(&p, name);
    let batch = ranged(&p, "BatchSize", (0, MAX_BATCH), fault::VALUE)?.filter(|n| *n > 0);
    put(&mut options, "batch_records", batch);
    put(&mut options, "retries", ranged(&p, "MaxRetries", (0, MAX_RETRIES), fault::VALUE)?);
    Ok(Sink {
        end: end(EndKind::Function, Some(found.id.as_str()), options),
        word: name.to_owned(),
        records_per_s: None,
        on_refusal: OnFailure::Block,
        sync: None,
    })
}

/// What the bus leads to: by the task's type, or by the parameter's where the type is plain `EB`.
fn target(p: &Params<'_>, at: &str, kind: &str) -> Result<EndKind, Fault> {
    let said = given(p, "Type").ok_or_else(|| fault::empty(&path(at, "Type")))?;
    let by_type = kind.strip_prefix("EB_");
    if by_type.is_some_and(|t| t != said && format!("EB_{t}") != said) {
        return Err(fault::value(format!("The parameter `{at}.Type` does not go with the Type {kind}.")));
    }
    match by_type.unwrap_or(said) {
        "COS" | "EB_COS" => Ok(EndKind::Bucket),
        "ES" | "EB_ES" => Ok(EndKind::Elastic),
        "CLS" | "EB_CLS" => {
            Err(fault::not_here(&path(at, "Type"), "CLS is not a destination of this server yet"))
        }
        _ => Err(fault::value(format!("The parameter `{at}.Type` must be COS, ES or CLS."))),
    }
}

async fn find(ask: &Ask<'_>, at: &str, id: &str) -> Result<Option<Connection>, Fault> {
    if id.len() > crate::request::MAX_ID {
        return Err(fault::value(format!("The parameter `{at}.Resource` is too long.")));
    }
    ask.find_connection(id).await
}

fn bucket_options(found: &Connection, at: &str) -> Result<Map<String, Value>, Fault> {
    let bucket = attribute(found, words::BUCKET, at)?;
    let mut options = Map::new();
    options.insert("bucket".to_owned(), bucket.into());
    put(&mut options, "prefix", found.attributes.get(words::PREFIX).map(String::as_str));
    let format = found.attributes.get(words::FORMAT).map_or("json", String::as_str);
    options.insert("format".to_owned(), format.into());
    Ok(options)
}

fn elastic_options(found: &Connection, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    options.insert("index".to_owned(), attribute(found, words::INDEX, at)?.into());
    options.insert("raw_key".to_owned(), "message".into());
    Ok(options)
}

fn attribute<'c>(found: &'c Connection, name: &str, at: &str) -> Result<&'c str, Fault> {
    found.attributes.get(name).map(String::as_str).ok_or_else(|| {
        fault::value(format!(
            "The parameter `{at}.Resource` names a connection that does not say which {name} is meant."
        ))
    })
}

fn function_options(p: &Params<'_>, name: &str) -> Map<String, Value> {
    let mut options = Map::new();
    options.insert("function".to_owned(), name.into());
    put(&mut options, "namespace", given(p, "Namespace"));
    put(&mut options, "qualifier", given(p, "Qualifier"));
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_bus_leads_to() {
        let read = |said: &str, kind: &str| {
            let v = json!({ "Type": said });
            target(&Params::unchecked(&v, false), "E", kind).map_err(|f| f.code.into_owned())
        };
        assert_eq!(read("COS", "EB").unwrap(), EndKind::Bucket);
        assert_eq!(read("ES", "EB").unwrap(), EndKind::Elastic);
        assert_eq!(read("COS", "EB_COS").unwrap(), EndKind::Bucket);
        assert_eq!(read("EB_ES", "EB_ES").unwrap(), EndKind::Elastic);
        assert_eq!(read("CLS", "EB").unwrap_err(), fault::FAILED);
        assert_eq!(read("FTP", "EB").unwrap_err(), fault::VALUE);
        assert_eq!(read("ES", "EB_COS").unwrap_err(), fault::VALUE);
        assert_eq!(read("", "EB").unwrap_err(), fault::EMPTY);
    }
}
