//! The dump sink and error directories against real stores (SeaweedFS and the embedded one), with an engine that dies where it likes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use connector::records::{
    Account, Aside, Batch, BatchBuilder, Context, Endpoint, ErrorDirectory, Headers, Host, Mark, RecordRef,
    RecordSink, Refused, Ruling, Secret, SharedHost, Split, Unit,
};
use connector::{ErrorKind, Result};
use runtime::{ByteBudget, Clock, Micros, Random};
use testkit::proxy::{Mode, Proxy};
use testkit::s3;
use tokio::task::LocalSet;

const BASE_MS: i64 = 1_795_352_904_000; // 2026-11-22T13:08:24Z
const BUCKET: &str = "dumps";

/// Keeps what is refused, as the engine does: in the error directory, at once.
struct Keeper(Rc<dyn ErrorDirectory>, RefCell<Vec<(i64, String)>>);

#[async_trait(?Send)]
impl Host for Keeper {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        self.0.put(&unit.batch, Aside::Some(&refused)).await?;
        let one = |r: &Refused| (unit.batch.get(r.index).unwrap().offset, r.reason.clone());
        self.1.borrow_mut().extend(refused.iter().map(one));
        Ok(Ruling::Kept)
    }
}

/// A record's value: four days of event time, every 17th without a time.
fn value(split: i32, i: i64) -> String {
    let day = 1 + i % 4;
    if i % 17 == 5 {
        format!("{{\"s\":{split},\"n\":{i}}}")
    } else {
        format!("{{\"s\":{split},\"n\":{i},\"at\":\"2026-11-0{day} 10:00:00\"}}")
    }
}

fn batch(split: &Split, from: i64, to: i64, value: impl Fn(i32, i64) -> String) -> Batch {
    let mut b = BatchBuilder::new(split.clone(), from);
    for offset in from..to {
        let value = value(split.partition, offset);
        let (value, headers) = (Some(value.as_bytes()), Headers::none());
        assert!(b.push(&RecordRef {
            offset,
            sub: 0,
            timestamp_ms: BASE_MS + offset,
            key: None,
            value,
            headers
        }));
    }
    b.finish(to)
}

struct Place {
    client: s3::Client,
    url: String,
    prefix: String,
    options: String,
    budget: ByteBudget,
    clock: Clock,
}

impl Place {
    fn new(client: &s3::Client, url: &str, options: &str) -> Self {
        let prefix = format!("{}/", Random::system().hex(10));
        client.create_bucket(BUCKET).unwrap();
        let options = format!(
            r#"{{"mode":"interval","bucket":"{BUCKET}","prefix":"{prefix}","stream":"str",{options}}}"#
        );
        let budget = ByteBudget::new(64 << 20);
        Self { client: client.clone(), url: url.to_owned(), prefix, options, budget, clock: Clock::system() }
    }

    fn endpoint(&self, options: &str) -> Endpoint {
        let connection = format!(r#"{{"url":"{}","access_key_id":"{}"}}"#, self.url, self.client.access_key);
        let secret = Some(Secret(self.client.secret_key.as_str().into()));
        Endpoint { connection, secret, options: options.to_owned() }
    }

    fn context(&self) -> Context {
        let (clock, random) = (self.clock.clone(), Random::system());
        Context { pipeline: "task-abc".to_owned(), lane: 0, clock, random, budget: self.budget.clone() }
    }

    fn errors(&self) -> Rc<dyn ErrorDirectory> {
        let options = format!(
            r#"{{"mode":"errors","bucket":"{BUCKET}","prefix":"{}obs_error/","stream":"str"}}"#,
            self.prefix
        );
        assert_eq!(connector_object::check_sink(&options), []);
        connector_object::error_directory(&self.endpoint(&options), &self.context()).unwrap()
    }

    fn sink(&self) -> (Box<dyn RecordSink>, Rc<Keeper>) {
        assert_eq!(connector_object::check_sink(&self.options), []);
        let host = Rc::new(Keeper(self.errors(), RefCell::default()));
        let endpoint = self.endpoint(&self.options);
        let sink = connector_object::sink(&endpoint, &self.context(), host.clone() as SharedHost).unwrap();
        (sink, host)
    }

    /// Files: key without the prefix, content. Neither pointers nor errors.
    fn files(&self) -> BTreeMap<String, String> {
        self.all(|k| !k.contains("_wharf/") && !k.contains("obs_error/"))
    }

    fn all(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let keys = self.client.keys(BUCKET, &self.prefix).unwrap();
        let keys = keys.into_iter().filter(|k| wanted(k) && !k.ends_with('/'));
        keys.map(|k| {
            let mut body = self.client.get(BUCKET, &k).unwrap();
            if k.ends_with(".gz") {
                let mut text = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&body[..]), &mut text)
                    .unwrap();
                body = text;
            }
            (k[self.prefix.len()..].to_owned(), String::from_utf8(body).unwrap())
        })
        .collect()
    }
}

type Journal = HashMap<Split, Mark>;

fn note(journal: &mut Journal, sink: &mut dyn RecordSink) {
    for s in sink.settled() {
        let old = journal.insert(s.split, s.mark);
        assert!(old.is_none_or(|o| o.next <= s.mark.next), "positions only grow");
    }
}

async fn take(
    place: &Place,
    sink: &mut dyn RecordSink,
    journal: &mut Journal,
    n: i32,
) -> Result<Vec<(Split, i64)>> {
    let known: Vec<_> =
        (0..n).map(|p| Split::new("topic", p)).map(|s| (s.clone(), journal.get(&s).copied())).collect();
    let found = sink.committed(&known).await?;
    let marks: Vec<_> =
        known.iter().zip(found).map(|((s, k), f)| (s.clone(), f.or(*k).unwrap_or_default())).collect();
    let errors = place.errors();
    for (split, mark) in &marks {
        errors.begin(split, mark.next).await?;
    }
    sink.open(&marks).await?;
    journal.extend(marks.iter().cloned());
    Ok(marks.into_iter().map(|(s, m)| (s, m.next)).collect())
}

/// One life: writes until `units` were given (then dies), or to the end.
async fn life(place: &Place, (splits, n): (i32, i64), journal: &mut Journal, mut units: u64) -> Result<bool> {
    let (mut sink, _) = place.sink();
    let mut at = take(place, sink.as_mut(), journal, splits).await?;
    let mut step = 0_i64;
    loop {
        let mut moved = false;
        for (split, next) in at.iter_mut().filter(|(_, next)| *next < n) {
            (moved, step) = (true, step + 1);
            let to = n.min(*next + 1 + (step * 7 + *next) % 23);
            sink.write(Unit::as_read(Arc::new(batch(split, *next, to, value)))).await?;
            *next = to;
            units -= 1;
            if units == 0 {
                if step % 3 != 0 {
                    note(journal, sink.as_mut());
                }
                return Ok(false);
            }
        }
        sink.tick().await?;
        if step % 5 == 0 {
            note(journal, sink.as_mut());
        }
        if !moved {
            sink.flush().await?;
            note(journal, sink.as_mut());
            return Ok(true);
        }
    }
}

async fn die_often(place: &Place, size: (i32, i64), mut random: u64) {
    let mut journal = Journal::new();
    for round in 0..400 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let units = if round < 25 { 1 + (random >> 33) % 40 } else { u64::MAX };
        match life(place, size, &mut journal, units).await {
            Ok(true) => return complete(place, size, &journal),
            Ok(false) => {}
            Err(e) => assert!(e.kind().is_transient() || e.kind() == ErrorKind::Changed, "{e}"),
        }
    }
    panic!("no life came through");
}

/// Every record is in one file of its day, or in the error directory; the books balance.
fn complete(place: &Place, (splits, n): (i32, i64), journal: &Journal) {
    let mut got: Vec<String> = Vec::new();
    for (key, text) in place.files() {
        let day = key.split('/').next().unwrap();
        for line in text.lines() {
            assert!(line.contains(day), "{key} holds {line}");
            got.push(line.to_owned());
        }
    }
    let aside = place.all(|k| k.ends_with(".dat"));
    let reasons = place.all(|k| k.ends_with(".reason.json"));
    assert_eq!(aside.len(), reasons.len());
    for text in aside.values() {
        for line in text.lines() {
            assert!(!line.contains("at"), "{line}");
            got.push(line.to_owned());
        }
    }
    got.sort();
    let mut wanted: Vec<_> = (0..splits).flat_map(|s| (0..n).map(move |i| value(s, i))).collect();
    wanted.sort();
    let differ = got.iter().zip(&wanted).position(|(a, b)| a != b);
    assert!(
        got == wanted,
        "{} records instead of {}, first difference at {differ:?}",
        got.len(),
        wanted.len()
    );
    let dead = (0..n).filter(|i| i % 17 == 5).count() as u64;
    for mark in journal.values() {
        let items = mark.account.items;
        assert_eq!((items[Account::READ], items[Account::DEAD]), (n as u64, dead));
        assert_eq!(items[Account::WRITTEN], n as u64 - dead);
    }
}

enum Peer {
    Weed(testkit::peers::Seaweed),
    Embedded { client: s3::Client, url: String, _dir: tempfile::TempDir, _down: runtime::Shutdown },
}

impl Peer {
    async fn start(embedded: bool) -> Option<Self> {
        if !embedded {
            return match testkit::peers::seaweedfs() {
                Ok(s) => Some(Self::Weed(s)),
                Err(why) => {
                    eprintln!("SKIPPED: {why}");
                    None
                }
            };
        }
        let (dir, down) = (tempfile::tempdir().unwrap(), runtime::Shutdown::new());
        let listen = "127.0.0.1:0".parse().unwrap();
        let (id, key) = (common::ACCESS_KEY, common::SECRET_KEY);
        let running =
            embedded_s3::EmbeddedS3::start(dir.path(), listen, id, key, down.clone()).await.unwrap();
        let client = s3::Client {
            addr: running.addr,
            access_key: id.into(),
            secret_key: key.into(),
            region: "us-east-1".into(),
        };
        Some(Self::Embedded { client, url: format!("http://{}", running.addr), _dir: dir, _down: down })
    }

    fn client(&self) -> &s3::Client {
        match self {
            Self::Weed(s) => &s.client,
            Self::Embedded { client, .. } => client,
        }
    }

    fn url(&self) -> &str {
        match self {
            Self::Weed(s) => &s.url,
            Self::Embedded { url, .. } => url,
        }
    }
}

async fn all(peer: &Peer) {
    names(peer).await;
    intervals(peer).await;
    large(peer).await;
    deaths(peer).await;
    rivals(peer).await;
    torn_delivery(peer).await;
    long_delivery(peer).await;
    aside(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_seaweedfs() {
    let Some(peer) = Peer::start(false).await else { return };
    LocalSet::new().run_until(all(&peer)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store() {
    let Some(peer) = Peer::start(true).await else { return };
    LocalSet::new().run_until(all(&peer)).await;
}

fn plain(_: i32, i: i64) -> String {
    format!("r{i}")
}

async fn write(sink: &mut dyn RecordSink, split: &Split, from: i64, to: i64) {
    sink.write(Unit::as_read(Arc::new(batch(split, from, to, plain)))).await.unwrap();
}

/// Where files lie and what they are called: by the clock in the configured zone.
async fn names(peer: &Peer) {
    let options = r#""interval_ms":1000,"format":"text","delimiter":",","directories":"%Y/%m/%d/%H/%M","utc_offset_s":28800"#;
    let mut place = Place::new(peer.client(), peer.url(), options);
    place.clock = Clock::manual(Micros(BASE_MS * 1000));
    let (mut sink, _) = place.sink();
    take(&place, sink.as_mut(), &mut Journal::new(), 2).await.unwrap();
    write(sink.as_mut(), &Split::new("topic", 1), 7, 9).await;
    sink.flush().await.unwrap();
    let files = place.files();
    let key = "2026/11/22/21/08/str_shardId-0000000001_00000000000000000007_20261122210824_abc.txt";
    assert_eq!(files.into_iter().collect::<Vec<_>>(), [(key.to_owned(), "r7,r8".to_owned())]);
}

/// The interval is the only trigger, counts from its first record, and makes no file without one.
async fn intervals(peer: &Peer) {
    let options = r#""interval_ms":30000,"format":"text","delimiter":"\n""#;
    let mut place = Place::new(peer.client(), peer.url(), options);
    place.clock = Clock::manual(Micros(BASE_MS * 1000));
    let hand = place.clock.clone();
    let (mut sink, _) = place.sink();
    let mut journal = Journal::new();
    take(&place, sink.as_mut(), &mut journal, 2).await.unwrap();
    let splits: Vec<_> = (0..2).map(|p| Split::new("topic", p)).collect();
    write(sink.as_mut(), &splits[0], 0, 3).await;
    hand.advance(29_000_000);
    write(sink.as_mut(), &splits[1], 0, 1).await;
    sink.tick().await.unwrap();
    assert!(place.files().is_empty() && sink.settled().is_empty());
    hand.advance(1_000_000);
    sink.tick().await.unwrap();
    note(&mut journal, sink.as_mut());
    assert_eq!(place.files().len(), 2, "all splits are delivered together");
    assert_eq!((journal[&splits[0]].next, journal[&splits[1]].next), (3, 1));
    hand.advance(300_000_000);
    // A batch without records moves the position alone.
    sink.write(Unit::as_read(Arc::new(BatchBuilder::new(splits[1].clone(), 1).finish(5)))).await.unwrap();
    sink.tick().await.unwrap();
    note(&mut journal, sink.as_mut());
    assert_eq!((place.files().len(), journal[&splits[1]].next), (2, 5));
    write(sink.as_mut(), &splits[1], 5, 6).await;
    sink.tick().await.unwrap();
    assert_eq!(place.files().len(), 2, "the interval begins with its first record");
}

/// More than a part, more than the budget, compressed or not.
async fn large(peer: &Peer) {
    for (compression, budget) in [("none", 64_u64 << 20), ("gzip", 64 << 20), ("none", 8 << 20)] {
        let options =
            format!(r#""interval_ms":60000,"format":"text","delimiter":"\n","compression":"{compression}""#);
        let mut place = Place::new(peer.client(), peer.url(), &options);
        place.budget = ByteBudget::new(budget);
        let (mut sink, _) = place.sink();
        let mut journal = Journal::new();
        take(&place, sink.as_mut(), &mut journal, 2).await.unwrap();
        let long = |s: i32, i: i64| format!("{s}.{i}.{}", Random::system().hex(20_000));
        let mut wanted = [0, 0];
        for i in 0..16 {
            let split = Split::new("topic", i % 2);
            let b = batch(&split, i64::from(i) * 40, i64::from(i) * 40 + 40, long);
            wanted[(i % 2) as usize] += b.iter().map(|r| r.value.unwrap().len() + 1).sum::<usize>();
            sink.write(Unit::as_read(Arc::new(b))).await.unwrap();
            sink.tick().await.unwrap();
        }
        sink.flush().await.unwrap();
        note(&mut journal, sink.as_mut());
        let files = place.files();
        let whole = |p: i32| {
            files
                .iter()
                .filter(|(k, _)| k.contains(&format!("-{p:010}_")))
                .map(|(_, t)| t.len())
                .sum::<usize>()
        };
        assert_eq!([whole(0), whole(1)], wanted, "{compression} {budget}");
        assert!(budget < 64 << 20 || files.len() == 2, "one file for each split and interval");
        drop(sink);
        assert_eq!(place.budget.free(), place.budget.total());
    }
}

const BY_DAY: &str = r#""interval_ms":100,"format":"text","delimiter":"\n","directories":"%Y-%m-%d","time":{"field":"at","pattern":"yyyy-MM-dd HH:mm:ss"}"#;

/// Dying anywhere, also with requests that fail or are not answered.
async fn deaths(peer: &Peer) {
    for seed in [3, 11] {
        die_often(&Place::new(peer.client(), peer.url(), BY_DAY), (2, 400), seed).await;
    }
    let listen = "127.0.0.1:0".parse().unwrap();
    let proxy = Proxy::start(listen, peer.client().addr, Mode::Http).await.unwrap();
    for rule in [
        "match=PUT every=13 do=drop-response",
        "match=POST every=9 do=drop-response",
        "match=PUT every=17 do=status:503",
        "match=GET every=11 do=status:500",
    ] {
        proxy.add(rule).unwrap();
    }
    let mut place = Place::new(peer.client(), peer.url(), BY_DAY);
    place.url = format!("http://{}", proxy.addr);
    die_often(&place, (2, 300), 5).await;
    assert!(proxy.fired().iter().sum::<u64>() > 10);
}

/// An older owner that still writes can't commit any more.
async fn rivals(peer: &Peer) {
    let place =
        Place::new(peer.client(), peer.url(), r#""interval_ms":60000,"format":"text","delimiter":"\n""#);
    let split = Split::new("topic", 0);
    let (mut old, _) = place.sink();
    take(&place, old.as_mut(), &mut Journal::new(), 1).await.unwrap();
    write(old.as_mut(), &split, 0, 5).await;
    let (mut new, _) = place.sink();
    take(&place, new.as_mut(), &mut Journal::new(), 1).await.unwrap();
    write(new.as_mut(), &split, 0, 7).await;
    assert_eq!(old.flush().await.unwrap_err().kind(), ErrorKind::Changed);
    new.flush().await.unwrap();
    assert_eq!(new.settled()[0].mark.next, 7);
    let files = place.files();
    assert_eq!(files.values().cloned().collect::<Vec<_>>(), ["r0\nr1\nr2\nr3\nr4\nr5\nr6\n"]);
}

/// A crash between the commit and the completion of several files: whoever comes next completes them; where an upload is gone, all is
/// written anew.
async fn torn_delivery(peer: &Peer) {
    for lost in [false, true] {
        let place = Place::new(peer.client(), peer.url(), BY_DAY);
        let mut journal = Journal::new();
        let (mut sink, _) = place.sink();
        take(&place, sink.as_mut(), &mut journal, 1).await.unwrap();
        sink.write(Unit::as_read(Arc::new(batch(&Split::new("topic", 0), 0, 40, value)))).await.unwrap();
        sink.flush().await.unwrap();
        drop(sink);
        // Taken back to the moment of the commit: one file is not there yet.
        let key = format!("{}_wharf/task-abc/topic+0", place.prefix);
        let pointer = place.client.get(BUCKET, &key).unwrap();
        let mut text: serde_json::Value = serde_json::from_slice(&pointer).unwrap();
        assert_eq!(text["files"].as_array().unwrap().len(), 4);
        let torn = text["files"][2]["key"].as_str().unwrap().to_owned();
        let body = place.client.get(BUCKET, &torn).unwrap();
        let gone = s3::Request { method: "DELETE", bucket: BUCKET, key: &torn, ..s3::Request::default() };
        assert!(matches!(place.client.send(&gone).unwrap().status, 200 | 204));
        if !lost {
            let (id, etag) = upload(&place.client, &torn, &body);
            text["files"][2]["upload"] = id.into();
            text["files"][2]["parts"] = serde_json::json!([etag]);
            place.client.put(BUCKET, &key, &serde_json::to_vec(&text).unwrap()).unwrap();
        }
        journal.clear();
        assert!(life(&place, (1, 40), &mut journal, u64::MAX).await.unwrap());
        complete(&place, (1, 40), &journal);
    }
}

/// A batch with another minute for each record makes a delivery of thousands of files: whoever comes next must be able to read its pointer.
async fn long_delivery(peer: &Peer) {
    let place = Place::new(peer.client(), peer.url(), BY_DAY);
    let mut journal = Journal::new();
    assert!(life(&place, (1, 40), &mut journal, u64::MAX).await.unwrap());
    let key = format!("{}_wharf/task-abc/topic+0", place.prefix);
    let pointer = place.client.get(BUCKET, &key).unwrap();
    let mut text: serde_json::Value = serde_json::from_slice(&pointer).unwrap();
    let file = text["files"][0].clone();
    text["files"] = vec![file; 30_000].into();
    place.client.put(BUCKET, &key, &serde_json::to_vec(&text).unwrap()).unwrap();
    assert!(life(&place, (1, 60), &mut journal, u64::MAX).await.unwrap());
    complete(&place, (1, 60), &journal);
}

/// An upload with one part, not completed.
fn upload(client: &s3::Client, key: &str, body: &[u8]) -> (String, String) {
    let begin = s3::Request {
        method: "POST",
        bucket: BUCKET,
        key,
        query: &[("uploads", "")],
        ..s3::Request::default()
    };
    let text = client.send(&begin).unwrap().text();
    let id = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let query = [("partNumber", "1"), ("uploadId", id.as_str())];
    let part =
        s3::Request { method: "PUT", bucket: BUCKET, key, query: &query, body, ..s3::Request::default() };
    let answer = client.send(&part).unwrap();
    let etag = answer.header("etag").unwrap().trim_matches('"').to_owned();
    (id, etag)
}

/// Error directories hold exact bytes, say why, and forget what is decided anew.
async fn aside(peer: &Peer) {
    let place = Place::new(peer.client(), peer.url(), r#""interval_ms":60000,"format":"text""#);
    let (errors, split) = (place.errors(), Split::new("topic", 0));
    let odd = |_: i32, i: i64| format!("{i}\n,\u{0}x");
    let b = batch(&split, 10, 13, odd);
    let refused = [Refused { index: 1, kind: ErrorKind::Unacceptable, reason: "no JSON".into() }];
    errors.put(&b, Aside::Some(&refused)).await.unwrap();
    errors.put(&b, Aside::Some(&refused)).await.unwrap();
    let later = batch(&split, 20, 22, odd);
    errors.put(&later, Aside::All(ErrorKind::Unavailable, "no answer")).await.unwrap();
    let data = place.all(|k| k.ends_with(".dat"));
    let name = |a: i64, b: i64| format!("obs_error/str_shardId-0000000000_{a:020}_{b:020}_abc");
    assert_eq!(data[&format!("{}.dat", name(11, 11))], "11\n,\u{0}x\n");
    assert_eq!(data.len(), 2);
    let whys = place.all(|k| k.ends_with(".reason.json"));
    let why: serde_json::Value =
        serde_json::from_str(&whys[&format!("{}.reason.json", name(20, 21))]).unwrap();
    assert_eq!(why["records"][1]["reason"], "no answer");
    let r = &why["records"][1];
    assert_eq!((r["begin"].as_u64(), r["length"].as_u64()), (Some(7), Some(6)));
    assert_eq!((r["sequence_number"].as_str(), r["timestamp"].as_i64()), (Some("21"), Some(BASE_MS + 21)));
    errors.begin(&split, 20).await.unwrap();
    assert_eq!(place.all(|k| k.ends_with(".dat")).len(), 1);
    errors.begin(&Split::new("topic", 1), 0).await.unwrap();
    assert_eq!(place.all(|k| k.contains("obs_error")).len(), 2, "other partitions stay");
}
