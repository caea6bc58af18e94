//! OffsetCommit, OffsetFetch, OffsetDelete.

use super::{bare, code, text};
use crate::error::Result;
use crate::groups::offsets::{Committed, Spot};
use crate::groups::{Committer, MOST_METADATA};
use crate::net::dispatch::Session;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

/// May this be committed, leaving aside by whom?
pub fn check(
    session: &Session,
    topic: &str,
    index: i32,
    words: &str,
) -> std::result::Result<(), ResponseError> {
    if words.len() > MOST_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    session.core.topics.partition(topic, index).map(drop).map_err(|e| e.kind())
}

/// Commits offsets of a group.
pub async fn commit(session: &mut Session, q: OffsetCommitRequest, _: i16) -> OffsetCommitResponse {
    let who = Committer {
        member: q.member_id.to_string(),
        instance: q.group_instance_id.as_ref().map(ToString::to_string),
        generation: q.generation_id_or_member_epoch,
    };
    let now = session.core.now_ms();
    let mut good = Vec::new();
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in &q.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let metadata = p.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
            let checked = check(session, &topic.name, p.partition_index, &metadata);
            let response = OffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            partitions.push(response.with_error_code(bare(&checked)));
            if checked.is_ok() {
                let (offset, leader_epoch) = (p.committed_offset, p.committed_leader_epoch);
                let spot = (topic.name.0.to_string(), p.partition_index);
                good.push((spot, Committed { offset, leader_epoch, metadata, at_ms: now }));
            }
        }
        topics.push(
            OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions),
        );
    }
    if let Err(e) = session.core.groups.commit(&q.group_id, &who, good) {
        for partition in topics.iter_mut().flat_map(|t| &mut t.partitions).filter(|p| p.error_code == 0) {
            partition.error_code = e.code();
        }
    }
    OffsetCommitResponse::default().with_topics(topics)
}

type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
type Found = Vec<(TopicName, Vec<(i32, std::result::Result<Option<Committed>, ResponseError>)>)>;

fn look_up(session: &Session, group: &str, wanted: Wanted, stable: bool) -> Found {
    let offsets = &session.core.groups.offsets;
    let unstable = |spot: &Spot| stable && offsets.is_unstable(group, spot);
    let Some(wanted) = wanted else {
        let mut topics: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (spot, committed) in offsets.of(group) {
            let one =
                if unstable(&spot) { Err(ResponseError::UnstableOffsetCommit) } else { Ok(Some(committed)) };
            topics.entry(spot.0).or_default().push((spot.1, one));
        }
        return topics.into_iter().map(|(name, all)| (TopicName(text(name)), all)).collect();
    };
    let mut found = Vec::with_capacity(wanted.len());
    for (name, indexes) in wanted {
        let one = |index: i32| {
            let spot = (name.0.to_string(), index);
            let one = if unstable(&spot) {
                Err(ResponseError::UnstableOffsetCommit)
            } else {
                Ok(offsets.get(group, &spot))
            };
            (index, one)
        };
        let all = indexes.into_iter().map(one).collect();
        found.push((name, all));
    }
    found
}

/// An outcome as the wire wants it: offset, epoch, words, code. −1 where nothing was committed.
fn shown(one: std::result::Result<Option<Committed>, ResponseError>) -> (i64, i32, Option<StrBytes>, i16) {
    match one {
        Ok(Some(c)) => (c.offset, c.leader_epoch, Some(text(c.metadata)), 0),
        Ok(None) => (-1, -1, Some(text("")), 0),
        Err(e) => (-1, -1, Some(text("")), e.code()),
    }
}

/// Says what groups have committed.
pub async fn fetch(session: &mut Session, q: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version >= 8 {
        let mut groups = Vec::with_capacity(q.groups.len());
        for group in q.groups {
            let wanted = group.topics.map(|t| t.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
            let who = (group.member_id.as_ref().map(ToString::to_string), group.member_epoch);
            let checked = session.core.groups.check_reader(&group.group_id, who.0.as_deref(), who.1);
            let found = match checked {
                Ok(()) => look_up(session, &group.group_id, wanted, q.require_stable),
                Err(_) => Vec::new(),
            };
            let answer = of_group(group.group_id, found);
            groups.push(answer.with_error_code(bare(&checked)));
        }
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let wanted = q.topics.map(|t| t.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    let one = |(index, one)| {
        let (offset, epoch, words, error) = shown(one);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(words)
            .with_error_code(error)
    };
    let mut topics = Vec::new();
    for (name, all) in look_up(session, &q.group_id, wanted, q.require_stable) {
        let partitions = all.into_iter().map(one).collect();
        topics.push(OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions));
    }
    OffsetFetchResponse::default().with_topics(topics)
}

fn of_group(id: GroupId, found: Found) -> OffsetFetchResponseGroup {
    let one = |(index, one)| {
        let (offset, epoch, words, error) = shown(one);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(words)
            .with_error_code(error)
    };
    let mut topics = Vec::with_capacity(found.len());
    for (name, all) in found {
        let partitions = all.into_iter().map(one).collect();
        topics.push(OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions));
    }
    OffsetFetchResponseGroup::default().with_group_id(id).with_topics(topics)
}

/// Forgets offsets of topics that the group is not subscribed to.
pub async fn delete(session: &mut Session, q: OffsetDeleteRequest, _: i16) -> OffsetDeleteResponse {
    let groups = &session.core.groups;
    if groups.view(&q.group_id).is_none() {
        return OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code());
    }
    let subscribed = groups.subscribed(&q.group_id);
    let mut topics = Vec::with_capacity(q.topics.len());
    for topic in q.topics {
        let name = topic.name.0.to_string();
        let wanted: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
        let outcome: Result<()> = if subscribed.contains(&name) {
            Err(ResponseError::GroupSubscribedToTopic.into())
        } else {
            groups.offsets.delete(&q.group_id, |(t, index)| *t == name && wanted.contains(index))
        };
        let one = |index: &i32| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(*index)
                .with_error_code(code(&outcome))
        };
        let partitions = wanted.iter().map(one).collect();
        topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    OffsetDeleteResponse::default().with_topics(topics)
}
