//! What a way of observing does for the worker, which keeps windows, devices and deliveries.

use flow_record::{Loss, Record, SourceId};
use std::os::fd::RawFd;

/// What a device's packets begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The network's header.
    Plain,
}

/// Which of a device's packets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All.
    Whole,
    /// Of a bridge's port: those that the bridge passes on to it from another port.
    Forwarded,
}

/// A device to observe.
#[derive(Debug, Clone)]
pub(crate) struct Device<'a> {
    pub(crate) source: SourceId,
    pub(crate) name: &'a str,
    pub(crate) index: u32,
    pub(crate) link: Link,
    pub(crate) part: Part,
}

/// The sums of a window beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    /// Packets that the records, and those left out by the traffic type, stand for.
    pub(crate) packets: u64,
    /// Packets of other protocols.
    pub(crate) other: u64,
    /// What was not accounted.
    pub(crate) loss: Loss,
}

/// The two clocks at one moment: what the kernel's programs read, and what records are written in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) monotonic: u64,
    pub(crate) wall_micros: i64,
}

impl Clocks {
    /// The wall clock's second of a moment on the monotonic clock.
    pub(crate) fn second(&self, monotonic: u64) -> i64 {
        let ago = self.monotonic.saturating_sub(monotonic) / 1_000;
        self.wall_micros.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)).div_euclid(1_000_000)
    }
}

/// A way of observing. All calls come from the one thread that is in the devices' namespace.
pub(crate) trait Meter {
    /// The thread is in this namespace now; nothing is attached.
    fn enter(&mut self, namespace: u32) -> Result<(), String>;
    /// The namespace is gone: lets go of what keeps it alive.
    fn leave(&mut self) {}
    /// Observes a device from now on.
    fn attach(&mut self, device: &Device<'_>) -> Result<(), String>;
    /// Ends that; what was counted stays.
    fn detach(&mut self, source: SourceId);
    /// Descriptors to wait for, beside the clock.
    fn descriptors(&self) -> Vec<RawFd>;
    /// Takes in what has come.
    fn take_in(&mut self);
    /// Takes in also what the kernel still holds back, before a capture ends.
    fn settle(&mut self) {
        self.take_in();
    }
    /// Ends the window: what is observed from now on belongs to the next one.
    fn turn(&mut self, clocks: Clocks) -> Result<(), String>;
    /// Hands over records of the ended window, about `room` at most; says whether there are more.
    fn hand_over(&mut self, room: usize, into: &mut Vec<Record>) -> Result<bool, String>;
    /// The ended window's sums, once all records are handed over.
    fn sums(&self) -> Sums;
    /// What this way can't tell, for the operator.
    fn limits(&self) -> Vec<&'static str>;
}
