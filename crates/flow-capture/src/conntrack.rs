//! Address translations, as a namespace's connection tracking tells them.
//!
//! A NAT's flows have two faces: the tuple before and the tuple after translation. Connection tracking knows both; this listens
//! to its events. Counters come with the end of a connection, where `net.netfilter.nf_conntrack_acct` is on. Only connections
//! are told that the rules let be tracked.

use crate::namespace::Place;
use crate::netlink::{attribute, be16, be32, be64, messages};
use crate::options::Namespace;
use crate::{Error, Result, sys};
use flow_record::Tuple;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

const NEW: u16 = 1 << 8;
const DELETE: u16 = 1 << 8 | 2;
const GROUPS: u32 = 1 | 4; // new, destroyed
const SRC_NAT: u32 = 1 << 4;
const DST_NAT: u32 = 1 << 5;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It began.
    New,
    /// It ended, or was forgotten.
    Ended,
}

/// Packets and bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the network header on.
    pub bytes: u64,
}

/// One event of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// What happened.
    pub event: Event,
    /// As its first packet was before translation.
    pub original: Tuple,
    /// As that packet was after translation; the same where nothing was translated.
    pub translated: Tuple,
    /// Was the source translated?
    pub source: bool,
    /// Was the destination translated?
    pub destination: bool,
    /// What went the way of the first packet; only at the end.
    pub forward: Option<Counters>,
    /// What came back; only at the end.
    pub backward: Option<Counters>,
}

/// The connections of a namespace.
#[derive(Debug)]
pub struct Connections {
    socket: OwnedFd,
    buffer: Vec<u8>,
    overflows: u64,
}

impl Connections {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the namespace can't be entered, rights are missing (CAP_NET_ADMIN), or the kernel has no connection tracking.
    pub fn listen(namespace: &Namespace) -> Result<Self> {
        let place = namespace.clone();
        // The socket belongs to the namespace of the thread that makes it, and no other thread is to be moved.
        let thread = std::thread::Builder::new().name("flow-conntrack".into()).spawn(move || {
            Place::enter(&place)?;
            sys::netlink(libc::NETLINK_NETFILTER, GROUPS).map_err(|e| format!("connection tracking: {e}"))
        });
        let thread = thread.map_err(|e| Error::Unsupported(format!("no thread can be had: {e}")))?;
        let ended = thread.join().unwrap_or_else(|_| Err("the thread ended early".into()));
        let socket = ended.map_err(Error::Unsupported)?;
        let bytes = (8u32 << 20).to_ne_bytes();
        let forced = sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes);
        let set = forced.or_else(|_| sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes));
        set.map_err(|e| Error::Unsupported(format!("buffer of connection tracking: {e}")))?;
        Ok(Self { socket, buffer: vec![0; 64 << 10], overflows: 0 })
    }

    /// Events that have come, waited for up to a time; at most some thousand at once.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn next(&mut self, wait: Duration) -> Result<Vec<Translation>> {
        let failed = |e: std::io::Error| Error::Unsupported(format!("connection tracking: {e}"));
        sys::poll(&[self.socket.as_raw_fd()], wait).map_err(failed)?;
        let mut events = Vec::new();
        while events.len() < 4_096 {
            match sys::receive(&self.socket, &mut self.buffer) {
                Ok(Some(got)) => {
                    events.extend(
                        messages(self.buffer.get(..got).unwrap_or(&[])).filter_map(|(k, b)| read(k, b)),
                    );
                }
                Ok(None) => break,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => self.overflows += 1,
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(events)
    }

    /// How often events were lost because they weren't fetched in time.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.overflows
    }
}

fn read(kind: u16, body: &[u8]) -> Option<Translation> {
    let event = match kind {
        NEW => Event::New,
        DELETE => Event::Ended,
        _ => return None,
    };
    let all = body.get(4..)?;
    let original = tuple(attribute(all, 1)?)?;
    let reply = tuple(attribute(all, 2)?)?;
    let translated = Tuple {
        src: reply.dst,
        dst: reply.src,
        src_port: reply.dst_port,
        dst_port: reply.src_port,
        protocol: reply.protocol,
    };
    let status = attribute(all, 3).and_then(be32).unwrap_or(0);
    let counters = |number| {
        let nested = attribute(all, number)?;
        Some(Counters {
            packets: attribute(nested, 1).and_then(be64)?,
            bytes: attribute(nested, 2).and_then(be64)?,
        })
    };
    Some(Translation {
        event,
        original,
        translated,
        source: status & SRC_NAT != 0,
        destination: status & DST_NAT != 0,
        forward: counters(9),
        backward: counters(10),
    })
}

fn tuple(nested: &[u8]) -> Option<Tuple> {
    let (addresses, protocol) = (attribute(nested, 1)?, attribute(nested, 2)?);
    let address = |v4, v6| {
        if let Some(bytes) = attribute(addresses, v4) {
            return Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)));
        }
        Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(attribute(addresses, v6)?).ok()?)))
    };
    let port = |number| attribute(protocol, number).and_then(be16).unwrap_or(0);
    Some(Tuple {
        src: address(1, 3)?,
        dst: address(2, 4)?,
        src_port: port(2),
        dst_port: port(3),
        protocol: *attribute(protocol, 1)?.first()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_messages_are_nothing() {
        assert_eq!(read(NEW, &[0; 4]), None);
        assert_eq!(read(NEW, &[]), None);
        assert_eq!(read(NEW, &[2, 0, 0, 0, 8, 0, 1, 128, 4, 0, 1, 128]), None);
        assert_eq!(read(7, &[0; 64]), None);
    }
}
