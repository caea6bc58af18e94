//! ApiVersions, Metadata, DescribeCluster, FindCoordinator, DescribeLogDirs: what the one node is.

use super::{code, text};
use crate::core::NODE;
use crate::error::{Error, Result};
use crate::net::dispatch::Session;
use crate::net::shape;
use crate::topics::Topic;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, DescribeClusterRequest, DescribeClusterResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// No authorisation is asked about: the protocol's "unknown".
const NO_OPERATIONS: i32 = i32::MIN;

/// What is served, in which versions.
pub fn api_versions(error: i16) -> ApiVersionsResponse {
    let version = |r: &shape::Request| {
        // librdkafka asks whether Produce version 0 is there to see whether it may compress, and never
        // uses it. Apache Kafka 4 says so for the same reason (KAFKA-18659).
        let least = if r.key == ApiKey::Produce as i16 { 0 } else { r.versions.0 };
        ApiVersion::default().with_api_key(r.key).with_min_version(least).with_max_version(r.versions.1)
    };
    let keys = shape::all().iter().map(version).collect();
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys)
}

/// Brokers, topics, partitions.
pub async fn metadata(session: &mut Session, q: MetadataRequest, version: i16) -> MetadataResponse {
    let topics = match q.topics {
        // Before version 1 an empty list meant all topics.
        Some(wanted) if !(wanted.is_empty() && version == 0) => {
            let create = q.allow_auto_topic_creation || version < 4;
            let by_name = |t: &kafka_protocol::messages::metadata_request::MetadataRequestTopic| match &t.name
            {
                Some(name) => named(session, name, create),
                None => identified(session, t.topic_id),
            };
            wanted.iter().map(by_name).collect()
        }
        _ => session.core.topics.all().iter().map(|t| described(t)).collect(),
    };
    let (host, port) = &session.access.advertised;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE))
        .with_host(text(host.clone()))
        .with_port(i32::from(*port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(session.core.topics.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE))
        .with_topics(topics)
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

fn named(session: &Session, name: &TopicName, create: bool) -> MetadataResponseTopic {
    let topics = &session.core.topics;
    let found: Result<Arc<Topic>> = match topics.get(name) {
        Some(topic) => Ok(topic),
        None if create && session.core.settings.auto_create_topics => {
            match topics.create(name, -1, BTreeMap::new(), false) {
                Err(e) if e.kind() == ResponseError::TopicAlreadyExists => {
                    topics.get(name).ok_or_else(|| ResponseError::UnknownTopicOrPartition.into())
                }
                other => other,
            }
        }
        None => Err(ResponseError::UnknownTopicOrPartition.into()),
    };
    match found {
        Ok(topic) => described(&topic),
        Err(e) => MetadataResponseTopic::default().with_error_code(e.code()).with_name(Some(name.clone())),
    }
}

fn identified(session: &Session, id: Uuid) -> MetadataResponseTopic {
    match session.core.topics.by_id(&id) {
        Some(topic) => described(&topic),
        None => MetadataResponseTopic::default()
            .with_error_code(ResponseError::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(id),
    }
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let partition = |p: &Arc<crate::partition::Partition>| {
        MetadataResponsePartition::default()
            .with_partition_index(p.index)
            .with_leader_id(BrokerId(NODE))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(NODE)])
            .with_isr_nodes(vec![BrokerId(NODE)])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(topic.partitions.iter().map(partition).collect())
        .with_topic_authorized_operations(NO_OPERATIONS)
}

/// The cluster of one.
pub async fn describe_cluster(
    session: &mut Session,
    q: DescribeClusterRequest,
    _: i16,
) -> DescribeClusterResponse {
    let (host, port) = &session.access.advertised;
    let answer = DescribeClusterResponse::default();
    if q.endpoint_type != 1 {
        let words = "there are no controllers apart from the broker";
        return answer
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(text(words)));
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE))
        .with_host(text(host.clone()))
        .with_port(i32::from(*port));
    answer
        .with_endpoint_type(1)
        .with_cluster_id(text(session.core.topics.cluster_id.clone()))
        .with_controller_id(BrokerId(NODE))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

/// Who coordinates a group or a transactional id: always the one node.
pub async fn find_coordinator(
    session: &mut Session,
    q: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let (host, port) = session.access.advertised.clone();
    let (host, port) = (text(host), i32::from(port));
    let wrong = if matches!(q.key_type, 0 | 1) { 0 } else { ResponseError::InvalidRequest.code() };
    let answer = FindCoordinatorResponse::default();
    if version < 4 {
        return answer.with_error_code(wrong).with_node_id(BrokerId(NODE)).with_host(host).with_port(port);
    }
    let one = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(wrong)
            .with_node_id(BrokerId(NODE))
            .with_host(host.clone())
            .with_port(port)
    };
    answer.with_coordinators(q.coordinator_keys.into_iter().map(one).collect())
}

/// How much the partitions hold.
pub async fn describe_log_dirs(
    session: &mut Session,
    q: DescribeLogDirsRequest,
    _: i16,
) -> DescribeLogDirsResponse {
    let wanted = |topic: &str, index: i32| match &q.topics {
        None => true,
        Some(topics) => topics.iter().any(|t| &*t.topic.0 == topic && t.partitions.contains(&index)),
    };
    let mut failed: Result<()> = Ok(());
    let mut topics = Vec::new();
    for topic in session.core.topics.all() {
        let mut partitions = Vec::new();
        for p in topic.partitions.iter().filter(|p| wanted(&topic.name, p.index)) {
            match p.with(|log| Ok(log.bytes())) {
                Ok(size) => partitions.push(
                    DescribeLogDirsPartition::default()
                        .with_partition_index(p.index)
                        .with_partition_size(i64::try_from(size).unwrap_or(i64::MAX)),
                ),
                Err(e) => failed = Err(Error::new(e.kind(), e.to_string())),
            }
        }
        if !partitions.is_empty() {
            let name = TopicName(text(topic.name.clone()));
            topics.push(DescribeLogDirsTopic::default().with_name(name).with_partitions(partitions));
        }
    }
    let dir = session.core.settings.data_dir.display().to_string();
    let result = DescribeLogDirsResult::default()
        .with_error_code(code(&failed))
        .with_log_dir(text(dir))
        .with_topics(topics)
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    DescribeLogDirsResponse::default().with_results(vec![result])
}
