//! The open object of a split: what is gathered and not sent yet, and the leases for it.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use connector::Result;
use connector::records::Mark;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt as _;
use runtime::{ByteBudget, Lease};

use super::parquet::ParquetFile;

/// gzip members and zstd frames hold about this many bytes of text.
const MEMBER: usize = 1024 * 1024;
const MIB: u64 = 1024 * 1024;
/// How long the reserve is waited for.
const RESERVE_WAIT: Duration = Duration::from_secs(2);
/// Compressing less than this to make room is not worth its while.
const WORTH_PACKING: usize = 64 * 1024;
/// A part has at least this size, except the last.
pub(super) const MIN_PART: usize = 5 * 1024 * 1024;

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

const ZSTD_LEVEL: i32 = 3;

/// What the sink may hold: a reserve that it takes at its beginning, and more for as long as the budget has it.
///
/// Nothing is waited for but the reserve: whoever waits for the budget with a full buffer may wait for himself.
#[derive(Debug)]
pub(super) struct Room {
    budget: ByteBudget,
    most: u64,
    reserve: Option<Lease>,
    more: Vec<Lease>,
}

impl Room {
    pub(super) fn new(budget: ByteBudget) -> Self {
        let most = (budget.total() / 4).clamp(8 * MIB, 256 * MIB);
        Self { budget, most, reserve: None, more: Vec::new() }
    }

    fn reserve_bytes(&self) -> u64 {
        (self.budget.total() / 16).clamp(MIB, 16 * MIB)
    }

    /// Takes the reserve, before anything is held. Without it the sink works with what it gets.
    pub(super) async fn prepare(&mut self) {
        if self.reserve.is_none() {
            let lease = self.budget.lease(self.reserve_bytes());
            self.reserve = tokio::time::timeout(RESERVE_WAIT, lease).await.ok();
        }
    }

    /// May so many bytes be held? Takes leases for them, or gives back what is too much.
    pub(super) fn has(&mut self, bytes: u64) -> bool {
        let reserve = if self.reserve.is_some() { self.reserve_bytes() } else { 0 };
        let granted = |more: &Vec<Lease>| reserve + more.len() as u64 * MIB;
        while granted(&self.more) > bytes + 2 * MIB && self.more.pop().is_some() {}
        while granted(&self.more) < bytes {
            if granted(&self.more) >= self.most {
                return false;
            }
            let Some(lease) = self.budget.lease(MIB).now_or_never() else { return false };
            self.more.push(lease);
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
    /// Compressed.
    packed: Vec<u8>,
    packing: Packing,
    sent: u64,
    /// Instead of lines.
    pub(super) columns: Option<Box<ParquetFile>>,
}

impl Open {
    pub(super) fn new(key: String, begun_us: i64, packing: Packing) -> Self {
        Self {
            key: key.into(),
            begun_us,
            mark: Mark::default(),
            text: Vec::new(),
            packed: Vec::new(),
            packing,
            sent: 0,
            columns: None,
        }
    }

    /// Compresses what is due. Each piece is a gzip member or a zstd frame of its own, so that an open object holds no compressor.
    pub(super) fn pack(&mut self, all: bool) {
        if self.packing == Packing::None || self.text.is_empty() || (!all && self.text.len() < MEMBER) {
            return;
        }
        // Writing into memory can't fail.
        match self.packing {
            Packing::None => {}
            Packing::Gzip => {
                let mut member = GzEncoder::new(std::mem::take(&mut self.packed), Compression::new(3));
                let _ = member.write_all(&self.text);
                self.packed = member.finish().unwrap_or_default();
            }
            Packing::Zstd => {
                let frame = zstd::bulk::compress(&self.text, ZSTD_LEVEL);
                self.packed.extend_from_slice(&frame.unwrap_or_default());
            }
        }
        self.text.clear();
    }

    /// Ends the object: all that is left of it is ready then.
    pub(super) fn end(&mut self) -> Result<()> {
        self.pack(true);
        self.columns.as_mut().map_or(Ok(()), |c| c.end())
    }

    /// Bytes of the object so far, as stored.
    pub(super) fn size(&self) -> u64 {
        self.columns.as_ref().map_or_else(|| self.sent + self.ready() as u64, |c| c.size() as u64)
    }

    /// Bytes that could be sent.
    pub(super) fn ready(&self) -> usize {
        match (&self.columns, self.packing) {
            (Some(columns), _) => columns.ready(),
            (None, Packing::None) => self.text.len(),
            (None, _) => self.packed.len(),
        }
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> u64 {
        let columns = self.columns.as_ref().map_or(0, |c| c.held());
        (self.text.capacity() + self.packed.capacity() + columns) as u64
    }

    /// Compresses to make room. False: there is little to be won.
    pub(super) fn relieve(&mut self) -> bool {
        if self.packing == Packing::None || self.text.len() < WORTH_PACKING {
            return false;
        }
        self.pack(true);
        self.text = Vec::new();
        true
    }

    /// Takes out what is ready to be sent.
    pub(super) fn take(&mut self) -> Bytes {
        if let Some(columns) = &mut self.columns {
            return columns.take();
        }
        let bytes =
            std::mem::take(if self.packing == Packing::None { &mut self.text } else { &mut self.packed });
        self.sent += bytes.len() as u64;
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_together_are_one_stream() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut o = Open::new("k".into(), 0, packing);
            let mut all = Vec::new();
            for round in 0..3 {
                let piece: Vec<u8> =
                    (0..700_000_u32).map(|i| (i.wrapping_mul(round + 7) >> 5) as u8).collect();
                o.text.extend_from_slice(&piece);
                all.extend_from_slice(&piece);
                o.pack(round == 2);
            }
            let bytes = o.take();
            let mut back = Vec::new();
            if packing == Packing::Gzip {
                std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut back)
                    .unwrap();
            } else {
                back = zstd::stream::decode_all(&bytes[..]).unwrap();
            }
            assert!(back == all && o.ready() == 0);
        }
    }

    #[tokio::test]
    async fn the_budget_is_never_waited_for() {
        let budget = ByteBudget::new(32 * MIB);
        let mut room = Room::new(budget.clone());
        room.prepare().await;
        assert_eq!(budget.free(), 30 * MIB);
        assert!(room.has(5 * MIB) && !room.has(9 * MIB) && room.has(MIB));
        assert!(budget.free() >= 28 * MIB);
        let _others = budget.lease(budget.free()).await;
        assert!(!room.has(6 * MIB));
    }
}
