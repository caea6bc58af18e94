//! Reading from a segment, without the log's lock.

use crate::error::{Error, Result};
use crate::storage::batch::{HEADER, Header};
use crate::storage::records;
use crate::storage::segment::Walk;
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// A batch that is more than this after decompression is not looked into for a time.
const LOOK_INSIDE: usize = 16 << 20;

/// A place in a file to read from.
#[derive(Debug)]
pub struct Place {
    /// The segment's file.
    pub(super) file: Arc<File>,
    /// Where to begin.
    pub(super) position: u64,
    /// Where the segment ends.
    pub(super) end: u64,
    /// Does a batch with the offset begin there, or is it to be looked for?
    pub(super) exact: bool,
    /// Of the log, when the place was given out.
    pub(super) generation: u64,
}

/// What was read from a [`Place`].
#[derive(Debug, Default)]
pub struct Piece {
    /// Whole batches.
    pub bytes: Bytes,
    /// Offset after the last of them.
    pub next_offset: i64,
    /// Where that one is in the file.
    pub(super) next_position: u64,
}

impl Place {
    /// Reads whole batches, beginning with the one that has `offset`: at most `max_bytes` of them, but at
    /// least one, and none that begins at or after `before`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&self, offset: i64, max_bytes: usize, before: i64) -> Result<Piece> {
        let mut position = self.position;
        if !self.exact {
            let mut walk = Walk::new(&self.file, position, self.end);
            loop {
                match walk.next_header()? {
                    Some((h, at)) if h.last_offset() >= offset => {
                        position = at;
                        break;
                    }
                    Some(_) => {}
                    None => return Ok(Piece { next_offset: offset, ..Piece::default() }),
                }
            }
        }
        let rest = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = self.bytes(position, max_bytes.max(HEADER).min(rest))?;
        let first = Header::parse(&bytes).map_or(0, |h| h.length);
        if first > bytes.len() && first <= rest {
            bytes = self.bytes(position, first)?;
        }
        let mut piece = Piece { bytes: Bytes::new(), next_offset: offset, next_position: position };
        let mut taken = 0;
        while let Some(h) = Header::parse(&bytes[taken..]) {
            if taken + h.length > bytes.len() || h.base_offset >= before {
                break;
            }
            taken += h.length;
            piece.next_offset = h.last_offset() + 1;
        }
        bytes.truncate(taken);
        piece.next_position += taken as u64;
        piece.bytes = bytes.into();
        Ok(piece)
    }

    fn bytes(&self, position: u64, n: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.file.read_exact_at(&mut bytes, position).map_err(|e| Error::storage("a segment", &e))?;
        Ok(bytes)
    }

    /// Bytes that can be read from here at most (an upper bound, not a count of whole batches).
    #[must_use]
    pub fn available(&self) -> u64 {
        self.end - self.position
    }

    /// Looks for the first record at or after a time, and not before the log's start: its offset and time.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn find_timestamp(&self, timestamp: i64, start: i64) -> Result<Option<(i64, i64)>> {
        let mut walk = Walk::new(&self.file, self.position, self.end);
        while let Some((header, at)) = walk.next_header()? {
            if header.max_timestamp < timestamp || header.last_offset() < start || header.is_control() {
                continue;
            }
            let batch = Bytes::from(self.bytes(at, header.length)?);
            let Ok(all) = records::decode(&batch, LOOK_INSIDE) else {
                // Damaged or very large inside: the batch as a whole has to do.
                return Ok(Some((header.base_offset.max(start), header.max_timestamp)));
            };
            let hit = all.iter().find(|(offset, r)| r.timestamp >= timestamp && *offset >= start);
            if let Some((offset, record)) = hit {
                return Ok(Some((*offset, record.timestamp)));
            }
        }
        Ok(None)
    }
}
