//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups.

use super::{bare, code, text};
use crate::groups::Committer;
use crate::groups::classic::{Join, Joined, MemberView, Sync};
use crate::net::dispatch::Session;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;

/// Sessions from 1 second to half an hour.
const SESSION_MS: std::ops::RangeInclusive<i32> = 1_000..=1_800_000;
/// Ways of assignment that one member may offer, and the bytes of all of them.
const MOST_PROTOCOLS: usize = 50;
const MOST_PROTOCOL_BYTES: usize = 4 << 20;

fn plain(s: Option<&StrBytes>) -> Option<String> {
    s.map(ToString::to_string)
}

fn millis(n: i32) -> Duration {
    Duration::from_millis(u64::try_from(n).unwrap_or(0))
}

/// Joins a group; answered when the group is ready.
pub async fn join(session: &mut Session, q: JoinGroupRequest, version: i16) -> JoinGroupResponse {
    let refuse = |error: ResponseError| {
        JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_member_id(q.member_id.clone())
    };
    if !SESSION_MS.contains(&q.session_timeout_ms) {
        return refuse(ResponseError::InvalidSessionTimeout);
    }
    let bytes: usize = q.protocols.iter().map(|p| p.metadata.len()).sum();
    if q.protocols.len() > MOST_PROTOCOLS || bytes > MOST_PROTOCOL_BYTES {
        return refuse(ResponseError::InconsistentGroupProtocol);
    }
    let session_timeout = millis(q.session_timeout_ms);
    // Version 0 had one timeout for both.
    let rebalance = if version == 0 { session_timeout } else { millis(q.rebalance_timeout_ms) };
    let instance = plain(q.group_instance_id.as_ref());
    let prefix = instance.clone().unwrap_or_else(|| session.client_id.clone());
    let fresh_id = format!("{prefix}-{}", session.core.random.uuid());
    let join = Join {
        member: q.member_id.to_string(),
        instance,
        client_id: session.client_id.clone(),
        client_host: format!("/{}", session.peer.ip()),
        session: session_timeout,
        rebalance: rebalance.min(Duration::from_secs(24 * 3600)),
        protocol_type: q.protocol_type.to_string(),
        protocols: q.protocols.iter().map(|p| (p.name.to_string(), own(&p.metadata))).collect(),
        id_first: version >= 4,
        can_skip: version >= 9,
    };
    let joined = session.core.groups.join(&q.group_id, join, &fresh_id).await;
    answer_join(joined, version)
}

/// A copy of its own, so that a small piece doesn't keep a large request in memory.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn answer_join(joined: Joined, version: i16) -> JoinGroupResponse {
    let member = |(id, instance, metadata): (String, Option<String>, Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.map(text))
            .with_metadata(metadata)
    };
    // Null is allowed for the protocol from version 7 on.
    let protocol = joined.protocol.map(text).or_else(|| (version < 7).then(|| text("")));
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |e| e.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(protocol)
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip)
        .with_member_id(text(joined.member))
        .with_members(joined.members.into_iter().map(member).collect())
}

/// Brings or asks for an assignment.
pub async fn sync(session: &mut Session, q: SyncGroupRequest, _: i16) -> SyncGroupResponse {
    let sync = Sync {
        member: q.member_id.to_string(),
        instance: plain(q.group_instance_id.as_ref()),
        generation: q.generation_id,
        protocol: (plain(q.protocol_type.as_ref()), plain(q.protocol_name.as_ref())),
        assignments: q.assignments.iter().map(|a| (a.member_id.to_string(), own(&a.assignment))).collect(),
    };
    match session.core.groups.sync(&q.group_id, sync).await {
        Ok((protocol_type, protocol, assignment)) => SyncGroupResponse::default()
            .with_protocol_type(protocol_type.map(text))
            .with_protocol_name(protocol.map(text))
            .with_assignment(assignment),
        Err(e) => SyncGroupResponse::default().with_error_code(e.code()),
    }
}

/// Says that a member is alive.
pub async fn heartbeat(session: &mut Session, q: HeartbeatRequest, _: i16) -> HeartbeatResponse {
    let who = Committer {
        member: q.member_id.to_string(),
        instance: plain(q.group_instance_id.as_ref()),
        generation: q.generation_id,
    };
    let outcome = session.core.groups.heartbeat(&q.group_id, &who);
    HeartbeatResponse::default().with_error_code(bare(&outcome))
}

/// Takes members out.
pub async fn leave(session: &mut Session, q: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let groups = &session.core.groups;
    if version < 3 {
        let outcome = groups.leave(&q.group_id, &q.member_id, None);
        return LeaveGroupResponse::default().with_error_code(bare(&outcome));
    }
    let one = |m: &kafka_protocol::messages::leave_group_request::MemberIdentity| {
        let outcome = groups.leave(&q.group_id, &m.member_id, m.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(m.member_id.clone())
            .with_group_instance_id(m.group_instance_id.clone())
            .with_error_code(bare(&outcome))
    };
    LeaveGroupResponse::default().with_members(q.members.iter().map(one).collect())
}

/// Shows groups with their members.
pub async fn describe(session: &mut Session, q: DescribeGroupsRequest, _: i16) -> DescribeGroupsResponse {
    let member = |m: MemberView| {
        DescribedGroupMember::default()
            .with_member_id(text(m.id))
            .with_group_instance_id(m.instance.map(text))
            .with_client_id(text(m.client_id))
            .with_client_host(text(m.client_host))
            .with_member_metadata(m.metadata)
            .with_member_assignment(m.assignment)
    };
    let one = |id: &GroupId| {
        let shown = DescribedGroup::default().with_group_id(id.clone()).with_authorized_operations(i32::MIN);
        match session.core.groups.view(id) {
            None => shown.with_group_state(text("Dead")),
            Some(v) => shown
                .with_group_state(text(v.state))
                .with_protocol_type(text(v.protocol_type))
                .with_protocol_data(text(v.protocol))
                .with_members(v.members.into_iter().map(member).collect()),
        }
    };
    DescribeGroupsResponse::default().with_groups(q.groups.iter().map(one).collect())
}

/// Lists groups.
pub async fn list(session: &mut Session, q: ListGroupsRequest, _: i16) -> ListGroupsResponse {
    let any = |filter: &[StrBytes], word: &str| {
        filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(word))
    };
    let mut groups = Vec::new();
    for (id, view) in session.core.groups.list() {
        if any(&q.states_filter, view.state) && any(&q.types_filter, view.kind) {
            groups.push(
                ListedGroup::default()
                    .with_group_id(GroupId(text(id)))
                    .with_protocol_type(text(view.protocol_type))
                    .with_group_state(text(view.state))
                    .with_group_type(text(view.kind)),
            );
        }
    }
    ListGroupsResponse::default().with_groups(groups)
}

/// Deletes groups that nobody is in.
pub async fn delete(session: &mut Session, q: DeleteGroupsRequest, _: i16) -> DeleteGroupsResponse {
    let one = |id: GroupId| {
        let outcome = session.core.groups.delete(&id);
        DeletableGroupResult::default().with_error_code(code(&outcome)).with_group_id(id)
    };
    DeleteGroupsResponse::default().with_results(q.groups_names.into_iter().map(one).collect())
}
