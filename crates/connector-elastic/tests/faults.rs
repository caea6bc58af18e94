//! The sink against a server that keeps documents as an index does and fails on purpose. It is a stand-in: what a real one says is
//! tested in `real.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/feed.rs"]
mod feeding;
#[path = "../../http-pool/tests/common/server.rs"]
mod server;
#[path = "../../http-pool/tests/common/sinks.rs"]
mod sinks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::ErrorKind;
use connector::records::{Account, Split};
use feeding::{feed, open};
use serde_json::{Value, json};
use server::{Reply, Request, Server};
use sinks::{Desk, unit};

/// Documents by id, and how often each was written.
#[derive(Default)]
struct Index {
    docs: HashMap<String, Value>,
    writes: usize,
    bulks: usize,
}

impl Index {
    /// Carries a bulk out. `fail` may give an action another fate: status and type.
    fn apply(
        &mut self,
        r: &Request,
        mut fail: impl FnMut(&str, &Value) -> Option<(u16, &'static str)>,
    ) -> Reply {
        self.bulks += 1;
        let (mut items, mut errors) = (Vec::new(), false);
        let mut lines = r.body.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        while let Some(action) = lines.next() {
            let action: Value = serde_json::from_slice(action).unwrap();
            let (verb, what) = action.as_object().unwrap().iter().next().unwrap();
            let id = what["_id"].as_str().unwrap().to_owned();
            let doc = if verb == "index" {
                serde_json::from_slice(lines.next().unwrap()).unwrap()
            } else {
                Value::Null
            };
            if let Some((status, kind)) = fail(&id, &doc) {
                errors = true;
                let reason = format!("refused {id}");
                items.push(json!({verb: {"status": status, "error": {"type": kind, "reason": reason}}}));
                continue;
            }
            self.writes += 1;
            let status = match (verb.as_str(), self.docs.contains_key(&id)) {
                ("delete", true) => {
                    self.docs.remove(&id);
                    200
                }
                ("delete", false) => 404,
                _ => {
                    self.docs.insert(id, doc);
                    201
                }
            };
            items.push(json!({verb: {"status": status}}));
        }
        Reply::text(200, &json!({"took": 1, "errors": errors, "items": items}).to_string())
    }
}

type Shared = Arc<Mutex<Index>>;

/// A server whose `n`th request (from 0) is answered by `f`, after it was or was not carried out.
fn server(f: impl FnMut(usize, &Request, &mut Index) -> Reply + Send + 'static) -> (Server, Shared) {
    let index = Shared::default();
    let (shared, mut f, mut n) = (index.clone(), f, 0);
    let server = Server::start(move |r| {
        n += 1;
        f(n - 1, r, &mut shared.lock().unwrap())
    });
    (server, index)
}

fn good(r: &Request, index: &mut Index) -> Reply {
    index.apply(r, |_, _| None)
}

#[tokio::test]
async fn a_poisoned_stream_loses_nothing_but_the_poison() {
    let (server, index) = server(|_, r, index| {
        index.apply(r, |_, doc| {
            (doc["n"].as_i64()? % 1000 == 999).then_some((400, "mapper_parsing_exception"))
        })
    });
    let desk = Desk::new();
    let options = r#"{"index":"i","bulk_bytes":20000,"in_flight":3}"#;
    let marks = feed(&server.url(), options, &desk, |sink_units| {
        for first in (0..20_000).step_by(500) {
            let values: Vec<String> = (first..first + 500)
                .map(|n| if n % 1000 == 499 { format!("poison {n}") } else { format!("{{\"n\":{n}}}") })
                .collect();
            sink_units.push(unit(first, &values));
        }
    })
    .await
    .unwrap();
    let mark = marks[&Split::new("t", 0)];
    assert_eq!(mark.next, 20_000);
    assert_eq!(mark.account.items, [20_000, 0, 19_960, 0, 0, 0, 40, 0]);
    let index = index.lock().unwrap();
    assert_eq!(index.docs.len(), 19_960);
    assert_eq!(index.docs["t-0-7"], json!({"n": 7, "@timestamp": "2023-11-14T22:13:20.000Z"}));
    assert!(index.bulks > 20);
    let kept = desk.kept();
    let offsets: Vec<i64> = kept.iter().map(|(o, _)| *o).collect();
    let expected: Vec<i64> = (0..20_000).filter(|n| n % 1000 == 499 || n % 1000 == 999).collect();
    assert_eq!(offsets, expected);
    assert!(
        kept[0].1.contains("not JSON at byte 0")
            && kept[1].1.contains("mapper_parsing_exception: refused t-0-999")
    );
}

#[tokio::test]
async fn broken_exchanges_are_repeated_and_nothing_is_twice() {
    type Fault = fn(&Request, &mut Index) -> Reply;
    let faults: [Fault; 8] = [
        |r, index| {
            good(r, index);
            Reply::Hangup
        },
        |r, index| {
            good(r, index);
            Reply::Half(200, b"{\"took\":1,\"errors\":false".to_vec())
        },
        |_, _| Reply::text(200, "<html>proxy</html>"),
        |_, _| Reply::text(200, "{\"errors\":true,\"items\":[]}"),
        |_, _| Reply::Answer(429, "retry-after: 0\r\n".to_owned(), Vec::new()),
        |_, _| Reply::status(503),
        |_, _| Reply::Raw(b"garbage\r\n\r\n".to_vec()),
        |r, index| Reply::Slow(Duration::from_millis(300), Box::new(good(r, index))),
    ];
    let (server, index) = server(move |n, r, index| match faults.get(n / 2).filter(|_| n % 2 == 0) {
        Some(fault) => fault(r, index),
        None => good(r, index),
    });
    let desk = Desk::new();
    let marks = feed(&server.url(), r#"{"index":"i","bulk_records":10,"in_flight":1}"#, &desk, |units| {
        for first in (0..100).step_by(10) {
            let values: Vec<String> = (first..first + 10).map(|n| format!("{{\"n\":{n}}}")).collect();
            units.push(unit(first, &values));
        }
    })
    .await
    .unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items[Account::WRITTEN], 100);
    let index = index.lock().unwrap();
    assert_eq!(index.docs.len(), 100);
    // Two of the faults carried the bulk out before they failed.
    assert_eq!(index.writes, 120);
    assert!(desk.kept().is_empty());
}

#[tokio::test]
async fn a_busy_server_gets_only_what_it_refused_and_an_older_version_never_comes_back() {
    // Every third action is refused for want of room, the first time.
    let mut seen = HashMap::new();
    let mut count = 0;
    let (server, index) = server(move |_, r, index| {
        index.apply(r, |id, doc| {
            let tries: &mut u32 = seen.entry((id.to_owned(), doc["v"].as_i64())).or_default();
            *tries += 1;
            count += 1;
            (*tries == 1 && count % 3 == 0).then_some((429, "es_rejected_execution_exception"))
        })
    });
    let desk = Desk::new();
    let options = r#"{"index":"i","id_path":"$.id","bulk_records":50,"in_flight":4,"timestamp":false}"#;
    let marks = feed(&server.url(), options, &desk, |units| {
        for first in (0..2000).step_by(100) {
            // 37 ids, each written again and again with growing versions.
            let values: Vec<String> =
                (first..first + 100).map(|n| format!("{{\"id\":{},\"v\":{n}}}", n % 37)).collect();
            units.push(unit(first, &values));
        }
    })
    .await
    .unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items[Account::WRITTEN], 2000);
    let index = index.lock().unwrap();
    assert_eq!(index.docs.len(), 37);
    for id in 0..37 {
        let newest = (0..2000).rev().find(|n| n % 37 == id).unwrap();
        assert_eq!(index.docs[&id.to_string()]["v"], newest, "id {id}");
    }
}

#[tokio::test]
async fn too_large_and_malformed_bulks_are_halved_down_to_the_guilty() {
    let (server, index) = server(|_, r, index| {
        let text = String::from_utf8_lossy(&r.body);
        if text.contains("cursed") {
            return Reply::text(400, "{\"error\":{\"reason\":\"malformed\"}}");
        }
        if r.body.len() > 2000 { Reply::status(413) } else { good(r, index) }
    });
    let desk = Desk::new();
    let marks = feed(&server.url(), r#"{"index":"i"}"#, &desk, |units| {
        let values: Vec<String> = (0..100)
            .map(|n| match n {
                17 => format!("{{\"big\":\"{}\"}}", "x".repeat(5000)),
                42 => "{\"a\":\"cursed\"}".to_owned(),
                _ => format!("{{\"n\":{n}}}"),
            })
            .collect();
        units.push(unit(0, &values));
    })
    .await
    .unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [100, 0, 98, 0, 0, 0, 2, 0]);
    let index = index.lock().unwrap();
    assert_eq!((index.docs.len(), index.writes), (98, 98));
    let kept = desk.kept();
    assert!(kept[0].0 == 17 && kept[0].1.contains("413"), "{kept:?}");
    assert!(kept[1].0 == 42 && kept[1].1.contains("malformed"), "{kept:?}");
}

#[tokio::test]
async fn a_server_that_will_not_have_us_ends_the_lane() {
    for (reply, kind) in [
        (Reply::text(401, "who are you"), ErrorKind::Denied),
        (Reply::status(403), ErrorKind::Denied),
        (Reply::status(404), ErrorKind::NotFound),
        (Reply::status(503), ErrorKind::Unavailable),
        (Reply::Answer(429, "retry-after: 900\r\n".to_owned(), Vec::new()), ErrorKind::Throttled),
    ] {
        let answer = reply.clone();
        let (server, _) = server(move |_, _, _| answer.clone());
        let desk = Desk::new();
        let units = |units: &mut Vec<_>| units.push(unit(0, &["{}".to_owned()]));
        let error = feed(&server.url(), r#"{"index":"i"}"#, &desk, units).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn what_the_host_forbids_stops_there() {
    let (server, _) = server(|_, r, index| good(r, index));
    let desk = Desk::closed();
    let units = |units: &mut Vec<_>| units.push(unit(0, &["{}".to_owned(), "x".to_owned()]));
    assert!(feed(&server.url(), r#"{"index":"i"}"#, &desk, units).await.is_err());
}

#[tokio::test]
async fn a_lost_split_is_not_written_any_more_and_gzip_arrives() {
    let (server, index) = server(|_, r, index| {
        assert_eq!(r.header("content-encoding"), Some("gzip"));
        let mut plain = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&r.body[..]), &mut plain).unwrap();
        good(&Request { body: plain, ..r.clone() }, index)
    });
    let desk = Desk::new();
    tokio::task::LocalSet::new()
        .run_until(async {
            let mut sink = open(&server.url(), r#"{"index":"i","gzip":true}"#, &desk).await.unwrap();
            sink.write(unit(0, &["{\"a\":1}".to_owned()])).await.unwrap();
            sink.close(&[Split::new("t", 0)]).await;
            sink.flush().await.unwrap();
            assert!(sink.settled().is_empty());
            sink.open(&[(Split::new("t", 0), Default::default())]).await.unwrap();
            sink.write(unit(5, &["{\"a\":2}".to_owned()])).await.unwrap();
            sink.flush().await.unwrap();
            assert_eq!(sink.settled()[0].mark.next, 6);
        })
        .await;
    assert_eq!(index.lock().unwrap().docs.keys().collect::<Vec<_>>(), ["t-0-5"]);
}

#[tokio::test]
async fn probing_tells_what_is_wrong() {
    for (root, head, options, kind) in [
        (200, 200, r#"{"index":"i"}"#, None),
        (200, 404, r#"{"index":"i"}"#, None),
        (403, 200, r#"{"index":"i"}"#, None),
        (200, 404, r#"{"index":"i","mapping_mode":"existing"}"#, Some(ErrorKind::NotFound)),
        (401, 200, r#"{"index":"i"}"#, Some(ErrorKind::Denied)),
        (200, 403, r#"{"index":"i"}"#, Some(ErrorKind::Denied)),
        (503, 200, r#"{"index":"i"}"#, Some(ErrorKind::Unavailable)),
    ] {
        let (server, _) = server(move |_, r, _| {
            Reply::text(if r.method == "HEAD" { head } else { root }, "{\"version\":{}}")
        });
        let endpoint = sinks::endpoint(&server.url(), options);
        let found = connector_elastic::probe(&endpoint).await.err().map(|e| e.kind());
        assert_eq!(found, kind, "{root} {head} {options}");
    }
}
