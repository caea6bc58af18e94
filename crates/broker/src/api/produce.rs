//! Produce.

use super::{text, words};
use crate::error::{Error, Result};
use crate::net::dispatch::Session;
use crate::storage::batch;
use crate::storage::log::Appended;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

/// Appends one batch to each of the named partitions. With `acks` of 1 and −1 alike the answer means that
/// the record is where it will stay: there are no replicas to wait for.
pub async fn produce(session: &mut Session, q: ProduceRequest) -> ProduceResponse {
    let mut responses = Vec::with_capacity(q.topic_data.len());
    let id = q.transactional_id.as_ref().map(|id| id.0.to_string());
    for topic in q.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for part in topic.partition_data {
            let acks_fit = matches!(q.acks, -1..=1);
            let (index, outcome) =
                (part.index, append(session, id.as_deref(), &topic.name, part, acks_fit).await);
            partitions.push(answer(index, outcome));
        }
        responses
            .push(TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions));
    }
    ProduceResponse::default().with_responses(responses)
}

async fn append(
    session: &Session,
    transactional_id: Option<&str>,
    topic: &TopicName,
    part: PartitionProduceData,
    acks_fit: bool,
) -> Result<(Appended, i64)> {
    if !acks_fit {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }
    let partition = session.core.topics.partition(topic, part.index)?;
    let bytes: Bytes = part
        .records
        .filter(|r| !r.is_empty())
        .ok_or_else(|| Error::new(ResponseError::InvalidRecord, "a produce request without records"))?;
    let header = batch::check_incoming(&bytes, partition.settings().max_message_bytes)?;
    // Held until the batch is in the log: the transaction must not end in between.
    let _open = match (transactional_id, header.is_transactional()) {
        (Some(id), true) => {
            let spot = (topic.0.to_string(), part.index);
            Some(session.core.check_transactional(id, &header, &spot).await?)
        }
        (None, true) => {
            let words = "a transactional batch without a transactional id";
            return Err(Error::new(ResponseError::InvalidRecord, words));
        }
        _ => None,
    };
    let done = partition.append(&header, &bytes, session.core.now_ms()).await?;
    let start = partition.with(|log| Ok(log.start()))?;
    Ok((done, start))
}

fn answer(index: i32, outcome: Result<(Appended, i64)>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok((done, start)) => response
            .with_base_offset(done.base_offset)
            .with_log_append_time_ms(done.append_time)
            .with_log_start_offset(start),
        Err(e) => {
            if e.kind() == ResponseError::KafkaStorageError {
                tracing::error!(partition = index, "append: {e}");
            }
            let failed: Result<()> = Err(e);
            response
                .with_error_code(super::code(&failed))
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
                .with_error_message(words(&failed).or_else(|| Some(text(""))))
        }
    }
}
