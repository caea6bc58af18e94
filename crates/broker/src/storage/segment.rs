//! One file of batches with its sparse index.
//!
//! The index has an entry about every 64 KiB: which offset begins where, and the largest time before it.
//! For the segment that is written it is in memory; a full segment writes it to a file of its own, which
//! is made anew from the batches when it is missing or damaged.

use super::batch::{self, HEADER, Header};
use super::bin::{self, Reader};
use crate::error::{Error, Result};
use bytes::{BufMut, Bytes};
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Distance of index entries, in bytes of the file.
const SPACING: u64 = 64 << 10;
/// Bytes that are read at once when batches are walked.
const WALK: usize = 256 << 10;
const VERSION: u8 = 1;

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Base offset of the batch at `position`.
    pub offset: i64,
    /// Where it begins in the file.
    pub position: u64,
    /// Largest time of the batches before it in this file; `i64::MIN` at the start.
    pub before: i64,
}

/// See the module.
#[derive(Debug)]
pub struct Segment {
    /// Offset of its first record, also its name.
    pub base: i64,
    /// Bytes that are in it.
    pub size: u64,
    /// Largest time in it; `i64::MIN` when it is empty.
    pub max_timestamp: i64,
    /// Offset of the batch that has it.
    pub max_timestamp_offset: i64,
    /// Time of the first batch, for rolling by age; `None` when it is empty.
    pub first_timestamp: Option<i64>,
    index: Vec<Entry>,
    indexed: bool,
    path: PathBuf,
    held: Option<Arc<File>>,
    lent: Weak<File>,
}

/// The path of a partition's file for an offset.
#[must_use]
pub fn path(dir: &Path, base: i64, extension: &str) -> PathBuf {
    dir.join(format!("{base:020}.{extension}"))
}

impl Segment {
    /// A segment whose file is there (or will be made by [`hold`](Self::hold)); nothing is read yet.
    #[must_use]
    pub fn at(dir: &Path, base: i64, size: u64) -> Self {
        Self {
            base,
            size,
            max_timestamp: i64::MIN,
            max_timestamp_offset: -1,
            first_timestamp: None,
            index: Vec::new(),
            indexed: size == 0,
            path: path(dir, base, "log"),
            held: None,
            lent: Weak::new(),
        }
    }

    /// Keeps the file open for writing; makes it when it isn't there.
    pub fn hold(&mut self) -> Result<Arc<File>> {
        if let Some(file) = &self.held {
            return Ok(file.clone());
        }
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = Arc::new(opened.map_err(|e| Error::storage(self.path.display(), &e))?);
        self.held = Some(file.clone());
        Ok(file)
    }

    /// The file for reading.
    pub fn file(&mut self) -> Result<Arc<File>> {
        if let Some(file) = self.held.clone().or_else(|| self.lent.upgrade()) {
            return Ok(file);
        }
        let file = Arc::new(File::open(&self.path).map_err(|e| Error::storage(self.path.display(), &e))?);
        self.lent = Arc::downgrade(&file);
        Ok(file)
    }

    /// No more will be written: writes the index down and gives up the file.
    pub fn seal(&mut self) -> Result<()> {
        self.held = None;
        self.write_index()
    }

    /// Writes the index beside the segment.
    pub fn write_index(&self) -> Result<()> {
        let file = self.path.with_extension("index");
        std::fs::write(&file, self.index_bytes()).map_err(|e| Error::storage(file.display(), &e))
    }

    /// Takes note of a batch at the end of the file.
    pub fn note(&mut self, header: &Header) {
        let last = self.index.last().map_or(0, |e| e.position);
        if self.index.is_empty() || self.size - last >= SPACING {
            let (offset, position) = (header.base_offset, self.size);
            self.index.push(Entry { offset, position, before: self.max_timestamp });
        }
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.base_offset;
        }
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.size += header.length as u64;
    }

    /// Loads the index from its file, or makes it from the batches.
    pub fn ensure_index(&mut self) -> Result<()> {
        if self.indexed {
            return Ok(());
        }
        let read = std::fs::read(self.path.with_extension("index")).ok();
        if read.is_none_or(|bytes| self.take_index(&bytes).is_err()) {
            self.rebuild()?;
        }
        self.indexed = true;
        Ok(())
    }

    /// When its newest record is of, in milliseconds since the epoch. Records may come without a time (−1);
    /// then it is when the file was last written, as in Kafka.
    pub fn newest_ms(&mut self) -> Result<i64> {
        self.ensure_index()?;
        if self.max_timestamp >= 0 {
            return Ok(self.max_timestamp);
        }
        let known = std::fs::metadata(&self.path).map_err(|e| Error::storage(self.path.display(), &e))?;
        Ok(known.mtime().saturating_mul(1000).saturating_add(known.mtime_nsec() / 1_000_000))
    }

    fn rebuild(&mut self) -> Result<()> {
        let (file, size) = (self.file()?, self.size);
        self.clear();
        let mut walk = Walk::new(&file, 0, size);
        while let Some((header, _)) = walk.next_header()? {
            self.note(&header);
        }
        if self.size < size {
            return Err(Error::corrupt(format!("{} is damaged at byte {}", self.path.display(), self.size)));
        }
        self.write_index()
    }

    /// Forgets what is known of the content, to read it anew.
    pub fn clear(&mut self) {
        self.size = 0;
        self.index.clear();
        self.max_timestamp = i64::MIN;
        self.max_timestamp_offset = -1;
        self.first_timestamp = None;
        self.indexed = true;
    }

    /// Where to begin to look for the batch with `offset`.
    pub fn before_offset(&mut self, offset: i64) -> Result<u64> {
        self.ensure_index()?;
        let at = self.index.partition_point(|e| e.offset <= offset);
        Ok(at.checked_sub(1).map_or(0, |i| self.index[i].position))
    }

    /// Where to begin to look for the first batch with a record at or after `timestamp`; `None` when
    /// there is none in this segment.
    pub fn before_timestamp(&mut self, timestamp: i64) -> Result<Option<u64>> {
        self.ensure_index()?;
        if self.size == 0 || self.max_timestamp < timestamp {
            return Ok(None);
        }
        let at = self.index.partition_point(|e| e.before < timestamp);
        Ok(Some(at.checked_sub(1).map_or(0, |i| self.index[i].position)))
    }

    /// Removes the segment's files.
    pub fn remove(&self) {
        for extension in ["log", "index", "producers"] {
            let _ = std::fs::remove_file(self.path.with_extension(extension));
        }
    }

    fn index_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u64(self.size);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.max_timestamp_offset);
        out.put_i64(self.first_timestamp.unwrap_or(i64::MIN));
        out.put_u32(u32::try_from(self.index.len()).unwrap_or(0));
        for e in &self.index {
            out.put_i64(e.offset);
            out.put_u64(e.position);
            out.put_i64(e.before);
        }
        bin::sealed(out)
    }

    /// Takes an index that was written down, if it is whole and of a file of this size.
    pub fn take_index(&mut self, bytes: &[u8]) -> Result<()> {
        let stale = || Error::corrupt("no index of this segment");
        let mut r = Reader(bin::unsealed(bytes).ok_or_else(stale)?);
        if r.u8()? != VERSION || r.u64()? != self.size {
            return Err(stale());
        }
        let (max_timestamp, max_timestamp_offset, first) = (r.i64()?, r.i64()?, r.i64()?);
        let mut index = Vec::new();
        for _ in 0..r.count()? {
            index.push(Entry { offset: r.i64()?, position: r.u64()?, before: r.i64()? });
        }
        self.max_timestamp = max_timestamp;
        self.max_timestamp_offset = max_timestamp_offset;
        self.first_timestamp = (first != i64::MIN).then_some(first);
        self.index = index;
        self.indexed = true;
        Ok(())
    }

    /// Loads the index only when its file is good.
    pub fn load_index(&mut self) -> bool {
        std::fs::read(self.path.with_extension("index")).is_ok_and(|b| self.take_index(&b).is_ok())
    }
}

/// Walks over the batches of a file, reading ahead in large pieces.
pub struct Walk<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffered: u64,
}

impl<'a> Walk<'a> {
    /// From `position` (where a batch begins) to `end`.
    #[must_use]
    pub fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self { file, position, end, buffer: Vec::new(), buffered: position }
    }

    /// The next batch's header and where the batch begins; `None` at the end, or where no whole batch is.
    pub fn next_header(&mut self) -> Result<Option<(Header, u64)>> {
        let Some(head) = self.bytes(HEADER)? else { return Ok(None) };
        let Some(header) = Header::parse(head) else { return Ok(None) };
        let begin = self.position;
        if begin + header.length as u64 > self.end {
            return Ok(None);
        }
        self.position += header.length as u64;
        Ok(Some((header, begin)))
    }

    /// As [`next_header`](Self::next_header), but only a batch whose checksum is right, with its bytes.
    pub fn next_checked(&mut self) -> Result<Option<(Header, Bytes)>> {
        let Some((header, begin)) = self.next_header()? else { return Ok(None) };
        self.position = begin;
        let Some(bytes) = self.bytes(header.length)? else { return Ok(None) };
        if !batch::crc_holds(&header, bytes) {
            return Ok(None);
        }
        // Only control batches are looked into: the others' bytes need not be copied.
        let bytes = if header.is_control() { Bytes::copy_from_slice(bytes) } else { Bytes::new() };
        self.position += header.length as u64;
        Ok(Some((header, bytes)))
    }

    /// The next batch with its bytes, unchecked; `None` at the end, or where no whole batch is.
    pub fn next_whole(&mut self) -> Result<Option<(Header, Bytes)>> {
        let Some((header, begin)) = self.next_header()? else { return Ok(None) };
        self.position = begin;
        let Some(bytes) = self.bytes(header.length)? else { return Ok(None) };
        let bytes = Bytes::copy_from_slice(bytes);
        self.position += header.length as u64;
        Ok(Some((header, bytes)))
    }

    /// Where the next batch would begin.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, n: usize) -> Result<Option<&[u8]>> {
        if self.position + n as u64 > self.end {
            return Ok(None);
        }
        let at = usize::try_from(self.position.saturating_sub(self.buffered)).unwrap_or(usize::MAX);
        let there = self.position >= self.buffered && at.saturating_add(n) <= self.buffer.len();
        if there {
            return Ok(Some(&self.buffer[at..at + n]));
        }
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        self.buffer.resize(WALK.max(n).min(rest), 0);
        self.buffered = self.position;
        match self.file.read_exact_at(&mut self.buffer, self.position) {
            Ok(()) => Ok(Some(&self.buffer[..n])),
            Err(e) => Err(Error::storage("a segment", &e)),
        }
    }
}
