//! Committed offsets: what each group has read, and what open transactions are about to say so.

use crate::error::Result;
use crate::partition::{Dirty, lock};
use crate::settings::Fsync;
use crate::storage::bin::{self, Reader};
use crate::storage::journal::Journal;
use bytes::BufMut;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

const VERSION: u8 = 1;

/// A topic's partition.
pub type Spot = (String, i32);

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// Epoch of the leader that the reader knew, or −1.
    pub leader_epoch: i32,
    /// Words of the reader.
    pub metadata: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

#[derive(Debug, Default)]
struct OfGroup {
    committed: BTreeMap<Spot, Committed>,
    /// By producer.
    pending: BTreeMap<i64, BTreeMap<Spot, Committed>>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    groups: HashMap<String, OfGroup>,
}

/// See the module.
#[derive(Debug)]
pub struct Offsets {
    inner: Mutex<Inner>,
    fsync: Fsync,
    dirty: Arc<Dirty>,
}

impl Offsets {
    /// Reads what was committed.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn open(data_dir: &Path, fsync: Fsync, dirty: Arc<Dirty>) -> Result<Self> {
        let journal = Journal::open(&data_dir.join("offsets.journal"))?;
        let mut groups: HashMap<String, OfGroup> = HashMap::new();
        for (key, value) in journal.entries() {
            let Some((producer, group, spot)) = parse_key(key) else { continue };
            let of = groups.entry(group.to_owned()).or_default();
            let committed = decode(value)?;
            match producer {
                None => drop(of.committed.insert(spot, committed)),
                Some(p) => drop(of.pending.entry(p).or_default().insert(spot, committed)),
            }
        }
        Ok(Self { inner: Mutex::new(Inner { journal, groups }), fsync, dirty })
    }

    fn change(&self, inner: &mut Inner, changes: Vec<(String, Option<Vec<u8>>)>) -> Result<()> {
        inner.journal.write(changes)?;
        self.dirty.poke();
        if self.fsync == Fsync::Each { inner.journal.sync() } else { Ok(()) }
    }

    /// Commits offsets of a group, all or none.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn commit(&self, group: &str, offsets: Vec<(Spot, Committed)>) -> Result<()> {
        let mut inner = lock(&self.inner);
        let changes = offsets.iter().map(|(spot, c)| (key(None, group, spot), Some(encode(c)))).collect();
        self.change(&mut inner, changes)?;
        inner.groups.entry(group.to_owned()).or_default().committed.extend(offsets);
        Ok(())
    }

    /// Keeps offsets until the producer's transaction ends.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn prepare(&self, producer: i64, group: &str, offsets: Vec<(Spot, Committed)>) -> Result<()> {
        let mut inner = lock(&self.inner);
        let put = |(spot, c): &(Spot, Committed)| (key(Some(producer), group, spot), Some(encode(c)));
        let changes = offsets.iter().map(put).collect();
        self.change(&mut inner, changes)?;
        let of = inner.groups.entry(group.to_owned()).or_default();
        of.pending.entry(producer).or_default().extend(offsets);
        Ok(())
    }

    /// The producer's transaction has ended: its offsets of this group count, or never were.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn finish(&self, producer: i64, group: &str, commit: bool) -> Result<()> {
        let mut inner = lock(&self.inner);
        let pending = inner.groups.get(group).and_then(|g| g.pending.get(&producer));
        let Some(pending) = pending.cloned() else { return Ok(()) };
        let mut changes = Vec::new();
        for (spot, committed) in &pending {
            changes.push((key(Some(producer), group, spot), None));
            if commit {
                changes.push((key(None, group, spot), Some(encode(committed))));
            }
        }
        self.change(&mut inner, changes)?;
        if let Some(of) = inner.groups.get_mut(group) {
            of.pending.remove(&producer);
            if commit {
                of.committed.extend(pending);
            }
        }
        forget_if_empty(&mut inner, group);
        Ok(())
    }

    /// What a group has committed, everything or for one partition.
    pub fn of(&self, group: &str) -> BTreeMap<Spot, Committed> {
        lock(&self.inner).groups.get(group).map(|g| g.committed.clone()).unwrap_or_default()
    }

    /// One committed offset.
    pub fn get(&self, group: &str, spot: &Spot) -> Option<Committed> {
        lock(&self.inner).groups.get(group)?.committed.get(spot).cloned()
    }

    /// Is an open transaction about to change this offset?
    pub fn is_unstable(&self, group: &str, spot: &Spot) -> bool {
        let inner = lock(&self.inner);
        inner.groups.get(group).is_some_and(|g| g.pending.values().any(|p| p.contains_key(spot)))
    }

    /// Does the group have any?
    pub fn has(&self, group: &str) -> bool {
        lock(&self.inner).groups.contains_key(group)
    }

    /// Groups that have committed something.
    pub fn groups(&self) -> BTreeSet<String> {
        lock(&self.inner).groups.keys().cloned().collect()
    }

    /// Deletes offsets of a group: those of some partitions, or all.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn delete(&self, group: &str, which: impl Fn(&Spot) -> bool) -> Result<()> {
        let mut inner = lock(&self.inner);
        let Some(of) = inner.groups.get(group) else { return Ok(()) };
        let gone: Vec<Spot> = of.committed.keys().filter(|s| which(s)).cloned().collect();
        let changes = gone.iter().map(|spot| (key(None, group, spot), None)).collect();
        self.change(&mut inner, changes)?;
        if let Some(of) = inner.groups.get_mut(group) {
            of.committed.retain(|spot, _| !gone.contains(spot));
        }
        forget_if_empty(&mut inner, group);
        Ok(())
    }

    /// Puts everything on the disk. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<()> {
        let mut inner = lock(&self.inner);
        // Where answers depend on it, two flushes at once must not be: only one is told of a failure.
        if self.fsync == Fsync::Each {
            return inner.journal.sync();
        }
        let Some(unsynced) = inner.journal.unsynced()? else { return Ok(()) };
        drop(inner);
        let flushed = unsynced.flush();
        lock(&self.inner).journal.note_synced(&unsynced, flushed)
    }
}

fn forget_if_empty(inner: &mut Inner, group: &str) {
    if inner.groups.get(group).is_some_and(|g| g.committed.is_empty() && g.pending.is_empty()) {
        inner.groups.remove(group);
    }
}

/// `o` or `p`, the producer, the group (which may hold anything), topic, partition; NUL between them.
fn key(producer: Option<i64>, group: &str, (topic, partition): &Spot) -> String {
    match producer {
        None => format!("o\0{group}\0{topic}\0{partition}"),
        Some(p) => format!("p\0{p}\0{group}\0{topic}\0{partition}"),
    }
}

fn parse_key(key: &str) -> Option<(Option<i64>, &str, Spot)> {
    let (kind, rest) = key.split_once('\0')?;
    let (producer, rest) = match kind {
        "o" => (None, rest),
        "p" => {
            let (producer, rest) = rest.split_once('\0')?;
            (Some(producer.parse().ok()?), rest)
        }
        _ => return None,
    };
    let mut parts = rest.rsplitn(3, '\0');
    let partition = parts.next()?.parse().ok()?;
    let topic = parts.next()?.to_owned();
    Some((producer, parts.next()?, (topic, partition)))
}

fn encode(c: &Committed) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.put_i64(c.offset);
    out.put_i32(c.leader_epoch);
    out.put_i64(c.at_ms);
    bin::put_text(&mut out, &c.metadata);
    out
}

fn decode(bytes: &[u8]) -> Result<Committed> {
    let mut r = Reader(bytes);
    if r.u8()? != VERSION {
        return Err(crate::Error::corrupt("offsets of another version"));
    }
    let (offset, leader_epoch, at_ms) = (r.i64()?, r.i32()?, r.i64()?);
    Ok(Committed { offset, leader_epoch, metadata: r.text()?, at_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: "m".to_owned(), at_ms: 5 }
    }

    #[test]
    fn offsets_of_transactions_count_when_they_commit_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Offsets::open(dir.path(), Fsync::Never, Arc::default()).unwrap();
        let spot = ("t.x-y_z".to_owned(), 3);
        let group = "g\0odd\u{1F600}";
        let offsets = open();
        offsets.commit(group, vec![(spot.clone(), at(1))]).unwrap();
        offsets.prepare(7, group, vec![(spot.clone(), at(9))]).unwrap();
        drop(offsets);
        let offsets = open();
        assert!(offsets.is_unstable(group, &spot));
        assert_eq!(offsets.get(group, &spot), Some(at(1)));
        offsets.finish(7, group, true).unwrap();
        assert_eq!(open().get(group, &spot), Some(at(9)));
        offsets.prepare(8, group, vec![(spot.clone(), at(11))]).unwrap();
        offsets.finish(8, group, false).unwrap();
        assert_eq!(open().get(group, &spot), Some(at(9)));
        offsets.delete(group, |_| true).unwrap();
        assert!(!open().has(group) && !offsets.has(group));
    }
}
