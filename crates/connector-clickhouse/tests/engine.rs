//! The sink against ClickHouse's own engine: `chdb` behind `chdb_front.py`. `WHARF_TEST_CHDB` names a Python that has `chdb-core`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../../http-pool/tests/common/sinks.rs"]
mod sinks;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use bytes::Bytes;
use connector::ErrorKind;
use connector::records::{Context, Endpoint, Mark, Secret, Split, Unit};
use http::Method;
use http_pool::{Address, Call, Pool, Remote};
use sinks::{Desk, context, host, run, unit, unit_of};
use std::time::Duration;

struct Engine {
    folder: PathBuf,
    python: std::ffi::OsString,
    child: Child,
    port: u16,
}

fn launch(python: &std::ffi::OsStr, folder: &std::path::Path) -> (Child, u16) {
    let front = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chdb_front.py");
    let mut child = Command::new(python).arg(front).arg(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("the front prints its port"))
}

impl Engine {
    fn start() -> Result<Self, String> {
        let python =
            std::env::var_os("WHARF_TEST_CHDB").ok_or("WHARF_TEST_CHDB names no Python with chdb-core")?;
        let folder = std::env::temp_dir().join(format!("wharf-chdb-{}", std::process::id()));
        let (child, port) = launch(&python, &folder);
        Ok(Self { folder, python, child, port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let time = Duration::from_secs(60);
        let address = Address::parse(&self.url()).unwrap();
        let pool = Pool::new(Remote { address, tls: None, authorization: None, connect: time, idle: time });
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = pool
            .call(Call { method: Method::POST, path, headers: &[], body, limit: 64 << 20 })
            .await
            .unwrap();
        assert!(answer.is_success(), "{body}: {words}", body = path, words = answer.words());
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    async fn sql(&self, sql: &str) -> String {
        self.post("/", sql).await.trim().to_owned()
    }

    async fn drop_next(&self, n: u32) {
        self.post(&format!("/__drop?n={n}"), "").await;
    }

    fn endpoint(&self, options: &str) -> Endpoint {
        Endpoint {
            connection: format!(r#"{{"url":"{}","user":"u"}}"#, self.url()),
            secret: Some(Secret("secret".into())),
            options: options.to_owned(),
        }
    }

    async fn feed(
        &self,
        options: &str,
        desk: &Rc<Desk>,
        units: Vec<Unit>,
    ) -> connector::Result<HashMap<Split, Mark>> {
        let whole = async {
            let mut sink = connector_clickhouse::sink(&self.endpoint(options), &context(), host(desk))?;
            sink.open(&[(Split::new("t", 0), Mark::default()), (Split::new("t", 1), Mark::default())])
                .await?;
            run(sink.as_mut(), units).await
        };
        tokio::task::LocalSet::new().run_until(whole).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

const TABLE: &str = "(p UInt8, n UInt32, s String, at DateTime, f Nullable(Float64)) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000";

fn options(table: &str, more: &str) -> String {
    format!(
        r#"{{"database":"d","table":"{table}"{more},"columns":[{{"column":"p","json_key":"p","type":"UInt8"}},{{"column":"n","json_key":"$.deep.n","type":"UInt32"}},
        {{"column":"s","json_key":"s","type":"String"}},{{"column":"at","json_key":"at","type":"DateTime"}},{{"column":"f","json_key":"f","type":"Nullable(Float64)","nullable":true}}]}}"#
    )
}

fn value(p: i64, n: i64) -> String {
    format!(r#"{{"p":{p},"deep":{{"n":{n}}},"s":"é \" {n}","at":"2026-11-30T10:00:00Z","f":null}}"#)
}

#[tokio::test]
async fn the_real_engine() {
    let mut engine = match Engine::start() {
        Ok(engine) => engine,
        Err(reason) => {
            println!("SKIPPED: {reason}");
            return;
        }
    };
    engine.sql("CREATE DATABASE d").await;
    poison(&engine).await;
    lost_answers(&engine).await;
    crashes(&mut engine).await;
    probes(&engine).await;
}

/// Bad rows of several kinds: refused here or by the engine, each alone.
async fn poison(engine: &Engine) {
    engine.sql(&format!("CREATE TABLE d.poison {TABLE}")).await;
    let desk = Desk::new();
    let values = |from: i64, to: i64| -> Vec<String> {
        (from..to)
            .map(|n| match n {
                1500 => value(0, n).replace("2026-11-30", "no day"),
                2500 => value(0, n).replace("\"p\":0", "\"p\":256"),
                3500 => "not json".to_owned(),
                4500 => value(0, n).replace("\"s\"", "\"x\""),
                5500 => value(0, n).replace("2026-11-30T10:00:00Z", "99"),
                _ => value(0, n),
            })
            .collect()
    };
    let units = (0..10_000).step_by(500).map(|n| unit(n, &values(n, n + 500))).collect();
    let marks = engine.feed(&options("poison", r#","gzip":true"#), &desk, units).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [10_000, 0, 9_995, 0, 0, 0, 5, 0]);
    let kept = desk.kept();
    assert_eq!(kept.iter().map(|k| k.0).collect::<Vec<_>>(), [1500, 2500, 3500, 4500, 5500]);
    assert!(kept[0].1.contains("Code: "), "{kept:?}");
    assert_eq!(engine.sql("SELECT count(), uniqExact(n), sum(n) FROM d.poison").await, {
        let sum: i64 = (0..10_000).sum::<i64>() - 1500 - 2500 - 3500 - 4500 - 5500;
        format!("9995\t9995\t{sum}")
    });
    assert_eq!(engine.sql("SELECT s, f FROM d.poison WHERE n = 7").await, "é \" 7\t\\N");
}

/// Blocks are carried out and the answers lost: sent again, and not there twice.
async fn lost_answers(engine: &Engine) {
    engine.sql(&format!("CREATE TABLE d.lost {TABLE}")).await;
    let desk = Desk::new();
    engine.drop_next(5).await;
    let units = (0..5000)
        .step_by(250)
        .flat_map(|n| {
            [0, 1].map(|p| {
                unit_of(Split::new("t", p), n, &(n..n + 250).map(|n| value(p.into(), n)).collect::<Vec<_>>())
            })
        })
        .collect();
    let marks = engine.feed(&options("lost", r#","batch_records":700"#), &desk, units).await.unwrap();
    assert_eq!(marks.len(), 2);
    assert_eq!(engine.sql("SELECT count(), uniqExact(p, n) FROM d.lost").await, "10000\t10000");
}

/// The sink is dropped at any moment, the engine killed now and then; blocks have other sizes each time. Every row is there once.
async fn crashes(engine: &mut Engine) {
    const ROWS: i64 = 12_000;
    engine.sql(&format!("CREATE TABLE d.crashed {TABLE}")).await;
    let split = Split::new("t", 0);
    let mut journal: Option<Mark> = None;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let context = Context { pipeline: "task-crash".into(), ..context() };
        let desk = Desk::new();
        // Small ones are cut in the middle of a unit.
        let records = if rounds % 3 == 0 { 11 } else { 100 + rounds * 37 % 400 };
        let more = format!(r#","linger_ms":0,"batch_records":{records}"#);
        let endpoint = engine.endpoint(&options("crashed", &more));
        // How far this round gets, and in which steps: anything.
        let (step, patience) = (50 + rounds * 31 % 170, rounds % 5 * 3);
        let round = async {
            let mut sink = connector_clickhouse::sink(&endpoint, &context, host(&desk)).unwrap();
            let found = sink.committed(&[(split.clone(), journal)]).await.unwrap().remove(0);
            let from = found.max_by_next(journal);
            sink.open(&[(split.clone(), from)]).await.unwrap();
            let (mut at, mut units) = (from.next, 0);
            while at < ROWS {
                let to = (at + step).min(ROWS);
                sink.write(unit(at, &(at..to).map(|n| value(0, n)).collect::<Vec<_>>())).await.unwrap();
                sink.tick().await.unwrap();
                at = to;
                units += 1;
                // The journal hears of it late, or never.
                if units % 4 == 0 {
                    journal = sink.settled().pop().map_or(journal, |s| Some(s.mark));
                }
                if units > 4 + patience {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sink.flush().await.unwrap();
            assert!(
                sink.settled()
                    .pop()
                    .is_none_or(|s| s.mark.next == ROWS && s.mark.account.items[2] == ROWS as u64)
            );
            true
        };
        let whole = tokio::task::LocalSet::new().run_until(round).await;
        let doubles = engine.sql("SELECT count() - uniqExact(n) FROM d.crashed").await;
        assert_eq!(doubles, "0", "after round {rounds}");
        if whole {
            break;
        }
        if rounds % 7 == 0 {
            engine.child.kill().unwrap();
            engine.child.wait().unwrap();
            (engine.child, engine.port) = launch(&engine.python, &engine.folder);
        }
        assert!(rounds < 200, "it does not get on: {journal:?}");
    }
    assert!(rounds > 10, "only {rounds} rounds");
    assert_eq!(
        engine.sql("SELECT count(), min(n), max(n) FROM d.crashed").await,
        format!("{ROWS}\t0\t{}", ROWS - 1)
    );
}

trait Newer {
    fn max_by_next(self, other: Option<Mark>) -> Mark;
}

impl Newer for Option<Mark> {
    fn max_by_next(self, other: Option<Mark>) -> Mark {
        self.into_iter().chain(other).max_by_key(|m| m.next).unwrap_or_default()
    }
}

async fn probes(engine: &Engine) {
    let probe = |options: String| {
        let endpoint = engine.endpoint(&options);
        async move { connector_clickhouse::probe(&endpoint).await.err().map(|e| e.kind()) }
    };
    assert_eq!(probe(options("lost", "")).await, None);
    assert_eq!(probe(options("nowhere", "")).await, Some(ErrorKind::NotFound));
    assert_eq!(probe(options("wharf_positions", "")).await, Some(ErrorKind::NotFound));
}
