//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn, and looking at them.

use super::{bare, code, text};
use crate::error::Result;
use crate::groups::Committer;
use crate::groups::offsets::{Committed, Spot};
use crate::net::dispatch::Session;
use crate::txns::Speaker;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::list_transactions_response as listed;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId, TopicName,
    TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use std::collections::BTreeMap;

/// Clients of before version 2 of these requests know only the older code for "fenced".
fn for_version(error: i16, version: i16) -> i16 {
    if version < 2 && error == ResponseError::ProducerFenced.code() {
        ResponseError::InvalidProducerEpoch.code()
    } else {
        error
    }
}

/// Gives a producer its identity.
pub async fn init_producer_id(
    session: &mut Session,
    q: InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let outcome: Result<Speaker> = match &q.transactional_id {
        None => session.core.txns.new_producer_id().map(|producer_id| Speaker { producer_id, epoch: 0 }),
        Some(id) => {
            let known = q.producer_id.0 >= 0;
            let who = known.then_some(Speaker { producer_id: q.producer_id.0, epoch: q.producer_epoch });
            session.core.init_transactions(id, q.transaction_timeout_ms, who).await
        }
    };
    let error = for_version(code(&outcome), if version >= 4 { 2 } else { 0 });
    let who = outcome.unwrap_or(Speaker { producer_id: -1, epoch: -1 });
    InitProducerIdResponse::default()
        .with_error_code(error)
        .with_producer_id(ProducerId(who.producer_id))
        .with_producer_epoch(who.epoch)
}

/// Adds partitions to the open transaction, all or none.
pub async fn add_partitions(
    session: &mut Session,
    q: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let who = Speaker { producer_id: q.v3_and_below_producer_id.0, epoch: q.v3_and_below_producer_epoch };
    let mut all: Vec<Spot> = Vec::new();
    for topic in &q.v3_and_below_topics {
        all.extend(topic.partitions.iter().map(|p| (topic.name.0.to_string(), *p)));
    }
    let exists = |spot: &Spot| session.core.topics.partition(&spot.0, spot.1).is_ok();
    let all_exist = all.iter().all(exists);
    let outcome = if all_exist {
        session.core.add_to_txn(&q.v3_and_below_transactional_id, who, all, None).await
    } else {
        Err(ResponseError::OperationNotAttempted.into())
    };
    let error = for_version(code(&outcome), version);
    let mut topics = Vec::with_capacity(q.v3_and_below_topics.len());
    for topic in q.v3_and_below_topics {
        let one = |index: &i32| {
            let there = exists(&(topic.name.0.to_string(), *index));
            let error = if there { error } else { ResponseError::UnknownTopicOrPartition.code() };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error)
        };
        let results = topic.partitions.iter().map(one).collect();
        let result = AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone());
        topics.push(result.with_results_by_partition(results));
    }
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics)
}

/// Adds a group to the open transaction.
pub async fn add_offsets(
    session: &mut Session,
    q: AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let who = Speaker { producer_id: q.producer_id.0, epoch: q.producer_epoch };
    let outcome = session.core.add_to_txn(&q.transactional_id, who, Vec::new(), Some(&q.group_id)).await;
    AddOffsetsToTxnResponse::default().with_error_code(for_version(code(&outcome), version))
}

/// Offsets that count when the transaction commits.
pub async fn commit_offsets(
    session: &mut Session,
    q: TxnOffsetCommitRequest,
    version: i16,
) -> TxnOffsetCommitResponse {
    let speaker = Speaker { producer_id: q.producer_id.0, epoch: q.producer_epoch };
    let who = Committer {
        member: q.member_id.to_string(),
        instance: q.group_instance_id.as_ref().map(ToString::to_string),
        generation: q.generation_id,
    };
    let now = session.core.now_ms();
    let mut good = Vec::new();
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in &q.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let metadata = p.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
            let checked = super::offsets::check(session, &topic.name, p.partition_index, &metadata);
            let response =
                TxnOffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            partitions.push(response.with_error_code(bare(&checked)));
            if checked.is_ok() {
                let (offset, leader_epoch) = (p.committed_offset, p.committed_leader_epoch);
                let spot = (topic.name.0.to_string(), p.partition_index);
                good.push((spot, Committed { offset, leader_epoch, metadata, at_ms: now }));
            }
        }
        let result = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
        topics.push(result.with_partitions(partitions));
    }
    let outcome = match session.core.check_txn_group(&q.transactional_id, speaker, &q.group_id).await {
        // Held until the offsets are kept: the transaction must not end in between.
        Ok(_open) => session.core.groups.prepare(speaker.producer_id, &q.group_id, &who, good),
        Err(e) => Err(e),
    };
    if let Err(e) = outcome {
        let error = for_version(e.code(), version);
        for partition in topics.iter_mut().flat_map(|t| &mut t.partitions).filter(|p| p.error_code == 0) {
            partition.error_code = error;
        }
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}

/// Ends the open transaction.
pub async fn end(session: &mut Session, q: EndTxnRequest, version: i16) -> EndTxnResponse {
    let who = Speaker { producer_id: q.producer_id.0, epoch: q.producer_epoch };
    let outcome = session.core.end_txn(&q.transactional_id, who, q.committed).await;
    if let Err(e) = &outcome
        && e.kind() == ResponseError::KafkaStorageError
    {
        tracing::error!(transactional_id = &**q.transactional_id, "a transaction did not end: {e}");
    }
    EndTxnResponse::default().with_error_code(for_version(code(&outcome), version))
}

/// What partitions know of their producers.
pub async fn describe_producers(
    session: &mut Session,
    q: DescribeProducersRequest,
    _: i16,
) -> DescribeProducersResponse {
    let producer = |v: crate::storage::producers::View| {
        ProducerState::default()
            .with_producer_id(ProducerId(v.id))
            .with_producer_epoch(i32::from(v.epoch))
            .with_last_sequence(v.last_sequence)
            .with_last_timestamp(v.last_timestamp)
            .with_coordinator_epoch(0)
            .with_current_txn_start_offset(v.open_since)
    };
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in q.topics {
        let one = |index: &i32| {
            let found = session.core.topics.partition(&topic.name, *index);
            let found = found.and_then(|p| p.with(|log| Ok(log.producers().views())));
            PartitionResponse::default()
                .with_partition_index(*index)
                .with_error_code(code(&found))
                .with_active_producers(found.unwrap_or_default().into_iter().map(producer).collect())
        };
        let partitions = topic.partition_indexes.iter().map(one).collect();
        topics.push(TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions));
    }
    DescribeProducersResponse::default().with_topics(topics)
}

/// Shows transactions.
pub async fn describe(
    session: &mut Session,
    q: DescribeTransactionsRequest,
    _: i16,
) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(q.transactional_ids.len());
    for id in q.transactional_ids {
        let Some(txn) = session.core.txns.view(&id).await else {
            let error = ResponseError::TransactionalIdNotFound.code();
            states.push(TransactionState::default().with_error_code(error).with_transactional_id(id));
            continue;
        };
        let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, index) in &txn.partitions {
            topics.entry(topic.clone()).or_default().push(*index);
        }
        let topic = |(name, partitions): (String, Vec<i32>)| {
            TopicData::default().with_topic(TopicName(text(name))).with_partitions(partitions)
        };
        states.push(
            TransactionState::default()
                .with_transactional_id(id)
                .with_transaction_state(text(txn.state.as_str()))
                .with_transaction_timeout_ms(txn.timeout_ms)
                .with_transaction_start_time_ms(txn.started_ms)
                .with_producer_id(ProducerId(txn.producer_id))
                .with_producer_epoch(txn.epoch)
                .with_topics(topics.into_iter().map(topic).collect()),
        );
    }
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

/// Lists transactional ids.
pub async fn list(session: &mut Session, q: ListTransactionsRequest, _: i16) -> ListTransactionsResponse {
    let now = session.core.now_ms();
    let mut states = Vec::new();
    for id in session.core.txns.ids() {
        let Some(txn) = session.core.txns.view(&id).await else { continue };
        let state = q.state_filters.is_empty() || q.state_filters.iter().any(|s| **s == *txn.state.as_str());
        let producer =
            q.producer_id_filters.is_empty() || q.producer_id_filters.iter().any(|p| p.0 == txn.producer_id);
        let long = q.duration_filter < 0 || now - txn.started_ms >= q.duration_filter;
        if state && producer && long {
            states.push(
                listed::TransactionState::default()
                    .with_transactional_id(TransactionalId(text(id)))
                    .with_producer_id(ProducerId(txn.producer_id))
                    .with_transaction_state(text(txn.state.as_str())),
            );
        }
    }
    ListTransactionsResponse::default().with_transaction_states(states)
}
