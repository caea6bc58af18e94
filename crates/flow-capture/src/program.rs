//! The BPF way: programs in the kernel count per flow, and this reads their maps once a window.
//!
//! Maps have two sides. `turn` points the programs to the other side, waits until those that still write to the old one have
//! ended, and from then on the old side stands still: reading it misses nothing and counts nothing twice, and may take its
//! time. A reader of records that doesn't keep up makes windows longer, it loses nothing until a side is full.
//!
//! **A packet that came in and was dropped was counted twice**, when it passed the device and when it was dropped. The second
//! count is subtracted from the first, flow by flow, so that it stands in REJECT alone. At a window's turn a packet may fall
//! between the two counts; it is then accepted in one window and rejected in the next.

use crate::btf;
use crate::meter::{Clocks, Device, Link, Meter, Part, Sums};
use crate::options::Options;
use crate::sys::{self, Batch};
use crate::{Error, Result};
use aya::maps::{Map, MapData};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, RawTracePoint, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use flow_record::{Action, Direction, Extras, Flow, LogStatus, Record, SourceId, TrafficType, Tuple};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// The programs, as `bpf/build.sh` made them.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/flow.bpf.o");

const KEY: usize = 44;
const COUNT: usize = 40;
const LOSS: usize = 40;
const REASON: &str = "SKB_DROP_REASON_NETFILTER_DROP";
/// Flows that are read at once.
const BATCH: usize = 1_024;

type KeyBytes = [u8; KEY];

/// Programs and maps of one capture.
pub(crate) struct Program {
    bpf: Ebpf,
    cpus: usize,
    traffic: TrafficType,
    side: usize,
    namespace: u32,
    sees_drops: bool,
    attached: HashMap<SourceId, Attached>,
    /// Of this namespace, also of devices that are gone: their counts may still be in the maps.
    sources: HashMap<u32, SourceId>,
    ended: Option<Ended>,
    sums: Sums,
}

struct Attached {
    index: u32,
    _links: Vec<aya::programs::tc::SchedClassifierLink>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("side", &self.side).field("cpus", &self.cpus).finish_non_exhaustive()
    }
}

impl Program {
    /// Loads the programs.
    pub(crate) fn load(options: &Options) -> Result<Self> {
        let reason = btf::enumerator(REASON);
        if reason.is_none() && options.traffic == TrafficType::Reject {
            return Err(Error::Unsupported(format!(
                "this kernel doesn't tell why it drops a packet (no {REASON})"
            )));
        }
        let cpus = aya::util::nr_cpus().map_err(|(what, e)| Error::Unsupported(format!("{what}: {e}")))?;
        let number = reason.unwrap_or(u32::MAX);
        let mut loader = EbpfLoader::new();
        loader.override_global("netfilter_drop", &number, true);
        for side in ["seen_0", "seen_1"] {
            loader.map_max_entries(side, options.max_flows);
        }
        for side in ["rejected_0", "rejected_1"] {
            loader.map_max_entries(side, options.max_rejected);
        }
        let mut bpf = loader.load(OBJECT).map_err(|e| refused("loading the BPF programs", &e))?;
        if reason.is_some() {
            watch_drops(&mut bpf)?;
        }
        Ok(Self {
            bpf,
            cpus,
            traffic: options.traffic,
            side: 0,
            namespace: 0,
            sees_drops: reason.is_some(),
            attached: HashMap::new(),
            sources: HashMap::new(),
            ended: None,
            sums: Sums::default(),
        })
    }

    fn map(&self, name: &str) -> std::result::Result<BorrowedFd<'_>, String> {
        let data: Option<&MapData> = match self.bpf.map(name) {
            Some(Map::Array(m) | Map::HashMap(m) | Map::PerCpuArray(m)) => Some(m),
            _ => None,
        };
        data.map(|m| m.fd().as_fd()).ok_or_else(|| format!("the object has no map {name}"))
    }

    fn point_to(&self, side: usize) -> std::result::Result<(), String> {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&(side as u32).to_ne_bytes());
        value[4..].copy_from_slice(&self.namespace.to_ne_bytes());
        sys::map_update(self.map("control")?, &[0; 4], &value).map_err(|e| format!("map control: {e}"))
    }

    fn classifier(
        &mut self,
        name: &str,
        device: &str,
        at: TcAttachType,
    ) -> Result<aya::programs::tc::SchedClassifierLink> {
        let program: &mut SchedClassifier = self
            .bpf
            .program_mut(name)
            .and_then(|p| p.try_into().ok())
            .ok_or_else(|| Error::Unsupported(format!("the object has no program {name}")))?;
        match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(e) => return Err(refused(name, &e)),
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = program.attach_with_options(device, at, options).map_err(|e| refused(device, &e))?;
        program.take_link(id).map_err(|e| refused(device, &e))
    }

    /// What the ended side lost; sets it to zero for its next turn.
    fn take_losses(&self, side: usize) -> std::result::Result<Sums, String> {
        let (map, key) = (self.map("losses")?, (side as u32).to_ne_bytes());
        let mut values = vec![0; LOSS * self.cpus];
        let failed = |e| format!("map losses: {e}");
        sys::map_lookup(map, &key, &mut values).map_err(failed)?;
        let mut sums = Sums::default();
        for cpu in values.chunks_exact(LOSS) {
            sums.loss.packets += word(cpu, 0);
            sums.loss.bytes += word(cpu, 8);
            sums.loss.verdicts += word(cpu, 16);
            sums.other += word(cpu, 24);
            sums.loss.malformed += word(cpu, 32);
        }
        sys::map_update(map, &key, &vec![0; LOSS * self.cpus]).map_err(failed)?;
        Ok(sums)
    }

    fn all_rejected(&self, side: usize) -> std::result::Result<HashMap<KeyBytes, Count>, String> {
        let map = self.map(["rejected_0", "rejected_1"][side])?;
        let mut reader = Reader::new();
        let mut all = HashMap::new();
        while let Some(rows) = reader.next(map)? {
            all.extend(rows);
        }
        Ok(all)
    }
}

impl Meter for Program {
    fn enter(&mut self, namespace: u32) -> std::result::Result<(), String> {
        self.namespace = namespace;
        self.sources.clear();
        self.point_to(self.side)
    }

    fn attach(&mut self, device: &Device<'_>) -> std::result::Result<(), String> {
        let (ingress, egress) = (TcAttachType::Ingress, TcAttachType::Egress);
        let (mode, programs) = match (device.part, device.link) {
            (Part::Whole, Link::Ethernet) => (1u32, &[("ether_in", ingress), ("ether_out", egress)][..]),
            (Part::Whole, Link::Plain) => (1, &[("plain_in", ingress), ("plain_out", egress)][..]),
            // Only what has an Ethernet header can be a port.
            (Part::Forwarded, _) => (2, &[("ether_forwarded", egress)][..]),
        };
        let index = device.index.to_ne_bytes();
        sys::map_update(self.map("watched")?, &index, &mode.to_ne_bytes())
            .map_err(|e| format!("map watched: {e}"))?;
        let mut links = Vec::new();
        // Where only drops are wanted the passing packets cost nothing.
        if self.traffic != TrafficType::Reject {
            for (name, at) in programs {
                links.push(self.classifier(name, device.name, *at).map_err(|e| e.to_string())?);
            }
        }
        if self.sources.len() > 4_096 {
            let attached: Vec<u32> = self.attached.values().map(|a| a.index).collect();
            self.sources.retain(|index, _| attached.contains(index));
        }
        self.sources.insert(device.index, device.source);
        self.attached.insert(device.source, Attached { index: device.index, _links: links });
        Ok(())
    }

    fn detach(&mut self, source: SourceId) {
        let Some(gone) = self.attached.remove(&source) else { return };
        if let Ok(map) = self.map("watched") {
            // It is not there when attaching ended half-way.
            let _ = sys::map_delete(map, &gone.index.to_ne_bytes());
        }
    }

    fn descriptors(&self) -> Vec<RawFd> {
        Vec::new()
    }

    fn take_in(&mut self) {}

    fn turn(&mut self, clocks: Clocks) -> std::result::Result<(), String> {
        let ended = self.side;
        self.side = 1 - ended;
        self.point_to(self.side)?;
        if sys::wait_for_programs().is_err() {
            // Without the call: programs run for microseconds, and none sleeps.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        self.sums = self.take_losses(ended)?;
        let rejected = self.all_rejected(ended)?;
        self.ended = Some(Ended {
            side: ended,
            clocks,
            seen: Some(Reader::new()),
            accepted: rejected.clone(),
            rejected: rejected.into_iter().collect(),
        });
        Ok(())
    }

    fn hand_over(&mut self, room: usize, into: &mut Vec<Record>) -> std::result::Result<bool, String> {
        let Some(mut ended) = self.ended.take() else { return Ok(false) };
        while into.len() < room {
            if let Some(reader) = &mut ended.seen {
                match reader.next(self.map(["seen_0", "seen_1"][ended.side])?)? {
                    Some(rows) => self.accept(&rows, &ended, into),
                    None => ended.seen = None,
                }
            } else if let Some((key, count)) = ended.rejected.pop() {
                self.reject(&key, &count, &ended.clocks, into);
            } else {
                return Ok(false);
            }
        }
        self.ended = Some(ended);
        Ok(true)
    }

    fn sums(&self) -> Sums {
        self.sums
    }

    fn limits(&self) -> Vec<&'static str> {
        if self.sees_drops {
            Vec::new()
        } else {
            vec!["this kernel doesn't say why it drops a packet: no REJECT"]
        }
    }
}

impl Program {
    fn accept(&mut self, rows: &[(KeyBytes, Count)], ended: &Ended, into: &mut Vec<Record>) {
        for (key, count) in rows {
            let mut count = *count;
            if let Some(dropped) = ended.accepted.get(key) {
                count.packets = count.packets.saturating_sub(dropped.packets);
                count.bytes = if count.packets == 0 { 0 } else { count.bytes.saturating_sub(dropped.bytes) };
            }
            if count.packets != 0 {
                self.emit(key, &count, Action::Accept, &ended.clocks, into);
            }
        }
    }

    fn reject(&mut self, key: &KeyBytes, count: &Count, clocks: &Clocks, into: &mut Vec<Record>) {
        self.emit(key, count, Action::Reject, clocks, into);
    }

    fn emit(
        &mut self,
        key: &KeyBytes,
        count: &Count,
        action: Action,
        clocks: &Clocks,
        into: &mut Vec<Record>,
    ) {
        let index = u32::from_ne_bytes([key[40], key[41], key[42], key[43]]);
        let Some(source) = self.sources.get(&index) else {
            // Its namespace was replaced before the window ended, and nobody knows any more which device that was.
            self.sums.loss.packets = self.sums.loss.packets.saturating_add(count.packets);
            self.sums.loss.bytes = self.sums.loss.bytes.saturating_add(count.bytes);
            return;
        };
        self.sums.packets = self.sums.packets.saturating_add(count.packets);
        if !self.traffic.wants(action) {
            return;
        }
        let direction = Some(if key[37] == 0 { Direction::In } else { Direction::Out });
        let drop_reason = (action == Action::Reject).then_some("NETFILTER_DROP");
        let flow = Flow {
            tuple: tuple(key),
            packets: count.packets,
            bytes: count.bytes,
            action,
            extras: Extras { direction, tcp_flags: count.flags, drop_reason, translated: None },
        };
        let (start, end) = (clocks.second(count.first), clocks.second(count.last));
        into.push(Record { source: *source, flow: Some(flow), start, end, status: LogStatus::Ok });
    }
}

/// A window whose side stands still.
struct Ended {
    side: usize,
    clocks: Clocks,
    seen: Option<Reader>,
    /// What to subtract.
    accepted: HashMap<KeyBytes, Count>,
    /// What is still to be handed over.
    rejected: Vec<(KeyBytes, Count)>,
}

/// Sums of one flow.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    packets: u64,
    bytes: u64,
    first: u64,
    last: u64,
    flags: u8,
}

impl Count {
    fn of(value: &[u8]) -> Self {
        Self {
            packets: word(value, 0),
            bytes: word(value, 8),
            first: word(value, 16),
            last: word(value, 24),
            flags: word(value, 32) as u8,
        }
    }
}

/// Empties a map batch by batch.
struct Reader {
    cursor: Option<u32>,
    done: bool,
    count: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Reader {
    fn new() -> Self {
        let mut reader =
            Self { cursor: None, done: false, count: BATCH, keys: Vec::new(), values: Vec::new() };
        reader.resize();
        reader
    }

    fn resize(&mut self) {
        self.keys.resize(self.count * KEY, 0);
        self.values.resize(self.count * COUNT, 0);
    }

    fn next(&mut self, map: BorrowedFd<'_>) -> std::result::Result<Option<Vec<(KeyBytes, Count)>>, String> {
        if self.done {
            return Ok(None);
        }
        let taken = loop {
            let count = self.count as u32;
            match sys::map_take(map, &mut self.cursor, &mut self.keys, &mut self.values, count) {
                Ok(Batch::More(n)) => break n,
                Ok(Batch::Last(n)) => {
                    self.done = true;
                    break n;
                }
                Ok(Batch::TooSmall) if self.count < 65_536 => {
                    self.count *= 2;
                    self.resize();
                }
                Ok(Batch::TooSmall) => return Err("a bucket of the map is larger than any batch".into()),
                Err(e) => return Err(format!("reading the map of flows: {e}")),
            }
        };
        let keys = self.keys.as_chunks::<KEY>().0.iter();
        let values = self.values.chunks_exact(COUNT).map(Count::of);
        Ok(Some(keys.copied().zip(values).take(taken).collect()))
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

fn tuple(key: &KeyBytes) -> Tuple {
    let (src, dst) = if key[38] == 4 {
        let v4 = |at: usize| IpAddr::V4(Ipv4Addr::new(key[at], key[at + 1], key[at + 2], key[at + 3]));
        (v4(0), v4(16))
    } else {
        let v6 = |at: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&key[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(bytes))
        };
        (v6(0), v6(16))
    };
    let port = |at: usize| u16::from_ne_bytes([key[at], key[at + 1]]);
    Tuple { src, dst, src_port: port(32), dst_port: port(34), protocol: key[36] }
}

fn watch_drops(bpf: &mut Ebpf) -> Result<()> {
    let program: &mut RawTracePoint = bpf
        .program_mut("dropped")
        .and_then(|p| p.try_into().ok())
        .ok_or_else(|| Error::Unsupported("the object has no program dropped".into()))?;
    program.load().map_err(|e| refused("dropped", &e))?;
    program.attach("kfree_skb").map_err(|e| refused("kfree_skb", &e))?;
    Ok(())
}

/// Says whether rights are missing or something of the kernel, with the whole chain of causes.
fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let (mut text, mut rights) = (format!("{what}: {error}"), false);
    let mut next = error.source();
    let mut first = Some(error);
    while let Some(e) = first.take().or_else(|| next.take()) {
        let code = e.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        rights |= matches!(code, Some(libc::EPERM | libc::EACCES));
        next = e.source();
        if let Some(cause) = next {
            text = format!("{text}: {cause}");
        }
    }
    if rights { Error::Rights(text) } else { Error::Unsupported(text) }
}

#[cfg(test)]
#[path = "program/tests.rs"]
mod tests;
