//! The open object of a split: what is gathered and not sent yet, and the leases for it.

use std::io::Write as _;

use bytes::Bytes;
use connector::records::Mark;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt as _;
use runtime::{ByteBudget, Lease};

/// gzip members hold about this many bytes of text.
const MEMBER: usize = 1024 * 1024;
/// The first lease; each further one doubles what is held.
const FIRST: u64 = 16 * 1024;
/// Compressing less than this to make room is not worth its while.
const WORTH_PACKING: usize = 64 * 1024;
/// A part has at least this size, except the last.
pub(super) const MIN_PART: usize = 5 * 1024 * 1024;

/// Leases for a buffer.
#[derive(Debug, Default)]
pub(super) struct Hold {
    leases: Vec<Lease>,
    bytes: u64,
}

impl Hold {
    /// Takes leases until `bytes` are held, without waiting. False: the budget is used up.
    fn grow(&mut self, bytes: u64, budget: &ByteBudget) -> bool {
        while self.bytes < bytes {
            let more = self.bytes.max(FIRST);
            let Some(lease) = budget.lease(more).now_or_never() else { return false };
            self.leases.push(lease);
            self.bytes += more;
        }
        true
    }
}

/// An open object.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) key: std::rc::Rc<str>,
    /// When it was begun, by the clock.
    pub(super) begun_us: i64,
    /// What it leads to.
    pub(super) mark: Mark,
    /// Lines.
    pub(super) text: Vec<u8>,
    /// Compressed, with gzip.
    packed: Vec<u8>,
    gzip: bool,
    sent: u64,
    hold: Hold,
}

impl Open {
    pub(super) fn new(key: String, begun_us: i64, gzip: bool) -> Self {
        Self {
            key: key.into(),
            begun_us,
            mark: Mark::default(),
            text: Vec::new(),
            packed: Vec::new(),
            gzip,
            sent: 0,
            hold: Hold::default(),
        }
    }

    /// Compresses what is due.
    pub(super) fn pack(&mut self, all: bool) {
        if !self.gzip || self.text.is_empty() || (!all && self.text.len() < MEMBER) {
            return;
        }
        let packed = std::mem::take(&mut self.packed);
        let mut member = GzEncoder::new(packed, Compression::new(3));
        // Writing into memory can't fail.
        let _ = member.write_all(&self.text);
        self.packed = member.finish().unwrap_or_default();
        self.text.clear();
    }

    /// Bytes of the object so far, as stored.
    pub(super) fn size(&self) -> u64 {
        self.sent + self.ready() as u64
    }

    /// Bytes that could be sent.
    pub(super) fn ready(&self) -> usize {
        if self.gzip { self.packed.len() } else { self.text.len() }
    }

    /// Leases for what is held. False: there is no room.
    pub(super) fn lease(&mut self, budget: &ByteBudget) -> bool {
        let held = (self.text.capacity() + self.packed.capacity()) as u64;
        self.hold.grow(held, budget)
    }

    pub(super) fn held(&self) -> u64 {
        self.hold.bytes.max((self.text.capacity() + self.packed.capacity()) as u64)
    }

    /// Compresses to make room. False: there is little to be won.
    pub(super) fn relieve(&mut self, budget: &ByteBudget) -> bool {
        if !self.gzip || self.text.len() < WORTH_PACKING {
            return false;
        }
        self.pack(true);
        self.text = Vec::new();
        self.hold = Hold::default();
        self.lease(budget);
        true
    }

    /// Takes out what is ready to be sent, with its leases.
    pub(super) fn take(&mut self) -> (Bytes, Hold) {
        let buffer = if self.gzip { &mut self.packed } else { &mut self.text };
        let bytes = std::mem::take(buffer);
        self.sent += bytes.len() as u64;
        (bytes.into(), std::mem::take(&mut self.hold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_together_are_one_stream() {
        let mut o = Open::new("k".into(), 0, true);
        let mut all = Vec::new();
        for round in 0..3 {
            let piece: Vec<u8> = (0..700_000_u32).map(|i| (i.wrapping_mul(round + 7) >> 5) as u8).collect();
            o.text.extend_from_slice(&piece);
            all.extend_from_slice(&piece);
            o.pack(round == 2);
        }
        let (bytes, _) = o.take();
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut back).unwrap();
        assert!(back == all && o.ready() == 0);
    }

    #[test]
    fn leases_are_never_waited_for() {
        let budget = ByteBudget::new(4 * FIRST);
        let mut o = Open::new("k".into(), 0, false);
        o.text.reserve_exact(2 * FIRST as usize);
        assert!(o.lease(&budget) && budget.free() == 2 * FIRST);
        o.text.resize(5 * FIRST as usize, 0);
        assert!(!o.lease(&budget));
        drop(o.take());
        assert_eq!(budget.free(), 4 * FIRST);
    }
}
