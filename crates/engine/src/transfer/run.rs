//! One run from its first listing to its outcome.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connector::{Digest, Entry, Error, ErrorKind, Sweep, Tree};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use runtime::{Bandwidth, ByteBudget, Clock, Micros, Shutdown, TaskKind};
use tokio::sync::oneshot;

use super::book::Book;
use super::clerk::{self, Clerk};
use super::dry::Touched;
use super::merge::Bound;
use super::planner;
use super::queue::Queue;
use super::{Ended, FileDetail, Job, Live, Options, Outcome, Would, slot};
use crate::decide::Rules;
use crate::journal::Checkpoint;
use crate::{Journal, JournalError, Lanes, Select, Steer, Wish};

/// How often the clerk looks without being called.
const GLANCE: Duration = Duration::from_millis(50);
/// Records that are booked at once.
const BOOKED: usize = 4096;
/// Failures of one kind in a row, with no success between, that speak of the whole end.
const HOPELESS: u32 = 64;
/// What is younger than this attempt is at work, ours or of a run that looks like ours; and by so much a store,
/// which keeps whole seconds by a clock of its own, may tell an age too high.
const SWEEP_MARGIN_S: u64 = 5;
/// How long a resumed run looks for what its earlier attempts have left; housekeeping finds the rest.
const SWEEP: Duration = Duration::from_secs(60);

/// What planner, slots and clerk of one run share.
pub(super) struct Run {
    pub source: Arc<dyn Tree>,
    pub destination: Arc<dyn Tree>,
    pub options: Options,
    pub lanes: Lanes,
    pub budget: ByteBudget,
    pub bandwidth: Bandwidth,
    pub live: Arc<Live>,
    pub queue: Queue,
    pub book: Book,
    /// What a dry run would have touched.
    pub touched: Touched,
    /// The run is over or dropped: lanes let go of what they hold.
    pub gone: Shutdown,
    /// The run is cancelled: nobody needs the parts that are under way.
    pub halt: Shutdown,
    /// Failures since the last success.
    pub hopeless: AtomicU32,
    resumed: bool,
    started_ns: i64,
    clock: Clock,
    /// When this attempt began.
    attempt: Micros,
    single: Option<Mutex<Option<FileDetail>>>,
    fatal: Mutex<Option<(ErrorKind, String)>>,
}

impl Run {
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            policy: self.options.conflict,
            run: &self.options.run,
            resumed: self.resumed,
            started_ns: self.started_ns,
        }
    }

    /// Ends the run: the first reason stands.
    pub fn fail(&self, kind: ErrorKind, message: String) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((kind, message));
        self.queue.close();
        self.book.moved.notify_one();
    }

    fn failed(&self) -> Option<(ErrorKind, String)> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a failure that may speak of the whole endpoint; true when it is clear that it does.
    pub fn is_hopeless(&self, kind: ErrorKind, error: &Error) -> bool {
        if !matches!(
            kind,
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Unavailable | ErrorKind::Throttled
        ) {
            return false;
        }
        let over = self.hopeless.fetch_add(1, Relaxed) + 1 >= HOPELESS;
        if over {
            self.fail(kind, format!("{HOPELESS} items in a row failed, the last one: {error}"));
        }
        over
    }

    /// Keeps the particulars of a single file.
    pub fn note_single(&self, entry: &Entry, digest: Option<Digest>, crc64_xz: Option<u64>) {
        let Some(single) = &self.single else { return };
        let modified_ns = entry.meta.as_ref().and_then(|m| m.mtime_ns).unwrap_or(entry.modified_ns);
        *single.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(FileDetail { modified_ns, size: entry.size, digest, crc64_xz });
    }
}

/// Lets the lanes go when the run is dropped, however that happens.
struct Hold(Arc<Run>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.gone.stop();
    }
}

/// Runs a job to its end, or to its rest. Dropping the future stops it at once; what it had recorded stands.
pub async fn run(job: Job) -> Outcome {
    match Driver::start(job).await {
        Ok(driver) => driver.drive().await,
        Err((live, message)) => Outcome {
            ended: Ended::Failed(ErrorKind::Other, message),
            ledger: model::Ledger::default(),
            failures: Vec::new(),
            manifest_sha256: None,
            single: None,
            would: Would::default(),
            events: Vec::new(),
            live: live.snapshot(),
        },
    }
}

type Recording = Pin<Box<dyn Future<Output = Result<Wish, JournalError>> + Send>>;

struct Driver {
    hold: Hold,
    clerk: Clerk,
    planner: Bound<connector::Result<()>>,
    /// Lets the planner begin.
    begin: Option<oneshot::Sender<()>>,
    lanes: FuturesUnordered<oneshot::Receiver<()>>,
    journal: Option<Arc<dyn Journal>>,
    steer: Steer,
    recording: Option<Recording>,
    recorded: Instant,
    planned: bool,
}

/// Why the driver's loop ended.
enum Why {
    Done,
    Wished(Wish),
    Fatal,
    Fenced,
}

impl Driver {
    async fn start(mut job: Job) -> Result<Self, (Arc<Live>, String)> {
        let live = job.live.clone();
        let fault = |m: String| (live.clone(), m);
        let now = job.shared.clock.now().0;
        let checkpoint = job.checkpoint.take().filter(|c| !c.is_empty());
        let checkpoint = checkpoint.map(|c| Checkpoint::decode(&c)).transpose().map_err(&fault)?;
        let resumed = checkpoint.is_some();
        let clerk = Clerk::open(&job, checkpoint, now)
            .map_err(|e| fault(format!("the reports can't be opened: {e}")))?;
        job.live.carry_over(&clerk.ledger);
        let run = Arc::new(Run {
            source: job.source,
            destination: job.destination,
            lanes: job.shared.lanes,
            budget: job.shared.budget,
            bandwidth: job.shared.bandwidth,
            live: job.live,
            queue: Queue::default(),
            book: Book::new(job.options.window),
            touched: Touched::default(),
            gone: Shutdown::new(),
            halt: Shutdown::new(),
            hopeless: AtomicU32::new(0),
            resumed,
            started_ns: clerk.started_us().saturating_mul(1000),
            attempt: job.shared.clock.now(),
            clock: job.shared.clock,
            single: matches!(job.select, Select::One { .. }).then(Mutex::default),
            fatal: Mutex::default(),
            options: job.options,
        });
        let hold = Hold(run.clone());
        let lanes = FuturesUnordered::new();
        for n in 0..run.lanes.count() {
            let lane = run.clone();
            lanes.push(run.lanes.start(n, move || slot::lane(lane)).await);
        }
        let (begin, begun) = oneshot::channel();
        let (select, cursor) = (job.select, clerk.cursor.clone());
        let planner = Bound(runtime::spawn(TaskKind::RunTask, async move {
            // Dropped: the run has ended before it began.
            if begun.await.is_err() {
                return Ok(());
            }
            planner::plan(run, select, cursor).await
        }));
        Ok(Self {
            hold,
            clerk,
            planner,
            begin: Some(begin),
            lanes,
            journal: job.journal,
            steer: job.steer,
            recording: None,
            recorded: Instant::now(),
            planned: false,
        })
    }

    async fn drive(mut self) -> Outcome {
        // The first entry makes the beginning durable: what is written from here on is ours, also to the next attempt. Nothing is
        // listed before it, however slow the journal is.
        let why = match self.record_now(false).await {
            Ok(Wish::GoOn) => {
                let _ = self.begin.take().map(|begin| begin.send(()));
                self.attend().await
            }
            Ok(wish) => Why::Wished(wish),
            Err(why) => why,
        };
        self.end(why).await
    }

    /// The clerk's day.
    async fn attend(&mut self) -> Why {
        let run = self.hold.0.clone();
        let mut records = Vec::new();
        loop {
            if let Err(why) = self.book_ready(&mut records) {
                return why;
            }
            if run.failed().is_some() {
                return Why::Fatal;
            }
            if self.planned && run.book.is_empty() {
                return Why::Done;
            }
            if let Err(why) = self.begin_recording() {
                return why;
            }
            if let Some(why) = self.wait(&run).await {
                return why;
            }
        }
    }

    /// Waits for the next thing to happen.
    async fn wait(&mut self, run: &Arc<Run>) -> Option<Why> {
        tokio::select! {
            () = run.book.moved.notified() => None,
            () = tokio::time::sleep(GLANCE) => None,
            wish = self.steer.stop_wished() => Some(Why::Wished(wish)),
            planned = &mut self.planner.0, if !self.planned => {
                self.planned = true;
                run.book.no_more();
                match planned {
                    Ok(Ok(())) => None,
                    Ok(Err(e)) => { run.fail(e.kind(), e.to_string()); None }
                    Err(e) => { run.fail(ErrorKind::Other, format!("the planner broke: {e}")); None }
                }
            }
            Some(_) = self.lanes.next() => {
                run.fail(ErrorKind::Other, "a lane broke".to_owned());
                None
            }
            recorded = recording(&mut self.recording) => {
                self.recording = None;
                self.recorded = Instant::now();
                match recorded {
                    Ok(Wish::GoOn) => None,
                    Ok(wish) => Some(Why::Wished(wish)),
                    Err(e) => Some(self.journal_failed(e)),
                }
            }
        }
    }

    fn journal_failed(&self, e: JournalError) -> Why {
        match e {
            JournalError::Fenced => Why::Fenced,
            JournalError::Failed(m) => {
                self.hold.0.fail(ErrorKind::Other, format!("the journal can't be kept: {m}"));
                Why::Fatal
            }
        }
    }

    fn book_ready(&mut self, records: &mut Vec<super::book::Record>) -> Result<(), Why> {
        let run = &self.hold.0;
        loop {
            run.book.take_ready(BOOKED, records);
            let more = records.len() >= BOOKED;
            if let Err(e) = self.clerk.absorb(records) {
                run.fail(ErrorKind::Full, format!("the reports can't be written: {e}"));
                return Err(Why::Fatal);
            }
            let cursor = &self.clerk.cursor;
            let free = run.book.release(cursor.segment, cursor.after.as_deref().unwrap_or_default());
            if !free.is_empty() {
                run.queue.push_released(free);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn begin_recording(&mut self) -> Result<(), Why> {
        let every = Duration::from_millis(self.hold.0.options.journal_every_ms);
        if self.journal.is_none() || self.recording.is_some() || self.recorded.elapsed() < every {
            return Ok(());
        }
        self.recording = Some(self.recording_of(false, self.clerk.has_news())?);
        Ok(())
    }

    fn recording_of(&mut self, complete: bool, settle: bool) -> Result<Recording, Why> {
        let run = &self.hold.0;
        let settle = settle && run.options.durable && !run.options.dry_run;
        match self.clerk.checkpoint(&run.live, complete, settle) {
            Ok(step) => Ok(Box::pin(clerk::record(step, run.destination.clone(), self.journal.clone()))),
            Err(e) => {
                run.fail(ErrorKind::Full, format!("the reports can't be written: {e}"));
                Err(Why::Fatal)
            }
        }
    }

    /// Records the present state, after any recording that is under way.
    async fn record_now(&mut self, complete: bool) -> Result<Wish, Why> {
        if let Some(under_way) = self.recording.take() {
            under_way.await.map_err(|e| self.journal_failed(e))?;
        }
        let settle = self.clerk.has_news() || complete;
        let recording = self.recording_of(complete, settle)?;
        self.recorded = Instant::now();
        recording.await.map_err(|e| self.journal_failed(e))
    }

    async fn end(mut self, why: Why) -> Outcome {
        let run = self.hold.0.clone();
        let ended = match why {
            Why::Done => match self.record_now(true).await {
                Ok(_) => Ended::Done,
                Err(Why::Fenced) => Ended::Fenced,
                Err(_) => self.fatal(),
            },
            Why::Fenced => Ended::Fenced,
            Why::Fatal => {
                self.rest().await;
                let _ = self.record_now(false).await;
                self.fatal()
            }
            Why::Wished(wish) => {
                if wish == Wish::Cancel {
                    run.halt.stop();
                }
                self.rest().await;
                match self.record_now(false).await {
                    Ok(_) if wish == Wish::Cancel => Ended::Canceled,
                    Ok(_) => Ended::Paused,
                    Err(Why::Fenced) => Ended::Fenced,
                    Err(_) => self.fatal(),
                }
            }
        };
        if ended == Ended::Canceled {
            self.abort_uploads().await;
        }
        run.queue.close();
        self.lanes_end(Duration::from_millis(run.options.grace_ms)).await;
        if matches!(ended, Ended::Done | Ended::Canceled) {
            sweep(&run).await;
        }
        self.outcome(ended).await
    }

    fn fatal(&self) -> Ended {
        let (kind, message) =
            self.hold.0.failed().unwrap_or((ErrorKind::Other, "the run ended early".to_owned()));
        Ended::Failed(kind, message)
    }

    /// Stops planning and lets what is in flight end within the grace.
    async fn rest(&mut self) {
        let run = self.hold.0.clone();
        self.planner.0.abort();
        run.queue.close();
        self.lanes_end(Duration::from_millis(run.options.grace_ms)).await;
        let _ = self.book_ready(&mut Vec::new());
    }

    async fn lanes_end(&mut self, grace: Duration) {
        let all = async { while self.lanes.next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            self.hold.0.gone.stop();
            while self.lanes.next().await.is_some() {}
        }
    }

    /// Takes away the uploads that a cancelled run leaves.
    async fn abort_uploads(&mut self) {
        let open = self.hold.0.queue.open();
        if open.is_empty() {
            return;
        }
        let destination = self.hold.0.destination.clone();
        let work = self.hold.0.lanes.start(0, move || {
            Box::pin(async move {
                let lane = destination.lane();
                for large in open {
                    if let Err(e) = lane.abort(large.target(), large.upload()).await {
                        tracing::warn!(path = large.target().path.display(), error = %e, "an upload was left behind");
                    }
                }
            })
        });
        let _ = tokio::time::timeout(Duration::from_millis(self.hold.0.options.grace_ms), work.await).await;
    }

    async fn outcome(mut self, mut ended: Ended) -> Outcome {
        let run = self.hold.0.clone();
        let mut events = Vec::new();
        if matches!(ended, Ended::Failed(..) | Ended::Canceled) {
            // Nobody goes on from here: what is settled behind a gap counts too.
            for record in run.book.take_all_settled() {
                let _ = self.clerk.book(&record);
            }
            if let Ok(last) = self.clerk.checkpoint(&run.live, true, false) {
                events = last.into_events();
            }
        }
        let mut manifest_sha256 = None;
        if ended == Ended::Done {
            if let Some(fault) = self.imbalance() {
                ended = Ended::Failed(ErrorKind::Other, fault);
            }
            match self.clerk.manifest_sha256().await {
                Ok(sum) => manifest_sha256 = sum,
                Err(e) => ended = Ended::Failed(ErrorKind::Other, format!("the manifest can't be read: {e}")),
            }
        }
        let single = run.single.as_ref().and_then(|s| *s.lock().unwrap_or_else(PoisonError::into_inner));
        Outcome {
            ended,
            ledger: self.clerk.ledger,
            failures: std::mem::take(&mut self.clerk.failures),
            manifest_sha256,
            single,
            would: self.clerk.would,
            events,
            live: run.live.snapshot(),
        }
    }

    /// The account must balance, and hold as many items as the planner has numbered.
    fn imbalance(&self) -> Option<String> {
        let ledger = &self.clerk.ledger;
        if let Err(off) = ledger.balance() {
            return Some(off.to_string());
        }
        let found = self.hold.0.live.items_found.load(Relaxed);
        (found != ledger.items.read)
            .then(|| format!("{found} items were found and {} have an outcome", ledger.items.read))
    }
}

/// Takes away what killed attempts of this run have left. What it leaves in this one it has taken away.
async fn sweep(run: &Run) {
    if !run.resumed || run.options.run.is_empty() || run.options.dry_run {
        return;
    }
    let since = run.clock.now().0.saturating_sub(run.attempt.0).max(0);
    let idle_s = u64::try_from(since).unwrap_or(0).div_ceil(1_000_000).saturating_add(SWEEP_MARGIN_S);
    let what = Sweep::of_run(&run.options.run, idle_s);
    match tokio::time::timeout(SWEEP, run.destination.sweep(&what)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(n)) => tracing::info!(run = run.options.run, n, "leftovers of earlier attempts are gone"),
        Ok(Err(e)) => tracing::warn!(run = run.options.run, error = %e, "leftovers may stay"),
        Err(_) => tracing::warn!(run = run.options.run, "looking for leftovers took too long"),
    }
}

/// Polls a recording that is under way; waits for ever when there is none.
async fn recording(under_way: &mut Option<Recording>) -> Result<Wish, JournalError> {
    match under_way {
        Some(r) => r.await,
        None => std::future::pending().await,
    }
}
