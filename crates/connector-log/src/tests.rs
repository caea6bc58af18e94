//! The sink: the contract's suite, the form of logs, repeats.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connector::records::conformance::{self, Profile, Subject};
use connector::records::{BatchBuilder, Headers, Host};
use log_store::{Order, Query, Settings};
use runtime::{ByteBudget, Micros, Random};

use super::*;

fn logs(folder: &Path) -> Logs {
    let small = Settings { segment_bytes: 4000, ..Settings::default() };
    let topics = ["t", "u"].map(|id| (id.to_owned(), small));
    Logs::new(folder.to_owned(), BTreeMap::from(topics), Clock::system())
}

fn context() -> Context {
    Context {
        pipeline: "task-1".to_owned(),
        lane: 0,
        clock: Clock::manual(Micros(42)),
        random: Random::system(),
        budget: ByteBudget::new(1 << 20),
    }
}

fn endpoint(options: &str) -> Endpoint {
    Endpoint { connection: String::new(), secret: None, options: options.to_owned() }
}

fn found(logs: &Logs, stream: &str) -> Vec<(i64, Vec<u8>)> {
    let q = Query { order: Order::Arrival, limit: 10_000, ..Query::default() };
    let page = logs.topic("t").unwrap().query(&q, Duration::from_secs(60)).unwrap();
    page.records.into_iter().filter(|r| r.stream == stream).map(|r| (r.time, r.text)).collect()
}

struct Target {
    logs: Logs,
}

#[async_trait(?Send)]
impl Subject for Target {
    async fn sink(&self, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        sink(&self.logs, &endpoint(r#"{"topic":"t","decode_json":true}"#), &context(), host)
    }

    fn value(&self, n: usize) -> Vec<u8> {
        format!(r#"{{"n":{n}}}"#).into_bytes()
    }

    fn refused(&self) -> Option<Vec<u8>> {
        Some(vec![b'x'; MAX_RECORD + 1])
    }

    async fn values(&self, split: &Split) -> Result<Vec<Vec<u8>>> {
        let all = found(&self.logs, &format!("{}/{}", split.topic, split.partition));
        Ok(all.into_iter().map(|(_, text)| text).collect())
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target { logs: logs(folder.path()) };
    let profile = Profile { keeps_marks: true, idempotent: true, ordered: true };
    conformance::run(&target, profile, "c").await.unwrap_or_else(|e| panic!("{e}"));
}

struct NoHost;

#[async_trait(?Send)]
impl Host for NoHost {
    async fn refuse(&self, _: &Unit, _: Vec<Refused>) -> Result<Ruling> {
        Err(Error::new(ErrorKind::Unacceptable, "nothing is refused here"))
    }
}

fn unit(from: i64, values: &[&[u8]]) -> Unit {
    let mut b = BatchBuilder::new(Split::new("s", 0), from);
    for (offset, value) in (from..).zip(values) {
        let (key, headers, value) = (None, Headers::none(), Some(*value));
        b.push(&RecordRef { offset, sub: 0, timestamp_ms: 7, key, value, headers });
    }
    Unit::as_read(Arc::new(b.finish(0)))
}

async fn written(options: &str, values: &[&[u8]]) -> Vec<(i64, String)> {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs(folder.path());
    let mut s = sink(&logs, &endpoint(options), &context(), Rc::new(NoHost)).unwrap();
    s.open(&[(Split::new("s", 0), Mark::default())]).await.unwrap();
    s.write(unit(0, values)).await.unwrap();
    found(&logs, "s/0").into_iter().map(|(t, text)| (t, String::from_utf8(text).unwrap())).collect()
}

#[tokio::test]
async fn logs_have_the_form_that_is_asked_for() {
    let text = |found: Vec<(i64, String)>| found.into_iter().map(|(_, t)| t).collect::<Vec<_>>();
    let values: [&[u8]; 4] = [br#" {"a":1} "#, b"plain \"x\"", b"[1]", b"\xff"];
    let decoded = text(written(r#"{"topic":"t","decode_json":true}"#, &values).await);
    let failed = [
        r#"{"a":1}"#,
        r#"{"LogParseFailure":"plain \"x\""}"#,
        r#"{"LogParseFailure":"[1]"}"#,
        r#"{"LogParseFailure":"/w==","__ENCODING__":"base64"}"#,
    ];
    assert_eq!(decoded, failed);
    let whole = text(written(r#"{"topic":"t","decode_json":false,"content_key":"c"}"#, &values[..2]).await);
    assert_eq!(whole, [r#"{"c":" {\"a\":1} "}"#, r#"{"c":"plain \"x\""}"#]);
    let times = [
        (r#"{"ts":1700000000}"#, 1_700_000_000_000_000),
        (r#"{"ts":"1700000000.5"}"#, 1_700_000_000_500_000),
        (r#"{"ts":1700000000123}"#, 1_700_000_000_123_000),
        (r#"{"ts":1700000000123456}"#, 1_700_000_000_123_456),
        (r#"{"ts":"soon"}"#, 7000),
        (r#"{"ts":-1}"#, 7000),
        ("{}", 7000),
    ];
    for (value, want) in times {
        for decode in [true, false] {
            let options = format!(r#"{{"topic":"t","decode_json":{decode},"time_field":"ts"}}"#);
            assert_eq!(written(&options, &[value.as_bytes()]).await[0].0, want, "{value}");
        }
    }
}

#[tokio::test]
async fn an_old_owner_that_goes_on_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs(folder.path());
    let make = || sink(&logs, &endpoint(r#"{"topic":"t","decode_json":true}"#), &context(), Rc::new(NoHost));
    let split = Split::new("s", 0);
    let (mut old, mut new) = (make().unwrap(), make().unwrap());
    for s in [&mut old, &mut new] {
        s.open(&[(split.clone(), Mark::default())]).await.unwrap();
    }
    let values: [&[u8]; 3] = [br#"{"n":0}"#, br#"{"n":1}"#, br#"{"n":2}"#];
    old.write(unit(0, &values[..2])).await.unwrap();
    new.write(unit(0, &values)).await.unwrap();
    old.write(unit(0, &values[..1])).await.unwrap();
    let texts: Vec<_> = found(&logs, "s/0").into_iter().map(|(_, t)| t).collect();
    assert_eq!(texts, values);
    let mark = new.committed(&[(split, None)]).await.unwrap()[0].unwrap();
    assert_eq!((mark.next, mark.account.items[0], mark.account.items[2]), (3, 3, 3));
    for (bad, field) in
        [("{}", "options"), (r#"{"topic":""}"#, "topic"), (r#"{"topic":"t","x":1}"#, "options")]
    {
        assert_eq!(check_sink(bad)[0].field, field);
    }
    let away = probe(&logs, &endpoint(r#"{"topic":"none"}"#)).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::NotFound);
}
