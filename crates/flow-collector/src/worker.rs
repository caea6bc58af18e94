//! The thread of a collector: it empties the socket first of all, and hands windows over beside that.

use crate::collector::{ExporterStatus, Options, Shared};
use crate::decode::Decoder;
use crate::socket::Socket;
use flow_record::{Delivery, FlowTable, LogStatus, Loss, Record, SourceId, Window};
use runtime::Clock;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// Records of one delivery.
const BATCH: usize = 1_024;
const IDLE: Duration = Duration::from_millis(100);
/// Batches that are still taken in at the end: about what a large socket buffer holds.
const LAST_BATCHES: usize = 2_000;
/// New templates are kept after so long at the latest: a window may last an hour, and an exporter sends them seldom.
const KEEP: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    options: Options,
    clock: Clock,
    shared: Arc<Shared>,
    socket: Socket,
    out: SyncSender<Delivery>,
    decoder: Decoder,
    exporters: Vec<Exporter>,
    open: Open,
    ended: Option<Ended>,
    pending: Option<Delivery>,
    reader_gone: bool,
    kept: Instant,
}

/// What is counted of an exporter: in all, and marks of the open window.
struct Exporter {
    status: ExporterStatus,
    lossy: bool,
}

/// The window that is being collected.
struct Open {
    number: u64,
    start: i64,
    deadline: Instant,
    table: FlowTable,
    /// Dropped by the system; missing by the exporters' numbers. A dropped datagram is missing as well.
    dropped: u64,
    gaps: u64,
    malformed: u64,
    refused: u64,
    datagrams: u64,
    records: u64,
}

/// The window that is being handed over.
struct Ended {
    window: Window,
    flows: Option<Box<dyn Iterator<Item = Record> + Send>>,
    had: Vec<bool>,
    lossy: Vec<bool>,
}

impl Worker {
    pub(crate) fn new(
        options: Options,
        clock: Clock,
        shared: Arc<Shared>,
        socket: Socket,
        out: SyncSender<Delivery>,
    ) -> Self {
        let mut decoder = Decoder::new(options.max_exporters as usize);
        if let Some(text) = options.templates.as_deref().and_then(|p| std::fs::read_to_string(p).ok()) {
            let bad = decoder.read_text(&text);
            if bad != 0 {
                tracing::warn!(lines = bad, "the file of templates has lines that can't be read");
            }
        }
        let open = open_window(&clock, &options, 0);
        Self {
            options,
            clock,
            shared,
            socket,
            out,
            decoder,
            exporters: Vec::new(),
            open,
            ended: None,
            pending: None,
            reader_gone: false,
            kept: Instant::now(),
        }
    }

    pub(crate) fn run(mut self) {
        self.meet_exporters();
        while !self.reader_gone && !self.shared.stop.load(Ordering::Acquire) {
            if self.receive() == 0 {
                let left = self.open.deadline.saturating_duration_since(Instant::now());
                let wait = if self.pending.is_some() { Duration::from_millis(5) } else { left.min(IDLE) };
                self.socket.wait(wait.max(Duration::from_millis(1)));
            }
            self.hand_over();
            let now = Instant::now();
            if now.saturating_duration_since(self.kept) >= KEEP {
                self.kept = now;
                self.keep_templates();
            }
            if self.ended.is_none() && now >= self.open.deadline {
                self.end_window();
            }
        }
        self.finish();
    }

    /// Ends the open window early and delivers all of it, as long as somebody reads.
    fn finish(&mut self) {
        // What is in the socket's buffer, not what a flood goes on to bring.
        for _ in 0..LAST_BATCHES {
            if self.receive() == 0 {
                break;
            }
        }
        self.hand_over_all();
        self.end_window();
        self.hand_over_all();
    }

    fn hand_over_all(&mut self) {
        while self.ended.is_some() && !self.reader_gone {
            self.hand_over();
            if self.pending.is_some() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Takes in a batch of datagrams; says how many.
    fn receive(&mut self) -> usize {
        let (count, dropped) = match self.socket.receive() {
            Ok(got) => got,
            Err(e) => {
                self.shared.set(|s| s.failure = Some(format!("receiving: {e}")));
                std::thread::sleep(IDLE);
                return 0;
            }
        };
        self.open.dropped += dropped;
        let now = self.clock.now().seconds();
        for n in 0..count {
            let Some((sender, bytes)) = self.socket.datagram(n) else { continue };
            let sender = sender.to_canonical();
            let allowed = self.options.allowed.is_empty() || self.options.allowed.contains(&sender);
            let source = if allowed { self.decoder.source(sender) } else { None };
            let Some(source) = source else {
                // One for whom there is no room is lost; one who may not send is none of ours.
                *(if allowed { &mut self.open.dropped } else { &mut self.open.refused }) += 1;
                continue;
            };
            self.open.datagrams += 1;
            let table = &mut self.open.table;
            let wants = self.options.traffic;
            let outcome = match bytes {
                Some(bytes) => self.decoder.decode(source, bytes, now, |seen| {
                    if wants.wants(seen.action) {
                        table.add(seen);
                    }
                }),
                None => crate::decode::Outcome { malformed: 1, ..Default::default() },
            };
            self.open.records += outcome.records;
            self.open.gaps += outcome.gaps;
            self.open.malformed += outcome.malformed;
            if source.0 as usize >= self.exporters.len() {
                self.meet_exporters();
            }
            if let Some(exporter) = self.exporters.get_mut(source.0 as usize) {
                exporter.status.datagrams += 1;
                exporter.status.records += outcome.records;
                exporter.status.gaps += outcome.gaps;
                exporter.status.malformed += outcome.malformed;
                exporter.lossy |= outcome.gaps != 0 || outcome.malformed != 0;
            }
        }
        count
    }

    /// Exporters that the decoder knows and this doesn't yet.
    fn meet_exporters(&mut self) {
        let known = self.exporters.len();
        for address in self.decoder.exporters().skip(known) {
            let status = ExporterStatus { address, datagrams: 0, records: 0, gaps: 0, malformed: 0 };
            self.shared.set(|s| s.exporters.push(status.clone()));
            self.exporters.push(Exporter { status, lossy: false });
        }
    }

    fn end_window(&mut self) {
        let next = open_window(&self.clock, &self.options, self.open.number + 1);
        let open = std::mem::replace(&mut self.open, next);
        let mut loss = open.table.loss();
        loss.add(&Loss { unseen: open.dropped.max(open.gaps), malformed: open.malformed, ..Loss::default() });
        let window = Window {
            number: open.number,
            start: open.start,
            end: self.clock.now().seconds().max(open.start),
            records: 0,
            packets: open.table.packets(),
            other: 0,
            loss,
        };
        // What nobody in particular lost, everybody may have.
        let all = open.dropped != 0 || loss.packets != 0;
        let lossy = self.exporters.iter_mut().map(|e| std::mem::take(&mut e.lossy) || all).collect();
        let statuses: Vec<_> = self.exporters.iter().map(|e| e.status.clone()).collect();
        self.shared.set(|s| {
            s.exporters = statuses;
            s.datagrams += open.datagrams;
            s.records += open.records;
            s.refused += open.refused;
            s.dropped += open.dropped;
            s.windows += 1;
            s.loss.add(&loss);
        });
        let had = vec![false; self.exporters.len()];
        let flows: Box<dyn Iterator<Item = Record> + Send> = Box::new(open.table.into_records());
        self.ended = Some(Ended { window, flows: Some(flows), had, lossy });
        self.keep_templates();
    }

    fn keep_templates(&mut self) {
        let Some(path) = self.options.templates.as_deref() else { return };
        if self.decoder.take_changed()
            && let Err(e) = write_whole(path, &self.decoder.to_text())
        {
            self.decoder.still_changed();
            self.shared.set(|s| s.failure = Some(format!("keeping templates: {e}")));
        }
    }

    fn hand_over(&mut self) {
        loop {
            if let Some(delivery) = self.pending.take() {
                match self.out.try_send(delivery) {
                    Ok(()) => {}
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
        if let Some(flows) = &mut ended.flows {
            let records: Vec<Record> = flows.take(BATCH).collect();
            if !records.is_empty() {
                ended.window.records += records.len() as u64;
                for record in &records {
                    if let Some(had) = ended.had.get_mut(record.source.0 as usize) {
                        *had = true;
                    }
                }
                return Some(Delivery::Records(records));
            }
            ended.flows = None;
            let statuses = statuses(ended);
            if !statuses.is_empty() {
                return Some(Delivery::Records(statuses));
            }
        }
        self.ended.take().map(|ended| Delivery::WindowEnd(ended.window))
    }
}

/// A record for each exporter that lost something, or sent nothing.
fn statuses(ended: &Ended) -> Vec<Record> {
    let status = |(n, (had, lossy)): (usize, (&bool, &bool))| {
        let status = match (lossy, had) {
            (true, _) => LogStatus::SkipData,
            (false, false) => LogStatus::NoData,
            (false, true) => return None,
        };
        let (start, end) = (ended.window.start, ended.window.end);
        Some(Record { source: SourceId(n as u32), flow: None, start, end, status })
    };
    ended.had.iter().zip(&ended.lossy).enumerate().filter_map(status).collect()
}

/// Windows begin at multiples of their length by the wall clock, so the first one is shorter.
fn open_window(clock: &Clock, options: &Options, number: u64) -> Open {
    let now = clock.now();
    let length = i64::try_from(options.window.as_micros()).unwrap_or(i64::MAX);
    let left = length - now.0.rem_euclid(length);
    Open {
        number,
        start: now.seconds(),
        deadline: Instant::now() + Duration::from_micros(left.unsigned_abs()),
        table: FlowTable::new(options.max_flows as usize),
        dropped: 0,
        gaps: 0,
        malformed: 0,
        refused: 0,
        datagrams: 0,
        records: 0,
    }
}

/// Writes a file beside it and puts it in its place: a crash leaves the old or the new one.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
