//! What a record costs the database sink: CPU of its thread, and what a private server takes in a second.
//!
//! `cargo run --release -p connector-sql --example measure-sql -- postgresql|mariadb [records] [insert|upsert]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use connector::Result;
use connector::records::{
    BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, Refused, Ruling, Secret, Split, Unit,
};
use runtime::{ByteBudget, Clock, Random};
use sqlx::{AssertSqlSafe, Connection as _};

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

const TABLE: &str = "CREATE TABLE measure (id bigint PRIMARY KEY, user_name varchar(20), amount decimal(10,2), at timestamp NULL, note text)";

fn main() {
    let mut args = std::env::args().skip(1);
    let engine = args.next().unwrap_or_else(|| "postgresql".to_owned());
    let records: i64 = args.next().map_or(400_000, |a| a.parse().unwrap());
    let mode = args.next().unwrap_or_else(|| "insert".to_owned());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&rt, async {
        if engine == "postgresql" {
            let server = testkit::peers::postgres().unwrap();
            let mut admin = sqlx::PgConnection::connect(&server.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(TABLE)).execute(&mut admin).await.unwrap();
            run(&engine, server.port(), ("postgres", "", "postgres"), records, &mode).await;
        } else {
            let server = testkit::peers::mariadb().unwrap();
            server.sql(TABLE).unwrap();
            run(&engine, server.port, ("wharf", &server.password, "wharf"), records, &mode).await;
        }
    });
}

async fn run(engine: &str, port: u16, words: (&str, &str, &str), records: i64, mode: &str) {
    const UNIT: i64 = 1000;
    let split = Split::new("topic", 0);
    let unit = |from: i64| {
        let mut b = BatchBuilder::new(split.clone(), from);
        for offset in from..from + UNIT {
            let value = format!(
                r#"{{"id":{offset},"user_name":"somebody","amount":12.50,"at":"2026-11-22 10:11:12","note":"{}"}}"#,
                "x".repeat(40)
            );
            let (value, headers) = (Some(value.as_bytes()), Headers::none());
            b.push(&RecordRef { offset, sub: 0, timestamp_ms: 0, key: None, value, headers });
        }
        Unit::as_read(Arc::new(b.finish(from + UNIT)))
    };
    let (user, password, database) = words;
    let endpoint = Endpoint {
        connection: format!(r#"{{"engine":"{engine}","host":"127.0.0.1","port":{port},"user":"{user}"}}"#),
        secret: (!password.is_empty()).then(|| Secret(password.into())),
        options: format!(r#"{{"database":"{database}","table":"measure","mode":"{mode}"}}"#),
    };
    let context = Context {
        pipeline: "task-measure".to_owned(),
        lane: 0,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(128 << 20),
    };
    let mut sink = connector_sql::sink(&endpoint, &context, Rc::new(NoHost)).unwrap();
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
    println!(
        "{engine} {mode}: {:.2} us CPU per record in the sink, {:.0} records/s",
        spent as f64 / 1000.0 / records as f64,
        records as f64 / begun.elapsed().as_secs_f64()
    );
}
