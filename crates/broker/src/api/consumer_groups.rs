//! ConsumerGroupHeartbeat, ConsumerGroupDescribe (KIP-848).

use super::{bare, text};
use crate::groups::consumer::{HEARTBEAT, Owned, Report};
use crate::net::dispatch::Session;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response as described;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Reported;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, GroupId, TopicName,
};
use std::time::Duration;

/// A member reports, and is told what to own.
pub async fn heartbeat(
    session: &mut Session,
    q: ConsumerGroupHeartbeatRequest,
    version: i16,
) -> ConsumerGroupHeartbeatResponse {
    let mut member = q.member_id.to_string();
    // Members of version 0 get their id from here.
    if version == 0 && member.is_empty() && q.member_epoch == 0 {
        member = session.core.random.uuid();
    }
    let answer = ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(text(member.clone())))
        .with_heartbeat_interval_ms(i32::try_from(HEARTBEAT.as_millis()).unwrap_or(5000));
    if q.subscribed_topic_regex.as_ref().is_some_and(|r| !r.is_empty()) {
        let words = "subscriptions by regular expression are not served: name the topics";
        return answer
            .with_error_code(ResponseError::InvalidRegularExpression.code())
            .with_error_message(Some(text(words)));
    }
    if q.server_assignor.as_ref().is_some_and(|a| &**a != "uniform" && &**a != "range") {
        return answer.with_error_code(ResponseError::UnsupportedAssignor.code());
    }
    let owned = |all: Vec<Reported>| -> Owned {
        all.into_iter().map(|t| (t.topic_id, t.partitions.into_iter().collect())).collect()
    };
    let report = Report {
        member,
        instance: q.instance_id.map(|i| i.to_string()),
        epoch: q.member_epoch,
        client_id: session.client_id.clone(),
        client_host: format!("/{}", session.peer.ip()),
        rebalance: u64::try_from(q.rebalance_timeout_ms).ok().map(Duration::from_millis),
        topics: q.subscribed_topic_names.map(|t| t.into_iter().map(|n| n.0.to_string()).collect()),
        owned: q.topic_partitions.map(owned),
    };
    let topics = &session.core.topics;
    let look_up =
        |name: &str| topics.get(name).map(|t| (t.id, i32::try_from(t.partitions.len()).unwrap_or(i32::MAX)));
    match session.core.groups.report(&q.group_id, report, look_up) {
        Ok(told) => answer.with_member_epoch(told.epoch).with_assignment(told.assignment.map(assignment)),
        Err(e) => answer.with_error_code(e.code()).with_member_epoch(q.member_epoch),
    }
}

fn assignment(owned: Owned) -> Assignment {
    let one = |(id, partitions): (uuid::Uuid, std::collections::BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(id).with_partitions(partitions.into_iter().collect())
    };
    Assignment::default().with_topic_partitions(owned.into_iter().map(one).collect())
}

/// Shows groups of this protocol with their members.
pub async fn describe(
    session: &mut Session,
    q: ConsumerGroupDescribeRequest,
    _: i16,
) -> ConsumerGroupDescribeResponse {
    let one = |id: GroupId| {
        let shown = described::DescribedGroup::default().with_authorized_operations(i32::MIN);
        let found = session.core.groups.consumer_view(&id);
        let shown = shown.with_group_id(id).with_error_code(bare(&found)).with_assignor_name(text("uniform"));
        let Ok((state, (epoch, target_epoch), members)) = found else { return shown };
        let members = members.into_iter().map(|m| member(session, m)).collect();
        shown
            .with_group_state(text(state))
            .with_group_epoch(epoch)
            .with_assignment_epoch(target_epoch)
            .with_members(members)
    };
    ConsumerGroupDescribeResponse::default().with_groups(q.group_ids.into_iter().map(one).collect())
}

fn member(session: &Session, m: crate::groups::consumer::MemberView) -> described::Member {
    let shown = |owned: Owned| {
        let one = |(id, partitions): (uuid::Uuid, std::collections::BTreeSet<i32>)| {
            let name = session.core.topics.by_id(&id).map(|t| t.name.clone()).unwrap_or_default();
            described::TopicPartitions::default()
                .with_topic_id(id)
                .with_topic_name(TopicName(text(name)))
                .with_partitions(partitions.into_iter().collect())
        };
        described::Assignment::default().with_topic_partitions(owned.into_iter().map(one).collect())
    };
    described::Member::default()
        .with_member_id(text(m.id))
        .with_instance_id(m.instance.map(text))
        .with_client_id(text(m.client_id))
        .with_client_host(text(m.client_host))
        .with_member_epoch(m.epoch)
        .with_subscribed_topic_names(m.topics.into_iter().map(|t| TopicName(text(t))).collect())
        .with_assignment(shown(m.owned))
        .with_target_assignment(shown(m.target))
        .with_member_type(1)
}
