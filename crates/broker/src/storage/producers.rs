//! What a partition knows of its idempotent and transactional producers: the last batches of each (to
//! recognise a repeated one), open transactions (for the last stable offset) and aborted ones (for
//! readers of committed data).
//!
//! All of it follows from the batches in the log; a snapshot at the start of each segment saves reading
//! them all at the next start. Rules: Kafka's `ProducerAppendInfo` and KIP-98, KIP-360.

use super::batch::Header;
use super::bin::{self, Reader};
use crate::error::{Error, Result};
use bytes::BufMut;
use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Batches that are remembered for each producer, as many as a client may have in flight.
const REMEMBERED: usize = 5;
/// Producers of one partition; the one that was silent longest is forgotten first.
const MOST_PRODUCERS: usize = 10_000;
const VERSION: u8 = 1;

/// A batch that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    timestamp: i64,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    sent: VecDeque<Sent>,
    /// First offset of its open transaction.
    open_since: Option<i64>,
    last_timestamp: i64,
}

/// An aborted transaction: readers of committed data leave out its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Offset of the marker that ended it.
    pub last_offset: i64,
}

/// What a check of a batch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    New,
    /// It is here already, at this offset and with this time.
    Duplicate(i64, i64),
}

/// What is known of one producer, for those who ask.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Identity.
    pub id: i64,
    /// Epoch.
    pub epoch: i16,
    /// Last sequence number, or −1.
    pub last_sequence: i32,
    /// Milliseconds since the epoch.
    pub last_timestamp: i64,
    /// First offset of its open transaction, or −1.
    pub open_since: i64,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    known: HashMap<i64, Producer>,
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
}

impl Producers {
    /// May this batch be appended?
    ///
    /// # Errors
    /// A fenced epoch, or a sequence number that doesn't follow.
    pub fn check(&self, header: &Header) -> Result<Verdict> {
        let Some(known) = self.known.get(&header.producer_id) else { return Ok(Verdict::New) };
        if header.producer_epoch < known.epoch {
            return Err(Error::new(
                ResponseError::InvalidProducerEpoch,
                format!("epoch {} of the producer is over, {} is valid", header.producer_epoch, known.epoch),
            ));
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        if header.producer_epoch > known.epoch {
            return if first == 0 { Ok(Verdict::New) } else { Err(out_of_order(first, -1)) };
        }
        let same = known.sent.iter().find(|s| s.first_sequence == first && s.last_sequence == last);
        if let Some(sent) = same {
            return Ok(Verdict::Duplicate(sent.base_offset, sent.timestamp));
        }
        match known.sent.back() {
            Some(before) if follows(before.last_sequence, first) => Ok(Verdict::New),
            Some(before) => Err(out_of_order(first, before.last_sequence)),
            None => Ok(Verdict::New),
        }
    }

    /// Takes note of a batch that is in the log at `header.base_offset`.
    pub fn note(&mut self, header: &Header) {
        if !header.has_producer() || header.is_control() {
            return;
        }
        if self.known.len() >= MOST_PRODUCERS && !self.known.contains_key(&header.producer_id) {
            self.forget_oldest();
        }
        let producer = self.entry(header);
        producer.sent.push_back(Sent {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        });
        if producer.sent.len() > REMEMBERED {
            producer.sent.pop_front();
        }
        if header.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    /// Takes note of a marker that ends a transaction.
    pub fn note_end(&mut self, header: &Header, commit: bool) {
        let producer = self.entry(header);
        let Some(first_offset) = producer.open_since.take() else { return };
        self.open.remove(&first_offset);
        if !commit {
            let (producer_id, last_offset) = (header.producer_id, header.base_offset);
            self.aborted.push(Aborted { producer_id, first_offset, last_offset });
        }
    }

    /// The producer of a batch, moved on to the batch's epoch.
    fn entry(&mut self, header: &Header) -> &mut Producer {
        let fresh = || Producer {
            epoch: header.producer_epoch,
            sent: VecDeque::new(),
            open_since: None,
            last_timestamp: 0,
        };
        let producer = self.known.entry(header.producer_id).or_insert_with(fresh);
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.sent.clear();
        }
        producer.last_timestamp = header.max_timestamp;
        producer
    }

    /// First offset of the oldest open transaction.
    #[must_use]
    pub fn first_open(&self) -> Option<i64> {
        self.open.keys().next().copied()
    }

    /// Has this producer an open transaction here?
    #[must_use]
    pub fn is_open(&self, producer_id: i64) -> bool {
        self.known.get(&producer_id).is_some_and(|p| p.open_since.is_some())
    }

    /// The epoch that is valid for a producer here.
    #[must_use]
    pub fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.known.get(&producer_id).map(|p| p.epoch)
    }

    /// Aborted transactions with records in `[from, to)`.
    #[must_use]
    pub fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        // Sorted by last offset: they are noted when they end.
        let at = self.aborted.partition_point(|a| a.last_offset < from);
        self.aborted[at..].iter().filter(|a| a.first_offset < to).copied().collect()
    }

    /// Forgets what nobody can ask for any more: aborts before the log's start, and producers that were
    /// silent since `silent_since` (milliseconds since the epoch).
    pub fn forget(&mut self, log_start: i64, silent_since: i64) {
        self.aborted.retain(|a| a.last_offset >= log_start);
        self.known.retain(|_, p| p.open_since.is_some() || p.last_timestamp >= silent_since);
    }

    /// Forgets the aborts before an offset: nothing of them is in the log any more.
    pub fn forget_aborts_before(&mut self, offset: i64) {
        self.aborted.retain(|a| a.last_offset >= offset);
    }

    fn forget_oldest(&mut self) {
        let idle = self.known.iter().filter(|(_, p)| p.open_since.is_none());
        if let Some(id) = idle.min_by_key(|(_, p)| p.last_timestamp).map(|(id, _)| *id) {
            self.known.remove(&id);
        }
    }

    /// Everything that is known of the producers.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        let view = |(id, p): (&i64, &Producer)| View {
            id: *id,
            epoch: p.epoch,
            last_sequence: p.sent.back().map_or(-1, |s| s.last_sequence),
            last_timestamp: p.last_timestamp,
            open_since: p.open_since.unwrap_or(-1),
        };
        self.known.iter().map(view).collect()
    }

    /// The state as it is written beside a segment.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut ids: Vec<_> = self.known.iter().collect();
        ids.sort_by_key(|(id, _)| **id);
        out.put_u32(u32::try_from(ids.len()).unwrap_or(0));
        for (id, p) in ids {
            out.put_i64(*id);
            out.put_i16(p.epoch);
            out.put_i64(p.open_since.unwrap_or(-1));
            out.put_i64(p.last_timestamp);
            out.put_u8(u8::try_from(p.sent.len()).unwrap_or(0));
            for s in &p.sent {
                out.put_i32(s.first_sequence);
                out.put_i32(s.last_sequence);
                out.put_i64(s.base_offset);
                out.put_i64(s.timestamp);
            }
        }
        out.put_u32(u32::try_from(self.aborted.len()).unwrap_or(0));
        for a in &self.aborted {
            out.put_i64(a.producer_id);
            out.put_i64(a.first_offset);
            out.put_i64(a.last_offset);
        }
        bin::sealed(out)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let body = bin::unsealed(bytes).ok_or_else(|| Error::corrupt("damaged producer state"))?;
        let mut r = Reader(body);
        if r.u8()? != VERSION {
            return Err(Error::corrupt("producer state of another version"));
        }
        let mut out = Self::default();
        for _ in 0..r.count()? {
            let (id, epoch, open, last_timestamp) = (r.i64()?, r.i16()?, r.i64()?, r.i64()?);
            let mut sent = VecDeque::new();
            for _ in 0..r.u8()? {
                sent.push_back(Sent {
                    first_sequence: r.i32()?,
                    last_sequence: r.i32()?,
                    base_offset: r.i64()?,
                    timestamp: r.i64()?,
                });
            }
            let open_since = (open >= 0).then_some(open);
            if let Some(at) = open_since {
                out.open.insert(at, id);
            }
            out.known.insert(id, Producer { epoch, sent, open_since, last_timestamp });
        }
        for _ in 0..r.count()? {
            let (producer_id, first_offset, last_offset) = (r.i64()?, r.i64()?, r.i64()?);
            out.aborted.push(Aborted { producer_id, first_offset, last_offset });
        }
        Ok(out)
    }
}

fn follows(last: i32, next: i32) -> bool {
    next == if last == i32::MAX { 0 } else { last + 1 } || last < 0
}

fn out_of_order(got: i32, last: i32) -> Error {
    let words = format!("sequence number {got} does not follow {last}");
    Error::new(ResponseError::OutOfOrderSequenceNumber, words)
}

#[cfg(test)]
mod tests {
    use super::super::records::{self, Record};
    use super::*;

    fn header(epoch: i16, sequence: i32, count: usize, offset: i64, transactional: bool) -> Header {
        let attributes = if transactional { 0x10 } else { 0 };
        let producer = records::Producer { id: 7, epoch, sequence, attributes };
        let batch = records::encode(&vec![Record::default(); count], Some(producer));
        let mut header = Header::parse(&batch).unwrap();
        header.base_offset = offset;
        header
    }

    #[test]
    fn a_repeated_batch_is_found_and_a_gap_refused() {
        let mut p = Producers::default();
        for n in 0..6 {
            let h = header(0, n * 10, 10, i64::from(n) * 10, false);
            assert_eq!(p.check(&h).unwrap(), Verdict::New);
            p.note(&h);
        }
        assert_eq!(p.check(&header(0, 30, 10, 0, false)).unwrap(), Verdict::Duplicate(30, 0));
        let gap = p.check(&header(0, 70, 10, 0, false)).unwrap_err();
        assert_eq!(gap.kind(), ResponseError::OutOfOrderSequenceNumber);
        // Older than what is remembered: neither new nor known.
        assert!(p.check(&header(0, 0, 10, 0, false)).is_err());
        // A new epoch begins at 0, an old one is fenced.
        assert!(p.check(&header(1, 5, 1, 0, false)).is_err());
        p.note(&header(1, 0, 1, 60, false));
        let old = p.check(&header(0, 60, 10, 0, false)).unwrap_err();
        assert_eq!(old.kind(), ResponseError::InvalidProducerEpoch);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut p = Producers::default();
        p.note(&header(0, i32::MAX - 4, 10, 0, false));
        assert_eq!(p.check(&header(0, 5, 1, 10, false)).unwrap(), Verdict::New);
        p.note(&header(0, i32::MAX, 1, 0, false));
        assert_eq!(p.check(&header(0, 0, 1, 10, false)).unwrap(), Verdict::New);
    }

    #[test]
    fn open_and_aborted_transactions_survive_a_snapshot() {
        let mut p = Producers::default();
        p.note(&header(0, 0, 5, 10, true));
        assert_eq!(p.first_open(), Some(10));
        let back = Producers::from_bytes(&p.to_bytes()).unwrap();
        assert_eq!(back, p);
        p.note_end(&header(0, 0, 1, 15, true), false);
        assert_eq!(p.first_open(), None);
        let aborted = Aborted { producer_id: 7, first_offset: 10, last_offset: 15 };
        assert_eq!(p.aborted(0, 11), [aborted]);
        assert!(p.aborted(0, 10).is_empty() && p.aborted(16, 20).is_empty());
        assert_eq!(Producers::from_bytes(&p.to_bytes()).unwrap(), p);
        let bytes = p.to_bytes();
        for cut in 0..bytes.len() {
            assert!(Producers::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
