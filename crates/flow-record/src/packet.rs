//! What flow a packet's first bytes belong to.
//!
//! For observers that get copies of headers: as much of a packet as there is, and its real length. Later fragments carry no
//! ports; they are told with ports 0.

use crate::{Tuple, has_ports};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dissected {
    /// Part of a flow.
    Flow(Packet),
    /// Neither IPv4 nor IPv6.
    Other,
    /// It says that it is IP, and can't be read.
    Malformed,
}

/// A packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Which flow.
    pub tuple: Tuple,
    /// Bytes from the network header on.
    pub bytes: u64,
    /// Bytes of the network's and the transport's header.
    pub headers: u64,
    /// TCP flags; 0 for others.
    pub tcp_flags: u8,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLANS: [u16; 2] = [0x8100, 0x88a8];

/// Reads a frame with an Ethernet header; `length` is that of the whole frame, of which `frame` is the beginning.
#[must_use]
pub fn ethernet(frame: &[u8], length: u64) -> Dissected {
    match (short(frame, 12), frame.get(14..)) {
        (Some(kind), Some(rest)) => network(kind, rest, length.saturating_sub(14)),
        _ => Dissected::Malformed,
    }
}

/// Reads what follows a link header whose type field was `kind`; `length` is that of all that follows.
#[must_use]
pub fn network(mut kind: u16, mut bytes: &[u8], mut length: u64) -> Dissected {
    for _ in 0..2 {
        if VLANS.contains(&kind) {
            let (Some(inner), Some(rest)) = (short(bytes, 2), bytes.get(4..)) else {
                return Dissected::Malformed;
            };
            (kind, bytes, length) = (inner, rest, length.saturating_sub(4));
        }
    }
    let read = match kind {
        IPV4 => ipv4(bytes, length),
        IPV6 => ipv6(bytes, length),
        _ => return Dissected::Other,
    };
    read.map_or(Dissected::Malformed, Dissected::Flow)
}

/// Reads a packet that begins with an IP header of either version.
#[must_use]
pub fn ip(bytes: &[u8], length: u64) -> Dissected {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => network(IPV4, bytes, length),
        Some(6) => network(IPV6, bytes, length),
        _ => Dissected::Malformed,
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn ipv4(b: &[u8], length: u64) -> Option<Packet> {
    let header = usize::from(b.first()? & 15) * 4;
    if b[0] >> 4 != 4 || header < 20 {
        return None;
    }
    let total = u64::from(short(b, 2)?);
    let later = short(b, 6)? & 0x1fff != 0;
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(b.get(at..at + 4)?).ok()?)));
    let tuple =
        Tuple { src: address(12)?, dst: address(16)?, src_port: 0, dst_port: 0, protocol: *b.get(9)? };
    let bytes = if total == 0 { length } else { total.min(length) };
    Some(transport(tuple, bytes, b.get(header..).unwrap_or(&[]), header as u64, later))
}

fn ipv6(b: &[u8], length: u64) -> Option<Packet> {
    if b.first()? >> 4 != 6 {
        return None;
    }
    let payload = u64::from(short(b, 4)?);
    let address =
        |at: usize| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(b.get(at..at + 16)?).ok()?)));
    let (src, dst) = (address(8)?, address(24)?);
    let (mut next, mut at, mut later) = (*b.get(6)?, 40usize, false);
    for _ in 0..6 {
        let size = match (next, b.get(at + 1)) {
            _ if later => break,
            (0 | 43 | 60, Some(n)) => (usize::from(*n) + 1) * 8,
            (51, Some(n)) => (usize::from(*n) + 2) * 4,
            (44, Some(_)) => {
                later = short(b, at + 2).unwrap_or(0) & 0xfff8 != 0;
                8
            }
            _ => break,
        };
        next = b[at];
        at += size;
    }
    let tuple = Tuple { src, dst, src_port: 0, dst_port: 0, protocol: next };
    let bytes = if payload == 0 { length } else { (payload + 40).min(length) };
    Some(transport(tuple, bytes, b.get(at..).unwrap_or(&[]), at as u64, later))
}

fn transport(mut tuple: Tuple, bytes: u64, rest: &[u8], network: u64, later: bool) -> Packet {
    let (mut headers, mut tcp_flags) = (network, 0);
    if has_ports(tuple.protocol) && !later {
        tuple.src_port = short(rest, 0).unwrap_or(0);
        tuple.dst_port = short(rest, 2).unwrap_or(0);
        if tuple.protocol == 6 {
            headers += rest.get(12).map_or(20, |b| u64::from(b >> 4) * 4);
            tcp_flags = rest.get(13).copied().unwrap_or(0);
        } else {
            headers += 8;
        }
    }
    Packet { tuple, bytes, headers, tcp_flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp4() -> Vec<u8> {
        let mut b = vec![0x45, 0, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        b.extend([0x0f, 0xa0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 0x12, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180]);
        b
    }

    #[test]
    fn tcp_over_a_vlan() {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0, 0, 5, 8, 0]);
        frame.extend(tcp4());
        frame.extend([0; 2]); // padding of a short frame is no part of the packet
        let Dissected::Flow(p) = ethernet(&frame, frame.len() as u64) else { panic!() };
        assert_eq!((p.tuple.src_port, p.tuple.dst_port, p.tuple.protocol), (4_000, 80, 6));
        assert_eq!((p.bytes, p.headers, p.tcp_flags), (44, 44, 0x12));
    }

    #[test]
    fn later_fragments_have_no_ports() {
        let mut b = tcp4();
        b[7] = 4;
        let Dissected::Flow(p) = ip(&b, 44) else { panic!() };
        assert_eq!((p.tuple.src_port, p.tuple.dst_port, p.headers), (0, 0, 20));
    }

    #[test]
    fn ipv6_with_extensions() {
        let mut b = vec![0x60, 0, 0, 0, 0, 24, 0, 64];
        b.extend([1; 16]);
        b.extend([2; 16]);
        b.extend([44, 0, 0, 0, 0, 0, 0, 0]); // hop-by-hop
        b.extend([17, 0, 0, 1, 0, 0, 0, 9]); // first fragment
        b.extend([0, 53, 0, 54, 0, 8, 0, 0]);
        let Dissected::Flow(p) = ip(&b, 64) else { panic!() };
        assert_eq!((p.tuple.protocol, p.tuple.src_port, p.tuple.dst_port), (17, 53, 54));
        assert_eq!((p.bytes, p.headers), (64, 64));
    }

    #[test]
    fn whatever_comes_nothing_breaks() {
        let mut whole = vec![0; 12];
        whole.extend([8, 0]);
        whole.extend(tcp4());
        for cut in 0..whole.len() {
            for value in [0, 0x0f, 0x44, 0x60, 0xff] {
                let mut bytes = whole[..cut].to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last = value;
                }
                let _ = (ethernet(&bytes, 60), ip(&bytes, 0));
                let _ = (network(IPV6, &bytes, u64::MAX), network(0x8100, &bytes, 3));
            }
        }
    }
}
