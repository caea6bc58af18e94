//! The fields of templates that count, by their IANA numbers (the same in NetFlow v9 and IPFIX), and the row they fill.

use super::Moment;
use super::bytes::number;
use flow_record::{Action, Direction, Observation, SourceId, Tuple, has_ports};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Nothing,
    Bytes,
    Packets,
    TotalBytes,
    TotalPackets,
    Protocol,
    Flags,
    SourcePort,
    DestinationPort,
    Source4,
    Destination4,
    Source6,
    Destination6,
    FirstUptime,
    LastUptime,
    FirstSeconds,
    LastSeconds,
    FirstMillis,
    LastMillis,
    FirstNtp,
    LastNtp,
    FirstBefore,
    LastBefore,
    Direction,
    Rate,
    Selector,
    SampledPackets,
    SkippedPackets,
    Forwarding,
    Firewall,
    Started,
}

impl What {
    /// By number; those of enterprises don't count.
    pub(super) fn of(number: u16) -> Self {
        match number {
            1 => Self::Bytes,
            2 => Self::Packets,
            4 => Self::Protocol,
            6 => Self::Flags,
            7 => Self::SourcePort,
            8 => Self::Source4,
            11 => Self::DestinationPort,
            12 => Self::Destination4,
            21 => Self::LastUptime,
            22 => Self::FirstUptime,
            27 => Self::Source6,
            28 => Self::Destination6,
            34 | 50 => Self::Rate,
            48 | 302 => Self::Selector,
            61 => Self::Direction,
            85 => Self::TotalBytes,
            86 => Self::TotalPackets,
            89 => Self::Forwarding,
            150 => Self::FirstSeconds,
            151 => Self::LastSeconds,
            152 => Self::FirstMillis,
            153 => Self::LastMillis,
            154 | 156 => Self::FirstNtp,
            155 | 157 => Self::LastNtp,
            158 => Self::FirstBefore,
            159 => Self::LastBefore,
            160 => Self::Started,
            233 => Self::Firewall,
            305 => Self::SampledPackets,
            306 => Self::SkippedPackets,
            _ => Self::Nothing,
        }
    }
}

/// What the fields of one record say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
    flags: u8,
    packets: Option<u64>,
    bytes: Option<u64>,
    total_packets: u64,
    total_bytes: u64,
    first: Option<i64>,
    last: Option<i64>,
    direction: Option<Direction>,
    rejected: bool,
    rate: Option<u64>,
    pub(super) selector: Option<u64>,
    sampled: Option<u64>,
    skipped: u64,
    pub(super) started: Option<i64>,
}

impl Row {
    /// Takes in a field's value.
    #[inline]
    pub(super) fn set(&mut self, what: What, value: &[u8], moment: Moment) {
        match what {
            What::Nothing => {}
            What::Bytes => self.bytes = Some(number(value)),
            What::Packets => self.packets = Some(number(value)),
            What::TotalBytes => self.total_bytes = number(value),
            What::TotalPackets => self.total_packets = number(value),
            What::Protocol => self.protocol = number(value) as u8,
            What::Flags => self.flags = number(value) as u8,
            What::SourcePort => self.src_port = number(value) as u16,
            What::DestinationPort => self.dst_port = number(value) as u16,
            What::Source4 => address4(&mut self.src, value),
            What::Destination4 => address4(&mut self.dst, value),
            What::Source6 => address6(&mut self.src, value),
            What::Destination6 => address6(&mut self.dst, value),
            What::Direction => {
                self.direction = Some(if number(value) == 0 { Direction::In } else { Direction::Out });
            }
            What::Rate => self.rate = Some(number(value)),
            What::Selector => self.selector = Some(number(value)),
            What::SampledPackets => self.sampled = Some(number(value)),
            What::SkippedPackets => self.skipped = number(value),
            // The two upper bits of the last byte are the status: 2 is dropped.
            What::Forwarding => self.rejected |= number(value) as u8 >> 6 == 2,
            // NAT and firewall events: 3 is denied.
            What::Firewall => self.rejected |= number(value) == 3,
            What::Started => self.started = i64::try_from(number(value)).ok(),
            _ => self.set_time(what, value, moment),
        }
    }

    fn set_time(&mut self, what: What, value: &[u8], moment: Moment) {
        let n = number(value);
        let plain = |unit: i64| i64::try_from(n).ok().and_then(|n| n.checked_mul(unit));
        // 32 bits of seconds since 1900, 32 of fractions.
        let ntp = || Some(((n >> 32) as i64 - 2_208_988_800) * 1_000);
        let before = || Some(moment.sent - i64::try_from(n / 1_000).ok()?);
        let time = match what {
            What::FirstUptime | What::LastUptime => moment.at_uptime(n as u32),
            What::FirstSeconds | What::LastSeconds => plain(1_000),
            What::FirstMillis | What::LastMillis => plain(1),
            What::FirstNtp | What::LastNtp => ntp(),
            _ => before(),
        };
        match what {
            What::FirstUptime
            | What::FirstSeconds
            | What::FirstMillis
            | What::FirstNtp
            | What::FirstBefore => {
                self.first = time.or(self.first);
            }
            _ => self.last = time.or(self.last),
        }
    }

    /// The sampling rate that the record itself tells.
    pub(super) fn rate(&self) -> Option<u64> {
        let of_counts = || {
            let sampled = self.sampled.filter(|n| *n != 0)?;
            Some(sampled.saturating_add(self.skipped) / sampled)
        };
        self.rate.or_else(of_counts).filter(|n| *n != 0)
    }

    /// The flow; `None` when the record is not of one between two addresses.
    #[inline]
    pub(super) fn observation(&self, source: SourceId, moment: Moment, rate: u64) -> Option<Observation> {
        let ports = if has_ports(self.protocol) { (self.src_port, self.dst_port) } else { (0, 0) };
        let tuple = Tuple {
            src: self.src?,
            dst: self.dst?,
            src_port: ports.0,
            dst_port: ports.1,
            protocol: self.protocol,
        };
        let last = self.last.or(self.first).unwrap_or(moment.sent);
        let first = self.first.unwrap_or(last).min(last);
        Some(Observation {
            source,
            tuple,
            direction: self.direction,
            action: if self.rejected { Action::Reject } else { Action::Accept },
            packets: self.packets.unwrap_or(self.total_packets).saturating_mul(rate),
            bytes: self.bytes.unwrap_or(self.total_bytes).saturating_mul(rate),
            first: first.div_euclid(1_000),
            last: last.div_euclid(1_000),
            tcp_flags: self.flags,
        })
    }
}

/// A record may have fields for both versions and fill one: an address that says nothing doesn't replace one that does.
fn address4(to: &mut Option<IpAddr>, value: &[u8]) {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        set_address(to, IpAddr::V4(Ipv4Addr::from(bytes)));
    }
}

fn address6(to: &mut Option<IpAddr>, value: &[u8]) {
    if let Ok(bytes) = <[u8; 16]>::try_from(value) {
        set_address(to, IpAddr::V6(Ipv6Addr::from(bytes)));
    }
}

fn set_address(to: &mut Option<IpAddr>, found: IpAddr) {
    if to.is_none() || !found.is_unspecified() {
        *to = Some(found);
    }
}
