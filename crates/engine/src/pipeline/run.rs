//! One claimed pipeline: its lanes, its journal, what is in its way, and how it comes to rest.
//!
//! A lane that fails is started anew after a pause that grows; its neighbours go on. What is in the way is told to the store
//! when it changes. A run whose attempt is not the current one any more, or that could not renew its lease for most of the lease's
//! length, cuts its lanes: they are dropped where they stand and write nothing more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::records::Context;
use model::{Pipeline, PipelineStatus};
use runtime::{Bandwidth, Random, Shutdown, TaskKind};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use super::aside::Failing;
use super::clerk::Clerk;
use super::feed::Share;
use super::lane::{self, Run};
use super::supervisor::{Hand, Pauses, Settings};
use super::{Trouble, Wish, replay};

/// How often the journal is written.
const BEAT: Duration = Duration::from_secs(1);
/// Lanes of one pipeline at most.
const MAX_LANES: u32 = 20;
/// How long lanes may take to come to rest.
pub(super) const REST: Duration = Duration::from_secs(15);
/// The lane that replays dead letters.
const REPLAY: u32 = 1000;

/// Runs a claimed pipeline until it rests or is lost.
pub(super) async fn run(s: &Settings, spare: &Semaphore, pipeline: Pipeline, hand: &Hand) {
    let (id, attempt) = (pipeline.id.clone(), pipeline.attempt);
    tracing::info!(pipeline = %id.0, attempt, "run");
    let ended = match pipeline.status {
        PipelineStatus::Pausing | PipelineStatus::Deleting => Ok(()),
        _ => work(s, spare, pipeline, hand).await,
    };
    match ended {
        Ok(()) => rest(s, &id, attempt).await,
        Err(Trouble::Fenced) => {
            tracing::warn!(pipeline = %id.0, attempt, "somebody else runs this pipeline now")
        }
        Err(Trouble::Failed(why)) => {
            tracing::warn!(pipeline = %id.0, "the run ends, its lease runs out: {why}")
        }
    }
}

async fn work(s: &Settings, spare: &Semaphore, pipeline: Pipeline, hand: &Hand) -> Result<(), Trouble> {
    let (id, attempt) = (pipeline.id.clone(), pipeline.attempt);
    s.pipelines.began(&id, attempt).await?;
    let cut = Shutdown::new();
    let clerk = Arc::new(Clerk::open((id, attempt), s.pipelines.clone(), cut).await?);
    let run = Arc::new(make(s, pipeline, hand, clerk));
    let replays = Arc::new(Notify::new());
    let mut beat = Beat { s, run: run.clone(), replays: replays.clone(), told: None, last: Instant::now() };
    let mut lanes = JoinSet::new();
    let begin = lanes_of(s, spare, &run);
    let mut begin = std::pin::pin!(begin);
    let mut room: Option<SemaphorePermit<'_>> = None;
    let mut begun = false;
    let mut tick = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            biased;
            () = run.clerk.cut.stopped() => break,
            () = run.rest.stopped() => break,
            _ = tick.tick() => beat.once().await?,
            (count, extra) = &mut begin, if !begun => {
                (begun, room) = (true, extra);
                for n in 0..count {
                    keep(&mut lanes, lane(waits(s), run.clone(), n));
                }
                keep(&mut lanes, replaying(waits(s), run.clone(), replays.clone()));
            }
        }
    }
    let quiet = async { while lanes.join_next().await.is_some() {} };
    if tokio::time::timeout(REST, quiet).await.is_err() {
        tracing::warn!(pipeline = %run.pipeline.id.0, "lanes did not come to rest in {REST:?}: they go on from their marks");
    }
    let fenced = run.clerk.cut.is_stopped();
    run.clerk.cut.stop();
    lanes.abort_all();
    drop(room);
    if fenced { Err(Trouble::Fenced) } else { run.clerk.write().await.map(drop) }
}

fn make(s: &Settings, pipeline: Pipeline, hand: &Hand, clerk: Arc<Clerk>) -> Run {
    let context = Context {
        pipeline: pipeline.id.0.clone(),
        lane: 0,
        clock: s.clock.clone(),
        random: s.random.clone(),
        budget: s.budget.clone(),
    };
    // A throttled lane takes small batches: a batch passes whole, and the next one waits for it.
    let room = pipeline.bytes_per_s.map_or(u64::MAX, |b| (b / 4).max(1024));
    Run {
        bytes: Bandwidth::limited(pipeline.bytes_per_s.unwrap_or(0)),
        records: Bandwidth::limited(pipeline.records_per_s.unwrap_or(0)),
        share: Share { windows: hand.windows.clone(), copies: 1, room, budget: s.budget.clone() },
        clerk,
        desk: s.desk.clone(),
        catalogue: s.catalogue.clone(),
        live: hand.live.clone(),
        rest: hand.rest.clone(),
        context,
        failing: Failing::default(),
        pipeline,
    }
}

fn waits(s: &Settings) -> Waits {
    Waits::new(s.random.clone(), s.pauses)
}

fn keep(lanes: &mut JoinSet<()>, future: impl Future<Output = ()> + Send + 'static) {
    let handle = runtime::spawn(TaskKind::RunPipeline, future);
    // The set's own task only waits, so that an abort of it leaves nothing half done.
    lanes.spawn(async move {
        let _ = handle.await;
    });
}

/// How many lanes, with the room that those beyond the first take. Tries until it is known.
async fn lanes_of<'a>(
    s: &Settings,
    spare: &'a Semaphore,
    run: &Arc<Run>,
) -> (u32, Option<SemaphorePermit<'a>>) {
    let mut waits = waits(s);
    let splits = loop {
        let asked = async {
            let ends = run.catalogue.resolve(&run.pipeline).await?;
            let asked = runtime::aside("pipeline-splits", move || ends.splits()).await;
            asked.unwrap_or_else(|why| Err(connector::Error::new(connector::ErrorKind::Other, why)))
        };
        match asked.await {
            Ok(splits) => break splits.unwrap_or(1),
            Err(e) => {
                run.live.down(0, Some(e.to_string()));
                tokio::time::sleep(waits.next()).await;
            }
        }
    };
    let wanted = run.pipeline.lanes.unwrap_or(MAX_LANES).min(s.lanes).min(MAX_LANES);
    let wanted = wanted.min(u32::try_from(splits).unwrap_or(u32::MAX)).max(1);
    for extra in (1..wanted).rev() {
        if let Ok(room) = spare.try_acquire_many(extra) {
            return (extra + 1, Some(room));
        }
    }
    (1, None)
}

/// Runs a lane again and again until the run rests or is cut.
async fn lane(mut waits: Waits, run: Arc<Run>, number: u32) {
    while !over(&run) {
        run.live.up(number);
        let ended = run.on_thread(number, lane::work).await;
        pause(&run, number, &mut waits, ended).await;
    }
}

/// Replays dead letters whenever there are some.
async fn replaying(mut waits: Waits, run: Arc<Run>, wanted: Arc<Notify>) {
    while !over(&run) {
        tokio::select! {
            () = wanted.notified() => {}
            () = run.rest.stopped() => return,
            () = run.clerk.cut.stopped() => return,
        }
        run.live.up(REPLAY);
        let ended = run.on_thread(REPLAY, replay::work).await;
        if ended.is_err() {
            wanted.notify_one();
        }
        pause(&run, REPLAY, &mut waits, ended).await;
    }
}

fn over(run: &Run) -> bool {
    run.rest.is_stopped() || run.clerk.cut.is_stopped()
}

/// Notes how a lane ended, and waits before it is started again.
async fn pause(run: &Run, number: u32, waits: &mut Waits, ended: connector::Result<()>) {
    let Err(e) = ended else {
        run.live.down(number, None);
        return;
    };
    if over(run) {
        tracing::info!(pipeline = %run.pipeline.id.0, lane = number, "not everything was settled: {e}");
        run.live.down(number, None);
        return;
    }
    tracing::warn!(pipeline = %run.pipeline.id.0, lane = number, "the lane is started anew: {e}");
    if run.live.down(number, Some(e.to_string())) {
        waits.reset();
    }
    let mut wait = waits.next();
    if let Some(due) = run.patience().and_then(|p| run.failing.due_in(p)) {
        wait = wait.min(due);
    }
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = run.rest.stopped() => {}
        () = run.clerk.cut.stopped() => {}
    }
}

/// Once a second: the journal or the lease, live numbers, what is in the way.
struct Beat<'a> {
    s: &'a Settings,
    run: Arc<Run>,
    replays: Arc<Notify>,
    told: Option<Option<String>>,
    last: Instant,
}

impl Beat<'_> {
    async fn once(&mut self) -> Result<(), Trouble> {
        let run = &self.run;
        run.live.beat(run.clerk.ledger());
        let due = self.last.elapsed() >= self.s.lease.renewed_every.min(Duration::from_secs(5));
        if !run.clerk.is_dirty() && !due && self.told.is_some() {
            return self.explain().await;
        }
        // A store that hangs must not keep this run from noticing that its lease runs out.
        let answer = tokio::time::timeout(self.s.lease.length / 4, self.journal()).await;
        let answer = answer.unwrap_or_else(|_| Err(Trouble::Failed("the store does not answer".to_owned())));
        match answer {
            Ok(wish) => {
                self.last = Instant::now();
                match wish {
                    Wish::Run => {}
                    Wish::Replay => self.replays.notify_one(),
                    Wish::Rest => run.rest.stop(),
                }
                self.explain().await
            }
            Err(Trouble::Fenced) => Ok(()),
            Err(Trouble::Failed(why)) => {
                tracing::warn!(pipeline = %run.pipeline.id.0, "the journal can't be written: {why}");
                if self.last.elapsed() >= self.s.lease.length * 3 / 4 {
                    // Another server may take it over soon.
                    run.clerk.cut.stop();
                }
                Ok(())
            }
        }
    }

    async fn journal(&self) -> Result<Wish, Trouble> {
        let clerk = &self.run.clerk;
        if clerk.is_dirty() {
            return clerk.write().await;
        }
        let renewed = self.s.pipelines.renew(&clerk.id, clerk.attempt).await;
        clerk.watch(renewed)
    }

    async fn explain(&mut self) -> Result<(), Trouble> {
        let error = self.run.live.error();
        let known = match &self.told {
            Some(told) => told,
            None => &self.run.pipeline.error,
        };
        if *known != error {
            let clerk = &self.run.clerk;
            let told = self.s.pipelines.explain(&clerk.id, clerk.attempt, error.as_deref());
            let told = tokio::time::timeout(self.s.lease.length / 4, told).await;
            let told = told.unwrap_or_else(|_| Err(Trouble::Failed(String::new())));
            if clerk.watch(told).is_err() {
                return Ok(());
            }
        }
        self.told = Some(error);
        Ok(())
    }
}

/// Tries for a while: else the pipeline looks at work until its lease has run out.
async fn rest(s: &Settings, id: &model::PipelineId, attempt: u32) {
    for wait_s in [1, 2, 4, 0] {
        match s.pipelines.rest(id, attempt).await {
            Ok(()) => return tracing::info!(pipeline = %id.0, "at rest"),
            Err(Trouble::Fenced) => return,
            Err(Trouble::Failed(why)) => {
                tracing::warn!(pipeline = %id.0, "its rest can't be recorded: {why}")
            }
        }
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
    }
}

/// What is left of [`Pauses`].
struct Waits {
    random: Random,
    pauses: Pauses,
    next: Duration,
}

impl Waits {
    fn new(random: Random, pauses: Pauses) -> Self {
        Self { random, pauses, next: pauses.first }
    }

    fn next(&mut self) -> Duration {
        let [chance] = self.random.bytes();
        let wait = self.next.mul_f64(1.0 - f64::from(chance) / 512.0);
        self.next = (self.next * 2).min(self.pauses.last);
        wait
    }

    fn reset(&mut self) {
        self.next = self.pauses.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses = Pauses::default();
        let mut w = Waits::new(Random::system(), pauses);
        let all: Vec<_> = (0..10).map(|_| w.next()).collect();
        assert!(all[0] <= pauses.first && all[0] >= pauses.first / 2);
        assert!(all[9] <= pauses.last && all[9] >= pauses.last / 2);
        w.reset();
        assert!(w.next() <= pauses.first);
    }
}
