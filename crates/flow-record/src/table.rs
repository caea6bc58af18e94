//! Sums per flow in this process, for observers whose system doesn't sum up for them.
//!
//! The number of flows is bounded. A flow that finds no room is counted as lost, with its packets: sums that are in the table
//! stay exact, and table + loss is all that was observed.

use crate::{Action, Direction, Extras, Flow, LogStatus, Loss, Record, SourceId, Tuple};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

/// One observed packet, or sum of packets, of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Where it was seen.
    pub source: SourceId,
    /// Which flow.
    pub tuple: Tuple,
    /// Which way it passed.
    pub direction: Option<Direction>,
    /// Was it let through?
    pub action: Action,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Unix second of the first packet.
    pub first: i64,
    /// Unix second of the last packet.
    pub last: i64,
    /// TCP flags.
    pub tcp_flags: u8,
}

/// Flows of one window.
#[derive(Debug, Default)]
pub struct FlowTable {
    rows: HashMap<Key, Sums, BuildHasherDefault<Mixer>>,
    room: usize,
    loss: Loss,
    packets: u64,
}

impl FlowTable {
    /// A table of at most `room` flows.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Adds what was observed, or counts it as lost when its flow is new and the table is full.
    pub fn add(&mut self, seen: &Observation) {
        let full = self.rows.len() >= self.room;
        let key =
            Key { source: seen.source, tuple: seen.tuple, direction: seen.direction, action: seen.action };
        match self.rows.entry(key) {
            Entry::Occupied(row) => row.into_mut().add(seen),
            Entry::Vacant(_) if full => {
                self.loss.packets = self.loss.packets.saturating_add(seen.packets);
                self.loss.bytes = self.loss.bytes.saturating_add(seen.bytes);
                return;
            }
            Entry::Vacant(row) => {
                row.insert(Sums::of(seen));
            }
        }
        self.packets = self.packets.saturating_add(seen.packets);
    }

    /// How many flows it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Does it hold none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Packets accounted.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// What found no room.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Takes all flows out, as records in no order. The memory goes with the iterator.
    pub fn into_records(self) -> impl Iterator<Item = Record> {
        self.rows.into_iter().map(|(key, sums)| sums.record(&key))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: SourceId,
    tuple: Tuple,
    direction: Option<Direction>,
    action: Action,
}

#[derive(Debug, Clone, Copy)]
struct Sums {
    packets: u64,
    bytes: u64,
    first: i64,
    last: i64,
    tcp_flags: u8,
}

impl Sums {
    fn of(seen: &Observation) -> Self {
        Self {
            packets: seen.packets,
            bytes: seen.bytes,
            first: seen.first,
            last: seen.last,
            tcp_flags: seen.tcp_flags,
        }
    }

    fn add(&mut self, seen: &Observation) {
        self.packets = self.packets.saturating_add(seen.packets);
        self.bytes = self.bytes.saturating_add(seen.bytes);
        self.first = self.first.min(seen.first);
        self.last = self.last.max(seen.last);
        self.tcp_flags |= seen.tcp_flags;
    }

    fn record(&self, key: &Key) -> Record {
        let extras = Extras { direction: key.direction, tcp_flags: self.tcp_flags, ..Extras::default() };
        let flow =
            Flow { tuple: key.tuple, packets: self.packets, bytes: self.bytes, action: key.action, extras };
        Record {
            source: key.source,
            flow: Some(flow),
            start: self.first,
            end: self.last,
            status: LogStatus::Ok,
        }
    }
}

/// A quick hash over words. Somebody who sends chosen addresses could make a plain one collide, so it begins at a place that
/// differs from process to process.
#[derive(Debug)]
struct Mixer(u64);

impl Default for Mixer {
    fn default() -> Self {
        Self(seed())
    }
}

fn seed() -> u64 {
    use std::hash::BuildHasher;
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| std::collections::hash_map::RandomState::new().hash_one(0u8))
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    // Enums hash their variant so, arrays their length: neither tells rows of one table apart well enough to pay for a round.
    fn write_isize(&mut self, n: isize) {
        self.0 = self.0.rotate_left(5).wrapping_add(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.0 = self.0.rotate_left(5).wrapping_add(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn seen(host: u32, packets: u64) -> Observation {
        let tuple = Tuple {
            src: IpAddr::V4(Ipv4Addr::from(host)),
            dst: IpAddr::V4(Ipv4Addr::LOCALHOST),
            src_port: 1,
            dst_port: 2,
            protocol: 6,
        };
        Observation {
            source: SourceId(0),
            tuple,
            direction: None,
            action: Action::Accept,
            packets,
            bytes: packets * 100,
            first: 10,
            last: 20,
            tcp_flags: 2,
        }
    }

    #[test]
    fn sums_per_flow() {
        let mut table = FlowTable::new(10);
        table.add(&seen(1, 3));
        table.add(&Observation { first: 5, last: 30, tcp_flags: 16, ..seen(1, 4) });
        table.add(&seen(2, 1));
        let mut records: Vec<_> = table.into_records().collect();
        records.sort_by_key(|r| r.flow.map(|f| f.tuple));
        let flow = records[0].flow.unwrap();
        assert_eq!((flow.packets, flow.bytes, flow.extras.tcp_flags), (7, 700, 18));
        assert_eq!((records[0].start, records[0].end, records.len()), (5, 30, 2));
    }

    #[test]
    fn a_full_table_keeps_its_flows_exact_and_counts_the_rest() {
        let mut table = FlowTable::new(100);
        for round in 0..3 {
            for host in 0..1_000 {
                table.add(&seen(host, 1 + round));
            }
        }
        assert_eq!(table.len(), 100);
        assert_eq!(table.packets() + table.loss().packets, 1_000 * (1 + 2 + 3));
        assert_eq!(table.packets(), 100 * 6);
    }

    #[test]
    fn neighbouring_flows_spread() {
        // 65,536 hosts of one network into 65,536 buckets: a good hash leaves about 1/e of them empty.
        use std::hash::Hash;
        let mut used = vec![false; 65_536];
        for host in 0..65_536 {
            let mut hash = Mixer::default();
            seen(0x0A00_0000 + host, 1).tuple.hash(&mut hash);
            used[(hash.finish() & 0xffff) as usize] = true;
        }
        let filled = used.iter().filter(|u| **u).count();
        assert!(filled > 38_000, "{filled}");
    }
}
