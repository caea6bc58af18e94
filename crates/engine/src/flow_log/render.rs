//! Records as JSON objects with the product's keys.
//!
//! Numbers are numbers, so that a reader needs no conversion; what is not known is `"-"`, as in the product's lines.

use std::net::IpAddr;

use flow_record::fields::{self, Identity, Value};
use flow_record::{Record, Regions};

use super::networks::Prefix;

/// The version of the format, as the product writes it.
const VERSION: &str = "1";

/// A key and its value.
type Field<'a> = (&'static str, Value<'a>);

/// Whose record it is.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) app_id: &'a str,
    pub(super) interface: &'a str,
}

impl<'a> Who<'a> {
    fn identity(self) -> Identity<'a> {
        Identity { version: VERSION, account: self.app_id, interface: self.interface }
    }
}

/// The 14 fields.
pub(super) fn of_device(record: &Record, who: Who<'_>, beyond: &[Field<'_>]) -> Vec<u8> {
    object(&fields::of_device(record, &who.identity()), beyond)
}

/// The 16 fields between regions.
pub(super) fn of_regions(
    record: &Record,
    who: Who<'_>,
    (here, regions): (&str, &[(String, Prefix)]),
    beyond: &[Field<'_>],
) -> Vec<u8> {
    let of = |address: Option<IpAddr>| {
        let found = address.and_then(|a| regions.iter().find(|(_, p)| p.holds(a)));
        found.map_or("-", |(name, _)| name.as_str())
    };
    let ends = record.flow.map(|f| (f.tuple.src, f.tuple.dst)).unzip();
    let regions = Regions { recorded: here, src: of(ends.0), dst: of(ends.1) };
    object(&fields::of_regions(record, &who.identity(), &regions), beyond)
}

fn object(fields: &[Field<'_>], beyond: &[Field<'_>]) -> Vec<u8> {
    let value = |v: &Value<'_>| match v {
        Value::Long(n) => serde_json::Value::from(*n),
        Value::Seconds(n) => serde_json::Value::from(*n),
        other => serde_json::Value::from(other.to_string()),
    };
    let all: serde_json::Map<_, _> =
        fields.iter().chain(beyond).map(|(name, v)| ((*name).to_owned(), value(v))).collect();
    serde_json::Value::Object(all).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_record::{Action, Extras, Flow, LogStatus, SourceId, Tuple};

    fn record() -> Record {
        let tuple = Tuple {
            src: [10, 0, 0, 1].into(),
            dst: [10, 1, 0, 1].into(),
            src_port: 4000,
            dst_port: 80,
            protocol: 6,
        };
        let extras = Extras::default();
        let flow = Flow { tuple, packets: 3, bytes: 120, action: Action::Reject, extras };
        Record { source: SourceId(0), flow: Some(flow), start: 100, end: 101, status: LogStatus::Ok }
    }

    #[test]
    fn keys_and_types_are_the_products() {
        let who = Who { app_id: "1250000000", interface: "eni-1" };
        let read: serde_json::Value = serde_json::from_slice(&of_device(&record(), who, &[])).unwrap();
        let want = serde_json::json!({"version": "1", "account-id": "1250000000", "interface-id": "eni-1",
            "srcaddr": "10.0.0.1", "dstaddr": "10.1.0.1", "srcport": 4000, "dstport": 80, "protocol": 6, "packets": 3,
            "bytes": 120, "start": 100, "end": 101, "action": "REJECT", "log-status": "OK"});
        assert_eq!(read, want);
        let none = Record { flow: None, status: LogStatus::NoData, ..record() };
        let read: serde_json::Value =
            serde_json::from_slice(&of_device(&none, who, &[("device", Value::Text("eth0"))])).unwrap();
        assert_eq!((&read["packets"], &read["log-status"]), (&"-".into(), &"NODATA".into()));
        assert_eq!((&read["device"], read.as_object().unwrap().len()), (&"eth0".into(), 15));
    }

    #[test]
    fn regions_come_from_addresses() {
        let regions = [("ap-a".to_owned(), Prefix::parse("10.0.0.0/16").unwrap())];
        let who = Who { app_id: "1", interface: "ccn-1" };
        let text = of_regions(&record(), who, ("ap-here", &regions), &[]);
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 16);
        let told = [&read["region-id"], &read["srcregionid"], &read["dstregionid"], &read["ccn-id"]];
        assert_eq!(told, ["ap-here", "ap-a", "-", "ccn-1"]);
    }
}
