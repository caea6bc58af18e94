//! Writes a stream of chunks at an offset, leaves long runs of zeros as holes, and digests on the way.
//!
//! A run of zeros may span any number of chunks. It is held back as a number until it ends: at least
//! [`HOLE`] bytes become a hole, fewer are written. Data is looked at in pieces of 4 KiB, first byte
//! first, so that ordinary data costs next to nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use connector::Digest;
use crc_fast::{CrcAlgorithm, Digest as Crc};

use crate::sys;

/// Shortest run of zeros that becomes a hole.
pub(crate) const HOLE: u64 = 64 * 1024;
const PIECE: usize = 4096;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// What may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holes {
    /// Every byte is written.
    Never,
    /// The file is new and reads as zeros where nothing was written.
    Skip,
    /// Something may have been written there before: holes are punched.
    Punch,
}

/// A digest that grows.
pub(crate) struct Running {
    crc: Option<Crc>,
    first: Digest,
    len: u64,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self { crc: None, first: Digest::EMPTY, len: 0 }
    }

    /// The next bytes. One chunk alone takes the one-shot way.
    pub(crate) fn update(&mut self, chunk: &[u8]) {
        if self.len == 0 {
            self.first = Digest::of(chunk);
        } else {
            self.crc.get_or_insert_with(|| Crc::new(CrcAlgorithm::Crc64Nvme)).update(chunk);
        }
        self.len += chunk.len() as u64;
    }

    pub(crate) fn digest(&self) -> Digest {
        match &self.crc {
            None => self.first,
            Some(crc) => self.first.then(Digest { crc64: crc.finalize(), len: self.len - self.first.len }),
        }
    }
}

/// A place in a file that chunks are written to one after the other.
pub(crate) struct Writer<'f> {
    file: &'f File,
    /// Where the next byte goes that is neither written nor held back.
    at: u64,
    /// Zeros before `at` that are held back.
    zeros: u64,
    holes: Holes,
    running: Running,
}

impl<'f> Writer<'f> {
    pub(crate) fn new(file: &'f File, at: u64, holes: Holes) -> Self {
        Self { file, at, zeros: 0, holes, running: Running::new() }
    }

    /// Bytes taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.running.len
    }

    /// The next bytes.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.running.update(chunk);
        if self.holes == Holes::Never {
            self.file.write_all_at(chunk, self.at)?;
            self.at += chunk.len() as u64;
            return Ok(());
        }
        // `start..` is data not yet written; `zeros_from` is where the present run of zeros began in this chunk.
        let (mut start, mut zeros_from, mut i) = (0, None, 0);
        while i < chunk.len() {
            let end = (i + PIECE - (self.at as usize + i) % PIECE).min(chunk.len());
            if is_zero(&chunk[i..end]) {
                zeros_from.get_or_insert(i);
            } else if let Some(z) = zeros_from.take() {
                start = self.end_zeros(chunk, start, z, i)?;
            } else if i == 0 {
                self.release()?;
            }
            i = end;
        }
        let data_end = zeros_from.unwrap_or(chunk.len());
        self.file.write_all_at(&chunk[start..data_end], self.at + start as u64)?;
        self.at += chunk.len() as u64;
        self.zeros += (chunk.len() - data_end) as u64;
        Ok(())
    }

    /// A run of zeros `z..i` of this chunk has ended; returns where unwritten data starts now.
    fn end_zeros(&mut self, chunk: &[u8], start: usize, z: usize, i: usize) -> io::Result<usize> {
        let carried = if z == 0 { self.zeros } else { 0 };
        let run = carried + (i - z) as u64;
        if run >= HOLE {
            self.file.write_all_at(&chunk[start..z], self.at + start as u64)?;
            self.hole(self.at + z as u64 - carried, run)?;
            self.zeros = 0;
            return Ok(i);
        }
        if carried > 0 {
            self.release()?;
        }
        Ok(start)
    }

    /// Settles the zeros that are held back before `at`.
    fn release(&mut self) -> io::Result<()> {
        let (from, len) = (self.at - self.zeros, std::mem::take(&mut self.zeros));
        if len >= HOLE {
            return self.hole(from, len);
        }
        self.fill(from, len)
    }

    fn hole(&self, from: u64, len: u64) -> io::Result<()> {
        if self.holes == Holes::Punch && sys::punch_hole(self.file, from, len).is_err() {
            return self.fill(from, len);
        }
        Ok(())
    }

    fn fill(&self, mut from: u64, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let n = len.min(PIECE as u64);
            self.file.write_all_at(&ZEROS[..n as usize], from)?;
            from += n;
            len -= n;
        }
        Ok(())
    }

    /// Ends the stream. A hole at the end is only there once the caller has set the file's length.
    pub(crate) fn finish(mut self) -> io::Result<Digest> {
        self.release()?;
        Ok(self.running.digest())
    }
}

fn is_zero(piece: &[u8]) -> bool {
    piece.first() == Some(&0) && piece == &ZEROS[..piece.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs() -> impl Strategy<Value = Vec<(bool, usize, usize)>> {
        prop::collection::vec((any::<bool>(), 1usize..200_000, 1usize..90_000), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_written_reads_back(runs in runs(), at in 0u64..9000, punch: bool) {
            let mut data = Vec::new();
            let mut cuts = Vec::new();
            for (zero, len, cut) in runs {
                let from = data.len();
                data.extend((0..len).map(|i| if zero { 0 } else { (i % 251) as u8 }));
                cuts.extend((from..data.len()).step_by(cut));
            }
            cuts.push(data.len());
            let file = tempfile::tempfile().unwrap();
            if punch {
                file.write_all_at(&vec![7; data.len()], at).unwrap();
            }
            let mut w = Writer::new(&file, at, if punch { Holes::Punch } else { Holes::Skip });
            for c in cuts.windows(2) {
                w.write(&data[c[0]..c[1]]).unwrap();
            }
            prop_assert_eq!(w.taken(), data.len() as u64);
            prop_assert_eq!(w.finish().unwrap(), Digest::of(&data));
            file.set_len(at + data.len() as u64).unwrap();
            let mut back = vec![9; data.len()];
            file.read_exact_at(&mut back, at).unwrap();
            prop_assert!(back == data);
        }
    }
}
