//! CreateTopics, DeleteTopics, CreatePartitions.

use super::{code, text, words};
use crate::core::NODE;
use crate::error::{Error, Result};
use crate::net::dispatch::Session;
use crate::topics::{CONFIGS, Topic};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Makes topics.
pub async fn create(session: &mut Session, q: CreateTopicsRequest, _: i16) -> CreateTopicsResponse {
    let mut times: HashMap<&TopicName, usize> = HashMap::new();
    for topic in &q.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let twice = |t: &CreatableTopic| times.get(&t.name).is_some_and(|n| *n > 1);
    let one = |t: &CreatableTopic| {
        let outcome = if twice(t) {
            Err(Error::new(ResponseError::InvalidRequest, "the topic is named twice in this request"))
        } else {
            create_one(session, t, q.validate_only)
        };
        created(session, &t.name, outcome)
    };
    CreateTopicsResponse::default().with_topics(q.topics.iter().map(one).collect())
}

fn create_one(session: &Session, t: &CreatableTopic, only_check: bool) -> Result<Arc<Topic>> {
    let mut partitions = t.num_partitions;
    if !t.assignments.is_empty() {
        if t.num_partitions != -1 || t.replication_factor != -1 {
            let words = "either numbers of partitions and replicas, or an assignment, not both";
            return Err(Error::new(ResponseError::InvalidRequest, words));
        }
        let mut indexes: Vec<i32> = t.assignments.iter().map(|a| a.partition_index).collect();
        indexes.sort_unstable();
        let in_a_row = (0..).zip(&indexes).all(|(n, i)| n == *i);
        let here = t.assignments.iter().all(|a| a.broker_ids.len() == 1 && a.broker_ids[0].0 == NODE);
        if !in_a_row || !here {
            let words = format!("partitions 0, 1, … each on broker {NODE} alone: there is no other");
            return Err(Error::new(ResponseError::InvalidReplicaAssignment, words));
        }
        partitions = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    } else if !matches!(t.replication_factor, -1 | 1) {
        let words = format!("{} replicas were asked for, there is 1 broker", t.replication_factor);
        return Err(Error::new(ResponseError::InvalidReplicationFactor, words));
    }
    let mut overrides = BTreeMap::new();
    for config in &t.configs {
        // No value means the default.
        if let Some(value) = &config.value {
            overrides.insert(config.name.to_string(), value.to_string());
        }
    }
    session.core.topics.create(&t.name, partitions, overrides, only_check)
}

fn created(session: &Session, name: &TopicName, outcome: Result<Arc<Topic>>) -> CreatableTopicResult {
    let result = CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(code(&outcome))
        .with_error_message(words(&outcome));
    let Ok(topic) = outcome else {
        return result.with_num_partitions(-1).with_replication_factor(-1).with_configs(Some(Vec::new()));
    };
    let config = |c: &crate::topics::Config| {
        let own = topic.overrides.get(c.name);
        let value = own.cloned().unwrap_or_else(|| c.default_value(session.core.topics.defaults()));
        CreatableTopicConfigs::default()
            .with_name(text(c.name))
            .with_value(Some(text(value)))
            .with_config_source(super::configs::source(own.is_some()))
    };
    result
        .with_topic_id(topic.id)
        .with_num_partitions(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(CONFIGS.iter().map(config).collect()))
}

/// Deletes topics.
pub async fn delete(session: &mut Session, q: DeleteTopicsRequest, _: i16) -> DeleteTopicsResponse {
    let by_name = |name: &TopicName| DeleteTopicState::default().with_name(Some(name.clone()));
    let old: Vec<DeleteTopicState> = q.topic_names.iter().map(by_name).collect();
    let mut responses = Vec::new();
    for wanted in q.topics.iter().chain(&old) {
        let name = match &wanted.name {
            Some(name) => Some(name.0.to_string()),
            None => session.core.topics.by_id(&wanted.topic_id).map(|t| t.name.clone()),
        };
        let outcome = match &name {
            Some(name) => session.core.topics.delete(name),
            None => Err(ResponseError::UnknownTopicId.into()),
        };
        responses.push(
            DeletableTopicResult::default()
                .with_name(name.map(|n| TopicName(text(n))))
                .with_error_code(code(&outcome))
                .with_error_message(words(&outcome))
                .with_topic_id(*outcome.as_ref().unwrap_or(&Uuid::nil())),
        );
    }
    let core = session.core.clone();
    if let Err(e) = runtime::blocking(move || core.topics.sweep()).await {
        tracing::warn!("deleted topics: {e}");
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

/// Gives topics more partitions.
pub async fn grow(session: &mut Session, q: CreatePartitionsRequest, _: i16) -> CreatePartitionsResponse {
    let one = |t: &CreatePartitionsTopic| {
        let here = |a: &kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment| {
            a.broker_ids.len() == 1 && a.broker_ids[0].0 == NODE
        };
        let outcome = if t.assignments.as_ref().is_none_or(|all| all.iter().all(here)) {
            session.core.topics.grow(&t.name, t.count, q.validate_only)
        } else {
            let words = format!("each partition is on broker {NODE} alone: there is no other");
            Err(Error::new(ResponseError::InvalidReplicaAssignment, words))
        };
        CreatePartitionsTopicResult::default()
            .with_name(t.name.clone())
            .with_error_code(code(&outcome))
            .with_error_message(words(&outcome))
    };
    CreatePartitionsResponse::default().with_results(q.topics.iter().map(one).collect())
}
