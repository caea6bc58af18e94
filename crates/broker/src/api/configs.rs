//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs. Topics' settings can be changed; the broker's own
//! are in `wharf.toml` and only shown.

use super::{code, text, words};
use crate::core::NODE;
use crate::error::{Error, Result};
use crate::net::dispatch::Session;
use crate::topics::{CONFIGS, Config};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response as incremental;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use std::collections::BTreeMap;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from: the topic itself, or the default.
pub fn source(own: bool) -> i8 {
    if own { 1 } else { 5 }
}

/// Shows settings.
pub async fn describe(session: &mut Session, q: DescribeConfigsRequest, _: i16) -> DescribeConfigsResponse {
    let one = |r: &DescribeConfigsResource| {
        let outcome = match r.resource_type {
            TOPIC => topic(session, r, &q),
            BROKER => broker(session, r),
            other => Err(unknown_kind(other)),
        };
        DescribeConfigsResult::default()
            .with_error_code(code(&outcome))
            .with_error_message(words(&outcome))
            .with_resource_type(r.resource_type)
            .with_resource_name(r.resource_name.clone())
            .with_configs(outcome.unwrap_or_default())
    };
    DescribeConfigsResponse::default().with_results(q.resources.iter().map(one).collect())
}

fn unknown_kind(kind: i8) -> Error {
    let words = format!("settings of kind {kind} are not kept here: only topics (2) and the broker (4)");
    Error::new(ResponseError::InvalidRequest, words)
}

fn wanted(r: &DescribeConfigsResource, name: &str) -> bool {
    r.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| **k == *name))
}

fn topic(
    session: &Session,
    r: &DescribeConfigsResource,
    q: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>> {
    let topics = &session.core.topics;
    let topic = topics.get(&r.resource_name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let one = |c: &Config| {
        let own = topic.overrides.get(c.name);
        let default = c.default_value(topics.defaults());
        let mut synonyms = Vec::new();
        if q.include_synonyms {
            let synonym = |value: &str, own: bool| {
                DescribeConfigsSynonym::default()
                    .with_name(text(c.name))
                    .with_value(Some(text(value)))
                    .with_source(source(own))
            };
            synonyms.extend(own.map(|v| synonym(v, true)));
            synonyms.push(synonym(&default, false));
        }
        DescribeConfigsResourceResult::default()
            .with_name(text(c.name))
            .with_value(Some(text(own.cloned().unwrap_or(default))))
            .with_config_source(source(own.is_some()))
            .with_synonyms(synonyms)
            .with_config_type(c.kind as i8)
            .with_documentation(q.include_documentation.then(|| text(c.documentation)))
    };
    Ok(CONFIGS.iter().filter(|c| wanted(r, c.name)).map(one).collect())
}

fn broker(session: &Session, r: &DescribeConfigsResource) -> Result<Vec<DescribeConfigsResourceResult>> {
    if !r.resource_name.is_empty() && *r.resource_name != *NODE.to_string() {
        let words = format!("there is no broker {:?}, only {NODE}", &*r.resource_name);
        return Err(Error::new(ResponseError::InvalidRequest, words));
    }
    let s = &session.core.settings;
    let values = [
        ("auto.create.topics.enable", s.auto_create_topics.to_string()),
        ("broker.id", NODE.to_string()),
        ("default.replication.factor", "1".to_owned()),
        ("delete.topic.enable", "true".to_owned()),
        ("log.cleanup.policy", "delete".to_owned()),
        ("log.dirs", s.data_dir.display().to_string()),
        ("log.retention.bytes", s.topics.retention_bytes.to_string()),
        ("log.retention.ms", s.topics.retention_ms.to_string()),
        ("log.segment.bytes", s.topics.segment_bytes.to_string()),
        ("message.max.bytes", s.topics.max_message_bytes.to_string()),
        ("num.partitions", s.topics.partitions.to_string()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("socket.request.max.bytes", s.limits.request_bytes.to_string()),
        ("transaction.max.timeout.ms", "900000".to_owned()),
    ];
    let one = |(name, value): (&str, String)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(4)
            .with_config_type(2)
    };
    Ok(values.into_iter().filter(|(name, _)| wanted(r, name)).map(one).collect())
}

fn check_kind(kind: i8) -> Result<()> {
    match kind {
        TOPIC => Ok(()),
        BROKER => {
            let words = "the broker's settings are in wharf.toml and can't be changed through its API";
            Err(Error::new(ResponseError::InvalidRequest, words))
        }
        other => Err(unknown_kind(other)),
    }
}

/// Replaces all settings of topics by new ones.
pub async fn alter(session: &mut Session, q: AlterConfigsRequest, _: i16) -> AlterConfigsResponse {
    let mut responses = Vec::new();
    for r in q.resources {
        let value = |c: kafka_protocol::messages::alter_configs_request::AlterableConfig| {
            c.value.map(|v| (c.name.to_string(), v.to_string()))
        };
        let all: BTreeMap<String, String> = r.configs.into_iter().filter_map(value).collect();
        let outcome = check_kind(r.resource_type).and_then(|()| {
            session.core.topics.configure(&r.resource_name, q.validate_only, |overrides| {
                *overrides = all;
                Ok(())
            })
        });
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(code(&outcome))
                .with_error_message(words(&outcome))
                .with_resource_type(r.resource_type)
                .with_resource_name(r.resource_name),
        );
    }
    AlterConfigsResponse::default().with_responses(responses)
}

/// Changes single settings of topics.
pub async fn alter_incrementally(
    session: &mut Session,
    q: IncrementalAlterConfigsRequest,
    _: i16,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::new();
    for r in q.resources {
        let outcome = check_kind(r.resource_type).and_then(|()| {
            session.core.topics.configure(&r.resource_name, q.validate_only, |overrides| {
                r.configs.iter().try_for_each(|c| change(overrides, c))
            })
        });
        responses.push(
            incremental::AlterConfigsResourceResponse::default()
                .with_error_code(code(&outcome))
                .with_error_message(words(&outcome))
                .with_resource_type(r.resource_type)
                .with_resource_name(r.resource_name),
        );
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

/// Sets (0), unsets (1), or adds to (2) or takes from (3) a list.
fn change(overrides: &mut BTreeMap<String, String>, c: &AlterableConfig) -> Result<()> {
    let invalid = |words: String| Err(Error::new(ResponseError::InvalidConfig, words));
    let name = c.name.to_string();
    let Some(known) = Config::named(&name) else {
        return invalid(format!("unknown topic configuration {name:?}"));
    };
    let value = c.value.as_ref().map(ToString::to_string);
    match (c.config_operation, value) {
        (0, Some(value)) => drop(overrides.insert(name, value)),
        (1, _) => drop(overrides.remove(&name)),
        (2 | 3, Some(value)) if known.kind == crate::topics::Kind::List => {
            let now = overrides.get(&name).cloned().unwrap_or_else(|| "delete".to_owned());
            let mut list: Vec<&str> = now.split(',').filter(|w| !w.is_empty() && *w != value).collect();
            if c.config_operation == 2 {
                list.push(&value);
            }
            overrides.insert(name, list.join(","));
        }
        (2 | 3, _) => return invalid(format!("{name} is not a list")),
        _ => return invalid(format!("nothing can be done with {name} in this way")),
    }
    Ok(())
}
