//! A durable map of small values: an append-only file of puts and deletes, replayed at the start and
//! written anew when most of it is outdated. Topics, committed offsets and transactions are kept so.

mod damage;

use super::{bin, folder};
use crate::error::{Error, Result};
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file below this size is never written anew.
const SMALL: u64 = 256 << 10;
/// Largest record that is written, and believed at the start.
const MOST: usize = 64 << 20;

/// See the module.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    live: u64,
    map: BTreeMap<String, Vec<u8>>,
    /// Up to here it is on the disk.
    synced: u64,
    /// Why nothing is taken any more, once the disk has refused something that can't be undone.
    failed: Option<String>,
}

/// A file to flush, and how far it is durable then.
#[derive(Debug)]
pub struct Unsynced {
    file: Arc<File>,
    size: u64,
}

impl Unsynced {
    /// Puts the file on the disk. Blocks. How it went is to be told to [`Journal::note_synced`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }
}

impl Journal {
    /// Opens or makes a journal. A torn end (a crash while it was written) is cut off.
    ///
    /// # Errors
    /// When the file can't be read or written, or a record is damaged that valid ones follow: that is no
    /// torn end, and the file is left as it is.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |e: std::io::Error| Error::storage(path.display(), &e);
        let is_new = !path.exists();
        let options = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(wrong)?;
        if is_new {
            folder::sync_name(path)?;
        }
        let bytes = std::fs::read(path).map_err(wrong)?;
        let mut map = BTreeMap::new();
        let size = replay(&bytes, &mut map);
        if size < bytes.len() as u64 {
            let at = usize::try_from(size).unwrap_or(usize::MAX);
            if let Some(next) = damage::valid_after(&bytes[at..]) {
                let words = format!(
                    "{}: damaged at byte {size}, valid records follow at byte {}; the file was left as it is: \
                     restore it, or cut it off at byte {size} to go on without what follows",
                    path.display(),
                    size + next as u64,
                );
                return Err(Error::new(kafka_protocol::ResponseError::KafkaStorageError, words));
            }
            tracing::warn!(file = %path.display(), kept = size, was = bytes.len(), "cut off a torn end");
            file.set_len(size).map_err(wrong)?;
        }
        let live = map.iter().map(|(k, v)| cost(k, v)).sum();
        Ok(Self { path: path.to_owned(), file: Arc::new(file), size, live, map, synced: 0, failed: None })
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.map.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }

    /// One value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.map.get(key).map(Vec::as_slice)
    }

    /// Puts (`Some`) and deletes (`None`) together: after a crash all of them are there or none.
    ///
    /// # Errors
    /// When they can't be written, or the disk has refused before; then nothing has changed.
    pub fn write(&mut self, changes: Vec<(String, Option<Vec<u8>>)>) -> Result<()> {
        self.check_sound()?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut body = Vec::new();
        for (key, value) in &changes {
            bin::put_text(&mut body, key);
            body.put_u8(u8::from(value.is_some()));
            if let Some(v) = value {
                body.put_u32(u32::try_from(v.len()).unwrap_or(0));
                body.put_slice(v);
            }
        }
        if body.len() > MOST {
            let words = format!("{} bytes of changes at once, more than {MOST}", body.len());
            return Err(Error::new(kafka_protocol::ResponseError::InvalidRequest, words));
        }
        let mut record = Vec::with_capacity(body.len() + 8);
        record.put_u32(u32::try_from(body.len()).unwrap_or(0));
        record.put_u32(crc32c::crc32c(&body));
        record.put_slice(&body);
        if let Err(e) = self.file.write_all_at(&record, self.size) {
            // What was written of it must not stay after a shorter record that comes next.
            if let Err(e) = self.file.set_len(self.size) {
                self.fail(&format!("a failed write could not be undone: {e}"));
            }
            return Err(Error::storage(self.path.display(), &e));
        }
        self.size += record.len() as u64;
        for (key, value) in changes {
            if let Some(old) = self.map.get(&key) {
                self.live -= cost(&key, old);
            }
            match value {
                Some(v) => {
                    self.live += cost(&key, &v);
                    self.map.insert(key, v);
                }
                None => drop(self.map.remove(&key)),
            }
        }
        if self.size > SMALL
            && self.size > 4 * self.live
            && let Err(e) = self.rewrite()
        {
            tracing::warn!("{} stays long: {e}", self.path.display());
        }
        Ok(())
    }

    /// What has to be flushed, if anything; the caller may do it without holding a lock. It stays to be
    /// flushed until [`note_synced`](Self::note_synced) says that it was.
    ///
    /// # Errors
    /// When a flush has failed.
    pub fn unsynced(&self) -> Result<Option<Unsynced>> {
        self.check_sound()?;
        Ok((self.synced < self.size).then(|| Unsynced { file: self.file.clone(), size: self.size }))
    }

    /// Takes note of how a flush went. The kernel tells of a failure once and may have thrown away what it
    /// could not write, so after one nothing is taken any more until the journal is opened again.
    ///
    /// # Errors
    /// When it has failed, this one or one before.
    pub fn note_synced(&mut self, what: &Unsynced, flushed: std::io::Result<()>) -> Result<()> {
        if let Err(e) = flushed {
            self.fail(&e.to_string());
        }
        self.check_sound()?;
        // Another file is there when it was written anew in between; that one is on the disk.
        if Arc::ptr_eq(&what.file, &self.file) {
            self.synced = self.synced.max(what.size);
        }
        Ok(())
    }

    /// Puts what was written on the disk.
    ///
    /// # Errors
    /// When the disk refuses, now or before.
    pub fn sync(&mut self) -> Result<()> {
        match self.unsynced()? {
            Some(unsynced) => self.note_synced(&unsynced, unsynced.flush()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, why: &str) {
        let path = self.path.display();
        let words = || format!("{path}: {why}; nothing more is taken until the broker is started again");
        self.failed.get_or_insert_with(words);
    }

    fn check_sound(&self) -> Result<()> {
        match &self.failed {
            Some(why) => Err(Error::new(kafka_protocol::ResponseError::KafkaStorageError, why.clone())),
            None => Ok(()),
        }
    }

    fn rewrite(&mut self) -> Result<()> {
        let wrong = |e: std::io::Error| Error::storage(self.path.display(), &e);
        let beside = self.path.with_extension("new");
        let _ = std::fs::remove_file(&beside);
        let opened = File::options().read(true).write(true).create_new(true).open(&beside);
        let mut fresh = Self {
            path: beside.clone(),
            file: Arc::new(opened.map_err(wrong)?),
            size: 0,
            live: 0,
            map: BTreeMap::new(),
            synced: 0,
            failed: None,
        };
        // In pieces, so that no record gets too large; each entry is whole by itself.
        for (key, value) in &self.map {
            fresh.write(vec![(key.clone(), Some(value.clone()))])?;
        }
        fresh.file.sync_all().map_err(wrong)?;
        std::fs::rename(&beside, &self.path).map_err(wrong)?;
        (self.file, self.size, self.live, self.synced) = (fresh.file, fresh.size, fresh.live, fresh.size);
        // Without its new name what comes into it now would be gone after a power cut.
        if let Err(e) = folder::sync_name(&self.path) {
            self.fail(&e.to_string());
        }
        self.check_sound()
    }
}

fn cost(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len() + 17) as u64
}

/// The body of the record at the beginning, if it is whole.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let n = (bytes.get(..4)?).get_u32() as usize;
    let crc = (bytes.get(4..8)?).get_u32();
    let body = bytes.get(8..8_usize.checked_add(n)?)?;
    (n > 0 && n <= MOST && crc32c::crc32c(body) == crc).then_some(body)
}

/// Applies whole records and says where they end.
fn replay(bytes: &[u8], map: &mut BTreeMap<String, Vec<u8>>) -> u64 {
    let mut rest = bytes;
    while let Some(body) = body(rest) {
        if apply(body, map).is_err() {
            break;
        }
        rest = &rest[8 + body.len()..];
    }
    (bytes.len() - rest.len()) as u64
}

fn apply(body: &[u8], map: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let mut r = bin::Reader(body);
    while !r.0.is_empty() {
        let key = r.text()?;
        if r.u8()? == 0 {
            map.remove(&key);
            continue;
        }
        let n = r.count()?;
        if n > r.0.len() {
            return Err(Error::corrupt("a value is cut off"));
        }
        let (value, more) = r.0.split_at(n);
        map.insert(key, value.to_vec());
        r.0 = more;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
        (key.to_owned(), Some(value.to_vec()))
    }

    #[test]
    fn a_torn_end_takes_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut j = Journal::open(&path).unwrap();
        j.write(vec![put("a", b"1"), put("b", b"2")]).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        j.write(vec![put("a", b"3"), ("b".to_owned(), None)]).unwrap();
        drop(j);
        let bytes = std::fs::read(&path).unwrap();
        for cut in usize::try_from(whole).unwrap()..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let j = Journal::open(&path).unwrap();
            let all = cut == bytes.len();
            assert_eq!(j.get("a"), Some(if all { &b"3"[..] } else { b"1" }), "cut at {cut}");
            assert_eq!(j.get("b").is_none(), all, "both changes or none");
        }
    }

    #[test]
    fn the_name_of_a_new_file_is_made_durable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let synced = || folder::tests::SYNCED.with_borrow(|s| s.iter().filter(|p| **p == path).count());
        let mut j = Journal::open(&path).unwrap();
        assert_eq!(synced(), 1);
        j.write(vec![put("a", b"1")]).unwrap();
        drop(j);
        let mut j = Journal::open(&path).unwrap();
        assert_eq!(synced(), 1, "it was there already");
        j.rewrite().unwrap();
        assert_eq!(synced(), 2, "another file of the same name");
    }

    /// A torn end has nothing behind it. What has is damage, and nobody may lose what follows by a start.
    #[test]
    fn damage_in_the_middle_stops_the_start_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut j = Journal::open(&path).unwrap();
        let mut ends = vec![0];
        for n in 0..6_u8 {
            j.write(vec![put(&format!("key {n}"), &[n; 20]), ("gone".to_owned(), None)]).unwrap();
            ends.push(usize::try_from(j.size).unwrap());
        }
        drop(j);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            let opened = Journal::open(&path);
            if at >= ends[5] {
                assert_eq!(opened.unwrap().entries().count(), 5, "the last one is a torn end: {at}");
                continue;
            }
            let words = opened.unwrap_err().to_string();
            assert!(words.contains("damaged at byte") && words.contains("left as it is"), "{words}");
            assert_eq!(std::fs::read(&path).unwrap(), bad, "{at}");
        }
        // A hole of a page or two, and a torn end on top of it.
        let mut bad = whole.clone();
        bad[ends[1]..ends[4]].fill(0);
        bad.truncate(whole.len() - 3);
        std::fs::write(&path, &bad).unwrap();
        assert!(Journal::open(&path).is_err());
        // Zeros or rubbish at the end are nobody's records.
        for tail in [vec![0; 10_000], vec![0x61; 10_000], b"\0\0\0\x10rubbish".repeat(500)] {
            std::fs::write(&path, [&whole[..], &tail[..]].concat()).unwrap();
            assert_eq!(Journal::open(&path).unwrap().entries().count(), 6);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn after_a_failed_flush_nothing_is_taken_until_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut j = Journal::open(&path).unwrap();
        j.write(vec![put("a", b"1")]).unwrap();
        j.sync().unwrap();
        assert!(j.unsynced().unwrap().is_none());
        j.write(vec![put("a", b"2")]).unwrap();
        // The kernel refuses to flush this one, once.
        let good = std::mem::replace(&mut j.file, Arc::new(File::open("/dev/null").unwrap()));
        let earlier = Unsynced { file: good.clone(), size: j.size };
        assert!(j.sync().is_err());
        j.file = good;
        assert!(j.sync().is_err(), "a second flush is no better");
        assert!(j.write(vec![put("b", b"3")]).is_err());
        assert!(j.unsynced().is_err() && j.note_synced(&earlier, Ok(())).is_err());
        let mut j = Journal::open(&path).unwrap();
        assert_eq!((j.get("a"), j.get("b")), (Some(&b"2"[..]), None));
        j.write(vec![put("b", b"3")]).unwrap();
        j.sync().unwrap();
    }

    #[test]
    fn it_is_written_anew_when_mostly_outdated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut j = Journal::open(&path).unwrap();
        for n in 0..20_000_u32 {
            j.write(vec![put("same", &n.to_be_bytes()), put(&format!("k{}", n % 10), b"x")]).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * SMALL);
        let j = Journal::open(&path).unwrap();
        assert_eq!(j.get("same"), Some(&19_999_u32.to_be_bytes()[..]));
        assert_eq!(j.entries().count(), 11);
    }
}
