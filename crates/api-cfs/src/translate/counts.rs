//! Counters of a task, from its ledger and progress.

use model::{Ledger, Progress, Tally};

/// What the product shows: total, successful, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Found at the source, as far as it was looked at, without what the selection left out.
    pub total: u64,
    /// Written, already the same, or left alone by the conflict rule.
    pub done: u64,
    /// Failed.
    pub failed: u64,
}

/// Items: files, links and directories.
#[must_use]
pub fn items(ledger: &Ledger, progress: &Progress) -> Count {
    count(&ledger.items, progress.items_found)
}

/// Content bytes.
#[must_use]
pub fn bytes(ledger: &Ledger, progress: &Progress) -> Count {
    count(&ledger.bytes, progress.bytes_found)
}

fn count(tally: &Tally, found: u64) -> Count {
    Count {
        total: found.max(tally.read).saturating_sub(tally.filtered),
        done: tally.written + tally.unchanged + tally.skipped,
        failed: tally.failed + tally.dead_lettered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Outcome;

    #[test]
    fn a_finished_ledger_adds_up_and_a_running_one_shows_what_was_found() {
        let mut ledger = Ledger::default();
        for (outcome, bytes) in [
            (Outcome::Written, 10),
            (Outcome::Unchanged, 20),
            (Outcome::Skipped, 30),
            (Outcome::Filtered, 40),
            (Outcome::Failed, 50),
        ] {
            ledger.book(outcome, bytes);
        }
        let still = Progress::default();
        let (items, bytes) = (items(&ledger, &still), bytes(&ledger, &still));
        assert_eq!(items, Count { total: 4, done: 3, failed: 1 });
        assert_eq!(bytes, Count { total: 110, done: 60, failed: 50 });
        assert_eq!(items.total, items.done + items.failed);
        let running = Progress { items_found: 100, ..Progress::default() };
        assert_eq!(super::items(&ledger, &running).total, 99);
    }
}
