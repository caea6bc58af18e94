//! One partition as everybody sees it: its log behind a lock, opened when it is first needed, and those
//! who wait for more.

use crate::error::{Error, Result};
use crate::settings::Fsync;
use crate::storage::batch::Header;
use crate::storage::log::{Appended, Log, LogSettings, Piece};
use crate::storage::producers::Aborted;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

/// Locks, also after a panic of another holder: what is behind these locks is changed in single steps.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Partitions with something to flush.
#[derive(Debug, Default)]
pub struct Dirty {
    list: Mutex<Vec<Arc<Partition>>>,
    more: Notify,
}

impl Dirty {
    /// Waits until there is one.
    pub async fn some(&self) {
        self.more.notified().await;
    }

    /// Takes them all.
    pub fn take(&self) -> Vec<Arc<Partition>> {
        std::mem::take(&mut *lock(&self.list))
    }

    /// Something else than a partition has to be flushed.
    pub fn poke(&self) {
        self.more.notify_one();
    }

    fn add(&self, partition: &Arc<Partition>) {
        lock(&self.list).push(partition.clone());
        self.more.notify_one();
    }
}

#[derive(Debug)]
enum State {
    /// Not looked at yet, or not for a while.
    Parked,
    Open(Box<Log>),
    /// The topic was deleted.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct Partition {
    /// Name of the topic.
    pub topic: String,
    /// Number within the topic.
    pub index: i32,
    dir: PathBuf,
    fsync: Fsync,
    settings: RwLock<Arc<LogSettings>>,
    state: Mutex<State>,
    waiters: Mutex<Vec<Weak<Notify>>>,
    flushing: Arc<AsyncMutex<()>>,
    is_dirty: AtomicBool,
    used: AtomicBool,
    dirty: Arc<Dirty>,
    /// One compaction at a time.
    compacting: Mutex<()>,
    /// Ends a compaction that is under way.
    closing: Arc<AtomicBool>,
}

/// Offsets of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// First offset that can be read.
    pub start: i64,
    /// Offset of the next record.
    pub end: i64,
    /// Everything before it can be read (with `fsync` each: everything that is on the disk).
    pub visible: i64,
    /// Everything before it belongs to no open transaction.
    pub stable: i64,
}

/// What a read gave.
#[derive(Debug)]
pub struct Read {
    /// Whole batches, as they were sent.
    pub piece: Piece,
    /// Where the partition stood.
    pub positions: Positions,
    /// Aborted transactions with records in the piece, when only what is committed was asked for.
    pub aborted: Vec<Aborted>,
}

impl Partition {
    /// A partition over a directory; nothing is read yet.
    pub fn new(topic: &str, index: i32, dir: PathBuf, fsync: Fsync, rest: (LogSettings, Arc<Dirty>)) -> Self {
        Self {
            topic: topic.to_owned(),
            index,
            dir,
            fsync,
            settings: RwLock::new(Arc::new(rest.0)),
            state: Mutex::new(State::Parked),
            waiters: Mutex::new(Vec::new()),
            flushing: Arc::default(),
            is_dirty: AtomicBool::new(false),
            used: AtomicBool::new(false),
            dirty: rest.1,
            compacting: Mutex::new(()),
            closing: Arc::default(),
        }
    }

    /// How its log is kept.
    pub fn settings(&self) -> Arc<LogSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps its log otherwise from now on.
    pub fn set_settings(&self, settings: LogSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Does something with the log, which is opened if need be.
    ///
    /// # Errors
    /// When the topic is gone, the log can't be opened, or `f` fails.
    pub fn with<T>(&self, f: impl FnOnce(&mut Log) -> Result<T>) -> Result<T> {
        let mut state = lock(&self.state);
        self.used.store(true, Ordering::Relaxed);
        if matches!(*state, State::Parked) {
            let mut log = Log::open(&self.dir, self.fsync == Fsync::Never)?;
            // A log that could not be flushed stays open, so that nobody flushes it again as if that helped.
            if self.fsync == Fsync::Each
                && let Err(e) = log.sync()
                && !log.has_failed()
            {
                return Err(e);
            }
            *state = State::Open(Box::new(log));
        }
        match &mut *state {
            State::Open(log) => f(log),
            _ => Err(Error::new(ResponseError::UnknownTopicOrPartition, "the topic was deleted")),
        }
    }

    /// Where the partition stands.
    ///
    /// # Errors
    /// See [`with`](Self::with).
    pub fn positions(&self) -> Result<Positions> {
        self.with(|log| Ok(self.positions_of(log)))
    }

    fn positions_of(&self, log: &Log) -> Positions {
        let visible = if self.fsync == Fsync::Each { log.synced().max(log.start()) } else { log.end() };
        Positions { start: log.start(), end: log.end(), visible, stable: log.stable_end().min(visible) }
    }

    /// Appends a checked batch; when this returns, it is as durable as was asked for.
    ///
    /// # Errors
    /// See [`Log::append`].
    pub async fn append(self: &Arc<Self>, header: &Header, bytes: &Bytes, now: i64) -> Result<Appended> {
        let settings = self.settings();
        let done = self.with(|log| log.append(header, bytes, now, &settings))?;
        match self.fsync {
            Fsync::Each => self.flush_to(done.end).await?,
            Fsync::Interval(_) => {
                if done.new && !self.is_dirty.swap(true, Ordering::AcqRel) {
                    self.dirty.add(self);
                }
            }
            Fsync::Never => {}
        }
        if done.new {
            self.wake();
        }
        Ok(done)
    }

    /// Puts everything before `end` on the disk. Those who come while the disk works share the next turn.
    async fn flush_to(self: &Arc<Self>, end: i64) -> Result<()> {
        let turn = self.flushing.clone().lock_owned().await;
        if self.with(|log| Ok(log.synced() >= end))? { Ok(()) } else { self.flush_now(turn).await }
    }

    /// Puts everything on the disk, for the flusher.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn flush(self: &Arc<Self>) -> Result<()> {
        let turn = self.flushing.clone().lock_owned().await;
        self.is_dirty.store(false, Ordering::Release);
        self.flush_now(turn).await
    }

    /// The turn and the note of how it went are with the thread that flushes: a caller that goes away (its
    /// connection broke off) must not take the only word of a failure with it.
    async fn flush_now(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<()> {
        let Some(unsynced) = self.with(Log::take_unsynced)? else { return Ok(()) };
        let partition = self.clone();
        let noted = runtime::blocking(move || {
            let _turn = turn;
            let flushed = unsynced.flush();
            partition.with(|log| match flushed {
                Ok(()) => log.note_synced(&unsynced),
                Err(e) => {
                    log.fail(&e);
                    Err(e)
                }
            })
        });
        let panicked = match noted.await {
            Ok(noted) => return noted,
            Err(words) => Error::new(ResponseError::KafkaStorageError, words),
        };
        self.with(|log| {
            log.fail(&panicked);
            Err(panicked)
        })
    }

    /// Reads whole batches from `offset` on; only what no open transaction holds back if `committed`.
    ///
    /// # Errors
    /// When the offset can't be read, or the disk refuses.
    pub fn read(&self, offset: i64, max_bytes: usize, committed: bool) -> Result<Read> {
        loop {
            let (place, positions) = self.with(|log| {
                let positions = self.positions_of(log);
                let upper = if committed { positions.stable } else { positions.visible };
                let place = log.locate(offset)?;
                Ok((place.filter(|_| offset < upper && max_bytes > 0), positions))
            })?;
            let Some(place) = place else {
                return Ok(Read { piece: Piece::default(), positions, aborted: Vec::new() });
            };
            let upper = if committed { positions.stable } else { positions.visible };
            let piece = place.read(offset, max_bytes, upper)?;
            // What a compaction has taken away meanwhile is not known as aborted any more: the piece and the
            // word on it have to be of the same log.
            let aborted = self.with(|log| {
                if log.has_moved(&place) {
                    return Ok(None);
                }
                log.expect(&piece);
                let asked_for = committed && !piece.bytes.is_empty();
                Ok(Some(if asked_for {
                    log.producers().aborted(offset, piece.next_offset)
                } else {
                    Vec::new()
                }))
            })?;
            if let Some(aborted) = aborted {
                return Ok(Read { piece, positions, aborted });
            }
        }
    }

    /// Bytes that could be read from `offset` on; more than there are of whole batches, perhaps.
    pub fn available(&self, offset: i64, committed: bool) -> Result<u64> {
        self.with(|log| {
            let positions = self.positions_of(log);
            let upper = if committed { positions.stable } else { positions.visible };
            let place = log.locate(offset)?;
            Ok(if offset < upper { place.map_or(0, |p| p.available()) } else { 0 })
        })
    }

    /// Looks for the first record at or after a time: its offset and time.
    ///
    /// # Errors
    /// When the disk refuses, or a batch can't be decompressed.
    pub fn find_timestamp(&self, timestamp: i64) -> Result<Option<(i64, i64)>> {
        let (places, start) = self.with(|log| Ok((log.places_of_timestamp(timestamp)?, log.start())))?;
        for place in places {
            if let Some(found) = place.find_timestamp(timestamp, start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Registers somebody who wants to be told of the next append.
    pub fn wait(&self, waiter: &Arc<Notify>) {
        let mut waiters = lock(&self.waiters);
        if waiters.len() >= 16 {
            waiters.retain(|w| w.strong_count() > 0);
        }
        let waiter = Arc::downgrade(waiter);
        // It may be here already, from the last time it looked.
        if !waiters.iter().any(|w| w.ptr_eq(&waiter)) {
            waiters.push(waiter);
        }
    }

    /// Tells those who wait.
    pub fn wake(&self) {
        for waiter in std::mem::take(&mut *lock(&self.waiters)) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    /// Upkeep: removes what is over, forgets silent producers, and closes a log that nobody used since
    /// the last time.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_up(&self, now: i64, producers_silent_since: i64) -> Result<()> {
        let settings = self.settings();
        let mut state = lock(&self.state);
        let used = self.used.swap(false, Ordering::Relaxed);
        let State::Open(log) = &mut *state else {
            drop(state);
            return self.keep_up_parked(now, &settings);
        };
        let gone = log.retain(now, &settings)?;
        if gone > 0 {
            tracing::debug!(topic = self.topic, partition = self.index, gone, "removed old segments");
        }
        log.forget_producers(producers_silent_since);
        let idle = !used && !self.is_dirty.load(Ordering::Acquire);
        // Not while somebody else flushes: of a failed flush only one of the two would be told.
        if idle && let Ok(_turn) = self.flushing.try_lock() {
            log.close()?;
            *state = State::Parked;
        }
        Ok(())
    }

    /// Compacts the closed segments, where the topic is compacted and there is enough to do. Only a log that is in
    /// use: nothing is added to another. Blocks for as long as it takes to read and write the segments.
    ///
    /// # Errors
    /// When the disk refuses, or a batch can't be read; the log is then as it was.
    pub fn compact(&self, now: i64) -> Result<()> {
        let settings = self.settings();
        let Some(policy) = settings.compaction else { return Ok(()) };
        let Ok(_turn) = self.compacting.try_lock() else { return Ok(()) };
        let plan = match &mut *lock(&self.state) {
            State::Open(log) => log.plan_compaction(now, settings.segment_bytes, policy, &self.closing)?,
            _ => None,
        };
        let Some(plan) = plan else { return Ok(()) };
        let written = plan.write();
        match (&mut *lock(&self.state), written) {
            (State::Open(log), Ok(swap)) => log.adopt(&swap).map(drop),
            (State::Open(log), Err(e)) => {
                log.note_uncompactable(&plan);
                Err(e)
            }
            // Closed or deleted meanwhile.
            (_, Ok(swap)) => {
                swap.discard();
                Ok(())
            }
            (_, Err(_)) => Ok(()),
        }
    }

    /// A parked log is opened for its retention only when it has something that may be too old.
    fn keep_up_parked(&self, now: i64, settings: &LogSettings) -> Result<()> {
        let is_there = self.dir.join("checkpoint").exists() || self.dir.exists();
        if !is_there || (settings.retention_ms < 0 && settings.retention_bytes < 0) {
            return Ok(());
        }
        self.with(|log| log.retain(now, settings).map(drop))
    }

    /// Makes the log durable and closes it. Blocks: not to be called by an asynchronous task.
    ///
    /// # Errors
    /// When the disk refuses; the next start then walks the log.
    pub fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Relaxed);
        let _compaction = lock(&self.compacting);
        let _turn = self.flushing.blocking_lock();
        let mut state = lock(&self.state);
        if let State::Open(log) = &mut *state {
            log.close()?;
            *state = State::Parked;
        }
        Ok(())
    }

    /// The topic is deleted: nothing can be done with it any more.
    pub fn abandon(&self) {
        self.closing.store(true, Ordering::Relaxed);
        *lock(&self.state) = State::Gone;
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::tests::{batch, settings};

    fn partition(dir: &std::path::Path, fsync: Fsync) -> Arc<Partition> {
        Arc::new(Partition::new("t", 0, dir.to_owned(), fsync, (settings(), Arc::default())))
    }

    /// What a disk refused once is not acknowledged later: not to the next producer, not to the same one
    /// when it asks again, not by the flusher, and the end of the service does not call it clean.
    #[tokio::test]
    async fn after_a_failed_flush_nothing_is_acknowledged() {
        for fsync in [Fsync::Each, Fsync::Interval(std::time::Duration::from_millis(1))] {
            let dir = tempfile::tempdir().unwrap();
            let p = partition(dir.path(), fsync);
            let send = async |sequence| {
                let (header, bytes) = batch(sequence);
                p.append(&header, &bytes, 0).await
            };
            send(0).await.unwrap();
            p.flush().await.unwrap();
            p.with(|log| log.break_next_flush()).unwrap();
            assert_eq!(send(1).await.is_ok(), fsync != Fsync::Each, "{fsync:?}");
            assert!(p.flush().await.is_err());
            for sequence in [1, 0, 2] {
                let refused = send(sequence).await.unwrap_err();
                assert_eq!(refused.kind(), ResponseError::KafkaStorageError, "{fsync:?} {sequence}");
            }
            assert!(p.flush().await.is_err(), "a second flush is no better than the first");
            let visible = p.positions().unwrap().visible;
            assert_eq!(visible, if fsync == Fsync::Each { 1 } else { 2 });
            // Nobody uses it for a while: it must not be closed and opened again as if all were well.
            for _ in 0..3 {
                let _ = p.keep_up(0, 0);
            }
            assert!(send(2).await.is_err());
            let closed = {
                let p = p.clone();
                runtime::blocking(move || p.close()).await.unwrap()
            };
            assert!(closed.is_err());
            // The next start walks it.
            let p = partition(dir.path(), fsync);
            assert_eq!(p.positions().unwrap().end, 2);
            let (header, bytes) = batch(2);
            assert_eq!(p.append(&header, &bytes, 0).await.unwrap().base_offset, 2);
        }
    }

    /// The one who waits for the flush goes away in the middle of it.
    #[tokio::test]
    async fn a_failed_flush_is_noted_without_the_one_who_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let p = partition(dir.path(), Fsync::Each);
        let (header, bytes) = batch(0);
        p.append(&header, &bytes, 0).await.unwrap();
        p.with(|log| log.break_next_flush()).unwrap();
        let mut flush = Box::pin(p.flush());
        // One look begins it; nobody comes back for the end.
        std::future::poll_fn(|cx| {
            let _ = flush.as_mut().poll(cx);
            std::task::Poll::Ready(())
        })
        .await;
        drop(flush);
        assert!(p.flush().await.is_err());
        let (header, bytes) = batch(1);
        assert!(p.append(&header, &bytes, 0).await.is_err());
    }
}
