//! The way without BPF: the kernel copies the headers of all packets into memory shared with this process (`AF_PACKET`,
//! TPACKET_V3), and they are summed up here.
//!
//! It costs several times the CPU of the BPF way, and can't tell by itself what was dropped: incoming packets are copied before
//! any rule, outgoing ones after. Rules that log what they drop to an NFLOG group make REJECT records possible, for those rules.

use crate::meter::{Clocks, Device, Meter, Part, Sums};
use crate::nflog::Group;
use crate::options::Options;
use crate::sys::{self, Ring};
use crate::{Error, Result};
use flow_record::packet::{self, Dissected, Packet};
use flow_record::{
    Action, Direction, FlowTable, LogStatus, Observation, Record, SourceId, TrafficType, Tuple,
};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// After this time, in milliseconds, the kernel hands over a block that is not full.
const HELD_BACK: u32 = 50;
/// How long the end of a capture waits for blocks that are not full: several times that.
const SETTLES: Duration = Duration::from_millis(500);
const BLOCK: usize = 1 << 18;
const BLOCKS: usize = 32;
/// Bytes of each packet that are copied: all headers.
const COPIED: u32 = 160;
const VNET: usize = 10;

/// Rings, and the table of the open window.
pub(crate) struct Packets {
    traffic: TrafficType,
    room: usize,
    room_rejected: usize,
    group_number: Option<u16>,
    group: Option<Group>,
    rings: HashMap<SourceId, Tap>,
    table: FlowTable,
    rejected: HashMap<(SourceId, Tuple), (u64, u64)>,
    open: Sums,
    ended: Option<Box<dyn Iterator<Item = Record> + Send>>,
    subtract: HashMap<(SourceId, Tuple), (u64, u64)>,
    sums: Sums,
    now: i64,
}

struct Tap {
    index: u32,
    socket: OwnedFd,
    ring: Ring,
    next: usize,
}

impl Packets {
    /// Makes sure that packets may be copied at all.
    pub(crate) fn open(options: &Options) -> Result<Self> {
        if options.traffic == TrafficType::Reject && options.reject_group.is_none() {
            let told =
                "dropped packets can't be seen without BPF, unless the rules log them to an NFLOG group";
            return Err(Error::Unsupported(told.into()));
        }
        sys::packet_socket().map_err(|e| match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::Rights(format!("packet socket: {e}")),
            _ => Error::Unsupported(format!("packet socket: {e}")),
        })?;
        let room = options.max_flows as usize;
        Ok(Self {
            traffic: options.traffic,
            room,
            room_rejected: options.max_rejected as usize,
            group_number: options.reject_group,
            group: None,
            rings: HashMap::new(),
            table: FlowTable::new(room),
            rejected: HashMap::new(),
            open: Sums::default(),
            ended: None,
            subtract: HashMap::new(),
            sums: Sums::default(),
            now: 0,
        })
    }

    fn take_rejected(&mut self) {
        let Some(group) = &mut self.group else { return };
        let sources: HashMap<u32, SourceId> = self.rings.iter().map(|(s, t)| (t.index, *s)).collect();
        let (table, rejected, room, now) =
            (&mut self.table, &mut self.rejected, self.room_rejected, self.now);
        let mut verdicts = 0;
        let (missed, bad) = group.take(|one| {
            let Some(source) = sources.get(&one.index) else { return };
            let key = (*source, one.packet.tuple);
            if !rejected.contains_key(&key) && rejected.len() >= room {
                verdicts += 1;
                return;
            }
            let sums = rejected.entry(key).or_default();
            if one.direction == Direction::In {
                *sums = (sums.0 + 1, sums.1 + one.packet.bytes);
            }
            table.add(&observation(*source, &one.packet, one.direction, Action::Reject, now));
        });
        self.open.loss.verdicts += missed + verdicts;
        self.open.loss.malformed += bad;
    }

    fn take_packets(&mut self) {
        for (source, tap) in &mut self.rings {
            // One round of the ring at most: then the others' turn.
            for _ in 0..BLOCKS {
                let offset = tap.next * BLOCK;
                if tap.ring.status(offset + 8) & 1 == 0 {
                    break;
                }
                for frame in Frames::of(tap.ring.block(offset, BLOCK)) {
                    match frame.dissect() {
                        Some((packet, direction, count)) => {
                            let mut seen =
                                observation(*source, &packet, direction, Action::Accept, frame.second());
                            seen.packets = count;
                            self.now = self.now.max(seen.last);
                            self.table.add(&seen);
                        }
                        None if frame.is_other() => self.open.other += 1,
                        None => self.open.loss.malformed += 1,
                    }
                }
                tap.ring.release(offset + 8);
                tap.next = (tap.next + 1) % BLOCKS;
            }
        }
    }

    /// Packets lie in a block until it is full or its time is over: without a wait, the last of them would be lost uncounted.
    fn take_held_back(&mut self, of: impl Fn(SourceId) -> bool) {
        let end = Instant::now() + SETTLES;
        loop {
            self.take_packets();
            if !self.rings.iter().any(|(s, tap)| of(*s) && tap.holds_back()) || Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn take_drops(&mut self) {
        for tap in self.rings.values() {
            self.open.loss.unseen += drops(&tap.socket);
        }
    }
}

impl Meter for Packets {
    fn enter(&mut self, _namespace: u32) -> std::result::Result<(), String> {
        self.group = match self.group_number {
            Some(number) => Some(Group::listen(number).map_err(|e| format!("NFLOG group {number}: {e}"))?),
            None => None,
        };
        Ok(())
    }

    fn leave(&mut self) {
        self.take_rejected();
        self.group = None;
    }

    fn attach(&mut self, device: &Device<'_>) -> std::result::Result<(), String> {
        // Whether an outgoing frame came from another port is not in its copy.
        if device.part == Part::Forwarded {
            return Ok(());
        }
        let tap =
            Tap::open(device.index).map_err(|e| format!("copying the packets of {}: {e}", device.name))?;
        self.rings.insert(device.source, tap);
        Ok(())
    }

    fn detach(&mut self, source: SourceId) {
        self.take_held_back(|s| s == source);
        if let Some(tap) = self.rings.remove(&source) {
            self.open.loss.unseen += drops(&tap.socket);
        }
    }

    fn descriptors(&self) -> Vec<RawFd> {
        let taps = self.rings.values().map(|t| t.socket.as_raw_fd());
        taps.chain(self.group.as_ref().map(Group::descriptor)).collect()
    }

    fn take_in(&mut self) {
        self.take_packets();
        self.take_rejected();
    }

    fn settle(&mut self) {
        self.take_held_back(|_| true);
        self.take_rejected();
    }

    fn turn(&mut self, clocks: Clocks) -> std::result::Result<(), String> {
        self.take_in();
        self.take_drops();
        self.now = clocks.second(clocks.monotonic);
        let table = std::mem::replace(&mut self.table, FlowTable::new(self.room));
        self.sums = std::mem::take(&mut self.open);
        self.sums.loss.add(&table.loss());
        self.sums.packets = table.packets();
        self.subtract = std::mem::take(&mut self.rejected);
        self.sums.packets -=
            self.subtract.values().map(|(packets, _)| packets).sum::<u64>().min(self.sums.packets);
        self.ended = Some(Box::new(table.into_records()));
        Ok(())
    }

    fn hand_over(&mut self, room: usize, into: &mut Vec<Record>) -> std::result::Result<bool, String> {
        let Some(ended) = &mut self.ended else { return Ok(false) };
        for mut record in ended.by_ref() {
            let Some(flow) = &mut record.flow else { continue };
            let counted_twice = flow.action == Action::Accept && flow.extras.direction == Some(Direction::In);
            let dropped = self.subtract.get(&(record.source, flow.tuple)).filter(|_| counted_twice);
            if let Some((packets, bytes)) = dropped {
                flow.packets = flow.packets.saturating_sub(*packets);
                flow.bytes = flow.bytes.saturating_sub(*bytes);
            }
            if flow.packets != 0 && self.traffic.wants(flow.action) {
                into.push(Record { status: LogStatus::Ok, ..record });
            }
            if into.len() >= room {
                return Ok(true);
            }
        }
        self.ended = None;
        Ok(false)
    }

    fn sums(&self) -> Sums {
        self.sums
    }

    fn limits(&self) -> Vec<&'static str> {
        vec![
            match self.group_number {
                Some(_) => "REJECT only of rules that log what they drop to the NFLOG group",
                None => "no REJECT: what came in and was dropped stands as ACCEPT",
            },
            "fragments after the first one have no ports",
            "packets are copied: several times the CPU",
            "what a bridge passes on from port to port is not seen at the bridge",
        ]
    }
}

fn observation(
    source: SourceId,
    packet: &Packet,
    direction: Direction,
    action: Action,
    second: i64,
) -> Observation {
    Observation {
        source,
        tuple: packet.tuple,
        direction: Some(direction),
        action,
        packets: 1,
        bytes: packet.bytes,
        first: second,
        last: second,
        tcp_flags: packet.tcp_flags,
    }
}

impl Tap {
    fn open(index: u32) -> std::io::Result<Self> {
        let socket = sys::packet_socket()?;
        let set = |level, name, value: &[u8]| sys::set_option(&socket, level, name, value);
        set(libc::SOL_PACKET, libc::PACKET_VERSION, &2u32.to_ne_bytes())?;
        // Each packet is preceded by what is needed to know how many it will be on the wire.
        set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1u32.to_ne_bytes())?;
        sys::keep_beginning(&socket, COPIED)?;
        let words = [BLOCK as u32, BLOCKS as u32, 2_048, (BLOCK / 2_048 * BLOCKS) as u32, HELD_BACK, 0, 0];
        let request: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let ring = Ring::map(&socket, BLOCK * BLOCKS)?;
        sys::bind_packet(&socket, index)?;
        // What came before the socket was bound to its device is nobody's.
        drops(&socket);
        Ok(Self { index, socket, ring, next: 0 })
    }

    /// Whether packets lie in the block that the kernel fills: it counts them in the block's head as they come.
    fn holds_back(&self) -> bool {
        self.ring.status(self.next * BLOCK + 12) != 0
    }
}

/// Packets that found no room in a ring since the last call.
fn drops(socket: &OwnedFd) -> u64 {
    let mut stats = [0; 12];
    match sys::get_option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats) {
        Ok(()) => u64::from(word(&stats, 4).unwrap_or(0)),
        Err(_) => 0,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The packets of a block.
struct Frames<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Frames<'a> {
    fn of(block: &'a [u8]) -> Self {
        let first = word(block, 16).unwrap_or(0) as usize;
        Self { rest: block.get(first..).unwrap_or(&[]), left: word(block, 12).unwrap_or(0) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        self.left = self.left.checked_sub(1)?;
        let bytes = self.rest;
        let step = word(bytes, 0)? as usize;
        self.rest = if step == 0 { &[] } else { bytes.get(step..).unwrap_or(&[]) };
        Some(Frame { bytes })
    }
}

/// One packet of a block, from its `tpacket3_hdr` on.
struct Frame<'a> {
    bytes: &'a [u8],
}

impl Frame<'_> {
    fn second(&self) -> i64 {
        i64::from(word(self.bytes, 4).unwrap_or(0))
    }

    fn kind(&self) -> u16 {
        half(self.bytes, 50).unwrap_or(0).to_be()
    }

    fn is_other(&self) -> bool {
        !matches!(self.kind(), 0x0800 | 0x86dd | 0x8100 | 0x88a8)
    }

    /// The packet, its direction, and how many it is on the wire.
    fn dissect(&self) -> Option<(Packet, Direction, u64)> {
        const OUTGOING: u8 = 4;
        let b = self.bytes;
        let (copied, whole) = (word(b, 12)? as usize, u64::from(word(b, 16)?));
        let (link, network) = (usize::from(half(b, 24)?), usize::from(half(b, 26)?));
        let direction = if *b.get(58)? == OUTGOING { Direction::Out } else { Direction::In };
        let bytes = b.get(network..link + copied)?;
        let length = whole.saturating_sub(network.saturating_sub(link) as u64);
        let Dissected::Flow(mut packet) = packet::network(self.kind(), bytes, length) else { return None };
        let segment = u64::from(half(b, link.checked_sub(VNET)? + 4)?);
        let payload = length.saturating_sub(packet.headers);
        if segment == 0 || payload <= segment {
            return Some((packet, direction, 1));
        }
        let count = payload.div_ceil(segment);
        packet.bytes = length + (count - 1) * packet.headers;
        Some((packet, direction, count))
    }
}
