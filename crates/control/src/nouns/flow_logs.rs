//! What is handed in about flow logs.

use std::collections::BTreeMap;

use model::{FlowLogId, LoggedTraffic, NetworkKind};

/// A flow log to make. Its identifier is made up.
#[derive(Debug, Clone)]
pub struct NewFlowLog {
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
    /// The virtual network that it is said to be in; empty where none is.
    pub vpc: String,
    /// Which traffic.
    pub traffic: LoggedTraffic,
    /// Seconds of a window; `None` = the server's own.
    pub period_s: Option<u32>,
    /// The connection to the Kafka cluster that records go to.
    pub connection: String,
    /// The topic there: its name, or on the server's own cluster its id.
    pub topic: String,
    /// The product's word for the place of the log; kept and shown.
    pub log_id: String,
    /// The region of the log.
    pub log_region: String,
    /// The region that it is made in.
    pub region: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Changes of a flow log; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct FlowLogChange {
    /// Name.
    pub name: Option<String>,
    /// Words.
    pub description: Option<String>,
    /// Seconds of a window.
    pub period_s: Option<u32>,
}

/// By what an answer is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowLogOrder {
    /// When it was made.
    #[default]
    Created,
    /// Its name.
    Name,
}

/// What tags a flow log must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagFilter {
    /// One of these keys.
    Keys(Vec<String>),
    /// This key with one of these values.
    Values(String, Vec<String>),
}

/// Which flow logs. Conditions are joined by *and*.
#[derive(Debug, Clone, Default)]
pub struct FlowLogFilter {
    /// Exactly this one.
    pub id: Option<FlowLogId>,
    /// Part of the name.
    pub name: Option<String>,
    /// The virtual network that it was said to be in.
    pub vpc: Option<String>,
    /// What kind of resource.
    pub kind: Option<NetworkKind>,
    /// Which resource.
    pub resource: Option<String>,
    /// Which traffic.
    pub traffic: Option<LoggedTraffic>,
    /// The product's word for the place of the log.
    pub log_id: Option<String>,
    /// The region of the log.
    pub log_region: Option<String>,
    /// Is its topic gone?
    pub topic_gone: Option<bool>,
    /// Tags.
    pub tags: Vec<TagFilter>,
    /// By what they are sorted.
    pub order: FlowLogOrder,
    /// Which stretch of the answer.
    pub page: crate::Page,
}
