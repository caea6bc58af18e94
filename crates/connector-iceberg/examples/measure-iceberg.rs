//! What a record costs the Iceberg sink: CPU of its thread, and what one lane takes in a second, with a table on the local disk.
//!
//! `cargo run --release -p connector-iceberg --example measure-iceberg -- [records] [bytes of a text column] [records of a snapshot]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use connector::Result;
use connector::records::{
    BatchBuilder, Context, Endpoint, Headers, Host, RecordRef, Refused, Ruling, Split, Unit,
};
use runtime::{ByteBudget, Clock, Random};

struct NoHost;

#[async_trait(?Send)]
impl Host for NoHost {
    async fn refuse(&self, _: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        panic!("{refused:?}");
    }
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

const COLUMNS: &str = r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"user","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"amount","type":["null","double"]},{"name":"ok","type":["null","boolean"]},
    {"name":"tags","type":["null",{"type":"array","items":"string"}]},{"name":"note","type":["null","string"]}]}"#;
/// Records of a unit.
const UNIT: i64 = 1000;

fn unit(split: &Split, from: i64, text: usize) -> Unit {
    let mut b = BatchBuilder::new(split.clone(), from);
    for offset in from..from + UNIT {
        let value = format!(
            r#"{{"id":{offset},"user":"user-{}","at":{},"amount":{}.25,"ok":true,"tags":["a","b{}"],"note":"{:0>text$}"}}"#,
            offset % 997,
            1_790_000_000_000 + offset,
            offset % 1000,
            offset % 7,
            offset.wrapping_mul(2_654_435_761) % 1_000_003,
        );
        let value = Some(value.as_bytes());
        let headers = Headers::none();
        b.push(&RecordRef { offset, sub: 0, timestamp_ms: 0, key: None, value, headers });
    }
    Unit::as_read(Arc::new(b.finish(from + UNIT)))
}

async fn run(records: i64, text: usize, snapshot: i64) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let endpoint = Endpoint {
        connection: format!(r#"{{"uri":"sqlite:{at}/catalog.db","warehouse":"file://{at}/warehouse"}}"#),
        secret: None,
        options: format!(r#"{{"database":"db","table":"t","create":{{"schema":{COLUMNS}}}}}"#),
    };
    let context = Context {
        pipeline: "task-measure".to_owned(),
        lane: 0,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(512 << 20),
    };
    let split = Split::new("topic", 0);
    let mut sink = connector_iceberg::sink(&endpoint, &context, Rc::new(NoHost)).unwrap();
    let mark = sink.committed(&[(split.clone(), None)]).await.unwrap()[0].unwrap_or_default();
    sink.open(&[(split.clone(), mark)]).await.unwrap();
    let (begun, cpu) = (Instant::now(), cpu_ns());
    let (mut making, mut bytes) = (0, 0);
    for from in (0..records).step_by(UNIT as usize) {
        let before = cpu_ns();
        let unit = unit(&split, from, text);
        bytes += unit.batch.iter().map(|r| r.weight()).sum::<u64>();
        making += cpu_ns() - before;
        sink.write(unit).await.unwrap();
        if (from + UNIT) % snapshot == 0 {
            sink.flush().await.unwrap();
        }
    }
    sink.flush().await.unwrap();
    let spent = cpu_ns() - cpu - making;
    println!(
        "{} bytes a record: {:.2} us CPU per record in the sink, {:.0} records/s",
        bytes / records.unsigned_abs().max(1),
        spent as f64 / 1000.0 / records as f64,
        records as f64 / begun.elapsed().as_secs_f64()
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let records: i64 = args.next().map_or(1_000_000, |a| a.parse().unwrap());
    let text: usize = args.next().map_or(20, |a| a.parse().unwrap());
    let snapshot: i64 = args.next().map_or(500_000, |a| a.parse().unwrap());
    let reactor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&reactor, run(records, text, snapshot));
}
