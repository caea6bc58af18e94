//! Replaying dead letters: once more through transform and sink, exactly once where the sink can.
//!
//! Whoever asks for a replay gives each letter a turn: a number that grows and is never given twice. So the letters of one split that are
//! to be replayed are a log again, with turns as positions, and have a split of their own ([`Split::of_replays`]) with marks like
//! any other: a sink that keeps positions keeps them for replays too, and a crash in the middle repeats nothing. The original's own
//! split and its positions are left alone.
//!
//! The transform sees the original as it was, with its own position. Of a letter that was refused at the destination only the
//! record goes there that was refused (by `sub`); its siblings were written before.
//!
//! In the account a letter was read and counted as dead before. Its replay is booked as read and written in the split of replays, and
//! the sum takes what those splits read from the dead (`clerk::ledger`). One that fails again is read and dead once more, which
//! changes nothing, and waits at the desk with its new reason.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use connector::records::{
    Account, Batch, BatchBuilder, Context, Headers, Host, RecordRef, RecordSink, Refused, Ruling, SharedHost,
    Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use model::Stage;

use super::clerk::{self, Clerk};
use super::keeper::Keeper;
use super::lane::Run;
use super::{DeadDesk, Emit, Ends, Queued, Step};

/// Letters of one round.
const LETTERS: usize = 500;
/// Their bytes, about.
const BYTES: u64 = 1 << 20;

/// Letters that failed again: turn, kind, reason.
type Again = Vec<(i64, String, String)>;

/// Replays what is queued, then ends.
pub(super) async fn work(run: Arc<Run>, context: Context, ends: Arc<dyn Ends>) -> Result<()> {
    let round = Rc::new(RefCell::new(HashMap::new()));
    let rule = &run.pipeline.on_refusal;
    let keeper =
        Keeper::new((Stage::Sink, rule), run.clerk.clone(), run.desk.clone(), ends.clone(), &context);
    let desk = Desk { desk: run.desk.clone(), clerk: run.clerk.clone() };
    let host = ReplayHost { desk: desk.clone(), keeper, round: round.clone() };
    let step = ends.step()?;
    let sink = ends.sink(&context, Rc::new(host) as SharedHost)?;
    let mut replay = Replay { run, context, desk, sink, step, round, open: HashMap::new() };
    let mut after = 0;
    while !replay.run.rest.is_stopped() {
        let letters = replay.desk.queued(after).await?;
        let Some(last) = letters.last() else { break };
        let bytes = letters.iter().map(held).sum();
        after = last.turn;
        let _lease = replay.run.share.budget.lease(bytes).await;
        replay.round(letters).await?;
    }
    Ok(())
}

/// Calls to the desk from a lane.
#[derive(Clone)]
struct Desk {
    desk: Arc<dyn DeadDesk>,
    clerk: Arc<Clerk>,
}

impl Desk {
    async fn queued(&self, after: i64) -> Result<Vec<Queued>> {
        let (desk, id) = (self.desk.clone(), self.clerk.id.clone());
        let asked = self.clerk.at_home(async move { desk.queued(&id, after, LETTERS, BYTES).await }).await;
        asked.map_err(|t| clerk::error("dead letters can't be read", t))
    }

    async fn replayed(&self, split: Split, before: i64) -> Result<()> {
        let (desk, id, attempt) = (self.desk.clone(), self.clerk.id.clone(), self.clerk.attempt);
        let told = self.clerk.at_home(async move { desk.replayed(&id, attempt, &split, before).await }).await;
        told.map_err(|t| clerk::error("replays can't be recorded", t))
    }

    async fn again(&self, failed: Again) -> Result<()> {
        if failed.is_empty() {
            return Ok(());
        }
        let (desk, id, attempt) = (self.desk.clone(), self.clerk.id.clone(), self.clerk.attempt);
        let told = self.clerk.at_home(async move { desk.again(&id, attempt, failed).await }).await;
        told.map_err(|t| clerk::error("dead letters can't be kept", t))
    }
}

struct Replay {
    run: Arc<Run>,
    context: Context,
    desk: Desk,
    sink: Box<dyn RecordSink>,
    step: Option<Box<dyn Step>>,
    round: Rc<RefCell<HashMap<i64, Queued>>>,
    /// Original splits whose replays are open, with the turn to go on from.
    open: HashMap<Split, i64>,
}

impl Replay {
    async fn round(&mut self, letters: Vec<Queued>) -> Result<()> {
        let mut by_split: HashMap<Split, Vec<Queued>> = HashMap::new();
        for q in letters {
            by_split.entry(Split::new(&q.letter.topic, q.letter.partition)).or_default().push(q);
        }
        for (split, letters) in by_split {
            let next = self.open(&split).await?;
            let letters: Vec<_> = letters.into_iter().filter(|q| q.turn >= next).collect();
            let Some(last) = letters.last() else { continue };
            self.open.insert(split.clone(), last.turn + 1);
            let (unit, failed) = self.unit(&split, &letters)?;
            self.round.borrow_mut().extend(letters.into_iter().map(|q| (q.turn, q)));
            self.desk.again(failed).await?;
            self.sink.write(unit).await?;
        }
        self.sink.flush().await?;
        self.round.borrow_mut().clear();
        let settled = self.sink.settled();
        for s in &settled {
            self.run.clerk.note(&s.split, s.mark);
        }
        self.run.clerk.write_from_lane().await?;
        self.run.live.progress(self.context.lane);
        for s in settled {
            let original = Split::new(s.split.source_topic(), s.split.partition);
            self.desk.replayed(original, s.mark.next).await?;
        }
        Ok(())
    }

    /// Opens a split's replays; returns the turn to go on from.
    async fn open(&mut self, original: &Split) -> Result<i64> {
        if let Some(next) = self.open.get(original) {
            return Ok(*next);
        }
        let split = original.of_replays();
        let known = self.run.clerk.known(std::slice::from_ref(&split));
        let theirs = self.sink.committed(&known).await?.into_iter().next().flatten();
        let ours = known.into_iter().next().and_then(|(_, m)| m);
        let newest = match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours.next > theirs.next => Some(ours),
            (ours, theirs) => theirs.or(ours),
        };
        let mark = newest.unwrap_or_default();
        self.sink.open(&[(split.clone(), mark)]).await?;
        if mark.next > 0 {
            self.run.clerk.note(&split, mark);
            self.run.clerk.write_from_lane().await?;
            // Settled before, but perhaps not told.
            self.desk.replayed(original.clone(), mark.next).await?;
        }
        self.open.insert(original.clone(), mark.next);
        Ok(mark.next)
    }

    /// A unit of letters of one split, and those that fail in the transform again.
    fn unit(&mut self, original: &Split, letters: &[Queued]) -> Result<(Unit, Again)> {
        let first = letters.first().map_or(0, |q| q.turn);
        let now_ms = self.context.clock.now().millis();
        let mut c = Collector {
            out: BatchBuilder::new(original.of_replays(), first),
            weights: Vec::new(),
            before: Account::default(),
            failed: Vec::new(),
            turn: 0,
            weight: 0,
            only: None,
            made: 0,
            seen: 0,
            full: false,
        };
        for q in letters {
            let batch = batch_of(original, q)?;
            let Some(record) = batch.get(0) else { continue };
            c.begin(q, record.weight());
            match &mut self.step {
                Some(step) => step.apply(&batch, now_ms, &mut c),
                None => c.put(0, &record),
            }
            c.end();
        }
        if c.full {
            return Err(Error::new(ErrorKind::Other, "the transform made more than 4 GiB of dead letters"));
        }
        let next = letters.last().map_or(0, |q| q.turn + 1);
        let unit =
            Unit { batch: Arc::new(c.out.finish(next)), before: c.before, weights: Some(c.weights.into()) };
        Ok((unit, c.failed))
    }
}

struct Collector {
    out: BatchBuilder,
    weights: Vec<u32>,
    before: Account,
    failed: Again,
    turn: i64,
    weight: u64,
    /// Only this one of the records that are made goes on.
    only: Option<u32>,
    /// Records made of this letter, and of those the ones that go on.
    made: u32,
    seen: u32,
    full: bool,
}

impl Collector {
    fn begin(&mut self, q: &Queued, weight: u64) {
        self.turn = q.turn;
        self.only = (q.letter.stage == Stage::Sink).then_some(q.letter.sub);
        // What was counted as dead: further records of an original weigh nothing.
        self.weight = if self.only.is_some_and(|sub| sub > 0) { 0 } else { weight };
        (self.made, self.seen) = (0, 0);
        self.before.add(Account::READ, 1, self.weight);
    }

    fn end(&mut self) {
        let failed = self.failed.last().is_some_and(|(turn, ..)| *turn == self.turn);
        if self.seen == 0 {
            let column = if failed { Account::DEAD } else { Account::FILTERED };
            self.before.add(column, 1, self.weight);
        }
    }
}

impl Emit for Collector {
    fn put(&mut self, _: usize, record: &RecordRef<'_>) {
        let sub = self.made;
        self.made += 1;
        if self.only.is_some_and(|only| only != sub) {
            return;
        }
        if !self.out.push(&RecordRef { offset: self.turn, sub, ..*record }) {
            self.full = true;
        }
        let weight = if self.seen == 0 { self.weight } else { 0 };
        if self.seen > 0 {
            self.before.add(Account::EXPANDED, 1, 0);
        }
        self.seen += 1;
        self.weights.push(u32::try_from(weight).unwrap_or(u32::MAX));
    }

    fn filtered(&mut self, _: usize) {}

    fn failed(&mut self, _: usize, kind: &'static str, reason: std::fmt::Arguments<'_>) {
        self.failed.push((self.turn, kind.to_owned(), reason.to_string()));
    }
}

/// The original, at its own position.
fn batch_of(split: &Split, q: &Queued) -> Result<Batch> {
    let l = &q.letter;
    let mut b = BatchBuilder::new(split.clone(), l.offset);
    let record = RecordRef {
        offset: l.offset,
        sub: 0,
        timestamp_ms: l.timestamp_ms,
        key: l.key.as_deref(),
        value: l.value.as_deref(),
        headers: Headers::none(),
    };
    let pushed = b.push_with(&record, |_, put| {
        for (name, value) in &l.headers {
            put(name, value.as_deref());
        }
    });
    if pushed { Ok(b.finish(0)) } else { Err(Error::new(ErrorKind::Other, "a dead letter is too large")) }
}

fn held(q: &Queued) -> u64 {
    let len = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len) as u64;
    let headers: u64 = q.letter.headers.iter().map(|(n, v)| n.len() as u64 + len(v)).sum();
    3 * (len(&q.letter.key) + len(&q.letter.value) + headers) + 512
}

/// Whatever is refused again goes back to the desk, whatever the pipeline's rule says: it is there already.
struct ReplayHost {
    desk: Desk,
    keeper: Keeper,
    round: Rc<RefCell<HashMap<i64, Queued>>>,
}

#[async_trait(?Send)]
impl Host for ReplayHost {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        let unknown = || Error::new(ErrorKind::Other, "the sink refused a record that it does not have");
        let (mut again, mut further) = (Vec::new(), Vec::new());
        for r in refused {
            let record = unit.batch.get(r.index).ok_or_else(unknown)?;
            let round = self.round.borrow();
            let q = round.get(&record.offset).ok_or_else(unknown)?;
            if q.letter.stage == Stage::Transform && record.sub > 0 {
                // One of several that the transform made this time: a letter of its own.
                let split = Split::new(&q.letter.topic, q.letter.partition);
                let batch = batch_of(&split, q)?;
                let original = batch.get(0).ok_or_else(unknown)?;
                let why = (r.kind.name(), r.reason.as_str());
                further.push(self.keeper.letter(&split, &original, record.sub, why));
            } else {
                again.push((q.turn, r.kind.name().to_owned(), r.reason));
            }
        }
        self.keeper.keep(further).await?;
        self.desk.again(again).await?;
        Ok(Ruling::Kept)
    }
}
