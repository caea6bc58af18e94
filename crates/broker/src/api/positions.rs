//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use super::code;
use crate::error::{Error, Result};
use crate::net::dispatch::Session;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// Offsets by time; the first and the last one are special times.
pub async fn list_offsets(session: &mut Session, q: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let committed = q.isolation_level == 1;
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in q.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in topic.partitions {
            let known = (p.partition_index, p.current_leader_epoch);
            let outcome = find(session, &topic.name, known, p.timestamp, committed);
            let response = ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
            partitions.push(match outcome {
                Ok((offset, timestamp)) => {
                    let epoch = if offset >= 0 && version >= 4 { 0 } else { -1 };
                    response.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(epoch)
                }
                Err(e) => response.with_error_code(e.code()).with_offset(-1).with_timestamp(-1),
            });
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

fn find(
    session: &Session,
    topic: &TopicName,
    (index, epoch): (i32, i32),
    timestamp: i64,
    committed: bool,
) -> Result<(i64, i64)> {
    let partition = session.core.topics.partition(topic, index)?;
    if epoch > 0 {
        return Err(ResponseError::UnknownLeaderEpoch.into());
    }
    let at = partition.positions()?;
    match timestamp {
        LATEST if committed => Ok((at.stable, -1)),
        LATEST => Ok((at.visible, -1)),
        EARLIEST => Ok((at.start, -1)),
        MAX_TIMESTAMP => {
            let most = partition.with(crate::storage::log::Log::max_timestamp)?;
            let found = most.map_or(Ok(None), |t| partition.find_timestamp(t))?;
            Ok(found.unwrap_or((-1, -1)))
        }
        t if t >= 0 => {
            let upper = if committed { at.stable } else { at.visible };
            let found = partition.find_timestamp(t)?.filter(|(offset, _)| *offset < upper);
            Ok(found.unwrap_or((-1, -1)))
        }
        _ => Err(Error::new(ResponseError::UnsupportedVersion, "this special time is not known")),
    }
}

/// Where an epoch of the leader ended. There is one epoch, and it goes on.
pub async fn offset_for_leader_epoch(
    session: &mut Session,
    q: OffsetForLeaderEpochRequest,
    _: i16,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in q.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in topic.partitions {
            let found = session.core.topics.partition(&topic.topic, p.partition).and_then(|x| x.positions());
            let known = p.leader_epoch == 0;
            let end = found.as_ref().map_or(-1, |at| if known { at.visible } else { -1 });
            partitions.push(
                EpochEndOffset::default()
                    .with_partition(p.partition)
                    .with_error_code(code(&found))
                    .with_leader_epoch(if known { 0 } else { -1 })
                    .with_end_offset(end),
            );
        }
        let result =
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions);
        topics.push(result);
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

/// Moves the starts of partitions forward.
pub async fn delete_records(session: &mut Session, q: DeleteRecordsRequest, _: i16) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in q.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in topic.partitions {
            let outcome = delete_before(session, &topic.name, p.partition_index, p.offset);
            partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(code(&outcome))
                    .with_low_watermark(outcome.unwrap_or(-1)),
            );
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

fn delete_before(session: &Session, topic: &TopicName, index: i32, offset: i64) -> Result<i64> {
    let partition = session.core.topics.partition(topic, index)?;
    if offset < -1 {
        return Err(ResponseError::OffsetOutOfRange.into());
    }
    let visible = partition.positions()?.visible;
    // −1 means everything that there is.
    let offset = if offset == -1 { visible } else { offset };
    if offset > visible {
        return Err(ResponseError::OffsetOutOfRange.into());
    }
    partition.with(|log| log.delete_before(offset))
}
