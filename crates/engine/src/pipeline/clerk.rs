//! The marks of one run's splits: in memory at once, in the journal once a second.
//!
//! Only the run that holds the pipeline's lease changes its marks, so memory is what the journal will be. A lane that gives a
//! split away waits for [`Clerk::write`] first; the split's next owner asks [`Clerk::known`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use connector::records::{Account, Mark, Split};
use model::{Ledger, PipelineId, Tally};
use runtime::{Shutdown, TaskKind};
use tokio::runtime::Handle;

use super::{Entry, Pipelines, Trouble, Wish};

/// Keeps the marks of a run.
pub(super) struct Clerk {
    pub id: PipelineId,
    pub attempt: u32,
    pub pipelines: Arc<dyn Pipelines>,
    /// The server's own runtime.
    pub home: Handle,
    /// Ends every lane at once; given here when the run is fenced.
    pub cut: Shutdown,
    book: Mutex<Book>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Book {
    marks: HashMap<Split, Mark>,
    dirty: HashSet<Split>,
}

impl Clerk {
    /// Reads the journal.
    pub async fn open(
        (id, attempt): (PipelineId, u32),
        pipelines: Arc<dyn Pipelines>,
        cut: Shutdown,
    ) -> Result<Self, Trouble> {
        let marks = pipelines.marks(&id).await?.into_iter().collect();
        let book = Mutex::new(Book { marks, dirty: HashSet::new() });
        Ok(Self {
            id,
            attempt,
            pipelines,
            home: Handle::current(),
            cut,
            book,
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// What is known of these splits.
    pub fn known(&self, splits: &[Split]) -> Vec<(Split, Option<Mark>)> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        splits.iter().map(|s| (s.clone(), book.marks.get(s).copied())).collect()
    }

    /// Takes a mark down. One that is behind is left out.
    pub fn note(&self, split: &Split, mark: Mark) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let known = book.marks.get(split);
        if known.is_some_and(|k| k.next > mark.next || *k == mark) {
            return;
        }
        book.marks.insert(split.clone(), mark);
        book.dirty.insert(split.clone());
    }

    /// The account over all splits.
    pub fn ledger(&self) -> Ledger {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        ledger(&book.marks)
    }

    /// Is there anything to write?
    pub fn is_dirty(&self) -> bool {
        !self.book.lock().unwrap_or_else(PoisonError::into_inner).dirty.is_empty()
    }

    /// Writes what moved. Must run on the server's own runtime.
    pub async fn write(&self) -> Result<Wish, Trouble> {
        let _one = self.writing.lock().await;
        // Copied, not taken: whoever drops this future has lost nothing.
        let entry = {
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let moved = book.dirty.iter().filter_map(|s| Some((s.clone(), *book.marks.get(s)?)));
            // In order, so that two servers' transactions can't lock each other.
            let marks: BTreeMap<Split, Mark> = moved.collect();
            Entry { marks: marks.into_iter().collect(), ledger: ledger(&book.marks) }
        };
        let done = self.pipelines.journal(&self.id, self.attempt, &entry).await;
        if done.is_ok() {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            for (split, mark) in &entry.marks {
                if book.marks.get(split) == Some(mark) {
                    book.dirty.remove(split);
                }
            }
        }
        self.watch(done)
    }

    /// The same from a lane.
    pub async fn write_from_lane(self: &Arc<Self>) -> connector::Result<()> {
        let this = self.clone();
        let written = self.at_home(async move { this.write().await.map(drop) });
        written.await.map_err(|t| error("the journal can't be written", t))
    }

    /// Makes sure that this run has the pipeline still.
    pub async fn renew_from_lane(self: &Arc<Self>) -> connector::Result<()> {
        let this = self.clone();
        let renewed = async move { this.pipelines.renew(&this.id, this.attempt).await.map(drop) };
        self.at_home(renewed).await.map_err(|t| error("the lease can't be renewed", t))
    }

    /// Runs a call to the store on the server's own runtime.
    pub async fn at_home<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let done = runtime::spawn_on(&self.home, TaskKind::Record, call).await;
        self.watch(done.unwrap_or_else(|e| Err(Trouble::Failed(e.to_string()))))
    }

    /// Whoever is fenced must not do anything more.
    pub fn watch<T>(&self, done: Result<T, Trouble>) -> Result<T, Trouble> {
        if matches!(done, Err(Trouble::Fenced)) {
            self.cut.stop();
        }
        done
    }
}

/// A trouble in a connector's words.
pub(super) fn error(what: &str, trouble: Trouble) -> connector::Error {
    match trouble {
        Trouble::Fenced => {
            connector::Error::new(connector::ErrorKind::Cancelled, "somebody else runs this pipeline now")
        }
        Trouble::Failed(why) => {
            connector::Error::new(connector::ErrorKind::Unavailable, format!("{what}: {why}"))
        }
    }
}

/// The account over all splits. A replayed letter was read once already, and was counted as dead: the splits of replays
/// count what they read as dead letters less.
fn ledger(marks: &HashMap<Split, Mark>) -> Ledger {
    let (mut all, mut again) = (Account::default(), Account::default());
    for (split, mark) in marks {
        let mut account = mark.account;
        if split.is_replay() {
            let (items, bytes) = (account.items[Account::READ], account.bytes[Account::READ]);
            again.add(Account::DEAD, items, bytes);
            account.items[Account::READ] = 0;
            account.bytes[Account::READ] = 0;
        }
        all.merge(&account);
    }
    let dead = Account::DEAD;
    all.items[dead] = all.items[dead].saturating_sub(again.items[dead]);
    all.bytes[dead] = all.bytes[dead].saturating_sub(again.bytes[dead]);
    Ledger { items: tally(all.items), bytes: tally(all.bytes) }
}

fn tally(c: [u64; 8]) -> Tally {
    let [read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed] = c;
    Tally { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_letter_is_one_record() {
        let split = Split::new("t", 0);
        let (mut first, mut replayed) = (Account::default(), Account::default());
        first.add(Account::READ, 3, 30);
        first.add(Account::WRITTEN, 1, 10);
        first.add(Account::DEAD, 2, 20);
        replayed.add(Account::READ, 1, 10);
        replayed.add(Account::WRITTEN, 1, 10);
        let marks = HashMap::from([
            (split.of_replays(), Mark { next: 2, account: replayed }),
            (split, Mark { next: 9, account: first }),
        ]);
        let l = ledger(&marks);
        assert_eq!(l.balance(), Ok(()));
        assert_eq!((l.items.read, l.items.written, l.items.dead_lettered), (3, 2, 1));
        assert_eq!((l.bytes.read, l.bytes.written, l.bytes.dead_lettered), (30, 20, 10));
    }
}
