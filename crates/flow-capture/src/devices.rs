//! The devices of a capture: attached when they come, let go when they go.
//!
//! The kernel says when a link changes (rtnetlink); what is then true is asked for. A device that was removed and made again has
//! another number, and so is attached anew; its window says that something may be missing.
//!
//! Beside the devices that the options name there may be such that are found: all of the namespace, and the ports of bridges. **A
//! port counts only what its bridge passes on to it from another port**: what goes to and from the bridge's own address passes the
//! bridge's device, and is counted there. So each packet of a bridge counts once.

use crate::capture::{DeviceState, DeviceStatus};
use crate::links::{self, Listed};
use crate::meter::{Device, Link, Meter, Part};
use crate::options::{Method, Options};
use crate::sys;
use flow_record::SourceId;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const RTMGRP_LINK: u32 = 1;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// Devices at most, those that are found among them.
pub(crate) const MOST: usize = 256;
/// After so many windows without its device a place is given to another one.
const IDLE: u32 = 3;

#[derive(Debug)]
pub(crate) struct Devices {
    slots: Vec<Slot>,
    links: Option<OwnedFd>,
    every: bool,
    ports: bool,
    /// More were found than there are places.
    crowded: bool,
    /// Where the namespace as a whole is observed, and no device: was it not, at some time of this window?
    whole: Option<bool>,
}

#[derive(Debug)]
struct Slot {
    source: SourceId,
    name: String,
    part: Part,
    /// The options name it.
    named: bool,
    /// A device that was found: it still is.
    wanted: bool,
    state: DeviceState,
    /// In this window it was not observed all the time that it was there.
    gap: bool,
    /// Windows without it.
    idle: u32,
}

impl Devices {
    pub(crate) fn new(options: &Options) -> Self {
        let named = options.devices.iter().enumerate();
        Self {
            slots: named.map(|(n, name)| Slot::new(n, name, Part::Whole, true)).collect(),
            links: None,
            every: options.every_device,
            ports: options.bridge_ports,
            crowded: false,
            whole: (options.method == Method::Connections).then_some(false),
        }
    }

    /// Listens to the links of this thread's namespace.
    pub(crate) fn listen(&mut self) -> Result<(), String> {
        let socket = sys::netlink(libc::NETLINK_ROUTE, RTMGRP_LINK);
        self.links = Some(socket.map_err(|e| format!("listening to changes of links: {e}"))?);
        self.not_observed();
        Ok(())
    }

    /// The namespace as a whole was not observed for a while.
    pub(crate) fn not_observed(&mut self) {
        if let Some(gap) = &mut self.whole {
            *gap = true;
        }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.links.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Has any link changed since the last call?
    pub(crate) fn changed(&self) -> bool {
        self.descriptor().is_some_and(sys::empty)
    }

    pub(crate) fn statuses(&self) -> Vec<DeviceStatus> {
        self.slots.iter().map(|s| DeviceStatus { name: s.name.clone(), state: s.state.clone() }).collect()
    }

    /// Attaches and lets go, as the namespace has it now.
    pub(crate) fn look(&mut self, meter: &mut dyn Meter) {
        if self.every || self.ports {
            match links::all() {
                Ok(all) => self.find(&all, meter),
                Err(e) => tracing::warn!(error = %e, "the devices of a namespace can't be listed"),
            }
        }
        for slot in &mut self.slots {
            if slot.named || slot.wanted {
                slot.look(meter);
            } else {
                slot.detach(meter);
            }
        }
    }

    pub(crate) fn detach_all(&mut self, meter: &mut dyn Meter) {
        for slot in &mut self.slots {
            slot.detach(meter);
        }
        self.links = None;
    }

    /// The devices were there when the capture began.
    pub(crate) fn forget_gaps(&mut self) {
        self.take_gaps();
    }

    /// Which devices have a gap in the window that ends.
    pub(crate) fn take_gaps(&mut self) -> Vec<bool> {
        if let Some(gap) = &mut self.whole {
            return vec![std::mem::take(gap)];
        }
        let crowded = self.crowded;
        let gap = |s: &mut Slot| {
            s.idle = if s.state == DeviceState::Missing { s.idle.saturating_add(1) } else { 0 };
            std::mem::take(&mut s.gap) || matches!(s.state, DeviceState::Failed(_)) || crowded
        };
        self.slots.iter_mut().map(gap).collect()
    }

    /// Makes places for devices that are found, and marks those that are found no more.
    fn find(&mut self, all: &[Listed], meter: &mut dyn Meter) {
        let by_index: HashMap<u32, &Listed> = all.iter().map(|l| (l.index, l)).collect();
        for slot in &mut self.slots {
            slot.wanted = false;
        }
        self.crowded = false;
        for link in all {
            let Some(part) = self.part(link, by_index.get(&link.master).copied()) else { continue };
            match self.slots.iter_mut().find(|s| s.name == link.name) {
                Some(slot) if slot.named => {}
                Some(slot) => {
                    if slot.part != part {
                        slot.detach(meter);
                        slot.part = part;
                    }
                    slot.wanted = true;
                }
                None => self.place(link, part),
            }
        }
    }

    /// What of a device is to be counted, if anything.
    fn part(&self, link: &Listed, master: Option<&Listed>) -> Option<Part> {
        let is = |kind| master.is_some_and(|m| m.kind == kind);
        let named = |name: &str| self.slots.iter().any(|s| s.named && s.name == name);
        if link.name == "lo" {
            return None;
        }
        if is("bridge") {
            let wanted = self.every || master.is_some_and(|m| named(&m.name));
            return wanted.then_some(Part::Forwarded);
        }
        // What passes a part of a bond passes the bond.
        (self.every && !is("bond") && !is("team")).then_some(Part::Whole)
    }

    fn place(&mut self, link: &Listed, part: Part) {
        let free = self.slots.iter().find(|s| !s.named && !s.wanted && s.idle >= IDLE);
        let n = match free {
            Some(slot) => slot.source.0 as usize,
            None if self.slots.len() < MOST => self.slots.len(),
            None => {
                self.crowded = true;
                return;
            }
        };
        let slot = Slot { wanted: true, ..Slot::new(n, &link.name, part, false) };
        match self.slots.get_mut(n) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
    }
}

impl Slot {
    fn new(n: usize, name: &str, part: Part, named: bool) -> Self {
        Self {
            source: SourceId(n as u32),
            name: name.to_owned(),
            part,
            named,
            wanted: false,
            state: DeviceState::Missing,
            gap: false,
            idle: 0,
        }
    }

    fn look(&mut self, meter: &mut dyn Meter) {
        let Some(index) = sys::device_index(&self.name) else {
            self.detach(meter);
            return;
        };
        if self.state == DeviceState::Attached(index) {
            return;
        }
        self.detach(meter);
        self.gap = true;
        let link = match sys::link_kind(&self.name) {
            Ok(ARPHRD_ETHER | ARPHRD_LOOPBACK) => Link::Ethernet,
            Ok(_) => Link::Plain,
            // It has just gone again.
            Err(_) => return,
        };
        let device = Device { source: self.source, name: &self.name, index, link, part: self.part };
        self.state = match meter.attach(&device) {
            Ok(()) => DeviceState::Attached(index),
            Err(told) => DeviceState::Failed(told),
        };
    }

    fn detach(&mut self, meter: &mut dyn Meter) {
        if matches!(self.state, DeviceState::Attached(_)) {
            meter.detach(self.source);
        }
        self.state = DeviceState::Missing;
    }
}
