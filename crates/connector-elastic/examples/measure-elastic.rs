//! CPU time of the sink's thread for each record, into a server that reads bulks and says that all is well.
//!
//! `cargo run --release -p connector-elastic --example measure-elastic [records] [options as JSON]`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use connector::records::{
    Batch, BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, Refused, Ruling, Split, Unit,
};
use runtime::{ByteBudget, Clock, Random};

struct Nobody;

#[async_trait(?Send)]
impl Host for Nobody {
    async fn refuse(&self, _: &Unit, _: Vec<Refused>) -> connector::Result<Ruling> {
        Ok(Ruling::Dropped)
    }
}

/// Answers every request with success; for as long as the process lives.
fn serve(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"{\"took\":1,\"errors\":false,\"items\":[]}";
    let mut buffer = vec![0; 1 << 20];
    let mut head = Vec::new();
    loop {
        let n = stream.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            return;
        }
        head.extend_from_slice(&buffer[..n]);
        let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        let length: usize =
            text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        let mut left = length - (head.len() - end - 4);
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap();
        }
        head.clear();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ANSWER.len()).unwrap();
        stream.write_all(ANSWER).unwrap();
    }
}

fn batch(first: i64, n: i64) -> Batch {
    let mut b = BatchBuilder::with_capacity(Split::new("events", 0), first, n as usize, n as usize * 300);
    for offset in first..first + n {
        let value = format!(
            r#"{{"id":"{offset:012}","ts":"2026-11-30T12:00:00.{:03}Z","host":"web-{:02}.example.internal","level":"info","service":"checkout","status":200,"bytes":{},"latency_ms":{}.25,"path":"/api/v1/orders/{offset}","user_agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101","ok":true}}"#,
            offset % 1000,
            offset % 40,
            offset * 7 % 100_000,
            offset % 300
        );
        let record = RecordRef {
            offset,
            sub: 0,
            timestamp_ms: 1_796_000_000_000 + offset,
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::none(),
        };
        assert!(b.push(&record));
    }
    b.finish(first + n)
}

/// Nanoseconds that this thread has been on a CPU.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

async fn run(url: &str, options: &str, records: i64) {
    let context = Context {
        pipeline: "task-measure".into(),
        lane: 0,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(128 << 20),
    };
    let endpoint =
        Endpoint { connection: format!(r#"{{"url":"{url}"}}"#), secret: None, options: options.to_owned() };
    let mut sink = connector_elastic::sink(&endpoint, &context, Rc::new(Nobody)).unwrap();
    let split = Split::new("events", 0);
    sink.open(&[(split, Mark::default())]).await.unwrap();
    let units: Vec<Unit> = (0..20).map(|i| Unit::as_read(Arc::new(batch(i * 1000, 1000)))).collect();
    let bytes: u64 = units[0].batch.iter().map(|r| r.weight()).sum();
    let (cpu, wall) = (cpu_ns(), std::time::Instant::now());
    for i in 0..records / 1000 {
        sink.write(units[(i % 20) as usize].clone()).await.unwrap();
        sink.settled();
        tokio::task::yield_now().await;
    }
    sink.flush().await.unwrap();
    let (cpu, wall) = (cpu_ns() - cpu, wall.elapsed());
    println!(
        "{records} records of {} bytes: {:.3} us CPU each, {:.2} s wall, {}",
        bytes / 1000,
        cpu as f64 / records as f64 / 1000.0,
        wall.as_secs_f64(),
        sink.describe()
    );
}

fn main() {
    let mut words = std::env::args().skip(1);
    let records = words.next().map_or(1_000_000, |w| w.parse().unwrap());
    let options = words.next().unwrap_or_else(|| r#"{"index":"events"}"#.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, run(&url, &options, records));
}
