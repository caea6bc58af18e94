//! The translating way: what went through a namespace's NAT, out of its connection tracking.
//!
//! Connection tracking counts by itself, per connection and direction, since the connection began. At the end of a window all
//! connections are listed, and what each has counted since the last list is the window's; a connection that ends tells its last
//! counts with its event. So nothing is counted twice, and a connection of hours is told window by window.
//!
//! A connection makes up to two flows, one for each direction: the tuple as the packets came in, and beside it
//! ([`Extras::translated`]) as they left. Connections that nothing translates are left out.
//!
//! **What is lost is counted.** Events that the kernel could not queue are counted by its word for it, once for an overflow, and
//! connections that vanished without their event once each; counts up to the last list are not affected. What this can't tell is
//! in [`Meter::limits`].

use crate::conntrack::{Connections, Counters, Event, Listing, Translation};
use crate::meter::{Clocks, Device, Meter, Sums};
use crate::options::Options;
use crate::{Error, Result};
use flow_record::{Action, Extras, Flow, LogStatus, Record, SourceId, TrafficType, Tuple};
use runtime::Clock;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, IntoIter};
use std::os::fd::RawFd;
use std::time::Duration;

/// What has to be on in the namespace.
const SWITCHES: [&str; 2] = ["nf_conntrack_acct", "nf_conntrack_events"];
/// Rounds of events that are taken in at once: a flood must not keep the thread here.
const ROUNDS: usize = 64;

/// A connection: the kernel's number comes again, so the tuple belongs to it.
type Id = (u32, Tuple);
/// A flow: the tuple as it came in, and as it left.
type Faces = (Tuple, Tuple);

/// Connections that are followed, and the flows of the open window.
pub(crate) struct Nat {
    room: usize,
    clock: Clock,
    events: Option<Connections>,
    listing: Option<Listing>,
    known: HashMap<Id, Known>,
    /// There were more connections at the beginning than may be followed: what an unknown one counted before is not known.
    unknown_began: bool,
    overflows: u64,
    lists: u64,
    flows: HashMap<Faces, Row>,
    open: Sums,
    ended: Option<IntoIter<Faces, Row>>,
    sums: Sums,
}

/// What is told already of a connection.
#[derive(Debug, Clone, Copy)]
struct Known {
    forward: Counters,
    backward: Counters,
    began: i64,
    /// The last list that had it.
    listed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    packets: u64,
    bytes: u64,
    first: i64,
    last: i64,
}

const NONE: Counters = Counters { packets: 0, bytes: 0 };

impl Nat {
    /// Makes sure that connection tracking may be listened to at all.
    pub(crate) fn open(options: &Options, clock: Clock) -> Result<Self> {
        if options.traffic == TrafficType::Reject {
            let told = "connection tracking knows no dropped packets: no flow log of REJECT alone";
            return Err(Error::Unsupported(told.into()));
        }
        Connections::here()?;
        Ok(Self {
            room: options.max_flows as usize,
            clock,
            events: None,
            listing: None,
            known: HashMap::new(),
            unknown_began: false,
            overflows: 0,
            lists: 0,
            flows: HashMap::new(),
            open: Sums::default(),
            ended: None,
            sums: Sums::default(),
        })
    }

    fn take_events(&mut self) {
        for _ in 0..ROUNDS {
            let Some(events) = &mut self.events else { return };
            let got = events.next(Duration::ZERO);
            let overflows = events.overflows();
            self.open.loss.unseen += overflows - self.overflows;
            self.overflows = overflows;
            let now = self.clock.now().seconds();
            match got {
                Ok(all) if all.is_empty() => return,
                Ok(all) => all.iter().filter(|t| is_translated(t)).for_each(|t| self.happened(t, now)),
                Err(e) => {
                    tracing::warn!(error = %e, "events of connection tracking can't be read");
                    self.open.loss.unseen += 1;
                    return;
                }
            }
        }
    }

    fn happened(&mut self, t: &Translation, now: i64) {
        let id = (t.id, t.original);
        match t.event {
            Event::New if self.known.len() < self.room => {
                let fresh = Known::new(t.began.unwrap_or(now), self.lists);
                self.known.entry(id).or_insert(fresh);
            }
            // It will be told when it ends, if there is no room before.
            Event::New => {}
            Event::Ended => {
                let known = self.known.remove(&id);
                match known {
                    Some(mut known) => self.count(&mut known, t, now),
                    None if self.unknown_began => self.open.loss.unseen += 1,
                    None => self.count(&mut Known::new(t.began.unwrap_or(now), 0), t, now),
                }
            }
        }
    }

    /// Takes what every connection has counted since the last list.
    fn list(&mut self, now: i64) {
        let Some(mut listing) = self.listing.take() else { return };
        self.lists += 1;
        let listed = listing.each(|t| {
            if is_translated(t) {
                self.listed(t, now);
            }
        });
        if let Err(e) = listed {
            // The counts are there at the next list.
            tracing::warn!(error = %e, "the connections can't be listed");
            self.open.loss.unseen += 1;
        } else {
            self.forget_vanished();
        }
        self.listing = Some(listing);
    }

    fn listed(&mut self, t: &Translation, now: i64) {
        let full = self.known.len() >= self.room;
        let mut known = match self.known.entry((t.id, t.original)) {
            Entry::Occupied(known) => *known.get(),
            // It ended, and was told with that.
            Entry::Vacant(_) if t.dying => return,
            Entry::Vacant(_) if full => {
                self.open.loss.unseen += 1;
                return;
            }
            Entry::Vacant(_) if self.unknown_began => {
                self.open.loss.unseen += 1;
                Known::at(t, now, self.lists)
            }
            // Its event was lost; it can't have begun before the first list.
            Entry::Vacant(_) => Known::new(t.began.unwrap_or(now), self.lists),
        };
        known.listed = self.lists;
        self.count(&mut known, t, now);
        self.known.insert((t.id, t.original), known);
    }

    /// A connection that is in no list any more must have told its end: where it didn't, its last counts are lost. A list may miss
    /// one while the kernel's table grows, so two of them are waited for.
    fn forget_vanished(&mut self) {
        let (lists, before) = (self.lists, self.known.len());
        self.known.retain(|_, k| k.listed + 2 >= lists);
        self.open.loss.unseen += (before - self.known.len()) as u64;
    }

    fn count(&mut self, known: &mut Known, t: &Translation, now: i64) {
        let (Some(forward), Some(backward)) = (t.forward, t.backward) else {
            // It began before counting was switched on.
            self.open.loss.unseen += 1;
            return;
        };
        let (there, again) = since(&mut known.forward, forward);
        let (back, too) = since(&mut known.backward, backward);
        // Somebody has set the counters to zero.
        self.open.loss.unseen += u64::from(again || too);
        let reply = |t: &Tuple| Tuple {
            src: t.dst,
            dst: t.src,
            src_port: t.dst_port,
            dst_port: t.src_port,
            protocol: t.protocol,
        };
        self.add((t.original, t.translated), there, known.began, now);
        self.add((reply(&t.translated), reply(&t.original)), back, known.began, now);
    }

    fn add(&mut self, faces: Faces, more: Counters, first: i64, last: i64) {
        if more.packets == 0 {
            return;
        }
        let full = self.flows.len() >= self.room;
        match self.flows.entry(faces) {
            Entry::Occupied(row) => {
                let row = row.into_mut();
                row.packets = row.packets.saturating_add(more.packets);
                row.bytes = row.bytes.saturating_add(more.bytes);
                (row.first, row.last) = (row.first.min(first), row.last.max(last));
            }
            Entry::Vacant(_) if full => {
                self.open.loss.packets = self.open.loss.packets.saturating_add(more.packets);
                self.open.loss.bytes = self.open.loss.bytes.saturating_add(more.bytes);
                return;
            }
            Entry::Vacant(row) => {
                row.insert(Row { packets: more.packets, bytes: more.bytes, first, last });
            }
        }
        self.open.packets = self.open.packets.saturating_add(more.packets);
    }
}

impl Known {
    fn new(began: i64, listed: u64) -> Self {
        Self { forward: NONE, backward: NONE, began, listed }
    }

    /// As one that is there before anybody looked: what it has counted is not of this time.
    fn at(t: &Translation, now: i64, listed: u64) -> Self {
        let (forward, backward) = (t.forward.unwrap_or(NONE), t.backward.unwrap_or(NONE));
        Self { forward, backward, began: t.began.unwrap_or(now), listed }
    }
}

/// What was counted since it was last told, and whether the counter began again in between.
fn since(told: &mut Counters, now: Counters) -> (Counters, bool) {
    let again = now.packets < told.packets;
    let from = if again { NONE } else { *told };
    *told = now;
    let more = Counters { packets: now.packets - from.packets, bytes: now.bytes.saturating_sub(from.bytes) };
    (more, again)
}

fn is_translated(t: &Translation) -> bool {
    t.source || t.destination
}

impl Meter for Nat {
    fn enter(&mut self, _namespace: u32) -> std::result::Result<(), String> {
        for switch in SWITCHES {
            match std::fs::read_to_string(format!("/proc/sys/net/netfilter/{switch}")) {
                Ok(text) if text.trim() != "0" => {}
                Ok(_) => {
                    return Err(format!(
                        "connection tracking doesn't tell what is needed: set net.netfilter.{switch}=1 in the namespace"
                    ));
                }
                Err(e) => return Err(format!("there is no connection tracking here: {e}")),
            }
        }
        // Events first: what begins between is in both, and told once.
        let events = Connections::here().map_err(|e| e.to_string())?;
        let mut listing = Listing::here().map_err(|e| format!("the list of connections: {e}"))?;
        let now = self.clock.now().seconds();
        let (room, lists) = (self.room, self.lists);
        let (known, mut too_many) = (&mut self.known, false);
        known.clear();
        let listed = listing.each(|t| {
            if known.len() >= room {
                too_many = true;
            } else if is_translated(t) && !t.dying {
                known.insert((t.id, t.original), Known::at(t, now, lists));
            }
        });
        listed.map_err(|e| format!("the list of connections: {e}"))?;
        self.unknown_began = too_many;
        (self.events, self.listing, self.overflows) = (Some(events), Some(listing), 0);
        Ok(())
    }

    fn leave(&mut self) {
        self.take_events();
        // The namespace is gone, and with it what its connections counted since the last list.
        self.open.loss.unseen += self.known.len() as u64;
        self.known.clear();
        (self.events, self.listing) = (None, None);
    }

    fn attach(&mut self, device: &Device<'_>) -> std::result::Result<(), String> {
        Err(format!("{} is a device, and connections are observed", device.name))
    }

    fn detach(&mut self, _source: SourceId) {}

    fn descriptors(&self) -> Vec<RawFd> {
        self.events.iter().map(Connections::descriptor).collect()
    }

    fn take_in(&mut self) {
        self.take_events();
    }

    fn turn(&mut self, clocks: Clocks) -> std::result::Result<(), String> {
        let now = clocks.second(clocks.monotonic);
        self.take_events();
        self.list(now);
        self.sums = std::mem::take(&mut self.open);
        self.ended = Some(std::mem::take(&mut self.flows).into_iter());
        Ok(())
    }

    fn hand_over(&mut self, room: usize, into: &mut Vec<Record>) -> std::result::Result<bool, String> {
        let Some(ended) = &mut self.ended else { return Ok(false) };
        for ((tuple, translated), row) in ended.by_ref() {
            let extras = Extras { translated: Some(translated), ..Extras::default() };
            let flow = Flow { tuple, packets: row.packets, bytes: row.bytes, action: Action::Accept, extras };
            let (start, end) = (row.first, row.last);
            into.push(Record { source: SourceId(0), flow: Some(flow), start, end, status: LogStatus::Ok });
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
            "no REJECT: connection tracking knows no dropped packets",
            "start and end are those of the connection and the window, not of packets",
            "packets that offload has merged count as one",
            "only connections that are translated",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Method, Namespace};

    const fn counters(packets: u64) -> Option<Counters> {
        Some(Counters { packets, bytes: packets * 100 })
    }

    fn one(event: Event, id: u32, packets: u64) -> Translation {
        let tuple = |src: [u8; 4], port| Tuple {
            src: src.into(),
            dst: [192, 0, 2, 9].into(),
            src_port: port,
            dst_port: 80,
            protocol: 6,
        };
        Translation {
            event,
            id,
            original: tuple([10, 0, 0, 1], 4_000),
            translated: tuple([192, 0, 2, 1], 5_000),
            source: true,
            destination: false,
            dying: false,
            began: None,
            forward: counters(packets),
            backward: counters(packets / 2),
        }
    }

    fn nat(room: u32) -> Option<Nat> {
        let mut options = Options::new(Namespace::Own, Vec::new());
        (options.method, options.max_flows) = (Method::Connections, room);
        Nat::open(&options, Clock::system()).inspect_err(|e| println!("SKIPPED: {e}")).ok()
    }

    fn flows(nat: &mut Nat) -> Vec<(u64, u16)> {
        nat.turn(Clocks { monotonic: 0, wall_micros: 100_000_000 }).unwrap();
        let mut records = Vec::new();
        while nat.hand_over(10, &mut records).unwrap() {}
        let mut rows: Vec<_> =
            records.iter().filter_map(|r| r.flow).map(|f| (f.packets, f.tuple.dst_port)).collect();
        rows.sort_unstable();
        rows
    }

    /// What was told of a connection is not told again, in the list, at the end, or when its number comes again.
    #[test]
    fn nothing_is_counted_twice() {
        let Some(mut nat) = nat(10) else { return };
        nat.happened(&one(Event::New, 1, 0), 90);
        nat.listed(&one(Event::New, 1, 10), 99);
        assert_eq!(flows(&mut nat), [(5, 5_000), (10, 80)], "both directions, as they came in");
        nat.listed(&one(Event::New, 1, 10), 99);
        assert_eq!(flows(&mut nat), [], "nothing since");
        nat.happened(&one(Event::Ended, 1, 16), 99);
        nat.listed(&Translation { dying: true, ..one(Event::New, 1, 16) }, 99);
        nat.happened(&one(Event::New, 1, 0), 99);
        nat.happened(&one(Event::Ended, 1, 2), 99);
        assert_eq!(flows(&mut nat), [(3 + 1, 5_000), (6 + 2, 80)]);
        assert_eq!(nat.sums().loss.unseen, 0);
    }

    /// Ends that were not told, counters that begin again, and connections without counters.
    #[test]
    fn what_is_lost_is_counted() {
        let Some(mut nat) = nat(10) else { return };
        nat.listed(&one(Event::New, 1, 10), 99);
        nat.listed(&one(Event::New, 1, 4), 99);
        assert_eq!(nat.open.loss.unseen, 1, "set to zero");
        nat.happened(&Translation { forward: None, ..one(Event::Ended, 2, 4) }, 99);
        assert_eq!(nat.open.loss.unseen, 2, "never counted");
        nat.lists += 3;
        nat.forget_vanished();
        assert_eq!((nat.open.loss.unseen, nat.known.len()), (3, 0), "vanished");
    }

    /// More flows than there is room for are lost with their packets; connections that can't be followed are told at their end.
    #[test]
    fn what_finds_no_room_is_counted() {
        let Some(mut nat) = nat(1) else { return };
        nat.happened(&one(Event::New, 1, 0), 90);
        nat.happened(&one(Event::New, 2, 0), 90);
        nat.listed(&one(Event::New, 1, 10), 99);
        assert_eq!((nat.open.packets, nat.open.loss.packets), (10, 5), "one direction");
        nat.listed(&one(Event::New, 2, 7), 99);
        assert_eq!(nat.open.loss.unseen, 1);
        assert_eq!(flows(&mut nat), [(10, 80)]);
        nat.happened(&one(Event::Ended, 2, 8), 99);
        assert_eq!(flows(&mut nat), [(8, 80)]);
    }
}
