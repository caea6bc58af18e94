//! What arrives, and where.

use std::rc::Rc;
use std::sync::Arc;

use connector::ErrorKind;
use connector::records::{Account, BatchBuilder, Headers, Mark, RecordRef, Split, Unit};
use connector_kafka::OffsetsFor;

use crate::cluster::{Cluster, WAIT, context, unique};
use crate::lane::{Desk, Lane, Owned, fill, numbered, on_lane, read_all, values};

fn record(offset: i64, key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> RecordRef<'static> {
    RecordRef {
        offset,
        sub: 0,
        timestamp_ms: 1_600_000_000_000 + offset,
        key,
        value,
        headers: Headers::none(),
    }
}

/// Writes records of one split through a sink of its own.
fn write(
    cluster: &Cluster,
    options: &str,
    split: &Split,
    build: impl FnOnce(&mut BatchBuilder),
) -> connector::Result<Rc<Desk>> {
    on_lane(async {
        let desk = Rc::new(Desk::default());
        let context = context(&unique("task"), 0);
        let mut sink = connector_kafka::sink(&cluster.endpoint(options), &context, desk.clone())?;
        sink.committed(&[(split.clone(), None)]).await?;
        sink.open(&[(split.clone(), Mark::default())]).await?;
        let mut batch = BatchBuilder::new(split.clone(), 0);
        build(&mut batch);
        sink.write(Unit::as_read(Arc::new(batch.finish(0)))).await?;
        sink.flush().await?;
        Ok(desk)
    })
}

#[test]
fn records_pass_unchanged() {
    let cluster = Cluster::any();
    let (first, second) = (cluster.topic("a", 1, &[]), cluster.topic("b", 1, &[]));
    write(&cluster, &format!(r#"{{"topic":"{first}"}}"#), &Split::new("s", 0), |batch| {
        batch.push(&record(0, None, Some(b"no key")));
        batch.push(&record(1, Some(b"tombstone"), None));
        batch.push(&record(2, Some(b""), Some(b"")));
        batch.push_with(&record(3, Some(b"\x00\xff"), Some(b"\x00\xfe")), |_, put| {
            put(b"a", Some(b"1"));
            put(b"a", Some(b"2"));
            put(b"null", None);
            put(b"empty", Some(b""));
        });
    })
    .unwrap();
    let pipeline = unique("task");
    let mark = on_lane(async {
        let from = cluster.endpoint(&format!(r#"{{"topics":["{first}"],"start":"earliest"}}"#));
        let to = cluster.endpoint(&format!(r#"{{"topic":"{second}"}}"#));
        let mut lane = Lane::new(&from, &to, &pipeline, 0).unwrap();
        assert!(lane.joined);
        lane.drain(&cluster, &first).await;
        lane.marks[&Split::new(&first, 0)]
    });
    let (read, written) = (read_all(&cluster, &first), read_all(&cluster, &second));
    assert_eq!(written.len(), 4);
    assert_eq!(read, written);
    assert_eq!((written[1].value.as_ref(), written[0].key.as_ref()), (None, None));
    assert_eq!((written[2].value.as_deref(), written[2].key.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    let header = |n: &[u8], v: Option<&[u8]>| (n.to_vec(), v.map(<[u8]>::to_vec));
    let wanted = [
        header(b"a", Some(b"1")),
        header(b"a", Some(b"2")),
        header(b"null", None),
        header(b"empty", Some(b"")),
    ];
    assert_eq!(written[3].headers, wanted);
    assert_eq!(written[3].timestamp_ms, 1_600_000_000_003);
    // The account is in the group's own offsets.
    let rows = cluster.admin().group_offsets(&pipeline, &first, WAIT).unwrap();
    assert_eq!(Mark::parse(&rows[0].metadata), Some(mark));
    assert_eq!(
        (rows[0].lag, mark.account.items[Account::READ], mark.account.items[Account::WRITTEN]),
        (0, 4, 4)
    );
    assert_eq!(mark.account.bytes[Account::READ], mark.account.bytes[Account::WRITTEN]);
}

/// Java's murmur2, as its own default partitioner uses it.
fn java_partition(key: &[u8], partitions: u32) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h: u32 = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for w in words {
        let mut k = u32::from_le_bytes(*w).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (i, b) in rest.iter().enumerate().rev() {
        h ^= u32::from(*b) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^= h >> 15;
    (h & 0x7fff_ffff) % partitions
}

#[test]
fn keys_land_where_the_java_client_puts_them() {
    let cluster = Cluster::any();
    let topic = cluster.topic("murmur", 7, &[]);
    fill(&cluster, &topic, &numbered(200));
    let all = read_all(&cluster, &topic);
    assert_eq!(all.len(), 200);
    for Owned { partition, key, .. } in all {
        assert_eq!(partition as u32, java_partition(&key.unwrap(), 7));
    }
}

#[test]
fn partitions_are_kept_copied_and_made() {
    let cluster = Cluster::any();
    let small = cluster.topic("small", 2, &[]);
    let split = Split::new("s", 3);
    let build = |b: &mut BatchBuilder| assert!(b.push(&record(0, Some(b"k"), Some(b"v"))));
    let options = format!(r#"{{"topic":"{small}","keep_partition":true}}"#);
    let e = write(&cluster, &options, &split, build).unwrap_err();
    assert!(e.to_string().contains("has 2 partitions, fewer than the source"), "{e}");

    let made = unique("made");
    let options = format!(
        r#"{{"topic":"{made}","keep_partition":true,"create":true,"create_partitions":2,"copies":3,"compression":"zstd"}}"#
    );
    write(&cluster, &options, &split, build).unwrap();
    let all = read_all(&cluster, &made);
    assert_eq!(all.iter().map(|r| r.partition).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(cluster.admin().topic(&made, WAIT).unwrap().unwrap().partitions, 4);

    let missing = format!(r#"{{"topic":"{}"}}"#, unique("missing"));
    assert_eq!(write(&cluster, &missing, &split, build).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn every_compression_arrives() {
    let cluster = Cluster::any();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = cluster.topic(compression, 1, &[]);
        let options = format!(r#"{{"topic":"{topic}","compression":"{compression}"}}"#);
        write(&cluster, &options, &Split::new("s", 0), |b| {
            (0..500).for_each(|i| assert!(b.push(&record(i, None, Some(b"the same words again and again")))));
        })
        .unwrap();
        assert_eq!(read_all(&cluster, &topic).len(), 500, "{compression}");
    }
}

#[test]
fn names_follow_the_source() {
    let cluster = Cluster::any();
    let from = cluster.topic("orders", 1, &[]);
    fill(&cluster, &from, &numbered(10));
    on_lane(async {
        let source = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
        let sink = cluster.endpoint(r#"{"prefix":"dr","separator":".","create":true,"keep_partition":true}"#);
        let mut lane = Lane::new(&source, &sink, &unique("task"), 0).unwrap();
        lane.drain(&cluster, &from).await;
    });
    assert_eq!(read_all(&cluster, &format!("dr.{from}")), read_all(&cluster, &from));
}

#[test]
fn another_cluster_keeps_positions_in_a_topic() {
    let (here, there) = (Cluster::embedded(&[]), Cluster::any());
    let (from, to) = (here.topic("from", 2, &[]), there.topic("to", 2, &[]));
    let pipeline = unique("task");
    fill(&here, &from, &numbered(300));
    let source =
        here.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest","group":"{pipeline}"}}"#));
    let sink = there.endpoint(&format!(r#"{{"topic":"{to}"}}"#));
    let first = on_lane(async {
        let mut lane = Lane::new(&source, &sink, &pipeline, 0).unwrap();
        assert!(!lane.joined);
        lane.drain(&here, &from).await;
        lane.marks.clone()
    });
    // More positions than one piece of the topic, of another pipeline.
    let other = here.topic("other", 1, &[]);
    on_lane(async {
        let context = context(&unique("noise"), 0);
        let mut sink = connector_kafka::sink(&sink, &context, Rc::new(Desk::default())).unwrap();
        let splits: Vec<_> = (0..1500).map(|p| (Split::new(&other, p), None)).collect();
        sink.committed(&splits).await.unwrap();
        for _ in 0..2 {
            for (split, _) in &splits {
                let empty = BatchBuilder::new(split.clone(), 0).finish(7);
                sink.write(Unit::as_read(Arc::new(empty))).await.unwrap();
            }
            sink.flush().await.unwrap();
        }
    });
    on_lane(async {
        let desk = Rc::new(Desk::default());
        let mut again = connector_kafka::sink(&sink, &context(&pipeline, 0), desk).unwrap();
        let known: Vec<_> =
            first.keys().map(|s| (s.clone(), None)).chain([(Split::new("never", 0), None)]).collect();
        let found = again.committed(&known).await.unwrap();
        let wanted: Vec<_> = first.values().map(|m| Some(*m)).chain([None]).collect();
        assert_eq!(found, wanted);
    });
    assert_eq!(values(&read_all(&there, &to)), numbered(300));
}

#[test]
fn at_least_once_commits_to_the_group() {
    let cluster = Cluster::any();
    let (from, to) = (cluster.topic("from", 2, &[]), cluster.topic("to", 1, &[]));
    fill(&cluster, &from, &numbered(500));
    let pipeline = unique("task");
    on_lane(async {
        let source = cluster.endpoint(&format!(r#"{{"topics":["{from}"],"start":"earliest"}}"#));
        let sink = cluster.endpoint(&format!(r#"{{"topic":"{to}","exactly_once":false}}"#));
        let mut lane = Lane::new(&source, &sink, &pipeline, 0).unwrap();
        assert!(!lane.joined);
        lane.drain(&cluster, &from).await;
    });
    assert_eq!(values(&read_all(&cluster, &to)), numbered(500));
    let rows = cluster.admin().group_offsets(&pipeline, &from, WAIT).unwrap();
    assert_eq!(rows.iter().map(|r| r.lag).collect::<Vec<_>>(), [0, 0]);
    let ends = cluster.admin().offsets(&from, OffsetsFor::End, WAIT).unwrap();
    assert_eq!(rows.iter().map(|r| (r.partition, r.end)).collect::<Vec<_>>(), ends);
}

#[test]
fn what_waits_is_written_before_what_comes_after_a_loss() {
    let cluster = Cluster::any();
    let topic = cluster.topic("waits", 1, &[]);
    let to = cluster.endpoint(&format!(r#"{{"topic":"{topic}"}}"#));
    let (lost, kept) = (Split::new("s", 0), Split::new("s", 1));
    let unit = |split: &Split, first: i64, values: &[&'static [u8]]| {
        let mut batch = BatchBuilder::new(split.clone(), first);
        for (i, value) in values.iter().enumerate() {
            batch.push(&record(first + i as i64, None, Some(value)));
        }
        Unit::as_read(Arc::new(batch.finish(first + values.len() as i64)))
    };
    let large: &'static [u8] = vec![b'x'; 900_000].leak();
    let marks = on_lane(async {
        let context = context(&unique("task"), 0);
        let mut sink = connector_kafka::sink(&to, &context, Rc::new(Desk::default())).unwrap();
        sink.committed(&[(lost.clone(), None), (kept.clone(), None)]).await.unwrap();
        sink.open(&[(lost.clone(), Mark::default()), (kept.clone(), Mark::default())]).await.unwrap();
        // A whole round: its end is begun, and what comes next waits.
        sink.write(unit(&lost, 0, &[large; 5])).await.unwrap();
        sink.write(unit(&kept, 0, &[b"first"])).await.unwrap();
        sink.close(std::slice::from_ref(&lost)).await;
        sink.write(unit(&kept, 1, &[b"second"])).await.unwrap();
        sink.flush().await.unwrap();
        sink.settled()
    });
    let mark = marks.iter().find(|s| s.split == kept).unwrap().mark;
    assert_eq!(mark.next, 2);
    let small: Vec<_> =
        read_all(&cluster, &topic).into_iter().filter_map(|r| r.value).filter(|v| v.len() < 100).collect();
    assert_eq!(small, [b"first".to_vec(), b"second".to_vec()]);
}
