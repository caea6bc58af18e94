//! A flow log: a standing wish to have the traffic of a network resource recorded, window by window.
//!
//! What a resource is on this machine (a device, a namespace, an exporter) is the catalogue's to say; here is what was asked for,
//! and what has become of it.

use std::collections::BTreeMap;

use crate::{AccountId, ConnectionId, FlowLogId, Timestamp};

/// What kind of resource is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    /// A virtual network: `vpc-…`.
    Vpc,
    /// A part of one: `subnet-…`.
    Subnet,
    /// A network device: `eni-…`.
    Interface,
    /// A network between regions: `ccn-…`.
    Ccn,
    /// A gateway that translates addresses: `nat-…`.
    Nat,
    /// A gateway of a dedicated line: `dcg-…`.
    Dcg,
}

impl NetworkKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Vpc, Self::Subnet, Self::Interface, Self::Ccn, Self::Nat, Self::Dcg];

    /// Stable name used in records, at the operator's door, and by the product.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vpc => "VPC",
            Self::Subnet => "SUBNET",
            Self::Interface => "NETWORKINTERFACE",
            Self::Ccn => "CCN",
            Self::Nat => "NAT",
            Self::Dcg => "DCG",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What its identifiers begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Vpc => "vpc-",
            Self::Subnet => "subnet-",
            Self::Interface => "eni-",
            Self::Ccn => "ccn-",
            Self::Nat => "nat-",
            Self::Dcg => "dcg-",
        }
    }

    /// The kind that an identifier is of.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| id.starts_with(k.prefix()))
    }
}

/// Which traffic is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedTraffic {
    /// What was let through.
    Accept,
    /// What a rule dropped.
    Reject,
    /// Both.
    All,
}

impl LoggedTraffic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Reject, Self::All];

    /// Stable name used in records, and by the product.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
            Self::All => "ALL",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// Where records go: a topic of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTopic {
    /// The connection that leads to the cluster.
    pub connection: ConnectionId,
    /// The topic's name there.
    pub topic: String,
    /// The topic as the user wrote it (its id or name).
    pub asked: String,
}

/// A flow log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLog {
    /// Identifier.
    pub id: FlowLogId,
    /// Owner.
    pub account: AccountId,
    /// The owner's number in the products' records.
    pub app_id: String,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// What kind of resource is observed.
    pub kind: NetworkKind,
    /// Which one.
    pub resource: String,
    /// The virtual network that it was said to be in; empty where none is.
    pub vpc: String,
    /// Which traffic.
    pub traffic: LoggedTraffic,
    /// Seconds of a window; `None` = the server's own.
    pub period_s: Option<u32>,
    /// Where records go.
    pub topic: LogTopic,
    /// The product's word for the place of the log; kept and shown.
    pub log_id: String,
    /// The region of the log.
    pub log_region: String,
    /// The region that it was made in.
    pub region: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// Is traffic to be recorded?
    pub enabled: bool,
    /// Counts the runs; the fencing token.
    pub attempt: u32,
    /// What has become of it, as of the last window.
    pub state: FlowLogState,
}

/// What a flow log has done, and what is in its way. The counts are of all its runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowLogState {
    /// Records that were written, NODATA and SKIPDATA among them.
    pub records: u64,
    /// Packets that the written records stand for.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Windows that ended.
    pub windows: u64,
    /// Packets (from exporters: records) that were not accounted where they were observed.
    pub lost_observed: u64,
    /// Records that were thrown away because the topic could not be written for too long.
    pub lost_records: u64,
    /// The packets that those stand for.
    pub lost_packets: u64,
    /// Stretches of time that nobody observed while it was enabled (the server was down, or was killed).
    pub gaps: u64,
    /// How it observes, in words.
    pub method: String,
    /// What this way of observing can't tell.
    pub limits: Vec<String>,
    /// What is in the way, if something is.
    pub error: Option<String>,
    /// The topic is not there any more.
    pub topic_gone: bool,
    /// Up to when everything was written, or stated as lost; `None` = not since it was enabled.
    pub covered: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for k in NetworkKind::ALL {
            assert_eq!(NetworkKind::named(k.name()), Some(k));
            assert_eq!(NetworkKind::of_id(&format!("{}12345678", k.prefix())), Some(k));
        }
        for t in LoggedTraffic::ALL {
            assert_eq!(LoggedTraffic::named(t.name()), Some(t));
        }
        assert_eq!(NetworkKind::of_id("ins-1"), None);
    }
}
