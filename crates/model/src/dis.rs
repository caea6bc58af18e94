//! Streams of the DIS API: partitions that open and close, and the hash that finds one for a record.
//!
//! A stream is a topic of a log; its partition *n* is the topic's partition *n*. A topic's partitions only grow, a
//! stream's also shrink: a partition that is closed takes no more records and can be read until they are too old. The
//! open ones always share all hashes among them, in order of their numbers, in ranges of the same size.

use std::collections::BTreeMap;
use std::fmt;

use crate::{AccountId, Timestamp};

/// The largest hash of a key: 2^63 − 1.
pub const MAX_HASH: u64 = u64::MAX >> 1;

/// A stream's identifier: 19 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisStreamId(pub String);

impl DisStreamId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DisStreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the product sells: how much a partition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisKind {
    /// 1 MB or 1000 records a second in, 2 MB out.
    Common,
    /// 5 MB or 2000 records a second in, 10 MB out.
    Advanced,
}

/// What the records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisData {
    /// Anything.
    Blob,
    /// JSON objects.
    Json,
    /// Lines of values.
    Csv,
}

/// A stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisStatus {
    /// Its topic is being made.
    Creating,
    /// In use.
    Running,
    /// Its topic is being removed.
    Terminating,
}

impl DisKind {
    /// The product's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "COMMON",
            Self::Advanced => "ADVANCED",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Common, Self::Advanced].into_iter().find(|k| k.name() == word)
    }
}

impl DisData {
    /// The product's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blob => "BLOB",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }

    /// The type with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Blob, Self::Json, Self::Csv].into_iter().find(|k| k.name() == word)
    }
}

impl DisStatus {
    /// The product's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Running => "RUNNING",
            Self::Terminating => "TERMINATING",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Creating, Self::Running, Self::Terminating].into_iter().find(|k| k.name() == word)
    }
}

/// Between which numbers of partitions the server may scale by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AutoScale {
    /// Is it to?
    pub enabled: bool,
    /// Fewest partitions.
    pub least: u32,
    /// Most partitions.
    pub most: u32,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisPartition {
    /// Its number, also in the topic.
    pub index: u32,
    /// Smallest hash of its own, or that it had when it was closed.
    pub first_hash: u64,
    /// Largest.
    pub last_hash: u64,
    /// Partitions that had these hashes before it was opened.
    pub parents: Vec<u32>,
    /// When it was closed; `None` = it is open.
    pub closed: Option<Timestamp>,
}

/// What can be done with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionState {
    /// Everything.
    Active,
    /// It is closed and can be read.
    Deleted,
    /// It is closed, and all its records are too old.
    Expired,
}

impl PartitionState {
    /// The product's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deleted => "DELETED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A change of the number of open partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionChange {
    /// When.
    pub at: Timestamp,
    /// Open before.
    pub from: u32,
    /// Open since.
    pub to: u32,
    /// The server did it by itself.
    pub auto: bool,
}

/// Changes that a stream remembers.
pub const CHANGES_KEPT: usize = 100;

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisStream {
    /// Identifier.
    pub id: DisStreamId,
    /// Owner.
    pub account: AccountId,
    /// Name; one of its kind among the account's streams.
    pub name: String,
    /// The topic that holds its records.
    pub topic: String,
    /// State.
    pub status: DisStatus,
    /// What a partition takes.
    pub kind: DisKind,
    /// What the records are.
    pub data: DisData,
    /// Avro schema of the records.
    pub schema: Option<String>,
    /// What separates the values of CSV.
    pub csv_delimiter: Option<String>,
    /// How clients compress the records.
    pub compression: Option<String>,
    /// Hours that records are kept.
    pub retention_hours: u32,
    /// Scaling by itself.
    pub auto_scale: AutoScale,
    /// In order of their numbers.
    pub partitions: Vec<DisPartition>,
    /// Latest last.
    pub changes: Vec<PartitionChange>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Tags of the system (`_sys_enterprise_project_id`).
    pub system_tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub modified: Timestamp,
}

impl DisStream {
    /// The open partitions, in order of their numbers and so of their hashes.
    pub fn open(&self) -> impl Iterator<Item = &DisPartition> {
        self.partitions.iter().filter(|p| p.closed.is_none())
    }

    /// How many partitions are open.
    #[must_use]
    pub fn open_count(&self) -> u32 {
        u32::try_from(self.open().count()).unwrap_or(u32::MAX)
    }

    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, index: u32) -> Option<&DisPartition> {
        self.partitions.iter().find(|p| p.index == index)
    }

    /// What can be done with a partition of this stream.
    #[must_use]
    pub fn state_of(&self, p: &DisPartition, now: Timestamp) -> PartitionState {
        match p.closed {
            None => PartitionState::Active,
            Some(at) if now.0.saturating_sub(at.0) < self.retention_us() => PartitionState::Deleted,
            Some(_) => PartitionState::Expired,
        }
    }

    /// Milliseconds that records are kept.
    #[must_use]
    pub fn retention_ms(&self) -> u64 {
        u64::from(self.retention_hours) * 3_600_000
    }

    fn retention_us(&self) -> i64 {
        i64::from(self.retention_hours) * 3_600_000_000
    }

    /// Opens or closes partitions until so many are open (at least one), and shares the hashes out anew. Going up, closed
    /// ones are opened first, then new ones are made; going down, those with the largest numbers are closed.
    pub fn rescale(&mut self, target: u32, now: Timestamp, auto: bool) {
        let target = target.max(1);
        let from = self.open_count();
        let before: Vec<(u32, u64, u64)> =
            self.open().map(|p| (p.index, p.first_hash, p.last_hash)).collect();
        let surplus = usize::try_from(from.saturating_sub(target)).unwrap_or(0);
        for p in self.partitions.iter_mut().rev().filter(|p| p.closed.is_none()).take(surplus) {
            p.closed = Some(now);
        }
        let mut missing = target.saturating_sub(from);
        let mut opened = Vec::new();
        for p in self.partitions.iter_mut().filter(|p| p.closed.is_some()) {
            if missing == 0 || target <= from {
                break;
            }
            (p.closed, missing) = (None, missing - 1);
            opened.push(p.index);
        }
        let next = self.partitions.last().map_or(0, |p| p.index + 1);
        for index in next..next + missing {
            opened.push(index);
            let (first_hash, last_hash, parents) = (0, 0, Vec::new());
            self.partitions.push(DisPartition { index, first_hash, last_hash, parents, closed: None });
        }
        self.share_hashes(target);
        for p in self.partitions.iter_mut().filter(|p| opened.contains(&p.index)) {
            let overlaps =
                |(_, first, last): &&(u32, u64, u64)| *first <= p.last_hash && *last >= p.first_hash;
            p.parents = before.iter().filter(overlaps).map(|(i, ..)| *i).collect();
        }
        if from > 0 {
            self.changes.push(PartitionChange { at: now, from, to: target, auto });
            let surplus = self.changes.len().saturating_sub(CHANGES_KEPT);
            self.changes.drain(..surplus);
        }
        self.modified = now;
    }

    fn share_hashes(&mut self, open: u32) {
        let begin = |i: u32| {
            let at = u128::from(i) * (u128::from(MAX_HASH) + 1) / u128::from(open.max(1));
            u64::try_from(at).unwrap_or(MAX_HASH)
        };
        for (i, p) in (0..).zip(self.partitions.iter_mut().filter(|p| p.closed.is_none())) {
            p.first_hash = begin(i);
            p.last_hash = if i + 1 >= open { MAX_HASH } else { begin(i + 1) - 1 };
        }
    }
}

/// The hash of a partition key, 0 to [`MAX_HASH`]. The product does not say which it uses; this is `MurmurHash64A`
/// without its lowest bit. It never changes: keys would change their partitions.
#[must_use]
pub fn hash_of(key: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut h = 0x5eed_u64 ^ (key.len() as u64).wrapping_mul(M);
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b)).wrapping_mul(M);
        k ^= k >> 47;
        h = (h ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        h = (h ^ rest.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b))).wrapping_mul(M);
    }
    h = (h ^ (h >> 47)).wrapping_mul(M);
    (h ^ (h >> 47)) >> 1
}

/// An application that reads streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisApp {
    /// Identifier.
    pub id: String,
    /// Owner.
    pub account: AccountId,
    /// Name; one of its kind among the account's apps.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// How far an application has read a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisCheckpoint {
    /// Partition.
    pub partition: u32,
    /// The last record that was read.
    pub sequence: i64,
    /// The application's own words.
    pub metadata: String,
}

/// What happened in a minute, to a stream or to one of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DisCounts {
    /// Bytes of records that were put.
    pub put_bytes: u64,
    /// Records that were put.
    pub put_records: u64,
    /// Bytes of records that were got.
    pub get_bytes: u64,
    /// Records that were got.
    pub get_records: u64,
    /// Requests to put that were answered.
    pub puts: u64,
    /// Microseconds that they took.
    pub put_us: u64,
    /// Requests to get that were answered.
    pub gets: u64,
    /// Microseconds that they took.
    pub get_us: u64,
    /// Records that were refused because too many came.
    pub put_refused: u64,
    /// Requests to get that were refused because too many came.
    pub get_refused: u64,
}

impl DisCounts {
    /// Adds another's.
    pub fn add(&mut self, o: &Self) {
        self.put_bytes += o.put_bytes;
        self.put_records += o.put_records;
        self.get_bytes += o.get_bytes;
        self.get_records += o.get_records;
        self.puts += o.puts;
        self.put_us += o.put_us;
        self.gets += o.gets;
        self.get_us += o.get_us;
        self.put_refused += o.put_refused;
        self.get_refused += o.get_refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(partitions: u32) -> DisStream {
        let mut s = DisStream {
            id: DisStreamId("a".repeat(19)),
            account: "a".into(),
            name: "s".into(),
            topic: "dis.a.s".into(),
            status: DisStatus::Running,
            kind: DisKind::Common,
            data: DisData::Blob,
            schema: None,
            csv_delimiter: None,
            compression: None,
            retention_hours: 24,
            auto_scale: AutoScale::default(),
            partitions: Vec::new(),
            changes: Vec::new(),
            tags: BTreeMap::new(),
            system_tags: BTreeMap::new(),
            created: Timestamp(0),
            modified: Timestamp(0),
        };
        s.rescale(partitions, Timestamp(0), false);
        s
    }

    fn whole(s: &DisStream) {
        let mut next = 0;
        for p in s.open() {
            assert_eq!(p.first_hash, next, "{:?}", s.partitions);
            assert!(p.last_hash >= p.first_hash);
            next = p.last_hash + 1;
        }
        assert_eq!(next, MAX_HASH + 1);
    }

    fn states(s: &DisStream, now: i64) -> String {
        let letter = |p| s.state_of(p, Timestamp(now)).name().chars().next().unwrap();
        s.partitions.iter().map(letter).collect()
    }

    #[test]
    fn the_open_ones_always_share_all_hashes() {
        let mut s = stream(1);
        assert!(s.changes.is_empty() && s.partitions[0].last_hash == MAX_HASH);
        for (i, n) in [3, 2, 5, 7, 1, 4, 500, 1, 1].into_iter().enumerate() {
            s.rescale(n, Timestamp(i64::try_from(i).unwrap()), i % 2 == 1);
            assert_eq!(s.open_count(), n);
            whole(&s);
        }
        assert_eq!(s.changes[1], PartitionChange { at: Timestamp(1), from: 3, to: 2, auto: true });
        for i in 0..300 {
            s.rescale(1 + i % 3, Timestamp(0), false);
        }
        assert_eq!((s.changes.len(), s.partitions.len()), (CHANGES_KEPT, 500));
    }

    #[test]
    fn the_closed_are_read_until_their_records_are_too_old_and_opened_again_first() {
        let hour = 3_600_000_000;
        let mut s = stream(4);
        s.rescale(2, Timestamp(hour), false);
        assert_eq!((states(&s, 2 * hour), states(&s, 25 * hour)), ("AADD".into(), "AAEE".into()));
        assert_eq!(s.partitions[3].parents, [0_u32; 0]);
        s.rescale(3, Timestamp(30 * hour), false);
        assert_eq!(states(&s, 30 * hour), "AAAE");
        assert_eq!(s.partitions[2].parents, [1], "it took the end of partition 1's half");
        s.rescale(6, Timestamp(31 * hour), false);
        assert_eq!(states(&s, 31 * hour), "AAAAAA");
        assert_eq!(s.partitions[4].parents, [2]);
    }

    #[test]
    fn a_key_keeps_its_hash_for_ever() {
        assert_eq!(
            [&b""[..], b"key", b"a longer partition key"].map(hash_of),
            [3_313_417_398_304_678_287, 1_342_430_972_004_241_838, 4_072_899_092_046_610_880]
        );
        let mut halves = [0, 0];
        for i in 0..10_000_u32 {
            halves[usize::from(hash_of(format!("k{i}").as_bytes()) > MAX_HASH / 2)] += 1;
        }
        assert!(halves[0] > 4500 && halves[1] > 4500, "{halves:?}");
    }
}
