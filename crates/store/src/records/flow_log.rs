//! Flow logs, and what has become of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use model::{FlowLog, FlowLogState, LogTopic, LoggedTraffic, NetworkKind, Timestamp};

use super::{Record, broken};
use crate::Result;

/// What a flow log is, without what its runs change.
#[derive(Serialize, Deserialize)]
pub(crate) struct FlowLogRecord {
    id: String,
    account: String,
    app_id: String,
    name: String,
    description: String,
    kind: String,
    resource: String,
    vpc: String,
    traffic: String,
    period_s: Option<u32>,
    connection: String,
    topic: String,
    asked_topic: String,
    log_id: String,
    log_region: String,
    region: String,
    tags: BTreeMap<String, String>,
    created_us: i64,
}

impl Record for FlowLogRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "flow log";
}

impl FlowLogRecord {
    pub(crate) fn of(f: &FlowLog) -> Self {
        Self {
            id: f.id.0.clone(),
            account: f.account.0.clone(),
            app_id: f.app_id.clone(),
            name: f.name.clone(),
            description: f.description.clone(),
            kind: f.kind.name().into(),
            resource: f.resource.clone(),
            vpc: f.vpc.clone(),
            traffic: f.traffic.name().into(),
            period_s: f.period_s,
            connection: f.topic.connection.0.clone(),
            topic: f.topic.topic.clone(),
            asked_topic: f.topic.asked.clone(),
            log_id: f.log_id.clone(),
            log_region: f.log_region.clone(),
            region: f.region.clone(),
            tags: f.tags.clone(),
            created_us: f.created.0,
        }
    }

    /// The flow log, with what its runs change as at its birth.
    pub(crate) fn noun(self) -> Result<FlowLog> {
        let word = |what: &str, word: &str| broken(format!("unknown {what} of a flow log {word:?}"));
        Ok(FlowLog {
            id: self.id.into(),
            account: self.account.into(),
            app_id: self.app_id,
            name: self.name,
            description: self.description,
            kind: NetworkKind::named(&self.kind).ok_or_else(|| word("kind", &self.kind))?,
            resource: self.resource,
            vpc: self.vpc,
            traffic: LoggedTraffic::named(&self.traffic).ok_or_else(|| word("traffic", &self.traffic))?,
            period_s: self.period_s,
            topic: LogTopic {
                connection: self.connection.into(),
                topic: self.topic,
                asked: self.asked_topic,
            },
            log_id: self.log_id,
            log_region: self.log_region,
            region: self.region,
            tags: self.tags,
            created: Timestamp(self.created_us),
            enabled: true,
            attempt: 0,
            state: FlowLogState::default(),
        })
    }
}

/// What has become of a flow log.
#[derive(Serialize, Deserialize)]
pub(crate) struct FlowLogStateRecord {
    records: u64,
    packets: u64,
    bytes: u64,
    windows: u64,
    lost_observed: u64,
    lost_records: u64,
    lost_packets: u64,
    gaps: u64,
    method: String,
    limits: Vec<String>,
    error: Option<String>,
    topic_gone: bool,
    covered_us: Option<i64>,
}

impl Record for FlowLogStateRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "state of a flow log";
}

impl FlowLogStateRecord {
    pub(crate) fn of(s: &FlowLogState) -> Self {
        Self {
            records: s.records,
            packets: s.packets,
            bytes: s.bytes,
            windows: s.windows,
            lost_observed: s.lost_observed,
            lost_records: s.lost_records,
            lost_packets: s.lost_packets,
            gaps: s.gaps,
            method: s.method.clone(),
            limits: s.limits.clone(),
            error: s.error.clone(),
            topic_gone: s.topic_gone,
            covered_us: s.covered.map(|t| t.0),
        }
    }

    pub(crate) fn noun(self) -> FlowLogState {
        FlowLogState {
            records: self.records,
            packets: self.packets,
            bytes: self.bytes,
            windows: self.windows,
            lost_observed: self.lost_observed,
            lost_records: self.lost_records,
            lost_packets: self.lost_packets,
            gaps: self.gaps,
            method: self.method,
            limits: self.limits,
            error: self.error,
            topic_gone: self.topic_gone,
            covered: self.covered_us.map(Timestamp),
        }
    }
}
