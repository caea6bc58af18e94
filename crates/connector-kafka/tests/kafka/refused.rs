//! Records that a topic does not take, one by one, and their neighbours.

use std::rc::Rc;
use std::sync::Arc;

use connector::records::{Account, BatchBuilder, Headers, Mark, RecordRef, Split, Unit};
use connector::{ErrorKind, Result};

use crate::cluster::{Cluster, WAIT, context, unique};
use crate::lane::{Desk, on_lane, read_all, values};

/// Writes these values as three units of one split, and gives what was refused (offset, reason) and the mark.
fn write(
    cluster: &Cluster,
    options: &str,
    values: &[Vec<u8>],
    blocks: bool,
) -> Result<(Vec<(i64, String)>, Mark)> {
    on_lane(async {
        let desk = Rc::new(Desk::default());
        desk.blocks.set(blocks);
        let split = Split::new("s", 0);
        let mut sink =
            connector_kafka::sink(&cluster.endpoint(options), &context(&unique("task"), 0), desk.clone())?;
        sink.committed(&[(split.clone(), None)]).await?;
        sink.open(&[(split.clone(), Mark::default())]).await?;
        let mut offset = 0;
        for chunk in values.chunks(values.len().div_ceil(3)) {
            let mut batch = BatchBuilder::new(split.clone(), offset);
            for value in chunk {
                let value = (value != b"null key").then_some(&value[..]);
                let key = value.map(|_| &b"key"[..]);
                let value = value.or(Some(b"null key"));
                batch.push(&RecordRef {
                    offset,
                    sub: 0,
                    timestamp_ms: 1,
                    key,
                    value,
                    headers: Headers::none(),
                });
                offset += 1;
            }
            sink.write(Unit::as_read(Arc::new(batch.finish(offset)))).await?;
        }
        sink.flush().await?;
        let mark = sink.settled().pop().unwrap().mark;
        let mut refused: Vec<_> = desk.refused.borrow().iter().map(|(o, r)| (*o, r.reason.clone())).collect();
        refused.sort();
        refused.dedup();
        Ok((refused, mark))
    })
}

/// Bytes that don't compress.
fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut x = seed;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    };
    (0..n).map(|_| next()).collect()
}

fn check(refused: &[(i64, String)], mark: Mark, wanted: &[i64], total: u64) {
    assert_eq!(refused.iter().map(|r| r.0).collect::<Vec<_>>(), wanted, "{refused:?}");
    let column = |c: usize| mark.account.items[c];
    assert_eq!(column(Account::READ), total);
    assert_eq!(column(Account::DEAD), wanted.len() as u64);
    assert_eq!(column(Account::WRITTEN), total - wanted.len() as u64);
}

#[test]
fn what_is_too_large_is_refused_and_its_neighbours_are_written() {
    let cluster = Cluster::any();
    let topic = cluster.topic("large", 1, &[("max.message.bytes", "50000")]);
    for exactly_once in [true, false] {
        let options = format!(r#"{{"topic":"{topic}","exactly_once":{exactly_once}}}"#);
        let mut all: Vec<Vec<u8>> = (0..300).map(|i| format!("{i:01000}").into_bytes()).collect();
        all[17] = vec![b'x'; 60_000];
        all[299] = vec![b'x'; 51_000];
        let before = read_all(&cluster, &topic).len();
        let (refused, mark) = write(&cluster, &options, &all, false).unwrap();
        check(&refused, mark, &[17, 299], 300);
        assert!(refused[0].1.contains("60003 bytes are more than the topic takes (50000)"), "{refused:?}");
        assert_eq!(read_all(&cluster, &topic).len() - before, 298);
    }
    let options = format!(r#"{{"topic":"{topic}"}}"#);
    let e = write(&cluster, &options, &[b"a".to_vec(), vec![0; 70_000]], true).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unacceptable);
}

#[test]
fn only_the_broker_knows_what_compressed_records_take() {
    let cluster = Cluster::any();
    let topic = cluster.topic("squeezed", 1, &[("max.message.bytes", "50000")]);
    for exactly_once in [true, false] {
        let options = format!(r#"{{"topic":"{topic}","compression":"gzip","exactly_once":{exactly_once}}}"#);
        let mut all: Vec<Vec<u8>> = (0..300).map(|i| format!("{i:01000}").into_bytes()).collect();
        // Large, but small when compressed; and three that are not.
        all[5] = vec![b'x'; 200_000];
        for i in [40, 41, 250] {
            all[i] = noise(i as u64, 80_000);
        }
        let before = read_all(&cluster, &topic);
        let (refused, mark) = write(&cluster, &options, &all, false).unwrap();
        check(&refused, mark, &[40, 41, 250], 300);
        let mut written = values(&read_all(&cluster, &topic));
        if exactly_once {
            assert_eq!(written.len(), 297);
            // In order of position as well.
            let offsets = read_all(&cluster, &topic);
            assert!(offsets.windows(2).all(|w| w[0].offset < w[1].offset));
        } else {
            // At least once: what was tried may be there twice.
            assert!(written.len() - before.len() >= 297);
        }
        written.dedup();
        assert_eq!(written.len(), 297);
    }
}

#[test]
fn a_smaller_bound_in_the_middle_is_noticed() {
    let cluster = Cluster::any();
    let topic = cluster.topic("shrinks", 1, &[]);
    on_lane(async {
        let desk = Rc::new(Desk::default());
        let split = Split::new("s", 0);
        let options = format!(r#"{{"topic":"{topic}"}}"#);
        let context = context(&unique("task"), 0);
        let mut sink = connector_kafka::sink(&cluster.endpoint(&options), &context, desk.clone()).unwrap();
        sink.committed(&[(split.clone(), None)]).await.unwrap();
        sink.open(&[(split.clone(), Mark::default())]).await.unwrap();
        for round in 0..2 {
            let mut batch = BatchBuilder::new(split.clone(), round * 100);
            for i in 0..100 {
                let (value, offset) = (vec![b'v'; if i == 50 { 90_000 } else { 3000 }], round * 100 + i);
                let value = Some(&value[..]);
                batch.push(&RecordRef {
                    offset,
                    sub: 0,
                    timestamp_ms: 1,
                    key: None,
                    value,
                    headers: Headers::none(),
                });
            }
            sink.write(Unit::as_read(Arc::new(batch.finish(0)))).await.unwrap();
            sink.flush().await.unwrap();
            let smaller = [("max.message.bytes".to_owned(), "40000".to_owned())];
            cluster.admin().set_topic(&topic, &smaller, WAIT).unwrap();
        }
        let refused: Vec<i64> = desk.refused.borrow().iter().map(|r| r.0).collect();
        assert_eq!(refused, [150]);
    });
    assert_eq!(read_all(&cluster, &topic).len(), 199);
}

#[test]
fn a_record_of_ten_megabytes_passes_where_the_topic_takes_it() {
    let cluster = Cluster::any();
    let wide = cluster.topic("wide", 1, &[("max.message.bytes", "12000000")]);
    let big = noise(1, 10 << 20);
    let options = format!(r#"{{"topic":"{wide}"}}"#);
    let (refused, _) =
        write(&cluster, &options, &[b"a".to_vec(), big.clone(), b"b".to_vec()], false).unwrap();
    assert_eq!(refused, []);
    let all = read_all(&cluster, &wide);
    assert_eq!(all.len(), 3);
    assert!(all[1].value.as_ref() == Some(&big));
    // Through a source, whatever its room, and into a topic that does not take it.
    let narrow = cluster.topic("narrow", 1, &[("max.message.bytes", "1000000")]);
    on_lane(async {
        let from = cluster.endpoint(&format!(r#"{{"topics":["{wide}"],"start":"earliest"}}"#));
        let to = cluster.endpoint(&format!(r#"{{"topic":"{narrow}"}}"#));
        let mut lane = crate::lane::Lane::new(&from, &to, &unique("task"), 0).unwrap();
        lane.drain(&cluster, &wide).await;
        assert_eq!(lane.desk.refused.borrow().len(), 1);
    });
    assert_eq!(values(&read_all(&cluster, &narrow)), ["a", "b"]);
}

#[test]
fn records_find_their_table_or_are_refused() {
    let cluster = Cluster::any();
    let (first, second) =
        (cluster.topic("t1", 1, &[]), cluster.topic("t2", 1, &[("cleanup.policy", "compact")]));
    let options = format!(
        r#"{{"tables":[{{"database":"d","table":"a","topic":"{first}"}},{{"database":"d","table":"b","topic":"{second}"}}]}}"#
    );
    let value = |table: &str| format!(r#"{{"op":"c","source":{{"db":"d","table":"{table}"}}}}"#).into_bytes();
    let all = [value("a"), value("b"), value("c"), b"no json".to_vec(), value("a")];
    let (refused, mark) = write(&cluster, &options, &all, false).unwrap();
    check(&refused, mark, &[2, 3], 5);
    assert_eq!((read_all(&cluster, &first).len(), read_all(&cluster, &second).len()), (2, 1));
    // A compacted topic takes no record without a key.
    let options = format!(r#"{{"topic":"{second}"}}"#);
    let (refused, mark) = write(&cluster, &options, &[b"x".to_vec(), b"null key".to_vec()], false).unwrap();
    check(&refused, mark, &[1], 2);
}
