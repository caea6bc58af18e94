//! A record sink for servers that take or refuse a request as a whole.
//!
//! Records of one split are put into a [`Parcel`] until it is large or old enough. A split has one parcel on its way, so its order holds; several splits
//! have theirs at once. A parcel that is refused as a whole is halved, in order, until the records that are to blame stand alone.
//!
//! A carrier that needs the same records in the same request after a crash ([`Carrier::repeats`]: so that the server can tell a repetition) writes
//! down where each parcel ends before it is sent ([`Carrier::announce`]), and says so after the crash ([`Carrier::cuts`]): the parcels are then cut at the
//! same positions. That holds only when a run begins where a parcel began. So such a sink tells marks at the ends of parcels only, and
//! ends its parcels with a unit where it can.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Context, Mark, RecordRef, RecordSink, Settled, SharedHost, Split, Ticket, Tray, Unit,
};
use connector::{Error, ErrorKind, Result};
use runtime::{ByteBudget, Lease, Random, TaskKind, spawn_local};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::retry;

/// A parcel that must end with a unit may become so many times as large as the limits say.
const IN_A_UNIT: usize = 4;

/// Why a record can't be sent at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `Corrupt`: the options say that such a record is dropped; else `Unacceptable`.
    pub kind: ErrorKind,
    /// Why.
    pub reason: String,
}

/// When a parcel is sent, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// With this many records.
    pub records: usize,
    /// With this many bytes.
    pub bytes: usize,
    /// At this age.
    pub linger: Duration,
    /// Parcels on their way at most (of one split: one).
    pub in_flight: usize,
    /// Attempts of one request.
    pub attempts: u32,
}

/// A record in a parcel.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    ticket: Ticket,
    index: usize,
    start: usize,
    /// Position.
    pub offset: i64,
    /// Which of the records made from the one there.
    pub sub: u32,
}

/// Records on their way.
#[derive(Debug)]
pub struct Parcel {
    split: Split,
    body: Vec<u8>,
    pieces: Vec<Piece>,
    since: Option<Instant>,
    /// It ends with a unit.
    whole: bool,
}

impl Parcel {
    fn new(split: Split) -> Self {
        Self { split, body: Vec::new(), pieces: Vec::new(), since: None, whole: false }
    }

    /// Where they come from.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The records.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What the carrier wrote for some of them.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        let at = |n: usize| self.pieces.get(n).map_or(self.body.len(), |p| p.start);
        self.body.get(at(range.start)..at(range.end)).unwrap_or_default()
    }

    fn last(&self) -> Option<i64> {
        self.pieces.last().map(|p| p.offset)
    }
}

/// What is known before a parcel is sent for the first time.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Of this split.
    pub split: Split,
    /// Everything before is settled, and a parcel began here.
    pub mark: Mark,
    /// The last position of each parcel since then, this one's and those that are known already to follow included.
    pub cuts: Vec<i64>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Posted {
    /// It was taken.
    Done,
    /// It was not, and never will be as it is.
    Unfit(String),
    /// Perhaps later; not before this time.
    Again(Error, Option<Duration>),
}

/// A product behind a [`ParcelSink`].
#[async_trait(?Send)]
pub trait Carrier: 'static {
    /// For people.
    fn describe(&self) -> String;

    /// Appends what is sent of a record.
    ///
    /// # Errors
    /// It can't be sent; nothing was appended.
    fn encode(&self, split: &Split, record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), Refusal>;

    /// See [`RecordSink::committed`].
    ///
    /// # Errors
    /// As there.
    async fn committed(&self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        Ok(vec![None; known.len()])
    }

    /// Must parcels be the same after a crash?
    fn repeats(&self) -> bool {
        false
    }

    /// Where the next parcels of a split end that were announced before and may have been taken.
    fn cuts(&self, _split: &Split) -> Vec<i64> {
        Vec::new()
    }

    /// Notes durably what is about to be sent.
    ///
    /// # Errors
    /// It can't: the parcel is not sent, and the run of the lane ends.
    async fn announce(&self, _what: &Announcement) -> Result<()> {
        Ok(())
    }

    /// Sends some records of a parcel.
    ///
    /// # Errors
    /// What ends the run of the lane.
    async fn post(&self, parcel: &Parcel, range: Range<usize>) -> Result<Posted>;
}

struct Delivered {
    parcel: Parcel,
    refused: Vec<(usize, String)>,
    result: Result<()>,
}

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

/// Announces a parcel and sends it: the whole, and where that is refused, its halves in order.
async fn deliver<C: Carrier>(
    carrier: &C,
    (parcel, announcement): (&Parcel, &Announcement),
    refused: &mut Vec<(usize, String)>,
    (limits, random): (&Limits, &Random),
) -> Result<()> {
    carrier.announce(announcement).await?;
    let mut ranges = vec![(0, parcel.pieces.len())];
    while let Some((start, end)) = ranges.pop() {
        let mut attempt = 0;
        let why = loop {
            match carrier.post(parcel, start..end).await? {
                Posted::Done => break None,
                Posted::Unfit(why) => break Some(why),
                Posted::Again(error, asked) => {
                    attempt += 1;
                    if attempt >= limits.attempts || asked.is_some_and(|a| a > retry::LONGEST_ASKED) {
                        return Err(error);
                    }
                    let pause =
                        retry::pause(attempt - 1, error.kind() == ErrorKind::Throttled, asked, random);
                    tracing::debug!(%error, ?pause, attempt, "request is made again");
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let Some(why) = why else { continue };
        if end - start <= 1 {
            refused.push((start, why));
        } else {
            let middle = start + (end - start) / 2;
            ranges.push((middle, end));
            ranges.push((start, middle));
        }
    }
    Ok(())
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
            // Now, while no unit of this lane waits: a lease in the middle of writing could wait for its own units.
            let room = (self.limits.bytes as u64).saturating_mul(self.limits.in_flight as u64 + 1);
            self.lease = Some(self.budget.lease(room).await);
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
