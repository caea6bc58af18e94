//! The open segment: batches one after the other, each durable before it is acknowledged.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::block::RecordRef;
use crate::codec::{Cut, put, put_bytes, put_signed};
use crate::frame::{self, Frames, Kind};
use crate::segment::{name, sync_folder};
use crate::topic::NewRecord;
use crate::writers::{Progress, Writers};
use crate::{Error, Result};

/// An open segment.
#[derive(Debug)]
pub(crate) struct Wal {
    pub(crate) sequence: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// The first number, and the one after the last.
    pub(crate) numbers: (u64, u64),
    /// When its first record came, and its last.
    pub(crate) arrived: (i64, i64),
}

/// A batch as it lies in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) arrived: i64,
    pub(crate) writer: &'a str,
    pub(crate) next: i64,
    pub(crate) note: &'a str,
    first: u64,
    count: u64,
    rest: Cut<'a>,
}

impl<'a> Entry<'a> {
    /// Reads the payload of a frame.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut cut = Cut(payload);
        Some(Self {
            arrived: cut.signed()?,
            writer: cut.text()?,
            next: cut.signed()?,
            note: cut.text()?,
            first: cut.number()?,
            count: cut.number()?,
            rest: cut,
        })
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = RecordRef<'a>> + use<'a> {
        let (mut cut, end, mut number) = (self.rest, self.first.saturating_add(self.count), self.first);
        std::iter::from_fn(move || {
            if number >= end {
                return None;
            }
            let record = RecordRef { number, time: cut.signed()?, stream: cut.text()?, text: cut.bytes()? };
            number += 1;
            Some(record)
        })
    }
}

/// Who writes, up to which position, and what is noted with it.
pub(crate) struct Header<'a> {
    pub(crate) arrived: i64,
    pub(crate) writer: &'a str,
    pub(crate) progress: &'a Progress,
}

impl Wal {
    /// Makes a new one, durably.
    pub(crate) fn create(folder: &Path, sequence: u64, first: u64, writers: &Writers) -> Result<Self> {
        let (path, beside) = (folder.join(name(sequence, "wal")), folder.join(name(sequence, "new")));
        let mut payload = Vec::new();
        put(&mut payload, first);
        writers.write(&mut payload);
        let mut bytes = Vec::new();
        frame::push(&mut bytes, Kind::Start, &payload);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        sync_folder(folder)?;
        Ok(Self::fresh(sequence, path, file, (bytes.len() as u64, first)))
    }

    fn fresh(sequence: u64, path: PathBuf, file: File, (bytes, first): (u64, u64)) -> Self {
        let (numbers, arrived) = ((first, first), (0, 0));
        Self { sequence, path, file, bytes, records: 0, min: i64::MAX, max: i64::MIN, numbers, arrived }
    }

    /// Opens one that is there. What is torn at its end goes. Returns how many stretches are damaged, and whether the start was readable.
    pub(crate) fn recover(
        path: PathBuf,
        sequence: u64,
        first: u64,
        writers: &mut Writers,
    ) -> Result<(Self, u64)> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let bytes = std::fs::read(&path)?;
        let mut frames = Frames::of(&bytes);
        let mut wal = Self::fresh(sequence, path, file, (0, first));
        for f in frames.by_ref() {
            match f.kind {
                Kind::Start => wal.take_start(f.payload, writers),
                Kind::Batch => {
                    if let Some(entry) = Entry::read(f.payload) {
                        let progress = Progress { next: entry.next, note: entry.note.to_owned() };
                        writers.advance(entry.writer, progress, entry.arrived);
                        wal.count(&entry);
                    }
                }
                _ => {}
            }
        }
        let (damaged, end) = (frames.damaged, frames.end as u64);
        if end < bytes.len() as u64 {
            tracing::warn!(file = %wal.path.display(), bytes = bytes.len() as u64 - end,
                "the end of a log segment was torn and is cut off: it was not acknowledged");
            wal.file.set_len(end)?;
            wal.file.sync_all()?;
        }
        wal.bytes = end;
        Ok((wal, damaged))
    }

    fn take_start(&mut self, payload: &[u8], writers: &mut Writers) {
        let mut cut = Cut(payload);
        if let (Some(first), Some(read)) = (cut.number(), Writers::read(&mut cut)) {
            self.numbers = (first, first);
            *writers = read;
        }
    }

    fn count(&mut self, entry: &Entry<'_>) {
        for r in entry.records() {
            self.min = self.min.min(r.time);
            self.max = self.max.max(r.time);
            self.records += 1;
        }
        if self.arrived.0 == 0 {
            self.arrived.0 = entry.arrived;
        }
        self.arrived.1 = entry.arrived;
        self.numbers.1 = self.numbers.1.max(entry.first.saturating_add(entry.count));
    }

    /// Writes a batch; it is durable when this returns. Nothing is changed by a failure.
    pub(crate) fn append(&mut self, header: &Header<'_>, records: &[&NewRecord<'_>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(256 + records.iter().map(|r| r.text.len() + 64).sum::<usize>());
        let at = frame::begin(&mut bytes, Kind::Batch);
        put_signed(&mut bytes, header.arrived);
        put_bytes(&mut bytes, header.writer.as_bytes());
        put_signed(&mut bytes, header.progress.next);
        put_bytes(&mut bytes, header.progress.note.as_bytes());
        put(&mut bytes, self.numbers.1);
        put(&mut bytes, records.len() as u64);
        for r in records {
            put_signed(&mut bytes, r.time);
            put_bytes(&mut bytes, r.stream.as_bytes());
            put_bytes(&mut bytes, r.text);
        }
        frame::end(&mut bytes, at);
        let written = self.file.write_all_at(&bytes, self.bytes).and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // What is behind the end is no record: it is written over, or cut off at the next start.
            let _ = self.file.set_len(self.bytes);
            return Err(e.into());
        }
        self.bytes += bytes.len() as u64;
        if let Some(entry) = frame::read(&bytes).and_then(|(_, payload)| Entry::read(payload)) {
            self.count(&entry);
        }
        Ok(())
    }

    /// The bytes up to a length, as a reader that has the file sees them.
    pub(crate) fn read(file: &File, bytes: u64) -> Result<Vec<u8>> {
        let too_long = || Error::Invalid("the open segment is too long".to_owned());
        let mut out = vec![0; usize::try_from(bytes).map_err(|_| too_long())?];
        file.read_exact_at(&mut out, 0)?;
        Ok(out)
    }
}

/// The batches of an open segment's bytes.
pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    Frames::of(bytes).filter(|f| f.kind == Kind::Batch).filter_map(|f| Entry::read(f.payload))
}
