//! The store as a whole: answers against a plain filter, repeats, damage, retention.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use runtime::{Clock, Micros};

use crate::block::RecordRef;
use crate::query::{Compiled, value_of};
use crate::{
    Batch, Cursor, Error, Filter, Logs, MAX_RECORD, NewRecord, Operator, Order, Query, Record, Settings,
    Topic, parse,
};

const TIME: Duration = Duration::from_secs(60);
const NOW: i64 = 1_700_000_000_000_000;

fn small() -> Settings {
    Settings { segment_bytes: 600, ..Settings::default() }
}

fn open(folder: &Path, settings: Settings) -> Topic {
    Topic::open(folder, settings, Clock::system()).unwrap()
}

/// Writes records at these times, one after the other, from a position on.
fn write(topic: &Topic, writer: &str, from: i64, texts: &[(i64, String)]) -> u64 {
    let records: Vec<_> = (from..)
        .zip(texts)
        .map(|(position, (time, text))| NewRecord {
            position,
            time: *time,
            stream: "s",
            text: text.as_bytes(),
        })
        .collect();
    let next = from + i64::try_from(texts.len()).unwrap();
    topic.append(&Batch { writer, next, note: &format!("note {next}"), records: &records }).unwrap()
}

fn numbered(n: std::ops::Range<i64>) -> Vec<(i64, String)> {
    n.map(|n| (n * 1000, format!(r#"{{"n":{n},"word":"w{}"}}"#, n % 7))).collect()
}

fn all(topic: &Topic) -> Vec<i64> {
    let q = Query { order: Order::Oldest, limit: 10_000, ..Query::default() };
    let page = topic.query(&q, TIME).unwrap();
    assert!(page.complete);
    page.records.iter().map(number_of).collect()
}

fn number_of(r: &Record) -> i64 {
    let r = RecordRef { number: r.number, time: r.time, stream: &r.stream, text: &r.text };
    value_of(&r, "n").unwrap().parse().unwrap()
}

#[test]
fn what_is_repeated_is_there_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4i64 {
        let topic = open(folder.path(), small());
        assert_eq!(topic.progress("w").map_or(0, |p| p.next), round * 50);
        for from in (0..round * 50 + 50).step_by(10) {
            let kept = write(&topic, "w", from, &numbered(from..from + 10));
            assert_eq!(kept, if from < round * 50 { 0 } else { 10 });
        }
        // Half of it is old.
        assert_eq!(write(&topic, "w", round * 50 + 45, &numbered(round * 50 + 45..round * 50 + 50)), 0);
        assert_eq!(topic.progress("w").unwrap().note, format!("note {}", round * 50 + 50));
    }
    let topic = open(folder.path(), small());
    assert_eq!(write(&topic, "w", 195, &numbered(195..205)), 5);
    assert_eq!(all(&topic), (0..205).collect::<Vec<_>>());
    assert_eq!(write(&topic, "other", 0, &numbered(205..206)), 1, "another writer's positions are its own");
    let stats = topic.stats();
    assert_eq!((stats.records, stats.damaged, stats.writers), (206, 0, 2));
    assert!(stats.segments > 5 && stats.times == Some((0, 205_000)));
}

#[test]
fn a_death_between_any_two_steps_of_sealing_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let big = Settings { segment_bytes: 1 << 20, ..Settings::default() };
    let topic = open(path, big);
    write(&topic, "w", 0, &numbered(0..20));
    let wal = std::fs::read(path.join("0000000000000001.wal")).unwrap();
    topic.seal_now().unwrap();
    let sealed = std::fs::read(path.join("0000000000000001.seg")).unwrap();
    drop(topic);
    let put = |name: &str, bytes: &[u8]| std::fs::write(path.join(name), bytes).unwrap();
    let clear = || {
        for entry in std::fs::read_dir(path).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    let check = |what: &str| {
        let topic = open(path, big);
        assert_eq!(all(&topic), (0..20).collect::<Vec<_>>(), "{what}");
        assert_eq!(write(&topic, "w", 10, &numbered(10..21)), 1, "{what}");
        assert_eq!(topic.stats().damaged, 0, "{what}");
        drop(topic);
        assert_eq!(all(&open(path, big)), (0..21).collect::<Vec<_>>(), "{what}");
        clear();
    };
    clear();
    put("0000000000000001.wal", &wal);
    put("0000000000000001.tmp", &sealed[..sealed.len() / 2]);
    check("half a segment beside its name");
    put("0000000000000001.wal", &wal);
    put("0000000000000001.seg", &sealed);
    check("sealed, and no new one is open");
    put("0000000000000001.seg", &sealed);
    check("only the segment");
    put("0000000000000001.wal", &wal);
    put("0000000000000001.wal.x", b"");
    check("a stranger's file");
    // Sealing failed later than it should, and the old one went on.
    put("0000000000000001.wal", &wal);
    let topic = open(path, big);
    write(&topic, "w", 20, &numbered(20..21));
    drop(topic);
    put("0000000000000001.seg", &sealed);
    assert_eq!(all(&open(path, big)), (0..21).collect::<Vec<_>>());
}

#[test]
fn damage_costs_its_block_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { segment_bytes: 1 << 20, ..Settings::default() };
    let topic = open(folder.path(), settings);
    // Two blocks: one is full with its records.
    let texts: Vec<_> = (0..6000).map(|n| (n, format!(r#"{{"n":{n}}}"#))).collect();
    for (from, piece) in (0..).step_by(1000).zip(texts.chunks(1000)) {
        write(&topic, "w", from, piece);
    }
    topic.seal_now().unwrap();
    write(&topic, "w", 6000, &numbered(6000..6010));
    write(&topic, "w", 6010, &numbered(6010..6020));
    drop(topic);
    let hit = |name: &str, at: usize| {
        let path = folder.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = if at == usize::MAX { bytes.len() - 10 } else { at };
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    hit("0000000000000001.seg", 100);
    let topic = open(folder.path(), settings);
    assert_eq!(all(&topic).len(), 1904 + 20);
    assert_eq!(all(&topic).len(), 1904 + 20);
    assert_eq!(topic.stats().damaged, 1, "the same place counts once");
    let page = topic.query(&Query { limit: 10_000, ..Query::default() }, TIME).unwrap();
    assert_eq!(page.damaged, 1);
    drop(topic);
    // Its end is gone too: the good block is found without a directory.
    hit("0000000000000001.seg", usize::MAX);
    let topic = open(folder.path(), settings);
    assert_eq!(all(&topic).len(), 1904 + 20);
    assert!(topic.stats().damaged >= 1);
    assert_eq!(topic.progress("w").unwrap().next, 6020);
    drop(topic);
    // The first batch of the open one, behind its start.
    let wal = std::fs::read(folder.path().join("0000000000000002.wal")).unwrap();
    let first = wal.windows(4).skip(1).position(|w| w == b"WLf1").unwrap() + 1;
    hit("0000000000000002.wal", first + 60);
    let topic = open(folder.path(), settings);
    assert_eq!(all(&topic).len(), 1904 + 10);
    assert_eq!(write(&topic, "w", 6015, &numbered(6015..6021)), 1);
}

#[test]
fn a_torn_end_was_not_acknowledged_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let topic = open(folder.path(), Settings::default());
    write(&topic, "w", 0, &numbered(0..5));
    drop(topic);
    let path = folder.path().join("0000000000000001.wal");
    let good = std::fs::read(&path).unwrap();
    for torn in [&b"WLf1\x05\xff"[..], b"WLf1\x05\x10\0\0\0abcdefg", &[0; 100]] {
        std::fs::write(&path, [&good, torn].concat()).unwrap();
        let topic = open(folder.path(), Settings::default());
        assert_eq!((all(&topic), topic.stats().damaged), ((0..5).collect(), 0));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), good.len() as u64);
    }
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Micros(NOW));
    let settings =
        Settings { retention: Some(Duration::from_secs(100)), max_bytes: 20_000, segment_bytes: 2000 };
    let topic = Topic::open(folder.path(), settings, clock.clone()).unwrap();
    for n in (0..2000).step_by(20) {
        write(&topic, "w", n, &numbered(n..n + 20));
    }
    let stats = topic.stats();
    assert!(stats.bytes <= 20_000 && stats.records > 100, "{stats:?}");
    let kept = all(&topic);
    assert_eq!(kept.last(), Some(&1999), "the newest stay");
    assert_eq!(kept.len(), 2000 - usize::try_from(kept[0]).unwrap(), "and without a hole");
    clock.advance(50_000_000);
    topic.maintain().unwrap();
    write(&topic, "w", 2000, &numbered(2000..2001));
    clock.advance(60_000_000);
    topic.maintain().unwrap();
    assert_eq!(all(&topic), [2000]);
    clock.advance(101_000_000);
    topic.maintain().unwrap();
    assert_eq!(all(&topic), [0; 0]);
    assert_eq!(topic.progress("w").unwrap().next, 2001, "writers are known longer than their records");
    drop(topic);
    let topic = Topic::open(folder.path(), settings, clock).unwrap();
    assert_eq!(topic.progress("w").unwrap().next, 2001);
    write(&topic, "w", 2001, &numbered(2001..2002));
    assert_eq!(topic.query(&Query::default(), TIME).unwrap().records[0].number, 2001, "numbers go on");
}

#[test]
fn what_can_not_be_kept_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let topic = open(folder.path(), Settings::default());
    let good = NewRecord { position: 0, time: 0, stream: "", text: b"{}" };
    let big = [b"{\"a\":\"", &vec![b'x'; MAX_RECORD][..], b"\"}"].concat();
    for bad in [
        NewRecord { text: b"[]", ..good },
        NewRecord { text: b"{", ..good },
        NewRecord { text: &big, ..good },
        NewRecord { position: 9, ..good },
    ] {
        let batch = Batch { writer: "w", next: 2, note: "", records: &[good, bad] };
        assert!(matches!(topic.append(&batch), Err(Error::Invalid(_))));
    }
    assert!(topic.append(&Batch { writer: "", next: 1, note: "", records: &[good] }).is_err());
    assert_eq!((topic.stats().records, topic.progress("w")), (0, None));
    let logs = Logs::new(folder.path().join("l"), BTreeMap::from([("t".into(), small())]), Clock::system());
    assert!(matches!(logs.topic("u"), Err(Error::NotFound(_))));
    assert!(!folder.path().join("l").exists(), "nothing is made for nothing");
    write(&logs.topic("t").unwrap(), "w", 0, &numbered(0..1));
    logs.maintain();
    assert_eq!(logs.topic("t").unwrap().stats().records, 1);
}

#[test]
fn time_that_runs_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let topic = open(folder.path(), Settings::default());
    write(&topic, "w", 0, &numbered(0..2000));
    let page = topic.query(&Query::default(), Duration::ZERO).unwrap();
    assert!(!page.complete && page.next.is_none());
    assert!(!topic.top(&Query::default(), "n", 3, Duration::ZERO).unwrap().complete);
    let long = Query { from: 0, to: i64::MAX / 2, ..Query::default() };
    assert!(matches!(topic.histogram(&long, 1000, TIME), Err(Error::Invalid(_))));
}

#[derive(Debug, Clone)]
struct Made {
    time: i64,
    text: String,
}

fn made() -> impl Strategy<Value = Made> {
    let word = prop::sample::select(vec!["alpha", "beta", "Gamma", "10.0.0.1", "连接", "-"]);
    let number = prop_oneof![-3i64..40, Just(i64::MAX)];
    (0i64..60, number, prop::collection::vec(word, 0..3), prop::option::of(-2.0f64..2.0)).prop_map(
        |(time, n, words, real)| {
            let real = real.map_or(String::new(), |r| format!(r#","r":{r}"#));
            let inner = if n % 2 == 0 { format!(r#","o":{{"p":{n}}}"#) } else { String::new() };
            Made {
                time: time * 1_000_000,
                text: format!(r#"{{"n":{n},"m":"{}"{real}{inner}}}"#, words.join(" ")),
            }
        },
    )
}

fn asked() -> impl Strategy<Value = Query> {
    let operator = prop::sample::select(Operator::ALL.map(|(_, o)| o).to_vec());
    let field = prop::sample::select(vec!["n", "m", "r", "o.p", "none", "_stream"]);
    let value =
        prop::sample::select(vec!["0", "7", "-1", "1.5", "alpha", "alpha beta", "al", "10.0.", "s", ""]);
    let filter = (field, operator, value).prop_map(|(f, operator, v)| Filter {
        field: f.to_owned(),
        operator,
        value: v.to_owned(),
    });
    let phrase = prop::sample::select(vec!["alpha", "GAMMA", "beta alpha", "0.1", "接", "none"]);
    let order = prop::sample::select(vec![Order::Newest, Order::Oldest, Order::Arrival]);
    let times = (-5i64..65, 0i64..70);
    let (filters, phrases) = (prop::collection::vec(filter, 0..3), prop::collection::vec(phrase, 0..2));
    (times, filters, phrases, order, 1usize..30).prop_map(|((from, long), filters, phrases, order, limit)| {
        Query {
            from: from * 1_000_000,
            to: (from + long) * 1_000_000,
            filters,
            phrases: phrases.into_iter().map(str::to_owned).collect(),
            limit,
            order,
            after: None,
        }
    })
}

/// Every page of an answer, one after the other.
fn paged(topic: &Topic, q: &Query) -> Vec<u64> {
    let (mut found, mut q) = (Vec::new(), q.clone());
    loop {
        let page = topic.query(&q, TIME).unwrap();
        assert!(page.records.len() <= q.limit && page.complete && page.damaged == 0);
        found.extend(page.records.iter().map(|r| r.number));
        let Some(next) = page.next else { return found };
        let text = next.to_string();
        q.after = Some(text.parse::<Cursor>().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_that_of_a_plain_filter(
        records in prop::collection::vec(made(), 0..120),
        queries in prop::collection::vec(asked(), 1..12),
        cuts in prop::collection::vec(0usize..4, 0..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let topic = open(folder.path(), Settings { segment_bytes: 1 << 20, ..Settings::default() });
        // A few batches, some of them behind the end of a segment: each costs a sync.
        for (batch, piece) in records.chunks(30).enumerate() {
            let texts: Vec<_> = piece.iter().map(|m| (m.time, m.text.clone())).collect();
            write(&topic, "w", i64::try_from(batch * 30).unwrap(), &texts);
            if cuts.contains(&batch) {
                topic.seal_now().unwrap();
            }
        }
        for q in &queries {
            let compiled = Compiled::of(q).unwrap();
            let mut hits: Vec<(i64, u64)> = (0..).zip(&records).filter(|(n, m)| {
                compiled.matches(&RecordRef { number: *n, time: m.time, stream: "s", text: m.text.as_bytes() })
            }).map(|(n, m)| (m.time, n)).collect();
            match q.order {
                Order::Arrival => {}
                Order::Oldest => hits.sort_unstable(),
                Order::Newest => { hits.sort_unstable(); hits.reverse(); }
            }
            prop_assert_eq!(paged(&topic, q), hits.iter().map(|h| h.1).collect::<Vec<_>>());
            let h = topic.histogram(q, 7_000_000, TIME).unwrap();
            prop_assert_eq!(h.total, hits.len() as u64);
            let bars: BTreeMap<i64, u64> = h.counts.into_iter().filter(|(_, c)| *c > 0).collect();
            let mut want = BTreeMap::new();
            for (time, _) in &hits {
                *want.entry(time.div_euclid(7_000_000) * 7_000_000).or_insert(0) += 1;
            }
            prop_assert_eq!(bars, want);
            let top = topic.top(q, "m", 2, TIME).unwrap();
            let named: u64 = top.values.iter().map(|(_, n)| n).sum();
            prop_assert_eq!((top.total, named + top.others + top.without), (hits.len() as u64, hits.len() as u64));
        }
    }

    #[test]
    fn no_expression_panics(text in "[a-c=<>!^*\"\\\\ é]{0,24}") {
        if let Ok(e) = parse(&text) {
            let q = Query { filters: e.filters, phrases: e.phrases, ..Query::default() };
            let _ = Compiled::of(&q);
        }
    }
}
