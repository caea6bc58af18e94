//! Address translations, as a namespace's connection tracking tells them.
//!
//! A NAT's flows have two faces: the tuple before and the tuple after translation. Connection tracking knows both; this listens
//! to its events, and asks for the list of all connections. Counters come with the list and with the end of a connection, where
//! `net.netfilter.nf_conntrack_acct` is on. Only connections are told that the rules let be tracked.

use crate::namespace::{NoPlace, Place};
use crate::netlink::{attribute, be16, be32, be64, list_request, messages};
use crate::options::Namespace;
use crate::{Error, Result, sys};
use flow_record::Tuple;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

const NEW: u16 = 1 << 8;
const DELETE: u16 = 1 << 8 | 2;
const GROUPS: u32 = 1 | 4; // new, destroyed
const SRC_NAT: u32 = 1 << 4;
const DST_NAT: u32 = 1 << 5;
const DYING: u32 = 1 << 9;
const LIST: u16 = 1 << 8 | 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

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
    /// The kernel's number of the connection; unique only together with the tuple.
    pub id: u32,
    /// As its first packet was before translation.
    pub original: Tuple,
    /// As that packet was after translation; the same where nothing was translated.
    pub translated: Tuple,
    /// Was the source translated?
    pub source: bool,
    /// Was the destination translated?
    pub destination: bool,
    /// It has ended, and its event has been sent.
    pub dying: bool,
    /// Unix second at which it began, where `net.netfilter.nf_conntrack_timestamp` is on.
    pub began: Option<i64>,
    /// What went the way of the first packet; not with [`Event::New`] as an event.
    pub forward: Option<Counters>,
    /// What came back; the same.
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
            Place::enter(&place).map_err(|no| match no {
                NoPlace::Absent(told) => Error::Unsupported(told),
                NoPlace::Denied(told) => Error::Rights(told),
            })?;
            Self::here()
        });
        let thread = thread.map_err(|e| Error::Unsupported(format!("no thread can be had: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(Error::Unsupported("the thread ended early".into())))
    }

    /// The same for the namespace that this thread is in.
    pub(crate) fn here() -> Result<Self> {
        let refused = |e: std::io::Error| match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::Rights(format!("connection tracking: {e}")),
            _ => Error::Unsupported(format!("connection tracking: {e}")),
        };
        Self::on(sys::netlink(libc::NETLINK_NETFILTER, GROUPS).map_err(refused)?)
    }

    fn on(socket: OwnedFd) -> Result<Self> {
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

    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Asks for the connections that there are.
#[derive(Debug)]
pub(crate) struct Listing {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Listing {
    /// Those of the namespace that this thread is in.
    pub(crate) fn here() -> std::io::Result<Self> {
        Ok(Self { socket: sys::netlink(libc::NETLINK_NETFILTER, 0)?, buffer: vec![0; 64 << 10] })
    }

    /// Goes through all of them once, as they are at the moment.
    pub(crate) fn each(&mut self, mut each: impl FnMut(&Translation)) -> std::io::Result<()> {
        // What an earlier list that broke off has left.
        sys::empty(self.socket.as_raw_fd());
        sys::send(&self.socket, &list_request(LIST))?;
        let mut quiet = 0;
        loop {
            let Some(got) = sys::receive(&self.socket, &mut self.buffer)? else {
                // The kernel answers within the call; a limit all the same.
                quiet += 1;
                if quiet > 20 {
                    return Err(std::io::ErrorKind::TimedOut.into());
                }
                sys::poll(&[self.socket.as_raw_fd()], Duration::from_millis(100))?;
                continue;
            };
            for (kind, body) in messages(self.buffer.get(..got).unwrap_or(&[])) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        let code =
                            body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                        return Err(std::io::Error::from_raw_os_error(-code));
                    }
                    _ => {
                        if let Some(one) = read(kind, body) {
                            each(&one);
                        }
                    }
                }
            }
        }
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
    let began = attribute(all, 20).and_then(|nested| attribute(nested, 1)).and_then(be64);
    let counters = |number| {
        let nested = attribute(all, number)?;
        Some(Counters {
            packets: attribute(nested, 1).and_then(be64)?,
            bytes: attribute(nested, 2).and_then(be64)?,
        })
    };
    Some(Translation {
        event,
        id: attribute(all, 12).and_then(be32).unwrap_or(0),
        original,
        translated,
        source: status & SRC_NAT != 0,
        destination: status & DST_NAT != 0,
        dying: status & DYING != 0,
        began: began.and_then(|nanos| i64::try_from(nanos / 1_000_000_000).ok()),
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
