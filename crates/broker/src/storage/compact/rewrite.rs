//! Writing compacted batches into new segments, without a hole between them.

use super::swap;
use crate::error::{Error, Result};
use crate::storage::batch::{self, Header};
use crate::storage::records::{self, Record};
use bytes::Bytes;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Records of one new batch have this many bytes at most, give or take one record.
const BATCH: usize = 256 << 10;
/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Records that go into one batch.
#[derive(Default)]
struct Pending {
    records: Vec<(i64, Record)>,
    bytes: usize,
    append_time: bool,
    horizon: Option<i64>,
}

/// See the module.
pub(super) struct Output {
    dir: PathBuf,
    segment_bytes: u64,
    /// The segment that is written, and what of it is not in the file yet.
    file: Option<(File, Vec<u8>)>,
    made: Vec<(i64, u64)>,
    pending: Pending,
    /// The last batch: how far it reaches is known when the next one comes.
    held: Option<(i64, Vec<u8>)>,
    /// The offset up to which everything is in a segment.
    covered: i64,
}

impl Output {
    pub(super) fn new(dir: &Path, first: i64, segment_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            segment_bytes,
            file: None,
            made: Vec::new(),
            pending: Pending::default(),
            held: None,
            covered: first,
        }
    }

    /// Takes a whole batch over as it is, but for its producer.
    pub(super) fn take_over(&mut self, header: &Header, bytes: &Bytes) -> Result<()> {
        self.close_batch()?;
        self.put(header.base_offset, batch::without_producer(bytes))
    }

    /// Adds records of one batch. Those of several are put together where they are of one kind.
    pub(super) fn add(
        &mut self,
        records: Vec<(i64, Record)>,
        append_time: bool,
        horizon: Option<i64>,
    ) -> Result<()> {
        let other = self.pending.append_time != append_time || self.pending.horizon != horizon;
        for (offset, record) in records {
            let far =
                self.pending.records.first().is_some_and(|(first, _)| offset - first >= i64::from(i32::MAX));
            let time = append_time
                && self.pending.records.first().is_some_and(|(_, first)| first.timestamp != record.timestamp);
            if other && self.pending.records.is_empty() {
                (self.pending.append_time, self.pending.horizon) = (append_time, horizon);
            } else if far
                || time
                || self.pending.bytes >= BATCH
                || self.pending.append_time != append_time
                || self.pending.horizon != horizon
            {
                self.close_batch()?;
                (self.pending.append_time, self.pending.horizon) = (append_time, horizon);
            }
            self.pending.bytes += record.size();
            self.pending.records.push((offset, record));
        }
        Ok(())
    }

    /// Writes the rest; gives the segments by their first offset, with their sizes.
    pub(super) fn finish(mut self, upper: i64) -> Result<Vec<(i64, u64)>> {
        self.close_batch()?;
        self.reach(upper)?;
        self.close_file()?;
        Ok(self.made)
    }

    fn close_batch(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Some((base, _)) = pending.records.first() else { return Ok(()) };
        let bytes = records::encode_kept(&pending.records, pending.append_time, pending.horizon);
        self.put(*base, bytes)
    }

    fn put(&mut self, base: i64, bytes: Vec<u8>) -> Result<()> {
        self.reach(base)?;
        self.held = Some((base, bytes));
        Ok(())
    }

    /// Makes what was written so far reach to an offset.
    fn reach(&mut self, next: i64) -> Result<()> {
        if let Some((base, mut bytes)) = self.held.take() {
            let delta = i32::try_from(next - 1 - base).unwrap_or(i32::MAX);
            batch::set_last_offset_delta(&mut bytes, delta);
            self.write(base, &bytes)?;
            self.covered = base + i64::from(delta) + 1;
        }
        while self.covered < next {
            let delta = i32::try_from(next - 1 - self.covered).unwrap_or(i32::MAX);
            self.write(self.covered, &batch::empty(self.covered, delta))?;
            self.covered += i64::from(delta) + 1;
        }
        Ok(())
    }

    fn write(&mut self, base: i64, bytes: &[u8]) -> Result<()> {
        let size = self.made.last().map_or(0, |(_, size)| *size);
        if self.file.is_some() && size + bytes.len() as u64 > self.segment_bytes {
            self.close_file()?;
        }
        if self.file.is_none() {
            let path = swap::beside(&self.dir, base);
            let file = File::create(&path).map_err(|e| Error::storage(path.display(), &e))?;
            self.file = Some((file, Vec::new()));
            self.made.push((base, 0));
        }
        if let (Some((file, buffer)), Some((_, size))) = (&mut self.file, self.made.last_mut()) {
            buffer.extend_from_slice(bytes);
            *size += bytes.len() as u64;
            if buffer.len() >= BUFFER {
                file.write_all(buffer).map_err(|e| Error::storage("a compacted segment", &e))?;
                buffer.clear();
            }
        }
        Ok(())
    }

    fn close_file(&mut self) -> Result<()> {
        let Some((mut file, buffer)) = self.file.take() else { return Ok(()) };
        let written = file.write_all(&buffer).and_then(|()| file.sync_all());
        written.map_err(|e| Error::storage("a compacted segment", &e))
    }
}
