//! What a run writes down so that another run can go on, and how a run is told to rest.

use std::sync::Arc;

use async_trait::async_trait;
use model::{Event, Ledger, Progress};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What somebody wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Nothing special.
    #[default]
    GoOn,
    /// Rest at the next good place; everything needed to go on is kept.
    Pause,
    /// Stop for good; unfinished uploads are taken away.
    Cancel,
}

/// One durable step: the account and the place it belongs to, to be stored together or not at all.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Account of everything up to the checkpoint, and of nothing behind it.
    pub ledger: Ledger,
    /// How far the scan and the transfer are.
    pub progress: Progress,
    /// Opaque; goes back into [`crate::transfer::Job::checkpoint`].
    pub checkpoint: Vec<u8>,
    /// What happened since the entry before: a few at most.
    pub events: Vec<Event>,
}

/// Why an entry was not recorded.
#[derive(Debug)]
pub enum JournalError {
    /// Somebody else runs this task now: stop at once, write nothing more.
    Fenced,
    /// The journal can't be written now.
    Failed(String),
}

/// Where a run writes its steps. Each entry replaces the one before.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Stores the entry durably and says what is wanted of the run.
    ///
    /// # Errors
    /// [`JournalError`]; a run that can't keep its journal ends.
    async fn record(&self, entry: JournalEntry) -> Result<Wish, JournalError>;
}

/// A hand on a run: tells it to pause or cancel from anywhere.
#[derive(Debug, Clone)]
pub struct Steer(Arc<watch::Sender<Wish>>);

impl Default for Steer {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Wish::GoOn).0))
    }
}

impl Steer {
    /// Says what is wanted. A cancel is not taken back by anything later.
    pub fn wish(&self, wish: Wish) {
        self.0.send_if_modified(|now| {
            let changed = *now != Wish::Cancel && *now != wish;
            if changed {
                *now = wish;
            }
            changed
        });
    }

    /// What is wanted now.
    #[must_use]
    pub fn wished(&self) -> Wish {
        *self.0.borrow()
    }

    /// Waits until something other than [`Wish::GoOn`] is wanted.
    pub async fn stop_wished(&self) -> Wish {
        let mut listen = self.0.subscribe();
        let wished = listen.wait_for(|w| *w != Wish::GoOn).await.map(|w| *w);
        match wished {
            Ok(wish) => wish,
            // `self` holds the sender, so it can't be gone.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The place in the source up to which everything is settled. Persisted: see the golden test.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Format.
    pub v: u32,
    /// Which segment of the selection (prefix, line); 0 for a whole tree.
    pub segment: u64,
    /// Key in that segment behind which the listing goes on, in hex.
    pub after: Option<String>,
    /// Entries without a usable key that follow `after` and are booked already.
    pub nameless: u64,
    /// Directories that were entered and not left, outermost first, in hex.
    pub open: Vec<String>,
    /// Account up to here.
    pub ledger: Counts,
    /// Lengths of the report files, in the order of `reports::FILES`.
    pub reports: Vec<u64>,
    /// When the first attempt began, µs since the epoch.
    pub started: i64,
    /// Everything is settled and the scan is over.
    pub complete: bool,
}

/// The ledger in the checkpoint: eight counts of items, eight of bytes, in [`model::Tally`]'s order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts(pub [u64; 8], pub [u64; 8]);

const VERSION: u32 = 1;

impl Checkpoint {
    pub fn encode(mut self) -> Vec<u8> {
        self.v = VERSION;
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Reads one back; `Err` names what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let c: Self = serde_json::from_slice(bytes).map_err(|e| format!("the checkpoint is damaged: {e}"))?;
        if c.v == VERSION { Ok(c) } else { Err(format!("the checkpoint has format {}, not {VERSION}", c.v)) }
    }
}

fn counts(t: &model::Tally) -> [u64; 8] {
    [t.read, t.expanded, t.written, t.unchanged, t.skipped, t.filtered, t.dead_lettered, t.failed]
}

fn tally(c: [u64; 8]) -> model::Tally {
    let [read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed] = c;
    model::Tally { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed }
}

impl From<&Ledger> for Counts {
    fn from(l: &Ledger) -> Self {
        Self(counts(&l.items), counts(&l.bytes))
    }
}

impl From<Counts> for Ledger {
    fn from(c: Counts) -> Self {
        Self { items: tally(c.0), bytes: tally(c.1) }
    }
}

/// Lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut s = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        s.push(char::from(DIGITS[usize::from(b >> 4)]));
        s.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    s
}

/// Back from hex; `None` when it isn't.
pub(crate) fn from_hex(s: &str) -> Option<Vec<u8>> {
    let s = s.as_bytes();
    let digit = |b: u8| char::from(b).to_digit(16);
    if !s.len().is_multiple_of(2) {
        return None;
    }
    s.chunks_exact(2).map(|p| u8::try_from(digit(p[0])? * 16 + digit(p[1])?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_persisted_form_stays() {
        let mut ledger = Ledger::default();
        ledger.book(model::Outcome::Written, 7);
        let c = Checkpoint {
            segment: 2,
            after: Some(to_hex(b"a/\xff")),
            nameless: 1,
            open: vec![to_hex(b"a")],
            ledger: Counts::from(&ledger),
            reports: vec![10, 0],
            started: 5,
            ..Checkpoint::default()
        };
        let golden = r#"{"v":1,"segment":2,"after":"612fff","nameless":1,"open":["61"],"ledger":[[1,0,1,0,0,0,0,0],[7,0,7,0,0,0,0,0]],"reports":[10,0],"started":5,"complete":false}"#;
        assert_eq!(String::from_utf8(c.clone().encode()).unwrap(), golden);
        let back = Checkpoint::decode(golden.as_bytes()).unwrap();
        assert_eq!(back, Checkpoint { v: 1, ..c });
        assert_eq!(Ledger::from(back.ledger), ledger);
        assert!(Checkpoint::decode(b"{}").is_err());
        assert_eq!(from_hex("612f"), Some(b"a/".to_vec()));
        assert_eq!(from_hex("6"), None);
        assert_eq!(from_hex("zz"), None);
    }

    #[test]
    fn a_cancel_stands() {
        let s = Steer::default();
        s.wish(Wish::Cancel);
        s.wish(Wish::GoOn);
        assert_eq!(s.wished(), Wish::Cancel);
    }
}
