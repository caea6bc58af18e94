//! The thread of a capture: it lives in the devices' namespace, keeps them attached, ends windows and hands them over.
//!
//! It never waits for its reader: when the queue is full the ended window stays where it is (in the kernel's maps), the next
//! one goes on, and devices are still looked after.

use crate::capture::{Shared, State};
use crate::devices::Devices;
use crate::meter::{Clocks, Meter};
use crate::namespace::{Home, NoPlace, Place};
use crate::nat::Nat;
use crate::options::{Method, Options};
use crate::packets::Packets;
use crate::program::Program;
use crate::{Error, Result, sys};
use flow_record::{Delivery, LogStatus, Loss, Record, SourceId, Window};
use runtime::Clock;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// Records of one delivery.
const BATCH: usize = 1_024;
/// How often namespace and failed devices are looked at.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    options: Options,
    clock: Clock,
    shared: Arc<Shared>,
    out: SyncSender<Delivery>,
    meter: Box<dyn Meter>,
    home: Option<Home>,
    place: Option<Place>,
    devices: Devices,
    looked: u64,
    open: Open,
    ended: Option<Ended>,
    pending: Option<Delivery>,
    reader_gone: bool,
}

/// The window that is being observed.
struct Open {
    number: u64,
    start: i64,
    deadline: u64,
}

/// The window that is being handed over.
struct Ended {
    window: Window,
    /// Per device: did it have records, was it away for a while.
    had: Vec<bool>,
    gaps: Vec<bool>,
    /// All its flows are out.
    told: bool,
    /// So are the statuses of its devices.
    closed: bool,
}

impl Worker {
    pub(crate) fn start(
        options: Options,
        clock: Clock,
        shared: Arc<Shared>,
        out: SyncSender<Delivery>,
    ) -> Result<Self> {
        let (meter, method, fallback) = choose(&options, &clock)?;
        let limits = meter.limits();
        shared.set(|s| (s.method, s.fallback, s.limits) = (method, fallback, limits));
        let devices = Devices::new(&options);
        let open = Open { number: 0, start: 0, deadline: 0 };
        let mut worker = Self {
            options,
            clock,
            shared,
            out,
            meter,
            // Without /proc it stays where it is.
            home: Home::here().ok(),
            place: None,
            devices,
            looked: 0,
            open,
            ended: None,
            pending: None,
            reader_gone: false,
        };
        worker.begin_window(0);
        worker.look();
        worker.devices.forget_gaps();
        Ok(worker)
    }

    pub(crate) fn run(mut self) {
        while !self.reader_gone && !self.shared.stop.load(Ordering::Acquire) {
            self.wait();
            self.meter.take_in();
            let now = sys::monotonic();
            if self.devices.changed() || now.saturating_sub(self.looked) >= LOOK.as_nanos() as u64 {
                self.look();
            }
            self.hand_over();
            if self.ended.is_none() && now >= self.open.deadline {
                self.end_window();
                self.hand_over();
            }
        }
        self.finish();
    }

    /// Ends the open window early and delivers all of it, as long as somebody reads.
    fn finish(&mut self) {
        self.hand_over_all();
        self.meter.settle();
        self.end_window();
        self.devices.detach_all(self.meter.as_mut());
        self.hand_over_all();
        self.shared.set(|s| s.state = State::Stopped);
    }

    fn hand_over_all(&mut self) {
        while self.ended.is_some() && !self.reader_gone {
            self.hand_over();
            if self.pending.is_some() {
                self.wait();
            }
        }
    }

    fn wait(&self) {
        let mut fds = vec![self.shared.wake.as_raw_fd()];
        fds.extend(self.devices.descriptor());
        fds.extend(self.meter.descriptors());
        let left = Duration::from_nanos(self.open.deadline.saturating_sub(sys::monotonic()));
        // A window that can't end before another one is handed over needs no alarm.
        let wait = if self.pending.is_some() { LOOK } else { left.min(LOOK) + Duration::from_millis(1) };
        if let Err(e) = sys::poll(&fds, wait) {
            tracing::warn!(error = %e, "waiting for the capture's descriptors failed");
            std::thread::sleep(Duration::from_millis(100));
        }
        sys::empty(self.shared.wake.as_raw_fd());
    }

    /// Looks whether the namespace and the devices are still those that are observed.
    fn look(&mut self) {
        self.looked = sys::monotonic();
        if self.place.as_ref().is_some_and(|p| !p.is_there()) {
            self.devices.detach_all(self.meter.as_mut());
            self.meter.leave();
            self.place = None;
            if let Some(Err(e)) = self.home.as_ref().map(Home::go) {
                tracing::warn!(error = %e, "the thread could not leave a namespace that is gone");
            }
        }
        if self.place.is_none() {
            match self.enter() {
                Ok(place) => {
                    self.place = Some(place);
                    self.shared.set(|s| s.state = State::Running);
                }
                Err(no) => {
                    if let Some(Err(e)) = self.home.as_ref().map(Home::go) {
                        tracing::warn!(error = %e, "the thread could not leave a namespace that it can't observe");
                    }
                    self.devices.not_observed();
                    self.shared.set(|s| {
                        s.state = match no {
                            NoPlace::Absent(told) => State::NoNamespace(told),
                            NoPlace::Denied(told) => State::Denied(told),
                        };
                    });
                }
            }
        }
        if self.place.is_some() {
            self.devices.look(self.meter.as_mut());
        }
        let statuses = self.devices.statuses();
        self.shared.set(|s| s.devices = statuses);
    }

    fn enter(&mut self) -> std::result::Result<Place, NoPlace> {
        let place = Place::enter(&self.options.namespace)?;
        self.devices.listen()?;
        self.meter.enter(place.number())?;
        Ok(place)
    }

    /// Windows begin at multiples of their length by the wall clock, so the first one is shorter, and one in which the clock
    /// is set as well.
    fn begin_window(&mut self, number: u64) {
        let clocks = self.clocks();
        let length = i64::try_from(self.options.window.as_micros()).unwrap_or(i64::MAX);
        let left = length - clocks.wall_micros.rem_euclid(length);
        let deadline = clocks.monotonic.saturating_add(left as u64 * 1_000);
        self.open = Open { number, start: clocks.wall_micros.div_euclid(1_000_000), deadline };
    }

    fn clocks(&self) -> Clocks {
        Clocks { monotonic: sys::monotonic(), wall_micros: self.clock.now().0 }
    }

    fn end_window(&mut self) {
        let clocks = self.clocks();
        let failed = self.meter.turn(clocks).err();
        let end = clocks.wall_micros.div_euclid(1_000_000).max(self.open.start);
        let (start, number) = (self.open.start, self.open.number);
        let window = Window { number, start, end, records: 0, packets: 0, other: 0, loss: Loss::default() };
        let gaps = self.devices.take_gaps();
        self.ended = Some(Ended { window, had: vec![false; gaps.len()], gaps, told: false, closed: false });
        if let Some(told) = failed {
            self.fail(told);
        }
        self.begin_window(number + 1);
    }

    /// Counts can't be read: the rest of the window is lost, and it says so.
    fn fail(&mut self, told: String) {
        tracing::warn!(error = told, "reading a window of flows failed");
        if let Some(ended) = &mut self.ended {
            ended.told = true;
            ended.gaps.fill(true);
        }
        self.shared.set(|s| s.state = State::Failing(told));
    }

    fn hand_over(&mut self) {
        loop {
            if let Some(delivery) = self.pending.take() {
                self.shared.waits.store(true, Ordering::Release);
                match self.out.try_send(delivery) {
                    Ok(()) => self.shared.waits.store(false, Ordering::Release),
                    Err(TrySendError::Full(back)) => {
                        self.pending = Some(back);
                        return;
                    }
                    Err(TrySendError::Disconnected(_)) => {
                        self.reader_gone = true;
                        return;
                    }
                }
            }
            match self.next_delivery() {
                Some(delivery) => self.pending = Some(delivery),
                None => return,
            }
        }
    }

    fn next_delivery(&mut self) -> Option<Delivery> {
        let ended = self.ended.as_mut()?;
        let mut records = Vec::with_capacity(BATCH);
        while !ended.told && records.is_empty() {
            match self.meter.hand_over(BATCH, &mut records) {
                Ok(more) => ended.told = !more,
                Err(told) => {
                    self.fail(told);
                    break;
                }
            }
        }
        let ended = self.ended.as_mut()?;
        for record in &mut records {
            record.end = record.end.clamp(ended.window.start, ended.window.end);
            record.start = record.start.clamp(ended.window.start, record.end);
            if let Some(had) = ended.had.get_mut(record.source.0 as usize) {
                *had = true;
            }
        }
        ended.window.records += records.len() as u64;
        if !records.is_empty() {
            return Some(Delivery::Records(records));
        }
        self.close()
    }

    /// What remains of a window whose flows are all out: a status for each device that needs one, then its end.
    fn close(&mut self) -> Option<Delivery> {
        let ended = self.ended.as_mut()?;
        let sums = self.meter.sums();
        (ended.window.packets, ended.window.other, ended.window.loss) = (sums.packets, sums.other, sums.loss);
        let window = ended.window;
        let status = |status, n: usize| {
            let source = SourceId(n as u32);
            Record { source, flow: None, start: window.start, end: window.end, status }
        };
        if !std::mem::replace(&mut ended.closed, true) {
            let mut records = Vec::new();
            for (n, (had, gap)) in ended.had.iter().zip(&ended.gaps).enumerate() {
                if *gap || window.loss.any() {
                    records.push(status(LogStatus::SkipData, n));
                } else if !had {
                    records.push(status(LogStatus::NoData, n));
                }
            }
            if !records.is_empty() {
                return Some(Delivery::Records(records));
            }
        }
        self.ended = None;
        self.shared.set(|s| {
            s.windows += 1;
            s.packets = s.packets.saturating_add(window.packets);
            s.loss.add(&window.loss);
        });
        Some(Delivery::WindowEnd(window))
    }
}

fn choose(options: &Options, clock: &Clock) -> Result<(Box<dyn Meter>, Method, Option<String>)> {
    let refusal = match options.method {
        Method::Packets => None,
        Method::Connections => {
            return Ok((Box::new(Nat::open(options, clock.clone())?), Method::Connections, None));
        }
        Method::Bpf => return Ok((Box::new(Program::load(options)?), Method::Bpf, None)),
        Method::Best => match Program::load(options) {
            Ok(program) => return Ok((Box::new(program), Method::Bpf, None)),
            Err(e @ Error::Options(_)) => return Err(e),
            Err(e) => Some(e),
        },
    };
    match Packets::open(options) {
        Ok(packets) => Ok((Box::new(packets), Method::Packets, refusal.map(|e| e.to_string()))),
        // Both were tried: the better way's reason is the one to act on.
        Err(e) => Err(refusal.unwrap_or(e)),
    }
}
