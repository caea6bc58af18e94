//! Answers in the product's words.

use std::collections::BTreeMap;

use crate::request::Ask;
use model::{FlowLog, LoggedTraffic, NetworkKind, Timestamp};
use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Words of `ResourceType`.
pub const KINDS: [(&str, NetworkKind); 6] = [
    ("VPC", NetworkKind::Vpc),
    ("SUBNET", NetworkKind::Subnet),
    ("NETWORKINTERFACE", NetworkKind::Interface),
    ("CCN", NetworkKind::Ccn),
    ("NAT", NetworkKind::Nat),
    ("DCG", NetworkKind::Dcg),
];

/// Words of `TrafficType`.
pub const TRAFFIC: [(&str, LoggedTraffic); 3] =
    [("ACCEPT", LoggedTraffic::Accept), ("REJECT", LoggedTraffic::Reject), ("ALL", LoggedTraffic::All)];

/// The topic is there.
pub const SUCCESS: &str = "SUCCESS";
/// The topic is gone.
pub const DELETED: &str = "DELETED";
/// The one kind of storage that there is.
pub const CKAFKA: &str = "ckafka";

/// A time in the product's form.
fn time_text(at: Timestamp, utc_offset_s: i32) -> String {
    let zone = UtcOffset::from_whole_seconds(utc_offset_s).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map(|t| t.to_offset(zone))
        .ok()
        .and_then(|t| t.format(SECONDS).ok())
        .unwrap_or_default()
}

fn tags(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// A flow log as it is described.
pub fn flow_log(ask: &Ask<'_>, f: &FlowLog) -> Value {
    json!({
        "VpcId": f.vpc,
        "FlowLogId": f.id.as_str(),
        "FlowLogName": f.name,
        "ResourceType": f.kind.name(),
        "ResourceId": f.resource,
        "TrafficType": f.traffic.name(),
        "CloudLogId": f.log_id,
        "CloudLogState": if f.state.topic_gone { DELETED } else { SUCCESS },
        "FlowLogDescription": f.description,
        "CreatedTime": time_text(f.created, ask.settings.utc_offset_s),
        "TagSet": tags(&f.tags),
        "Enable": f.enabled,
        "StorageType": CKAFKA,
        "FlowLogStorage": {"StorageId": f.topic.connection.as_str(), "StorageTopic": f.topic.asked},
        "CloudLogRegion": f.log_region,
        "Period": f.period_s
    })
}

/// A flow log as its making answers: what is only settled later stands there as a placeholder, as with the product.
pub fn made(ask: &Ask<'_>, f: &FlowLog) -> Value {
    let mut shown = flow_log(ask, f);
    for (field, placeholder) in [
        ("CreatedTime", "0000-00-00 00:00:00"),
        ("CloudLogState", ""),
        ("FlowLogDescription", ""),
        ("CloudLogRegion", ""),
    ] {
        shown[field] = placeholder.into();
    }
    shown
}

/// What a flow log does beyond the product's fields, for a header: JSON in ASCII, without line ends.
pub fn status(logs: &[FlowLog]) -> String {
    let one = |f: &FlowLog| {
        let s = &f.state;
        json!({
            "id": f.id.as_str(), "records": s.records, "packets": s.packets, "windows": s.windows,
            "lost": {"observed": s.lost_observed, "records": s.lost_records, "packets": s.lost_packets, "gaps": s.gaps},
            "method": s.method, "limits": s.limits, "error": s.error
        })
    };
    let text = Value::Array(logs.iter().map(one).collect()).to_string();
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_models() {
        assert!(KINDS.iter().all(|(word, kind)| kind.name() == *word));
        assert!(TRAFFIC.iter().all(|(word, traffic)| traffic.name() == *word));
        assert_eq!(time_text(Timestamp(1_700_000_000_000_000), 28_800), "2023-11-15 06:13:20");
    }
}
