//! What is read, and from where.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::ErrorKind;
use connector::records::{BatchBuilder, Headers, Polled, RecordRef, RecordSource, Split, Unit};

use crate::cluster::{Cluster, WAIT, context, unique};
use crate::lane::{Desk, fill, numbered, on_lane};

fn open(cluster: &Cluster, options: &str, group: &str) -> Box<dyn RecordSource> {
    connector_kafka::source(&cluster.endpoint(options), &context(group, 0)).unwrap()
}

/// Polls until `done`; what is assigned is started where the group or the options say.
fn drive(
    source: &mut dyn RecordSource,
    what: &str,
    mut done: impl FnMut(Polled, &mut dyn RecordSource) -> bool,
) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < end, "{what} did not come");
        let polled = source.poll(Duration::from_millis(50), 64 << 10).unwrap();
        if let Polled::Assigned(splits) = &polled {
            source.start(&splits.iter().map(|s| (s.clone(), None)).collect::<Vec<_>>()).unwrap();
        }
        if done(polled, source) {
            return;
        }
    }
}

/// The values of the next `n` records.
fn take(source: &mut dyn RecordSource, n: usize) -> Vec<String> {
    let mut found = Vec::new();
    drive(source, "records", |polled, _| {
        if let Polled::Batch(batch) = polled {
            found.extend(batch.iter().map(|r| String::from_utf8(r.value.unwrap().to_vec()).unwrap()));
        }
        found.len() >= n
    });
    found.sort();
    found
}

#[test]
fn it_starts_where_the_options_say() {
    let cluster = Cluster::any();
    let topic = cluster.topic("start", 3, &[]);
    fill(&cluster, &topic, &numbered(300));
    let mut earliest =
        open(&cluster, &format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#), &unique("g"));
    assert_eq!(take(&mut *earliest, 300), numbered(300));
    // `fill` stamps its records one millisecond apart.
    let options = format!(r#"{{"topics":["{topic}"],"start":{{"timestamp_ms":1700000000200}}}}"#);
    let mut timed = open(&cluster, &options, &unique("g"));
    let values = take(&mut *timed, 100);
    assert!(values.contains(&"00000299".to_owned()) && values.len() <= 200, "{}", values.len());
}

#[test]
fn latest_is_fixed_at_the_first_start() {
    let cluster = Cluster::any();
    let topic = cluster.topic("latest", 1, &[]);
    fill(&cluster, &topic, &numbered(10));
    let (options, group) = (format!(r#"{{"topics":["{topic}"],"start":"latest"}}"#), unique("g"));
    let mut source = open(&cluster, &options, &group);
    let mut pin = None;
    drive(&mut *source, "the pin", |polled, source| {
        if let Polled::Batch(batch) = polled {
            assert!(batch.is_empty());
            source.commit(&[(batch.split().clone(), batch.next(), String::new())]).unwrap();
            pin = Some(batch.next());
        }
        pin.is_some()
    });
    assert_eq!(pin, Some(10));
    drop(source);
    // What comes while nobody runs is not skipped.
    fill(&cluster, &topic, &["later".to_owned()]);
    assert_eq!(take(&mut *open(&cluster, &options, &group), 1), ["later"]);
}

#[test]
fn new_partitions_and_topics_are_found() {
    let cluster = Cluster::any();
    let start = unique("many");
    let make = |name: &str| {
        let spec = connector_kafka::TopicSpec {
            name: format!("{start}.{name}"),
            partitions: Some(1),
            settings: vec![],
        };
        cluster.make(&spec);
        fill(&cluster, &spec.name, &[name.to_owned()]);
        spec.name
    };
    let first = make("one");
    let mut source =
        open(&cluster, &format!(r#"{{"pattern":"^{start}[.].*","start":"earliest"}}"#), &unique("g"));
    assert_eq!(take(&mut *source, 1), ["one"]);
    make("two");
    assert_eq!(take(&mut *source, 1), ["two"]);
    cluster.admin().grow_topic(&first, 2, WAIT).unwrap();
    drive(
        &mut *source,
        "the new partition",
        |polled, _| matches!(polled, Polled::Batch(b) if b.split() == &Split::new(&first, 1) && b.first() == 0),
    );
}

#[test]
fn aborted_records_are_not_given_and_the_position_moves_over_them() {
    let cluster = Cluster::any();
    let topic = cluster.topic("aborted", 1, &[]);
    let pipeline = unique("task");
    let to = cluster.endpoint(&format!(r#"{{"topic":"{topic}"}}"#));
    on_lane(async {
        for round in 0..3 {
            // Each of these fences the one before, which aborts what that left open.
            let desk = Rc::new(Desk::default());
            let mut sink = connector_kafka::sink(&to, &context(&pipeline, 0), desk).unwrap();
            let split = Split::new("s", 0);
            sink.committed(&[(split.clone(), None)]).await.unwrap();
            for (i, text) in ["kept", "aborted"].into_iter().enumerate() {
                let mut batch = BatchBuilder::new(split.clone(), i as i64);
                let value = format!("{text} {round}");
                let (value, headers) = (Some(value.as_bytes()), Headers::none());
                batch.push(&RecordRef {
                    offset: i as i64,
                    sub: 0,
                    timestamp_ms: 1,
                    key: None,
                    value,
                    headers,
                });
                sink.write(Unit::as_read(Arc::new(batch.finish(0)))).await.unwrap();
                if text == "kept" {
                    sink.flush().await.unwrap();
                }
            }
            // The records are with the broker, the transaction is open.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let desk = Rc::new(Desk::default());
        let mut last = connector_kafka::sink(&to, &context(&pipeline, 0), desk).unwrap();
        last.committed(&[]).await.unwrap();
    });
    let end = cluster.admin().offsets(&topic, connector_kafka::OffsetsFor::End, WAIT).unwrap()[0].1;
    assert!(end >= 9, "3 kept, 3 aborted, 6 markers, but the end is {end}");
    let mut source = open(&cluster, &format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#), &unique("g"));
    let (mut values, mut at) = (Vec::new(), 0);
    drive(&mut *source, "the end", |polled, _| {
        if let Polled::Batch(batch) = polled {
            assert_eq!(batch.first(), at, "no gap between batches");
            at = batch.next();
            values.extend(batch.iter().map(|r| String::from_utf8_lossy(r.value.unwrap()).into_owned()));
        }
        at == end
    });
    assert_eq!(values, ["kept 0", "kept 1", "kept 2"]);
    assert_eq!(source.end(&Split::new(&topic, 0)), Some(end));
}

#[test]
fn a_position_beyond_the_end_is_told() {
    let cluster = Cluster::any();
    let topic = cluster.topic("range", 1, &[]);
    fill(&cluster, &topic, &numbered(10));
    let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
    let mut source = open(&cluster, &options, &unique("g"));
    let end = Instant::now() + Duration::from_secs(30);
    let e = loop {
        assert!(Instant::now() < end);
        match source.poll(Duration::from_millis(50), 1 << 16) {
            Ok(Polled::Assigned(splits)) => source.start(&[(splits[0].clone(), Some(5000))]).unwrap(),
            Ok(polled) => assert!(matches!(polled, Polled::Idle), "{polled:?}"),
            Err(e) => break e,
        }
    };
    assert_eq!(e.kind(), ErrorKind::Changed, "{e}");
}

#[test]
fn records_that_were_deleted_are_passed_over() {
    let cluster = Cluster::embedded(&[]);
    let topic = cluster.topic("deleted", 1, &[]);
    fill(&cluster, &topic, &numbered(100));
    assert!(cluster.delete_before(&topic, 60));
    let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
    let mut source = open(&cluster, &options, &unique("g"));
    let (mut values, mut at) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(30);
    while at < 100 {
        assert!(Instant::now() < end, "it stands at {at}");
        match source.poll(Duration::from_millis(50), 1 << 16).unwrap() {
            // A position from before the records were deleted.
            Polled::Assigned(splits) => source.start(&[(splits[0].clone(), Some(20))]).unwrap(),
            Polled::Batch(batch) => {
                at = batch.next();
                values.extend(batch.iter().map(|r| r.offset));
            }
            _ => {}
        }
    }
    assert_eq!(values, (60..100).collect::<Vec<_>>());
}

/// Changes a byte of a value in the files of the broker.
fn damage(folder: &std::path::Path, value: &[u8]) -> usize {
    use std::os::unix::fs::FileExt as _;
    let mut places = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            places += damage(&entry.path(), value);
            continue;
        }
        let all = std::fs::read(entry.path()).unwrap();
        let Some(at) = all.windows(value.len()).position(|w| w == value) else { continue };
        let file = std::fs::OpenOptions::new().write(true).open(entry.path()).unwrap();
        file.write_all_at(b"X", at as u64).unwrap();
        places += 1;
    }
    places
}

#[test]
fn what_can_not_be_read_is_told_and_not_passed_over() {
    let cluster = Cluster::embedded(&[]);
    let topic = cluster.topic("damaged", 1, &[]);
    fill(&cluster, &topic, &numbered(10));
    fill(&cluster, &topic, &["to be damaged".to_owned()]);
    fill(&cluster, &topic, &numbered(10));
    assert_eq!(damage(cluster.folder().unwrap(), b"to be damaged"), 1);
    let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
    let mut source = open(&cluster, &options, &unique("g"));
    let end = Instant::now() + Duration::from_secs(30);
    let mut at = 0;
    let e = loop {
        assert!(Instant::now() < end, "nothing is told, it stands at {at}");
        match source.poll(Duration::from_millis(50), 1 << 16) {
            Ok(Polled::Assigned(splits)) => source.start(&[(splits[0].clone(), None)]).unwrap(),
            Ok(Polled::Batch(batch)) => {
                at = batch.next();
                assert!(at <= 10, "record 10 can't have come");
            }
            Ok(_) => {}
            Err(e) => break e,
        }
    };
    assert_eq!((e.kind(), at), (ErrorKind::Other, 10), "{e}");
    assert!(e.to_string().contains(&topic) && e.to_string().contains("CRC"), "{e}");
}

#[test]
fn what_the_group_did_not_give_is_not_started() {
    let cluster = Cluster::any();
    let (topic, other) = (cluster.topic("given", 1, &[]), cluster.topic("other", 1, &[]));
    fill(&cluster, &other, &numbered(10));
    let options = format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#);
    let mut source = open(&cluster, &options, &unique("g"));
    let foreign = Split::new(&other, 0);
    source.start(&[(foreign.clone(), Some(0))]).unwrap();
    let mut given = false;
    drive(&mut *source, "the given partition", |polled, source| {
        if let Polled::Assigned(_) = polled {
            source.start(&[(foreign.clone(), Some(0))]).unwrap();
            fill(&cluster, &topic, &["mine".to_owned()]);
        }
        if let Polled::Batch(batch) = polled {
            assert_ne!(batch.split(), &foreign);
            given |= !batch.is_empty();
        }
        given
    });
}

#[test]
fn without_room_the_membership_is_kept_and_nothing_is_lost() {
    let cluster = Cluster::any();
    let topic = cluster.topic("room", 4, &[]);
    fill(&cluster, &topic, &numbered(2000));
    let (options, group) = (format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#), unique("g"));
    let (mut first, mut second) = (open(&cluster, &options, &group), None);
    let (mut values, mut revoked, mut started) = (HashSet::new(), 0, 0);
    let end = Instant::now() + Duration::from_secs(60);
    while values.len() < 2000 {
        assert!(Instant::now() < end, "{} of 2000, {revoked} revoked", values.len());
        // The first one takes nothing until it was asked for partitions.
        let room = if revoked > 0 { 1 << 16 } else { 0 };
        match first.poll(Duration::from_millis(20), room).unwrap() {
            Polled::Batch(b) => {
                assert!(revoked > 0, "a batch without room");
                b.iter().for_each(|r| assert!(values.insert(r.value.unwrap().to_vec()), "twice"));
            }
            Polled::Revoked(splits) => {
                revoked += splits.len();
                first.release(&splits).unwrap();
            }
            Polled::Assigned(splits) => {
                started += splits.len();
                first.start(&splits.into_iter().map(|s| (s, None)).collect::<Vec<_>>()).unwrap();
            }
            Polled::Lost(splits) => panic!("lost {splits:?}"),
            Polled::Idle => {}
        }
        if started == 4 {
            let second = second.get_or_insert_with(|| open(&cluster, &options, &group));
            match second.poll(Duration::from_millis(20), 1 << 16).unwrap() {
                Polled::Batch(b) => {
                    b.iter().for_each(|r| assert!(values.insert(r.value.unwrap().to_vec()), "twice"));
                }
                Polled::Assigned(splits) => {
                    second.start(&splits.into_iter().map(|s| (s, None)).collect::<Vec<_>>()).unwrap();
                }
                polled => assert!(matches!(polled, Polled::Idle), "{polled:?}"),
            }
        }
    }
    assert_eq!(revoked, 2, "only what moves is revoked");
}

fn member(cluster: &Cluster, options: &str, group: &str) -> connector_kafka::KafkaSource {
    connector_kafka::KafkaSource::new(&cluster.endpoint(options), &context(group, 0)).unwrap()
}

/// While the group waits for a split, another one has to be started again. That must not be taken for the answer.
#[test]
fn a_partition_that_is_started_again_hands_no_other_one_over() {
    let cluster = Cluster::any();
    let topic = cluster.topic("handed", 4, &[]);
    fill(&cluster, &topic, &numbered(400));
    let (options, group) = (format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#), unique("g"));
    let mut first = member(&cluster, &options, &group);
    let mut seen = take(&mut first, 400);
    let mut second = member(&cluster, &options, &group);
    let mut revoked = Vec::new();
    drive(&mut first, "a revocation", |polled, _| {
        let _ = second.poll(Duration::from_millis(10), 0);
        if let Polled::Revoked(splits) = polled {
            revoked = splits;
        }
        !revoked.is_empty()
    });
    let all: HashSet<Split> = (0..4).map(|p| Split::new(&topic, p)).collect();
    let kept: Vec<Split> = all.into_iter().filter(|s| !revoked.contains(s)).collect();
    assert!(!kept.is_empty() && !revoked.is_empty(), "{kept:?} {revoked:?}");
    fill(&cluster, &topic, &(400..800).map(|n| format!("{n:08}")).collect::<Vec<_>>());
    // Long enough for several heartbeats: whoever gives an answer too early is believed by then.
    let end = Instant::now() + Duration::from_secs(8);
    let mut taken: Vec<Split> = Vec::new();
    while Instant::now() < end {
        kept.iter().for_each(|split| first.disturb(split));
        let told = first.poll(Duration::from_millis(100), 64 << 10).unwrap();
        assert!(!matches!(told, Polled::Lost(_)), "{told:?}");
        if let Polled::Assigned(splits) = second.poll(Duration::from_millis(100), 0).unwrap() {
            taken.extend(splits);
        }
        assert!(taken.iter().all(|s| !revoked.contains(s)), "handed over before it was released: {taken:?}");
    }
    first.release(&revoked).unwrap();
    // The rest comes, each record once: from the one what it kept, from the other (which begins anew) what it got.
    let mut mine = Vec::new();
    let end = Instant::now() + Duration::from_secs(60);
    let wanted: HashSet<String> = (400..800).map(|n| format!("{n:08}")).collect();
    loop {
        assert!(Instant::now() < end, "{} of {} came", seen.len() + mine.len(), 800);
        if let Polled::Batch(batch) = first.poll(Duration::from_millis(20), 64 << 10).unwrap() {
            assert!(kept.contains(batch.split()));
            mine.extend(batch.iter().map(|r| String::from_utf8(r.value.unwrap().to_vec()).unwrap()));
        }
        match second.poll(Duration::from_millis(20), 64 << 10).unwrap() {
            Polled::Assigned(splits) => {
                second.start(&splits.iter().map(|s| (s.clone(), None)).collect::<Vec<_>>()).unwrap();
            }
            Polled::Batch(batch) => {
                assert!(revoked.contains(batch.split()));
                let values = batch.iter().map(|r| String::from_utf8(r.value.unwrap().to_vec()).unwrap());
                seen.extend(values.filter(|v| wanted.contains(v)));
            }
            _ => {}
        }
        let got = mine.iter().chain(seen.iter().skip(400)).filter(|v| wanted.contains(*v)).count();
        if got >= 400 {
            break;
        }
    }
    let once: HashSet<&String> = mine.iter().chain(seen.iter().skip(400)).collect();
    assert_eq!(once, wanted.iter().collect(), "nothing is missing");
    assert_eq!(mine.len() + seen.len() - 400, 400, "and nothing came twice");
}

/// The assignment is lost while something is still to be started; starting makes the library forget the loss.
#[test]
fn a_loss_is_told_also_when_something_was_started_in_between() {
    let mut cluster = Cluster::embedded(&[]);
    let topic = cluster.topic("lost", 2, &[]);
    let mut source =
        member(&cluster, &format!(r#"{{"topics":["{topic}"],"start":"earliest"}}"#), &unique("g"));
    let (one, two) = (Split::new(&topic, 0), Split::new(&topic, 1));
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < end, "nothing was assigned");
        if let Polled::Assigned(splits) = source.poll(Duration::from_millis(50), 1 << 16).unwrap() {
            assert_eq!(splits.len(), 2);
            source.start(&[(one.clone(), Some(0))]).unwrap();
            break;
        }
    }
    // Groups don't survive it: the next heartbeat is told that the member is not known.
    cluster.restart();
    std::thread::sleep(Duration::from_secs(8));
    source.start(&[(two, Some(0))]).unwrap();
    source.disturb(&one);
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < end, "the loss was not told");
        // That the broker was away may be told first.
        match source.poll(Duration::from_millis(50), 1 << 16).unwrap_or(Polled::Idle) {
            Polled::Lost(splits) => break assert!(splits.contains(&one)),
            Polled::Revoked(splits) => panic!("{splits:?} revoked, as if somebody waited for them"),
            _ => {}
        }
    }
    // And the next revocation is none.
    fill(&cluster, &topic, &numbered(10));
    assert_eq!(take(&mut source, 10), numbered(10));
}
