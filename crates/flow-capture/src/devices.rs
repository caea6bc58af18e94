//! The devices of a capture: attached when they come, let go when they go.
//!
//! The kernel says when a link changes (rtnetlink); what is then true is asked for by name. A device that was removed and made
//! again has another number, and so is attached anew; its window says that something may be missing.

use crate::capture::DeviceState;
use crate::meter::{Device, Link, Meter};
use crate::sys;
use flow_record::SourceId;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const RTMGRP_LINK: u32 = 1;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

#[derive(Debug)]
pub(crate) struct Devices {
    slots: Vec<Slot>,
    links: Option<OwnedFd>,
}

#[derive(Debug)]
struct Slot {
    source: SourceId,
    name: String,
    state: DeviceState,
    /// In this window it was not observed all the time that it was there.
    gap: bool,
}

impl Devices {
    pub(crate) fn new(names: &[String]) -> Self {
        let slot = |(n, name): (usize, &String)| Slot {
            source: SourceId(n as u32),
            name: name.clone(),
            state: DeviceState::Missing,
            gap: false,
        };
        Self { slots: names.iter().enumerate().map(slot).collect(), links: None }
    }

    /// Listens to the links of this thread's namespace.
    pub(crate) fn listen(&mut self) -> Result<(), String> {
        let socket = sys::netlink(libc::NETLINK_ROUTE, RTMGRP_LINK);
        self.links = Some(socket.map_err(|e| format!("listening to changes of links: {e}"))?);
        Ok(())
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.links.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Has any link changed since the last call?
    pub(crate) fn changed(&self) -> bool {
        self.descriptor().is_some_and(sys::empty)
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &DeviceState> {
        self.slots.iter().map(|s| &s.state)
    }

    /// Attaches and lets go, as the namespace has it now.
    pub(crate) fn look(&mut self, meter: &mut dyn Meter) {
        for slot in &mut self.slots {
            slot.look(meter);
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
        let failed = |s: &Slot| matches!(s.state, DeviceState::Failed(_));
        self.slots.iter_mut().map(|s| std::mem::take(&mut s.gap) || failed(s)).collect()
    }
}

impl Slot {
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
        self.state = match meter.attach(&Device { source: self.source, name: &self.name, index, link }) {
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
