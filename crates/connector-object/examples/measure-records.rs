//! What a record costs the bucket sink: CPU of its thread, with the embedded store on others.
//!
//! `cargo run --release -p connector-object --example measure-records -- [records] [options to put beside the bucket, as JSON members]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use connector::Result;
use connector::records::{
    BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, Refused, Ruling, Secret, Split, Unit,
};
use runtime::{ByteBudget, Clock, Random, Shutdown};

struct NoHost;

#[async_trait(?Send)]
impl Host for NoHost {
    async fn refuse(&self, _: &Unit, _: Vec<Refused>) -> Result<Ruling> {
        Ok(Ruling::Kept)
    }
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn store() -> (std::net::SocketAddr, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        rt.block_on(async {
            let down = Shutdown::new();
            let listen = "127.0.0.1:0".parse().unwrap();
            let running = embedded_s3::EmbeddedS3::start(&root, listen, "key", "secret-key", down.clone())
                .await
                .unwrap();
            running.create_bucket("measure").await.unwrap();
            tell.send(running.addr).unwrap();
            std::future::pending::<()>().await;
        });
    });
    (hear.recv().unwrap(), dir)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let records: i64 = args.next().map_or(2_000_000, |a| a.parse().unwrap());
    let more = args.next().unwrap_or_else(|| r#""format":"json""#.to_owned());
    let (addr, _dir) = store();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for size in [100_usize, 280] {
        tokio::task::LocalSet::new().block_on(&rt, run(addr, records, size, &more));
    }
}

async fn run(addr: std::net::SocketAddr, records: i64, size: usize, more: &str) {
    const UNIT: i64 = 2000;
    let split = Split::new("topic", size as i32);
    let head = r#"{"id":12345678,"user":"somebody","amount":12.50,"at":"2026-11-22T10:11:12Z","text":""#;
    let value = format!("{head}{}\"}}", "x".repeat(size.saturating_sub(head.len() + 2)));
    let unit = |from: i64| {
        let mut b = BatchBuilder::with_capacity(split.clone(), from, UNIT as usize, size * UNIT as usize);
        for offset in from..from + UNIT {
            let value = Some(value.as_bytes());
            let headers = Headers::none();
            b.push(&RecordRef { offset, sub: 0, timestamp_ms: 1_795_352_904_000, key: None, value, headers });
        }
        Unit::as_read(Arc::new(b.finish(from + UNIT)))
    };
    let endpoint = Endpoint {
        connection: format!(r#"{{"url":"http://{addr}","access_key_id":"key"}}"#),
        secret: Some(Secret("secret-key".into())),
        options: format!(r#"{{"bucket":"measure","prefix":"{size}/",{more}}}"#),
    };
    let context = Context {
        pipeline: "task-measure".to_owned(),
        lane: 0,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(128 << 20),
    };
    let mut sink = connector_object::sink(&endpoint, &context, Rc::new(NoHost)).unwrap();
    sink.committed(&[(split.clone(), None)]).await.unwrap();
    sink.open(&[(split.clone(), Mark::default())]).await.unwrap();
    let (begun, cpu) = (Instant::now(), cpu_ns());
    let mut making = 0;
    for from in (0..records).step_by(UNIT as usize) {
        let before = cpu_ns();
        let unit = unit(from);
        making += cpu_ns() - before;
        sink.write(unit).await.unwrap();
    }
    sink.flush().await.unwrap();
    let spent = cpu_ns() - cpu - making;
    let wall = begun.elapsed().as_secs_f64();
    println!(
        "{size} bytes: {:.3} us CPU per record in the sink, {:.0} records/s with making them",
        spent as f64 / 1000.0 / records as f64,
        records as f64 / wall
    );
}
