//! Flow logs.

use serde::{Deserialize, Serialize};

/// A flow log, with what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLogView {
    /// `fl-…`
    pub id: String,
    /// Owner.
    pub account: String,
    /// Name.
    pub name: String,
    /// Words.
    pub description: String,
    /// `NETWORKINTERFACE`, `SUBNET`, `VPC`, `CCN`, `NAT`, `DCG`
    pub kind: String,
    /// The resource.
    pub resource: String,
    /// The virtual network that it is in, or nothing.
    pub vpc: String,
    /// `ACCEPT`, `REJECT`, `ALL`
    pub traffic: String,
    /// Seconds of a window; none = the server's own.
    pub period_s: Option<u32>,
    /// Connection to the cluster that records go to.
    pub connection: String,
    /// The topic there.
    pub topic: String,
    /// Is traffic to be recorded?
    pub enabled: bool,
    /// Times it was started.
    pub attempt: u32,
    /// `bpf`, `packets`, `exporter`; empty before the first run.
    pub method: String,
    /// What this way of observing can't tell.
    pub limits: Vec<String>,
    /// What is in the way.
    pub error: Option<String>,
    /// Records written.
    pub records: u64,
    /// Packets that they stand for.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Windows that ended.
    pub windows: u64,
    /// Packets (from exporters: records) that were not accounted where they were observed.
    pub lost_observed: u64,
    /// Records thrown away because the topic could not be written for too long.
    pub lost_records: u64,
    /// Packets that those stand for.
    pub lost_packets: u64,
    /// Stretches of time that nobody observed.
    pub gaps: u64,
    /// Up to when everything was written or stated as lost; µs since the epoch.
    pub covered: Option<i64>,
    /// µs since the epoch.
    pub created: i64,
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLogs {
    /// The flow logs.
    pub flow_logs: Vec<FlowLogView>,
    /// How many there are.
    pub total: u64,
}
