//! NetFlow v5: a head of 24 bytes and up to 30 rows of 48, always of the same form.

use super::bytes::{Bytes, number};
use super::{Call, Exporter, Moment, gap};
use flow_record::{Action, Observation, Tuple, has_ports};
use std::net::{IpAddr, Ipv4Addr};

const ROW: usize = 48;

/// Reads what follows the version.
pub(super) fn read<F: FnMut(&Observation)>(
    exporter: &mut Exporter,
    bytes: Bytes<'_>,
    call: &mut Call<F>,
) -> Option<()> {
    let (count, bytes) = bytes.u16()?;
    let (uptime, bytes) = bytes.u32()?;
    let (seconds, bytes) = bytes.u32()?;
    let (_nanos, bytes) = bytes.u32()?;
    let (sequence, bytes) = bytes.u32()?;
    let (engine, bytes) = bytes.u16()?;
    let (sampling, bytes) = bytes.u16()?;
    let rows = bytes.0.as_chunks::<ROW>().0;
    let rows = rows.get(..usize::from(count)).filter(|r| !r.is_empty())?;
    let domain = exporter.domain(5, u32::from(engine))?;
    // The number is that of the first row.
    call.outcome.gaps += gap(domain.next, sequence);
    domain.next = Some(sequence.wrapping_add(u32::from(count)));
    let moment = Moment { sent: i64::from(seconds) * 1_000, uptime: Some(uptime) };
    let rate = u64::from(sampling & 0x3fff).max(1);
    for row in rows {
        call.tell(&observation(row, moment, rate, call.source));
    }
    Some(())
}

fn observation(row: &[u8; ROW], moment: Moment, rate: u64, source: flow_record::SourceId) -> Observation {
    let address = |at: usize| IpAddr::V4(Ipv4Addr::new(row[at], row[at + 1], row[at + 2], row[at + 3]));
    let protocol = row[38];
    // Others have their type and code there.
    let port = |at: usize| if has_ports(protocol) { u16::from_be_bytes([row[at], row[at + 1]]) } else { 0 };
    let second = |at: usize| {
        let uptime = number(&row[at..at + 4]) as u32;
        moment.at_uptime(uptime).unwrap_or(moment.sent).div_euclid(1_000)
    };
    Observation {
        source,
        tuple: Tuple { src: address(0), dst: address(4), src_port: port(32), dst_port: port(34), protocol },
        direction: None,
        action: Action::Accept,
        packets: number(&row[16..20]).saturating_mul(rate),
        bytes: number(&row[20..24]).saturating_mul(rate),
        first: second(24),
        last: second(28),
        tcp_flags: row[37],
    }
}
