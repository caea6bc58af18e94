//! Attacks on one log: flushes that fail, folders, times.

use super::*;
use crate::storage::folder;
use crate::storage::records::{Producer, Record, encode};

/// What topics have that nobody asked anything of.
pub fn settings() -> LogSettings {
    LogSettings {
        segment_bytes: 1 << 20,
        segment_ms: i64::MAX,
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: 1 << 20,
        append_time: false,
        compaction: None,
    }
}

/// A batch of one record of an idempotent producer.
pub fn batch(sequence: i32) -> (Header, Bytes) {
    let producer = Producer { id: 5, epoch: 0, sequence, attributes: 0 };
    let bytes = encode(&[Record { timestamp: 1_700_000_000_000, ..Record::default() }], Some(producer));
    (Header::parse(&bytes).unwrap(), bytes)
}

impl Log {
    /// The next flush meets a file that the kernel refuses to flush, once.
    pub fn break_next_flush(&mut self) -> Result<()> {
        let null = File::open("/dev/null").map_err(|e| Error::storage("/dev/null", &e))?;
        self.unsynced.push(Arc::new(null));
        Ok(())
    }

    fn add(&mut self, sequence: i32) -> Result<Appended> {
        let (header, bytes) = batch(sequence);
        self.append(&header, &bytes, 0, &settings())
    }
}

#[test]
fn a_failed_flush_poisons_the_log_until_it_is_walked_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), false).unwrap();
    log.add(0).unwrap();
    let earlier = log.take_unsynced().unwrap().unwrap();
    log.sync().unwrap();
    assert_eq!(log.synced(), 1);
    log.add(1).unwrap();
    log.break_next_flush().unwrap();
    let files = log.unsynced.len();
    let why = log.sync().unwrap_err();
    assert_eq!(log.unsynced.len(), files, "they are not on the disk");
    log.unsynced.clear();
    for sequence in [0, 1, 2] {
        let refused = log.add(sequence).unwrap_err();
        assert_eq!(refused.kind(), ResponseError::KafkaStorageError, "{sequence}");
        assert!(refused.to_string().starts_with(&why.to_string()), "{refused}");
    }
    assert!(log.take_unsynced().is_err() && log.sync().is_err());
    assert!(log.note_synced(&earlier).is_err());
    assert!(log.close().is_err() && log.close().is_err());
    assert_eq!((log.synced(), log.clean), (1, false));
    drop(log);
    let mut log = Log::open(dir.path(), false).unwrap();
    assert!(!log.clean, "it was walked");
    assert_eq!(log.add(2).unwrap().base_offset, 2);
    log.close().unwrap();
}

/// A segment is closed while the one before it is being flushed: it stays to be flushed.
#[test]
fn what_is_written_during_a_flush_is_left_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), false).unwrap();
    log.add(0).unwrap();
    log.roll().unwrap();
    log.add(1).unwrap();
    let taken = log.take_unsynced().unwrap().unwrap();
    log.add(2).unwrap();
    log.roll().unwrap();
    taken.flush().unwrap();
    log.note_synced(&taken).unwrap();
    assert_eq!((log.synced(), log.unsynced.len()), (2, 1));
    log.sync().unwrap();
    assert_eq!((log.synced(), log.unsynced.len()), (3, 0));
}

/// Records without a time are not from before 1970: they are as old as their file.
#[test]
fn records_without_a_time_are_kept_by_the_age_of_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), false).unwrap();
    let bytes = encode(&[Record { timestamp: -1, ..Record::default() }], None);
    let header = Header::parse(&bytes).unwrap();
    let kept = LogSettings { retention_ms: 60_000, ..settings() };
    let written = 1_700_000_000;
    for n in 0..3 {
        log.append(&header, &bytes, 0, &kept).unwrap();
        let file = log.segments.back_mut().unwrap().hold().unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(written + n * 40);
        file.set_modified(at).unwrap();
        log.roll().unwrap();
    }
    let written_ms = i64::try_from(written).unwrap() * 1000;
    for (now, start) in [(0, 0), (59_999, 0), (60_001, 1), (100_001, 2), (1_000_000, 3)] {
        log.retain(written_ms + now, &kept).unwrap();
        assert_eq!(log.start(), start, "{now} ms later");
    }
}

/// A power cut must not take the file itself: its name is flushed with what is in it, for every new segment.
#[test]
fn new_names_are_made_durable_with_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let partition = dir.path().join("topics/t/0");
    let mut log = Log::open(&partition, false).unwrap();
    for made in [partition, dir.path().join("topics/t")] {
        assert!(folder::tests::SYNCED.with_borrow(|s| s.contains(&made)), "{made:?}");
    }
    let names = |log: &mut Log| log.take_unsynced().unwrap().unwrap().folder.is_some();
    for sequence in [0, 2, 4] {
        log.add(sequence).unwrap();
        assert!(names(&mut log), "a new segment");
        assert!(names(&mut log), "until it is done");
        log.sync().unwrap();
        log.add(sequence + 1).unwrap();
        assert!(!names(&mut log), "nothing new");
        // A segment that comes during the flush is left to the next one.
        let taken = log.take_unsynced().unwrap().unwrap();
        log.roll().unwrap();
        log.note_synced(&taken).unwrap();
    }
    let mut log = Log::open(&dir.path().join("none"), true).unwrap();
    log.add(0).unwrap();
    assert!(!names(&mut log), "nobody asked for it");
}
