//! The sink against a real OpenSearch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "common/feed.rs"]
mod feeding;
#[path = "common/node.rs"]
mod node;
#[path = "../../http-pool/tests/common/sinks.rs"]
mod sinks;

use std::time::Duration;

use connector::ErrorKind;
use connector::records::{Split, Unit};
use feeding::{feed, open};
use http::Method;
use node::Node;
use serde_json::json;
use sinks::{Desk, run, unit};

fn units(from: i64, to: i64, step: usize, value: impl Fn(i64) -> String) -> Vec<Unit> {
    (from..to)
        .step_by(step)
        .map(|first| unit(first, &(first..(first + step as i64).min(to)).map(&value).collect::<Vec<_>>()))
        .collect()
}

/// One after the other on one node: starting it costs more than all of them.
#[tokio::test]
async fn a_real_server() {
    let mut node = match Node::start("sink").await {
        Ok(node) => node,
        Err(reason) => {
            println!("SKIPPED: {reason}");
            return;
        }
    };
    poison(&node).await;
    versions(&node).await;
    changes(&node).await;
    sizes(&node).await;
    names(&node).await;
    killed(&mut node).await;
}

/// 0.1 % poison of several kinds: each is refused with the server's reason, the rest is there, and all again changes nothing.
async fn poison(node: &Node) {
    let mapping = r#"{"mappings":{"dynamic":"strict","properties":{"n":{"type":"long"},"at":{"type":"date"},"@timestamp":{"type":"date"}}}}"#;
    node.ask(Method::PUT, "/poison", mapping).await;
    let value = |n: i64| match n % 1000 {
        500 => match n / 1000 {
            0 => "{\"n\":{\"deep\":1}}".to_owned(),
            1 => "{\"n\":\"words\"}".to_owned(),
            2 => "{\"other\":1}".to_owned(),
            3 => "{\"at\":\"no date\"}".to_owned(),
            4 => "{\"n\":1e400}".to_owned(),
            5 => "{\"n\":1,\"n\":2}".to_owned(),
            6 => "{\"n\":".to_owned(),
            7 => "[1]".to_owned(),
            8 => format!("{}1{}", "{\"n\":".repeat(1001), "}".repeat(1001)),
            _ => "nothing".to_owned(),
        },
        _ => format!("{{\"n\":{n},\n\"at\":\"2026-11-30\"}}"),
    };
    for round in 0..2 {
        let desk = Desk::new();
        let all = units(0, 10_000, 500, value);
        let options = r#"{"index":"poison","bulk_records":700,"bulk_bytes":1000000}"#;
        let marks = feed(&node.url(), options, &desk, |u| *u = all).await.unwrap();
        let items = marks[&Split::new("t", 0)].account.items;
        assert_eq!(items, [10_000, 0, 9_990, 0, 0, 0, 10, 0], "round {round}: {:?}", desk.kept());
        let offsets: Vec<i64> = desk.kept().iter().map(|(o, _)| *o).collect();
        assert_eq!(offsets, (0..10).map(|k| k * 1000 + 500).collect::<Vec<i64>>());
        assert!(desk.kept()[0].1.contains("parsing_exception"), "{:?}", desk.kept()[0]);
        let documents = node.documents("poison").await;
        assert_eq!(documents.len(), 9_990);
        let expected = json!({"n": 7, "at": "2026-11-30", "@timestamp": "2023-11-14T22:13:20.000Z"});
        assert_eq!(documents["t-0-7"], expected);
    }
}

/// The last record of an id wins, with several bulks in flight.
async fn versions(node: &Node) {
    let desk = Desk::new();
    let all = units(0, 20_000, 1000, |n| format!("{{\"id\":\"ключ {} \\\"q\\\"\",\"v\":{n}}}", n % 101));
    let options =
        r#"{"index":"versions","id_path":"$.id","bulk_records":300,"in_flight":8,"timestamp":false}"#;
    let marks = feed(&node.url(), options, &desk, |u| *u = all).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items[2], 20_000);
    let documents = node.documents("versions").await;
    assert_eq!(documents.len(), 101);
    for id in 0..101 {
        let newest = (0..20_000).rev().find(|n| n % 101 == id).unwrap();
        assert_eq!(documents[&format!("ключ {id} \"q\"")]["v"], newest);
    }
}

/// Inserts, updates and deletes of a database.
async fn changes(node: &Node) {
    let desk = Desk::new();
    let value = |n: i64| {
        let id = n % 50;
        match n / 50 {
            0 => format!("{{\"op\":\"c\",\"after\":{{\"id\":{id},\"v\":0}}}}"),
            1 => format!(
                "{{\"payload\":{{\"op\":\"u\",\"before\":{{\"id\":{id}}},\"after\":{{\"id\":{id},\"v\":1}}}}}}"
            ),
            _ if id % 2 == 0 => format!("{{\"op\":\"d\",\"before\":{{\"id\":{id}}},\"after\":null}}"),
            // The key changes: the old document has to go.
            _ => format!(
                "{{\"op\":\"u\",\"before\":{{\"id\":{id}}},\"after\":{{\"id\":{},\"v\":2}}}}",
                id + 1000
            ),
        }
    };
    let options = r#"{"index":"rows","change_format":"debezium","primary_key":"id","bulk_records":7,"timestamp":false}"#;
    let all = units(0, 150, 10, value);
    let marks = feed(&node.url(), options, &desk, |u| *u = all).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items[2], 150, "{:?}", desk.kept());
    let documents = node.documents("rows").await;
    let ids: Vec<String> = documents.keys().cloned().collect();
    let mut expected: Vec<String> = (0..50).filter(|i| i % 2 == 1).map(|i| (i + 1000).to_string()).collect();
    expected.sort();
    assert_eq!(ids, expected);
    assert!(documents.values().all(|d| d["v"] == 2));
}

/// The node takes 2 MiB: larger bulks are halved, a larger document is refused alone.
async fn sizes(node: &Node) {
    let desk = Desk::new();
    let all = units(0, 300, 100, |n| {
        let size = if n == 150 { 3_000_000 } else { 30_000 };
        format!("{{\"n\":{n},\"text\":\"{}\"}}", "a b ".repeat(size / 4))
    });
    let marks = feed(&node.url(), r#"{"index":"sizes"}"#, &desk, |u| *u = all).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [300, 0, 299, 0, 0, 0, 1, 0]);
    assert_eq!(desk.kept()[0].0, 150);
    assert!(desk.kept()[0].1.contains("413"), "{:?}", desk.kept());
    assert_eq!(node.documents("sizes").await.len(), 299);
}

/// Names from fields and dates; gzip.
async fn names(node: &Node) {
    let desk = Desk::new();
    let all = units(0, 30, 10, |n| match n {
        5 => "{\"app\":\"UPPER\"}".to_owned(),
        _ => format!("{{\"app\":\"app{}\",\"ts\":{}}}", n % 2, 86_400 * (n / 10)),
    });
    let options = r#"{"index_path":"$.app","date_suffix":"yyyy.MM.dd","date_path":"$.ts","gzip":true}"#;
    let marks = feed(&node.url(), options, &desk, |u| *u = all).await.unwrap();
    assert_eq!(marks[&Split::new("t", 0)].account.items, [30, 0, 29, 0, 0, 0, 1, 0]);
    assert_eq!(node.documents("app0_1970.01.01").await.len(), 5);
    assert_eq!(node.documents("app1_1970.01.03").await.len(), 5);
    let mapping = node.ask(Method::GET, "/app0_1970.01.01/_mapping", "").await.to_string();
    assert!(mapping.contains(r#""@timestamp":{"type":"date"}"#), "{mapping}");
    let probe = |options: &str| {
        let endpoint = sinks::endpoint(&node.url(), options);
        async move { connector_elastic::probe(&endpoint).await.err().map(|e| e.kind()) }
    };
    assert_eq!(probe(r#"{"index":"sizes","mapping_mode":"existing"}"#).await, None);
    assert_eq!(probe(r#"{"index":"none","mapping_mode":"existing"}"#).await, Some(ErrorKind::NotFound));
    assert_eq!(probe(r#"{"index":"none"}"#).await, None);
}

/// The node is killed in the middle: the run ends with an error, and a new run from what was settled makes it whole.
async fn killed(node: &mut Node) {
    let value = |n: i64| format!("{{\"n\":{n}}}");
    let options = r#"{"index":"killed","bulk_records":500}"#;
    let (url, desk) = (node.url(), Desk::new());
    let first = tokio::task::LocalSet::new();
    let settled = first
        .run_until(async {
            let mut sink = open(&url, options, &desk).await.unwrap();
            let mut settled = 0;
            for (n, unit) in units(0, 40_000, 500, value).into_iter().enumerate() {
                if n == 30 {
                    node.kill9();
                }
                let written = sink.write(unit).await;
                settled = sink.settled().pop().map_or(settled, |s| s.mark.next);
                if let Err(e) = written {
                    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
                    return settled;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            panic!("nobody noticed");
        })
        .await;
    assert!((500..20_000).contains(&settled), "{settled}");
    node.again().await;
    let second = tokio::task::LocalSet::new();
    let marks = second.run_until(async {
        let mut sink = open(&url, options, &desk).await.unwrap();
        // The shards of a node that has just come back are not all there yet: that is waited for inside.
        run(sink.as_mut(), units(settled, 40_000, 500, value)).await
    });
    assert_eq!(marks.await.unwrap()[&Split::new("t", 0)].next, 40_000);
    let documents = node.documents("killed").await;
    assert_eq!(documents.len(), 40_000);
    assert!((0..40_000).all(|n| documents[&format!("t-0-{n}")]["n"] == n));
}
