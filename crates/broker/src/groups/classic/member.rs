//! A member as its group keeps it.

use super::words::{Joined, Synced};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A member, and who waits for an answer on its behalf.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) join: Option<oneshot::Sender<Joined>>,
    pub(super) sync: Option<oneshot::Sender<Synced>>,
    pub(super) deadline: Instant,
}

impl Member {
    /// What it told the leader for this protocol.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        found.map(|(_, m)| m.clone()).unwrap_or_default()
    }
}

/// Answers a join with what is wrong.
pub(super) fn refuse(reply: oneshot::Sender<Joined>, error: ResponseError, member: &str) {
    let _ = reply.send(Joined {
        error: Some(error),
        member: member.to_owned(),
        generation: -1,
        ..Joined::default()
    });
}
