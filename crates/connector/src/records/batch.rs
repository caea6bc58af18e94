//! Batches of records of one split, in one allocation.

use std::fmt;
use std::sync::Arc;

/// One ordered part of a source: a partition of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Split {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

impl Split {
    /// A split.
    #[must_use]
    pub fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// The split that this one's dead letters are replayed in. It has positions and marks of its own. No topic of Kafka has a
    /// colon in its name.
    #[must_use]
    pub fn of_replays(&self) -> Self {
        Self { topic: format!("{REPLAYED}{}", self.topic).into(), partition: self.partition }
    }

    /// The topic that its records were read from: what a sink goes by that makes names out of topics.
    #[must_use]
    pub fn source_topic(&self) -> &str {
        self.topic.strip_prefix(REPLAYED).unwrap_or(&self.topic)
    }

    /// Are these replays of dead letters?
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.topic.starts_with(REPLAYED)
    }
}

/// What the topics of replays begin with.
const REPLAYED: &str = "dead:";

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Marks an absent key or value in a slot.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: i64,
    timestamp_ms: i64,
    sub: u32,
    start: u32,
    key: u32,
    value: u32,
    headers: u32,
    header_count: u32,
}

/// Records of one split in order of position. Immutable; share it behind an [`Arc`].
///
/// What a transform makes of a batch is a batch again, with the positions of what it was made from.
#[derive(Debug, Clone)]
pub struct Batch {
    split: Split,
    first: i64,
    next: i64,
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Position in the split.
    pub offset: i64,
    /// Which of the records that were made from the one at this position; 0 where it is the only one.
    pub sub: u32,
    /// Milliseconds since the epoch; negative where the source has none.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: Headers<'a>,
}

impl RecordRef<'_> {
    /// Bytes of key, value and headers: what ledgers count.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let len = |b: Option<&[u8]>| b.map_or(0, <[u8]>::len) as u64;
        let headers: u64 = self.headers.map(|(k, v)| k.len() as u64 + len(v)).sum();
        len(self.key) + len(self.value) + headers
    }
}

/// Headers of a record: name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Headers<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (piece, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(piece)
    }

    fn length(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.length()? as usize;
        let name = self.take(name)?;
        let value = match self.length()? {
            NONE => None,
            n => Some(self.take(n as usize)?),
        };
        Some((name, value))
    }
}

impl Batch {
    /// Where it comes from.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The first position it answers for (there may be no record at it).
    #[must_use]
    pub fn first(&self) -> i64 {
        self.first
    }

    /// The position to go on from when all of it is settled.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without records; it still moves the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes it holds in memory, about: what a lease for it is taken for.
    #[must_use]
    pub fn held(&self) -> u64 {
        (self.bytes.capacity() + self.slots.capacity() * size_of::<Slot>()) as u64
    }

    /// The record with this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        self.slots.get(index).map(|s| self.record(s))
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> + '_ {
        self.slots.iter().map(|s| self.record(s))
    }

    /// The records at a position (several where one was made into more), as a range of indexes.
    #[must_use]
    pub fn at(&self, offset: i64) -> std::ops::Range<usize> {
        let start = self.slots.partition_point(|s| s.offset < offset);
        let end = self.slots.partition_point(|s| s.offset <= offset);
        start..end
    }

    fn record(&self, s: &Slot) -> RecordRef<'_> {
        let mut at = s.start as usize;
        let mut piece = |len: u32| {
            if len == NONE {
                return None;
            }
            let piece = self.bytes.get(at..at + len as usize);
            at += len as usize;
            piece
        };
        let (key, value) = (piece(s.key), piece(s.value));
        let headers = Headers { bytes: piece(s.headers).unwrap_or_default(), left: s.header_count };
        RecordRef { offset: s.offset, sub: s.sub, timestamp_ms: s.timestamp_ms, key, value, headers }
    }
}

/// Makes a batch. Positions must not fall.
#[derive(Debug)]
pub struct BatchBuilder(Batch);

impl BatchBuilder {
    /// An empty one that begins at `first`.
    #[must_use]
    pub fn new(split: Split, first: i64) -> Self {
        Self(Batch { split, first, next: first, bytes: Vec::new(), slots: Vec::new() })
    }

    /// The same with room for this many records and bytes.
    #[must_use]
    pub fn with_capacity(split: Split, first: i64, records: usize, bytes: usize) -> Self {
        let (bytes, slots) = (Vec::with_capacity(bytes), Vec::with_capacity(records));
        Self(Batch { split, first, next: first, bytes, slots })
    }

    /// Number of records so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.slots.len()
    }

    /// True without records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.slots.is_empty()
    }

    /// Position of the last record so far.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.0.slots.last().map(|slot| slot.offset)
    }

    /// Bytes of content so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes.len()
    }

    /// Adds a record. Returns false, and adds nothing, when the batch can't hold it (4 GiB).
    pub fn push(&mut self, record: &RecordRef<'_>) -> bool {
        self.push_with(record, |headers, put| {
            for (name, value) in headers {
                put(name, value);
            }
        })
    }

    /// As [`push`](Self::push) for a source whose headers come in another shape: `write` is called with the
    /// record's own headers and a function that adds one.
    pub fn push_with<'a>(
        &mut self,
        record: &RecordRef<'a>,
        write: impl FnOnce(Headers<'a>, &mut dyn FnMut(&[u8], Option<&[u8]>)),
    ) -> bool {
        let batch = &mut self.0;
        let before = batch.bytes.len();
        let (Some(key), Some(value)) = (length(record.key), length(record.value)) else { return false };
        batch.bytes.extend_from_slice(record.key.unwrap_or_default());
        batch.bytes.extend_from_slice(record.value.unwrap_or_default());
        let (from, mut header_count) = (batch.bytes.len(), 0);
        write(record.headers, &mut |name, value| {
            header_count += 1;
            let len = |n: usize| u32::try_from(n).unwrap_or(NONE - 1).to_le_bytes();
            batch.bytes.extend_from_slice(&len(name.len()));
            batch.bytes.extend_from_slice(name);
            batch.bytes.extend_from_slice(&value.map_or(NONE.to_le_bytes(), |v| len(v.len())));
            batch.bytes.extend_from_slice(value.unwrap_or_default());
        });
        if batch.bytes.len() >= NONE as usize {
            batch.bytes.truncate(before);
            return false;
        }
        let (start, headers) = (before as u32, (batch.bytes.len() - from) as u32);
        let (offset, sub, timestamp_ms) = (record.offset, record.sub, record.timestamp_ms);
        batch.slots.push(Slot { offset, timestamp_ms, sub, start, key, value, headers, header_count });
        batch.next = batch.next.max(offset.saturating_add(1));
        true
    }

    /// Ends it. `next` is the position to go on from (control records and gaps may put it beyond the last record).
    #[must_use]
    pub fn finish(mut self, next: i64) -> Batch {
        self.0.next = self.0.next.max(next);
        self.0
    }
}

fn length(piece: Option<&[u8]>) -> Option<u32> {
    match piece {
        None => Some(NONE),
        Some(b) => u32::try_from(b.len()).ok().filter(|n| *n != NONE),
    }
}

impl<'a> Headers<'a> {
    /// No headers.
    #[must_use]
    pub fn none() -> Self {
        Self { bytes: &[], left: 0 }
    }

    /// How many are left.
    #[must_use]
    pub fn count_left(&self) -> u32 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_back() {
        let mut b = BatchBuilder::new(Split::new("t", 3), 10);
        let plain = RecordRef {
            offset: 12,
            sub: 0,
            timestamp_ms: 5,
            key: None,
            value: Some(b"v"),
            headers: Headers::none(),
        };
        assert!(b.push(&plain));
        assert!(b.push_with(&RecordRef { offset: 13, key: Some(b""), value: None, ..plain }, |_, put| {
            put(b"a", Some(b"1"));
            put(b"b", None);
        }));
        let copy = b.0.clone();
        let headed = copy.get(1).unwrap();
        assert!(b.push(&RecordRef { sub: 1, ..headed }));
        let batch = b.finish(20);
        assert_eq!((batch.first(), batch.next(), batch.len()), (10, 20, 3));
        assert_eq!(batch.get(0).unwrap(), plain);
        let last = batch.get(2).unwrap();
        assert_eq!((last.key, last.value, last.sub), (Some(&b""[..]), None, 1));
        let headers: Vec<_> = last.headers.collect();
        assert_eq!(headers, [(&b"a"[..], Some(&b"1"[..])), (&b"b"[..], None)]);
        assert_eq!(batch.at(13), 1..3);
        assert_eq!(batch.at(11), 0..0);
        assert_eq!(last.weight(), 3);
        let replays = batch.split().of_replays();
        assert_eq!((replays.source_topic(), replays.is_replay(), replays.partition), ("t", true, 3));
        assert!(!batch.split().is_replay());
    }
}
