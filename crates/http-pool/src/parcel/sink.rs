//! The sink: records into parcels, split by split, and what is known of each split.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use async_trait::async_trait;
use connector::records::{Context, Mark, RecordSink, Settled, SharedHost, Split, Ticket, Tray, Unit};
use connector::{Error, ErrorKind, Result};
use runtime::{ByteBudget, Lease, Random, TaskKind, spawn_local};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Announcement, Carrier, Delivered, Limits, Parcel, Piece, deliver};
use crate::share;

/// A parcel that must end with a unit may become so many times as large as the limits say.
const IN_A_UNIT: usize = 4;

struct Track {
    open: Parcel,
    flight: Option<JoinHandle<Delivered>>,
    /// Where the next parcels have to end.
    forced: VecDeque<i64>,
    /// Where those ended that were announced after `begun`.
    sent: Vec<i64>,
    /// The newest mark at which a parcel begins.
    begun: Mark,
    told: Mark,
}

impl Drop for Track {
    fn drop(&mut self) {
        if let Some(flight) = &self.flight {
            flight.abort();
        }
    }
}

/// See the essay of this file. It must live inside a `LocalSet`.
pub struct ParcelSink<C> {
    carrier: Rc<C>,
    limits: Limits,
    random: Random,
    host: SharedHost,
    tray: Tray,
    tracks: HashMap<Split, Track>,
    budget: ByteBudget,
    lease: Option<Lease>,
}

impl<C: Carrier> ParcelSink<C> {
    /// A sink of this carrier.
    #[must_use]
    pub fn new(carrier: C, limits: Limits, context: &Context, host: SharedHost) -> Self {
        Self {
            carrier: Rc::new(carrier),
            limits,
            random: context.random.clone(),
            host,
            tray: Tray::default(),
            tracks: HashMap::new(),
            budget: context.budget.clone(),
            lease: None,
        }
    }

    fn track(&mut self, split: &Split) -> &mut Track {
        self.tracks.entry(split.clone()).or_insert_with(|| Track {
            open: Parcel::new(split.clone()),
            flight: None,
            forced: VecDeque::new(),
            sent: Vec::new(),
            begun: Mark::default(),
            told: Mark::default(),
        })
    }

    /// Has the open parcel to go before a record at this position, or before the unit's end (`whole`)?
    fn is_due(&self, split: &Split, next: i64, whole: bool) -> bool {
        let Some(t) = self.tracks.get(split) else { return false };
        // The records of one position stay together: they can't be told apart after a crash otherwise.
        if t.open.last().is_none_or(|last| last >= next) {
            return false;
        }
        let room = if whole || !self.carrier.repeats() { 1 } else { IN_A_UNIT };
        match t.forced.front() {
            Some(cut) => next > *cut,
            None => {
                t.open.pieces.len() >= self.limits.records.saturating_mul(room)
                    || t.open.body.len() >= self.limits.bytes.saturating_mul(room)
            }
        }
    }

    fn flying(&self) -> usize {
        self.tracks.values().filter(|t| t.flight.is_some()).count()
    }

    /// Sends the open parcel of a split, after the one that is on its way.
    async fn launch(&mut self, split: &Split, whole: bool) -> Result<()> {
        while self.tracks.get(split).is_some_and(|t| t.flight.is_some())
            || self.flying() >= self.limits.in_flight
        {
            self.land_one().await?;
        }
        let (carrier, limits, random) = (self.carrier.clone(), self.limits, self.random.clone());
        let Some(track) = self.tracks.get_mut(split) else { return Ok(()) };
        let Some(last) = track.open.last() else { return Ok(()) };
        while track.forced.front().is_some_and(|cut| *cut <= last) {
            track.forced.pop_front();
        }
        let mark = track.begun;
        track.sent.retain(|cut| *cut >= mark.next);
        track.sent.push(last);
        let mut parcel = std::mem::replace(&mut track.open, Parcel::new(split.clone()));
        parcel.whole = whole;
        // Those that a run before announced are still to come: who comes after us has to know them too.
        let cuts = track.sent.iter().chain(&track.forced).copied().collect();
        let announcement = Announcement { split: split.clone(), mark, cuts };
        track.flight = Some(spawn_local(TaskKind::LaneWork, async move {
            let mut refused = Vec::new();
            let result = deliver(&*carrier, (&parcel, &announcement), &mut refused, (&limits, &random)).await;
            Delivered { parcel, refused, result }
        }));
        Ok(())
    }

    async fn land_one(&mut self) -> Result<()> {
        let landed = poll_fn(|cx| {
            let mut flying = false;
            for track in self.tracks.values_mut() {
                let Some(flight) = &mut track.flight else { continue };
                flying = true;
                if let Poll::Ready(done) = Pin::new(flight).poll(cx) {
                    track.flight = None;
                    return Poll::Ready(Some(done));
                }
            }
            if flying { Poll::Pending } else { Poll::Ready(None) }
        });
        let Some(done) = landed.await else { return Ok(()) };
        let done = done.map_err(|e| {
            Error::new(ErrorKind::Other, format!("a request was not brought to its end: {e}"))
        })?;
        done.result?;
        let pieces = &done.parcel.pieces;
        for (n, reason) in done.refused {
            if let Some(p) = pieces.get(n) {
                self.tray.refuse(p.ticket, p.index, ErrorKind::Unacceptable, reason);
            }
        }
        for run in pieces.chunk_by(|a, b| a.ticket == b.ticket) {
            if let Some(first) = run.first() {
                self.tray.done(first.ticket, run.len());
            }
        }
        self.tray.settle(&self.host).await?;
        if done.parcel.whole {
            self.begin(done.parcel.split());
        }
        Ok(())
    }

    /// The next parcel of a split begins where it is settled now.
    fn begin(&mut self, split: &Split) {
        if let (Some(mark), Some(track)) = (self.tray.mark(split), self.tracks.get_mut(split)) {
            track.begun = mark;
        }
    }

    async fn land_ended(&mut self) -> Result<()> {
        while self.tracks.values().any(|t| t.flight.as_ref().is_some_and(JoinHandle::is_finished)) {
            self.land_one().await?;
        }
        Ok(())
    }

    fn add(&mut self, unit: &Unit, index: usize, ticket: Ticket) -> bool {
        let Some(record) = unit.batch.get(index) else { return false };
        let (carrier, split) = (self.carrier.clone(), unit.batch.split());
        let open = &mut self.track(split).open;
        let start = open.body.len();
        match carrier.encode(split, &record, &mut open.body) {
            Ok(()) => {
                open.since.get_or_insert_with(Instant::now);
                open.pieces.push(Piece { ticket, index, start, offset: record.offset, sub: record.sub });
                true
            }
            Err(refusal) => {
                open.body.truncate(start);
                self.tray.refuse(ticket, index, refusal.kind, refusal.reason);
                false
            }
        }
    }

    /// Splits whose open parcel passes, and could be sent.
    fn splits(&self, mut pass: impl FnMut(&Track) -> bool) -> Vec<Split> {
        // A parcel that has to end further on must not go before: as a smaller one it would be new to the server.
        let ready = |t: &Track| t.forced.is_empty() && !t.open.pieces.is_empty();
        self.tracks.iter().filter(|(_, t)| ready(t) && pass(t)).map(|(s, _)| s.clone()).collect()
    }
}

#[async_trait(?Send)]
impl<C: Carrier> RecordSink for ParcelSink<C> {
    fn describe(&self) -> String {
        self.carrier.describe()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        self.carrier.committed(known).await
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        if self.lease.is_none() {
            let (bytes, lease) = share(&self.budget, self.limits.bytes, self.limits.in_flight + 1).await;
            self.limits.bytes = bytes;
            self.lease = Some(lease);
        }
        self.tray.open(splits);
        for (split, mark) in splits {
            let cuts = self.carrier.cuts(split);
            let track = self.track(split);
            track.forced = cuts.into_iter().filter(|cut| *cut >= mark.next).collect();
            (track.begun, track.told) = (*mark, *mark);
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        self.tray.close(splits);
        for split in splits {
            self.tracks.remove(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        self.land_ended().await?;
        let split = unit.batch.split();
        let ticket = self.tray.take(unit.clone());
        let mut added = 0;
        for index in 0..unit.batch.len() {
            let offset = unit.batch.get(index).map_or(i64::MAX, |r| r.offset);
            if self.is_due(split, offset, false) {
                self.tray.add(ticket, std::mem::take(&mut added));
                self.launch(split, false).await?;
            }
            added += usize::from(self.add(&unit, index, ticket));
        }
        self.tray.add(ticket, added);
        self.tray.seal(ticket);
        if self.is_due(split, unit.batch.next(), true) {
            self.launch(split, true).await?;
        }
        let track = self.track(split);
        // What had to end here holds nothing (any more).
        while track.open.pieces.is_empty() && track.forced.front().is_some_and(|cut| *cut < unit.batch.next())
        {
            track.forced.pop_front();
        }
        let idle = track.open.pieces.is_empty() && track.flight.is_none();
        self.tray.settle(&self.host).await?;
        if idle {
            self.begin(split);
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        self.land_ended().await?;
        let (now, linger) = (Instant::now(), self.limits.linger);
        let old = |t: &Track| t.open.since.is_some_and(|s| now.duration_since(s) >= linger);
        for split in self.splits(|t| t.flight.is_none() && old(t)) {
            self.launch(&split, true).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        for split in self.splits(|_| true) {
            self.launch(&split, true).await?;
        }
        while self.flying() > 0 {
            self.land_one().await?;
        }
        self.tray.settle(&self.host).await
    }

    async fn relieve(&mut self) -> Result<()> {
        let moves = self.flying() > 0 || !self.splits(|_| true).is_empty();
        self.flush().await?;
        if moves {
            return Ok(());
        }
        // Only parcels are left that have to end further on, and what they lack never comes: the window was larger before. They go as they
        // are. The server can't tell such a one from a new one, so what it took before the crash may be there twice.
        let held = self.tracks.iter().filter(|(_, t)| !t.open.pieces.is_empty());
        for split in held.map(|(s, _)| s.clone()).collect::<Vec<_>>() {
            tracing::warn!(%split, "a parcel from before a crash can't be repeated: the window is too small for it");
            self.launch(&split, true).await?;
        }
        self.flush().await
    }

    fn settled(&mut self) -> Vec<Settled> {
        let all = self.tray.settled();
        if !self.carrier.repeats() {
            return all;
        }
        let moved = self.tracks.iter_mut().filter(|(_, t)| t.begun != t.told);
        moved
            .map(|(split, t)| {
                t.told = t.begun;
                Settled { split: split.clone(), mark: t.begun }
            })
            .collect()
    }
}
