//! A record's fields in the product's order: 14 for a device, 16 between regions. After them those that the product doesn't have.

use crate::{Direction, LogStatus, Record, Regions, Tuple, has_ports};
use std::fmt::Write;

/// A value as the product types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `-`: not known or not there.
    Absent,
    /// A number.
    Long(u64),
    /// Seconds since the epoch.
    Seconds(i64),
    /// Text.
    Text(&'a str),
    /// An address.
    Address(std::net::IpAddr),
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("-"),
            Self::Long(n) => write!(f, "{n}"),
            Self::Seconds(n) => write!(f, "{n}"),
            Self::Text(t) => f.write_str(t),
            Self::Address(a) => write!(f, "{a}"),
        }
    }
}

/// Whose record it is: what the observer doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Version of the format.
    pub version: &'a str,
    /// The owner.
    pub account: &'a str,
    /// Id of the device, or of the network between regions.
    pub interface: &'a str,
}

/// Names and values of the 14 fields.
#[must_use]
pub fn of_device<'a>(record: &Record, identity: &Identity<'a>) -> [(&'static str, Value<'a>); 14] {
    let c = Common::of(record);
    [
        ("version", Value::Text(identity.version)),
        ("account-id", Value::Text(identity.account)),
        ("interface-id", Value::Text(identity.interface)),
        ("srcaddr", c.src),
        ("dstaddr", c.dst),
        ("srcport", c.src_port),
        ("dstport", c.dst_port),
        ("protocol", c.protocol),
        ("packets", c.packets),
        ("bytes", c.bytes),
        ("start", Value::Seconds(record.start)),
        ("end", Value::Seconds(record.end)),
        ("action", c.action),
        ("log-status", Value::Text(record.status.word())),
    ]
}

/// Names and values of the 16 fields between regions, in the newer table's order.
#[must_use]
pub fn of_regions<'a>(
    record: &Record,
    identity: &Identity<'a>,
    regions: &Regions<'a>,
) -> [(&'static str, Value<'a>); 16] {
    let c = Common::of(record);
    let region = |name| if record.status == LogStatus::Ok { Value::Text(name) } else { Value::Absent };
    [
        ("version", Value::Text(identity.version)),
        ("region-id", Value::Text(regions.recorded)),
        ("ccn-id", Value::Text(identity.interface)),
        ("srcaddr", c.src),
        ("dstaddr", c.dst),
        ("srcport", c.src_port),
        ("dstport", c.dst_port),
        ("protocol", c.protocol),
        ("srcregionid", region(regions.src)),
        ("dstregionid", region(regions.dst)),
        ("packets", c.packets),
        ("bytes", c.bytes),
        ("start", Value::Seconds(record.start)),
        ("end", Value::Seconds(record.end)),
        ("action", c.action),
        ("log-status", Value::Text(record.status.word())),
    ]
}

/// What can be told beyond the product's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// `flow-direction`: which way it passed the device.
    Direction,
    /// `tcp-flags`: those of all its packets, OR-ed.
    TcpFlags,
    /// `drop-reason`: why it was dropped, in the kernel's words.
    DropReason,
    /// `device`: the device's name.
    Device,
    /// The flow's other face: `translated-srcaddr`, `-dstaddr`, `-srcport`, `-dstport`.
    Translated,
}

impl Extra {
    /// Those that a user may ask for.
    pub const ALL: [Self; 4] = [Self::Direction, Self::TcpFlags, Self::DropReason, Self::Device];

    /// Its key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direction => "flow-direction",
            Self::TcpFlags => "tcp-flags",
            Self::DropReason => "drop-reason",
            Self::Device => "device",
            Self::Translated => "translated",
        }
    }
}

/// Names and values of fields beyond the product's; `device`: the name of the record's source.
#[must_use]
pub fn beyond<'a>(record: &Record, device: &'a str, wanted: &[Extra]) -> Vec<(&'static str, Value<'a>)> {
    let mut fields = Vec::new();
    let extras = record.flow.as_ref().map(|f| f.extras).unwrap_or_default();
    for extra in wanted {
        let value = match extra {
            Extra::Direction => match extras.direction {
                Some(Direction::In) => Value::Text("in"),
                Some(Direction::Out) => Value::Text("out"),
                None => Value::Absent,
            },
            Extra::TcpFlags => match record.flow.as_ref().map(|f| f.tuple.protocol) {
                Some(6) => Value::Long(extras.tcp_flags.into()),
                _ => Value::Absent,
            },
            Extra::DropReason => extras.drop_reason.map_or(Value::Absent, Value::Text),
            Extra::Device => Value::Text(device),
            Extra::Translated => {
                fields.extend(other_face(extras.translated.as_ref()));
                continue;
            }
        };
        fields.push((extra.name(), value));
    }
    fields
}

fn other_face(tuple: Option<&Tuple>) -> [(&'static str, Value<'static>); 4] {
    let port = |n: fn(&Tuple) -> u16| match tuple {
        Some(t) if has_ports(t.protocol) => Value::Long(n(t).into()),
        _ => Value::Absent,
    };
    [
        ("translated-srcaddr", tuple.map_or(Value::Absent, |t| Value::Address(t.src))),
        ("translated-dstaddr", tuple.map_or(Value::Absent, |t| Value::Address(t.dst))),
        ("translated-srcport", port(|t| t.src_port)),
        ("translated-dstport", port(|t| t.dst_port)),
    ]
}

/// The values as one line, with spaces between them.
#[must_use]
pub fn line(fields: &[(&'static str, Value<'_>)]) -> String {
    let mut text = String::with_capacity(160);
    for (n, (_, value)) in fields.iter().enumerate() {
        let space = if n == 0 { "" } else { " " };
        // Writing to a String doesn't fail.
        let _ = write!(text, "{space}{value}");
    }
    text
}

/// The fields that both forms share.
struct Common<'a> {
    src: Value<'a>,
    dst: Value<'a>,
    src_port: Value<'a>,
    dst_port: Value<'a>,
    protocol: Value<'a>,
    packets: Value<'a>,
    bytes: Value<'a>,
    action: Value<'a>,
}

impl Common<'_> {
    fn of(record: &Record) -> Self {
        use Value::Absent;
        let Some(flow) = &record.flow else {
            let (src, dst, src_port, dst_port) = (Absent, Absent, Absent, Absent);
            return Self {
                src,
                dst,
                src_port,
                dst_port,
                protocol: Absent,
                packets: Absent,
                bytes: Absent,
                action: Absent,
            };
        };
        let t = &flow.tuple;
        let port = |n: u16| if has_ports(t.protocol) { Value::Long(n.into()) } else { Absent };
        Self {
            src: Value::Address(t.src),
            dst: Value::Address(t.dst),
            src_port: port(t.src_port),
            dst_port: port(t.dst_port),
            protocol: Value::Long(t.protocol.into()),
            packets: Value::Long(flow.packets),
            bytes: Value::Long(flow.bytes),
            action: Value::Text(flow.action.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Extras, Flow, SourceId};

    const WHO: Identity<'static> = Identity { version: "1", account: "125", interface: "eni-1" };

    fn record(protocol: u8) -> Record {
        let tuple = Tuple {
            src: "10.0.0.1".parse().unwrap(),
            dst: "fd00::2".parse().unwrap(),
            src_port: 4_000,
            dst_port: 80,
            protocol,
        };
        let extras = Extras {
            direction: Some(Direction::In),
            tcp_flags: 18,
            translated: Some(Tuple { src: "192.0.2.1".parse().unwrap(), src_port: 4_001, ..tuple }),
            ..Extras::default()
        };
        let flow = Flow { tuple, packets: 3, bytes: 180, action: Action::Reject, extras };
        Record { source: SourceId(0), flow: Some(flow), start: 100, end: 101, status: LogStatus::Ok }
    }

    #[test]
    fn the_product_s_lines() {
        assert_eq!(
            line(&of_device(&record(6), &WHO)),
            "1 125 eni-1 10.0.0.1 fd00::2 4000 80 6 3 180 100 101 REJECT OK"
        );
        assert_eq!(
            line(&of_device(&record(1), &WHO)),
            "1 125 eni-1 10.0.0.1 fd00::2 - - 1 3 180 100 101 REJECT OK"
        );
        let none = Record { flow: None, status: LogStatus::NoData, ..record(6) };
        assert_eq!(line(&of_device(&none, &WHO)), "1 125 eni-1 - - - - - - - 100 101 - NODATA");
    }

    #[test]
    fn beyond_the_product() {
        let all = [Extra::Direction, Extra::TcpFlags, Extra::DropReason, Extra::Device, Extra::Translated];
        assert_eq!(line(&beyond(&record(6), "eth0", &all)), "in 18 - eth0 192.0.2.1 fd00::2 4001 80");
        assert_eq!(line(&beyond(&record(1), "eth0", &all)), "in - - eth0 192.0.2.1 fd00::2 - -");
        let none = Record { flow: None, status: LogStatus::NoData, ..record(6) };
        assert_eq!(line(&beyond(&none, "eth0", &all)), "- - - eth0 - - - -");
        assert!(beyond(&record(6), "eth0", &[]).is_empty());
    }

    #[test]
    fn between_regions() {
        let regions = Regions { recorded: "ap-a", src: "ap-a", dst: "ap-b" };
        assert_eq!(
            line(&of_regions(&record(6), &WHO, &regions)),
            "1 ap-a eni-1 10.0.0.1 fd00::2 4000 80 6 ap-a ap-b 3 180 100 101 REJECT OK"
        );
    }
}
