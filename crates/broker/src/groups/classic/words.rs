//! What members of a classic group say and are told.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::time::Duration;

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody is in it.
    Empty,
    /// Waits for its members to join.
    Preparing,
    /// Waits for the leader's assignment.
    Completing,
    /// Works.
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who wants to join, and how.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Empty for a newcomer.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// For those who look.
    pub client_id: String,
    /// For those who look.
    pub client_host: String,
    /// A member that is silent for this long is out.
    pub session: Duration,
    /// A member that doesn't join again within this time is out.
    pub rebalance: Duration,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// Ways of assignment that it knows, the best first, each with what the leader has to know.
    pub protocols: Vec<(String, Bytes)>,
    /// A newcomer must come again with the id that it is given (version 4 and later).
    pub id_first: bool,
    /// Understands "you are the leader, but need not assign" (version 9 and later).
    pub can_skip: bool,
}

/// The answer to a join.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// What was wrong.
    pub error: Option<ResponseError>,
    /// The member's id.
    pub member: String,
    /// Generation of the group.
    pub generation: i32,
    /// Type of protocol.
    pub protocol_type: Option<String>,
    /// The chosen way of assignment.
    pub protocol: Option<String>,
    /// The leader's id.
    pub leader: String,
    /// The leader need not assign.
    pub skip: bool,
    /// For the leader: id, instance and metadata of every member.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// The answer to a sync: protocol type, protocol, assignment.
pub type Synced = Result<(Option<String>, Option<String>, Bytes), ResponseError>;

/// Who asks for an assignment, or brings one.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    /// Member.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Generation.
    pub generation: i32,
    /// What the member takes the protocol for, if it says so.
    pub protocol: (Option<String>, Option<String>),
    /// From the leader: who gets what.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member as it is shown.
#[derive(Debug, Clone)]
pub struct MemberView {
    /// Id.
    pub id: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// What it told the leader.
    pub metadata: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}
