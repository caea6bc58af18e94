//! The handle of a running collector.

use crate::socket::Socket;
use crate::worker::Worker;
use crate::{Error, Result};
use flow_record::{Delivery, Loss, SourceId, TrafficType};
use runtime::Clock;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What to collect.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen. With an IPv6 wildcard IPv4 is heard as well.
    pub listen: SocketAddr,
    /// Whose datagrams are read; everybody's when it is empty.
    pub allowed: Vec<IpAddr>,
    /// Which actions are wanted.
    pub traffic: TrafficType,
    /// Length of a window. Windows begin at multiples of it, by the wall clock.
    pub window: Duration,
    /// Flows that a window may hold, of all exporters; records of further ones are counted as lost.
    pub max_flows: u32,
    /// Exporters that are told apart; datagrams of further ones are counted as refused.
    pub max_exporters: u32,
    /// Where templates are kept over restarts.
    pub templates: Option<PathBuf>,
    /// Bytes of datagrams that may wait in the system.
    pub buffer: u32,
    /// Deliveries that may wait for their reader.
    pub queue: usize,
}

impl Options {
    /// The usual limits: windows of a minute, a million flows, 256 exporters.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            allowed: Vec::new(),
            traffic: TrafficType::All,
            window: Duration::from_secs(60),
            max_flows: 1_000_000,
            max_exporters: 256,
            templates: None,
            buffer: 32 << 20,
            queue: 64,
        }
    }

    fn check(&self) -> Result<()> {
        let sound = self.window >= Duration::from_millis(100)
            && self.window <= Duration::from_secs(3_600)
            && (1..=16_000_000).contains(&self.max_flows)
            && (1..=65_536).contains(&self.max_exporters)
            && (1..=4_096).contains(&self.queue);
        let told = "a window is 100 ms to an hour, with 1 to 16,000,000 flows of 1 to 65,536 exporters and a queue of 1 to 4,096";
        if sound { Ok(()) } else { Err(Error::Options(told.into())) }
    }
}

/// A running collector. Dropping it ends it.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
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
    /// The collector has ended and everything was delivered.
    Ended,
}

/// How a collector does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Each exporter, by its number.
    pub exporters: Vec<ExporterStatus>,
    /// Datagrams read.
    pub datagrams: u64,
    /// Records, or samples, in them.
    pub records: u64,
    /// Datagrams of senders that aren't allowed, or for whom there was no room.
    pub refused: u64,
    /// Datagrams that the system dropped because they weren't fetched in time.
    pub dropped: u64,
    /// Windows ended.
    pub windows: u64,
    /// What was not accounted, in all windows.
    pub loss: Loss,
    /// The last failure of the socket or of the templates' file.
    pub failure: Option<String>,
}

/// One exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExporterStatus {
    /// Its address.
    pub address: IpAddr,
    /// Datagrams read.
    pub datagrams: u64,
    /// Records, or samples, in them.
    pub records: u64,
    /// Records or datagrams that didn't come, by its own numbers.
    pub gaps: u64,
    /// Parts that could not be read.
    pub malformed: u64,
}

/// What the handle and the thread share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    status: Mutex<Status>,
}

impl Shared {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Collector {
    /// Starts one, on a thread of its own; the port is bound when this returns.
    ///
    /// # Errors
    /// When the options are wrong or the port can't be had.
    pub fn start(options: Options, clock: Clock) -> Result<Self> {
        options.check()?;
        let system = |what: &str, e: std::io::Error| Error::System(format!("{what}: {e}"));
        let socket = Socket::bind(options.listen, options.buffer)
            .map_err(|e| system(&format!("port {}", options.listen), e))?;
        let address = socket.address().map_err(|e| system("port", e))?;
        let shared = Arc::new(Shared::default());
        let (out, incoming) = sync_channel(options.queue);
        let worker = Worker::new(options, clock, Arc::clone(&shared), socket, out);
        let thread = std::thread::Builder::new().name("flow-collector".into()).spawn(move || worker.run());
        let thread = thread.map_err(|e| system("no thread can be had", e))?;
        Ok(Self { address, shared, incoming, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next delivery, waited for up to a time. Whoever reads slowly makes windows longer.
    pub fn next(&mut self, wait: Duration) -> Next {
        match self.incoming.recv_timeout(wait) {
            Ok(delivery) => Next::Delivery(delivery),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Ended,
        }
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An exporter's address.
    #[must_use]
    pub fn exporter(&self, source: SourceId) -> Option<IpAddr> {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.exporters.get(source.0 as usize).map(|e| e.address)
    }

    /// Asks it to end: the window that is open ends now and is delivered, then [`Next::Ended`] comes. Read on until then.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Drop for Collector {
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
