//! What the machinery of a lane costs per record: a source that makes batches in memory, a sink that settles at once.
//!
//! `cargo run --release -p engine --example measure-pipeline [records]` prints CPU seconds of the process and wall seconds, first for
//! making and dropping the batches alone, then for a whole pipeline. The difference is the lane's own.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::Result;
use connector::records::{
    Batch, BatchBuilder, Books, Context, Headers, Mark, Polled, RecordRef, RecordSink, RecordSource, Settled,
    SharedHost, Split, Unit,
};
use engine::dispatch::Lease;
use engine::pipeline::{
    Catalogue, DeadDesk, Emit, Ends, Entry, Pauses, Pipelines, Queued, Settings, Step, Supervisor, Trouble,
    Wish,
};
use model::{
    AccountId, DeadLetter, EndKind, Ledger, OnFailure, Pipeline, PipelineDirection, PipelineEnd, PipelineId,
    PipelineStatus, Timestamp,
};
use runtime::{ByteBudget, Clock, Random};

const IN_BATCH: u64 = 1000;

/// Batches of the same records, made as a source would make them.
struct Again {
    left: u64,
    split: Split,
    next: Option<i64>,
    told: bool,
}

fn batch(split: &Split, first: i64) -> Batch {
    let value = [b'x'; 100];
    let mut b = BatchBuilder::with_capacity(split.clone(), first, IN_BATCH as usize, 100 * IN_BATCH as usize);
    for i in 0..IN_BATCH as i64 {
        let offset = first + i;
        let (key, value) = (None, Some(&value[..]));
        b.push(&RecordRef { offset, sub: 0, timestamp_ms: 0, key, value, headers: Headers::none() });
    }
    b.finish(0)
}

impl RecordSource for Again {
    fn describe(&self) -> String {
        "again".to_owned()
    }

    fn poll(&mut self, wait: Duration, room: usize) -> Result<Polled> {
        if !self.told {
            self.told = true;
            return Ok(Polled::Assigned(vec![self.split.clone()]));
        }
        let Some(next) = self.next.filter(|_| self.left > 0 && room > 0) else {
            std::thread::sleep(wait);
            return Ok(Polled::Idle);
        };
        self.left -= 1;
        self.next = Some(next + IN_BATCH as i64);
        Ok(Polled::Batch(batch(&self.split, next)))
    }

    fn start(&mut self, splits: &[(Split, Option<i64>)]) -> Result<()> {
        self.next = splits.first().map(|(_, at)| at.unwrap_or(0));
        Ok(())
    }

    fn release(&mut self, _: &[Split]) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: &[(Split, i64, String)]) -> Result<()> {
        Ok(())
    }

    fn end(&self, _: &Split) -> Option<i64> {
        None
    }
}

struct Null {
    books: Books,
    settled: HashMap<Split, Mark>,
    written: Arc<AtomicU64>,
}

#[async_trait(?Send)]
impl RecordSink for Null {
    fn describe(&self) -> String {
        "null".to_owned()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        Ok(vec![None; known.len()])
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        splits.iter().for_each(|(s, m)| self.books.open(s.clone(), *m));
        Ok(())
    }

    async fn close(&mut self, _: &[Split]) {}

    async fn write(&mut self, unit: Unit) -> Result<()> {
        let mark = self.books.after(&unit, &unit.all_written());
        self.books.settle(unit.batch.split(), mark);
        self.settled.insert(unit.batch.split().clone(), mark);
        self.written.fetch_add(unit.batch.len() as u64, Relaxed);
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}

struct Same;

impl Step for Same {
    fn apply(&mut self, batch: &Batch, _: i64, out: &mut dyn Emit) {
        batch.iter().enumerate().for_each(|(i, r)| out.put(i, &r));
    }
}

struct Nowhere {
    batches: u64,
    step: bool,
    written: Arc<AtomicU64>,
}

impl Ends for Nowhere {
    fn splits(&self) -> Result<Option<usize>> {
        Ok(None)
    }

    fn source(&self, _: &Context) -> Result<Box<dyn RecordSource>> {
        let split = Split::new("t", 0);
        Ok(Box::new(Again { left: self.batches, split, next: None, told: false }))
    }

    fn step(&self) -> Result<Option<Box<dyn Step>>> {
        Ok(self.step.then(|| Box::new(Same) as Box<dyn Step>))
    }

    fn sink(&self, _: &Context, _: SharedHost) -> Result<Box<dyn RecordSink>> {
        let written = self.written.clone();
        Ok(Box::new(Null { books: Books::default(), settled: HashMap::new(), written }))
    }

    fn copy(&self, _: &PipelineEnd, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        self.sink(context, host)
    }
}

struct One(Arc<Nowhere>, Mutex<Option<Pipeline>>);

type Done<T> = std::result::Result<T, Trouble>;

#[async_trait]
impl Catalogue for One {
    async fn resolve(&self, _: &Pipeline) -> Result<Arc<dyn Ends>> {
        Ok(self.0.clone())
    }
}

#[async_trait]
impl Pipelines for One {
    async fn release(&self) -> Done<()> {
        Ok(())
    }
    async fn claim(&self, _: &str, _: Duration) -> Done<Option<Pipeline>> {
        Ok(self.1.lock().unwrap().take())
    }
    async fn began(&self, _: &PipelineId, _: u32) -> Done<()> {
        Ok(())
    }
    async fn get(&self, _: &PipelineId) -> Done<Option<Pipeline>> {
        Ok(None)
    }
    async fn marks(&self, _: &PipelineId) -> Done<Vec<(Split, Mark)>> {
        Ok(Vec::new())
    }
    async fn journal(&self, _: &PipelineId, _: u32, _: &Entry) -> Done<Wish> {
        Ok(Wish::Run)
    }
    async fn renew(&self, _: &PipelineId, _: u32) -> Done<Wish> {
        Ok(Wish::Run)
    }
    async fn explain(&self, _: &PipelineId, _: u32, error: Option<&str>) -> Done<()> {
        println!("{error:?}");
        Ok(())
    }
    async fn rest(&self, _: &PipelineId, _: u32) -> Done<()> {
        Ok(())
    }
}

#[async_trait]
impl DeadDesk for One {
    async fn keep(&self, _: &PipelineId, _: u32, _: Vec<DeadLetter>) -> Done<()> {
        Ok(())
    }
    async fn queued(&self, _: &PipelineId, _: i64, _: usize, _: u64) -> Done<Vec<Queued>> {
        Ok(Vec::new())
    }
    async fn replayed(&self, _: &PipelineId, _: u32, _: &Split, _: i64) -> Done<()> {
        Ok(())
    }
    async fn again(&self, _: &PipelineId, _: u32, _: Vec<(i64, String, String)>) -> Done<()> {
        Ok(())
    }
}

fn pipeline() -> Pipeline {
    let end = PipelineEnd {
        kind: EndKind::Kafka,
        connection: None,
        address: String::new(),
        secret: None,
        options: String::new(),
    };
    Pipeline {
        id: PipelineId("task-measure".to_owned()),
        account: AccountId(String::new()),
        name: String::new(),
        description: String::new(),
        direction: PipelineDirection::Sink,
        source: end.clone(),
        sink: end,
        transform: None,
        on_failure: OnFailure::Block,
        on_refusal: OnFailure::Block,
        lanes: Some(1),
        bytes_per_s: None,
        records_per_s: None,
        status: PipelineStatus::Running,
        error: None,
        ledger: Ledger::default(),
        attempt: 1,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        created: Timestamp(0),
        deleted: None,
    }
}

/// CPU seconds of this process so far, in steps of 10 ms.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

async fn run(batches: u64, step: bool) {
    let written = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(Nowhere { batches, step, written: written.clone() });
    let one = Arc::new(One(ends, Mutex::new(Some(pipeline()))));
    let settings = Settings {
        pipelines: one.clone(),
        desk: one.clone(),
        catalogue: one,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(256 << 20),
        concurrent: 32,
        lanes: 2,
        spare_lanes: 32,
        lease: Lease::default(),
        pauses: Pauses::default(),
    };
    let (began, before) = (Instant::now(), cpu());
    let supervisor = Supervisor::start(settings).await.unwrap();
    while written.load(Relaxed) < batches * IN_BATCH {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    report(if step { "pipeline, step" } else { "pipeline" }, batches, (began.elapsed(), cpu() - before));
    supervisor.stop().await;
}

fn report(what: &str, batches: u64, (wall, cpu): (Duration, f64)) {
    let records = (batches * IN_BATCH) as f64;
    let (wall, each) = (wall.as_secs_f64(), cpu * 1e9 / records);
    println!("{what}: {records} records, {wall:.2} s wall, {cpu:.2} s CPU, {each:.1} ns CPU a record");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let records: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000_000);
    let batches = records / IN_BATCH;
    let split = Split::new("t", 0);
    let (began, before) = (Instant::now(), cpu());
    for _ in 0..batches {
        std::hint::black_box(batch(&split, 0));
    }
    report("making batches alone", batches, (began.elapsed(), cpu() - before));
    run(batches, false).await;
    run(batches, true).await;
}
