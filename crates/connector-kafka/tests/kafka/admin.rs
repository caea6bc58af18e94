//! What the products' API asks of a cluster.

use connector::ErrorKind;
use connector::records::{Headers, RecordRef};
use connector_kafka::{KafkaAdmin, OffsetsFor, TopicSpec, probe};

use crate::cluster::{Cluster, WAIT, unique};
use crate::lane::{fill, numbered, on_lane, read_all, values};

fn spec(name: &str, partitions: i32, settings: &[(&str, &str)]) -> TopicSpec {
    let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    TopicSpec { name: name.to_owned(), partitions: Some(partitions), settings }
}

#[test]
fn topics_are_made_changed_and_deleted() {
    let cluster = Cluster::any();
    let admin = cluster.admin();
    assert!(!admin.cluster_id(WAIT).unwrap().is_empty());
    let name = unique("topic");
    admin.create_topic(&spec(&name, 2, &[("retention.ms", "3600000")]), WAIT).unwrap();
    assert_eq!(admin.create_topic(&spec(&name, 2, &[]), WAIT).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(admin.create_topic(&spec("a b", 2, &[]), WAIT).unwrap_err().kind(), ErrorKind::Unacceptable);
    admin.grow_topic(&name, 3, WAIT).unwrap();
    let soon = std::time::Instant::now() + WAIT;
    while admin.topic(&name, WAIT).unwrap().is_none_or(|t| t.partitions < 3) {
        assert!(std::time::Instant::now() < soon, "the topic does not grow");
    }
    assert_eq!(admin.grow_topic(&name, 1, WAIT).unwrap_err().kind(), ErrorKind::Unacceptable);
    let found = admin.topics(WAIT).unwrap().into_iter().find(|t| t.name == name).unwrap();
    assert_eq!((found.partitions, found.replicas), (3, 1));
    admin.set_topic(&name, &[("retention.ms".to_owned(), "7200000".to_owned())], WAIT).unwrap();
    // A cluster's controller tells its brokers a little later.
    let soon = std::time::Instant::now() + WAIT;
    while admin.topic_settings(&name, WAIT).unwrap()["retention.ms"] != "7200000" {
        assert!(std::time::Instant::now() < soon, "the setting is not set");
    }
    admin.delete_topic(&name, WAIT).unwrap();
    while admin.topic(&name, WAIT).unwrap().is_some() {
        assert!(std::time::Instant::now() < soon, "the topic stays");
    }
    assert_eq!(admin.delete_topic(&name, WAIT).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(admin.group_offsets("g", &name, WAIT).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn single_records_are_written_and_found() {
    let cluster = Cluster::any();
    let admin = cluster.admin();
    let topic = cluster.topic("single", 2, &[("max.message.bytes", "1000000")]);
    let text: Vec<String> = (0..20).map(|i| format!("v{i}")).collect();
    let records: Vec<_> = text
        .iter()
        .map(|v| RecordRef {
            offset: 0,
            sub: 0,
            timestamp_ms: -1,
            key: Some(b"same key"),
            value: Some(v.as_bytes()),
            headers: Headers::none(),
        })
        .collect();
    let places = admin.produce(&topic, &records, WAIT).unwrap();
    let (partition, first) = places[0];
    assert_eq!(places, (0..20).map(|i| (partition, first + i)).collect::<Vec<_>>());
    let batch = admin.record(&topic, partition, first + 7, WAIT).unwrap().unwrap();
    let found = batch.get(0).unwrap();
    assert_eq!((found.value, found.key), (Some(&b"v7"[..]), Some(&b"same key"[..])));
    assert!(found.timestamp_ms > 1_600_000_000_000);
    assert_eq!(admin.record(&topic, partition, first + 20, WAIT).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(admin.record(&topic, 9, 0, WAIT).unwrap_err().kind(), ErrorKind::NotFound);
    let latest = admin.latest(&topic, partition, 3, WAIT).unwrap();
    let values: Vec<_> = latest.iter().map(|r| r.value.unwrap()).collect();
    assert_eq!(values, [b"v17", b"v18", b"v19"]);
    assert_eq!(admin.latest(&topic, 1 - partition, 3, WAIT).unwrap().len(), 0);
    assert_eq!(admin.records(&topic, partition, first + 15, (2, usize::MAX), WAIT).unwrap().len(), 2);
    let few = admin.records(&topic, partition, first + 15, (2, 1), WAIT).unwrap();
    assert_eq!((few.len(), few.next()), (1, first + 16), "the first one, however large");
    let large = vec![b'x'; 3 << 20];
    let e = admin.produce(&topic, &[RecordRef { value: Some(&large), ..records[0] }], WAIT).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unacceptable, "{e}");
    // The failure is that call's alone.
    assert_eq!(admin.produce(&topic, &records[..1], WAIT).unwrap(), [(partition, first + 20)]);
    assert_eq!(admin.produce(&unique("none"), &records[..1], WAIT).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn nothing_of_a_call_that_failed_is_written_later() {
    let cluster = Cluster::any();
    let (admin, topic) = (cluster.admin(), cluster.topic("failed", 2, &[]));
    let one = |value| RecordRef {
        offset: 0,
        sub: 0,
        timestamp_ms: -1,
        key: None,
        value: Some(value),
        headers: Headers::none(),
    };
    admin.produce(&topic, &[one(b"before")], WAIT).unwrap();
    // More than the library takes at all: the call fails when others are in its queue. (The memory is never touched.)
    let huge = vec![0; 201 << 20];
    let mut records = vec![one(b"lost"); 50];
    records.push(one(&huge));
    let e = admin.produce(&topic, &records, WAIT).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unacceptable, "{e}");
    let after: Vec<_> = (0..20).map(|i| format!("after {i}")).collect();
    let records: Vec<_> = after.iter().map(|v| one(v.as_bytes())).collect();
    let places = admin.produce(&topic, &records, WAIT).unwrap();
    for ((partition, offset), value) in places.into_iter().zip(&after) {
        let batch = admin.record(&topic, partition, offset, WAIT).unwrap().unwrap();
        assert_eq!(batch.get(0).unwrap().value, Some(value.as_bytes()));
    }
    let values = values(&read_all(&cluster, &topic));
    assert_eq!(values.len(), 21, "{values:?}");
}

#[test]
fn offsets_and_lags_are_told() {
    let cluster = Cluster::any();
    let admin = cluster.admin();
    let topic = cluster.topic("lag", 1, &[]);
    fill(&cluster, &topic, &numbered(100));
    assert_eq!(admin.offsets(&topic, OffsetsFor::Beginning, WAIT).unwrap(), [(0, 0)]);
    assert_eq!(admin.offsets(&topic, OffsetsFor::End, WAIT).unwrap(), [(0, 100)]);
    assert_eq!(admin.offsets(&topic, OffsetsFor::Time(1_700_000_000_040), WAIT).unwrap(), [(0, 40)]);
    assert_eq!(admin.offsets(&topic, OffsetsFor::Time(4_000_000_000_000), WAIT).unwrap(), [(0, 100)]);
    let row = admin.group_offsets(&unique("nobody"), &topic, WAIT).unwrap().remove(0);
    assert_eq!((row.offset, row.begin, row.end, row.lag), (None, 0, 100, 100));
}

#[test]
fn a_wrong_password_is_refused_everywhere_and_never_shown() {
    let cluster = Cluster::embedded(&[("ann", "right-secret")]);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let good = cluster.login(mechanism, "ann", "right-secret", r#"{"topics":[],"start":"latest"}"#);
        on_lane(probe(&good)).unwrap();
        KafkaAdmin::new(&good).unwrap().topics(WAIT).unwrap();
        let bad = cluster.login(mechanism, "ann", "wrong-secret", r#"{"topics":["x"],"start":"latest"}"#);
        let to = cluster.login(mechanism, "ann", "wrong-secret", r#"{"topic":"x"}"#);
        let admin = KafkaAdmin::new(&bad).unwrap();
        let mut errors = vec![
            on_lane(probe(&bad)).unwrap_err(),
            admin.topics(std::time::Duration::from_secs(2)).unwrap_err(),
            admin.create_topic(&spec("x", 1, &[]), std::time::Duration::from_secs(2)).unwrap_err(),
        ];
        let context = crate::cluster::context("task", 0);
        let mut source = connector_kafka::source(&bad, &context).unwrap();
        let end = std::time::Instant::now() + WAIT;
        loop {
            assert!(std::time::Instant::now() < end, "the source says nothing");
            if let Err(e) = source.poll(std::time::Duration::from_millis(50), 1 << 16) {
                errors.push(e);
                break;
            }
        }
        for e in errors {
            assert_eq!(e.kind(), ErrorKind::Denied, "{mechanism}: {e}");
            assert!(!format!("{e} {e:?}").contains("wrong-secret"));
        }
        assert!(!format!("{to:?}").contains("wrong-secret"));
    }
}

#[test]
fn probes_say_what_is_missing() {
    let cluster = Cluster::any();
    let topic = cluster.topic("there", 1, &[]);
    let probed = |options: &str| on_lane(probe(&cluster.endpoint(options))).map_err(|e| e.kind());
    let none = unique("none");
    assert_eq!(probed(&format!(r#"{{"topic":"{topic}"}}"#)), Ok(()));
    assert_eq!(probed(&format!(r#"{{"topic":"{none}"}}"#)), Err(ErrorKind::NotFound));
    assert_eq!(probed(&format!(r#"{{"topic":"{none}","create":true}}"#)), Ok(()));
    assert_eq!(probed(&format!(r#"{{"topics":["{none}"],"start":"latest"}}"#)), Err(ErrorKind::NotFound));
    assert_eq!(probed(r#"{"pattern":"^x","start":"latest"}"#), Ok(()));
    let mut nowhere = cluster.endpoint("");
    nowhere.connection = r#"{"bootstrap":"127.0.0.1:1"}"#.to_owned();
    assert_eq!(on_lane(probe(&nowhere)).unwrap_err().kind(), ErrorKind::Unavailable);
}
