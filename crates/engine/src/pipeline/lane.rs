//! One lane: a sink on a thread of its own, fed by a source on another.
//!
//! What the thread does, in order of urgency: rest when told so, follow what happens to splits, let the sink do what is due, take the
//! next batch. A batch goes through the transform and into the sink; what the sink has settled is noted with the clerk and told to
//! the source.
//!
//! The mark that counts at a split's start is the newest of the sink's own and the journal's; where both have the same position, the
//! sink's. A revoked split is settled, journalled and only then released. A lost one is closed and forgotten: its next owner
//! goes on from what is durable.
//!
//! A lane is dropped at any moment, at any await: that equals a crash, and the next one starts from the marks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::records::{
    Account, Context, ErrorDirectory as _, Lag, Mark, RecordSink, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use model::{OnFailure, Pipeline, Stage};
use runtime::{Bandwidth, Shutdown, TaskKind};
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use super::aside::{AsideSink, Failing, Watched, is_to_blame};
use super::clerk::Clerk;
use super::feed::{self, Command, Event, Fed, Gate, Intake, Share};
use super::held::{Held, Origin};
use super::host::LaneHost;
use super::keeper::Keeper;
use super::{Catalogue, DeadDesk, Ends, Live, Step, stage};

/// How often the sink is asked whether something is due.
const TICK: Duration = Duration::from_millis(100);
/// How often the source is told positions.
const TELL: Duration = Duration::from_secs(1);
/// How long an idle lane's window may be full before the sink is told to let go.
const STUCK: Duration = Duration::from_millis(100);
/// How long a source may take to leave.
const LEAVE: Duration = Duration::from_secs(3);

/// What the lanes of a run share.
pub(super) struct Run {
    pub pipeline: Pipeline,
    pub clerk: Arc<Clerk>,
    pub desk: Arc<dyn DeadDesk>,
    pub catalogue: Arc<dyn Catalogue>,
    pub live: Arc<Live>,
    /// Given when the lanes are to come to rest.
    pub rest: Shutdown,
    pub context: Context,
    pub share: Share,
    pub bytes: Bandwidth,
    pub records: Bandwidth,
    /// Splits whose destination fails.
    pub failing: Failing,
}

impl Run {
    /// How long a failing destination is tried again before its records go aside; `None` = for ever.
    pub fn patience(&self) -> Option<Duration> {
        match &self.pipeline.on_refusal {
            OnFailure::Aside { retry_s, .. } => retry_s.map(Duration::from_secs),
            _ => None,
        }
    }

    /// Runs `work` on a thread with a reactor of its own, until it ends or everything is cut.
    pub async fn on_thread<W>(self: &Arc<Self>, lane: u32, work: W) -> Result<()>
    where
        W: AsyncFnOnce(Arc<Self>, Context, Arc<dyn Ends>) -> Result<()> + Send + 'static,
    {
        let ends = self.catalogue.resolve(&self.pipeline).await?;
        let run = self.clone();
        let context = Context { lane, ..self.context.clone() };
        let ended = runtime::aside("pipeline-lane", move || {
            let reactor = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(4)
                .thread_keep_alive(Duration::from_secs(2))
                .build()?;
            let cut = run.clerk.cut.clone();
            let ended = reactor.block_on(LocalSet::new().run_until(async {
                tokio::select! {
                    biased;
                    () = cut.stopped() => Ok(()),
                    ended = work(run, context, ends) => ended,
                }
            }));
            reactor.shutdown_background();
            ended
        });
        ended.await.unwrap_or_else(|why| Err(Error::new(ErrorKind::Other, why)))
    }
}

/// Works until it is told to rest, or something fails.
pub(super) async fn work(run: Arc<Run>, context: Context, ends: Arc<dyn Ends>) -> Result<()> {
    let (mut intake, outlet) = feed::ways(&run.share.windows);
    let mut lane = Lane::new(run.clone(), &context, &ends, intake.gate.clone())?;
    let mut share = run.share.clone();
    share.copies = if lane.step.is_some() { 2 } else { 1 };
    let gate = intake.gate.clone();
    let source = runtime::aside("pipeline-source", move || {
        feed::serve(|| ends.source(&context), share, &outlet);
    });
    let source = runtime::spawn_local(TaskKind::LaneWork, source);
    let ended = lane.serve(&mut intake).await;
    lane.remember(&ended);
    // The source leaves its group before the next lane joins it.
    gate.stop();
    drop((lane, intake));
    let _ = tokio::time::timeout(LEAVE, source).await;
    ended
}

struct Lane {
    run: Arc<Run>,
    number: u32,
    sink: Box<dyn RecordSink>,
    errors: Option<Rc<Watched>>,
    /// This lane only puts records aside; set when that is done.
    aside: Option<Rc<Cell<bool>>>,
    step: Option<Box<dyn Step>>,
    keeper: Keeper,
    held: Rc<RefCell<Held>>,
    gate: Arc<Gate>,
    splits: HashMap<Split, Open>,
    /// Splits that are being taken over.
    arriving: Vec<Split>,
    /// It was not the sink that failed.
    source_failed: bool,
    /// The sink commits the source's positions itself.
    joined: bool,
    /// Settled, not yet noted.
    moved: HashMap<Split, Mark>,
    /// Noted, not yet told to the source.
    untold: HashMap<Split, Mark>,
    told: Instant,
    progress: bool,
}

/// A split at work.
struct Open {
    /// Batches read before this are from an earlier stay.
    epoch: u64,
    /// Where the next batch begins, or beyond it; `None` = it is not known yet.
    next: Option<i64>,
    /// What is settled.
    mark: Mark,
}

impl Lane {
    fn new(run: Arc<Run>, context: &Context, ends: &Arc<dyn Ends>, gate: Arc<Gate>) -> Result<Self> {
        let keeper = |stage: Stage, rule: &OnFailure| {
            Keeper::new((stage, rule), run.clerk.clone(), run.desk.clone(), ends.clone(), context)
        };
        let held = Rc::new(RefCell::new(Held::default()));
        let errors = match &run.pipeline.on_refusal {
            OnFailure::Aside { to, .. } => {
                Some(Rc::new(Watched::new(ends.errors(to, context)?, run.clerk.clone())))
            }
            _ => None,
        };
        let host = LaneHost {
            rule: run.pipeline.on_refusal.clone(),
            keeper: keeper(Stage::Sink, &run.pipeline.on_refusal),
            held: held.clone(),
            errors: errors.clone().map(|e| e as _),
        };
        let keeper = keeper(Stage::Transform, &run.pipeline.on_failure);
        let step = ends.step()?;
        let sink = ends.sink(context, Rc::new(host) as SharedHost);
        let due = run.patience().map(|p| run.failing.due(p)).unwrap_or_default();
        let (sink, aside) = match &errors {
            Some(errors) if !due.is_empty() => {
                let sink = AsideSink::new(sink.ok(), errors.clone(), due, gate.clone());
                let done = sink.done.clone();
                (Box::new(sink) as Box<dyn RecordSink>, Some(done))
            }
            _ => (sink?, None),
        };
        Ok(Self {
            run,
            number: context.lane,
            sink,
            errors,
            aside,
            step,
            keeper,
            held,
            gate,
            splits: HashMap::new(),
            arriving: Vec::new(),
            source_failed: false,
            joined: false,
            moved: HashMap::new(),
            untold: HashMap::new(),
            told: Instant::now(),
            progress: false,
        })
    }

    async fn serve(&mut self, intake: &mut Intake) -> Result<()> {
        let rest = self.run.rest.clone();
        let mut rest = rest.stopped();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next: Option<(Fed, Paying)> = None;
        loop {
            tokio::select! {
                biased;
                () = &mut rest => return self.rest().await,
                event = intake.events.recv() => self.event(event).await?,
                _ = tick.tick() => self.tick(intake).await?,
                fed = paid(&mut next), if next.is_some() => {
                    if let Some(fed) = fed {
                        self.batch(fed).await?;
                    }
                }
                fed = intake.batches.recv(), if next.is_none() => match fed {
                    Some(fed) => match self.price(&fed) {
                        Some(paying) => next = Some((fed, paying)),
                        None => self.batch(fed).await?,
                    },
                    None => tokio::task::yield_now().await,
                },
            }
            self.collect()?;
            if self.aside.as_ref().is_some_and(|done| done.get()) {
                return self.rest().await;
            }
        }
    }

    /// Takes down that the destination failed, or that nothing is left to be put aside.
    fn remember(&self, ended: &Result<()>) {
        let failing = &self.run.failing;
        match ended {
            Ok(()) if self.aside.is_some() => {
                let all = failing.due(Duration::ZERO);
                all.keys().for_each(|s| failing.settled(s));
            }
            Err(e) if !self.source_failed && is_to_blame(self.errors.as_deref(), e) => {
                let open = self.splits.iter().map(|(s, o)| (s.clone(), o.next.filter(|n| *n > o.mark.next)));
                let open = open.filter(|(_, reached)| reached.is_some());
                failing.failed(open.chain(self.arriving.iter().map(|s| (s.clone(), None))), e);
            }
            _ => {}
        }
    }

    async fn event(&mut self, event: Option<Event>) -> Result<()> {
        match event {
            Some(Event::Ready(group)) => {
                self.joined = group.is_some_and(|g| self.sink.join(g));
                Ok(())
            }
            Some(Event::Assigned(epoch, splits)) => self.assigned(epoch, splits).await,
            Some(Event::Revoked(splits)) => self.revoked(splits).await,
            Some(Event::Lost(splits)) => {
                self.close(&splits).await;
                Ok(())
            }
            Some(Event::Failed(e)) => {
                self.source_failed = true;
                Err(e.context("the source fails"))
            }
            None => {
                self.source_failed = true;
                Err(Error::new(ErrorKind::Other, "the source's thread ended"))
            }
        }
    }

    async fn assigned(&mut self, epoch: u64, splits: Vec<Split>) -> Result<()> {
        self.close(&splits).await;
        self.arriving.clone_from(&splits);
        let known = self.run.clerk.known(&splits);
        let theirs = self.sink.committed(&known).await?;
        if theirs.len() != known.len() {
            return Err(Error::new(ErrorKind::Other, "the sink did not answer for all splits"));
        }
        let newest = |(split, ours): (Split, Option<Mark>), theirs: Option<Mark>| {
            let mark = match (ours, theirs) {
                (Some(ours), Some(theirs)) if ours.next > theirs.next => Some(ours),
                (ours, theirs) => theirs.or(ours),
            };
            (split, mark)
        };
        let marks: Vec<_> = known.into_iter().zip(theirs).map(|(k, t)| newest(k, t)).collect();
        let open: Vec<_> = marks.iter().map(|(s, m)| (s.clone(), m.unwrap_or_default())).collect();
        if let Some(errors) = &self.errors {
            for (split, mark) in &open {
                errors.begin(split, mark.next).await?;
            }
        }
        self.sink.open(&open).await?;
        self.arriving.clear();
        for (split, mark) in &marks {
            if let Some(mark) = mark {
                self.run.clerk.note(split, *mark);
            }
            let next = mark.map(|m| m.next);
            let open = Open { epoch, next, mark: mark.unwrap_or_default() };
            self.splits.insert(split.clone(), open);
        }
        let start = marks.into_iter().map(|(s, m)| (s, m.map(|m| m.next))).collect();
        self.gate.command(Command::Start(start));
        Ok(())
    }

    async fn revoked(&mut self, splits: Vec<Split>) -> Result<()> {
        if splits.iter().any(|s| self.splits.contains_key(s)) {
            self.settle().await?;
            self.close(&splits).await;
        }
        self.gate.command(Command::Release(splits));
        Ok(())
    }

    /// Forgets splits without a word about what is not settled.
    async fn close(&mut self, splits: &[Split]) {
        let mine: Vec<_> = splits.iter().filter(|s| self.splits.remove(s).is_some()).cloned().collect();
        if !mine.is_empty() {
            self.sink.close(&mine).await;
        }
        for split in &mine {
            self.moved.remove(split);
            self.untold.remove(split);
        }
    }

    async fn batch(&mut self, fed: Fed) -> Result<()> {
        let Fed { batch, epoch, charge, lease } = fed;
        let open = self.splits.get_mut(batch.split()).filter(|open| open.epoch <= epoch);
        let Some(open) = open else {
            self.gate.give_back(charge);
            return Ok(());
        };
        if let Some(next) = open.next
            && batch.first() < next
        {
            let (split, first) = (batch.split(), batch.first());
            let what = format!("{split} went back from {next} to {first}: was the topic made anew?");
            return Err(Error::new(ErrorKind::Changed, what));
        }
        open.next = Some(batch.next());
        let batch = Arc::new(batch);
        let (unit, origin, blocked) = match &mut self.step {
            None => (Unit::as_read(batch), Origin::Same, None),
            Some(step) => {
                let now_ms = self.run.context.clock.now().millis();
                let made = stage::transform(&mut **step, &batch, now_ms, &self.run.pipeline.on_failure)?;
                let letters = made.failed.iter().filter_map(|f| {
                    let why = (f.kind, f.reason.as_str());
                    Some(self.keeper.letter(batch.split(), &batch.get(f.index)?, 0, why))
                });
                let letters: Vec<_> = letters.collect();
                self.keeper.keep(letters).await?;
                let origin = if self.sink.may_refuse() { Origin::Made(batch) } else { Origin::Forgotten };
                (made.unit, origin, made.blocked)
            }
        };
        let read = (unit.before.items[Account::READ], unit.before.bytes[Account::READ]);
        self.run.live.read(read.0, read.1);
        self.held.borrow_mut().put(unit.batch.clone(), origin, charge, lease);
        self.sink.write(unit).await?;
        match blocked {
            None => Ok(()),
            Some(e) => {
                self.settle().await?;
                Err(e)
            }
        }
    }

    /// Takes over what the sink has settled.
    fn collect(&mut self) -> Result<()> {
        for Settled { split, mark } in self.sink.settled() {
            let Some(open) = self.splits.get_mut(&split) else { continue };
            if mark.next < open.mark.next {
                return Err(Error::new(ErrorKind::Other, format!("the sink moved {split} back")));
            }
            if !balances(&mark.account) {
                let what = format!("the account of {split} does not balance at {}", mark.next);
                return Err(Error::new(ErrorKind::Other, what));
            }
            if !self.progress && mark != open.mark {
                self.progress = true;
                self.run.live.progress(self.number);
            }
            if mark.next > open.mark.next {
                self.run.failing.settled(&split);
            }
            open.mark = mark;
            self.moved.insert(split, mark);
        }
        self.sweep(false);
        Ok(())
    }

    fn sweep(&self, all: bool) {
        let freed = self.held.borrow_mut().sweep(all);
        if freed > 0 {
            self.gate.give_back(freed);
        }
    }

    async fn tick(&mut self, intake: &Intake) -> Result<()> {
        self.sink.tick().await?;
        self.sweep(true);
        self.note();
        if self.told.elapsed() >= TELL {
            self.tell();
        }
        let full = self.gate.full_for().is_some_and(|t| t >= STUCK);
        if full && intake.batches.is_empty() && !self.held.borrow().is_empty() {
            // The sink waits for more than the window holds.
            self.sink.relieve().await?;
        }
        Ok(())
    }

    fn note(&mut self) {
        for (split, mark) in self.moved.drain() {
            self.run.clerk.note(&split, mark);
            self.untold.insert(split, mark);
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        let lag = |(split, open): (&Split, &Open)| {
            // Where nothing is settled yet, what was read; where nothing was read, nobody knows.
            let at = if open.mark.next > 0 { open.mark.next } else { open.next? };
            let behind = self.gate.end(split)?.saturating_sub(at);
            Some(Lag { split: split.clone(), records: u64::try_from(behind).unwrap_or(0) })
        };
        self.run.live.lags(self.number, self.splits.iter().filter_map(lag).collect());
        if !self.joined && !self.untold.is_empty() {
            let positions = self.untold.drain().map(|(s, m)| (s, m.next, m.to_text())).collect();
            self.gate.command(Command::Commit(positions));
        }
        self.untold.clear();
    }

    /// Makes everything durable that was taken, and journals it.
    async fn settle(&mut self) -> Result<()> {
        self.sink.flush().await?;
        self.collect()?;
        self.note();
        self.run.clerk.write_from_lane().await?;
        self.tell();
        Ok(())
    }

    async fn rest(&mut self) -> Result<()> {
        self.settle().await?;
        let all: Vec<_> = self.splits.keys().cloned().collect();
        self.close(&all).await;
        Ok(())
    }

    /// What a batch costs under the throttles; `None` where there are none.
    fn price(&self, fed: &Fed) -> Option<Paying> {
        let (bytes, records) = (self.run.bytes.clone(), self.run.records.clone());
        if bytes.limit().is_none() && records.limit().is_none() {
            return None;
        }
        let weight = fed.batch.iter().map(|r| r.weight()).sum();
        let count = fed.batch.len() as u64;
        Some(Box::pin(async move {
            bytes.pass(weight).await;
            records.pass(count).await;
        }))
    }
}

type Paying = Pin<Box<dyn Future<Output = ()>>>;

/// The batch when it is paid for.
async fn paid(next: &mut Option<(Fed, Paying)>) -> Option<Fed> {
    if let Some((_, paying)) = next {
        paying.await;
    }
    next.take().map(|(fed, _)| fed)
}

fn balances(a: &Account) -> bool {
    let even = |c: &[u64; 8]| {
        let (read, settled) = c.split_at(2);
        read.iter().map(|n| u128::from(*n)).sum::<u128>() == settled.iter().map(|n| u128::from(*n)).sum()
    };
    even(&a.items) && even(&a.bytes)
}
