//! The step in which compacted segments take the place of the old ones.
//!
//! The new files lie beside the old ones (`.cleaned`) and are on the disk. A note that names both and is durable decides;
//! from then on the step is carried out whatever happens, at the next opening of the log if need be. Every
//! part of it can be done twice. The note stays behind and says how far the log is compacted.

use crate::error::{Error, Result};
use crate::storage::bin::{self, Reader};
use crate::storage::{folder, segment};
use bytes::BufMut;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const NAME: &str = "compaction";
const NEW: &str = "compaction.new";
const EXTENSION: &str = "cleaned";
const VERSION: u8 = 1;

/// Old segments and those that take their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The partition's folder.
    pub dir: PathBuf,
    /// Everything before it is compacted then.
    pub upper: i64,
    /// First offsets of the old segments, the log's first ones.
    pub old: Vec<i64>,
    /// First offsets of the new ones, and their sizes.
    pub new: Vec<(i64, u64)>,
}

/// One part of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new segment takes its name.
    Place(i64),
    /// An old one goes.
    Drop(i64),
    /// The names are made durable.
    Settle,
    /// It is noted that it is done.
    Done,
}

/// Where a new segment is until it counts.
#[must_use]
pub fn beside(dir: &Path, base: i64) -> PathBuf {
    segment::path(dir, base, EXTENSION)
}

/// Removes all new segments that don't count.
pub fn discard_all(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|e| e == EXTENSION) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn size_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|m| m.len())
}

fn has_new(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.path()).any(|p| p.extension().is_some_and(|e| e == EXTENSION))
}

/// Ends a swap that was decided, takes away what was not; says how far the log is compacted, if it ever was.
///
/// # Errors
/// When the disk refuses.
pub fn recover(dir: &Path) -> Result<Option<i64>> {
    let path = dir.join(NAME);
    let note = match std::fs::read(&path) {
        Ok(bytes) => match parse(dir, &bytes) {
            Ok(note) => Some(note),
            // Were a swap half done, the new segments would be all there is of the old ones.
            Err(e) if has_new(dir) => return Err(e),
            Err(e) => {
                tracing::warn!(path = %path.display(), error = %e, "it is not known how far a log is compacted");
                None
            }
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::storage(path.display(), &e)),
    };
    if let Some((swap, true)) = &note {
        tracing::info!(dir = %dir.display(), upper = swap.upper, "ending a compaction that was interrupted");
        swap.carry_out()?;
    }
    discard_all(dir);
    Ok(note.map(|(swap, _)| swap.upper))
}

impl Swap {
    /// Writes the note that will decide. Nothing has changed after this, whether it fails or not.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(&self) -> Result<()> {
        for (base, size) in &self.new {
            let path = beside(&self.dir, *base);
            if size_of(&path) != Some(*size) {
                return Err(Error::corrupt(format!("{} is not what was written", path.display())));
            }
        }
        self.write_note(true)
    }

    /// Lets the note count. When this fails it may count all the same: only the next opening can tell.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn decide(&self) -> Result<()> {
        self.place_note()
    }

    /// Everything after the decision.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn carry_out(&self) -> Result<()> {
        self.steps().into_iter().try_for_each(|step| self.take(step))
    }

    /// The steps after the decision, in their order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let place = self.new.iter().map(|(base, _)| Step::Place(*base));
        let stays = |base: &&i64| !self.new.iter().any(|(new, _)| new == *base);
        let drop = self.old.iter().filter(stays).map(|base| Step::Drop(*base));
        place.chain(drop).chain([Step::Settle, Step::Done]).collect()
    }

    /// One step. It may have been done before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn take(&self, step: Step) -> Result<()> {
        let wrong = |e: std::io::Error| Error::storage(self.dir.display(), &e);
        match step {
            Step::Place(base) => {
                let new = beside(&self.dir, base);
                if !new.exists() {
                    // Done before, or the old segments must stay.
                    let path = segment::path(&self.dir, base, "log");
                    let wanted = self.new.iter().find(|(b, _)| *b == base).map(|(_, size)| *size);
                    if size_of(&path) != wanted {
                        return Err(Error::corrupt(format!(
                            "{} is not there to take its place",
                            new.display()
                        )));
                    }
                } else {
                    // An index of the old file could fit the new one by its size.
                    let _ = std::fs::remove_file(segment::path(&self.dir, base, "index"));
                    std::fs::rename(&new, segment::path(&self.dir, base, "log")).map_err(wrong)?;
                }
                Ok(())
            }
            Step::Drop(base) => {
                for extension in ["log", "index", "producers"] {
                    let _ = std::fs::remove_file(segment::path(&self.dir, base, extension));
                }
                Ok(())
            }
            Step::Settle => File::open(&self.dir).and_then(|dir| folder::flush(&dir)).map_err(wrong),
            Step::Done => self.write_note(false).and_then(|()| self.place_note()),
        }
    }

    /// Takes the new segments away: it will not come to a swap.
    pub fn discard(&self) {
        for (base, _) in &self.new {
            let _ = std::fs::remove_file(beside(&self.dir, *base));
        }
    }

    fn write_note(&self, is_pending: bool) -> Result<()> {
        let mut out = vec![VERSION, u8::from(is_pending)];
        out.put_i64(self.upper);
        out.put_u32(u32::try_from(self.old.len()).unwrap_or(0));
        self.old.iter().for_each(|base| out.put_i64(*base));
        out.put_u32(u32::try_from(self.new.len()).unwrap_or(0));
        self.new.iter().for_each(|(base, size)| {
            out.put_i64(*base);
            out.put_u64(*size);
        });
        let path = self.dir.join(NEW);
        let written =
            File::create(&path).and_then(|mut f| f.write_all(&bin::sealed(out)).and_then(|()| f.sync_all()));
        written.map_err(|e| Error::storage(path.display(), &e))
    }

    fn place_note(&self) -> Result<()> {
        let placed = std::fs::rename(self.dir.join(NEW), self.dir.join(NAME))
            .and_then(|()| folder::flush(&File::open(&self.dir)?));
        placed.map_err(|e| Error::storage(self.dir.display(), &e))
    }
}

/// Reads a note: the swap, and whether it is to be ended yet.
fn parse(dir: &Path, bytes: &[u8]) -> Result<(Swap, bool)> {
    let body = bin::unsealed(bytes).ok_or_else(|| Error::corrupt("a damaged note of a compaction"))?;
    let mut r = Reader(body);
    if r.u8()? != VERSION {
        return Err(Error::corrupt("a note of a compaction of another version"));
    }
    let is_pending = r.u8()? == 1;
    let mut swap = Swap { dir: dir.to_owned(), upper: r.i64()?, old: Vec::new(), new: Vec::new() };
    for _ in 0..r.count()? {
        swap.old.push(r.i64()?);
    }
    for _ in 0..r.count()? {
        swap.new.push((r.i64()?, r.u64()?));
    }
    Ok((swap, is_pending))
}
