//! Attacks on compaction: random logs against a model, crashes at every step, readers during the swap, bad batches.

use super::*;
use crate::storage::log::tests::settings;
use crate::storage::log::{LogSettings, Piece};
use crate::storage::records::{Producer, encode, marker};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

const NOW: i64 = 1_700_000_000_000;
const POLICY: Policy = Policy { dirty_permille: 0, lag_ms: 0, tombstones_ms: 1000 };

fn small() -> LogSettings {
    LogSettings { segment_bytes: 2000, compaction: Some(POLICY), ..settings() }
}

fn record(key: &str, value: Option<&str>) -> Record {
    let bytes = |s: &str| Bytes::copy_from_slice(s.as_bytes());
    let key = (!key.is_empty()).then(|| bytes(key));
    Record { timestamp: NOW, key, value: value.map(bytes), ..Record::default() }
}

fn append(log: &mut Log, bytes: &Bytes) -> i64 {
    log.append(&Header::parse(bytes).unwrap(), bytes, NOW, &small()).unwrap().base_offset
}

fn plan(log: &mut Log, now: i64) -> Option<Plan> {
    log.sync().unwrap();
    log.plan_compaction(now, small().segment_bytes, POLICY, &Arc::default()).unwrap()
}

fn compact(log: &mut Log, now: i64) -> bool {
    let Some(plan) = plan(log, now) else { return false };
    let swap = plan.write().unwrap();
    log.adopt(&swap).unwrap()
}

/// Everything that a reader of committed records sees from an offset on, and that it gets on.
fn read(log: &mut Log, from: i64) -> Vec<(i64, Record)> {
    let (mut next, mut out) = (from, Vec::new());
    while let Some(place) = log.locate(next).unwrap() {
        let piece = place.read(next, 700, log.stable_end()).unwrap();
        if piece.bytes.is_empty() {
            break;
        }
        out.extend(committed(log, &piece, next));
        assert!(piece.next_offset > next, "no progress at {next}");
        log.expect(&piece);
        next = piece.next_offset;
    }
    assert!(next >= log.stable_end().min(log.end()), "the reader stands still at {next}");
    out
}

/// As a client does it: an abort counts from its first offset until its marker.
fn committed(log: &Log, piece: &Piece, from: i64) -> Vec<(i64, Record)> {
    let mut starts = log.producers.aborted(from, piece.next_offset);
    starts.sort_by_key(|a| a.first_offset);
    let (mut void, mut starts) = (HashSet::new(), starts.into_iter().peekable());
    let (mut rest, mut out) = (piece.bytes.clone(), Vec::new());
    while let Some(header) = Header::parse(&rest) {
        let batch = rest.split_to(header.length);
        while let Some(a) = starts.next_if(|a| a.first_offset <= header.last_offset()) {
            void.insert(a.producer_id);
        }
        if header.is_control() {
            void.remove(&header.producer_id);
        } else if !(header.is_transactional() && void.contains(&header.producer_id)) {
            let all = records::decode(&batch, 1 << 20).unwrap();
            out.extend(all.into_iter().filter(|(at, _)| *at >= from));
        }
    }
    out
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap()) {
        std::fs::copy(entry.path(), out.path().join(entry.file_name())).unwrap();
    }
    out
}

/// What was committed: the newest of each key, and everything by offset.
#[derive(Default, Clone)]
struct Model {
    newest: BTreeMap<Bytes, (i64, Record)>,
    all: BTreeMap<i64, Record>,
}

impl Model {
    fn commit(&mut self, base: i64, records: &[Record]) {
        for (offset, r) in (base..).zip(records) {
            self.all.insert(offset, r.clone());
            if let Some(key) = &r.key {
                let known = self.newest.entry(key.clone()).or_insert((offset, r.clone()));
                if known.0 <= offset {
                    *known = (offset, r.clone());
                }
            }
        }
    }

    /// A reader that began at the start knows for each key what the writers meant, and saw nothing that was not committed.
    fn check(&self, log: &mut Log) -> usize {
        let start = log.start();
        let seen = read(log, start);
        let mut state = BTreeMap::new();
        for (offset, r) in &seen {
            assert_eq!(self.all.get(offset), Some(r), "offset {offset}");
            if let Some(key) = &r.key {
                state.insert(key.clone(), r.clone());
            }
        }
        for (key, (offset, r)) in &self.newest {
            match state.get(key) {
                Some(got) => assert_eq!(got, r, "{key:?} at {offset}"),
                None => assert!(r.value.is_none(), "{key:?} at {offset} is lost"),
            }
        }
        let keyless = |all: &mut dyn Iterator<Item = &Record>| all.filter(|r| r.key.is_none()).count();
        assert_eq!(keyless(&mut seen.iter().map(|(_, r)| r)), keyless(&mut self.all.values()));
        assert!(seen.is_sorted_by_key(|(offset, _)| *offset));
        seen.len()
    }
}

/// A small generator, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn records(&mut self, round: usize) -> Vec<Record> {
        (0..=self.roll(4))
            .map(|_| match self.roll(20) {
                0 => record("", Some("keyless")),
                n => {
                    let value = format!("{round}-{}", self.roll(1 << 30));
                    record(&format!("k{}", n % 13), (n % 5 > 0).then_some(value.as_str()))
                }
            })
            .collect()
    }
}

/// Random batches, plain and in transactions that overlap, with compactions and crashes in between.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn what_readers_know_is_what_writers_meant() {
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, mut model, mut dice) =
            (Log::open(dir.path(), false).unwrap(), Model::default(), Dice(seed));
        let mut open: BTreeMap<i64, Vec<(i64, Vec<Record>)>> = BTreeMap::new();
        let mut sequences: BTreeMap<i64, i32> = BTreeMap::new();
        let mut now = NOW;
        for round in 0..400 {
            let records = dice.records(round);
            match dice.roll(4) {
                0 => {
                    let base = append(&mut log, &encode(&records, None));
                    model.commit(base, &records);
                }
                1 | 2 => {
                    let id = 7 + i64::try_from(dice.roll(3)).unwrap();
                    let sequence = sequences.entry(id).or_insert(0);
                    let attributes = batch::transactional_attributes(false);
                    let base = append(
                        &mut log,
                        &encode(&records, Some(Producer { id, epoch: 0, sequence: *sequence, attributes })),
                    );
                    *sequence += i32::try_from(records.len()).unwrap();
                    open.entry(id).or_default().push((base, records));
                }
                _ => {
                    if let Some((id, parts)) = open.pop_first() {
                        let commits = dice.roll(2) == 0;
                        append(&mut log, &marker(id, 0, commits, NOW));
                        for (base, records) in parts.iter().filter(|_| commits) {
                            model.commit(*base, records);
                        }
                    }
                }
            }
            if dice.roll(25) == 0 {
                now += 400;
                compact(&mut log, now);
                if open.is_empty() {
                    model.check(&mut log);
                }
                // As after kill -9: the files as they are.
                let crashed = copy_of(dir.path());
                let mut again = Log::open(crashed.path(), false).unwrap();
                let start = log.start();
                assert_eq!((read(&mut again, start), again.start()), (read(&mut log, start), start));
                assert_eq!(
                    (again.end(), again.producers.first_open()),
                    (log.end(), log.producers.first_open())
                );
            }
        }
        while let Some((id, _)) = open.pop_first() {
            append(&mut log, &marker(id, 0, false, NOW));
        }
        let before = model.check(&mut log);
        log.roll().unwrap();
        compact(&mut log, now + 10_000);
        compact(&mut log, now + 20_000);
        let after = model.check(&mut log);
        assert!(after < 100 && before >= after, "seed {seed}: {before} and then {after} records");
        // From every offset a reader gets what is left from there on.
        let all = read(&mut log, 0);
        for from in 0..log.end() {
            let rest: Vec<_> = all.iter().filter(|(at, _)| *at >= from).cloned().collect();
            assert_eq!(read(&mut log, from), rest, "from {from}");
        }
        // A clean end, and a start from nothing but the batches and the note.
        log.close().unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()) {
            if entry.extension().is_some_and(|e| e == "index" || e == "producers") {
                std::fs::remove_file(entry).unwrap();
            }
        }
        let mut log = Log::open(dir.path(), false).unwrap();
        assert_eq!(read(&mut log, 0), all, "seed {seed}");
    }
}

/// A log with aborted and committed transactions in several closed segments.
fn filled(dir: &Path) -> (Log, Model) {
    let (mut log, mut model) = (Log::open(dir, false).unwrap(), Model::default());
    let attributes = batch::transactional_attributes(false);
    for n in 0..60 {
        let records = [record(&format!("k{}", n % 3), Some(&format!("value {n}"))), record("once", None)];
        let producer = Producer { id: 7, epoch: 0, sequence: 2 * n, attributes };
        let base = append(&mut log, &encode(&records, Some(producer)));
        append(&mut log, &marker(7, 0, n % 2 == 0, NOW));
        if n % 2 == 0 {
            model.commit(base, &records);
        }
    }
    (log, model)
}

/// The process ends after each step of the swap, and before it: afterwards it is as before or as after, and goes on.
#[test]
fn a_swap_that_is_interrupted_anywhere_is_ended_or_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, model) = filled(dir.path());
    let old = read(&mut log, 0);
    let swap = plan(&mut log, NOW).unwrap().write().unwrap();
    assert!(swap.old.len() > 3 && swap.new.len() < swap.old.len(), "{swap:?}");
    let steps = swap.steps();
    for done in 0..=steps.len() + 2 {
        let crashed = copy_of(dir.path());
        let swap = Swap { dir: crashed.path().to_owned(), ..swap.clone() };
        if done > 0 {
            swap.prepare().unwrap();
        }
        if done > 1 {
            swap.decide().unwrap();
            steps.iter().take(done - 2).for_each(|step| swap.take(*step).unwrap());
        }
        let mut log = Log::open(crashed.path(), false).unwrap();
        model.check(&mut log);
        assert_eq!(read(&mut log, 0) == old, done < 2, "{done} steps");
        assert_eq!(log.cleaned == swap.upper, done > 1);
        let left = |e: &str| {
            std::fs::read_dir(crashed.path())
                .unwrap()
                .any(|f| f.unwrap().path().extension().is_some_and(|x| x == e))
        };
        assert!(!left("cleaned"));
        // It goes on: the producer's next transaction, and the next compaction.
        let attributes = batch::transactional_attributes(false);
        let last = [record("k0", Some("last"))];
        let producer = Producer { id: 7, epoch: 0, sequence: 120, attributes };
        let at = append(&mut log, &encode(&last, Some(producer)));
        append(&mut log, &marker(7, 0, true, NOW));
        let mut model = model.clone();
        model.commit(at, &last);
        model.check(&mut log);
        log.roll().unwrap();
        assert!(compact(&mut log, NOW + 1));
        assert!(model.check(&mut log) <= 5);
        let again = copy_of(crashed.path());
        model.check(&mut Log::open(again.path(), false).unwrap());
    }
}

/// A reader that looked before the swap reads after it, and its next place is not looked up in the new file.
#[test]
fn a_reader_keeps_the_file_that_it_has_and_is_told_that_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = filled(dir.path());
    let place = log.locate(0).unwrap().unwrap();
    assert!(compact(&mut log, NOW));
    assert!(log.has_moved(&place));
    let piece = place.read(0, 300, log.end()).unwrap();
    assert_eq!(Header::parse(&piece.bytes).unwrap().base_offset, 0);
    let place = log.locate(0).unwrap().unwrap();
    assert!(!log.has_moved(&place));
    assert!(log.producers.aborted(0, log.cleaned).is_empty(), "nobody is told of what went");
    assert_eq!(read(&mut log, 0).len(), read(&mut log, 0).len());
}

#[test]
fn a_tombstone_stays_its_time_and_takes_all_older_records_along() {
    for keys in [0, 1, MOST_KEYS] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), false).unwrap();
        let values = |log: &mut Log| -> Vec<Option<Bytes>> {
            read(log, 0)
                .into_iter()
                .filter(|(_, r)| r.key.as_deref() == Some(b"gone"))
                .map(|(_, r)| r.value)
                .collect()
        };
        let round = |log: &mut Log, now: i64| {
            // Something new in a closed segment, or nothing is done.
            append(log, &encode(&[record("other", Some("x"))], None));
            log.roll().unwrap();
            let mut plan = plan(log, now).unwrap();
            plan.keys = keys;
            let swap = plan.write().unwrap();
            log.adopt(&swap).unwrap();
        };
        append(&mut log, &encode(&[record("gone", Some("old")), record("stays", Some("1"))], None));
        log.roll().unwrap();
        append(&mut log, &encode(&[record("gone", None)], None));
        round(&mut log, NOW);
        let all = keys == MOST_KEYS || keys == 1;
        assert_eq!(values(&mut log).last(), Some(&None), "the removal is there to be seen");
        round(&mut log, NOW + 999);
        assert_eq!(values(&mut log).last(), Some(&None), "until its time is over");
        round(&mut log, NOW + 1000);
        round(&mut log, NOW + 2000);
        match keys {
            MOST_KEYS => assert!(values(&mut log).is_empty()),
            // Where not all could be looked at, the old value never stands alone.
            _ => assert!(values(&mut log).is_empty() || values(&mut log).last() == Some(&None), "{all}"),
        }
        assert!(read(&mut log, 0).iter().any(|(_, r)| r.key.as_deref() == Some(b"stays")));
    }
}

#[test]
fn an_open_transaction_and_what_is_not_on_the_disk_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), false).unwrap();
    let attributes = batch::transactional_attributes(false);
    for n in 0..5 {
        append(&mut log, &encode(&[record("k", Some(&n.to_string()))], None));
        log.roll().unwrap();
    }
    assert!(
        log.plan_compaction(NOW, 2000, POLICY, &Arc::default()).unwrap().is_none(),
        "nothing was flushed"
    );
    let producer = Producer { id: 7, epoch: 0, sequence: 0, attributes };
    append(&mut log, &encode(&[record("k", Some("open"))], Some(producer)));
    for n in 5..9 {
        append(&mut log, &encode(&[record("k", Some(&n.to_string()))], None));
        log.roll().unwrap();
    }
    assert!(compact(&mut log, NOW));
    assert_eq!(log.cleaned, 5, "before the transaction");
    append(&mut log, &marker(7, 0, false, NOW));
    log.roll().unwrap();
    assert!(compact(&mut log, NOW));
    let left: Vec<_> = read(&mut log, 0).into_iter().map(|(at, r)| (at, r.value.unwrap())).collect();
    assert_eq!(left, [(9, Bytes::from_static(b"8"))]);
}

/// A batch that can't be read ends it without a change, and it is not tried for ever.
#[test]
fn a_damaged_batch_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = filled(dir.path());
    log.sync().unwrap();
    let file = super::super::segment::path(dir.path(), 0, "log");
    let mut bytes = std::fs::read(&file).unwrap();
    let good = bytes.clone();
    let plan = plan(&mut log, NOW).unwrap();
    // Somewhere in a batch, and in the offset of one, which no checksum covers.
    let second = Header::parse(&bytes).unwrap().length;
    for at in [bytes.len() / 2, second - 1, second + 1, second + 7, second + 9] {
        bytes.clone_from(&good);
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert!(plan.write().unwrap_err().to_string().contains("damaged"), "byte {at}");
    }
    log.note_uncompactable(&plan);
    assert!(super::tests::plan(&mut log, NOW).is_none());
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert!(
        std::fs::read_dir(dir.path()).unwrap().all(|f| f
            .unwrap()
            .path()
            .extension()
            .is_none_or(|e| e != "cleaned"))
    );
    // Stopped in the middle: the same.
    let dir = tempfile::tempdir().unwrap();
    let (mut log, model) = filled(dir.path());
    let plan = super::tests::plan(&mut log, NOW).unwrap();
    plan.stop.store(true, Ordering::Relaxed);
    assert!(plan.write().is_err());
    model.check(&mut log);
    // Segments went meanwhile: what was planned with is not there any more.
    let plan = super::tests::plan(&mut log, NOW).unwrap();
    let swap = Plan { stop: Arc::default(), ..plan }.write().unwrap();
    let second = log.segments[1].base;
    log.delete_before(second).unwrap();
    assert!(!log.adopt(&swap).unwrap());
    assert_eq!(log.start(), second);
    assert!(!read(&mut log, second).is_empty());
}

/// Old segments are all there is until the new ones are in their places: a new file that is not there, or not whole, stops the swap.
#[test]
fn a_swap_without_its_new_files_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = |base: i64, extension: &str| crate::storage::segment::path(dir.path(), base, extension);
    for base in [0, 100] {
        std::fs::write(file(base, "log"), b"old").unwrap();
    }
    let swap = Swap { dir: dir.path().to_owned(), upper: 200, old: vec![0, 100], new: vec![(0, 7)] };
    assert!(swap.prepare().is_err(), "the new file is missing");
    std::fs::write(swap::beside(dir.path(), 0), b"short").unwrap();
    assert!(swap.prepare().is_err(), "the new file is not whole");
    std::fs::write(swap::beside(dir.path(), 0), b"the new").unwrap();
    swap.prepare().unwrap();
    swap.decide().unwrap();
    std::fs::remove_file(swap::beside(dir.path(), 0)).unwrap();
    assert!(swap.carry_out().is_err());
    assert!(swap::recover(dir.path()).is_err(), "nor at the next opening");
    assert_eq!(std::fs::read(file(100, "log")).unwrap(), b"old");
    // A damaged note beside new files decides nothing.
    std::fs::write(dir.path().join("compaction"), b"rotten").unwrap();
    assert_eq!(swap::recover(dir.path()).unwrap(), None, "without new files it is as if there were none");
    std::fs::write(swap::beside(dir.path(), 0), b"the new").unwrap();
    assert!(swap::recover(dir.path()).is_err());
    assert!(swap::beside(dir.path(), 0).exists() && file(0, "log").exists());
}
