//! What is written down of transactions, and producer ids.

use crate::error::{Error, Result};
use crate::groups::offsets::Spot;
use crate::partition::{Dirty, lock};
use crate::settings::{Fsync, Settings};
use crate::storage::bin::{self, Reader};
use crate::storage::journal::Journal;
use bytes::BufMut;
use kafka_protocol::ResponseError;
use runtime::Clock;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, Notify};

const VERSION: u8 = 1;
const NEXT_ID: &str = "n/next";
const TXN: &str = "t/";
/// Producer ids are taken from the journal in blocks of this size.
const BLOCK: i64 = 1000;

/// Where a transaction is in its life; the numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has been done yet.
    Empty = 0,
    /// Something has.
    Ongoing = 1,
    /// It is decided that it counts; markers are being written.
    PrepareCommit = 2,
    /// It is decided that it doesn't.
    PrepareAbort = 3,
    /// It counted.
    CompleteCommit = 4,
    /// It didn't.
    CompleteAbort = 5,
}

impl State {
    /// Kafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    fn of(n: u8) -> Option<Self> {
        let all = [
            Self::Empty,
            Self::Ongoing,
            Self::PrepareCommit,
            Self::PrepareAbort,
            Self::CompleteCommit,
            Self::CompleteAbort,
        ];
        all.get(usize::from(n)).copied()
    }
}

/// The transactions of one transactional id.
#[derive(Debug, Clone)]
pub struct Txn {
    /// Identity of its producer.
    pub producer_id: i64,
    /// Epoch of its producer.
    pub epoch: i16,
    /// Longest time that a transaction of it may be open, in milliseconds.
    pub timeout_ms: i32,
    /// Where it is in its life.
    pub state: State,
    /// Partitions with records of it.
    pub partitions: BTreeSet<Spot>,
    /// Groups with offsets of it.
    pub groups: BTreeSet<String>,
    /// When the open transaction began, in milliseconds since the epoch.
    pub started_ms: i64,
    /// When something last happened.
    pub touched_ms: i64,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    next_id: i64,
    ids_until: i64,
    known: HashMap<String, Arc<AsyncMutex<Txn>>>,
}

/// See the module.
#[derive(Debug)]
pub struct Txns {
    inner: Mutex<Inner>,
    fsync: Fsync,
    most: usize,
    clock: Clock,
    begun: Notify,
    dirty: Arc<Dirty>,
}

impl Txns {
    /// Reads what was going on.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn open(settings: &Settings, clock: Clock, dirty: Arc<Dirty>) -> Result<Self> {
        let journal = Journal::open(&settings.data_dir.join("transactions.journal"))?;
        let next = journal.get(NEXT_ID).map_or(Ok(0), |b| Reader(b).i64())?;
        let mut known = HashMap::new();
        for (key, value) in journal.entries() {
            if let Some(id) = key.strip_prefix(TXN) {
                known.insert(id.to_owned(), Arc::new(AsyncMutex::new(decode(value)?)));
            }
        }
        let inner = Inner { journal, next_id: next, ids_until: next, known };
        let most = settings.limits.transactional_ids;
        Ok(Self { inner: Mutex::new(inner), fsync: settings.fsync, most, clock, begun: Notify::new(), dirty })
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn new_producer_id(&self) -> Result<i64> {
        let mut inner = lock(&self.inner);
        if inner.next_id >= inner.ids_until {
            let until = inner.next_id + BLOCK;
            inner.journal.write(vec![(NEXT_ID.to_owned(), Some(until.to_be_bytes().to_vec()))])?;
            // An id that is given twice would mix up two producers: this one is always flushed.
            inner.journal.sync()?;
            inner.ids_until = until;
        }
        inner.next_id += 1;
        Ok(inner.next_id - 1)
    }

    /// Writes down how it stands.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn save(&self, id: &str, txn: &mut Txn) -> Result<()> {
        txn.touched_ms = self.clock.now().millis();
        let mut inner = lock(&self.inner);
        inner.journal.write(vec![(format!("{TXN}{id}"), Some(encode(txn)))])?;
        self.dirty.poke();
        if self.fsync == Fsync::Each { inner.journal.sync() } else { Ok(()) }
    }

    /// The transactions of an id.
    pub fn find(&self, id: &str) -> Option<Arc<AsyncMutex<Txn>>> {
        lock(&self.inner).known.get(id).cloned()
    }

    /// The transactions of an id, which is made known if need be; without a producer yet it has epoch −1.
    ///
    /// # Errors
    /// When too many are known.
    pub fn find_or_make(&self, id: &str) -> Result<Arc<AsyncMutex<Txn>>> {
        let mut inner = lock(&self.inner);
        if let Some(txn) = inner.known.get(id) {
            return Ok(txn.clone());
        }
        if inner.known.len() >= self.most {
            let words = format!("{} transactional ids are in use, no more are allowed", self.most);
            return Err(Error::new(ResponseError::PolicyViolation, words));
        }
        // Epoch −1: it has no producer yet.
        let txn = Arc::new(AsyncMutex::new(Txn {
            producer_id: -1,
            epoch: -1,
            timeout_ms: 0,
            state: State::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started_ms: 0,
            touched_ms: self.clock.now().millis(),
        }));
        inner.known.insert(id.to_owned(), txn.clone());
        Ok(txn)
    }

    /// A transaction has begun: somebody has to look at its time.
    pub fn note_begun(&self) {
        self.begun.notify_one();
    }

    /// Waits until one has begun.
    pub async fn some_began(&self) {
        self.begun.notified().await;
    }

    /// Puts everything on the disk. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<()> {
        let mut inner = lock(&self.inner);
        // Where answers depend on it, two flushes at once must not be: only one is told of a failure.
        if self.fsync == Fsync::Each {
            return inner.journal.sync();
        }
        let Some(unsynced) = inner.journal.unsynced()? else { return Ok(()) };
        drop(inner);
        let flushed = unsynced.flush();
        lock(&self.inner).journal.note_synced(&unsynced, flushed)
    }

    /// All transactional ids.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = lock(&self.inner).known.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// One, as it is now.
    pub async fn view(&self, id: &str) -> Option<Txn> {
        let txn = self.find(id)?;
        let txn = txn.lock().await;
        Some(txn.clone())
    }

    /// Forgets ids whose transactions are over and that nobody has used since a time.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn expire(&self, untouched_since_ms: i64) -> Result<()> {
        let mut inner = lock(&self.inner);
        let over = |t: &Txn| {
            t.touched_ms < untouched_since_ms
                && matches!(t.state, State::Empty | State::CompleteAbort | State::CompleteCommit)
        };
        let idle =
            |t: &Arc<AsyncMutex<Txn>>| Arc::strong_count(t) == 1 && t.try_lock().is_ok_and(|t| over(&t));
        let gone: Vec<String> =
            inner.known.iter().filter(|(_, t)| idle(t)).map(|(id, _)| id.clone()).collect();
        inner.journal.write(gone.iter().map(|id| (format!("{TXN}{id}"), None)).collect())?;
        for id in gone {
            inner.known.remove(&id);
        }
        Ok(())
    }
}

fn encode(txn: &Txn) -> Vec<u8> {
    let mut out = vec![VERSION, txn.state as u8];
    out.put_i64(txn.producer_id);
    out.put_i16(txn.epoch);
    out.put_i32(txn.timeout_ms);
    out.put_i64(txn.started_ms);
    out.put_i64(txn.touched_ms);
    out.put_u32(u32::try_from(txn.partitions.len()).unwrap_or(0));
    for (topic, index) in &txn.partitions {
        bin::put_text(&mut out, topic);
        out.put_i32(*index);
    }
    out.put_u32(u32::try_from(txn.groups.len()).unwrap_or(0));
    for group in &txn.groups {
        bin::put_text(&mut out, group);
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Txn> {
    let mut r = Reader(bytes);
    if r.u8()? != VERSION {
        return Err(Error::corrupt("transactions of another version"));
    }
    let state = State::of(r.u8()?).ok_or_else(|| Error::corrupt("unknown state of a transaction"))?;
    let (producer_id, epoch, timeout_ms) = (r.i64()?, r.i16()?, r.i32()?);
    let (started_ms, touched_ms) = (r.i64()?, r.i64()?);
    let mut partitions = BTreeSet::new();
    for _ in 0..r.count()? {
        partitions.insert((r.text()?, r.i32()?));
    }
    let mut groups = BTreeSet::new();
    for _ in 0..r.count()? {
        groups.insert(r.text()?);
    }
    Ok(Txn { producer_id, epoch, timeout_ms, state, partitions, groups, started_ms, touched_ms })
}
