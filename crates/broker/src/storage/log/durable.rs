//! What puts a log on the disk, and what becomes of it when the disk refuses.

use super::Log;
use crate::error::{Error, Result};
use crate::storage::{folder, segment};
use kafka_protocol::ResponseError;
use std::fs::File;
use std::sync::Arc;

/// Files to flush, and what is durable afterwards.
#[derive(Debug)]
pub struct Unsynced {
    files: Vec<Arc<File>>,
    /// How many of them are of closed segments.
    closed: usize,
    /// The log's folder, when there are new names in it.
    pub(super) folder: Option<File>,
    names: u64,
    end: i64,
    recovery: i64,
}

impl Log {
    /// What has to be flushed; `None` when all is on the disk. It stays to be flushed until
    /// [`note_synced`](Self::note_synced) says that it was. One flush at a time.
    ///
    /// # Errors
    /// When the active file can't be had, or a flush has failed.
    pub fn take_unsynced(&mut self) -> Result<Option<Unsynced>> {
        self.check_sound()?;
        if self.synced == self.end && self.unsynced.is_empty() {
            return Ok(None);
        }
        let mut files = self.unsynced.clone();
        let closed = files.len();
        let mut recovery = self.recovery;
        if let Some(active) = self.segments.back_mut() {
            files.push(active.hold()?);
            recovery = active.base;
        }
        let folder = if self.sync_names && self.names_synced < self.names_made {
            Some(File::open(&self.dir).map_err(|e| Error::storage(self.dir.display(), &e))?)
        } else {
            None
        };
        let names = self.names_made;
        Ok(Some(Unsynced { files, closed, folder, names, end: self.end, recovery }))
    }

    /// The disk has refused to keep what was written. The kernel may have thrown it away, and says so only
    /// once: a second flush would succeed without it. So nothing more is acknowledged until the log is
    /// opened again, which walks it.
    pub fn fail(&mut self, why: &Error) {
        let words = || format!("{why}; nothing more is taken until the broker is started again");
        self.failed.get_or_insert_with(words);
    }

    /// Has it failed?
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(in crate::storage) fn check_sound(&self) -> Result<()> {
        match &self.failed {
            Some(why) => Err(Error::new(ResponseError::KafkaStorageError, why.clone())),
            None => Ok(()),
        }
    }

    /// Takes note that something is on the disk.
    ///
    /// # Errors
    /// When that can't be written down, or a flush has failed.
    pub fn note_synced(&mut self, done: &Unsynced) -> Result<()> {
        self.check_sound()?;
        self.unsynced.drain(..done.closed.min(self.unsynced.len()));
        self.names_synced = self.names_synced.max(done.names);
        self.synced = self.synced.max(done.end);
        if done.recovery > self.recovery {
            self.recovery = done.recovery;
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Puts everything on the disk. Blocks.
    ///
    /// # Errors
    /// When the disk refuses, now or before.
    pub fn sync(&mut self) -> Result<()> {
        let Some(unsynced) = self.take_unsynced()? else { return Ok(()) };
        if let Err(e) = unsynced.flush() {
            self.fail(&e);
            return Err(e);
        }
        self.note_synced(&unsynced)
    }

    /// Makes everything durable and marks the log clean, so that the next start needn't walk it.
    ///
    /// # Errors
    /// When the disk refuses; the next start then walks the log.
    pub fn close(&mut self) -> Result<()> {
        self.check_sound()?;
        if self.clean {
            return Ok(());
        }
        self.sync()?;
        let state = segment::path(&self.dir, self.end, "producers");
        std::fs::write(&state, self.producers.to_bytes()).map_err(|e| Error::storage(state.display(), &e))?;
        if let Some(active) = self.segments.back() {
            active.write_index()?;
        }
        self.clean = true;
        self.checkpoint()
    }
}

impl Unsynced {
    /// Puts the files on the disk. Blocks.
    ///
    /// # Errors
    /// When the disk refuses: what was acknowledged may then be lost by a power cut.
    pub fn flush(&self) -> Result<()> {
        for file in &self.files {
            file.sync_data().map_err(|e| Error::storage("flushing a segment", &e))?;
        }
        let folder = self.folder.as_ref().map_or(Ok(()), folder::flush);
        folder.map_err(|e| Error::storage("flushing a partition's folder", &e))
    }
}
