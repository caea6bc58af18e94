//! Sealed segments: blocks, their directory, a summary at the very end.
//!
//! ```text
//! block … block  directory (writers, what is known of each block)  summary  length of the summary's frame (4 bytes)
//! ```
//! A segment is written beside its name and then renamed, so there is a whole one or none. Where the directory is damaged, the blocks are found by
//! going through the file: nothing is known of them then, and all are read.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::block::{self, Meta, RecordRef};
use crate::codec::{Cut, put, put_signed};
use crate::frame::{self, Frames, HEAD, Kind, MAX_PAYLOAD};
use crate::writers::Writers;

/// What is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// The first number, and the one after the last.
    pub(crate) numbers: (u64, u64),
    /// When its last record came.
    pub(crate) arrived: i64,
    /// Where the directory begins, and its frame's length.
    directory: (u64, u64),
}

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) summary: Summary,
    /// Stretches that were found damaged when it was opened.
    pub(crate) damaged: u64,
}

/// The name of a segment's file.
pub(crate) fn name(sequence: u64, ending: &str) -> String {
    format!("{sequence:016x}.{ending}")
}

/// Makes what a folder lists durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// Writes a segment. The records are sorted by time and number.
pub(crate) fn write(
    (folder, sequence): (&Path, u64),
    records: &[RecordRef<'_>],
    writers: &Writers,
    arrived: i64,
) -> Result<Segment> {
    let path = folder.join(name(sequence, "seg"));
    let beside = folder.join(name(sequence, "tmp"));
    let mut out = File::create(&beside)?;
    let (mut at, mut metas) = (0u64, Vec::new());
    let mut rest = records;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(block_of(rest));
        rest = after;
        let (payload, mut meta) = block::build(piece)?;
        let mut bytes = Vec::with_capacity(payload.len() + HEAD);
        frame::push(&mut bytes, Kind::Block, &payload);
        out.write_all(&bytes)?;
        (meta.at, meta.length) = (at, bytes.len() as u64);
        at += meta.length;
        metas.push(meta);
    }
    let mut directory = Vec::new();
    writers.write(&mut directory);
    put(&mut directory, metas.len() as u64);
    metas.iter().for_each(|m| m.write(&mut directory));
    let mut end = Vec::with_capacity(directory.len() + 128);
    frame::push(&mut end, Kind::Directory, &directory);
    let summary = Summary {
        records: records.len() as u64,
        min: records.first().map_or(0, |r| r.time),
        max: records.last().map_or(0, |r| r.time),
        numbers: numbers(records.iter()),
        arrived,
        directory: (at, end.len() as u64),
    };
    let start = end.len();
    frame::push(&mut end, Kind::Summary, &summary.bytes());
    let length = u32::try_from(end.len() - start).unwrap_or(0).to_le_bytes();
    end.extend_from_slice(&length);
    out.write_all(&end)?;
    out.sync_all()?;
    std::fs::rename(&beside, &path)?;
    sync_folder(folder)?;
    Ok(Segment { sequence, path, bytes: at + end.len() as u64, summary, damaged: 0 })
}

/// How many of the records the next block takes.
fn block_of(records: &[RecordRef<'_>]) -> usize {
    let mut bytes = 0;
    let fits = records.iter().take(block::RECORDS).take_while(|r| {
        let before = bytes;
        bytes += r.text.len() + r.stream.len();
        before < block::BYTES
    });
    fits.count().max(1)
}

fn numbers<'r>(records: impl Iterator<Item = &'r RecordRef<'r>>) -> (u64, u64) {
    records.fold((u64::MAX, 0), |(first, next), r| (first.min(r.number), next.max(r.number + 1)))
}

impl Summary {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.records);
        put_signed(&mut out, self.min);
        put_signed(&mut out, self.max);
        put(&mut out, self.numbers.0);
        put(&mut out, self.numbers.1);
        put_signed(&mut out, self.arrived);
        put(&mut out, self.directory.0);
        put(&mut out, self.directory.1);
        out
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let mut cut = Cut(payload);
        Some(Self {
            records: cut.number()?,
            min: cut.signed()?,
            max: cut.signed()?,
            numbers: (cut.number()?, cut.number()?),
            arrived: cut.signed()?,
            directory: (cut.number()?, cut.number()?),
        })
    }
}

/// Reads a piece of a file that may be shorter than it should be.
fn piece(file: &File, at: u64, length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|n| *n <= MAX_PAYLOAD + HEAD)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

impl Segment {
    /// Opens a segment by its summary, or by going through it where that is damaged.
    pub(crate) fn open(path: PathBuf, sequence: u64) -> Result<Self> {
        let file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        if let Some(summary) = summary_of(&file, bytes) {
            return Ok(Self { sequence, path, bytes, summary, damaged: 0 });
        }
        let whole = std::fs::read(&path)?;
        let mut frames = Frames::of(&whole);
        let mut summary = Summary {
            records: 0,
            min: i64::MAX,
            max: i64::MIN,
            numbers: (u64::MAX, 0),
            arrived: modified(&file),
            directory: (0, 0),
        };
        for f in frames.by_ref().filter(|f| f.kind == Kind::Block) {
            let Some(unpacked) = block::unpack(f.payload) else { continue };
            for r in unpacked.records() {
                summary.records += 1;
                summary.min = summary.min.min(r.time);
                summary.max = summary.max.max(r.time);
                summary.numbers.0 = summary.numbers.0.min(r.number);
                summary.numbers.1 = summary.numbers.1.max(r.number + 1);
            }
        }
        Ok(Self { sequence, path, bytes, summary, damaged: frames.damaged.max(1) })
    }

    /// Is its directory lost?
    fn is_bare(&self) -> bool {
        self.summary.directory.1 == 0
    }

    fn directory(&self, file: &File) -> Option<(Writers, Vec<Meta>)> {
        if self.is_bare() {
            return None;
        }
        let bytes = piece(file, self.summary.directory.0, self.summary.directory.1)?;
        let (Kind::Directory, payload) = frame::read(&bytes)? else { return None };
        let mut cut = Cut(payload);
        let writers = Writers::read(&mut cut)?;
        let count = cut.number()?;
        let metas = (0..count).map(|_| Meta::read(&mut cut)).collect::<Option<_>>()?;
        Some((writers, metas))
    }

    /// How far the writers had come when it was sealed.
    pub(crate) fn writers(&self) -> Option<Writers> {
        self.directory(&File::open(&self.path).ok()?).map(|(writers, _)| writers)
    }

    /// Its blocks by time. A lost directory is made up from the file.
    pub(crate) fn blocks(&self, file: &File) -> Result<Vec<Meta>> {
        if let Some((_, metas)) = self.directory(file) {
            return Ok(metas);
        }
        let whole = std::fs::read(&self.path)?;
        let blocks = Frames::of(&whole).filter(|f| f.kind == Kind::Block);
        Ok(blocks
            .filter_map(|f| block::unknown(f.payload, f.at as u64, (f.payload.len() + HEAD) as u64))
            .collect())
    }
}

/// The records of a block; `None` where it is damaged.
pub(crate) fn read_block(file: &File, meta: &Meta) -> Option<block::Unpacked> {
    let bytes = piece(file, meta.at, meta.length)?;
    match frame::read(&bytes)? {
        (Kind::Block, payload) => block::unpack(payload),
        _ => None,
    }
}

fn summary_of(file: &File, bytes: u64) -> Option<Summary> {
    let tail = piece(file, bytes.checked_sub(4)?, 4)?;
    let length = u64::from(u32::from_le_bytes(tail.try_into().ok()?));
    let frame = piece(file, bytes.checked_sub(4 + length)?, length)?;
    match frame::read(&frame)? {
        (Kind::Summary, payload) => Summary::read(payload),
        _ => None,
    }
}

/// When the file was written last, in µs.
fn modified(file: &File) -> i64 {
    let time = file.metadata().and_then(|m| m.modified()).ok();
    let since = time.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|d| i64::try_from(d.as_micros()).ok()).unwrap_or(0)
}
