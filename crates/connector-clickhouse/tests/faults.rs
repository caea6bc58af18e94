//! The sink against a scripted server that fails on purpose; what ClickHouse itself says is tested in `engine.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../http-pool/tests/common/server.rs"]
mod server;
#[path = "../../http-pool/tests/common/sinks.rs"]
mod sinks;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::records::{Mark, Split, Unit};
use connector::{ErrorKind, Result};
use server::{Reply, Request, Server};
use sinks::{Desk, context, endpoint, host, run, unit};

const OPTIONS: &str = r#"{"database":"d","table":"t","positions":false,"batch_records":10,"in_flight":1,"columns":[{"column":"n","json_key":"n","type":"Int32"}]}"#;

/// Rows by the token they came under, once each, as a table that keeps tokens has them; and tokens as they came.
#[derive(Default)]
struct Table {
    blocks: HashMap<String, Vec<String>>,
    tokens: Vec<String>,
}

fn token(r: &Request) -> String {
    r.path.split("insert_deduplication_token=").nth(1).unwrap().to_owned()
}

fn take(r: &Request, table: &mut Table) -> Reply {
    let rows = String::from_utf8(r.body.clone()).unwrap().lines().map(str::to_owned).collect();
    table.tokens.push(token(r));
    table.blocks.entry(token(r)).or_insert(rows);
    Reply::text(200, "")
}

fn start(f: impl Fn(usize, &Request, &mut Table) -> Reply + Send + 'static) -> (Server, Arc<Mutex<Table>>) {
    let table = Arc::new(Mutex::new(Table::default()));
    let (shared, mut n) = (table.clone(), 0);
    let server = Server::start(move |r| {
        n += 1;
        f(n - 1, r, &mut shared.lock().unwrap())
    });
    (server, table)
}

async fn feed(server: &Server, desk: &Rc<Desk>, units: Vec<Unit>) -> Result<HashMap<Split, Mark>> {
    let whole = async {
        let mut sink = connector_clickhouse::sink(&endpoint(&server.url(), OPTIONS), &context(), host(desk))?;
        sink.open(&[(Split::new("t", 0), Mark::default())]).await?;
        run(sink.as_mut(), units).await
    };
    tokio::task::LocalSet::new().run_until(whole).await
}

fn units(n: i64) -> Vec<Unit> {
    (0..n)
        .step_by(10)
        .map(|f| unit(f, &(f..f + 10).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>()))
        .collect()
}

#[tokio::test]
async fn a_block_keeps_its_token_until_it_is_taken() {
    let (server, table) = start(|n, r, table| match n {
        0 => Reply::status(503),
        2 => {
            take(r, table);
            Reply::Hangup
        }
        4 => {
            take(r, table);
            Reply::Half(200, b"x".to_vec())
        }
        6 => Reply::Answer(500, "x-clickhouse-exception-code: 252\r\n".into(), b"Too many parts".to_vec()),
        8 => Reply::Raw(b"noise\r\n\r\n".to_vec()),
        10 => Reply::Slow(Duration::from_millis(100), Box::new(Reply::status(429))),
        _ => take(r, table),
    });
    let desk = Desk::new();
    let marks = feed(&server, &desk, units(100)).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items[2], 100);
    let table = table.lock().unwrap();
    assert_eq!((table.blocks.len(), table.tokens.len()), (10, 12));
    assert_eq!(table.blocks.values().flatten().count(), 100);
    assert!(table.tokens.contains(&"task%2Dtest%2Ft%2F0%2F10%2E0%2D19%2E0".to_owned()), "{:?}", table.tokens);
}

#[tokio::test]
async fn halves_have_tokens_of_their_own() {
    let (server, table) = start(|_, r, table| {
        let text = String::from_utf8_lossy(&r.body);
        let code = "x-clickhouse-exception-code: 27\r\n".to_owned();
        if text.contains(":13}") {
            return Reply::Answer(400, code, b"Code: 27. DB::Exception: no".to_vec());
        }
        if text.lines().count() > 8 { Reply::status(413) } else { take(r, table) }
    });
    let desk = Desk::new();
    let marks = feed(&server, &desk, units(30)).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [30, 0, 29, 0, 0, 0, 1, 0]);
    assert!(desk.kept().len() == 1 && desk.kept()[0].0 == 13, "{:?}", desk.kept());
    let table = table.lock().unwrap();
    assert_eq!(table.blocks.values().flatten().count(), 29);
    assert_eq!(table.blocks.len(), table.tokens.len());
}

/// A run that crashed had announced a block that ends at 29; the window of this one holds twenty records.
#[tokio::test]
async fn a_block_that_the_window_cant_hold_any_more_is_sent_early() {
    let (server, table) = start(|_, r, table| {
        let text = format!("{} {}", r.path, String::from_utf8_lossy(&r.body));
        if text.contains("SELECT") && text.contains("cuts") {
            let mark = Mark::default().to_text();
            return Reply::text(
                200,
                &format!(r#"{{"topic":"t","part":0,"mark":"{mark}","cuts":[29,39],"at":1}}"#),
            );
        }
        if r.path.contains("insert_deduplication_token=") { take(r, table) } else { Reply::text(200, "") }
    });
    let options = OPTIONS.replace(r#""positions":false"#, r#""positions":true"#);
    let split = Split::new("t", 0);
    let whole = async {
        let mut sink =
            connector_clickhouse::sink(&endpoint(&server.url(), &options), &context(), host(&Desk::new()))?;
        let found = sink.committed(&[(split.clone(), None)]).await?;
        sink.open(&[(split.clone(), found[0].unwrap())]).await?;
        let mut units = units(40).into_iter();
        for unit in units.by_ref().take(2) {
            sink.write(unit).await?;
        }
        sink.flush().await?;
        assert!(table.lock().unwrap().tokens.is_empty(), "a pause breaks no block");
        sink.relieve().await?;
        for unit in units {
            sink.write(unit).await?;
        }
        sink.relieve().await?;
        sink.flush().await
    };
    tokio::task::LocalSet::new().run_until(whole).await.unwrap();
    let table = table.lock().unwrap();
    let ends: Vec<_> = table.tokens.iter().map(|t| t.rsplit("%2F").next().unwrap()).collect();
    assert_eq!(ends, ["0%2E0%2D19%2E0", "20%2E0%2D29%2E0", "30%2E0%2D39%2E0"], "the next are cut as before");
    assert_eq!(table.blocks.values().flatten().count(), 40);
}

#[tokio::test]
async fn what_nobody_can_wait_for_ends_the_run() {
    for (reply, kind) in [
        (Reply::status(401), ErrorKind::Denied),
        (Reply::Answer(500, "x-clickhouse-exception-code: 60\r\n".into(), Vec::new()), ErrorKind::NotFound),
        (Reply::Answer(500, "x-clickhouse-exception-code: 243\r\n".into(), Vec::new()), ErrorKind::Full),
        (Reply::status(503), ErrorKind::Unavailable),
    ] {
        let answer = reply.clone();
        let (server, _) = start(move |_, _, _| answer.clone());
        let desk = Desk::new();
        let error = feed(&server, &desk, units(10)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert!(desk.kept().is_empty() && !error.to_string().contains("secret"));
    }
}
