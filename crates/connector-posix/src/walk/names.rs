//! The names of one directory in key order, in bounded memory.
//!
//! A directory's name carries a `/` at its end, so that comparing bytes compares keys (`a-b` before
//! `a/`). Up to [`RUN`] names are sorted in memory; beyond it sorted runs go to an unlinked scratch
//! file and are merged while they are read, with one small buffer per run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::names::is_ours;
use crate::sys::{self, Kind};

/// Names that are sorted in memory.
pub(crate) const RUN: usize = 64 * 1024;
/// Read buffer of a run.
const BUFFER: usize = 16 * 1024;
/// Size of the fixed part of a `linux_dirent64`.
const HEAD: usize = 19;

/// The sorted names of a directory.
pub(crate) enum Names {
    Memory { block: Block, next: usize },
    Merged(Box<Merge>),
}

impl Names {
    /// Reads a directory. `buf` is scratch space for the kernel's records.
    pub(crate) fn read(dir: BorrowedFd<'_>, scratch: &Path, buf: &mut [u8]) -> io::Result<Self> {
        let mut block = Block::default();
        let mut spilled: Option<Spill> = None;
        loop {
            let n = sys::getdents(dir, buf)?;
            if n == 0 {
                break;
            }
            for_each_name(&buf[..n], |name, kind| {
                block.push_listed(dir, name, kind);
                if block.spans.len() >= RUN {
                    let spill = match &mut spilled {
                        Some(spill) => spill,
                        None => spilled.insert(Spill::new(scratch)?),
                    };
                    spill.add(&mut block)?;
                }
                Ok(())
            })?;
        }
        match spilled {
            None => Ok(Self::sorted(block)),
            Some(mut spill) => {
                spill.add(&mut block)?;
                Ok(Self::Merged(Box::new(Merge::new(spill)?)))
            }
        }
    }

    /// Reads a directory of at most about `most` names; `None` when it holds more.
    pub(crate) fn read_few(dir: BorrowedFd<'_>, most: usize, buf: &mut [u8]) -> io::Result<Option<Self>> {
        let mut block = Block::default();
        loop {
            let n = sys::getdents(dir, buf)?;
            if n == 0 {
                return Ok(Some(Self::sorted(block)));
            }
            for_each_name(&buf[..n], |name, kind| {
                block.push_listed(dir, name, kind);
                Ok(())
            })?;
            if block.spans.len() > most {
                return Ok(None);
            }
        }
    }

    fn sorted(mut block: Block) -> Self {
        block.sort();
        Self::Memory { block, next: 0 }
    }

    /// Appends the next name to `out`; `false` at the end.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Self::Memory { block, next } => {
                let Some(span) = block.spans.get(*next) else { return Ok(false) };
                out.extend_from_slice(block.name(*span));
                *next += 1;
                Ok(true)
            }
            Self::Merged(merge) => merge.next(out),
        }
    }

    /// The name that lies `n` behind the next one, where all are in memory.
    pub(crate) fn peek(&self, n: usize) -> Option<&[u8]> {
        match self {
            Self::Memory { block, next } => block.spans.get(next + n).map(|span| block.name(*span)),
            Self::Merged(_) => None,
        }
    }
}

/// Calls `f` with the name and type of each record that `getdents64` gave.
pub(crate) fn for_each_name(
    mut records: &[u8],
    mut f: impl FnMut(&[u8], u8) -> io::Result<()>,
) -> io::Result<()> {
    while let Some((head, _)) = records.split_at_checked(HEAD) {
        let len = usize::from(u16::from_ne_bytes([head[16], head[17]]));
        let kind = head[18];
        let Some((record, rest)) = records.split_at_checked(len.max(HEAD)) else { break };
        let name = record[HEAD..].split(|b| *b == 0).next().unwrap_or_default();
        f(name, kind)?;
        records = rest;
    }
    Ok(())
}

/// Names back to back, and where each lies.
#[derive(Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    spans: Vec<(u32, u16)>,
}

impl Block {
    /// Takes a record of the kernel's in, unless it names nothing that is listed.
    fn push_listed(&mut self, dir: BorrowedFd<'_>, name: &[u8], kind: u8) {
        if name == b"." || name == b".." {
            return;
        }
        let is_dir = match kind {
            libc::DT_DIR => true,
            libc::DT_UNKNOWN => matches!(sys::stat(dir, name), Ok(s) if s.kind == Kind::Dir),
            _ => false,
        };
        if is_dir || !is_ours(name) {
            self.push(name, is_dir);
        }
    }

    fn push(&mut self, name: &[u8], is_dir: bool) {
        // At most 64 Ki names of at most 256 bytes: always within u32.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(name);
        if is_dir {
            self.bytes.push(b'/');
        }
        self.spans.push((start, u16::try_from(self.bytes.len() - start as usize).unwrap_or(u16::MAX)));
    }

    fn name(&self, (start, len): (u32, u16)) -> &[u8] {
        &self.bytes[start as usize..start as usize + usize::from(len)]
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |(start, len): &(u32, u16)| &bytes[*start as usize..*start as usize + usize::from(*len)];
        self.spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        self.spans.dedup_by(|a, b| name(a) == name(b));
    }
}

/// Sorted runs in a scratch file: per name two bytes of length and the name.
struct Spill {
    file: File,
    end: u64,
    runs: Vec<(u64, u64)>,
    out: Vec<u8>,
}

impl Spill {
    fn new(scratch: &Path) -> io::Result<Self> {
        let unnamed =
            File::options().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(scratch);
        let file = match unnamed {
            Ok(file) => file,
            Err(_) => {
                let path = scratch.join(format!("wharf-sort-{}", runtime::Random::system().hex(16)));
                let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
                std::fs::remove_file(&path)?;
                file
            }
        };
        Ok(Self { file, end: 0, runs: Vec::new(), out: Vec::new() })
    }

    fn add(&mut self, block: &mut Block) -> io::Result<()> {
        if block.spans.is_empty() {
            return Ok(());
        }
        block.sort();
        let start = self.end;
        for span in &block.spans {
            self.out.extend_from_slice(&span.1.to_le_bytes());
            self.out.extend_from_slice(block.name(*span));
            if self.out.len() >= 256 * 1024 {
                self.flush()?;
            }
        }
        self.flush()?;
        self.runs.push((start, self.end));
        block.spans.clear();
        block.bytes.clear();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.out, self.end)?;
        self.end += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }
}

/// A run being read.
struct Run {
    at: u64,
    end: u64,
    buf: Vec<u8>,
    pos: usize,
}

impl Run {
    fn next(&mut self, file: &File) -> io::Result<Option<Vec<u8>>> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the scratch file is damaged");
        if self.buf.len() - self.pos < 2 + usize::from(u16::MAX).min(512) && self.at < self.end {
            self.buf.drain(..self.pos);
            self.pos = 0;
            let old = self.buf.len();
            let more = usize::try_from(self.end - self.at).unwrap_or(BUFFER).min(BUFFER);
            self.buf.resize(old + more, 0);
            file.read_exact_at(&mut self.buf[old..], self.at)?;
            self.at += more as u64;
        }
        let Some((len, rest)) = self.buf[self.pos..].split_first_chunk::<2>() else { return Ok(None) };
        let len = usize::from(u16::from_le_bytes(*len));
        let name = rest.get(..len).ok_or_else(broken)?.to_vec();
        self.pos += 2 + len;
        Ok(Some(name))
    }
}

/// All runs of a directory, smallest name first.
pub(crate) struct Merge {
    file: File,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl Merge {
    fn new(spill: Spill) -> io::Result<Self> {
        let mut merge = Self { file: spill.file, runs: Vec::new(), heads: BinaryHeap::new() };
        for (i, (at, end)) in spill.runs.into_iter().enumerate() {
            let mut run = Run { at, end, buf: Vec::new(), pos: 0 };
            if let Some(name) = run.next(&merge.file)? {
                merge.heads.push(Reverse((name, i)));
            }
            merge.runs.push(run);
        }
        Ok(merge)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(Reverse((name, i))) = self.heads.pop() else { return Ok(false) };
        out.extend_from_slice(&name);
        if let Some(run) = self.runs.get_mut(i)
            && let Some(next) = run.next(&self.file)?
        {
            self.heads.push(Reverse((next, i)));
        }
        Ok(true)
    }
}
