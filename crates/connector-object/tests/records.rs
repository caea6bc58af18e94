//! The record sink against real stores (SeaweedFS and the embedded one), with an engine that dies where it likes: in the end every
//! record must be in the objects exactly once, and the books must balance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::io::Read as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Account, BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling,
    Secret, SharedHost, Split, Unit,
};
use connector::{ErrorKind, Result};
use runtime::{ByteBudget, Clock, Micros, Random};
use testkit::proxy::{Mode, Proxy};
use testkit::s3;
use tokio::task::LocalSet;

const BASE_MS: i64 = 1_795_352_904_000; // 2026-11-22T13:08:24Z

struct NoHost;

#[async_trait(?Send)]
impl Host for NoHost {
    async fn refuse(&self, _: &Unit, _: Vec<Refused>) -> Result<Ruling> {
        panic!("the bucket sink refuses nothing");
    }
}

/// A source that can be read again: `n` records in each of `splits`, with gaps, two minutes of event time apart.
struct Source {
    splits: i32,
    n: i64,
    pad: usize,
}

impl Source {
    fn value(&self, split: i32, i: i64) -> String {
        format!("{{\"s\":{split},\"n\":{i},\"pad\":\"{}\"}}", "x".repeat(self.pad))
    }

    /// The unit that begins at `from`, of up to `most` records; every 11th position is filtered out before the sink.
    fn unit(&self, split: &Split, from: i64, most: i64) -> Unit {
        let mut b = BatchBuilder::new(split.clone(), from);
        let mut before = Account::default();
        let end = self.n.min(from + most);
        for i in from..end {
            let value = self.value(split.partition, i);
            let record = RecordRef {
                offset: i,
                sub: 0,
                timestamp_ms: BASE_MS + i * 120_000,
                key: None,
                value: Some(value.as_bytes()),
                headers: Headers::none(),
            };
            before.add(Account::READ, 1, record.weight());
            if i % 11 == 3 {
                before.add(Account::FILTERED, 1, record.weight());
            } else {
                assert!(b.push(&record));
            }
        }
        Unit { batch: Arc::new(b.finish(end)), before, weights: None }
    }

    fn wanted(&self) -> Vec<String> {
        let all = (0..self.splits).flat_map(|s| (0..self.n).filter(|i| i % 11 != 3).map(move |i| (s, i)));
        let mut all: Vec<_> = all.map(|(s, i)| self.value(s, i)).collect();
        all.sort();
        all
    }
}

struct Place {
    client: s3::Client,
    url: String,
    bucket: String,
    /// A place of its own in the bucket (a bucket is a costly thing for SeaweedFS).
    prefix: String,
    options: String,
    budget: ByteBudget,
    clock: Clock,
}

impl Place {
    fn new(client: &s3::Client, url: &str, options: &str) -> Self {
        let (bucket, prefix) = ("records".to_owned(), format!("{}/", Random::system().hex(10)));
        client.create_bucket(&bucket).unwrap();
        let options = format!(r#"{{"bucket":"{bucket}","prefix":"{prefix}",{options}}}"#);
        let (client, url) = (client.clone(), url.to_owned());
        Self {
            client,
            url,
            bucket,
            prefix,
            options,
            budget: ByteBudget::new(64 << 20),
            clock: Clock::system(),
        }
    }

    fn sink(&self) -> Box<dyn RecordSink> {
        let connection = format!(
            r#"{{"url":"{}","region":"us-east-1","dialect":"s3","path_style":true,"access_key_id":"{}"}}"#,
            self.url, self.client.access_key
        );
        assert_eq!(connector_object::check_connection(&connection), []);
        assert_eq!(connector_object::check_sink(&self.options), []);
        let secret = Some(Secret(self.client.secret_key.as_str().into()));
        let endpoint = Endpoint { connection, secret, options: self.options.clone() };
        let context = Context {
            pipeline: "task-abc".to_owned(),
            lane: 0,
            clock: self.clock.clone(),
            random: Random::system(),
            budget: self.budget.clone(),
        };
        let host: SharedHost = Rc::new(NoHost);
        connector_object::sink(&endpoint, &context, host).unwrap()
    }

    /// Keys of objects of records.
    fn objects(&self) -> Vec<String> {
        let mut keys = self.client.keys(&self.bucket, &self.prefix).unwrap();
        keys.retain(|k| !k.contains("_wharf/") && !k.ends_with('/'));
        keys
    }

    fn lines(&self) -> Vec<String> {
        let mut all = Vec::new();
        for key in self.objects() {
            let mut body = self.client.get(&self.bucket, &key).unwrap();
            if key.ends_with(".gz") {
                let mut text = Vec::new();
                flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut text).unwrap();
                body = text;
            }
            if key.ends_with(".zst") {
                body = zstd::stream::decode_all(&body[..]).unwrap();
            }
            all.extend(String::from_utf8(body).unwrap().lines().map(str::to_owned));
        }
        all.sort();
        all
    }
}

type Journal = HashMap<Split, Mark>;

fn note(journal: &mut Journal, sink: &mut dyn RecordSink) {
    for s in sink.settled() {
        let old = journal.insert(s.split, s.mark);
        assert!(old.is_none_or(|o| o.next <= s.mark.next), "positions only grow");
    }
}

/// Opens splits as the engine does: what the sink knows goes before the journal.
async fn take(sink: &mut dyn RecordSink, journal: &mut Journal, splits: i32) -> Result<Vec<(Split, i64)>> {
    let all: Vec<_> = (0..splits).map(|p| Split::new("top.ic", p)).collect();
    let known: Vec<_> = all.iter().map(|s| (s.clone(), journal.get(s).copied())).collect();
    let found = sink.committed(&known).await?;
    let marks: Vec<_> =
        known.iter().zip(found).map(|((s, k), f)| (s.clone(), f.or(*k).unwrap_or_default())).collect();
    sink.open(&marks).await?;
    journal.extend(marks.iter().cloned());
    Ok(marks.into_iter().map(|(s, m)| (s, m.next)).collect())
}

/// One life: takes over and writes until `units` were given (then dies), or to the end. True at the end.
async fn life(place: &Place, source: &Source, journal: &mut Journal, mut units: u64) -> Result<bool> {
    let mut sink = place.sink();
    let mut at = take(sink.as_mut(), journal, source.splits).await?;
    let mut step = 0;
    loop {
        let mut moved = false;
        for (split, next) in &mut at {
            if *next >= source.n {
                continue;
            }
            moved = true;
            step += 1;
            let unit = source.unit(split, *next, 1 + (step * 7 + *next) % 23);
            *next = unit.batch.next();
            sink.write(unit).await?;
            units -= 1;
            if units == 0 {
                // Some of what is settled is never noted.
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
        tokio::task::yield_now().await;
        if !moved {
            sink.flush().await?;
            note(journal, sink.as_mut());
            return Ok(true);
        }
    }
}

fn balanced(journal: &Journal, source: &Source) {
    assert_eq!(journal.len(), source.splits as usize);
    for mark in journal.values() {
        let a = mark.account;
        assert_eq!((mark.next, a.items[Account::READ]), (source.n, source.n as u64));
        for c in [a.items, a.bytes] {
            assert_eq!(c[Account::READ] + c[Account::EXPANDED], c[2..].iter().sum::<u64>());
        }
    }
}

/// Lives that end at random points, each error being one more end, until one comes through.
async fn die_often(place: &Place, source: &Source, seed: u64) {
    let mut journal = Journal::new();
    let mut random = seed;
    for round in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let units = if round < 25 { 1 + (random >> 33) % 60 } else { u64::MAX };
        match life(place, source, &mut journal, units).await {
            Ok(true) => {
                balanced(&journal, source);
                assert_same(&place.lines(), &source.wanted());
                return;
            }
            Ok(false) => {}
            Err(e) => assert!(e.kind().is_transient() || e.kind() == ErrorKind::Changed, "{e}"),
        }
    }
    panic!("no life came through");
}

fn assert_same(got: &[String], wanted: &[String]) {
    let differ = got.iter().zip(wanted).position(|(a, b)| a != b);
    assert!(got == wanted, "{} lines instead of {}, first difference at {differ:?}", got.len(), wanted.len());
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
        let dir = tempfile::tempdir().unwrap();
        let down = runtime::Shutdown::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let running = embedded_s3::EmbeddedS3::start(
            dir.path(),
            listen,
            common::ACCESS_KEY,
            common::SECRET_KEY,
            down.clone(),
        )
        .await
        .unwrap();
        let client = s3::Client {
            addr: running.addr,
            access_key: common::ACCESS_KEY.into(),
            secret_key: common::SECRET_KEY.into(),
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
    shapes(peer).await;
    deaths(peer).await;
    faults(peer).await;
    rivals(peer).await;
    late_object(peer).await;
    age(peer).await;
    full_budget(peer).await;
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

/// Names, directories, headers of objects.
async fn shapes(peer: &Peer) {
    let source = Source { splits: 1, n: 40, pad: 4 };
    let options = r#""directories":"/%Y/%m/%d/%H","utc_offset_s":0,"format":"csv","columns":["n","s"],"header":true,"max_bytes":60"#;
    let place = Place::new(peer.client(), peer.url(), options);
    let mut journal = Journal::new();
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    let keys = place.objects();
    assert!(
        keys.len() > 1
            && keys[0] == format!("{}2026/11/22/13/task-abc+top.ic+0+00000000000000000000.csv", place.prefix),
        "{keys:?}"
    );
    let lines = place.lines();
    assert_eq!(lines.iter().filter(|l| *l == "n,s").count(), keys.len());
    assert_eq!(lines.iter().filter(|l| l.ends_with(",0")).count(), source.wanted().len());
    connector_object_probe(&place).await;
}

async fn connector_object_probe(place: &Place) {
    let connection = format!(r#"{{"url":"{}","access_key_id":"{}"}}"#, place.url, place.client.access_key);
    let secret = |s: &str| Some(Secret(s.into()));
    let good =
        Endpoint { connection, secret: secret(&place.client.secret_key), options: place.options.clone() };
    fn is_send<T: Send>(t: T) -> T {
        t
    }
    is_send(connector_object::probe(&good)).await.unwrap();
    let bad = Endpoint { secret: secret("wrong-word"), ..good.clone() };
    let error = connector_object::probe(&bad).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && !error.to_string().contains("wrong-word"), "{error}");
    let none = Endpoint { options: r#"{"bucket":"no-such-bucket","format":"json"}"#.into(), ..good };
    assert_eq!(connector_object::probe(&none).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Small objects, objects of parts, and gzip, with lives that end anywhere.
async fn deaths(peer: &Peer) {
    let source = Source { splits: 3, n: 600, pad: 10 };
    let options = r#""directories":"%Y/%m/%d","format":"json","max_bytes":3000"#;
    die_often(&Place::new(peer.client(), peer.url(), options), &source, 1).await;
    let options = r#""directories":"%Y/%m/%d","format":"json","max_bytes":700,"compression":"gzip""#;
    die_often(&Place::new(peer.client(), peer.url(), options), &source, 2).await;
    let options = r#""format":"csv","columns":["n"],"max_bytes":700,"compression":"zstd""#;
    let place = Place::new(peer.client(), peer.url(), options);
    assert!(life(&place, &source, &mut Journal::new(), u64::MAX).await.unwrap());
    assert_eq!(place.lines().len(), source.wanted().len());
    let large = Source { splits: 2, n: 400, pad: 60_000 };
    let options = r#""format":"json","max_bytes":13000000"#;
    die_often(&Place::new(peer.client(), peer.url(), options), &large, 3).await;
}

/// A store that fails, is slow, loses answers after the work was done, and cuts connections.
async fn faults(peer: &Peer) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let proxy = Proxy::start(listen, peer.client().addr, Mode::Http).await.unwrap();
    let url = format!("http://{}", proxy.addr);
    let large = Source { splits: 2, n: 300, pad: 60_000 };
    let small = Source { splits: 3, n: 400, pad: 10 };
    let rules: [&[&str]; 4] = [
        &["match=PUT every=4 do=drop-response", "match=POST every=2 do=drop-response"],
        &["permille=150 do=status:503", "permille=100 do=reset"],
        &["match=POST every=3 do=cut-response:10", "match=PUT permille=200 do=cut-request:50"],
        &["match=PUT do=delay:20", "match=uploadId every=2 do=drop-response"],
    ];
    for (seed, set) in (10..).zip(rules) {
        for (source, options) in [
            (&small, r#""format":"json","max_bytes":4000"#),
            (&large, r#""format":"json","max_bytes":6000000"#),
        ] {
            let place = Place::new(peer.client(), &url, options);
            proxy.clear();
            proxy.seed(seed);
            set.iter().for_each(|r| proxy.add(r).unwrap());
            die_often(&place, source, seed).await;
        }
        assert!(proxy.fired().iter().sum::<u64>() > 0);
    }
}

/// Two owners at once: the older one's next step fails, whatever it is.
async fn rivals(peer: &Peer) {
    for (pad, max) in [(10, 500), (60_000, 6_000_000)] {
        let source = Source { splits: 1, n: 400, pad };
        let place = Place::new(peer.client(), peer.url(), &format!(r#""format":"json","max_bytes":{max}"#));
        let mut old = place.sink();
        let mut journal = Journal::new();
        let at = take(old.as_mut(), &mut journal, 1).await.unwrap();
        let (split, mut next) = at[0].clone();
        while next < 150 {
            let unit = source.unit(&split, next, 9);
            next = unit.batch.next();
            old.write(unit).await.unwrap();
        }
        // The new one goes all the way (what the old one has on its way may still arrive and end a life); then the old one
        // tries to go on.
        loop {
            match life(&place, &source, &mut journal, u64::MAX).await {
                Ok(done) => break assert!(done),
                Err(e) => assert_eq!(e.kind(), ErrorKind::Changed, "{e}"),
            }
        }
        let mut error = None;
        while error.is_none() && next < source.n {
            let unit = source.unit(&split, next, 9);
            next = unit.batch.next();
            error = old.write(unit).await.err();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let error = match error {
            Some(e) => e,
            None => old.flush().await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        balanced(&journal, &source);
        assert_same(&place.lines(), &source.wanted());
    }
}

/// An older owner's PUT that arrives after the new one has looked and not found it.
async fn late_object(peer: &Peer) {
    let source = Source { splits: 1, n: 60, pad: 10 };
    let listen = "127.0.0.1:0".parse().unwrap();
    let proxy = Proxy::start(listen, peer.client().addr, Mode::Http).await.unwrap();
    let mut place = Place::new(peer.client(), peer.url(), r#""format":"json""#);
    let direct = std::mem::replace(&mut place.url, format!("http://{}", proxy.addr));
    let mut old = place.sink();
    place.url = direct;
    let mut journal = Journal::new();
    let (split, _) = take(old.as_mut(), &mut journal, 1).await.unwrap()[0].clone();
    proxy.add("match=PUT match=.json do=delay:2500").unwrap();
    old.write(source.unit(&split, 0, 30)).await.unwrap();
    let (arrived, arrival) = tokio::sync::oneshot::channel();
    let slow = async {
        let _ = old.flush().await;
        let _ = arrived.send(());
        old.settled()
    };
    let quick = async {
        while proxy.fired()[0] == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut new = place.sink();
        take(new.as_mut(), &mut Journal::new(), 1).await.unwrap();
        // It writes the same first object, after the old owner's arrived.
        new.write(source.unit(&split, 0, 45)).await.unwrap();
        arrival.await.unwrap();
        new.flush().await.unwrap_err()
    };
    let (settled, error) = tokio::join!(slow, quick);
    assert_eq!((settled.len(), error.kind()), (1, ErrorKind::Changed), "{error}");
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    balanced(&journal, &source);
    assert_same(&place.lines(), &source.wanted());
}

/// Objects are completed by age, also when the clock jumps, and what somebody else put there is not touched.
async fn age(peer: &Peer) {
    let source = Source { splits: 1, n: 60, pad: 10 };
    let mut place = Place::new(peer.client(), peer.url(), r#""format":"json","max_seconds":60"#);
    place.clock = Clock::manual(Micros::from_seconds(BASE_MS / 1000));
    let mut sink = place.sink();
    let mut journal = Journal::new();
    let (split, _) = take(sink.as_mut(), &mut journal, 1).await.unwrap()[0].clone();
    sink.write(source.unit(&split, 0, 10)).await.unwrap();
    place.clock.advance(-3_600_000_000);
    sink.tick().await.unwrap();
    place.clock.advance(59_000_000);
    sink.tick().await.unwrap();
    assert_eq!((sink.settled(), place.objects().len()), (vec![], 0));
    place.clock.advance(1_000_000);
    sink.tick().await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!((sink.settled().len(), place.objects().len()), (1, 1));
    let strange = format!("{}task-abc+top.ic+0+00000000000000000010.json", place.prefix);
    place.client.put(&place.bucket, &strange, b"not ours").unwrap();
    sink.write(source.unit(&split, 10, 10)).await.unwrap();
    assert_eq!(sink.flush().await.unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(place.client.get(&place.bucket, &strange).unwrap(), b"not ours");
    drop(sink);
    assert_eq!(life(&place, &source, &mut journal, u64::MAX).await.unwrap_err().kind(), ErrorKind::Exists);
}

/// With no byte of the budget free, and with many splits in little room, everything still goes through.
async fn full_budget(peer: &Peer) {
    let source = Source { splits: 1, n: 200, pad: 2000 };
    let mut place = Place::new(peer.client(), peer.url(), r#""format":"json""#);
    place.budget = ByteBudget::new(1 << 20);
    let _all = place.budget.lease(1 << 20).await;
    let mut journal = Journal::new();
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    assert_same(&place.lines(), &source.wanted());
    let many = Source { splits: 120, n: 66, pad: 4000 };
    let mut place = Place::new(peer.client(), peer.url(), r#""format":"json""#);
    place.budget = ByteBudget::new(16 << 20);
    let mut journal = Journal::new();
    assert!(life(&place, &many, &mut journal, u64::MAX).await.unwrap());
    assert!(place.objects().len() >= 120);
    balanced(&journal, &many);
    assert_same(&place.lines(), &many.wanted());
}
