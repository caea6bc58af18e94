//! Pipelines, connections, topics and dead letters: the rules that belong to no vendor, and attacks on them.
#![allow(clippy::large_futures, clippy::panic, clippy::wildcard_imports, clippy::unwrap_used)]

#[path = "control/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use control::{ErrorKind as E, *};
use harness::Harness;
use harness::streams::{OWN_BY_NAME, own};
use model::*;
use store::PipelineWish;

const LEASE: i64 = 30_000_000;

fn kind<T: std::fmt::Debug>(r: Result<T>) -> E {
    r.unwrap_err().kind
}

fn end(kind: EndKind, connection: Option<&str>, options: &str) -> PipelineEnd {
    PipelineEnd {
        kind,
        connection: connection.map(Into::into),
        address: String::new(),
        secret: None,
        options: options.into(),
    }
}

fn new(name: &str, source: PipelineEnd, sink: PipelineEnd) -> NewPipeline {
    NewPipeline {
        name: name.into(),
        description: String::new(),
        direction: PipelineDirection::Sink,
        source,
        sink,
        transform: None,
        on_failure: OnFailure::Block,
        on_refusal: OnFailure::Block,
        lanes: None,
        bytes_per_s: None,
        records_per_s: None,
        sync: None,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}

/// Topic `t` of the own cluster into an index.
fn to_index(name: &str, connection: &ConnectionId) -> NewPipeline {
    let source = end(EndKind::Kafka, None, r#"{"topics":["t"]}"#);
    new(name, source, end(EndKind::Elastic, Some(connection.as_str()), r#"{"index":"i"}"#))
}

/// HTTP into topic `t` of the own cluster.
fn from_http(name: &str) -> NewPipeline {
    let sink = end(EndKind::Kafka, None, r#"{"topic":"t"}"#);
    NewPipeline { direction: PipelineDirection::Source, ..new(name, end(EndKind::Http, None, "{}"), sink) }
}

fn connection(h: &Harness, name: &str) -> NewConnection {
    NewConnection {
        name: name.into(),
        description: String::new(),
        kind: Some(EndKind::Elastic),
        product: "ES".into(),
        address: r#"{"url":"http://h:9200"}"#.into(),
        secret: Some(h.control.seal("elastic-hush")),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        probe: false,
    }
}

fn topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.into(),
        note: String::new(),
        partitions: 2,
        retention_ms: 60_000,
        tags: BTreeMap::new(),
    }
}

fn declared(id: &str, address: &str) -> Connection {
    Connection {
        id: id.into(),
        account: None,
        name: id.into(),
        description: String::new(),
        kind: Some(EndKind::Kafka),
        product: "KAFKA".into(),
        address: address.into(),
        secret: None,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        origin: Origin::Config,
        created: Timestamp(1),
    }
}

fn messages(list: &[&str]) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    list.iter().map(|m| (None, m.as_bytes().to_vec())).collect()
}

/// With a topic `t` and a connection of `me`.
async fn ready() -> (Harness, ConnectionId) {
    let h = Harness::new().await;
    h.streams.topic(&own(), "t", 2);
    let c = h.control.create_connection(&h.me, connection(&h, "es")).await.unwrap();
    (h, c.id)
}

/// Takes the next pipeline as a worker.
async fn claim(h: &Harness) -> Pipeline {
    let now = Timestamp(h.clock.now().0);
    let p = h.store.claim_pipeline("w", now, LEASE).await.unwrap().unwrap();
    h.store.pipeline_began(&p.id, p.attempt, now).await.unwrap();
    p
}

#[tokio::test]
async fn ids_have_the_products_form_and_share_a_suffix() {
    let (h, c) = ready().await;
    let p = h.control.create_pipeline(&h.me, to_index("one", &c)).await.unwrap();
    let suffix = p.id.as_str().strip_prefix("task-").unwrap();
    assert_eq!(suffix.len(), 8);
    assert_eq!(datahub_id(&p.id), format!("datahub-{suffix}"));
    assert_eq!(pipeline_of(&datahub_id(&p.id)), p.id);
    assert_eq!(pipeline_of(p.id.as_str()), p.id);
    assert_eq!(c.as_str().strip_prefix("resource-").unwrap().len(), 8);
    let t = h.control.create_topic(&h.me, topic("125-x")).await.unwrap();
    assert_eq!(t.id.strip_prefix("topic-").unwrap().len(), 8);
    assert_eq!(h.world.pipeline_wakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_pipeline_goes_through_its_states_with_and_without_a_worker() {
    use PipelineStatus as S;
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let p = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    assert_eq!(p.status, S::Creating);
    let run = claim(&h).await;
    assert_eq!(ctl.pipeline(me, &p.id).await.unwrap().status, S::Running);
    assert_eq!(kind(ctl.resume_pipeline(me, &p.id).await), E::InvalidState);
    assert_eq!(ctl.pause_pipeline(me, &p.id).await.unwrap().status, S::Pausing);
    assert_eq!(*h.world.pipeline_signals.lock().unwrap(), std::slice::from_ref(&p.id));
    let now = Timestamp(h.clock.now().0);
    h.store.rest_pipeline(&p.id, run.attempt, now).await.unwrap();
    assert_eq!(ctl.pipeline(me, &p.id).await.unwrap().status, S::Paused);
    assert_eq!(kind(ctl.pause_pipeline(me, &p.id).await), E::InvalidState);
    assert_eq!(ctl.resume_pipeline(me, &p.id).await.unwrap().status, S::Resuming);
    let run = claim(&h).await;
    ctl.restart_pipeline(me, &p.id).await.unwrap();
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Rest);
    h.store.rest_pipeline(&p.id, run.attempt, now).await.unwrap();
    let run = claim(&h).await;
    // A new bound takes effect: it is started anew. New words are none of the worker's business.
    let words = PipelineChange { description: Some("words".into()), ..Default::default() };
    ctl.change_pipeline(me, &p.id, words).await.unwrap();
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Run);
    let lanes = PipelineChange { lanes: Some(Some(2)), name: Some("two".into()), ..Default::default() };
    ctl.change_pipeline(me, &p.id, lanes).await.unwrap();
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Rest);
    assert_eq!(ctl.delete_pipeline(me, &p.id).await.unwrap().status, S::Deleting);
    assert_eq!(ctl.delete_pipeline(me, &p.id).await.unwrap().status, S::Deleting);
    h.store.rest_pipeline(&p.id, run.attempt, now).await.unwrap();
    // Readable, and nothing else.
    let gone = ctl.pipeline(me, &p.id).await.unwrap();
    assert_eq!((gone.status, gone.lanes, &*gone.name), (S::Deleted, Some(2), "two"));
    for refused in [
        kind(ctl.delete_pipeline(me, &p.id).await),
        kind(ctl.pause_pipeline(me, &p.id).await),
        kind(ctl.resume_pipeline(me, &p.id).await),
        kind(ctl.restart_pipeline(me, &p.id).await),
    ] {
        assert_eq!(refused, E::NotFound(Noun::Pipeline));
    }
    let change = PipelineChange { name: Some("x".into()), ..Default::default() };
    assert_eq!(kind(ctl.change_pipeline(me, &p.id, change).await), E::InvalidState);
    assert_eq!(ctl.pipelines(me, &PipelineFilter::default()).await.unwrap().1, 0);
    h.clock.advance(24 * 3600 * 1_000_000);
    assert_eq!(ctl.housekeeping().await.unwrap().pipelines_forgotten, 0);
    h.clock.advance(2_000_000);
    assert_eq!(ctl.housekeeping().await.unwrap().pipelines_forgotten, 1);
    assert_eq!(kind(ctl.pipeline(me, &p.id).await), E::NotFound(Noun::Pipeline));
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_and_nothing_is_stored() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let refused = async |change: &dyn Fn(&mut NewPipeline)| {
        let mut new = to_index("one", &c);
        change(&mut new);
        ctl.create_pipeline(me, new).await.unwrap_err()
    };
    let e = refused(&|n| n.sink.options = r#"{"bad":1,"worse":2}"#.into()).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("sink")));
    assert!(e.message.contains("bad: ") && e.message.contains("worse: "), "{e}");
    let e = refused(&|n| n.source.options = r#"{"topics":["t"],"bad":1}"#.into()).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("source")));
    let e = refused(&|n| n.source = end(EndKind::Elastic, Some(c.as_str()), "{}")).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("source")));
    let e = refused(&|n| n.transform = Some(r#"{"bad":1}"#.into())).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("transform")));
    let copy = |kind, options: &str| OnFailure::Keep {
        copy: Some(Box::new(end(kind, None, options))),
        retries: 0,
        interval_ms: 0,
    };
    let e = refused(&|n| n.on_failure = copy(EndKind::Kafka, r#"{"bad":1}"#)).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("on_failure")));
    let e = refused(&|n| n.on_refusal = copy(EndKind::Bucket, r#"{"bucket":"data-1"}"#)).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("on_refusal")));
    let e = refused(&|n| n.source.options = r#"{"topics":["t","none"]}"#.into()).await;
    assert_eq!((e.kind, e.field), (E::NotFound(Noun::Topic), Some("source")));
    let e = refused(&|n| n.sink.connection = Some("resource-none".into())).await;
    assert_eq!((e.kind, e.field), (E::NotFound(Noun::Connection), Some("sink")));
    let e = refused(&|n| n.sink.connection = None).await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("sink")));
    // A password that somebody put beside the secret.
    let e = refused(&|n| {
        n.sink.connection = None;
        n.sink.address = r#"{"url":"http://h","password":"x"}"#.into();
    })
    .await;
    assert_eq!((e.kind, e.field), (E::Invalid, Some("sink")));
    assert_eq!(refused(&|n| n.sink.kind = EndKind::ClickHouse).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.sink = end(EndKind::Http, None, "{}")).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.source = end(EndKind::Http, None, "{}")).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.name = " ".into()).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.name = "a\nb".into()).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.lanes = Some(0)).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.records_per_s = Some(0)).await.kind, E::Invalid);
    assert_eq!(refused(&|n| n.transform = Some("x".repeat(300_000))).await.kind, E::LimitExceeded);
    assert_eq!(refused(&|n| n.sync = Some(SyncKind::Meta)).await.kind, E::Invalid);
    let pattern = r#"{"pattern":"^.*"}"#;
    assert_eq!(refused(&|n| n.source.options = pattern.into()).await.kind, E::Unsupported);
    assert_eq!(ctl.pipelines(me, &PipelineFilter::default()).await.unwrap().1, 0);
    // A cluster that is down now is no reason: the pipeline will say so itself.
    h.streams.with(&own(), |c| c.fails = Some(connector::ErrorKind::Unavailable));
    ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
}

#[tokio::test]
async fn names_are_one_of_a_kind_and_counts_have_limits() {
    let limits = Limits {
        pipelines_per_account: 2,
        connections_per_account: 2,
        topics_per_account: 1,
        ..Limits::default()
    };
    let h = Harness::with(limits).await;
    h.streams.topic(&own(), "t", 1);
    let (ctl, me, you) = (&h.control, &h.me, Caller::account("you".into()));
    let c = ctl.create_connection(me, connection(&h, "es")).await.unwrap().id;
    let e = ctl.create_connection(me, connection(&h, "es")).await.unwrap_err();
    assert_eq!((e.kind, e.field), (E::Exists(Noun::Connection), Some("name")));
    ctl.create_connection(&you, connection(&h, "es")).await.unwrap();
    let two = ctl.create_connection(me, connection(&h, "es-2")).await.unwrap();
    assert_eq!(kind(ctl.create_connection(me, connection(&h, "es-3")).await), E::LimitExceeded);
    let rename = ConnectionChange { name: Some("es".into()), ..Default::default() };
    assert_eq!(kind(ctl.change_connection(me, &two.id, rename).await), E::Exists(Noun::Connection));
    let one = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    let e = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap_err();
    assert_eq!((e.kind, e.field), (E::Exists(Noun::Pipeline), Some("name")));
    let two = ctl.create_pipeline(me, to_index("two", &c)).await.unwrap();
    let rename = PipelineChange { name: Some("one".into()), ..Default::default() };
    assert_eq!(kind(ctl.change_pipeline(me, &two.id, rename).await), E::Exists(Noun::Pipeline));
    assert_eq!(kind(ctl.create_pipeline(me, to_index("three", &c)).await), E::LimitExceeded);
    ctl.delete_pipeline(me, &one.id).await.unwrap();
    ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    ctl.create_topic(me, topic("125-a")).await.unwrap();
    assert_eq!(kind(ctl.create_topic(me, topic("125-b")).await), E::LimitExceeded);
    assert_eq!(kind(ctl.create_topic(&you, topic("125-a")).await), E::Exists(Noun::Topic));
}

#[tokio::test]
async fn nobody_sees_or_uses_what_is_anothers() {
    let (h, c) = ready().await;
    let (ctl, you) = (&h.control, Caller::account("you".into()));
    let p = ctl.create_pipeline(&h.me, to_index("one", &c)).await.unwrap();
    let http = ctl.create_pipeline(&h.me, from_http("http")).await.unwrap();
    ctl.create_topic(&h.me, topic("125-mine")).await.unwrap();
    let none = E::NotFound(Noun::Pipeline);
    assert_eq!(kind(ctl.pipeline(&you, &p.id).await), none);
    assert_eq!(kind(ctl.pause_pipeline(&you, &p.id).await), none);
    assert_eq!(kind(ctl.delete_pipeline(&you, &p.id).await), none);
    assert_eq!(kind(ctl.change_pipeline(&you, &p.id, PipelineChange::default()).await), none);
    assert_eq!(kind(ctl.send_messages(&you, &http.id, messages(&["x"])).await), none);
    let of_p = DeadFilter { pipeline: Some(p.id.clone()), ..Default::default() };
    assert_eq!(kind(ctl.dead_letters(&you, &of_p, Page::default()).await), none);
    assert_eq!(kind(ctl.replay_dead(&you, &of_p).await), none);
    assert_eq!(kind(ctl.drop_dead(&you, &of_p).await), none);
    assert_eq!(kind(ctl.dead_totals(&you, &p.id).await), none);
    let none = E::NotFound(Noun::Connection);
    assert_eq!(kind(ctl.connection(&you, &c).await), none);
    assert_eq!(kind(ctl.delete_connection(&you, &c).await), none);
    assert_eq!(kind(ctl.create_pipeline(&you, to_index("one", &c)).await), none);
    let none = E::NotFound(Noun::Topic);
    assert_eq!(kind(ctl.topic(&you, "125-mine").await), none);
    assert_eq!(kind(ctl.fetch_latest(&you, "125-mine", 0, None, 1).await), none);
    assert_eq!(kind(ctl.group_offsets(&you, "125-mine", "g").await), none);
    assert_eq!(kind(ctl.fetch_latest(&you, "t", 0, None, 1).await), none, "no pipeline of theirs reads it");
    // Somebody else's topic is not there, neither to read nor to write.
    let source = end(EndKind::Kafka, None, r#"{"topics":["125-mine"]}"#);
    let theirs = ctl.create_connection(&you, connection(&h, "es")).await.unwrap();
    let sink = end(EndKind::Elastic, Some(theirs.id.as_str()), r#"{"index":"i"}"#);
    assert_eq!(kind(ctl.create_pipeline(&you, new("spy", source, sink)).await), none);
    let sink = end(EndKind::Kafka, None, r#"{"topic":"125-mine"}"#);
    assert_eq!(kind(ctl.create_pipeline(&you, NewPipeline { sink, ..from_http("spy") }).await), none);
    let told = ctl.kafka_topics(&you, &ClusterRef::Own).await.unwrap();
    assert_eq!(told.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["t"]);
    assert_eq!(ctl.topics(&you, &TopicFilter::default()).await.unwrap().1, 0);
    assert_eq!(ctl.connections(&you, &ConnectionFilter::default()).await.unwrap().1, 1);
    assert_eq!(ctl.pipelines(&Caller::operator(), &PipelineFilter::default()).await.unwrap().1, 2);
}

/// HTTP into a topic of the own cluster.
fn into(name: &str, connection: Option<&str>, options: &str) -> NewPipeline {
    NewPipeline { sink: end(EndKind::Kafka, connection, options), ..from_http(name) }
}

#[tokio::test]
async fn an_account_cant_write_the_servers_topics_or_anothers_on_the_own_cluster() {
    let (h, _) = ready().await;
    let (ctl, you) = (&h.control, Caller::account("you".into()));
    ctl.declare_connection(declared("ckafka-own", "")).await.unwrap();
    h.streams.topic(&own(), "__wharf_positions", 1);
    ctl.create_topic(&h.me, topic("125-mine")).await.unwrap();
    ctl.create_pipeline(&h.me, into("made", None, r#"{"topic":"made","create":true}"#)).await.unwrap();
    let none = E::NotFound(Noun::Topic);
    ctl.declare_connection(declared("ckafka-named", OWN_BY_NAME)).await.unwrap();
    h.streams.topic(OWN_BY_NAME, "t", 1);
    for by in [None, Some("ckafka-own"), Some("ckafka-named")] {
        for name in ["__wharf_positions", "__new", "125-mine", "made"] {
            for options in
                [format!(r#"{{"topic":"{name}","create":true}}"#), format!(r#"{{"topic":"{name}"}}"#)]
            {
                assert_eq!(
                    kind(ctl.create_pipeline(&you, into("spy", by, &options)).await),
                    none,
                    "{options}"
                );
                let copy = Some(Box::new(end(EndKind::Kafka, by, &options)));
                let on_failure = OnFailure::Keep { copy, retries: 0, interval_ms: 0 };
                let spy = NewPipeline { on_failure, ..from_http("spy") };
                assert_eq!(kind(ctl.create_pipeline(&you, spy).await), none, "{options}");
            }
            // A table's topic is one too.
            let routes =
                format!(r#"{{"topic":"t","tables":[{{"database":"d","table":"t","topic":"{name}"}}]}}"#);
            let from_t = end(EndKind::Kafka, None, r#"{"topics":["t"]}"#);
            let spy = new("spy", from_t, end(EndKind::Kafka, by, &routes));
            assert_eq!(kind(ctl.create_pipeline(&you, spy).await), none);
            let source = end(EndKind::Kafka, by, &format!(r#"{{"topics":["{name}"]}}"#));
            let spy = new("spy", source, end(EndKind::Kafka, None, r#"{"topic":"t"}"#));
            assert_eq!(kind(ctl.create_pipeline(&you, spy).await), none);
        }
        for options in [r#"{"prefix":"__wharf_","separator":""}"#, r#"{"separator":""}"#, "{}"] {
            let from_t = end(EndKind::Kafka, None, r#"{"topics":["t"]}"#);
            let spy = new("spy", from_t, end(EndKind::Kafka, by, options));
            assert_eq!(kind(ctl.create_pipeline(&you, spy).await), E::Unsupported, "{options}");
        }
        for options in [r#"{"pattern":"^.*"}"#, "{}"] {
            let spy =
                new("spy", end(EndKind::Kafka, by, options), end(EndKind::Kafka, None, r#"{"topic":"t"}"#));
            assert_eq!(kind(ctl.create_pipeline(&you, spy).await), E::Unsupported, "{options}");
        }
        // What clients have made is everybody's, as before.
        ctl.create_pipeline(&you, into(&format!("plain {by:?}"), by, r#"{"topic":"t"}"#)).await.unwrap();
        let operator = Caller::operator();
        let name = format!("operator {by:?}");
        ctl.create_pipeline(&operator, into(&name, by, r#"{"topic":"__wharf_positions"}"#)).await.unwrap();
    }
    assert!(h.streams.values(&own(), "__wharf_positions").is_empty());
    assert_eq!(
        ctl.topics(&you, &TopicFilter::default()).await.unwrap().1,
        0,
        "a refused pipeline makes none"
    );
}

#[tokio::test]
async fn a_topic_that_a_pipeline_makes_stays_its_accounts() {
    let (h, _) = ready().await;
    let (ctl, me, you) = (&h.control, &h.me, Caller::account("you".into()));
    ctl.declare_connection(declared("ckafka-own", "")).await.unwrap();
    h.streams.topic(&own(), "__wharf_positions", 1);
    let made = r#"{"topic":"made","create":true,"create_partitions":3}"#;
    let p = ctl.create_pipeline(me, into("made", None, made)).await.unwrap();
    ctl.create_pipeline(me, into("again", Some("ckafka-own"), made)).await.unwrap();
    ctl.create_pipeline(me, into("clients", None, r#"{"topic":"t","create":true}"#)).await.unwrap();
    ctl.send_messages(me, &p.id, messages(&["hush"])).await.unwrap();
    assert_eq!(ctl.topic(me, "made").await.unwrap().partitions, 3);
    assert_eq!(
        ctl.topics(me, &TopicFilter::default()).await.unwrap().1,
        1,
        "what clients have made is not taken"
    );
    assert_eq!(kind(ctl.delete_topic(me, "made").await), E::InUse);
    let looks = async || {
        let none = E::NotFound(Noun::Topic);
        for name in ["made", "__wharf_positions"] {
            assert_eq!(kind(ctl.fetch_record(&you, name, 0, 0).await), none);
            assert_eq!(kind(ctl.fetch_latest(&you, name, 0, None, 1).await), none);
            assert_eq!(kind(ctl.group_offsets(&you, name, "g").await), none);
        }
        for on in [ClusterRef::Own, ClusterRef::Connection("ckafka-own".into())] {
            let told = ctl.kafka_topics(&you, &on).await.unwrap();
            assert_eq!(told.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["t"]);
        }
    };
    looks().await;
    // A pipeline of one's own that names it, from before this was refused, opens nothing.
    let mut old = ctl.create_pipeline(&you, into("old", None, r#"{"topic":"t"}"#)).await.unwrap();
    old.id = PipelineId("task-00000000".into());
    old.name = "older".into();
    old.source = end(EndKind::Kafka, Some("ckafka-own"), r#"{"topics":["made","__wharf_positions"]}"#);
    let needs = store::PipelineNeeds {
        worked: false,
        topics: vec![],
        per_account: 0,
        ..store::PipelineNeeds::default()
    };
    h.store.insert_pipeline(&old, &needs).await.unwrap();
    looks().await;
    for p in ctl.pipelines(me, &PipelineFilter::default()).await.unwrap().0 {
        ctl.delete_pipeline(me, &p.id).await.unwrap();
    }
    looks().await;
    assert_eq!(ctl.fetch_record(me, "made", 0, 0).await.unwrap().value.as_deref(), Some(&b"hush"[..]));
    ctl.delete_topic(me, "made").await.unwrap();
    ctl.create_pipeline(&you, into("mine now", None, made)).await.unwrap();
}

#[tokio::test]
async fn a_topic_whose_answer_was_lost_stays_its_accounts() {
    let (h, _) = ready().await;
    let (ctl, me, you) = (&h.control, &h.me, Caller::account("you".into()));
    h.streams.with(&own(), |c| c.loses_answers = true);
    assert_eq!(kind(ctl.create_topic(me, topic("125-late")).await), E::Unreachable);
    h.streams.with(&own(), |c| c.loses_answers = false);
    let spy = into("spy", None, r#"{"topic":"125-late"}"#);
    assert_eq!(kind(ctl.create_pipeline(&you, spy).await), E::NotFound(Noun::Topic));
    for who in [me, &you] {
        assert_eq!(kind(ctl.create_topic(who, topic("125-late")).await), E::Exists(Noun::Topic));
    }
    ctl.topic(me, "125-late").await.unwrap();
    // What was surely not made leaves nothing, and a topic of clients is not taken over while the cluster fails.
    h.streams.with(&own(), |c| c.fails = Some(connector::ErrorKind::Unavailable));
    assert_eq!(kind(ctl.create_topic(&you, topic("t")).await), E::Unreachable);
    h.streams.with(&own(), |c| c.fails = None);
    assert_eq!(kind(ctl.create_topic(&you, topic("t")).await), E::Exists(Noun::Topic));
    assert_eq!(ctl.topics(&you, &TopicFilter::default()).await.unwrap().1, 0);
}

#[tokio::test]
async fn http_goes_into_one_topic_or_is_refused() {
    let (h, _) = ready().await;
    let ctl = &h.control;
    ctl.declare_connection(declared("ckafka-a", A)).await.unwrap();
    for more in [
        r#""tables":[{"database":"d","table":"t","topic":"x"}]"#,
        r#""prefix":"p""#,
        r#""separator":".""#,
        r#""keep_partition":true"#,
        r#""copies":2"#,
    ] {
        let options = format!(r#"{{"topic":"t",{more}}}"#);
        let e = ctl.create_pipeline(&h.me, into("http", Some("ckafka-a"), &options)).await.unwrap_err();
        assert_eq!((e.kind, e.field), (E::Invalid, Some("sink")), "{options}");
    }
    let plain = r#"{"topic":"t","keep_partition":false,"copies":1,"compression":"lz4"}"#;
    ctl.create_pipeline(&h.me, into("http", Some("ckafka-a"), plain)).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_sent_again_leaves_one_letter() {
    let (h, _) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    ctl.declare_connection(declared("ckafka-a", A)).await.unwrap();
    h.streams.topic(A, "dlq", 1);
    let copy = Some(Box::new(end(EndKind::Kafka, Some("ckafka-a"), r#"{"topic":"dlq"}"#)));
    let on_failure = OnFailure::Keep { copy, retries: 0, interval_ms: 0 };
    let new = NewPipeline { transform: Some("{}".into()), on_failure, ..from_http("keep") };
    let p = ctl.create_pipeline(me, new).await.unwrap();
    let send = async || ctl.send_messages(me, &p.id, messages(&["a", "poison"])).await;
    let ledger = async || ctl.pipeline(me, &p.id).await.unwrap().ledger;
    // The topic fails, then the copy's: the client sends again each time.
    for failing in [own(), A.to_owned()] {
        h.streams.with(&failing, |c| c.fails = Some(connector::ErrorKind::Unavailable));
        assert_eq!(kind(send().await), E::Unreachable);
        h.streams.with(&failing, |c| c.fails = None);
        assert_eq!(ctl.dead_totals(me, &p.id).await.unwrap().letters, 0);
        assert_eq!(ledger().await.items.dead_lettered, 0);
    }
    let l = ledger().await;
    assert_eq!((l.items.read, l.items.written), (1, 1), "what was written is booked");
    send().await.unwrap();
    assert_eq!(ctl.dead_totals(me, &p.id).await.unwrap().letters, 1);
    let l = ledger().await;
    l.balance().unwrap();
    assert_eq!((l.items.read, l.items.written, l.items.dead_lettered), (3, 2, 1));
    // The same message once more is another letter, also when the first was dropped.
    let of_p = DeadFilter { pipeline: Some(p.id.clone()), ..Default::default() };
    ctl.drop_dead(me, &of_p).await.unwrap();
    send().await.unwrap();
    assert_eq!(ctl.dead_totals(me, &p.id).await.unwrap().letters, 1);
    assert_eq!(ledger().await.items.dead_lettered, 2);
}

#[tokio::test]
async fn what_is_in_use_is_not_removed() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    ctl.create_topic(me, topic("125-t")).await.unwrap();
    let sink = end(EndKind::Kafka, None, r#"{"topic":"125-t"}"#);
    let http = ctl.create_pipeline(me, NewPipeline { sink, ..from_http("http") }).await.unwrap();
    let p = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    assert_eq!(ctl.pipelines_of(me, &c).await.unwrap(), 1);
    assert_eq!(kind(ctl.delete_connection(me, &c).await), E::InUse);
    assert_eq!(kind(ctl.delete_topic(me, "125-t").await), E::InUse);
    assert!(h.streams.with(&own(), |c| c.topics.contains_key("125-t")));
    ctl.delete_pipeline(me, &p.id).await.unwrap();
    ctl.delete_pipeline(me, &http.id).await.unwrap();
    assert_eq!(ctl.pipelines_of(me, &c).await.unwrap(), 0);
    ctl.delete_connection(me, &c).await.unwrap();
    assert_eq!(kind(ctl.delete_connection(me, &c).await), E::NotFound(Noun::Connection));
    // The cluster fails: the topic is still there, and so is its entry.
    h.streams.with(&own(), |c| c.fails = Some(connector::ErrorKind::Unavailable));
    assert_eq!(kind(ctl.delete_topic(me, "125-t").await), E::Unreachable);
    h.streams.with(&own(), |c| c.fails = None);
    let t = ctl.topic(me, "125-t").await.unwrap();
    assert!(h.streams.users.lock().unwrap().contains_key(&t.user));
    ctl.delete_topic(me, &t.id).await.unwrap();
    assert!(!h.streams.with(&own(), |c| c.topics.contains_key("125-t")));
    assert!(h.streams.users.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connections_new_password_restarts_its_pipelines_only_when_asked() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let p = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    let resting = ctl.create_pipeline(me, to_index("resting", &c)).await.unwrap();
    ctl.pause_pipeline(me, &resting.id).await.unwrap();
    let run = claim(&h).await;
    assert_eq!(run.id, p.id);
    let now = Timestamp(h.clock.now().0);
    let secret = Some(ctl.seal("new-hush"));
    let quiet = ConnectionChange { secret: secret.clone(), ..Default::default() };
    ctl.change_connection(me, &c, quiet.clone()).await.unwrap();
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Run);
    ctl.change_connection(me, &c, ConnectionChange { restart: true, ..quiet }).await.unwrap();
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Rest);
    assert_eq!(ctl.pipeline(me, &resting.id).await.unwrap().status, PipelineStatus::Paused);
    let reached = ctl.reach(&Caller::operator(), &p.sink).await.unwrap();
    assert_eq!(reached.secret, secret);
    let bad = ConnectionChange { address: Some(r#"{"bad":1}"#.into()), ..Default::default() };
    assert_eq!(kind(ctl.change_connection(me, &c, bad).await), E::Invalid);
}

#[tokio::test]
async fn secrets_are_sealed_and_never_shown() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let p = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    let t = ctl.create_topic(me, topic("125-t")).await.unwrap();
    let password = ctl.topic_password(&t).unwrap();
    assert!(password.len() >= 16);
    let all = format!(
        "{:?} {:?} {:?} {:?}",
        ctl.connection(me, &c).await.unwrap(),
        ctl.reach(me, &p.sink).await.unwrap(),
        p,
        t
    );
    assert!(!all.contains("elastic-hush") && !all.contains(&password), "{all}");
    h.store.close().await;
    for file in ["state.db", "state.db-wal"] {
        let Ok(bytes) = std::fs::read(h.dir.path().join(file)) else { continue };
        for secret in ["elastic-hush", password.as_str()] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{file}");
        }
    }
}

#[tokio::test]
async fn declared_connections_are_everybodys_and_the_configurations() {
    let (h, _) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    ctl.declare_connection(declared("ckafka-1", r#"{"bootstrap":"a:1"}"#)).await.unwrap();
    ctl.declare_connection(declared("ckafka-1", r#"{"bootstrap":"b:1"}"#)).await.unwrap();
    let id = ConnectionId::from("ckafka-1");
    assert_eq!(ctl.connection(me, &id).await.unwrap().address, r#"{"bootstrap":"b:1"}"#);
    assert_eq!(ctl.connections(me, &ConnectionFilter::default()).await.unwrap().1, 1);
    assert_eq!(ctl.connections(&Caller::operator(), &ConnectionFilter::default()).await.unwrap().1, 2);
    assert_eq!(kind(ctl.delete_connection(me, &id).await), E::Denied);
    assert_eq!(kind(ctl.change_connection(me, &id, ConnectionChange::default()).await), E::Denied);
    let cluster = ctl.cluster(me, &ClusterRef::Connection(id.clone())).await.unwrap();
    assert_eq!(cluster.connection, r#"{"bootstrap":"b:1"}"#);
    let es = ctl.connections(me, &ConnectionFilter::default()).await.unwrap().0.remove(0).id;
    assert_eq!(kind(ctl.cluster(me, &ClusterRef::Connection(es.clone())).await), E::Invalid);
    assert_eq!(kind(ctl.declare_connection(declared(es.as_str(), "{}")).await), E::Exists(Noun::Connection));
    ctl.release_undeclared_connections(&[]).await.unwrap();
    assert_eq!(kind(ctl.delete_connection(me, &id).await), E::Denied);
    ctl.delete_connection(&Caller::operator(), &id).await.unwrap();
}

#[tokio::test]
async fn a_probe_refuses_a_connection_and_buckets_come_from_the_catalogue() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    *h.streams.probe_fails.lock().unwrap() = Some(connector::ErrorKind::Denied);
    let probed = NewConnection { probe: true, ..connection(&h, "es-2") };
    assert_eq!(kind(ctl.create_connection(me, probed).await), E::BadCredentials);
    assert_eq!(kind(ctl.probe_connection(me, &c).await), E::BadCredentials);
    let kept = NewConnection { kind: None, product: "DORIS".into(), ..connection(&h, "doris") };
    let doris = ctl.create_connection(me, kept).await.unwrap();
    assert_eq!(kind(ctl.probe_connection(me, &doris.id).await), E::Unsupported);
    assert_eq!(kind(ctl.create_pipeline(me, to_index("one", &doris.id)).await), E::Unsupported);
    let bucket = |name: &str| end(EndKind::Bucket, None, &format!(r#"{{"bucket":"{name}"}}"#));
    let reached = ctl.reach(me, &bucket("data-7")).await.unwrap();
    let address: serde_json::Value = serde_json::from_str(&reached.connection).unwrap();
    assert_eq!((&address["url"], &address["access_key_id"]), (&"http://127.0.0.1:1".into(), &"ak".into()));
    assert!(reached.secret.is_some());
    assert_eq!(kind(ctl.reach(me, &bucket("other")).await), E::NotFound(Noun::Bucket));
    assert_eq!(kind(ctl.reach(me, &end(EndKind::Bucket, None, "{}")).await), E::Invalid);
}

#[tokio::test]
async fn pipelines_are_found_by_what_they_are() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let mut one = to_index("orders", &c);
    one.attributes.insert("Source".into(), "125-orders".into());
    one.attributes.insert("TargetType".into(), "ES".into());
    ctl.create_pipeline(me, one).await.unwrap();
    h.clock.advance(1);
    ctl.create_pipeline(me, from_http("clicks")).await.unwrap();
    let count = async |f: PipelineFilter| {
        let (found, total) = ctl.pipelines(me, &f).await.unwrap();
        assert_eq!(found.len() as u64, total);
        found.into_iter().map(|p| p.name).collect::<Vec<_>>()
    };
    let f = PipelineFilter::default;
    assert_eq!(count(f()).await, ["clicks", "orders"], "newest first");
    assert_eq!(count(PipelineFilter { search: Some("rde".into()), ..f() }).await, ["orders"]);
    assert_eq!(count(PipelineFilter { direction: Some(PipelineDirection::Source), ..f() }).await, ["clicks"]);
    assert_eq!(count(PipelineFilter { source_kind: Some(EndKind::Http), ..f() }).await, ["clicks"]);
    assert_eq!(count(PipelineFilter { sink_kind: Some(EndKind::Elastic), ..f() }).await, ["orders"]);
    assert_eq!(count(PipelineFilter { resource: Some(c.0.clone()), ..f() }).await, ["orders"]);
    assert_eq!(count(PipelineFilter { resource: Some("125-orders".into()), ..f() }).await, ["orders"]);
    assert_eq!(count(PipelineFilter { resource: Some("125".into()), ..f() }).await, [""; 0]);
    let typed = vec![("TargetType".to_owned(), vec!["ES".to_owned(), "EB_ES".to_owned()])];
    assert_eq!(count(PipelineFilter { attributes: typed, ..f() }).await, ["orders"]);
    let page = Page { offset: 1, limit: 1, newest_first: true };
    let (found, total) = ctl.pipelines(me, &PipelineFilter { page, ..f() }).await.unwrap();
    assert_eq!((found[0].name.as_str(), total), ("orders", 2));
}

#[tokio::test]
async fn messages_go_through_the_transform_and_are_all_accounted_for() {
    let (h, _) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let with =
        |name: &str, on_failure| NewPipeline { transform: Some("{}".into()), on_failure, ..from_http(name) };
    let keep = OnFailure::Keep {
        copy: Some(Box::new(end(EndKind::Kafka, None, r#"{"topic":"dlq","create":true}"#))),
        retries: 0,
        interval_ms: 0,
    };
    let p = ctl.create_pipeline(me, with("keep", keep)).await.unwrap();
    let sent = messages(&["a", "filter", "two", "poison", "b"]);
    let answers = ctl.send_messages(me, &p.id, sent).await.unwrap();
    let offsets: Vec<_> = answers.iter().map(|a| a.as_ref().map(|a| a.offset)).collect();
    assert_eq!(offsets, [Some(0), None, Some(1), None, Some(3)]);
    assert_eq!(h.streams.values(&own(), "t"), ["A", "TWO-1", "TWO-2", "B"]);
    assert_eq!(h.streams.values(&own(), "dlq"), ["poison"], "the topic was made");
    let l = ctl.pipeline(me, &p.id).await.unwrap().ledger;
    l.balance().unwrap();
    assert_eq!((l.items.read, l.items.expanded, l.items.written), (5, 1, 4));
    assert_eq!((l.items.filtered, l.items.dead_lettered, l.bytes.read, l.bytes.written), (1, 1, 17, 5));
    let (letters, _) = ctl.dead_letters(me, &DeadFilter::default(), Page::default()).await.unwrap();
    assert_eq!(letters[0].value.as_deref(), Some(&b"poison"[..]));
    assert_eq!(letters[0].reason, "it is poison");
    // Still poison: nothing changes, and whoever asked is told.
    let of_p = DeadFilter { pipeline: Some(p.id.clone()), ..Default::default() };
    assert_eq!(kind(ctl.replay_dead(me, &of_p).await), E::Invalid);
    assert_eq!(ctl.dead_totals(me, &p.id).await.unwrap().letters, 1);
    let block = ctl.create_pipeline(me, with("block", OnFailure::Block)).await.unwrap();
    assert_eq!(kind(ctl.send_messages(me, &block.id, messages(&["c", "poison"])).await), E::Invalid);
    assert_eq!(h.streams.values(&own(), "t").len(), 4, "all or nothing");
    let drop = ctl.create_pipeline(me, with("drop", OnFailure::Drop)).await.unwrap();
    assert_eq!(ctl.send_messages(me, &drop.id, messages(&["poison"])).await.unwrap(), [None]);
    let pass = ctl.create_pipeline(me, with("pass", OnFailure::Pass)).await.unwrap();
    ctl.send_messages(me, &pass.id, messages(&["poison"])).await.unwrap();
    assert_eq!(h.streams.values(&own(), "t").last().unwrap(), "poison");
    for id in [&drop.id, &pass.id] {
        ctl.pipeline(me, id).await.unwrap().ledger.balance().unwrap();
    }
}

#[tokio::test]
async fn messages_are_refused_while_paused_beyond_the_rate_and_when_the_cluster_fails() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let limited = NewPipeline { records_per_s: Some(10), ..from_http("http") };
    let p = ctl.create_pipeline(me, limited).await.unwrap();
    assert_eq!(p.status, PipelineStatus::Running);
    let send = async |n: usize| ctl.send_messages(me, &p.id, messages(&vec!["m"; n])).await.map(|a| a.len());
    assert_eq!(send(8).await.unwrap(), 8);
    assert_eq!(send(8).await.unwrap(), 8, "a debt");
    assert_eq!(kind(send(1).await), E::Throttled);
    h.clock.advance(500_000);
    assert_eq!(kind(send(1).await), E::Throttled);
    h.clock.advance(200_000);
    assert_eq!(send(1).await.unwrap(), 1);
    h.clock.advance(10_000_000);
    ctl.pause_pipeline(me, &p.id).await.unwrap();
    assert_eq!(kind(send(1).await), E::InvalidState);
    ctl.resume_pipeline(me, &p.id).await.unwrap();
    h.streams.with(&own(), |c| c.fails = Some(connector::ErrorKind::Unavailable));
    assert_eq!(kind(send(1).await), E::Unreachable);
    h.streams.with(&own(), |c| c.fails = None);
    assert_eq!(kind(send(501).await), E::LimitExceeded);
    assert_eq!(kind(send(0).await), E::Invalid);
    let huge = vec![(None, vec![0; 9 << 20])];
    assert_eq!(kind(ctl.send_messages(me, &p.id, huge).await), E::LimitExceeded);
    let other = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    assert_eq!(kind(ctl.send_messages(me, &other.id, messages(&["m"])).await), E::NotFound(Noun::Pipeline));
    let written = h.streams.values(&own(), "t").len() as u64;
    assert_eq!((written, ctl.pipeline(me, &p.id).await.unwrap().ledger.items.written), (17, 17));
    ctl.delete_pipeline(me, &p.id).await.unwrap();
    assert_eq!(kind(send(1).await), E::NotFound(Noun::Pipeline));
}

#[tokio::test]
async fn topics_live_on_the_cluster_with_users_of_their_own() {
    let (h, _) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let t = ctl.create_topic(me, topic("125-t")).await.unwrap();
    h.streams.with(&own(), |c| {
        assert_eq!(c.topics["125-t"].partitions.len(), 2);
        assert_eq!(c.topics["125-t"].configs["retention.ms"], "60000");
    });
    assert_eq!(kind(ctl.create_topic(me, topic("125-t")).await), E::Exists(Noun::Topic));
    // One that lies on the cluster is somebody's: it is not taken over.
    assert_eq!(kind(ctl.create_topic(me, topic("t")).await), E::Exists(Noun::Topic));
    assert_eq!(kind(ctl.topic(me, "t").await), E::NotFound(Noun::Topic));
    // A crash between entry and cluster: asked again, it is made.
    h.streams.with(&own(), |c| c.topics.remove("125-t"));
    assert_eq!(ctl.create_topic(me, topic("125-t")).await.unwrap().id, t.id);
    let change = TopicChange { partitions: Some(4), retention_ms: Some(70_000), ..Default::default() };
    assert_eq!(ctl.change_topic(me, "125-t", change).await.unwrap().partitions, 4);
    h.streams.with(&own(), |c| {
        assert_eq!(c.topics["125-t"].partitions.len(), 4);
        assert_eq!(c.topics["125-t"].configs["retention.ms"], "70000");
    });
    let fewer = TopicChange { partitions: Some(3), ..Default::default() };
    assert_eq!(kind(ctl.change_topic(me, "125-t", fewer).await), E::Invalid);
    for (bad, field) in [
        (NewTopic { name: "a/b".into(), ..topic("x") }, "name"),
        (NewTopic { name: "..".into(), ..topic("x") }, "name"),
        (NewTopic { name: "__offsets".into(), ..topic("x") }, "name"),
        (NewTopic { partitions: 501, ..topic("x") }, "partitions"),
        (NewTopic { retention_ms: 59_999, ..topic("x") }, "retention_ms"),
    ] {
        let e = ctl.create_topic(me, bad).await.unwrap_err();
        assert_eq!((e.kind, e.field), (E::Invalid, Some(field)));
    }
    // Records and positions.
    let sink = end(EndKind::Kafka, None, r#"{"topic":"125-t"}"#);
    let p = ctl.create_pipeline(me, NewPipeline { sink, ..from_http("http") }).await.unwrap();
    ctl.send_messages(me, &p.id, messages(&["a", "b", "c"])).await.unwrap();
    let values = |v: Vec<FetchedRecord>| v.into_iter().map(|r| r.offset).collect::<Vec<_>>();
    assert_eq!(ctl.fetch_record(me, "125-t", 0, 1).await.unwrap().value.as_deref(), Some(&b"b"[..]));
    for (partition, offset) in [(0, 3), (0, -1), (1, 0), (9, 0), (-1, 0)] {
        assert_eq!(kind(ctl.fetch_record(me, "125-t", partition, offset).await), E::NotFound(Noun::Record));
    }
    assert_eq!(values(ctl.fetch_latest(me, "125-t", 0, None, 2).await.unwrap()), [1, 2]);
    assert_eq!(values(ctl.fetch_latest(me, &t.id, 0, Some(0), 2).await.unwrap()), [0, 1]);
    assert_eq!(values(ctl.fetch_latest(me, "125-t", 1, None, 2).await.unwrap()), [0; 0]);
    assert_eq!(values(ctl.fetch_latest(me, "125-t", 0, Some(3), 2).await.unwrap()), [0; 0]);
    assert_eq!(kind(ctl.fetch_latest(me, "125-t", 9, None, 2).await), E::NotFound(Noun::Record));
    h.streams.with(&own(), |c| c.groups.entry(("g".into(), "125-t".into())).or_default().insert(0, 1));
    let offsets = ctl.group_offsets(me, "125-t", "g").await.unwrap();
    assert_eq!(
        (offsets.len(), offsets[0].offset, offsets[0].lag(), offsets[1].offset),
        (4, Some(1), 2, None)
    );
    // What a pipeline of theirs writes, they may look into.
    let source = ctl.create_pipeline(me, from_http("to-t")).await.unwrap();
    ctl.send_messages(me, &source.id, messages(&["x"])).await.unwrap();
    assert_eq!(values(ctl.fetch_latest(me, "t", 0, None, 2).await.unwrap()), [0]);
}

#[tokio::test]
async fn letters_are_replayed_by_the_worker_and_dropped_by_people() {
    let (h, c) = ready().await;
    let (ctl, me) = (&h.control, &h.me);
    let p = ctl.create_pipeline(me, to_index("one", &c)).await.unwrap();
    let run = claim(&h).await;
    let now = Timestamp(h.clock.now().0);
    let letter = |offset| DeadLetter {
        pipeline: p.id.clone(),
        topic: "t".into(),
        partition: 0,
        offset,
        sub: 0,
        stage: Stage::Sink,
        kind: "unacceptable".into(),
        reason: format!("mapper_parsing_exception {offset}"),
        key: None,
        value: Some(vec![0xff]),
        headers: vec![],
        timestamp_ms: 0,
        at: now,
        status: DeadStatus::Waiting,
    };
    h.store.keep_dead(&p.id, run.attempt, &[letter(1), letter(2), letter(3)], now).await.unwrap();
    assert_eq!(kind(ctl.replay_dead(me, &DeadFilter::default()).await), E::Invalid);
    let of_p = DeadFilter { pipeline: Some(p.id.clone()), ..Default::default() };
    let by_reason = DeadFilter { reason: Some("exception 2".into()), ..of_p.clone() };
    assert_eq!(ctl.drop_dead(me, &by_reason).await.unwrap(), 1);
    let id = DeadId::parse("t/0/1/0").unwrap();
    assert_eq!(ctl.dead_letter(me, &p.id, &id).await.unwrap().value, Some(vec![0xff]));
    assert_eq!(
        kind(ctl.dead_letter(me, &p.id, &DeadId::parse("t/0/9/0").unwrap()).await),
        E::NotFound(Noun::DeadLetter)
    );
    assert_eq!(ctl.replay_dead(me, &DeadFilter { ids: vec![id], ..of_p.clone() }).await.unwrap(), 1);
    assert_eq!(h.world.pipeline_signals.lock().unwrap().last(), Some(&p.id));
    assert_eq!(h.store.renew_pipeline(&p.id, run.attempt, now).await.unwrap(), PipelineWish::Replay);
    h.store.replayed_dead(&p.id, run.attempt, ("t", 0), 2, now).await.unwrap();
    assert_eq!(ctl.dead_totals(me, &p.id).await.unwrap().letters, 1);
    assert_eq!(ctl.purge_dead(me, &p.id).await.unwrap(), 2);
    ctl.delete_pipeline(me, &p.id).await.unwrap();
    h.store.rest_pipeline(&p.id, run.attempt, now).await.unwrap();
    assert_eq!(kind(ctl.replay_dead(me, &of_p).await), E::InvalidState);
    assert_eq!(
        ctl.dead_letters(me, &of_p, Page::default()).await.unwrap().1,
        1,
        "readable as long as the pipeline"
    );
    let too_many = DeadFilter { ids: vec![DeadId::parse("t/0/1/0").unwrap(); 1001], ..of_p };
    assert_eq!(kind(ctl.dead_letters(me, &too_many, Page::default()).await), E::LimitExceeded);
}

const A: &str = r#"{"bootstrap":"a:1"}"#;
const B: &str = r#"{"bootstrap":"b:1"}"#;

fn sync(name: &str, kind: SyncKind, source: &str) -> NewPipeline {
    let sink = end(EndKind::Kafka, Some("ckafka-b"), r#"{"prefix":"a","separator":"."}"#);
    NewPipeline { sync: Some(kind), ..new(name, end(EndKind::Kafka, Some("ckafka-a"), source), sink) }
}

/// Clusters A and B, with topics `x` and `y` on A.
async fn two_clusters() -> Harness {
    let h = Harness::new().await;
    h.control.declare_connection(declared("ckafka-a", A)).await.unwrap();
    h.control.declare_connection(declared("ckafka-b", B)).await.unwrap();
    h.streams.topic(A, "x", 3);
    h.streams.topic(A, "y", 1);
    h.streams.topic(A, "__internal", 1);
    h.streams.with(A, |c| {
        let configs = &mut c.topics.get_mut("x").unwrap().configs;
        configs.insert("retention.ms".into(), "1000000".into());
        configs.insert("cleanup.policy".into(), "compact".into());
        configs.insert("min.insync.replicas".into(), "2".into());
    });
    h
}

#[tokio::test]
async fn a_sync_makes_topics_grows_them_and_leaves_alone_what_was_there() {
    let h = two_clusters().await;
    let (ctl, me) = (&h.control, &h.me);
    h.streams.topic(B, "a.y", 5);
    h.streams.with(B, |c| {
        let configs = &mut c.topics.get_mut("a.y").unwrap().configs;
        configs.insert("cleanup.policy".into(), "compact".into());
        configs.insert("retention.ms".into(), "-1".into());
        configs.insert("retention.bytes".into(), "7".into());
    });
    h.streams.with(A, |c| {
        let configs = &mut c.topics.get_mut("y").unwrap().configs;
        configs.insert("retention.ms".into(), "5".into());
        configs.insert("retention.bytes".into(), "6".into());
    });
    let p = ctl.create_pipeline(me, sync("meta", SyncKind::Meta, "{}")).await.unwrap();
    assert_eq!(SyncKind::of(&p), Some(SyncKind::Meta));
    let done = ctl.reconcile_pipeline(&p.id).await.unwrap();
    h.streams.with(B, |c| {
        assert_eq!(c.topics.keys().collect::<Vec<_>>(), ["a.x", "a.y"]);
        assert_eq!((c.topics["a.x"].partitions.len(), c.topics["a.y"].partitions.len()), (3, 5));
        let x = &c.topics["a.x"].configs;
        let of_x =
            ["retention.ms", "cleanup.policy", "min.insync.replicas", "segment.ms", "max.message.bytes"];
        assert_eq!(of_x.map(|k| x[k].as_str()), ["1000000", "compact", "1", "604800000", "1048588"]);
        let y = &c.topics["a.y"].configs;
        assert_eq!(
            (&*y["retention.ms"], &*y["retention.bytes"], &*y["cleanup.policy"]),
            ("5", "7", "compact")
        );
    });
    // The first round runs by itself when the sync is made: it may have been quicker.
    assert!(done.topics_made <= 1);
    assert_eq!(ctl.reconcile_pipeline(&p.id).await.unwrap(), Synced::default());
    h.streams.with(A, |c| c.topics.get_mut("x").unwrap().partitions.push(vec![]));
    h.clock.advance(200_000_000);
    assert_eq!(ctl.housekeeping().await.unwrap().syncs, 1);
    assert_eq!(h.streams.with(B, |c| c.topics["a.x"].partitions.len()), 4);
    assert_eq!(ctl.housekeeping().await.unwrap().syncs, 0, "not before three minutes are over");
    // A cluster that is down is told; when it is back, nothing is in the way any more.
    h.streams.with(B, |c| c.fails = Some(connector::ErrorKind::Unavailable));
    ctl.reconcile_syncs().await.unwrap();
    assert!(ctl.pipeline(me, &p.id).await.unwrap().error.unwrap().contains("told to fail"));
    h.streams.with(B, |c| c.fails = None);
    ctl.reconcile_syncs().await.unwrap();
    assert_eq!(ctl.pipeline(me, &p.id).await.unwrap().error, None);
    ctl.pause_pipeline(me, &p.id).await.unwrap();
    assert_eq!(ctl.reconcile_syncs().await.unwrap(), 0);
    // No door can make an ordinary pipeline a sync, or a sync another one.
    let words = BTreeMap::from([("wharf.sync".to_owned(), None)]);
    let p = ctl
        .change_pipeline(me, &p.id, PipelineChange { attributes: words, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(SyncKind::of(&p), Some(SyncKind::Meta));
}

#[tokio::test]
async fn positions_are_translated_by_time_and_never_move_back() {
    let h = two_clusters().await;
    let (ctl, me) = (&h.control, &h.me);
    let record = |offset, timestamp_ms| FetchedRecord { offset, timestamp_ms, ..Default::default() };
    h.streams.topic(B, "a.x", 3);
    h.streams.with(A, |c| {
        let x = c.topics.get_mut("x").unwrap();
        x.partitions[0] = (0..10).map(|i| record(i, i * 100)).collect();
        x.partitions[1] = (0..4).map(|i| record(i, i * 100)).collect();
        c.groups.insert(("g".into(), "x".into()), BTreeMap::from([(0, 6), (1, 4)]));
    });
    h.streams.with(B, |c| {
        // The mirror began at 3, and has come to 8.
        let x = c.topics.get_mut("a.x").unwrap();
        x.partitions[0] = (0..6).map(|i| record(i, (i + 3) * 100)).collect();
        x.partitions[1] = (0..4).map(|i| record(i, i * 100)).collect();
    });
    let new = sync("all", SyncKind::MetaDataAndOffset, r#"{"pattern":"^x$"}"#);
    let p = ctl.create_pipeline(me, new).await.unwrap();
    assert!(p.sink.options.contains(r#""keep_partition":true"#), "{}", p.sink.options);
    let suffix = p.id.as_str().trim_start_matches("task-");
    h.streams
        .with(A, |c| c.groups.insert((format!("datahub-{suffix}"), "x".into()), BTreeMap::from([(0, 9)])));
    ctl.reconcile_pipeline(&p.id).await.unwrap();
    let at = |g: &str| h.streams.with(B, |c| c.groups.get(&(g.to_owned(), "a.x".to_owned())).cloned());
    assert_eq!(at("g"), Some(BTreeMap::from([(0, 3), (1, 4)])));
    assert_eq!(at(&format!("datahub-{suffix}")), None, "its own positions stay at home");
    assert!(!h.streams.with(B, |c| c.topics.contains_key("a.y")), "not chosen");
    // At the source somebody goes back; at the target nothing does.
    h.streams.with(A, |c| c.groups.get_mut(&("g".into(), "x".into())).unwrap().insert(0, 0));
    ctl.reconcile_pipeline(&p.id).await.unwrap();
    assert_eq!(at("g"), Some(BTreeMap::from([(0, 3), (1, 4)])));
    // It reads on beyond what the mirror has.
    h.streams.with(A, |c| c.groups.get_mut(&("g".into(), "x".into())).unwrap().insert(0, 9));
    ctl.reconcile_pipeline(&p.id).await.unwrap();
    assert_eq!(at("g").unwrap()[&0], 6);
    let bad =
        ctl.create_pipeline(me, sync("bad", SyncKind::MetaAndData, r#"{"pattern":"^("}"#)).await.unwrap();
    assert_eq!(kind(ctl.reconcile_pipeline(&bad.id).await), E::Invalid);
}
