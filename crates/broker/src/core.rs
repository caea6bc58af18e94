//! What all parts share, and the broker's start and end.

use crate::error::{Error, Result};
use crate::groups::Groups;
use crate::net::connection;
use crate::settings::{Access, Fsync, Settings};
use crate::topics::{self, Topics};
use crate::txns::Txns;
use kafka_protocol::ResponseError;
use runtime::{ByteBudget, Clock, Random, Shutdown, TaskKind};
use std::fs::File;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Offsets of a group that nobody is in are kept this long, as in Kafka.
const OFFSETS_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// Producers that are silent for this long are forgotten, as in Kafka.
const PRODUCERS_KEPT_MS: i64 = 24 * 3600 * 1000;
/// Transactional ids that nobody uses for this long are forgotten, as in Kafka.
const TXNS_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// The number of the one node.
pub const NODE: i32 = 1;

/// What all parts share.
#[derive(Debug)]
pub struct Core {
    /// What was set.
    pub settings: Settings,
    /// Topics and partitions.
    pub topics: Topics,
    /// Consumer groups.
    pub groups: Arc<Groups>,
    /// Transactions.
    pub txns: Txns,
    /// Wall-clock time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Bytes of requests and answers.
    pub memory: ByteBudget,
    /// Given when the broker ends.
    pub stop: Shutdown,
    /// Keeps other processes out while it lives.
    _lock: File,
}

/// A broker. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Broker(pub(crate) Arc<Core>);

impl Broker {
    /// Opens the data folder (making it if need be) and starts the upkeep. Topics are listed, not opened:
    /// this takes the same few milliseconds whatever is stored.
    ///
    /// # Errors
    /// When the folder can't be used, or another process uses it.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self> {
        topics::make_folders(&settings.data_dir)?;
        let lock = lock_folder(&settings)?;
        let random = Random::system();
        let stop = Shutdown::new();
        let topics = Topics::open(&settings, &random)?;
        let core = Arc::new(Core {
            groups: Arc::new(Groups::open(&settings, stop.clone(), topics.dirty.clone())?),
            txns: Txns::open(&settings, clock.clone(), topics.dirty.clone())?,
            topics,
            memory: ByteBudget::new(settings.limits.memory),
            settings,
            clock,
            random,
            stop,
            _lock: lock,
        });
        core.finish_decided().await;
        let (a, b, c) = (core.clone(), core.clone(), core.clone());
        runtime::spawn(TaskKind::Housekeeping, async move { a.watch_transactions(a.stop.clone()).await });
        runtime::spawn(TaskKind::Housekeeping, async move { b.flush_now_and_then().await });
        runtime::spawn(TaskKind::Housekeeping, async move { c.keep_up().await });
        Ok(Self(core))
    }

    /// Serves clients on `listener` until the broker is closed. May be called for several listeners.
    ///
    /// # Errors
    /// When the listener has no address any more.
    pub async fn serve(&self, listener: TcpListener, access: Access) -> Result<()> {
        connection::accept(self.0.clone(), listener, access).await
    }

    /// Ends the service: connections are broken off, everything is put on the disk and marked clean.
    pub async fn close(&self) {
        self.0.stop.stop();
        let core = self.0.clone();
        let closed = runtime::blocking(move || {
            for topic in core.topics.all() {
                for partition in &topic.partitions {
                    if let Err(e) = partition.close() {
                        tracing::warn!(
                            topic = topic.name,
                            partition = partition.index,
                            "not closed cleanly: {e}"
                        );
                    }
                }
            }
            core.groups.offsets.sync().and_then(|()| core.txns.sync())
        });
        let closed = closed.await.map_err(|e| Error::new(ResponseError::KafkaStorageError, e));
        if let Err(e) = closed.flatten() {
            tracing::warn!("the broker was not closed cleanly: {e}");
        }
    }
}

fn lock_folder(settings: &Settings) -> Result<File> {
    let path = settings.data_dir.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| Error::storage(path.display(), &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(e) => Err(Error::new(
            ResponseError::KafkaStorageError,
            format!("{}: another process uses this folder ({e})", settings.data_dir.display()),
        )),
    }
}

impl Core {
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now().millis()
    }

    async fn flush_now_and_then(self: Arc<Self>) {
        let Fsync::Interval(interval) = self.settings.fsync else { return };
        loop {
            tokio::select! {
                () = self.topics.dirty.some() => {}
                () = self.stop.stopped() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.stop.stopped() => {}
            }
            for partition in self.topics.dirty.take() {
                match partition.flush().await {
                    Err(e) if !e.is_not_found() => {
                        tracing::error!(
                            topic = partition.topic,
                            partition = partition.index,
                            "not flushed: {e}"
                        );
                    }
                    _ => {}
                }
            }
            let core = self.clone();
            let synced =
                runtime::blocking(move || core.groups.offsets.sync().and_then(|()| core.txns.sync()));
            if let Ok(Err(e)) = synced.await {
                tracing::error!("offsets or transactions were not flushed: {e}");
            }
        }
    }

    async fn keep_up(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.upkeep) => {}
                () = self.stop.stopped() => return,
            }
            let core = self.clone();
            if let Err(e) = runtime::blocking(move || core.keep_up_once()).await {
                tracing::error!("upkeep: {e}");
            }
        }
    }

    /// One round of upkeep. Blocks.
    pub fn keep_up_once(&self) {
        let now = self.now_ms();
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                // First: upkeep puts away a log that nobody uses.
                if let Err(e) = partition.compact(now) {
                    tracing::warn!(topic = topic.name, partition = partition.index, "not compacted: {e}");
                }
                if let Err(e) = partition.keep_up(now, now - PRODUCERS_KEPT_MS) {
                    tracing::warn!(topic = topic.name, partition = partition.index, "upkeep: {e}");
                }
            }
        }
        let there = |topic: &str| self.topics.get(topic).is_some();
        let expired = self.groups.expire(now - OFFSETS_KEPT_MS, there);
        if let Err(e) = expired.and_then(|()| self.txns.expire(now - TXNS_KEPT_MS)) {
            tracing::warn!("upkeep: {e}");
        }
        self.topics.sweep();
    }
}
