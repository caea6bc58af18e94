//! From datagrams to observations.
//!
//! Everything here comes from outside: lengths are checked before they are used, and what is kept (exporters, templates, rates)
//! has a limit.

mod bytes;
mod fields;
mod keep;
mod netflow5;
mod sflow;
mod templates;

use bytes::Bytes;
use flow_record::{Observation, SourceId};
use std::collections::HashMap;
use std::net::IpAddr;
use templates::{Domain, Room};

const MAX_DOMAINS: usize = 64;

/// What a datagram was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Flow records, or samples, read.
    pub records: u64,
    /// Records or datagrams that were sent before it and did not come, by the exporter's numbers.
    pub gaps: u64,
    /// Parts of it that could not be read: 1 for the whole, or 1 for each set without a template.
    pub malformed: u64,
}

/// Reads the datagrams of many exporters.
#[derive(Debug, Default)]
pub struct Decoder {
    exporters: Vec<Exporter>,
    known: HashMap<IpAddr, SourceId>,
    room: usize,
    changed: bool,
    /// For templates.
    templates: Room,
}

#[derive(Debug)]
struct Exporter {
    address: IpAddr,
    domains: HashMap<(u16, u32), Domain>,
    room: Room,
}

/// What a record's times are relative to.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    /// When the datagram was sent, in milliseconds since the epoch.
    sent: i64,
    /// Milliseconds that the exporter had been running then, where it says so.
    uptime: Option<u32>,
}

impl Moment {
    /// The moment at which the exporter had been running for so long.
    fn at_uptime(self, millis: u32) -> Option<i64> {
        // It wraps after 49 days; differences stay right.
        Some(self.sent - i64::from(self.uptime?.wrapping_sub(millis) as i32))
    }
}

impl Decoder {
    /// For so many exporters at most.
    #[must_use]
    pub fn new(exporters: usize) -> Self {
        Self { room: exporters, ..Self::default() }
    }

    /// An exporter's number; a new one is taken in while there is room.
    pub fn source(&mut self, exporter: IpAddr) -> Option<SourceId> {
        let address = exporter.to_canonical();
        if let Some(id) = self.known.get(&address) {
            return Some(*id);
        }
        if self.exporters.len() >= self.room {
            return None;
        }
        let id = SourceId(self.exporters.len() as u32);
        self.exporters.push(Exporter { address, domains: HashMap::new(), room: self.templates.clone() });
        self.known.insert(address, id);
        Some(id)
    }

    /// The addresses of all exporters, by their numbers.
    pub fn exporters(&self) -> impl Iterator<Item = IpAddr> {
        self.exporters.iter().map(|e| e.address)
    }

    /// Reads one datagram of an exporter; `now` is the second of its arrival.
    pub fn decode(
        &mut self,
        source: SourceId,
        datagram: &[u8],
        now: i64,
        each: impl FnMut(&Observation),
    ) -> Outcome {
        let Some(exporter) = self.exporters.get_mut(source.0 as usize) else { return Outcome::default() };
        let mut call = Call { source, now, outcome: Outcome::default(), each };
        let read = match Bytes(datagram).u16() {
            Some((5, rest)) => netflow5::read(exporter, rest, &mut call),
            Some((version @ (9 | 10), rest)) => {
                templates::read(exporter, version, rest, &mut self.changed, &mut call)
            }
            // sFlow's version has 32 bits.
            Some((0, _)) => sflow::read(exporter, datagram, &mut call),
            _ => None,
        };
        call.outcome.malformed += u64::from(read.is_none());
        call.outcome
    }

    /// Has anything changed that a restart would have to know?
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What was taken could not be kept: it is to be tried again.
    pub fn still_changed(&mut self) {
        self.changed = true;
    }
}

/// One call of [`Decoder::decode`].
struct Call<F> {
    source: SourceId,
    now: i64,
    outcome: Outcome,
    each: F,
}

impl<F: FnMut(&Observation)> Call<F> {
    fn tell(&mut self, seen: &Observation) {
        self.outcome.records += 1;
        (self.each)(seen);
    }
}

impl Exporter {
    fn domain(&mut self, version: u16, number: u32) -> Option<&mut Domain> {
        if self.domains.len() >= MAX_DOMAINS && !self.domains.contains_key(&(version, number)) {
            return None;
        }
        let new = || Domain { room: self.room.clone(), ..Domain::default() };
        Some(self.domains.entry((version, number)).or_insert_with(new))
    }
}

/// How many are missing before number `got`, when `expected` should have come. An exporter that starts anew, or whose datagrams come
/// in another order, misses nothing.
fn gap(expected: Option<u32>, got: u32) -> u64 {
    const NOT_A_GAP: u32 = 1 << 20;
    match expected.map(|e| got.wrapping_sub(e)) {
        Some(missing) if missing < NOT_A_GAP => u64::from(missing),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
