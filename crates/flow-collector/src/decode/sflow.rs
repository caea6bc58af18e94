//! sFlow v5: samples of packets, in XDR (32-bit words).
//!
//! Specification: sflow.org, "sFlow Version 5". Read are flow samples (also the expanded ones) with a raw header or with the
//! addresses of IPv4 or IPv6, and discarded packets. Counters of interfaces are passed over.

use super::bytes::Bytes;
use super::{Call, Exporter, gap};
use flow_record::packet::{self, Dissected, Packet};
use flow_record::{Action, Observation, Tuple, has_ports};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAX_PARTS: u32 = 1_024;

/// Reads a whole datagram.
pub(super) fn read<F: FnMut(&Observation)>(
    exporter: &mut Exporter,
    datagram: &[u8],
    call: &mut Call<F>,
) -> Option<()> {
    let (version, bytes) = Bytes(datagram).u32()?;
    let (kind, bytes) = bytes.u32()?;
    let (_agent, bytes) = bytes.take(match (version, kind) {
        (5, 1) => 4,
        (5, 2) => 16,
        _ => return None,
    })?;
    let (sub_agent, bytes) = bytes.u32()?;
    let (sequence, bytes) = bytes.u32()?;
    let (_uptime, bytes) = bytes.u32()?;
    let (samples, mut bytes) = bytes.u32()?;
    let domain = exporter.domain(0, sub_agent)?;
    call.outcome.gaps += gap(domain.next, sequence);
    domain.next = Some(sequence.wrapping_add(1));
    if samples > MAX_PARTS {
        return None;
    }
    for _ in 0..samples {
        let (format, body, rest) = part(bytes)?;
        bytes = rest;
        match format {
            1 => sample(body, Form::Compact, call)?,
            3 => sample(body, Form::Expanded, call)?,
            5 => sample(body, Form::Discarded, call)?,
            _ => {}
        }
    }
    Some(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Compact,
    Expanded,
    Discarded,
}

/// Format, bytes and what follows of a sample, or of a record in one.
fn part(bytes: Bytes<'_>) -> Option<(u32, Bytes<'_>, Bytes<'_>)> {
    let (format, bytes) = bytes.u32()?;
    let (len, bytes) = bytes.u32()?;
    let (body, rest) = bytes.take(usize::try_from(len).ok()?)?;
    Some((format, Bytes(body), rest))
}

fn sample<F: FnMut(&Observation)>(bytes: Bytes<'_>, form: Form, call: &mut Call<F>) -> Option<()> {
    let skip = |bytes: Bytes<'_>, words: usize| bytes.take(words * 4).map(|(_, rest)| rest.0.len());
    let after = |words: usize| skip(bytes, words).map(|left| Bytes(&bytes.0[bytes.0.len() - left..]));
    let (rate, rejected, bytes) = match form {
        // sequence, source, rate, pool, drops, input, output
        Form::Compact => {
            let (rate, _) = after(2)?.u32()?;
            let (output, rest) = after(6)?.u32()?;
            (rate, output >> 30 == 1, rest)
        }
        // sequence, source ×2, rate, pool, drops, input ×2, output ×2
        Form::Expanded => {
            let (rate, _) = after(3)?.u32()?;
            let (output, _) = after(8)?.u32()?;
            (rate, output == 1, after(10)?)
        }
        // sequence, source ×2, drops, input, output, reason: each discarded packet is told
        Form::Discarded => (1, true, after(7)?),
    };
    let (records, mut bytes) = bytes.u32()?;
    if records > MAX_PARTS {
        return None;
    }
    let mut found: Option<Packet> = None;
    for _ in 0..records {
        let (format, body, rest) = part(bytes)?;
        bytes = rest;
        // The raw header says most; there should be only one of the three.
        found = match format {
            1 => header(body)?.or(found),
            3 => found.or(Some(addresses(body, 4)?)),
            4 => found.or(Some(addresses(body, 16)?)),
            _ => found,
        };
    }
    if let Some(packet) = found {
        call.tell(&Observation {
            source: call.source,
            tuple: packet.tuple,
            direction: None,
            action: if rejected { Action::Reject } else { Action::Accept },
            packets: u64::from(rate.max(1)),
            bytes: packet.bytes.saturating_mul(u64::from(rate.max(1))),
            first: call.now,
            last: call.now,
            tcp_flags: packet.tcp_flags,
        });
    }
    Some(())
}

/// A packet's first bytes.
fn header(bytes: Bytes<'_>) -> Option<Option<Packet>> {
    let (protocol, bytes) = bytes.u32()?;
    let (length, bytes) = bytes.u32()?;
    let (stripped, bytes) = bytes.u32()?;
    let (len, bytes) = bytes.u32()?;
    let (first, _) = bytes.take(usize::try_from(len).ok()?)?;
    let length = u64::from(length.saturating_sub(stripped));
    let read = match protocol {
        1 => packet::ethernet(first, length),
        11 | 12 => packet::ip(first, length),
        _ => Dissected::Other,
    };
    Some(match read {
        Dissected::Flow(packet) => Some(packet),
        Dissected::Other | Dissected::Malformed => None,
    })
}

fn addresses(bytes: Bytes<'_>, size: usize) -> Option<Packet> {
    let (length, bytes) = bytes.u32()?;
    let (protocol, bytes) = bytes.u32()?;
    let (src, bytes) = bytes.take(size)?;
    let (dst, bytes) = bytes.take(size)?;
    let (src_port, bytes) = bytes.u32()?;
    let (dst_port, bytes) = bytes.u32()?;
    let (flags, _) = bytes.u32()?;
    let protocol = u8::try_from(protocol).ok()?;
    let address = |b: &[u8]| match size {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(b).ok()?))),
        _ => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(b).ok()?))),
    };
    let port = |n: u32| if has_ports(protocol) { n as u16 } else { 0 };
    let tuple = Tuple {
        src: address(src)?,
        dst: address(dst)?,
        src_port: port(src_port),
        dst_port: port(dst_port),
        protocol,
    };
    Some(Packet { tuple, bytes: u64::from(length), headers: 0, tcp_flags: flags as u8 })
}
