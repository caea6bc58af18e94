//! Sets up runs for tests.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::transfer::{Compare, Job, Options, Outcome, Shared};
use engine::{Journal, JournalEntry, JournalError, Lanes, Wish};
use model::ConflictPolicy;
use runtime::{Bandwidth, ByteBudget, Clock, Micros};

use super::memory::{Memory, Style};

pub const NOW_S: i64 = 1_800_000_000;

pub struct Bench {
    pub clock: Clock,
    pub shared: Shared,
    pub source: Memory,
    pub destination: Memory,
    pub options: Options,
}

impl Bench {
    pub fn new(from: Style, to: Style) -> Self {
        let clock = Clock::manual(Micros::from_seconds(NOW_S));
        let shared = Shared {
            lanes: Lanes::new(2).unwrap(),
            budget: ByteBudget::new(1 << 20),
            bandwidth: Bandwidth::unlimited(),
            clock: clock.clone(),
        };
        let compare = if to == Style::Bucket { Compare::Merge } else { Compare::Stat };
        let mut options = Options::new(ConflictPolicy::IfChanged, compare);
        options.run = "run-1".to_owned();
        options.retry_ms = 1;
        options.journal_every_ms = 0;
        options.whole_up_to = 64;
        options.part_size = 16;
        options.grace_ms = 500;
        options.in_flight_start = 3;
        options.in_flight_max = 4;
        let (source, destination) = (Memory::new(from, &clock), Memory::new(to, &clock));
        Self { clock, shared, source, destination, options }
    }

    pub fn job(&self) -> Job {
        Job::new(self.source.tree(), self.destination.tree(), self.options.clone(), self.shared.clone())
    }

    pub async fn run(&self) -> Outcome {
        engine::transfer::run(self.job()).await
    }
}

/// A journal in memory that says its wishes and can cut the run off after the k-th entry.
#[derive(Default)]
pub struct Book {
    pub entries: Mutex<Vec<JournalEntry>>,
    /// After this many entries no answer comes any more.
    pub dead_after: Option<usize>,
    pub wish_after: Option<(usize, Wish)>,
    pub fence_after: Option<usize>,
    pub reached: tokio::sync::Notify,
}

#[async_trait]
impl Journal for Book {
    async fn record(&self, entry: JournalEntry) -> Result<Wish, JournalError> {
        let n = {
            let mut all = self.entries.lock().unwrap();
            all.push(entry);
            all.len()
        };
        if self.fence_after.is_some_and(|k| n > k) {
            return Err(JournalError::Fenced);
        }
        if self.dead_after.is_some_and(|k| n >= k) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        match self.wish_after {
            Some((k, wish)) if n >= k => Ok(wish),
            _ => Ok(Wish::GoOn),
        }
    }
}

impl Book {
    pub fn last(&self) -> Option<Vec<u8>> {
        self.entries.lock().unwrap().last().map(|e| e.checkpoint.clone())
    }

    pub fn count(&self) -> usize {
        self.entries.lock().unwrap().len()
    }
}

pub fn journaled(mut job: Job, book: &Arc<Book>, checkpoint: Option<Vec<u8>>) -> Job {
    job.journal = Some(book.clone());
    job.checkpoint = checkpoint;
    job
}
