//! The sink against a function that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../http-pool/tests/common/server.rs"]
mod server;
#[path = "../../http-pool/tests/common/sinks.rs"]
mod sinks;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::records::{Endpoint, Mark, Secret, Split, Unit};
use connector::{ErrorKind, Result};
use serde_json::Value;
use server::{Reply, Request, Server};
use sinks::{Desk, context, host, run, unit, unit_of};

type Calls = Arc<Mutex<Vec<Vec<(i64, i64)>>>>;

/// A function that notes partitions and offsets of the calls it took; `f` may have it say something else.
fn function(f: impl Fn(usize, &Request) -> Option<Reply> + Send + 'static) -> (Server, Calls) {
    let calls = Calls::default();
    let (log, mut n) = (calls.clone(), 0);
    let server = Server::start(move |r| {
        n += 1;
        let event: Value = serde_json::from_slice(&r.body).unwrap();
        let seen = event["Records"].as_array().unwrap().iter().map(|e| {
            let e = &e["Ckafka"];
            (e["partition"].as_i64().unwrap(), e["offset"].as_i64().unwrap())
        });
        match f(n - 1, r) {
            Some(Reply::Hangup) => {
                log.lock().unwrap().push(seen.collect());
                Reply::Hangup
            }
            Some(reply) => reply,
            None => {
                log.lock().unwrap().push(seen.collect());
                Reply::text(200, "\"ok\"")
            }
        }
    });
    (server, calls)
}

async fn feed(
    server: &Server,
    options: &str,
    desk: &Rc<Desk>,
    units: Vec<Unit>,
) -> Result<HashMap<Split, Mark>> {
    let endpoint = Endpoint {
        connection: format!(r#"{{"url":"{}/{{namespace}}/{{function}}"}}"#, server.url()),
        secret: Some(Secret("t0ken".into())),
        options: options.to_owned(),
    };
    let whole = async {
        let mut sink = connector_function::sink(&endpoint, &context(), host(desk))?;
        let splits = [0, 1, 2].map(|p| (Split::new("t", p), Mark::default()));
        sink.open(&splits).await?;
        run(sink.as_mut(), units).await
    };
    tokio::task::LocalSet::new().run_until(whole).await
}

fn values(from: i64, to: i64, value: impl Fn(i64) -> String) -> Vec<String> {
    (from..to).map(value).collect()
}

#[tokio::test]
async fn partitions_keep_their_order_and_batches_their_size() {
    let (server, calls) = function(|_, r| {
        assert_eq!((r.path.as_str(), r.header("authorization")), ("/default/f", Some("bearer t0ken")));
        assert_eq!(r.header("x-function-qualifier"), Some("$default"));
        None
    });
    let desk = Desk::new();
    let mut units = Vec::new();
    for first in (0..1000).step_by(70) {
        for p in 0..3 {
            let to = (first + 70).min(1000);
            units.push(unit_of(Split::new("t", p), first, &values(first, to, |n| n.to_string())));
        }
    }
    let marks = feed(&server, r#"{"function":"f","batch_records":100}"#, &desk, units).await.unwrap();
    assert!((0..3).all(|p| marks[&Split::new("t", p)].account.items[2] == 1000));
    let calls = calls.lock().unwrap();
    assert!(calls.iter().all(|c| c.len() <= 100));
    for p in 0..3 {
        let seen: Vec<i64> = calls.iter().flatten().filter(|(q, _)| *q == p).map(|(_, o)| *o).collect();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_is_halved_down_to_the_guilty() {
    let (server, calls) = function(|_, r| {
        String::from_utf8_lossy(&r.body).contains("poison").then(|| Reply::text(422, "poison is not taken"))
    });
    let desk = Desk::new();
    let all = values(0, 3000, |n| if n % 1000 == 123 { "poison".into() } else { n.to_string() });
    let marks = feed(&server, r#"{"function":"f"}"#, &desk, vec![unit(0, &all)]).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [3000, 0, 2997, 0, 0, 0, 3, 0]);
    assert_eq!(desk.kept().iter().map(|k| k.0).collect::<Vec<_>>(), [123, 1123, 2123]);
    assert!(desk.kept()[0].1.contains("422 poison is not taken"));
    let seen: Vec<i64> = calls.lock().unwrap().iter().flatten().map(|(_, o)| *o).collect();
    assert!(seen.is_sorted() && seen.len() == 2997);
}

#[tokio::test]
async fn failed_calls_are_made_again_and_at_least_once_is_kept() {
    let (server, calls) = function(|n, _| match n {
        0 => Some(Reply::status(503)),
        1 => Some(Reply::Answer(429, "retry-after: 0\r\n".into(), Vec::new())),
        2 => Some(Reply::Slow(Duration::from_millis(1500), Box::new(Reply::status(200)))),
        3 => Some(Reply::Hangup),
        4 => Some(Reply::Half(200, b"x".to_vec())),
        5 => Some(Reply::Raw(b"what\r\n\r\n".to_vec())),
        _ => None,
    });
    let desk = Desk::new();
    let units = vec![unit(0, &values(0, 10, |n| n.to_string()))];
    let options = r#"{"function":"f","timeout_s":1,"retries":8}"#;
    let marks = feed(&server, options, &desk, units).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].next, 10);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_function_that_is_not_there_ends_the_run() {
    for (status, kind) in [
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        (404, ErrorKind::NotFound),
        (500, ErrorKind::Unavailable),
        (429, ErrorKind::Throttled),
        (302, ErrorKind::Other),
    ] {
        let (server, _) = function(move |_, _| Some(Reply::status(status)));
        let desk = Desk::new();
        let units = vec![unit(0, &["x".to_owned()])];
        let error = feed(&server, r#"{"function":"f","retries":1}"#, &desk, units).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(desk.kept().is_empty());
    }
}
