//! CPU of this process for each record, against a broker in another one.
//!
//! `cargo run --release -p connector-kafka --example measure-kafka -- <host:port> [records]`
//! Fills topics with records of 100 bytes and 1 KiB, then runs the source alone, the source into the sink (exactly once, and at
//! least once), and prints microseconds of CPU for each record.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    clippy::disallowed_methods
)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::records::{
    BatchBuilder, Context, Endpoint, Headers, Host, Polled, RecordRef, RecordSink, RecordSource, Refused,
    Ruling, Split, Unit,
};
use connector_kafka::{KafkaAdmin, TopicSpec};
use runtime::{ByteBudget, Clock, Random};

const ROOM: usize = 1 << 20;
const WAIT: Duration = Duration::from_secs(10);

struct Nobody;

#[async_trait(?Send)]
impl Host for Nobody {
    async fn refuse(&self, _unit: &Unit, _refused: Vec<Refused>) -> connector::Result<Ruling> {
        Ok(Ruling::Dropped)
    }
}

struct Bench {
    boot: String,
    run: u128,
}

impl Bench {
    fn endpoint(&self, options: &str) -> Endpoint {
        let connection = format!(r#"{{"bootstrap":"{}"}}"#, self.boot);
        Endpoint { connection, secret: None, options: options.to_owned() }
    }

    fn context(&self, name: &str) -> Context {
        Context {
            pipeline: format!("measure-{name}-{}", self.run),
            lane: 0,
            clock: Clock::system(),
            random: Random::system(),
            budget: ByteBudget::new(64 << 20),
        }
    }

    fn topic(&self, name: &str) -> String {
        let name = format!("measure-{name}-{}", self.run);
        let spec = TopicSpec { name: name.clone(), partitions: Some(4), settings: Vec::new() };
        KafkaAdmin::new(&self.endpoint("")).unwrap().create_topic(&spec, WAIT).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        name
    }

    fn source(&self, topic: &str, group: &str) -> Box<dyn RecordSource> {
        let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
        connector_kafka::source(&self.endpoint(&options), &self.context(group)).unwrap()
    }

    fn sink(&self, topic: &str, exactly_once: bool, name: &str) -> Box<dyn RecordSink> {
        let options = format!(r#"{{"topic":"{topic}","exactly_once":{exactly_once}}}"#);
        connector_kafka::sink(&self.endpoint(&options), &self.context(name), Rc::new(Nobody)).unwrap()
    }

    async fn fill(&self, topic: &str, size: usize, records: usize) {
        let mut sink = self.sink(topic, false, "fill");
        for first in (0..records).step_by(2000) {
            let mut batch = BatchBuilder::new(Split::new("fill", 0), 0);
            for i in first..(first + 2000).min(records) {
                let value = format!("{{\"n\":{i:0width$}}}", width = size - 6);
                let key = i.to_le_bytes();
                batch.push(&RecordRef {
                    offset: 0,
                    sub: 0,
                    timestamp_ms: 1_700_000_000_000,
                    key: Some(&key),
                    value: Some(value.as_bytes()),
                    headers: Headers::none(),
                });
            }
            sink.write(Unit::as_read(Arc::new(batch.finish(0)))).await.unwrap();
            sink.tick().await.unwrap();
        }
        sink.flush().await.unwrap();
    }

    /// Reads all of a topic, and writes it if there is a sink.
    async fn run(&self, topic: &str, records: usize, group: &str, mut sink: Option<Box<dyn RecordSink>>) {
        let mut source = self.source(topic, group);
        if let (Some(sink), Some(group)) = (&mut sink, source.group()) {
            sink.join(group);
        }
        let mut seen = 0;
        while seen < records {
            match source.poll(Duration::from_millis(50), ROOM).unwrap() {
                Polled::Assigned(splits) => {
                    if let Some(sink) = &mut sink {
                        let known: Vec<_> = splits.iter().map(|s| (s.clone(), None)).collect();
                        let marks = sink.committed(&known).await.unwrap();
                        let marks =
                            splits.iter().cloned().zip(marks.into_iter().map(Option::unwrap_or_default));
                        sink.open(&marks.collect::<Vec<_>>()).await.unwrap();
                    }
                    source.start(&splits.into_iter().map(|s| (s, None)).collect::<Vec<_>>()).unwrap();
                }
                Polled::Batch(batch) => {
                    seen += batch.len();
                    if let Some(sink) = &mut sink {
                        sink.write(Unit::as_read(Arc::new(batch))).await.unwrap();
                    }
                }
                _ => {}
            }
            if let Some(sink) = &mut sink {
                sink.tick().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        if let Some(sink) = &mut sink {
            sink.flush().await.unwrap();
        }
    }
}

/// Seconds of CPU that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// The most memory that it has held, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

async fn measured(what: &str, records: usize, work: impl Future<Output = ()>) {
    let (before, at) = (cpu(), Instant::now());
    work.await;
    let (used, wall) = (cpu() - before, at.elapsed().as_secs_f64());
    println!(
        "{what}: {:.2} µs CPU a record, {:.0} records/s, peak {} MiB",
        used * 1e6 / records as f64,
        records as f64 / wall,
        peak()
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let boot = arguments.next().expect("host:port of a broker");
    let records: usize = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().into();
    let bench = Bench { boot, run };
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&threads, async {
        for size in [100, 1024] {
            let records = records * 200 / (size + 100);
            let from = bench.topic(&format!("from-{size}"));
            measured(&format!("{size} B, produced plainly"), records, bench.fill(&from, size, records)).await;
            let group = format!("alone-{size}");
            let alone = bench.run(&from, records, &group, None);
            measured(&format!("{size} B, source alone"), records, alone).await;
            for exactly_once in [true, false] {
                let name = format!("to-{size}-{exactly_once}");
                let to = bench.topic(&name);
                let both = bench.run(&from, records, &name, Some(bench.sink(&to, exactly_once, &name)));
                measured(&format!("{size} B, source to sink, exactly once {exactly_once}"), records, both)
                    .await;
            }
        }
    });
    threads.shutdown_background();
}
