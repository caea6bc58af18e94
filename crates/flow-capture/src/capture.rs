//! The handle of a running capture.

use crate::options::{Method, Options};
use crate::worker::Worker;
use crate::{Error, Result, sys};
use flow_record::{Delivery, Loss};
use runtime::Clock;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running capture. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    incoming: Receiver<Delivery>,
    thread: Option<JoinHandle<()>>,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The next delivery.
    Delivery(Delivery),
    /// Nothing came in the time given.
    Nothing,
    /// The capture has ended and everything was delivered.
    Ended,
}

/// How a capture does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it observes; [`Method::Best`] before that is settled.
    pub method: Method,
    /// Why the better method could not be had.
    pub fallback: Option<String>,
    /// What this way of observing can't tell.
    pub limits: Vec<&'static str>,
    /// Does it observe? If not, why.
    pub state: State,
    /// Each device: those of the options in their order, then those that were found, by their numbers as sources.
    pub devices: Vec<DeviceStatus>,
    /// Windows ended.
    pub windows: u64,
    /// Packets accounted, in all windows.
    pub packets: u64,
    /// What was not accounted, in all windows.
    pub loss: Loss,
}

/// Does a capture observe?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Yes, as far as its devices are there.
    Running,
    /// The namespace isn't there, or can't be entered. It is tried again every second.
    NoNamespace(String),
    /// The process may not enter the namespace.
    Denied(String),
    /// Reading the counts failed; the windows concerned say that they lost something.
    Failing(String),
    /// It was stopped.
    Stopped,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its name.
    pub name: String,
    /// Is it observed?
    pub state: DeviceState,
}

/// Is a device observed?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState {
    /// Yes; its number in the namespace.
    Attached(u32),
    /// There is none of this name. It will be observed when there is one.
    Missing,
    /// It could not be attached to; tried again every second.
    Failed(String),
}

/// What the handle and the thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wake: OwnedFd,
    pub(crate) stop: AtomicBool,
    /// The thread waits for room in the queue.
    pub(crate) waits: AtomicBool,
    status: Mutex<Status>,
}

impl Shared {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Capture {
    /// Starts one, on a thread of its own, and waits until it observes. A device or namespace that isn't there is no error:
    /// [`Capture::status`] tells, and it is observed when it comes.
    ///
    /// # Errors
    /// When the options are wrong, rights are missing, or the kernel can't do it.
    pub fn start(options: Options, clock: Clock) -> Result<Self> {
        options.check().map_err(|problems| Error::Options(problems.join("; ")))?;
        let status = Status {
            method: Method::Best,
            fallback: None,
            limits: Vec::new(),
            state: State::Running,
            devices: options
                .devices
                .iter()
                .map(|name| DeviceStatus { name: name.clone(), state: DeviceState::Missing })
                .collect(),
            windows: 0,
            packets: 0,
            loss: Loss::default(),
        };
        let shared = Arc::new(Shared {
            wake: sys::event().map_err(|e| Error::Unsupported(format!("eventfd: {e}")))?,
            stop: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            status: Mutex::new(status),
        });
        let (out, incoming) = sync_channel(options.queue);
        let (ready, started) = sync_channel(1);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("flow-capture".into()).spawn(move || {
            match Worker::start(options, clock, for_thread, out) {
                Ok(worker) => {
                    // The handle waits for this answer.
                    let _ = ready.send(Ok(()));
                    worker.run();
                }
                Err(e) => drop(ready.send(Err(e))),
            }
        });
        let thread = thread.map_err(|e| Error::Unsupported(format!("no thread can be had: {e}")))?;
        started.recv().unwrap_or_else(|_| Err(Error::Unsupported("the thread ended early".into())))?;
        Ok(Self { shared, incoming, thread: Some(thread) })
    }

    /// The next delivery, waited for up to a time. Whoever reads slowly makes windows longer; nothing is lost by that until
    /// a window has more flows than the options allow.
    pub fn next(&mut self, wait: Duration) -> Next {
        let got = match self.incoming.try_recv() {
            Ok(delivery) => Ok(delivery),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => self.incoming.recv_timeout(wait),
        };
        if self.shared.waits.swap(false, Ordering::AcqRel) {
            sys::raise(&self.shared.wake);
        }
        match got {
            Ok(delivery) => Next::Delivery(delivery),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Ended,
        }
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Asks it to end: the window that is open ends now and is delivered, then [`Next::Ended`] comes. Read on until then.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        sys::raise(&self.shared.wake);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
        // The thread may wait for room: make it, until it has let go of its end.
        while !matches!(self.next(Duration::from_millis(100)), Next::Ended) {}
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its hook.
            let _ = thread.join();
        }
    }
}
