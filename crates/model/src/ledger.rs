//! The account that every task keeps: what was read equals what became of it, in items and in bytes.

use std::fmt;

/// What became of one item that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Written to the destination by this task.
    Written,
    /// Already there, the same.
    Unchanged,
    /// Left alone by policy (conflict rule, type that is not moved).
    Skipped,
    /// Outside the selection.
    Filtered,
    /// Kept aside with its bytes and reason.
    DeadLettered,
    /// Could not be moved; named in the failed report.
    Failed,
}

/// One column of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Seen at the source.
    pub read: u64,
    /// More outputs than inputs, where one input makes several.
    pub expanded: u64,
    /// See [`Outcome::Written`].
    pub written: u64,
    /// See [`Outcome::Unchanged`].
    pub unchanged: u64,
    /// See [`Outcome::Skipped`].
    pub skipped: u64,
    /// See [`Outcome::Filtered`].
    pub filtered: u64,
    /// See [`Outcome::DeadLettered`].
    pub dead_lettered: u64,
    /// See [`Outcome::Failed`].
    pub failed: u64,
}

impl Tally {
    /// Everything that has an outcome.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.written + self.unchanged + self.skipped + self.filtered + self.dead_lettered + self.failed
    }

    /// What users call done: everything that needs no further care.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.settled() - self.failed - self.dead_lettered
    }

    fn add(&mut self, outcome: Outcome, n: u64) {
        let slot = match outcome {
            Outcome::Written => &mut self.written,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Filtered => &mut self.filtered,
            Outcome::DeadLettered => &mut self.dead_lettered,
            Outcome::Failed => &mut self.failed,
        };
        *slot += n;
    }

    fn merge(&mut self, o: &Self) {
        self.read += o.read;
        self.expanded += o.expanded;
        self.written += o.written;
        self.unchanged += o.unchanged;
        self.skipped += o.skipped;
        self.filtered += o.filtered;
        self.dead_lettered += o.dead_lettered;
        self.failed += o.failed;
    }
}

/// A task's account in items and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Files, directories, links.
    pub items: Tally,
    /// Content bytes.
    pub bytes: Tally,
}

/// By how much an account does not balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// Items read (and expanded) minus items settled.
    pub items: i128,
    /// The same in bytes.
    pub bytes: i128,
}

impl Ledger {
    /// Books one item of `bytes` bytes: read, and what became of it.
    pub fn book(&mut self, outcome: Outcome, bytes: u64) {
        self.items.read += 1;
        self.bytes.read += bytes;
        self.items.add(outcome, 1);
        self.bytes.add(outcome, bytes);
    }

    /// Adds another account to this one.
    pub fn merge(&mut self, other: &Self) {
        self.items.merge(&other.items);
        self.bytes.merge(&other.bytes);
    }

    /// Checks `read + expanded = everything settled` in both columns.
    ///
    /// # Errors
    /// By how much it is off.
    pub fn balance(&self) -> Result<(), Imbalance> {
        let off = |t: &Tally| i128::from(t.read) + i128::from(t.expanded) - i128::from(t.settled());
        let (items, bytes) = (off(&self.items), off(&self.bytes));
        if items == 0 && bytes == 0 { Ok(()) } else { Err(Imbalance { items, bytes }) }
    }
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the ledger does not balance: {} items and {} bytes without an outcome",
            self.items, self.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_booked_balances_and_what_is_lost_does_not() {
        let mut l = Ledger::default();
        l.book(Outcome::Written, 10);
        l.book(Outcome::Failed, 5);
        assert_eq!(l.balance(), Ok(()));
        assert_eq!(l.items.done(), 1);
        l.items.read += 1;
        assert_eq!(l.balance(), Err(Imbalance { items: 1, bytes: 0 }));
    }
}
