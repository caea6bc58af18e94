//! Dropped packets, as a rule set's `log group N` hands them over.
//!
//! The rules are the user's: only what they log is seen. The kernel numbers what it hands over, so that a queue that ran over
//! shows as a gap.

use crate::netlink::{attribute, be16, be32, messages, request};
use crate::sys;
use flow_record::Direction;
use flow_record::packet::{self, Dissected};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const PACKET: u16 = 4 << 8;
const CONFIG: u16 = 4 << 8 | 1;
/// Bytes of a packet that are copied: all headers.
const COPIED: u32 = 160;

/// A group that is listened to.
#[derive(Debug)]
pub(crate) struct Group {
    socket: OwnedFd,
    next: Option<u32>,
    buffer: Vec<u8>,
}

/// A packet that a rule logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logged {
    /// The device that it came in by, or else that it was to leave by.
    pub(crate) index: u32,
    pub(crate) direction: Direction,
    pub(crate) packet: packet::Packet,
}

impl Group {
    /// Listens to a group of this thread's namespace.
    pub(crate) fn listen(group: u16) -> std::io::Result<Self> {
        let socket = sys::netlink(libc::NETLINK_NETFILTER, 0)?;
        // Command: bind. Mode: copy packets up to a length. Flags: number them. Time-out: a fifth of a second.
        let mut mode = COPIED.to_be_bytes().to_vec();
        mode.extend([2, 0]);
        for (number, value) in
            [(1, &[1][..]), (2, &mode), (6, &1u16.to_be_bytes()), (4, &20u32.to_be_bytes())]
        {
            sys::send(&socket, &request(CONFIG, group, number, value))?;
        }
        // Not every process may have more than the system's limit for it.
        let bytes = (8u32 << 20).to_ne_bytes();
        let forced = sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes);
        forced.or_else(|_| sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes))?;
        Ok(Self { socket, next: None, buffer: vec![0; 128 << 10] })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Takes in what was logged; gives how many packets were missed and how many could not be read.
    pub(crate) fn take(&mut self, mut each: impl FnMut(&Logged)) -> (u64, u64) {
        let (mut missed, mut bad) = (0, 0);
        // A bound, so that a flood doesn't keep the thread here.
        for _ in 0..1_024 {
            let got = match sys::receive(&self.socket, &mut self.buffer) {
                Ok(Some(got)) => got,
                // An overflow shows in the numbers.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => continue,
                Ok(None) | Err(_) => break,
            };
            let bytes = self.buffer.get(..got).unwrap_or(&[]);
            for (_, body) in messages(bytes).filter(|(kind, _)| *kind == PACKET) {
                let attributes = body.get(4..).unwrap_or(&[]);
                if let Some(number) = attribute(attributes, 12).and_then(be32) {
                    missed += self.next.map_or(0, |next| u64::from(number.wrapping_sub(next)));
                    self.next = Some(number.wrapping_add(1));
                }
                match logged(attributes) {
                    Some(one) => each(&one),
                    None => bad += 1,
                }
            }
        }
        (missed, bad)
    }
}

fn logged(attributes: &[u8]) -> Option<Logged> {
    let kind = attribute(attributes, 1).and_then(be16)?;
    let came = attribute(attributes, 4).and_then(be32);
    let (index, direction) = match came {
        Some(index) => (index, Direction::In),
        None => (attribute(attributes, 5).and_then(be32)?, Direction::Out),
    };
    let payload = attribute(attributes, 9)?;
    // The length that IP itself gives; what is copied may be less.
    match packet::network(kind, payload, u64::MAX) {
        Dissected::Flow(packet) if packet.bytes != u64::MAX => Some(Logged { index, direction, packet }),
        _ => None,
    }
}
